"""Pages over several backends in one order, with a cursor that continues exactly where a result ended."""

from __future__ import annotations

import base64
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from backoffice_shared.envelope import Listing
from backoffice_shared.errors import BackendUnavailable, InvalidInput
from backoffice_shared.paging import Chunk, Cursors, Fetch, cut, merge
from backoffice_shared.sources import Source

pytestmark = pytest.mark.anyio

CURSORS = Cursors(b"a key of the operator's")
QUESTION = {"query": "anvil"}


class Row(BaseModel):
    id: str
    rank: int


class Shelf:
    """One backend's rows, highest rank first, in pages of at most `largest`; the calls in `fails` fail."""

    def __init__(self, name: str, ranks: list[int], *, largest: int = 100, fails: set[int] | None = None) -> None:
        self.rows = [Row(id=f"{name}:{n}", rank=rank) for n, rank in enumerate(sorted(ranks, reverse=True))]
        self.calls = 0
        self._largest = largest
        self._fails = fails or set()

    async def fetch(self, cursor: str | None, size: int) -> Chunk[Row]:
        self.calls += 1
        if self.calls in self._fails:
            raise BackendUnavailable("Acme", "is down")
        start = int(cursor or 0)
        end = start + min(size, self._largest)
        return Chunk(self.rows[start:end], str(end) if end < len(self.rows) else None, len(self.rows))


def fetches(shelves: Mapping[str, Shelf]) -> dict[str, Fetch[Row]]:
    return {name: shelf.fetch for name, shelf in shelves.items()}


async def page(
    shelves: Mapping[str, Shelf], limit: int, cursor: str | None = None, question: object = QUESTION
) -> Listing[Row]:
    return await merge(
        fetches(shelves), order=lambda row: row.rank, limit=limit, cursor=cursor, cursors=CURSORS, question=question
    )


def ids(listing: Listing[Row]) -> list[str]:
    return [row.id for row in listing.items]


def in_order(shelves: Mapping[str, Shelf]) -> list[str]:
    rows = [row for shelf in shelves.values() for row in shelf.rows]
    return [row.id for row in sorted(rows, key=lambda row: row.rank, reverse=True)]


@given(
    sizes=st.lists(st.lists(st.integers(0, 30), max_size=25), min_size=1, max_size=4),
    largest=st.integers(1, 10),
    steps=st.lists(st.tuples(st.integers(1, 12), st.integers(1, 12)), min_size=1, max_size=10),
)
async def test_walking_by_cursors_gives_every_row_exactly_once_in_order(
    sizes: list[list[int]], largest: int, steps: list[tuple[int, int]]
) -> None:
    """However many rows the backends have, are asked for, or fit into each result."""
    shelves = {f"s{n}": Shelf(f"s{n}", ranks, largest=largest) for n, ranks in enumerate(sizes)}
    walked: list[str] = []
    cursor: str | None = None
    for turn in range(200):
        limit, cut = steps[turn % len(steps)]
        listing = await page(shelves, limit, cursor)
        if cut < len(listing.items) and listing.resume is not None:
            walked += ids(listing)[:cut]
            cursor = listing.resume(cut)
            continue
        walked += ids(listing)
        cursor = listing.page.next_cursor
        assert listing.page.has_more is (cursor is not None)
        if cursor is None:
            break
    assert walked == in_order(shelves)


@given(
    fails=st.lists(st.sets(st.integers(1, 12), max_size=6), min_size=2, max_size=3),
    limit=st.integers(1, 7),
    largest=st.integers(1, 4),
)
async def test_rows_of_a_backend_that_fails_now_and_then_come_exactly_once_too(
    fails: list[set[int]], limit: int, largest: int
) -> None:
    shelves = {
        f"s{n}": Shelf(f"s{n}", list(range(n, 20, len(fails))), largest=largest, fails=which)
        for n, which in enumerate(fails)
    }
    walked: list[str] = []
    cursor: str | None = None
    for _ in range(200):
        try:
            listing = await page(shelves, limit, cursor)
        except BackendUnavailable:
            continue
        walked += ids(listing)
        cursor = listing.page.next_cursor
        if cursor is None:
            break
    assert sorted(walked) == sorted(in_order(shelves))


async def test_the_first_page_says_how_many_there_are() -> None:
    shelves = {"a": Shelf("a", [5, 3, 1]), "b": Shelf("b", [4, 2])}
    first = await page(shelves, 2)
    second = await page(shelves, 2, first.page.next_cursor)
    third = await page(shelves, 2, second.page.next_cursor)
    assert [ids(one) for one in (first, second, third)] == [["a:0", "b:0"], ["a:1", "b:1"], ["a:2"]]
    assert [one.page.model_dump(exclude={"next_cursor"}) for one in (first, second, third)] == [
        {"has_more": True, "total": 5, "total_is_estimate": False},
        {"has_more": True, "total": None, "total_is_estimate": None},
        {"has_more": False, "total": None, "total_is_estimate": None},
    ]


async def counting(total: int | None, *, estimated: bool = False) -> Listing[Row]:
    async def fetch(_cursor: str | None, _size: int) -> Chunk[Row]:
        return Chunk([Row(id="1", rank=1)], None, total, estimated=estimated)

    fetches: Mapping[str, Fetch[Row]] = {"a": fetch, "b": Shelf("b", [4, 2]).fetch}
    return await merge(fetches, order=lambda row: row.rank, limit=5, cursor=None, cursors=CURSORS, question=QUESTION)


async def test_a_total_that_a_backend_only_guesses_is_an_estimate() -> None:
    listing = await counting(40, estimated=True)
    assert (listing.page.total, listing.page.total_is_estimate) == (42, True)


async def test_a_total_without_one_backends_count_is_an_estimate() -> None:
    listing = await counting(None)
    assert listing.page.total_is_estimate is True


async def test_there_is_no_total_when_no_backend_counts() -> None:
    async def fetch(_cursor: str | None, _size: int) -> Chunk[Row]:
        return Chunk([Row(id="1", rank=1)], None)

    fetches: Mapping[str, Fetch[Row]] = {"a": fetch}
    listing = await merge(fetches, order=lambda row: row.rank, limit=5, cursor=None, cursors=CURSORS, question=QUESTION)
    assert listing.page.total is None


async def test_a_backend_that_fails_is_named_and_the_cursor_asks_it_again() -> None:
    shelves = {"good": Shelf("good", [4, 2]), "bad": Shelf("bad", [5, 3], fails={1})}
    first = await page(shelves, 10)
    assert (ids(first), [(source.backend, source.status) for source in first.sources], first.notes) == (
        ["good:0", "good:1"],
        [("good", "ok"), ("bad", "error")],
        ["bad: nothing of it is in here; page.next_cursor asks it again"],
    )
    second = await page(shelves, 10, first.page.next_cursor)
    assert (ids(second), second.page.next_cursor, second.notes) == (["bad:0", "bad:1"], None, [])


async def test_the_note_on_a_backend_that_fails_half_way_says_that_some_of_it_is_there() -> None:
    shelves = {"good": Shelf("good", [4, 2]), "bad": Shelf("bad", [5, 3, 1], largest=1, fails={2})}
    listing = await page(shelves, 10)
    assert ids(listing) == ["bad:0", "good:0", "good:1"]
    assert "nothing of it" not in " ".join(listing.notes)


async def test_when_every_backend_fails_so_does_the_call() -> None:
    shelves = {"a": Shelf("a", [1], fails={1}), "b": Shelf("b", [2], fails={1})}
    with pytest.raises(BackendUnavailable):
        await page(shelves, 10)


async def test_when_all_that_is_left_to_ask_fails_so_does_the_call() -> None:
    shelves = {"done": Shelf("done", [9]), "bad": Shelf("bad", [3, 2, 1], largest=1, fails={2})}
    first = await page(shelves, 2)
    assert ids(first) == ["done:0", "bad:0"]
    with pytest.raises(BackendUnavailable):
        await page(shelves, 2, first.page.next_cursor)


async def test_rows_that_were_read_are_given_when_a_later_page_fails() -> None:
    listing = await page({"a": Shelf("a", [3, 2, 1], largest=2, fails={2})}, 3)
    assert ids(listing) == ["a:0", "a:1"]
    assert listing.page.next_cursor is not None


async def test_a_backend_that_has_no_more_is_not_asked_again() -> None:
    shelves = {"short": Shelf("short", [9]), "long": Shelf("long", list(range(8)))}
    first = await page(shelves, 4)
    await page(shelves, 4, first.page.next_cursor)
    assert shelves["short"].calls == 1


async def test_a_backend_that_came_since_starts_from_its_beginning() -> None:
    first = await page({"a": Shelf("a", [9, 8, 7])}, 2)
    both = {"a": Shelf("a", [9, 8, 7]), "b": Shelf("b", [6])}
    assert ids(await page(both, 5, first.page.next_cursor)) == ["a:2", "b:0"]


@given(place=st.integers(0), flip=st.integers(1, 255))
async def test_a_tampered_cursor_is_refused(place: int, flip: int) -> None:
    shelves = {"a": Shelf("a", [3, 2, 1])}
    cursor = (await page(shelves, 1)).page.next_cursor
    assert cursor is not None
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[place % len(raw)] ^= flip
    with pytest.raises(InvalidInput, match="not a cursor of this server"):
        await page(shelves, 1, base64.urlsafe_b64encode(raw).decode())


@given(st.text(min_size=1))
async def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        await page({"a": Shelf("a", [1])}, 1, cursor)
    assert str(raised.value) == "cursor: not a cursor of this server. Leave it out to start from the beginning."


async def test_a_cursor_of_another_server_is_refused() -> None:
    foreign = Cursors(b"another key").write(QUESTION, {"a": ("2", 0, 2)})
    with pytest.raises(InvalidInput, match="not a cursor of this server"):
        await page({"a": Shelf("a", [1])}, 1, foreign)


async def test_a_cursor_of_another_question_is_refused() -> None:
    shelves = {"a": Shelf("a", [3, 2, 1])}
    cursor = (await page(shelves, 1)).page.next_cursor
    with pytest.raises(InvalidInput) as raised:
        await page(shelves, 1, cursor, {"query": "rope"})
    assert str(raised.value) == (
        "cursor: it belongs to a call with other arguments, or a system that was asked then is not asked now. "
        "Repeat that call, or leave the cursor out to start from the beginning."
    )


async def test_the_order_of_a_questions_arguments_does_not_matter() -> None:
    shelves = {"a": Shelf("a", [3, 2, 1])}
    cursor = (await page(shelves, 1, None, {"a": 1, "b": 2})).page.next_cursor
    assert ids(await page(shelves, 1, cursor, {"b": 2, "a": 1})) == ["a:1"]


async def test_each_source_says_once_how_it_did() -> None:
    listing = await page({"a": Shelf("a", list(range(9)), largest=2)}, 8)
    assert [(source.backend, source.status) for source in listing.sources] == [("a", "ok")]
    assert isinstance(listing.sources[0], Source)


@given(count=st.integers(0, 20), steps=st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), min_size=1))
def test_rows_at_hand_are_walked_by_cursors_too(count: int, steps: list[tuple[int, int]]) -> None:
    rows = Shelf("a", list(range(count))).rows
    walked: list[Row] = []
    cursor: str | None = None
    for turn in range(100):
        limit, fitting = steps[turn % len(steps)]
        some, found, resume = cut(rows, limit=limit, cursor=cursor, cursors=CURSORS, question=QUESTION)
        assert (found.total, found.has_more) == (count, found.next_cursor is not None)
        walked += some[:fitting]
        cursor = resume(fitting) if fitting < len(some) else found.next_cursor
        if cursor is None:
            break
    assert walked == rows
