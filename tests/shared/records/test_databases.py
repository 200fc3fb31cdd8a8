"""What every database does, whichever it is: work happens wholly or not at all."""

from __future__ import annotations

import asyncio

import pytest
from tests.shared.records.databases import database_at

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.state.database import Database, Transaction

pytestmark = pytest.mark.anyio

_ADD = "INSERT INTO audit_checkpoints (writer, seq, kind, mac, ts, signature) VALUES (:writer, :seq, '', '', '', '')"
_ALL = "SELECT writer, seq FROM audit_checkpoints ORDER BY writer, seq"


async def kept(database: Database) -> list[tuple[str, int]]:
    rows = await database.transact(lambda transaction: transaction.execute(_ALL))
    return [(writer, seq) for writer, seq in rows]


async def test_work_that_fails_changes_nothing(database: Database) -> None:
    def work(transaction: Transaction) -> None:
        transaction.execute(_ADD, {"writer": "a", "seq": 1})
        raise LookupError

    with pytest.raises(LookupError):
        await database.transact(work)
    assert await kept(database) == []


async def test_one_statement_can_be_run_for_many_rows(database: Database) -> None:
    rows = [{"writer": "a", "seq": number} for number in range(3)]
    await database.transact(lambda transaction: transaction.execute_each(_ADD, rows))
    await database.transact(lambda transaction: transaction.execute_each(_ADD, []))
    assert await kept(database) == [("a", 0), ("a", 1), ("a", 2)]


async def test_a_mistake_in_our_own_sql_is_no_passing_fault(database: Database) -> None:
    with pytest.raises(Exception, match="no_such_table") as raised:
        await database.transact(lambda transaction: transaction.execute("SELECT * FROM no_such_table"))
    assert not isinstance(raised.value, BackendUnavailable)
    assert await kept(database) == []


async def test_many_pieces_of_work_at_once_all_happen(database: Database) -> None:
    async def add(number: int) -> None:
        await database.transact(lambda transaction: transaction.execute(_ADD, {"writer": "a", "seq": number}))

    await asyncio.gather(*(add(number) for number in range(40)))
    assert await kept(database) == [("a", number) for number in range(40)]


async def test_the_clock_is_the_same_for_everybody(place: str) -> None:
    first, second = database_at(place), database_at(place)
    earlier = await first.transact(lambda transaction: transaction.now())
    later = await second.transact(lambda transaction: transaction.now())
    assert 0 <= later - earlier < 10
    await first.aclose()
    await second.aclose()


async def test_processes_that_start_together_make_the_schema_once(place: str) -> None:
    databases = [database_at(place) for _ in range(8)]
    assert await asyncio.gather(*(kept(database) for database in databases)) == [[]] * 8
    for database in databases:
        await database.aclose()


async def test_a_closed_database_says_so(database: Database) -> None:
    await kept(database)
    await database.aclose()
    await database.aclose()
    with pytest.raises(BackendUnavailable, match="is closed"):
        await kept(database)


async def test_work_goes_on_when_whoever_wanted_it_has_gone(database: Database) -> None:
    await kept(database)
    asked = asyncio.ensure_future(
        database.transact(lambda transaction: transaction.execute(_ADD, {"writer": "a", "seq": 1}))
    )
    await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert await kept(database) in ([], [("a", 1)])
