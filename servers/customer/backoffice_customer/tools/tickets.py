"""Support tickets."""

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
    Priority,
    Ticket,
    TicketId,
    TicketRow,
    TicketStatus,
)
from backoffice_customer.ports import CommentPage, TicketDraft, TicketQuery
from backoffice_customer.services import TheTickets
from backoffice_shared.envelope import Listing
from backoffice_shared.mcp.tool import ADD, READ, tool


@tool(READ, scope="customer:read", toolset="tickets", needs="tickets")
async def search_tickets(
    tickets: TheTickets,
    query: Annotated[str, Field(max_length=200)] | None = None,
    customer_id: CustomerId | None = None,
    status: list[TicketStatus] | None = None,
    priority: list[Priority] | None = None,
    assignee: Annotated[str, Field(max_length=120, description="Agent's email")] | None = None,
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
    return found.only(fields, TicketRow, always="ticket_id")


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


@tool(ADD, scope="customer:write", toolset="tickets", needs="tickets")
async def create_ticket(
    tickets: TheTickets,
    customer_id: CustomerId,
    subject: Annotated[str, Field(min_length=1, max_length=150)],
    body: Annotated[str, Field(min_length=1, max_length=20_000)],
    idempotency_key: Key,
    priority: Priority | None = None,
    tags: Annotated[list[str], Field(max_length=20)] | None = None,
    public: Annotated[bool, Field(description="Tell the customer; otherwise an internal note")] = False,  # noqa: FBT002
) -> CreatedTicket:
    """Open a ticket on behalf of a customer."""
    draft = TicketDraft(subject, body, priority, tuple(tags or ()), public)
    return await tickets.create(customer_id, draft, idempotency_key)


TOOLS = (search_tickets, get_ticket, create_ticket)
