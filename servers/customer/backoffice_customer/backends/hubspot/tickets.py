"""HubSpot's help desk in our words: tickets, what is said about them, changes and answers.

A ticket's version is when it was last modified, and the message that a reply would answer: whoever saw that version saw
who the reply goes to. HubSpot knows no conditional writes: a change that is meant for a version reads the ticket,
compares, and writes.

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/objects/tickets/guide
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_customer.backends.hubspot import threads
from backoffice_customer.backends.hubspot.access import HUBSPOT, OBJECTS, PIPELINES
from backoffice_customer.backends.hubspot.conversations import Conversations
from backoffice_customer.backends.hubspot.effects import succeeded, then
from backoffice_customer.backends.hubspot.merging import merged
from backoffice_customer.backends.hubspot.records import (
    TICKET_TO_CONTACT,
    Made,
    Records,
    among,
    associated_with,
    condition,
    is_id,
    made,
)
from backoffice_customer.backends.hubspot.stages import Stages, stages
from backoffice_customer.backends.hubspot.ticketwire import (
    NATIVE_PRIORITIES,
    TICKET,
    changed,
    changed_since,
    conditions,
    contact_ids,
    is_version,
    row,
    state,
    translated,
    version,
    whole,
)
from backoffice_customer.backends.hubspot.translation import EMAIL, NOTE, Owners
from backoffice_customer.models import Comment, Contact, CreatedTicket, Ref, Sent, Ticket, TicketRow, TicketState
from backoffice_customer.ports import CommentPage, Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.envelope import Page
from backoffice_shared.errors import Conflict, InvalidInput, NotFound
from backoffice_shared.http.client import BackendClient, Written, path
from backoffice_shared.http.once import once
from backoffice_shared.paging import Chunk, Fetch


class HubSpotTickets:
    """Tickets: read, opened, changed, and answered in the conversations that they have."""

    closes = False

    def __init__(self, http: BackendClient) -> None:
        self._http = http
        self._records = Records(http)
        self._conversations = Conversations(http)

    # ----------------------------------------------------------------------------------------------------- reading

    async def search_tickets(self, query: TicketQuery, cursor: str | None, limit: int) -> Chunk[TicketRow]:
        known, owners, who = await asyncio.gather(self._stages(), self._records.owners(), self._requesters(query))
        filters = conditions(query, known, owners, who)
        if filters is None:
            return Chunk([])
        found = await self._records.newest(
            "tickets",
            cursor,
            limit,
            filters=filters,
            properties=TICKET,
            by="createdate" if query.sort == "created" else "hs_lastmodifieddate",
            each=partial(row, known=known, owners=owners),
            fresh_for=15,
            tags=("tickets",),
            query=(query.text or "")[:3000],
        )
        return Chunk(await self._with_requesters(found.items), found.next, found.total, capped=found.capped)

    async def count_open_tickets(self, who: Contact) -> int:
        if who.ref.backend != HUBSPOT.name:
            return 0
        open_stages = (await self._stages()).other_than("solved")
        if not open_stages:
            return 0
        mine = [condition("associations.contact", "EQ", who.ref.native), among("hs_pipeline_stage", open_stages)]
        return await self._records.count("tickets", mine)

    async def ticket(self, native: str, comments: CommentPage | None) -> Ticket:
        """The requester is who a reply would go to: in a conversation, the last who wrote there, whether or not the
        ticket is associated with them. Where nobody can be answered, it is the first associated contact. All that is
        said of the requester is said of one person: there is no `customer_id` where no contact has their address.
        """
        wire = await self._ticket(native)
        known, owners, writer = await asyncio.gather(
            self._stages(), self._records.owners(), self._conversations.writer(native)
        )
        found = translated(wire, known, owners, writer)
        if writer is None:
            whose = await self._records.contacts(contact_ids(wire)[:1])
        else:
            whose = await self._records.contacts([writer.email], by="email")
        for who in whose:
            email = found.email or next(iter(who.emails), None)
            requester = {"customer_id": str(who.ref), "requester": who.name, "email": email}
            found = found.model_copy(update=requester)
        if comments is None:
            return found
        page, said = await self._comments(native, wire, comments, owners)
        return found.model_copy(update={"page": page, "comments": said})

    async def _ticket(self, native: str, *, fresh_for: float = 15) -> Any:
        _check(native)
        return await self._http.read(
            "tickets.get",
            OBJECTS + path("tickets", native),
            params={"properties": list(TICKET), "associations": ["contacts"]},
            into=whole,
            fresh_for=fresh_for,
            tags=(f"ticket:{native}",),
        )

    async def _stages(self) -> Stages:
        return await self._http.read(
            "pipelines.list", f"{PIPELINES}/tickets", into=stages, fresh_for=3600, tags=("pipelines",)
        )

    async def _requesters(self, query: TicketQuery) -> list[str] | None:
        """The contacts who are asked about; None: nobody in particular."""
        if not query.requesters and not query.emails:
            return None
        by_email = await self._records.contacts(query.emails, by="email")
        ours = [native for native in query.requesters if is_id(native)]
        return list(dict.fromkeys((*ours, *(contact.ref.native for contact in by_email))))

    async def _with_requesters(self, rows: Sequence[TicketRow]) -> list[TicketRow]:
        natives = [row.ticket_id.rpartition(":")[2] for row in rows]
        whose = await self._records.associations("tickets", natives, "contacts", tags=("tickets",))
        contacts = await self._records.contacts(list(whose.values()))
        names = {contact.ref.native: contact.name for contact in contacts}
        return [
            found.model_copy(update={"requester": names.get(whose.get(native, ""))})
            for found, native in zip(rows, natives, strict=True)
        ]

    async def _comments(self, native: str, wire: Any, page: CommentPage, owners: Owners) -> tuple[Page, list[Comment]]:
        """Where the ticket has a conversation, its messages are taken, and not the e-mails that they also are."""
        said = await self._conversations.of(native)
        told = {"owners": owners, "max_chars": page.max_chars}
        feeds: dict[str, Fetch[Comment]] = {
            "note": partial(self._about, native, "notes", NOTE, partial(threads.note, **told)),
            **{thread.id: partial(self._conversations.comments, native, thread.id, told) for thread in said},
        }
        if not said:
            feeds["email"] = partial(self._about, native, "emails", EMAIL, partial(threads.email, **told))
            feeds["description"] = partial(_description, wire, page.max_chars)
        found = await merged(feeds, at=lambda comment: comment.at, cursor=page.cursor, limit=page.limit)
        return Page(next_cursor=found.next, has_more=found.next is not None), found.items

    async def _about(
        self, native: str, kind: str, properties: Sequence[str], each: Any, cursor: str | None, limit: int
    ) -> Chunk[Comment]:
        return await self._records.newest(
            kind,
            cursor,
            limit,
            filters=[condition("associations.ticket", "EQ", native)],
            properties=properties,
            by="hs_timestamp",
            each=each,
            fresh_for=15,
            tags=(f"ticket:{native}",),
        )

    # ----------------------------------------------------------------------------------------------------- writing

    async def create_ticket(self, draft: TicketDraft, key: str) -> CreatedTicket:
        """Once: HubSpot knows no keys, so the customer's ticket with the same words that this call may have made is
        taken for it. The body becomes the description, which agents see.

        Raises:
            InvalidInput: the customer is to be told, or there are to be tags: neither can be done here.
            OutcomeUnknown: also when they became a contact, and the ticket then failed.
        """
        if draft.public:
            raise InvalidInput(
                HUBSPOT.title, "a new ticket tells the customer nothing", hint="Open it as an internal one, then write"
            )
        if draft.tags:
            raise InvalidInput(HUBSPOT.title, _NO_TAGS)
        start = (await self._stages()).first(self._http.options["ticket_pipeline"])
        contact, done = (draft.requester, "") if draft.requester else await self._contact(draft)
        properties = {
            "subject": draft.subject,
            "content": draft.body,
            "hs_pipeline": start.pipeline,
            "hs_pipeline_stage": start.id,
            **({} if draft.priority is None else {"hs_ticket_priority": NATIVE_PRIORITIES[draft.priority]}),
        }

        async def write() -> Written[Made]:
            opening = self._http.write(
                "tickets.create",
                f"{OBJECTS}/tickets",
                json={"properties": properties, "associations": [associated_with(contact, TICKET_TO_CONTACT)]},
                into=made,
                twice="looked up",
                touches=("tickets", f"contact:{contact}"),
            )
            return await then(done, opening)

        async def look(since: datetime) -> Made | None:
            ids = await self._records.associated("contacts", contact, "tickets")
            for wire in await self._records.fresh("tickets", ids, ["subject", "content"]):
                words = (wire["properties"].get("subject"), wire["properties"].get("content"))
                if words == (draft.subject, draft.body) and datetime.fromisoformat(wire["createdAt"]) >= since:
                    return made(wire)
            return None

        written = await once(HUBSPOT.title, write, look)
        return CreatedTicket(
            ticket_id=str(Ref(HUBSPOT.name, "ticket", written.value.id)),
            status=start.status,
            url=written.value.url,
            replayed=written.replayed,
            idempotency_key=key,
        )

    async def update_ticket(
        self,
        native: str,
        change: TicketChange,
        key: str,  # noqa: ARG002 - HubSpot keeps none
    ) -> TicketState:
        """The values first, which may be set twice; then the note, once, as `HubSpot.add_note` does it.

        Somebody else's change between reading and writing is not noticed.

        Raises:
            OutcomeUnknown: also when the values were set and the note failed, or the ticket could not be read after it.
        """
        if change.add_tags or change.remove_tags:
            raise InvalidInput(HUBSPOT.title, _NO_TAGS)
        before, known = await asyncio.gather(self._ticket(native, fresh_for=0), self._stages())
        values = await self._values(before, change)
        seen = partial(state, known=known, seen=change.version)

        async def set_values() -> str:
            _check_version(before, change.version, values)
            if values:
                await self._set(before, values)
            return "the values were set" if values else ""

        if change.note is not None:
            await self._records.add_note("tickets", native, change.note, _touched(before), before=set_values)
            return seen(await then("the note was written", self._ticket(native, fresh_for=0)))
        _check_version(before, change.version, values)
        return seen(await self._set(before, values) if values else before)

    async def reply(self, native: str, reply: Reply, key: str) -> Written[Sent]:  # noqa: ARG002 - HubSpot keeps none
        """In the ticket's newest conversation, to the address that `ticket` gave with this version, and to no other.

        Once: a message with the same words that this call may have sent is taken for it. The status is set after it was
        sent. Where that fails, `Sent.status` is None, and the message is sent all the same. Where a repeated call finds
        its message, and somebody has written since, the status stays as it is; `Sent.status` is what it is then.

        Raises:
            Conflict: the ticket has no conversation, or nobody wrote there who can be answered at an e-mail address; or
                the ticket was changed, or written in, since `reply.version`.
        """
        _check(native)
        before, said, known = await asyncio.gather(
            self._ticket(native, fresh_for=0), self._conversations.of(native, fresh_for=0), self._stages()
        )
        values = await self._values(before, TicketChange(status=reply.status_after))
        status = known.status(before["properties"].get("hs_pipeline_stage"))

        async def write() -> Written[threads.Answer]:
            if not said:
                raise Conflict(
                    HUBSPOT.title,
                    f"ticket {native} has no conversation that could be answered in",
                    hint="Write an e-mail",
                )
            newest = await self._conversations.said(native, said[0])
            writer = threads.writer(newest)
            if writer is None:
                raise Conflict(
                    HUBSPOT.title, "nobody who could be answered at an e-mail address has written in this ticket"
                )
            if version(before, writer) != reply.version:
                raise changed_since(before, reply.version)
            message = threads.answer(said[0], newest, writer, reply.body, self._http.options["reply_as"])
            return await self._conversations.send(said[0], message, _touched(before, "emails"))

        async def look(since: datetime) -> threads.Answer | None:
            return await self._conversations.sent(native, said, reply.body, since)

        written = await once(HUBSPOT.title, write, look)
        sent = written.value.sent.model_copy(update={"status": status})
        if values and written.value.is_last:
            is_set = await succeeded(self._set(before, values))
            sent = sent.model_copy(update={"status": reply.status_after if is_set else None})
        return Written(sent, written.replayed)

    async def _contact(self, draft: TicketDraft) -> tuple[str, str]:
        """Whoever has this address; made when there is nobody yet, and then with words for that. Two makers make one:
        addresses are unique.
        """
        known = await self._records.contacts([draft.email.lower()], by="email", fresh_for=0)
        if known:
            return known[0].ref.native, ""
        first, _, last = draft.name.partition(" ")
        values = {"email": draft.email.lower(), "firstname": first, "lastname": last}
        upserted = await self._http.write(
            "contacts.upsert",
            f"{OBJECTS}/contacts/batch/upsert",
            json={"inputs": [{"id": draft.email.lower(), "idProperty": "email", "properties": values}]},
            into=lambda wire: str(wire["results"][0]["id"]),
            twice="harmless",
            touches=("contacts",),
        )
        return upserted.value, "the customer was made a contact"

    async def _values(self, before: Any, change: TicketChange) -> dict[str, str]:
        """The properties that the change sets."""
        values: dict[str, str] = {}
        if change.status is not None:
            known, now = await self._stages(), before["properties"].get("hs_pipeline_stage") or ""
            pipeline: str | None = before["properties"].get("hs_pipeline")
            is_there = known.status(now) == change.status
            values["hs_pipeline_stage"] = now if is_there else known.with_status(pipeline, change.status)
        if change.priority is not None:
            values["hs_ticket_priority"] = NATIVE_PRIORITIES[change.priority]
        if change.assignee is not None:
            owner = "" if change.assignee == "none" else (await self._records.owners()).id_of(change.assignee)
            if owner is None:
                raise InvalidInput(HUBSPOT.title, f"no user has the e-mail address {change.assignee[:80]!r}")
            values["hubspot_owner_id"] = owner
        return values

    async def _set(self, before: Any, values: Mapping[str, str]) -> Any:
        """The ticket as it is then, as far as HubSpot gives it."""
        written = await self._http.write(
            "tickets.update",
            OBJECTS + path("tickets", before["id"]),
            method="PATCH",
            json={"properties": values},
            into=partial(changed, before=before),
            twice="harmless",
            touches=_touched(before),
        )
        return written.value


_NO_TAGS = "its tickets have no tags"


def _check(native: str) -> None:
    if not is_id(native):
        raise NotFound(HUBSPOT.title, f"there is no ticket {native[:40]!r}")


def _touched(wire: Any, *more: str) -> tuple[str, ...]:
    """The tags of what tells of this ticket."""
    return (f"ticket:{wire['id']}", "tickets", *(f"contact:{native}" for native in contact_ids(wire)), *more)


def _check_version(wire: Any, wanted: str | None, values: Mapping[str, str]) -> None:
    """Whether the ticket is as it was. What an earlier attempt of this call may have set is no change by others."""
    now = wire["properties"]
    if wanted is None or is_version(wire, wanted):
        return
    as_wanted = bool(values) and all((now.get(name) or "") == value for name, value in values.items())
    if uncertain_since() is None or not as_wanted:
        raise changed_since(wire, wanted)


async def _description(wire: Any, max_chars: int, cursor: str | None, limit: int) -> Chunk[Comment]:  # noqa: ARG001
    return Chunk(threads.description(wire, max_chars=max_chars))
