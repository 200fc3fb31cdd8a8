"""What a customer of the shop wishes to be sent, and in which language: set once, and never more than is asked for."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from tests.customer.storefront import TODAY, Scripted, Storefront, native, storefront

from backoffice_customer.models import Contact, PreferenceChanges, Ref
from backoffice_shared.errors import InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio

REASON = "They asked for it on the phone"
LOST: list[Fault] = ["ok", "drop_after_commit", "drop_after_commit", "drop_after_commit", "drop_after_commit"]


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> Storefront:
    return storefront(company)


async def read(shop: Storefront, person: int) -> Contact:
    return (await shop.shopify.contacts([native(person)]))[0]


async def test_preferences_are_set_and_read_back(shop: Storefront) -> None:
    before = await read(shop, KEY_ACCOUNT)
    wanted = {"language": "fr", "email_marketing": not before.email_marketing, "sms_marketing": True}
    assert before.sms_marketing is False
    after = await shop.shopify.change_preferences(before, PreferenceChanges.model_validate(wanted), REASON)
    assert after == before.model_copy(update={**wanted, "updated_at": after.updated_at})
    assert after.updated_at is not None
    assert before.updated_at is not None
    assert after.updated_at - before.updated_at > timedelta(days=100)
    assert await read(shop, KEY_ACCOUNT) == after


async def test_what_is_not_among_the_changes_stays(shop: Storefront) -> None:
    before = await read(shop, 3)
    after = await shop.shopify.change_preferences(before, PreferenceChanges(language="ja"), REASON)
    assert after == before.model_copy(update={"language": "ja", "updated_at": after.updated_at})


async def test_preferences_that_are_as_wanted_already_are_not_written_again(shop: Storefront) -> None:
    person = next(p for p in shop.company.people if p.email_consent and p.number % 3 == 0 and p.number != 9)
    before = await read(shop, person.number)
    changes = PreferenceChanges(language=person.language, email_marketing=True, sms_marketing=True)
    assert await shop.shopify.change_preferences(before, changes, REASON) == before
    assert shop.asked == 2


async def test_setting_preferences_twice_changes_nothing_more(shop: Storefront) -> None:
    who, changes = shop.contact(KEY_ACCOUNT), PreferenceChanges(language="ja", sms_marketing=True)
    once = await shop.shopify.change_preferences(who, changes, REASON)
    assert await shop.shopify.change_preferences(who, changes, REASON) == once
    assert shop.asked == 4


@pytest.mark.parametrize("plan", [["ok", "reset"], ["ok", "drop_after_commit"], ["ok", "throttle"], ["ok", "error"]])
async def test_an_answer_that_is_lost_is_asked_for_again(shop: Storefront, plan: list[Any]) -> None:
    shop.sandbox.faults = Faults(plan=plan)
    after = await shop.shopify.change_preferences(shop.contact(KEY_ACCOUNT), PreferenceChanges(language="ja"), REASON)
    assert after.language == "ja"


async def test_when_every_answer_is_lost_nobody_claims_to_know(shop: Storefront) -> None:
    shop.sandbox.faults = Faults(plan=LOST)
    with pytest.raises(OutcomeUnknown, match=r"^Shopify"):
        await shop.shopify.change_preferences(shop.contact(KEY_ACCOUNT), PreferenceChanges(language="ja"), REASON)
    shop.sandbox.faults = Faults()
    assert (await read(shop, KEY_ACCOUNT)).language == "ja"


async def test_nobody_can_be_sent_sms_without_a_phone_number(shop: Storefront) -> None:
    before = await read(shop, 9)
    assert (before.phones, before.sms_marketing) == ([], None)
    with pytest.raises(InvalidInput, match="Shopify: A phone number is required to set the SMS consent state"):
        await shop.shopify.change_preferences(before, PreferenceChanges(sms_marketing=True), REASON)
    assert await shop.shopify.change_preferences(before, PreferenceChanges(sms_marketing=False), REASON) == before


@pytest.mark.parametrize(
    "ref", [Ref("shopify", "customer", "1"), Ref("shopify", "customer", '5" OR'), Ref("x", "y", "5")]
)
async def test_preferences_of_nobody_are_not_found(shop: Storefront, ref: Ref) -> None:
    with pytest.raises(NotFound, match="no such customer"):
        await shop.shopify.change_preferences(Contact(ref=ref, name=""), PreferenceChanges(language="ja"), REASON)


# ------------------------------------------------------------------------------------ over answers that are made up


def customer(**changed: Any) -> dict[str, Any]:
    return {
        "id": "gid://shopify/Customer/5",
        "displayName": "Ann",
        "defaultEmailAddress": {"emailAddress": "ann@shop.example", "marketingState": "NOT_SUBSCRIBED"},
        "defaultPhoneNumber": {"phoneNumber": "+15550100", "smsMarketingConsent": {"state": "NEVER_SUBSCRIBED"}},
        "defaultAddress": None,
        "locale": "pt-BR",
        "tags": [],
        "amountSpent": {"amount": "0.0", "currencyCode": "USD"},
        "updatedAt": "2026-01-02T03:04:05Z",
        **changed,
    }


ANN = Contact(ref=Ref("shopify", "customer", "5"), name="Ann")
KNOWN = {"shop": {"myshopifyDomain": "s.myshopify.com"}, "nodes": [customer()]}
CHANGED: dict[str, Any] = {"changed": {"customer": customer(), "userErrors": []}}


async def test_a_language_is_set_before_consents_each_by_a_mutation_of_its_own() -> None:
    vendor = Scripted([KNOWN, CHANGED, CHANGED, CHANGED])
    changes = PreferenceChanges(language="de", email_marketing=True, sms_marketing=True)
    after = await vendor.shopify.change_preferences(ANN, changes, REASON)
    gid, agreed = "gid://shopify/Customer/5", {"marketingState": "SUBSCRIBED", "marketingOptInLevel": "SINGLE_OPT_IN"}
    assert vendor.asked[1:] == [
        {"input": {"id": gid, "locale": "de"}},
        {"input": {"customerId": gid, "emailMarketingConsent": agreed}},
        {"input": {"customerId": gid, "smsMarketingConsent": agreed}},
    ]
    assert after.url == "https://s.myshopify.com/admin/customers/5"


async def test_a_refusal_is_recorded_also_of_who_never_agreed() -> None:
    vendor = Scripted([KNOWN, CHANGED, CHANGED])
    await vendor.shopify.change_preferences(ANN, PreferenceChanges(email_marketing=False, sms_marketing=False), REASON)
    assert [list(asked["input"].values())[1] for asked in vendor.asked[1:]] == [{"marketingState": "UNSUBSCRIBED"}] * 2


async def test_a_region_is_not_lost_for_a_language_that_is_the_same() -> None:
    vendor = Scripted([KNOWN])
    assert (await vendor.shopify.change_preferences(ANN, PreferenceChanges(language="pt"), REASON)).language == "pt"


async def test_what_the_vendor_refuses_is_said_in_its_words_and_ends_the_change() -> None:
    refused = {"changed": {"customer": None, "userErrors": [{"field": ["locale"], "message": "Locale is invalid"}]}}
    vendor = Scripted([KNOWN, refused])
    with pytest.raises(InvalidInput, match="Shopify: Locale is invalid"):
        await vendor.shopify.change_preferences(ANN, PreferenceChanges(language="xx", sms_marketing=True), REASON)
    assert len(vendor.asked) == 2


async def test_an_answer_without_the_customer_does_not_say_that_it_was_done() -> None:
    with pytest.raises(OutcomeUnknown):
        await Scripted([KNOWN, {"changed": {"customer": None, "userErrors": []}}]).shopify.change_preferences(
            ANN, PreferenceChanges(language="de"), REASON
        )
