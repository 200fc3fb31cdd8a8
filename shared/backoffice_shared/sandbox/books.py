"""What the fictional company has billed and was paid: invoices, cards, payments, refunds, disputes, and its chart of accounts.

Most invoices are billed through the payment provider and kept in a ledger as well: that of the American company, or that
of the European one. Some are kept in the ledger alone and paid by bank. A few differ between the two, as happens
(`Drift`). Facts only, in no vendor's words; a vendor's sandbox keeps its own changes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import cached_property
from random import Random
from typing import TYPE_CHECKING, Literal

from backoffice_shared.money import Money, total

if TYPE_CHECKING:
    from backoffice_shared.sandbox.company import Company, Order, Person

Ledger = Literal["us", "eu"]
InvoiceStatus = Literal["draft", "open", "paid", "void", "uncollectible"]
Drift = Literal["missing", "unpaid", "amount"]
"""How the ledger differs from the payment provider: it lacks the invoice, or its payment, or has another amount."""
KEY_ACCOUNT = 2
"""Who has very many invoices."""
Behaviour = Literal["succeeds", "declined", "insufficient_funds", "authentication", "disputed", "refund_pends"]
"""What becomes of a charge of this card, or of its refund."""

_MARKET: dict[str, tuple[str, int]] = {  # currency, tax in hundredths of a percent
    "US": ("USD", 0),
    "GB": ("GBP", 2_000),
    "DE": ("EUR", 1_900),
    "FR": ("EUR", 2_000),
    "JP": ("JPY", 1_000),
    "BR": ("BRL", 0),
}
_DRIFTS: dict[int, Drift] = {3: "unpaid", 11: "amount"}
_WORK = (
    ("Outfitting workshop", 42_000),
    ("Trail guide subscription, monthly", 9_900),
    ("Corporate gift cards", 25_000),
    ("Repair of equipment", 7_350),
    ("Rental of tents, per week", 12_999),
    ("Embroidery of logos", 1_250),
)
_BRANDS = (("visa", "4242"), ("mastercard", "4444"), ("amex", "0005"), ("visa", "1881"))


@dataclass(frozen=True, slots=True)
class LedgerAccount:
    """One of the chart of accounts."""

    code: str
    name: str
    kind: Literal["asset", "liability", "equity", "revenue", "expense"]


BANK, CLEARING = LedgerAccount("090", "Business bank account", "asset"), LedgerAccount("091", "Card clearing", "asset")
RECEIVABLE = LedgerAccount("610", "Accounts receivable", "asset")
TAX = LedgerAccount("820", "Sales tax", "liability")
SALES = LedgerAccount("200", "Sales", "revenue")
BAD_DEBT, FEES = LedgerAccount("408", "Bad debt", "expense"), LedgerAccount("404", "Bank fees", "expense")
CHART = (BANK, CLEARING, RECEIVABLE, TAX, SALES, BAD_DEBT, FEES)


@dataclass(frozen=True, slots=True)
class Card:
    brand: str
    last4: str
    exp_month: int
    exp_year: int
    behaviour: Behaviour


@dataclass(frozen=True, slots=True)
class Line:
    """`unit` and `tax` in minor units of the invoice's currency; `tax` is of the whole line."""

    text: str
    quantity: int
    unit: int
    tax: int

    @property
    def net(self) -> int:
        return self.quantity * self.unit


@dataclass(frozen=True, slots=True)
class Invoice:
    """`ledger` is whose books it is in. `billed`: the payment provider has it too, and `drift` is how they differ."""

    number: int
    person: int
    currency: str
    status: InvoiceStatus
    issued: date
    due: date
    lines: tuple[Line, ...]
    ledger: Ledger
    billed: bool
    drift: Drift | None = None

    @property
    def name(self) -> str:
        """What people call it: NW-1042."""
        return f"NW-{1001 + self.number}"

    @property
    def net(self) -> int:
        return sum(line.net for line in self.lines)

    @property
    def kept(self) -> Invoice:
        """As the ledger has it, where it has another amount: the first line is a unit dearer there."""
        if self.drift != "amount":
            return self
        first, *rest = self.lines
        return replace(self, lines=(replace(first, quantity=first.quantity + 1), *rest))

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        return self.net + self.tax


@dataclass(frozen=True, slots=True)
class Repaid:
    amount: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Payment:
    """Money from a customer, for an invoice or for an order of the shop: by card through the payment provider, or by
    `bank`, which only the ledger sees. `failed`: the card was declined."""

    number: int
    person: int
    invoice: int | None
    order: int | None
    at: datetime
    amount: int
    currency: str
    bank: bool
    failed: bool = False
    disputed: Literal["open", "won", "lost"] | None = None
    refunds: tuple[Repaid, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    number: int
    person: int
    plan: str
    amount: int
    currency: str
    since: datetime
    renews: datetime


def paid_outside(order: Order) -> bool:
    """Whether the company's own checkout took the money, rather than the shop."""
    return order.number % 5 == 3 and order.payment != "pending"


class Books:
    """Made from a company, customer by customer, so that a customer's part is the same in a company of any size."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.chart = CHART
        self.invoices: list[Invoice] = []
        self.payments: list[Payment] = []
        self.subscriptions: list[Subscription] = []
        for person in company.people:
            if self.bills(person):
                self._bill(person, Random(company.seed * 3_000_017 + person.number))
        for order in company.orders:
            if paid_outside(order):
                self._pay_outside(order)

    @staticmethod
    def bills(person: Person) -> bool:
        """Whether they have an account with the payment provider and in a ledger."""
        return person.number % 5 != 4

    @staticmethod
    def currency(person: Person) -> str:
        return _MARKET[person.country][0]

    @staticmethod
    def ledger(person: Person) -> Ledger:
        return "us" if person.country in ("US", "BR", "JP") else "eu"

    @staticmethod
    def card(person: Person) -> Card | None:
        """The card that is charged; every eleventh has none."""
        brand, last4 = _BRANDS[person.number % len(_BRANDS)]
        behaviour: Behaviour = "succeeds"
        match person.number % 13:
            case 9:
                behaviour = "declined"
            case 10:
                behaviour = "insufficient_funds"
            case 11:
                behaviour = "authentication"
            case 12:
                behaviour = "refund_pends"
            case _:
                pass
        return None if person.number % 11 == 10 else Card(brand, last4, 1 + person.number % 12, 2031, behaviour)

    @cached_property
    def invoices_of(self) -> dict[int, list[Invoice]]:
        """By the number of the person."""
        found: dict[int, list[Invoice]] = {}
        for invoice in self.invoices:
            found.setdefault(invoice.person, []).append(invoice)
        return found

    @cached_property
    def payments_for(self) -> dict[int, list[Payment]]:
        """By the number of the invoice."""
        found: dict[int, list[Payment]] = {}
        for payment in self.payments:
            if payment.invoice is not None:
                found.setdefault(payment.invoice, []).append(payment)
        return found

    def _bill(self, person: Person, chance: Random) -> None:
        currency, rate = _MARKET[person.country]
        for _ in range(
            self.company.long_history if person.number == KEY_ACCOUNT else chance.choice((0, 1, 2, 2, 3, 4))
        ):
            self._add_invoice(person, currency, rate, chance)
        if person.is_business and chance.random() < 0.5:
            since = self.company.today - timedelta(days=chance.randrange(40, 700))
            renews = self.company.today + timedelta(days=chance.randrange(1, 30))
            amount = _in(currency, 9_900)
            plan = "Trail guide subscription"
            self.subscriptions.append(
                Subscription(len(self.subscriptions), person.number, plan, amount, currency, since, renews)
            )

    def _add_invoice(self, person: Person, currency: str, rate: int, chance: Random) -> None:
        number = len(self.invoices)
        issued = self.company.today.date() - timedelta(days=chance.randrange(0, 400))
        due = issued + timedelta(days=chance.choice((0, 14, 30)))
        lines = tuple(self._line(currency, rate, chance) for _ in range(chance.choice((1, 1, 2, 3))))
        billed = chance.random() < 0.75
        status: InvoiceStatus = chance.choice(("draft", "open", "open", "paid", "paid", "paid", "paid", "void"))
        if status == "open" and billed and chance.random() < 0.1:
            status = "uncollectible"
        drift: Drift | None = None
        if billed and status == "paid":
            drift = _DRIFTS.get(number % 17)
        if billed and status in ("open", "paid") and number % 17 == 7:
            drift = "missing"
        ledger = self.ledger(person)
        invoice = Invoice(number, person.number, currency, status, issued, due, lines, ledger, billed, drift)
        self.invoices.append(invoice)
        if status == "paid":
            self._pay(invoice, chance)

    def _line(self, currency: str, rate: int, chance: Random) -> Line:
        text, price = chance.choice(_WORK)
        quantity, unit = chance.choice((1, 1, 2, 5)), _in(currency, price)
        tax = Money(amount=quantity * unit, currency=currency).share(rate, 10_000)
        return Line(text, quantity, unit, tax.amount)

    def _pay(self, invoice: Invoice, chance: Random) -> None:
        midnight = datetime.combine(invoice.issued, datetime.min.time(), self.company.today.tzinfo)
        at = min(midnight + timedelta(days=chance.randrange(0, 20), hours=9), self.company.today)
        drawn = chance.random()
        refunds: tuple[Repaid, ...] = ()
        disputed: Literal["open", "won", "lost"] | None = None
        if invoice.billed and drawn < 0.12:
            refunds = (Repaid(invoice.total // 3, min(at + timedelta(days=5), self.company.today)),)
        elif invoice.billed and drawn < 0.2:
            disputed = chance.choice(("open", "won", "lost"))
        person, bank = invoice.person, not invoice.billed
        if not bank and drawn > 0.9:
            self._receive(person, invoice, at, failed=True)
        self._receive(person, invoice, at, bank=bank, disputed=disputed, refunds=refunds)

    def _receive(
        self,
        person: int,
        invoice: Invoice,
        at: datetime,
        *,
        bank: bool = False,
        failed: bool = False,
        disputed: Literal["open", "won", "lost"] | None = None,
        refunds: tuple[Repaid, ...] = (),
    ) -> None:
        self.payments.append(
            Payment(
                number=len(self.payments),
                person=person,
                invoice=invoice.number,
                order=None,
                at=at,
                amount=invoice.total,
                currency=invoice.currency,
                bank=bank,
                failed=failed,
                disputed=disputed,
                refunds=refunds,
            )
        )

    def _pay_outside(self, order: Order) -> None:
        self.payments.append(
            Payment(
                number=len(self.payments),
                person=order.person,
                invoice=None,
                order=order.number,
                at=order.placed_at,
                amount=self.company.total(order),
                currency=self.company.currency,
                bank=False,
                refunds=self.repaid(order),
            )
        )

    def repaid(self, order: Order) -> tuple[Repaid, ...]:
        """What was given back of an order: all of it at once, or half of it, at times in two parts."""
        whole, days = self.company.total(order), 3 + order.number % 9
        if order.payment == "refunded":
            parts = [whole]
        elif order.payment == "partially_refunded":
            parts = [whole // 4, whole // 2 - whole // 4] if order.number % 2 else [whole // 2]
        else:
            parts = []
        return tuple(
            Repaid(part, min(order.placed_at + timedelta(days=days + 2 * n), self.company.today))
            for n, part in enumerate(parts)
        )


def _in(currency: str, cents: int) -> int:
    """About the same price, in minor units of this currency."""
    return cents // 100 * 150 if currency == "JPY" else cents


@dataclass(frozen=True, slots=True)
class Posting:
    """One side of an entry: what is debited to an account, or credited when negative."""

    account: LedgerAccount
    amount: Money


class Journal:
    """Double entry: what is posted is in balance, or refused. A ledger's sandbox keeps one, and reports from it."""

    def __init__(self) -> None:
        self.entries: list[tuple[date, str, tuple[Posting, ...]]] = []

    def post(self, on: date, about: str, *postings: Posting) -> None:
        """
        Raises:
            ValueError: debits and credits differ, in any currency.
        """
        for currency in {posting.amount.currency for posting in postings}:
            if total((p.amount for p in postings if p.amount.currency == currency), currency):
                raise ValueError(f"{about} is not in balance")
        self.entries.append((on, about, tuple(p for p in postings if p.amount)))

    def balances(
        self, *, until: date | None = None, since: date | None = None
    ) -> dict[tuple[LedgerAccount, str], Money]:
        """What each account holds in each currency: debits less credits, of entries in these days."""
        found: dict[tuple[LedgerAccount, str], Money] = {}
        for on, _, postings in self.entries:
            if (until is None or on <= until) and (since is None or on >= since):
                for posting in postings:
                    place = (posting.account, posting.amount.currency)
                    found[place] = found[place] + posting.amount if place in found else posting.amount
        return found
