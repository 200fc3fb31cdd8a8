"""A URL that somebody else supplied leads to the public internet, and to nothing of ours."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address, ip_network

import httpx
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from backoffice_shared.errors import InvalidInput
from backoffice_shared.http.addresses import check_url, is_public, public_socket
from backoffice_shared.http.network import public_wire

pytestmark = pytest.mark.anyio

METADATA = "169.254.169.254"

PRIVATE = [
    "127.0.0.1",
    "127.255.255.254",
    "0.0.0.0",  # noqa: S104 - refused
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    METADATA,
    "100.100.100.200",  # carrier-grade NAT, where one cloud keeps its metadata
    "192.0.0.192",  # another
    "168.63.129.16",  # and another's services
    "192.88.99.1",
    "198.18.0.1",
    "192.0.2.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::ffff:127.0.0.1",
    f"::ffff:{METADATA}",
    "64:ff9b::7f00:1",  # NAT64 of 127.0.0.1
    "64:ff9b::a9fe:a9fe",  # of the metadata
    "64:ff9b:1::1",
    "2002:7f00:1::",  # 6to4
    "2001:0:7f00:1::",  # Teredo
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "2001:db8::1",
    "3fff::1",
    "100::1",
]
PUBLIC = ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_everybodys_is_refused(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    assert not is_public(ip_address(address))
    with pytest.raises(InvalidInput):
        check_url(f"https://{literal}/")


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_that_is_everybodys_is_taken(address: str) -> None:
    literal = f"[{address}]" if ":" in address else address
    assert is_public(ip_address(address))
    assert check_url(f"https://{literal}:8443/mcp").port == 8443


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_alike_however_ipv6_writes_it(address: IPv4Address) -> None:
    mapped, translated = IPv6Address(f"::ffff:{address}"), IPv6Address(int(IPv6Address("64:ff9b::")) + int(address))
    assert is_public(mapped) == is_public(translated) == is_public(address)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0X7F.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "0x7f.0.0.1",
        "127.0.0.1.",
        "127。0。0。1",
        "①②⑦.⓪.⓪.①",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:0:0:1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "printer.local",
        "metadata.google.internal",
        "vault.corp",
        "router.home.arpa",
        "intranet",
        "kubernetes",
        "",
        ".",
    ],
)
def test_every_spelling_of_a_place_of_ours_is_refused(host: str) -> None:
    with pytest.raises(InvalidInput):
        check_url(f"https://{host}/")


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://example.com/", "the URL must begin with https://."),
        ("file:///etc/passwd", "the URL must begin with https://."),
        ("//example.com", "the URL must begin with https://."),
        ("https://user:pw@example.com/", "the URL must not hold a user name or a password."),
        ("https://example.com@127.0.0.1/", "the URL must not hold a user name or a password."),
        ("https://example.com:22/", "the URL's port must be 443, or 1024 or more."),
        ("https://example.com:0/", "the URL's port must be 443, or 1024 or more."),
        ("https://127.0.0.1/", "the URL must name a server on the public internet."),
        ("https://example.com:65536/", "the URL's port must be 443, or 1024 or more."),
        ("https://exa mple.com\n/", "that is not a URL."),
    ],
)
def test_what_is_wrong_with_a_url_is_told(url: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_url(url)
    assert str(refused.value) == told


@pytest.mark.parametrize(
    "url", ["https://example.com", "https://mcp.example.com:8443/mcp?x=1", "https://bücher.example/"]
)
def test_a_public_https_url_is_taken(url: str) -> None:
    assert check_url(url).scheme == "https"


@given(st.text() | st.text().map(lambda host: f"https://{host}/"))
def test_whatever_is_given_is_a_url_or_refused(url: str) -> None:
    try:
        assert check_url(url).scheme == "https"
    except InvalidInput:
        pass


def test_networks_that_an_operator_names_may_be_reached() -> None:
    besides = [ip_network("10.1.0.0/16")]
    assert check_url("https://10.1.2.3/mcp", besides=besides).host == "10.1.2.3"
    assert check_url("https://mcp.corp/mcp", besides=besides).host == "mcp.corp"
    for url in ("https://10.2.0.1/", f"https://{METADATA}/", "https://127.1/"):
        with pytest.raises(InvalidInput):
            check_url(url, besides=besides)


class Names(AbstractResolver):
    """A name server that answers differently each time."""

    def __init__(self, *answers: list[str]) -> None:
        self._answers = list(answers)

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - its signature
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
        ]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def listening(*addresses: str) -> AsyncGenerator[tuple[int, list[str]]]:
    """Servers on one port of these addresses, and which of them were reached. They answer nothing, and hang up."""
    reached: list[str] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("sockname")[0])
        writer.close()

    first = await asyncio.start_server(serve, addresses[0], 0)
    port = first.sockets[0].getsockname()[1]
    servers = [first, *[await asyncio.start_server(serve, address, port) for address in addresses[1:]]]
    try:
        yield port, reached
    finally:
        for server in servers:
            server.close()


ONE, ANOTHER = "127.0.0.2", "127.0.0.3"
ONLY_ONE = [IPv4Network(f"{ONE}/32")]


async def fetch(url: str, resolver: AbstractResolver | None = None, *, times: int = 1) -> list[str]:
    """What becomes of fetching it, when of the addresses that are not public only `ONE` may be reached."""
    wire, became = public_wire(besides=ONLY_ONE, resolver=resolver), list[str]()
    for _ in range(times):
        request = httpx.Request("GET", url)
        request.extensions["timeout"] = {"connect": 2.0, "pool": 2.0, "read": 2.0}
        try:
            await wire.handle_async_request(request)
        except (httpx.TransportError, InvalidInput) as error:
            became.append(type(error).__name__)
    await wire.aclose()
    return became


async def test_a_name_that_leads_to_an_address_of_ours_is_not_followed() -> None:
    async with listening(ANOTHER) as (port, reached):
        assert await fetch(f"https://evil.example:{port}/", Names([ANOTHER])) == ["ConnectError"]
    assert reached == []


async def test_a_name_server_that_changes_its_mind_gains_nothing() -> None:
    """The first answer is one that may be reached, the second is not."""
    async with listening(ONE, ANOTHER) as (port, reached):
        for answer in ([ONE], [ANOTHER], [ANOTHER, ONE], [ONE, ANOTHER]):
            await fetch(f"https://evil.example:{port}/", Names(answer))
    assert set(reached) == {ONE}


async def test_what_was_checked_is_what_is_connected_to() -> None:
    """A name is looked up once for a connection: there is no second answer to be given."""
    async with listening(ONE, ANOTHER) as (port, reached):
        await fetch(f"https://evil.example:{port}/", Names([ONE], [ANOTHER]))
    assert set(reached) == {ONE}


async def test_an_address_in_the_url_is_no_way_around() -> None:
    async with listening(ANOTHER) as (port, reached):
        assert await fetch(f"https://{ANOTHER}:{port}/") == ["InvalidInput"]
    assert reached == []


@pytest.mark.parametrize("address", [a for a in PRIVATE if "." in a and ":" not in a])
def test_no_socket_is_made_for_an_address_that_is_not_public(address: str) -> None:
    with pytest.raises(PermissionError):
        public_socket()((socket.AF_INET, socket.SOCK_STREAM, 0, "", (address, 443)))


async def test_plain_http_is_not_fetched() -> None:
    async with listening(ONE) as (port, reached):
        assert await fetch(f"http://{ONE}:{port}/") == ["InvalidInput"]
    assert reached == []
