"""The ports over plain lists, for what is made of several systems. A real vendor is slower, and not more right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import TypeVar

from pydantic import BaseModel

from backoffice_billing.directory import Directory
from backoffice_billing.models import (
    Account,
    AccountSection,
    Invoice,
    InvoiceRow,
    InvoiceSection,
    InvoiceStatus,
    OrderPayment,
    PaidOrder,
    Payment,
    PaymentRow,
    PaymentSection,
    PaymentStatus,
    Reconciliation,
    Refund,
)
from backoffice_billing.ports import InvoiceQuery, PaymentQuery, ReturnedLine
from backoffice_billing.reconciling import Reconciling
from backoffice_shared.errors import BackendUnavailable, BackofficeError, NotFound
from backoffice_shared.money import Money
from backoffice_shared.paging import Chunk, Cursors

TODAY = date(2026, 3, 31)
CURSORS = Cursors(b"a key of the operator's")
DOWN = BackendUnavailable("It", "is down")

RowT = TypeVar("RowT", bound=BaseModel)


def eur(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


@dataclass
class System:
    """One that bills people, over lists. `asked` is what it was asked, `error` what it answers to everything. It
    `gives` nobody more rows than these. `as_made`: it lists invoices as they were made, the last first, whatever date
    they bear, and sorts out afterwards what is of other days."""

    name: str
    account_kind: str = "customer"
    people: list[Account] = field(default_factory=list[Account])
    bills: list[Invoice] = field(default_factory=list[Invoice])
    receipts: list[PaymentRow] = field(default_factory=list[PaymentRow])
    largest: int = 50
    gives: int | None = None
    as_made: bool = False
    error: BackofficeError | None = None
    fails: Callable[[str], bool] = lambda _asked: False
    asked: list[str] = field(default_factory=list[str])

    def _hear(self, what: str) -> None:
        self.asked.append(what)
        if self.error is not None:
            raise self.error
        if self.fails(what):
            raise DOWN

    # accounts

    def person(self, native: str, email: str | None = None) -> str:
        account = Account(customer_id=f"{self.name}:{self.account_kind}:{native}", name=native, email=email)
        self.people.append(account)
        return account.customer_id

    async def accounts(self, natives: Sequence[str], sections: frozenset[AccountSection]) -> list[Account]:
        self._hear(f"accounts {sorted(natives)}")
        return [_shown(a, sections) for a in self.people if a.customer_id.split(":", 2)[2] in natives]

    async def accounts_by_email(self, email: str, sections: frozenset[AccountSection]) -> list[Account]:
        self._hear(f"address {email}")
        return [_shown(a, sections) for a in self.people if (a.email or "").casefold() == email.casefold()]

    # invoices

    def bill(
        self,
        number: str | None,
        total: int = 10_000,
        *,
        on: date = TODAY,
        status: InvoiceStatus = "open",
        paid: int = 0,
        credited: int = 0,
        currency: str = "EUR",
        customer: str | None = None,
    ) -> Invoice:
        due = 0 if status in ("draft", "void") else total - paid - credited

        def money(amount: int) -> Money:
            return Money(amount=amount, currency=currency)

        invoice = Invoice(
            invoice_id=f"{self.name}:invoice:in_{len(self.bills)}",
            number=number,
            customer_id=customer,
            status=status,
            issued_at=on,
            total=money(total),
            subtotal=money(total),
            tax=money(0),
            paid=money(paid),
            credited=money(credited),
            due=money(due),
        )
        self.bills.append(invoice)
        return invoice

    async def search_invoices(self, query: InvoiceQuery, cursor: str | None, limit: int) -> Chunk[InvoiceRow]:
        self._hear(f"invoices {query.number or ''}".strip())
        found = [
            InvoiceRow.model_validate(invoice.model_dump(include=set(InvoiceRow.model_fields)))
            for invoice in self.bills
            if (query.number is None or invoice.number == query.number)
            and (query.customers is None or self._is_of(invoice.customer_id, query.customers))
        ]

        def within(row: InvoiceRow) -> bool:
            return (query.issued_since is None or row.issued_at >= query.issued_since) and (
                query.issued_until is None or row.issued_at <= query.issued_until
            )

        if self.as_made:
            chunk = self._chunk(found[::-1], cursor, limit)
            return replace(chunk, items=_latest_dated([row for row in chunk.items if within(row)]))
        return self._chunk(_latest_dated([row for row in found if within(row)]), cursor, limit)

    async def invoices(self, natives: Sequence[str], sections: frozenset[InvoiceSection]) -> list[Invoice]:
        assert len(natives) <= 20
        self._hear(f"whole {len(natives)} {sorted(sections)}")
        return [invoice for invoice in self.bills if invoice.invoice_id.split(":", 2)[2] in natives]

    async def invoice(self, native: str) -> Invoice:
        self._hear(f"invoice {native}")
        for invoice in self.bills:
            if invoice.invoice_id == f"{self.name}:invoice:{native}":
                return invoice
        raise NotFound(self.name, f"no such invoice: {native!r}")

    # payments

    def receive(
        self,
        amount: int,
        *,
        on: date = TODAY,
        invoice: Invoice | None = None,
        order: str | None = None,
        refunded: int = 0,
        status: PaymentStatus = "succeeded",
        customer: str | None = None,
        currency: str = "EUR",
    ) -> PaymentRow:
        payment = PaymentRow(
            payment_id=f"{self.name}:payment:pi_{len(self.receipts)}",
            at=datetime.combine(on, time(9), UTC),
            amount=Money(amount=amount, currency=currency),
            refunded=Money(amount=refunded, currency=currency),
            status=status,
            customer_id=customer,
            invoice_id=None if invoice is None else invoice.invoice_id,
            order=order,
        )
        self.receipts.append(payment)
        return payment

    async def search_payments(self, query: PaymentQuery, cursor: str | None, limit: int) -> Chunk[PaymentRow]:
        self._hear("payments")
        found = [
            row
            for row in self.receipts
            if (query.customers is None or self._is_of(row.customer_id, query.customers))
            and (query.invoice is None or row.invoice_id == f"{self.name}:invoice:{query.invoice}")
            and (query.since is None or row.at >= query.since)
            and (query.until is None or row.at <= query.until)
        ]
        return self._chunk(_latest(found), cursor, limit)

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        self._hear(f"payment {native} {sorted(sections)}")
        for row in self.receipts:
            if row.payment_id == f"{self.name}:payment:{native}":
                return Payment(**row.model_dump(), captured=True, refundable=row.amount - row.refunded)
        raise NotFound(self.name, f"no such payment: {native!r}")

    async def refunds_of(self, customer: str, since: datetime) -> list[Refund]:
        raise AssertionError(f"nobody asks for the refunds of {customer} since {since} here")

    async def payments_for_invoice(self, native: str) -> list[PaymentRow]:
        self._hear(f"payments for {native}")
        return _latest([row for row in self.receipts if row.invoice_id == f"{self.name}:invoice:{native}"])

    async def payments_for_order(self, number: str) -> list[PaymentRow]:
        self._hear(f"payments for {number}")
        return _latest([row for row in self.receipts if row.order == number])

    def _is_of(self, customer: str | None, natives: Sequence[str]) -> bool:
        return customer in {f"{self.name}:{self.account_kind}:{native}" for native in natives}

    def _chunk(self, rows: list[RowT], cursor: str | None, limit: int) -> Chunk[RowT]:
        start, size = int(cursor or 0), min(limit, self.largest)
        given = rows[: self.gives]
        following = str(start + size) if start + size < len(given) else None
        return Chunk(given[start : start + size], following, capped=following is None and len(given) < len(rows))


@dataclass
class Counter:
    """A shop over a list."""

    orders: list[PaidOrder] = field(default_factory=list[PaidOrder])
    error: BackofficeError | None = None

    def sell(
        self,
        number: str,
        total: int,
        *,
        refunded: int = 0,
        gateway: str = "stripe",
        by_shop: bool = False,
        payments: Sequence[PaymentRow] = (),
        currency: str = "EUR",
    ) -> PaidOrder:
        paid = [(p.payment_id.split(":", 2)[2], p.amount) for p in payments] or [
            (None, Money(amount=total, currency=currency))
        ]
        order = PaidOrder(
            order_id=f"shopify:order:{number.lstrip('#')}00",
            number=number,
            total=Money(amount=total, currency=currency),
            received=Money(amount=total, currency=currency),
            refunded=Money(amount=refunded, currency=currency),
            placed_at=datetime.combine(TODAY, time(8), UTC),
            payments=[
                OrderPayment(
                    payment_id=f"shopify:payment:{number}.{n}",
                    gateway=gateway,
                    by_shop=by_shop,
                    amount=amount,
                    reference=ref,
                )
                for n, (ref, amount) in enumerate(paid)
            ],
        )
        self.orders.append(order)
        return order

    async def order(self, number: str) -> PaidOrder:
        return self._one(number, lambda order: (order.number, order.number.lstrip("#")))

    async def order_by_id(self, native: str) -> PaidOrder:
        return self._one(native, lambda order: order.order_id.split(":", 2)[2:])

    def _one(self, wanted: str, names: Callable[[PaidOrder], Sequence[str]]) -> PaidOrder:
        if self.error is not None:
            raise self.error
        for order in self.orders:
            if wanted in names(order):
                return order
        raise NotFound("Shopify", f"no such order: {wanted!r}")

    async def suggested(self, order: str, lines: Sequence[ReturnedLine]) -> Money:
        raise AssertionError(f"nobody asks what {lines} of {order} come to here")

    async def refunds_of(self, email: str, since: datetime) -> list[Refund]:
        raise AssertionError(f"nobody asks for the refunds of {email} since {since} here")


@dataclass
class Office:
    """A payment provider, two ledgers and a shop, compared."""

    stripe: System = field(default_factory=lambda: System("stripe"))
    xero: System = field(default_factory=lambda: System("xero", "contact"))
    quickbooks: System = field(default_factory=lambda: System("quickbooks"))
    shop: Counter = field(default_factory=Counter)
    with_refunds: frozenset[str] = frozenset({"xero", "quickbooks"})

    @property
    def systems(self) -> dict[str, System]:
        return {system.name: system for system in (self.stripe, self.xero, self.quickbooks)}

    @property
    def reconciling(self) -> Reconciling:
        return Reconciling(
            invoices=self.systems,
            payments=self.systems,
            refunds={"stripe": self.stripe},
            shops={"shopify": self.shop},
            directory=Directory(self.systems),
            providers=["stripe"],
            ledgers=["xero", "quickbooks"],
            cursors=CURSORS,
            with_refunds=self.with_refunds,
            today=lambda: TODAY,
        )

    async def compared(
        self,
        scope: str | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        since: date | None = None,
        until: date | None = None,
    ) -> Reconciliation:
        return await self.reconciling.compare(scope, since, until, limit=limit, cursor=cursor)


def told(found: Reconciliation) -> list[tuple[str, str, int | None]]:
    """Kind, reference and delta of each difference."""
    return [(d.kind, d.reference, None if d.delta is None else d.delta.amount) for d in found.items]


def complete(found: Reconciliation) -> dict[str, bool]:
    return {coverage.system: coverage.complete for coverage in found.coverage}


def _latest(rows: list[PaymentRow]) -> list[PaymentRow]:
    return sorted(rows, key=lambda row: row.at, reverse=True)


def _latest_dated(rows: list[InvoiceRow]) -> list[InvoiceRow]:
    return sorted(rows, key=lambda row: row.issued_at, reverse=True)


def _shown(account: Account, sections: frozenset[AccountSection]) -> Account:
    return account.model_copy(update={"balances": [eur(1)] if "balance" in sections else None})
