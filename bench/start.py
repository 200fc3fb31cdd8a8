"""How soon a server is ready and what it keeps: `python -m bench.start` prints medians of five starts each.

As a floor, the same for a process that only imports the SDK.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "backoffice-customer --sandbox --http": ["-m", "backoffice_customer", "--sandbox", "--http"],
    "backoffice up --sandbox": ["-c", "from backoffice_platform.cli import main; main()", "up", "--sandbox"],
}
FLOOR = ["-c", "import mcp.server, mcp.client, uvicorn; print(open('/proc/self/status').read())"]
STARTS = 5


def started(arguments: list[str]) -> tuple[float, float]:
    """Seconds until the port answers, and resident megabytes then."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments, "--port", str(port)], stderr=subprocess.DEVNULL)
    try:
        while not _ready(port):
            assert process.poll() is None
        return time.perf_counter() - began, _resident(Path(f"/proc/{process.pid}/status").read_text())
    finally:
        process.kill()
        process.wait()


def _ready(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
            connection.settimeout(2)
            connection.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def _resident(status: str) -> float:
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


def main() -> None:
    print("| what | ready after, s | resident, MB |")
    print("|---|---|---|")
    floors: list[tuple[float, float]] = []
    for _ in range(STARTS):
        began = time.perf_counter()
        status = subprocess.run([sys.executable, *FLOOR], capture_output=True, text=True, check=True).stdout
        floors.append((time.perf_counter() - began, _resident(status)))
    rows = {"floor: importing mcp and uvicorn": floors}
    rows |= {name: [started(arguments) for _ in range(STARTS)] for name, arguments in COMMANDS.items()}
    for name, found in rows.items():
        seconds, megabytes = (statistics.median(column) for column in zip(*found, strict=True))
        print(f"| {name} | {seconds:.2f} | {megabytes:.0f} |")


if __name__ == "__main__":
    main()
