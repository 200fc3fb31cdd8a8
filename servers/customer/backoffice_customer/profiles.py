"""A customer's profile and history, put together from every system that knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from backoffice_customer.directory import Directory, Person, merged
from backoffice_customer.models import Contact, Counts, Customers, Event, EventKind
from backoffice_customer.ports import Desk, History, Shop, Span
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import BackofficeError
from backoffice_shared.paging import Chunk, Cursors, merge
from backoffice_shared.sources import Source, fan_out, together

_YEAR = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class Profiles:
    directory: Directory
    desks: Mapping[str, Desk]
    shops: Mapping[str, Shop]
    histories: Mapping[str, History]
    cursors: Cursors

    async def get(self, customer_ids: Sequence[str], include: frozenset[str]) -> Customers:
        """These customers, in the order asked, with the sections in `include`: "counts", "preferences"."""
        found = await self.directory.people(customer_ids)
        customers = [merged(person) for person in found.people]
        sources = found.sources
        if "preferences" not in include:
            customers = [customer.model_copy(update={"preferences": None}) for customer in customers]
        if "counts" in include:
            counted = await asyncio.gather(*(self._counts(person) for person in found.people))
            pairs = zip(customers, counted, strict=True)
            customers = [customer.model_copy(update={"counts": counts}) for customer, (counts, _) in pairs]
            sources = together(sources, *(asked for _, asked in counted))
        notes = [f"{text} could not be looked up: its system did not answer" for text in found.unasked]
        return Customers(items=customers, not_found=found.unknown, sources=sources, notes=notes)

    async def events(
        self, customer_id: str, kinds: frozenset[EventKind], span: Span, *, limit: int, cursor: str | None
    ) -> Listing[Event]:
        """What happened with the customer, newest first."""
        person, sources = await self.directory.person(customer_id)
        asked = {
            name: (history, wanted)
            for name, history in self.histories.items()
            if (wanted := kinds & history.event_kinds if kinds else history.event_kinds)
        }
        found = await merge(
            {
                name: partial(_unasked, person.unasked[name])
                if name in person.unasked
                else partial(history.events, person.contacts, wanted, span)
                for name, (history, wanted) in asked.items()
            },
            order=lambda event: event.at,
            limit=limit,
            cursor=cursor,
            cursors=self.cursors,
            question=["events", customer_id, sorted(kinds), span],
        )
        found.sources = together(found.sources, sources)
        return found

    async def _counts(self, person: Person) -> tuple[Counts, list[Source]]:
        since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _YEAR
        reads: dict[str, Callable[[], Awaitable[Counts]]] = {}
        for name, desk in self.desks.items():
            if mine := person.of(name):
                reads[name] = partial(_open_tickets, desk, mine[0])
        for name, shop in self.shops.items():
            if mine := person.of(name):
                reads[name] = partial(_orders_since, shop, mine[0], since)
        answers = await fan_out(reads)
        known = [counts.model_dump(exclude_none=True) for counts in answers.values.values()]
        return Counts(**{name: value for counts in known for name, value in counts.items()}), answers.sources


async def _unasked(error: BackofficeError, _cursor: str | None, _limit: int) -> Chunk[Event]:
    """Of a system that could not say who the person is there, nobody knows what happened with them."""
    raise error


async def _open_tickets(desk: Desk, who: Contact) -> Counts:
    return Counts(open_tickets=await desk.count_open_tickets(who))


async def _orders_since(shop: Shop, who: Contact, since: datetime) -> Counts:
    return Counts(orders_12m=await shop.count_orders(who, since))
