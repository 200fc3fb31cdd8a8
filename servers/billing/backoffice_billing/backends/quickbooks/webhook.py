"""What Intuit tells by itself: that records have changed. It says which, never what is in them.

The signature is in `intuit-signature`: base64 of the HMAC-SHA256 of the body with the app's verifier token.
https://developer.intuit.com/app/developer/qbo/docs/develop/webhooks/managing-webhooks-notifications Since 2026 the
body is a list of CloudEvents, for several companies at once; before, it was `eventNotifications`. Both are read.
https://blogs.intuit.com/2025/11/12/upcoming-change-to-webhooks-payload-structure
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from backoffice_billing.backends.quickbooks.access import TITLE
from backoffice_shared.errors import InvalidInput, PermissionDenied
from backoffice_shared.jsonvalues import arr, obj, parse


@dataclass(frozen=True, slots=True)
class Event:
    """`operation` is "created", "updated", "deleted", "voided", "merged" or "emailed"; `tags` name the cached answers
    that it makes old.
    """

    realm: str
    entity: str
    native: str
    operation: str
    tags: tuple[str, ...]


HEADER = "intuit-signature"
_TAGS = {
    "invoice": ("invoices", "customers", "reports"),
    "estimate": ("invoices",),
    "payment": ("payments", "invoices", "customers", "reports"),
    "creditmemo": ("invoices", "customers", "reports"),
    "refundreceipt": ("invoices", "reports"),
    "customer": ("customers",),
    "preferences": ("company",),
}
_PAST = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "void": "voided",
    "merge": "merged",
    "emailed": "emailed",
}


def verified(body: bytes, signature: str, verifier_tokens: Iterable[str]) -> bool:
    """Whether Intuit sent this. While a token is changed there are two. An empty one proves nothing."""
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        return False
    made = [hmac.digest(token.encode(), body, hashlib.sha256) for token in verifier_tokens if token]
    return any(hmac.compare_digest(digest, given) for digest in made)


def stale(body: bytes, headers: Mapping[str, str], verifier_tokens: Sequence[str], _now: datetime) -> frozenset[str]:
    """The tags of what is not true any more.

    Raises:
        PermissionDenied: Intuit has not signed it.
        InvalidInput: it makes no sense.
    """
    if not verified(body, headers.get(HEADER, ""), verifier_tokens):
        raise PermissionDenied(TITLE, "this was not signed with a verifier token of the app")
    try:
        told = events(body)
    except (ValueError, RecursionError):
        raise InvalidInput(TITLE, "the notification is not JSON") from None
    return frozenset(tag for event in told for tag in event.tags)


def events(body: bytes) -> list[Event]:
    """
    Raises:
        ValueError: it is not JSON.
    """
    content = parse(body)
    found = [event for each in arr(content) if (event := _cloud_event(obj(each))) is not None]
    for notification in map(obj, arr(obj(content).get("eventNotifications"))):
        for entity in map(obj, arr(obj(notification.get("dataChangeEvent")).get("entities"))):
            operation = str(entity.get("operation", "")).lower()
            name, native = str(entity.get("name", "")).lower(), str(entity.get("id", ""))
            found.append(_event(str(notification.get("realmId", "")), name, native, _PAST.get(operation, operation)))
    return found


def _cloud_event(event: dict[str, Any]) -> Event | None:
    """`{"type": "qbo.invoice.created.v1", "intuitentityid": "95", "intuitaccountid": "310687", …}`."""
    kind = str(event.get("type", "")).split(".")
    if len(kind) != 4 or kind[0] != "qbo":
        return None
    return _event(str(event.get("intuitaccountid", "")), kind[1].lower(), str(event.get("intuitentityid", "")), kind[2])


def _event(realm: str, entity: str, native: str, operation: str) -> Event:
    return Event(realm, entity, native, operation, _TAGS.get(entity, ()))
