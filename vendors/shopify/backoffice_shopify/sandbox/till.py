"""The money of orders: what was taken, what was given back, and how much still may be.

What the company's facts say, and what was refunded since the sandbox is there. No order ever gives back more than it
received, and no line more units than it has.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import blake2b
from typing import Literal

from backoffice_shared.sandbox.books import Books, Card, Payment, paid_outside
from backoffice_shared.sandbox.company import Company, Order

FIRST_ORDER, FIRST_MADE = 800_001, 20_000_001
PENDS = timedelta(minutes=10)
"""After so long, a refund that is under way has arrived."""

Status = Literal["SUCCESS", "PENDING"]


@dataclass(frozen=True, slots=True)
class Gateway:
    """Through whom money was taken: Shopify's word, and what people call it."""

    word: str
    title: str


SHOPS_OWN = Gateway("shopify_payments", "Shopify Payments")
OUTSIDE = Gateway("stripe", "Stripe")
BY_HAND = Gateway("manual", "Bank Deposit")


@dataclass(frozen=True, slots=True)
class Transaction:
    """Money that moved, or was to. `amount` in minor units; `parent` is the number of the one that it gives back."""

    number: int
    kind: Literal["SALE", "REFUND"]
    status: Status
    amount: int
    at: datetime
    gateway: Gateway
    parent: int | None = None


@dataclass(frozen=True, slots=True)
class Refund:
    """`lines` are (position in the order, quantity). One without transactions gave no money."""

    number: int
    order: int
    at: datetime
    note: str | None = None
    lines: tuple[tuple[int, int], ...] = ()
    transactions: tuple[Transaction, ...] = ()

    @property
    def amount(self) -> int:
        return sum(transaction.amount for transaction in self.transactions)


class Till:
    """`settles_after` is how long a refund is under way where the customer's bank takes its time."""

    def __init__(self, company: Company, now: Callable[[], datetime], settles_after: timedelta = PENDS) -> None:
        self._company = company
        self._now = now
        self._settles_after = settles_after
        self._made: dict[int, list[Refund]] = {}
        self._orders_made: dict[int, int] = {}
        self.changes = 0
        """How often money moved since the sandbox is there."""

    # ------------------------------------------------------------------------------------------------------- reading

    def sale(self, order: Order) -> Transaction:
        pending = order.payment == "pending"
        gateway = BY_HAND if pending else OUTSIDE if paid_outside(order) else SHOPS_OWN
        status: Status = "PENDING" if pending else "SUCCESS"
        return Transaction(_first(order), "SALE", status, self._company.total(order), order.placed_at, gateway)

    def refunds(self, order: Order) -> list[Refund]:
        """The oldest first."""
        return [*self._facts(order), *map(self._settled, self._made.get(order.number, []))]

    def numbered(self, number: int) -> tuple[Order, Refund] | None:
        """A refund by its number, with its order."""
        order = self._orders_made.get(number, number // 10 - FIRST_ORDER)
        if not 0 <= order < len(self._company.orders):
            return None
        of = self._company.orders[order]
        return next(((of, refund) for refund in self.refunds(of) if refund.number == number), None)

    def transactions(self, order: Order) -> list[Transaction]:
        return [self.sale(order), *(moved for refund in self.refunds(order) for moved in refund.transactions)]

    def received(self, order: Order) -> int:
        return 0 if order.payment == "pending" else self._company.total(order)

    def refunded(self, order: Order) -> int:
        """What was given back, or is on its way."""
        return sum(refund.amount for refund in self.refunds(order))

    def left(self, order: Order) -> int:
        """What may still be given back."""
        return self.received(order) - self.refunded(order)

    def units_left(self, order: Order) -> list[int]:
        """Of each line, how many can still be given back."""
        units = [quantity for _, quantity in order.lines]
        for position, quantity in (line for refund in self.refunds(order) for line in refund.lines):
            units[position] -= quantity
        return units

    def payment_status(self, order: Order) -> str:
        if order.number not in self._made:
            return order.payment.upper()
        return "PARTIALLY_REFUNDED" if self.left(order) else "REFUNDED"

    def card(self, order: Order) -> Card | None:
        """With which the customer paid, where the shop took the money."""
        return Books.card(self._company.people[order.person])

    def reference(self, order: Order) -> str | None:
        """The payment's id with whoever took it, where that was not the shop."""
        payment = self._outside.get(order.number)
        return None if payment is None else _providers_id(payment)

    @cached_property
    def _outside(self) -> dict[int, Payment]:
        return {payment.order: payment for payment in self._company.books.payments if payment.order is not None}

    def _facts(self, order: Order) -> list[Refund]:
        """Of what was wholly paid back, everything came back; of what was paid back in part, nothing."""
        first, sale = _first(order), self.sale(order)
        everything = tuple((position, quantity) for position, (_, quantity) in enumerate(order.lines))
        return [
            Refund(
                number=first + nth,
                order=order.number,
                at=repaid.at,
                lines=everything if order.payment == "refunded" else (),
                transactions=(
                    Transaction(
                        first + 1 + nth, "REFUND", "SUCCESS", repaid.amount, repaid.at, sale.gateway, sale.number
                    ),
                ),
            )
            for nth, repaid in enumerate(self._company.books.repaid(order))
        ]

    def _settled(self, refund: Refund) -> Refund:
        return refund if refund.at + self._settles_after > self._now() else _arrived(refund)

    # ------------------------------------------------------------------------------------------------------- writing

    def refund(self, order: Order, amounts: list[int], lines: tuple[tuple[int, int], ...], note: str | None) -> Refund:
        """Give this back. Whoever calls has seen that there is as much left, of money and of each line."""
        sale, now = self.sale(order), self._now()
        card = self.card(order)
        pends = sale.gateway is SHOPS_OWN and card is not None and card.behaviour == "refund_pends"
        number = FIRST_MADE + self.changes
        refund = Refund(
            number=number,
            order=order.number,
            at=now,
            note=note,
            lines=lines,
            transactions=tuple(
                Transaction(
                    number=number * 10 + nth,
                    kind="REFUND",
                    status="PENDING" if pends else "SUCCESS",
                    amount=amount,
                    at=now,
                    gateway=sale.gateway,
                    parent=sale.number,
                )
                for nth, amount in enumerate(amounts)
            ),
        )
        self._made.setdefault(order.number, []).append(refund)
        self._orders_made[number] = order.number
        self.changes += 1
        return refund

    def settle(self) -> None:
        """What is under way has arrived."""
        for refunds in self._made.values():
            refunds[:] = map(_arrived, refunds)


def _providers_id(payment: Payment) -> str:
    """What the payment provider's sandbox calls it. That is in another distribution; a test holds the two together."""
    digest = blake2b(b"pi:%d" % payment.number, digest_size=18).digest()
    return f"pi_3{b64encode(digest, b'Qx').decode()[:23]}"


def _arrived(refund: Refund) -> Refund:
    return replace(refund, transactions=tuple(replace(moved, status="SUCCESS") for moved in refund.transactions))


def _first(order: Order) -> int:
    """The number of an order's first transaction, and of its first refund."""
    return (FIRST_ORDER + order.number) * 10
