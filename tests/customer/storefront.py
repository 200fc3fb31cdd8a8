"""Shopify's adapter over its sandbox, or over answers that the sandbox does not give."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.shopify import SHOPIFY, Shopify, shopify_sandbox
from backoffice_customer.models import Contact, Ref
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company, Order
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox
from backoffice_shopify.sandbox import TOKEN

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
URL = "https://northwind-outfitters.myshopify.com"
SECTIONS = frozenset(("shipments", "payments", "refunds", "returns"))
HOSTILE = (
    'x" OR customer_id:"700003',
    "x' OR created_at:>'2000-01-01",
    """x"' OR customer_id:>0 OR name:"'""",
    'x\\" OR customer_id:>0 OR \\',
    "x) OR (customer_id:>0",
    "9" * 200,
    "x\x00\x1f\n",
    "*",
)


def connected(wire: httpx.AsyncBaseTransport, **secrets: str) -> Shopify:
    fields = {f"shopify_{name}": value for name, value in (secrets or {"access_token": TOKEN}).items()}
    return Shopify(connect(SHOPIFY, wire, EnvironmentCredentials(fields), base_url=URL, clock=ManualClock()))


@dataclass
class Scripted:
    """Answers requests in turn with these `data`, and keeps the variables of each."""

    data: Sequence[Mapping[str, Any]]
    asked: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(json.loads(request.content)["variables"])
        return httpx.Response(200, json={"data": self.data[len(self.asked) - 1]})

    @property
    def shopify(self) -> Shopify:
        return connected(httpx.MockTransport(self.answer))


def answering(data: Mapping[str, Any]) -> Shopify:
    """Whatever is asked, the vendor answers this."""
    return connected(httpx.MockTransport(lambda _request: httpx.Response(200, json={"data": data})))


@dataclass
class Storefront:
    company: Company
    sandbox: VendorSandbox
    shopify: Shopify

    @property
    def asked(self) -> int:
        return len(self.sandbox.requests)

    def contact(self, number: int) -> Contact:
        return Contact(ref=Ref("shopify", "customer", native(number)), name=self.company.people[number].name)

    def newest_first(self, person: int) -> list[Order]:
        return sorted(self.company.orders_of[person], key=lambda order: (order.placed_at, order.number), reverse=True)


def storefront(company: Company) -> Storefront:
    sandbox = shopify_sandbox(company)
    return Storefront(company, sandbox, connected(InProcess(sandbox)))


def native(person: int) -> str:
    return str(700_001 + person)


def order_id(order: Order) -> str:
    return f"shopify:order:{800_001 + order.number}"
