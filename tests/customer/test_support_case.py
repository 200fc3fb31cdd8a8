"""A support case from its first e-mail to its end, by tools only, also when the connection drops after the reply was sent."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any, cast

import pytest
from tests.customer.office import Office, office

from backoffice_customer.backends.email.postoffice import SUPPORT
from backoffice_customer.backends.email.sandbox import MailSandbox
from backoffice_shared.sandbox.company import Person, order_name
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio


def a_customer(at: Office) -> Person:
    return next(
        p
        for p in at.company.people
        if len(p.systems) == 3 and p.number in at.company.orders_of and p.number in at.company.tickets_of
    )


def mailbox(at: Office) -> MailSandbox:
    return cast("MailSandbox", at.sandboxes["email"])


def an_email_arrives(at: Office, person: Person, subject: str, text: str) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = f"{person.name} <{person.email}>", SUPPORT, subject
    message["Message-ID"] = "<a-question@mail.example>"
    message.set_content(text)
    mailbox(at).office.receive(message.as_bytes())


async def the_case(at: Office, *, lost_after: int | None = None) -> int:
    """The case, told by what an agent asks and does. `lost_after`: the reply's answer is lost, so many requests after it
    began. Gives how many requests the mailbox had until the reply was handed over.
    """
    person = a_customer(at)
    order = at.company.orders_of[person.number][0]
    an_email_arrives(at, person, f"Where is my order {order_name(order.number)}?", "It should be here by now.")

    # What is new, and who wrote it.
    waiting = await at.ask("search_tickets", status=["new"], sort="created", limit=10)
    row = next(row for row in waiting["items"] if row["subject"].startswith("Where is my order"))
    ticket = await at.ask("get_ticket", ticket_id=row["ticket_id"])
    assert (ticket["comments"][0]["text"].strip(), ticket["untrusted"]) == ("It should be here by now.", True)
    found = await at.ask("find_customers", identifiers=[ticket["email"]])
    assert [item["match"]["confidence"] for item in found["items"]] == [1.0]
    customer_id = found["items"][0]["customer_id"]

    # What we know of them, of the order, and of what was said before.
    profile = (await at.ask("get_customers", customer_ids=[customer_id], include=["counts"]))["items"][0]
    assert profile["name"] == person.name
    orders = await at.ask("search_orders", customer_id=customer_id, order_number=order_name(order.number))
    theirs = await at.ask("get_order", order_id=orders["items"][0]["order_id"], include=["shipments"])
    assert theirs["number"] == order_name(order.number)
    earlier = await at.ask("search_tickets", customer_id=customer_id)
    assert {item["ticket_id"].partition(":")[0] for item in earlier["items"]} >= {"email", "zendesk"}
    articles = await at.ask("search_knowledge", query="where is my order", sources=["help_center"])
    article = await at.ask("get_document", doc_id=articles["items"][0]["doc_id"], section="When it is late")
    assert "We trace the parcel" in article["markdown"]

    # What the customer is told: shown first, then sent.
    reply = {
        "ticket_id": row["ticket_id"],
        "body": "We are tracing your parcel, and write again within two days.",
        "status_after": "solved",
        "idempotency_key": "reply-to-a-question",
    }
    shown = await at.ask("reply_to_customer", **reply)
    assert person.email in shown["preview"]["to"]
    assert not delivered(at, person)
    mails = mailbox(at)
    mails.requests.clear()
    if lost_after is not None:
        before: list[Fault] = ["ok"] * lost_after
        mails.faults = Faults(plan=[*before, "drop_after_commit"])
    sent = await at.ask("reply_to_customer", **reply, plan_token=shown["plan_token"])
    handed_over = [entry.method for entry in mails.requests].index("SMTP")
    again = await at.ask("reply_to_customer", **reply, plan_token=shown["plan_token"])
    assert (again["message_id"], again["replayed"]) == (sent["message_id"], True)
    assert len(delivered(at, person)) == 1

    # The case ends, here and in the helpdesk.
    assert (await at.ask("get_ticket", ticket_id=row["ticket_id"]))["status"] == "solved"
    other = next(item for item in earlier["items"] if item["ticket_id"].startswith("zendesk:"))
    if other["status"] != "closed":
        close = {"ticket_ids": [other["ticket_id"]], "status": "closed"}
        plan = await at.ask("update_tickets", **close)
        closed = await at.ask("update_tickets", **close, plan_token=plan["plan_token"])
        assert [result["ticket_status"] for result in closed["results"]] == ["closed"]

    history = await _history(at, customer_id)
    told = [(event["kind"], event.get("direction")) for event in history]
    assert ("email", "in") in told
    assert ("email", "out") in told
    assert {"ticket", "order"} <= {kind for kind, _ in told}
    # Both came within a second, which is all that mail knows of time.
    assert {(event["kind"], event["direction"]) for event in history[:2]} == {("email", "in"), ("email", "out")}
    return handed_over


async def test_a_case_from_its_first_email_to_its_end():
    async with office() as at:
        await the_case(at)


async def test_the_reply_is_sent_once_when_the_connection_drops_after_it():
    async with office() as at:
        lost_after = await the_case(at)
    async with office() as at:
        await the_case(at, lost_after=lost_after)


def delivered(at: Office, person: Person) -> list[Any]:
    return [mail for mail in mailbox(at).office.delivered if mail.to == person.email]


async def _history(at: Office, customer_id: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = await at.ask("get_customer_timeline", customer_id=customer_id, limit=50, **cursor)
        events += page["items"]
        if not page["page"]["has_more"]:
            return events
        cursor = {"cursor": page["page"]["next_cursor"]}
