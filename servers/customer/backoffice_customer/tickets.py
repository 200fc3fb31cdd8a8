"""Support tickets, wherever they are kept: found, read, opened and changed. `replies.py` tells customers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from backoffice_customer.directory import Directory
from backoffice_customer.models import CreatedTicket, Ref, Ticket, TicketOutcome, TicketRow, UpdatedTickets, parse_ref
from backoffice_customer.ports import CommentPage, Desk, Editing, Opening, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, OutcomeUnknown
from backoffice_shared.paging import Cursors, merge
from backoffice_shared.plans import Plans
from backoffice_shared.sources import ask_one, together

_AT_ONCE = 8  # tickets under way in one call

CLOSE = "close tickets"


@dataclass(frozen=True, slots=True)
class Tickets:
    desks: Mapping[str, Desk]
    opening: Mapping[str, Opening]
    editing: Mapping[str, Editing]
    directory: Directory
    cursors: Cursors
    plans: Plans

    async def search(
        self, query: TicketQuery, *, customer_id: str | None, limit: int, cursor: str | None
    ) -> Listing[TicketRow]:
        """Tickets that meet the whole query, newest first by its `sort`."""
        question = ["tickets", query, customer_id]
        queries = dict.fromkeys(self.desks, query)
        who = []
        if customer_id is not None:
            person, who = await self.directory.person(customer_id)
            queries = {
                name: replace(query, emails=person.emails, requesters=mine)
                for name in self.desks
                if (mine := tuple(contact.ref.native for contact in person.of(name))) or person.emails
            }
            if not queries:
                return Listing[TicketRow](items=[], sources=who, notes=["no helpdesk knows this customer"])
        found = await merge(
            {name: partial(self.desks[name].search_tickets, query) for name, query in queries.items()},
            order=lambda row: row.created_at if query.sort == "created" else row.updated_at,
            limit=limit,
            cursor=cursor,
            cursors=self.cursors,
            question=question,
        )
        found.sources = together(found.sources, who)
        return found

    async def get(self, ticket_id: str, comments: CommentPage | None, *, custom: bool = False) -> Ticket:
        """One ticket, with a page of its comments, newest first, and its custom fields where they are asked for."""
        ref = self.ref(ticket_id)
        ticket, source = await ask_one(ref.backend, partial(self.desks[ref.backend].ticket, ref.native, comments))
        return ticket.model_copy(update={"sources": [source], "custom": ticket.custom if custom else None})

    async def create(self, customer_id: str, draft: TicketDraft, key: str) -> CreatedTicket:
        """Open a ticket for the customer in the first helpdesk.

        Raises:
            InvalidInput: the customer has no e-mail address that a ticket could be for.
        """
        person, _ = await self.directory.person(customer_id)
        name, desk = next(iter(self.opening.items()))
        # From the record that was asked for, so that a repetition says the same whichever systems answer.
        if person.asked.backend == name:
            own = person.own
            return await desk.create_ticket(
                replace(draft, requester=own.ref.native, name=own.name, email=next(iter(own.emails), "")), key
            )
        if not person.own.emails:
            raise InvalidInput("", f"customer {customer_id!r} has no e-mail address: a ticket needs one")
        return await desk.create_ticket(replace(draft, name=person.own.name, email=person.own.emails[0]), key)

    async def update(
        self, ticket_ids: Sequence[str], change: TicketChange, *, key: str, plan_token: str | None
    ) -> UpdatedTickets:
        """Change these tickets, each as far as it can be. To close them takes a plan first.

        Raises:
            InvalidInput: nothing was to change, or the plan is not for this.
            OutcomeUnknown: of some nobody knows whether they were changed. Repeat it with the same key.
            BackofficeError: of a single ticket, why it was not changed.
        """
        refs = [self.ref(text) for text in dict.fromkeys(ticket_ids)]
        if change == TicketChange(version=change.version):
            raise InvalidInput("", "name what to change: status, priority, assignee, tags or internal_note")
        if change.version is not None and len(refs) > 1:
            raise InvalidInput("", "expected_version is that of one ticket: give one ticket_id with it")
        if lacking := sorted({ref.backend for ref in refs} - self.editing.keys()):
            raise InvalidInput("", f"{', '.join(lacking)}: tickets cannot be changed there")
        versions: Mapping[str, str] = {}
        if change.status == "closed":
            request = _request(refs, change)
            if plan_token is None:
                return await self._planned(refs, change, request)
            versions = self.plans.versions(plan_token, CLOSE, request)
        return await self._changed(refs, change, versions, key)

    def ref(self, ticket_id: str) -> Ref:
        return parse_ref(ticket_id, dict.fromkeys(self.desks, "ticket"))

    async def _planned(self, refs: Sequence[Ref], change: TicketChange, request: object) -> UpdatedTickets:
        """What closing would do: which tickets there are to close, in which version."""
        results = await _each(refs, lambda ref: self._looked_at(ref, change))
        versions = {result.ticket_id: result.version for result in results if result.version is not None}
        if not versions:
            return UpdatedTickets(results=results, notes=["none of these can be closed"])
        plan = self.plans.made(CLOSE, request, versions)
        return UpdatedTickets(
            results=results,
            plan_token=plan.token,
            expires_at=plan.expires_at,
            notes=["nothing was changed yet: closing is for good. Call again with plan_token to close"],
        )

    async def _looked_at(self, ref: Ref, change: TicketChange) -> TicketOutcome:
        ticket = await self.desks[ref.backend].ticket(ref.native, None)
        if ticket.status == "closed":
            raise Conflict("", "it is closed already")
        if change.version is not None and change.version != ticket.version:
            raise Conflict("", "it has changed since expected_version")
        return TicketOutcome(
            ticket_id=str(ref), status="would_update", ticket_status=ticket.status, version=ticket.version
        )

    async def _changed(
        self, refs: Sequence[Ref], change: TicketChange, versions: Mapping[str, str], key: str
    ) -> UpdatedTickets:
        async def carried_out(ref: Ref) -> TicketOutcome:
            if versions and str(ref) not in versions:
                raise Conflict("", "it could not be closed when the plan was made")
            mine = replace(change, version=versions.get(str(ref), change.version))
            state = await self.editing[ref.backend].update_ticket(ref.native, mine, f"{key}:{ref.native}")
            return TicketOutcome(
                ticket_id=state.ticket_id, status="updated", ticket_status=state.status, version=state.version
            )

        if len(refs) == 1:
            return UpdatedTickets(results=[await carried_out(refs[0])], idempotency_key=key)
        results = await _each(refs, carried_out)
        if unknown := [result.ticket_id for result in results if result.status == "unknown"]:
            done = [result.ticket_id for result in results if result.status == "updated"]
            raise OutcomeUnknown(
                "",
                f"of {', '.join(unknown)} nobody knows whether the change was made; it was made of {len(done)} others",
                hint="Repeat the call: what was changed is not changed again",
                idempotency_key=key,
            )
        failed = sum(result.status != "updated" for result in results)
        notes = [f"{failed} of {len(results)} were not changed: to try those again, use a new idempotency_key"]
        return UpdatedTickets(results=results, idempotency_key=key, notes=notes if failed else [])


async def _each(refs: Sequence[Ref], work: Callable[[Ref], Awaitable[TicketOutcome]]) -> list[TicketOutcome]:
    """What became of each, a few at a time: one that fails keeps no other from being done."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(ref: Ref) -> TicketOutcome:
        async with places:
            try:
                return await work(ref)
            except BackofficeError as error:
                return TicketOutcome(ticket_id=str(ref), status=_status(error), error=str(error))

    return list(await asyncio.gather(*map(one, refs)))


def _status(error: BackofficeError) -> Literal["conflict", "failed", "unknown"]:
    if isinstance(error, OutcomeUnknown):
        return "unknown"
    return "conflict" if isinstance(error, Conflict) else "failed"


def _request(refs: Sequence[Ref], change: TicketChange) -> list[object]:
    """What a plan is bound to."""
    tags = [list(change.add_tags), list(change.remove_tags)]
    return [sorted(map(str, refs)), change.status, change.priority, change.assignee, tags, change.note]
