"""Giving money back: `refundCreate`, once for each idempotency key.

What it refuses, and in which words, is as recorded of a shop of Shopify's, API 2025-01 and 2026-04:
https://github.com/airhorns/shopify-draft-proxy (fixtures/conformance, orders/refund-create-*.json). For how long a key
is known: https://shopify.dev/docs/api/usage/implementing-idempotency; what is said of one used twice: the enums of the
schema. That a refusal uses up no key, and what is said of a blank one or of no amount, could not be checked. Unlike
Shopify, the sandbox puts nothing back into stock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from graphql import GraphQLError

from backoffice_shared.jsonvalues import arr, canonical
from backoffice_shared.money import Money, from_decimal, to_decimal
from backoffice_shared.sandbox.company import Order
from backoffice_shopify.sandbox.connections import Record
from backoffice_shopify.sandbox.payments import BEYOND, asked_back, beyond
from backoffice_shopify.sandbox.records import Records
from backoffice_shopify.sandbox.shop import Shop
from backoffice_shopify.sandbox.till import Refund
from backoffice_shopify.sandbox.values import parts

KEYS_LAST = timedelta(hours=24)
_MISMATCH = "The same idempotency key cannot be used with different operation parameters."


@dataclass(frozen=True, slots=True)
class _Done:
    """What a key was used for, when, and what came of it."""

    asked: str
    at: datetime
    order: int
    number: int


class _Refused(Exception):  # noqa: N818 - it is what happened
    def __init__(self, field: list[str] | None, message: str) -> None:
        super().__init__(message)
        self.error = {"field": field, "message": message}


class Refunding:
    def __init__(self, shop: Shop, records: Records, now: Callable[[], datetime]) -> None:
        self._shop = shop
        self._records = records
        self._now = now
        self._done: dict[str, _Done] = {}

    def create(self, given: Record, key: str) -> Record:
        """
        Raises:
            GraphQLError: the request is no such mutation.
        """
        if not key.strip():
            raise GraphQLError("The idempotency key cannot be blank.", extensions={"code": "BAD_REQUEST"})
        wanted, asked = given["input"], canonical(given["input"])
        done = self._done.get(key)
        if done is not None and self._now() - done.at < KEYS_LAST:
            refund = self._records.payments.numbered(done.number) if done.asked == asked else None
            errors = [] if refund is not None else [{"field": None, "message": _MISMATCH}]
            return {"refund": refund, "order": self._records.order(done.order), "userErrors": errors}
        number = self._number(wanted["orderId"])
        if number is None:
            return {"refund": None, "order": None, "userErrors": [_error(["orderId"], "Order does not exist")]}
        order = self._shop.orders[number]
        try:
            made = self._give_back(order, number, wanted)
        except _Refused as refused:
            return {"refund": None, "order": self._records.order(number), "userErrors": [refused.error]}
        self._done[key] = _Done(asked, made.at, number, made.number)
        return {
            "refund": self._records.payments.refund(order, made),
            "order": self._records.order(number),
            "userErrors": [],
        }

    def _number(self, gid: str) -> int | None:
        kind, number = parts(gid)
        return number if kind == "Order" and number in self._shop.orders else None

    def _give_back(self, order: Order, number: int, wanted: Record) -> Refund:
        till = self._shop.till
        amounts = [self._amount(order, number, moved) for moved in arr(wanted.get("transactions"))]
        asked = arr(wanted.get("refundLineItems"))
        if any(line.get("restockType") not in (None, "NO_RESTOCK") for line in asked):
            raise GraphQLError("This sandbox puts nothing back into stock.", extensions={"code": "BAD_REQUEST"})
        lines = asked_back(order, asked)
        nth = beyond(lines, till.units_left(order))
        if nth is not None:
            raise _Refused(["refundLineItems", str(nth), "quantity"], BEYOND)
        total, left = sum(amounts), till.left(order)
        if total > left:
            most = f"net payment received ${self._written(left)}"
            raise _Refused(None, f"Refund amount ${self._written(total)} is greater than {most}")
        return till.refund(order, amounts, lines, wanted.get("note"))

    def _amount(self, order: Order, number: int, moved: Record) -> int:
        """What one of the transactions gives back. Through whom is what its parent says, whatever it says itself."""
        if moved["kind"] != "REFUND":
            raise _Refused(None, f"Kind {moved['kind'].lower()} is not a valid transaction")
        parent = None if moved.get("parentId") is None else parts(moved["parentId"])
        taken = self._shop.till.sale(order)
        if parent != ("OrderTransaction", taken.number) or parts(moved["orderId"]) != ("Order", number):
            raise _Refused(["transactions"], "Transactions require a parent_id associated with the order")
        try:
            amount = from_decimal(str(moved["amount"]), self._shop.company.currency).amount
        except ValueError:
            raise GraphQLError(f"Invalid money '{moved['amount']}'", extensions={"code": "INVALID_VARIABLE"}) from None
        if amount < 1:
            raise _Refused(["transactions"], "Refund amount must be greater than 0")
        return amount

    def _written(self, amount: int) -> str:
        return to_decimal(Money(amount=amount, currency=self._shop.company.currency))


def _error(field: Sequence[str], message: str) -> dict[str, Any]:
    return {"field": list(field), "message": message}
