"""The part of SOQL and SOSL that the sandbox understands, read into what it means.

    SELECT a, Parent.b, (SELECT c FROM Children ...) FROM T WHERE x = 'y' AND (z IN (...) OR NOT ...)
    ORDER BY a DESC NULLS LAST, b LIMIT n OFFSET m
    FIND {word* AND "a phrase"} IN ALL FIELDS RETURNING T(a LIMIT n)

As with Salesforce, AND and OR do not mix without parentheses, and a subquery filters by one field.
https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/sforce_api_calls_soql_select.htm
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime


class Malformed(ValueError):  # noqa: N818 - it is what a query is
    """What is wrong with it."""


@dataclass(frozen=True, slots=True)
class Literal:
    """`kind` is "text", "time", "date", "number", "bool" or "null". A text is as it was written, still escaped."""

    kind: str
    raw: str

    @property
    def text(self) -> str:
        return _unescaped(self.raw)


@dataclass(frozen=True, slots=True)
class Compare:
    field: str
    operator: str
    values: tuple[Literal, ...]
    query: Query | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """`joint` is "AND", "OR" or "NOT"."""

    joint: str
    members: tuple[Condition, ...]


Condition = Compare | Group


@dataclass(frozen=True, slots=True)
class Order:
    field: str
    descending: bool
    nulls_last: bool


@dataclass(frozen=True)
class Query:
    table: str
    fields: tuple[str, ...]
    children: tuple[Query, ...] = ()
    where: Condition | None = None
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0


@dataclass(frozen=True)
class Search:
    """`terms` are what must all be found; one that ends with `*` is the beginning of a word. No table means all."""

    terms: tuple[str, ...]
    table: str = ""
    fields: tuple[str, ...] = ("Id",)
    limit: int = 2_000


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<text>'(?:[^'\\]|\\.)*')
    |(?P<time>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:?\d\d))
    |(?P<date>\d{4}-\d\d-\d\d)
    |(?P<number>-?\d+(?:\.\d+)?)
    |(?P<word>[A-Za-z_][\w.]*)
    |(?P<sign><=|>=|!=|<>|[=<>(),])
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "b": "\b",
    "f": "\f",
    "N": "\n",
    "R": "\r",
    "T": "\t",
    "B": "\b",
    "F": "\f",
}
_MOST_OFFSET = 2_000


def _unescaped(raw: str) -> str:
    def meant(found: re.Match[str]) -> str:
        if found[1].startswith("u"):
            return chr(int(found[1][1:], 16))
        return _ESCAPES.get(found[1], found[1])

    return re.sub(r"\\(u[0-9A-Fa-f]{4}|.)", meant, raw, flags=re.DOTALL)


def pattern(raw: str) -> re.Pattern[str]:
    """What `LIKE` means: `%` for anything, `_` for one character, unless they are escaped."""
    parts: list[str] = []
    for found in re.finditer(r"\\(?:u[0-9A-Fa-f]{4}|.)|.", raw, flags=re.DOTALL):
        wildcard = {"%": ".*", "_": "."}.get(found[0])
        parts.append(wildcard or re.escape(_unescaped(found[0])))
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


def time_of(literal: str) -> datetime:
    return datetime.fromisoformat(literal).astimezone(UTC)


def parse_query(soql: str) -> Query:
    """
    Raises:
        Malformed: it is not a query, or one beyond what is understood here.
    """
    reader = _Reader(_tokens(soql))
    query = reader.query()
    reader.end()
    return query


def parse_search(sosl: str) -> Search:
    """
    Raises:
        Malformed: as for `parse_query`.
    """
    found = re.fullmatch(
        r"\s*FIND\s*\{(?P<wanted>(?:[^}\\]|\\.)*)\}(?:\s+IN\s+(?:ALL|NAME|EMAIL|PHONE)\s+FIELDS)?"
        r"(?:\s+RETURNING\s+(?P<table>\w+)\s*(?:\((?P<fields>[\w., ]+?)(?:\s+LIMIT\s+(?P<limit>\d+))?\))?)?\s*",
        sosl,
        re.IGNORECASE | re.DOTALL,
    )
    if found is None:
        raise Malformed("unexpected token in the search")
    terms = _terms(found["wanted"])
    fields = tuple(name.strip() for name in (found["fields"] or "Id").split(","))
    return Search(terms, found["table"] or "", fields, int(found["limit"] or 2_000))


def _terms(wanted: str) -> tuple[str, ...]:
    parts: list[str] = re.findall(r'"(?:[^"\\]|\\.)*"|(?:[^\s"\\]|\\.)+', wanted)
    terms = [part for part in parts if part.upper() != "AND"]
    for term in terms:
        bare = re.sub(r"\\.", "", term.removesuffix("*"))
        if not term.startswith('"') and (term.upper() in ("OR", "NOT") or re.search(r"[?&|!{}\[\]()^~*:'+]", bare)):
            raise Malformed(f"unexpected token: {term}")
    if not terms or any(len(re.sub(r"\W", "", term)) < 2 for term in terms):
        raise Malformed("search term must be longer than one character")
    return tuple(re.sub(r"\\(.)", r"\1", term.strip('"')) for term in terms)


def _tokens(soql: str) -> list[tuple[str, str]]:
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(soql.rstrip()):
        found = _TOKEN.match(soql, at)
        if found is None or found.lastgroup is None:
            raise Malformed(f"unexpected token: {soql[at : at + 20].strip()!r}")
        tokens.append((found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


@dataclass
class _Reader:
    tokens: list[tuple[str, str]]
    at: int = field(default=0)

    def query(self, *, nested: bool = False) -> Query:
        self.expect("SELECT")
        fields, children = self._selected(nested=nested)
        self.expect("FROM")
        table = self.word()
        where = self._condition() if self.take("WHERE") else None
        order = self._order() if self.take("ORDER") else ()
        limit = self._whole() if self.take("LIMIT") else None
        offset = self._whole() if self.take("OFFSET") else 0
        if offset > _MOST_OFFSET:
            raise Malformed(f"Maximum SOQL offset allowed is {_MOST_OFFSET}")
        return Query(table, fields, children, where, order, limit, offset)

    def _selected(self, *, nested: bool) -> tuple[tuple[str, ...], tuple[Query, ...]]:
        fields: list[str] = []
        children: list[Query] = []
        while True:
            if not nested and self.take("("):
                children.append(self.query(nested=True))
                self.expect(")")
            else:
                name = self.word()
                if name.upper() == "COUNT":
                    self.expect("(")
                    self.expect(")")
                    name = "COUNT()"
                fields.append(name)
            if not self.take(","):
                return tuple(fields), tuple(children)

    def _condition(self) -> Condition:
        members = [self._unit()]
        joint = next((joint for joint in ("AND", "OR") if self.take(joint)), None)
        if joint is None:
            return members[0]
        members.append(self._unit())
        while self.take(joint):
            members.append(self._unit())
        if self.peek() in ("AND", "OR"):
            raise Malformed(f"unexpected token: {self.peek()}")
        return Group(joint, tuple(members))

    def _unit(self) -> Condition:
        if self.take("NOT"):
            return Group("NOT", (self._unit(),))
        if self.take("("):
            inner = self._condition()
            self.expect(")")
            return inner
        name = self.word()
        if self.take("NOT"):
            self.expect("IN")
            return self._in(name, "NOT IN")
        if self.take("IN"):
            return self._in(name, "IN")
        if self.take("LIKE"):
            return Compare(name, "LIKE", (self._literal(),))
        kind, sign = self.next()
        if kind != "sign" or sign in "(),":
            raise Malformed(f"unexpected token: {sign}")
        return Compare(name, "!=" if sign == "<>" else sign, (self._literal(),))

    def _in(self, name: str, operator: str) -> Compare:
        self.expect("(")
        if self.peek() == "SELECT":
            query = self.query(nested=True)
            self.expect(")")
            return Compare(name, operator, (), query)
        values = [self._literal()]
        while self.take(","):
            values.append(self._literal())
        self.expect(")")
        return Compare(name, operator, tuple(values))

    def _order(self) -> tuple[Order, ...]:
        self.expect("BY")
        order: list[Order] = []
        while True:
            name = self.word()
            descending = self.take("DESC")
            if not descending:
                self.take("ASC")
            last = False
            if self.take("NULLS"):
                last = self.take("LAST")
                if not last:
                    self.expect("FIRST")
            order.append(Order(name, descending, last))
            if not self.take(","):
                return tuple(order)

    def _literal(self) -> Literal:
        kind, raw = self.next()
        if kind == "text":
            return Literal("text", raw[1:-1])
        if kind == "word" and raw.lower() in ("true", "false"):
            return Literal("bool", raw.lower())
        if kind == "word" and raw.lower() == "null":
            return Literal("null", "")
        if kind in ("time", "date", "number"):
            return Literal(kind, raw)
        raise Malformed(f"unexpected token: {raw}")

    def _whole(self) -> int:
        kind, raw = self.next()
        if kind != "number" or not raw.isdecimal():
            raise Malformed(f"unexpected token: {raw}")
        return int(raw)

    def word(self) -> str:
        kind, raw = self.next()
        if kind != "word":
            raise Malformed(f"unexpected token: {raw}")
        return raw

    def peek(self) -> str:
        kind, raw = self.tokens[self.at] if self.at < len(self.tokens) else ("", "")
        return raw.upper() if kind in ("word", "sign") else ""

    def next(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise Malformed("unexpected token: '<EOF>'")
        self.at += 1
        return self.tokens[self.at - 1]

    def take(self, wanted: str) -> bool:
        if self.peek() != wanted:
            return False
        self.at += 1
        return True

    def expect(self, wanted: str) -> None:
        if not self.take(wanted):
            raise Malformed(
                f"expecting {wanted}, found {self.tokens[self.at][1] if self.at < len(self.tokens) else '<EOF>'}"
            )

    def end(self) -> None:
        if self.at < len(self.tokens):
            raise Malformed(f"unexpected token: {self.tokens[self.at][1]}")
