"""Every tool, with each of its backends down, refusing, throttling, lying or slow: what the caller sees.

A read over several systems goes on without the one that fails, and names it. What only one system can do is refused with a
sentence that names it and says whether trying again helps. A write says that it was not made, or that nobody knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from mcp_types import CallToolResult
from tests.customer.office import Office, office

from backoffice_shared.jsonvalues import arr, obj

pytestmark = pytest.mark.anyio

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "down": ({"error": 1.0}, "backend_unavailable"),
    "refusing connections": ({"reset": 1.0}, "backend_unavailable"),
    "throttling": ({"throttle": 1.0, "retry_after": 30}, "rate_limited"),
    "half an answer": ({"malformed": 1.0}, "malformed_answer"),
    "an answer of another shape": ({"wrong_types": 1.0}, "malformed_answer"),
    "slow": ({"slow": 1.0, "seconds": 60}, "deadline_exceeded"),
}
TITLES = {
    "hubspot": "HubSpot",
    "salesforce": "Salesforce",
    "zendesk": "Zendesk",
    "shopify": "Shopify",
    "confluence": "Confluence",
    "email": "E-mail",
}
PEOPLE = ("hubspot", "salesforce", "zendesk", "shopify")
DESKS = ("hubspot", "salesforce", "zendesk", "email")


@dataclass(frozen=True)
class Case:
    """A call, and the system that fails. `alone`: nothing else can answer it."""

    tool: str
    vendor: str
    alone: bool = False
    writes: bool = False

    def __str__(self) -> str:
        return f"{self.tool} without {self.vendor}"


READS = [
    *(Case(tool, vendor) for tool in ("find_customers", "get_customers") for vendor in PEOPLE),
    *(Case("get_customer_timeline", vendor) for vendor in (*PEOPLE, "email")),
    *(Case("search_tickets", vendor) for vendor in DESKS),
    *(Case("get_ticket", vendor, alone=True) for vendor in DESKS),
    *(Case("search_knowledge", vendor) for vendor in ("confluence", "zendesk")),
    *(Case("get_document", vendor, alone=True) for vendor in ("confluence", "zendesk")),
    *(Case(tool, "shopify", alone=True) for tool in ("search_orders", "get_order", "check_inventory")),
]
WRITES = [
    *(Case("update_preferences", vendor, writes=True) for vendor in PEOPLE),
    *(Case("add_customer_note", vendor, alone=True, writes=True) for vendor in ("hubspot", "salesforce")),
    *(Case("create_ticket", vendor, alone=True, writes=True) for vendor in ("zendesk",)),
    *(Case("update_tickets", vendor, alone=True, writes=True) for vendor in DESKS),
    *(Case("reply_to_customer", vendor, alone=True, writes=True) for vendor in DESKS),
]


def cases(given: list[Case]) -> Any:
    return pytest.mark.parametrize("case", given, ids=str)


def told(case: Case, code: str) -> str:
    """A mailbox that answers nonsense is asked anew on another connection, and then counts as down."""
    return "backend_unavailable" if (case.vendor, code) == ("email", "malformed_answer") else code


every_fault = pytest.mark.parametrize(("faults", "code"), FAULTS.values(), ids=FAULTS.keys())


@every_fault
@cases([case for case in READS if not case.alone])
async def test_a_read_over_several_systems_goes_on_without_one(case: Case, faults: dict[str, Any], code: str):
    async with office() as at:
        arguments = await _arguments(at, case)
        at.broken(case.vendor, **faults)
        answer = obj((await _called(at, case, arguments)).structured_content)
        sources = {source["backend"]: source for source in answer["sources"]}
        failed = sources.pop(case.vendor)
        assert (failed["status"], failed["error_code"]) == ("error", told(case, code))
        assert failed["message"].startswith(f"{TITLES[case.vendor]}: ")
        assert {source["status"] for source in sources.values()} == {"ok"}


@every_fault
@cases([case for case in READS if case.alone])
async def test_what_one_system_alone_knows_is_refused_with_its_name(case: Case, faults: dict[str, Any], code: str):
    async with office() as at:
        arguments = await _arguments(at, case)
        at.broken(case.vendor, **faults)
        result = await _called(at, case, arguments)
        error = obj(obj(result.structured_content).get("error"))
        assert (error["code"], error["source"]) == (told(case, code), TITLES[case.vendor])
        assert error["message"].endswith(".")


@every_fault
@cases([case for case in WRITES if case.alone])
async def test_a_write_that_failed_says_so_or_that_nobody_knows(case: Case, faults: dict[str, Any], code: str):
    async with office() as at:
        arguments = await _arguments(at, case)
        at.broken(case.vendor, **faults)
        result = await _called(at, case, arguments)
        error = obj(obj(result.structured_content).get("error"))
        assert error["code"] in (told(case, code), "outcome_unknown")
        assert error["source"] == TITLES[case.vendor]


@every_fault
@cases([case for case in WRITES if not case.alone])
async def test_a_wish_is_kept_where_it_can_be_and_the_rest_is_named(case: Case, faults: dict[str, Any], code: str):
    async with office() as at:
        arguments = await _arguments(at, case)
        at.broken(case.vendor, **faults)
        answer = obj((await _called(at, case, arguments)).structured_content)
        became = {entry["system"]: entry["status"] for entry in answer["per_system"]}
        assert became.pop(case.vendor) in ("failed", "unknown")
        assert set(became.values()) <= {"updated", "unchanged"}
        assert "updated" in became.values()


async def _called(at: Office, case: Case, arguments: dict[str, Any]) -> CallToolResult:
    """Who waits for a slow system has two seconds; nobody else's time matters here."""
    slow = at.sandboxes[case.vendor].faults.slow > 0
    return await at.client.call_tool(case.tool, arguments, meta={"dev.backoffice/deadlineMs": 2_000} if slow else None)


async def _arguments(at: Office, case: Case) -> dict[str, Any]:
    """A call that works. What it needs to know is looked up before anything is broken."""
    return await (_to_write(at, case) if case.writes else _to_read(at, case))


async def _to_read(at: Office, case: Case) -> dict[str, Any]:
    match case.tool:
        case "find_customers":
            await _customer(at, "hubspot")
            return {"identifiers": [_person(at).email]}
        case "get_customers" | "get_customer_timeline":
            other = "zendesk" if case.vendor != "zendesk" else "shopify"
            one = await _customer(at, other)
            return {"customer_id": one} if case.tool == "get_customer_timeline" else {"customer_ids": [one]}
        case "search_tickets":
            await at.ask("search_tickets", query="nothing of the kind")
            return {}
        case "get_ticket":
            return {"ticket_id": await _ticket(at, case.vendor)}
        case "search_knowledge":
            await at.ask("search_knowledge", query="nothing of the kind")
            return {"query": "refund"}
        case "get_document":
            found = await at.ask("search_knowledge", query="refund")
            return {"doc_id": next(row["doc_id"] for row in found["items"] if row["doc_id"].startswith(case.vendor))}
        case "search_orders":
            return {}
        case "get_order":
            return {"order_id": (await at.ask("search_orders", limit=1))["items"][0]["order_id"]}
        case "check_inventory":
            return {"skus": [at.company.products[0].sku]}
        case _:
            raise AssertionError(case.tool)


async def _to_write(at: Office, case: Case) -> dict[str, Any]:
    match case.tool:
        case "update_preferences":
            other = "zendesk" if case.vendor != "zendesk" else "shopify"
            changes = {
                "language": "de" if _person(at).language != "de" else "fr",
                "email_marketing": not _person(at).email_consent,
            }
            return {"customer_id": await _customer(at, other), "changes": changes, "reason": "asked by e-mail"}
        case "add_customer_note":
            return {"customer_id": await _customer(at, case.vendor), "body": "Called.", "idempotency_key": "a-note-key"}
        case "create_ticket":
            ticket = {"subject": "New", "body": "New", "idempotency_key": "a-ticket-key"}
            return {"customer_id": await _customer(at, case.vendor), **ticket}
        case "update_tickets":
            changes = {"status": "solved", "idempotency_key": "an-update-key"}
            return {"ticket_ids": [await _ticket(at, case.vendor, status=["open"])], **changes}
        case "reply_to_customer":
            reply = {"body": "We are on it.", "idempotency_key": "a-reply-key"}
            reply["ticket_id"] = await _answerable(at, case.vendor)
            planned = await at.ask("reply_to_customer", **reply)
            return {**reply, "plan_token": planned["plan_token"]}
        case _:
            raise AssertionError(case.tool)


def _person(at: Office) -> Any:
    """Somebody whom every system knows."""
    return next(person for person in at.company.people if person.is_business and len(person.systems) == 3)


FIRST = {"hubspot": "contact:100001", "zendesk": "user:200001", "shopify": "customer:700001"}


async def _customer(at: Office, system: str) -> str:
    """The id that this system has for them. It is not asked about them, as its answers would be kept."""
    await at.ask("find_customers", identifiers=["nobody@nowhere.example"])  # every system has a token now
    if system in FIRST:
        kind, _, first = FIRST[system].partition(":")
        return f"{system}:{kind}:{int(first) + _person(at).number}"
    found = await at.ask("find_customers", identifiers=[_person(at).email])
    profile = (await at.ask("get_customers", customer_ids=[found["items"][0]["customer_id"]]))["items"][0]
    return next(link["id"] for link in profile["links"] if link["system"] == system)


async def _ticket(at: Office, system: str, **filters: Any) -> str:
    cursor: dict[str, Any] = {}
    for _ in range(20):
        page = await at.ask("search_tickets", limit=50, **filters, **cursor)
        for row in arr(page["items"]):
            if row["ticket_id"].startswith(f"{system}:"):
                return row["ticket_id"]
        cursor = {"cursor": page["page"]["next_cursor"]}
    raise AssertionError(f"no ticket in {system}")


async def _answerable(at: Office, system: str) -> str:
    return await _ticket(at, system, status=["open"])
