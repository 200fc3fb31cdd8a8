"""How Shopify gives lists out: connections, whose pages are asked for by a cursor."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import GraphQLError

Record = dict[str, Any]

_LARGEST_PAGE, _MOST_COUNTED = 250, 10_000


@dataclass(frozen=True, slots=True)
class Asked:
    """A field that depends on its arguments."""

    answer: Callable[[Record], Any]


@dataclass(frozen=True, slots=True)
class Keyed:
    """A mutation that is asked with an idempotency key, and carried out once for each."""

    answer: Callable[[Record, str], Any]


def connection(rows: Sequence[int], record: Callable[[int], Record], given: Record) -> Record:
    """One page of `rows`. A cursor is the row that it comes after."""
    first = given.get("first")
    if first is None:
        raise GraphQLError("you must provide one of first or last", extensions={"code": "BAD_REQUEST"})
    if not 0 <= first <= _LARGEST_PAGE:
        raise GraphQLError("first must be between 0 and 250", extensions={"code": "BAD_REQUEST"})
    ordered = rows[::-1] if given.get("reverse") else rows
    start = _place(ordered, given["after"]) + 1 if given.get("after") else 0
    page = ordered[start : start + first]
    return {
        "edges": lambda: [{"cursor": _cursor(row), "node": record(row)} for row in page],
        "nodes": lambda: [record(row) for row in page],
        "pageInfo": {
            "hasNextPage": start + first < len(ordered),
            "hasPreviousPage": start > 0,
            "startCursor": _cursor(page[0]) if page else None,
            "endCursor": _cursor(page[-1]) if page else None,
        },
    }


def listed(records: Sequence[Record]) -> Asked:
    """The connection of a few records that are all at hand."""
    return Asked(lambda given: connection(range(len(records)), records.__getitem__, given))


def count(found: Sequence[int]) -> Record:
    exact = len(found) <= _MOST_COUNTED
    return {"count": min(len(found), _MOST_COUNTED), "precision": "EXACT" if exact else "AT_LEAST"}


def _cursor(row: int) -> str:
    return base64.b64encode(b"last_id:%d" % row).decode()


def _place(rows: Sequence[int], cursor: str) -> int:
    try:
        return rows.index(int(base64.b64decode(cursor, validate=True).removeprefix(b"last_id:")))
    except ValueError:
        raise GraphQLError(
            "Invalid cursor for current pagination sort.", extensions={"code": "INVALID_CURSOR"}
        ) from None
