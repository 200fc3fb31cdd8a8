"""Shopify's Admin API in our words: customers, orders and what is in stock, by GraphQL.

Customers have no notes here: Shopify keeps one text for each, without a version. Adding to it would overwrite what
somebody else adds at the same time.

Source: https://shopify.dev/docs/api/admin-graphql/2026-10, and the schema of that version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from backoffice_customer.backends.shopify import customers, history, orders, queries, stock
from backoffice_customer.backends.shopify.customers import Change
from backoffice_customer.backends.shopify.history import Place, Refunds
from backoffice_customer.backends.shopify.stock import Item
from backoffice_customer.models import (
    Contact,
    Event,
    EventKind,
    Order,
    OrderRow,
    PreferenceChanges,
    PreferenceField,
    StockRow,
)
from backoffice_customer.ports import OrderQuery, OrderSection, Span
from backoffice_shared.errors import NotFound, TooLarge
from backoffice_shared.http.client import BackendClient
from backoffice_shared.paging import Chunk
from backoffice_shared.sources import at_once
from backoffice_shopify.backend import SHOPIFY, VERSION
from backoffice_shopify.search import condition, one_of
from backoffice_shopify.wire import gid, numbers, time

T = TypeVar("T")

_GRAPHQL = f"/admin/api/{VERSION}/graphql.json"
_MOST_PAGES = 10  # of what is read to the end for one answer


class Shopify:
    """Customers and what they wish to be sent, what they ordered, and what is in stock."""

    kind = "customer"
    event_kinds: frozenset[EventKind] = frozenset({"order", "refund"})
    preference_fields: frozenset[PreferenceField] = frozenset({"language", "email_marketing", "sms_marketing"})

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    # ----------------------------------------------------------------------------------------------------- people

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        ids = [gid("Customer", native) for native in numbers(natives)]
        return await self._customers(ids, into=customers.known, fresh_for=60) if ids else []

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        wanted = {email.lower() for email in emails}
        if not wanted:
            return []
        # An address is found inside a longer one too; the extra rows leave room for those.
        found = await self._search_customers(one_of("email", sorted(wanted)), 2 * len(wanted) + 10)
        return [contact for contact in found if not wanted.isdisjoint(contact.emails)]

    async def contacts_by_number(self, number: str) -> list[Contact]:
        found = await self.search_orders(OrderQuery(number=number), None, 5)
        theirs = [order.customer_id for order in found.items if order.number.lstrip("#") == number]
        return await self.contacts([owner.rpartition(":")[2] for owner in theirs if owner is not None])

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        wanted = customers.who(text[:300])
        return await self._search_customers(wanted, limit) if wanted else []

    async def change_preferences(
        self,
        who: Contact,
        changes: PreferenceChanges,
        reason: str,  # noqa: ARG002 - Shopify has no place for it
    ) -> Contact:
        """One mutation for each change that has not been made yet, the language first.

        Raises:
            InvalidInput: Shopify refuses one of them; those before it were made.
            NotFound: there is no such customer.
        """
        ids = [gid("Customer", native) for native in orders.customers_of([who])]
        wanted = partial(customers.standing, wanted=changes)
        standing = await self._customers(ids, into=wanted, fresh_for=0) if ids else None
        if standing is None:
            raise NotFound(SHOPIFY.title, f"no such customer: {who.ref.native!r}")
        contact = standing.contact
        for change in standing.changes:
            contact = await self._change(change, standing.shop)
        return contact

    # ----------------------------------------------------------------------------------------------------- orders

    async def search_orders(self, query: OrderQuery, cursor: str | None, limit: int) -> Chunk[OrderRow]:
        if query.customers and not numbers(query.customers):
            return Chunk([])
        # Where rows are left out here, a larger page is asked for: what is wanted may be far between.
        size = max(limit, 25) if query.email or query.payment or query.fulfilment else limit
        return await self._search_orders(orders.orders_like(query), cursor, size, into=partial(orders.rows, query))

    async def count_orders(self, who: Contact, since: datetime) -> int:
        mine = orders.customers_of([who])
        if not mine:
            return 0
        return await self._ask(
            "orders.count",
            queries.ORDERS_COUNT,
            {"query": f"{one_of('customer_id', mine)} {condition('created_at', '>=', time(since))}"},
            into=lambda data: data["ordersCount"]["count"],
            fresh_for=30,
            tags=("orders",),
        )

    async def order(self, native: str, include: frozenset[OrderSection]) -> Order:
        found = await self._order(native, include) if numbers([native]) else None
        if found is None:
            raise NotFound(SHOPIFY.title, f"no such order: {native!r}")
        return found

    async def events(
        self, who: Sequence[Contact], kinds: frozenset[EventKind], span: Span, cursor: str | None, limit: int
    ) -> Chunk[Event]:
        mine, after = orders.customers_of(who), history.place(cursor)
        if not mine:
            return Chunk([])
        placed, refunds = await asyncio.gather(
            self._placed(mine, kinds, span, after, limit), self._refunds(mine, kinds, span)
        )
        return history.merged(placed, refunds, span, after, limit)

    # ------------------------------------------------------------------------------------------------------ stock

    async def stock(self, skus: Sequence[str]) -> list[StockRow]:
        """
        Raises:
            TooLarge: what is asked for are only parts of SKUs, and there are too many that have them.
        """
        wanted = [sku for sku in dict.fromkeys(skus) if any(map(str.isalnum, sku))]
        parts = [wanted[start : start + queries.ITEMS] for start in range(0, len(wanted), queries.ITEMS)]
        found = await at_once(*(self._items(part) for part in parts))
        everywhere = await at_once(*(self._everywhere(item) for items in found for item in items))
        return stock.rows(everywhere, wanted)

    # -------------------------------------------------------------------------------------------- what we ask for

    async def _customers(self, ids: Sequence[str], *, into: Callable[[Any], T], fresh_for: float) -> T:
        return await self._ask(
            "customers.read",
            queries.CUSTOMERS_BY_ID,
            {"ids": ids},
            into=into,
            fresh_for=fresh_for,
            tags=("customers",),
        )

    async def _search_customers(self, query: str, limit: int) -> list[Contact]:
        return await self._ask(
            "customers.search",
            queries.CUSTOMERS,
            {"query": query, "first": limit},
            into=customers.found,
            fresh_for=60,
            tags=("customers",),
        )

    async def _change(self, change: Change, shop: Any) -> Contact:
        written = await self._http.write(
            change.operation,
            _GRAPHQL,
            json={"query": change.document, "variables": {"input": change.given}},
            into=lambda wire: customers.changed(wire["data"], shop),
            twice="harmless",
            touches=("customers",),
        )
        return written.value

    async def _order(self, native: str, include: frozenset[OrderSection]) -> Order | None:
        sections = {section: section in include for section in ("shipments", "payments", "refunds", "returns")}
        sizes = {
            "lines": queries.LINES,
            "returnsFirst": queries.RETURNS,
            "returnedLines": queries.RETURNED_LINES,
            "shipmentsFirst": queries.SHIPMENTS,
            "parcels": queries.PARCELS,
            "paymentsFirst": queries.PAYMENTS,
            "refundsFirst": queries.PAID_BACK,
        }
        return await self._ask(
            "orders.get",
            queries.ORDER,
            {"id": gid("Order", native), **sizes, **sections},
            into=orders.order,
            fresh_for=30,
            tags=(f"order:{native}",),
        )

    async def _placed(
        self, mine: Sequence[str], kinds: frozenset[EventKind], span: Span, after: Place, limit: int
    ) -> history.Orders:
        if "order" not in kinds:
            return history.Orders()
        return await self._search_orders(history.orders_in(mine, span), after.order, limit, into=history.orders)

    async def _refunds(self, mine: Sequence[str], kinds: frozenset[EventKind], span: Span) -> Refunds:
        """All refunds, of as many orders as are worth looking through for one answer."""
        if "refund" not in kinds:
            return Refunds()
        query, found, capped, after = history.refunded_in(mine, span), list[Event](), False, None
        for _ in range(_MOST_PAGES):
            page = await self._ask(
                "orders.refunded",
                queries.REFUNDED,
                {"query": query, "first": queries.REFUNDED_ORDERS, "after": after, "refunds": queries.REFUNDS},
                into=partial(history.refunds, most=queries.REFUNDS),
                fresh_for=30,
                tags=("orders",),
            )
            found += page.events
            capped, after = capped or page.capped, page.next
            if after is None:
                return Refunds(found, capped=capped)
        return Refunds(found, capped=True)

    async def _search_orders(self, query: str, cursor: str | None, limit: int, *, into: Callable[[Any], T]) -> T:
        return await self._ask(
            "orders.search",
            queries.ORDERS,
            {"query": query, "first": limit, "after": cursor, "counted": cursor is None},
            into=into,
            fresh_for=30,
            tags=("orders",),
        )

    async def _items(self, skus: Sequence[str]) -> list[Item]:
        query, found, after = one_of("sku", skus), list[Item](), None
        for _ in range(_MOST_PAGES):
            page = await self._ask(
                "stock.items",
                queries.STOCK,
                {"query": query, "first": queries.ITEMS, "after": after, "levels": queries.LEVELS},
                into=partial(stock.items, skus=skus),
                fresh_for=30,
                tags=("stock",),
            )
            found += page.items
            after = page.next
            if after is None:
                return found
        raise TooLarge(
            SHOPIFY.title, "too many things have SKUs like these", hint="Ask for whole SKUs, or for fewer of them"
        )

    async def _everywhere(self, item: Item) -> Item:
        """The item with all places that keep it."""
        while item.more is not None:
            item = await self._ask(
                "stock.levels",
                queries.MORE_STOCK,
                {"id": item.gid, "first": queries.MORE_LEVELS, "after": item.more},
                into=partial(stock.further, item=item),
                fresh_for=30,
                tags=("stock",),
            )
        return item

    async def _ask(
        self,
        operation: str,
        document: str,
        variables: Mapping[str, Any],
        *,
        into: Callable[[Any], T],
        fresh_for: float,
        tags: Iterable[str],
    ) -> T:
        return await self._http.read(
            operation,
            _GRAPHQL,
            method="POST",
            json={"query": document, "variables": variables},
            into=lambda wire: into(wire["data"]),
            fresh_for=fresh_for,
            tags=tags,
        )
