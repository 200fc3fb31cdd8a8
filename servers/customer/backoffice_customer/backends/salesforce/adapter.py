"""Salesforce's REST API in our words: contacts, what happened with them, what they wish to be sent, notes about them.

An assertion (JWT bearer) names the org's own address, `https://{domain}.my.salesforce.com`, as its audience (`aud`), and is
sent there. Older examples of Salesforce's name https://login.salesforce.com, or https://test.salesforce.com for a sandbox,
instead; the org's address tells one from the other by itself, so that there is nothing to set.

Sources:
https://help.salesforce.com/s/articleView?id=xcloud.remoteaccess_oauth_jwt_flow.htm
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/intro_rest.htm
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_customer.backends.salesforce import wire
from backoffice_customer.backends.salesforce.composite import DATA
from backoffice_customer.backends.salesforce.refusals import allowance, failure
from backoffice_customer.backends.salesforce.rest import MOST_FOUND, Rest
from backoffice_customer.backends.salesforce.soql import in_order, is_id, moment, select, texts
from backoffice_customer.models import Contact, Event, EventKind, Noted, PreferenceChanges, PreferenceField
from backoffice_customer.ports import NoteDraft, Span
from backoffice_shared.backend import Backend, Rate, TokenEndpoint
from backoffice_shared.errors import NotFound
from backoffice_shared.http.client import BackendClient, Written, path
from backoffice_shared.http.once import once
from backoffice_shared.paging import Chunk

_EMAILS_AT_ONCE = 25  # a query is a URL, which may have 16,384 bytes

SALESFORCE = Backend(
    name=wire.SYSTEM,
    title=wire.TITLE,
    base_url="https://{domain}.my.salesforce.com",
    options=("domain",),
    credentials=(
        frozenset({"client_id", "client_secret"}),
        frozenset({"client_id", "username", "private_key"}),
        frozenset({"access_token"}),
    ),
    failure=failure,
    allowance=allowance,
    token_endpoint=TokenEndpoint("/services/oauth2/token"),
    rate=Rate(requests=100, seconds=10, burst=20),  # ours: Salesforce counts the requests of a day
)


class Salesforce:
    """Contacts and their activities."""

    kind = "contact"
    event_kinds: frozenset[EventKind] = frozenset({"call", "email", "meeting", "note", "ticket"})
    preference_fields: frozenset[PreferenceField] = frozenset({"email_marketing"})

    def __init__(self, http: BackendClient) -> None:
        self._http = http
        self._rest = Rest(http)

    # ------------------------------------------------------------------------------------------------------- people

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        ids = [native for native in dict.fromkeys(natives) if is_id(native, wire.CONTACT)]
        return await self._contacts(f"Id IN {texts(ids)}") if ids else []

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        wanted = list(dict.fromkeys(email.lower() for email in emails if email))
        pieces = [wanted[n : n + _EMAILS_AT_ONCE] for n in range(0, len(wanted), _EMAILS_AT_ONCE)]
        found = await asyncio.gather(*(self._contacts(f"Email IN {texts(piece)}") for piece in pieces))
        return [contact for piece in found for contact in piece]

    async def contacts_by_number(self, number: str) -> list[Contact]:
        """Cases are numbered with eight digits at least, which nobody writes out."""
        if not (number.isascii() and number.isdecimal() and len(number) <= 30):
            return []
        numbers = texts(dict.fromkeys((number, number.zfill(8))))
        return await self._contacts(f"Id IN ({select('ContactId', 'Case', f'CaseNumber IN {numbers}')})")

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        if digits := _telephone(text):
            return await self._contacts_by_phone(digits, limit)
        ids = await self._rest.found("Contact", text, limit)
        ranks = {native: rank for rank, native in enumerate(ids)}
        return sorted(await self.contacts(ids), key=lambda contact: ranks[contact.ref.native])

    async def _contacts_by_phone(self, digits: str, limit: int) -> list[Contact]:
        """People write numbers as they like; the pattern also finds digits in that order with others between them."""
        pattern = in_order(digits)
        found = await self._contacts(f"(Phone LIKE {pattern} OR MobilePhone LIKE {pattern})")
        return [contact for contact in found if any(digits in _digits(phone) for phone in contact.phones)][:limit]

    async def _contacts(self, where: str) -> list[Contact]:
        return await self._rest.query(
            "contacts.query",
            select(wire.CONTACT_FIELDS, "Contact", where, order="Id", limit=MOST_FOUND),
            partial(wire.contacts, url=self._rest.url),
            fresh_for=60,
            tags=("contacts",),
        )

    # ------------------------------------------------------------------------------------------------------ history

    async def events(
        self, who: Sequence[Contact], kinds: frozenset[EventKind], span: Span, cursor: str | None, limit: int
    ) -> Chunk[Event]:
        if not (mine := wire.own_ids(who)):
            return Chunk([])
        return await self._rest.page(
            "history.query",
            wire.event_sources(mine, kinds, span),
            cursor,
            limit,
            partial(wire.event, url=self._rest.url),
            tags=("tickets", *(f"contact:{native}" for native in mine)),
        )

    # -------------------------------------------------------------------------------------------- consent and notes

    async def change_preferences(
        self,
        who: Contact,
        changes: PreferenceChanges,
        reason: str,  # noqa: ARG002 - a contact has no field for it
    ) -> Contact:
        native = who.ref.native
        if changes.email_marketing is not None:
            await self._http.write(
                "contacts.update",
                f"{DATA}/sobjects/Contact{path(native)}",
                method="PATCH",
                json={"HasOptedOutOfEmail": not changes.email_marketing},
                into=_nothing,
                twice="harmless",
                touches=("contacts", f"contact:{native}"),
            )
        found = await self.contacts([native])
        if not found:
            raise NotFound(wire.TITLE, f"there is no contact {native[:40]!r}")
        return found[0]

    async def add_note(self, who: Contact, note: NoteDraft, key: str) -> Written[Noted]:
        fields = wire.note(who, note.body, note.related)

        async def write() -> Written[Noted]:
            return await self._http.write(
                "notes.create",
                f"{DATA}/sobjects/Task",
                json=fields,
                into=lambda answer: self._noted(wire.new_id(answer), key),
                twice="looked up",
                touches=(f"contact:{who.ref.native}",),
            )

        async def look(since: datetime) -> Noted | None:
            soql = wire.notes_since(who, moment(since))
            native = await self._rest.query("notes.query", soql, partial(wire.found_note, fields=fields))
            return None if native is None else self._noted(native, key)

        return await once(wire.TITLE, write, look)

    def _noted(self, native: str, key: str) -> Noted:
        url = self._rest.url(native)
        return Noted(note_id=f"{wire.SYSTEM}:note:{native}", url=url, replayed=False, idempotency_key=key)


def _nothing(wire: Any) -> None:
    """An update is answered with no content."""
    if wire is not None:
        raise ValueError("an update has no answer")


def _telephone(text: str) -> str:
    """The digits of what looks like a telephone number, else nothing."""
    return _digits(text) if re.fullmatch(r"\s*\+?[\d\s()./-]{6,30}", text) and len(_digits(text)) > 5 else ""


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")
