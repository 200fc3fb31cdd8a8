"""Salesforce's sandbox with our adapter on it, and answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.salesforce import SALESFORCE, Salesforce, SalesforceCases, salesforce_sandbox
from backoffice_customer.backends.salesforce.sandbox import DOMAIN, TOKEN
from backoffice_customer.backends.salesforce.soql import select
from backoffice_customer.models import Contact, Event, EventKind, Ref, TicketRow
from backoffice_customer.ports import Span, TicketDraft, TicketQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.sandbox.company import Company, Person
from backoffice_shared.sandbox.company import Ticket as Case
from backoffice_shared.sandbox.frame import Faults, InProcess, VendorSandbox

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
SITE = "https://northwind.my.salesforce.com"
DATA, COMPOSITE = "/services/data/v67.0", "/services/data/v67.0/composite"
KEY = "key-12345678"
ALL: frozenset[EventKind] = frozenset({"call", "email", "meeting", "note", "ticket"})
NOBODY = Contact(ref=Ref("hubspot", "contact", "1"), name="somebody else's")


def connected(
    wire: httpx.AsyncBaseTransport, secrets: Mapping[str, str] | None = None, clock: ManualClock | None = None
) -> BackendClient:
    fields = {f"salesforce_{name}": value for name, value in (secrets or {"access_token": TOKEN}).items()}
    options = {"domain": DOMAIN}
    credentials = EnvironmentCredentials(fields)
    return connect(SALESFORCE, wire, credentials, base_url=SITE, options=options, clock=clock or ManualClock())


def answering(wire: object, status: int = 200) -> BackendClient:
    """Whatever is asked, the vendor answers this."""
    return connected(httpx.MockTransport(lambda _request: httpx.Response(status, json=wire)))


@dataclass
class Watched(httpx.AsyncBaseTransport):
    """Keeps what was sent. `before` is called before requests that change something."""

    inner: httpx.AsyncBaseTransport
    sent: list[httpx.Request] = field(default_factory=list[httpx.Request])
    before: Callable[[], Awaitable[object]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if self.before is not None and b'"allOrNone":true' in request.content.replace(b" ", b""):
            before, self.before = self.before, None
            await before()
        return await self.inner.handle_async_request(request)


@dataclass
class Crm:
    company: Company
    sandbox: VendorSandbox
    people: Salesforce
    desk: SalesforceCases
    wire: Watched
    clock: ManualClock

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.sandbox.requests]

    def faulty(self, *plan: Any) -> None:
        self.sandbox.faults = Faults(plan=list(plan))

    async def raw(self, method: str, path: str, body: object = None, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=SITE, headers=headers) as http:
            answer = await http.request(method, f"{DATA}/{path}", params=params, json=body)
            return answer.json() if answer.content else None

    async def rows(self, fields: str, table: str, where: str) -> list[dict[str, Any]]:
        soql = select(fields, table, where, order="CreatedDate DESC, Id DESC")
        found = (await self.raw("GET", "query", q=soql))["records"]
        return [{name: value for name, value in row.items() if name != "attributes"} for row in found]

    async def all_events(self, who: list[Contact], limit: int, kinds: frozenset[EventKind] = ALL) -> list[Event]:
        """Page by page to the end."""
        events: list[Event] = []
        cursor, more = None, True
        while more:
            page = await self.people.events(who, kinds, Span(), cursor, limit)
            assert len(page.items) <= limit
            events += page.items
            cursor, more = page.next, page.next is not None
        return events

    async def all_rows(self, query: TicketQuery, limit: int) -> list[TicketRow]:
        rows: list[TicketRow] = []
        cursor, more = None, True
        while more:
            page = await self.desk.search_tickets(query, cursor, limit)
            assert len(page.items) <= limit
            rows += page.items
            cursor, more = page.next, page.next is not None
        return rows


def new_crm(company: Company) -> Crm:
    sandbox, clock = salesforce_sandbox(company), ManualClock()
    wire = Watched(InProcess(sandbox))
    http = connected(wire, clock=clock)
    return Crm(company, sandbox, Salesforce(http), SalesforceCases(http), wire, clock)


def contact_id(person: int) -> str:
    return f"003Hs{person:010d}IAA"


def case_id(case: Case | int) -> str:
    return f"500Hs{case if isinstance(case, int) else case.number:010d}IAA"


def contact(person: int) -> Contact:
    return Contact(ref=Ref("salesforce", "contact", contact_id(person)), name="somebody")


def business(company: Company) -> list[Person]:
    return [person for person in company.people if person.is_business]


def the_case(company: Company, status: str = "open", messages: int = 3) -> Case:
    return next(case for case in company.cases if case.status == status and len(company.thread(case)) >= messages)


def natives(found: list[Contact]) -> list[str]:
    return [contact.ref.native for contact in found]


DRAFT = TicketDraft(
    subject="It's \\ 100% @{case.id}",
    body="First line.\n\"Second\" line: @{case.id} {'x'}",
    priority="high",
    tags=(),
    public=True,
    requester=contact_id(2),
)
