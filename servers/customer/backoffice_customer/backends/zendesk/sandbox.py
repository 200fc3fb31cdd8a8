"""Zendesk's wire over the fictional company: users, tickets, comments and search, and the tokens to reach them with.

The company's agents are Zendesk's agents; customers whom the helpdesk knows are its end users. Every path is there
with and without `.json`, which Zendesk's community clients put behind it.

What is written stays in here. The time of a write is the company's present and a second for each write before it.
"""

from __future__ import annotations

import base64
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from html import escape
from itertools import chain
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.company import Agent, Comment, Company, Organisation, Person, Ticket, order_name
from backoffice_shared.sandbox.frame import VendorSandbox

SUBDOMAIN = "acme"
CLIENT_ID, CLIENT_SECRET = "backoffice_sandbox", "secret-sandbox-zendesk"
ACCESS_TOKEN = "token-sandbox-zendesk"  # noqa: S105 - one that never expires, as OAuth tokens made by hand do not
AGENT_EMAIL, API_TOKEN = "ines@northwind.example", "legacy-sandbox-zendesk"
"""For Basic authentication as `{AGENT_EMAIL}/token:{API_TOKEN}`, the way that ends in 2027."""

TOKEN_SECONDS = 1800
_KEY_SECONDS = 7200  # for so long an idempotency key is remembered
_FIRST_TICKET, _FIRST_USER, _FIRST_ORGANISATION, _FIRST_AGENT = 10_001, 200_001, 700_001, 900_001
_ORDER_FIELD = 360_001
_LARGEST_PAGE, _LARGEST_BATCH, _CEILING = 100, 100, 1_000

_STATUSES = ("new", "open", "pending", "hold", "solved", "closed")
_PRIORITIES = ("low", "normal", "high", "urgent")

Record = dict[str, Any]
T = TypeVar("T")


def zendesk_sandbox(company: Company, *, clock: Clock = SYSTEM_CLOCK) -> VendorSandbox:
    """`clock` says when tokens and idempotency keys expire."""
    helpdesk = _Helpdesk(company)
    sandbox = VendorSandbox(
        name="zendesk",
        title="Zendesk",
        app=_Authenticated(_Api(helpdesk, clock).app(), _Tokens(clock)),
        credentials={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        throttled=lambda seconds: Response(
            "Number of allowed API requests per minute exceeded",
            429,
            {"retry-after": str(seconds), "x-rate-limit-remaining": "0", "ratelimit-reset": str(seconds)},
            media_type="text/plain",
        ),
        unavailable=lambda: _error(503, "ServiceUnavailable", "The service is temporarily unavailable."),
        options={"subdomain": SUBDOMAIN},
    )
    helpdesk.searches_are_stale = lambda: sandbox.faults.stale_search
    return sandbox


# --------------------------------------------------------------------------------------------- the query language


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a query: `status<solved`, `-tags:vip`, `"exact words"`. Free words have no `key`."""

    key: str
    operator: str
    value: str
    negated: bool = False


_TERM = re.compile(
    r'(?P<minus>-)?(?:(?P<key>[a-z_]+)(?P<operator>:|<=|>=|<|>))?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s"]+))'
)
_TICKET_KEYS = ("status", "priority", "tags", "requester", "assignee", "created", "updated")
_USER_KEYS = ("role", "name", "email", "phone")
_NO_CONDITION = ("type", "order_by", "sort")
_KEYS = frozenset((*_NO_CONDITION, *_TICKET_KEYS, *_USER_KEYS))


def parse(query: str) -> list[Term]:
    """The terms of a query. What looks like a condition on no property of Zendesk's is free words.

    https://support.zendesk.com/hc/en-us/articles/4408886879258-Zendesk-Support-search-reference
    """
    terms: list[Term] = []
    for found in _TERM.finditer(query):
        written, sign = found["key"] or "", found["operator"] or ""
        key = written.removesuffix("_at")  # created_at is created
        value = found["phrase"] if found["phrase"] is not None else found["word"]
        if key not in _KEYS:
            key, sign, value = "", "", f"{written}{sign}{value}"
        terms.append(Term(key, sign, value, negated=found["minus"] is not None))
    return terms


def _conditions(tests: Iterable[tuple[Term, Callable[[T], bool]]]) -> list[list[Callable[[T], bool]]]:
    """What must hold, each as alternatives: conditions on the same property are. Free words, the dearest to look for, last."""
    found: dict[object, list[Callable[[T], bool]]] = {}
    for term, holds in sorted(tests, key=lambda test: test[0].key == ""):
        alike = term.key if term.key and term.operator == ":" and not term.negated else term
        found.setdefault(alike, []).append(partial(_not, holds) if term.negated else holds)
    return list(found.values())


def _not(holds: Callable[[T], bool], record: T) -> bool:
    return not holds(record)


def _met(conditions: list[list[Callable[[T], bool]]], record: T) -> bool:
    return all(any(holds(record) for holds in alternatives) for alternatives in conditions)


def _said(text: str) -> str:
    """Words of a text, each behind a space: what begins one of them is found."""
    return "".join(f" {word}" for word in re.findall(r"\w+", text.lower()))


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    ":": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


# ------------------------------------------------------------------------------------------------- the helpdesk


@dataclass(frozen=True, slots=True)
class _Written:
    """A ticket as it is since it was written to. `assignee` is the number of an agent."""

    number: int
    person: int
    subject: str
    status: str
    priority: str | None
    tags: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    assignee: int | None
    comments: tuple[Comment, ...]
    channel: str
    order: int | None


_AnyTicket = Ticket | _Written


def _status(value: str) -> int:
    return _STATUSES.index(value) if value in _STATUSES else -1


def _priority(value: str | None) -> int:
    return _PRIORITIES.index(value) if value in _PRIORITIES else -1


def _whole(at: datetime) -> datetime:
    return at.replace(microsecond=0)


def _moment(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        raise _Refused(_error(422, "invalid", f"Invalid search: {text} is not a valid date")) from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


_ORDERED: dict[str, tuple[Callable[[_AnyTicket], Any], Callable[[str], Any]]] = {
    "status": (lambda ticket: _status(ticket.status), _status),
    "priority": (lambda ticket: _priority(ticket.priority), _priority),
    "created": (lambda ticket: _whole(ticket.created_at), _moment),
    "updated": (lambda ticket: _whole(ticket.updated_at), _moment),
}
"""What is compared by size: how to read it from a ticket, and what a value in a query means."""


class _Helpdesk:
    """The company's people and tickets as Zendesk numbers them. Nothing is copied until it is asked for."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.people = {_FIRST_USER + p.number: p for p in company.people if "helpdesk" in p.systems}
        self.agents = {_FIRST_AGENT + a.number: a for a in company.agents}
        self.by_email = {user.email: n for n, user in chain(self.people.items(), self.agents.items())}
        self.searches_are_stale: Callable[[], bool] = lambda: False
        self._written: dict[int, _Written] = {}
        self._texts: dict[int, str] = {}  # what searches look through, of tickets and users, by Zendesk's ids
        self._writes = 0

    def knows(self, number: int) -> bool:
        return number in self.people or number in self.agents

    def user(self, number: int) -> Person | Agent:
        return self.people.get(number) or self.agents[number]

    def ticket(self, number: int) -> _AnyTicket | None:
        """By the company's number, which is Zendesk's less a fixed offset."""
        if number in self._written:
            return self._written[number]
        return self.company.tickets[number] if 0 <= number < len(self.company.tickets) else None

    def comments(self, ticket: _AnyTicket) -> tuple[Comment, ...]:
        return ticket.comments if isinstance(ticket, _Written) else tuple(self.company.thread(ticket))

    def assignee(self, ticket: _AnyTicket) -> int | None:
        if isinstance(ticket, _Written):
            return ticket.assignee
        return None if ticket.status == "new" else ticket.number % len(self.company.agents)

    def find_tickets(self, terms: list[Term]) -> list[_AnyTicket]:
        asked = [term for term in terms if term.key not in _NO_CONDITION]
        conditions = _conditions([(term, self._ticket_test(term)) for term in asked])
        return [ticket for ticket in self._candidates(asked) if _met(conditions, ticket)]

    def find_users(self, terms: list[Term]) -> list[int]:
        asked = [term for term in terms if term.key not in _NO_CONDITION]
        conditions = _conditions([(term, partial(self._user_holds, term)) for term in asked])
        emails = [term.value.lower() for term in asked if term.key == "email" and not term.negated]
        some = [self.by_email[email] for email in dict.fromkeys(emails) if email in self.by_email]
        everybody = some if emails else chain(self.people, self.agents)
        return [number for number in everybody if self._seen(number) and _met(conditions, number)]

    def _candidates(self, asked: list[Term]) -> Iterator[_AnyTicket]:
        """All tickets that searches see, or those of the requesters asked for, without a look at all the others."""
        who = [term for term in asked if term.key == "requester" and not term.negated]
        old, new = range(len(self.company.tickets)), [n for n in self._written if n >= len(self.company.tickets)]
        numbers: Iterable[int] = old
        if who:
            people = {n - _FIRST_USER for term in who for n in self._users_meant(term.value)}
            numbers = [ticket.number for person in people for ticket in self.company.tickets_of.get(person, ())]
            new = [n for n in new if self._written[n].person in people]
        for number in chain(numbers, () if self.searches_are_stale() else new):
            yield self._written.get(number) or self.company.tickets[number]

    def _ticket_test(self, term: Term) -> Callable[[_AnyTicket], bool]:
        """What a term asks of a ticket, with all that can be known beforehand."""
        value = term.value.lower()
        if term.key in _ORDERED:
            (read, meant), holds = _ORDERED[term.key], _OPERATORS[term.operator]
            wanted = meant(value)
            return lambda ticket: holds(read(ticket), wanted)
        match term.key:
            case "tags":
                return lambda ticket: value in ticket.tags
            case "requester":
                people = {number - _FIRST_USER for number in self._users_meant(value)}
                return lambda ticket: ticket.person in people
            case "assignee":
                agents = {None} if value == "none" else {n - _FIRST_AGENT for n in self._users_meant(value)}
                return lambda ticket: self.assignee(ticket) in agents
            case "":
                said = _said(value)
                return lambda ticket: said in self._text(ticket) or value == str(_FIRST_TICKET + ticket.number)
            case _:
                return lambda _ticket: False  # a property that only users have

    def _user_holds(self, term: Term, number: int) -> bool:
        user, value = self.user(number), term.value.lower()
        match term.key:
            case "email":
                return user.email == value
            case "role":
                return value == ("agent" if isinstance(user, Agent) else "end-user")
            case "name":
                return _said(value) in _said(user.name)
            case "phone":
                return isinstance(user, Person) and _digits(value) in _digits(user.phone) and _digits(value) != ""
            case "":
                return value == str(number) or _said(value) in self._user_text(number, user)
            case _:
                return False  # a property that only tickets have

    def _users_meant(self, text: str) -> set[int]:
        """Requesters and assignees are given by id, by e-mail address, or by name."""
        if text.isdecimal():
            return {int(text)}
        if "@" in text:
            return {number} if (number := self.by_email.get(text.lower())) else set()
        said = _said(text)
        return {n for n, user in chain(self.people.items(), self.agents.items()) if said and said in _said(user.name)}

    def _text(self, ticket: _AnyTicket) -> str:
        number = _FIRST_TICKET + ticket.number
        if number not in self._texts:
            parts = [ticket.subject, *ticket.tags, *(comment.text for comment in self.comments(ticket))]
            self._texts[number] = _said(" ".join(parts))
        return self._texts[number]

    def _user_text(self, number: int, user: Person | Agent) -> str:
        if number not in self._texts:
            organisation = self.company.organisation(user) if isinstance(user, Person) else None
            parts = [user.name, user.email, getattr(user, "phone", ""), organisation.name if organisation else ""]
            self._texts[number] = _said(" ".join(parts))
        return self._texts[number]

    def _seen(self, number: int) -> bool:
        new = _FIRST_USER + len(self.company.people) <= number < _FIRST_ORGANISATION
        return not (new and self.searches_are_stale())

    def save_user(self, name: str, email: str, phone: str | None = None) -> tuple[int, bool]:
        """The user with this address, made or renamed. Says whether it is new."""
        first, _, last = name.partition(" ")
        if (number := self.by_email.get(email.lower())) is not None:
            if (person := self.people.get(number)) is not None:
                named = replace(person, first_name=first, last_name=last) if name else person
                self.people[number] = replace(named, phone=phone or named.phone)
                self._texts.pop(number, None)
            return number, False
        number = max(_FIRST_USER + len(self.company.people), max(self.people, default=0) + 1)
        self.people[number] = Person(
            number=number - _FIRST_USER,
            first_name=first,
            last_name=last,
            email=email.lower(),
            phone=phone or "",
            language="en",
            country="US",
            organisation=None,
            tier="free",
            lifecycle="lead",
            email_consent=False,
            since=self._now(),
            systems=frozenset({"helpdesk"}),
        )
        self.by_email[email.lower()] = number
        return number, True

    def open_ticket(self, requester: int, wanted: Record, text: str, *, public: bool) -> _Written:
        now = self._now()
        ticket = _Written(
            number=max(len(self.company.tickets), max(self._written, default=0) + 1),
            person=requester - _FIRST_USER,
            subject=str(wanted.get("subject") or ""),
            status=str(wanted.get("status") or "new"),
            priority=wanted.get("priority"),
            tags=tuple(str(tag).lower() for tag in arr(wanted.get("tags"))),
            created_at=now,
            updated_at=now,
            assignee=_agent(wanted.get("assignee_id")),
            comments=(Comment(now, _ME, public, text),),
            channel="api",
            order=None,
        )
        self._written[ticket.number] = ticket
        return ticket

    def update_ticket(self, ticket: _AnyTicket, wanted: Record) -> _Written:
        now = self._now()
        tags = [*arr(wanted.get("tags", list(ticket.tags))), *arr(wanted.get("additional_tags"))]
        said = obj(wanted.get("comment"))
        comment = Comment(now, _ME, said.get("public") is not False, _body(said))
        written = replace(
            self._taken(ticket),
            subject=str(wanted.get("subject", ticket.subject)),
            status=str(wanted.get("status", ticket.status)),
            priority=wanted.get("priority", ticket.priority),
            tags=tuple(dict.fromkeys(tag for tag in tags if tag not in arr(wanted.get("remove_tags")))),
            updated_at=now,
            assignee=_agent(wanted["assignee_id"]) if "assignee_id" in wanted else self.assignee(ticket),
            comments=(*self.comments(ticket), *((comment,) if comment.text else ())),
        )
        self._written[ticket.number] = written
        self._texts.pop(_FIRST_TICKET + ticket.number, None)
        return written

    def _taken(self, ticket: _AnyTicket) -> _Written:
        if isinstance(ticket, _Written):
            return ticket
        return _Written(
            number=ticket.number,
            person=ticket.person,
            subject=ticket.subject,
            status=ticket.status,
            priority=ticket.priority,
            tags=ticket.tags,
            created_at=ticket.created_at,
            updated_at=ticket.updated_at,
            assignee=self.assignee(ticket),
            comments=self.comments(ticket),
            channel=_channel(ticket),
            order=ticket.order,
        )

    def _now(self) -> datetime:
        self._writes += 1
        return self.company.today + timedelta(seconds=self._writes)


_ME = 0
"""The number of the agent whom requests act for."""


# ------------------------------------------------------------------------------------------------ Zendesk's words


class _Wire:
    """Records as Zendesk writes them, with addresses on the host that was asked."""

    def __init__(self, helpdesk: _Helpdesk, request: Request) -> None:
        self._helpdesk = helpdesk
        self._api = f"{request.url.scheme}://{request.url.netloc}/api/v2"

    def user(self, number: int) -> Record:
        user = self._helpdesk.user(number)
        agent = isinstance(user, Agent)
        since = self._helpdesk.company.today - timedelta(days=2000) if agent else user.since
        return {
            "id": number,
            "url": f"{self._api}/users/{number}.json",
            "name": user.name.strip(),
            "email": user.email,
            "created_at": _time(since),
            "updated_at": _time(since),
            "time_zone": "UTC",
            "phone": None if agent else user.phone or None,
            "locale": "en-US" if agent else {"en": "en-US", "pt": "pt-BR"}.get(user.language, user.language),
            "organization_id": None if agent else _organisation_id(user),
            "role": "agent" if agent else "end-user",
            "verified": True,
            "external_id": None,
            "tags": [] if agent else [user.tier],
            "active": True,
            "last_login_at": None,
            "suspended": False,
            "user_fields": {},
        }

    def users(self, numbers: Iterable[int | None]) -> list[Record]:
        """Side-loaded users: each of these once."""
        return [self.user(n) for n in dict.fromkeys(numbers) if n is not None and self._helpdesk.knows(n)]

    def organisations(self, users: Iterable[Record]) -> list[Record]:
        numbers: list[int] = [user["organization_id"] for user in users if user["organization_id"] is not None]
        return [
            self._organisation(self._helpdesk.company.organisations[n - _FIRST_ORGANISATION])
            for n in dict.fromkeys(numbers)
        ]

    def _organisation(self, organisation: Organisation) -> Record:
        number = _FIRST_ORGANISATION + organisation.number
        at = _time(self._helpdesk.company.today - timedelta(days=2000))
        return {
            "id": number,
            "url": f"{self._api}/organizations/{number}.json",
            "name": organisation.name,
            "domain_names": [organisation.domain],
            "created_at": at,
            "updated_at": at,
            "tags": [],
        }

    def ticket(self, ticket: _AnyTicket) -> Record:
        number, comments = _FIRST_TICKET + ticket.number, self._helpdesk.comments(ticket)
        requester = self._helpdesk.people.get(_FIRST_USER + ticket.person)
        return {
            "id": number,
            "url": f"{self._api}/tickets/{number}.json",
            "external_id": None,
            "via": _via(_channel(ticket)),
            "created_at": _time(ticket.created_at),
            "updated_at": _time(ticket.updated_at),
            "type": None,
            "subject": ticket.subject,
            "description": comments[0].text,
            "priority": ticket.priority,
            "status": ticket.status,
            "requester_id": _FIRST_USER + ticket.person,
            "submitter_id": _author(ticket, comments[0]),
            "assignee_id": None if (agent := self._helpdesk.assignee(ticket)) is None else _FIRST_AGENT + agent,
            "organization_id": None if requester is None else _organisation_id(requester),
            "group_id": None,
            "collaborator_ids": [],
            "follower_ids": [],
            "is_public": any(comment.public for comment in comments),
            "due_at": None,
            "tags": list(ticket.tags),
            "custom_fields": [
                {"id": _ORDER_FIELD, "value": None if ticket.order is None else order_name(ticket.order)}
            ],
            "satisfaction_rating": None,
        }

    def users_of(self, tickets: Iterable[Record]) -> list[Record]:
        return self.users(
            chain.from_iterable((t["requester_id"], t["submitter_id"], t["assignee_id"]) for t in tickets)
        )

    def comment(self, ticket: _AnyTicket, index: int) -> Record:
        comment = self._helpdesk.comments(ticket)[index]
        return {
            "id": _comment_id(ticket, index),
            "type": "Comment",
            "author_id": _author(ticket, comment),
            "body": comment.text,
            "html_body": f'<div class="zd-comment" dir="auto"><p>{escape(comment.text)}</p></div>',
            "plain_body": comment.text,
            "public": comment.public,
            "attachments": [],
            "audit_id": _comment_id(ticket, index) + 1_000_000_000,
            "via": _via(_channel(ticket)),
            "created_at": _time(comment.at),
            "metadata": {"system": {}, "custom": {}},
        }

    def audit(self, ticket: _Written) -> Record:
        return {
            "id": _comment_id(ticket, len(ticket.comments) - 1) + 1_000_000_000,
            "ticket_id": _FIRST_TICKET + ticket.number,
            "created_at": _time(ticket.updated_at),
            "author_id": _FIRST_AGENT + _ME,
            "metadata": {"system": {}, "custom": {}},
            "events": [],
            "via": _via("api"),
        }


# ---------------------------------------------------------------------------------------------------- the API


class _Refused(Exception):  # noqa: N818 - it is what happened
    def __init__(self, answer: Response) -> None:
        self.answer = answer


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What the first request with an idempotency key asked, and what it was answered."""

    wanted: Any
    answer: Record
    until: float


class _Api:
    def __init__(self, helpdesk: _Helpdesk, clock: Clock) -> None:
        self._helpdesk = helpdesk
        self._clock = clock
        self._remembered: dict[str, _Remembered] = {}

    def app(self) -> ASGIApp:
        endpoints: list[tuple[str, str, Callable[[Request], Any]]] = [
            ("GET", "search", self.search),
            ("GET", "search/count", self.count),
            ("GET", "users/me", self.me),
            ("GET", "users/search", self.search_users),
            ("GET", "users/show_many", self.many_users),
            ("POST", "users/create_or_update", self.save_user),
            ("GET", "users/{id:int}", self.one_user),
            ("GET", "tickets/show_many", self.many_tickets),
            ("POST", "tickets", self.create_ticket),
            ("GET", "tickets/{id:int}", self.one_ticket),
            ("PUT", "tickets/{id:int}", self.update_ticket),
            ("GET", "tickets/{id:int}/comments", self.comments),
        ]
        routes = [
            Route(f"/api/v2/{path}{suffix}", endpoint, methods=[method])
            for method, path, endpoint in endpoints
            for suffix in ("", ".json")
        ]
        return Starlette(routes=routes, exception_handlers={404: _no_route, 405: _no_route, _Refused: _refused})

    async def search(self, request: Request) -> Response:
        wire, found = self._wire(request), self._found(request)
        page = _page(request, found, ceiling=_CEILING)
        rows = [_result(wire, row) for row in page.rows]
        answer: Record = {"results": rows, "facets": None, **page.links}
        if request.query_params.get("include", "").startswith("tickets(users"):
            answer["users"] = wire.users_of(row for row in rows if row["result_type"] == "ticket")
        return JSONResponse(answer)

    async def count(self, request: Request) -> Response:
        return JSONResponse({"count": len(self._found(request))})

    async def search_users(self, request: Request) -> Response:
        terms = parse(request.query_params.get("query", ""))
        page = _page(request, self._helpdesk.find_users(terms))
        return self._users(request, page.rows, page.links)

    async def many_users(self, request: Request) -> Response:
        return self._users(request, filter(self._helpdesk.knows, _ids(request)), {})

    async def one_user(self, request: Request) -> Response:
        number: int = request.path_params["id"]
        if not self._helpdesk.knows(number):
            return _error(404, "RecordNotFound", "Not found")
        return JSONResponse({"user": self._wire(request).user(number)})

    async def me(self, request: Request) -> Response:
        return JSONResponse({"user": self._wire(request).user(_FIRST_AGENT + _ME)})

    async def save_user(self, request: Request) -> Response:
        wanted = obj(obj(await _json(request)).get("user"))
        number, is_new = self._helpdesk.save_user(*_name_and_email(self._helpdesk, wanted), wanted.get("phone"))
        return JSONResponse({"user": self._wire(request).user(number)}, 201 if is_new else 200)

    async def many_tickets(self, request: Request) -> Response:
        found = [self._helpdesk.ticket(number - _FIRST_TICKET) for number in _ids(request)]
        rows = [self._wire(request).ticket(ticket) for ticket in found if ticket is not None]
        return JSONResponse({"tickets": rows, **self._their_users(request, rows)})

    async def one_ticket(self, request: Request) -> Response:
        ticket = self._wire(request).ticket(self._ticket(request))
        return JSONResponse({"ticket": ticket, **self._their_users(request, [ticket])})

    async def comments(self, request: Request) -> Response:
        wire, ticket, asked = self._wire(request), self._ticket(request), request.query_params
        indices = list(range(len(self._helpdesk.comments(ticket))))
        if (asked.get("sort") or asked.get("sort_order")) in ("-created_at", "desc"):
            indices.reverse()
        by_cursor = "page[size]" in asked or "page[after]" in asked
        page = _cursor_page(request, indices) if by_cursor else _page(request, indices)
        rows = [wire.comment(ticket, index) for index in page.rows]
        authors = {"users": wire.users(row["author_id"] for row in rows)} if asked.get("include") == "users" else {}
        return JSONResponse({"comments": rows, **authors, **page.links})

    async def create_ticket(self, request: Request) -> Response:
        body, key = await _json(request), request.headers.get("idempotency-key")
        known = None if key is None else self._remembered.get(key)
        if known is not None and known.until > self._clock.now():
            if known.wanted != body:
                sentence = "Request parameters don't match the given idempotency key"
                return _error(400, "IdempotentRequestError", sentence)
            return JSONResponse(known.answer, 201, {"x-idempotency-lookup": "hit"})
        answer = _opened(self._helpdesk, self._wire(request), obj(obj(body).get("ticket")))
        headers = {"location": answer["ticket"]["url"]}
        if key is not None:
            self._remembered[key] = _Remembered(body, answer, self._clock.now() + _KEY_SECONDS)
            headers["x-idempotency-lookup"] = "miss"
        return JSONResponse(answer, 201, headers)

    async def update_ticket(self, request: Request) -> Response:
        wire, ticket = self._wire(request), self._ticket(request)
        wanted = obj(obj(await _json(request)).get("ticket"))
        if ticket.status == "closed":
            return _invalid("status", "Status: closed prevents ticket update")
        if wanted.get("safe_update") and wanted.get("updated_stamp") != _time(ticket.updated_at):
            return _error(409, "UpdateConflict", "Safe Update prevented the update due to outdated ticket data.")
        _check(wanted)
        written = self._helpdesk.update_ticket(ticket, wanted)
        return JSONResponse({"ticket": wire.ticket(written), "audit": wire.audit(written)})

    def _wire(self, request: Request) -> _Wire:
        return _Wire(self._helpdesk, request)

    def _ticket(self, request: Request) -> _AnyTicket:
        ticket = self._helpdesk.ticket(request.path_params["id"] - _FIRST_TICKET)
        if ticket is None:
            raise _Refused(_error(404, "RecordNotFound", "Not found"))
        return ticket

    def _found(self, request: Request) -> list[_AnyTicket | int]:
        """Tickets, then users, unless the query says which."""
        terms = parse(request.query_params.get("query", ""))
        kinds = {term.value for term in terms if term.key == "type"} or {"ticket", "user"}
        tickets = _sorted(self._helpdesk.find_tickets(terms), terms, request) if "ticket" in kinds else []
        return [*tickets, *(self._helpdesk.find_users(terms) if "user" in kinds else [])]

    def _users(self, request: Request, numbers: Iterable[int], links: Record) -> Response:
        wire = self._wire(request)
        rows = [wire.user(number) for number in numbers]
        included = request.query_params.get("include") == "organizations"
        return JSONResponse(
            {"users": rows, **({"organizations": wire.organisations(rows)} if included else {}), **links}
        )

    def _their_users(self, request: Request, tickets: list[Record]) -> Record:
        included = request.query_params.get("include") == "users"
        return {"users": self._wire(request).users_of(tickets)} if included else {}


def _result(wire: _Wire, row: _AnyTicket | int) -> Record:
    if isinstance(row, int):
        return {**wire.user(row), "result_type": "user"}
    return {**wire.ticket(row), "result_type": "ticket"}


def _opened(helpdesk: _Helpdesk, wire: _Wire, wanted: Record) -> Record:
    comment = obj(wanted.get("comment"))
    text = _body(comment) or str(wanted.get("description") or "")
    if not text.strip():
        raise _Refused(_invalid("base", "Description: cannot be blank"))
    _check(wanted)
    requester = _requester(helpdesk, wanted)
    ticket = helpdesk.open_ticket(requester, wanted, text, public=comment.get("public") is not False)
    return {"ticket": wire.ticket(ticket), "audit": wire.audit(ticket)}


def _requester(helpdesk: _Helpdesk, wanted: Record) -> int:
    """By id, or by address: then they are made when there is nobody yet, and else keep their name. Or whoever asks."""
    number = wanted.get("requester_id")
    if number is not None:
        if not helpdesk.knows(number):
            raise _Refused(_invalid("requester", "Requester: is invalid"))
        return number
    if not (named := obj(wanted.get("requester"))):
        return _FIRST_AGENT + _ME
    known = helpdesk.by_email.get(str(named.get("email") or "").lower())
    return known or helpdesk.save_user(*_name_and_email(helpdesk, named))[0]


def _name_and_email(helpdesk: _Helpdesk, wanted: Record) -> tuple[str, str]:
    name, email = str(wanted.get("name") or ""), str(wanted.get("email") or "")
    if re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        raise _Refused(_invalid("email", f"Email: {email} is not properly formatted"))
    if not name and email.lower() not in helpdesk.by_email:
        raise _Refused(_invalid("name", "Name: is too short (minimum is 1 characters)"))
    return name, email


def _check(wanted: Record) -> None:
    for field, values in (("status", _STATUSES), ("priority", _PRIORITIES)):
        if wanted.get(field) is not None and wanted[field] not in values:
            raise _Refused(_invalid(field, f"{field.title()}: {wanted[field]} is not recognized"))


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[Any]
    links: Record


def _page(request: Request, rows: list[Any], *, ceiling: int | None = None) -> _Page:
    """Offset pagination: `page` from 1, `per_page` at most 100."""
    page, size = _positive(request, "page", 1), min(_positive(request, "per_page", _LARGEST_PAGE), _LARGEST_PAGE)
    if ceiling is not None and page * size > ceiling:
        raise _Refused(
            _error(422, "invalid", "Invalid search: Requested response size was greater than Search Response Limits")
        )

    def link(number: int) -> str:
        return str(request.url.include_query_params(page=number))

    links = {
        "next_page": link(page + 1) if page * size < len(rows) else None,
        "previous_page": link(page - 1) if page > 1 else None,
        "count": len(rows),
    }
    return _Page(rows[(page - 1) * size : page * size], links)


def _cursor_page(request: Request, indices: list[int]) -> _Page:
    """Cursor pagination: `page[size]` records after the one that the cursor names."""
    size = min(_positive(request, "page[size]", _LARGEST_PAGE), _LARGEST_PAGE)
    after = request.query_params.get("page[after]")
    start = 0 if after is None else indices.index(_index(after, indices)) + 1
    rows = indices[start : start + size]
    has_more = start + size < len(indices)
    cursor = _cursor(rows[-1]) if rows else None
    following = str(request.url.include_query_params(**{"page[after]": cursor})) if has_more else None
    return _Page(
        rows,
        {
            "meta": {"has_more": has_more, "after_cursor": cursor, "before_cursor": _cursor(rows[0]) if rows else None},
            "links": {"next": following, "prev": None},
        },
    )


def _cursor(index: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"o": "-created_at", "v": index}).encode()).decode()


def _index(cursor: str, indices: list[int]) -> int:
    try:
        index = obj(json.loads(base64.urlsafe_b64decode(cursor))).get("v")
    except ValueError:
        index = None
    if index not in indices:
        raise _Refused(_error(400, "InvalidPaginationParameter", "page[after] is not a valid cursor"))
    return index


def _sorted(tickets: list[_AnyTicket], terms: list[Term], request: Request) -> list[_AnyTicket]:
    """By `sort_by` and `sort_order`, or by the query's own `order_by:` and `sort:`; newest first when nothing is said."""
    asked = {term.key: term.value for term in terms if term.key in ("order_by", "sort")}
    by = request.query_params.get("sort_by") or asked.get("order_by") or "created_at"
    ascending = (request.query_params.get("sort_order") or asked.get("sort")) == "asc"
    read, _ = _ORDERED.get(by.removesuffix("_at"), _ORDERED["created"])
    return sorted(tickets, key=lambda ticket: (read(ticket), ticket.number), reverse=not ascending)


def _ids(request: Request) -> list[int]:
    ids = [text.strip() for text in request.query_params.get("ids", "").split(",")]
    if len(ids) > _LARGEST_BATCH:
        raise _Refused(_error(422, "TooManyValues", f"ids: at most {_LARGEST_BATCH} values are allowed"))
    return [int(text) for text in dict.fromkeys(ids) if text.isdecimal()]


def _positive(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise _Refused(_error(400, "InvalidPaginationParameter", f"{name} must be an integer greater than 0"))
    return int(text)


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise _Refused(_error(400, "InvalidJSON", "The request body is not valid JSON")) from None


# ------------------------------------------------------------------------------------------------ who may ask


class _Tokens:
    """Access tokens for the OAuth client, each good for half an hour. https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/"""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._granted: dict[str, float] = {}

    async def grant(self, request: Request) -> Response:
        body = await request.body()
        is_json = request.headers.get("content-type", "").startswith("application/json")
        asked = obj(await _json(request)) if is_json else dict(parse_qsl(body.decode()))
        if asked.get("grant_type") != "client_credentials":
            sentence = "The authorization grant type is not supported by the authorization server."
            return _oauth_error(400, "unsupported_grant_type", sentence)
        if (asked.get("client_id"), asked.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            sentence = "Client authentication failed due to unknown client, no client authentication included, or unsupported authentication method."
            return _oauth_error(401, "invalid_client", sentence)
        token = f"{ACCESS_TOKEN}-{len(self._granted) + 1}"
        self._granted[token] = self._clock.now() + TOKEN_SECONDS
        scope = str(asked.get("scope") or "read")
        return JSONResponse(
            {"access_token": token, "token_type": "bearer", "scope": scope, "expires_in": TOKEN_SECONDS}
        )

    def refusal(self, authorization: str) -> Response | None:
        """The answer to who may not ask, None to who may."""
        scheme, _, secret = authorization.partition(" ")
        if scheme.lower() == "bearer":
            if secret == ACCESS_TOKEN or self._granted.get(secret, 0.0) > self._clock.now():
                return None
            sentence = "The access token provided is expired, revoked, malformed or invalid for other reasons."
            return _oauth_error(401, "invalid_token", sentence)
        legacy = base64.b64encode(f"{AGENT_EMAIL}/token:{API_TOKEN}".encode()).decode()
        if scheme.lower() == "basic" and secret == legacy:
            return None
        return JSONResponse({"error": "Couldn't authenticate you"}, 401)


class _Authenticated:
    """Every request but the one for a token needs one, and every answer says what is left of the limit."""

    def __init__(self, app: ASGIApp, tokens: _Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].removesuffix(".json") == "/oauth/tokens":
            await (await self._tokens.grant(Request(scope, receive)))(scope, receive, send)
            return
        if (refusal := self._tokens.refusal(Headers(scope=scope).get("authorization", ""))) is not None:
            await refusal(scope, receive, send)
            return

        async def limited(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_LIMITS]
            await send(message)

        await self._app(scope, receive, limited)


_LIMITS = (
    (b"x-rate-limit", b"200"),
    (b"x-rate-limit-remaining", b"199"),
    (b"ratelimit-limit", b"200"),
    (b"ratelimit-remaining", b"199"),
    (b"ratelimit-reset", b"60"),
)


# ---------------------------------------------------------------------------------------------------- small things


def _error(status: int, error: str, description: str, **more: Any) -> Response:
    return JSONResponse({"error": error, "description": description, **more}, status)


def _oauth_error(status: int, error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status)


def _invalid(field: str, sentence: str) -> Response:
    return _error(422, "RecordInvalid", "Record validation errors", details={field: [{"description": sentence}]})


async def _no_route(_request: Request, _error_raised: Exception) -> Response:
    return _error(404, "InvalidEndpoint", "Not found")


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)  # noqa: S101 - it is registered for nothing else
    return error.answer


def _via(channel: str) -> Record:
    return {"channel": channel, "source": {"from": {}, "to": {}, "rel": None}}


def _channel(ticket: _AnyTicket) -> str:
    return ticket.channel if isinstance(ticket, _Written) else "email"


def _author(ticket: _AnyTicket, comment: Comment) -> int:
    return _FIRST_USER + ticket.person if comment.agent is None else _FIRST_AGENT + comment.agent


def _comment_id(ticket: _AnyTicket, index: int) -> int:
    return (_FIRST_TICKET + ticket.number) * 1_000 + index


def _organisation_id(person: Person) -> int | None:
    return None if person.organisation is None else _FIRST_ORGANISATION + person.organisation


def _agent(number: Any) -> int | None:
    return None if number is None else int(number) - _FIRST_AGENT


def _body(comment: Record) -> str:
    return str(comment.get("body") or comment.get("html_body") or "")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
