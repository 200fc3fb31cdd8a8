"""Events of Stripe: whether they are its own, and what they make stale."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import stripe as package
from tests.billing.stripe_account import HOSTILE
from tests.canaries import canary

from backoffice_billing.backends.stripe.webhook import Event, verified
from backoffice_shared.errors import InvalidInput, PermissionDenied

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
SECRET, NEXT = canary("webhook"), canary("webhook-next")


def event(kind: str = "invoice.paid", **about: Any) -> bytes:
    about = about or {"object": "invoice", "id": "in_1", "customer": "cus_1"}
    return json.dumps({"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}}).encode()


def signature(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    return hmac.new(secret.encode(), f"{int(at.timestamp())}.".encode() + body, hashlib.sha256).hexdigest()


def header(body: bytes, secret: str = SECRET, at: datetime = NOW) -> str:
    return f"t={int(at.timestamp())},v1={signature(body, secret, at)},v0=ignored"


def test_an_event_that_stripe_signed_says_what_it_makes_stale() -> None:
    body = event()
    assert verified(body, header(body), [SECRET], NOW) == Event(
        "evt_1", "invoice.paid", frozenset({"invoices", "invoice:in_1", "customer:cus_1"})
    )


@pytest.mark.parametrize(
    ("kind", "about", "tags"),
    [
        (
            "charge.refunded",
            {"object": "charge", "id": "ch_1", "customer": "cus_1"},
            {"payments", "invoices", "customer:cus_1"},
        ),
        ("refund.failed", {"object": "refund", "id": "re_1", "charge": "ch_1"}, {"payments", "invoices"}),
        ("charge.dispute.created", {"object": "dispute", "id": "du_1"}, {"payments", "invoices"}),
        ("customer.updated", {"object": "customer", "id": "cus_7"}, {"customer:cus_7"}),
        ("payment_method.attached", {"object": "payment_method", "customer": {"id": "cus_8"}}, {"customer:cus_8"}),
        ("credit_note.created", {"object": "credit_note", "invoice": "in_2"}, {"invoices", "invoice:in_2"}),
        (
            "invoice_payment.paid",
            {"object": "invoice_payment", "invoice": "in_3"},
            {"invoices", "payments", "invoice:in_3"},
        ),
        ("payout.paid", {"object": "payout"}, set[str]()),
        ("invoice.paid", {"object": "invoice", "id": [], "customer": 7}, {"invoices"}),
    ],
)
def test_what_is_stale_depends_on_what_it_is_about(kind: str, about: dict[str, Any], tags: set[str]) -> None:
    body = event(kind, **about)
    assert verified(body, header(body), [SECRET], NOW).about == tags


def test_while_one_secret_replaces_another_either_will_do() -> None:
    body = event()
    for secret in (SECRET, NEXT):
        assert verified(body, header(body, secret), [SECRET, NEXT], NOW).event_id == "evt_1"
    both = f"{header(body, NEXT)},v1={signature(body)}"
    assert verified(body, both, [SECRET], NOW).event_id == "evt_1"


@pytest.mark.parametrize("shift", [timedelta(minutes=5, seconds=1), -timedelta(minutes=5, seconds=1)])
def test_a_signature_of_long_ago_or_of_the_future_is_refused(shift: timedelta) -> None:
    body = event()
    with pytest.raises(PermissionDenied, match="too long ago"):
        verified(body, header(body), [SECRET], NOW + shift)
    assert verified(body, header(body), [SECRET], NOW + shift / 2)


@pytest.mark.parametrize("secrets", [[], [""], [NEXT]])
def test_another_secret_or_none_is_refused(secrets: list[str]) -> None:
    body = event()
    with pytest.raises(PermissionDenied, match="not by this endpoint's secret"):
        verified(body, header(body), secrets, NOW)
    with pytest.raises(PermissionDenied, match="not by this endpoint's secret"):
        verified(body, header(body, ""), [""], NOW)


def test_a_body_that_was_changed_is_refused() -> None:
    body = event()
    with pytest.raises(PermissionDenied):
        verified(body.replace(b"evt_1", b"evt_2"), header(body), [SECRET], NOW)
    with pytest.raises(PermissionDenied):
        verified(body + b" ", header(body), [SECRET], NOW)


@pytest.mark.parametrize(
    "malformed",
    [
        "",
        "t=",
        "v1=aa",
        "t=1",
        "t=x,v1=aa",
        "t=1,t=2,v1=aa",
        "t=-1,v1=aa",
        "t=٣,v1=aa",
        "t=1e9,v1=aa",
        "," * 50,
        HOSTILE,
        "t=" + "9" * 5000 + ",v1=aa",
        "t=1,v1=é",
        "t=" + "9" * 12 + ",v1=aa",
    ],
)
def test_a_malformed_header_is_refused(malformed: str) -> None:
    with pytest.raises(PermissionDenied):
        verified(event(), malformed, [SECRET], NOW)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"object":"event"}',
        b'{"object":"event","id":7,"type":"a"}',
        b"\xff\xfe",
        b'{"id":"evt_1","type":"a"}',
        b"[" * 100_000,
    ],
)
def test_what_is_signed_and_no_event_is_invalid(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="no event"):
        verified(body, header(body), [SECRET], NOW)


def _theirs(body: bytes, signed: str, now: datetime) -> bool:
    """What Stripe's own client says, whose clock is the wall's: the signature is made as old as it is now."""
    real = datetime.now(UTC)
    at = real - (now - NOW)
    own = signed.replace(f"t={int(NOW.timestamp())}", f"t={int(at.timestamp())}")
    own = own.replace(signature(body), signature(body, at=at)).replace(signature(body, NEXT), signature(body, NEXT, at))
    try:
        package.Webhook.construct_event(body, own, SECRET)
    except (package.SignatureVerificationError, ValueError):
        return False
    return True


def _ours(body: bytes, signed: str, now: datetime) -> bool:
    try:
        verified(body, signed, [SECRET], now)
    except (PermissionDenied, InvalidInput):
        return False
    return True


def test_we_believe_what_stripes_own_client_believes() -> None:
    body = event()
    cases = [
        (body, header(body), NOW, True),
        (body, header(body, NEXT), NOW, False),
        (body, f"{header(body, NEXT)},v1={signature(body)}", NOW, True),
        (body, header(body), NOW + timedelta(minutes=4), True),
        (body, header(body), NOW + timedelta(minutes=6), False),
        (body, header(body).replace("v1=", "v2="), NOW, False),
        (body + b" ", header(body), NOW, False),
        (body, "", NOW, False),
    ]
    for given, signed, now, believed in cases:
        assert (_ours(given, signed, now), _theirs(given, signed, now)) == (believed, believed), signed
