"""A token is fetched once, shared, and fetched anew before it expires."""

from __future__ import annotations

import asyncio

import pytest
from tests.shared.acme import Secrets, credential
from tests.shared.clocks import ManualClock

from backoffice_shared.credentials.oauth import ClientCredentials, TokenAnswer
from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.errors import BackendUnavailable

pytestmark = pytest.mark.anyio

SECRET = {"client_id": "backoffice", "client_secret": "s3cret"}


class Endpoint:
    """Gives out t1, t2 …, each for 1,000 seconds; `failing` makes the next ones fail."""

    def __init__(self) -> None:
        self.granted = 0
        self.failing = 0
        self.at_once = 0
        self.most_at_once = 0

    async def exchange(self, secret: Credential) -> TokenAnswer:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.failing:
            self.failing -= 1
            raise BackendUnavailable("Acme", f"no token for {secret['client_id']}")
        self.granted += 1
        return TokenAnswer(access_token=f"t{self.granted}", expires_in=1000)


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


async def test_a_token_is_added_to_the_secret_that_bought_it(clock: ManualClock, endpoint: Endpoint) -> None:
    held = await ClientCredentials(Secrets(SECRET), endpoint.exchange, clock=clock).read("acme")
    assert dict(held) == {**SECRET, "access_token": "t1"}
    assert held.identity == "v1"


async def test_one_exchange_runs_at_a_time_and_serves_everyone(clock: ManualClock, endpoint: Endpoint) -> None:
    source = ClientCredentials(Secrets(SECRET), endpoint.exchange, clock=clock)
    held = await asyncio.gather(*[source.read("acme") for _ in range(10)])
    assert ({one["access_token"] for one in held}, endpoint.granted, endpoint.most_at_once) == ({"t1"}, 1, 1)


async def test_a_token_lasts_four_fifths_of_its_life(clock: ManualClock, endpoint: Endpoint) -> None:
    source = ClientCredentials(Secrets(SECRET), endpoint.exchange, clock=clock)
    tokens: list[str] = []
    for seconds in (0, 799, 1):
        clock.advance(seconds)
        tokens.append((await source.read("acme"))["access_token"])
    assert tokens == ["t1", "t1", "t2"]


async def test_many_whose_token_is_refused_get_one_new_one(clock: ManualClock, endpoint: Endpoint) -> None:
    source = ClientCredentials(Secrets(SECRET), endpoint.exchange, clock=clock)
    rejected = (await source.read("acme")).version
    renewed = await asyncio.gather(*[source.refresh("acme", rejected=rejected) for _ in range(10)])
    assert ({one["access_token"] for one in renewed}, endpoint.granted) == ({"t2"}, 2)


async def test_a_token_that_was_renewed_meanwhile_is_not_renewed_again(clock: ManualClock, endpoint: Endpoint) -> None:
    source = ClientCredentials(Secrets(SECRET), endpoint.exchange, clock=clock)
    old = (await source.read("acme")).version
    await source.refresh("acme", rejected=old)
    assert (await source.refresh("acme", rejected=old))["access_token"] == "t2"


async def test_a_failed_exchange_fails_that_call_and_the_next_one_tries_again(
    clock: ManualClock, endpoint: Endpoint
) -> None:
    endpoint.failing = 1
    source = ClientCredentials(Secrets(SECRET), endpoint.exchange, clock=clock)
    with pytest.raises(BackendUnavailable):
        await source.read("acme")
    assert (await source.read("acme"))["access_token"] == "t1"


async def test_a_caller_who_leaves_during_the_exchange_leaves_it_to_the_next(
    clock: ManualClock, endpoint: Endpoint
) -> None:
    source = ClientCredentials(Secrets(SECRET), endpoint.exchange, clock=clock)
    leaving = asyncio.create_task(source.read("acme"))
    staying = asyncio.create_task(source.read("acme"))
    await asyncio.sleep(0)
    leaving.cancel()
    assert (await staying)["access_token"] == "t1"


async def test_a_configured_token_passes_unchanged(clock: ManualClock, endpoint: Endpoint) -> None:
    secrets = Secrets({**SECRET, "access_token": "mine"})
    held = await ClientCredentials(secrets, endpoint.exchange, clock=clock).read("acme")
    assert (held["access_token"], endpoint.granted) == ("mine", 0)


async def test_a_refused_configured_token_is_read_anew(clock: ManualClock, endpoint: Endpoint) -> None:
    secrets = Secrets({"access_token": "old"}, then=credential("v2", {"access_token": "new"}))
    source = ClientCredentials(secrets, endpoint.exchange, clock=clock)
    await source.read("acme")
    assert (await source.refresh("acme", rejected="v1"))["access_token"] == "new"


async def test_a_secret_that_was_rotated_and_is_refused_is_read_anew_before_the_call_fails(
    clock: ManualClock,
) -> None:
    secrets = Secrets(SECRET, then=credential("v2", {**SECRET, "client_secret": "rotated"}))
    asked: list[str] = []

    async def exchange(secret: Credential) -> TokenAnswer:
        asked.append(secret["client_secret"])
        if secret["client_secret"] != "rotated":
            raise MissingCredential("Acme", "refused the configured client_id and client_secret")
        return TokenAnswer(access_token="t1")

    source = ClientCredentials(secrets, exchange, clock=clock)
    bought = await source.read("acme")
    assert (bought["access_token"], bought.identity, asked) == ("t1", "v2", ["s3cret", "rotated"])
    assert await source.read("acme") is bought


async def test_a_secret_that_is_refused_and_is_the_newest_fails_the_call(clock: ManualClock) -> None:
    async def exchange(_secret: Credential) -> TokenAnswer:
        raise MissingCredential("Acme", "refused the configured client_id and client_secret")

    with pytest.raises(MissingCredential):
        await ClientCredentials(Secrets(SECRET), exchange, clock=clock).read("acme")


async def test_a_rotated_secret_buys_a_token_of_its_own(clock: ManualClock, endpoint: Endpoint) -> None:
    secrets = Secrets(SECRET)
    source = ClientCredentials(secrets, endpoint.exchange, clock=clock)
    first = await source.read("acme")
    secrets.current = credential("v2", {**SECRET, "client_secret": "rotated"})
    second = await source.read("acme")
    assert [(one["client_secret"], one["access_token"], one.identity) for one in (first, second)] == [
        ("s3cret", "t1", "v1"),
        ("rotated", "t2", "v2"),
    ]
