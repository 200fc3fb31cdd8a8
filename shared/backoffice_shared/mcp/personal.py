"""Personal data in a result, masked for whoever lacks the scope to see it: e-mail addresses, telephone numbers, cards.

Masked is whatever looks like one, in whichever field it stands: a note holds as many as a profile does. What identifies
things (ids, URLs, cursors, SKUs, times) stays as it is. Names of people stay: without them nobody can be talked about.
"""

from __future__ import annotations

import re
from typing import Any, TypeVar, cast

from backoffice_shared.errors import BackofficeError

Error = TypeVar("Error", bound=BackofficeError)

_EXACT = re.compile(r"(?:^|_)(?:ids?|url|cursor|token|at|key|version|number|sku|as_of|backend|code|tracking)$")
_PERSONAL = re.compile(
    r"(?P<email>(?P<first>\w)[\w.+'-]{0,63}@(?P<domain>[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}))"
    r"|(?P<phone>(?<![\w:+.-])(?!\d{4}-\d\d-\d\d)\+?(?:\d[\s().-]{0,2}){6,17}\d(?![\w]))"
)
_SUSPICIOUS = re.compile(r"@|\d[\d\s().-]{5,}\d")


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
    if isinstance(value, str):
        return value if _EXACT.search(name) else masked(value)
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {key: _masked(entry, key) for key, entry in entries.items()}
    if isinstance(value, list):
        return [_masked(entry, name) for entry in cast("list[Any]", value)]
    return value


def _mask(found: re.Match[str]) -> str:
    if found["email"] is not None:
        return f"{found['first']}•••@{found['domain']}"
    return f"•••{found['phone'][-2:]}"
