"""The fictional company's wiki: which spaces and pages are in it, as Confluence numbers them, and how they are found.

What is written stays in here, under the real present time.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape, unescape
from typing import Any

from backoffice_customer.backends.confluence.bodies import Body, body_of
from backoffice_customer.backends.confluence.cql import (
    Both,
    Clause,
    InvalidQuery,
    Not,
    Query,
    Search,
    condition,
    moment,
    spaced,
    texts,
)
from backoffice_shared.sandbox.articles import Article
from backoffice_shared.sandbox.company import Company

_FIRST_SPACE, _FIRST_PAGE = 65_537, 300_001
_NAMES = {"SUP": "Customer support", "OPS": "Operations", "HR": "People"}
_EXCERPT = 320  # characters


@dataclass(frozen=True, slots=True)
class Space:
    id: int
    key: str
    name: str
    homepage: int


@dataclass(frozen=True, slots=True)
class Page:
    id: int
    space: Space
    title: str
    body: Body
    labels: tuple[str, ...]
    created_at: datetime
    updated_at: datetime
    parent: int | None = None

    @property
    def text(self) -> str:
        """What a search sees of its body."""
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", self.body.view)).split())


class Wiki:
    """Spaces and pages go by Confluence's ids. While `searches_are_stale`, they do not find pages that are new."""

    def __init__(self, company: Company, searches_are_stale: Callable[[], bool]) -> None:
        self.founded = company.today - timedelta(days=2000)
        self._searches_are_stale = searches_are_stale
        internal = [article for article in company.articles if article.audience == "internal"]
        self.spaces = {space.id: space for space in _spaces(internal)}
        self._by_key = {space.key: space for space in self.spaces.values()}
        self.pages = {page.id: page for page in (self._page(article, company.today) for article in internal)}
        self._first_new = _FIRST_PAGE + len(self.pages)

    def space(self, key: str) -> Space | None:
        return self._by_key.get(key)

    def create(self, space: Space, title: str, storage: str, parent: int | None) -> Page | None:
        """None when the space has a page of this title: they are unique in it. What is rendered is what is kept."""
        if any(page.space == space and page.title == title for page in self.pages.values()):
            return None
        now = datetime.now(UTC)
        page = Page(_FIRST_PAGE + len(self.pages), space, title, Body(storage, storage), (), now, now, parent)
        self.pages[page.id] = page
        return page

    def find(self, search: Search) -> list[Page]:
        """As the query orders them, or else those first whose titles have what is looked for."""
        asked = _test(search.query)
        found = [page for page in self.pages.values() if self._is_seen(page) and asked(page)]
        if not search.order:
            titled = [condition(text) for text in texts(search.query)]
            return sorted(found, key=lambda page: not any(holds(page.title) for holds in titled))
        for field, descending in reversed(search.order):
            if field not in _ORDERED:
                raise InvalidQuery(f"Could not parse cql : cannot order by {field}")
            found.sort(key=_ORDERED[field], reverse=descending)
        return found

    def _is_seen(self, page: Page) -> bool:
        return page.id < self._first_new or not self._searches_are_stale()

    def _page(self, article: Article, today: datetime) -> Page:
        page_id, space = _FIRST_PAGE + article.number, self._by_key[article.space]
        return Page(
            id=page_id,
            space=space,
            title=article.title,
            body=body_of(article),
            labels=article.labels,
            created_at=max(self.founded, today - timedelta(days=article.age + 100)),
            updated_at=today - timedelta(days=article.age),
            parent=None if page_id == space.homepage else space.homepage,
        )


def excerpt(page: Page, query: Query | None, how: str) -> str:
    """As HTML: "indexed" is how the text begins, "highlight" marks in it what was looked for."""
    if how == "none":
        return ""
    start = escape(page.text[:_EXCERPT], quote=True)
    if how == "indexed":
        return start
    wanted = {word for text in texts(query) for word in spaced(text).split()}
    return re.sub(
        r"\w+",
        lambda word: f"@@@hl@@@{word[0]}@@@endhl@@@" if word[0].lower() in wanted else word[0],
        start,
    )


def _spaces(articles: Iterable[Article]) -> Iterable[Space]:
    homes: dict[str, int] = {}
    for article in articles:
        homes.setdefault(article.space, _FIRST_PAGE + article.number)
    for n, (key, home) in enumerate(homes.items()):
        yield Space(_FIRST_SPACE + n, key, _NAMES.get(key, key), home)


# --------------------------------------------------------------------------------------------------------- finding

Test = Callable[[Page], bool]

_ORDERED: dict[str, Callable[[Page], Any]] = {
    "lastmodified": lambda page: page.updated_at,
    "created": lambda page: page.created_at,
    "title": lambda page: page.title.lower(),
    "id": lambda page: page.id,
}
_COMPARED: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


def _test(query: Query | None) -> Test:
    """What a query asks of a page."""
    match query:
        case None:
            return lambda _page: True
        case Not(inner):
            asked = _test(inner)
            return lambda page: not asked(page)
        case Both(first, second, "and"):
            one, other = _test(first), _test(second)
            return lambda page: one(page) and other(page)
        case Both(first, second):
            one, other = _test(first), _test(second)
            return lambda page: one(page) or other(page)
        case Clause():
            return _of_clause(query)


def _of_clause(clause: Clause) -> Test:
    if clause.field in ("lastmodified", "created"):
        if clause.operator not in _COMPARED:
            raise InvalidQuery(f"Could not parse cql : {clause.field} cannot be asked with {clause.operator}")
        read, compare, wanted = _ORDERED[clause.field], _COMPARED[clause.operator], moment(clause.values[0])
        return lambda page: compare(read(page).replace(second=0, microsecond=0), wanted)
    if clause.operator in ("~", "!~"):
        if clause.field not in ("title", "text"):
            raise InvalidQuery(f"Could not parse cql : {clause.field} is no text field")
        holds, is_wanted, titles = condition(clause.values[0]), clause.operator == "~", clause.field == "title"
        return lambda page: holds(page.title if titles else f"{page.title} {page.text}") == is_wanted
    if clause.field == "text" or clause.operator not in ("=", "!=", "in", "not in"):
        raise InvalidQuery(f"Could not parse cql : {clause.field} cannot be asked with {clause.operator}")
    values, is_wanted = frozenset(clause.values), clause.operator in ("=", "in")
    return lambda page: (not values.isdisjoint(_values(page, clause.field))) == is_wanted


def _values(page: Page, field: str) -> tuple[str, ...]:
    """What a page has in a field that is compared whole."""
    match field:
        case "type":
            return ("page",)
        case "space":
            return (page.space.key,)
        case "space.id":
            return (str(page.space.id),)
        case "title":
            return (page.title,)
        case "id":
            return (str(page.id),)
        case _:
            return page.labels
