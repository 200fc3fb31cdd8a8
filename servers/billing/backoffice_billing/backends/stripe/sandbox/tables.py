"""Records in the order in which Stripe lists them, with the indexes that its lists are filtered by: no list is a
scan."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from backoffice_billing.backends.stripe.sandbox.objects import Thing

Row = TypeVar("Row", bound=Thing)


def _key(row: Thing) -> tuple[int, int]:
    return row.created, row.serial


class _Ordered(Generic[Row]):
    """Oldest first. What is added out of order is sorted in when somebody looks."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._sorted = True

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, row: Row) -> None:
        self._sorted = self._sorted and (not self._rows or _key(self._rows[-1]) <= _key(row))
        self._rows.append(row)

    @property
    def rows(self) -> list[Row]:
        if not self._sorted:
            self._rows.sort(key=_key)
            self._sorted = True
        return self._rows


@dataclass(frozen=True, slots=True)
class Span:
    """Of times: from `since` to `until`, both included. `after` is the id of a row after which, in the order of the
    newest first, a list goes on; `before` of one before which it ends."""

    since: int | None = None
    until: int | None = None
    after: str | None = None
    before: str | None = None


class Table(Generic[Row]):
    """`indexed` are the fields that a list may be filtered by."""

    def __init__(self, *indexed: str) -> None:
        self._by_id: dict[str, Row] = {}
        self._all = _Ordered[Row]()
        self._indexes: dict[str, dict[object, _Ordered[Row]]] = {name: {} for name in indexed}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._all.rows)

    def add(self, row: Row) -> Row:
        row.serial = len(self._by_id)
        self._by_id[row.id] = row
        self._all.add(row)
        for name, index in self._indexes.items():
            value = getattr(row, name)
            if (mine := index.get(value)) is None:
                mine = index[value] = _Ordered()
            mine.add(row)
        return row

    def get(self, native: object) -> Row | None:
        return self._by_id.get(str(native))

    def __getitem__(self, native: str) -> Row:
        return self._by_id[native]

    def having(self, **field: object) -> list[Row]:
        """Oldest first."""
        (name, value), *_ = field.items()
        found = self._indexes[name].get(value)
        return list(found.rows) if found is not None else []

    def list(
        self,
        span: Span,
        most: int,
        fields: Mapping[str, object],
        *,
        also: Callable[[Row], bool] = lambda _: True,
    ) -> tuple[list[Row], bool]:
        """At most so many rows, newest first, and whether there are more."""
        places = [self._indexes[name].get(value) or _Ordered[Row]() for name, value in fields.items()]
        rows = min((*places, self._all), key=len).rows
        low, high = self._bounds(rows, span)
        found: list[Row] = []
        steps = range(low, high) if span.before is not None else range(high - 1, low - 1, -1)
        for n in steps:
            row = rows[n]
            if all(getattr(row, name) == value for name, value in fields.items()) and also(row):
                if len(found) == most:
                    return (found[::-1] if span.before is not None else found), True
                found.append(row)
        return (found[::-1] if span.before is not None else found), False

    def _bounds(self, rows: list[Row], span: Span) -> tuple[int, int]:
        low, high = 0, len(rows)
        if span.since is not None:
            low = bisect_left(rows, (span.since, -1), key=_key)
        if span.until is not None:
            high = bisect_left(rows, (span.until + 1, -1), key=_key)
        if span.after is not None:
            high = min(high, bisect_left(rows, _key(self._by_id[span.after]), key=_key))
        if span.before is not None:
            low = max(low, bisect_right(rows, _key(self._by_id[span.before]), key=_key))
        return low, high
