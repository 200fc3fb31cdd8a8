"""Innermost layer: one attempt on the wire, with a bound on its time and on the size of the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver
from httpx_aiohttp import AiohttpTransport

from backoffice_shared.errors import TooLarge
from backoffice_shared.http.addresses import IPNetwork, check_url, public_socket
from backoffice_shared.http.unpacked import unpacked

LARGEST_ANSWER = 8 * 1024 * 1024  # bytes
CONNECTIONS = 100
KEEP_ALIVE = 30.0  # seconds


class Network(httpx.AsyncBaseTransport):
    """Reads the whole answer, so that every layer above works on something that is there."""

    def __init__(self, inner: httpx.AsyncBaseTransport, title: str, *, largest: int = LARGEST_ANSWER) -> None:
        self._inner = inner
        self._title = title
        self._largest = largest

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions.get("timeout", {}).get("read")
        try:
            async with asyncio.timeout(seconds):
                return await self._exchange(request)
        except TimeoutError as error:
            raise httpx.ReadTimeout(f"no answer within {seconds:g} s", request=request) from error

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        content = bytearray()
        try:
            async for chunk in response.aiter_bytes():
                content += chunk
                if len(content) > self._largest:
                    raise TooLarge(self._title, f"answered more than {self._largest} bytes", hint="Ask for less")
        except (aiohttp.ClientError, httpx.StreamError, httpx.DecodingError, httpx.ConnectTimeout) as error:
            raise httpx.ReadError("the answer broke off or cannot be decoded", request=request) from error
        finally:
            await response.aclose()
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _DECODED]
        return httpx.Response(response.status_code, headers=headers, content=bytes(content), request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Wire(httpx.AsyncBaseTransport):
    """aiohttp as an httpx transport, telling the truth about connections.

    The adapter between the two reports a refused connection, and one that broke after the request had gone out,
    both as a connect timeout. The difference decides whether a payment may be sent again.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.headers["Accept-Encoding"] = "gzip"
        try:
            return unpacked(await self._inner.handle_async_request(request))
        except httpx.ConnectTimeout as error:
            if isinstance(error.__cause__, aiohttp.ConnectionTimeoutError):
                raise
            if isinstance(error.__cause__, aiohttp.ClientConnectorError):
                raise httpx.ConnectError("the connection could not be made", request=request) from error
            raise httpx.ReadError("the connection broke before an answer came", request=request) from error
        except aiohttp.ClientError as error:
            raise httpx.RemoteProtocolError("the answer is not HTTP", request=request) from error

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Public(httpx.AsyncBaseTransport):
    """Refuses in words what the sockets below it would refuse without."""

    def __init__(self, inner: httpx.AsyncBaseTransport, besides: Collection[IPNetwork]) -> None:
        self._inner = inner
        self._besides = besides

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        check_url(str(request.url), besides=self._besides)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def wire(*, verify: bool | str = True) -> httpx.AsyncBaseTransport:
    """A pooled HTTP/1.1 transport. No proxies from the environment, no cookies, no redirects."""
    return _wire(verify=verify)


def public_wire(
    *,
    besides: Collection[IPNetwork] = (),
    resolver: AbstractResolver | None = None,
    verify: bool | str = True,
) -> httpx.AsyncBaseTransport:
    """As `wire`, for URLs that somebody else supplied: only HTTPS, only to public addresses and those in `besides`.

    What it is asked to fetch from elsewhere, it refuses with InvalidInput, or with a failed connection when only the
    name server shows it.
    """
    return _Public(_wire(verify=verify, socket_factory=public_socket(besides), resolver=resolver), besides)


def _wire(*, verify: bool | str, **connecting: Any) -> httpx.AsyncBaseTransport:
    limits = httpx.Limits(max_connections=CONNECTIONS, keepalive_expiry=KEEP_ALIVE)
    context = httpx.create_ssl_context(verify=verify, trust_env=False)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS, keepalive_timeout=KEEP_ALIVE, ssl=context, **connecting)
        return aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, middlewares=(_once,)
        )

    return _Wire(AiohttpTransport(verify=context, limits=limits, client=session))


async def _once(request: aiohttp.ClientRequest, send: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keep aiohttp from sending a PUT or a DELETE again by itself when the connection breaks."""
    try:
        return await send(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
        raise aiohttp.ClientConnectionError("the connection broke") from error


_DECODED = (b"content-encoding", b"content-length", b"transfer-encoding")
