"""What is written to Zendesk: tickets, changes of them, replies and languages, each once and as it was meant."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from tests.customer.helpdesk import (
    DRAFT,
    KEY,
    PRESENT,
    TICKET,
    TODAY,
    URL,
    USER,
    Helpdesk,
    found,
    helpdesk,
    native,
    saying,
    ticket_id,
    user,
)
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.zendesk import ZENDESK, Zendesk, zendesk_sandbox
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN, AGENT_EMAIL
from backoffice_customer.models import Contact, CreatedTicket, PreferenceChanges, Ref, Sent, TicketState, TicketStatus
from backoffice_customer.ports import CommentPage, Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.http.client import Written, connect
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.company import Ticket as CompanyTicket
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio

LONG_AGO, NOT_YET = datetime(2026, 11, 1, tzinfo=UTC), datetime(2126, 11, 1, tzinfo=UTC)
HOSTILE = 'He said "no"\u2028\x07</div> { {ticket.id} } \\" OR 1=1; DROP \U0001f525'


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def desk(company: Company) -> Helpdesk:
    """With a token that is there already, so that faults meet what is written."""
    return helpdesk(company, access_token=ACCESS_TOKEN)


def some(desk: Helpdesk, status: TicketStatus) -> CompanyTicket:
    return next(ticket for ticket in desk.tickets_of(KEY_ACCOUNT) if ticket.status == status)


def version(ticket: CompanyTicket, writes: int = 0) -> str:
    """Of the company's ticket, or after so many writes to the helpdesk."""
    at = PRESENT + timedelta(seconds=writes - 1) if writes else ticket.updated_at
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def path(ticket: CompanyTicket) -> str:
    return f"/api/v2/tickets/{native(ticket)}"


async def thread(desk: Helpdesk, ticket: CompanyTicket) -> list[tuple[str, bool, str]]:
    """Newest first."""
    comments = (await desk.zendesk.ticket(native(ticket), CommentPage(limit=100))).comments
    return [(comment.role, comment.public, comment.text) for comment in comments]


# ----------------------------------------------------------------------------------------------------- opening


async def test_a_ticket_is_opened_for_somebody_new(desk: Helpdesk) -> None:
    created = await desk.zendesk.create_ticket(DRAFT, KEY)
    number = len(desk.company.tickets) + 10_001
    assert created == CreatedTicket(
        ticket_id=f"zendesk:ticket:{number}",
        status="new",
        url=f"https://acme.zendesk.com/agent/tickets/{number}",
        replayed=False,
        idempotency_key=KEY,
    )
    got = await desk.zendesk.ticket(str(number), CommentPage())
    assert (got.subject, got.priority, got.tags, got.channel) == (
        "Printer on fire",
        "urgent",
        ["printer", "smoke"],
        "api",
    )
    assert [(c.role, c.public, c.text) for c in got.comments] == [("agent", True, "There is smoke.")]
    [contact] = await desk.zendesk.contacts_by_email([DRAFT.email])
    assert (contact.name, str(contact.ref)) == ("Ada Lovelace", got.customer_id)


async def test_a_ticket_for_a_known_customer_is_theirs_and_may_be_an_internal_note(desk: Helpdesk) -> None:
    person = desk.company.people[5]
    draft = TicketDraft(
        "Call back", "Asked by phone.", None, (), public=False, name="Somebody Else", email=person.email
    )
    created = await desk.zendesk.create_ticket(draft, KEY)
    got = await desk.zendesk.ticket(created.ticket_id.rpartition(":")[2], CommentPage())
    assert (got.customer_id, got.requester, got.priority) == ("zendesk:user:200006", person.name, None)
    assert [comment.public for comment in got.comments] == [False]


async def test_a_new_ticket_is_seen_at_once_by_searches_that_were_answered_before(desk: Helpdesk) -> None:
    query = TicketQuery(emails=(DRAFT.email,))
    assert await found(desk, query) == set()
    created = await desk.zendesk.create_ticket(DRAFT, KEY)
    assert await found(desk, query) == {created.ticket_id}


async def test_the_same_key_gives_the_same_ticket_and_says_so(desk: Helpdesk) -> None:
    first = await desk.zendesk.create_ticket(DRAFT, KEY)
    again = await desk.zendesk.create_ticket(DRAFT, KEY)
    assert again == first.model_copy(update={"replayed": True})
    assert await found(desk, TicketQuery(emails=(DRAFT.email,))) == {first.ticket_id}


async def test_a_key_used_for_something_else_is_a_conflict(desk: Helpdesk) -> None:
    await desk.zendesk.create_ticket(DRAFT, KEY)
    other = TicketDraft("Another", DRAFT.body, None, (), public=True, name=DRAFT.name, email=DRAFT.email)
    with pytest.raises(Conflict, match="idempotency key"):
        await desk.zendesk.create_ticket(other, KEY)


async def test_an_answer_lost_on_the_way_does_not_open_a_second_ticket(desk: Helpdesk) -> None:
    desk.sandbox.faults = Faults(plan=["drop_after_commit"])
    created = await desk.zendesk.create_ticket(DRAFT, KEY)
    assert created.replayed
    assert await found(desk, TicketQuery(emails=(DRAFT.email,))) == {created.ticket_id}


async def test_when_every_answer_is_lost_the_outcome_is_unknown_and_the_key_finds_it_out(desk: Helpdesk) -> None:
    desk.sandbox.faults = Faults(plan=["drop_after_commit"] * 3)
    with pytest.raises(OutcomeUnknown) as raised:
        await desk.zendesk.create_ticket(DRAFT, KEY)
    assert raised.value.idempotency_key == KEY
    assert (await desk.zendesk.create_ticket(DRAFT, KEY)).replayed
    assert len(await found(desk, TicketQuery(emails=(DRAFT.email,)))) == 1


async def test_a_ticket_without_a_word_is_refused_in_zendesks_words(desk: Helpdesk) -> None:
    empty = TicketDraft("Nothing", " ", None, (), public=True, name=DRAFT.name, email=DRAFT.email)
    with pytest.raises(InvalidInput, match="Description: cannot be blank"):
        await desk.zendesk.create_ticket(empty, KEY)


# ----------------------------------------------------------------------------------------------------- changing


async def test_a_ticket_is_changed_in_all_that_is_asked_for_at_once(desk: Helpdesk) -> None:
    ticket, agent = some(desk, "open"), desk.company.agents[3]
    change = TicketChange(
        status="on_hold",
        priority="urgent",
        assignee=agent.email.upper(),
        add_tags=("VIP", ticket.tags[0]),
        remove_tags=(ticket.tags[-1].upper(),) if len(ticket.tags) > 1 else (),
        note="Asked the carrier.",
        version=version(ticket),
    )
    before = await thread(desk, ticket)
    after = await desk.zendesk.update_ticket(native(ticket), change, KEY)
    assert after == TicketState(ticket_id=ticket_id(ticket), status="on_hold", version=version(ticket, 1))
    got = await desk.zendesk.ticket(native(ticket), None)
    kept = ticket.tags[:-1] if len(ticket.tags) > 1 else ticket.tags
    assert (got.status, got.priority, got.assignee, got.tags, got.version) == (
        "on_hold",
        "urgent",
        agent.name,
        [*kept, "vip"],
        after.version,
    )
    assert await thread(desk, ticket) == [("agent", False, "Asked the carrier."), *before]
    assert desk.written(path(ticket)) == 1


async def test_what_is_not_to_change_stays_as_it_is(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    before, said = await desk.zendesk.ticket(native(ticket), None), await thread(desk, ticket)
    await desk.zendesk.update_ticket(native(ticket), TicketChange(priority="low"), KEY)
    changed = {"priority": "low", "updated_at": PRESENT, "version": version(ticket, 1)}
    assert await desk.zendesk.ticket(native(ticket), None) == before.model_copy(update=changed)
    assert await thread(desk, ticket) == said


async def test_a_ticket_can_be_taken_from_everybody(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    await desk.zendesk.update_ticket(native(ticket), TicketChange(assignee="none"), KEY)
    assert (await desk.zendesk.ticket(native(ticket), None)).assignee is None


async def test_only_what_is_to_change_is_sent_and_only_for_the_version_that_was_read() -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            sent.append(json.loads(request.content))
        return httpx.Response(200, json={"ticket": {**TICKET, "status": "open"}})

    await Zendesk(saying(answer)).update_ticket("5", TicketChange(status="pending", note="Wait."), KEY)
    assert sent == [
        {
            "ticket": {
                "status": "pending",
                "comment": {"body": "Wait.", "public": False},
                "metadata": {"backoffice_update": KEY},
                "safe_update": True,
                "updated_stamp": "2026-11-02T08:00:00Z",
            }
        }
    ]


async def test_a_note_is_kept_as_it_was_written_and_hidden_from_the_customer(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    await desk.zendesk.update_ticket(native(ticket), TicketChange(note=HOSTILE), KEY)
    assert (await thread(desk, ticket))[0] == ("agent", False, HOSTILE)


async def test_searches_see_at_once_what_was_changed(desk: Helpdesk) -> None:
    ticket, query = some(desk, "open"), TicketQuery(statuses=("solved",))
    before = await found(desk, query)
    await desk.zendesk.update_ticket(native(ticket), TicketChange(status="solved"), KEY)
    assert await found(desk, query) == {*before, ticket_id(ticket)}


async def test_a_search_need_not_see_yet_what_was_changed(desk: Helpdesk) -> None:
    ticket, query = some(desk, "open"), TicketQuery(text="Zeppelin")
    desk.sandbox.faults.stale_search = True
    await desk.zendesk.update_ticket(native(ticket), TicketChange(status="solved", note="Zeppelin"), KEY)
    assert await found(desk, query) == set()
    assert ticket_id(ticket) in await found(desk, TicketQuery(statuses=("open",)))
    assert (await desk.zendesk.ticket(native(ticket), None)).status == "solved"
    desk.sandbox.faults.stale_search = False
    desk.clock.advance(60)
    assert await found(desk, query) == {ticket_id(ticket)}


async def test_a_ticket_that_was_changed_since_is_left_alone(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    await desk.wire("PUT", f"tickets/{native(ticket)}", {"ticket": {"status": "pending"}})
    change = TicketChange(status="solved", version=version(ticket))
    with pytest.raises(Conflict, match=f"{native(ticket)} was changed: its version is {version(ticket, 1)}"):
        await desk.zendesk.update_ticket(native(ticket), change, KEY)
    assert (await desk.zendesk.ticket(native(ticket), None)).status == "pending"


@pytest.mark.parametrize("expected", [True, False])
async def test_what_somebody_else_changes_at_the_same_moment_is_not_overwritten(
    company: Company, expected: bool
) -> None:
    desk = helpdesk(company)
    ticket = some(desk, "open")
    other = helpdesk(company, access_token=ACCESS_TOKEN)
    other.sandbox = desk.sandbox

    class Interrupted(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.method == "PUT":
                await other.wire("PUT", f"tickets/{native(ticket)}", {"ticket": {"tags": ["theirs"]}})
            return await InProcess(desk.sandbox).handle_async_request(request)

    secrets = EnvironmentCredentials({"zendesk_access_token": ACCESS_TOKEN})
    zendesk = Zendesk(connect(ZENDESK, Interrupted(), secrets, base_url=URL, clock=desk.clock))
    change = TicketChange(add_tags=("ours",), version=version(ticket) if expected else None)
    with pytest.raises(Conflict, match="Safe Update prevented the update"):
        await zendesk.update_ticket(native(ticket), change, KEY)
    assert (await zendesk.ticket(native(ticket), None)).tags == ["theirs"]


@pytest.mark.parametrize("change", [TicketChange(status="open"), TicketChange(note="Too late.")])
async def test_a_closed_ticket_stays_closed(desk: Helpdesk, change: TicketChange) -> None:
    ticket = some(desk, "closed")
    with pytest.raises(Conflict, match="closed, for good"):
        await desk.zendesk.update_ticket(native(ticket), change, KEY)
    assert desk.written(path(ticket)) == 0


async def test_a_ticket_can_be_closed(desk: Helpdesk) -> None:
    ticket = some(desk, "solved")
    await desk.zendesk.update_ticket(native(ticket), TicketChange(status="closed"), KEY)
    with pytest.raises(Conflict):
        await desk.zendesk.update_ticket(native(ticket), TicketChange(status="open"), "another-key")


@pytest.mark.parametrize("email", ["nobody@northwind.example", 'x" role:"agent', AGENT_EMAIL + ".evil", "", "*"])
async def test_a_ticket_is_given_to_agents_only(desk: Helpdesk, email: str) -> None:
    ticket = some(desk, "open")
    with pytest.raises(InvalidInput, match="no agent has the address"):
        await desk.zendesk.update_ticket(native(ticket), TicketChange(assignee=email), KEY)
    assert desk.written(path(ticket)) == 0


async def test_a_customer_is_no_agent(desk: Helpdesk) -> None:
    ticket, customer = some(desk, "open"), desk.company.people[KEY_ACCOUNT]
    with pytest.raises(InvalidInput, match="no agent has the address"):
        await desk.zendesk.update_ticket(native(ticket), TicketChange(assignee=customer.email), KEY)


@pytest.mark.parametrize("number", ["1", "99999999", "9" * 400, "5/comments", "../users/200001", "me", ""])
async def test_what_is_no_ticket_is_not_changed(desk: Helpdesk, number: str) -> None:
    with pytest.raises(NotFound):
        await desk.zendesk.update_ticket(number, TicketChange(status="solved"), KEY)
    with pytest.raises(NotFound):
        await desk.zendesk.reply(number, Reply("Hello", "2026-11-01T00:00:00Z"), KEY)
    assert all(entry.method == "GET" for entry in desk.sandbox.requests)


async def test_a_change_whose_answer_is_lost_was_made_once(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    desk.sandbox.faults = Faults(plan=["ok", "drop_after_commit"])
    after = await desk.zendesk.update_ticket(native(ticket), TicketChange(status="pending", note="Once."), KEY)
    assert after == TicketState(ticket_id=ticket_id(ticket), status="pending", version=version(ticket, 1))
    assert [text for _, _, text in await thread(desk, ticket)].count("Once.") == 1


async def test_a_change_that_never_arrived_is_unknown_and_made_when_it_is_repeated(desk: Helpdesk) -> None:
    ticket, change = some(desk, "open"), TicketChange(note="Once.")
    desk.sandbox.faults = Faults(plan=["ok", "reset"])
    with pytest.raises(OutcomeUnknown):
        await desk.zendesk.update_ticket(native(ticket), change, KEY)
    with attempting(NOT_YET), pytest.raises(OutcomeUnknown, match="may still be carried out"):
        await desk.zendesk.update_ticket(native(ticket), change, KEY)
    assert "Once." not in [text for _, _, text in await thread(desk, ticket)]
    with attempting(LONG_AGO):
        await desk.zendesk.update_ticket(native(ticket), change, KEY)
        await desk.zendesk.update_ticket(native(ticket), change, KEY)
    assert [text for _, _, text in await thread(desk, ticket)].count("Once.") == 1


async def test_a_change_that_was_made_is_not_a_conflict_with_itself(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    change = TicketChange(status="solved", version=version(ticket))
    first = await desk.zendesk.update_ticket(native(ticket), change, KEY)
    with attempting(LONG_AGO):
        assert await desk.zendesk.update_ticket(native(ticket), change, KEY) == first
    assert desk.written(path(ticket)) == 1


async def test_an_earlier_write_is_looked_for_among_all_of_a_tickets_audits() -> None:
    def audit(number: int, custom: dict[str, str]) -> dict[str, Any]:
        at = "2026-11-02T08:00:00Z"
        return {"id": number, "created_at": at, "metadata": {"system": {}, "custom": custom}, "events": []}

    last = {"audits": [audit(3, {"backoffice_update": KEY})], "meta": {"has_more": False, "after_cursor": "z"}}
    pages = {
        None: {"audits": [audit(1, {})], "meta": {"has_more": True, "after_cursor": "a"}},
        "a": {"audits": [audit(2, {"backoffice_reply": KEY})], "meta": {"has_more": True, "after_cursor": "b"}},
        "b": last,
    }

    def answer(request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        is_audits = request.url.path.endswith("/audits")
        return httpx.Response(
            200, json=pages[request.url.params.get("page[after]")] if is_audits else {"ticket": TICKET}
        )

    with attempting(LONG_AGO):
        after = await Zendesk(saying(answer)).update_ticket("5", TicketChange(status="closed"), KEY)
    assert after == TicketState(ticket_id="zendesk:ticket:5", status="closed", version="2026-11-02T08:00:00Z")


@pytest.mark.parametrize("what", ["update", "reply"])
async def test_what_carried_the_key_before_it_was_used_is_not_what_is_looked_for(what: str) -> None:
    sent: list[Any] = []
    said = {"events": [{"id": 8, "type": "Comment"}], "metadata": {"custom": {f"backoffice_{what}": KEY}}}
    old = {"id": 3, "created_at": "2026-10-30T08:00:00Z", **said}
    new = {"id": 4, "created_at": "2026-11-03T08:00:00Z", **said}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            sent.append(json.loads(request.content))
        if request.url.path.endswith("/audits"):
            return httpx.Response(200, json={"audits": [old], "meta": {"has_more": False}})
        return httpx.Response(200, json={"ticket": {**TICKET, "status": "open"}, "audit": new})

    zendesk = Zendesk(saying(answer))
    with attempting(LONG_AGO):
        if what == "update":
            await zendesk.update_ticket("5", TicketChange(status="pending"), KEY)
        else:
            assert not (await zendesk.reply("5", Reply("Hello", "2026-11-02T08:00:00Z"), KEY)).replayed
    assert len(sent) == 1


async def test_the_sandbox_writes_in_the_present_and_never_twice_at_the_same_time(company: Company) -> None:
    began = datetime.now(UTC)
    sandbox = zendesk_sandbox(company)
    secrets = EnvironmentCredentials({"zendesk_access_token": ACCESS_TOKEN})
    zendesk = Zendesk(connect(ZENDESK, InProcess(sandbox), secrets, base_url=URL, clock=ManualClock()))
    opened = next(ticket for ticket in company.tickets if ticket.status == "open")
    versions = [
        (await zendesk.update_ticket(native(opened), TicketChange(note=f"{n}"), f"key-{n:08}")).version
        for n in range(3)
    ]
    times = [datetime.fromisoformat(version) for version in versions]
    assert times[0] >= began.replace(microsecond=0)
    assert all(later - earlier >= timedelta(seconds=1) for earlier, later in pairwise(times))


async def test_a_ticket_that_is_changed_too_often_is_locked_and_no_other_is(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    for n in range(30):
        await desk.zendesk.update_ticket(native(ticket), TicketChange(note=f"{n}"), f"key-{n:08}")
    with pytest.raises(Conflict, match=r"30 updates of a ticket in 10 minutes\. Try again in 600 s") as raised:
        await desk.zendesk.update_ticket(native(ticket), TicketChange(note="30"), KEY)
    assert raised.value.retry_after == 600
    another = some(desk, "pending")
    await desk.zendesk.update_ticket(native(another), TicketChange(note="At once."), KEY)
    desk.vendors_clock.advance(600)
    await desk.zendesk.update_ticket(native(ticket), TicketChange(note="30"), KEY)


@pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
async def test_a_write_whose_answer_cannot_be_read_is_looked_for(desk: Helpdesk, fault: Any) -> None:
    ticket = some(desk, "open")
    desk.sandbox.faults = Faults(plan=["ok", fault])  # which is instead of the write
    with pytest.raises(OutcomeUnknown):
        await desk.zendesk.update_ticket(native(ticket), TicketChange(note="Once."), KEY)
    desk.sandbox.faults = Faults(plan=[fault])
    with pytest.raises(OutcomeUnknown):
        await desk.zendesk.create_ticket(DRAFT, KEY)


# ----------------------------------------------------------------------------------------------------- replying


async def test_a_reply_is_seen_by_the_customer_and_sets_the_status_after_it(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    before = await thread(desk, ticket)
    reply = Reply("Your parcel is on its way.", version(ticket), status_after="pending")
    number = (10_001 + ticket.number) * 1_000 + len(before)
    assert await desk.zendesk.reply(native(ticket), reply, KEY) == Written(
        Sent(message_id=str(number), sent_at=PRESENT, status="pending"), replayed=False
    )
    assert await thread(desk, ticket) == [("agent", True, "Your parcel is on its way."), *before]
    assert (await desk.zendesk.ticket(native(ticket), None)).status == "pending"


async def test_a_reply_is_sent_for_the_version_that_was_shown_and_leaves_the_status() -> None:
    sent: list[Any] = []
    audit = {"id": 9, "created_at": "2026-11-03T08:00:00Z", "events": [{"id": 8, "type": "Comment"}]}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            sent.append(json.loads(request.content))
        return httpx.Response(200, json={"ticket": {**TICKET, "status": "open"}, "audit": audit})

    written = await Zendesk(saying(answer)).reply("5", Reply(HOSTILE, "2026-11-02T08:00:00Z"), KEY)
    at = datetime(2026, 11, 3, 8, tzinfo=UTC)
    assert written == Written(Sent(message_id="8", sent_at=at, status="open"), replayed=False)
    assert sent == [
        {
            "ticket": {
                "comment": {"body": HOSTILE, "public": True},
                "metadata": {"backoffice_reply": KEY},
                "safe_update": True,
                "updated_stamp": "2026-11-02T08:00:00Z",
            }
        }
    ]


@pytest.mark.parametrize("shown", ["2026-11-01T00:00:00Z", "", "now", '"'])
async def test_a_reply_to_what_was_not_shown_is_not_sent(desk: Helpdesk, shown: str) -> None:
    ticket = some(desk, "open")
    with pytest.raises(Conflict, match="was changed"):
        await desk.zendesk.reply(native(ticket), Reply("Hello", shown), KEY)
    assert desk.written(path(ticket)) == 0


@pytest.mark.parametrize("text", ["Hello {{ticket.requester.name}}", "{% if true %}x{% endif %}", "{{{x}}}"])
async def test_a_customer_is_not_told_what_zendesk_would_put_in_a_placeholder(desk: Helpdesk, text: str) -> None:
    ticket = some(desk, "open")
    with pytest.raises(InvalidInput, match="Zendesk puts ticket data there"):
        await desk.zendesk.reply(native(ticket), Reply(text, version(ticket)), KEY)
    with pytest.raises(InvalidInput, match="Zendesk puts ticket data there"):
        await desk.zendesk.create_ticket(replace(DRAFT, body=text), KEY)
    assert all(entry.method == "GET" for entry in desk.sandbox.requests)
    note = await desk.zendesk.create_ticket(replace(DRAFT, body=text, public=False), KEY)
    got = await desk.zendesk.ticket(note.ticket_id.rpartition(":")[2], CommentPage())
    assert [(comment.public, comment.text) for comment in got.comments] == [(False, text)]


async def test_a_closed_ticket_takes_no_reply(desk: Helpdesk) -> None:
    ticket = some(desk, "closed")
    with pytest.raises(Conflict, match="closed, for good"):
        await desk.zendesk.reply(native(ticket), Reply("Hello", version(ticket)), KEY)


async def test_a_reply_whose_answer_is_lost_was_sent_once(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    said = await thread(desk, ticket)
    desk.sandbox.faults = Faults(plan=["ok", "drop_after_commit"])
    reply = Reply("Once.", version(ticket), status_after="solved")
    first = await desk.zendesk.reply(native(ticket), reply, KEY)
    assert (first.replayed, first.value.status) == (False, "solved")
    with attempting(LONG_AGO):
        assert await desk.zendesk.reply(native(ticket), reply, KEY) == Written(first.value, replayed=True)
    assert await thread(desk, ticket) == [("agent", True, "Once."), *said]
    assert desk.written(path(ticket)) == 1


async def test_a_reply_that_never_arrived_is_unknown_and_not_sent_again_before_it_is_lost(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    reply = Reply("Once.", version(ticket))
    desk.sandbox.faults = Faults(plan=["ok", "reset"])
    with pytest.raises(OutcomeUnknown):
        await desk.zendesk.reply(native(ticket), reply, KEY)
    with attempting(NOT_YET), pytest.raises(OutcomeUnknown, match="may still be carried out"):
        await desk.zendesk.reply(native(ticket), reply, KEY)
    with attempting(LONG_AGO):
        assert not (await desk.zendesk.reply(native(ticket), reply, KEY)).replayed
    assert [text for _, _, text in await thread(desk, ticket)].count("Once.") == 1


async def test_when_nobody_can_look_the_reply_is_unknown(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    desk.sandbox.faults = Faults(plan=["ok", "drop_after_commit", "error", "error", "error"])
    with pytest.raises(OutcomeUnknown):
        await desk.zendesk.reply(native(ticket), Reply("Once.", version(ticket)), KEY)


async def test_a_change_and_a_reply_may_have_the_same_key(desk: Helpdesk) -> None:
    ticket = some(desk, "open")
    after = await desk.zendesk.update_ticket(native(ticket), TicketChange(note="A note."), KEY)
    with attempting(LONG_AGO):
        sent = await desk.zendesk.reply(native(ticket), Reply("A reply.", after.version), KEY)
    assert not sent.replayed
    assert [entry[1:] for entry in (await thread(desk, ticket))[:2]] == [(True, "A reply."), (False, "A note.")]


# --------------------------------------------------------------------------------------------------- preferences


async def test_a_language_is_set_and_seen_at_once(desk: Helpdesk) -> None:
    person = next(p for p in desk.company.people if p.language == "en" and "helpdesk" in p.systems)
    [before] = await desk.zendesk.contacts([str(200_001 + person.number)])
    changed = await desk.zendesk.change_preferences(before, PreferenceChanges(language="pt"), "asked by phone")
    assert changed == before.model_copy(update={"language": "pt", "updated_at": PRESENT})
    assert await desk.zendesk.contacts([before.ref.native]) == [changed]
    assert (await desk.wire("GET", f"users/{before.ref.native}"))["user"]["locale"] == "pt-BR"


async def test_a_language_that_is_set_already_is_left_as_it_is(desk: Helpdesk) -> None:
    person = next(p for p in desk.company.people if p.language == "pt" and "helpdesk" in p.systems)
    [before] = await desk.zendesk.contacts([str(200_001 + person.number)])
    for changes in (PreferenceChanges(language="pt"), PreferenceChanges(email_marketing=False, sms_marketing=True)):
        assert await desk.zendesk.change_preferences(before, changes, "") == before
    assert all(entry.method == "GET" for entry in desk.sandbox.requests)


async def test_setting_a_language_twice_changes_nothing_more_when_the_answer_is_lost(desk: Helpdesk) -> None:
    who = user(KEY_ACCOUNT)
    language = "ja" if desk.company.people[KEY_ACCOUNT].language != "ja" else "de"
    await desk.zendesk.change_preferences(who, PreferenceChanges(language="en"), "")
    desk.sandbox.faults = Faults(plan=["ok", "ok", "drop_after_commit"])
    changed = await desk.zendesk.change_preferences(who, PreferenceChanges(language=language), "")
    assert changed.language == language


async def test_a_language_that_the_account_does_not_have_is_refused(desk: Helpdesk) -> None:
    with pytest.raises(InvalidInput, match=r"no locale for 'xx'. It has en-US, de, fr, pt-BR, ja"):
        await desk.zendesk.change_preferences(user(KEY_ACCOUNT), PreferenceChanges(language="xx"), "")


@pytest.mark.parametrize(
    ("has", "locale"), [(["en-US", "es-419", "es"], "es"), (["en-US", "ES-mx", "es-419"], "ES-mx"), (["est"], None)]
)
async def test_the_language_itself_is_preferred_to_one_of_its_countries(has: list[str], locale: str | None) -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            sent.append(json.loads(request.content))
            return httpx.Response(200, json={"user": {**USER, "locale": locale}})
        if request.url.path == "/api/v2/locales":
            return httpx.Response(200, json={"locales": [{"locale": name} for name in has]})
        return httpx.Response(200, json={"users": [USER], "organizations": [{"id": 3, "name": "Engines"}]})

    who, changes = Contact(ref=Ref("zendesk", "user", "7"), name=""), PreferenceChanges(language="es")
    if locale is None:
        with pytest.raises(InvalidInput):
            await Zendesk(saying(answer)).change_preferences(who, changes, "")
        return
    changed = await Zendesk(saying(answer)).change_preferences(who, changes, "")
    assert (changed.language, changed.company) == ("es", "Engines")
    assert sent == [{"user": {"locale": locale}}]


@pytest.mark.parametrize("number", ["1", "me", "9" * 400, "200001/../200002"])
async def test_who_is_nobody_has_no_language(desk: Helpdesk, number: str) -> None:
    nobody = Contact(ref=Ref("zendesk", "user", number), name="")
    with pytest.raises(NotFound, match="no user"):
        await desk.zendesk.change_preferences(nobody, PreferenceChanges(language="de"), "")
    assert all(entry.method == "GET" for entry in desk.sandbox.requests)
