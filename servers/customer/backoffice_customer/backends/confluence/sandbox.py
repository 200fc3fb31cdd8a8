"""Confluence's API over the fictional company's wiki: search and content by version 1, pages and spaces by version 2.

It is reached below `/wiki`, and below `/ex/confluence/{CLOUD_ID}/wiki` as Atlassian's gateway has it, with an API token or an
access token.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backoffice_customer.backends.confluence.cql import InvalidQuery, read
from backoffice_customer.backends.confluence.wiki import Page, Space, Wiki
from backoffice_customer.backends.confluence.wire import Record, Wire, wire_time
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

SITE, CLOUD_ID = "acme", "3f9d1a52-6c1e-4d55-9a6f-8c1f0b7e2d10"
EMAIL, API_TOKEN = "ines@northwind.example", "token-sandbox-confluence"
ACCESS_TOKEN = "access-sandbox-confluence"  # noqa: S105 - the sandbox's own

_REPRESENTATIONS = frozenset({"storage", "atlas_doc_format", "view", "export_view", "styled_view", "editor"})
_LARGEST_PAGE = 250


def confluence_sandbox(company: Company) -> VendorSandbox:
    wiki = Wiki(company, searches_are_stale=lambda: sandbox.faults.stale_search)
    sandbox = VendorSandbox(
        name="confluence",
        title="Confluence",
        app=_Authenticated(_Api(wiki).app()),
        credentials={"email": EMAIL, "api_token": API_TOKEN},
        throttled=_throttled,
        unavailable=lambda: _old_error(503, "Service Unavailable"),
        options={"site": SITE},
    )
    return sandbox


# ---------------------------------------------------------------------------------------------------- the API


class _Api:
    def __init__(self, wiki: Wiki) -> None:
        self._wiki = wiki

    def app(self) -> ASGIApp:
        old, new = "/wiki/rest/api", "/wiki/api/v2"
        endpoints: list[tuple[str, str, Callable[[Request], Any]]] = [
            ("GET", f"{old}/search", self.search),
            ("GET", f"{old}/content/search", self.search_content),
            ("GET", f"{old}/content", self.contents),
            ("POST", f"{old}/content", self.create_content),
            ("GET", f"{old}/content/{{id:int}}", self.one_content),
            ("GET", f"{old}/space", self.old_spaces),
            ("GET", f"{old}/space/{{key}}", self.old_space),
            ("GET", f"{new}/pages", self.pages),
            ("POST", f"{new}/pages", self.create_page),
            ("GET", f"{new}/pages/{{id:int}}", self.one_page),
            ("GET", f"{new}/spaces", self.spaces),
            ("GET", f"{new}/spaces/{{id:int}}", self.one_space),
        ]
        # Community clients put a slash behind some paths.
        routes = [
            Route(path + slash, endpoint, methods=[method])
            for method, path, endpoint in endpoints
            for slash in ("", "/")
        ]
        handlers = {404: _no_route, 405: _no_route, _Refused: _refused, InvalidQuery: _invalid_query}
        return Starlette(routes=routes, exception_handlers=handlers)

    # ------------------------------------------------------------------------------------------------- version 1

    async def search(self, request: Request) -> Response:
        wire, expand, asked = _wire(request), _expand(request), read(_cql(request))
        how = request.query_params.get("excerpt", "highlight")
        page = _offset_page(request, self._wiki.find(asked), most=_most(expand))
        answer: Record = {
            "results": [wire.found(row, asked.query, how, expand) for row in page.rows],
            "start": page.start,
            "limit": page.limit,
            "size": len(page.rows),
            "totalSize": page.total,
            "cqlQuery": _cql(request),
            "searchDuration": 12,
            "_links": {"base": wire.base, "context": "/wiki", "self": str(request.url), **page.links},
        }
        return JSONResponse(answer)

    async def search_content(self, request: Request) -> Response:
        return self._contents(request, self._wiki.find(read(_cql(request))))

    async def contents(self, request: Request) -> Response:
        asked = request.query_params
        key, title = asked.get("spaceKey"), asked.get("title")
        found = [
            page
            for page in self._wiki.pages.values()
            if key in (None, page.space.key) and title in (None, page.title) and asked.get("type", "page") == "page"
        ]
        return self._contents(request, found)

    async def one_content(self, request: Request) -> Response:
        page = self._wiki.pages.get(request.path_params["id"])
        if page is None:
            raise _Refused(_old_error(404, f"No content found with id: ContentId{{id={request.path_params['id']}}}"))
        expand = _expand(request) or frozenset({"history", "space", "version"})
        return JSONResponse(_with_base(_wire(request), _wire(request).content(page, expand)))

    async def create_content(self, request: Request) -> Response:
        wanted = obj(await _json(request))
        space = self._wiki.space(str(obj(wanted.get("space")).get("key")))
        if space is None:
            raise _Refused(_old_error(404, "No space with the given key, or it may not be seen"))
        storage, title = obj(obj(wanted.get("body")).get("storage")).get("value"), wanted.get("title")
        if wanted.get("type") != "page" or not title or storage is None:
            raise _Refused(_old_error(400, "A page needs a type, a title and a body in storage format"))
        ancestors = [obj(ancestor).get("id") for ancestor in wanted.get("ancestors") or ()]
        page = self._created(space, str(title), str(storage), ancestors[-1] if ancestors else None)
        if page is None:
            sentence = "A page with this title already exists: A page already exists with the same TITLE in this space"
            raise _Refused(_old_error(400, sentence))
        wire = _wire(request)
        expand = frozenset({"history", "space", "version", "body.storage"})
        return JSONResponse(_with_base(wire, wire.content(page, expand)))

    async def old_spaces(self, request: Request) -> Response:
        wire, page = _wire(request), _offset_page(request, list(self._wiki.spaces.values()), most=200)
        rows = [wire.old_space(space) for space in page.rows]
        links = {"base": wire.base, "context": "/wiki", **page.links}
        return JSONResponse(
            {"results": rows, "start": page.start, "limit": page.limit, "size": len(rows), "_links": links}
        )

    async def old_space(self, request: Request) -> Response:
        space = self._wiki.space(request.path_params["key"])
        if space is None:
            raise _Refused(_old_error(404, f"No space found with key : {request.path_params['key']}"))
        return JSONResponse(_with_base(_wire(request), _wire(request).old_space(space)))

    def _contents(self, request: Request, found: list[Page]) -> Response:
        wire, expand = _wire(request), _expand(request)
        page = _offset_page(request, found, most=_most(expand))
        rows = [wire.content(row, expand) for row in page.rows]
        links = {"base": wire.base, "context": "/wiki", **page.links}
        return JSONResponse(
            {"results": rows, "start": page.start, "limit": page.limit, "size": len(rows), "_links": links}
        )

    # ------------------------------------------------------------------------------------------------- version 2

    async def pages(self, request: Request) -> Response:
        ids, spaces, title = _many(request, "id"), _many(request, "space-id"), request.query_params.get("title")
        found = [
            page
            for page in self._wiki.pages.values()
            if (not ids or str(page.id) in ids)
            and (not spaces or str(page.space.id) in spaces)
            and title in (None, page.title)
            and "current" in (_many(request, "status") or ("current",))
        ]
        wire, asked = _wire(request), request.query_params.get("body-format")
        representations = (asked,) if asked in ("storage", "atlas_doc_format") else ()
        return _cursor_page(request, found, lambda page: _without_base(wire.page(page, representations)))

    async def one_page(self, request: Request) -> Response:
        page = self._wiki.pages.get(request.path_params["id"])
        if page is None:
            raise _Refused(_error(404, "NOT_FOUND", "Not Found"))
        asked = request.query_params.get("body-format")
        if asked is not None and asked not in _REPRESENTATIONS:
            raise _Refused(_error(400, "INVALID_REQUEST_PARAMETER", f"Provided value {{{asked}}} for 'body-format'"))
        labels = request.query_params.get("include-labels") == "true"
        return JSONResponse(_wire(request).page(page, (asked,) if asked else (), labels=labels))

    async def create_page(self, request: Request) -> Response:
        wanted = obj(await _json(request))
        space = self._wiki.spaces.get(_number(wanted.get("spaceId")))
        if space is None:
            raise _Refused(_error(404, "NOT_FOUND", "Space not found"))
        body = obj(wanted.get("body"))
        storage = (obj(body.get("storage")) or body).get("value")
        if not wanted.get("title") or storage is None:
            raise _Refused(_error(400, "INVALID_REQUEST_PARAMETER", "A page needs a title and a body"))
        page = self._created(space, str(wanted["title"]), str(storage), wanted.get("parentId"))
        if page is None:
            sentence = "A page with this title already exists: A page already exists with the same TITLE in this space"
            raise _Refused(_error(400, "BAD_REQUEST", sentence))
        return JSONResponse(_wire(request).page(page, ("storage",)))

    async def spaces(self, request: Request) -> Response:
        ids, keys = _many(request, "ids"), _many(request, "keys")
        found = [
            space
            for space in self._wiki.spaces.values()
            if (not ids or str(space.id) in ids) and (not keys or space.key in keys)
        ]
        wire = _wire(request)
        return _cursor_page(request, found, lambda space: _without_base(wire.space(space, self._wiki.founded)))

    async def one_space(self, request: Request) -> Response:
        space = self._wiki.spaces.get(request.path_params["id"])
        if space is None:
            raise _Refused(_error(404, "NOT_FOUND", "Not Found"))
        return JSONResponse(_wire(request).space(space, self._wiki.founded))

    def _created(self, space: Space, title: str, storage: str, parent: object) -> Page | None:
        """Below the space's homepage, when nothing else is said."""
        return self._wiki.create(space, title, storage, space.homepage if parent is None else _number(parent))


def _wire(request: Request) -> Wire:
    return Wire(f"{request.url.scheme}://{request.url.netloc}/wiki")


def _cql(request: Request) -> str:
    cql = request.query_params.get("cql", "")
    if not cql:
        raise InvalidQuery("Could not parse cql : it is empty")
    return cql


def _expand(request: Request) -> frozenset[str]:
    return frozenset(name for name in request.query_params.get("expand", "").split(",") if name)


def _most(expand: frozenset[str]) -> int:
    """The more is asked for, the shorter the page."""
    return 50 if any("body" in name for name in expand) else 200 if expand else 1_000


def _many(request: Request, name: str) -> list[str]:
    """A parameter that may be repeated, and may have commas."""
    return [value for values in request.query_params.getlist(name) for value in values.split(",")]


def _with_base(wire: Wire, record: Record) -> Record:
    return {**record, "_links": {**record["_links"], "base": wire.base, "context": "/wiki"}}


def _without_base(record: Record) -> Record:
    """In a list, the list says it."""
    return {**record, "_links": {name: link for name, link in record["_links"].items() if name != "base"}}


async def _json(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise _Refused(_old_error(400, "The request body is not JSON")) from None


def _number(value: object) -> int:
    return int(str(value)) if re.fullmatch(r"\d{1,18}", str(value)) else -1


# --------------------------------------------------------------------------------------------------------- paging


@dataclass(frozen=True, slots=True)
class _OffsetPage:
    rows: list[Any]
    start: int
    limit: int
    total: int
    links: Record


def _offset_page(request: Request, found: list[Any], *, most: int) -> _OffsetPage:
    """Version 1: `start` from 0, `limit`, and a link to the next page."""
    start, limit = _natural(request, "start", 0), min(_natural(request, "limit", 25), most)
    links: Record = {}
    if start + limit < len(found):
        following = request.url.include_query_params(start=start + limit, limit=limit)
        links["next"] = f"{following.path.removeprefix('/wiki')}?{following.query}"
    return _OffsetPage(found[start : start + limit], start, limit, len(found), links)


def _cursor_page(request: Request, found: list[Any], each: Callable[[Any], Record]) -> Response:
    """Version 2: `limit`, and `cursor` within a link to the next page."""
    start, limit = _place(request), _natural(request, "limit", 25)
    if not 1 <= limit <= _LARGEST_PAGE:
        raise _Refused(_error(400, "INVALID_REQUEST_PARAMETER", f"limit must be between 1 and {_LARGEST_PAGE}"))
    links: Record = {"base": _wire(request).base}
    headers: dict[str, str] = {}
    if start + limit < len(found):
        cursor = base64.urlsafe_b64encode(json.dumps({"start": start + limit}).encode()).decode()
        following = request.url.include_query_params(cursor=cursor)
        links["next"] = f"{following.path}?{following.query}"
        headers["link"] = f'<{links["next"]}>; rel="next"'
    rows = [each(row) for row in found[start : start + limit]]
    return JSONResponse({"results": rows, "_links": links}, headers=headers)


def _place(request: Request) -> int:
    cursor = request.query_params.get("cursor")
    if cursor is None:
        return 0
    try:
        return int(obj(json.loads(base64.urlsafe_b64decode(cursor)))["start"])
    except (ValueError, KeyError):
        raise _Refused(_error(400, "INVALID_REQUEST_PARAMETER", "cursor is not valid")) from None


def _natural(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if re.fullmatch(r"\d{1,9}", text) is None:
        raise _Refused(_old_error(400, f"{name} must be a number"))
    return int(text)


# ------------------------------------------------------------------------------------------------ who may ask

_GATEWAY = f"/ex/confluence/{CLOUD_ID}"
_LIMITS = ((b"x-ratelimit-limit", b"65000"), (b"x-ratelimit-remaining", b"64000"), (b"x-ratelimit-nearlimit", b"false"))


class _Authenticated:
    """Every request needs a token, and every answer says what is left of the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"].removeprefix(_GATEWAY)
        if not _may_ask(Headers(scope=scope).get("authorization", "")):
            new = path.startswith("/wiki/api/v2")
            refusal = _error(401, "UNAUTHORIZED", "Unauthorized") if new else _old_error(401, "Unauthorized")
            await refusal(scope, receive, send)
            return

        async def limited(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_LIMITS]
            await send(message)

        await self._app({**scope, "path": path, "raw_path": path.encode()}, receive, limited)


def _may_ask(authorization: str) -> bool:
    scheme, _, secret = authorization.partition(" ")
    basic = base64.b64encode(f"{EMAIL}:{API_TOKEN}".encode()).decode()
    return (scheme.lower(), secret) in (("bearer", ACCESS_TOKEN), ("basic", basic))


# --------------------------------------------------------------------------------------------------- refusals


class _Refused(Exception):  # noqa: N818 - it is what happened
    def __init__(self, answer: Response) -> None:
        self.answer = answer


async def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, _Refused)  # noqa: S101 - it is registered for nothing else
    return error.answer


async def _invalid_query(_request: Request, error: Exception) -> Response:
    return _old_error(400, f"com.atlassian.confluence.api.service.exceptions.BadRequestException: {error}")


async def _no_route(request: Request, _error_raised: Exception) -> Response:
    if request.url.path.startswith("/wiki/api/v2"):
        return _error(404, "NOT_FOUND", "Not Found")
    return _old_error(404, f"null for uri: {request.url.path}")


def _throttled(seconds: int) -> Response:
    answer = _old_error(429, "Rate limit exceeded")
    answer.headers["retry-after"] = str(seconds)
    answer.headers["x-ratelimit-remaining"] = "0"
    answer.headers["x-ratelimit-reset"] = wire_time(datetime.now(UTC) + timedelta(seconds=seconds))
    return answer


def _error(status: int, code: str, title: str) -> Response:
    return JSONResponse({"errors": [{"status": status, "code": code, "title": title, "detail": None}]}, status)


def _old_error(status: int, message: str) -> Response:
    data: Record = {"authorized": status not in (401, 403), "valid": True, "errors": [], "successful": False}
    return JSONResponse({"statusCode": status, "data": data, "message": message}, status)
