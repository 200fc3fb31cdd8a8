"""Refresh tokens that change with each use: exchanged by one at a time, and kept before anything is done with them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from urllib.parse import parse_qsl

import httpx
import pytest
from tests.real.openbao import Vault
from tests.shared.acme import ACME, credential, requests, scripted
from tests.shared.credentials.vaults import reading, say

from backoffice_shared.backend import TokenEndpoint
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.credentials.kept import KeptCredentials
from backoffice_shared.credentials.oauth import TokenAnswer
from backoffice_shared.credentials.refreshing import RefreshTokens
from backoffice_shared.credentials.source import Credential, MissingCredential, Replaceable
from backoffice_shared.credentials.store import Fetched
from backoffice_shared.errors import BackendUnavailable, BackofficeError, Conflict, InvalidInput
from backoffice_shared.http.client import connect
from backoffice_shared.http.tokens import refresh_exchange

pytestmark = pytest.mark.anyio

FIRST = {"client_id": "backoffice", "client_secret": "client-secret", "refresh_token": "r0"}


class Wall:
    """The time of day, and a clock that goes with it. Who sleeps lets the others go on."""

    def __init__(self) -> None:
        self.time = 1_000_000.0

    def now(self) -> float:
        return self.time

    def __call__(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0.001)
        self.time += seconds


class Strict:
    """A vendor that takes the second use of a refresh token for a theft, and then takes none at all any more."""

    def __init__(self) -> None:
        self.current = 0
        self.exchanges = 0
        self.stolen = False
        self.failing: BackofficeError | None = None
        self.on_exchange: list[str] = []

    async def exchange(self, secret: Credential) -> TokenAnswer:
        self.exchanges += 1
        self.on_exchange.append(secret["refresh_token"])
        await asyncio.sleep(0.005)
        if self.failing is not None:
            raise self.failing
        if self.stolen or secret["refresh_token"] != f"r{self.current}":
            self.stolen = True
            raise MissingCredential("Acme", "refused the refresh token")
        self.current += 1
        return TokenAnswer(access_token=f"a{self.current}", expires_in=1000, refresh_token=f"r{self.current}")


class Safe:
    """Keeps one secret, by compare-and-set. What it is told before `broken_after` more replacements it keeps."""

    def __init__(self, fields: Mapping[str, str] = FIRST) -> None:
        self.number = 1
        self.secret = credential("1", fields)
        self.broken_after: int | None = None
        self.loses_answers = False

    async def read(self, vendor: str) -> Credential:  # noqa: ARG002 - it has only one
        return self.secret

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:  # noqa: ARG002
        return self.secret

    async def replace(self, vendor: str, read: Credential, fields: Mapping[str, str]) -> Credential:  # noqa: ARG002
        await asyncio.sleep(0)
        if self.broken_after is not None:
            if self.broken_after <= 0 and not self.loses_answers:
                raise BackendUnavailable("Safe", "is down")
            self.broken_after -= 1
        if read.version != self.secret.version:
            raise Conflict("Safe", "was changed meanwhile")
        self.number += 1
        self.secret = credential(str(self.number), fields)
        if self.broken_after is not None and self.broken_after < 0:
            raise BackendUnavailable("Safe", "did not answer")
        return self.secret


@pytest.fixture
def wall() -> Wall:
    return Wall()


@pytest.fixture
def vendor() -> Strict:
    return Strict()


@pytest.fixture
def safe() -> Safe:
    return Safe()


def replica(safe: Replaceable, vendor: Strict, wall: Wall) -> RefreshTokens:
    return RefreshTokens(safe, vendor.exchange, clock=wall, wall=wall)


async def token(source: RefreshTokens) -> str:
    return (await source.read("acme"))["access_token"]


async def test_a_token_is_bought_once_and_shared_until_a_fifth_of_its_life_is_left(
    safe: Safe, vendor: Strict, wall: Wall
) -> None:
    source = replica(safe, vendor, wall)
    tokens: list[str] = []
    for seconds in (0, 799, 2, 799, 2):
        wall.time += seconds
        tokens.append(await token(source))
    assert (tokens, vendor.on_exchange) == (["a1", "a1", "a2", "a2", "a3"], ["r0", "r1", "r2"])


async def test_two_tasks_at_once_make_one_exchange(safe: Safe, vendor: Strict, wall: Wall) -> None:
    source = replica(safe, vendor, wall)
    assert set(await asyncio.gather(*[token(source) for _ in range(20)])) == {"a1"}
    assert vendor.exchanges == 1


async def test_replicas_at_once_make_one_exchange_between_them(safe: Safe, vendor: Strict, wall: Wall) -> None:
    replicas = [replica(safe, vendor, wall) for _ in range(5)]
    for expected in ("a1", "a2", "a3"):
        assert set(await asyncio.gather(*[token(source) for source in replicas])) == {expected}
        wall.time += 801
    assert (vendor.exchanges, vendor.stolen) == (3, False)


async def test_what_was_bought_is_kept_with_everything_else_in_the_secret(
    safe: Safe, vendor: Strict, wall: Wall
) -> None:
    safe.secret = credential("1", {**FIRST, "company": "4711"})
    read = await replica(safe, vendor, wall).read("acme")
    kept = {**FIRST, "company": "4711", "refresh_token": "r1", "access_token": "a1"}
    assert dict(safe.secret) == {**kept, "access_token_expires_at": "1000800.0"} == dict(read)


async def test_a_refused_token_is_replaced_once_for_all_who_were_refused(
    safe: Safe, vendor: Strict, wall: Wall
) -> None:
    source = replica(safe, vendor, wall)
    rejected = (await source.read("acme")).version
    renewed = await asyncio.gather(*[source.refresh("acme", rejected=rejected) for _ in range(20)])
    assert ({one["access_token"] for one in renewed}, vendor.exchanges) == ({"a2"}, 2)
    assert (await source.refresh("acme", rejected=rejected))["access_token"] == "a2"
    assert vendor.exchanges == 2


async def test_a_token_that_another_replica_has_replaced_is_not_replaced_again(
    safe: Safe, vendor: Strict, wall: Wall
) -> None:
    one, other = replica(safe, vendor, wall), replica(safe, vendor, wall)
    rejected = (await one.read("acme")).version
    await other.refresh("acme", rejected=rejected)
    assert (await one.refresh("acme", rejected=rejected))["access_token"] == "a2"
    assert vendor.exchanges == 2


async def test_nothing_is_exchanged_where_the_outcome_could_not_be_kept(safe: Safe, vendor: Strict, wall: Wall) -> None:
    safe.broken_after = 0
    with pytest.raises(BackendUnavailable, match="Safe: is down"):
        await token(replica(safe, vendor, wall))
    assert vendor.exchanges == 0


async def test_a_token_that_cannot_be_kept_is_not_used_until_it_is(safe: Safe, vendor: Strict, wall: Wall) -> None:
    source = replica(safe, vendor, wall)
    safe.broken_after = 1  # our turn is noted, and what it brings is not
    for _ in range(3):
        with pytest.raises(BackendUnavailable):
            await token(source)
    assert (vendor.exchanges, safe.secret["refresh_token"]) == (1, "r0")
    safe.broken_after = None
    assert (await token(source), safe.secret["refresh_token"], vendor.exchanges) == ("a1", "r1", 1)


async def test_a_token_that_was_kept_although_nobody_said_so_is_found_there(
    safe: Safe, vendor: Strict, wall: Wall
) -> None:
    source = replica(safe, vendor, wall)
    safe.broken_after, safe.loses_answers = 1, True
    with pytest.raises(BackendUnavailable, match="did not answer"):
        await token(source)
    safe.broken_after = None
    assert (await token(source), vendor.exchanges) == ("a1", 1)


async def test_a_replica_that_dies_after_keeping_loses_nothing(safe: Safe, vendor: Strict, wall: Wall) -> None:
    await token(replica(safe, vendor, wall))
    wall.time += 801
    assert await token(replica(safe, vendor, wall)) == "a2"
    assert not vendor.stolen


async def test_a_replica_that_dies_in_its_turn_is_waited_for_and_then_followed(
    safe: Safe, vendor: Strict, wall: Wall
) -> None:
    safe.secret = credential("1", {**FIRST, "exchanging_until": str(wall.time + 30)})
    began = wall.time
    assert await token(replica(safe, vendor, wall)) == "a1"
    assert 30 <= wall.time - began < 32
    assert "exchanging_until" not in safe.secret


async def test_an_exchange_that_fails_gives_its_turn_back(safe: Safe, vendor: Strict, wall: Wall) -> None:
    vendor.failing = BackendUnavailable("Acme", "its token endpoint answered 500")
    with pytest.raises(BackendUnavailable, match="answered 500"):
        await token(replica(safe, vendor, wall))
    vendor.failing, began = None, wall.time
    assert (await token(replica(safe, vendor, wall)), wall.time) == ("a1", began)


async def test_an_exchange_is_given_up_before_its_turn_is_over(safe: Safe, wall: Wall) -> None:
    async def hangs(_secret: Credential) -> TokenAnswer:
        await asyncio.sleep(30)
        raise AssertionError("it is not waited for")

    with pytest.raises(BackendUnavailable) as raised:
        await token(RefreshTokens(safe, hangs, turn_lasts=0.1, clock=wall, wall=wall))
    assert str(raised.value) == "the token of acme was not renewed in time."
    assert dict(safe.secret) == FIRST


async def test_a_caller_who_leaves_does_not_take_the_token_along(safe: Safe, vendor: Strict, wall: Wall) -> None:
    source = replica(safe, vendor, wall)
    leaving = asyncio.create_task(token(source))
    await asyncio.sleep(0.002)
    leaving.cancel()
    assert await token(source) == "a1"
    assert vendor.exchanges == 1


async def test_a_refresh_token_that_an_operator_put_in_meanwhile_counts(safe: Safe, vendor: Strict, wall: Wall) -> None:
    source = replica(safe, vendor, wall)
    safe.broken_after = 1
    with pytest.raises(BackendUnavailable):
        await token(source)
    vendor.current, safe.broken_after = 50, None
    safe.secret = credential("9", {**FIRST, "refresh_token": "r50"})
    assert (await token(source), safe.secret["refresh_token"]) == ("a51", "r51")


async def test_a_secret_without_a_refresh_token_passes_unchanged(vendor: Strict, wall: Wall) -> None:
    safe = Safe({"access_token": "mine"})
    source = replica(safe, vendor, wall)
    assert await source.read("acme") is safe.secret
    assert await source.refresh("acme", rejected="1") is safe.secret


async def test_a_source_that_keeps_nothing_is_not_replaceable(safe: Safe) -> None:
    assert isinstance(safe, Replaceable)
    assert not isinstance(EnvironmentCredentials({}), Replaceable)


async def test_replicas_on_a_real_vault_make_one_exchange_between_them(
    vault: Vault, vendor: Strict, wall: Wall
) -> None:
    vault.put("acme", **FIRST)
    policy = vault.policy('path "secret/data/backoffice/acme" { capabilities = ["read", "update"] }')
    async with AsyncExitStack() as stack:
        sources = [
            await stack.enter_async_context(reading(vault, vault_token=vault.token(policies=[policy])))
            for _ in range(3)
        ]
        # Each sleeps for real, so that Vault is asked as often as in life.
        replicas = [RefreshTokens(source, vendor.exchange, wall=wall) for source in sources]
        for expected in ("a1", "a2", "a3"):
            assert set(await asyncio.gather(*[token(one) for one in replicas])) == {expected}
            wall.time += 801
        rejected = (await replicas[0].read("acme")).version
        again = await asyncio.gather(*[one.refresh("acme", rejected=rejected) for one in replicas])
        assert len({one["access_token"] for one in again}) == 1
    kept = vault.admin.secrets.kv.v2.read_secret_version(
        "backoffice/acme", mount_point="secret", raise_on_deleted_version=True
    )
    say(f"3 replicas, {vendor.exchanges} exchanges, {kept['data']['metadata']['version']} versions written")
    assert (vendor.stolen, vendor.current) == (False, vendor.exchanges)
    assert kept["data"]["data"]["refresh_token"] == f"r{vendor.current}"
    assert vendor.exchanges == 5  # four lives of a token, and one that was refused


async def test_a_vault_that_may_only_be_read_is_noticed_before_anything_is_exchanged(
    vault: Vault, vendor: Strict, wall: Wall
) -> None:
    vault.put("acme", **FIRST)
    async with reading(vault, vault_token=vault.token()) as source:
        with pytest.raises(BackofficeError, match="does not allow it"):
            await token(replica(source, vendor, wall))
    assert vendor.exchanges == 0


async def test_a_store_that_cannot_replace_is_noticed_before_anything_is_exchanged(vendor: Strict, wall: Wall) -> None:
    class Reader:
        title = "Reader"

        def place(self, vendor: str) -> str:
            return f"reader/{vendor}"

        def fetch(self, vendor: str) -> Fetched:  # noqa: ARG002
            return Fetched(credential("1", FIRST))

        def close(self) -> None: ...

    source = KeptCredentials(Reader())
    with pytest.raises(InvalidInput) as raised:
        await token(replica(source, vendor, wall))
    await source.aclose()
    assert str(raised.value) == "Reader: reader/acme cannot be changed from here."
    assert vendor.exchanges == 0


# At the vendor's token endpoint

XERO_LIKE = replace(ACME, token_endpoint=TokenEndpoint("https://identity.acme.example/connect/token"))


async def test_the_endpoint_is_asked_as_the_rfc_has_it() -> None:
    answer = {"access_token": "a1", "expires_in": 1800, "refresh_token": "r1", "token_type": "Bearer"}
    route, wire = scripted(httpx.Response(200, json=answer))
    bought = await refresh_exchange(XERO_LIKE, "https://api.acme.example", wire)(
        credential("1", {**FIRST, "client_secret": "with:colon"})
    )
    [asked] = requests(route)
    assert bought == TokenAnswer(access_token="a1", expires_in=1800, refresh_token="r1")
    assert str(asked.url) == "https://identity.acme.example/connect/token"
    assert asked.content == b"grant_type=refresh_token&refresh_token=r0"
    assert httpx.BasicAuth("backoffice", "with%3Acolon")._auth_header in asked.headers["Authorization"]  # noqa: SLF001 # pyright: ignore[reportPrivateUsage]
    assert "r1" not in repr(bought)


async def test_a_vendor_that_takes_the_clients_secret_only_in_the_form_gets_it_there() -> None:
    like_hubspot = replace(ACME, token_endpoint=TokenEndpoint("/oauth/token", grant="refresh_token", client="form"))
    route, wire = scripted(httpx.Response(200, json={"access_token": "a1", "expires_in": 1800}))
    await refresh_exchange(like_hubspot, "https://api.acme.example", wire)(credential("1", FIRST))
    [asked] = requests(route)
    assert "Authorization" not in asked.headers
    assert dict(parse_qsl(asked.content.decode())) == {**FIRST, "grant_type": "refresh_token"}


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (httpx.Response(400, json={"error": "invalid_grant"}), "Acme: refused the configured client_id"),
        (httpx.Response(500), "Acme: its token endpoint answered 500."),
        (httpx.Response(200, json={"refresh_token": "hunter2hunter2"}), "Acme: its token endpoint answered no token."),
        (httpx.ConnectError("no"), "Acme: its token endpoint cannot be reached (ConnectError)."),
    ],
)
async def test_a_refusal_is_a_sentence_without_a_secret(answer: httpx.Response | Exception, told: str) -> None:
    _, wire = scripted(answer)
    with pytest.raises(BackofficeError) as raised:
        await refresh_exchange(XERO_LIKE, "https://api.acme.example", wire)(credential("1", FIRST))
    assert str(raised.value).startswith(told)
    assert "hunter2" not in f"{raised.value!r}{raised.value.__cause__!r}"


async def test_fields_that_the_exchange_needs_are_named_when_they_are_missing() -> None:
    _, wire = scripted()
    with pytest.raises(MissingCredential) as raised:
        await refresh_exchange(XERO_LIKE, "https://api.acme.example", wire)(credential("1", {"refresh_token": "r0"}))
    assert str(raised.value) == "Acme: needs client_id, client_secret beside what is configured."


async def test_an_adapter_is_carried_by_the_token_that_its_refresh_token_buys(safe: Safe) -> None:
    bought = {"access_token": "a1", "expires_in": 1800, "refresh_token": "r1"}
    route, wire = scripted(httpx.Response(200, json=bought), httpx.Response(200, json={"name": "Ada"}))
    endpoint = TokenEndpoint("https://identity.acme.example/connect/token", grant="refresh_token")
    client = connect(replace(ACME, token_endpoint=endpoint), wire, safe, base_url="https://api.acme.example")
    assert await client.read("things.get", "/things/1", into=lambda wire: wire["name"]) == "Ada"
    exchanged, asked = requests(route)
    assert (exchanged.url.host, asked.url.host) == ("identity.acme.example", "api.acme.example")
    assert safe.secret["refresh_token"] == "r1"


async def test_where_a_refresh_token_cannot_be_kept_it_is_not_used_up() -> None:
    route, wire = scripted()
    endpoint = TokenEndpoint("/token", grant="refresh_token")
    source = EnvironmentCredentials({f"acme_{name}": value for name, value in FIRST.items()})
    client = connect(replace(ACME, token_endpoint=endpoint), wire, source, base_url="https://api.acme.example")
    with pytest.raises(MissingCredential, match="it needs access_token"):
        await client.read("things.get", "/things/1", into=dict)
    assert requests(route) == []
