"""Sends a message once, also when answers are lost: SMTP knows no keys, so the mailbox remembers what was tried.

The Message-ID is made from the idempotency key. Before the message itself goes out, a copy of it is put among the sent
messages and marked as pending. So the mailbox tells, at any later time and to any process:

    no copy                         it was never tried, or a person deleted the copy: it is safe to send
    a copy that is not pending      it was sent
    a copy in the inbox             it was sent: the envelope names our own address too, and the server delivered that
    only a pending copy             it was tried, and nobody can say: it is not sent again, however long ago that was

The order is what makes it safe. The server has agreed to sender and recipient before the copy is put there, and a clear
refusal takes the copy away: it stays for good only when a connection, or this process, broke between the copy and the
answer to the message. Of two attempts at the same time, the one whose copy has the lower UID goes on, and the other has
sent nothing.

Whoever deletes a pending copy says with that that the message was not sent: the next attempt sends it. Only a person
who knows that from the recipient, or from the log of the mail server, should do so.

A copy is one of this message when it says so itself, by the digest of recipient, subject and text in a header of ours.
Where there are others only, the key was used for another message, and that is a conflict: nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

from backoffice_customer.backends.email.access import Refused
from backoffice_customer.backends.email.imap import PENDING, SOLVED, Mailbox, Message
from backoffice_customer.backends.email.letters import Letter, composed
from backoffice_customer.backends.email.smtp import Session
from backoffice_customer.backends.email.threads import Archive

_TIDYING = 2.0  # seconds
NO_KEYWORDS = "this mailbox keeps no keywords: nothing in it can be marked as solved"


@dataclass(frozen=True, slots=True)
class Posted:
    """`at` is when it was sent. `replayed`: an earlier attempt had sent it. `unknown`: one may have, nobody can say."""

    at: datetime
    replayed: bool = False
    unknown: bool = False


def look(box: Mailbox, archive: Archive, message_id: str, digest: str) -> Posted | None:
    """What the copies of a message say of it; None when it was never tried.

    Raises:
        Refused: it was another message.
    """
    copies = _copies(archive, message_id, digest)
    known = _said_by(copies)
    if known is not None and not known.unknown and any(copy.pending for copy in copies):
        _quietly(box, lambda: _settle(box, archive, message_id, digest))
    return known


def post(
    box: Mailbox,
    archive: Archive,
    letter: Letter,
    session: Callable[[], AbstractContextManager[Session]],
    agreed: Callable[[], None],
) -> Posted:
    """`agreed` is asked before anything is done for the first time; what it raises ends it.

    Raises:
        Refused: a server refuses it, or its key was used for another message: nothing was sent.
        Unclear: it may have been sent.
        OSError: a connection could not be made, or broke before the message went out: nothing was sent.
    """
    sent = archive.folders.sent
    if (known := _said_by(_others(_copies_of(archive, letter), letter))) is not None:
        return known
    agreed()
    keywords = box.open(sent, to_write=True).keywords
    if letter.solves and not keywords:
        raise Refused(400, NO_KEYWORDS)
    with session() as smtp:
        smtp.begin(letter.sender, letter.to, also=[letter.sender])
        now = datetime.now(UTC).replace(microsecond=0)
        raw = composed(letter, now)
        try:
            if (known := _announced(box, archive, letter, raw, now, keywords=keywords)) is not None:
                _take_back(box, archive, letter)
                return known
            smtp.send(raw)
        except (Refused, OSError):
            _take_back(box, archive, letter)
            raise
    _quietly(box, lambda: _settle(box, archive, letter.message_id, letter.digest))
    return Posted(now)


def _announced(
    box: Mailbox, archive: Archive, letter: Letter, raw: bytes, now: datetime, *, keywords: bool
) -> Posted | None:
    """Put our pending copy there, unless it is. What another attempt says that was first; None when we are."""
    sent = archive.folders.sent
    copies = _copies_of(archive, letter)
    if not _mine(copies, letter):
        flags = ["\\Seen", PENDING if keywords else "\\Draft", *([SOLVED] if letter.solves else [])]
        box.append(sent, raw, flags, now)
        copies = _copies_of(archive, letter)
    if not (mine := _mine(copies, letter)):
        raise Refused(503, "took a copy of the message and does not have it")
    first = min(copy.uid for copy in mine)
    return _said_by([c for c in _others(copies, letter) if c.folder != sent or not c.pending or c.uid < first])


def _said_by(copies: list[Message]) -> Posted | None:
    if not copies:
        return None
    sure = [copy for copy in copies if not copy.pending]
    return Posted(min(copy.at for copy in sure or copies), replayed=True, unknown=not sure)


def _settle(box: Mailbox, archive: Archive, message_id: str, digest: str) -> None:
    """One copy stays among the sent messages: the server's own, where it keeps one, or else ours. What came back to us
    need not be read.
    """
    sent, copies = archive.folders.sent, _copies(archive, message_id, digest)
    kept = [copy for copy in copies if copy.folder == sent]
    own, pending = [copy for copy in kept if not copy.pending], [copy for copy in kept if copy.pending]
    solved = [SOLVED] if any(copy.has(SOLVED) for copy in kept) else []
    left = [copy.uid for copy in own or pending]
    box.store(sent, left, add=["\\Seen", *solved], remove=[PENDING, "\\Draft"])
    if own:
        box.remove(sent, [copy.uid for copy in pending])
    if came_back := [copy.uid for copy in copies if copy.folder != sent and not copy.has("\\Seen")]:
        box.store(archive.folders.inbox, came_back, add=["\\Seen"])


def _take_back(box: Mailbox, archive: Archive, letter: Letter) -> None:
    def tidy() -> None:
        mine = _mine(_copies_of(archive, letter), letter)
        box.remove(archive.folders.sent, [copy.uid for copy in mine])

    _quietly(box, tidy)


def _quietly(box: Mailbox, tidy: Callable[[], None]) -> None:
    """What became of the message is known: a mailbox that cannot be tidied up now does not change it."""
    box.patience.at_least(_TIDYING)
    try:
        tidy()
    except (OSError, Refused, ValueError):
        pass


def _copies(archive: Archive, message_id: str, digest: str) -> list[Message]:
    """
    Raises:
        Refused: there are copies, and all are of another message.
    """
    copies = archive.copies(message_id)
    same = [copy for copy in copies if copy.head.digest == digest]
    if copies and not same:
        raise Refused(409, "another message was sent with this idempotency_key: nothing was sent. Use a new key")
    return same


def _copies_of(archive: Archive, letter: Letter) -> list[Message]:
    return _copies(archive, letter.message_id, letter.digest)


def _mine(copies: list[Message], letter: Letter) -> list[Message]:
    """Those that this attempt put there."""
    return [copy for copy in copies if copy.pending and copy.head.attempt == letter.attempt]


def _others(copies: list[Message], letter: Letter) -> list[Message]:
    mine = _mine(copies, letter)
    return [copy for copy in copies if copy not in mine]
