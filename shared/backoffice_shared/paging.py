"""Pages over several backends at once, in one order, with a cursor that continues exactly where a result ended.

A cursor holds, for each backend, its own cursor and how many rows of that page were already given. So a result
may be cut after any row. It is signed and bound to the question: with other arguments it is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from backoffice_shared.envelope import Listing, Page
from backoffice_shared.errors import BackofficeError, InvalidInput
from backoffice_shared.sources import Answers, Source, fan_out, in_sight

ItemT = TypeVar("ItemT", bound=BaseModel)


@dataclass(frozen=True)
class Chunk(Generic[ItemT]):
    """One page of one backend. `next` is that backend's own cursor, None at the end; `total` where it says.

    `capped`: there is more, which the backend gives nobody.
    """

    items: list[ItemT]
    next: str | None = None
    total: int | None = None
    estimated: bool = False
    capped: bool = False


Fetch = Callable[[str | None, int], Awaitable[Chunk[ItemT]]]
"""Takes the backend's own cursor and a number of rows; the rows come in the order that is asked for."""

# A backend's place: its cursor, the rows of that page already given, and the size the page was asked with.
# None: it has no more.
_Place = tuple[str | None, int, int] | None
_PLACES = TypeAdapter(dict[str, _Place])


MOST_ROUNDS = 6
"""How often one call asks a backend for another page, when what it gives is not what is looked for."""


class Cursors:
    """Signs and reads cursors."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, question: object, places: Mapping[str, _Place]) -> str:
        body = json.dumps([self._digest(question), places], separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(self._sign(body) + body).rstrip(b"=").decode()

    def read(self, question: object, cursor: str) -> dict[str, _Place]:
        """The places in `cursor`.

        Raises:
            InvalidInput: it is not one of ours, or belongs to other arguments.
        """
        try:
            raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            signature, body = raw[:16], raw[16:]
            if not hmac.compare_digest(signature, self._sign(body)):
                raise ValueError
            digest, places = json.loads(body)
            found = _PLACES.validate_python(places)
        except (ValueError, ValidationError):
            raise InvalidInput(
                "", "cursor: not a cursor of this server", hint="Leave it out to start from the beginning"
            ) from None
        if digest != self._digest(question):
            raise InvalidInput(
                "",
                "cursor: it belongs to a call with other arguments, or a system that was asked then is not asked now",
                hint="Repeat that call, or leave the cursor out to start from the beginning",
            )
        return found

    def _sign(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:16]

    @staticmethod
    def _digest(question: object) -> str:
        return hashlib.sha256(json.dumps(question, sort_keys=True, default=str).encode()).hexdigest()[:16]


def cut(
    items: list[ItemT], *, limit: int, cursor: str | None, cursors: Cursors, question: object
) -> tuple[list[ItemT], Page, Callable[[int], str]]:
    """One page of rows that are all at hand, with how to resume after any of them.

    Raises:
        InvalidInput: the cursor is not for this question.
    """
    place = cursors.read(question, cursor).get("") if cursor else None
    start = place[1] if place is not None else 0
    rows = items[start : start + limit]

    def resume(count: int) -> str:
        return cursors.write(question, {"": (None, start + count, limit)})

    has_more = start + limit < len(items)
    return rows, Page(next_cursor=resume(limit) if has_more else None, has_more=has_more, total=len(items)), resume


@dataclass(slots=True)
class _Feed(Generic[ItemT]):
    """One backend's rows, fetched a page at a time, and the place after the last one taken."""

    fetch: Fetch[ItemT]
    place: _Place
    page: Chunk[ItemT] = field(default_factory=lambda: Chunk[ItemT]([]))

    async def load(self) -> Chunk[ItemT]:
        """The page at our place. A place at the end of a page moves on to the next one."""
        assert self.place is not None  # noqa: S101
        cursor, _, size = self.place
        self.page = page = await self.fetch(cursor, size)
        self._settle()
        return page

    def head(self) -> ItemT | None:
        if self.place is None or self.place[1] >= len(self.page.items):
            return None
        return self.page.items[self.place[1]]

    def take(self) -> None:
        assert self.place is not None  # noqa: S101
        cursor, given, size = self.place
        self.place = (cursor, given + 1, size)
        self._settle()

    def _settle(self) -> None:
        assert self.place is not None  # noqa: S101
        _, given, size = self.place
        if given >= len(self.page.items):
            self.place = None if self.page.next is None else (self.page.next, 0, size)
            self.page = Chunk[ItemT]([])


async def merge(
    fetches: Mapping[str, Fetch[ItemT]],
    *,
    order: Callable[[ItemT], Any],
    limit: int,
    cursor: str | None,
    cursors: Cursors,
    question: object,
) -> Listing[ItemT]:
    """The first `limit` rows of all backends together, highest `order` first.

    A backend that fails keeps its place in the cursor, so that its rows come once it is back.

    Raises:
        InvalidInput: the cursor is not for this question.
        BackofficeError: every backend failed, or is one whose data the caller may not see.
    """
    places = cursors.read(question, cursor) if cursor else {}
    mine, skipped = in_sight(fetches)
    if not mine:
        Answers[ItemT]({}, skipped, {}).or_raise()
    feeds = {name: _Feed(fetch, places.get(name, (None, 0, limit))) for name, fetch in mine.items()}
    merged = _Merged(feeds)
    await merged.load([name for name, feed in feeds.items() if feed.place is not None])
    first = merged.pages
    rounds = 0
    while len(merged.rows) < limit:
        if waiting := merged.waiting():
            if (rounds := rounds + 1) > MOST_ROUNDS:
                break
            await merged.load(waiting)
        elif not merged.take(order):
            break

    def resume(rows: int) -> str:
        return cursors.write(question, merged.trail[rows])

    has_more = any(feed.place is not None for name, feed in feeds.items() if name not in merged.errors)
    counts = [page.total for page in first if page.total is not None]
    total = sum(counts) if counts and not cursor else None
    page = Page(
        next_cursor=cursors.write(question, merged.places()) if has_more or merged.errors else None,
        has_more=has_more,
        total=total,
        total_is_estimate=None
        if total is None
        else bool(merged.errors) or any(p.total is None or p.estimated for p in first),
    )
    notes = [
        f"{name}: {'nothing' if name not in merged.answered else 'not all'} of it is in here; page.next_cursor asks it again"
        for name in merged.errors
    ]
    notes += [f"{name} finds no more than these: narrow the search to see the others" for name in merged.capped]
    sources = [*merged.sources.values(), *skipped]
    listing = Listing[ItemT](page=page, items=merged.rows, sources=sources, notes=notes)
    return listing.resumed_by(resume)


class _Merged(Generic[ItemT]):
    """The rows taken so far. `trail[n]` is every backend's place after n rows."""

    def __init__(self, feeds: Mapping[str, _Feed[ItemT]]) -> None:
        self._feeds = feeds
        self.rows: list[ItemT] = []
        self.trail = [self.places()]
        self.pages: list[Chunk[ItemT]] = []
        self.sources: dict[str, Source] = {}
        self.errors: dict[str, BackofficeError] = {}
        self.answered: set[str] = set()
        self.capped: set[str] = set()

    async def load(self, names: list[str]) -> None:
        answers = await fan_out({name: self._feeds[name].load for name in names})
        self.errors |= answers.errors
        self.answered |= answers.values.keys()
        self.capped |= {name for name, page in answers.values.items() if page.capped}
        self.sources |= {source.backend: source for source in answers.sources}
        self.pages = [*self.pages, *answers.values.values()]
        if not self.answered:
            answers.or_raise()

    def waiting(self) -> list[str]:
        """The backends that must give a page before the next row can be chosen."""
        return [n for n, feed in self._feeds.items() if n not in self.errors and feed.place and feed.head() is None]

    def take(self, order: Callable[[ItemT], Any]) -> bool:
        heads = {n: head for n, feed in self._feeds.items() if n not in self.errors and (head := feed.head())}
        if not heads:
            return False
        first = max(heads, key=lambda name: order(heads[name]))
        self.rows.append(heads[first])
        self._feeds[first].take()
        self.trail.append(self.places())
        return True

    def places(self) -> dict[str, _Place]:
        return {name: feed.place for name, feed in self._feeds.items()}
