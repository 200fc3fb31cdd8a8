"""What Xero tells by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from tests.billing.xero_org import NOWHERE
from tests.canaries import canary

from backoffice_billing.backends.xero.webhook import HEADER, Event, stale, verified
from backoffice_shared.errors import InvalidInput, PermissionDenied

KEY, OLD_KEY = canary("webhook"), canary("old-webhook")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
TENANT = "06a10000-0000-4000-8000-000000000001"


def body(*events: object) -> bytes:
    return json.dumps({"events": events, "firstEventSequence": 1, "lastEventSequence": 2, "entropy": "X"}).encode()


def event(category: str, change: str = "UPDATE", native: str = NOWHERE) -> dict[str, str]:
    return {
        "resourceUrl": f"https://api.xero.com/api.xro/2.0/Invoices/{native}",
        "resourceId": native,
        "tenantId": TENANT,
        "tenantType": "ORGANISATION",
        "eventCategory": category,
        "eventType": change,
        "eventDateUtc": "2026-11-21T18:49:36.113",
    }


def signed(content: bytes, key: str = KEY) -> str:
    return base64.b64encode(hmac.new(key.encode(), content, hashlib.sha256).digest()).decode()


def test_a_signed_message_says_what_has_changed() -> None:
    content = body(event("INVOICE", "CREATE"), event("CONTACT"), event("SUBSCRIPTION"), event("INVOICE", native="x"), 7)
    assert verified(content, signed(content), [KEY]) == (
        Event("invoice", NOWHERE, "create", TENANT, ("invoices", "payments", "creditnotes")),
        Event("contact", NOWHERE, "update", TENANT, ("contacts", "invoices")),
    )
    assert stale(content, {HEADER: signed(content)}, [KEY], NOW) == {
        "invoices",
        "payments",
        "creditnotes",
        "contacts",
    }


def test_a_signed_message_without_events_asks_whether_we_look() -> None:
    content = body()
    assert verified(content, signed(content), [KEY]) == ()
    assert stale(content, {HEADER: signed(content)}, [KEY], NOW) == frozenset()


@pytest.mark.parametrize("given", ["", None, "é", signed(body(), "another key"), signed(b"another body"), "AAAA"])
def test_what_xero_has_not_signed_is_nothing(given: str | None) -> None:
    assert verified(body(), given, [KEY]) is None
    with pytest.raises(PermissionDenied, match="not signed"):
        stale(body(), {} if given is None else {HEADER: given}, [KEY], NOW)


def test_while_a_key_is_replaced_both_are_good_and_none_is_never() -> None:
    content = body()
    assert verified(content, signed(content, OLD_KEY), [KEY, OLD_KEY]) == ()
    assert verified(content, signed(content), []) is None
    assert verified(content, signed(content, ""), ["", KEY]) is None


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"events": NaN}', b"[" * 100_000])
def test_a_signed_message_that_makes_no_sense_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="not JSON"):
        stale(content, {HEADER: signed(content)}, [KEY], NOW)


@pytest.mark.parametrize("content", [b"[]", b"7", b'{"events": {"a": 1}}', b'{"events": [{"eventCategory": []}]}'])
def test_json_of_another_shape_tells_nothing(content: bytes) -> None:
    assert verified(content, signed(content), [KEY]) == ()
