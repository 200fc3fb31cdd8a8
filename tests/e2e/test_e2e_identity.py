"""Who calls, over real HTTP and through the platform: nobody is taken for another, and a domain server applies the real
agent's policy whoever passes the call on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp
from tests.e2e.running import over, serving_app
from tests.foundation import foundation
from tests.platform.handmade import HandMade
from tests.shared.mcp.auth.issuer import AUDIENCE, Issuer
from tests.shared.mcp.auth.served import Door, door, guarded, message, opened, told

from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_platform.registry import Registry
from backoffice_platform.server import platform_guard, platform_server
from backoffice_platform.upstreams import Upstream
from backoffice_shared.mcp.auth.assertion import LEEWAY, LIFE, Signer, make_key
from backoffice_shared.mcp.auth.keys import MadeKey
from backoffice_shared.mcp.auth.keys import make_key as make_api_key
from backoffice_shared.mcp.domain import sandboxed
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.readiness import Readiness
from backoffice_shared.mcp.serving import http_app
from backoffice_shared.principal import PLATFORM, Principal
from backoffice_shared.sandbox.company import Company
from backoffice_shared.settings import Settings

pytestmark = pytest.mark.anyio

KEY = make_key()
SIGNER = Signer(KEY)
ALL = "[till:read, till:write, till:pay, customer:read, customer:write]"
Written = Callable[[str], Path]


@pytest.fixture
def agents(tmp_path: Path) -> Written:
    def written(content: str) -> Path:
        file = tmp_path / f"agents-{len(list(tmp_path.iterdir()))}.yaml"
        file.write_text(content)
        return file

    return written


@pytest.fixture
async def issuer() -> AsyncGenerator[Issuer]:
    made = Issuer()
    async with serving_app(made) as made.url:
        yield made


def key_of(made: MadeKey) -> str:
    return f'keys: [{{id: {made.id}, sha256: "{made.sha256}"}}]'


@asynccontextmanager
async def platform(on: Foundation, *upstreams: Upstream, **settings: Any) -> AsyncGenerator[Door]:
    """Over these upstreams, behind its own guard."""
    given = Settings(log_level="ERROR", **settings)
    registry = Registry(upstreams, identify=SIGNER.assertion)
    guard = platform_guard(registry, given, on)
    assert guard is not None
    app = guard(http_app(platform_server(registry, given, on), given, Readiness()))
    async with opened(app, on) as at:
        yield at


def ours(at: Door, name: str = "till") -> Upstream:
    return Upstream.model_validate({"name": name, "url": at.url, "audience": name})


def by_assertion(who: Principal, audience: str = "till", signer: Signer = SIGNER) -> str:
    return signer.assertion(who, audience)


# Two who call at the same time


async def interleaved(at: Door, tokens: dict[str, str], each: int) -> float:
    """Both make `each` times two calls, 50 at once in all. Fails when one is taken for the other. Gives seconds."""
    at_once = asyncio.Semaphore(50)

    async def turn(name: str, number: int) -> None:
        async with at_once:
            seen = await at.call("get_caller", token=tokens[name])
            noted = await at.call("add_note", token=tokens[name], text=f"{name} {number}", idempotency_key=f"k{number}")
            again = number % 10 == 0 and await at.call(
                "add_note", token=tokens[name], text=f"{name} {number}", idempotency_key=f"k{number}"
            )
        assert told(seen)["agent"] == name
        assert told(noted)["replayed"] is False
        assert again is False or told(again) == {**told(noted), "replayed": True}

    started = time.perf_counter()
    await asyncio.gather(*(turn(name, number) for number in range(each) for name in tokens))
    return time.perf_counter() - started


async def check_two_principals(at: Door, notes: list[str], tokens: dict[str, str], each: int) -> None:
    """These are exactly as many calls as the two may make: then each has used up its own, and nothing of the other's."""
    seconds = await interleaved(at, tokens, each)
    print(f"{4 * each} calls and {2 * each // 10} repetitions by two, 50 at once: {seconds:.1f} s")
    assert sorted(notes) == sorted(f"{name} {number}" for name in tokens for number in range(each))
    for name, token in tokens.items():
        refused = told(await at.call("get_caller", token=token))
        assert refused["error"]["code"] == "rate_limited", name


async def test_two_principals_over_a_thousand_calls_never_share_keys_limits_or_names(agents: Written, issuer: Issuer):
    made = make_api_key()
    file = agents(
        f"agents: {{one: {{scopes: {ALL}, {key_of(made)}, rate: 525/day}},"
        f" two: {{scopes: {ALL}, clients: [app], rate: 525/day}}}}"
    )
    async with door(foundation(agents=file), oauth_issuer=issuer.url, public_url=AUDIENCE) as at:
        await check_two_principals(at, at.drawer.notes, {"one": made.key, "two": issuer.token()}, 250)


async def test_nor_do_they_through_the_platform(agents: Written, soak: bool):
    each = 250 if soak else 60
    rate = f"{2 * each + each // 10}/day"
    one, two = make_api_key(), make_api_key()
    file = agents(
        f"agents: {{one: {{scopes: {ALL}, {key_of(one)}, rate: {rate}}},"
        f" two: {{scopes: {ALL}, {key_of(two)}, rate: {rate}}}}}"
    )
    async with (
        door(foundation(agents=file), trusted_platform_key=SIGNER.public_key) as till,
        platform(foundation(agents=file), ours(till), agents_file=file) as at,
    ):
        await check_two_principals(at, till.drawer.notes, {"one": one.key, "two": two.key}, each)
        ended = [record for record in till.audit.written if record["event"] == "tool.call"]
        assert {(record["actor"]["agent"], record["actor"]["via"]) for record in ended} == {
            ("one", PLATFORM),
            ("two", PLATFORM),
        }
        assert [record for record in at.audit.written if record["event"] != "tool.intent"] == []


async def test_an_agents_data_filter_holds_for_what_another_has_just_read(agents: Written):
    crm, desk = make_api_key(), make_api_key()
    file = agents(
        f"agents: {{crm: {{scopes: {ALL}, {key_of(crm)}, systems: [hubspot]}},"
        f" desk: {{scopes: {ALL}, {key_of(desk)}, systems: [zendesk]}}}}"
    )
    async with customer(foundation(agents=file), agents_file=file) as at:
        customer_id = "hubspot:contact:100001"

        async def read(token: str) -> Any:
            return told(await at.call("get_customers", token=token, customer_ids=[customer_id]))

        for _ in range(20):
            seen, refused = await asyncio.gather(read(crm.key), read(desk.key))
            assert [item["customer_id"] for item in seen["items"]] == [customer_id]
            assert {source["backend"]: source["status"] for source in seen["sources"]} == {
                "hubspot": "ok",
                "salesforce": "skipped",
                "zendesk": "skipped",
                "shopify": "skipped",
            }
            assert refused["error"]["code"] == "permission_denied"
            assert "is not among the systems whose data you may see" in refused["error"]["message"]


# Data filters


@asynccontextmanager
async def customer(on: Foundation, **settings: Any) -> AsyncGenerator[Door]:
    """The customer server over a small company."""
    company = Company(seed=7, customers=20)
    reachable = sandboxed(CUSTOMER, {vendor.backend.name: vendor.sandbox(company) for vendor in CUSTOMER.vendors})
    async with opened(guarded(CUSTOMER, reachable, on, **settings), on) as at:
        yield at


@pytest.mark.parametrize("where", ["agents.yaml here", "agents.yaml of the platform"])
async def test_an_agent_limited_to_one_system_is_given_nothing_of_the_others(agents: Written, where: str):
    """Also when only the platform knows of the limit: it goes along with who is calling."""
    made = make_api_key()
    file = agents(f"agents: {{desk: {{scopes: {ALL}, {key_of(made)}, systems: [zendesk]}}}}")
    async with AsyncExitStack() as stack:
        if where == "agents.yaml here":
            at = await stack.enter_async_context(customer(foundation(agents=file)))
        else:
            behind = await stack.enter_async_context(customer(foundation(), trusted_platform_key=SIGNER.public_key))
            at = await stack.enter_async_context(platform(foundation(agents=file), ours(behind, "customer")))

        async def ask(tool: str, **arguments: Any) -> Any:
            return told(await at.call(tool, token=made.key, **arguments))

        found = await ask("find_customers", query="a")
        customer_id = found["items"][0]["customer_id"]
        assert all(item["customer_id"].startswith("zendesk:") for item in found["items"])
        timeline = await ask("get_customer_timeline", customer_id=customer_id)
        assert {event["system"] for event in timeline["items"]} <= {"zendesk"}
        profile = await ask("get_customers", customer_ids=[customer_id], include=["counts", "preferences"])
        assert [link["system"] for link in profile["items"][0]["links"]] == ["zendesk"]
        tickets = await ask("search_tickets")
        assert tickets["items"]
        for answer in (found, timeline, profile):
            status = {source["backend"]: source["status"] for source in answer["sources"]}
            assert status.pop("zendesk") == "ok"
            assert status.keys() >= {"hubspot", "salesforce", "shopify"}
            assert set(status.values()) == {"skipped"}
        assert timeline["page"]["has_more"] or timeline["page"].get("next_cursor") is None
        for tool, arguments in (
            ("search_orders", {}),
            ("get_order", {"order_id": "shopify:order:1"}),
            ("get_customers", {"customer_ids": ["hubspot:contact:100001"]}),
            (
                "create_ticket",
                {"customer_id": "hubspot:contact:100001", "subject": "s", "body": "b", "idempotency_key": "key-0001"},
            ),
        ):
            assert (await ask(tool, **arguments))["error"]["code"] == "permission_denied", tool
        made_ticket = await ask(
            "create_ticket", customer_id=customer_id, subject="s", body="b", idempotency_key="key-0001"
        )
        assert made_ticket["ticket_id"].startswith("zendesk:ticket:")


# Who passes a call on


async def test_the_domain_server_applies_the_real_agents_policy_and_records_the_real_agent(agents: Written):
    made = make_api_key()
    above = agents(f"agents: {{helper: {{scopes: {ALL}, {key_of(made)}}}}}")
    below = agents("agents: {helper: {scopes: [till:read]}}")
    async with (
        door(foundation(agents=below), trusted_platform_key=SIGNER.public_key) as till,
        platform(foundation(agents=above), ours(till)) as at,
    ):
        assert told(await at.call("get_caller", token=made.key)) == {"subject": f"key:{made.id}", "agent": "helper"}
        _, sentence = told(await at.call("add_note", token=made.key, text="x", idempotency_key="k"))
        assert sentence == "Unknown tool: add_note. Call tools/list for those there are."
        assert till.drawer.notes == []
        actors = [record["actor"] for record in till.audit.written]
        assert actors == 2 * [
            {"sub": f"key:{made.id}", "agent": "helper", "client_id": None, "auth": "assertion", "via": PLATFORM}
        ]


async def test_the_platforms_own_word_lists_every_tool_and_calls_none():
    async with door(foundation(), trusted_platform_key=SIGNER.public_key) as till:
        itself = by_assertion(Principal(PLATFORM, "assertion"))
        assert await till.names(token=itself) == ["get_caller", "list_notes", "add_note", "refund", "burn_notes"]
        asked: dict[str, dict[str, Any]] = {"get_caller": {}, "add_note": {"text": "x", "idempotency_key": "k"}}
        for tool, arguments in asked.items():
            _, sentence = told(await till.call(tool, token=itself, **arguments))
            assert sentence.startswith(f"Unknown tool: {tool}.")
        assert till.drawer.notes == []


async def test_a_domain_server_believes_the_platform_and_nobody_else(issuer: Issuer):
    ada = Principal("ada", "oauth", client="app", issuer=issuer.url, scopes=frozenset({"till:read"}))
    earlier = datetime.now(UTC) - timedelta(seconds=LIFE + LEEWAY + 1)
    async with door(foundation(), trusted_platform_key=SIGNER.public_key) as till:
        assert told(await till.call("get_caller", token=by_assertion(ada)))["subject"] == "ada"
        for wrong in (
            by_assertion(ada, "desk"),
            by_assertion(ada, signer=Signer(make_key())),
            by_assertion(ada, signer=Signer(KEY, now=lambda: earlier)),
            issuer.token(),
            issuer.token(header={"typ": "backoffice-assertion+jwt"}),
            make_api_key().key,
        ):
            assert (await till.call("get_caller", token=wrong)).status_code == 401


async def test_nothing_that_the_caller_sent_to_prove_who_they_are_goes_any_further(agents: Written, issuer: Issuer):
    made = make_api_key()
    file = agents(f"agents: {{helper: {{scopes: [ours:use, theirs:use], {key_of(made)}, clients: [app]}}}}")
    ours_, theirs = HandMade("ours"), HandMade("theirs")
    mounted: ASGIApp = Starlette(routes=[Mount("/ours", ours_), Mount("/theirs", theirs)])
    async with AsyncExitStack() as stack:
        origin = await stack.enter_async_context(serving_app(mounted))
        [first, second] = over(f"{origin}/ours/mcp", f"{origin}/theirs/mcp")
        upstreams = (
            first.model_copy(update={"name": "ours", "audience": "ours"}),
            second.model_copy(update={"name": "theirs"}),
        )
        on = foundation(agents=file)
        at = await stack.enter_async_context(
            platform(on, *upstreams, oauth_issuer=issuer.url, public_url=AUDIENCE, agents_file=file)
        )
        also = {
            "Cookie": "session=of-the-caller",
            "X-Api-Key": "of-the-caller",
            "X-Forwarded-User": "admin-of-the-caller",
        }
        for token in (made.key, issuer.token(scope="ours:use theirs:use")):
            for tool in ("read_ours", "read_theirs"):
                assert "result" in message(await at.call(tool, token=token, also=also))
            seen = str(ours_.asked) + str(theirs.asked)
            assert token not in seen
            assert "of-the-caller" not in seen
    assert [call.headers["authorization"].split()[0] for call in ours_.calls()] == ["Bearer", "Bearer"]
    assert all("authorization" not in asked.headers for asked in theirs.asked)


async def test_a_request_narrows_through_the_platform_too(agents: Written):
    made = make_api_key()
    file = agents(f"agents: {{helper: {{scopes: {ALL}, {key_of(made)}}}}}")
    async with (
        door(foundation(agents=file), trusted_platform_key=SIGNER.public_key) as till,
        platform(foundation(agents=file), ours(till)) as at,
    ):
        also = {"Backoffice-Read-Only": "true"}
        assert await at.names(token=made.key, also=also) == ["get_caller", "list_notes"]
        _, sentence = told(await at.call("add_note", token=made.key, also=also, text="x", idempotency_key="k"))
        assert sentence.startswith("Unknown tool")
        assert told(await at.call("add_note", token=made.key, text="x", idempotency_key="k"))["number"] == 1
