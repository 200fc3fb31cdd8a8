"""Agents of both protocol eras, over stdio and HTTP, meet the same server, alone or behind the platform."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any, Literal

import pytest
from mcp.client import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS, TextContent
from tests.e2e.running import customer_server, over, platform_over, script, serving

pytestmark = pytest.mark.anyio

Era = Literal["auto", "legacy"]
VERSIONS = {"auto": "2026-07-28", "legacy": "2025-11-25"}
TOOLS = {
    "find_customers",
    "get_customers",
    "get_customer_timeline",
    "update_preferences",
    "add_customer_note",
    "search_tickets",
    "get_ticket",
    "create_ticket",
    "update_tickets",
    "reply_to_customer",
    "search_knowledge",
    "get_document",
    "search_orders",
    "get_order",
    "check_inventory",
}
STDIO = {
    "alone": StdioServerParameters(command=sys.executable, args=["-m", "backoffice_customer", "--sandbox"]),
    "platform": StdioServerParameters(command=script("backoffice"), args=["up", "--sandbox", "--stdio"]),
}


@pytest.fixture(scope="module", params=list(VERSIONS))
def era(request: pytest.FixtureRequest) -> Era:
    return request.param


@pytest.fixture(scope="module", params=["stdio alone", "stdio platform", "http alone", "http platform"])
async def client(request: pytest.FixtureRequest, era: Era) -> AsyncGenerator[Client]:
    transport, where = request.param.split()
    async with AsyncExitStack() as stack:
        if transport == "stdio":
            reached: Any = STDIO[where]
        else:
            reached = await stack.enter_async_context(serving(customer_server()))
            if where == "platform":
                reached = await stack.enter_async_context(platform_over(*over(reached)))
        yield await stack.enter_async_context(Client(reached, mode=era))


async def test_the_same_tools_are_listed(client: Client, era: Era) -> None:
    listed = await client.list_tools()
    assert client.protocol_version == VERSIONS[era]
    names = [tool.name for tool in listed.tools]
    assert len(names) == len(set(names))
    assert set(names) >= TOOLS


async def test_one_read_brings_together_crm_helpdesk_and_shop(client: Client) -> None:
    asked = {"customer_ids": ["hubspot:contact:100001"], "include": ["counts", "preferences"]}
    answer = (await client.call_tool("get_customers", asked)).structured_content
    assert answer is not None
    [customer] = answer["items"]
    assert {source["backend"]: source["status"] for source in answer["sources"]} == dict.fromkeys(
        ("hubspot", "salesforce", "zendesk", "shopify", "email"), "ok"
    )
    assert {link["system"]: link["id"] for link in customer["links"]} == {
        "hubspot": "hubspot:contact:100001",
        "zendesk": "zendesk:user:200001",
        "shopify": "shopify:customer:700001",
    }
    assert customer["owner"], "from the CRM"
    assert customer["counts"].keys() == {"open_tickets", "orders_12m"}, "from the helpdesk and the shop"
    assert customer["preferences"]["email_marketing"].keys() == {"hubspot", "shopify"}


async def test_a_tool_that_is_not_there_is_a_protocol_error(client: Client) -> None:
    with pytest.raises(MCPError, match="Unknown tool: void_contract") as caught:
        await client.call_tool("void_contract", {})
    assert caught.value.error.code == INVALID_PARAMS


async def test_an_argument_that_is_not_there_is_refused_with_those_that_are(client: Client) -> None:
    refused = await client.call_tool("get_order", {"order": "shopify:order:1"})
    [told] = refused.content
    assert refused.is_error
    assert isinstance(told, TextContent)
    assert told.text == ("order_id: is required; order: there is no such argument. Valid arguments: order_id, include.")
