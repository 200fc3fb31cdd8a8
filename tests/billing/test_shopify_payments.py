"""Payments of the shop: what was taken, what was given back of it, and how much still may be."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.billing.shopify_shop import (
    KEY,
    NOW,
    REFUNDS,
    TODAY,
    URL,
    Scripted,
    ShopFront,
    bag,
    draft,
    gave_back,
    native,
    number,
    order_native,
    paid_order,
    pends,
    shop_front,
    some,
    transaction,
    usd,
)

from backoffice_billing.models import Payment, Refund
from backoffice_shared.errors import NotFound
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Books, paid_outside
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> ShopFront:
    return shop_front(company)


async def test_a_payment_says_how_it_was_paid_and_what_may_be_given_back(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    person = shop.company.people[order.person]
    card = Books.card(person)
    assert card is not None
    assert await shop.payment(order) == Payment(
        payment_id=f"shopify:payment:{native(order)}",
        at=order.placed_at.replace(microsecond=0),
        amount=usd(shop.company.total(order)),
        refunded=usd(0),
        status="succeeded",
        kind="card",
        brand=card.brand,
        last4=card.last4,
        order=number(order),
        native_status="success",
        url=f"{URL}/admin/orders/{order_native(order)}",
        captured=True,
        refundable=usd(shop.company.total(order)),
        customer_email=person.email,
    )


async def test_sections_are_there_when_they_are_asked_for(shop: ShopFront) -> None:
    order = some(shop.company, "partially_refunded")
    repaid = shop.company.books.repaid(order)
    found = await shop.payment(order, "refunds", "dispute", "fees", "risk")
    assert found.refunds == [
        Refund(
            refund_id=f"shopify:refund:{order_native(order)}{nth}",
            payment_id=f"shopify:payment:{native(order)}",
            amount=usd(one.amount),
            status="succeeded",
            at=one.at.replace(microsecond=0),
        )
        for nth, one in enumerate(repaid)
    ]
    assert found.refunded == usd(sum(one.amount for one in repaid))
    assert found.refundable == found.amount - found.refunded
    assert (found.disputes, found.risk, found.flagged) == ([], "accept", False)
    fee = found.amount.share(29, 1000) + usd(30)
    assert (found.fee, found.net) == (fee, found.amount - fee)
    assert found.status == "succeeded"


async def test_a_payment_that_was_wholly_given_back_is_refunded(shop: ShopFront) -> None:
    found = await shop.payment(some(shop.company, "refunded"))
    assert (found.status, found.refundable, found.refunded) == ("refunded", usd(0), found.amount)


async def test_a_payment_that_has_not_arrived_cannot_be_given_back(shop: ShopFront) -> None:
    found = await shop.payment(some(shop.company, "pending"))
    assert (found.status, found.captured, found.refundable) == ("pending", False, usd(0))


async def test_what_another_provider_took_is_not_given_back_by_the_shop(shop: ShopFront) -> None:
    found = await shop.payment(some(shop.company, "paid", outside=True))
    assert (found.status, found.captured, found.refundable, found.kind) == ("succeeded", True, usd(0), "stripe")
    assert found.notes == ["Money that came through stripe is given back there, not by the shop"]


async def test_every_refund_changes_what_is_left(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    before = await shop.payment(order)
    await shop.shopify.refund(draft(order, 250), KEY)
    after = await shop.payment(order, "refunds")
    assert (after.refunded, after.refundable) == (usd(250), before.refundable - usd(250))
    assert [(refund.amount, refund.reason, refund.at) for refund in after.refunds or ()] == [
        (usd(250), "requested_by_customer", NOW)
    ]


async def test_a_refund_that_is_under_way_is_not_left_and_has_not_arrived(shop: ShopFront) -> None:
    order = next(
        order
        for order in shop.company.orders
        if order.payment == "paid" and pends(shop.company, order) and not paid_outside(order)
    )
    made = await shop.shopify.refund(draft(order, 250), KEY)
    pending = await shop.payment(order, "refunds")
    assert (made.value.status, pending.refunded, pending.refundable) == ("pending", usd(0), pending.amount - usd(250))
    shop.till.settle()
    settled = await shop.payment(order, "refunds")
    assert settled.refunded == usd(250)
    assert [refund.status for refund in settled.refunds or ()] == ["succeeded"]


NO_PAYMENTS = ("", "7", "800005", "800005.", ".8000050", "800005.8000050.1", "800005.-1", "800005/8000050")
STRANGE = ("\u0668.\u0668", "1.2\n", "9" * 50, "800005.8000051", "1.1", f"{'9' * 19}.{'9' * 19}")


@pytest.mark.parametrize("text", [*NO_PAYMENTS, *STRANGE])
async def test_what_is_no_payment_is_not_found(shop: ShopFront, text: str) -> None:
    with pytest.raises(NotFound, match="no such payment"):
        await shop.shopify.payment(text, frozenset())


async def test_a_refund_is_no_payment(shop: ShopFront) -> None:
    order = some(shop.company, "refunded")
    with pytest.raises(NotFound):
        await shop.shopify.payment(f"{order_native(order)}.{order_native(order)}1", frozenset())


# ------------------------------------------------------------------------------------------- what a shop may say


async def read(*moved: dict[str, Any], sections: frozenset[Any] = frozenset(), **fields: Any) -> Payment:
    return await Scripted([paid_order(*moved, **fields)]).shopify.payment("5.7", sections)


async def test_of_two_payments_each_counts_what_was_given_back_of_it() -> None:
    moved = (
        transaction(),
        transaction(id="gid://shopify/OrderTransaction/9"),
        gave_back("10.0"),
        gave_back("5.0", parent=9),
    )
    found = await read(*moved, left="45.0")
    assert (found.refunded, found.refundable) == (usd(1000), usd(2000))


async def test_no_more_may_be_given_back_than_is_left_of_the_order() -> None:
    assert (await read(left="4.0")).refundable == usd(400)
    assert (await read(left="-1.0")).refundable == usd(0)
    assert (await read(suggestedRefund=None, totalRefundedSet=bag("29.99", "USD"))).refundable == usd(1)


@pytest.mark.parametrize(
    ("status", "counts"), [("PENDING", 10), ("AWAITING_RESPONSE", 10), ("UNKNOWN", 10), ("ERROR", 0)]
)
async def test_what_may_have_been_given_back_is_not_left(status: str, counts: int) -> None:
    found = await read(transaction(), gave_back("10.0", status))
    assert (found.refunded, found.refundable) == (usd(0), usd(3000 - 100 * counts))


async def test_what_names_no_payment_counts_against_all_of_its_gateway() -> None:
    assert (await read(transaction(), gave_back("10.0", parent=None))).refundable == usd(2000)
    assert (await read(transaction(), gave_back("10.0", parent=None, gateway="gift_card"))).refundable == usd(3000)


@pytest.mark.parametrize(
    ("currency", "amount", "minor"), [("JPY", "30.0", 30), ("KWD", "30.0", 30_000), ("USD", "30", 3000)]
)
async def test_amounts_are_exact_in_every_currency(currency: str, amount: str, minor: int) -> None:
    found = await read(transaction(amount=amount, currency=currency), currency=currency)
    assert found.amount == found.refundable == Money(amount=minor, currency=currency)


@pytest.mark.parametrize(
    ("theirs", "ours", "status"),
    [
        ("NEEDS_RESPONSE", "open", "disputed"),
        ("UNDER_REVIEW", "open", "disputed"),
        ("SOMETHING_NEW", "open", "disputed"),
        ("ACCEPTED", "lost", "disputed"),
        ("LOST", "lost", "disputed"),
        ("WON", "won", "succeeded"),
    ],
)
async def test_a_dispute_is_told_and_its_details_are_not_made_up(theirs: str, ours: str, status: str) -> None:
    found = await read(disputes=[{"status": "WON"}, {"status": theirs}], sections=frozenset({"dispute"}))
    assert (found.dispute, found.status, found.disputes) == (ours, status, None)
    assert found.notes == [
        "dispute: Shopify says here only how it stands; its amount and its reason are in Shopify Payments"
    ]


async def test_an_order_that_shopify_advises_to_cancel_is_flagged() -> None:
    found = await read(risk={"recommendation": "CANCEL"}, sections=frozenset({"risk"}))
    assert (found.flagged, found.risk) == (True, "cancel")


async def test_a_declined_payment_says_why() -> None:
    found = await read(transaction(status="FAILURE", errorCode="CARD_DECLINED", processedAt=None))
    assert (found.status, found.failure_code, found.captured, found.refundable) == (
        "failed",
        "card_declined",
        False,
        usd(0),
    )
    assert found.at == datetime(2026, 10, 1, 10, tzinfo=UTC)


async def test_a_reservation_is_no_money_yet() -> None:
    found = await read(transaction("AUTHORIZATION"))
    assert (found.status, found.captured, found.refundable) == ("pending", False, usd(0))


async def test_fees_of_another_currency_leave_no_net() -> None:
    fee = {"amount": {"amount": "1.2", "currencyCode": "CAD"}, "taxAmount": {"amount": "0.06", "currencyCode": "CAD"}}
    found = await read(transaction(fees=[fee]), sections=frozenset({"fees"}))
    assert (found.fee, found.net) == (Money(amount=126, currency="CAD"), None)


async def test_a_refunds_part_in_another_payment_is_not_told_here() -> None:
    refund: dict[str, Any] = {
        "id": "gid://shopify/Refund/3",
        "createdAt": None,
        "processedAt": "2026-10-02T10:00:00Z",
        "note": "Arrived broken",
        "transactions": {"nodes": [gave_back("4.0"), gave_back("6.0", parent=9), gave_back("1.0", "FAILURE")]},
    }
    restocked: dict[str, Any] = {**refund, "transactions": {"nodes": []}}
    failed = {**refund, "transactions": {"nodes": [gave_back("2.0", "ERROR", errorCode="EXPIRED_CARD")]}}
    found = await read(refunds=[refund, restocked, failed], sections=REFUNDS)
    assert [(one.amount, one.status, one.failure_reason, one.reason) for one in found.refunds or ()] == [
        (usd(400), "succeeded", None, "Arrived broken"),
        (usd(200), "failed", "expired_card", "Arrived broken"),
    ]


async def test_what_may_be_cut_is_said() -> None:
    empty: dict[str, Any] = {"id": "gid://shopify/Refund/3", "transactions": {"nodes": []}}
    found = await read(*[transaction()] * 40, refunds=[empty] * 30, sections=REFUNDS)
    assert found.notes == [
        "The first 40 transactions of the order are counted, and there may be more",
        "refunds: the first 30 of the order are in here, and there may be more",
    ]
