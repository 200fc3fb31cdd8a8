"""The domain servers in the platform's own process."""

from __future__ import annotations

from typing import Any

import pytest
from mcp.client import Client
from tests.e2e.running import SETTINGS, serving
from tests.foundation import foundation

from backoffice_platform.embedded import embedded
from backoffice_platform.registry import Registry
from backoffice_platform.server import platform_server
from backoffice_shared.mcp.auth.assertion import Signer, make_key
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


async def test_a_call_that_is_passed_on_does_not_wait_for_the_place_that_it_has_itself() -> None:
    on, signer, said = foundation(), Signer(make_key()), list[str]()
    given: dict[str, Any] = {"sandbox": "", "company": Company(seed=7, customers=20), "public_key": signer.public_key}
    async with embedded(SETTINGS, {}, on, say=said.append, **given) as upstreams:
        server = platform_server(Registry(upstreams, identify=signer.assertion), SETTINGS, on)
        async with serving(server) as url, Client(url) as client:
            while on.load.under_way < on.load.limit - 1:
                await on.load.enter("read")
            answer = await client.call_tool("find_customers", {"query": "maria"})
    assert not answer.is_error
    assert any(line.startswith("Backoffice customer server: ") for line in said)
