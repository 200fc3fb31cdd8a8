"""Orders."""

from __future__ import annotations

import pytest
from tests.customer.office import office

from backoffice_shared.sandbox.company import KEY_ACCOUNT, order_name

pytestmark = pytest.mark.anyio

ROSA = f"hubspot:contact:{100001 + KEY_ACCOUNT}"


async def test_a_customers_orders_are_found_newest_first():
    async with office() as at:
        page = await at.ask("search_orders", customer_id=ROSA, limit=20)
        expected = sorted(at.company.orders_of[KEY_ACCOUNT], key=lambda order: order.placed_at, reverse=True)
        assert [row["number"] for row in page["items"]] == [order_name(order.number) for order in expected[:20]]
        assert page["page"]["total"] == len(expected)


async def test_an_order_is_found_by_the_number_that_people_write():
    async with office() as at:
        order = at.company.orders[3]
        for written in (order_name(order.number), order_name(order.number).removeprefix("#")):
            page = await at.ask("search_orders", order_number=written)
            assert [row["total"]["amount"] for row in page["items"]] == [at.company.total(order)]


async def test_orders_can_be_narrowed_by_both_statuses():
    async with office() as at:
        page = await at.ask(
            "search_orders",
            customer_id=ROSA,
            payment_status=["paid"],
            fulfilment_status=["unfulfilled"],
            limit=50,
        )
        wanted = [
            order
            for order in at.company.orders_of[KEY_ACCOUNT]
            if order.payment == "paid" and order.fulfilment == "unfulfilled"
        ]
        assert len(page["items"]) == len(wanted) > 0


async def test_a_customer_whom_no_shop_knows_has_no_orders_and_the_answer_says_why():
    async with office(customers=200) as at:
        stranger = next(p for p in at.company.people if "shop" not in p.systems and "crm" in p.systems)
        page = await at.ask("search_orders", customer_id=f"hubspot:contact:{100001 + stranger.number}")
        assert (page["items"], page["notes"]) == ([], ["no shop knows this customer"])


async def test_an_order_has_its_lines_and_what_is_refundable_and_more_on_request():
    async with office() as at:
        order = next(o for o in at.company.orders if o.payment == "paid" and o.fulfilment == "fulfilled")
        row = (await at.ask("search_orders", order_number=order_name(order.number)))["items"][0]
        plain = await at.ask("get_order", order_id=row["order_id"])
        assert [(line["qty"], line["unit"]["amount"]) for line in plain["lines"]] == [
            (quantity, at.company.products[product].price) for product, quantity in order.lines
        ]
        assert plain["refundable"] == {"amount": at.company.total(order), "currency": "USD"}
        assert not {"shipments", "payments", "refunds"} & plain.keys()
        whole = await at.ask("get_order", order_id=row["order_id"], include=["shipments", "payments", "refunds"])
        assert whole["payments"][0]["amount"] == plain["total"]
        assert whole["shipments"][0]["tracking"]
        assert whole["refunds"] == []


async def test_an_order_that_does_not_exist_is_a_sentence():
    async with office() as at:
        assert "no such order" in await at.refusal("get_order", order_id="shopify:order:1")
