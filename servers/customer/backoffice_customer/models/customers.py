"""A customer: one person, as several systems know them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from backoffice_shared.envelope import Answer, Listing
from backoffice_shared.money import Money
from backoffice_shared.refs import Ref

EventKind = Literal["ticket", "email", "chat", "call", "meeting", "note", "order", "refund"]


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
    sms_marketing: bool | None = None
    spent: Money | None = None
    url: str | None = None
    updated_at: datetime | None = None


class Match(BaseModel):
    """Why a candidate is one. `confidence` is between 0 and 1; only an exact e-mail or id is 1.

    `number` is that of an order or a ticket of theirs. `found_in` are the systems whose records say so.
    """

    by: Literal["id", "email", "number", "phone", "name", "company", "text"]
    confidence: float
    found_in: list[str] = []


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
    """Consent by system: they can disagree, and then the refusal counts."""

    language: str | None = None
    country: str | None = None
    email_marketing: dict[str, bool] = {}
    sms_marketing: dict[str, bool] = {}


PreferenceField = Literal["language", "email_marketing", "sms_marketing"]


class PreferenceChanges(BaseModel):
    # What is left out stays. A docstring here would be told to every model, in every conversation.

    model_config = ConfigDict(extra="forbid")

    language: str | None = Field(default=None, pattern="^[a-z]{2}$")
    email_marketing: bool | None = None
    sms_marketing: bool | None = None

    @property
    def fields(self) -> frozenset[PreferenceField]:
        given: dict[PreferenceField, object] = {
            "language": self.language,
            "email_marketing": self.email_marketing,
            "sms_marketing": self.sms_marketing,
        }
        return frozenset(name for name, value in given.items() if value is not None)


class SystemOutcome(BaseModel):
    """What became of a change in one system. "skipped": it is not among the systems that the
    caller may change."""

    system: str
    status: Literal["updated", "unchanged", "would_update", "skipped", "failed", "unknown"]
    fields: list[str] = []
    error: str | None = None


class PreferencesChanged(Answer):
    """`before` and `after` by system, as it says them."""

    customer_id: str
    before: Preferences
    after: Preferences
    per_system: list[SystemOutcome]
    dry_run: bool = False


class Counts(BaseModel):
    """What is not known, because its system is missing or did not answer, is left out."""

    open_tickets: int | None = None
    orders_12m: int | None = None


class Difference(BaseModel):
    """Systems disagree about this field of the profile; the profile has what the first of them says."""

    field: str
    values: dict[str, str]


class Customer(BaseModel):
    """`provenance` names the system that each field was taken from."""

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
    conflicts: list[Difference] = []
    provenance: dict[str, str] | None = None


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


class Noted(Answer):
    """A note that was added to a customer's record. `replayed`: this key was used before, and this is the note of then."""

    note_id: str
    url: str | None = None
    replayed: bool
    idempotency_key: str | None = None
