"""What the Admin API can be asked and told: the roots of the sandbox's queries and mutations."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from graphql import GraphQLError

from backoffice_shopify.sandbox.connections import Asked, Keyed, Record, connection, count
from backoffice_shopify.sandbox.lookup import Lookup
from backoffice_shopify.sandbox.records import Records
from backoffice_shopify.sandbox.refunding import Refunding
from backoffice_shopify.sandbox.shop import Shop
from backoffice_shopify.sandbox.values import parts

_LARGEST_BATCH = 250
_SETTABLE = ("PENDING", "SUBSCRIBED", "UNSUBSCRIBED")


class Admin:
    """`domain` is the address of the `shop`."""

    def __init__(self, shop: Shop, domain: str, now: Callable[[], datetime]) -> None:
        self._domain = domain
        self._shop = shop
        self._lookup = Lookup(self._shop)
        self._records = Records(self._shop, self._orders_of)
        self._refunding = Refunding(self._shop, self._records, now)

    def root(self) -> Record:
        return {**self._queries(), **self._mutations()}

    # ------------------------------------------------------------------------------------------------------ queries

    def _queries(self) -> Record:
        company, find = self._shop.company, self._lookup
        return {
            "shop": {
                "id": "gid://shopify/Shop/1",
                "name": company.name,
                "myshopifyDomain": self._domain,
                "currencyCode": company.currency,
            },
            "node": Asked(lambda given: self._node(given["id"])),
            "nodes": Asked(self._nodes),
            "customer": Asked(lambda given: self._node(given["id"], "Customer")),
            "order": Asked(lambda given: self._node(given["id"], "Order")),
            "inventoryItem": Asked(lambda given: self._node(given["id"], "InventoryItem")),
            "refund": Asked(lambda given: self._node(given["id"], "Refund")),
            "customers": Asked(self._customers),
            "customersCount": Asked(lambda given: count(find.customers(given.get("query") or "", "ID"))),
            "orders": Asked(self._orders),
            "ordersCount": Asked(lambda given: count(find.orders(given.get("query") or "", "ID"))),
            "inventoryItems": Asked(
                lambda given: connection(find.items(given.get("query") or ""), self._records.item, given)
            ),
        }

    def _node(self, gid: str, *kinds: str) -> Record | None:
        kind, number = parts(gid)
        if kinds and kind not in kinds:
            return None
        match kind:
            case "Customer" if number in self._shop.people:
                return self._records.customer(number)
            case "Order" if number in self._shop.orders:
                return self._records.order(number)
            case "InventoryItem" if number in self._shop.items:
                return self._records.item(number)
            case "Refund":
                return self._records.payments.numbered(number)
            case _:
                return None

    def _nodes(self, given: Record) -> list[Record | None]:
        if len(given["ids"]) > _LARGEST_BATCH:
            raise GraphQLError(
                f"The input array size of {len(given['ids'])} is greater than the maximum allowed of 250."
            )
        return [self._node(gid) for gid in given["ids"]]

    def _customers(self, given: Record) -> Record:
        found = self._lookup.customers(given.get("query") or "", given.get("sortKey") or "ID")
        return connection(found, self._records.customer, given)

    def _orders(self, given: Record) -> Record:
        found = self._lookup.orders(given.get("query") or "", given.get("sortKey") or "PROCESSED_AT")
        return connection(found, self._records.order, given)

    def _orders_of(self, customer: int, given: Record) -> Record:
        return self._orders({**given, "query": f"customer_id:{customer}"})

    # ---------------------------------------------------------------------------------------------------- mutations

    def _mutations(self) -> Record:
        return {
            "customerUpdate": Asked(self._update_customer),
            "customerEmailMarketingConsentUpdate": Asked(self._update_email_consent),
            "customerSmsMarketingConsentUpdate": Asked(self._update_sms_consent),
            "refundCreate": Keyed(self._refunding.create),
        }

    def _update_customer(self, given: Record) -> Record:
        wanted = given["input"]
        number, locale = self._customer_number(wanted.get("id")), wanted.get("locale")
        if number is None:
            return _refused(["id"], "Customer does not exist")
        if locale is not None and not re.fullmatch("[a-z]{2,3}(-[A-Z]{2})?", locale):
            return _refused(["locale"], "Locale is invalid")
        if locale is not None:
            self._shop.speak(number, locale)
        return self._updated(number)

    def _update_email_consent(self, given: Record) -> Record:
        wanted, consent = given["input"], given["input"]["emailMarketingConsent"]
        number, state = self._customer_number(wanted["customerId"]), consent["marketingState"]
        if number is None:
            return _refused(["input", "customerId"], "Customer does not exist", "INVALID")
        if state not in _SETTABLE:
            at = ["input", "emailMarketingConsent", "marketingState"]
            return _refused(at, f"Cannot specify {state} as a marketing state input", "INCLUSION")
        self._shop.consent_to_email(number, state, *_how_and_when(consent))
        return self._updated(number)

    def _update_sms_consent(self, given: Record) -> Record:
        wanted, consent = given["input"], given["input"]["smsMarketingConsent"]
        number, state = self._customer_number(wanted["customerId"]), consent["marketingState"]
        at = ["input", "smsMarketingConsent"]
        if number is None:
            return _refused(["input", "customerId"], "Customer does not exist", "INVALID")
        if self._shop.phone(self._shop.people[number]) is None:
            return _refused(at, "A phone number is required to set the SMS consent state.", "INVALID")
        if state not in _SETTABLE:
            message = f"Cannot specify {state} as a marketing state input"
            return _refused([*at, "marketingState"], message, "INCLUSION")
        self._shop.consent_to_sms(number, state, *_how_and_when(consent))
        return self._updated(number)

    def _customer_number(self, gid: str | None) -> int | None:
        kind, number = parts(gid or "")
        return number if kind == "Customer" and number in self._shop.people else None

    def _updated(self, number: int) -> Record:
        return {"customer": self._records.customer(number), "userErrors": []}


def _how_and_when(consent: Record) -> tuple[str | None, datetime | None]:
    at = consent.get("consentUpdatedAt")
    return consent.get("marketingOptInLevel"), None if at is None else datetime.fromisoformat(at)


def _refused(field: list[str], message: str, code: str | None = None) -> dict[str, Any]:
    return {"customer": None, "userErrors": [{"field": field, "message": message, "code": code}]}
