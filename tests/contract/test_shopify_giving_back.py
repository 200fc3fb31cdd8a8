"""Refunds in Shopify's sandbox, held against the vendor: its Python client, and its schema of 2026-10.

The client, the schema and what is done with them are those of `test_shopify.py`.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import (
    FieldNode,
    GraphQLSchema,
    NoDeprecatedCustomRule,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    parse,
    validate,
)
from tests.billing.shopify_shop import (
    KEY,
    OTHER_KEY,
    TODAY,
    connected,
    draft,
    line_id,
    native,
    number,
    order_native,
    some,
)
from tests.contract.points import points
from tests.contract.test_shopify import Recorder, theirs, told, vendors_client

from backoffice_billing.backends.shopify import queries, shopify_sandbox
from backoffice_billing.ports import ReturnedLine
from backoffice_customer.backends.shopify import queries as customers_queries
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox
from backoffice_shopify.backend import WRITTEN
from backoffice_shopify.sandbox import SCHEMA, shop_of

pytestmark = pytest.mark.anyio

__all__ = ["theirs"]  # a fixture

DOCUMENTS = {name: text for name, text in vars(queries).items() if name.isupper() and isinstance(text, str)}
SENT = {name: text for name, text in DOCUMENTS.items() if name[0] != "_"}
KINDS = ("query", "mutation")
WITHOUT_A_CAUSE = {
    "MORE_LINES",
    "NOTES",
    "REFUNDED",
}  # for an order of very many lines, and for an answer that was lost

THEIRS = """
  mutation ($input: RefundInput!) {
    refundCreate(input: $input) @idempotent(key: "of-the-vendors-client") {
      refund { id totalRefundedSet { shopMoney { amount } } }
      userErrors { field message }
    }
  }
"""


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
async def sent(company: Company) -> list[dict[str, Any]]:
    """One request of every kind that the adapter makes, but for those without a cause."""
    recorder = Recorder(InProcess(shopify_sandbox(company)))
    shopify, order = connected(recorder), some(company, "paid", lines=2)
    await shopify.order(number(order))
    await shopify.order_by_id(order_native(order))
    await shopify.suggested(order_native(order), [ReturnedLine(line_id(order), 1)])
    await shopify.refund(draft(order, 250, ReturnedLine(line_id(order), 1)), KEY)
    await shopify.payment(native(order), frozenset({"refunds", "dispute", "fees", "risk"}))
    await shopify.payment(native(order), frozenset())
    await shopify.refunds_of(company.people[order.person].email, order.placed_at)
    return recorder.sent


async def test_the_vendors_client_gets_an_answer_to_everything_that_we_ask(
    company: Company, sent: list[dict[str, Any]]
) -> None:
    with vendors_client(shopify_sandbox(company)) as client:
        for request in sent:
            answer = json.loads(client.GraphQL().execute(request["query"], request["variables"]))
            assert "errors" not in answer
            assert all(answer["data"].values())


def state(sandbox: VendorSandbox, order: Any) -> Any:
    """Of an order's money: all that differs between two sandboxes is when something was done, and what was noted."""
    till = shop_of(sandbox).till
    refunds = [(refund.number, refund.amount, refund.lines) for refund in till.refunds(order)]
    moved = [(one.kind, one.status, one.amount, one.gateway, one.parent) for one in till.transactions(order)]
    return refunds, moved, till.left(order), till.units_left(order), till.payment_status(order)


@pytest.mark.parametrize("amount", [1, 250])
@pytest.mark.parametrize("units", [0, 1])
@pytest.mark.parametrize("payment", ["paid", "partially_refunded"])
async def test_what_we_refund_is_what_the_vendors_client_refunds(
    company: Company, payment: str, amount: int, units: int
) -> None:
    order = some(company, payment)
    mine, others = shopify_sandbox(company), shopify_sandbox(company)
    lines = [ReturnedLine(line_id(order), units)] if units else []
    await connected(InProcess(mine)).refund(draft(order, amount, *lines), KEY)

    with vendors_client(others) as client:
        gid = f"gid://shopify/Order/{order_native(order)}"
        item = {"lineItemId": f"gid://shopify/LineItem/{line_id(order)}", "quantity": 1, "restockType": "NO_RESTOCK"}
        moved = {
            "orderId": gid,
            "parentId": f"gid://shopify/OrderTransaction/{native(order).partition('.')[2]}",
            "kind": "REFUND",
            "gateway": "shopify_payments",
            "amount": f"{amount / 100:.2f}",
        }
        wanted = {"orderId": gid, "transactions": [moved], "refundLineItems": [item] * units, "note": "Theirs"}
        made = [told(client, THEIRS, input=wanted)["refundCreate"] for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]["userErrors"] == []
    assert state(mine, order) == state(others, order) != state(shopify_sandbox(company), order)


async def test_a_refund_of_the_vendors_client_is_read_by_us_and_ours_by_it(company: Company) -> None:
    order, sandbox = some(company, "paid"), shopify_sandbox(company)
    ours = await connected(InProcess(sandbox)).refund(draft(order, 250), OTHER_KEY)
    query = "query ($id: ID!) { refund(id: $id) { note totalRefundedSet { shopMoney { amount } } } }"
    with vendors_client(sandbox) as client:
        native_id = ours.value.refund_id.rpartition(":")[2]
        seen = told(client, query, id=f"gid://shopify/Refund/{native_id}")["refund"]
    assert seen == {
        "note": f"requested_by_customer (backoffice {OTHER_KEY})",
        "totalRefundedSet": {"shopMoney": {"amount": "2.50"}},
    }


# ------------------------------------------------------------------------------------------- the vendor's schema


async def test_every_document_that_there_is_can_be_sent(sent: list[dict[str, Any]]) -> None:
    asked = {request["query"] for request in sent}
    assert {name for name, text in SENT.items() if text not in asked} == WITHOUT_A_CAUSE


@pytest.mark.parametrize("name", SENT)
def test_every_document_is_valid_to_the_vendor_and_nothing_in_it_is_on_its_way_out(
    theirs: GraphQLSchema, name: str
) -> None:
    document = parse(SENT[name])
    assert validate(theirs, document) == []
    assert validate(theirs, document, [NoDeprecatedCustomRule]) == []


@pytest.mark.parametrize("name", SENT)
def test_every_document_is_valid_to_the_sandbox(name: str) -> None:
    assert validate(build_schema(SCHEMA.read_text(encoding="utf-8")), parse(SENT[name])) == []


def test_by_the_names_of_its_parts_an_answer_to_a_write_is_told_from_one_to_a_read() -> None:
    """A refund that was made and can only be told in part would otherwise be taken for a refusal."""
    written: set[str] = set()
    read: set[str] = set()
    for text in (text for module in (queries, customers_queries) for text in vars(module).values()):
        for part in parse(text).definitions if isinstance(text, str) and text.lstrip().startswith(KINDS) else ():
            if isinstance(part, OperationDefinitionNode):
                names = {
                    (field.alias or field.name).value
                    for field in part.selection_set.selections
                    if isinstance(field, FieldNode)
                }
                (written if part.operation is OperationType.MUTATION else read).update(names)
    assert written == WRITTEN
    assert read
    assert not read & WRITTEN


def test_the_directive_is_the_vendors(theirs: GraphQLSchema) -> None:
    shapes: list[Any] = []
    for schema in (build_schema(SCHEMA.read_text(encoding="utf-8")), theirs):
        directive: Any = schema.get_directive("idempotent")
        shapes.append((directive.locations, {name: str(argument.type) for name, argument in directive.args.items()}))
    assert shapes[0] == shapes[1]


async def test_no_document_costs_more_than_a_query_may(theirs: GraphQLSchema, sent: list[dict[str, Any]]) -> None:
    costs = [points(theirs, request["query"], request["variables"]) for request in sent]
    costs.append(points(theirs, queries.MORE_LINES, {"lines": queries.LINES}))
    costs.append(points(theirs, queries.NOTES, {"first": queries.MARKED}))
    costs.append(points(theirs, queries.REFUNDED, {"parts": queries.PARTS}))
    assert min(costs) > 0
    assert max(costs) <= 1_000
