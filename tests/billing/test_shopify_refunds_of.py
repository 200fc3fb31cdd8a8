"""What somebody was given back by the shop, whichever of their orders it was for: what a policy counts."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.billing.shopify_shop import (
    KEY,
    NOW,
    OTHER_KEY,
    TODAY,
    Scripted,
    ShopFront,
    draft,
    gave_back,
    native,
    order_native,
    page,
    shop_front,
    usd,
)

from backoffice_billing.backends.shopify import orders
from backoffice_billing.backends.shopify.queries import REFUNDS
from backoffice_billing.models import Refund
from backoffice_shared.errors import TooLarge
from backoffice_shared.sandbox.books import paid_outside
from backoffice_shared.sandbox.company import Company, Order, Person
from backoffice_shopify.search import AllOf, Term, parse

pytestmark = pytest.mark.anyio

LONG_AGO = TODAY - timedelta(days=3_650)
ADA = "ada@engine.example"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=600, today=TODAY)


@pytest.fixture
def shop(company: Company) -> ShopFront:
    return shop_front(company)


def placed(company: Company, person: Person, *, outside: bool) -> list[Order]:
    return [order for order in company.orders_of[person.number] if paid_outside(order) is outside]


def somebody(company: Company) -> Person:
    """Who was given money back several times, by the shop and by the provider."""

    def repaid(person: Person, *, outside: bool) -> int:
        return sum(len(company.books.repaid(order)) for order in placed(company, person, outside=outside))

    return next(
        company.people[number]
        for number, bought in company.orders_of.items()
        if len(bought) < 50
        and repaid(company.people[number], outside=False) > 1
        and repaid(company.people[number], outside=True)
    )


def facts(company: Company, person: Person) -> list[Refund]:
    """What the shop gave them before today, the latest first."""
    made = [
        Refund(
            refund_id=f"shopify:refund:{order_native(order)}{nth}",
            payment_id=f"shopify:payment:{native(order)}",
            amount=usd(repaid.amount),
            status="succeeded",
            at=repaid.at.replace(microsecond=0),
        )
        for order in placed(company, person, outside=False)
        for nth, repaid in enumerate(company.books.repaid(order))
    ]
    return sorted(made, key=lambda refund: refund.at, reverse=True)


async def test_what_somebody_was_given_back_for_any_of_their_orders_is_told_the_latest_first(shop: ShopFront) -> None:
    person = somebody(shop.company)
    assert await shop.shopify.refunds_of(person.email, LONG_AGO) == facts(shop.company, person)


async def test_only_what_was_given_since_the_time_asked_for_is_told(shop: ShopFront) -> None:
    person = somebody(shop.company)
    latest, *_, first = facts(shop.company, person)
    found = await shop.shopify.refunds_of(person.email, first.at + timedelta(seconds=1))
    assert latest in found
    assert first not in found
    assert await shop.shopify.refunds_of(person.email, latest.at) == [latest]
    assert await shop.shopify.refunds_of(person.email, latest.at + timedelta(seconds=1)) == []


async def test_a_refund_of_just_now_is_told_of_whichever_order_and_never_from_a_cache(shop: ShopFront) -> None:
    person = next(
        shop.company.people[number]
        for number in shop.company.orders_of
        if sum(order.payment == "paid" for order in placed(shop.company, shop.company.people[number], outside=False))
        > 1
    )
    first, *_, last = [o for o in placed(shop.company, person, outside=False) if o.payment == "paid"]
    assert await shop.shopify.refunds_of(person.email, NOW) == []
    one = (await shop.shopify.refund(draft(first, 250), KEY)).value
    assert await shop.shopify.refunds_of(person.email, NOW) == [one]
    other = (await shop.shopify.refund(draft(last, 100), OTHER_KEY)).value
    found = await shop.shopify.refunds_of(person.email, NOW)
    assert sorted(found, key=lambda refund: refund.refund_id) == [one, other]


async def test_the_case_of_letters_in_an_address_makes_no_difference(shop: ShopFront) -> None:
    person = somebody(shop.company)
    assert await shop.shopify.refunds_of(person.email.upper(), LONG_AGO) == facts(shop.company, person)


async def test_what_a_provider_gave_back_is_the_providers_to_tell_unless_its_gateway_is_the_shops_own(
    company: Company,
) -> None:
    """Otherwise one refund would count twice: the shop notes it, too."""
    person = somebody(company)
    theirs = {order_native(order) for order in placed(company, person, outside=True) if company.books.repaid(order)}

    async def told(**options: str) -> set[str]:
        found = await shop_front(company, **options).shopify.refunds_of(person.email, LONG_AGO)
        return {(refund.payment_id or "").split(":")[2].partition(".")[0] for refund in found}

    assert not await told() & theirs
    assert await told(gateways="stripe") == theirs


# ---------------------------------------------------------------------------------------------------- what is asked


HOSTILE = (
    'x" OR email:"ada@engine.example',
    "x' OR email:'ada@engine.example",
    """x"' OR updated_at:>"1999-01-01" OR email:"'""",
    "x\\",
    '\\" OR name:#1001',
    "*",
    "a b",
    "a@b.example\n OR *",
    "\u2028\x00\U0001f525",
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_no_address_can_change_the_search(shop: ShopFront, text: str) -> None:
    match parse(orders.changed(text, NOW)):
        case AllOf((Term("email", "", _, quoted=True), Term("updated_at", ">=", since, quoted=True))):
            assert since == "2026-11-02T09:30:00Z"
        case other:
            raise AssertionError(other)
    assert await shop.shopify.refunds_of(text, LONG_AGO) == []


@pytest.mark.parametrize("text", ["", " ", "\n"])
async def test_nobodys_address_is_not_asked_for(shop: ShopFront, text: str) -> None:
    assert await shop.shopify.refunds_of(text, LONG_AGO) == []
    assert shop.asked == 0


# ------------------------------------------------------------------------------------------- what a shop may say


def changed(*numbers: int, email: str | None = ADA, after: str | None = None, refunds: int = 1) -> dict[str, Any]:
    made = [{"id": "gid://shopify/Refund/3"}] * refunds
    return {"orders": page(*({"id": _order(n), "email": email, "refunds": made} for n in numbers), after=after)}


def _order(number: int) -> str:
    return f"gid://shopify/Order/{number}"


def refund(*moved: dict[str, Any], number: int = 3) -> dict[str, Any]:
    return {
        "id": f"gid://shopify/Refund/{number}",
        "createdAt": "2026-10-02T10:00:00Z",
        "processedAt": "2026-10-02T10:00:00Z",
        "note": "duplicate",
        "transactions": {"nodes": list(moved)},
    }


def given(*refunds: dict[str, Any]) -> dict[str, Any]:
    return {"order": {"id": _order(5), "refunds": list(refunds)}}


async def test_the_orders_of_many_pages_are_all_read() -> None:
    script = Scripted([changed(4, after="one", refunds=0), changed(5), given(refund(gave_back("1.0")))])
    [found] = await script.shopify.refunds_of(ADA, LONG_AGO)
    assert (found.amount, found.payment_id, found.reason) == (usd(100), "shopify:payment:5.7", "duplicate")
    assert [asked.get("after") for asked in script.asked[:2]] == [None, "one"]
    assert script.asked[2]["id"] == _order(5)


@pytest.mark.parametrize("email", ["ada@engine.example.org", "dr.ada@engine.example", None])
async def test_an_address_that_the_search_only_takes_for_it_is_not_theirs(email: str | None) -> None:
    script = Scripted([changed(5, email=email), given(refund(gave_back("1.0")))])
    assert await script.shopify.refunds_of(ADA, LONG_AGO) == []


async def test_what_is_more_than_can_be_read_is_not_half_told() -> None:
    with pytest.raises(TooLarge, match="more orders of this address"):
        await Scripted([changed(4, refunds=0, after="more")]).shopify.refunds_of(ADA, LONG_AGO)
    with pytest.raises(TooLarge, match="more orders of this address"):
        await Scripted([changed(*range(1, 27))]).shopify.refunds_of(ADA, LONG_AGO)
    many = [refund(gave_back("0.01"), number=number) for number in range(REFUNDS)]
    with pytest.raises(TooLarge, match="order 5 has more refunds"):
        await Scripted([changed(5), given(*many)]).shopify.refunds_of(ADA, LONG_AGO)
    assert len(await Scripted([changed(5), given(*many[1:])]).shopify.refunds_of(ADA, LONG_AGO)) == REFUNDS - 1


async def test_of_a_refund_in_parts_those_of_the_shop_are_one_and_of_several_payments_none_is_named() -> None:
    parts = gave_back("1.0"), gave_back("2.0", parent=9), gave_back("4.0", gateway="gift_card", parent=10)
    [found] = await Scripted([changed(5), given(refund(*parts))]).shopify.refunds_of(ADA, LONG_AGO)
    assert (found.refund_id, found.amount, found.payment_id) == ("shopify:refund:3", usd(300), None)


async def test_what_only_puts_goods_into_stock_is_no_refund_and_one_that_failed_says_so() -> None:
    failed = refund(gave_back("1.0", "FAILURE", errorCode="EXPIRED_CARD"), number=4)
    script = Scripted([changed(5), given(refund(), failed)])
    found = await script.shopify.refunds_of(ADA, LONG_AGO)
    assert [(one.refund_id, one.status, one.failure_reason) for one in found] == [
        ("shopify:refund:4", "failed", "expired_card")
    ]
