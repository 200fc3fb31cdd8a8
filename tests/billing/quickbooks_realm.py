"""The American company in QuickBooks' sandbox, and the adapter that speaks to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.quickbooks import QUICKBOOKS, QuickBooks, quickbooks_sandbox
from backoffice_billing.backends.quickbooks.sandbox import (
    ACCESS_TOKEN,
    REALM,
    CompanyFile,
    balanced,
    file_of,
    forget_requests,
)
from backoffice_billing.backends.quickbooks.sandbox.records import Kind, Txn
from backoffice_billing.models import InvoiceRow
from backoffice_billing.ports import DraftLine, InvoiceDraft, InvoiceQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Books, Invoice, InvoiceStatus
from backoffice_shared.sandbox.company import Company, Person
from backoffice_shared.sandbox.frame import Fault, Faults, InProcess, VendorSandbox

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
PRESENT = datetime(2100, 1, 4, 10, tzinfo=UTC)
"""When the first thing is written: later than any other time in a test."""
URL = "https://quickbooks.api.intuit.com"
KEY, OTHER_KEY = "3f9a" * 10, "77c1" * 10
LONG_AGO, NOT_YET = datetime(2026, 1, 1, tzinfo=UTC), datetime(2126, 1, 1, tzinfo=UTC)
HOSTILE = "O'Brien \\' or 1=1 -- \"x\"\n\r\t select * from Customer \u2028 [backoffice 77c1] \U0001f525"


@dataclass
class Present:
    """The time, as the sandbox and the adapter tell it. Each time that it is asked is a second later."""

    at: datetime = PRESENT

    def __call__(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def pass_by(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class Ledgers:
    """The company's file in QuickBooks, and the adapter on it."""

    company: Company
    sandbox: VendorSandbox
    quickbooks: QuickBooks
    http: BackendClient
    present: Present
    clock: ManualClock = field(default_factory=ManualClock)

    @property
    def file(self) -> CompanyFile:
        return file_of(self.sandbox)

    @property
    def is_balanced(self) -> bool:
        return balanced(self.file)

    def all(self, kind: Kind) -> list[Txn]:
        return list(self.file.tables[kind].by_id.values())

    def made(self, kind: Kind) -> list[Txn]:
        """Since the company was there."""
        return [txn for txn in self.all(kind) if txn.created >= PRESENT]

    def wrote(self) -> list[str]:
        return [
            f"{entry.path.split('/', 4)[-1]} {entry.status}"
            for entry in self.sandbox.requests
            if entry.method == "POST"
        ]

    def forgets(self) -> None:
        forget_requests(self.sandbox)

    async def wire(self, method: str, path: str, json: object = None, **params: str) -> Any:
        """What QuickBooks itself says."""
        bearer = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=URL, headers=bearer) as http:
            answer = await http.request(method, f"/v3/company/{REALM}/{path}", json=json, params=params)
            return answer.json()

    def person(self, country: str, *, open_invoice: bool = False) -> Person:
        """Somebody from there whom the American company bills."""
        return next(
            person
            for person in self.company.people
            if person.country == country
            and Books.bills(person)
            and (not open_invoice or any(i.status == "open" for i in kept_of(self.company, person.number)))
        )

    def native_of(self, invoice: Invoice) -> str:
        return next(str(txn.id) for txn in self.all("Invoice") if txn.number == invoice.name)

    def some(self, status: InvoiceStatus, *, country: str | None = None, plain: bool = True) -> tuple[str, Invoice]:
        """An invoice of this status, without drift; its id in QuickBooks, and the fact."""
        people = {person.number: person for person in self.company.people}
        found = next(
            invoice
            for invoice in kept(self.company)
            if invoice.status == status
            and (not plain or (invoice.drift is None and not self.company.books.payments_for.get(invoice.number, [])))
            and (country is None or people[invoice.person].country == country)
        )
        return self.native_of(found), found


def ledgers(
    company: Company,
    options: dict[str, str] | None = None,
    *,
    at: datetime = PRESENT,
    over: Callable[[VendorSandbox], httpx.AsyncBaseTransport] = InProcess,
    **credentials: str,
) -> Ledgers:
    """`over` is what carries requests to the sandbox."""
    present, clock = Present(at), ManualClock()
    sandbox = quickbooks_sandbox(company, now=present)
    secrets = {f"quickbooks_{name}": value for name, value in (credentials or sandbox.credentials).items()}
    given = {**sandbox.options, **(options or {})}
    source = EnvironmentCredentials(secrets)
    http = connect(QUICKBOOKS, over(sandbox), source, base_url=URL, options=given, clock=clock)
    return Ledgers(company, sandbox, QuickBooks(http, now=present), http, present, clock)


def losing(at: int, fault: Fault = "drop_after_commit") -> Faults:
    """After so many requests, one goes wrong."""
    return Faults(plan=[*_well(at), fault])


def killed(at: int) -> Faults:
    """After so many requests, one is carried out, and nobody hears of it or is heard any more."""
    gone: list[Fault] = ["reset"] * 40
    return Faults(plan=[*_well(at), "drop_after_commit", *gone])


def _well(times: int) -> list[Fault]:
    return ["ok"] * times


def saying(answer: Callable[[httpx.Request], httpx.Response]) -> BackendClient:
    """A connection to whatever answers so."""
    secrets = EnvironmentCredentials({"quickbooks_access_token": "t"})
    wire = httpx.MockTransport(answer)
    return connect(QUICKBOOKS, wire, secrets, base_url=URL, options={"realm": REALM}, clock=ManualClock())


SETTINGS = {
    "Preferences": [{"CurrencyPrefs": {"HomeCurrency": {"value": "USD"}, "MultiCurrencyEnabled": True}}],
    "CompanyInfo": [{"Country": "US"}],
}


def answering(wire: object, status: int = 200, *, settings: object = None, **headers: str) -> QuickBooks:
    """QuickBooks that says this to everything, but for how the company is set up."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked = request.url.params.get("query", "")
        if "from Preferences" in asked or "from CompanyInfo" in asked:
            return httpx.Response(200, json={"QueryResponse": SETTINGS if settings is None else settings})
        return httpx.Response(status, json=wire, headers=headers)

    return QuickBooks(saying(answer))


def kept(company: Company) -> list[Invoice]:
    """What is in the American company's books."""
    return [i for i in company.books.invoices if i.ledger == "us" and i.drift != "missing"]


def kept_of(company: Company, person: int) -> list[Invoice]:
    return [i for i in company.books.invoices_of.get(person, []) if i.ledger == "us" and i.drift != "missing"]


def customer(person: Person) -> str:
    return str(person.number + 1)


def usd(amount: int) -> Money:
    return Money(amount=amount, currency="USD")


def jpy(amount: int) -> Money:
    return Money(amount=amount, currency="JPY")


def draft(person: Person, *lines: DraftLine, currency: str = "USD", due_days: int = 30, **more: Any) -> InvoiceDraft:
    return InvoiceDraft(customer(person), currency, lines, TODAY.date(), due_days, **more)


async def every_row(books: Ledgers, query: InvoiceQuery, limit: int) -> list[InvoiceRow]:
    rows: list[InvoiceRow] = []
    cursor: str | None = None
    while True:
        chunk = await books.quickbooks.search_invoices(query, cursor, limit)
        assert len(chunk.items) <= limit
        rows += chunk.items
        if (cursor := chunk.next) is None:
            return rows
