"""Whatever a tool is given, it answers: with a result within the bound, or with a sentence that says what is wrong.

Every tool of both servers is called through a client, with arguments that its schema accepts and with hostile ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import CallToolResult
from tests.billing.books_balance import must_balance
from tests.billing.counter import counter
from tests.customer.office import Office, office, said
from tests.fuzz.arguments import Known, calls

from backoffice_billing.server import SERVER as BILLING
from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.bounded import LARGEST
from backoffice_shared.mcp.clean import clean
from backoffice_shared.mcp.domain import Domain
from backoffice_shared.mcp.outcome import LONGEST
from backoffice_shared.mcp.strict import StrictTool

pytestmark = pytest.mark.anyio

MOMENTS = ("2026-01-02", "2020-01-02T03:04:05Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59")
CUSTOMERS = ("hubspot:contact:100001", "zendesk:user:200001", "shopify:customer:700001")
KNOWN: Known = {
    "customer_id": CUSTOMERS,
    "customer_ids": CUSTOMERS,
    "identifiers": (*CUSTOMERS, "#1042", "+55 555 000 000", "femi@mail.example"),
    "ticket_id": ("zendesk:ticket:10046", "zendesk:ticket:10015", "zendesk:ticket:"),
    "order_id": ("shopify:order:800021", "shopify:order:800050", "shopify:order:"),
    "fields": ("customer_id", "name", "ticket_id", "order_id", "status"),
    "cursor": ("",),
    "comment_cursor": ("",),
    "idempotency_key": ("the-same-key", "another-key"),
    "since": MOMENTS,
    "until": MOMENTS,
    "updated_since": MOMENTS,
}
BILLED = (
    "stripe:customer:cus_1mywtvy3eHouGC",
    "quickbooks:customer:1",
    "xero:contact:c0a7ac70-0000-4000-8000-000000000001",
    "femi.weber0@mail.example",
)
INVOICES = (
    "stripe:invoice:in_1bked06bgqyjSwxr8JNl87m2",  # a draft
    "stripe:invoice:in_1b49VxGiFVMPB7eCtKihnhib",
    "xero:invoice:1a701ce0-0000-4000-8000-000000000053",
    "quickbooks:invoice:",
)
PAYMENTS = (
    "stripe:payment:pi_3vSKRx3M83cgsU0rfFPSgcEL",
    "stripe:payment:pi_3lpiHp55trVyUXSd2a3z6jZS",
    "shopify:payment:",
)
KNOWN_TO_BILLING: Known = {
    **{name: KNOWN[name] for name in ("cursor", "idempotency_key", "since")},
    "customer_id": BILLED,
    "customer_ids": BILLED,
    "invoice_id": INVOICES,
    "invoice_ids": INVOICES,
    "payment_id": PAYMENTS,
    "order_id": ("#1002", "1003", "shopify:order:800021"),
    "scope_ref": (*BILLED, *INVOICES, *PAYMENTS, "#1002"),
    "number": ("NW-1084", "NW-1220"),
    "currency": ("EUR", "USD", "JPY"),
    "fields": ("invoice_id", "payment_id", "due", "at"),
    "issued_since": MOMENTS,
    "due_before": MOMENTS,
    "from_date": MOMENTS,
    "to_date": MOMENTS,
}
FORESEEN = {"invalid_input", "not_found", "permission_denied", "conflict", "approval_required"}
Call = tuple[str, dict[str, Any]]


def schemas(domain: Domain) -> dict[str, dict[str, Any]]:
    return {spec.name: StrictTool.of(spec).parameters for spec in domain.tools}


def any_call(domain: Domain, known: Known) -> st.SearchStrategy[Call]:
    return st.one_of([st.tuples(st.just(name), calls(schema, known)) for name, schema in schemas(domain).items()])


SCHEMAS = {**schemas(CUSTOMER), **schemas(BILLING)}


@pytest.fixture(scope="module")
async def at_customer() -> AsyncGenerator[Office]:
    async with office(customers=10, hurried=False) as opened:
        yield opened


@pytest.fixture(scope="module")
async def at_billing() -> AsyncGenerator[Office]:
    async with counter(customers=10, hurried=False) as opened:
        yield opened
        must_balance(opened.sandboxes)


@settings(max_examples=100 * len(CUSTOMER.tools), deadline=None)
@given(call=any_call(CUSTOMER, KNOWN))
async def test_a_tool_of_the_customer_server_answers_whatever_it_is_given(at_customer: Office, call: Call):
    await must_answer(at_customer, call)


@settings(max_examples=60 * len(BILLING.tools), deadline=None)
@given(call=any_call(BILLING, KNOWN_TO_BILLING))
async def test_a_tool_of_the_billing_server_answers_whatever_it_is_given(at_billing: Office, call: Call):
    await must_answer(at_billing, call)


async def must_answer(at: Office, call: Call) -> None:
    name, arguments = call
    before = len(at.audit.written)
    result = await at.client.call_tool(name, arguments)
    ended = [record for record in at.audit.written[before:] if record["event"] != "tool.intent"]
    assert [record["tool"] for record in ended] == [name]
    if result.is_error:
        refused_for_a_reason(result, SCHEMAS[name], arguments)
    else:
        sources = arr(obj(result.structured_content).get("sources"))
        assert "internal_error" not in {source.get("error_code") for source in sources}, sources
        assert len(said(result).encode()) <= LARGEST
        assert json.loads(said(result)) == result.structured_content


def refused_for_a_reason(result: CallToolResult, schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    error = obj(result.structured_content)["error"]
    sentence = said(result)
    assert error["code"] in FORESEEN, sentence
    assert error["message"] == sentence == clean(sentence)
    assert 0 < len(sentence) <= LONGEST
    wrong = misfits(schema, arguments)
    if wrong and error["code"] == "invalid_input":
        unnamed = re.search(r"; and \d+ more", sentence)  # what else is wrong, after the first few
        assert unnamed or any(clean(name[:64]) in sentence for name in wrong), (wrong, sentence)


def misfits(schema: dict[str, Any], arguments: dict[str, Any]) -> set[str]:
    """The arguments that the schema or JSON does not have, and those that are missing."""
    parameters = schema["properties"]
    validator: Any = jsonschema.Draft202012Validator(schema)
    wrong = {str(fault.path[0]) for fault in validator.iter_errors(arguments) if fault.path}
    wrong = {name for name in wrong if not tolerated(parameters[name], arguments[name])}
    unsayable = {name for name, value in arguments.items() if not sayable([name, value])}
    missing = set(schema.get("required", ())) - arguments.keys()
    return wrong | unsayable | missing | (arguments.keys() - parameters.keys())


def tolerated(parameter: dict[str, Any], value: Any) -> bool:
    """Models write `null` for what they leave out, `"5"` for 5, `"[]"` for [], and 0 for the beginning of time."""
    if isinstance(value, str):
        return parameter.get("type") != "string"
    return value is None or isinstance(value, int | float)


def sayable(value: Any) -> bool:
    try:
        return bool(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except ValueError:
        return False
