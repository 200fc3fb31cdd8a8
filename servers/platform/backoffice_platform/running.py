"""What `backoffice up` and `backoffice sandbox` do."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from backoffice_platform.embedded import embedded
from backoffice_platform.installed import installed_domains
from backoffice_platform.registry import Registry
from backoffice_platform.sandboxes import serve_sandboxes
from backoffice_platform.server import platform_guard, platform_server
from backoffice_platform.upstreams import read_upstreams
from backoffice_shared.mcp.auth.assertion import Signer, make_key
from backoffice_shared.mcp.main import read_settings
from backoffice_shared.mcp.opening import founded
from backoffice_shared.mcp.readiness import Readiness
from backoffice_shared.mcp.serving import address, listen, run, serve_http, serve_stdio
from backoffice_shared.sandbox.company import Company
from backoffice_shared.settings import environment
from backoffice_shared.telemetry.logs import log_to_stderr, say
from backoffice_shared.telemetry.traces import tracing


@dataclass(frozen=True, slots=True)
class Plan:
    """What the command line asked for. `given` are settings, which come before the environment's."""

    sandbox: str | None
    upstreams: Path | None
    stdio: bool
    customers: int = 50
    seed: int = 7
    given: Mapping[str, object] = field(default_factory=dict[str, object])


def up(plan: Plan) -> None:
    run(lambda: _up(plan))


async def _up(plan: Plan) -> None:
    settings = read_settings(**plan.given)
    log_to_stderr(settings.log_level, settings.log_format)
    listed = None if plan.upstreams is None else read_upstreams(plan.upstreams)
    # Taken before anything that takes time, so that a port in use is said at once.
    listening = None if plan.stdio else listen(settings)
    async with AsyncExitStack() as stack:
        stack.enter_context(tracing(settings, "platform"))
        signer = Signer(make_key() if settings.platform_key is None else settings.platform_key.get_secret_value())
        on = await stack.enter_async_context(founded(settings, "backoffice", sandboxed=plan.sandbox is not None))
        if listed is not None:
            upstreams = listed
        else:
            company = _company(plan.seed, plan.customers) if plan.sandbox == "" else None
            upstreams = await stack.enter_async_context(
                embedded(
                    settings,
                    environment(),
                    on,
                    sandbox=plan.sandbox,
                    company=company,
                    public_key=signer.public_key,
                    say=say,
                )
            )
        registry = Registry(upstreams, identify=signer.assertion, bus=on.state.bus)
        server, guard = platform_server(registry, settings, on), platform_guard(registry, settings, on)
        if listening is None:
            await serve_stdio(server)
            return
        url = address(settings.host, listening)
        started = partial(_ready, url, sandboxed=plan.sandbox is not None)
        readiness = Readiness(callers=guard and guard.ready)
        await serve_http(server, settings, listening, started=started, guard=guard, readiness=readiness)


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
