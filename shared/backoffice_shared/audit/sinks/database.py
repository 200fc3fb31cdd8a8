"""Records in a table, of SQLite or PostgreSQL. Some of what they say is repeated in columns, to be found by."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from backoffice_shared.audit.chain import Entry
from backoffice_shared.audit.facets import NAMES, Facets, Wanted, facets_of, timestamp
from backoffice_shared.state.database import Database, Row

PAGE = 500  # rows read at once

# One that is there already is the same, from an attempt whose answer was lost. If somebody else put it there,
# verification tells: the insert needs no right to change anything.
_ADD = """
INSERT INTO audit (writer, seq, ts, agent, subject, tool, outcome, decision, trace_id, record, mac)
VALUES (:writer, :seq, :ts, :agent, :subject, :tool, :outcome, :decision, :trace_id, :record, :mac)
ON CONFLICT (writer, seq) DO NOTHING
"""

_WRITERS = "SELECT DISTINCT writer FROM audit WHERE writer > :after ORDER BY writer LIMIT 500"

_SELECT = "SELECT writer, seq, record, mac, ts, agent, subject, tool, outcome, decision, trace_id FROM audit"

_OF = f"{_SELECT} WHERE writer = :writer AND seq > :after ORDER BY seq LIMIT :page"

_FIRST_KEPT = "SELECT min(seq) FROM audit WHERE writer = :writer AND ts >= :limit"

_LAST = "SELECT max(seq) FROM audit WHERE writer = :writer"

_DISCARD = "DELETE FROM audit WHERE writer = :writer AND seq <= :through"


class DatabaseSink:
    """Does not close `database`, which others use too."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, entries: Sequence[Entry], *, durable: bool) -> None:  # noqa: ARG002 - a commit always is
        if entries:
            rows = [_row(entry) for entry in entries]
            await self._database.transact(lambda transaction: transaction.execute_each(_ADD, rows))

    async def aclose(self) -> None:
        pass


class DatabaseReader:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def writers(self) -> AsyncIterator[str]:
        after = ""
        while page := await self._rows(_WRITERS, {"after": after}):
            for (name,) in page:
                yield name
            after = page[-1][0]

    async def entries(self, writer: str) -> AsyncIterator[Entry]:
        after = -1
        while page := await self._rows(_OF, {"writer": writer, "after": after, "page": PAGE}):
            for row in page:
                yield _entry(row)
            after = page[-1][1]

    async def search(self, wanted: Wanted, *, newest_first: bool = True) -> AsyncIterator[Entry]:
        """By the columns, and then by what the record itself says."""
        place: dict[str, object] = {}
        while page := await self._rows(*_searching(wanted, place, newest_first=newest_first)):
            for entry in map(_entry, page):
                if wanted.matches(facets_of(entry.text)):
                    yield entry
            last = _entry(page[-1])
            place = {"at_writer": last.writer, "at_seq": last.seq, "at_ts": page[-1][4]}

    async def boundary(self, writer: str, before: datetime) -> int:
        kept = (await self._rows(_FIRST_KEPT, {"writer": writer, "limit": timestamp(before)}))[0][0]
        if kept is not None:
            return max(0, kept - 1)
        return (await self._rows(_LAST, {"writer": writer}))[0][0] or 0

    async def discard(self, writer: str, through: int) -> None:
        await self._rows(_DISCARD, {"writer": writer, "through": through})

    async def _rows(self, sql: str, parameters: Mapping[str, object]) -> list[Row]:
        return await self._database.transact(lambda transaction: transaction.execute(sql, parameters))


def _row(entry: Entry) -> dict[str, object]:
    return {
        "writer": entry.writer,
        "seq": entry.seq,
        "record": entry.text,
        "mac": entry.mac,
        **asdict(facets_of(entry.text)),
    }


def _entry(row: Row) -> Entry:
    writer, seq, text, mac, *facets = row
    return Entry(writer, seq, text, mac, Facets(*facets))


def _searching(wanted: Wanted, place: Mapping[str, object], *, newest_first: bool) -> tuple[str, dict[str, object]]:
    """The statement for the next page, which begins after `place`, and its parameters."""
    conditions = [f"{name} = :{name}" for name in NAMES if name in wanted.equal]
    parameters: dict[str, object] = {**wanted.equal, **place, "page": PAGE}
    if wanted.since is not None:
        conditions.append("ts >= :since")
        parameters["since"] = timestamp(wanted.since)
    if wanted.until is not None:
        conditions.append("ts < :until")
        parameters["until"] = timestamp(wanted.until)
    if place:
        after = "<" if newest_first else ">"
        conditions.append(f"(ts, writer, seq) {after} (:at_ts, :at_writer, :at_seq)")
    where = " WHERE " + " AND ".join(conditions) if conditions else ""
    way = "DESC" if newest_first else "ASC"
    return f"{_SELECT}{where} ORDER BY ts {way}, writer {way}, seq {way} LIMIT :page", parameters
