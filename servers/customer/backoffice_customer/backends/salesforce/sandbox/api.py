"""Salesforce's REST API over the fictional company: queries, searches, records, composite requests, and tokens.

Every version of the API is answered alike, as far as it concerns what is understood here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backoffice_customer.backends.salesforce.sandbox.finding import Finder
from backoffice_customer.backends.salesforce.sandbox.grammar import Malformed, Query, parse_query, parse_search
from backoffice_customer.backends.salesforce.sandbox.grants import CLIENT_ID, CLIENT_SECRET, Grants
from backoffice_customer.backends.salesforce.sandbox.ids import PREFIXES
from backoffice_customer.backends.salesforce.sandbox.org import Org
from backoffice_customer.backends.salesforce.sandbox.records import BLANK, Record
from backoffice_customer.backends.salesforce.sandbox.tables import Refused, Tables
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

DOMAIN = "northwind"
REQUESTS_A_DAY = 15_000
_VERSION = re.compile(r"/services/data/v(\d\d)\.0(?:/(?P<rest>.*?))?/?")
_BATCH, _SMALLEST_BATCH = 2_000, 200
_MOST_PARTS, _MOST_QUERIES = 25, 5


def salesforce_sandbox(
    company: Company, *, certificate: str | None = None, clock: Clock = SYSTEM_CLOCK
) -> VendorSandbox:
    """`certificate` is the public key, in PEM, for the JWT bearer flow. `clock` says when tokens expire."""
    site = f"https://{DOMAIN}.my.salesforce.com"
    tables = Tables(company)
    finder = Finder(tables, searches_are_stale=lambda: sandbox.faults.stale_search)
    sandbox = VendorSandbox(
        name="salesforce",
        title="Salesforce",
        app=_app(_Api(tables, finder), Grants(clock, site, certificate)),
        credentials={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET},
        throttled=lambda _seconds: _response(
            _error(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.")
        ),
        unavailable=lambda: _response(_error(503, "SERVER_UNAVAILABLE", "The server is temporarily unavailable.")),
        options={"domain": DOMAIN},
    )
    return sandbox


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request, or a part of a composite one. `path` is what comes after the version."""

    method: str
    data: str
    path: tuple[str, ...]
    params: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any = None


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


class _Api:
    def __init__(self, tables: Tables, finder: Finder) -> None:
        self._tables = tables
        self._finder = finder
        self._org = Org(tables)
        self._rest: dict[str, list[Record]] = {}  # of queries, by what their next batch is called

    def answer(self, asked: _Asked) -> _Answer:
        try:
            return self._answer(asked)
        except Refused as refused:
            return _error(refused.status, refused.code, refused.message, *refused.fields)
        except (Malformed, RecursionError) as error:
            return _error(400, "MALFORMED_QUERY", str(error))

    def _answer(self, asked: _Asked) -> _Answer:
        match (asked.method, asked.path):
            case ("GET", ()):
                return _Answer(
                    200, {name: f"{asked.data}/{name}" for name in ("query", "search", "sobjects", "composite")}
                )
            case ("GET", ("query" | "queryAll" as resource,)):
                return self._query(asked, archived=resource == "queryAll")
            case ("GET", ("query" | "queryAll", locator)):
                return self._next_batch(asked, locator)
            case ("GET", ("search",)):
                return self._search(asked)
            case ("GET", ("limits",)):
                return _Answer(200, {"DailyApiRequests": {"Max": REQUESTS_A_DAY, "Remaining": REQUESTS_A_DAY - 1}})
            case ("GET", ("sobjects",)):
                return _Answer(
                    200, {"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [_described(t) for t in BLANK]}
                )
            case ("GET", ("sobjects", table, "describe")):
                name = self._tables[table].name
                fields = [{"name": name, "nillable": True} for name in BLANK[name]]
                return _Answer(200, {**_described(name), "fields": fields})
            case ("POST", ("sobjects", table)):
                native = self._org.create(table, _fields(asked.body))
                location = {"Location": f"{asked.data}/sobjects/{table}/{native}"}
                return _Answer(201, {"id": native, "success": True, "errors": []}, location)
            case (_, ("sobjects", table, native)):
                return self._record(asked, table, native)
            case ("POST", ("composite",)):
                return self._composite(asked)
            case _:
                raise Refused(404, "NOT_FOUND", "The requested resource does not exist")

    def _query(self, asked: _Asked, *, archived: bool) -> _Answer:
        query = parse_query(asked.params.get("q", ""))
        rows = self._finder.find(query, archived=archived)
        if query.fields == ("COUNT()",):
            return _Answer(200, {"totalSize": len(rows), "done": True, "records": []})
        return self._batch(self._finder.told(query, rows, asked.data), len(rows), 0, _batch(asked), asked.data)

    def _batch(self, rows: list[Record], total: int, start: int, batch: int, data: str) -> _Answer:
        answer: Record = {"totalSize": total, "done": start + batch >= total}
        if not answer["done"]:
            locator = f"01gHs00000{len(self._rest):05d}AAA-{start + batch}"
            self._rest[locator] = rows[batch:]
            answer["nextRecordsUrl"] = f"{data}/query/{locator}"
        return _Answer(200, {**answer, "records": rows[:batch]})

    def _next_batch(self, asked: _Asked, locator: str) -> _Answer:
        rows = self._rest.get(locator)
        if rows is None:
            raise Refused(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        start = int(locator.rpartition("-")[2])
        return self._batch(rows, start + len(rows), start, _batch(asked), asked.data)

    def _search(self, asked: _Asked) -> _Answer:
        search = parse_search(asked.params.get("q", ""))
        rows: list[Record] = []
        for table, native in self._finder.search(search):
            query = Query(table, search.fields)
            rows += self._finder.told(query, [self._tables.record(table, native)], asked.data)
        return _Answer(200, {"searchRecords": rows})

    def _record(self, asked: _Asked, table: str, native: str) -> _Answer:
        name = self._tables[table].name
        record = self._tables.record(name, native)
        if not _unmodified(record, asked.headers):
            return _Answer(412)
        match asked.method:
            case "GET":
                names = [n for n in asked.params.get("fields", "").split(",") if n] or list(record)
                told = self._finder.told(Query(name, tuple(names)), [record], asked.data)
                return _Answer(200, told[0])
            case "PATCH":
                self._org.update(name, native, _fields(asked.body))
                return _Answer(204)
            case "DELETE":
                self._org.delete(name, native)
                return _Answer(204)
            case _:
                raise Refused(
                    405, "METHOD_NOT_ALLOWED", f"HTTP Method '{asked.method}' not allowed. Allowed are GET,PATCH,DELETE"
                )

    # ------------------------------------------------------------------------------------------------------- composite

    def _composite(self, asked: _Asked) -> _Answer:
        body = obj(asked.body)
        parts = [obj(part) for part in arr(body.get("compositeRequest"))]
        queries = sum("/query" in str(part.get("url")) for part in parts)
        if not parts or len(parts) > _MOST_PARTS or queries > _MOST_QUERIES:
            sentence = f"Limit exceeded: {_MOST_PARTS} subrequests, of which {_MOST_QUERIES} may be queries"
            raise Refused(400, "LIMIT_EXCEEDED", sentence)
        kept, answers = self._org.kept(), list[tuple[Record, _Answer]]()
        for part in parts:
            answers.append((part, self._part(part, answers)))
        if body.get("allOrNone") is True and any(answer.status >= 400 for _, answer in answers):
            self._org.restore(kept)
            answers = [(part, answer if _at_fault(answer) else _HALTED) for part, answer in answers]
        return _Answer(200, {"compositeResponse": [_told(part, answer) for part, answer in answers]})

    def _part(self, part: Record, before: list[tuple[Record, _Answer]]) -> _Answer:
        known = {str(asked.get("referenceId")): answer.body for asked, answer in before if answer.status < 400}
        try:
            url, content = _referred(str(part.get("url")), known), _referred(part.get("body"), known)
        except KeyError as missing:
            return _error(
                400, "PROCESSING_HALTED", f"Invalid reference specified. No value for {missing.args[0]} found."
            )
        headers = {str(name).lower(): str(value) for name, value in obj(part.get("httpHeaders")).items()}
        asked = _asked(str(part.get("method")), url, headers, content)
        if asked is None or asked.path == ("composite",):
            return _error(404, "NOT_FOUND", "The requested resource does not exist")
        return self.answer(asked)


def _told(part: Record, answer: _Answer) -> Record:
    status, headers = answer.status, dict(answer.headers)
    return {
        "body": answer.body,
        "httpHeaders": headers,
        "httpStatusCode": status,
        "referenceId": part.get("referenceId"),
    }


def _at_fault(answer: _Answer) -> bool:
    return answer.status >= 400 and not any(obj(e).get("errorCode") == "PROCESSING_HALTED" for e in arr(answer.body))


def _referred(value: Any, known: Mapping[str, Any]) -> Any:
    """With `@{name.field}` replaced by what the part of that name was answered.

    Raises:
        KeyError: there is no such answer.
    """
    if fields := obj(value):
        return {name: _referred(entry, known) for name, entry in fields.items()}
    if not isinstance(value, str):
        return value

    def meant(found: re.Match[str]) -> str:
        name, *path = re.findall(r"[^.\[\]]+", found[1])
        answer = known[name] if name in known else _missing(found[1])
        for step in path:
            answer = arr(answer)[int(step)] if step.isdecimal() else obj(answer).get(step) or _missing(found[1])
        return str(answer)

    return re.sub(r"@\{([^}]*)\}", meant, value)


def _missing(reference: str) -> Any:
    raise KeyError(reference)


# ---------------------------------------------------------------------------------------------------------- the wire


def _app(api: _Api, grants: Grants) -> ASGIApp:
    used = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal used
        request = Request(scope, receive)
        if scope["path"] == "/services/oauth2/token":
            await (await grants.grant(request))(scope, receive, send)
            return
        used += 1
        answer = await _answered(api, grants, request)
        headers = {**answer.headers, "Sforce-Limit-Info": f"api-usage={used}/{REQUESTS_A_DAY}"}
        await _response(_Answer(answer.status, answer.body, headers))(scope, receive, send)

    return app


async def _answered(api: _Api, grants: Grants, request: Request) -> _Answer:
    if request.url.path.rstrip("/") == "/services/data":
        return _Answer(200, [{"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}])
    if not grants.may_ask(request.headers.get("authorization", "")):
        return _error(401, "INVALID_SESSION_ID", "Session expired or invalid")
    try:
        content = await request.body()
        body = json.loads(content) if content else None
    except (ValueError, RecursionError):
        return _error(400, "JSON_PARSER_ERROR", "Unexpected character")
    url = f"{request.scope['raw_path'].decode()}?{request.url.query}"
    asked = _asked(request.method, url, request.headers, body)
    return _error(404, "NOT_FOUND", "The requested resource does not exist") if asked is None else api.answer(asked)


def _asked(method: str, url: str, headers: Mapping[str, str], body: Any) -> _Asked | None:
    parts = urlsplit(url)
    found = _VERSION.fullmatch(parts.path)
    if found is None:
        return None
    path = tuple(unquote(segment) for segment in (found["rest"] or "").split("/") if segment)
    params = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    return _Asked(method, f"/services/data/v{found[1]}.0", path, params, headers, body)


def _response(answer: _Answer) -> Response:
    if answer.body is None:
        return Response(status_code=answer.status, headers=dict(answer.headers))
    return JSONResponse(answer.body, answer.status, dict(answer.headers))


def _fields(body: Any) -> Record:
    if not (fields := obj(body)):
        raise Refused(400, "JSON_PARSER_ERROR", "Unexpected end of input: an object with fields is expected")
    return {name: value for name, value in fields.items() if name != "attributes"}


def _batch(asked: _Asked) -> int:
    """`Sforce-Query-Options: batchSize=500` makes batches smaller, down to 200 rows."""
    wanted = re.search(r"batchSize=(\d{1,6})", asked.headers.get("sforce-query-options", ""))
    return _BATCH if wanted is None else min(max(int(wanted[1]), _SMALLEST_BATCH), _BATCH)


def _unmodified(record: Record, headers: Mapping[str, str]) -> bool:
    since = headers.get("if-unmodified-since")
    if since is None:
        return True
    try:
        moment = parsedate_to_datetime(since)
    except ValueError:
        raise Refused(400, "INVALID_HEADER", "If-Unmodified-Since is not a date") from None
    return datetime.fromisoformat(record["LastModifiedDate"]) <= moment.replace(tzinfo=moment.tzinfo or UTC)


def _described(table: str) -> Record:
    urls = {"sobject": f"/services/data/v67.0/sobjects/{table}"}
    return {
        "name": table,
        "label": table,
        "keyPrefix": PREFIXES[table],
        "queryable": True,
        "custom": False,
        "urls": urls,
    }


def _error(status: int, code: str, message: str, *fields: str) -> _Answer:
    named: Record = {"fields": list(fields)} if fields else {}
    return _Answer(status, [{"message": message, "errorCode": code, **named}])


_HALTED = _error(
    400,
    "PROCESSING_HALTED",
    "The transaction was rolled back since another operation in the same transaction failed.",
)
