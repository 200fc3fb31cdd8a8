"""Threads: which messages belong together, and what state that is. Over one connection, in a thread.

A message belongs to the thread whose root its `References` begin with, or its `In-Reply-To` names, or else it is a root
itself. Ours are the messages in the folder of sent mail: what a `From` says, anybody can write.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from backoffice_customer.backends.email.imap import SOLVED, Mailbox, Message
from backoffice_customer.backends.email.mime import MADE_UP, Address

Status = Literal["new", "open", "pending", "solved"]

_ROUNDS = 8  # of looking for what mentions what was found
_AT_ONCE = 20  # ids in one search
_MOST_COPIES = 5  # of one message
LONGEST_THREAD = 500


@dataclass(frozen=True, slots=True)
class Folders:
    inbox: str
    sent: str

    def __iter__(self) -> Iterator[str]:
        return iter((self.inbox, self.sent))


@dataclass(frozen=True, slots=True)
class Thread:
    """`messages` are at least one, oldest first, each once; not those of which nobody knows whether they were sent.

    A thread may have more messages than it keeps here, but never lacks the first because of that.
    """

    root: str
    messages: tuple[Message, ...]
    folders: Folders

    @property
    def newest(self) -> Message:
        return self.messages[-1]

    @property
    def first(self) -> Message | None:
        """The message that began it; None when it is not there. One without a Message-ID is alone in its thread."""
        return next((message for message in self.messages if message.head.id in (self.root, "")), None)

    @property
    def oldest(self) -> Message:
        """The one that stands for the first, where that is not there."""
        return self.first or self.messages[0]

    @property
    def status(self) -> Status:
        if self.newest.has(SOLVED):
            return "solved"
        if self.newest.folder == self.folders.sent:
            return "pending"
        return "open" if self.newest.has("\\Seen") else "new"

    @property
    def version(self) -> str:
        """Another one with every message, and when it is solved or reopened. That somebody reads it changes nothing."""
        said = [message.head.id for message in self.messages]
        addresses = [address.email for address in self.answered_at]
        return hashlib.sha256(f"{said}{addresses}{self.newest.has(SOLVED)}".encode()).hexdigest()[:16]

    @property
    def requester(self) -> Address:
        """Whoever it is with: who began it, or whom we wrote to."""
        if self.oldest.folder == self.folders.sent:
            return next(iter(self.oldest.head.to), self.oldest.head.sender)
        return self.oldest.head.sender

    @property
    def answered_at(self) -> tuple[Address, ...]:
        """Where an answer may go, best first: as the first message asks for, and nothing that came later."""
        if self.first is None:
            return ()
        asked = () if self.first.folder == self.folders.sent else self.first.head.reply_to
        return (*asked, self.requester)


class Archive:
    """The two folders that conversations are in."""

    def __init__(self, box: Mailbox, folders: Folders) -> None:
        self._box = box
        self.folders = folders

    def thread(self, root: str) -> Thread | None:
        """The thread, if any message of it is there."""
        if found := MADE_UP.fullmatch(root):
            message = self._unnamed(int(found[1]), int(found[2]))
            return None if message is None else Thread(root, (message,), self.folders)
        return self.threads([root]).get(root)

    def threads(self, ids: Iterable[str] = (), *, of: Iterable[Message] = ()) -> dict[str, Thread]:
        """All threads in which one of these ids is mentioned, and those of these messages, by their roots."""
        known = {(message.folder, message.uid): message for message in of}
        asked: set[str] = set()
        wanted = {*ids, *(found for message in known.values() for found in mentioned(message))}
        for _ in range(_ROUNDS):
            if not (news := sorted(wanted - asked)) or len(known) > LONGEST_THREAD:
                break
            asked.update(news)
            for folder in self.folders:
                uids = [*self._named(folder, news), *self._mentioning(folder, news)]
                fresh = sorted({uid for uid in uids if (folder, uid) not in known})
                known |= {(folder, message.uid): message for message in self._box.messages(folder, fresh)}
            wanted = {found for message in known.values() for found in mentioned(message)}
        return rooted(known.values(), self.folders)

    def copies(self, message_id: str) -> list[Message]:
        """Every copy of this message, those in the inbox first, then by UID."""
        found: list[Message] = []
        for folder in self.folders:
            self._box.open(folder)  # anew: it is about what is there now
            uids = self._box.search(folder, b"HEADER Message-ID " + self._box.string(f"<{message_id}>"))
            messages = self._box.messages(folder, uids)
            found += sorted((m for m in messages if m.head.id == message_id and not m.deleted), key=lambda m: m.uid)
        return found

    def in_both(self, messages: Sequence[Message]) -> set[str]:
        """The ids of those of these messages of which the other folder has a copy."""
        found: set[str] = set()
        for folder in self.folders:
            ids = {message.head.id for message in messages if message.folder != folder and message.head.id}
            uids = self._named(folder, sorted(ids))
            found |= {message.head.id for message in self._box.messages(folder, uids) if not message.deleted}
        return found

    def alone(self, message: Message) -> Thread | None:
        """The thread of an incoming message without a Message-ID: nothing can name it."""
        if message.head.id or message.folder == self.folders.sent:
            return None
        validity = self._box.opened(message.folder).validity
        return Thread(f"uid.{validity}.{message.uid}", (message,), self.folders)

    def _unnamed(self, validity: int, uid: int) -> Message | None:
        if self._box.open(self.folders.inbox).validity != validity:
            return None
        found = self._box.messages(self.folders.inbox, [uid])
        return next((message for message in found if not message.head.id and not message.deleted), None)

    def _named(self, folder: str, ids: Sequence[str]) -> list[int]:
        """The messages that have these ids: of many copies, the first, since that is the one that counts."""
        found: list[int] = []
        for some in _portions(ids):
            uids = self._having(folder, some, ("Message-ID",))
            if len(uids) > len(some) * _MOST_COPIES:
                uids = [uid for one in some for uid in self._having(folder, [one], ("Message-ID",))[:_MOST_COPIES]]
            found += uids
        return found

    def _mentioning(self, folder: str, ids: Sequence[str]) -> list[int]:
        """The newest messages that answer these ids. A thread that somebody floods leaves their places to the others."""
        found: set[int] = set()
        headers = ("References", "In-Reply-To")
        for some in _portions(ids):
            uids = self._having(folder, some, headers)
            if len(uids) > LONGEST_THREAD:
                share = max(1, LONGEST_THREAD // len(ids))
                uids = [uid for one in some for uid in self._having(folder, [one], headers)[-share:]]
            found.update(uids)
        return sorted(found)

    def _having(self, folder: str, ids: Sequence[str], headers: Sequence[str]) -> list[int]:
        values = [self._box.string(f"<{wanted}>") for wanted in ids]
        terms = [f"HEADER {header} ".encode() + value for value in values for header in headers]
        return self._box.search(folder, "UNDELETED", b"OR " * (len(terms) - 1) + b" ".join(terms))


def _portions(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def mentioned(message: Message) -> set[str]:
    """The ids by which the message's thread is found."""
    head = message.head
    return {found for found in (head.id, head.in_reply_to, *head.references[:1]) if found}


def rooted(messages: Iterable[Message], folders: Folders) -> dict[str, Thread]:
    """Messages as threads, by their roots. Of several copies of a message, the one that we sent counts."""
    once: dict[str, Message] = {}
    for message in sorted(messages, key=lambda m: (m.folder == folders.sent, -m.uid)):
        told = not message.pending or message.head.id in once  # what also came back to us was sent
        if message.head.id and not message.deleted and told:
            once[message.head.id] = message
    threads: dict[str, list[Message]] = {}
    # Servers know the second only: within it, answers come after what they answer.
    for message in sorted(once.values(), key=lambda m: (m.at, _depth(m, once), m.folder, m.uid)):
        threads.setdefault(_root(message, once), []).append(message)
    return {root: Thread(root, _kept(root, found), folders) for root, found in threads.items()}


def _kept(root: str, messages: Sequence[Message]) -> tuple[Message, ...]:
    """The newest, and the one that began it."""
    left = messages[:-LONGEST_THREAD]
    began = [message for message in left if message.head.id == root]
    return (*began, *messages[len(left) + len(began) :])


def _root(message: Message, known: dict[str, Message]) -> str:
    seen: set[str] = set()
    root = message.head.id
    while root not in seen and (parent := known.get(root)) is not None:
        seen.add(root)
        root = next(iter(parent.head.references), "") or parent.head.in_reply_to or root
    return root


def _depth(message: Message, known: dict[str, Message]) -> int:
    """How many messages it answers, one after the other."""
    seen: set[str] = set()
    parent: Message | None = message
    while parent is not None and parent.head.id not in seen:
        seen.add(parent.head.id)
        parent = known.get(parent.head.in_reply_to or next(reversed(parent.head.references), ""))
    return len(seen)
