"""What became of a call, read off its result: for the audit, the metrics, and whoever must undo or repeat."""

from __future__ import annotations

import logging
import secrets
from typing import Literal, NamedTuple

from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, CallToolResult, InputRequiredResult, TextContent

from backoffice_shared.errors import BackofficeError
from backoffice_shared.jsonvalues import arr, encodable, obj
from backoffice_shared.mcp.clean import clean

log = logging.getLogger("backoffice.tools")

LONGEST = 2_000  # characters of a sentence: it may repeat what was asked, or what a vendor says


class CallOutcome(NamedTuple):
    outcome: Literal["ok", "partial", "error", "unknown", "cancelled", "input_required"]
    error_code: str | None = None

    @property
    def nothing_happened(self) -> bool:
        """A refusal or a failure that says that no effect took place, or a question that must be answered first."""
        return self.outcome in ("error", "input_required") and self.error_code != "internal_error"


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


def refused(error: BackofficeError) -> CallToolResult:
    """A failure as the model reads it: the sentence, and beside it the same in fields for the host."""
    sentence = clean(str(error))
    if len(sentence) > LONGEST:
        sentence = sentence[: LONGEST - 1] + "…"
    key = error.idempotency_key
    fields = {
        "code": error.code,
        "message": sentence,
        "retryable": error.retryable,
        "source": error.source or None,
        "retry_after_s": None if error.retry_after is None else max(1, round(error.retry_after)),
        "idempotency_key": None if key is None else encodable(key),
    }
    return CallToolResult(
        content=[TextContent(type="text", text=sentence)],
        structured_content={"error": {name: value for name, value in fields.items() if value is not None}},
        is_error=True,
    )


def crashed(tool: str) -> MCPError:
    """A fault of ours, told while it is being handled: by a reference that only the log explains."""
    reference = secrets.token_hex(4)
    log.exception("%s failed unexpectedly [%s]", tool, reference)
    return MCPError(
        INTERNAL_ERROR, f"{tool} failed inside this server. The operator finds it in the log as {reference}."
    )


def rows_in(result: HandlerResult) -> int:
    """How many records a successful answer holds: its items, or one."""
    content = obj(result.structured_content) if isinstance(result, CallToolResult) else obj(result)
    return len(arr(content["items"])) if "items" in content else 1


def _of(is_error: bool, content: object) -> CallOutcome:  # noqa: FBT001
    if is_error:
        code = obj(obj(content).get("error")).get("code")
        code = code if isinstance(code, str) else "tool_error"
        return CallOutcome("unknown" if code == "outcome_unknown" else "error", code)
    failed = any(obj(source).get("status") == "error" for source in arr(obj(content).get("sources")))
    return CallOutcome("partial" if failed else "ok")
