"""Invoices in QuickBooks, issued and voided: each once, whatever is lost or killed on the way."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tests.billing.quickbooks_realm import KEY, OTHER_KEY, PRESENT, TODAY, Ledgers, draft, killed, ledgers, losing, usd

from backoffice_billing.backends.quickbooks.sandbox.records import Txn
from backoffice_billing.models import Invoice
from backoffice_billing.ports import DraftLine, Entry, Issued
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, NotFound, OutcomeUnknown
from backoffice_shared.http.client import Written
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio

TENT = DraftLine("Tent", 2, usd(12_50))
UNCERTAIN = timedelta(hours=3)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


@pytest.fixture
def books(company: Company) -> Ledgers:
    return ledgers(company)


async def drafted(books: Ledgers) -> Invoice:
    return (
        await books.quickbooks.create_invoice(draft(books.person("US"), TENT, memo="Hi", due_days=14), OTHER_KEY)
    ).value


def native(invoice: Invoice) -> str:
    return invoice.invoice_id.rpartition(":")[2]


async def issued(books: Ledgers, made: Invoice, *, send: bool = False, key: str = KEY) -> Written[Issued]:
    return await books.quickbooks.issue_invoice(native(made), made.version, send=send, key=key)


async def test_an_issued_draft_is_an_invoice_with_a_number_and_is_owed(books: Ledgers) -> None:
    made = await drafted(books)
    got = (await issued(books, made)).value
    day = PRESENT.date()
    assert (got.sent_to, got.not_sent) == (None, None)
    assert got.invoice == await books.quickbooks.invoice(native(got.invoice))
    assert (got.invoice.status, got.invoice.number, got.invoice.due) == ("open", "90001", usd(25_00))
    assert (got.invoice.issued_at, got.invoice.due_at) == (day, day + timedelta(days=14))
    same = {"lines", "memo", "customer_id", "total", "tax"}
    assert got.invoice.model_dump(include=same) == made.model_dump(include=same)
    assert books.is_balanced
    assert books.file.sent == []


async def test_the_draft_is_gone_then_and_says_what_it_became(books: Ledgers) -> None:
    made = await drafted(books)
    got = (await issued(books, made)).value
    with pytest.raises(NotFound, match=f"no draft any more: it is invoice {got.invoice.invoice_id}"):
        await books.quickbooks.invoice(native(made))
    assert await books.quickbooks.invoices([native(made)], frozenset()) == []


async def test_it_is_sent_to_the_customer_when_that_is_asked_for(books: Ledgers) -> None:
    got = (await issued(books, await drafted(books), send=True)).value
    assert got.sent_to == books.person("US").email
    assert books.file.sent == [(native(got.invoice), books.person("US").email)]


async def test_a_company_that_does_not_number_by_itself_gets_quickbooks_numbers(books: Ledgers) -> None:
    books.file.own_numbers = False
    assert (await issued(books, await drafted(books))).value.invoice.number == "90001"


async def test_without_an_address_nothing_is_issued_that_should_be_sent(books: Ledgers) -> None:
    made = await drafted(books)
    books.made("Estimate")[0].email = None
    with pytest.raises(Conflict, match="no e-mail address"):
        await issued(books, made, send=True)
    assert books.made("Invoice") == []


async def test_an_address_that_quickbooks_cannot_send_to_leaves_the_invoice_issued_and_says_so(books: Ledgers) -> None:
    made = await drafted(books)
    books.made("Estimate")[0].email = "nowhere"
    got = (await issued(books, made, send=True)).value
    assert got.invoice.status == "open"
    assert got.not_sent is not None
    assert "issued, and may not have been e-mailed" in got.not_sent
    assert len(books.made("Invoice")) == 1


async def test_a_draft_is_issued_once_however_often_the_call_is_made(books: Ledgers) -> None:
    made = await drafted(books)
    first = await issued(books, made, send=True)
    again = await issued(books, made, send=True)
    assert (again.value.invoice.invoice_id, again.replayed) == (first.value.invoice.invoice_id, True)
    assert (len(books.made("Invoice")), len(books.file.sent)) == (1, 1)


async def test_another_call_cannot_issue_it_again(books: Ledgers) -> None:
    made = await drafted(books)
    first = await issued(books, made)
    with pytest.raises(Conflict, match=f"issued already, as {first.value.invoice.invoice_id}"):
        await issued(books, made, key=OTHER_KEY)
    assert len(books.made("Invoice")) == 1


async def test_two_calls_at_the_same_time_make_one_invoice(books: Ledgers) -> None:
    made = await drafted(books)
    both = await asyncio.gather(issued(books, made), issued(books, made, key=OTHER_KEY), return_exceptions=True)
    assert sum(isinstance(outcome, Conflict) for outcome in both) == 1
    assert len(books.made("Invoice")) == 1


async def test_a_draft_that_was_changed_is_not_issued(books: Ledgers) -> None:
    made = await drafted(books)
    estimate = books.made("Estimate")[0]
    changed = {"Id": str(estimate.id), "SyncToken": "0", "sparse": True, "CustomerMemo": {"value": "New"}}
    await books.wire("POST", "estimate", changed)
    with pytest.raises(Conflict, match="the draft has changed"):
        await issued(books, made)
    assert books.made("Invoice") == []


@pytest.mark.parametrize("status", ["Closed", "Rejected"])
async def test_what_is_no_draft_any_more_is_not_issued(books: Ledgers, status: str) -> None:
    made = await drafted(books)
    books.made("Estimate")[0].status = status
    with pytest.raises(Conflict, match=f"is {status}"):
        await issued(books, made)


async def test_an_invoice_is_no_draft(books: Ledgers) -> None:
    got, _ = books.some("open")
    with pytest.raises(Conflict, match="issued already"):
        await books.quickbooks.issue_invoice(got, "0", send=False, key=KEY)
    for nothing in ("estimate-999999", "estimate-x"):
        with pytest.raises(NotFound):
            await books.quickbooks.issue_invoice(nothing, "0", send=False, key=KEY)


async def test_an_estimate_that_people_made_is_issued_on_its_own_terms(books: Ledgers) -> None:
    line = {"Amount": 5, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {"ItemRef": {"value": "1"}}}
    wire = {"CustomerRef": {"value": str(books.person("US").number + 1)}, "Line": [line], "TxnStatus": "Accepted"}
    estimate = (await books.wire("POST", "estimate", wire))["Estimate"]
    got = await books.quickbooks.issue_invoice(f"estimate-{estimate['Id']}", "0", send=False, key=KEY)
    assert got.value.invoice.total == usd(5_00)


# ------------------------------------------------------------------------------------------- what is lost on the way


@pytest.mark.parametrize("at", range(10))
@pytest.mark.parametrize("fault", ["drop_after_commit", "reset", "error"])
async def test_one_lost_answer_anywhere_changes_nothing(books: Ledgers, at: int, fault: Fault) -> None:
    made = await drafted(books)
    books.sandbox.faults = losing(at, fault)
    got = (await issued(books, made, send=True)).value
    assert (got.not_sent, got.sent_to) == (None, books.person("US").email)
    assert (len(books.made("Invoice")), len(books.file.sent), books.is_balanced) == (1, 1, True)


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("at", range(10))
async def test_whoever_is_killed_anywhere_can_begin_again(books: Ledgers, at: int, *, remembered: bool) -> None:
    """From the given request on, QuickBooks does what it is asked and nobody hears of it."""
    made = await drafted(books)
    books.sandbox.faults = killed(at)
    try:
        await issued(books, made, send=True)
    except BackofficeError as error:
        assert isinstance(error, OutcomeUnknown) or not books.made("Invoice")  # noqa: PT017 - whichever it is
    books.sandbox.faults = Faults()
    books.clock.advance(600)
    if not remembered:
        books.forgets()
        books.present.pass_by(minutes=10)
    with attempting(datetime.now(UTC) - UNCERTAIN):
        got = (await issued(books, made, send=True)).value
    assert got.sent_to == books.person("US").email
    assert (len(books.made("Invoice")), len(books.file.sent), books.is_balanced) == (1, 1, True)


async def test_a_claim_of_another_call_is_respected_and_does_not_last_for_ever(books: Ledgers) -> None:
    """The other call was killed after it had written its key into the draft."""
    made = await drafted(books)
    await books.quickbooks.invoice(native(made))
    books.sandbox.faults = killed(1)
    with pytest.raises(OutcomeUnknown):
        await issued(books, made)
    books.sandbox.faults = Faults()
    books.clock.advance(600)
    claimed = await books.quickbooks.invoice(native(made))
    assert claimed.version != made.version
    with pytest.raises(Conflict, match="another call has begun") as refused:
        await issued(books, claimed, key=OTHER_KEY)
    assert refused.value.retry_after is not None
    assert 0 < refused.value.retry_after <= 300
    books.present.pass_by(minutes=6)
    assert (await issued(books, claimed, key=OTHER_KEY)).value.invoice.status == "open"
    with attempting(datetime.now(UTC) - UNCERTAIN), pytest.raises(Conflict, match="issued already"):
        await issued(books, made)
    assert len(books.made("Invoice")) == 1


# ----------------------------------------------------------------------------------------------------------- voiding


async def voided(books: Ledgers, got: Invoice, reason: str = "Ordered twice", key: str = KEY) -> Written[Invoice]:
    return await books.quickbooks.void_invoice(native(got), got.version, reason, key=key)


async def some_open(books: Ledgers) -> tuple[Invoice, Txn]:
    got, _ = books.some("open")
    return await books.quickbooks.invoice(got), books.file.tables["Invoice"].by_id[int(got)]


async def test_a_void_invoice_is_owed_no_more_and_says_why(books: Ledgers) -> None:
    got, txn = await some_open(books)
    result = await voided(books, got)
    assert (result.value.status, result.value.due.amount, result.replayed) == ("void", 0, False)
    assert txn.is_void
    assert "Ordered twice" in txn.note
    assert books.is_balanced


async def test_voiding_twice_by_the_same_call_is_once_and_by_another_a_conflict(books: Ledgers) -> None:
    got, txn = await some_open(books)
    await voided(books, got)
    sync = txn.sync
    assert (await voided(books, got)).replayed
    assert txn.sync == sync
    with pytest.raises(Conflict, match="is void already"):
        await voided(books, got, key=OTHER_KEY)


async def test_what_is_void_when_an_uncertain_call_is_repeated_counts_as_done_whoever_did_it(books: Ledgers) -> None:
    got, txn = await some_open(books)
    await voided(books, got, key=OTHER_KEY)
    sync = txn.sync
    with attempting(datetime.now(UTC) - UNCERTAIN):
        again = await voided(books, got)
    assert (again.value.status, again.replayed, txn.sync) == ("void", True, sync)


async def test_an_invoice_with_a_payment_is_not_voided(books: Ledgers) -> None:
    """QuickBooks would: the payment would be left with the customer."""
    got, _ = await some_open(books)
    part = Entry(usd(1) if got.total.currency == "USD" else got.total.share(1, 10), TODAY, "pi_1")
    await books.quickbooks.post_payment(native(got), part, OTHER_KEY)
    now = await books.quickbooks.invoice(native(got))
    with pytest.raises(Conflict, match="paid or credited"):
        await voided(books, now)
    assert (await books.quickbooks.invoice(native(got))).status in ("open", "overdue")


async def test_an_invoice_that_was_changed_is_not_voided(books: Ledgers) -> None:
    got, _ = await some_open(books)
    change = {"Id": native(got), "SyncToken": got.version, "sparse": True, "PrivateNote": "Call them"}
    await books.wire("POST", "invoice", change)
    with pytest.raises(Conflict, match="has changed"):
        await voided(books, got)
    again = await books.quickbooks.invoice(native(got))
    await voided(books, again)
    assert "Call them" in books.file.tables["Invoice"].by_id[int(native(got))].note


async def test_drafts_paid_and_void_invoices_are_not_voided(books: Ledgers) -> None:
    with pytest.raises(Conflict, match="a draft is not owed"):
        await voided(books, await drafted(books))
    for status in ("paid", "void"):
        got, _ = books.some(status, plain=False)
        with pytest.raises(Conflict):
            await voided(books, await books.quickbooks.invoice(got))
    with pytest.raises(NotFound):
        await books.quickbooks.void_invoice("999999", "0", "x", key=KEY)


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("at", range(4))
async def test_a_void_that_was_begun_is_finished(books: Ledgers, at: int, *, remembered: bool) -> None:
    got, txn = await some_open(books)
    books.sandbox.faults = killed(at)
    try:
        await voided(books, got)
    except BackofficeError as error:
        assert isinstance(error, OutcomeUnknown) or not txn.is_void  # noqa: PT017 - whichever it is
    books.sandbox.faults = Faults()
    books.clock.advance(600)
    if not remembered:
        books.forgets()
    with attempting(datetime.now(UTC) - UNCERTAIN):
        result = await voided(books, got)
    assert (result.value.status, txn.is_void, books.is_balanced) == ("void", True, True)
    assert txn.note.count("Ordered twice") == 1
