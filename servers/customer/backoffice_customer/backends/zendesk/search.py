"""Zendesk's query language: written so that no value can become a condition, and read as the vendor reads it.

    type:ticket requester:"ann@shop.example" status<solved created>=2026-01-01 -tags:vip "zip" "broke"

Conditions on the same property are alternatives, conditions on different ones must all hold. The writing half is
the adapter's, the reading half the sandbox's.

Source: https://developer.zendesk.com/api-reference/ticketing/ticket-management/search/#query-basics and
https://support.zendesk.com/hc/en-us/articles/4408886879258-Zendesk-Support-search-reference
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

# ----------------------------------------------------------------------------------------------------- writing

_LONGEST_TEXT = 1_000  # characters of a text to search for

# What has a meaning between double quotes, or might: the quote itself in all its forms, escapes, wildcards, controls.
_UNQUOTABLE = re.compile(r'["“”„‟«»＂\\*\x00-\x1f\x7f]')


def quoted(value: str) -> str:
    """`value` as one phrase, whatever it holds. The language has no way to write a quote within quotes."""
    return f'"{" ".join(_UNQUOTABLE.sub(" ", value).split())}"'


def words(text: str) -> str:
    """Every word of `text`, as a word: none of them is a condition or an operator."""
    return " ".join(quoted(word) for word in _UNQUOTABLE.sub(" ", text[:_LONGEST_TEXT]).split())


def plain(text: str) -> str:
    """The words of `text` for a search that has phrases and exclusions, but no conditions: none of them is one."""
    found = (word.lstrip("-+") for word in _UNQUOTABLE.sub(" ", text[:_LONGEST_TEXT]).split())
    return " ".join(word for word in found if word)


def any_of(key: str, values: Iterable[str]) -> str:
    """`any_of("status", ["new", "open"])`. Empty when there are no values. `key` is ours, `values` are anybody's."""
    return " ".join(f"{key}:{quoted(value)}" for value in values)


# ----------------------------------------------------------------------------------------------------- reading

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a query: `status<solved`, `-tags:vip`, `"exact words"`. Free words have no `key`.

    `is_phrase`: the value stands between quotes.
    """

    key: str
    operator: str
    value: str
    negated: bool = False
    is_phrase: bool = False


class InvalidSearch(Exception):  # noqa: N818 - it is what Zendesk calls it
    """A query that Zendesk refuses to answer, with its sentence about it."""


_TERM = re.compile(
    r'(?P<minus>-)?(?:(?P<key>[a-z_]+)(?P<operator>:|<=|>=|<|>))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))'
)
_OF_THE_ANSWER = frozenset({"type", "order_by", "sort"})
_OF_TICKETS = frozenset({"status", "priority", "tags", "requester", "assignee", "created", "updated"})
_OF_USERS = frozenset({"role", "name", "email", "phone"})
_KEYS = _OF_THE_ANSWER | _OF_TICKETS | _OF_USERS


def parse(query: str) -> list[Term]:
    """The terms of a query. What looks like a condition on no property of Zendesk's is free words."""
    terms: list[Term] = []
    for found in _TERM.finditer(query):
        written, sign = found["key"] or "", found["operator"] or ""
        key = written.removesuffix("_at")  # created_at is created
        value = found["phrase"] if found["phrase"] is not None else found["word"]
        if key not in _KEYS:
            key, sign, value = "", "", f"{written}{sign}{value}"
        is_phrase = found["phrase"] is not None
        terms.append(Term(key, sign, value, negated=found["minus"] is not None, is_phrase=is_phrase))
    return terms


def condition(terms: Iterable[Term], test: Callable[[Term], Callable[[T], bool]]) -> Callable[[T], bool]:
    """What a query asks of a record, given what each of its terms asks (`test`)."""
    groups: dict[str | Term, list[tuple[Callable[[T], bool], bool]]] = {}
    # Free words are the dearest to look for, and come last.
    for term in sorted(terms, key=lambda term: term.key == ""):
        if term.key not in _OF_THE_ANSWER:
            has_alternatives = term.operator == ":" and not term.negated
            groups.setdefault(term.key if has_alternatives else term, []).append((test(term), not term.negated))
    return lambda record: all(any(holds(record) == wanted for holds, wanted in group) for group in groups.values())


COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
"""How a term's operator compares what a record has with what is asked for."""


def moment(text: str) -> datetime:
    """A date or a time in a query, in UTC when it does not say where."""
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        raise InvalidSearch(f"{text} is not a valid date") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def spaced(text: str) -> str:
    """The words of a text, each behind a space: `spaced("zip br") in spaced("Zip broke")`, for beginnings are found."""
    return "".join(f" {word}" for word in re.findall(r"\w+", text.lower()))
