"""Zendesk's records in our words, and ours as Zendesk wants them written. No requests are made here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backoffice_customer.backends.zendesk.access import ZENDESK
from backoffice_customer.backends.zendesk.search import any_of, quoted, words
from backoffice_customer.models import (
    Attachment,
    Comment,
    Contact,
    CreatedTicket,
    Event,
    Ref,
    Sent,
    Ticket,
    TicketRow,
    TicketState,
    TicketStatus,
)
from backoffice_customer.ports import Reply, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.envelope import Page
from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.paging import Chunk, ItemT

_SEARCH_CEILING = 1_000  # a page beyond this many results is refused with 422

_STATUSES: dict[str, TicketStatus] = {
    "new": "new",
    "open": "open",
    "pending": "pending",
    "hold": "on_hold",  # waiting for somebody else than the customer
    "solved": "solved",
    "closed": "closed",
}
_NATIVE = {ours: native for native, ours in _STATUSES.items()}

Wanted = dict[str, Any]


# ---------------------------------------------------------------------------------------------- our words to the wire


def is_id(native: str) -> bool:
    """All of Zendesk's ids are numbers of 64 bits."""
    return native.isascii() and native.isdecimal() and len(native) < 20


def time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def conditions(query: TicketQuery) -> list[str]:
    found = [
        any_of("requester", (*query.requesters, *query.emails)),
        any_of("status", [_NATIVE[status] for status in query.statuses]),
        any_of("priority", query.priorities),
        *([] if query.assignee is None else [f"assignee:{_assignee(query.assignee)}"]),
        *([] if query.updated_since is None else [f"updated>={time(query.updated_since)}"]),
        words(query.text or ""),
    ]
    return [condition for condition in found if condition]


def _assignee(said: str) -> str:
    """Nobody is a word of the language: within quotes it would be a name."""
    return said if said == "none" else quoted(said)


def drafted(draft: TicketDraft) -> Wanted:
    return {
        "subject": draft.subject,
        "comment": _to_the_customer(draft.body) if draft.public else _among_us(draft.body),
        **_for_whom(draft),
        "tags": list(draft.tags),
        **({} if draft.priority is None else {"priority": draft.priority}),
    }


def _for_whom(draft: TicketDraft) -> Wanted:
    if draft.requester is not None:
        return {"requester_id": int(draft.requester)}
    return {"requester": {"name": draft.name, "email": draft.email}}


def changed(change: TicketChange, ticket: Ticket) -> Wanted:
    """All of the change but who is to answer. Tags are whole: Zendesk replaces those that there are."""
    wanted: Wanted = {}
    if change.status is not None:
        wanted["status"] = _NATIVE[change.status]
    if change.priority is not None:
        wanted["priority"] = change.priority
    if change.add_tags or change.remove_tags:
        wanted["tags"] = _tagged(ticket.tags, change)
    if change.note is not None:
        wanted["comment"] = _among_us(change.note)
    return wanted


def _tagged(tags: Iterable[str], change: TicketChange) -> list[str]:
    removed = {tag.lower() for tag in change.remove_tags}
    kept = [tag for tag in tags if tag not in removed]
    return list(dict.fromkeys([*kept, *(tag.lower() for tag in change.add_tags)]))


def answered(reply: Reply) -> Wanted:
    after = {} if reply.status_after is None else {"status": _NATIVE[reply.status_after]}
    return {"comment": _to_the_customer(reply.body), **after}


def _to_the_customer(text: str) -> Wanted:
    """A public comment. The customer reads what it says: `{{ticket.comments}}` would be the thread, with its notes.

    https://support.zendesk.com/hc/en-us/articles/4408886858138-Zendesk-Support-placeholders-reference

    Raises:
        InvalidInput: the text has a placeholder.
    """
    if "{{" in text or "{%" in text:
        raise InvalidInput(ZENDESK.title, "a text for a customer cannot have {{ or {%: Zendesk puts ticket data there")
    return {"body": text, "public": True}


def _among_us(text: str) -> Wanted:
    return {"body": text, "public": False}


def locale_of(language: str, locales: Iterable[str]) -> str | None:
    """The account's locale for a language: "en-US" for "en", unless it has "en" itself."""
    found = [locale for locale in locales if _language(locale) == language]
    return language if language in found else found[0] if found else None


# ----------------------------------------------------------------------------------------------- people, from the wire


def contacts(wire: Any) -> list[Contact]:
    organisations = _by_id(wire.get("organizations"))
    return [
        _contact(row, _name(organisations, row.get("organization_id")))
        for row in wire["users"]
        if row.get("active", True)
    ]


def contact(wire: Any, *, company: str | None) -> Contact:
    """After a write, which answers without the organisation."""
    return _contact(wire["user"], company)


def _contact(wire: Any, company: str | None) -> Contact:
    email: str | None = wire["email"]
    return Contact(
        ref=Ref(ZENDESK.name, "user", str(wire["id"])),
        name=wire["name"],
        emails=[email.lower()] if email else [],
        phones=[wire["phone"]] if wire.get("phone") else [],
        company=company,
        tags=wire.get("tags") or [],
        language=_language(wire.get("locale") or "") or None,
        url=_url(wire, "users"),
        updated_at=wire["updated_at"],
    )


def agent_with(wire: Any, *, email: str) -> int | None:
    """The id of whoever has this very address and may be given tickets."""
    found = (row for row in wire["users"] if row["role"] != "end-user" and row.get("active", True))
    return next((int(row["id"]) for row in found if (row["email"] or "").lower() == email.lower()), None)


def locales(wire: Any) -> list[str]:
    return [str(row["locale"]) for row in wire["locales"]]


def _language(locale: str) -> str:
    return locale.partition("-")[0].lower()


# ---------------------------------------------------------------------------------------------- tickets, from the wire


def found(wire: Any, *, each: Callable[[Any, Mapping[int, Any]], ItemT], page: int, size: int) -> Chunk[ItemT]:
    users = _by_id(wire.get("users"))
    total: int = wire["count"]
    ended = page * size >= total
    more = not ended and (page + 1) * size <= _SEARCH_CEILING
    rows = [each(row, users) for row in wire["results"]]
    return Chunk(rows, str(page + 1) if more else None, total, capped=not ended and not more)


def count(wire: Any) -> int:
    return int(wire["count"])


def requesters(wire: Any) -> list[str]:
    return [str(ticket["requester_id"]) for ticket in wire["tickets"]]


def row(wire: Any, users: Mapping[int, Any]) -> TicketRow:
    return TicketRow(
        ticket_id=_ticket_id(wire),
        subject=wire["subject"] or "",
        status=_STATUSES[wire["status"]],
        priority=wire["priority"],
        requester=_name(users, wire["requester_id"]),
        assignee=_name(users, wire["assignee_id"]),
        created_at=wire["created_at"],
        updated_at=wire["updated_at"],
        sla_due_at=_due(wire.get("slas")),
        tags=wire["tags"],
        url=_url(wire, "tickets"),
    )


def _due(slas: Any) -> datetime | None:
    """The first target that the clock is running towards, of those that the account promises."""
    metrics = [obj(metric) for metric in arr(obj(slas).get("policy_metrics"))]
    due = [metric["breach_at"] for metric in metrics if metric.get("stage") == "active" and metric.get("breach_at")]
    return min((datetime.fromisoformat(at) for at in due), default=None)


def event(wire: Any, users: Mapping[int, Any]) -> Event:
    return Event(
        id=_ticket_id(wire),
        kind="ticket",
        at=wire["created_at"],
        title=wire["subject"] or "",
        summary=(wire["description"] or "")[:240],
        actor=_name(users, wire["requester_id"]),
        direction="in",
        system=ZENDESK.name,
        url=_url(wire, "tickets"),
    )


def ticket(wire: Any) -> tuple[Ticket, list[str]]:
    """And the ids of those who are sent copies and are not side-loaded, whom its `cc` lacks."""
    said, users = wire["ticket"], _by_id(wire.get("users"))
    copied = _copied(said)
    custom = {str(field["id"]): str(field["value"]) for field in said["custom_fields"] if field["value"] is not None}
    requester = users.get(said["requester_id"])
    ticket = Ticket(
        ticket_id=_ticket_id(said),
        subject=said["subject"] or "",
        status=_STATUSES[said["status"]],
        priority=said["priority"],
        channel=said["via"]["channel"],
        customer_id=str(Ref(ZENDESK.name, "user", str(said["requester_id"]))),
        requester=_name(users, said["requester_id"]),
        email=None if requester is None else requester["email"],
        cc=[_addressed(users[user]["name"], users[user]["email"]) for user in copied if user in users] or None,
        assignee=_name(users, said["assignee_id"]),
        tags=said["tags"],
        custom=custom or None,
        created_at=said["created_at"],
        updated_at=said["updated_at"],
        version=said["updated_at"],
        url=_url(said, "tickets"),
    )
    return ticket, [str(user) for user in copied if user not in users]


def _copied(wire: Any) -> list[int]:
    """To whom a public comment is mailed beside the requester.

    Collaborators are the copied where an account has no "CCs and followers", and those and the followers where it has.
    https://developer.zendesk.com/api-reference/ticketing/tickets/tickets/#json-format
    """
    users = dict.fromkeys([*arr(wire.get("email_cc_ids")), *arr(wire.get("collaborator_ids"))])
    return [user for user in users if user != wire["requester_id"]]


def addressed(user: Contact) -> str:
    return _addressed(user.name, next(iter(user.emails), None))


def _addressed(name: str, email: str | None) -> str:
    """`Ann <ann@shop.example>`"""
    return name if email is None else f"{name} <{email}>"


def comments(wire: Any, *, max_chars: int) -> tuple[Page, list[Comment]]:
    users = _by_id(wire.get("users"))
    following = _following(wire)
    page = Page(next_cursor=following, has_more=following is not None)
    return page, [_comment(row, users, max_chars) for row in wire["comments"]]


def _comment(wire: Any, users: Mapping[int, Any], max_chars: int) -> Comment:
    author = users.get(wire["author_id"])
    text: str = wire.get("plain_body") or wire["body"]
    files = [_attachment(file) for file in arr(wire.get("attachments")) if not file.get("deleted")]
    return Comment(
        id=str(wire["id"]),
        at=wire["created_at"],
        author=None if author is None else author["name"],
        role="system" if author is None else "customer" if author["role"] == "end-user" else "agent",
        public=wire["public"],
        text=text[:max_chars],
        truncated=True if len(text) > max_chars else None,
        attachments=files or None,
    )


def _attachment(wire: Any) -> Attachment:
    return Attachment(
        name=wire["file_name"], content_type=wire["content_type"], size=wire["size"], url=wire["content_url"]
    )


# ---------------------------------------------------------------------------------------------- writes, from the wire


@dataclass(frozen=True, slots=True)
class Audited:
    """What Zendesk keeps of one write to a ticket. `message` is the id of the comment that it added, or its own."""

    at: datetime
    message: str


def created(wire: Any, *, key: str) -> CreatedTicket:
    said = wire["ticket"]
    return CreatedTicket(
        ticket_id=_ticket_id(said),
        status=_STATUSES[said["status"]],
        url=_url(said, "tickets"),
        replayed=False,
        idempotency_key=key,
    )


def state(wire: Any) -> TicketState:
    said = wire["ticket"]
    return TicketState(ticket_id=_ticket_id(said), status=_STATUSES[said["status"]], version=said["updated_at"])


def sent(wire: Any) -> Sent:
    audit = _audited(wire["audit"])
    return Sent(message_id=audit.message, sent_at=audit.at, status=_STATUSES[wire["ticket"]["status"]])


def audited(wire: Any, *, metadata: Mapping[str, str], since: datetime) -> tuple[Audited | None, str | None]:
    """The write that carried `metadata`, when it is on this page of audits, and the cursor of the next page."""
    mine = (_audited(audit) for audit in wire["audits"] if audit["metadata"].get("custom") == metadata)
    return next((audit for audit in mine if audit.at >= since), None), _following(wire)


def _audited(wire: Any) -> Audited:
    message = next((event["id"] for event in wire["events"] if event["type"] == "Comment"), wire["id"])
    return Audited(datetime.fromisoformat(wire["created_at"]), str(message))


# ------------------------------------------------------------------------------------------------------- what all have


def _ticket_id(wire: Any) -> str:
    return str(Ref(ZENDESK.name, "ticket", str(wire["id"])))


def _url(wire: Any, kind: str) -> str:
    """Where an agent sees it, next to where the API has it."""
    return f"{wire['url'].partition('/api/')[0]}/agent/{kind}/{wire['id']}"


def _following(wire: Any) -> str | None:
    """The cursor of the next page."""
    return wire["meta"]["after_cursor"] if wire["meta"]["has_more"] else None


def _by_id(rows: Any) -> dict[int, Any]:
    """Side-loaded records. They are left out where there are none."""
    return {row["id"]: row for row in (() if rows is None else rows)}


def _name(records: Mapping[int, Any], number: int | None) -> str | None:
    record = None if number is None else records.get(number)
    return None if record is None else record["name"]
