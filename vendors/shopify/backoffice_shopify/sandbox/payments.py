"""What was paid for orders and given back, as Shopify writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from graphql import GraphQLError

from backoffice_shared.jsonvalues import arr
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Card
from backoffice_shared.sandbox.company import Company, Order
from backoffice_shopify.sandbox.connections import Record, listed
from backoffice_shopify.sandbox.till import FIRST_ORDER, SHOPS_OWN, Refund, Till, Transaction
from backoffice_shopify.sandbox.values import bag, identity, money, parts, time

BEYOND = "Quantity cannot refund more items than were purchased"
NO_LINE = "Line item does not exist"

_SHARE, _FLAT = 29, 30  # of a payment, in thousandths and in minor units: what Shopify Payments keeps


class Payments:
    """`lines` gives the records of an order's lines."""

    def __init__(self, till: Till, company: Company, lines: Callable[[Order], list[Record]]) -> None:
        self._till = till
        self._company = company
        self._currency = company.currency
        self._lines = lines

    def transactions(self, order: Order) -> list[Record]:
        return [self._transaction(order, moved) for moved in self._till.transactions(order)]

    def refunds(self, order: Order) -> list[Record]:
        return [self.refund(order, refund) for refund in self._till.refunds(order)]

    def numbered(self, number: int) -> Record | None:
        found = self._till.numbered(number)
        return None if found is None else self.refund(*found)

    def refund(self, order: Order, made: Refund) -> Record:
        at = time(made.at)
        return {
            "__typename": "Refund",
            **identity("Refund", made.number),
            "createdAt": at,
            "processedAt": at,
            "updatedAt": at,
            "note": made.note,
            "totalRefundedSet": self._bag(made.amount),
            "transactions": listed([self._transaction(order, moved) for moved in made.transactions]),
            "refundLineItems": listed(
                [self._returned(order, made, position, quantity) for position, quantity in made.lines]
            ),
        }

    def suggested(self, order: Order, given: Record) -> Record:
        """No more than is left is ever suggested.

        Raises:
            GraphQLError: the order has no such line, or not so many left.
        """
        left = self._till.left(order)
        lines = asked_back(order, arr(given.get("refundLineItems")))
        if beyond(lines, self._till.units_left(order)) is not None:
            raise GraphQLError(BEYOND, extensions={"code": "BAD_REQUEST"})
        asked = sum(self._price(order, position) * quantity for position, quantity in lines)
        return {
            "amountSet": self._bag(left if given.get("suggestFullRefund") else min(asked, left)),
            "subtotalSet": self._bag(asked),
            "maximumRefundableSet": self._bag(left),
        }

    def _price(self, order: Order, position: int) -> int:
        product, _ = order.lines[position]
        return self._company.products[product].price

    def _transaction(self, order: Order, moved: Transaction) -> Record:
        pending, card = moved.kind == "SALE" and moved.status == "PENDING", self._till.card(order)
        return {
            "__typename": "OrderTransaction",
            "id": f"gid://shopify/OrderTransaction/{moved.number}",
            "kind": moved.kind,
            "status": moved.status,
            "amountSet": self._bag(moved.amount),
            "createdAt": time(moved.at),
            "processedAt": None if pending else time(moved.at),
            "formattedGateway": moved.gateway.title,
            "gateway": moved.gateway.word,
            "errorCode": None,
            "paymentId": lambda: self._till.reference(order) if moved.kind == "SALE" else None,
            "paymentDetails": None if card is None or moved.gateway is not SHOPS_OWN else _paid_with(card),
            "parentTransaction": lambda: (
                None if moved.parent is None else self._transaction(order, self._till.sale(order))
            ),
            "fees": self._fees(moved),
        }

    def _fees(self, moved: Transaction) -> list[Record]:
        if moved.kind != "SALE" or moved.gateway is not SHOPS_OWN:
            return []
        fee = Money(amount=moved.amount, currency=self._currency).share(_SHARE, 1_000).amount + _FLAT
        kept = {"id": f"gid://shopify/TransactionFee/{moved.number}", "type": "processing_fee"}
        return [{**kept, "amount": money(fee, self._currency), "taxAmount": money(0, self._currency)}]

    def _returned(self, order: Order, made: Refund, position: int, quantity: int) -> Record:
        return {
            "id": f"gid://shopify/RefundLineItem/{made.number * 100 + position}",
            "lineItem": lambda: self._lines(order)[position],
            "quantity": quantity,
            "restockType": "NO_RESTOCK",
            "restocked": False,
            "subtotalSet": self._bag(self._price(order, position) * quantity),
        }

    def _bag(self, amount: int) -> Record:
        return bag(amount, self._currency)


def asked_back(order: Order, given: Sequence[Mapping[str, object]]) -> tuple[tuple[int, int], ...]:
    """(position in the order, quantity) of `refundLineItems`.

    Raises:
        GraphQLError: the order has no such line.
    """
    first = (FIRST_ORDER + order.number) * 10
    found: list[tuple[int, int]] = []
    for line in given:
        kind, number = parts(str(line["lineItemId"]))
        if kind != "LineItem" or not 0 <= number - first < len(order.lines):
            raise GraphQLError(NO_LINE, extensions={"code": "BAD_REQUEST"})
        found.append((number - first, int(str(line["quantity"]))))
    return tuple(found)


def beyond(lines: Sequence[tuple[int, int]], left: Sequence[int]) -> int | None:
    """The first of these lines of which there are not so many left; a line may be named twice."""
    left = list(left)
    for nth, (position, quantity) in enumerate(lines):
        left[position] -= quantity
        if quantity < 1 or left[position] < 0:
            return nth
    return None


def _paid_with(card: Card) -> Record:
    return {
        "__typename": "CardPaymentDetails",
        "company": card.brand.capitalize(),
        "number": f"•••• •••• •••• {card.last4}",
        "expirationMonth": card.exp_month,
        "expirationYear": card.exp_year,
    }
