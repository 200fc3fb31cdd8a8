"""Shopify's searches over the shop: which customers, orders and things in stock a query finds."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from typing import Any, TypeVar

from backoffice_shared.sandbox.company import Order, Person, Product, order_name
from backoffice_shopify import search
from backoffice_shopify.sandbox.shop import FIRST_CUSTOMER, FIRST_ITEM, Shop
from backoffice_shopify.sandbox.till import FIRST_ORDER
from backoffice_shopify.search import Term, holds, narrowed

T = TypeVar("T")


class Lookup:
    def __init__(self, shop: Shop) -> None:
        self._shop = shop
        # What was looked for lately: the pages of one search, and its count, are one look.
        self.customers = lru_cache(32)(self._customers)
        self._orders_since = lru_cache(32)(self._orders)

    def _customers(self, text: str, sort_key: str) -> list[int]:
        people = self._shop.people

        def order(number: int) -> tuple[Any, ...]:
            person = people[number]
            by = {"CREATED_AT": (person.since,), "NAME": (person.last_name, person.first_name)}
            return (*by.get(sort_key, ()), number)

        return sorted(_matching(text, people, self._known_customers, self._customer_tests), key=order)

    def orders(self, text: str, sort_key: str) -> list[int]:
        """What was refunded is found as such from then on."""
        return self._orders_since(text, sort_key, self._shop.till.changes)

    def _orders(self, text: str, sort_key: str, _changes: int) -> list[int]:
        orders = self._shop.orders

        def order(number: int) -> tuple[Any, ...]:
            return (orders[number].placed_at, number) if sort_key in ("CREATED_AT", "PROCESSED_AT") else (number,)

        return sorted(_matching(text, orders, self._known_orders, self._order_tests), key=order)

    def items(self, text: str) -> list[int]:
        return sorted(_matching(text, self._shop.items, lambda _term: None, _ITEM_TESTS))

    # ---------------------------------------------------------------------------------------------------- conditions

    @cached_property
    def _customer_tests(self) -> dict[str | None, Callable[[Person, Term], bool]]:
        return {
            None: lambda person, term: _mentions(self._text(person), term),
            "email": lambda person, term: _mentions(person.email, term),
            "first_name": lambda person, term: _mentions(person.first_name, term),
            "last_name": lambda person, term: _mentions(person.last_name, term),
            "phone": lambda person, term: self._shop.phone(person) == term.value,
            "country": lambda person, term: person.country == term.value,
            "id": lambda person, term: _compared(FIRST_CUSTOMER + person.number, term, int),
            "customer_date": lambda person, term: _compared(person.since, term, _instant),
        }

    @cached_property
    def _order_tests(self) -> dict[str | None, Callable[[Order, Term], bool]]:
        people, products = self._shop.company.people, self._shop.company.products

        @lru_cache(32)
        def named(term: Term) -> frozenset[int]:
            return frozenset(product.number for product in products if _mentions(product.sku, term))

        def anywhere(order: Order, term: Term) -> bool:
            person = people[order.person]
            return _mentions(f"{order_name(order.number)} {person.name} {person.email}", term)

        return {
            None: anywhere,
            "name": lambda order, term: order_name(order.number) == "#" + term.value.removeprefix("#"),
            "email": lambda order, term: _mentions(people[order.person].email, term),
            "customer_id": lambda order, term: _compared(FIRST_CUSTOMER + order.person, term, int),
            "id": lambda order, term: _compared(FIRST_ORDER + order.number, term, int),
            "financial_status": lambda order, term: self._shop.till.payment_status(order) == term.value.upper(),
            "fulfillment_status": lambda order, term: term.value.lower() in _FOUND_AS[order.fulfilment],
            "sku": lambda order, term: any(product in named(term) for product, _ in order.lines),
            "created_at": lambda order, term: _compared(order.placed_at, term, _instant),
            "processed_at": lambda order, term: _compared(order.placed_at, term, _instant),
            "updated_at": lambda order, term: _compared(self._shop.order_changed_at(order), term, _instant),
        }

    # ----------------------------------------------------------------------------------------------------- the index

    def _known_customers(self, term: Term) -> set[int] | None:
        if term.field not in (None, "email", "first_name", "last_name", "phone") or term.value == "*":
            return None
        words, prefix = _wanted(term)
        if prefix:
            words += self._words_from(words.pop()) if words else []
        found = [set(self._mentioned.get(word, ())) for word in words]
        # A phrase has all of its words; anything else has one of them.
        return min(found, key=len, default=set[int]()) if term.quoted else set[int]().union(*found)

    def _known_orders(self, term: Term) -> set[int] | None:
        match term.field:
            case "customer_id" if not term.comparator and term.value.isdecimal():
                people: Iterable[int] = (int(term.value),)
            case "email":
                customers = self._known_customers(term)
                if customers is None:
                    return None
                people = customers
            case "name":
                number = term.value.removeprefix("#")
                return {FIRST_ORDER + int(number) - 1001} & self._shop.orders.keys() if number.isdecimal() else set()
            case _:
                return None
        placed = (self._shop.company.orders_of.get(person - FIRST_CUSTOMER, []) for person in people)
        return {FIRST_ORDER + order.number for orders in placed for order in orders}

    @cached_property
    def _mentioned(self) -> dict[str, list[int]]:
        """Customers by each word that is written about them."""
        found: dict[str, list[int]] = {}
        for number, person in self._shop.people.items():
            for word in _words(self._text(person)):
                found.setdefault(word, []).append(number)
        return found

    @cached_property
    def _vocabulary(self) -> list[str]:
        return sorted(self._mentioned)

    def _words_from(self, beginning: str) -> list[str]:
        start = bisect_left(self._vocabulary, beginning)
        end = bisect_left(self._vocabulary, beginning + "\U0010ffff")
        return self._vocabulary[start:end]

    def _text(self, person: Person) -> str:
        organisation = self._shop.company.organisation(person)
        company = organisation.name if organisation else ""
        return f"{person.name} {person.email} {self._shop.phone(person) or ''} {company}"


_FOUND_AS = {
    "fulfilled": ("fulfilled", "shipped"),
    "partial": ("partial",),
    "unfulfilled": ("unfulfilled", "unshipped"),
}

_ITEM_TESTS: dict[str | None, Callable[[Product, Term], bool]] = {
    None: lambda product, term: _mentions(product.sku, term),
    "sku": lambda product, term: _mentions(product.sku, term),
    "id": lambda product, term: _compared(FIRST_ITEM + product.number, term, int),
}


def _matching(
    text: str,
    facts: Mapping[int, T],
    known: Callable[[Term], set[int] | None],
    tests: Mapping[str | None, Callable[[T, Term], bool]],
) -> Iterable[int]:
    """A field that Shopify does not know is no condition to it."""
    query = search.parse(text)
    numbers = narrowed(query, known)
    for number in facts if numbers is None else numbers & facts.keys():
        fact = facts[number]
        if holds(query, lambda term, fact=fact: term.field not in tests or tests[term.field](fact, term)):
            yield number


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _wanted(term: Term) -> tuple[list[str], bool]:
    """The words of a term, and whether the last of them is only the beginning of one."""
    return _words(term.value), term.value.endswith("*") and not term.quoted


def _mentions(text: str, term: Term) -> bool:
    """A quoted value is a phrase: its words in a row. Of any other value, one word is enough."""
    if term.value == "*" and not term.quoted:
        return bool(text)
    words, (wanted, prefix) = _words(text), _wanted(term)
    if term.quoted:
        return bool(wanted) and any(words[n : n + len(wanted)] == wanted for n in range(len(words)))
    beginning = wanted.pop() if prefix and wanted else None
    return any(word in wanted or (beginning is not None and word.startswith(beginning)) for word in words)


def _compared(value: Any, term: Term, read: Callable[[str], Any]) -> bool:
    try:
        wanted = read(term.value)
    except ValueError:
        return False
    match term.comparator:
        case "<":
            return value < wanted
        case "<=":
            return value <= wanted
        case ">":
            return value > wanted
        case ">=":
            return value >= wanted
        case _:
            return value == wanted


def _instant(text: str) -> datetime:
    at = datetime.fromisoformat(text)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)
