"""What Xero tells by itself: which invoices and contacts were made or changed, so that answers kept of them are
dropped.

Every request is signed: `x-xero-signature` is the HMAC-SHA256 of its body in base64. A wrong signature is to be
answered 401, a right one 200 within five seconds, without a body. Requests without events ask whether we look at
signatures. Source: https://developer.xero.com/documentation/webhooks/configuring-your-server and
…/webhooks/overview
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.where import is_id
from backoffice_shared.errors import InvalidInput, PermissionDenied
from backoffice_shared.jsonvalues import arr, obj, parse

HEADER = "x-xero-signature"

_TAGS = {"INVOICE": ("invoices", "payments", "creditnotes"), "CONTACT": ("contacts", "invoices")}


@dataclass(frozen=True, slots=True)
class Event:
    """`tags` name the answers that are out of date. `kind` is "invoice" or "contact"."""

    kind: str
    native: str
    change: str
    tenant: str
    tags: tuple[str, ...]


def verified(body: bytes, signature: str | None, keys: Iterable[str]) -> tuple[Event, ...] | None:
    """The events of a request that one of these signing keys has signed; None for any other, which is answered 401.

    Two keys while one is replaced by the other. No events: Xero wants to see that we look (intent to receive).

    Raises:
        ValueError: it is signed, and not JSON.
    """
    given = (signature or "").encode("utf-8", "replace")
    digests = [base64.b64encode(hmac.digest(key.encode(), body, hashlib.sha256)) for key in keys if key]
    if not any(hmac.compare_digest(digest, given) for digest in digests):
        return None
    return tuple(_event(entry) for entry in map(obj, arr(obj(parse(body)).get("events"))) if _is_known(entry))


def stale(body: bytes, headers: Mapping[str, str], keys: Sequence[str], _now: datetime) -> frozenset[str]:
    """The tags of what is not true any more; none for Xero's question whether we look (intent to receive).

    Raises:
        PermissionDenied: Xero has not signed it.
        InvalidInput: it makes no sense.
    """
    try:
        told = verified(body, headers.get(HEADER), keys)
    except (ValueError, RecursionError):
        raise InvalidInput(XERO.title, "the notification is not JSON") from None
    if told is None:
        raise PermissionDenied(XERO.title, "this was not signed with a webhook key of the app")
    return frozenset(tag for event in told for tag in event.tags)


def _is_known(wire: dict[str, Any]) -> bool:
    return str(wire.get("eventCategory")) in _TAGS and is_id(str(wire.get("resourceId")))


def _event(wire: dict[str, Any]) -> Event:
    kind = str(wire["eventCategory"])
    return Event(
        kind=kind.lower(),
        native=str(wire["resourceId"]),
        change=str(wire.get("eventType") or "").lower(),
        tenant=str(wire.get("tenantId") or ""),
        tags=_TAGS[kind],
    )
