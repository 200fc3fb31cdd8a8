"""Arguments that JSON cannot say go no further: nothing below could store them, compare them or pass them on.

Python reads more than JSON has: `NaN`, `1e400`, half of a surrogate pair. And it reads what is nested more deeply than it
can write again.
"""

from __future__ import annotations

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import arr, compact, encodable, obj
from backoffice_shared.mcp.outcome import refused
from backoffice_shared.mcp.policy import Ctx

DEEPEST = 32  # levels of lists and objects in each other


class Wellformed:
    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        for name, value in (params.arguments or {}).items():
            if (fault := _fault(name, value)) is not None:
                return refused(InvalidInput("", f"{encodable(name[:64])}: {fault}"))
        return await call_next(ctx)


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
