"""A caller that goes away takes its work with it, all the way down to the vendor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import httpx
import pytest
from mcp.client import Client
from tests.e2e.running import SETTINGS, eventually, over, platform_over, posted, serving, serving_app
from tests.foundation import Records, foundation

from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_shared.mcp.domain import served_elsewhere
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.directory import describe
from backoffice_shared.sandbox.frame import Faults, VendorSandbox

pytestmark = pytest.mark.anyio

ASKED = {"customer_ids": ["hubspot:contact:100001"]}


class Chain:
    """Where to call, and what is seen at both ends: the vendor that is slow, and what every server on the way recorded."""

    def __init__(self, url: str, vendor: VendorSandbox, audits: list[Records]) -> None:
        self.url = url
        self.vendor = vendor
        self.audits = audits


@pytest.fixture(params=["alone", "behind the platform"])
async def chain(request: pytest.FixtureRequest) -> AsyncGenerator[Chain]:
    company = Company(seed=7, customers=20)
    sandboxes = {vendor.backend.name: vendor.sandbox(company) for vendor in CUSTOMER.vendors}
    sandboxes["hubspot"].faults = Faults(slow=1.0, seconds=60)
    audits = [Records()]
    async with AsyncExitStack() as stack:
        urls = {name: await stack.enter_async_context(serving_app(app)) for name, app in sandboxes.items()}
        directory = {name: describe(sandbox, urls[name], "") for name, sandbox in sandboxes.items()}
        server = domain_server(CUSTOMER, served_elsewhere(CUSTOMER, directory), SETTINGS, foundation(audit=audits[0]))
        url = await stack.enter_async_context(serving(server))
        if request.param == "behind the platform":
            audits.append(Records())
            url = await stack.enter_async_context(platform_over(*over(url), sink=audits[1]))
        yield Chain(url, sandboxes["hubspot"], audits)


async def hung_up_on(chain: Chain) -> None:
    """The vendor sees its caller go, well before it would answer or anybody's patience ends."""
    await eventually(lambda: chain.vendor.waiting == 0, seconds=4)
    for audit in chain.audits:
        await eventually(lambda audit=audit: audit.written, seconds=4)
        assert audit.told("tool", "outcome") == [("get_customers", "cancelled")]
    assert len(chain.vendor.requests) == 1, "it was not asked again"


async def test_a_connection_that_closes_cancels_the_request_to_the_vendor(chain: Chain) -> None:
    async with httpx.AsyncClient(timeout=30) as http:
        call = asyncio.create_task(posted(http, chain.url, "get_customers", ASKED))
        await eventually(lambda: chain.vendor.waiting == 1)
        call.cancel()
    await hung_up_on(chain)


async def test_a_client_that_cancels_its_call_cancels_the_request_to_the_vendor_and_goes_on(chain: Chain) -> None:
    async with Client(chain.url) as client:
        call = asyncio.create_task(client.call_tool("get_customers", ASKED))
        await eventually(lambda: chain.vendor.waiting == 1)
        call.cancel()
        await hung_up_on(chain)
        chain.vendor.faults = Faults()
        assert not (await client.call_tool("get_customers", ASKED)).is_error
