"""The sandbox's conversations: the e-mails of every second ticket, as threads of messages.

Source: https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from html import escape
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_customer.backends.hubspot.access import THREADS
from backoffice_customer.backends.hubspot.answers import (
    Record,
    Refused,
    body,
    invalid_json,
    not_found,
    number,
    page,
    required,
    time,
    whole,
)
from backoffice_customer.backends.hubspot.portal import (
    FIRST_CONTACT,
    FIRST_OWNER,
    FIRST_TICKET,
    FIRST_USER,
    Portal,
    has_thread,
)
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.company import Agent, Comment, Ticket

_FIRST_THREAD = 8_000_001
EMAIL_CHANNEL, MAILBOX = "1002", "5501"
_INBOX = "801"
_MAILBOX_ADDRESS = "support@northwind.example"
LONGEST = 4_000
"""Characters that are given of a message. The whole of a longer one is its original content."""


class Inbox:
    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self._written: dict[int, list[Record]] = {}  # by the number of the thread

    def routes(self) -> Iterator[Route]:
        yield Route(THREADS, self.threads, methods=["GET"])
        yield Route(f"{THREADS}/{{id}}", self.one_thread, methods=["GET"])
        yield Route(f"{THREADS}/{{id}}/messages", self.messages, methods=["GET"])
        yield Route(f"{THREADS}/{{id}}/messages", self.send, methods=["POST"])
        yield Route(f"{THREADS}/{{id}}/messages/{{message}}/original-content", self.original, methods=["GET"])

    async def threads(self, request: Request) -> Response:
        asked = dict(request.query_params)
        tickets: list[Ticket] = self._portal.company.inquiries
        if (wanted := asked.get("associatedTicketId")) is not None:
            ticket = self._portal.inquiry(number(wanted))
            tickets = [] if ticket is None else [ticket]
        if (contact := asked.get("associatedContactId")) is not None:
            tickets = [ticket for ticket in tickets if FIRST_CONTACT + ticket.person == number(contact)]
        found = [ticket for ticket in tickets if has_thread(ticket)]
        rows, following = page(found, whole(asked, "after", 0), whole(asked, "limit", 100))
        with_ticket = "TICKET" in request.query_params.getlist("association")
        return JSONResponse({"results": [self._thread(row, with_ticket=with_ticket) for row in rows], **following})

    async def one_thread(self, request: Request) -> Response:
        with_ticket = "TICKET" in request.query_params.getlist("association")
        return JSONResponse(self._thread(self._asked(request), with_ticket=with_ticket))

    async def messages(self, request: Request) -> Response:
        ticket, asked = self._asked(request), dict(request.query_params)
        said = self._said(ticket)
        if asked.get("sort", "-createdAt") == "-createdAt":
            said.reverse()
        rows, following = page(said, whole(asked, "after", 0), whole(asked, "limit", 100))
        return JSONResponse({"results": [_cut(row) for row in rows], **following})

    async def original(self, request: Request) -> Response:
        said = self._said(self._asked(request))
        for row in said:
            if row["id"] == request.path_params["message"]:
                return JSONResponse({"text": row["text"], "richText": row["richText"]})
        raise not_found()

    async def send(self, request: Request) -> Response:
        ticket, wanted = self._asked(request), await body(request)
        required(wanted, "PublicMessageEgg", "type", "text", "attachments")
        if wanted["type"] == "COMMENT":
            message = self._aside(ticket, wanted)
        elif wanted["type"] == "MESSAGE":
            message = self._answer(ticket, wanted)
        else:
            raise invalid_json(f"{wanted['type']} is not a known type", "type")
        self._written.setdefault(_thread_of(ticket), []).append(message)
        if message["type"] == "MESSAGE":
            self._log(ticket, message)
        self._portal.change("tickets", FIRST_TICKET + ticket.number, {})
        return JSONResponse(_cut(message), 201)

    def _log(self, ticket: Ticket, message: Record) -> None:
        """What is sent is an e-mail in the CRM as well."""
        agent = self._agent(message["createdBy"])
        first, _, last = agent.name.partition(" ")
        written = {
            "hs_timestamp": message["createdAt"],
            "hs_email_subject": message.get("subject"),
            "hs_email_text": message["text"],
            "hs_email_html": message["richText"],
            "hs_email_direction": "EMAIL",
            "hs_email_status": "SENT",
            "hs_email_from_email": _MAILBOX_ADDRESS,
            "hs_email_from_firstname": first,
            "hs_email_from_lastname": last,
            "hubspot_owner_id": str(FIRST_OWNER + agent.number),
        }
        links = [("tickets", FIRST_TICKET + ticket.number), ("contacts", FIRST_CONTACT + ticket.person)]
        self._portal.create("emails", written, links)

    def _answer(self, ticket: Ticket, wanted: Record) -> Record:
        required(
            wanted, "PublicConversationsMessageEgg", "recipients", "senderActorId", "channelId", "channelAccountId"
        )
        agent = self._agent(str(wanted["senderActorId"]))
        if (wanted["channelId"], wanted["channelAccountId"]) != (EMAIL_CHANNEL, MAILBOX):
            raise Refused("The channel account does not belong to the channel of this thread", "channelAccountId")
        recipients = [_recipient(obj(row)) for row in arr(wanted["recipients"])]
        if not recipients:
            raise Refused("At least one recipient is required", "recipients")
        base = self._base(ticket, datetime.now(UTC), f"A-{FIRST_USER + agent.number}", recipients=recipients)
        subject = wanted.get("subject")
        return {
            **base,
            "type": "MESSAGE",
            "senders": [_sender_agent(agent)],
            "direction": "OUTGOING",
            "channelId": EMAIL_CHANNEL,
            "channelAccountId": MAILBOX,
            "text": wanted["text"],
            "richText": wanted.get("richText") or wanted["text"],
            "attachments": [],
            "truncationStatus": "NOT_TRUNCATED",
            "status": {"statusType": "SENT"},
            **({"subject": subject} if subject else {}),
        }

    def _aside(self, ticket: Ticket, wanted: Record) -> Record:
        """What agents tell each other."""
        agent = self._portal.company.agents[0]
        base = self._base(ticket, datetime.now(UTC), f"A-{FIRST_USER + agent.number}", recipients=[])
        text = str(wanted["text"])
        rich = str(wanted.get("richText") or text)
        return {**base, "type": "COMMENT", "senders": [], "text": text, "richText": rich, "attachments": []}

    # ------------------------------------------------------------------------------------- the company's, as threads

    def _asked(self, request: Request) -> Ticket:
        place = number(request.path_params["id"]) - _FIRST_THREAD
        ticket = self._portal.inquiry(FIRST_TICKET + place)
        if ticket is None or not has_thread(ticket):
            raise not_found()
        return ticket

    def _thread(self, ticket: Ticket, *, with_ticket: bool) -> Record:
        said = self._said(ticket)
        latest = said[-1]["createdAt"]
        received = [row["createdAt"] for row in said if row.get("direction") == "INCOMING"]
        sent = [row["createdAt"] for row in said if row.get("direction") == "OUTGOING"]
        associated = {"threadAssociations": {"associatedTicketId": str(FIRST_TICKET + ticket.number)}}
        return {
            "id": str(_thread_of(ticket)),
            "createdAt": time(ticket.created_at),
            "status": "CLOSED" if ticket.status in ("solved", "closed") else "OPEN",
            "inboxId": _INBOX,
            "originalChannelId": EMAIL_CHANNEL,
            "originalChannelAccountId": MAILBOX,
            "associatedContactId": str(FIRST_CONTACT + ticket.person),
            "latestMessageTimestamp": latest,
            **({"latestMessageReceivedTimestamp": received[-1]} if received else {}),
            **({"latestMessageSentTimestamp": sent[-1]} if sent else {}),
            **({} if ticket.status == "new" else {"assignedTo": f"A-{FIRST_USER + self._assignee(ticket).number}"}),
            **(associated if with_ticket else {}),
            "spam": False,
            "archived": False,
        }

    def _said(self, ticket: Ticket) -> list[Record]:
        """Oldest first."""
        public = [comment for comment in self._portal.company.thread(ticket) if comment.public]
        given = [self._message(ticket, n, comment) for n, comment in enumerate(public)]
        return [*given, *self._written.get(_thread_of(ticket), [])]

    def _message(self, ticket: Ticket, place: int, comment: Comment) -> Record:
        person = self._portal.company.people[ticket.person]
        visitor = {
            "actorId": f"V-{FIRST_CONTACT + person.number}",
            "name": person.name,
            "deliveryIdentifier": {"type": "HS_EMAIL_ADDRESS", "value": person.email},
        }
        mailbox = {"deliveryIdentifier": {"type": "HS_EMAIL_ADDRESS", "value": _MAILBOX_ADDRESS}}
        agent = None if comment.agent is None else self._portal.company.agents[comment.agent]
        sender = {**visitor, "senderField": "FROM"} if agent is None else _sender_agent(agent)
        recipient = {**(mailbox if agent is None else visitor), "recipientField": "TO"}
        author = visitor["actorId"] if agent is None else f"A-{FIRST_USER + agent.number}"
        return {
            **self._base(ticket, comment.at, str(author), recipients=[recipient], place=place),
            "type": "MESSAGE",
            "senders": [sender],
            "direction": "INCOMING" if agent is None else "OUTGOING",
            "channelId": EMAIL_CHANNEL,
            "channelAccountId": MAILBOX,
            "subject": ticket.subject if place == 0 else f"Re: {ticket.subject}",
            "text": comment.text,
            "richText": f"<p>{escape(comment.text)}</p>",
            "attachments": [],
            "truncationStatus": "NOT_TRUNCATED",
            "status": {"statusType": "RECEIVED" if agent is None else "SENT"},
        }

    def _base(
        self, ticket: Ticket, at: datetime, author: str, *, recipients: list[Record], place: int | None = None
    ) -> Record:
        thread = _thread_of(ticket)
        index = 100 + len(self._written.get(thread, [])) if place is None else place
        return {
            "id": f"{thread:016x}{index:016x}",
            "conversationsThreadId": str(thread),
            "createdAt": time(at),
            "createdBy": author,
            "client": {"clientType": "HUBSPOT" if place is not None else "INTEGRATION"},
            "recipients": recipients,
            "archived": False,
        }

    def _assignee(self, ticket: Ticket) -> Agent:
        agents = self._portal.company.agents
        return agents[ticket.number % len(agents)]

    def _agent(self, actor: str) -> Agent:
        place = number(actor.removeprefix("A-")) - FIRST_USER
        if not actor.startswith("A-") or not 0 <= place < len(self._portal.company.agents):
            raise Refused(f"{actor[:40]} is not an agent who can send messages", "senderActorId")
        return self._portal.company.agents[place]


def _cut(message: Record) -> Record:
    if message["type"] != "MESSAGE" or max(len(message["text"]), len(message["richText"])) <= LONGEST:
        return message
    given = {name: message[name][:LONGEST] for name in ("text", "richText")}
    return {**message, **given, "truncationStatus": "TRUNCATED"}


def _thread_of(ticket: Ticket) -> int:
    return _FIRST_THREAD + ticket.number


def _sender_agent(agent: Agent) -> Record:
    return {
        "actorId": f"A-{FIRST_USER + agent.number}",
        "name": agent.name,
        "senderField": "FROM",
        "deliveryIdentifier": {"type": "HS_EMAIL_ADDRESS", "value": _MAILBOX_ADDRESS},
    }


def _recipient(wanted: Record) -> Record:
    required(wanted, "PublicRecipientEgg", "deliveryIdentifiers")
    identifiers: list[Any] = arr(wanted["deliveryIdentifiers"])
    if not identifiers:
        raise Refused("A recipient needs a delivery identifier", "recipients")
    required(obj(identifiers[0]), "PublicDeliveryIdentifier", "type", "value")
    given = {name: wanted[name] for name in ("actorId", "name") if wanted.get(name)}
    return {**given, "recipientField": wanted.get("recipientField") or "TO", "deliveryIdentifier": identifiers[0]}
