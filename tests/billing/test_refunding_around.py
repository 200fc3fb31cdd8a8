"""What a stranger would try with refunds, and what may break on the way: nothing leaves twice, or around the policy."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from tests.billing.books_balance import must_balance
from tests.billing.counter import counter
from tests.billing.people import Hand, ids, payer
from tests.billing.refunding import Human, approved, paid, recent, refundable
from tests.foundation import foundation

from backoffice_billing.backends.stripe.sandbox import account_of
from backoffice_billing.policy import BUILT_IN
from backoffice_billing.server import SERVER
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.principal import Principal, acting
from backoffice_shared.sandbox.books import paid_outside
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company

pytestmark = pytest.mark.anyio


async def test_after_the_money_has_left_no_failure_says_that_it_has_not():
    async with counter(hurried=False) as at:
        hand, payment = await paid(at, 4_000)
        shown = await at.ask("preview_refund", payment_id=payment, amount=1_000, reason="defective")
        seen = len(at.sandboxes["stripe"].requests)
        first = await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        asked = list(at.sandboxes["stripe"].requests)[seen:]
        after = next(n for n, entry in enumerate(asked) if (entry.method, entry.path) == ("POST", "/v1/refunds")) + 1
        assert first["ledger"]["status"] == "posted"

        shown = await at.ask("preview_refund", payment_id=payment, amount=1_000, reason="defective")
        at.broken("stripe", plan=["ok"] * after + ["error"] * 9)
        call = {"plan_token": shown["plan_token"], "idempotency_key": hand.key()}
        half = await at.ask("issue_refund", **call)
        assert (half["unfinished"], half["ledger"]["status"]) == (True, "failed")
        at.broken("stripe")
        whole = await at.ask("issue_refund", **call)
        assert (whole["refund_id"], whole["ledger"]["status"]) == (half["refund_id"], "posted")
        assert "unfinished" not in whole
        assert await refundable(at, payment) == 2_000
        must_balance(at.sandboxes)


async def test_a_line_that_is_worth_nothing_gives_nothing_back():
    async with counter(hurried=False) as at:
        hand = Hand(at)
        customer = (await ids(at, payer(at.company, currency="USD")))["stripe"]
        invoice, _ = await hand.paid(customer, "USD", 4_000, 0)
        free = obj(arr((await hand.invoice(invoice))["lines"])[1])
        assert free["amount"]["amount"] == 0
        shown = await at.ask(
            "preview_refund", invoice_id=invoice, lines=[{"line": free["line_id"], "quantity": 1}], reason="defective"
        )
        assert (shown["proposed"]["amount"], shown["policy"]["rule"]) == (0, "amount_not_positive")


async def test_a_human_who_says_no_is_heard_also_when_somebody_else_says_yes_meanwhile():
    class Slow(Human):
        async def __call__(self, context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
            await approved(here, waiting.approval_id, "carla")
            return await super().__call__(context, params)

    human, on = Slow("refuse"), foundation()
    async with counter(hurried=False, on=on) as there:
        hand, payment = await paid(there, 20_000)
        shown = await there.ask("preview_refund", payment_id=payment, amount=6_000, reason="defective")
        key = hand.key()
        await there.refusal("issue_refund", plan_token=shown["plan_token"], idempotency_key=key)
        [waiting] = await there.state.approvals.pending()
        async with counter(hurried=False, on=on, sandboxes=there.sandboxes, elicitation=human) as here:
            done = await here.call("issue_refund", plan_token=shown["plan_token"], idempotency_key=key)
            assert done.is_error
            assert len(human.questions) == 1
            assert (await here.state.approvals.get(waiting.approval_id)).state == "approved"
            assert await refundable(here, payment) == 20_000


async def test_whoever_would_be_paid_is_not_the_one_who_is_asked():
    human = Human("accept")
    async with counter(hurried=False, elicitation=human) as at:
        hand, payment = await paid(at, 20_000)
        email = payer(at.company, currency="USD").email
        scopes = frozenset({"billing:read", "billing:refund", "approve:finance", "approve:support_lead"})
        with acting(Principal(email.upper(), "oauth", client="host", scopes=scopes)):
            shown = await at.ask("preview_refund", payment_id=payment, amount=1_000, reason="goodwill")
            assert shown["policy"]["rule"] == "requester_is_beneficiary"
            await at.refusal("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert human.questions == []
        assert await refundable(at, payment) == 20_000


async def test_what_the_shop_gave_back_counts_as_refunds_of_its_customer(tmp_path: Path):
    policy = tmp_path / "refunds.yaml"
    policy.write_text(BUILT_IN.read_text().replace("max_refunds_30_days: 3", "max_refunds_30_days: 1"))
    async with counter(hurried=False, refund_policy=policy) as at:
        mine = [o for o in at.company.orders if o.person != KEY_ACCOUNT and o.payment == "paid" and recent(at, o)]
        theirs = Counter(o.person for o in mine if not paid_outside(o))
        person = next(number for number, orders in theirs.items() if orders >= 2)
        one, two = [o for o in mine if o.person == person and not paid_outside(o)][:2]
        rules: list[str] = []
        hand = Hand(at)
        for order in (one, one, two):
            shown = await at.ask(
                "preview_refund", order_id=f"#{1001 + order.number}", amount=100, reason="not_received"
            )
            rules.append(shown["policy"]["rule"])
            if shown["policy"]["decision"] == "auto":
                await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert rules == ["within_limits", "within_limits", "many_refunds"]


def refusing(app: ASGIApp) -> ASGIApp:
    """The provider, which refuses to give anything back and gives a reason that cannot be seen before."""
    no = {"error": {"type": "invalid_request_error", "code": "charge_not_refundable", "message": "Not refundable."}}

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        refunds = scope["type"] == "http" and (scope["method"], scope["path"]) == ("POST", "/v1/refunds")
        await (JSONResponse(no, 400) if refunds else app)(scope, receive, send)

    return answer


async def test_what_the_vendor_refuses_uses_up_nothing_of_the_day():
    company = Company(customers=50)
    sandboxes = {vendor.backend.name: vendor.sandbox(company) for vendor in SERVER.vendors}
    sandboxes["stripe"] = replace(sandboxes["stripe"], app=refusing(sandboxes["stripe"].app))
    async with counter(hurried=False, sandboxes=sandboxes) as at:
        hand, payment = await paid(at, 9_000)
        for _ in range(3):  # each of them all that the customer may be given in half a day
            shown = await at.ask("preview_refund", payment_id=payment, amount=5_000, reason="defective")
            assert shown["policy"]["rule"] == "within_limits"
            call = {"plan_token": shown["plan_token"], "idempotency_key": hand.key()}
            assert "Not refundable" in await at.refusal("issue_refund", **call)


async def test_a_plan_that_expired_while_somebody_made_up_their_mind_is_replaced_and_the_approval_stays_good():
    async with counter(hurried=False) as at:
        hand, payment = await paid(at, 20_000)
        asked: dict[str, Any] = {"payment_id": payment, "amount": 6_000, "reason": "defective"}
        shown = await at.ask("preview_refund", **asked)
        refused = await at.refusal("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        assert "call preview_refund with the same arguments for a new one" in refused
        [waiting] = await at.state.approvals.pending()
        await approved(at, waiting.approval_id, "carla")
        another = await at.ask("preview_refund", **asked)
        done = await at.ask(
            "issue_refund",
            plan_token=another["plan_token"],
            approval_id=waiting.approval_id,
            idempotency_key=hand.key(),
        )
        assert done["status"] == "succeeded"


async def test_a_payment_that_the_shop_gives_back_is_given_back_by_nobody_else():
    company = Company(customers=50)
    sandboxes = {vendor.backend.name: vendor.sandbox(company) for vendor in SERVER.vendors}
    shop = sandboxes["shopify"]
    both = {**shop.options, "gateways": "shopify_payments,stripe"}
    sandboxes["shopify"] = replace(shop, options=both)
    async with counter(hurried=False, sandboxes=sandboxes) as at:
        hand = Hand(at)
        order = next(o for o in at.company.orders if o.payment == "paid" and paid_outside(o) and recent(at, o))
        name = f"#{1001 + order.number}"
        by_order = await at.ask("preview_refund", order_id=name, amount=500, reason="not_received")
        [row] = [
            obj(row)
            for row in arr((await at.ask("search_payments", currency="USD", limit=50))["items"])
            if obj(row).get("order") == name
        ]
        assert row["payment_id"].startswith("stripe:payment:")
        by_payment = await at.ask("preview_refund", payment_id=row["payment_id"], amount=500, reason="not_received")
        assert (by_order["executor"], by_payment["executor"]) == ("shopify", "shopify")
        assert by_order["payment_id"] == by_payment["payment_id"]
        await at.ask("issue_refund", plan_token=by_order["plan_token"], idempotency_key=hand.key())
        refused = await at.refusal("issue_refund", plan_token=by_payment["plan_token"], idempotency_key=hand.key())
        assert "has changed since the preview" in refused


async def test_a_payment_that_only_says_that_it_was_for_an_order_is_not_the_orders():
    async with counter(hurried=False) as at:
        order = next(o for o in at.company.orders if o.payment == "paid" and paid_outside(o) and recent(at, o))
        name = f"#{1001 + order.number}"
        before = await at.ask("preview_refund", order_id=name, amount=100, reason="not_received")
        _, stranger = await paid(at, 9_000)
        account = account_of(at.sandboxes["stripe"])
        native = stranger.split(":", 2)[2]
        account.intents[native].metadata["order"] = name
        account.orders.setdefault(name, []).append(native)
        found = await at.ask("search_payments", since="2020-01-01T00:00:00Z", currency="USD", limit=50)
        assert [obj(row)["order"] for row in arr(found["items"]) if obj(row)["payment_id"] == stranger] == [name]
        after = await at.ask("preview_refund", order_id=name, amount=100, reason="not_received")
        assert after["payment_id"] == before["payment_id"] != stranger


async def test_what_was_credited_after_it_was_paid_is_not_given_back_too_and_the_other_way_round():
    async with counter(hurried=False) as at:
        hand = Hand(at)
        customer = (await ids(at, payer(at.company, currency="USD")))["stripe"]
        invoice, payment = await hand.paid(customer, "USD", 4_000)
        await hand.do(
            "create_credit_note", invoice_id=invoice, amount=3_000, reason="sorry", disposition="credit_balance"
        )
        assert (await hand.invoice(invoice))["credited"]["amount"] == 3_000
        shown = await at.ask("preview_refund", payment_id=payment, reason="defective")
        assert shown["refundable"]["amount"] == 1_000
        await at.ask("issue_refund", plan_token=shown["plan_token"], idempotency_key=hand.key())
        refused = await at.refusal(
            "create_credit_note",
            invoice_id=invoice,
            amount=1,
            reason="sorry",
            disposition="credit_balance",
            idempotency_key=hand.key(),
        )
        assert "neither credited nor refunded yet" in refused
        must_balance(at.sandboxes)
