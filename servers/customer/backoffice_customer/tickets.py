"""Support tickets, wherever they are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from backoffice_customer.directory import Directory
from backoffice_customer.models import CreatedTicket, Ticket, TicketRow, parse_ref
from backoffice_customer.ports import CommentPage, Desk, TicketDraft, TicketQuery
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import InvalidInput
from backoffice_shared.paging import Cursors, merge
from backoffice_shared.sources import ask_one, together


class Tickets:
    def __init__(self, desks: Mapping[str, Desk], directory: Directory, cursors: Cursors) -> None:
        self._desks = desks
        self._directory = directory
        self._cursors = cursors

    async def search(
        self, query: TicketQuery, *, customer_id: str | None, limit: int, cursor: str | None
    ) -> Listing[TicketRow]:
        """Tickets that meet the whole query, newest first by its `sort`."""
        question = ["tickets", query, customer_id]
        who = []
        if customer_id is not None:
            person, who = await self._directory.person(customer_id)
            natives = tuple(contact.ref.native for name in self._desks for contact in person.of(name))
            if not natives and not person.emails:
                return Listing[TicketRow](items=[], sources=who, notes=["no helpdesk knows this customer"])
            query = replace(query, emails=person.emails, requesters=natives)
        found = await merge(
            {name: partial(desk.search_tickets, query) for name, desk in self._desks.items()},
            order=lambda row: row.created_at if query.sort == "created" else row.updated_at,
            limit=limit,
            cursor=cursor,
            cursors=self._cursors,
            question=question,
        )
        found.sources = together(found.sources, who)
        return found

    async def get(self, ticket_id: str, comments: CommentPage | None, *, custom: bool = False) -> Ticket:
        """One ticket, with a page of its comments, newest first, and its custom fields where they are asked for."""
        ref = parse_ref(ticket_id, dict.fromkeys(self._desks, "ticket"))
        ticket, source = await ask_one(ref.backend, partial(self._desks[ref.backend].ticket, ref.native, comments))
        return ticket.model_copy(update={"sources": [source], "custom": ticket.custom if custom else None})

    async def create(self, customer_id: str, draft: TicketDraft, key: str) -> CreatedTicket:
        """Open a ticket for the customer.

        Raises:
            InvalidInput: the customer has no e-mail address that a ticket could be for.
        """
        person, _ = await self._directory.person(customer_id)
        name, desk = next(iter(self._desks.items()))
        # From the record that was asked for, so that a repetition says the same whichever systems answer.
        if person.asked.backend == name:
            return await desk.create_ticket(replace(draft, requester=person.asked.native), key)
        if not person.own.emails:
            raise InvalidInput("", f"customer {customer_id!r} has no e-mail address: a ticket needs one")
        return await desk.create_ticket(replace(draft, name=person.own.name, email=person.own.emails[0]), key)
