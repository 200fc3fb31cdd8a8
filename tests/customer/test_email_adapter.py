"""The support mailbox, through its adapter: the stack and the wire are real, the servers are the sandbox's."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.email import EMAIL, Email, email_sandbox
from backoffice_customer.backends.email.access import Place, Refused, login, place, secured
from backoffice_customer.backends.email.letters import Letter, checked_address, composed, id_for, replying
from backoffice_customer.backends.email.mime import Address, Part, body, headers, structure, text, unquoted
from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.backends.email.sandbox import ACCESS_TOKEN, PASSWORD, MailSandbox
from backoffice_customer.backends.email.syntax import quoted, read
from backoffice_customer.models import Comment, Contact, Event, Ref, Sent, Ticket, TicketRow, TicketState
from backoffice_customer.ports import CommentPage, Mail, Reply, Span, TicketChange, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.deadline import within
from backoffice_shared.envelope import Page
from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    Conflict,
    InvalidInput,
    MalformedAnswer,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.company import Mail as CompanyMail
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
KEY = "order-1042-reply"
MAIL = Mail("ada@engine.example", "Ada Lovelace", "Your parcel", "It is on its way.")


@dataclass
class Mailbox:
    """The company's mailbox, and the adapter that speaks to it."""

    company: Company
    sandbox: MailSandbox
    email: Email
    clock: ManualClock

    @property
    def delivered(self) -> list[str]:
        return [one.to for one in self.sandbox.office.delivered]

    @property
    def copies(self) -> list[set[str]]:
        """The flags of what was put among the sent messages since the start."""
        return [kept.flags for kept in self.sandbox.office.folders["Sent"].messages.values() if kept.mail is None]

    def receive(self, message: str) -> None:
        self.sandbox.office.receive(message.replace("\n", "\r\n").encode())
        self.clock.advance(3_600)

    def broken(self, *plan: str, **faults: object) -> None:
        self.sandbox.faults = Faults.model_validate({"plan": plan, **faults})
        self.clock.advance(3_600)

    def asked(self, command: str) -> int:
        return sum(entry.path == command for entry in self.sandbox.requests)


@asynccontextmanager
async def mailbox(company: Company, **credentials: str) -> AsyncGenerator[Mailbox]:
    sandbox, clock = email_sandbox(company), ManualClock()
    secrets = EnvironmentCredentials(
        {f"email_{name}": value for name, value in (credentials or sandbox.credentials).items()}
    )
    assert sandbox.over is not None
    http = connect(
        EMAIL,
        sandbox.over(),
        secrets,
        base_url=EMAIL.base_url.format(**sandbox.options),
        options=sandbox.options,
        clock=clock,
    )
    try:
        yield Mailbox(company, sandbox, Email(http), clock)
    finally:
        await http.aclose()


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
async def box(company: Company) -> AsyncGenerator[Mailbox]:
    async with mailbox(company) as box:
        yield box


def native(mail: CompanyMail) -> str:
    return f"mail-{mail.number}@northwind.example"


def answered(company: Company) -> tuple[CompanyMail, CompanyMail]:
    """A question and its answer, which is not solved."""
    answer = next(mail for mail in company.mails if mail.answers is not None and mail.number % 3)
    return next(mail for mail in company.mails if mail.number == answer.answers), answer


def unanswered(company: Company) -> CompanyMail:
    known = {mail.answers for mail in company.mails}
    return next(mail for mail in company.mails if mail.inbound and mail.number not in known)


def contact(company: Company, mail: CompanyMail) -> Contact:
    person = company.people[mail.person]
    return Contact(ref=Ref("hubspot", "contact", "1"), name=person.name, emails=[person.email])


# ---------------------------------------------------------------------------------------------------------- reading


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


# ---------------------------------------------------------------------------------------------------------- writing


async def test_solving_and_opening_again_change_the_version_and_nothing_else_can_be_changed(box: Mailbox) -> None:
    mail = unanswered(box.company)
    before = await box.email.ticket(native(mail), None)
    solved = await box.email.update_ticket(native(mail), TicketChange(status="solved", version=before.version), KEY)
    assert solved == TicketState(ticket_id=before.ticket_id, status="solved", version=solved.version)
    assert solved.version != before.version
    # The same once more, as when the first answer was lost: it is done, whatever version was meant.
    again = await box.email.update_ticket(native(mail), TicketChange(status="solved", version=before.version), KEY)
    assert again == solved
    opened = await box.email.update_ticket(native(mail), TicketChange(status="open", version=solved.version), KEY)
    assert opened == TicketState(ticket_id=before.ticket_id, status="open", version=before.version)
    with pytest.raises(Conflict):
        await box.email.update_ticket(native(mail), TicketChange(status="solved", version=solved.version), KEY)
    for change in (
        TicketChange(priority="high"),
        TicketChange(status="open", note="psst"),
        TicketChange(add_tags=("vip",)),
        TicketChange(assignee="none"),
        TicketChange(),
        TicketChange(status="closed"),
        TicketChange(status="pending"),
    ):
        with pytest.raises(InvalidInput, match=r"a mailbox knows no|can be made open or solved"):
            await box.email.update_ticket(native(mail), replace(change, version=None), KEY)


async def test_what_waits_for_the_customer_cannot_be_opened(box: Mailbox) -> None:
    asked, _ = answered(box.company)
    with pytest.raises(Conflict, match="pending until the customer answers"):
        await box.email.update_ticket(native(asked), TicketChange(status="open"), KEY)


async def test_a_reply_may_solve_the_thread_and_can_do_nothing_else(box: Mailbox) -> None:
    mail = unanswered(box.company)
    version = (await box.email.ticket(native(mail), None)).version
    for status in ("new", "open", "on_hold", "closed"):
        with pytest.raises(InvalidInput, match=f"it cannot be {status}"):
            await box.email.reply(native(mail), Reply("Yes.", version, status), KEY)
    assert box.delivered == []
    sent = await box.email.reply(native(mail), Reply("Yes.", version, "solved"), KEY)
    assert sent.value == Sent(
        message_id=id_for(KEY, native(mail), SUPPORT), sent_at=sent.value.sent_at, status="solved"
    )
    assert box.delivered == [box.company.people[mail.person].email]
    assert box.copies == [{"\\Seen", "$Solved"}]
    assert (await box.email.ticket(native(mail), None)).status == "solved"


@pytest.mark.parametrize(
    "mail",
    [
        replace(MAIL, subject="Hi\r\nBcc: eve@evil.example"),
        replace(MAIL, subject="Hi\nX: y"),
        replace(MAIL, subject="Hi\x00"),
        replace(MAIL, subject="x" * 999),
        replace(MAIL, name="Ada\r\nBcc: eve@evil.example"),
        replace(MAIL, name="Ada\u2028"),
        replace(MAIL, to="ada@engine.example\r\nRCPT TO:<eve@evil.example>"),
        replace(MAIL, to="ada@engine.example>, <eve@evil.example"),
        replace(MAIL, to="ada@engine.example, eve@evil.example"),
        replace(MAIL, to='"ada eve"@engine.example'),
        replace(MAIL, to="ada"),
        replace(MAIL, to="@engine.example"),
        replace(MAIL, to="ada@"),
        replace(MAIL, to=""),
        replace(MAIL, to=SUPPORT.upper()),
    ],
    ids=str,
)
async def test_no_line_or_address_can_be_added_to_a_message(box: Mailbox, mail: Mail) -> None:
    with pytest.raises(InvalidInput):
        await box.email.send(mail, KEY)
    assert (box.delivered, box.copies) == ([], [])


async def test_a_text_arrives_as_it_was_written(box: Mailbox) -> None:
    written = "Hello\r\n.\n..\nFrom me\n\x00\x07Grüße 中文 = \u2028 " + "long " * 500
    await box.email.send(
        replace(MAIL, to="zoë@bücher.example", name='Zoë "Z", von', subject="Grüße =?utf-8?q?x?=", body=written), KEY
    )
    [delivered] = box.sandbox.office.delivered
    message = message_from_bytes(delivered.content)
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().replace("\r\n", "\n").rstrip("\n") == (
        "Hello\n.\n..\nFrom me\nGrüße 中文 =  " + "long " * 500
    )
    head = headers(delivered.content)
    assert delivered.to == "zoë@xn--bcher-kva.example"
    assert (head.subject, head.to) == ("Grüße =?utf-8?q?x?=", (Address('Zoë "Z", von', delivered.to),))


# ------------------------------------------------------------------------------------------------ once, and only once


async def test_nothing_is_repeated_after_an_answer_was_lost_while_nobody_can_know(box: Mailbox) -> None:
    began = datetime.now(UTC)
    box.sandbox.office.late = True
    box.broken("ok", "ok", "drop_after_commit")
    with pytest.raises(OutcomeUnknown):
        await box.email.send(MAIL, KEY)
    assert (len(box.delivered), box.copies) == (1, [{"\\Seen", "$Pending"}])
    for ago in (timedelta(seconds=5), timedelta(days=400)):
        with attempting(began - ago), pytest.raises(OutcomeUnknown):
            await box.email.send(MAIL, KEY)
    with pytest.raises(OutcomeUnknown, match="Let a person ask the recipient"):
        await box.email.send(MAIL, KEY)
    assert len(box.delivered) == 1
    box.sandbox.office.catch_up()
    with attempting(began):
        assert (await box.email.send(MAIL, KEY)).replayed is True
    assert (len(box.delivered), box.copies) == (1, [{"\\Seen"}])


async def test_a_copy_that_came_back_to_us_is_no_message_of_the_thread_of_its_own(box: Mailbox) -> None:
    mail = unanswered(box.company)
    version = (await box.email.ticket(native(mail), None)).version
    sent = await box.email.reply(native(mail), Reply("Yes.", version), KEY)
    ticket = await box.email.ticket(native(mail), CommentPage())
    assert [c.id for c in ticket.comments] == [sent.value.message_id, native(mail)]
    events = await box.email.events([contact(box.company, mail)], frozenset({"email"}), Span(), None, 50)
    assert [e.id for e in events.items].count(f"email:message:{sent.value.message_id}") == 1
    listed = await box.email.search_tickets(TicketQuery(), None, 50)
    assert listed.items[0].ticket_id == ticket.ticket_id
    assert len({row.ticket_id for row in listed.items}) == len(listed.items)


async def test_two_attempts_at_the_same_time_send_one_message(box: Mailbox) -> None:
    await box.email.search_tickets(TicketQuery(), None, 1)
    done = await asyncio.gather(*(box.email.send(MAIL, KEY) for _ in range(4)), return_exceptions=True)
    assert len(box.delivered) == 1
    assert all(isinstance(one, OutcomeUnknown) or not isinstance(one, BaseException) for one in done)
    assert (await box.email.send(MAIL, KEY)).replayed is True
    assert box.copies == [{"\\Seen"}]


@pytest.mark.parametrize("fault", ["reset", "throttle", "error", "malformed", "wrong_types", "drop_after_commit"])
@pytest.mark.parametrize("at", range(8))
async def test_whatever_breaks_at_any_point_a_message_is_sent_at_most_once(box: Mailbox, fault: str, at: int) -> None:
    """Repeated with the same key until it is clear what became of it, or clear that nobody knows."""
    box.broken(*["ok"] * at, fault)
    began, failed = datetime.now(UTC) - timedelta(minutes=5), None
    for _ in range(3):
        with attempting(began if failed is not None else None):
            try:
                await box.email.send(MAIL, KEY)
            except BackofficeError as error:
                failed = error
                box.clock.advance(3_600)
                continue
        break
    assert len(box.delivered) <= 1
    if failed is None or not isinstance(failed, OutcomeUnknown):
        assert len(box.delivered) == 1
        assert box.copies == [{"\\Seen"}]


# --------------------------------------------------------------------------------------------------- servers that fail


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("throttle", RateLimited),
        ("error", BackendUnavailable),
        ("reset", BackendUnavailable),
        ("drop_after_commit", BackendUnavailable),
        ("malformed", BackendUnavailable),
        ("wrong_types", BackendUnavailable),
    ],
)
async def test_a_read_that_fails_all_the_time_says_why(box: Mailbox, fault: str, error: type[BackofficeError]) -> None:
    box.broken(**{fault: 1.0})
    with pytest.raises(error):
        await box.email.search_tickets(TicketQuery(), None, 5)
    box.broken()
    assert (await box.email.search_tickets(TicketQuery(), None, 5)).items


async def test_a_read_that_fails_once_is_asked_again(box: Mailbox) -> None:
    for fault in ("error", "reset", "malformed", "wrong_types", "drop_after_commit"):
        box.broken(fault)
        assert (await box.email.search_tickets(TicketQuery(), None, 5)).items


async def test_a_server_that_hangs_is_not_waited_for_beyond_the_deadline(box: Mailbox) -> None:
    await box.email.search_tickets(TicketQuery(), None, 1)
    box.broken(slow=1.0, seconds=30)
    with within(0.3, box.clock), pytest.raises(BackendUnavailable):
        await box.email.search_tickets(TicketQuery(text="x"), None, 5)


async def test_the_index_of_texts_may_lag_and_nothing_is_sent_twice_for_it(box: Mailbox) -> None:
    box.broken(stale_search=True)
    box.receive("From: ada@engine.example\nSubject: Zebra\nMessage-ID: <z@engine.example>\n\nStripes.")
    assert (await box.email.search_tickets(TicketQuery(text="zebra"), None, 5)).items == []
    await box.email.send(MAIL, KEY)
    assert (await box.email.send(MAIL, KEY)).replayed is True
    box.broken()
    assert len((await box.email.search_tickets(TicketQuery(text="zebra"), None, 5)).items) == 1


async def test_either_credential_logs_in_and_a_wrong_one_is_refused(company: Company) -> None:
    async with mailbox(company, username=SUPPORT, access_token=ACCESS_TOKEN) as box:
        assert (await box.email.search_tickets(TicketQuery(), None, 1)).items
    async with mailbox(company, username=SUPPORT, password="wrong-" + "x" * 8) as box:
        with pytest.raises(PermissionDenied, match="Authentication failed"):
            await box.email.search_tickets(TicketQuery(), None, 1)


async def test_when_it_is_closed_no_thread_and_no_connection_is_left(company: Company) -> None:
    async with mailbox(company) as box:
        await asyncio.gather(*(box.email.search_tickets(TicketQuery(text=word), None, 1) for word in "abcdef"))
        assert any(thread.name.startswith("mail") for thread in threading.enumerate())
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("mail")]


async def test_an_answer_that_is_not_ours_is_malformed() -> None:
    transport = httpx.MockTransport(lambda _request: httpx.Response(200, json={"threads": 7}))
    secrets = EnvironmentCredentials({"email_username": SUPPORT, "email_password": PASSWORD})
    options = {"imap_server": "a.example", "smtp_server": "b.example", "address": SUPPORT}
    http = connect(EMAIL, transport, secrets, base_url=EMAIL.base_url.format(**options), options=options)
    with pytest.raises(MalformedAnswer):
        await Email(http).search_tickets(TicketQuery(), None, 5)


# ----------------------------------------------------------------------------------------------------- without a wire


def test_servers_are_named_with_or_without_a_port() -> None:
    assert place("imap.example", 993) == Place("imap.example", 993)
    assert place("imap.example:143", 993) == Place("imap.example", 143)
    assert place("[::1]:1143", 993) == Place("::1", 1143)
    assert place("[::1]", 993) == Place("::1", 993)
    for wrong in ("imap.example:x", "imap.example:0", ":993", "imap.example:65536"):
        with pytest.raises(Refused, match="is not a server"):
            place(wrong, 993)


def test_a_password_leaves_this_machine_over_tls_only() -> None:
    assert secured(Place("imap.example", 143), offered=True) is True
    assert secured(Place("127.0.0.1", 143), offered=False) is False
    with pytest.raises(Refused, match="offers no TLS on port 143"):
        secured(Place("imap.example", 143), offered=False)


def test_a_login_is_a_sasl_mechanism_and_its_first_message() -> None:
    request = httpx.Request("GET", "mail://a/b/c")
    EMAIL.authorize(request, {"username": "ada", "password": "p:ä"})  # pyright: ignore[reportArgumentType]
    found = login(request.headers["authorization"])
    assert (found.mechanism, found.user, found.password) == ("PLAIN", "ada", "p:ä")
    assert "p:ä" not in repr(found)
    EMAIL.authorize(request, {"username": "ada", "access_token": "t0k"})  # pyright: ignore[reportArgumentType]
    found = login(request.headers["authorization"])
    assert (found.mechanism, found.initial) == ("XOAUTH2", b"user=ada\x01auth=Bearer t0k\x01\x01")


def test_a_message_id_is_the_keys_own() -> None:
    assert id_for(KEY, "a@b", SUPPORT) == id_for(KEY, "a@b", SUPPORT)
    assert len({id_for(KEY, "a@b", SUPPORT), id_for(KEY, "c@d", SUPPORT), id_for(KEY + "2", "a@b", SUPPORT)}) == 3
    assert id_for(KEY, "a@b", SUPPORT).endswith("@northwind.example")
    assert (replying("Hi"), replying("RE: Hi"), replying("Reply")) == ("Re: Hi", "RE: Hi", "Re: Reply")


@pytest.mark.parametrize(
    ("raw", "read_as"),
    [
        ("=?utf-8?q?Gr=C3=B6=C3=9Fe?=", "Größe"),
        ("=?iso-8859-1?q?Gr=F6=DFe?= now", "Größe now"),
        ("=?nonsense?q?x?=", "=?nonsense?q?x?="),
        ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
        ("two\r\n lines\x00 and \u202e more", "two lines and more"),
        ("", ""),
    ],
)
def test_headers_are_read_in_every_spelling(raw: str, read_as: str) -> None:
    assert text(raw) == read_as


@pytest.mark.parametrize(
    ("raw", "part", "read_as"),
    [
        (b"Gr=F6=DFe=\r\n!", Part("1", "text/plain", "quoted-printable", 9, charset="latin-1"), "Größe!"),
        (b"R3LDtsOf\r\nZQ", Part("1", "text/plain", "base64", 9, charset="utf-8"), "Größe"),
        (b"R3LDtsOfZ", Part("1", "text/plain", "base64", 9, charset="utf-8"), "Größ"),
        (b"caf\xe9", Part("1", "text/plain", "8bit", 4, charset="utf-8"), "café"),
        (b"caf\xc3\xa9", Part("1", "text/plain", "8bit", 5, charset="no-such-charset"), "café"),
        (b"a\r\n\r\n\r\n\r\nb  \r\n\x00", Part("1", "text/plain", "7bit", 9), "a\n\nb"),
        (
            b"<head><style>p{}</style></head><p>Hello <b>you</b> &amp; me<br>again</p><script>x()</script><ul><li>1<li>2</ul>",
            Part("1", "text/html", "7bit", 9),
            "Hello you & me\nagain\n\n- 1\n- 2",
        ),
        (
            b"<p title='1 > 0'>1 < 2 <!-- no --><![if x]>yes<?php ?> <script>never </p>closed <a href=",
            Part("1", "text/html", "7bit", 9),
            "1 < 2 yes never\nclosed <a href=",
        ),
    ],
)
def test_texts_are_read_in_every_encoding(raw: bytes, part: Part, read_as: str) -> None:
    assert body(raw, part) == read_as


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        ("Yes.\n\nOn Monday, 1 May 2026, Ada wrote:\n> Really?\n", ("Yes.", True)),
        ("Ja.\n\nAm 01.05.2026 um 10:00 schrieb\nAda Lovelace <ada@engine.example>:\n> Wirklich?\n\n", ("Ja.", True)),
        ("Yes.\n\n-----Original Message-----\nFrom: Ada\nReally?", ("Yes.", True)),
        ("Yes.\n________________________________\nFrom: Ada\nSent: Monday", ("Yes.", True)),
        ("> Really?\nYes.\n> Sure?\nSure.", ("> Really?\nYes.\n> Sure?\nSure.", False)),
        ("> nothing\n> else", ("> nothing\n> else", False)),
        ("Two things:\n> this\n", ("Two things:", True)),
        ("Plain.", ("Plain.", False)),
        ("", ("", False)),
    ],
)
def test_the_history_at_the_end_of_a_reply_is_cut_off_and_nothing_else(reply: str, said: tuple[str, bool]) -> None:
    assert unquoted(reply) == said


def test_a_structure_gives_the_text_and_the_attachments_of_parts_in_parts() -> None:
    wire = read(
        [
            (
                b'((("text" "html" NIL NIL NIL "7bit" 5 1 NIL NIL NIL NIL)("text" "plain" ("charset" "utf-8") NIL NIL "8bit"'
                b' 5 1 NIL NIL NIL NIL) "alternative" NIL NIL NIL)("application" "pdf" ("name" {5}',
                b"a.pdf",
            ),
            b') NIL NIL "base64" 78 NIL ("attachment" NIL) NIL NIL) "mixed" NIL NIL NIL)',
        ]
    )
    found = structure(wire[0])
    assert found.text == Part("1.2", "text/plain", "8bit", 5, charset="utf-8")
    assert found.attachments == [Part("2", "application/pdf", "base64", 78, name="a.pdf", attached=True)]
    assert found.attachments[0].decoded_size == 57


def test_strings_are_quoted_or_literals() -> None:
    assert quoted('a "b" \\c') == b'"a \\"b\\" \\\\c"'
    assert quoted("ü\r\n") == b"{4+}\r\n\xc3\xbc\r\n"
    for broken in (b"(", b")", b'"a', b"(" * 200 + b")" * 200):
        with pytest.raises(ValueError, match=r"end|lists"):
            read([broken])


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_message_holds_breaks_its_reader(raw: bytes) -> None:
    headers(b"Subject: " + raw + b"\r\nFrom: " + raw)
    for kind in ("text/plain", "text/html"):
        for encoding in ("7bit", "base64", "quoted-printable", raw.decode("latin-1")):
            unquoted(body(raw, Part("1", kind, encoding, 1, charset=raw[:20].decode("latin-1"))))


@pytest.mark.parametrize(
    "piece",
    ["<", "<!--", "<a ", "<a '", "</", "<script>", "&", "&#", "<![CDATA[", "> ", "-", "\n", "- ", "-" * 40 + " "],
)
def test_a_hostile_page_is_read_once_not_over_and_over(piece: str) -> None:
    """A quarter of a megabyte of what makes some parsers look back again and again. A test has a minute."""
    for kind in ("text/html", "text/plain"):
        unquoted(body((piece * (256 * 1024 // len(piece))).encode(), Part("1", kind, "7bit", 1)))
    unquoted("---" + piece * (256 * 1024 // len(piece)))
    unquoted("---" + " " * 256 * 1024 + piece)


@pytest.mark.parametrize("charset", ["idna", "punycode", "unicode_escape", "undefined", "utf-7", "hz"])
def test_a_charset_that_takes_for_ever_is_none(charset: str) -> None:
    body(b"a-b" * 100_000, Part("1", "text/plain", "7bit", 1, charset=charset))
    assert text(f"=?{charset}?q?abc-def?=")


@pytest.mark.parametrize("piece", ["[", "[ ", "a[", "] [", "a ", " ", "()", '"a"', '"', "\\", "a", "{1}"])
def test_a_hostile_line_is_read_once_not_over_and_over(piece: str) -> None:
    with contextlib.suppress(ValueError):
        read([(piece * (1_000_000 // len(piece))).encode()])


@pytest.mark.parametrize("piece", ["(", "<", "@", '"', ",", "a@b,", "=?utf-8?q?x?= ", "=?", "[", "<a@b>", "\r\n "])
def test_a_hostile_header_breaks_nothing(piece: str) -> None:
    long = piece * (100_000 // len(piece))
    head = headers("".join(f"{name}: {long}\r\n" for name in ("From", "To", "Subject", "References")).encode())
    assert len(head.to) <= 50


@given(st.text(max_size=200), st.text(max_size=100), st.text(max_size=2_000))
@settings(max_examples=200, deadline=None)
def test_a_composed_message_has_the_headers_it_should_have_and_no_others(subject: str, name: str, said: str) -> None:
    line = " ".join("".join(c for c in subject if c.isprintable()).split())
    called = " ".join("".join(c for c in name if c.isprintable()).split())[:50]
    letter = Letter("i@d", SUPPORT, "ada@engine.example", called, line, said, "r@d", ("r@d",), "0" * 16, solves=False)
    message = message_from_bytes(composed(letter, TODAY))
    assert [header for header in message.keys() if header != "Subject"] == [  # noqa: SIM118
        "Date",
        "From",
        "To",
        "Message-ID",
        "In-Reply-To",
        "References",
        "X-Backoffice-Attempt",
        "X-Backoffice-Digest",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ]
    assert headers(composed(letter, TODAY)).subject == line
    assert headers(composed(letter, TODAY)).to == (Address(called, "ada@engine.example"),)


def test_an_address_may_be_of_any_alphabet_and_is_never_two() -> None:
    assert checked_address(" Ada@Engine.example ") == "Ada@Engine.example"
    assert checked_address("zoë@bücher.example") == "zoë@xn--bcher-kva.example"
    for wrong in ("a b@c.example", "a@b@c.example", "<a@b.example>", "a@b..example", "ü@", "a\u2028@b.example"):
        with pytest.raises(InvalidInput):
            checked_address(wrong)
