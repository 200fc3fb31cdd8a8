"""Confluence's query language: written so that no text can become a condition, and read as the vendor reads it.

    type = page AND space in ("SUP", "OPS") AND (title ~ "refund" OR text ~ "refund") AND lastmodified >= "2026/01/31 10:00"

A text to look for is a query of its own, in Lucene's language, within the quotes of this one. The writing half is the
adapter's, the reading half the sandbox's.

Source: https://developer.atlassian.com/cloud/confluence/advanced-searching-using-cql/,
https://developer.atlassian.com/cloud/confluence/cql-fields/ and
https://developer.atlassian.com/cloud/confluence/performing-text-searches-using-cql/
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

# ----------------------------------------------------------------------------------------------------- writing

_LONGEST_TEXT = 300  # characters of a text to search for: it is sent twice, in a URL
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")


def quoted(value: str) -> str:
    """`value` as one string, whatever it holds."""
    plain = _CONTROLS.sub(" ", value)
    escaped = plain.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def words(text: str) -> str:
    """The words of `text`, all of which are looked for: none is an operator of Lucene's, whose names are in capitals."""
    return " ".join(re.findall(r"\w+", text[:_LONGEST_TEXT].lower()))


def one_of(field: str, values: Iterable[str]) -> str:
    """`one_of("space", ["SUP", "OPS"])`. `field` is ours, `values` are anybody's."""
    return f"{field} in ({', '.join(quoted(value) for value in values)})"


def since(at: datetime) -> str:
    """Changed at `at` or later, and some of what was changed on the day before: a query's times are those of the time
    zone that whoever asks has set in Confluence, up to 14 hours from ours."""
    return f'lastmodified >= "{(at.astimezone(UTC) - _ZONES).strftime("%Y/%m/%d %H:%M")}"'


_ZONES = timedelta(hours=14)

# ----------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Clause:
    """`space in (SUP, OPS)`: whether the field holds for any of the values."""

    field: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Both:
    first: Query
    second: Query
    operator: Literal["and", "or"]


@dataclass(frozen=True, slots=True)
class Not:
    query: Query


Query = Clause | Both | Not


@dataclass(frozen=True, slots=True)
class Search:
    """`query` is None when only an order is asked for. `order` is (field, descending)."""

    query: Query | None
    order: tuple[tuple[str, bool], ...]


class InvalidQuery(Exception):  # noqa: N818 - it is what Confluence calls it
    """A query that Confluence refuses to answer."""


_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(!=|!~|>=|<=|[=~<>(),])|([^\s"=~<>(),!]+))')
_OPERATORS = frozenset({"=", "!=", "~", "!~", ">", ">=", "<", "<=", "in", "not in"})
_FIELDS = frozenset(
    {"type", "space", "space.key", "space.id", "title", "text", "sitesearch", "label", "lastmodified", "created", "id"}
)
_ALIASES = {"content": "id", "space.key": "space", "sitesearch": "text"}


def read(cql: str) -> Search:
    """The meaning of a query.

    Raises:
        InvalidQuery: it is none, or has fields that this subset of the language lacks.
    """
    return _Reader(cql).search()


class _Reader:
    """By recursive descent: `or` binds less than `and`, `and` less than `not`."""

    def __init__(self, cql: str) -> None:
        self._tokens = list(_tokens(cql))
        self._at = 0
        self._depth = 0

    def search(self) -> Search:
        query = None if self._is_word("order") or not self._tokens else self._either()
        order = self._order() if self._takes_word("order") else ()
        if self._at != len(self._tokens):
            raise InvalidQuery(f"Could not parse cql : {self._tokens[self._at][1]}")
        return Search(query, order)

    def _either(self) -> Query:
        query = self._all()
        while self._takes_word("or"):
            query = Both(query, self._all(), "or")
        return query

    def _all(self) -> Query:
        query = self._one()
        while self._takes_word("and"):
            query = Both(query, self._one(), "and")
        return query

    def _one(self) -> Query:
        self._depth += 1
        if self._depth > 100:
            raise InvalidQuery("Could not parse cql : it is nested too deeply")
        if self._takes_word("not"):
            query: Query = Not(self._one())
        elif self._takes("("):
            query = self._either()
            self._expect(")")
        else:
            query = self._clause()
        self._depth -= 1
        return query

    def _clause(self) -> Clause:
        name = self._value().lower()
        field = _ALIASES.get(name, name)
        if field not in _FIELDS:
            raise InvalidQuery(f"No field exists with name: {name}")
        operator = self._operator()
        if not operator.endswith("in"):
            return Clause(field, operator, (self._value(),))
        self._expect("(")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._expect(")")
        return Clause(field, operator, tuple(values))

    def _operator(self) -> str:
        operator = self._value(symbols=True).lower()
        if operator == "not":
            operator = f"not {self._value().lower()}"
        if operator not in _OPERATORS:
            raise InvalidQuery(f"Could not parse cql : expecting an operator, not {operator}")
        return operator

    def _order(self) -> tuple[tuple[str, bool], ...]:
        if not self._takes_word("by"):
            raise InvalidQuery("Could not parse cql : expecting by")
        order: list[tuple[str, bool]] = []
        while not order or self._takes(","):
            field = self._value().lower()
            descending = self._takes_word("desc")
            if not descending:
                self._takes_word("asc")
            order.append((field, descending))
        return tuple(order)

    def _value(self, *, symbols: bool = False) -> str:
        if self._at == len(self._tokens):
            raise InvalidQuery("Could not parse cql : unexpected end of the query")
        kind, text = self._tokens[self._at]
        if kind == "symbol" and not symbols:
            raise InvalidQuery(f"Could not parse cql : unexpected {text}")
        self._at += 1
        return text

    def _is_word(self, word: str) -> bool:
        return self._at < len(self._tokens) and self._tokens[self._at] in (("word", word), ("word", word.upper()))

    def _takes_word(self, word: str) -> bool:
        taken = self._is_word(word)
        self._at += taken
        return taken

    def _takes(self, symbol: str) -> bool:
        taken = self._at < len(self._tokens) and self._tokens[self._at] == ("symbol", symbol)
        self._at += taken
        return taken

    def _expect(self, symbol: str) -> None:
        if not self._takes(symbol):
            raise InvalidQuery(f"Could not parse cql : expecting {symbol}")


def _tokens(cql: str) -> Iterable[tuple[str, str]]:
    """("word" | "string" | "symbol", what it says)."""
    at, end = 0, len(cql.rstrip())
    while at < end:
        found = _TOKEN.match(cql, at)
        if found is None:
            raise InvalidQuery(f"Could not parse cql : {cql[at : at + 40].strip()}")
        string, symbol, word = found.groups()
        if string is not None:
            yield "string", re.sub(r"\\(.)", r"\1", string, flags=re.DOTALL)
        else:
            yield ("symbol", symbol) if symbol is not None else ("word", word)
        at = found.end()


def moment(text: str) -> datetime:
    """A date or a time in a query, in UTC: that is the sandbox's time zone."""
    for form in ("%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M", "%Y-%m-%d", "%Y/%m/%d"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise InvalidQuery(f"Could not parse cql : {text} is not a date")


def texts(query: Query | None) -> Iterable[str]:
    """What a query looks for in texts, to mark it where it is found."""
    if isinstance(query, Both):
        yield from texts(query.first)
        yield from texts(query.second)
    elif isinstance(query, Clause) and query.operator == "~":
        yield from query.values


def condition(text: str) -> Callable[[str], bool]:
    """What a query in Lucene's language asks of a text: that all its words, and its phrases, are in it."""
    phrases = [spaced(phrase) for phrase in re.findall(r'"([^"]*)"', text)]
    single = [spaced(word) for word in re.sub(r'"[^"]*"', " ", text).split()]
    wanted = [part for part in (*phrases, *single) if part]

    def holds(body: str) -> bool:
        there = spaced(body)
        return bool(wanted) and all(part in there for part in wanted)

    return holds


def spaced(text: str) -> str:
    """The words of a text, each between spaces: `spaced("is late") in spaced("It is late.")`."""
    found = re.findall(r"\w+", text.lower())
    return f" {' '.join(found)} " if found else ""
