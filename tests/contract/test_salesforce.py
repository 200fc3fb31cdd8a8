"""The sandbox is Salesforce to others too: to simple-salesforce, the client that Python programs use for it."""

from __future__ import annotations

import importlib
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
import uvicorn
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from requests.adapters import HTTPAdapter
from tests.contract.serving import Served
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.salesforce import SALESFORCE, Salesforce, SalesforceCases, salesforce_sandbox
from backoffice_customer.backends.salesforce.sandbox import CLIENT_ID, CLIENT_SECRET, DOMAIN, TOKEN, USERNAME
from backoffice_customer.models import Contact, PreferenceChanges, Ref
from backoffice_customer.ports import CommentPage, NoteDraft, Reply, Span, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.sandbox.certificate import make_certificate
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
SITE = f"https://{DOMAIN}.my.salesforce.com"
KEY = "key-12345678"

simple_salesforce: Any = importlib.import_module("simple_salesforce")  # its types are partial
exceptions: Any = importlib.import_module("simple_salesforce.exceptions")


class Redirected(HTTPAdapter):
    """Takes requests for the vendor's address to another one."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url

    def send(self, request: requests.PreparedRequest, *args: Any, **more: Any) -> requests.Response:
        parts = urlsplit(str(request.url))
        request.url = self._url + parts.path + (f"?{parts.query}" if parts.query else "")
        return super().send(request, *args, **more)


@dataclass
class Securely:
    """A sandbox served over HTTPS, which the vendor's client insists on."""

    served: Served
    session: requests.Session

    def client(self) -> Any:
        """With a session at hand."""
        return simple_salesforce.Salesforce(
            instance_url=self.served.url, session_id=TOKEN, version="67.0", session=self.session
        )


@contextmanager
def serving_securely(sandbox: VendorSandbox, folder: Path) -> Generator[Securely]:
    public, private = make_certificate(folder)
    served = Served(sandbox)
    config = uvicorn.Config(served, log_config=None, lifespan="off", ssl_certfile=public, ssl_keyfile=private, port=0)
    server = Listening(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.ready.wait(10)
    served.url = f"https://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        with requests.Session() as session:
            session.verify, session.trust_env = str(public), False
            session.mount(SITE, Redirected(served.url))
            yield Securely(served, session)
    finally:
        server.should_exit = server.force_exit = True
        thread.join(10)


class Listening(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture(scope="module")
def pair() -> tuple[str, str]:
    """A private key, and the certificate that an administrator would upload."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


@pytest.fixture
def theirs(company: Company, pair: tuple[str, str]) -> VendorSandbox:
    return salesforce_sandbox(company, certificate=pair[1])


@pytest.fixture
def ours(company: Company) -> VendorSandbox:
    return salesforce_sandbox(company)


@pytest.fixture
def securely(theirs: VendorSandbox, tmp_path: Path) -> Generator[Securely]:
    with serving_securely(theirs, tmp_path) as securely:
        yield securely


@pytest.fixture
def client(securely: Securely) -> Any:
    return securely.client()


def connected(sandbox: VendorSandbox) -> BackendClient:
    credentials = EnvironmentCredentials({"salesforce_access_token": TOKEN})
    options = {"domain": DOMAIN}
    return connect(SALESFORCE, InProcess(sandbox), credentials, base_url=SITE, options=options, clock=ManualClock())


def contact_id(person: int) -> str:
    return f"003Hs{person:010d}IAA"


def contact(person: int) -> Contact:
    return Contact(ref=Ref("salesforce", "contact", contact_id(person)), name="")


def a_case(company: Company) -> str:
    case = next(case for case in company.cases if case.status == "open" and len(company.thread(case)) > 2)
    return f"500Hs{case.number:010d}IAA"


TIMES = {"CreatedDate", "LastModifiedDate", "SystemModstamp"}


async def state(sandbox: VendorSandbox) -> dict[str, list[dict[str, Any]]]:
    """All that can have been written, without the times."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=InProcess(sandbox), base_url=SITE, headers=headers) as http:
        found: dict[str, list[dict[str, Any]]] = {}
        for table in ("Contact", "Case", "CaseComment", "Task", "Event", "EmailMessage"):
            described = (await http.get(f"/services/data/v67.0/sobjects/{table}/describe")).json()["fields"]
            fields = ", ".join(field["name"] for field in described if field["name"] not in TIMES)
            soql = " ".join(("SELECT", fields, "FROM", table, "ORDER BY Id"))
            found[table] = (await http.get("/services/data/v67.0/queryAll", params={"q": soql})).json()["records"]
        return found


# ------------------------------------------------------------------------------------------------------- the same state


async def test_both_open_the_same_case(
    client: Any, theirs: VendorSandbox, ours: VendorSandbox, company: Company
) -> None:
    draft = TicketDraft("It's \\ 100%", 'First.\n"Second"', "high", (), public=True, requester=contact_id(2))
    created = await SalesforceCases(connected(ours)).create_ticket(draft, KEY)
    case = client.Case.create(
        {"Subject": draft.subject, "Status": "New", "Priority": "High", "ContactId": draft.requester}
    )
    client.CaseComment.create({"ParentId": case["id"], "CommentBody": draft.body, "IsPublished": True})
    assert created.ticket_id == f"salesforce:ticket:{case['id']}"
    assert await state(ours) == await state(theirs)


async def test_both_open_the_same_internal_case_for_a_stranger(
    client: Any, theirs: VendorSandbox, ours: VendorSandbox
) -> None:
    draft = TicketDraft("Hello", "Who is it?", None, (), public=False, name="Quill", email="q@quill.example")
    await SalesforceCases(connected(ours)).create_ticket(draft, KEY)
    whose = {"SuppliedName": "Quill", "SuppliedEmail": "q@quill.example"}
    case = client.Case.create({"Subject": draft.subject, "Status": "New", **whose})
    client.CaseComment.create({"ParentId": case["id"], "CommentBody": draft.body, "IsPublished": False})
    assert await state(ours) == await state(theirs)


async def test_both_change_a_case_alike(
    client: Any, theirs: VendorSandbox, ours: VendorSandbox, company: Company
) -> None:
    native, agent = a_case(company), company.agents[3]
    change = TicketChange(status="on_hold", priority="low", assignee=agent.email, note="Wait for them.")
    await SalesforceCases(connected(ours)).update_ticket(native, change, KEY)
    owner = client.query(simple_salesforce.format_soql("SELECT Id FROM User WHERE Email = {}", agent.email))
    fields = {"Status": "On Hold", "Priority": "Low", "OwnerId": owner["records"][0]["Id"]}
    assert client.Case.update(native, fields) == 204
    client.CaseComment.create({"ParentId": native, "CommentBody": "Wait for them.", "IsPublished": False})
    assert await state(ours) == await state(theirs)


async def test_both_reply_alike(client: Any, theirs: VendorSandbox, ours: VendorSandbox, company: Company) -> None:
    native, desk = a_case(company), SalesforceCases(connected(ours))
    version = (await desk.ticket(native, None)).version
    await desk.reply(native, Reply("Dear you", version, "solved"), KEY)
    comment = {"ParentId": native, "CommentBody": "Dear you", "IsPublished": True}
    parts = [
        {
            "method": "PATCH",
            "url": f"/services/data/v67.0/sobjects/Case/{native}",
            "referenceId": "a",
            "body": {"Status": "Closed"},
        },
        {"method": "POST", "url": "/services/data/v67.0/sobjects/CaseComment", "referenceId": "b", "body": comment},
        {"method": "GET", "url": "/services/data/v67.0/sobjects/CaseComment/@{b.id}", "referenceId": "c"},
    ]
    done = client.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": parts})
    assert [part["httpStatusCode"] for part in done["compositeResponse"]] == [204, 201, 200]
    assert done["compositeResponse"][2]["body"]["CommentBody"] == "Dear you"
    assert await state(ours) == await state(theirs)


async def test_both_write_the_same_note_and_consent(
    client: Any, theirs: VendorSandbox, ours: VendorSandbox, company: Company
) -> None:
    person = next(person for person in company.people if person.is_business)
    who, people, native = contact(person.number), Salesforce(connected(ours)), contact_id(person.number)
    await people.add_note(who, NoteDraft("Call back.", f"salesforce:ticket:{a_case(company)}"), KEY)
    await people.change_preferences(who, PreferenceChanges(email_marketing=not person.email_consent), "asked")
    note = {"WhoId": native, "WhatId": a_case(company), "Subject": "Note", "Description": "Call back."}
    client.Task.create({**note, "Status": "Completed"})
    client.Contact.update(native, {"HasOptedOutOfEmail": person.email_consent})
    assert await state(ours) == await state(theirs)


# --------------------------------------------------------------------------------------------------- the same reading


async def test_both_read_the_same_people(client: Any, ours: VendorSandbox, company: Company) -> None:
    people = [person for person in company.people if person.is_business][:20]
    soql = "SELECT Id, Name, Email, Account.Name FROM Contact WHERE Email IN {} ORDER BY Id"
    found = client.query_all(simple_salesforce.format_soql(soql, [person.email.upper() for person in people]))[
        "records"
    ]
    told = [(row["Id"], row["Name"], row["Email"], row["Account"]["Name"]) for row in found]
    contacts = await Salesforce(connected(ours)).contacts_by_email([person.email for person in people])
    assert told == [(c.ref.native, c.name, c.emails[0], c.company) for c in contacts]
    assert len(told) == 20


async def test_both_search_alike(client: Any, ours: VendorSandbox) -> None:
    contacts = await Salesforce(connected(ours)).search_contacts("maria garcia", 50)
    found = client.search("FIND {maria* AND garcia*} IN ALL FIELDS RETURNING Contact(Id, Name LIMIT 50)")[
        "searchRecords"
    ]
    assert [(row["Id"], row["Name"]) for row in found] == [(c.ref.native, c.name) for c in contacts]
    assert {row["attributes"]["type"] for row in client.quick_search("garcia")["searchRecords"]} == {"Contact"}


async def test_both_read_the_same_cases_and_threads(client: Any, ours: VendorSandbox, company: Company) -> None:
    desk = SalesforceCases(connected(ours))
    comments = "SELECT CommentBody FROM CaseComments ORDER BY CreatedDate DESC"
    order = "ORDER BY LastModifiedDate DESC"
    found = client.query_all(" ".join((f"SELECT Id, ({comments})", "FROM Case WHERE IsClosed = false", order)))[
        "records"
    ]
    rows = await desk.search_tickets(TicketQuery(statuses=("new", "open", "on_hold")), None, 200)
    assert [f"salesforce:ticket:{row['Id']}" for row in found] == [row.ticket_id for row in rows.items]
    for row in found[:10]:
        ticket = await desk.ticket(row["Id"], CommentPage(limit=10))
        said = [comment.text for comment in ticket.comments if comment.id.startswith("00a")]
        told: list[dict[str, str]] = row["CaseComments"]["records"] if row["CaseComments"] else []
        assert [comment["CommentBody"] for comment in told] == said


async def test_both_read_the_same_history(client: Any, ours: VendorSandbox, company: Company) -> None:
    call = next(call for call in company.calls if company.people[call.person].is_business)
    soql = "SELECT Id FROM Task WHERE WhoId = {} ORDER BY CreatedDate DESC"
    found = client.query(simple_salesforce.format_soql(soql, contact_id(call.person)), include_deleted=True)["records"]
    events = await Salesforce(connected(ours)).events([contact(call.person)], frozenset({"call"}), Span(), None, 50)
    assert [f"salesforce:call:{row['Id']}" for row in found] == [event.id for event in events.items]


# ------------------------------------------------------------------------------------------------- the vendor's ways


def test_the_client_signs_in_with_either_grant(securely: Securely, pair: tuple[str, str], company: Company) -> None:
    domain, session = f"{DOMAIN}.my", securely.session
    by_secret = simple_salesforce.Salesforce(
        consumer_key=CLIENT_ID, consumer_secret=CLIENT_SECRET, domain=domain, version="67.0", session=session
    )
    by_key = simple_salesforce.Salesforce(
        username=USERNAME, consumer_key=CLIENT_ID, privatekey=pair[0], domain=domain, version="67.0", session=session
    )
    for client in (by_secret, by_key):
        assert client.query("SELECT COUNT() FROM User")["totalSize"] == len(company.agents)
        assert client.sf_instance == f"{DOMAIN}.my.salesforce.com"


def test_the_client_is_told_why_it_may_not_sign_in(securely: Securely) -> None:
    with pytest.raises(exceptions.SalesforceAuthenticationFailed, match="invalid client credentials"):
        simple_salesforce.Salesforce(
            consumer_key=CLIENT_ID, consumer_secret="wrong", domain=f"{DOMAIN}.my", session=securely.session
        )
    client = simple_salesforce.Salesforce(
        instance_url=securely.served.url, session_id="wrong", version="67.0", session=securely.session
    )
    with pytest.raises(exceptions.SalesforceExpiredSession) as refused:
        client.query("SELECT Id FROM Case")
    assert refused.value.content == [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


def test_large_results_come_in_batches(client: Any, company: Company) -> None:
    small = {"Sforce-Query-Options": "batchSize=200"}
    people = [person for person in company.people if person.is_business]
    client.headers.update(small)
    for n in range(210 - len(people)):
        client.Contact.create({"LastName": f"Number {n}"})
    first = client.query("SELECT Id FROM Contact")
    assert (first["totalSize"], first["done"], len(first["records"])) == (max(210, len(people)), False, 200)
    more = client.query_more(first["nextRecordsUrl"], identifier_is_url=True)
    assert (more["done"], len(more["records"])) == (True, first["totalSize"] - 200)
    assert len(client.query_all("SELECT Id FROM Contact")["records"]) == first["totalSize"]


def test_records_are_made_read_changed_and_deleted(client: Any) -> None:
    made = client.Contact.create({"FirstName": "Ada", "LastName": "O'Hara", "Email": "ada@engine.example"})
    assert (made["success"], made["errors"]) == (True, [])
    assert client.Contact.get(made["id"])["Name"] == "Ada O'Hara"
    assert client.Contact.update(made["id"], {"FirstName": "Augusta"}) == 204
    assert client.Contact.get(made["id"], params={"fields": "Name"})["Name"] == "Augusta O'Hara"
    assert client.Contact.delete(made["id"]) == 204
    with pytest.raises(exceptions.SalesforceResourceNotFound):
        client.Contact.get(made["id"])


def test_conditions_of_every_kind_hold(client: Any, company: Company) -> None:
    def count(where: str) -> int:
        return client.query("SELECT COUNT() FROM Contact WHERE " + where)["totalSize"]  # noqa: S608 - so it is meant

    everybody = [person for person in company.people if person.is_business]
    assert count("Name LIKE '%garcia%'") == sum("Garcia" in person.name for person in everybody) > 0
    assert count(r"Name LIKE '\%garcia\%'") == 0
    assert count("(NOT (Name LIKE 'Maria%')) AND HasOptedOutOfEmail = true") == sum(
        person.first_name != "Maria" and not person.email_consent for person in everybody
    )
    assert count("MailingCountry NOT IN ('US', 'GB')") == sum(p.country not in ("US", "GB") for p in everybody)
    assert count("MobilePhone != null OR Title = null") == len(everybody)
    assert count("CreatedDate > 2025-01-01T00:00:00+00:00") == sum(p.since.year >= 2025 for p in everybody)
    assert count("Account.Name = 'cedar clinic'") == sum(
        (organisation := company.organisation(p)) is not None and organisation.name == "Cedar Clinic" for p in everybody
    )
    assert count("AccountId IN (SELECT Id FROM Account WHERE Industry = 'health') AND Name != 'x'") == sum(
        (organisation := company.organisation(p)) is not None and organisation.industry == "health" for p in everybody
    )


@pytest.mark.parametrize(
    ("soql", "code"),
    [
        ("SELECT * FROM Contact", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Name = 'O'Brien'", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact WHERE Name = 'a' OR Name = 'b' AND Id != null", "MALFORMED_QUERY"),
        ("SELECT Id FROM Contact OFFSET 2001", "MALFORMED_QUERY"),
        ("SELECT Id FROM Nothing", "INVALID_TYPE"),
        ("SELECT Nothing FROM Contact", "INVALID_FIELD"),
        ("SELECT Nothing.Name FROM Contact", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE Description = 'x'", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE CreatedDate > '2026-01-01'", "INVALID_FIELD"),
        ("SELECT Id FROM Case WHERE ContactId = 'x'", "INVALID_QUERY_FILTER_OPERATOR"),
        ("SELECT Id, (SELECT Id FROM Things) FROM Case", "INVALID_FIELD"),
    ],
)
def test_a_query_that_makes_no_sense_is_refused(client: Any, soql: str, code: str) -> None:
    with pytest.raises(exceptions.SalesforceMalformedRequest) as refused:
        client.query(soql)
    assert [error["errorCode"] for error in refused.value.content] == [code]


@pytest.mark.parametrize(
    ("table", "fields", "code", "named"),
    [
        ("Contact", {"FirstName": "Ada"}, "REQUIRED_FIELD_MISSING", ["LastName"]),
        ("CaseComment", {"CommentBody": "x"}, "REQUIRED_FIELD_MISSING", ["ParentId"]),
        ("Case", {"Nothing": 1}, "INVALID_FIELD", None),
        ("Case", {"CaseNumber": "1"}, "INVALID_FIELD_FOR_INSERT_UPDATE", ["CaseNumber"]),
        ("Case", {"Status": "Solved"}, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", ["Status"]),
        ("Case", {"Subject": "x" * 256}, "STRING_TOO_LONG", ["Subject"]),
        ("Case", {"ContactId": "x"}, "MALFORMED_ID", ["ContactId"]),
        ("Case", {"ContactId": "003Hs0000999999IAA"}, "INVALID_CROSS_REFERENCE_KEY", ["ContactId"]),
        ("User", {"Email": "x@y.example"}, "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", None),
    ],
)
def test_a_record_that_cannot_be_is_refused(
    client: Any, table: str, fields: dict[str, Any], code: str, named: list[str] | None
) -> None:
    with pytest.raises(exceptions.SalesforceMalformedRequest) as refused:
        getattr(client, table).create(fields)
    [error] = refused.value.content
    assert (error["errorCode"], error.get("fields")) == (code, named)


def test_the_same_person_twice_is_a_duplicate(client: Any, company: Company) -> None:
    person = next(person for person in company.people if person.is_business)
    with pytest.raises(exceptions.SalesforceMalformedRequest, match="DUPLICATES_DETECTED"):
        client.Contact.create({"LastName": person.last_name, "Email": person.email})


def test_a_composite_that_fails_in_part_is_undone_as_a_whole(client: Any, company: Company) -> None:
    case = {"method": "POST", "url": "/services/data/v67.0/sobjects/Case", "referenceId": "a", "body": {"Subject": "x"}}
    lost = {"method": "GET", "url": "/services/data/v67.0/sobjects/Case/@{nobody.id}", "referenceId": "b"}
    done = client.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": [case, lost]})
    told = [(part["httpStatusCode"], part["body"][0]["errorCode"]) for part in done["compositeResponse"]]
    assert told == [(400, "PROCESSING_HALTED"), (400, "PROCESSING_HALTED")]
    assert client.query("SELECT COUNT() FROM Case")["totalSize"] == len(company.cases)
    with pytest.raises(exceptions.SalesforceMalformedRequest, match="LIMIT_EXCEEDED"):
        client.restful("composite", method="POST", json={"compositeRequest": [case] * 26})


def test_a_record_that_was_changed_since_is_not_changed(client: Any, company: Company) -> None:
    before = {"If-Unmodified-Since": "Thu, 01 Jan 2009 00:00:00 GMT"}
    with pytest.raises(exceptions.SalesforceGeneralError) as refused:
        client.Case.update(a_case(company), {"Status": "Closed"}, headers=before)
    assert refused.value.status == 412
    with pytest.raises(exceptions.SalesforceMalformedRequest):
        client.Case.update(a_case(company), {"Status": "Closed"}, headers={"If-Unmodified-Since": "yesterday"})


def test_the_client_sees_what_is_used_of_the_limit_and_what_there_is(client: Any) -> None:
    assert client.limits()["DailyApiRequests"]["Max"] == 15_000
    assert (client.api_usage["api-usage"].used, client.api_usage["api-usage"].total) == (1, 15_000)
    assert {"Case", "Contact"} <= {table["name"] for table in client.describe()["sobjects"]}
    assert "CaseNumber" in {field["name"] for field in client.Case.describe()["fields"]}


def test_the_certificate_is_checked(securely: Securely) -> None:
    with pytest.raises(httpx.ConnectError):
        httpx.get(securely.served.url, verify=ssl.create_default_context())
