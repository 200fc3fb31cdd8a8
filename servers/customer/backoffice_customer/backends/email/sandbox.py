"""The support mailbox of the fictional company, on real SMTP and IMAP servers on loopback.

In this process they are started when the first request comes, on ports that happen to be free. `serve` starts them for
everybody:

    async with serve(sandbox, "127.0.0.1", smtp_port=2525, imap_port=1143): ...
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_customer.backends.email.faulty import Broken, Faulty
from backoffice_customer.backends.email.imapd import ImapSession
from backoffice_customer.backends.email.postoffice import SUPPORT, PostOffice
from backoffice_customer.backends.email.smtpd import SmtpSession
from backoffice_customer.backends.email.wire import MailWire
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

PASSWORD = "password-sandbox-email"  # noqa: S105 - a test credential of a fictional company
ACCESS_TOKEN = "token-sandbox-email"  # noqa: S105

_LONGEST_LINE = 1 << 20  # of a command


@dataclass
class MailSandbox(VendorSandbox):
    """`office` is where the mail is, to look at."""

    office: PostOffice = field(kw_only=True)


@dataclass(frozen=True, slots=True)
class Ports:
    smtp: int
    imap: int


def email_sandbox(company: Company) -> MailSandbox:
    office = PostOffice(company)
    sandbox = MailSandbox(
        name="email",
        title="E-mail",
        app=Starlette(routes=[Route("/{path:path}", _not_here)]),
        credentials={"username": SUPPORT, "password": PASSWORD},
        options={
            "imap_server": "imap.northwind.example",
            "smtp_server": "smtp.northwind.example",
            "address": SUPPORT,
        },
        throttled=lambda seconds: JSONResponse({"error": "Too many commands"}, 429, {"retry-after": str(seconds)}),
        unavailable=lambda: JSONResponse({"error": "Temporarily unavailable"}, 503),
        office=office,
    )
    sandbox.over = lambda: InThisProcess(sandbox)
    sandbox.listening = lambda host: _served(sandbox, host)
    return sandbox


@asynccontextmanager
async def _served(sandbox: MailSandbox, host: str) -> AsyncGenerator[str]:
    async with serve(sandbox, host) as ports:
        yield f"mail://{host}:{ports.imap}/{quote(f'{host}:{ports.smtp}', safe='')}/{SUPPORT}"


class InThisProcess(httpx.AsyncBaseTransport):
    """The mail wire to servers of its own, wherever a request says that they are."""

    def __init__(self, sandbox: MailSandbox) -> None:
        self._sandbox = sandbox
        self._wire = MailWire()
        self._running = AsyncExitStack()
        self._ports: Ports | None = None
        self._starting = asyncio.Lock()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        async with self._starting:
            if self._ports is None:
                self._ports = await self._running.enter_async_context(serve(self._sandbox))
        # What went to the mailbox's servers goes to these; the path after the first segment stays.
        rest = request.url.raw_path.decode().split("/", 2)[2]
        there = f"mail://127.0.0.1:{self._ports.imap}/{quote(f'127.0.0.1:{self._ports.smtp}', safe='')}/{rest}"
        sent = httpx.Request(request.method, there, headers=request.headers, content=await request.aread())
        sent.extensions["timeout"] = request.extensions.get("timeout", {})
        return await self._wire.handle_async_request(sent)

    async def aclose(self) -> None:
        await self._wire.aclose()
        await self._running.aclose()


class _Session(Protocol):
    async def run(self) -> None: ...


@asynccontextmanager
async def serve(
    sandbox: MailSandbox,
    host: str = "127.0.0.1",
    *,
    smtp_port: int = 0,
    imap_port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[Ports]:
    """Both servers, on these ports or on free ones, until the block ends. With `tls` they speak nothing else, as is due
    on ports 465 and 993; without it, keep them on loopback.
    """
    faulty = Faulty(lambda: sandbox)
    office = sandbox.office

    def smtp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Session:
        return SmtpSession(office, faulty, _knows, reader, writer)

    def imap(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> _Session:
        return ImapSession(office, faulty, _knows, reader, writer)

    async with (
        _listening(smtp, host, smtp_port, tls) as taken_by_smtp,
        _listening(imap, host, imap_port, tls) as taken_by_imap,
    ):
        yield Ports(taken_by_smtp, taken_by_imap)


@asynccontextmanager
async def _listening(
    session: Callable[[asyncio.StreamReader, asyncio.StreamWriter], _Session],
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
) -> AsyncGenerator[int]:
    talking: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - each connection has one
        talking.add(task)
        try:
            await session(reader, writer).run()
            await writer.drain()
        except (Broken, OSError, asyncio.IncompleteReadError, ValueError, asyncio.CancelledError):
            pass  # the connection has ended, a line was too long, or the server is being stopped
        finally:
            talking.discard(task)
            writer.close()

    server = await asyncio.start_server(talk, host, port, limit=_LONGEST_LINE, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(talking):
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)


def _knows(mechanism: str, initial: bytes) -> bool:
    if mechanism == "PLAIN":
        return initial in (f"\0{SUPPORT}\0{PASSWORD}".encode(), f"{SUPPORT}\0{SUPPORT}\0{PASSWORD}".encode())
    return mechanism == "XOAUTH2" and initial == f"user={SUPPORT}\x01auth=Bearer {ACCESS_TOKEN}\x01\x01".encode()


async def _not_here(_request: Request) -> Response:
    return JSONResponse({"title": "E-mail", "speaks": ["SMTP", "IMAP"], "address": SUPPORT})
