"""What replicas tell each other (publish/subscribe). Whoever does not listen at that moment does not hear it.

After every connection the listeners are told that something may have been missed. A connection on which nothing is
heard is asked for a sign of life, and made anew when there is none.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

from valkey.asyncio.connection import AbstractConnection
from valkey.exceptions import ValkeyError

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.valkey.address import connections_to
from backoffice_shared.state.valkey.store import PREFIX, PROBE_EVERY, Script, Store, begun

log = logging.getLogger("backoffice.state")

SILENCE = 5.0  # seconds after which a sign of life is asked for, and again those in which it has to come

Listener = Callable[[bytes | None], Awaitable[None]]
"""Is given what another replica said, or None when something may have been missed."""

_SAY = Script("redis.call('PUBLISH', KEYS[1], ARGV[1])")


class Channel:
    def __init__(
        self, url: str, store: Store, name: str, *, silence: float = SILENCE, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        (self._connection,) = connections_to(url)
        self._store = store
        self._name = f"heard:{name}"
        self._silence = silence
        self._clock = clock
        self._self = secrets.token_bytes(8)
        self._listeners: list[Listener] = []
        self._tried = asyncio.Event()

    def hear(self, listener: Listener) -> None:
        self._listeners.append(listener)

    async def say(self, message: bytes) -> None:
        """To all other replicas; to nobody when the store is away."""
        try:
            await self._store.run(_SAY, [self._name], [self._self + message])
        except BackendUnavailable:
            log.info("a message to the other replicas was not sent")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Channel]:
        """Listen until the block ends. What is said from its beginning on is heard, when the store is there."""
        task = asyncio.create_task(self._keep_listening(), name=f"listen to {self._name}")
        try:
            await begun(self._tried)
            yield self
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self._connection.disconnect(nowait=True)

    async def _keep_listening(self) -> None:
        while True:
            try:
                await self._connection.connect()
                await self._connection.send_command("SUBSCRIBE", PREFIX + self._name)
                await self._listen(self._connection)
            except (ValkeyError, OSError, TimeoutError) as error:
                self._tried.set()
                log.debug("the other replicas cannot be heard: %s", type(error).__name__)
            await self._connection.disconnect(nowait=True)
            await self._clock.sleep(PROBE_EVERY)

    async def _listen(self, connection: AbstractConnection) -> None:
        """Until the connection is lost."""
        quiet = False
        while True:
            heard = await _heard(connection, self._silence)
            if heard is None:
                if quiet:
                    raise TimeoutError
                await connection.send_command("PING")
            quiet = heard is None
            match heard:
                case [b"subscribe", *_]:
                    self._tried.set()
                    await self._tell(None)
                case [b"message", _, bytes(said)] if not said.startswith(self._self):
                    await self._tell(said[len(self._self) :])
                case _:
                    pass  # our own words, a sign of life, silence

    async def _tell(self, message: bytes | None) -> None:
        for listener in self._listeners:
            try:
                await listener(message)
            except Exception:  # whatever is wrong with one listener, the others are still to hear
                log.exception("a listener to %s failed", self._name)


async def _heard(connection: AbstractConnection, silence: float) -> Any:
    """None after a silence."""
    return cast("Any", await connection.read_response(timeout=silence, disconnect_on_error=False))
