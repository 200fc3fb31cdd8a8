"""JSON from outside, as types that can be worked with: what is not of the expected kind counts as empty."""

from __future__ import annotations

import json
from typing import Any, cast


def obj(value: object) -> dict[str, Any]:
    """`value` when it is a JSON object, else an empty one."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def arr(value: object) -> list[Any]:
    """`value` when it is a JSON array, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def parse(content: bytes) -> Any:
    """The value of a JSON text, as RFC 8259 has it: `NaN` and `Infinity`, which Python would take, are refused.

    Half of a surrogate pair, which JSON can write and UTF-8 cannot, becomes a question mark.

    Raises:
        ValueError: it is not JSON.
    """
    value = json.loads(content, parse_constant=_refuse)
    return json.loads(encodable(json.dumps(value, ensure_ascii=False))) if _SURROGATE in content.lower() else value


def encodable(text: str) -> str:
    """`text` with a question mark for everything that UTF-8 cannot write."""
    return text.encode("utf-8", "replace").decode()


def compact(value: object) -> str:
    """JSON without a byte to spare: what models read and wires carry.

    Raises:
        ValueError: something in it is not a number.
    """
    return _compact(value)


def canonical(value: object) -> str:
    """The same text for the same value, whatever the order of its keys: for digests. ASCII, so that it can be encoded."""
    return _canonical(value)


# `json.dumps` makes an encoder anew for every text.
_compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
_canonical = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode

_SURROGATE = rb"\ud"


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")
