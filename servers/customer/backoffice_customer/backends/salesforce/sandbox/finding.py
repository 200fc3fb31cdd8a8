"""What queries and searches find in the sandbox's tables, and how it is told."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from backoffice_customer.backends.salesforce.sandbox.grammar import (
    Compare,
    Condition,
    Group,
    Literal,
    Query,
    Search,
    pattern,
    time_of,
)
from backoffice_customer.backends.salesforce.sandbox.ids import PREFIXES, is_id, place_of
from backoffice_customer.backends.salesforce.sandbox.records import (
    BLANK,
    CHILDREN,
    PARENTS,
    REFERENCES,
    SEARCHED,
    UNFILTERED,
    Record,
    wire_time,
)
from backoffice_customer.backends.salesforce.sandbox.tables import Refused, Table, Tables

_Searched = tuple[str, str, str]
"""A record's id, the words of its name, and all its others."""


class Finder:
    """While `searches_are_stale`, full-text searches see the company as it was."""

    def __init__(self, tables: Tables, searches_are_stale: Callable[[], bool]) -> None:
        self._tables = tables
        self._searches_are_stale = searches_are_stale
        self._indexed: dict[tuple[str, int], _Searched] = {}

    def find(self, query: Query, *, archived: bool) -> list[Record]:
        """In order, and without what the offset skips. `archived`: also activities that are put aside."""
        table = self._tables[query.table]
        for order in query.order:
            self._check_field(table.name, order.field)
        meets = self._meaning(table.name, query.where)
        rows = table.rows(self._numbers(table, query.where))
        found = [row for row in rows if (archived or not row.get("IsArchived")) and meets(row)]
        for order in reversed(query.order):
            self._sort(found, order.field, descending=order.descending, nulls_last=order.nulls_last)
        return found[query.offset :][: query.limit]

    def _sort(self, rows: list[Record], name: str, *, descending: bool, nulls_last: bool) -> None:
        """What has no value comes first, in either direction."""
        rows.sort(key=lambda row: _sortable(self._tables.value(row, name)), reverse=descending)
        rows.sort(key=lambda row: (self._tables.value(row, name) is None) is nulls_last)

    def _numbers(self, table: Table, where: Condition | None) -> list[int] | None:
        """Numbers among which all that meets the condition is, as far as an index says; None where none does."""
        if isinstance(where, Group):
            narrowed = [self._numbers(table, member) for member in where.members]
            known = [numbers for numbers in narrowed if numbers is not None]
            if where.joint == "AND" and known:
                return min(known, key=len)
            return (
                [n for numbers in known for n in numbers]
                if where.joint == "OR" and len(known) == len(narrowed)
                else None
            )
        if where is None or where.operator not in ("=", "IN"):
            return None
        if where.field == "Id":
            places = (place_of(value) for value in self._values(where))
            return [place[1] for place in places if place is not None and place[0] == table.name]
        if (index := table.by.get(where.field)) is None:
            return None
        return [n for value in self._values(where) for n in index(value)]

    def _values(self, compared: Compare) -> list[str]:
        """The texts that a field is compared to, also those that a subquery finds."""
        if (query := compared.query) is None:
            return [literal.text for literal in compared.values]
        return [str(self._tables.value(row, query.fields[0])) for row in self.find(query, archived=False)]

    def _check_field(self, table: str, path: str) -> None:
        relation, _, rest = path.partition(".")
        known = BLANK[table]
        if rest and PARENTS.get(relation) not in known:
            raise Refused(400, "INVALID_FIELD", f"Didn't understand relationship '{relation[:40]}' in field path.")
        if not rest and path not in known:
            raise Refused(400, "INVALID_FIELD", f"No such column '{path[:40]}' on entity '{table}'.")

    def _meaning(self, table: str, where: Condition | None) -> Callable[[Record], bool]:
        """What a condition asks of a record, with all that can be known beforehand."""
        if where is None:
            return lambda _row: True
        if isinstance(where, Group):
            members = [self._meaning(table, member) for member in where.members]
            match where.joint:
                case "AND":
                    return lambda row: all(meets(row) for meets in members)
                case "OR":
                    return lambda row: any(meets(row) for meets in members)
                case _:
                    return lambda row: not members[0](row)
        return self._comparison(table, where)

    def _comparison(self, table: str, asked: Compare) -> Callable[[Record], bool]:
        path = asked.field
        self._check_field(table, path)
        if path.rpartition(".")[2] in UNFILTERED:
            raise Refused(400, "INVALID_FIELD", f"field '{path}' can not be filtered in a query call")
        refers = path.rpartition(".")[2] in REFERENCES or path.rpartition(".")[2] == "Id"
        if refers and any(literal.kind == "text" and not is_id(literal.text) for literal in asked.values):
            raise Refused(400, "INVALID_QUERY_FILTER_OPERATOR", f"invalid ID field: {asked.values[0].text[:40]}")
        if asked.operator == "LIKE":
            like = pattern(asked.values[0].raw)
            return lambda row: like.fullmatch(str(self._tables.value(row, path) or "")) is not None
        if asked.operator in ("IN", "NOT IN"):
            members = {_comparable(value, refers=refers) for value in self._members(asked)}
            among = asked.operator == "IN"
            return lambda row: (_comparable(self._tables.value(row, path), refers=refers) in members) is among
        wanted = _comparable(_meant(asked.values[0], path), refers=refers)
        return lambda row: _holds(asked.operator, _comparable(self._tables.value(row, path), refers=refers), wanted)

    def _members(self, asked: Compare) -> list[Any]:
        return (
            [_meant(literal, asked.field) for literal in asked.values] if asked.query is None else self._values(asked)
        )

    # ------------------------------------------------------------------------------------------------------- answering

    def told(self, query: Query, rows: Iterable[Record], data: str) -> list[Record]:
        """The rows with the fields that were asked for. `data` is the path of the API."""
        table = self._tables[query.table].name
        for path in query.fields:
            self._check_field(table, path)
        return [self._told(table, query, row, data) for row in rows]

    def _told(self, table: str, query: Query, row: Record, data: str) -> Record:
        answer: Record = {"attributes": attributes(table, row["Id"], data)}
        for path in query.fields:
            self._tell(answer, row, path, data)
        for child in query.children:
            name, key = CHILDREN.get(child.table, ("", ""))
            if not name:
                raise Refused(
                    400,
                    "INVALID_FIELD",
                    f"Didn't understand relationship '{child.table[:40]}' in FROM part of query call.",
                )
            mine = Group(
                "AND", (Compare(key, "=", (Literal("text", row["Id"]),)), *([child.where] if child.where else []))
            )
            asked = Query(name, child.fields, (), mine, child.order, child.limit, child.offset)
            found = self.told(asked, self.find(asked, archived=False), data)
            answer[child.table] = {"totalSize": len(found), "done": True, "records": found} if found else None
        return answer

    def _tell(self, answer: Record, row: Record, path: str, data: str) -> None:
        relation, _, rest = path.partition(".")
        if not rest:
            answer[path] = row[path]
            return
        parent = self._tables.parent(row, relation)
        if parent is None:
            answer[relation] = None
            return
        table = next(name for name, prefix in PREFIXES.items() if parent["Id"].startswith(prefix))
        self._check_field(table, rest)
        # Users and queues are told as what they have in common.
        kind = "Name" if relation == "Owner" else table
        told = answer.setdefault(relation, {"attributes": attributes(kind, parent["Id"], data)})
        self._tell(told, parent, rest, data)

    def search(self, search: Search) -> list[tuple[str, str]]:
        """The table and id of what full-text search finds: first what has the words in its name."""
        wanted = [self._tables[search.table].name] if search.table else ["Contact", "Case"]
        found = [
            (not _mentions(search.terms, name), kind, native)
            for kind in wanted
            for native, name, others in self._searched(self._tables[kind])
            if _mentions(search.terms, f"{name}\n{others}")
        ]
        found.sort(key=lambda entry: entry[0])
        return [entry[1:] for entry in found[: search.limit]]

    def _searched(self, table: Table) -> Iterator[_Searched]:
        stale = self._searches_are_stale()
        for number in table.seeds():
            if (stale or number not in table.own) and (old := self._as_it_was(table, number)) is not None:
                yield old
        for row in () if stale else table.own.values():
            if row is not None:
                yield self._index(table.name, row)

    def _as_it_was(self, table: Table, number: int) -> _Searched | None:
        key = (table.name, number)
        if key not in self._indexed and (row := table.seed(number)) is not None:
            self._indexed[key] = self._index(table.name, row)
        return self._indexed.get(key)

    def _index(self, table: str, row: Record) -> _Searched:
        name, *others = (_words(str(self._tables.value(row, field) or "")) for field in SEARCHED.get(table, ("Id",)))
        return row["Id"], name, "\n".join(others)


def attributes(table: str, native: str, data: str) -> Record:
    kind = "User" if table == "Name" else table
    return {"type": table, "url": f"{data}/sobjects/{kind}/{native}"}


def _meant(literal: Literal, path: str) -> Any:
    """The value as a record would have it."""
    timed = path.endswith(("Date", "DateTime", "Modstamp")) and path != "ActivityDate"
    if timed and literal.kind not in ("time", "null"):
        needed = "must be of type dateTime and should not be enclosed in quotes"
        raise Refused(400, "INVALID_FIELD", f"value of filter criterion for field '{path}' {needed}")
    match literal.kind:
        case "time":
            return wire_time(time_of(literal.raw))
        case "bool":
            return literal.raw == "true"
        case "null":
            return None
        case "number":
            return float(literal.raw)
        case _:
            return literal.text


def _comparable(value: Any, *, refers: bool) -> Any:
    """Texts are compared whatever the case of their letters, ids by their first 15 characters."""
    if isinstance(value, str):
        return value[:15] if refers else value.casefold()
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _holds(sign: str, value: Any, wanted: Any) -> bool:
    if sign in ("=", "!="):
        return (value == wanted) is (sign == "=")
    return value is not None and wanted is not None and _COMPARED[sign](value, wanted)


def _sortable(value: Any) -> tuple[str, float]:
    return (value.casefold(), 0.0) if isinstance(value, str) else ("", float(value or 0))


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def _mentions(terms: Iterable[str], text: str) -> bool:
    """Whether it has all the terms: the words of each one after the other, the last of which may go on before a `*`."""
    return all(_mentioned(_words(term), text, whole=not term.endswith("*")) for term in terms)


def _mentioned(words: str, text: str, *, whole: bool) -> bool:
    return words in text and re.search(rf"(?<!\w){re.escape(words)}" + (r"(?!\w)" if whole else ""), text) is not None
