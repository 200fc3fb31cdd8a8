"""What the payment provider did, entered in QuickBooks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from backoffice_billing.backends.quickbooks import bodies, marks
from backoffice_billing.backends.quickbooks.access import REMEMBERS, TITLE
from backoffice_billing.backends.quickbooks.crediting import Crediting
from backoffice_billing.backends.quickbooks.query import Select, equals
from backoffice_billing.backends.quickbooks.reading import Reading
from backoffice_billing.backends.quickbooks.translation import DRAFT
from backoffice_billing.backends.quickbooks.wire import Receipt, Sale
from backoffice_billing.models import Account, Invoice
from backoffice_billing.ports import Entry
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.http.client import Written
from backoffice_shared.http.once import once


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """Each entry is looked for before it is made: QuickBooks can be asked for a number, and an invoice names what paid
    it.
    """

    reading: Reading
    crediting: Crediting

    async def post_invoice(self, invoice: Invoice, customer: Account, key: str) -> Written[str]:
        realm = self.reading.realm
        native = customer.customer_id.rpartition(":")[2]
        body = bodies.posted(invoice, native, realm.option("sales_item"), key, await realm.facts())
        number = str(invoice.number)

        async def write() -> Written[Sale]:
            return await realm.write("Invoice", body, f"{key}-post")

        async def look(_since: datetime | None = None) -> Sale | None:
            found = await realm.sales(Select("Invoice", (equals("DocNumber", number),)))
            return next((sale for sale in found if marks.bears(sale.note, key)), None)

        if (entered := await look()) is not None:
            return Written(entered.id, replayed=True)
        written = await once(TITLE, write, look, remembers=REMEMBERS)
        return Written(written.value.id, written.replayed)

    async def post_payment(self, native: str, entry: Entry, key: str) -> Written[str]:
        """
        Raises:
            Conflict: nothing is due on the invoice, or less.
        """
        realm = self.reading.realm
        if native.startswith(DRAFT):
            raise Conflict(TITLE, "a draft is not owed, and cannot be paid")
        invoice, receipts = await self.reading.as_is(native)
        if (entered := _bearing(receipts, key)) is not None:
            return Written(entered.id, replayed=True)
        if entry.amount.currency != invoice.currency:
            raise InvalidInput(TITLE, f"the invoice is in {invoice.currency}, not in {entry.amount.currency}")
        if entry.amount.amount <= 0 or not invoice.balance:
            raise Conflict(TITLE, f"{invoice.balance} are due on invoice {invoice.number}: nothing was entered")
        body = bodies.paid(
            invoice,
            entry.amount,
            entry.reference,
            marks.note(" ".join((entry.reason, entry.reference)).strip(), key),
            on=entry.at.date(),
            account=realm.option("deposit_account"),
            facts=await realm.facts(),
        )

        async def write() -> Written[Receipt]:
            return await realm.write_receipt(body, f"{key}-pay")

        async def look(_since: datetime) -> Receipt | None:
            return _bearing((await self.reading.as_is(native))[1], key)

        written = await once(TITLE, write, look, remembers=REMEMBERS)
        return Written(written.value.id, written.replayed)

    async def post_refund(self, native: str, entry: Entry, key: str) -> Written[str]:
        account = self.reading.realm.option("deposit_account")
        return await self.crediting.refund(native, entry, account, key)


def _bearing(receipts: list[Receipt], key: str) -> Receipt | None:
    return next((receipt for receipt in receipts if marks.bears(receipt.note, key)), None)
