"""Which credit notes were issued for an invoice. Xero tells only of those that were applied to it: one for an invoice that
is paid stays with the contact, and is known by the number at the beginning of our Reference.
"""

from __future__ import annotations

from collections.abc import Sequence

from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.api import Api, Wire
from backoffice_billing.backends.xero.where import either, id_is


async def notes_for(api: Api, invoices: Sequence[Wire], *, fresh_for: float = 0.0) -> dict[str, list[Wire]]:
    """By the ids of these invoices, of which drafts and void ones have none."""
    issued = [wire for wire in invoices if into.native_status(wire) in ("open", "paid")]
    contacts = sorted({into.contact_of(wire) for wire in issued})
    if not contacts:
        return {}
    where = either(id_is("Contact.ContactID", contact) for contact in contacts)
    notes = await api.every("CreditNotes", {"where": where}, fresh_for=fresh_for)
    return {wire["InvoiceID"]: [note for note in notes if into.is_for(note, wire)] for wire in issued}


async def notes_of(api: Api, invoice: Wire) -> list[Wire]:
    """At this moment."""
    return (await notes_for(api, [invoice])).get(invoice["InvoiceID"], [])
