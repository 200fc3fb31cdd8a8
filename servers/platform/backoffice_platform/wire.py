"""A stateless MCP 2026-07-28 client for one upstream: one pooled POST a request, no session, nothing shared to break.

The caller's token never goes along. What does: progress, cancellation (by hanging up), the trace, the time left.
Source: the Streamable HTTP transport of https://modelcontextprotocol.io/specification/2026-07-28/basic/transports
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from itertools import count
from typing import Any

import httpx
from mcp.shared.exceptions import MCPError
from mcp.shared.inbound import encode_header_value, mcp_param_headers, x_mcp_header_map
from mcp_types import CLIENT_CAPABILITIES_META_KEY, CLIENT_INFO_META_KEY, PROTOCOL_VERSION_META_KEY
from opentelemetry.propagate import inject

from backoffice_shared import __version__
from backoffice_shared.http.outcome import Outcome, of_error
from backoffice_shared.jsonvalues import compact, obj, parse
from backoffice_shared.mcp.timed import DEADLINE_META

VERSION = "2026-07-28"
LARGEST_ANSWER = 8 * 1024 * 1024  # bytes
_NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
_OWN_TO_THE_HOP = {PROTOCOL_VERSION_META_KEY, CLIENT_INFO_META_KEY, CLIENT_CAPABILITIES_META_KEY}
_CLIENT_INFO = {"name": "backoffice-platform", "version": __version__}

Progress = Callable[[float, float | None, str | None], Awaitable[None]]


class UpstreamFailed(Exception):  # noqa: N818 - it is what happened
    """No usable answer. `sent`: the request may have reached the upstream, which may have carried it out.

    `late`: the time given to it was up. `large`: it answered more than we carry. `status` is the HTTP status with which it
    refused, 0 when it did not.
    """

    def __init__(self, reason: str, *, sent: bool, late: bool = False, large: bool = False, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status
        self.sent = sent
        self.late = late
        self.large = large


class WireClient:
    def __init__(self, url: str, transport: httpx.AsyncBaseTransport) -> None:
        self._url = url
        self._transport = transport
        self._ids = count(1)

    async def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        timeout: float,
        meta: Mapping[str, Any] | None = None,
        capabilities: Mapping[str, Any] | None = None,
        schema: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
        deadline_ms: int | None = None,
        authorization: str | None = None,
        largest: int = LARGEST_ANSWER,
    ) -> dict[str, Any]:
        """The JSON-RPC result. Cancelling hangs up, which cancels the upstream's work. `timeout` is in seconds.

        `schema` is the input schema of the tool called: it may ask for arguments to be mirrored in headers.
        `authorization` is our own credential for this upstream, never the caller's.

        Raises:
            MCPError: the upstream answered with a JSON-RPC error.
            UpstreamFailed: it gave no usable answer.
        """
        identity = next(self._ids)
        sent_meta = {key: value for key, value in (meta or {}).items() if _goes_along(key)}
        sent_meta |= {
            PROTOCOL_VERSION_META_KEY: VERSION,
            CLIENT_INFO_META_KEY: _CLIENT_INFO,
            CLIENT_CAPABILITIES_META_KEY: dict(capabilities or {}),
        }
        if progress is not None:
            sent_meta["progressToken"] = identity
        if deadline_ms is not None:
            sent_meta[DEADLINE_META] = deadline_ms
        inject(sent_meta)
        body = {"jsonrpc": "2.0", "id": identity, "method": method, "params": {**params, "_meta": sent_meta}}
        request = httpx.Request(
            "POST", self._url, content=compact(body).encode(), headers=_headers(method, params, schema)
        )
        if authorization is not None:
            request.headers["authorization"] = authorization
        request.extensions["timeout"] = {"connect": min(timeout, 5.0), "read": timeout, "write": timeout, "pool": 5.0}
        try:
            async with asyncio.timeout(timeout):
                reply = await self._exchange(request, identity, progress, largest)
        except TimeoutError as error:
            raise UpstreamFailed(f"no answer within {timeout:g} s", sent=True, late=True) from error
        except httpx.TransportError as error:
            if of_error(error) is Outcome.TRANSIENT:
                raise UpstreamFailed("cannot be reached", sent=False) from error
            raise UpstreamFailed("the connection broke", sent=True) from error
        except (httpx.StreamError, httpx.DecodingError, ValueError, RecursionError) as error:
            raise UpstreamFailed("the answer was not MCP", sent=True) from error
        return _result(reply)

    async def _exchange(
        self, request: httpx.Request, identity: int, progress: Progress | None, largest: int
    ) -> dict[str, Any]:
        response = await self._transport.handle_async_request(request)
        try:
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                return await _read_events(response, identity, progress, largest)
            content = bytearray()
            async for chunk in response.aiter_bytes():
                content += chunk
                _bound(len(content), largest)
            return _message(bytes(content), response.status_code)
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._transport.aclose()


def _goes_along(key: str) -> bool:
    """Of a caller's `_meta`, what the protocol defines. Anything else may be meant for us alone."""
    return key.startswith("io.modelcontextprotocol/") and key not in _OWN_TO_THE_HOP


def _headers(method: str, params: Mapping[str, Any], schema: Mapping[str, Any] | None) -> dict[str, str]:
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": method,
    }
    if (named_by := _NAMED_BY.get(method)) is not None:
        headers["mcp-name"] = encode_header_value(str(params[named_by]))
    if schema is not None and (mirrored := x_mcp_header_map(dict(schema))):
        headers |= mcp_param_headers(mirrored, params.get("arguments") or {})
    return headers


async def _read_events(
    response: httpx.Response, identity: int, progress: Progress | None, largest: int
) -> dict[str, Any]:
    """The reply among the events of this answer; progress on the way is passed on."""
    async for event in _events(response, largest):
        message = obj(parse(event))
        if message.get("id") == identity and ("result" in message or "error" in message):
            return message
        if progress is not None and message.get("method") == "notifications/progress":
            told = obj(message.get("params"))
            done, total = _number(told.get("progress")), _number(told.get("total"))
            if done is not None:
                await progress(done, total, str(told["message"]) if told.get("message") else None)
    return {}


async def _events(response: httpx.Response, largest: int) -> AsyncIterator[bytes]:
    """The data of each server-sent event. https://html.spec.whatwg.org/multipage/server-sent-events.html"""
    data: list[bytes] = []
    async for line in _lines(response, largest):
        if line.startswith(b"data:"):
            data.append(line[5:].removeprefix(b" "))
        elif not line and data:
            yield b"\n".join(data)
            data = []


async def _lines(response: httpx.Response, largest: int) -> AsyncIterator[bytes]:
    """Lines that end with CR LF, LF or CR; all of them together are bounded, also while the first has no end."""
    received, rest = 0, b""
    async for chunk in response.aiter_bytes():
        received += len(chunk)
        _bound(received, largest)
        *lines, rest = (rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _bound(size: int, largest: int) -> None:
    if size > largest:
        raise UpstreamFailed(f"its answer is larger than {largest:,} bytes. Ask for less", sent=True, large=True)


def _message(content: bytes, status: int) -> dict[str, Any]:
    """The JSON-RPC message in an answer, whatever its HTTP status."""
    try:
        message = obj(parse(content))
    except (ValueError, RecursionError):
        message = {}
    # An error of OAuth's or a gateway's own is a text; one of JSON-RPC an object.
    if "result" not in message and not obj(message.get("error")) and status >= 400:
        raise UpstreamFailed(f"it answered {status}", sent=status not in _REFUSED_UNREAD, status=status)
    return message


_REFUSED_UNREAD = {401, 403, 404, 405, 406, 413, 415, 421}
"""What a server says before it looks at the request's body."""


def _result(reply: Mapping[str, Any]) -> dict[str, Any]:
    if error := obj(reply.get("error")):
        if not isinstance(error.get("code"), int):
            raise UpstreamFailed("the answer was not MCP", sent=True)
        raise MCPError(error["code"], str(error.get("message", "")), error.get("data"))
    if not isinstance(reply.get("result"), dict):
        raise UpstreamFailed("the answer was not MCP", sent=True)
    return obj(reply["result"])
