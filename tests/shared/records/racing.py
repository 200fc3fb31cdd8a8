"""Another process that claims keys. Run with the place of a database, a name for the keys, and what to do.

"race" claims a hundred keys and prints those it got; "hang" claims one, says so, and does nothing more.
"""

from __future__ import annotations

import asyncio
import sys

from tests.shared.records.databases import database_at

from backoffice_shared.state.records import Claim
from backoffice_shared.state.stored import StoredRecords

KEYS = [f"key {number}" for number in range(100)]
LEASE = 1.0  # of the process that hangs


async def main(place: str, scope: str, act: str) -> None:
    database = database_at(place)
    records = StoredRecords(database)
    if act == "hang":
        assert isinstance(await records.claim(scope, "key", "f", lease=LEASE), Claim)
        print("claimed", flush=True)
        await asyncio.sleep(60)
    sys.stdin.readline()  # when both are ready
    for key in KEYS:
        if isinstance(await records.claim(scope, key, "f", lease=60), Claim):
            print(key, flush=True)
    await database.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
