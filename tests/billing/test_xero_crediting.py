"""Credit notes in Xero: what they take off, what they keep, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
from tests.billing.xero_org import (
    HOSTILE,
    KEY,
    NOWHERE,
    OTHER_KEY,
    PRESENT,
    TODAY,
    Desk,
    after,
    credit,
    desk,
    draft,
    entry,
    eur,
    native,
)

from backoffice_billing.backends.xero.sandbox.seeding import contact_id, invoice_id
from backoffice_billing.models import InvoiceCredit, InvoiceLine
from backoffice_billing.ports import CreditNote, DraftLine
from backoffice_shared.errors import Conflict, InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

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


async def test_a_paid_invoice_is_credited_once_and_not_again(here: Desk) -> None:
    """Nothing is applied to it, so that Xero itself does not count what was credited."""
    ref = here.some("paid")
    before = await here.xero.invoice(ref)
    whole = credit(before.total.amount, disposition="credit_balance")
    await here.xero.credit_invoice(ref, before.version, whole, key=KEY)
    after = await here.xero.invoice(ref)
    assert (after.credited, after.due, after.status) == (before.total, eur(0), "paid")
    assert after.version != before.version
    [listed] = await here.xero.invoices([ref], frozenset())
    assert (listed.credited, listed.version) == (after.credited, after.version)
    cent = credit(1, disposition="credit_balance")
    with pytest.raises(Conflict, match=r"0\.00 EUR of invoice .* are not credited yet, less than 0\.01 EUR"):
        await here.xero.preview_credit(ref, cent)
    with pytest.raises(Conflict, match="are not credited yet"):
        await here.xero.credit_invoice(ref, after.version, cent, key=OTHER_KEY)
    assert len(here.made("ACCRECCREDIT")) == 1
    assert here.problems == []


async def test_a_paid_invoice_that_was_credited_since_is_not_credited_as_it_was_seen(here: Desk) -> None:
    ref = here.some("paid")
    seen, asked = await here.version(ref), credit(100, disposition="credit_balance")
    await here.xero.credit_invoice(ref, seen, asked, key=KEY)
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await here.xero.credit_invoice(ref, seen, asked, key=OTHER_KEY)
    await here.xero.credit_invoice(ref, await here.version(ref), asked, key=OTHER_KEY)
    assert [note.total for note in here.made("ACCRECCREDIT")] == [100, 100]


async def test_what_is_credited_in_parts_comes_to_no_more_than_the_invoice(here: Desk) -> None:
    """A part of each is applied, as long as something is due, and the rest kept; both are counted, neither twice."""
    ref = native((await here.issued()).invoice_id)
    await here.xero.post_payment(ref, entry(8_000, "pi_1"), KEY)
    versions: set[str] = set()
    for n, (amount, credited) in enumerate([(1_000, 1_000), (7_000, 8_000), (399, 8_399)]):
        seen = await here.xero.invoice(ref)
        versions.add(seen.version)
        await here.xero.credit_invoice(ref, seen.version, credit(amount, disposition="credit_balance"), key=f"{KEY}{n}")
        assert (await here.xero.invoice(ref)).credited == eur(credited)
    assert len(versions) == 3
    with pytest.raises(Conflict, match="are not credited yet"):
        await here.xero.preview_credit(ref, credit(1, disposition="credit_balance"))
    assert here.problems == []


async def test_only_credit_notes_for_this_invoice_are_counted(here: Desk) -> None:
    """Neither those of others' invoices, nor those that were voided, nor what people entered for another reason."""
    ref, second = native((await here.issued()).invoice_id), here.some("paid")
    await here.xero.post_payment(ref, entry(8_399, "pi_1"), KEY)
    asked = credit(8_399, disposition="credit_balance")
    note = (await here.xero.credit_invoice(ref, await here.version(ref), asked, key=KEY)).value
    assert (await here.xero.invoice(second)).credited == eur(0)
    assert (await here.xero.invoice(ref)).credited == eur(8_399)
    await here.xero.post_refund(ref, entry(500, "re_1"), OTHER_KEY)
    assert (await here.xero.invoice(ref)).credited == eur(8_399)
    await here.wire("POST", f"CreditNotes/{native(note.credit_note_id)}", {"Status": "VOIDED"})
    assert (await here.xero.invoice(ref)).credited == eur(0)


async def test_the_credit_notes_of_many_customers_are_told_apart(here: Desk) -> None:
    refs = [invoice_id(fact.number) for fact in here.facts("paid")[:5]]
    for n, ref in enumerate(refs):
        asked = credit(n + 1, disposition="credit_balance")
        await here.xero.credit_invoice(ref, await here.version(ref), asked, key=f"{KEY}{n}")
    got = {native(one.invoice_id): one.credited for one in await here.xero.invoices(refs, frozenset())}
    assert got == {ref: eur(n + 1) for n, ref in enumerate(refs)}


async def test_an_invoice_whose_credit_note_was_not_applied_yet_is_not_voided(here: Desk) -> None:
    invoice = await here.issued()
    ref = native(invoice.invoice_id)
    here.sandbox.faults = Faults(plan=after(4, "throttle"))
    with pytest.raises(OutcomeUnknown):
        await here.xero.credit_invoice(ref, invoice.version, credit(2_000), key=KEY)
    here.sandbox.faults = Faults()
    here.clock.advance(4_000)
    assert (len(here.made("ACCRECCREDIT")), here.org.applied(here.org.documents[ref])) == (1, 0)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await here.xero.void_invoice(ref, invoice.version, "Twice", key=OTHER_KEY)
    with pytest.raises(Conflict, match="has a payment or a credit"):
        await here.xero.void_invoice(ref, await here.version(ref), "Twice", key=OTHER_KEY)
