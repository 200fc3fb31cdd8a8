"""What every store keeps it gives back: by writer, by time, by what is wanted, however much there is."""

from __future__ import annotations

import resource
import stat
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from tests.shared.audit.stores import KEY, NOW, FileStore, Store, chained, fields

from backoffice_shared.audit.chain import Chain, Entry
from backoffice_shared.audit.facets import Wanted
from backoffice_shared.audit.sinks.jsonl import JsonLinesReader, JsonLinesSink
from backoffice_shared.audit.sinks.stream import CollectedReader, StreamSink
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.jsonvalues import canonical

pytestmark = pytest.mark.anyio


async def seqs(found: AsyncIterator[Entry]) -> list[int]:
    return [entry.seq async for entry in found]


async def lines(found: AsyncIterator[Entry]) -> list[str]:
    return [entry.line async for entry in found]


async def write(store: Store, entries: list[Entry]) -> None:
    sink = store.sink()
    await sink.write(entries, durable=True)
    await sink.aclose()


async def test_what_was_written_is_read_byte_for_byte(store: Store) -> None:
    entries = chained(3)
    await write(store, entries)
    assert await lines(store.reader.entries("billing-host-1")) == [entry.line for entry in entries]


async def test_what_is_written_twice_is_there_once(store: Store) -> None:
    entries, sink = chained(6), store.sink()
    await sink.write(entries[:3], durable=False)
    await sink.write(entries[:3], durable=False)
    await sink.write(entries[1:], durable=True)
    await sink.write((), durable=True)
    assert await seqs(store.reader.entries("billing-host-1")) == [1, 2, 3, 4, 5, 6]


async def test_two_writers_into_one_store_stay_apart(store: Store) -> None:
    one, other = chained(3), chained(2, writer="billing-host-10")
    await write(store, one)
    await write(store, other)
    assert [writer async for writer in store.reader.writers()] == ["billing-host-1", "billing-host-10"]
    assert await lines(store.reader.entries("billing-host-1")) == [entry.line for entry in one]
    assert await lines(store.reader.entries("billing-host-10")) == [entry.line for entry in other]


async def test_the_newest_come_first_also_of_several_writers_and_many_pages(store: Store) -> None:
    await write(store, chained(700))
    await write(store, chained(650, writer="billing-host-2"))
    found = [(entry.seq, entry.writer[-1]) async for entry in store.reader.search(Wanted())]
    assert len(found) == 1350
    assert [seq for seq, _ in found] == sorted((seq for seq, _ in found), reverse=True)
    forwards = [(entry.seq, entry.writer[-1]) async for entry in store.reader.search(Wanted(), newest_first=False)]
    assert forwards == sorted(found)


async def test_nothing_is_kept_at_first(store: Store) -> None:
    assert [writer async for writer in store.reader.writers()] == []
    assert await seqs(store.reader.search(Wanted())) == []
    assert await seqs(store.reader.entries("billing-host-1")) == []
    assert await store.reader.boundary("billing-host-1", NOW) == 0


MANY = [
    fields(1, decision="allow"),
    fields(2, decision="deny", outcome="error", actor={"sub": "bob", "agent": "helpdesk"}),
    fields(3, decision="allow", tool="refund_payment", trace_id="0af7651916cd43dd8448eb211c80319c"),
    fields(4, actor={"sub": "ada", "agent": None}, tool="o'brien; DROP TABLE audit"),
    {"ts": "2026-11-24T09:00:05.000Z", "event": "audit.lost", "count": 7},
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Wanted(), [5, 4, 3, 2, 1]),
        (Wanted(agent="helpdesk"), [3, 2, 1]),
        (Wanted(agent="helpdesk", subject="ada"), [3, 1]),
        (Wanted(tool="refund_payment"), [3]),
        (Wanted(tool="o'brien; DROP TABLE audit"), [4]),
        (Wanted(outcome="error"), [2]),
        (Wanted(decision="deny"), [2]),
        (Wanted(trace_id="0af7651916cd43dd8448eb211c80319c"), [3]),
        (Wanted(since=datetime(2026, 11, 24, 9, 0, 3, tzinfo=UTC)), [5, 4, 3]),
        (Wanted(until=datetime(2026, 11, 24, 9, 0, 3, tzinfo=UTC)), [2, 1]),
        (Wanted(since=datetime(2026, 11, 25, tzinfo=UTC)), []),
        (Wanted(agent="somebody else"), []),
    ],
    ids=str,
)
async def test_records_are_found_by_what_they_say(store: Store, wanted: Wanted, found: list[int]) -> None:
    chain = Chain(KEY, "billing-host-1")
    await write(store, [chain.add(canonical(record)) for record in MANY])
    assert await seqs(store.reader.search(wanted)) == found


# Files


async def test_files_are_their_owners_only_and_one_for_each_writer_and_day(tmp_path: Path) -> None:
    directory, entries = tmp_path / "audit", chained(6)
    days = iter([NOW, NOW + timedelta(days=1), NOW, NOW + timedelta(days=2)])
    sink = JsonLinesSink(directory, now=lambda: next(days))
    for number in range(3):
        await sink.write(entries[2 * number : 2 * number + 2], durable=False)
    await sink.aclose()
    files = sorted(directory.iterdir())
    assert [(file.name, len(file.read_text().splitlines())) for file in files] == [
        ("billing-host-1-2026-11-24.jsonl", 2),
        ("billing-host-1-2026-11-25.jsonl", 4),  # a clock that goes back does not change the order
    ]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    reader = JsonLinesReader(directory)
    assert await seqs(reader.entries("billing-host-1")) == [1, 2, 3, 4, 5, 6]
    assert await seqs(reader.search(Wanted())) == [6, 5, 4, 3, 2, 1]


async def test_a_full_disk_leaves_no_half_of_a_record_and_nothing_twice(tmp_path: Path) -> None:
    directory, entries = tmp_path / "audit", chained(40)
    sink = JsonLinesSink(directory)
    await sink.write(entries[:10], durable=True)
    room = next(directory.iterdir()).stat().st_size + 1500  # for some of the next ten
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, unlimited[1]))
    try:
        with pytest.raises(BackendUnavailable, match="cannot be written: File too large"):
            await sink.write(entries[10:20], durable=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    reader = JsonLinesReader(directory)
    assert await seqs(reader.entries("billing-host-1")) == list(range(1, 11))
    await sink.write(entries[10:], durable=True)
    assert await lines(reader.entries("billing-host-1")) == [entry.line for entry in entries]


async def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    directory, entries = tmp_path / "audit", chained(4)
    sink = JsonLinesSink(directory)
    await sink.write(entries[:2], durable=False)
    next(directory.iterdir()).rename(tmp_path / "rotated")
    await sink.write(entries[2:], durable=False)
    assert await seqs(JsonLinesReader(directory).entries("billing-host-1")) == [3, 4]


async def test_a_last_line_that_was_not_written_whole_is_not_read(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    await write(store, chained(3))
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-20])
    assert await seqs(store.reader.entries("billing-host-1")) == [1, 2]
    assert await seqs(store.reader.search(Wanted())) == [2, 1]


async def test_long_lines_are_read_from_the_end_too(tmp_path: Path) -> None:
    chain = Chain(KEY, "billing-host-1")
    entries = [
        chain.add(canonical(fields(number, args="x" * size)))
        for number, size in enumerate([0, 70_000, 10, 200_000, 65_300])
    ]
    store = FileStore(tmp_path)
    await write(store, entries)
    assert await lines(store.reader.search(Wanted())) == [entry.line for entry in reversed(entries)]


async def test_a_directory_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "audit").write_text("a file")
    with pytest.raises(BackendUnavailable, match="cannot be written"):
        await JsonLinesSink(tmp_path / "audit").write(chained(1), durable=False)


# Streams


async def test_a_stream_has_one_line_for_each_record_and_can_be_read_where_it_was_collected(tmp_path: Path) -> None:
    stream, entries, other = StringIO(), chained(3), chained(2, writer="billing-host-2")
    sink = StreamSink(stream)
    await sink.write(entries[:2], durable=False)
    await sink.write(entries, durable=True)
    await sink.write(other, durable=True)
    await sink.aclose()
    collected = tmp_path / "stderr"
    collected.write_text("INFO started\n" + stream.getvalue() + '{"not":"a record"}\n')
    reader = CollectedReader(collected)
    assert [writer async for writer in reader.writers()] == ["billing-host-1", "billing-host-2"]
    assert await lines(reader.entries("billing-host-1")) == [entry.line for entry in entries]
    assert await seqs(reader.search(Wanted())) == [2, 1, 3, 2, 1]
    assert await seqs(reader.search(Wanted(tool="get_invoice"), newest_first=False)) == [1, 2, 3, 1, 2]


async def test_a_stream_that_was_closed_is_told() -> None:
    stream = StringIO()
    stream.close()
    with pytest.raises(BackendUnavailable, match="cannot be written"):
        await StreamSink(stream).write(chained(1), durable=False)
