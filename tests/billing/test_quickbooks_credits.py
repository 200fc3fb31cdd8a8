"""Credits in QuickBooks: what they take off an invoice, and where the rest goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from tests.billing.quickbooks_realm import HOSTILE, KEY, OTHER_KEY, TODAY, Ledgers, draft, jpy, killed, ledgers, usd

from backoffice_billing.models import Disposition, Invoice
from backoffice_billing.ports import CreditDraft, CreditNote, DraftLine, Entry
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, OutcomeUnknown, PermissionDenied
from backoffice_shared.http.client import Written
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

UNCERTAIN = timedelta(hours=3)
THIRD_KEY = "c0de" * 10


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


@pytest.fixture
def books(company: Company) -> Ledgers:
    return ledgers(company)


async def owed(books: Ledgers, *, taxed: bool = True) -> Invoice:
    """An invoice of 100.00 and 10 % tax on it, in two lines."""
    code = "3" if taxed else None
    lines = DraftLine("Tent", 4, usd(20_00), tax_code=code), DraftLine("Rope", 2, usd(10_00), tax_code=code)
    made = (await books.quickbooks.create_invoice(draft(books.person("US"), *lines), "ab12" * 10)).value
    got = await books.quickbooks.issue_invoice(native(made), made.version, send=False, key="ab12" * 10)
    return got.value.invoice


async def paid(books: Ledgers, amount: int = 110_00) -> Invoice:
    invoice = await owed(books)
    await books.quickbooks.post_payment(native(invoice), Entry(usd(amount), TODAY, "pi_1"), "cd34" * 10)
    return await books.quickbooks.invoice(native(invoice))


def native(invoice: Invoice) -> str:
    return invoice.invoice_id.rpartition(":")[2]


def credit(
    amount: int, disposition: Disposition = "credit_balance", lines: tuple[tuple[str, int], ...] = ()
) -> CreditDraft:
    return CreditDraft(usd(amount), "Broken pole", disposition, lines)


async def credited(books: Ledgers, invoice: Invoice, wanted: CreditDraft, key: str = KEY) -> Written[CreditNote]:
    return await books.quickbooks.credit_invoice(native(invoice), invoice.version, wanted, key=key)


@pytest.mark.parametrize("disposition", ["credit_balance", "out_of_band"])
async def test_a_credit_first_takes_off_what_is_due(books: Ledgers, disposition: Disposition) -> None:
    invoice = await owed(books)
    preview = await books.quickbooks.preview_credit(native(invoice), credit(33_00, disposition))
    assert (preview.credit_note_id, preview.total, preview.invoice_due) == ("", usd(33_00), usd(77_00))
    assert books.made("CreditMemo") == []
    note = (await credited(books, invoice, credit(33_00, disposition))).value
    [memo] = books.made("CreditMemo")
    assert note == CreditNote(
        credit_note_id=f"quickbooks:credit_note:{memo.id}",
        number="50001",
        total=usd(33_00),
        invoice_due=usd(77_00),
        lines=note.lines,
    )
    assert (memo.net, memo.tax, memo.balance) == (30_00, 3_00, 0)
    assert books.made("RefundReceipt") == []
    after = await books.quickbooks.invoice(native(invoice))
    assert (after.paid, after.credited, after.due) == (usd(0), usd(33_00), usd(77_00))
    assert after.credit_notes is not None
    assert [(each.credit_note_id, each.number, each.amount) for each in after.credit_notes] == [
        (note.credit_note_id, "50001", usd(33_00))
    ]
    assert books.is_balanced


async def test_what_is_credited_of_a_paid_invoice_stays_with_the_customer(books: Ledgers) -> None:
    invoice = await paid(books)
    note = (await credited(books, invoice, credit(11_00))).value
    assert (note.total, note.invoice_due) == (usd(11_00), usd(0))
    [memo] = books.made("CreditMemo")
    assert memo.balance == 11_00
    [account] = await books.quickbooks.accounts([str(memo.customer)], frozenset({"credit"}))
    assert account.credit == [usd(11_00)]
    assert books.is_balanced


async def test_what_is_settled_outside_leaves_the_books_with_its_money(books: Ledgers) -> None:
    invoice = await paid(books)
    note = (await credited(books, invoice, credit(11_00, "out_of_band"))).value
    [given] = books.made("RefundReceipt")
    assert note == CreditNote(
        credit_note_id=f"quickbooks:credit_note:refund-{given.id}",
        number="70001",
        total=usd(11_00),
        invoice_due=usd(0),
        lines=note.lines,
    )
    assert (given.net, given.tax, given.account, books.made("CreditMemo")) == (10_00, 1_00, "91", [])
    assert books.is_balanced


async def test_a_credit_of_more_than_is_due_is_divided(books: Ledgers) -> None:
    invoice = await paid(books, 90_00)
    note = (await credited(books, invoice, credit(44_00, "out_of_band"))).value
    [memo], [given] = books.made("CreditMemo"), books.made("RefundReceipt")
    assert (memo.total, given.total, note.total, note.invoice_due) == (20_00, 24_00, usd(44_00), usd(0))
    after = await books.quickbooks.invoice(native(invoice))
    assert (after.status, after.paid, after.credited) == ("paid", usd(90_00), usd(20_00))
    assert books.is_balanced


async def test_lines_are_credited_with_their_tax(books: Ledgers) -> None:
    invoice = await owed(books)
    wanted = credit(55_00, lines=(("1", 2), ("2", 1)))
    preview = await books.quickbooks.preview_credit(native(invoice), wanted)
    note = (await credited(books, invoice, wanted)).value
    assert [(line.description, line.amount) for line in preview.lines] == [("Tent", usd(40_00)), ("Rope", usd(10_00))]
    assert [(line.description, line.quantity, line.amount) for line in note.lines] == [
        ("Tent", "2", usd(40_00)),
        ("Rope", "1", usd(10_00)),
    ]
    assert books.made("CreditMemo")[0].tax == 5_00


@pytest.mark.parametrize(
    ("wanted", "because"),
    [
        (credit(50_00, lines=(("9", 1),)), "no line '9'"),
        (credit(50_00, lines=(("1", 5),)), "line 1 is of 4, not of 5"),
        (credit(50_00, lines=(("1", 0),)), "line 1 is of 4, not of 0"),
        (credit(10_00, lines=(("1", 4),)), "not what these lines come to"),
        (credit(109_00, lines=(("2", 1),)), "not what these lines come to"),
        (credit(0), "more than nothing"),
        (credit(-5), "more than nothing"),
        (CreditDraft(jpy(5), "x", "credit_balance"), "the invoice is in USD, not in JPY"),
    ],
)
async def test_a_credit_that_makes_no_sense_is_refused(books: Ledgers, wanted: CreditDraft, because: str) -> None:
    invoice = await owed(books)
    with pytest.raises(InvalidInput, match=because):
        await books.quickbooks.preview_credit(native(invoice), wanted)
    with pytest.raises(InvalidInput, match=because):
        await credited(books, invoice, wanted)
    assert books.made("CreditMemo") == []


@pytest.mark.parametrize("disposition", ["credit_balance", "out_of_band"])
async def test_no_more_than_the_invoice_is_credited_by_however_many_credits(
    books: Ledgers, disposition: Disposition
) -> None:
    invoice = await paid(books, 60_00)
    await credited(books, invoice, credit(80_00, disposition))
    again = await books.quickbooks.invoice(native(invoice))
    with pytest.raises(Conflict, match=r"only 30\.00 USD of invoice 90001 can still be credited"):
        await credited(books, again, credit(30_01, disposition), OTHER_KEY)
    await credited(books, again, credit(30_00, disposition), OTHER_KEY)
    last = await books.quickbooks.invoice(native(invoice))
    with pytest.raises(Conflict, match=r"only 0\.00 USD"):
        await credited(books, last, credit(1, disposition), THIRD_KEY)
    assert books.is_balanced


async def test_what_accountants_credited_by_hand_counts(books: Ledgers) -> None:
    got, fact = books.some("uncollectible")
    invoice = await books.quickbooks.invoice(got)
    one = Money(amount=1, currency=fact.currency)
    with pytest.raises(Conflict, match="only 0"):
        await books.quickbooks.credit_invoice(got, invoice.version, CreditDraft(one, "x", "credit_balance"), key=KEY)


async def test_drafts_and_void_invoices_are_not_credited(books: Ledgers) -> None:
    with pytest.raises(Conflict, match="a draft is not owed"):
        await books.quickbooks.preview_credit("estimate-1", credit(1))
    got, fact = books.some("void")
    with pytest.raises(Conflict, match=f"invoice {fact.name} is void"):
        await books.quickbooks.preview_credit(got, credit(1))
    with pytest.raises(NotFound):
        await books.quickbooks.preview_credit("999999", credit(1))


async def test_an_invoice_that_was_changed_is_not_credited(books: Ledgers) -> None:
    invoice = await owed(books)
    change = {"Id": native(invoice), "SyncToken": invoice.version, "sparse": True, "PrivateNote": "Call them"}
    await books.wire("POST", "invoice", change)
    with pytest.raises(Conflict, match="has changed"):
        await credited(books, invoice, credit(1_00))


async def test_money_is_not_given_back_from_nowhere(company: Company) -> None:
    """Nor is half of it credited first."""
    books = ledgers(company, {"deposit_account": ""})
    invoice = await paid(books, 60_00)
    with pytest.raises(InvalidInput, match="which account"):
        await books.quickbooks.preview_credit(native(invoice), credit(80_00, "out_of_band"))
    with pytest.raises(InvalidInput, match="which account"):
        await credited(books, invoice, credit(80_00, "out_of_band"))
    assert books.made("CreditMemo") == books.made("RefundReceipt") == []
    assert (await credited(books, invoice, credit(50_00, "out_of_band"))).value.invoice_due == usd(0)


async def test_hostile_reasons_are_words_and_no_marks(books: Ledgers) -> None:
    invoice, other = await owed(books), books.some("open")[0]
    reason = f"{HOSTILE} [backoffice {OTHER_KEY}] [invoice {other}]"
    wanted = CreditDraft(usd(1_00), reason, "credit_balance")
    await credited(books, invoice, wanted)
    second = await books.quickbooks.invoice(native(invoice))
    again = await books.quickbooks.credit_invoice(native(invoice), second.version, wanted, key=OTHER_KEY)
    assert (again.replayed, len(books.made("CreditMemo"))) == (False, 2)


async def test_a_company_whose_credits_are_applied_by_quickbooks_itself(books: Ledgers) -> None:
    """To the oldest invoice, which may be another: what it left is applied here."""
    older = await owed(books)
    books.forgets()
    wanted = draft(books.person("US"), DraftLine("Cap", 1, usd(5_00)))
    made = (await books.quickbooks.create_invoice(wanted, THIRD_KEY)).value
    invoice = (
        await books.quickbooks.issue_invoice(native(made), made.version, send=False, key=THIRD_KEY)
    ).value.invoice
    books.file.applies_credits = True
    due = sum(txn.balance for txn in books.file.tables["Invoice"].by_customer[books.person("US").number + 1])
    note = (await credited(books, invoice, credit(5_00))).value
    left = sum(txn.balance for txn in books.file.tables["Invoice"].by_customer[books.person("US").number + 1])
    assert (due - left, note.total, books.made("CreditMemo")[0].balance) == (5_00, usd(5_00), 0)
    assert (await books.quickbooks.invoice(native(older))).status in ("open", "overdue", "paid")
    assert books.is_balanced


# ------------------------------------------------------------------------------------------- what is lost on the way


class Refusing(httpx.AsyncBaseTransport):
    """QuickBooks, which refuses what is sent to addresses that end so."""

    def __init__(self, sandbox: VendorSandbox, refusals: dict[str, object]) -> None:
        self._inner, self._refusals = InProcess(sandbox), refusals

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for end, fault in self._refusals.items():
            if request.url.path.endswith(end):
                return httpx.Response(400, json=fault)
        return await self._inner.handle_async_request(request)


@pytest.mark.parametrize(
    ("code", "kind"), [("6210", Conflict), ("2500", InvalidInput), ("5020", PermissionDenied), ("610", NotFound)]
)
async def test_what_is_refused_half_way_is_refused_and_says_what_was_done(
    company: Company, code: str, kind: type[BackofficeError]
) -> None:
    """And not unknown for ever. Once it is put right, the same call does the rest."""
    fault = {"Fault": {"Error": [{"Message": "Not there", "code": code}], "type": "ValidationFault"}}
    refusals: dict[str, object] = {"/refundreceipt": fault}
    books = ledgers(company, over=lambda sandbox: Refusing(sandbox, refusals))
    invoice = await paid(books, 90_00)
    for since in (None, datetime.now(UTC) - UNCERTAIN):
        with attempting(since), pytest.raises(kind, match=r"the credit memo was made, but .* failed: Not there"):
            await credited(books, invoice, credit(44_00, "out_of_band"))
    refusals.clear()
    note = (await credited(books, invoice, credit(44_00, "out_of_band"))).value
    assert (len(books.made("CreditMemo")), len(books.made("RefundReceipt")), note.total) == (1, 1, usd(44_00))


async def test_the_same_call_credits_once(books: Ledgers) -> None:
    invoice = await paid(books, 90_00)
    first = await credited(books, invoice, credit(44_00, "out_of_band"))
    again = await credited(books, invoice, credit(44_00, "out_of_band"))
    assert (again.value, again.replayed) == (first.value, True)
    assert (len(books.made("CreditMemo")), len(books.made("RefundReceipt"))) == (1, 1)


async def test_what_comes_due_after_a_credit_is_not_taken_off_by_repeating_it(books: Ledgers) -> None:
    invoice = await paid(books, 90_00)
    await credited(books, invoice, credit(44_00))
    [payment] = [txn for txn in books.made("Payment") if txn.total]
    bounced = {"Id": str(payment.id), "SyncToken": str(payment.sync), "sparse": True}
    await books.wire("POST", "payment", bounced, operation="update", include="void")
    books.forgets()
    assert (await credited(books, invoice, credit(44_00))).value.invoice_due == usd(90_00)
    assert books.made("CreditMemo")[0].balance == 24_00


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("at", range(20))
async def test_a_credit_that_was_begun_is_finished_as_it_was_begun(
    books: Ledgers, at: int, *, remembered: bool
) -> None:
    """Its first part changes what is due, by which it was divided."""
    invoice = await paid(books, 90_00)
    books.sandbox.faults = killed(at)
    try:
        await credited(books, invoice, credit(44_00, "out_of_band"))
    except BackofficeError as error:
        made = books.made("CreditMemo") + books.made("RefundReceipt")
        assert isinstance(error, OutcomeUnknown) or not made  # noqa: PT017 - whichever it is
    books.sandbox.faults = Faults()
    books.clock.advance(600)
    if not remembered:
        books.forgets()
    with attempting(datetime.now(UTC) - UNCERTAIN):
        note = (await credited(books, invoice, credit(44_00, "out_of_band"))).value
    [memo], [given] = books.made("CreditMemo"), books.made("RefundReceipt")
    assert (memo.total, given.total, note.total, note.invoice_due) == (20_00, 24_00, usd(44_00), usd(0))
    assert (await books.quickbooks.invoice(native(invoice))).credited == usd(20_00)
    assert books.is_balanced
