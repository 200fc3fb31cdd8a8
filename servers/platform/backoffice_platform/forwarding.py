"""One tool call, passed on to the upstream that has the tool, and what is said when that one does not answer."""

from __future__ import annotations

from typing import Any

from mcp.server.context import HandlerResult
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, CallToolRequestParams, Tool

from backoffice_platform.registry import Member, Registry
from backoffice_platform.wire import UpstreamFailed
from backoffice_shared import account
from backoffice_shared.deadline import remaining
from backoffice_shared.errors import BackendUnavailable, BackofficeError, CircuitOpen, OutcomeUnknown, TooLarge
from backoffice_shared.http.breaker import SLOW
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.clean import clean, cleaned
from backoffice_shared.mcp.outcome import refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.principal import principal
from backoffice_shared.telemetry.asked import asked

LARGEST_RESULT = 256 * 1024
"""Bytes of a result on the wire. Ours are far below; what is beyond is of no use to a model."""


PROVENANCE_META = "dev.backoffice/provenance"


async def forward(registry: Registry, params: CallToolRequestParams, ctx: Ctx, *, deadline: float) -> HandlerResult:
    """`deadline` is what a call may take here at most, in seconds."""
    found = registry.find(params.name)
    if found is None:
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:64]}")
    member, tool = found
    if (wait := member.breaker.admit()) is not None:
        return refused(CircuitOpen(member.name, "has been failing and is left alone for a while", retry_after=wait))
    breaker, era = member.breaker, member.breaker.era
    longest = min(member.upstream.timeout, deadline)
    seconds = _timeout(longest)
    try:
        result = await _call(member, tool, ctx, seconds)
    except UpstreamFailed as failure:
        if failure.large or (failure.late and seconds < SLOW * longest):
            breaker.forget(era)  # that the caller asked for much, or was in a hurry, says nothing about the upstream
        else:
            breaker.record(era, failed=True, slow=False, connected=failure.sent)
        registry.doubt(member)
        if not failure.sent:
            account.came_back()
        return refused(_told(member, tool, params, failure))
    except MCPError as error:
        _answered(member)
        breaker.record(era, failed=False, slow=False, connected=True)
        registry.doubt(member)
        if member.upstream.audience is not None:
            raise
        raise MCPError(error.error.code, clean(error.error.message), cleaned(error.error.data)) from None
    except BaseException:
        breaker.forget(era)
        raise
    breaker.record(era, failed=False, slow=False, connected=True)
    _answered(member)
    return result if member.upstream.audience is not None else _foreign(member, result)


def _answered(member: Member) -> None:
    """A server of ours that answers has kept the call's record."""
    if member.upstream.audience is not None:
        account.kept_elsewhere()


def _foreign(member: Member, result: dict[str, Any]) -> dict[str, Any]:
    """A stranger's result: without what a reader cannot see, and marked as a stranger's."""
    marked = cleaned(result)
    marked["_meta"] = {**obj(marked.get("_meta")), PROVENANCE_META: {"server": member.name, "trusted": False}}
    return marked


async def _call(member: Member, tool: Tool, ctx: Ctx, seconds: float) -> dict[str, Any]:
    given = obj(dict(ctx.params or {}))
    meta = obj(given.pop("_meta", None))
    given["name"] = tool.name.removeprefix(member.upstream.prefix)
    capabilities = ctx.session.client_capabilities
    declared = None if capabilities is None else capabilities.model_dump(by_alias=True, mode="json", exclude_none=True)
    if member.upstream.audience is not None:
        account.handed_over()
    request = member.client.request(
        "tools/call",
        given,
        timeout=seconds,
        meta=meta,
        capabilities=declared,
        schema=tool.input_schema,
        progress=ctx.session.report_progress if "progressToken" in meta else None,
        deadline_ms=max(1, int(0.95 * seconds * 1000)),  # so that a partial answer is here before we stop waiting
        authorization=member.authorization(principal()),
        largest=LARGEST_RESULT,
    )
    return await asked(member.name, "tools/call", tool.name, request)


def _timeout(longest: float) -> float:
    """A little less than the call has left, so that what became of it can still be told."""
    left = remaining()
    return longest if left == float("inf") else max(0.001, min(longest, left - max(0.05, 0.05 * left)))


def _told(member: Member, tool: Tool, params: CallToolRequestParams, failure: UpstreamFailed) -> BackofficeError:
    reads = tool.annotations is not None and tool.annotations.read_only_hint
    if failure.sent and not reads:
        key = (params.arguments or {}).get("idempotency_key")
        return OutcomeUnknown(
            member.name,
            f"{failure}: the call may or may not have been carried out",
            idempotency_key=key if isinstance(key, str) else None,
        )
    if failure.large:
        return TooLarge(member.name, str(failure))
    return BackendUnavailable(
        member.name, f"{failure}. The other tools work", hint="Try again in a moment, or go on without it"
    )
