"""HubSpot's records of people, and of what happened with them, in our words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backoffice_customer.backends.hubspot.access import HUBSPOT
from backoffice_customer.backends.hubspot.richtext import line_of
from backoffice_customer.models import Contact, Event, EventKind, Ref

# ------------------------------------------------------------------------------------------------------- owners


@dataclass(frozen=True, slots=True)
class Owner:
    id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Owners:
    """Owners by their id, and by the user that they are: `A-7001` is user 7001 where conversations name an agent."""

    by_id: Mapping[str, Owner] = field(default_factory=dict[str, Owner])
    by_actor: Mapping[str, Owner] = field(default_factory=dict[str, Owner])

    def with_more(self, more: Owners) -> Owners:
        return Owners({**self.by_id, **more.by_id}, {**self.by_actor, **more.by_actor})

    def name(self, owner_id: str | None) -> str | None:
        """What the owner is called; the id of one who is not known, for they may have left."""
        owner = self.by_id.get(owner_id or "")
        return owner.name if owner is not None else owner_id or None

    def id_of(self, email: str) -> str | None:
        wanted = email.lower()
        return next((owner.id for owner in self.by_id.values() if owner.email.lower() == wanted), None)


def owners(wire: Any) -> tuple[Owners, str | None]:
    rows = [(_owner(row), row.get("userId")) for row in wire["results"]]
    found = Owners(
        {owner.id: owner for owner, _ in rows},
        {f"A-{user}": owner for owner, user in rows if user is not None},
    )
    return found, wire.get("paging", {}).get("next", {}).get("after")


def _owner(wire: Any) -> Owner:
    name = " ".join(part for part in (wire.get("firstName"), wire.get("lastName")) if part)
    email: str = wire.get("email") or ""
    return Owner(wire["id"], name or email or wire["id"], email)


# ------------------------------------------------------------------------------------------------------- people

# What we read of a contact: HubSpot's own properties, and the one that an operator may add.
_CONTACT = (
    "firstname",
    "lastname",
    "email",
    "phone",
    "mobilephone",
    "company",
    "hubspot_owner_id",
    "lifecyclestage",
    "hs_language",
    "country",
    "hs_email_optout",
    "customer_tier",
)


@dataclass(frozen=True, slots=True)
class ContactProperties:
    """What is asked of a contact; `optouts` are those that say that no marketing e-mail is wanted."""

    properties: tuple[str, ...]
    optouts: tuple[str, ...]


def contact_properties(subscription: str) -> ContactProperties:
    """With the opt-out of this subscription type, beside the one of all e-mail."""
    if not subscription:
        return ContactProperties(_CONTACT, ("hs_email_optout",))
    own = f"hs_email_optout_{subscription}"
    return ContactProperties((*_CONTACT, own), ("hs_email_optout", own))


def contact(wire: Any, *, owners: Owners, consent: ContactProperties) -> Contact:
    properties: dict[str, str | None] = wire["properties"]
    name = " ".join(part for part in (properties.get("firstname"), properties.get("lastname")) if part)
    email = properties.get("email")
    return Contact(
        ref=Ref(HUBSPOT.name, "contact", wire["id"]),
        name=name or email or wire["id"],
        emails=[email.lower()] if email else [],
        phones=[phone for phone in (properties.get("phone"), properties.get("mobilephone")) if phone],
        company=properties.get("company") or None,
        owner=owners.name(properties.get("hubspot_owner_id")),
        tier=properties.get("customer_tier") or None,
        lifecycle=properties.get("lifecyclestage") or None,
        language=(properties.get("hs_language") or "").partition("-")[0] or None,
        country=properties.get("country") or None,
        email_marketing=_consents({properties.get(name) or "" for name in consent.optouts}),
        url=wire.get("url"),
        updated_at=wire["updatedAt"],
    )


def _consents(optouts: set[str]) -> bool | None:
    """One opt-out is enough. Where all are empty, nobody asked."""
    return False if "true" in optouts else True if "false" in optouts else None


# ------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Happening:
    """Where one kind of event is kept: which records, by which of their properties they are in order, what is read."""

    records: str
    at: str
    properties: tuple[str, ...]
    event: Callable[[Any, Owners], Event]


def _note(wire: Any, owners: Owners) -> Event:
    properties = wire["properties"]
    return _engagement(
        wire,
        "note",
        title="Note",
        summary=line_of(properties.get("hs_note_body") or "")[:240],
        actor=owners.name(properties.get("hubspot_owner_id")),
        direction="internal",
    )


def _email(wire: Any, owners: Owners) -> Event:
    properties = wire["properties"]
    inbound = properties.get("hs_email_direction") == INCOMING_EMAIL
    return _engagement(
        wire,
        "email",
        title=properties.get("hs_email_subject") or "E-mail",
        summary=line_of(properties.get("hs_email_text") or properties.get("hs_email_html") or "")[:240],
        actor=sender(properties) if inbound else owners.name(properties.get("hubspot_owner_id")) or sender(properties),
        direction="in" if inbound else "out",
    )


def _engagement(wire: Any, kind: EventKind, **said: Any) -> Event:
    """What all engagements have in common, with what is `said` of this one."""
    at = wire["properties"]["hs_timestamp"]
    native = f"{HUBSPOT.name}:{kind}:{wire['id']}"
    return Event(id=native, kind=kind, at=at, system=HUBSPOT.name, url=wire.get("url"), **said)


def _call(wire: Any, owners: Owners) -> Event:
    properties = wire["properties"]
    return _engagement(
        wire,
        "call",
        title=properties.get("hs_call_title") or "Call",
        summary=line_of(properties.get("hs_call_body") or "")[:240],
        actor=owners.name(properties.get("hubspot_owner_id")),
        direction=_CALL_DIRECTIONS.get(properties.get("hs_call_direction") or ""),
    )


def _meeting(wire: Any, owners: Owners) -> Event:
    properties = wire["properties"]
    return _engagement(
        wire,
        "meeting",
        title=properties.get("hs_meeting_title") or "Meeting",
        summary=line_of(properties.get("hs_meeting_body") or "")[:240],
        actor=owners.name(properties.get("hubspot_owner_id")),
    )


def _ticket(wire: Any, owners: Owners) -> Event:  # noqa: ARG001 - the owner answers it; the customer is who acted
    properties = wire["properties"]
    return Event(
        id=f"{HUBSPOT.name}:ticket:{wire['id']}",
        kind="ticket",
        at=properties["createdate"],
        title=properties.get("subject") or "",
        summary=line_of(properties.get("content") or "")[:240],
        direction="in",
        system=HUBSPOT.name,
        url=wire.get("url"),
    )


def sender(properties: Mapping[str, str | None]) -> str | None:
    """Who wrote an e-mail, by name or else by address."""
    names = (properties.get("hs_email_from_firstname"), properties.get("hs_email_from_lastname"))
    return " ".join(part for part in names if part) or properties.get("hs_email_from_email") or None


INCOMING_EMAIL = "INCOMING_EMAIL"
_CALL_DIRECTIONS: dict[str, Literal["in", "out"]] = {"INBOUND": "in", "OUTBOUND": "out"}

EMAIL = (
    "hs_timestamp",
    "hs_email_subject",
    "hs_email_text",
    "hs_email_html",
    "hs_email_direction",
    "hs_email_from_email",
    "hs_email_from_firstname",
    "hs_email_from_lastname",
    "hubspot_owner_id",
)
NOTE = ("hs_note_body", "hs_timestamp", "hubspot_owner_id")
_CALL = ("hs_timestamp", "hs_call_title", "hs_call_body", "hs_call_direction", "hubspot_owner_id")
_MEETING = ("hs_timestamp", "hs_meeting_title", "hs_meeting_body", "hubspot_owner_id")

HAPPENINGS: dict[EventKind, Happening] = {
    "note": Happening("notes", "hs_timestamp", NOTE, _note),
    "email": Happening("emails", "hs_timestamp", EMAIL, _email),
    "call": Happening("calls", "hs_timestamp", _CALL, _call),
    "meeting": Happening("meetings", "hs_timestamp", _MEETING, _meeting),
    "ticket": Happening("tickets", "createdate", ("subject", "content", "createdate"), _ticket),
}
