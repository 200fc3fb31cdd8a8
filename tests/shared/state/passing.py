"""Time that a test lets pass: at once, or for whoever goes by a clock of their own, really."""

from __future__ import annotations

import asyncio
import time

from tests.shared.clocks import ManualClock


class Passing(ManualClock):
    def __init__(self, *, real: bool) -> None:
        super().__init__()
        self._real = real

    def now(self) -> float:
        return time.monotonic() if self._real else super().now()

    async def passes(self, seconds: float) -> None:
        if self._real:
            await asyncio.sleep(seconds)
        else:
            self.advance(seconds)
