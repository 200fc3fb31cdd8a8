"""How a Xero organisation is reached, how it refuses, and what it says about its limits.

Checked in developer.xero.com/faq/limits (60 requests a minute, 5 at a time, 5,000 a day; the three headers),
developer.xero.com/faq/oauth2 (access tokens for 30 minutes; an old refresh token is taken for another 30 minutes),
www.apideck.com/blog/xero-scopes and support.databuzz.com.au/article/741 (names of scopes since 2026-03-02), and as
others quote developer.xero.com/documentation/guides/idempotent-requests/idempotency/: a key is kept for six minutes
from the first call, with the answer, also with a refusal; the same key with another request is answered 400. Xero's
own Python client shows the client's secret in the form, and so do we. Not checked against an account: the sentences
by which a conflict is told from another refusal, of which three were seen (`_CONFLICTS`), and for how long a day's
limit lasts without `Retry-After`.
"""

from __future__ import annotations

from typing import Any

import httpx

from backoffice_shared.backend import Allowance, Backend, Failure, Rate, TokenEndpoint, seconds, wire_of
from backoffice_shared.jsonvalues import arr, obj

API = "/api.xro/2.0"
TOKENS = "https://identity.xero.com/connect/token"

SCOPES = (
    "accounting.contacts",
    "accounting.invoices",
    "accounting.payments",
    "accounting.settings.read",
    "accounting.reports.balancesheet.read",
    "accounting.reports.profitandloss.read",
    "accounting.reports.trialbalance.read",
)
"""The least that these tools need. Ageing is computed from invoices and needs no scope of its own."""

_CONFLICTS = (  # in small letters: what the state of a thing forbids
    "not of valid status",  # seen: Invoice not of valid status for modification
    "cannot be edited as it has",  # seen: … as it has a payment or credit note allocated to it.
    "only be made against authorised documents",  # seen: Payments can only be made against Authorised documents
    "exceeds the amount outstanding",  # seen: Payment amount exceeds the amount outstanding on this document
    "must be unique",
    "exceeds the remaining credit",
    "is archived",
    "already assigned to another contact",
    "already been used",
    "idempotency",
)

_A_DAY = 3_600.0  # seconds for which nothing is asked when the day's limit is used up, and no time is told


def _failure(response: httpx.Response) -> Failure | None:
    """Four shapes: `{ErrorNumber, Type, Message, Elements: [{ValidationErrors: [{Message}]}]}` with 400; the same
    elements with 200, where `summarizeErrors` is off; `{Title, Status, Detail}` with 401 and 403; and plain text.
    """
    wire = wire_of(response)
    if response.status_code < 400:
        said = _invalid(_elements(wire))
        return _refusal(400, said) if said else None
    if response.status_code == 429:
        return _throttled(response)
    status = response.status_code
    if "insufficient_scope" in response.headers.get("www-authenticate", ""):
        return Failure(403, "the connection lacks a scope that this needs; see its scopes")
    said = _invalid(arr(wire.get("Elements"))) or [
        str(wire[name]) for name in ("Title", "Message", "Detail") if wire.get(name)
    ]
    if not said and response.headers.get("content-type", "").startswith("text/"):
        said = [response.text.strip()]
    return _refusal(status, said, seconds(response.headers.get("retry-after")))


def _refusal(status: int, said: list[str], retry_after: float | None = None) -> Failure:
    sentence = "; ".join(dict.fromkeys(part.rstrip(".") for part in said if part)) or f"answered {status}"
    if status == 400 and any(words in sentence.lower() for words in _CONFLICTS):
        status = 409
    return Failure(status, sentence[:300], retry_after)


def _elements(wire: dict[str, Any]) -> list[Any]:
    """Those of a list that was written, each of which may have been refused."""
    if wire.get("Status") not in (None, "OK"):
        return []
    return [
        entry for value in wire.values() for entry in arr(value) if obj(entry).get("StatusAttributeString") == "ERROR"
    ]


def _invalid(elements: list[Any]) -> list[str]:
    """The sentences in which elements, and what is in them, were refused."""
    found: list[str] = []
    for element in map(obj, elements):
        found += [str(obj(error).get("Message") or "") for error in arr(element.get("ValidationErrors"))]
        for value in element.values():
            found += _invalid(
                [value] if obj(value) else [entry for entry in arr(value) if "ValidationErrors" in obj(entry)]
            )
    return [sentence for sentence in found if sentence]


def _throttled(response: httpx.Response) -> Failure:
    """`X-Rate-Limit-Problem` names the limit: minute, day, appminute, concurrent."""
    problem = response.headers.get("x-rate-limit-problem", "").lower()
    retry_after = seconds(response.headers.get("retry-after"))
    if problem.startswith("day") and retry_after is None:
        retry_after = _A_DAY
    limit = f" ({problem})" if problem.isalpha() else ""
    return Failure(429, f"its request limit{limit} is used up", retry_after)


def _allowance(response: httpx.Response) -> Allowance | None:
    """What is left of the minute, unless nothing is left of the day."""
    if (day := seconds(response.headers.get("x-daylimit-remaining"))) is not None and day <= 0:
        return Allowance(0, _A_DAY)
    minute = seconds(response.headers.get("x-minlimit-remaining"))
    return None if minute is None else Allowance(minute, 60)


XERO = Backend(
    name="xero",
    title="Xero",
    base_url="https://api.xero.com",
    credentials=(frozenset({"client_id", "client_secret"}), frozenset({"access_token"})),
    token_endpoint=TokenEndpoint(TOKENS, scope="{scopes}", grant="either"),
    optional={
        "tenant": "",  # the organisation's id; custom connections need none
        "scopes": " ".join(SCOPES),
        "sales_account": "200",  # the code of the account that is credited for what is sold
        "clearing_account": "091",  # where money waits that a payment provider took or gave back
        "tax_type": "",  # of lines that name none; empty: the customer's, or that of the sales account
        "posts": "",  # "stripe": it is told what is invoiced, paid and refunded there
    },
    headers={"xero-tenant-id": "{tenant}"},
    failure=_failure,
    allowance=_allowance,
    rate=Rate(requests=30, seconds=60, burst=30),  # together 60, so that no minute ever sees more
    idempotency_header="Idempotency-Key",
    key_lasts=360,
)
"""A custom connection: one organisation, by client credentials. With a `refresh_token` beside them, an app to which somebody
of the organisation has consented, which needs `tenant`. Or an access token that is somebody else's business."""
