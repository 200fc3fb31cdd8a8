"""Measures a domain tool, a backend read through the whole stack, and the platform's forwarding, against their floors.

`python -m bench` prints the table and writes it into docs/performance.md. Ratios are what to look at: machines differ
and are shared, the floor runs in the same minute on the same machine.
"""

from __future__ import annotations

import json
import platform as machine
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.load import Round, Served, measure, request, serving

CALLERS = (1, 16, 64)
ROUNDS = 3
SECONDS = 2.0
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"


def mcp_call(tool: str) -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": tool, "arguments": {"invoice_id": "in_1042"}, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}).encode()
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    return request("/mcp", body, headers)


def plain_call() -> bytes:
    return request("/", b'{"invoice_id":"in_1042"}', {"content-type": "application/json"})


def main() -> None:
    quick = "--quick" in sys.argv
    rounds, seconds = (1, 0.5) if quick else (ROUNDS, SECONDS)
    with (
        serving("floor") as backend,
        serving("floor") as floor,
        serving("domain", backend.url()) as domain,
        serving("proxy", backend.url("/invoices/in_1042")) as proxy_read,
        serving("proxy", domain.url("/mcp")) as proxy_call,
        serving("platform", domain.url("/mcp")) as forwarding,
    ):
        rows: list[tuple[str, Served, bytes, str]] = [
            ("bare Starlette JSON", floor, plain_call(), ""),
            ("domain tool without backend", domain, mcp_call("local_invoice"), "bare Starlette JSON"),
            ("bare Starlette → aiohttp, GET", proxy_read, plain_call(), ""),
            (
                "backend read through the whole stack",
                domain,
                mcp_call("remote_invoice"),
                "bare Starlette → aiohttp, GET",
            ),
            ("bare Starlette → aiohttp, MCP", proxy_call, mcp_call("local_invoice"), ""),
            ("platform forwarding", forwarding, mcp_call("local_invoice"), "bare Starlette → aiohttp, MCP"),
        ]
        for _, served, sent, _ in rows:
            measure(served, sent, callers=4, seconds=0.5)  # warm
        found: dict[tuple[str, int], list[Round]] = {}
        for number in range(rounds):
            for callers in CALLERS:
                for name, served, sent, _ in rows:
                    print(f"\rround {number + 1} of {rounds}, {callers} callers: {name:44}", end="", file=sys.stderr)
                    found.setdefault((name, callers), []).append(
                        measure(served, sent, callers=callers, seconds=seconds)
                    )
        print(file=sys.stderr)
    table = _table([(name, floor_name) for name, _, _, floor_name in rows], found)
    print(table)
    if not quick:
        _write(table)


def _table(rows: Sequence[tuple[str, str]], found: dict[tuple[str, int], list[Round]]) -> str:
    """Medians of the rounds for times, the least for CPU: noise only ever adds."""
    lines = [
        "| what | callers | calls/s | p50 ms | p99 ms | CPU ms a call | CPU, of its floor |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, floor in rows:
        for callers in CALLERS:
            rounds = found[name, callers]
            cpu = min(r.cpu for r in rounds)
            ratio = f"{cpu / min(r.cpu for r in found[floor, callers]):.2f}×" if floor else ""
            rate, p50, p99 = (_median([getattr(r, field) for r in rounds]) for field in ("rate", "p50", "p99"))
            lines.append(f"| {name} | {callers} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {cpu:.3f} | {ratio} |")
    lines.append("")
    lines.append(f"Python {machine.python_version()}, {ROUNDS} rounds of {SECONDS:g} s, interleaved.")
    return "\n".join(lines)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _write(table: str) -> None:
    page = PAGE.read_text()
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    PAGE.write_text(f"{before}{_BEGIN}\n{table}\n{_END}{after}")


if __name__ == "__main__":
    main()
