"""How Zendesk is reached, by every kind of credentials, and how its refusals are understood."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest
from tests.customer.helpdesk import (
    TODAY,
    URL,
    Helpdesk,
    helpdesk,
    user,
)
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.zendesk import LEGACY_CREDENTIAL, ZENDESK, Zendesk, zendesk_sandbox
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN, AGENT_EMAIL, API_TOKEN, TOKEN_SECONDS
from backoffice_customer.ports import CommentPage, Span, TicketQuery
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import (
    BackendUnavailable,
    MalformedAnswer,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def desk(company: Company) -> Helpdesk:
    return helpdesk(company)


# ------------------------------------------------------------------------------------------------- credentials


async def test_a_token_for_no_more_than_is_needed_is_asked_for_in_json(company: Company) -> None:
    sandbox = zendesk_sandbox(company)
    asked: list[httpx.Request] = []

    async def noted(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return await InProcess(sandbox).handle_async_request(request)

    secrets = EnvironmentCredentials({f"zendesk_{name}": value for name, value in sandbox.credentials.items()})
    http = connect(ZENDESK, httpx.MockTransport(noted), secrets, base_url=URL, clock=ManualClock())
    assert len(await Zendesk(http).contacts(["200001"])) == 1
    assert (asked[0].url.path, asked[0].headers["content-type"]) == ("/oauth/tokens", "application/json")
    assert json.loads(asked[0].content) == {
        "grant_type": "client_credentials",
        **sandbox.credentials,
        "scope": "read tickets:write users:write",
    }


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("read tickets:write users:write", [200, 200, 200, 422]),
        ("read", [200, 200, 200, 403]),
        ("tickets:read hc:read tickets:write", [200, 403, 200, 422]),
        ("write", [403, 403, 403, 422]),
    ],
)
async def test_a_token_reaches_what_its_scope_says(company: Company, scope: str, allowed: list[int]) -> None:
    """A search is part of no resource: it takes the scope to read everything."""
    sandbox = zendesk_sandbox(company)
    asked = {"grant_type": "client_credentials", **sandbox.credentials, "scope": scope}
    async with httpx.AsyncClient(transport=InProcess(sandbox), base_url=URL) as http:
        token = (await http.post("/oauth/tokens", json=asked)).json()["access_token"]
        http.headers["authorization"] = f"Bearer {token}"
        answers = [
            await http.get("/api/v2/tickets/10001"),
            await http.get("/api/v2/search.json", params={"query": "zip"}),
            await http.get("/api/v2/help_center/sections"),
            await http.post("/api/v2/tickets", json={}),
        ]
    assert [answer.status_code for answer in answers] == allowed


async def test_one_token_is_fetched_for_many_calls_at_once(desk: Helpdesk) -> None:
    await asyncio.gather(*(desk.zendesk.contacts([str(200_001 + n)]) for n in range(20)))
    assert desk.asked("/oauth/tokens") == 1


async def test_a_token_that_zendesk_no_longer_takes_is_fetched_anew_once(desk: Helpdesk) -> None:
    await desk.zendesk.contacts(["200001"])
    desk.vendors_clock.advance(TOKEN_SECONDS)
    found = await asyncio.gather(*(desk.zendesk.contacts([str(200_001 + n)]) for n in range(1, 9)))
    assert [len(contacts) for contacts in found] == [1] * 8
    assert desk.asked("/oauth/tokens") == 2


async def test_a_token_is_fetched_anew_before_it_expires(desk: Helpdesk) -> None:
    await desk.zendesk.contacts(["200001"])
    for clock in (desk.clock, desk.vendors_clock):
        clock.advance(0.9 * TOKEN_SECONDS)
    await desk.zendesk.contacts(["200002"])
    assert desk.asked("/oauth/tokens") == 2
    assert all(entry.status == 200 for entry in desk.sandbox.requests)


@pytest.mark.parametrize(
    "credentials", [{"access_token": ACCESS_TOKEN}, {"email": AGENT_EMAIL, "api_token": API_TOKEN}]
)
async def test_other_credentials_need_no_token_endpoint(company: Company, credentials: dict[str, str]) -> None:
    desk = helpdesk(company, **credentials)
    assert len(await desk.zendesk.contacts(["200001"])) == 1
    assert desk.asked("/oauth/tokens") == 0


def test_the_way_that_ends_is_the_last_resort() -> None:
    assert ZENDESK.credentials[-1] == LEGACY_CREDENTIAL == {"email", "api_token"}


@pytest.mark.parametrize(
    ("credentials", "sentence"),
    [
        ({"client_id": "x", "client_secret": "guessed"}, "refused the configured client_id and client_secret"),
        ({"access_token": "guessed"}, "expired, revoked"),
        ({"email": AGENT_EMAIL, "api_token": "guessed"}, "Couldn't authenticate you"),
        ({"email": AGENT_EMAIL}, "needs client_id, client_secret"),
    ],
)
async def test_wrong_credentials_are_refused_and_never_shown(
    company: Company, credentials: dict[str, str], sentence: str
) -> None:
    with pytest.raises((PermissionDenied, MissingCredential), match=sentence) as raised:
        await helpdesk(company, **credentials).zendesk.contacts(["200001"])
    assert "guessed" not in str(raised.value)


# ---------------------------------------------------------------------------------------------------- failures


async def test_a_throttled_call_says_how_long_to_wait(company: Company) -> None:
    desk = helpdesk(company, access_token=ACCESS_TOKEN)
    desk.sandbox.faults = Faults(throttle=1.0, retry_after=30)
    with pytest.raises(RateLimited, match="Number of allowed API requests per minute exceeded") as raised:
        await desk.zendesk.contacts(["200001"])
    assert raised.value.retry_after == 30


async def test_an_unavailable_helpdesk_is_unavailable(company: Company) -> None:
    desk = helpdesk(company, access_token=ACCESS_TOKEN)
    desk.sandbox.faults = Faults(error=1.0)
    with pytest.raises(BackendUnavailable, match="temporarily unavailable"):
        await desk.zendesk.contacts(["200001"])


@pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
async def test_an_answer_in_another_form_is_malformed(company: Company, fault: Any) -> None:
    desk = helpdesk(company, access_token=ACCESS_TOKEN)
    zendesk = desk.zendesk
    calls = [
        lambda: zendesk.contacts(["200001"]),
        lambda: zendesk.contacts_by_email(["a@b.example"]),
        lambda: zendesk.search_contacts("Ada", 5),
        lambda: zendesk.events([user(0)], frozenset({"ticket"}), Span(), None, 5),
        lambda: zendesk.search_tickets(TicketQuery(), None, 5),
        lambda: zendesk.count_open_tickets(user(0)),
        lambda: zendesk.ticket("10001", CommentPage()),
    ]
    for call in calls:
        desk.sandbox.faults = Faults(plan=[fault] * 2)
        with pytest.raises(MalformedAnswer):
            await call()


def limited(retry_after: int, *, remaining: int) -> httpx.Response:
    headers = {"retry-after": str(retry_after), "x-rate-limit-remaining": str(remaining)}
    return httpx.Response(429, json={"description": "Slow"}, headers=headers)


@pytest.mark.parametrize(
    ("response", "failure"),
    [
        (httpx.Response(200, json={}), None),
        (
            httpx.Response(404, json={"error": "RecordNotFound", "description": "Not found"}),
            Failure(404, "Not found"),
        ),
        (
            httpx.Response(403, json={"error": {"title": "Forbidden", "message": "You do not have access."}}),
            Failure(403, "You do not have access."),
        ),
        (httpx.Response(403, json={"error": {"title": "Forbidden"}}), Failure(403, "Forbidden")),
        (httpx.Response(401, json={"error": "Couldn't authenticate you"}), Failure(401, "Couldn't authenticate you")),
        (
            httpx.Response(401, json={"error": "invalid_token", "error_description": "It is expired."}),
            Failure(401, "It is expired."),
        ),
        (
            httpx.Response(
                422,
                json={
                    "error": "RecordInvalid",
                    "description": "Record validation errors",
                    "details": {
                        "base": [{"description": "Description: cannot be blank"}],
                        "email": [{"description": "Email: is bad", "error": "Invalid"}],
                    },
                },
            ),
            Failure(422, "Record validation errors: Description: cannot be blank; Email: is bad"),
        ),
        (
            httpx.Response(
                429, text="Number of allowed API requests per minute exceeded", headers={"retry-after": "93"}
            ),
            Failure(429, "Number of allowed API requests per minute exceeded", 93.0),
        ),
        (limited(93, remaining=0), Failure(429, "Slow", 93.0)),
        (limited(60, remaining=7), Failure(429, "Slow", 60.0)),
        (limited(61, remaining=7), Failure(423, "Slow", 61.0)),
        (
            httpx.Response(400, json={"error": "IdempotentRequestError", "description": "Parameters don't match"}),
            Failure(409, "Parameters don't match"),
        ),
        (
            httpx.Response(
                422,
                json={
                    "error": "RecordInvalid",
                    "description": "Record validation errors",
                    "details": {"status": [{"description": "Status: closed prevents ticket update"}]},
                },
            ),
            Failure(409, "Record validation errors: Status: closed prevents ticket update"),
        ),
        (httpx.Response(409, json={"error": "UpdateConflict", "description": "Outdated"}), Failure(409, "Outdated")),
        (httpx.Response(502, html="<h1>Bad gateway</h1>"), Failure(502, "answered 502")),
        (httpx.Response(500, json=["x"]), Failure(500, "answered 500")),
    ],
)
def test_a_refusal_is_said_in_zendesks_words(response: httpx.Response, failure: Failure | None) -> None:
    assert ZENDESK.failure(response) == failure


@pytest.mark.parametrize(
    ("headers", "allowance"),
    [
        ({"x-rate-limit-remaining": "0", "ratelimit-reset": "41"}, Allowance(0, 41)),
        ({"x-rate-limit-remaining": "12"}, None),
        ({"x-rate-limit-remaining": "many", "ratelimit-reset": "41"}, None),
        ({}, None),
    ],
)
def test_what_is_left_of_the_limit_is_read_from_the_answer(
    headers: dict[str, str], allowance: Allowance | None
) -> None:
    assert ZENDESK.allowance(httpx.Response(200, headers=headers)) == allowance
