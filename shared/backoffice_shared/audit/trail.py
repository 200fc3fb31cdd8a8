"""What a process leaves behind: its records, in order, each exactly once, in a chain that shows any change.

Recording never waits: records are queued, and written in groups by a task that goes on for as long as there are any.
While the sink is down they wait; when ten thousand do, the trail is `full` and nothing more should be done. An intent
is different: it returns once it is durable, or raises. Records are chained as they are written, so that an intent
which cannot be written in time can be taken back as if it had never been; one that was already on its way is kept
when the sink recovers, and the record of the call that was then refused comes after it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from backoffice_shared.audit.chain import Chain, Entry, derived
from backoffice_shared.audit.checkpoints import Checkpoints, Signer
from backoffice_shared.audit.facets import timestamp
from backoffice_shared.audit.redaction import digest, redacted
from backoffice_shared.audit.sinks.sink import Sink
from backoffice_shared.audit.witness import Head, Witness
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.redaction import SECRETS
from backoffice_shared.telemetry.metrics import AUDIT_FAILURES, AUDIT_WAITING

log = logging.getLogger("backoffice.audit")

MOST_WAITING = 10_000  # records, beyond which the trail is full
MARGIN = 1_000  # more, of the calls that were under way when it filled up
GROUP = 200  # records written at once
INTENT = 2.0  # seconds until an intent is given up
FLUSH = 3.0  # seconds that closing may take
PAUSE = 0.1  # seconds after the first failure; twice as long after each
LINGER = (
    0.02  # seconds that a record may wait for company, so that a busy server writes groups; an intent waits for nobody
)
LONGEST_PAUSE = 1.0  # within the time of an intent, which may be the first to find that the sink is well again

_OURS = ("seq", "v", "writer")


class Trail:
    """The audit of one writer. `key` is the audit's own; other keys are derived from it. `checkpoints` None: nobody notes
    how far the chain has come."""

    def __init__(
        self,
        sink: Sink,
        checkpoints: Checkpoints | None,
        key: bytes,
        writer: str,
        clock: Clock = SYSTEM_CLOCK,
        *,
        linger: float = LINGER,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._sink = sink
        self._linger = linger
        self._hurry = asyncio.Event()
        self._clock = clock
        self._now = now
        self._pseudonyms = derived(key, "pseudonym")
        self._chain = Chain(key, writer)
        self._kept: Head = (0, self._chain.mac)
        self._waiting: deque[_Waiting] = deque()
        self._group: list[_Waiting] = []
        self._entries: list[Entry] = []
        self._lost = 0
        self._failing = False
        self._closed = False
        self._writing: asyncio.Task[None] | None = None
        self._witness = None
        if checkpoints is not None:
            self._witness = Witness(
                checkpoints,
                Signer(key),
                writer,
                head=lambda: self._kept,
                settle=lambda: sink.write((), durable=True),
                clock=clock,
                now=now,
            )

    @property
    def writer(self) -> str:
        return self._chain.writer

    @property
    def full(self) -> bool:
        return len(self._waiting) + len(self._group) >= MOST_WAITING

    def digest(self, text: str) -> str:
        """A pseudonym: the same for the same text, and of no use without the audit's key."""
        return digest(self._pseudonyms, text)

    def record(self, fields: Mapping[str, Any]) -> None:
        """Keep it soon. `fields` are JSON; `ts` is added when they have none."""
        if self._closed or len(self._waiting) + len(self._group) >= MOST_WAITING + MARGIN:
            self._lose()
            return
        if self._lost:
            self._queue({"event": "audit.lost", "count": self._lost})
            self._lost = 0
        self._queue(fields)

    async def intent(self, fields: Mapping[str, Any]) -> None:
        """Keep it now.

        Raises:
            BackendUnavailable: it could not be kept within two seconds.
        """
        if self._closed or self.full:
            raise BackendUnavailable("", "the audit record cannot be kept")
        waiting = self._queue(fields, kept=asyncio.get_running_loop().create_future())
        self._hurry.set()
        assert waiting.kept is not None  # noqa: S101 - it was just given
        try:
            if not await self._within(INTENT, waiting.kept):
                raise BackendUnavailable("", "the audit record cannot be kept")
        finally:
            if not waiting.kept.done():
                waiting.kept.cancel()
                self._take_back(waiting)

    async def aclose(self) -> None:
        """Write what waits and note the end of the chain, within three seconds."""
        if self._closed:
            return
        self._closed = True
        self._hurry.set()
        until = self._clock.now() + FLUSH
        if self._writing is not None and not await self._within(FLUSH, self._writing):
            self._writing.cancel()
            log.error("%d audit records could not be kept in time", len(self._waiting) + len(self._group))
        ending = asyncio.ensure_future(self._ended())
        if not await self._within(max(0.1, until - self._clock.now()), ending):
            ending.cancel()

    async def _ended(self) -> None:
        if self._witness is not None:
            await self._witness.close()
        await self._sink.aclose()

    def _queue(self, fields: Mapping[str, Any], kept: asyncio.Future[None] | None = None) -> _Waiting:
        waiting = _Waiting(self._body(fields), kept)
        self._waiting.append(waiting)
        self._count()
        if self._writing is None or self._writing.done():
            # In a context of its own: it serves every call, not the one that happened to start it.
            self._writing = asyncio.get_running_loop().create_task(self._write(), context=Context())
        if self._witness is not None:
            self._witness.wake()
        return waiting

    def _body(self, fields: Mapping[str, Any]) -> str:
        given = {name: value for name, value in fields.items() if name not in _OURS}
        return _scrubbed(given if "ts" in given else {"ts": timestamp(self._now()), **given})

    def _take_back(self, waiting: _Waiting) -> None:
        if waiting in self._waiting:
            self._waiting.remove(waiting)
            self._count()

    def _lose(self) -> None:
        AUDIT_FAILURES.inc()
        if not self._lost:
            log.error("audit records are being lost: too many wait to be kept")
        self._lost += 1

    def _count(self) -> None:
        AUDIT_WAITING.set(len(self._waiting) + len(self._group))

    async def _write(self) -> None:
        """Until nothing waits."""
        pause = PAUSE
        while await self._gathered():
            try:
                await self._sink.write(self._entries, durable=any(one.kept for one in self._group))
            except Exception as error:  # records wait out whatever it is
                self._failed(error)
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                pause = PAUSE
                self._succeeded()

    async def _gathered(self) -> bool:
        """Chain the next group, unless one is still to be written: that one stays as it is. False when nothing waits."""
        if not self._group and self._waiting:
            await self._company()
            self._group = [self._waiting.popleft() for _ in range(min(GROUP, len(self._waiting)))]
            self._entries = [self._chain.add(one.body) for one in self._group]
            if not self._waiting:
                self._hurry.clear()
        return bool(self._group)

    async def _company(self) -> None:
        """A moment for more to be written along, unless somebody waits for what there is."""
        if self._linger and not self._hurry.is_set():
            hurried = asyncio.ensure_future(self._hurry.wait())
            await self._within(self._linger, hurried)
            hurried.cancel()

    def _failed(self, error: Exception) -> None:
        AUDIT_FAILURES.inc()
        if not self._failing:
            log.error("the audit cannot be kept, and waits: %s", error)
        self._failing = True

    def _succeeded(self) -> None:
        if self._failing:
            log.info("the audit is kept again")
        self._failing = False
        self._kept = self._entries[-1].seq, self._entries[-1].mac
        for one in self._group:
            if one.kept is not None and not one.kept.done():
                one.kept.set_result(None)
        self._group, self._entries = [], []
        self._count()
        if self._witness is not None:
            self._witness.wake()

    async def _within(self, seconds: float, awaited: asyncio.Future[Any]) -> bool:
        """Whether it is done by then."""
        timer = asyncio.ensure_future(self._clock.sleep(seconds))
        try:
            await asyncio.wait({timer, awaited}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
        return awaited.done()


@dataclass(slots=True, eq=False)
class _Waiting:
    """The text of a record without its place in the chain; `kept` is done when it is durable, for who waits for that."""

    body: str
    kept: asyncio.Future[None] | None


def _scrubbed(fields: Mapping[str, Any]) -> str:
    """JSON without a secret that is in use. Masking one may break a text that is JSON; then its values are masked."""
    text = _written(fields)
    masked = SECRETS.scrub(text)
    if masked is text or masked == text:
        return text
    try:
        json.loads(masked)
    except ValueError:
        return _written(_masked(fields))
    return masked


_encoded = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def _written(fields: Mapping[str, Any]) -> str:
    try:
        return _encoded(fields)
    except (TypeError, ValueError, RecursionError):
        return _encoded(redacted(fields))


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        entries = cast("Mapping[object, Any]", value)
        return {SECRETS.scrub(str(name)): _masked(entry) for name, entry in entries.items()}
    if isinstance(value, list | tuple):
        return [_masked(entry) for entry in cast("list[Any]", value)]
    if value is None or isinstance(value, bool):
        return value
    # A number is a secret as much as its digits are.
    scrubbed = SECRETS.scrub(str(value))
    return value if scrubbed == str(value) else scrubbed
