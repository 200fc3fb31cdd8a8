"""What this server asks of its backends. A vendor implements the ones that it can answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from backoffice_customer.models import (
    Contact,
    CreatedTicket,
    Event,
    EventKind,
    Order,
    OrderRow,
    Priority,
    Ticket,
    TicketRow,
    TicketStatus,
)
from backoffice_shared.paging import Chunk


class People(Protocol):
    """Who somebody is, in one system. `kind` is the kind of its ids: "contact", "user" or "customer"."""

    kind: str

    async def contacts(self, natives: Sequence[str]) -> list[Contact]:
        """Those of these ids that exist, in any order. At most 20."""
        ...

    async def contacts_by_email(self, emails: Sequence[str]) -> list[Contact]:
        """Everybody with one of these addresses, whatever the case of its letters. At most 50."""
        ...

    async def contacts_by_number(self, number: str) -> list[Contact]:
        """Whose order or ticket has this number, as people write it: "1042" for #1042."""
        ...

    async def search_contacts(self, text: str, limit: int) -> list[Contact]:
        """Whoever `text` may mean: part of a name, an address, a phone number, a company. Best first."""
        ...


class History(Protocol):
    """One system's part of what happened with a person."""

    event_kinds: frozenset[EventKind]

    async def events(self, who: Sequence[Contact], span: Span, cursor: str | None, limit: int) -> Chunk[Event]:
        """Newest first."""
        ...


class Desk(Protocol):
    """Support tickets."""

    async def search_tickets(self, query: TicketQuery, cursor: str | None, limit: int) -> Chunk[TicketRow]: ...

    async def count_open_tickets(self, who: Contact) -> int: ...

    async def ticket(self, native: str, comments: CommentPage | None) -> Ticket:
        """The ticket, with one page of its comments, newest first, when one is asked for.

        Raises:
            NotFound: there is no such ticket.
        """
        ...

    async def create_ticket(self, draft: TicketDraft, key: str) -> CreatedTicket: ...


class Shop(Protocol):
    """Orders."""

    async def search_orders(self, query: OrderQuery, cursor: str | None, limit: int) -> Chunk[OrderRow]: ...

    async def count_orders(self, who: Contact, since: datetime) -> int: ...

    async def order(self, native: str, include: frozenset[OrderSection]) -> Order:
        """The order with its lines and the sections asked for.

        Raises:
            NotFound: there is no such order.
        """
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` to `until`, both included, each open when None."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class TicketQuery:
    """All that is given must hold. `emails` and `requesters`, the helpdesk's own ids, are one person's; any will do."""

    text: str | None = None
    emails: tuple[str, ...] = ()
    requesters: tuple[str, ...] = ()
    statuses: tuple[TicketStatus, ...] = ()
    priorities: tuple[Priority, ...] = ()
    assignee: str | None = None
    updated_since: datetime | None = None
    sort: Literal["updated", "created"] = "updated"


@dataclass(frozen=True, slots=True)
class CommentPage:
    cursor: str | None = None
    limit: int = 5
    max_chars: int = 1_000


@dataclass(frozen=True, slots=True)
class TicketDraft:
    """For `requester`, the helpdesk's own id, or else for whoever has this `name` and `email`.

    `public`: the customer is told. Otherwise the body is an internal note.
    """

    subject: str
    body: str
    priority: Priority | None
    tags: tuple[str, ...]
    public: bool
    requester: str | None = None
    name: str = ""
    email: str = ""


OrderSection = Literal["shipments", "payments", "refunds"]


@dataclass(frozen=True, slots=True)
class OrderQuery:
    """All that is given must hold. `customers` are the shop's own ids; any of them will do."""

    customers: tuple[str, ...] = ()
    number: str | None = None
    email: str | None = None
    payment: tuple[str, ...] = ()
    fulfilment: tuple[str, ...] = ()
    sku: str | None = None
    since: datetime | None = None
