"""Who the customer is, what happened with them, and what they wish."""

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
    Key,
    Limit,
    Moment,
    Noted,
    PreferenceChanges,
    PreferencesChanged,
)
from backoffice_customer.ports import NoteDraft, Span
from backoffice_customer.services import TheDirectory, TheProfiles, TheWishes
from backoffice_shared.envelope import Listing
from backoffice_shared.mcp.tool import ADD, DESTROY, READ, Arguments, tool


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
    include: list[Literal["counts", "preferences", "provenance"]] | None = None,
    fields: Fields | None = None,
) -> Customers:
    """Customer profiles with links to the same person in other systems, and where these disagree."""
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
    """Merged history of one customer, newest first."""
    return await profiles.events(customer_id, frozenset(kinds or ()), Span(since, until), limit=limit, cursor=cursor)


def _only_shown(arguments: Arguments) -> bool:
    return arguments.get("dry_run") is True


@tool(DESTROY, scope="customer:write", toolset="profile", needs="preferences", previews=_only_shown)
async def update_preferences(
    wishes: TheWishes,
    customer_id: CustomerId,
    changes: PreferenceChanges,
    reason: Annotated[str, Field(min_length=1, max_length=500)],
    idempotency_key: Key | None = None,  # noqa: ARG001 - the chain keeps it
    dry_run: bool = False,
) -> PreferencesChanged:
    """Change language and marketing consent in every system that holds them."""
    return await wishes.change(customer_id, changes, reason, dry_run=dry_run)


@tool(ADD, scope="customer:write", toolset="profile", needs="notes")
async def add_customer_note(
    profiles: TheProfiles,
    customer_id: CustomerId,
    body: Annotated[str, Field(min_length=1, max_length=20_000, description="Markdown")],
    related_ref: Annotated[str, Field(max_length=300, description="Id of a ticket, order, …")] | None = None,
    idempotency_key: Key | None = None,
) -> Noted:
    """Add an internal note to the customer's record."""
    return await profiles.add_note(customer_id, NoteDraft(body, related_ref), idempotency_key)


TOOLS = (find_customers, get_customers, get_customer_timeline, update_preferences, add_customer_note)
