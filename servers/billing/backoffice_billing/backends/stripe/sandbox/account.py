"""A Stripe account in memory: its tables, the journal of its balance, and what is still to happen.

All money passes through `enter`, which writes the journal. `out_of_balance` recomputes everything from the records.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from backoffice_billing.backends.stripe.sandbox import ids
from backoffice_billing.backends.stripe.sandbox.objects import (
    Charge,
    CreditNote,
    Customer,
    Dispute,
    Intent,
    Invoice,
    InvoicePayment,
    Line,
    Method,
    Price,
    Product,
    Refund,
    Subscription,
    TaxRate,
    Transaction,
    Warned,
)
from backoffice_billing.backends.stripe.sandbox.tables import Table

ACCOUNT = "acct_1SandboxNorthwind"
_DAY = 86_400
CLEARS_AFTER = 2 * _DAY
"""Seconds until what was charged is available."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class Account:
    """`now` is what time it is. What is pending settles after `settles_after` seconds, or when `settle` is called."""

    def __init__(self, now: Callable[[], datetime] = utc_now, *, settles_after: int = 3600) -> None:
        self._now = now
        self.settles_after = settles_after
        self.customers = Table[Customer]("email")
        self.methods = Table[Method]("customer")
        self.rates = Table[TaxRate]()
        self.products = Table[Product]()
        self.prices = Table[Price]()
        self.subscriptions = Table[Subscription]("customer")
        self.invoices = Table[Invoice]("customer")
        self.lines = Table[Line]("invoice")
        self.items: dict[str, str] = {}
        """The line of each invoice item."""
        self.invoice_payments = Table[InvoicePayment]("invoice", "intent")
        self.intents = Table[Intent]("customer")
        self.charges = Table[Charge]("customer", "intent")
        self.refunds = Table[Refund]("charge", "intent")
        self.disputes = Table[Dispute]("charge", "intent")
        self.warnings = Table[Warned]("charge", "intent")
        self.transactions = Table[Transaction]("currency", "source")
        self.credit_notes = Table[CreditNote]("invoice", "customer")
        self.numbers: dict[str, str] = {}
        """The invoice of each number, in small letters."""
        self.orders: dict[str, list[str]] = {}
        """The PaymentIntents of each order of the shop."""
        self.emails: dict[str, set[str]] = {}
        """How customers write each address, by the address in small letters."""
        self.last_number = 0
        self.balance: dict[str, int] = {}
        self._made = count(1)
        self._pending: list[tuple[int, int, Callable[[], None]]] = []

    def add_customer(self, customer: Customer) -> Customer:
        if customer.email is not None:
            self.emails.setdefault(customer.email.casefold(), set()).add(customer.email)
        return self.customers.add(customer)

    def spellings(self, email: str) -> list[str]:
        return sorted(self.emails.get(email.casefold(), ()))

    # ---------------------------------------------------------------------------------------------------------- time

    def now(self) -> int:
        return int(self._now().timestamp())

    def new(self, prefix: str) -> str:
        return ids.made(prefix, f"new-{next(self._made)}")

    def later(self, happens: Callable[[], None]) -> None:
        heapq.heappush(self._pending, (self.now() + self.settles_after, next(self._made), happens))

    def tick(self) -> None:
        """What is due by now happens."""
        while self._pending and self._pending[0][0] <= self.now():
            heapq.heappop(self._pending)[2]()

    def settle(self) -> None:
        """All that is pending happens now."""
        while self._pending:
            heapq.heappop(self._pending)[2]()

    # ------------------------------------------------------------------------------------------------------- journal

    def enter(
        self,
        kind: str,
        category: str,
        source: str,
        amount: int,
        currency: str,
        *,
        fee: int = 0,
        at: int | None = None,
        native: str | None = None,
    ) -> str:
        created = self.now() if at is None else at
        entry = Transaction(
            id=native or self.new("txn"),
            created=created,
            amount=amount,
            fee=fee,
            currency=currency,
            kind=kind,
            category=category,
            source=source,
            available_on=created + CLEARS_AFTER,
        )
        self.transactions.add(entry)
        self.balance[currency] = self.balance.get(currency, 0) + entry.net
        return entry.id

    def pending_balance(self, currency: str) -> int:
        """What of the balance is not available yet."""
        found = 0
        for entry in reversed(self.transactions.having(currency=currency)):
            if entry.created < self.now() - CLEARS_AFTER:
                break
            found += entry.net if entry.available_on > self.now() else 0
        return found


def fee_of(amount: int) -> int:
    """What Stripe keeps of a charge: 2.9 % and 30 minor units, but never more than there is."""
    return min(amount, (amount * 29 + 500) // 1000 + 30)


def out_of_balance(account: Account) -> list[str]:
    """What does not add up; nothing, at any moment."""
    return [*_journal(account), *_invoices(account), *_charges(account)]


def _journal(account: Account) -> list[str]:
    summed: dict[str, int] = {}
    owned: dict[str, int] = {}
    for entry in account.transactions:
        summed[entry.currency] = summed.get(entry.currency, 0) + entry.net
        if entry.category in ("charge", "dispute"):
            owned[entry.currency] = owned.get(entry.currency, 0) - entry.fee
    for charge in account.charges:
        if charge.status == "succeeded":
            owned[charge.currency] = owned.get(charge.currency, 0) + charge.amount
    for refund in account.refunds:
        if refund.status != "failed":
            owned[refund.currency] = owned.get(refund.currency, 0) - refund.amount
    for dispute in account.disputes:
        if dispute.status != "won":
            owned[dispute.currency] = owned.get(dispute.currency, 0) - dispute.amount
    return [
        f"{currency}: balance {account.balance.get(currency, 0)}, journal {summed.get(currency, 0)}, "
        f"records {owned.get(currency, 0)}"
        for currency in sorted({*summed, *owned, *account.balance})
        if not account.balance.get(currency, 0) == summed.get(currency, 0) == owned.get(currency, 0)
    ]


def _invoices(account: Account) -> list[str]:
    found: list[str] = []
    for invoice in account.invoices:
        paid = sum(each.paid or 0 for each in account.invoice_payments.having(invoice=invoice.id))
        credited = sum(note.pre for note in account.credit_notes.having(invoice=invoice.id))
        if (paid, credited) != (invoice.paid, invoice.precredited):
            found.append(
                f"{invoice.id}: paid {invoice.paid}, by its payments {paid}; credited {invoice.precredited}, {credited}"
            )
        if invoice.remaining < 0 or (invoice.status == "paid") != (
            invoice.finalized is not None and not invoice.remaining
        ):
            found.append(f"{invoice.id}: {invoice.status} with {invoice.remaining} of {invoice.total} left")
    return found


def _charges(account: Account) -> list[str]:
    found: list[str] = []
    for charge in account.charges:
        refunded = sum(r.amount for r in account.refunds.having(charge=charge.id) if r.status != "failed")
        if refunded != charge.refunded or refunded > (charge.amount if charge.status == "succeeded" else 0):
            found.append(f"{charge.id}: {charge.refunded} refunded, by its refunds {refunded}, of {charge.amount}")
    return found
