"""How HubSpot refuses and fails, and how that is understood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response
from tests.canaries import canary
from tests.customer.crm import (
    NOTES,
    SEARCH,
    TODAY,
    Crm,
    answering,
    connected,
    contact,
    native,
    natives,
    new_crm,
    wire,
    written,
)
from tests.shared.acme import Secrets, credential
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.hubspot import HUBSPOT, HubSpot
from backoffice_customer.backends.hubspot.sandbox import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from backoffice_customer.ports import Span
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.deadline import within
from backoffice_shared.errors import BackendUnavailable, InvalidInput, MalformedAnswer, PermissionDenied, RateLimited
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


async def test_a_throttled_request_is_tried_three_times_and_then_said_to_be(crm: Crm) -> None:
    await crm.knows_owners()
    crm.sandbox.faults = Faults(throttle=1)
    with pytest.raises(RateLimited) as refused:
        await crm.hubspot.contacts([native(1)])
    assert str(refused.value) == "HubSpot: You have reached your ten_secondly_rolling limit."
    assert [request.status for request in crm.sandbox.requests] == [429, 429, 429]


async def test_who_is_throttled_once_does_not_notice(crm: Crm) -> None:
    await crm.knows_owners()
    crm.sandbox.faults = Faults(plan=["throttle", "reset", "ok"])
    assert natives(await crm.hubspot.contacts([native(1)])) == [native(1)]
    assert [request.status for request in crm.sandbox.requests] == [429, 0, 200]


async def test_a_days_limit_is_not_waited_for(crm: Crm) -> None:
    def throttled(_seconds: int) -> Response:
        return JSONResponse({"message": "You have reached your daily limit.", "policyName": "DAILY"}, 429)

    sandbox = replace(crm.sandbox, throttled=throttled, faults=Faults(throttle=1))
    with within(30, crm.clock), pytest.raises(RateLimited) as refused:
        await connected(InProcess(sandbox), crm.clock).contacts([native(1)])
    assert (refused.value.retry_after, refused.value.message) == (3600, "You have reached your daily limit.")
    assert (len(sandbox.requests), crm.clock.slept) == (1, [])


async def test_a_wrong_token_is_refused(crm: Crm) -> None:
    with pytest.raises(PermissionDenied, match="HubSpot: Authentication credentials not found") as refused:
        await connected(InProcess(crm.sandbox), access_token="pat-of-another-portal").contacts([native(1)])
    assert "pat-of-another-portal" not in str(refused.value)


async def test_without_a_token_nothing_is_asked(crm: Crm) -> None:
    with pytest.raises(MissingCredential, match="access_token"):
        await connected(InProcess(crm.sandbox), password="secret").contacts([native(1)])
    assert crm.asked == []


@pytest.mark.parametrize("faults", [Faults(error=1), Faults(reset=1), Faults(drop_after_commit=1)])
async def test_a_vendor_that_is_down_is_said_to_be(crm: Crm, faults: Faults) -> None:
    await crm.knows_owners()
    crm.sandbox.faults = faults
    with pytest.raises(BackendUnavailable, match="HubSpot"):
        await crm.hubspot.search_contacts("maria", 10)
    assert crm.asked == [SEARCH] * 3


@pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
async def test_half_an_answer_and_another_shape_are_not_taken_for_an_answer(crm: Crm, fault: str) -> None:
    await crm.knows_owners()
    crm.sandbox.faults = Faults.model_validate({fault: 1})
    with pytest.raises(MalformedAnswer, match=r"HubSpot: answered contacts\.read in a form that we do not understand"):
        await crm.hubspot.contacts([native(1)])
    with pytest.raises(MalformedAnswer):
        await crm.hubspot.contacts_by_email(["ada@mail.example"])
    with pytest.raises(MalformedAnswer):
        await crm.hubspot.search_contacts("maria", 10)
    with pytest.raises(MalformedAnswer):
        await crm.hubspot.events([contact(1)], NOTES, Span(), None, 10)


MISSHAPEN_PEOPLE: list[Any] = [
    None,
    [],
    "results",
    {},
    {"results": None},
    {"results": [None]},
    {"results": [{}]},
    {"results": [wire() | {"properties": None}]},
    {"results": [wire() | {"id": 512}]},
    {"results": [wire() | {"updatedAt": "yesterday"}]},
    {"results": [wire() | {"properties": {"email": 7}}]},
    {"results": [wire() | {"properties": {"firstname": ["Ada"]}}]},
    {"results": [wire() | {"properties": {"hs_email_optout": ["true"]}}]},
]


@pytest.mark.parametrize("misshapen", MISSHAPEN_PEOPLE)
async def test_people_in_another_shape_are_not_guessed_at(misshapen: object) -> None:
    with pytest.raises(MalformedAnswer):
        await answering(misshapen).contacts(["512"])


MISSHAPEN_NOTES: list[Any] = [
    None,
    {},
    {"results": []},
    {"results": [], "total": 0, "paging": None},
    {"results": [], "total": 0, "paging": {"next": {"after": "the next one"}}},
    {"results": [{"id": "7", "properties": {}}], "total": 1},
    {"results": [written(hs_timestamp=None)], "total": 1},
    {"results": [written(hs_timestamp="yesterday")], "total": 1},
]


@pytest.mark.parametrize("misshapen", MISSHAPEN_NOTES)
async def test_notes_in_another_shape_are_not_guessed_at(misshapen: object) -> None:
    with pytest.raises(MalformedAnswer):
        await answering(misshapen).events([contact(1)], NOTES, Span(), None, 10)


async def test_a_refusal_carries_hubspots_own_sentence(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="HubSpot: limit must be from 1 to 200"):
        await crm.hubspot.search_contacts("maria", 201)


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (httpx.Response(200, json={"status": "error"}), None),
        (httpx.Response(207, json={}), None),
        (httpx.Response(404, json={"message": "resource not found"}), Failure(404, "resource not found")),
        (httpx.Response(502, html="<h1>Bad Gateway</h1>"), Failure(502, "answered 502")),
        (httpx.Response(500), Failure(500, "answered 500")),
        (httpx.Response(400, json=["no", "object"]), Failure(400, "answered 400")),
        (httpx.Response(400, json={"message": None}), Failure(400, "answered 400")),
        (httpx.Response(400, json={"message": "x" * 1_000}), Failure(400, "x" * 300)),
        (httpx.Response(429, headers={"Retry-After": "7"}), Failure(429, "answered 429", 7)),
        (httpx.Response(503, headers={"Retry-After": "soon"}), Failure(503, "answered 503")),
        (
            httpx.Response(429, headers={"Retry-After": "7"}, json={"message": "No more.", "policyName": "DAILY"}),
            Failure(429, "No more.", 3600),
        ),
    ],
)
def test_what_counts_as_a_failure(response: httpx.Response, failure: Failure | None) -> None:
    assert HUBSPOT.failure(response) == failure


@pytest.mark.parametrize(
    ("remaining", "interval", "allowance"),
    [("42", "10000", Allowance(42, 10)), ("42", None, None), (None, "10000", None), ("many", "10000", None)],
)
def test_hubspot_says_what_is_left_of_its_limit(
    remaining: str | None, interval: str | None, allowance: Allowance | None
) -> None:
    names = {"X-HubSpot-RateLimit-Remaining": remaining, "X-HubSpot-RateLimit-Interval-Milliseconds": interval}
    headers = {name: value for name, value in names.items() if value is not None}
    assert HUBSPOT.allowance(httpx.Response(200, headers=headers)) == allowance


class Kept(Secrets):
    """A place for secrets where the next refresh token can be kept."""

    async def replace(self, vendor: str, read: Credential, fields: Mapping[str, str]) -> Credential:  # noqa: ARG002
        self.current = credential(f"{read.version}+", {**read, **fields})
        return self.current


async def test_a_refresh_token_buys_access_and_the_next_one_is_kept(crm: Crm) -> None:
    safe = Kept({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN})
    http = connect(HUBSPOT, InProcess(crm.sandbox), safe, base_url=HUBSPOT.base_url, clock=ManualClock())
    assert natives(await HubSpot(http).contacts([native(1)])) == [native(1)]
    assert safe.current["refresh_token"]
    await http.aclose()


async def test_a_refresh_token_of_another_app_is_refused_in_a_sentence(crm: Crm) -> None:
    safe = Kept({"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": canary("refresh")})
    http = connect(HUBSPOT, InProcess(crm.sandbox), safe, base_url=HUBSPOT.base_url, clock=ManualClock())
    with pytest.raises(MissingCredential, match="refused the configured client_id, client_secret and refresh_token"):
        await HubSpot(http).contacts([native(1)])
    await http.aclose()
