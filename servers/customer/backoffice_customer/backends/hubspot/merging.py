"""One order over several kinds of records, a page at a time.

The cursor holds each kind's place: its own cursor, and how many rows from there were given. What is left out has ended.
It is opaque text (base64url): bare JSON would reach us as an object when it comes back as an argument of a tool.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Generic

from pydantic import TypeAdapter

from backoffice_shared.errors import InvalidInput
from backoffice_shared.paging import Chunk, Fetch, ItemT

_Place = tuple[str | None, int]
_PLACES = TypeAdapter(dict[str, _Place])
_START: _Place = (None, 0)
_LARGEST_PAGE = 200
_LONGEST = 8_192  # characters of a cursor


async def merged(
    feeds: Mapping[str, Fetch[ItemT]], *, at: Callable[[ItemT], datetime], cursor: str | None, limit: int
) -> Chunk[ItemT]:
    """The `limit` newest rows of all feeds after those that `cursor` stands for. Each feed is newest first.

    Raises:
        InvalidInput: the cursor is none that was given out.
    """
    places = dict.fromkeys(feeds, _START) if cursor is None else _read(cursor)
    open_feeds = {name: _Feed(feeds[name], place, limit) for name, place in places.items() if name in feeds}
    rows: list[ItemT] = []
    while len(rows) < limit:
        await asyncio.gather(*(feed.load() for feed in open_feeds.values() if not feed.rows))
        heads = {name: feed.rows[0] for name, feed in open_feeds.items() if feed.rows}
        if not heads:
            break
        rows.append(open_feeds[max(heads, key=lambda name: at(heads[name]))].take())
    left = {name: feed.place for name, feed in open_feeds.items() if feed.place is not None}
    totals = [feed.page.total for feed in open_feeds.values() if feed.page.total is not None]
    return Chunk(
        rows,
        _written(left) if left else None,
        sum(totals) if len(totals) == len(feeds) and cursor is None else None,
        capped=any(feed.page.capped for feed in open_feeds.values()),
    )


class _Feed(Generic[ItemT]):
    """One kind's rows. `place` is that of the first of `rows`, None at the end."""

    def __init__(self, fetch: Fetch[ItemT], place: _Place, size: int) -> None:
        self._fetch = fetch
        self._size = size
        self.place: _Place | None = place
        self.page: Chunk[ItemT] = Chunk([])
        self.rows: deque[ItemT] = deque()

    async def load(self) -> None:
        """The rows at our place, from a later page where this one has no more."""
        while self.place is not None and not self.rows:
            cursor, given = self.place
            self.page = await self._fetch(cursor, self._size)
            self.rows = deque(self.page.items[given:])
            if not self.rows:
                left = max(0, given - len(self.page.items))
                self.place = None if self.page.next is None else (self.page.next, left)

    def take(self) -> ItemT:
        assert self.place is not None  # noqa: S101 - there are rows
        row = self.rows.popleft()
        following = None if self.page.next is None else (self.page.next, 0)
        self.place = (self.place[0], self.place[1] + 1) if self.rows else following
        return row


def _written(places: Mapping[str, _Place]) -> str:
    return base64.urlsafe_b64encode(json.dumps(places, separators=(",", ":")).encode()).rstrip(b"=").decode()


def _read(cursor: str) -> dict[str, _Place]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        places = _PLACES.validate_json(base64.b64decode(padded[:_LONGEST], altchars=b"-_", validate=True))
    except ValueError:  # also what pydantic raises
        places = None
    if places is None or any(not 0 <= given <= _LARGEST_PAGE for _, given in places.values()):
        raise no_cursor()
    return places


def no_cursor() -> InvalidInput:
    return InvalidInput("", "cursor: not a cursor of this server", hint="Leave it out to start from the beginning")
