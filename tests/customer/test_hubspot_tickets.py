"""HubSpot's tickets in our words: found, counted, read with what was said about them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.customer.crm import (
    HOSTILE,
    NO_CURSORS,
    OBJECTS,
    PIPELINES,
    TODAY,
    Crm,
    client,
    contact,
    milliseconds,
    native,
    new_crm,
    owner_of,
    scripted,
    ticket_id,
)

from backoffice_customer.backends.hubspot import HubSpotTickets
from backoffice_customer.backends.hubspot.pipelines import PIPELINES as COMPANYS_PIPELINES
from backoffice_customer.backends.hubspot.stages import stages
from backoffice_customer.models import Comment, Contact, Ref, Ticket, TicketRow, TicketStatus
from backoffice_customer.ports import CommentPage, TicketQuery
from backoffice_shared.errors import BackendUnavailable, InvalidInput, MalformedAnswer, NotFound, RateLimited
from backoffice_shared.sandbox.company import Comment as Said
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.company import Ticket as Inquiry
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

THREADS = "/conversations/v3/conversations/threads"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY, customers=200)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


def status_of(inquiry: Inquiry) -> TicketStatus:
    """In which of our statuses a request is."""
    return inquiry.status


def name_of(company: Company, inquiry: Inquiry) -> str:
    return company.people[inquiry.person].name


def assignee(company: Company, inquiry: Inquiry) -> str | None:
    return None if inquiry.status == "new" else owner_of(company, inquiry.number)


def newest(inquiries: Sequence[Inquiry]) -> list[str]:
    return ids(sorted(inquiries, key=lambda inquiry: inquiry.updated_at, reverse=True))


def ids(inquiries: Sequence[Inquiry]) -> list[str]:
    return [f"hubspot:ticket:{ticket_id(inquiry)}" for inquiry in inquiries]


def found_ids(rows: Sequence[TicketRow]) -> list[str]:
    return [row.ticket_id for row in rows]


async def search(crm: Crm, query: TicketQuery, limit: int = 50) -> list[TicketRow]:
    rows: list[TicketRow] = []
    cursor, more = None, True
    while more:
        page = await crm.tickets.search_tickets(query, cursor, limit)
        rows += page.items
        cursor, more = page.next, page.next is not None
    return rows


# ------------------------------------------------------------------------------------------------------ searching


@pytest.mark.parametrize("limit", [1, 7, 50])
async def test_every_ticket_is_given_exactly_once_and_the_last_changed_first(crm: Crm, limit: int) -> None:
    rows = await search(crm, TicketQuery(), limit)
    assert found_ids(rows) == newest(crm.company.inquiries)
    assert len(rows) > 20


async def test_tickets_can_be_sorted_by_when_they_were_opened(crm: Crm) -> None:
    by_age = sorted(crm.company.inquiries, key=lambda inquiry: inquiry.created_at, reverse=True)
    assert found_ids(await search(crm, TicketQuery(sort="created"))) == ids(by_age)


async def test_a_row_says_what_there_is_to_say(crm: Crm) -> None:
    inquiry = crm.company.inquiries[0]
    row = next(row for row in await search(crm, TicketQuery()) if row.ticket_id.endswith(ticket_id(inquiry)))
    assert row == TicketRow(
        ticket_id=f"hubspot:ticket:{ticket_id(inquiry)}",
        subject=inquiry.subject,
        status=status_of(inquiry),
        priority=inquiry.priority,
        requester=name_of(crm.company, inquiry),
        assignee=assignee(crm.company, inquiry),
        created_at=milliseconds(inquiry.created_at),
        updated_at=milliseconds(inquiry.updated_at),
        url=f"https://app.hubspot.com/contacts/62515/record/0-5/{ticket_id(inquiry)}",
    )


@pytest.mark.parametrize("status", ["new", "open", "pending", "on_hold", "solved", "closed"])
async def test_tickets_are_found_by_status_and_there_are_none_where_no_stage_is(crm: Crm, status: TicketStatus) -> None:
    mine = [inquiry for inquiry in crm.company.inquiries if status_of(inquiry) == status]
    rows = await search(crm, TicketQuery(statuses=(status,)))
    assert found_ids(rows) == newest(mine)
    assert {row.status for row in rows} <= {status}


async def test_all_conditions_must_hold(crm: Crm) -> None:
    inquiry = next(i for i in crm.company.inquiries if i.status == "open")
    agent = crm.company.agents[inquiry.number % len(crm.company.agents)]
    since = inquiry.updated_at - timedelta(days=30)
    wanted = TicketQuery(
        text=inquiry.subject.split()[0],
        requesters=(native(inquiry.person),),
        statuses=("open", "pending"),
        priorities=(inquiry.priority,),
        assignee=agent.email.upper(),
        updated_since=since,
    )
    assert found_ids(await search(crm, wanted)) == ids([inquiry])
    for other in (
        TicketQuery(text="nobody wrote this", requesters=(native(inquiry.person),)),
        TicketQuery(requesters=(native(inquiry.person),), statuses=("new",)),
        TicketQuery(requesters=(native(inquiry.person),), priorities=("urgent",)),
        TicketQuery(requesters=(native(inquiry.person),), assignee="nobody@northwind.example"),
        TicketQuery(requesters=(native(inquiry.person),), updated_since=TODAY + timedelta(days=1)),
        TicketQuery(requesters=("999999",)),
        TicketQuery(requesters=("no id",)),
        TicketQuery(emails=("nobody@nowhere.example",)),
    ):
        assert await search(crm, other) == []


async def test_a_persons_tickets_are_found_by_id_or_by_address(crm: Crm) -> None:
    inquiry = crm.company.inquiries[2]
    mine = [i for i in crm.company.inquiries if i.person == inquiry.person]
    email = crm.company.people[inquiry.person].email
    for query in (
        TicketQuery(requesters=(native(inquiry.person),)),
        TicketQuery(emails=(email.upper(),)),
        TicketQuery(emails=(email,), requesters=(native(inquiry.person), "no id")),
    ):
        assert found_ids(await search(crm, query)) == newest(mine)


async def test_nobodys_tickets_are_those_without_an_assignee(crm: Crm) -> None:
    mine = [inquiry for inquiry in crm.company.inquiries if inquiry.status == "new"]
    assert found_ids(await search(crm, TicketQuery(assignee="none"))) == newest(mine)


@pytest.mark.parametrize("text", HOSTILE)
async def test_whatever_is_looked_for_in_tickets_is_only_looked_for(crm: Crm, text: str) -> None:
    page = await crm.tickets.search_tickets(TicketQuery(text=text), None, 5)
    assert len(page.items) <= 5
    for query in (TicketQuery(emails=(text,)), TicketQuery(requesters=(text,)), TicketQuery(assignee=text)):
        assert await search(crm, query) == []


async def test_open_tickets_are_counted(crm: Crm) -> None:
    for inquiry in crm.company.inquiries[:10]:
        mine = [i for i in crm.company.inquiries if i.person == inquiry.person and i.status not in ("solved", "closed")]
        assert await crm.tickets.count_open_tickets(contact(inquiry.person)) == len(mine)


async def test_who_is_known_elsewhere_has_no_tickets_here(crm: Crm) -> None:
    stranger = Contact(ref=Ref("zendesk", "user", native(crm.company.inquiries[0].person)), name="known elsewhere")
    assert await crm.tickets.count_open_tickets(stranger) == 0
    assert crm.asked == []


# ------------------------------------------------------------------------------------------------------- one ticket


def answers_to(crm: Crm, inquiry: Inquiry) -> str:
    """What a version says of whom a reply would go to: the customer's last message, where there is a conversation."""
    if inquiry.number % 2 == 1:
        return ""
    public = [comment for comment in crm.company.thread(inquiry) if comment.public]
    last = max(place for place, comment in enumerate(public) if comment.agent is None)
    return f"/{8_000_001 + inquiry.number:016x}{last:016x}"


async def test_a_ticket_is_told_in_our_words(crm: Crm) -> None:
    for inquiry in crm.company.inquiries[:4]:
        person, number = crm.company.people[inquiry.person], ticket_id(inquiry)
        changed = milliseconds(inquiry.updated_at)
        assert await crm.tickets.ticket(number, None) == Ticket(
            ticket_id=f"hubspot:ticket:{number}",
            subject=inquiry.subject,
            status=status_of(inquiry),
            priority=inquiry.priority,
            channel="email" if inquiry.number % 2 == 0 else "form",
            customer_id=f"hubspot:contact:{native(inquiry.person)}",
            requester=person.name,
            email=person.email,
            assignee=assignee(crm.company, inquiry),
            created_at=milliseconds(inquiry.created_at),
            updated_at=changed,
            version=changed.isoformat(timespec="milliseconds").replace("+00:00", "Z") + answers_to(crm, inquiry),
            url=f"https://app.hubspot.com/contacts/62515/record/0-5/{number}",
        )


@pytest.mark.parametrize("number", ["1", "3999999", *HOSTILE])
async def test_there_is_no_such_ticket(crm: Crm, number: str) -> None:
    with pytest.raises(NotFound):
        await crm.tickets.ticket(number, CommentPage())
    paths = {path for path in crm.asked if "/tickets/" in path}
    assert paths <= {f"{OBJECTS}/tickets/1", f"{OBJECTS}/tickets/3999999"}


BARE: dict[str, Any] = {
    "id": "7",
    "properties": {"createdate": "2026-10-01T12:00:00Z", "hs_lastmodifieddate": "2026-10-01T12:00:00.123Z"},
}


def bare(**properties: str | None) -> dict[str, Any]:
    return BARE | {"properties": BARE["properties"] | properties}


def wired(ticket: object, **answers: object) -> HubSpotTickets:
    known: dict[str, object] = {
        f"{OBJECTS}/tickets/7": ticket,
        PIPELINES: {"results": COMPANYS_PIPELINES},
        THREADS: {"results": []},
        f"{OBJECTS}/contacts/batch/read": {"results": []},
        **answers,
    }
    return HubSpotTickets(client(scripted(known)))


async def test_a_ticket_of_which_hardly_anything_is_known_is_open_and_nobodys() -> None:
    at = datetime(2026, 10, 1, 12, tzinfo=UTC)
    nothing = dict.fromkeys(
        ("subject", "content", "hs_pipeline", "hs_pipeline_stage", "hs_ticket_priority", "hubspot_owner_id")
    )
    for wire in (BARE, bare(**nothing), bare(**dict.fromkeys(nothing, ""))):
        assert await wired(wire).ticket("7", None) == Ticket(
            ticket_id="hubspot:ticket:7",
            subject="",
            status="open",
            created_at=at,
            updated_at=at + timedelta(milliseconds=123),
            version="2026-10-01T12:00:00.123Z",
        )


@pytest.mark.parametrize(
    "misshapen",
    [
        None,
        [],
        {},
        {"id": "7"},
        {"id": "7", "properties": {}},
        {"id": "7", "properties": None},
        {"id": "7", "properties": {"createdate": "yesterday", "hs_lastmodifieddate": "2026-10-01T12:00:00Z"}},
        {"id": "7", "properties": {"createdate": "2026-10-01T12:00:00Z", "hs_lastmodifieddate": None}},
    ],
)
async def test_a_ticket_in_another_shape_is_not_guessed_at(misshapen: object) -> None:
    with pytest.raises(MalformedAnswer):
        await wired(misshapen).ticket("7", None)


# --------------------------------------------------------------------------------------------------------- statuses


def pipeline(*labels: tuple[str, str], place: int = 0, native: str = "0", archived: str = "") -> dict[str, Any]:
    rows = [
        {
            "id": f"{native}-{n}",
            "label": label,
            "displayOrder": n,
            "metadata": {"ticketState": state} if state else {},
            "archived": label == archived,
        }
        for n, (label, state) in enumerate(labels)
    ]
    return {"id": native, "displayOrder": place, "stages": rows[::-1]}


@pytest.mark.parametrize(
    ("labels", "statuses"),
    [
        (["New", "Waiting on contact", "Waiting on us", "Closed!"], ["new", "pending", "open", "solved"]),
        (["Triage", "Waiting for customer reply", "ON HOLD", "Resolved!"], ["new", "pending", "on_hold", "solved"]),
        (["Waiting on contact", "Customer called", "Contact form"], ["pending", "open", "open"]),
        (["Done!", "Unsolved!", "Household", "Solved?"], ["solved", "solved", "open", "open"]),
        (["Wait: client", "Contact waits"], ["pending", "open"]),
    ],
)
def test_a_stage_is_a_status_by_its_place_its_state_and_its_label(labels: list[str], statuses: list[str]) -> None:
    closing = [(label.rstrip("!"), "CLOSED" if label.endswith("!") else "OPEN") for label in labels]
    known = stages({"results": [pipeline(*closing)]})
    assert [known.status(f"0-{n}") for n in range(len(labels))] == statuses


def test_the_first_stage_is_that_which_is_not_archived() -> None:
    known = stages({"results": [pipeline(("Old", ""), ("Inbox", ""), ("Work", ""), archived="Old")]})
    assert (known.first("0").id, known.status("0-0"), known.status("0-1")) == ("0-1", "open", "new")


def test_a_status_is_looked_for_in_the_tickets_own_pipeline() -> None:
    ours, theirs = pipeline(("New", ""), ("Work", "")), pipeline(("New", ""), ("On hold", ""), place=1, native="9")
    known = stages({"results": [theirs, ours]})
    assert (known.with_status("9", "on_hold"), known.with_status("0", "open")) == ("9-1", "0-1")
    assert known.of(["new"]) == ["0-0", "9-0"]
    with pytest.raises(InvalidInput, match="this ticket's pipeline has no stage for 'on_hold'; it has new, open"):
        known.with_status("0", "on_hold")
    with pytest.raises(InvalidInput, match="BACKOFFICE_HUBSPOT_TICKET_PIPELINE"):
        known.first("7")


# --------------------------------------------------------------------------------------------------------- comments


def comments_of(company: Company, inquiry: Inquiry) -> list[tuple[datetime, str, str, bool, str]]:
    """Newest first: when, by whom, in which role, whether the customer sees it, and what."""

    def told(place: int, said: Said) -> tuple[datetime, str, str, bool, str]:
        described = inquiry.number % 2 == 1 and place == 0
        author = name_of(company, inquiry) if said.agent is None else company.agents[said.agent].name
        role = "customer" if said.agent is None else "agent"
        return (milliseconds(said.at), "" if described else author, role, said.public, said.text)

    return [told(place, said) for place, said in enumerate(company.thread(inquiry))][::-1]


async def every_comment(crm: Crm, number: str, limit: int) -> list[Comment]:
    found: list[Comment] = []
    cursor, more = None, True
    while more:
        ticket = await crm.tickets.ticket(number, CommentPage(cursor, limit))
        assert len(ticket.comments) <= limit
        found += ticket.comments
        cursor, more = ticket.page.next_cursor, ticket.page.has_more
    return found


@pytest.mark.parametrize("limit", [1, 2, 50])
async def test_what_was_said_about_a_ticket_is_given_exactly_once_and_the_newest_first(crm: Crm, limit: int) -> None:
    for inquiry in crm.company.inquiries[:12]:
        found = await every_comment(crm, ticket_id(inquiry), limit)
        assert [(c.at, c.author or "", c.role, c.public, c.text) for c in found] == comments_of(crm.company, inquiry)
        assert len({comment.id for comment in found}) == len(found)


async def test_long_comments_are_cut_and_say_so(crm: Crm) -> None:
    for inquiry in crm.company.inquiries[:2]:
        ticket = await crm.tickets.ticket(ticket_id(inquiry), CommentPage(limit=50, max_chars=10))
        assert {(len(comment.text), comment.truncated) for comment in ticket.comments} == {(10, True)}


@pytest.mark.parametrize("given", ["", "{", '{"note":["0",0]}', "AAAA", "[]", *NO_CURSORS])
async def test_a_comment_cursor_that_was_not_given_out_is_refused(crm: Crm, given: str) -> None:
    with pytest.raises(InvalidInput, match="not a cursor of this server"):
        await crm.tickets.ticket(ticket_id(crm.company.inquiries[0]), CommentPage(given))


def message(kind: str, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "id": "m1",
        "createdAt": "2026-10-02T12:00:00Z",
        "createdBy": "A-7001",
        "senders": [],
        "type": kind,
    }
    return base | more


async def test_only_what_people_wrote_is_a_comment_and_a_threads_comment_is_internal() -> None:
    visitor = {"deliveryIdentifier": {"type": "HS_EMAIL_ADDRESS", "value": "ada@mail.example"}}
    said = [
        message("COMMENT", id="c", text="", richText="<p>Careful</p>"),
        message("ASSIGNMENT", id="a"),
        message("THREAD_STATUS_CHANGE", id="t", newStatus="CLOSED"),
        message("MESSAGE", id="o", text="Hello", direction="OUTGOING", senders=[{"actorId": "A-7001"}]),
        message("MESSAGE", id="i", text=None, richText="<p>Help</p>", direction="INCOMING", senders=[visitor]),
    ]
    row = {"id": "5", "archived": False, "spam": False, "createdAt": "2026-10-01T12:00:00Z"}
    answers: dict[str, Any] = {
        THREADS: {"results": [row, {**row, "id": "6", "spam": True}]},
        f"{THREADS}/5/messages": {"results": said},
        f"{OBJECTS}/notes/search": {"results": [], "total": 0},
    }
    ticket = await wired(bare(content="as an e-mail, too"), **answers).ticket("7", CommentPage())
    assert [(c.id, c.author, c.role, c.public, c.text) for c in ticket.comments] == [
        ("c", "Ines Okafor", "agent", False, "Careful"),
        ("o", "Ines Okafor", "agent", True, "Hello"),
        ("i", "ada@mail.example", "customer", True, "Help"),
    ]


@pytest.mark.parametrize(
    ("source", "role", "public"),
    [("EMAIL", "customer", True), ("FORM", "customer", True), ("PHONE", "agent", False), (None, "agent", False)],
)
async def test_a_description_is_the_customers_own_words_only_where_they_came_by_themselves(
    source: str | None, role: str, public: bool
) -> None:
    empty: dict[str, Any] = {"results": [], "total": 0}
    answers = {THREADS: empty, f"{OBJECTS}/notes/search": empty, f"{OBJECTS}/emails/search": empty}
    (comment,) = (
        await wired(bare(content="It broke", source_type=source), **answers).ticket("7", CommentPage())
    ).comments
    assert (comment.id, comment.role, comment.public, comment.text) == ("7-description", role, public, "It broke")


# ---------------------------------------------------------------------------------------------------------- failures


@pytest.mark.parametrize("faults", [Faults(error=1), Faults(reset=1), Faults(throttle=1)])
async def test_a_ticket_that_cannot_be_read_is_not_an_empty_one(crm: Crm, faults: Faults) -> None:
    crm.sandbox.faults = faults
    for asking in (
        lambda: crm.tickets.ticket(ticket_id(crm.company.inquiries[0]), CommentPage()),
        lambda: crm.tickets.search_tickets(TicketQuery(), None, 5),
        lambda: crm.tickets.count_open_tickets(contact(crm.company.inquiries[0].person)),
    ):
        with pytest.raises((BackendUnavailable, RateLimited), match="HubSpot"):
            await asking()


@pytest.mark.parametrize("fault", ["malformed", "wrong_types"])
async def test_half_an_answer_is_not_taken_for_a_ticket(crm: Crm, fault: str) -> None:
    crm.sandbox.faults = Faults.model_validate({fault: 1})
    with pytest.raises(MalformedAnswer):
        await crm.tickets.ticket(ticket_id(crm.company.inquiries[0]), CommentPage())
    with pytest.raises((MalformedAnswer, BackendUnavailable)):
        await crm.tickets.search_tickets(TicketQuery(), None, 5)


async def test_the_search_is_asked_for_what_is_looked_for_and_no_more() -> None:
    asked: list[httpx.Request] = []
    answers: dict[str, Any] = {
        PIPELINES: {"results": COMPANYS_PIPELINES},
        f"{OBJECTS}/tickets/search": {"results": [], "total": 0},
    }
    tickets = HubSpotTickets(client(scripted(answers, asked=asked)))
    await tickets.search_tickets(
        TicketQuery(
            text='"; drop',
            requesters=("512",),
            statuses=("pending",),
            priorities=("normal", "urgent"),
            assignee="none",
            updated_since=datetime(2026, 10, 1, tzinfo=UTC),
        ),
        "10",
        5,
    )
    (sent,) = [json.loads(request.content) for request in asked if request.url.path.endswith("/tickets/search")]
    assert sent == {
        "query": '"; drop',
        "filterGroups": [
            {
                "filters": [
                    {"propertyName": "associations.contact", "operator": "IN", "values": ["512"]},
                    {"propertyName": "hs_pipeline_stage", "operator": "IN", "values": ["2", "77004"]},
                    {"propertyName": "hs_ticket_priority", "operator": "IN", "values": ["MEDIUM", "URGENT"]},
                    {"propertyName": "hubspot_owner_id", "operator": "NOT_HAS_PROPERTY"},
                    {"propertyName": "hs_lastmodifieddate", "operator": "GTE", "value": "1790812800000"},
                ]
            }
        ],
        "sorts": [{"propertyName": "hs_lastmodifieddate", "direction": "DESCENDING"}],
        "properties": [
            "subject",
            "content",
            "hs_pipeline",
            "hs_pipeline_stage",
            "hs_ticket_priority",
            "hubspot_owner_id",
            "source_type",
            "createdate",
            "hs_lastmodifieddate",
        ],
        "after": "10",
        "limit": 5,
    }
