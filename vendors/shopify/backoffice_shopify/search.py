"""Shopify's search syntax: written so that no value can become a condition, and read as the vendor reads it.

    email:"ann@shop.example" created_at:>="2026-01-01T00:00:00Z" (sku:"A-1" OR sku:"A-2") -garc*

Terms that stand side by side must all hold. The writing half is the adapter's, the reading half the sandbox's.

Source: https://shopify.dev/docs/api/usage/search-syntax
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

# ----------------------------------------------------------------------------------------------------- writing


def quoted(value: str) -> str:
    """`value` as one quoted string, whatever is in it.

    The vendor documents both kinds of quotes, and a backslash before `: \\ ( )`, but none before a quote. So a
    value stands between the quotes that it does not hold; when it holds both kinds, its double ones become spaces.
    """
    mark = "'" if '"' in value and "'" not in value else '"'
    return mark + value.replace("\\", "\\\\").replace(mark, " ") + mark


def condition(field: str, comparator: str, value: str) -> str:
    """`condition("created_at", ">=", "2026-01-01")`. `field` and `comparator` are ours, `value` is anybody's."""
    return f"{field}:{comparator}{quoted(value)}"


def one_of(field: str, values: Iterable[str]) -> str:
    return "(" + " OR ".join(condition(field, "", value) for value in values) + ")"


def words(text: str) -> str:
    """Everything that has a word beginning with each word of `text`. Empty when there is no word in it."""
    found = [word for word in text.split() if any(map(str.isalnum, word))]
    return " ".join(f"{word}*" if word.isalnum() else quoted(word) for word in found)


# ----------------------------------------------------------------------------------------------------- reading


@dataclass(frozen=True, slots=True)
class Term:
    """`field` is None for a word that may be anywhere; `comparator` is "", "<", "<=", ">" or ">="."""

    field: str | None
    comparator: str
    value: str
    quoted: bool


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    parts: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Not:
    part: Query


Query = Term | AllOf | AnyOf | Not


def parse(text: str) -> Query:
    """What `text` asks for. What makes no sense in it counts for nothing, as with the vendor."""
    tokens = [token for token in _TOKEN.finditer(text) if token.lastgroup != "space"]
    return _Reader(tokens).whole()


def holds(query: Query, test: Callable[[Term], bool]) -> bool:
    match query:
        case Term():
            return test(query)
        case AllOf(parts):
            return all(holds(part, test) for part in parts)
        case AnyOf(parts):
            return any(holds(part, test) for part in parts)
        case Not(part):
            return not holds(part, test)


def narrowed(query: Query, known: Callable[[Term], set[int] | None]) -> set[int] | None:
    """Where to look: what an index (`known`) has for the terms. None: it cannot say, look everywhere."""
    match query:
        case Term():
            return known(query)
        case AllOf(parts):
            found = [numbers for part in parts if (numbers := narrowed(part, known)) is not None]
            return found[0].intersection(*found[1:]) if found else None
        case AnyOf(parts):
            found = [narrowed(part, known) for part in parts]
            some = [numbers for numbers in found if numbers is not None]
            return set[int]().union(*some) if len(some) == len(found) else None
        case Not():
            return None


_QUOTED = r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
_NAME = r"(?:\\.|[^\s:()\\])+"
_TOKEN = re.compile(
    rf"(?P<space>\s+)|(?P<open>\()|(?P<close>\))|(?P<minus>-(?=\S))"
    rf"|(?:(?P<field>[a-z][\w.]*):\s*(?P<comparator>[<>]=?)?\s*)?(?:(?P<quoted>{_QUOTED})|(?P<name>{_NAME}))"
    r"|(?P<noise>.)",
    re.DOTALL,
)


_NOTHING = AllOf(())


class _Reader:
    def __init__(self, tokens: list[re.Match[str]]) -> None:
        self._tokens = tokens[::-1]

    def whole(self) -> Query:
        parts: list[Query] = []
        while self._tokens:
            parts.append(self._either())
            self._take("close")
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _either(self) -> Query:
        parts = [self._both()]
        while self._take_word("OR"):
            parts.append(self._both())
        said = [part for part in parts if part != _NOTHING]
        return AnyOf(tuple(said)) if len(said) > 1 else said[0] if said else _NOTHING

    def _both(self) -> Query:
        parts: list[Query] = []
        while self._tokens and not self._next_is("close") and not self._next_is_word("OR"):
            if not self._take_word("AND") and (term := self._term()) is not None:
                parts.append(term)
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _term(self) -> Query | None:
        if self._take("minus") or self._take_word("NOT"):
            part = self._term() if self._tokens else None
            return None if part is None else Not(part)
        if self._take("open"):
            inner = self._either()
            self._take("close")
            return inner
        token = self._tokens.pop()
        between = token["quoted"]
        value = token["name"] if between is None else between[1:-1]
        if value is None:
            return None
        return Term(token["field"], token["comparator"] or "", re.sub(r"\\(.)", r"\1", value), between is not None)

    def _next_is(self, kind: str) -> bool:
        return bool(self._tokens) and self._tokens[-1][kind] is not None

    def _next_is_word(self, word: str) -> bool:
        return self._next_is("name") and self._tokens[-1][0] == word

    def _take(self, kind: str) -> bool:
        return self._next_is(kind) and bool(self._tokens.pop())

    def _take_word(self, word: str) -> bool:
        return self._next_is_word(word) and bool(self._tokens.pop())
