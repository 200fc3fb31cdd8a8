"""Shopify in our words: its adapter over its sandbox, and over answers that the sandbox does not give."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.customer.storefront import (
    TODAY,
    URL,
    Storefront,
    answering,
    connected,
    native,
    storefront,
)

from backoffice_customer.backends.shopify import SHOPIFY
from backoffice_customer.models import (
    Contact,
    Ref,
)
from backoffice_customer.ports import OrderQuery
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.deadline import within
from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    InvalidInput,
    MalformedAnswer,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company, Person, order_name
from backoffice_shared.sandbox.frame import Faults, InProcess
from backoffice_shopify.sandbox import CLIENT

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> Storefront:
    return storefront(company)


def known_to_the_shop(company: Company) -> Iterator[Person]:
    return (person for person in company.people if "shop" in person.systems)


# ------------------------------------------------------------------------------------------------------- people


async def test_a_customer_is_found_by_their_address_whatever_the_case_of_its_letters(shop: Storefront) -> None:
    person = shop.company.people[KEY_ACCOUNT]
    spent = sum(shop.company.total(o) for o in shop.company.orders_of[KEY_ACCOUNT] if o.payment != "pending")
    organisation = shop.company.organisation(person)
    assert await shop.shopify.contacts_by_email([person.email.upper()]) == [
        Contact(
            ref=Ref("shopify", "customer", "700003"),
            name=person.name,
            emails=[person.email],
            phones=[person.phone],
            company=organisation.name if organisation else None,
            tags=[] if person.tier == "free" else [person.tier],
            language=person.language,
            country=person.country,
            email_marketing=person.email_consent,
            sms_marketing=False,
            spent=Money(amount=spent, currency="USD"),
            url=f"{URL}/admin/customers/700003",
            updated_at=person.since.replace(microsecond=0),
        )
    ]


async def test_many_addresses_are_one_request(shop: Storefront) -> None:
    people = list(known_to_the_shop(shop.company))
    found = await shop.shopify.contacts_by_email([person.email for person in people])
    assert {contact.ref.native for contact in found} == {native(person.number) for person in people}
    assert shop.asked == 1


async def test_an_address_that_is_only_part_of_another_is_nobodys(shop: Storefront) -> None:
    """To Shopify, an address is a phrase: it finds it inside of longer ones."""
    local, _, domain = shop.company.people[KEY_ACCOUNT].email.partition("@")
    _first, _, last = local.partition(".")
    assert await shop.shopify.contacts_by_email([f"{last}@{domain}"]) == []


async def test_contacts_are_those_of_the_ids_that_exist(shop: Storefront) -> None:
    found = await shop.shopify.contacts([native(1), "999999999", native(3), "../Order/800001", "", "٣"])
    assert [contact.ref.native for contact in found] == [native(1), native(3)]


async def test_whoever_never_was_in_the_shop_is_not_found_there(shop: Storefront) -> None:
    strangers = [person.email for person in shop.company.people if "shop" not in person.systems]
    assert strangers
    assert await shop.shopify.contacts_by_email(strangers) == []


@pytest.mark.parametrize("text", ["maria garcia", "GARC maria", "Mari", "maria.garcia4"])
async def test_customers_are_found_by_the_beginnings_of_their_names(shop: Storefront, text: str) -> None:
    assert native(4) in {contact.ref.native for contact in await shop.shopify.search_contacts(text, 10)}


@pytest.mark.parametrize("text", ["zzz OR maria", "-zzz", "NOT zzz", "id:>0", "(zzz) OR (maria)"])
async def test_free_text_is_only_words(shop: Storefront, text: str) -> None:
    assert await shop.shopify.search_contacts(text, 10) == []


@pytest.mark.parametrize("written", ["{0} ({1}) {2}", "+{0}{1}{2}", "{0}{1}{2}", "{0}-{1}.{2}"])
async def test_a_customer_is_found_by_phone_however_it_is_written(shop: Storefront, written: str) -> None:
    digits = shop.company.people[3].phone.removeprefix("+")
    found = await shop.shopify.search_contacts(f" {written.format(digits[:3], digits[3:6], digits[6:])}", 10)
    assert [contact.ref.native for contact in found] == [native(3)]


async def test_customers_are_found_by_the_company_they_work_for(shop: Storefront) -> None:
    person = next(p for p in known_to_the_shop(shop.company) if p.organisation is not None)
    organisation = shop.company.organisation(person)
    assert organisation is not None
    found = await shop.shopify.search_contacts(organisation.name, 50)
    assert native(person.number) in {contact.ref.native for contact in found}
    assert {contact.company for contact in found} == {organisation.name}


async def test_the_number_of_an_order_leads_to_who_placed_it(shop: Storefront) -> None:
    order = shop.newest_first(KEY_ACCOUNT)[7]
    number = order_name(order.number).removeprefix("#")
    found = await shop.shopify.contacts_by_number(number)
    assert [contact.ref.native for contact in found] == [native(KEY_ACCOUNT)]
    assert await shop.shopify.contacts_by_number(number[:-1]) == []


async def test_a_search_without_a_word_in_it_asks_nobody(shop: Storefront) -> None:
    assert await shop.shopify.search_contacts(" *  -- () ", 10) == []
    assert await shop.shopify.contacts_by_email([]) == []
    assert await shop.shopify.contacts([]) == []
    assert shop.asked == 0


async def test_a_customer_without_address_phone_or_place_has_none() -> None:
    wire: dict[str, Any] = {
        "id": "gid://shopify/Customer/5",
        "displayName": "+1 555 0100",
        "defaultEmailAddress": None,
        "defaultPhoneNumber": None,
        "defaultAddress": None,
        "locale": "pt-BR",
        "tags": ["VIP"],
        "amountSpent": {"amount": "2000.0", "currencyCode": "JPY"},
        "updatedAt": "2026-01-02T03:04:05Z",
    }
    shopify = answering({"shop": {"myshopifyDomain": "s.myshopify.com"}, "nodes": [wire, None]})
    assert await shopify.contacts(["5", "6"]) == [
        Contact(
            ref=Ref("shopify", "customer", "5"),
            name="+1 555 0100",
            tags=["VIP"],
            language="pt",
            spent=Money(amount=2000, currency="JPY"),
            url="https://s.myshopify.com/admin/customers/5",
            updated_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        )
    ]


# --------------------------------------------------------------------------------------------------- when it fails


async def test_when_the_points_are_used_up_the_caller_is_told_how_long_to_wait(shop: Storefront) -> None:
    shop.sandbox.faults = Faults(throttle=1.0, retry_after=30)
    with within(5.0), pytest.raises(RateLimited, match="Throttled") as refused:
        await shop.shopify.order("800001", frozenset())
    assert refused.value.retry_after == 30.0
    assert shop.asked == 1


async def test_a_short_wait_for_points_is_waited(shop: Storefront) -> None:
    shop.sandbox.faults = Faults(plan=["throttle"], retry_after=1)
    assert (await shop.shopify.order("800001", frozenset())).number == "#1001"
    assert [entry.status for entry in shop.sandbox.requests] == [200, 200]


async def test_a_refused_token_is_said_in_the_vendors_words(shop: Storefront) -> None:
    shopify = connected(InProcess(shop.sandbox), access_token="wrong")
    with pytest.raises(PermissionDenied, match="Invalid API key or access token"):
        await shopify.search_contacts("maria", 10)


async def test_a_client_id_and_secret_buy_a_token(shop: Storefront) -> None:
    shopify = connected(InProcess(shop.sandbox), **CLIENT)
    assert (await shopify.order("800001", frozenset())).number == "#1001"
    assert [entry.path for entry in shop.sandbox.requests] == [
        "/admin/oauth/access_token",
        "/admin/api/2026-10/graphql.json",
    ]


@pytest.mark.parametrize(
    ("faults", "error"),
    [
        (Faults(error=1.0), BackendUnavailable),
        (Faults(reset=1.0), BackendUnavailable),
        (Faults(malformed=1.0), MalformedAnswer),
        (Faults(wrong_types=1.0), MalformedAnswer),
    ],
)
async def test_a_failing_shop_is_a_sentence(shop: Storefront, faults: Faults, error: type[BackofficeError]) -> None:
    shop.sandbox.faults = faults
    with pytest.raises(error, match=r"^Shopify"):
        await shop.shopify.search_orders(OrderQuery(), None, 10)


async def test_a_cursor_of_another_search_is_refused(shop: Storefront) -> None:
    with pytest.raises(InvalidInput, match="Invalid cursor"):
        await shop.shopify.search_orders(OrderQuery(), "bm90IGEgY3Vyc29y", 10)


def cost(requested: int, left: float, rate: float = 100.0) -> dict[str, Any]:
    bucket = {"maximumAvailable": 2000.0, "currentlyAvailable": left, "restoreRate": rate}
    return {"cost": {"requestedQueryCost": requested, "actualQueryCost": None, "throttleStatus": bucket}}


def error(code: str, *path: str) -> dict[str, Any]:
    return {"message": f"It is {code}", "path": list(path), "extensions": {"code": code}}


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (200, {"data": {}}, None),
        (
            200,
            {"errors": [error("THROTTLED")], "extensions": cost(752, 666, 50)},
            Failure(429, "It is THROTTLED", 1.72),
        ),
        (429, {"errors": [error("THROTTLED")], "extensions": cost(100, 300)}, Failure(429, "It is THROTTLED", 0.0)),
        (200, {"errors": [error("THROTTLED")]}, Failure(429, "It is THROTTLED")),
        (200, {"errors": [error("ACCESS_DENIED")], "data": {"orders": None}}, Failure(403, "It is ACCESS_DENIED")),
        (200, {"errors": [error("SHOP_INACTIVE")]}, Failure(403, "It is SHOP_INACTIVE")),
        (200, {"errors": [error("INTERNAL_SERVER_ERROR")]}, Failure(500, "It is INTERNAL_SERVER_ERROR")),
        (200, {"errors": [error("MAX_COST_EXCEEDED")]}, Failure(400, "It is MAX_COST_EXCEEDED")),
        (200, {"errors": [error("undefinedField")]}, Failure(400, "It is undefinedField")),
        (200, {"errors": [{"message": "Throttled"}]}, Failure(429, "Throttled")),
        (200, {"errors": [{"message": "Timeout"}]}, Failure(504, "Timeout")),
        (200, {"data": {"shop": {"userErrors": []}, "changed": None}}, None),
        (
            200,
            {"data": {"changed": {"userErrors": [{"message": "No."}, {"message": "Never."}]}}},
            Failure(422, "No. Never."),
        ),
        (
            200,
            {"data": {"changed": {"userErrors": [{"message": "Oh.", "code": "INTERNAL_ERROR"}]}}},
            Failure(500, "Oh."),
        ),
        (401, {"errors": "[API] Invalid API key"}, Failure(401, "[API] Invalid API key")),
        (402, {"errors": "Unavailable Shop"}, Failure(403, "Unavailable Shop")),
        (404, {"errors": "Not Found"}, Failure(404, "Not Found")),
        (502, None, Failure(502, "answered 502")),
    ],
)
def test_a_refusal_is_read_from_the_body(status: int, body: object, failure: Failure | None) -> None:
    assert SHOPIFY.failure(httpx.Response(status, json=body)) == failure


MADE: dict[str, Any] = {"refund": {"id": "gid://shopify/Refund/3"}, "userErrors": []}
PART = ["refundCreate", "refund", "transactions"]


@pytest.mark.parametrize(
    ("data", "errors", "status"),
    [
        ({"refundCreate": MADE}, [error("ACCESS_DENIED", *PART)], 500),
        ({"refundCreate": {**MADE, "refund": None}}, [error("ACCESS_DENIED", *PART)], 500),
        ({"refundCreate": None}, [error("ACCESS_DENIED", "refundCreate", "userErrors")], 500),
        ({"refundCreate": None}, [error("ACCESS_DENIED", "refundCreate"), error("ACCESS_DENIED", *PART)], 500),
        ({"refundCreate": None}, [error("SOMETHING_NEW", "refundCreate")], 500),
        ({"changed": {"customer": None, "userErrors": []}}, [error("ACCESS_DENIED", "changed", "customer")], 500),
        ({"refundCreate": None}, [error("ACCESS_DENIED", "refundCreate")], 403),
        ({"refundCreate": None}, [error("THROTTLED")], 429),
        (None, [error("undefinedField", "mutation Refund", "refundCreate", "nothing")], 400),
        ({"order": {"transactions": None}}, [error("ACCESS_DENIED", "order", "transactions")], 403),
        ({"order": None}, [error("SOMETHING_NEW", "order")], 400),
    ],
)
def test_a_mutation_that_may_have_been_carried_out_is_not_said_to_be_refused(
    data: object, errors: list[object], status: int
) -> None:
    failure = SHOPIFY.failure(httpx.Response(200, json={"data": data, "errors": errors}))
    assert failure is not None
    assert failure.status == status


def test_a_busy_front_door_says_in_a_header_how_long_to_wait() -> None:
    busy = httpx.Response(429, text="slow down", headers={"Retry-After": "2.0"})
    assert SHOPIFY.failure(busy) == Failure(429, "answered 429", 2.0)


@pytest.mark.parametrize(
    ("extensions", "allowance"),
    [
        (cost(12, 1980), Allowance(94.0, 0.0)),
        (cost(940, 1980), Allowance(2.0, 0.0)),
        (cost(12, 40), Allowance(-3.0, 0.6)),
        (cost(12, 40, rate=0), None),
        ({}, None),
    ],
)
def test_points_are_counted_in_requests_and_kept_for_one_more(
    extensions: dict[str, Any], allowance: Allowance | None
) -> None:
    assert SHOPIFY.allowance(httpx.Response(200, json={"data": {}, "extensions": extensions})) == allowance
