"""HubSpot's conversations: who a reply goes to, and messages that are longer than HubSpot gives them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.customer.crm import OBJECTS, PIPELINES, TODAY, Crm, client, contact, new_crm, scripted, ticket_id

from backoffice_customer.backends.hubspot import HubSpotTickets
from backoffice_customer.backends.hubspot.inbox import LONGEST
from backoffice_customer.backends.hubspot.pipelines import PIPELINES as COMPANYS_PIPELINES
from backoffice_customer.models import EventKind
from backoffice_customer.ports import CommentPage, Reply, Span, TicketChange
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import Conflict, MalformedAnswer, OutcomeUnknown
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.company import Ticket as Inquiry
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

KEY = "key-of-this-call"
THREADS = "/conversations/v3/conversations/threads"
MESSAGES = f"{THREADS}/5/messages"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY, customers=200)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


def answered(company: Company) -> Inquiry:
    """A ticket with a conversation in which an agent has written."""
    return next(
        inquiry
        for inquiry in company.inquiries
        if inquiry.number % 2 == 0 and any(c.public and c.agent is not None for c in company.thread(inquiry))
    )


# ------------------------------------------------------------------------------------------------- who is answered


def sender(email: str, name: str | None = None) -> dict[str, Any]:
    known = {} if name is None else {"name": name}
    return {**known, "deliveryIdentifier": {"type": "HS_EMAIL_ADDRESS", "value": email}}


def message(number: int, *senders: dict[str, Any], **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": f"m{number}",
        "type": "MESSAGE",
        "direction": "INCOMING",
        "senders": list(senders),
        "text": "hm",
        "createdAt": f"2026-10-01T12:00:{number:02d}Z",
        "createdBy": "V-1",
        "channelId": "1002",
        "channelAccountId": "1",
    }
    return {**base, **more}


ANN, BOB = sender("Ann@mail.example", "Ann"), sender("bob@mail.example", "Bob")
OPAQUE = {"deliveryIdentifier": {"type": "CHANNEL_SPECIFIC_OPAQUE_ID", "value": "ann@mail.example"}}
OUTGOING = message(9, {"actorId": "A-7001"}, direction="OUTGOING", text="Hello")
MODIFIED = "2026-10-01T12:00:00Z"


class Wire(httpx.AsyncBaseTransport):
    """A ticket that is associated with Ann, and its conversation. `sent` is what was written."""

    def __init__(self, *said: dict[str, Any], contacts: Mapping[str, str] | None = None) -> None:
        self.said = list(said)
        self.contacts = {"ann@mail.example": "101"} if contacts is None else contacts
        self.sent: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path == f"{OBJECTS}/contacts/batch/read":
            return httpx.Response(200, json={"results": self._contacts(json.loads(request.content))})
        if request.method == "POST":
            self.sent.append(json.loads(request.content))
            return httpx.Response(201, json=OUTGOING)
        ticket = {
            "id": "7",
            "properties": {"createdate": MODIFIED, "hs_lastmodifieddate": MODIFIED},
            "associations": {"contacts": {"results": [{"id": "101"}]}},
        }
        answers: dict[str, Any] = {
            f"{OBJECTS}/tickets/7": ticket,
            PIPELINES: {"results": COMPANYS_PIPELINES},
            THREADS: {"results": [{"id": "5", "archived": False, "spam": False, "createdAt": MODIFIED}]},
            MESSAGES: {"results": self.said},
        }
        return await scripted(answers).handle_async_request(request)

    def _contacts(self, wanted: Any) -> list[dict[str, Any]]:
        ids = {row["id"] for row in wanted["inputs"]}
        return [
            {"id": native, "properties": {"email": email, "firstname": f"Contact {native}"}, "updatedAt": MODIFIED}
            for email, native in self.contacts.items()
            if ids & {native, email}
        ]


@pytest.mark.parametrize(
    ("said", "contacts", "customer_id", "requester", "address"),
    [
        ([message(1, ANN)], {"ann@mail.example": "101"}, "hubspot:contact:101", "Contact 101", "Ann@mail.example"),
        (
            [OUTGOING, message(2, BOB), message(1, ANN)],
            {"ann@mail.example": "101", "bob@mail.example": "102"},
            "hubspot:contact:102",
            "Contact 102",
            "bob@mail.example",
        ),
        ([message(2, BOB), message(1, ANN)], {"ann@mail.example": "101"}, None, "Bob", "bob@mail.example"),
        ([message(1, sender("x@mail.example"))], {}, None, None, "x@mail.example"),
        ([message(2, OPAQUE), message(1, OPAQUE, BOB, ANN)], {}, None, "Bob", "bob@mail.example"),
    ],
)
async def test_a_reply_goes_to_the_address_that_the_ticket_shows_and_to_no_other(
    said: list[dict[str, Any]],
    contacts: Mapping[str, str],
    customer_id: str | None,
    requester: str | None,
    address: str,
) -> None:
    wire = Wire(*said, contacts=contacts)
    tickets = HubSpotTickets(client(wire, options={"reply_as": "A-7001"}))
    shown = await tickets.ticket("7", None)
    assert (shown.customer_id, shown.requester, shown.email) == (customer_id, requester, address.lower())
    await tickets.reply("7", Reply("Hello", shown.version), KEY)
    (sent,) = wire.sent
    assert [row["deliveryIdentifiers"] for row in sent["recipients"]] == [
        [{"type": "HS_EMAIL_ADDRESS", "value": address}]
    ]


async def test_who_wrote_after_the_ticket_was_shown_is_not_sent_what_was_meant_for_another() -> None:
    """Whether or not HubSpot takes that for a change of the ticket."""
    wire = Wire(message(1, ANN))
    tickets = HubSpotTickets(client(wire, options={"reply_as": "A-7001"}))
    shown = await tickets.ticket("7", None)
    for later in (message(2, BOB), message(2, ANN), message(2, OPAQUE, BOB)):
        wire.said = [later, message(1, ANN)]
        with pytest.raises(Conflict, match="ticket 7 was changed since version"):
            await tickets.reply("7", Reply("Hello", shown.version), KEY)
    assert wire.sent == []


async def test_a_version_that_does_not_say_who_would_be_answered_is_not_enough_to_answer() -> None:
    wire = Wire(message(1, ANN))
    with pytest.raises(Conflict, match="was changed since version"):
        await HubSpotTickets(client(wire, options={"reply_as": "A-7001"})).reply("7", Reply("Hello", MODIFIED), KEY)
    assert wire.sent == []


async def test_where_nobody_can_be_answered_the_ticket_shows_its_contact() -> None:
    for said in ([], [message(1, OPAQUE)], [OUTGOING]):
        shown = await HubSpotTickets(client(Wire(*said))).ticket("7", None)
        assert (shown.requester, shown.email, shown.version) == ("Contact 101", "ann@mail.example", MODIFIED)


async def test_a_change_keeps_to_whom_its_version_would_answer(crm: Crm) -> None:
    native_id = ticket_id(answered(crm.company))
    seen = await crm.tickets.ticket(native_id, None)
    first = await crm.tickets.update_ticket(native_id, TicketChange(priority="low", version=seen.version), KEY)
    second = await crm.tickets.update_ticket(native_id, TicketChange(note="x", version=first.version), KEY)
    assert second.version == (await crm.tickets.ticket(native_id, None)).version
    await crm.tickets.reply(native_id, Reply("Hello", second.version), KEY)


@pytest.mark.parametrize(
    "wrong",
    [{"id": 7}, {"direction": "UP"}, {"createdAt": "then"}, {"senders": None}, {"senders": ["x"]}, {"text": ["x"]}],
)
async def test_a_conversation_in_another_shape_is_not_guessed_at(wrong: dict[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        await HubSpotTickets(client(Wire(message(1, ANN, **wrong)))).ticket("7", None)


async def test_a_reply_is_in_the_customers_history_at_once(crm: Crm) -> None:
    inquiry = answered(crm.company)
    emails: frozenset[EventKind] = frozenset({"email"})
    before = await crm.all_events([contact(inquiry.person)], limit=50, kinds=emails)
    shown = await crm.tickets.ticket(ticket_id(inquiry), None)
    await crm.tickets.reply(ticket_id(inquiry), Reply("Hello", shown.version), KEY)
    after = await crm.hubspot.events([contact(inquiry.person)], emails, Span(), None, 50)
    assert [event.summary for event in after.items] == ["Hello", *(event.summary for event in before)]


async def test_a_reply_that_may_have_been_sent_is_not_said_to_be_impossible() -> None:
    """Its conversation may have been archived since."""
    answers: dict[str, Any] = {THREADS: {"results": []}, PIPELINES: {"results": COMPANYS_PIPELINES}}
    answers[f"{OBJECTS}/tickets/7"] = {
        "id": "7",
        "properties": {"createdate": MODIFIED, "hs_lastmodifieddate": MODIFIED},
    }
    tickets = HubSpotTickets(client(scripted(answers)))
    with attempting(datetime.now(UTC)), pytest.raises(OutcomeUnknown, match="may still be carried out"):
        await tickets.reply("7", Reply("Hello", f"{MODIFIED}/m1"), KEY)
    with pytest.raises(Conflict, match="has no conversation"):
        await tickets.reply("7", Reply("Hello", f"{MODIFIED}/m1"), KEY)


# --------------------------------------------------------------------------------------------------- long messages

LONG = "All of this is meant. " * (LONGEST // 10)


async def test_a_long_reply_whose_answer_was_lost_is_found_by_all_of_it(crm: Crm) -> None:
    native_id = ticket_id(answered(crm.company))
    shown = await crm.tickets.ticket(native_id, None)
    crm.sandbox.faults = Faults(plan=["ok", "ok", "ok", "drop_after_commit"])
    reply = Reply(LONG, shown.version)
    written = await crm.tickets.reply(native_id, reply, KEY)
    with attempting(datetime.now(UTC)):
        again = await crm.tickets.reply(native_id, reply, KEY)
    assert (again.value.message_id, again.replayed) == (written.value.message_id, True)
    with attempting(datetime.now(UTC)), pytest.raises(OutcomeUnknown):
        await crm.tickets.reply(native_id, Reply(LONG + "But this is new.", shown.version), KEY)
    assert len(crm.wrote) == 1


async def test_a_long_message_says_that_it_is_cut(crm: Crm) -> None:
    native_id = ticket_id(answered(crm.company))
    shown = await crm.tickets.ticket(native_id, None)
    await crm.tickets.reply(native_id, Reply(LONG, shown.version), KEY)
    ticket = await crm.tickets.ticket(native_id, CommentPage(limit=2, max_chars=8_000))
    assert [(len(comment.text), comment.truncated) for comment in ticket.comments] == [
        (LONGEST, True),
        (len(ticket.comments[1].text), None),
    ]


async def test_a_text_of_which_only_the_beginning_is_read_says_so() -> None:
    html = "<p>seen</p>" + "<i></i>" * 10_000 + "<p>too late</p>"
    wire = Wire(message(2, ANN, text="", richText=html), message(1, ANN, text=None, richText="<p>whole</p>"))
    answers: dict[str, Any] = {f"{OBJECTS}/notes/search": {"results": [], "total": 0}}

    class Noteless(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answering = scripted(answers) if request.url.path in answers else wire
            return await answering.handle_async_request(request)

    ticket = await HubSpotTickets(client(Noteless())).ticket("7", CommentPage())
    assert [(comment.text, comment.truncated) for comment in ticket.comments] == [("seen", True), ("whole", None)]


@pytest.mark.parametrize(("age", "found"), [(timedelta(seconds=4), True), (timedelta(seconds=90), False)])
async def test_only_a_message_of_the_attempt_or_later_is_taken_for_its_reply(age: timedelta, found: bool) -> None:
    began = datetime.now(UTC)
    ours = {**OUTGOING, "id": "m3", "createdAt": (began - age).isoformat()}
    tickets = HubSpotTickets(client(Wire(ours, message(1, ANN))))
    with attempting(began):
        if found:
            assert (await tickets.reply("7", Reply("Hello", "any"), KEY)).value.message_id == "hubspot:message:m3"
        else:
            with pytest.raises(OutcomeUnknown):
                await tickets.reply("7", Reply("Hello", "any"), KEY)
