"""What all endpoints of the sandbox have in common: how they refuse, how they read a request, and how they page."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backoffice_customer.backends.zendesk.search import InvalidSearch
from backoffice_customer.backends.zendesk.wire import Record
from backoffice_shared.jsonvalues import obj

Endpoint = tuple[str, str, Callable[[Request], Any]]
"""A method, a path below `/api/v2/`, and what answers."""

_LARGEST_PAGE, _LARGEST_BATCH = 100, 100


# ------------------------------------------------------------------------------------------------------- refusals


class Refused(Exception):  # noqa: N818 - it is what happened
    """Instead of an answer, this one."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer


def not_found() -> Response:
    return error(404, "RecordNotFound", "Not found")


def invalid(field: str, sentence: str) -> Response:
    return error(422, "RecordInvalid", "Record validation errors", details={field: [{"description": sentence}]})


def forbidden() -> Response:
    sentence = (
        "You do not have access to this page. Please contact the account owner of this help desk for further help."
    )
    return JSONResponse({"error": {"title": "Forbidden", "message": sentence}}, 403)


def error(
    status: int, name: str, description: str, *, headers: Mapping[str, str] | None = None, **more: Any
) -> Response:
    return JSONResponse({"error": name, "description": description, **more}, status, headers)


def oauth_error(status: int, name: str, description: str) -> Response:
    return JSONResponse({"error": name, "error_description": description}, status)


# ------------------------------------------------------------------------------------------------------- requests


async def body_of(request: Request) -> Any:
    try:
        return await request.json()
    except ValueError:
        raise Refused(error(400, "InvalidJSON", "The request body is not valid JSON")) from None


def _positive(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise Refused(error(400, "InvalidPaginationParameter", f"{name} must be an integer greater than 0"))
    return int(text)


def ids_in(text: str) -> list[int]:
    """`1,2,3`"""
    asked = [part.strip() for part in text.split(",")]
    if len(asked) > _LARGEST_BATCH:
        raise Refused(error(422, "TooManyValues", f"ids: at most {_LARGEST_BATCH} values are allowed"))
    return [int(part) for part in dict.fromkeys(asked) if part.isdecimal()]


# --------------------------------------------------------------------------------------------------------- paging


@dataclass(frozen=True, slots=True)
class Page:
    rows: list[Any]
    links: Record


def page(request: Request, rows: list[Any], *, ceiling: int | None = None) -> Page:
    """Offset pagination: `page` from 1, `per_page` at most 100."""
    nth, size = _positive(request, "page", 1), min(_positive(request, "per_page", _LARGEST_PAGE), _LARGEST_PAGE)
    if ceiling is not None and nth * size > ceiling:
        raise InvalidSearch("Requested response size was greater than Search Response Limits")

    def link(number: int) -> str:
        return str(request.url.include_query_params(page=number))

    links = {
        "next_page": link(nth + 1) if nth * size < len(rows) else None,
        "previous_page": link(nth - 1) if nth > 1 else None,
        "count": len(rows),
    }
    return Page(rows[(nth - 1) * size : nth * size], links)


def any_page(request: Request, indices: list[int]) -> Page:
    """By cursor, when that is asked for."""
    asked = request.query_params
    return _cursor_page(request, indices) if "page[size]" in asked or "page[after]" in asked else page(request, indices)


def _cursor_page(request: Request, indices: list[int]) -> Page:
    """Cursor pagination: `page[size]` records after the one that the cursor names."""
    size = min(_positive(request, "page[size]", _LARGEST_PAGE), _LARGEST_PAGE)
    after = request.query_params.get("page[after]")
    start = 0 if after is None else indices.index(_index(after, indices)) + 1
    rows = indices[start : start + size]
    first, last = (_cursor(rows[0]), _cursor(rows[-1])) if rows else (None, None)
    has_more = start + size < len(indices)
    following = str(request.url.include_query_params(**{"page[after]": last})) if has_more else None
    return Page(
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
        raise Refused(error(400, "InvalidPaginationParameter", "page[after] is not a valid cursor"))
    return index
