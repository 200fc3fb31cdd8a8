"""Refunds: what policy says is shown first, and what is carried out is what was shown, once, by the one who may.

A plan is for one refund, whoever's key it is carried out with: the vendor is given a key made of the plan. All refunds of
one payment are given one at a time, so that what was judged is still so when the money leaves.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Container
from dataclasses import dataclass

from pydantic import TypeAdapter

from backoffice_billing.bookkeeping import NOBODY, Bookkeeping, Told
from backoffice_billing.deciding import Deciding, Planned, state_of
from backoffice_billing.invoices import TO_THE_BOOKS
from backoffice_billing.models import Effect, IssuedRefund, Payment, Refund, RefundPreview, RefundReason, Ruling
from backoffice_billing.policy import Policy
from backoffice_billing.ports import Entry, RefundDraft, ReturnedLine
from backoffice_billing.refundable import Beneficiary, Refundable, Target
from backoffice_shared.account import denied
from backoffice_shared.attempt import uncertain_since, vendor_key
from backoffice_shared.errors import ApprovalRequired, Conflict, InvalidInput, NotFound, PermissionDenied
from backoffice_shared.http.client import Written
from backoffice_shared.mcp.personal import masked
from backoffice_shared.money import Money
from backoffice_shared.plans import Plans
from backoffice_shared.principal import Principal, principal
from backoffice_shared.refs import parse_ref
from backoffice_shared.state.alone import alone
from backoffice_shared.state.approvals import Approvals, Wanted
from backoffice_shared.state.records import Records

ACTION = "issue a refund"
PERSONAL_SCOPE = "customer:pii"
_REASON: TypeAdapter[RefundReason] = TypeAdapter(RefundReason)
_ANEW = "Call preview_refund with the same arguments for a new plan; an approval stays good for it"
_REFUSALS = (Conflict, InvalidInput, NotFound, PermissionDenied)
_NOT_ASKED = ("requester_is_beneficiary",)
"""Rules under which whoever is there is not the one to ask."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a human is to be asked."""

    question: str
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Refunds:
    refundable: Refundable
    deciding: Deciding
    approvals: Approvals
    books: Bookkeeping
    plans: Plans
    records: Records

    @property
    def policy(self) -> Policy:
        return self.deciding.policy

    # -------------------------------------------------------------------------------------------------- showing

    async def preview(
        self,
        *,
        payment_id: str | None,
        invoice_id: str | None,
        order_id: str | None,
        amount: int | None,
        lines: tuple[ReturnedLine, ...],
        reason: RefundReason,
    ) -> RefundPreview:
        """What can be refunded, what the policy says of it, and the plan that carries it out, unless it is denied.

        Raises:
            NotFound, Conflict, InvalidInput: as `Refundable.meant`.
        """
        target = await self.refundable.meant(
            payment_id=payment_id, invoice_id=invoice_id, order_id=order_id, lines=lines
        )
        payment = target.payment
        proposed = payment.refundable if target.worth is None else target.worth
        if amount is not None:
            proposed = Money(amount=amount, currency=payment.refundable.currency)
        planned = Planned(target.ref, proposed, reason, lines, state_of(payment), secrets.token_hex(12))
        ruling = await self.deciding.ruling(planned, payment, await self.refundable.beneficiary(payment))
        shown = RefundPreview(
            payment_id=str(target.ref),
            customer_id=payment.customer_id,
            order=payment.order or (target.order.number if target.order is not None else None),
            invoice_id=payment.invoice_id,
            refundable=payment.refundable,
            proposed=proposed,
            method=" ".join(part for part in (payment.brand or payment.kind, payment.last4) if part) or None,
            executor=target.ref.backend,
            policy=ruling,
            effects=_effects(target, proposed, reason, providers=self.refundable.knowing),
            warnings=_warnings(target, proposed),
        )
        if ruling.decision == "deny":
            return shown
        plan = self.plans.made(ACTION, None, _written(planned))
        return shown.model_copy(update={"plan_token": plan.token, "expires_at": plan.expires_at})

    # --------------------------------------------------------------------------------------------------- asking

    async def question(self, plan_token: str) -> Asked | None:
        """What a human who is present has to agree to before this plan is carried out; None when nobody has to, when one is
        not enough, or when whoever is present may not.

        Raises:
            InvalidInput, Conflict: the plan is none of theirs, or has expired.
        """
        planned = self._planned(plan_token)
        if uncertain_since() is not None and await self._made(planned) is not None:
            return None
        payment = await self.refundable.payment(planned.ref)
        ruling = await self.deciding.ruling(planned, payment, await self.refundable.beneficiary(payment))
        if ruling.decision != "approval" or ruling.approvers != 1 or not ruling.role or ruling.rule in _NOT_ASKED:
            return None
        if not _is_human(principal()) or not principal().holds(self.policy.scope(ruling.role)):
            return None
        question = (
            f"Refund {planned.amount} of payment {planned.ref} to {_whom(payment)}, because of {planned.reason}? "
            f"{ruling.because} The money cannot be taken back."
        )
        # Also when somebody else has agreed: who is there may still say no.
        return Asked(question, _wanted(planned, payment, ruling))

    async def answered(self, asked: Asked, *, agrees: bool) -> str:
        """What the human who was asked said, as an approval that can be used.

        Raises:
            PermissionDenied: they said no.
        """
        approval = await self.approvals.ask(asked.wanted, lasts=self.policy.approval_lasts)
        human = principal()
        who, named = f"human:{human.key}", f"{human.subject}, when asked"
        if not agrees:
            if approval.state == "pending":
                await self.approvals.decide(approval.approval_id, approver=who, named=named, agrees=False)
            denied("refund policy: refused by whoever was asked")
            raise PermissionDenied("", "whoever was asked did not agree, and nothing was done")
        if approval.state == "pending":
            await self.approvals.decide(approval.approval_id, approver=who, named=named, agrees=True)
        return approval.approval_id

    # ---------------------------------------------------------------------------------------------------- doing

    async def issue(self, plan_token: str, approval_id: str | None, *, key: str) -> IssuedRefund:
        """Carry a plan out. Once the money may have left, no failure looks like a refusal.

        Raises:
            ApprovalRequired: somebody has to agree first; the sentence says who, and the approval's id.
            PermissionDenied: the policy, or an approver, does not allow it.
            Conflict: the payment has changed since the preview, the plan has expired, or another refund of it is under way.
            OutcomeUnknown: it was sent, and nobody knows.
        """
        planned = self._planned(plan_token)
        async with alone(self.records, "payment", str(planned.ref)):
            payment = await self.refundable.payment(planned.ref)
            whose = await self.refundable.beneficiary(payment)
            made = await self._made(planned) if uncertain_since() is not None else None
            rule = "decided before"
            if made is None:
                rule = await self._allowed(planned, payment, whose, approval_id)
            written = await self._given(planned, whose)
        refund = written.value
        told = await self._told(planned, payment, refund)
        notes = [TO_THE_BOOKS] if told.again else []
        if refund.status == "pending" and payment.invoice_id is not None:
            notes.append("the bank has not decided yet: the ledger is not told before; reconcile shows it then")
        return IssuedRefund(
            refund_id=refund.refund_id,
            status=refund.status,
            amount=refund.amount,
            payment_id=str(planned.ref),
            rule=rule,
            approval_id=approval_id,
            ledger=told.posted,
            unfinished=told.again or None,
            idempotency_key=key,
            replayed=written.replayed,
            notes=notes,
        )

    async def _given(self, planned: Planned, whose: Beneficiary) -> Written[Refund]:
        """Money leaves here. What did not happen is not counted."""
        draft = RefundDraft(planned.ref.native, planned.amount, planned.reason, planned.lines)
        try:
            written = await self.refundable.giving[planned.ref.backend].refund(draft, planned.key)
        except _REFUSALS:
            if uncertain_since() is None:
                await self.deciding.give_back(planned, whose)
            raise
        if written.value.status in ("failed", "canceled"):
            await self.deciding.give_back(planned, whose)
        return written

    async def _told(self, planned: Planned, payment: Payment, refund: Refund) -> Told:
        if refund.status != "succeeded" or payment.invoice_id is None:
            return NOBODY
        entry = Entry(planned.amount, refund.at, refund.refund_id, planned.reason)
        invoice = self.refundable.billing.ref(payment.invoice_id)
        return await self.books.refunded(invoice, entry, vendor_key("ledger: issue_refund", planned.nonce))

    async def _allowed(self, planned: Planned, payment: Payment, whose: Beneficiary, approval_id: str | None) -> str:
        """The rule by which it may be done now, counted and approved as that wants.

        Raises:
            ApprovalRequired, PermissionDenied, Conflict: it may not.
        """
        if state_of(payment) != planned.state:
            left = f"{payment.refundable} can be refunded now; nothing was done"
            raise Conflict("", f"{planned.ref} has changed since the preview: {left}", hint=_ANEW)
        ruling = await self.deciding.ruling(planned, payment, whose)
        if ruling.decision == "auto":
            if await self.deciding.counted(planned, whose, bounded=True):
                return ruling.rule
            ruling = await self.deciding.ruling(planned, payment, whose)  # another refund came in between
        if ruling.decision == "deny":
            denied(f"refund policy: {ruling.rule}")
            raise PermissionDenied("", f"the policy does not allow this refund ({ruling.rule}): {ruling.because}")
        wanted = _wanted(planned, payment, ruling)
        approval_id = approval_id or await self._approval(wanted, ruling)
        used = await self.approvals.use(approval_id, wanted, by=planned.key)
        await self.deciding.counted(planned, whose, bounded=False)
        return f"{ruling.rule}, approved by {' and '.join(used.approvers)}"

    async def _approval(self, wanted: Wanted, ruling: Ruling) -> str:
        """The one that was given already.

        Raises:
            ApprovalRequired: none was.
        """
        asked = await self.approvals.ask(wanted, lasts=self.policy.approval_lasts)
        if asked.state == "approved":
            return asked.approval_id
        denied(f"refund policy: {ruling.rule}")
        raise ApprovalRequired(
            "",
            f"{_people(ruling)} has to agree first ({ruling.rule}): {ruling.because} "
            f"The approval that was asked for is {asked.approval_id}, until {asked.expires_at:%Y-%m-%d %H:%M} UTC",
            hint=f"When it is given, call again with approval_id={asked.approval_id}. When the plan has expired by then, "
            "call preview_refund with the same arguments for a new one",
        )

    async def _made(self, planned: Planned) -> Refund | None:
        """The refund that an earlier attempt made."""
        return await self.refundable.giving[planned.ref.backend].refund_made(planned.ref.native, planned.key)

    def _planned(self, plan_token: str) -> Planned:
        told = self.plans.versions(plan_token, ACTION, None, anew=_ANEW)
        lines = tuple(ReturnedLine(line, quantity) for line, quantity in json.loads(told["lines"]))
        amount = Money(amount=int(told["amount"]), currency=told["currency"])
        ref = parse_ref(told["payment"], dict.fromkeys(self.refundable.giving, "payment"))
        return Planned(ref, amount, _REASON.validate_python(told["reason"]), lines, told["state"], told["nonce"])


def _written(planned: Planned) -> dict[str, str]:
    return {
        "payment": str(planned.ref),
        "amount": str(planned.amount.amount),
        "currency": planned.amount.currency,
        "reason": planned.reason,
        "lines": json.dumps([[line.line, line.quantity] for line in planned.lines]),
        "state": planned.state,
        "nonce": planned.nonce,
    }


def _wanted(planned: Planned, payment: Payment, ruling: Ruling) -> Wanted:
    who = principal()
    payload = {
        "payment": str(planned.ref),
        "amount": planned.amount.amount,
        "currency": planned.amount.currency,
        "lines": [[line.line, line.quantity] for line in planned.lines],
        "reason": planned.reason,
        "beneficiary": payment.customer_id or payment.customer_email,
    }
    return Wanted(
        action=ACTION,
        payload=payload,
        requester=who.key,
        requested_by=who.agent or who.client or who.subject,
        role=ruling.role or "finance",
        rule=ruling.rule,
        needed=ruling.approvers or 1,
    )


def _whom(payment: Payment) -> str:
    """Whose it is, as whoever is asked may see it: a question is no result, in which that would be masked."""
    if payment.customer_email is None:
        return payment.customer_id or "the customer"
    return payment.customer_email if principal().holds(PERSONAL_SCOPE) else masked(payment.customer_email)


def _is_human(who: Principal) -> bool:
    """Whether a person is there who could answer: not where a service calls for itself, or a key says only which agent."""
    return who.auth == "none" or (who.auth in ("oauth", "assertion") and bool(who.client) and who.subject != who.client)


def _people(ruling: Ruling) -> str:
    role = (ruling.role or "finance").replace("_", " ")
    return (
        f"somebody with the role {role}" if (ruling.approvers or 1) == 1 else f"{ruling.approvers} of the role {role}"
    )


def _effects(target: Target, amount: Money, reason: RefundReason, *, providers: Container[str]) -> list[Effect]:
    effects = [Effect(system=target.ref.backend, action=f"gives {amount} back to the customer")]
    if reason == "fraudulent" and target.ref.backend in providers:
        effects.append(Effect(system=target.ref.backend, action="is told that it was fraud, and may block the card"))
    if target.order is not None and target.ref.backend != target.order.order_id.partition(":")[0]:
        shop = target.order.order_id.partition(":")[0]
        effects.append(Effect(system=shop, action=f"does not know of it: note it on order {target.order.number}"))
    if target.payment.invoice_id is not None:
        effects.append(Effect(system="ledger", action="is told, where it is configured to be"))
    return effects


def _warnings(target: Target, amount: Money) -> list[str]:
    payment = target.payment
    warnings = [
        f"{refund.amount} are already on their way back"
        for refund in payment.refunds or ()
        if refund.status == "pending"
    ]
    if payment.dispute == "won":
        warnings.append("the customer disputed it once, and the bank decided for the company")
    if target.worth is not None and target.worth != amount:
        warnings.append(f"the lines come to {target.worth}")
    return warnings
