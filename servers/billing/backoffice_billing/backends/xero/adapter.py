"""Xero's Accounting API in our words.

Source: https://developer.xero.com/documentation/api/accounting/overview and Xero's OpenAPI file, 16.1.0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime

from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.api import Api
from backoffice_billing.backends.xero.crediting import Crediting
from backoffice_billing.backends.xero.invoicing import Invoicing
from backoffice_billing.backends.xero.ledger import Ledger
from backoffice_billing.backends.xero.payments import Payments
from backoffice_billing.backends.xero.reading import Reading
from backoffice_billing.backends.xero.reports import REPORTS, Reports
from backoffice_billing.models import (
    Account,
    AccountSection,
    Invoice,
    InvoiceRow,
    InvoiceSection,
    Payment,
    PaymentRow,
    PaymentSection,
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


def _utc_today() -> date:
    return datetime.now(UTC).date()


class Xero:
    """One organisation: everything that it can be asked, each part in a module of its own. `today` tells what is
    overdue.
    """

    account_kind = "contact"
    reports = REPORTS

    def __init__(self, http: BackendClient, today: Callable[[], date] = _utc_today) -> None:
        api = Api(http)
        self._reading = Reading(api, today)
        self._invoicing = Invoicing(api, today)
        self._credits = Crediting(api)
        self._payments = Payments(api)
        self._ledger = Ledger(api, self._credits)
        self._reports = Reports(api, today)
        self.posts = posts(XERO.name, http.options["posts"])

    async def accounts(self, natives: Sequence[str], sections: frozenset[AccountSection]) -> list[Account]:
        return await self._reading.accounts(natives, sections)

    async def accounts_by_email(self, email: str, sections: frozenset[AccountSection]) -> list[Account]:
        return await self._reading.accounts_by_email(email, sections)

    async def search_invoices(self, query: InvoiceQuery, cursor: str | None, limit: int) -> Chunk[InvoiceRow]:
        return await self._reading.search_invoices(query, cursor, limit)

    async def invoices(self, natives: Sequence[str], sections: frozenset[InvoiceSection]) -> list[Invoice]:
        return await self._reading.invoices(natives, sections)

    async def invoice(self, native: str) -> Invoice:
        return await self._reading.invoice(native)

    async def preview_invoice(self, draft: InvoiceDraft) -> Invoice:
        return await self._invoicing.preview_invoice(draft)

    async def create_invoice(self, draft: InvoiceDraft, key: str) -> Written[Invoice]:
        return await self._invoicing.create_invoice(draft, key)

    async def issue_invoice(self, native: str, version: str, *, send: bool, key: str) -> Written[Issued]:
        return await self._invoicing.issue_invoice(native, version, send=send, key=key)

    async def void_invoice(self, native: str, version: str, reason: str, *, key: str) -> Written[Invoice]:
        return await self._invoicing.void_invoice(native, version, reason, key=key)

    async def preview_credit(self, native: str, credit: CreditDraft) -> CreditNote:
        return await self._credits.preview(native, credit)

    async def credit_invoice(self, native: str, version: str, credit: CreditDraft, *, key: str) -> Written[CreditNote]:
        return await self._credits.credit(native, version, credit, key)

    async def search_payments(self, query: PaymentQuery, cursor: str | None, limit: int) -> Chunk[PaymentRow]:
        return await self._payments.search_payments(query, cursor, limit)

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        return await self._payments.payment(native, sections)

    async def post_invoice(self, invoice: Invoice, customer: Account, key: str) -> Written[str]:
        return await self._ledger.post_invoice(invoice, customer, key)

    async def post_payment(self, native: str, entry: Entry, key: str) -> Written[str]:
        return await self._ledger.post_payment(native, entry, key)

    async def post_refund(self, native: str, entry: Entry, key: str) -> Written[str]:
        return await self._ledger.post_refund(native, entry, key)

    async def report(self, query: ReportQuery) -> Table:
        return await self._reports.report(query)
