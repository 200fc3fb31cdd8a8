"""Where the servers are, who logs in there, how long it may take, and what a refusal amounts to."""

from __future__ import annotations

import time
from base64 import b64decode
from dataclasses import dataclass, field
from ipaddress import ip_address


class Refused(Exception):  # noqa: N818 - it is what happened
    """A server's refusal, as the HTTP status that it amounts to and its own sentence. `retry_after` is in seconds."""

    def __init__(self, status: int, sentence: str, *, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Place:
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def place(server: str, usual_port: int) -> Place:
    """`host`, `host:port` or `[address]:port`.

    Raises:
        Refused: it is none of these.
    """
    host, colon, port = server.rpartition(":")
    if not colon or server.endswith("]"):
        host, port = server, str(usual_port)
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise Refused(400, f"{server[:80]!r} is not a server: host, or host:port")
    return Place(host.strip("[]"), int(port))


def secured(place: Place, *, offered: bool) -> bool:
    """Whether to switch to TLS (STARTTLS). A password leaves this machine over nothing else.

    Raises:
        Refused: the server does not offer it.
    """
    if place.is_loopback:
        return False
    if not offered:
        raise Refused(403, f"{place.host} offers no TLS on port {place.port}: nothing was sent to it")
    return True


@dataclass(frozen=True, slots=True)
class Login:
    """A SASL mechanism and its first message: PLAIN (RFC 4616), or XOAUTH2 as Google and Microsoft have it.

    Source: https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
    """

    mechanism: str
    initial: bytes = field(repr=False)

    @property
    def user(self) -> str:
        return self.initial.split(b"\0")[1].decode()

    @property
    def password(self) -> str:
        return self.initial.split(b"\0", 2)[2].decode()


def login(authorization: str) -> Login:
    """What `authorize` wrote: the mechanism, and the first message in base64."""
    mechanism, _, initial = authorization.partition(" ")
    return Login(mechanism, b64decode(initial))


class Patience:
    """Seconds for a whole piece of work, of which each command may use what is left. `give_up` ends it at once."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds
        self._given_up = False

    def left(self) -> float:
        """
        Raises:
            TimeoutError: nothing is.
        """
        left = self._until - time.monotonic()
        if left <= 0 or self._given_up:
            raise TimeoutError
        return left

    def at_least(self, seconds: float) -> None:
        """For what must be tidied up, also when the time is over."""
        self._until = max(self._until, time.monotonic() + seconds)

    def give_up(self) -> None:
        self._given_up = True
