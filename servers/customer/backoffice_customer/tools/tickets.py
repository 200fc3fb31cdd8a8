"""Support tickets, and what customers are told."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backoffice_customer.models import (
    CreatedTicket,
    Cursor,
    CustomerId,
    Fields,
    Key,
    Limit,
    Moment,
    PlanToken,
    Priority,
    Replied,
    Ticket,
    TicketId,
    TicketRow,
    TicketStatus,
    UpdatedTickets,
)
from backoffice_customer.ports import CommentPage, TicketChange, TicketDraft, TicketQuery
from backoffice_customer.services import TheReplies, TheTickets
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.tool import ADD, DESTROY, READ, Arguments, tool

Tag = Annotated[str, Field(min_length=1, max_length=80)]
Tags = Annotated[list[Tag], Field(max_length=20)]
Body = Annotated[str, Field(min_length=1, max_length=20_000, description="Markdown")]


@tool(READ, scope="customer:read", toolset="tickets", needs="tickets")
async def search_tickets(
    tickets: TheTickets,
    query: Annotated[str, Field(max_length=200)] | None = None,
    customer_id: CustomerId | None = None,
    status: list[TicketStatus] | None = None,
    priority: list[Priority] | None = None,
    assignee: Annotated[str, Field(max_length=120, description="Agent's email, or none")] | None = None,
    updated_since: Moment | None = None,
    sort: Literal["updated", "created"] = "updated",
    limit: Limit = 10,
    cursor: Cursor | None = None,
    fields: Fields | None = None,
) -> Listing[TicketRow]:
    """Search support tickets by text and filters, newest first."""
    wanted = TicketQuery(
        text=query,
        statuses=tuple(status or ()),
        priorities=tuple(priority or ()),
        assignee=assignee,
        updated_since=updated_since,
        sort=sort,
    )
    found = await tickets.search(wanted, customer_id=customer_id, limit=limit, cursor=cursor)
    return found.only(fields, TicketRow, always="ticket_id", besides=("created_at",) if sort == "created" else ())


@tool(READ, scope="customer:read", toolset="tickets", needs="tickets")
async def get_ticket(
    tickets: TheTickets,
    ticket_id: TicketId,
    include: Annotated[list[Literal["comments", "custom"]], Field(description="Default comments")] | None = None,
    comment_limit: Annotated[int, Field(ge=1, le=50)] = 5,
    comment_cursor: Cursor | None = None,
    max_chars: Annotated[int, Field(ge=50, le=8000, description="Of each comment")] = 1000,
) -> Ticket:
    """One ticket with its latest comments, newest first."""
    sections = frozenset(include or ("comments",))
    comments = CommentPage(comment_cursor, comment_limit, max_chars) if "comments" in sections else None
    return await tickets.get(ticket_id, comments, custom="custom" in sections)


@tool(ADD, scope="customer:write", toolset="tickets", needs="tickets_open")
async def create_ticket(
    tickets: TheTickets,
    customer_id: CustomerId,
    subject: Annotated[str, Field(min_length=1, max_length=150)],
    body: Body,
    idempotency_key: Key,
    priority: Priority | None = None,
    tags: Tags | None = None,
) -> CreatedTicket:
    """Open a ticket for a customer, with an internal note that they do not see."""
    draft = TicketDraft(subject, body, priority, tuple(tags or ()), public=False)
    return await tickets.create(customer_id, draft, idempotency_key)


def _only_planned(arguments: Arguments) -> bool:
    return arguments.get("status") == "closed" and arguments.get("plan_token") is None


@tool(DESTROY, scope="customer:write", toolset="tickets", needs="tickets_edit", previews=_only_planned)
async def update_tickets(
    tickets: TheTickets,
    ticket_ids: Annotated[list[TicketId], Field(min_length=1, max_length=50)],
    status: Literal["open", "pending", "on_hold", "solved", "closed"] | None = None,
    priority: Priority | None = None,
    assignee: Annotated[str, Field(max_length=120, description="Agent's email, or none")] | None = None,
    add_tags: Tags | None = None,
    remove_tags: Tags | None = None,
    internal_note: Annotated[str, Field(min_length=1, max_length=20_000)] | None = None,
    expected_version: Annotated[str, Field(max_length=200, description="From get_ticket; conflict if changed")]
    | None = None,
    idempotency_key: Key | None = None,
    plan_token: PlanToken | None = None,
) -> UpdatedTickets:
    """Change status, priority, assignee or tags, or add an internal note. Closing is irreversible and needs a plan_token."""
    change = TicketChange(
        status=status,
        priority=priority,
        assignee=assignee,
        add_tags=tuple(add_tags or ()),
        remove_tags=tuple(remove_tags or ()),
        note=internal_note,
        version=expected_version,
    )
    return await tickets.update(ticket_ids, change, idempotency_key=idempotency_key, plan_token=plan_token)


def _only_previewed(arguments: Arguments) -> bool:
    return arguments.get("plan_token") is None


@tool(DESTROY, scope="customer:message", toolset="tickets", needs="replies", previews=_only_previewed)
async def reply_to_customer(
    replies: TheReplies,
    body: Body,
    idempotency_key: Key,
    ticket_id: Annotated[TicketId, Field(description="Replies in the thread")] | None = None,
    customer_id: Annotated[CustomerId, Field(description="Sends an email when there is no ticket")] | None = None,
    subject: Annotated[str, Field(min_length=1, max_length=150, description="Of that email")] | None = None,
    status_after: Literal["open", "pending", "solved"] | None = None,
    plan_token: PlanToken | None = None,
) -> Replied:
    """Send a message the customer will see. First call returns a preview and plan_token; the second sends. Cannot be unsent."""
    if ticket_id is not None and customer_id is None and subject is None:
        return await replies.to_ticket(ticket_id, body, status_after, key=idempotency_key, plan_token=plan_token)
    if customer_id is not None and ticket_id is None and subject is not None and status_after is None:
        return await replies.to_customer(customer_id, subject, body, key=idempotency_key, plan_token=plan_token)
    raise InvalidInput("", "give a ticket_id, with status_after if you like; or a customer_id and a subject")


TOOLS = (search_tickets, get_ticket, create_ticket, update_tickets, reply_to_customer)
