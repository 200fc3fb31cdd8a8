"""Finding threads and messages: by who, by words, by state and time, newest first, in pages.

Words and senders are asked of the server, which knows messages only; whether it all holds is decided for the thread that
a message is in. A thread's words may be in several of its messages, its sender is who began it, its time and state are
those of its newest message. What IMAP can narrow is taken at once, as far as that is a bounded number, and put in order
here. Without that, both folders are gone through, newest first, for as long as it takes to fill the page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from typing import Literal

from backoffice_customer.backends.email.access import Refused
from backoffice_customer.backends.email.imap import SOLVED, Mailbox, Message, day
from backoffice_customer.backends.email.threads import Archive, Thread

_BATCH = 25  # messages fetched at once, from each folder
_WINDOW = 2_000  # UIDs of one search: without conditions everything is found
_MOST_SCANNED = 400  # messages that one page looks at
_MOST_MATCHES = 1_000  # messages of each folder whose threads are looked at, when words or a sender are given


@dataclass(frozen=True, slots=True)
class Query:
    """All that is given must hold."""

    addresses: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    by: Literal["updated", "created"] = "updated"

    def at(self, thread: Thread) -> datetime:
        """The time that threads are ordered by."""
        return (thread.oldest if self.by == "created" else thread.newest).at


@dataclass(frozen=True, slots=True)
class Found:
    """`following` is where to go on; empty at the end. `capped`: there may be more that are never found."""

    threads: list[Thread]
    following: str
    capped: bool = False


def find_threads(box: Mailbox, archive: Archive, query: Query, cursor: str, limit: int) -> Found:
    """Threads, newest first by `query.by`."""
    if query.addresses or query.words:
        return _Matches(box, archive, query).page(cursor, limit)
    scan = _Scan(box, archive, query, cursor)
    found: list[Thread] = []
    while len(found) < limit and not scan.ended:
        batch = scan.batch()
        threads = archive.threads(of=batch)
        whose = {(m.folder, m.uid): thread for thread in threads.values() for m in thread.messages}
        for message in batch:
            scan.passed(message)
            thread = whose.get((message.folder, message.uid)) or archive.alone(message)
            if thread is not None and scan.stands_for(message, thread) and _fits(thread, query):
                found.append(thread)
                if len(found) == limit:
                    break
    return Found(sorted(found, key=query.at, reverse=True), scan.cursor)


def find_messages(box: Mailbox, archive: Archive, query: Query, cursor: str, limit: int) -> tuple[list[Message], str]:
    """Messages, newest first, and where to go on; empty at the end."""
    scan = _Scan(box, archive, query, cursor)
    found: list[Message] = []
    while len(found) < limit and not scan.ended:
        batch = scan.batch()
        echoes = archive.in_both(batch)
        for message in batch:
            scan.passed(message)
            sent = message.folder == archive.folders.sent
            # What we sent may have come back to us: then it counts as sent, whatever else is known of it.
            told = sent if message.head.id in echoes else not message.pending
            if told and _within(message.at, query) and _concerns(message, query, sent=sent):
                found.append(message)
                if len(found) == limit:
                    break
    return found, scan.cursor


# ----------------------------------------------------------------------------------------------- what the server finds

_Uids = Mapping[str, frozenset[int]]
"""Messages, by their folder."""


class _Matches:
    """All threads that meet a query for words or a sender. A page of them goes on after a time and a thread's root."""

    def __init__(self, box: Mailbox, archive: Archive, query: Query) -> None:
        self._box = box
        self._archive = archive
        self._query = query

    def page(self, cursor: str, limit: int) -> Found:
        after = _place(cursor) if cursor else None
        threads, capped = self._threads()
        ordered = sorted(((self._query.at(t), t.root, t) for t in threads if _fits(t, self._query)), reverse=True)
        left = [entry for entry in ordered if after is None or entry[:2] < after]
        at, root, _ = left[limit - 1] if len(left) > limit else (None, "", None)
        following = "" if at is None else f"{at.timestamp():.0f} {root}"
        return Found([thread for _, _, thread in left[:limit]], following, capped and not following)

    def _threads(self) -> tuple[list[Thread], bool]:
        conditions = [self._worded(word) for word in self._query.words]
        if self._query.addresses:
            conditions.append(_narrowed(self._box, self._archive, _from(self._box, self._archive, self._query)))
        few = min(conditions, key=lambda uids: sum(map(len, uids.values())))
        worded = [uids for uids in conditions[: len(self._query.words)] if uids is not few]
        threads = {thread.root: thread for thread in self._of(few)}
        capped = any(len(uids) > _MOST_MATCHES for uids in few.values())
        return [t for t in threads.values() if all(_holds(uids, t) for uids in worded)], capped

    def _worded(self, word: str) -> _Uids:
        asked = (b"TEXT " + self._box.string(word),)
        return _narrowed(self._box, self._archive, dict.fromkeys(self._archive.folders, asked))

    def _of(self, uids: _Uids) -> Iterator[Thread]:
        """The threads of these messages, some several times."""
        known: dict[str, Thread] = {}
        for messages in self._newest(uids):
            told = [message for message in messages if not message.deleted]
            found = self._archive.threads(of=[m for m in told if not known.keys() & _names(m)])
            known |= {message.head.id: thread for thread in found.values() for message in thread.messages}
            known |= found
            for message in told:
                if not message.head.id:
                    alone = self._archive.alone(message)
                    yield from [] if alone is None else [alone]
                elif name := next((name for name in _names(message) if name in known), None):
                    yield known[name]

    def _newest(self, uids: _Uids) -> Iterator[list[Message]]:
        for folder, matching in uids.items():
            newest = sorted(matching, reverse=True)[:_MOST_MATCHES]
            for start in range(0, len(newest), 2 * _BATCH):
                yield self._box.messages(folder, newest[start : start + 2 * _BATCH])


def _names(message: Message) -> list[str]:
    """Ids by which a message's thread may be known already, the surest first."""
    return [name for name in (message.head.id, *message.head.references[:1], message.head.in_reply_to) if name]


def _holds(uids: _Uids, thread: Thread) -> bool:
    return any(message.uid in uids[message.folder] for message in thread.messages)


def _place(cursor: str) -> tuple[datetime, str]:
    seconds, _, root = cursor.partition(" ")
    if not (seconds.isascii() and seconds.isdecimal() and len(seconds) < 12):
        raise Refused(400, "cursor: not one of this search. Start from the beginning")
    return datetime.fromtimestamp(int(seconds), UTC), root


def _narrowed(box: Mailbox, archive: Archive, terms: Mapping[str, Sequence[bytes | str]]) -> dict[str, frozenset[int]]:
    """All that meet the conditions, however many: only their numbers."""
    return {name: frozenset(box.search(name, "UNDELETED", *terms[name])) for name in archive.folders}


def _from(box: Mailbox, archive: Archive, query: Query) -> dict[str, list[bytes | str]]:
    """What came from one of these addresses, or was sent to one."""
    if not query.addresses:
        return {name: [] for name in archive.folders}
    addresses = [box.string(address) for address in query.addresses]
    headers = {archive.folders.inbox: b"FROM ", archive.folders.sent: b"TO "}
    either = b"OR " * (len(addresses) - 1)
    return {name: [either + b" ".join(header + address for address in addresses)] for name, header in headers.items()}


# ------------------------------------------------------------------------------------------------- one after the other


class _Scan:
    """Goes through both folders, newest first, a batch at a time. Its cursor says how far it came in each."""

    def __init__(self, box: Mailbox, archive: Archive, query: Query, cursor: str) -> None:
        self._box = box
        self._query = query
        self._places: dict[str, tuple[int, int]] = {}
        self._inbox = archive.folders.inbox
        given = cursor.split(".") if cursor else []
        for n, name in enumerate(archive.folders):
            folder = box.open(name)
            below = folder.next_uid
            if given:
                validity, below = (int(part) for part in given[2 * n : 2 * n + 2])
                if validity != folder.validity:
                    raise Refused(400, "cursor: the mailbox was made anew since. Start from the beginning")
            self._places[name] = (folder.validity, below)
        from_whom = _from(box, archive, query)
        terms = {name: [*self._dates(), *self._state(name), *from_whom[name]] for name in archive.folders}
        narrow = any(self._state(name) or from_whom[name] for name in archive.folders)
        self._matches = _narrowed(box, archive, terms) if narrow else None
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
        """Whether the thread's turn is with this message."""
        turn = thread.oldest if self._query.by == "created" else thread.newest
        return (turn.folder, turn.uid) == (message.folder, message.uid)

    def _next(self, name: str, below: int) -> tuple[list[Message], bool]:
        """Up to a batch of messages below this UID, highest first, and whether there may be more."""
        while below > 1:
            if self._matches is not None:
                lowest, uids = 1, sorted(uid for uid in self._matches[name] if uid < below)
            else:
                lowest = max(1, below - _WINDOW)
                uids = self._box.search_once(name, f"UID {lowest}:{below - 1}", "UNDELETED", *self._dates())
            chosen = uids[-_BATCH:]
            messages = [m for m in self._box.messages(name, chosen) if not m.deleted]
            messages.sort(key=lambda m: m.uid, reverse=True)
            if messages:
                return messages, lowest > 1 or len(uids) > len(chosen)
            below = min(chosen, default=lowest)
        return [], False

    def _dates(self) -> list[bytes | str]:
        """What is within the time asked for. Days are the server's own, wherever that is: a day more on both sides."""
        since, until = self._query.since, self._query.until
        terms: list[bytes | str] = []
        if since is not None and since.year > 1 and self._query.by == "updated":
            terms.append(f"SINCE {day(since - timedelta(days=1))}")
        if until is not None and until.year < 9999:
            terms.append(f"BEFORE {day(until + timedelta(days=2))}")
        return terms

    def _state(self, name: str) -> list[bytes | str]:
        """What the newest message of a thread in the state asked for must be: few are new, or solved."""
        if self._query.by == "updated" and self._query.statuses == ("solved",):
            return [f"KEYWORD {SOLVED}"]
        if self._query.by == "updated" and self._query.statuses == ("new",):
            return ["UNSEEN" if name == self._inbox else "NOT ALL"]
        return []


def _fits(thread: Thread, query: Query) -> bool:
    return (
        (not query.statuses or thread.status in query.statuses)
        and (not query.addresses or thread.requester.email in query.addresses)
        and _within(thread.newest.at, query)
    )


def _within(at: datetime, query: Query) -> bool:
    return (query.since is None or at >= query.since) and (query.until is None or at <= query.until)


def _concerns(message: Message, query: Query, *, sent: bool) -> bool:
    """The search goes by parts of addresses: who only has a similar one is not meant."""
    people = message.head.to if sent else (message.head.sender,)
    return any(person.email in query.addresses for person in people)
