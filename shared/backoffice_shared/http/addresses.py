"""Which addresses a URL may lead to that somebody else supplied: the public internet, and nothing of ours.

A URL is looked at twice. `check_url` refuses what can be seen in it, in words for whoever supplied it. That is for
kindness: what counts is `public_socket`, which looks at the address that is about to be connected to, after every
name has been resolved, so that no spelling and no name server can get around it.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection
from typing import Any

import httpx

from backoffice_shared.errors import InvalidInput

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network

_UNPRIVILEGED = range(1024, 65536)  # below, but for 443, nothing serves HTTPS
_LOCAL = ("localhost", "local", "internal", "intranet", "private", "corp", "home", "lan", "home.arpa")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")

_PUBLIC_V6 = ipaddress.IPv6Network("2000::/3")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_PUBLIC: tuple[IPNetwork, ...] = (
    ipaddress.IPv4Network("192.0.0.0/24"),  # protocol assignments, where one cloud keeps its metadata
    ipaddress.IPv4Network("192.88.99.0/24"),  # 6to4 relays
    ipaddress.IPv4Network("168.63.129.16/32"),  # Azure's own services, under an address that looks public
    ipaddress.IPv6Network("2002::/16"),  # 6to4: leads to an IPv4 address that is written in it
    ipaddress.IPv6Network("3fff::/20"),  # documentation
)


def check_url(url: str, *, besides: Collection[IPNetwork] = ()) -> httpx.URL:
    """The URL, if it is one of a public HTTPS server, or of an address in `besides`.

    Raises:
        InvalidInput: it is not.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidInput("", "that is not a URL") from error
    if parsed.scheme != "https":
        raise InvalidInput("", "the URL must begin with https://")
    if parsed.userinfo:
        raise InvalidInput("", "the URL must not hold a user name or a password")
    if parsed.port not in (None, 443) and parsed.port not in _UNPRIVILEGED:
        raise InvalidInput("", "the URL's port must be 443, or 1024 or more")
    if not _may_be_public(parsed.raw_host.decode().lower().rstrip("."), besides):
        raise InvalidInput("", "the URL must name a server on the public internet")
    return parsed


def is_public(address: IPAddress, *, besides: Collection[IPNetwork] = ()) -> bool:
    """Reachable by everybody, or in one of the networks `besides`, as an IPv4 address written as IPv6 is, too."""
    address = _plain(address)
    if any(address in network for network in besides):
        return True
    if any(address in network for network in _NOT_PUBLIC):
        return False
    if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_V6:
        return False
    return address.is_global and not address.is_multicast


def public_socket(besides: Collection[IPNetwork] = ()) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Makes the sockets of a connector: only for addresses that are public, whatever the name was.

    The socket is connected to exactly the address that is looked at here.
    """

    def make(target: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, (host, *_port) = target
        if not is_public(ipaddress.ip_address(host), besides=besides):
            raise PermissionError("the address is not public")
        return socket.socket(family, kind, protocol)

    return make


def _may_be_public(host: str, besides: Collection[IPNetwork]) -> bool:
    try:
        return is_public(ipaddress.ip_address(host), besides=besides)
    except ValueError:
        pass
    # A name that ends in a number is an IPv4 address in one of the spellings that only some programs know.
    if not host or _NUMBER.fullmatch(host.rpartition(".")[2]):
        return False
    return bool(besides) or ("." in host and not host.endswith(tuple(f".{local}" for local in _LOCAL)))


def _plain(address: IPAddress) -> IPAddress:
    """The IPv4 address in an IPv6 one that only stands for it."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address
