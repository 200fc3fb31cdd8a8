"""Exactly one record for every call: also for one that is refused, crashes, or whose caller goes away."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from mcp.server.context import CallNext, HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams
from opentelemetry import trace

from backoffice_shared.account import Account, accounting
from backoffice_shared.audit.redaction import redacted
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.jsonvalues import canonical
from backoffice_shared.mcp.outcome import CallOutcome, crashed, outcome_of, refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.principal import principal


class AuditLog(Protocol):
    """Where records go. `full`: too many wait to be kept, so that nothing more may happen."""

    @property
    def full(self) -> bool: ...

    def record(self, fields: Mapping[str, Any]) -> None:
        """Keep it soon."""
        ...

    async def intent(self, fields: Mapping[str, Any]) -> None:
        """Keep it now.

        Raises:
            BackendUnavailable: it could not be kept.
        """
        ...

    def digest(self, text: str) -> str:
        """A pseudonym: the same for the same text, and of no use without the audit's key."""
        ...


class Audited:
    def __init__(
        self, server: str, lookup: Lookup, log: AuditLog, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._server = server
        self._lookup = lookup
        self._log = log
        self._now = now

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        if self._log.full:
            return refused(BackendUnavailable("", "nothing can be done while the audit cannot be kept"))
        at, started = self._now(), time.perf_counter()
        became = CallOutcome("cancelled")
        with accounting() as account:
            try:
                result = await call_next(ctx)
                became = outcome_of(result)
                return result
            except MCPError as error:
                became = CallOutcome("error", str(error.error.code))
                raise
            except Exception as error:
                became = CallOutcome("error", type(error).__name__)
                raise crashed(params.name[:64]) from error
            finally:
                if not account.elsewhere:
                    ended = self._ended(account, became, (time.perf_counter() - started) * 1000)
                    self._log.record({**self._begun(account.event, at, params), **ended})

    async def announce(self, params: CallToolRequestParams) -> None:
        """The intent of a call whose effect cannot be taken back.

        Raises:
            BackendUnavailable: it cannot be kept.
        """
        await self._log.intent(self._begun("tool.intent", self._now(), params))

    def _begun(self, event: str, at: datetime, params: CallToolRequestParams) -> dict[str, Any]:
        who, arguments = principal(), dict(params.arguments or {})
        key = arguments.pop("idempotency_key", None)
        tool = self._lookup(params.name)
        return {
            "ts": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "event": event,
            "actor": who.actor,
            "server": self._server,
            "tool": params.name[:64],
            "tool_pin": None if tool is None else tool.pin,
            "args": redacted(arguments),
            "args_digest": self._digest(arguments),
            "idempotency_key": self._log.digest(key) if isinstance(key, str) else None,
            "trace_id": _trace_id(),
        }

    def _digest(self, arguments: Mapping[str, Any]) -> str | None:
        try:
            return self._log.digest(canonical(arguments))
        except RecursionError:  # nested too deeply to be written, and refused for that
            return None

    def _ended(self, account: Account, became: CallOutcome, milliseconds: float) -> dict[str, Any]:
        return {
            "decision": account.decision,
            "policy": account.policy or None,
            "outcome": became.outcome,
            "error_code": became.error_code,
            "upstream": [
                {"name": name, "status": status, "attempts": attempts}
                for name, (attempts, status) in account.upstream.items()
            ],
            "secret_versions": dict(account.secret_versions),
            "latency_ms": round(milliseconds, 1),
        }


def _trace_id() -> str | None:
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
