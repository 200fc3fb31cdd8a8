"""Whether the audit is as it was written: every chain, link by link, and against its checkpoints.

For each writer it tells apart a record that was edited, one that was deleted, records that changed places, one that
somebody without the key put there, an end that was cut off, and a writer that is missing as a whole. Records after
the last checkpoint are chained, but nothing yet shows that none came after them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Literal

from backoffice_shared.audit.chain import Entry, derived, genesis, linked, named_in
from backoffice_shared.audit.checkpoints import Checkpoint, Checkpoints, Signer
from backoffice_shared.audit.facets import facets_of
from backoffice_shared.audit.sinks.sink import Reader

MOST_FAULTS = 20  # told of one writer

FaultKind = Literal["edited", "deleted", "swapped", "forged", "cut", "missing"]


@dataclass(frozen=True, slots=True)
class Fault:
    """At record `seq`, and up to `through` where several are concerned."""

    kind: FaultKind
    seq: int
    through: int | None = None

    def __str__(self) -> str:
        where = f"record {self.seq}" if self.through in (None, self.seq) else f"records {self.seq} to {self.through}"
        match self.kind:
            case "missing":
                return f"every record is missing, up to {where}"
            case "cut":
                return f"the end was cut off: {where}"
            case _:
                return f"{self.kind}: {where}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`records` were read, the last of them `last`. `covered` is the last that a checkpoint vouches for; `closed` that
    the writer noted its end there. `faults` are the first twenty of `faulty`."""

    writer: str
    records: int
    last: int
    covered: int
    closed: bool
    faults: tuple[Fault, ...]
    faulty: int

    @property
    def ok(self) -> bool:
        return not self.faults

    @property
    def uncovered(self) -> int:
        """Records after the last checkpoint."""
        return max(0, self.last - self.covered)


async def verified(reader: Reader, checkpoints: Checkpoints, key: bytes) -> AsyncIterator[Verdict]:
    """A verdict for every writer that has records or checkpoints.

    Raises:
        BackendUnavailable: a store cannot be read.
    """
    # Those with checkpoints first: one that begins meanwhile then has its records by the time they are read.
    noted = {writer async for writer in checkpoints.writers()}
    async for writer in reader.writers():
        noted.discard(writer)
        yield await verified_writer(reader, checkpoints, key, writer)
    for writer in sorted(noted):
        yield await verified_writer(reader, checkpoints, key, writer)


async def verified_writer(reader: Reader, checkpoints: Checkpoints, key: bytes, writer: str) -> Verdict:
    """A verdict for one writer."""
    while True:
        noted = await _noted(checkpoints, Signer(key), writer)
        verdict = await _walked(reader, key, writer, noted)
        # Retention may have been at work meanwhile: it notes what it is going to remove.
        if verdict.ok or (await _noted(checkpoints, Signer(key), writer)).pruned == noted.pruned:
            return verdict


@dataclass(slots=True)
class _Noted:
    """What the checkpoints of a writer say: `macs` by record; `pruned` is where its chain now begins."""

    macs: dict[int, str] = field(default_factory=dict[int, str])
    pruned: Checkpoint | None = None
    last: int = 0
    closed: bool = False
    forged: list[int] = field(default_factory=list[int])


async def _noted(checkpoints: Checkpoints, signer: Signer, writer: str) -> _Noted:
    noted = _Noted()
    async for checkpoint in checkpoints.of(writer):
        if not signer.made(checkpoint) or checkpoint.writer != writer:
            noted.forged.append(checkpoint.seq)
            continue
        noted.macs[checkpoint.seq] = checkpoint.mac
        noted.last = max(noted.last, checkpoint.seq)
        if checkpoint.kind == "pruned" and (noted.pruned is None or checkpoint.seq > noted.pruned.seq):
            noted.pruned = checkpoint
        noted.closed = noted.closed or checkpoint.kind == "end"
    return noted


async def _walked(reader: Reader, key: bytes, writer: str, noted: _Noted) -> Verdict:
    walk = _Walk(derived(key, "chain"), writer, noted)
    async for entry in reader.entries(writer):
        walk.see(entry)
    return walk.verdict()


class _Walk:
    """Follows one chain. After a fault it goes on with what is there, to find the next."""

    def __init__(self, chain_key: bytes, writer: str, noted: _Noted) -> None:
        self._key = chain_key
        self._writer = writer
        self._noted = noted
        self._first = 0 if noted.pruned is None else noted.pruned.seq
        self._last = self._first
        # The codes that the next record may follow; empty when that cannot be known.
        self._before: tuple[str, ...] = (genesis(chain_key, writer) if noted.pruned is None else noted.pruned.mac,)
        self._suspect: int | None = None
        self._gaps: list[tuple[int, int]] = []
        self._records = 0
        self._faults: list[Fault] = [Fault("forged", seq) for seq in noted.forged]

    def see(self, entry: Entry) -> None:
        self._records += 1
        seq = entry.seq or self._last + 1
        if entry.seq and seq <= self._first:
            return  # removed by retention, or about to be
        if seq <= self._last:
            self._out_of_place(seq)
        else:
            if seq > self._last + 1:
                self._gap(seq)
            self._next(seq, entry)
            self._last = seq

    def verdict(self) -> Verdict:
        self._settle_suspect()
        self._faults += [Fault("deleted", first, through) for first, through in self._gaps]
        if self._noted.last > self._last:
            kind = "cut" if self._records else "missing"
            self._faults.append(Fault(kind, self._last + 1, self._noted.last))
        faults = sorted(self._faults, key=lambda fault: fault.seq)
        return Verdict(
            writer=self._writer,
            records=self._records,
            last=self._last,
            covered=self._noted.last,
            closed=self._noted.closed and self._noted.last >= self._last,
            faults=tuple(faults[:MOST_FAULTS]),
            faulty=len(faults),
        )

    def _next(self, seq: int, entry: Entry) -> None:
        """A record in its place, as far as its number goes."""
        named = named_in(entry.text)
        if named[0] == self._writer and named[1] not in (0, seq):
            self._settle_suspect()
            self._fault("swapped", seq)
            self._before = ()
        elif named != (self._writer, seq):
            self._settle_suspect()
            self._fault("edited" if seq <= self._noted.last else "forged", seq)
            self._before = (entry.mac,) if entry.mac else ()
        else:
            self._link(seq, entry)

    def _link(self, seq: int, entry: Entry) -> None:
        codes = {linked(self._key, before, entry.text) for before in self._before}
        if self._before and entry.mac not in codes:
            self._settle_suspect()
            self._suspect = seq
            self._before = (entry.mac, *codes)  # which of them follows says whether the text or the code was changed
            return
        if self._suspect is not None:  # the record after it was written when it was still as it should be
            self._fault("edited", self._suspect)
            self._suspect = None
        self._before = (entry.mac,)
        if self._noted.macs.get(seq, entry.mac) != entry.mac:
            self._fault("forged", seq)  # by somebody who has the key
        elif entry.filed is not None and entry.filed != facets_of(entry.text):
            self._fault("edited", seq)

    def _gap(self, seq: int) -> None:
        self._settle_suspect()
        self._gaps.append((self._last + 1, seq - 1))
        self._before = ()

    def _out_of_place(self, seq: int) -> None:
        """What was missing before, or is there a second time."""
        for index, (first, through) in enumerate(self._gaps):
            if first <= seq <= through:
                left = [(first, seq - 1), (seq + 1, through)]
                self._gaps[index : index + 1] = [gap for gap in left if gap[0] <= gap[1]]
                self._fault("swapped", seq)
                return
        self._fault("forged", seq)

    def _settle_suspect(self) -> None:
        """Nothing shows what the suspect was: where a checkpoint says that there was such a record, it was edited."""
        if self._suspect is not None:
            self._fault("edited" if self._suspect <= self._noted.last else "forged", self._suspect)
            self._suspect = None

    def _fault(self, kind: FaultKind, seq: int) -> None:
        self._faults.append(Fault(kind, seq))
