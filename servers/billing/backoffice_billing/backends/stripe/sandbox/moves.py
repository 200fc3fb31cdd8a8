"""How money moves in the sandbox: attempts to charge, refunds, disputes.

Sources: https://docs.stripe.com/testing, https://docs.stripe.com/declines/codes, https://docs.stripe.com/refunds,
https://docs.stripe.com/disputes/how-disputes-work
"""

from __future__ import annotations

from backoffice_billing.backends.stripe.sandbox.account import Account, fee_of
from backoffice_billing.backends.stripe.sandbox.objects import (
    Behaviour,
    Charge,
    Decline,
    Dispute,
    Intent,
    Method,
    Refund,
    Warned,
)
from backoffice_billing.backends.stripe.sandbox.refusals import invalid

DISPUTE_FEE = 1_500
_WEEK = 7 * 86_400

DECLINES: dict[Behaviour, Decline] = {
    "declined": Decline(code="card_declined", decline_code="generic_decline", message="Your card was declined."),
    "insufficient_funds": Decline(
        code="card_declined", decline_code="insufficient_funds", message="Your card has insufficient funds."
    ),
    "authentication": Decline(
        code="authentication_required",
        decline_code="authentication_required",
        message="Your card was declined. This transaction requires authentication.",
    ),
}
TEST_METHODS: dict[str, tuple[Behaviour, str, str]] = {
    "pm_card_visa": ("succeeds", "visa", "4242"),
    "pm_card_mastercard": ("succeeds", "mastercard", "4444"),
    "pm_card_amex": ("succeeds", "amex", "8431"),
    "pm_card_chargeDeclined": ("declined", "visa", "0002"),
    "pm_card_visa_chargeDeclined": ("declined", "visa", "0002"),
    "pm_card_chargeDeclinedInsufficientFunds": ("insufficient_funds", "visa", "9995"),
    "pm_card_visa_chargeDeclinedInsufficientFunds": ("insufficient_funds", "visa", "9995"),
    "pm_card_chargeCustomerFail": ("declined", "visa", "0341"),
    "pm_card_authenticationRequired": ("authentication", "visa", "3184"),
    "pm_card_createDispute": ("disputed", "visa", "0259"),
    "pm_card_pendingRefund": ("refund_pends", "visa", "7726"),
    "pm_card_refundFail": ("refund_fails", "visa", "5126"),
    "pm_usBankAccount_success": ("processing", "STRIPE TEST BANK", "6789"),
}
"""By Stripe's names, today's and those of before: how each behaves, its brand or bank, and its last digits."""


def attempt(account: Account, intent: Intent, method: Method) -> Charge:
    """Charge what the intent is for. Whether it worked is in the status of both."""
    decline = DECLINES.get(method.behaviour)
    customer = account.customers.get(intent.customer)
    charge = Charge(
        id=account.new("ch"),
        created=account.now(),
        metadata=dict(intent.metadata),
        written=True,
        intent=intent.id,
        amount=intent.amount,
        currency=intent.currency,
        customer=intent.customer,
        method=method.id,
        kind=method.kind,
        brand=method.brand,
        last4=method.last4,
        email=customer.email if customer else intent.email,
        name=customer.name if customer else None,
        description=intent.description,
        behaviour=method.behaviour,
        status="failed" if decline else "pending",
        decline=decline,
    )
    account.charges.add(charge)
    intent.method, intent.charge, intent.written = method.id, charge.id, True
    if decline is not None:
        intent.status, intent.decline, intent.decline_charge = "requires_payment_method", decline, charge.id
        intent.method = None
    elif method.behaviour == "processing":
        intent.status = "processing"
        account.later(lambda: succeed(account, intent, charge))
    else:
        succeed(account, intent, charge)
    return charge


def succeed(account: Account, intent: Intent, charge: Charge) -> None:
    """The money is there."""
    charge.status = "succeeded"
    kind = "charge" if charge.kind == "card" else "payment"
    fee = fee_of(charge.amount)
    charge.transaction = account.enter(kind, "charge", charge.id, charge.amount, charge.currency, fee=fee)
    intent.status, intent.received, intent.decline = "succeeded", charge.amount, None
    if charge.behaviour == "disputed":
        dispute(account, charge)


def dispute(account: Account, charge: Charge) -> Dispute:
    """The bank takes the money away until it is decided."""
    made = Dispute(
        id=account.new("du"),
        created=account.now(),
        written=True,
        charge=charge.id,
        intent=charge.intent,
        amount=charge.amount,
        currency=charge.currency,
        status="needs_response",
        due_by=account.now() + 2 * _WEEK,
    )
    withdraw(account, made)
    charge.disputed = True
    return account.disputes.add(made)


def withdraw(account: Account, made: Dispute) -> None:
    made.transactions.append(
        account.enter("adjustment", "dispute", made.id, -made.amount, made.currency, fee=DISPUTE_FEE, at=made.created)
    )


def decide(account: Account, made: Dispute, *, won: bool, at: int | None = None) -> None:
    if made.status == "needs_response":
        made.status = "won" if won else "lost"
        if won:
            entered = account.enter("adjustment", "dispute_reversal", made.id, made.amount, made.currency, at=at)
            made.transactions.append(entered)


def warn(account: Account, charge: Charge) -> Warned:
    """The card's bank says that it may be fraud."""
    return account.warnings.add(
        Warned(id=account.new("issfr"), created=account.now(), charge=charge.id, intent=charge.intent)
    )


def refund(account: Account, charge: Charge, amount: int, *, reason: str | None, metadata: dict[str, str]) -> Refund:
    """
    Raises:
        Refused: there is not so much left, or it is disputed.
    """
    left = charge.amount - charge.refunded
    if charge.status != "succeeded":
        raise invalid("This PaymentIntent does not have a successful charge to refund.", param="payment_intent")
    if any(each.status != "won" for each in account.disputes.having(charge=charge.id)):
        raise invalid(f"Charge {charge.id} has been charged back; cannot issue a refund.", code="charge_disputed")
    if left == 0:
        raise invalid(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    if amount > left:
        raise invalid(
            f"Refund amount ({amount} {charge.currency}) is greater than unrefunded amount on charge"
            f" ({left} {charge.currency})",
            param="amount",
        )
    made = Refund(
        id=account.new("re"),
        created=account.now(),
        metadata=metadata,
        written=True,
        charge=charge.id,
        intent=charge.intent,
        amount=amount,
        currency=charge.currency,
        status="pending" if charge.behaviour == "refund_pends" else "succeeded",
        reason=reason,
    )
    made.transaction = account.enter("refund", "refund", made.id, -amount, charge.currency)
    charge.refunded += amount
    charge.written = True
    if reason == "fraudulent":
        charge.reported = "fraudulent"
    if charge.behaviour == "refund_pends":
        account.later(lambda: _arrive(made))
    elif charge.behaviour == "refund_fails":
        account.later(lambda: fail(account, charge, made))
    return account.refunds.add(made)


def _arrive(made: Refund) -> None:
    made.status = "succeeded"


def fail(account: Account, charge: Charge, made: Refund) -> None:
    """The bank sends it back."""
    if made.status != "failed":
        made.status, made.failure_reason = "failed", "expired_or_canceled_card"
        charge.refunded -= made.amount
        made.failure_transaction = account.enter(
            "refund_failure", "refund_failure", made.id, made.amount, made.currency
        )
