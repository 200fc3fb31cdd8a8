"""How Salesforce is reached, by every kind of credentials, and how its refusals are understood."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from tests.customer.sales import (
    ALL,
    KEY,
    TODAY,
    Crm,
    business,
    case_id,
    connected,
    contact,
    contact_id,
    natives,
    new_crm,
    the_case,
)
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.salesforce import Salesforce, SalesforceCases, salesforce_sandbox
from backoffice_customer.backends.salesforce.refusals import allowance, failure
from backoffice_customer.backends.salesforce.sandbox import CLIENT_ID, USERNAME
from backoffice_customer.ports import CommentPage, NoteDraft, Span, TicketChange, TicketQuery
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import BackendUnavailable, MalformedAnswer, OutcomeUnknown, PermissionDenied, RateLimited
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


# ------------------------------------------------------------------------------------------------------ who may ask


def key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


async def test_client_credentials_buy_a_token_that_is_kept(company: Company) -> None:
    sandbox, clock = salesforce_sandbox(company), ManualClock()
    people = Salesforce(connected(InProcess(sandbox), sandbox.credentials, clock))
    for _ in range(2):
        clock.advance(120)
        assert len(await people.contacts([contact_id(business(company)[0].number)])) == 1
    assert [request.path for request in sandbox.requests].count("/services/oauth2/token") == 1


async def test_an_assertion_buys_a_token_too(company: Company) -> None:
    private, public = key_pair()
    sandbox = salesforce_sandbox(company, certificate=public)
    secrets = {"client_id": CLIENT_ID, "username": USERNAME, "private_key": private}
    known = contact_id(business(company)[0].number)
    assert len(await Salesforce(connected(InProcess(sandbox), secrets)).contacts([known])) == 1
    for wrong in ({"username": "x@y.example"}, {"client_id": "other"}, {"private_key": key_pair()[0]}):
        with pytest.raises(MissingCredential, match="refused the configured"):
            await Salesforce(connected(InProcess(sandbox), secrets | wrong)).contacts([known])


async def test_a_session_that_has_ended_is_renewed_once(company: Company) -> None:
    ends, clock = ManualClock(), ManualClock()
    sandbox = salesforce_sandbox(company, clock=ends)
    people = Salesforce(connected(InProcess(sandbox), sandbox.credentials, clock))
    assert len(await people.contacts([contact_id(business(company)[0].number)])) == 1
    ends.advance(10_000)
    assert len(await people.contacts([contact_id(business(company)[1].number)])) == 1
    seen = [(request.path.rpartition("/")[2], request.status) for request in sandbox.requests]
    assert seen == [("token", 200), ("query", 200), ("query", 401), ("token", 200), ("query", 200)]


async def test_a_wrong_secret_is_said_to_be_one(company: Company) -> None:
    sandbox = salesforce_sandbox(company)
    people = Salesforce(connected(InProcess(sandbox), {"client_id": CLIENT_ID, "client_secret": "wrong"}))
    with pytest.raises(MissingCredential, match="refused the configured client_id and client_secret"):
        await people.contacts([contact_id(2)])
    with pytest.raises(PermissionDenied, match="Session expired or invalid"):
        await Salesforce(connected(InProcess(sandbox), {"access_token": "wrong-token"})).contacts([contact_id(2)])


# ------------------------------------------------------------------------------------------------------ refusals


def refusal(status: int, code: str, message: str = "No.", **more: Any) -> httpx.Response:
    return httpx.Response(status, json=[{"message": message, "errorCode": code, **more}])


@pytest.mark.parametrize(
    ("response", "amounts_to"),
    [
        (httpx.Response(200, json={"records": []}), None),
        (httpx.Response(204), None),
        (refusal(401, "INVALID_SESSION_ID", "Session expired or invalid"), Failure(401, "Session expired or invalid")),
        (
            refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded."),
            Failure(429, "TotalRequests Limit exceeded.", 3600.0),
        ),
        (
            refusal(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
            Failure(429, "ConcurrentPerOrgLongTxn Limit exceeded."),
        ),
        (refusal(400, "UNABLE_TO_LOCK_ROW"), Failure(429, "No.", 0.0)),
        (refusal(400, "DUPLICATES_DETECTED"), Failure(409, "No.")),
        (refusal(400, "DUPLICATE_VALUE"), Failure(409, "No.")),
        (refusal(400, "ENTITY_IS_DELETED"), Failure(404, "No.")),
        (refusal(400, "MALFORMED_ID"), Failure(404, "No.")),
        (refusal(400, "INSUFFICIENT_ACCESS_OR_READONLY"), Failure(403, "No.")),
        (refusal(400, "QUERY_TIMEOUT"), Failure(504, "No.")),
        (refusal(400, "STRING_TOO_LONG", "Too long", fields=["Subject"]), Failure(400, "Too long (Subject)")),
        (httpx.Response(412), Failure(412, "the record has changed since it was read")),
        (httpx.Response(502, text="<html>"), Failure(502, "answered 502")),
        (httpx.Response(400, text="[" * 100_000), Failure(400, "answered 400")),
        (httpx.Response(400, json={"message": "?"}), Failure(400, "answered 400")),
    ],
)
def test_a_refusal_says_what_it_amounts_to(response: httpx.Response, amounts_to: Failure | None) -> None:
    assert failure(response) == amounts_to


def test_parts_are_read_however_their_answer_is_written() -> None:
    part = {"body": [{"message": "No.", "errorCode": "NOT_FOUND"}], "httpStatusCode": 404, "referenceId": "case"}
    wire = json.dumps({"more": 1, "compositeResponse": [part]}, indent=2).encode()
    assert failure(httpx.Response(200, content=wire)) == Failure(404, "No.", None)


def test_of_several_parts_the_one_that_was_refused_counts_not_those_given_up_with_it() -> None:
    halted = [{"errorCode": "PROCESSING_HALTED", "message": "The transaction was rolled back."}]
    locked = [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record"}]
    parts = [
        {"body": halted, "httpStatusCode": 400, "referenceId": "case"},
        {"body": locked, "httpStatusCode": 400, "referenceId": "comment"},
    ]
    told = httpx.Response(200, json={"compositeResponse": parts})
    assert failure(told) == Failure(429, "unable to obtain exclusive access to this record", 0.0)
    alone = httpx.Response(200, json={"compositeResponse": parts[:1]})
    assert failure(alone) == Failure(400, "The transaction was rolled back.")


@pytest.mark.parametrize(
    ("header", "left"),
    [
        ("api-usage=18/5000", Allowance(4982, 86_400.0)),
        ("api-usage=25/5000; per-app-api-usage=17/250(appName=sample-app)", Allowance(4975, 86_400.0)),
        ("api-usage=5000/5000", None),
        ("per-app-api-usage=17/250(appName=sample-app)", None),
        ("nonsense", None),
        ("", None),
    ],
)
def test_the_requests_of_a_day_are_an_allowance(header: str, left: Allowance | None) -> None:
    assert allowance(httpx.Response(200, headers={"Sforce-Limit-Info": header})) == left


async def test_a_record_that_is_locked_for_a_moment_is_asked_for_again(crm: Crm) -> None:
    locked = [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": "unable to obtain exclusive access to this record"}]
    busy = [
        httpx.Response(
            200, json={"compositeResponse": [{"body": locked, "httpStatusCode": 400, "referenceId": "case"}]}
        )
    ]

    async def first_busy(request: httpx.Request) -> httpx.Response:
        if busy and b'"allOrNone":true' in request.content.replace(b" ", b""):
            return busy.pop()
        return await InProcess(crm.sandbox).handle_async_request(request)

    desk = SalesforceCases(connected(httpx.MockTransport(first_busy)))
    case = case_id(the_case(crm.company))
    assert (await desk.update_ticket(case, TicketChange(status="solved", note="Done."), KEY)).status == "solved"
    assert busy == []


async def test_a_throttled_request_is_repeated_and_an_outage_is_said(crm: Crm) -> None:
    known = contact_id(business(crm.company)[0].number)
    crm.faulty("throttle")
    assert natives(await crm.people.contacts([known])) == [known]
    crm.sandbox.faults = Faults(throttle=1)
    with pytest.raises(RateLimited, match="Limit exceeded"):
        await crm.people.contacts([contact_id(business(crm.company)[1].number)])
    crm.sandbox.faults = Faults(error=1)
    crm.clock.advance(60)
    with pytest.raises(BackendUnavailable, match="temporarily unavailable"):
        await crm.people.contacts([contact_id(business(crm.company)[2].number)])


@pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
async def test_answers_of_another_shape_are_said_to_be_that(crm: Crm, fault: Any) -> None:
    asks: list[Awaitable[object]] = [
        crm.people.contacts([contact_id(2)]),
        crm.people.search_contacts("garcia", 5),
        crm.people.events([contact(2)], ALL, Span(), None, 5),
        crm.desk.search_tickets(TicketQuery(), None, 5),
        crm.desk.count_open_tickets(contact(2)),
        crm.desk.ticket(case_id(1), CommentPage()),
    ]
    for ask in asks:
        crm.faulty(fault, fault)
        with pytest.raises(MalformedAnswer):
            await ask
    crm.faulty(fault)
    with pytest.raises(OutcomeUnknown):
        await crm.people.add_note(contact(2), NoteDraft("Call back."), KEY)
