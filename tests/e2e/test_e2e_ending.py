"""SIGTERM: not ready at once, still answering for a while, then what is under way is finished, then the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

import httpx
import pytest
from mcp.client import Client
from tests.e2e.running import Command, command, eventually, posted, serving_app, stays
from tests.platform.handmade import HandMade, Hung, sentence

pytestmark = pytest.mark.anyio

SERVERS = pytest.mark.parametrize(
    "line",
    [
        ("backoffice", "up", "--sandbox", "--customers", "20", "--port", "0"),
        ("backoffice-customer", "--sandbox", "--customers", "20", "--http", "--port", "0"),
    ],
    ids=lambda line: line[0],
)


async def ready(url: str) -> str:
    """What it says about its readiness; empty when it answers nobody any more.

    A connection that is made in the moment the listener closes is dropped without an answer.
    """
    try:
        async with httpx.AsyncClient() as http:
            answer = await http.get(url.replace("/mcp", "/readyz"))
    except (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError):
        return ""
    assert answer.status_code == (200 if answer.json()["status"] == "ready" else 503)
    return answer.json()["status"]


async def serves(running: Command) -> str:
    """The URL, once it answers."""
    url = await running.told(r"(http://127\.0\.0\.1:\d+/mcp)$")

    async def answers() -> bool:
        return await ready(url) == "ready"

    await eventually(answers)
    return url


async def ends(running: Command) -> None:
    """By itself, as its signal says, long before the grace is over."""
    assert await running.ended(8) in (0, -15)


@asynccontextmanager
async def platform(folder: Path, upstream: HandMade, **settings: str) -> AsyncGenerator[tuple[Command, str]]:
    """`backoffice up` with this upstream, and its URL."""
    async with serving_app(upstream) as origin:
        file = folder / "upstreams.yaml"
        file.write_text(f"upstreams:\n  - name: x\n    url: {origin}/mcp\n")
        async with command("backoffice", "up", "--upstreams", str(file), "--port", "0", **settings) as running:
            yield running, await serves(running)


async def test_a_call_under_way_outlives_the_drain_and_the_process_ends_when_it_is_done(tmp_path: Path) -> None:
    hung = Hung()
    async with platform(tmp_path, HandMade("x", called=hung), drain="1", grace="60") as (running, url):
        seen: list[str] = []

        async def closed() -> bool:
            seen.append(await ready(url))
            return not seen[-1]

        async with Client(url) as client:
            await client.list_tools()  # or it would ask for the list after the call
            call = asyncio.create_task(client.call_tool("read_x", {}))
            await eventually(lambda: hung.waiting == 1)
            running.terminate()
            await eventually(closed)
            assert [status for status, _ in groupby(seen)][-2:] == ["draining", ""]
            await stays(lambda: hung.waiting == 1 and not call.done())
            hung.let_go.set()
            assert sentence(await call) == "at last"
        await ends(running)


async def test_a_call_that_never_ends_is_cut_off_when_the_grace_is_over(tmp_path: Path) -> None:
    hung = Hung()
    async with (
        platform(tmp_path, HandMade("x", called=hung), drain="0", grace="1") as (running, url),
        httpx.AsyncClient(timeout=30) as http,
    ):
        call = asyncio.create_task(posted(http, url, "read_x", {}))
        await eventually(lambda: hung.waiting == 1)
        running.terminate()
        await ends(running)
        await asyncio.wait((call,))
        await eventually(lambda: hung.waiting == 0)
    assert any('"tool":"read_x"' in line and '"outcome":"cancelled"' in line for line in running.lines)


@SERVERS
async def test_an_open_subscription_is_closed_in_order_and_does_not_hold_the_process(line: tuple[str, ...]) -> None:
    async with command(*line, drain="0", grace="60") as running:
        url = await serves(running)
        async with Client(url) as client, client.listen(tools_list_changed=True) as changes:
            running.terminate()
            assert [change async for change in changes] == []
            await ends(running)


@SERVERS
async def test_a_second_signal_ends_the_drain(line: tuple[str, ...]) -> None:
    async with command(*line, drain="60", grace="60") as running:
        url = await serves(running)

        async def draining() -> bool:
            return await ready(url) == "draining"

        running.terminate()
        await eventually(draining)
        running.terminate()
        await ends(running)
