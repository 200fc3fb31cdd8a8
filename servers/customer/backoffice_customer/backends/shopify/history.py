"""A customer's orders and refunds as one history.

Orders come from a search, newest first, a page at a time. Refunds cannot be searched for, and are not in the order of
their orders: all of them are read before the first can be placed. A place in the history is one in each of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from backoffice_customer.backends.shopify.orders import row, total
from backoffice_customer.models import Event
from backoffice_customer.ports import Span
from backoffice_shared.money import to_decimal
from backoffice_shared.paging import Chunk
from backoffice_shopify.backend import SHOPIFY
from backoffice_shopify.search import condition, one_of
from backoffice_shopify.wire import following, in_admin, native, ref, shop_money, time


@dataclass(frozen=True, slots=True)
class Place:
    """The vendor's cursor of the last order given, and when the last refund given was made, with its number."""

    order: str | None = None
    refund: tuple[datetime, int] | None = None


_PLACES = TypeAdapter(Place)


def place(cursor: str | None) -> Place:
    return Place() if cursor is None else _PLACES.validate_json(cursor)


@dataclass(frozen=True, slots=True)
class Orders:
    """A page of orders, each with the cursor that continues after it. `total` is of the first page only."""

    events: Sequence[tuple[Event, str]] = ()
    more: bool = False
    total: int | None = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Refunds:
    """Refunds. `next` is the cursor of further orders that have some; `capped`: there are more than are read."""

    events: Sequence[Event] = ()
    next: str | None = None
    capped: bool = False


# ------------------------------------------------------------------------------------------ our words to a search


def orders_in(customers: Sequence[str], span: Span) -> str:
    bounds = ((">=", span.since), ("<=", span.until))
    times = [condition("created_at", comparator, time(at)) for comparator, at in bounds if at is not None]
    return " ".join((one_of("customer_id", customers), *times))


def refunded_in(customers: Sequence[str], span: Span) -> str:
    """Orders with a refund in this time: placed before its end, and changed after its beginning."""
    times = [
        "" if span.since is None else condition("updated_at", ">=", time(span.since)),
        "" if span.until is None else condition("created_at", "<=", time(span.until)),
    ]
    statuses = one_of("financial_status", ("partially_refunded", "refunded"))
    return " ".join(filter(None, (one_of("customer_id", customers), statuses, *times)))


# ------------------------------------------------------------------------------------------ wire to our words


def orders(data: Any) -> Orders:
    edges, shop = data["orders"]["edges"], data["shop"]
    count, estimated = total(data)
    return Orders(
        [(_ordered(edge["node"], shop), edge["cursor"]) for edge in edges],
        following(data["orders"]) is not None,
        count,
        estimated,
    )


def _ordered(wire: Any, shop: Any) -> Event:
    order = row(wire, shop)
    amount = f"{to_decimal(order.total)} {order.total.currency}"
    payment, cancelled = order.payment_status.replace("_", " "), "" if wire["cancelledAt"] is None else " Cancelled."
    return Event(
        id=order.order_id,
        kind="order",
        at=order.placed_at,
        title=f"Order {order.number}",
        summary=f"{amount}. Payment: {payment}. Fulfilment: {order.fulfilment_status}.{cancelled}",
        direction="in",
        system=SHOPIFY.name,
        url=order.url,
    )


def refunds(data: Any, most: int) -> Refunds:
    """`most` is how many refunds of an order are asked for: when there are as many, there may be more."""
    wires = data["orders"]["nodes"]
    events = [_refunded(refund, order, data["shop"]) for order in wires for refund in order["refunds"]]
    return Refunds(
        [event for event in events if event is not None],
        following(data["orders"]),
        any(len(order["refunds"]) >= most for order in wires),
    )


def _refunded(wire: Any, order: Any, shop: Any) -> Event | None:
    """None where no money went back: what was only put back into stock is recorded as a refund too."""
    money = shop_money(wire["totalRefundedSet"])
    if not money.amount:
        return None
    note = wire["note"] or ""
    return Event(
        id=ref("refund", wire),
        kind="refund",
        at=wire["processedAt"],
        title=f"Refund of order {order['name']}",
        summary=f"{to_decimal(money)} {money.currency}. {note}".strip()[:240],
        direction="out",
        system=SHOPIFY.name,
        url=in_admin(shop, "orders", native(order["id"])),
    )


# ------------------------------------------------------------------------------------------------------- together


def merged(orders: Orders, refunds: Refunds, span: Span, after: Place, limit: int) -> Chunk[Event]:
    """The `limit` events that follow `after`. `orders` begin there and are as many, unless there are no more."""
    wanted = [event for event in refunds.events if _within(event.at, span)]
    left = [event for event in wanted if after.refund is None or _refund_place(event) < after.refund]
    events = [*sorted(left, key=_refund_place, reverse=True), *(event for event, _ in orders.events)]
    events.sort(key=lambda event: event.at, reverse=True)
    page = events[:limit]
    cursors = {event.id: cursor for event, cursor in orders.events}
    reached = Place(
        next((cursors[event.id] for event in reversed(page) if event.kind == "order"), after.order),
        next((_refund_place(event) for event in reversed(page) if event.kind == "refund"), after.refund),
    )
    more = orders.more or len(events) > limit
    return Chunk(
        page,
        _PLACES.dump_json(reached).decode() if more else None,
        None if orders.total is None else orders.total + len(wanted),
        orders.estimated,
        refunds.capped,
    )


def _within(at: datetime, span: Span) -> bool:
    return (span.since is None or span.since <= at) and (span.until is None or at <= span.until)


def _refund_place(event: Event) -> tuple[datetime, int]:
    return event.at, int(event.id.rpartition(":")[2])
