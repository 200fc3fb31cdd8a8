"""Zendesk's API over the fictional company: users, tickets, comments and search, and the tokens to reach them with.

Every path is there with and without `.json`, which Zendesk's community clients put behind it.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backoffice_customer.backends.zendesk.helpdesk import ME, PRIORITIES, STATUSES, AnyTicket, Helpdesk
from backoffice_customer.backends.zendesk.search import InvalidSearch, parse
from backoffice_customer.backends.zendesk.wire import Record, Wire, wire_time
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

SUBDOMAIN = "acme"
CLIENT_ID, CLIENT_SECRET = "backoffice_sandbox", "secret-sandbox-zendesk"
ACCESS_TOKEN = "token-sandbox-zendesk"  # noqa: S105 - one that never expires, as OAuth tokens made by hand do not
AGENT_EMAIL, API_TOKEN = "ines@northwind.example", "legacy-sandbox-zendesk"
"""For Basic authentication as `{AGENT_EMAIL}/token:{API_TOKEN}`, the way that ends in 2027."""

TOKEN_SECONDS = 1800
_KEY_SECONDS = 7200  # for so long an idempotency key is remembered
_LARGEST_PAGE, _LARGEST_BATCH, _CEILING = 100, 100, 1_000


def zendesk_sandbox(company: Company, *, clock: Clock = SYSTEM_CLOCK) -> VendorSandbox:
    """`clock` says when tokens and idempotency keys expire."""
    helpdesk = Helpdesk(company, searches_are_stale=lambda: sandbox.faults.stale_search)
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
    return sandbox


# ---------------------------------------------------------------------------------------------------- the API


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What the first request with an idempotency key asked, and what it was answered."""

    wanted: Any
    answer: Record
    until: float


class _Api:
    def __init__(self, helpdesk: Helpdesk, clock: Clock) -> None:
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
        handlers = {404: _no_route, 405: _no_route, _Refused: _refused, InvalidSearch: _invalid_search}
        return Starlette(routes=routes, exception_handlers=handlers)

    async def search(self, request: Request) -> Response:
        wire = self._wire(request)
        page = _page(request, self._found(request), ceiling=_CEILING)
        rows = [_result(wire, row) for row in page.rows]
        answer: Record = {"results": rows, "facets": None, **page.links}
        if request.query_params.get("include", "").startswith("tickets(users"):
            answer["users"] = wire.users_of(row for row in rows if row["result_type"] == "ticket")
        return JSONResponse(answer)

    async def count(self, request: Request) -> Response:
        return JSONResponse({"count": len(self._found(request))})

    async def me(self, request: Request) -> Response:
        return JSONResponse({"user": self._wire(request).user(ME)})

    async def search_users(self, request: Request) -> Response:
        terms = parse(request.query_params.get("query", ""))
        page = _page(request, self._helpdesk.find_users(terms))
        return self._users(request, page.rows, page.links)

    async def many_users(self, request: Request) -> Response:
        return self._users(request, filter(self._helpdesk.knows, _ids(request)), {})

    async def save_user(self, request: Request) -> Response:
        wanted = obj(obj(await _json(request)).get("user"))
        user_id, is_new = self._helpdesk.save_user(*_name_and_email(self._helpdesk, wanted), wanted.get("phone"))
        return JSONResponse({"user": self._wire(request).user(user_id)}, 201 if is_new else 200)

    async def one_user(self, request: Request) -> Response:
        user_id: int = request.path_params["id"]
        if not self._helpdesk.knows(user_id):
            return _not_found()
        return JSONResponse({"user": self._wire(request).user(user_id)})

    async def many_tickets(self, request: Request) -> Response:
        wire, found = self._wire(request), map(self._helpdesk.ticket, _ids(request))
        rows = [wire.ticket(ticket) for ticket in found if ticket is not None]
        return JSONResponse({"tickets": rows, **_their_users(request, wire, rows)})

    async def create_ticket(self, request: Request) -> Response:
        body, key = await _json(request), request.headers.get("idempotency-key")
        known = None if key is None else self._remembered.get(key)
        if known is not None and known.until > self._clock.now():
            if known.wanted != body:
                sentence = "Request parameters don't match the given idempotency key"
                return _error(400, "IdempotentRequestError", sentence)
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
        wanted = obj(obj(await _json(request)).get("ticket"))
        if ticket.status == "closed":
            return _invalid("status", "Status: closed prevents ticket update")
        if wanted.get("safe_update") and wanted.get("updated_stamp") != wire_time(ticket.updated_at):
            return _error(409, "UpdateConflict", "Safe Update prevented the update due to outdated ticket data.")
        _check(wanted)
        text, public = _comment(wanted)
        written = self._helpdesk.update_ticket(ticket, wanted, text, public=public)
        return JSONResponse(self._wire(request).written(written))

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

    def _wire(self, request: Request) -> Wire:
        return Wire(self._helpdesk, f"{request.url.scheme}://{request.url.netloc}/api/v2")

    def _ticket(self, request: Request) -> AnyTicket:
        ticket = self._helpdesk.ticket(request.path_params["id"])
        if ticket is None:
            raise _Refused(_not_found())
        return ticket

    def _found(self, request: Request) -> list[AnyTicket | int]:
        """Tickets, then users, unless the query says which. Tickets are sorted as the request or else the query says."""
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
        included = request.query_params.get("include") == "organizations"
        organisations = {"organizations": wire.organisations_of(rows)} if included else {}
        return JSONResponse({"users": rows, **organisations, **links})

    def _opened(self, wire: Wire, wanted: Record) -> Record:
        text, public = _comment(wanted)
        text = text or str(wanted.get("description") or "")
        if not text.strip():
            raise _Refused(_invalid("base", "Description: cannot be blank"))
        _check(wanted)
        requester = _requester(self._helpdesk, wanted)
        return wire.written(self._helpdesk.open_ticket(requester, wanted, text, public=public))


def _result(wire: Wire, row: AnyTicket | int) -> Record:
    if isinstance(row, int):
        return {**wire.user(row), "result_type": "user"}
    return {**wire.ticket(row), "result_type": "ticket"}


def _their_users(request: Request, wire: Wire, tickets: list[Record]) -> Record:
    return {"users": wire.users_of(tickets)} if request.query_params.get("include") == "users" else {}


# ------------------------------------------------------------------------------------------- what is asked to be written


def _comment(wanted: Record) -> tuple[str, bool]:
    """A ticket's new comment, and whether the customer sees it."""
    comment = obj(wanted.get("comment"))
    return str(comment.get("body") or comment.get("html_body") or ""), comment.get("public") is not False


def _requester(helpdesk: Helpdesk, wanted: Record) -> int:
    """By id, or by address: then they are made when there is nobody yet, and else keep their name. Or whoever asks."""
    user_id = wanted.get("requester_id")
    if user_id is not None:
        if not helpdesk.knows(user_id):
            raise _Refused(_invalid("requester", "Requester: is invalid"))
        return user_id
    if not (named := obj(wanted.get("requester"))):
        return ME
    known = helpdesk.by_email.get(str(named.get("email") or "").lower())
    return known or helpdesk.save_user(*_name_and_email(helpdesk, named))[0]


def _name_and_email(helpdesk: Helpdesk, wanted: Record) -> tuple[str, str]:
    name, email = str(wanted.get("name") or ""), str(wanted.get("email") or "")
    if re.fullmatch(r"[^@\s]+@[^@\s]+", email) is None:
        raise _Refused(_invalid("email", f"Email: {email} is not properly formatted"))
    if not name and email.lower() not in helpdesk.by_email:
        raise _Refused(_invalid("name", "Name: is too short (minimum is 1 characters)"))
    return name, email


def _check(wanted: Record) -> None:
    for field, values in (("status", STATUSES), ("priority", PRIORITIES)):
        if wanted.get(field) is not None and wanted[field] not in values:
            raise _Refused(_invalid(field, f"{field.title()}: {wanted[field]} is not recognized"))
    if not str(wanted.get("assignee_id") or 0).isdecimal():
        raise _Refused(_invalid("assignee", f"Assignee: {wanted['assignee_id']} is not recognized"))


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise _Refused(_error(400, "InvalidJSON", "The request body is not valid JSON")) from None


# --------------------------------------------------------------------------------------------------------- paging


@dataclass(frozen=True, slots=True)
class _Page:
    rows: list[Any]
    links: Record


def _page(request: Request, rows: list[Any], *, ceiling: int | None = None) -> _Page:
    """Offset pagination: `page` from 1, `per_page` at most 100."""
    page, size = _positive(request, "page", 1), min(_positive(request, "per_page", _LARGEST_PAGE), _LARGEST_PAGE)
    if ceiling is not None and page * size > ceiling:
        raise InvalidSearch("Requested response size was greater than Search Response Limits")

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
    first, last = (_cursor(rows[0]), _cursor(rows[-1])) if rows else (None, None)
    has_more = start + size < len(indices)
    following = str(request.url.include_query_params(**{"page[after]": last})) if has_more else None
    return _Page(
        rows,
        {
            "meta": {"has_more": has_more, "after_cursor": last, "before_cursor": first},
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


def _positive(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise _Refused(_error(400, "InvalidPaginationParameter", f"{name} must be an integer greater than 0"))
    return int(text)


def _ids(request: Request) -> list[int]:
    ids = [text.strip() for text in request.query_params.get("ids", "").split(",")]
    if len(ids) > _LARGEST_BATCH:
        raise _Refused(_error(422, "TooManyValues", f"ids: at most {_LARGEST_BATCH} values are allowed"))
    return [int(text) for text in dict.fromkeys(ids) if text.isdecimal()]


# ------------------------------------------------------------------------------------------------ who may ask


class _Tokens:
    """Access tokens for the OAuth client, each good for half an hour. https://developer.zendesk.com/api-reference/ticketing/oauth/grant_type_tokens/"""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._granted: dict[str, float] = {}

    async def grant(self, request: Request) -> Response:
        is_json = request.headers.get("content-type", "").startswith("application/json")
        asked = obj(await _json(request)) if is_json else dict(parse_qsl((await request.body()).decode()))
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


_LIMITS = (
    (b"x-rate-limit", b"200"),
    (b"x-rate-limit-remaining", b"199"),
    (b"ratelimit-limit", b"200"),
    (b"ratelimit-remaining", b"199"),
    (b"ratelimit-reset", b"60"),
)


class _Authenticated:
    """Every request but the one for a token needs one, and every answer says what is left of the limit."""

    def __init__(self, app: ASGIApp, tokens: _Tokens) -> None:
        self._app = app
        self._tokens = tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].removesuffix(".json") == "/oauth/tokens":
            try:
                granted = await self._tokens.grant(Request(scope, receive))
            except _Refused as refused:
                granted = refused.answer
            await granted(scope, receive, send)
            return
        if (refusal := self._tokens.refusal(Headers(scope=scope).get("authorization", ""))) is not None:
            await refusal(scope, receive, send)
            return

        async def limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_LIMITS]
            await send(message)

        await self._app(scope, receive, limited)


# --------------------------------------------------------------------------------------------------- refusals


class _Refused(Exception):  # noqa: N818 - it is what happened
    def __init__(self, answer: Response) -> None:
        self.answer = answer


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)  # noqa: S101 - it is registered for nothing else
    return error.answer


async def _invalid_search(_request: Request, error: Exception) -> Response:
    return _error(422, "invalid", f"Invalid search: {error}")


async def _no_route(_request: Request, _error_raised: Exception) -> Response:
    return _error(404, "InvalidEndpoint", "Not found")


def _not_found() -> Response:
    return _error(404, "RecordNotFound", "Not found")


def _invalid(field: str, sentence: str) -> Response:
    return _error(422, "RecordInvalid", "Record validation errors", details={field: [{"description": sentence}]})


def _error(status: int, error: str, description: str, **more: Any) -> Response:
    return JSONResponse({"error": error, "description": description, **more}, status)


def _oauth_error(status: int, error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, status)
