"""Whatever somebody does to the records, verification tells what it was and where; what nobody touched is whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.shared.audit.stores import KEY, FileStore, Store, TableStore, chained, edited, note, verdicts

from backoffice_shared.audit.chain import Chain, Entry
from backoffice_shared.audit.checkpoints import Checkpoint, Checkpoints, FileCheckpoints
from backoffice_shared.audit.verify import Fault, Verdict

pytestmark = pytest.mark.anyio

WRITER = "billing-host-1"
COUNT = 12

every_store = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
somewhere = st.integers(0, COUNT - 1)
before_the_last = st.integers(0, COUNT - 2)


@pytest.fixture
async def whole(store: Store, checkpoints: Checkpoints) -> list[Entry]:
    """Twelve records, of which the tenth was the last that a checkpoint saw."""
    entries = chained(COUNT)
    sink = store.sink()
    await sink.write(entries, durable=True)
    await sink.aclose()
    await note(checkpoints, "head", entries[4])
    await note(checkpoints, "head", entries[9])
    return entries


async def faults_of(store: Store, checkpoints: Checkpoints, entries: list[Entry]) -> tuple[Fault, ...]:
    await store.overwrite(WRITER, entries)
    (verdict,) = await verdicts(store, checkpoints)
    return verdict.faults


async def test_records_that_nobody_touched_are_whole(
    store: Store, checkpoints: Checkpoints, whole: list[Entry]
) -> None:
    assert await verdicts(store, checkpoints) == [
        Verdict(WRITER, records=12, last=12, covered=10, closed=False, faults=(), faulty=0)
    ]


async def test_records_after_the_last_checkpoint_are_not_yet_covered(
    store: Store, checkpoints: Checkpoints, whole: list[Entry]
) -> None:
    (verdict,) = await verdicts(store, checkpoints)
    assert (verdict.ok, verdict.uncovered) == (True, 2)
    await note(checkpoints, "end", whole[11])
    (verdict,) = await verdicts(store, checkpoints)
    assert (verdict.ok, verdict.uncovered, verdict.closed) == (True, 0, True)


@every_store
@given(at=somewhere)
async def test_a_record_that_was_edited_is_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry], at: int
) -> None:
    changed = [*whole]
    changed[at] = edited(changed[at], '"ok"', '"error"')
    # Of the very last one, which no checkpoint has seen, nobody can tell an edit from a forgery.
    kind = "forged" if at == COUNT - 1 else "edited"
    assert await faults_of(store, checkpoints, changed) == (Fault(kind, at + 1),)


@every_store
@given(at=somewhere)
async def test_a_code_that_was_edited_is_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry], at: int
) -> None:
    changed = [*whole]
    changed[at] = replace(changed[at], mac="0" * 64)
    kind = "forged" if at == COUNT - 1 else "edited"
    assert await faults_of(store, checkpoints, changed) == (Fault(kind, at + 1),)


@every_store
@given(at=before_the_last, many=st.integers(1, COUNT))
async def test_records_that_were_deleted_are_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry], at: int, many: int
) -> None:
    through = min(at + many, COUNT - 1)
    found = await faults_of(store, checkpoints, whole[:at] + whole[through:])
    assert found == (Fault("deleted", at + 1, through),)


@every_store
@given(at=somewhere, other=somewhere)
async def test_records_that_changed_places_are_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry], at: int, other: int
) -> None:
    changed = [*whole]
    if isinstance(store, FileStore):
        changed[at], changed[other] = changed[other], changed[at]
    else:  # in a table, the number is the place
        one, two = whole[at], whole[other]
        changed[at], changed[other] = replace(two, seq=one.seq), replace(one, seq=two.seq)
    found = await faults_of(store, checkpoints, changed)
    assert {fault.kind for fault in found} == (set() if at == other else {"swapped"})


@every_store
@given(key=st.binary(max_size=32).filter(lambda key: key != KEY))
async def test_a_record_that_somebody_without_the_key_added_is_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry], key: bytes
) -> None:
    forger = Chain(key, WRITER)
    forger.seq, forger.mac = whole[-1].seq, whole[-1].mac
    forged = [forger.add('{"tool":"refund_payment","ts":"2026-11-24T10:00:00.000Z"}') for _ in range(2)]
    found = await faults_of(store, checkpoints, whole + forged)
    assert [fault for fault in found if fault.kind == "forged"]


@every_store
@given(left=st.integers(1, 9))
async def test_an_end_that_was_cut_off_is_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry], left: int
) -> None:
    assert await faults_of(store, checkpoints, whole[:left]) == (Fault("cut", left + 1, 10),)


@pytest.mark.parametrize("left", [10, 11])
async def test_an_end_that_no_checkpoint_saw_can_be_cut_off(
    store: Store, checkpoints: Checkpoints, whole: list[Entry], left: int
) -> None:
    assert await faults_of(store, checkpoints, whole[:left]) == ()


async def test_a_writer_that_is_missing_as_a_whole_is_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry]
) -> None:
    assert await faults_of(store, checkpoints, []) == (Fault("missing", 1, 10),)


async def test_a_record_given_to_another_writer_is_told(
    store: Store, checkpoints: Checkpoints, whole: list[Entry]
) -> None:
    other = chained(3, writer="billing-host-2")
    changed = [*whole[:2], replace(other[2], writer=WRITER), *whole[3:]]
    assert {fault.kind for fault in await faults_of(store, checkpoints, changed)} == {"edited"}


async def test_a_record_that_is_there_twice_is_told(tmp_path: Path) -> None:
    store, checkpoints, entries = FileStore(tmp_path / "audit"), FileCheckpoints(tmp_path / "noted"), chained(5)
    await store.sink().write(entries, durable=True)
    assert await faults_of(store, checkpoints, [*entries, entries[2]]) == (Fault("forged", 3),)


async def test_a_line_that_cannot_be_read_any_more_is_told(tmp_path: Path) -> None:
    store, checkpoints, entries = FileStore(tmp_path / "audit"), FileCheckpoints(tmp_path / "noted"), chained(5)
    await store.sink().write(entries, durable=True)
    await note(checkpoints, "head", entries[4])
    (file,) = store.directory.iterdir()
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join([*lines[:2], "\0\0\0\n", *lines[3:]]))
    (verdict,) = await verdicts(store, checkpoints)
    assert verdict.faults == (Fault("edited", 3),)


async def test_what_a_record_is_found_by_must_fit_what_it_says(
    store: Store, checkpoints: Checkpoints, whole: list[Entry]
) -> None:
    if isinstance(store, TableStore):
        hide = "UPDATE audit SET tool = 'get_customer' WHERE seq = 4"
        await store.database.transact(lambda transaction: transaction.execute(hide))
        (verdict,) = await verdicts(store, checkpoints)
        assert verdict.faults == (Fault("edited", 4),)


async def test_several_faults_are_all_told(store: Store, checkpoints: Checkpoints, whole: list[Entry]) -> None:
    changed = [whole[0], edited(whole[1], '"ok"', '"no"'), *whole[2:5], *whole[6:9]]
    assert await faults_of(store, checkpoints, changed) == (
        Fault("edited", 2),
        Fault("deleted", 6, 6),
        Fault("cut", 10, 10),
    )


async def test_a_chain_written_anew_by_somebody_with_the_key_differs_from_its_checkpoints(
    store: Store, checkpoints: Checkpoints, whole: list[Entry]
) -> None:
    chain = Chain(KEY, WRITER)
    anew = [chain.add('{"outcome":"ok","ts":"2026-11-24T09:00:00.000Z"}') for _ in whole]
    assert await faults_of(store, checkpoints, anew) == (Fault("forged", 5), Fault("forged", 10))


async def test_another_key_verifies_nothing(store: Store, checkpoints: Checkpoints, whole: list[Entry]) -> None:
    (verdict,) = await verdicts(store, checkpoints, key=b"another")
    assert not verdict.ok


tampering: dict[str, Callable[[Checkpoint], Checkpoint]] = {
    "it says that more was removed": lambda noted: replace(noted, kind="pruned"),
    "it says that less was there": lambda noted: replace(noted, seq=3),
    "it is another's": lambda noted: replace(noted, writer=WRITER, signature="0" * 64),
}


@pytest.mark.parametrize("how", tampering)
async def test_a_checkpoint_that_was_changed_is_told(tmp_path: Path, how: str) -> None:
    store, checkpoints, entries = FileStore(tmp_path / "audit"), FileCheckpoints(tmp_path / "noted"), chained(5)
    await store.sink().write(entries, durable=True)
    await note(checkpoints, "head", entries[4])
    (noted,) = [noted async for noted in checkpoints.of(WRITER)]
    await checkpoints.discard(WRITER, before=None)
    await checkpoints.add(tampering[how](noted))
    (verdict,) = await verdicts(store, checkpoints)
    assert [fault.kind for fault in verdict.faults] == ["forged"]


async def test_every_writer_gets_a_verdict_of_its_own(store: Store, checkpoints: Checkpoints) -> None:
    for number in (1, 2, 3):
        entries = chained(4, writer=f"billing-host-{number}")
        await store.sink().write(entries, durable=True)
        await note(checkpoints, "head", entries[3])
    await store.overwrite("billing-host-2", (await store.entries("billing-host-2"))[:2])
    found = {verdict.writer: verdict.ok for verdict in await verdicts(store, checkpoints)}
    assert found == {"billing-host-1": True, "billing-host-2": False, "billing-host-3": True}
