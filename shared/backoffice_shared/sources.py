"""Where an answer came from, how old it is, and what is missing from it.

A read over several backends asks them at the same time and keeps what it gets. A backend that fails is named in
`sources[]` with a sentence; only when all of them fail does the call. One whose data the caller may not see is not
asked, and named there as skipped.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel

from backoffice_shared.deadline import remaining, within
from backoffice_shared.errors import BackofficeError, DeadlineExceeded, Faulty, PermissionDenied
from backoffice_shared.principal import principal

log = logging.getLogger("backoffice.sources")

T = TypeVar("T")
AnyRead = TypeVar("AnyRead")

MARGIN = 0.2  # seconds kept for putting the answers together


class Source(BaseModel):
    """One backend's part in an answer. `as_of` is when the oldest of what it gave was fetched."""

    backend: str
    status: Literal["ok", "stale", "error", "skipped"]
    as_of: datetime | None = None
    error_code: str | None = None
    message: str | None = None
    retry_after_s: int | None = None


@dataclass(slots=True)
class _Observed:
    as_of: datetime | None = None
    stale: bool = False


_observed: ContextVar[_Observed | None] = ContextVar("observed", default=None)


def observe(as_of: datetime | None = None, *, stale: bool = False) -> None:
    """Note the age of an answer that the current read is made of; without `as_of` it was fetched just now."""
    seen = _observed.get()
    if seen is None:
        return
    at = as_of or _now()
    seen.as_of = at if seen.as_of is None else min(seen.as_of, at)
    seen.stale = seen.stale or stale


@dataclass(frozen=True)
class Answers(Generic[T]):
    """`values` by backend, for those that answered; `errors` for those that failed; `sources` for all."""

    values: Mapping[str, T]
    sources: list[Source]
    errors: Mapping[str, BackofficeError]

    def or_raise(self) -> Answers[T]:
        """These answers, if there is any; else the error of the first backend, which the caller can act on."""
        if self.errors and not self.values:
            raise next(iter(self.errors.values()))
        if self.sources and not self.values:
            must_see(self.sources[0].backend)  # nothing failed, so nothing was asked
        return self


async def ask(
    backend: str, read: Callable[[], Awaitable[T]], *, share: float = 1.0
) -> tuple[T | BackofficeError, Source]:
    """One read, with what is to be said about it. It has this share of the call's time, less a margin for the answer."""
    left = max((remaining() - MARGIN) * share, 0.0)
    token = _observed.set(seen := _Observed())
    try:
        async with asyncio.timeout(None if left == float("inf") else left):
            with within(left):
                value = await read()
    except BackofficeError as error:
        return error, failed(backend, error)
    except TimeoutError:
        late = DeadlineExceeded(backend, "did not answer in time")
        return late, failed(backend, late)
    except Exception:
        reference = secrets.token_hex(4)
        log.exception("reading from %s failed unexpectedly [%s]", backend, reference)
        fault = Faulty(backend, f"could not be read by a fault of this server, in its log as {reference}")
        return fault, failed(backend, fault)
    finally:
        _observed.reset(token)
    return value, Source(backend=backend, status="stale" if seen.stale else "ok", as_of=seen.as_of or _now())


def _now() -> datetime:
    """To the second: nobody asks for more, and every digit is read by a model."""
    return datetime.now(UTC).replace(microsecond=0)


async def ask_one(backend: str, read: Callable[[], Awaitable[T]]) -> tuple[T, Source]:
    """As `ask`, for a read that nothing can stand in for.

    Raises:
        BackofficeError: it failed.
    """
    value, source = await ask(backend, read)
    if isinstance(value, BackofficeError):
        raise value
    return value, source


async def at_once(*reads: Awaitable[T]) -> list[T]:
    """All of these at the same time. The first that fails ends the others.

    Raises:
        BackofficeError: what that one raised.
    """
    tasks = [asyncio.ensure_future(read) for read in reads]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def failed(backend: str, error: BackofficeError) -> Source:
    return Source(
        backend=backend,
        status="error",
        error_code=error.code,
        message=str(error),
        retry_after_s=None if error.retry_after is None else max(1, round(error.retry_after)),
    )


def together(*groups: Sequence[Source]) -> list[Source]:
    """One entry a backend, in the order of first mention: the worst that happened with it, and its oldest answer."""
    found: dict[str, Source] = {}
    for source in (source for group in groups for source in group):
        known = found.setdefault(source.backend, source)
        ages = [s.as_of for s in (known, source) if s.as_of is not None]
        worst = max(known, source, key=lambda s: _WORSE.index(s.status))
        found[source.backend] = worst.model_copy(update={"as_of": min(ages, default=None)})
    return list(found.values())


_WORSE = ("skipped", "ok", "stale", "error")


def must_see(backend: str, title: str = "", *, whole: bool = False) -> None:
    """
    Raises:
        PermissionDenied: the caller may not see this backend's data; or, for the `whole` of it, only parts.
    """
    if not principal().sees(backend) or (whole and principal().parts(backend) is not None):
        raise PermissionDenied(title or backend, _OUT_OF_SIGHT, hint="Ask your operator for access")


def in_sight(reads: Mapping[str, AnyRead]) -> tuple[dict[str, AnyRead], list[Source]]:
    """Those of these reads that the caller may make, and what is to be said of the others."""
    mine = {backend: read for backend, read in reads.items() if principal().sees(backend)}
    return mine, [
        Source(backend=backend, status="skipped", error_code=PermissionDenied.code, message=_OUT_OF_SIGHT)
        for backend in reads
        if backend not in mine
    ]


_OUT_OF_SIGHT = "is not among the systems whose data you may see"


async def fan_out(reads: Mapping[str, Callable[[], Awaitable[T]]], *, share: float = 1.0) -> Answers[T]:
    """Ask all backends at once. A `share` of the call's time below 1 leaves the rest for what comes after."""
    values: dict[str, T] = {}
    errors: dict[str, BackofficeError] = {}
    mine, sources = in_sight(reads)
    async with asyncio.TaskGroup() as group:
        tasks = {backend: group.create_task(ask(backend, read, share=share)) for backend, read in mine.items()}
    for backend, task in tasks.items():
        value, source = task.result()
        sources.append(source)
        if isinstance(value, BackofficeError):
            errors[backend] = value
        else:
            values[backend] = value
    return Answers(values, sources, errors)
