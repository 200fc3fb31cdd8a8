"""Orders, wherever they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from backoffice_customer.directory import Directory
from backoffice_customer.models import Order, OrderRow, parse_ref
from backoffice_customer.ports import OrderQuery, OrderSection, Shop
from backoffice_shared.envelope import Listing
from backoffice_shared.paging import Cursors, merge
from backoffice_shared.sources import ask_one, together


class Orders:
    def __init__(self, shops: Mapping[str, Shop], directory: Directory, cursors: Cursors) -> None:
        self._shops = shops
        self._directory = directory
        self._cursors = cursors

    async def search(
        self, query: OrderQuery, *, customer_id: str | None, limit: int, cursor: str | None
    ) -> Listing[OrderRow]:
        """Orders that meet the whole query, newest first."""
        question: list[object] = ["orders", query]
        queries = dict.fromkeys(self._shops, query)
        who = []
        if customer_id is not None:
            person, who = await self._directory.person(customer_id)
            person.must_be_whole(cursor)
            question = ["orders", query, person.known_as]
            theirs = {name: tuple(contact.ref.native for contact in person.of(name)) for name in self._shops}
            queries = {name: replace(query, customers=natives) for name, natives in theirs.items() if natives}
            unasked = [error for name, error in person.unasked.items() if name in self._shops]
            if not queries and unasked:
                raise unasked[0]
            if not queries:
                return Listing[OrderRow](items=[], sources=who, notes=["no shop knows this customer"])
        found = await merge(
            {name: partial(self._shops[name].search_orders, query) for name, query in queries.items()},
            order=lambda row: row.placed_at,
            limit=limit,
            cursor=cursor,
            cursors=self._cursors,
            question=question,
        )
        found.sources = together(found.sources, who)
        return found

    async def get(self, order_id: str, include: frozenset[OrderSection]) -> Order:
        ref = parse_ref(order_id, dict.fromkeys(self._shops, "order"))
        order, source = await ask_one(ref.backend, partial(self._shops[ref.backend].order, ref.native, include))
        return order.model_copy(update={"sources": [source]})
