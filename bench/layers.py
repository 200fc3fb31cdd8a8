"""What each policy and each layer adds to a call: `python -m bench.layers` prints the tables for docs/performance.md.

A chain is measured with its first policy, with its first two, and so on; what one adds is the difference. Nothing is on
the network: what is measured is the CPU time of the whole process, threads that write the audit included. Rounds are
interleaved, and of each the least counts: noise only ever adds. The event loop takes a turn after sixteen calls, as it
does when so many callers ask at the same time.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, cast

import httpx
from mcp.server.context import HandlerResult
from mcp_types import CallToolRequestParams, CallToolResult, TextContent

from backoffice_shared.audit.checkpoints import FileCheckpoints
from backoffice_shared.audit.sinks.jsonl import JsonLinesSink
from backoffice_shared.audit.trail import Trail
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.call import Call, attach
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.jsonvalues import parse
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import Agents
from backoffice_shared.mcp.chain import policies
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.gate import OPEN
from backoffice_shared.mcp.policy import Ctx, Policy, compose
from backoffice_shared.mcp.serving import freeze_heap, run
from backoffice_shared.mcp.shed import Load
from backoffice_shared.mcp.tool import ADD, DESTROY, READ, ToolFacts
from backoffice_shared.money import Money
from backoffice_shared.principal import Principal, acting
from backoffice_shared.state.approvals_stored import StoredApprovals
from backoffice_shared.state.memory import MemoryLimits, MemoryQuotas
from backoffice_shared.state.sqlite import SqliteDatabase
from backoffice_shared.state.stored import StoredRecords
from backoffice_shared.state.totals import StoredTotals
from bench.servers import LEDGER, RECORD

ROUNDS = 15
CALLS = 400
CALLERS = 16

AGENTS = """
agents:
  bench:
    local: true
    scopes: [bench:read, bench:write]
    rate: [1000000/minute]
    tool_rates: {get_thing: [1000000/minute]}
    quotas: {calls: 100000000, records_read: 100000000, records_changed: 100000000, money: {EUR: 100000000000}}
rate: [1000000/minute]
"""

Once = Callable[[], Awaitable[object]]


async def _nothing() -> None:
    pass


async def cheapest(ways: Sequence[Once], *, calls: int = CALLS, settle: Once = _nothing) -> list[float]:
    """Milliseconds of CPU that each way takes, with what it left to be done later: `settle` waits for that."""
    freeze_heap()  # as servers do
    found: list[list[float]] = [[] for _ in ways]
    for _ in range(ROUNDS):
        for times, once in zip(found, ways, strict=True):
            before = time.process_time()
            for number in range(calls):
                await once()
                if number % CALLERS == 0:
                    await asyncio.sleep(0)
            await settle()
            times.append((time.process_time() - before) / calls * 1000)
    return [min(times) for times in found]


def table(title: str, names: Sequence[str], totals: Sequence[float]) -> str:
    """What each adds to those before it. The first is the floor, of which nothing is counted."""
    lines = [f"| {title} | adds, ms | so far, ms |", "|---|---|---|"]
    for name, (before, total) in zip(names[1:], itertools.pairwise(totals), strict=True):
        lines.append(f"| {name} | {total - before:.3f} | {total - totals[0]:.3f} |")
    return "\n".join(lines)


class _Request:
    """As much of a call's context as policies look at."""

    params: dict[str, object] = {}
    request = None


def _spends(arguments: Any) -> Money:
    return Money(amount=arguments["amount"], currency="EUR")


_TOOLS = {
    "get_thing": ToolFacts("get_thing", READ, "bench:read"),
    "add_thing": ToolFacts("add_thing", ADD, "bench:write"),
    "pay_thing": ToolFacts("pay_thing", DESTROY, "bench:write", spends=_spends),
}
_ANSWER = CallToolResult(
    content=[TextContent(type="text", text="{}")],
    structured_content={"id": "1", "items": [{"id": n} for n in range(9)]},
)


async def _answer(_ctx: Ctx) -> HandlerResult:
    return _ANSWER


def _calling(chain: Sequence[Policy], tool: str, keys: Iterator[int]) -> Once:
    async def once() -> object:
        arguments: dict[str, Any] = {"query": "maria@example.com", "limit": 10}
        if tool != "get_thing":
            arguments = {"text": "Called back", "amount": 100, "idempotency_key": f"key-{next(keys)}"}
        params = CallToolRequestParams(name=tool, arguments=arguments)
        result = await compose(chain, params, _answer)(cast("Ctx", _Request()))
        assert result is _ANSWER, result
        return result

    return once


async def inbound(folder: Path) -> None:
    """The chain of every server, with everything that an operator can turn on."""
    (folder / "agents.yaml").write_text(AGENTS)
    access = Access(OPEN, Agents(folder / "agents.yaml"))
    async with AsyncExitStack() as stack:
        database = SqliteDatabase(folder / "records.db")
        stack.push_async_callback(database.aclose)
        trail = Trail(JsonLinesSink(folder / "audit"), FileCheckpoints(folder / "checkpoints"), b"k" * 32, "bench")
        stack.push_async_callback(trail.aclose)
        on = Foundation(
            access,
            trail,
            State(
                MemoryLimits(),
                MemoryQuotas(),
                StoredRecords(database),
                StoredApprovals(database),
                StoredTotals(database),
            ),
            Load("bench"),
        )
        chain = policies("bench", _TOOLS.get, on, deadline=30.0)
        names = ["nothing", *(type(policy).__name__.lower() for policy in chain)]
        keys = itertools.count()
        with acting(Principal("local", "none")):
            for title, tool, calls in (
                ("a read", "get_thing", CALLS),
                ("a write with a key", "add_thing", CALLS // 4),
                ("a payment", "pay_thing", CALLS // 4),
            ):
                ways = [_calling(chain[:length], tool, keys) for length in range(len(chain) + 1)]
                found = await cheapest(ways, calls=calls, settle=lambda: trail.intent({"event": "bench"}))
                print(table(f"inbound, {title}", names, found), end="\n\n", flush=True)


class _Record(httpx.AsyncBaseTransport):
    """A backend that answers at once."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=_RECORD, headers={"content-type": "application/json"}, request=request)


_RECORD = json.dumps(RECORD).encode()
_URL = "https://ledger.example"


async def outbound() -> None:
    """The stack as `connect` assembles it, asked at each of its layers."""
    credentials = EnvironmentCredentials({"ledger_access_token": "x" * 20})
    client = connect(LEDGER, _Record(), credentials, base_url=_URL)
    layers = list(_from_within(client))
    call = Call("invoices.read", reads=True, partition="bench")

    def through(layer: httpx.AsyncBaseTransport) -> Once:
        async def once() -> object:
            request = attach(httpx.Request("GET", f"{_URL}/invoices/in_1042"), call)
            request.extensions["timeout"] = dict.fromkeys(("connect", "read", "write", "pool"), 10.0)
            return parse((await layer.handle_async_request(request)).content)

        return once

    async def bare() -> object:
        return (await plain.get(f"{_URL}/invoices/in_1042", headers={"Authorization": "Bearer x"})).json()

    async def whole() -> object:
        return await client.read("invoices.read", "/invoices/in_1042", into=parsed)

    async def kept() -> object:
        return await client.read("invoices.kept", "/invoices/in_1042", into=parsed, fresh_for=3600)

    async with httpx.AsyncClient(transport=_Record()) as plain:
        ways = [through(_Record()), *map(through, layers), whole]
        names = ["", *(type(layer).__name__.lower() for layer in layers), "client: the request, and our words"]
        print(table("outbound, a read", names, await cheapest(ways)), end="\n\n")
        floor, ours, hit = await cheapest([bare, whole, kept])
        print("| outbound, a read | ms | above the bare client, ms |\n|---|---|---|")
        for name, cost in (("bare httpx.AsyncClient", floor), ("the whole stack", ours), ("from the cache", hit)):
            print(f"| {name} | {cost:.3f} | {cost - floor:.3f} |")
    await client.aclose()


def parsed(value: Any) -> Any:
    return value


def _from_within(client: BackendClient) -> Iterator[httpx.AsyncBaseTransport]:
    """The layers, the innermost first."""
    layers: list[httpx.AsyncBaseTransport] = []
    layer = getattr(client, "_stack", None)
    while isinstance(layer, httpx.AsyncBaseTransport) and not isinstance(layer, _Record):
        layers.append(layer)
        layer = getattr(layer, "_inner", None)
    return reversed(layers)


def main() -> None:
    run(outbound)
    print()
    with tempfile.TemporaryDirectory() as folder:
        run(lambda: inbound(Path(folder)))


if __name__ == "__main__":
    main()
