"""Notes elsewhere how far a chain has come: at its beginning, within a minute of anything new, and at its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import datetime

from backoffice_shared.audit.checkpoints import Checkpoints, Kind, Signer
from backoffice_shared.audit.facets import timestamp
from backoffice_shared.clock import Clock
from backoffice_shared.telemetry.metrics import AUDIT_FAILURES

log = logging.getLogger("backoffice.audit")

EVERY = 60.0  # seconds

Head = tuple[int, str]
"""The number of the last record that is kept, and its code."""


class Witness:
    """`head` says how far the chain is kept; `settle` makes that durable, because a checkpoint must not be ahead of it."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        signer: Signer,
        writer: str,
        *,
        head: Callable[[], Head],
        settle: Callable[[], Awaitable[None]],
        clock: Clock,
        now: Callable[[], datetime],
    ) -> None:
        self._checkpoints = checkpoints
        self._signer = signer
        self._writer = writer
        self._head = head
        self._settle = settle
        self._clock = clock
        self._now = now
        self._noted = -1
        self._watching: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Something is going to be added, or was: the first tells the beginning, the second that the head has moved."""
        if self._watching is None or self._watching.done():
            self._watching = asyncio.get_running_loop().create_task(self._watch(), context=Context())

    async def close(self) -> None:
        """Note the end, when there is anything to end."""
        if self._watching is None:
            return
        self._watching.cancel()
        await asyncio.wait({self._watching})
        await self._note("end")

    async def _watch(self) -> None:
        if self._noted < 0:
            await self._note("begin")
        while self._head()[0] > self._noted:
            await self._clock.sleep(EVERY)
            await self._note("head")

    async def _note(self, kind: Kind) -> None:
        seq, mac = self._head()
        try:
            await self._settle()
            await self._checkpoints.add(self._signer.signed(kind, self._writer, seq, mac, timestamp(self._now())))
        except Exception as error:  # whatever it is, the audit goes on and the next one covers this
            AUDIT_FAILURES.inc()
            log.warning("a checkpoint of the audit could not be kept: %s", error)
        else:
            self._noted = seq
