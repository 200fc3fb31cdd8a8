"""How Xero is reached: tokens, organisations and scopes; and how its refusals and limits are understood."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import pytest
from tests.billing.xero_org import KEY, NOWHERE, TODAY, URL, Desk, desk, draft, saying
from tests.canaries import canary
from tests.shared.acme import Secrets, credential
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.xero import XERO, Xero, xero_sandbox
from backoffice_billing.backends.xero.access import SCOPES
from backoffice_billing.backends.xero.sandbox import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TENANT
from backoffice_billing.backends.xero.sandbox.seeding import contact_id
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.errors import BackendUnavailable, Conflict, InvalidInput, PermissionDenied, RateLimited
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio

CLIENT = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=10, today=TODAY)


class Kept(Secrets):
    """A place for secrets where the next refresh token can be kept."""

    async def replace(self, vendor: str, read: Credential, fields: Mapping[str, str]) -> Credential:
        assert (vendor, read.version) == ("xero", self.current.version)
        self.current = credential(f"{read.version}+", {**read, **fields})
        return self.current


async def names(here: Desk) -> list[str]:
    """Read afresh."""
    found = await here.http.read("any", "/api.xro/2.0/Contacts", into=lambda wire: wire["Contacts"])
    return [contact["Name"] for contact in found]


def asked(here: Desk, path: str) -> int:
    return sum(entry.path == path for entry in here.sandbox.requests)


async def test_a_custom_connection_needs_no_tenant_and_keeps_its_token_for_half_an_hour(company: Company) -> None:
    here = desk(company, credentials=CLIENT)
    for _ in range(3):
        assert here.company.people[2].name in await names(here)
    assert asked(here, "/connect/token") == 1
    here.clock.advance(1_700)
    assert await names(here)
    assert asked(here, "/connect/token") == 2


async def test_a_token_that_has_run_out_is_renewed_once_and_nobody_notices(company: Company) -> None:
    here = desk(company, credentials=CLIENT)
    await names(here)
    here.vendors_clock.advance(1_900)
    here.clock.advance(60)
    assert await names(here)
    assert asked(here, "/connect/token") == 2


async def test_a_wrong_secret_is_refused_and_not_shown(company: Company) -> None:
    wrong = canary("xero-client")
    with pytest.raises(MissingCredential, match="refused the configured client_id and client_secret") as refused:
        await names(desk(company, credentials={**CLIENT, "client_secret": wrong}))
    assert wrong not in str(refused.value)


async def test_a_wrong_token_is_refused(company: Company) -> None:
    with pytest.raises(PermissionDenied, match="Xero: Unauthorized; AuthenticationUnsuccessful"):
        await names(desk(company, credentials={"access_token": canary("xero-token")}))


async def test_an_organisation_that_the_app_is_not_connected_to_is_refused(company: Company) -> None:
    with pytest.raises(PermissionDenied, match="Forbidden"):
        await names(desk(company, options={"tenant": NOWHERE}))
    assert await names(desk(company, options={"tenant": TENANT}))


async def test_the_scopes_asked_for_suffice_for_everything_and_are_needed(company: Company) -> None:
    here = desk(company, credentials=CLIENT)
    made = (await here.xero.create_invoice(draft(), KEY)).value
    ref = made.invoice_id.rpartition(":")[2]
    await here.xero.issue_invoice(ref, made.version, send=True, key=f"{KEY}-i")
    await here.xero.accounts([contact_id(2)], frozenset({"balance", "credit"}))
    for scope in SCOPES:
        fewer = " ".join(one for one in SCOPES if one != scope)
        there = desk(company, options={"scopes": fewer}, credentials=CLIENT)
        path = {
            "accounting.contacts": "Contacts",
            "accounting.invoices": "Invoices",
            "accounting.payments": "Payments",
            "accounting.settings.read": "Accounts",
            "accounting.reports.balancesheet.read": "Reports/BalanceSheet",
            "accounting.reports.profitandloss.read": "Reports/ProfitAndLoss",
            "accounting.reports.trialbalance.read": "Reports/TrialBalance",
        }[scope]
        with pytest.raises(PermissionDenied, match="lacks a scope"):
            await there.http.read("any", f"/api.xro/2.0/{path}", into=lambda wire: wire)


def consented(company: Company, secrets: Kept, clock: ManualClock, tenant: str = TENANT) -> tuple[Xero, Any]:
    sandbox = xero_sandbox(company, clock=clock)
    http = connect(XERO, InProcess(sandbox), secrets, base_url=URL, options={"tenant": tenant}, clock=ManualClock())
    return Xero(http), sandbox


async def test_by_consent_a_refresh_token_buys_an_access_token_and_the_next_one(company: Company) -> None:
    secrets = Kept({**CLIENT, "refresh_token": REFRESH_TOKEN})
    xero, sandbox = consented(company, secrets, ManualClock())
    for _ in range(3):
        assert await xero.accounts([contact_id(2)], frozenset())
    assert sum(entry.path == "/connect/token" for entry in sandbox.requests) == 1
    assert secrets.current["refresh_token"] == f"{REFRESH_TOKEN}-2"


async def test_by_consent_the_organisation_has_to_be_named(company: Company) -> None:
    secrets = Kept({**CLIENT, "refresh_token": REFRESH_TOKEN})
    xero, _ = consented(company, secrets, ManualClock(), tenant="")
    with pytest.raises(PermissionDenied, match="Forbidden"):
        await xero.accounts([contact_id(2)], frozenset())


async def test_a_refresh_token_that_was_used_is_taken_for_half_an_hour_more(company: Company) -> None:
    clock = ManualClock()
    sandbox = xero_sandbox(company, clock=clock)
    form = {"grant_type": "refresh_token", "refresh_token": REFRESH_TOKEN}
    async with httpx.AsyncClient(transport=InProcess(sandbox), auth=(CLIENT_ID, CLIENT_SECRET)) as http:

        async def exchange(token: str) -> httpx.Response:
            return await http.post("https://identity.xero.com/connect/token", data={**form, "refresh_token": token})

        first = (await exchange(REFRESH_TOKEN)).json()["refresh_token"]
        clock.advance(1_799)
        assert (await exchange(REFRESH_TOKEN)).status_code == 200
        clock.advance(2)
        late = await exchange(REFRESH_TOKEN)
        assert (late.status_code, late.json()) == (400, {"error": "invalid_grant"})
        assert (await exchange(first)).status_code == 200


# ------------------------------------------------------------------------------------------------------ refusals


def failure(status: int, json: Any = None, text: str = "", **headers: str) -> Failure | None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if json is not None:
        return XERO.failure(httpx.Response(status, json=json, headers=named))
    return XERO.failure(httpx.Response(status, text=text, headers=named))


def invalid(*sentences: str, **more: Any) -> dict[str, Any]:
    return {**more, "ValidationErrors": [{"Message": sentence} for sentence in sentences]}


ERROR: dict[str, Any] = {"ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation exception occurred"}


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (failure(200, {"Status": "OK", "Invoices": [{"StatusAttributeString": "OK"}]}), None),
        (failure(204), None),
        (failure(400, {**ERROR, "Elements": [invalid("Account must be valid.", "Tax rate must be valid.")]}),
         Failure(400, "Account must be valid; Tax rate must be valid")),
        (failure(400, {**ERROR, "Elements": [{"Contact": invalid("Name is missing"), "LineItems": [invalid("No text")]}]}),
         Failure(400, "Name is missing; No text")),
        (failure(200, {"Status": "OK", "Invoices": [invalid("Invoice # must be unique.", StatusAttributeString="ERROR")]}),
         Failure(409, "Invoice # must be unique")),
        (failure(400, {**ERROR, "Elements": []}), Failure(400, "A validation exception occurred")),
        (failure(400, {"ErrorNumber": 16, "Type": "QueryParseException", "Message": "No property"}), Failure(400, "No property")),
        (failure(404, text="The resource you're looking for cannot be found", content_type="text/html"),
         Failure(404, "The resource you're looking for cannot be found")),
        (failure(401, {"Title": "Unauthorized", "Detail": "TokenExpired"}, www_authenticate="x"),
         Failure(401, "Unauthorized; TokenExpired")),
        (failure(401, {"Title": "Unauthorized"}, www_authenticate="insufficient_scope"),
         Failure(403, "the connection lacks a scope that this needs; see its scopes")),
        (failure(429, x_rate_limit_problem="minute", retry_after="33"),
         Failure(429, "its request limit (minute) is used up", 33.0)),
        (failure(429, x_rate_limit_problem="day"), Failure(429, "its request limit (day) is used up", 3_600.0)),
        (failure(429, x_rate_limit_problem="<b>"), Failure(429, "its request limit is used up", None)),
        (failure(503, text="offline", content_type="text/plain", retry_after="5"), Failure(503, "offline", 5.0)),
        (failure(500, text="{", content_type="application/json"), Failure(500, "answered 500")),
        (failure(400, [1, 2]), Failure(400, "answered 400")),
        (failure(400, {"Elements": [7, None, {"ValidationErrors": "x"}]}), Failure(400, "answered 400")),
    ],
)  # fmt: skip
def test_what_a_refusal_means(response: Failure | None, expected: Failure | None) -> None:
    assert response == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "Invoice not of valid status for modification",
        "This document cannot be edited as it has a payment or credit note allocated to it.",
        "Payments can only be made against Authorised documents",
        "Payment amount exceeds the amount outstanding on this document",
        "Invoice # must be unique.",
    ],
)
async def test_what_the_state_of_a_thing_forbids_is_a_conflict(sentence: str) -> None:
    http = saying(lambda _request: httpx.Response(400, json={**ERROR, "Elements": [invalid(sentence)]}))
    with pytest.raises(Conflict, match=sentence.rstrip(".")):
        await http.write("any", "/x", into=lambda wire: wire, key=KEY)


async def test_an_error_in_what_was_sent_is_the_callers() -> None:
    http = saying(lambda _request: httpx.Response(400, json={**ERROR, "Elements": [invalid("Account must be valid.")]}))
    with pytest.raises(InvalidInput, match="Account must be valid"):
        await http.write("any", "/x", into=lambda wire: wire, key=KEY)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"x-minlimit-remaining": "12", "x-daylimit-remaining": "4000"}, Allowance(12, 60)),
        ({"x-minlimit-remaining": "12", "x-daylimit-remaining": "0"}, Allowance(0, 3_600)),
        ({"x-minlimit-remaining": "many"}, None),
        ({}, None),
    ],
)
def test_what_is_left_of_the_limits(headers: dict[str, str], expected: Allowance | None) -> None:
    assert XERO.allowance(httpx.Response(200, headers=headers)) == expected


async def test_a_throttled_request_is_tried_again_and_then_said_to_be(company: Company) -> None:
    here = desk(company)
    here.sandbox.faults = Faults(plan=["throttle"])
    assert await names(here)
    here.sandbox.faults = Faults(throttle=1)
    with pytest.raises(RateLimited, match=r"its request limit \(minute\) is used up"):
        await names(here)


async def test_a_vendor_that_is_down_is_said_to_be(company: Company) -> None:
    here = desk(company)
    here.sandbox.faults = Faults(error=1)
    with pytest.raises(BackendUnavailable, match="Xero"):
        await names(here)
