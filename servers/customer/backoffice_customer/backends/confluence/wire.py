"""The wiki's records as Confluence writes them, in both versions of its API.

Source: https://developer.atlassian.com/cloud/confluence/rest/v1/intro/ and
https://developer.atlassian.com/cloud/confluence/rest/v2/intro/
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

from backoffice_customer.backends.confluence.cql import Query
from backoffice_customer.backends.confluence.wiki import Page, Space, excerpt

Record = dict[str, Any]

_ME = "557058:7f9c1a52-0000-4000-8000-000000000001"
"""The account that everything was written with."""


class Wire:
    """`base` is the address of the wiki on the host that was asked, which links to pages begin with."""

    def __init__(self, base: str) -> None:
        self.base = base

    # ------------------------------------------------------------------------------------------------- version 2

    def page(self, page: Page, representations: tuple[str, ...], *, labels: bool = False) -> Record:
        return {
            "id": str(page.id),
            "status": "current",
            "title": page.title,
            "spaceId": str(page.space.id),
            **({} if page.parent is None else {"parentId": str(page.parent), "parentType": "page"}),
            "position": page.id,
            "authorId": _ME,
            "ownerId": _ME,
            "lastOwnerId": None,
            "createdAt": wire_time(page.created_at),
            "version": self._version(page),
            "body": {name: _body(page, name) for name in representations},
            **({"labels": self._labels(page)} if labels else {}),
            "_links": {
                "webui": _webui(page),
                "editui": f"/pages/resumedraft.action?draftId={page.id}",
                "tinyui": f"/x/{page.id:x}",
                "base": self.base,
            },
        }

    def space(self, space: Space, founded: datetime) -> Record:
        return {
            "id": str(space.id),
            "key": space.key,
            "name": space.name,
            "type": "global",
            "status": "current",
            "authorId": _ME,
            "createdAt": wire_time(founded),
            "homepageId": str(space.homepage),
            "_links": {"webui": f"/spaces/{space.key}", "base": self.base},
        }

    def _version(self, page: Page) -> Record:
        return {
            "number": 1 if page.updated_at == page.created_at else 2,
            "message": "",
            "minorEdit": False,
            "authorId": _ME,
            "createdAt": wire_time(page.updated_at),
        }

    def _labels(self, page: Page) -> Record:
        rows = [
            {"id": str(page.id * 100 + n), "name": label, "prefix": "global"} for n, label in enumerate(page.labels)
        ]
        return {"results": rows, "meta": {"hasMore": False}, "_links": {"self": f"/wiki/api/v2/pages/{page.id}/labels"}}

    # ------------------------------------------------------------------------------------------------- version 1

    def content(self, page: Page, expand: frozenset[str]) -> Record:
        """With what `expand` names; what it does not is in `_expandable`, as the place to ask for it."""
        self_link = f"{self.base}/rest/api/content/{page.id}"
        space = f"/rest/api/space/{page.space.key}"
        whole: Record = {
            "space": self.old_space(page.space),
            "version": {
                "when": wire_time(page.updated_at),
                "number": self._version(page)["number"],
                "message": "",
                "minorEdit": False,
            },
            "history": {"latest": True, "createdDate": wire_time(page.created_at)},
            "body": {name: _body(page, name) for name in ("view", "storage") if f"body.{name}" in expand},
            "metadata": {"labels": {"results": self._labels(page)["results"], "start": 0, "limit": 200}},
            "ancestors": [] if page.parent is None else [{"id": str(page.parent), "type": "page"}],
        }
        names = {name.partition(".")[0] for name in expand}
        places = {"space": space, "history": f"/rest/api/content/{page.id}/history"}
        return {
            "id": str(page.id),
            "type": "page",
            "status": "current",
            "title": page.title,
            **{name: value for name, value in whole.items() if name in names},
            "extensions": {"position": page.id},
            "_expandable": {name: places.get(name, "") for name in whole if name not in names},
            "_links": {"webui": _webui(page), "tinyui": f"/x/{page.id:x}", "self": self_link},
        }

    def old_space(self, space: Space) -> Record:
        return {
            "id": space.id,
            "key": space.key,
            "name": space.name,
            "type": "global",
            "status": "current",
            "_expandable": {"homepage": f"/rest/api/content/{space.homepage}", "description": "", "icon": ""},
            "_links": {"webui": f"/spaces/{space.key}", "self": f"{self.base}/rest/api/space/{space.key}"},
        }

    def found(self, page: Page, query: Query | None, how: str, expand: frozenset[str]) -> Record:
        """One result of a search."""
        inner = frozenset(name.removeprefix("content.") for name in expand if name.startswith("content."))
        return {
            "content": self.content(page, inner),
            "title": page.title,
            "excerpt": excerpt(page, query, how),
            "url": _webui(page),
            "resultGlobalContainer": {"title": page.space.name, "displayUrl": f"/spaces/{page.space.key}"},
            "breadcrumbs": [],
            "entityType": "content",
            "iconCssClass": "aui-icon content-type-page",
            "lastModified": wire_time(page.updated_at),
            "friendlyLastModified": page.updated_at.strftime("%b %d, %Y"),
            "score": 0.0,
        }


def wire_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _webui(page: Page) -> str:
    return f"/spaces/{page.space.key}/pages/{page.id}/{quote_plus(page.title)}"


def _body(page: Page, representation: str) -> Record:
    value = page.body.view if representation == "view" else page.body.storage
    return {"representation": representation, "value": value}
