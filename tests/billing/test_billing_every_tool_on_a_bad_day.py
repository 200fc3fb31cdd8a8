"""Every tool that reads, with each of its backends down, refusing, throttling, lying or slow: what the caller sees.

A read over several systems goes on without the one that fails, and names it. What only one system can do is refused with a
sentence that names it and says whether trying again helps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from mcp_types import CallToolResult
from tests.billing.counter import Office, counter, said
from tests.billing.people import Hand, ids, payer

from backoffice_shared.jsonvalues import arr, compact, obj
from backoffice_shared.sandbox.books import paid_outside

pytestmark = pytest.mark.anyio

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "down": ({"error": 1.0}, "backend_unavailable"),
    "refusing connections": ({"reset": 1.0}, "backend_unavailable"),
    "throttling": ({"throttle": 1.0, "retry_after": 30}, "rate_limited"),
    "half an answer": ({"malformed": 1.0}, "malformed_answer"),
    "an answer of another shape": ({"wrong_types": 1.0}, "malformed_answer"),
    "slow": ({"slow": 1.0, "seconds": 60}, "deadline_exceeded"),
}
TITLES = {"stripe": "Stripe", "xero": "Xero", "quickbooks": "QuickBooks", "shopify": "Shopify"}
BILLING = ("stripe", "xero", "quickbooks")

every_fault = pytest.mark.parametrize(("faults", "code"), FAULTS.values(), ids=FAULTS.keys())


@dataclass(frozen=True)
class Case:
    """A call, and the system that fails."""

    tool: str
    vendor: str

    def __str__(self) -> str:
        return f"{self.tool} without {self.vendor}"


SEVERAL = [
    *(
        Case(tool, vendor)
        for tool in ("get_billing_account", "search_invoices", "search_payments")
        for vendor in BILLING
    ),
    *(Case("get_invoices", vendor) for vendor in BILLING),
    *(Case("get_report", vendor) for vendor in ("xero", "quickbooks")),
]
ALONE = [
    *(Case("get_payment", vendor) for vendor in BILLING),
    *(Case("get_invoices", vendor) for vendor in BILLING),
    Case("get_report", "stripe"),
    *(Case("preview_refund", vendor) for vendor in ("stripe", "shopify")),
]


def cases(given: list[Case]) -> Any:
    return pytest.mark.parametrize("case", given, ids=str)


async def called(at: Office, vendor: str, tool: str, arguments: dict[str, Any]) -> CallToolResult:
    """Who waits for a slow system has a second; nobody else's time matters here."""
    faults = at.sandboxes[vendor].faults
    slow = faults.slow > 0 or "slow" in faults.plan
    return await at.client.call_tool(tool, arguments, meta={"dev.backoffice/deadlineMs": 1_500} if slow else None)


@every_fault
@cases(SEVERAL)
async def test_a_read_over_several_systems_goes_on_without_one(case: Case, faults: dict[str, Any], code: str):
    async with counter() as at:
        arguments = await _over_several(at, case)
        at.broken(case.vendor, **faults)
        result = await called(at, case.vendor, case.tool, arguments)
        assert not result.is_error, said(result)
        answer = obj(result.structured_content)
        sources = {source["backend"]: source for source in answer["sources"]}
        failed = sources.pop(case.vendor)
        assert (failed["status"], failed["error_code"]) == ("error", code)
        assert failed["message"].startswith(f"{TITLES[case.vendor]}: ")
        assert {source["status"] for source in sources.values()} == {"ok"}
        assert _systems(answer, case.tool) == set(sources)
        assert answer.get("not_found", []) == []


def _systems(answer: dict[str, Any], tool: str) -> set[str]:
    """Whose part is in the answer. What was compared is whole for those whose whole part is."""
    match tool:
        case "get_report":
            return {table["system"] for table in answer["tables"]}
        case "get_billing_account":
            return {row["customer_id"].partition(":")[0] for row in answer["items"]}
        case "search_payments":
            return {row["payment_id"].partition(":")[0] for row in answer["items"]}
        case _:
            return {row["invoice_id"].partition(":")[0] for row in answer["items"]}


@every_fault
@pytest.mark.parametrize("vendor", TITLES)
async def test_what_could_not_be_compared_is_not_said_to_agree(vendor: str, faults: dict[str, Any], code: str):
    async with counter() as at:
        whole = await at.ask("reconcile", to_date=at.company.today.isoformat(), limit=50)
        known = {compact(item) for item in whole["items"]}
    async with counter() as at:
        at.broken(vendor, **faults)
        result = await called(at, vendor, "reconcile", {"to_date": at.company.today.isoformat(), "limit": 50})
        assert not result.is_error, said(result)
        answer = obj(result.structured_content)
        failed = [source for source in answer["sources"] if source["status"] != "ok"]
        assert [(source["backend"], source["error_code"]) for source in failed] == [(vendor, code)]
        assert {part["system"]: part["complete"] for part in answer["coverage"]}[vendor] is False
        assert {compact(item) for item in answer["items"]} <= known
        assert answer["matched_count"] <= whole["matched_count"]


@every_fault
async def test_a_payment_is_shown_without_the_ledger_that_fails(faults: dict[str, Any], code: str):
    async with counter(hurried=False) as at:
        _, payment = await Hand(at).paid((await ids(at, payer(at.company, ledger="eu")))["stripe"], "EUR", 4_000)
        at.broken("xero", **faults)
        result = await called(at, "xero", "get_payment", {"payment_id": payment, "include": ["ledger"]})
        answer = obj(result.structured_content)
        assert (answer["amount"]["amount"], answer["ledger"]) == (4_000, [])
        sources = {source["backend"]: source.get("error_code") for source in answer["sources"]}
        assert sources == {"stripe": None, "xero": code, "quickbooks": None}


@every_fault
@cases(ALONE)
async def test_what_one_system_alone_knows_is_refused_with_its_name(case: Case, faults: dict[str, Any], code: str):
    async with counter() as at:
        arguments = await _of_one(at, case)
        at.broken(case.vendor, **faults)
        result = await called(at, case.vendor, case.tool, arguments)
        assert result.is_error, result.structured_content
        error = obj(obj(result.structured_content).get("error"))
        assert (error["code"], error["source"]) == (code, TITLES[case.vendor])
        assert error["message"].endswith(".")


@every_fault
async def test_a_refund_is_left_to_a_human_when_nobody_can_say_what_was_refunded(faults: dict[str, Any], code: str):
    async with counter(hurried=False) as at:
        _, payment = await Hand(at).paid((await ids(at, payer(at.company, ledger="eu")))["stripe"], "EUR", 4_000)
        at.broken("xero", **faults)
        result = await called(at, "xero", "preview_refund", {"payment_id": payment, "reason": "defective"})
        ruling = obj(obj(result.structured_content)["policy"])
        assert (ruling["decision"], ruling["rule"]) == ("approval", "refund_count_unknown"), code


@pytest.mark.parametrize("tool", ["get_billing_account", "search_invoices", "search_payments", "get_report"])
async def test_when_every_backend_fails_the_call_does(tool: str):
    async with counter() as at:
        arguments = await _over_several(at, Case(tool, "stripe"))
        for vendor in BILLING:
            at.broken(vendor, error=1.0)
        assert (await at.refusal(tool, **arguments)).startswith(("Stripe: ", "Xero: "))


async def _over_several(at: Office, case: Case) -> dict[str, Any]:
    match case.tool:
        case "get_billing_account":
            people = [payer(at.company, ledger=ledger) for ledger in ("eu", "us")]
            return {"customer_ids": [person.email for person in people]}
        case "search_invoices" | "search_payments":
            return {"limit": 50}
        case "get_invoices":
            return {"invoice_ids": [await _first(at, "search_invoices", "invoice_id", system) for system in BILLING]}
        case "get_report":
            return {"report": "trial_balance", "to_date": at.company.today.isoformat()}
        case _:
            raise AssertionError(case.tool)


async def _of_one(at: Office, case: Case) -> dict[str, Any]:
    match case.tool:
        case "get_payment":
            return {"payment_id": await _first(at, "search_payments", "payment_id", case.vendor)}
        case "get_invoices":
            return {"invoice_ids": [await _first(at, "search_invoices", "invoice_id", case.vendor)]}
        case "get_report":
            return {"report": "revenue", "to_date": at.company.today.isoformat()}
        case "preview_refund" if case.vendor == "shopify":
            order = next(o for o in at.company.orders if o.payment == "paid" and not paid_outside(o))
            return {"order_id": f"#{1001 + order.number}", "reason": "defective"}
        case "preview_refund":
            payment = await _first(at, "search_payments", "payment_id", "stripe")
            return {"payment_id": payment, "reason": "defective"}
        case _:
            raise AssertionError(case.tool)


async def _first(at: Office, tool: str, field: str, system: str) -> str:
    """The id of the latest that this system has."""
    rows = [obj(row) for row in arr((await at.ask(tool, limit=50))["items"])]
    return next(row[field] for row in rows if row[field].startswith(f"{system}:"))
