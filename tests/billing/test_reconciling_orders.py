"""What the provider was paid for orders, against what the shop says: no other way of paying, and no silence, counts."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.billing.books import DOWN, TODAY, Office, complete, eur, told

from backoffice_shared.errors import BackendUnavailable

pytestmark = pytest.mark.anyio


async def test_payments_that_name_an_order_are_held_against_what_the_shop_says():
    at = Office()
    for number, amount, refunded in (("#1", 100, 0), ("#2", 100, 0), ("#3", 100, 40), ("#4", 100, 0)):
        at.stripe.receive(amount, order=number, refunded=refunded)
    at.shop.sell("#1", 100)
    at.shop.sell("#2", 130)
    at.shop.sell("#3", 100)
    at.stripe.receive(100, order="#1", status="failed")
    found = await at.compared()
    assert told(found) == [("order_differs", "#2", -30), ("order_differs", "#3", 40), ("order_differs", "#4", None)]
    assert [(d.left.status, d.right.status) for d in found.items] == [
        ("received", "received"),
        ("refunded", "refunded"),
        ("received", "missing"),
    ]
    assert found.matched_count == 1
    for scope, index in (("#2", 0), ("2", 0), ("shopify:order:300", 1), ("#4", 2), ("stripe:payment:pi_1", 0)):
        assert told(await at.compared(scope)) == told(found)[index : index + 1]


async def test_an_order_paid_in_two_parts_at_different_times_is_compared_whole():
    at = Office()
    first = at.stripe.receive(60, order="#1", on=TODAY - timedelta(days=90))
    second = at.stripe.receive(40, order="#1")
    at.shop.sell("#1", 100, payments=[first, second])
    assert told(await at.compared()) == []


async def test_what_the_shop_or_another_took_for_an_order_is_not_the_providers():
    at = Office()
    at.shop.sell("#1", 100, gateway="shopify_payments", by_shop=True, refunded=20)
    at.shop.sell("#2", 100, gateway="bank")
    at.shop.sell("#3", 100, gateway="stripe", by_shop=True)
    for scope in ("#1", "#2", "#3"):
        found = await at.compared(scope)
        assert (told(found), found.matched_count) == ([], 1)


async def test_a_payment_that_only_the_shop_knows_is_told():
    at = Office()
    at.shop.sell("#1", 100)
    assert told(await at.compared("#1")) == [("order_differs", "#1", -100)]


async def test_a_shop_that_is_down_makes_no_order_differ():
    at = Office()
    at.stripe.receive(100, order="#1")
    at.shop.error = DOWN
    found = await at.compared()
    assert (told(found), complete(found)["shopify"]) == ([], False)
    with pytest.raises(BackendUnavailable):
        await at.compared("#1")


async def test_attempts_that_failed_are_no_payments_whichever_is_listed_last():
    at = Office()
    paid = at.stripe.receive(100, order="#1")
    at.stripe.receipts.append(paid.model_copy(update={"status": "failed", "at": paid.at - timedelta(hours=1)}))
    at.stripe.receipts.insert(0, paid.model_copy(update={"status": "failed", "at": paid.at - timedelta(hours=2)}))
    at.shop.sell("#1", 90)
    (found,) = (await at.compared()).items
    assert (found.left.amount, found.right.amount, found.delta) == (eur(100), eur(90), eur(10))
    assert told(await at.compared("#1")) == [("order_differs", "#1", 10)]
