"""How long the current call may still take. It travels with the task, from the tool call down to every attempt."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

from backoffice_shared.clock import SYSTEM_CLOCK, Clock

_deadline: ContextVar[tuple[Clock, float] | None] = ContextVar("deadline", default=None)


def remaining() -> float:
    """Seconds left for the current call; infinite when nobody set a deadline."""
    deadline = _deadline.get()
    if deadline is None:
        return float("inf")
    clock, at = deadline
    return at - clock.now()


def deadline() -> float:
    """When the current call must have ended, on its clock; infinite when nobody set a deadline."""
    set_by = _deadline.get()
    return float("inf") if set_by is None else set_by[1]


@contextmanager
def within(seconds: float, clock: Clock | None = None) -> Generator[None]:
    """Give the block at most `seconds`: an outer deadline that is sooner stays in force."""
    outer = _deadline.get()
    clock = clock or (outer[0] if outer is not None else SYSTEM_CLOCK)
    token = _deadline.set((clock, clock.now() + min(seconds, remaining())))
    try:
        yield
    finally:
        _deadline.reset(token)
