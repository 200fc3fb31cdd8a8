"""The shop's part of the company: its numbers, what became of orders, and what was changed since the sandbox is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from backoffice_shared.sandbox.company import Company, Order, Person
from backoffice_shopify.sandbox.till import FIRST_ORDER, Till

FIRST_CUSTOMER, FIRST_ITEM, FIRST_LOCATION = 700_001, 600_001, 500_001

ReturnStatus = Literal["CLOSED", "OPEN", "REQUESTED"]


@dataclass(frozen=True, slots=True)
class Consent:
    """To be sent marketing, over one channel. `level` and `at` are None before anybody was asked."""

    state: str
    level: str | None = None
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SentBack:
    """A return. `lines` are (position in the order, quantity)."""

    number: int
    status: ReturnStatus
    at: datetime
    lines: tuple[tuple[int, int], ...]


class Shop:
    """Customers, orders and things in stock by Shopify's numbers; and the `till`, with the money of orders."""

    def __init__(self, company: Company, now: Callable[[], datetime]) -> None:
        self.company = company
        self.till = Till(company, now)
        self._now = now
        self.people = {FIRST_CUSTOMER + p.number: p for p in company.people if "shop" in p.systems}
        self.orders = {FIRST_ORDER + order.number: order for order in company.orders}
        self.items = {FIRST_ITEM + product.number: product for product in company.products}
        self._languages: dict[int, str] = {}
        self._email_consents: dict[int, Consent] = {}
        self._sms_consents: dict[int, Consent] = {}
        self._changed: dict[int, datetime] = {}

    # ---------------------------------------------------------------------------------------------------- customers

    def phone(self, person: Person) -> str | None:
        """Some left none."""
        return None if person.number % 10 == 9 else person.phone

    def language(self, number: int) -> str:
        return self._languages.get(number, self.people[number].language)

    def email_consent(self, number: int) -> Consent:
        person = self.people[number]
        return self._email_consents.get(number) or _at_first(person, "NOT_SUBSCRIBED", agreed=person.email_consent)

    def sms_consent(self, number: int) -> Consent:
        """A third of those who agreed to e-mail agreed to this too."""
        person = self.people[number]
        agreed = person.email_consent and person.number % 3 == 0
        return self._sms_consents.get(number) or _at_first(person, "NEVER_SUBSCRIBED", agreed=agreed)

    def changed_at(self, number: int) -> datetime:
        return self._changed.get(number, self.people[number].since)

    def speak(self, number: int, language: str) -> None:
        self._languages[number] = language
        self._changed[number] = self._now()

    def consent_to_email(self, number: int, state: str, level: str | None, at: datetime | None) -> None:
        self._email_consents[number] = self._consented(number, self.email_consent(number), state, level, at)

    def consent_to_sms(self, number: int, state: str, level: str | None, at: datetime | None) -> None:
        self._sms_consents[number] = self._consented(number, self.sms_consent(number), state, level, at)

    def _consented(self, number: int, before: Consent, state: str, level: str | None, at: datetime | None) -> Consent:
        """Whoever does not say when, or how well it was confirmed, means now, and as it was."""
        now = self._now()
        self._changed[number] = now
        return replace(before, state=state, level=level or before.level or "SINGLE_OPT_IN", at=at or now)

    # ------------------------------------------------------------------------------------------------------- orders

    def shipped(self, order: Order) -> int:
        """Units sent so far."""
        units = sum(quantity for _, quantity in order.lines)
        return {"fulfilled": units, "partial": units // 2}.get(order.fulfilment, 0)

    def shipped_at(self, order: Order) -> datetime:
        return self._later(order, days=1)

    def returns(self, order: Order) -> list[SentBack]:
        """Of what was delivered: most of what was paid back, and a little that is still to be looked at."""
        at, number = self._later(order, days=2), FIRST_ORDER + order.number
        one = ((0, 1),)
        if order.fulfilment != "fulfilled":
            return []
        if order.payment == "refunded":
            everything = tuple((position, quantity) for position, (_, quantity) in enumerate(order.lines))
            return [SentBack(number, "CLOSED", at, everything)]
        if order.payment == "partially_refunded":
            return [SentBack(number, "OPEN", at, one)]
        return [SentBack(number, "REQUESTED", at, one)] if order.number % 11 == 0 else []

    def cancelled_at(self, order: Order) -> datetime | None:
        """What was paid back before it was sent was cancelled."""
        if (order.payment, order.fulfilment) != ("refunded", "unfulfilled"):
            return None
        return self.till.refunds(order)[0].at

    def order_changed_at(self, order: Order) -> datetime:
        shipped = [self.shipped_at(order)] if self.shipped(order) else []
        returned = [sent_back.at for sent_back in self.returns(order)]
        return max([order.placed_at, *shipped, *returned, *(refund.at for refund in self.till.refunds(order))])

    def _later(self, order: Order, *, days: int) -> datetime:
        return min(order.placed_at + timedelta(days=days), self.company.today)


def _at_first(person: Person, never: str, *, agreed: bool) -> Consent:
    """Of those who did not agree, half were never asked."""
    if agreed:
        return Consent("SUBSCRIBED", "SINGLE_OPT_IN" if person.number % 5 else "CONFIRMED_OPT_IN", person.since)
    return Consent("UNSUBSCRIBED", "SINGLE_OPT_IN", person.since) if person.number % 2 else Consent(never)
