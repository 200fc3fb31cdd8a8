"""Servers in one process share the sandbox of a vendor that they have in common."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.foundation import foundation

from backoffice_billing.backends.shopify import Shopify as Till
from backoffice_billing.ports import RefundDraft
from backoffice_customer.backends.shopify import Shopify as Shop
from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_platform.installed import all_sandboxes, installed_domains
from backoffice_shared.mcp.domain import Domain, Vendor
from backoffice_shared.mcp.main import reach, sandboxes_of
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import paid_outside
from backoffice_shared.sandbox.company import Company
from backoffice_shared.settings import Settings
from backoffice_shopify import SHOPIFY, shopify_sandbox

pytestmark = pytest.mark.anyio

TILL = Domain(
    name="till",
    title="Another server with the same shop",
    instructions="",
    tools=(),
    vendors=(Vendor(SHOPIFY, shopify_sandbox, provides=frozenset()),),
    assemble=lambda _clients, _settings, _state: object(),
)


def small_company() -> Company:
    return Company(customers=20, today=datetime(2026, 11, 1, tzinfo=UTC))


async def test_what_one_server_refunds_the_other_sees() -> None:
    company, on, settings = small_company(), foundation(), Settings()
    sandboxes = sandboxes_of([CUSTOMER, TILL], company)
    order = next(order for order in company.orders if order.payment == "paid" and not paid_outside(order))
    number = 800_001 + order.number
    ours = await reach(TILL, settings, {}, sandbox="", sandboxes=sandboxes)
    theirs = await reach(CUSTOMER, settings, {}, sandbox="", sandboxes=sandboxes)
    async with ours.connected(on) as till, theirs.connected(on) as shop:
        amount = Money(amount=100, currency="USD")
        await Till(till["shopify"]).refund(RefundDraft(f"{number}.{number}0", amount, "goodwill"), "3f" * 20)
        seen = await Shop(shop["shopify"]).order(str(number), frozenset({"refunds", "payments"}))
    assert seen.payment_status == "partially_refunded"
    assert seen.refundable == Money(amount=company.total(order) - 100, currency="USD")
    assert [refund.amount for refund in seen.refunds or ()] == [amount]
    assert [payment.kind for payment in seen.payments or ()] == ["sale", "refund"]


def test_there_is_one_sandbox_for_each_vendor_of_the_installed_servers() -> None:
    vendors = {vendor.backend.name for domain in installed_domains() for vendor in domain.vendors}
    assert all_sandboxes(small_company()).keys() == vendors
