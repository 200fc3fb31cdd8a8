"""The part of QuickBooks' query language that the sandbox understands, read into what it means.

    select * | Name, … | count(*) from Entity [where F op 'v' [and …]]
    [orderby F [asc|desc], …] [startposition n] [maxresults m]

There is no OR. Source:
https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/data-queries
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from backoffice_billing.backends.quickbooks.sandbox.refusals import Refused

MOST = 1000
_USUAL = 100


@dataclass(frozen=True, slots=True)
class Condition:
    """`operator` is "=", "<", ">", "<=", ">=", "in" or "like"."""

    field: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Query:
    """`start` counts from 1. `order` is of (field, descending)."""

    entity: str
    counts: bool
    where: tuple[Condition, ...]
    order: tuple[tuple[str, bool], ...]
    start: int
    size: int


_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*')
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][\w.]*)
    |(?P<sign><=|>=|!=|[=<>(),*])
    )""",
    re.VERBOSE | re.DOTALL,
)


def read(text: str) -> Query:
    """
    Raises:
        Refused: it is not of the language.
    """
    if not text.strip():
        raise Refused(4000, "QueryParserError: The query provided was empty")
    return _Reader(_tokens(text)).query()


def _tokens(text: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise Refused(4000, f"QueryParserError: Invalid content. Lexical error at line 1, column {at + 1}.")
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
        at = found.end()
    return tokens


class _Reader:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self._tokens = tokens
        self._at = 0

    def query(self) -> Query:
        self._word("select")
        counts = self._takes("count")
        if counts:
            self._sign("(")
            self._sign("*")
            self._sign(")")
        else:
            self._properties()
        self._word("from")
        entity = self._next("word")
        where = self._conditions() if self._takes("where") else ()
        order = self._order() if self._ordered() else ()
        start = int(self._next("number")) if self._takes("startposition") else 1
        size = int(self._next("number")) if self._takes("maxresults") else _USUAL
        if self._at < len(self._tokens):
            raise self._unexpected()
        if start < 1 or size < 0:
            raise Refused(4001, "QueryValidationError: startposition and maxresults are not negative")
        return Query(entity, counts, where, order, start, min(size, MOST))

    def _properties(self) -> None:
        """Whichever are named, all are given."""
        while True:
            if self._peek() == ("sign", "*"):
                self._at += 1
            else:
                self._next("word")
            if self._peek() != ("sign", ","):
                return
            self._at += 1

    def _ordered(self) -> bool:
        if self._takes("orderby"):
            return True
        if not self._takes("order"):
            return False
        self._word("by")
        return True

    def _conditions(self) -> tuple[Condition, ...]:
        found = [self._condition()]
        while self._takes("and"):
            found.append(self._condition())
        return tuple(found)

    def _condition(self) -> Condition:
        field = self._next("word")
        if self._takes("in"):
            self._sign("(")
            values = [self._value()]
            while self._peek() == ("sign", ","):
                self._at += 1
                values.append(self._value())
            self._sign(")")
            return Condition(field, "in", tuple(values))
        if self._takes("like"):
            return Condition(field, "like", (self._value(),))
        operator = self._next("sign")
        if operator not in ("=", "<", ">", "<=", ">="):
            self._at -= 1
            raise self._unexpected()
        return Condition(field, operator, (self._value(),))

    def _value(self) -> str:
        kind, token = self._peek()
        if kind not in ("text", "number") and token.lower() not in ("true", "false"):
            raise self._unexpected()
        self._at += 1
        return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL) if kind == "text" else token.lower()

    def _order(self) -> tuple[tuple[str, bool], ...]:
        found = [self._direction()]
        while self._peek() == ("sign", ","):
            self._at += 1
            found.append(self._direction())
        return tuple(found)

    def _direction(self) -> tuple[str, bool]:
        field = self._next("word")
        descending = self._takes("desc")
        if not descending:
            self._takes("asc")
        return field, descending

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("end", "<EOF>")

    def _takes(self, word: str) -> bool:
        kind, token = self._peek()
        if kind == "word" and token.lower() == word:
            self._at += 1
            return True
        return False

    def _word(self, word: str) -> None:
        if not self._takes(word):
            raise self._unexpected()

    def _sign(self, sign: str) -> None:
        if self._peek() != ("sign", sign):
            raise self._unexpected()
        self._at += 1

    def _next(self, kind: str) -> str:
        found, token = self._peek()
        if found != kind:
            raise self._unexpected()
        self._at += 1
        return token

    def _unexpected(self) -> Refused:
        kind, token = self._peek()
        shown = "<EOF>" if kind == "end" else token
        return Refused(4000, f'QueryParserError: Encountered "{shown}" at line 1, token {self._at + 1}.')
