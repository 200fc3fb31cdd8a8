"""Values in SOQL and SOSL: whatever they hold, they stay values.

Source: quoted string escapes, LIKE and FIND in the SOQL and SOSL Reference,
https://developer.salesforce.com/docs/atlas.en-us.soql_sosl.meta/soql_sosl/
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

_LONGEST_SEARCH = 500  # characters

_ESCAPED = str.maketrans(
    {"\\": r"\\", "'": r"\'", '"': r"\"", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\b": r"\b", "\f": r"\f"}
)
_RESERVED = re.compile(r"([?&|!{}\[\]()^~*:\\\"'+\-])")
_OPERATORS = frozenset({"and", "or", "not"})


def select(fields: str, table: str, where: str, *, order: str = "", limit: int | None = None, offset: int = 0) -> str:
    """A query. Whatever comes from outside was written into `where` by the functions below."""
    parts = ["SELECT", fields, "FROM", table]
    parts += ["WHERE", where] if where else []
    parts += ["ORDER BY", order] if order else []
    parts += [] if limit is None else ["LIMIT", str(limit)]
    parts += ["OFFSET", str(offset)] if offset else []
    return " ".join(parts)


def text(value: str) -> str:
    """A string literal. Control characters that SOQL cannot write become spaces."""
    return f"'{_printable(value.translate(_ESCAPED))}'"


def texts(values: Iterable[str]) -> str:
    """A list of string literals, for `IN`."""
    return f"({', '.join(map(text, values))})"


def moment(at: datetime) -> str:
    """A dateTime literal, in whole seconds: Salesforce keeps no parts of them."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def in_order(digits: str) -> str:
    """A pattern for `LIKE`: these digits in this order, whatever stands between them."""
    return text(f"%{'%'.join(digit for digit in digits if digit.isdecimal())}%")


def words(query: str) -> str:
    """A SOSL search for all of these words, or beginnings of words; empty when there is none to search for."""
    found = [word for word in _printable(query[:_LONGEST_SEARCH]).split() if _searchable(word)]
    return " AND ".join(map(_word, found))


def is_id(native: str, prefix: str) -> bool:
    """Whether it can be the id, of 15 or 18 characters, of a record whose kind has this prefix."""
    return re.fullmatch(r"[A-Za-z0-9]{15}(?:[A-Z0-5]{3})?", native) is not None and native.startswith(prefix)


def _word(word: str) -> str:
    return f'"{word}"' if word.lower() in _OPERATORS else _RESERVED.sub(r"\\\1", word) + "*"


def _searchable(word: str) -> bool:
    """Salesforce refuses a search for a single letter, and one for nothing but punctuation."""
    return sum(character.isalnum() for character in word) > 1


def _printable(value: str) -> str:
    return "".join(character if character.isprintable() else " " for character in value)
