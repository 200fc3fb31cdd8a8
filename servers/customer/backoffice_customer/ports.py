"""What this server asks of its backends. A vendor implements the ones that it can answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from backoffice_customer.models import (
    Article,
    ArticleRow,
    Contact,
    CreatedTicket,
    Event,
    EventKind,
    KnowledgeSource,
    Noted,
    Order,
    OrderRow,
    PreferenceChanges,
    PreferenceField,
    Priority,
    Sent,
    StockRow,
    Ticket,
    TicketRow,
    TicketState,
    TicketStatus,
)
from backoffice_shared.http.client import Written
from backoffice_shared.paging import Chunk

# --------------------------------------------------------------------------------------------------------- people


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

    async def events(
        self, who: Sequence[Contact], kinds: frozenset[EventKind], span: Span, cursor: str | None, limit: int
    ) -> Chunk[Event]:
        """Newest first. `kinds` are some of `event_kinds`; `who` are all records of one person, also other systems'."""
        ...


class Consents(Protocol):
    """What a person wishes to be sent, and in which language, as far as one system keeps that."""

    preference_fields: frozenset[PreferenceField]

    async def change_preferences(self, who: Contact, changes: PreferenceChanges, reason: str) -> Contact:
        """Set those of the changes that are among `preference_fields`. Setting them twice changes nothing more.

        Gives the record as it is afterwards.
        """
        ...


class Notebook(Protocol):
    """Internal notes on a person's record."""

    async def add_note(self, who: Contact, note: NoteDraft, key: str) -> Written[Noted]:
        """Once for each `key`."""
        ...


# -------------------------------------------------------------------------------------------------------- tickets


class Desk(Protocol):
    """Support tickets, to read."""

    async def search_tickets(self, query: TicketQuery, cursor: str | None, limit: int) -> Chunk[TicketRow]: ...

    async def count_open_tickets(self, who: Contact) -> int: ...

    async def ticket(self, native: str, comments: CommentPage | None) -> Ticket:
        """The ticket, with one page of its comments, newest first, when one is asked for.

        Raises:
            NotFound: there is no such ticket.
        """
        ...


class Opening(Protocol):
    """Opens tickets."""

    async def create_ticket(self, draft: TicketDraft, key: str) -> CreatedTicket:
        """Once for each `key`."""
        ...


class Editing(Protocol):
    """Changes tickets, in what the customer is not told. `closes`: it knows a closing that is for good."""

    closes: bool

    async def update_ticket(self, native: str, change: TicketChange, key: str) -> TicketState:
        """Once for each `key`.

        Raises:
            Conflict: the ticket is not in the expected version any more, or its state forbids the change.
            InvalidInput: this system cannot change that.
            NotFound: there is no such ticket.
        """
        ...


class Replying(Protocol):
    """Answers in a ticket's thread, for the customer to see."""

    async def reply(self, native: str, reply: Reply, key: str) -> Written[Sent]:
        """Once for each `key`: what cannot be known to have been sent is never sent again without looking.

        Raises:
            Conflict: something was added to the ticket since `reply.version`.
            OutcomeUnknown: nobody can say whether it was sent.
        """
        ...


class Mailing(Protocol):
    """Writes to an address, outside any ticket."""

    async def send(self, mail: Mail, key: str) -> Written[Sent]:
        """As `Replying.reply`."""
        ...


# --------------------------------------------------------------------------------------------- orders and articles


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


class Stockroom(Protocol):
    """What is in stock."""

    async def stock(self, skus: Sequence[str]) -> list[StockRow]:
        """One row for each place that keeps one of these. A SKU that nobody knows has none. At most 50."""
        ...


class Library(Protocol):
    """Articles. `kind` is the kind of its ids."""

    kind: str
    source: KnowledgeSource

    async def search_articles(self, query: ArticleQuery, limit: int) -> list[ArticleRow]:
        """Best first, as this system ranks them; `score` is left to the caller."""
        ...

    async def article(self, native: str) -> Article:
        """
        Raises:
            NotFound: there is no such article, or the caller may not see it.
        """
        ...


# ------------------------------------------------------------------------------------------------------- questions


@dataclass(frozen=True, slots=True)
class Span:
    """From `since` to `until`, both included, each open when None."""

    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class NoteDraft:
    """`body` is Markdown. `related` is the id of what it is about: a ticket, an order."""

    body: str
    related: str | None = None


@dataclass(frozen=True, slots=True)
class TicketQuery:
    """All that is given must hold. `emails` and `requesters`, the helpdesk's own ids, are one person's; any will do.

    `assignee` is an agent's e-mail address, or "none".
    """

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


@dataclass(frozen=True, slots=True)
class TicketChange:
    """What to change; None and empty stay as they are. `assignee` is an agent's e-mail address, or "none".

    `note` is internal: the customer never sees it. `version` is the one that the change is meant for, None for any.
    """

    status: TicketStatus | None = None
    priority: Priority | None = None
    assignee: str | None = None
    add_tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    note: str | None = None
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is Markdown, for the customer to read. `version` is the ticket's that was shown with the preview."""

    body: str
    version: str
    status_after: TicketStatus | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    to: str
    name: str
    subject: str
    body: str


OrderSection = Literal["shipments", "payments", "refunds", "returns"]


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


@dataclass(frozen=True, slots=True)
class ArticleQuery:
    """`space` is a wiki's space or a help centre's section, as the system calls it."""

    text: str
    space: str | None = None
    updated_since: datetime | None = None
