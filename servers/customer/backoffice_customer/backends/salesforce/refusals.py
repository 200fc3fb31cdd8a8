"""What Salesforce's refusals amount to. `[{"message":…,"errorCode":…,"fields":[…]}]`

A composite request is answered 200 whatever became of its parts; the refusal is then the first part's that was not just
given up with the others.

Sources:
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/responses_composite.htm
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/headers_api_usage.htm
"""

from __future__ import annotations

import re
from typing import Any

import httpx

from backoffice_shared.backend import Allowance, Failure, wire_of
from backoffice_shared.jsonvalues import arr, obj, parse

OPTIONAL = "EmailMessage"
"""The one kind of record that an org may lack: it comes with Email-to-Case or Enhanced Email."""

_STATUSES = {
    "API_CURRENTLY_DISABLED": 403,
    "API_DISABLED_FOR_ORG": 403,
    "INSUFFICIENT_ACCESS": 403,
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY": 403,
    "INSUFFICIENT_ACCESS_OR_READONLY": 403,
    "ENTITY_IS_DELETED": 404,
    "MALFORMED_ID": 404,
    "NOT_FOUND": 404,
    "DUPLICATES_DETECTED": 409,
    "DUPLICATE_VALUE": 409,
    "REQUEST_LIMIT_EXCEEDED": 429,
    "UNABLE_TO_LOCK_ROW": 429,
    "QUERY_TIMEOUT": 504,
    "SERVER_UNAVAILABLE": 503,
}
"""By error code, where the HTTP status says less."""

_SOON, _LATER = 0.0, 3600.0


def failure(response: httpx.Response) -> Failure | None:
    if response.status_code >= 400:
        return _failure(response.status_code, _content(response))
    parts = [obj(part) for part in arr(wire_of(response).get("compositeResponse"))]
    refused = [part for part in parts if part.get("httpStatusCode", 200) >= 400 and not _lacking(part)]
    # Those that were given up because of another one say nothing.
    refused.sort(key=_given_up)
    return _failure(refused[0]["httpStatusCode"], refused[0].get("body")) if refused else None


def _failure(status: int, body: Any) -> Failure:
    error = obj(next(iter(arr(body)), None))
    code, sentence = str(error.get("errorCode") or ""), str(error.get("message") or _said_by(status))
    fields = ", ".join(map(str, arr(error.get("fields"))))
    said = f"{sentence} ({fields})" if fields and fields not in sentence else sentence
    return Failure(_STATUSES.get(code, status), said[:300], _wait(code, sentence))


def _said_by(status: int) -> str:
    return "the record has changed since it was read" if status == 412 else f"answered {status}"


def _wait(code: str, sentence: str) -> float | None:
    """In seconds. Another transaction holds a record for a moment; requests are counted over the last 24 hours."""
    if code == "UNABLE_TO_LOCK_ROW":
        return _SOON
    return _LATER if code == "REQUEST_LIMIT_EXCEEDED" and "TotalRequests" in sentence else None


def _given_up(part: dict[str, Any]) -> bool:
    return any(obj(error).get("errorCode") == "PROCESSING_HALTED" for error in arr(part.get("body")))


def _lacking(part: dict[str, Any]) -> bool:
    """A question about what the org does not have: the answer is that there is nothing."""
    missing = any(obj(error).get("errorCode") == "INVALID_TYPE" for error in arr(part.get("body")))
    return missing and part.get("referenceId") == OPTIONAL


def _content(response: httpx.Response) -> Any:
    try:
        return parse(response.content)
    except (ValueError, RecursionError):
        return None


def allowance(response: httpx.Response) -> Allowance | None:
    """`Sforce-Limit-Info: api-usage=18/5000` of the last 24 hours. Beyond the limit, Salesforce decides what passes."""
    usage = re.search(r"(?:^|[^-])api-usage=(\d{1,12})/(\d{1,12})", response.headers.get("sforce-limit-info", ""))
    remaining = 0 if usage is None else int(usage[2]) - int(usage[1])
    return Allowance(remaining, 86_400.0) if remaining > 0 else None
