"""Two vendors, one company: what the shop's sandbox says of a payment is what the provider's sandbox has."""

from __future__ import annotations

from datetime import UTC, datetime

from backoffice_billing.backends.shopify import shopify_sandbox
from backoffice_billing.backends.stripe.sandbox.ids import payment_id
from backoffice_shared.sandbox.company import Company
from backoffice_shopify.sandbox import shop_of


def test_the_shop_names_the_providers_payment_as_the_provider_does() -> None:
    company = Company(today=datetime(2026, 11, 1, tzinfo=UTC))
    till = shop_of(shopify_sandbox(company)).till
    taken = {
        payment.order: payment_id(payment.number) for payment in company.books.payments if payment.order is not None
    }
    assert taken
    assert {order.number: till.reference(order) for order in company.orders} == {
        order.number: taken.get(order.number) for order in company.orders
    }
