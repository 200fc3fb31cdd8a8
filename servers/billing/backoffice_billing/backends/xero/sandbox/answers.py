"""What all endpoints of the sandbox have in common: envelopes, refusals, how they read a request, and how they page."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backoffice_billing.backends.xero.sandbox.records import make_id
from backoffice_billing.backends.xero.sandbox.wire import Record, written
from backoffice_shared.jsonvalues import arr, obj

if TYPE_CHECKING:
    from backoffice_billing.backends.xero.sandbox.org import Org

LARGEST_PAGE, USUAL_PAGE = 1_000, 100

Endpoint = tuple[str, str, Callable[[Request], Any]]
"""A method, a path below the API's, and what answers."""


class Refused(Exception):  # noqa: N818 - it is what happened
    """Instead of an answer, this one."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer


class Invalid(Exception):  # noqa: N818
    """An element cannot be written: for these reasons."""

    def __init__(self, *sentences: str, element: Record | None = None) -> None:
        self.sentences = sentences
        self.element = element or {}


def not_found() -> Response:
    return Response("The resource you're looking for cannot be found", 404, media_type="text/html")


def denied(status: int, title: str, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    body: Record = {
        "Type": None,
        "Title": title,
        "Status": status,
        "Detail": detail,
        "Instance": _NOBODY,
        "Extensions": {},
    }
    return JSONResponse(body, status, headers)


def throttled(seconds: int, problem: str = "minute") -> Response:
    headers = {"retry-after": str(seconds), "x-rate-limit-problem": problem, "x-minlimit-remaining": "0"}
    return Response(status_code=429, headers={**headers, "x-daylimit-remaining": "4000"})


def bad_request(number: int, kind: str, message: str) -> Response:
    return JSONResponse({"ErrorNumber": number, "Type": kind, "Message": message}, 400)


def bad_query(message: str) -> Response:
    return bad_request(16, "QueryParseException", message)


def validation(elements: Sequence[Record]) -> Response:
    body = {"ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation exception occurred"}
    return JSONResponse({**body, "Elements": list(elements)}, 400)


def refused_element(invalid: Invalid) -> Record:
    errors = [{"Message": sentence} for sentence in invalid.sentences]
    return {**invalid.element, "HasErrors": True, "StatusAttributeString": "ERROR", "ValidationErrors": errors}


_NOBODY = "00000000-0000-0000-0000-000000000000"


def answered(org: Org, name: str, rows: Sequence[Any], pages: Record | None = None) -> Response:
    return JSONResponse(
        {
            "Id": make_id("request", org.number_of("request")),
            "Status": "OK",
            "ProviderName": "Backoffice",
            "DateTimeUTC": written(org.now),
            **({} if pages is None else {"pagination": pages}),
            name: rows,
        }
    )


# ------------------------------------------------------------------------------------------------------- requests


async def elements_of(request: Request, name: str) -> list[Record]:
    """`{"Invoices": [{…}]}`, or one of them alone."""
    try:
        body = obj(await request.json())
    except (ValueError, RecursionError):
        raise Refused(bad_request(14, "PostDataInvalidException", "JSON for post data was invalid")) from None
    found = [obj(entry) for entry in arr(body[name])] if name in body else [body]
    if not found or not all(found):
        raise Refused(bad_request(14, "PostDataInvalidException", f"JSON for post data was invalid: no {name}"))
    return found


def listed(request: Request, name: str) -> list[str] | None:
    """`a,b,c`; None where it is not asked for."""
    text = request.query_params.get(name)
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    return request.query_params.get(name, str(default)).lower() == "true"


def page(request: Request, rows: Sequence[Any]) -> tuple[list[Any], Record | None]:
    """The page that is asked for, with what is said of it; everything where no page is."""
    asked = request.query_params
    if "page" not in asked and "pageSize" not in asked:
        return list(rows), None
    number = max(1, _whole(asked.get("page"), 1))
    size = min(LARGEST_PAGE, max(1, _whole(asked.get("pageSize"), USUAL_PAGE)))
    start = (number - 1) * size
    pages = {"page": number, "pageSize": size, "pageCount": math.ceil(len(rows) / size), "itemCount": len(rows)}
    return list(rows[start : start + size]), pages


def _whole(text: str | None, default: int) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() and len(text) < 9 else default
