"""What Intuit tells by itself."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest
from tests.canaries import canary

from backoffice_billing.backends.quickbooks.webhook import HEADER, Event, events, stale, verified
from backoffice_shared.errors import InvalidInput, PermissionDenied

TOKEN, OLD_TOKEN = canary("verifier"), canary("old-verifier")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
CLOUD_EVENTS = json.dumps(
    [
        {
            "specversion": "1.0",
            "id": "88cd52aa-33b6-4351-9aa4-47572edbd068",
            "source": "intuit.dsnBgbseACLLRZNxo2dfc4evmEJdxde58xeeYcZliOU=",
            "type": "qbo.invoice.voided.v1",
            "datacontenttype": "application/json",
            "time": "2026-09-10T21:31:25.179851517Z",
            "intuitentityid": "95",
            "intuitaccountid": "310687",
            "data": {},
        },
        {"type": "qbo.vendor.created.v1", "intuitentityid": "1", "intuitaccountid": "2"},
        {"type": "something else"},
        None,
    ]
).encode()
OLD = json.dumps(
    {
        "eventNotifications": [
            {
                "realmId": "310687",
                "dataChangeEvent": {"entities": [{"name": "Customer", "id": "1", "operation": "Update"}]},
            }
        ]
    }
).encode()


def signature(body: bytes, token: str) -> str:
    return base64.b64encode(hmac.digest(token.encode(), body, hashlib.sha256)).decode()


def test_what_intuit_signed_is_believed_while_a_token_is_changed_too() -> None:
    assert verified(OLD, signature(OLD, TOKEN), [TOKEN])
    assert verified(OLD, signature(OLD, OLD_TOKEN), [TOKEN, OLD_TOKEN])


@pytest.mark.parametrize("given", ["", "AAAA", "not base64!", signature(OLD, "another"), "\u00e9", signature(OLD, "")])
def test_what_anybody_else_signed_is_not(given: str) -> None:
    assert not verified(OLD, given, [TOKEN, ""])


def test_a_body_that_was_changed_is_not_believed() -> None:
    assert not verified(OLD + b" ", signature(OLD, TOKEN), [TOKEN])


def test_cloud_events_say_what_became_old() -> None:
    assert events(CLOUD_EVENTS) == [
        Event("310687", "invoice", "95", "voided", ("invoices", "customers", "reports")),
        Event("2", "vendor", "1", "created", ()),
    ]


def test_the_older_form_is_read_too() -> None:
    assert events(OLD) == [Event("310687", "customer", "1", "updated", ("customers",))]


@pytest.mark.parametrize("body", [b"[]", b"{}", b"7", b'{"eventNotifications": [null, {"dataChangeEvent": []}]}'])
def test_a_body_of_another_shape_says_nothing(body: bytes) -> None:
    assert events(body) == []


def test_a_signed_message_makes_answers_old_and_any_other_none() -> None:
    headers = {HEADER: signature(CLOUD_EVENTS, TOKEN)}
    assert stale(CLOUD_EVENTS, headers, [TOKEN], NOW) == {"invoices", "customers", "reports"}
    with pytest.raises(PermissionDenied):
        stale(CLOUD_EVENTS, {}, [TOKEN], NOW)
    with pytest.raises(InvalidInput):
        stale(b"{", {HEADER: signature(b"{", TOKEN)}, [TOKEN], NOW)
