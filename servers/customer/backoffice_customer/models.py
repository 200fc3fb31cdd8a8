"""The words of this domain. Vendors' words stay in their folders; what models read is made of these.

Ids say where a thing lives: `hubspot:contact:512`, `zendesk:ticket:4711`, `shopify:order:1042`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, BaseModel, Field

from backoffice_shared.envelope import Answer, Listing, Page
from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money

TicketStatus = Literal["new", "open", "pending", "solved", "closed"]
Priority = Literal["low", "normal", "high", "urgent"]
PaymentStatus = Literal["pending", "paid", "partially_refunded", "refunded", "voided"]
FulfilmentStatus = Literal["unfulfilled", "partial", "fulfilled"]
EventKind = Literal["ticket", "order", "note"]


class Ref(NamedTuple):
    """Where a thing lives: the backend, the kind of thing, and the backend's own id."""

    backend: str
    kind: str
    native: str

    def __str__(self) -> str:
        return f"{self.backend}:{self.kind}:{self.native}"


def parse_ref(text: str, kinds: Mapping[str, str]) -> Ref:
    """The parts of an id. `kinds` are the kind of thing that each system of this server has.

    Raises:
        InvalidInput: it is not the id of such a thing, or names a system that this server does not have.
    """
    backend, _, rest = text.partition(":")
    kind, _, native = rest.partition(":")
    if not native or kind not in kinds.values():
        wanted = " or ".join(sorted(set(kinds.values())))
        raise InvalidInput(
            "", f"{text[:80]!r} is not the id of a {wanted}", hint="Take ids as other tools return them, unchanged"
        )
    if kinds.get(backend) != kind:
        raise InvalidInput("", f"{text[:80]!r}: this server has no such system", hint=f"It has {', '.join(kinds)}")
    return Ref(backend, kind, native)


# ------------------------------------------------------------------------------------------------ customers


class Contact(BaseModel):
    """One system's record of a person. Several of these, joined, are a customer."""

    ref: Ref
    name: str
    emails: list[str] = []
    phones: list[str] = []
    company: str | None = None
    owner: str | None = None
    tier: str | None = None
    lifecycle: str | None = None
    tags: list[str] = []
    language: str | None = None
    country: str | None = None
    email_marketing: bool | None = None
    spent: Money | None = None
    url: str | None = None
    updated_at: datetime | None = None


class Match(BaseModel):
    """Why a candidate is one. `confidence` is between 0 and 1; only an exact e-mail or id is 1.

    `number` is that of an order or a ticket of theirs.
    """

    by: Literal["id", "email", "number", "phone", "name", "text"]
    confidence: float


class Candidate(BaseModel):
    customer_id: str
    name: str
    email_masked: str | None = None
    company: str | None = None
    tier: str | None = None
    status: str | None = None
    last_activity_at: datetime | None = None
    match: Match


class Link(BaseModel):
    """The same person in another system, and what says that it is the same."""

    system: str
    id: str
    url: str | None = None
    matched_by: Literal["id", "email"]


class Preferences(BaseModel):
    """`email_marketing` by system: they can disagree, and then the refusal counts."""

    language: str | None = None
    country: str | None = None
    email_marketing: dict[str, bool] = {}


class Counts(BaseModel):
    """What is not known, because its system is missing or did not answer, is left out."""

    open_tickets: int | None = None
    orders_12m: int | None = None


class Customer(BaseModel):
    customer_id: str
    name: str
    emails: list[str] = []
    phones: list[str] = []
    company: str | None = None
    owner: str | None = None
    tier: str | None = None
    lifecycle: str | None = None
    tags: list[str] = []
    lifetime_value: Money | None = None
    preferences: Preferences | None = None
    counts: Counts | None = None
    links: list[Link] = []


class Customers(Listing[Customer]):
    not_found: list[str] = []


class Event(BaseModel):
    """One entry of a customer's history. `summary` has 240 characters at most and comes from outside."""

    id: str
    kind: EventKind
    at: datetime
    title: str
    summary: str | None = None
    actor: str | None = None
    direction: Literal["in", "out", "internal"] | None = None
    system: str
    url: str | None = None
    untrusted: Literal[True] = True


# -------------------------------------------------------------------------------------------------- tickets


class TicketRow(BaseModel):
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


class Comment(BaseModel):
    """A message of a ticket's thread. `public` is what the customer sees; `text` is theirs or an agent's words."""

    id: str
    at: datetime
    author: str | None = None
    role: Literal["customer", "agent", "system"]
    public: bool
    text: str
    truncated: bool | None = None
    untrusted: Literal[True] = True


class Ticket(Answer):
    page: Page = Page()
    ticket_id: str
    subject: str
    status: TicketStatus
    priority: Priority | None = None
    channel: str | None = None
    customer_id: str | None = None
    requester: str | None = None
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


# --------------------------------------------------------------------------------------------------- orders


class OrderRow(BaseModel):
    order_id: str
    number: str
    placed_at: datetime
    total: Money
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    items_count: int
    customer_id: str | None = None
    url: str | None = None


class OrderLine(BaseModel):
    """Quantities: ordered, not yet shipped, and still refundable."""

    sku: str | None = None
    title: str
    qty: int
    fulfillable_qty: int
    refundable_qty: int
    unit: Money


class Shipment(BaseModel):
    status: str
    carrier: str | None = None
    tracking: str | None = None
    tracking_url: str | None = None
    eta: datetime | None = None
    location: str | None = None


class Payment(BaseModel):
    at: datetime
    kind: str
    status: str
    amount: Money
    gateway: str | None = None


class Refund(BaseModel):
    refund_id: str
    at: datetime | None = None
    amount: Money
    note: str | None = None


class Order(Answer):
    order_id: str
    number: str
    placed_at: datetime
    total: Money
    refundable: Money | None = None
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    customer_id: str | None = None
    email: str | None = None
    url: str | None = None
    lines: list[OrderLine] = []
    shipments: list[Shipment] | None = None
    payments: list[Payment] | None = None
    refunds: list[Refund] | None = None


# ---------------------------------------------------------------------------------------- parameters of tools


def _moment(at: datetime) -> datetime:
    """Without a zone it is UTC, not wherever this server stands."""
    if not 1970 <= at.year <= 9998:
        raise ValueError("the year must be between 1970 and 9998")
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


Moment = Annotated[datetime, AfterValidator(_moment)]
CustomerId = Annotated[str, Field(min_length=1, max_length=120)]
TicketId = Annotated[str, Field(min_length=1, max_length=120)]
OrderId = Annotated[str, Field(min_length=1, max_length=120)]
Limit = Annotated[int, Field(ge=1, le=50)]
Cursor = Annotated[str, Field(max_length=2000, description="From page.next_cursor")]
Fields = Annotated[list[str], Field(max_length=40, description="Output fields; default concise")]
Key = Annotated[
    str, Field(min_length=8, max_length=255, pattern="^[!-~]+$", description="Reuse only to retry the same action")
]
