"""What strangers write to the support mailbox: it changes neither who is answered nor what others find in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any, cast

import pytest
from tests.customer.mailroom import KEY, MAIL, Mailbox, mailbox
from tests.customer.office import Office, office

from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.backends.email.sandbox import MailSandbox
from backoffice_customer.models import Contact, Ref
from backoffice_customer.ports import CommentPage, Reply, TicketQuery
from backoffice_shared.errors import Conflict, OutcomeUnknown
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio

ADA, EVE = "Ada Lovelace <ada@engine.example>", "Eve <eve@evil.example>"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30)


@pytest.fixture
async def box(company: Company) -> AsyncGenerator[Mailbox]:
    async with mailbox(company) as box:
        yield box


def message(sender: str, native: str | None, body: str = "Hello", **headers: str) -> str:
    lines = {"From": sender, "Subject": "The engine", **{name.replace("_", "-"): v for name, v in headers.items()}}
    own = "" if native is None else f"Message-ID: <{native}>\n"
    return "".join(f"{name}: {value}\n" for name, value in lines.items()) + f"{own}\n{body}"


def post(at: Office) -> MailSandbox:
    return cast("MailSandbox", at.sandboxes["email"])


def arrives(at: Office, written: str) -> None:
    post(at).office.receive(written.replace("\n", "\r\n").encode())


async def answered(at: Office, native: str) -> tuple[str, list[str]]:
    """What the preview of a reply says of where it goes, and where it went."""
    reply = {
        "ticket_id": f"email:ticket:{native}",
        "body": "It is on its way.",
        "idempotency_key": "a-reply-to-a-thread",
    }
    shown = await at.ask("reply_to_customer", **reply)
    sent = await at.ask("reply_to_customer", **reply, plan_token=shown["plan_token"])
    assert sent["message_id"]
    return shown["preview"]["to"], [mail.to for mail in post(at).office.delivered]


async def found(box: Mailbox, **query: Any) -> list[str]:
    page = await box.email.search_tickets(replace(TicketQuery(), **query), None, 50)
    return [row.ticket_id.removeprefix("email:ticket:") for row in page.items]


# ------------------------------------------------------------------------------------------------- who is answered


async def test_whoever_floods_a_thread_does_not_get_what_its_first_writer_is_told() -> None:
    async with office() as at:
        arrives(at, message(ADA, "root@engine.example", "Where is it?"))
        for n in range(600):
            arrives(at, message(EVE, f"{n}@evil.example", References="<root@engine.example>"))
        arrives(at, message(EVE, "root@engine.example", "I am Ada"))
        ticket = await at.ask("get_ticket", ticket_id="email:ticket:root@engine.example")
        assert (ticket["requester"], ticket["email"]) == ("Ada Lovelace", "ada@engine.example")
        assert await answered(at, "root@engine.example") == (
            "Ada Lovelace <ada@engine.example>",
            ["ada@engine.example"],
        )


async def test_a_long_thread_keeps_its_first_message_and_its_newest(box: Mailbox) -> None:
    box.receive(message(ADA, "root@engine.example", "Where is it?"))
    for n in range(600):
        box.receive(message(EVE, f"{n}@evil.example", str(n), References="<root@engine.example>"))
    newest = await box.email.ticket("root@engine.example", CommentPage(limit=2))
    assert [comment.text for comment in newest.comments] == ["599", "598"]
    oldest = await box.email.ticket("root@engine.example", CommentPage(cursor="2", limit=2))
    assert [comment.text for comment in oldest.comments] == ["101", "Where is it?"]
    assert newest.page.next_cursor == "498"


async def test_a_thread_whose_first_message_is_not_there_is_not_answered() -> None:
    async with office() as at:
        arrives(at, message(EVE, "1@evil.example", References="<gone@engine.example>"))
        reply = {"ticket_id": "email:ticket:gone@engine.example", "body": "Hello", "idempotency_key": "a-reply-to-none"}
        shown = await at.ask("reply_to_customer", **reply)
        said = await at.refusal("reply_to_customer", **reply, plan_token=shown["plan_token"])
        assert "the message that began this thread is not in the mailbox" in said
        assert post(at).office.delivered == []


async def test_a_message_without_an_id_is_not_answered_in_its_thread(box: Mailbox) -> None:
    box.receive(message(ADA, None, "Where is it?", Subject="Nameless"))
    [native] = await found(box, text="Nameless")
    ticket = await box.email.ticket(native, CommentPage())
    assert (ticket.email, [comment.text for comment in ticket.comments]) == ("ada@engine.example", ["Where is it?"])
    with pytest.raises(Conflict, match="has no Message-ID"):
        await box.email.reply(native, Reply("Here.", ticket.version), KEY)


async def test_an_id_like_those_that_are_made_up_is_nobodys(box: Mailbox) -> None:
    box.receive(message(ADA, None, Subject="Nameless"))
    [native] = await found(box, text="Nameless")
    box.receive(message(EVE, native, Subject="Named"))
    box.receive(message(EVE, "1@evil.example", Subject="Answering", References=f"<{native}>"))
    ticket = await box.email.ticket(native, CommentPage(limit=50))
    assert (ticket.email, len(ticket.comments)) == ("ada@engine.example", 1)
    assert native not in await found(box, text="Named") + await found(box, text="Answering")


async def test_an_answer_goes_where_the_first_message_asks_for_it_and_the_preview_says_so() -> None:
    async with office() as at:
        arrives(at, message(ADA, "root@engine.example", Reply_To="ada.home@engine.example, other@engine.example"))
        arrives(at, message(EVE, "1@evil.example", References="<root@engine.example>", Reply_To=EVE))
        ticket = await at.ask("get_ticket", ticket_id="email:ticket:root@engine.example")
        assert ticket["email"] == "ada.home@engine.example"
        assert await answered(at, "root@engine.example") == (
            "Ada Lovelace <ada.home@engine.example>",
            ["ada.home@engine.example"],
        )


@pytest.mark.parametrize(
    "wish", [SUPPORT, "nobody", '"a b"@c.example', "<>", "a@b..example", "=?utf-8?q?x=0D=0Ay?= <x@"]
)
async def test_a_wish_that_nothing_can_be_sent_to_is_ignored(box: Mailbox, wish: str) -> None:
    box.receive(message(ADA, "root@engine.example", Reply_To=wish))
    ticket = await box.email.ticket("root@engine.example", None)
    assert ticket.email == "ada@engine.example"
    await box.email.reply("root@engine.example", Reply("Here.", ticket.version), KEY)
    assert box.delivered == ["ada@engine.example"]


async def test_a_long_subject_and_a_long_name_are_cut_in_the_answer(box: Mailbox) -> None:
    box.receive(message(f'"{"A" * 1_500}" <ada@engine.example>', "root@engine.example", Subject="x" * 1_500))
    ticket = await box.email.ticket("root@engine.example", None)
    await box.email.reply("root@engine.example", Reply("Here.", ticket.version), KEY)
    assert box.delivered == ["ada@engine.example"]


async def test_a_key_that_sent_one_message_sends_no_other(box: Mailbox) -> None:
    await box.email.send(MAIL, KEY)
    for other in (replace(MAIL, body="It is not."), replace(MAIL, subject="Another")):
        with pytest.raises(Conflict, match="another message was sent with this idempotency_key"):
            await box.email.send(other, KEY)
    assert (await box.email.send(MAIL, KEY)).replayed is True
    assert len(box.delivered) == 1


async def test_a_key_whose_message_may_have_been_sent_sends_no_other(box: Mailbox) -> None:
    box.sandbox.office.late = True
    box.broken("ok", "ok", "drop_after_commit")
    with pytest.raises(OutcomeUnknown):
        await box.email.send(MAIL, KEY)
    with pytest.raises(Conflict, match="another message"):
        await box.email.send(replace(MAIL, body="It is not."), KEY)
    assert len(box.delivered) == 1


# ------------------------------------------------------------------------------------------------- what others find


@pytest.mark.parametrize(
    "attached",
    [
        f'Content-Type: text/plain; name="{"x" * 1_200_000}"\n\nHello',
        "Content-Type: multipart/mixed; boundary=b\n\n"
        + "--b\nContent-Type: text/x; name=y\n\nx\n" * 9_000
        + "--b--\n",
    ],
    ids=["a name of a megabyte", "thousands of parts"],
)
async def test_one_message_with_hostile_parts_hides_nothing_else(attached: str) -> None:
    async with office() as at:
        arrives(at, message(ADA, "root@engine.example", "Where is it?"))
        head, _, rest = message(EVE, "1@evil.example", References="<root@engine.example>").partition("\n\nHello")
        arrives(at, f"{head}\n{attached}{rest}")
        listed = await at.ask("search_tickets", status=["new"], limit=5)
        assert listed["items"][0]["ticket_id"] == "email:ticket:root@engine.example"
        ticket = await at.ask("get_ticket", ticket_id="email:ticket:root@engine.example")
        assert [comment["text"] for comment in ticket["comments"]][1:] == ["Where is it?"]
        assert ticket["comments"][0]["author"] == "Eve"
        assert len(ticket["comments"][0].get("attachments", [])) in (0, 20)


async def test_a_person_without_a_usable_address_has_no_threads(box: Mailbox) -> None:
    for emails in (("nobody",), ("a\r\n@b",), ("",)):
        assert await found(box, emails=emails) == []
        assert await found(box, emails=emails, requesters=("17",)) == []


async def test_the_words_of_a_search_may_be_in_several_messages_of_a_thread(box: Mailbox) -> None:
    box.receive(message(ADA, "root@engine.example", "zebra"))
    box.receive(message(ADA, "1@engine.example", "giraffe", References="<root@engine.example>"))
    box.receive(message(ADA, "other@engine.example", "zebra"))
    assert await found(box, text="zebra giraffe") == ["root@engine.example"]
    assert await found(box, text="giraffe zebra", emails=("ada@engine.example",)) == ["root@engine.example"]


async def test_what_is_found_by_words_has_the_threads_state_time_and_order(box: Mailbox) -> None:
    box.receive(message(ADA, "old@engine.example", "zebra"))
    box.receive(message(ADA, "young@engine.example", "zebra"))
    for n, kept in enumerate(box.sandbox.office.folders["INBOX"].messages.values()):
        kept.at = kept.at.replace(year=2020) if kept.mail is None else kept.at.replace(year=2019, day=1 + n % 9)
    box.receive(message(ADA, "1@engine.example", "giraffe", References="<old@engine.example>"))
    assert await found(box, text="zebra") == ["old@engine.example", "young@engine.example"]
    newest = (await box.email.ticket("old@engine.example", None)).updated_at
    for by in ("updated", "created"):
        assert await found(box, text="zebra", updated_since=newest, sort=by) == ["old@engine.example"]
        assert await found(box, updated_since=newest, sort=by) == ["old@engine.example"]
    for kept in box.sandbox.office.folders["INBOX"].messages.values():
        kept.flags |= {"\\Seen"} if b"giraffe" in kept.content else set()
    assert await found(box, text="zebra", statuses=("new",)) == ["young@engine.example"]
    assert await found(box, text="zebra", statuses=("open",)) == ["old@engine.example"]


async def test_what_is_found_comes_in_pages_in_the_order_asked_for(box: Mailbox) -> None:
    for n in range(7):
        box.receive(message(ADA, f"{n}@engine.example", "zebra"))
    for n, kept in enumerate(box.sandbox.office.folders["INBOX"].messages.values()):
        kept.at = kept.at.replace(month=1 + n * 5 % 12, day=1)
    for sort in ("updated", "created"):
        pages: list[str] = []
        cursor = None
        while True:
            page = await box.email.search_tickets(TicketQuery(text="zebra", sort=sort), cursor, 3)
            pages += [f"{row.created_at:%m} {row.ticket_id}" for row in page.items]
            if (cursor := page.next) is None:
                break
        assert len(pages) == 7
        assert pages == sorted(pages, reverse=True)


async def test_all_open_threads_of_a_person_are_counted(box: Mailbox) -> None:
    for n in range(410):
        box.receive(message(ADA, f"{n}@engine.example"))
    who = Contact(ref=Ref("hubspot", "contact", "1"), name="Ada", emails=["ada@engine.example"])
    assert await box.email.count_open_tickets(who) == 410
