"""The sandbox is QuickBooks to others too: to its Python client python-quickbooks.

Whatever our adapter does leaves the same books as that client does, write by write.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import pytest
from tests.billing.quickbooks_realm import KEY, OTHER_KEY, TODAY, Ledgers, Present, draft, ledgers, usd
from tests.contract.serving import serving

from backoffice_billing.backends.quickbooks import quickbooks_sandbox
from backoffice_billing.backends.quickbooks.sandbox import ACCESS_TOKEN, REALM, CompanyFile, balanced, file_of
from backoffice_billing.backends.quickbooks.sandbox.records import KINDS, Txn
from backoffice_billing.ports import CreditDraft, DraftLine, Entry
from backoffice_shared.errors import InvalidInput
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

pytestmark = pytest.mark.anyio

client: Any = importlib.import_module("quickbooks")  # it has no types
client_errors: Any = importlib.import_module("quickbooks.exceptions")
THIRD_KEY = "c0de" * 10


def objects(name: str) -> Any:
    return importlib.import_module(f"quickbooks.objects.{name}")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


# ----------------------------------------------------------------------------------------------- QuickBooks' client


@dataclass
class Books:
    """A company's file, and the vendor's client on it."""

    sandbox: VendorSandbox
    qb: Any

    @property
    def file(self) -> CompanyFile:
        return file_of(self.sandbox)


@dataclass
class Signed:
    """In place of Intuit's own sign-in, which asks developer.intuit.com for its addresses."""

    access_token: str = ACCESS_TOKEN
    refresh_token: str = "unused"
    client_id: str = "unused"
    client_secret: str = "unused"
    environment: str = "sandbox"


@pytest.fixture
def theirs(company: Company, monkeypatch: pytest.MonkeyPatch) -> Iterator[Books]:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    sandbox = quickbooks_sandbox(company, now=Present())
    with serving(sandbox) as served:
        qb = client.QuickBooks(auth_client=Signed(), company_id=REALM, minorversion=75)
        qb.sandbox_api_url_v3 = f"{served.url}/v3"
        yield Books(sandbox, qb)


@pytest.fixture
def ours(company: Company) -> Ledgers:
    return ledgers(company)


def test_the_client_reads_what_is_there(theirs: Books) -> None:
    table = theirs.file.tables["Invoice"]
    fact = next(txn for txn in table.by_id.values() if txn.balance and txn.currency == "USD")
    invoice = objects("invoice").Invoice.get(fact.id, qb=theirs.qb)
    assert (invoice.DocNumber, invoice.Balance, invoice.CustomerRef.value) == (
        fact.number,
        fact.balance / 100,
        str(fact.customer),
    )
    assert [line.Description for line in invoice.Line[:-1]] == [line.text for line in fact.lines]
    found = objects("invoice").Invoice.filter(DocNumber=fact.number, qb=theirs.qb)
    assert [each.Id for each in found] == [str(fact.id)]
    assert objects("invoice").Invoice.count("Balance > '0'", qb=theirs.qb) == len(table.open)
    latest = objects("invoice").Invoice.where(order_by="TxnDate DESC", max_results=5, start_position=2, qb=theirs.qb)
    assert [each.TxnDate for each in latest] == sorted((each.TxnDate for each in latest), reverse=True)
    assert len(latest) == 5


def test_the_client_quotes_as_the_sandbox_reads(theirs: Books) -> None:
    customer = next(each for each in theirs.file.customers.values())
    customer.name = "Bob's \\ Burgers"
    found = objects("customer").Customer.choose(
        [customer.name.replace("\\", "\\\\")], field="DisplayName", qb=theirs.qb
    )
    assert [each.Id for each in found] == [str(customer.id)]


def test_the_client_reads_lists_settings_and_reports(theirs: Books) -> None:
    assert {item.Name for item in objects("item").Item.all(qb=theirs.qb, max_results=500)} >= {"Services", "Bad debts"}
    assert [code.Id for code in objects("taxcode").TaxCode.all(qb=theirs.qb)] == ["2", "3"]
    [settings] = theirs.qb.query("select * from Preferences")["QueryResponse"]["Preferences"]
    assert objects("preferences").Preferences.from_json(settings).CurrencyPrefs.HomeCurrency.value == "USD"
    assert objects("company_info").CompanyInfo.get(1, qb=theirs.qb).Country == "US"
    report = theirs.qb.get_report("TrialBalance", {"start_date": "2026-01-01", "end_date": "2026-11-22"})
    assert report["Header"]["ReportName"] == "TrialBalance"


def test_the_client_understands_refusals(theirs: Books) -> None:
    invoices = objects("invoice").Invoice
    with pytest.raises(client_errors.ObjectNotFoundException):
        invoices.get(999_999, qb=theirs.qb)
    with pytest.raises(client_errors.ValidationException) as refused:
        invoices.query("select * from Invoice where PrivateNote = 'x'", qb=theirs.qb)
    assert refused.value.error_code == 4001
    stale = invoices.get(next(iter(theirs.file.tables["Invoice"].open)), qb=theirs.qb)
    stale.SyncToken = "99"
    with pytest.raises(client_errors.QuickbooksException) as refused:
        stale.save(qb=theirs.qb)
    assert refused.value.error_code == 5010
    theirs.qb.session.token = {"access_token": "of another app"}
    with pytest.raises(client_errors.AuthorizationException):
        invoices.get(1, qb=theirs.qb)


# ------------------------------------------------------------------------------------- the same state, write by write


_OWN = {"note", "sync", "created", "updated", "parts", "source", "written"}
"""What differs by whom and how often something was written, and what is compared another way."""


def state(file: CompanyFile) -> list[tuple[Any, ...]]:
    """What was written, but for notes and versions, in which we leave our marks."""

    def plain(txn: Txn) -> tuple[Any, ...]:
        lines = [(line.text, line.amount, line.quantity, line.unit, line.item, line.tax_code) for line in txn.lines]
        parts = [(part.kind, part.id, part.amount) for part in txn.parts]
        compared = {each.name: getattr(txn, each.name) for each in fields(Txn) if each.name not in _OWN}
        return (*compared.values(), txn.is_void, tuple(parts), tuple(lines))

    assert balanced(file)
    return [plain(txn) for kind in KINDS for _, txn in sorted(file.tables[kind].by_id.items())]


def item_line(text: str, quantity: int, price: float, tax: str = "NON") -> Any:
    made = objects("detailline").SalesItemLine()
    made.Description, made.Amount = text, quantity * price
    made.SalesItemLineDetail = objects("detailline").SalesItemLineDetail()
    made.SalesItemLineDetail.Qty, made.SalesItemLineDetail.UnitPrice = quantity, price
    made.SalesItemLineDetail.ItemRef = ref("1")
    made.SalesItemLineDetail.TaxCodeRef = ref(tax)
    made.SalesItemLineDetail.ServiceDate = None
    return made


def ref(value: str) -> Any:
    made = objects("base").Ref()
    made.value = value
    return made


def link(kind: str, native: str, amount: float) -> Any:
    made = objects("payment").PaymentLine()
    made.Amount = amount
    linked = objects("base").LinkedTxn()
    linked.TxnId, linked.TxnType = native, kind
    made.LinkedTxn.append(linked)
    return made


def their_estimate(books: Books, who: str, email: str) -> Any:
    made = objects("estimate").Estimate()
    made.CustomerRef, made.TxnDate, made.TxnStatus = ref(who), TODAY.date().isoformat(), "Pending"
    made.Line = [item_line("Tent", 2, 12.5), item_line("Rope", 1, 10, "TAX")]
    made.DocNumber = "AUTO_GENERATE"
    made.BillEmail = objects("base").EmailAddress()
    made.BillEmail.Address = email
    made.TxnTaxDetail = objects("tax").TxnTaxDetail()
    made.TxnTaxDetail.TxnTaxCodeRef, made.TxnTaxDetail.TotalTax = ref("3"), None
    return made.save(qb=books.qb)


def their_invoice(books: Books, estimate: Any) -> Any:
    made = objects("invoice").Invoice()
    made.CustomerRef, made.Line, made.BillEmail = estimate.CustomerRef, estimate.Line[:-1], estimate.BillEmail
    made.TxnTaxDetail = estimate.TxnTaxDetail
    made.TxnTaxDetail.TotalTax = None
    made.DocNumber, made.TxnDate, made.DueDate = "AUTO_GENERATE", "2100-01-04", "2100-02-03"
    linked = objects("base").LinkedTxn()
    linked.TxnId, linked.TxnType = estimate.Id, "Estimate"
    made.LinkedTxn = [linked]
    return made.save(qb=books.qb)


def their_payment(books: Books, who: str, amount: float, *lines: Any, **more: Any) -> None:
    made = objects("payment").Payment()
    made.CustomerRef, made.TotalAmt, made.Line = ref(who), amount, list(lines)
    for name, value in more.items():
        setattr(made, name, value)
    made.save(qb=books.qb)


async def test_the_adapter_leaves_the_books_that_the_client_leaves(ours: Ledgers, theirs: Books) -> None:
    person = ours.person("US")
    who = str(person.number + 1)
    assert state(ours.file) == state(theirs.file)
    lines = DraftLine("Tent", 2, usd(12_50)), DraftLine("Rope", 1, usd(10_00), tax_code="3")
    made = (await ours.quickbooks.create_invoice(draft(person, *lines), KEY)).value
    estimate = their_estimate(theirs, who, person.email)
    assert state(ours.file) == state(theirs.file)

    issued = await ours.quickbooks.issue_invoice(made.invoice_id.rpartition(":")[2], made.version, send=True, key=KEY)
    invoice = their_invoice(theirs, estimate)
    invoice.send(qb=theirs.qb)
    assert state(ours.file) == state(theirs.file)
    assert [to for _, to in ours.file.sent] == [to for _, to in theirs.file.sent] == [person.email]

    native = issued.value.invoice.invoice_id.rpartition(":")[2]
    await ours.quickbooks.post_payment(native, Entry(usd(6_00), TODAY, "pi_1"), KEY)
    date, clearing = {"TxnDate": TODAY.date().isoformat()}, {"DepositToAccountRef": ref("91")}
    their_payment(theirs, who, 6, link("Invoice", invoice.Id, 6), PaymentRefNum="pi_1", **date, **clearing)
    assert state(ours.file) == state(theirs.file)

    now = await ours.quickbooks.invoice(native)
    credit = CreditDraft(usd(9_00), "Late", "credit_balance", (("1", 1),))
    wanted = CreditDraft(usd(12_50), "Late", "credit_balance", (("1", 1),))
    with pytest.raises(InvalidInput, match="not what these lines come to"):
        await ours.quickbooks.credit_invoice(native, now.version, credit, key=OTHER_KEY)
    await ours.quickbooks.credit_invoice(native, now.version, wanted, key=OTHER_KEY)
    memo = objects("creditmemo").CreditMemo()
    memo.CustomerRef, memo.TxnDate, memo.Line = ref(who), "2100-01-04", [item_line("Tent", 1, 12.5)]
    memo.TxnTaxDetail = objects("tax").TxnTaxDetail()
    memo.TxnTaxDetail.TxnTaxCodeRef, memo.TxnTaxDetail.TotalTax, memo.AutoDocNumber = ref("3"), 0, True
    memo = memo.save(qb=theirs.qb)
    joined = [link("Invoice", invoice.Id, 12.5), link("CreditMemo", memo.Id, 12.5)]
    their_payment(theirs, who, 0, *joined, TxnDate="2100-01-04")
    assert state(ours.file) == state(theirs.file)

    await ours.quickbooks.post_refund(native, Entry(usd(3_60), TODAY, "re_1", "Late"), THIRD_KEY)
    refund = objects("refundreceipt").RefundReceipt()
    refund.CustomerRef, refund.TxnDate, refund.DepositToAccountRef = ref(who), TODAY.date().isoformat(), ref("91")
    back = item_line("Credit for invoice 90001: Late re_1", 1, 3.50, "TAX")
    back.SalesItemLineDetail.Qty, back.SalesItemLineDetail.UnitPrice = None, None
    refund.Line, refund.AutoDocNumber = [back], True
    refund.TxnTaxDetail = objects("tax").TxnTaxDetail()
    refund.TxnTaxDetail.TxnTaxCodeRef, refund.TxnTaxDetail.TotalTax = ref("3"), 0.10
    refund.save(qb=theirs.qb)
    assert state(ours.file) == state(theirs.file)

    open_, _ = ours.some("open", country="US")
    got = await ours.quickbooks.invoice(open_)
    await ours.quickbooks.void_invoice(open_, got.version, "Twice", key=KEY)
    objects("invoice").Invoice.get(open_, qb=theirs.qb).void(qb=theirs.qb)
    assert state(ours.file) == state(theirs.file)


def test_the_client_deletes_and_voids_payments(theirs: Books) -> None:
    payment = next(txn for txn in theirs.file.tables["Payment"].by_id.values() if txn.total)
    got = objects("payment").Payment.get(payment.id, qb=theirs.qb)
    got.void(qb=theirs.qb)
    assert payment.is_void
    got = objects("payment").Payment.get(payment.id, qb=theirs.qb)
    got.delete(qb=theirs.qb)
    assert payment.id not in theirs.file.tables["Payment"].by_id
    assert balanced(theirs.file)


def test_a_request_id_of_the_client_counts(theirs: Books) -> None:
    for _ in range(2):
        made = objects("invoice").Invoice()
        made.CustomerRef, made.Line = ref(str(next(iter(theirs.file.customers)))), [item_line("Tent", 1, 5)]
        theirs.qb.create_object("Invoice", made.to_json(), request_id="once")
    assert (
        sum(txn.net == 500 and txn.lines[0].text == "Tent" for txn in theirs.file.tables["Invoice"].by_id.values()) == 1
    )
