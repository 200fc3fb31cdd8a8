"""What `backoffice up` and `backoffice sandbox` do."""

from __future__ import annotations

import os
import shutil
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from backoffice_platform.embedded import embedded
from backoffice_platform.installed import installed_domains
from backoffice_platform.sandboxes import serve_sandboxes
from backoffice_platform.server import platform_server
from backoffice_platform.upstreams import read_upstreams
from backoffice_shared.mcp.audited import open_sink
from backoffice_shared.mcp.main import read_settings, say
from backoffice_shared.mcp.serving import address, listen, log_to_stderr, run, serve_http, serve_stdio
from backoffice_shared.sandbox.company import Company
from backoffice_shared.settings import environment


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for."""

    host: str | None
    port: int | None
    sandbox: str | None
    upstreams: Path | None
    stdio: bool
    customers: int = 50
    seed: int = 7


def up(plan: Plan) -> None:
    run(lambda: _up(plan))


async def _up(plan: Plan) -> None:
    settings = read_settings(host=plan.host, port=plan.port)
    log_to_stderr(settings.log_level)
    listed = None if plan.upstreams is None else read_upstreams(plan.upstreams)
    # Taken before anything that takes time, so that a port in use is said at once.
    listening = None if plan.stdio else listen(settings)
    sink = open_sink(settings.audit_file)
    async with AsyncExitStack() as stack:
        if listed is not None:
            upstreams = listed
        else:
            company = _company(plan.seed, plan.customers) if plan.sandbox == "" else None
            upstreams = await stack.enter_async_context(
                embedded(settings, environment(), sink, sandbox=plan.sandbox, company=company, say=say)
            )
        server = platform_server(upstreams, settings, sink)
        if listening is None:
            await serve_stdio(server)
            return
        url = address(settings.host, listening)
        await serve_http(server, settings, listening, started=lambda: _ready(url, sandboxed=plan.sandbox is not None))


def _company(seed: int, customers: int) -> Company:
    started = time.perf_counter()
    say(f"Making a company with {customers:,} customers ...")
    company = Company(seed=seed, customers=customers)
    say(
        f"{company.name}: {len(company.orders):,} orders, {len(company.tickets):,} tickets ({time.perf_counter() - started:.1f} s)"
    )
    return company


def _ready(url: str, *, sandboxed: bool) -> None:
    say("")
    say(f"Ready. Connect an MCP host to {url}")
    if sandboxed:
        _first_call(url)


def _first_call(url: str) -> None:
    elsewhere = "" if url.endswith(":8000/mcp") else f" --url {url}"
    for domain in installed_domains():
        if domain.example:
            say(f"Try: {_this_command()} call {domain.example}{elsewhere}")


def _this_command() -> str:
    """As it was called, so that what we print can be typed: `.venv/bin/backoffice` when it is not on the path."""
    called = Path(sys.argv[0])
    return called.name if shutil.which(called.name) else os.path.relpath(called)


def sandbox(host: str, port: int, customers: int, seed: int) -> None:
    run(lambda: serve_sandboxes(_company(seed, customers), host=host, port=port, say=say))
