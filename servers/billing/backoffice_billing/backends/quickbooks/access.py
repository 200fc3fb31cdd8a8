"""How QuickBooks Online is reached: its address, its tokens, what its refusals look like.

Sources: https://developer.intuit.com/app/developer/qbo/docs/develop/troubleshooting/error-codes (a 200 may hold a
Fault; the codes), https://blogs.intuit.com/2015/04/06/15346/ (`requestid`: unique for a company, at most 50
characters, the first answer is given again; for how long is said nowhere), 500 requests a minute and 10 a second for a
company.
"""

from __future__ import annotations

import re
from typing import Any

import httpx

from backoffice_shared.backend import Backend, Failure, Rate, TokenEndpoint, bearer, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.jsonvalues import arr, obj

TITLE = "QuickBooks"
TOKENS = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"
REMEMBERS = 300.0
"""For so many seconds a `requestid` is relied on: it is meant for lost answers, and Intuit names no time."""

_UNTIL_NEXT_MINUTE = 60.0

# What an error's code amounts to, whatever the status says: nearly all of them come with 400.
_AMOUNTS_TO = {
    "120": 403,  # the user who connected the app may not do that
    "610": 404,
    "3100": 403,  # the app may not
    "3200": 401,
    "5010": 409,  # stale object
    "5020": 403,
    "6000": 409,  # a rule of bookkeeping, named in the detail
    "6140": 409,  # the number is taken
    "6190": 403,  # the subscription is over
    "6210": 409,  # the period is closed
    "6240": 409,  # the name is taken
    "6540": 409,  # it was deposited
}


def _authorize(request: httpx.Request, credential: Credential) -> None:
    bearer(request, credential)
    # Intuit asks for this type where a request sends e-mail, and has no body.
    if request.url.path.endswith("/send"):
        request.headers["Content-Type"] = "application/octet-stream"


def _failure(response: httpx.Response) -> Failure | None:
    """`{"Fault":{"Error":[{"Message","Detail","code","element"}],"type"},"time"}`, with any status; the same in small
    letters from the gateway, or `{"code","message","detail"}`."""
    wire = wire_of(response)
    fault = obj(wire.get("Fault") or wire.get("fault") or obj(wire.get("QueryResponse")).get("Fault"))
    if response.status_code < 400 and not fault:
        return None
    error = obj(next(iter(arr(fault.get("Error") or fault.get("error"))), wire))
    status = response.status_code if response.status_code >= 400 else 400
    if status in (400, 401, 403):
        status = _AMOUNTS_TO.get(str(error.get("code")), status)
    if status == 429:
        asked = seconds(response.headers.get("retry-after"))
        return Failure(429, _sentence(error, response), _UNTIL_NEXT_MINUTE if asked is None else asked)
    return Failure(status, _sentence(error, response), seconds(response.headers.get("retry-after")))


def _sentence(error: dict[str, Any], response: httpx.Response) -> str:
    said = [str(error[name]) for name in ("Message", "message", "Detail", "detail") if error.get(name)]
    whole = ": ".join(dict.fromkeys(said)) or f"answered {response.status_code}"
    trace = re.fullmatch(r"[\w-]{1,64}", response.headers.get("intuit_tid", ""))
    return whole[:300] + (f" (intuit_tid {trace[0]})" if trace else "")


QUICKBOOKS = Backend(
    name="quickbooks",
    title=TITLE,
    base_url="https://quickbooks.api.intuit.com",
    credentials=(frozenset({"client_id", "client_secret", "refresh_token"}), frozenset({"access_token"})),
    options=("realm",),
    optional={
        "minor_version": "75",  # the lowest that Intuit still serves
        "sales_item": "",  # the id of the item on lines; empty: QuickBooks' own default
        "deposit_account": "",  # the id of the account that money is entered into and given back from
        "posts": "",  # "stripe": the books are told what is invoiced, paid and refunded there
    },
    authorize=_authorize,
    failure=_failure,
    token_endpoint=TokenEndpoint(TOKENS, grant="refresh_token", client="basic"),
    rate=Rate(requests=500, seconds=60, burst=10),
    idempotency_parameter="requestid",
    key_lasts=REMEMBERS,
    timeout=20.0,
)
