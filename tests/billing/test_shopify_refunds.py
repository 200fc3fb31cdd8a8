"""Giving back what the shop took: once for each key, never more than is left, whatever answer is lost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.billing.shopify_shop import (
    KEY,
    NOW,
    OTHER_KEY,
    TODAY,
    Discreet,
    Scripted,
    ShopFront,
    bag,
    connected,
    draft,
    gave_back,
    line_id,
    native,
    number,
    order_native,
    shop_front,
    some,
    transaction,
    usd,
    whole_order,
)

from backoffice_billing.models import Refund
from backoffice_billing.ports import RefundDraft, ReturnedLine
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackendUnavailable, Conflict, InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.http.client import Written
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> ShopFront:
    return shop_front(company)


async def test_a_refund_is_made_and_told(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    given = await shop.shopify.refund(draft(order, 250), KEY)
    assert given == Written(
        Refund(
            refund_id="shopify:refund:20000001",
            payment_id=f"shopify:payment:{native(order)}",
            amount=usd(250),
            status="succeeded",
            reason="requested_by_customer",
            at=NOW,
        ),
        replayed=False,
    )
    [made] = shop.made(order)
    assert (made.amount, made.lines, made.note) == (250, (), f"requested_by_customer (backoffice {KEY})")


async def test_without_lines_no_line_is_given_back_and_with_them_those_are(shop: ShopFront) -> None:
    order = some(shop.company, "paid", lines=2)
    sku = shop.company.products[order.lines[1][0]].sku
    await shop.shopify.refund(draft(order, 100), KEY)
    await shop.shopify.refund(draft(order, 200, ReturnedLine(line_id(order), 1), ReturnedLine(sku, 1)), OTHER_KEY)
    assert [(made.amount, made.lines) for made in shop.made(order)] == [(100, ()), (200, ((0, 1), (1, 1)))]
    left = [line.refundable for line in (await shop.shopify.order(number(order))).lines]
    assert left == [quantity - (position < 2) for position, (_, quantity) in enumerate(order.lines)]


async def test_all_can_be_given_back_to_the_last_cent_and_not_one_more(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    whole = shop.company.total(order)
    await shop.shopify.refund(draft(order, whole - 1), KEY)
    with pytest.raises(Conflict, match=r"Refund amount \$0\.02 is greater than net payment received \$0\.01"):
        await shop.shopify.refund(draft(order, 2), OTHER_KEY)
    await shop.shopify.refund(draft(order, 1), OTHER_KEY)
    with pytest.raises(Conflict, match=r"greater than net payment received \$0\.00"):
        await shop.shopify.refund(draft(order, 1), "a" * 40)
    assert [made.amount for made in shop.made(order)] == [whole - 1, 1]
    assert shop.till.payment_status(order) == "REFUNDED"


async def test_the_same_key_gives_the_same_refund(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    first = await shop.shopify.refund(draft(order, 250), KEY)
    again = await shop.shopify.refund(draft(order, 250), KEY)
    assert again.value == first.value
    assert len(shop.made(order)) == 1


async def test_a_key_that_was_used_for_something_else_is_refused(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    await shop.shopify.refund(draft(order, 250), KEY)
    with pytest.raises(Conflict, match="same idempotency key cannot be used with different operation parameters"):
        await shop.shopify.refund(draft(order, 251), KEY)
    assert len(shop.made(order)) == 1


# -------------------------------------------------------------------------------------------------- what is refused


async def test_more_of_a_line_than_is_left_is_refused(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(Conflict, match="Quantity cannot refund more items than were purchased"):
        await shop.shopify.refund(draft(order, 1, ReturnedLine(line_id(order), order.lines[0][1] + 1)), KEY)
    assert shop.made(order) == []


async def test_a_line_of_another_order_is_refused_before_anything_is_sent(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(InvalidInput, match="has no line '8000001'"):
        await shop.shopify.refund(draft(order, 1, ReturnedLine("8000001", 1)), KEY)
    assert shop.asked == 1


async def test_money_that_did_not_arrive_is_not_given_back(shop: ShopFront) -> None:
    with pytest.raises(NotFound, match="no such captured payment"):
        await shop.shopify.refund(draft(some(shop.company, "pending"), 1), KEY)


async def test_money_that_another_provider_took_is_given_back_there(shop: ShopFront) -> None:
    """To record it in the shop alone would say that it was given back, and move nothing."""
    order = some(shop.company, "paid", outside=True)
    with pytest.raises(Conflict, match=r"came through stripe\. It is given back where it was taken"):
        await shop.shopify.refund(draft(order, 1), KEY)
    assert shop.made(order) == []


async def test_a_payment_is_given_back_in_its_own_currency(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(InvalidInput, match="made in USD, and is not given back in EUR"):
        await shop.shopify.refund(RefundDraft(native(order), Money(amount=1, currency="EUR"), "goodwill"), KEY)


@pytest.mark.parametrize("amount", [0, -1])
async def test_less_than_something_is_not_given_back(shop: ShopFront, amount: int) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(InvalidInput, match="more than nothing"):
        await shop.shopify.refund(draft(order, amount), KEY)
    assert (shop.asked, shop.made(order)) == (0, [])


@pytest.mark.parametrize("payment", ["", "1.1", "x", "800001.8000010'); drop", "\u0661.\u0661"])
async def test_a_payment_that_does_not_exist_is_not_given_back(shop: ShopFront, payment: str) -> None:
    with pytest.raises(NotFound):
        await shop.shopify.refund(RefundDraft(payment, usd(1), "duplicate"), KEY)


async def test_an_orders_transaction_is_not_a_payment_of_another_order(shop: ShopFront) -> None:
    one, other = some(shop.company, "paid"), some(shop.company, "partially_refunded")
    crossed = f"{order_native(one)}.{native(other).partition('.')[2]}"
    with pytest.raises(NotFound):
        await shop.shopify.refund(RefundDraft(crossed, usd(1), "duplicate"), KEY)


# ------------------------------------------------------------------------------------------------- once, and only once


async def test_a_refund_whose_answer_is_lost_is_found_and_made_once(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    shop.break_down("ok", "drop_after_commit")
    given = await shop.shopify.refund(draft(order, 250), KEY)
    assert (given.value.refund_id, given.value.amount) == ("shopify:refund:20000001", usd(250))
    assert len(shop.made(order)) == 1


@pytest.mark.parametrize("fault", ["drop_after_commit", "reset", "error", "malformed", "wrong_types"])
async def test_whatever_breaks_on_the_way_the_money_moves_once(shop: ShopFront, fault: Any) -> None:
    order = some(shop.company, "paid")
    shop.break_down("ok", fault, fault, fault, fault, fault)
    since = datetime.now(UTC)
    with pytest.raises((OutcomeUnknown, BackendUnavailable)):
        await shop.shopify.refund(draft(order, 250), KEY)
    shop.sandbox.faults = Faults()
    with attempting(since):
        given = await shop.shopify.refund(draft(order, 250), KEY)
    assert given.value.amount == usd(250)
    assert [made.amount for made in shop.made(order)] == [250]


async def test_what_was_never_sent_is_sent_again_by_itself(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    shop.break_down("ok", "throttle")
    assert (await shop.shopify.refund(draft(order, 250), KEY)).value.amount == usd(250)
    assert len(shop.made(order)) == 1


async def test_a_refund_of_lines_is_asked_for_again_as_it_was_though_none_are_left(shop: ShopFront) -> None:
    """The vendor takes a key that it knows only with the same input."""
    order = some(shop.company, "paid", lines=2)
    (product, quantity), amount = order.lines[0], 250
    given_back = draft(order, amount, ReturnedLine(shop.company.products[product].sku, quantity))
    first = await shop.shopify.refund(given_back, KEY)
    with attempting(datetime.now(UTC) - timedelta(minutes=1)):
        again = await shop.shopify.refund(given_back, KEY)
    assert again.value == first.value
    assert len(shop.made(order)) == 1


async def test_when_the_vendor_has_forgotten_the_key_the_refund_is_found_by_its_mark(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    await shop.shopify.refund(draft(order, 100), OTHER_KEY)
    first = await shop.shopify.refund(draft(order, 250), KEY)
    shop.clock.pass_by(timedelta(hours=25))
    with attempting(datetime.now(UTC) - timedelta(hours=25)):
        again = await shop.shopify.refund(draft(order, 250), KEY)
    assert again == Written(first.value, replayed=True)
    assert [made.amount for made in shop.made(order)] == [100, 250]


async def test_when_the_vendor_has_forgotten_the_key_and_nothing_was_made_it_is_made(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    with attempting(datetime.now(UTC) - timedelta(hours=25)):
        given = await shop.shopify.refund(draft(order, 250), KEY)
    assert (given.replayed, len(shop.made(order))) == (False, 1)


async def test_somebody_elses_words_in_a_note_are_not_taken_for_our_mark(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    for note in (None, "", KEY, f"(backoffice {KEY}) as the customer wrote", f"(backoffice {KEY[:-1]})"):
        shop.till.refund(order, [1], (), note)
    with attempting(datetime.now(UTC) - timedelta(hours=25)):
        given = await shop.shopify.refund(draft(order, 250), KEY)
    assert (given.replayed, given.value.amount) == (False, usd(250))


async def test_a_refund_that_was_made_and_is_told_in_part_is_found(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    given = await connected(Discreet(shop.sandbox, writes=True)).refund(draft(order, 250), KEY)
    assert (given.value.refund_id, given.value.amount) == ("shopify:refund:20000001", usd(250))
    assert [made.amount for made in shop.made(order)] == [250]


async def test_a_refund_that_was_made_and_may_not_be_seen_is_not_said_to_be_refused(shop: ShopFront) -> None:
    order = some(shop.company, "paid")
    with pytest.raises(OutcomeUnknown):
        await connected(Discreet(shop.sandbox, writes=False)).refund(draft(order, 250), KEY)
    assert (await shop.shopify.refund(draft(order, 250), KEY)).value.amount == usd(250)
    assert [made.amount for made in shop.made(order)] == [250]


UNDER_WAY = {"field": None, "message": "This request is currently in progress, please try again."}


async def test_while_another_attempt_is_under_way_nobody_says_that_it_was_refused() -> None:
    answers: list[dict[str, Any]] = [
        whole_order(),
        {"refundCreate": {"refund": None, "userErrors": [UNDER_WAY]}},
        {"order": {"refunds": []}},
    ]
    with pytest.raises(OutcomeUnknown):
        await Scripted(answers).shopify.refund(RefundDraft("5.7", usd(1), "duplicate"), KEY)


async def test_a_refund_of_which_shopify_does_not_say_yet_what_moved_is_pending() -> None:
    made: dict[str, Any] = {
        "id": "gid://shopify/Refund/3",
        "createdAt": "2026-10-02T10:00:00Z",
        "processedAt": "2026-10-02T10:00:00Z",
        "note": f"duplicate (backoffice {KEY})",
        "transactions": {"nodes": []},
    }
    answers: list[dict[str, Any]] = [whole_order(), {"refundCreate": {"refund": made, "userErrors": []}}]
    given = await Scripted(answers).shopify.refund(RefundDraft("5.7", usd(100), "duplicate"), KEY)
    assert (given.value.status, given.value.amount, given.value.reason) == ("pending", usd(100), "duplicate")


async def test_a_refund_that_failed_says_so() -> None:
    made: dict[str, Any] = {
        "id": "gid://shopify/Refund/3",
        "createdAt": "2026-10-02T10:00:00Z",
        "note": None,
        "transactions": {"nodes": [gave_back("1.0", "FAILURE", errorCode="EXPIRED_CARD")]},
    }
    answers: list[dict[str, Any]] = [whole_order(), {"refundCreate": {"refund": made, "userErrors": []}}]
    given = await Scripted(answers).shopify.refund(RefundDraft("5.7", usd(100), "duplicate"), KEY)
    assert (given.value.status, given.value.failure_reason) == ("failed", "expired_card")


@pytest.mark.parametrize(
    ("currency", "minor", "written"), [("JPY", 1, "1"), ("KWD", 1, "0.001"), ("USD", 1, "0.01"), ("EUR", 2999, "29.99")]
)
async def test_what_is_asked_of_shopify(currency: str, minor: int, written: str) -> None:
    """In the currency that the customer paid in; nobody is written to, nothing goes into stock, and never too much."""
    moved = transaction(amountSet=bag("30", currency, shop="20.0"), gateway="Shopify_Payments")
    script = Scripted(
        [whole_order(moved, currency=currency), {"refundCreate": {"refund": None, "userErrors": [UNDER_WAY]}}]
    )
    with pytest.raises(OutcomeUnknown):
        await script.shopify.refund(RefundDraft("5.7", Money(amount=minor, currency=currency), "goodwill"), KEY)
    assert script.asked[1] == {
        "key": KEY,
        "parts": 5,
        "input": {
            "orderId": "gid://shopify/Order/5",
            "note": f"goodwill (backoffice {KEY})",
            "notify": False,
            "currency": currency,
            "refundLineItems": [],
            "transactions": [
                {
                    "orderId": "gid://shopify/Order/5",
                    "parentId": "gid://shopify/OrderTransaction/7",
                    "kind": "REFUND",
                    "gateway": "Shopify_Payments",
                    "amount": written,
                }
            ],
        },
    }


async def test_a_shop_that_does_not_answer_is_not_said_to_have_refused() -> None:
    def gone(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no route", request=request)

    with pytest.raises(BackendUnavailable):
        await connected(httpx.MockTransport(gone)).refund(RefundDraft("5.7", usd(1), "duplicate"), KEY)
