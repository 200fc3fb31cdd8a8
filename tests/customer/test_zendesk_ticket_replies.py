"""Tickets in Zendesk, answered: what the customer is sent, and that it is sent once."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
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
    Helpdesk,
    helpdesk,
    native,
    path,
    saying,
    some,
    thread,
    version,
)

from backoffice_customer.backends.zendesk import Zendesk
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN
from backoffice_customer.models import Sent
from backoffice_customer.ports import CommentPage, Reply, TicketChange
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import Conflict, InvalidInput, OutcomeUnknown
from backoffice_shared.http.client import Written
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def desk(company: Company) -> Helpdesk:
    """With a token that is there already, so that faults meet what is written."""
    return helpdesk(company, access_token=ACCESS_TOKEN)


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
