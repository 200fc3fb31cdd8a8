"""Zendesk's Help Center: articles that the company has published for its customers.

Source: https://developer.zendesk.com/api-reference/help_center/help-center-api/search/#search-articles,
https://developer.zendesk.com/api-reference/help_center/help-center-api/articles/ and …/sections/
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from backoffice_customer.backends.zendesk.access import ZENDESK
from backoffice_customer.backends.zendesk.search import plain
from backoffice_customer.backends.zendesk.translation import is_id
from backoffice_customer.models import Article, ArticleRow, KnowledgeSource, Ref
from backoffice_customer.ports import ArticleQuery
from backoffice_shared.errors import NotFound, TooLarge
from backoffice_shared.http.client import BackendClient, Params, path
from backoffice_shared.principal import principal

_LARGEST_PAGE = 100
_MOST_SECTIONS = 5_000
_MOST_FOUND = 1_000  # by one search: Zendesk goes no further
_FRESH_FOR = 300  # seconds; articles change rarely

Sections = dict[int, str]
"""The names of sections by their ids. Sections of different categories may have the same name."""


class HelpCenter:
    """What everybody may read there. A draft, or an article for some users only, does not exist for us.

    A space is a section, by its name. Whoever may see only parts of Zendesk sees the sections that are among them: by
    their ids, or by names that no other section has. A name that several sections have opens none of them.
    """

    kind = "article"
    source: KnowledgeSource = "help_center"

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    async def search_articles(self, query: ArticleQuery, limit: int) -> list[ArticleRow]:
        """Page by page: what is found may be for some users only, or in sections that are out of sight.

        Raises:
            TooLarge: there are fewer than `limit` among all that Zendesk gives for one search, and it has more.
        """
        text = plain(query.text)
        sections = _in_space(_in_sight(await self._sections()), query.space) if text else {}
        if not sections:
            return []
        size = min(2 * limit, _LARGEST_PAGE)
        found: list[ArticleRow] = []
        for page in range(1, _MOST_FOUND // size + 1):
            rows, more = await self._http.read(
                "help_center.search",
                "/api/v2/help_center/articles/search",
                params={"query": text, "page": page, "per_page": size, **_narrowed(query, sections)},
                into=partial(_rows, sections=sections, since=query.updated_since, size=size),
                fresh_for=_FRESH_FOR,
                scoped=True,
                tags=("articles",),
            )
            found += rows
            if len(found) >= limit or not more:
                return found[:limit]
        raise TooLarge(
            ZENDESK.title,
            "more articles have these words than can be looked through for those that you may see",
            hint="Search for more words, or in one space",
        )

    async def article(self, native: str) -> Article:
        article = None
        if is_id(native):
            sections = _in_sight(await self._sections())
            article = await self._http.read(
                "help_center.article",
                path("api", "v2", "help_center", "articles", native),
                into=partial(_article, sections=sections),
                fresh_for=_FRESH_FOR,
                scoped=True,
                tags=("articles", f"article:{native}"),
            )
        if article is None:
            raise NotFound(ZENDESK.title, f"there is no article {native[:40]!r}")
        return article

    async def _sections(self) -> Sections:
        """
        Raises:
            TooLarge: there are more than can be read for one answer.
        """
        found: Sections = {}
        for page in range(1, _MOST_SECTIONS // _LARGEST_PAGE + 1):
            some, more = await self._http.read(
                "help_center.sections",
                "/api/v2/help_center/sections",
                params={"page": page, "per_page": _LARGEST_PAGE},
                into=_sections,
                fresh_for=_FRESH_FOR,
                scoped=True,
                tags=("articles",),
            )
            found |= some
            if not more:
                return found
        raise TooLarge(ZENDESK.title, f"its Help Center has more than {_MOST_SECTIONS} sections")


def _in_sight(sections: Sections) -> Sections:
    parts = principal().parts(ZENDESK.name)
    if parts is None:
        return sections
    meanings = Counter([*sections.values(), *map(str, sections)])
    return {n: name for n, name in sections.items() if str(n) in parts or (name in parts and meanings[name] == 1)}


def _in_space(sections: Sections, space: str | None) -> Sections:
    if space is None:
        return sections
    return {n: name for n, name in sections.items() if name.casefold() == space.casefold()}


def _narrowed(query: ArticleQuery, sections: Sections) -> Params:
    """What the search can leave out by itself: it takes one section, and whole days."""
    section = {"section": next(iter(sections))} if len(sections) == 1 else {}
    if query.updated_since is None:
        return section
    return {**section, "updated_after": (query.updated_since - timedelta(days=1)).strftime("%Y-%m-%d")}


# ------------------------------------------------------------------------------------------------- wire to our words


def _sections(wire: Any) -> tuple[Sections, bool]:
    return {row["id"]: row["name"] for row in wire["sections"]}, wire["next_page"] is not None


def _rows(wire: Any, *, sections: Sections, since: datetime | None, size: int) -> tuple[list[ArticleRow], bool]:
    """And whether there may be more: of what is beyond the most that it finds, Zendesk need not say that there is."""
    rows = [_row(row, sections) for row in wire["results"] if _is_for_everybody(row, sections)]
    kept = [row for row in rows if since is None or (row.updated_at is not None and row.updated_at >= since)]
    return kept, wire["next_page"] is not None or len(wire["results"]) >= size


def _row(wire: Any, sections: Sections) -> ArticleRow:
    return ArticleRow(
        doc_id=_doc_id(wire),
        title=wire["title"],
        snippet=_snippet(wire),
        source="help_center",
        space=sections[wire["section_id"]],
        updated_at=wire["updated_at"],
        url=wire["html_url"],
    )


def _article(wire: Any, *, sections: Sections) -> Article | None:
    said = wire["article"]
    if not _is_for_everybody(said, sections):
        return None
    return Article(
        doc_id=_doc_id(said),
        title=said["title"],
        html=said["body"] or "",
        source="help_center",
        space=sections[said["section_id"]],
        updated_at=said["updated_at"],
        url=said["html_url"],
    )


def _is_for_everybody(wire: Any, sections: Sections) -> bool:
    """A segment of users is who may see an article: with none it is for everybody."""
    restricted = wire["user_segment_id"] is not None or bool(wire.get("user_segment_ids"))
    return not wire["draft"] and not restricted and wire["section_id"] in sections


def _snippet(wire: Any) -> str | None:
    """Found words are between `<em>` and `</em>`."""
    snippet: str = (wire.get("snippet") or "").replace("<em>", "").replace("</em>", "")
    return snippet[:300] or None


def _doc_id(wire: Any) -> str:
    return str(Ref(ZENDESK.name, "article", str(wire["id"])))
