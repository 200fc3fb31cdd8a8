"""The company's helpdesk in Zendesk's sandbox, and the adapters that speak to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.zendesk import ZENDESK, HelpCenter, Zendesk, zendesk_sandbox
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN
from backoffice_customer.models import Contact, Ref, TicketRow, TicketStatus
from backoffice_customer.ports import CommentPage, TicketDraft, TicketQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.company import Ticket as CompanyTicket
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
PRESENT = datetime(2100, 1, 1, tzinfo=UTC)
"""When the first write to the helpdesk is made: later than any other time in a test, but for `NOT_YET`."""

URL = "https://acme.zendesk.com"
KEY = "order-1042-refund"
LONG_AGO, NOT_YET = datetime(2026, 11, 1, tzinfo=UTC), datetime(2126, 11, 1, tzinfo=UTC)
HOSTILE = 'He said "no"\u2028\x07</div> { {ticket.id} } \\" OR 1=1; DROP \U0001f525'
DRAFT = TicketDraft(
    name="Ada Lovelace",
    email="ada@engine.example",
    subject="Printer on fire",
    body="There is smoke.",
    priority="urgent",
    tags=("printer", "smoke"),
    public=True,
)


@dataclass
class Helpdesk:
    """The company's helpdesk, and the adapters that speak to it."""

    company: Company
    sandbox: VendorSandbox
    zendesk: Zendesk
    help_center: HelpCenter
    clock: ManualClock
    vendors_clock: ManualClock

    def asked(self, path: str) -> int:
        return sum(entry.path == path for entry in self.sandbox.requests)

    def written(self, path: str) -> int:
        """How often something was written there, or tried to be."""
        return sum(entry.path == path and entry.method != "GET" for entry in self.sandbox.requests)

    def tickets_of(self, person: int) -> list[CompanyTicket]:
        return self.company.tickets_of[person]

    async def wire(self, method: str, path: str, json: object = None) -> Any:
        """What Zendesk itself says."""
        bearer = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=URL, headers=bearer) as http:
            answer = await http.request(method, f"/api/v2/{path}", json=json)
            return answer.raise_for_status().json()


def helpdesk(company: Company, **credentials: str) -> Helpdesk:
    clock, vendors_clock = ManualClock(), ManualClock()
    sandbox = zendesk_sandbox(company, clock=vendors_clock, present=lambda: PRESENT)
    secrets = {f"zendesk_{name}": value for name, value in (credentials or sandbox.credentials).items()}
    http = connect(ZENDESK, InProcess(sandbox), EnvironmentCredentials(secrets), base_url=URL, clock=clock)
    return Helpdesk(company, sandbox, Zendesk(http), HelpCenter(http), clock, vendors_clock)


def saying(answer: Callable[[httpx.Request], httpx.Response]) -> BackendClient:
    """A connection to whatever answers so."""
    secrets = EnvironmentCredentials({"zendesk_access_token": "t"})
    return connect(ZENDESK, httpx.MockTransport(answer), secrets, base_url=URL, clock=ManualClock())


def answering(wire: object) -> Zendesk:
    """Zendesk that says this to everything."""
    return Zendesk(saying(lambda _request: httpx.Response(200, json=wire)))


def ticket_id(ticket: CompanyTicket) -> str:
    return f"zendesk:ticket:{10_001 + ticket.number}"


def native(ticket: CompanyTicket) -> str:
    return str(10_001 + ticket.number)


def user(number: int) -> Contact:
    return Contact(ref=Ref("zendesk", "user", str(200_001 + number)), name="")


async def every_row(desk: Helpdesk, query: TicketQuery, limit: int) -> list[TicketRow]:
    rows: list[TicketRow] = []
    cursor: str | None = None
    while True:
        chunk = await desk.zendesk.search_tickets(query, cursor, limit)
        rows += chunk.items
        if (cursor := chunk.next) is None:
            return rows


async def found(desk: Helpdesk, query: TicketQuery) -> set[str]:
    return {row.ticket_id for row in await every_row(desk, query, 50)}


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


USER = {
    "id": 7,
    "url": "https://acme.zendesk.com/api/v2/users/7.json",
    "name": "Ada Lovelace",
    "email": "Ada@Engine.example",
    "phone": None,
    "locale": "pt-BR",
    "organization_id": 3,
    "role": "end-user",
    "active": True,
    "tags": ["vip"],
    "updated_at": "2026-11-01T08:00:00Z",
}
TICKET = {
    "id": 5,
    "url": "https://acme.zendesk.com/api/v2/tickets/5.json",
    "via": {"channel": "web"},
    "subject": None,
    "description": "x" * 300,
    "priority": None,
    "status": "closed",
    "requester_id": 7,
    "assignee_id": None,
    "tags": [],
    "custom_fields": [{"id": 1, "value": None}, {"id": 2, "value": True}],
    "created_at": "2026-11-01T08:00:00Z",
    "updated_at": "2026-11-02T08:00:00Z",
}
