"""What one comparison has asked so far, what it was told, and what it may conclude from that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Generic, TypeVar

from pydantic import BaseModel

from backoffice_billing.models import Coverage, Difference, Invoice, InvoiceRow
from backoffice_billing.ports import InvoiceQuery, Invoices
from backoffice_shared.errors import BackofficeError
from backoffice_shared.paging import Chunk
from backoffice_shared.sources import Source, at_once, fan_out, must_see, together

RowT = TypeVar("RowT", bound=BaseModel)
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")

MOST = 300
"""Invoices that one call lists of a system."""
MOST_PAYMENTS = 100
"""Fewer: a provider may have to be asked of each what it was for."""
_PAGE = 100
_ROUNDS = 8  # pages asked of a system that gives fewer rows a page than it is asked for
_BATCH = 20  # ids of one read, as the ports have it
_AT_ONCE = 5  # requests to one system at a time


Mark = tuple[str | None, int]
"""Where a list goes on: the system's own cursor, and how many rows of the page there were taken already."""
START: Mark = (None, 0)


class Survey:
    """`systems` are those that take part. One that fails, or that the caller may not see, is silent: once it has
    been, what it says is not taken for all that it has."""

    def __init__(self, systems: Iterable[str]) -> None:
        self._systems = list(systems)
        self._incomplete: set[str] = set()
        self._counted: dict[str, set[str]] = {}
        self._judged: dict[str, list[Difference]] = {}
        self._spent: dict[str, int] = {}
        self.sources: list[Source] = []
        self.errors: dict[str, BackofficeError] = {}
        self.notes: list[str] = []

    async def ask(
        self, reads: Mapping[str, Callable[[], Awaitable[ValueT]]], *, share: float = 1.0
    ) -> Mapping[str, ValueT]:
        """What those say that answer."""
        answers = await fan_out(reads, share=share)
        self.heard(answers.sources, answers.errors)
        return answers.values

    def heard(self, sources: Sequence[Source], errors: Mapping[str, BackofficeError]) -> None:
        self.sources = together(self.sources, sources)
        self.errors |= errors

    def must_have_heard(self) -> None:
        """
        Raises:
            BackofficeError: nobody has answered anything, or nobody may be asked.
        """
        if self.errors and not any(source.status in ("ok", "stale") for source in self.sources):
            raise next(iter(self.errors.values()))
        if self.sources and all(source.status == "skipped" for source in self.sources):
            must_see(self.sources[0].backend)

    @property
    def silent(self) -> list[str]:
        return sorted({source.backend for source in self.sources if source.status in ("error", "skipped")})

    def heard_all(self, systems: Iterable[str]) -> bool:
        silent = self.silent
        return not any(system in silent for system in systems)

    def judged(self, thing: str, found: Sequence[Difference]) -> None:
        """`thing` was compared, and this is how its sides differ. It may be compared in several respects."""
        self._judged.setdefault(thing, []).extend(found)

    def has_judged(self, thing: str) -> bool:
        return thing in self._judged

    def count(self, *ids: str) -> None:
        """These were compared."""
        for ref in ids:
            self._counted.setdefault(ref.partition(":")[0], set()).add(ref)

    def spend(self, what: str, wanted: int, most: int) -> int:
        """How many of the `wanted` may still be asked, when all that this comparison asks of it is `most`."""
        given = min(wanted, most - self._spent.get(what, 0))
        self._spent[what] = self._spent.get(what, 0) + given
        return given

    def incomplete(self, systems: Iterable[str], note: str) -> None:
        self._incomplete.update(systems)
        if note not in self.notes:
            self.notes.append(note)

    @property
    def found(self) -> list[Difference]:
        return [difference for found in self._judged.values() for difference in found]

    @property
    def matched(self) -> int:
        return sum(not found for found in self._judged.values())

    @property
    def coverage(self) -> list[Coverage]:
        silent = self.silent
        return [
            Coverage(
                system=system,
                compared=len(self._counted.get(system, ())),
                complete=system not in self._incomplete and system not in silent,
            )
            for system in self._systems
        ]


@dataclass(frozen=True, slots=True)
class Listed(Generic[RowT]):
    """`more`: there are others, after these in the system's own order. `pages` are the cursors of what was read, each
    with the row at which its page begins, and `next` the cursor after them."""

    rows: list[RowT]
    more: bool
    pages: Sequence[Mark]
    next: str | None

    def after(self, count: int) -> Mark | None:
        """Where the list goes on after so many of these rows; None at its end."""
        if count == len(self.rows):
            return None if self.next is None else (self.next, 0)
        cursor, begins = [page for page in self.pages if page[1] <= count][-1]
        return cursor, count - begins


async def listed(
    fetch: Callable[[str | None, int], Awaitable[Chunk[RowT]]], most: int, start: Mark = START
) -> Listed[RowT]:
    """The first `most` or so from there on, in the order in which the system gives them."""
    rows: list[RowT] = []
    pages: list[Mark] = []
    cursor, taken = start
    for _ in range(_ROUNDS):
        pages.append((cursor, len(rows) - taken))
        chunk = await fetch(cursor, _PAGE)
        rows += chunk.items[taken:]
        cursor, taken = chunk.next, 0
        if cursor is None or len(rows) >= most:
            return Listed(rows, more=cursor is not None or chunk.capped, pages=pages, next=cursor)
    return Listed(rows, more=True, pages=pages, next=cursor)


async def by_number(system: Invoices, numbers: Sequence[str], today: date) -> dict[str, list[InvoiceRow]]:
    """The invoices with these numbers, whatever their date and whoever's they are."""

    async def look(number: str) -> list[InvoiceRow]:
        asked = InvoiceQuery(today=today, number=number)
        rows = (await system.search_invoices(asked, None, _BATCH)).items
        return [row for row in rows if number_of(row) == number]

    return await each(numbers, look)


async def details(system: Invoices, ids: Sequence[str]) -> dict[str, Invoice]:
    """By the ids that models have."""
    batches = [tuple(native(ref) for ref in ids[n : n + _BATCH]) for n in range(0, len(ids), _BATCH)]
    read = await each(batches, lambda batch: system.invoices(batch, frozenset()))
    return {invoice.invoice_id: invoice for invoices in read.values() for invoice in invoices}


async def each(keys: Sequence[KeyT], read: Callable[[KeyT], Awaitable[ValueT]]) -> dict[KeyT, ValueT]:
    """All of these, a few at a time. The first that fails ends it."""
    found: dict[KeyT, ValueT] = {}
    for start in range(0, len(keys), _AT_ONCE):
        some = keys[start : start + _AT_ONCE]
        found |= dict(zip(some, await at_once(*(read(key) for key in some)), strict=True))
    return found


def number_of(row: InvoiceRow) -> str | None:
    return (row.number or "").strip() or None


def native(ref: str) -> str:
    return ref.split(":", 2)[2]


def system_of(ref: str) -> str:
    return ref.partition(":")[0]
