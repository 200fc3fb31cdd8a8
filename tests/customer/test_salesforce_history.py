"""What happened with somebody in Salesforce: cases, calls, e-mails and meetings in one order, page by page."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from datetime import timedelta

import pytest
from tests.customer.sales import (
    ALL,
    COMPOSITE,
    KEY,
    NOBODY,
    SITE,
    TODAY,
    Crm,
    answering,
    business,
    case_id,
    contact,
    contact_id,
    new_crm,
    the_case,
)

from backoffice_customer.backends.salesforce import Salesforce
from backoffice_customer.models import Contact, Event, Ref
from backoffice_customer.ports import CommentPage, NoteDraft, Span
from backoffice_shared.errors import InvalidInput
from backoffice_shared.sandbox.company import Call, Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


def calls_of(company: Company, person: int) -> list[Call]:
    return company.calls_of.get(person, [])


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
