"""What the settings make of a server's state, and that its replicas are one to whoever calls or listens."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from mcp.client import Client
from mcp.client.subscriptions import Subscription
from mcp.shared.subscriptions import ToolsListChanged
from tests.e2e.running import over, serving, serving_app, settings
from tests.platform.handmade import HandMade
from tests.real.postgres import PostgresServer
from tests.real.valkey import ValkeyServer

from backoffice_customer.server import SERVER
from backoffice_platform.registry import Registry
from backoffice_platform.server import platform_server
from backoffice_platform.upstreams import Upstream
from backoffice_shared.mcp.auth.assertion import Signer, make_key
from backoffice_shared.mcp.domain import Reachable
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.opening import founded
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.serving import AnyServer
from backoffice_shared.settings import Settings
from backoffice_shared.state.limits import Ask, Limit
from backoffice_shared.state.memory import MemoryLimits
from backoffice_shared.state.quotas import Quota
from backoffice_shared.state.records import Claim, UnderWay
from backoffice_shared.state.spent import SpentQuotas

pytestmark = pytest.mark.anyio

KEY = "sixteen characters"
AGENT = "agents: {support: {local: true, scopes: [customer:read]}}"


@asynccontextmanager
async def replicas(count: int = 2, **given: object) -> AsyncGenerator[list[Foundation]]:
    """What processes with these settings stand on."""
    async with AsyncExitStack() as stack:
        configured = Settings.model_validate({"replicas": count, **given})
        yield [await stack.enter_async_context(founded(configured, "customer", sandboxed=True)) for _ in range(count)]


async def test_without_a_store_a_process_keeps_its_own_state() -> None:
    async with replicas(1) as (on,):
        assert isinstance(on.state.limits, MemoryLimits)
        assert isinstance(on.state.quotas, SpentQuotas)
        assert (on.state.turns, on.state.shelf) == (None, None)


async def test_with_valkey_and_postgresql_replicas_share_all_of_it(
    valkey: ValkeyServer, postgres: PostgresServer
) -> None:
    database = postgres.new_database()
    once, euro = Ask("k", Limit(1, 60)), Quota("k", 1, 1, 60, strict=True)
    async with replicas(valkey_url=valkey.url, database_url=database, cursor_key=KEY) as both:
        assert [(await on.state.limits.take([once])).allowed for on in both] == [True, False]
        assert [(await on.state.quotas.reserve([euro])).allowed for on in both] == [True, False]
        claimed = [await on.state.records.claim("s", "k", "f", lease=60) for on in both]
        assert [type(claim) for claim in claimed] == [Claim, UnderWay]
        first, second = (on.state.shelf for on in both)
        assert first is not None
        assert second is not None
        await first.put(await first.get("k"), b"answer", seconds=60, tags=())
        assert (await second.get("k")).content == b"answer"


async def test_without_a_common_key_replicas_share_no_answers(valkey: ValkeyServer) -> None:
    async with replicas(1, valkey_url=valkey.url) as (on,):
        assert on.state.shelf is None
        assert on.state.turns is not None


async def test_nothing_is_left_open_when_a_process_ends(valkey: ValkeyServer) -> None:
    async with replicas(valkey_url=valkey.url, cursor_key=KEY):
        assert valkey.ask("CLIENT", "LIST").count(b"id=") > 2
    assert valkey.ask("CLIENT", "LIST").count(b"id=") == 1, "whoever asks"


def test_without_its_library_the_operator_is_told_what_to_install() -> None:
    program = (
        "import sys, asyncio; sys.modules['valkey'] = None\n"
        "from backoffice_shared.errors import InvalidInput\n"
        "from backoffice_shared.mcp.opening import founded\n"
        "from backoffice_shared.settings import Settings\n"
        "async def main():\n"
        "    async with founded(Settings(valkey_url='valkey://localhost'), 'customer', sandboxed=True):\n"
        "        pass\n"
        "try:\n    asyncio.run(main())\n"
        "except InvalidInput as error:\n    print(error)\n"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "Valkey needs a library that is not installed (valkey). Install backoffice-shared[valkey].\n"


def test_whoever_does_not_use_valkey_does_not_load_its_library() -> None:
    program = "import sys, backoffice_shared.mcp.opening; print('valkey' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert told == "False\n"


# Listening


@asynccontextmanager
async def listening(server: AnyServer) -> AsyncGenerator[Subscription]:
    """A client of this server that wants to know when its tools change."""
    async with (
        serving(server) as url,
        Client(url) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        yield changes


def platform(on: Foundation, *upstreams: Upstream) -> AnyServer:
    registry = Registry(upstreams, identify=Signer(make_key()).assertion, bus=on.state.bus)
    return platform_server(registry, settings(), on)


async def test_tools_that_changed_on_one_platform_are_told_to_who_listens_to_another(valkey: ValkeyServer) -> None:
    async with (
        serving_app(HandMade("x")) as url,
        replicas(valkey_url=valkey.url) as (here, there),
        listening(platform(there)) as changes,
        serving(platform(here, *over(f"{url}/mcp"))),
    ):
        assert await anext(changes) == ToolsListChanged()


async def test_agents_that_are_read_anew_are_told_to_who_listens_to_any_replica(
    valkey: ValkeyServer, tmp_path: Path
) -> None:
    file = tmp_path / "agents.yaml"
    file.write_text(AGENT)
    async with replicas(valkey_url=valkey.url, agents_file=file) as both:
        servers = [domain_server(SERVER, Reachable(), settings(), on) for on in both]
        async with listening(servers[0]) as first, listening(servers[1]) as second:
            file.write_text(AGENT.replace("read", "write"))
            assert [await anext(changes) for changes in (first, second)] == [ToolsListChanged()] * 2
