"""What both halves of the adapter ask of the CRM: records by id or search, who they belong to, and notes on them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from backoffice_customer.backends.hubspot.access import ASSOCIATED, ASSOCIATIONS, HUBSPOT, OBJECTS, OWNERS
from backoffice_customer.backends.hubspot.effects import then
from backoffice_customer.backends.hubspot.merging import no_cursor
from backoffice_customer.backends.hubspot.richtext import html_of, text_of
from backoffice_customer.backends.hubspot.translation import Owners, contact, contact_properties, owners
from backoffice_customer.models import Contact
from backoffice_shared.http.client import BackendClient, Written, path
from backoffice_shared.http.once import once
from backoffice_shared.paging import Chunk, ItemT

T = TypeVar("T")

SEARCH_CEILING = 10_000  # results beyond this cannot be paged to
_LARGEST_BATCH = 100

# How HubSpot numbers the kinds of associations.
# https://developers.hubspot.com/docs/api-reference/latest/crm/associations/overview
TICKET_TO_CONTACT = 16
_NOTE_TO = {"contacts": 202, "tickets": 228}


@dataclass(frozen=True, slots=True)
class Made:
    """A record that was written: its id, and where people see it."""

    id: str
    url: str | None


class Records:
    def __init__(self, http: BackendClient) -> None:
        self._http = http
        self._consent = contact_properties(http.options["marketing_subscription"])

    async def owners(self) -> Owners:
        """Everybody to whom records can be assigned."""
        found, after = await self._owners(None)
        while after is not None:
            more, after = await self._owners(after)
            found = found.with_more(more)
        return found

    async def _owners(self, after: str | None) -> tuple[Owners, str | None]:
        return await self._http.read(
            "owners.list",
            OWNERS,
            params={"limit": 500, **({} if after is None else {"after": after})},
            into=owners,
            fresh_for=3600,
            tags=("owners",),
        )

    async def contacts(self, ids: Sequence[str], *, by: str | None = None, fresh_for: float = 60) -> list[Contact]:
        """Those that exist. `by` is the property that the ids are of, None for HubSpot's own."""
        if not ids:
            return []
        who = await self.owners()
        return await self._http.read(
            "contacts.read",
            f"{OBJECTS}/contacts/batch/read",
            method="POST",
            json=_batch(ids, self._consent.properties) | ({} if by is None else {"idProperty": by}),
            into=_each(partial(contact, owners=who, consent=self._consent)),
            fresh_for=fresh_for,
            tags=("contacts",),
        )

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        who = await self.owners()
        return await self._http.read(
            "contacts.search",
            f"{OBJECTS}/contacts/search",
            method="POST",
            json=_search(properties=self._consent.properties, query=text[:3000], limit=limit),
            into=_each(partial(contact, owners=who, consent=self._consent)),
            fresh_for=60,
            tags=("contacts",),
        )

    async def newest(
        self,
        kind: str,
        cursor: str | None,
        limit: int,
        *,
        filters: Iterable[dict[str, Any]],
        properties: Sequence[str],
        by: str,
        each: Callable[[Any], ItemT],
        fresh_for: float,
        tags: Iterable[str],
        query: str = "",
    ) -> Chunk[ItemT]:
        """One page of a search, the greatest `by` first. The cursor is how many rows come before it.

        Raises:
            InvalidInput: the cursor is none that was given out.
        """
        given = {"query": query} if query else {}
        start = _start(cursor)
        return await self._http.read(
            f"{kind}.search",
            f"{OBJECTS}/{kind}/search",
            method="POST",
            json=_search(
                properties=list(properties),
                filterGroups=[{"filters": list(filters)}],
                sorts=[{"propertyName": by, "direction": "DESCENDING"}],
                after=str(start),
                limit=min(limit, SEARCH_CEILING - start),
                **given,
            ),
            into=partial(_page, each=each),
            fresh_for=fresh_for,
            tags=tags,
        )

    async def count(self, kind: str, filters: Iterable[dict[str, Any]]) -> int:
        return await self._http.read(
            f"{kind}.count",
            f"{OBJECTS}/{kind}/search",
            method="POST",
            json=_search(properties=["hs_object_id"], filterGroups=[{"filters": list(filters)}], limit=1),
            into=_total,
            fresh_for=15,
            tags=(kind,),
        )

    async def associated(self, kind: str, native: str, to: str) -> list[str]:
        """The ids of all that the record is associated with, as it is now: searches find new records seconds later."""
        found: list[str] = []
        after: str | None = "0"
        while after is not None:
            ids, after = await self._http.read(
                f"{kind}.{to}",
                ASSOCIATED + path(kind, native, "associations", to),
                params={"limit": 500, **({} if after == "0" else {"after": after})},
                into=_associated,
            )
            found += ids
        return found

    async def associations(self, kind: str, natives: Sequence[str], to: str, tags: Iterable[str]) -> dict[str, str]:
        """The first record that each of these is associated with. At most 100."""
        if not natives:
            return {}
        return await self._http.read(
            f"{kind}.{to}.read",
            f"{ASSOCIATIONS}/{kind}/{to}/batch/read",
            method="POST",
            json={"inputs": [{"id": native} for native in dict.fromkeys(natives)]},
            into=_first_of_each,
            fresh_for=60,
            tags=tags,
        )

    async def fresh(self, kind: str, ids: Sequence[str], properties: Sequence[str]) -> list[Any]:
        """These records as they are now."""
        found: list[Any] = []
        for start in range(0, len(ids), _LARGEST_BATCH):
            found += await self._http.read(
                f"{kind}.read",
                f"{OBJECTS}/{kind}/batch/read",
                method="POST",
                json=_batch(ids[start : start + _LARGEST_BATCH], properties),
                into=_each(lambda row: row),
            )
        return found

    async def add_note(
        self,
        kind: str,
        native: str,
        body: str,
        touches: Iterable[str],
        *,
        before: Callable[[], Awaitable[str]] | None = None,
    ) -> Written[Made]:
        """Write a note on a record, once: an earlier one with the same text, of this call, is taken for it.

        `before` comes before a new one: it may raise what speaks against it, and gives what it has changed itself, if
        anything, in words.
        """
        html = html_of(body)

        async def write() -> Written[Made]:
            done = "" if before is None else await before()
            posting = self._http.write(
                "notes.create",
                f"{OBJECTS}/notes",
                json={
                    "properties": {"hs_note_body": html, "hs_timestamp": _now()},
                    "associations": [associated_with(native, _NOTE_TO[kind])],
                },
                into=made,
                twice="looked up",
                touches=("notes", *touches),
            )
            return await then(done, posting)

        async def look(since: datetime) -> Made | None:
            wanted, ids = text_of(html), await self.associated(kind, native, "notes")
            for row in await self.fresh("notes", ids, ["hs_note_body"]):
                written = text_of(row["properties"].get("hs_note_body") or "")
                if written == wanted and datetime.fromisoformat(row["createdAt"]) >= since:
                    return made(row)
            return None

        return await once(HUBSPOT.title, write, look)


def is_id(native: str) -> bool:
    """Whether it can be the id of a record: what else is asked for, HubSpot might take for a path or a property."""
    return native.isascii() and native.isdecimal() and len(native) < 20


def associated_with(native: str, kind: int) -> dict[str, Any]:
    """One entry of a new record's `associations`."""
    return {
        "to": {"id": native},
        "types": [{"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": kind}],
    }


def condition(name: str, operator: str, value: str) -> dict[str, Any]:
    return {"propertyName": name, "operator": operator, "value": value}


def among(name: str, values: Iterable[str]) -> dict[str, Any]:
    """`values` must not be none."""
    return {"propertyName": name, "operator": "IN", "values": list(values)}


def _start(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not is_id(cursor) or int(cursor) >= SEARCH_CEILING:
        raise no_cursor()
    return int(cursor)


def millis(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _search(**given: Any) -> dict[str, Any]:
    """A search request: HubSpot wants every field named. Its `sorts` are objects, whatever its OpenAPI files say."""
    return {"filterGroups": [], "sorts": [], "after": "0", **given}


def _batch(ids: Sequence[str], properties: Sequence[str]) -> dict[str, Any]:
    inputs = [{"id": native} for native in dict.fromkeys(ids)]
    return {"inputs": inputs, "properties": list(properties), "propertiesWithHistory": []}


# ------------------------------------------------------------------------------------------ what answers hold


def _each(translate: Callable[[Any], T]) -> Callable[[Any], list[T]]:
    return lambda wire: [translate(row) for row in wire["results"]]


def _page(wire: Any, *, each: Callable[[Any], ItemT]) -> Chunk[ItemT]:
    after: str | None = wire.get("paging", {}).get("next", {}).get("after")
    reachable = after is not None and int(after) < SEARCH_CEILING
    capped = after is not None and not reachable
    return Chunk([each(row) for row in wire["results"]], after if reachable else None, wire["total"], capped=capped)


def _total(wire: Any) -> int:
    return int(wire["total"])


def _associated(wire: Any) -> tuple[list[str], str | None]:
    after: str | None = wire.get("paging", {}).get("next", {}).get("after")
    return [str(row["toObjectId"]) for row in wire["results"]], after


def _first_of_each(wire: Any) -> dict[str, str]:
    return {str(row["from"]["id"]): str(row["to"][0]["toObjectId"]) for row in wire["results"] if row["to"]}


def made(wire: Any) -> Made:
    native, url = wire["id"], wire.get("url")
    return Made(str(native), url)
