"""The upstreams, what each of them offers, and how they are doing.

Lists are never fetched while an agent waits: a last good catalogue answers, refreshed behind it. An upstream that
is down keeps its place in the list; calls to it are refused with a sentence until it is back.
"""

from __future__ import annotations

import asyncio
import logging
import random
import re
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
from mcp.server.subscriptions import InMemorySubscriptionBus, SubscriptionBus, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import find_invalid_x_mcp_header
from mcp_types import Tool, ToolAnnotations
from pydantic import ValidationError

from backoffice_platform.upstreams import Upstream
from backoffice_platform.wire import UpstreamFailed, WireClient
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.http.breaker import Breaker, watched
from backoffice_shared.http.network import wire
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.tool import ToolFacts, facts_of, pinned
from backoffice_shared.principal import PLATFORM, Principal
from backoffice_shared.telemetry.asked import asked

log = logging.getLogger("backoffice.registry")

LIST_TIMEOUT = 5.0
MOST_PAGES = 50
MOST_TOOLS = 2_000
LONGEST_DESCRIPTION = 8_000  # characters
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,128}")
PATIENCE = 1.0  # at the start: who has not listed its tools by then appears later
REFRESH = 60.0
RETRY_FIRST, RETRY_AT_MOST = 0.5, 15.0  # while an upstream does not answer


Identify = Callable[[Principal, str], str]
"""Signs who calls, for one audience."""

_ITSELF = Principal(PLATFORM, "assertion")


@dataclass
class Member:
    """One upstream at run time. `tools` are by public name, and the last that it gave; `failure` is why it has no newer."""

    upstream: Upstream
    client: WireClient
    breaker: Breaker
    identify: Identify
    tools: dict[str, Tool] = field(default_factory=dict[str, Tool])
    facts: dict[str, ToolFacts] = field(default_factory=dict[str, ToolFacts])
    listed_at: float | None = None
    failure: str | None = None

    @property
    def name(self) -> str:
        return self.upstream.name

    def authorization(self, who: Principal) -> str | None:
        """What tells a server of ours who calls; nothing for a stranger."""
        audience = self.upstream.audience
        return None if audience is None else f"Bearer {self.identify(who, audience)}"


class Registry:
    """`identify` signs for servers of ours who is calling; `bus` tells listeners, on every replica, what changed."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        identify: Identify,
        bus: SubscriptionBus | None = None,
        transport: Callable[[], httpx.AsyncBaseTransport] = wire,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.bus = bus or InMemorySubscriptionBus()
        self._clock = clock
        self._transport = transport
        self._identify = identify
        self._upstreams = upstreams
        self._wanted: dict[str, asyncio.Event] = {}
        self.members: list[Member] = []

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Registry]:
        """Ask every upstream, wait a little for their answers, and keep asking behind the calls until the block ends."""
        self.members = [self._member(upstream) for upstream in self._upstreams]
        asked = [asyncio.Event() for _ in self.members]
        keepers = [
            asyncio.create_task(self._keep_fresh(member, once), name=f"keep {member.name}")
            for member, once in zip(self.members, asked, strict=True)
        ]
        try:
            await _all(asked, within=PATIENCE)
            yield self
        finally:
            for keeper in keepers:
                keeper.cancel()
            await asyncio.gather(*keepers, return_exceptions=True)
            await asyncio.gather(*(member.client.aclose() for member in self.members))

    def _member(self, upstream: Upstream) -> Member:
        breaker = Breaker(self._clock, random.random, watched(upstream.name, "mcp"))
        return Member(upstream, WireClient(str(upstream.url), self._transport()), breaker, self._identify)

    def tools(self) -> list[Tool]:
        """Every tool of every upstream. Where two upstreams give one name, the first in the file has it."""
        found: dict[str, Tool] = {}
        for member in self.members:
            for name, tool in member.tools.items():
                found.setdefault(name, tool)
        return list(found.values())

    def find(self, public_name: str) -> tuple[Member, Tool] | None:
        for member in self.members:
            if (tool := member.tools.get(public_name)) is not None:
                return member, tool
        return None

    def facts(self, public_name: str) -> ToolFacts | None:
        """What policies know of the tool; None when there is no such tool."""
        for member in self.members:
            if (facts := member.facts.get(public_name)) is not None:
                return facts
        return None

    def scopes(self) -> set[str]:
        """All that any tool needs, or shows more with."""
        facts = [facts for member in self.members for facts in member.facts.values()]
        return {scope for one in facts for scope in (one.scope, one.personal_scope) if scope}

    def elsewhere(self, public_name: str) -> bool:
        """The tool runs in a server of ours, which applies the policies itself."""
        found = self.find(public_name)
        return found is not None and found[0].upstream.audience is not None

    def input_schema(self, public_name: str) -> dict[str, Any] | None:
        found = self.find(public_name)
        return None if found is None else found[1].input_schema

    def state(self) -> list[dict[str, Any]]:
        """What the list is made of: the age of each part in seconds, and what is missing."""
        now = self._clock.now()
        return [
            {
                "upstream": member.name,
                "tools": len(member.tools),
                "age_s": None if member.listed_at is None else round(now - member.listed_at),
                "failure": member.failure,
            }
            for member in self.members
        ]

    def doubt(self, member: Member) -> None:
        """A call went wrong in a way that a new list may explain: ask for one now."""
        if (wanted := self._wanted.get(member.name)) is not None:
            wanted.set()

    async def _keep_fresh(self, member: Member, asked: asyncio.Event) -> None:
        wanted = self._wanted[member.name] = asyncio.Event()
        pause = RETRY_FIRST
        while True:
            await self._refresh(member)
            asked.set()
            if member.failure is None:
                pause = RETRY_FIRST
            try:
                async with asyncio.timeout(pause if member.failure else REFRESH):
                    await wanted.wait()
            except TimeoutError:
                pause = min(RETRY_AT_MOST, 2 * pause)
            wanted.clear()

    async def _refresh(self, member: Member) -> None:
        try:
            tools = await self._list(member)
        except (UpstreamFailed, MCPError) as error:
            if member.failure is None:
                log.warning("%s: its tools cannot be listed: %s", member.name, error)
            member.failure = str(error)
            return
        if member.failure is not None:
            log.warning("%s is back", member.name)
            member.breaker.reset()
        changed = tools != member.tools
        member.tools, member.listed_at, member.failure = tools, self._clock.now(), None
        member.facts = {name: _facts(member.upstream, tool) for name, tool in tools.items()}
        if changed:
            await self.bus.publish(ToolsListChanged())

    async def _list(self, member: Member) -> dict[str, Tool]:
        tools: dict[str, Tool] = {}
        params: dict[str, Any] = {}
        for _ in range(MOST_PAGES):
            request = member.client.request(
                "tools/list", params, timeout=LIST_TIMEOUT, authorization=member.authorization(_ITSELF)
            )
            page = await asked(member.name, "tools/list", "", request)
            if not isinstance(page.get("tools"), list):
                raise UpstreamFailed("it answered no valid list", sent=True)
            for offered in page["tools"]:
                if (tool := _acceptable(member, offered)) is not None:
                    tools[tool.name] = tool
            if not isinstance(cursor := page.get("nextCursor"), str) or len(tools) > MOST_TOOLS:
                return tools
            params = {"cursor": cursor}
        raise UpstreamFailed(f"its list of tools has more than {MOST_PAGES} pages", sent=True)


def _acceptable(member: Member, wire: object) -> Tool | None:
    """A tool as we list it, under its public name; None when it could harm those who read or call it.

    One bad tool costs itself, never the list. Clients of the 2025 era take only objects for output schemas.
    """
    try:
        tool = Tool.model_validate(wire)
    except ValidationError:
        log.warning("%s: a tool is left out: it is not valid", member.name)
        return None
    name = member.upstream.prefix + tool.name
    if not _NAME.fullmatch(name) or len(tool.description or "") > LONGEST_DESCRIPTION:
        log.warning("%s: a tool is left out: its name or description cannot be shown to a model", member.name)
        return None
    if find_invalid_x_mcp_header(tool.input_schema) is not None:
        log.warning("%s: %s is left out: it asks for a header that cannot be sent", member.name, name)
        return None
    output = tool.output_schema if obj(tool.output_schema).get("type") == "object" else None
    return tool.model_copy(update={"name": name, "output_schema": output})


def _facts(upstream: Upstream, tool: Tool) -> ToolFacts:
    """What a server of ours says of its tool. What a stranger says of its own decides nothing: the operator does."""
    if upstream.audience is not None:
        return facts_of(tool, upstream.needs)
    annotations = tool.annotations or ToolAnnotations()
    return ToolFacts(tool.name, annotations, upstream.needs, upstream.name, pin=pinned(tool))


async def _all(events: Sequence[asyncio.Event], *, within: float) -> None:
    """Wait until all of them are set, or this many seconds have gone."""
    try:
        async with asyncio.timeout(within):
            for event in events:
                await event.wait()
    except TimeoutError:
        pass
