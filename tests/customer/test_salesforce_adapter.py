"""Salesforce in our words: its adapter over its sandbox, and over answers that the sandbox does not give."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.salesforce import SALESFORCE, Salesforce, SalesforceCases, salesforce_sandbox
from backoffice_customer.backends.salesforce.refusals import allowance, failure
from backoffice_customer.backends.salesforce.sandbox import CLIENT_ID, DOMAIN, TOKEN, USERNAME
from backoffice_customer.backends.salesforce.sandbox.grammar import Compare, parse_query, parse_search
from backoffice_customer.backends.salesforce.soql import in_order, is_id, select, text, words
from backoffice_customer.models import (
    Comment,
    Contact,
    Event,
    EventKind,
    Noted,
    PreferenceChanges,
    Ref,
    Ticket,
    TicketRow,
    TicketState,
)
from backoffice_customer.ports import CommentPage, NoteDraft, Reply, Span, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import (
    BackendUnavailable,
    Conflict,
    InvalidInput,
    MalformedAnswer,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.sandbox.company import Call, Company, Person
from backoffice_shared.sandbox.company import Ticket as Case
from backoffice_shared.sandbox.frame import Faults, InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
SITE = "https://northwind.my.salesforce.com"
DATA, COMPOSITE = "/services/data/v67.0", "/services/data/v67.0/composite"
KEY = "key-12345678"
ALL: frozenset[EventKind] = frozenset({"call", "email", "meeting", "note", "ticket"})
NOBODY = Contact(ref=Ref("hubspot", "contact", "1"), name="somebody else's")


def connected(
    wire: httpx.AsyncBaseTransport, secrets: Mapping[str, str] | None = None, clock: ManualClock | None = None
) -> BackendClient:
    fields = {f"salesforce_{name}": value for name, value in (secrets or {"access_token": TOKEN}).items()}
    options = {"domain": DOMAIN}
    credentials = EnvironmentCredentials(fields)
    return connect(SALESFORCE, wire, credentials, base_url=SITE, options=options, clock=clock or ManualClock())


def answering(wire: object, status: int = 200) -> BackendClient:
    """Whatever is asked, the vendor answers this."""
    return connected(httpx.MockTransport(lambda _request: httpx.Response(status, json=wire)))


@dataclass
class Watched(httpx.AsyncBaseTransport):
    """Keeps what was sent. `before` is called before requests that change something."""

    inner: httpx.AsyncBaseTransport
    sent: list[httpx.Request] = field(default_factory=list[httpx.Request])
    before: Callable[[], Awaitable[object]] | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        if self.before is not None and b'"allOrNone":true' in request.content.replace(b" ", b""):
            before, self.before = self.before, None
            await before()
        return await self.inner.handle_async_request(request)


@dataclass
class Crm:
    company: Company
    sandbox: VendorSandbox
    people: Salesforce
    desk: SalesforceCases
    wire: Watched
    clock: ManualClock

    @property
    def asked(self) -> list[str]:
        return [f"{request.method} {request.path}" for request in self.sandbox.requests]

    def faulty(self, *plan: Any) -> None:
        self.sandbox.faults = Faults(plan=list(plan))

    async def raw(self, method: str, path: str, body: object = None, **params: str) -> Any:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=SITE, headers=headers) as http:
            answer = await http.request(method, f"{DATA}/{path}", params=params, json=body)
            return answer.json() if answer.content else None

    async def rows(self, fields: str, table: str, where: str) -> list[dict[str, Any]]:
        soql = select(fields, table, where, order="CreatedDate DESC, Id DESC")
        found = (await self.raw("GET", "query", q=soql))["records"]
        return [{name: value for name, value in row.items() if name != "attributes"} for row in found]

    async def all_events(self, who: list[Contact], limit: int, kinds: frozenset[EventKind] = ALL) -> list[Event]:
        """Page by page to the end."""
        events: list[Event] = []
        cursor, more = None, True
        while more:
            page = await self.people.events(who, kinds, Span(), cursor, limit)
            assert len(page.items) <= limit
            events += page.items
            cursor, more = page.next, page.next is not None
        return events

    async def all_rows(self, query: TicketQuery, limit: int) -> list[TicketRow]:
        rows: list[TicketRow] = []
        cursor, more = None, True
        while more:
            page = await self.desk.search_tickets(query, cursor, limit)
            assert len(page.items) <= limit
            rows += page.items
            cursor, more = page.next, page.next is not None
        return rows


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    sandbox, clock = salesforce_sandbox(company), ManualClock()
    wire = Watched(InProcess(sandbox))
    http = connected(wire, clock=clock)
    return Crm(company, sandbox, Salesforce(http), SalesforceCases(http), wire, clock)


def contact_id(person: int) -> str:
    return f"003Hs{person:010d}IAA"


def case_id(case: Case | int) -> str:
    return f"500Hs{case if isinstance(case, int) else case.number:010d}IAA"


def contact(person: int) -> Contact:
    return Contact(ref=Ref("salesforce", "contact", contact_id(person)), name="somebody")


def business(company: Company) -> list[Person]:
    return [person for person in company.people if person.is_business]


def status_of(case: Case) -> str:
    return {"new": "new", "open": "open", "pending": "on_hold", "solved": "solved"}[case.status]


def the_case(company: Company, status: str = "open", messages: int = 3) -> Case:
    return next(case for case in company.cases if case.status == status and len(company.thread(case)) >= messages)


def calls_of(company: Company, person: int) -> list[Call]:
    return company.calls_of.get(person, [])


def natives(found: list[Contact]) -> list[str]:
    return [contact.ref.native for contact in found]


# ------------------------------------------------------------------------------------------------------- people


async def test_a_contact_is_told_in_our_words(crm: Crm) -> None:
    person = business(crm.company)[0]
    organisation = crm.company.organisation(person)
    assert organisation is not None
    assert await crm.people.contacts([contact_id(person.number)]) == [
        Contact(
            ref=Ref("salesforce", "contact", contact_id(person.number)),
            name=person.name,
            emails=[person.email],
            phones=[person.phone],
            company=organisation.name,
            owner=crm.company.agents[person.number % 5].name,
            country=person.country,
            email_marketing=person.email_consent,
            url=f"{SITE}/{contact_id(person.number)}",
            updated_at=person.since,
        )
    ]


async def test_a_contact_without_anything_but_a_name_is_one() -> None:
    wire = {
        "Id": "003Hs0000000001",
        "Name": "Ada",
        "Email": None,
        "Phone": None,
        "MobilePhone": "+44 1",
        "Account": None,
        "Owner": None,
        "MailingCountry": None,
        "HasOptedOutOfEmail": False,
        "LastModifiedDate": "2026-10-30T08:00:00.000+0000",
    }
    http = answering({"totalSize": 1, "done": True, "records": [wire]})
    assert await Salesforce(http).contacts(["003Hs0000000001"]) == [
        Contact(
            ref=Ref("salesforce", "contact", "003Hs0000000001"),
            name="Ada",
            phones=["+44 1"],
            email_marketing=True,
            url=f"{SITE}/003Hs0000000001",
            updated_at=datetime(2026, 10, 30, 8, tzinfo=UTC),
        )
    ]


async def test_business_customers_are_found_by_id_and_nobody_else(crm: Crm) -> None:
    found = await crm.people.contacts([contact_id(person.number) for person in crm.company.people])
    assert [contact.name for contact in found] == [person.name for person in business(crm.company)]
    assert len(found) < len(crm.company.people)


async def test_everybody_is_found_by_their_address_whatever_the_case_of_its_letters(crm: Crm) -> None:
    everybody = business(crm.company)
    found = await crm.people.contacts_by_email([person.email.upper() for person in everybody[:50]])
    assert sorted(natives(found)) == sorted(contact_id(person.number) for person in everybody[:50])
    assert all(len(str(request.url)) < 16_384 for request in crm.wire.sent)


async def test_unknown_ids_and_addresses_are_simply_absent(crm: Crm) -> None:
    known = business(crm.company)[0]
    strangers = ["003Hs0000999999IAA", "500Hs0000000000IAA", "1", "", "003Hs0000000000' OR Name != '"]
    assert natives(await crm.people.contacts([*strangers, contact_id(known.number)])) == [contact_id(known.number)]
    found = await crm.people.contacts_by_email(["nobody@nowhere.example", "x') OR (Name != '", known.email])
    assert natives(found) == [contact_id(known.number)]


async def test_an_id_of_fifteen_characters_is_one_too(crm: Crm) -> None:
    known = business(crm.company)[0]
    assert natives(await crm.people.contacts([contact_id(known.number)[:15]])) == [contact_id(known.number)]


async def test_nobody_is_asked_about_nobody(crm: Crm) -> None:
    assert await crm.people.contacts(["me"]) == []
    assert await crm.people.contacts_by_email([]) == []
    assert await crm.people.contacts_by_number("#12") == []
    assert await crm.people.search_contacts("?!*", 10) == []
    assert await crm.desk.count_open_tickets(NOBODY) == 0
    assert (await crm.people.events([NOBODY], ALL, Span(), None, 10)).items == []
    assert (await crm.people.events([contact(2)], frozenset(), Span(), None, 10)).items == []
    assert crm.asked == []


async def test_whose_case_has_a_number_is_found_with_and_without_its_zeros(crm: Crm) -> None:
    case = crm.company.cases[3]
    for number in ("1004", "00001004"):
        assert natives(await crm.people.contacts_by_number(number)) == [contact_id(case.person)]
    assert await crm.people.contacts_by_number("99999") == []


async def test_a_search_finds_by_beginnings_of_names_by_address_and_by_company(crm: Crm) -> None:
    person = next(person for person in business(crm.company) if "'" in person.last_name)
    organisation = crm.company.organisation(person)
    assert organisation is not None
    queries = (f"{person.first_name} {person.last_name}", person.last_name.upper()[:4], person.email, organisation.name)
    for query in queries:
        assert contact_id(person.number) in natives(await crm.people.search_contacts(query, 50))


async def test_who_has_the_words_in_their_name_comes_first(crm: Crm) -> None:
    found = await crm.people.search_contacts("garcia", 50)
    named = ["Garcia" in contact.name for contact in found]
    assert named == sorted(named, reverse=True)


async def test_a_search_gives_no_more_than_asked_for(crm: Crm) -> None:
    assert len(await crm.people.search_contacts("example", 3)) == 3


async def test_a_telephone_number_is_found_however_it_is_written(crm: Crm) -> None:
    person = business(crm.company)[0]
    digits = person.phone.removeprefix("+")
    for written in (person.phone, f"+{digits[:2]} ({digits[2:5]}) {digits[5:8]}-{digits[8:]}", digits[-8:]):
        assert natives(await crm.people.search_contacts(written, 10)) == [contact_id(person.number)]
    assert await crm.people.search_contacts(digits[::-1] + "7", 10) == []


@pytest.mark.parametrize(
    "query", ["and", "or not", "AND OR", 'garcia" OR "x', "garcia} RETURNING User(Id)", "a\\", "{[(^~"]
)
async def test_words_that_mean_something_to_the_search_are_only_words(crm: Crm, query: str) -> None:
    assert await crm.people.search_contacts(query, 10) == []


HOSTILE = st.one_of(st.text(), st.text(alphabet="'\"\\%_{}()*?&|!^~:+-\n\r\t\b\f\x00\u2028 aA1n@."))


@given(HOSTILE)
def test_whatever_a_text_holds_it_stays_one_literal(value: str) -> None:
    query = parse_query(select("Id", "Case", f"Subject = {text(value)}", limit=1))
    assert isinstance(query.where, Compare)
    assert query.limit == 1
    kept = "".join(c if c.isprintable() or c in "\n\r\t\b\f" else " " for c in value)
    assert [literal.text for literal in query.where.values] == [kept]


@given(HOSTILE)
def test_whatever_is_searched_for_the_search_stays_one(value: str) -> None:
    if wanted := words(value):
        search = parse_search(f"FIND {{{wanted}}} IN ALL FIELDS RETURNING Contact(Id LIMIT 5)")
        assert (search.table, search.limit) == ("Contact", 5)
        assert all(sum(character.isalnum() for character in term) > 1 for term in search.terms)


@pytest.mark.parametrize(
    ("native", "is_one"),
    [
        ("003Hs0000000001IAA", True),
        ("003Hs0000000001", True),
        ("003Hs0000000001IA", False),
        ("500Hs0000000001IAA", False),
        ("003Hs000000000'IAA", False),
        ("003Hs0000000001IAA\n", False),
        ("٠٠٣Hs0000000001IAA", False),
        ("", False),
    ],
)
def test_ids_have_fifteen_or_eighteen_letters_and_digits(native: str, is_one: bool) -> None:
    assert is_id(native, "003") is is_one


def test_digits_are_looked_for_with_anything_between_them() -> None:
    assert in_order("+1 5%'5") == "'%1%5%5%'"


# ------------------------------------------------------------------------------------------------------ history


async def test_cases_calls_and_emails_are_one_history_newest_first(crm: Crm) -> None:
    person = next(
        case.person
        for case in crm.company.cases
        if calls_of(crm.company, case.person) and any(said.agent is None for said in crm.company.thread(case)[1:])
    )
    events = await crm.all_events([contact(person)], 50)
    assert {event.kind for event in events} == {"ticket", "call", "email"}
    assert [event.at for event in events] == sorted((event.at for event in events), reverse=True)
    mine = [case for case in crm.company.cases if case.person == person]
    mails = [said for case in mine for said in crm.company.thread(case)[1:] if said.agent is None]
    assert len(events) == len(mine) + len(calls_of(crm.company, person)) + len(mails)
    for limit in (1, 2, 3):
        assert await crm.all_events([contact(person)], limit) == events


async def test_a_call_a_case_and_an_email_are_told_in_our_words(crm: Crm) -> None:
    call = next(call for call in crm.company.calls if crm.company.people[call.person].is_business)
    told = await crm.all_events([contact(call.person)], 50, frozenset({"call"}))
    native = f"00THs{call.number:010d}MAA"
    assert told == [
        Event(
            id=f"salesforce:call:{native}",
            kind="call",
            at=call.at,
            title="Call",
            summary=call.text,
            actor=crm.company.agents[call.agent].name,
            direction="in" if call.inbound else "out",
            system="salesforce",
            url=f"{SITE}/{native}",
        )
    ]
    case = the_case(crm.company)
    person = crm.company.people[case.person]
    tickets = await crm.all_events([contact(case.person)], 50, frozenset({"ticket"}))
    assert tickets == [
        Event(
            id=f"salesforce:ticket:{case_id(case)}",
            kind="ticket",
            at=case.created_at,
            title=case.subject,
            summary=crm.company.thread(case)[0].text,
            actor=person.name,
            direction="in",
            system="salesforce",
            url=f"{SITE}/{case_id(case)}",
        )
    ]
    [mail, *_] = await crm.all_events([contact(case.person)], 50, frozenset({"email"}))
    assert (mail.kind, mail.actor, mail.direction, mail.title) == ("email", person.name, "in", f"Re: {case.subject}")


async def test_calls_that_were_put_aside_are_in_the_history(crm: Crm) -> None:
    old = next(
        call
        for call in crm.company.calls
        if crm.company.people[call.person].is_business and (TODAY - call.at).days > 365
    )
    assert [event.at for event in await crm.all_events([contact(old.person)], 5, frozenset({"call"}))] == [old.at]
    assert await crm.rows("Id", "Task", f"WhoId = '{contact_id(old.person)}'") == []


async def test_a_meeting_and_an_email_of_somebody_elses_case_are_in_the_history(crm: Crm) -> None:
    person = business(crm.company)[0].number
    start = "2026-10-05T09:00:00.000+0000"
    meeting = {"WhoId": contact_id(person), "Subject": "Fair", "StartDateTime": start, "DurationInMinutes": 30}
    await crm.raw("POST", "sobjects/Event", meeting)
    email = await crm.raw(
        "POST", "sobjects/EmailMessage", {"Subject": "Hello", "TextBody": "Dear you", "Incoming": False}
    )
    named = {"EmailMessageId": email["id"], "RelationId": contact_id(person), "RelationType": "ToAddress"}
    await crm.raw("POST", "sobjects/EmailMessageRelation", named)
    events = await crm.all_events([contact(person)], 50, frozenset({"email", "meeting"}))
    told = [(event.kind, event.title, event.summary, event.actor, event.direction) for event in events]
    assert told[0] == ("email", "Hello", "Dear you", None, "out")
    assert ("meeting", "Fair", None, crm.company.agents[0].name, None) in told


async def test_a_draft_of_an_answer_is_neither_in_the_thread_nor_in_the_history(crm: Crm) -> None:
    drafts = await crm.rows("ParentId, ToAddress, TextBody", "EmailMessage", "Status = '5'")
    native = drafts[0]["ParentId"]
    [case] = await crm.rows("ContactId", "Case", f"Id = '{native}'")
    ticket = await crm.desk.ticket(native, CommentPage(limit=50))
    assert drafts[0]["TextBody"] not in [comment.text for comment in ticket.comments]
    person = Contact(ref=Ref("salesforce", "contact", case["ContactId"]), name="")
    events = await crm.all_events([person], 50, frozenset({"email"}))
    assert not [event for event in events if event.direction == "out"]
    await crm.raw("POST", "sobjects/EmailMessage", {"ParentId": native, "TextBody": "Not yet", "Status": "5"})
    assert (await crm.desk.ticket(native, None)).version == ticket.version


async def test_only_the_kinds_asked_for_are_asked_about(crm: Crm) -> None:
    await crm.people.events([contact(2)], frozenset({"meeting", "ticket"}), Span(), None, 5)
    [request] = crm.wire.sent
    parts = json.loads(request.content)["compositeRequest"]
    assert [part["referenceId"] for part in parts] == ["Event", "Case"]


async def test_a_whole_history_is_one_request(crm: Crm) -> None:
    await crm.people.events([contact(2), contact(3), NOBODY], ALL, Span(), None, 5)
    assert crm.asked == [f"POST {COMPOSITE}"]


async def test_a_span_bounds_the_history_on_both_sides(crm: Crm) -> None:
    case = crm.company.cases[0]
    who = [contact(case.person)]
    exact = Span(since=case.created_at, until=case.created_at)
    found = await crm.people.events(who, frozenset({"ticket"}), exact, None, 5)
    assert [event.at for event in found.items] == [case.created_at]
    later = Span(since=case.created_at + timedelta(seconds=1))
    assert (await crm.people.events(who, frozenset({"ticket"}), later, None, 5)).items == []


async def test_records_of_the_same_moment_are_all_given_once(crm: Crm) -> None:
    person = business(crm.company)[0].number
    moment = "2026-10-05T09:00:00.000+0000"
    for n in range(7):
        event = {
            "WhoId": contact_id(person),
            "Subject": f"Meeting {n}",
            "StartDateTime": moment,
            "DurationInMinutes": 5,
        }
        await crm.raw("POST", "sobjects/Event", event)
    for limit in (1, 2, 3):
        events = await crm.all_events([contact(person)], limit, frozenset({"meeting"}))
        assert sorted(event.title for event in events) == [f"Meeting {n}" for n in range(7)]


async def test_what_comes_while_the_history_is_read_moves_nothing(crm: Crm) -> None:
    case = crm.company.cases[0]
    who = [contact(case.person)]
    everything = await crm.all_events(who, 50)
    first = await crm.people.events(who, ALL, Span(), None, 1)
    await crm.people.add_note(who[0], NoteDraft("Something new."), KEY)
    second = await crm.people.events(who, ALL, Span(), first.next, 50)
    assert [*first.items, *second.items] == everything


async def test_an_org_without_emails_has_the_rest_of_the_history() -> None:
    lacking = [{"message": "sObject type 'EmailMessage' is not supported.", "errorCode": "INVALID_TYPE"}]
    case = {
        "Id": case_id(1),
        "Subject": None,
        "Description": None,
        "CreatedDate": "2026-10-30T08:00:00.000+0000",
        "Contact": None,
    }
    wire = {
        "compositeResponse": [
            {"body": lacking, "httpStatusCode": 400, "referenceId": "EmailMessage"},
            {"body": {"totalSize": 1, "done": True, "records": [case]}, "httpStatusCode": 200, "referenceId": "Case"},
        ]
    }
    found = await Salesforce(answering(wire)).events([contact(2)], frozenset({"email", "ticket"}), Span(), None, 5)
    assert [(event.title, event.summary, event.actor) for event in found.items] == [("Ticket", None, None)]


async def test_what_the_caller_may_not_see_is_no_empty_history() -> None:
    refused = [{"message": "sObject type 'Task' is not supported.", "errorCode": "INVALID_TYPE"}]
    wire = {"compositeResponse": [{"body": refused, "httpStatusCode": 400, "referenceId": "Task"}]}
    with pytest.raises(InvalidInput, match="sObject type 'Task' is not supported"):
        await Salesforce(answering(wire)).events([contact(2)], frozenset({"call"}), Span(), None, 5)


async def test_a_cursor_that_is_none_is_refused(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await crm.people.events([contact(2)], ALL, Span(), "3", 5)


@pytest.mark.parametrize("at", ["2026-11-01T00:00:00Z) OR (Id != null", "2026-11-01T00:00:00Z ", "null", ""])
async def test_nothing_of_a_cursor_becomes_part_of_a_query_but_a_time_and_a_number(crm: Crm, at: str) -> None:
    native = case_id(the_case(crm.company))
    forged = json.dumps({"CaseComment": [at, 0]})
    for cursor in (forged, urlsafe_b64encode(forged.encode()).decode()):
        with pytest.raises(InvalidInput, match="cursor: not a cursor of this server"):
            await crm.desk.ticket(native, CommentPage(cursor=cursor))


# ------------------------------------------------------------------------------------------------------ reading cases


async def test_a_row_is_told_in_our_words(crm: Crm) -> None:
    case = the_case(crm.company)
    person = crm.company.people[case.person]
    rows = await crm.all_rows(TicketQuery(requesters=(contact_id(case.person),)), 50)
    assert rows == [
        TicketRow(
            ticket_id=f"salesforce:ticket:{case_id(case)}",
            subject=case.subject,
            status="open",
            priority=case.priority,
            requester=person.name,
            assignee=crm.company.agents[case.number % 5].name,
            created_at=case.created_at,
            updated_at=case.updated_at,
            url=f"{SITE}/{case_id(case)}",
        )
    ]


async def test_all_cases_are_found_in_either_order_page_by_page(crm: Crm) -> None:
    for limit in (1, 4, 50):
        updated = await crm.all_rows(TicketQuery(), limit)
        assert [row.updated_at for row in updated] == sorted(
            (case.updated_at for case in crm.company.cases), reverse=True
        )
    created = await crm.all_rows(TicketQuery(sort="created"), 7)
    assert [row.created_at for row in created] == sorted((case.created_at for case in crm.company.cases), reverse=True)


@pytest.mark.parametrize("status", ["new", "open", "on_hold", "solved"])
async def test_cases_are_found_by_status(crm: Crm, status: Any) -> None:
    rows = await crm.all_rows(TicketQuery(statuses=(status,)), 50)
    assert len(rows) == sum(status_of(case) == status for case in crm.company.cases) > 0
    assert {row.status for row in rows} == {status}


async def test_what_no_case_can_be_is_not_asked_for(crm: Crm) -> None:
    for query in (TicketQuery(statuses=("pending", "closed")), TicketQuery(priorities=("urgent",))):
        assert (await crm.desk.search_tickets(query, None, 5)).items == []
    assert (await crm.desk.search_tickets(TicketQuery(requesters=("200001",)), None, 5)).items == []
    assert (await crm.desk.search_tickets(TicketQuery(text="?"), None, 5)).items == []
    assert crm.asked == []


async def test_conditions_must_all_hold(crm: Crm) -> None:
    agent = crm.company.agents[1]
    query = TicketQuery(
        statuses=("open", "on_hold", "pending"),
        priorities=("normal", "low"),
        assignee=agent.email,
        updated_since=TODAY - timedelta(days=250),
    )
    wanted = {
        case_id(case)
        for case in crm.company.cases
        if status_of(case) in ("open", "on_hold")
        and case.priority in ("normal", "low")
        and case.number % 5 == agent.number
        and case.updated_at >= TODAY - timedelta(days=250)
    }
    assert wanted
    assert {row.ticket_id.rpartition(":")[2] for row in await crm.all_rows(query, 3)} == wanted


async def test_a_person_is_any_of_their_addresses_and_ids(crm: Crm) -> None:
    one, other = crm.company.cases[0], crm.company.cases[1]
    query = TicketQuery(emails=(crm.company.people[one.person].email,), requesters=(contact_id(other.person), "200001"))
    found = {row.ticket_id.rpartition(":")[2] for row in await crm.all_rows(query, 50)}
    assert found == {case_id(case) for case in crm.company.cases if case.person in (one.person, other.person)}


async def test_nobody_is_assigned_to_what_waits_in_a_queue(crm: Crm) -> None:
    rows = await crm.all_rows(TicketQuery(assignee="none"), 50)
    assert {row.ticket_id.rpartition(":")[2] for row in rows} == {
        case_id(case) for case in crm.company.cases if case.status == "new"
    }
    assert {row.assignee for row in rows} == {None}


async def test_words_are_looked_for_and_the_other_conditions_hold(crm: Crm) -> None:
    rows = await crm.all_rows(TicketQuery(text="contract renewal", statuses=("open",)), 3)
    wanted = [case for case in crm.company.cases if case.subject.startswith("Contract renewal")]
    assert {row.ticket_id.rpartition(":")[2] for row in rows} == {case_id(c) for c in wanted if status_of(c) == "open"}
    [numbered] = await crm.all_rows(TicketQuery(text="00001003"), 3)
    assert numbered.ticket_id == f"salesforce:ticket:{case_id(2)}"


async def test_a_query_cannot_be_broken_out_of(crm: Crm) -> None:
    for evil in ("x' OR Name != '", "\\' OR Id != null --", "') OR (Id != '"):
        assert (await crm.desk.search_tickets(TicketQuery(assignee=evil), None, 5)).items == []
        assert (await crm.desk.search_tickets(TicketQuery(emails=(evil,)), None, 5)).items == []


async def test_a_search_need_not_see_yet_what_was_written(crm: Crm) -> None:
    crm.sandbox.faults.stale_search = True
    draft = TicketDraft("Xylophone", "It is out of tune.", None, (), public=True, requester=contact_id(2))
    created = await crm.desk.create_ticket(draft, KEY)
    assert (await crm.desk.search_tickets(TicketQuery(text="xylophone"), None, 5)).items == []
    crm.sandbox.faults.stale_search = False
    crm.clock.advance(60)
    [row] = await crm.all_rows(TicketQuery(text="xylophone"), 5)
    assert row.ticket_id == created.ticket_id


async def test_open_cases_are_counted(crm: Crm) -> None:
    for case in crm.company.cases[:10]:
        mine = [c for c in crm.company.cases if c.person == case.person and status_of(c) != "solved"]
        assert await crm.desk.count_open_tickets(contact(case.person)) == len(mine)


async def test_the_cases_that_are_counted_are_those_that_are_found(crm: Crm) -> None:
    who = Contact(ref=Ref("salesforce", "contact", contact_id(2)), name="Q", emails=["q@x.example"])
    asked = TicketQuery(emails=("q@x.example",), requesters=(contact_id(2),), statuses=("new", "open", "on_hold"))
    before = len(await crm.all_rows(asked, 50))
    await crm.desk.create_ticket(replace(DRAFT, requester=None, name="Q", email="q@x.example"), KEY)
    assert await crm.desk.count_open_tickets(who) == len(await crm.all_rows(asked, 50)) == before + 1
    assert await crm.desk.count_open_tickets(Contact(ref=Ref("hubspot", "contact", "1"), name="nobody")) == 0


async def test_a_case_is_told_in_our_words(crm: Crm) -> None:
    case = the_case(crm.company)
    person = crm.company.people[case.person]
    ticket = await crm.desk.ticket(case_id(case), None)
    assert ticket == Ticket(
        ticket_id=f"salesforce:ticket:{case_id(case)}",
        subject=case.subject,
        status="open",
        priority=case.priority,
        channel="email",
        customer_id=f"salesforce:contact:{contact_id(case.person)}",
        requester=person.name,
        email=person.email,
        assignee=crm.company.agents[case.number % 5].name,
        custom={"CaseNumber": f"{1001 + case.number:08d}", "Type": case.tags[0]},
        created_at=case.created_at,
        updated_at=case.updated_at,
        version=ticket.version,
        url=f"{SITE}/{case_id(case)}",
    )


async def test_a_thread_is_description_comments_and_emails_newest_first(crm: Crm) -> None:
    case = the_case(crm.company, messages=4)
    thread = crm.company.thread(case)
    person, agent = crm.company.people[case.person], crm.company.agents[case.number % 5]
    ticket = await crm.desk.ticket(case_id(case), CommentPage(limit=10, max_chars=20))
    assert [comment.model_dump(exclude={"id", "at"}) for comment in ticket.comments] == [
        Comment(
            id="",
            at=TODAY,
            author=person.name if said.agent is None else agent.name,
            role="customer" if said.agent is None else "agent",
            public=said.public,
            text=said.text[:20],
            truncated=True if len(said.text) > 20 else None,
        ).model_dump(exclude={"id", "at"})
        for said in reversed(thread)
    ]
    assert [c.at for c in ticket.comments] == [said.at.replace(microsecond=0) for said in reversed(thread)]
    pages: list[Comment] = []
    cursor, more = None, True
    while more:
        page = await crm.desk.ticket(case_id(case), CommentPage(cursor=cursor, limit=1, max_chars=20))
        pages += page.comments
        cursor, more = page.page.next_cursor, page.page.has_more
    assert pages == ticket.comments


@pytest.mark.parametrize("native", ["500Hs0000999999IAA", "00001001", "003Hs0000000002IAA", "../Case", "' OR Id != '"])
async def test_what_is_no_case_is_not_found(crm: Crm, native: str) -> None:
    with pytest.raises(NotFound, match="there is no case"):
        await crm.desk.ticket(native, CommentPage())
    with pytest.raises(NotFound, match="there is no case"):
        await crm.desk.update_ticket(native, TicketChange(status="open"), KEY)
    with pytest.raises(NotFound, match="there is no case"):
        await crm.desk.reply(native, Reply("Hello", "1"), KEY)


async def test_a_status_of_the_orgs_own_is_open_or_closed(crm: Crm) -> None:
    case = the_case(crm.company)
    [wire] = await crm.rows("Id, Subject", "Case", f"Id = '{case_id(case)}'")
    row = {
        **wire,
        "Priority": "Critical",
        "CreatedDate": "2026-10-30T08:00:00.000+0000",
        "LastModifiedDate": "2026-10-30T08:00:00.000+0000",
        "Contact": None,
        "SuppliedName": "Q",
        "Owner": None,
    }
    rows = [{**row, "Status": "Waiting on Customer", "IsClosed": False}, {**row, "Status": "Won", "IsClosed": True}]
    part = {"body": {"totalSize": 2, "done": True, "records": rows}, "httpStatusCode": 200, "referenceId": "Case"}
    page = await SalesforceCases(answering({"compositeResponse": [part]})).search_tickets(TicketQuery(), None, 5)
    assert [(r.status, r.priority, r.requester) for r in page.items] == [("open", None, "Q"), ("solved", None, "Q")]


# ------------------------------------------------------------------------------------------------------ opening

DRAFT = TicketDraft(
    subject="It's \\ 100% @{case.id}",
    body="First line.\n\"Second\" line: @{case.id} {'x'}",
    priority="high",
    tags=(),
    public=True,
    requester=contact_id(2),
)


async def said_in(crm: Crm, native: str) -> list[dict[str, Any]]:
    """The comments on a case, newest first."""
    return await crm.rows("CommentBody, IsPublished", "CaseComment", f"ParentId = '{native}'")


async def opened(crm: Crm, draft: TicketDraft = DRAFT) -> str:
    return (await crm.desk.create_ticket(draft, KEY)).ticket_id.rpartition(":")[2]


async def test_a_public_ticket_is_a_case_with_a_published_comment(crm: Crm) -> None:
    created = await crm.desk.create_ticket(DRAFT, KEY)
    native = created.ticket_id.rpartition(":")[2]
    assert created.model_dump() == {
        "sources": [],
        "notes": [],
        "ticket_id": f"salesforce:ticket:{native}",
        "status": "new",
        "url": f"{SITE}/{native}",
        "replayed": False,
        "idempotency_key": KEY,
    }
    [case] = await crm.rows("Subject, Status, Priority, ContactId, Description", "Case", f"Id = '{native}'")
    assert case == {
        "Subject": "It's \\ 100% @ {case.id}",
        "Status": "New",
        "Priority": "High",
        "ContactId": contact_id(2),
        "Description": None,
    }
    assert await said_in(crm, native) == [{"CommentBody": DRAFT.body.replace("@{", "@ {"), "IsPublished": True}]


async def test_an_internal_ticket_is_not_shown_to_the_customer(crm: Crm) -> None:
    native = await opened(crm, replace(DRAFT, public=False))
    assert [said["IsPublished"] for said in await said_in(crm, native)] == [False]
    [comment] = (await crm.desk.ticket(native, CommentPage())).comments
    assert (comment.public, comment.role) == (False, "agent")


async def test_a_ticket_is_for_the_contact_with_the_address(crm: Crm) -> None:
    person = business(crm.company)[1]
    native = await opened(crm, replace(DRAFT, requester=None, name="P", email=person.email.upper()))
    [case] = await crm.rows("ContactId, SuppliedName", "Case", f"Id = '{native}'")
    assert case == {"ContactId": contact_id(person.number), "SuppliedName": "P"}


async def test_a_ticket_can_be_for_somebody_who_is_no_contact(crm: Crm) -> None:
    native = await opened(crm, replace(DRAFT, requester=None, name="Quill Q", email="q@quill.example", priority=None))
    ticket = await crm.desk.ticket(native, CommentPage())
    assert (ticket.customer_id, ticket.requester, ticket.email) == (None, "Quill Q", "q@quill.example")
    [row] = await crm.all_rows(TicketQuery(emails=("q@quill.example",)), 5)
    assert (row.ticket_id, row.priority) == (ticket.ticket_id, "normal")


async def test_what_a_case_cannot_have_is_refused(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="no tags"):
        await crm.desk.create_ticket(replace(DRAFT, tags=("vip",)), KEY)
    with pytest.raises(InvalidInput, match="low, normal or high"):
        await crm.desk.create_ticket(replace(DRAFT, priority="urgent"), KEY)
    assert crm.asked == []


async def test_of_a_ticket_that_is_refused_nothing_is_left(crm: Crm) -> None:
    with pytest.raises(InvalidInput, match="data value too large"):
        await crm.desk.create_ticket(replace(DRAFT, body="ü" * 2_001), KEY)
    with pytest.raises(InvalidInput, match="id value of incorrect type"):
        await crm.desk.create_ticket(replace(DRAFT, requester="003Hs0000999999IAA"), KEY)
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases)


async def test_a_ticket_whose_answer_is_lost_is_found_again(crm: Crm) -> None:
    crm.faulty("drop_after_commit")
    created = await crm.desk.create_ticket(DRAFT, KEY)
    assert (created.ticket_id, created.replayed) == (f"salesforce:ticket:{case_id(len(crm.company.cases))}", False)
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases) + 1


@pytest.mark.parametrize(
    "subject", ["No\u00a0break", "A family: 👨\u200d👩\u200d👧", "Soft\u00adhyphen", " two  spaces "]
)
@pytest.mark.parametrize(
    "whose", [{}, {"requester": None, "name": "Q", "email": "q\u200d@x.example"}], ids=["contact", "nobody"]
)
async def test_a_ticket_is_found_again_whatever_its_subject_is_made_of(
    crm: Crm, subject: str, whose: dict[str, Any]
) -> None:
    draft = replace(DRAFT, subject=subject, **whose)
    crm.faulty(*["ok"] * bool(whose), "drop_after_commit")
    await crm.desk.create_ticket(draft, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        assert (await crm.desk.create_ticket(draft, KEY)).replayed is True
        assert (await crm.desk.create_ticket(replace(draft, subject="Another"), KEY)).replayed is False
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases) + 2


async def test_a_ticket_that_may_or_may_not_be_there_is_not_opened_again(crm: Crm) -> None:
    crm.faulty("reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.create_ticket(DRAFT, KEY)
    assert (await crm.raw("GET", "query", q="SELECT COUNT() FROM Case"))["totalSize"] == len(crm.company.cases)


async def test_an_earlier_attempt_is_looked_for_first(crm: Crm) -> None:
    native = await opened(crm)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        again = await crm.desk.create_ticket(DRAFT, KEY)
        assert (again.ticket_id, again.replayed) == (f"salesforce:ticket:{native}", True)
        with pytest.raises(OutcomeUnknown, match="nothing was sent"):
            await crm.desk.create_ticket(replace(DRAFT, public=False), KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        other = await crm.desk.create_ticket(replace(DRAFT, public=False), KEY)
    assert other.ticket_id != again.ticket_id
    assert other.replayed is False


# ------------------------------------------------------------------------------------------------------ editing


async def test_status_priority_and_assignee_are_set(crm: Crm) -> None:
    case, agent = the_case(crm.company), crm.company.agents[3]
    change = TicketChange(status="on_hold", priority="low", assignee=agent.email)
    state = await crm.desk.update_ticket(case_id(case), change, KEY)
    ticket = await crm.desk.ticket(case_id(case), None)
    assert state == TicketState(ticket_id=ticket.ticket_id, status="on_hold", version=ticket.version)
    assert (ticket.status, ticket.priority, ticket.assignee) == ("on_hold", "low", agent.name)


async def test_a_note_is_never_shown_to_the_customer(crm: Crm) -> None:
    case = the_case(crm.company)
    state = await crm.desk.update_ticket(case_id(case), TicketChange(note="Do not tell: @{now.Status}"), KEY)
    [said, *_] = await said_in(crm, case_id(case))
    assert said == {"CommentBody": "Do not tell: @ {now.Status}", "IsPublished": False}
    assert state.version == (await crm.desk.ticket(case_id(case), None)).version


async def test_every_change_makes_another_version(crm: Crm) -> None:
    case = the_case(crm.company)
    versions = [(await crm.desk.ticket(case_id(case), None)).version]
    for change in (TicketChange(note="One."), TicketChange(status="on_hold"), TicketChange(priority="high")):
        versions.append(
            (await crm.desk.update_ticket(case_id(case), replace(change, version=versions[-1]), KEY)).version
        )
    mail = {"ParentId": case_id(case), "TextBody": "More from me.", "Incoming": True}
    await crm.raw("POST", "sobjects/EmailMessage", mail)
    crm.clock.advance(60)
    versions.append((await crm.desk.ticket(case_id(case), None)).version)
    assert len(set(versions)) == 5


async def test_a_case_that_has_changed_is_not_changed(crm: Crm) -> None:
    case = the_case(crm.company)
    version = (await crm.desk.ticket(case_id(case), None)).version
    await crm.raw("POST", "sobjects/CaseComment", {"ParentId": case_id(case), "CommentBody": "Wait!"})
    for change in (TicketChange(status="solved"), TicketChange(note="Closed.")):
        with pytest.raises(Conflict, match="has changed since version"):
            await crm.desk.update_ticket(case_id(case), replace(change, version=version), KEY)
    [row] = await crm.rows("Status", "Case", f"Id = '{case_id(case)}'")
    assert row["Status"] in ("Working", "Escalated")


async def test_a_change_between_reading_and_writing_is_a_conflict_too(crm: Crm) -> None:
    case = the_case(crm.company)
    version = (await crm.desk.ticket(case_id(case), None)).version
    crm.wire.before = lambda: crm.raw("PATCH", f"sobjects/Case/{case_id(case)}", {"Subject": "Quite another matter"})
    with pytest.raises(Conflict, match="changed since it was read"):
        await crm.desk.update_ticket(case_id(case), TicketChange(status="solved", note="Done.", version=version), KEY)
    ticket = await crm.desk.ticket(case_id(case), CommentPage())
    assert (ticket.subject, ticket.status) == ("Quite another matter", "open")
    assert "Done." not in [comment.text for comment in ticket.comments]


async def test_what_cannot_be_set_is_refused_before_anything_is_sent(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    refused = [
        (TicketChange(status="closed"), "new, open, on_hold or solved"),
        (TicketChange(status="pending", note="x"), "new, open, on_hold or solved"),
        (TicketChange(priority="urgent"), "low, normal or high"),
        (TicketChange(assignee="none"), "always has an owner"),
        (TicketChange(add_tags=("vip",)), "no tags"),
        (TicketChange(remove_tags=("vip",)), "no tags"),
    ]
    for change, sentence in refused:
        with pytest.raises(InvalidInput, match=sentence):
            await crm.desk.update_ticket(case, change, KEY)
    assert crm.asked == []
    with pytest.raises(InvalidInput, match="no user has the address"):
        await crm.desk.update_ticket(case, TicketChange(assignee="x' OR Email != '"), KEY)


async def test_a_change_of_nothing_says_how_the_case_is(crm: Crm) -> None:
    case = the_case(crm.company)
    ticket = await crm.desk.ticket(case_id(case), None)
    state = await crm.desk.update_ticket(case_id(case), TicketChange(version=ticket.version), KEY)
    assert state == TicketState(ticket_id=ticket.ticket_id, status="open", version=ticket.version)


@pytest.mark.parametrize("with_version", [False, True])
@pytest.mark.parametrize("note", [None, "Called them."])
async def test_a_change_whose_answer_is_lost_was_made_once(crm: Crm, note: str | None, with_version: bool) -> None:
    case = the_case(crm.company)
    ticket = await crm.desk.ticket(case_id(case), None)
    before = await said_in(crm, case_id(case))
    change = TicketChange(status="on_hold", note=note, version=ticket.version if with_version else None)
    crm.faulty("ok", "drop_after_commit")
    state = await crm.desk.update_ticket(case_id(case), change, KEY)
    assert (state.status, state.version) == ("on_hold", (await crm.desk.ticket(case_id(case), None)).version)
    notes = [{"CommentBody": note, "IsPublished": False}] if note else []
    assert await said_in(crm, case_id(case)) == [*notes, *before]


async def test_a_change_that_nobody_saw_arrive_is_not_said_to_be_made(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    crm.faulty("ok", "reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.update_ticket(case, TicketChange(status="solved", note="Done."), KEY)
    crm.faulty("ok", "reset")
    assert (await crm.desk.update_ticket(case, TicketChange(status="solved"), KEY)).status == "solved"


async def test_a_note_that_was_added_is_not_added_again_because_the_case_was_changed_since(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    before = await said_in(crm, case)
    change = TicketChange(status="solved", note="Done.")
    crm.faulty("ok", "drop_after_commit", "reset", "reset", "reset", "reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.update_ticket(case, change, KEY)
    crm.faulty()
    await crm.raw("PATCH", f"sobjects/Case/{case}", {"Status": "Working"})
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        assert (await crm.desk.update_ticket(case, change, KEY)).status == "open"
    assert await said_in(crm, case) == [{"CommentBody": "Done.", "IsPublished": False}, *before]


async def test_a_change_is_known_for_the_earlier_attempts(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    version = (await crm.desk.ticket(case, None)).version
    change = TicketChange(status="solved", note="Done.", version=version)
    state = await crm.desk.update_ticket(case, change, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        assert await crm.desk.update_ticket(case, change, KEY) == state


# ------------------------------------------------------------------------------------------------------ replying


async def test_a_reply_is_a_published_comment(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    ticket = await crm.desk.ticket(case, None)
    sent = await crm.desk.reply(case, Reply("Dear you @{said.Id}", ticket.version), KEY)
    [comment, *_] = (await crm.desk.ticket(case, CommentPage())).comments
    assert comment.model_dump(exclude_none=True) == {
        "id": sent.value.message_id,
        "at": sent.value.sent_at,
        "author": crm.company.agents[0].name,
        "role": "agent",
        "public": True,
        "text": "Dear you @ {said.Id}",
        "untrusted": True,
    }
    assert (sent.value.status, sent.replayed) == ("open", False)


async def test_a_reply_can_change_the_status(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    ticket = await crm.desk.ticket(case, None)
    sent = await crm.desk.reply(case, Reply("Done.", ticket.version, "solved"), KEY)
    assert (sent.value.status, (await crm.desk.ticket(case, None)).status) == ("solved", "solved")
    with pytest.raises(InvalidInput, match="cannot be 'pending'"):
        await crm.desk.reply(case, Reply("Done.", ticket.version, "pending"), KEY)


async def test_a_reply_to_what_has_changed_is_not_sent(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    version = (await crm.desk.ticket(case, None)).version
    await crm.raw("POST", "sobjects/EmailMessage", {"ParentId": case, "TextBody": "Never mind.", "Incoming": True})
    before = await said_in(crm, case)
    with pytest.raises(Conflict):
        await crm.desk.reply(case, Reply("Dear you", version), KEY)
    assert await said_in(crm, case) == before


async def test_a_reply_whose_answer_is_lost_was_sent_once(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    version = (await crm.desk.ticket(case, None)).version
    crm.faulty("ok", "drop_after_commit")
    sent = await crm.desk.reply(case, Reply("Dear you", version, "on_hold"), KEY)
    said = await said_in(crm, case)
    assert said.count({"CommentBody": "Dear you", "IsPublished": True}) == 1
    assert sent.value.status == "on_hold"


async def test_an_internal_note_of_the_same_words_is_not_the_reply(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    state = await crm.desk.update_ticket(case, TicketChange(note="Dear you"), KEY)
    crm.faulty("ok", "reset")
    with pytest.raises(OutcomeUnknown):
        await crm.desk.reply(case, Reply("Dear you", state.version), KEY)


async def test_a_reply_is_known_for_the_earlier_attempts(crm: Crm) -> None:
    case = case_id(the_case(crm.company))
    reply = Reply("Dear you", (await crm.desk.ticket(case, None)).version)
    first = await crm.desk.reply(case, reply, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        again = await crm.desk.reply(case, reply, KEY)
    assert (again.value.message_id, again.replayed) == (first.value.message_id, True)


# ---------------------------------------------------------------------------------------------- consent and notes


@pytest.mark.parametrize("wanted", [True, False])
async def test_consent_is_whether_a_contact_has_opted_out(crm: Crm, wanted: bool) -> None:
    person = business(crm.company)[0].number
    await crm.people.contacts([contact_id(person)])
    changed = await crm.people.change_preferences(contact(person), PreferenceChanges(email_marketing=wanted), "asked")
    [row] = await crm.rows("HasOptedOutOfEmail", "Contact", f"Id = '{contact_id(person)}'")
    assert (changed.email_marketing, row["HasOptedOutOfEmail"]) == (wanted, not wanted)
    assert await crm.people.contacts([contact_id(person)]) == [changed]


async def test_consent_is_set_again_when_the_answer_is_lost(crm: Crm) -> None:
    person = business(crm.company)[0].number
    crm.faulty("drop_after_commit", "reset")
    changed = await crm.people.change_preferences(contact(person), PreferenceChanges(email_marketing=False), "asked")
    assert changed.email_marketing is False


async def test_what_a_contact_does_not_keep_is_left_alone(crm: Crm) -> None:
    person = business(crm.company)[0]
    same = await crm.people.change_preferences(contact(person.number), PreferenceChanges(language="fr"), "asked")
    assert same.email_marketing is person.email_consent
    assert not any(line.startswith("PATCH") for line in crm.asked)


async def test_the_consent_of_nobody_is_not_found(crm: Crm) -> None:
    for native in ("003Hs0000999999IAA", "../Account/1"):
        who = Contact(ref=Ref("salesforce", "contact", native), name="")
        with pytest.raises(NotFound):
            await crm.people.change_preferences(who, PreferenceChanges(email_marketing=False), "asked")


async def test_a_note_is_a_completed_task_of_the_contact(crm: Crm) -> None:
    case = the_case(crm.company)
    who = contact(case.person)
    written = await crm.people.add_note(
        who, NoteDraft("It's @{x}.\nCall back.", f"salesforce:ticket:{case_id(case)}"), KEY
    )
    native = written.value.note_id.rpartition(":")[2]
    assert written.value == Noted(
        note_id=f"salesforce:note:{native}", url=f"{SITE}/{native}", replayed=False, idempotency_key=KEY
    )
    [task] = await crm.rows("WhoId, WhatId, Subject, Description, Status", "Task", f"Id = '{native}'")
    assert task == {
        "WhoId": who.ref.native,
        "WhatId": case_id(case),
        "Subject": "Note",
        "Description": "It's @{x}.\nCall back.",
        "Status": "Completed",
    }
    [event] = await crm.all_events([who], 5, frozenset({"note"}))
    assert (event.id, event.title, event.direction) == (written.value.note_id, "Note", "internal")
    assert (event.summary, event.actor) == ("It's @{x}. Call back.", crm.company.agents[0].name)


async def test_a_note_about_something_elsewhere_says_so(crm: Crm) -> None:
    written = await crm.people.add_note(contact(2), NoteDraft("Wants it blue.", "shopify:order:7"), KEY)
    native = written.value.note_id.rpartition(":")[2]
    [task] = await crm.rows("WhatId, Description", "Task", f"Id = '{native}'")
    assert task == {"WhatId": None, "Description": "Wants it blue.\n\nAbout shopify:order:7"}


async def test_a_task_that_is_still_to_be_done_is_no_note(crm: Crm) -> None:
    await crm.raw("POST", "sobjects/Task", {"WhoId": contact_id(2), "Subject": "Call them"})
    assert await crm.all_events([contact(2)], 5, frozenset({"note"})) == []


async def test_a_note_whose_answer_is_lost_was_written_once(crm: Crm) -> None:
    crm.faulty("drop_after_commit")
    first = await crm.people.add_note(contact(2), NoteDraft("Call back."), KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=5)):
        again = await crm.people.add_note(contact(2), NoteDraft("Call back."), KEY)
    assert (again.value.note_id, first.replayed, again.replayed) == (first.value.note_id, False, True)
    tasks = await crm.rows("Id", "Task", f"WhoId = '{contact_id(2)}' AND Subject = 'Note'")
    assert len(tasks) == 1
    crm.faulty("reset")
    with pytest.raises(OutcomeUnknown):
        await crm.people.add_note(contact(2), NoteDraft("Something else."), KEY)


async def test_a_note_about_one_case_is_not_taken_for_one_about_another(crm: Crm) -> None:
    one, other = (NoteDraft("Call back.", f"salesforce:ticket:{case_id(n)}") for n in (1, 2))
    first = await crm.people.add_note(contact(2), one, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=90)):
        second = await crm.people.add_note(contact(2), other, KEY)
        again = await crm.people.add_note(contact(2), one, KEY)
    assert (second.replayed, again.replayed) == (False, True)
    assert again.value.note_id == first.value.note_id != second.value.note_id


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
