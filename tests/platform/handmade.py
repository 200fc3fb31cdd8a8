"""An MCP server written by hand: it remembers what it was asked, and answers what no good server would."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from mcp.client import Client
from mcp.client.client import ConnectMode
from mcp_types import CallToolResult, TextContent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send
from tests.e2e.running import over, platform, serving_app

Answer = Callable[[dict[str, Any]], Coroutine[Any, Any, Response]]


@dataclass(frozen=True)
class Asked:
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass
class HandMade:
    """Has a tool to read and a tool to write, named `read_x` and `write_x` for `HandMade("x")`, unless `listed` says else."""

    name: str
    called: Answer | None = None
    listed: Answer | None = None
    asked: list[Asked] = field(default_factory=list[Asked])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = json.loads(await (request := Request(scope, receive)).body())
        self.asked.append(Asked(dict(request.headers), body))
        if body["method"] == "tools/list":
            answer = self.listed or says(
                {"tools": [tool(f"read_{self.name}"), tool(f"write_{self.name}", reads=False)]}
            )
        else:
            answer = self.called or says(text(f"{self.name} did {body['params']['name']}"))
        answering, leaving = asyncio.create_task(answer(body)), asyncio.create_task(_left(receive))
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        leaving.cancel()
        if answering.done():
            await answering.result()(scope, receive, send)
        else:
            answering.cancel()

    def calls(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.body["method"] == "tools/call"]


def tool(name: str, *, reads: bool = True) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"idempotency_key": {"type": "string"}}}
    return {"name": name, "description": name, "inputSchema": schema, "annotations": {"readOnlyHint": reads}}


def text(told: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": told}]}


def says(result: Mapping[str, Any]) -> Answer:
    """A good answer."""

    async def answer(asked: dict[str, Any]) -> Response:
        complete = {"resultType": "complete", "ttlMs": 0, "cacheScope": "private"}
        return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "result": {**complete, **result}})

    return answer


def fails(code: Any, message: str, data: Any = None, status: int = 200) -> Answer:
    """A JSON-RPC error."""

    async def answer(asked: dict[str, Any]) -> Response:
        error = {"code": code, "message": message, **({} if data is None else {"data": data})}
        return JSONResponse({"jsonrpc": "2.0", "id": asked["id"], "error": error}, status)

    return answer


def raw(content: bytes, media_type: str = "application/json", status: int = 200, **headers: str) -> Answer:
    """These bytes, whatever was asked."""

    async def answer(_asked: dict[str, Any]) -> Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Response(content, status, media_type=media_type, headers=named)

    return answer


def cut(content: bytes, media_type: str = "text/event-stream") -> Answer:
    """These bytes, then the connection breaks in the middle of the answer."""

    async def chunks() -> AsyncGenerator[bytes]:
        yield content
        raise ConnectionAbortedError("the connection breaks here")

    async def answer(_asked: dict[str, Any]) -> Response:
        return StreamingResponse(chunks(), media_type=media_type)

    return answer


class Hung:
    """An answer that is held back until it is let go."""

    def __init__(self) -> None:
        self.waiting = 0
        self.let_go = asyncio.Event()

    async def __call__(self, asked: dict[str, Any]) -> Response:
        self.waiting += 1
        try:
            await self.let_go.wait()
        finally:
            self.waiting -= 1
        return await says(text("at last"))(asked)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


@asynccontextmanager
async def composed(*upstreams: HandMade, mode: ConnectMode = "auto", **fields: Any) -> AsyncGenerator[Client]:
    """A client of the platform, which reaches these over HTTP. `fields` are as in upstreams.yaml, for all of them."""
    places = [f"/{number}" for number in range(len(upstreams))]
    mounted = Starlette(routes=[Mount(place, upstream) for place, upstream in zip(places, upstreams, strict=True)])
    async with serving_app(mounted) as origin:
        entries = over(*(f"{origin}{place}/mcp" for place in places), **fields)
        async with Client(platform(*entries), mode=mode) as client:
            yield client


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


def sentence(result: CallToolResult) -> str:
    [block] = result.content
    assert isinstance(block, TextContent)
    return block.text


def error_of(result: CallToolResult) -> dict[str, Any]:
    assert result.is_error, result
    assert result.structured_content is not None
    return result.structured_content["error"]
