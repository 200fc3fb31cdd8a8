"""HubSpot's sandbox with our adapter on it, and answers that the sandbox does not give."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.hubspot import HUBSPOT, HubSpot, HubSpotTickets, hubspot_sandbox
from backoffice_customer.backends.hubspot.sandbox import TOKEN
from backoffice_customer.models import Contact, CreatedTicket, Event, EventKind, Ref, Ticket, TicketRow
from backoffice_customer.ports import CommentPage, Span
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.sandbox.company import Company, Note, Person
from backoffice_shared.sandbox.company import Ticket as Inquiry
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
URL = "https://api.hubapi.com"
OBJECTS = "/crm/objects/2026-09"
OWNERS, PIPELINES = "/crm/owners/2026-03", "/crm/pipelines/2026-09/tickets"
BATCH_READ, SEARCH = f"{OBJECTS}/contacts/batch/read", f"{OBJECTS}/contacts/search"
NOTES: frozenset[EventKind] = frozenset({"note"})

INES = {"id": "900001", "firstName": "Ines", "lastName": "Okafor", "email": "ines@northwind.example", "userId": 7001}
KEY = "key-of-this-call"


def client(
    wire: httpx.AsyncBaseTransport,
    clock: ManualClock | None = None,
    options: Mapping[str, str] | None = None,
    **secrets: str,
) -> BackendClient:
    fields = {f"hubspot_{name}": value for name, value in (secrets or {"access_token": TOKEN}).items()}
    credentials = EnvironmentCredentials(fields)
    return connect(HUBSPOT, wire, credentials, base_url=URL, options=options, clock=clock or ManualClock())


def connected(wire: httpx.AsyncBaseTransport, clock: ManualClock | None = None, **secrets: str) -> HubSpot:
    return HubSpot(client(wire, clock, None, **secrets))


def scripted(answers: Mapping[str, object], *, status: int = 200, asked: list[httpx.Request] | None = None) -> Any:
    """A wire on which each path has one answer; whatever has none, is answered by that of "" ."""

    def answer(request: httpx.Request) -> httpx.Response:
        if asked is not None:
            asked.append(request)
        known = {OWNERS: {"results": [INES]}, **answers}
        if request.url.path == OWNERS:
            return httpx.Response(200, json=known[OWNERS])
        return httpx.Response(status, json=known.get(request.url.path, known.get("")))

    return httpx.MockTransport(answer)


def answering(wire: object, status: int = 200) -> HubSpot:
    """Whatever is asked, but for who the owners are, the vendor answers this."""
    return connected(scripted({"": wire}, status=status))


@dataclass
class Crm:
    company: Company
    sandbox: VendorSandbox
    http: BackendClient
    clock: ManualClock

    @property
    def hubspot(self) -> HubSpot:
        return HubSpot(self.http)

    @property
    def tickets(self) -> HubSpotTickets:
        return HubSpotTickets(self.http)

    @property
    def asked(self) -> list[str]:
        return [request.path for request in self.sandbox.requests]

    @property
    def wrote(self) -> list[str]:
        """What was asked that is no reading, and how it went."""
        reads = ("/search", "/batch/read")
        return [
            f"{request.method} {request.path} {request.status}"
            for request in self.sandbox.requests
            if request.method != "GET" and not request.path.endswith(reads)
        ]

    async def knows_owners(self) -> None:
        """Who the owners are is asked once an hour: from here on, not again."""
        await self.hubspot.search_contacts("nobody has this name", 1)
        self.sandbox.requests.clear()

    def notes(self, *people: int) -> list[Note]:
        """Newest first."""
        mine = [note for person in people for note in self.company.notes_of.get(person, [])]
        return sorted(mine, key=lambda note: note.at, reverse=True)

    async def all_events(
        self, who: list[Contact], *, limit: int, span: Span | None = None, kinds: frozenset[EventKind] = NOTES
    ) -> list[Event]:
        """Page by page to the end."""
        events: list[Event] = []
        cursor, more = None, True
        while more:
            page = await self.hubspot.events(who, kinds, span or Span(), cursor, limit)
            assert len(page.items) <= limit
            events += page.items
            cursor, more = page.next, page.next is not None
        return events


def new_crm(company: Company) -> Crm:
    sandbox, clock = hubspot_sandbox(company), ManualClock()
    return Crm(company, sandbox, client(InProcess(sandbox), clock, sandbox.options), clock)


def cursor(**places: object) -> str:
    """The one that holds these places, as one that was given out would."""
    return base64.urlsafe_b64encode(json.dumps(places, separators=(",", ":")).encode()).decode().rstrip("=")


def native(person: int) -> str:
    return str(100_001 + person)


def contact(person: int) -> Contact:
    return Contact(ref=Ref("hubspot", "contact", native(person)), name="somebody")


def ticket_id(inquiry: Inquiry) -> str:
    return str(3_000_001 + inquiry.number)


def note_id(note: Note) -> str:
    return f"hubspot:note:{500_001 + note.number}"


def in_the_crm(company: Company) -> Iterator[Person]:
    return (person for person in company.people if "crm" in person.systems)


def owner_of(company: Company, number: int) -> str:
    """The name of whoever looks after somebody."""
    return company.agents[number % len(company.agents)].name


def milliseconds(at: datetime) -> datetime:
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


def natives(found: list[Contact]) -> list[str]:
    return [contact.ref.native for contact in found]


def wire(**properties: str | None) -> dict[str, Any]:
    return {
        "id": "512",
        "properties": properties,
        "createdAt": "2026-01-02T03:04:05.678Z",
        "updatedAt": "2026-10-01T12:00:00.000Z",
        "archived": False,
    }


def written(**properties: str | None) -> dict[str, Any]:
    return {"id": "7", "properties": {"hs_timestamp": "2026-10-01T12:00:00Z", **properties}}


def with_thread(company: Company, *, answered: bool | None = None) -> Inquiry:
    """A ticket with a conversation: one in which an agent has written, or has not."""

    def fits(inquiry: Inquiry) -> bool:
        said = any(comment.agent is not None and comment.public for comment in company.thread(inquiry))
        return inquiry.number % 2 == 0 and answered in (None, said)

    return next(inquiry for inquiry in company.inquiries if fits(inquiry))


def without_thread(company: Company) -> Inquiry:
    return next(inquiry for inquiry in company.inquiries if inquiry.number % 2 == 1)


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def number(ticket: Ticket | CreatedTicket | TicketRow) -> str:
    return ticket.ticket_id.rpartition(":")[2]


async def whole(crm: Crm, native: str) -> Ticket:
    return await crm.tickets.ticket(native, CommentPage(limit=50))


NO_CURSORS = [
    cursor(note=7),
    cursor(note=("0", -1)),
    cursor(note=("0", 201)),
    cursor(note=("0", 10**30)),
    cursor(note=("10000", 0)),
    cursor(note=("-1", 0)),
    cursor(note=("9" * 5_000, 0)),
    cursor(note=("all", 0)),
    cursor(note=("٣", 0)),
]
"""Such as would lead beyond what HubSpot pages to, or to more pages than anybody asked for."""

HOSTILE = [
    "",
    " ",
    "*",
    "../../../crm/v3/objects/contacts/1",
    "?idProperty=email&archived=true",
    "1 OR 1=1",
    "'; DROP TABLE contacts; --",
    '"}], "limit": 200, "query": "',
    "{{7*7}} ${7*7} %(id)s %s",
    "\x00\r\nAuthorization: Bearer other",
    "<script>alert(1)</script>",
    "-1",
    "1e9",
    "٣",
    "²",
    "💥\u202e\ufeff",
    "9" * 5_000,
    "x" * 50_000,
]
