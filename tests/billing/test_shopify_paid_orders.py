"""Orders of the shop, as far as they were paid: who took the money, what is left, and what lines come to."""

from __future__ import annotations

import pytest
from tests.billing.shopify_shop import (
    TODAY,
    Scripted,
    ShopFront,
    bag,
    draft,
    line,
    line_id,
    number,
    order_native,
    page,
    shop_front,
    some,
    transaction,
    usd,
    whole_order,
)

from backoffice_billing.models import OrderLine, OrderPayment, PaidOrder
from backoffice_billing.ports import ReturnedLine
from backoffice_shared.errors import InvalidInput, MalformedAnswer, NotFound, TooLarge
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> ShopFront:
    return shop_front(company)


# ------------------------------------------------------------------------------------------------------- orders


@pytest.mark.parametrize("written", ["#{n}", "{n}", " #{n} "])
async def test_an_order_is_found_by_its_number_as_people_write_it_and_by_its_id(shop: ShopFront, written: str) -> None:
    order = some(shop.company, "paid", lines=2)
    found = await shop.shopify.order(written.format(n=1001 + order.number))
    assert await shop.shopify.order_by_id(order_native(order)) == found
    paid = usd(shop.company.total(order))
    assert found == PaidOrder(
        order_id=f"shopify:order:{order_native(order)}",
        number=number(order),
        customer_email=shop.company.people[order.person].email,
        total=paid,
        received=paid,
        refunded=usd(0),
        placed_at=order.placed_at.replace(microsecond=0),
        payments=[
            OrderPayment(
                payment_id=f"shopify:payment:{order_native(order)}.{order_native(order)}0",
                gateway="shopify_payments",
                by_shop=True,
                amount=paid,
            )
        ],
        lines=[
            OrderLine(
                line_id=line_id(order, position),
                sku=shop.company.products[product].sku,
                title=shop.company.products[product].title,
                quantity=quantity,
                refundable=quantity,
                unit=usd(shop.company.products[product].price),
            )
            for position, (product, quantity) in enumerate(order.lines)
        ],
    )


async def test_of_an_order_that_the_companys_checkout_took_the_money_for_the_payment_is_named(shop: ShopFront) -> None:
    order = some(shop.company, "paid", outside=True)
    charge = next(payment for payment in shop.company.books.payments if payment.order == order.number)
    [paid] = (await shop.shopify.order(number(order))).payments
    assert (paid.gateway, paid.by_shop, paid.amount) == ("stripe", False, usd(charge.amount))
    assert paid.reference == shop.till.reference(order)


async def test_which_gateways_are_the_shops_own_is_an_option(company: Company) -> None:
    shop = shop_front(company, gateways="shop_cash, Stripe")
    own = await shop.shopify.order(number(some(company, "paid")))
    order = some(company, "paid", outside=True)
    outside = await shop.shopify.order(number(order))
    assert [payment.by_shop for payment in own.payments] == [False]
    reference = shop.till.reference(order)
    assert reference is not None
    assert [(payment.by_shop, payment.reference) for payment in outside.payments] == [(True, reference)]


async def test_an_order_that_is_not_paid_yet_has_received_nothing(shop: ShopFront) -> None:
    order = some(shop.company, "pending")
    found = await shop.shopify.order(number(order))
    assert (found.received, found.payments, found.total) == (usd(0), [], usd(shop.company.total(order)))


async def test_what_was_given_back_is_what_the_companys_facts_say(shop: ShopFront) -> None:
    order = some(shop.company, "partially_refunded")
    found = await shop.shopify.order(number(order))
    assert found.refunded == usd(sum(repaid.amount for repaid in shop.company.books.repaid(order)))
    whole = await shop.shopify.order(number(some(shop.company, "refunded")))
    assert whole.refunded == whole.received
    assert {line.refundable for line in whole.lines} == {0}


HOSTILE = (
    'x" OR name:"#1001',
    "x' OR name:'#1001",
    """x"' OR name:#1001 OR name:"'""",
    "x\\",
    "*",
    "",
    "#",
    "9" * 200,
    "0",
    "-1",
    "1001 OR 1002",
    "1001\n",
    "\u0661\u0660\u0660\u0661",
    "\x00",
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_finds_no_order(shop: ShopFront, text: str) -> None:
    if text.strip() != "1001":  # which is a number, as people write it
        with pytest.raises(NotFound):
            await shop.shopify.order(text)
    with pytest.raises(NotFound, match="no such order"):
        await shop.shopify.order_by_id(text)


async def test_an_order_whose_number_only_begins_so_is_not_taken_for_it() -> None:
    longer = {**whole_order()["order"], "name": "#1042-B"}
    with pytest.raises(NotFound):
        await Scripted([{"orders": {"nodes": [longer]}}]).shopify.order("#1042")


async def test_neither_is_an_id_taken_for_a_number_nor_a_number_for_an_id(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(NotFound, match=f"no such order: '{order_native(order)}'"):
        await shop.shopify.order(order_native(order))
    for name in (number(order), number(order)[1:]):
        with pytest.raises(NotFound, match=f"no such order: '{name}'"):
            await shop.shopify.order_by_id(name)
        with pytest.raises(NotFound, match=f"no such order: '{name}'"):
            await shop.shopify.suggested(name, [])


async def test_a_number_that_is_also_another_orders_id_is_each_where_it_is_meant() -> None:
    other = {**whole_order()["order"], "id": "gid://shopify/Order/1042", "name": "#7"}
    answers = {"order": other, "orders": {"nodes": [whole_order()["order"]]}}
    assert (await Scripted([answers]).shopify.order("1042")).order_id == "shopify:order:5"
    assert (await Scripted([answers]).shopify.order_by_id("1042")).number == "#7"


async def test_of_several_orders_of_one_number_none_is_guessed() -> None:
    same = {**whole_order()["order"], "id": "gid://shopify/Order/6"}
    answers = {"orders": {"nodes": [whole_order()["order"], same]}}
    with pytest.raises(InvalidInput, match=r"'1042' are several orders\. Give shopify:order:5 or shopify:order:6"):
        await Scripted([answers]).shopify.order("1042")


async def test_an_order_is_never_read_from_a_cache(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    before = await shop.shopify.order(number(order))
    shop.till.refund(order, [100], (), None)
    after = await shop.shopify.order(number(order))
    assert (before.refunded, after.refunded) == (usd(0), usd(100))


async def test_amounts_are_in_the_currency_that_the_customer_paid_in() -> None:
    paid = transaction(amountSet=bag("1000", "JPY", shop="6.5"))
    data = whole_order(paid, currency="JPY", totalPriceSet=bag("1000.0", "JPY", shop="6.5"))
    found = await Scripted([data]).shopify.order_by_id("5")
    assert found.total == Money(amount=1000, currency="JPY")
    assert found.payments[0].amount == Money(amount=1000, currency="JPY")
    dinars = await Scripted([whole_order(totalPriceSet=bag("1.234", "KWD"))]).shopify.order_by_id("5")
    assert dinars.total == Money(amount=1234, currency="KWD")


async def test_money_finer_than_its_currency_is_no_answer() -> None:
    with pytest.raises(MalformedAnswer):
        await Scripted([whole_order(totalPriceSet=bag("1.234", "USD"))]).shopify.order_by_id("5")


async def test_only_money_that_arrived_is_a_payment() -> None:
    moved = (
        transaction("AUTHORIZATION", id="gid://shopify/OrderTransaction/1"),
        transaction("CAPTURE", id="gid://shopify/OrderTransaction/2", amount="20.0"),
        transaction("SALE", id="gid://shopify/OrderTransaction/3", status="FAILURE"),
        transaction("SALE", id="gid://shopify/OrderTransaction/4", gateway="gift_card", amount="10.0", paymentId=None),
        transaction("REFUND", id="gid://shopify/OrderTransaction/5"),
        transaction("VOID", id="gid://shopify/OrderTransaction/6"),
    )
    found = await Scripted([whole_order(*moved)]).shopify.order_by_id("5")
    assert [(paid.payment_id, paid.by_shop, paid.reference, paid.amount.amount) for paid in found.payments] == [
        ("shopify:payment:5.2", True, "c1.1", 2000),
        ("shopify:payment:5.4", False, None, 1000),
    ]


async def test_an_order_of_many_lines_is_read_to_its_end() -> None:
    first = whole_order(lineItems=page(line(1), after="one"))
    rest = {"order": {"lineItems": page(line(2), after="two")}}, {"order": {"lineItems": page(line(3))}}
    numbered = {"orders": {"nodes": [first["order"]]}}
    script = Scripted([numbered, *rest])
    assert [found.line_id for found in (await script.shopify.order("#1042")).lines] == ["1", "2", "3"]
    assert [asked.get("after") for asked in script.asked] == [None, "one", "two"]


async def test_an_order_without_end_is_refused() -> None:
    with pytest.raises(TooLarge):
        await Scripted([whole_order(lineItems=page(line(1), after="more"))]).shopify.order_by_id("5")


# ---------------------------------------------------------------------------------------------------- suggestions


async def test_lines_come_to_what_they_were_sold_for(shop: ShopFront) -> None:
    order = some(shop.company, "paid", lines=2)
    (first, _), (second, quantity) = order.lines[:2]
    prices = [shop.company.products[product].price for product in (first, second)]
    by_id, by_sku = ReturnedLine(line_id(order), 1), ReturnedLine(shop.company.products[second].sku, quantity)
    assert await shop.shopify.suggested(order_native(order), [by_id]) == usd(prices[0])
    assert await shop.shopify.suggested(order_native(order), [by_id, by_sku]) == usd(prices[0] + quantity * prices[1])
    assert await shop.shopify.suggested(order_native(order), []) == usd(0)


async def test_no_more_is_suggested_than_is_left(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    whole = shop.company.total(order)
    await shop.shopify.refund(draft(order, whole - 100), "k" * 40)
    assert await shop.shopify.suggested(order_native(order), [ReturnedLine(line_id(order), 1)]) == usd(100)


async def test_a_line_that_is_named_twice_counts_twice(shop: ShopFront) -> None:
    order = next(o for o in shop.company.orders if o.payment == "paid" and o.lines[0][1] == 2)
    price = shop.company.products[order.lines[0][0]].price
    once, sku = ReturnedLine(line_id(order), 1), shop.company.products[order.lines[0][0]].sku
    assert await shop.shopify.suggested(order_native(order), [once, ReturnedLine(sku, 1)]) == usd(2 * price)
    with pytest.raises(InvalidInput, match=r"only 2 of .* can still be given back .* not 3"):
        await shop.shopify.suggested(order_native(order), [once, ReturnedLine(sku, 2)])


@pytest.mark.parametrize("quantity", [0, -1])
async def test_a_quantity_is_at_least_one(shop: ShopFront, quantity: int) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(InvalidInput, match="at least 1"):
        await shop.shopify.suggested(order_native(order), [ReturnedLine(line_id(order), quantity)])


@pytest.mark.parametrize("text", ["NW-XX-1", "", "*", 'x" OR sku:"', "8000010", "gid://shopify/LineItem/1"])
async def test_a_line_that_the_order_does_not_have_is_refused_and_those_it_has_are_named(
    shop: ShopFront, text: str
) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(InvalidInput, match=f"Its lines are {line_id(order)} "):
        await shop.shopify.suggested(order_native(order), [ReturnedLine(text, 1)])


async def test_what_was_wholly_given_back_has_no_lines_left(shop: ShopFront) -> None:
    order = some(shop.company, "refunded")
    with pytest.raises(InvalidInput, match="only 0 of"):
        await shop.shopify.suggested(order_native(order), [ReturnedLine(line_id(order), 1)])


async def test_a_sku_on_several_lines_is_not_guessed() -> None:
    data = whole_order(lineItems=page(line(1), line(2), line(3, sku=None)))
    with pytest.raises(InvalidInput, match=r"2 lines with the SKU 'A-1'. Its lines are 1 \(A-1\), 2 \(A-1\)"):
        await Scripted([data]).shopify.suggested("5", [ReturnedLine("A-1", 1)])


async def test_of_an_order_that_does_not_exist_nothing_is_suggested(shop: ShopFront) -> None:
    with pytest.raises(NotFound, match="no such order: '1'"):
        await shop.shopify.suggested("1", [ReturnedLine("1", 1)])
