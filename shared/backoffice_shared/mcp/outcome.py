"""What became of a call, read off its result: for the audit and for the metrics."""

from __future__ import annotations

from typing import Literal, NamedTuple

from mcp.server.context import HandlerResult
from mcp_types import CallToolResult, InputRequiredResult

from backoffice_shared.jsonvalues import arr, obj


class CallOutcome(NamedTuple):
    outcome: Literal["ok", "partial", "error", "input_required"]
    error_code: str | None = None


def outcome_of(result: HandlerResult) -> CallOutcome:
    """Of a tool's own result, or of the wire result that an upstream gave."""
    if isinstance(result, InputRequiredResult):
        return CallOutcome("input_required")
    if isinstance(result, CallToolResult):
        return _of(bool(result.is_error), result.structured_content)
    wire = obj(result)
    if wire.get("resultType") == "input_required":
        return CallOutcome("input_required")
    return _of(bool(wire.get("isError")), wire.get("structuredContent"))


def _of(is_error: bool, content: object) -> CallOutcome:  # noqa: FBT001
    if is_error:
        code = obj(obj(content).get("error")).get("code")
        return CallOutcome("error", code if isinstance(code, str) else "tool_error")
    failed = any(obj(source).get("status") == "error" for source in arr(obj(content).get("sources")))
    return CallOutcome("partial" if failed else "ok")
