"""What an agent may use up in a day: calls, records read, records changed, money. Counted where the effect happens.

What a call will change and spend is reserved before it starts. What did not happen is given back; what may have
happened is not, and its repetition under the same key is not counted again. How many records a read gave is known only afterwards, so the last one of a day may exceed its quota.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from mcp.server.context import CallNext, HandlerResult
from mcp_types import CallToolRequestParams

from backoffice_shared.account import denied
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import QuotaExceeded
from backoffice_shared.jsonvalues import arr
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import DayQuotas
from backoffice_shared.mcp.outcome import outcome_of, refused, rows_in
from backoffice_shared.mcp.policy import Ctx
from backoffice_shared.mcp.tool import Arguments, Lookup, ToolFacts
from backoffice_shared.principal import principal
from backoffice_shared.state.quotas import Granted, Quota, Quotas
from backoffice_shared.telemetry.metrics import RATE_LIMITED


class Metered:
    def __init__(
        self,
        server: str,
        lookup: Lookup,
        access: Access,
        quotas: Quotas,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._server = server
        self._lookup = lookup
        self._access = access
        self._quotas = quotas
        self._now = now

    async def __call__(self, params: CallToolRequestParams, ctx: Ctx, call_next: CallNext) -> HandlerResult:
        agent, tool = self._access.policy(principal()), self._lookup(params.name)
        if agent is None or tool is None:
            return await call_next(ctx)
        asked = self._asked(agent.quotas, tool, params.arguments or {})
        if not asked:
            return await call_next(ctx)
        granted = await self._quotas.reserve(list(asked.values()))
        if granted.refused_by is not None:
            return self._refused(list(asked)[granted.refused_by], granted)
        result = await call_next(ctx)  # an exception says nothing about what happened: what was reserved stays
        await self._settle(asked, result)
        return result

    def _asked(self, quotas: DayQuotas, tool: ToolFacts, arguments: Arguments) -> dict[str, Quota]:
        """By what they are of: "calls", "records_read", "records_changed", "EUR"."""
        now, again = self._now(), uncertain_since() is not None
        ends_in = 86_400.0 - (now.hour * 3600 + now.minute * 60 + now.second)
        day = f"{principal().key}:{now.date().isoformat()}"
        asked: dict[str, Quota] = {}
        for kind, amount, most in (
            ("calls", 1, quotas.calls),
            ("records_read", int(tool.reads), quotas.records_read),
            (
                "records_changed",
                _changed(arguments) if tool.changes(arguments) and not again else 0,
                quotas.records_changed,
            ),
        ):
            if most is not None and amount:
                asked[kind] = Quota(f"{day}:{kind}", amount, most, ends_in)
        money = None if tool.spends is None or again else tool.spends(arguments)
        if money is not None and money.amount > 0 and quotas.money is not None:
            most = quotas.money.get(money.currency, 0)
            asked[money.currency] = Quota(f"{day}:{money.currency}", money.amount, most, ends_in, strict=True)
        return asked

    def _refused(self, kind: str, granted: Granted) -> HandlerResult:
        denied(f"quota of {kind}")
        RATE_LIMITED.labels(self._server, "quota").inc()
        if granted.left < 0:
            return refused(
                QuotaExceeded("", "what you have spent today cannot be looked up, so nothing can be spent now")
            )
        what = kind.replace("_", " ") if kind in ("calls", "records_read", "records_changed") else f"{kind} minor units"
        return refused(QuotaExceeded("", f"you have {granted.left} {what} left today (UTC), and this would take more"))

    async def _settle(self, asked: dict[str, Quota], result: HandlerResult) -> None:
        outcome = outcome_of(result)
        for kind, quota in asked.items():
            if kind == "records_read":
                read = 0 if outcome.nothing_happened else rows_in(result)
                await self._quotas.adjust(quota, read - quota.amount)
            elif kind != "calls" and outcome.nothing_happened:
                await self._quotas.adjust(quota, -quota.amount)


def _changed(arguments: Arguments) -> int:
    """How many records a call names to be changed: the ids of its longest list of ids, or one."""
    return max((len(arr(value)) for name, value in arguments.items() if name.endswith("_ids")), default=1) or 1
