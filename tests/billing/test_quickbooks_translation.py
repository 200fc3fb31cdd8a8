"""What QuickBooks writes, and what is written to it, where no company of the sandbox has it so."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from tests.billing.quickbooks_realm import KEY, OTHER_KEY, TODAY, usd
from tests.billing.test_quickbooks_amounts import INVOICE

from backoffice_billing.backends.quickbooks import bodies, marks
from backoffice_billing.backends.quickbooks.translation import invoice, joined_memo, split_memo
from backoffice_billing.backends.quickbooks.wire import Buyer, Facts, Sale, Settled, preferences, receipt, sale, settled
from backoffice_billing.models import InvoiceLine
from backoffice_billing.ports import DraftLine, InvoiceDraft
from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money

BRITISH = Facts(home="GBP", several=False, american=False, usual_tax="8", own_numbers=False)
ADA = Buyer("2", "Ada", ("ada@engine.example", "ada@mail.example"), "GBP", Money(amount=0, currency="GBP"), active=True)


def gbp(amount: int) -> Money:
    return Money(amount=amount, currency="GBP")


def read(**more: Any) -> Sale:
    return sale({**INVOICE, **more}, entity="Invoice", home="USD")


def test_a_company_of_one_currency_names_none() -> None:
    assert read().total == usd(10_00)
    assert read(CurrencyRef={"value": "GBP"}).total == gbp(10_00)


def test_lines_of_every_kind_are_read_and_subtotals_are_none() -> None:
    detail = {"ItemRef": {"value": "7", "name": "Design"}, "Qty": 4.5, "UnitPrice": 0.0125}
    got = read(
        Line=[
            {"Id": "1", "Amount": 0.06, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail},
            {"Id": "2", "Amount": 5, "DetailType": "GroupLineDetail", "GroupLineDetail": {}, "Description": "A set"},
            {"Id": "3", "DetailType": "DescriptionOnly", "Description": "As agreed"},
            {"Amount": 1, "DetailType": "DiscountLineDetail", "DiscountLineDetail": {"PercentBased": False}},
            {"Amount": 4.06, "DetailType": "SubTotalLineDetail", "SubTotalLineDetail": {}},
        ]
    )
    made = invoice(got, Settled((), ()), TODAY.date(), frozenset({"lines"}))
    assert made.lines == [
        InvoiceLine(line_id="1", description="Design", quantity="4.5", unit_amount=None, amount=usd(6)),
        InvoiceLine(line_id="2", description="A set", quantity="1", unit_amount=None, amount=usd(5_00)),
        InvoiceLine(line_id="3", description="As agreed", quantity="1", unit_amount=None, amount=usd(0)),
        InvoiceLine(line_id=None, description="Discount", quantity="1", unit_amount=None, amount=usd(-1_00)),
    ]


def test_what_a_journal_entry_took_off_counts_as_paid() -> None:
    made = invoice(read(Balance=4), Settled((), ()), TODAY.date(), frozenset())
    assert (made.paid, made.credited, made.due) == (usd(6_00), usd(0), usd(4_00))


def test_a_payment_that_also_uses_credits_pays_what_they_do_not() -> None:
    """In the order of its invoices: 8 of credit and 7 of money, for invoices of 5 and of 10."""
    parts = [("Invoice", "6", 5), ("Invoice", "7", 10), ("CreditMemo", "3", 6), ("CreditMemo", "4", 2)]
    wire = {
        "Id": "9",
        "CustomerRef": {"value": "2"},
        "TxnDate": "2026-11-05",
        "TotalAmt": 7,
        "Line": [{"Amount": amount, "LinkedTxn": [{"TxnId": n, "TxnType": kind}]} for kind, n, amount in parts],
    }
    got = settled(read(Balance=0), [receipt(wire, home="USD")])
    assert [(memo, part) for memo, _, part in got.credits] == [("3", usd(1_00)), ("4", usd(2_00))]
    assert [part for _, part in got.payments] == [usd(7_00)]


def test_only_what_was_voided_is_void() -> None:
    assert read(TotalAmt=0, Balance=0, PrivateNote="Voided - Ordered twice").voided
    assert not read(TotalAmt=0, Balance=0).voided
    assert not read(PrivateNote="Voided is what they wanted").voided


def test_settings_that_are_left_out_have_their_usual_meaning() -> None:
    wire = {"QueryResponse": {"Preferences": [{"CurrencyPrefs": {"HomeCurrency": {"value": "GBP"}}}]}}
    assert preferences(wire) == ("GBP", False, None, False)


# ----------------------------------------------------------------------------------------------- outside America


def drafted(*lines: DraftLine) -> dict[str, Any]:
    draft = InvoiceDraft("2", "GBP", lines, date(2026, 11, 22), 14)
    return bodies.estimate(draft, ADA, BRITISH, {}, "", KEY)


def test_outside_america_each_line_has_its_own_tax_code() -> None:
    body = drafted(DraftLine("Tent", 2, gbp(5_00), tax_code="3"), DraftLine("Rope", 1, gbp(1_00), tax_code="4"))
    assert body == {
        "CustomerRef": {"value": "2"},
        "TxnDate": "2026-11-22",
        "TxnStatus": "Pending",
        "Line": [
            {
                "DetailType": "SalesItemLineDetail",
                "Description": "Tent",
                "Amount": 10,
                "SalesItemLineDetail": {"Qty": 2, "UnitPrice": 5, "TaxCodeRef": {"value": "3"}},
            },
            {
                "DetailType": "SalesItemLineDetail",
                "Description": "Rope",
                "Amount": 1,
                "SalesItemLineDetail": {"Qty": 1, "UnitPrice": 1, "TaxCodeRef": {"value": "4"}},
            },
        ],
        "PrivateNote": f"[backoffice {KEY}] [due 14]",
        "GlobalTaxCalculation": "TaxExcluded",
        "BillEmail": {"Address": "ada@engine.example, ada@mail.example"},
    }


def test_outside_america_without_tax_none_is_worked_out() -> None:
    body = drafted(DraftLine("Tent", 2, gbp(5_00)))
    assert body["GlobalTaxCalculation"] == "NotApplicable"
    assert "TaxCodeRef" not in body["Line"][0]["SalesItemLineDetail"]


def test_where_intuit_works_the_tax_out_nobody_can_say_it_beforehand() -> None:
    automatic = Facts(home="USD", several=False, american=True, usual_tax=None, own_numbers=False)
    draft = InvoiceDraft("2", "USD", (DraftLine("Tent", 1, usd(1), tax_code="TAX"),), date(2026, 11, 22))
    with pytest.raises(InvalidInput, match="worked out by QuickBooks when an invoice is made"):
        bodies.codes(draft, automatic)


# ----------------------------------------------------------------------------------------------- what we leave behind


@pytest.mark.parametrize(
    ("memo", "po_number", "shown"),
    [
        (None, None, None),
        ("Thanks", None, "Thanks"),
        (None, "7", "P.O. number: 7"),
        ("Thanks\nagain", "7 b", "P.O. number: 7 b\nThanks\nagain"),
    ],
)
def test_the_number_of_the_customers_order_is_in_the_message(
    memo: str | None, po_number: str | None, shown: str | None
) -> None:
    assert joined_memo(memo, po_number) == shown
    assert split_memo(shown) == (memo, po_number)


def test_marks_are_found_again_and_only_ours() -> None:
    note = marks.note(f"Late [backoffice {OTHER_KEY}] [invoice 9]", KEY, invoice="130", due_days=30)
    assert note == f"Late (backoffice {OTHER_KEY}) (invoice 9)\n[backoffice {KEY}] [invoice 130] [due 30]"
    assert (marks.bears(note, KEY), marks.bears(note, OTHER_KEY)) == (True, False)
    assert (marks.is_for(note, "130"), marks.is_for(note, "13"), marks.is_for(note, "9")) == (True, False, False)
    assert (marks.due_days(note), marks.due_days("[due soon]"), marks.due_days("")) == (30, None, None)


def test_a_draft_has_one_claimant_at_a_time() -> None:
    note = marks.claimed(marks.claimed(marks.note("", KEY), KEY), OTHER_KEY)
    assert (marks.claimant(note), marks.bears(note, KEY)) == (OTHER_KEY, True)
    assert marks.claimant("nothing") is None


def test_a_note_is_never_longer_than_quickbooks_takes() -> None:
    longest = marks.added("x" * 4_000, "y" * 9_000, KEY)
    assert len(longest) <= 4_000
    assert marks.bears(longest, KEY)
    assert len(marks.added("x" * 4_000, "short", KEY)) <= 4_000
