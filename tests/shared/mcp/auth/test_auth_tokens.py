"""Access tokens against an issuer's published keys: which are good, and what becomes of it when keys or issuer change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.shared.clocks import ManualClock, settle
from tests.shared.mcp.auth.issuer import AUDIENCE, LIFE, Issuer, classic, edwards, elliptic, published

from backoffice_shared.errors import BackendUnavailable, InvalidInput
from backoffice_shared.mcp.auth import jwks, tokens
from backoffice_shared.mcp.auth.jwks import IssuerKeys
from backoffice_shared.mcp.auth.tokens import AccessTokens
from backoffice_shared.principal import Principal

pytestmark = pytest.mark.anyio

NOW = 1_900_000_000.0


class Checked:
    """The verifier over the issuer, on a clock of the test's."""

    def __init__(self, issuer: Issuer, clock: ManualClock, **given: Any) -> None:
        self.issuer = issuer
        self.clock = clock
        self.keys = IssuerKeys(issuer.url, lambda: httpx.ASGITransport(issuer), clock=clock)
        algorithms = given.pop("algorithms", ("ES256", "EdDSA", "RS256"))
        self._verifier = AccessTokens(
            self.keys, issuer=issuer.url, audience=AUDIENCE, algorithms=algorithms, now=self._now
        )

    def _now(self) -> datetime:
        return datetime.fromtimestamp(NOW + self.clock.time, UTC)

    def token(self, **given: Any) -> str:
        return self.issuer.token(now=NOW + self.clock.time, **given)

    async def verify(self, token: str | None = None, **given: Any) -> Principal | None:
        return await self._verifier.verify(self.token(**given) if token is None else token)


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


@pytest.fixture
def checked(issuer: Issuer, clock: ManualClock) -> Checked:
    return Checked(issuer, clock)


# Which are good


async def test_a_good_token_is_its_subject_with_its_client_and_scopes(checked: Checked, issuer: Issuer):
    who = await checked.verify(scope="till:read till:write")
    assert who == Principal("ada", "oauth", "app", issuer.url, scopes=frozenset({"till:read", "till:write"}))


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": None}, set[str]()),
        ({"scope": ""}, set[str]()),
        ({"scope": None, "scp": ["a", "b"]}, {"a", "b"}),
        ({"scope": ["a"], "scp": ["b"]}, {"a"}),
    ],
)
async def test_scopes_are_those_that_are_granted_and_no_others(
    checked: Checked, claims: dict[str, Any], scopes: set[str]
):
    who = await checked.verify(**claims)
    assert who is not None
    assert who.scopes == scopes


async def test_every_family_of_keys_serves_its_algorithms_and_no_other(checked: Checked, issuer: Issuer):
    issuer.keys = [
        published("ec", elliptic("one")),
        published("ed", edwards("one")),
        published("rsa", classic("one")),
        published("only-pss", classic("one"), alg="PS256"),
    ]
    assert await checked.verify(kid="ec", key=elliptic("one"), algorithm="ES256") is not None
    assert await checked.verify(kid="ed", key=edwards("one"), algorithm="EdDSA") is not None
    assert await checked.verify(kid="rsa", key=classic("one"), algorithm="RS256") is not None
    assert await checked.verify(kid="only-pss", key=classic("one"), algorithm="RS256") is None
    assert await checked.verify(kid="ec", key=classic("one"), algorithm="RS256") is None
    assert await checked.verify(kid="rsa", key=classic("one"), algorithm="PS256") is None  # not among the algorithms


@pytest.mark.parametrize(
    ("claims", "until"),
    [({}, LIFE + tokens.LEEWAY), ({"nbf": NOW}, LIFE + tokens.LEEWAY), ({"exp": NOW + 10}, 10 + tokens.LEEWAY)],
)
async def test_a_token_is_good_until_its_expiry_and_what_clocks_may_differ(
    checked: Checked, clock: ManualClock, claims: dict[str, Any], until: float
):
    token = checked.token(**claims)
    clock.advance(until - 1)
    assert await checked.verify(token) is not None
    clock.advance(1)
    assert await checked.verify(token) is None


async def test_a_token_that_was_found_good_does_not_outlive_its_expiry(checked: Checked, clock: ManualClock):
    token = checked.token(exp=NOW + 10)
    assert await checked.verify(token) is not None
    clock.advance(10 + tokens.LEEWAY)
    assert await checked.verify(token) is None


async def test_a_token_of_the_future_is_good_when_its_time_has_come(checked: Checked, clock: ManualClock):
    token = checked.token(nbf=NOW + 100)
    assert await checked.verify(token) is None
    clock.advance(100 - tokens.LEEWAY)
    assert await checked.verify(token) is not None


@pytest.mark.parametrize("value", [True, "2030", [], {}, -1, 1e300, float("inf"), float("nan"), 10**400])
async def test_a_time_that_is_none_spoils_the_token(checked: Checked, value: object):
    for claim in ("exp", "nbf", "iat"):
        claims: dict[str, Any] = {claim: value}
        assert await checked.verify(**claims) is None, claim


async def test_half_a_character_in_a_name_is_somebody_all_the_same(checked: Checked):
    who = await checked.verify(sub="a\ud800")
    assert who is not None
    assert len(who.key) == 32


async def test_nobody_takes_anothers_place_by_where_a_name_ends():
    one, other = Principal("a", "oauth", client="b\0c"), Principal("a\0b", "oauth", client="c")
    assert one.key != other.key


# Keys that change


async def test_keys_are_fetched_once_for_many_who_come_at_the_same_time(checked: Checked, issuer: Issuer):
    found = await asyncio.gather(*(checked.verify(sub=f"s{n}") for n in range(50)))
    assert None not in found
    assert issuer.fetches == 1


async def test_a_new_key_is_found_at_once_with_one_fetch(checked: Checked, issuer: Issuer, clock: ManualClock):
    assert await checked.verify() is not None
    clock.advance(jwks.LOOK_AGAIN)
    issuer.keys = [published("two", elliptic("two")), *issuer.keys]
    found = await asyncio.gather(*(checked.verify(kid="two", key=elliptic("two"), sub=f"s{n}") for n in range(20)))
    assert None not in found
    assert await checked.verify() is not None
    assert issuer.fetches == 2


async def test_made_up_key_ids_do_not_become_requests(checked: Checked, issuer: Issuer, clock: ManualClock):
    assert await checked.verify() is not None
    for number in range(100):
        clock.advance(1)
        assert await checked.verify(kid=f"made-up-{number}") is None
    assert issuer.fetches <= 1 + 100 / jwks.LOOK_AGAIN + 1
    assert await checked.verify(sub="somebody else") is not None


async def test_a_key_that_is_taken_back_opens_nothing_once_that_is_known(
    checked: Checked, issuer: Issuer, clock: ManualClock
):
    old = checked.token(exp=NOW + 10_000)
    assert await checked.verify(old) is not None
    issuer.keys = [published("two", elliptic("two"))]
    clock.advance(jwks.FRESH_FOR + 1)
    assert await checked.verify(old) is None
    assert await checked.verify(kid="two", key=elliptic("two")) is not None


async def test_an_issuer_that_takes_all_keys_back_is_believed(checked: Checked, issuer: Issuer, clock: ManualClock):
    assert await checked.verify() is not None
    issuer.keys = []
    clock.advance(jwks.FRESH_FOR + 1)
    assert await checked.verify() is None


async def test_keys_are_fetched_anew_while_nobody_waits(checked: Checked, issuer: Issuer, clock: ManualClock):
    assert await checked.verify() is not None
    clock.advance(jwks.AHEAD + 1)
    assert await checked.verify() is not None
    await settle()
    assert issuer.fetches == 2
    clock.advance(jwks.AHEAD - 1)
    assert await checked.verify() is not None
    assert issuer.fetches == 2


# An issuer that is down


async def test_while_the_issuer_is_down_the_keys_from_before_go_on_and_no_other_does(
    checked: Checked, issuer: Issuer, clock: ManualClock
):
    assert await checked.verify() is not None
    issuer.down = True
    for _ in range(20):
        clock.advance(jwks.FRESH_FOR)
        assert await checked.verify() is not None
    assert await checked.verify(kid="two", key=elliptic("two")) is None


async def test_after_a_day_without_the_issuer_its_keys_are_not_believed(
    checked: Checked, issuer: Issuer, clock: ManualClock
):
    assert await checked.verify() is not None
    issuer.down = True
    clock.advance(jwks.STALE_FOR + 1)
    assert await checked.verify() is None
    issuer.down = False
    clock.advance(jwks.LOOK_AGAIN)
    assert await checked.verify() is not None


async def test_an_issuer_that_is_down_at_the_start_is_asked_again_soon(
    checked: Checked, issuer: Issuer, clock: ManualClock
):
    issuer.down = True
    assert await checked.verify() is None
    issuer.down = False
    assert await checked.verify() is None  # asked a moment ago
    clock.advance(jwks.FIRST_AGAIN)
    assert await checked.verify() is not None


# What an issuer may publish


async def test_who_never_had_a_key_is_not_ready_and_asks_for_one_by_itself(
    checked: Checked, issuer: Issuer, clock: ManualClock
):
    issuer.down = True
    assert not await checked.keys.known()
    issuer.down = False
    clock.time += jwks.FIRST_AGAIN
    assert await checked.keys.known()
    issuer.down = True
    clock.time += jwks.STALE_FOR - 1
    assert await checked.keys.known()
    clock.time += 2
    assert not await checked.keys.known()


async def test_one_key_that_cannot_be_used_costs_itself(checked: Checked, issuer: Issuer):
    good = issuer.keys[0]
    issuer.keys = [
        {},
        {"kty": "EC", "kid": "broken", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "kid": "unheard-of", "crv": "P-0"},
        {"kty": "OKP", "kid": "exchange", "crv": "X25519", "x": "AA"},
        {"kty": "oct", "kid": "shared", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0"},
        published("for-encryption", elliptic("two"), use="enc"),
        {**published("leaked", elliptic("two")), "d": "AA"},
        good,
    ]
    assert await checked.verify() is not None
    assert await checked.verify(kid="for-encryption", key=elliptic("two")) is None
    assert await checked.verify(kid="leaked", key=elliptic("two")) is None


@pytest.mark.parametrize("answer", [b"", b"[]", b"{}", b'{"keys": {}}', b"[" * 100_000, b'{"keys": [' + b" " * 300_000])
async def test_what_is_no_set_of_keys_changes_nothing(answer: bytes, clock: ManualClock):
    issuer = Issuer()
    good = True

    async def answered(request: httpx.Request) -> httpx.Response:
        if good or request.url.path != "/keys":
            return await httpx.ASGITransport(issuer).handle_async_request(request)
        return httpx.Response(200, content=answer)

    keys = IssuerKeys(issuer.url, lambda: httpx.MockTransport(answered), clock=clock)
    assert await keys.find("one", "ES256") is not None
    good = False
    clock.advance(jwks.FRESH_FOR + 1)
    assert await keys.find("one", "ES256") is not None


async def test_metadata_of_somebody_else_is_not_followed(clock: ManualClock):
    asked: list[str] = []

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(200, json={"issuer": "https://evil.example", "jwks_uri": "https://evil.example/keys"})

    keys = IssuerKeys("https://issuer.example/realm", lambda: httpx.MockTransport(answered), clock=clock)
    with pytest.raises(BackendUnavailable, match="does not publish its keys"):
        await keys.find("one", "ES256")
    assert asked == [
        "https://issuer.example/.well-known/oauth-authorization-server/realm",
        "https://issuer.example/.well-known/openid-configuration/realm",
        "https://issuer.example/realm/.well-known/openid-configuration",
    ]


@pytest.mark.parametrize(
    "place", ["http://issuer.example/keys", "ftp://issuer.example", "https:///keys", "file:///etc"]
)
async def test_keys_are_not_fetched_from_where_metadata_must_not_point(place: str, clock: ManualClock):
    asked: list[str] = []

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json={"issuer": "https://issuer.example", "jwks_uri": place})

    keys = IssuerKeys("https://issuer.example", lambda: httpx.MockTransport(answered), clock=clock)
    with pytest.raises(BackendUnavailable, match="does not publish its keys"):
        await keys.find("one", "ES256")
    assert all(path.startswith("/.well-known/") for path in asked)


async def test_a_redirect_is_not_followed(clock: ManualClock):
    asked: list[str] = []

    def answered(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://evil.example/keys"})

    transport = httpx.MockTransport(answered)
    keys = IssuerKeys("https://issuer.example", lambda: transport, jwks_url="https://issuer.example/keys", clock=clock)
    with pytest.raises(BackendUnavailable, match="does not publish its keys"):
        await keys.find("one", "ES256")
    assert set(asked) == {"issuer.example"}


# What cannot be configured


@pytest.mark.parametrize("url", ["http://issuer.example", "issuer.example", "", "https://[::1", "file:///keys"])
def test_keys_that_anybody_on_the_way_could_change_are_refused_at_the_start(url: str):
    with pytest.raises(InvalidInput, match="must come over https"):
        IssuerKeys(url, lambda: httpx.MockTransport(lambda _: httpx.Response(200)))


@pytest.mark.parametrize("algorithms", [(), ("HS256",), ("ES256", "none"), ("RS256", "HS512")])
def test_algorithms_with_a_shared_secret_or_none_are_refused_at_the_start(issuer: Issuer, algorithms: tuple[str, ...]):
    with pytest.raises(InvalidInput, match="algorithms of tokens must be among"):
        Checked(issuer, ManualClock(), algorithms=algorithms)


def test_without_an_audience_no_token_could_be_told_from_anothers(issuer: Issuer):
    keys = IssuerKeys(issuer.url, lambda: httpx.ASGITransport(issuer))
    with pytest.raises(InvalidInput, match="the audience they must name"):
        AccessTokens(keys, issuer=issuer.url, audience="", algorithms=("ES256",))
