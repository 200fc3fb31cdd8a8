"""Invoices at Stripe drafted, issued and voided: each once, and as it was meant."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from tests.billing.stripe_account import HOSTILE, KEY, LOST, OTHER, TODAY, Desk, desk, eur, failing, native

from backoffice_billing.backends.stripe.sandbox import out_of_balance
from backoffice_billing.backends.stripe.sandbox.ids import customer_id, invoice_id, made, tax_rate_id
from backoffice_billing.backends.stripe.sandbox.objects import Price
from backoffice_billing.models import Invoice, InvoiceStatus
from backoffice_billing.ports import DraftLine, InvoiceDraft, Issued
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, OutcomeUnknown, PermissionDenied
from backoffice_shared.http.client import Written
from backoffice_shared.http.steps import or_why
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio

DAY = TODAY.date()


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


def german(stripe: Desk) -> InvoiceDraft:
    books = stripe.company.books
    person = next(p for p in stripe.company.people if books.bills(p) and p.country == "DE" and books.card(p))
    rate = tax_rate_id("DE")
    return InvoiceDraft(
        customer=customer_id(person.number),
        currency="EUR",
        lines=(
            DraftLine("Tents", 3, unit_amount=eur(12_999), tax_code=rate),
            DraftLine("Guide", 1, unit_amount=eur(5_000)),
        ),
        date=DAY,
        due_days=14,
        memo="Thank you",
        po_number="PO-7",
    )


def drafts(stripe: Desk, draft: InvoiceDraft) -> int:
    mine = stripe.state.invoices.having(customer=draft.customer)
    return sum(invoice.status == "draft" and invoice.written for invoice in mine)


# ---------------------------------------------------------------------------------------------------------- drafting


async def test_a_draft_has_its_lines_taxes_memo_and_order_number(stripe: Desk) -> None:
    draft = german(stripe)
    invoice = (await stripe.invoicing.create_invoice(draft, KEY)).value
    assert (invoice.status, invoice.number, invoice.due) == ("draft", None, eur(0))
    assert (invoice.subtotal, invoice.tax, invoice.total) == (eur(43_997), eur(7_409), eur(51_406))
    assert (invoice.memo, invoice.po_number) == ("Thank you", "PO-7")
    assert [(i.description, i.quantity, i.unit_amount, i.amount, i.tax) for i in invoice.lines or []] == [
        ("Tents", "3", eur(12_999), eur(38_997), eur(7_409)),
        ("Guide", "1", eur(5_000), eur(5_000), eur(0)),
    ]
    assert await stripe.invoices.invoice(native(invoice.invoice_id)) == invoice


async def test_a_preview_says_what_would_be_made_and_makes_nothing(stripe: Desk) -> None:
    draft, before = german(stripe), len(stripe.state.invoices)
    preview = await stripe.invoicing.preview_invoice(draft)
    assert len(stripe.state.invoices) == before
    made = (await stripe.invoicing.create_invoice(draft, KEY)).value
    unlike = {"invoice_id": "", "url": None, "version": "", "due_at": None, "lines": None, "issued_at": DAY}
    assert preview.model_copy(update=unlike) == made.model_copy(update=unlike)
    assert [(i.amount, i.tax) for i in preview.lines or []] == [(i.amount, i.tax) for i in made.lines or []]
    assert preview.invoice_id == ""


async def test_a_price_of_stripes_gives_the_amount(stripe: Desk) -> None:
    draft = german(stripe)
    once = Price(id=made("price", "tent"), created=0, product="prod_1", currency="eur", unit=4_200, recurring=False)
    stripe.state.prices.add(once)
    priced = replace(draft, lines=(DraftLine("Tent", 2, price_id=once.id),))
    assert (await stripe.invoicing.preview_invoice(priced)).total == eur(8_400)
    assert (await stripe.invoicing.create_invoice(priced, KEY)).value.total == eur(8_400)


@pytest.mark.parametrize("currency", ["JPY", "KWD", "ISK", "USD"])
async def test_currencies_with_none_and_with_three_decimals_come_out_as_they_went_in(
    stripe: Desk, currency: str
) -> None:
    line = DraftLine("Map", 2, unit_amount=Money(amount=12_340, currency=currency))
    draft = replace(german(stripe), currency=currency, lines=(line,))
    assert (await stripe.invoicing.preview_invoice(draft)).total == Money(amount=24_680, currency=currency)
    invoice = (await stripe.invoicing.create_invoice(draft, KEY)).value
    assert invoice.total == Money(amount=24_680, currency=currency)


async def test_hostile_text_stays_text(stripe: Desk) -> None:
    line = DraftLine(HOSTILE, 1, unit_amount=eur(100))
    draft = replace(german(stripe), lines=(line,), memo=HOSTILE, po_number=HOSTILE[:140])
    invoice = (await stripe.invoicing.create_invoice(draft, KEY)).value
    assert (invoice.memo, invoice.po_number, invoice.total) == (HOSTILE, HOSTILE[:140], eur(100))
    assert [i.description for i in invoice.lines or []] == [HOSTILE]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"customer": "cus_nobody"}, NotFound),
        ({"lines": (DraftLine("Tent", 1, price_id="price_none"),)}, NotFound),
        ({"lines": (DraftLine("Tent", 1, unit_amount=eur(1), tax_code="txr_none"),)}, NotFound),
        ({"lines": (DraftLine("Tent", 1),)}, InvalidInput),
        ({"lines": (DraftLine("Tent", 1, unit_amount=Money(amount=1, currency="USD")),)}, InvalidInput),
        ({"lines": ()}, InvalidInput),
        ({"po_number": "P" * 141}, InvalidInput),
        ({"currency": "XYZ", "lines": (DraftLine("T", 1, unit_amount=Money(amount=1, currency="XYZ")),)}, InvalidInput),
        ({"currency": "KWD", "lines": (DraftLine("T", 1, unit_amount=Money(amount=1, currency="KWD")),)}, InvalidInput),
    ],
)
async def test_what_cannot_be_drafted_is_refused_by_what_is_wrong(
    stripe: Desk, change: dict[str, Any], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        await stripe.invoicing.create_invoice(replace(german(stripe), **change), KEY)
    assert [i for i in stripe.state.invoices if i.written] == []


async def test_the_same_key_gives_the_same_draft(stripe: Desk) -> None:
    draft = german(stripe)
    first = await stripe.invoicing.create_invoice(draft, KEY)
    again = await stripe.invoicing.create_invoice(draft, KEY)
    assert again == Written(first.value, replayed=True)
    assert (first.replayed, drafts(stripe, draft)) == (False, 1)
    await stripe.invoicing.create_invoice(draft, OTHER)
    assert drafts(stripe, draft) == 2


# ------------------------------------------------------------------------------------------------------------ issuing


async def test_issuing_gives_the_number_the_due_date_and_sends_it(stripe: Desk) -> None:
    draft = german(stripe)
    made = (await stripe.invoicing.create_invoice(draft, KEY)).value
    issued = await stripe.invoicing.issue_invoice(native(made.invoice_id), made.version, send=True, key=OTHER)
    invoice = issued.value.invoice
    record = stripe.state.invoices[native(made.invoice_id)]
    assert (invoice.status, invoice.due, invoice.total) == ("open", made.total, made.total)
    assert invoice.number == f"NW-{1001 + len(stripe.company.books.invoices)}"
    assert invoice.due_at == invoice.issued_at + timedelta(days=14)
    assert issued.value.sent_to == stripe.state.customers[draft.customer].email
    assert (record.sent, record.auto_advance, issued.value.not_sent) == (1, False, None)


async def test_an_invoice_may_be_issued_without_being_sent(stripe: Desk) -> None:
    made = (await stripe.invoicing.create_invoice(german(stripe), KEY)).value
    issued = (await stripe.invoicing.issue_invoice(native(made.invoice_id), made.version, send=False, key=OTHER)).value
    assert (issued.sent_to, issued.not_sent) == (None, None)
    assert stripe.state.invoices[native(made.invoice_id)].sent == 0


async def test_who_has_no_address_is_not_sent_anything_and_that_is_said(stripe: Desk) -> None:
    draft = german(stripe)
    made = (await stripe.invoicing.create_invoice(draft, KEY)).value
    stripe.state.customers[draft.customer].email = None
    issued = (await stripe.invoicing.issue_invoice(native(made.invoice_id), "", send=True, key=OTHER)).value
    assert (issued.invoice.status, issued.sent_to) == ("open", None)
    assert issued.not_sent == "it was not e-mailed: the customer has no e-mail address"


async def test_a_failure_to_send_does_not_hide_that_it_was_issued(stripe: Desk) -> None:
    made = (await stripe.invoicing.create_invoice(german(stripe), KEY)).value
    # After the invoice, the mark, a look, and the finalization.
    stripe.sandbox.faults = failing(4, "error", "error", "error")
    issued = (await stripe.invoicing.issue_invoice(native(made.invoice_id), made.version, send=True, key=OTHER)).value
    assert (issued.invoice.status, issued.sent_to) == ("open", None)
    assert (issued.not_sent or "").startswith("it may not have been e-mailed to ")
    stripe.sandbox.faults = Faults()
    again = await stripe.invoicing.issue_invoice(native(made.invoice_id), made.version, send=True, key=OTHER)
    assert (again.replayed, again.value.sent_to is not None) == (True, True)
    assert stripe.state.invoices[native(made.invoice_id)].sent == 1


async def test_the_same_key_issues_and_sends_once(stripe: Desk) -> None:
    made = (await stripe.invoicing.create_invoice(german(stripe), KEY)).value
    native_id = native(made.invoice_id)
    first = await stripe.invoicing.issue_invoice(native_id, made.version, send=True, key=OTHER)
    again = await stripe.invoicing.issue_invoice(native_id, made.version, send=True, key=OTHER)
    assert again == Written(first.value, replayed=True)
    assert stripe.state.invoices[native_id].sent == 1


async def test_an_issued_invoice_is_not_issued_again(stripe: Desk) -> None:
    made = (await stripe.invoicing.create_invoice(german(stripe), KEY)).value
    await stripe.invoicing.issue_invoice(native(made.invoice_id), "", send=False, key=OTHER)
    with pytest.raises(Conflict, match="is issued already"):
        await stripe.invoicing.issue_invoice(native(made.invoice_id), "", send=False, key="a" * 40)


async def test_a_draft_that_was_changed_since_it_was_seen_is_not_issued(stripe: Desk) -> None:
    draft = german(stripe)
    made = (await stripe.invoicing.create_invoice(draft, KEY)).value
    form = {"customer": draft.customer, "invoice": native(made.invoice_id), "amount": "1", "currency": "eur"}
    (await stripe.wire("POST", "/v1/invoiceitems", form=form)).raise_for_status()
    with pytest.raises(Conflict, match="was changed since"):
        await stripe.invoicing.issue_invoice(native(made.invoice_id), made.version, send=True, key=OTHER)
    assert stripe.state.invoices[native(made.invoice_id)].status == "draft"


# ------------------------------------------------------------------------------------------------------------- voiding


async def test_an_open_invoice_is_voided_and_the_reason_is_kept(stripe: Desk) -> None:
    issued = await stripe.issued(stripe.person("succeeds"))
    native_id = native(issued.invoice_id)
    voided = await stripe.invoicing.void_invoice(native_id, issued.version, HOSTILE, key=KEY)
    assert (voided.value.status, voided.value.due.amount, voided.replayed) == ("void", 0, False)
    assert stripe.state.invoices[native_id].metadata["void_reason"] == HOSTILE
    assert await stripe.invoicing.void_invoice(native_id, issued.version, HOSTILE, key=KEY) == Written(
        voided.value, replayed=True
    )
    with pytest.raises(Conflict, match="is void"):
        await stripe.invoicing.void_invoice(native_id, "", "again", key=OTHER)


@pytest.mark.parametrize("status", sorted({*get_args(InvoiceStatus)} - {"open", "overdue"}))
async def test_only_an_open_invoice_is_voided(stripe: Desk, status: str) -> None:
    billed = stripe.billed(lambda i: i.status == status)
    with pytest.raises(Conflict, match=f"is {status}"):
        await stripe.invoicing.void_invoice(invoice_id(billed.number), "", "why", key=KEY)
    assert stripe.state.invoices[invoice_id(billed.number)].status == status


# ---------------------------------------------------------------------------------- lost answers and interrupted writes

Act = Callable[[Desk, str], Coroutine[Any, Any, object]]


async def _create(stripe: Desk, _native: str) -> Written[Invoice]:
    return await stripe.invoicing.create_invoice(german(stripe), KEY)


async def _issue(stripe: Desk, native_id: str) -> Written[Issued]:
    return await stripe.invoicing.issue_invoice(native_id, "", send=True, key=KEY)


async def _void(stripe: Desk, native_id: str) -> Written[Invoice]:
    return await stripe.invoicing.void_invoice(native_id, "", "why", key=KEY)


def _effects(stripe: Desk, native_id: str) -> tuple[Any, ...]:
    """All that a write may do, with nothing that depends on the moment."""
    invoices = [(i.status, i.total, len(i.lines), i.sent, i.metadata) for i in stripe.state.invoices if i.written]
    return (invoices, len(stripe.state.invoice_payments), stripe.state.last_number, out_of_balance(stripe.state))


def _changes(stripe: Desk) -> tuple[Any, ...]:
    """What people would call done: marks in the metadata are not."""
    return len(stripe.state.invoices), [(i.status, len(i.lines), i.sent) for i in stripe.state.invoices if i.written]


async def _subject(stripe: Desk, act: Act) -> str:
    if act is _create:
        return ""
    if act is _void:
        return native((await stripe.issued(stripe.person("succeeds"))).invoice_id)
    return native((await stripe.invoicing.create_invoice(german(stripe), OTHER)).value.invoice_id)


@pytest.mark.parametrize("act", [_create, _issue, _void])
@pytest.mark.parametrize("fault", ["drop_after_commit", "error", "reset"])
async def test_whichever_answer_is_lost_the_effect_is_there_once(company: Company, act: Act, fault: Fault) -> None:
    plain = desk(company)
    subject = await _subject(plain, act)
    before = len(plain.sandbox.requests)
    await act(plain, subject)
    expected, requests = _effects(plain, subject), len(plain.sandbox.requests) - before
    for lost in range(requests):
        stripe = desk(company)
        subject = await _subject(stripe, act)
        stripe.sandbox.faults = failing(lost, fault)
        await act(stripe, subject)
        assert _effects(stripe, subject) == expected, f"request {lost + 1} of {requests}"


@pytest.mark.parametrize("act", [_create, _issue, _void])
@pytest.mark.parametrize("later", [timedelta(minutes=10), timedelta(days=3)])
async def test_who_was_stopped_after_any_request_goes_on_with_the_same_key(
    company: Company, act: Act, later: timedelta
) -> None:
    """Also when Stripe has forgotten the key by then."""
    plain = desk(company)
    subject = await _subject(plain, act)
    before = len(plain.sandbox.requests)
    await act(plain, subject)
    expected, requests = _effects(plain, subject), len(plain.sandbox.requests) - before
    for stopped in range(requests):
        stripe = desk(company)
        subject = await _subject(stripe, act)
        untouched = _changes(stripe)
        stripe.sandbox.faults = failing(stopped, *LOST)
        answer = await or_why(act(stripe, subject))
        if isinstance(answer, BackofficeError) and _changes(stripe) != untouched:
            assert isinstance(answer, OutcomeUnknown), f"request {stopped + 1} of {requests}"
        stripe.sandbox.faults = Faults()
        stripe.present.shifted = later
        with attempting(datetime.now(UTC) - later):
            await act(stripe.again(), subject)
        found = _effects(stripe, subject)
        if act is _issue and later > timedelta(days=1) and found != expected:
            # Whether the e-mail left, nobody can see after so long: it is not sent again.
            assert [each[3] for each in found[0]] <= [each[3] for each in expected[0]]
            continue
        assert found == expected, f"request {stopped + 1} of {requests}"


async def test_half_of_a_draft_is_never_issued(stripe: Desk) -> None:
    draft = german(stripe)
    stripe.sandbox.faults = failing(5, *LOST[3:])
    with pytest.raises(OutcomeUnknown, match="was made, but"):
        await stripe.invoicing.create_invoice(draft, KEY)
    stripe.sandbox.faults = Faults()
    [half] = [i for i in stripe.state.invoices if i.written]
    assert (len(half.lines), half.status) == (1, "draft")
    with pytest.raises(Conflict, match="lacks some of its lines"):
        await stripe.invoicing.issue_invoice(half.id, "", send=True, key=OTHER)
    made = (await stripe.invoicing.create_invoice(draft, KEY)).value
    assert (native(made.invoice_id), len(made.lines or [])) == (half.id, 2)
    issued = (await stripe.invoicing.issue_invoice(half.id, made.version, send=True, key=OTHER)).value
    assert issued.invoice.total == made.total


async def test_a_key_that_only_reads_makes_nothing(company: Company) -> None:
    stripe = desk(company, api_key="rk_test_sandbox_stripe")
    with pytest.raises(PermissionDenied, match="rak_invoice_write"):
        await stripe.invoicing.create_invoice(german(stripe), KEY)
    assert await stripe.invoice(stripe.billed(lambda _: True))
