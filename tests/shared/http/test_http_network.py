"""One attempt on the wire: bounded in time and size, and honest about whether it left."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncGenerator

import httpx
import pytest
from tests.shared.acme import Held, always, read
from tests.shared.clocks import settle
from tests.shared.loopback import loopback, ok

from backoffice_shared.errors import TooLarge
from backoffice_shared.http.network import Network, wire

pytestmark = pytest.mark.anyio


@pytest.fixture
async def network() -> AsyncGenerator[Network]:
    layer = Network(wire(), "Acme", largest=1000)
    yield layer
    await layer.aclose()


def get(url: str) -> httpx.Request:
    return httpx.Request("GET", url + "/things")


async def test_an_answer_is_read_whole(network: Network) -> None:
    async with loopback(ok(b'{"id": 1}')) as server:
        response = await network.handle_async_request(get(server.url))
    assert (response.status_code, response.json(), server.requests) == (200, {"id": 1}, ["GET /things"])


async def test_a_compressed_answer_is_unpacked(network: Network) -> None:
    async with loopback(ok(gzip.compress(b'{"id": 1}'), headers=b"Content-Encoding: gzip\r\n")) as server:
        response = await network.handle_async_request(get(server.url))
    assert (response.json(), "content-encoding" in response.headers) == ({"id": 1}, False)


async def test_an_answer_that_is_too_large_is_refused(network: Network) -> None:
    async with loopback(ok(b"x" * 1001)) as server:
        with pytest.raises(TooLarge) as raised:
            await network.handle_async_request(get(server.url))
    assert str(raised.value) == "Acme: answered more than 1000 bytes. Ask for less."


async def test_a_small_answer_that_unpacks_too_large_is_refused(network: Network) -> None:
    async with loopback(ok(gzip.compress(b"x" * 100_000), headers=b"Content-Encoding: gzip\r\n")) as server:
        with pytest.raises(TooLarge):
            await network.handle_async_request(get(server.url))


async def test_an_answer_of_just_the_largest_size_is_read() -> None:
    _, inner = always(httpx.Response(200, content=b"x" * 1000))
    response = await Network(inner, "Acme", largest=1000).handle_async_request(read())
    assert len(response.content) == 1000


async def test_a_connection_that_was_never_made_is_a_connect_error(network: Network) -> None:
    async with loopback() as server:
        pass
    with pytest.raises(httpx.ConnectError):
        await network.handle_async_request(get(server.url))


METHODS = ["POST", "PATCH", "PUT", "DELETE"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_connection_that_breaks_after_the_request_went_out_is_a_read_error(
    network: Network, method: str
) -> None:
    async with loopback(b"", ok()) as server:
        with pytest.raises(httpx.ReadError):
            await network.handle_async_request(httpx.Request(method, server.url + "/things", json={}))
    assert server.requests == [f"{method} /things"]


async def test_an_answer_that_breaks_off_is_a_read_error(network: Network) -> None:
    async with loopback(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{") as server:
        with pytest.raises(httpx.ReadError):
            await network.handle_async_request(get(server.url))


async def test_an_answer_that_cannot_be_unpacked_is_a_read_error(network: Network) -> None:
    async with loopback(ok(b"not gzip", headers=b"Content-Encoding: gzip\r\n")) as server:
        with pytest.raises(httpx.ReadError):
            await network.handle_async_request(get(server.url))


async def test_an_answer_that_is_not_http_is_a_transport_error(network: Network) -> None:
    async with loopback(b"220 mail.example ESMTP ready\r\n\r\n") as server:
        with pytest.raises(httpx.TransportError):
            await network.handle_async_request(get(server.url))


@pytest.mark.parametrize("method", METHODS)
async def test_nothing_is_sent_twice_over_a_connection_that_breaks_when_used_again(
    network: Network, method: str
) -> None:
    async with loopback(ok(connection="keep-alive"), b"", ok()) as server:
        await network.handle_async_request(get(server.url))
        with pytest.raises(httpx.ReadError):
            await network.handle_async_request(httpx.Request(method, server.url + "/things", json={}))
    assert server.requests == ["GET /things", f"{method} /things"]


async def test_redirects_are_not_followed(network: Network) -> None:
    async with loopback(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n") as server:
        response = await network.handle_async_request(get(server.url))
    assert (response.status_code, server.requests) == (302, ["GET /things"])


async def test_an_attempt_that_takes_too_long_is_a_read_timeout_and_is_cancelled() -> None:
    vendor = Held()
    request = read()
    request.extensions["timeout"] = {"read": 0.001}
    with pytest.raises(httpx.ReadTimeout) as raised:
        await Network(vendor, "Acme").handle_async_request(request)
    assert (str(raised.value), vendor.cancelled) == ("no answer within 0.001 s", 1)


async def test_without_a_timeout_an_attempt_waits() -> None:
    vendor = Held()
    task = asyncio.create_task(Network(vendor, "Acme").handle_async_request(read()))
    await settle()
    vendor.answer(0, httpx.Response(200))
    assert (await task).status_code == 200
