"""A server that is called many times a second, while everything happens to its Vault that happens to Vaults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import pytest
from mcp.client import Client
from tests.foundation import Records, foundation
from tests.real.openbao import Vault
from tests.shared.credentials.stores import until
from tests.shared.credentials.vaults import Logins, reading, say

from backoffice_customer.server import SERVER
from backoffice_shared.backend import Rate
from backoffice_shared.credentials.kept import KeptCredentials
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.domain import Reach, Reachable
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox
from backoffice_shared.settings import Settings

pytestmark = pytest.mark.anyio


class HubSpot(httpx.AsyncBaseTransport):
    """HubSpot's sandbox, behind a door that lets in the tokens of the moment. It counts those it has turned away."""

    def __init__(self, sandbox: VendorSandbox, *accepted: str) -> None:
        self._sandbox = sandbox
        self._inner = InProcess(sandbox)
        self.accepted = set(accepted)
        self.let_in = self.turned_away = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.headers["Authorization"].removeprefix("Bearer ") not in self.accepted:
            self.turned_away += 1
            return httpx.Response(401, json={"status": "error", "message": "Authentication credentials not found."})
        self.let_in += 1
        request.headers["Authorization"] = f"Bearer {self._sandbox.credentials['access_token']}"
        return await self._inner.handle_async_request(request)


@asynccontextmanager
async def office(source: KeptCredentials, hubspot: HubSpot, audit: Records) -> AsyncGenerator[Client]:
    """The customer server with HubSpot alone, whose credentials come from `source`."""
    vendor = SERVER.vendors[0]
    quick = replace(vendor, backend=replace(vendor.backend, rate=Rate(10_000, 1, 1_000)))
    reached = Reach(quick, "https://api.hubapi.com", source, lambda: hubspot)
    server = domain_server(
        SERVER, Reachable([reached], source=source), Settings(log_level="ERROR"), foundation(audit=audit)
    )
    async with Client(server) as client:
        yield client


@dataclass
class Callers:
    """Every call asks for somebody else, so that nothing is answered from memory."""

    client: Client
    rate: int  # calls a second
    calls: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    failures: list[str] = field(default_factory=list[str])
    slowest: float = 0.0

    async def keep_calling(self) -> None:
        due = time.monotonic()
        while True:
            self.calls.append(asyncio.create_task(self._call(len(self.calls))))
            due += 1 / self.rate
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _call(self, number: int) -> None:
        began = time.monotonic()
        result = await self.client.call_tool("find_customers", {"identifiers": [f"nobody-{number}@example.com"]})
        self.slowest = max(self.slowest, time.monotonic() - began)
        answer = obj(result.structured_content)
        if result.is_error or [source["status"] for source in answer["sources"]] != ["ok"]:
            self.failures.append(f"{began}: {result.content}")


@contextmanager
def calling(client: Client, rate: int) -> Generator[Callers]:
    callers = Callers(client, rate)
    task = asyncio.create_task(callers.keep_calling())
    try:
        yield callers
    finally:
        task.cancel()


@dataclass
class Rotating:
    """A secret that is rotated as it is done: the vendor takes both, then Vault has the new one, then the old one ends."""

    vault: Vault
    hubspot: HubSpot
    number: int = 0

    async def rotate(self) -> None:
        self.number += 1
        token = f"pat-rotated-{self.number}"
        self.hubspot.accepted.add(token)
        await asyncio.to_thread(self.vault.put, "hubspot", access_token=token)
        self.hubspot.accepted = {token}


@pytest.mark.timeout(120)
async def test_no_call_fails_while_secrets_rotate_and_vault_is_sealed_hangs_and_throws_us_out(
    vault: Vault, tmp_path: Path, soak: bool
) -> None:
    seconds, rate = (5.0, 50) if soak else (1.2, 20)  # a busy machine keeps up with the lower one
    company = Company(seed=7, customers=50)
    hubspot = HubSpot(SERVER.vendors[0].sandbox(company), "pat-first")
    vault.put("hubspot", access_token="pat-first")
    role_id, file = vault.approle(), tmp_path / "secret-id"
    file.write_text(vault.secret_id())
    rotating, logins, audit, server = Rotating(vault, hubspot), Logins(), Records(), vault.server
    made: dict[str, int] = {}

    async def phase(name: str, lasts: float) -> None:
        before = logins.made + logins.failed
        await asyncio.sleep(lasts)
        made[name] = made.get(name, 0) + logins.made + logins.failed - before

    async def rotated(callers: Callers) -> None:
        """A call is repeated once: two rotations within one call would be one too many."""
        await rotating.rotate()
        await phase("rotated", 0.2)
        await asyncio.gather(*callers.calls)

    async with (
        reading(
            # Read anew every half second instead of every five minutes, so that Vault is always needed.
            vault,
            fresh_for=0.5,
            vault_auth="approle",
            vault_role_id=role_id,
            vault_secret_id_file=file,
        ) as source,
        office(source, hubspot, audit) as client,
    ):
        with calling(client, rate) as callers:
            await phase("all is well", 0.5)
            for _ in range(3):
                await rotated(callers)

            await asyncio.to_thread(server.seal)
            await phase("sealed", seconds)
            await asyncio.to_thread(server.unseal)
            await phase("unsealed", 1.0)
            await rotated(callers)

            server.freeze()
            await phase("frozen", seconds)
            server.thaw()
            await phase("thawed", 1.0)
            await rotated(callers)

            await asyncio.to_thread(vault.revoke_logins, "approle")
            await rotated(callers)

            await asyncio.to_thread(_expire_secret_ids, vault)
            await asyncio.to_thread(vault.revoke_logins, "approle")
            await phase("secret id expired", seconds)
            await until(lambda: logins.failed)
            file.write_text(await asyncio.to_thread(vault.secret_id))
            before = logins.made
            await until(lambda: logins.made > before, seconds=30)
            await rotated(callers)
        await asyncio.gather(*callers.calls)
    say(
        f"{len(callers.calls)} calls, {len(callers.failures)} failed, the slowest {callers.slowest * 1000:.0f} ms; "
        f"{rotating.number} rotations, {hubspot.turned_away} requests turned away and repeated; "
        f"{logins.made} logins and {logins.failed} refused, by phase: {made}"
    )
    assert callers.failures == []
    assert hubspot.let_in >= len(callers.calls) > 100
    assert hubspot.turned_away > 0
    assert logins.made == 3  # at first, and after each time that the token was revoked
    assert 1 <= logins.failed <= 6
    versions = {used["hubspot"].partition("@")[0] for (used,) in audit.told("secret_versions")}
    assert versions == {str(number) for number in range(1, rotating.number + 2)}


def _expire_secret_ids(vault: Vault) -> None:
    for accessor in vault.admin.auth.approle.list_secret_id_accessors("backoffice")["data"]["keys"]:
        vault.admin.auth.approle.destroy_secret_id_accessor("backoffice", accessor)
