"""Shopify's Admin API in our words: customers and orders, by GraphQL.

Source: https://shopify.dev/docs/api/admin-graphql/2026-10, the schema of that version, and
https://shopify.dev/docs/api/usage/limits for what a throttled answer looks like.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import httpx

from backoffice_customer.backends.shopify import queries
from backoffice_customer.backends.shopify.search import condition, one_of, words
from backoffice_customer.models import (
    Contact,
    Event,
    EventKind,
    FulfilmentStatus,
    Order,
    OrderLine,
    OrderRow,
    Payment,
    PaymentStatus,
    Ref,
    Refund,
    Shipment,
)
from backoffice_customer.ports import OrderQuery, OrderSection, Span
from backoffice_shared.backend import Allowance, Backend, Failure, Rate, TokenEndpoint, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.errors import NotFound
from backoffice_shared.http.client import BackendClient
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, from_decimal, to_decimal
from backoffice_shared.paging import Chunk

T = TypeVar("T")

VERSION = "2026-10"
_GRAPHQL = f"/admin/api/{VERSION}/graphql.json"
_RESERVE = 100.0  # points: when fewer are left, the next query may not fit

# An error's code, as the HTTP status that it amounts to. With any other code the query itself is wrong.
_STATUS_OF = {
    "THROTTLED": 429,
    "ACCESS_DENIED": 403,
    "SHOP_INACTIVE": 403,
    "INTERNAL_SERVER_ERROR": 500,
    "MAX_COST_EXCEEDED": 400,
}
_REFUSALS = {402: 403, 430: 403}  # a shop that is frozen; a request that looks malicious to Shopify


def _authorize(request: httpx.Request, credential: Credential) -> None:
    request.headers["X-Shopify-Access-Token"] = credential["access_token"]


def _failure(response: httpx.Response) -> Failure | None:
    """Failures come as `errors`, with HTTP 200 as often as not: a list, whose `extensions.code` says what it is about,
    or a bare sentence (401, 403, 404)."""
    wire = wire_of(response)
    errors = wire.get("errors")
    if response.status_code < 400 and not errors:
        return None
    first = obj(next(iter(arr(errors)), None))
    code = str(obj(first.get("extensions")).get("code"))
    answered = 400 if response.status_code < 400 else _REFUSALS.get(response.status_code, response.status_code)
    sentence = first.get("message") or errors or f"answered {response.status_code}"
    wait = _wait(wire) if code == "THROTTLED" else seconds(response.headers.get("retry-after"))
    return Failure(_STATUS_OF.get(code, answered), str(sentence)[:300], wait)


def _wait(wire: Mapping[str, Any]) -> float | None:
    """Seconds until there are as many points as the query asked for."""
    cost = obj(obj(wire.get("extensions")).get("cost"))
    bucket = obj(cost.get("throttleStatus"))
    needed, left, rate = (
        seconds(value)
        for value in (cost.get("requestedQueryCost"), bucket.get("currentlyAvailable"), bucket.get("restoreRate"))
    )
    return None if needed is None or left is None or not rate else max(0.0, (needed - left) / rate)


def _allowance(response: httpx.Response) -> Allowance | None:
    """Points, not requests: `extensions.cost.throttleStatus` is what is left of them, and how fast they come back."""
    bucket = obj(obj(obj(wire_of(response).get("extensions")).get("cost")).get("throttleStatus"))
    left, rate = (seconds(bucket.get(name)) for name in ("currentlyAvailable", "restoreRate"))
    if left is None or not rate:
        return None
    return Allowance(left - _RESERVE, max(0.0, (_RESERVE - left) / rate))


SHOPIFY = Backend(
    name="shopify",
    title="Shopify",
    base_url="https://{shop}.myshopify.com",
    options=("shop",),
    # A token, or what an app made in the Dev Dashboard buys one with, for a day at a time.
    credentials=(frozenset({"access_token"}), frozenset({"client_id", "client_secret"})),
    authorize=_authorize,
    failure=_failure,
    allowance=_allowance,
    token_endpoint=TokenEndpoint("/admin/oauth/access_token"),
    rate=Rate(requests=5, seconds=1, burst=20),  # 100 points a second on the smallest plan; a query takes about 20
)


class Shopify:
    """Customers, and what they ordered."""

    kind = "customer"
    event_kinds: frozenset[EventKind] = frozenset({"order"})

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        ids = [_gid("Customer", native) for native in _numbers(natives)]
        if not ids:
            return []
        return await self._ask(
            "customers.read", queries.CUSTOMERS_BY_ID, {"ids": ids}, into=_known, fresh_for=60, tags=("customers",)
        )

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        wanted = {email.lower() for email in emails}
        if not wanted:
            return []
        # An address is found inside a longer one too; the extra rows leave room for those.
        found = await self._search_customers(one_of("email", sorted(wanted)), 2 * len(wanted) + 10)
        return [contact for contact in found if not wanted.isdisjoint(contact.emails)]

    async def contacts_by_number(self, number: str) -> list[Contact]:
        orders = await self.search_orders(OrderQuery(number=number), None, 5)
        theirs = [order.customer_id for order in orders.items if order.number.lstrip("#") == number]
        return await self.contacts([owner.rpartition(":")[2] for owner in theirs if owner is not None])

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        wanted = _who(text[:300])
        return await self._search_customers(wanted, limit) if wanted else []

    async def search_orders(self, query: OrderQuery, cursor: str | None, limit: int) -> Chunk[OrderRow]:
        if query.customers and not _numbers(query.customers):
            return Chunk([])
        # Where rows are left out here, a larger page is asked for: what is wanted may be far between.
        size = max(limit, 25) if query.email or query.payment or query.fulfilment else limit
        return await self._search_orders(_orders_like(query), cursor, size, into=partial(_rows, query))

    async def count_orders(self, who: Contact, since: datetime) -> int:
        mine = _mine([who])
        if not mine:
            return 0
        return await self._ask(
            "orders.count",
            queries.ORDERS_COUNT,
            {"query": f"{one_of('customer_id', mine)} {condition('created_at', '>=', _time(since))}"},
            into=lambda data: data["ordersCount"]["count"],
            fresh_for=30,
            tags=("orders",),
        )

    async def order(self, native: str, include: frozenset[OrderSection]) -> Order:
        sections = {section: section in include for section in ("shipments", "payments", "refunds")}
        found = (
            await self._ask(
                "orders.get",
                queries.ORDER,
                {"id": _gid("Order", native), "lines": queries.LINES, **sections},
                into=_order,
                fresh_for=30,
                tags=(f"order:{native}",),
            )
            if _numbers([native])
            else None
        )
        if found is None:
            raise NotFound(SHOPIFY.title, f"no such order: {native!r}")
        return found

    async def events(
        self,
        who: Sequence[Contact],
        kinds: frozenset[EventKind],  # noqa: ARG002 - there is only one
        span: Span,
        cursor: str | None,
        limit: int,
    ) -> Chunk[Event]:
        mine = _mine(who)
        if not mine:
            return Chunk([])
        bounds = ((">=", span.since), ("<=", span.until))
        times = [condition("created_at", comparator, _time(at)) for comparator, at in bounds if at is not None]
        return await self._search_orders(" ".join((one_of("customer_id", mine), *times)), cursor, limit, into=_events)

    async def _search_customers(self, query: str, limit: int) -> list[Contact]:
        return await self._ask(
            "customers.search",
            queries.CUSTOMERS,
            {"query": query, "first": limit},
            into=_contacts,
            fresh_for=60,
            tags=("customers",),
        )

    async def _search_orders(
        self, query: str, cursor: str | None, limit: int, *, into: Callable[[Any], Chunk[Any]]
    ) -> Chunk[Any]:
        return await self._ask(
            "orders.search",
            queries.ORDERS,
            {"query": query, "first": limit, "after": cursor, "counted": cursor is None},
            into=into,
            fresh_for=30,
            tags=("orders",),
        )

    async def _ask(
        self,
        operation: str,
        document: str,
        variables: Mapping[str, Any],
        *,
        into: Callable[[Any], T],
        fresh_for: float,
        tags: Iterable[str],
    ) -> T:
        return await self._http.read(
            operation,
            _GRAPHQL,
            method="POST",
            json={"query": document, "variables": variables},
            into=lambda wire: into(wire["data"]),
            fresh_for=fresh_for,
            tags=tags,
        )


# ------------------------------------------------------------------------------------------ our words to a search


def _who(text: str) -> str:
    """A phone number is looked for as one, without what people write between its digits; the rest by its words."""
    if _PHONE.fullmatch(text.strip()):
        return condition("phone", "", re.sub(r"[^\d+]", "", text))
    return words(text)


_PHONE = re.compile(r"\+?[\d\s()./-]{7,25}", re.ASCII)


def _orders_like(query: OrderQuery) -> str:
    conditions = [
        one_of("customer_id", _numbers(query.customers)) if query.customers else "",
        condition("name", "", query.number) if query.number else "",
        condition("email", "", query.email) if query.email else "",
        one_of("financial_status", _meaning(query.payment, _PAYMENT_SEARCH)) if query.payment else "",
        one_of("fulfillment_status", _meaning(query.fulfilment, _FULFILMENT_SEARCH)) if query.fulfilment else "",
        condition("sku", "", query.sku) if query.sku else "",
        condition("created_at", ">=", _time(query.since)) if query.since else "",
    ]
    return " ".join(filter(None, conditions))


def _meaning(ours: Iterable[str], theirs: Mapping[str, Sequence[str]]) -> list[str]:
    """The vendor's words for any of ours. A word that we do not have stands for itself, and is found nowhere."""
    return [word for status in ours for word in theirs.get(status, (status,))]


_PAYMENT_SEARCH: dict[str, tuple[str, ...]] = {
    "pending": ("pending", "authorized", "partially_paid"),
    "voided": ("voided", "expired"),
}
_FULFILMENT_SEARCH: dict[str, tuple[str, ...]] = {
    "unfulfilled": ("unfulfilled", "unshipped", "scheduled", "on_hold", "request_declined"),
    "fulfilled": ("fulfilled", "shipped"),
}


def _mine(who: Iterable[Contact]) -> list[str]:
    return _numbers(contact.ref.native for contact in who if contact.ref.backend == SHOPIFY.name)


def _numbers(natives: Iterable[str]) -> list[str]:
    """Those that can be ids of this vendor: its ids are numbers."""
    return [native for native in natives if native.isascii() and native.isdecimal()]


def _gid(kind: str, native: str) -> str:
    return f"gid://shopify/{kind}/{native}"


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# ------------------------------------------------------------------------------------------ wire to our words


def _known(data: Any) -> list[Contact]:
    """For an id that does not exist there is a null."""
    return [_contact(wire, data["shop"]) for wire in data["nodes"] if wire is not None]


def _contacts(data: Any) -> list[Contact]:
    return [_contact(wire, data["shop"]) for wire in data["customers"]["nodes"]]


def _contact(wire: Any, shop: Any) -> Contact:
    native = _native(wire["id"])
    email, phone, address = (
        obj(wire[part]) for part in ("defaultEmailAddress", "defaultPhoneNumber", "defaultAddress")
    )
    return Contact(
        ref=Ref(SHOPIFY.name, "customer", native),
        name=wire["displayName"],
        emails=[email["emailAddress"].lower()] if email else [],
        phones=[phone["phoneNumber"]] if phone else [],
        company=address.get("company") or None,
        tags=wire["tags"],
        language=wire["locale"] or None,
        country=address.get("countryCodeV2"),
        email_marketing=email["marketingState"] == "SUBSCRIBED" if email else None,
        spent=_money(wire["amountSpent"]),
        url=_admin(shop, "customers", native),
        updated_at=wire["updatedAt"],
    )


def _rows(query: OrderQuery, data: Any) -> Chunk[OrderRow]:
    """The rows that are what was asked for: the vendor's text search is looser than our question."""
    rows = [_row(wire, data["shop"]) for wire in data["orders"]["nodes"] if _by(query.email, wire)]
    kept = [
        row
        for row in rows
        if (not query.payment or row.payment_status in query.payment)
        and (not query.fulfilment or row.fulfilment_status in query.fulfilment)
    ]
    loosely = bool(query.email or query.payment or query.fulfilment or query.number or query.sku)
    return Chunk(kept, _next(data), *_total(data, loosely=loosely))


def _by(email: str | None, wire: Any) -> bool:
    return email is None or str(wire["email"]).lower() == email.lower()


def _events(data: Any) -> Chunk[Event]:
    rows = [_row(wire, data["shop"]) for wire in data["orders"]["nodes"]]
    return Chunk([_event(row) for row in rows], _next(data), *_total(data, loosely=False))


def _event(row: OrderRow) -> Event:
    total = f"{to_decimal(row.total)} {row.total.currency}"
    return Event(
        id=row.order_id,
        kind="order",
        at=row.placed_at,
        title=f"Order {row.number}",
        summary=f"{total}. Payment: {row.payment_status.replace('_', ' ')}. Fulfilment: {row.fulfilment_status}.",
        direction="in",
        system=SHOPIFY.name,
        url=row.url,
    )


def _next(data: Any) -> str | None:
    page = data["orders"]["pageInfo"]
    return page["endCursor"] if page["hasNextPage"] else None


def _total(data: Any, *, loosely: bool) -> tuple[int | None, bool]:
    """The number of matches, asked for with the first page only, and whether it is a guess."""
    count = data.get("ordersCount")
    return (None, False) if count is None else (count["count"], loosely or count["precision"] != "EXACT")


def _row(wire: Any, shop: Any) -> OrderRow:
    native = _native(wire["id"])
    return OrderRow(
        order_id=str(Ref(SHOPIFY.name, "order", native)),
        number=wire["name"],
        placed_at=wire["createdAt"],
        total=_shop_money(wire["totalPriceSet"]),
        payment_status=_PAYMENT[wire["displayFinancialStatus"]],
        fulfilment_status=_FULFILMENT.get(wire["displayFulfillmentStatus"], "unfulfilled"),
        items_count=wire["subtotalLineItemsQuantity"],
        customer_id=None if wire["customer"] is None else _customer_id(wire["customer"]),
        url=_admin(shop, "orders", native),
    )


_PAYMENT: dict[str | None, PaymentStatus] = {
    None: "pending",
    "PENDING": "pending",
    "AUTHORIZED": "pending",
    "PARTIALLY_PAID": "pending",
    "PAID": "paid",
    "PARTIALLY_REFUNDED": "partially_refunded",
    "REFUNDED": "refunded",
    "VOIDED": "voided",
    "EXPIRED": "voided",
}
# Every other status says why nothing was sent yet.
_FULFILMENT: dict[str, FulfilmentStatus] = {
    "FULFILLED": "fulfilled",
    "FULFILLMENT_NOT_REQUIRED": "fulfilled",
    "PARTIALLY_FULFILLED": "partial",
}


def _order(data: Any) -> Order | None:
    wire = data["order"]
    if wire is None:
        return None
    row = _row(wire, data["shop"])
    suggestion = wire["suggestedRefund"]
    cut = wire["lineItems"]["pageInfo"]["hasNextPage"]
    return Order(
        notes=[f"lines: only the first {queries.LINES} are in here"] if cut else [],
        **row.model_dump(exclude={"items_count"}),
        refundable=None if suggestion is None else _shop_money(suggestion["maximumRefundableSet"]),
        email=wire["email"] or None,
        lines=[_line(line) for line in wire["lineItems"]["nodes"]],
        shipments=_section(wire, "fulfillments", _shipments),
        payments=_section(wire, "transactions", lambda payments: [_payment(payment) for payment in payments]),
        refunds=_section(wire, "refunds", lambda refunds: [_refund(refund) for refund in refunds]),
    )


def _section(wire: Any, name: str, into: Callable[[Any], list[T]]) -> list[T] | None:
    """None for a section that was not asked for: it is not there."""
    return into(wire[name]) if name in wire else None


def _line(wire: Any) -> OrderLine:
    return OrderLine(
        sku=wire["sku"] or None,
        title=wire["name"],
        qty=wire["quantity"],
        fulfillable_qty=wire["unfulfilledQuantity"],
        refundable_qty=wire["refundableQuantity"],
        unit=_shop_money(wire["originalUnitPriceSet"]),
    )


def _shipments(wire: Any) -> list[Shipment]:
    """One for each parcel that can be followed, or one for the whole when none can."""
    return [_shipment(sent, parcel) for sent in wire for parcel in (arr(sent["trackingInfo"]) or [{}])]


def _shipment(wire: Any, parcel: Any) -> Shipment:
    return Shipment(
        status=(wire["displayStatus"] or wire["status"]).lower(),
        carrier=parcel.get("company"),
        tracking=parcel.get("number"),
        tracking_url=parcel.get("url"),
        eta=wire["estimatedDeliveryAt"],
        location=obj(wire["location"]).get("name"),
    )


def _payment(wire: Any) -> Payment:
    return Payment(
        at=wire["processedAt"] or wire["createdAt"],
        kind=wire["kind"].lower(),
        status=wire["status"].lower(),
        amount=_shop_money(wire["amountSet"]),
        gateway=wire["formattedGateway"],
    )


def _refund(wire: Any) -> Refund:
    return Refund(
        refund_id=str(Ref(SHOPIFY.name, "refund", _native(wire["id"]))),
        at=wire["processedAt"],
        amount=_shop_money(wire["totalRefundedSet"]),
        note=wire["note"] or None,
    )


def _shop_money(wire: Any) -> Money:
    """A `MoneyBag` in the shop's own currency, which is what its accounts are kept in."""
    return _money(wire["shopMoney"])


def _money(wire: Any) -> Money:
    return from_decimal(wire["amount"], wire["currencyCode"])


def _customer_id(wire: Any) -> str:
    return str(Ref(SHOPIFY.name, "customer", _native(wire["id"])))


def _native(gid: str) -> str:
    """`123` of `gid://shopify/Customer/123`."""
    return gid.rsplit("/", 1)[1]


def _admin(shop: Any, things: str, native: str) -> str:
    return f"https://{shop['myshopifyDomain']}/admin/{things}/{native}"
