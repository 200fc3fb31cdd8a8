"""One attempt on the wire: bounded in time and size, and honest about whether it left."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.acme import Held, always, read
from tests.shared.clocks import settle
from tests.shared.loopback import loopback, ok

from backoffice_shared.errors import TooLarge
from backoffice_shared.http.network import LARGEST_ANSWER, Network, wire
from backoffice_shared.http.unpacked import unpacked

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


@pytest.mark.parametrize("location", [b"/elsewhere", b"http://169.254.169.254/latest/meta-data/"])
async def test_redirects_are_not_followed(network: Network, location: bytes) -> None:
    async with loopback(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % location) as server:
        response = await network.handle_async_request(get(server.url))
    assert (response.status_code, server.requests) == (302, ["GET /things"])


async def test_only_gzip_is_asked_for_and_taken(network: Network) -> None:
    async with loopback(ok(b"x", headers=b"Content-Encoding: br\r\n")) as server:
        request = get(server.url)
        with pytest.raises(httpx.ReadError):
            await network.handle_async_request(request)
    assert request.headers["Accept-Encoding"] == "gzip"


BOMB = gzip.compress(bytes(100 * 1024 * 1024))  # a hundred megabytes, in a hundred kilobytes


async def test_a_bomb_is_unpacked_only_as_far_as_an_answer_may_go() -> None:
    layer = Network(wire(), "Acme")
    async with loopback(ok(BOMB, headers=b"Content-Encoding: gzip\r\n")) as server:
        tracemalloc.start()
        with pytest.raises(TooLarge):
            await layer.handle_async_request(get(server.url))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    await layer.aclose()
    assert most < 3 * LARGEST_ANSWER


async def test_a_bomb_within_a_bomb_is_not_unpacked_at_all(network: Network) -> None:
    twice = gzip.compress(BOMB)
    async with loopback(ok(twice, headers=b"Content-Encoding: gzip, gzip\r\n")) as server:
        with pytest.raises(httpx.ReadError):
            await network.handle_async_request(get(server.url))


async def test_what_comes_after_the_end_of_a_compressed_answer_is_not_read(network: Network) -> None:
    packed = gzip.compress(b'{"id": 1}') + b"\0" * 10_000_000
    async with loopback(ok(packed, headers=b"Content-Encoding: gzip\r\n")) as server:
        response = await network.handle_async_request(get(server.url))
    assert response.json() == {"id": 1}


@pytest.mark.parametrize("cut", [1, 10, 20])
async def test_a_compressed_answer_that_breaks_off_is_a_read_error(network: Network, cut: int) -> None:
    packed = gzip.compress(b'{"id": 1}')[:-cut]
    async with loopback(ok(packed, headers=b"Content-Encoding: gzip\r\n")) as server:
        with pytest.raises(httpx.ReadError):
            await network.handle_async_request(get(server.url))


@given(st.binary(max_size=300_000), st.integers(1, 5000))
def test_whatever_its_pieces_a_compressed_answer_is_what_was_compressed(content: bytes, size: int) -> None:
    packed = gzip.compress(content)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(packed), size):
            yield packed[start : start + size]

    async def main() -> bytes:
        response = httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=pieces())
        return b"".join([piece async for piece in unpacked(response).aiter_bytes()])

    assert asyncio.run(main()) == content


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(b"X-Long: " + b"x" * 100_000 + b"\r\n", id="one long header"),
        pytest.param(b"X-Many: x\r\n" * 10_000, id="many headers"),
        pytest.param(b"X" * 10_000_000, id="a header that does not end"),
    ],
)
async def test_an_answer_of_headers_is_a_transport_error(network: Network, headers: bytes) -> None:
    async with loopback(ok(headers=headers)) as server:
        with pytest.raises(httpx.TransportError):
            await network.handle_async_request(get(server.url))


async def test_an_answer_that_drips_ends_at_its_time(network: Network) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)  # each byte in time, all of them never

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    request = get(f"http://{host}:{port}")
    request.extensions["timeout"] = {"read": 0.2}
    with pytest.raises(httpx.ReadTimeout):
        await network.handle_async_request(request)
    server.close()


async def test_a_connection_is_used_again(network: Network) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            writer.write(ok(connection="keep-alive"))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    for _ in range(5):
        await network.handle_async_request(get(f"http://{host}:{port}"))
    assert connections == 1
    await network.aclose()
    server.close()


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
