"""Zendesk's API in our words. Users, tickets and their comments, by the Ticketing API v2.

Source: https://developer.zendesk.com/api-reference/ticketing/introduction/ and the OpenAPI file it is made of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_customer.backends.zendesk import translation as into
from backoffice_customer.backends.zendesk.access import ZENDESK
from backoffice_customer.backends.zendesk.search import any_of, quoted, words
from backoffice_customer.backends.zendesk.translation import Audited, Wanted, is_id, time
from backoffice_customer.models import (
    Comment,
    Contact,
    CreatedTicket,
    Event,
    EventKind,
    PreferenceChanges,
    PreferenceField,
    Sent,
    Ticket,
    TicketRow,
    TicketState,
)
from backoffice_customer.ports import CommentPage, Reply, Span, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.envelope import Page
from backoffice_shared.errors import Conflict, InvalidInput, NotFound
from backoffice_shared.http.client import BackendClient, T, Written, path
from backoffice_shared.http.once import once
from backoffice_shared.paging import Chunk, ItemT

_LARGEST_PAGE = 100


class Zendesk:
    """People and their language, their tickets with all that is done to them, and when they opened them.

    What is written to a ticket carries our key in its metadata, which Zendesk keeps with the audit of the write: so it
    can be seen later whether it was carried out.
    https://developer.zendesk.com/documentation/ticketing/managing-tickets/creating-and-updating-tickets/#setting-metadata
    """

    kind = "user"
    event_kinds: frozenset[EventKind] = frozenset({"ticket"})
    preference_fields: frozenset[PreferenceField] = frozenset({"language"})
    closes = True

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    # ------------------------------------------------------------------------------------------------------- people

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        ids = [native for native in natives if is_id(native)]
        return await self._users("show_many", ids=",".join(ids[:_LARGEST_PAGE])) if ids else []

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        wanted = {email.lower() for email in emails}
        if not wanted:
            return []
        found = await self._users("search", query=any_of("email", sorted(wanted)), per_page=_LARGEST_PAGE)
        # The search goes by words: who only has a similar address is not the person.
        return [contact for contact in found if wanted.intersection(contact.emails)]

    async def contacts_by_number(self, number: str) -> list[Contact]:
        if not is_id(number):
            return []
        found = await self._http.read(
            "tickets.show_many",
            "/api/v2/tickets/show_many",
            params={"ids": number},
            into=into.requesters,
            fresh_for=15,
            tags=(f"ticket:{number}",),
        )
        return await self.contacts(found)

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        wanted = words(text)
        if not wanted:
            return []
        return await self._users("search", query=f"role:end-user {wanted}", per_page=min(limit, _LARGEST_PAGE))

    async def change_preferences(
        self,
        who: Contact,
        changes: PreferenceChanges,
        reason: str,  # noqa: ARG002 - Zendesk keeps none
    ) -> Contact:
        """The language of what Zendesk writes to them. The locale is one that the account has for it.

        Raises:
            InvalidInput: the account has no locale for that language.
        """
        native, language = who.ref.native, changes.language
        known = await self._users("show_many", fresh_for=0, ids=native) if is_id(native) else []
        if not known:
            raise NotFound(ZENDESK.title, f"there is no user {native[:40]!r}")
        # A locale that says more than the language, pt-BR, is kept.
        if language is None or known[0].language == language:
            return known[0]
        written = await self._http.write(
            "users.update",
            path("api", "v2", "users", native),
            method="PUT",
            json={"user": {"locale": await self._locale(language)}},
            into=partial(into.contact, company=known[0].company),
            twice="harmless",
            touches=("users",),
        )
        return written.value

    async def events(
        self,
        who: Sequence[Contact],
        kinds: frozenset[EventKind],  # noqa: ARG002 - there is only one
        span: Span,
        cursor: str | None,
        limit: int,
    ) -> Chunk[Event]:
        mine = _own_ids(who)
        if not mine:
            return Chunk([])
        conditions = [any_of("requester", mine)]
        if span.since is not None:
            conditions.append(f"created>={time(span.since)}")
        if span.until is not None:
            conditions.append(f"created<={time(span.until)}")
        return await self._tickets(conditions, "created_at", cursor, limit, each=into.event)

    # ------------------------------------------------------------------------------------------------------ tickets

    async def search_tickets(self, query: TicketQuery, cursor: str | None, limit: int) -> Chunk[TicketRow]:
        return await self._tickets(into.conditions(query), f"{query.sort}_at", cursor, limit, each=into.row)

    async def count_open_tickets(self, who: Contact) -> int:
        mine = _own_ids([who])
        if not mine:
            return 0
        return await self._http.read(
            "search.count",
            "/api/v2/search/count",
            params={"query": f"type:ticket status<solved {any_of('requester', mine)}"},
            into=into.count,
            fresh_for=15,
            tags=("tickets",),
        )

    async def ticket(self, native: str, comments: CommentPage | None) -> Ticket:
        if comments is None:
            return await self._with_all_copied(native)
        ticket, (page, thread) = await asyncio.gather(self._with_all_copied(native), self._comments(native, comments))
        return ticket.model_copy(update={"page": page, "comments": thread})

    async def create_ticket(self, draft: TicketDraft, key: str) -> CreatedTicket:
        written = await self._http.write(
            "tickets.create",
            "/api/v2/tickets",
            json={"ticket": into.drafted(draft)},
            into=partial(into.created, key=key),
            key=key,
            touches=("tickets", "users"),
        )
        return written.value.model_copy(update={"replayed": written.replayed})

    async def update_ticket(self, native: str, change: TicketChange, key: str) -> TicketState:
        """All of the change or none of it: Zendesk compares the version, which is a time in seconds, as it writes.

        Raises:
            Conflict: it was changed since, by whomever, or is closed.
            InvalidInput: no agent has the assignee's address.
        """
        metadata = {"backoffice_update": key}

        async def write() -> Written[TicketState]:
            ticket = await self._unchanged(native, change.version)
            wanted = {**into.changed(change, ticket), **await self._assigned(change.assignee)}
            return await self._write(native, ticket, {**wanted, "metadata": metadata}, into.state)

        async def look(since: datetime) -> TicketState | None:
            if await self._audit(native, metadata, since) is None:
                return None
            ticket = await self._ticket(native, fresh_for=0)
            return TicketState(ticket_id=ticket.ticket_id, status=ticket.status, version=ticket.version)

        return (await once(ZENDESK.title, write, look)).value

    async def reply(self, native: str, reply: Reply, key: str) -> Written[Sent]:
        """A public comment, on the condition that nothing was added since `reply.version`, which is a time in seconds."""
        metadata = {"backoffice_reply": key}

        async def write() -> Written[Sent]:
            ticket = await self._unchanged(native, reply.version)
            return await self._write(native, ticket, {**into.answered(reply), "metadata": metadata}, into.sent)

        async def look(since: datetime) -> Sent | None:
            audit = await self._audit(native, metadata, since)
            if audit is None:
                return None
            ticket = await self._ticket(native, fresh_for=0)
            return Sent(message_id=audit.message, sent_at=audit.at, status=ticket.status)

        return await once(ZENDESK.title, write, look)

    # -------------------------------------------------------------------------------------------------- one request each

    async def _users(self, how: str, *, fresh_for: float = 60, **params: str | int) -> list[Contact]:
        return await self._http.read(
            f"users.{how}",
            f"/api/v2/users/{how}",
            params={**params, "include": "organizations"},
            into=into.contacts,
            fresh_for=fresh_for,
            tags=("users",),
        )

    async def _locale(self, language: str) -> str:
        locales = await self._http.read(
            "locales", "/api/v2/locales", into=into.locales, fresh_for=3600, tags=("locales",)
        )
        locale = into.locale_of(language, locales)
        if locale is None:
            raise InvalidInput(
                ZENDESK.title, f"this account has no locale for {language!r}", hint=f"It has {', '.join(locales)}"
            )
        return locale

    async def _assigned(self, email: str | None) -> Wanted:
        """Who is to answer, as Zendesk wants it: "none" for nobody, None for no change."""
        if email is None:
            return {}
        if email == "none":
            return {"assignee_id": None}
        agent = await self._http.read(
            "users.search",
            "/api/v2/users/search",
            params={"query": f"email:{quoted(email)}"},
            into=partial(into.agent_with, email=email),
            fresh_for=60,
            tags=("users",),
        )
        if agent is None:
            raise InvalidInput(ZENDESK.title, f"no agent has the address {email!r}")
        return {"assignee_id": agent}

    async def _tickets(
        self,
        conditions: Iterable[str],
        sort: str,
        cursor: str | None,
        limit: int,
        *,
        each: Callable[[Any, Mapping[int, Any]], ItemT],
    ) -> Chunk[ItemT]:
        page, size = int(cursor or 1), min(limit, _LARGEST_PAGE)
        return await self._http.read(
            "search.tickets",
            "/api/v2/search",
            params={
                "query": " ".join(["type:ticket", *conditions]),
                "sort_by": sort,
                "sort_order": "desc",
                "page": page,
                "per_page": size,
                "include": "tickets(users,slas)",
            },
            into=partial(into.found, each=each, page=page, size=size),
            fresh_for=15,
            tags=("tickets",),
        )

    async def _with_all_copied(self, native: str) -> Ticket:
        """With everybody who is sent a copy, also those whom Zendesk leaves out of what it side-loads."""
        ticket, unnamed = await self._ticket_and_unnamed(native, fresh_for=15)
        if not unnamed:
            return ticket
        named = {user.ref.native: into.addressed(user) for user in await self.contacts(unnamed)}
        return ticket.model_copy(
            update={"cc": [*(ticket.cc or []), *(named.get(user, f"user {user}") for user in unnamed)]}
        )

    async def _ticket(self, native: str, *, fresh_for: float) -> Ticket:
        ticket, _ = await self._ticket_and_unnamed(native, fresh_for=fresh_for)
        return ticket

    async def _ticket_and_unnamed(self, native: str, *, fresh_for: float) -> tuple[Ticket, list[str]]:
        return await self._http.read(
            "tickets.get",
            _ticket_path(native),
            params={"include": "users"},
            into=into.ticket,
            fresh_for=fresh_for,
            tags=(f"ticket:{native}",),
        )

    async def _comments(self, native: str, page: CommentPage) -> tuple[Page, list[Comment]]:
        return await self._http.read(
            "tickets.comments",
            _ticket_path(native, "comments"),
            params={
                "page[size]": min(page.limit, _LARGEST_PAGE),
                **_after(page.cursor),
                "sort": "-created_at",
                "include": "users",
            },
            into=partial(into.comments, max_chars=page.max_chars),
            fresh_for=15,
            tags=(f"ticket:{native}",),
        )

    async def _unchanged(self, native: str, version: str | None) -> Ticket:
        """The ticket of this moment, when it can be changed and is in this version."""
        ticket = await self._ticket(native, fresh_for=0)
        if ticket.status == "closed":
            raise Conflict(ZENDESK.title, f"ticket {native} is closed, for good", hint="Open a new ticket about it")
        if version not in (None, ticket.version):
            raise Conflict(
                ZENDESK.title, f"ticket {native} was changed: its version is {ticket.version}", hint="Read it again"
            )
        return ticket

    async def _write(self, native: str, ticket: Ticket, wanted: Wanted, answer: Callable[[Any], T]) -> Written[T]:
        return await self._http.write(
            "tickets.update",
            _ticket_path(native),
            method="PUT",
            json={"ticket": {**wanted, "safe_update": True, "updated_stamp": ticket.version}},
            into=answer,
            twice="looked up",
            touches=("tickets", f"ticket:{native}"),
        )

    async def _audit(self, native: str, metadata: Mapping[str, str], since: datetime) -> Audited | None:
        """The write to this ticket, at or after `since`, that carried `metadata`. Audits come oldest first, and nowhere
        else.
        """
        cursor: str | None = None
        while True:
            audit, cursor = await self._http.read(
                "tickets.audits",
                _ticket_path(native, "audits"),
                params={"page[size]": _LARGEST_PAGE, **_after(cursor)},
                into=partial(into.audited, metadata=metadata, since=since),
            )
            if audit is not None or cursor is None:
                return audit


def _ticket_path(native: str, *what: str) -> str:
    if not is_id(native):
        raise NotFound(ZENDESK.title, f"there is no ticket {native[:40]!r}")
    return path("api", "v2", "tickets", native, *what)


def _after(cursor: str | None) -> dict[str, str]:
    return {} if cursor is None else {"page[after]": cursor}


def _own_ids(who: Iterable[Contact]) -> list[str]:
    return [contact.ref.native for contact in who if contact.ref.backend == ZENDESK.name]
