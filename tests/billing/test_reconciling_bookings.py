"""What is booked twice or otherwise than it was: told, and never mended by booking it once more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.billing.books import TODAY, Office, complete, eur, told

pytestmark = pytest.mark.anyio


async def test_an_invoice_that_is_twice_in_one_ledger_is_told():
    at = Office()
    at.stripe.bill("NW-1", 100, status="paid", paid=100)
    for _ in range(2):
        at.xero.bill("NW-1", 100, status="paid", paid=100)
    found = await at.compared()
    assert (told(found), found.matched_count) == ([("doubled_in_ledger", "NW-1", None)], 0)
    assert (found.items[0].left.id, found.items[0].right.id) == ("stripe:invoice:in_0", "xero:invoice:in_1")
    assert told(await at.compared("stripe:invoice:in_0")) == told(found)


async def test_of_an_invoice_in_both_ledgers_the_one_that_is_open_is_no_missing_payment():
    at = Office()
    at.stripe.bill("NW-1", 100, status="paid", paid=100)
    at.quickbooks.bill("NW-1", 100)
    at.xero.bill("NW-1", 100, status="paid", paid=100)
    (found,) = (await at.compared()).items
    assert (found.kind, found.right.id) == ("doubled_in_ledger", "quickbooks:invoice:in_0")
    assert found.suggested_fix == (
        "An accountant decides whether xero:invoice:in_0 or quickbooks:invoice:in_0 stays, and takes the other out; if "
        "xero:invoice:in_0 stays: void_invoice(invoice_id='quickbooks:invoice:in_0'); no payment is entered on either "
        "before, and they are compared again afterwards"
    )


async def test_of_what_is_booked_twice_nothing_else_is_told_before_one_is_taken_out():
    at = Office()
    invoice = at.stripe.bill("NW-1", 100, status="paid", paid=100)
    at.stripe.receive(100, invoice=invoice, refunded=10)
    for _ in range(2):
        at.xero.bill("NW-1", 100)
    assert told(await at.compared()) == [("doubled_in_ledger", "NW-1", None)]


async def test_an_invoice_paid_by_bank_that_is_booked_twice_is_told_as_well():
    at = Office()
    for _ in range(2):
        at.xero.bill("NW-1", 100)
    assert told(await at.compared()) == [("doubled_in_ledger", "NW-1", None), ("missing_in_provider", "NW-1", None)]


async def test_a_void_entry_beside_the_one_that_is_owed_doubles_nothing():
    at = Office()
    at.stripe.bill("NW-1", 100)
    at.xero.bill("NW-1", 100, status="void")
    at.xero.bill("NW-1", 100)
    found = await at.compared()
    assert (told(found), found.matched_count) == ([], 1)


async def test_what_was_paid_in_one_and_credited_in_the_other_is_told_and_nobody_enters_the_payment():
    at = Office()
    at.stripe.bill("NW-1", 100, status="paid", paid=100)
    at.xero.bill("NW-1", 100, status="paid", credited=100)
    at.stripe.bill("NW-2", 100, paid=40)
    at.xero.bill("NW-2", 100, credited=40)
    found = await at.compared()
    assert told(found) == [("credit_differs", "NW-1", -100), ("credit_differs", "NW-2", -40)]
    assert found.matched_count == 0
    assert found.items[0].suggested_fix == (
        "An accountant decides whether 1.00 EUR was paid, as stripe has it, or credited, as xero:invoice:in_0 has it; until "
        "then nobody enters, collects or refunds a payment for it"
    )


async def test_paid_invoices_that_were_not_looked_at_closely_are_not_called_the_same():
    at = Office()
    for n in range(70):
        for system in (at.stripe, at.xero):
            system.bill(f"NW-{n}", 100, status="paid", paid=100)
    found = await at.compared()
    assert (told(found), found.matched_count) == ([], 60)
    assert found.notes == [
        "come to the same, but what one was paid the other may have credited, which was not looked at: 10; compare fewer days"
    ]
    assert complete(found) == {"stripe": False, "xero": False, "quickbooks": True, "shopify": True}


@pytest.mark.parametrize("given", [0, 10])
async def test_a_refund_that_only_the_ledger_has_is_told_and_not_given_again(given: int):
    at = Office()
    invoice = at.stripe.bill("NW-1", 100, status="paid", paid=100)
    at.stripe.receive(100, invoice=invoice, refunded=given)
    at.xero.receive(100, invoice=at.xero.bill("NW-1", 100, status="paid", paid=100), refunded=50)
    found = await at.compared()
    assert (told(found), found.matched_count) == ([("refund_missing_in_provider", "NW-1", given - 50)], 0)
    (only,) = found.items
    assert (only.left.id, only.left.amount, only.right.amount) == ("stripe:payment:pi_0", eur(given), eur(50))
    assert "nobody refunds stripe:payment:pi_0, which may give it back again" in only.suggested_fix
    assert told(await at.compared("xero:invoice:in_0")) == told(found)


async def test_a_refund_that_only_the_ledger_has_of_an_invoice_of_an_earlier_period_is_told():
    at = Office()
    long_ago = TODAY - timedelta(days=300)
    at.stripe.receive(100, invoice=at.stripe.bill("NW-1", 100, status="paid", paid=100, on=long_ago), on=long_ago)
    at.xero.receive(100, invoice=at.xero.bill("NW-1", 100, status="paid", paid=100, on=long_ago), refunded=50)
    assert told(await at.compared()) == [("refund_missing_in_provider", "NW-1", -50)]
