"""What the shop took for its orders, and giving it back, by Shopify's Admin API.

Amounts are in the currency that the customer paid in, which a refund is made in. A refund happens once for each key:
Shopify knows it for a day, and it stands in the refund's note.

Checked, besides the schema of 2026-10:

- `refundCreate` needs `@idempotent` since 2026-04:
  https://shopify.dev/changelog/making-idempotency-mandatory-for-inventory-adjustments-and-refund-mutations
- Keys are known for 24 hours: https://shopify.dev/docs/api/usage/implementing-idempotency
- Orders older than 60 days need `read_all_orders`: https://shopify.dev/docs/api/admin-graphql/latest/objects/Order

Not checked, for want of a shop: what `paymentId` holds for a payment that another provider took, when a refund through
Shopify Payments is told as pending, and how far a search of orders is behind what was changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from backoffice_billing.backends.shopify import orders, payments, queries
from backoffice_billing.backends.shopify.orders import Found
from backoffice_billing.models import OrderPayment, PaidOrder, Payment, PaymentSection, Refund
from backoffice_billing.ports import RefundDraft, ReturnedLine
from backoffice_shared.errors import Conflict, InvalidInput, NotFound, TooLarge
from backoffice_shared.http.client import BackendClient, Written
from backoffice_shared.http.once import once
from backoffice_shared.money import Money, nothing, to_decimal
from backoffice_shared.sources import at_once
from backoffice_shopify.backend import KEYS_LAST, SHOPIFY, VERSION
from backoffice_shopify.wire import following, gid

T = TypeVar("T")

_GRAPHQL = f"/admin/api/{VERSION}/graphql.json"
_MOST_PAGES = 10  # of an order's lines, or of somebody's orders
_MOST_REFUNDED = 25  # of somebody's orders


class Shopify:
    """Orders as far as they were paid; and refunds of what the shop itself took."""

    def __init__(self, http: BackendClient) -> None:
        self._http = http
        gateways = http.options["gateways"].split(",")
        self._own = frozenset(gateway.strip().casefold() for gateway in gateways if gateway.strip())

    # ----------------------------------------------------------------------------------------------------- orders

    async def order(self, number: str) -> PaidOrder:
        found = await self._numbered(number)
        if not found:
            raise NotFound(SHOPIFY.title, f"no such order: {number[:80]!r}")
        if len(found) > 1:
            meant = " or ".join(one.order.order_id for one in found)
            raise InvalidInput(SHOPIFY.title, f"{number[:80]!r} are several orders", hint=f"Give {meant}")
        return await self._whole(found[0])

    async def order_by_id(self, native: str) -> PaidOrder:
        found = await self._identified(native) if orders.is_id(native) else None
        if found is None:
            raise NotFound(SHOPIFY.title, f"no such order: {native[:80]!r}")
        return await self._whole(found)

    async def suggested(self, order: str, lines: Sequence[ReturnedLine]) -> Money:
        found = await self.order_by_id(order)
        wanted = orders.lines_of(found, lines)
        orders.check_left(found, wanted)
        if not wanted:
            return nothing(found.total.currency)
        return await self._ask(
            "orders.suggested",
            queries.SUGGESTED,
            {"id": gid("Order", orders.native_of(found.order_id)), "lines": orders.input_lines(wanted)},
            into=lambda data: orders.suggestion(data["order"]),
        )

    async def refunds_of(self, email: str, since: datetime) -> list[Refund]:
        """Of the money that the shop took itself: what another provider took, that one gives back, and tells.

        A search says which orders were changed, and may be some moments behind; their refunds are as they are now.
        """
        changed = await self._refunded_orders(email, since) if email.strip() else []
        lists = await at_once(*(self._given_back(order) for order in changed))
        found = [refund for refunds in lists for refund in refunds if refund.at >= since]
        return sorted(found, key=lambda refund: refund.at, reverse=True)

    async def _refunded_orders(self, email: str, since: datetime) -> list[str]:
        """Those that were changed since then, and have a refund, of whatever time."""
        found: dict[str, None] = {}
        after: str | None = None
        for _ in range(_MOST_PAGES):
            refunded, after = await self._ask(
                "orders.changed",
                queries.CHANGED,
                {"query": orders.changed(email, since), "first": queries.CHANGES, "after": after},
                into=lambda data: (orders.refunded(data["orders"]["nodes"], email), following(data["orders"])),
            )
            found |= dict.fromkeys(refunded)
            if len(found) > _MOST_REFUNDED:
                break
            if after is None:
                return list(found)
        raise TooLarge(SHOPIFY.title, "more orders of this address were changed than can be read here")

    async def _given_back(self, order: str) -> list[Refund]:
        return await self._ask(
            "refunds.list",
            queries.GIVEN_BACK,
            {"id": order, "first": queries.REFUNDS, "parts": queries.PARTS},
            into=partial(payments.given_back, own=self._own),
        )

    # --------------------------------------------------------------------------------------------------- payments

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        order, transaction = payments.place(native)
        found = await self._ask(
            "payments.get",
            queries.PAYMENT,
            {
                "id": gid("Order", order),
                "moves": queries.MOVES,
                "refundsFirst": queries.REFUNDS,
                "parts": queries.PARTS,
                "refunds": "refunds" in sections,
                "fees": "fees" in sections,
            },
            into=partial(payments.payment, transaction=transaction, sections=sections, own=self._own),
        )
        if found is None:
            raise NotFound(SHOPIFY.title, f"no such payment: {native[:80]!r}")
        return found

    async def refund(self, draft: RefundDraft, key: str) -> Written[Refund]:
        """
        Raises:
            InvalidInput: it is of another currency, or names lines that the order does not have.
            NotFound: there is no such captured payment.
        """
        order, transaction = payments.place(draft.payment)
        if draft.amount.amount < 1:
            raise InvalidInput("", f"what is given back is more than nothing, not {draft.amount}")
        wanted = await self._input(draft, order, transaction, key)
        made = partial(payments.refunded, payment=draft.payment, asked=draft.amount)
        return await once(
            SHOPIFY.title,
            partial(self._refund, order, wanted, key, made),
            partial(self._refunded, order, key, made),
            remembers=KEYS_LAST,
        )

    async def refund_made(self, payment: str, key: str) -> Refund | None:
        order, _ = payments.place(payment)
        paid = await self.payment(payment, frozenset())
        # How much of it, Shopify says, unless nothing has moved yet.
        made = partial(payments.refunded, payment=payment, asked=paid.amount)
        return await self._refunded(order, key, made, paid.at)

    async def _input(self, draft: RefundDraft, order: str, transaction: str, key: str) -> dict[str, Any]:
        """What `refundCreate` is given: the same for the same draft and key, whatever was refunded meanwhile."""
        found = await self.order_by_id(order)
        taken = self._taken(found, draft.payment)
        if draft.amount.currency != taken.amount.currency:
            paid = f"this payment was made in {taken.amount.currency}, and is not given back in {draft.amount.currency}"
            raise InvalidInput(SHOPIFY.title, paid)
        return {
            "orderId": gid("Order", order),
            "note": payments.noted(draft.reason, key),
            "notify": False,
            "currency": taken.amount.currency,
            "refundLineItems": orders.input_lines(orders.lines_of(found, draft.lines)),
            "transactions": [
                {
                    "orderId": gid("Order", order),
                    "parentId": gid("OrderTransaction", transaction),
                    "kind": "REFUND",
                    "gateway": taken.gateway,
                    "amount": to_decimal(draft.amount),
                }
            ],
        }

    def _taken(self, order: PaidOrder, payment: str) -> OrderPayment:
        found = next((taken for taken in order.payments if orders.native_of(taken.payment_id) == payment), None)
        if found is None:
            raise NotFound(SHOPIFY.title, f"no such captured payment: {payment[:80]!r}")
        if not found.by_shop:
            elsewhere = f"the shop did not take this money itself: it came through {found.gateway}"
            raise Conflict(SHOPIFY.title, elsewhere, hint="It is given back where it was taken")
        return found

    async def _refund(
        self, order: str, wanted: Mapping[str, Any], key: str, made: Callable[[Any], Refund]
    ) -> Written[Refund]:
        variables = {"input": wanted, "key": key, "parts": queries.PARTS}
        return await self._http.write(
            "refunds.create",
            _GRAPHQL,
            json={"query": queries.REFUND, "variables": variables},
            into=lambda wire: made(wire["data"]["refundCreate"]["refund"]),
            twice="looked up",
            touches=("orders", f"order:{order}"),
        )

    async def _refunded(self, order: str, key: str, made: Callable[[Any], Refund], _since: datetime) -> Refund | None:
        """The refund that was made with this key: it is in its note, whatever the time."""
        found = await self._ask(
            "refunds.look",
            queries.NOTES,
            {"id": gid("Order", order), "first": queries.MARKED},
            into=partial(payments.marked, key=key),
        )
        if found is None:
            return None
        return await self._ask(
            "refunds.get",
            queries.REFUNDED,
            {"id": found, "parts": queries.PARTS},
            into=lambda data: made(data["refund"]),
        )

    # -------------------------------------------------------------------------------------------- what we ask for

    async def _identified(self, order: str) -> Found | None:
        return await self._ask(
            "orders.paid",
            queries.ORDER,
            {"id": gid("Order", order), "payments": queries.PAYMENTS, "lines": queries.LINES},
            into=lambda data: None if data["order"] is None else orders.found(data["order"], self._own),
        )

    async def _numbered(self, number: str) -> list[Found]:
        sizes = {"first": queries.NAMESAKES, "payments": queries.PAYMENTS, "lines": queries.LINES}
        return await self._ask(
            "orders.paid",
            queries.ORDERS,
            {"query": orders.numbered(number), **sizes},
            into=lambda data: [
                orders.found(wire, self._own) for wire in orders.called(data["orders"]["nodes"], number)
            ],
        )

    async def _whole(self, found: Found) -> PaidOrder:
        """The order with all of its lines."""
        order = orders.native_of(found.order.order_id)
        for _ in range(_MOST_PAGES):
            if found.more is None:
                return found.order
            found = await self._ask(
                "orders.lines",
                queries.MORE_LINES,
                {"id": gid("Order", order), "lines": queries.LINES, "after": found.more},
                into=lambda data, found=found: found.with_lines(data["order"]["lineItems"]),
            )
        raise TooLarge(SHOPIFY.title, f"order {found.order.number} has more lines than can be read here")

    async def _ask(self, operation: str, document: str, variables: Mapping[str, Any], *, into: Callable[[Any], T]) -> T:
        """Never from a cache: what is asked here decides about money."""
        return await self._http.read(
            operation,
            _GRAPHQL,
            method="POST",
            json={"query": document, "variables": variables},
            into=lambda wire: into(wire["data"]),
        )
