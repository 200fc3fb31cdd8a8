"""What a JWT claims (RFC 7519 §4), read strictly: a claim of the wrong kind spoils the token, and is never guessed at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast


def text(claims: Mapping[str, Any], *names: str) -> str:
    """The first of these claims that is there; empty when none is.

    Raises:
        ValueError: it is not a string.
    """
    value = next((claims[name] for name in names if claims.get(name) is not None), "")
    if not isinstance(value, str):
        raise ValueError(f"{names[0]} is not a string")
    return value


def moment(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate: seconds since 1970 in UTC.

    Raises:
        ValueError: it is not a number, or none that a clock could show.
    """
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _END:
        raise ValueError(f"{name} is not a time")
    return float(value)


def scopes(claims: Mapping[str, Any], *names: str) -> frozenset[str] | None:
    """The first of these claims that is there, be it a string of words or a list of them; None when none is.

    Raises:
        ValueError: it is neither.
    """
    value = next((claims[name] for name in names if claims.get(name) is not None), None)
    if value is None:
        return None
    words = value.split() if isinstance(value, str) else value
    if not isinstance(words, list) or not all(isinstance(word, str) for word in cast("list[object]", words)):
        raise ValueError(f"{names[0]} is not a list of scopes")
    return frozenset(cast("list[str]", words))


_END = 253_402_300_800  # the year 10000
