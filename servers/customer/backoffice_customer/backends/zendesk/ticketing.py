"""The Ticketing API of the sandbox: users, tickets with their comments and audits, and searches."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backoffice_customer.backends.zendesk.answers import (
    Endpoint,
    Refused,
    any_page,
    body_of,
    error,
    forbidden,
    ids_in,
    invalid,
    not_found,
    page,
)
from backoffice_customer.backends.zendesk.helpdesk import ME, PRIORITIES, STATUSES, AnyTicket, Helpdesk, ticket_id
from backoffice_customer.backends.zendesk.search import parse
from backoffice_customer.backends.zendesk.wire import LOCALES, Record, Wire, wire_time
from backoffice_shared.clock import Clock
from backoffice_shared.jsonvalues import obj

_KEY_SECONDS = 7200  # for so long an idempotency key is remembered
_CEILING = 1_000
_UPDATES, _UPDATES_SECONDS = 30, 600
_OUTDATED = (
    "Safe Update prevented the update due to outdated ticket data. Please fetch the latest ticket data and try again."
)


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What the first request with an idempotency key asked, and what it was answered."""

    wanted: Any
    answer: Record
    until: float


class Ticketing:
    def __init__(self, helpdesk: Helpdesk, clock: Clock) -> None:
        self._helpdesk = helpdesk
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}
        self._updates: dict[int, list[float]] = {}  # when each ticket was written to lately

    def endpoints(self) -> list[Endpoint]:
        return [
            ("GET", "search", self.search),
            ("GET", "search/count", self.count),
            ("GET", "locales", self.locales),
            ("GET", "users/me", self.me),
            ("GET", "users/search", self.search_users),
            ("GET", "users/show_many", self.many_users),
            ("POST", "users/create_or_update", self.save_user),
            ("GET", "users/{id:int}", self.one_user),
            ("PUT", "users/{id:int}", self.update_user),
            ("GET", "tickets/show_many", self.many_tickets),
            ("POST", "tickets", self.create_ticket),
            ("GET", "tickets/{id:int}", self.one_ticket),
            ("PUT", "tickets/{id:int}", self.update_ticket),
            ("GET", "tickets/{id:int}/comments", self.comments),
            ("GET", "tickets/{id:int}/audits", self.audits),
        ]

    async def search(self, request: Request) -> Response:
        wire = self._wire(request)
        found = page(request, self._found(request), ceiling=_CEILING)
        included = _included(request)
        rows = [_result(wire, row, included) for row in found.rows]
        answer: Record = {"results": rows, "facets": None, **found.links}
        if "users" in included:
            answer["users"] = wire.users_of(row for row in rows if row["result_type"] == "ticket")
        return JSONResponse(answer)

    async def count(self, request: Request) -> Response:
        return JSONResponse({"count": len(self._found(request))})

    async def me(self, request: Request) -> Response:
        return JSONResponse({"user": self._wire(request).user(ME)})

    async def search_users(self, request: Request) -> Response:
        terms = parse(request.query_params.get("query", ""))
        found = page(request, self._helpdesk.find_users(terms))
        return self._users(request, found.rows, found.links)

    async def many_users(self, request: Request) -> Response:
        return self._users(request, filter(self._helpdesk.knows, ids_in(request.query_params.get("ids", ""))), {})

    async def save_user(self, request: Request) -> Response:
        wanted = obj(obj(await body_of(request)).get("user"))
        user_id, is_new = self._helpdesk.save_user(*_name_and_email(self._helpdesk, wanted), wanted.get("phone"))
        return JSONResponse({"user": self._wire(request).user(user_id)}, 201 if is_new else 200)

    async def one_user(self, request: Request) -> Response:
        return JSONResponse({"user": self._wire(request).user(self._user(request))})

    async def update_user(self, request: Request) -> Response:
        user_id, wanted = self._user(request), obj(obj(await body_of(request)).get("user"))
        if user_id in self._helpdesk.agents:
            return forbidden()
        if wanted.get("locale") not in (None, *LOCALES):
            return invalid("locale", f"Locale: {wanted['locale']} is not a locale of this account")
        self._helpdesk.update_user(user_id, wanted)
        return JSONResponse({"user": self._wire(request).user(user_id)})

    async def locales(self, request: Request) -> Response:
        wire = self._wire(request)
        return JSONResponse({"locales": [wire.locale(name) for name in LOCALES]})

    async def many_tickets(self, request: Request) -> Response:
        wire, found = self._wire(request), map(self._helpdesk.ticket, ids_in(request.query_params.get("ids", "")))
        rows = [wire.ticket(ticket) for ticket in found if ticket is not None]
        return JSONResponse({"tickets": rows, **_their_users(request, wire, rows)})

    async def create_ticket(self, request: Request) -> Response:
        body, key = await body_of(request), request.headers.get("idempotency-key")
        known = None if key is None else self._remembered.get(key)
        if known is not None and known.until > self._clock.now():
            if known.wanted != body:
                sentence = "Request parameters don't match the given idempotency key"
                return error(400, "IdempotentRequestError", sentence)
            return JSONResponse(known.answer, 201, {"x-idempotency-lookup": "hit"})
        answer = self._opened(self._wire(request), obj(obj(body).get("ticket")))
        headers = {"location": answer["ticket"]["url"]}
        if key is not None:
            self._remembered[key] = _Remembered(body, answer, self._clock.now() + _KEY_SECONDS)
            headers["x-idempotency-lookup"] = "miss"
        return JSONResponse(answer, 201, headers)

    async def one_ticket(self, request: Request) -> Response:
        wire = self._wire(request)
        row = wire.ticket(self._ticket(request))
        return JSONResponse({"ticket": row, **_their_users(request, wire, [row])})

    async def update_ticket(self, request: Request) -> Response:
        ticket = self._ticket(request)
        wanted = obj(obj(await body_of(request)).get("ticket"))
        if (seconds := self._overworked(ticket)) is not None:
            sentence = f"At most {_UPDATES} updates of a ticket in 10 minutes"
            return error(429, "TooManyRequests", sentence, headers={"retry-after": str(seconds)})
        if ticket.status == "closed":
            return invalid("status", "Status: closed prevents ticket update")
        if "safe_update" in wanted and wanted.get("updated_stamp") != wire_time(ticket.updated_at):
            return error(409, "UpdateConflict", _OUTDATED)
        _check(self._helpdesk, wanted)
        text, public = _comment(wanted)
        written = self._helpdesk.update_ticket(ticket, wanted, text, public=public)
        return JSONResponse(self._wire(request).written(written))

    def _overworked(self, ticket: AnyTicket) -> int | None:
        """In how many seconds the ticket may be written to again, when it may not be now. Each attempt counts."""
        now = self._clock.now()
        lately = [at for at in self._updates.get(ticket_id(ticket), []) if at > now - _UPDATES_SECONDS]
        if len(lately) >= _UPDATES:
            return math.ceil(lately[0] + _UPDATES_SECONDS - now)
        self._updates[ticket_id(ticket)] = [*lately, now]
        return None

    async def comments(self, request: Request) -> Response:
        wire, ticket, asked = self._wire(request), self._ticket(request), request.query_params
        indices = list(range(len(self._helpdesk.comments(ticket))))
        if (asked.get("sort") or asked.get("sort_order")) in ("-created_at", "desc"):
            indices.reverse()
        found = any_page(request, indices)
        rows = [wire.comment(ticket, index) for index in found.rows]
        authors = {"users": wire.users(row["author_id"] for row in rows)} if asked.get("include") == "users" else {}
        return JSONResponse({"comments": rows, **authors, **found.links})

    async def audits(self, request: Request) -> Response:
        wire, ticket = self._wire(request), self._ticket(request)
        found = any_page(request, list(range(len(self._helpdesk.audits(ticket)))))
        return JSONResponse({"audits": [wire.audit(ticket, nth) for nth in found.rows], **found.links})

    def _wire(self, request: Request) -> Wire:
        return Wire(self._helpdesk, f"{request.url.scheme}://{request.url.netloc}/api/v2")

    def _ticket(self, request: Request) -> AnyTicket:
        ticket = self._helpdesk.ticket(request.path_params["id"])
        if ticket is None:
            raise Refused(not_found())
        return ticket

    def _user(self, request: Request) -> int:
        user_id: int = request.path_params["id"]
        if not self._helpdesk.knows(user_id):
            raise Refused(not_found())
        return user_id

    def _found(self, request: Request) -> list[AnyTicket | int]:
        """Tickets, then users, unless the query says which. Tickets are sorted as the request, or else the query, says."""
        asked = request.query_params
        terms = parse(asked.get("query", ""))
        kinds = {term.value for term in terms if term.key == "type"} or {"ticket", "user"}
        said = {term.key: term.value for term in terms}
        found: list[AnyTicket | int] = []
        if "ticket" in kinds:
            by = asked.get("sort_by") or said.get("order_by") or "created_at"
            ascending = (asked.get("sort_order") or said.get("sort")) == "asc"
            found += self._helpdesk.find_tickets(terms, by=by, ascending=ascending)
        if "user" in kinds:
            found += self._helpdesk.find_users(terms)
        return found

    def _users(self, request: Request, user_ids: Iterable[int], links: Record) -> Response:
        wire = self._wire(request)
        rows = [wire.user(user_id) for user_id in user_ids]
        organisations = {"organizations": wire.organisations_of(rows)} if "organizations" in _included(request) else {}
        return JSONResponse({"users": rows, **organisations, **links})

    def _opened(self, wire: Wire, wanted: Record) -> Record:
        text, public = _comment(wanted)
        text = text or str(wanted.get("description") or "")
        if not text.strip():
            raise Refused(invalid("base", "Description: cannot be blank"))
        _check(self._helpdesk, wanted)
        requester = _requester(self._helpdesk, wanted)
        return wire.written(self._helpdesk.open_ticket(requester, wanted, text, public=public))


def _included(request: Request) -> list[str]:
    """What is side-loaded: `users,groups`, or for searches `tickets(users,groups)`."""
    return request.query_params.get("include", "").removeprefix("tickets(").removesuffix(")").split(",")


def _result(wire: Wire, row: AnyTicket | int, included: list[str]) -> Record:
    if isinstance(row, int):
        return {**wire.user(row), "result_type": "user"}
    promises = {"slas": wire.promises(row)} if "slas" in included else {}
    return {**wire.ticket(row), **promises, "result_type": "ticket"}


def _their_users(request: Request, wire: Wire, tickets: list[Record]) -> Record:
    return {"users": wire.users_of(tickets)} if "users" in _included(request) else {}


# ------------------------------------------------------------------------------------- what is asked to be written


def _comment(wanted: Record) -> tuple[str, bool]:
    """A ticket's new comment, and whether the customer sees it."""
    comment = obj(wanted.get("comment"))
    return str(comment.get("body") or comment.get("html_body") or ""), comment.get("public") is not False


def _requester(helpdesk: Helpdesk, wanted: Record) -> int:
    """By id, or by address: then they are made when there is nobody yet, and else keep their name. Or whoever asks."""
    user_id = wanted.get("requester_id")
    if user_id is not None:
        if not helpdesk.knows(user_id):
            raise Refused(invalid("requester", "Requester: is invalid"))
        return user_id
    if not (named := obj(wanted.get("requester"))):
        return ME
    known = helpdesk.by_email.get(str(named.get("email") or "").lower())
    return known or helpdesk.save_user(*_name_and_email(helpdesk, named))[0]


def _name_and_email(helpdesk: Helpdesk, wanted: Record) -> tuple[str, str]:
    name, email = str(wanted.get("name") or ""), str(wanted.get("email") or "")
    if re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        raise Refused(invalid("email", f"Email: {email} is not properly formatted"))
    if not name and email.lower() not in helpdesk.by_email:
        raise Refused(invalid("name", "Name: is too short (minimum is 1 characters)"))
    return name, email


def _check(helpdesk: Helpdesk, wanted: Record) -> None:
    for field, values in (("status", STATUSES), ("priority", PRIORITIES)):
        if wanted.get(field) is not None and wanted[field] not in values:
            raise Refused(invalid(field, f"{field.title()}: {wanted[field]} is not recognized"))
    if wanted.get("assignee_id") not in (None, *helpdesk.agents):
        raise Refused(invalid("assignee", f"Assignee: {wanted['assignee_id']} is not recognized"))
