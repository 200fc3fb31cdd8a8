"""Four processes, as many replicas would be, over one real Valkey and one real PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from typing import Any

import pytest
from tests.real.postgres import PostgresServer
from tests.real.valkey import ValkeyServer
from tests.shared.state.racing import LIMIT, MONEY
from tests.shared.state.windows import worst_window

pytestmark = pytest.mark.anyio

PROCESSES = 4


async def start(valkey: str, postgres: str, seconds: float) -> Process:
    arguments = ["-m", "tests.shared.state.racing", valkey, postgres, str(PROCESSES), str(seconds)]
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdin=PIPE, stdout=PIPE, limit=2**26)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"ready\n"
    return process


async def result(process: Process) -> dict[str, Any]:
    output, _ = await process.communicate(b"\n")
    return json.loads(output)


@pytest.mark.timeout(240)
async def test_four_processes_share_one_limit_one_quota_of_money_and_one_key(
    valkey: ValkeyServer, postgres: PostgresServer, soak: bool
) -> None:
    seconds = 30.0 if soak else 3.0
    database = postgres.new_database()
    replicas = [await start(valkey.url, database, seconds) for _ in range(PROCESSES)]
    got = await asyncio.gather(*(result(replica) for replica in replicas))

    window = LIMIT.limit
    worst = worst_window([(begun, answered) for one in got for begun, answered in one["granted"]], window.seconds)
    granted, asked = sum(len(one["granted"]) for one in got), sum(one["asked"] for one in got)
    spent = sum(one["spent"] for one in got)
    wanted = {key for one in got for key in one["wanted"]}
    claimed = [key for one in got for key in one["claimed"]]
    print(
        f"\n{PROCESSES} processes, {seconds:g} s: {asked} asked, {granted} granted, worst window {worst} of {window.count}"
        f"\nmoney: {spent} of {MONEY.most} spent, by each {[one['spent'] for one in got]}"
        f"\nkeys: {len(wanted)} wanted by all, {len(claimed)} claimed, by each {[len(one['claimed']) for one in got]}"
    )
    assert asked > 2 * granted, "they wanted more than they could have"
    assert worst <= 1.02 * window.count
    assert granted >= 0.95 * window.count * (seconds / window.seconds)
    assert 0.98 * MONEY.most <= spent <= MONEY.most
    assert sorted(claimed) == sorted(wanted), "every key was won by exactly one"
