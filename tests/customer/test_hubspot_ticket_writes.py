"""Tickets in HubSpot, opened and changed: what the customer sees, what not, and that it is done once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.customer.crm import (
    HOSTILE,
    KEY,
    OBJECTS,
    PIPELINES,
    TODAY,
    Crm,
    client,
    in_the_crm,
    long_ago,
    native,
    new_crm,
    number,
    scripted,
    ticket_id,
    whole,
    with_thread,
    without_thread,
)

from backoffice_customer.backends.hubspot import HubSpotTickets
from backoffice_customer.backends.hubspot.pipelines import PIPELINES as COMPANYS_PIPELINES
from backoffice_customer.models import Comment, CreatedTicket, Priority, TicketState, TicketStatus
from backoffice_customer.ports import Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio

OPEN, NOTE = f"POST {OBJECTS}/tickets", f"POST {OBJECTS}/notes"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY, customers=200)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


def draft(**given: Any) -> TicketDraft:
    usual: dict[str, Any] = {"priority": None, "tags": (), "public": False, "requester": native(1)}
    return TicketDraft("The zip broke", "It does not close.", **(usual | given))


async def tickets_of(crm: Crm, person: int) -> list[str]:
    page = await crm.tickets.search_tickets(TicketQuery(requesters=(native(person),)), None, 50)
    return [row.subject for row in page.items]


# ----------------------------------------------------------------------------------------------------------- opening


async def test_a_new_ticket_is_the_customers_and_agents_see_what_it_is_about(crm: Crm) -> None:
    before = await tickets_of(crm, 1)
    made = await crm.tickets.create_ticket(draft(priority="high"), KEY)
    ticket = await whole(crm, number(made))
    assert made == CreatedTicket(
        ticket_id=ticket.ticket_id, status="new", url=ticket.url, replayed=False, idempotency_key=KEY
    )
    assert (ticket.subject, ticket.status, ticket.priority, ticket.customer_id, ticket.channel, ticket.assignee) == (
        "The zip broke",
        "new",
        "high",
        f"hubspot:contact:{native(1)}",
        None,
        None,
    )
    assert ticket.comments == [
        Comment(
            id=f"{number(made)}-description",
            at=ticket.created_at,
            role="agent",
            public=False,
            text="It does not close.",
        )
    ]
    assert await tickets_of(crm, 1) == ["The zip broke", *before]


async def test_a_ticket_is_sent_as_hubspot_wants_it() -> None:
    asked: list[httpx.Request] = []
    answers = {PIPELINES: {"results": COMPANYS_PIPELINES}, f"{OBJECTS}/tickets": {"id": "9"}}
    tickets = HubSpotTickets(client(scripted(answers, asked=asked), options={"ticket_pipeline": "770"}))
    await tickets.create_ticket(draft(priority="normal"), KEY)
    assert json.loads(asked[-1].content) == {
        "properties": {
            "subject": "The zip broke",
            "content": "It does not close.",
            "hs_pipeline": "770",
            "hs_pipeline_stage": "77001",
            "hs_ticket_priority": "MEDIUM",
        },
        "associations": [
            {
                "to": {"id": "100002"},
                "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": 16}],
            }
        ],
    }


async def test_a_ticket_for_an_address_is_that_persons_who_keeps_their_name(crm: Crm) -> None:
    person = next(in_the_crm(crm.company))
    made = await crm.tickets.create_ticket(draft(requester=None, name="Other Name", email=person.email.upper()), KEY)
    ticket = await whole(crm, number(made))
    assert (ticket.requester, ticket.email) == (person.name, person.email)
    assert crm.wrote == [f"{OPEN} 201"]


async def test_whoever_is_new_becomes_a_contact(crm: Crm) -> None:
    made = await crm.tickets.create_ticket(draft(requester=None, name="Ada van Dyk", email="Ada@new.example"), KEY)
    ticket = await whole(crm, number(made))
    assert (ticket.requester, ticket.email) == ("Ada van Dyk", "ada@new.example")
    (found,) = await crm.hubspot.contacts_by_email(["ada@NEW.example"])
    assert (str(found.ref), found.name, found.email_marketing) == (ticket.customer_id, "Ada van Dyk", None)
    assert crm.wrote == [f"POST {OBJECTS}/contacts/batch/upsert 200", f"{OPEN} 201"]


async def test_a_ticket_whose_answer_was_lost_is_found_and_not_opened_again(crm: Crm) -> None:
    await crm.knows_owners()
    await crm.tickets.search_tickets(TicketQuery(), None, 1)
    crm.sandbox.requests.clear()
    crm.sandbox.faults = Faults(plan=["drop_after_commit"], stale_search=True)
    made = await crm.tickets.create_ticket(draft(), KEY)
    assert (made.replayed, crm.wrote) == (False, [f"{OPEN} 0"])
    crm.sandbox.faults = Faults()
    assert (await tickets_of(crm, 1)).count("The zip broke") == 1


async def test_a_repeated_call_finds_the_ticket_of_the_first(crm: Crm) -> None:
    first = await crm.tickets.create_ticket(draft(), KEY)
    other = await crm.tickets.create_ticket(draft(requester=native(2)), KEY)
    with attempting(datetime.now(UTC)):
        again = await crm.tickets.create_ticket(draft(), KEY)
    assert again == first.model_copy(update={"replayed": True})
    assert other.ticket_id != first.ticket_id
    assert crm.wrote == [f"{OPEN} 201"] * 2


async def test_a_ticket_that_did_not_arrive_is_opened_by_a_later_call(crm: Crm) -> None:
    await crm.tickets.search_tickets(TicketQuery(), None, 1)
    crm.sandbox.requests.clear()
    crm.sandbox.faults = Faults(plan=["reset"])
    with pytest.raises(OutcomeUnknown):
        await crm.tickets.create_ticket(draft(), KEY)
    with attempting(datetime.now(UTC)), pytest.raises(OutcomeUnknown, match="may still be carried out"):
        await crm.tickets.create_ticket(draft(), KEY)
    with attempting(long_ago()):
        made = await crm.tickets.create_ticket(draft(), KEY)
    assert (made.replayed, crm.wrote) == (False, [f"{OPEN} 0", f"{OPEN} 201"])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"public": True}, "a new ticket tells the customer nothing"),
        ({"tags": ("vip",)}, "its tickets have no tags"),
        ({"requester": "999999"}, "No contact with ID 999999 exists"),
    ],
)
async def test_what_hubspot_cannot_do_with_a_new_ticket_is_refused(
    crm: Crm, given: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        await crm.tickets.create_ticket(draft(**given), KEY)


async def test_a_pipeline_that_is_not_there_is_named(crm: Crm) -> None:
    tickets = HubSpotTickets(client(InProcess(crm.sandbox), options={"ticket_pipeline": "12"}))
    with pytest.raises(InvalidInput, match=r"there is no ticket pipeline '12'.*BACKOFFICE_HUBSPOT_TICKET_PIPELINE"):
        await tickets.create_ticket(draft(), KEY)


@pytest.mark.parametrize("text", [text for text in HOSTILE if text.strip()])
async def test_whatever_a_ticket_holds_is_text(crm: Crm, text: str) -> None:
    made = await crm.tickets.create_ticket(
        TicketDraft(text, "b", priority=None, tags=(), public=False, requester=native(1)), KEY
    )
    assert (await whole(crm, number(made))).subject == text


# ---------------------------------------------------------------------------------------------------------- changing


@pytest.mark.parametrize("status", ["new", "open", "pending", "on_hold", "solved"])
async def test_a_ticket_is_put_into_a_status_that_its_pipeline_has(crm: Crm, status: TicketStatus) -> None:
    longer = next(inquiry for inquiry in crm.company.inquiries if inquiry.number % 4 == 3)
    state = await crm.tickets.update_ticket(ticket_id(longer), TicketChange(status=status), KEY)
    after = await whole(crm, ticket_id(longer))
    assert state == TicketState(ticket_id=after.ticket_id, status=status, version=after.version)
    assert after.status == status


async def test_a_status_that_the_pipeline_has_not_is_refused_with_those_it_has(crm: Crm) -> None:
    short = next(inquiry for inquiry in crm.company.inquiries if inquiry.number % 4 != 3)
    with pytest.raises(InvalidInput, match="no stage for 'on_hold'; it has new, pending, open, solved"):
        await crm.tickets.update_ticket(ticket_id(short), TicketChange(status="on_hold"), KEY)
    assert crm.wrote == []


@pytest.mark.parametrize("priority", ["low", "normal", "high", "urgent"])
async def test_a_priority_is_set(crm: Crm, priority: Priority) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    await crm.tickets.update_ticket(native_id, TicketChange(priority=priority), KEY)
    assert (await whole(crm, native_id)).priority == priority


async def test_a_ticket_is_assigned_and_unassigned(crm: Crm) -> None:
    native_id, agent = ticket_id(crm.company.inquiries[0]), crm.company.agents[3]
    await crm.tickets.update_ticket(native_id, TicketChange(assignee=agent.email.title()), KEY)
    assert (await whole(crm, native_id)).assignee == agent.name
    await crm.tickets.update_ticket(native_id, TicketChange(assignee="none"), KEY)
    assert (await whole(crm, native_id)).assignee is None
    page = await crm.tickets.search_tickets(TicketQuery(assignee="none"), None, 50)
    assert native_id in [number(row) for row in page.items]


async def test_nobody_of_that_address_can_be_assigned(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match=r"no user has the e-mail address 'x@y\.example'"):
        await crm.tickets.update_ticket(ticket_id(crm.company.inquiries[0]), TicketChange(assignee="x@y.example"), KEY)


async def test_a_note_on_a_ticket_is_for_agents_only(crm: Crm) -> None:
    for inquiry in (with_thread(crm.company), without_thread(crm.company)):
        before = await whole(crm, ticket_id(inquiry))
        await crm.tickets.update_ticket(ticket_id(inquiry), TicketChange(note="Careful:\n\nhe is <angry>"), KEY)
        after = await whole(crm, ticket_id(inquiry))
        newest, *others = after.comments
        assert (newest.public, newest.role, newest.text) == (False, "agent", "Careful:\nhe is <angry>")
        assert others == before.comments
        assert after.version != before.version
    assert crm.wrote == [f"{NOTE} 201"] * 2


async def test_what_is_left_out_stays_as_it_is(crm: Crm) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    before = await whole(crm, native_id)
    state = await crm.tickets.update_ticket(native_id, TicketChange(priority="urgent"), KEY)
    after = await whole(crm, native_id)
    assert after == before.model_copy(
        update={"priority": "urgent", "version": after.version, "updated_at": after.updated_at}
    )
    assert after.version.startswith(state.version)
    assert not before.version.startswith(state.version)


@pytest.mark.parametrize("change", [TicketChange(add_tags=("vip",)), TicketChange(remove_tags=("vip",))])
async def test_tags_are_refused_for_there_are_none(crm: Crm, change: TicketChange) -> None:
    with pytest.raises(InvalidInput, match="its tickets have no tags"):
        await crm.tickets.update_ticket(ticket_id(crm.company.inquiries[0]), change, KEY)
    assert crm.asked == []


@pytest.mark.parametrize("native_id", ["3999999", "../1", "", "9" * 400])
async def test_what_is_no_ticket_cannot_be_changed_or_answered(crm: Crm, native_id: str) -> None:
    with pytest.raises(NotFound):
        await crm.tickets.update_ticket(native_id, TicketChange(priority="low"), KEY)
    with pytest.raises(NotFound):
        await crm.tickets.reply(native_id, Reply("x", "v"), KEY)
    assert crm.wrote == []


async def test_a_change_meant_for_an_older_version_is_a_conflict_and_changes_nothing(crm: Crm) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    seen = await whole(crm, native_id)
    await crm.tickets.update_ticket(native_id, TicketChange(note="Meanwhile.", version=seen.version), KEY)
    now = await whole(crm, native_id)
    for change in (
        TicketChange(priority="urgent", version=seen.version),
        TicketChange(note="Late.", version=seen.version),
        TicketChange(status="pending", note="Late.", version=seen.version),
        TicketChange(version=seen.version),
    ):
        with pytest.raises(Conflict, match=f"ticket {native_id} was changed since version"):
            await crm.tickets.update_ticket(native_id, change, KEY)
    assert await whole(crm, native_id) == now
    await crm.tickets.update_ticket(native_id, TicketChange(priority="urgent", version=now.version), KEY)


@pytest.mark.parametrize("fault", ["drop_after_commit", "reset"])
async def test_a_lost_answer_to_a_change_of_values_is_no_matter(crm: Crm, fault: str) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    seen = await whole(crm, native_id)
    # The ticket is read, then written.
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", fault]})
    state = await crm.tickets.update_ticket(native_id, TicketChange(priority="urgent", version=seen.version), KEY)
    assert (await whole(crm, native_id)).version == state.version
    assert crm.wrote == [f"PATCH {OBJECTS}/tickets/{native_id} {status}" for status in (0, 200)]


async def test_a_repeated_change_is_not_a_conflict_with_itself(crm: Crm) -> None:
    native_id = ticket_id(with_thread(crm.company))
    seen = await whole(crm, native_id)
    change = TicketChange(status="pending", priority="urgent", note="Once.", version=seen.version)
    first = await crm.tickets.update_ticket(native_id, change, KEY)
    with attempting(datetime.now(UTC)):
        again = await crm.tickets.update_ticket(native_id, change, KEY)
    assert again.status == first.status == "pending"
    assert [comment.text for comment in (await whole(crm, native_id)).comments].count("Once.") == 1
    only_note = TicketChange(note="Twice.", version=again.version)
    await crm.tickets.update_ticket(native_id, only_note, KEY)
    with attempting(datetime.now(UTC)):
        await crm.tickets.update_ticket(native_id, only_note, KEY)
    assert [comment.text for comment in (await whole(crm, native_id)).comments].count("Twice.") == 1
