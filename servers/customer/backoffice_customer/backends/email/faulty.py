"""Faults on demand, for what is not HTTP: one for each IMAP command on messages, and for each SMTP transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from backoffice_shared.sandbox.frame import Fault, Logged, VendorSandbox

T = TypeVar("T")


class Broken(Exception):  # noqa: N818 - it is what happened
    """The sandbox breaks the connection."""


class Refusing(Exception):  # noqa: N818 - it is what happened
    """The sandbox refuses what it would otherwise do: `throttled` or unavailable."""

    def __init__(self, *, throttled: bool) -> None:
        super().__init__("throttled" if throttled else "unavailable")
        self.throttled = throttled


class Faulty:
    """The frame's faults and its log of requests, as these servers use them."""

    def __init__(self, sandbox: Callable[[], VendorSandbox]) -> None:
        self._sandbox = sandbox

    @property
    def stale(self) -> bool:
        return self._sandbox().faults.stale_search

    def drawn(self) -> Fault:
        sandbox = self._sandbox()
        return sandbox.faults.next(sandbox.chance)

    def log(self, protocol: str, command: str, status: int) -> None:
        self._sandbox().requests.append(Logged(protocol, command, status))

    async def hold(self) -> None:
        sandbox = self._sandbox()
        sandbox.waiting += 1
        try:
            await asyncio.sleep(sandbox.faults.seconds)
        finally:
            sandbox.waiting -= 1

    async def command(self, name: str, do: Callable[[], T], garbled: Callable[[str], T]) -> T:
        """
        Raises:
            Broken: the connection is to break.
            Refusing: the server is to refuse.
        """
        match fault := self.drawn():
            case "reset":
                self.log("IMAP", name, 0)
                raise Broken
            case "drop_after_commit":
                do()
                self.log("IMAP", name, 0)
                raise Broken
            case "throttle" | "error":
                self.log("IMAP", name, 429 if fault == "throttle" else 503)
                raise Refusing(throttled=fault == "throttle")
            case "malformed" | "wrong_types":
                self.log("IMAP", name, 200)
                return garbled(fault)
            case "slow":
                await self.hold()
            case "ok":
                pass
        self.log("IMAP", name, 200)
        return do()
