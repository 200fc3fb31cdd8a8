"""Where the time of a call goes, by who wrote the code: `python -m bench.where` prints a table for docs/performance.md.

The profiler slows everything that is written in Python and nothing that is not, so the shares are a picture, not a
measurement.
"""

from __future__ import annotations

import pstats
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

from bench.__main__ import mcp_call
from bench.load import Served, measure, serving

SHARES = {
    "ours": ("backoffice_shared", "backoffice_platform", "/bench/"),
    "MCP SDK": ("/mcp/", "/mcp_types/"),
    "anyio (the SDK's task groups and streams)": ("/anyio/",),
    "pydantic": ("/pydantic/", "pydantic_core"),
    "uvicorn and Starlette": ("/uvicorn/", "/starlette/", "httptools", "uvloop"),
    "httpx and aiohttp": ("/httpx", "/aiohttp/", "/yarl/", "/multidict/", "/idna/", "/propcache/", "/frozenlist/"),
    "OpenTelemetry, Prometheus": ("/opentelemetry/", "/prometheus_client/"),
}


def profiled(name: str, target: str, tool: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "profile"
        command = [sys.executable, "-m", "cProfile", "-o", str(output), "-m", "bench.servers", name, "0", target]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        served = Served(process.pid, int(process.stdout.readline()))
        before = measure(served, mcp_call(tool), callers=16, seconds=6)
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert before.calls
        stats = cast("_Stats", pstats.Stats(str(output)).stats)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        found: dict[str, float] = defaultdict(float)
        for function, (_, calls, own, *_) in stats.items():
            if calls >= before.calls // 2:  # what runs with every call, not what ran at the start
                _charge(found, stats, function, own, depth=4)
        return found


_Function = tuple[str, int, str]
_Stats = dict[_Function, Any]
_NOBODY = "the event loop"


def _charge(found: dict[str, float], stats: _Stats, function: _Function, seconds: float, *, depth: int) -> None:
    """Time spent in Python's own library is its caller's, by how much each of them spent there."""
    owner = next((o for o, marks in SHARES.items() if any(m in function[0] or m in function[2] for m in marks)), None)
    callers: dict[_Function, Any] = stats[function][4] if owner is None and depth else {}
    total = sum(spent[2] for spent in callers.values())
    if not total:
        found[owner or _NOBODY] += seconds
        return
    for caller, spent in callers.items():
        _charge(found, stats, caller, seconds * spent[2] / total, depth=depth - 1)


def main() -> None:
    with serving("floor") as backend, serving("domain", backend.url()) as domain:
        columns = {
            "domain tool": profiled("domain", backend.url(), "local_invoice"),
            "backend read": profiled("domain", backend.url(), "remote_invoice"),
            "forwarding": profiled("platform", domain.url("/mcp"), "local_invoice"),
        }
    owners = [*SHARES, _NOBODY]
    print("| share of the time of a call | " + " | ".join(columns) + " |")
    print("|---|" + "---|" * len(columns))
    for owner in owners:
        shares = [f"{100 * found[owner] / sum(found.values()):.0f} %" for found in columns.values()]
        print(f"| {owner} | " + " | ".join(shares) + " |")


if __name__ == "__main__":
    main()
