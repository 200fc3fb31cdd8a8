"""`backoffice sandbox`: every vendor's sandbox over one company, on HTTP and HTTPS, for servers and for vendors' own clients."""

from __future__ import annotations

import asyncio
import signal
import tempfile
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from socket import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from backoffice_platform.installed import all_sandboxes
from backoffice_shared.mcp.serving import address, bind
from backoffice_shared.sandbox.certificate import make_certificate
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.directory import describe
from backoffice_shared.sandbox.frame import VendorSandbox


class _Side(uvicorn.Server):
    """One of several servers in a process: the process minds the signals."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def serve_sandboxes(company: Company, *, host: str, port: int, say: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM. `port` is the directory's; the vendors' follow it (all free ones when it is 0).

    Raises:
        InvalidInput: one of the ports is in use.
    """
    sandboxes = all_sandboxes(company)
    async with AsyncExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="backoffice-sandbox-"))
        certificate, key = make_certificate(Path(folder))
        ports = [0] * (1 + 2 * len(sandboxes)) if port == 0 else [port + n for n in range(1 + 2 * len(sandboxes))]
        sockets = [bind(host, wanted) for wanted in ports]
        directory, *rest = sockets
        plain, secure = rest[: len(sandboxes)], rest[len(sandboxes) :]
        entries = {
            name: describe(sandbox, _address(host, http), _address(host, https, scheme="https"))
            for (name, sandbox), http, https in zip(sandboxes.items(), plain, secure, strict=True)
        }
        for name, sandbox in sandboxes.items():
            if sandbox.listening is not None:
                entries[name]["url"] = await running.enter_async_context(sandbox.listening(host))
        index = Starlette(routes=[Route("/", _index({"company": company.name, "vendors": entries}))])
        servers = [(_server(index), directory)]
        servers += [(_server(app), sock) for app, sock in zip(sandboxes.values(), plain, strict=True)]
        servers += [(_server(app, certificate, key), s) for app, s in zip(sandboxes.values(), secure, strict=True)]
        _table(company, sandboxes, entries, _address(host, directory), certificate, say)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, _stop, [server for server, _ in servers])
        await asyncio.gather(*(server.serve(sockets=[sock]) for server, sock in servers))


def _table(
    company: Company,
    sandboxes: dict[str, VendorSandbox],
    entries: dict[str, dict[str, object]],
    directory: str,
    certificate: Path,
    say: Callable[[str], None],
) -> None:
    say(
        f"{company.name}: {len(company.people):,} customers, {len(company.orders):,} orders, {len(company.tickets):,} tickets"
    )
    say("")
    width = max((len(str(entry["url"])) for entry in entries.values()), default=0)
    say(f"{'vendor':10} {'HTTP':{width}} {'HTTPS':25} test credentials")
    for name, sandbox in sandboxes.items():
        credentials = " ".join(f"{field}={value}" for field, value in sandbox.credentials.items())
        say(f"{name:10} {entries[name]['url']!s:{width}} {entries[name]['https_url']!s:25} {credentials}")
    say("")
    say(f"For HTTPS, trust {certificate}")
    say(f"Directory {directory}   use it: backoffice up --sandbox {directory}")
    first = next(iter(entries.values()))["control"] if entries else ""
    say(f"Faults    curl -X PUT {first}/_sandbox/faults -d '{{\"throttle\": 0.5}}'")


def _index(content: dict[str, object]) -> Callable[[Request], Response]:
    return lambda _request: JSONResponse(content)


def _server(app: ASGIApp, certificate: Path | None = None, key: Path | None = None) -> _Side:
    return _Side(
        uvicorn.Config(
            app,
            access_log=False,
            log_level="critical",
            lifespan="off",
            timeout_graceful_shutdown=1,
            ssl_certfile=certificate,
            ssl_keyfile=key,
        )
    )


def _address(host: str, listening: socket, *, scheme: str = "http") -> str:
    return address(host, listening, scheme=scheme, path="")


def _stop(servers: list[_Side]) -> None:
    for server in servers:
        server.should_exit = True
