"""Arguments that JSON cannot say go no further: nothing below could store them, compare them or pass them on.

Some hosts write a list or an object as JSON within a string. Where a tool wants one, it is read here, before anything is
counted or decided by it.

Python reads more than JSON has: `NaN`, `1e400`, half of a surrogate pair. And it reads what is nested more deeply than it
can write again.
"""

from __future__ import annotations

import json

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import arr, compact, encodable, obj
from backoffice_shared.mcp.outcome import refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup

DEEPEST = 32  # levels of lists and objects in each other


class Wellformed:
    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        tool, arguments = self._lookup(params.name), params.arguments or {}
        for name in () if tool is None else tool.structured & arguments.keys():
            arguments[name] = _read(arguments[name])
        for name, value in arguments.items():
            if (fault := _fault(name, value)) is not None:
                return refused(InvalidInput("", f"{encodable(name[:64])}: {fault}"))
        return await call_next(ctx)


def _read(value: object) -> object:
    """The list or the object that a string holds as JSON; any other value as it is."""
    if not isinstance(value, str) or not value.lstrip().startswith(("[", "{")):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _fault(name: str, value: object) -> str | None:
    if _levels(value) > DEEPEST:
        return f"is nested more than {DEEPEST} levels deep"
    try:
        compact([name, value]).encode()
    except UnicodeEncodeError:
        return "holds half of a character"
    except ValueError:
        return "holds a number that JSON does not have"
    return None


def _levels(value: object) -> int:
    levels, layer = 0, [value]
    while layer := [entry for one in layer for entry in (*obj(one).values(), *arr(one))]:
        levels += 1
    return levels
