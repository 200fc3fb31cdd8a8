"""An order's id is an id and its number is a number, wherever a caller names an order."""

from __future__ import annotations

import pytest
from tests.billing.counter import Office, counter, said
from tests.billing.refunding import recent
from tests.billing.shopify_shop import number, order_native

from backoffice_shared.sandbox.books import paid_outside
from backoffice_shared.sandbox.company import Order

pytestmark = pytest.mark.anyio


def sold(at: Office) -> Order:
    """Paid to the shop, and lately enough to be given back."""
    return next(o for o in at.company.orders if o.payment == "paid" and not paid_outside(o) and recent(at, o))


async def test_a_refund_is_for_the_order_of_this_id_or_of_this_number() -> None:
    async with counter(hurried=False) as at:
        order = sold(at)
        for name in (f"shopify:order:{order_native(order)}", number(order), number(order)[1:]):
            shown = await at.ask("preview_refund", order_id=name, amount=100, reason="not_received")
            assert shown["order"] == number(order)
        for name in (f"shopify:order:{number(order)[1:]}", f"shopify:order:{number(order)}", order_native(order)):
            refused = await at.call("preview_refund", order_id=name, amount=100, reason="not_received")
            assert refused.is_error
            assert f"there is no order '{name}'" in said(refused)


async def test_an_order_is_compared_by_its_id_or_by_its_number() -> None:
    async with counter(hurried=False) as at:
        order = sold(at)
        for name in (f"shopify:order:{order_native(order)}", number(order)):
            assert (await at.ask("reconcile", scope_ref=name))["items"] == []
        refused = await at.call("reconcile", scope_ref=f"shopify:order:{number(order)[1:]}")
        assert refused.is_error
        assert "there is no order" in said(refused)
