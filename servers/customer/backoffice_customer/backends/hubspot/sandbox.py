"""HubSpot's wire over the fictional company: contacts and notes, on the paths of 2026-09 and of the older v3.

The v3 paths are there for HubSpot's own Python client, which still calls them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from html import escape
from typing import Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.company import Company, Note, Person
from backoffice_shared.sandbox.frame import VendorSandbox

TOKEN = "pat-sandbox-hubspot"  # noqa: S105 - a test credential of a fictional company
_FIRST_CONTACT, _FIRST_NOTE, _FIRST_OWNER = 100_001, 500_001, 900_001
_LARGEST_PAGE, _LARGEST_BATCH, _CEILING, _LONGEST_QUERY, _MOST_GROUPS = 200, 100, 10_000, 3_000, 6
_V3 = "/crm/v3/objects"

Record = dict[str, Any]


def hubspot_sandbox(company: Company) -> VendorSandbox:
    return VendorSandbox(
        name="hubspot",
        title="HubSpot",
        app=_app(_Portal(company)),
        credentials={"access_token": TOKEN},
        throttled=lambda _seconds: _error(
            429,
            "RATE_LIMITS",
            "You have reached your ten_secondly_rolling limit.",
            errorType="RATE_LIMIT",
            policyName="TEN_SECONDLY_ROLLING",
        ),
        unavailable=lambda: _error(503, "INTERNAL_ERROR", "There was a problem with the request."),
    )


class _Portal:
    """The company's people and notes as HubSpot numbers and names them. Nothing is copied until it is asked for."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.people = {_FIRST_CONTACT + p.number: p for p in company.people if "crm" in p.systems}
        self.by_email = {person.email: number for number, person in self.people.items()}
        self.notes = {_FIRST_NOTE + note.number: note for note in company.notes}

    def contact(self, number: int) -> Record:
        person = self.people[number]
        organisation = self.company.organisation(person)
        return _record(
            number,
            person.since,
            {
                "firstname": person.first_name,
                "lastname": person.last_name,
                "email": person.email,
                "phone": person.phone,
                "mobilephone": None,
                "company": None if organisation is None else organisation.name,
                "hubspot_owner_id": str(_FIRST_OWNER + person.number % len(self.company.agents)),
                "lifecyclestage": {"lead": "lead", "customer": "customer", "former": "other"}[person.lifecycle],
                "hs_language": person.language,
                "country": person.country,
                "hs_email_optout": "false" if person.email_consent else "true",
                "customer_tier": person.tier,
            },
        )

    def note(self, number: int) -> Record:
        note = self.notes[number]
        owner = str(_FIRST_OWNER + note.person % len(self.company.agents))
        body = f"<div><p>{escape(note.text)}</p></div>"
        written = {"hs_note_body": body, "hs_timestamp": _time(note.at), "hubspot_owner_id": owner}
        return _record(number, note.at, written, prefix="hs_")

    def find_contacts(self, search: Record) -> list[Record]:
        query = str(search.get("query") or "").lower()
        found = [n for n, person in self.people.items() if self._mentioned(person, query)]
        return _filtered([self.contact(n) for n in found], search)

    def _mentioned(self, person: Person, query: str) -> bool:
        """Whether the contact's default search properties hold every word of the query."""
        organisation = self.company.organisation(person)
        text = f"{person.name} {person.email} {person.phone} {organisation.name if organisation else ''}".lower()
        return all(word in text for word in query.split())

    def find_notes(self, search: Record) -> list[Record]:
        """Notes carry their contact as the pseudo-property that searches filter associations by."""

        def row(number: int, note: Note) -> Record:
            record = self.note(number)
            record["properties"]["associations.contact"] = str(_FIRST_CONTACT + note.person)
            return record

        found = _filtered([row(number, note) for number, note in self.notes.items()], search)
        for record in found:
            del record["properties"]["associations.contact"]
        return found


class _Refused(Exception):  # noqa: N818 - it is what happened
    """HubSpot's 400: the sentence, and the field that is wrong."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def _app(portal: _Portal) -> ASGIApp:
    def search(find: Callable[[Record], list[Record]]) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            wanted = await _body(request)
            limit, after = _whole(wanted, "limit", 10), _whole(wanted, "after", 0)
            if not 0 < limit <= _LARGEST_PAGE:
                raise _Refused(f"limit must be from 1 to {_LARGEST_PAGE}", "limit")
            if after + limit > _CEILING:
                raise _Refused("Paging beyond 10,000 results is not supported.", "after")
            if len(str(wanted.get("query") or "")) > _LONGEST_QUERY:
                raise _Refused(f"query must have at most {_LONGEST_QUERY} characters", "query")
            found = find(wanted)
            page: Record = {
                "total": len(found),
                "results": [_chosen(row, arr(wanted.get("properties"))) for row in found[after : after + limit]],
            }
            if after + limit < len(found):
                page["paging"] = {"next": {"after": str(after + limit)}}
            return JSONResponse(page)

        return endpoint

    async def batch_read(request: Request) -> Response:
        wanted = await _body(request)
        inputs = [obj(entry).get("id") for entry in arr(wanted.get("inputs"))]
        if len(inputs) > _LARGEST_BATCH:
            raise _Refused(f"No more than {_LARGEST_BATCH} inputs are allowed.", "inputs")
        if None in inputs:
            raise _invalid_json("Cannot build PublicObjectId, some of required attributes are not set [id]", "inputs")
        ids = [str(entry) for entry in inputs]
        by_email = wanted.get("idProperty") == "email"
        numbers = [portal.by_email.get(entry.lower(), 0) if by_email else _number(entry) for entry in ids]
        found = [portal.contact(n) for n in numbers if n in portal.people]
        now = _time(datetime.now(UTC))
        answer: Record = {
            "status": "COMPLETE",
            "results": [_chosen(row, arr(wanted.get("properties"))) for row in found],
            "startedAt": now,
            "completedAt": now,
        }
        missing = [entry for entry, n in zip(ids, numbers, strict=True) if n not in portal.people]
        if missing:
            answer |= {"numErrors": 1, "errors": [_not_found_in_batch(missing)]}
        # What 2026-09 knows as a part of its 200 was a status of its own in v3.
        return JSONResponse(answer, 207 if missing and request.url.path.startswith(_V3) else 200)

    async def read(request: Request) -> Response:
        wanted = request.path_params["id"]
        by_email = request.query_params.get("idProperty") == "email"
        number = portal.by_email.get(wanted.lower(), 0) if by_email else _number(wanted)
        if number not in portal.people:
            return _error(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
        given = request.query_params.getlist("properties")
        properties = [name for names in given for name in names.split(",") if name]
        return JSONResponse(_chosen(portal.contact(number), properties))

    def both(suffix: str, endpoint: Callable[[Request], Awaitable[Response]], method: str) -> Iterable[Route]:
        for prefix in ("/crm/objects/2026-09", _V3):
            yield Route(prefix + suffix, endpoint, methods=[method])

    routes = [
        *both("/contacts/search", search(portal.find_contacts), "POST"),
        *both("/notes/search", search(portal.find_notes), "POST"),
        *both("/contacts/batch/read", batch_read, "POST"),
        *both("/contacts/{id}", read, "GET"),
    ]
    return _Authenticated(Starlette(routes=routes, exception_handlers={HTTPException: _no_route, _Refused: _refusal}))


class _Authenticated:
    """Every request needs the token, and every answer says what is left of the limit."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if Request(scope).headers.get("authorization") != f"Bearer {TOKEN}":
            denied = _error(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
            await denied(scope, receive, send)
            return

        async def limited(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *_LIMITS]
            await send(message)

        await self._app(scope, receive, limited)


_LIMITS = (
    (b"x-hubspot-ratelimit-max", b"100"),
    (b"x-hubspot-ratelimit-remaining", b"99"),
    (b"x-hubspot-ratelimit-interval-milliseconds", b"10000"),
)


# ------------------------------------------------------------------------------------------------ HubSpot's words


def _record(number: int, at: datetime, properties: Record, *, prefix: str = "") -> Record:
    """An object. What a contact calls `createdate`, all others call `hs_createdate`."""
    own = {"hs_object_id": str(number), f"{prefix}createdate": _time(at), f"{prefix}lastmodifieddate": _time(at)}
    return {
        "id": str(number),
        "properties": {**properties, **own},
        "createdAt": _time(at),
        "updatedAt": _time(at),
        "archived": False,
    }


_ALWAYS_GIVEN = {"hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate"}
_GIVEN_UNASKED = ["firstname", "lastname", "email"]


def _chosen(record: Record, properties: list[str]) -> Record:
    """The record with the properties asked for, or those that are given to whoever asks for none."""
    kept = {*map(str, properties or _GIVEN_UNASKED), *_ALWAYS_GIVEN}
    return {**record, "properties": {n: v for n, v in record["properties"].items() if n in kept}}


def _filtered(rows: list[Record], search: Record) -> list[Record]:
    groups = [[_condition(obj(f)) for f in arr(obj(g).get("filters"))] for g in arr(search.get("filterGroups"))]
    if len(groups) > _MOST_GROUPS:
        raise _Refused(f"No more than {_MOST_GROUPS} filterGroups are allowed.", "filterGroups")
    kept = [row for row in rows if not groups or any(all(_holds(row, f) for f in group) for group in groups)]
    for sort in reversed(arr(search.get("sorts"))):
        by = str(obj(sort).get("propertyName"))
        descending = obj(sort).get("direction") == "DESCENDING"
        kept.sort(key=lambda row: str(row["properties"].get(by) or ""), reverse=descending)
    return kept


def _condition(condition: Record) -> Record:
    """A filter that can be asked for."""
    operator = str(condition.get("operator"))
    if missing := [name for name in ("propertyName", "operator") if condition.get(name) is None]:
        names = ", ".join(missing)
        raise _invalid_json(f"Cannot build Filter, some of required attributes are not set [{names}]", "filterGroups")
    if operator not in _OPERATORS and operator not in _ABSENT:
        raise _invalid_json(f"{operator} is not one of the filter operators", "filterGroups")
    if operator == "BETWEEN" and condition.get("highValue") is None:
        raise _invalid_json("operator BETWEEN requires a highValue", "filterGroups")
    if operator in ("IN", "NOT_IN") and not arr(condition.get("values")):
        raise _invalid_json(f"operator {operator} requires values", "filterGroups")
    return condition


def _holds(row: Record, condition: Record) -> bool:
    value = row["properties"].get(str(condition.get("propertyName")))
    operator = str(condition.get("operator"))
    if operator in _ABSENT:
        return (value is None) is _ABSENT[operator]
    if value is None:
        return operator.startswith("N")  # NEQ, NOT_IN and NOT_CONTAINS_TOKEN hold for what is not there
    low, high = (_comparable(condition.get(name)) for name in ("value", "highValue"))
    members = {_comparable(entry) for entry in arr(condition.get("values"))}
    return _OPERATORS[operator](_comparable(value), low, high, members)


_Comparable = tuple[float, str]
_ABSENT = {"HAS_PROPERTY": False, "NOT_HAS_PROPERTY": True}
_OPERATORS: dict[str, Callable[[_Comparable, _Comparable, _Comparable, set[_Comparable]], bool]] = {
    "EQ": lambda value, wanted, _high, _members: value == wanted,
    "NEQ": lambda value, wanted, _high, _members: value != wanted,
    "GT": lambda value, wanted, _high, _members: value > wanted,
    "GTE": lambda value, wanted, _high, _members: value >= wanted,
    "LT": lambda value, wanted, _high, _members: value < wanted,
    "LTE": lambda value, wanted, _high, _members: value <= wanted,
    "BETWEEN": lambda value, low, high, _members: low <= value <= high,
    "IN": lambda value, _wanted, _high, members: value in members,
    "NOT_IN": lambda value, _wanted, _high, members: value not in members,
    "CONTAINS_TOKEN": lambda value, wanted, _high, _members: wanted[1].strip("*") in value[1],
    "NOT_CONTAINS_TOKEN": lambda value, wanted, _high, _members: wanted[1].strip("*") not in value[1],
}


def _comparable(value: object) -> _Comparable:
    """Times and numbers by size, the rest by letters. A time may be written in milliseconds or in ISO 8601."""
    text = str(value or "")
    try:
        return (float(text), "")
    except ValueError:
        pass
    try:
        return (datetime.fromisoformat(text).timestamp() * 1000, "")
    except ValueError:
        return (0.0, text.lower())


def _not_found_in_batch(ids: list[str]) -> Record:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": "Could not get some CONTACT objects, they may be deleted or not exist. Check that ids are valid.",
        "context": {"ids": ids},
        "errors": [],
        "links": {},
    }


def _error(status: int, category: str, message: str, **more: object) -> Response:
    identity = {"correlationId": str(UUID(int=0)), "category": category}
    return JSONResponse({"status": "error", "message": message, **identity, **more}, status)


async def _no_route(_request: Request, raised: Exception) -> Response:
    status = raised.status_code if isinstance(raised, HTTPException) else 404
    return _error(status, "OBJECT_NOT_FOUND" if status == 404 else "METHOD_NOT_ALLOWED", "resource not found")


async def _refusal(_request: Request, raised: Exception) -> Response:
    message, field = str(raised), raised.field if isinstance(raised, _Refused) else ""
    return _error(400, "VALIDATION_ERROR", message, errors=[{"message": message, "in": field}])


def _invalid_json(problem: str, field: str) -> _Refused:
    return _Refused(f"Invalid input JSON on line 1, column 1: {problem}", field)


async def _body(request: Request) -> Record:
    try:
        wanted = await request.json()
    except (ValueError, RecursionError):
        raise _invalid_json("Unexpected character", "body") from None
    if (fields := obj(wanted)) != wanted:
        raise _invalid_json("an object is expected", "body")
    return fields


def _whole(wanted: Record, field: str, default: int) -> int:
    """A number, or its digits: HubSpot takes either."""
    text = str(default if wanted.get(field) is None else wanted[field])
    if not _is_number(text):
        raise _invalid_json(f"{text[:40]!r} is not a number", field)
    return int(text)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _number(text: str) -> int:
    return int(text) if _is_number(text) else 0


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 20
