"""Files of lines, read a page at a time in a thread, forwards or from their end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

from backoffice_shared.errors import BackendUnavailable

BLOCK = 65_536  # bytes read at once
PAGE = 500  # lines given at once

Given = TypeVar("Given")


def forwards(file: Path) -> Iterator[str]:
    """The lines from the first on. One that is not ended has not been written whole, and is left out."""
    with file.open("rb") as stream:
        for line in stream:
            if line.endswith(b"\n"):
                yield _decoded(line[:-1])


def backwards(file: Path) -> Iterator[str]:
    """The same lines, from the last on."""
    with file.open("rb") as stream:
        at = stream.seek(0, os.SEEK_END)
        rest = b""
        ended = False  # whether what is in `rest` is known to end with a line end
        while at:
            size = min(BLOCK, at)
            at -= size
            stream.seek(at)
            first, *whole = (stream.read(size) + rest).split(b"\n")
            if whole:
                *lines, last = whole
                if ended:
                    lines.append(last)
                yield from map(_decoded, reversed(lines))
                ended = True
            rest = first
        if ended:
            yield _decoded(rest)


async def paged(found: Iterator[Given]) -> AsyncIterator[Given]:
    """What `found` gives, asked for in a thread.

    Raises:
        BackendUnavailable: a file cannot be read.
    """
    while page := await asyncio.to_thread(_page, found):
        for one in page:
            yield one


def _page(found: Iterator[Given]) -> list[Given]:
    try:
        return list(islice(found, PAGE))
    except OSError as error:
        raise BackendUnavailable("", f"{error.filename} cannot be read: {error.strerror}") from None


def _decoded(line: bytes) -> str:
    return line.decode("utf-8", "surrogateescape")
