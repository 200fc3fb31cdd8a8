"""Of those who work on one thing, one does; the others are told so, and the one that died is waited for no longer than needed."""

from __future__ import annotations

import asyncio

import pytest

from backoffice_shared.deadline import within
from backoffice_shared.errors import Conflict
from backoffice_shared.state.alone import MARGIN, alone
from backoffice_shared.state.database import Database
from backoffice_shared.state.records import Claim
from backoffice_shared.state.stored import StoredRecords

pytestmark = pytest.mark.anyio


async def test_somebody_else_is_told_to_wait_and_may_when_it_is_over(database: Database):
    records = StoredRecords(database)
    async with alone(records, "payment", "pi_1"):
        with pytest.raises(Conflict, match="another call is working on pi_1: nothing was done") as told:
            async with alone(records, "payment", "pi_1"):
                pass
        assert told.value.retry_after is not None
        async with alone(records, "payment", "pi_2"):
            pass
    async with alone(records, "payment", "pi_1"):
        pass


async def test_it_is_over_also_when_it_ends_in_an_error(database: Database):
    records = StoredRecords(database)
    with pytest.raises(KeyError):
        async with alone(records, "payment", "pi_1"):
            raise KeyError
    async with alone(records, "payment", "pi_1"):
        pass


async def test_one_that_died_in_it_is_not_waited_for_once_its_call_must_be_over(database: Database):
    records = StoredRecords(database)
    with within(-MARGIN):  # a call that ended just now, and never left
        assert isinstance(await records.claim("alone:payment", "pi_1", "", lease=0.0), Claim)
    async with alone(records, "payment", "pi_1"):
        pass


async def test_of_many_who_come_at_once_one_is_alone(database: Database):
    records, at_work, most = StoredRecords(database), 0, 0

    async def work() -> bool:
        nonlocal at_work, most
        try:
            async with alone(records, "payment", "pi_1"):
                at_work += 1
                most = max(most, at_work)
                await asyncio.sleep(0)
                at_work -= 1
        except Conflict:
            return False
        return True

    assert any(await asyncio.gather(*(work() for _ in range(10))))
    assert most == 1
