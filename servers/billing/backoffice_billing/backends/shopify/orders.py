"""Orders of the shop in our words, and which of their lines are meant."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backoffice_billing.models import OrderLine, OrderPayment, PaidOrder
from backoffice_billing.ports import ReturnedLine
from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money
from backoffice_shared.refs import Ref
from backoffice_shopify.backend import SHOPIFY
from backoffice_shopify.search import condition
from backoffice_shopify.wire import following, gid, native, numbers, paid_money, ref, time

# ------------------------------------------------------------------------------------------ our words to a search


def numbered(reference: str) -> str:
    """A search for the order that people call so."""
    return condition("name", "", _bare(reference)[:100])


def changed(email: str, since: datetime) -> str:
    """A search for the orders with this address that were changed since then, as each is that is refunded."""
    return f"{condition('email', '', email)} {condition('updated_at', '>=', time(since))}"


def is_id(reference: str) -> bool:
    return numbers([reference]) == [reference]


def called(orders: Iterable[Any], reference: str) -> list[Any]:
    """Those that have exactly this number: the vendor's search finds others too."""
    return [wire for wire in orders if _bare(wire["name"]) == _bare(reference)]


def refunded(orders: Iterable[Any], email: str) -> list[str]:
    """The ids of those that have a refund, and exactly this address, whatever the case of its letters: the vendor's search
    finds others too."""
    wanted = email.casefold()
    return [wire["id"] for wire in orders if wire["refunds"] and (wire["email"] or "").casefold() == wanted]


def _bare(number: str) -> str:
    return number.strip().removeprefix("#").casefold()


def lines_of(order: PaidOrder, lines: Sequence[ReturnedLine]) -> dict[str, int]:
    """How many of which line are meant, each named by its id or SKU. It depends on nothing that a refund changes, so that a
    refund which is asked for again is the same to the vendor.

    Raises:
        InvalidInput: the order has no such line, or several of this SKU; or a quantity is not at least 1.
    """
    wanted: dict[str, int] = {}
    for line in lines:
        if line.quantity < 1:
            raise InvalidInput("", f"{line.line[:80]!r}: a quantity is at least 1, not {line.quantity}")
        meant = _line(order, line.line).line_id
        wanted[meant] = wanted.get(meant, 0) + line.quantity
    return wanted


def check_left(order: PaidOrder, wanted: Mapping[str, int]) -> None:
    """
    Raises:
        InvalidInput: of one of these lines, not so many can be given back.
    """
    for line in order.lines:
        if wanted.get(line.line_id, 0) > line.refundable:
            most = f"only {line.refundable} of {line.title!r} can still be given back"
            raise InvalidInput(SHOPIFY.title, f"{most} on order {order.number}, not {wanted[line.line_id]}")


def _line(order: PaidOrder, name: str) -> OrderLine:
    named = [line for line in order.lines if line.line_id == name] or [line for line in order.lines if line.sku == name]
    if not named:
        raise InvalidInput(SHOPIFY.title, f"order {order.number} has no line {name[:80]!r}", hint=_choice(order.lines))
    if len(named) > 1:
        several = f"order {order.number} has {len(named)} lines with the SKU {name[:80]!r}"
        raise InvalidInput(SHOPIFY.title, several, hint=_choice(named))
    return named[0]


def _choice(lines: Iterable[OrderLine]) -> str:
    return "Its lines are " + ", ".join(f"{line.line_id} ({line.sku or line.title[:40]})" for line in lines)


def input_lines(wanted: Mapping[str, int]) -> list[dict[str, Any]]:
    """Nothing is put back into stock: a refund gives money back. Whether goods came back, in which state and to which
    place, is not known here; whoever takes them in says so."""
    return [
        {"lineItemId": gid("LineItem", line), "quantity": quantity, "restockType": "NO_RESTOCK"}
        for line, quantity in wanted.items()
    ]


# ------------------------------------------------------------------------------------------ wire to our words


@dataclass(frozen=True, slots=True)
class Found:
    """An order, and the cursor of its further lines, if there are any."""

    order: PaidOrder
    more: str | None

    def with_lines(self, connection: Any) -> Found:
        lines = [*self.order.lines, *_lines(connection)]
        return Found(self.order.model_copy(update={"lines": lines}), following(connection))


def found(wire: Any, own: Collection[str]) -> Found:
    """`own` are the gateways through which the shop itself moves money."""
    return Found(_order(wire, own), following(wire["lineItems"]))


def _order(wire: Any, own: Collection[str]) -> PaidOrder:
    return PaidOrder(
        order_id=ref("order", wire),
        number=wire["name"],
        customer_email=wire["email"] or None,
        total=paid_money(wire["totalPriceSet"]),
        received=paid_money(wire["totalReceivedSet"]),
        refunded=paid_money(wire["totalRefundedSet"]),
        placed_at=wire["createdAt"],
        payments=[_payment(wire, moved, own) for moved in wire["transactions"] if is_captured(moved)],
        lines=_lines(wire["lineItems"]),
    )


def is_captured(transaction: Any) -> bool:
    return transaction["kind"] in ("SALE", "CAPTURE") and transaction["status"] == "SUCCESS"


def payment_id(order: Any, transaction: Any) -> str:
    return str(Ref(SHOPIFY.name, "payment", f"{native(order['id'])}.{native(transaction['id'])}"))


def native_of(model_id: str) -> str:
    """The vendor's own part of an id of ours."""
    return model_id.split(":", 2)[2]


def is_own(transaction: Any, own: Collection[str]) -> bool:
    return str(transaction["gateway"]).casefold() in own


def _payment(order: Any, wire: Any, own: Collection[str]) -> OrderPayment:
    return OrderPayment(
        payment_id=payment_id(order, wire),
        gateway=wire["gateway"] or "",
        by_shop=is_own(wire, own),
        amount=paid_money(wire["amountSet"]),
        reference=wire["paymentId"] or None,
    )


def _lines(connection: Any) -> list[OrderLine]:
    return [
        OrderLine(
            line_id=native(wire["id"]),
            sku=wire["sku"] or None,
            title=wire["title"],
            quantity=wire["quantity"],
            refundable=wire["refundableQuantity"],
            unit=paid_money(wire["discountedUnitPriceAfterAllDiscountsSet"]),
        )
        for wire in connection["nodes"]
    ]


def suggestion(wire: Any) -> Money:
    return paid_money(wire["suggestedRefund"]["amountSet"])
