"""The refund policy: which rule decides, at each of its boundaries, and that more money is never taken more lightly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_billing.models import RefundReason, Ruling
from backoffice_billing.policy import Facts, Policy, decide, read_policy
from backoffice_shared.money import Money

POLICY = read_policy()
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CURRENCIES = ["USD", "JPY", "KWD"]


def money(amount: int, currency: str = "USD") -> Money:
    return Money(amount=amount, currency=currency)


def facts(minor: int = 1000, currency: str = "USD", /, **given: Any) -> Facts:
    """A refund that nothing speaks against, but for what is given."""
    harmless: dict[str, Any] = {
        "amount": money(minor, currency),
        "refundable": money(10**9, currency),
        "captured": True,
        "dispute": None,
        "reason": "defective",
        "has_reference": True,
        "now": NOW,
        "paid_at": NOW - timedelta(days=3),
        "flagged": False,
        "refunds_30_days": 0,
        "requester_is_beneficiary": False,
        "agent_day": 0,
        "customer_day": 0,
    }
    return Facts(**{**harmless, **given})


def told(ruling: Ruling) -> tuple[str, str, str | None, int | None]:
    return ruling.decision, ruling.rule, ruling.role, ruling.approvers


def deny(rule: str) -> tuple[str, str, None, None]:
    return "deny", rule, None, None


def lead(rule: str) -> tuple[str, str, str, int]:
    return "approval", rule, "support_lead", 1


def finance(rule: str, approvers: int = 1) -> tuple[str, str, str, int]:
    return "approval", rule, "finance", approvers


AUTO = ("auto", "within_limits", None, None)


# Amounts


@pytest.mark.parametrize("currency", CURRENCIES)
def test_who_has_to_agree_changes_at_each_threshold_and_not_a_minor_unit_beside_it(currency: str) -> None:
    limits = POLICY.currencies[currency]
    free = {"agent_day": -(2**53), "customer_day": -(2**53)}
    found = {
        amount: told(decide(POLICY, facts(amount, currency, **free)))
        for most in (limits.auto_up_to, limits.lead_up_to, limits.two_approvers_above)
        for amount in (most - 1, most, most + 1)
    }
    assert list(found.values()) == [
        AUTO,
        AUTO,
        lead("amount_above_auto"),
        lead("amount_above_auto"),
        lead("amount_above_auto"),
        finance("amount_above_lead"),
        finance("amount_above_lead"),
        finance("amount_above_lead"),
        finance("amount_above_lead", 2),
    ]


@pytest.mark.parametrize("currency", CURRENCIES)
@pytest.mark.parametrize(
    ("fact", "rule", "most"),
    [("agent_day", "agent_day_total", "per_agent_day"), ("customer_day", "customer_day_total", "per_customer_day")],
)
def test_the_totals_of_a_day_count_this_refund_to_the_last_minor_unit(
    currency: str, fact: str, rule: str, most: str
) -> None:
    limit: int = getattr(POLICY.currencies[currency], most)
    amount = POLICY.currencies[currency].auto_up_to
    given = [{fact: limit - amount + more} for more in (-1, 0, 1)]
    assert [told(decide(POLICY, facts(amount, currency, **used))) for used in given] == [AUTO, AUTO, lead(rule)]


@pytest.mark.parametrize("currency", CURRENCIES)
def test_no_more_is_refunded_than_is_left_of_the_payment(currency: str) -> None:
    left = money(700, currency)
    found = [told(decide(POLICY, facts(amount, currency, refundable=left))) for amount in (699, 700, 701)]
    assert found == [AUTO, AUTO, deny("amount_above_refundable")]


@pytest.mark.parametrize("currency", CURRENCIES)
def test_nothing_and_less_than_nothing_is_no_refund(currency: str) -> None:
    found = [told(decide(POLICY, facts(amount, currency))) for amount in (-(10**30), -1, 0, 1)]
    assert found == [deny("amount_not_positive")] * 3 + [AUTO]


def test_a_currency_that_the_policy_does_not_name_needs_two_of_finance_however_little_it_is() -> None:
    assert told(decide(POLICY, facts(1, "CHF"))) == finance("currency_not_named", 2)


@pytest.mark.parametrize("why", [{"flagged": True}, {"refunds_30_days": 4}, {"requester_is_beneficiary": True}])
def test_what_needs_finance_for_another_reason_needs_two_above_the_same_amount(why: dict[str, Any]) -> None:
    found = [decide(POLICY, facts(amount, **why)).approvers for amount in (500_000, 500_001)]
    assert found == [1, 2]


# The other rules, at their boundaries


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"dispute": "open"}, deny("dispute_open")),
        ({"dispute": "lost"}, deny("dispute_lost")),
        ({"dispute": "won"}, AUTO),
        ({"captured": False}, deny("not_captured")),
        ({"refundable": money(0)}, deny("nothing_refundable")),
        ({"refundable": money(-1)}, deny("nothing_refundable")),
        ({"refundable": money(10**9, "EUR")}, deny("currency_mismatch")),
        ({"paid_at": NOW - timedelta(days=180)}, AUTO),
        ({"paid_at": NOW - timedelta(days=180, microseconds=1)}, deny("payment_too_old")),
        ({"flagged": True}, finance("customer_flagged")),
        ({"refunds_30_days": 3}, AUTO),
        ({"refunds_30_days": 4}, finance("many_refunds")),
        ({"requester_is_beneficiary": True}, finance("requester_is_beneficiary")),
        ({"reason": "goodwill"}, lead("goodwill")),
        ({"has_reference": False}, lead("no_reference")),
        # What is not known
        ({"paid_at": None}, deny("payment_date_unknown")),
        ({"refunds_30_days": None}, finance("refund_count_unknown")),
        ({"agent_day": None}, lead("agent_day_total_unknown")),
        ({"customer_day": None}, lead("customer_day_total_unknown")),
    ],
)
def test_each_rule_decides_what_it_is_for(given: dict[str, Any], expected: tuple[object, ...]) -> None:
    assert told(decide(POLICY, facts(**given))) == expected


@pytest.mark.parametrize(
    ("changed", "given", "expected"),
    [
        ({"window_days": 2}, {}, deny("payment_too_old")),
        ({"reasons": frozenset({"duplicate"})}, {}, deny("reason_not_allowed")),
        ({"goodwill": "auto"}, {"reason": "goodwill"}, AUTO),
        ({"goodwill": "finance"}, {"reason": "goodwill"}, finance("goodwill")),
        ({"goodwill": "finance"}, {"reason": "goodwill", "amount": money(5001)}, finance("goodwill")),
        ({"reference_needed": False}, {"has_reference": False}, AUTO),
        ({"max_refunds_30_days": 0}, {"refunds_30_days": 1}, finance("many_refunds")),
        ({"currencies": {}}, {}, finance("currency_not_named", 2)),
    ],
)
def test_each_setting_of_the_policy_has_its_effect(
    changed: dict[str, Any], given: dict[str, Any], expected: tuple[object, ...]
) -> None:
    assert told(decide(POLICY.model_copy(update=changed), facts(**given))) == expected


def test_how_long_an_approval_lasts_and_which_scope_a_role_is_are_the_policys() -> None:
    changed = POLICY.model_copy(update={"approval_expires_hours": 5})
    assert changed.approval_lasts == timedelta(hours=5)
    assert [POLICY.scope(role) for role in ("support_lead", "finance")] == ["approve:support_lead", "approve:finance"]
    with pytest.raises(KeyError):
        POLICY.scope("janitor")


def test_a_decision_says_the_numbers_that_a_caller_may_act_on() -> None:
    asked = [
        facts(200, refundable=money(150)),
        facts(paid_at=datetime(2026, 1, 2, tzinfo=UTC)),
        facts(5001),
        facts(50_001),
        facts(75_001, "JPY"),
        facts(15_001, "KWD"),
        facts(refunds_30_days=7),
        facts(4000, customer_day=8000),
        facts(4000, agent_day=60_000),
        facts(refundable=money(5, "EUR")),
    ]
    assert [decide(POLICY, one).because for one in asked] == [
        "At most 1.50 USD of the payment can still be refunded.",
        "It was paid on 2026-01-02, and refunds are given within 180 days.",
        "50.01 USD is more than the 50.00 USD that need no approval.",
        "500.01 USD is more than the 500.00 USD of a support lead.",
        "75001 JPY is more than the 75000 JPY of a support lead.",
        "15.001 KWD is more than the 15.000 KWD that need no approval.",
        "The customer was given 7 refunds in 30 days, more than 3.",
        "20.00 USD of the 100.00 USD a day to this customer are left without approval.",
        "0.00 USD of the 500.00 USD a day by this agent are left without approval.",
        "The payment was in EUR, so that it is refunded in EUR.",
    ]


# What holds for whatever is asked


Change = Callable[[dict[str, Any]], dict[str, Any]]

IN_ORDER: dict[str, Change] = {
    "dispute_open": lambda _: {"dispute": "open"},
    "not_captured": lambda _: {"captured": False},
    "nothing_refundable": lambda _: {"refundable": money(0)},
    "amount_not_positive": lambda _: {"amount": money(0)},
    "currency_mismatch": lambda now: {"refundable": money(now["refundable"].amount, "SEK")},
    "amount_above_refundable": lambda now: {"refundable": money(now["amount"].amount - 1, now["amount"].currency)},
    "payment_too_old": lambda _: {"paid_at": NOW - timedelta(days=181)},
    "reason_not_allowed": lambda _: {"reason": "fraudulent"},
    "customer_flagged": lambda _: {"flagged": True},
    "many_refunds": lambda _: {"refunds_30_days": 4},
    "requester_is_beneficiary": lambda _: {"requester_is_beneficiary": True},
    "currency_not_named": lambda now: {
        "amount": money(now["amount"].amount, "CHF"),
        "refundable": money(now["refundable"].amount, "CHF"),
    },
    "amount_above_lead": lambda _: {"amount": money(50_001)},
    "amount_above_auto": lambda _: {"amount": money(5001)},
    "goodwill": lambda _: {"reason": "goodwill"},
    "no_reference": lambda _: {"has_reference": False},
    "agent_day_total": lambda _: {"agent_day": 49_001},
    "customer_day_total": lambda _: {"customer_day": 9001},
}
"""The rules as they come, and what makes each of them match."""


@given(st.sets(st.sampled_from(list(IN_ORDER))))
def test_of_all_rules_that_match_the_first_one_decides(matching: set[str]) -> None:
    policy = POLICY.model_copy(update={"reasons": POLICY.reasons - {"fraudulent"}})
    asked: dict[str, Any] = {"amount": money(1000), "refundable": money(10**9)}
    in_order = [rule for rule in IN_ORDER if rule in matching]
    for rule in reversed(in_order):
        asked |= IN_ORDER[rule](asked)
    assert decide(policy, facts(**asked)).rule == next(iter(in_order), "within_limits")


def policies() -> st.SearchStrategy[Policy]:
    """Any policy, the thresholds of one currency close to each other."""

    def made(rising: list[int], days: tuple[int, int], given: dict[str, Any]) -> Policy:
        auto, leads, two = sorted(rising)
        limits = {"auto_up_to": auto, "lead_up_to": leads, "two_approvers_above": two}
        limits |= {"per_agent_day": days[0], "per_customer_day": days[1]}
        return Policy.model_validate({**POLICY.model_dump(), **given, "currencies": {"USD": limits}})

    small = st.integers(0, 40)
    given = st.fixed_dictionaries(
        {
            "goodwill": st.sampled_from(["auto", "support_lead", "finance"]),
            "reference_needed": st.booleans(),
            "reasons": st.sets(st.sampled_from(get_args(RefundReason)), min_size=1),
        }
    )
    return st.builds(made, st.lists(small, min_size=3, max_size=3), st.tuples(small, small), given)


@st.composite
def asked(draw: st.DrawFn) -> Facts:
    day: Any = st.none() | st.integers(0, 40)
    return facts(
        draw(st.integers(1, 50)),
        draw(st.sampled_from(["USD", "USD", "USD", "CHF"])),
        refundable=money(draw(st.integers(0, 60)), draw(st.sampled_from(["USD", "USD", "CHF"]))),
        captured=draw(st.booleans()),
        dispute=draw(st.sampled_from([None, None, "open", "won", "lost"])),
        reason=draw(st.sampled_from(get_args(RefundReason))),
        has_reference=draw(st.booleans()),
        paid_at=draw(st.none() | st.integers(0, 200).map(lambda days: NOW - timedelta(days=days))),
        flagged=draw(st.booleans()),
        refunds_30_days=draw(st.none() | st.integers(0, 6)),
        requester_is_beneficiary=draw(st.booleans()),
        agent_day=draw(day),
        customer_day=draw(day),
    )


def strictness(ruling: Ruling) -> tuple[int, int, int]:
    decisions, roles = ["auto", "approval", "deny"], [None, "support_lead", "finance"]
    return decisions.index(ruling.decision), roles.index(ruling.role), ruling.approvers or 0


@given(policies(), asked(), st.integers(1, 20))
def test_more_money_is_never_taken_more_lightly(policy: Policy, less: Facts, by: int) -> None:
    more = replace(less, amount=money(less.amount.amount + by, less.amount.currency))
    assert strictness(decide(policy, less)) <= strictness(decide(policy, more))


@given(policies(), asked())
def test_without_approval_nothing_goes_beyond_a_limit_or_without_all_facts(policy: Policy, one: Facts) -> None:
    if decide(policy, one).decision != "auto":
        return
    limits, amount = policy.currencies[one.amount.currency], one.amount.amount
    assert 0 < amount <= min(limits.auto_up_to, one.refundable.amount)
    assert one.agent_day is not None
    assert one.customer_day is not None
    assert one.agent_day + amount <= limits.per_agent_day
    assert one.customer_day + amount <= limits.per_customer_day
    assert one.captured
    assert one.dispute in (None, "won")
    assert (one.flagged, one.requester_is_beneficiary) == (False, False)
    assert one.reason in policy.reasons


UNKNOWN = ["paid_at", "refunds_30_days", "agent_day", "customer_day"]


@given(policies(), asked(), st.sampled_from(UNKNOWN))
def test_a_fact_that_is_not_known_never_makes_it_easier(policy: Policy, known: Facts, name: str) -> None:
    unknown = replace(known, **{name: None})
    assert strictness(decide(policy, known)) <= strictness(decide(policy, unknown))


@given(policies(), asked())
def test_who_has_to_agree_is_said_when_somebody_has_to_and_only_then(policy: Policy, one: Facts) -> None:
    ruling = decide(policy, one)
    assert (ruling.role is not None, bool(ruling.approvers)) == (ruling.decision == "approval",) * 2
    assert ruling.because.endswith(".")
