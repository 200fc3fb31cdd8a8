"""Changes of HubSpot's tickets that fail between their steps: nothing is said not to be done that was, or done twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.customer.crm import OBJECTS, PIPELINES, TODAY, Crm, client, contact, native, new_crm, scripted, ticket_id

from backoffice_customer.backends.hubspot import HubSpot, HubSpotTickets
from backoffice_customer.backends.hubspot.pipelines import PIPELINES as COMPANYS_PIPELINES
from backoffice_customer.ports import CommentPage, NoteDraft, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import OutcomeUnknown, RateLimited
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

KEY = "key-of-this-call"
FAULTS = ("throttle", "error", "reset", "malformed")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY, customers=200)


@pytest.fixture
async def crm(company: Company) -> Crm:
    """One that knows the pipelines, which are asked for once an hour."""
    found = new_crm(company)
    await found.tickets.search_tickets(TicketQuery(), None, 1)
    found.sandbox.requests.clear()
    return found


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


async def texts(crm: Crm, native_id: str) -> list[str]:
    ticket = await crm.tickets.ticket(native_id, CommentPage(limit=50))
    return [comment.text for comment in ticket.comments]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_note_after_which_the_ticket_cannot_be_read_is_not_written_again(crm: Crm, fault: str) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    seen = await crm.tickets.ticket(native_id, None)
    change = TicketChange(priority="urgent", note="Once.", version=seen.version)
    # The ticket is read, its values are set, the note is written; then it is read again.
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", "ok", "ok", *[fault] * 3]})
    with pytest.raises(OutcomeUnknown, match="the note was written, but what comes after that failed"):
        await crm.tickets.update_ticket(native_id, change, KEY)
    crm.sandbox.faults = Faults()
    await crm.tickets.update_ticket(native_id, TicketChange(priority="low"), "another")
    with attempting(datetime.now(UTC)):
        state = await crm.tickets.update_ticket(native_id, change, KEY)
    after = await crm.tickets.ticket(native_id, None)
    assert (await texts(crm, native_id)).count("Once.") == 1
    assert (state.version, after.priority) == (after.version, "low")


@pytest.mark.parametrize("fault", FAULTS)
async def test_values_without_their_note_are_not_said_to_be_unset(crm: Crm, fault: str) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    seen = await crm.tickets.ticket(native_id, None)
    change = TicketChange(priority="urgent", note="Once.", version=seen.version)
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", "ok", *[fault] * 3]})
    with pytest.raises(OutcomeUnknown):
        await crm.tickets.update_ticket(native_id, change, KEY)
    crm.sandbox.faults = Faults()
    with attempting(datetime.now(UTC)), pytest.raises(OutcomeUnknown, match="may still be carried out"):
        await crm.tickets.update_ticket(native_id, change, KEY)
    with attempting(long_ago()):
        await crm.tickets.update_ticket(native_id, change, KEY)
    assert (await crm.tickets.ticket(native_id, None)).priority == "urgent"
    assert (await texts(crm, native_id)).count("Once.") == 1


async def test_values_that_are_refused_leave_no_note(crm: Crm) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", *["throttle"] * 3]})
    with pytest.raises(RateLimited):
        await crm.tickets.update_ticket(native_id, TicketChange(priority="urgent", note="Once."), KEY)
    assert "Once." not in await texts(crm, native_id)


async def test_a_note_that_is_refused_for_now_was_not_written(crm: Crm) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", *["throttle"] * 3]})
    with pytest.raises(RateLimited):
        await crm.tickets.update_ticket(native_id, TicketChange(note="Once."), KEY)
    assert "Once." not in await texts(crm, native_id)


async def test_after_values_were_set_nothing_is_asked_that_could_fail(crm: Crm) -> None:
    native_id = ticket_id(crm.company.inquiries[0])
    state = await crm.tickets.update_ticket(native_id, TicketChange(status="pending"), KEY)
    assert [request.method for request in crm.sandbox.requests] == ["GET", "PATCH"]
    after = await crm.tickets.ticket(native_id, None)
    assert state.status == after.status == "pending"
    assert after.version.startswith(state.version)


async def test_an_answer_that_names_only_what_was_changed_is_enough() -> None:
    """What it leaves out is as it was."""
    before = {"createdate": "2026-10-01T12:00:00Z", "hs_lastmodifieddate": "2026-10-01T12:00:00Z"}
    stages = {"hs_pipeline": "0", "hs_pipeline_stage": "2"}
    ticket: dict[str, Any] = {"id": "7", "properties": {**before, **stages}}
    answer = {"id": "7", "properties": {"hs_ticket_priority": "HIGH"}, "updatedAt": "2026-10-02T12:00:00Z"}

    class Wire(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            known = ticket if request.method == "GET" else answer
            wire = scripted({PIPELINES: {"results": COMPANYS_PIPELINES}, f"{OBJECTS}/tickets/7": known})
            return await wire.handle_async_request(request)

    state = await HubSpotTickets(client(Wire())).update_ticket("7", TicketChange(priority="high"), KEY)
    assert state.model_dump() == {
        "ticket_id": "hubspot:ticket:7",
        "status": "pending",
        "version": "2026-10-02T12:00:00Z",
    }


async def test_who_became_a_contact_for_a_ticket_that_failed_is_said_to_be(crm: Crm) -> None:
    draft = TicketDraft("Zip", "Broke", None, (), public=False, name="Ada van Dyk", email="ada@new.example")
    # It is looked for whose address it is; they are made a contact; the ticket is refused for now.
    crm.sandbox.faults = Faults.model_validate({"plan": ["ok", "ok", *["throttle"] * 3]})
    with pytest.raises(OutcomeUnknown, match="the customer was made a contact, but what comes after that failed"):
        await crm.tickets.create_ticket(draft, KEY)
    crm.sandbox.faults = Faults()
    with attempting(long_ago()):
        made = await crm.tickets.create_ticket(draft, KEY)
    page = await crm.tickets.search_tickets(TicketQuery(emails=("ada@new.example",)), None, 5)
    assert [row.ticket_id for row in page.items] == [made.ticket_id]


async def test_a_ticket_of_a_known_customer_that_is_refused_for_now_was_not_opened(crm: Crm) -> None:
    draft = TicketDraft("Zip", "Broke", None, (), public=False, requester=native(1))
    crm.sandbox.faults = Faults.model_validate({"plan": ["throttle"] * 3})
    with pytest.raises(RateLimited):
        await crm.tickets.create_ticket(draft, KEY)


# ---------------------------------------------------------------------------------------------- looked for, not too far


AT_ITS_EDGE = timedelta(seconds=4)
"""By so much what an earlier attempt made may seem to be older than that, for clocks differ."""


@pytest.mark.parametrize(("age", "found"), [(AT_ITS_EDGE, True), (timedelta(seconds=90), False)])
async def test_only_what_was_made_since_the_attempt_is_taken_for_what_it_made(age: timedelta, found: bool) -> None:
    began = datetime.now(UTC)
    made_at = (began - age).isoformat()
    note = {"id": "31", "createdAt": made_at, "properties": {"hs_note_body": "<p>Same</p>"}}
    ticket = {"id": "32", "createdAt": made_at, "properties": {"subject": "Same", "content": "Same"}}
    answers: dict[str, Any] = {
        PIPELINES: {"results": COMPANYS_PIPELINES},
        f"/crm/objects/2026-03/contacts/{native(1)}/associations/notes": {"results": [{"toObjectId": "31"}]},
        f"/crm/objects/2026-03/contacts/{native(1)}/associations/tickets": {"results": [{"toObjectId": "32"}]},
        f"{OBJECTS}/notes/batch/read": {"results": [note]},
        f"{OBJECTS}/tickets/batch/read": {"results": [ticket]},
    }
    http = client(scripted(answers))
    draft = TicketDraft("Same", "Same", None, (), public=False, requester=native(1))
    with attempting(began):
        for writing in (
            lambda: HubSpot(http).add_note(contact(1), NoteDraft("Same"), KEY),
            lambda: HubSpotTickets(http).create_ticket(draft, KEY),
        ):
            try:
                await writing()
                outcome = True
            except OutcomeUnknown:
                outcome = False
            assert outcome is found
