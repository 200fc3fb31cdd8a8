"""Tickets in Zendesk, opened and changed: each once and as it was meant."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import pytest
from tests.customer.helpdesk import (
    DRAFT,
    HOSTILE,
    KEY,
    LONG_AGO,
    NOT_YET,
    PRESENT,
    TICKET,
    TODAY,
    URL,
    Helpdesk,
    found,
    helpdesk,
    native,
    path,
    saying,
    some,
    thread,
    ticket_id,
    version,
)
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.zendesk import ZENDESK, Zendesk, zendesk_sandbox
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN, AGENT_EMAIL
from backoffice_customer.models import CreatedTicket, TicketState
from backoffice_customer.ports import CommentPage, Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def desk(company: Company) -> Helpdesk:
    """With a token that is there already, so that faults meet what is written."""
    return helpdesk(company, access_token=ACCESS_TOKEN)


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
