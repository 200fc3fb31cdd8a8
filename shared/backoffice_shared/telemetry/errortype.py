"""`error.type`, as spans and metrics name what went wrong: from a list that nobody outside can make longer."""

from __future__ import annotations

from collections.abc import Iterator

from backoffice_shared.errors import BackofficeError

OTHER = "_other"
"""What stands for every name that is not one of ours."""


def error_type(code: str | int | None) -> str:
    """`code` when it is one that we know: an error of ours, of JSON-RPC, of MCP. Empty when there was no error."""
    if code is None:
        return ""
    return str(code) if str(code) in _KNOWN else OTHER


def _codes(kind: type[BackofficeError]) -> Iterator[str]:
    yield kind.code
    for narrower in kind.__subclasses__():
        yield from _codes(narrower)


_JSONRPC = (-32700, -32600, -32601, -32602, -32603)
_MCP = (-32000, -32001, -32002, -32020, -32021, -32022, -32042)
_OVERLOADED = -32010
_KNOWN = frozenset(
    {*_codes(BackofficeError), *map(str, (*_JSONRPC, *_MCP, _OVERLOADED)), "tool_error", "cancelled", "unreachable"}
)
