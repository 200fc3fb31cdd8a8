"""Invoices of Stripe: searched, and read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from tests.billing.stripe_account import HOSTILE, KEY, TODAY, Desk, desk, native

from backoffice_billing.backends.stripe.sandbox import account_of
from backoffice_billing.backends.stripe.sandbox.ids import customer_id, invoice_id
from backoffice_billing.models import InvoiceRow, InvoiceSection, InvoiceStatus
from backoffice_billing.ports import CreditDraft, DraftLine, InvoiceDraft, InvoiceQuery
from backoffice_shared.errors import InvalidInput, NotFound
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Invoice as Billed
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

DAY = TODAY.date()
SECTIONS: frozenset[InvoiceSection] = frozenset({"lines", "payments", "credit_notes", "links"})


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


async def rows(stripe: Desk, query: InvoiceQuery, limit: int = 100) -> list[InvoiceRow]:
    found: list[InvoiceRow] = []
    cursor: str | None = None
    while True:
        chunk = await stripe.invoices.search_invoices(query, cursor, limit)
        found += chunk.items
        if (cursor := chunk.next) is None:
            return found


def ids(billed: list[Billed]) -> set[str]:
    return {f"stripe:invoice:{invoice_id(each.number)}" for each in billed}


def those(stripe: Desk, meets: Callable[[Billed], bool]) -> set[str]:
    return ids([each for each in stripe.company.books.invoices if each.billed and meets(each)])


def standing(billed: Billed) -> InvoiceStatus:
    return "overdue" if billed.status == "open" and billed.due < DAY else billed.status


STATUSES: tuple[InvoiceStatus, ...] = ("draft", "open", "overdue", "paid", "void", "uncollectible")


def stands(status: InvoiceStatus) -> Callable[[Billed], bool]:
    return lambda billed: standing(billed) == status


QUERIES: list[tuple[InvoiceQuery, Callable[[Billed], bool]]] = [
    (InvoiceQuery(DAY), lambda _: True),
    (InvoiceQuery(DAY, customers=(customer_id(2),)), lambda i: i.person == 2),
    (InvoiceQuery(DAY, customers=(customer_id(1), customer_id(2))), lambda i: i.person in (1, 2)),
    (InvoiceQuery(DAY, customers=(customer_id(4), "search", HOSTILE)), lambda _: False),
    (InvoiceQuery(DAY, customers=()), lambda _: False),
    *[(InvoiceQuery(DAY, statuses=(status,)), stands(status)) for status in STATUSES],
    (InvoiceQuery(DAY, statuses=("overdue", "draft")), lambda i: standing(i) in ("overdue", "draft")),
    (InvoiceQuery(DAY, statuses=("open", "overdue")), lambda i: i.status == "open"),
    (InvoiceQuery(DAY, issued_since=date(2026, 9, 3)), lambda i: i.issued >= date(2026, 9, 3)),
    (InvoiceQuery(DAY, issued_until=date(2026, 2, 1)), lambda i: i.issued <= date(2026, 2, 1)),
    (
        InvoiceQuery(DAY, issued_since=date(2026, 3, 1), issued_until=date(2026, 5, 31)),
        lambda i: date(2026, 3, 1) <= i.issued <= date(2026, 5, 31),
    ),
    (InvoiceQuery(DAY, due_before=date(2026, 6, 1)), lambda i: i.due < date(2026, 6, 1)),
    (
        InvoiceQuery(DAY, statuses=("overdue",), due_before=date(2026, 6, 1)),
        lambda i: standing(i) == "overdue" and i.due < date(2026, 6, 1),
    ),
    (InvoiceQuery(DAY, currency="JPY"), lambda i: i.currency == "JPY"),
    (InvoiceQuery(DAY, currency="EUR", min_amount=50_000), lambda i: i.currency == "EUR" and i.total >= 50_000),
    (InvoiceQuery(DAY, currency="XXX"), lambda _: False),
]


@pytest.mark.parametrize(("query", "meets"), QUERIES)
async def test_a_query_finds_what_meets_all_of_it_and_nothing_else(
    stripe: Desk, query: InvoiceQuery, meets: Callable[[Billed], bool]
) -> None:
    found = await rows(stripe, query)
    assert {row.invoice_id for row in found} == those(stripe, meets)
    assert len(found) == len({row.invoice_id for row in found})


async def test_the_latest_come_first_whatever_the_size_of_the_page(stripe: Desk) -> None:
    query = InvoiceQuery(DAY, customers=(customer_id(KEY_ACCOUNT), customer_id(1), customer_id(3)))
    whole = await rows(stripe, query)
    assert [row.issued_at for row in whole] == sorted((row.issued_at for row in whole), reverse=True)
    for size in (1, 7, 50):
        assert [row.invoice_id for row in await rows(stripe, query, size)] == [row.invoice_id for row in whole]


async def test_a_row_says_what_people_ask_for(stripe: Desk) -> None:
    billed = stripe.billed(lambda i: i.status == "open" and i.due < DAY and i.drift is None)
    row = next(r for r in await rows(stripe, InvoiceQuery(DAY)) if r.number == billed.name)
    assert row == InvoiceRow(
        invoice_id=f"stripe:invoice:{invoice_id(billed.number)}",
        number=billed.name,
        customer_id=f"stripe:customer:{customer_id(billed.person)}",
        customer=stripe.company.people[billed.person].name,
        status="overdue",
        total=Money(amount=billed.total, currency=billed.currency),
        due=Money(amount=billed.total, currency=billed.currency),
        issued_at=billed.issued,
        due_at=billed.due,
        native_status="open",
        url=f"https://dashboard.stripe.com/test/invoices/{invoice_id(billed.number)}",
    )


async def test_a_number_is_found_in_any_case_and_together_with_the_rest_of_the_query(stripe: Desk) -> None:
    billed = stripe.billed(lambda i: i.status == "paid")
    [row] = await rows(stripe, InvoiceQuery(DAY, number=billed.name.lower()))
    assert row.number == billed.name
    assert await rows(stripe, InvoiceQuery(DAY, number=billed.name, statuses=("draft",))) == []
    assert await rows(stripe, InvoiceQuery(DAY, number=billed.name, customers=(customer_id(4),))) == []


@pytest.mark.parametrize("number", [HOSTILE, '"', "\\", 'NW-1001" OR number:"NW-1002', "NW-1001\n", "", "*"])
async def test_hostile_numbers_find_nothing(stripe: Desk, number: str) -> None:
    assert await rows(stripe, InvoiceQuery(DAY, number=number)) == []


async def test_a_search_that_is_behind_does_not_find_the_number_of_a_new_invoice(stripe: Desk) -> None:
    stripe.sandbox.faults = Faults(stale_search=True)
    issued = await stripe.issued(stripe.person("succeeds"))
    assert await rows(stripe, InvoiceQuery(DAY, number=issued.number)) == []
    assert issued.invoice_id in {row.invoice_id for row in await rows(stripe, InvoiceQuery(DAY))}


@pytest.mark.parametrize("cursor", ["", "{", "[]x", "in_1"])
async def test_a_cursor_that_is_none_is_refused(stripe: Desk, cursor: str) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await stripe.invoices.search_invoices(InvoiceQuery(DAY), cursor, 10)


async def test_an_invoice_adds_up_and_has_its_lines_with_their_tax(stripe: Desk) -> None:
    billed = stripe.billed(lambda i: len(i.lines) > 1 and i.tax > 0 and i.status == "paid")
    invoice = await stripe.invoice(billed)

    def money(amount: int) -> Money:
        return Money(amount=amount, currency=billed.currency)

    assert (invoice.subtotal, invoice.tax, invoice.total) == (money(billed.net), money(billed.tax), money(billed.total))
    assert (invoice.paid, invoice.credited, invoice.due) == (money(billed.total), money(0), money(0))
    assert [(i.description, i.quantity, i.unit_amount, i.amount, i.tax) for i in invoice.lines or []] == [
        (line.text, str(line.quantity), money(line.unit), money(line.net), money(line.tax)) for line in billed.lines
    ]
    assert invoice.hosted_url is not None


@pytest.mark.parametrize("status", ["draft", "void"])
async def test_nothing_is_due_on_a_draft_or_a_void_invoice(stripe: Desk, status: str) -> None:
    invoice = await stripe.invoice(stripe.billed(lambda i: i.status == status))
    assert (invoice.due.amount, invoice.paid.amount, invoice.credited.amount) == (0, 0, 0)
    assert invoice.total.amount > 0


async def test_the_sections_are_read_only_when_asked_for(stripe: Desk) -> None:
    billed = stripe.billed(lambda i: i.status == "paid" and i.drift is None)
    native_id = invoice_id(billed.number)
    [bare] = await stripe.invoices.invoices([native_id], frozenset())
    assert (bare.lines, bare.payments, bare.credit_notes, bare.hosted_url, bare.pdf_url) == (None,) * 5
    [whole] = await stripe.invoices.invoices([native_id], SECTIONS)
    paid = next(p for p in stripe.company.books.payments_for[billed.number] if not p.failed)
    assert [(p.at, p.amount, p.status) for p in whole.payments or []] == [(paid.at, whole.total, "succeeded")]
    assert (whole.credit_notes, bool(whole.hosted_url), bool(whole.pdf_url)) == ([], True, True)


async def test_a_credit_note_is_seen_in_its_invoice(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    issued = await stripe.issued(person)
    amount = Money(amount=2_500, currency=issued.total.currency)
    credit = CreditDraft(amount, "Damaged", "credit_balance")
    await stripe.invoicing.credit_invoice(native(issued.invoice_id), issued.version, credit, key=KEY)
    [invoice] = await stripe.invoices.invoices([native(issued.invoice_id)], SECTIONS)
    assert [(note.number, note.amount) for note in invoice.credit_notes or []] == [(f"{issued.number}-CN-01", amount)]
    assert (invoice.credited, invoice.due) == (amount, issued.total - amount)


async def test_ids_that_are_none_are_left_out_of_several_and_refused_alone(stripe: Desk) -> None:
    billed = stripe.billed(lambda _: True)
    asked = ["in_nothing", invoice_id(billed.number), "search", "../customers", "", HOSTILE]
    assert len(await stripe.invoices.invoices(asked, frozenset())) == 1
    for native_id in ("in_nothing", "search", "create_preview", "", HOSTILE):
        with pytest.raises(NotFound):
            await stripe.invoices.invoice(native_id)


async def test_all_lines_of_a_long_invoice_are_read(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    currency = stripe.company.books.currency(person)
    lines = tuple(DraftLine(f"Item {n}", 1, Money(amount=100 + n, currency=currency)) for n in range(23))
    draft = InvoiceDraft(customer_id(person.number), currency, lines, DAY)
    made = (await stripe.invoicing.create_invoice(draft, KEY)).value
    read = await stripe.invoices.invoice(native(made.invoice_id))
    assert [line.description for line in read.lines or []] == [line.description for line in lines]
    assert read == made


async def test_an_invoice_is_as_it_is_now_and_its_version_changes_with_it(stripe: Desk) -> None:
    issued = await stripe.issued(stripe.person("succeeds"))
    before = await stripe.invoices.invoice(native(issued.invoice_id))
    await stripe.wire("POST", f"/v1/invoices/{native(issued.invoice_id)}", form={"metadata[note]": "seen by ada"})
    assert (await stripe.invoices.invoice(native(issued.invoice_id))).version == before.version
    await stripe.wire("POST", f"/v1/invoices/{native(issued.invoice_id)}/pay", form={})
    after = await stripe.invoices.invoice(native(issued.invoice_id))
    assert (after.status, before.status) == ("paid", "open")
    assert after.version != before.version


async def test_lists_are_kept_for_a_while_and_dropped_by_a_write(stripe: Desk) -> None:
    query = InvoiceQuery(DAY, customers=(customer_id(KEY_ACCOUNT),))
    await stripe.invoices.search_invoices(query, None, 5)
    await stripe.invoices.search_invoices(query, None, 5)
    assert stripe.asked("/v1/invoices") == 1
    await stripe.issued(stripe.person("succeeds"))
    asked = stripe.asked("/v1/invoices")
    await stripe.invoices.search_invoices(query, None, 5)
    assert stripe.asked("/v1/invoices") == asked + 1


async def test_an_invoice_that_was_a_draft_for_weeks_is_found_by_the_date_that_it_bears(stripe: Desk) -> None:
    issued = await stripe.issued(stripe.person("succeeds"))
    record = account_of(stripe.sandbox).invoices[native(issued.invoice_id)]
    assert record.finalized is not None
    record.finalized += int(timedelta(days=60).total_seconds())
    borne = issued.issued_at + timedelta(days=60)
    query = InvoiceQuery(DAY, issued_since=borne, issued_until=borne)
    assert [row.invoice_id for row in await rows(stripe, query)] == [issued.invoice_id]


async def test_the_rows_of_a_page_are_sorted_by_the_date_that_they_bear(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    first, second = [await stripe.issued(person, key=letter * 40) for letter in "ab"]
    record = account_of(stripe.sandbox).invoices[native(first.invoice_id)]
    assert record.finalized is not None
    record.finalized += int(timedelta(days=2).total_seconds())
    query = InvoiceQuery(DAY, customers=(customer_id(person.number),))
    found = await rows(stripe, query)
    assert [row.invoice_id for row in found][:2] == [first.invoice_id, second.invoice_id]
    assert [row.issued_at for row in found] == sorted((row.issued_at for row in found), reverse=True)
