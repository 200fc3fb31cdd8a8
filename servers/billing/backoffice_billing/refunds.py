"""Refunds: what policy says is shown first, and what is carried out is what was shown, once, by the one who may.

A plan is for one refund, whoever's key it is carried out with: the vendor is given a key made of the plan. All refunds of
one payment are given one at a time, so that what was judged is still so when the money leaves.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import TypeAdapter

from backoffice_billing.bookkeeping import NOBODY, Bookkeeping
from backoffice_billing.invoices import TO_THE_BOOKS
from backoffice_billing.models import Effect, IssuedRefund, Payment, Refund, RefundPreview, RefundReason, Ruling
from backoffice_billing.policy import COUNTED, Facts, Policy, decide
from backoffice_billing.ports import Entry, RefundDraft, ReturnedLine
from backoffice_billing.refundable import Refundable, Target
from backoffice_shared.account import denied
from backoffice_shared.attempt import uncertain_since, vendor_key
from backoffice_shared.errors import ApprovalRequired, Conflict, PermissionDenied
from backoffice_shared.jsonvalues import canonical
from backoffice_shared.mcp.personal import masked
from backoffice_shared.money import Money
from backoffice_shared.plans import Plans
from backoffice_shared.principal import Principal, principal
from backoffice_shared.refs import Ref, parse_ref
from backoffice_shared.state.alone import alone
from backoffice_shared.state.approvals import Approvals, Wanted
from backoffice_shared.state.records import Records
from backoffice_shared.state.totals import StoredTotals, Total

ACTION = "issue a refund"
PERSONAL_SCOPE = "customer:pii"
"""What a caller needs to be shown personal data as it is."""
_REASON: TypeAdapter[RefundReason] = TypeAdapter(RefundReason)
_DENIED = "the policy does not allow this refund"


@dataclass(frozen=True, slots=True)
class Planned:
    """What a plan token stands for. `state` is that of the payment when it was shown."""

    ref: Ref
    amount: Money
    reason: RefundReason
    lines: tuple[ReturnedLine, ...]
    state: str
    nonce: str

    @property
    def key(self) -> str:
        """As the vendor sees it: the same for every attempt to carry out this plan."""
        return vendor_key("issue_refund", self.nonce)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a human is to be asked, and how they are known when they agree."""

    question: str
    wanted: Wanted


@dataclass(frozen=True, slots=True)
class Refunds:
    refundable: Refundable
    policy: Policy
    approvals: Approvals
    totals: StoredTotals
    books: Bookkeeping
    plans: Plans
    records: Records
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

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
        proposed = target.worth or payment.refundable
        if amount is not None:
            proposed = Money(amount=amount, currency=payment.refundable.currency)
        planned = Planned(target.ref, proposed, reason, lines, _state(payment), secrets.token_hex(12))
        ruling = await self._ruling(planned, payment)
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
            effects=_effects(target, proposed),
            warnings=_warnings(target, proposed, worth=target.worth),
        )
        if ruling.decision == "deny":
            return shown
        plan = self.plans.made(ACTION, None, _written(planned))
        return shown.model_copy(update={"plan_token": plan.token, "expires_at": plan.expires_at})

    # ------------------------------------------------------------------------------------------------- deciding

    async def _ruling(self, planned: Planned, payment: Payment) -> Ruling:
        now = self.now()
        lately = await self.refundable.given_lately(payment, now - COUNTED)
        agent_day, customer_day = await self.totals.used([total.key for total in self._totals(planned, payment)])
        return decide(
            self.policy,
            Facts(
                amount=planned.amount,
                refundable=payment.refundable,
                captured=payment.captured,
                dispute=payment.dispute,
                reason=planned.reason,
                has_reference=bool(payment.order or payment.invoice_id or planned.ref.backend in self.refundable.shops),
                now=now,
                paid_at=payment.at,
                flagged=payment.flagged,
                refunds_30_days=None if lately is None else len(lately),
                requester_is_beneficiary=_is_theirs(principal(), payment),
                agent_day=agent_day,
                customer_day=customer_day,
            ),
        )

    def _totals(self, planned: Planned, payment: Payment, *, bounded: bool = False) -> list[Total]:
        """The agent's day and the customer's."""
        now = self.now()
        ends_in = 86_400.0 - (now.hour * 3600 + now.minute * 60 + now.second)
        day = f"refunds:{now.date().isoformat()}:{planned.amount.currency}"
        customer = (payment.customer_email or payment.customer_id or payment.payment_id).casefold()
        limits = self.policy.currencies.get(planned.amount.currency) if bounded else None
        return [
            Total(f"{day}:agent:{principal().key}", planned.amount.amount, ends_in, limits and limits.per_agent_day),
            Total(
                f"{day}:customer:{_digest(customer)}",
                planned.amount.amount,
                ends_in,
                limits and limits.per_customer_day,
            ),
        ]

    def _wanted(self, planned: Planned, payment: Payment, ruling: Ruling) -> Wanted:
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

    # -------------------------------------------------------------------------------------------------- asking

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
        ruling = await self._ruling(planned, payment)
        if ruling.decision != "approval" or ruling.approvers != 1 or not ruling.role:
            return None
        if not _is_human(principal()) or not principal().holds(self.policy.scope(ruling.role)):
            return None
        wanted = self._wanted(planned, payment, ruling)
        question = (
            f"Refund {planned.amount} of payment {planned.ref} to {_named(payment)}, because of {planned.reason}? "
            f"{ruling.because} The money cannot be taken back."
        )
        return Asked(question, wanted)

    async def agreed(self, asked: Asked, *, agrees: bool) -> str:
        """What the human who was asked said, as an approval that can be used."""
        approval = await self.approvals.ask(asked.wanted, lasts=self.policy.approval_lasts)
        if approval.state == "approved":
            return approval.approval_id
        human = principal()
        decided = await self.approvals.decide(
            approval.approval_id, approver=f"human:{human.key}", named=f"{human.subject}, when asked", agrees=agrees
        )
        return decided.approval_id

    # -------------------------------------------------------------------------------------------------- doing

    async def issue(self, plan_token: str, approval_id: str | None, *, key: str) -> IssuedRefund:
        """Carry a plan out.

        Raises:
            ApprovalRequired: somebody has to agree first; the sentence says who, and the approval's id.
            PermissionDenied: the policy, or an approver, does not allow it.
            Conflict: the payment has changed since the preview, the plan has expired, or another refund of it is under way.
            OutcomeUnknown: it was sent, and nobody knows.
        """
        planned = self._planned(plan_token)
        system = self.refundable.giving[planned.ref.backend]
        async with alone(self.records, "payment", str(planned.ref)):
            payment = await self.refundable.payment(planned.ref)
            made = await self._made(planned) if uncertain_since() is not None else None
            rule = "decided before" if made is not None else await self._allowed(planned, payment, approval_id)
            draft = RefundDraft(planned.ref.native, planned.amount, planned.reason, planned.lines)
            written = await system.refund(draft, planned.key)
            if written.value.status in ("failed", "canceled"):
                await self.totals.give_back(planned.key, self._totals(planned, payment))
        refund = written.value
        told = NOBODY
        if refund.status in ("succeeded", "pending") and payment.invoice_id is not None:
            number = await self.refundable.number(payment.invoice_id)
            entry = Entry(planned.amount, refund.at, refund.refund_id, planned.reason)
            told = await self.books.refunded(number, entry, vendor_key("ledger: issue_refund", planned.nonce))
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
            notes=[TO_THE_BOOKS] if told.again else [],
        )

    async def _allowed(self, planned: Planned, payment: Payment, approval_id: str | None) -> str:
        """The rule by which it may be done now, counted and approved as that wants.

        Raises:
            ApprovalRequired, PermissionDenied, Conflict: it may not.
        """
        if _state(payment) != planned.state:
            raise Conflict(
                "",
                f"{planned.ref} has changed since the preview: {payment.refundable} can be refunded now; nothing was done",
                hint="preview_refund shows what is possible now",
            )
        ruling = await self._ruling(planned, payment)
        if ruling.decision == "deny":
            denied(f"refund policy: {ruling.rule}")
            raise PermissionDenied("", f"{_DENIED} ({ruling.rule}): {ruling.because}")
        if ruling.decision == "auto" and await self.totals.count(
            planned.key, self._totals(planned, payment, bounded=True)
        ):
            return ruling.rule
        if ruling.decision == "auto":  # another refund came in between
            ruling = await self._ruling(planned, payment)
        wanted = self._wanted(planned, payment, ruling)
        if approval_id is None:
            asked = await self.approvals.ask(wanted, lasts=self.policy.approval_lasts)
            if asked.state != "approved":
                denied(f"refund policy: {ruling.rule}")
                raise ApprovalRequired(
                    "",
                    f"{_people(ruling)} has to agree first ({ruling.rule}): {ruling.because} "
                    f"The approval that was asked for is {asked.approval_id}, until {asked.expires_at:%Y-%m-%d %H:%M} UTC",
                    hint=f"When it is given, call again with approval_id={asked.approval_id}",
                )
            approval_id = asked.approval_id
        used = await self.approvals.use(approval_id, wanted, by=planned.key)
        await self.totals.count(planned.key, self._totals(planned, payment))
        return f"{ruling.rule}, approved by {' and '.join(used.approvers)}"

    async def _made(self, planned: Planned) -> Refund | None:
        """The refund that an earlier attempt made."""
        return await self.refundable.giving[planned.ref.backend].refund_made(planned.ref.native, planned.key)

    def _planned(self, plan_token: str) -> Planned:
        told = self.plans.versions(plan_token, ACTION, None)
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


def _state(payment: Payment) -> str:
    """Whatever a refund, a dispute or a settlement changes."""
    refunds = sorted((refund.refund_id, refund.status, refund.amount.amount) for refund in payment.refunds or ())
    seen = [
        payment.status,
        payment.captured,
        payment.refundable.amount,
        payment.refunded.amount,
        payment.dispute,
        refunds,
    ]
    return _digest(canonical(seen))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _is_human(who: Principal) -> bool:
    """Whether a person is there who could answer: not where a service calls for itself, or a key says only which agent."""
    return who.auth == "none" or (who.auth in ("oauth", "assertion") and bool(who.client) and who.subject != who.client)


def _is_theirs(who: Principal, payment: Payment) -> bool:
    return payment.customer_email is not None and who.subject.casefold() == payment.customer_email.casefold()


def _named(payment: Payment) -> str:
    """Whose it is, as whoever is asked may see it: a question is no result, in which that would be masked."""
    if payment.customer_email is None:
        return payment.customer_id or "the customer"
    return payment.customer_email if principal().holds(PERSONAL_SCOPE) else masked(payment.customer_email)


def _people(ruling: Ruling) -> str:
    role = (ruling.role or "finance").replace("_", " ")
    return (
        f"somebody with the role {role}" if (ruling.approvers or 1) == 1 else f"{ruling.approvers} of the role {role}"
    )


def _effects(target: Target, amount: Money) -> list[Effect]:
    effects = [Effect(system=target.ref.backend, action=f"gives {amount} back to the customer")]
    if target.order is not None and target.ref.backend != target.order.order_id.partition(":")[0]:
        shop = target.order.order_id.partition(":")[0]
        effects.append(Effect(system=shop, action=f"does not know of it: note it on order {target.order.number}"))
    if target.payment.invoice_id is not None:
        effects.append(Effect(system="ledger", action="is told, where it is configured to be"))
    return effects


def _warnings(target: Target, amount: Money, *, worth: Money | None) -> list[str]:
    payment = target.payment
    warnings = [
        f"{refund.amount} are already on their way back"
        for refund in payment.refunds or ()
        if refund.status == "pending"
    ]
    if payment.dispute == "won":
        warnings.append("the customer disputed it once, and the bank decided for the company")
    if worth is not None and worth != amount:
        warnings.append(f"the lines come to {worth}")
    return warnings
