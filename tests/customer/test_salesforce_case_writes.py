"""Cases in Salesforce, opened, changed and answered: what the customer sees, what not, and that it is done once."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.customer.sales import DRAFT, KEY, SITE, TODAY, Crm, business, case_id, contact_id, new_crm, the_case

from backoffice_customer.models import TicketState
from backoffice_customer.ports import CommentPage, Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import Conflict, InvalidInput, OutcomeUnknown
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


# ------------------------------------------------------------------------------------------------------ opening


async def said_in(crm: Crm, native: str) -> list[dict[str, Any]]:
    """The comments on a case, newest first."""
    return await crm.rows("CommentBody, IsPublished", "CaseComment", f"ParentId = '{native}'")


async def opened(crm: Crm, draft: TicketDraft = DRAFT) -> str:
    return (await crm.desk.create_ticket(draft, KEY)).ticket_id.rpartition(":")[2]


async def test_a_public_ticket_is_a_case_with_a_published_comment(crm: Crm) -> None:
    created = await crm.desk.create_ticket(DRAFT, KEY)
    native = created.ticket_id.rpartition(":")[2]
    assert created.model_dump() == {
        "sources": [],
        "notes": [],
        "ticket_id": f"salesforce:ticket:{native}",
        "status": "new",
        "url": f"{SITE}/{native}",
        "replayed": False,
        "idempotency_key": KEY,
    }
    [case] = await crm.rows("Subject, Status, Priority, ContactId, Description", "Case", f"Id = '{native}'")
    assert case == {
        "Subject": "It's \\ 100% @ {case.id}",
        "Status": "New",
        "Priority": "High",
        "ContactId": contact_id(2),
        "Description": None,
    }
    assert await said_in(crm, native) == [{"CommentBody": DRAFT.body.replace("@{", "@ {"), "IsPublished": True}]


async def test_an_internal_ticket_is_not_shown_to_the_customer(crm: Crm) -> None:
    native = await opened(crm, replace(DRAFT, public=False))
    assert [said["IsPublished"] for said in await said_in(crm, native)] == [False]
    [comment] = (await crm.desk.ticket(native, CommentPage())).comments
    assert (comment.public, comment.role) == (False, "agent")


async def test_a_ticket_is_for_the_contact_with_the_address(crm: Crm) -> None:
    person = business(crm.company)[1]
    native = await opened(crm, replace(DRAFT, requester=None, name="P", email=person.email.upper()))
    [case] = await crm.rows("ContactId, SuppliedName", "Case", f"Id = '{native}'")
    assert case == {"ContactId": contact_id(person.number), "SuppliedName": "P"}


async def test_a_ticket_can_be_for_somebody_who_is_no_contact(crm: Crm) -> None:
    native = await opened(crm, replace(DRAFT, requester=None, name="Quill Q", email="q@quill.example", priority=None))
    ticket = await crm.desk.ticket(native, CommentPage())
    assert (ticket.customer_id, ticket.requester, ticket.email) == (None, "Quill Q", "q@quill.example")
    [row] = await crm.all_rows(TicketQuery(emails=("q@quill.example",)), 5)
    assert (row.ticket_id, row.priority) == (ticket.ticket_id, "normal")


async def test_what_a_case_cannot_have_is_refused(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="no tags"):
        await crm.desk.create_ticket(replace(DRAFT, tags=("vip",)), KEY)
    with pytest.raises(InvalidInput, match="low, normal or high"):
        await crm.desk.create_ticket(replace(DRAFT, priority="urgent"), KEY)
    assert crm.asked == []


async def test_of_a_ticket_that_is_refused_nothing_is_left(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="data value too large"):
        await crm.desk.create_ticket(replace(DRAFT, body="ü" * 2_001), KEY)
    with pytest.raises(InvalidInput, match="id value of incorrect type"):
        await crm.desk.create_ticket(replace(DRAFT, requester="003Hs0000999999IAA"), KEY)
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases)


async def test_a_ticket_whose_answer_is_lost_is_found_again(crm: Crm) -> None:
    crm.faulty("drop_after_commit")
    created = await crm.desk.create_ticket(DRAFT, KEY)
    assert (created.ticket_id, created.replayed) == (f"salesforce:ticket:{case_id(len(crm.company.cases))}", False)
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases) + 1


@pytest.mark.parametrize(
    "subject", ["No\u00a0break", "A family: 👨\u200d👩\u200d👧", "Soft\u00adhyphen", " two  spaces "]
)
@pytest.mark.parametrize(
    "whose", [{}, {"requester": None, "name": "Q", "email": "q\u200d@x.example"}], ids=["contact", "nobody"]
)
async def test_a_ticket_is_found_again_whatever_its_subject_is_made_of(
    crm: Crm, subject: str, whose: dict[str, Any]
) -> None:
    draft = replace(DRAFT, subject=subject, **whose)
    crm.faulty(*["ok"] * bool(whose), "drop_after_commit")
    await crm.desk.create_ticket(draft, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        assert (await crm.desk.create_ticket(draft, KEY)).replayed is True
        assert (await crm.desk.create_ticket(replace(draft, subject="Another"), KEY)).replayed is False
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases) + 2


async def test_a_ticket_that_may_or_may_not_be_there_is_not_opened_again(crm: Crm) -> None:
    crm.faulty("reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.create_ticket(DRAFT, KEY)
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases)


async def test_an_earlier_attempt_is_looked_for_first(crm: Crm) -> None:
    native = await opened(crm)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        again = await crm.desk.create_ticket(DRAFT, KEY)
        assert (again.ticket_id, again.replayed) == (f"salesforce:ticket:{native}", True)
        with pytest.raises(OutcomeUnknown, match="nothing was sent"):
            await crm.desk.create_ticket(replace(DRAFT, public=False), KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        other = await crm.desk.create_ticket(replace(DRAFT, public=False), KEY)
    assert other.ticket_id != again.ticket_id
    assert other.replayed is False


# ------------------------------------------------------------------------------------------------------ editing


async def test_status_priority_and_assignee_are_set(crm: Crm) -> None:
    case, agent = the_case(crm.company), crm.company.agents[3]
    change = TicketChange(status="on_hold", priority="low", assignee=agent.email)
    state = await crm.desk.update_ticket(case_id(case), change, KEY)
    ticket = await crm.desk.ticket(case_id(case), None)
    assert state == TicketState(ticket_id=ticket.ticket_id, status="on_hold", version=ticket.version)
    assert (ticket.status, ticket.priority, ticket.assignee) == ("on_hold", "low", agent.name)


async def test_a_note_is_never_shown_to_the_customer(crm: Crm) -> None:
    case = the_case(crm.company)
    state = await crm.desk.update_ticket(case_id(case), TicketChange(note="Do not tell: @{now.Status}"), KEY)
    [said, *_] = await said_in(crm, case_id(case))
    assert said == {"CommentBody": "Do not tell: @ {now.Status}", "IsPublished": False}
    assert state.version == (await crm.desk.ticket(case_id(case), None)).version


async def test_every_change_makes_another_version(crm: Crm) -> None:
    case = the_case(crm.company)
    versions = [(await crm.desk.ticket(case_id(case), None)).version]
    for change in (TicketChange(note="One."), TicketChange(status="on_hold"), TicketChange(priority="high")):
        versions.append(
            (await crm.desk.update_ticket(case_id(case), replace(change, version=versions[-1]), KEY)).version
        )
    mail = {"ParentId": case_id(case), "TextBody": "More from me.", "Incoming": True}
    await crm.raw("POST", "sobjects/EmailMessage", mail)
    crm.clock.advance(60)
    versions.append((await crm.desk.ticket(case_id(case), None)).version)
    assert len(set(versions)) == 5


async def test_a_case_that_has_changed_is_not_changed(crm: Crm) -> None:
    case = the_case(crm.company)
    version = (await crm.desk.ticket(case_id(case), None)).version
    await crm.raw("POST", "sobjects/CaseComment", {"ParentId": case_id(case), "CommentBody": "Wait!"})
    for change in (TicketChange(status="solved"), TicketChange(note="Closed.")):
        with pytest.raises(Conflict, match="has changed since version"):
            await crm.desk.update_ticket(case_id(case), replace(change, version=version), KEY)
    [row] = await crm.rows("Status", "Case", f"Id = '{case_id(case)}'")
    assert row["Status"] in ("Working", "Escalated")


async def test_a_change_between_reading_and_writing_is_a_conflict_too(crm: Crm) -> None:
    case = the_case(crm.company)
    version = (await crm.desk.ticket(case_id(case), None)).version
    crm.wire.before = lambda: crm.raw("PATCH", f"sobjects/Case/{case_id(case)}", {"Subject": "Quite another matter"})
    with pytest.raises(Conflict, match="changed since it was read"):
        await crm.desk.update_ticket(case_id(case), TicketChange(status="solved", note="Done.", version=version), KEY)
    ticket = await crm.desk.ticket(case_id(case), CommentPage())
    assert (ticket.subject, ticket.status) == ("Quite another matter", "open")
    assert "Done." not in [comment.text for comment in ticket.comments]


async def test_what_cannot_be_set_is_refused_before_anything_is_sent(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    refused = [
        (TicketChange(status="closed"), "new, open, on_hold or solved"),
        (TicketChange(status="pending", note="x"), "new, open, on_hold or solved"),
        (TicketChange(priority="urgent"), "low, normal or high"),
        (TicketChange(assignee="none"), "always has an owner"),
        (TicketChange(add_tags=("vip",)), "no tags"),
        (TicketChange(remove_tags=("vip",)), "no tags"),
    ]
    for change, sentence in refused:
        with pytest.raises(InvalidInput, match=sentence):
            await crm.desk.update_ticket(case, change, KEY)
    assert crm.asked == []
    with pytest.raises(InvalidInput, match="no user has the address"):
        await crm.desk.update_ticket(case, TicketChange(assignee="x' OR Email != '"), KEY)


async def test_a_change_of_nothing_says_how_the_case_is(crm: Crm) -> None:
    case = the_case(crm.company)
    ticket = await crm.desk.ticket(case_id(case), None)
    state = await crm.desk.update_ticket(case_id(case), TicketChange(version=ticket.version), KEY)
    assert state == TicketState(ticket_id=ticket.ticket_id, status="open", version=ticket.version)


@pytest.mark.parametrize("with_version", [False, True])
@pytest.mark.parametrize("note", [None, "Called them."])
async def test_a_change_whose_answer_is_lost_was_made_once(crm: Crm, note: str | None, with_version: bool) -> None:
    case = the_case(crm.company)
    ticket = await crm.desk.ticket(case_id(case), None)
    before = await said_in(crm, case_id(case))
    change = TicketChange(status="on_hold", note=note, version=ticket.version if with_version else None)
    crm.faulty("ok", "drop_after_commit")
    state = await crm.desk.update_ticket(case_id(case), change, KEY)
    assert (state.status, state.version) == ("on_hold", (await crm.desk.ticket(case_id(case), None)).version)
    notes = [{"CommentBody": note, "IsPublished": False}] if note else []
    assert await said_in(crm, case_id(case)) == [*notes, *before]


async def test_a_change_that_nobody_saw_arrive_is_not_said_to_be_made(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    crm.faulty("ok", "reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.update_ticket(case, TicketChange(status="solved", note="Done."), KEY)
    crm.faulty("ok", "reset")
    assert (await crm.desk.update_ticket(case, TicketChange(status="solved"), KEY)).status == "solved"


async def test_a_note_that_was_added_is_not_added_again_because_the_case_was_changed_since(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    before = await said_in(crm, case)
    change = TicketChange(status="solved", note="Done.")
    crm.faulty("ok", "drop_after_commit", "reset", "reset", "reset", "reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.update_ticket(case, change, KEY)
    crm.faulty()
    await crm.raw("PATCH", f"sobjects/Case/{case}", {"Status": "Working"})
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        assert (await crm.desk.update_ticket(case, change, KEY)).status == "open"
    assert await said_in(crm, case) == [{"CommentBody": "Done.", "IsPublished": False}, *before]


async def test_a_change_is_known_for_the_earlier_attempts(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    version = (await crm.desk.ticket(case, None)).version
    change = TicketChange(status="solved", note="Done.", version=version)
    state = await crm.desk.update_ticket(case, change, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        assert await crm.desk.update_ticket(case, change, KEY) == state


# ------------------------------------------------------------------------------------------------------ replying


async def test_a_reply_is_a_published_comment(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    ticket = await crm.desk.ticket(case, None)
    sent = await crm.desk.reply(case, Reply("Dear you @{said.Id}", ticket.version), KEY)
    [comment, *_] = (await crm.desk.ticket(case, CommentPage())).comments
    assert comment.model_dump(exclude_none=True) == {
        "id": sent.value.message_id,
        "at": sent.value.sent_at,
        "author": crm.company.agents[0].name,
        "role": "agent",
        "public": True,
        "text": "Dear you @ {said.Id}",
        "untrusted": True,
    }
    assert (sent.value.status, sent.replayed) == ("open", False)


async def test_a_reply_can_change_the_status(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    ticket = await crm.desk.ticket(case, None)
    sent = await crm.desk.reply(case, Reply("Done.", ticket.version, "solved"), KEY)
    assert (sent.value.status, (await crm.desk.ticket(case, None)).status) == ("solved", "solved")
    with pytest.raises(InvalidInput, match="cannot be 'pending'"):
        await crm.desk.reply(case, Reply("Done.", ticket.version, "pending"), KEY)


async def test_a_reply_to_what_has_changed_is_not_sent(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    version = (await crm.desk.ticket(case, None)).version
    await crm.raw("POST", "sobjects/EmailMessage", {"ParentId": case, "TextBody": "Never mind.", "Incoming": True})
    before = await said_in(crm, case)
    with pytest.raises(Conflict):
        await crm.desk.reply(case, Reply("Dear you", version), KEY)
    assert await said_in(crm, case) == before


async def test_a_reply_whose_answer_is_lost_was_sent_once(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    version = (await crm.desk.ticket(case, None)).version
    crm.faulty("ok", "drop_after_commit")
    sent = await crm.desk.reply(case, Reply("Dear you", version, "on_hold"), KEY)
    said = await said_in(crm, case)
    assert said.count({"CommentBody": "Dear you", "IsPublished": True}) == 1
    assert sent.value.status == "on_hold"


async def test_an_internal_note_of_the_same_words_is_not_the_reply(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    state = await crm.desk.update_ticket(case, TicketChange(note="Dear you"), KEY)
    crm.faulty("ok", "reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.reply(case, Reply("Dear you", state.version), KEY)


async def test_a_reply_is_known_for_the_earlier_attempts(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    reply = Reply("Dear you", (await crm.desk.ticket(case, None)).version)
    first = await crm.desk.reply(case, reply, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        again = await crm.desk.reply(case, reply, KEY)
    assert (again.value.message_id, again.replayed) == (first.value.message_id, True)
