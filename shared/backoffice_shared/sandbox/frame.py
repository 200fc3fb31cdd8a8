"""The frame of every vendor's sandbox: faults on demand, a log of requests, and the vendor's own words for both.

A sandbox is an ASGI app that answers as the vendor does. Faults are set on it in Python, or with
`PUT /_sandbox/faults` when it is served:

    curl -X PUT :8101/_sandbox/faults -d '{"throttle": 1.0}'        every request is answered 429
    curl -X PUT :8101/_sandbox/faults -d '{"error": 0.2, "slow": 0.5, "seconds": 3}'
    curl -X PUT :8101/_sandbox/faults -d '{"plan": ["error", "ok", "drop_after_commit"]}'
    curl -X PUT :8101/_sandbox/faults -d '{}'                        none
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from random import Random
from typing import Literal

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Fault = Literal["ok", "throttle", "error", "slow", "reset", "drop_after_commit", "malformed", "wrong_types"]

_Rate = Field(default=0.0, ge=0, le=1)


class Faults(BaseModel):
    """Each fault's share of requests, or a `plan` that says what happens to the next ones in turn.

    throttle           the vendor's 429
    error              the vendor's 503
    slow               the answer comes after `seconds`
    reset              the connection breaks before anything is done
    drop_after_commit  everything is done, then the connection breaks
    malformed          200, with half of the JSON
    wrong_types        200, with JSON of another shape
    stale_search       searches do not yet see what was written (a switch, not a share)
    """

    model_config = ConfigDict(extra="forbid")

    throttle: float = _Rate
    error: float = _Rate
    slow: float = _Rate
    reset: float = _Rate
    drop_after_commit: float = _Rate
    malformed: float = _Rate
    wrong_types: float = _Rate
    seconds: float = Field(default=2.0, ge=0, le=86_400)
    retry_after: int = Field(default=1, ge=0)
    stale_search: bool = False
    plan: list[Fault] = []

    @model_validator(mode="after")
    def _at_most_all(self) -> Faults:
        if math.fsum(getattr(self, name) for name in _SHARES) > 1:
            raise ValueError("the shares add up to more than 1")
        return self

    def next(self, chance: Random) -> Fault:
        if self.plan:
            return self.plan.pop(0)
        drawn = chance.random()
        for name in _SHARES:
            share: float = getattr(self, name)
            if drawn < share:
                return name
            drawn -= share
        return "ok"


_SHARES: tuple[Fault, ...] = ("throttle", "error", "slow", "reset", "drop_after_commit", "malformed", "wrong_types")


class ConnectionDropped(Exception):  # noqa: N818 - it is what happened
    """The sandbox breaks the connection instead of answering."""


@dataclass(frozen=True, slots=True)
class Logged:
    """One request that a sandbox saw. `status` is 0 when it broke the connection."""

    method: str
    path: str
    status: int


@dataclass
class VendorSandbox:
    """One vendor's sandbox. `app` answers; `credentials` and `options` are what an adapter needs to use it. `over` makes
    what carries requests to it in this process, where that is not HTTP; `listening` then serves it on a host, on free
    ports, and gives the URL that an adapter connects to.

    `throttled` and `unavailable` make the vendor's own answers for 429 (given seconds to wait) and 503.
    """

    name: str
    title: str
    app: ASGIApp
    credentials: Mapping[str, str]
    throttled: Callable[[int], Response]
    unavailable: Callable[[], Response]
    options: Mapping[str, str] = field(default_factory=dict[str, str])
    over: Callable[[], httpx.AsyncBaseTransport] | None = None
    listening: Callable[[str], AbstractAsyncContextManager[str]] | None = None
    faults: Faults = field(default_factory=Faults)
    requests: deque[Logged] = field(default_factory=lambda: deque[Logged](maxlen=10_000))
    chance: Random = field(default_factory=lambda: Random(0))
    waiting: int = 0
    """Requests that it is holding back at the moment."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"].startswith("/_sandbox/"):
            await self._control(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self.faults.next(self.chance)
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            match fault:
                case "ok":
                    await self.app(scope, receive, noted)
                case "throttle":
                    await self.throttled(self.faults.retry_after)(scope, receive, noted)
                case "error":
                    await self.unavailable()(scope, receive, noted)
                case "slow":
                    await self._slowly(scope, receive, noted)
                case "reset":
                    await _drop(scope, send)
                case "drop_after_commit":
                    await self.app(scope, receive, _swallow)
                    await _drop(scope, send)
                case "malformed":
                    await Response(b'{"results": [{"id": "1", ', media_type="application/json")(scope, receive, noted)
                case "wrong_types":
                    await JSONResponse(_NONSENSE)(scope, receive, noted)
        finally:
            self.requests.append(Logged(scope["method"], scope["path"], status))

    async def _slowly(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold the answer back, and notice when the caller stops waiting for it."""
        body = await Request(scope, receive).body()
        self.waiting += 1
        hung_up = asyncio.ensure_future(_disconnected(receive))
        try:
            await asyncio.wait((hung_up,), timeout=self.faults.seconds)
            if hung_up.done():
                return
        finally:
            self.waiting -= 1
            hung_up.cancel()
        await self.app(scope, _replay(body, receive), send)

    async def _control(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if scope["path"] != "/_sandbox/faults":
            await JSONResponse({"error": "the switches are at /_sandbox/faults"}, 404)(scope, receive, send)
            return
        if request.method == "PUT" and scope["path"] == "/_sandbox/faults":
            try:
                self.faults = Faults.model_validate_json(await request.body())
            except ValidationError as error:
                wrong = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)]
                await JSONResponse({"error": wrong}, 422)(scope, receive, send)
                return
        seen = [f"{entry.method} {entry.path} {entry.status}" for entry in list(self.requests)[-100:]]
        answer = {"vendor": self.name, "faults": self.faults.model_dump(), "waiting": self.waiting, "requests": seen}
        await JSONResponse(answer)(scope, receive, send)


class InProcess(httpx.AsyncBaseTransport):
    """Reaches a sandbox without a socket. A connection that it breaks looks like one that broke on the wire."""

    def __init__(self, sandbox: VendorSandbox) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await sandbox({**scope, _IN_PROCESS: True}, receive, send)

        self._inner = httpx.ASGITransport(app)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await self._inner.handle_async_request(request)
        except ConnectionDropped as error:
            raise httpx.ReadError("the connection broke before an answer came", request=request) from error


_IN_PROCESS = "backoffice.in_process"

_NONSENSE: dict[str, object] = {
    "results": "none",
    "tickets": 7,
    "ticket": [],
    "users": {"id": 1},
    "data": 42,
    "id": [],
    "errors": None,
}


async def _drop(scope: Scope, send: Send) -> None:
    """Break the connection: in process by an exception, on a socket by an answer shorter than it says."""
    if _IN_PROCESS in scope:
        raise ConnectionDropped
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
    await send({"type": "http.response.body", "body": b"{", "more_body": False})


async def _swallow(_message: Message) -> None:
    pass


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _replay(body: bytes, then: Receive) -> Receive:
    given = False

    async def receive() -> Message:
        nonlocal given
        if given:
            return await then()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive
