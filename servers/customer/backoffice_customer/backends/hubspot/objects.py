"""The sandbox's CRM: records of all kinds by one set of paths, their owners, pipelines and associations.

Each is there on the date-versioned path that the adapter asks, and on the older one of HubSpot's own Python client.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_customer.backends.hubspot.answers import (
    Record,
    Refused,
    body,
    finished,
    invalid_json,
    not_found,
    number,
    page,
    required,
    whole,
)
from backoffice_customer.backends.hubspot.pipelines import PIPELINES, STAGES, SUPPORT
from backoffice_customer.backends.hubspot.portal import FIRST_OWNER, KINDS, Portal, numbers_of
from backoffice_customer.backends.hubspot.searching import associated, groups, holds, in_order, wanted_ids
from backoffice_shared.jsonvalues import arr, obj

_LARGEST_PAGE, _LARGEST_BATCH, _CEILING, _LONGEST_QUERY = 200, 100, 10_000, 3_000
_V3 = "/crm/v3/objects"

Endpoint = Callable[[Request], Awaitable[Response]]


class Objects:
    def __init__(self, portal: Portal) -> None:
        self._portal = portal

    def routes(self) -> Iterator[Route]:
        for family in ("/crm/objects/2026-09", _V3):
            yield Route(f"{family}/{{kind}}/search", self.search, methods=["POST"])
            yield Route(f"{family}/{{kind}}/batch/read", self.batch_read, methods=["POST"])
            yield Route(f"{family}/{{kind}}/batch/upsert", self.upsert, methods=["POST"])
            yield Route(f"{family}/{{kind}}", self.create, methods=["POST"])
            yield Route(f"{family}/{{kind}}/{{id}}", self.read, methods=["GET"])
            yield Route(f"{family}/{{kind}}/{{id}}", self.change, methods=["PATCH"])
        for family in ("/crm/objects/2026-03", "/crm/v4/objects"):
            yield Route(f"{family}/{{kind}}/{{id}}/associations/{{to}}", self.associations, methods=["GET"])
        for family in ("/crm/associations/2026-03", "/crm/v4/associations"):
            yield Route(f"{family}/{{kind}}/{{to}}/batch/read", self.many_associations, methods=["POST"])
        for family in ("/crm/owners/2026-03", "/crm/v3/owners"):
            yield Route(family, self.owners, methods=["GET"])
            yield Route(f"{family}/", self.owners, methods=["GET"])
            yield Route(f"{family}/{{id}}", self.one_owner, methods=["GET"])
        for family in ("/crm/pipelines/2026-09", "/crm/v3/pipelines"):
            yield Route(f"{family}/tickets", self.pipelines, methods=["GET"])

    # ---------------------------------------------------------------------------------------------------- reading

    async def search(self, request: Request) -> Response:
        kind, wanted = _kind(request), await body(request)
        limit, after = whole(wanted, "limit", 10), whole(wanted, "after", 0)
        if not 0 < limit <= _LARGEST_PAGE:
            raise Refused(f"limit must be from 1 to {_LARGEST_PAGE}", "limit")
        if after + limit > _CEILING:
            raise Refused("Paging beyond 10,000 results is not supported.", "after")
        if len(str(wanted.get("query") or "")) > _LONGEST_QUERY:
            raise Refused(f"query must have at most {_LONGEST_QUERY} characters", "query")
        found = self._found(kind, wanted)
        rows, following = page(found, after, limit)
        results = [_chosen(kind, self._seen(kind, n), arr(wanted.get("properties"))) for n in rows]
        return JSONResponse({"total": len(found), "results": results, **following})

    def _found(self, kind: str, wanted: Record) -> list[int]:
        """The numbers of the records that a search finds, in its order."""
        filters, words = groups(wanted), str(wanted.get("query") or "").lower().split()
        candidates = list(dict.fromkeys(self._candidates(kind, filters)))
        found = [n for n in candidates if not words or self._portal.mentions(kind, n, words)]
        if not filters and not arr(wanted.get("sorts")):
            return found
        rows = [row for row in (self._seen(kind, n) for n in found) if holds(row["properties"], filters)]
        return [int(row["id"]) for row in in_order(rows, wanted)]

    def _candidates(self, kind: str, filters: list[list[Record]]) -> Iterable[int]:
        """What there is to look at: what is associated with whom each group names, or else all."""
        named = [associated(group) for group in filters]
        if not filters or None in named:
            return self._portal.numbers(kind)
        everything = set(self._portal.numbers(kind)) if self._portal.searches_are_stale() else None
        return [
            found
            for condition in named
            if condition is not None
            for other in numbers_of(wanted_ids(condition))
            for found in self._portal.linked(_plural(str(condition["propertyName"])), other, kind)
            if everything is None or found in everything
        ]

    def _seen(self, kind: str, found: int) -> Record:
        record = self._portal.record(kind, found, as_searched=True)
        assert record is not None  # noqa: S101 - it was found
        return record

    async def batch_read(self, request: Request) -> Response:
        kind, wanted = _kind(request), await body(request)
        ids = [str(entry) for entry in _inputs(wanted)]
        numbers = self._numbers(kind, ids, wanted.get("idProperty"))
        records = [(entry, self._portal.record(kind, n)) for entry, n in zip(ids, numbers, strict=True)]
        found = [_chosen(kind, row, arr(wanted.get("properties"))) for _, row in records if row is not None]
        missing = [entry for entry, row in records if row is None]
        more = {"numErrors": 1, "errors": [_missing_in_batch(kind, missing)]} if missing else {}
        # What 2026-09 knows as a part of its 200 was a status of its own in v3.
        return JSONResponse(finished(found, **more), 207 if missing and request.url.path.startswith(_V3) else 200)

    async def read(self, request: Request) -> Response:
        kind, number_ = self._one(request)
        record = self._portal.record(kind, number_)
        if record is None:
            raise not_found()
        answer = _chosen(kind, record, _listed(request, "properties"))
        linked = {to: self._portal.linked(kind, number_, to) for to in _listed(request, "associations") if to in KINDS}
        if any(linked.values()):
            answer["associations"] = {
                to: {"results": [{"id": str(n), "type": f"{_SINGULAR[kind]}_to_{_SINGULAR[to]}"} for n in numbers]}
                for to, numbers in linked.items()
                if numbers
            }
        return JSONResponse(answer)

    async def associations(self, request: Request) -> Response:
        kind, number_ = self._one(request)
        to = request.path_params["to"]
        if self._portal.record(kind, number_) is None or to not in KINDS:
            raise not_found()
        asked = dict(request.query_params)
        linked = self._portal.linked(kind, number_, to)
        rows, following = page(linked, whole(asked, "after", 0), whole(asked, "limit", 500))
        return JSONResponse({"results": [_association(kind, to, n) for n in rows], **following})

    async def many_associations(self, request: Request) -> Response:
        kind, wanted, to = _kind(request), await body(request), request.path_params["to"]
        ids = [str(entry) for entry in _inputs(wanted)]
        linked = {entry: self._portal.linked(kind, number(entry), to) for entry in ids}
        found = [
            {"from": {"id": entry}, "to": [_association(kind, to, n) for n in numbers]}
            for entry, numbers in linked.items()
            if numbers
        ]
        missing = [entry for entry, numbers in linked.items() if not numbers]
        errors = [_not_associated(kind, to, entry) for entry in missing]
        more = {"numErrors": len(errors), "errors": errors} if errors else {}
        return JSONResponse(finished(found, **more), 207 if errors else 200)

    async def owners(self, request: Request) -> Response:
        asked = dict(request.query_params)
        agents = self._portal.company.agents
        mine = [agent for agent in agents if asked.get("email", agent.email).lower() == agent.email]
        rows, following = page(mine, whole(asked, "after", 0), whole(asked, "limit", 100))
        return JSONResponse({"results": [self._portal.owner(agent) for agent in rows], **following})

    async def one_owner(self, request: Request) -> Response:
        place = number(request.path_params["id"]) - FIRST_OWNER
        if not 0 <= place < len(self._portal.company.agents):
            raise not_found()
        return JSONResponse(self._portal.owner(self._portal.company.agents[place]))

    async def pipelines(self, _request: Request) -> Response:
        return JSONResponse({"results": PIPELINES})

    # ---------------------------------------------------------------------------------------------------- writing

    async def create(self, request: Request) -> Response:
        kind, wanted = _kind(request), await body(request)
        required(wanted, "SimplePublicObjectInputForCreate", "properties")
        properties = self._checked(kind, obj(wanted["properties"]), {"hs_pipeline": SUPPORT})
        if missing := [name for name in _REQUIRED[kind] if not properties.get(name)]:
            raise _invalid(f"required property {missing[0]} is missing", missing[0], "REQUIRED_FIELD")
        email = str(properties.get("email") or "").lower()
        if kind == "contacts" and email in self._portal.by_email:
            existing = self._portal.by_email[email]
            raise Refused(f"Contact already exists. Existing ID: {existing}", "email", status=409, category="CONFLICT")
        links = [self._link(kind, obj(entry)) for entry in arr(wanted.get("associations"))]
        if kind == "tickets":
            properties = {"hs_pipeline": SUPPORT, **properties}
        return JSONResponse(_written(kind, self._portal.create(kind, properties, links)), 201)

    async def change(self, request: Request) -> Response:
        kind, number_ = self._one(request)
        wanted = await body(request)
        required(wanted, "SimplePublicObjectInput", "properties")
        before = self._portal.record(kind, number_)
        if before is None:
            raise not_found()
        properties = self._checked(kind, obj(wanted["properties"]), before["properties"])
        return JSONResponse(_written(kind, self._portal.change(kind, number_, properties)))

    async def upsert(self, request: Request) -> Response:
        kind, wanted = _kind(request), await body(request)
        rows: list[Record] = []
        for entry in map(obj, arr(wanted.get("inputs"))):
            required(entry, "SimplePublicObjectBatchInputUpsert", "id", "properties")
            if kind != "contacts" or entry.get("idProperty") != "email":
                raise Refused("idProperty must be a unique property", "idProperty")
            properties = self._checked(kind, obj(entry["properties"]), {})
            known = self._portal.by_email.get(str(entry["id"]).lower())
            if known is None:
                record = self._portal.create(kind, {"email": str(entry["id"]).lower(), **properties})
            else:
                record = self._portal.change(kind, known, properties)
            rows.append({**_written(kind, record), "new": known is None})
        return JSONResponse(finished(rows))

    def _checked(self, kind: str, properties: Record, before: Record) -> Record:
        """Properties that can be written."""
        for name, value in properties.items():
            if name in _READ_ONLY:
                raise _invalid(f'"{name}" is a read only property; its value cannot be set.', name, "READ_ONLY_VALUE")
            if name not in PROPERTIES[kind]:
                raise _invalid(f'Property "{name}" does not exist', name, "PROPERTY_DOESNT_EXIST")
            if not isinstance(value, str):
                raise invalid_json(f"{name} is not a string", "properties")
            if value and name in _OPTIONS and value not in _OPTIONS[name]:
                raise _invalid(f"{value} was not one of the allowed options", name, "INVALID_OPTION")
        owner = properties.get("hubspot_owner_id")
        if owner and not 0 <= number(owner) - FIRST_OWNER < len(self._portal.company.agents):
            raise _invalid(f"Owner {owner} does not exist", "hubspot_owner_id", "INVALID_OWNER_ID")
        stage = properties.get("hs_pipeline_stage")
        pipeline = properties.get("hs_pipeline") or before.get("hs_pipeline")
        if stage is not None and STAGES.get(stage) != pipeline:
            raise _invalid(
                f"Invalid pipeline stage {stage} for pipeline {pipeline}", "hs_pipeline_stage", "INVALID_STAGE"
            )
        return properties

    def _link(self, kind: str, entry: Record) -> tuple[str, int]:
        """One association of a new record: its type says with what."""
        required(entry, "PublicAssociationsForObject", "to", "types")
        other = number(str(obj(entry["to"]).get("id")))
        for spec in map(obj, arr(entry["types"])):
            for (of, to), native in ASSOCIATION_TYPES.items():
                if of == kind and native == spec.get("associationTypeId"):
                    if self._portal.record(to, other) is None:
                        raise Refused(f"No {_SINGULAR[to]} with ID {other} exists", "associations")
                    return to, other
        raise Refused("one or more associations are of an invalid type for this object", "associations")

    # ----------------------------------------------------------------------------------------------- which records

    def _one(self, request: Request) -> tuple[str, int]:
        kind, native = _kind(request), request.path_params["id"]
        return kind, self._numbers(kind, [native], request.query_params.get("idProperty"))[0]

    def _numbers(self, kind: str, ids: list[str], by: Any) -> list[int]:
        if kind == "contacts" and by == "email":
            return [self._portal.by_email.get(entry.lower(), 0) for entry in ids]
        return numbers_of(ids)


_SINGULAR = {kind: kind.removesuffix("s") for kind in KINDS}

ASSOCIATION_TYPES = {
    ("tickets", "contacts"): 16,
    ("contacts", "tickets"): 15,
    ("notes", "contacts"): 202,
    ("contacts", "notes"): 201,
    ("notes", "tickets"): 228,
    ("tickets", "notes"): 227,
    ("emails", "contacts"): 198,
    ("contacts", "emails"): 197,
    ("emails", "tickets"): 224,
    ("tickets", "emails"): 223,
    ("calls", "contacts"): 194,
    ("contacts", "calls"): 193,
    ("calls", "tickets"): 220,
    ("tickets", "calls"): 219,
    ("meetings", "contacts"): 200,
    ("contacts", "meetings"): 199,
    ("meetings", "tickets"): 226,
    ("tickets", "meetings"): 225,
}

_OWNED = frozenset({"hubspot_owner_id"})
PROPERTIES = {
    "contacts": _OWNED
    | {"firstname", "lastname", "email", "phone", "mobilephone", "company", "lifecyclestage", "hs_language"}
    | {"country", "customer_tier"},
    "tickets": _OWNED | {"subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority", "source_type"},
    "notes": _OWNED | {"hs_note_body", "hs_timestamp"},
    "emails": _OWNED
    | {"hs_timestamp", "hs_email_subject", "hs_email_text", "hs_email_html", "hs_email_direction", "hs_email_status"}
    | {"hs_email_headers"},
    "calls": _OWNED
    | {"hs_timestamp", "hs_call_title", "hs_call_body", "hs_call_direction", "hs_call_duration", "hs_call_status"},
    "meetings": _OWNED
    | {"hs_timestamp", "hs_meeting_title", "hs_meeting_body", "hs_meeting_start_time", "hs_meeting_end_time"},
}
_REQUIRED = {
    "contacts": (),
    "tickets": ("subject", "hs_pipeline_stage"),
    "notes": ("hs_timestamp",),
    "emails": ("hs_timestamp", "hs_email_direction"),
    "calls": ("hs_timestamp",),
    "meetings": ("hs_timestamp",),
}
_READ_ONLY = frozenset(
    {"hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate", "hs_email_optout"}
)
_OPTIONS = {
    "hs_ticket_priority": ("LOW", "MEDIUM", "HIGH", "URGENT"),
    "source_type": ("CHAT", "EMAIL", "FORM", "PHONE"),
    "hs_email_direction": ("EMAIL", "INCOMING_EMAIL", "FORWARDED_EMAIL"),
    "hs_call_direction": ("INBOUND", "OUTBOUND"),
}


def _kind(request: Request) -> str:
    kind = request.path_params["kind"]
    if kind not in KINDS:
        raise Refused(f"Unable to infer object type from: {kind}", "objectType")
    return kind


def _plural(name: str) -> str:
    """Whose records `associations.contact` means."""
    return name.removeprefix("associations.").removesuffix("s") + "s"


def _inputs(wanted: Record) -> list[Any]:
    inputs = [obj(entry).get("id") for entry in arr(wanted.get("inputs"))]
    if len(inputs) > _LARGEST_BATCH:
        raise Refused(f"No more than {_LARGEST_BATCH} inputs are allowed.", "inputs")
    if None in inputs:
        raise invalid_json("Cannot build PublicObjectId, some of required attributes are not set [id]", "inputs")
    return inputs


def _listed(request: Request, name: str) -> list[str]:
    """A parameter that may be repeated, or hold several with commas between."""
    return [value for values in request.query_params.getlist(name) for value in values.split(",") if value]


# ------------------------------------------------------------------------------------------------ HubSpot's words

_ALWAYS_GIVEN = {"hs_object_id", "createdate", "lastmodifieddate", "hs_createdate", "hs_lastmodifieddate"}
_GIVEN_UNASKED = {
    "contacts": ("firstname", "lastname", "email"),
    "tickets": ("subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority"),
}


def _chosen(kind: str, record: Record, properties: list[str]) -> Record:
    """The record with the properties asked for, or those that are given to whoever asks for none."""
    kept = {*map(str, properties or _GIVEN_UNASKED.get(kind, ())), *_ALWAYS_GIVEN}
    return {**record, "properties": {n: v for n, v in record["properties"].items() if n in kept}}


def _written(kind: str, record: Record) -> Record:
    """The answer to a write: all that can be written, as far as it has a value."""
    kept = PROPERTIES[kind] | _ALWAYS_GIVEN
    return {**record, "properties": {n: v for n, v in record["properties"].items() if n in kept and v is not None}}


def _association(kind: str, to: str, other: int) -> Record:
    types = [{"category": "HUBSPOT_DEFINED", "typeId": ASSOCIATION_TYPES[(kind, to)]}]
    return {"toObjectId": str(other), "associationTypes": types}


def _invalid(message: str, name: str, code: str) -> Refused:
    """HubSpot puts what is wrong with each property into its sentence, as JSON."""
    wrong = [{"isValid": False, "message": message, "error": code, "name": name}]
    return Refused(f"Property values were not valid: {json.dumps(wrong)}", name)


def _missing_in_batch(kind: str, ids: list[str]) -> Record:
    name = _SINGULAR[kind].upper()
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "message": f"Could not get some {name} objects, they may be deleted or not exist. Check that ids are valid.",
        "context": {"ids": ids},
        "errors": [],
        "links": {},
    }


def _not_associated(kind: str, to: str, native: str) -> Record:
    return {
        "status": "error",
        "category": "OBJECT_NOT_FOUND",
        "subCategory": "crm.associations.NO_ASSOCIATIONS_FOUND",
        "message": f"No {_SINGULAR[to]} is associated with {_SINGULAR[kind]} {native}.",
        "context": {"fromObjectId": [native]},
        "errors": [],
        "links": {},
    }
