"""Shopify in our words: its adapter over its sandbox, and over answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.shopify import SHOPIFY, Shopify, shopify_sandbox
from backoffice_customer.backends.shopify.sandbox import CLIENT, TOKEN
from backoffice_customer.backends.shopify.search import AllOf, AnyOf, Not, Query, Term, condition, one_of, parse, words
from backoffice_customer.models import Contact, Event, Order, OrderLine, OrderRow, Payment, Ref, Refund, Shipment
from backoffice_customer.ports import OrderQuery, Span
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.deadline import within
from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    InvalidInput,
    MalformedAnswer,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.http.client import connect
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company, Person, order_name
from backoffice_shared.sandbox.company import Order as Placed
from backoffice_shared.sandbox.frame import Faults, InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
URL = "https://northwind-outfitters.myshopify.com"
SECTIONS = frozenset(("shipments", "payments", "refunds"))


def connected(wire: httpx.AsyncBaseTransport, **secrets: str) -> Shopify:
    fields = {f"shopify_{name}": value for name, value in (secrets or {"access_token": TOKEN}).items()}
    return Shopify(connect(SHOPIFY, wire, EnvironmentCredentials(fields), base_url=URL, clock=ManualClock()))


def answering(data: Mapping[str, Any]) -> Shopify:
    """Whatever is asked, the vendor answers this."""
    return connected(httpx.MockTransport(lambda _request: httpx.Response(200, json={"data": data})))


@dataclass
class Shop:
    company: Company
    sandbox: VendorSandbox
    shopify: Shopify

    @property
    def asked(self) -> int:
        return len(self.sandbox.requests)

    def contact(self, number: int) -> Contact:
        return Contact(ref=Ref("shopify", "customer", native(number)), name=self.company.people[number].name)

    def newest_first(self, person: int) -> list[Placed]:
        return sorted(self.company.orders_of[person], key=lambda order: (order.placed_at, order.number), reverse=True)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> Shop:
    sandbox = shopify_sandbox(company)
    return Shop(company, sandbox, connected(InProcess(sandbox)))


def native(person: int) -> str:
    return str(700_001 + person)


def order_id(order: Placed) -> str:
    return f"shopify:order:{800_001 + order.number}"


def known_to_the_shop(company: Company) -> Iterator[Person]:
    return (person for person in company.people if "shop" in person.systems)


# ------------------------------------------------------------------------------------------------------- people


async def test_a_customer_is_found_by_their_address_whatever_the_case_of_its_letters(shop: Shop) -> None:
    person = shop.company.people[KEY_ACCOUNT]
    spent = sum(shop.company.total(o) for o in shop.company.orders_of[KEY_ACCOUNT] if o.payment != "pending")
    organisation = shop.company.organisation(person)
    assert await shop.shopify.contacts_by_email([person.email.upper()]) == [
        Contact(
            ref=Ref("shopify", "customer", "700003"),
            name=person.name,
            emails=[person.email],
            phones=[person.phone],
            company=organisation.name if organisation else None,
            tags=[] if person.tier == "free" else [person.tier],
            language=person.language,
            country=person.country,
            email_marketing=person.email_consent,
            spent=Money(amount=spent, currency="USD"),
            url=f"{URL}/admin/customers/700003",
            updated_at=person.since.replace(microsecond=0),
        )
    ]


async def test_many_addresses_are_one_request(shop: Shop) -> None:
    people = list(known_to_the_shop(shop.company))
    found = await shop.shopify.contacts_by_email([person.email for person in people])
    assert {contact.ref.native for contact in found} == {native(person.number) for person in people}
    assert shop.asked == 1


async def test_an_address_that_is_only_part_of_another_is_nobodys(shop: Shop) -> None:
    """To Shopify, an address is a phrase: it finds it inside of longer ones."""
    local, _, domain = shop.company.people[KEY_ACCOUNT].email.partition("@")
    _first, _, last = local.partition(".")
    assert await shop.shopify.contacts_by_email([f"{last}@{domain}"]) == []


async def test_contacts_are_those_of_the_ids_that_exist(shop: Shop) -> None:
    found = await shop.shopify.contacts([native(1), "999999999", native(3), "../Order/800001", "", "٣"])
    assert [contact.ref.native for contact in found] == [native(1), native(3)]


async def test_whoever_never_was_in_the_shop_is_not_found_there(shop: Shop) -> None:
    strangers = [person.email for person in shop.company.people if "shop" not in person.systems]
    assert strangers
    assert await shop.shopify.contacts_by_email(strangers) == []


@pytest.mark.parametrize("text", ["maria garcia", "GARC maria", "Mari", "maria.garcia4"])
async def test_customers_are_found_by_the_beginnings_of_their_names(shop: Shop, text: str) -> None:
    assert native(4) in {contact.ref.native for contact in await shop.shopify.search_contacts(text, 10)}


@pytest.mark.parametrize("text", ["zzz OR maria", "-zzz", "NOT zzz", "id:>0", "(zzz) OR (maria)"])
async def test_free_text_is_only_words(shop: Shop, text: str) -> None:
    assert await shop.shopify.search_contacts(text, 10) == []


async def test_a_customer_is_found_by_phone_however_it_is_written(shop: Shop) -> None:
    phone = shop.company.people[3].phone
    found = await shop.shopify.search_contacts(f" {phone[:3]} ({phone[3:6]}) {phone[6:]}", 10)
    assert [contact.ref.native for contact in found] == [native(3)]


async def test_a_search_without_a_word_in_it_asks_nobody(shop: Shop) -> None:
    assert await shop.shopify.search_contacts(" *  -- () ", 10) == []
    assert await shop.shopify.contacts_by_email([]) == []
    assert await shop.shopify.contacts([]) == []
    assert shop.asked == 0


async def test_a_customer_without_address_phone_or_place_has_none() -> None:
    wire: dict[str, Any] = {
        "id": "gid://shopify/Customer/5",
        "displayName": "+1 555 0100",
        "defaultEmailAddress": None,
        "defaultPhoneNumber": None,
        "defaultAddress": None,
        "locale": "",
        "tags": ["VIP"],
        "amountSpent": {"amount": "2000.0", "currencyCode": "JPY"},
        "updatedAt": "2026-01-02T03:04:05Z",
    }
    shopify = answering({"shop": {"myshopifyDomain": "s.myshopify.com"}, "nodes": [wire, None]})
    assert await shopify.contacts(["5", "6"]) == [
        Contact(
            ref=Ref("shopify", "customer", "5"),
            name="+1 555 0100",
            tags=["VIP"],
            spent=Money(amount=2000, currency="JPY"),
            url="https://s.myshopify.com/admin/customers/5",
            updated_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )
    ]


# ------------------------------------------------------------------------------------------------------- orders


async def test_an_order_is_a_row_with_its_total_and_where_it_stands(shop: Shop) -> None:
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


async def test_pages_give_each_order_once_newest_first(shop: Shop) -> None:
    query = OrderQuery(customers=(native(KEY_ACCOUNT),))
    seen: list[str] = []
    page = await shop.shopify.search_orders(query, None, 50)
    seen += [row.order_id for row in page.items]
    while page.next is not None:
        page = await shop.shopify.search_orders(query, page.next, 50)
        seen += [row.order_id for row in page.items]
    assert seen == [order_id(order) for order in shop.newest_first(KEY_ACCOUNT)]
    assert shop.asked == 5


async def found(shop: Shop, query: OrderQuery) -> set[str]:
    page = await shop.shopify.search_orders(query, None, 250)
    return {row.order_id for row in page.items}


@pytest.mark.parametrize("status", ["pending", "paid", "partially_refunded", "refunded", "voided"])
async def test_orders_are_found_by_what_became_of_the_payment(shop: Shop, status: str) -> None:
    wanted = {order_id(order) for order in shop.newest_first(KEY_ACCOUNT) if order.payment == status}
    assert await found(shop, OrderQuery(customers=(native(KEY_ACCOUNT),), payment=(status,))) == wanted


async def test_orders_are_found_by_any_of_several_statuses_and_all_other_conditions(shop: Shop) -> None:
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
async def test_an_order_is_found_by_its_number_with_or_without_the_hash(shop: Shop, written: str) -> None:
    order = shop.newest_first(KEY_ACCOUNT)[7]
    number = written.format(order_name(order.number).removeprefix("#"))
    assert await found(shop, OrderQuery(number=number)) == {order_id(order)}


async def test_orders_are_found_by_what_was_bought(shop: Shop) -> None:
    product = shop.company.products[11]
    wanted = {order_id(order) for order in shop.company.orders if any(bought == 11 for bought, _ in order.lines)}
    assert wanted
    assert await found(shop, OrderQuery(sku=product.sku.lower())) == wanted


async def test_somebody_elses_orders_are_not_taken_for_those_of_a_shorter_address(shop: Shop) -> None:
    local, _, domain = shop.company.people[KEY_ACCOUNT].email.partition("@")
    page = await shop.shopify.search_orders(OrderQuery(email=f"{local.partition('.')[2]}@{domain}"), None, 10)
    assert page.items == []
    assert page.estimated


HOSTILE = (
    f'x" OR customer_id:"{700_001 + KEY_ACCOUNT}',
    "x' OR created_at:>'2000-01-01",
    """x"' OR customer_id:>0 OR name:"'""",
    'x\\" OR customer_id:>0 OR \\',
    "x) OR (customer_id:>0",
    "*",
    "",
)


@pytest.mark.parametrize("text", [text for text in HOSTILE if text])
async def test_hostile_text_finds_nothing_more(shop: Shop, text: str) -> None:
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


async def test_orders_of_a_customer_are_counted_since_a_day(shop: Shop) -> None:
    since = TODAY - timedelta(days=365)
    recent = [order for order in shop.company.orders_of[KEY_ACCOUNT] if order.placed_at >= since]
    assert await shop.shopify.count_orders(shop.contact(KEY_ACCOUNT), since) == len(recent)
    elsewhere = Contact(ref=Ref("hubspot", "contact", native(KEY_ACCOUNT)), name="Rosa")
    assert await shop.shopify.count_orders(elsewhere, since) == 0


async def test_an_order_has_its_lines_and_what_can_still_be_refunded(shop: Shop) -> None:
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


async def test_an_order_has_the_sections_that_are_asked_for(shop: Shop) -> None:
    order = next(o for o in shop.newest_first(KEY_ACCOUNT) if o.payment == "refunded" and o.fulfilment == "fulfilled")
    placed, total = order.placed_at.replace(microsecond=0), Money(amount=shop.company.total(order), currency="USD")
    tracking = f"NW{800_001 + order.number:010d}"
    got = await shop.shopify.order(str(800_001 + order.number), SECTIONS)
    assert got.refundable == Money(amount=0, currency="USD")
    assert [line.refundable_qty for line in got.lines] == [0] * len(order.lines)
    assert got.shipments == [
        Shipment(
            status="delivered",
            carrier="Parcel Post",
            tracking=tracking,
            tracking_url=f"https://parcels.example/{tracking}",
            eta=placed + timedelta(days=5),
            location="Main warehouse",
        )
    ]
    assert got.payments == [
        Payment(at=placed, kind="sale", status="success", amount=total, gateway="Shopify Payments"),
        Payment(
            at=placed + timedelta(days=3), kind="refund", status="success", amount=total, gateway="Shopify Payments"
        ),
    ]
    assert got.refunds == [
        Refund(refund_id=f"shopify:refund:{800_001 + order.number}", at=placed + timedelta(days=3), amount=total)
    ]
    less = await shop.shopify.order(str(800_001 + order.number), frozenset({"refunds"}))
    assert (less.shipments, less.payments, less.refunds) == (None, None, got.refunds)


async def test_an_order_that_does_not_exist_is_not_found(shop: Shop) -> None:
    with pytest.raises(NotFound, match=r"^Shopify: no such order: '999'\.$"):
        await shop.shopify.order("999", frozenset())


async def test_what_cannot_be_an_orders_id_is_not_found_without_asking(shop: Shop) -> None:
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


# ------------------------------------------------------------------------------------------------------ history


async def test_the_orders_of_a_customer_are_their_history(shop: Shop) -> None:
    orders = shop.newest_first(KEY_ACCOUNT)
    newest, until = orders[4], orders[4].placed_at
    span = Span(since=orders[9].placed_at, until=until)
    history = await shop.shopify.events([shop.contact(KEY_ACCOUNT)], span, None, 10)
    assert [event.id for event in history.items] == [order_id(order) for order in orders[4:10]]
    total = shop.company.total(newest)
    assert history.items[0] == Event(
        id=order_id(newest),
        kind="order",
        at=newest.placed_at.replace(microsecond=0),
        title=f"Order {order_name(newest.number)}",
        summary=f"{total // 100}.{total % 100:02d} USD. "
        f"Payment: {newest.payment.replace('_', ' ')}. Fulfilment: {newest.fulfilment}.",
        direction="in",
        system="shopify",
        url=f"{URL}/admin/orders/{800_001 + newest.number}",
    )
    assert (history.next, history.total, history.estimated) == (None, 6, False)


async def test_somebody_known_only_elsewhere_has_no_history_here(shop: Shop) -> None:
    elsewhere = Contact(ref=Ref("zendesk", "user", native(KEY_ACCOUNT)), name="Rosa")
    assert (await shop.shopify.events([elsewhere], Span(), None, 10)).items == []
    assert shop.asked == 0


# --------------------------------------------------------------------------------------------------- when it fails


async def test_when_the_points_are_used_up_the_caller_is_told_how_long_to_wait(shop: Shop) -> None:
    shop.sandbox.faults = Faults(throttle=1.0, retry_after=30)
    with within(5.0), pytest.raises(RateLimited, match="Throttled") as refused:
        await shop.shopify.order("800001", frozenset())
    assert refused.value.retry_after == 30.0
    assert shop.asked == 1


async def test_a_short_wait_for_points_is_waited(shop: Shop) -> None:
    shop.sandbox.faults = Faults(plan=["throttle"], retry_after=1)
    assert (await shop.shopify.order("800001", frozenset())).number == "#1001"
    assert [entry.status for entry in shop.sandbox.requests] == [200, 200]


async def test_a_refused_token_is_said_in_the_vendors_words(shop: Shop) -> None:
    shopify = connected(InProcess(shop.sandbox), access_token="wrong")
    with pytest.raises(PermissionDenied, match="Invalid API key or access token"):
        await shopify.search_contacts("maria", 10)


async def test_a_client_id_and_secret_buy_a_token(shop: Shop) -> None:
    shopify = connected(InProcess(shop.sandbox), **CLIENT)
    assert (await shopify.order("800001", frozenset())).number == "#1001"
    assert [entry.path for entry in shop.sandbox.requests] == [
        "/admin/oauth/access_token",
        "/admin/api/2026-10/graphql.json",
    ]


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(error=1.0), BackendUnavailable),
        (Faults(reset=1.0), BackendUnavailable),
        (Faults(malformed=1.0), MalformedAnswer),
        (Faults(wrong_types=1.0), MalformedAnswer),
    ],
)
async def test_a_failing_shop_is_a_sentence(shop: Shop, faults: Faults, error: type[BackofficeError]) -> None:
    shop.sandbox.faults = faults
    with pytest.raises(error, match=r"^Shopify"):
        await shop.shopify.search_orders(OrderQuery(), None, 10)


async def test_a_cursor_of_another_search_is_refused(shop: Shop) -> None:
    with pytest.raises(InvalidInput, match="Invalid cursor"):
        await shop.shopify.search_orders(OrderQuery(), "bm90IGEgY3Vyc29y", 10)


def cost(requested: int, left: float, rate: float = 100.0) -> dict[str, Any]:
    bucket = {"maximumAvailable": 2000.0, "currentlyAvailable": left, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": requested, "actualQueryCost": None, "throttleStatus": bucket}}


def error(code: str) -> dict[str, Any]:
    return {"message": f"It is {code}", "extensions": {"code": code}}


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, {"data": {}}, None),
        (
            200,
            {"errors": [error("THROTTLED")], "extensions": cost(752, 666, 50)},
            Failure(429, "It is THROTTLED", 1.72),
        ),
        (429, {"errors": [error("THROTTLED")], "extensions": cost(100, 300)}, Failure(429, "It is THROTTLED", 0.0)),
        (200, {"errors": [error("THROTTLED")]}, Failure(429, "It is THROTTLED")),
        (200, {"errors": [error("ACCESS_DENIED")], "data": {"orders": None}}, Failure(403, "It is ACCESS_DENIED")),
        (200, {"errors": [error("SHOP_INACTIVE")]}, Failure(403, "It is SHOP_INACTIVE")),
        (200, {"errors": [error("INTERNAL_SERVER_ERROR")]}, Failure(500, "It is INTERNAL_SERVER_ERROR")),
        (200, {"errors": [error("MAX_COST_EXCEEDED")]}, Failure(400, "It is MAX_COST_EXCEEDED")),
        (200, {"errors": [error("undefinedField")]}, Failure(400, "It is undefinedField")),
        (401, {"errors": "[API] Invalid API key"}, Failure(401, "[API] Invalid API key")),
        (402, {"errors": "Unavailable Shop"}, Failure(403, "Unavailable Shop")),
        (404, {"errors": "Not Found"}, Failure(404, "Not Found")),
        (502, None, Failure(502, "answered 502")),
    ],
)
def test_a_refusal_is_read_from_the_body(status: int, body: object, failure: Failure | None) -> None:
    assert SHOPIFY.failure(httpx.Response(status, json=body)) == failure


def test_a_busy_front_door_says_in_a_header_how_long_to_wait() -> None:
    busy = httpx.Response(429, text="slow down", headers={"Retry-After": "2.0"})
    assert SHOPIFY.failure(busy) == Failure(429, "answered 429", 2.0)


@pytest.mark.parametrize(
    ("extensions", "allowance"),
    [
        (cost(12, 1988), Allowance(1888.0, 0.0)),
        (cost(12, 40), Allowance(-60.0, 0.6)),
        (cost(12, 40, rate=0), None),
        ({}, None),
    ],
)
def test_points_are_kept_for_one_more_query(extensions: dict[str, Any], allowance: Allowance | None) -> None:
    assert SHOPIFY.allowance(httpx.Response(200, json={"data": {}, "extensions": extensions})) == allowance


# -------------------------------------------------------------------------------------------- the search's syntax


def terms(query: Query) -> list[Term]:
    match query:
        case Term():
            return [query]
        case AllOf(parts) | AnyOf(parts):
            return [term for part in parts for term in terms(part)]
        case Not(part):
            return terms(part)


ANY_TEXT = st.text() | st.text(alphabet="ab'\"\\:()<>=-* \n") | st.sampled_from(HOSTILE)


@given(ANY_TEXT)
@example("O'Brien")
@example('12" pipe')
@example("""both ' and " """)
@example("\\")
def test_a_value_is_one_term_whatever_is_in_it(value: str) -> None:
    kept = value.replace('"', " ") if "'" in value else value
    assert parse(condition("sku", "", value)) == Term("sku", "", kept, quoted=True)


@given(ANY_TEXT)
def test_a_value_stays_between_its_quotes_even_where_a_backslash_shields_none(value: str) -> None:
    """The vendor does not say whether it does."""
    mark, *inside, end = condition("sku", "", value).removeprefix("sku:")
    assert mark == end
    assert mark not in inside


@given(st.lists(ANY_TEXT, min_size=2))
def test_any_of_several_values_is_as_many_terms(values: list[str]) -> None:
    query = parse(f"{one_of('email', values)} {condition('created_at', '>=', '2026-01-01')}")
    assert isinstance(query, AllOf)
    either, since = query.parts
    assert since == Term("created_at", ">=", "2026-01-01", quoted=True)
    assert isinstance(either, AnyOf)
    assert [term.field for term in terms(either)] == ["email"] * len(values)


@given(ANY_TEXT)
@example("OR NOT AND -a")
@example("customer_id:>0")
def test_free_text_is_words_and_never_a_condition(text: str) -> None:
    query = parse(words(text))
    assert not isinstance(query, AnyOf | Not)
    assert all(isinstance(part, Term) for part in query.parts) if isinstance(query, AllOf) else True
    assert {term.field for term in terms(query)} <= {None}


@given(st.text(alphabet="ab:'\"\\()<>=- ORNTD", max_size=40))
def test_any_text_can_be_read(text: str) -> None:
    terms(parse(text))


def test_a_search_is_read_as_the_vendor_documents_it() -> None:
    assert parse("state:enabled OR state:disabled") == AnyOf(
        (Term("state", "", "enabled", quoted=False), Term("state", "", "disabled", quoted=False))
    )
    assert parse("-first_name:Bob AND orders_count:>3 orders_count:<=4") == AllOf(
        (
            Not(Term("first_name", "", "Bob", quoted=False)),
            Term("orders_count", ">", "3", quoted=False),
            Term("orders_count", "<=", "4", quoted=False),
        )
    )
    assert parse("created_at: >='2024-01-01' NOT (a OR b)") == AllOf(
        (
            Term("created_at", ">=", "2024-01-01", quoted=True),
            Not(AnyOf((Term(None, "", "a", quoted=False), Term(None, "", "b", quoted=False)))),
        )
    )
    assert parse(r"first_name:Bob\(ob D'Addario*") == AllOf(
        (Term("first_name", "", "Bob(ob", quoted=False), Term(None, "", "D'Addario*", quoted=False))
    )
