"""Zendesk, through its adapter: the stack is real, the helpdesk is its sandbox."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.customer.helpdesk import (
    DRAFT,
    KEY,
    TICKET,
    TODAY,
    USER,
    Helpdesk,
    answering,
    every_row,
    found,
    helpdesk,
    native,
    saying,
    ticket_id,
    user,
)

from backoffice_customer.backends.zendesk import Zendesk
from backoffice_customer.backends.zendesk.search import Term, parse, plain, quoted, words
from backoffice_customer.models import Attachment, Comment, Contact, Event, EventKind, Ref, Ticket, TicketRow
from backoffice_customer.ports import CommentPage, Span, TicketQuery
from backoffice_shared.envelope import Page
from backoffice_shared.errors import (
    InvalidInput,
    NotFound,
)
from backoffice_shared.sandbox.company import KEY_ACCOUNT, NAMESAKES, Company, order_name

pytestmark = pytest.mark.anyio

TICKETS: frozenset[EventKind] = frozenset({"ticket"})
PROMISED = {"urgent": 1, "high": 4, "normal": 8, "low": 24}


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def desk(company: Company) -> Helpdesk:
    return helpdesk(company)


# ----------------------------------------------------------------------------------------------------- people


async def test_a_person_is_found_by_address_whatever_the_case_of_its_letters(desk: Helpdesk) -> None:
    person = desk.company.people[KEY_ACCOUNT]
    organisation = desk.company.organisation(person)
    assert organisation is not None
    assert await desk.zendesk.contacts_by_email([person.email.upper(), "nobody@mail.example"]) == [
        Contact(
            ref=Ref("zendesk", "user", "200003"),
            name=person.name,
            emails=[person.email],
            phones=[person.phone],
            company=organisation.name,
            tags=[person.tier],
            language=person.language,
            url="https://acme.zendesk.com/agent/users/200003",
            updated_at=person.since,
        )
    ]


async def test_many_people_are_found_by_their_addresses_in_one_request(desk: Helpdesk) -> None:
    people = [person for person in desk.company.people if "helpdesk" in person.systems]
    found = await desk.zendesk.contacts_by_email([person.email for person in people])
    assert sorted(contact.emails[0] for contact in found) == sorted(person.email for person in people)
    assert desk.asked("/api/v2/users/search") == 1


async def test_who_only_has_a_similar_address_is_not_the_person() -> None:
    found = await answering({"users": [USER, {**USER, "email": "ada@engine.example.evil"}]}).contacts_by_email(
        ["ada@engine.example"]
    )
    assert [contact.emails for contact in found] == [["ada@engine.example"]]


async def test_ids_that_nobody_has_are_left_out(desk: Helpdesk) -> None:
    found = await desk.zendesk.contacts(["200001", "999999", "me", "1,200002", "٢"])
    assert [contact.ref for contact in found] == [Ref("zendesk", "user", "200001")]


async def test_no_request_is_made_for_nobody(desk: Helpdesk) -> None:
    assert await desk.zendesk.contacts(["me"]) == []
    assert await desk.zendesk.contacts_by_email([]) == []
    assert await desk.zendesk.search_contacts('"', 10) == []
    assert await desk.zendesk.count_open_tickets(Contact(ref=Ref("hubspot", "contact", "1"), name="")) == 0
    assert not desk.sandbox.requests


async def test_a_name_finds_everybody_who_has_it(desk: Helpdesk) -> None:
    found = await desk.zendesk.search_contacts("garcia maria", 10)
    assert {contact.ref.native for contact in found} == {str(200_001 + number) for number in NAMESAKES}


async def test_a_phone_number_finds_its_owner(desk: Helpdesk) -> None:
    person = desk.company.people[5]
    assert [contact.name for contact in await desk.zendesk.search_contacts(person.phone, 10)] == [person.name]


async def test_agents_are_not_among_the_customers_found_by_name(desk: Helpdesk) -> None:
    agent = desk.company.agents[0]
    assert await desk.zendesk.search_contacts(agent.name, 10) == []


async def test_a_user_becomes_a_contact() -> None:
    wire = {"users": [USER, {**USER, "id": 8, "active": False}], "organizations": [{"id": 3, "name": "Engines"}]}
    assert await answering(wire).contacts(["7", "8"]) == [
        Contact(
            ref=Ref("zendesk", "user", "7"),
            name="Ada Lovelace",
            emails=["ada@engine.example"],
            company="Engines",
            tags=["vip"],
            language="pt",
            url="https://acme.zendesk.com/agent/users/7",
            updated_at=datetime(2026, 11, 1, 8, tzinfo=UTC),
        )
    ]


async def test_a_user_without_address_or_organisation_becomes_a_contact() -> None:
    wire = {"users": [{**USER, "email": None, "organization_id": None, "locale": None, "phone": "+44 20"}]}
    [contact] = await answering(wire).contacts(["7"])
    assert (contact.emails, contact.company, contact.language, contact.phones) == ([], None, None, ["+44 20"])


# ------------------------------------------------------------------------------------------- searching tickets


@pytest.mark.parametrize("limit", [7, 20, 50])
async def test_paging_gives_every_ticket_of_a_customer_exactly_once(desk: Helpdesk, limit: int) -> None:
    person = desk.company.people[KEY_ACCOUNT]
    rows = await every_row(desk, TicketQuery(emails=(person.email,)), limit)
    assert sorted(row.ticket_id for row in rows) == sorted(map(ticket_id, desk.tickets_of(KEY_ACCOUNT)))
    assert [row.updated_at for row in rows] == sorted((row.updated_at for row in rows), reverse=True)


async def test_paging_ends_where_zendesk_would_refuse_and_the_total_is_still_true() -> None:
    desk = helpdesk(Company(customers=1_500, today=TODAY))
    first = await desk.zendesk.search_tickets(TicketQuery(), None, 30)
    assert (first.total, first.estimated) == (len(desk.company.tickets), False)
    assert len(desk.company.tickets) > 1_000
    assert len({row.ticket_id for row in await every_row(desk, TicketQuery(), 30)}) == 990


async def test_a_row_says_who_asks_and_who_answers(desk: Helpdesk) -> None:
    ticket = next(t for t in desk.tickets_of(KEY_ACCOUNT) if t.status == "open")
    chunk = await desk.zendesk.search_tickets(TicketQuery(text=native(ticket)), None, 5)
    assert chunk.items == [
        TicketRow(
            ticket_id=ticket_id(ticket),
            subject=ticket.subject,
            status="open",
            priority=ticket.priority,
            requester=desk.company.people[KEY_ACCOUNT].name,
            assignee=desk.company.agents[ticket.number % len(desk.company.agents)].name,
            created_at=ticket.created_at.replace(microsecond=0),
            updated_at=ticket.updated_at.replace(microsecond=0),
            sla_due_at=ticket.updated_at.replace(microsecond=0) + timedelta(hours=PROMISED[ticket.priority]),
            tags=list(ticket.tags),
            url=f"https://acme.zendesk.com/agent/tickets/{native(ticket)}",
        )
    ]


async def test_what_is_due_first_of_what_the_clock_runs_towards_is_due() -> None:
    metrics = [
        {"metric": "first_reply_time", "stage": "achieved", "breach_at": "2026-11-01T08:00:00Z"},
        {"metric": "next_reply_time", "stage": "active", "breach_at": "2026-11-03T08:00:00Z"},
        {"metric": "requester_wait_time", "stage": "active", "breach_at": "2026-11-02T10:00:00+02:00"},
        {"metric": "agent_work_time", "stage": "paused", "breach_at": None},
        {"metric": "periodic_update_time", "stage": "active", "breach_at": None},
    ]
    wire = {"results": [{**TICKET, "slas": {"policy_metrics": metrics}}, {**TICKET, "slas": {}}, TICKET], "count": 3}
    rows = (await answering(wire).search_tickets(TicketQuery(), None, 3)).items
    assert [row.sla_due_at for row in rows] == [datetime(2026, 11, 2, 8, tzinfo=UTC), None, None]


async def test_everything_that_is_asked_for_must_hold_and_one_of_several_values_is_enough(desk: Helpdesk) -> None:
    since = TODAY - timedelta(days=120)
    query = TicketQuery(
        emails=tuple(desk.company.people[n].email for n in (KEY_ACCOUNT, 5)),
        statuses=("new", "solved"),
        priorities=("high", "normal"),
        updated_since=since,
    )
    assert await found(desk, query) == {
        ticket_id(ticket)
        for ticket in desk.company.tickets
        if ticket.person in (KEY_ACCOUNT, 5)
        and ticket.status in ("new", "solved")
        and ticket.priority in ("high", "normal")
        and ticket.updated_at >= since
    }


async def test_tickets_are_found_that_nobody_answers(desk: Helpdesk) -> None:
    unassigned = {ticket_id(ticket) for ticket in desk.company.tickets if ticket.status == "new"}
    assert await found(desk, TicketQuery(assignee="none")) == unassigned != set()


async def test_tickets_are_found_by_their_words_and_by_who_answers(desk: Helpdesk) -> None:
    agent = desk.company.agents[1]
    assert await found(desk, TicketQuery(text="zip broke", assignee=agent.email)) == {
        ticket_id(ticket)
        for ticket in desk.company.tickets
        if ticket.subject == "Zip broke after a week" and ticket.status != "new" and ticket.number % 5 == agent.number
    }


async def test_sorting_by_creation_gives_the_newest_first(desk: Helpdesk) -> None:
    rows = await every_row(desk, TicketQuery(sort="created"), 50)
    assert [row.created_at for row in rows] == sorted((row.created_at for row in rows), reverse=True)


async def test_a_ticket_on_hold_is_neither_open_nor_pending(desk: Helpdesk) -> None:
    ticket = next(t for t in desk.tickets_of(KEY_ACCOUNT) if t.status == "open")
    await desk.wire("PUT", f"tickets/{native(ticket)}", {"ticket": {"status": "hold"}})
    assert await found(desk, TicketQuery(statuses=("on_hold",))) == {ticket_id(ticket)}
    assert ticket_id(ticket) not in await found(desk, TicketQuery(statuses=("open", "pending")))
    assert (await desk.zendesk.ticket(native(ticket), CommentPage())).status == "on_hold"


async def test_open_tickets_are_those_not_solved(desk: Helpdesk) -> None:
    unsolved = [ticket for ticket in desk.tickets_of(KEY_ACCOUNT) if ticket.status in ("new", "open", "pending")]
    assert await desk.zendesk.count_open_tickets(user(KEY_ACCOUNT)) == len(unsolved)


async def test_a_search_need_not_see_yet_what_was_written(desk: Helpdesk) -> None:
    desk.sandbox.faults.stale_search = True
    created = await desk.zendesk.create_ticket(DRAFT, KEY)
    assert await found(desk, TicketQuery(emails=(DRAFT.email,))) == set()
    ticket = await desk.zendesk.ticket(created.ticket_id.rpartition(":")[2], CommentPage())
    assert ticket.subject == DRAFT.subject


# --------------------------------------------------------------------------------- text that is not to be trusted


HOSTILE = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            [
                '"',
                "“",
                "\\",
                "-",
                "*",
                ":",
                "<",
                ">",
                " ",
                "\n",
                "\x00",
                "status:closed",
                "type:user",
                "order_by:x",
                "ä",
            ]
        )
    ).map("".join),
)


@given(text=HOSTILE)
@settings(database=None, deadline=None)
def test_no_text_adds_a_condition_to_a_query(text: str) -> None:
    terms = parse(f"type:ticket {words(text)}")
    assert terms[0] == Term("type", ":", "ticket")
    assert all((term.key, term.negated) == ("", False) for term in terms[1:])
    assert len(terms) - 1 == len(words(text).split())


@given(value=HOSTILE)
@settings(database=None, deadline=None)
def test_no_value_leaves_its_condition(value: str) -> None:
    assert parse(f"requester:{quoted(value)} status:open") == [
        Term("requester", ":", quoted(value)[1:-1], is_phrase=True),
        Term("status", ":", "open"),
    ]


@given(text=HOSTILE)
@settings(database=None, deadline=None)
def test_a_text_for_the_help_center_has_neither_phrases_nor_exclusions(text: str) -> None:
    assert not any(mark in plain(text) for mark in '"“”\\*\n\x00')
    assert not any(word[0] in "-+" for word in plain(text).split())


@pytest.mark.parametrize(
    "text", ['foo" status:closed', 'status:closed "', "type:user", '" OR requester:me', "“ status:closed ”"]
)
async def test_conditions_in_a_text_are_looked_for_as_words(desk: Helpdesk, text: str) -> None:
    assert await found(desk, TicketQuery(text=text)) == set()


async def test_a_minus_before_a_word_excludes_nothing(desk: Helpdesk) -> None:
    assert await found(desk, TicketQuery(text="-zip")) == await found(desk, TicketQuery(text="zip")) != set()


async def test_a_hostile_address_finds_nobody_elses_tickets(desk: Helpdesk) -> None:
    other = desk.company.people[KEY_ACCOUNT].email
    for address in (f'x" requester:"{other}', f"nobody@mail.example requester:{other}", '"', "*"):
        assert await found(desk, TicketQuery(emails=(address,))) == set()
        assert await desk.zendesk.contacts_by_email([address]) == []
        assert await found(desk, TicketQuery(assignee=address)) == set()


# ------------------------------------------------------------------------------------------------- one ticket


async def test_a_ticket_comes_with_its_latest_comments(desk: Helpdesk) -> None:
    ticket = next(t for t in desk.tickets_of(KEY_ACCOUNT) if t.order is not None and len(desk.company.thread(t)) == 4)
    thread = desk.company.thread(ticket)
    agent, customer = desk.company.agents[ticket.number % 5].name, desk.company.people[KEY_ACCOUNT].name
    got = await desk.zendesk.ticket(native(ticket), CommentPage(limit=2))
    assert got.model_dump(exclude={"page", "comments", "custom"}) == Ticket(
        ticket_id=ticket_id(ticket),
        subject=ticket.subject,
        status=ticket.status,
        priority=ticket.priority,
        channel="email",
        customer_id="zendesk:user:200003",
        requester=customer,
        email=desk.company.people[KEY_ACCOUNT].email,
        assignee=None if ticket.status == "new" else agent,
        tags=list(ticket.tags),
        created_at=ticket.created_at.replace(microsecond=0),
        updated_at=ticket.updated_at.replace(microsecond=0),
        version=ticket.updated_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        url=f"https://acme.zendesk.com/agent/tickets/{native(ticket)}",
    ).model_dump(exclude={"page", "comments", "custom"})
    assert got.custom == {"360001": order_name(ticket.order or 0)}
    assert [(c.author, c.role, c.public, c.text) for c in got.comments] == [
        (agent, "agent", thread[3].public, thread[3].text),
        (customer, "customer", thread[2].public, thread[2].text),
    ]
    assert got.page.has_more


@pytest.mark.parametrize("is_followed", [False, True])
async def test_a_ticket_says_who_else_is_mailed_what_is_public(desk: Helpdesk, is_followed: bool) -> None:
    ticket = next(t for t in desk.company.tickets if t.number % 7 == 3 and t.number % 2 == is_followed)
    wire = (await desk.wire("GET", f"tickets/{native(ticket)}"))["ticket"]
    copied: int = wire["email_cc_ids"][0] - 200_001
    person, follower = desk.company.people[copied], desk.company.agents[1]
    assert copied != ticket.person
    assert (await desk.zendesk.ticket(native(ticket), None)).cc == [
        f"{person.name} <{person.email}>",
        *([f"{follower.name} <{follower.email}>"] if is_followed else []),
    ]


async def test_who_is_copied_is_asked_for_where_zendesk_does_not_say_it_at_once() -> None:
    asked: list[str] = []
    copied = {**TICKET, "email_cc_ids": [8, 7, 9], "collaborator_ids": [9, 10, 8]}
    ann = {**USER, "id": 8, "name": "Ann", "email": "Ann@shop.example"}
    bob = {**USER, "id": 9, "name": "Bob", "email": None}

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/show_many"):
            asked.append(request.url.params["ids"])
            return httpx.Response(200, json={"users": [bob]})
        return httpx.Response(200, json={"ticket": copied, "users": [USER, ann]})

    got = await Zendesk(saying(answer)).ticket("5", None)
    assert (got.cc, asked) == (["Ann <Ann@shop.example>", "Bob", "user 10"], ["9,10"])


async def test_nobody_is_copied_where_zendesk_names_nobody() -> None:
    cases: list[dict[str, Any]] = [{}, {"email_cc_ids": None, "collaborator_ids": []}, {"collaborator_ids": [7]}]
    for nobody in cases:
        assert (await answering({"ticket": {**TICKET, **nobody}}).ticket("5", None)).cc is None


async def test_paging_gives_every_comment_exactly_once(desk: Helpdesk) -> None:
    ticket = next(t for t in desk.tickets_of(KEY_ACCOUNT) if len(desk.company.thread(t)) == 4)
    texts: list[str] = []
    page = CommentPage(limit=1)
    while True:
        got = await desk.zendesk.ticket(native(ticket), page)
        texts += [comment.text for comment in got.comments]
        if got.page.next_cursor is None:
            break
        page = CommentPage(cursor=got.page.next_cursor, limit=1)
    assert texts == [comment.text for comment in reversed(desk.company.thread(ticket))]
    assert got.page == Page(next_cursor=None, has_more=False)


async def test_a_long_comment_is_cut_and_says_so(desk: Helpdesk) -> None:
    ticket = desk.tickets_of(KEY_ACCOUNT)[0]
    got = await desk.zendesk.ticket(native(ticket), CommentPage(max_chars=10))
    assert {(len(comment.text), comment.truncated) for comment in got.comments} == {(10, True)}


COMMENT = {
    "id": 1,
    "author_id": -1,
    "body": "Merged.",
    "public": False,
    "created_at": "2026-11-01T08:00:00Z",
}


async def test_a_comment_without_a_known_author_is_the_systems_own() -> None:
    wire = {"ticket": TICKET, "comments": [COMMENT], "meta": {"has_more": False, "after_cursor": "z"}}
    got = await answering(wire).ticket("5", CommentPage())
    at = datetime(2026, 11, 1, 8, tzinfo=UTC)
    assert got.comments == [Comment(id="1", at=at, role="system", public=False, text="Merged.")]
    assert (got.page, got.subject, got.priority, got.requester) == (Page(), "", None, None)
    assert got.custom == {"2": "True"}


async def test_a_comment_says_which_files_came_with_it(desk: Helpdesk) -> None:
    ticket = next(t for t in desk.tickets_of(KEY_ACCOUNT) if t.number % 4 == 0 and len(desk.company.thread(t)) > 1)
    number = 10_001 + ticket.number
    comments = (await desk.zendesk.ticket(native(ticket), CommentPage())).comments
    assert [comment.attachments for comment in comments] == [
        *[None] * (len(comments) - 1),
        [
            Attachment(
                name="photo.jpg",
                content_type="image/jpeg",
                size=180_000 + number,
                url=f"https://acme.zendesk.com/attachments/token/{number:08x}/?name=photo.jpg",
            )
        ],
    ]


async def test_a_file_that_was_deleted_did_not_come() -> None:
    file = {"file_name": "a.exe", "content_type": "x/y", "size": 1, "content_url": "https://x", "deleted": True}
    wire = {"ticket": TICKET, "comments": [{**COMMENT, "attachments": [file]}], "meta": {"has_more": False}}
    [comment] = (await answering(wire).ticket("5", CommentPage())).comments
    assert comment.attachments is None


async def test_a_requester_without_an_address_has_none() -> None:
    wire = {"ticket": TICKET, "users": [{"id": 7, "name": "Ada", "email": None}]}
    got = await answering(wire).ticket("5", None)
    assert (got.requester, got.email) == ("Ada", None)


@pytest.mark.parametrize("native", ["9" * 400, "1", "99999", "count", "../users/me", "5/comments", ""])
async def test_a_ticket_that_does_not_exist_is_not_found(desk: Helpdesk, native: str) -> None:
    with pytest.raises(NotFound):
        await desk.zendesk.ticket(native, CommentPage())
    assert {entry.path for entry in desk.sandbox.requests if entry.status == 200} <= {"/oauth/tokens"}


async def test_a_cursor_that_zendesk_does_not_know_is_the_callers_mistake(desk: Helpdesk) -> None:
    with pytest.raises(InvalidInput, match=r"page\[after\]"):
        await desk.zendesk.ticket(native(desk.tickets_of(KEY_ACCOUNT)[0]), CommentPage(cursor="x"))


# ----------------------------------------------------------------------------------------------------- history


async def test_history_is_when_tickets_were_opened_newest_first(desk: Helpdesk) -> None:
    newest = max(desk.tickets_of(KEY_ACCOUNT), key=lambda ticket: ticket.created_at)
    chunk = await desk.zendesk.events([user(KEY_ACCOUNT)], TICKETS, Span(), None, 1)
    assert (chunk.total, chunk.next) == (len(desk.tickets_of(KEY_ACCOUNT)), "2")
    assert chunk.items == [
        Event(
            id=ticket_id(newest),
            kind="ticket",
            at=newest.created_at.replace(microsecond=0),
            title=newest.subject,
            summary=desk.company.thread(newest)[0].text,
            actor=desk.company.people[KEY_ACCOUNT].name,
            direction="in",
            system="zendesk",
            url=f"https://acme.zendesk.com/agent/tickets/{native(newest)}",
        )
    ]


async def test_a_span_includes_both_of_its_ends(desk: Helpdesk) -> None:
    mine = sorted(desk.tickets_of(KEY_ACCOUNT), key=lambda ticket: ticket.created_at)
    span = Span(mine[3].created_at, mine[9].created_at)
    chunk = await desk.zendesk.events([user(KEY_ACCOUNT)], TICKETS, span, None, 50)
    assert [event.id for event in chunk.items] == [ticket_id(ticket) for ticket in reversed(mine[3:10])]


async def test_records_of_other_systems_have_no_history_here(desk: Helpdesk) -> None:
    elsewhere = Contact(ref=Ref("hubspot", "contact", "200003"), name="")
    assert (await desk.zendesk.events([elsewhere], TICKETS, Span(), None, 50)).items == []
    assert not desk.sandbox.requests


async def test_a_summary_has_240_characters_at_most() -> None:
    wire = {"results": [TICKET], "count": 1}
    [event] = (await answering(wire).events([user(0)], TICKETS, Span(), None, 50)).items
    assert event.summary == "x" * 240
