"""Events that Stripe sends: whether they are its own, and what they make stale.

Source: https://docs.stripe.com/webhooks#verify-manually and https://docs.stripe.com/api/events/types. A signature is
the HMAC-SHA256 of `{time}.{body}` by the endpoint's secret, in `Stripe-Signature: t={time},v1={hex}[,v1={hex}…]`.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from backoffice_billing.backends.stripe.wire import Wire, id_in, stamp
from backoffice_shared.errors import InvalidInput, PermissionDenied
from backoffice_shared.jsonvalues import obj, parse

HEADER = "stripe-signature"
TOLERANCE = timedelta(minutes=5)
_LONGEST_HEADER = 4_096


@dataclass(frozen=True, slots=True)
class Event:
    """`about` are the tags of the answers that it makes stale."""

    event_id: str
    kind: str
    about: frozenset[str]


def verified(body: bytes, header: str, secrets: Sequence[str], now: datetime) -> Event:
    """The event in `body`, whose `Stripe-Signature` header is by one of these secrets: there are two while one replaces
    the other.

    Raises:
        PermissionDenied: it is not Stripe's, or too old to be told from a copy.
        InvalidInput: it is signed, and no event.
    """
    at, signatures = _signed(header)
    if abs(stamp(now) - at) > TOLERANCE.total_seconds():
        raise PermissionDenied("Stripe", "the event was signed too long ago, or is of the future")
    expected = [_signature(body, at, secret) for secret in secrets if secret]
    # Every pair is compared, so that the time it takes says nothing.
    matches = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    if not any(matches):
        raise PermissionDenied("Stripe", "the event's signature is not by this endpoint's secret")
    return _event(body)


def _signed(header: str) -> tuple[int, list[bytes]]:
    pairs = [part.partition("=") for part in header.split(",")] if len(header) <= _LONGEST_HEADER else []
    times = [value for name, _, value in pairs if name.strip() == "t"]
    signatures = [value.strip().encode("utf-8", "replace") for name, _, value in pairs if name.strip() == "v1"]
    if len(times) != 1 or not signatures or not times[0].isascii() or not times[0].isdigit() or len(times[0]) > 12:
        raise PermissionDenied("Stripe", "the Stripe-Signature header is malformed")
    return int(times[0]), signatures


def _signature(body: bytes, at: int, secret: str) -> bytes:
    return hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest().encode()


def _event(body: bytes) -> Event:
    try:
        wire = obj(parse(body))
    except (ValueError, RecursionError):
        wire = {}
    event_id, kind, about = wire.get("id"), wire.get("type"), obj(obj(wire.get("data")).get("object"))
    if wire.get("object") != "event" or not isinstance(event_id, str) or not isinstance(kind, str):
        raise InvalidInput("Stripe", "the body is no event")
    return Event(event_id, kind, frozenset(_tags(kind, about)))


def _tags(kind: str, about: Wire) -> set[str]:
    """As the adapter's reads name what they depend on."""
    tags: set[str] = set()
    family = kind.partition(".")[0]
    if family in ("invoice", "invoice_payment", "invoiceitem", "credit_note"):
        tags.add("invoices")
    if family in ("charge", "payment_intent", "refund", "invoice_payment", "radar"):
        tags |= {"payments", "invoices"}
    invoice = id_in(about.get("id")) if about.get("object") == "invoice" else id_in(about.get("invoice"))
    customer = id_in(about.get("id")) if about.get("object") == "customer" else id_in(about.get("customer"))
    if invoice:
        tags.add(f"invoice:{invoice}")
    if customer:
        tags.add(f"customer:{customer}")
    return tags


def stale(body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime) -> frozenset[str]:
    """The tags of what is not true any more.

    Raises:
        PermissionDenied, InvalidInput: as `verified`.
    """
    return verified(body, headers.get(HEADER, ""), secrets, now).about
