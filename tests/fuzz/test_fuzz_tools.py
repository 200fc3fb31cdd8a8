"""Whatever a tool is given, it answers: with a result within the bound, or with a sentence that says what is wrong.

Every tool of the server is called through a client, with arguments that its schema accepts and with hostile ones.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types import CallToolResult
from tests.customer.office import Office, office, said
from tests.fuzz.arguments import Known, calls

from backoffice_customer.server import SERVER
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.bounded import LARGEST
from backoffice_shared.mcp.clean import clean
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
SCHEMAS = {spec.name: StrictTool.of(spec).parameters for spec in SERVER.tools}
FORESEEN = {"invalid_input", "not_found", "permission_denied", "conflict"}


@pytest.fixture(scope="module")
async def at() -> AsyncGenerator[Office]:
    async with office(customers=10, hurried=False) as opened:
        yield opened


@settings(max_examples=100 * len(SCHEMAS), deadline=None)
@given(call=st.one_of([st.tuples(st.just(name), calls(schema, KNOWN)) for name, schema in SCHEMAS.items()]))
async def test_a_tool_answers_whatever_it_is_given(at: Office, call: tuple[str, dict[str, Any]]):
    name, arguments = call
    before = len(at.audit.written)
    result = await at.client.call_tool(name, arguments)
    ended = [record for record in at.audit.written[before:] if record["event"] != "tool.intent"]
    assert [record["tool"] for record in ended] == [name]
    if result.is_error:
        refused_for_a_reason(result, SCHEMAS[name], arguments)
    else:
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
        assert any(clean(name[:64]) in sentence for name in wrong), (wrong, sentence)


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
