"""Hostile text in every text that a tool is given: it is refused or answered in words, and to a vendor it is data.

What a vendor is asked is looked at where it arrives: the path that a sandbox saw, and what it answered. Text that became a
part of a path or of a query would ask for something else than this server ever does, or be answered that it makes no sense.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.billing.books_balance import must_balance
from tests.billing.counter import Office, counter, said
from tests.fuzz.hostile import INJECTIONS, PATHS, UNICODE

from backoffice_billing.server import SERVER
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.clean import clean
from backoffice_shared.mcp.strict import StrictTool

pytestmark = pytest.mark.anyio

SCHEMAS = {spec.name: StrictTool.of(spec).parameters for spec in SERVER.tools}
GOOD: dict[str, Any] = {
    "customer_id": "stripe:customer:cus_1",
    "customer_ids": ["stripe:customer:cus_1"],
    "invoice_id": "stripe:invoice:in_1",
    "invoice_ids": ["stripe:invoice:in_1"],
    "payment_id": "stripe:payment:pi_1",
    "currency": "EUR",
    "lines": [{"description": "x", "unit_amount": 100}],
    "reason": "a mistake",
    "disposition": "out_of_band",
    "idempotency_key": "a-key-of-ours",
    "report": "trial_balance",
    "to_date": "2026-11-01",
    "plan_token": "none",
}
KINDS = {"customer": "customer", "invoice": "invoice", "payment": "payment", "order": "order"}
TAILS = (
    "../../x",
    "..",
    ".",
    "%2e%2e%2fcharges",
    "a/b?limit=1#x",
    "a&amp;b=c&d",
    "' or '1'='1",
    '" OR number:"1',
    "x\r\ny: z",
    "\0",
    "x" * 90,
)
OTHERS = (
    "stripe:charge:ch_1",
    "stripe:refund:re_1",
    "zendesk:ticket:1",
    "xero:contact:1",
    "quickbooks:invoice:1' OR Id > '0",
    "shopify:order:1) { id } #",
    "stripe:invoice:",
    ":::",
    "stripe:invoice:in_1:in_2",
    "a'b@mail.example",
    "a%' OR 1=1 --@mail.example",
    'a"b\\@mail.example',
    "x" * 254,
    "NW-1' AND Status=='PAID",
    'NW-1" AND 1==1',
)
EXPECTED = re.compile(
    r"/v1/[a-z_]+(?:/[A-Za-z0-9_%.~-]+){0,2}"
    r"|/api\.xro/2\.0/[A-Za-z]+(?:/[A-Za-z0-9_%.~-]+){0,2}"
    r"|/v3/company/\d+/(?:query|[a-z]+(?:/[A-Za-z0-9_%.~-]+)?|reports/[A-Za-z]+)"
    r"|/admin/api/[0-9-]+/graphql\.json"
)
FORESEEN = {"invalid_input", "not_found", "permission_denied", "conflict"}


def texts(name: str) -> Iterator[str]:
    """For the parameter of this name: ids whose native part is hostile, ids of other things, and plain attacks."""
    kind = next((kind for word, kind in KINDS.items() if name.startswith(word)), "")
    for system in ("stripe", "xero", "quickbooks", "shopify") if kind else ():
        own = "contact" if (system, kind) == ("xero", "customer") else kind
        yield from (f"{system}:{own}:{tail}" for tail in TAILS)
    yield from (*OTHERS, *INJECTIONS, *PATHS, *UNICODE)


def parameters() -> list[Any]:
    """Every tool with each of its parameters that takes text, or a list of texts."""

    def takes(part: dict[str, Any]) -> bool:
        return (part.get("type") == "string" and "enum" not in part) or (
            part.get("type") == "array" and takes(obj(part.get("items")))
        )

    return [
        pytest.param(tool, name, id=f"{tool} {name}")
        for tool, schema in SCHEMAS.items()
        for name, part in schema["properties"].items()
        if takes(part)
    ]


async def attacked(at: Office, tool: str, arguments: dict[str, Any]) -> None:
    """The call is answered in words, and no vendor was asked for what we do not ask for, or could not read the question."""
    result = await at.client.call_tool(tool, arguments)
    if result.is_error:
        error = obj(obj(result.structured_content)["error"])
        assert error["code"] in FORESEEN, (arguments, said(result))
        assert error["message"].endswith((".", "'", '"')), (arguments, said(result))
    for source in arr(obj(result.structured_content).get("sources")):
        assert source["status"] != "error", (arguments, source)
    for name, sandbox in at.sandboxes.items():
        for entry in sandbox.requests:
            assert EXPECTED.fullmatch(entry.path), (arguments, name, entry)
            assert ".." not in entry.path.split("/"), (arguments, name, entry)
            # Stripe says so, too, when there is no such customer; of what it is asked to find it says it of nonsense alone.
            nobody = entry.status == 400 and (name, entry.method) == ("stripe", "POST")
            assert entry.status in (200, 201, 204, 404) or nobody, (arguments, name, entry)
        sandbox.requests.clear()


@pytest.mark.parametrize(("tool", "name"), parameters())
async def test_text_is_data_whatever_it_says(tool: str, name: str):
    schema = SCHEMAS[tool]
    required: list[str] = schema.get("required", [])
    listed = schema["properties"][name].get("type") == "array"
    async with counter(customers=12, hurried=False) as at:
        good = {field: GOOD[field] for field in required}
        if tool == "preview_refund":
            good["reason"] = "defective"
        for text in texts(name):
            await attacked(at, tool, {**good, name: [text] if listed else text})
        must_balance(at.sandboxes)


@pytest.mark.parametrize("field", ["description", "price_id", "tax_code", "memo", "po_number"])
@pytest.mark.parametrize("system", ["stripe", "xero", "quickbooks"])
async def test_the_texts_of_an_invoice_are_data_too(system: str, field: str):
    async with counter(customers=12, hurried=False) as at:
        person = next(p for p in at.company.people if at.company.books.bills(p))
        found = await at.ask("get_billing_account", customer_ids=[p.email for p in at.company.people])
        ids = [row["customer_id"] for row in found["items"] if row["customer_id"].startswith(f"{system}:")]
        currency = "USD" if system == "quickbooks" else at.company.books.currency(person)
        for number, text in enumerate((*OTHERS, *INJECTIONS, *PATHS)):
            line: dict[str, Any] = {"description": "x", "unit_amount": 100}
            new = {"customer_id": ids[0], "currency": currency, "lines": [line], "idempotency_key": f"a-key-{number}"}
            (new if field in ("memo", "po_number") else line)[field] = text[:60]
            if field == "price_id":
                del line["unit_amount"]
            result = await at.client.call_tool("create_invoice", new)
            if result.is_error:
                assert obj(obj(result.structured_content)["error"])["code"] in FORESEEN, (text, said(result))
            elif field == "description":
                invoice = obj(result.structured_content)["invoice_id"]
                [read] = (await at.ask("get_invoices", invoice_ids=[invoice]))["items"]
                assert read["lines"][0]["description"].split() == clean(text[:60]).split(), text
        must_balance(at.sandboxes)


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("search_invoices", {"issued_since": "0001-01-01"}),
        ("search_invoices", {"due_before": "9999-12-31"}),
        ("search_payments", {"since": "0001-01-01T00:00:00+23:59"}),
        ("reconcile", {"from_date": "0001-01-01"}),
        ("get_report", {"report": "trial_balance", "to_date": "9999-12-31"}),
    ],
)
async def test_a_day_that_nobody_can_mean_is_refused_at_once(tool: str, arguments: dict[str, Any]):
    async with counter(customers=12) as at:
        assert "year must be between 1970 and 9998" in await at.refusal(tool, **arguments)
        assert not any(sandbox.requests for sandbox in at.sandboxes.values())
