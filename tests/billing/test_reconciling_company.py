"""The fictional company's own books, through the vendors' adapters: what drifted apart is found, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.quickbooks import QUICKBOOKS, QuickBooks, quickbooks_sandbox
from backoffice_billing.backends.shopify import SHOPIFY, Shopify, shopify_sandbox
from backoffice_billing.backends.stripe import STRIPE, StripeAccounts, StripeInvoices, StripePayments, stripe_sandbox
from backoffice_billing.backends.xero import XERO, Xero, xero_sandbox
from backoffice_billing.directory import Directory
from backoffice_billing.models import Difference, DifferenceKind
from backoffice_billing.reconciling import Reconciling
from backoffice_shared.backend import Backend
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.paging import Cursors
from backoffice_shared.sandbox.books import Invoice
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
_SHOWS: Mapping[str, DifferenceKind] = {
    "missing": "missing_in_ledger",
    "unpaid": "payment_missing_in_ledger",
    "amount": "total_differs",
}


def client(backend: Backend, sandbox: VendorSandbox, url: str) -> BackendClient:
    secrets = EnvironmentCredentials({f"{backend.name}_{name}": value for name, value in sandbox.credentials.items()})
    return connect(
        backend, InProcess(sandbox), secrets, base_url=url, options=dict(sandbox.options), clock=ManualClock()
    )


def reconciling(company: Company) -> Reconciling:
    stripe = client(STRIPE, stripe_sandbox(company), "https://api.stripe.com")
    xero = Xero(client(XERO, xero_sandbox(company), "https://api.xero.com"))
    quickbooks = QuickBooks(client(QUICKBOOKS, quickbooks_sandbox(company), "https://quickbooks.api.intuit.com"))
    shop = Shopify(client(SHOPIFY, shopify_sandbox(company), "https://northwind-outfitters.myshopify.com"))
    payments = StripePayments(stripe)
    return Reconciling(
        invoices={"stripe": StripeInvoices(stripe), "xero": xero, "quickbooks": quickbooks},
        payments={"stripe": payments, "xero": xero, "quickbooks": quickbooks},
        refunds={"stripe": payments},
        shops={"shopify": shop},
        directory=Directory({"stripe": StripeAccounts(stripe), "xero": xero, "quickbooks": quickbooks}),
        providers=["stripe"],
        ledgers=["xero", "quickbooks"],
        cursors=Cursors(b"a key of the operator's"),
        with_refunds=["xero"],
        today=TODAY.date,
    )


async def walked(at: Reconciling, scope: str | None, since: date | None, until: date | None) -> list[Difference]:
    found: list[Difference] = []
    cursor: str | None = None
    while True:
        page = await at.compare(scope, since, until, limit=50, cursor=cursor)
        assert {source.status for source in page.sources} == {"ok"}
        found += page.items
        if (cursor := page.page.next_cursor) is None:
            return found


def expected(invoice: Invoice) -> DifferenceKind | None:
    """What of an invoice of the company's differs between its provider and its ledger."""
    if invoice.drift is not None:
        return _SHOWS[invoice.drift]
    if not invoice.billed and invoice.status not in ("draft", "void"):
        return "missing_in_provider"
    given_up = invoice.billed and invoice.status == "uncollectible"
    return "status_differs" if given_up and invoice.ledger == "eu" else None  # the American books have written it off


async def test_all_that_drifted_apart_in_more_than_a_year_is_found_and_nothing_else():
    company = Company(customers=50, today=TODAY)
    since, until = TODAY.date() - timedelta(days=400), TODAY.date()
    found = await walked(reconciling(company), None, since, until)
    differing = {(kind, invoice.name) for invoice in company.books.invoices if (kind := expected(invoice)) is not None}
    assert {kind for kind, _ in differing} >= {*_SHOWS.values(), "missing_in_provider"}
    assert {(d.kind, d.reference) for d in found} == differing
    assert len(found) == len(differing)


@pytest.mark.parametrize("drift", ["missing", "unpaid", "amount"])
async def test_one_customer_and_one_invoice_are_compared_as_the_whole_is(drift: str):
    company = Company(customers=50, today=TODAY)
    at = reconciling(company)
    invoice = next(i for i in company.books.invoices if i.drift == drift)
    theirs = {(kind, i.name) for i in company.books.invoices_of[invoice.person] if (kind := expected(i)) is not None}
    found = await walked(at, company.people[invoice.person].email, None, None)
    assert {(d.kind, d.reference) for d in found} == theirs
    (one,) = [d for d in found if d.reference == invoice.name]
    for side in (one.left, one.right):
        if side.id is not None:
            assert await walked(at, side.id, None, None) == [one]
