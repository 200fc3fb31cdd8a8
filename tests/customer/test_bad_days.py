"""A backend is down, slow, throttling or lying: what the caller still gets, and what the caller is told."""

from __future__ import annotations

from typing import Any

import pytest
from tests.customer.office import Office, happened, office

from backoffice_shared.sandbox.company import KEY_ACCOUNT

pytestmark = pytest.mark.anyio

FEMI, ROSA = "hubspot:contact:100001", f"hubspot:contact:{100001 + KEY_ACCOUNT}"
SHOP_FEMI = "shopify:customer:700001"

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "down": ({"error": 1.0}, "backend_unavailable"),
    "refusing connections": ({"reset": 1.0}, "backend_unavailable"),
    "throttling": ({"throttle": 1.0, "retry_after": 30}, "rate_limited"),
    "half an answer": ({"malformed": 1.0}, "malformed_answer"),
    "an answer of another shape": ({"wrong_types": 1.0}, "malformed_answer"),
    "slow": ({"slow": 1.0, "seconds": 60}, "deadline_exceeded"),
}
VENDORS = ("hubspot", "salesforce", "zendesk", "shopify")


def every_fault() -> Any:
    return pytest.mark.parametrize(("faults", "code"), FAULTS.values(), ids=FAULTS.keys())


@every_fault()
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_search_goes_on_without_the_backend_and_names_it(vendor: str, faults: dict[str, Any], code: str):
    async with office(deadline=3.0) as at:
        await at.ask("find_customers", identifiers=["nobody@nowhere.example"])  # every system has given a token
        at.broken(vendor, **faults)
        answer = await at.ask("find_customers", identifiers=[at.company.people[0].email])
        assert len(answer["items"]) == 1
        assert {source["backend"]: source.get("error_code") for source in answer["sources"]} == {
            name: code if name == vendor else None for name in VENDORS
        }
        told = next(source["message"] for source in answer["sources"] if source["backend"] == vendor)
        assert told.endswith(".")


@every_fault()
async def test_a_profile_is_given_with_what_is_known_when_another_system_fails(faults: dict[str, Any], code: str):
    async with office(deadline=3.0) as at:
        at.broken("zendesk", **faults)
        answer = await at.ask("get_customers", customer_ids=[FEMI], include=["counts"])
        profile = answer["items"][0]
        assert [link["system"] for link in profile["links"]] == ["hubspot", "shopify"]
        assert profile["counts"].keys() == {"orders_12m"}
        assert [s["error_code"] for s in answer["sources"] if s["status"] == "error"] == [code]


@every_fault()
async def test_ids_of_a_system_that_fails_are_neither_found_nor_said_not_to_exist(faults: dict[str, Any], code: str):
    async with office(deadline=3.0) as at:
        at.broken("shopify", **faults)
        answer = await at.ask("get_customers", customer_ids=[SHOP_FEMI, FEMI])
        assert [row["customer_id"] for row in answer["items"]] == [FEMI]
        assert answer["not_found"] == []
        assert answer["notes"] == [f"{SHOP_FEMI} could not be looked up: its system did not answer"]


@every_fault()
async def test_the_timeline_is_given_without_the_backend_and_its_rows_come_later(faults: dict[str, Any], code: str):
    async with office(deadline=3.0) as at:
        asked: dict[str, Any] = {"customer_id": ROSA, "kinds": ["ticket", "order", "note"], "limit": 50}
        expected = sum(happened(at.company, KEY_ACCOUNT)[kind] for kind in asked["kinds"])
        # Who she is, is known by now; what happened with her is not.
        await at.ask("get_customers", customer_ids=[ROSA])
        at.broken("shopify", **faults)
        page = await at.ask("get_customer_timeline", **asked)
        assert "shopify" not in {row["system"] for row in page["items"]}
        assert "shopify" in page["notes"][0]
        seen = {row["id"] for row in page["items"]}
        at.broken("shopify")
        if code == "rate_limited":
            return  # we keep away for as long as we were asked to
        while page["page"]["has_more"] or page["page"].get("next_cursor"):
            page = await at.ask("get_customer_timeline", **asked, cursor=page["page"]["next_cursor"])
            seen |= {row["id"] for row in page["items"]}
        assert len(seen) == expected


async def test_a_system_that_could_not_say_who_it_is_has_not_nothing_to_tell():
    async with office() as at:
        asked: dict[str, Any] = {"customer_id": ROSA, "kinds": ["ticket", "order", "note"], "limit": 50}
        expected = sum(happened(at.company, KEY_ACCOUNT)[kind] for kind in asked["kinds"])
        at.broken("shopify", error=1.0)
        page = await at.ask("get_customer_timeline", **asked)
        assert "shopify" in page["notes"][0]
        seen = {row["id"] for row in page["items"]}
        at.broken("shopify")
        while page["page"].get("next_cursor"):
            page = await at.ask("get_customer_timeline", **asked, cursor=page["page"]["next_cursor"])
            seen |= {row["id"] for row in page["items"]}
        assert len(seen) == expected


async def test_a_shop_that_is_down_is_not_a_customer_without_orders():
    async with office() as at:
        at.broken("shopify", error=1.0)
        assert (await at.refusal("search_orders", customer_id=ROSA)).startswith("Shopify: ")


async def test_a_ticket_is_repeated_with_the_same_words_whichever_systems_answer():
    async with office() as at:
        ticket = {"customer_id": "shopify:customer:700001", "subject": "Same", "body": "Same"}
        first = await at.ask("create_ticket", **ticket, idempotency_key="same-words")
        at.broken("hubspot", error=1.0)
        again = await at.ask("create_ticket", **ticket, idempotency_key="same-words")
        assert (again["ticket_id"], again["replayed"]) == (first["ticket_id"], True)


@every_fault()
async def test_a_tool_with_one_backend_refuses_with_a_sentence_and_a_code(faults: dict[str, Any], code: str):
    async with office(deadline=3.0) as at:
        at.broken("zendesk", **faults)
        result = await at.call("get_ticket", ticket_id="zendesk:ticket:10001")
        assert result.is_error
        assert result.structured_content is not None
        error = result.structured_content["error"]
        assert (error["code"], error["source"]) == (code, "Zendesk")
        assert error["message"].startswith("Zendesk: ")


async def test_when_every_backend_fails_the_call_does():
    async with office() as at:
        for vendor in VENDORS:
            at.broken(vendor, error=1.0)
        assert (await at.refusal("find_customers", query="maria")).startswith("HubSpot: ")


async def test_a_passing_fault_is_not_seen_at_all():
    async with office() as at:
        at.broken("hubspot", plan=["error", "reset"])
        answer = await at.ask("find_customers", query="maria")
        assert {source["status"] for source in answer["sources"]} == {"ok"}


async def test_a_passing_fault_of_the_token_endpoint_is_not_seen_either():
    async with office() as at:
        at.broken("zendesk", plan=["error", "reset"])
        assert (await at.ask("get_ticket", ticket_id="zendesk:ticket:10001"))["ticket_id"]


async def test_what_was_just_read_is_not_asked_for_again():
    async with office() as at:
        fresh = await _ticket(at)
        at.sandboxes["zendesk"].requests.clear()
        at.broken("zendesk", error=1.0)
        assert await _ticket(at) == fresh
        assert not at.sandboxes["zendesk"].requests


async def test_what_a_write_changed_is_read_anew():
    async with office() as at:
        before = await at.ask("get_customers", customer_ids=[FEMI], include=["counts"])
        await at.ask("create_ticket", customer_id=FEMI, subject="New", body="New", idempotency_key="a-new-ticket")
        after = await at.ask("get_customers", customer_ids=[FEMI], include=["counts"])
        counts = [answer["items"][0]["counts"]["open_tickets"] for answer in (before, after)]
        assert counts[1] == counts[0] + 1


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"customer_ids": []},
        {"customer_ids": "hubspot:contact:100001"},
        {"customer_ids": ["x" * 121]},
        {"customer_ids": [FEMI] * 21},
        {"customer_ids": [None]},
        {"customer_ids": [FEMI], "include": ["secrets"]},
        {"customer_ids": [FEMI], "fields": "name"},
        {"customer_ids": [FEMI], "__proto__": {}},
        {"customer_ids": {"a": {"b": {"c": []}}}},
    ],
)
async def test_malformed_arguments_are_refused_with_the_name_of_what_is_wrong(arguments: dict[str, Any]):
    async with office() as at:
        sentence = await at.refusal("get_customers", **arguments)
        assert sentence.split(":")[0].split(".")[0] in {"customer_ids", "include", "fields", "__proto__"}
        assert not any(sandbox.requests for sandbox in at.sandboxes.values())


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("find_customers", {"identifiers": ["@." * 800 + " x"]}),
        ("find_customers", {"identifiers": ["x" * 70_000 + "@b.cc"]}),
        ("search_orders", {"email": "mail.example"}),
        ("search_orders", {"order_number": ""}),
        ("search_tickets", {"updated_since": "0001-01-01T00:00:00+23:59"}),
        ("search_orders", {"since": "0001-01-01T00:00:00"}),
    ],
)
async def test_what_cannot_be_meant_is_refused_at_once(tool: str, arguments: dict[str, Any]):
    async with office() as at:
        assert (await at.refusal(tool, **arguments)).endswith(".")
        assert not any(sandbox.requests for sandbox in at.sandboxes.values())


async def test_a_search_that_finds_nothing_for_pages_stops_and_goes_on_from_there():
    async with office(customers=200) as at:
        page = await at.ask("search_orders", email="nobody@mail.example", limit=1)
        assert page["items"] == []
        assert len(at.sandboxes["shopify"].requests) <= 8


async def test_a_time_without_a_zone_is_utc():
    async with office() as at:
        naive = await at.ask("search_tickets", updated_since="2026-06-01T00:00:00", limit=1)
        zoned = await at.ask("search_tickets", updated_since="2026-06-01T00:00:00Z", limit=1)
        assert naive["page"]["total"] == zoned["page"]["total"]


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("find_customers", {"query": "\ud800"}),
        ("search_tickets", {"query": "a\udfffb"}),
        ("search_orders", {"email": "\ud83d@example.com"}),
    ],
)
async def test_half_a_character_is_a_sentence_too(tool: str, arguments: dict[str, Any]):
    async with office() as at:
        assert (await at.refusal(tool, **arguments)).endswith(".")


async def test_a_refusal_does_not_repeat_what_was_sent():
    async with office() as at:
        sentence = await at.refusal("get_customers", customer_ids=[FEMI], include=["ada@example.com"])
        assert "ada@example.com" not in sentence


@pytest.mark.parametrize("asked", [10**400, 1e300, -5, True, "soon", None])
async def test_a_deadline_that_makes_no_sense_is_none(asked: Any):
    async with office() as at:
        result = await at.client.call_tool("find_customers", {"query": "a"}, meta={"dev.backoffice/deadlineMs": asked})
        assert not result.is_error


async def test_every_call_leaves_one_record_whatever_becomes_of_it():
    async with office(deadline=3.0) as at:
        await at.call("get_customers", customer_ids=[FEMI])
        await at.call("get_customers")
        at.broken("hubspot", error=1.0)
        await at.call("find_customers", query="somebody@example.com")
        at.broken("zendesk", slow=1.0, seconds=60)
        await at.call("get_ticket", ticket_id="zendesk:ticket:10001")
        assert [(r["tool"], r["outcome"], r["error_code"]) for r in at.audit.written] == [
            ("get_customers", "ok", None),
            ("get_customers", "error", "invalid_input"),
            ("find_customers", "partial", None),
            ("get_ticket", "error", "deadline_exceeded"),
        ]
        assert at.audit.written[2]["args"] == {"query": "[email]"}


async def _ticket(at: Office) -> dict[str, Any]:
    ticket = await at.ask("get_ticket", ticket_id="zendesk:ticket:10001")
    del ticket["sources"]
    return ticket
