"""HubSpot's wire over the fictional company: contacts and notes, on the paths of 2026-09 and of the older v3.

The v3 paths are there for HubSpot's own Python client, which still calls them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.company import Company, Note, Person
from backoffice_shared.sandbox.frame import VendorSandbox

TOKEN = "pat-sandbox-hubspot"  # noqa: S105 - a test credential of a fictional company
_FIRST_CONTACT, _FIRST_NOTE, _FIRST_OWNER = 100_001, 500_001, 900_001
_LARGEST_PAGE, _LARGEST_BATCH, _CEILING = 200, 100, 10_000

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
        written = {"hs_note_body": note.text, "hs_timestamp": _time(note.at), "hubspot_owner_id": owner}
        return _record(number, note.at, written)

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


def _app(portal: _Portal) -> ASGIApp:
    async def search(request: Request) -> Response:
        wanted = obj(await request.json())
        limit, after = int(wanted.get("limit") or 10), int(wanted.get("after") or 0)
        if not 0 < limit <= _LARGEST_PAGE:
            return _error(400, "VALIDATION_ERROR", f"limit must be at most {_LARGEST_PAGE}")
        if after + limit > _CEILING:
            return _error(400, "VALIDATION_ERROR", "Paging beyond 10,000 results is not supported.")
        finders: dict[str, Callable[[Record], list[Record]]] = {
            "contacts": portal.find_contacts,
            "notes": portal.find_notes,
        }
        found = finders[request.path_params["kind"]](wanted)
        page: Record = {
            "total": len(found),
            "results": [_chosen(row, arr(wanted.get("properties"))) for row in found[after : after + limit]],
        }
        if after + limit < len(found):
            page["paging"] = {"next": {"after": str(after + limit)}}
        return JSONResponse(page)

    async def batch_read(request: Request) -> Response:
        wanted = obj(await request.json())
        inputs = [str(obj(entry)["id"]) for entry in arr(wanted.get("inputs"))]
        if len(inputs) > _LARGEST_BATCH:
            return _error(400, "VALIDATION_ERROR", f"No more than {_LARGEST_BATCH} inputs are allowed.")
        by_email = wanted.get("idProperty") == "email"
        numbers = [portal.by_email.get(entry.lower(), 0) if by_email else _number(entry) for entry in inputs]
        found = [portal.contact(n) for n in numbers if n in portal.people]
        now = _time(datetime.now(UTC))
        answer: Record = {
            "status": "COMPLETE",
            "results": [_chosen(row, arr(wanted.get("properties"))) for row in found],
            "startedAt": now,
            "completedAt": now,
        }
        missing = [entry for entry, n in zip(inputs, numbers, strict=True) if n not in portal.people]
        if missing:
            answer |= {"numErrors": 1, "errors": [_not_found_in_batch(missing)]}
        return JSONResponse(answer, 207 if missing else 200)

    async def read(request: Request) -> Response:
        wanted = request.path_params["id"]
        by_email = request.query_params.get("idProperty") == "email"
        number = portal.by_email.get(wanted.lower(), 0) if by_email else _number(wanted)
        if number not in portal.people:
            return _error(404, "OBJECT_NOT_FOUND", "Object not found.  objectId are usually numeric.")
        properties = request.query_params.get("properties", "").split(",")
        return JSONResponse(_chosen(portal.contact(number), properties))

    def both(suffix: str, endpoint: Callable[[Request], Any], method: str) -> Iterable[Route]:
        for prefix in ("/crm/objects/2026-09", "/crm/v3/objects"):
            yield Route(prefix + suffix, endpoint, methods=[method])

    routes = [
        *both("/{kind:str}/search", search, "POST"),
        *both("/contacts/batch/read", batch_read, "POST"),
        *both("/contacts/{id}", read, "GET"),
    ]
    return _Authenticated(Starlette(routes=routes, exception_handlers={404: _no_route, KeyError: _no_route}))


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


def _record(number: int, at: datetime, properties: Record) -> Record:
    own = {"hs_object_id": str(number), "createdate": _time(at), "lastmodifieddate": _time(at)}
    return {
        "id": str(number),
        "properties": {**properties, **own},
        "createdAt": _time(at),
        "updatedAt": _time(at),
        "archived": False,
    }


def _chosen(record: Record, properties: list[str]) -> Record:
    """The record with the properties asked for; three of its own are always there."""
    kept = {*properties, "hs_object_id", "createdate", "lastmodifieddate"}
    return {**record, "properties": {n: v for n, v in record["properties"].items() if n in kept}}


def _filtered(rows: list[Record], search: Record) -> list[Record]:
    groups = [arr(obj(group).get("filters")) for group in arr(search.get("filterGroups"))]
    kept = [row for row in rows if not groups or any(all(_holds(row, obj(f)) for f in group) for group in groups)]
    for sort in reversed(arr(search.get("sorts"))):
        by = str(obj(sort).get("propertyName"))
        descending = obj(sort).get("direction") == "DESCENDING"
        kept.sort(key=lambda row: str(row["properties"].get(by) or ""), reverse=descending)
    return kept


def _holds(row: Record, condition: Record) -> bool:
    value = row["properties"].get(str(condition.get("propertyName")))
    operator = str(condition.get("operator"))
    if operator in _ABSENT:
        return (value is None) is _ABSENT[operator]
    if value is None or operator not in _OPERATORS:
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


def _error(status: int, category: str, message: str, **more: str) -> Response:
    identity = {"correlationId": str(UUID(int=0)), "category": category}
    return JSONResponse({"status": "error", "message": message, **identity, **more}, status)


async def _no_route(_request: Request, _error_raised: Exception) -> Response:
    return _error(404, "OBJECT_NOT_FOUND", "resource not found")


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else 0
