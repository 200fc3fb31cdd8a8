"""HubSpot in our words: its adapter over its sandbox, and over answers that the sandbox does not give."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse, Response
from tests.customer.crm import (
    BATCH_READ,
    HOSTILE,
    INES,
    NO_CURSORS,
    NOTES,
    OBJECTS,
    OWNERS,
    SEARCH,
    TODAY,
    Crm,
    answering,
    connected,
    contact,
    cursor,
    in_the_crm,
    milliseconds,
    native,
    new_crm,
    note_id,
    owner_of,
    ticket_id,
)

from backoffice_customer.backends.hubspot import HUBSPOT
from backoffice_customer.models import Contact, Event, EventKind, Ref
from backoffice_customer.ports import Span
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.deadline import within
from backoffice_shared.errors import BackendUnavailable, InvalidInput, MalformedAnswer, PermissionDenied, RateLimited
from backoffice_shared.sandbox.company import KEY_ACCOUNT, NAMESAKES, Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


def natives(found: list[Contact]) -> list[str]:
    return [contact.ref.native for contact in found]


# ------------------------------------------------------------------------------------------------------- people


async def test_a_contact_is_told_in_our_words(crm: Crm) -> None:
    person = crm.company.people[KEY_ACCOUNT]
    organisation = crm.company.organisation(person)
    assert await crm.hubspot.contacts(["100003"]) == [
        Contact(
            ref=Ref("hubspot", "contact", "100003"),
            name=person.name,
            emails=[person.email],
            phones=[person.phone],
            company=organisation.name if organisation else None,
            owner=owner_of(crm.company, KEY_ACCOUNT),
            tier=person.tier,
            lifecycle={"lead": "lead", "customer": "customer", "former": "other"}[person.lifecycle],
            language=person.language,
            country=person.country,
            email_marketing=person.email_consent,
            url="https://app.hubspot.com/contacts/62515/record/0-1/100003",
            updated_at=person.since,
        )
    ]


async def test_everybody_in_the_crm_is_found_by_id_and_nobody_else(crm: Crm) -> None:
    found = await crm.hubspot.contacts([native(person.number) for person in crm.company.people])
    assert [(c.ref.native, c.name) for c in found] == [(native(p.number), p.name) for p in in_the_crm(crm.company)]
    assert len(found) < len(crm.company.people)


async def test_everybody_in_the_crm_is_found_by_their_address_whatever_the_case_of_its_letters(crm: Crm) -> None:
    for case in (str.lower, str.upper, str.title):
        found = await crm.hubspot.contacts_by_email([case(person.email) for person in crm.company.people])
        assert [c.emails for c in found] == [[person.email] for person in in_the_crm(crm.company)]


async def test_unknown_ids_and_addresses_are_simply_absent(crm: Crm) -> None:
    assert natives(await crm.hubspot.contacts(["999999", native(1), "0", "1"])) == [native(1)]
    known = crm.company.people[1].email
    assert natives(await crm.hubspot.contacts_by_email(["nobody@nowhere.example", known])) == [native(1)]
    assert await crm.hubspot.contacts(["999999"]) == []
    assert await crm.hubspot.contacts_by_email(["nobody@nowhere.example"]) == []


async def test_who_is_asked_for_twice_is_told_once(crm: Crm) -> None:
    email = crm.company.people[1].email
    assert natives(await crm.hubspot.contacts([native(1), native(2), native(1)])) == [native(1), native(2)]
    assert natives(await crm.hubspot.contacts_by_email([email, email.upper()])) == [native(1)]


async def test_nobody_is_asked_about_nobody(crm: Crm) -> None:
    assert (await crm.hubspot.contacts([]), await crm.hubspot.contacts_by_email([])) == ([], [])
    assert crm.asked == []


async def test_an_answer_of_several_statuses_gives_what_was_found() -> None:
    partly = {"results": [wire(firstname="Ada")], "numErrors": 1, "errors": [{"category": "OBJECT_NOT_FOUND"}]}
    assert [c.name for c in await answering(partly, status=207).contacts(["512", "513"])] == ["Ada"]


async def test_people_are_found_by_parts_of_what_is_known_of_them(crm: Crm) -> None:
    person = next(p for p in in_the_crm(crm.company) if p.organisation is not None)
    organisation = crm.company.organisation(person)
    assert organisation is not None
    for text in (
        person.name,
        person.name.upper()[:-1],
        person.email,
        person.phone,
        f"{person.last_name} {person.phone}",
    ):
        assert native(person.number) in natives(await crm.hubspot.search_contacts(text, 50))
    colleagues = await crm.hubspot.search_contacts(organisation.name, 50)
    assert native(person.number) in natives(colleagues)
    assert all(c.company and organisation.name in c.company for c in colleagues)


async def test_those_who_share_a_name_are_all_found(crm: Crm) -> None:
    assert {native(number) for number in NAMESAKES} <= set(
        natives(await crm.hubspot.search_contacts("maria garcia", 50))
    )


async def test_no_more_people_are_found_than_wanted(crm: Crm) -> None:
    assert len(await crm.hubspot.search_contacts("example", 3)) == 3
    assert await crm.hubspot.search_contacts("nobody has this name", 3) == []


# --------------------------------------------------------------------------------------------------- translation


def wire(**properties: str | None) -> dict[str, Any]:
    return {
        "id": "512",
        "properties": properties,
        "createdAt": "2026-01-02T03:04:05.678Z",
        "updatedAt": "2026-10-01T12:00:00.000Z",
        "archived": False,
    }


async def translated(**properties: str | None) -> Contact:
    (found,) = await answering({"results": [wire(**properties)]}).contacts(["512"])
    return found


async def test_a_contact_of_whom_nothing_is_known_is_called_by_their_id() -> None:
    assert await translated() == Contact(
        ref=Ref("hubspot", "contact", "512"),
        name="512",
        updated_at=datetime(2026, 10, 1, 12, tzinfo=UTC),
    )


async def test_what_hubspot_has_as_null_or_empty_is_not_known() -> None:
    names = ("firstname", "lastname", "email", "phone", "mobilephone", "company", "hubspot_owner_id", "lifecyclestage")
    more = ("hs_language", "country", "hs_email_optout", "customer_tier")
    for nothing in (None, ""):
        assert await translated(**dict.fromkeys((*names, *more), nothing)) == await translated()


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"firstname": "Ada", "lastname": "Bauer", "email": "ada@mail.example"}, "Ada Bauer"),
        ({"firstname": "Ada", "lastname": None}, "Ada"),
        ({"firstname": "", "lastname": "Bauer"}, "Bauer"),
        ({"firstname": None, "lastname": "", "email": "Ada@Mail.example"}, "Ada@Mail.example"),
        ({"firstname": "Zoë", "lastname": "O'Brien"}, "Zoë O'Brien"),
    ],
)
async def test_a_contact_is_called_by_what_is_known(properties: Mapping[str, str | None], name: str) -> None:
    assert (await translated(**properties)).name == name


@pytest.mark.parametrize(
    ("properties", "phones"),
    [
        ({"phone": "+1555", "mobilephone": "+4915"}, ["+1555", "+4915"]),
        ({"phone": None, "mobilephone": "+4915"}, ["+4915"]),
        ({"phone": "+1555", "mobilephone": ""}, ["+1555"]),
        ({}, []),
    ],
)
async def test_every_number_is_a_phone(properties: Mapping[str, str | None], phones: list[str]) -> None:
    assert (await translated(**properties)).phones == phones


@pytest.mark.parametrize(
    ("optout", "consent"), [("true", False), ("false", True), ("", None), (None, None), ("perhaps", None)]
)
async def test_only_who_is_known_not_to_have_opted_out_may_be_written_to(
    optout: str | None, consent: bool | None
) -> None:
    assert (await translated(hs_email_optout=optout)).email_marketing is consent


@pytest.mark.parametrize(("hubspots", "ours"), [("de", "de"), ("en-us", "en"), ("zh-hant-tw", "zh"), ("-", None)])
async def test_a_language_is_told_without_the_country(hubspots: str, ours: str | None) -> None:
    assert (await translated(hs_language=hubspots)).language == ours


async def test_addresses_are_in_small_letters() -> None:
    assert (await translated(email="Ada.Bauer@Mail.Example")).emails == ["ada.bauer@mail.example"]


def written(**properties: str | None) -> dict[str, Any]:
    return {"id": "7", "properties": {"hs_timestamp": "2026-10-01T12:00:00Z", **properties}}


async def test_a_note_is_an_event_with_the_beginning_of_what_was_written() -> None:
    page = {"total": 1, "results": [written(hs_note_body="x" * 1_000, hubspot_owner_id="900001")]}
    found = await answering(page).events([contact(1)], NOTES, Span(), None, 10)
    assert (found.next, found.total) == (None, 1)
    assert found.items == [
        Event(
            id="hubspot:note:7",
            kind="note",
            at=datetime(2026, 10, 1, 12, tzinfo=UTC),
            title="Note",
            summary="x" * 240,
            actor="Ines Okafor",
            direction="internal",
            system="hubspot",
        )
    ]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<div><p>Prefers <b>mornings</b>.</p><p>Tea &amp; cake</p></div>", "Prefers mornings. Tea & cake"),
        ("plain, 3 < 4", "plain, 3 < 4"),
        ("if a<b and c>d then refund", "if a<b and c>d then refund"),
        ("<p>one</p><p>unfinished", "one unfinished"),
        ("<p>a <![weird[ y]]> b</p>", "a b"),
        ("<a " * 20_000, "<a " * 80),
        ("<script>alert(1)</script>", ""),
        ('<p>Seen<span style="display:none">not seen</span></p>', "Seen"),
        ("&#" + "9" * 5_000 + ";", "\ufffd"),
        ("<p>" + "<a " * 20_000 + "</p>", ""),
    ],
)
async def test_a_notes_rich_text_is_read_as_text(html: str, text: str) -> None:
    (event,) = (
        await answering({"total": 1, "results": [written(hs_note_body=html)]}).events(
            [contact(1)], NOTES, Span(), None, 10
        )
    ).items
    assert event.summary == text


async def test_a_note_may_be_empty_and_nobodys() -> None:
    (event,) = (
        await answering({"total": 1, "results": [written()]}).events([contact(1)], NOTES, Span(), None, 10)
    ).items
    assert (event.summary, event.actor) == ("", None)


# --------------------------------------------------------------------------------------------------------- notes


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
async def test_every_note_of_a_customer_is_given_exactly_once_and_the_newest_first(crm: Crm, limit: int) -> None:
    for person in in_the_crm(crm.company):
        events = await crm.all_events([contact(person.number)], limit=limit)
        assert [(event.id, event.at, event.summary) for event in events] == [
            (note_id(note), milliseconds(note.at), note.text) for note in crm.notes(person.number)
        ]


@pytest.mark.parametrize("limit", [1, 4, 7, 200])
async def test_the_notes_of_several_contacts_come_in_one_order(crm: Crm, limit: int) -> None:
    numbers = range(20)
    events = await crm.all_events([contact(number) for number in numbers], limit=limit)
    assert [event.id for event in events] == [note_id(note) for note in crm.notes(*numbers)]
    assert len(events) > 10


async def test_the_first_page_says_how_many_notes_there_are(crm: Crm) -> None:
    page = await crm.hubspot.events([contact(number) for number in range(20)], NOTES, Span(), None, 2)
    assert (page.total, page.estimated) == (len(crm.notes(*range(20))), False)


async def test_notes_are_given_from_since_to_until_with_both_of_them(crm: Crm) -> None:
    who, notes = [contact(number) for number in range(20)], crm.notes(*range(20))
    newer, older = notes[3].at, notes[8].at
    for span, wanted in (
        (Span(), notes),
        (Span(since=older), notes[:9]),
        (Span(until=newer), notes[3:]),
        (Span(since=older, until=newer), notes[3:9]),
        (Span(since=older + timedelta(seconds=1), until=newer - timedelta(seconds=1)), notes[4:8]),
        (Span(since=newer, until=older), []),
        (Span(since=TODAY), []),
    ):
        events = await crm.all_events(who, limit=4, span=span)
        assert [event.id for event in events] == [note_id(note) for note in wanted]


async def test_a_time_is_the_same_in_every_zone(crm: Crm) -> None:
    who, notes = [contact(number) for number in range(20)], crm.notes(*range(20))
    elsewhere = notes[3].at.astimezone(tz=datetime.fromisoformat("2026-01-01T00:00:00+09:00").tzinfo)
    events = await crm.all_events(who, limit=50, span=Span(since=elsewhere))
    assert [event.id for event in events] == [note_id(note) for note in notes[:4]]


async def test_those_whom_hubspot_does_not_know_have_no_notes_there(crm: Crm) -> None:
    stranger = Contact(ref=Ref("zendesk", "user", native(KEY_ACCOUNT)), name="known elsewhere")
    for who in ([], [stranger]):
        page = await crm.hubspot.events(who, NOTES, Span(), None, 10)
        assert (page.items, page.next) == ([], None)
    assert crm.asked == []
    events = await crm.all_events([stranger, contact(999)], limit=10)
    assert events == []


async def test_paging_stops_where_hubspots_search_does() -> None:
    asked: list[dict[str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == OWNERS:
            return httpx.Response(200, json={"results": [INES]})
        asked.append(json.loads(request.content))
        after, limit = int(asked[-1]["after"]), int(asked[-1]["limit"])
        rows = [written(hs_note_body=str(n)) | {"id": str(n)} for n in range(after, after + limit)]
        paging = {"next": {"after": str(after + limit)}}
        return httpx.Response(200, json={"total": 12_345, "results": rows, "paging": paging})

    hubspot = connected(httpx.MockTransport(answer))
    last_but_one = await hubspot.events([contact(1)], NOTES, Span(), cursor(note=("9940", 0)), 50)
    last = await hubspot.events([contact(1)], NOTES, Span(), last_but_one.next, 50)
    assert [(search["after"], search["limit"]) for search in asked[-1:]] == [("9990", 10)]
    assert (last_but_one.next, last.next, last.capped) == (cursor(note=("9990", 0)), None, True)
    assert [event.id for event in last.items] == [f"hubspot:note:{n}" for n in range(9_990, 10_000)]


@pytest.mark.parametrize(
    "given", ["", "7", "null", '{"note":["0",0]}', "{", "AAAA", "=", "ü", "\ud800", "x" * 9_999, *NO_CURSORS]
)
async def test_a_cursor_that_was_not_given_out_is_refused(crm: Crm, given: str) -> None:
    with pytest.raises(InvalidInput, match="not a cursor of this server"):
        await crm.hubspot.events([contact(1)], NOTES, Span(), given, 10)
    assert [path for path in crm.asked if path.endswith("notes/search")] == []


# --------------------------------------------------------------------------------------------- everything that happened

ALL: frozenset[EventKind] = frozenset({"note", "email", "call", "meeting", "ticket"})


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
async def test_what_happened_is_given_in_one_order_exactly_once_however_it_is_paged(crm: Crm, limit: int) -> None:
    who = [contact(number) for number in range(len(crm.company.people))]
    events = await crm.all_events(who, limit=limit, kinds=ALL)
    at = [event.at for event in events]
    assert at == sorted(at, reverse=True)
    ids = [event.id for event in events]
    assert len(ids) == len(set(ids))
    calls = [call for call in crm.company.calls if not crm.company.people[call.person].is_business]
    mails = [
        comment
        for inquiry in crm.company.inquiries
        for place, comment in enumerate(crm.company.thread(inquiry))
        if comment.public and (place > 0 or inquiry.number % 2 == 0)
    ]
    assert {kind: len([event for event in events if event.kind == kind]) for kind in sorted(ALL)} == {
        "call": len(calls),
        "email": len(mails),
        "meeting": 0,
        "note": len(crm.company.notes),
        "ticket": len(crm.company.inquiries),
    }


async def test_pages_may_be_of_different_sizes(crm: Crm) -> None:
    who = [contact(number) for number in range(len(crm.company.people))]
    whole = [event.id for event in await crm.all_events(who, limit=50, kinds=ALL)]
    seen: list[str] = []
    cursor = None
    for limit in (3, 1, 7, 2, 50, 50):
        page = await crm.hubspot.events(who, ALL, Span(), cursor, limit)
        seen += [event.id for event in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == whole


async def test_a_call_tells_who_called_whom(crm: Crm) -> None:
    call = next(call for call in crm.company.calls if not crm.company.people[call.person].is_business)
    found = await crm.all_events([contact(call.person)], limit=10, kinds=frozenset({"call"}))
    number = 2_000_001 + call.number
    told = Event(
        id=f"hubspot:call:{number}",
        kind="call",
        at=milliseconds(call.at),
        title="Call from a customer" if call.inbound else "Call to a customer",
        summary=call.text,
        actor=owner_of(crm.company, call.agent),
        direction="in" if call.inbound else "out",
        system="hubspot",
        url=f"https://app.hubspot.com/contacts/62515/record/0-48/{number}",
    )
    assert told in found


async def test_the_calls_of_businesses_are_not_here(crm: Crm) -> None:
    businesses = [contact(person.number) for person in crm.company.people if person.is_business]
    assert await crm.all_events(businesses, limit=50, kinds=frozenset({"call", "ticket", "email"})) == []


async def test_a_ticket_is_an_event_when_it_was_opened(crm: Crm) -> None:
    inquiry = crm.company.inquiries[0]
    (event, *_) = [
        event
        for event in await crm.all_events([contact(inquiry.person)], limit=10, kinds=frozenset({"ticket"}))
        if event.id.endswith(ticket_id(inquiry))
    ]
    assert (event.kind, event.at, event.title, event.direction) == (
        "ticket",
        milliseconds(inquiry.created_at),
        inquiry.subject,
        "in",
    )
    assert event.summary == crm.company.thread(inquiry)[0].text


def happened(**properties: str | None) -> dict[str, Any]:
    return {"id": "7", "properties": {"hs_timestamp": "2026-10-01T12:00:00Z", **properties}}


@pytest.mark.parametrize(
    ("kind", "properties", "told"),
    [
        ("email", {}, ("E-mail", "", None, "out")),
        (
            "email",
            {
                "hs_email_subject": "Hello",
                "hs_email_html": "<p>one</p><p>two</p>",
                "hs_email_direction": "INCOMING_EMAIL",
                "hs_email_from_email": "ada@mail.example",
                "hubspot_owner_id": "900001",
            },
            ("Hello", "one two", "ada@mail.example", "in"),
        ),
        (
            "email",
            {
                "hs_email_text": "text first",
                "hs_email_html": "<p>html</p>",
                "hs_email_direction": "EMAIL",
                "hs_email_from_firstname": "Tom",
                "hubspot_owner_id": "900001",
            },
            ("E-mail", "text first", "Ines Okafor", "out"),
        ),
        ("call", {}, ("Call", "", None, None)),
        ("call", {"hs_call_body": "<p>hm</p>", "hs_call_direction": "OUTBOUND"}, ("Call", "hm", None, "out")),
        ("meeting", {}, ("Meeting", "", None, None)),
        (
            "meeting",
            {"hs_meeting_title": "Demo", "hs_meeting_body": "at noon", "hubspot_owner_id": "5"},
            ("Demo", "at noon", "5", None),
        ),
    ],
)
async def test_other_things_that_happened_are_told_in_our_words(
    kind: EventKind, properties: dict[str, str], told: tuple[str, str, str | None, str | None]
) -> None:
    hubspot = answering({"total": 1, "results": [happened(**properties)]})
    (event,) = (await hubspot.events([contact(1)], frozenset({kind}), Span(), None, 10)).items
    assert (event.title, event.summary, event.actor, event.direction) == told
    assert (event.id, event.kind) == (f"hubspot:{kind}:7", kind)


async def test_only_what_is_asked_for_is_looked_for(crm: Crm) -> None:
    await crm.knows_owners()
    await crm.hubspot.events([contact(1)], frozenset({"call", "meeting", "order"}), Span(), None, 10)
    assert sorted(crm.asked) == [f"{OBJECTS}/calls/search", f"{OBJECTS}/meetings/search"]
    await crm.hubspot.events([contact(1)], frozenset({"order", "refund"}), Span(), None, 10)
    assert len(crm.asked) == 2


# --------------------------------------------------------------------------------------------------- by ticket number


async def test_a_tickets_number_leads_to_whose_it_is(crm: Crm) -> None:
    for inquiry in crm.company.inquiries:
        assert natives(await crm.hubspot.contacts_by_number(ticket_id(inquiry))) == [native(inquiry.person)]


@pytest.mark.parametrize("number", ["1042", "0", "", "#1042", "../1", "3000001 ", "٣", "9" * 400])
async def test_a_number_that_is_no_tickets_leads_to_nobody(crm: Crm, number: str) -> None:
    assert await crm.hubspot.contacts_by_number(number) == []


# ------------------------------------------------------------------------------------------------------------ owners


async def test_an_owner_who_left_is_called_by_their_id() -> None:
    (found,) = await answering({"results": [wire(hubspot_owner_id="77")]}).contacts(["512"])
    assert found.owner == "77"


async def test_owners_are_read_to_the_last_page() -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != OWNERS:
            return httpx.Response(200, json={"results": [wire(hubspot_owner_id="900002")]})
        asked.append(request.url.params.get("after"))
        if asked[-1] is None:
            return httpx.Response(200, json={"results": [INES], "paging": {"next": {"after": "500"}}})
        tom = {"id": "900002", "firstName": "", "lastName": None, "email": "tom@northwind.example"}
        return httpx.Response(200, json={"results": [tom]})

    (found,) = await connected(httpx.MockTransport(answer)).contacts(["512"])
    assert (found.owner, asked) == ("tom@northwind.example", [None, "500"])


# ------------------------------------------------------------------------------------------------------ failures


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


# ---------------------------------------------------------------------------------------------------- asked once


async def test_what_was_read_a_moment_ago_is_not_asked_again(crm: Crm) -> None:
    await crm.knows_owners()
    for _ in range(3):
        await crm.hubspot.contacts([native(1)])
        await crm.hubspot.contacts_by_email([crm.company.people[1].email])
        await crm.hubspot.search_contacts("maria", 10)
        await crm.hubspot.events([contact(1)], NOTES, Span(), None, 10)
    assert crm.asked == [BATCH_READ, BATCH_READ, SEARCH, "/crm/objects/2026-09/notes/search"]


async def test_another_question_is_asked(crm: Crm) -> None:
    await crm.knows_owners()
    for text, limit in (("maria", 10), ("maria", 11), ("garcia", 10)):
        await crm.hubspot.search_contacts(text, limit)
    for span in (Span(), Span(since=TODAY), Span(until=TODAY)):
        await crm.hubspot.events([contact(1)], NOTES, span, None, 10)
    assert len(crm.asked) == 6


async def test_what_is_old_is_asked_again(crm: Crm) -> None:
    await crm.knows_owners()
    await crm.hubspot.contacts([native(1)])
    crm.clock.advance(60)
    await crm.hubspot.contacts([native(1)])
    assert len(crm.asked) == 1
    crm.clock.advance(61)
    await crm.hubspot.contacts([native(1)])
    assert len(crm.asked) == 2


# ------------------------------------------------------------------------------------------- what comes from outside


@pytest.mark.parametrize("text", HOSTILE)
async def test_an_id_or_an_address_finds_only_whom_it_names(crm: Crm, text: str) -> None:
    await crm.knows_owners()
    assert natives(await crm.hubspot.contacts([text, native(1)])) == [native(1)]
    assert natives(await crm.hubspot.contacts_by_email([text, crm.company.people[1].email])) == [native(1)]
    stranger = Contact(ref=Ref("hubspot", "contact", text), name="stranger")
    assert await crm.all_events([stranger], limit=10) == []
    assert {(request.path, request.status) for request in crm.sandbox.requests} == {
        (BATCH_READ, 200),
        ("/crm/objects/2026-09/notes/search", 200),
    }


@pytest.mark.parametrize("text", HOSTILE)
async def test_whatever_is_searched_for_is_only_searched_for(crm: Crm, text: str) -> None:
    await crm.knows_owners()
    found = await crm.hubspot.search_contacts(text, 5)
    assert len(found) <= 5
    assert [(request.path, request.status) for request in crm.sandbox.requests] == [(SEARCH, 200)]
