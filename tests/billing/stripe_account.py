"""The company's Stripe account in its sandbox, and the adapters that speak to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.stripe import (
    STRIPE,
    StripeAccounts,
    StripeCollecting,
    StripeInvoices,
    StripeInvoicing,
    StripePayments,
    StripeRefunding,
    StripeReports,
    stripe_sandbox,
)
from backoffice_billing.backends.stripe.sandbox import API_KEY, Account, account_of
from backoffice_billing.backends.stripe.sandbox.ids import customer_id, invoice_id, payment_id
from backoffice_billing.models import Invoice, Payment
from backoffice_billing.ports import DraftLine, InvoiceDraft
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Invoice as Billed
from backoffice_shared.sandbox.books import Payment as Paid
from backoffice_shared.sandbox.company import Company, Person
from backoffice_shared.sandbox.frame import Fault, Faults, InProcess, VendorSandbox

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
URL = "https://api.stripe.com"
KEY = "0123456789abcdef0123456789abcdef01234567"
OTHER = "fedcba9876543210fedcba9876543210fedcba98"
HOSTILE = 'He said "no"\u2028\x07 \' or 1=1 -- \\" AND -status:"paid" metadata["x"]:"y" &amount=1\n\U0001f525 [0][x]'


@dataclass
class Present:
    """What time it is at Stripe. Stripe's clock and ours are the same but for when a test says so."""

    shifted: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.shifted


@dataclass
class Desk:
    """The account, and who speaks to it."""

    company: Company
    sandbox: VendorSandbox
    http: BackendClient
    present: Present
    clock: ManualClock
    accounts: StripeAccounts = field(init=False)
    invoices: StripeInvoices = field(init=False)
    invoicing: StripeInvoicing = field(init=False)
    payments: StripePayments = field(init=False)
    collecting: StripeCollecting = field(init=False)
    refunding: StripeRefunding = field(init=False)
    reports: StripeReports = field(init=False)

    def __post_init__(self) -> None:
        def today() -> Any:
            return TODAY.date()

        self.accounts = StripeAccounts(self.http, today=today)
        self.invoices = StripeInvoices(self.http, today=today)
        self.invoicing = StripeInvoicing(self.http, self.invoices)
        self.payments = StripePayments(self.http)
        self.collecting = StripeCollecting(self.http, self.invoices)
        self.refunding = StripeRefunding(self.http, self.payments)
        self.reports = StripeReports(self.http)

    def again(self) -> Desk:
        """Another server at the same account, which remembers no answer."""
        return Desk(self.company, self.sandbox, connected(self.sandbox, clock=self.clock), self.present, self.clock)

    @property
    def state(self) -> Account:
        return account_of(self.sandbox)

    def asked(self, path: str) -> int:
        return sum(entry.path == path for entry in self.sandbox.requests)

    def written(self, path: str) -> int:
        """How often something was written there, or tried to be."""
        return sum(entry.path == path and entry.method == "POST" for entry in self.sandbox.requests)

    async def wire(
        self,
        method: str,
        path: str,
        params: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        **headers: str,
    ) -> httpx.Response:
        """What Stripe itself says. `idempotency_key="k"` is a header."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {API_KEY}", **named}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=URL, headers=sent) as http:
            return await http.request(method, path, params=params, data=form)

    # ------------------------------------------------------------------------------------------------ whom and what

    def billed(self, meets: Callable[[Billed], bool]) -> Billed:
        """An invoice of the company's that this account has."""
        return next(each for each in self.company.books.invoices if each.billed and meets(each))

    def paid(self, meets: Callable[[Paid], bool]) -> Paid:
        return next(each for each in self.company.books.payments if not each.bank and meets(each))

    def person(self, behaviour: str) -> Person:
        """A customer whose card behaves so."""
        books = self.company.books
        return next(
            person
            for person in self.company.people
            if books.bills(person) and (card := books.card(person)) is not None and card.behaviour == behaviour
        )

    async def invoice(self, billed: Billed) -> Invoice:
        return await self.invoices.invoice(invoice_id(billed.number))

    async def payment(self, paid: Paid) -> Payment:
        return await self.payments.payment(payment_id(paid.number), frozenset({"refunds", "dispute", "fees", "risk"}))

    async def issued(self, person: Person, amount: int = 10_000, key: str = "d" * 40) -> Invoice:
        """A new open invoice of one line, in the person's currency."""
        currency = self.company.books.currency(person)
        draft = InvoiceDraft(
            customer=customer_id(person.number),
            currency=currency,
            lines=(DraftLine("Trail map", 1, Money(amount=amount, currency=currency)),),
            date=TODAY.date(),
        )
        made = (await self.invoicing.create_invoice(draft, key)).value
        issued = await self.invoicing.issue_invoice(native(made.invoice_id), "", send=False, key=f"{key[:38]}is")
        return issued.value.invoice

    async def attached(self, person: Person, test_method: str) -> str:
        """One of Stripe's test methods, as the person's own. Gives its id."""
        form = {"customer": customer_id(person.number)}
        answer = await self.wire("POST", f"/v1/payment_methods/{test_method}/attach", form=form)
        return str(answer.raise_for_status().json()["id"])


def desk(company: Company, *, api_key: str = API_KEY, options: Mapping[str, str] | None = None) -> Desk:
    present, clock = Present(), ManualClock()
    sandbox = stripe_sandbox(company, now=present)
    http = connected(sandbox, api_key=api_key, options=options, clock=clock)
    return Desk(company, sandbox, http, present, clock)


def connected(
    sandbox: VendorSandbox,
    *,
    api_key: str = API_KEY,
    options: Mapping[str, str] | None = None,
    clock: ManualClock,
) -> BackendClient:
    secrets = EnvironmentCredentials({"stripe_api_key": api_key})
    return connect(STRIPE, InProcess(sandbox), secrets, base_url=URL, options=options, clock=clock)


def saying(answer: Callable[[httpx.Request], httpx.Response], **options: str) -> BackendClient:
    """A connection to whatever answers so."""
    secrets = EnvironmentCredentials({"stripe_api_key": "k"})
    return connect(
        STRIPE, httpx.MockTransport(answer), secrets, base_url=URL, options=options or None, clock=ManualClock()
    )


def failing(after: int, *faults: Fault) -> Faults:
    """So many requests are answered as they should be; the next ones are not."""
    plan: list[Fault] = ["ok"] * after
    return Faults(plan=[*plan, *faults])


_BROKEN: tuple[Fault, ...] = ("reset", "reset", "reset")
LOST: tuple[Fault, ...] = ("drop_after_commit", "drop_after_commit", "drop_after_commit", *_BROKEN, *_BROKEN, *_BROKEN)
"""The answer is lost, and those to all that is tried after it."""


def native(model_id: str | None) -> str:
    return (model_id or "").rpartition(":")[2]


def usd(amount: int) -> Money:
    return Money(amount=amount, currency="USD")


def eur(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")
