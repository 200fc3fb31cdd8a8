"""Gives money back through Stripe. https://docs.stripe.com/api/refunds/create, https://docs.stripe.com/refunds"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from backoffice_billing.backends.stripe import paymentwire as into
from backoffice_billing.backends.stripe.access import STRIPE
from backoffice_billing.backends.stripe.amounts import wired
from backoffice_billing.backends.stripe.attempts import made_once
from backoffice_billing.backends.stripe.drafts import KEY
from backoffice_billing.backends.stripe.payments import StripePayments
from backoffice_billing.backends.stripe.wire import marked, metadata
from backoffice_billing.models import Payment, PaymentSection, Refund, RefundReason
from backoffice_billing.ports import RefundDraft
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.http.client import BackendClient, Written

_REASONS: dict[RefundReason, str] = {"duplicate": "duplicate", "fraudulent": "fraudulent"}
"""Stripe's own. All others are `requested_by_customer` there, and said exactly in the metadata. `fraudulent` also
puts the card and the e-mail address on Stripe's block lists."""


class StripeRefunding:
    def __init__(self, http: BackendClient, payments: StripePayments) -> None:
        self._http = http
        self._payments = payments

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        return await self._payments.payment(native, sections)

    async def refund_made(self, payment: str, key: str) -> Refund | None:
        refunds = await self._payments.refunds(await self._payments.named(payment))
        return next((into.refund(each) for each in refunds if metadata(each, KEY) == key), None)

    async def refund(self, draft: RefundDraft, key: str) -> Written[Refund]:
        """Stripe is told no currency, so that the payment must be in that of the amount. A refund may be pending, and
        may fail later; its lines are nobody's business here. Of a charge, its PaymentIntent is given back."""
        draft = replace(draft, payment=await self._payments.named(draft.payment))

        async def write() -> Written[Refund]:
            _check(await self._payments.payment(draft.payment, frozenset()), draft)
            return await self._http.write(
                "refunds.create",
                "/v1/refunds",
                form=_form(draft, key),
                into=into.refund,
                key=key,
                twice="looked up",
                touches=("payments", "invoices"),
            )

        async def look(_since: datetime) -> Refund | None:
            return await self.refund_made(draft.payment, key)

        return await made_once(write, look)


def _form(draft: RefundDraft, key: str) -> dict[str, str]:
    return {
        "payment_intent" if draft.payment.startswith("pi_") else "charge": draft.payment,
        "amount": wired(draft.amount),
        "reason": _REASONS.get(draft.reason, "requested_by_customer"),
        **marked("metadata", {KEY: key, into.REASON: draft.reason}),
    }


def _check(payment: Payment, draft: RefundDraft) -> None:
    """
    Raises:
        Conflict: not so much is left, or it is disputed.
        InvalidInput: it was paid in another currency.
    """
    if payment.amount.currency != draft.amount.currency:
        raise InvalidInput(STRIPE.title, f"the payment is in {payment.amount.currency}")
    if payment.dispute in ("open", "lost"):
        raise Conflict(
            STRIPE.title,
            f"the payment is disputed ({payment.dispute}): the bank decides about the money (charge_disputed)",
        )
    if draft.amount > payment.refundable:
        raise Conflict(STRIPE.title, f"{payment.refundable} of the payment is left to give back, not {draft.amount}")
