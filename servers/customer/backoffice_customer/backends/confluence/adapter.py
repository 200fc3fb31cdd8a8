"""Confluence Cloud's API in our words: its pages, found by CQL (REST API v1) and read whole (v2).

Only pages of some spaces are given: of those that the operator has named, if any, and the caller may see.

Source: https://developer.atlassian.com/cloud/confluence/rest/v1/api-group-search/ and
https://developer.atlassian.com/cloud/confluence/rest/v2/api-group-page/
"""

from __future__ import annotations

import re
from base64 import b64encode
from calendar import timegm
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import mktime_tz, parsedate_tz
from html import unescape
from typing import Any

import httpx

from backoffice_customer.backends.confluence.cql import one_of, quoted, since, words
from backoffice_customer.models import Article, ArticleRow, KnowledgeSource, Ref
from backoffice_customer.ports import ArticleQuery
from backoffice_shared.backend import Allowance, Backend, Failure, Rate, bearer, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.errors import NotFound
from backoffice_shared.http.client import BackendClient, path
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.principal import principal

_LARGEST_PAGE = 50
_LONGEST_SNIPPET = 300
_LARGEST_ID = 2**63 - 1
_NO_PAGE = "there is no such page or site, or it may not be seen"


def _authorize(request: httpx.Request, credential: Credential) -> None:
    if "access_token" in credential:
        bearer(request, credential)
        return
    secret = f"{credential['email']}:{credential['api_token']}"
    request.headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"


def _failure(response: httpx.Response) -> Failure | None:
    """`{"errors":[{"status":404,"code":"NOT_FOUND","title":…,"detail":…}]}` of v2, `{"statusCode":400,"message":…}` of v1.

    A page that is not there and one that may not be seen are answered with the same sentence, here as below.
    """
    if response.status_code < 400:
        return None
    sentence = _NO_PAGE if response.status_code == 404 else _sentence(wire_of(response))
    waiting = seconds(response.headers.get("retry-after"))
    return Failure(response.status_code, (sentence or f"answered {response.status_code}")[:300], waiting)


def _allowance(response: httpx.Response) -> Allowance | None:
    """`X-RateLimit-Remaining` until `X-RateLimit-Reset`, a time by Confluence's clock, which `Date` shows.

    It counts points, of which a request costs one or more. https://developer.atlassian.com/cloud/confluence/rate-limiting/
    """
    remaining = seconds(response.headers.get("x-ratelimit-remaining"))
    reset = re.fullmatch(_TIME, response.headers.get("x-ratelimit-reset", ""))
    now = parsedate_tz(response.headers.get("date", ""))
    if remaining is None or reset is None or now is None:
        return None
    left = timegm(tuple(int(part or 0) for part in reset.groups())) - mktime_tz(now)
    return Allowance(remaining, left) if left > 0 else None


_TIME = r"(20\d\d)-(0[1-9]|1[0-2])-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?Z"

CONFLUENCE = Backend(
    name="confluence",
    title="Confluence",
    base_url="https://{site}.atlassian.net",
    options=("site",),
    optional={"spaces": ""},  # keys, with commas between them: nothing outside of these spaces is found or read
    credentials=(frozenset({"access_token"}), frozenset({"email", "api_token"})),
    authorize=_authorize,
    failure=_failure,
    allowance=_allowance,
    rate=Rate(requests=10, seconds=1, burst=20),  # Atlassian publishes none for API tokens
)


class Confluence:
    """The wiki's pages."""

    kind = "page"
    source: KnowledgeSource = "wiki"

    def __init__(self, http: BackendClient) -> None:
        self._http = http
        named = http.options["spaces"].strip()
        self._operators = _keys(named.split(",")) if named else None

    async def search_articles(self, query: ArticleQuery, limit: int) -> list[ArticleRow]:
        wanted, spaces = words(query.text), self._spaces(query.space)
        if not wanted or spaces == {}:
            return []
        rows = await self._http.read(
            "search.pages",
            "/wiki/rest/api/search",
            params={
                "cql": _cql(wanted, spaces, query.updated_since),
                "limit": min(limit, _LARGEST_PAGE),
                "excerpt": "highlight",
                "expand": "content.space",
            },
            into=_rows,
            fresh_for=60,
            tags=("pages",),
            scoped=True,
        )
        return [row for row in rows if _is_among(row.space or "", spaces) and _is_since(row, query.updated_since)]

    async def article(self, native: str) -> Article:
        if not _is_id(native):
            raise NotFound(CONFLUENCE.title, _NO_PAGE)
        page = await self._http.read(
            "pages.get",
            path("wiki", "api", "v2", "pages", native),
            params={"body-format": "view"},
            into=_page,
            fresh_for=60,
            tags=("pages", f"page:{native}"),
            scoped=True,
        )
        space = await self._space(page.space_id)
        # Whoever asks now need not be the one for whom it was read into the cache.
        if not page.is_published or not _is_among(space, self._spaces(None)):
            raise NotFound(CONFLUENCE.title, _NO_PAGE)
        return page.article.model_copy(update={"space": space})

    async def _space(self, space_id: str) -> str:
        return await self._http.read(
            "spaces.get",
            path("wiki", "api", "v2", "spaces", space_id),
            into=_key,
            fresh_for=3600,  # a space keeps its key for life
            tags=("spaces",),
            scoped=True,
        )

    def _spaces(self, wanted: str | None) -> Keys | None:
        """The spaces that may be looked into: the operator's, the caller's, and the one asked for, if any.

        None when nobody has named any.
        """
        bounds = [self._operators, _of_caller(), None if wanted is None else _keys([wanted])]
        named = [bound for bound in bounds if bound is not None]
        if not named:
            return None
        return {folded: key for folded, key in named[0].items() if all(folded in bound for bound in named)}


# ------------------------------------------------------------------------------------------ our words to the query

Keys = Mapping[str, str]
"""Spaces' keys as they were written, by what they are whatever the case of their letters."""


def _keys(names: Iterable[str]) -> Keys:
    return {name.strip().casefold(): name.strip() for name in names if name.strip()}


def _of_caller() -> Keys | None:
    parts = principal().parts(CONFLUENCE.name)
    return None if parts is None else _keys(parts)


def _is_among(space: str, spaces: Keys | None) -> bool:
    return spaces is None or space.casefold() in spaces


def _is_since(row: ArticleRow, at: datetime | None) -> bool:
    return at is None or row.updated_at is None or row.updated_at >= at


def _cql(wanted: str, spaces: Keys | None, at: datetime | None) -> str:
    conditions = [
        "type = page",
        *([] if spaces is None else [one_of("space", sorted(spaces.values()))]),
        f"(title ~ {quoted(wanted)} OR text ~ {quoted(wanted)})",
        *([] if at is None else [since(at)]),
    ]
    return " AND ".join(conditions)


def _is_id(native: str) -> bool:
    return native.isascii() and native.isdecimal() and len(native) < 20 and int(native) <= _LARGEST_ID


# ------------------------------------------------------------------------------------------ the wire to our words


def _rows(wire: Any) -> list[ArticleRow]:
    base: str = wire["_links"]["base"]
    return [_row(result, base) for result in wire["results"] if result.get("content")]


def _row(wire: Any, base: str) -> ArticleRow:
    page = wire["content"]
    return ArticleRow(
        doc_id=_doc_id(page),
        title=page["title"],
        snippet=_snippet(wire.get("excerpt") or ""),
        source="wiki",
        space=page["space"]["key"],
        updated_at=wire.get("lastModified"),
        url=base + page["_links"]["webui"],
    )


def _snippet(excerpt: str) -> str | None:
    """An excerpt is text with HTML's entities, and with marks around what was found."""
    plain = " ".join(unescape(re.sub(r"@@@(?:end)?hl@@@", "", excerpt)).split())
    return plain[:_LONGEST_SNIPPET] or None


@dataclass(frozen=True, slots=True)
class _Page:
    article: Article
    space_id: str
    is_published: bool


def _page(wire: Any) -> _Page:
    article = Article(
        doc_id=_doc_id(wire),
        title=wire["title"],
        html=wire["body"]["view"]["value"],
        source="wiki",
        updated_at=wire["version"]["createdAt"],
        url=wire["_links"]["base"] + wire["_links"]["webui"],
    )
    return _Page(article, str(wire["spaceId"]), wire["status"] in ("current", "archived"))


def _key(wire: Any) -> str:
    key: str = wire["key"]
    return key


def _doc_id(wire: Any) -> str:
    return str(Ref(CONFLUENCE.name, "page", str(wire["id"])))


def _sentence(wire: dict[str, Any]) -> str:
    """What went wrong. v1 puts the name of a Java class before it."""
    for error in arr(wire.get("errors")):
        said = ": ".join(str(part) for part in (obj(error).get("title"), obj(error).get("detail")) if part)
        if said:
            return said
    return re.sub(r"^[\w.]+Exception: ", "", str(wire.get("message") or ""))
