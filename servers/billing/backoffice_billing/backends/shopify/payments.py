"""Payments and refunds of the shop in our words.

A payment is a transaction that takes money; what gave it back are transactions that name it as their parent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

from backoffice_billing.backends.shopify import queries
from backoffice_billing.backends.shopify.orders import is_captured, is_own, payment_id
from backoffice_billing.models import DisputeStatus, Payment, PaymentSection, PaymentStatus, Refund, RefundStatus
from backoffice_shared.errors import NotFound, TooLarge
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, nothing, total
from backoffice_shared.refs import Ref
from backoffice_shopify.backend import SHOPIFY
from backoffice_shopify.wire import gid, in_admin, money, native, paid_money, ref

_MARK = re.compile(r"\s*\(backoffice \S+\)\Z")
_GONE = ("FAILURE", "ERROR")


def place(payment: str) -> tuple[str, str]:
    """The order and the transaction of a payment's native id.

    Raises:
        NotFound: it cannot be one.
    """
    found = re.fullmatch(r"(\d{1,19})\.(\d{1,19})", payment, re.ASCII)
    if found is None:
        raise NotFound(SHOPIFY.title, f"no such payment: {payment[:80]!r}")
    return found[1], found[2]


def noted(reason: str, key: str) -> str:
    """A refund's note: why, and a mark by which it is found again. Staff see it, customers do not."""
    return f"{reason} (backoffice {key})"


def marked(data: Any, key: str) -> str | None:
    """The id of the refund whose note bears the mark."""
    mark = f"(backoffice {key})"
    made = arr(obj(data["order"]).get("refunds"))
    return next((refund["id"] for refund in made if (refund["note"] or "").endswith(mark)), None)


# ------------------------------------------------------------------------------------------ wire to our words


def payment(data: Any, transaction: str, sections: frozenset[PaymentSection], own: Collection[str]) -> Payment | None:
    """None where there is no such transaction, or it took no money.

    `flagged`: Shopify's analysis says to cancel the order. `customer_id` stays empty: nobody is billed here.
    """
    order = obj(data["order"])
    wire = _taking(order, transaction)
    if wire is None:
        return None
    amount = paid_money(wire["amountSet"])
    given_back = _given_back(order, wire)
    refunded, left = total(given_back("SUCCESS"), amount.currency), _left(order, wire, given_back, own)
    dispute = _dispute(order) if is_own(wire, own) else None
    card, fee = obj(wire["paymentDetails"]), _fee(wire)
    return Payment(
        payment_id=payment_id(order, wire),
        at=wire["processedAt"] or wire["createdAt"],
        amount=amount,
        refunded=refunded,
        status=_status(wire, dispute, is_refunded=refunded >= amount),
        kind="card" if card else wire["gateway"],
        brand=(card.get("company") or "").lower() or None,
        last4=_last4(card.get("number")),
        order=order["name"],
        failure_code=(wire["errorCode"] or "").lower() or None,
        dispute=dispute,
        native_status=wire["status"].lower(),
        url=in_admin(data["shop"], "orders", native(order["id"])),
        captured=is_captured(wire),
        refundable=left,
        customer_email=order["email"] or None,
        refunds=_refunds(order, wire) if "refunds" in sections else None,
        disputes=[] if "dispute" in sections and dispute is None else None,
        fee=fee,
        net=amount - fee if fee is not None and fee.currency == amount.currency else None,
        risk=order["risk"]["recommendation"].lower() if "risk" in sections else None,
        flagged=order["risk"]["recommendation"] == "CANCEL",
        notes=list(_notes(order, wire, sections, own)),
    )


def refunded(wire: Any, payment: str, asked: Money) -> Refund:
    """A refund of our own, which is of this payment alone; `asked` was to be given back. Where Shopify does not say yet
    what moved, it is under way."""
    moved = [part for part in wire["transactions"]["nodes"] if part["kind"] == "REFUND"]
    if moved:
        return _refund(wire, moved, str(Ref(SHOPIFY.name, "payment", payment)))
    return Refund(
        refund_id=ref("refund", wire),
        payment_id=str(Ref(SHOPIFY.name, "payment", payment)),
        amount=asked,
        status="pending",
        reason=_reason(wire),
        at=wire["createdAt"] or wire["processedAt"],
    )


def given_back(data: Any, own: Collection[str]) -> list[Refund]:
    """The refunds of an order, as far as the shop itself gave the money back. `payment_id` is empty for one of several
    payments.

    Raises:
        TooLarge: there may be more than were asked for, and the latest come last.
    """
    order = obj(data["order"])
    made = arr(order.get("refunds"))
    if len(made) >= queries.REFUNDS:
        raise TooLarge(SHOPIFY.title, f"order {native(order['id'])} has more refunds than can be read here")
    found = [(wire, [part for part in wire["transactions"]["nodes"] if _is_ours(part, own)]) for wire in made]
    return [_refund(wire, moved, _only_payment(order, moved)) for wire, moved in found if moved]


def _is_ours(part: Any, own: Collection[str]) -> bool:
    return part["kind"] == "REFUND" and is_own(part, own)


def _only_payment(order: Any, moved: Sequence[Any]) -> str | None:
    parents = {obj(part["parentTransaction"]).get("id") for part in moved}
    parent = parents.pop() if len(parents) == 1 else None
    return None if parent is None else payment_id(order, {"id": parent})


def _taking(order: dict[str, Any], transaction: str) -> Any:
    wanted, takes = gid("OrderTransaction", transaction), ("SALE", "CAPTURE", "AUTHORIZATION")
    moved = arr(order.get("transactions"))
    return next((wire for wire in moved if wire["id"] == wanted and wire["kind"] in takes), None)


def _given_back(order: Any, payment: Any) -> Callable[..., list[Money]]:
    """By status, what was given back of a payment, or is to be."""
    moved = [wire for wire in order["transactions"] if _gives_back(wire, payment)]
    return lambda *statuses: [paid_money(wire["amountSet"]) for wire in moved if wire["status"] in statuses]


def _gives_back(wire: Any, payment: Any) -> bool:
    """What names no parent counts against every payment through the same gateway: too little is given back rather than
    too much."""
    if wire["kind"] != "REFUND":
        return False
    parent = obj(wire["parentTransaction"]).get("id")
    return parent == payment["id"] or (parent is None and wire["gateway"] == payment["gateway"])


def _left(order: Any, payment: Any, given_back: Callable[..., list[Money]], own: Collection[str]) -> Money:
    """The order's and the payment's own rest, whichever is less; nothing of what the shop does not give back itself."""
    amount = paid_money(payment["amountSet"])
    if not is_captured(payment) or not is_own(payment, own):
        return nothing(amount.currency)
    rest = amount - total(given_back("SUCCESS", "PENDING", "AWAITING_RESPONSE", "UNKNOWN"), amount.currency)
    suggestion = order["suggestedRefund"]
    if suggestion is None:
        most = paid_money(order["totalReceivedSet"]) - paid_money(order["totalRefundedSet"])
    else:
        most = paid_money(suggestion["maximumRefundableSet"])
    return max(min(rest, most), nothing(amount.currency))


def _status(wire: Any, dispute: DisputeStatus | None, *, is_refunded: bool) -> PaymentStatus:
    if wire["status"] in _GONE:
        return "failed"
    if not is_captured(wire):
        return "pending"
    if dispute in ("open", "lost"):
        return "disputed"
    return "refunded" if is_refunded else "succeeded"


def _dispute(order: Any) -> DisputeStatus | None:
    """The worst of the order's. Which of its payments it is about, Shopify does not say here."""
    statuses = [_DISPUTES.get(dispute["status"], "open") for dispute in order["disputes"]]
    return next((status for status in ("open", "lost", "won") if status in statuses), None)


# Any other is not decided yet, or not known to us: nothing is given back meanwhile.
_DISPUTES: dict[str, DisputeStatus] = {"WON": "won", "LOST": "lost", "ACCEPTED": "lost", "CHARGE_REFUNDED": "lost"}


def _last4(number: object) -> str | None:
    """Of what is shown of a card's number: "•••• •••• •••• 4242"."""
    found = re.search(r"(\d{4})\W*\Z", str(number or ""), re.ASCII)
    return found and found[1]


def _fee(wire: Any) -> Money | None:
    """With its tax; in the currency that it was kept in."""
    kept = [money(fee[part]) for fee in arr(wire.get("fees")) for part in ("amount", "taxAmount")]
    return total(kept, kept[0].currency) if kept else None


def _refunds(order: Any, payment: Any) -> list[Refund]:
    """Their parts in this payment. What only puts goods back into stock is a refund to Shopify too."""
    found = [
        (wire, [part for part in wire["transactions"]["nodes"] if _gives_back(part, payment)])
        for wire in order["refunds"]
    ]
    return [_refund(wire, moved, payment_id(order, payment)) for wire, moved in found if moved]


def _refund(wire: Any, moved: Sequence[Any], payment: str | None) -> Refund:
    gone = [part for part in moved if part["status"] in _GONE]
    counted = [part for part in moved if part["status"] not in _GONE] or gone
    amounts = [paid_money(part["amountSet"]) for part in counted]
    failure = next((part["errorCode"] for part in gone if part["errorCode"]), None)
    return Refund(
        refund_id=ref("refund", wire),
        payment_id=payment,
        amount=total(amounts, amounts[0].currency),
        status=_outcome([part["status"] for part in counted]),
        reason=_reason(wire),
        at=wire["createdAt"] or wire["processedAt"],
        failure_reason=failure and failure.lower(),
    )


def _reason(wire: Any) -> str | None:
    return _MARK.sub("", wire["note"] or "") or None


def _outcome(statuses: Sequence[str]) -> RefundStatus:
    if all(status == "SUCCESS" for status in statuses):
        return "succeeded"
    return "failed" if all(status in _GONE for status in statuses) else "pending"


def _notes(order: Any, wire: Any, sections: frozenset[PaymentSection], own: Collection[str]) -> Iterator[str]:
    if not is_own(wire, own):
        yield f"Money that came through {wire['gateway']} is given back there, not by the shop"
    if "dispute" in sections and order["disputes"]:
        yield "dispute: Shopify says here only how it stands; its amount and its reason are in Shopify Payments"
    if len(order["transactions"]) >= queries.MOVES:
        yield f"The first {queries.MOVES} transactions of the order are counted, and there may be more"
    if len(arr(order.get("refunds"))) >= queries.REFUNDS:
        yield f"refunds: the first {queries.REFUNDS} of the order are in here, and there may be more"
