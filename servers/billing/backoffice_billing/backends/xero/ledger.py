"""Xero keeps the books: what was invoiced, paid and given back elsewhere is entered here, each once.

Every entry is looked for before it is made, whoever made it: an invoice by its number, a payment and a refund by the id
that they have elsewhere, in their Reference. So none needs a mark of ours, and a key may be forgotten.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from backoffice_billing.backends.xero import documents
from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.amounts import money, number
from backoffice_billing.backends.xero.api import Api, Wire
from backoffice_billing.backends.xero.crediting import TOUCHES, Crediting
from backoffice_billing.backends.xero.payments import refund_reference
from backoffice_billing.backends.xero.where import is_plain
from backoffice_billing.models import Account, Invoice
from backoffice_billing.ports import Entry
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.http.client import Written
from backoffice_shared.http.steps import then
from backoffice_shared.jsonvalues import arr, obj

_EVER = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST_REFERENCE = 255


class Ledger:
    def __init__(self, api: Api, credits_: Crediting) -> None:
        self._api = api
        self._options = api.http.options
        self._credits = credits_

    async def post_invoice(self, invoice: Invoice, customer: Account, key: str) -> Written[str]:
        """Under its own number, and approved. Who is not among the contacts becomes one.

        Raises:
            Conflict: there is an invoice with this number that comes to another amount.
        """
        if not invoice.number or not is_plain(invoice.number):
            raise InvalidInput(XERO.title, f"{invoice.number!r} cannot be the number of an invoice")
        if (known := await self._numbered(invoice)) is not None:
            return Written(known["InvoiceID"], replayed=True)
        contact = await self._contact(customer, f"{key}-contact")
        wire = documents.entered(invoice, contact, self._options["sales_account"], self._options["tax_type"])

        async def look(_since: datetime) -> Wire | None:
            return await self._numbered(invoice)

        written = await self._api.create("Invoices", wire, key=f"{key}-invoice", look=look, touches=TOUCHES)
        return Written(written.value["InvoiceID"], written.replayed)

    async def _numbered(self, invoice: Invoice) -> Wire | None:
        asked = {"InvoiceNumbers": str(invoice.number), "Statuses": "DRAFT,SUBMITTED,AUTHORISED,PAID"}
        found = [wire for wire in await self._api.every("Invoices", asked, fresh_for=0) if into.is_shown(wire)]
        known = next((wire for wire in found if wire.get("InvoiceNumber") == invoice.number), None)
        if known is None:
            return None
        if (has := money(known["Total"], into.currency_of(known))) != invoice.total:
            raise Conflict(XERO.title, f"invoice {invoice.number} is there already, and comes to {has}")
        return known

    async def _contact(self, customer: Account, key: str) -> str:
        """The id of the contact that this is, or else of the active one with this address. Never of one that only has
        the same name.

        Raises:
            Conflict: they are archived.
            InvalidInput: nobody of Xero's, and without an address.
        """
        if customer.customer_id.startswith(own := into.ref("contact", "")):
            return str((await self._api.customer(customer.customer_id.removeprefix(own)))["ContactID"])
        email = (customer.email or "").strip()
        if not email:
            raise InvalidInput(XERO.title, f"{customer.customer_id} has no e-mail address to be known by")

        async def look(_since: datetime) -> Wire | None:
            found = await self._api.every("Contacts", {"searchTerm": email}, fresh_for=0)
            exact = (wire for wire in found if str(wire.get("EmailAddress") or "").casefold() == email.casefold())
            return next((wire for wire in exact if wire.get("ContactStatus") == "ACTIVE"), None)

        if (known := await look(_EVER)) is not None:
            return str(known["ContactID"])
        wire = {"Name": (customer.name or email).strip(), "EmailAddress": email}
        written = await self._api.create("Contacts", wire, key=key, look=look, touches=("contacts",))
        return str(written.value["ContactID"])

    async def post_payment(self, native: str, entry: Entry, key: str) -> Written[str]:
        invoice = await self._api.invoice(native)
        if (known := _paid(invoice, entry)) is not None:
            return Written(known["PaymentID"], replayed=True)

        async def look(_since: datetime) -> Wire | None:
            return _paid(await self._api.invoice(native), entry)

        wire = {
            "Invoice": {"InvoiceID": invoice["InvoiceID"]},
            "Account": {"Code": self._options["clearing_account"]},
            "Date": _day(entry).isoformat(),
            "Amount": number(entry.amount),
            "Reference": _reference(entry.reference),
        }
        if entry.amount.currency != into.currency_of(invoice):
            raise InvalidInput(XERO.title, f"{entry.amount} was paid for an invoice in {into.currency_of(invoice)}")
        written = await self._api.create("Payments", wire, key=f"{key}-payment", look=look, touches=TOUCHES)
        return Written(written.value["PaymentID"], written.replayed)

    async def post_refund(self, native: str, entry: Entry, key: str) -> Written[str]:
        """Gives the id of the credit note, which bears the day on which the money was given back, as its payment does.

        Raises:
            NotFound, Conflict: there is no clearing account, or it takes no payments: then there is no note either.
            OutcomeUnknown: also when the credit note is there, and could not be paid out; what was refused for good
                is an error of its own class, which says that the note is there.
        """
        invoice = await self._api.invoice(native)
        reference = _reference(refund_reference(entry.reference, str(invoice.get("InvoiceNumber") or "")))
        note = await self._credits.note_of(invoice, reference, _EVER)
        written = (
            Written(note, replayed=True) if note is not None else await self._noted(invoice, entry, reference, key)
        )
        done = f"credit note {written.value.get('CreditNoteNumber')} was entered"
        await then(XERO.title, done, self._credits.paid_out(written.value, reference, f"{key}-refund"))
        return Written(str(written.value["CreditNoteID"]), written.replayed)

    async def _noted(self, invoice: Wire, entry: Entry, reference: str, key: str) -> Written[Wire]:
        lines = documents.credited(invoice, entry.amount)
        await self._credits.can_pay_out()
        return await self._credits.issued(invoice, lines, reference, entry.reason, f"{key}-note", _day(entry))


def _day(entry: Entry) -> date:
    return entry.at.astimezone(UTC).date()


def _reference(text: str) -> str:
    if len(text) > _LONGEST_REFERENCE:
        raise InvalidInput(XERO.title, f"a reference has at most {_LONGEST_REFERENCE} characters")
    return text


def _paid(invoice: Wire, entry: Entry) -> Wire | None:
    """The payment with this reference."""
    payments: list[dict[str, Any]] = [obj(payment) for payment in arr(invoice.get("Payments"))]
    return next((payment for payment in payments if payment.get("Reference") == entry.reference), None)
