"""When what keeps failing is left alone, and how soon it is noticed that it is well again.

Closed: thirty seconds are watched. With twenty calls or more, half of them failing, or four fifths slow, opens the
circuit; so do five failed connections in a row.

Open: nothing goes through but a probe now and then. The pause between probes is a twentieth of the time for which the
circuit has been open, at least a second and at most fifteen: an outage seems a twentieth longer than it is, and a
backend that is down sees one call a second of each process at most. A probe that hangs does not keep the next one
back, or a backend that hung would be noticed a timeout too late.

Half open: once a probe has succeeded, three in all, one at a time, close the circuit. `docs/decisions/0005` says why
this is not the usual pause that doubles.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from backoffice_shared.clock import Clock
from backoffice_shared.telemetry.metrics import BREAKER_OPENED, BREAKER_STATE

WINDOW = 30.0
BUCKETS = 10
LEAST_CALLS = 20
FAILING = 0.5
SLOW = 0.8  # of the timeout, and of the calls
CONNECT_ERRORS = 5
PAUSE_LEAST, PAUSE_MOST = 1.0, 15.0
PAUSE_SHARE = 0.05  # of the time for which it has been open
PROBES = 3

CLOSED, HALF_OPEN, OPEN = 0, 1, 2


def unwatched(_state: int) -> None:
    pass


def watched(upstream: str, group: str) -> Callable[[int], None]:
    """Tells the metrics of every change. `group` comes from a bounded set of names."""
    state, opened = BREAKER_STATE.labels(upstream, group), BREAKER_OPENED.labels(upstream, group)
    state.set(CLOSED)

    def changed(to: int) -> None:
        state.set(to)
        if to == OPEN:
            opened.inc()

    return changed


class Breaker:
    """`jitter` gives numbers from 0 to 1: processes that saw one outage must not probe in step."""

    def __init__(self, clock: Clock, jitter: Callable[[], float], changed: Callable[[int], None] = unwatched) -> None:
        self._clock = clock
        self._jitter = jitter
        self._changed = changed
        self._buckets: deque[list[float]] = deque()  # [started, calls, failed, slow]
        self._connect_errors = 0
        self._opened_at = 0.0
        self._probe_at = 0.0
        self._probing = False
        self._probed = 0
        self.era = 0
        """Counts the changes of state: what was sent in an earlier era says nothing about this one."""
        self.state = CLOSED

    def admit(self) -> float | None:
        """None to go ahead, or the seconds until it makes sense to ask again."""
        if self.state == OPEN:
            if (wait := self._probe_at - self._clock.now()) > 0:
                return wait
            self._wait_for_next_probe()
        elif self.state == HALF_OPEN:
            if self._probing:
                return PAUSE_LEAST
            self._probing = True
        return None

    def record(self, era: int, *, failed: bool, slow: bool, connected: bool) -> None:
        """What became of a call that was admitted in `era`."""
        if era != self.era:
            return
        if self.state != CLOSED:
            self._record_probe(failed=failed)
            return
        bucket = self._bucket()
        bucket[1] += 1
        bucket[2] += failed
        bucket[3] += slow
        self._connect_errors = 0 if connected else self._connect_errors + 1
        calls, failures, slows = (sum(column) for column in list(zip(*self._buckets, strict=True))[1:])
        if self._connect_errors >= CONNECT_ERRORS or (
            calls >= LEAST_CALLS and (failures >= FAILING * calls or slows >= SLOW * calls)
        ):
            self._opened_at = self._clock.now()
            self._open()

    def forget(self, era: int) -> None:
        """The call said nothing about health: free its place as a probe."""
        if era == self.era:
            self._probing = False

    def reset(self) -> None:
        """It is well again: its probes succeeded, or something else showed it."""
        self._connect_errors = 0
        self._buckets.clear()
        if self.state != CLOSED:
            self._enter(CLOSED)

    def _record_probe(self, *, failed: bool) -> None:
        self._probing = False
        if failed:
            if self.state == HALF_OPEN:
                self._open()
            return
        if self.state == OPEN:
            self._probed = 0
            self._enter(HALF_OPEN)
        self._probed += 1
        if self._probed >= PROBES:
            self.reset()

    def _open(self) -> None:
        self._connect_errors = 0
        self._buckets.clear()
        self._wait_for_next_probe()
        self._enter(OPEN)

    def _wait_for_next_probe(self) -> None:
        now = self._clock.now()
        pause = min(PAUSE_MOST, max(PAUSE_LEAST, PAUSE_SHARE * (now - self._opened_at)))
        self._probe_at = now + pause * (0.8 + 0.4 * self._jitter())

    def _enter(self, state: int) -> None:
        self.state = state
        self.era += 1
        self._probing = False
        self._changed(state)

    def _bucket(self) -> list[float]:
        now = self._clock.now()
        while self._buckets and self._buckets[0][0] <= now - WINDOW:
            self._buckets.popleft()
        if not self._buckets or self._buckets[-1][0] <= now - WINDOW / BUCKETS:
            self._buckets.append([now, 0, 0, 0])
        return self._buckets[-1]
