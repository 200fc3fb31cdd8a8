"""HubSpot's API in our words. Contacts and notes, by the date-versioned CRM API.

Source: https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide and its OpenAPI files of 2026-09.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import unescape
from html.parser import HTMLParser
from typing import Any

import httpx

from backoffice_customer.models import Contact, Event, EventKind, Ref
from backoffice_customer.ports import Span
from backoffice_shared.backend import Allowance, Backend, Failure, Rate, seconds, wire_of
from backoffice_shared.http.client import BackendClient
from backoffice_shared.paging import Chunk

VERSION = "2026-09"
_OBJECTS = f"/crm/objects/{VERSION}"
_SEARCH_CEILING = 10_000  # results beyond this cannot be paged to

# What we read of a contact: HubSpot's own properties, and the two that an operator may add.
_CONTACT = [
    "firstname",
    "lastname",
    "email",
    "phone",
    "mobilephone",
    "company",
    "hubspot_owner_id",
    "lifecyclestage",
    "hs_language",
    "country",
    "hs_email_optout",
    "customer_tier",
]
_NOTE = ["hs_note_body", "hs_timestamp", "hubspot_owner_id"]


def _failure(response: httpx.Response) -> Failure | None:
    """`{"status":"error","message":…,"category":…,"errors":[{"message":…}]}`; 429 names the policy that was hit."""
    if response.status_code < 400:
        return None
    wire = wire_of(response)
    sentence = str(wire.get("message") or f"answered {response.status_code}")[:300]
    if response.status_code == 429 and wire.get("policyName") == "DAILY":
        return Failure(429, sentence, retry_after=3600.0)
    return Failure(response.status_code, sentence, seconds(response.headers.get("retry-after")))


def _allowance(response: httpx.Response) -> Allowance | None:
    """`X-HubSpot-RateLimit-Remaining` of a window of `…-Interval-Milliseconds`."""
    remaining = seconds(response.headers.get("x-hubspot-ratelimit-remaining"))
    interval = seconds(response.headers.get("x-hubspot-ratelimit-interval-milliseconds"))
    return None if remaining is None or interval is None else Allowance(remaining, interval / 1000)


HUBSPOT = Backend(
    name="hubspot",
    title="HubSpot",
    base_url="https://api.hubapi.com",
    credentials=(frozenset({"access_token"}),),
    failure=_failure,
    allowance=_allowance,
    rate=Rate(requests=100, seconds=10, burst=30),  # of the smallest plan
)


class HubSpot:
    """People, and the notes about them."""

    kind = "contact"
    event_kinds: frozenset[EventKind] = frozenset({"note"})

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        return await self._read_contacts(natives, None)

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        return await self._read_contacts([email.lower() for email in emails], "email")

    async def contacts_by_number(self, number: str) -> list[Contact]:  # noqa: ARG002 - orders and tickets are elsewhere
        return []

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        return await self._http.read(
            "contacts.search",
            f"{_OBJECTS}/contacts/search",
            method="POST",
            json=_search(properties=_CONTACT, query=text[:3000], limit=limit),
            into=_contacts,
            fresh_for=60,
            tags=("contacts",),
        )

    async def events(
        self,
        who: Sequence[Contact],
        kinds: frozenset[EventKind],  # noqa: ARG002 - there is only one
        span: Span,
        cursor: str | None,
        limit: int,
    ) -> Chunk[Event]:
        mine = [contact.ref.native for contact in who if contact.ref.backend == HUBSPOT.name]
        if not mine:
            return Chunk([])
        filters: list[dict[str, Any]] = [{"propertyName": "associations.contact", "operator": "IN", "values": mine}]
        if span.since is not None:
            filters.append({"propertyName": "hs_timestamp", "operator": "GTE", "value": _millis(span.since)})
        if span.until is not None:
            filters.append({"propertyName": "hs_timestamp", "operator": "LTE", "value": _millis(span.until)})
        return await self._http.read(
            "notes.search",
            f"{_OBJECTS}/notes/search",
            method="POST",
            json=_search(
                properties=_NOTE,
                filterGroups=[{"filters": filters}],
                sorts=[{"propertyName": "hs_timestamp", "direction": "DESCENDING"}],
                after=cursor or "0",
                limit=min(limit, _SEARCH_CEILING - int(cursor or 0)),
            ),
            into=_notes,
            fresh_for=30,
            tags=(f"contact:{native}" for native in mine),
        )

    async def _read_contacts(self, ids: Sequence[str], id_property: str | None) -> list[Contact]:
        if not ids:
            return []
        inputs = [{"id": native} for native in dict.fromkeys(ids)]
        by = {} if id_property is None else {"idProperty": id_property}
        return await self._http.read(
            "contacts.read",
            f"{_OBJECTS}/contacts/batch/read",
            method="POST",
            json={"inputs": inputs, "properties": _CONTACT, "propertiesWithHistory": [], **by},
            into=_contacts,
            fresh_for=60,
            tags=("contacts",),
        )


# ------------------------------------------------------------------------------------------ wire to our words


def _search(**given: Any) -> dict[str, Any]:
    """A search request: HubSpot wants every field named. Its `sorts` are objects, whatever its OpenAPI files say."""
    return {"filterGroups": [], "sorts": [], "after": "0", **given}


def _contacts(wire: Any) -> list[Contact]:
    return [_contact(row) for row in wire["results"]]


def _contact(wire: Any) -> Contact:
    properties: dict[str, str | None] = wire["properties"]
    name = " ".join(part for part in (properties.get("firstname"), properties.get("lastname")) if part)
    email = properties.get("email")
    return Contact(
        ref=Ref(HUBSPOT.name, "contact", wire["id"]),
        name=name or email or wire["id"],
        emails=[email.lower()] if email else [],
        phones=[phone for phone in (properties.get("phone"), properties.get("mobilephone")) if phone],
        company=properties.get("company") or None,
        owner=properties.get("hubspot_owner_id") or None,
        tier=properties.get("customer_tier") or None,
        lifecycle=properties.get("lifecyclestage") or None,
        language=properties.get("hs_language") or None,
        country=properties.get("country") or None,
        email_marketing=_CONSENT.get(properties.get("hs_email_optout") or ""),
        url=f"https://app.hubspot.com/contacts/{wire['id']}",
        updated_at=wire["updatedAt"],
    )


_CONSENT = {"true": False, "false": True}  # by `hs_email_optout`; empty: nobody asked


def _notes(wire: Any) -> Chunk[Event]:
    after: str | None = wire.get("paging", {}).get("next", {}).get("after")
    reachable = after is not None and int(after) < _SEARCH_CEILING
    return Chunk([_note(row) for row in wire["results"]], after if reachable else None, wire["total"])


def _note(wire: Any) -> Event:
    properties = wire["properties"]
    body = _text_of(properties.get("hs_note_body") or "")
    return Event(
        id=f"{HUBSPOT.name}:note:{wire['id']}",
        kind="note",
        at=properties["hs_timestamp"],
        title="Note",
        summary=body[:240],
        actor=properties.get("hubspot_owner_id") or None,
        direction="internal",
        system=HUBSPOT.name,
    )


def _millis(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


class _Text(HTMLParser):
    """The text of rich text."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "div", "li", "br"):
            self.parts.append(" ")


def _text_of(html: str) -> str:
    """The beginning of a note as text: more than that nobody is shown."""
    beginning = html[:4_000]
    if "</" not in beginning and "/>" not in beginning:
        return " ".join(unescape(beginning).split())
    parser = _Text()
    try:
        parser.feed(beginning)
        parser.close()
    except AssertionError:  # how the parser says that markup makes no sense
        return " ".join(beginning.split())
    return " ".join("".join(parser.parts).split())
