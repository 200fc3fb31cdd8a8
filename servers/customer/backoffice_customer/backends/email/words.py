"""What the wire answers, in our words. Who wrote a message, the folder says that it is in, not its `From`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backoffice_customer.backends.email.letters import Letter, is_address
from backoffice_customer.models import (
    Attachment,
    Comment,
    Event,
    Ref,
    Sent,
    Ticket,
    TicketRow,
    TicketState,
    TicketStatus,
)
from backoffice_shared.envelope import Page
from backoffice_shared.errors import OutcomeUnknown
from backoffice_shared.paging import Chunk

NAME, TITLE = "email", "E-mail"


def ticket_rows(wire: Any) -> Chunk[TicketRow]:
    return Chunk([_row(thread) for thread in wire["threads"]], wire["next"], capped=wire["capped"])


def _row(wire: Any) -> TicketRow:
    return TicketRow(
        ticket_id=_ticket_id(wire),
        subject=wire["subject"],
        status=wire["status"],
        requester=_called(wire["requester"]),
        created_at=wire["created_at"],
        updated_at=wire["updated_at"],
    )


def how_many(wire: Any) -> tuple[int, str | None]:
    """The threads on a page, and where to go on."""
    return len(wire["threads"]), wire["next"]


def whole_ticket(wire: Any) -> Ticket:
    first: int = wire["first"]
    more = bool(wire["messages"]) and first > 0
    return Ticket(
        page=Page(next_cursor=str(first) if more else None, has_more=more),
        ticket_id=_ticket_id(wire),
        subject=wire["subject"],
        status=wire["status"],
        channel="email",
        requester=_called(wire["requester"]),
        email=answered_at(wire),
        created_at=wire["created_at"],
        updated_at=wire["updated_at"],
        version=wire["version"],
        comments=[_comment(message) for message in reversed(wire["messages"])],
    )


def _comment(wire: Any) -> Comment:
    return Comment(
        id=wire["id"],
        at=wire["at"],
        author=_called(wire["from"]),
        role="agent" if wire["ours"] else "system" if wire["system"] else "customer",
        public=True,
        text=wire["text"],
        truncated=wire["truncated"] or None,
        attachments=[_attachment(attached) for attached in wire["attachments"]] or None,
    )


def _attachment(wire: Any) -> Attachment:
    return Attachment(name=wire["name"], content_type=wire["kind"], size=wire["size"], url=wire["url"])


def mails(wire: Any) -> Chunk[Event]:
    return Chunk([_event(message) for message in wire["messages"]], wire["next"])


def _event(wire: Any) -> Event:
    return Event(
        id=str(Ref(NAME, "message", wire["id"])),
        kind="email",
        at=wire["at"],
        title=wire["subject"],
        summary=wire["text"][:240],
        actor=_called(wire["from"]),
        direction="out" if wire["ours"] else "in",
        system=NAME,
    )


def ticket_state(wire: Any) -> TicketState:
    return TicketState(ticket_id=_ticket_id(wire), status=wire["status"], version=wire["version"])


def answered_at(wire: Any) -> str | None:
    """The first address of those that an answer may go to that one can be sent to."""
    return next((address for address in wire["answered_at"] if is_address(address)), None)


def to_answer(wire: Any) -> dict[str, Any]:
    return {**{name: wire[name] for name in ("newest", "requester", "subject")}, "to": answered_at(wire)}


def known_sent(wire: Any, *, letter: Letter) -> Sent | None:
    """What is known to have been sent."""
    found = wire["sent"]
    if found is None or found["unknown"]:
        return None
    status: TicketStatus | None = ("solved" if letter.solves else "pending") if letter.in_reply_to else None
    return Sent(message_id=letter.message_id, sent_at=found["at"], status=status)


def surely_sent(wire: Any, *, sent: Callable[[Any], Sent | None]) -> Sent:
    """
    Raises:
        OutcomeUnknown: an earlier attempt may have sent it.
    """
    if (found := sent(wire)) is None:
        raise OutcomeUnknown(
            TITLE,
            "an earlier attempt with this idempotency_key may have sent this message, and nobody can say whether it "
            "did: nothing was sent",
            hint="Let a person ask the recipient, or look into the log of the mail server",
        )
    return found


def _called(wire: Any) -> str | None:
    return wire["name"] or wire["email"] or None


def _ticket_id(wire: Any) -> str:
    return str(Ref(NAME, "ticket", wire["id"]))
