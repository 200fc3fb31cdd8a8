"""One at a time, whichever replica: for what must be read, judged and changed in one piece."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from backoffice_shared.deadline import remaining
from backoffice_shared.errors import BackofficeError, Conflict
from backoffice_shared.state.records import Claim, Records, UnderWay

MARGIN = 5.0  # seconds beyond the call's own deadline: whatever a call has sent has arrived by then
LONGEST = 120.0


@asynccontextmanager
async def alone(records: Records, what: str, which: str) -> AsyncGenerator[None]:
    """Nobody else is in such a block about the same thing. One that died in it is waited for no longer than its call
    could have taken.

    Raises:
        Conflict: somebody is; with how long to wait.
        BackendUnavailable: nobody can tell, so nothing may be done.
    """
    claimed = await records.claim(f"alone:{what}", which, "", lease=min(remaining(), LONGEST) + MARGIN)
    if not isinstance(claimed, Claim):
        wait = claimed.retry_after if isinstance(claimed, UnderWay) else None
        raise Conflict("", f"another call is working on {which}: nothing was done", retry_after=wait)
    try:
        yield
    finally:
        leaving = asyncio.ensure_future(records.release(claimed, uncertain=False, keep=1.0))
        try:
            await asyncio.shield(leaving)
        except asyncio.CancelledError:
            await asyncio.wait([leaving])
            raise
        except BackofficeError:
            pass  # the lease lapses
