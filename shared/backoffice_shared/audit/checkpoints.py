"""Checkpoints: how far each chain had come, signed, and kept where whoever changes the audit cannot change them.

A writer notes the beginning of its chain, its head a minute after something was added, and its end. Retention notes
up to where records were removed. A signature is an HMAC with a key derived from the audit's.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeVar, cast

from backoffice_shared.audit.chain import derived
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.jsonvalues import canonical, obj
from backoffice_shared.state.database import Database, Transaction

Kind = Literal["begin", "head", "end", "pruned"]

PAGE = 500

Given = TypeVar("Given")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The chain of `writer` had the code `mac` after `seq` records at `ts`. "pruned": what came up to there was removed."""

    kind: Kind
    writer: str
    seq: int
    mac: str
    ts: str
    signature: str = ""


class Checkpoints(Protocol):
    """Every method raises BackendUnavailable when the store cannot be used."""

    async def add(self, checkpoint: Checkpoint) -> None:
        """Keep it durably."""
        ...

    def writers(self) -> AsyncIterator[str]: ...

    def of(self, writer: str) -> AsyncIterator[Checkpoint]: ...

    async def discard(self, writer: str, *, before: int | None) -> None:
        """Remove those of records before this one; all of the writer's when None."""
        ...


class Signer:
    def __init__(self, key: bytes) -> None:
        self._key = derived(key, "checkpoint")

    def signed(self, kind: Kind, writer: str, seq: int, mac: str, ts: str) -> Checkpoint:
        return Checkpoint(kind, writer, seq, mac, ts, self._signature(kind, writer, seq, mac, ts))

    def made(self, checkpoint: Checkpoint) -> bool:
        """Whether it is one of ours, as it was."""
        expected = self._signature(checkpoint.kind, checkpoint.writer, checkpoint.seq, checkpoint.mac, checkpoint.ts)
        return hmac.compare_digest(expected.encode(), checkpoint.signature.encode())

    def _signature(self, *said: object) -> str:
        return hmac.digest(self._key, canonical(said).encode(), "sha256").hex()


class FileCheckpoints:
    """One file for each writer in `directory`, to which lines are only added."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def add(self, checkpoint: Checkpoint) -> None:
        await _in_thread(self._add, checkpoint)

    async def writers(self) -> AsyncIterator[str]:
        for name in await _in_thread(self._writers):
            yield name

    async def of(self, writer: str) -> AsyncIterator[Checkpoint]:
        for checkpoint in await _in_thread(lambda: list(self._read(writer))):
            yield checkpoint

    async def discard(self, writer: str, *, before: int | None) -> None:
        await _in_thread(self._discard, writer, before)

    def _add(self, checkpoint: Checkpoint) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _append(self._file(checkpoint.writer), [checkpoint])

    def _writers(self) -> list[str]:
        return sorted(file.stem for file in self._directory.glob("*.jsonl"))

    def _read(self, writer: str) -> Iterator[Checkpoint]:
        try:
            lines = self._file(writer).read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            return
        yield from filter(None, map(_parsed, lines))

    def _discard(self, writer: str, before: int | None) -> None:
        file = self._file(writer)
        kept = [] if before is None else [one for one in self._read(writer) if one.seq >= before]
        if not kept:
            file.unlink(missing_ok=True)
            return
        shorter = file.with_suffix(".new")
        shorter.unlink(missing_ok=True)
        _append(shorter, kept)
        shorter.replace(file)

    def _file(self, writer: str) -> Path:
        return self._directory / f"{writer}.jsonl"


class DatabaseCheckpoints:
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, checkpoint: Checkpoint) -> None:
        def work(transaction: Transaction) -> None:
            transaction.execute(_ADD, asdict(checkpoint))

        await self._database.transact(work)

    async def writers(self) -> AsyncIterator[str]:
        after = ""
        while page := await self._database.transact(lambda t, after=after: t.execute(_WRITERS, {"after": after})):
            for (name,) in page:
                yield name
            after = page[-1][0]

    async def of(self, writer: str) -> AsyncIterator[Checkpoint]:
        place: dict[str, object] = {"writer": writer, "seq": -1, "kind": "", "page": PAGE}
        while page := await self._database.transact(lambda t, place=dict(place): t.execute(_OF, place)):
            for row in page:
                yield Checkpoint(*row)
            place |= {"kind": page[-1][0], "seq": page[-1][2]}

    async def discard(self, writer: str, *, before: int | None) -> None:
        def work(transaction: Transaction) -> None:
            if before is None:
                transaction.execute("DELETE FROM audit_checkpoints WHERE writer = :writer", {"writer": writer})
            else:
                transaction.execute(_DISCARD, {"writer": writer, "before": before})

        await self._database.transact(work)


_ADD = """
INSERT INTO audit_checkpoints (writer, seq, kind, mac, ts, signature)
VALUES (:writer, :seq, :kind, :mac, :ts, :signature)
ON CONFLICT (writer, seq, kind) DO NOTHING
"""

_WRITERS = "SELECT DISTINCT writer FROM audit_checkpoints WHERE writer > :after ORDER BY writer LIMIT 500"

_OF = """
SELECT kind, writer, seq, mac, ts, signature FROM audit_checkpoints
WHERE writer = :writer AND (seq, kind) > (:seq, :kind) ORDER BY seq, kind LIMIT :page
"""

_DISCARD = "DELETE FROM audit_checkpoints WHERE writer = :writer AND seq < :before"


def _append(file: Path, checkpoints: list[Checkpoint]) -> None:
    text = "".join(canonical(asdict(checkpoint)) + "\n" for checkpoint in checkpoints)
    descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if size and os.pread(descriptor, 1, size - 1) != b"\n":
            text = "\n" + text  # an earlier one was not written whole
        os.write(descriptor, text.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _parsed(line: str) -> Checkpoint | None:
    """None for what was not written whole."""
    try:
        said = obj(json.loads(line))
        kind, seq = cast("Kind", str(said["kind"])), int(said["seq"])
        return Checkpoint(kind, str(said["writer"]), seq, *(str(said[name]) for name in ("mac", "ts", "signature")))
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


async def _in_thread(work: Callable[..., Given], *given: object) -> Given:
    try:
        return await asyncio.to_thread(work, *given)
    except OSError as error:
        raise BackendUnavailable("", f"the audit's checkpoints cannot be used: {error.strerror}") from None
