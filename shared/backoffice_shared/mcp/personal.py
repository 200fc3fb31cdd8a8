"""Personal data in a result, masked for whoever lacks the scope to see it: e-mail addresses, telephone and card numbers.

Masked is whatever looks like one, in whichever field it stands: a note holds as many as a profile does. When in doubt it
is masked: an order's number of eight digits in a text is, too. What identifies things in fields of their own (ids, URLs,
cursors, SKUs, times) stays as it is. Names of people stay: without them nobody can be talked about.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar, cast

from backoffice_shared.errors import BackofficeError

Error = TypeVar("Error", bound=BackofficeError)

_EXACT = re.compile(
    r"(?:id|url|cursor|plan_token|next_cursor|number|sku|version|tracking|idempotency_key|as_of|at"
    r"|\w+_(?:id|url|at|cursor|by|code))"
)
_FREE = frozenset({"custom", "values"})
"""Objects whose names are others' own, and say nothing about what is in them."""

_BETWEEN = r"[\s().\-/\u00b7\u2010-\u2015]"
_PERSONAL = re.compile(
    # An id of ours, as texts name it, is none: zendesk:ticket:4711234.
    r"(?P<ours>\b[a-z]{3,20}:[a-z]{3,20}:[\w-]{1,80}\b)"
    r"|(?P<email>(?P<first>\w)[\w.+'-]{0,63}[@\uff20\ufe6b](?P<domain>[\w-]{1,63}(?:\.[\w-]{1,63}){0,8}))"
    # Neither within a word nor a date. Who writes a number in letters and digits mixed is not understood.
    rf"|(?P<phone>(?<![\w.])(?!\d{{4}}-\d\d-\d\d(?!\d))\+?(?:\d{_BETWEEN}{{0,4}}){{6,18}}\d)"
)
_SUSPICIOUS = re.compile(rf"[@\uff20\ufe6b]|\d(?:{_BETWEEN}{{0,4}}\d){{6}}")


def without_personal(value: Any) -> Any:
    """A JSON value with what is personal in it masked; the same object when there is nothing."""
    return _masked(value, "")


def masked(text: str) -> str:
    """`ada.lovelace@example.com` → `a•••@example.com`, `+49 555 000012` → `•••12`."""
    return text if _SUSPICIOUS.search(text) is None else _PERSONAL.sub(_mask, text)


def masked_error(error: Error) -> Error:
    error.message, error.hint = masked(error.message), masked(error.hint)
    return error


def _masked(value: Any, name: str) -> Any:
    """`name` is the field in which it stands; empty where that says nothing."""
    if isinstance(value, str):
        return value if _EXACT.fullmatch(name) else masked(value)
    if isinstance(value, dict):
        free = name in _FREE
        return {key: _masked(entry, "" if free else key) for key, entry in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_masked(entry, name) for entry in cast("list[Any]", value)]
    return value


def _mask(found: re.Match[str]) -> str:
    if found["ours"] is not None:
        return found["ours"]
    if found["email"] is not None:
        return f"{found['first']}•••@{found['domain']}"
    return f"•••{found['phone'][-2:]}"
