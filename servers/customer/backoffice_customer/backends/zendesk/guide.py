"""The Help Center API of the sandbox: what the company has published, and two articles that it has not.

Sections and articles are numbered as the company has them. Everything is in English.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backoffice_customer.backends.zendesk.answers import Endpoint, Refused, error, ids_in, not_found, page
from backoffice_customer.backends.zendesk.search import spaced
from backoffice_customer.backends.zendesk.wire import Record, wire_time
from backoffice_shared.sandbox.articles import Article
from backoffice_shared.sandbox.company import Company

_FIRST_CATEGORY, _FIRST_SECTION, _FIRST_ARTICLE = 370_001, 380_001, 390_001
_AUTHOR = 900_001
_SIGNED_IN = 310_001
"""The segment of those users who have signed in."""

_UNPUBLISHED = (
    ("Orders and delivery", "Delivery on Sundays", "From spring on we deliver on Sundays in some cities."),
    ("Account", "Trade prices", "Dealers see their prices when they have signed in."),
)


@dataclass(frozen=True, slots=True)
class _Published:
    article: Article
    draft: bool = False
    segment: int | None = None


class Guide:
    def __init__(self, company: Company) -> None:
        self._today = company.today
        public = [article for article in company.articles if article.audience == "public"]
        new, closed = (
            Article(len(public) + n, "public", space, title, (), 3, (("", (text,)),))
            for n, (space, title, text) in enumerate(_UNPUBLISHED)
        )
        published = [*map(_Published, public), _Published(new, draft=True), _Published(closed, segment=_SIGNED_IN)]
        self._articles = {_FIRST_ARTICLE + entry.article.number: entry for entry in published}
        self._sections = {
            name: _FIRST_SECTION + n for n, name in enumerate(dict.fromkeys(article.space for article in public))
        }

    def endpoints(self) -> list[Endpoint]:
        return [
            ("GET", "help_center/articles/search", self.search),
            ("GET", "help_center/articles/{id:int}", self.article),
            ("GET", "help_center/sections", self.sections),
            ("GET", "help_center/sections/{id:int}", self.section),
            ("GET", "help_center/categories", self.categories),
        ]

    async def search(self, request: Request) -> Response:
        """Published articles with every word, those with them in the title first. Agents find restricted ones too."""
        asked = request.query_params
        if not any(asked.get(name) for name in ("query", "section", "category", "label_names")):
            sentence = "At least one of these parameters is required: query, category, section, label_names"
            raise Refused(error(400, "BadRequest", sentence))
        query = [word for word in spaced(asked.get("query", "")).split(" ") if word]
        sections, labels = ids_in(asked.get("section", "")), set(filter(None, asked.get("label_names", "").split(",")))
        since, until = _day(request, "updated_after"), _day(request, "updated_before")
        found = [
            (-sum(f" {word}" in spaced(entry.article.title) for word in query), number)
            for number, entry in self._articles.items()
            if not entry.draft
            and all(f" {word}" in spaced(f"{entry.article.title} {entry.article.text}") for word in query)
            and (not sections or self._sections[entry.article.space] in sections)
            and (not labels or labels.intersection(entry.article.labels))
            and (since is None or self._updated(entry).date() > since.date())
            and (until is None or self._updated(entry).date() < until.date())
        ]
        shown = page(request, [number for _, number in sorted(found)])
        rows = [
            {**self._wire(request, n), "result_type": "article", "snippet": _snippet(self._articles[n].article, query)}
            for n in shown.rows
        ]
        return JSONResponse({"results": rows, **_counted(request, shown.links)})

    async def article(self, request: Request) -> Response:
        """Agents see drafts too."""
        if request.path_params["id"] not in self._articles:
            return not_found()
        return JSONResponse({"article": self._wire(request, request.path_params["id"])})

    async def sections(self, request: Request) -> Response:
        shown = page(request, list(self._sections))
        rows = [self._section(request, name) for name in shown.rows]
        return JSONResponse({"sections": rows, **_counted(request, shown.links)})

    async def section(self, request: Request) -> Response:
        names = [name for name, number in self._sections.items() if number == request.path_params["id"]]
        return JSONResponse({"section": self._section(request, names[0])}) if names else not_found()

    async def categories(self, request: Request) -> Response:
        shown = page(request, [_FIRST_CATEGORY])
        rows = [{**self._folder(request, "categories", number, "Help"), "position": 0} for number in shown.rows]
        return JSONResponse({"categories": rows, **_counted(request, shown.links)})

    def _updated(self, entry: _Published) -> datetime:
        return self._today - timedelta(days=entry.article.age)

    def _wire(self, request: Request, number: int) -> Record:
        entry = self._articles[number]
        article, at = entry.article, wire_time(self._updated(entry))
        slug = "-".join(re.findall(r"\w+", article.title))
        return {
            "id": number,
            "url": f"{_host(request)}/api/v2/help_center/en-us/articles/{number}.json",
            "html_url": f"{_host(request)}/hc/en-us/articles/{number}-{slug}",
            "author_id": _AUTHOR,
            "comments_disabled": True,
            "draft": entry.draft,
            "promoted": False,
            "position": 0,
            "vote_sum": 0,
            "vote_count": 0,
            "section_id": self._sections[article.space],
            "created_at": at,
            "updated_at": at,
            "edited_at": at,
            "name": article.title,
            "title": article.title,
            "source_locale": "en-us",
            "locale": "en-us",
            "outdated": False,
            "outdated_locales": [],
            "user_segment_id": entry.segment,
            "user_segment_ids": [] if entry.segment is None else [entry.segment],
            "permission_group_id": 1,
            "content_tag_ids": [],
            "label_names": list(article.labels),
            "body": article.html,
        }

    def _section(self, request: Request, name: str) -> Record:
        number = self._sections[name]
        return {
            **self._folder(request, "sections", number, name),
            "category_id": _FIRST_CATEGORY,
            "parent_section_id": None,
            "position": number - _FIRST_SECTION,
            "sorting": "manual",
            "theme_template": "section_page",
        }

    def _folder(self, request: Request, kind: str, number: int, name: str) -> Record:
        at = wire_time(self._today - timedelta(days=300))
        return {
            "id": number,
            "url": f"{_host(request)}/api/v2/help_center/en-us/{kind}/{number}.json",
            "html_url": f"{_host(request)}/hc/en-us/{kind}/{number}",
            "created_at": at,
            "updated_at": at,
            "name": name,
            "description": "",
            "locale": "en-us",
            "source_locale": "en-us",
            "outdated": False,
        }


def _host(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


def _counted(request: Request, links: Record) -> Record:
    """The Help Center says more about pages than the rest of the API."""
    size = min(int(request.query_params.get("per_page", 100)), 100)
    return {
        **links,
        "page": int(request.query_params.get("page", 1)),
        "per_page": size,
        "page_count": -(-links["count"] // size),
    }


def _day(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Refused(error(400, "BadRequest", f"{name} must be a date: YYYY-MM-DD")) from None


def _snippet(article: Article, words: Iterable[str]) -> str:
    """The beginning of the text, with what was looked for between `<em>` and `</em>`."""
    text = article.text[:200]
    for word in sorted(set(words), key=len, reverse=True):
        text = re.sub(rf"\b({re.escape(word)}\w*)", r"<em>\1</em>", text, flags=re.IGNORECASE)
    return text
