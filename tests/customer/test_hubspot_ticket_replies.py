"""Tickets in HubSpot, answered: who is sent what by whom, and that it is sent once."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.customer.crm import (
    KEY,
    OBJECTS,
    PIPELINES,
    TODAY,
    Crm,
    client,
    contact,
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
from backoffice_customer.ports import CommentPage, Reply, TicketChange, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, OutcomeUnknown, RateLimited
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio

THREADS = "/conversations/v3/conversations/threads"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY, customers=200)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


async def test_a_reply_is_what_the_customer_sees_at_once(crm: Crm) -> None:
    inquiry = with_thread(crm.company, answered=True)
    before = await whole(crm, ticket_id(inquiry))
    written = await crm.tickets.reply(ticket_id(inquiry), Reply("Dear customer,\n\nit is *sent*.", before.version), KEY)
    after = await whole(crm, ticket_id(inquiry))
    newest, *others = after.comments
    assert (newest.public, newest.role, newest.text) == (True, "agent", "Dear customer,\n\nit is *sent*.")
    assert (others, after.status) == (before.comments, before.status)
    assert written.value.model_dump() == {
        "message_id": f"hubspot:message:{newest.id}",
        "sent_at": newest.at,
        "status": before.status,
    }
    assert written.replayed is False


async def test_a_reply_can_change_the_status(crm: Crm) -> None:
    inquiry = with_thread(crm.company, answered=True)
    before = await whole(crm, ticket_id(inquiry))
    written = await crm.tickets.reply(ticket_id(inquiry), Reply("Done?", before.version, "pending"), KEY)
    assert (written.value.status, (await whole(crm, ticket_id(inquiry))).status) == ("pending", "pending")


async def test_a_reply_goes_to_who_wrote_last_on_the_channel_they_wrote_on_from_who_answered_last(crm: Crm) -> None:
    inquiry = with_thread(crm.company, answered=True)
    person = crm.company.people[inquiry.person]
    agent = inquiry.number % len(crm.company.agents)
    before = await whole(crm, ticket_id(inquiry))
    sent: list[dict[str, Any]] = []

    class Seen(InProcess):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path.endswith("/messages") and request.method == "POST":
                sent.append(json.loads(request.content))
            return await super().handle_async_request(request)

    await HubSpotTickets(client(Seen(crm.sandbox))).reply(ticket_id(inquiry), Reply("Hello <b>", before.version), KEY)
    (message,) = sent
    said = [comment for comment in crm.company.thread(inquiry) if comment.public]
    last = max(place for place, comment in enumerate(said) if comment.agent is None)
    assert message == {
        "type": "MESSAGE",
        "text": "Hello <b>",
        "richText": "<p>Hello &lt;b&gt;</p>",
        "attachments": [],
        "recipients": [
            {
                "actorId": f"V-{native(person.number)}",
                "name": person.name,
                "recipientField": "TO",
                "deliveryIdentifiers": [{"type": "HS_EMAIL_ADDRESS", "value": person.email}],
            }
        ],
        "senderActorId": f"A-{7001 + agent}",
        "channelId": "1002",
        "channelAccountId": "5501",
        "subject": inquiry.subject if last == 0 else f"Re: {inquiry.subject}",
    }


async def test_who_is_configured_signs(crm: Crm) -> None:
    inquiry = with_thread(crm.company, answered=True)
    before = await whole(crm, ticket_id(inquiry))
    tickets = HubSpotTickets(client(InProcess(crm.sandbox), options={"reply_as": "A-7003"}))
    await tickets.reply(ticket_id(inquiry), Reply("Hello", before.version), KEY)
    after = await tickets.ticket(ticket_id(inquiry), CommentPage())
    assert after.comments[0].author == crm.company.agents[2].name


async def test_a_ticket_without_a_conversation_cannot_be_answered(crm: Crm) -> None:
    native_id = ticket_id(without_thread(crm.company))
    before = await whole(crm, native_id)
    with pytest.raises(Conflict, match=f"ticket {native_id} has no conversation that could be answered in"):
        await crm.tickets.reply(native_id, Reply("Hello", before.version, "pending"), KEY)
    assert (await whole(crm, native_id), crm.wrote) == (before, [])


async def test_a_reply_meant_for_an_older_version_is_a_conflict_and_nobody_is_sent_anything(crm: Crm) -> None:
    native_id = ticket_id(with_thread(crm.company, answered=True))
    seen = await whole(crm, native_id)
    await crm.tickets.update_ticket(native_id, TicketChange(note="Do not answer!"), KEY)
    now = await whole(crm, native_id)
    for status in (None, "pending"):
        with pytest.raises(Conflict, match="was changed since version"):
            await crm.tickets.reply(native_id, Reply("Hello", seen.version, status), KEY)
    assert await whole(crm, native_id) == now


async def test_a_status_that_is_not_there_is_refused_before_anything_is_sent(crm: Crm) -> None:
    inquiry = next(i for i in crm.company.inquiries if i.number % 2 == 0)
    before = await whole(crm, ticket_id(inquiry))
    with pytest.raises(InvalidInput, match="no stage for 'on_hold'"):
        await crm.tickets.reply(ticket_id(inquiry), Reply("Hello", before.version, "on_hold"), KEY)
    assert crm.wrote == []


async def test_a_reply_whose_answer_was_lost_is_found_and_not_sent_again(crm: Crm) -> None:
    native_id = ticket_id(with_thread(crm.company, answered=True))
    before = await whole(crm, native_id)
    # The ticket, its threads and what was said are read; then it is sent.
    crm.sandbox.faults = Faults(plan=["ok", "ok", "ok", "drop_after_commit"])
    written = await crm.tickets.reply(native_id, Reply("Only once", before.version), KEY)
    said = [comment.text for comment in (await whole(crm, native_id)).comments]
    assert (said.count("Only once"), written.replayed) == (1, False)
    assert [call.rpartition(" ")[2] for call in crm.wrote] == ["0"]


async def test_a_reply_that_may_be_on_its_way_is_not_sent_again_without_looking(crm: Crm) -> None:
    native_id = ticket_id(with_thread(crm.company, answered=True))
    before = await whole(crm, native_id)
    crm.sandbox.faults = Faults(plan=["ok", "ok", "ok", "reset"])
    reply = Reply("Only once", before.version)
    with pytest.raises(OutcomeUnknown):
        await crm.tickets.reply(native_id, reply, KEY)
    with attempting(datetime.now(UTC)), pytest.raises(OutcomeUnknown, match="may still be carried out"):
        await crm.tickets.reply(native_id, reply, KEY)
    with attempting(long_ago()):
        await crm.tickets.reply(native_id, reply, KEY)
        again = await crm.tickets.reply(native_id, reply, KEY)
    said = [comment.text for comment in (await whole(crm, native_id)).comments]
    assert (said.count("Only once"), again.replayed) == (1, True)
    assert [call.rpartition(" ")[2] for call in crm.wrote] == ["0", "201"]


async def test_a_repeated_reply_with_a_status_is_not_a_conflict_with_itself(crm: Crm) -> None:
    native_id = ticket_id(with_thread(crm.company, answered=True))
    before = await whole(crm, native_id)
    # The message is sent; whether, cannot be seen; so that the status is not set.
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", "ok", "ok", "drop_after_commit", *["error"] * 3]})
    reply = Reply("Only once", before.version, "pending")
    with pytest.raises(OutcomeUnknown):
        await crm.tickets.reply(native_id, reply, KEY)
    with attempting(datetime.now(UTC)):
        again = await crm.tickets.reply(native_id, reply, KEY)
    after = await whole(crm, native_id)
    assert ([comment.text for comment in after.comments].count("Only once"), after.status) == (1, "pending")
    assert (again.value.status, again.replayed) == ("pending", True)


class Unsending(InProcess):
    """Every message is refused for now."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "POST" and request.url.path.endswith("/messages"):
            return httpx.Response(429, json={"message": "Slow down", "policyName": "DAILY"})
        return await super().handle_async_request(request)


async def test_a_reply_that_is_refused_leaves_the_status_and_can_be_repeated(crm: Crm) -> None:
    native_id = ticket_id(with_thread(crm.company, answered=True))
    before = await whole(crm, native_id)
    reply = Reply("Solved!", before.version, "solved")
    with pytest.raises(BackofficeError, match="Slow down"):
        await HubSpotTickets(client(Unsending(crm.sandbox))).reply(native_id, reply, KEY)
    assert (await whole(crm, native_id), crm.wrote) == (before, [])
    written = await crm.tickets.reply(native_id, reply, KEY)
    after = await whole(crm, native_id)
    assert (after.status, after.comments[0].text, written.value.status) == ("solved", "Solved!", "solved")


@pytest.mark.parametrize("fault", ["throttle", "error", "reset", "malformed"])
async def test_a_reply_that_was_sent_is_said_to_be_whatever_becomes_of_the_status(crm: Crm, fault: str) -> None:
    native_id = ticket_id(with_thread(crm.company, answered=True))
    before = await whole(crm, native_id)
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", "ok", "ok", "ok", *[fault] * 3]})
    written = await crm.tickets.reply(native_id, Reply("Sent!", before.version, "solved"), KEY)
    crm.sandbox.faults = Faults()
    newest = (await whole(crm, native_id)).comments[0]
    assert (written.value.message_id, written.value.status) == (f"hubspot:message:{newest.id}", None)
    with attempting(datetime.now(UTC)):
        again = await crm.tickets.reply(native_id, Reply("Sent!", before.version, "solved"), KEY)
    after = await whole(crm, native_id)
    assert [comment.text for comment in after.comments].count("Sent!") == 1
    assert (again.value.message_id, again.value.status, after.status) == (written.value.message_id, "solved", "solved")


async def test_a_repeated_reply_sets_no_status_when_somebody_has_written_since() -> None:
    asked: list[httpx.Request] = []
    ours = {**said("OUTGOING"), "id": "m2", "text": "Solved?", "createdAt": datetime.now(UTC).isoformat()}
    answers: dict[str, Any] = {
        f"{OBJECTS}/tickets/7": {**TICKET, "properties": {**TICKET["properties"], "hs_pipeline": "0"}},
        PIPELINES: {"results": COMPANYS_PIPELINES},
        THREADS: {"results": [THREAD]},
        f"{THREADS}/5/messages": {"results": [said("INCOMING", VISITOR), ours]},
    }
    with attempting(datetime.now(UTC)):
        written = await HubSpotTickets(client(scripted(answers, asked=asked))).reply(
            "7", Reply("Solved?", VERSION, "solved"), KEY
        )
    assert (written.value.message_id, written.value.status) == ("hubspot:message:m2", "open")
    assert {request.method for request in asked} == {"GET"}


async def test_a_reply_is_found_in_whichever_conversation_it_was_sent() -> None:
    asked: list[httpx.Request] = []
    newer = {**THREAD, "id": "6", "latestMessageTimestamp": "2026-10-03T12:00:00Z"}
    ours = {**said("OUTGOING"), "id": "m", "text": "Hello  you", "createdAt": datetime.now(UTC).isoformat()}
    answers: dict[str, Any] = {
        f"{OBJECTS}/tickets/7": TICKET,
        PIPELINES: {"results": []},
        THREADS: {"results": [THREAD, newer]},
        f"{THREADS}/6/messages": {"results": [said("INCOMING", VISITOR)]},
        f"{THREADS}/5/messages": {"results": [ours, said("INCOMING", VISITOR)]},
    }
    with attempting(datetime.now(UTC)):
        written = await HubSpotTickets(client(scripted(answers, asked=asked))).reply(
            "7", Reply("Hello\n\nyou", "an older version"), KEY
        )
    assert (written.value.message_id, written.replayed) == ("hubspot:message:m", True)
    assert {request.method for request in asked} == {"GET"}


async def test_a_reply_that_is_refused_for_now_was_not_sent(crm: Crm) -> None:
    native_id = ticket_id(with_thread(crm.company, answered=True))
    before = await whole(crm, native_id)
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", "ok", "ok", *["throttle"] * 3]})
    with pytest.raises(RateLimited):
        await crm.tickets.reply(native_id, Reply("Hello", before.version), KEY)
    assert await whole(crm, native_id) == before


TICKET: dict[str, Any] = {
    "id": "7",
    "properties": {"createdate": "2026-10-01T12:00:00Z", "hs_lastmodifieddate": "2026-10-01T12:00:00Z"},
}
THREAD: dict[str, Any] = {"id": "5", "archived": False, "spam": False, "createdAt": "2026-10-01T12:00:00Z"}


def said(direction: str, *senders: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "m1",
        "type": "MESSAGE",
        "direction": direction,
        "senders": list(senders),
        "text": "hm",
        "createdAt": "2026-10-01T12:00:00Z",
        "channelId": "1000",
        "channelAccountId": "1",
    }


VISITOR = {"deliveryIdentifier": {"type": "HS_EMAIL_ADDRESS", "value": "Ada@mail.example"}}
OPAQUE = {"deliveryIdentifier": {"type": "CHANNEL_SPECIFIC_OPAQUE_ID", "value": "opaque"}}
PHONE = {"deliveryIdentifier": {"type": "HS_PHONE_NUMBER", "value": "+4930123456"}}
VERSION = "2026-10-01T12:00:00Z/m1"


@pytest.mark.parametrize(
    ("thread", "messages", "sentence"),
    [
        (THREAD, [], "nobody who could be answered at an e-mail address"),
        (THREAD, [said("OUTGOING", {"actorId": "A-1"})], "nobody who could be answered at an e-mail address"),
        (THREAD, [said("INCOMING", OPAQUE)], "nobody who could be answered at an e-mail address"),
        (THREAD, [said("INCOMING", PHONE, {"name": "Ada"})], "nobody who could be answered at an e-mail address"),
        (THREAD, [said("INCOMING", VISITOR)], "who could sign the reply.*BACKOFFICE_HUBSPOT_REPLY_AS"),
        (THREAD, [said("INCOMING", VISITOR), said("OUTGOING", {"actorId": "B-1"})], "who could sign"),
        ({**THREAD, "assignedTo": "L-4"}, [said("INCOMING", VISITOR)], "who could sign"),
        ({**THREAD, "spam": True}, [said("INCOMING", VISITOR)], "has no conversation"),
        ({**THREAD, "archived": True}, [said("INCOMING", VISITOR)], "has no conversation"),
    ],
)
async def test_a_conversation_in_which_nobody_can_be_answered_says_why(
    thread: dict[str, Any], messages: list[dict[str, Any]], sentence: str
) -> None:
    answers: dict[str, Any] = {
        f"{OBJECTS}/tickets/7": TICKET,
        PIPELINES: {"results": []},
        THREADS: {"results": [thread]},
        f"{THREADS}/5/messages": {"results": messages},
    }
    tickets = HubSpotTickets(client(scripted(answers)))
    with pytest.raises(Conflict, match=sentence):
        await tickets.reply("7", Reply("Hello", VERSION), KEY)


async def test_the_newest_conversation_is_answered_in_by_whom_it_is_assigned_to() -> None:
    asked: list[httpx.Request] = []
    older = {**THREAD, "id": "4", "latestMessageTimestamp": "2026-10-02T12:00:00Z"}
    newer = {**THREAD, "latestMessageTimestamp": "2026-10-03T12:00:00Z", "assignedTo": "A-7001"}
    answers: dict[str, Any] = {
        f"{OBJECTS}/tickets/7": TICKET,
        PIPELINES: {"results": []},
        THREADS: {"results": [older, newer]},
        f"{THREADS}/5/messages": {
            "results": [said("INCOMING", VISITOR)],
            "id": "m",
            "createdAt": "2026-10-03T12:00:00Z",
        },
    }
    written = await HubSpotTickets(client(scripted(answers, asked=asked))).reply("7", Reply("Hello", VERSION), KEY)
    (sent,) = [json.loads(request.content) for request in asked if request.method == "POST"]
    assert (sent["senderActorId"], sent["recipients"], sent["channelId"], "subject" in sent) == (
        "A-7001",
        [{"recipientField": "TO", "deliveryIdentifiers": [VISITOR["deliveryIdentifier"]]}],
        "1000",
        False,
    )
    assert written.value.message_id == "hubspot:message:m"


async def test_what_was_written_is_seen_by_all_who_look_next(crm: Crm) -> None:
    """Every answer that was kept before and is not true any more is asked for again."""
    inquiry = with_thread(crm.company, answered=True)
    native_id, who = ticket_id(inquiry), contact(inquiry.person)
    await crm.tickets.update_ticket(native_id, TicketChange(status="open"), KEY)
    before = await whole(crm, native_id)
    open_before = await crm.tickets.count_open_tickets(who)
    listed = await crm.tickets.search_tickets(TicketQuery(requesters=(native(inquiry.person),)), None, 10)
    await crm.tickets.reply(native_id, Reply("Solved.", before.version, "solved"), KEY)
    assert await crm.tickets.count_open_tickets(who) == open_before - 1
    after = await crm.tickets.search_tickets(TicketQuery(requesters=(native(inquiry.person),)), None, 10)
    assert {row.status for row in after.items if number(row) == native_id} == {"solved"}
    assert {row.status for row in listed.items if number(row) == native_id} == {"open"}
