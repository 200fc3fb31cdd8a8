"""The European company's organisation in Xero's sandbox, and the adapter that speaks to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.xero import XERO, Xero, xero_sandbox
from backoffice_billing.backends.xero.sandbox import ACCESS_TOKEN, Org, balanced, org_of
from backoffice_billing.backends.xero.sandbox.records import FIRST_NEW, Document
from backoffice_billing.backends.xero.sandbox.seeding import contact_id, invoice_id
from backoffice_billing.models import Invoice as OurInvoice
from backoffice_billing.ports import CreditDraft, DraftLine, Entry, InvoiceDraft
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Invoice, InvoiceStatus
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, InProcess, VendorSandbox

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
PRESENT = datetime(2100, 1, 4, 10, tzinfo=UTC)
"""When things are written: later than any other time in a test."""
NOW = PRESENT.date()
URL = "https://api.xero.com"
KEY, OTHER_KEY = "3f9a" * 10, "77c1" * 10
LONG_AGO, JUST_NOW = datetime(2026, 1, 1, tzinfo=UTC), datetime(2099, 6, 1, tzinfo=UTC)
"""Of an earlier attempt: when Xero has forgotten its key, and when it has not."""
HOSTILE = '" OR 1==1 OR Name.Contains("\\") -- \r\n\t \u2028 \u0007 guid("x"), {0} \U0001f525'
NOWHERE = "ffffffff-0000-4000-8000-00000000000f"


@dataclass
class Desk:
    """The organisation in Xero, and the adapter on it."""

    company: Company
    sandbox: VendorSandbox
    xero: Xero
    http: BackendClient
    clock: ManualClock
    vendors_clock: ManualClock

    @property
    def org(self) -> Org:
        return org_of(self.sandbox)

    @property
    def problems(self) -> list[str]:
        return balanced(self.org)

    def forgets(self) -> None:
        """Xero, every key."""
        self.vendors_clock.advance(400)

    def wrote(self) -> list[str]:
        """What was written, or tried to be, where answers came."""
        asked = [entry for entry in self.sandbox.requests if entry.method in ("PUT", "POST")]
        return [f"{entry.method} {_short(entry.path)} {entry.status}" for entry in asked]

    def made(self, kind: str) -> list[Document]:
        """Since the company was there."""
        return [d for d in self.org.documents.values() if d.type == kind and int(d.id[-12:], 16) >= FIRST_NEW]

    def document(self, ref: str) -> Document:
        return self.org.documents[native(ref)]

    async def wire(self, method: str, path: str, json: object = None, **headers: str) -> httpx.Response:
        """What Xero itself says."""
        given = {"Authorization": f"Bearer {ACCESS_TOKEN}", **{n.replace("_", "-"): v for n, v in headers.items()}}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=URL, headers=given) as http:
            return await http.request(method, f"/api.xro/2.0/{path}", json=json)

    def facts(self, status: InvoiceStatus, *, currency: str = "EUR", refunded: bool = False) -> list[Invoice]:
        """Invoices of the European ledger that are in both systems alike, with refunds or without."""
        books = self.company.books
        return [
            invoice
            for invoice in books.invoices
            if invoice.ledger == "eu"
            and invoice.drift is None
            and (invoice.status, invoice.currency) == (status, currency)
            and any(payment.refunds for payment in books.payments_for.get(invoice.number, [])) == refunded
        ]

    def some(self, status: InvoiceStatus, *, currency: str = "EUR") -> str:
        return invoice_id(self.facts(status, currency=currency)[0].number)

    async def version(self, ref: str) -> str:
        return (await self.xero.invoice(native(ref))).version

    async def issued(self, **changes: Any) -> OurInvoice:
        """A new invoice, issued."""
        made = (await self.xero.create_invoice(draft(**changes), f"{KEY}-made")).value
        return (
            await self.xero.issue_invoice(native(made.invoice_id), made.version, send=False, key=f"{KEY}-issued")
        ).value.invoice


def desk(
    company: Company,
    *,
    today: date = NOW,
    options: Mapping[str, str] | None = None,
    credentials: Mapping[str, str] | None = None,
) -> Desk:
    clock, vendors_clock = ManualClock(), ManualClock()
    sandbox = xero_sandbox(company, clock=vendors_clock, now=lambda: PRESENT)
    secrets = {f"xero_{name}": value for name, value in (credentials or sandbox.credentials).items()}
    given = {**sandbox.options, **(options or {})}
    wire, source = InProcess(sandbox), EnvironmentCredentials(secrets)
    http = connect(XERO, wire, source, base_url=URL, options=given, clock=clock)
    return Desk(company, sandbox, Xero(http, lambda: today), http, clock, vendors_clock)


def saying(answer: Callable[[httpx.Request], httpx.Response], **options: str) -> BackendClient:
    """A connection to whatever answers so."""
    secrets = EnvironmentCredentials({"xero_access_token": "t"})
    return connect(XERO, httpx.MockTransport(answer), secrets, base_url=URL, options=options, clock=ManualClock())


def answering(wire: object, status: int = 200, **headers: str) -> Xero:
    """Xero that says this to everything."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Xero(saying(lambda _request: httpx.Response(status, json=wire, headers=named)), TODAY.date)


def draft(**changes: Any) -> InvoiceDraft:
    """3 hours and a bag for somebody in France, at 20 %: 45.00 + 24.99, 83.99 with tax."""
    currency: str = changes.get("currency", "EUR")
    lines = (
        DraftLine("Repair, per hour", 3, Money(amount=1500, currency=currency)),
        DraftLine("Bag", 1, Money(amount=2499, currency=currency)),
    )
    asked: dict[str, Any] = {
        "customer": contact_id(2),
        "currency": currency,
        "lines": lines,
        "date": date(2099, 12, 20),
        "due_days": 14,
        **changes,
    }
    return InvoiceDraft(**asked)


def credit(cents: int, **changes: Any) -> CreditDraft:
    asked: dict[str, Any] = {
        "amount": Money(amount=cents, currency="EUR"),
        "reason": "A seam was open",
        "disposition": "out_of_band",
        **changes,
    }
    return CreditDraft(**asked)


def entry(amount: int, reference: str, currency: str = "EUR") -> Entry:
    return Entry(Money(amount=amount, currency=currency), PRESENT, reference, "requested by customer")


def eur(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


def native(ref: str) -> str:
    return ref.rpartition(":")[2]


def after(answered: int, fault: Fault, times: int = 3) -> list[Fault]:
    """What happens to the next requests: so many are answered, and to those after them happens this."""
    plan: list[Fault] = [fault] * times
    for _ in range(answered):
        plan.insert(0, "ok")
    return plan


def _short(path: str) -> str:
    """Without what is the same in all, and without ids."""
    return "/".join("…" if len(part) == 36 else part for part in path.removeprefix("/api.xro/2.0/").split("/"))
