"""What is said about a ticket, in our words: its conversation, its notes, its e-mails; and an answer, in HubSpot's.

Source: https://developers.hubspot.com/docs/api-reference/conversations-conversations-v3/guide
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_customer.backends.hubspot.access import HUBSPOT
from backoffice_customer.backends.hubspot.richtext import LONGEST, html_of, text_of
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
    return Comment(
        id=wire["id"],
        at=wire["createdAt"],
        author=who,
        role="customer" if inbound else "agent",
        public=True,
        **_words(wire.get("text"), wire.get("richText"), max_chars, is_cut=is_truncated(wire)),
    )


def _aside(wire: Any, *, owners: Owners, max_chars: int) -> Comment:
    """A comment in a thread is among agents."""
    return Comment(
        id=wire["id"],
        at=wire["createdAt"],
        author=next(_authors(wire, owners), None),
        role="agent",
        public=False,
        **_words(wire.get("text"), wire.get("richText"), max_chars),
    )


def _authors(wire: Any, owners: Owners) -> Iterator[str]:
    for row in (*wire["senders"], {"actorId": wire.get("createdBy")}):
        owner = owners.by_actor.get(row.get("actorId") or "")
        name = row.get("name") or (owner.name if owner else None) or _identifier(row).get("value")
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
        **_words(None, properties.get("hs_note_body"), max_chars),
    )


def email(wire: Any, *, owners: Owners, max_chars: int) -> Comment:
    properties = wire["properties"]
    inbound = properties.get("hs_email_direction") == INCOMING_EMAIL
    return Comment(
        id=wire["id"],
        at=properties["hs_timestamp"],
        author=sender(properties) or owners.name(properties.get("hubspot_owner_id")),
        role="customer" if inbound else "agent",
        public=True,
        **_words(properties.get("hs_email_text"), properties.get("hs_email_html"), max_chars),
    )


def description(wire: Any, *, max_chars: int) -> list[Comment]:
    """What a ticket without a conversation begins with. Where a customer came by themselves, it is their own words."""
    properties = wire["properties"]
    words = _words(None, properties.get("content"), max_chars)
    theirs = properties.get("source_type") in ("EMAIL", "CHAT", "FORM")
    if not words["text"]:
        return []
    return [
        Comment(
            id=f"{wire['id']}-description",
            at=properties["createdate"],
            role="customer" if theirs else "agent",
            public=theirs,
            **words,
        )
    ]


def _words(plain: str | None, rich: str | None, max_chars: int, *, is_cut: bool = False) -> dict[str, Any]:
    """The text, of which HubSpot keeps the plain one where it has one. `is_cut`: HubSpot gave only a part of it."""
    text = plain or text_of(rich or "")
    more = is_cut or len(text) > max_chars or (not plain and len(rich or "") > LONGEST)
    return {"text": text[:max_chars], "truncated": True if more else None}


# -------------------------------------------------------------------------------------------------- an answer


def conversation(wire: Any) -> list[Any]:
    """The messages of a thread as HubSpot has them, the newest first, each with what every message must have."""
    said = [row for row in wire["results"] if row["type"] == "MESSAGE"]
    for row in said:
        datetime.fromisoformat(row["createdAt"])
        if not isinstance(row["id"], str) or row["direction"] not in ("INCOMING", "OUTGOING"):
            raise ValueError(row["id"])
        for who in row["senders"]:
            _identifier(who).get("value", "").lower()
        content(row)
    return said


def content(wire: Any) -> Any:
    """A message, or its original content, with a text that is one."""
    (wire.get("text") or "").split()
    return wire


@dataclass(frozen=True, slots=True)
class Writer:
    """The last who wrote in a thread from an e-mail address: who a reply goes to. `message` is what they wrote."""

    message: Any
    sender: Any

    @property
    def email(self) -> str:
        return _identifier(self.sender)["value"].lower()

    @property
    def name(self) -> str | None:
        return self.sender.get("name") or None


def writer(said: Sequence[Any]) -> Writer | None:
    """Of these messages, the newest first. None: nobody could be answered at an address that can be shown."""
    incoming = (row for row in said if row["direction"] == "INCOMING")
    writers = (Writer(row, who) for row in incoming for who in row["senders"])
    return next((found for found in writers if _has_address(found.sender)), None)


def _has_address(row: Any) -> bool:
    identifier = _identifier(row)
    return identifier.get("type") == "HS_EMAIL_ADDRESS" and bool(identifier.get("value"))


def _identifier(row: Any) -> Mapping[str, str]:
    return row.get("deliveryIdentifier") or {}


def answer(thread: Thread, said: Sequence[Any], to: Writer, body: str, reply_as: str) -> dict[str, Any]:
    """A message to them and nobody else, on the channel that they wrote on.

    Raises:
        Conflict: nobody is there who could sign.
    """
    subject = to.message.get("subject")
    return {
        "type": "MESSAGE",
        "text": body,
        "richText": html_of(body),
        "attachments": [],
        "recipients": [_recipient(to.sender)],
        "senderActorId": reply_as or _agent(thread, said),
        "channelId": to.message["channelId"],
        "channelAccountId": to.message["channelAccountId"],
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


def is_truncated(wire: Any) -> bool:
    """Whether HubSpot gives only a part of the message here, and all of it as its original content."""
    return wire.get("truncationStatus") not in (None, "NOT_TRUNCATED")


def was_sent(wire: Any, since: datetime) -> bool:
    """Whether the message is one of ours, of then or later."""
    return wire["direction"] == "OUTGOING" and datetime.fromisoformat(wire["createdAt"]) >= since


def has_words(wire: Any, body: str) -> bool:
    """Whether a message, or its original content, says this."""
    return (wire.get("text") or "").split() == body.split()


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that was sent. `is_last`: nobody has written in its thread since."""

    sent: Sent
    is_last: bool


def answered(wire: Any, *, is_last: bool = True) -> Answer:
    return Answer(Sent(message_id=f"{HUBSPOT.name}:message:{wire['id']}", sent_at=wire["createdAt"]), is_last)
