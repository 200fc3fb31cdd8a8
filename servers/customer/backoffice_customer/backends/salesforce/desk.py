"""Salesforce's cases as support tickets: found, read, opened, changed, answered."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_customer.backends.salesforce import cases, wire
from backoffice_customer.backends.salesforce.composite import fetch, update
from backoffice_customer.backends.salesforce.rest import MOST_FOUND, Rest
from backoffice_customer.backends.salesforce.soql import moment, select, text, texts
from backoffice_customer.models import Comment, Contact, CreatedTicket, Sent, Ticket, TicketRow, TicketState
from backoffice_customer.ports import CommentPage, Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.envelope import Page
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.http.client import BackendClient, Twice, Written
from backoffice_shared.http.once import once
from backoffice_shared.paging import Chunk


class SalesforceCases:
    closes = False

    def __init__(self, http: BackendClient) -> None:
        self._rest = Rest(http)

    # ------------------------------------------------------------------------------------------------------ reading

    async def search_tickets(self, query: TicketQuery, cursor: str | None, limit: int) -> Chunk[TicketRow]:
        met, found = cases.conditions(query), None
        if met is None:
            return Chunk([])
        if query.text:
            found = await self._rest.found("Case", query.text, MOST_FOUND)
            if not found:
                return Chunk([])
            met.append(f"Id IN {texts(found)}")
        each = partial(cases.row, url=self._rest.url)
        sources = [cases.all_cases(met, query.sort)]
        chunk = await self._rest.page("tickets.query", sources, cursor, limit, each, tags=("tickets",))
        return replace(chunk, capped=chunk.next is None and found is not None and len(found) == MOST_FOUND)

    async def count_open_tickets(self, who: Contact) -> int:
        """Those that a search for this person finds and that are not closed."""
        whose = TicketQuery(emails=tuple(who.emails), requesters=tuple(wire.own_ids([who])))
        met = cases.conditions(whose) if whose != TicketQuery() else None
        if met is None:
            return 0
        soql = select("COUNT()", "Case", " AND ".join([*met, "IsClosed = false"]))
        return await self._rest.query("tickets.count", soql, _count, fresh_for=15, tags=("tickets",))

    async def ticket(self, native: str, comments: CommentPage | None) -> Ticket:
        present = self._present(cases.checked(native), fresh_for=15)
        if comments is None:
            return cases.ticket(await present, url=self._rest.url)
        now, said = await asyncio.gather(present, self._thread(native, comments))
        page = Page(next_cursor=said.next, has_more=said.next is not None)
        return cases.ticket(now, url=self._rest.url).model_copy(update={"page": page, "comments": said.items})

    async def _present(self, native: str, *, fresh_for: float = 0.0) -> cases.Present:
        into, tags = partial(cases.as_present, native=native), (f"ticket:{native}",)
        return await self._rest.ask("tickets.get", cases.present(native), into, fresh_for=fresh_for, tags=tags)

    async def _thread(self, native: str, page: CommentPage) -> Chunk[Comment]:
        each, tags = partial(cases.comment, max_chars=page.max_chars), (f"ticket:{native}",)
        return await self._rest.page("tickets.comments", cases.thread(native), page.cursor, page.limit, each, tags=tags)

    # ------------------------------------------------------------------------------------------------------ opening

    async def create_ticket(self, draft: TicketDraft, key: str) -> CreatedTicket:
        """A case has no tags: they are refused."""
        if draft.tags:
            raise InvalidInput(wire.TITLE, "a case has no tags: leave them out")
        whose = await self._whose(draft)
        parts = cases.opened(draft, whose)

        async def write() -> Written[CreatedTicket]:
            into = partial(cases.created, key=key, url=self._rest.url)
            return await self._rest.carry_out("tickets.create", parts, into, twice="looked up", touches=("tickets",))

        async def look(since: datetime) -> CreatedTicket | None:
            soql = cases.opened_since(whose, since)
            into = partial(cases.found_created, draft=draft, whose=whose, key=key, url=self._rest.url)
            return await self._rest.query("tickets.query", soql, into)

        written = await once(wire.TITLE, write, look)
        return written.value.model_copy(update={"replayed": written.replayed})

    async def _whose(self, draft: TicketDraft) -> dict[str, str]:
        """The fields that say who asks: the contact, or the name and address of whoever is none."""
        if draft.requester is not None:
            return {"ContactId": draft.requester}
        soql = select("Id", "Contact", f"Email = {text(draft.email)}", limit=2)
        known = await self._rest.query("contacts.query", soql, _ids, fresh_for=60, tags=("contacts",))
        contact = {"ContactId": known[0]} if len(known) == 1 else {}
        return {**contact, "SuppliedName": draft.name, "SuppliedEmail": draft.email}

    # ------------------------------------------------------------------------------------------------------ editing

    async def update_ticket(self, native: str, change: TicketChange, key: str) -> TicketState:  # noqa: ARG002
        """With a version: read, compared, and its fields changed only if nobody did since. Salesforce keeps times to
        the second, and has no such condition for comments: a change within that moment goes unnoticed."""
        cases.checked(native)
        if change.add_tags or change.remove_tags:
            raise InvalidInput(wire.TITLE, "a case has no tags: leave them out")
        fields = await self._fields(change)
        twice: Twice = "harmless" if change.note is None and change.version is None else "looked up"
        write = partial(self._change, native, fields, change, twice)
        if twice == "harmless":
            return (await write()).value
        return (await once(wire.TITLE, write, partial(self._changed, native, fields, change.note))).value

    async def _fields(self, change: TicketChange) -> dict[str, str]:
        fields: dict[str, str] = {}
        if change.status is not None:
            fields["Status"] = cases.status(change.status)
        if change.priority is not None:
            fields["Priority"] = cases.priority(change.priority)
        if change.assignee is not None:
            fields["OwnerId"] = await self._user(change.assignee)
        return fields

    async def _user(self, email: str) -> str:
        if email == "none":
            raise InvalidInput(wire.TITLE, "a case always has an owner: name somebody")
        soql = select("Id", "User", f"Email = {text(email)} AND IsActive = true", limit=2)
        found = await self._rest.query("users.query", soql, _ids, fresh_for=300, tags=("users",))
        if len(found) != 1:
            raise InvalidInput(wire.TITLE, f"{'several users have' if found else 'no user has'} the address {email!r}")
        return found[0]

    async def _change(
        self, native: str, fields: dict[str, str], change: TicketChange, twice: Twice
    ) -> Written[TicketState]:
        now = await self._expected(native, change.version)
        since = None if change.version is None else now.last_modified
        parts = [update("case", "Case", native, fields, unmodified_since=since)] if fields else []
        if change.note is not None:
            parts.append(cases.internal_comment(native, change.note))
        if not parts:
            return Written(cases.state(now), replayed=False)
        return await self._rest.carry_out(
            "tickets.update",
            [*parts, fetch("now", "Case", native, *cases.STATE_FIELDS)],
            partial(cases.state_after, before=now),
            twice=twice,
            touches=("tickets", f"ticket:{native}"),
        )

    async def _expected(self, native: str, version: str | None) -> cases.Present:
        now = await self._present(native)
        if version is not None and now.version != version:
            raise Conflict(
                wire.TITLE, f"the case has changed since version {version[:80]!r}", hint="Read it again, then decide"
            )
        return now

    async def _changed(
        self, native: str, fields: dict[str, str], note: str | None, since: datetime
    ) -> TicketState | None:
        """The case as it is, when the change was made: with a note, that is there, whatever the fields became since,
        as both are written together or not at all; without one, the fields are as they were meant to become.
        """
        now = await self._present(native)
        if note is not None:
            return None if await self._said(native, note, since, public=False) is None else cases.state(now)
        if any(now.case[field] != value for field, value in fields.items()):
            return None
        return cases.state(now) if datetime.fromisoformat(now.case["LastModifiedDate"]) >= since else None

    # ----------------------------------------------------------------------------------------------------- replying

    async def reply(self, native: str, reply: Reply, key: str) -> Written[Sent]:  # noqa: ARG002
        """Read, compared, and written: Salesforce has no condition for what is added to a case. With `status_after`,
        the case must be unmodified since, to the second."""
        cases.checked(native)
        fields = {} if reply.status_after is None else {"Status": cases.status(reply.status_after)}

        async def write() -> Written[Sent]:
            now = await self._expected(native, reply.version)
            parts = [update("case", "Case", native, fields, unmodified_since=now.last_modified)] if fields else []
            return await self._rest.carry_out(
                "tickets.reply",
                [
                    *parts,
                    cases.public_comment(native, reply.body),
                    fetch("said", "CaseComment", "@{comment.id}", "CreatedDate"),
                    fetch("now", "Case", native, *cases.STATE_FIELDS),
                ],
                cases.sent,
                twice="looked up",
                touches=("tickets", f"ticket:{native}"),
            )

        async def look(since: datetime) -> Sent | None:
            return await self._said(native, reply.body, since, public=True)

        return await once(wire.TITLE, write, look)

    async def _said(self, native: str, body: str, since: datetime, *, public: bool) -> Sent | None:
        soql = cases.said_since(native, moment(since), public=public)
        return await self._rest.query("tickets.comments", soql, partial(cases.found_said, native=native, body=body))


def _ids(wire: Any) -> list[str]:
    return [row["Id"] for row in wire["records"]]


def _count(wire: Any) -> int:
    return int(wire["totalSize"])
