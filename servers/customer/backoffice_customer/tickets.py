"""Support tickets, wherever they are kept: found, read, opened and changed. `replies.py` tells customers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal
from uuid import uuid4

from backoffice_customer.directory import Directory
from backoffice_customer.models import (
    Comment,
    CreatedTicket,
    Ref,
    Ticket,
    TicketOutcome,
    TicketRow,
    UpdatedTickets,
    parse_ref,
)
from backoffice_customer.ports import CommentPage, Desk, Editing, Opening, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import vendor_key
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, OutcomeUnknown
from backoffice_shared.jsonvalues import compact
from backoffice_shared.mcp.bounded import LARGEST, weight
from backoffice_shared.mcp.personal import masked
from backoffice_shared.paging import Cursors, merge
from backoffice_shared.plans import Plans
from backoffice_shared.principal import principal
from backoffice_shared.sources import ask_one, together

_AT_ONCE = 8  # tickets under way in one call

CLOSE = "close tickets"
LONGEST_COMMENT = 8_000  # characters
PERSONAL = "customer:pii"
_ROOM = LARGEST - 2_500  # for the comments, beside the ticket itself
_LEAST = 50


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
        question: list[object] = ["tickets", query]
        queries = dict.fromkeys(self.desks, query)
        who = []
        if customer_id is not None:
            person, who = await self.directory.person(customer_id)
            person.must_be_whole(cursor)
            question = ["tickets", query, person.known_as]
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
        """One ticket, with a page of its comments, newest first, and its custom fields where they are asked for.

        Comments are cut here, after what is personal in them is masked: an address that is cut in two is none any more.
        """
        ref = self.ref(ticket_id)
        whole = None if comments is None else replace(comments, max_chars=LONGEST_COMMENT)
        ticket, source = await ask_one(ref.backend, partial(self.desks[ref.backend].ticket, ref.native, whole))
        return ticket.model_copy(
            update={
                "sources": [source],
                "custom": ticket.custom if custom else None,
                "comments": [] if comments is None else _fitting(ticket.comments, comments.max_chars),
            }
        )

    async def create(self, customer_id: str, draft: TicketDraft, idempotency_key: str) -> CreatedTicket:
        """Open a ticket for the customer in the first helpdesk.

        Raises:
            InvalidInput: the customer has no e-mail address that a ticket could be for.
        """
        person, _ = await self.directory.person(customer_id)
        name, desk = next(iter(self.opening.items()))
        key = vendor_key("create_ticket", idempotency_key)
        # From the record that was asked for, so that a repetition says the same whichever systems answer.
        if person.asked.backend == name:
            draft = replace(draft, requester=person.asked.native)
        elif not person.own.emails:
            raise InvalidInput("", f"customer {customer_id!r} has no e-mail address: a ticket needs one")
        draft = replace(draft, name=person.own.name, email=next(iter(person.own.emails), ""))
        created = await desk.create_ticket(draft, key)
        return created.model_copy(update={"idempotency_key": idempotency_key})

    async def update(
        self, ticket_ids: Sequence[str], change: TicketChange, *, idempotency_key: str | None, plan_token: str | None
    ) -> UpdatedTickets:
        """Change these tickets, each as far as it can be. To close them takes a plan first, to add a note a key.

        Raises:
            InvalidInput: nothing was to change, or the plan is not for this.
            OutcomeUnknown: of some nobody knows whether they were changed. Repeat it with the same key.
            BackofficeError: of a single ticket, why it was not changed.
        """
        refs = [self.ref(text) for text in dict.fromkeys(ticket_ids)]
        if change == TicketChange(version=change.version):
            raise InvalidInput("", "name what to change: status, priority, assignee, tags or internal_note")
        if change.note is not None and idempotency_key is None:
            raise InvalidInput("", "internal_note needs an idempotency_key: without, a repetition would add it again")
        if change.version is not None and len(refs) > 1:
            raise InvalidInput("", "expected_version is that of one ticket: give one ticket_id with it")
        if lacking := sorted({ref.backend for ref in refs} - self.editing.keys()):
            raise InvalidInput("", f"{', '.join(lacking)}: tickets cannot be changed there")
        versions: Mapping[str, str] = {}
        if change.status == "closed":
            request = [*_request(refs, change), idempotency_key]
            if plan_token is None:
                return await self._planned(refs, change, request)
            versions = self.plans.versions(plan_token, CLOSE, request)
        return await self._changed(refs, change, versions, idempotency_key)

    def ref(self, ticket_id: str) -> Ref:
        return parse_ref(ticket_id, dict.fromkeys(self.desks, "ticket"))

    async def _planned(self, refs: Sequence[Ref], change: TicketChange, request: object) -> UpdatedTickets:
        """What closing would do: which tickets there are to close, in which version."""
        results = await _each(refs, lambda ref: self._looked_at(ref, change), [])
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
        if not self.editing[ref.backend].closes:
            raise InvalidInput("", f"{ref.backend} closes nothing for good", hint="Set the status solved")
        if ticket.status == "closed":
            raise Conflict("", "it is closed already")
        if change.version is not None and change.version != ticket.version:
            raise Conflict("", "it has changed since expected_version")
        return TicketOutcome(
            ticket_id=str(ref), status="would_update", ticket_status=ticket.status, version=ticket.version
        )

    async def _changed(
        self, refs: Sequence[Ref], change: TicketChange, versions: Mapping[str, str], idempotency_key: str | None
    ) -> UpdatedTickets:
        key = vendor_key("update_tickets", idempotency_key or uuid4().hex)

        async def carried_out(ref: Ref) -> TicketOutcome:
            if versions and str(ref) not in versions:
                raise Conflict("", "it could not be closed when the plan was made")
            mine = replace(change, version=versions.get(str(ref), change.version))
            state = await self.editing[ref.backend].update_ticket(ref.native, mine, f"{key}:{ref.native}")
            return TicketOutcome(
                ticket_id=state.ticket_id, status="updated", ticket_status=state.status, version=state.version
            )

        if len(refs) == 1:
            return UpdatedTickets(results=[await carried_out(refs[0])], idempotency_key=idempotency_key)
        errors: list[BackofficeError] = []
        results = await _each(refs, carried_out, errors)
        if all(result.status in ("failed", "conflict") for result in results):
            errors[0].message = f"none of the {len(results)} tickets was changed; of the first: {errors[0].message}"
            raise errors[0]
        if unknown := [result.ticket_id for result in results if result.status == "unknown"]:
            done = [result.ticket_id for result in results if result.status == "updated"]
            again = "Repeat the call: what was changed is not changed again"
            raise OutcomeUnknown(
                "",
                f"of {', '.join(unknown)} nobody knows whether the change was made; it was made of {len(done)} others",
                hint=again if idempotency_key is not None else "Look at them before trying again",
            )
        failed = sum(result.status != "updated" for result in results)
        notes = [f"{failed} of {len(results)} were not changed: to try those again, use a new idempotency_key"]
        return UpdatedTickets(results=results, idempotency_key=idempotency_key, notes=notes if failed else [])


def _fitting(comments: Sequence[Comment], most: int) -> list[Comment]:
    """With at most so many characters each, and fewer when one answer cannot hold them: none is left out."""
    if not principal().holds(PERSONAL):
        comments = [comment.model_copy(update={"text": masked(comment.text)}) for comment in comments]
    while True:
        cut = [_cut(comment, most) for comment in comments]
        if most <= _LEAST or weight(compact([comment.model_dump(mode="json") for comment in cut])) <= _ROOM:
            return cut
        most = max(_LEAST, most * 2 // 3)


def _cut(comment: Comment, most: int) -> Comment:
    if len(comment.text) <= most:
        return comment
    return comment.model_copy(update={"text": comment.text[:most], "truncated": True})


async def _each(
    refs: Sequence[Ref], work: Callable[[Ref], Awaitable[TicketOutcome]], errors: list[BackofficeError]
) -> list[TicketOutcome]:
    """What became of each, a few at a time: one that fails keeps no other from being done, and leaves its error."""
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(ref: Ref) -> TicketOutcome:
        async with places:
            try:
                return await work(ref)
            except BackofficeError as error:
                errors.append(error)
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
