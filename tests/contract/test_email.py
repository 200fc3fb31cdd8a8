"""The support mailbox, held against Python's own SMTP and IMAP clients, and against Dovecot."""

from __future__ import annotations

import asyncio
import imaplib
import re
import smtplib
import socket
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from tests.real.mail import ADDRESS, PASSWORD, MailServer, mail_server, the_mail_server
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.email import EMAIL, Email, MailWire, email_sandbox
from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.backends.email.sandbox import ACCESS_TOKEN, serve
from backoffice_customer.backends.email.sandbox import PASSWORD as SANDBOX_PASSWORD
from backoffice_customer.models import Attachment, Contact, Event, Ref, Ticket, TicketRow
from backoffice_customer.ports import CommentPage, Mail, Reply, Span, TicketChange, TicketQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.errors import (
    BackendUnavailable,
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
)
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.certificate import make_certificate
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

__all__ = ["mail_server", "the_mail_server"]

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")]

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
KEY, OTHER_KEY = "order-1042-reply", "order-1043-reply"
ADA = Contact(ref=Ref("hubspot", "contact", "1"), name="Ada Lovelace", emails=["ada@engine.example"])


@dataclass
class Rig:
    """A mailbox somewhere, our adapter on it, and a look at it with Python's own clients."""

    imap_port: int
    smtp_port: int
    password: str
    email: Email
    delivered: Callable[[], list[tuple[str, bytes]]]
    lose_next: Callable[[], None]
    clock: ManualClock
    nowhere: str = "nowhere.example"

    async def receive(self, message: bytes) -> None:
        await asyncio.to_thread(self.append, "INBOX", message)
        await self.clock.sleep(3_600)  # so that nothing is answered from a cache

    def append(self, folder: str, message: bytes) -> None:
        with self.mailbox() as box:
            box.append(folder, "", "", message)

    def mailbox(self) -> imaplib.IMAP4:
        box = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=10)
        box.login(ADDRESS, self.password)
        return box

    async def flags(self, folder: str, message_id: str) -> set[str]:
        """Those of the one message with this id."""
        return await asyncio.to_thread(self._flags, folder, message_id)

    def _flags(self, folder: str, message_id: str) -> set[str]:
        with self.mailbox() as box:
            box.select(folder, readonly=True)
            _, found = box.uid("SEARCH", "HEADER", "Message-ID", f'"<{message_id}>"')
            uids = found[0].split()
            assert len(uids) == 1, f"{message_id} is in {folder} {len(uids)} times"
            _, fetched = box.uid("FETCH", uids[0].decode(), "(FLAGS)")
        said = re.search(rb"FLAGS \(([^)]*)\)", fetched[0] if isinstance(fetched[0], bytes) else b"")
        assert said is not None
        return {*said[1].decode().split()} - {"\\Recent"}

    async def count(self, folder: str) -> int:
        def counted() -> int:
            with self.mailbox() as box:
                return int(box.select(folder, readonly=True)[1][0] or 0)

        return await asyncio.to_thread(counted)

    async def send_as_others_do(self, message: bytes, to: str) -> None:
        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.smtp_port, "localhost", timeout=10) as smtp:
                smtp.login(ADDRESS, self.password)
                smtp.sendmail(ADDRESS, [to], message)

        await asyncio.to_thread(send)

    async def row(self) -> TicketRow:
        """The only thread there is."""
        rows = (await self.email.search_tickets(TicketQuery(), None, 10)).items
        assert len(rows) == 1
        return rows[0]

    async def ticket(self, native: str) -> Ticket:
        return await self.email.ticket(native, CommentPage(limit=10))


@asynccontextmanager
async def adapter(
    imap_port: int,
    smtp_port: int,
    clock: ManualClock | None = None,
    wire: MailWire | None = None,
    **credentials: str,
) -> AsyncGenerator[Email]:
    options = {
        "imap_server": f"127.0.0.1:{imap_port}",
        "smtp_server": f"127.0.0.1:{smtp_port}",
        "address": ADDRESS,
    }
    secrets = EnvironmentCredentials({f"email_{name}": value for name, value in credentials.items()})
    http = connect(
        EMAIL,
        wire or MailWire(),
        secrets,
        base_url=EMAIL.base_url.format(**options),
        options=options,
        clock=clock or ManualClock(),
    )
    try:
        yield Email(http)
    finally:
        await http.aclose()


@asynccontextmanager
async def sandboxed() -> AsyncGenerator[Rig]:
    sandbox, clock = email_sandbox(Company(customers=10, today=TODAY)), ManualClock()
    for folder in sandbox.office.folders.values():
        folder.messages.clear()  # as Dovecot's is
    async with (
        serve(sandbox) as ports,
        adapter(ports.imap, ports.smtp, clock, username=SUPPORT, password=SANDBOX_PASSWORD) as email,
    ):

        def lose_next() -> None:
            # A look for copies in each folder comes before the message.
            sandbox.faults = Faults(plan=["ok", "ok", "drop_after_commit"])

        yield Rig(
            ports.imap,
            ports.smtp,
            SANDBOX_PASSWORD,
            email,
            lambda: [(one.to, one.content) for one in sandbox.office.delivered],
            lose_next,
            clock,
            nowhere="northwind.example",
        )


@asynccontextmanager
async def real(server: MailServer) -> AsyncGenerator[Rig]:
    clock = ManualClock()
    async with adapter(server.imap_port, server.smtp_port, clock, username=ADDRESS, password=PASSWORD) as email:
        yield Rig(
            server.imap_port,
            server.smtp_port,
            PASSWORD,
            email,
            lambda: server.delivered,
            lambda: server.faults.append("lose"),
            clock,
        )


@pytest.fixture(params=["sandbox", "dovecot"])
async def rig(request: pytest.FixtureRequest) -> AsyncGenerator[Rig]:
    async with AsyncExitStack() as stack:
        if request.param == "sandbox":
            yield await stack.enter_async_context(sandboxed())
        else:
            yield await stack.enter_async_context(real(request.getfixturevalue("mail_server")))


def written(subject: str = "Where is my parcel?", **headers: str) -> bytes:
    head = {
        "From": "Ada Lovelace <ada@engine.example>",
        "To": ADDRESS,
        "Subject": subject,
        "Message-ID": "<first@engine.example>",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=utf-8",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    text = head.pop("text", "It was to come on Monday.")
    return "".join(f"{name}: {value}\r\n" for name, value in head.items()).encode() + b"\r\n" + text.encode() + b"\r\n"


def parsed(delivered: tuple[str, bytes]) -> tuple[str, Message]:
    return delivered[0], message_from_bytes(delivered[1])


# ---------------------------------------------------------------------------------------- the same on both servers


async def test_a_message_that_nobody_has_seen_is_a_new_ticket_and_reading_it_does_not_mark_it(rig: Rig) -> None:
    await rig.receive(written())
    for _ in range(2):
        row = await rig.row()
        assert (row.ticket_id, row.status, row.requester) == (
            "email:ticket:first@engine.example",
            "new",
            "Ada Lovelace",
        )
        ticket = await rig.ticket("first@engine.example")
        assert [(c.role, c.author, c.text, c.public) for c in ticket.comments] == [
            ("customer", "Ada Lovelace", "It was to come on Monday.", True)
        ]
        assert await rig.flags("INBOX", "first@engine.example") == set()


async def test_a_reply_is_in_the_thread_and_makes_it_pending_until_the_customer_answers(rig: Rig) -> None:
    await rig.receive(written())
    ticket = await rig.ticket("first@engine.example")
    sent = await rig.email.reply("first@engine.example", Reply("On **Tuesday**. Grüße", ticket.version), KEY)
    [(to, message)] = [parsed(one) for one in rig.delivered()]
    assert to == "ada@engine.example"
    assert {name: message[name] for name in ("From", "To", "Subject", "Message-ID", "In-Reply-To", "References")} == {
        "From": ADDRESS,
        "To": "Ada Lovelace <ada@engine.example>",
        "Subject": "Re: Where is my parcel?",
        "Message-ID": f"<{sent.value.message_id}>",
        "In-Reply-To": "<first@engine.example>",
        "References": "<first@engine.example>",
    }
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.decode().strip() == "On **Tuesday**. Grüße"
    assert (sent.replayed, sent.value.status) == (False, "pending")
    assert await rig.flags("Sent", sent.value.message_id) == {"\\Seen"}
    after = await rig.ticket("first@engine.example")
    assert (after.status, [c.role for c in after.comments]) == ("pending", ["agent", "customer"])

    await rig.receive(
        written(
            "Re: Where is my parcel?", Message_ID="<second@engine.example>", References=f"<{sent.value.message_id}>"
        )
    )
    # Only the newest is named: the rest of the thread is found by what that one refers to.
    assert [(c.id, c.role) for c in (await rig.ticket("first@engine.example")).comments] == [
        ("second@engine.example", "customer"),
        (sent.value.message_id, "agent"),
        ("first@engine.example", "customer"),
    ]


async def test_solved_is_a_keyword_of_the_newest_message_and_another_message_opens_the_thread_again(rig: Rig) -> None:
    await rig.receive(written())
    solved = await rig.email.update_ticket("first@engine.example", TicketChange(status="solved"), KEY)
    assert solved.status == "solved"
    assert await rig.flags("INBOX", "first@engine.example") == {"$Solved"}
    assert (await rig.row()).status == "solved"
    reopened = await rig.email.update_ticket("first@engine.example", TicketChange(status="open"), OTHER_KEY)
    assert reopened.status == "open"
    assert await rig.flags("INBOX", "first@engine.example") == {"\\Seen"}
    await rig.email.update_ticket("first@engine.example", TicketChange(status="solved"), KEY)
    await rig.receive(
        written("Re: Where is my parcel?", Message_ID="<2@engine.example>", In_Reply_To="<first@engine.example>")
    )
    found = await rig.email.search_tickets(TicketQuery(statuses=("new",)), None, 10)
    assert [row.ticket_id for row in found.items] == ["email:ticket:first@engine.example"]


async def test_a_change_meant_for_another_version_is_a_conflict_and_changes_nothing(rig: Rig) -> None:
    await rig.receive(written())
    ticket = await rig.ticket("first@engine.example")
    await rig.receive(
        written("Re: Where is my parcel?", Message_ID="<2@engine.example>", References="<first@engine.example>")
    )
    with pytest.raises(Conflict, match="something was added"):
        await rig.email.reply("first@engine.example", Reply("On Tuesday.", ticket.version), KEY)
    with pytest.raises(Conflict, match="something was added"):
        await rig.email.update_ticket(
            "first@engine.example", TicketChange(status="solved", version=ticket.version), KEY
        )
    assert rig.delivered() == []
    assert await rig.count("Sent") == 0
    assert await rig.flags("INBOX", "2@engine.example") == set()


async def test_the_same_key_sends_once_and_another_key_once_more(rig: Rig) -> None:
    mail = Mail("ada@engine.example", "Ada", "Your parcel", "It is on its way.")
    first = await rig.email.send(mail, KEY)
    again = await rig.email.send(mail, KEY)
    other = await rig.email.send(mail, OTHER_KEY)
    assert (first.replayed, again.replayed, other.replayed) == (False, True, False)
    assert first.value == again.value
    assert [to for to, _ in rig.delivered()] == ["ada@engine.example"] * 2
    assert await rig.count("Sent") == 2


async def test_a_message_whose_answer_is_lost_is_found_by_the_copy_that_came_back_to_us(rig: Rig) -> None:
    mail = Mail("ada@engine.example", "Ada", "Your parcel", "It is on its way.")
    rig.lose_next()
    sent = await rig.email.send(mail, KEY)
    assert sent.replayed is False
    assert (await rig.email.send(mail, KEY)).replayed is True
    assert len(rig.delivered()) == 1
    assert await rig.flags("Sent", sent.value.message_id) == {"\\Seen"}


async def test_a_clear_refusal_leaves_no_copy_so_that_the_same_key_may_be_used_again(rig: Rig) -> None:
    with pytest.raises(InvalidInput, match=r"5\.1\.1"):
        await rig.email.send(
            Mail("gone@northwind.example" if rig.password != PASSWORD else "gone@nowhere.example", "", "Hi", "Hi"), KEY
        )
    assert await rig.count("Sent") == 0


async def test_texts_are_found_in_any_alphabet_and_nothing_in_them_is_taken_for_a_search(rig: Rig) -> None:
    await rig.receive(written("=?utf-8?q?Gr=C3=B6=C3=9Fe?=", text="Die Größe 中文 passt nicht"))
    await rig.receive(written("Another", Message_ID="<second@engine.example>"))
    for text, expected in (
        ("größe", 1),
        ("中文 passt", 1),
        ("passt Monday", 0),
        ("Monday", 1),
        ('" OR ALL "', 0),
        ("x\r\nA1 LOGOUT\r\n", 0),
        ("\\", 0),
        ("(", 0),
        ("{5}", 0),
    ):
        found = await rig.email.search_tickets(TicketQuery(text=text), None, 10)
        assert len(found.items) == expected, text


async def test_only_threads_of_the_person_are_found_by_address_and_their_messages_are_their_history(rig: Rig) -> None:
    await rig.receive(written())
    await rig.receive(written("Not hers", From="Eve <eve+ada@engine.example>", Message_ID="<e@engine.example>"))
    await rig.receive(
        written("Nor this", From="Ada <ada@engine.example.evil.example>", Message_ID="<f@engine.example>")
    )
    sent = await rig.email.send(Mail("ADA@engine.example", "Ada", "Your parcel", "It is on its way."), KEY)
    found = await rig.email.search_tickets(TicketQuery(emails=("ADA@engine.example",)), None, 10)
    assert {row.ticket_id for row in found.items} == {
        "email:ticket:first@engine.example",
        f"email:ticket:{sent.value.message_id}",
    }
    assert await rig.email.count_open_tickets(ADA) == 2
    events = await rig.email.events([ADA], frozenset({"email"}), Span(), None, 10)
    assert [(e.title, e.direction, e.summary) for e in sorted(events.items, key=lambda e: e.direction or "")] == [
        ("Where is my parcel?", "in", "It was to come on Monday."),
        ("Your parcel", "out", "It is on its way."),
    ]


async def test_pages_continue_where_the_last_one_ended(rig: Rig) -> None:
    for n in range(7):
        await rig.receive(written(f"Number {n}", Message_ID=f"<{n}@engine.example>"))
    await rig.receive(written("Re: Number 2", Message_ID="<8@engine.example>", References="<2@engine.example>"))
    seen: list[str] = []
    cursor = None
    for _ in range(4):
        page = await rig.email.search_tickets(TicketQuery(), cursor, 2)
        seen += [row.subject for row in page.items]
        cursor = page.next
    assert seen == [f"Number {n}" for n in (2, 6, 5, 4, 3, 1, 0)]
    assert cursor is None
    events: list[Event] = []
    for _ in range(3):
        history = await rig.email.events([ADA], frozenset({"email"}), Span(), cursor, 3)
        events += history.items
        cursor = history.next
    assert [event.title for event in events] == ["Re: Number 2", *(f"Number {n}" for n in (6, 5, 4, 3, 2, 1, 0))]


async def test_attachments_are_named_and_stay_where_they_are(rig: Rig) -> None:
    boundary = 'multipart/mixed; boundary="b"'
    body = (
        "--b\r\nContent-Type: multipart/alternative; boundary=c\r\n\r\n"
        "--c\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        "Gr=F6=DFe\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>no</p>\r\n--c--\r\n"
        "--b\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n"
        "Content-Disposition: attachment; filename*=utf-8''Rechnung%20%C3%BC.pdf\r\n\r\nQUJD\r\n"
        '--b\r\nContent-Type: image/png; name="a \\"b\\".png"\r\nContent-Disposition: inline\r\n\r\nPNG\r\n--b--'
    )
    await rig.receive(written(Content_Type=boundary, text=body))
    [comment] = (await rig.ticket("first@engine.example")).comments
    assert comment.text == "Größe"
    assert comment.attachments is not None
    where = comment.attachments[0].url or ""
    assert re.fullmatch(
        r"imap://support%40northwind\.example@127\.0\.0\.1/INBOX;UIDVALIDITY=\d+/;UID=\d+/;SECTION=2", where
    )
    assert comment.attachments == [
        Attachment(name="Rechnung ü.pdf", content_type="application/pdf", size=comment.attachments[0].size, url=where),
        Attachment(name='a "b".png', content_type="image/png", size=comment.attachments[1].size, url=f"{where[:-1]}3"),
    ]


async def test_a_message_without_an_id_is_a_ticket_of_its_own(rig: Rig) -> None:
    await rig.receive(b"From: x@y.example\r\nSubject: no id\r\n\r\nhello\r\n")
    row = await rig.row()
    assert re.fullmatch(r"email:ticket:uid\.\d+\.\d+", row.ticket_id)
    native = row.ticket_id.removeprefix("email:ticket:")
    ticket = await rig.ticket(native)
    assert (ticket.subject, ticket.email, [c.text for c in ticket.comments]) == ("no id", "x@y.example", ["hello"])
    with pytest.raises(NotFound):
        await rig.ticket(native.replace("uid.", "uid.9"))


async def test_a_message_with_thousands_of_parts_hides_no_other(rig: Rig) -> None:
    await rig.receive(b"From: x@y.example\r\nSubject: q\r\nMessage-ID: <q@y.example>\r\n\r\nhello\r\n")
    head = b"From: e@y.example\r\nMessage-ID: <e@y.example>\r\nReferences: <q@y.example>\r\nMIME-Version: 1.0\r\n"
    parts = b"--b\r\nContent-Type: text/x; name=" + b"n" * 100 + b"\r\n\r\nx\r\n"
    await rig.receive(head + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + parts * 9_000 + b"--b--\r\n")
    assert (await rig.row()).ticket_id == "email:ticket:q@y.example"
    newest, first = (await rig.ticket("q@y.example")).comments
    assert (first.text, newest.id, newest.truncated) == ("hello", "e@y.example", True)


async def test_the_one_who_began_a_thread_is_answered_however_long_it_grows(rig: Rig) -> None:
    await rig.receive(b"From: x@y.example\r\nSubject: q\r\nMessage-ID: <q@y.example>\r\n\r\nzebra\r\n")

    def flood() -> None:
        with rig.mailbox() as box:
            box.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else each waits a moment for the next
            for n in range(520):
                head = f"From: e@y.example\r\nMessage-ID: <{n}@y.example>\r\nReferences: <q@y.example>"
                box.append("INBOX", "", "", f"{head}\r\n\r\n{n}\r\n".encode())

    await asyncio.to_thread(flood)
    await rig.clock.sleep(3_600)
    ticket = await rig.ticket("q@y.example")
    assert (ticket.email, ticket.comments[0].text) == ("x@y.example", "519")
    found = await rig.email.search_tickets(TicketQuery(text="zebra 519", emails=("x@y.example",)), None, 5)
    assert [row.ticket_id for row in found.items] == ["email:ticket:q@y.example"]


async def test_a_key_that_was_used_for_one_message_sends_no_other(rig: Rig) -> None:
    mail = Mail("ada@engine.example", "Ada", "Hello", "One")
    await rig.email.send(mail, KEY)
    assert (await rig.email.send(mail, KEY)).replayed is True
    with pytest.raises(Conflict, match="another message"):
        await rig.email.send(replace(mail, body="Two"), KEY)


async def test_a_wrong_password_is_refused_with_the_servers_sentence(rig: Rig) -> None:
    async with adapter(rig.imap_port, rig.smtp_port, username=ADDRESS, password="wrong-" + "x" * 8) as stranger:
        with pytest.raises(PermissionDenied, match=r"(?i)authentication failed"):
            await stranger.search_tickets(TicketQuery(), None, 1)


# ---------------------------------------------------------------------------- Python's clients and ours, side by side


async def test_pythons_own_client_leaves_the_state_that_our_adapter_leaves(rig: Rig) -> None:
    """Solving with STORE, and sending with sendmail and APPEND, seen by our adapter as if it had done it."""
    await rig.receive(written())

    def solve() -> None:
        with rig.mailbox() as box:
            box.select("INBOX")
            box.uid("STORE", box.uid("SEARCH", "ALL")[1][0].decode(), "+FLAGS", "($Solved)")

    await asyncio.to_thread(solve)
    await rig.clock.sleep(3_600)
    assert (await rig.row()).status == "solved"
    answer = written(
        "Re: Where is my parcel?",
        From=ADDRESS,
        To="ada@engine.example",
        Message_ID="<ours@northwind.example>",
        In_Reply_To="<first@engine.example>",
        text="On Tuesday.",
    )
    await rig.send_as_others_do(answer, "ada@engine.example")
    await asyncio.to_thread(rig.append, "Sent", answer)
    await rig.clock.sleep(3_600)
    ticket = await rig.ticket("first@engine.example")
    assert (ticket.status, [(c.role, c.text) for c in ticket.comments]) == (
        "pending",
        [("agent", "On Tuesday."), ("customer", "It was to come on Monday.")],
    )
    assert [to for to, _ in rig.delivered()] == ["ada@engine.example"]


# ------------------------------------------------------------------------------------------ what only one of them can


async def test_greylisting_and_spam_filters_are_passed_on_and_leave_no_copy(mail_server: MailServer) -> None:
    mail = Mail("ada@engine.example", "Ada", "Your parcel", "It is on its way.")
    async with real(mail_server) as rig:
        mail_server.faults = ["refuse"]
        with pytest.raises(PermissionDenied, match="rejected as spam"):
            await rig.email.send(mail, KEY)
        mail_server.faults = ["defer"]
        with pytest.raises(Conflict, match="Try again later"):
            await rig.email.send(mail, KEY)
        assert await rig.count("Sent") == 0
        assert (await rig.email.send(mail, KEY)).replayed is False
        assert len(mail_server.delivered) == 1


async def test_the_sandbox_takes_an_access_token_and_says_when_it_is_no_good() -> None:
    sandbox = email_sandbox(Company(customers=10, today=TODAY))
    async with serve(sandbox) as ports:
        async with adapter(ports.imap, ports.smtp, username=SUPPORT, access_token=ACCESS_TOKEN) as email:
            assert (await email.search_tickets(TicketQuery(), None, 1)).items
            await email.send(Mail("ada@engine.example", "Ada", "Hi", "Hi"), KEY)
        async with adapter(ports.imap, ports.smtp, username=SUPPORT, access_token="stale-" + "x" * 8) as email:
            with pytest.raises(PermissionDenied):
                await email.search_tickets(TicketQuery(), None, 1)
    assert len(sandbox.office.delivered) == 1


async def test_the_well_known_ports_speak_tls_from_the_first_byte_with_a_certificate_that_is_believed(
    tmp_path: Path,
) -> None:
    certificate, key = make_certificate(tmp_path)
    theirs, ours = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context(cafile=certificate)
    theirs.load_cert_chain(certificate, key)
    sandbox = email_sandbox(Company(customers=10, today=TODAY))
    async with AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(serve(sandbox, smtp_port=465, imap_port=993, tls=theirs))
        except OSError as error:
            pytest.skip(f"ports 465 and 993 cannot be had here: {error.strerror}")
        believing = MailWire(context=ours)
        async with adapter(993, 465, wire=believing, username=SUPPORT, password=SANDBOX_PASSWORD) as email:
            assert (await email.search_tickets(TicketQuery(), None, 1)).items
            await email.send(Mail("ada@engine.example", "Ada", "Hi", "Hi"), KEY)
        async with adapter(993, 465, username=SUPPORT, password=SANDBOX_PASSWORD) as email:
            with pytest.raises(BackendUnavailable, match="cannot be reached"):
                await email.search_tickets(TicketQuery(), None, 1)
    assert len(sandbox.office.delivered) == 1


async def test_pythons_clients_can_do_with_the_sandbox_what_its_protocols_say() -> None:
    sandbox = email_sandbox(Company(customers=10, today=TODAY))
    async with serve(sandbox) as ports:
        await asyncio.to_thread(_exercise, ports.imap, ports.smtp)
    assert [one.to for one in sandbox.office.delivered] == ["ada@engine.example"]


def _exercise(imap_port: int, smtp_port: int) -> None:
    with imaplib.IMAP4("127.0.0.1", imap_port, timeout=10) as box:
        with pytest.raises(imaplib.IMAP4.error, match="Authentication failed"):
            box.login(SUPPORT, "wrong")
        with pytest.raises(imaplib.IMAP4.error):
            box.select("INBOX")
        box.authenticate("PLAIN", lambda _: f"\0{SUPPORT}\0{SANDBOX_PASSWORD}".encode())
        assert box.list()[0] == "OK"
        assert box.select("Nowhere")[0] == "NO"
        kind, exists = box.select("INBOX")
        assert (kind, int(exists[0] or 0) > 0) == ("OK", True)
        assert box.noop()[0] == "OK"
        assert box.append("INBOX", "(\\Flagged)", "", b"Subject: hi\r\n\r\nthere\r\n")[0] == "OK"
        uid = box.uid("SEARCH", "FLAGGED", "SUBJECT", '"HI"')[1][0].decode()
        assert box.uid("FETCH", uid, "(RFC822.SIZE FLAGS BODY.PEEK[TEXT])")[1][0][1] == b"there\r\n"
        assert box.uid("FETCH", uid, "(RFC822)")[1][0][1] == b"Subject: hi\r\n\r\nthere\r\n"
        assert box.uid("SEARCH", "UID", uid, "SEEN")[1] == [uid.encode()]
        assert box.uid("SEARCH", "OR", "NOT", "ALL", f"(UID {uid} UNKEYWORD $Solved)")[1] == [uid.encode()]
        with pytest.raises(imaplib.IMAP4.error, match="Unknown argument"):
            box.uid("SEARCH", "NONSENSE")
        with pytest.raises(imaplib.IMAP4.error, match="Invalid"):
            box.uid("STORE", uid, "FLAGS?", "(x)")
        box.uid("STORE", uid, "+FLAGS", "(\\Deleted)")
        assert box.expunge()[0] == "OK"
        assert box.uid("SEARCH", "UID", uid)[1] == [b""]
        box.select("INBOX", readonly=True)
        assert box.uid("STORE", "1", "+FLAGS", "(\\Seen)")[0] == "NO"
    with smtplib.SMTP("127.0.0.1", smtp_port, "localhost", timeout=10) as smtp:
        assert smtp.docmd("MAIL", f"FROM:<{SUPPORT}>")[0] in (503, 530)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            smtp.login(SUPPORT, "wrong")
        assert smtp.docmd("AUTH", "XOAUTH2 dXNlcj14AQE=")[0] == 334
        assert smtp.docmd("")[0] == 535
        smtp.login(SUPPORT, SANDBOX_PASSWORD)
        assert smtp.docmd("DATA")[0] == 503
        with pytest.raises(smtplib.SMTPSenderRefused):
            smtp.sendmail("else@northwind.example", ["ada@engine.example"], b"Subject: hi\r\n\r\nthere\r\n")
        smtp.rset()
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            smtp.sendmail(SUPPORT, ["gone@northwind.example"], b"Subject: hi\r\n\r\nthere\r\n")
        smtp.rset()
        assert smtp.sendmail(SUPPORT, ["ada@engine.example", SUPPORT], b"Subject: hi\r\n\r\n.there\r\n") == {}
        assert smtp.docmd("VRFY", "x")[0] == 502
