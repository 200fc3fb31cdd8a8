"""A write with an idempotency key is carried out once, however often it is called, and by whichever replica.

The key belongs to the principal and the tool, and is bound to the arguments. What was answered is kept thirty days; so
is a final refusal. What failed in passing is not kept: the next call tries again. When
it is unknown whether an earlier attempt was carried out, the next call repeats it with the same key, and the outbound
stack refuses that where the vendor knows no keys, or has forgotten this one, unless the adapter has looked.

A call that only shows what it would do uses up no key. An answer that says it is `unfinished` is not the last one: the
same call again does the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Coroutine
from typing import Any

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams, CallToolResult

from backoffice_shared.account import denied
from backoffice_shared.attempt import attempting
from backoffice_shared.deadline import remaining
from backoffice_shared.errors import BackofficeError, Conflict
from backoffice_shared.jsonvalues import canonical, compact, encodable, obj
from backoffice_shared.mcp.outcome import CallOutcome, outcome_of, refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Lookup, ToolFacts
from backoffice_shared.principal import principal
from backoffice_shared.state.records import Claim, Done, OtherArguments, Records, UnderWay
from backoffice_shared.telemetry.metrics import IDEMPOTENCY

KEEP = 30 * 86_400.0
LEASE_MARGIN = 5.0  # beyond the call's own deadline
LONGEST_KEY = 255

UNFINISHED = "unfinished"

_FINAL = ("conflict", "not_found")


class Idempotent:
    def __init__(self, server: str, lookup: Lookup, records: Records) -> None:
        self._server = server
        self._lookup = lookup
        self._records = records

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        tool, arguments = self._lookup(params.name), params.arguments or {}
        key = arguments.get("idempotency_key")
        if tool is None or not tool.changes(arguments) or not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY:
            return await call_next(ctx)
        try:
            scope = f"{principal().key}:{tool.name}"
            claimed = await self._records.claim(
                scope, key, _fingerprint(tool, arguments), lease=min(remaining(), 120.0) + LEASE_MARGIN
            )
        except BackofficeError as error:
            error.idempotency_key = key
            return refused(error)
        if isinstance(claimed, Claim):
            self._count("claimed" if claimed.uncertain_since is None else "resumed")
            planned = arguments.get("plan_token") is not None
            return _echoed(await self._carry_out(claimed, ctx, call_next, planned=planned), key)
        return _echoed(self._told(claimed, key), key)

    async def _carry_out(self, claim: Claim, ctx: Ctx, call_next: CallNext, *, planned: bool) -> HandlerResult:
        """`planned`: by a plan, which another can replace."""
        try:
            with attempting(claim.uncertain_since):
                result = await call_next(ctx)
        except BaseException:  # a crash, or the caller has gone: it may have been carried out
            await _settled(self._records.release(claim, uncertain=True, keep=KEEP))
            raise
        outcome = outcome_of(result)
        unfinished = isinstance(result, CallToolResult) and obj(result.structured_content).get(UNFINISHED) is True
        if isinstance(result, CallToolResult) and not unfinished and _is_final(outcome, claim, planned=planned):
            await _settled(self._records.finish(claim, _written(result), keep=KEEP))
        else:
            uncertain = (
                unfinished
                or outcome.outcome == "unknown"
                or (claim.uncertain_since is not None and outcome.outcome != "input_required")
            )
            await _settled(self._records.release(claim, uncertain=uncertain, keep=KEEP))
        return result

    def _told(self, known: Done | UnderWay | OtherArguments, key: str) -> HandlerResult:
        match known:
            case Done(result):
                self._count("replayed")
                return _replayed(result)
            case UnderWay(retry_after):
                self._count("in_progress")
                denied("idempotency key in use")
                busy = Conflict("", "a call with this idempotency_key is under way", retry_after=retry_after)
                busy.idempotency_key = key
                return refused(busy)
            case OtherArguments():
                self._count("mismatch")
                denied("idempotency key used for something else")
                return refused(
                    Conflict(
                        "",
                        "this idempotency_key was used with other arguments",
                        hint="Use a new key for a new request; to repeat the earlier one, repeat its arguments",
                    )
                )

    def _count(self, result: str) -> None:
        IDEMPOTENCY.labels(self._server, result).inc()


def _is_final(outcome: CallOutcome, claim: Claim, *, planned: bool) -> bool:
    """A refusal is final, unless an earlier attempt may have been carried out all the same, or a new plan may succeed."""
    if outcome.outcome in ("ok", "partial"):
        return True
    return outcome.error_code in _FINAL and claim.uncertain_since is None and not planned


def _fingerprint(tool: ToolFacts, arguments: dict[str, Any]) -> str:
    """The same for the same request, however its arguments are ordered, and by whichever preview of the same tool it was
    prepared. Where another tool previews, the plan is the request."""
    apart = {"idempotency_key", "approval_id", *(("plan_token",) if tool.previews is not None else ())}
    asked = {name: value for name, value in arguments.items() if name not in apart}
    return hashlib.sha256(canonical(asked).encode("utf-8", "surrogatepass")).hexdigest()


def _echoed(result: HandlerResult, key: str) -> HandlerResult:
    """A refusal with the key that it is about, for whoever makes many calls at once."""
    if not isinstance(result, CallToolResult) or not result.is_error:
        return result
    content = obj(result.structured_content)
    if not (told := obj(content.get("error"))) or "idempotency_key" in told:
        return result
    return result.model_copy(
        update={"structured_content": {**content, "error": {**told, "idempotency_key": encodable(key)}}}
    )


def _written(result: CallToolResult) -> str:
    return result.model_dump_json(by_alias=True, exclude_none=True)


def _replayed(written: str) -> CallToolResult:
    """The answer of the first call, saying that it is one."""
    result = CallToolResult.model_validate_json(written)
    content = obj(result.structured_content)
    if result.is_error or "replayed" not in content:
        return result
    content["replayed"] = True
    text = result.content[0].model_copy(update={"text": compact(content)})
    return result.model_copy(update={"structured_content": content, "content": [text]})


async def _settled(writing: Coroutine[Any, Any, None]) -> None:
    """See it through, also when the caller goes away meanwhile. What cannot be written leaves the key uncertain."""
    task = asyncio.ensure_future(writing)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
    except BackofficeError:
        pass  # the lease lapses, and the next call finds it uncertain
