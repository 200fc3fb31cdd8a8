"""The sandbox is Xero to others too: to its own Python client, and to its OpenAPI file. Our requests hold to that
file as well, and what our adapter leaves behind is what the client leaves.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Generator
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
import yaml
from tests.contract import xero_client as theirs
from tests.contract.openapi import SPECS, OpenApi
from tests.contract.serving import Exchange, Served, serving
from tests.contract.xero_client import KEY, PREFIX, accounting, client
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.xero import XERO, Xero, xero_sandbox
from backoffice_billing.backends.xero.sandbox import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    TENANT,
    Org,
    balanced,
    org_of,
)
from backoffice_billing.backends.xero.sandbox.seeding import contact_id
from backoffice_billing.models import Account, Invoice, InvoiceLine
from backoffice_billing.ports import (
    CreditDraft,
    DraftLine,
    Entry,
    InvoiceDraft,
    InvoiceQuery,
    PaymentQuery,
    ReportQuery,
)
from backoffice_shared.attempt import attempting
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

pytestmark = pytest.mark.anyio

TODAY, PRESENT = datetime(2026, 11, 22, tzinfo=UTC), datetime(2100, 1, 4, 10, tzinfo=UTC)
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)

exceptions: Any = importlib.import_module("xero_python.exceptions")  # it has no types


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture(scope="module")
def xeros_file() -> OpenApi:
    """Or a skipped test."""
    path = SPECS / "xero_accounting.yaml"
    if not path.exists():
        pytest.skip(f"the vendor's specification is not at {path}; set BACKOFFICE_SPECS to where they are")
    return OpenApi(yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader))


@pytest.fixture
def sandbox(company: Company) -> VendorSandbox:
    return xero_sandbox(company, clock=ManualClock(), now=lambda: PRESENT)


@pytest.fixture
def served(sandbox: VendorSandbox) -> Generator[Served]:
    with serving(sandbox) as running:
        yield running


def adapter(served: Served, clock: ManualClock | None = None) -> Xero:
    secrets = EnvironmentCredentials({"xero_access_token": ACCESS_TOKEN})
    http = connect(
        XERO,
        httpx.AsyncHTTPTransport(),
        secrets,
        base_url=served.url,
        options={"tenant": TENANT, "posts": "stripe"},
        clock=clock or ManualClock(),
    )
    return Xero(http, PRESENT.date)


def eur(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


DRAFT = InvoiceDraft(
    customer=contact_id(2),
    currency="EUR",
    lines=(DraftLine("Repair, per hour", 3, eur(1_500)), DraftLine("Bag", 1, eur(2_499))),
    date=date(2099, 12, 20),
    due_days=14,
    memo="Thank you",
    po_number="PO 77",
)
CREDIT = CreditDraft(eur(2_000), "A seam was open", "credit_balance")
PAID = Entry(eur(1_000), PRESENT, "pi_1")
REFUNDED = Entry(eur(500), PRESENT, "re_1", "requested by customer")
ISSUED = Invoice(
    invoice_id="stripe:invoice:in_1",
    number="NW-7001",
    status="open",
    total=eur(1_200),
    due=eur(1_200),
    issued_at=date(2100, 1, 1),
    due_at=date(2100, 1, 31),
    subtotal=eur(1_000),
    tax=eur(200),
    paid=eur(0),
    credited=eur(0),
    lines=[InvoiceLine(description="Work", unit_amount=eur(1_000), amount=eur(1_000), tax=eur(200))],
)
ADA = Account(customer_id="stripe:customer:cus_1", name="Ada Lovelace", email="ada@engine.example")


def native(ref: str) -> str:
    return ref.rpartition(":")[2]


# ------------------------------------------------------------------------------------------------- Xero's OpenAPI file


def problems(xeros_file: OpenApi, exchanges: list[Exchange]) -> list[str]:
    found: list[str] = []
    for exchange in exchanges:
        if exchange.path.startswith(PREFIX):
            found += xeros_file.problems(replace(exchange, path=exchange.path.removeprefix(PREFIX)))
    return found


async def everything(xero: Xero) -> None:
    """Each request that the adapter can send."""
    customer = contact_id(2)
    made = (await xero.create_invoice(DRAFT, KEY)).value
    issued = (await xero.issue_invoice(native(made.invoice_id), made.version, send=True, key=f"{KEY}-i")).value
    ref = native(issued.invoice.invoice_id)
    version = (await xero.invoice(ref)).version
    await xero.credit_invoice(ref, version, CREDIT, key=f"{KEY}-c")
    await xero.post_payment(ref, PAID, KEY)
    await xero.post_refund(ref, REFUNDED, KEY)
    posted = (await xero.post_invoice(ISSUED, ADA, KEY)).value
    await xero.void_invoice(posted, (await xero.invoice(posted)).version, "Twice", key=f"{KEY}-v")
    with attempting(LONG_AGO):
        await xero.create_invoice(DRAFT, KEY)
        await xero.credit_invoice(ref, version, CREDIT, key=f"{KEY}-c")
        await xero.void_invoice(posted, version, "Twice", key=f"{KEY}-v")
    await xero.accounts([customer, contact_id(6)], frozenset({"balance", "overdue", "credit"}))
    await xero.accounts_by_email("ada@engine.example", frozenset({"credit"}))
    since, until = date(2026, 3, 1), date(2026, 9, 1)
    query = InvoiceQuery(
        today=PRESENT.date(),
        customers=(customer,),
        statuses=("overdue",),
        issued_since=since,
        issued_until=until,
        due_before=until,
    )
    await xero.search_invoices(query, None, 10)
    await xero.search_invoices(InvoiceQuery(today=TODAY.date(), number="NW-1002"), "2", 10)
    await xero.search_invoices(InvoiceQuery(today=TODAY.date(), number='"?"'), None, 10)
    await xero.invoices([ref, posted], frozenset({"lines", "payments", "credit_notes", "links"}))
    await xero.search_payments(PaymentQuery(since=TODAY, until=PRESENT), None, 10)
    await xero.search_payments(PaymentQuery(customers=(customer,)), None, 10)
    [paid] = (await xero.search_payments(PaymentQuery(invoice=ref), None, 10)).items
    await xero.payment(native(paid.payment_id), frozenset({"refunds"}))
    for name in sorted(xero.reports):
        await xero.report(ReportQuery(name, until))
    await xero.report(ReportQuery("profit_and_loss", until, since, group_by="month"))


async def test_our_requests_and_the_sandboxs_answers_are_as_xero_specifies(xeros_file: OpenApi, served: Served) -> None:
    await everything(adapter(served))
    assert problems(xeros_file, served.exchanges) == []
    asked = {f"{exchange.method} {_template(exchange.path)}" for exchange in served.exchanges}
    assert asked == {
        "GET Accounts",
        "GET Contacts",
        "GET Contacts/…",
        "GET CreditNotes",
        "GET CreditNotes/…",
        "GET Invoices",
        "GET Invoices/…",
        "GET Invoices/…/History",
        "GET Invoices/…/OnlineInvoice",
        "GET Organisation",
        "GET Overpayments",
        "GET Payments",
        "GET Payments/…",
        "GET Prepayments",
        "GET Reports/BalanceSheet",
        "GET Reports/ProfitAndLoss",
        "GET Reports/TrialBalance",
        "GET TaxRates",
        "POST Invoices/…",
        "POST Invoices/…/Email",
        "PUT Contacts",
        "PUT CreditNotes",
        "PUT CreditNotes/…/Allocations",
        "PUT Invoices",
        "PUT Invoices/…/History",
        "PUT Payments",
    }


def _template(path: str) -> str:
    return "/".join("…" if len(part) == 36 else part for part in path.removeprefix(f"{PREFIX}/").split("/"))


async def test_refusals_are_as_xero_specifies(xeros_file: OpenApi, served: Served) -> None:
    headers = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
    async with httpx.AsyncClient(base_url=f"{served.url}{PREFIX}", headers=headers) as http:
        for path, name in (("Invoices", "Invoices"), ("Payments", "Payments"), ("Contacts", "Contacts")):
            answer = await http.put(f"/{path}", json={name: [{"Url": "x"}]})
            assert answer.status_code == 400
    assert [problem for exchange in served.exchanges for problem in xeros_file.of_answer(_below(exchange))] == []


def _below(exchange: Exchange) -> Exchange:
    return replace(exchange, path=exchange.path.removeprefix(PREFIX))


# ---------------------------------------------------------------------------------------------- Xero's Python client


def test_xeros_client_reads_what_the_company_has(served: Served, sandbox: VendorSandbox) -> None:
    api, org = client(served), org_of(sandbox)
    found = api.get_invoices(TENANT, where='Type=="ACCREC"', order="Date DESC", page=1, page_size=1000)
    mine = [document for document in org.documents.values() if document.type == "ACCREC"]
    assert len(found.invoices) == len(mine)
    one = next(document for document in mine if document.status == "PAID")
    [got] = api.get_invoice(TENANT, one.id).invoices
    assert (got.invoice_number, str(got.total), got.date) == (one.number, f"{one.total / 100:.2f}", one.date)
    assert [line.description for line in got.line_items] == [line.text for line in one.lines]
    assert got.amount_due == 0
    people = api.get_contacts(TENANT, page=1, page_size=1000).contacts
    assert {person.contact_id for person in people} == set(org.contacts)
    assert len(api.get_payments(TENANT, page=1, page_size=1000).payments) == len(org.payments)
    assert {account.code for account in api.get_accounts(TENANT).accounts} >= {"090", "091", "200"}
    assert api.get_organisations(TENANT).organisations[0].base_currency.value == "EUR"
    for report in (
        api.get_report_trial_balance(TENANT),
        api.get_report_balance_sheet(TENANT),
        api.get_report_profit_and_loss(TENANT, from_date=date(2026, 1, 1), to_date=date(2026, 12, 31)),
        api.get_report_aged_receivables_by_contact(TENANT, contact_id(2)),
    ):
        assert report.reports[0].rows[0].row_type.value == "Header"


def test_xeros_client_is_refused_in_its_own_words(served: Served) -> None:
    api = client(served)
    with pytest.raises(exceptions.AccountingBadRequestException) as refused:
        api.create_invoices(TENANT, accounting.Invoices(invoices=[accounting.Invoice(type="ACCREC")]))
    assert (refused.value.status, refused.value.error_data["ErrorNumber"]) == (400, 10)
    with pytest.raises(exceptions.HTTPStatusException):
        api.get_invoice(TENANT, "ffffffff-0000-4000-8000-00000000000f")
    with pytest.raises(exceptions.HTTPStatusException):
        api.get_contacts("ffffffff-0000-4000-8000-00000000000f")


def state(org: Org) -> Any:
    """All that was written, but when."""
    documents = {one: replace(document, updated=TODAY) for one, document in org.documents.items()}
    payments = {one: replace(payment, updated=TODAY) for one, payment in org.payments.items()}
    history = {one: [(note.changes, note.details) for note in notes] for one, notes in org.history.items() if notes}
    contacts = {one: replace(contact, updated=TODAY) for one, contact in org.contacts.items()}
    return documents, payments, org.allocations, history, contacts, org.journal.entries


async def create(xero: Xero) -> str:
    return native((await xero.create_invoice(DRAFT, KEY)).value.invoice_id)


async def issue(xero: Xero) -> str:
    ref = await create(xero)
    await xero.issue_invoice(ref, (await xero.invoice(ref)).version, send=True, key=f"{KEY}-i")
    return ref


async def void(xero: Xero) -> None:
    ref = await issue(xero)
    await xero.void_invoice(ref, (await xero.invoice(ref)).version, "Twice", key=f"{KEY}-v")


async def credit(xero: Xero) -> None:
    ref = await issue(xero)
    await xero.credit_invoice(ref, (await xero.invoice(ref)).version, CREDIT, key=f"{KEY}-c")


async def pay(xero: Xero) -> None:
    await xero.post_payment(await issue(xero), PAID, KEY)


async def refund(xero: Xero) -> None:
    await xero.post_refund(await issue(xero), REFUNDED, KEY)


async def post(xero: Xero) -> None:
    await xero.post_invoice(ISSUED, ADA, KEY)


@pytest.mark.parametrize(
    ("ours", "same"),
    [
        (create, theirs.create),
        (issue, theirs.issue),
        (void, theirs.void),
        (credit, theirs.credit),
        (pay, theirs.pay),
        (refund, theirs.refund),
        (post, theirs.post),
    ],
)
async def test_our_adapter_leaves_what_xeros_client_leaves(
    company: Company, ours: Callable[[Xero], Any], same: Callable[[Any], None]
) -> None:
    here, there = (xero_sandbox(company, clock=ManualClock(), now=lambda: PRESENT) for _ in range(2))
    with serving(here) as served:
        await ours(adapter(served))
    with serving(there) as served:
        same(client(served))
    assert state(org_of(here)) == state(org_of(there))
    assert balanced(org_of(here)) == balanced(org_of(there)) == []


async def test_a_token_by_client_credentials_is_what_xeros_client_gets(served: Served) -> None:
    form = {"grant_type": "client_credentials", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    async with httpx.AsyncClient(base_url=served.url) as http:
        answer = (await http.post("/connect/token", data=form)).json()
        assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 1800)
        tenants = await http.get("/connections", headers={"Authorization": f"Bearer {answer['access_token']}"})
    assert [tenant["tenantId"] for tenant in tenants.json()] == [TENANT]
