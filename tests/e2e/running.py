"""Real servers for tests: in the test's own event loop, or as the commands that people run."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from starlette.types import ASGIApp
from tests.canaries import WATCH, canary, watched
from tests.foundation import Records, foundation

from backoffice_billing.server import SERVER as BILLING
from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_platform.registry import Registry
from backoffice_platform.server import platform_server
from backoffice_platform.upstreams import Upstream
from backoffice_shared.http.network import wire
from backoffice_shared.mcp.auth.assertion import Signer, make_key
from backoffice_shared.mcp.domain import Domain, sandboxed
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.serving import AnyServer, HttpServer, bind
from backoffice_shared.sandbox.company import Company
from backoffice_shared.settings import Settings


def settings(**given: object) -> Settings:
    """Settings with an end that nobody has to wait for."""
    return Settings.model_validate({"grace": 1, "cursor_key": canary("cursors"), **given})


SETTINGS = settings()
SECONDS = 15.0
"""How long a test waits for something to become true before it fails."""


async def eventually(condition: Callable[[], object], seconds: float = SECONDS) -> None:
    """Return when `condition`, which may be asynchronous, holds; fail when it does not within `seconds`."""
    for _ in range(round(seconds * 100)):
        found = condition()
        if await found if inspect.isawaitable(found) else found:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it did not happen within {seconds:g} s")


async def stays(condition: Callable[[], object]) -> None:
    """Fail when `condition` stops to hold within half a second: longer than a server takes to drop what it will drop."""
    for _ in range(50):
        assert condition(), "it did not stay so"
        await asyncio.sleep(0.01)


async def posted(http: httpx.AsyncClient, url: str, tool: str, arguments: Mapping[str, object]) -> httpx.Response:
    """One tool call as bytes on the wire, for a caller that minds its connection."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": dict(arguments), "_meta": meta}
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return await http.post(url, json=body, headers=headers)


class _Side(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


@asynccontextmanager
async def _running(server: uvicorn.Server, host: str, port: int) -> AsyncGenerator[str]:
    listening = bind(host, port)
    task = asyncio.create_task(server.serve(sockets=[listening]))
    try:
        await eventually(lambda: server.started or task.done())
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def serving(
    server: AnyServer, given: Settings = SETTINGS, *, host: str = "127.0.0.1", port: int = 0
) -> AsyncGenerator[str]:
    """The MCP server over HTTP until the block ends. Gives the URL of its endpoint."""
    async with _running(HttpServer(server, given, signals=False, guard=watched), host, port) as origin:
        yield f"{origin}/mcp"


@asynccontextmanager
async def serving_app(app: ASGIApp, *, port: int = 0) -> AsyncGenerator[str]:
    """Any ASGI app over HTTP until the block ends. When it does, answers under way are cut off."""
    config = uvicorn.Config(app, access_log=False, log_level="critical", timeout_graceful_shutdown=0)
    async with _running(_Side(config), "127.0.0.1", port) as origin:
        yield origin


def customer_server(sink: Records | None = None) -> AnyServer:
    """The customer server over a small company in this process."""
    return _over_company(CUSTOMER, sink)


def billing_server(sink: Records | None = None) -> AnyServer:
    """The billing server over the same."""
    return _over_company(BILLING, sink)


def _over_company(domain: Domain, sink: Records | None) -> AnyServer:
    company = Company(seed=7, customers=20)
    reachable = sandboxed(domain, {vendor.backend.name: vendor.sandbox(company) for vendor in domain.vendors})
    return domain_server(domain, reachable, SETTINGS, foundation(audit=sink))


def over(*urls: str, **fields: Any) -> list[Upstream]:
    """Upstreams at these URLs, called upstream-1, upstream-2 and so on."""
    return [
        Upstream.model_validate({"name": f"upstream-{number}", "url": url, **fields})
        for number, url in enumerate(urls, start=1)
    ]


def platform(
    *upstreams: Upstream,
    sink: Records | None = None,
    on: Foundation | None = None,
    transport: Callable[[], httpx.AsyncBaseTransport] = wire,
) -> AnyServer:
    """The platform over these, with a key of its own to say who calls."""
    registry = Registry(upstreams, identify=Signer(make_key()).assertion, transport=transport)
    return platform_server(registry, SETTINGS, on or foundation(audit=sink))


@asynccontextmanager
async def platform_over(*upstreams: Upstream, sink: Records | None = None) -> AsyncGenerator[str]:
    async with serving(platform(*upstreams, sink=sink)) as url:
        yield url


def script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


class Command:
    """A command of ours that is running. `lines` is what it has told the operator so far.

    A sandbox tells its secrets: they open nothing else.
    """

    def __init__(self, process: Process, *, is_sandbox: bool) -> None:
        self.process = process
        self._is_sandbox = is_sandbox
        self.lines: list[str] = []
        self._reading = asyncio.create_task(self._read())

    async def told(self, pattern: str) -> str:
        """The first group of the first line that matches."""
        found: list[str] = []

        def matches() -> bool:
            found.extend(match[1] for line in self.lines if (match := re.search(pattern, line)))
            return bool(found) or self._reading.done()

        await eventually(matches)
        assert found, f"it ended without saying {pattern!r}: {self.lines}"
        return found[0]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    async def ended(self, seconds: float = SECONDS) -> int:
        """How it ended: its exit code, or minus the number of the signal that it passed on to itself."""
        async with asyncio.timeout(seconds):
            await self._reading
            return await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            if not self._is_sandbox:
                WATCH.saw("what a command told", line)
            self.lines.append(line.decode().rstrip("\n"))


def clean_environment(**given: str) -> dict[str, str]:
    """This process's environment with no settings of ours but these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BACKOFFICE_")}
    return {**kept, **{f"BACKOFFICE_{name.upper()}": value for name, value in given.items()}}


@asynccontextmanager
async def command(name: str, *arguments: str, **given: str) -> AsyncGenerator[Command]:
    """The command until the block ends, if it has not ended by itself."""
    process = await asyncio.create_subprocess_exec(
        script(name), *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=clean_environment(**given)
    )
    running = Command(process, is_sandbox=arguments[:1] == ("sandbox",))
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await running.ended()


async def outcome(name: str, *arguments: str, **given: str) -> tuple[int, str, str]:
    """What a command that ends by itself ends with: its exit code, its output, and what it told the operator."""
    process = await asyncio.create_subprocess_exec(
        script(name), *arguments, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=clean_environment(**given)
    )
    async with asyncio.timeout(SECONDS):
        output, told = await process.communicate()
    WATCH.saw(f"what {name} said", output + told)
    assert process.returncode is not None
    return process.returncode, output.decode(), told.decode()


async def told(url: str, tool: str, **arguments: str) -> dict[str, Any]:
    """What `backoffice call` prints for this tool; when that refuses, `refused` with what it said instead."""
    given = [f"{name}={value}" for name, value in arguments.items()]
    _, output, said = await outcome("backoffice", "call", tool, *given, "--url", url)
    return json.loads(output) if output else {"refused": said}
