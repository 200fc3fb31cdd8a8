"""Customers' invoices are made, issued, voided and credited, each once.

Xero knows a key for six minutes. After that what it made is found by our mark in its Reference, or by what became
of the invoice. Xero compares no versions: it is done here, between reading and writing.

A memo becomes a line of words at the end, which customers see, as they see a memo elsewhere. The reason of a credit
note becomes one too; the reason of a void one a note in its history, which only the organisation sees.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from backoffice_billing.backends.xero import documents
from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.access import API, XERO
from backoffice_billing.backends.xero.amounts import day, decimal, maybe_day
from backoffice_billing.backends.xero.api import Api, Wire, first
from backoffice_billing.backends.xero.crediting import TOUCHES
from backoffice_billing.backends.xero.notes import notes_of
from backoffice_billing.backends.xero.reading import ANY_STATUS
from backoffice_billing.backends.xero.taxing import taxing
from backoffice_billing.models import Invoice, InvoiceSection
from backoffice_billing.ports import InvoiceDraft, Issued
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import BackofficeError, Conflict, NotFound, may_pass
from backoffice_shared.http.client import Written, path
from backoffice_shared.http.once import SKEW
from backoffice_shared.http.steps import or_why, then
from backoffice_shared.money import nothing, total

_LINES: frozenset[InvoiceSection] = frozenset({"lines"})


class Invoicing:
    """`today` is the day that invoices bear when they are issued."""

    def __init__(self, api: Api, today: Callable[[], date]) -> None:
        self._api = api
        self._options = api.http.options
        self._today = today

    # -------------------------------------------------------------------------------------------------------- drafts

    async def preview_invoice(self, draft: InvoiceDraft) -> Invoice:
        contact, lines = await self._drafted(draft)
        net = total((line.net for line in lines), draft.currency)
        tax = total((line.tax for line in lines), draft.currency)
        return Invoice(
            invoice_id="",
            customer_id=into.ref("contact", draft.customer),
            customer=contact.get("Name") or None,
            status="draft",
            total=net + tax,
            due=nothing(draft.currency),
            issued_at=draft.date,
            due_at=draft.date + timedelta(days=draft.due_days),
            subtotal=net,
            tax=tax,
            paid=nothing(draft.currency),
            credited=nothing(draft.currency),
            memo=draft.memo,
            po_number=draft.po_number,
            lines=[line.model for line in lines],
        )

    async def create_invoice(self, draft: InvoiceDraft, key: str) -> Written[Invoice]:
        _, lines = await self._drafted(draft)

        async def look(since: datetime) -> Wire | None:
            asked = {"ContactIDs": draft.customer, "Statuses": ANY_STATUS}
            recent = await self._api.recent("Invoices", asked, since)
            made = (wire for wire in recent if str(wire.get("Reference") or "").endswith(into.mark(key)))
            return next(made, None)

        if (since := uncertain_since()) is not None:
            if (known := await look(since - SKEW)) is not None:
                return Written(self._model(known), replayed=True)
            draft = replace(draft, date=since.date())  # as it was sent then: Xero may know the key
        wire = documents.invoice_wire(draft, lines, key)
        written = await self._api.create("Invoices", wire, key=key, look=look, touches=TOUCHES)
        return Written(self._model(written.value), written.replayed)

    async def _drafted(self, draft: InvoiceDraft) -> tuple[Wire, list[documents.Line]]:
        """The customer, who can be billed, and the lines with their tax."""
        contact = await self._api.customer(draft.customer)
        account = self._options["sales_account"]
        taxes = await taxing(self._api, contact, account, self._options["tax_type"])
        return contact, documents.drafted(draft, taxes, account)

    # ------------------------------------------------------------------------------------------------ issue and void

    async def issue_invoice(self, native: str, version: str, *, send: bool, key: str) -> Written[Issued]:
        """An invoice that was drafted here bears the day on which it is issued, and is due so many days later; one that
        people drafted keeps the days that they wrote on it.
        """
        before = await self._api.invoice(native)
        if uncertain_since() is not None and into.native_status(before) in ("open", "paid"):
            issued = Written(before, replayed=True)  # by an earlier attempt
        else:
            _check(before, version, "draft", "issued", [])
            issued = await self._set(native, self._issuing(before), key, {"AUTHORISED", "PAID"})
        invoice = self._model(issued.value)
        if not send:
            return Written(Issued(invoice), issued.replayed)
        return Written(await self._sent(issued.value, invoice, key), issued.replayed)

    async def void_invoice(self, native: str, version: str, reason: str, *, key: str) -> Written[Invoice]:
        before = await self._api.invoice(native)
        if uncertain_since() is not None and into.native_status(before) == "void":
            voided = Written(before, replayed=True)
        else:
            notes = await notes_of(self._api, before)
            _check(before, version, "open", "voided", notes)
            if decimal(before.get("AmountPaid") or 0) or into.credited(before, notes):
                raise Conflict(
                    XERO.title,
                    f"invoice {before.get('InvoiceNumber')} has a payment or a credit",
                    hint="Credit it instead",
                )
            voided = await self._set(native, {"Status": "VOIDED"}, key, {"VOIDED"})
        await then(
            XERO.title, "it was voided", self._noted(native, f"Voided: {reason} ({into.mark(key)})", f"{key}-note", key)
        )
        return Written(self._model(voided.value), voided.replayed)

    def _issuing(self, before: Wire) -> dict[str, str]:
        changes = {"Status": "AUTHORISED"}
        if not into.is_marked(before.get("Reference")):
            return changes
        since = uncertain_since()  # then it bears the day that was sent first: Xero may know the key
        today, drafted = self._today() if since is None else since.date(), day(before["Date"])
        due_at = maybe_day(before.get("DueDate")) or drafted
        return {**changes, "Date": today.isoformat(), "DueDate": (today + (due_at - drafted)).isoformat()}

    async def _set(self, native: str, changes: dict[str, str], key: str, reached: set[str]) -> Written[Wire]:
        async def look(_since: datetime) -> Wire | None:
            wire = await self._api.invoice(native)
            return wire if wire["Status"] in reached else None

        return await self._api.write(
            "invoices.update",
            path("Invoices", native),
            {"Invoices": [{"InvoiceID": native, **changes}]},
            into=partial(first, kind="Invoices"),
            key=key,
            look=look,
            method="POST",
            params={"unitdp": 4},
            touches=TOUCHES,
        )

    async def _sent(self, wire: Wire, invoice: Invoice, key: str) -> Issued:
        """E-mailed by Xero to the customer, unless it was. That it could not be sent does not make it less issued."""
        native, to = wire["InvoiceID"], ""

        async def send() -> None:
            nonlocal to
            contact = await self._api.one("Contacts", into.contact_of(wire), "customer")
            to = str(contact.get("EmailAddress") or "")
            if not to:
                raise NotFound(XERO.title, "the customer has no e-mail address")
            if not (uncertain_since() is not None and wire.get("SentToContact")):
                await self._mail(native, f"{key}-send")

        if not isinstance(error := await or_why(send()), BackofficeError):
            return Issued(invoice, sent_to=to)
        return Issued(
            invoice, not_sent=f"it was issued, and may not have been e-mailed: {error.message}", again=may_pass(error)
        )

    async def _mail(self, native: str, key: str) -> None:
        async def look(_since: datetime) -> bool | None:
            return True if (await self._api.invoice(native)).get("SentToContact") else None

        await self._api.write(
            "invoices.email",
            path("Invoices", native, "Email"),
            {},
            into=lambda _wire: True,
            key=key,
            look=look,
            method="POST",
            touches=("invoices",),
        )

    async def _noted(self, native: str, text: str, key: str, whole: str) -> None:
        """A line in the invoice's history, unless it is there: found by our mark."""
        where = path("Invoices", native, "History")

        async def look(_since: datetime) -> bool | None:
            history = await self._api.http.read("invoices.history", API + where, into=_details)
            return True if any(into.mark(whole) in details for details in history) else None

        if (since := uncertain_since()) is not None and await look(since):
            return
        await self._api.write(
            "invoices.note",
            where,
            {"HistoryRecords": [{"Details": text}]},
            into=lambda wire: bool(wire["HistoryRecords"]),
            key=key,
            look=look,
            touches=(),
        )

    def _model(self, wire: Wire) -> Invoice:
        return into.invoice(wire, self._today(), _LINES)


def _check(wire: Wire, version: str, status: str, what: str, notes: Sequence[Wire]) -> None:
    number, is_now = wire.get("InvoiceNumber"), into.native_status(wire)
    if is_now != status:
        raise Conflict(XERO.title, f"invoice {number} is {is_now}, and only an invoice that is {status} can be {what}")
    if into.version(wire, notes) != version:
        raise Conflict(XERO.title, f"invoice {number} was changed meanwhile", hint="Read it again")


def _details(wire: Any) -> list[str]:
    return [str(entry.get("Details") or "") for entry in wire["HistoryRecords"]]
