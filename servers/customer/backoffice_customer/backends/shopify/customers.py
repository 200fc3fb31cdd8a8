"""Customers in our words, and what changes of them amount to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from backoffice_customer.backends.shopify import queries
from backoffice_customer.models import Contact, PreferenceChanges, Ref
from backoffice_shared.jsonvalues import obj
from backoffice_shopify.backend import SHOPIFY
from backoffice_shopify.search import one_of, words
from backoffice_shopify.wire import in_admin, money, native

# ------------------------------------------------------------------------------------------ our words to the wire


def who(text: str) -> str:
    """A phone number is looked for as one, without what people write between its digits; the rest by its words.

    Shopify keeps numbers with their country's code, after a plus sign that whoever writes one may leave out.
    """
    if not _PHONE.fullmatch(text.strip()):
        return words(text)
    number = re.sub(r"\D", "", text)
    return one_of("phone", (f"+{number}", number))


_PHONE = re.compile(r"\+?[\d\s()./-]{7,25}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Change:
    """A mutation: its document, and the input that this is given."""

    operation: str
    document: str
    given: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Standing:
    """A customer as they are, and what has to be done for them to be as it is wanted."""

    contact: Contact
    shop: Any
    changes: tuple[Change, ...]


def _changes(wanted: PreferenceChanges, wire: Any) -> Iterator[Change]:
    """A consent that stands already is left alone: given again, it would lose how well it was confirmed, and when."""
    email, phone = obj(wire["defaultEmailAddress"]), obj(wire["defaultPhoneNumber"])
    if wanted.language is not None and wanted.language != _language(wire):
        yield Change("customers.language", queries.LANGUAGE, {"id": wire["id"], "locale": wanted.language})
    if consent := _consent(email.get("marketingState"), agreed=wanted.email_marketing):
        given = {"customerId": wire["id"], "emailMarketingConsent": consent}
        yield Change("customers.email_consent", queries.EMAIL_CONSENT, given)
    if consent := _consent(obj(phone.get("smsMarketingConsent")).get("state"), agreed=wanted.sms_marketing):
        given = {"customerId": wire["id"], "smsMarketingConsent": consent}
        yield Change("customers.sms_consent", queries.SMS_CONSENT, given)


def _consent(state: str | None, *, agreed: bool | None) -> dict[str, str]:
    """What to set, empty when nothing is to be. When it was agreed is left to Shopify: our clock may be ahead of its own.

    Never to have agreed is less than a refusal. Without an address there is no `state`, and nothing to refuse.
    """
    if agreed and state != "SUBSCRIBED":
        return {"marketingState": "SUBSCRIBED", "marketingOptInLevel": "SINGLE_OPT_IN"}
    if agreed is False and state not in (None, "UNSUBSCRIBED"):
        return {"marketingState": "UNSUBSCRIBED"}
    return {}


# ------------------------------------------------------------------------------------------ wire to our words


def known(data: Any) -> list[Contact]:
    """For an id that does not exist there is a null."""
    return [_contact(wire, data["shop"]) for wire in data["nodes"] if wire is not None]


def found(data: Any) -> list[Contact]:
    return [_contact(wire, data["shop"]) for wire in data["customers"]["nodes"]]


def standing(data: Any, wanted: PreferenceChanges) -> Standing | None:
    wire, shop = data["nodes"][0], data["shop"]
    return None if wire is None else Standing(_contact(wire, shop), shop, tuple(_changes(wanted, wire)))


def changed(data: Any, shop: Any) -> Contact:
    return _contact(data["changed"]["customer"], shop)


def _contact(wire: Any, shop: Any) -> Contact:
    number = native(wire["id"])
    email, phone, address = (
        obj(wire[part]) for part in ("defaultEmailAddress", "defaultPhoneNumber", "defaultAddress")
    )
    return Contact(
        ref=Ref(SHOPIFY.name, "customer", number),
        name=wire["displayName"],
        emails=[email["emailAddress"].lower()] if email else [],
        phones=[phone["phoneNumber"]] if phone else [],
        company=address.get("company") or None,
        tags=wire["tags"],
        language=_language(wire),
        country=address.get("countryCodeV2"),
        email_marketing=email["marketingState"] == "SUBSCRIBED" if email else None,
        sms_marketing=phone["smsMarketingConsent"]["state"] == "SUBSCRIBED" if phone else None,
        spent=money(wire["amountSpent"]),
        url=in_admin(shop, "customers", number),
        updated_at=wire["updatedAt"],
    )


def _language(wire: Any) -> str | None:
    """`pt` of `pt-BR`."""
    return wire["locale"].partition("-")[0] or None
