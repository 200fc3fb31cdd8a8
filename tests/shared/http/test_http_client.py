"""The whole stack, as an adapter uses it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, unquote

import httpx
import jwt
import pytest
import respx
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import assume, example, given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from pydantic import BaseModel
from tests.shared.acme import ACME, URL, Held, Secrets, credential, requests, scripted
from tests.shared.clocks import ManualClock, settle
from tests.shared.http.shelves import Storeroom
from tests.shared.loopback import loopback, ok
from tests.simulation import LoopClock, simulate

from backoffice_shared.attempt import attempting
from backoffice_shared.backend import Backend, TokenEndpoint
from backoffice_shared.credentials.source import CredentialSource, MissingCredential
from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    CircuitOpen,
    MalformedAnswer,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.http.client import BackendClient, connect, path
from backoffice_shared.http.health import Health
from backoffice_shared.http.network import wire
from backoffice_shared.money import from_decimal
from backoffice_shared.principal import Principal, acting, principal

pytestmark = pytest.mark.anyio

TOKEN = {"access_token": "s3cret"}


class Thing(BaseModel):
    id: str
    name: str


def thing(wire: Mapping[str, Any]) -> Thing:
    return Thing(id=f"acme:thing:{wire['id']}", name=wire["name"])


def client(
    wire: httpx.AsyncBaseTransport,
    clock: ManualClock,
    backend: Backend = ACME,
    credentials: CredentialSource | None = None,
) -> BackendClient:
    return connect(backend, wire, credentials or Secrets(TOKEN), base_url=backend.base_url, clock=clock)


async def a_thing(acme: BackendClient, number: int = 1, *, fresh_for: float = 0.0) -> Thing:
    return await acme.read("things.get", path("things", str(number)), into=thing, fresh_for=fresh_for, tags=["thing"])


async def new_thing(acme: BackendClient, key: str | None = None) -> Thing:
    written = await acme.write(
        "things.add", path("things"), into=thing, json={"name": "Anvil"}, key=key, touches=["thing"]
    )
    return written.value


def anvil(number: int = 1, name: str = "Anvil") -> httpx.Response:
    return httpx.Response(200, json={"id": number, "name": name})


async def test_a_read_comes_back_in_our_words(clock: ManualClock) -> None:
    route, inner = scripted(anvil())
    assert await a_thing(client(inner, clock)) == Thing(id="acme:thing:1", name="Anvil")
    request = route.calls.last.request
    assert (request.method, str(request.url), request.headers["Accept"]) == (
        "GET",
        "https://acme.example/things/1",
        "application/json",
    )


async def test_the_wire_does_not_have_the_secret_any_more_once_the_answer_is_there(clock: ManualClock) -> None:
    route, inner = scripted(anvil())
    await a_thing(client(inner, clock))
    assert "s3cret" not in str(route.calls.last.request.headers.raw)


async def test_a_write_carries_its_key_and_its_repetition_the_same(clock: ManualClock) -> None:
    route, inner = scripted(httpx.ReadError, anvil())
    await new_thing(client(inner, clock), key="k-1")
    sent = requests(route)
    assert [request.headers["Idempotency-Key"] for request in sent] == ["k-1", "k-1"]
    assert [request.content for request in sent] == [b'{"name":"Anvil"}'] * 2


async def test_a_key_that_the_vendor_does_not_honour_makes_nothing_repeatable(clock: ManualClock) -> None:
    route, inner = scripted(httpx.ReadError, anvil())
    with pytest.raises(OutcomeUnknown) as raised:
        await new_thing(client(inner, clock, replace(ACME, idempotency_header=None)), key="k-1")
    assert (route.call_count, raised.value.idempotency_key) == (1, None)


async def test_a_write_says_when_the_vendor_had_seen_its_key_before(clock: ManualClock) -> None:
    def replayed(response: httpx.Response) -> bool:
        return response.headers.get("Replayed") == "true"

    backend = replace(ACME, replayed=replayed)
    _, inner = scripted(anvil(), httpx.Response(200, json={}, headers={"Replayed": "true"}))
    acme = client(inner, clock, backend)
    seen = [(await acme.write("things.add", "/things", into=len, key="k-1")).replayed for _ in range(2)]
    assert seen == [False, True]


@pytest.mark.parametrize(
    ("honours", "ago", "repeated"),
    [
        (True, timedelta(minutes=10), True),
        (True, timedelta(minutes=58), True),
        (True, timedelta(minutes=60), False),
        (False, timedelta(seconds=1), False),
    ],
    ids=["just now", "while it is remembered", "forgotten", "the vendor knows no keys"],
)
async def test_what_may_have_been_done_is_done_again_only_while_the_vendor_would_know_it(
    clock: ManualClock, honours: bool, ago: timedelta, repeated: bool
) -> None:
    route, wire = scripted(httpx.Response(200, json={"id": "1", "name": "a"}))
    backend = replace(ACME, key_lasts=3600, idempotency_header="Idempotency-Key" if honours else None)
    acme = client(wire, clock, backend)
    with attempting(datetime.now(UTC) - ago):
        if repeated:
            assert (await new_thing(acme, key="k")).name == "a"
        else:
            with pytest.raises(OutcomeUnknown, match=r"nothing was sent\. Look first whether it was") as raised:
                await new_thing(acme, key="k")
            assert raised.value.idempotency_key is None  # to repeat it with the same key would be refused again
    assert len(requests(route)) == int(repeated)


async def test_an_answer_without_a_body_is_none(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(204))
    written = await client(inner, clock).write("things.remove", "/things/1", method="DELETE", into=repr)
    assert written.value == "None"


MISSHAPEN: list[Any] = [
    {},
    [],
    None,
    7,
    "text",
    {"id": 1, "name": None},
    {"id": 1, "name": ["Anvil"]},
]


@pytest.mark.parametrize("answer", MISSHAPEN)
async def test_an_answer_that_is_not_what_the_vendor_documents_is_malformed(clock: ManualClock, answer: object) -> None:
    _, inner = scripted(httpx.Response(200, json=answer))
    with pytest.raises(MalformedAnswer) as raised:
        await a_thing(client(inner, clock))
    assert str(raised.value) == "Acme: answered things.get in a form that we do not understand."


@pytest.mark.parametrize(
    "content",
    [b'{"id": 1, ', b"<html>", b"\xff\xfe\xfd", b"[" * 100_000, b'{"id": NaN, "name": "Anvil"}'],
)
async def test_an_answer_that_is_no_json_is_malformed(clock: ManualClock, content: bytes) -> None:
    _, inner = scripted(httpx.Response(200, content=content))
    with pytest.raises(MalformedAnswer):
        await a_thing(client(inner, clock))


@pytest.mark.parametrize("amount", ["twelve", "NaN", "Infinity"])
async def test_an_amount_that_is_none_is_malformed(clock: ManualClock, amount: str) -> None:
    _, inner = scripted(httpx.Response(200, json={"amount": amount}))
    with pytest.raises(MalformedAnswer):
        await client(inner, clock).read("x.get", "/x", into=lambda wire: from_decimal(wire["amount"], "USD"))


async def test_a_write_with_a_misshapen_answer_has_an_unknown_outcome(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(201, json={}))
    with pytest.raises(OutcomeUnknown) as raised:
        await new_thing(client(inner, clock), key="k-1")
    assert raised.value.idempotency_key == "k-1"


async def test_a_refusal_is_an_error_of_ours(clock: ManualClock) -> None:
    _, inner = scripted(httpx.Response(404, text="no such thing"))
    with pytest.raises(NotFound, match=r"^Acme: no such thing\.$"):
        await a_thing(client(inner, clock))


async def test_a_write_drops_what_it_touches_from_the_cache(clock: ManualClock) -> None:
    _, inner = scripted(anvil(name="old"), anvil(), anvil(name="new"))
    acme = client(inner, clock)
    before = [(await a_thing(acme, fresh_for=60)).name for _ in range(2)]
    await new_thing(acme)
    assert (before, (await a_thing(acme, fresh_for=60)).name) == (["old", "old"], "new")


async def test_an_outage_costs_three_attempts_then_none(clock: ManualClock) -> None:
    route, inner = scripted(*[httpx.ConnectError] * 5)
    acme = client(inner, clock)
    errors: list[type[BackofficeError]] = []
    for _ in range(3):
        with pytest.raises(BackendUnavailable) as raised:
            await a_thing(acme)
        errors.append(type(raised.value))
    assert (errors, route.call_count) == ([BackendUnavailable, CircuitOpen, CircuitOpen], 5)


async def test_ten_callers_with_the_same_question_cost_one_request(clock: ManualClock) -> None:
    vendor = Held()
    acme = client(vendor, clock)
    tasks = [asyncio.create_task(a_thing(acme)) for _ in range(10)]
    await settle()
    vendor.answer(0, anvil())
    assert {(await task).id for task in tasks} == {"acme:thing:1"}
    assert len(vendor.requests) == 1


async def test_an_answer_is_kept_under_the_credential_that_it_was_asked_with(clock: ManualClock) -> None:
    vendor = Held()
    secrets = Secrets(TOKEN)
    acme = client(vendor, clock, credentials=secrets)
    first = asyncio.create_task(a_thing(acme, 1, fresh_for=60))
    await settle()
    secrets.current = credential("v2", {"access_token": "of another account"})
    other = asyncio.create_task(a_thing(acme, 2, fresh_for=60))
    await settle()
    vendor.answer(0, anvil(1, "seen by the first account"))
    vendor.answer(1, anvil(2))
    await asyncio.gather(first, other)
    again = asyncio.create_task(a_thing(acme, 1, fresh_for=60))
    await settle()
    assert len(vendor.requests) == 3
    vendor.answer(2, anvil(1))
    await again


async def test_a_changed_credential_is_not_given_the_answers_of_the_old_one(clock: ManualClock) -> None:
    route, inner = scripted(anvil(), anvil(name="Rope"))
    secrets = Secrets(TOKEN)
    acme = client(inner, clock, credentials=secrets)
    await a_thing(acme, fresh_for=60)
    secrets.current = credential("v2", {"access_token": "of another account"})
    assert ((await a_thing(acme, fresh_for=60)).name, route.call_count) == ("Rope", 2)


@pytest.mark.parametrize(
    "segment", ["../x", "a/b?c", "a#b", "%2e%2e", "%2F", "a;b&c=d", "a b", "Zoë", "a\r\nHost: evil", "..."]
)
async def test_an_id_stays_in_its_place_on_the_wire(clock: ManualClock, segment: str) -> None:
    async with loopback(ok()) as server:
        acme = client(wire(), clock, replace(ACME, base_url=server.url))
        await acme.read("things.get", path("things", segment), into=repr)
        await acme.aclose()
    before, things, last = server.requests[0].split("/")
    assert (before, things, unquote(last)) == ("GET ", "things", segment)


@given(st.text(min_size=1))
@example("../x")
@example("a/b?c")
@pytest.mark.parametrize("suffix", ["", "/comments"])
def test_no_id_can_leave_its_place(suffix: str, segment: str) -> None:
    assume(segment not in (".", ".."))
    url = httpx.URL(URL + path("things", segment) + suffix)
    assert url.raw_path.startswith(b"/things/")
    assert url.raw_path.count(b"/") == 2 + suffix.count("/")
    assert (url.query, url.fragment) == (b"", "")


@pytest.mark.parametrize("segment", ["..", ".", ""])
async def test_an_id_that_is_only_dots_or_nothing_is_refused(segment: str) -> None:
    with pytest.raises(BackofficeError):
        path("things", segment)


@dataclass
class OAuthVendor:
    """Gives out `token-1`, `token-2` …; the ones in `revoked` are refused."""

    granted: int = 0
    forms: list[dict[str, list[str]]] = field(default_factory=list[dict[str, list[str]]])
    revoked: set[str] = field(default_factory=set[str])
    used: Counter[str] = field(default_factory=Counter[str])

    def transport(self, endpoint: Callable[[httpx.Request], httpx.Response] | None = None) -> httpx.AsyncBaseTransport:
        router = respx.MockRouter(assert_all_called=False)
        router.post(f"{URL}/oauth/token").mock(side_effect=endpoint or self.grant)
        router.route().mock(side_effect=self.answer)
        return httpx.MockTransport(router.async_handler)

    def grant(self, request: httpx.Request) -> httpx.Response:
        self.granted += 1
        self.forms.append(parse_qs(request.content.decode()))
        return httpx.Response(200, json={"access_token": f"token-{self.granted}", "expires_in": 1000})

    def answer(self, request: httpx.Request) -> httpx.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        self.used[token] += 1
        return httpx.Response(401, text="token revoked") if token in self.revoked else anvil()


OAUTH = replace(
    ACME,
    credentials=(frozenset({"client_id", "client_secret"}), frozenset({"access_token"})),
    token_endpoint=TokenEndpoint("/oauth/token", scope="things:read"),
)
SECRET = {"client_id": "backoffice", "client_secret": "s3cret"}


def oauth(transport: httpx.AsyncBaseTransport, clock: ManualClock, secrets: CredentialSource) -> BackendClient:
    return client(transport, clock, OAUTH, secrets)


async def test_client_credentials_are_exchanged_once_for_many_calls_at_a_time(clock: ManualClock) -> None:
    vendor = OAuthVendor()
    acme = oauth(vendor.transport(), clock, Secrets(SECRET))
    await asyncio.gather(*[a_thing(acme, number) for number in range(10)])
    assert (vendor.used, vendor.forms) == (
        {"token-1": 10},
        [
            {
                "grant_type": ["client_credentials"],
                "client_id": ["backoffice"],
                "client_secret": ["s3cret"],
                "scope": ["things:read"],
            }
        ],
    )


async def test_a_token_is_renewed_after_four_fifths_of_its_life(clock: ManualClock) -> None:
    vendor = OAuthVendor()
    acme = oauth(vendor.transport(), clock, Secrets(SECRET))
    for seconds in (0, 799, 1):
        clock.advance(seconds)
        await a_thing(acme)
    assert vendor.used == {"token-1": 2, "token-2": 1}


async def test_a_revoked_token_is_renewed_at_once(clock: ManualClock) -> None:
    vendor = OAuthVendor(revoked={"token-1"})
    acme = oauth(vendor.transport(), clock, Secrets(SECRET))
    await asyncio.gather(*[a_thing(acme, number) for number in range(5)])
    assert vendor.granted == 2
    assert vendor.used["token-2"] == 5


async def test_a_vendor_that_refuses_every_token_is_asked_for_two(clock: ManualClock) -> None:
    vendor = OAuthVendor(revoked={"token-1", "token-2"})
    with pytest.raises(PermissionDenied, match=r"^Acme: token revoked\.$"):
        await a_thing(oauth(vendor.transport(), clock, Secrets(SECRET)))
    assert vendor.used == {"token-1": 1, "token-2": 1}


async def test_renewing_a_token_keeps_what_is_cached(clock: ManualClock) -> None:
    vendor = OAuthVendor()
    acme = oauth(vendor.transport(), clock, Secrets(SECRET))
    await a_thing(acme, 1, fresh_for=10_000)
    clock.advance(900)
    await a_thing(acme, 2)
    await a_thing(acme, 1, fresh_for=10_000)
    assert vendor.used == {"token-1": 1, "token-2": 1}


async def test_a_rotated_secret_buys_a_new_token(clock: ManualClock) -> None:
    vendor = OAuthVendor()
    secrets = Secrets(SECRET)
    acme = oauth(vendor.transport(), clock, secrets)
    await a_thing(acme)
    secrets.current = credential("v2", {**SECRET, "client_secret": "rotated"})
    await a_thing(acme)
    assert [form["client_secret"] for form in vendor.forms] == [["s3cret"], ["rotated"]]


async def test_a_token_that_is_configured_needs_no_exchange(clock: ManualClock) -> None:
    vendor = OAuthVendor()
    await a_thing(oauth(vendor.transport(), clock, Secrets(TOKEN)))
    assert (vendor.used, vendor.granted) == ({"s3cret": 1}, 0)


PUBLIC = (
    rsa.generate_private_key(65537, 2048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.fixture(scope="module")
def signing_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


async def test_a_private_key_buys_a_token_by_an_assertion_that_it_signs(
    clock: ManualClock, signing_key: rsa.RSAPrivateKey
) -> None:
    vendor = OAuthVendor()
    acting_for = {"client_id": "backoffice", "username": "ines@northwind.example", "private_key": pem(signing_key)}
    await a_thing(oauth(vendor.transport(), clock, Secrets(acting_for)))
    form = vendor.forms[0]
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    claims = jwt.decode(form["assertion"][0], signing_key.public_key(), ["RS256"], audience=URL)
    assert (claims["iss"], claims["sub"]) == ("backoffice", "ines@northwind.example")
    assert vendor.used == {"token-1": 1}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"private_key": "-----BEGIN nothing"}, "Acme: needs client_id, username beside what is configured."),
        (
            {"client_id": "c", "username": "u", "private_key": "no key at all"},
            "Acme: the configured private_key is no RSA key in PEM.",
        ),
        (
            {"client_id": "c", "username": "u", "private_key": PUBLIC},
            "Acme: the configured private_key is no RSA key in PEM.",
        ),
    ],
)
async def test_a_private_key_that_cannot_sign_is_told_without_showing_it(
    clock: ManualClock, fields: dict[str, str], sentence: str
) -> None:
    with pytest.raises(MissingCredential) as raised:
        await a_thing(oauth(OAuthVendor().transport(), clock, Secrets(fields)))
    assert str(raised.value) == sentence


@pytest.mark.parametrize(
    ("answer", "kind", "sentence"),
    [
        (
            httpx.Response(401, json={"error": "invalid_client"}),
            MissingCredential,
            "Acme: refused the configured client_id and client_secret.",
        ),
        (httpx.Response(500), BackendUnavailable, "Acme: its token endpoint answered 500."),
        (httpx.Response(200, json={}), MalformedAnswer, "Acme: its token endpoint answered no token."),
        (httpx.Response(200, text="<html>"), MalformedAnswer, "Acme: its token endpoint answered no token."),
        (
            httpx.Response(429, headers={"Retry-After": "7"}),
            RateLimited,
            "Acme: its token endpoint answered 429. Try again in 7 s.",
        ),
        (
            httpx.Response(429, headers=[(b"Retry-After", b"\xb2")]),
            RateLimited,
            "Acme: its token endpoint answered 429.",
        ),
    ],
)
async def test_an_exchange_that_fails_says_why(
    clock: ManualClock, answer: httpx.Response, kind: type[BackofficeError], sentence: str
) -> None:
    acme = oauth(OAuthVendor().transport(lambda _request: answer), clock, Secrets(SECRET))
    with pytest.raises(BackofficeError) as raised:
        await a_thing(acme)
    assert (type(raised.value), str(raised.value)) == (kind, sentence)


async def test_a_write_whose_token_could_not_be_had_did_not_happen(clock: ManualClock) -> None:
    vendor = OAuthVendor()
    with pytest.raises(BackofficeError) as raised:
        await new_thing(oauth(vendor.transport(_broken), clock, Secrets(SECRET)))
    assert (type(raised.value), vendor.used) == (BackendUnavailable, {})


async def test_a_personal_answer_is_given_to_nobody_else(clock: ManualClock) -> None:
    """Nor shared with somebody else who asks at the same time."""

    async def names(whose: str, *, personal: bool) -> str:
        with acting(Principal(whose, "oauth")):
            return await acme.read("me.get", "/me", into=_name, fresh_for=60, personal=personal)

    def who_asks(_request: httpx.Request) -> httpx.Response:
        return anvil(name=principal().subject)

    acme = client(httpx.MockTransport(who_asks), clock)
    asked = [names(whose, personal=True) for whose in ("jo", "ann", "jo", "ann")]
    assert await asyncio.gather(*asked) == ["jo", "ann", "jo", "ann"]
    assert [await names(whose, personal=True) for whose in ("ann", "jo")] == ["ann", "jo"]
    assert len({await names(whose, personal=False) for whose in ("jo", "ann")}) == 1


def _name(wire: Mapping[str, Any]) -> str:
    return wire["name"]


@given(
    st.lists(
        st.tuples(st.sampled_from(["jo", "ann"]), st.sampled_from(["s1", "s2"]), st.booleans(), st.integers(1, 2)),
        max_size=20,
    )
)
def test_however_calls_fall_together_each_is_answered_for_its_caller_and_credential(
    calls: list[tuple[str, str, bool, int]],
) -> None:
    async def vendor(request: httpx.Request) -> httpx.Response:
        who = principal().subject
        await asyncio.sleep(0)
        return httpx.Response(200, json=[who, request.headers["Authorization"], request.url.path])

    async def main() -> None:
        room = Storeroom()
        acme = {
            secret: connect(
                ACME,
                httpx.MockTransport(vendor),
                Secrets({"access_token": secret}, version="the same for all"),
                base_url=URL,
                shelf=room.shelf(),
                clock=ManualClock(),
            )
            for secret in ("s1", "s2")
        }

        async def call(who: str, secret: str, personal: bool, number: int) -> None:
            with acting(Principal(who, "oauth")):
                answer = await acme[secret].read(
                    "me.get", path("me", str(number)), into=list, fresh_for=60, personal=personal
                )
            assert answer[1:] == [f"Bearer {secret}", f"/me/{number}"]
            assert answer[0] == who or not personal

        half = len(calls) // 2
        for together in (calls[:half], calls[half:]):
            await asyncio.gather(*[call(*one) for one in together])

    asyncio.run(main())


def test_a_hedge_takes_the_credential_along_and_leaves_none_behind() -> None:
    sent: list[httpx.Request] = []
    seen: list[str] = []

    async def vendor(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        seen.append(request.headers["Authorization"])
        await asyncio.sleep(9 if len(sent) == 41 else 0.1)  # the first forty show what is usual
        return anvil()

    async def main() -> None:
        acme = connect(ACME, httpx.MockTransport(vendor), Secrets(TOKEN), base_url=URL, clock=LoopClock())
        for _ in range(41):
            await a_thing(acme)
        await asyncio.sleep(0)

    simulate(main())
    assert seen == ["Bearer s3cret"] * 42
    assert "s3cret" not in str([request.headers.raw for request in sent])


async def test_a_backend_says_how_it_does(clock: ManualClock) -> None:
    _, inner = scripted(anvil(), *[httpx.ConnectError] * 5)
    acme = client(inner, clock)
    unused = await acme.health()
    await a_thing(acme)
    clock.advance(7)
    for _ in range(2):
        with pytest.raises(BackendUnavailable):
            await acme.read("search.things", "/things", into=thing)
    clock.advance(3)
    health = await acme.health()
    assert unused == Health({}, None, None, credential=True)
    assert (health.circuits, health.credential) == ({"things": "closed", "search": "open"}, True)
    assert health.last_success_age == pytest.approx(10, abs=1)
    assert health.last_failure_age == pytest.approx(3, abs=0.5)


@pytest.mark.parametrize("fields", [{}, {"client_id": "only half"}])
async def test_a_backend_without_a_usable_credential_says_so(clock: ManualClock, fields: dict[str, str]) -> None:
    acme = client(scripted()[1], clock, credentials=Secrets(fields))
    assert not (await acme.health()).credential


async def test_asking_for_tokens_has_no_retry_budget_of_its_own(clock: ManualClock) -> None:
    backend = replace(OAUTH, name="oauth budget")
    broken = client(OAuthVendor().transport(_broken), clock, backend, Secrets(SECRET))
    with pytest.raises(BackendUnavailable):
        await a_thing(broken)
    assert REGISTRY.get_sample_value("mcp_retry_budget_tokens", {"upstream": "oauth budget"}) == 500 - 2 * 14


def _broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("the connection broke", request=request)
