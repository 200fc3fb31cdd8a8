"""Serves one MCP server: over Streamable HTTP with health, metrics and an orderly end, or over stdio.

Both protocol eras are on the same endpoint. HTTP is always stateless, so that any replica answers any request.
"""

from __future__ import annotations

import asyncio
import gc
import math
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.server.subscriptions import ListenHandler
from mcp.server.transport_security import TransportSecuritySettings
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.readiness import Readiness
from backoffice_shared.settings import Settings

PATH = "/mcp"
LARGEST_REQUEST = 1024 * 1024  # bytes
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

AnyServer = MCPServer[Any] | Server[Any]
Wrap = Callable[[ASGIApp], ASGIApp]


def http_app(server: AnyServer, settings: Settings, readiness: Readiness) -> Starlette:
    """The MCP endpoint with `/healthz`, `/readyz` and `/metrics` beside it."""
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        json_response=False,  # keeps cancellation when the caller hangs up, progress, and subscriptions
        max_request_body_size=LARGEST_REQUEST,
        transport_security=_security(settings),
    )

    async def live(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_request: Request) -> Response:
        if readiness.draining:
            return JSONResponse({"status": "draining"}, 503)
        if unmet := await readiness.unmet():
            return JSONResponse({"status": "not ready", "unmet": unmet}, 503)
        return JSONResponse({"status": "ready"})

    async def metrics(_request: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    app.router.routes.extend([Route("/healthz", live), Route("/readyz", ready), Route("/metrics", metrics)])
    return app


def _security(settings: Settings) -> TransportSecuritySettings:
    """Host and Origin are checked whatever address we are bound to: a browser page must not reach us by a name of its own."""
    loopback = [host for name in _LOOPBACK for host in (name, f"{name}:*")]
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*loopback, *settings.allowed_hosts],
        allowed_origins=[*(f"http://{host}" for host in loopback), *settings.allowed_origins],
    )


class HttpServer(uvicorn.Server):
    """uvicorn, with an orderly end: not ready at once, still answering for a while, then finish what is under way."""

    def __init__(
        self,
        server: AnyServer,
        settings: Settings,
        *,
        signals: bool = True,
        started: Callable[[], None] = lambda: None,
        guard: Wrap = lambda app: app,
        readiness: Readiness | None = None,
    ) -> None:
        """`guard` stands before the app and lets nobody through unidentified."""
        self._readiness = readiness or Readiness()
        self._started = started
        app = guard(http_app(server, settings, self._readiness))
        config = uvicorn.Config(
            app,
            access_log=False,
            log_config=None,  # its lines are lines of our log
            log_level="warning",
            proxy_headers=False,  # who calls is said by a credential, never by a header that anybody can write
            server_header=False,
            timeout_graceful_shutdown=math.ceil(settings.grace),
            timeout_keep_alive=75,
        )
        super().__init__(config)
        self._low_level = server.session_manager.app
        self._drain = settings.drain
        self._signals = signals

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal starts the drain, a second one ends it."""
        if self._readiness.draining or self._drain <= 0 or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        self._readiness.draining = True
        stop = super().handle_exit
        self._loop.call_soon_threadsafe(lambda: self._loop.call_later(self._drain, stop, sig, frame))

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Of several servers in one process, one minds the signals. They end the server, and then nothing else:
        what is around it is still to be closed."""
        minded = (signal.SIGINT, signal.SIGTERM) if self._signals else ()
        before = {number: signal.signal(number, self.handle_exit) for number in minded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        freeze_heap()
        self._started()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Open subscription streams would hold the process until the grace is over.
        listening = self._low_level.get_request_handler("subscriptions/listen")
        if listening is not None and isinstance(listening.handler, ListenHandler):
            listening.handler.close()
        await super().shutdown(sockets)


def freeze_heap() -> None:
    """What exists after start stays for good: the collector need not walk it again. Takes long pauses out of p99."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def listen(settings: Settings) -> socket.socket:
    """The socket that callers connect to.

    Raises:
        InvalidInput: the address cannot be used.
    """
    return bind(settings.host, settings.port)


def must_not_be_open(settings: Settings, *, guarded: bool) -> None:
    """Beyond loopback, callers are identified, or the operator says that they need not be.

    Raises:
        InvalidInput: everything would be open to everybody.
    """
    if guarded or settings.allow_unauthenticated or settings.host in ("127.0.0.1", "localhost", "::1"):
        return
    raise InvalidInput(
        "",
        f"listening on {settings.host} would let everybody who can reach it call every tool",
        hint="Configure who may call (BACKOFFICE_OAUTH_ISSUER, or keys in BACKOFFICE_AGENTS_FILE), listen on 127.0.0.1, "
        "or, where the network itself keeps strangers out, set BACKOFFICE_ALLOW_UNAUTHENTICATED=true",
    )


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        InvalidInput: the address cannot be used. The sentence says why, and what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, because an event loop turns off the delay of small packets only for sockets that say that they are TCP.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
        listening.listen(1024)
    except OSError as error:
        listening.close()
        raise InvalidInput(
            "",
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            hint="Choose another address with --host or --port",
        ) from None
    listening.setblocking(False)  # noqa: FBT003
    return listening


def address(host: str, listening: socket.socket, *, scheme: str = "http", path: str = PATH) -> str:
    """Where a client on this machine connects. A wildcard is where we listen, not where anybody is."""
    name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"{scheme}://{name}:{listening.getsockname()[1]}{path}"


async def serve_http(
    server: AnyServer,
    settings: Settings,
    listening: socket.socket,
    *,
    started: Callable[[], None],
    guard: Wrap | None = None,
    readiness: Readiness | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. `started` is called once requests are answered and signals are minded."""
    must_not_be_open(settings, guarded=guard is not None)
    http = HttpServer(server, settings, started=started, guard=guard or (lambda app: app), readiness=readiness)
    await http.serve(sockets=[listening])


async def serve_stdio(server: AnyServer) -> None:
    """Speak MCP on standard input and output. Everything else this process prints goes to standard error."""
    freeze_heap()
    if isinstance(server, MCPServer):
        await server.run_stdio_async()
        return
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run `main` on the fastest event loop there is."""

    async def entered() -> None:
        await main()

    if sys.platform == "win32":
        asyncio.run(entered())
        return
    import uvloop  # noqa: PLC0415 - does not exist on Windows

    uvloop.run(entered())
