"""What is said about a ticket, in our words: its conversation, its notes, its e-mails; and an answer, in HubSpot's.

Source: https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_customer.backends.hubspot.access import HUBSPOT
from backoffice_customer.backends.hubspot.richtext import html_of, text_of
from backoffice_customer.backends.hubspot.translation import INCOMING_EMAIL, Owners, sender
from backoffice_customer.models import Comment, Sent
from backoffice_shared.errors import Conflict
from backoffice_shared.paging import Chunk


@dataclass(frozen=True, slots=True)
class Thread:
    """One conversation. `assigned_to` is the actor who is to answer: "A-7001"."""

    id: str
    assigned_to: str | None


def threads(wire: Any) -> list[Thread]:
    """The newest first."""
    rows = [row for row in wire["results"] if not row["archived"] and not row["spam"]]
    rows.sort(key=lambda row: row.get("latestMessageTimestamp") or row["createdAt"], reverse=True)
    return [Thread(row["id"], row.get("assignedTo")) for row in rows]


# -------------------------------------------------------------------------------------------------- comments


def messages(wire: Any, *, owners: Owners, max_chars: int) -> Chunk[Comment]:
    """What people wrote: not who was assigned, or that the thread was closed."""
    after: str | None = wire.get("paging", {}).get("next", {}).get("after")
    said = {"MESSAGE": partial(_message, owners=owners), "COMMENT": partial(_aside, owners=owners)}
    rows = [said[row["type"]](row, max_chars=max_chars) for row in wire["results"] if row["type"] in said]
    return Chunk(rows, after)


def _message(wire: Any, *, owners: Owners, max_chars: int) -> Comment:
    inbound = wire["direction"] == "INCOMING"
    who = next(_authors(wire, owners), None)
    text: str = wire.get("text") or text_of(wire.get("richText") or "")
    return Comment(
        id=wire["id"],
        at=wire["createdAt"],
        author=who,
        role="customer" if inbound else "agent",
        public=True,
        **_shortened(text, max_chars),
    )


def _aside(wire: Any, *, owners: Owners, max_chars: int) -> Comment:
    """A comment in a thread is among agents."""
    return Comment(
        id=wire["id"],
        at=wire["createdAt"],
        author=next(_authors(wire, owners), None),
        role="agent",
        public=False,
        **_shortened(wire.get("text") or text_of(wire.get("richText") or ""), max_chars),
    )


def _authors(wire: Any, owners: Owners) -> Iterator[str]:
    for row in (*wire["senders"], {"actorId": wire.get("createdBy")}):
        owner = owners.by_actor.get(row.get("actorId") or "")
        name = row.get("name") or (owner.name if owner else None) or row.get("deliveryIdentifier", {}).get("value")
        if name:
            yield name


def note(wire: Any, *, owners: Owners, max_chars: int) -> Comment:
    properties = wire["properties"]
    return Comment(
        id=wire["id"],
        at=properties["hs_timestamp"],
        author=owners.name(properties.get("hubspot_owner_id")),
        role="agent",
        public=False,
        **_shortened(text_of(properties.get("hs_note_body") or ""), max_chars),
    )


def email(wire: Any, *, owners: Owners, max_chars: int) -> Comment:
    properties = wire["properties"]
    inbound = properties.get("hs_email_direction") == INCOMING_EMAIL
    text = properties.get("hs_email_text") or text_of(properties.get("hs_email_html") or "")
    return Comment(
        id=wire["id"],
        at=properties["hs_timestamp"],
        author=sender(properties) or owners.name(properties.get("hubspot_owner_id")),
        role="customer" if inbound else "agent",
        public=True,
        **_shortened(text, max_chars),
    )


def description(wire: Any, *, max_chars: int) -> list[Comment]:
    """What a ticket without a conversation begins with. Where a customer came by themselves, it is their own words."""
    properties = wire["properties"]
    text = text_of(properties.get("content") or "")
    theirs = properties.get("source_type") in ("EMAIL", "CHAT", "FORM")
    if not text:
        return []
    return [
        Comment(
            id=f"{wire['id']}-description",
            at=properties["createdate"],
            role="customer" if theirs else "agent",
            public=theirs,
            **_shortened(text, max_chars),
        )
    ]


def _shortened(text: str, max_chars: int) -> dict[str, Any]:
    return {"text": text[:max_chars], "truncated": True if len(text) > max_chars else None}


# -------------------------------------------------------------------------------------------------- an answer


def conversation(wire: Any) -> list[Any]:
    """The messages of a thread as HubSpot has them, the newest first."""
    return [row for row in wire["results"] if row["type"] == "MESSAGE"]


def answer(thread: Thread, said: Sequence[Any], body: str, reply_as: str) -> dict[str, Any]:
    """A message to whoever wrote last, on the channel that they wrote on.

    Raises:
        Conflict: nobody wrote who could be answered; or nobody is there who could sign.
    """
    incoming = [row for row in said if row["direction"] == "INCOMING"]
    reachable = [(row, who) for row in incoming if (who := [s for s in row["senders"] if s.get("deliveryIdentifier")])]
    if not reachable:
        raise Conflict(HUBSPOT.title, "no customer has written in this ticket's conversation who could be answered")
    theirs, writers = reachable[0]
    subject = theirs.get("subject")
    return {
        "type": "MESSAGE",
        "text": body,
        "richText": html_of(body),
        "attachments": [],
        "recipients": [_recipient(row) for row in writers],
        "senderActorId": reply_as or _agent(thread, said),
        "channelId": theirs["channelId"],
        "channelAccountId": theirs["channelAccountId"],
        **({"subject": subject} if subject else {}),
    }


def _recipient(row: Any) -> dict[str, Any]:
    given = {name: row[name] for name in ("actorId", "name") if row.get(name)}
    return {**given, "recipientField": "TO", "deliveryIdentifiers": [row["deliveryIdentifier"]]}


def _agent(thread: Thread, said: Sequence[Any]) -> str:
    """Who answered last, or else who is to answer. Only a user may send; their actors begin with A."""
    answers = [row for row in said if row["direction"] == "OUTGOING"]
    actors = [*(sender.get("actorId") for row in answers for sender in row["senders"]), thread.assigned_to]
    for actor in actors:
        if actor and actor.startswith("A-"):
            return actor
    raise Conflict(
        HUBSPOT.title,
        "no agent has answered in this ticket's conversation, or is assigned to it, who could sign the reply",
        hint="Assign it to somebody, or set BACKOFFICE_HUBSPOT_REPLY_AS to a user (A-…)",
    )


def is_answer(wire: Any, body: str, since: datetime) -> bool:
    """Whether this message was sent with these words, then or later."""
    if wire["direction"] != "OUTGOING" or datetime.fromisoformat(wire["createdAt"]) < since:
        return False
    return (wire.get("text") or "").split() == body.split()


def sent(wire: Any) -> Sent:
    return Sent(message_id=f"{HUBSPOT.name}:message:{wire['id']}", sent_at=wire["createdAt"])
