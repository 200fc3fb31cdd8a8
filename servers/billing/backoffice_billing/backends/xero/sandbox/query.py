"""The part of Xero's query language that the sandbox understands: comparisons, joined by AND, or one field with several
values, joined by OR, in `where`; one field in `order`. https://developer.xero.com/documentation/api/accounting/requests-and-responses
"""

from __future__ import annotations

import operator
import re
from bisect import bisect_left
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from starlette.requests import Request

from backoffice_billing.backends.xero.sandbox.answers import Refused, bad_query

RowT = TypeVar("RowT")

Fields = Mapping[str, Callable[[Any], Any]]
"""How each field that can be asked for is read from a row."""

_AND = re.compile(r"\s*(?:AND|&&)\s*", re.IGNORECASE)
_OR = re.compile(r"\s*(?:OR|\|\|)\s*", re.IGNORECASE)
_COMPARISON = re.compile(r"\s*([A-Za-z]+(?:\.[A-Za-z]+)?)\s*(==|=|!=|>=|<=|>|<)\s*")
_STRING = re.compile(r'"([^"]*)"')
_GUID = re.compile(r'guid\("([0-9a-f-]{36})"\)', re.IGNORECASE)
_DAY = re.compile(r"DateTime\((\d{4}),\s*(\d{1,2}),\s*(\d{1,2})\)", re.IGNORECASE)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "in": lambda has, wanted: has in wanted,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """`compared` is "in" where `value` is several."""

    field: str
    compared: str
    value: Any

    @property
    def values(self) -> Collection[Any]:
        """Those that it asks for, where it asks for any."""
        return self.value if self.compared == "in" else [self.value]


def conditions(text: str) -> list[Condition]:
    """
    Raises:
        Refused: it is not in this language.
    """
    found: list[Condition] = []
    joins: set[re.Pattern[str]] = set()
    place = 0
    while True:
        comparison = _COMPARISON.match(text, place)
        if comparison is None:
            raise Refused(bad_query(f"Expression expected at {place}"))
        value, place = _value(text, comparison.end())
        found.append(Condition(comparison[1], comparison[2], value))
        if not text[place:].strip():
            return [_any_of(found)] if _OR in joins else found
        joined = _AND.match(text, place) or _OR.match(text, place)
        if joined is None or joined.end() == place:
            raise Refused(bad_query(f"Operator expected at {place}"))
        joins.add(joined.re)
        if len(joins) > 1:
            raise Refused(bad_query(f"AND together with OR is more than the sandbox understands, at {place}"))
        place = joined.end()


def _any_of(alternatives: Sequence[Condition]) -> Condition:
    fields = {condition.field for condition in alternatives}
    if len(fields) > 1 or any(condition.compared not in ("==", "=") for condition in alternatives):
        raise Refused(bad_query("OR between different fields is more than the sandbox understands"))
    return Condition(fields.pop(), "in", frozenset(condition.value for condition in alternatives))


def _value(text: str, place: int) -> tuple[Any, int]:
    for pattern, meant in _VALUES:
        if (match := pattern.match(text, place)) is not None:
            try:
                return meant(match), match.end()
            except ValueError:
                break
    raise Refused(bad_query(f"Value expected at {place}"))


_VALUES: Sequence[tuple[re.Pattern[str], Callable[[re.Match[str]], Any]]] = (
    (_STRING, lambda match: match[1]),
    (_GUID, lambda match: match[1].lower()),
    (_DAY, lambda match: date(int(match[1]), int(match[2]), int(match[3]))),
    (_NUMBER, lambda match: Decimal(match[0])),
    (re.compile(r"null\b"), lambda _match: None),
)


def meets(asked: Sequence[Condition], fields: Fields) -> Callable[[Any], bool]:
    """
    Raises:
        Refused: rows have no such field.
    """
    for condition in asked:
        if condition.field not in fields:
            raise Refused(bad_query(f"No property or field '{condition.field}' exists in type"))

    def test(row: Any) -> bool:
        return all(_compare(fields[c.field](row), c.compared, c.value) for c in asked)

    return test


def _compare(has: Any, compared: str, wanted: Any) -> bool:
    if isinstance(has, datetime) and isinstance(wanted, date):
        has = has.date()
    if has is None or wanted is None:
        return compared in ("==", "=", "!=") and _COMPARED[compared](has, wanted)
    try:
        return _COMPARED[compared](has, wanted)
    except TypeError:
        raise Refused(bad_query("Operator incompatible with operand types")) from None


def asked_where(request: Request) -> list[Condition]:
    text = request.query_params.get("where", "")
    return conditions(text) if text.strip() else []


def between(dated: Sequence[tuple[date, str]], asked: Sequence[Condition]) -> Sequence[tuple[date, str]]:
    """Of rows in the order of their days, those that conditions on `Date` leave."""
    first, last = 0, len(dated)
    for condition in asked:
        if condition.field == "Date" and isinstance(condition.value, date):
            if condition.compared == ">=":
                first = max(first, bisect_left(dated, (condition.value, "")))
            elif condition.compared == "<=":
                last = min(last, bisect_left(dated, (condition.value + timedelta(days=1), "")))
    return dated[first:last]


def ordered(request: Request, rows: Sequence[RowT], fields: Fields, usual: str = "") -> list[RowT]:
    """By `order`: `Date DESC`."""
    field, _, direction = request.query_params.get("order", usual).partition(" ")
    if not field:
        return list(rows)
    if field not in fields:
        raise Refused(bad_query(f"No property or field '{field}' exists in type"))

    def key(row: RowT) -> tuple[bool, Any]:
        value = fields[field](row)
        return value is not None, value if value is not None else 0

    return sorted(rows, key=key, reverse=direction.strip().upper() == "DESC")
