"""The sandbox's answers in HubSpot's words, and how it reads what it is asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backoffice_shared.jsonvalues import obj

Record = dict[str, Any]


class Refused(Exception):  # noqa: N818 - it is what happened
    """HubSpot's refusal: the sentence, and the field that is wrong."""

    def __init__(self, message: str, field: str, *, status: int = 400, category: str = "VALIDATION_ERROR") -> None:
        super().__init__(message)
        self.field = field
        self.status = status
        self.category = category


def error(status: int, category: str, message: str, **more: object) -> Response:
    identity = {"correlationId": str(UUID(int=0)), "category": category}
    return JSONResponse({"status": "error", "message": message, **identity, **more}, status)


async def no_route(_request: Request, raised: Exception) -> Response:
    status = raised.status_code if isinstance(raised, HTTPException) else 404
    return error(status, "OBJECT_NOT_FOUND" if status == 404 else "METHOD_NOT_ALLOWED", "resource not found")


async def refusal(_request: Request, raised: Exception) -> Response:
    assert isinstance(raised, Refused)  # noqa: S101 - it is registered for nothing else
    message = str(raised)
    return error(raised.status, raised.category, message, errors=[{"message": message, "in": raised.field}])


def not_found() -> Refused:
    sentence = "Object not found.  objectId are usually numeric."
    return Refused(sentence, "objectId", status=404, category="OBJECT_NOT_FOUND")


def invalid_json(problem: str, field: str) -> Refused:
    return Refused(f"Invalid input JSON on line 1, column 1: {problem}", field)


async def body(request: Request) -> Record:
    try:
        wanted = await request.json()
    except (ValueError, RecursionError):
        raise invalid_json("Unexpected character", "body") from None
    if (fields := obj(wanted)) != wanted:
        raise invalid_json("an object is expected", "body")
    return fields


def required(wanted: Record, what: str, *names: str) -> None:
    if missing := [name for name in names if wanted.get(name) is None]:
        raise invalid_json(
            f"Cannot build {what}, some of required attributes are not set [{', '.join(missing)}]", missing[0]
        )


def whole(wanted: Record, field: str, default: int) -> int:
    """A number, or its digits: HubSpot takes either."""
    text = str(default if wanted.get(field) is None else wanted[field])
    if not is_number(text):
        raise invalid_json(f"{text[:40]!r} is not a number", field)
    return int(text)


def page(rows: list[Any], after: int, limit: int) -> tuple[list[Any], Record]:
    """The rows after so many, and what leads to the next ones."""
    following = {"paging": {"next": {"after": str(after + limit)}}} if after + limit < len(rows) else {}
    return rows[after : after + limit], following


def finished(results: list[Record], **more: object) -> Record:
    """What was asked for in a batch."""
    now = time(datetime.now(UTC))
    return {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now, **more}


def time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def number(text: str) -> int:
    return int(text) if is_number(text) else 0


def is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
