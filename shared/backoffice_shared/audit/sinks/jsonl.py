"""Records as lines of JSON in a directory: one file for each writer and day, `<writer>-2026-11-24.jsonl`.

A line is never changed. What a failing disk took only in part is cut off again before the next attempt, so that no
record is there twice or in half.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

from backoffice_shared.audit.chain import Entry, read_line
from backoffice_shared.audit.facets import Facets, Wanted, facets_of, timestamp
from backoffice_shared.audit.sinks.lines import backwards, forwards, paged
from backoffice_shared.errors import BackendUnavailable

_NAME = re.compile(r"(?P<writer>.+)-(?P<day>\d{4}-\d\d-\d\d)\.jsonl")


class JsonLinesSink:
    """Adds to files in `directory`, which only their owner can read. A thread of its own does the writing."""

    def __init__(self, directory: Path, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._directory = directory
        self._now = now
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="backoffice-audit")
        self._file: _DayFile | None = None
        self._kept: dict[str, int] = {}  # by writer, the last record that is there

    async def write(self, entries: Sequence[Entry], *, durable: bool) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, entries, durable)

    async def aclose(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown(wait=False)

    def _write(self, entries: Sequence[Entry], durable: bool) -> None:  # noqa: FBT001 - run_in_executor has no keywords
        try:
            fresh = [entry for entry in entries if entry.seq > self._kept.get(entry.writer, 0)]
            if fresh:
                self._open(fresh[0].writer).append("".join(entry.line + "\n" for entry in fresh).encode())
                self._kept[fresh[-1].writer] = fresh[-1].seq
            if durable and self._file is not None:
                self._file.sync()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BackendUnavailable("", f"the audit in {self._directory} cannot be written: {reason}") from None

    def _open(self, writer: str) -> _DayFile:
        """Today's file. Where a clock goes back, yesterday's record goes after today's, as it does in the chain."""
        day = self._now().astimezone(UTC).date()
        if self._file is not None:
            day = max(day, self._file.day)
            if self._file.day == day and self._file.path == _path(self._directory, writer, day) and self._file.in_place:
                return self._file
        self._close()
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = _DayFile(_path(self._directory, writer, day), day)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            file.close()


class _DayFile:
    """One file, open for adding to."""

    def __init__(self, path: Path, day: date) -> None:
        self.path = path
        self.day = day
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        self._torn_at: int | None = None

    @property
    def in_place(self) -> bool:
        """Whether the file still has its name, and is not one that somebody moved away."""
        try:
            return os.path.samestat(self.path.stat(), os.fstat(self._descriptor))
        except FileNotFoundError:
            return False

    def append(self, content: bytes) -> None:
        """Add all of it or, as far as anybody reads, nothing."""
        self._mend()
        self._torn_at = os.fstat(self._descriptor).st_size
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(self._descriptor, left) :]
            self._torn_at = None
        finally:
            self._mend()

    def sync(self) -> None:
        os.fsync(self._descriptor)

    def close(self) -> None:
        try:
            os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)

    def _mend(self) -> None:
        if self._torn_at is not None:
            os.ftruncate(self._descriptor, self._torn_at)
            self._torn_at = None


class JsonLinesReader:
    """Reads what JsonLinesSink wrote into `directory`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def writers(self) -> AsyncIterator[str]:
        async for writer in paged(iter(sorted({writer for writer, _, _ in self._files()}))):
            yield writer

    async def entries(self, writer: str) -> AsyncIterator[Entry]:
        files = sorted((day, file) for owner, day, file in self._files() if owner == writer)
        async for entry in paged(_entries(writer, (file for _, file in files))):
            yield entry

    async def search(self, wanted: Wanted, *, newest_first: bool = True) -> AsyncIterator[Entry]:
        async for entry in paged(self._found(wanted, newest_first=newest_first)):
            yield entry

    async def boundary(self, writer: str, before: datetime) -> int:
        """Whole files go, once everything in them is older."""
        return await asyncio.to_thread(self._boundary, writer, before)

    async def discard(self, writer: str, through: int) -> None:
        await asyncio.to_thread(self._discard, writer, through)

    def _files(self) -> Iterator[tuple[str, str, Path]]:
        """Writer, day and path of every file."""
        for file in self._directory.glob("*.jsonl"):
            if named := _NAME.fullmatch(file.name):
                yield named["writer"], named["day"], file

    def _found(self, wanted: Wanted, *, newest_first: bool) -> Iterator[Entry]:
        """A day at a time. Records stand in the order in which calls ended, and are sorted by when they began."""
        days: dict[str, list[tuple[str, Path]]] = {}
        for writer, day, file in self._files():
            if wanted.since is None or day >= timestamp(wanted.since)[:10]:  # nothing is kept before it happened
                days.setdefault(day, []).append((writer, file))
        read = backwards if newest_first else forwards
        for day in sorted(days, reverse=newest_first):
            chains = [_dated(_read(writer, read(file))) for writer, file in days[day]]
            merged = heapq.merge(*chains, key=_place, reverse=newest_first)
            yield from (entry for facets, entry in merged if wanted.matches(facets))

    def _boundary(self, writer: str, before: datetime) -> int:
        limit, last = timestamp(before), 0
        for _, file in sorted((day, file) for owner, day, file in self._files() if owner == writer):
            latest = last
            for facets, entry in _dated(_read(writer, forwards(file))):
                if facets.ts >= limit:
                    return last
                latest = max(latest, entry.seq)
            last = latest
        return last

    def _discard(self, writer: str, through: int) -> None:
        for owner, _, file in list(self._files()):
            if owner == writer and all(entry.seq <= through for entry in _read(writer, forwards(file))):
                file.unlink(missing_ok=True)


def _path(directory: Path, writer: str, day: date) -> Path:
    return directory / f"{writer}-{day.isoformat()}.jsonl"


def _entries(writer: str, files: Iterable[Path]) -> Iterator[Entry]:
    for file in files:
        yield from _read(writer, forwards(file))


def _read(writer: str, lines: Iterable[str]) -> Iterator[Entry]:
    return (read_line(line) or Entry(writer, 0, line, "") for line in lines)


def _place(dated: tuple[Facets, Entry]) -> tuple[str, str, int]:
    facets, entry = dated
    return facets.ts, entry.writer, entry.seq


def _dated(entries: Iterable[Entry]) -> Iterator[tuple[Facets, Entry]]:
    return ((facets_of(entry.text), entry) for entry in entries)
