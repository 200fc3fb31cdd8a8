"""Orders of a Shopify shop in our words: found by what is asked for and nothing more, and read with their sections."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.customer.storefront import (
    HOSTILE,
    SECTIONS,
    TODAY,
    URL,
    Scripted,
    Storefront,
    answering,
    native,
    order_id,
    storefront,
)

from backoffice_customer.backends.shopify import Shopify
from backoffice_customer.models import (
    Contact,
    Order,
    OrderLine,
    OrderRow,
    Payment,
    Ref,
    Refund,
    Return,
    ReturnedLine,
    Shipment,
)
from backoffice_customer.ports import OrderQuery
from backoffice_shared.errors import MalformedAnswer, NotFound
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company, order_name

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> Storefront:
    return storefront(company)


async def test_an_order_is_a_row_with_its_total_and_where_it_stands(shop: Storefront) -> None:
    order = shop.newest_first(KEY_ACCOUNT)[0]
    page = await shop.shopify.search_orders(OrderQuery(customers=(native(KEY_ACCOUNT),)), None, 1)
    assert page.items == [
        OrderRow(
            order_id=order_id(order),
            number=order_name(order.number),
            placed_at=order.placed_at.replace(microsecond=0),
            total=Money(amount=shop.company.total(order), currency="USD"),
            payment_status=order.payment,
            fulfilment_status=order.fulfilment,
            items_count=sum(quantity for _, quantity in order.lines),
            customer_id=f"shopify:customer:{native(KEY_ACCOUNT)}",
            url=f"{URL}/admin/orders/{800_001 + order.number}",
        )
    ]
    assert (page.total, page.estimated) == (len(shop.company.orders_of[KEY_ACCOUNT]), False)


async def test_pages_give_each_order_once_newest_first(shop: Storefront) -> None:
    query = OrderQuery(customers=(native(KEY_ACCOUNT),))
    seen: list[str] = []
    page = await shop.shopify.search_orders(query, None, 50)
    seen += [row.order_id for row in page.items]
    while page.next is not None:
        page = await shop.shopify.search_orders(query, page.next, 50)
        seen += [row.order_id for row in page.items]
    assert seen == [order_id(order) for order in shop.newest_first(KEY_ACCOUNT)]
    assert shop.asked == 5


async def found(shop: Storefront, query: OrderQuery) -> set[str]:
    page = await shop.shopify.search_orders(query, None, 250)
    return {row.order_id for row in page.items}


@pytest.mark.parametrize("status", ["pending", "paid", "partially_refunded", "refunded", "voided"])
async def test_orders_are_found_by_what_became_of_the_payment(shop: Storefront, status: str) -> None:
    wanted = {order_id(order) for order in shop.newest_first(KEY_ACCOUNT) if order.payment == status}
    assert await found(shop, OrderQuery(customers=(native(KEY_ACCOUNT),), payment=(status,))) == wanted


async def test_orders_are_found_by_any_of_several_statuses_and_all_other_conditions(shop: Storefront) -> None:
    since = TODAY - timedelta(days=200)
    wanted = {
        order_id(order)
        for order in shop.newest_first(KEY_ACCOUNT)
        if order.fulfilment in ("unfulfilled", "partial") and order.payment == "paid" and order.placed_at >= since
    }
    query = OrderQuery(
        customers=(native(KEY_ACCOUNT), native(1)),
        payment=("paid",),
        fulfilment=("unfulfilled", "partial"),
        email=shop.company.people[KEY_ACCOUNT].email.upper(),
        since=since,
    )
    assert wanted
    assert await found(shop, query) == wanted


@pytest.mark.parametrize("written", ["#{}", "{}"])
async def test_an_order_is_found_by_its_number_with_or_without_the_hash(shop: Storefront, written: str) -> None:
    order = shop.newest_first(KEY_ACCOUNT)[7]
    number = written.format(order_name(order.number).removeprefix("#"))
    assert await found(shop, OrderQuery(number=number)) == {order_id(order)}


async def test_orders_are_found_by_what_was_bought(shop: Storefront) -> None:
    product = shop.company.products[11]
    wanted = {order_id(order) for order in shop.company.orders if any(bought == 11 for bought, _ in order.lines)}
    assert wanted
    assert await found(shop, OrderQuery(sku=product.sku.lower())) == wanted


async def test_somebody_elses_orders_are_not_taken_for_those_of_a_shorter_address(shop: Storefront) -> None:
    local, _, domain = shop.company.people[KEY_ACCOUNT].email.partition("@")
    page = await shop.shopify.search_orders(OrderQuery(email=f"{local.partition('.')[2]}@{domain}"), None, 10)
    assert page.items == []
    assert page.estimated


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_finds_nothing_more(shop: Storefront, text: str) -> None:
    for query in (
        OrderQuery(number=text),
        OrderQuery(email=text),
        OrderQuery(sku=text),
        OrderQuery(payment=(text,)),
        OrderQuery(fulfilment=(text,)),
        OrderQuery(customers=(text,)),
    ):
        assert await found(shop, query) == set()
    assert await shop.shopify.contacts_by_email([text]) == []
    with pytest.raises(NotFound):
        await shop.shopify.order(text, SECTIONS)


async def test_orders_of_a_customer_are_counted_since_a_day(shop: Storefront) -> None:
    since = TODAY - timedelta(days=365)
    recent = [order for order in shop.company.orders_of[KEY_ACCOUNT] if order.placed_at >= since]
    assert await shop.shopify.count_orders(shop.contact(KEY_ACCOUNT), since) == len(recent)
    elsewhere = Contact(ref=Ref("hubspot", "contact", native(KEY_ACCOUNT)), name="Rosa")
    assert await shop.shopify.count_orders(elsewhere, since) == 0


async def test_an_order_has_its_lines_and_what_can_still_be_refunded(shop: Storefront) -> None:
    order = next(o for o in shop.newest_first(KEY_ACCOUNT) if o.payment == "paid" and o.fulfilment == "unfulfilled")
    total = Money(amount=shop.company.total(order), currency="USD")
    products = shop.company.products
    assert await shop.shopify.order(str(800_001 + order.number), frozenset()) == Order(
        order_id=order_id(order),
        number=order_name(order.number),
        placed_at=order.placed_at.replace(microsecond=0),
        total=total,
        refundable=total,
        payment_status="paid",
        fulfilment_status="unfulfilled",
        customer_id=f"shopify:customer:{native(KEY_ACCOUNT)}",
        email=shop.company.people[KEY_ACCOUNT].email,
        url=f"{URL}/admin/orders/{800_001 + order.number}",
        lines=[
            OrderLine(
                sku=products[product].sku,
                title=products[product].title,
                qty=quantity,
                fulfillable_qty=quantity,
                refundable_qty=quantity,
                unit=Money(amount=products[product].price, currency="USD"),
            )
            for product, quantity in order.lines
        ],
    )


async def test_an_order_has_the_sections_that_are_asked_for(shop: Storefront) -> None:
    order = next(o for o in shop.newest_first(KEY_ACCOUNT) if o.payment == "refunded" and o.fulfilment == "fulfilled")
    placed, total = order.placed_at.replace(microsecond=0), Money(amount=shop.company.total(order), currency="USD")
    number, repaid = 800_001 + order.number, placed + timedelta(days=3 + order.number % 9)
    tracking = f"NW{number:010d}"
    got = await shop.shopify.order(str(number), SECTIONS)
    assert got.cancelled_at is None
    assert got.refundable == Money(amount=0, currency="USD")
    assert [line.refundable_qty for line in got.lines] == [0] * len(order.lines)
    assert got.shipments == [
        Shipment(
            status="delivered",
            carrier="Parcel Post",
            tracking=tracking,
            tracking_url=f"https://parcels.example/{tracking}",
            eta=placed + timedelta(days=5),
            location="Hamburg warehouse",
        )
    ]
    assert got.payments == [
        Payment(at=placed, kind="sale", status="success", amount=total, gateway="Shopify Payments"),
        Payment(at=repaid, kind="refund", status="success", amount=total, gateway="Shopify Payments"),
    ]
    assert got.refunds == [Refund(refund_id=f"shopify:refund:{number}0", at=repaid, amount=total)]
    reason = "Too tight: At the shoulders" if number % 2 else "Arrived late"
    assert got.returns == [
        Return(
            return_id=f"shopify:return:{number}",
            status="closed",
            lines=[
                ReturnedLine(title=shop.company.products[product].title, qty=quantity, reason=reason)
                for product, quantity in order.lines
            ],
        )
    ]
    less = await shop.shopify.order(str(number), frozenset({"refunds"}))
    assert (less.shipments, less.payments, less.refunds, less.returns) == (None, None, got.refunds, None)


async def test_what_was_paid_back_before_it_was_sent_was_cancelled(shop: Storefront) -> None:
    order = next(o for o in shop.company.orders if o.payment == "refunded" and o.fulfilment == "unfulfilled")
    got = await shop.shopify.order(str(800_001 + order.number), frozenset({"refunds", "shipments"}))
    assert got.refunds is not None
    assert got.cancelled_at == got.refunds[0].at
    assert got.shipments == []
    assert [line.fulfillable_qty for line in got.lines] == [0] * len(order.lines)


async def test_an_order_that_does_not_exist_is_not_found(shop: Storefront) -> None:
    with pytest.raises(NotFound, match=r"^Shopify: no such order: '999'\.$"):
        await shop.shopify.order("999", frozenset())


async def test_what_cannot_be_an_orders_id_is_not_found_without_asking(shop: Storefront) -> None:
    with pytest.raises(NotFound, match="no such order: '#1001'"):
        await shop.shopify.order("#1001", frozenset())
    assert shop.asked == 0


def order_wire(**changed: Any) -> dict[str, Any]:
    """An order as Shopify writes one: a guest's, in yen, of something that needs no shipping."""
    yen = {"shopMoney": {"amount": "1500.0", "currencyCode": "JPY"}}
    return {
        "id": "gid://shopify/Order/7",
        "name": "EN7",
        "createdAt": "2026-01-02T03:04:05Z",
        "cancelledAt": None,
        "email": None,
        "customer": None,
        "totalPriceSet": yen,
        "displayFinancialStatus": "PAID",
        "displayFulfillmentStatus": "FULFILLMENT_NOT_REQUIRED",
        "subtotalLineItemsQuantity": 1,
        "suggestedRefund": None,
        "lineItems": {
            "nodes": [
                {
                    "sku": "",
                    "name": "Gift card",
                    "quantity": 1,
                    "unfulfilledQuantity": 0,
                    "refundableQuantity": 1,
                    "originalUnitPriceSet": yen,
                }
            ],
            "pageInfo": {"hasNextPage": False},
        },
        **changed,
    }


def shop_with(order: Mapping[str, Any]) -> Shopify:
    return answering({"shop": {"myshopifyDomain": "s.myshopify.com"}, "order": order})


async def test_a_guests_order_has_no_customer() -> None:
    yen = Money(amount=1500, currency="JPY")
    assert await shop_with(order_wire()).order("7", frozenset()) == Order(
        order_id="shopify:order:7",
        number="EN7",
        placed_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        total=yen,
        payment_status="paid",
        fulfilment_status="fulfilled",
        url="https://s.myshopify.com/admin/orders/7",
        lines=[OrderLine(title="Gift card", qty=1, fulfillable_qty=0, refundable_qty=1, unit=yen)],
    )


async def test_an_order_with_more_lines_than_we_read_says_so() -> None:
    cut: dict[str, Any] = {"nodes": [], "pageInfo": {"hasNextPage": True}}
    order = await shop_with(order_wire(lineItems=cut)).order("7", frozenset())
    assert order.notes == ["lines: only the first 100 are in here"]


def many(section: str, count: int, parcels: int = 1) -> dict[str, Any]:
    """An order with so many of something, of which Shopify does not say whether there are more."""
    yen = {"shopMoney": {"amount": "1.0", "currencyCode": "JPY"}}
    one: dict[str, Any] = {
        "id": "gid://shopify/Refund/1",
        "status": "SUCCESS",
        "displayStatus": None,
        "estimatedDeliveryAt": None,
        "location": None,
        "trackingInfo": [{"company": "DHL", "number": "1", "url": None}] * parcels,
        "createdAt": "2026-01-02T03:04:05Z",
        "processedAt": None,
        "kind": "SALE",
        "formattedGateway": None,
        "amountSet": yen,
        "note": None,
        "totalRefundedSet": yen,
    }
    return order_wire(**{section: [one] * count})


@pytest.mark.parametrize(
    ("wire", "notes"),
    [
        (many("fulfillments", 19, parcels=4), []),
        (many("fulfillments", 20), ["shipments: the first 20 are in here, and there may be more"]),
        (
            many("fulfillments", 2, parcels=5),
            ["shipments: the first 5 parcels of each are in here, and there may be more"],
        ),
        (many("transactions", 49), []),
        (many("transactions", 50), ["payments: the first 50 are in here, and there may be more"]),
        (many("refunds", 49), []),
        (many("refunds", 50), ["refunds: the first 50 are in here, and there may be more"]),
    ],
)
async def test_an_order_with_as_much_of_something_as_we_read_says_so(wire: dict[str, Any], notes: list[str]) -> None:
    assert (await shop_with(wire).order("7", SECTIONS)).notes == notes


async def test_what_is_read_of_an_order_is_what_is_said_to_be_read() -> None:
    scripted = Scripted([{"shop": {"myshopifyDomain": "s.myshopify.com"}, "order": order_wire()}])
    await scripted.shopify.order("7", frozenset({"refunds"}))
    assert scripted.asked == [
        {
            "id": "gid://shopify/Order/7",
            "lines": 100,
            "returnsFirst": 5,
            "returnedLines": 10,
            "shipmentsFirst": 20,
            "parcels": 5,
            "paymentsFirst": 50,
            "refundsFirst": 50,
            "shipments": False,
            "payments": False,
            "refunds": True,
            "returns": False,
        }
    ]


async def test_each_parcel_is_a_shipment_and_so_is_one_that_cannot_be_followed() -> None:
    sent = {"status": "SUCCESS", "displayStatus": None, "estimatedDeliveryAt": None, "location": None}
    parcels = [{"company": "DHL", "number": "1", "url": None}, {"company": "DHL", "number": "2", "url": None}]
    fulfillments: list[Any] = [{**sent, "trackingInfo": parcels}, {**sent, "trackingInfo": []}]
    order = await shop_with(order_wire(fulfillments=fulfillments)).order("7", frozenset({"shipments"}))
    assert order.shipments == [
        Shipment(status="success", carrier="DHL", tracking="1"),
        Shipment(status="success", carrier="DHL", tracking="2"),
        Shipment(status="success"),
    ]


async def test_a_return_says_what_came_back_and_why() -> None:
    coat = {"fulfillmentLineItem": {"lineItem": {"name": "Coat"}}}
    line = {"quantity": 1, "returnReasonDefinition": {"name": "Too tight"}, "returnReasonNote": ""}
    lines: list[dict[str, Any]] = [
        {**line, **coat},
        {**line, **coat, "quantity": 2, "returnReasonNote": "in the arms"},
        {**line, **coat, "returnReasonDefinition": None, "returnReasonNote": "Changed my mind"},
        {**line, "returnReasonDefinition": None},
    ]
    more = {"hasNextPage": True}
    requested: dict[str, Any] = {
        "id": "gid://shopify/Return/3",
        "status": "REQUESTED",
        "returnLineItems": {"nodes": lines, "pageInfo": more},
    }
    order = await shop_with(order_wire(returns={"nodes": [requested], "pageInfo": more})).order("7", SECTIONS)
    assert order.returns == [
        Return(
            return_id="shopify:return:3",
            status="requested",
            lines=[
                ReturnedLine(title="Coat", qty=1, reason="Too tight"),
                ReturnedLine(title="Coat", qty=2, reason="Too tight: in the arms"),
                ReturnedLine(title="Coat", qty=1, reason="Changed my mind"),
                ReturnedLine(title="an item that is not on this order", qty=1),
            ],
        )
    ]
    assert order.notes == [
        "returns: only the first 5 are in here",
        "returns: only the first 10 lines of each are in here",
    ]


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("PENDING", "pending"),
        ("AUTHORIZED", "pending"),
        ("PARTIALLY_PAID", "pending"),
        ("PAID", "paid"),
        ("PARTIALLY_REFUNDED", "partially_refunded"),
        ("REFUNDED", "refunded"),
        ("VOIDED", "voided"),
        ("EXPIRED", "voided"),
        (None, "pending"),
    ],
)
async def test_every_payment_status_of_theirs_is_one_of_ours(theirs: str | None, ours: str) -> None:
    order = await shop_with(order_wire(displayFinancialStatus=theirs)).order("7", frozenset())
    assert order.payment_status == ours


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("FULFILLED", "fulfilled"),
        ("PARTIALLY_FULFILLED", "partial"),
        ("UNFULFILLED", "unfulfilled"),
        ("ON_HOLD", "unfulfilled"),
        ("SCHEDULED", "unfulfilled"),
        ("IN_PROGRESS", "unfulfilled"),
        ("REQUEST_DECLINED", "unfulfilled"),
    ],
)
async def test_every_fulfilment_status_of_theirs_is_one_of_ours(theirs: str, ours: str) -> None:
    order = await shop_with(order_wire(displayFulfillmentStatus=theirs)).order("7", frozenset())
    assert order.fulfilment_status == ours


@pytest.mark.parametrize(
    "changed",
    [
        {"totalPriceSet": {"shopMoney": {"amount": "1.5", "currencyCode": "JPY"}}},
        {"totalPriceSet": None},
        {"displayFinancialStatus": "ON_THE_MOON"},
        {"lineItems": 7},
        {"id": None},
    ],
)
async def test_an_order_that_makes_no_sense_is_not_guessed_at(changed: Mapping[str, Any]) -> None:
    with pytest.raises(MalformedAnswer):
        await shop_with(order_wire(**changed)).order("7", frozenset())
