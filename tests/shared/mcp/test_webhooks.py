"""What a vendor tells of its own accord makes stale answers forgotten, when the vendor has signed it, and does nothing else."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import respx
from mcp.server.mcpserver import Context, Resolve
from pydantic import BaseModel
from tests.foundation import foundation
from tests.shared.acme import ACME, Secrets, requests, scripted
from tests.shared.mcp.auth.served import Door, guarded, opened, told

from backoffice_shared.errors import InvalidInput, PermissionDenied
from backoffice_shared.http.client import BackendClient
from backoffice_shared.mcp.auth.keys import make_key
from backoffice_shared.mcp.domain import Domain, Reach, Reachable, Vendor
from backoffice_shared.mcp.tool import READ, tool
from backoffice_shared.mcp.webhooks import LARGEST
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

pytestmark = pytest.mark.anyio

KEY = make_key()


class Thing(BaseModel):
    name: str


async def _acme(ctx: Context[BackendClient]) -> BackendClient:
    return ctx.request_context.lifespan_context


@tool(READ, scope="acme:read")
async def get_thing(acme: Annotated[BackendClient, Resolve(_acme)]) -> Thing:
    """The thing."""
    return await acme.read("things.get", "/things/1", into=Thing.model_validate, fresh_for=60, tags=["thing:1"])


def verified(body: bytes, headers: Mapping[str, str], secrets: Sequence[str], _now: datetime) -> Iterable[str]:
    """Acme's messages are names of things, one a line."""
    digests = [hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() for secret in secrets]
    if headers.get("acme-signature") not in digests:
        raise PermissionDenied("Acme", "not signed")
    if not body:
        raise InvalidInput("Acme", "nothing is said")
    return [f"thing:{name}" for name in body.decode().splitlines()]


def no_sandbox(_company: Company) -> VendorSandbox:
    raise NotImplementedError


@dataclass
class At:
    """`route` is what Acme was asked; its n-th answer has the name n."""

    door: Door
    route: respx.Route

    @property
    def http(self) -> httpx.AsyncClient:
        return self.door.http

    @property
    def url(self) -> str:
        return self.door.url.removesuffix("/mcp")

    async def name(self) -> str:
        return told(await self.door.call("get_thing", token=KEY.key))["name"]

    async def tell(self, body: bytes, *, secret: str = "second-secret-value", path: str = "/webhooks/acme") -> int:  # noqa: S107
        signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        return (await self.http.post(self.url + path, content=body, headers={"acme-signature": signature})).status_code


@asynccontextmanager
async def acme(folder: Path, secrets: str = "first-secret-value,second-secret-value") -> AsyncGenerator[At]:
    agents = folder / "agents.yaml"
    agents.write_text(
        f'agents:\n  reader: {{scopes: ["acme:read"], keys: [{{id: {KEY.id}, sha256: "{KEY.sha256}"}}]}}\n'
    )
    route, wire = scripted(*(httpx.Response(200, json={"name": str(n)}) for n in range(1, 9)))
    vendor = Vendor(ACME, no_sandbox, provides=frozenset(), webhook=verified)
    source = Secrets({"access_token": "s3cret-token-value", "webhook_secret": secrets})
    reachable = Reachable([Reach(vendor, ACME.base_url, source, lambda: wire)])

    def assemble(clients: Mapping[str, BackendClient], *_given: Any) -> object:
        return clients[ACME.name]

    domain = Domain("things", "Things", "", (get_thing,), (vendor,), assemble)
    on = foundation(agents=agents)
    async with opened(guarded(domain, reachable, on, agents_file=agents), on) as door:
        yield At(door, route)


async def test_what_the_vendor_has_changed_is_asked_anew_and_nothing_else_is(tmp_path: Path):
    async with acme(tmp_path) as at:
        assert [await at.name(), await at.name()] == ["1", "1"]
        assert await at.tell(b"2") == 200
        assert await at.name() == "1"
        assert await at.tell(b"2\n1") == 200
        assert await at.name() == "2"


async def test_it_is_signed_by_one_of_the_secrets_or_nothing_is_forgotten(tmp_path: Path):
    async with acme(tmp_path) as at:
        await at.name()
        assert await at.tell(b"1", secret="third-secret-value") == 401
        assert await at.tell(b"1", secret="") == 401
        assert await at.name() == "1"
        assert await at.tell(b"1", secret="first-secret-value") == 200
        assert await at.name() == "2"


async def test_what_makes_no_sense_or_is_too_large_is_refused_and_the_server_goes_on(tmp_path: Path):
    async with acme(tmp_path) as at:
        assert await at.tell(b"") == 400
        assert await at.tell(b"1" * (LARGEST + 1)) == 413
        assert await at.tell(b"1") == 200


async def test_without_a_secret_and_for_other_vendors_there_is_no_such_place(tmp_path: Path):
    async with acme(tmp_path, secrets="") as at:
        assert await at.tell(b"1") == 404
        assert await at.tell(b"1", path="/webhooks/other") == 404
        assert await at.tell(b"1", path="/webhooks/acme/more") == 404
    assert requests(at.route) == []


async def test_only_that_place_is_open_to_whoever_has_no_credential(tmp_path: Path):
    async with acme(tmp_path) as at:
        refused = await at.http.post(f"{at.url}/mcp", json={})
        assert refused.status_code == 401
        assert (await at.http.get(f"{at.url}/webhooks/acme")).status_code == 405
