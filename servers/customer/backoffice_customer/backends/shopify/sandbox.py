"""Shopify's wire over the fictional company: GraphQL over customers and orders, by a part of the vendor's own schema.

Records are made when a query selects them; a field that takes work is a function until it is selected.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache, partial
from importlib.resources import files
from typing import Any, TypeVar

from graphql import DocumentNode, GraphQLError, GraphQLSyntaxError, build_schema, parse, validate
from graphql import execute_sync as execute  # pyright: ignore[reportUnknownVariableType] - it leaves some of its own open
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from backoffice_customer.backends.shopify import search
from backoffice_customer.backends.shopify.search import Term, holds, narrowed
from backoffice_shared.jsonvalues import obj
from backoffice_shared.money import Money, to_decimal
from backoffice_shared.sandbox.company import Company, Order, Person, Product, order_name
from backoffice_shared.sandbox.frame import VendorSandbox

SHOP = "northwind-outfitters"
TOKEN = "shpat_sandbox"  # noqa: S105 - a test credential of a fictional company
CLIENT = {"client_id": "sandbox-app", "client_secret": "shpss_sandbox"}
SCHEMA = files("backoffice_customer.backends.shopify").joinpath("schema.graphql")
_FIRST_CUSTOMER, _FIRST_ORDER = 700_001, 800_001
_LARGEST_PAGE, _LARGEST_BATCH = 250, 250
_BUCKET, _RESTORED, _COST = 2_000.0, 100.0, 12  # points, points a second, points a query

T = TypeVar("T")
Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A field that depends on its arguments."""

    answer: Callable[[Record], Any]


def _resolve(source: Record, info: Any, **given: Any) -> Any:
    match source[info.field_name]:
        case Asked(answer):
            return answer(given)
        case value if callable(value):
            return value()
        case value:
            return value


def shopify_sandbox(company: Company) -> VendorSandbox:
    return VendorSandbox(
        name="shopify",
        title="Shopify",
        app=_app(_Admin(company)),
        credentials={"access_token": TOKEN},
        options={"shop": SHOP},
        throttled=_throttled,
        unavailable=lambda: JSONResponse({"errors": "Service Unavailable"}, 503),
    )


class _Admin:
    """The shop's part of the company as Shopify numbers and names it."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.people = {_FIRST_CUSTOMER + p.number: p for p in company.people if "shop" in p.systems}
        self.orders = {_FIRST_ORDER + order.number: order for order in company.orders}
        # What was looked for lately: the pages of one search, and its count, are one look.
        self.find_customers = lru_cache(32)(self._find_customers)
        self.find_orders = lru_cache(32)(self._find_orders)

    # -------------------------------------------------------------------------------------------- the query's root

    def root(self) -> Record:
        return {
            "shop": {
                "id": "gid://shopify/Shop/1",
                "name": self.company.name,
                "myshopifyDomain": f"{SHOP}.myshopify.com",
                "currencyCode": self.company.currency,
            },
            "node": Asked(lambda given: self._node(given["id"])),
            "nodes": Asked(self._nodes),
            "customer": Asked(lambda given: self._node(given["id"], "Customer")),
            "order": Asked(lambda given: self._node(given["id"], "Order")),
            "customers": Asked(self._customers),
            "customersCount": Asked(lambda given: _count(self.find_customers(given.get("query") or "", "ID"))),
            "orders": Asked(self._orders),
            "ordersCount": Asked(lambda given: _count(self.find_orders(given.get("query") or "", "ID"))),
        }

    def _node(self, gid: str, *kinds: str) -> Record | None:
        found = re.fullmatch(r"gid://shopify/(\w+)/(\d{1,18})", gid, re.ASCII)
        if found is None:
            raise GraphQLError(f"Invalid global id '{gid}'", extensions={"code": "INVALID_VARIABLE"})
        kind, number = found[1], int(found[2])
        if kinds and kind not in kinds:
            return None
        if kind == "Customer" and number in self.people:
            return self.customer(number)
        return self.order(number) if kind == "Order" and number in self.orders else None

    def _nodes(self, given: Record) -> list[Record | None]:
        if len(given["ids"]) > _LARGEST_BATCH:
            raise GraphQLError(
                f"The input array size of {len(given['ids'])} is greater than the maximum allowed of 250."
            )
        return [self._node(gid) for gid in given["ids"]]

    def _customers(self, given: Record) -> Record:
        found = self.find_customers(given.get("query") or "", given.get("sortKey") or "ID")
        return _connection(found, self.customer, given)

    def _orders(self, given: Record) -> Record:
        found = self.find_orders(given.get("query") or "", given.get("sortKey") or "PROCESSED_AT")
        return _connection(found, self.order, given)

    # --------------------------------------------------------------------------------------------------- searching

    def _find_customers(self, text: str, sort_key: str) -> list[int]:
        def order(number: int) -> tuple[Any, ...]:
            person = self.people[number]
            by = {"CREATED_AT": (person.since,), "NAME": (person.last_name, person.first_name)}
            return (*by.get(sort_key, ()), number)

        return sorted(self._matching(text, self.people, self._known_customers, self._customer_tests), key=order)

    def _find_orders(self, text: str, sort_key: str) -> list[int]:
        def order(number: int) -> tuple[Any, ...]:
            return (self.orders[number].placed_at, number) if sort_key in ("CREATED_AT", "PROCESSED_AT") else (number,)

        return sorted(self._matching(text, self.orders, self._known_orders, self._order_tests), key=order)

    def _matching(
        self,
        text: str,
        facts: Mapping[int, T],
        known: Callable[[Term], set[int] | None],
        tests: Mapping[str | None, Callable[[T, Term], bool]],
    ) -> Iterable[int]:
        """A field that Shopify does not know is no condition to it."""
        query = search.parse(text)
        numbers = narrowed(query, known)
        for number in facts if numbers is None else numbers & facts.keys():
            fact = facts[number]
            if holds(query, lambda term, fact=fact: term.field not in tests or tests[term.field](fact, term)):
                yield number

    @cached_property
    def _customer_tests(self) -> dict[str | None, Callable[[Person, Term], bool]]:
        return {
            None: lambda person, term: _mentions(self._text(person), term),
            "email": lambda person, term: _mentions(person.email, term),
            "first_name": lambda person, term: _mentions(person.first_name, term),
            "last_name": lambda person, term: _mentions(person.last_name, term),
            "phone": lambda person, term: _digits(person.phone) == _digits(term.value),
            "country": lambda person, term: person.country == term.value,
            "id": lambda person, term: _compared(_FIRST_CUSTOMER + person.number, term, int),
            "customer_date": lambda person, term: _compared(person.since, term, _instant),
        }

    @cached_property
    def _order_tests(self) -> dict[str | None, Callable[[Order, Term], bool]]:
        people, products = self.company.people, self.company.products

        @lru_cache(32)
        def named(term: Term) -> frozenset[int]:
            return frozenset(product.number for product in products if _mentions(product.sku, term))

        def anywhere(order: Order, term: Term) -> bool:
            person = people[order.person]
            return _mentions(f"{order_name(order.number)} {person.name} {person.email}", term)

        return {
            None: anywhere,
            "name": lambda order, term: order_name(order.number) == "#" + term.value.removeprefix("#"),
            "email": lambda order, term: _mentions(people[order.person].email, term),
            "customer_id": lambda order, term: _compared(_FIRST_CUSTOMER + order.person, term, int),
            "id": lambda order, term: _compared(_FIRST_ORDER + order.number, term, int),
            "financial_status": lambda order, term: order.payment == term.value.lower(),
            "fulfillment_status": lambda order, term: term.value.lower() in _FOUND_AS[order.fulfilment],
            "sku": lambda order, term: any(product in named(term) for product, _ in order.lines),
            "created_at": lambda order, term: _compared(order.placed_at, term, _instant),
            "processed_at": lambda order, term: _compared(order.placed_at, term, _instant),
        }

    def _known_customers(self, term: Term) -> set[int] | None:
        if term.field not in (None, "email", "first_name", "last_name", "phone") or term.value == "*":
            return None
        words, prefix = _wanted(term)
        if prefix:
            words += self._words_from(words.pop()) if words else []
        found = [set(self._mentioned.get(word, ())) for word in words]
        # A phrase has all of its words; anything else has one of them.
        return min(found, key=len, default=set[int]()) if term.quoted else set[int]().union(*found)

    def _known_orders(self, term: Term) -> set[int] | None:
        match term.field:
            case "customer_id" if not term.comparator and term.value.isdecimal():
                people: Iterable[int] = (int(term.value),)
            case "email":
                customers = self._known_customers(term)
                if customers is None:
                    return None
                people = customers
            case "name":
                number = term.value.removeprefix("#")
                return {_FIRST_ORDER + int(number) - 1001} & self.orders.keys() if number.isdecimal() else set()
            case _:
                return None
        placed = (self.company.orders_of.get(person - _FIRST_CUSTOMER, []) for person in people)
        return {_FIRST_ORDER + order.number for orders in placed for order in orders}

    @cached_property
    def _mentioned(self) -> dict[str, list[int]]:
        """Customers by each word that is written about them."""
        found: dict[str, list[int]] = {}
        for number, person in self.people.items():
            for word in _words(self._text(person)):
                found.setdefault(word, []).append(number)
        return found

    @cached_property
    def _vocabulary(self) -> list[str]:
        return sorted(self._mentioned)

    def _words_from(self, beginning: str) -> list[str]:
        start = bisect_left(self._vocabulary, beginning)
        end = bisect_left(self._vocabulary, beginning + "\U0010ffff")
        return self._vocabulary[start:end]

    def _text(self, person: Person) -> str:
        organisation = self.company.organisation(person)
        return f"{person.name} {person.email} {person.phone} {organisation.name if organisation else ''}"

    # ----------------------------------------------------------------------------------------------------- records

    def customer(self, number: int) -> Record:
        person = self.people[number]
        organisation = self.company.organisation(person)
        orders = self.company.orders_of.get(person.number, [])
        return {
            "__typename": "Customer",
            **_identity("Customer", number),
            "firstName": person.first_name,
            "lastName": person.last_name,
            "displayName": person.name,
            "createdAt": _time(person.since),
            "updatedAt": _time(person.since),
            "locale": person.language,
            "tags": [] if person.tier == "free" else [person.tier],
            "numberOfOrders": str(len(orders)),
            "amountSpent": lambda: self._money(sum(self._received(order) for order in orders)),
            "defaultEmailAddress": {
                "emailAddress": person.email,
                "marketingState": "SUBSCRIBED" if person.email_consent else "UNSUBSCRIBED",
            },
            "defaultPhoneNumber": {"phoneNumber": person.phone},
            "defaultAddress": {
                "id": f"gid://shopify/MailingAddress/{number}",
                "company": None if organisation is None else organisation.name,
                "countryCodeV2": person.country,
            },
            "orders": Asked(partial(self._orders_of_customer, number)),
        }

    def _orders_of_customer(self, number: int, given: Record) -> Record:
        return self._orders({**given, "query": f"customer_id:{number}"})

    def order(self, number: int) -> Record:
        order = self.orders[number]
        person = self.company.people[order.person]
        total, refunded = self.company.total(order), self._refunded(order)
        lines = self._lines(order)
        return {
            "__typename": "Order",
            **_identity("Order", number),
            "name": order_name(order.number),
            "createdAt": _time(order.placed_at),
            "processedAt": _time(order.placed_at),
            "updatedAt": _time(order.placed_at),
            "currencyCode": self.company.currency,
            "email": person.email,
            "customer": lambda: self.customer(_FIRST_CUSTOMER + order.person),
            "displayFinancialStatus": order.payment.upper(),
            "displayFulfillmentStatus": _SHOWN_AS[order.fulfilment],
            "subtotalLineItemsQuantity": sum(quantity for _, quantity in order.lines),
            "totalPriceSet": self._bag(total),
            "totalReceivedSet": self._bag(self._received(order)),
            "totalRefundedSet": self._bag(refunded),
            "suggestedRefund": lambda: self._suggested_refund(order),
            "lineItems": Asked(lambda given: _connection(range(len(lines)), lines.__getitem__, given)),
            "fulfillments": Asked(lambda given: self._fulfillments(order)[: given.get("first")]),
            "transactions": Asked(lambda given: self._transactions(order)[: given.get("first")]),
            "refunds": Asked(lambda given: self._refunds(order)[: given.get("first")]),
        }

    def _lines(self, order: Order) -> list[Record]:
        shipped = _shipped(order)
        found: list[Record] = []
        for position, (product, quantity) in enumerate(order.lines):
            sent = min(shipped, quantity)
            shipped -= sent
            found.append(self._line(order, position, self.company.products[product], quantity, quantity - sent))
        return found

    def _line(self, order: Order, position: int, product: Product, quantity: int, unfulfilled: int) -> Record:
        return {
            "__typename": "LineItem",
            "id": f"gid://shopify/LineItem/{(_FIRST_ORDER + order.number) * 10 + position}",
            "sku": product.sku,
            "name": product.title,
            "title": product.title,
            "quantity": quantity,
            "unfulfilledQuantity": unfulfilled,
            "refundableQuantity": 0 if order.payment == "refunded" else quantity,
            "originalUnitPriceSet": self._bag(product.price),
        }

    def _fulfillments(self, order: Order) -> list[Record]:
        if not _shipped(order):
            return []
        number, sent = _FIRST_ORDER + order.number, min(order.placed_at + timedelta(days=1), self.company.today)
        tracking = f"NW{number:010d}"
        return [
            {
                **_identity("Fulfillment", number),
                "createdAt": _time(sent),
                "status": "SUCCESS",
                "displayStatus": "DELIVERED" if sent + timedelta(days=4) < self.company.today else "IN_TRANSIT",
                "estimatedDeliveryAt": _time(sent + timedelta(days=4)),
                "location": {**_identity("Location", 1), "name": "Main warehouse"},
                "trackingInfo": [
                    {"company": "Parcel Post", "number": tracking, "url": f"https://parcels.example/{tracking}"}
                ],
            }
        ]

    def _transactions(self, order: Order) -> list[Record]:
        number = (_FIRST_ORDER + order.number) * 10
        pending, refunded = order.payment == "pending", self._refunded(order)
        gateway = ("Bank Deposit", "manual") if pending else ("Shopify Payments", "shopify_payments")
        moves = [("SALE", self.company.total(order), order.placed_at)]
        if refunded:
            moves.append(("REFUND", refunded, self._refunded_at(order)))
        return [
            {
                "id": f"gid://shopify/OrderTransaction/{number + position}",
                "kind": kind,
                "status": "PENDING" if pending else "SUCCESS",
                "amountSet": self._bag(amount),
                "createdAt": _time(at),
                "processedAt": None if pending else _time(at),
                "formattedGateway": gateway[0],
                "gateway": gateway[1],
            }
            for position, (kind, amount, at) in enumerate(moves)
        ]

    def _refunds(self, order: Order) -> list[Record]:
        refunded = self._refunded(order)
        if not refunded:
            return []
        at = _time(self._refunded_at(order))
        identity = _identity("Refund", _FIRST_ORDER + order.number)
        return [{**identity, "createdAt": at, "processedAt": at, "note": None, "totalRefundedSet": self._bag(refunded)}]

    def _suggested_refund(self, order: Order) -> Record:
        left = self._received(order) - self._refunded(order)
        return {"amountSet": self._bag(left), "maximumRefundableSet": self._bag(left)}

    def _received(self, order: Order) -> int:
        return 0 if order.payment == "pending" else self.company.total(order)

    def _refunded(self, order: Order) -> int:
        """All of it, or half of it: the company's facts do not say how much a part is."""
        total = self.company.total(order)
        return {"refunded": total, "partially_refunded": total // 2}.get(order.payment, 0)

    def _refunded_at(self, order: Order) -> datetime:
        return min(order.placed_at + timedelta(days=3), self.company.today)

    def _bag(self, amount: int) -> Record:
        money = self._money(amount)
        return {"shopMoney": money, "presentmentMoney": money}

    def _money(self, amount: int) -> Record:
        currency = self.company.currency
        return {"amount": to_decimal(Money(amount=amount, currency=currency)), "currencyCode": currency}


_FOUND_AS = {
    "fulfilled": ("fulfilled", "shipped"),
    "partial": ("partial",),
    "unfulfilled": ("unfulfilled", "unshipped"),
}
_SHOWN_AS = {"fulfilled": "FULFILLED", "partial": "PARTIALLY_FULFILLED", "unfulfilled": "UNFULFILLED"}


# ------------------------------------------------------------------------------------------------------- the wire


def _app(admin: _Admin) -> ASGIApp:
    schema = build_schema(SCHEMA.read_text(encoding="utf-8"))
    root = admin.root()

    @lru_cache(64)
    def prepared(text: str) -> DocumentNode | list[GraphQLError]:
        try:
            document = parse(text)
        except GraphQLSyntaxError as error:
            return [error]
        return validate(schema, document) or document

    async def graphql(request: Request) -> Response:
        if request.path_params["version"] not in ("2026-10", "unstable"):
            return JSONResponse({"errors": "Not Found"}, 404)
        if request.headers.get("x-shopify-access-token") != TOKEN:
            return JSONResponse(
                {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}, 401
            )
        try:
            asked = obj(await request.json())
        except ValueError:
            asked = {}
        if not isinstance(asked.get("query"), str):
            return JSONResponse({"errors": {"query": "Required parameter missing or invalid"}}, 400)
        document = prepared(asked["query"])
        if isinstance(document, list):
            return JSONResponse({"errors": [error.formatted for error in document]})
        result = execute(
            schema,
            document,
            root,
            variable_values=obj(asked.get("variables")),
            operation_name=asked.get("operationName"),
            field_resolver=_resolve,
        )
        return JSONResponse({**result.formatted, "extensions": _cost(_COST, _COST, _BUCKET - _COST)})

    async def token(request: Request) -> Response:
        form = await request.form()
        wanted = {"grant_type": "client_credentials", **CLIENT}
        if {name: form.get(name) for name in wanted} != wanted:
            return JSONResponse({"error": "invalid_client"}, 400)
        return JSONResponse({"access_token": TOKEN, "scope": "read_customers,read_orders", "expires_in": 86_399})

    return Starlette(
        routes=[
            Route("/admin/api/{version}/graphql.json", graphql, methods=["POST"]),
            Route("/admin/oauth/access_token", token, methods=["POST"]),
        ],
        exception_handlers={404: _no_route},
    )


def _throttled(seconds: int) -> Response:
    """HTTP 200: what the query costs is so much that it fits in `seconds` from now."""
    error = {
        "message": "Throttled",
        "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"},
    }
    return JSONResponse({"errors": [error], "extensions": _cost(int(seconds * _RESTORED), None, 0.0)})


def _cost(requested: int, actual: int | None, left: float) -> Record:
    bucket = {"maximumAvailable": _BUCKET, "currentlyAvailable": left, "restoreRate": _RESTORED}
    return {"cost": {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": bucket}}


async def _no_route(_request: Request, _error_raised: Exception) -> Response:
    return JSONResponse({"errors": "Not Found"}, 404)


# ------------------------------------------------------------------------------------------------ Shopify's words


def _connection(rows: Sequence[int], record: Callable[[int], Record], given: Record) -> Record:
    """One page of `rows`. A cursor is the row that it comes after."""
    first = given.get("first")
    if first is None:
        raise GraphQLError("you must provide one of first or last", extensions={"code": "BAD_REQUEST"})
    if not 0 <= first <= _LARGEST_PAGE:
        raise GraphQLError("first must be between 0 and 250", extensions={"code": "BAD_REQUEST"})
    ordered = rows[::-1] if given.get("reverse") else rows
    start = _place(ordered, given["after"]) + 1 if given.get("after") else 0
    page = ordered[start : start + first]
    return {
        "edges": lambda: [{"cursor": _cursor(row), "node": record(row)} for row in page],
        "nodes": lambda: [record(row) for row in page],
        "pageInfo": {
            "hasNextPage": start + first < len(ordered),
            "hasPreviousPage": start > 0,
            "startCursor": _cursor(page[0]) if page else None,
            "endCursor": _cursor(page[-1]) if page else None,
        },
    }


def _cursor(row: int) -> str:
    return base64.b64encode(b"last_id:%d" % row).decode()


def _place(rows: Sequence[int], cursor: str) -> int:
    try:
        return rows.index(int(base64.b64decode(cursor, validate=True).removeprefix(b"last_id:")))
    except ValueError:
        raise GraphQLError(
            "Invalid cursor for current pagination sort.", extensions={"code": "INVALID_CURSOR"}
        ) from None


def _count(found: Sequence[int]) -> Record:
    return {"count": min(len(found), 10_000), "precision": "EXACT" if len(found) <= 10_000 else "AT_LEAST"}


def _identity(kind: str, number: int) -> Record:
    return {"id": f"gid://shopify/{kind}/{number}", "legacyResourceId": str(number)}


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _wanted(term: Term) -> tuple[list[str], bool]:
    """The words of a term, and whether the last of them is only the beginning of one."""
    return _words(term.value), term.value.endswith("*") and not term.quoted


def _mentions(text: str, term: Term) -> bool:
    """A quoted value is a phrase: its words in a row. Of any other value, one word is enough."""
    if term.value == "*" and not term.quoted:
        return bool(text)
    words, (wanted, prefix) = _words(text), _wanted(term)
    if term.quoted:
        return bool(wanted) and any(words[n : n + len(wanted)] == wanted for n in range(len(words)))
    beginning = wanted.pop() if prefix and wanted else None
    return any(word in wanted or (beginning is not None and word.startswith(beginning)) for word in words)


def _compared(value: Any, term: Term, read: Callable[[str], Any]) -> bool:
    try:
        wanted = read(term.value)
    except ValueError:
        return False
    match term.comparator:
        case "<":
            return value < wanted
        case "<=":
            return value <= wanted
        case ">":
            return value > wanted
        case ">=":
            return value >= wanted
        case _:
            return value == wanted


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _shipped(order: Order) -> int:
    """Units sent so far."""
    units = sum(quantity for _, quantity in order.lines)
    return {"fulfilled": units, "partial": units // 2}.get(order.fulfilment, 0)


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
