"""Threads: which messages belong together, what state that is, and how to find them. Over one connection, in a thread.

A message belongs to the thread whose root its `References` begin with, or its `In-Reply-To` names, or else it is a root
itself. Ours are the messages in the folder of sent mail: what a `From` says, anybody can write.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import merge
from typing import Literal

from backoffice_customer.backends.email.access import Refused
from backoffice_customer.backends.email.imap import SOLVED, Mailbox, Message, day

Status = Literal["new", "open", "pending", "solved"]

_ROUNDS = 8  # of looking for what mentions what was found
_AT_ONCE = 20  # ids in one search
_BATCH = 25  # messages fetched at once, from each folder
_WINDOW, _NARROW_WINDOW = 2_000, 100_000  # UIDs of one search: without conditions everything is found
_MOST_SCANNED = 400  # messages that one page looks at
LONGEST_THREAD = 500
_NO_ID = re.compile(r"uid\.(\d+)\.(\d+)")
"""Stands for the Message-ID of an incoming message that has none: the folder's UIDVALIDITY and its UID."""


@dataclass(frozen=True, slots=True)
class Folders:
    inbox: str
    sent: str

    def __iter__(self) -> Iterator[str]:
        return iter((self.inbox, self.sent))


@dataclass(frozen=True, slots=True)
class Thread:
    """`messages` are at least one, oldest first, each once; not those of which nobody knows whether they were sent."""

    root: str
    messages: tuple[Message, ...]
    folders: Folders

    @property
    def newest(self) -> Message:
        return self.messages[-1]

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
        return hashlib.sha256(f"{said}{self.newest.has(SOLVED)}".encode()).hexdigest()[:16]

    @property
    def requester(self) -> tuple[str, str]:
        """Name and address of whoever it is with: who began it, or whom we wrote to."""
        first = self.messages[0]
        one = first.head.sender
        if first.folder == self.folders.sent:
            one = next(iter(first.head.to), one)
        return one.name, one.email


@dataclass(frozen=True, slots=True)
class Query:
    """All that is given must hold."""

    addresses: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    by: Literal["updated", "created"] = "updated"


class Archive:
    """The two folders that conversations are in."""

    def __init__(self, box: Mailbox, folders: Folders) -> None:
        self._box = box
        self.folders = folders

    def thread(self, root: str) -> Thread | None:
        """The thread, if any message of it is there."""
        if found := _NO_ID.fullmatch(root):
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
                uids = self._mentioning(folder, news)
                fresh = [uid for uid in uids if (folder, uid) not in known][-LONGEST_THREAD:]
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

    def find_threads(self, query: Query, cursor: str, limit: int) -> tuple[list[Thread], str]:
        """Threads, newest first by `query.by`, and where to go on; empty at the end."""
        scan = _Scan(self._box, self.folders, query, cursor)
        found: list[Thread] = []
        while len(found) < limit and not scan.ended:
            batch = scan.batch()
            threads = self.threads(of=batch)
            whose = {(m.folder, m.uid): thread for thread in threads.values() for m in thread.messages}
            for message in batch:
                scan.passed(message)
                thread = whose.get((message.folder, message.uid)) or self._alone(message)
                if thread is not None and scan.stands_for(message, thread) and _fits(thread, query):
                    found.append(thread)
                    if len(found) == limit:
                        break
        return found, scan.cursor

    def find_messages(self, query: Query, cursor: str, limit: int) -> tuple[list[Message], str]:
        """Messages, newest first, and where to go on; empty at the end."""
        scan = _Scan(self._box, self.folders, query, cursor)
        found: list[Message] = []
        while len(found) < limit and not scan.ended:
            batch = scan.batch()
            echoes = self._both(batch)
            for message in batch:
                scan.passed(message)
                sent = message.folder == self.folders.sent
                # What we sent may have come back to us: then it counts as sent, whatever else is known of it.
                told = sent if message.head.id in echoes else not message.pending
                if told and _within(message.at, query) and _concerns(message, query, self.folders):
                    found.append(message)
                    if len(found) == limit:
                        break
        return found, scan.cursor

    def _both(self, messages: Sequence[Message]) -> set[str]:
        """The ids of those of these messages of which the other folder has a copy."""
        found: set[str] = set()
        for folder in self.folders:
            ids = {message.head.id for message in messages if message.folder != folder and message.head.id}
            uids = self._mentioning(folder, sorted(ids), headers=("Message-ID",))
            found |= {message.head.id for message in self._box.messages(folder, uids) if not message.deleted}
        return found

    def _alone(self, message: Message) -> Thread | None:
        if message.head.id or message.folder == self.folders.sent:
            return None
        validity = self._box.opened(message.folder).validity
        return Thread(f"uid.{validity}.{message.uid}", (message,), self.folders)

    def _unnamed(self, validity: int, uid: int) -> Message | None:
        if self._box.open(self.folders.inbox).validity != validity:
            return None
        found = self._box.messages(self.folders.inbox, [uid])
        return next((message for message in found if not message.head.id and not message.deleted), None)

    def _mentioning(
        self, folder: str, ids: Sequence[str], headers: Sequence[str] = ("Message-ID", "References", "In-Reply-To")
    ) -> list[int]:
        found: set[int] = set()
        for start in range(0, len(ids), _AT_ONCE):
            terms = [
                f"HEADER {header} ".encode() + self._box.string(f"<{wanted}>")
                for wanted in ids[start : start + _AT_ONCE]
                for header in headers
            ]
            found.update(self._box.search(folder, b"OR " * (len(terms) - 1) + b" ".join(terms)))
        return sorted(found)


class _Scan:
    """Goes through both folders, newest first, a batch at a time. Its cursor says how far it came in each."""

    def __init__(self, box: Mailbox, folders: Folders, query: Query, cursor: str) -> None:
        self._box = box
        self._query = query
        self._places: dict[str, tuple[int, int]] = {}
        self._folders = tuple(folders)
        self._matches: dict[str, frozenset[int] | None] = {}
        given = cursor.split(".") if cursor else []
        for n, name in enumerate(self._folders):
            folder = box.open(name)
            below = folder.next_uid
            if given:
                validity, below = (int(part) for part in given[2 * n : 2 * n + 2])
                if validity != folder.validity:
                    raise Refused(400, "cursor: the mailbox was made anew since. Start from the beginning")
            self._places[name] = (folder.validity, below)
            narrow = query.addresses or query.words or self._state(name)
            self._matches[name] = self._narrow(name, folder.next_uid) if narrow else None
        self._scanned = 0
        self._last: dict[str, int] = {}

    @property
    def ended(self) -> bool:
        return self._scanned >= _MOST_SCANNED or self.exhausted

    @property
    def exhausted(self) -> bool:
        return all(below <= 1 for _, below in self._places.values())

    @property
    def cursor(self) -> str:
        return "" if self.exhausted else ".".join(str(part) for place in self._places.values() for part in place)

    def batch(self) -> list[Message]:
        """The next messages, newest first, as far as both folders' order is known."""
        found = {name: self._next(name, below) for name, (_, below) in self._places.items()}
        for name, (messages, more) in found.items():
            if not more and not messages:
                self._places[name] = (self._places[name][0], 1)
        ordered = list(merge(*(messages for messages, _ in found.values()), key=lambda m: m.at, reverse=True))
        # Beyond where a folder with more ends, the other's messages may not be next.
        ends = [messages[-1] for messages, more in found.values() if more and messages]
        cut = min((ordered.index(end) + 1 for end in ends), default=len(ordered))
        self._scanned += max(cut, 1)
        self._last = {name: messages[-1].uid for name, (messages, more) in found.items() if messages and not more}
        return ordered[:cut]

    def passed(self, message: Message) -> None:
        """This message has had its turn."""
        validity, _ = self._places[message.folder]
        is_last = self._last.get(message.folder) == message.uid
        self._places[message.folder] = (validity, 1 if is_last else message.uid)

    def stands_for(self, message: Message, thread: Thread) -> bool:
        """Whether the thread's turn is with this message: its newest that is found, or its oldest."""
        found = [one for one in thread.messages if self._is_match(one)]
        turn = found[:1] if self._query.by == "created" else found[-1:]
        return [(one.folder, one.uid) for one in turn] == [(message.folder, message.uid)]

    def _is_match(self, message: Message) -> bool:
        matches = self._matches[message.folder]
        return matches is None or message.uid in matches

    def _next(self, name: str, below: int) -> tuple[list[Message], bool]:
        """Up to a batch of messages below this UID, highest first, and whether there may be more."""
        while below > 1:
            if (matches := self._matches[name]) is not None:
                lowest, uids = 1, sorted(uid for uid in matches if uid < below)
            else:
                lowest = max(1, below - _WINDOW)
                uids = self._box.search(name, f"UID {lowest}:{below - 1}", *self._always())
            chosen = uids[-_BATCH:]
            messages = [m for m in self._box.messages(name, chosen) if not m.deleted]
            messages.sort(key=lambda m: m.uid, reverse=True)
            if messages:
                return messages, lowest > 1 or len(uids) > len(chosen)
            below = min(chosen, default=lowest)
        return [], False

    def _narrow(self, name: str, next_uid: int) -> frozenset[int]:
        """All that meet the conditions, however many: only their numbers."""
        terms = [
            *self._always(),
            *self._state(name),
            *self._who(name),
            *(b"TEXT " + self._box.string(word) for word in self._query.words),
        ]
        found: set[int] = set()
        for start in range(1, next_uid, _NARROW_WINDOW):
            found.update(self._box.search(name, f"UID {start}:{start + _NARROW_WINDOW - 1}", *terms))
        return frozenset(found)

    def _always(self) -> list[bytes | str]:
        """Days are the server's own, wherever that is: a day more on both sides."""
        since, until = self._query.since, self._query.until
        terms: list[bytes | str] = ["UNDELETED"]
        if since is not None and since.year > 1:
            terms.append(f"SINCE {day(since - timedelta(days=1))}")
        if until is not None and until.year < 9999:
            terms.append(f"BEFORE {day(until + timedelta(days=2))}")
        return terms

    def _state(self, name: str) -> list[bytes | str]:
        """What the newest message of a thread in the state asked for must be: few are new, or solved."""
        if self._query.by == "updated" and self._query.statuses == ("solved",):
            return [f"KEYWORD {SOLVED}"]
        if self._query.by == "updated" and self._query.statuses == ("new",):
            return ["UNSEEN" if name == self._folders[0] else "NOT ALL"]
        return []

    def _who(self, name: str) -> list[bytes | str]:
        header = b"FROM " if name == self._folders[0] else b"TO "
        terms = [header + self._box.string(address) for address in self._query.addresses]
        return [b"OR " * (len(terms) - 1) + b" ".join(terms)] if terms else []


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
    return {root: Thread(root, tuple(found[-LONGEST_THREAD:]), folders) for root, found in threads.items()}


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


def _fits(thread: Thread, query: Query) -> bool:
    return (
        (not query.statuses or thread.status in query.statuses)
        and (not query.addresses or thread.requester[1] in query.addresses)
        and _within(thread.newest.at, query)
    )


def _within(at: datetime, query: Query) -> bool:
    return (query.since is None or at >= query.since) and (query.until is None or at <= query.until)


def _concerns(message: Message, query: Query, folders: Folders) -> bool:
    """The search goes by parts of addresses: who only has a similar one is not meant."""
    people = message.head.to if message.folder == folders.sent else (message.head.sender,)
    return any(person.email in query.addresses for person in people)
