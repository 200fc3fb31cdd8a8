"""Credit notes: issued, and then applied to the invoice, kept for the customer, or paid out.

    credit_balance   what is due on the invoice is taken off it; the rest stays with the contact, for the next invoice
    out_of_band      all of it is taken off the invoice, on which so much must be due

All that are issued for an invoice come to no more than it, whether they were applied to it or kept (`notes.py`).

One that is paid out of the clearing account enters money that a payment provider gave back. A credit note that is
issued and then not applied can be completed with the same key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

from backoffice_billing.backends.xero import documents
from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.amounts import day, money, number
from backoffice_billing.backends.xero.api import Api, Wire
from backoffice_billing.backends.xero.notes import notes_of
from backoffice_billing.backends.xero.where import every, id_is, word
from backoffice_billing.ports import CreditDraft, CreditNote
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import Conflict
from backoffice_shared.http.client import Written, path
from backoffice_shared.http.once import SKEW
from backoffice_shared.http.steps import then
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money

TOUCHES = ("invoices", "creditnotes", "payments", "contacts")


class Crediting:
    def __init__(self, api: Api) -> None:
        self._api = api
        self._clearing = api.http.options["clearing_account"]

    async def preview(self, native: str, credit: CreditDraft) -> CreditNote:
        wire = await self._api.invoice(native)
        lines = documents.credited(wire, credit.amount, credit.lines)
        applied = _applied(wire, credit, await notes_of(self._api, wire))
        return CreditNote(
            credit_note_id="",
            number=None,
            total=credit.amount,
            invoice_due=into.due_of(wire) - applied,
            lines=tuple(line.model for line in lines),
        )

    async def credit(self, native: str, version: str, credit: CreditDraft, key: str) -> Written[CreditNote]:
        invoice = await self._api.invoice(native)
        reference = into.marked(str(invoice.get("InvoiceNumber") or ""), key)
        lines = documents.credited(invoice, credit.amount, credit.lines)
        known = None
        if (since := uncertain_since()) is not None:
            known = await self.note_of(invoice, reference, since - SKEW)
        if known is None:
            notes = await notes_of(self._api, invoice)
            _applied(invoice, credit, notes)
            if into.version(invoice, notes) != version:
                raise Conflict(
                    XERO.title, f"invoice {invoice.get('InvoiceNumber')} was changed meanwhile", hint="Read it again"
                )
            written = await self.issued(invoice, lines, reference, credit.reason, f"{key}-note")
        else:
            written = Written(known, replayed=True)
        note = written.value
        done = f"credit note {note.get('CreditNoteNumber')} was issued"
        await then(XERO.title, done, self._applied_to(note, invoice, credit, key))
        after = await then(XERO.title, done, self._api.invoice(native))
        model = CreditNote(
            credit_note_id=into.ref("credit_note", note["CreditNoteID"]),
            number=note.get("CreditNoteNumber") or None,
            total=money(note["Total"], into.currency_of(note)),
            invoice_due=into.due_of(after),
            lines=tuple(into.lines(note)),
        )
        return Written(model, written.replayed)

    async def _applied_to(self, note: Wire, invoice: Wire, credit: CreditDraft, key: str) -> None:
        if _allocated(note, invoice) is not None:
            return
        due = into.due_of(await self._api.invoice(invoice["InvoiceID"]))
        wanted = credit.amount if credit.disposition == "out_of_band" else min(credit.amount, due)
        if wanted:
            await self._allocated(note, invoice, wanted, f"{key}-apply")

    # -------------------------------------------------------------------------------------------------- one step each

    async def issued(
        self,
        invoice: Wire,
        lines: list[documents.Line],
        reference: str,
        reason: str,
        key: str,
        on: date | None = None,
    ) -> Written[Wire]:
        """`on` is the day that it bears; else it is the organisation's today."""

        async def look(since: datetime) -> Wire | None:
            return await self.note_of(invoice, reference, since)

        wire = documents.credit_wire(invoice, lines, reference, reason, on)
        return await self._api.create("CreditNotes", wire, key=key, look=look, touches=TOUCHES)

    async def note_of(self, invoice: Wire, reference: str, since: datetime) -> Wire | None:
        """The customer's credit note with this reference, as it is now, when it was changed since."""
        where = every([word("Type", "ACCRECCREDIT"), id_is("Contact.ContactID", into.contact_of(invoice))])
        recent = await self._api.recent("CreditNotes", {"where": where}, since)
        shown = (
            note for note in recent if note.get("Reference") == reference and note["Status"] in ("AUTHORISED", "PAID")
        )
        found = next(shown, None)
        return None if found is None else await self._note(found["CreditNoteID"])

    async def can_pay_out(self) -> None:
        """
        Raises:
            NotFound, Conflict: there is no clearing account, or it takes no payments.
        """
        account = await self._api.account(self._clearing, "clearing_account")
        if account.get("Type") != "BANK" and account.get("EnablePaymentsToAccount") is not True:
            raise Conflict(
                XERO.title,
                f"the clearing account {self._clearing!r} takes no payments",
                hint="Enable payments to it in Xero, or see the option clearing_account",
            )

    async def paid_out(self, note: Wire, reference: str, key: str) -> str:
        """The id of the payment of all that is left of it, on the day of the note."""

        async def look(_since: datetime) -> Wire | None:
            current = await self._note(note["CreditNoteID"])
            return next((obj(paid) for paid in arr(current.get("Payments"))), None)

        if paid := arr(note.get("Payments")):
            return str(paid[0]["PaymentID"])
        amount = money(note["Total"], into.currency_of(note))
        wire = {
            "CreditNote": {"CreditNoteID": note["CreditNoteID"]},
            "Account": {"Code": self._clearing},
            "Date": day(note["Date"]).isoformat(),
            "Amount": number(amount),
            "Reference": reference,
        }
        written = await self._api.create("Payments", wire, key=key, look=look, touches=TOUCHES)
        return str(written.value["PaymentID"])

    async def _allocated(self, note: Wire, invoice: Wire, amount: Money, key: str) -> None:
        async def look(_since: datetime) -> Wire | None:
            return _allocated(await self._note(note["CreditNoteID"]), invoice)

        wire = {
            "Invoice": {"InvoiceID": invoice["InvoiceID"]},
            "Amount": number(amount),
            "Date": day(note["Date"]).isoformat(),
        }
        below = path("CreditNotes", note["CreditNoteID"])
        await self._api.create("Allocations", wire, key=key, look=look, touches=TOUCHES, below=below)

    async def _note(self, native: str) -> Wire:
        return await self._api.one("CreditNotes", native, "credit note", unitdp=4)


def _applied(invoice: Wire, credit: CreditDraft, notes: Sequence[Wire]) -> Money:
    """What the credit note will take off the invoice, for which `notes` were issued before.

    Raises:
        Conflict: the invoice's state forbids it.
    """
    status, name = into.native_status(invoice), f"invoice {invoice.get('InvoiceNumber')}"
    due = into.due_of(invoice)
    if status not in ("open", "paid"):
        raise Conflict(XERO.title, f"{name} is {status}, and only an issued one can be credited")
    if credit.disposition == "out_of_band" and credit.amount > due:
        raise Conflict(
            XERO.title,
            f"{due} is due on {name}, less than {credit.amount}",
            hint="With credit_balance the rest is kept for the customer",
        )
    left = money(invoice["Total"], into.currency_of(invoice)) - into.credited(invoice, notes)
    if credit.amount > left:
        raise Conflict(XERO.title, f"{left} of {name} are not credited yet, less than {credit.amount}")
    return min(credit.amount, due)


def _allocated(note: Wire, invoice: Wire) -> Wire | None:
    """Its allocation to this invoice."""
    allocations = map(obj, arr(note.get("Allocations")))
    return next((a for a in allocations if obj(a.get("Invoice")).get("InvoiceID") == invoice["InvoiceID"]), None)
