"""Refunds through the tools: what the policy says is what happens, and the one who may decide decides."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.billing.books_balance import must_balance
from tests.billing.counter import counter, said
from tests.billing.people import Hand, ids, payer
from tests.billing.refunding import Answer, Human, approved, paid, recent, refundable

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.principal import Principal, acting
from backoffice_shared.sandbox.books import paid_outside

pytestmark = pytest.mark.anyio


async def test_a_preview_gives_its_money_back_once_also_with_two_keys():
    async with counter(hurried=False) as at:
        hand, payment = await paid(at, 4_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=1_000, reason="defective")
        first = await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        again = await at.refusal("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert first["status"] == "succeeded"
        assert "has changed since the preview" in again
        assert await refundable(at, payment) == 3_000


async def test_the_same_call_again_is_told_what_the_first_one_did():
    async with counter(hurried=False) as at:
        _, payment = await paid(at, 4_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=1_000, reason="defective")
        call = {"plan_token": shown["plan_token"], "idempotency_key": "the-same-key"}
        first, second = await at.ask("issue_refund", **call), await at.ask("issue_refund", **call)
        assert second == {**first, "replayed": True}
        assert await refundable(at, payment) == 3_000


async def test_of_two_agents_who_race_for_the_last_cent_one_wins_and_the_other_reads_why():
    async with counter(hurried=False) as at:
        hand, payment = await paid(at, 4_000)
        first = await at.ask("preview_refund", payment_id=payment, amount=3_999, reason="defective")
        await at.ask("issue_refund", plan_token=first["plan_token"], idempotency_key=hand.key())

        async def agent(name: str) -> tuple[bool, str]:
            with acting(Principal(name, "api_key", agent=name)):
                shown = await at.ask("preview_refund", payment_id=payment, reason="defective")
                await asyncio.sleep(0)
                done = await at.call("issue_refund", plan_token=shown["plan_token"], idempotency_key=f"of-{name}-1")
                return not done.is_error, said(done)

        outcomes = await asyncio.gather(agent("alice"), agent("bob"))
        assert sorted(won for won, _ in outcomes) == [False, True], outcomes
        [why] = [sentence for won, sentence in outcomes if not won]
        assert "nothing was done" in why
        assert await refundable(at, payment) == 0
        must_balance(at.sandboxes)


@pytest.mark.parametrize(
    ("amount", "decision", "rule"),
    [
        (5_000, "auto", "within_limits"),
        (5_001, "approval", "amount_above_auto"),
        (50_001, "approval", "amount_above_lead"),
    ],
)
async def test_the_policy_decides_at_its_thresholds(amount: int, decision: str, rule: str):
    async with counter(hurried=False) as at:
        hand, payment = await paid(at, 60_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=amount, reason="not_received")
        assert (shown["policy"]["decision"], shown["policy"]["rule"]) == (decision, rule)
        done = await at.call("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert done.is_error is (decision == "approval")
        if done.is_error:
            assert obj(obj(done.structured_content)["error"])["code"] == "approval_required"
            assert rule in said(done)
            assert await refundable(at, payment) == 60_000


async def test_what_the_policy_denies_has_no_plan():
    async with counter(hurried=False) as at:
        _, payment = await paid(at, 4_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=4_001, reason="defective")
        assert shown["policy"] == {
            "decision": "deny",
            "rule": "amount_above_refundable",
            "because": "At most 40.00 USD of the payment can still be refunded.",
        }
        assert "plan_token" not in shown


async def test_a_customers_day_is_counted_over_payments_and_agents():
    async with counter(hurried=False) as at:
        hand, one = await paid(at, 5_000)
        _, payment = await hand.paid((await ids(at, payer(at.company, currency="USD")))["stripe"], "USD", 9_000)
        for name, which in (("alice", one), ("bob", payment)):
            with acting(Principal(name, "api_key", agent=name)):
                shown = await at.ask("preview_refund", payment_id=which, amount=5_000, reason="defective")
                assert shown["policy"]["decision"] == "auto"
                await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        shown = await at.ask("preview_refund", payment_id=payment, amount=1, reason="defective")
        assert (shown["policy"]["decision"], shown["policy"]["rule"]) == ("approval", "customer_day_total")


async def test_an_approval_is_for_one_exact_refund_and_good_once():
    async with counter(hurried=False) as at:
        hand, payment = await paid(at, 20_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
        key = hand.key()
        asked = await at.refusal("issue_refund", plan_token=shown["plan_token"], idempotency_key=key)
        [waiting] = await at.state.approvals.pending()
        assert waiting.approval_id in asked
        assert waiting.wanted.payload["amount"] == 6_000
        pending = await at.refusal(
            "issue_refund", plan_token=shown["plan_token"], approval_id=waiting.approval_id, idempotency_key=key
        )
        assert waiting.approval_id in pending
        await approved(at, waiting.approval_id, "carla")

        other = await at.ask("preview_refund", payment_id=payment, amount=6_001, reason="defective")
        for_another = await at.refusal(
            "issue_refund",
            plan_token=other["plan_token"],
            approval_id=waiting.approval_id,
            idempotency_key=hand.key(),
        )
        assert "something else" in for_another or "other" in for_another
        done = await at.ask(
            "issue_refund", plan_token=shown["plan_token"], approval_id=waiting.approval_id, idempotency_key=key
        )
        assert done["rule"] == "amount_above_auto, approved by carla"
        assert await refundable(at, payment) == 14_000

        again = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
        used = await at.call(
            "issue_refund",
            plan_token=again["plan_token"],
            approval_id=waiting.approval_id,
            idempotency_key=hand.key(),
        )
        assert used.is_error
        assert await refundable(at, payment) == 14_000


async def test_what_was_denied_by_a_human_is_not_done():
    async with counter(hurried=False) as at:
        hand, payment = await paid(at, 20_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
        key = hand.key()
        await at.refusal("issue_refund", plan_token=shown["plan_token"], idempotency_key=key)
        [waiting] = await at.state.approvals.pending()
        await approved(at, waiting.approval_id, "carla", agrees=False)
        refused = await at.call(
            "issue_refund", plan_token=shown["plan_token"], approval_id=waiting.approval_id, idempotency_key=key
        )
        assert obj(obj(refused.structured_content)["error"])["code"] == "permission_denied"
        assert await refundable(at, payment) == 20_000


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("answer", ["accept", "refuse", "decline", "cancel"])
async def test_the_human_before_the_client_is_asked_and_what_they_say_counts(answer: Answer, mode: str):
    human = Human(answer)
    async with counter(hurried=False, elicitation=human, mode=mode) as at:
        hand, payment = await paid(at, 20_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
        assert human.questions == []
        done = await at.call("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        [question] = human.questions
        assert "Refund 60.00 USD" in question
        assert "amount" not in question or "more than" in question
        assert done.is_error is (answer != "accept"), said(done)
        assert await refundable(at, payment) == (14_000 if answer == "accept" else 20_000)
        [*_, last] = at.audit.written
        assert await at.state.approvals.pending() == []
        must_balance(at.sandboxes)
        assert last["tool"] == "get_payment"


async def test_what_needs_two_is_not_asked_of_the_one_who_is_there():
    human = Human("accept")
    async with counter(hurried=False, elicitation=human) as at:
        hand, payment = await paid(at, 600_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=500_001, reason="defective")
        assert shown["policy"]["approvers"] == 2
        key = hand.key()
        await at.refusal("issue_refund", plan_token=shown["plan_token"], idempotency_key=key)
        assert human.questions == []
        [waiting] = await at.state.approvals.pending()
        call: dict[str, Any] = {"plan_token": shown["plan_token"], "approval_id": waiting.approval_id}
        await approved(at, waiting.approval_id, "carla")
        await at.refusal("issue_refund", **call, idempotency_key=key)
        await approved(at, waiting.approval_id, "dora")
        done = await at.ask("issue_refund", **call, idempotency_key=key)
        assert done["rule"] == "amount_above_lead, approved by carla and dora"


async def test_nobody_is_asked_where_a_service_calls_for_itself_or_the_role_is_not_theirs():
    human = Human("accept")
    async with counter(hurried=False, elicitation=human) as at:
        hand, payment = await paid(at, 20_000)
        for who in (
            Principal("robot", "oauth", client="robot"),
            Principal("key", "api_key", agent="support"),
            Principal("anna", "oauth", client="host", scopes=frozenset({"billing:read", "billing:refund"})),
        ):
            with acting(who):
                shown = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
                refused = await at.call("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
            assert obj(obj(refused.structured_content)["error"])["code"] == "approval_required"
        assert human.questions == []
        with acting(
            Principal(
                "berta",
                "oauth",
                client="host",
                scopes=frozenset({"billing:read", "billing:refund", "approve:support_lead"}),
            )
        ):
            shown = await at.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
            done = await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert len(human.questions) == 1
        assert "approved by berta, when asked" in done["rule"]


async def test_an_order_that_the_shop_was_paid_for_is_refunded_by_the_shop_alone():
    async with counter(hurried=False) as at:
        order = next(
            o
            for o in at.company.orders
            if o.payment == "paid" and not paid_outside(o) and at.company.total(o) <= 5_000 and recent(at, o)
        )
        hand = Hand(at)
        name = f"#{1001 + order.number}"
        stripe = len(at.sandboxes["stripe"].requests)
        shown = await at.ask("preview_refund", order_id=name, reason="not_received")
        assert (shown["executor"], shown["policy"]["decision"]) == ("shopify", "auto")
        done = await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert done["amount"]["amount"] == at.company.total(order)
        moved = [entry for entry in list(at.sandboxes["stripe"].requests)[stripe:] if entry.method == "POST"]
        assert moved == []
        again = await at.ask("preview_refund", order_id=name, reason="not_received")
        assert again["policy"]["rule"] == "nothing_refundable"


async def test_an_order_that_was_paid_outside_the_shop_is_refunded_by_the_provider_alone():
    async with counter(hurried=False) as at:
        order = next(o for o in at.company.orders if o.payment == "paid" and paid_outside(o) and recent(at, o))
        hand = Hand(at)
        shown = await at.ask("preview_refund", order_id=f"#{1001 + order.number}", amount=500, reason="not_received")
        assert shown["executor"] == "stripe"
        done = await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert done["payment_id"].startswith("stripe:payment:")
        systems = [obj(effect)["system"] for effect in arr(shown["effects"])]
        assert systems[:2] == ["stripe", "shopify"]


async def test_a_refund_that_is_on_its_way_cannot_be_given_again():
    async with counter(hurried=False, customers=60) as at:
        hand = Hand(at)
        person = payer(at.company, "refund_pends")
        _, payment = await hand.paid((await ids(at, person))["stripe"], "USD", 4_000)
        shown = await at.ask("preview_refund", payment_id=payment, reason="defective")
        done = await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert done["status"] == "pending"
        again = await at.ask("preview_refund", payment_id=payment, reason="defective")
        assert again["policy"]["rule"] == "nothing_refundable"
