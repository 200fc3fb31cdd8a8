"""Serves a sandbox on a loopback port, as a vendor's own client needs it, and notes what goes to and fro."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclass
class Exchange:
    """One request and its answer. `query` holds the values of each parameter."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes
    status: int = 0
    answer: bytes = b""

    @property
    def sent(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def answered(self) -> Any:
        return json.loads(self.answer) if self.answer else None


@dataclass
class Served:
    """An app at `url`, and all that it was asked since it is there."""

    app: ASGIApp
    url: str = ""
    exchanges: list[Exchange] = field(default_factory=list[Exchange])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = await Request(scope, receive).body()
        query = parse_qs(scope["query_string"].decode(), keep_blank_values=True)
        exchange = Exchange(scope["method"], scope["path"], query, body)
        self.exchanges.append(exchange)

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def noted(message: Message) -> None:
            exchange.status = message.get("status", exchange.status)
            exchange.answer += message.get("body", b"")
            await send(message)

        await self.app(scope, again, noted)


@contextmanager
def serving(app: ASGIApp) -> Generator[Served]:
    """`app` over HTTP, from a thread of its own: vendors' clients block."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        served = Served(app, f"http://127.0.0.1:{listening.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(served, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield served
        finally:
            server.should_exit = True
            thread.join()
