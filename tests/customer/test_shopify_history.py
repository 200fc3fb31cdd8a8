"""A customer's history in Shopify: orders and refunds, merged by their own times, with a cursor that is exact."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.customer.storefront import TODAY, URL, Scripted, Storefront, native, order_id, storefront

from backoffice_customer.models import Contact, Event, EventKind, Ref
from backoffice_customer.ports import Span
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company, order_name

pytestmark = pytest.mark.anyio

EVERYTHING: frozenset[EventKind] = frozenset({"order", "refund"})
ANN = Contact(ref=Ref("shopify", "customer", "5"), name="Ann")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> Storefront:
    return storefront(company)


async def walked(
    shop: Storefront, person: int, size: int, kinds: frozenset[EventKind] = EVERYTHING, span: Span | None = None
) -> list[Event]:
    """The whole history, page by page."""
    events: list[Event] = []
    cursor, more = None, True
    while more:
        page = await shop.shopify.events([shop.contact(person)], kinds, span or Span(), cursor, size)
        assert len(page.items) == size or page.next is None
        events += page.items
        cursor, more = page.next, page.next is not None
    return events


async def refunds_of(shop: Storefront, person: int) -> dict[str, datetime]:
    """When each refund of theirs was made, as their orders say."""
    found: dict[str, datetime] = {}
    for order in shop.company.orders_of[person]:
        if order.payment in ("refunded", "partially_refunded"):
            read = await shop.shopify.order(str(800_001 + order.number), frozenset({"refunds"}))
            found |= {refund.refund_id: refund.at for refund in read.refunds or [] if refund.at is not None}
    return found


@pytest.mark.parametrize("size", [7, 50, 250])
async def test_orders_and_refunds_are_one_history_in_pages_of_any_size(shop: Storefront, size: int) -> None:
    refunds = await refunds_of(shop, KEY_ACCOUNT)
    placed = {order_id(order): order.placed_at.replace(microsecond=0) for order in shop.newest_first(KEY_ACCOUNT)}
    events = await walked(shop, KEY_ACCOUNT, size)
    assert len(refunds) > 50
    assert {event.id: event.at for event in events} == placed | refunds
    assert len(events) == len(placed) + len(refunds)
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)


async def test_pages_of_one_event_each_leave_nothing_out(shop: Storefront) -> None:
    person = next(
        n for n, orders in shop.company.orders_of.items() if {"refunded", "paid"} <= {o.payment for o in orders}
    )
    assert await walked(shop, person, 1) == await walked(shop, person, 50)


@pytest.mark.parametrize(("fulfilment", "end"), [("fulfilled", ""), ("unfulfilled", " Cancelled.")])
async def test_an_order_and_its_refund_are_told_apart(shop: Storefront, fulfilment: str, end: str) -> None:
    refunded = (o for o in shop.newest_first(KEY_ACCOUNT) if o.payment == "refunded")
    order = next(o for o in refunded if o.fulfilment == fulfilment)
    total, url = shop.company.total(order), f"{URL}/admin/orders/{800_001 + order.number}"
    amount, placed = f"{total // 100}.{total % 100:02d} USD", order.placed_at.replace(microsecond=0)
    span = Span(since=placed, until=placed + timedelta(days=12))
    page = await shop.shopify.events([shop.contact(KEY_ACCOUNT)], EVERYTHING, span, None, 50)
    events = {event.id: event for event in page.items}
    assert events[order_id(order)] == Event(
        id=order_id(order),
        kind="order",
        at=placed,
        title=f"Order {order_name(order.number)}",
        summary=f"{amount}. Payment: refunded. Fulfilment: {fulfilment}.{end}",
        direction="in",
        system="shopify",
        url=url,
    )
    refund = f"shopify:refund:{800_001 + order.number}0"
    assert events[refund] == Event(
        id=refund,
        kind="refund",
        at=placed + timedelta(days=3 + order.number % 9),
        title=f"Refund of order {order_name(order.number)}",
        summary=f"{amount}.",
        direction="out",
        system="shopify",
        url=url,
    )


async def test_a_span_holds_the_refunds_made_in_it_of_whichever_orders(shop: Storefront) -> None:
    everything = await walked(shop, KEY_ACCOUNT, 250)
    since, until = TODAY - timedelta(days=200), TODAY - timedelta(days=100)
    span = Span(since=since, until=until)
    events = await walked(shop, KEY_ACCOUNT, 9, span=span)
    assert events == [event for event in everything if since <= event.at <= until]
    first = await shop.shopify.events([shop.contact(KEY_ACCOUNT)], EVERYTHING, span, None, 9)
    assert (first.total, first.estimated, first.capped) == (len(events), False, False)


@pytest.mark.parametrize("kind", ["order", "refund"])
async def test_only_the_kinds_that_are_wanted_are_asked_for(shop: Storefront, kind: EventKind) -> None:
    everything = await walked(shop, KEY_ACCOUNT, 250)
    wanted = [event for event in everything if event.kind == kind]
    other = storefront(shop.company)
    assert await walked(other, KEY_ACCOUNT, 250, frozenset({kind})) == wanted
    page = await other.shopify.events([other.contact(KEY_ACCOUNT)], frozenset({kind}), Span(), None, 5)
    assert page.total == len(wanted)


async def test_somebody_known_only_elsewhere_has_no_history_here(shop: Storefront) -> None:
    elsewhere = Contact(ref=Ref("zendesk", "user", native(KEY_ACCOUNT)), name="Rosa")
    assert (await shop.shopify.events([elsewhere], EVERYTHING, Span(), None, 10)).items == []
    assert shop.asked == 0


# ------------------------------------------------------------------------------------ over answers that are made up


def page_of(things: Sequence[Any], *, edges: bool, after: str | None) -> dict[str, Any]:
    info = {"hasNextPage": after is not None, "endCursor": after}
    rows: dict[str, Any] = {"edges": [{"cursor": f"at {thing['id'][-1]}", "node": thing} for thing in things]}
    return {
        "shop": {"myshopifyDomain": "s.myshopify.com"},
        "orders": {**(rows if edges else {"nodes": things}), "pageInfo": info},
    }


def order(number: int, at: str) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Order/{number}",
        "name": f"#{number}",
        "createdAt": at,
        "cancelledAt": None,
        "email": None,
        "customer": None,
        "totalPriceSet": {"shopMoney": {"amount": "5.0", "currencyCode": "USD"}},
        "displayFinancialStatus": "REFUNDED",
        "displayFulfillmentStatus": "FULFILLED",
        "subtotalLineItemsQuantity": 1,
    }


def refund(number: int, at: str, amount: str = "5.0", note: str | None = None) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Refund/{number}",
        "processedAt": at,
        "note": note,
        "totalRefundedSet": {"shopMoney": {"amount": amount, "currencyCode": "USD"}},
    }


def refunded(number: int, *refunds: Any) -> dict[str, Any]:
    return {"id": f"gid://shopify/Order/{number}", "name": f"#{number}", "refunds": list(refunds)}


NOON, LATER = "2026-03-01T12:00:00Z", "2026-03-02T12:00:00Z"
COUNTED = {"ordersCount": {"count": 2, "precision": "EXACT"}}


async def test_what_happened_at_the_same_moment_is_given_once_across_pages() -> None:
    orders = page_of([order(2, NOON), order(1, NOON)], edges=True, after=None)
    refunds = page_of([refunded(1, refund(8, NOON), refund(9, NOON))], edges=False, after=None)
    first = Scripted([orders | COUNTED, refunds])
    page = await first.shopify.events([ANN], EVERYTHING, Span(), None, 3)
    assert [event.id for event in page.items] == ["shopify:refund:9", "shopify:refund:8", "shopify:order:2"]
    assert (page.total, page.estimated, page.capped) == (4, False, False)

    rest = Scripted([page_of([order(1, NOON)], edges=True, after=None), refunds])
    page = await rest.shopify.events([ANN], EVERYTHING, Span(), page.next, 3)
    assert [event.id for event in page.items] == ["shopify:order:1"]
    assert (page.next, page.total) == (None, None)
    assert rest.asked[0]["after"] == "at 2"


async def test_a_refund_made_while_somebody_pages_moves_nothing() -> None:
    orders = page_of([order(2, NOON), order(1, NOON)], edges=True, after="at 1") | COUNTED
    before = page_of([refunded(1, refund(8, NOON))], edges=False, after=None)
    page = await Scripted([orders, before]).shopify.events([ANN], EVERYTHING, Span(), None, 2)
    assert [event.id for event in page.items] == ["shopify:refund:8", "shopify:order:2"]

    after = page_of([refunded(1, refund(8, NOON), refund(9, LATER))], edges=False, after=None)
    rest = Scripted([page_of([order(1, NOON)], edges=True, after=None), after])
    page = await rest.shopify.events([ANN], EVERYTHING, Span(), page.next, 2)
    assert [event.id for event in page.items] == ["shopify:order:1"]


async def test_a_refund_without_money_is_none_and_a_note_is_cut() -> None:
    refunds = [refund(8, NOON, "0.0"), refund(9, LATER, "1.5", "<b>sorry</b> " * 40)]
    shopify = Scripted([page_of([refunded(1, *refunds)], edges=False, after=None)]).shopify
    page = await shopify.events([ANN], frozenset({"refund"}), Span(), None, 10)
    assert [(event.id, event.summary) for event in page.items] == [
        ("shopify:refund:9", ("1.50 USD. " + "<b>sorry</b> " * 40)[:240])
    ]


async def test_refunds_of_many_orders_are_read_a_page_after_the_other() -> None:
    pages = [
        page_of([refunded(n, refund(n, NOON))], edges=False, after=f"at {n}" if n < 3 else None) for n in range(1, 4)
    ]
    vendor = Scripted(pages)
    page = await vendor.shopify.events([ANN], frozenset({"refund"}), Span(), None, 10)
    assert [event.id for event in page.items] == ["shopify:refund:3", "shopify:refund:2", "shopify:refund:1"]
    assert [asked["after"] for asked in vendor.asked] == [None, "at 1", "at 2"]
    assert not page.capped


async def test_who_has_more_refunds_than_are_read_is_told_so() -> None:
    endless = Scripted([page_of([refunded(n, refund(n, NOON))], edges=False, after=f"at {n}") for n in range(20)])
    page = await endless.shopify.events([ANN], frozenset({"refund"}), Span(), None, 50)
    assert (len(page.items), page.next, page.capped) == (10, None, True)
    often = [refund(number, NOON) for number in range(10)]
    full = Scripted([page_of([refunded(1, *often)], edges=False, after=None)])
    assert (await full.shopify.events([ANN], frozenset({"refund"}), Span(), None, 50)).capped


async def test_a_span_narrows_what_is_looked_through() -> None:
    nothing = page_of([], edges=False, after=None)
    vendor = Scripted([nothing])
    span = Span(since=datetime(2026, 3, 1, tzinfo=UTC), until=datetime(2026, 3, 2, tzinfo=UTC))
    await vendor.shopify.events([ANN], frozenset({"refund"}), span, None, 50)
    assert vendor.asked == [
        {
            "query": '(customer_id:"5") (financial_status:"partially_refunded" OR financial_status:"refunded")'
            ' updated_at:>="2026-03-01T00:00:00Z" created_at:<="2026-03-02T00:00:00Z"',
            "first": 25,
            "after": None,
            "refunds": 10,
        }
    ]
