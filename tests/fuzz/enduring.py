"""Calls a server many times, in all the ways that go wrong too, and prints what it holds after each quarter.

    python -m tests.fuzz.enduring 100000 FOLDER

A process of its own, so that nothing is counted but the server and its clients. Prints JSON: after a fifth of the calls to
warm up, and after each further fifth, how many objects Python has allocated and how many bytes are resident.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from prometheus_client import REGISTRY
from pydantic_core import from_json
from tests.e2e.running import eventually, posted, serving
from tests.shared.mcp.till import Drawer, Held, caller, till_server

from backoffice_shared.mcp.opening import founded
from backoffice_shared.principal import Principal, acting
from backoffice_shared.settings import Settings

AGENTS = """
agents:
  bot: {local: true, scopes: ["till:read", "till:write"], tool_rates: {get_caller: 20/second}, quotas: {calls: 10000000}}
  slow: {scopes: ["till:read"], rate: 1/hour}
"""


@dataclass
class Endured:
    client: Client
    http: httpx.AsyncClient
    url: str
    drawer: Drawer

    async def call(self, who: Principal, tool: str, **arguments: object) -> None:
        with acting(who), suppress(MCPError):
            await self.client.call_tool(tool, arguments)


BOT = caller("bot")
MANY = 10  # ever-new names at a time, so that one object kept for each of them shows in a short run


async def reads(at: Endured, _number: int) -> None:
    await at.call(BOT, "get_caller")


async def writes(at: Endured, number: int) -> None:
    await at.call(BOT, "add_note", text="x", idempotency_key=f"key {number}")
    at.drawer.notes.clear()


async def repeats(at: Endured, _number: int) -> None:
    await at.call(BOT, "add_note", text="x", idempotency_key="the same")
    at.drawer.notes.clear()


async def calls_too_often(at: Endured, _number: int) -> None:
    await at.call(caller("slow"), "list_notes")


async def is_a_stranger(at: Endured, number: int) -> None:
    for other in range(MANY):
        await at.call(Principal(f"stranger {number}/{other}", "oauth", client=f"app {number}"), "list_notes")


async def guesses_names(at: Endured, number: int) -> None:
    for other in range(MANY):
        await at.call(BOT, f"guess_{number}_{other}")


async def gives_what_is_not_asked(at: Endured, number: int) -> None:
    for other in range(MANY):
        await at.call(BOT, "list_notes", **{f"extra {number}/{other}": [number] * 100})


async def stops_to_wait(at: Endured, _number: int) -> None:
    at.drawer.before = held = Held()
    call = asyncio.create_task(at.call(BOT, "list_notes"))
    await held.reached.wait()
    at.drawer.before = Drawer().before
    call.cancel()
    await asyncio.wait([call])


async def hangs_up(at: Endured, number: int) -> None:
    at.drawer.before = held = Held()
    call = asyncio.create_task(posted(at.http, at.url, "add_note", {"text": "x", "idempotency_key": f"hung {number}"}))
    await held.reached.wait()
    at.drawer.before = Drawer().before
    call.cancel()
    await asyncio.wait([call])


async def begins_a_session_and_is_never_seen_again(at: Endured, number: int) -> None:
    client = {"name": f"client {number}", "version": "1"}
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client}
    body = {"jsonrpc": "2.0", "id": number, "method": "initialize", "params": params}
    answer = await at.http.post(at.url, json=body, headers={"accept": "application/json, text/event-stream"})
    assert answer.status_code == 200


WAYS: tuple[Callable[[Endured, int], Awaitable[None]], ...] = (
    reads,
    writes,
    repeats,
    calls_too_often,
    is_a_stranger,
    guesses_names,
    gives_what_is_not_asked,
    stops_to_wait,
    hangs_up,
    begins_a_session_and_is_never_seen_again,
)


async def main(calls: int, folder: Path) -> None:
    agents = folder / "agents.yaml"
    agents.write_text(AGENTS)
    given = Settings(agents_file=agents, audit=str(folder / "audit"), state_dir=folder / "state", grace=1)
    drawer = Drawer()
    async with (
        founded(given, "till", sandboxed=False) as on,
        Client(till_server(drawer, on)) as client,
        serving(till_server(drawer, on)) as url,
        httpx.AsyncClient() as http,
    ):
        at = Endured(client, http, url, drawer)
        fill_caches()
        held: list[tuple[int, int]] = []
        for fifth in range(5):
            for number in range(fifth * calls // 5, (fifth + 1) * calls // 5):
                await WAYS[number % len(WAYS)](at, number)
            await eventually(lambda: REGISTRY.get_sample_value("mcp_audit_waiting_records") == 0)
            gc.collect()
            held.append((sys.getallocatedblocks(), resident()))
    print(json.dumps(held))


def fill_caches() -> None:
    """The JSON parser keeps the last texts that it read, up to 16,384."""
    from_json(json.dumps([f"a text {number}" for number in range(100_000)]))


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


if __name__ == "__main__":
    logging.disable()
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
