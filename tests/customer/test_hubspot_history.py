"""What happened with somebody in HubSpot: notes and the rest in one order, given once, page by page."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.customer.crm import (
    INES,
    NO_CURSORS,
    NOTES,
    OBJECTS,
    OWNERS,
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
    written,
)

from backoffice_customer.models import Contact, Event, EventKind, Ref
from backoffice_customer.ports import Span
from backoffice_shared.errors import InvalidInput
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


# --------------------------------------------------------------------------------------------------- translation


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
