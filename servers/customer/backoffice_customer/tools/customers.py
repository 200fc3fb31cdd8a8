"""Who the customer is, and what happened with them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from backoffice_customer.models import (
    Candidate,
    Cursor,
    Customer,
    CustomerId,
    Customers,
    Event,
    EventKind,
    Fields,
    Limit,
    Moment,
)
from backoffice_customer.ports import Span
from backoffice_customer.services import TheDirectory, TheProfiles
from backoffice_shared.envelope import Listing
from backoffice_shared.mcp.tool import READ, tool


@tool(READ, scope="customer:read", toolset="profile", needs="people")
async def find_customers(
    directory: TheDirectory,
    query: Annotated[str, Field(max_length=200, description="Name, company, part of an email")] | None = None,
    identifiers: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=254)]],
        Field(max_length=25, description="Exact emails, phones, ids, order or ticket numbers"),
    ]
    | None = None,
    limit: Limit = 10,
    cursor: Cursor | None = None,
    fields: Fields | None = None,
) -> Listing[Candidate]:
    """Find customers by email, phone, name, company, order or ticket number. Never guesses: several candidates are returned with match confidence."""
    found = await directory.candidates(query, identifiers or [], limit=limit, cursor=cursor)
    return found.only(fields, Candidate, always="customer_id")


@tool(READ, scope="customer:read", toolset="profile", needs="people")
async def get_customers(
    profiles: TheProfiles,
    customer_ids: Annotated[list[CustomerId], Field(min_length=1, max_length=20)],
    include: list[Literal["counts", "preferences"]] | None = None,
    fields: Fields | None = None,
) -> Customers:
    """Customer profiles with links to the same person in other systems."""
    found = await profiles.get(customer_ids, frozenset(include or ()))
    return found.only(fields, Customer, always="customer_id")


@tool(READ, scope="customer:read", toolset="profile", needs="people")
async def get_customer_timeline(
    profiles: TheProfiles,
    customer_id: CustomerId,
    kinds: list[EventKind] | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    limit: Limit = 10,
    cursor: Cursor | None = None,
) -> Listing[Event]:
    """Merged history of one customer, newest first: tickets, orders, notes."""
    return await profiles.events(customer_id, frozenset(kinds or ()), Span(since, until), limit=limit, cursor=cursor)


TOOLS = (find_customers, get_customers, get_customer_timeline)
