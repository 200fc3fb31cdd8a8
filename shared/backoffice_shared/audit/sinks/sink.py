"""What every store of records can do: take them in order, give them back, and let go of old ones."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from backoffice_shared.audit.chain import Entry
from backoffice_shared.audit.facets import Wanted


class Sink(Protocol):
    async def write(self, entries: Sequence[Entry], *, durable: bool) -> None:
        """Add what is not there yet, in order: the same entries may be given again after a failure.

        With `durable`, this and all before it has reached the disk when it returns.

        Raises:
            BackendUnavailable: it is not known to be kept.
        """
        ...

    async def aclose(self) -> None: ...


class Reader(Protocol):
    """Reads while others write, a page at a time. Every method raises BackendUnavailable when the store cannot be read."""

    def writers(self) -> AsyncIterator[str]: ...

    def entries(self, writer: str) -> AsyncIterator[Entry]:
        """All that is kept of one writer, as it stands there."""
        ...

    def search(self, wanted: Wanted, *, newest_first: bool = True) -> AsyncIterator[Entry]:
        """What is wanted, of all writers, in the order of time."""
        ...


class Prunable(Protocol):
    """A store that can let go of the beginning of a chain."""

    async def boundary(self, writer: str, before: datetime) -> int:
        """The number of the last of those records, from the first on, that are older and can be removed; else 0."""
        ...

    async def discard(self, writer: str, through: int) -> None:
        """Remove the records up to and including this one, which `boundary` gave."""
        ...
