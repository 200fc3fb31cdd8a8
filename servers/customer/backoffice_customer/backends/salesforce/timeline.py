"""One list made of several kinds of records, newest first, and a cursor with the place in each of them.

A place is a time and how many of the records of just that time were already given: it stays right however many come
later, and reaches beyond the 2,000 rows at which `OFFSET` ends. A cursor comes back from outside: what it says becomes
part of a query only where it is a time and a number.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from backoffice_customer.backends.salesforce.composite import Part, query
from backoffice_customer.backends.salesforce.soql import select
from backoffice_shared.errors import InvalidInput
from backoffice_shared.paging import Chunk, ItemT

Place = tuple[str | None, int]

_PLACES = TypeAdapter(dict[str, Place], config=ConfigDict(strict=True))
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_MOST_GIVEN = 2_000  # where `OFFSET` ends
_LONGEST_CURSOR = 1_000
_START: Place = (None, 0)
_LARGEST_PAGE = 200


@dataclass(frozen=True, slots=True)
class Source:
    """Records of one table that meet `where`, by the time in their field `at`. `archived`: also those put aside."""

    table: str
    fields: str
    at: str
    where: str
    archived: bool = False

    def part(self, place: Place, limit: int) -> Part:
        """One row more than is wanted shows whether there are more."""
        before, given = place
        where = self.where if before is None else f"{self.where} AND {self.at} <= {before}"
        order = f"{self.at} DESC, Id DESC"
        soql = select(self.fields, self.table, where, order=order, limit=limit + 1, offset=given)
        return query(self.table, soql, archived=self.archived)


def size(limit: int) -> int:
    return max(1, min(limit, _LARGEST_PAGE))


def places(cursor: str | None, sources: Sequence[Source]) -> dict[str, Place]:
    """Where to go on in each source that has more.

    Raises:
        InvalidInput: the cursor is not one that `merged` gave for some of these sources.
    """
    known = {source.table for source in sources}
    if cursor is None:
        return dict.fromkeys(known, _START)
    try:
        found = _PLACES.validate_json(urlsafe_b64decode(cursor[:_LONGEST_CURSOR]))
    except ValueError:
        found = {}
    if not found or not found.keys() <= known or not all(map(_is_place, found.values())):
        raise InvalidInput("", "cursor: not a cursor of this server")
    return found


def _is_place(place: Place) -> bool:
    before, given = place
    return (before is None or _MOMENT.fullmatch(before) is not None) and 0 <= given <= _MOST_GIVEN


def _cursor(places: Mapping[str, Place]) -> str:
    return urlsafe_b64encode(json.dumps(places, separators=(",", ":")).encode()).decode()


def merged(
    answers: Mapping[str, Any],
    sources: Sequence[Source],
    start: Mapping[str, Place],
    limit: int,
    each: Callable[[str, Any], ItemT | None],
) -> Chunk[ItemT]:
    """The newest `limit` rows of all answers. What `each` makes nothing of is left out."""
    rows = [
        (_moment(row[source.at]), -order, source, row)
        for order, source in enumerate(sources)
        if source.table in answers and source.table in start
        for row in answers[source.table]["records"][: limit + 1]
    ]
    rows.sort(key=lambda entry: entry[:2], reverse=True)  # stable: rows of one source stay in its order
    taken = rows[:limit]
    after = {
        source.table: _after(start[source.table], [at for at, _, of, _ in taken if of is source], taken[-1][0])
        for _, _, source, _ in rows[limit:]
    }
    items = [item for _, _, source, row in taken if (item := each(source.table, row)) is not None]
    return Chunk(items, _cursor(after) if after else None)


def _after(place: Place, taken: Sequence[str], end: str) -> Place:
    """The place of a source of which these rows were taken, on a page that ends at `end`. What is newer is too late."""
    before, given = place
    if not taken:
        return place if before is not None and before <= end else (end, 0)
    last = taken[-1]
    return (last, taken.count(last) + (given if last == before else 0))


def _moment(wire: str) -> str:
    """`2026-11-25T19:00:00.000+0000`, as Salesforce answers, as the literal that queries take."""
    return f"{wire[:19]}Z"
