"""HubSpot's API in our words: people, what happened with them, what they wish to be sent, and notes about them.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/contacts/guide and the OpenAPI files at
https://github.com/HubSpot/HubSpot-public-api-spec-collection. The CRM is asked in its version of 2026-09; owners and
associations in that of 2026-03, consent in v4.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from backoffice_customer.backends.hubspot.access import CONSENT, HUBSPOT, OBJECTS
from backoffice_customer.backends.hubspot.effects import then
from backoffice_customer.backends.hubspot.merging import merged
from backoffice_customer.backends.hubspot.records import Records, among, condition, is_id, millis
from backoffice_customer.backends.hubspot.translation import HAPPENINGS, Happening, Owners
from backoffice_customer.models import Contact, Event, EventKind, Noted, PreferenceChanges, PreferenceField
from backoffice_customer.ports import NoteDraft, Span
from backoffice_shared.errors import InvalidInput, NotFound
from backoffice_shared.http.client import BackendClient, Written, path
from backoffice_shared.paging import Chunk


class HubSpot:
    """People, their history, their consent, and the notes about them."""

    kind = "contact"
    event_kinds: frozenset[EventKind] = frozenset(HAPPENINGS)
    preference_fields: frozenset[PreferenceField] = frozenset({"language", "email_marketing"})

    def __init__(self, http: BackendClient) -> None:
        self._http = http
        self._records = Records(http)

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        return await self._records.contacts(natives)

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        return await self._records.contacts([email.lower() for email in emails], by="email")

    async def contacts_by_number(self, number: str) -> list[Contact]:
        """Whose ticket it is. HubSpot's tickets have no other number than their id."""
        if not is_id(number):
            return []
        found = await self._records.associations("tickets", [number], "contacts", tags=(f"ticket:{number}",))
        return await self._records.contacts(list(found.values()))

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        return await self._records.search_contacts(text, limit)

    async def events(
        self, who: Sequence[Contact], kinds: frozenset[EventKind], span: Span, cursor: str | None, limit: int
    ) -> Chunk[Event]:
        mine = [contact.ref.native for contact in who if contact.ref.backend == HUBSPOT.name]
        wanted = {kind: what for kind, what in HAPPENINGS.items() if kind in kinds}
        if not mine or not wanted:
            return Chunk([])
        owners = await self._records.owners()
        feeds = {kind: partial(self._happened, what, mine, span, owners) for kind, what in wanted.items()}
        return await merged(feeds, at=lambda event: event.at, cursor=cursor, limit=limit)

    async def change_preferences(self, who: Contact, changes: PreferenceChanges, reason: str) -> Contact:
        """Consent is for the subscription type that is configured as what marketing sends, or else for all e-mail.

        Nothing is written unless all of it can be asked for.

        Raises:
            InvalidInput: the contact has no address; no subscription type is configured that could be subscribed to; or
                what is configured is none.
            NotFound: there is no such contact.
            OutcomeUnknown: also when a part was set and the rest failed.
        """
        consents = changes.email_marketing
        if consents is not None:
            self._check_consent(who, consents=consents)
        native, done = who.ref.native, ""
        await self._contact(native, fresh_for=60)
        if changes.language is not None:
            await self._http.write(
                "contacts.update",
                OBJECTS + path("contacts", native),
                method="PATCH",
                json={"properties": {"hs_language": changes.language}},
                into=_done,
                twice="harmless",
                touches=("contacts", f"contact:{native}"),
            )
            done = "the language was set"
        if consents is not None:
            await then(done, self._consent(who, consents=consents, reason=reason))
            done = "consent was set"
        found = await then(done, self._contact(native))
        # The contact's own properties follow some time after its subscriptions.
        return found if consents is None else found.model_copy(update={"email_marketing": consents})

    async def add_note(self, who: Contact, note: NoteDraft, key: str) -> Written[Noted]:  # noqa: ARG002 - it keeps none
        """Once: HubSpot knows no keys, so a note with the same text that this call may have made is taken for it."""
        body = note.body if note.related is None else f"{note.body}\n\nAbout {note.related}"
        native = who.ref.native
        written = await self._records.add_note("contacts", native, body, (f"contact:{native}",))
        made = written.value
        noted = Noted(note_id=f"{HUBSPOT.name}:note:{made.id}", url=made.url, replayed=written.replayed)
        return Written(noted, written.replayed)

    async def _happened(
        self, what: Happening, mine: Sequence[str], span: Span, owners: Owners, cursor: str | None, limit: int
    ) -> Chunk[Event]:
        filters = [among("associations.contact", mine)]
        if span.since is not None:
            filters.append(condition(what.at, "GTE", millis(span.since)))
        if span.until is not None:
            filters.append(condition(what.at, "LTE", millis(span.until)))
        return await self._records.newest(
            what.records,
            cursor,
            limit,
            filters=filters,
            properties=what.properties,
            by=what.at,
            each=lambda wire: what.event(wire, owners),
            fresh_for=30,
            tags=(what.records, *(f"contact:{native}" for native in mine)),
        )

    async def _contact(self, native: str, *, fresh_for: float = 0) -> Contact:
        for found in await self._records.contacts([native], fresh_for=fresh_for):
            return found
        raise NotFound(HUBSPOT.title, f"there is no contact {native[:40]!r}")

    def _check_consent(self, who: Contact, *, consents: bool) -> None:
        subscription = self._http.options["marketing_subscription"]
        if not who.emails:
            raise InvalidInput(HUBSPOT.title, "this contact has no e-mail address that consent could be for")
        if subscription and not is_id(subscription):
            raise InvalidInput(
                HUBSPOT.title,
                f"{subscription[:40]!r}, which is configured as what marketing sends, is no id of a subscription type",
                hint=_SET_SUBSCRIPTION,
            )
        if consents and not subscription:
            raise InvalidInput(
                HUBSPOT.title,
                "which subscription type marketing sends is not configured, so nobody can be subscribed to it",
                hint=_SET_SUBSCRIPTION,
            )

    async def _consent(self, who: Contact, *, consents: bool, reason: str) -> None:
        subscription = self._http.options["marketing_subscription"]
        statuses = CONSENT + path("statuses", who.emails[0])
        await self._http.write(
            "consent.set",
            statuses if subscription else f"{statuses}/unsubscribe-all",
            params=None if subscription else {"channel": "EMAIL"},
            json=_subscription(int(subscription), reason, consents=consents) if subscription else None,
            into=_done,
            twice="harmless",
            touches=("contacts", f"contact:{who.ref.native}"),
        )


_SET_SUBSCRIPTION = "Set BACKOFFICE_HUBSPOT_MARKETING_SUBSCRIPTION to its id"


def _subscription(subscription: int, reason: str, *, consents: bool) -> dict[str, Any]:
    return {
        "subscriptionId": subscription,
        "statusState": "SUBSCRIBED" if consents else "UNSUBSCRIBED",
        "channel": "EMAIL",
        "legalBasis": "CONSENT_WITH_NOTICE",
        "legalBasisExplanation": reason,
    }


def _done(_wire: Any) -> None:
    return None
