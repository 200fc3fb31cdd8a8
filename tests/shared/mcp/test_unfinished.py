"""A tool whose plan another tool made, and whose work may be left half done: its key is for that plan, and for the rest of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
from mcp.client import Client
from mcp.server.mcpserver import Context, Resolve
from mcp_types import CallToolResult
from pydantic import BaseModel
from tests.foundation import foundation
from tests.shared.mcp.till import Key, error_code

from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import Conflict
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.tool import DESTROY, tool
from backoffice_shared.settings import Settings

pytestmark = pytest.mark.anyio


class Desk:
    """`done` are the plans carried out; `again` says for how many calls the rest of the work cannot be done."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.again = 0
        self.resumed: list[bool] = []
        self.refuses = False


class Done(BaseModel):
    plan: str
    unfinished: bool | None = None
    replayed: bool = False


async def _desk(ctx: Context[Desk]) -> Desk:
    return ctx.request_context.lifespan_context


@tool(DESTROY, scope="desk:write")
async def carry_out(desk: Annotated[Desk, Resolve(_desk)], plan_token: str, idempotency_key: Key) -> Done:
    """Carry out a plan."""
    if desk.refuses:
        raise Conflict("", "not now")
    desk.resumed.append(uncertain_since() is not None)
    if plan_token not in desk.done:
        desk.done.append(plan_token)
    desk.again -= 1
    return Done(plan=plan_token, unfinished=True if desk.again >= 0 else None)


class At:
    def __init__(self, client: Client, desk: Desk) -> None:
        self.client, self.desk = client, desk

    async def call(self, plan: str, key: str) -> CallToolResult:
        return await self.client.call_tool("carry_out", {"plan_token": plan, "idempotency_key": key})

    async def answer(self, plan: str, key: str) -> dict[str, Any] | None:
        return (await self.call(plan, key)).structured_content


@asynccontextmanager
async def desk() -> AsyncGenerator[At]:
    working = Desk()
    domain = Domain("desk", "Desk", "", (carry_out,), (), lambda _clients, _settings, _state: working)
    server = domain_server(domain, Reachable(), Settings(log_level="ERROR"), foundation())
    async with Client(server) as client:
        yield At(client, working)


async def test_a_key_that_carried_out_one_plan_carries_out_no_other():
    async with desk() as at:
        assert await at.answer("first", "key-1") == {"plan": "first", "replayed": False}
        assert error_code(await at.call("second", "key-1")) == "conflict"
        assert at.desk.done == ["first"]


async def test_a_plan_that_was_refused_may_be_replaced_under_the_same_key():
    async with desk() as at:
        at.desk.refuses = True
        assert error_code(await at.call("first", "key-1")) == "conflict"
        at.desk.refuses = False
        assert await at.answer("second", "key-1") == {"plan": "second", "replayed": False}


async def test_what_is_left_unfinished_is_taken_up_again_by_the_same_call_until_it_is_done():
    async with desk() as at:
        at.desk.again = 2
        answers = [await at.answer("first", "key-1") for _ in range(4)]
        assert [answer.get("unfinished") for answer in answers if answer is not None] == [True, True, None, None]
        assert [answer["replayed"] for answer in answers if answer is not None] == [False, False, False, True]
        assert at.desk.resumed == [False, True, True]
        assert at.desk.done == ["first"]


async def test_an_unfinished_call_is_not_taken_for_another_one():
    async with desk() as at:
        at.desk.again = 1
        await at.call("first", "key-1")
        assert error_code(await at.call("second", "key-1")) == "conflict"


async def test_a_refusal_names_the_key_that_it_is_about():
    async with desk() as at:
        at.desk.refuses = True
        refused = await at.call("first", "key-1")
        assert obj(obj(refused.structured_content)["error"])["idempotency_key"] == "key-1"
        assert "key-1" not in str(refused.content)
        at.desk.refuses = False
        await at.call("first", "key-1")
        other = await at.call("second", "key-1")
        assert obj(obj(other.structured_content)["error"])["idempotency_key"] == "key-1"
