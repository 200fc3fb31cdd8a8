"""What the policy says of one refund at this moment, and the totals of the day that it is counted in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from backoffice_billing.models import Payment, RefundReason, Ruling
from backoffice_billing.policy import COUNTED, Facts, Policy, decide
from backoffice_billing.ports import ReturnedLine
from backoffice_billing.refundable import Beneficiary, Refundable
from backoffice_shared.attempt import vendor_key
from backoffice_shared.jsonvalues import canonical
from backoffice_shared.money import Money
from backoffice_shared.principal import principal
from backoffice_shared.refs import Ref
from backoffice_shared.state.totals import StoredTotals, Total


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
class Deciding:
    refundable: Refundable
    policy: Policy
    totals: StoredTotals
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def ruling(self, planned: Planned, payment: Payment, whose: Beneficiary) -> Ruling:
        now = self.now()
        lately = await self.refundable.given_lately(payment, whose, now - COUNTED)
        agent_day, *customer_days = await self.totals.used([total.key for total in self._totals(planned, whose)])
        return decide(
            self.policy,
            Facts(
                amount=planned.amount,
                refundable=payment.refundable,
                captured=payment.captured,
                dispute=payment.dispute,
                reason=planned.reason,
                has_reference=bool(payment.order or payment.invoice_id),
                now=now,
                paid_at=payment.at,
                flagged=payment.flagged,
                refunds_30_days=None if lately is None else len(lately),
                requester_is_beneficiary=principal().subject.casefold() in whose.emails,
                agent_day=agent_day,
                customer_day=max(customer_days),
            ),
        )

    async def counted(self, planned: Planned, whose: Beneficiary, *, bounded: bool) -> bool:
        """Count it in the day's totals, once for its plan; when `bounded`, only within what needs no approval."""
        return await self.totals.count(planned.key, self._totals(planned, whose, bounded=bounded))

    async def give_back(self, planned: Planned, whose: Beneficiary) -> None:
        """It did not happen."""
        await self.totals.give_back(planned.key, self._totals(planned, whose))

    def _totals(self, planned: Planned, whose: Beneficiary, *, bounded: bool = False) -> list[Total]:
        """The agent's day, and the customer's under each of their names: whoever pays can choose some of these."""
        now, amount = self.now(), planned.amount.amount
        ends_in = 86_400.0 - (now.hour * 3600 + now.minute * 60 + now.second)
        day = f"refunds:{now.date().isoformat()}:{planned.amount.currency}"
        limits = self.policy.currencies.get(planned.amount.currency) if bounded else None
        agent_most = None if limits is None else limits.per_agent_day
        customer_most = None if limits is None else limits.per_customer_day
        names = sorted({*whose.emails, whose.customer_id or ""} - {""}) or [str(planned.ref)]
        customers = (f"{day}:customer:{digest(name)}" for name in names)
        return [
            Total(f"{day}:agent:{principal().key}", amount, ends_in, agent_most),
            *(Total(customer, amount, ends_in, customer_most) for customer in customers),
        ]


def state_of(payment: Payment) -> str:
    """Whatever a refund, a dispute or a settlement changes."""
    refunds = sorted((refund.refund_id, refund.status, refund.amount.amount) for refund in payment.refunds or ())
    amounts = [payment.refundable.amount, payment.refunded.amount]
    return digest(canonical([payment.status, payment.captured, amounts, payment.dispute, refunds]))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
