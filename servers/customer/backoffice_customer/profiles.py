"""A customer's profile and history, put together from every system that knows them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import uuid4

from backoffice_customer.directory import Directory, Person
from backoffice_customer.merged import merged
from backoffice_customer.models import Contact, Counts, Customers, Event, EventKind, Noted
from backoffice_customer.ports import Desk, History, Notebook, NoteDraft, Shop, Span
from backoffice_shared.attempt import vendor_key
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import BackofficeError, InvalidInput
from backoffice_shared.paging import Chunk, Cursors, merge
from backoffice_shared.principal import principal
from backoffice_shared.sources import Answers, Source, at_once, fan_out, together

_YEAR = timedelta(days=365)
_OPENED = frozenset({"ticket", "email", "order", "refund"})
"""What tools of ours open by its id, and then say where it is."""


@dataclass(frozen=True, slots=True)
class Profiles:
    directory: Directory
    desks: Mapping[str, Desk]
    shops: Mapping[str, Shop]
    histories: Mapping[str, History]
    notebooks: Mapping[str, Notebook]
    cursors: Cursors

    async def get(self, customer_ids: Sequence[str], include: frozenset[str]) -> Customers:
        """These customers, in the order asked, with the sections in `include`: "counts", "preferences", "provenance"."""
        found = await self.directory.people(customer_ids)
        customers = [merged(person) for person in found.people]
        sources = found.sources
        unasked_for = {section: None for section in ("preferences", "provenance") if section not in include}
        customers = [customer.model_copy(update=unasked_for) for customer in customers]
        if "counts" in include:
            counted = await asyncio.gather(*(self._counts(person) for person in found.people))
            pairs = zip(customers, counted, strict=True)
            customers = [customer.model_copy(update={"counts": counts}) for customer, (counts, _) in pairs]
            sources = together(sources, *(asked for _, asked in counted))
        seen = [text for text in found.unasked if principal().sees(text.partition(":")[0])]
        notes = [f"{text} could not be looked up: its system did not answer" for text in seen]
        notes += [
            f"{text} could not be looked up: you may not see its system" for text in found.unasked if text not in seen
        ]
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
            question=["events", person.known_as, sorted(kinds), span],
        )
        found.items = [
            event.model_copy(update={"url": None}) if event.kind in _OPENED else event for event in found.items
        ]
        found.sources = together(found.sources, sources)
        return found

    async def add_note(self, customer_id: str, note: NoteDraft, idempotency_key: str | None) -> Noted:
        """Add it to the record that was asked for, or else to that of the first system that keeps notes.

        Raises:
            InvalidInput: no system that knows this customer keeps notes.
            BackofficeError: the system whose turn it is did not say whether it knows them.
        """
        person, sources = await self.directory.person(customer_id)
        own, key = person.asked.backend, vendor_key("add_customer_note", idempotency_key or uuid4().hex)
        for name in sorted(self.notebooks, key=lambda name: name != own):
            if name in person.unasked:
                raise person.unasked[name]  # a repetition must not write elsewhere
            if mine := person.of(name):
                written = await self.notebooks[name].add_note(mine[0], note, key)
                return written.value.model_copy(
                    update={"replayed": written.replayed, "idempotency_key": idempotency_key, "sources": sources}
                )
        raise InvalidInput("", f"no system that knows customer {customer_id!r} keeps notes")

    async def _counts(self, person: Person) -> tuple[Counts, list[Source]]:
        since = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - _YEAR
        tickets = {
            name: partial(desk.count_open_tickets, mine)
            for name, desk in self.desks.items()
            if (mine := self._known_as(person, name)) is not None
        }
        orders = {
            name: partial(shop.count_orders, mine, since)
            for name, shop in self.shops.items()
            if (mine := self._known_as(person, name)) is not None
        }
        counted = await at_once(fan_out(tickets), fan_out(orders))
        open_tickets, orders_12m = (
            None
            if _lacking(answers) or not answers.values or person.unasked.keys() & systems
            else sum(answers.values.values())
            for answers, systems in zip(counted, (self.desks.keys(), self.shops.keys()), strict=True)
        )
        counts = Counts(open_tickets=open_tickets, orders_12m=orders_12m)
        return counts, together(*(answers.sources for answers in counted))

    def _known_as(self, person: Person, system: str) -> Contact | None:
        """The person's record there. A system that keeps none goes by addresses, which any record has."""
        if not self.directory.keeps_people(system):
            return person.own
        return next(iter(person.of(system)), None)


def _lacking(answers: Answers[int]) -> bool:
    """Whether a system that may know more did not say: it failed, or is not one whose data the caller may see."""
    return any(source.status in ("error", "skipped") for source in answers.sources)


async def _unasked(error: BackofficeError, _cursor: str | None, _limit: int) -> Chunk[Event]:
    """Of a system that could not say who the person is there, nobody knows what happened with them."""
    raise error
