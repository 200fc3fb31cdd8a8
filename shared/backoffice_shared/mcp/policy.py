"""One chain of policies for both kinds of server. `chain.py` says which, and in what order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension
from mcp_types import CallToolRequestParams

Ctx = ServerRequestContext[Any, Any]


class Policy(Protocol):
    """Does one thing around a tool call: let it pass with `await call_next(ctx)`, or answer itself."""

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult: ...


def compose(policies: Sequence[Policy], params: CallToolRequestParams, innermost: CallNext) -> CallNext:
    """The policies around `innermost`, the first one outermost."""
    for policy in reversed(policies):
        innermost = partial(_pass, policy, params, innermost)
    return innermost


async def _pass(policy: Policy, params: CallToolRequestParams, call_next: CallNext, ctx: Ctx) -> HandlerResult:
    return await policy(params, ctx, call_next)


class Policies(Extension):
    """The chain where the SDK has a place for it: around the tool call, after the arguments' envelope is checked."""

    identifier = "dev.backoffice/policies"

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = policies

    async def intercept_tool_call(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        return await compose(self._policies, params, call_next)(ctx)
