"""Asks Valkey, within 50 ms or not at all.

A store that does not answer is left alone: nobody waits for it a second time. It is asked again at once, and then
every second, by nobody's call, until all connections are there and it takes a write in time: a standby and a full one
do not count as back. So no call pays for connecting either.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from valkey.asyncio.connection import AbstractConnection
from valkey.exceptions import ConnectionError as ConnectionLost
from valkey.exceptions import NoScriptError, ValkeyError

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.redaction import SECRETS
from backoffice_shared.state.valkey.address import connections_to
from backoffice_shared.telemetry.metrics import STORE_FAILURES

log = logging.getLogger("backoffice.state")

PREFIX = "{backoffice}:"
BUDGET = 0.05
CONNECTIONS = 4
CONNECT = 2.0  # seconds for all of them
PATIENCE = 0.3  # seconds at the start
PROBE_EVERY = 1.0

_FAILURES = (ValkeyError, OSError, TimeoutError)


@dataclass(frozen=True)
class Script:
    """Lua, which Valkey runs as one step. `text` uses the server's own clock."""

    text: str

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()


_PROBE = Script("redis.call('SET', KEYS[1], '', 'PX', 1000)")


class Store:
    """`url` is as in `address.py`; `budget` are the seconds that a call may lose here.

    Raises:
        InvalidInput: the URL cannot be one.
    """

    def __init__(self, url: str, *, budget: float = BUDGET, clock: Clock = SYSTEM_CLOCK) -> None:
        self.budget = budget
        self._idle = connections_to(url, CONNECTIONS)
        self._free = asyncio.Semaphore(CONNECTIONS)
        self._clock = clock
        self._answers = False
        self._failed = asyncio.Event()
        self._probed = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Store]:
        """Connect, and stay connected until the block ends. Without a store, the block begins all the same."""
        keeper = asyncio.create_task(self._keep_connected(), name="keep Valkey connected")
        try:
            await begun(self._probed)
            yield self
        finally:
            keeper.cancel()
            await asyncio.wait([keeper])
            await self._disconnect()

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes] = ()) -> Any:
        """What the script gives.

        Raises:
            BackendUnavailable: there was no answer in time. Whether the script ran is unknown.
        """
        if not self._answers:
            raise BackendUnavailable("Valkey", "does not answer at the moment")
        try:
            async with asyncio.timeout(self.budget):
                try:
                    return await self._evaluate(script, keys, arguments)
                except ConnectionLost:
                    # What was idle may have been cut without our knowing, and then all of it was.
                    await self._disconnect()
                    return await self._evaluate(script, keys, arguments)
        except _FAILURES as error:
            self._leave_alone(error)
            raise BackendUnavailable("Valkey", "does not answer") from None

    async def _evaluate(self, script: Script, keys: Sequence[str], arguments: Sequence[str | bytes]) -> Any:
        given = (len(keys), *(PREFIX + key for key in keys), *arguments)
        async with self._connection() as connection:
            try:
                return await _answer(connection, "EVALSHA", script.sha, *given)
            except NoScriptError:
                return await _answer(connection, "EVAL", script.text, *given)

    @asynccontextmanager
    async def _connection(self) -> AsyncGenerator[AbstractConnection]:
        """One that nobody else uses meanwhile. An answer that was not waited for ends it: the next would get it."""
        async with self._free:
            connection = self._idle.pop()
            try:
                await connection.connect()
                yield connection
            finally:
                self._idle.append(connection)

    async def _disconnect(self) -> None:
        """Whatever is not in use."""
        for connection in self._idle:
            await connection.disconnect(nowait=True)

    def _leave_alone(self, error: BaseException) -> None:
        STORE_FAILURES.labels("valkey").inc()
        if self._answers:
            self._answers = False
            log.warning("Valkey does not answer, and is left alone: %s", _said(error))
        self._failed.set()

    async def _keep_connected(self) -> None:
        while True:
            self._failed.clear()
            try:
                await self._probe()
            except _FAILURES as error:
                STORE_FAILURES.labels("valkey").inc()
                if not self._probed.is_set():
                    log.warning("Valkey does not answer: %s", _said(error))
            else:
                log.info("Valkey answers")
                self._answers = True
            self._probed.set()
            since = self._clock.now()
            if self._answers:
                await self._failed.wait()
            # When it had answered for a while, it may be that only we were slow.
            if self._clock.now() - since < PROBE_EVERY:
                await self._clock.sleep(PROBE_EVERY)

    async def _probe(self) -> None:
        await self._disconnect()  # the address may be another machine's by now
        async with asyncio.timeout(CONNECT), AsyncExitStack() as held:
            for _ in range(CONNECTIONS):
                connection = await held.enter_async_context(self._connection())
                await _answer(connection, "PING")
        async with asyncio.timeout(self.budget):
            await self._evaluate(_PROBE, ["probe"], ())


async def begun(event: asyncio.Event) -> None:
    """Wait for it, but at the start of a process not for long."""
    try:
        async with asyncio.timeout(PATIENCE):
            await event.wait()
    except TimeoutError:
        log.warning("Valkey is not waited for any longer")


async def _answer(connection: AbstractConnection, *command: str | bytes | int) -> Any:
    await connection.send_command(*command)
    return cast("Any", await connection.read_response())


def _said(error: BaseException) -> str:
    return SECRETS.scrub(str(error).partition("\n")[0][:200]) or type(error).__name__
