"""Over real HTTP: who is let in, what the others are told, and that nothing is beside the door."""

from __future__ import annotations

import base64
import math
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import TextContent
from starlette.routing import Route
from tests.e2e.running import serving_app
from tests.foundation import Records, foundation
from tests.shared.mcp.auth.issuer import (
    AUDIENCE,
    SCOPES,
    Issuer,
    classic,
    elliptic,
    forged,
    public_pem,
    published,
    with_secret,
)
from tests.shared.mcp.auth.served import Door, door, told
from tests.shared.mcp.till import Drawer, till_server

from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.auth.assertion import Signer, make_key
from backoffice_shared.mcp.auth.guard import OPEN
from backoffice_shared.mcp.guarding import guard_of
from backoffice_shared.mcp.readiness import Readiness
from backoffice_shared.mcp.serving import http_app
from backoffice_shared.principal import Principal
from backoffice_shared.settings import Settings

pytestmark = pytest.mark.anyio

METADATA = "https://till.example/.well-known/oauth-protected-resource/mcp"
KEY = make_key()


@pytest.fixture
async def issuer() -> AsyncGenerator[Issuer]:
    made = Issuer()
    async with serving_app(made) as made.url:
        yield made


@asynccontextmanager
async def guarded(issuer: Issuer, *, agents: Path | None = None, **given: Any) -> AsyncGenerator[Door]:
    settings: dict[str, Any] = {
        "public_url": AUDIENCE,
        "oauth_issuer": issuer.url,
        "oauth_algorithms": "ES256,RS256,EdDSA",
        **given,
    }
    async with door(foundation(agents=agents), **settings) as at:
        yield at


def challenge(response: httpx.Response) -> dict[str, str]:
    """What `WWW-Authenticate` says, by name."""
    [said] = response.headers.get_list("www-authenticate")
    assert said.startswith("Bearer")
    return dict(re.findall(r'(\w+)="([^"]*)"', said))


# Whose credential is not good

Forgery = Callable[[Issuer], str]


def head(issuer: Issuer, **changed: Any) -> dict[str, Any]:
    return {"typ": "at+jwt", "alg": "ES256", "kid": "one", **changed}


def part(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def mixed(issuer: Issuer) -> str:
    """The signature of one token under the claims of another."""
    good, better = issuer.token(scope="").split("."), issuer.token(scope=SCOPES).split(".")
    return ".".join((good[0], better[1], good[2]))


REFUSED: dict[str, Forgery] = {
    "another server's audience": lambda i: i.token(aud="https://desk.example/mcp"),
    "a longer audience": lambda i: i.token(aud=AUDIENCE + "/x"),
    "audiences without ours": lambda i: i.token(aud=["a", "b"]),
    "no audience": lambda i: i.token(aud=None),
    "an empty audience": lambda i: i.token(aud=[]),
    "another issuer": lambda i: i.token(iss="https://evil.example"),
    "no issuer": lambda i: i.token(iss=None),
    "another key under a known id": lambda i: i.token(key=elliptic("evil")),
    "an unknown key id": lambda i: i.token(kid="unheard-of", key=elliptic("evil")),
    "no key id": lambda i: i.token(kid=None),
    "alg none": lambda i: forged(head(i, alg="none"), i.claims(), lambda _: b""),
    "alg nOnE": lambda i: forged(head(i, alg="nOnE"), i.claims(), lambda _: b""),
    "no alg": lambda i: forged({"kid": "one"}, i.claims(), lambda _: b""),
    "HS256 with the public key for its secret": lambda i: forged(
        head(i, alg="HS256", kid="rsa"), i.claims(), with_secret(public_pem(classic("one")))
    ),
    "HS256 with the other public key for its secret": lambda i: forged(
        head(i, alg="HS256"), i.claims(), with_secret(public_pem(elliptic("one")))
    ),
    "HS256 with nothing for its secret": lambda i: forged(head(i, alg="HS256"), i.claims(), with_secret(b"")),
    "an algorithm that is not accepted": lambda i: i.token(kid="rsa", key=classic("one"), algorithm="PS256"),
    "RS256 for an elliptic key": lambda i: i.token(key=classic("evil"), algorithm="RS256"),
    "ES256 for a classic key": lambda i: i.token(kid="rsa", key=elliptic("evil")),
    "an algorithm that is a list": lambda i: forged(head(i, alg=["ES256"]), i.claims(), lambda _: b"x"),
    "expired": lambda i: i.token(now=time.time() - 10_000),
    "no expiry": lambda i: i.token(exp=None),
    "an expiry that is no time": lambda i: i.token(exp="2099-01-01"),
    "an expiry beyond numbers": lambda i: i.token(exp=math.inf),
    "an expiry of 400 digits": lambda i: i.token(exp=10**400),
    "not yet valid": lambda i: i.token(nbf=int(time.time()) + 1_000),
    "issued in the future": lambda i: i.token(iat=int(time.time()) + 1_000),
    "no subject": lambda i: i.token(sub=None),
    "an empty subject": lambda i: i.token(sub=""),
    "a subject that is a number": lambda i: i.token(sub=7),
    "a client that is a list": lambda i: i.token(client_id=["app"]),
    "scopes that are an object": lambda i: i.token(scope={"till:read": True}),
    "an extension that must be understood": lambda i: i.token(header={"crit": ["b64"]}),
    "a payload that is not encoded": lambda i: forged(head(i, b64=False, crit=["b64"]), i.claims(), lambda _: b"x"),
    "bound to a key that was not shown": lambda i: i.token(cnf={"jkt": "x"}),
    "an identity token of another kind": lambda i: i.token(header={"typ": "dpop+jwt"}),
    "its own key in the header": lambda i: i.token(
        key=elliptic("evil"), header={"jwk": published("one", elliptic("evil"))}
    ),
    "the place of its own key in the header": lambda i: i.token(
        key=elliptic("evil"), header={"jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/keys"}
    ),
    "claims of another token": mixed,
    "no signature": lambda i: i.token().rpartition(".")[0] + ".",
    "a signature cut short": lambda i: i.token()[:-4],
    "one part too many": lambda i: i.token() + ".x",
    "a platform's assertion where none is trusted": lambda _: Signer(KEY).assertion(Principal("x", "none"), "till"),
    "an API key where there are none": lambda _: "bo_abcdefgh_" + "A" * 43,
    "garbage": lambda _: "garbage",
    "dots": lambda _: "..",
    "a header that is a list": lambda _: f"{part('[]')}.{part('{}')}.x",
    "a header nested without end": lambda _: f"{part('[' * 5_000)}.{part('{}')}.x",
    "two tokens in one header": lambda i: f"{i.token()}, Bearer {i.token()}",
    "huge": lambda i: i.token(sub="x" * 20_000),
    "huge garbage": lambda _: "A" * 30_000,
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
async def test_a_credential_that_is_not_good_is_refused_without_saying_why(issuer: Issuer, make: Forgery):
    issuer.keys.append(published("rsa", classic("one")))
    async with guarded(issuer) as at:
        assert (await at.call("get_caller", token=issuer.token())).status_code == 200
        refused = await at.call("get_caller", token=make(issuer))
    assert refused.status_code == 401
    assert challenge(refused) == {
        "error": "invalid_token",
        "error_description": "The credential is not good, or not good for this server.",
        "scope": "till:pay till:read till:write",
        "resource_metadata": METADATA,
    }
    assert refused.json() == {
        "error": "invalid_token",
        "error_description": "The credential is not good, or not good for this server.",
    }


@pytest.mark.parametrize(
    "sent", [[], [("authorization", "")], [("authorization", "Basic YTpi")], [("authorization", "Bearer")]]
)
async def test_who_sends_no_credential_is_told_where_to_get_one_and_of_no_error(
    issuer: Issuer, sent: list[tuple[str, str]]
):
    async with guarded(issuer) as at:
        refused = await at.send("tools/list", {}, headers=sent)
    assert refused.status_code == 401
    assert challenge(refused) == {"scope": "till:pay till:read till:write", "resource_metadata": METADATA}


async def test_a_credential_has_one_place(issuer: Issuer):
    """RFC 6750 §3.1: these are malformed requests, which is 400."""
    async with guarded(issuer) as at:
        token = issuer.token()
        once = ("authorization", f"Bearer {token}")
        twice = await at.send("tools/list", {}, headers=[once, once])
        in_url = await at.send("tools/list", {}, query=f"?access_token={token}")
        both = await at.send("tools/list", {}, headers=[once], query=f"?a=1&access_token={token}")
        empty = await at.send("tools/list", {}, headers=[once], query="?access_token=")
    for refused in (twice, in_url, both, empty):
        assert refused.status_code == 400
        assert challenge(refused)["error"] == "invalid_request"
        assert challenge(refused)["resource_metadata"] == METADATA


async def test_a_credential_is_in_no_log_and_no_answer(issuer: Issuer, caplog: pytest.LogCaptureFixture):
    caplog.set_level("DEBUG")
    async with guarded(issuer) as at:
        wrong = issuer.token(aud="https://desk.example/mcp")
        refused = await at.call("get_caller", token=wrong)
        await at.send("tools/list", {}, query=f"?access_token={wrong}")
    secret = wrong.rpartition(".")[2]
    assert "refused at the door (invalid_token): get_caller" in caplog.text
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith(("backoffice", "mcp")))
    assert secret not in ours
    assert secret not in refused.text + str(refused.headers)


# Who lacks a scope


async def test_a_missing_scope_is_named_so_that_the_client_can_ask_for_it(issuer: Issuer):
    async with guarded(issuer) as at:
        token = issuer.token(scope="till:read")
        refused = await at.call("add_note", token=token, text="x", idempotency_key="k")
        assert (await at.call("add_note", token=issuer.token(), text="y", idempotency_key="k")).status_code == 200
        assert at.drawer.notes == ["y"]
    assert refused.status_code == 403
    assert challenge(refused) == {
        "error": "insufficient_scope",
        "error_description": "This needs the scope till:write.",
        "scope": "till:write",
        "resource_metadata": METADATA,
    }


async def test_who_is_turned_away_at_the_door_is_in_the_audit_all_the_same(issuer: Issuer):
    async with guarded(issuer) as at:
        await at.call("add_note", token=issuer.token(scope="till:read"), text="x", idempotency_key="k")
        await at.call("get_caller", token=issuer.token(scope="till:read"))
        assert at.audit.told("event", "tool", "decision", "outcome", "error_code") == [
            ("tool.call", "add_note", "deny", "error", "insufficient_scope"),
            ("tool.call", "get_caller", "allow", "ok", None),
        ]
        assert at.audit.written[0]["actor"] == at.audit.written[1]["actor"]


async def test_a_client_of_the_older_era_reads_the_same_in_the_answer(issuer: Issuer):
    async with (
        guarded(issuer) as at,
        httpx2_client({"Authorization": f"Bearer {issuer.token(scope='till:read')}"}) as http,
        Client(streamable_http_client(at.url, http_client=http), mode="legacy") as client,
    ):
        refused = await client.call_tool("add_note", {"text": "x", "idempotency_key": "k"})
        assert [tool.name for tool in (await client.list_tools()).tools] == ["get_caller", "list_notes"]
    [said] = refused.content
    assert refused.is_error
    assert isinstance(said, TextContent)
    assert "add_note needs the scope till:write" in said.text


@asynccontextmanager
async def httpx2_client(headers: dict[str, str]) -> AsyncGenerator[Any]:
    import httpx2

    async with httpx2.AsyncClient(headers=headers) as http:
        yield http


async def test_a_tool_that_is_hidden_and_one_that_nobody_has_are_answered_alike(issuer: Issuer, tmp_path: Path):
    file = tmp_path / "agents.yaml"
    file.write_text('agents: {reader: {clients: [app], scopes: ["till:read"]}}')
    async with guarded(issuer, agents=file) as at:
        hidden = await at.call("add_note", token=issuer.token(), text="x", idempotency_key="k")
        absent = await at.call("sub_note", token=issuer.token(), text="x", idempotency_key="k")
        narrow = await at.call("add_note", token=issuer.token(scope=""), text="x", idempotency_key="k")
        stranger = await at.call("get_caller", token=issuer.token(client_id="unheard-of"))
    assert hidden.status_code == absent.status_code == narrow.status_code
    assert {name: value for name, value in hidden.headers.items() if name != "date"} == {
        name: value for name, value in absent.headers.items() if name != "date"
    }
    assert hidden.text.replace("add_note", "sub_note") == absent.text
    assert narrow.text == hidden.text
    assert stranger.text == absent.text.replace("sub_note", "get_caller")


async def test_to_a_stranger_there_are_no_tools_and_no_resources(issuer: Issuer, tmp_path: Path):
    file = tmp_path / "agents.yaml"
    file.write_text('agents: {reader: {clients: [app], scopes: ["till:read"]}}')
    async with guarded(issuer, agents=file) as at:
        stranger, known = issuer.token(client_id="unheard-of"), issuer.token()
        assert await at.names(token=stranger) == []
        assert await at.names(token=known) == ["get_caller", "list_notes"]
        for method, params in (("resources/list", {}), ("resources/read", {"uri": "health://backends"})):
            as_stranger = await at.send(method, params, headers=[("authorization", f"Bearer {stranger}")])
            assert told(as_stranger)[1] == "There are no resources and prompts for you."
        read = await at.send(
            "resources/read", {"uri": "health://backends"}, headers=[("authorization", f"Bearer {known}")]
        )
        assert "backends" in read.text


async def test_a_request_narrows_what_is_listed_and_what_can_be_called(issuer: Issuer):
    async with guarded(issuer) as at:
        for also, left in (
            ({"backoffice-read-only": "true"}, ["get_caller", "list_notes"]),
            ({"backoffice-no-destructive": "1"}, ["get_caller", "list_notes", "add_note"]),
            ({"backoffice-toolsets": "money"}, ["refund"]),
            ({"backoffice-tools": "add_note, list_notes"}, ["list_notes", "add_note"]),
            ({"backoffice-exclude-tools": "get_caller,refund"}, ["list_notes", "add_note", "burn_notes"]),
            (
                {"backoffice-toolsets": "", "backoffice-read-only": "no"},
                ["get_caller", "list_notes", "add_note", "refund", "burn_notes"],
            ),
        ):
            assert await at.names(token=issuer.token(), also=also) == left
            answer = await at.call("add_note", token=issuer.token(), also=also, text="x", idempotency_key=str(also))
            assert isinstance(told(answer), dict) == ("add_note" in left)


async def test_a_header_that_is_sent_twice_narrows_twice(issuer: Issuer):
    async with guarded(issuer) as at:
        sent = [
            ("authorization", f"Bearer {issuer.token()}"),
            ("backoffice-exclude-tools", "refund"),
            ("backoffice-exclude-tools", "add_note"),
            ("backoffice-read-only", "false"),
            ("backoffice-read-only", "true"),
        ]
        listed = await at.send("tools/list", {}, headers=sent)
    assert "add_note" not in listed.text
    assert "refund" not in listed.text


# What is beside the door


async def test_every_route_is_behind_the_guard_or_on_the_list_of_open_ones(issuer: Issuer):
    """The app's own routes, and what somebody may add to it: nothing is open that is not named."""
    on, settings = foundation(), Settings(public_url=AUDIENCE, oauth_issuer=issuer.url, log_level="ERROR")
    app = http_app(till_server(Drawer(), on), settings, Readiness())

    async def added(_request: Any) -> Any:
        raise AssertionError("nobody gets here")

    app.router.routes.append(Route("/debug", added, methods=["GET", "POST"]))
    guard = guard_of(settings, on, lambda _: None, server="till", title="Till", scopes=tuple)
    assert guard is not None
    paths = {route.path for route in app.router.routes if isinstance(route, Route)}
    assert {"/mcp", "/debug", *OPEN} == paths
    async with serving_app(guard(app)) as origin, httpx.AsyncClient(base_url=origin) as http:
        for path in (
            *paths,
            "/",
            "/docs",
            "/mcp/",
            "/mcp//",
            "//mcp",
            "/mcp/../debug",
            "/MCP",
            "/healthz/",
            "/healthz/../debug",
        ):
            for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"):
                status = (await http.request(method, path)).status_code
                if path in OPEN:
                    assert status == (200 if method in ("GET", "HEAD") else 405), (method, path)
                else:
                    assert status in (401, 404), (method, path)


async def test_the_metadata_says_where_tokens_come_from(issuer: Issuer):
    async with guarded(issuer) as at:
        origin = at.url.removesuffix("/mcp")
        said = await at.http.get(f"{origin}/.well-known/oauth-protected-resource/mcp")
        posted = await at.http.post(f"{origin}/.well-known/oauth-protected-resource/mcp")
        elsewhere = await at.http.get(f"{origin}/.well-known/oauth-protected-resource/other")
    assert said.json() == {
        "resource": AUDIENCE,
        "authorization_servers": [issuer.url],
        "scopes_supported": ["till:pay", "till:read", "till:write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "Till",
    }
    assert (posted.status_code, elsewhere.status_code) == (404, 404)


async def test_without_an_authorization_server_nobody_is_sent_to_one():
    async with door(foundation(), trusted_platform_key=Signer(KEY).public_key, public_url=AUDIENCE) as at:
        refused = await at.send("tools/list", {})
        metadata = await at.http.get(at.url.replace("/mcp", "/.well-known/oauth-protected-resource/mcp"))
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert metadata.status_code == 404


async def test_a_scope_that_would_break_the_header_is_not_named(issuer: Issuer):
    on, settings = foundation(), Settings(public_url=AUDIENCE, oauth_issuer=issuer.url, log_level="ERROR")
    odd = ['till:read", realm="x', "a\r\nSet-Cookie: a=b", "größe", "", "till:read"]
    guard = guard_of(settings, on, lambda _: None, server="till", title="Till", scopes=lambda: odd)
    assert guard is not None
    app = guard(http_app(till_server(Drawer(), on), settings, Readiness()))
    async with serving_app(app) as origin, httpx.AsyncClient(base_url=origin) as http:
        assert challenge(await http.post("/mcp"))["scope"] == "till:read"
        metadata = await http.get("/.well-known/oauth-protected-resource/mcp")
    assert metadata.json()["scopes_supported"] == ["till:read"]


# What cannot be configured


@pytest.mark.parametrize(
    ("given", "told_"),
    [
        ({"oauth_issuer": "https://i.example"}, "which audience its tokens must name"),
        ({"oauth_issuer": "http://i.example", "oauth_audience": "x"}, "must come over https"),
        ({"oauth_issuer": "https://i.example", "oauth_audience": "x", "oauth_algorithms": "HS256"}, "must be among"),
        ({"oauth_issuer": "https://i.example", "oauth_audience": "x", "oauth_algorithms": ""}, "must be among"),
        ({"trusted_platform_key": "nonsense"}, "Ed25519 public key"),
        ({"oauth_issuer": "https://i.example", "public_url": "till.example"}, "BACKOFFICE_PUBLIC_URL"),
        ({"oauth_issuer": "https://i.example", "public_url": 'https://till.example/"x'}, "BACKOFFICE_PUBLIC_URL"),
        ({"oauth_issuer": "https://i.example", "public_url": "https://till.example/a\nb"}, "BACKOFFICE_PUBLIC_URL"),
        ({"oauth_issuer": "https://i.example", "public_url": "https://till.example/?a=b"}, "BACKOFFICE_PUBLIC_URL"),
    ],
)
def test_settings_that_would_let_in_the_wrong_ones_are_refused_at_the_start(given: dict[str, Any], told_: str):
    settings = Settings.model_validate({**given, "oauth_algorithms": given.get("oauth_algorithms", "ES256")})
    with pytest.raises(InvalidInput) as refused:
        guard_of(settings, foundation(audit=Records()), lambda _: None, server="till", title="", scopes=tuple)
    assert told_ in str(refused.value)


def test_settings_that_name_nobody_make_no_guard():
    assert guard_of(Settings(), foundation(), lambda _: None, server="till", title="", scopes=tuple) is None
