"""QuickBooks Online in our words: whom the company bills, what they owe, and its books.

Source: https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/invoice and its neighbours; the
shapes are those of the XSD files in Intuit's own SDK.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from backoffice_billing.backends.quickbooks.bookkeeping import Bookkeeping
from backoffice_billing.backends.quickbooks.crediting import Crediting
from backoffice_billing.backends.quickbooks.invoicing import Drafting, system_now
from backoffice_billing.backends.quickbooks.reading import Reading
from backoffice_billing.backends.quickbooks.realm import Realm
from backoffice_billing.backends.quickbooks.reporting import REPORTS, Reporting
from backoffice_billing.models import (
    Account,
    AccountSection,
    Invoice,
    InvoiceRow,
    InvoiceSection,
    Payment,
    PaymentRow,
    PaymentSection,
    ReportName,
    Table,
)
from backoffice_billing.ports import (
    CreditDraft,
    CreditNote,
    Entry,
    InvoiceDraft,
    InvoiceQuery,
    Issued,
    PaymentQuery,
    ReportQuery,
)
from backoffice_billing.posting import posts
from backoffice_shared.http.client import BackendClient, Written
from backoffice_shared.paging import Chunk


class QuickBooks:
    """`Accounts`, `Invoices`, `Invoicing`, `Payments`, `Ledger` and `Reporting` of one company. `now` tells the day."""

    account_kind = "customer"
    reports: frozenset[ReportName] = frozenset(REPORTS)

    def __init__(self, http: BackendClient, *, now: Callable[[], datetime] = system_now) -> None:
        def today() -> date:
            return now().date()

        realm = Realm(http)
        self.posts = posts("quickbooks", realm.option("posts"))
        self._reading = Reading(realm, today)
        self._drafting = Drafting(self._reading, now)
        self._crediting = Crediting(self._reading)
        self._books = Bookkeeping(self._reading, self._crediting)
        self._reporting = Reporting(realm)

    # ------------------------------------------------------------------------------------------------------ accounts

    async def accounts(self, natives: Sequence[str], sections: frozenset[AccountSection]) -> list[Account]:
        return await self._reading.accounts(natives, sections)

    async def accounts_by_email(self, email: str, sections: frozenset[AccountSection]) -> list[Account]:
        return await self._reading.accounts_by_email(email, sections)

    # ------------------------------------------------------------------------------------------------------ invoices

    async def search_invoices(self, query: InvoiceQuery, cursor: str | None, limit: int) -> Chunk[InvoiceRow]:
        return await self._reading.search_invoices(query, cursor, limit)

    async def invoices(self, natives: Sequence[str], sections: frozenset[InvoiceSection]) -> list[Invoice]:
        return await self._reading.invoices(natives, sections)

    async def invoice(self, native: str) -> Invoice:
        return await self._reading.invoice(native)

    async def preview_invoice(self, draft: InvoiceDraft) -> Invoice:
        return await self._drafting.preview_invoice(draft)

    async def create_invoice(self, draft: InvoiceDraft, key: str) -> Written[Invoice]:
        return await self._drafting.create_invoice(draft, key)

    async def issue_invoice(self, native: str, version: str, *, send: bool, key: str) -> Written[Issued]:
        return await self._drafting.issue_invoice(native, version, send=send, key=key)

    async def void_invoice(self, native: str, version: str, reason: str, *, key: str) -> Written[Invoice]:
        return await self._drafting.void_invoice(native, version, reason, key=key)

    async def preview_credit(self, native: str, credit: CreditDraft) -> CreditNote:
        return await self._crediting.preview_credit(native, credit)

    async def credit_invoice(self, native: str, version: str, credit: CreditDraft, *, key: str) -> Written[CreditNote]:
        return await self._crediting.credit_invoice(native, version, credit, key=key)

    # ------------------------------------------------------------------------------------------------------ payments

    async def search_payments(self, query: PaymentQuery, cursor: str | None, limit: int) -> Chunk[PaymentRow]:
        return await self._reading.search_payments(query, cursor, limit)

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        return await self._reading.payment(native, sections)

    # ------------------------------------------------------------------------------------------------------ the books

    async def post_invoice(self, invoice: Invoice, customer: Account, key: str) -> Written[str]:
        return await self._books.post_invoice(invoice, customer, key)

    async def post_payment(self, native: str, entry: Entry, key: str) -> Written[str]:
        return await self._books.post_payment(native, entry, key)

    async def post_refund(self, native: str, entry: Entry, key: str) -> Written[str]:
        return await self._books.post_refund(native, entry, key)

    async def report(self, query: ReportQuery) -> Table:
        return await self._reporting.report(query)
