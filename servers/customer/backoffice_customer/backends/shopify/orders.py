"""Orders in our words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from backoffice_customer.backends.shopify import queries
from backoffice_customer.models import (
    Contact,
    FulfilmentStatus,
    Order,
    OrderLine,
    OrderRow,
    Payment,
    PaymentStatus,
    Refund,
    Return,
    ReturnedLine,
    Shipment,
)
from backoffice_customer.ports import OrderQuery
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.paging import Chunk
from backoffice_shopify.backend import SHOPIFY
from backoffice_shopify.search import condition, one_of
from backoffice_shopify.wire import (
    following,
    in_admin,
    is_cut,
    native,
    numbers,
    ref,
    shop_money,
    time,
)

T = TypeVar("T")

# ------------------------------------------------------------------------------------------ our words to a search


def orders_like(query: OrderQuery) -> str:
    conditions = [
        one_of("customer_id", numbers(query.customers)) if query.customers else "",
        condition("name", "", query.number) if query.number else "",
        condition("email", "", query.email) if query.email else "",
        one_of("financial_status", _meaning(query.payment, _PAYMENT_SEARCH)) if query.payment else "",
        one_of("fulfillment_status", _meaning(query.fulfilment, _FULFILMENT_SEARCH)) if query.fulfilment else "",
        condition("sku", "", query.sku) if query.sku else "",
        condition("created_at", ">=", time(query.since)) if query.since else "",
    ]
    return " ".join(filter(None, conditions))


def _meaning(ours: Iterable[str], theirs: Mapping[str, Sequence[str]]) -> list[str]:
    """The vendor's words for any of ours. A word that we do not have stands for itself, and is found nowhere."""
    return [word for status in ours for word in theirs.get(status, (status,))]


_PAYMENT_SEARCH: dict[str, tuple[str, ...]] = {
    "pending": ("pending", "authorized", "partially_paid"),
    "voided": ("voided", "expired"),
}
_FULFILMENT_SEARCH: dict[str, tuple[str, ...]] = {
    "unfulfilled": ("unfulfilled", "unshipped", "scheduled", "on_hold", "request_declined"),
    "fulfilled": ("fulfilled", "shipped"),
}


def customers_of(who: Iterable[Contact]) -> list[str]:
    """The shop's own ids of these."""
    return numbers(contact.ref.native for contact in who if contact.ref.backend == SHOPIFY.name)


# ------------------------------------------------------------------------------------------ wire to our words


def rows(query: OrderQuery, data: Any) -> Chunk[OrderRow]:
    """The rows that are what was asked for: the vendor's text search is looser than our question."""
    wires = [edge["node"] for edge in data["orders"]["edges"]]
    found = [row(wire, data["shop"]) for wire in wires if _by(query.email, wire)]
    kept = [
        row
        for row in found
        if (not query.payment or row.payment_status in query.payment)
        and (not query.fulfilment or row.fulfilment_status in query.fulfilment)
    ]
    loosely = bool(query.email or query.payment or query.fulfilment or query.number or query.sku)
    count, estimated = total(data)
    return Chunk(kept, following(data["orders"]), count, estimated or (loosely and count is not None))


def total(data: Any) -> tuple[int | None, bool]:
    """The number of matches, asked for with the first page only, and whether it is a guess."""
    count = data.get("ordersCount")
    return (None, False) if count is None else (count["count"], count["precision"] != "EXACT")


def _by(email: str | None, wire: Any) -> bool:
    return email is None or str(wire["email"]).lower() == email.lower()


def row(wire: Any, shop: Any) -> OrderRow:
    return OrderRow(
        order_id=ref("order", wire),
        number=wire["name"],
        placed_at=wire["createdAt"],
        total=shop_money(wire["totalPriceSet"]),
        payment_status=_PAYMENT[wire["displayFinancialStatus"]],
        fulfilment_status=_FULFILMENT.get(wire["displayFulfillmentStatus"], "unfulfilled"),
        items_count=wire["subtotalLineItemsQuantity"],
        customer_id=None if wire["customer"] is None else ref("customer", wire["customer"]),
        url=in_admin(shop, "orders", native(wire["id"])),
    )


_PAYMENT: dict[str | None, PaymentStatus] = {
    None: "pending",
    "PENDING": "pending",
    "AUTHORIZED": "pending",
    "PARTIALLY_PAID": "pending",
    "PAID": "paid",
    "PARTIALLY_REFUNDED": "partially_refunded",
    "REFUNDED": "refunded",
    "VOIDED": "voided",
    "EXPIRED": "voided",
}
# Every other status says why nothing was sent yet.
_FULFILMENT: dict[str, FulfilmentStatus] = {
    "FULFILLED": "fulfilled",
    "FULFILLMENT_NOT_REQUIRED": "fulfilled",
    "PARTIALLY_FULFILLED": "partial",
}


def order(data: Any) -> Order | None:
    wire = data["order"]
    if wire is None:
        return None
    suggestion = wire["suggestedRefund"]
    return Order(
        notes=list(_cuts(wire)),
        **row(wire, data["shop"]).model_dump(exclude={"items_count"}),
        cancelled_at=wire["cancelledAt"],
        refundable=None if suggestion is None else shop_money(suggestion["maximumRefundableSet"]),
        email=wire["email"] or None,
        lines=[_line(line) for line in wire["lineItems"]["nodes"]],
        shipments=_section(wire, "fulfillments", _shipments),
        payments=_section(wire, "transactions", lambda payments: [_payment(payment) for payment in payments]),
        refunds=_section(wire, "refunds", lambda refunds: [_refund(refund) for refund in refunds]),
        returns=_section(wire, "returns", lambda returns: [_return(sent_back) for sent_back in returns["nodes"]]),
    )


def _section(wire: Any, name: str, into: Callable[[Any], list[T]]) -> list[T] | None:
    """None for a section that was not asked for: it is not there."""
    return into(wire[name]) if name in wire else None


def _cuts(wire: Any) -> Iterator[str]:
    """What there is more of, or may be: Shopify does not say of all of it whether there is."""
    if is_cut(wire["lineItems"]):
        yield f"lines: only the first {queries.LINES} are in here"
    shipments = arr(wire.get("fulfillments"))
    if len(shipments) >= queries.SHIPMENTS:
        yield f"shipments: the first {queries.SHIPMENTS} are in here, and there may be more"
    if any(len(arr(obj(sent).get("trackingInfo"))) >= queries.PARCELS for sent in shipments):
        yield f"shipments: the first {queries.PARCELS} parcels of each are in here, and there may be more"
    if len(arr(wire.get("transactions"))) >= queries.PAYMENTS:
        yield f"payments: the first {queries.PAYMENTS} are in here, and there may be more"
    if len(arr(wire.get("refunds"))) >= queries.PAID_BACK:
        yield f"refunds: the first {queries.PAID_BACK} are in here, and there may be more"
    if "returns" not in wire:
        return
    if is_cut(wire["returns"]):
        yield f"returns: only the first {queries.RETURNS} are in here"
    if any(is_cut(sent_back["returnLineItems"]) for sent_back in wire["returns"]["nodes"]):
        yield f"returns: only the first {queries.RETURNED_LINES} lines of each are in here"


def _line(wire: Any) -> OrderLine:
    return OrderLine(
        sku=wire["sku"] or None,
        title=wire["name"],
        qty=wire["quantity"],
        fulfillable_qty=wire["unfulfilledQuantity"],
        refundable_qty=wire["refundableQuantity"],
        unit=shop_money(wire["originalUnitPriceSet"]),
    )


def _shipments(wire: Any) -> list[Shipment]:
    """One for each parcel that can be followed, or one for the whole when none can."""
    return [_shipment(sent, parcel) for sent in wire for parcel in (arr(sent["trackingInfo"]) or [{}])]


def _shipment(wire: Any, parcel: Any) -> Shipment:
    return Shipment(
        status=(wire["displayStatus"] or wire["status"]).lower(),
        carrier=parcel.get("company"),
        tracking=parcel.get("number"),
        tracking_url=parcel.get("url"),
        eta=wire["estimatedDeliveryAt"],
        location=obj(wire["location"]).get("name"),
    )


def _payment(wire: Any) -> Payment:
    return Payment(
        at=wire["processedAt"] or wire["createdAt"],
        kind=wire["kind"].lower(),
        status=wire["status"].lower(),
        amount=shop_money(wire["amountSet"]),
        gateway=wire["formattedGateway"],
    )


def _refund(wire: Any) -> Refund:
    return Refund(
        refund_id=ref("refund", wire),
        at=wire["processedAt"],
        amount=shop_money(wire["totalRefundedSet"]),
        note=wire["note"] or None,
    )


def _return(wire: Any) -> Return:
    return Return(
        return_id=ref("return", wire),
        status=wire["status"].lower(),
        lines=[_returned(line) for line in wire["returnLineItems"]["nodes"]],
    )


def _returned(wire: Any) -> ReturnedLine:
    """What was not sent with this order, as far as Shopify can tell, is a line without an item."""
    sent = obj(wire.get("fulfillmentLineItem"))
    reason = ": ".join(filter(None, (obj(wire["returnReasonDefinition"]).get("name"), wire["returnReasonNote"])))
    return ReturnedLine(
        title=sent["lineItem"]["name"] if sent else "an item that is not on this order",
        qty=wire["quantity"],
        reason=reason or None,
    )
