"""What is sent from the support mailbox and changed in it: as it was meant, once, and only once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes

import pytest
from tests.customer.mailroom import KEY, MAIL, TODAY, Mailbox, answered, contact, mailbox, native, unanswered

from backoffice_customer.backends.email.letters import id_for
from backoffice_customer.backends.email.mime import Address, headers
from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.models import Sent, TicketState
from backoffice_customer.ports import CommentPage, Mail, Reply, Span, TicketChange, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, OutcomeUnknown
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
async def box(company: Company) -> AsyncGenerator[Mailbox]:
    async with mailbox(company) as box:
        yield box


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
