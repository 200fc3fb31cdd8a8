"""Who is billed, what they owe, and customers' invoices, to read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import date

from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.access import API
from backoffice_billing.backends.xero.api import FRESH, SOME, Api, Wire
from backoffice_billing.backends.xero.notes import notes_for, notes_of
from backoffice_billing.backends.xero.where import every, id_is, is_id, is_plain, on, word
from backoffice_billing.models import Account, AccountSection, Invoice, InvoiceRow, InvoiceSection
from backoffice_billing.ports import InvoiceQuery
from backoffice_shared.http.client import path
from backoffice_shared.money import Money
from backoffice_shared.paging import Chunk
from backoffice_shared.sources import at_once

MOST = 20  # of what a port is asked for at once
AT_ONCE = 4  # Xero takes five requests at a time
_WITH_LINES: frozenset[InvoiceSection] = frozenset({"lines"})
_CREDITS = ("CreditNotes", "Overpayments", "Prepayments")
_CREDIT_TYPES = {"ACCRECCREDIT", "RECEIVE-OVERPAYMENT", "RECEIVE-PREPAYMENT", "AROVERPAYMENT", "ARPREPAYMENT"}
ANY_STATUS = "DRAFT,SUBMITTED,AUTHORISED,PAID,VOIDED"


class Reading:
    """`today` tells what is overdue."""

    def __init__(self, api: Api, today: Callable[[], date]) -> None:
        self._api = api
        self._today = today

    # ------------------------------------------------------------------------------------------------------ accounts

    async def accounts(self, natives: Sequence[str], sections: frozenset[AccountSection]) -> list[Account]:
        ids = [native for native in dict.fromkeys(natives) if is_id(native)][:MOST]
        if not ids:
            return []
        contacts = await self._api.every("Contacts", {"IDs": ",".join(ids), "includeArchived": True})
        return await self._with_sections(contacts, sections)

    async def accounts_by_email(self, email: str, sections: frozenset[AccountSection]) -> list[Account]:
        """Xero looks for text in names and addresses, whatever the case; who only has a similar address is left out."""
        wanted = email.strip().casefold()
        if not wanted:
            return []
        found = await self._api.every("Contacts", {"searchTerm": email.strip(), "includeArchived": True})
        exact = [contact for contact in found if str(contact.get("EmailAddress") or "").casefold() == wanted]
        return await self._with_sections(exact[:MOST], sections)

    async def _with_sections(self, contacts: Sequence[Wire], sections: frozenset[AccountSection]) -> list[Account]:
        """A contact's own balance in Xero adds up different currencies, so what is owed is added up from the
        invoices.
        """
        ids = [contact["ContactID"] for contact in contacts]
        owed = await self._owed(ids) if ids and sections & {"balance", "overdue"} else {}
        credit = await self._credit(ids) if ids and "credit" in sections else {}
        return [
            into.account(contact, sections, owed.get(native, []), credit.get(native, []), self._today())
            for native, contact in zip(ids, contacts, strict=True)
        ]

    async def _owed(self, contacts: Sequence[str]) -> dict[str, list[Wire]]:
        found = await self._api.every(
            "Invoices",
            {
                "ContactIDs": ",".join(contacts),
                "Statuses": "AUTHORISED",
                "where": word("Type", "ACCREC"),
                "summaryOnly": True,
            },
        )
        return _by_contact(found)

    async def _credit(self, contacts: Sequence[str]) -> dict[str, list[Money]]:
        """Of one contact these lists can be asked for. Of several they are gone through: an authorised credit has
        not been used up, of which an organisation has few.
        """
        conditions = [word("Status", "AUTHORISED"), *(id_is("Contact.ContactID", one) for one in contacts[:1])]
        where = every(conditions if len(contacts) == 1 else conditions[:1])
        lists = await at_once(*(self._api.every(kind, {"where": where}) for kind in _CREDITS))
        found: dict[str, list[Money]] = {}
        for entry in (entry for entries in lists for entry in entries if entry.get("Type") in _CREDIT_TYPES):
            found.setdefault(into.contact_of(entry), []).append(into.remaining_credit(entry))
        return found

    # ------------------------------------------------------------------------------------------------------ invoices

    async def search_invoices(self, query: InvoiceQuery, cursor: str | None, limit: int) -> Chunk[InvoiceRow]:
        """Amounts, and whether a number is exactly that, are sorted out here: so a page may have fewer rows than
        asked.
        """
        asked = _question(query)
        if asked is None:
            return Chunk([])
        number, size = int(cursor or 1), min(limit, SOME)
        page = await self._api.page("Invoices", asked, page=number, size=size)
        rows = [into.row(wire, query.today) for wire in page.rows if into.is_shown(wire)]
        total = None if query.number or query.min_amount is not None or query.statuses else page.total
        return Chunk([row for row in rows if _meets(row, query)], str(number + 1) if page.more else None, total)

    async def invoices(self, natives: Sequence[str], sections: frozenset[InvoiceSection]) -> list[Invoice]:
        ids = [native for native in dict.fromkeys(natives) if is_id(native)][:MOST]
        if not ids:
            return []
        found = await self._api.every("Invoices", {"IDs": ",".join(ids), "unitdp": 4})
        shown = [wire for wire in found if into.is_shown(wire)]
        links = await self._links(shown) if "links" in sections else {}
        notes = await notes_for(self._api, shown, fresh_for=FRESH)
        return [
            into.invoice(wire, self._today(), sections, notes.get(native, []), links.get(native))
            for wire, native in ((wire, wire["InvoiceID"]) for wire in shown)
        ]

    async def invoice(self, native: str) -> Invoice:
        wire = await self._api.invoice(native)
        return into.invoice(wire, self._today(), _WITH_LINES, await notes_of(self._api, wire))

    async def _links(self, invoices: Sequence[Wire]) -> dict[str, str]:
        """Where customers see their invoice: only what was approved has such a page."""
        issued = [wire["InvoiceID"] for wire in invoices if into.native_status(wire) in ("open", "paid")]
        turns = asyncio.Semaphore(AT_ONCE)

        async def link(native: str) -> str:
            async with turns:
                return await self._api.http.read(
                    "invoices.link",
                    API + path("Invoices", native, "OnlineInvoice"),
                    into=lambda wire: str(wire["OnlineInvoices"][0]["OnlineInvoiceUrl"]),
                    fresh_for=3600,
                    tags=("invoices",),
                )

        return dict(zip(issued, await at_once(*map(link, issued)), strict=True))


def _by_contact(found: Sequence[Wire]) -> dict[str, list[Wire]]:
    sorted_: dict[str, list[Wire]] = {}
    for wire in found:
        sorted_.setdefault(into.contact_of(wire), []).append(wire)
    return sorted_


_NATIVE = {
    "draft": ("DRAFT", "SUBMITTED"),
    "open": ("AUTHORISED",),
    "overdue": ("AUTHORISED",),
    "paid": ("PAID",),
    "void": ("VOIDED",),
    "uncollectible": (),
}


def _question(query: InvoiceQuery) -> dict[str, str | int | bool | list[str]] | None:
    """What Xero is asked; None when nothing can meet it."""
    statuses = dict.fromkeys(native for status in query.statuses for native in _NATIVE[status])
    if query.statuses and not statuses:
        return None
    asked: dict[str, str | int | bool | list[str]] = {
        "Statuses": ",".join(statuses) or ANY_STATUS,
        "order": "Date DESC",
        "summaryOnly": True,
    }
    if query.customers is not None:
        ids = [native for native in query.customers if is_id(native)]
        if not ids:
            return None
        asked["ContactIDs"] = ",".join(ids)
    if query.number is not None:
        asked["InvoiceNumbers" if is_plain(query.number) else "searchTerm"] = query.number
    conditions = [word("Type", "ACCREC")]
    if query.issued_since is not None:
        conditions.append(on("Date", ">=", query.issued_since))
    if query.issued_until is not None:
        conditions.append(on("Date", "<=", query.issued_until))
    bounds = [day for day in (query.due_before, query.today if query.statuses == ("overdue",) else None) if day]
    if bounds:
        conditions.append(on("DueDate", "<", min(bounds)))
    return {**asked, "where": every(conditions)}


def _meets(row: InvoiceRow, query: InvoiceQuery) -> bool:
    """What Xero was not asked, or understands more loosely."""
    if query.statuses and row.status not in query.statuses:
        return False
    if query.number is not None and (row.number or "").casefold() != query.number.strip().casefold():
        return False
    if query.due_before is not None and (row.due_at is None or row.due_at >= query.due_before):
        return False
    if query.currency is not None and row.total.currency != query.currency:
        return False
    return query.min_amount is None or row.total.amount >= query.min_amount
