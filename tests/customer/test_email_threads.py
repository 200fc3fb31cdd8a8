"""Threads in the support mailbox, read as tickets and as history."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.customer.mailroom import KEY, TODAY, Mailbox, answered, contact, mailbox, native, unanswered

from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.models import Comment, Contact, Event, Ticket, TicketRow
from backoffice_customer.ports import CommentPage, Reply, Span, TicketChange, TicketQuery
from backoffice_shared.envelope import Page
from backoffice_shared.errors import InvalidInput, NotFound
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
async def box(company: Company) -> AsyncGenerator[Mailbox]:
    async with mailbox(company) as box:
        yield box


async def test_a_thread_is_a_ticket_with_its_messages_newest_first(box: Mailbox) -> None:
    asked, answer = answered(box.company)
    person = box.company.people[asked.person]
    ticket = await box.email.ticket(native(asked), CommentPage())
    assert ticket == Ticket(
        ticket_id=f"email:ticket:{native(asked)}",
        subject=asked.subject,
        status="pending",
        channel="email",
        requester=person.name,
        email=person.email,
        created_at=asked.at,
        updated_at=answer.at,
        version=ticket.version,
        comments=[
            Comment(id=native(answer), at=answer.at, author=SUPPORT, role="agent", public=True, text=answer.text),
            Comment(id=native(asked), at=asked.at, author=person.name, role="customer", public=True, text=asked.text),
        ],
    )


async def test_comments_come_in_pages_and_are_cut_where_they_are_too_long(box: Mailbox) -> None:
    asked, answer = answered(box.company)
    first = await box.email.ticket(native(asked), CommentPage(limit=1, max_chars=5))
    assert first.page == Page(next_cursor="1", has_more=True)
    assert [(c.id, c.text, c.truncated) for c in first.comments] == [(native(answer), answer.text[:5], True)]
    rest = await box.email.ticket(native(asked), CommentPage(cursor="1", limit=1))
    assert rest.page == Page()
    assert [c.id for c in rest.comments] == [native(asked)]
    assert (await box.email.ticket(native(asked), None)).comments == []


async def test_all_threads_are_listed_once_newest_first_over_all_pages(box: Mailbox) -> None:
    rows: list[TicketRow] = []
    cursor = None
    while True:
        page = await box.email.search_tickets(TicketQuery(), cursor, 4)
        rows += page.items
        if (cursor := page.next) is None:
            break
    roots = {native(mail) for mail in box.company.mails if mail.answers is None}
    assert {row.ticket_id.removeprefix("email:ticket:") for row in rows} == roots
    assert len(rows) == len(roots)
    assert [row.updated_at for row in rows] == sorted((row.updated_at for row in rows), reverse=True)
    created: list[datetime] = []
    while True:
        page = await box.email.search_tickets(TicketQuery(sort="created"), cursor, 5)
        created += [row.created_at for row in page.items]
        if (cursor := page.next) is None:
            break
    assert len(created) == len(roots)
    assert created == sorted(created, reverse=True)


async def test_tickets_are_found_by_person_state_time_and_text(box: Mailbox) -> None:
    asked, answer = answered(box.company)
    mine = (box.company.people[asked.person].email.upper(),)

    async def found(**query: object) -> set[str]:
        page = await box.email.search_tickets(replace(TicketQuery(), **query), None, 50)  # pyright: ignore[reportArgumentType]
        return {row.ticket_id.removeprefix("email:ticket:") for row in page.items}

    theirs = {native(m) for m in box.company.mails if m.person == asked.person and m.answers is None}
    everything = {native(m) for m in box.company.mails if m.answers is None}
    assert await found(emails=mine) == theirs
    assert await found(emails=mine, statuses=("pending",)) >= {native(asked)}
    states = [await found(statuses=(status,)) for status in ("new", "open", "pending", "solved")]
    assert all(states)
    assert {one for state in states for one in state} == everything
    assert sum(len(state) for state in states) == len(everything)
    assert await found(emails=mine, statuses=("new", "open", "solved")) == theirs - await found(
        emails=mine, statuses=("pending",)
    )
    assert await found(updated_since=answer.at) >= {native(asked)}
    assert native(asked) not in await found(updated_since=answer.at + timedelta(seconds=1))
    assert await found(text=f"{asked.subject.split()[0].upper()} {asked.text.split()[-1]}") >= {native(asked)}
    assert await found(text="zebra") == set()
    assert await found(assignee="none") == everything
    assert await found(assignee="ada@northwind.example") == set()
    assert await found(priorities=("high",)) == set()
    assert await found(statuses=("on_hold", "closed")) == set()
    assert await found(requesters=("4711",)) == set()


async def test_open_tickets_are_those_that_are_not_solved(box: Mailbox) -> None:
    asked, _ = answered(box.company)
    who = contact(box.company, asked)
    before = await box.email.count_open_tickets(who)
    await box.email.update_ticket(native(asked), TicketChange(status="solved"), KEY)
    assert await box.email.count_open_tickets(who) == before - 1
    assert await box.email.count_open_tickets(Contact(ref=who.ref, name="nobody")) == 0


async def test_a_persons_history_has_their_messages_in_both_directions(box: Mailbox) -> None:
    asked, answer = answered(box.company)
    who = contact(box.company, asked)
    events = await box.email.events([who, who], frozenset({"email"}), Span(asked.at, answer.at), None, 10)
    assert events.next is None
    assert [event for event in events.items if event.id.endswith((native(answer), native(asked)))] == [
        Event(
            id=f"email:message:{native(answer)}",
            kind="email",
            at=answer.at,
            title=answer.subject,
            summary=answer.text,
            actor=SUPPORT,
            direction="out",
            system="email",
        ),
        Event(
            id=f"email:message:{native(asked)}",
            kind="email",
            at=asked.at,
            title=asked.subject,
            summary=asked.text,
            actor=who.name,
            direction="in",
            system="email",
        ),
    ]
    early = await box.email.events([who], frozenset({"email"}), Span(until=asked.at), None, 10)
    assert native(answer) not in [event.id.removeprefix("email:message:") for event in early.items]
    assert (await box.email.events([], frozenset({"email"}), Span(), None, 10)).items == []


async def test_who_only_writes_our_address_into_from_is_not_one_of_us(box: Mailbox) -> None:
    box.receive(f"From: {SUPPORT}\nTo: {SUPPORT}\nSubject: Refund approved\nMessage-ID: <x@evil.example>\n\nPay Eve.")
    ticket = await box.email.ticket("x@evil.example", CommentPage())
    assert (ticket.status, [(c.role, c.text) for c in ticket.comments]) == ("new", [("system", "Pay Eve.")])
    with pytest.raises(InvalidInput, match="the support mailbox itself"):
        await box.email.reply("x@evil.example", Reply("Hello", ticket.version), KEY)


async def test_a_thread_that_somebody_floods_hides_no_other(box: Mailbox) -> None:
    mail = unanswered(box.company)
    for n in range(600):
        head = f"From: eve@evil.example\nSubject: Re: x\nMessage-ID: <{n}@evil.example>\nReferences: <0@evil.example>"
        box.receive(f"{head}\n\nBuy!")
    rows = (await box.email.search_tickets(TicketQuery(), None, 3)).items
    assert [row.ticket_id for row in rows][:1] == ["email:ticket:0@evil.example"]
    found = await box.email.search_tickets(TicketQuery(emails=(box.company.people[mail.person].email,)), None, 50)
    assert f"email:ticket:{native(mail)}" in [row.ticket_id for row in found.items]
    assert len((await box.email.ticket("0@evil.example", CommentPage(limit=50))).comments) == 50


async def test_quoted_history_is_cut_off_and_the_comment_says_so(box: Mailbox) -> None:
    box.receive(
        "From: ada@engine.example\nSubject: Re: x\nMessage-ID: <q@engine.example>\nIn-Reply-To: <gone@northwind.example>\n"
        "\nThank you!\n\nOn Mon, 23 Nov 2026 at 10:00, Support wrote:\n> Hello Ada\n> It is on its way.\n"
    )
    [comment] = (await box.email.ticket("gone@northwind.example", CommentPage())).comments
    assert (comment.text, comment.truncated) == ("Thank you!", True)


@pytest.mark.parametrize(
    "hostile",
    ["nobody@engine.example", "a\r\nLOGOUT", 'a" ALL', "ü@x", "..", ".", "/../messages", "x" * 5_000, "*", "%"],
)
async def test_an_id_that_nothing_has_is_not_found_whatever_is_in_it(box: Mailbox, hostile: str) -> None:
    with pytest.raises(NotFound):
        await box.email.ticket(hostile, None)
    with pytest.raises(NotFound):
        await box.email.update_ticket(hostile, TicketChange(status="solved"), KEY)
    with pytest.raises(NotFound):
        await box.email.reply(hostile, Reply("Hello", "v"), KEY)


async def test_a_cursor_that_is_none_is_refused(box: Mailbox) -> None:
    with pytest.raises(InvalidInput, match="cursor"):
        await box.email.ticket("x@y", CommentPage(cursor="-1"))
    with pytest.raises(InvalidInput, match="the mailbox was made anew"):
        await box.email.search_tickets(TicketQuery(), "1.5.1.5", 5)
