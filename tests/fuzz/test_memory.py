"""What a server holds does not grow with the calls it has answered, refused, or seen abandoned, nor by strangers' names."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SAMPLE, WHOLE = 2_000, 100_000  # calls
NOISE = 1_000  # objects that come and go: those of connections that are just being closed, of timers
ROOM = 16_000_000  # bytes: the caches of SQLite and of the allocator


@pytest.mark.timeout(3_600)
def test_memory_is_flat(tmp_path: Path, soak: bool):
    calls = WHOLE if soak else SAMPLE
    command = [sys.executable, "-m", "tests.fuzz.enduring", str(calls), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False)
    assert done.returncode == 0, done.stderr[-2_000:]
    held: list[tuple[int, int]] = json.loads(done.stdout)
    table = "".join(f"\n  {objects:,}  {resident / 1e6:.1f}" for objects, resident in held)
    print(f"{calls:,} calls; after each fifth, objects and resident MB:{table}")
    _, warm, *_, last = held
    assert last[0] - warm[0] < NOISE
    assert last[1] - warm[1] < ROOM
