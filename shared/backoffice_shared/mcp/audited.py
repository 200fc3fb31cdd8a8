"""Exactly one record for every call: also for one that is refused, crashes, or whose caller goes away."""

from __future__ import annotations

import logging
import math
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, Protocol, TextIO, cast

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams
from opentelemetry import trace

from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import compact, encodable
from backoffice_shared.mcp.outcome import CallOutcome, outcome_of
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.telemetry.metrics import AUDIT_FAILURES

log = logging.getLogger("backoffice.audit")

LONGEST = 200  # characters of one argument that are recorded


class AuditSink(Protocol):
    def write(self, record: Mapping[str, Any]) -> None: ...


class JsonLines:
    """One JSON object a line."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, record: Mapping[str, Any]) -> None:
        self._stream.write(encodable(compact(record)) + "\n")
        self._stream.flush()


def open_sink(file: Path | None) -> JsonLines:
    """Append to `file`; without one, write to standard error.

    Raises:
        InvalidInput: the file cannot be written.
    """
    if file is None:
        return JsonLines(sys.stderr)
    try:
        return JsonLines(file.open("a", encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("", f"the audit file {file} cannot be written: {error.strerror}") from None


class Audited:
    def __init__(
        self, server: str, sink: AuditSink, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._server = server
        self._sink = sink
        self._now = now
        self._seq = count(1)

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        at, started = self._now(), time.perf_counter()
        became, error_code = "cancelled", None
        try:
            result = await call_next(ctx)
            became, error_code = outcome_of(result)
            return result
        except MCPError as error:
            became, error_code = CallOutcome("error", str(error.error.code))
            raise
        except Exception as error:
            became, error_code = CallOutcome("error", type(error).__name__)
            raise
        finally:
            self._write(
                {
                    "v": 1,
                    "seq": next(self._seq),
                    "ts": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "event": "tool.call",
                    "actor": {"sub": "local", "auth": "none"},
                    "server": self._server,
                    "tool": params.name[:64],
                    "args": redacted(params.arguments or {}),
                    "outcome": became,
                    "error_code": error_code,
                    "latency_ms": round((time.perf_counter() - started) * 1000, 1),
                    "trace_id": _trace_id(),
                }
            )

    def _write(self, record: Mapping[str, Any]) -> None:
        """What was done stays done when its record cannot be kept: the caller learns of the one, the operator of the other."""
        try:
            self._sink.write(record)
        except OSError as error:
            AUDIT_FAILURES.labels(self._server).inc()
            log.error("the audit cannot be written (%s): a record of %s is lost", error.strerror, record["tool"])


_SECRET_NAME = re.compile(r"token|secret|password|passwd|api[_-]?key|authorization|credential", re.IGNORECASE)
_EMAIL = re.compile(r"[\w.+'-]+@[\w-]+(\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w:+-])(?!\d{4}-\d\d-\d\d(?!\d))\+?\d[\d\s().-]{7,}\d")


def redacted(value: Any, name: str = "") -> Any:
    """Arguments as the audit keeps them: no secret, no e-mail address, no phone number, no long text."""
    if _SECRET_NAME.search(name):
        return "[redacted]"
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, Any]", value)
        return {str(key)[:64]: redacted(entry, str(key)) for key, entry in list(entries.items())[:50]}
    if isinstance(value, list):
        return [redacted(entry, name) for entry in cast("list[Any]", value)[:50]]
    if isinstance(value, str):
        # Cut first: the patterns take time that grows faster than the text.
        text = _PHONE.sub("[phone]", _EMAIL.sub("[email]", value[: 2 * LONGEST]))
        return text if len(value) <= LONGEST else f"{text[:LONGEST]}… ({len(value)} characters)"
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _trace_id() -> str | None:
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
