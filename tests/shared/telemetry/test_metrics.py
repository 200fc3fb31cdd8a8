"""What /metrics says: every name that rules and dashboards build on, and never a label that a stranger made up."""

from __future__ import annotations

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families
from tests.e2e.running import customer_server, posted, serving

from backoffice_shared.telemetry.asked import asked

pytestmark = pytest.mark.anyio

DOCUMENTED = Path(__file__).parents[3] / "docs" / "observability.md"


def test_the_documented_metrics_are_those_that_there_are() -> None:
    rows = [line.split("|")[1] for line in DOCUMENTED.read_text().splitlines() if line.startswith("| `mcp_")]
    documented = {name.removesuffix("_total") for row in rows for name in re.findall("`([a-z_]+)`", row)}
    assert documented == {family.name for family in REGISTRY.collect() if family.name.startswith("mcp_")}


async def scraped(http: httpx.AsyncClient) -> str:
    answer = await http.get("/metrics")
    assert answer.status_code == 200
    return answer.text


def series(text: str) -> int:
    return sum(len(family.samples) for family in text_string_to_metric_families(text))


async def test_a_thousand_made_up_names_and_methods_make_no_series() -> None:
    async with serving(customer_server()) as url, httpx.AsyncClient(base_url=url.removesuffix("/mcp")) as http:

        async def flood(run: str, count: int) -> None:
            for start in range(0, count, 25):
                names = [f"{run}-{number}" for number in range(start, min(start + 25, count))]
                await asyncio.gather(*(posted(http, "/mcp", name, {}) for name in names))
                await asyncio.gather(*(asked_for(http, f"{name}/list") for name in names))

        await flood("earlier-made-up", 5)
        before = series(await scraped(http))
        await flood("made-up", 500)
        after = await scraped(http)
    print(f"series before: {before}, after 1,000 requests with made-up names: {series(after)}")
    assert series(after) == before
    assert "made-up" not in after
    assert 'mcp_method_name="_other"' in after
    assert 'gen_ai_tool_name="_other"' in after


async def asked_for(http: httpx.AsyncClient, method: str) -> None:
    """A request with this method, whatever becomes of it."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": method,
    }
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"_meta": meta}}
    assert (await http.post("/mcp", json=body, headers=headers)).status_code == 404


async def test_every_request_is_measured_by_its_method() -> None:
    async with (
        serving(customer_server()) as url,
        Client(url) as client,
        httpx.AsyncClient(base_url=url.removesuffix("/mcp")) as http,
    ):
        before = measured(await scraped(http))
        await client.list_tools()
        await client.read_resource("health://backends")
        await client.call_tool("find_customers", {"query": "maria"})
        with suppress(MCPError):
            await client.read_resource("health://nothing")
        after = measured(await scraped(http))
    grown = {labels for labels, count in after.items() if count > before.get(labels, 0)}
    assert grown >= {
        ("tools/list", "", "ok", ""),
        ("resources/read", "", "ok", ""),
        ("resources/read", "", "error", "-32602"),
        ("tools/call", "find_customers", "ok", ""),
    }


def measured(text: str) -> dict[tuple[str, ...], float]:
    labels = ("mcp_method_name", "gen_ai_tool_name", "outcome", "error_type")
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "mcp_server_operation_duration_seconds_count" and sample.labels["server"] == "customer"
    }


@pytest.mark.parametrize(
    ("code", "told"), [(-32602, "-32602"), (-32010, "-32010"), (-31_337, "_other"), (4711, "_other")]
)
async def test_an_error_code_that_a_stranger_made_up_makes_no_series(code: int, told: str) -> None:
    async def refuses() -> dict[str, Any]:
        raise MCPError(code, "no")

    labels = {"upstream": f"stranger{code}", "mcp_method_name": "tools/call", "error_type": told}
    with suppress(MCPError):
        await asked(f"stranger{code}", "tools/call", "read_x", refuses())
    assert REGISTRY.get_sample_value("mcp_client_operation_duration_seconds_count", labels) == 1


async def test_prometheus_own_checker_has_nothing_to_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (of the Debian package prometheus) is not installed")
    async with serving(customer_server()) as url, Client(url) as client:
        await client.call_tool("find_customers", {"query": "maria"})
        async with httpx.AsyncClient(base_url=url.removesuffix("/mcp")) as http:
            text = await scraped(http)
    checking = await asyncio.create_subprocess_exec(
        promtool, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT
    )
    told, _ = await checking.communicate(text.encode())
    print(f"promtool check metrics over {series(text)} series: exit {checking.returncode}")
    assert (checking.returncode, told.decode()) == (0, "")
