"""How a Stripe account is reached, how it refuses, and what it says about its limits.

Sources: https://docs.stripe.com/api/authentication, https://docs.stripe.com/api/errors,
https://docs.stripe.com/error-codes, https://docs.stripe.com/api/idempotent_requests and
https://docs.stripe.com/rate-limits. The typed source of Stripe's own client (`stripe` 16.1) is what parameters and
objects are taken from.

No account of Stripe's was asked. Of its refusals, the codes are documented (https://docs.stripe.com/error-codes);
that what an invoice refuses because of its state, and a refund of more than is left, come without a code was seen in
answers that others recorded. So both are known by their sentences, too. What is not documented: for how long after a
day a key is kept, and what a backslash means in a search (`wire.quoted`).
"""

from __future__ import annotations

import re
from typing import Any

import httpx

from backoffice_shared.backend import Backend, Failure, Rate, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.jsonvalues import obj

VERSION = "2026-10-28.endive"
KEY_LASTS = 86_400.0
"""Stripe keeps an idempotency key for at least a day."""

_REFUSED_BY_STATE = frozenset(
    {
        "amount_too_large",
        "charge_already_captured",
        "charge_already_refunded",
        "charge_disputed",
        "charge_not_refundable",
        "invoice_not_editable",
        "invoice_payment_intent_requires_action",
        "payment_intent_unexpected_state",
        "payment_method_unexpected_state",
        "resource_already_exists",
        "status_transition_invalid",
    }
)
# Most of what an invoice or a charge refuses because of its state comes without a code.
_STATE_SENTENCES = re.compile(
    r"unrefunded amount on charge|already been refunded|already paid|already finalized|isn't open|cannot be voided"
    r"|can't be updated in this way|no longer editable|cannot be sent right now|charged back|already attached",
    re.IGNORECASE,
)


def _authorize(request: httpx.Request, credential: Credential) -> None:
    request.headers["Authorization"] = f"Bearer {credential['api_key']}"


def _failure(response: httpx.Response) -> Failure | None:
    """`{"error":{"type":…,"code":…,"decline_code":…,"message":…,"param":…}}`.

    A card's refusal (402) and what the state of a thing forbids (400) are conflicts; so is a key that was used with
    other parameters. What is missing is answered 404 where it is in the path, and 400 where it is in the parameters.
    A key that is in use (409) says that an earlier request with it is still carried out, which a moment later has an
    answer.
    """
    status = response.status_code
    if status < 400:
        return None
    error = obj(wire_of(response).get("error"))
    code, kind = str(error.get("code") or ""), str(error.get("type") or "")
    sentence = _sentence(error) or f"answered {status} {response.reason_phrase}".rstrip()
    if code == "idempotency_key_in_use":
        status = 504
    elif kind == "card_error" or status == 402 or kind == "idempotency_error":
        status = 409
    elif code == "rate_limit" and status == 400:
        status = 429
    elif status == 400 and (code in _REFUSED_BY_STATE or _STATE_SENTENCES.search(sentence)):
        status = 409
    elif status == 400 and code == "resource_missing":
        status = 404
    return Failure(status, sentence[:400], seconds(response.headers.get("retry-after")))


def _sentence(error: dict[str, Any]) -> str:
    """Stripe's own, with the codes that say why a bank refused, and the parameter that is wrong."""
    said = str(error.get("message") or "")
    codes = dict.fromkeys(str(error[name]) for name in ("code", "decline_code") if error.get(name))
    details = [", ".join(codes)] if codes else []
    if (param := error.get("param")) and f"{param}" not in said:
        details.append(f"parameter {param}")
    return f"{said} ({'; '.join(details)})" if said and details else said or "; ".join(details)


def _replayed(response: httpx.Response) -> bool:
    return response.headers.get("idempotent-replayed") == "true"


STRIPE = Backend(
    name="stripe",
    title="Stripe",
    base_url="https://api.stripe.com",
    credentials=(frozenset({"api_key"}),),
    optional={"account": ""},
    authorize=_authorize,
    failure=_failure,
    rate=Rate(requests=25, seconds=1, burst=25),  # of a sandbox, and of any one endpoint; a live account has 100 in all
    headers={"Stripe-Version": VERSION, "Stripe-Account": "{account}"},
    idempotency_header="Idempotency-Key",
    key_lasts=KEY_LASTS,
    replayed=_replayed,
    timeout=20.0,  # a bank takes its time
)
