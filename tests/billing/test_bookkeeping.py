"""The ledger is told of the provider's invoices, and never of somebody else's that has the same number."""

from __future__ import annotations

import httpx
import pytest
from tests.billing.books_balance import must_balance
from tests.billing.counter import Office, counter
from tests.billing.people import Hand, ids, payer

from backoffice_billing.backends.xero.sandbox import org_of
from backoffice_billing.backends.xero.sandbox.grants import ACCESS_TOKEN
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.frame import InProcess

pytestmark = pytest.mark.anyio

NEXT = ("NW-1293", "NW-1294", "NW-1295")
"""The numbers that the provider gives next."""


async def entered(at: Office, contact: str, number: str, amount: str, status: str = "AUTHORISED") -> str:
    """Somebody in the books of the European company enters an invoice of their own. Its id."""
    wire = {
        "Type": "ACCREC",
        "Status": status,
        "InvoiceNumber": number,
        "Contact": {"ContactID": contact.rpartition(":")[2]},
        "Date": "2026-11-20",
        "DueDate": "2026-12-20",
        "LineItems": [{"Description": "Something else", "Quantity": 1, "UnitAmount": amount, "AccountCode": "200"}],
    }
    async with httpx.AsyncClient(
        transport=InProcess(at.sandboxes["xero"]),
        base_url="https://api.xero.com",
        headers={"Authorization": f"Bearer {ACCESS_TOKEN}"},
    ) as http:
        made = await http.put("/api.xro/2.0/Invoices", json={"Invoices": [wire]})
    return f"xero:invoice:{made.json()['Invoices'][0]['InvoiceID']}"


async def customers(at: Office) -> tuple[str, str, str]:
    """Whoever is billed at the provider, the same in the ledger, and somebody else in the ledger."""
    mine = await ids(at, payer(at.company, ledger="eu", currency="EUR"))
    other = await ids(at, payer(at.company, ledger="eu", currency="EUR", nth=1))
    return mine["stripe"], mine["xero"], other["xero"]


async def test_another_customers_invoice_of_the_same_number_is_neither_paid_nor_voided_nor_credited():
    async with counter(hurried=False, systems={"stripe", "xero"}) as at:
        hand = Hand(at)
        stripe, _, other = await customers(at)
        theirs = await entered(at, other, NEXT[0], "9999.00")
        before = await hand.invoice(theirs)
        mine = await hand.draft(stripe, "EUR", 5_000)
        issued = await hand.do("issue_invoice", invoice_id=mine, send=False)
        assert issued["number"] == NEXT[0]
        assert issued["ledger"]["status"] == "failed"
        assert "another total or customer" in issued["ledger"]["message"]
        assert "unfinished" not in issued
        credited = await hand.do(
            "create_credit_note", invoice_id=mine, amount=1_000, reason="less", disposition="out_of_band"
        )
        collected = await hand.do("collect_payment", invoice_id=mine)
        preview = await at.ask("preview_refund", payment_id=collected["payment_id"], amount=100, reason="defective")
        refunded = await at.ask("issue_refund", plan_token=preview["plan_token"], idempotency_key=hand.key())
        for answer in (credited, collected, refunded):
            assert answer["ledger"]["status"] == "failed"
        assert await hand.invoice(theirs) == before
        must_balance(at.sandboxes)


@pytest.mark.parametrize(("amount", "status"), [("50.00", "DRAFT"), ("50.01", "AUTHORISED")])
async def test_a_draft_or_another_total_of_the_same_customer_is_not_the_same_either(amount: str, status: str):
    async with counter(hurried=False, systems={"stripe", "xero"}) as at:
        hand = Hand(at)
        stripe, xero, _ = await customers(at)
        await entered(at, xero, NEXT[0], amount, status)
        mine = await hand.draft(stripe, "EUR", 5_000)
        issued = await hand.do("issue_invoice", invoice_id=mine, send=False)
        assert issued["ledger"]["status"] == "failed"


async def test_an_invoice_that_somebody_has_entered_already_is_not_entered_again():
    async with counter(hurried=False, systems={"stripe", "xero"}) as at:
        hand = Hand(at)
        stripe, xero, _ = await customers(at)
        mine = await hand.draft(stripe, "EUR", 6_000)  # with the tax that the ledger adds, the same total
        org = org_of(at.sandboxes["xero"])
        theirs = await entered(at, xero, NEXT[0], "50.00")
        count = len(org.documents)
        issued = await hand.do("issue_invoice", invoice_id=mine, send=False)
        assert issued["ledger"] == {"system": "xero", "id": theirs.rpartition(":")[2], "status": "posted"}
        assert len(org.documents) == count


async def test_a_refund_by_a_ledgers_invoice_finds_the_payment_of_the_same_customer_or_none():
    async with counter(hurried=False, systems={"stripe", "xero"}) as at:
        hand = Hand(at)
        stripe, _, other = await customers(at)
        theirs = await entered(at, other, NEXT[0], "50.00")
        mine, payment = await hand.paid(stripe, "EUR", 5_000)
        assert (await hand.invoice(mine))["number"] == NEXT[0]
        assert "was not paid through a payment provider" in await at.refusal(
            "preview_refund", invoice_id=theirs, reason="duplicate"
        )
        second, paid = await hand.paid(stripe, "EUR", 7_000)
        entry = (await hand.invoice(second, "accounting"))["accounting"]
        found = await at.ask("preview_refund", invoice_id=obj(entry[0])["invoice_id"], reason="duplicate")
        assert found["payment_id"] == paid != payment


async def test_what_the_ledger_missed_is_entered_when_the_calls_are_made_again():
    async with counter(hurried=False, systems={"stripe", "xero"}) as at:
        hand = Hand(at)
        stripe, _, _ = await customers(at)
        mine = await hand.draft(stripe, "EUR", 5_000)
        issue = await hand.planned("issue_invoice", invoice_id=mine, send=False)
        at.broken("xero", error=1.0)
        assert (await at.ask("issue_invoice", **issue))["unfinished"] is True
        at.broken("xero")
        collect = await hand.planned("collect_payment", invoice_id=mine)
        early = await at.ask("collect_payment", **collect)
        assert (early["unfinished"], early["ledger"]["status"]) == (True, "failed")
        assert (await at.ask("issue_invoice", **issue))["ledger"]["status"] == "posted"
        late = await at.ask("collect_payment", **collect)
        assert (late["ledger"]["status"], late["payment_id"]) == ("posted", early["payment_id"])
        [entry] = (await hand.invoice(mine, "accounting"))["accounting"]
        assert (entry["status"], entry["in_sync"]) == ("paid", True)
        must_balance(at.sandboxes)
