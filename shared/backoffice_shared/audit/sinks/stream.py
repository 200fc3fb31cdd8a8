"""Records on a stream, one JSON object a line: standard error, which something else collects.

What was collected can be read again: lines that are no records are passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

from backoffice_shared.audit.chain import Entry, read_line
from backoffice_shared.audit.facets import Wanted, facets_of
from backoffice_shared.audit.sinks.lines import backwards, forwards, paged
from backoffice_shared.errors import BackendUnavailable


class StreamSink:
    """How durable it is, whoever collects the stream decides. A stream that nobody reads holds up only its thread."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="backoffice-audit")
        self._kept: dict[str, int] = {}

    async def write(self, entries: Sequence[Entry], *, durable: bool) -> None:  # noqa: ARG002 - it cannot be more so
        await asyncio.get_running_loop().run_in_executor(self._thread, self._write, entries)

    async def aclose(self) -> None:
        self._thread.shutdown(wait=False)

    def _write(self, entries: Sequence[Entry]) -> None:
        try:
            for entry in entries:
                if entry.seq > self._kept.get(entry.writer, 0):
                    self._stream.write(entry.line + "\n")
                    self._kept[entry.writer] = entry.seq
            self._stream.flush()
        except (OSError, ValueError) as error:  # ValueError: it was closed
            raise BackendUnavailable("", f"the audit's stream cannot be written ({type(error).__name__})") from None


class CollectedReader:
    """Reads a file into which streams of any number of writers were collected, with whatever else they said."""

    def __init__(self, file: Path) -> None:
        self._file = file

    async def writers(self) -> AsyncIterator[str]:
        seen: set[str] = set()
        async for entry in paged(_records(forwards(self._file))):
            if entry.writer not in seen:
                seen.add(entry.writer)
                yield entry.writer

    async def entries(self, writer: str) -> AsyncIterator[Entry]:
        async for entry in paged(_records(forwards(self._file))):
            if entry.writer == writer:
                yield entry

    async def search(self, wanted: Wanted, *, newest_first: bool = True) -> AsyncIterator[Entry]:
        """In the order of the file, or from its end."""
        lines = backwards(self._file) if newest_first else forwards(self._file)
        async for entry in paged(_records(lines)):
            if wanted.matches(facets_of(entry.text)):
                yield entry


def _records(lines: Iterator[str]) -> Iterator[Entry]:
    return filter(None, map(read_line, lines))
