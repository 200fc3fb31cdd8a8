"""Credit notes of Stripe: what they take off an invoice, and what they give back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.billing.stripe_account import HOSTILE, KEY, LOST, OTHER, TODAY, Desk, desk, failing, native

from backoffice_billing.backends.stripe.sandbox import out_of_balance
from backoffice_billing.backends.stripe.sandbox.ids import customer_id, invoice_id, method_id
from backoffice_billing.models import Disposition, Invoice
from backoffice_billing.ports import Collection, CreditDraft, CreditNote
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.http.client import Written
from backoffice_shared.http.steps import or_why
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


async def taxed(stripe: Desk, status: str) -> Invoice:
    """An invoice with a line of several pieces, and tax."""
    return await stripe.invoice(stripe.billed(lambda i: i.status == status and i.tax > 0 and i.lines[0].quantity > 1))


def of(invoice: Invoice, amount: int) -> Money:
    return Money(amount=amount, currency=invoice.total.currency)


def credit(invoice: Invoice, amount: int, disposition: Disposition = "credit_balance") -> CreditDraft:
    return CreditDraft(of(invoice, amount), "Damaged on the way", disposition)


async def given(stripe: Desk, invoice: Invoice, draft: CreditDraft, key: str = KEY) -> Written[CreditNote]:
    return await stripe.invoicing.credit_invoice(native(invoice.invoice_id), invoice.version, draft, key=key)


# -------------------------------------------------------------------------------------------------------- what happens


@pytest.mark.parametrize("disposition", ["credit_balance", "out_of_band"])
async def test_on_an_open_invoice_less_is_due_and_nothing_else_happens(stripe: Desk, disposition: Disposition) -> None:
    invoice = await taxed(stripe, "open")
    draft = credit(invoice, 1_000, disposition)
    preview = await stripe.invoicing.preview_credit(native(invoice.invoice_id), draft)
    note = (await given(stripe, invoice, draft)).value
    left = invoice.due - of(invoice, 1_000)
    assert (preview.credit_note_id, preview.number, preview.total, preview.invoice_due) == (
        "",
        None,
        draft.amount,
        left,
    )
    assert (note.total, note.invoice_due, note.refund_id) == (draft.amount, left, None)
    assert note.number == f"{invoice.number}-CN-01"
    [record] = stripe.state.credit_notes.having(invoice=native(invoice.invoice_id))
    assert (record.pre, record.post, record.memo) == (1_000, 0, "Damaged on the way")
    assert stripe.state.customers[native(invoice.customer_id)].credit == {}
    assert out_of_balance(stripe.state) == []


async def test_all_that_is_due_may_be_credited_and_the_invoice_is_settled(stripe: Desk) -> None:
    invoice = await taxed(stripe, "open")
    note = (await given(stripe, invoice, credit(invoice, invoice.due.amount))).value
    after = await stripe.invoices.invoice(native(invoice.invoice_id))
    assert (note.invoice_due.amount, after.status, after.credited, after.paid.amount) == (0, "paid", invoice.total, 0)


@pytest.mark.parametrize(("disposition", "credited"), [("credit_balance", 700), ("out_of_band", 0)])
async def test_what_was_paid_goes_where_it_is_to_go(stripe: Desk, disposition: Disposition, credited: int) -> None:
    invoice = await taxed(stripe, "paid")
    note = (await given(stripe, invoice, credit(invoice, 700, disposition))).value
    [record] = stripe.state.credit_notes.having(invoice=native(invoice.invoice_id))
    customer = stripe.state.customers[native(invoice.customer_id)]
    assert (note.total, note.invoice_due.amount, note.refund_id) == (of(invoice, 700), 0, None)
    assert (record.pre, record.post) == (0, 700)
    assert customer.credit.get(record.currency, 0) == credited
    assert out_of_balance(stripe.state) == []


async def test_an_invoice_paid_in_part_is_first_freed_of_what_is_due(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    invoice = await stripe.issued(person, 10_000)
    native_id, currency = native(invoice.invoice_id), invoice.total.currency
    part = Collection(native_id, customer_id(person.number), method_id(person.number), of(invoice, 4_000), whole=False)
    await stripe.collecting.collect(part, OTHER)
    seen = await stripe.invoices.invoice(native_id)
    note = (await given(stripe, seen, credit(seen, 7_500))).value
    after = await stripe.invoices.invoice(native_id)
    assert (note.invoice_due.amount, after.status) == (0, "paid")
    assert stripe.state.customers[customer_id(person.number)].credit == {currency.lower(): 1_500}
    assert out_of_balance(stripe.state) == []


async def test_credit_pays_the_next_invoice_and_counts_as_credited_there(stripe: Desk) -> None:
    paid = await taxed(stripe, "paid")
    await given(stripe, paid, credit(paid, 700))
    person = stripe.company.people[
        next(p.number for p in stripe.company.people if customer_id(p.number) == native(paid.customer_id))
    ]
    following = await stripe.issued(person, 10_000)
    assert (following.total.amount, following.credited.amount, following.due.amount) == (10_000, 700, 9_300)
    assert out_of_balance(stripe.state) == []


async def test_lines_are_credited_with_their_part_of_the_tax(stripe: Desk) -> None:
    invoice = await taxed(stripe, "open")
    [line, *_] = invoice.lines or []
    assert line.unit_amount is not None
    assert line.tax is not None
    quantity = int(line.quantity)
    net, tax = line.unit_amount.amount, line.tax.share(1, quantity).amount
    draft = CreditDraft(of(invoice, net + tax), "One broke", "credit_balance", lines=((line.line_id or "", 1),))
    preview = await stripe.invoicing.preview_credit(native(invoice.invoice_id), draft)
    note = (await given(stripe, invoice, draft)).value
    assert preview.lines == note.lines
    assert [(each.line_id, each.quantity, each.amount.amount, each.tax) for each in note.lines] == [
        (line.line_id, "1", net, of(invoice, tax))
    ]


# ----------------------------------------------------------------------------------------------------- what is refused


async def test_lines_that_come_to_something_else_are_refused(stripe: Desk) -> None:
    invoice = await taxed(stripe, "open")
    [line, *_] = invoice.lines or []
    draft = CreditDraft(of(invoice, 1), "One broke", "credit_balance", lines=((line.line_id or "", 1),))
    for attempt in (stripe.invoicing.preview_credit(native(invoice.invoice_id), draft), given(stripe, invoice, draft)):
        with pytest.raises(InvalidInput, match="the lines come to"):
            await attempt
    assert len(stripe.state.credit_notes) == 0


@pytest.mark.parametrize("status", ["open", "paid"])
async def test_more_than_the_invoice_is_not_credited(stripe: Desk, status: str) -> None:
    invoice = await taxed(stripe, status)
    with pytest.raises(InvalidInput, match="cannot be greater than the invoice total"):
        await given(stripe, invoice, credit(invoice, invoice.total.amount + 1))
    await given(stripe, invoice, credit(invoice, invoice.total.amount))
    again = await stripe.invoices.invoice(native(invoice.invoice_id))
    with pytest.raises(InvalidInput, match="cannot be greater"):
        await given(stripe, again, credit(again, 1), key=OTHER)
    assert out_of_balance(stripe.state) == []


@pytest.mark.parametrize("status", ["draft", "void"])
async def test_what_is_not_owed_is_not_credited(stripe: Desk, status: str) -> None:
    billed = stripe.billed(lambda i: i.status == status)
    draft = CreditDraft(Money(amount=1, currency=billed.currency), "why", "credit_balance")
    with pytest.raises(Conflict, match=f"is {status}"):
        await stripe.invoicing.preview_credit(invoice_id(billed.number), draft)
    with pytest.raises(Conflict, match=f"is {status}"):
        await stripe.invoicing.credit_invoice(invoice_id(billed.number), "", draft, key=KEY)


async def test_another_currency_and_a_changed_invoice_are_refused(stripe: Desk) -> None:
    invoice = await taxed(stripe, "open")
    foreign = CreditDraft(Money(amount=1, currency="XAF"), "why", "credit_balance")
    with pytest.raises(InvalidInput, match="the invoice is in"):
        await given(stripe, invoice, foreign)
    await given(stripe, invoice, credit(invoice, 1))
    with pytest.raises(Conflict, match="was changed since"):
        await given(stripe, invoice, credit(invoice, 2), key=OTHER)
    for native_id in ("in_nothing", "preview", HOSTILE):
        with pytest.raises(NotFound):
            await stripe.invoicing.preview_credit(native_id, foreign)


async def test_a_hostile_reason_is_the_memo_and_nothing_else(stripe: Desk) -> None:
    invoice = await taxed(stripe, "open")
    await given(stripe, invoice, CreditDraft(of(invoice, 5), HOSTILE, "credit_balance"))
    [record] = stripe.state.credit_notes.having(invoice=native(invoice.invoice_id))
    assert (record.memo, record.total, record.pre) == (HOSTILE, 5, 5)


# -------------------------------------------------------------------------------------------------------- exactly once


async def test_the_same_key_credits_once(stripe: Desk) -> None:
    invoice = await taxed(stripe, "open")
    first = await given(stripe, invoice, credit(invoice, 100))
    assert await given(stripe, invoice, credit(invoice, 100)) == Written(first.value, replayed=True)
    assert len(stripe.state.credit_notes) == 1


@pytest.mark.parametrize("fault", ["drop_after_commit", "error", "reset"])
async def test_whichever_answer_is_lost_it_is_credited_once(company: Company, fault: Fault) -> None:
    for lost in range(5):
        stripe = desk(company)
        invoice = await taxed(stripe, "paid")
        stripe.sandbox.faults = failing(lost, fault)
        note = (await given(stripe, invoice, credit(invoice, 700))).value
        customer = stripe.state.customers[native(invoice.customer_id)]
        assert (len(stripe.state.credit_notes), sum(customer.credit.values()), note.total.amount) == (1, 700, 700)


@pytest.mark.parametrize("later", [timedelta(minutes=10), timedelta(days=3)])
async def test_who_was_stopped_after_any_request_goes_on_with_the_same_key(company: Company, later: timedelta) -> None:
    for stopped in range(5):
        stripe = desk(company)
        invoice = await taxed(stripe, "paid")
        stripe.sandbox.faults = failing(stopped, *LOST)
        answer = await or_why(given(stripe, invoice, credit(invoice, 700)))
        if isinstance(answer, BackofficeError) and len(stripe.state.credit_notes):
            assert isinstance(answer, OutcomeUnknown)
        stripe.sandbox.faults = Faults()
        stripe.present.shifted = later
        with attempting(datetime.now(UTC) - later):
            await given(stripe.again(), invoice, credit(invoice, 700))
        customer = stripe.state.customers[native(invoice.customer_id)]
        assert (len(stripe.state.credit_notes), sum(customer.credit.values())) == (1, 700)
        assert out_of_balance(stripe.state) == []
