"""Credit notes in Xero: what they take off, what they keep, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from tests.billing.xero_org import HOSTILE, KEY, NOWHERE, PRESENT, TODAY, Desk, credit, desk, draft, eur, native

from backoffice_billing.backends.xero.sandbox.seeding import contact_id
from backoffice_billing.models import InvoiceCredit, InvoiceLine
from backoffice_billing.ports import CreditNote, DraftLine
from backoffice_shared.errors import Conflict, InvalidInput, NotFound
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company)


async def test_a_credit_note_takes_off_the_invoice_what_it_says(here: Desk) -> None:
    invoice = await here.issued()
    seen = await here.xero.preview_credit(native(invoice.invoice_id), credit(2_000))
    done = await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, credit(2_000), key=KEY)
    note = done.value
    assert note == CreditNote(
        credit_note_id=note.credit_note_id,
        number="CN-0001",
        total=eur(2_000),
        invoice_due=eur(6_399),
        lines=(
            InvoiceLine(
                line_id=note.lines[0].line_id,
                description="Credit for INV-0001",
                unit_amount=eur(1_667),
                amount=eur(1_667),
                tax=eur(333),
            ),
        ),
    )
    assert (seen.total, seen.invoice_due, seen.credit_note_id) == (note.total, note.invoice_due, "")
    assert seen.lines == tuple(line.model_copy(update={"line_id": None}) for line in note.lines)
    [got] = await here.xero.invoices([native(invoice.invoice_id)], frozenset({"credit_notes"}))
    assert (got.credited, got.due, got.status) == (eur(2_000), eur(6_399), "open")
    assert got.credit_notes == [
        InvoiceCredit(credit_note_id=note.credit_note_id, number="CN-0001", at=PRESENT.date(), amount=eur(2_000))
    ]
    assert here.problems == []


async def test_a_preview_makes_nothing(here: Desk) -> None:
    await here.xero.preview_credit(here.some("open"), credit(1_000))
    assert here.wrote() == []


async def test_an_invoice_that_is_wholly_credited_is_paid(here: Desk) -> None:
    invoice = await here.issued()
    await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, credit(8_399), key=KEY)
    got = await here.xero.invoice(native(invoice.invoice_id))
    assert (got.status, got.paid, got.credited, got.due) == ("paid", eur(0), eur(8_399), eur(0))
    assert here.problems == []


async def test_the_reason_is_on_the_credit_note_as_it_was_given(here: Desk) -> None:
    invoice = await here.issued()
    asked = credit(100, reason=HOSTILE)
    note = (await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, asked, key=KEY)).value
    document = here.document(note.credit_note_id)
    assert [line.text for line in document.lines] == ["Credit for INV-0001", HOSTILE]


async def test_what_is_more_than_due_is_kept_for_the_customer(here: Desk) -> None:
    ref = here.some("paid")
    whole = (await here.xero.invoice(ref)).total
    asked = credit(whole.amount, disposition="credit_balance")
    note = (await here.xero.credit_invoice(ref, await here.version(ref), asked, key=KEY)).value
    assert (note.total, note.invoice_due) == (whole, eur(0))
    owner = native((await here.xero.invoice(ref)).customer_id or "")
    [account] = await here.xero.accounts([owner], frozenset({"credit"}))
    assert account.credit == [whole]
    assert here.problems == []


async def test_the_customers_credit_is_used_for_the_invoice_first(here: Desk) -> None:
    invoice = await here.issued()
    payment = {"Invoice": {"InvoiceID": native(invoice.invoice_id)}, "Account": {"Code": "090"}, "Amount": 80}
    await here.wire("PUT", "Payments", {"Payments": [payment]})
    asked = credit(1_000, disposition="credit_balance")
    version = await here.version(invoice.invoice_id)
    note = (await here.xero.credit_invoice(native(invoice.invoice_id), version, asked, key=KEY)).value
    assert (note.total, note.invoice_due) == (eur(1_000), eur(0))
    [account] = await here.xero.accounts([contact_id(2)], frozenset({"credit"}))
    assert account.credit == [eur(601)]
    assert here.problems == []


async def test_lines_are_credited_by_their_quantity(here: Desk) -> None:
    invoice = await here.issued()
    hours, bag = [line.line_id or "" for line in invoice.lines or []]
    asked = credit(2_400 + 1_200 + 2_999 - 1_800, lines=((hours, 2), (bag, 1)))
    with pytest.raises(InvalidInput, match=r"these lines come to 65\.99 EUR with tax, not to 47\.99 EUR"):
        await here.xero.preview_credit(native(invoice.invoice_id), asked)
    asked = credit(6_599, lines=((hours, 1), (bag, 1), (hours, 1)))
    note = (await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, asked, key=KEY)).value
    assert [(line.description, line.amount, line.tax) for line in note.lines] == [
        ("Repair, per hour", eur(3_000), eur(600)),
        ("Bag", eur(2_499), eur(500)),
    ]
    assert here.problems == []


async def test_an_amount_is_divided_over_kinds_of_tax_in_proportion(here: Desk) -> None:
    lines = (DraftLine("Book", 1, eur(10_000), tax_code="RROUTPUT"), DraftLine("Tent", 1, eur(10_000)))
    invoice = await here.issued(lines=lines)
    assert invoice.total == eur(22_500)
    note = await here.xero.preview_credit(native(invoice.invoice_id), credit(2_250))
    assert [(line.amount, line.tax) for line in note.lines] == [(eur(1_000), eur(50)), (eur(1_000), eur(200))]


@pytest.mark.parametrize("amount", [1, 2, 3, 7, 99, 8_398])
async def test_every_amount_comes_out_to_the_last_cent(here: Desk, amount: int) -> None:
    lines = (DraftLine("Book", 1, eur(3_333), tax_code="RROUTPUT"), DraftLine("Tent", 1, eur(3_333)))
    invoice = await here.issued(lines=(*lines, DraftLine("Free", 1, eur(0))))
    amount = min(amount, invoice.total.amount)
    note = (await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, credit(amount), key=KEY)).value
    assert (note.total, note.invoice_due) == (eur(amount), invoice.total - eur(amount))
    assert here.problems == []


async def test_yen_are_credited_as_yen(here: Desk) -> None:
    line = DraftLine("Tea", 3, Money(amount=500, currency="JPY"))
    invoice = await here.issued(currency="JPY", lines=(line,))
    asked = credit(0, amount=Money(amount=601, currency="JPY"))
    note = (await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, asked, key=KEY)).value
    assert (str(note.total), str(note.invoice_due)) == ("601 JPY", "1199 JPY")
    assert here.problems == []


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"amount": eur(8_400)}, Conflict, r"comes to 83\.99 EUR, which is less than 84\.00 EUR"),
        ({"amount": eur(0)}, InvalidInput, "more than nothing"),
        ({"amount": eur(-1)}, InvalidInput, "more than nothing"),
        ({"amount": Money(amount=100, currency="GBP")}, InvalidInput, "in EUR, not in GBP"),
        ({"lines": (("no-line", 1),)}, InvalidInput, "has no line 'no-line'"),
    ],
)
async def test_what_cannot_be_credited_is_refused(
    here: Desk, changes: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    invoice = await here.issued()
    asked = credit(100, **changes)
    with pytest.raises(error, match=sentence):
        await here.xero.preview_credit(native(invoice.invoice_id), asked)
    with pytest.raises(error, match=sentence):
        await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, asked, key=KEY)
    assert here.made("ACCRECCREDIT") == []


async def test_no_more_of_a_line_is_credited_than_was_billed(here: Desk) -> None:
    invoice = await here.issued()
    line = (invoice.lines or [])[0].line_id or ""
    for lines in (((line, 4),), ((line, 0),), ((line, 2), (line, 2)), ((line, -1),)):
        with pytest.raises(InvalidInput, match=r"of line .* there are 3, not"):
            await here.xero.preview_credit(native(invoice.invoice_id), credit(100, lines=lines))


async def test_more_than_is_due_is_not_taken_off(here: Desk) -> None:
    ref = here.some("paid")
    with pytest.raises(Conflict, match=r"0\.00 EUR is due on invoice .*With credit_balance"):
        await here.xero.preview_credit(ref, credit(100))
    with pytest.raises(Conflict, match="is due on"):
        await here.xero.credit_invoice(ref, await here.version(ref), credit(100), key=KEY)
    assert here.wrote() == []


@pytest.mark.parametrize("status", ["draft", "void"])
async def test_only_an_issued_invoice_is_credited(here: Desk, status: Any) -> None:
    with pytest.raises(Conflict, match=f"is {status}, and only an issued one"):
        await here.xero.preview_credit(here.some(status), credit(100, disposition="credit_balance"))


async def test_an_invoice_that_was_changed_since_is_not_credited(here: Desk) -> None:
    invoice = await here.issued()
    await here.wire("POST", f"Invoices/{native(invoice.invoice_id)}", {"Reference": "changed"})
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, credit(100), key=KEY)
    with pytest.raises(NotFound):
        await here.xero.credit_invoice(NOWHERE, invoice.version, credit(100), key=KEY)
    assert here.made("ACCRECCREDIT") == []


async def test_the_same_credit_with_another_key_is_another(here: Desk) -> None:
    invoice = await here.issued(lines=draft().lines)
    first = await here.xero.credit_invoice(native(invoice.invoice_id), invoice.version, credit(100), key=KEY)
    version = await here.version(invoice.invoice_id)
    second = await here.xero.credit_invoice(native(invoice.invoice_id), version, credit(100), key=f"{KEY}2")
    assert first.value.credit_note_id != second.value.credit_note_id
    assert second.value.invoice_due == eur(8_199)
    assert here.problems == []
