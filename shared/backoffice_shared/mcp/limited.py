"""How often an agent may call: this tool, any tool, and all agents together. The narrowest limit is asked first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.account import denied
from backoffice_shared.errors import RateLimited
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.outcome import refused
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.principal import Principal, principal
from backoffice_shared.state.limits import Ask, Limit, Limits
from backoffice_shared.telemetry.metrics import RATE_LIMITED


class Limited:
    def __init__(
        self,
        server: str,
        access: Access,
        limits: Limits,
        *,
        elsewhere: Callable[[str], bool] = lambda _name: False,
    ) -> None:
        self._server = server
        self._access = access
        self._limits = limits
        self._elsewhere = elsewhere

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        asked = [] if self._elsewhere(params.name) else self._asked(principal(), params.name)
        if not asked:
            return await call_next(ctx)
        verdict = await self._limits.take([ask for ask, _ in asked])
        if verdict.refused_by is None:
            return await call_next(ctx)
        _, whose = asked[verdict.refused_by]
        denied(f"rate of {whose}")
        RATE_LIMITED.labels(self._server, whose).inc()
        return refused(RateLimited("", _SENTENCES[whose], retry_after=verdict.retry_after))

    def _asked(self, who: Principal, tool: str) -> list[tuple[Ask, str]]:
        """Every limit that this call falls under, and whose it is."""
        agent = self._access.policy(who)
        if agent is None:
            return []
        return [
            *_keyed(f"{who.key}:{tool}", agent.tool_rates.get(tool, ()), "tool"),
            *_keyed(who.key, agent.rate, "agent"),
            *_keyed("all", self._access.shared_rate(), "all"),
        ]


def _keyed(key: str, limits: tuple[Limit, ...], whose: str) -> Iterator[tuple[Ask, str]]:
    return ((Ask(f"{key}:{limit.seconds:g}", limit), whose) for limit in limits)


_SENTENCES = {
    "tool": "this tool has been called as often as you may call it for now",
    "agent": "you have made as many calls as you may for now",
    "all": "all agents together have made as many calls as they may for now",
}
