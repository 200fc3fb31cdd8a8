"""The company's shop in Shopify's sandbox, and the billing server's adapter that speaks to it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.shopify import SHOPIFY, Shopify, shopify_sandbox
from backoffice_billing.models import Payment, PaymentSection
from backoffice_billing.ports import RefundDraft, ReturnedLine
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.jsonvalues import obj, parse
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Books, paid_outside
from backoffice_shared.sandbox.company import Company, Order
from backoffice_shared.sandbox.frame import Faults, InProcess, VendorSandbox
from backoffice_shopify.sandbox import TOKEN, shop_of
from backoffice_shopify.sandbox.till import Refund, Till

TODAY, NOW = datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
URL = "https://northwind-outfitters.myshopify.com"
KEY, OTHER_KEY = "3f" * 20, "c4" * 20
REFUNDS: frozenset[PaymentSection] = frozenset({"refunds"})


def usd(amount: int) -> Money:
    return Money(amount=amount, currency="USD")


@dataclass
class VendorsClock:
    """What time it is at the vendor's."""

    at: datetime = NOW

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, time: timedelta) -> None:
        self.at += time


def connected(wire: httpx.AsyncBaseTransport, **options: str) -> Shopify:
    secrets = EnvironmentCredentials({"shopify_access_token": TOKEN})
    return Shopify(connect(SHOPIFY, wire, secrets, base_url=URL, options=options, clock=ManualClock()))


@dataclass
class ShopFront:
    company: Company
    sandbox: VendorSandbox
    shopify: Shopify
    clock: VendorsClock

    @property
    def till(self) -> Till:
        return shop_of(self.sandbox).till

    @property
    def asked(self) -> int:
        return len(self.sandbox.requests)

    def made(self, order: Order) -> list[Refund]:
        """What was given back since the sandbox is there."""
        return [refund for refund in self.till.refunds(order) if refund.at >= NOW]

    def break_down(self, *plan: Any) -> None:
        self.sandbox.faults = Faults(plan=list(plan))

    async def payment(self, order: Order, *sections: PaymentSection) -> Payment:
        return await self.shopify.payment(native(order), frozenset(sections))

    async def wire(self, query: str, **variables: Any) -> Any:
        """What Shopify itself says."""
        token = {"X-Shopify-Access-Token": TOKEN}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=URL, headers=token) as http:
            answer = await http.post("/admin/api/2026-10/graphql.json", json={"query": query, "variables": variables})
            return answer.raise_for_status().json()


def shop_front(company: Company, **options: str) -> ShopFront:
    clock = VendorsClock()
    sandbox = shopify_sandbox(company, clock)
    return ShopFront(company, sandbox, connected(InProcess(sandbox), **options), clock)


@dataclass
class Scripted:
    """Answers requests in turn with these `data`, and keeps the variables of each."""

    data: Sequence[Mapping[str, Any]]
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content)["variables"])
        return httpx.Response(200, json={"data": self.data[min(len(self.asked), len(self.data)) - 1]})

    @property
    def shopify(self) -> Shopify:
        return connected(httpx.MockTransport(self.answer))


@dataclass
class Discreet(httpx.AsyncBaseTransport):
    """A shop where the app may not see transactions of refunds: it says so beside the rest of an answer. `writes`: only in
    answers that tell of a refund just made."""

    sandbox: VendorSandbox
    writes: bool

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await InProcess(self.sandbox).handle_async_request(request)
        wire = obj(parse(await answer.aread()))
        data, made = obj(wire.get("data")), obj(obj(wire.get("data")).get("refundCreate"))
        inside, path = (made, ["refundCreate"]) if made or self.writes else (data, [])
        if not inside.get("refund"):
            return httpx.Response(answer.status_code, json=wire)
        inside["refund"] = None  # as its transactions cannot be null
        denied = {"message": "Access denied for transactions field.", "extensions": {"code": "ACCESS_DENIED"}}
        return httpx.Response(200, json={**wire, "errors": [{**denied, "path": [*path, "refund", "transactions"]}]})


# ---------------------------------------------------------------------------------------------------- which orders


def some(company: Company, payment: str, *, outside: bool = False, lines: int = 1) -> Order:
    """An order that stands so, of a customer whose bank takes no time."""
    return next(
        order
        for order in company.orders
        if (order.payment, paid_outside(order)) == (payment, outside)
        and len(order.lines) >= lines
        and not pends(company, order)
    )


def pends(company: Company, order: Order) -> bool:
    card = Books.card(company.people[order.person])
    return card is not None and card.behaviour == "refund_pends"


def number(order: Order) -> str:
    return f"#{1001 + order.number}"


def order_native(order: Order) -> str:
    return str(800_001 + order.number)


def native(order: Order) -> str:
    """Of the payment for it."""
    return f"{order_native(order)}.{(800_001 + order.number) * 10}"


def line_id(order: Order, position: int = 0) -> str:
    return str((800_001 + order.number) * 10 + position)


def draft(order: Order, amount: int, *lines: ReturnedLine) -> RefundDraft:
    return RefundDraft(native(order), usd(amount), "requested_by_customer", lines)


# ------------------------------------------------------------------------------------- what Shopify says, by hand


def bag(amount: str, currency: str, shop: str | None = None) -> dict[str, Any]:
    """`shop` is the same in the shop's own money, where that is another."""
    paid = {"amount": amount, "currencyCode": currency}
    return {"presentmentMoney": paid, "shopMoney": paid if shop is None else {"amount": shop, "currencyCode": "USD"}}


def transaction(kind: str = "SALE", amount: str = "30.0", currency: str = "USD", **fields: Any) -> dict[str, Any]:
    return {
        "id": "gid://shopify/OrderTransaction/7",
        "kind": kind,
        "status": "SUCCESS",
        "errorCode": None,
        "gateway": "shopify_payments",
        "paymentId": "c1.1",
        "createdAt": "2026-10-01T10:00:00Z",
        "processedAt": "2026-10-01T10:00:05Z",
        "parentTransaction": None,
        "paymentDetails": None,
        "amountSet": bag(amount, currency),
        **fields,
    }


def gave_back(amount: str, status: str = "SUCCESS", parent: int | None = 7, **fields: Any) -> dict[str, Any]:
    above = None if parent is None else {"id": f"gid://shopify/OrderTransaction/{parent}"}
    also: dict[str, Any] = {"id": "gid://shopify/OrderTransaction/8", "status": status, "parentTransaction": above}
    return transaction("REFUND", amount) | also | fields


def paid_order(*moved: dict[str, Any], left: str = "30.0", currency: str = "USD", **fields: Any) -> dict[str, Any]:
    """What `PAYMENT` is answered. `left` is what Shopify says may still be given back of the order."""
    order = {
        "id": "gid://shopify/Order/5",
        "name": "#1042",
        "email": "ada@engine.example",
        "totalReceivedSet": bag("30.0", currency),
        "totalRefundedSet": bag("0.0", currency),
        "suggestedRefund": {"maximumRefundableSet": bag(left, currency)},
        "disputes": [],
        "risk": {"recommendation": "ACCEPT"},
        "transactions": list(moved) or [transaction(currency=currency)],
        "refunds": [],
        **fields,
    }
    return {"shop": {"myshopifyDomain": "acme.myshopify.com"}, "order": order}


def whole_order(*moved: dict[str, Any], currency: str = "USD", **fields: Any) -> dict[str, Any]:
    """What `ORDER` is answered."""
    order = {
        "id": "gid://shopify/Order/5",
        "name": "#1042",
        "createdAt": "2026-10-01T10:00:00Z",
        "email": None,
        "totalPriceSet": bag("30.0", currency),
        "totalReceivedSet": bag("30.0", currency),
        "totalRefundedSet": bag("0.0", currency),
        "transactions": list(moved) or [transaction(currency=currency)],
        "lineItems": page(),
        **fields,
    }
    return {"order": order, "orders": {"nodes": []}}


def page(*lines: dict[str, Any], after: str | None = None) -> dict[str, Any]:
    return {"nodes": list(lines), "pageInfo": {"hasNextPage": after is not None, "endCursor": after}}


def line(number: int, sku: str | None = "A-1", quantity: int = 2, currency: str = "USD") -> dict[str, Any]:
    return {
        "id": f"gid://shopify/LineItem/{number}",
        "sku": sku,
        "title": f"Line {number}",
        "quantity": quantity,
        "refundableQuantity": quantity,
        "discountedUnitPriceAfterAllDiscountsSet": bag("9.5", currency),
    }
