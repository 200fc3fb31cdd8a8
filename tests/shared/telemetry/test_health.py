"""What a server says about itself: to probes whether it is ready, to operators how its backends do."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp_types import TextResourceContents
from tests.customer.office import office
from tests.e2e.running import SETTINGS, command
from tests.foundation import Records, foundation

from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.mcp.domain import Missing, Reachable
from backoffice_shared.mcp.readiness import Readiness
from backoffice_shared.mcp.server import domain_server

pytestmark = pytest.mark.anyio


async def health(client: Client) -> dict[str, Any]:
    (content,) = (await client.read_resource("health://backends")).contents
    assert isinstance(content, TextResourceContents)
    return json.loads(content.text)


# Backends


async def test_how_a_backend_does_is_told_with_the_age_of_what_it_did_last() -> None:
    async with office() as at:
        before = {told["backend"]: told for told in (await health(at.client))["backends"]}
        await at.ask("find_customers", query="maria")
        at.broken("zendesk", error=1.0)
        await at.call("find_customers", query="nobody else")
        after = {told["backend"]: told for told in (await health(at.client))["backends"]}
    assert before["hubspot"] == {
        "backend": "hubspot",
        "configured": True,
        "circuits": {},
        "last_success_age": None,
        "last_failure_age": None,
        "credential": True,
    }
    assert set(after["hubspot"]["circuits"].values()) == {"closed"}
    assert 0 <= after["hubspot"]["last_success_age"] < 60
    assert after["hubspot"]["last_failure_age"] is None
    assert 0 <= after["zendesk"]["last_failure_age"] < 60


async def test_what_is_missing_and_what_else_is_wrong_is_told() -> None:
    vendor = CUSTOMER.vendors[0]
    audit = Records()
    audit.full = True
    reachable = Reachable(missing=[Missing(vendor, "BACKOFFICE_HUBSPOT_TOKEN")], warnings=["this ends soon"])
    async with Client(domain_server(CUSTOMER, reachable, SETTINGS, foundation(audit=audit))) as client:
        told = await health(client)
    assert told == {
        "server": "customer",
        "backends": [{"backend": "hubspot", "configured": False, "needs": "BACKOFFICE_HUBSPOT_TOKEN"}],
        "audit": "full",
        "warnings": ["this ends soon"],
    }


async def test_an_agent_is_told_only_of_backends_whose_data_it_may_see(tmp_path: Path) -> None:
    agents = tmp_path / "agents.yaml"
    agents.write_text("agents:\n  desk:\n    local: true\n    scopes: [customers:read]\n    systems: [zendesk]\n")
    reachable = Reachable(missing=[Missing(vendor, "a token") for vendor in CUSTOMER.vendors])
    async with Client(domain_server(CUSTOMER, reachable, SETTINGS, foundation(agents=agents))) as client:
        told = await health(client)
    assert [entry["backend"] for entry in told["backends"]] == ["zendesk"]


# Readiness


async def holds() -> bool:
    return True


async def does_not() -> bool:
    return False


async def takes_for_ever() -> bool:
    return await asyncio.get_running_loop().create_future()


async def cannot_be_asked() -> bool:
    raise MissingCredential("Vault", "the token of root is hunter2hunter2")


async def test_a_server_is_ready_when_every_condition_holds() -> None:
    assert await Readiness(callers=holds, credentials=holds).unmet() == []


async def test_a_condition_that_fails_hangs_or_cannot_be_looked_at_is_named_and_nothing_more() -> None:
    readiness = Readiness(callers=does_not, credentials=takes_for_ever, state=cannot_be_asked, clock=holds)
    assert await readiness.unmet() == ["callers", "credentials", "state"]


CUSTOMER_OVER_HTTP = ("backoffice-customer", "--http", "--port", "0")


@pytest.mark.parametrize(
    ("given", "status", "body"),
    [
        ({}, 503, {"status": "not ready", "unmet": ["credentials"]}),
        ({"hubspot_access_token": "pat-of-the-test-0001"}, 200, {"status": "ready"}),
    ],
)
async def test_a_server_with_no_credential_at_all_is_not_ready(
    given: dict[str, str], status: int, body: dict[str, Any]
) -> None:
    async with command(*CUSTOMER_OVER_HTTP, drain="0", **given) as running:
        url = (await running.told(r"MCP at (http.+)")).replace("/mcp", "/readyz")
        async with httpx.AsyncClient() as http:
            answer = await http.get(url)
    assert (answer.status_code, answer.json()) == (status, body)


async def test_a_server_that_could_not_tell_callers_from_strangers_is_not_ready() -> None:
    issuer = {"oauth_issuer": "http://127.0.0.1:9", "public_url": "http://127.0.0.1/mcp", "drain": "0"}
    async with (
        command("backoffice-customer", "--sandbox", "--http", "--port", "0", **issuer) as running,
        httpx.AsyncClient() as http,
    ):
        url = (await running.told(r"MCP at (http.+)")).replace("/mcp", "/readyz")
        answer = await http.get(url)
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "unmet": ["callers"]})
