"""The platform's word for who calls: believed by the server that it is for, for a minute, and from nobody else."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from tests.shared.clocks import ManualClock
from tests.shared.mcp.auth.issuer import elliptic, forged, with_secret

from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.auth.assertion import LEEWAY, LIFE, Assertions, Signer, make_key
from backoffice_shared.mcp.auth.verifier import ASSERTION_TYPE
from backoffice_shared.principal import LOCAL, PLATFORM, Principal

pytestmark = pytest.mark.anyio

NOW = 1_900_000_000.0
KEY = make_key()
ADA = Principal(
    "ada",
    "oauth",
    client="app",
    issuer="https://issuer.example",
    agent="support",
    scopes=frozenset({"till:read", "till:write"}),
    systems=frozenset({"zendesk"}),
)


@pytest.fixture
def signer(clock: ManualClock) -> Signer:
    return Signer(KEY, now=lambda: at(clock))


@pytest.fixture
def till(signer: Signer, clock: ManualClock) -> Assertions:
    return Assertions(signer.public_key, "till", now=lambda: at(clock))


def at(clock: ManualClock) -> datetime:
    return datetime.fromtimestamp(NOW + clock.time, UTC)


def signed(*, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """As the platform signs, with these claims in their place; None leaves one out."""
    good = {"iss": PLATFORM, "aud": "till", "sub": "ada", "agent": "support", "iat": NOW, "exp": NOW + LIFE}
    content = {name: value for name, value in {**good, **claims}.items() if value is not None}
    key = load_pem_private_key(KEY.encode(), None)
    return jwt.encode(content, key, algorithm="EdDSA", headers={"typ": ASSERTION_TYPE, **(header or {})})  # pyright: ignore[reportArgumentType]


async def test_who_calls_arrives_as_it_was_sent_and_names_the_platform_as_the_one_who_says_so(
    signer: Signer, till: Assertions
):
    who = await till.verify(signer.assertion(ADA, "till"))
    assert who == Principal(
        "ada",
        "assertion",
        client="app",
        issuer="https://issuer.example",
        agent="support",
        scopes=ADA.scopes,
        systems=ADA.systems,
        via=PLATFORM,
    )
    assert who is not None
    assert who.key == ADA.key
    assert not who.is_platform


@pytest.mark.parametrize("bound", [None, frozenset[str](), frozenset({"a", "b"})])
async def test_no_bound_and_the_narrowest_bound_stay_different(
    signer: Signer, till: Assertions, bound: frozenset[str] | None
):
    who = await till.verify(signer.assertion(Principal("x", "api_key", scopes=bound, systems=bound), "till"))
    assert who is not None
    assert (who.scopes, who.systems) == (bound, bound)


async def test_the_platform_is_itself_only_when_it_speaks_for_nobody(signer: Signer, till: Assertions):
    itself = await till.verify(signer.assertion(Principal(PLATFORM, "assertion"), "till"))
    assert itself is not None
    assert itself.is_platform
    called_so = await till.verify(signer.assertion(Principal(PLATFORM, "oauth", issuer="https://i.example"), "till"))
    local = await till.verify(signer.assertion(LOCAL, "till"))
    assert called_so is not None
    assert local is not None
    assert not called_so.is_platform
    assert not local.is_platform


async def test_an_assertion_is_for_one_server(signer: Signer, clock: ManualClock):
    other = Assertions(signer.public_key, "desk", now=lambda: at(clock))
    assert await other.verify(signer.assertion(ADA, "till")) is None
    assert await other.verify(signer.assertion(ADA, "desk")) is not None


async def test_an_assertion_is_believed_for_a_minute(signer: Signer, till: Assertions, clock: ManualClock):
    assertion = signer.assertion(ADA, "till")
    for passed, good in ((0, True), (LIFE, True), (LEEWAY - 1, True), (1, False), (1_000, False)):
        clock.advance(passed)
        assert (await till.verify(assertion) is not None) == good


async def test_one_is_used_again_only_while_it_has_half_of_its_life(signer: Signer, clock: ManualClock):
    first = signer.assertion(ADA, "till")
    clock.advance(LIFE / 2 - 1)
    assert signer.assertion(ADA, "till") == first
    assert signer.assertion(ADA, "desk") != first
    clock.advance(2)
    assert signer.assertion(ADA, "till") != first


@pytest.mark.parametrize(
    "changed",
    [
        {"iss": "somebody"},
        {"iss": None},
        {"aud": "desk"},
        {"aud": None},
        {"aud": ""},
        {"sub": None},
        {"sub": 7},
        {"iat": None},
        {"exp": None},
        {"exp": NOW + LIFE + 1},
        {"exp": NOW - LEEWAY},
        {"iat": NOW + LIFE},
        {"exp": "tomorrow"},
        {"exp": 10**400},
        {"agent": ["support"]},
        {"scope": {"a": 1}},
        {"systems": [1]},
        {"header": {"typ": "JWT"}},
        {"header": {"crit": ["exp"]}},
    ],
    ids=str,
)
async def test_what_is_not_as_the_platform_says_it_is_refused(till: Assertions, changed: dict[str, Any]):
    assert await till.verify(signed()) is not None
    assert await till.verify(signed(**changed)) is None


async def test_nobody_else_can_speak_for_the_platform(till: Assertions, clock: ManualClock, signer: Signer):
    stranger = Signer(make_key(), now=lambda: at(clock))
    good = signer.assertion(ADA, "till")
    head, body, signature = good.split(".")
    claims = {"iss": PLATFORM, "aud": "till", "sub": "ada", "iat": NOW, "exp": NOW + LIFE}
    public = signer.public_key.encode()
    typ = {"typ": ASSERTION_TYPE}
    for wrong in (
        stranger.assertion(ADA, "till"),
        f"{head}.{body}.",
        f"{head}.{body}.{signature[::-1]}",
        f"{head}.{stranger.assertion(ADA, 'till').split('.')[1]}.{signature}",
        forged({**typ, "alg": "none"}, claims, lambda _: b""),
        forged({**typ, "alg": "HS256"}, claims, with_secret(public)),
        jwt.encode(claims, elliptic("one"), algorithm="ES256", headers=typ),
        "",
        "a.b.c",
        "é",
    ):
        assert await till.verify(wrong) is None, wrong


@pytest.mark.parametrize("pem", ["", "nonsense", "-----BEGIN PRIVATE KEY-----\nAA\n-----END PRIVATE KEY-----"])
def test_what_is_no_key_is_refused_at_the_start(pem: str):
    with pytest.raises(InvalidInput, match="Ed25519 private key"):
        Signer(pem)
    with pytest.raises(InvalidInput, match="Ed25519 public key"):
        Assertions(pem, "till")


def test_a_private_key_is_not_shown_when_it_is_given_for_the_public_one():
    with pytest.raises(InvalidInput) as refused:
        Assertions(KEY, "till")
    assert KEY.splitlines()[1] not in str(refused.value)


def test_what_is_for_nobody_would_be_for_everybody():
    with pytest.raises(InvalidInput, match="without knowing the audience"):
        Assertions(Signer(KEY).public_key, "")
