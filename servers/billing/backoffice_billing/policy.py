"""Who has to agree to a refund: the policy as the operator wrote it, and what it says of one refund.

The decision is a pure function of the policy and the facts: the first rule that matches decides. A fact that is not known
counts as the strict case. Amounts are integers of minor units.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from backoffice_billing.models import DisputeStatus, RefundReason, Ruling
from backoffice_shared.money import Currency, Money, to_decimal
from backoffice_shared.principal import Principal
from backoffice_shared.yamlfile import read_yaml

BUILT_IN = Path(__file__).with_name("refunds.yaml")
REFUND_SCOPE = "billing:refund"
MOST_CURRENCIES_SHOWN = 8
COUNTED = timedelta(days=30)
"""How far back `Facts.refunds_30_days` looks."""

Role = Literal["support_lead", "finance"]
Amount = Annotated[StrictInt, Field(ge=0, le=2**53)]
Scope = Annotated[str, Field(pattern=r"^[!#-\[\]-~]{1,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Strict):
    """Of one currency, in its minor units. Up to `auto_up_to` nobody has to agree, up to `lead_up_to` the support lead,
    above it finance, and above `two_approvers_above` two of them. What is refunded without approval stays within
    `per_agent_day` for one agent, and `per_customer_day` for one customer, in a UTC day."""

    auto_up_to: Amount
    lead_up_to: Amount
    two_approvers_above: Amount
    per_agent_day: Amount
    per_customer_day: Amount

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if not self.auto_up_to <= self.lead_up_to <= self.two_approvers_above:
            raise ValueError("auto_up_to, lead_up_to and two_approvers_above must not fall in this order")
        return self


class Roles(_Strict):
    """The scope that an approver must hold for each role."""

    support_lead: Scope
    finance: Scope


class Policy(_Strict):
    """`window_days` is how old a payment may be, `goodwill` who has to agree to a refund for that reason, and
    `max_refunds_30_days` how many a customer may have had. A currency that is not named always needs finance."""

    window_days: Annotated[StrictInt, Field(ge=1, le=3650)]
    reasons: Annotated[frozenset[RefundReason], Field(min_length=1)]
    goodwill: Literal["auto", "support_lead", "finance"]
    reference_needed: StrictBool
    max_refunds_30_days: Annotated[StrictInt, Field(ge=0, le=1000)]
    approval_expires_hours: Annotated[StrictInt, Field(ge=1, le=720)]
    roles: Roles
    currencies: Mapping[Currency, Thresholds]

    @property
    def approval_lasts(self) -> timedelta:
        return timedelta(hours=self.approval_expires_hours)

    def scope(self, role: str) -> str:
        """The scope that whoever approves as `role` must hold.

        Raises:
            KeyError: the policy has no such role.
        """
        return self.roles.model_dump()[role]


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of one refund. None means that it is not known, but for `dispute`: there is none.
    `requester_is_beneficiary`: the subject of whoever asks is an address of whoever is paid; where subjects are no
    addresses, that cannot be seen.

    `refundable` is what may still be given back of the payment. Of several disputes, `dispute` is the worst: open before
    lost before won. `refunds_30_days` are those that the customer was given in the last 30 days, this one not among them.
    `agent_day` and `customer_day` are what was refunded today (UTC) by this agent, and to this customer, before this one,
    in minor units of the same currency.
    """

    amount: Money
    refundable: Money
    captured: bool
    dispute: DisputeStatus | None
    reason: RefundReason
    has_reference: bool
    now: datetime
    flagged: bool
    requester_is_beneficiary: bool
    paid_at: datetime | None = None
    refunds_30_days: int | None = None
    agent_day: int | None = None
    customer_day: int | None = None


def read_policy(file: Path | None = None) -> Policy:
    """The policy in `file`, or the built-in one.

    Raises:
        InvalidInput: it cannot be read, is not YAML, or says something that has no meaning. One line says what.
    """
    return read_yaml(file or BUILT_IN, Policy)


def decide(policy: Policy, facts: Facts) -> Ruling:
    """What the policy says of this refund. A larger amount is never treated more leniently than a smaller one."""
    for rules in _IN_ORDER:
        if (ruling := rules(policy, facts)) is not None:
            return ruling
    return Ruling(decision="auto", rule="within_limits", because=f"{facts.amount} is within what needs no approval.")


def render(policy: Policy, who: Principal) -> str:
    """The policy in force, as Markdown of at most 800 tokens, with what `who` may do under it."""
    shown = sorted(policy.currencies)[:MOST_CURRENCIES_SHOWN]
    hidden = len(policy.currencies) - len(shown)
    rows = [
        "| | no approval up to | support_lead up to | two approvers above | a day, one agent | a day, one customer |",
        "|---|---|---|---|---|---|",
        *(_shown(currency, policy.currencies[currency]) for currency in shown),
    ]
    return "\n".join(
        [
            "# Refund policy",
            "",
            "The first of these that applies decides. What is not known counts as the strict case.",
            "",
            *(f"{number}. {rule}" for number, rule in enumerate(_rules(policy), start=1)),
            "",
            *(rows if shown else []),
            *([f"\nAnd {hidden} more currencies: preview_refund says what applies."] if hidden else []),
            "",
            f"An approval is good for {policy.approval_expires_hours} hours, once, for exactly what was asked. Whoever asked"
            " never gives it.",
            "",
            "## You",
            "",
            *(f"- {right}" for right in _rights(policy, who)),
            "",
        ]
    )


def _rules(policy: Policy) -> list[str]:
    by_lead, by_finance = ["more than the first column"], ["more than the second column"]
    if policy.goodwill != "auto":
        (by_lead if policy.goodwill == "support_lead" else by_finance).append("the reason `goodwill`")
    if policy.reference_needed:
        by_lead.append("no order, ticket or invoice is named")
    return [
        "**Denied**: an open or lost dispute; a payment that was not captured; nothing left of it; another currency than"
        f" the payment's; more than is left; a payment older than {policy.window_days} days; a reason other than"
        f" {_reasons(policy)}.",
        f"**Approval by finance**: flagged for fraud; a customer with more than {policy.max_refunds_30_days} refunds in"
        " 30 days; whoever asks is the one paid; a currency without thresholds (two approvers);"
        f" {'; '.join(by_finance)}. Above the third column by two people.",
        f"**Approval by support_lead**: {'; '.join(by_lead)}; more than is left of the day's totals.",
        "**No approval**: everything else.",
    ]


def _shown(currency: str, limits: Thresholds) -> str:
    cells = (to_decimal(_money(minor, currency)) for minor in limits.model_dump().values())
    return f"| {currency} | {' | '.join(cells)} |"


def _rights(policy: Policy, who: Principal) -> list[str]:
    """What `who` may do by their scopes. What they have used up of a day, only a preview knows."""
    may_refund = who.holds(REFUND_SCOPE)
    approves = [role for role in get_args(Role) if who.holds(policy.scope(role))]
    lacks = [f"{role} (scope {policy.scope(role)})" for role in get_args(Role) if role not in approves]
    return [
        "You may issue refunds: without approval within the first column, and the day's totals."
        if may_refund
        else f"You may not issue refunds: that needs the scope {REFUND_SCOPE}.",
        *([f"You may approve, as {' and as '.join(approves)}, what others ask for."] if approves else []),
        *([f"You may not approve as {' or as '.join(lacks)}."] if lacks else []),
    ]


def _denied(policy: Policy, facts: Facts) -> Ruling | None:
    amount, refundable = facts.amount, facts.refundable
    if facts.dispute == "open":
        return _deny("dispute_open", "The payment is disputed: its outcome decides, not a refund.")
    if facts.dispute == "lost":
        return _deny("dispute_lost", "The payment was charged back: the bank has returned the money.")
    if not facts.captured:
        return _deny("not_captured", "The payment was not captured: cancel it instead.")
    if refundable.amount <= 0:
        return _deny("nothing_refundable", "Nothing is left of the payment that could be refunded.")
    if amount.amount <= 0:
        return _deny("amount_not_positive", "A refund has to be of more than nothing.")
    if amount.currency != refundable.currency:
        return _deny(
            "currency_mismatch",
            f"The payment was in {refundable.currency}, so that it is refunded in {refundable.currency}.",
        )
    if amount > refundable:
        return _deny("amount_above_refundable", f"At most {refundable} of the payment can still be refunded.")
    if facts.paid_at is None:
        return _deny("payment_date_unknown", "It is not known when it was paid.")
    if facts.now - facts.paid_at > timedelta(days=policy.window_days):
        return _deny(
            "payment_too_old",
            f"It was paid on {facts.paid_at:%Y-%m-%d}, and refunds are given within {policy.window_days} days.",
        )
    if facts.reason not in policy.reasons:
        return _deny("reason_not_allowed", f"Refunds are given for these reasons: {_reasons(policy)}.")
    return None


def _by_finance(policy: Policy, facts: Facts) -> Ruling | None:
    amount, limits = facts.amount, policy.currencies.get(facts.amount.currency)
    if facts.flagged:
        return _finance(limits, amount, "customer_flagged", "The customer or the payment is flagged for fraud.")
    if facts.refunds_30_days is None:
        return _finance(limits, amount, "refund_count_unknown", "How many refunds the customer was given is not known.")
    if facts.refunds_30_days > policy.max_refunds_30_days:
        return _finance(
            limits,
            amount,
            "many_refunds",
            f"The customer was given {facts.refunds_30_days} refunds in 30 days, more than {policy.max_refunds_30_days}.",
        )
    if facts.requester_is_beneficiary:
        return _finance(limits, amount, "requester_is_beneficiary", "Whoever asks for it is the one who is paid.")
    if limits is None:
        return _finance(limits, amount, "currency_not_named", f"The policy names no thresholds for {amount.currency}.")
    if amount.amount > limits.lead_up_to:
        return _finance(
            limits,
            amount,
            "amount_above_lead",
            f"{amount} is more than the {_money(limits.lead_up_to, amount.currency)} of a support lead.",
        )
    if facts.reason == "goodwill" and policy.goodwill == "finance":
        return _finance(limits, amount, "goodwill", "Refunds out of goodwill need finance.")
    return None


def _by_lead(policy: Policy, facts: Facts) -> Ruling | None:
    amount, limits = facts.amount, policy.currencies[facts.amount.currency]
    if amount.amount > limits.auto_up_to:
        return _lead(
            "amount_above_auto",
            f"{amount} is more than the {_money(limits.auto_up_to, amount.currency)} that need no approval.",
        )
    if facts.reason == "goodwill" and policy.goodwill == "support_lead":
        return _lead("goodwill", "Refunds out of goodwill need a support lead.")
    if policy.reference_needed and not facts.has_reference:
        return _lead("no_reference", "It names no order, ticket or invoice.")
    for rule, whose, used, most in (
        ("agent_day_total", "by this agent", facts.agent_day, limits.per_agent_day),
        ("customer_day_total", "to this customer", facts.customer_day, limits.per_customer_day),
    ):
        if used is None:
            return _lead(f"{rule}_unknown", f"What was refunded {whose} today is not known.")
        if used + amount.amount > most:
            left = _money(max(most - used, 0), amount.currency)
            return _lead(
                rule, f"{left} of the {_money(most, amount.currency)} a day {whose} are left without approval."
            )
    return None


_IN_ORDER: tuple[Callable[[Policy, Facts], Ruling | None], ...] = (_denied, _by_finance, _by_lead)


def _deny(rule: str, because: str) -> Ruling:
    return Ruling(decision="deny", rule=rule, because=because)


def _lead(rule: str, because: str) -> Ruling:
    return Ruling(decision="approval", rule=rule, because=because, role="support_lead", approvers=1)


def _finance(limits: Thresholds | None, amount: Money, rule: str, because: str) -> Ruling:
    """Where there are no thresholds, nobody can say that one approver is enough."""
    two = limits is None or amount.amount > limits.two_approvers_above
    return Ruling(decision="approval", rule=rule, because=because, role="finance", approvers=2 if two else 1)


def _money(minor: int, currency: str) -> Money:
    return Money(amount=minor, currency=currency)


def _reasons(policy: Policy) -> str:
    return ", ".join(reason for reason in get_args(RefundReason) if reason in policy.reasons)
