"""Support tickets: their threads, what may be changed of them, and what customers are told."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel

from backoffice_shared.envelope import Answer, Page

TicketStatus = Literal["new", "open", "pending", "on_hold", "solved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]


class TicketRow(BaseModel):
    on_request: ClassVar = frozenset({"url", "created_at"})

    ticket_id: str
    subject: str
    status: TicketStatus
    priority: Priority | None = None
    requester: str | None = None
    assignee: str | None = None
    created_at: datetime
    updated_at: datetime
    sla_due_at: datetime | None = None
    tags: list[str] = []
    url: str | None = None
    untrusted: Literal[True] = True


class Attachment(BaseModel):
    """A file of a message, by reference: its content stays where it is. `size` is in bytes."""

    name: str
    content_type: str
    size: int
    url: str | None = None


class Comment(BaseModel):
    """A message of a ticket's thread. `public` is what the customer sees; `text` is theirs or an agent's words."""

    id: str
    at: datetime
    author: str | None = None
    role: Literal["customer", "agent", "system"]
    public: bool
    text: str
    truncated: bool | None = None
    attachments: list[Attachment] | None = None
    untrusted: Literal[True] = True


class Ticket(Answer):
    """`version` changes with every change; `email` is the requester's address, to which a reply would go, and with it to
    those in `cc`."""

    page: Page = Page()
    ticket_id: str
    subject: str
    status: TicketStatus
    priority: Priority | None = None
    channel: str | None = None
    customer_id: str | None = None
    requester: str | None = None
    email: str | None = None
    cc: list[str] | None = None
    assignee: str | None = None
    tags: list[str] = []
    custom: dict[str, str] | None = None
    created_at: datetime
    updated_at: datetime
    version: str
    url: str | None = None
    untrusted: Literal[True] = True
    comments: list[Comment] = []


class CreatedTicket(Answer):
    """`replayed`: this key was used before, and this is the ticket of then."""

    ticket_id: str
    status: TicketStatus
    url: str | None = None
    replayed: bool
    idempotency_key: str


class TicketState(BaseModel):
    """A ticket after a change."""

    ticket_id: str
    status: TicketStatus
    version: str


class TicketOutcome(BaseModel):
    """What became of one ticket. "unknown": the change was sent, and no clear answer came."""

    ticket_id: str
    status: Literal["updated", "would_update", "conflict", "failed", "unknown"]
    ticket_status: TicketStatus | None = None
    version: str | None = None
    error: str | None = None


class UpdatedTickets(Answer):
    """With a `plan_token`, nothing was changed yet: call again with it to carry out what `results` says."""

    results: list[TicketOutcome]
    plan_token: str | None = None
    expires_at: datetime | None = None
    replayed: bool = False
    idempotency_key: str | None = None


class MessagePreview(BaseModel):
    """What the customer would be sent, and to which address."""

    to: str
    cc: list[str] | None = None
    channel: str
    subject: str | None = None
    body: str
    status_after: TicketStatus | None = None


class Sent(BaseModel):
    """A message that a customer can see. `status` is the ticket's after it; None when it is not known to have been set."""

    message_id: str
    sent_at: datetime
    status: TicketStatus | None = None


class Replied(Answer):
    """Either `preview` and `plan_token`: nothing was sent yet. Or `message_id` and `sent_at`: it was."""

    preview: MessagePreview | None = None
    plan_token: str | None = None
    expires_at: datetime | None = None
    message_id: str | None = None
    sent_at: datetime | None = None
    ticket_status: TicketStatus | None = None
    replayed: bool = False
    idempotency_key: str
