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

    Raises:
        ValueError: it is not JSON.
    """
    return json.loads(content, parse_constant=_refuse)


def compact(value: object) -> str:
    """JSON without a byte to spare: what models read and wires carry.

    Raises:
        ValueError: something in it is not a number.
    """
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")
