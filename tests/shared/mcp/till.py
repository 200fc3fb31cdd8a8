"""A server of our own making, with one tool of each kind, over the real chain of policies. Clients speak MCP to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any

from mcp.client import Client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context, Resolve
from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, Field
from tests.foundation import Records, foundation
from tests.watched import WatchedClient

from backoffice_shared.envelope import Listing
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.tool import ADD, DESTROY, READ, Arguments, tool
from backoffice_shared.money import Money
from backoffice_shared.principal import LOCAL, Principal, acting, principal
from backoffice_shared.settings import Settings

Act = Callable[[], Awaitable[object]]


async def _nothing() -> None:
    pass


class Held:
    """A place in a tool where a test holds it: `reached` is set when it is there, `open` lets it go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.open.wait()


@dataclass
class Drawer:
    """What the tools work on. `then` runs inside the tool, after its effect: a test may wait, fail or count there."""

    notes: list[str] = field(default_factory=list[str])
    paid: list[Money] = field(default_factory=list[Money])
    before: Act = _nothing
    then: Act = _nothing


class Seen(BaseModel):
    subject: str
    agent: str


class Noted(BaseModel):
    number: int
    replayed: bool = False


class Refunded(BaseModel):
    amount: int
    currency: str
    replayed: bool = False


class Row(BaseModel):
    number: int
    text: str


class Burnt(BaseModel):
    notes: int
    plan_token: str | None = None
    replayed: bool = False


async def _drawer(ctx: Context[Drawer]) -> Drawer:
    return ctx.request_context.lifespan_context


TheDrawer = Annotated[Drawer, Resolve(_drawer)]
Key = Annotated[str, Field(min_length=1, max_length=255)]


@tool(READ, scope="till:read", toolset="notes")
async def get_caller() -> Seen:
    """Who calls."""
    return Seen(subject=principal().subject, agent=principal().agent)


@tool(READ, scope="till:read", toolset="notes")
async def list_notes(drawer: TheDrawer) -> Listing[Row]:
    """The notes."""
    await drawer.before()
    return Listing(items=[Row(number=number, text=text) for number, text in enumerate(drawer.notes)])


@tool(ADD, scope="till:write", toolset="notes")
async def add_note(drawer: TheDrawer, text: Annotated[str, Field(max_length=100)], idempotency_key: Key) -> Noted:
    """Leave a note."""
    await drawer.before()
    drawer.notes.append(text)
    await drawer.then()
    return Noted(number=len(drawer.notes))


def _refunded(arguments: Arguments) -> Money | None:
    amount, currency = arguments.get("amount"), arguments.get("currency")
    return Money(amount=amount, currency=currency) if isinstance(amount, int) and isinstance(currency, str) else None


@tool(DESTROY, scope="till:pay", toolset="money", spends=_refunded)
async def refund(
    drawer: TheDrawer,
    amount: Annotated[int, Field(gt=0)],
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")],
    idempotency_key: Key,
) -> Refunded:
    """Give money back."""
    await drawer.before()
    drawer.paid.append(Money(amount=amount, currency=currency))
    await drawer.then()
    return Refunded(amount=amount, currency=currency)


def _only_shown(arguments: Arguments) -> bool:
    return arguments.get("plan_token") is None


@tool(DESTROY, scope="till:write", toolset="notes", previews=_only_shown)
async def burn_notes(drawer: TheDrawer, idempotency_key: Key, plan_token: str | None = None) -> Burnt:
    """Burn all notes; without a plan_token, say how many there are."""
    if plan_token is None:
        return Burnt(notes=len(drawer.notes), plan_token="match")
    burnt, drawer.notes = len(drawer.notes), []
    await drawer.then()
    return Burnt(notes=burnt)


TOOLS = (get_caller, list_notes, add_note, refund, burn_notes)


@dataclass
class Till:
    """`client` calls as `who`; `drawer` is what happened; `audit` what was recorded; `foundation` what it stands on."""

    client: Client
    drawer: Drawer
    audit: Records
    foundation: Foundation
    who: Principal

    async def call(self, name: str, **arguments: Any) -> CallToolResult:
        with acting(self.who):
            return await self.client.call_tool(name, arguments)

    async def names(self) -> list[str]:
        with acting(self.who):
            return [tool.name for tool in (await self.client.list_tools()).tools]


def till_server(drawer: Drawer, on: Foundation, **settings: Any) -> MCPServer[Any]:
    domain = Domain(
        "till", "Till", "", TOOLS, (), lambda _clients, _settings, _state: drawer, personal_scope="till:personal"
    )
    return domain_server(domain, Reachable(), Settings(log_level="ERROR", **settings), on)


@asynccontextmanager
async def till(
    on: Foundation | None = None, *, who: Principal = LOCAL, drawer: Drawer | None = None, **given: Any
) -> AsyncGenerator[Till]:
    """`given` is for `foundation`, when none is given."""
    on, drawer = on or foundation(**given), drawer or Drawer()
    assert isinstance(on.audit, Records)
    async with WatchedClient(till_server(drawer, on), audit=on.audit) as client:
        yield Till(client, drawer, on.audit, on, who)
    on.audit.must_have_every_call()


def caller(agent: str = "", *, subject: str = "s", scopes: frozenset[str] | None = None) -> Principal:
    """Somebody with an API key of this agent."""
    return Principal(subject, "api_key", agent=agent, scopes=scopes)


def sentence(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def error_code(result: CallToolResult) -> str:
    assert result.is_error
    assert result.structured_content is not None
    return result.structured_content["error"]["code"]
