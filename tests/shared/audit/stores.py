"""Stores of records that a test can write to, read, and tamper with behind the audit's back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from backoffice_shared.audit.chain import Chain, Entry, read_line
from backoffice_shared.audit.checkpoints import Checkpoints, Kind, Signer
from backoffice_shared.audit.facets import facets_of
from backoffice_shared.audit.retention import Store as Kept
from backoffice_shared.audit.sinks.database import DatabaseReader, DatabaseSink
from backoffice_shared.audit.sinks.jsonl import JsonLinesReader, JsonLinesSink
from backoffice_shared.audit.sinks.sink import Sink
from backoffice_shared.audit.verify import Verdict, verified
from backoffice_shared.jsonvalues import canonical
from backoffice_shared.state.database import Database, Transaction

KEY = b"the audit's own key"
NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)


class Store(Protocol):
    """`sink` and `reader` are the audit's; `entries` and `overwrite` are those of somebody with access to the disk."""

    @property
    def reader(self) -> Kept: ...

    def sink(self, now: datetime = NOW) -> Sink: ...

    async def entries(self, writer: str) -> list[Entry]: ...

    async def overwrite(self, writer: str, entries: Sequence[Entry]) -> None: ...


class FileStore:
    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reader = JsonLinesReader(directory)

    def sink(self, now: datetime = NOW) -> JsonLinesSink:
        return JsonLinesSink(self.directory, now=lambda: now)

    async def entries(self, writer: str) -> list[Entry]:
        lines = [line for file in self._files(writer) for line in file.read_text().splitlines()]
        return [entry for line in lines if (entry := read_line(line)) is not None]

    async def overwrite(self, writer: str, entries: Sequence[Entry]) -> None:
        first, *others = self._files(writer)
        for file in others:
            file.unlink()
        first.write_text("".join(entry.line + "\n" for entry in entries))

    def _files(self, writer: str) -> list[Path]:
        return sorted(self.directory.glob(f"{writer}-????-??-??.jsonl"))


class TableStore:
    def __init__(self, database: Database) -> None:
        self.database = database
        self.reader = DatabaseReader(database)

    def sink(self, now: datetime = NOW) -> DatabaseSink:  # noqa: ARG002 - a table has no days
        return DatabaseSink(self.database)

    async def entries(self, writer: str) -> list[Entry]:
        return [entry async for entry in self.reader.entries(writer)]

    async def overwrite(self, writer: str, entries: Sequence[Entry]) -> None:
        """Somebody careful: what the records are found by fits what they say."""

        def work(transaction: Transaction) -> None:
            transaction.execute("DELETE FROM audit WHERE writer = :writer", {"writer": writer})
            for number, entry in enumerate(entries):
                row = {"writer": writer, "seq": entry.seq or number + 1, "record": entry.text, "mac": entry.mac}
                transaction.execute(_ADD, {**row, **asdict(facets_of(entry.text))})

        await self.database.transact(work)


_ADD = """
INSERT INTO audit (writer, seq, ts, agent, subject, tool, outcome, decision, trace_id, record, mac)
VALUES (:writer, :seq, :ts, :agent, :subject, :tool, :outcome, :decision, :trace_id, :record, :mac)
"""


def fields(number: int = 1, **given: Any) -> dict[str, Any]:
    """A record of a call, a second after the one before."""
    ts = f"2026-11-24T{9 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    actor = {"sub": "ada", "agent": "helpdesk"}
    return {"ts": ts, "event": "tool.call", "actor": actor, "tool": "get_invoice", "outcome": "ok", **given}


def chained(count: int, *, writer: str = "billing-host-1", key: bytes = KEY) -> list[Entry]:
    """The first records of a writer."""
    chain = Chain(key, writer)
    return [chain.add(canonical(fields(number))) for number in range(1, count + 1)]


async def note(checkpoints: Checkpoints, kind: Kind, entry: Entry, *, key: bytes = KEY) -> None:
    signer = Signer(key)
    await checkpoints.add(signer.signed(kind, entry.writer, entry.seq, entry.mac, "2026-11-24T09:31:00.000Z"))


async def verdicts(store: Store, checkpoints: Checkpoints, *, key: bytes = KEY) -> list[Verdict]:
    return [verdict async for verdict in verified(store.reader, checkpoints, key)]


def edited(entry: Entry, old: str, new: str) -> Entry:
    assert old in entry.text
    return replace(entry, text=entry.text.replace(old, new), filed=None)
