"""The watch over planted secrets sees them in whatever form they leave, and fails the test that let them out."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from tests.canaries import MARK, SANDBOXES, Watch, canary

from backoffice_billing.backends.quickbooks.sandbox import tokens as quickbooks
from backoffice_billing.backends.stripe import sandbox as stripe
from backoffice_billing.backends.xero.sandbox import grants as xero
from backoffice_billing.server import SERVER as BILLING
from backoffice_customer.backends.confluence import sandbox as confluence
from backoffice_customer.backends.email import sandbox as email
from backoffice_customer.backends.hubspot import sandbox as hubspot
from backoffice_customer.backends.salesforce.sandbox import grants as salesforce
from backoffice_customer.backends.zendesk import sandbox as zendesk
from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_shared.sandbox.company import Company
from backoffice_shopify import sandbox as shopify

SECRET = canary("spare")

CARELESS = """
import logging
import sys

from opentelemetry import trace
from tests.canaries import canary

SECRET = canary("spare")

def test_logs(): logging.getLogger("backoffice.x").debug("it is %s", SECRET)
def test_prints(): print("it is", SECRET)
def test_complains(): print("it is", SECRET, file=sys.stderr)
def test_traces():
    with trace.get_tracer("x").start_as_current_span(SECRET): pass
def test_is_careful(tmp_path): (tmp_path / "token").write_text(SECRET)
def test_keeps_it(tmp_path): (tmp_path / "state.json").write_text('{"token": "' + SECRET + '"}')
"""
ROOT = Path(__file__).parent.parent


FORMS = {
    "as it is": SECRET,
    "in bytes": SECRET.encode(),
    "cut short": SECRET[: len(MARK)],
    "in a URL": f"https://acme.example/?key={quote(SECRET)}",
    "in JSON": json.dumps({"authorization": f"Bearer {SECRET}"}),
    "in Python's words": repr(SECRET.encode()),
    "in hexadecimal": SECRET.encode().hex(),
    "in capitals": SECRET.encode().hex().upper(),
    **{f"in base64 after {user!r}": base64.b64encode(f"{user}:{SECRET}".encode()).decode() for user in ("", "a", "ab")},
    **{f"for URLs after {user!r}": base64.urlsafe_b64encode(f"{user}>?{SECRET}".encode()) for user in ("", "a", "ab")},
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_seen_in_every_form(form: str):
    watch = Watch([MARK])
    watch.saw("a sink", FORMS[form])
    [told] = watch.taken()
    assert "a sink" in told
    assert "test_a_secret_is_seen_in_every_form" in told
    assert MARK not in told


def test_the_secrets_of_the_sandboxes_are_watched():
    company = Company(seed=7, customers=10)
    used = {
        value
        for vendor in (*CUSTOMER.vendors, *BILLING.vendors)
        for name, value in vendor.sandbox(company).credentials.items()
        if name not in ("client_id", "email", "username")
    }
    besides = {
        *(zendesk.ACCESS_TOKEN, zendesk.API_TOKEN, confluence.ACCESS_TOKEN, email.ACCESS_TOKEN),
        *(hubspot.CLIENT_SECRET, hubspot.REFRESH_TOKEN, hubspot.ACCESS_TOKEN),
        *(salesforce.TOKEN, shopify.CLIENT["client_secret"], stripe.RESTRICTED_KEY),
        *(xero.CLIENT_SECRET, xero.REFRESH_TOKEN, xero.ACCESS_TOKEN),
        *(quickbooks.CLIENT_SECRET, quickbooks.REFRESH_TOKEN, quickbooks.ACCESS_TOKEN),
    }
    assert used | besides == set(SANDBOXES)


def test_what_holds_no_secret_is_not_told():
    watch = Watch([MARK])
    watch.saw("a sink", MARK[:-1] + " " + base64.b64encode(MARK[:-2].encode()).decode())
    assert watch.taken() == []


def test_a_file_that_is_nothing_but_a_secret_is_where_it_comes_from(tmp_path: Path):
    (tmp_path / "acme").mkdir()
    (tmp_path / "acme" / "access_token").write_text(SECRET + "\n")
    watch = Watch([MARK])
    watch.saw_files(tmp_path)
    assert watch.taken() == []


def test_whoever_lets_one_out_fails(tmp_path: Path):
    (tmp_path / "test_careless.py").write_text(CARELESS)
    run = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-rA", "-c", os.devnull]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run([*run, tmp_path], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    told = re.findall(r"^(PASSED|FAILED|ERROR) .*::(\w+)", done.stdout, re.MULTILINE)
    assert sorted(told) == [
        ("ERROR", "test_keeps_it"),
        ("FAILED", "test_complains"),
        ("FAILED", "test_logs"),
        ("FAILED", "test_prints"),
        ("FAILED", "test_traces"),
        ("PASSED", "test_is_careful"),
        ("PASSED", "test_keeps_it"),
    ]
    assert "the file test_keeps_it0/state.json" in done.stdout
