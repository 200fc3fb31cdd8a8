"""The sandbox's `refundCreate`: what it refuses, in the vendor's words, and that its money adds up at any moment."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.billing.shopify_shop import (
    KEY,
    OTHER_KEY,
    TODAY,
    ShopFront,
    line_id,
    native,
    number,
    order_native,
    pends,
    shop_front,
    some,
    usd,
)

from backoffice_shared.money import Money, from_decimal
from backoffice_shared.sandbox.books import paid_outside
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company, Order
from backoffice_shopify.sandbox.till import PENDS

pytestmark = pytest.mark.anyio

REFUND = """
  mutation ($input: RefundInput!, $key: String!) {
    refundCreate(input: $input) @idempotent(key: $key) {
      refund {
        id
        note
        totalRefundedSet { shopMoney { amount } }
        transactions(first: 5) { nodes { kind status gateway paymentId parentTransaction { id kind } } }
        refundLineItems(first: 5) {
          nodes { quantity restockType restocked lineItem { id } subtotalSet { shopMoney { amount } } }
        }
      }
      order { displayFinancialStatus totalRefundedSet { shopMoney { amount } } }
      userErrors { field message }
    }
  }
"""
UNKEYED = REFUND.replace("@idempotent(key: $key)", "").replace(", $key: String!", "")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> ShopFront:
    return shop_front(company)


def asked(order: Order, amount: str | None = None, **fields: Any) -> dict[str, Any]:
    """What `refundCreate` is given; `fields` go over those of its one transaction, or of the whole."""
    moved = {
        "orderId": f"gid://shopify/Order/{order_native(order)}",
        "parentId": f"gid://shopify/OrderTransaction/{native(order).partition('.')[2]}",
        "kind": "REFUND",
        "gateway": "shopify_payments",
        "amount": amount,
    }
    transactions = [] if amount is None else [{name: fields.pop(name, said) for name, said in moved.items()}]
    return {"orderId": moved["orderId"], "transactions": transactions, **fields}


async def refunded(shop: ShopFront, wanted: dict[str, Any], key: str = KEY) -> dict[str, Any]:
    answer = await shop.wire(REFUND, input=wanted, key=key)
    assert "errors" not in answer
    return answer["data"]["refundCreate"]


async def test_without_the_directive_nothing_is_refunded(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    answer = await shop.wire(UNKEYED, input=asked(order, "1.00"))
    [error] = answer["errors"]
    assert error["message"] == "The @idempotent directive is required for this mutation but was not provided."
    assert (error["path"], error["extensions"]) == (["refundCreate"], {"code": "BAD_REQUEST"})
    assert answer["data"] == {"refundCreate": None}
    assert shop.made(order) == []


@pytest.mark.parametrize("key", ["", " \t"])
async def test_a_blank_key_is_none(shop: ShopFront, key: str) -> None:
    answer = await shop.wire(REFUND, input=asked(some(shop.company, "paid"), "1.00"), key=key)
    assert answer["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}


async def test_a_refund_gives_lines_and_money_back_and_the_order_says_so(shop: ShopFront) -> None:
    order = some(shop.company, "paid", lines=2)
    price = shop.company.products[order.lines[0][0]].price
    lines = [{"lineItemId": f"gid://shopify/LineItem/{line_id(order)}", "quantity": 1, "restockType": "NO_RESTOCK"}]
    given = await refunded(shop, asked(order, "2.50", gateway="whatever", refundLineItems=lines, note="Too late"))
    assert given["userErrors"] == []
    assert given["order"] == {
        "displayFinancialStatus": "PARTIALLY_REFUNDED",
        "totalRefundedSet": {"shopMoney": {"amount": "2.50"}},
    }
    assert given["refund"] == {
        "id": "gid://shopify/Refund/20000001",
        "note": "Too late",
        "totalRefundedSet": {"shopMoney": {"amount": "2.50"}},
        "transactions": {
            "nodes": [
                {
                    "kind": "REFUND",
                    "status": "SUCCESS",
                    "gateway": "shopify_payments",
                    "paymentId": None,
                    "parentTransaction": {"id": asked(order, "1")["transactions"][0]["parentId"], "kind": "SALE"},
                }
            ]
        },
        "refundLineItems": {
            "nodes": [
                {
                    "quantity": 1,
                    "restockType": "NO_RESTOCK",
                    "restocked": False,
                    "lineItem": {"id": f"gid://shopify/LineItem/{line_id(order)}"},
                    "subtotalSet": {"shopMoney": {"amount": f"{price / 100:.2f}"}},
                }
            ]
        },
    }


async def test_a_refund_without_transactions_moves_no_money(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    lines = [{"lineItemId": f"gid://shopify/LineItem/{line_id(order)}", "quantity": 1}]
    given = await refunded(shop, asked(order, refundLineItems=lines))
    assert given["refund"]["totalRefundedSet"] == {"shopMoney": {"amount": "0.00"}}
    assert shop.till.left(order) == shop.company.total(order)


REFUSALS: dict[str, tuple[str | None, dict[str, Any], list[str] | None, str]] = {
    "too much": ("999999.00", {}, None, "Refund amount $999999.00 is greater than net payment received $"),
    "another kind": ("1.00", {"kind": "AUTHORIZATION"}, None, "Kind authorization is not a valid transaction"),
    "no parent": ("1.00", {"parentId": None}, ["transactions"], "Transactions require a parent_id associated with the"),
    "another order's": (
        "1.00",
        {"parentId": "gid://shopify/OrderTransaction/1"},
        ["transactions"],
        "Transactions require a parent_id associated with the order",
    ),
    "nothing": ("0.00", {}, ["transactions"], "Refund amount must be greater than 0"),
    "no such order": (None, {"orderId": "gid://shopify/Order/1"}, ["orderId"], "Order does not exist"),
    "a customer": (None, {"orderId": "gid://shopify/Customer/700001"}, ["orderId"], "Order does not exist"),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_it_refuses_what_the_vendor_refuses(shop: ShopFront, case: str) -> None:
    amount, fields, field, message = REFUSALS[case]
    order = some(shop.company, "paid")
    given = await refunded(shop, asked(order, amount, **fields))
    [error] = given["userErrors"]
    assert (given["refund"], error["field"]) == (None, field)
    assert error["message"].startswith(message)
    assert shop.made(order) == []


async def test_an_order_that_is_not_paid_gives_nothing_back(shop: ShopFront) -> None:
    given = await refunded(shop, asked(some(shop.company, "pending"), "0.01"))
    assert given["userErrors"] == [
        {"field": None, "message": "Refund amount $0.01 is greater than net payment received $0.00"}
    ]


@pytest.mark.parametrize("quantity", [0, -1, 3, 2_000_000_000])
async def test_it_refuses_more_of_a_line_than_there_is(shop: ShopFront, quantity: int) -> None:
    order = some(shop.company, "paid")
    lines = [{"lineItemId": f"gid://shopify/LineItem/{line_id(order)}", "quantity": quantity}]
    given = await refunded(shop, asked(order, refundLineItems=lines))
    assert given["userErrors"] == [
        {
            "field": ["refundLineItems", "0", "quantity"],
            "message": "Quantity cannot refund more items than were purchased",
        }
    ]


@pytest.mark.parametrize("amount", ["x", "1.001", "NaN", "Infinity", "1e-3", ""])
async def test_what_is_no_amount_is_no_request(shop: ShopFront, amount: str) -> None:
    answer = await shop.wire(REFUND, input=asked(some(shop.company, "paid"), amount), key=KEY)
    assert answer["errors"][0]["extensions"] == {"code": "INVALID_VARIABLE"}
    assert answer["data"] == {"refundCreate": None}


@pytest.mark.parametrize(
    "lines",
    [
        [{"lineItemId": "gid://shopify/LineItem/1", "quantity": 1}],
        [{"lineItemId": "gid://shopify/Order/1", "quantity": 1}],
        [{"lineItemId": "1", "quantity": 1}],
    ],
)
async def test_a_line_that_is_not_the_orders_is_no_request(shop: ShopFront, lines: list[dict[str, Any]]) -> None:
    order = some(shop.company, "paid")
    assert (await shop.wire(REFUND, input=asked(order, refundLineItems=lines), key=KEY))["errors"]
    suggestion = """
      query ($id: ID!, $lines: [RefundLineItemInput!]) {
        order(id: $id) { suggestedRefund(refundLineItems: $lines) { amountSet { shopMoney { amount } } } }
      }
    """
    assert (await shop.wire(suggestion, id=f"gid://shopify/Order/{order_native(order)}", lines=lines))["errors"]


async def test_nothing_is_put_back_into_stock_here(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    lines = [{"lineItemId": f"gid://shopify/LineItem/{line_id(order)}", "quantity": 1, "restockType": "RETURN"}]
    assert (await shop.wire(REFUND, input=asked(order, refundLineItems=lines), key=KEY))["errors"]
    assert shop.made(order) == []


async def test_a_key_is_known_for_a_day(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    first = await refunded(shop, asked(order, "1.00"))
    shop.clock.pass_by(timedelta(hours=23, minutes=59))
    assert (await refunded(shop, asked(order, "1.00")))["refund"] == first["refund"]
    other = await refunded(shop, asked(order, "1.01"))
    assert (other["refund"], other["userErrors"]) == (
        None,
        [
            {
                "field": None,
                "message": "The same idempotency key cannot be used with different operation parameters.",
            }
        ],
    )
    shop.clock.pass_by(timedelta(minutes=1))
    assert (await refunded(shop, asked(order, "1.00")))["refund"]["id"] != first["refund"]["id"]


async def test_what_was_refused_uses_up_no_key(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    assert (await refunded(shop, asked(order, "999999.00")))["userErrors"]
    assert (await refunded(shop, asked(order, "1.00")))["userErrors"] == []


async def test_a_refund_that_is_under_way_arrives_by_itself(shop: ShopFront) -> None:
    order = next(
        order
        for order in shop.company.orders
        if order.payment == "paid" and pends(shop.company, order) and not paid_outside(order)
    )

    async def statuses() -> list[str]:
        given = await refunded(shop, asked(order, "1.00"))
        return [moved["status"] for moved in given["refund"]["transactions"]["nodes"]]

    assert await statuses() == ["PENDING"]
    shop.clock.pass_by(PENDS - timedelta(seconds=1))
    assert await statuses() == ["PENDING"]
    shop.clock.pass_by(timedelta(seconds=1))
    assert await statuses() == ["SUCCESS"]


async def test_an_order_is_found_as_refunded_from_then_on(shop: ShopFront) -> None:
    query = "query ($like: String) { orders(first: 250, query: $like) { nodes { name displayFinancialStatus } } }"
    order = next(order for order in shop.company.orders_of[KEY_ACCOUNT] if order.payment == "paid")

    async def found(status: str) -> set[str]:
        answer = await shop.wire(query, like=f"customer_id:{700_001 + KEY_ACCOUNT} financial_status:{status}")
        nodes = answer["data"]["orders"]["nodes"]
        assert {node["displayFinancialStatus"] for node in nodes} <= {status.upper()}
        return {node["name"] for node in nodes}

    assert number(order) in await found("paid")
    await refunded(shop, asked(order, "1.00"))
    assert number(order) in await found("partially_refunded")
    assert number(order) not in await found("paid")
    await refunded(shop, asked(order, f"{shop.till.left(order) / 100:.2f}"), OTHER_KEY)
    assert number(order) in await found("refunded")


TOTALS = """
  query ($id: ID!) {
    order(id: $id) {
      displayFinancialStatus
      totalReceivedSet { shopMoney { amount currencyCode } }
      totalRefundedSet { shopMoney { amount currencyCode } }
      suggestedRefund(suggestFullRefund: true) {
        amountSet { shopMoney { amount currencyCode } }
        maximumRefundableSet { shopMoney { amount currencyCode } }
      }
      transactions(first: 50) { kind amountSet { shopMoney { amount currencyCode } } }
      refunds(first: 50) { totalRefundedSet { shopMoney { amount currencyCode } } }
      lineItems(first: 10) { nodes { quantity refundableQuantity } }
    }
  }
"""


def minor(bag: Any) -> Money:
    return from_decimal(bag["shopMoney"]["amount"], bag["shopMoney"]["currencyCode"])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9_000), st.integers(0, 2)), max_size=12))
def test_the_money_adds_up_whatever_is_asked_for(wanted: list[tuple[int, int, int]]) -> None:
    company = Company(customers=10, today=TODAY)
    shop = shop_front(company)

    async def ask() -> None:
        for nth, (which, amount, quantity) in enumerate(wanted):
            order = company.orders[which]
            line = {"lineItemId": f"gid://shopify/LineItem/{line_id(order)}", "quantity": quantity}
            lines = [line] if quantity else []
            await refunded(shop, asked(order, f"{amount / 100:.2f}", refundLineItems=lines), f"key-{nth}")
            await adds_up(order)

    async def adds_up(order: Order) -> None:
        told = await shop.wire(TOTALS, id=f"gid://shopify/Order/{order_native(order)}")
        wire = told["data"]["order"]
        received, given_back = minor(wire["totalReceivedSet"]), minor(wire["totalRefundedSet"])
        moved = [minor(one["amountSet"]).amount for one in wire["transactions"] if one["kind"] == "REFUND"]
        assert sum(moved) == given_back.amount
        assert sum(minor(refund["totalRefundedSet"]).amount for refund in wire["refunds"]) == given_back.amount
        suggestion = wire["suggestedRefund"]
        assert minor(suggestion["maximumRefundableSet"]) == minor(suggestion["amountSet"]) == received - given_back
        assert usd(0) <= given_back <= received
        assert all(0 <= line["refundableQuantity"] <= line["quantity"] for line in wire["lineItems"]["nodes"])
        stands = "PAID" if not given_back else "PARTIALLY_REFUNDED" if given_back < received else "REFUNDED"
        assert wire["displayFinancialStatus"] == (stands if received else "PENDING")

    asyncio.run(ask())
