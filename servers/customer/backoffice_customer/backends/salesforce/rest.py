"""How Salesforce is asked: by a query, by several at once, by full-text search; and how changes are sent together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from backoffice_customer.backends.salesforce.composite import COMPOSITE, DATA, Part, bodies, composite
from backoffice_customer.backends.salesforce.soql import words
from backoffice_customer.backends.salesforce.timeline import Source, merged, places, size
from backoffice_shared.http.client import BackendClient, T, Twice, Written
from backoffice_shared.paging import Chunk, ItemT

MOST_FOUND = 200
"""Records that a full-text search gives."""


class Rest:
    def __init__(self, http: BackendClient) -> None:
        self.http = http
        domain = http.options.get("domain", "")
        self.site = http.backend.base_url.format(domain=domain)

    def url(self, native: str) -> str:
        """Where people see the record."""
        return f"{self.site}/{native}"

    async def query(
        self, operation: str, soql: str, into: Callable[[Any], T], *, fresh_for: float = 0.0, tags: Iterable[str] = ()
    ) -> T:
        return await self.http.read(
            operation, f"{DATA}/query", params={"q": soql}, into=into, fresh_for=fresh_for, tags=tags
        )

    async def ask(
        self,
        operation: str,
        parts: Sequence[Part],
        into: Callable[[dict[str, Any]], T],
        *,
        fresh_for: float = 0.0,
        tags: Iterable[str] = (),
    ) -> T:
        """At most five queries in one round trip; `into` takes their answers by name."""
        return await self.http.read(
            operation,
            COMPOSITE,
            method="POST",
            json=composite(parts, all_or_none=False),
            into=lambda wire: into(bodies(wire)),
            fresh_for=fresh_for,
            tags=tags,
        )

    async def carry_out(
        self,
        operation: str,
        parts: Sequence[Part],
        into: Callable[[dict[str, Any]], T],
        *,
        twice: Twice,
        touches: Iterable[str],
    ) -> Written[T]:
        """All of these changes, or none of them."""
        return await self.http.write(
            operation,
            COMPOSITE,
            json=composite(parts, all_or_none=True),
            into=lambda wire: into(bodies(wire)),
            twice=twice,
            touches=touches,
        )

    async def page(
        self,
        operation: str,
        sources: Sequence[Source],
        cursor: str | None,
        limit: int,
        each: Callable[[str, Any], ItemT | None],
        *,
        tags: Iterable[str],
    ) -> Chunk[ItemT]:
        """One page of several kinds of records, newest first. `each` is given the table and the row."""
        start, rows = places(cursor, sources), size(limit)
        parts = [source.part(start[source.table], rows) for source in sources if source.table in start]
        if not parts:
            return Chunk([])
        return await self.ask(
            operation, parts, lambda answers: merged(answers, sources, start, rows, each), fresh_for=15, tags=tags
        )

    async def found(self, table: str, text: str, limit: int) -> list[str]:
        """The ids of what full-text search finds, best first."""
        if not (wanted := words(text)):
            return []
        return await self.http.read(
            "search.find",
            f"{DATA}/search",
            params={"q": f"FIND {{{wanted}}} IN ALL FIELDS RETURNING {table}(Id LIMIT {min(limit, MOST_FOUND)})"},
            into=_ids,
            fresh_for=15,
            tags=("contacts", "tickets"),
        )


def _ids(wire: Any) -> list[str]:
    return [row["Id"] for row in wire["searchRecords"]]
