"""Load from keep-alive sockets with as little of its own as possible, and what it cost the server's process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Served:
    pid: int
    port: int

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self.port}{path}"


@dataclass(frozen=True, slots=True)
class Round:
    """Times in milliseconds. `cpu` is what one call cost the server's process."""

    calls: int
    p50: float
    p99: float
    rate: float
    cpu: float


@contextmanager
def serving(name: str, target: str = "") -> Generator[Served]:
    """One of `bench.servers` in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.servers", name, "0", target], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield Served(process.pid, int(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


def request(path: str, body: bytes, headers: dict[str, str]) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def measure(served: Served, sent: bytes, *, callers: int, seconds: float) -> Round:
    """`callers` connections, each asking again as soon as it is answered.

    Raises:
        RuntimeError: an answer was not 200.
    """
    before = _cpu_seconds(served.pid)
    started = time.perf_counter()
    times = asyncio.run(_load(served.port, sent, callers, seconds))
    elapsed = time.perf_counter() - started
    spent = _cpu_seconds(served.pid) - before
    times.sort()
    return Round(
        calls=len(times),
        p50=times[len(times) // 2] * 1000,
        p99=times[int(len(times) * 0.99)] * 1000,
        rate=len(times) / elapsed,
        cpu=spent / len(times) * 1000,
    )


async def _load(port: int, sent: bytes, callers: int, seconds: float) -> list[float]:
    until = time.perf_counter() + seconds
    found = await asyncio.gather(*(_caller(port, sent, until) for _ in range(callers)))
    return [taken for times in found for taken in times]


async def _caller(port: int, sent: bytes, until: float) -> list[float]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    times: list[float] = []
    while (started := time.perf_counter()) < until:
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        body = await reader.readexactly(length)
        times.append(time.perf_counter() - started)
        if not head.startswith(b"HTTP/1.1 200") or b'"isError":true' in body or b'"error"' in body[:200]:
            raise RuntimeError(f"not answered: {head[:60]!r} {body[:200]!r}")
    writer.close()
    return times


def _cpu_seconds(pid: int) -> float:
    """User and system time of the process so far, from the scheduler's own count in nanoseconds where there is one."""
    try:
        total = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/schedstat") as stat:
                total += int(stat.read().split()[0])
        return total / 1e9
    except OSError:
        with open(f"/proc/{pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICK
