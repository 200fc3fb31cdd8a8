"""Zendesk's API in our words. Users, tickets and their comments, by the Ticketing API v2.

Source: https://developer.zendesk.com/api-reference/ticketing/introduction/ and the OpenAPI file it is made of.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx

from backoffice_customer.backends.zendesk.search import any_of, quoted, words
from backoffice_customer.models import (
    Comment,
    Contact,
    CreatedTicket,
    Event,
    EventKind,
    Ref,
    Ticket,
    TicketRow,
    TicketStatus,
)
from backoffice_customer.ports import CommentPage, Span, TicketDraft, TicketQuery
from backoffice_shared.backend import Allowance, Backend, Failure, Rate, TokenEndpoint, bearer, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.envelope import Page
from backoffice_shared.errors import NotFound
from backoffice_shared.http.client import BackendClient, path
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.paging import Chunk, ItemT

LEGACY_CREDENTIAL = frozenset({"email", "api_token"})
"""Zendesk makes no new API tokens since 2026-10-27, and the last of them stop working on 2027-04-30."""

_LARGEST_PAGE = 100
_SEARCH_CEILING = 1_000  # a page beyond this many results is refused with 422

_STATUSES: dict[str, TicketStatus] = {
    "new": "new",
    "open": "open",
    "pending": "pending",
    "hold": "pending",  # waiting for somebody else than the customer
    "solved": "solved",
    "closed": "closed",
}


def _authorize(request: httpx.Request, credential: Credential) -> None:
    if "access_token" in credential:
        bearer(request, credential)
        return
    secret = f"{credential['email']}/token:{credential['api_token']}"
    request.headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"


def _failure(response: httpx.Response) -> Failure | None:
    """`{"error":"RecordNotFound","description":…}`, `{"error":{"title":…,"message":…}}`, or a line of plain text.

    A used idempotency key that comes with other parameters is answered 400; it amounts to a conflict.
    """
    if response.status_code < 400:
        return None
    wire = _body(response)
    status = 409 if wire.get("error") == "IdempotentRequestError" else response.status_code
    sentence = _sentence(wire) or f"answered {response.status_code}"
    return Failure(status, sentence[:300], seconds(response.headers.get("retry-after")))


def _allowance(response: httpx.Response) -> Allowance | None:
    """`X-Rate-Limit-Remaining` of the current minute, which ends in `ratelimit-reset` seconds."""
    remaining = seconds(response.headers.get("x-rate-limit-remaining"))
    reset = seconds(response.headers.get("ratelimit-reset"))
    return None if remaining is None or reset is None else Allowance(remaining, reset)


def _replayed(response: httpx.Response) -> bool:
    return response.headers.get("x-idempotency-lookup") == "hit"


ZENDESK = Backend(
    name="zendesk",
    title="Zendesk",
    base_url="https://{subdomain}.zendesk.com",
    options=("subdomain",),
    credentials=(frozenset({"client_id", "client_secret"}), frozenset({"access_token"}), LEGACY_CREDENTIAL),
    authorize=_authorize,
    failure=_failure,
    allowance=_allowance,
    token_endpoint=TokenEndpoint("/oauth/tokens", scope="read write", json=True),
    rate=Rate(requests=200, seconds=60, burst=30),  # of the smallest plan
    idempotency_header="Idempotency-Key",  # on the creation of tickets
    key_lasts=7200,
    replayed=_replayed,
)


class Zendesk:
    """People, their tickets, and when they opened them."""

    kind = "user"
    event_kinds: frozenset[EventKind] = frozenset({"ticket"})

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        ids = [native for native in natives if _is_id(native)]
        return await self._users("show_many", ids=",".join(ids[:_LARGEST_PAGE])) if ids else []

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        wanted = {email.lower() for email in emails}
        if not wanted:
            return []
        found = await self._users("search", query=any_of("email", sorted(wanted)), per_page=_LARGEST_PAGE)
        # The search goes by words: who only has a similar address is not the person.
        return [contact for contact in found if wanted.intersection(contact.emails)]

    async def contacts_by_number(self, number: str) -> list[Contact]:
        if not _is_id(number):
            return []
        found = await self._http.read(
            "tickets.show_many",
            "/api/v2/tickets/show_many",
            params={"ids": number},
            into=_requesters,
            fresh_for=15,
            tags=(f"ticket:{number}",),
        )
        return await self.contacts(found)

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        wanted = words(text)
        if not wanted:
            return []
        return await self._users("search", query=f"role:end-user {wanted}", per_page=min(limit, _LARGEST_PAGE))

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
            conditions.append(f"created>={_time(span.since)}")
        if span.until is not None:
            conditions.append(f"created<={_time(span.until)}")
        return await self._tickets(conditions, "created_at", cursor, limit, each=_event)

    async def search_tickets(self, query: TicketQuery, cursor: str | None, limit: int) -> Chunk[TicketRow]:
        return await self._tickets(_conditions(query), f"{query.sort}_at", cursor, limit, each=_row)

    async def count_open_tickets(self, who: Contact) -> int:
        mine = _own_ids([who])
        if not mine:
            return 0
        return await self._http.read(
            "search.count",
            "/api/v2/search/count",
            params={"query": f"type:ticket status<solved {any_of('requester', mine)}"},
            into=_count,
            fresh_for=15,
            tags=("tickets",),
        )

    async def ticket(self, native: str, comments: CommentPage | None) -> Ticket:
        if not _is_id(native):
            raise NotFound(ZENDESK.title, f"there is no ticket {native[:40]!r}")
        if comments is None:
            return await self._ticket(native)
        ticket, (page, thread) = await asyncio.gather(self._ticket(native), self._comments(native, comments))
        return ticket.model_copy(update={"page": page, "comments": thread})

    async def create_ticket(self, draft: TicketDraft, key: str) -> CreatedTicket:
        written = await self._http.write(
            "tickets.create",
            "/api/v2/tickets",
            json={"ticket": _draft(draft)},
            into=partial(_created, key=key),
            key=key,
            touches=("tickets", "users"),
        )
        return written.value.model_copy(update={"replayed": written.replayed})

    async def _users(self, how: str, **params: str | int) -> list[Contact]:
        return await self._http.read(
            f"users.{how}",
            f"/api/v2/users/{how}",
            params={**params, "include": "organizations"},
            into=_contacts,
            fresh_for=60,
            tags=("users",),
        )

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
                "include": "tickets(users)",
            },
            into=partial(_found, each=each, page=page, size=size),
            fresh_for=15,
            tags=("tickets",),
        )

    async def _ticket(self, native: str) -> Ticket:
        return await self._http.read(
            "tickets.get",
            path("api", "v2", "tickets", native),
            params={"include": "users"},
            into=_ticket,
            fresh_for=15,
            tags=(f"ticket:{native}",),
        )

    async def _comments(self, native: str, page: CommentPage) -> tuple[Page, list[Comment]]:
        after = {} if page.cursor is None else {"page[after]": page.cursor}
        return await self._http.read(
            "tickets.comments",
            path("api", "v2", "tickets", native, "comments"),
            params={
                "page[size]": min(page.limit, _LARGEST_PAGE),
                **after,
                "sort": "-created_at",
                "include": "users",
            },
            into=partial(_comments, max_chars=page.max_chars),
            fresh_for=15,
            tags=(f"ticket:{native}",),
        )


# ------------------------------------------------------------------------------------------ our words to the query


def _conditions(query: TicketQuery) -> list[str]:
    native = [status for status, ours in _STATUSES.items() if ours in query.statuses]
    conditions = [
        any_of("requester", (*query.requesters, *query.emails)),
        any_of("status", native),
        any_of("priority", query.priorities),
        *([] if query.assignee is None else [f"assignee:{quoted(query.assignee)}"]),
        *([] if query.updated_since is None else [f"updated>={_time(query.updated_since)}"]),
        words(query.text or ""),
    ]
    return [condition for condition in conditions if condition]


def _own_ids(who: Iterable[Contact]) -> list[str]:
    return [contact.ref.native for contact in who if contact.ref.backend == ZENDESK.name]


def _draft(draft: TicketDraft) -> dict[str, Any]:
    return {
        "subject": draft.subject,
        "comment": {"body": draft.body, "public": draft.public},
        **_for_whom(draft),
        "tags": list(draft.tags),
        **({} if draft.priority is None else {"priority": draft.priority}),
    }


def _for_whom(draft: TicketDraft) -> dict[str, Any]:
    if draft.requester is not None:
        return {"requester_id": int(draft.requester)}
    return {"requester": {"name": draft.name, "email": draft.email}}


# -------------------------------------------------------------------------------------------- wire to our words


def _contacts(wire: Any) -> list[Contact]:
    organisations = _by_id(wire.get("organizations"))
    return [_contact(row, organisations) for row in wire["users"] if row.get("active", True)]


def _contact(wire: Any, organisations: Mapping[int, Any]) -> Contact:
    email: str | None = wire["email"]
    locale: str = wire.get("locale") or ""
    return Contact(
        ref=Ref(ZENDESK.name, "user", str(wire["id"])),
        name=wire["name"],
        emails=[email.lower()] if email else [],
        phones=[wire["phone"]] if wire.get("phone") else [],
        company=_name(organisations, wire.get("organization_id")),
        tags=wire.get("tags") or [],
        language=locale.partition("-")[0] or None,
        url=_url(wire, "users"),
        updated_at=wire["updated_at"],
    )


def _found(wire: Any, *, each: Callable[[Any, Mapping[int, Any]], ItemT], page: int, size: int) -> Chunk[ItemT]:
    users = _by_id(wire.get("users"))
    total: int = wire["count"]
    ended = page * size >= total
    more = not ended and (page + 1) * size <= _SEARCH_CEILING
    rows = [each(row, users) for row in wire["results"]]
    return Chunk(rows, str(page + 1) if more else None, total, capped=not ended and not more)


def _row(wire: Any, users: Mapping[int, Any]) -> TicketRow:
    return TicketRow(
        ticket_id=_ticket_id(wire),
        subject=wire["subject"] or "",
        status=_STATUSES[wire["status"]],
        priority=wire["priority"],
        requester=_name(users, wire["requester_id"]),
        assignee=_name(users, wire["assignee_id"]),
        created_at=wire["created_at"],
        updated_at=wire["updated_at"],
        tags=wire["tags"],
        url=_url(wire, "tickets"),
    )


def _event(wire: Any, users: Mapping[int, Any]) -> Event:
    return Event(
        id=_ticket_id(wire),
        kind="ticket",
        at=wire["created_at"],
        title=wire["subject"] or "",
        summary=(wire["description"] or "")[:240],
        actor=_name(users, wire["requester_id"]),
        direction="in",
        system=ZENDESK.name,
        url=_url(wire, "tickets"),
    )


def _ticket(wire: Any) -> Ticket:
    ticket, users = wire["ticket"], _by_id(wire.get("users"))
    custom = {str(field["id"]): str(field["value"]) for field in ticket["custom_fields"] if field["value"] is not None}
    return Ticket(
        ticket_id=_ticket_id(ticket),
        subject=ticket["subject"] or "",
        status=_STATUSES[ticket["status"]],
        priority=ticket["priority"],
        channel=ticket["via"]["channel"],
        customer_id=str(Ref(ZENDESK.name, "user", str(ticket["requester_id"]))),
        requester=_name(users, ticket["requester_id"]),
        assignee=_name(users, ticket["assignee_id"]),
        tags=ticket["tags"],
        custom=custom or None,
        created_at=ticket["created_at"],
        updated_at=ticket["updated_at"],
        version=ticket["updated_at"],
        url=_url(ticket, "tickets"),
    )


def _requesters(wire: Any) -> list[str]:
    return [str(ticket["requester_id"]) for ticket in wire["tickets"]]


def _comments(wire: Any, *, max_chars: int) -> tuple[Page, list[Comment]]:
    users = _by_id(wire.get("users"))
    has_more: bool = wire["meta"]["has_more"]
    page = Page(next_cursor=wire["meta"]["after_cursor"] if has_more else None, has_more=has_more)
    return page, [_comment(row, users, max_chars) for row in wire["comments"]]


def _comment(wire: Any, users: Mapping[int, Any], max_chars: int) -> Comment:
    author = users.get(wire["author_id"])
    text: str = wire.get("plain_body") or wire["body"]
    return Comment(
        id=str(wire["id"]),
        at=wire["created_at"],
        author=None if author is None else author["name"],
        role="system" if author is None else "customer" if author["role"] == "end-user" else "agent",
        public=wire["public"],
        text=text[:max_chars],
        truncated=True if len(text) > max_chars else None,
    )


def _created(wire: Any, *, key: str) -> CreatedTicket:
    ticket = wire["ticket"]
    return CreatedTicket(
        ticket_id=_ticket_id(ticket),
        status=_STATUSES[ticket["status"]],
        url=_url(ticket, "tickets"),
        replayed=False,
        idempotency_key=key,
    )


def _count(wire: Any) -> int:
    return int(wire["count"])


def _ticket_id(wire: Any) -> str:
    return str(Ref(ZENDESK.name, "ticket", str(wire["id"])))


def _url(wire: Any, kind: str) -> str:
    """Where an agent sees it, next to where the API has it."""
    return f"{wire['url'].partition('/api/')[0]}/agent/{kind}/{wire['id']}"


def _by_id(rows: Any) -> dict[int, Any]:
    """Side-loaded records. They are left out where there are none."""
    return {row["id"]: row for row in (() if rows is None else rows)}


def _name(records: Mapping[int, Any], number: int | None) -> str | None:
    record = None if number is None else records.get(number)
    return None if record is None else record["name"]


def _body(response: httpx.Response) -> dict[str, Any]:
    if response.headers.get("content-type", "").startswith("text/plain"):
        return {"description": response.text.strip()}
    return wire_of(response)


def _sentence(wire: dict[str, Any]) -> str:
    """What went wrong, with what is wrong with each field: `{"details":{"base":[{"description":…}]}}`."""
    error = obj(wire.get("error")) or {"message": wire.get("error")}
    said = wire.get("description") or wire.get("error_description") or error.get("message") or error.get("title")
    details = [obj(entry) for entries in obj(wire.get("details")).values() for entry in arr(entries)]
    fields = "; ".join(str(entry["description"]) for entry in details if "description" in entry)
    return ": ".join(str(part) for part in (said, fields) if part)


def _is_id(native: str) -> bool:
    return native.isascii() and native.isdecimal()


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
