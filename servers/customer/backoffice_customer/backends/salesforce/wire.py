"""Salesforce's records of people, and of what happened with them, in our words.

Source: Contact, Task, Event, EmailMessage and EmailMessageRelation in the Object Reference,
https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from backoffice_customer.backends.salesforce.soql import is_id, moment, select, text, texts
from backoffice_customer.backends.salesforce.timeline import Source
from backoffice_customer.models import Contact, Event, EventKind, Ref
from backoffice_customer.ports import Span

SYSTEM, TITLE = "salesforce", "Salesforce"
CONTACT, CASE = "003", "500"
"""What the ids of contacts and cases begin with."""

CONTACT_FIELDS = ", ".join(
    (
        "Id",
        "Name",
        "Email",
        "Phone",
        "MobilePhone",
        "Account.Name",
        "Owner.Name",
        "MailingCountry",
        "HasOptedOutOfEmail",
        "LastModifiedDate",
    )
)
NOTE_SUBJECT = "Note"
NO_DRAFT = "Status != '5'"
"""Of an e-mail: somebody is still writing a draft, and nobody was sent it."""

Url = Callable[[str], str]
"""Where people see the record with this id."""


def own_ids(who: Iterable[Contact]) -> list[str]:
    refs = (contact.ref for contact in who)
    return [ref.native for ref in refs if ref.backend == SYSTEM and is_id(ref.native, CONTACT)]


def contacts(wire: Any, *, url: Url) -> list[Contact]:
    return [_contact(row, url) for row in wire["records"]]


def _contact(wire: Any, url: Url) -> Contact:
    email: str | None = wire["Email"]
    return Contact(
        ref=Ref(SYSTEM, "contact", wire["Id"]),
        name=wire["Name"],
        emails=[email.lower()] if email else [],
        phones=[phone for phone in (wire["Phone"], wire["MobilePhone"]) if phone],
        company=name(wire["Account"]),
        owner=name(wire["Owner"]),
        country=wire["MailingCountry"],
        email_marketing=not wire["HasOptedOutOfEmail"],
        url=url(wire["Id"]),
        updated_at=wire["LastModifiedDate"],
    )


def name(related: Any) -> str | None:
    return None if related is None else related["Name"]


# ---------------------------------------------------------------------------------------------------------- events


def event_sources(people: Sequence[str], kinds: frozenset[EventKind], span: Span) -> list[Source]:
    """Calls and notes are both completed tasks. E-mails go by whom they name, whichever record they hang on."""
    activities = {"call": "Call", "note": "Task"}
    subtypes = [subtype for kind, subtype in activities.items() if kind in kinds]
    sources: list[Source] = []
    if subtypes:
        where = (
            f"WhoId IN {texts(people)} AND IsClosed = true AND TaskSubtype IN {texts(subtypes)} AND IsDeleted = false"
        )
        fields = "Id, Subject, Description, TaskSubtype, CallType, CreatedDate, Owner.Name"
        sources.append(Source("Task", fields, "CreatedDate", where, archived=True))
    if "meeting" in kinds:
        where = f"WhoId IN {texts(people)} AND IsDeleted = false"
        fields = "Id, Subject, Description, StartDateTime, Owner.Name"
        sources.append(Source("Event", fields, "StartDateTime", where, archived=True))
    if "email" in kinds:
        named = select("EmailMessageId", "EmailMessageRelation", f"RelationId IN {texts(people)}")
        fields = "Id, Subject, TextBody, Incoming, MessageDate, FromName"
        sources.append(Source("EmailMessage", fields, "MessageDate", f"Id IN ({named}) AND {NO_DRAFT}"))
    if "ticket" in kinds:
        fields = "Id, Subject, Description, CreatedDate, Contact.Name"
        sources.append(Source("Case", fields, "CreatedDate", f"ContactId IN {texts(people)}"))
    return [_within(source, span) for source in sources]


def _within(source: Source, span: Span) -> Source:
    where = source.where
    if span.since is not None:
        where += f" AND {source.at} >= {moment(span.since)}"
    if span.until is not None:
        where += f" AND {source.at} <= {moment(span.until)}"
    return Source(source.table, source.fields, source.at, where, archived=source.archived)


def event(table: str, wire: Any, *, url: Url) -> Event:
    match table:
        case "Task":
            called = wire["TaskSubtype"] == "Call"
            direction = _CALLS.get(wire["CallType"] or "") if called else "internal"
            return _event("call" if called else "note", wire, "CreatedDate", wire["Owner"], direction, url)
        case "Event":
            return _event("meeting", wire, "StartDateTime", wire["Owner"], None, url)
        case "EmailMessage":
            message = {**wire, "Description": wire["TextBody"]}
            sender = None if wire["FromName"] is None else {"Name": wire["FromName"]}
            return _event("email", message, "MessageDate", sender, "in" if wire["Incoming"] else "out", url)
        case _:
            return _event("ticket", wire, "CreatedDate", wire["Contact"], "in", url)


Direction = Literal["in", "out", "internal"]

_CALLS: dict[str, Direction] = {"Inbound": "in", "Outbound": "out", "Internal": "internal"}


def _event(kind: EventKind, wire: Any, at: str, actor: Any, direction: Direction | None, url: Url) -> Event:
    return Event(
        id=f"{SYSTEM}:{kind}:{wire['Id']}",
        kind=kind,
        at=wire[at],
        title=wire["Subject"] or kind.title(),
        summary=" ".join((wire["Description"] or "").split())[:240] or None,
        actor=name(actor),
        direction=direction,
        system=SYSTEM,
        url=url(wire["Id"]),
    )


# ----------------------------------------------------------------------------------------------------------- notes


def note(who: Contact, body: str, related: str | None) -> dict[str, object]:
    """A completed task: it shows in the contact's activities, and takes one request where a ContentNote takes two.

    `related` becomes the task's case where it is one, and else a last line.
    """
    case = (related or "").removeprefix(f"{SYSTEM}:ticket:")
    linked = {"WhatId": case} if related is not None and case != related else {}
    about = f"\n\nAbout {related}" if related is not None and not linked else ""
    return {
        "WhoId": who.ref.native,
        "Subject": NOTE_SUBJECT,
        "Description": body + about,
        "Status": "Completed",
        **linked,
    }


def same_text(one: str | None, other: str | None) -> bool:
    """Whether it is the same but for white space, which Salesforce trims."""
    return (one or "").split() == (other or "").split()


def same_id(one: str | None, other: str | None) -> bool:
    """Whether it is the same record's: three of an id's eighteen characters only repeat what the others say."""
    return (one or "")[:15] == (other or "")[:15]


def new_id(wire: Any) -> str:
    """Of the record that was made."""
    if wire["success"] is not True:
        raise ValueError("it was not made")
    return wire["id"]


def found_note(wire: Any, *, fields: dict[str, object]) -> str | None:
    """The id of the task that has these fields. Long texts cannot be asked for in a query."""
    about, said = str(fields.get("WhatId", "")), str(fields["Description"])
    same = (row for row in wire["records"] if same_id(row["WhatId"], about) and same_text(row["Description"], said))
    return next((row["Id"] for row in same), None)


def notes_since(who: Contact, since: str) -> str:
    where = f"WhoId = {text(who.ref.native)} AND Subject = {text(NOTE_SUBJECT)} AND CreatedDate >= {since}"
    return select("Id, WhatId, Description", "Task", where, order="CreatedDate DESC", limit=50)
