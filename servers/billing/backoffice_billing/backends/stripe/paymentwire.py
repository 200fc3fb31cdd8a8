"""Stripe's payments in our words. A payment is a PaymentIntent; every attempt at it is a charge, also one that failed.

Source: the typed source of `stripe` 16.1 (`_payment_intent.py`, `_charge.py`, `_refund.py`, `_dispute.py`), and
https://docs.stripe.com/payments/paymentintents/lifecycle, https://docs.stripe.com/api/disputes/object
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backoffice_billing.backends.stripe.amounts import money, money_in
from backoffice_billing.backends.stripe.wire import Wire, dashboard, id_in, metadata, moment
from backoffice_billing.models import (
    Dispute,
    DisputeStatus,
    Payment,
    PaymentRow,
    PaymentSection,
    PaymentStatus,
    Refund,
    RefundStatus,
)
from backoffice_shared.jsonvalues import obj
from backoffice_shared.money import nothing, total

_DISPUTES: dict[str, DisputeStatus] = {"won": "won", "lost": "lost", "warning_closed": "won", "prevented": "lost"}
"""All other statuses are of disputes that are not decided."""
_REFUNDS: dict[str, RefundStatus] = {
    "pending": "pending",
    "requires_action": "requires_action",
    "succeeded": "succeeded",
    "failed": "failed",
    "canceled": "canceled",
}
_INTENTS: dict[str, PaymentStatus] = {"succeeded": "succeeded", "canceled": "failed"}
GONE = frozenset({"pending", "requires_action", "succeeded"})
"""Refunds whose money is away, or on its way."""
ORDER, REASON = "order", "backoffice_reason"
"""Metadata: the number of the shop's order that was paid, and the exact reason of a refund."""


# ------------------------------------------------------------------------------------------------------------ payments


def row(charge: Wire, disputes: Sequence[Wire], invoice: str | None = None) -> PaymentRow:
    """An attempt to be paid. `charge` has its `payment_intent` expanded, where it has one."""
    return PaymentRow.model_validate(_row(obj(charge.get("payment_intent")), charge, disputes, invoice))


def row_of(intent: Wire, disputes: Sequence[Wire], invoice: str | None = None) -> PaymentRow:
    """A payment, by its latest attempt. `intent` has its `latest_charge` expanded."""
    return PaymentRow.model_validate(_row(intent, obj(intent.get("latest_charge")), disputes, invoice))


def payment(
    intent: Wire,
    charge: Wire,
    *,
    refunds: Sequence[Wire],
    disputes: Sequence[Wire],
    warnings: Sequence[Wire],
    invoice: str | None,
    sections: frozenset[PaymentSection],
) -> Payment:
    """Either of `intent` and `charge` may be empty: a payment that nobody tried yet, or a charge from before there were
    PaymentIntents. Their `customer` is expanded, for its address."""
    said = _row(intent, charge, disputes, invoice)
    currency = said["amount"].currency
    captured = money_in(charge, "amount_captured") if charge.get("captured") else nothing(currency)
    gone = total((money_in(each, "amount") for each in refunds if each.get("status") in GONE), currency)
    standing = dispute_status(disputes)
    left = nothing(currency) if standing in ("open", "lost") else captured - gone
    fees = obj(charge.get("balance_transaction"))
    return Payment.model_validate(
        {
            **said,
            "refunded": gone,
            "captured": bool(charge.get("captured")) and charge.get("status") == "succeeded",
            "refundable": max(left, nothing(currency), key=lambda each: each.amount),
            "customer_email": _email(intent, charge),
            "refunds": [refund(each) for each in refunds] if "refunds" in sections else None,
            "disputes": [dispute(each) for each in disputes] if "dispute" in sections else None,
            "fee": money_in(fees, "fee") if fees and "fees" in sections else None,
            "net": money_in(fees, "net") if fees and "fees" in sections else None,
            "risk": obj(charge.get("outcome")).get("risk_level") if "risk" in sections else None,
            "flagged": bool(obj(charge.get("fraud_details")) or warnings),
        }
    )


def _row(intent: Wire, charge: Wire, disputes: Sequence[Wire], invoice: str | None) -> dict[str, Any]:
    made = charge or intent
    native = str(intent.get("id") or charge["id"])
    kind = obj(charge.get("payment_method_details")).get("type")
    details = obj(obj(charge.get("payment_method_details")).get(str(kind)))
    amount = money_in(made, "amount_captured" if charge.get("captured") else "amount")
    refunded = money_in(charge, "amount_refunded") if charge else nothing(amount.currency)
    disputed = dispute_status(disputes)
    customer = id_in(made.get("customer")) or id_in(intent.get("customer"))
    return {
        "payment_id": f"stripe:payment:{native}",
        "at": moment(made["created"]),
        "amount": amount,
        "refunded": refunded,
        "status": _status(intent, charge, disputed, wholly=amount.amount > 0 and refunded >= amount),
        "kind": kind,
        "brand": details.get("brand") or details.get("bank_name"),
        "last4": details.get("last4"),
        "customer_id": f"stripe:customer:{customer}" if customer else None,
        "invoice_id": f"stripe:invoice:{invoice}" if invoice else None,
        "order": metadata(charge, ORDER) or metadata(intent, ORDER),
        "failure_code": _failure_code(intent, charge),
        "dispute": disputed,
        "native_status": str(made["status"]),
        "url": dashboard(made, "payments", native),
    }


def _status(intent: Wire, charge: Wire, disputed: DisputeStatus | None, *, wholly: bool) -> PaymentStatus:
    """What was authorised, and not captured, is pending: nothing was paid yet."""
    if not charge:
        failed = intent["status"] == "requires_payment_method" and intent.get("last_payment_error")
        return "failed" if failed else _INTENTS.get(str(intent["status"]), "pending")
    if charge["status"] == "failed":
        return "failed"
    if charge["status"] == "pending" or not charge.get("captured"):
        return "pending"
    if disputed in ("open", "lost"):
        return "disputed"
    return "refunded" if wholly else "succeeded"


def _failure_code(intent: Wire, charge: Wire) -> str | None:
    """The bank's own reason, where it gave one: `insufficient_funds` rather than `card_declined`."""
    if charge and charge["status"] != "failed":
        return None
    error = obj(intent.get("last_payment_error"))
    reason = obj(charge.get("outcome")).get("reason")
    return reason or error.get("decline_code") or charge.get("failure_code") or error.get("code")


def _email(intent: Wire, charge: Wire) -> str | None:
    """The customer's own address, if they have one. Where there is no customer, that of the receipt, or of the bill: those,
    whoever pays can choose."""
    customer = intent.get("customer") or charge.get("customer")
    if customer:
        return obj(customer).get("email")
    billed = obj(charge.get("billing_details")).get("email")
    return intent.get("receipt_email") or charge.get("receipt_email") or billed


# ------------------------------------------------------------------------------------------------- refunds and disputes


def refund(wire: Wire) -> Refund:
    """The exact reason is in our metadata; Stripe has three."""
    native = id_in(wire.get("payment_intent")) or id_in(wire.get("charge"))
    return Refund(
        refund_id=f"stripe:refund:{wire['id']}",
        payment_id=f"stripe:payment:{native}" if native else None,
        amount=money_in(wire, "amount"),
        status=_REFUNDS[str(wire.get("status"))],
        reason=metadata(wire, REASON) or wire.get("reason"),
        at=moment(wire["created"]),
        failure_reason=wire.get("failure_reason"),
    )


def dispute_status(disputes: Sequence[Wire]) -> DisputeStatus | None:
    """The worst of them: one that is open, else one that was lost."""
    found = {_DISPUTES.get(str(each["status"]), "open") for each in disputes}
    return next((status for status in _WORST if status in found), None)


_WORST: tuple[DisputeStatus, ...] = ("open", "lost", "won")


def dispute(wire: Wire) -> Dispute:
    due = obj(wire.get("evidence_details")).get("due_by")
    return Dispute(
        dispute_id=f"stripe:dispute:{wire['id']}",
        status=_DISPUTES.get(str(wire["status"]), "open"),
        native_status=str(wire["status"]),
        amount=money(wire["amount"], wire["currency"]),
        reason=wire.get("reason"),
        answer_by=moment(due) if due else None,
    )
