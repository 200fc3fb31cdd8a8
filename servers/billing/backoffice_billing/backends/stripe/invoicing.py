"""Makes, issues, voids and credits invoices at Stripe.

Sources: https://docs.stripe.com/invoicing/integration/workflow-transitions,
https://docs.stripe.com/api/invoices/finalize, https://docs.stripe.com/api/invoices/void and
https://docs.stripe.com/api/credit_notes/create
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from backoffice_billing.backends.stripe import drafts
from backoffice_billing.backends.stripe import invoicewire as into
from backoffice_billing.backends.stripe.access import STRIPE
from backoffice_billing.backends.stripe.attempts import made_once, then
from backoffice_billing.backends.stripe.invoices import StripeInvoices
from backoffice_billing.backends.stripe.lists import every
from backoffice_billing.backends.stripe.shapes import sound
from backoffice_billing.backends.stripe.wire import Wire, marked, metadata, path_of, stamp
from backoffice_billing.models import Invoice
from backoffice_billing.ports import CreditDraft, CreditNote, InvoiceDraft, Issued
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, may_pass
from backoffice_shared.http.client import BackendClient, Written
from backoffice_shared.http.steps import or_why
from backoffice_shared.money import Money

_ISSUED, _VOIDED, _REASON = "backoffice_issue", "backoffice_void", "void_reason"
"""Metadata: with which key an invoice was issued, or voided, and why."""


class StripeInvoicing:
    """Stripe has no versions: an invoice is read just before it is changed, and must be the one that was seen."""

    def __init__(self, http: BackendClient, invoices: StripeInvoices) -> None:
        self._http = http
        self._invoices = invoices

    # ------------------------------------------------------------------------------------------------------- drafts

    async def preview_invoice(self, draft: InvoiceDraft) -> Invoice:
        """Stripe computes it: its tax, and the prices of its own."""
        previewed = await self._http.write(
            "invoices.create_preview",
            "/v1/invoices/create_preview",
            form=drafts.preview(draft),
            into=sound("invoice"),
            twice="harmless",
        )
        invoice = await self._invoices.read_again({**previewed.value, "status": "draft"})
        said = {"memo": draft.memo, "po_number": draft.po_number, "issued_at": draft.date}
        return invoice.model_copy(update={**said, "invoice_id": "", "number": None, "url": None, "version": ""})

    async def create_invoice(self, draft: InvoiceDraft, key: str) -> Written[Invoice]:
        """First the empty draft, then its lines, one by one. It is marked as incomplete until all of them are there, so
        that half of it is never issued. What Stripe would refuse of the lines, its preview refuses before."""

        async def write() -> Written[Wire]:
            await self.preview_invoice(draft)
            return await self._write("invoices.create", "/v1/invoices", drafts.invoice(draft, key), key)

        async def look(since: datetime) -> Wire | None:
            asked = {"customer": draft.customer, "created[gte]": stamp(since)}
            return _with_key(await every(self._http, "invoices.list", asked), drafts.KEY, key)

        if not draft.lines:
            raise InvalidInput(STRIPE.title, "an invoice has at least one line")
        made = await made_once(write, look)
        native = str(made.value["id"])
        complete = await then(
            f"the draft {native} was made", self._completed(draft, native, key, replayed=made.replayed)
        )
        return Written(complete, made.replayed)

    async def _completed(self, draft: InvoiceDraft, native: str, key: str, *, replayed: bool) -> Invoice:
        """With all of its lines. When the draft was there before, some of them may be, too."""
        there: frozenset[str] = frozenset()
        if replayed:
            current = await self._invoices.wire(native)
            if metadata(current, drafts.INCOMPLETE) is None:
                return await self._invoices.read_again(current)
            there = await self._lines_made(native, key)
        for number in range(len(draft.lines)):
            if str(number) not in there:
                await self._add_line(draft, number, native, key)
        return await self._invoices.read_again(await self._note(native, {drafts.INCOMPLETE: ""}, f"{key}-complete"))

    async def _lines_made(self, native: str, key: str) -> frozenset[str]:
        items = await every(self._http, "invoiceitems.list", {"invoice": native})
        return frozenset(metadata(item, drafts.LINE) or "" for item in items if metadata(item, drafts.KEY) == key)

    async def _add_line(self, draft: InvoiceDraft, number: int, native: str, key: str) -> None:
        form = drafts.item(draft, number, native, key)

        async def write() -> Written[Wire]:
            return await self._write("invoiceitems.create", "/v1/invoiceitems", form, f"{key}-line-{number}")

        async def look(_since: datetime) -> Wire | None:
            items = await every(self._http, "invoiceitems.list", {"invoice": native})
            mine = [item for item in items if metadata(item, drafts.LINE) == str(number)]
            return _with_key(mine, drafts.KEY, key)

        await made_once(write, look)

    # ----------------------------------------------------------------------------------------------- issuing, voiding

    async def issue_invoice(self, native: str, version: str, *, send: bool, key: str) -> Written[Issued]:
        """Finalizes it, without Stripe's own reminders and attempts to collect. In a sandbox of Stripe's no e-mail
        leaves."""
        wire = await self._invoices.wire(native)
        done = wire["status"] != "draft" and metadata(wire, _ISSUED) == key
        if not done:
            _same(wire, version)
            _refuse(wire, "is issued already", when=wire["status"] != "draft")
            half = metadata(wire, drafts.INCOMPLETE) is not None
            _refuse(wire, "is a draft that lacks some of its lines", when=half)
            await self._note(native, {_ISSUED: key}, f"{key}-mark")
            wire = await self._moved(native, "finalize", {"auto_advance": "false"}, key, _ISSUED)
        issued = Issued(await then("the invoice was issued", self._invoices.read_again(wire)))
        return Written(await self._sent(wire, issued, key) if send else issued, replayed=done)

    async def _sent(self, wire: Wire, issued: Issued, key: str) -> Issued:
        """A failure to send must not hide that it was issued."""
        address = wire.get("customer_email")
        if not address:
            return Issued(issued.invoice, not_sent="it was not e-mailed: the customer has no e-mail address")
        if wire["status"] not in ("open", "uncollectible"):
            return Issued(issued.invoice, not_sent="it was not e-mailed: nothing is due on it")
        sent = await or_why(
            self._http.write(
                "invoices.send",
                path_of("invoice", str(wire["id"]), "send"),
                form={},
                into=sound("invoice"),
                key=f"{key}-send",
                touches=_touched(wire),
            )
        )
        if isinstance(sent, BackofficeError):
            return Issued(
                issued.invoice,
                not_sent=f"it may not have been e-mailed to {address}: {sent.message}",
                again=may_pass(sent),
            )
        return Issued(issued.invoice, sent_to=str(address))

    async def void_invoice(self, native: str, version: str, reason: str, *, key: str) -> Written[Invoice]:
        """`reason` is in its metadata, which the dashboard shows."""
        wire = await self._invoices.wire(native)
        done = wire["status"] == "void" and metadata(wire, _VOIDED) == key
        if not done:
            _same(wire, version)
            _refuse(wire, f"is {wire['status']}: only an open invoice can be voided", when=wire["status"] != "open")
            _refuse(wire, "is paid in part: give it a credit note instead", when=bool(wire["amount_paid"]))
            await self._note(native, {_VOIDED: key, _REASON: reason[:500]}, f"{key}-mark")
            wire = await self._moved(native, "void", {}, key, _VOIDED)
        return Written(await then("the invoice was voided", self._invoices.read_again(wire)), replayed=done)

    # -------------------------------------------------------------------------------------------------------- credits

    async def preview_credit(self, native: str, credit: CreditDraft) -> CreditNote:
        return await self._previewed(await self._creditable(native, credit), credit)

    async def credit_invoice(self, native: str, version: str, credit: CreditDraft, *, key: str) -> Written[CreditNote]:
        """The customer is not e-mailed. What the lines come to is computed by Stripe, and must be the amount."""

        async def write() -> Written[Wire]:
            invoice = await self._creditable(native, credit)
            _same(invoice, version)
            await self._previewed(invoice, credit)
            form = {**drafts.credit(native, credit, _due(invoice)), **marked("metadata", {drafts.KEY: key})}
            return await self._write("credit_notes.create", "/v1/credit_notes", form, key, about=_touched(invoice))

        async def look(_since: datetime) -> Wire | None:
            return _with_key(await every(self._http, "credit_notes.list", {"invoice": native}), drafts.KEY, key)

        made = await made_once(write, look)
        due = _due(await then("the credit note was issued", self._invoices.wire(native)))
        return Written(into.credit_note(made.value, due), made.replayed)

    async def _creditable(self, native: str, credit: CreditDraft) -> Wire:
        wire = await self._invoices.wire(native)
        _refuse(wire, f"is {wire['status']}: it cannot be credited", when=wire["status"] in ("draft", "void"))
        if credit.amount.currency != str(wire["currency"]).upper():
            raise InvalidInput(STRIPE.title, f"the invoice is in {str(wire['currency']).upper()}")
        return wire

    async def _previewed(self, invoice: Wire, credit: CreditDraft) -> CreditNote:
        """
        Raises:
            InvalidInput: the lines come to something else.
        """
        wire = await self._http.read(
            "credit_notes.preview",
            "/v1/credit_notes/preview",
            params=drafts.credit(str(invoice["id"]), credit, _due(invoice)),
            into=sound("credit_note"),
        )
        due = _due(invoice)
        note = into.credit_note({**wire, "id": None}, due - min(due, credit.amount, key=lambda money: money.amount))
        if note.total != credit.amount:
            raise InvalidInput(STRIPE.title, f"the lines come to {note.total} with their tax, not to {credit.amount}")
        return note

    # ---------------------------------------------------------------------------------------------- one request each

    async def _moved(self, native: str, step: str, form: Mapping[str, str], key: str, mark: str) -> Wire:
        """A step that an invoice takes once. Whether a lost answer was one of ours, its status and our mark say."""
        before = "draft" if step == "finalize" else "open"

        async def write() -> Written[Wire]:
            return await self._write(f"invoices.{step}", path_of("invoice", native, step), form, key, about=_at(native))

        async def look(_since: datetime) -> Wire | None:
            wire = await self._invoices.wire(native)
            return wire if wire["status"] != before and metadata(wire, mark) == key else None

        return (await made_once(write, look)).value

    async def _note(self, native: str, marks: Mapping[str, str], key: str) -> Wire:
        """Says the same twice without harm."""
        noted = await self._http.write(
            "invoices.update",
            path_of("invoice", native),
            form=marked("metadata", marks),
            into=sound("invoice"),
            key=key,
            twice="harmless",
            touches=_at(native),
        )
        return noted.value

    async def _write(
        self, operation: str, at: str, form: Mapping[str, str], key: str, *, about: tuple[str, ...] = ("invoices",)
    ) -> Written[Wire]:
        kind = _MADE[operation.partition(".")[0]]
        return await self._http.write(
            operation, at, form=form, into=sound(kind), key=key, twice="looked up", touches=about
        )


_MADE = {"invoices": "invoice", "invoiceitems": "invoiceitem", "credit_notes": "credit_note"}


def _at(native: str) -> tuple[str, ...]:
    return ("invoices", f"invoice:{native}")


def _touched(wire: Wire) -> tuple[str, ...]:
    return (*_at(str(wire["id"])), "payments", f"customer:{wire.get('customer')}")


def _due(wire: Wire) -> Money:
    return into.row(wire, into.issued_at(wire)).due


def _with_key(rows: list[Wire], mark: str, key: str) -> Wire | None:
    return next((row for row in rows if metadata(row, mark) == key), None)


def _same(wire: Wire, version: str) -> None:
    """
    Raises:
        Conflict: it is not the one that was seen.
    """
    if version and version != into.version(wire):
        raise Conflict(STRIPE.title, f"the invoice {_name(wire)} was changed since", hint="Read it again")


def _refuse(wire: Wire, why: str, *, when: bool) -> None:
    """
    Raises:
        Conflict: `when` it is so.
    """
    if when:
        raise Conflict(STRIPE.title, f"the invoice {_name(wire)} {why}")


def _name(wire: Wire) -> str:
    return str(wire.get("number") or wire["id"])
