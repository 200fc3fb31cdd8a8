"""Cases and their threads, in our words.

A thread is the case's description, the comments on the case and the e-mails that hang on it. Status and priority are
those that a new org comes with; of what an org has added, a case that is not closed counts as open. A closed one is
"solved", as it can be opened again.

Source: Case, CaseComment and EmailMessage in the Object Reference,
https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import partial
from hashlib import sha256
from typing import Any, Literal

from backoffice_customer.backends.salesforce.composite import Part, create, literal, query
from backoffice_customer.backends.salesforce.soql import is_id, moment, select, text, texts
from backoffice_customer.backends.salesforce.timeline import Source
from backoffice_customer.backends.salesforce.wire import (
    CASE,
    CONTACT,
    NO_DRAFT,
    SYSTEM,
    TITLE,
    Url,
    name,
    same_id,
    same_text,
)
from backoffice_customer.models import (
    Comment,
    CreatedTicket,
    Priority,
    Ref,
    Sent,
    Ticket,
    TicketRow,
    TicketState,
    TicketStatus,
)
from backoffice_customer.ports import TicketDraft, TicketQuery
from backoffice_shared.errors import InvalidInput, NotFound
from backoffice_shared.jsonvalues import arr, canonical, obj

ROW_FIELDS = (
    "Id, Subject, Status, Priority, IsClosed, CreatedDate, LastModifiedDate, Contact.Name, SuppliedName, Owner.Name,"
    " Owner.Type"
)
_FIELDS = f"{ROW_FIELDS}, CaseNumber, Origin, Type, Reason, OwnerId, ContactId, Contact.Email, SuppliedEmail"

STATE_FIELDS = ("Subject", "Status", "Priority", "OwnerId", "IsClosed", "LastModifiedDate")

_STATUSES: dict[str, TicketStatus] = {
    "New": "new",
    "Working": "open",
    "Escalated": "open",
    "On Hold": "on_hold",
    "Closed": "solved",
}
_SET: dict[TicketStatus, str] = {"new": "New", "open": "Working", "on_hold": "On Hold", "solved": "Closed"}
_ASKED: dict[TicketStatus, str] = {
    "new": "Status = 'New'",
    "open": "(IsClosed = false AND Status NOT IN ('New', 'On Hold'))",
    "on_hold": "Status = 'On Hold'",
    "solved": "IsClosed = true",
}
_PRIORITIES: dict[str, Priority] = {"Low": "low", "Medium": "normal", "High": "high"}
_PRIORITY_SET: dict[Priority, str] = {ours: theirs for theirs, ours in _PRIORITIES.items()}


def checked(native: str) -> str:
    """
    Raises:
        NotFound: it cannot be the id of a case.
    """
    if not is_id(native, CASE):
        raise NotFound(TITLE, f"there is no case {native[:40]!r}")
    return native


def status(wanted: TicketStatus) -> str:
    """
    Raises:
        InvalidInput: cases do not have that.
    """
    if wanted not in _SET:
        raise InvalidInput(TITLE, f"a case cannot be {wanted!r}: it is new, open, on_hold or solved")
    return _SET[wanted]


def priority(wanted: Priority) -> str:
    """
    Raises:
        InvalidInput: cases do not have that.
    """
    if wanted not in _PRIORITY_SET:
        raise InvalidInput(TITLE, f"a case cannot be {wanted!r}: its priority is low, normal or high")
    return _PRIORITY_SET[wanted]


# -------------------------------------------------------------------------------------------------------- questions


def conditions(asked: TicketQuery) -> list[str] | None:
    """What a case has to meet; None when none can."""
    met: list[str] = []
    if asked.statuses:
        met.append(_any(_ASKED[wanted] for wanted in asked.statuses if wanted in _ASKED))
    if asked.priorities:
        met.append(_in("Priority", [_PRIORITY_SET[wanted] for wanted in asked.priorities if wanted in _PRIORITY_SET]))
    if asked.requesters or asked.emails:
        mine = [native for native in asked.requesters if is_id(native, CONTACT)]
        people = (("ContactId", mine), ("Contact.Email", asked.emails), ("SuppliedEmail", asked.emails))
        met.append(_any(_in(field, values) for field, values in people if values))
    if asked.assignee is not None:
        met.append(_owned(asked.assignee))
    if asked.updated_since is not None:
        met.append(f"LastModifiedDate >= {moment(asked.updated_since)}")
    return met if all(met) else None


def _any(alternatives: Iterable[str]) -> str:
    found = list(alternatives)
    return f"({' OR '.join(found)})" if len(found) > 1 else "".join(found)


def _in(field: str, values: Sequence[str]) -> str:
    return f"{field} IN {texts(values)}" if values else ""


def _owned(assignee: str) -> str:
    """A case always has an owner: that nobody is assigned means that it is in a queue."""
    if assignee == "none":
        return "Owner.Type = 'Queue'"
    return f"OwnerId IN ({select('Id', 'User', f'Email = {text(assignee)}')})"


def all_cases(met: list[str], sort: str) -> Source:
    at = "CreatedDate" if sort == "created" else "LastModifiedDate"
    return Source("Case", ROW_FIELDS, at, " AND ".join(met) or "IsDeleted = false")


def thread(native: str) -> list[Source]:
    """Where the messages of a case are kept."""
    parent = f"ParentId = {text(native)}"
    said = "Id, CommentBody, IsPublished, CreatedDate, CreatedBy.Name, CreatedBy.UserType"
    mailed = "Id, TextBody, Incoming, MessageDate, FromName"
    described = "Id, Description, CreatedDate, Contact.Name, SuppliedName"
    return [
        Source("CaseComment", said, "CreatedDate", parent),
        Source("EmailMessage", mailed, "MessageDate", f"{parent} AND {NO_DRAFT}"),
        Source("Case", described, "CreatedDate", f"Id = {text(native)}"),
    ]


def present(native: str) -> list[Part]:
    """The case as it is, and the last of what was added to it."""
    parent = f"ParentId = {text(native)}"
    newest = partial(select, order="CreatedDate DESC, Id DESC", limit=1)
    return [
        query("Case", select(_FIELDS, "Case", f"Id = {text(native)}")),
        query("CaseComment", newest("Id", "CaseComment", parent)),
        query("EmailMessage", newest("Id", "EmailMessage", f"{parent} AND {NO_DRAFT}")),
    ]


def said_since(native: str, since: str, *, public: bool) -> str:
    where = f"ParentId = {text(native)} AND IsPublished = {str(public).lower()} AND CreatedDate >= {since}"
    fields = "Id, ParentId, CommentBody, CreatedDate, Parent.Status, Parent.IsClosed"
    return select(fields, "CaseComment", where, order="CreatedDate DESC", limit=50)


def opened_since(fields: Mapping[str, str], since: datetime) -> str:
    """What this person opened. Subjects are compared when they are here: a query cannot write all of their characters."""
    email = literal(fields.get("SuppliedEmail", ""))
    met = [f"CreatedDate >= {moment(since)}"]
    if "ContactId" in fields:
        met.append(f"ContactId = {text(literal(fields['ContactId']))}")
    elif email.isprintable():
        met.append(f"SuppliedEmail = {text(email)}")
    said = select("CommentBody, IsPublished", "CaseComments", "", order="CreatedDate", limit=1)
    shown = f"Id, Subject, SuppliedEmail, Status, IsClosed, ({said})"
    return select(shown, "Case", " AND ".join(met), order="CreatedDate DESC", limit=200)


# ----------------------------------------------------------------------------------------------------------- writing


def public_comment(native: str, body: str) -> Part:
    """The customer sees it, and is told of it where the org has that switched on."""
    return create("comment", "CaseComment", {"ParentId": native, "CommentBody": literal(body), "IsPublished": True})


def internal_comment(native: str, body: str) -> Part:
    """The customer never sees it."""
    return create("comment", "CaseComment", {"ParentId": native, "CommentBody": literal(body), "IsPublished": False})


def opened(draft: TicketDraft, whose: Mapping[str, str]) -> list[Part]:
    """A case whose first comment is the draft's body."""
    new = "@{case.id}"
    urgency = {} if draft.priority is None else {"Priority": priority(draft.priority)}
    fields = {"Subject": literal(draft.subject), "Status": "New", **urgency}
    fields |= {field: literal(value) for field, value in whose.items()}
    comment = public_comment(new, draft.body) if draft.public else internal_comment(new, draft.body)
    return [create("case", "Case", fields), comment]


# ------------------------------------------------------------------------------------------------ wire to our words


@dataclass(frozen=True, slots=True)
class Present:
    """A case as it is. `comment` and `email` are the ids of the last ones, empty when there is none."""

    case: Any
    comment: str
    email: str

    @property
    def version(self) -> str:
        """A comment need not count as a change of the case, and times are to the second: both are made up for."""
        seen = [*(self.case[field] for field in STATE_FIELDS), self.comment, self.email]
        return f"{self.case['LastModifiedDate'][:19]}Z.{sha256(canonical(seen).encode()).hexdigest()[:12]}"

    @property
    def last_modified(self) -> str:
        """As an HTTP date, which has no parts of seconds; nor have Salesforce's times."""
        return format_datetime(datetime.fromisoformat(self.case["LastModifiedDate"]).astimezone(UTC), usegmt=True)


def as_present(answers: Mapping[str, Any], native: str) -> Present:
    """
    Raises:
        NotFound: there is no such case.
    """
    found = answers["Case"]["records"]
    if not found:
        raise NotFound(TITLE, f"there is no case {native!r}")
    comment, email = (_last(answers.get(table)) for table in ("CaseComment", "EmailMessage"))
    return Present(found[0], comment, email)


def _last(answer: Any) -> str:
    return "" if answer is None or not answer["records"] else answer["records"][0]["Id"]


def ticket_id(native: str) -> str:
    return str(Ref(SYSTEM, "ticket", native))


def row(_table: str, wire: Any, *, url: Url) -> TicketRow:
    return TicketRow(
        ticket_id=ticket_id(wire["Id"]),
        subject=wire["Subject"] or "",
        status=status_of(wire),
        priority=_PRIORITIES.get(wire["Priority"] or ""),
        requester=name(wire["Contact"]) or wire["SuppliedName"],
        assignee=_assignee(wire["Owner"]),
        created_at=wire["CreatedDate"],
        updated_at=wire["LastModifiedDate"],
        url=url(wire["Id"]),
    )


def ticket(present: Present, *, url: Url) -> Ticket:
    case = present.case
    short, contact = row("Case", case, url=url), case["ContactId"]
    email: str | None = case["SuppliedEmail"] if case["Contact"] is None else case["Contact"]["Email"]
    custom = {field: case[field] for field in ("CaseNumber", "Type", "Reason") if case[field]}
    return Ticket(
        ticket_id=short.ticket_id,
        subject=short.subject,
        status=short.status,
        priority=short.priority,
        channel=case["Origin"] and case["Origin"].lower(),
        customer_id=None if contact is None else str(Ref(SYSTEM, "contact", contact)),
        requester=short.requester,
        email=email and email.lower(),
        assignee=short.assignee,
        custom=custom or None,
        created_at=short.created_at,
        updated_at=short.updated_at,
        version=present.version,
        url=short.url,
    )


def state(present: Present) -> TicketState:
    native, status = ticket_id(present.case["Id"]), status_of(present.case)
    return TicketState(ticket_id=native, status=status, version=present.version)


def state_after(answers: Mapping[str, Any], *, before: Present) -> TicketState:
    """After a change that may have added a comment."""
    return state(
        Present({**before.case, **answers["now"]}, answers.get("comment", {"id": before.comment})["id"], before.email)
    )


def sent(answers: Mapping[str, Any]) -> Sent:
    at, status = answers["said"]["CreatedDate"], status_of(answers["now"])
    return Sent(message_id=answers["comment"]["id"], sent_at=at, status=status)


def found_said(wire: Any, *, native: str, body: str) -> Sent | None:
    for row in wire["records"]:
        if same_id(row["ParentId"], native) and same_text(row["CommentBody"], literal(body)):
            return Sent(message_id=row["Id"], sent_at=row["CreatedDate"], status=status_of(row["Parent"]))
    return None


def status_of(case: Any) -> TicketStatus:
    return _STATUSES.get(case["Status"]) or ("solved" if case["IsClosed"] else "open")


def _assignee(owner: Any) -> str | None:
    return None if owner is None or owner["Type"] != "User" else owner["Name"]


def comment(table: str, wire: Any, *, max_chars: int) -> Comment | None:
    """None for a case without a description."""
    match table:
        case "CaseComment":
            said = _Said(wire["CommentBody"], wire["CreatedDate"], name(wire["CreatedBy"]), _role(wire["CreatedBy"]))
            return said.comment(wire["Id"], max_chars, public=wire["IsPublished"])
        case "EmailMessage":
            role = "customer" if wire["Incoming"] else "agent"
            return _Said(wire["TextBody"], wire["MessageDate"], wire["FromName"], role).comment(wire["Id"], max_chars)
        case _:
            author = name(wire["Contact"]) or wire["SuppliedName"]
            said = _Said(wire["Description"], wire["CreatedDate"], author, "customer")
            return said.comment(wire["Id"], max_chars) if wire["Description"] else None


Role = Literal["customer", "agent", "system"]

_ROLES: dict[str, Role] = {"Standard": "agent", "AutomatedProcess": "system", "CloudIntegrationUser": "system"}


def _role(user: Any) -> Role:
    """Whoever has a licence of another kind comes through a portal or a site."""
    return "system" if user is None else _ROLES.get(user["UserType"], "customer")


@dataclass(frozen=True, slots=True)
class _Said:
    text: str | None
    at: str
    author: str | None
    role: Role

    def comment(self, native: str, max_chars: int, *, public: bool = True) -> Comment:
        body = self.text or ""
        return Comment(
            id=native,
            at=datetime.fromisoformat(self.at),
            author=self.author,
            role=self.role,
            public=public,
            text=body[:max_chars],
            truncated=True if len(body) > max_chars else None,
        )


def created(answers: Mapping[str, Any], *, key: str, url: Url) -> CreatedTicket:
    return _created(answers["case"]["id"], "new", key, url)


def found_created(
    wire: Any, draft: TicketDraft, *, whose: Mapping[str, str], key: str, url: Url
) -> CreatedTicket | None:
    """The case that has the draft's subject, and its body for its first comment, shown to the same people."""
    email = literal(whose.get("SuppliedEmail", ""))
    for case in wire["records"]:
        if not same_text(case["Subject"], literal(draft.subject)):
            continue
        if "ContactId" not in whose and (case["SuppliedEmail"] or "").casefold() != email.casefold():
            continue
        for said in arr(obj(case["CaseComments"]).get("records")):
            if said["IsPublished"] is draft.public and same_text(said["CommentBody"], literal(draft.body)):
                return _created(case["Id"], status_of(case), key, url)
    return None


def _created(native: str, status: TicketStatus, key: str, url: Url) -> CreatedTicket:
    return CreatedTicket(
        ticket_id=ticket_id(native), status=status, url=url(native), replayed=False, idempotency_key=key
    )
