"""An invoice from its draft to the end, in the payment provider and in the ledger, through tools alone."""

from __future__ import annotations

import pytest
from tests.billing.books_balance import must_balance
from tests.billing.counter import counter
from tests.billing.people import Hand, ids, payer

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.books import Ledger

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("ledger", "currency"), [("eu", "EUR"), ("us", "USD")])
async def test_an_invoice_is_made_issued_paid_refunded_and_credited_in_both(ledger: Ledger, currency: str):
    async with counter(hurried=False) as at:
        person = payer(at.company, ledger=ledger, currency=currency)
        systems = await ids(at, person)
        [books] = systems.keys() - {"stripe"}
        hand = Hand(at)

        made = await at.ask(
            "create_invoice",
            customer_id=systems["stripe"],
            currency=currency,
            lines=[
                {"description": "Workshop", "quantity": 2, "unit_amount": 4_000},
                {"description": "Travel", "unit_amount": 1_000},
            ],
            memo="Thank you",
            po_number="PO-7",
            idempotency_key=hand.key(),
        )
        total = {"amount": 9_000, "currency": currency}
        assert (made["status"], made["total"], made["replayed"]) == ("draft", total, False)
        invoice = made["invoice_id"]

        issued = await hand.do("issue_invoice", invoice_id=invoice)
        assert issued["status"] in ("open", "overdue")
        assert issued["sent_to"] == person.email
        assert issued["ledger"]["status"] == "posted"
        assert issued["ledger"]["system"] == books
        seen = await hand.invoice(invoice, "lines", "accounting", "links")
        assert (seen["number"], seen["due"]) == (issued["number"], total)
        [entry] = seen["accounting"]
        assert (entry["system"], entry["in_sync"]) == (books, True)

        collected = await hand.do("collect_payment", invoice_id=invoice)
        assert (collected["status"], collected["amount"], collected["ledger"]["status"]) == (
            "succeeded",
            total,
            "posted",
        )
        [entry] = (await hand.invoice(invoice, "accounting"))["accounting"]
        assert (entry["status"], entry["in_sync"]) == ("paid", True)

        preview = await at.ask("preview_refund", invoice_id=invoice, amount=2_000, reason="defective")
        assert (preview["executor"], preview["policy"]["decision"]) == ("stripe", "auto")
        refunded = await at.ask("issue_refund", plan_token=preview["plan_token"], idempotency_key=hand.key())
        assert (refunded["status"], refunded["amount"]["amount"], refunded["ledger"]["status"]) == (
            "succeeded",
            2_000,
            "posted",
        )
        payment = await at.ask("get_payment", payment_id=collected["payment_id"], include=["refunds", "ledger"])
        assert (payment["refunded"]["amount"], payment["refundable"]["amount"]) == (2_000, 7_000)
        assert [obj(one)["system"] for one in arr(payment["ledger"])] == [books]

        credited = await hand.do(
            "create_credit_note",
            invoice_id=invoice,
            amount=500,
            reason="a word of apology",
            disposition="credit_balance",
        )
        assert (credited["total"]["amount"], credited["ledger"]["status"]) == (500, "posted")
        account = await at.ask("get_billing_account", customer_ids=[systems["stripe"]], include=["credit"])
        credit = {obj(row)["customer_id"]: obj(row)["credit"] for row in arr(account["items"])}
        assert credit[systems["stripe"]] == [{"amount": 500, "currency": currency}]
        must_balance(at.sandboxes)


@pytest.mark.parametrize("system", ["xero", "quickbooks"])
async def test_an_invoice_lives_in_the_ledger_alone_too(system: str):
    async with counter(hurried=False) as at:
        person = payer(at.company, ledger="eu" if system == "xero" else "us")
        currency = at.company.books.currency(person)
        customer = (await ids(at, person))[system]
        hand = Hand(at)
        invoice = await hand.issued(customer, currency, 30_000, 12_000)
        before = await hand.invoice(invoice)
        assert (before["status"], before["due"]["amount"]) == ("open", before["total"]["amount"])
        credited = await hand.do(
            "create_credit_note", invoice_id=invoice, amount=2_000, reason="less", disposition="out_of_band"
        )
        assert credited["invoice_due"]["amount"] == before["total"]["amount"] - 2_000
        assert (await hand.invoice(invoice))["credited"]["amount"] == 2_000
        another = await hand.issued(customer, currency, 1_000)
        voided = await hand.do("void_invoice", invoice_id=another, reason="a mistake")
        assert voided["status"] == "void"
        assert "ledger" not in voided
        must_balance(at.sandboxes)


async def test_what_is_paid_in_parts_is_paid_when_the_last_part_is():
    async with counter(hurried=False) as at:
        hand = Hand(at)
        customer = (await ids(at, payer(at.company)))["stripe"]
        invoice = await hand.issued(customer, "JPY", 9_001)
        first = await hand.do("collect_payment", invoice_id=invoice, amount=4_000)
        assert first["invoice_due"] == {"amount": 5_001, "currency": "JPY"}
        last = await hand.do("collect_payment", invoice_id=invoice)
        assert (last["amount"]["amount"], last["invoice_due"]["amount"]) == (5_001, 0)
        assert (await hand.invoice(invoice))["status"] == "paid"
        found = await at.ask("search_payments", invoice_id=invoice)
        assert sorted(obj(row)["amount"]["amount"] for row in arr(found["items"])) == [4_000, 5_001]
        refused = await at.refusal("preview_refund", invoice_id=invoice, reason="duplicate")
        assert "was paid in 2 parts" in refused


async def test_what_changed_after_the_preview_is_not_done():
    async with counter(hurried=False) as at:
        hand = Hand(at)
        customer = (await ids(at, payer(at.company)))["stripe"]
        invoice = await hand.issued(customer, "USD", 9_000)
        void = await hand.planned("void_invoice", invoice_id=invoice, reason="a mistake")
        collect = await hand.planned("collect_payment", invoice_id=invoice)
        await hand.do("create_credit_note", invoice_id=invoice, amount=100, reason="less", disposition="out_of_band")
        assert "has changed since the preview, and nothing was done" in await at.refusal("void_invoice", **void)
        assert "has changed since the preview, and nothing was done" in await at.refusal("collect_payment", **collect)
        assert (await hand.invoice(invoice))["due"]["amount"] == 8_900


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("declined", "declined"), ("insufficient_funds", "insufficient_funds"), ("authentication", "authenticat")],
)
async def test_a_card_that_is_declined_takes_nothing_and_says_why(behaviour: str, said: str):
    async with counter(hurried=False, customers=60) as at:
        hand = Hand(at)
        person = payer(at.company, behaviour)  # pyright: ignore[reportArgumentType] - one of them
        invoice = await hand.issued((await ids(at, person))["stripe"], "USD", 9_000)
        planned = await hand.planned("collect_payment", invoice_id=invoice)
        refused = await at.refusal("collect_payment", **planned)
        assert said in refused
        assert (await hand.invoice(invoice))["due"]["amount"] == 9_000
        assert said in await at.refusal("collect_payment", **planned)
        must_balance(at.sandboxes)
