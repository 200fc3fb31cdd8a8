"""What every server does around its tools: who may reach it, what it records, what it says about itself."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import suppress
from ipaddress import IPv4Address
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR, TextContent
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from tests.e2e.running import SETTINGS, command, eventually, outcome, over, platform_over, serving, settings
from tests.foundation import Records, foundation

from backoffice_shared.errors import NotFound
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.serving import LARGEST_REQUEST, AnyServer
from backoffice_shared.mcp.tool import READ, tool
from backoffice_shared.settings import Settings

pytestmark = pytest.mark.anyio

EVERYWHERE = str(IPv4Address(0))
LIST: dict[str, Any] = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
HEADERS = {"accept": "application/json, text/event-stream", "content-type": "application/json"}


class Greeting(BaseModel):
    text: str


@tool(READ, scope="desk:read")
async def greet(name: str) -> Greeting:
    """Say hello."""
    return Greeting(text=f"Hello {name}")


@tool(READ, scope="desk:read")
async def look_for(name: str) -> Greeting:
    """Look for somebody who is not here."""
    raise NotFound("Desk", f"nobody is called {name!r}")


@tool(READ, scope="desk:read")
async def stumble(name: str) -> Greeting:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError(f"the secret of {name} is 4711")


@tool(READ, scope="desk:read")
async def wait_for(name: str) -> Greeting:
    """Wait for somebody who never comes."""
    return await asyncio.get_running_loop().create_future()


DESK = Domain(
    name="desk",
    title="Desk",
    instructions="",
    tools=(greet, look_for, stumble, wait_for),
    vendors=(),
    assemble=lambda _clients, _settings, _state: object(),
)


def desk(sink: Records | None = None, given: Settings = SETTINGS) -> AnyServer:
    return domain_server(DESK, Reachable(), given, foundation(audit=sink))


# Who may reach it


@pytest.mark.parametrize("bound", ["127.0.0.1", EVERYWHERE])
async def test_a_page_from_elsewhere_does_not_reach_it_by_whatever_name(bound: str) -> None:
    expected: list[tuple[dict[str, str], int]] = [
        ({}, 200),
        ({"host": "localhost:8000"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:8000"}, 421),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ]
    async with serving(desk(), settings(host=bound), host=bound) as url, httpx.AsyncClient() as http:
        found = [(told, (await http.post(url, json=LIST, headers=HEADERS | told)).status_code) for told, _ in expected]
    assert found == expected


async def test_names_that_the_operator_allows_reach_it() -> None:
    allowing = settings(allowed_hosts="mcp.example.com", allowed_origins="https://app.example.com")
    told = {"host": "mcp.example.com", "origin": "https://app.example.com"}
    async with serving(desk(), allowing) as url, httpx.AsyncClient() as http:
        assert (await http.post(url, json=LIST, headers=HEADERS | told)).status_code == 200
        assert (await http.post(url, json=LIST, headers=HEADERS | told | {"host": "example.com"})).status_code == 421


@pytest.mark.parametrize("name", ["backoffice up --sandbox", "backoffice-customer --sandbox --http"])
async def test_nothing_is_opened_to_strangers_unless_that_is_said(name: str) -> None:
    code, _, told = await outcome(*name.split(), "--host", EVERYWHERE, "--port", "0")
    assert code == 2
    assert "would let everybody who can reach it call every tool" in told.splitlines()[-1]


async def test_the_address_that_is_printed_can_be_connected_to() -> None:
    everywhere = ("--host", EVERYWHERE, "--port", "0")
    allowing = {"allow_unauthenticated": "true"}
    async with command("backoffice-customer", "--sandbox", "--http", *everywhere, **allowing) as running:
        url = await running.told(r"MCP at (http\S+)")
        async with httpx.AsyncClient() as http:
            assert (await http.post(url, json=LIST, headers=HEADERS)).status_code == 200


@pytest.mark.parametrize("told", [{"content-length": "declared"}, {}])
async def test_a_request_that_is_too_large_is_refused(told: dict[str, str]) -> None:
    async def chunks() -> AsyncGenerator[bytes]:
        for _ in range(LARGEST_REQUEST // 65_536 + 1):
            yield b" " * 65_536

    content = b" " * (LARGEST_REQUEST + 1) if told else chunks()
    async with serving(desk()) as url, httpx.AsyncClient() as http:
        assert (await http.post(url, content=content, headers=HEADERS)).status_code == 413


# What it says about itself


async def test_it_says_that_it_lives_and_is_ready() -> None:
    async with serving(desk()) as url, httpx.AsyncClient(base_url=url.removesuffix("/mcp")) as http:
        live, ready = await http.get("/healthz"), await http.get("/readyz")
    assert (live.status_code, live.json()) == (200, {"status": "ok"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def measured(url: str, server: str) -> dict[tuple[str, str], float]:
    """How many calls of each tool had each outcome, as Prometheus reads it."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(url.replace("/mcp", "/metrics"))).text
    return {
        (sample.labels["gen_ai_tool_name"], sample.labels["outcome"]): sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "mcp_server_operation_duration_seconds"
        for sample in family.samples
        if sample.name.endswith("_count") and sample.labels["server"] == server and sample.labels["gen_ai_tool_name"]
    }


async def test_every_call_is_measured_by_tool_and_names_that_are_none_share_a_label() -> None:
    async with serving(desk()) as url, Client(url) as client:
        before = await measured(url, "desk")
        await client.call_tool("greet", {"name": "Ada"})
        await client.call_tool("look_for", {"name": "Ada"})
        for name in ("grete", "../../etc/passwd"):
            with pytest.raises(MCPError):
                await client.call_tool(name, {})
        after = await measured(url, "desk")
    assert {key: count - before.get(key, 0) for key, count in after.items() if count != before.get(key)} == {
        ("greet", "ok"): 1,
        ("look_for", "error"): 1,
        ("_other", "error"): 2,
    }


# What it records


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_every_call_leaves_one_record_without_addresses(era: Any) -> None:
    audits = alone, platform = Records(), Records()
    calls = [
        ("greet", {"name": "ada@mail.example"}, "ok", None),
        ("look_for", {"name": "ada@mail.example"}, "error", "not_found"),
        ("greet", {"nmae": "ada@mail.example"}, "error", "invalid_input"),
        ("stumble", {"name": "ada@mail.example"}, "error", "-32603"),
        ("grete", {"name": "ada@mail.example"}, "error", "-32602"),
    ]
    async with (
        serving(desk(alone)) as url,
        platform_over(*over(url), sink=platform) as above,
        Client(url, mode=era) as direct,
        Client(above, mode=era) as through,
    ):
        for client in (direct, through):
            for name, arguments, _, _ in calls:
                with suppress(MCPError):
                    await client.call_tool(name, arguments)
    told = [(name, dict.fromkeys(given, "[email]"), outcome, code) for name, given, outcome, code in calls]
    assert platform.told("tool", "args", "outcome", "error_code") == told
    assert alone.told("tool", "args", "outcome", "error_code") == [
        *told,
        *told[:-1],  # the platform does not pass on what nobody has
    ]
    assert "mail.example" not in str([audit.written for audit in audits])


async def test_a_call_whose_caller_goes_away_leaves_one_record() -> None:
    audit = Records()
    async with serving(desk(audit)) as url, Client(url) as client:
        before = await in_flight(url)
        call = asyncio.create_task(client.call_tool("wait_for", {"name": "Godot"}))

        async def arrived() -> bool:
            return await in_flight(url) == before + 1

        await eventually(arrived)
        call.cancel()
        await eventually(lambda: audit.written)
    assert audit.told("tool", "outcome", "error_code") == [("wait_for", "cancelled", None)]


async def in_flight(url: str) -> float:
    async with httpx.AsyncClient() as http:
        text = (await http.get(url.replace("/mcp", "/metrics"))).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        if family.name == "mcp_inflight_requests"
        for sample in family.samples
        if sample.labels["server"] == "desk"
    )


# A tool that crashes


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_crash_is_told_by_a_reference_that_only_the_log_explains(
    era: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "backoffice.tools"):
        async with serving(desk()) as url, platform_over(*over(url)) as above, Client(above, mode=era) as client:
            with pytest.raises(MCPError) as caught:
                await client.call_tool("stumble", {"name": "Ada"})
    told = re.fullmatch(
        r"stumble failed inside this server\. The operator finds it in the log as ([0-9a-f]{8})\.",
        caught.value.error.message,
    )
    assert told is not None
    assert caught.value.error.code == INTERNAL_ERROR
    assert caught.value.error.data is None
    assert f"[{told[1]}]" in caplog.text
    assert "the secret of Ada is 4711" in caplog.text


async def test_a_call_that_takes_too_long_ends_with_a_sentence() -> None:
    async with serving(desk(given=settings(deadline=0.1))) as url, Client(url) as client:
        refused = await client.call_tool("wait_for", {"name": "Godot"})
    assert refused.is_error
    assert refused.content == [
        TextContent(type="text", text="wait_for did not finish within 0.1 s. Ask for less at once.")
    ]
