"""The support mailbox in our words: a ticket is a thread, its comments are the messages, a reply is one more.

A ticket's id is the Message-ID of the thread's first message. It is new while its newest message came from outside and
nobody has seen it, open when somebody has, pending when the newest is ours, and solved when the newest carries the
keyword `$Solved`, so that another message opens it again. `wire.py` says what travels, `outbox.py` why nothing is sent
twice.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any

import httpx

from backoffice_customer.backends.email.letters import (
    Letter,
    checked_address,
    checked_line,
    id_for,
    replying,
    shortened,
)
from backoffice_customer.backends.email.mime import MADE_UP, usable
from backoffice_customer.backends.email.words import (
    NAME,
    TITLE,
    how_many,
    known_sent,
    mails,
    surely_sent,
    ticket_rows,
    ticket_state,
    to_answer,
    whole_ticket,
)
from backoffice_customer.models import (
    Contact,
    Event,
    EventKind,
    Sent,
    Ticket,
    TicketRow,
    TicketState,
    TicketStatus,
)
from backoffice_customer.ports import CommentPage, Mail, Reply, Span, TicketChange, TicketQuery
from backoffice_shared.backend import Backend, Failure, Rate, seconds, wire_of
from backoffice_shared.credentials.source import Credential
from backoffice_shared.errors import Conflict, InvalidInput, NotFound
from backoffice_shared.http.client import BackendClient, Params, T, Written, path
from backoffice_shared.http.once import once
from backoffice_shared.jsonvalues import obj
from backoffice_shared.paging import Chunk

_STATUSES: tuple[TicketStatus, ...] = ("new", "open", "pending", "solved")
_LARGEST_PAGE = 50
_MOST_COUNTED, _COUNTED_AT_ONCE = 500, 250
_MOST_WORDS = 10
_MOST_REFERENCES = 20  # the first and the last of a long thread's: so do mail programs


def _authorize(request: httpx.Request, credential: Credential) -> None:
    """A SASL mechanism and its first message: RFC 4616, and
    https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
    """
    user = credential["username"]
    if "access_token" in credential:
        mechanism, initial = "XOAUTH2", f"user={user}\x01auth=Bearer {credential['access_token']}\x01\x01"
    else:
        mechanism, initial = "PLAIN", f"\0{user}\0{credential['password']}"
    request.headers["Authorization"] = f"{mechanism} {b64encode(initial.encode()).decode()}"


def _failure(response: httpx.Response) -> Failure | None:
    if response.status_code < 400:
        return None
    sentence = str(wire_of(response).get("error") or f"answered {response.status_code}")
    return Failure(response.status_code, sentence, seconds(response.headers.get("retry-after")))


def _replayed(response: httpx.Response) -> bool:
    return obj(wire_of(response).get("sent")).get("replayed") is True


EMAIL = Backend(
    name=NAME,
    title=TITLE,
    base_url="mail://{imap_server}/{smtp_server}/{address}",
    options=("imap_server", "smtp_server", "address"),
    optional={"sent_folder": "Sent", "inbox": "INBOX"},
    credentials=(frozenset({"username", "password"}), frozenset({"username", "access_token"})),
    authorize=_authorize,
    failure=_failure,
    replayed=_replayed,
    rate=Rate(requests=60, seconds=10, burst=20),
    timeout=15.0,
)


class Email:
    """Threads of the support mailbox, and new messages from it."""

    event_kinds: frozenset[EventKind] = frozenset({"email"})
    closes = False

    def __init__(self, http: BackendClient) -> None:
        self._http = http
        self._folders = {"inbox": http.options["inbox"], "sent": http.options["sent_folder"]}
        self._address = http.options["address"]

    # ------------------------------------------------------------------------------------------------------ reading

    async def search_tickets(self, query: TicketQuery, cursor: str | None, limit: int) -> Chunk[TicketRow]:
        """Threads have no priority and no assignee. Which one a text is in, the server decides, by parts of words: each
        of them in some message of the thread.
        """
        addresses = _addresses(query.emails)
        statuses = [status for status in query.statuses if status in _STATUSES]
        if (
            query.priorities
            or query.assignee not in (None, "none")
            or (query.statuses and not statuses)
            or ((query.requesters or query.emails) and not addresses)
        ):
            return Chunk([])
        return await self._http.read(
            "threads.search",
            "/threads",
            params=self._params(
                address=addresses,
                word=_words(query.text or ""),
                status=list(statuses),
                since=_time(query.updated_since),
                by=query.sort,
                cursor=cursor,
                limit=min(limit, _LARGEST_PAGE),
            ),
            into=ticket_rows,
            fresh_for=15,
            tags=("tickets",),
        )

    async def count_open_tickets(self, who: Contact) -> int:
        """At most 500."""
        if not (addresses := _addresses(who.emails)):
            return 0
        counted, cursor = 0, None
        for _ in range(_MOST_COUNTED // _COUNTED_AT_ONCE):
            found, cursor = await self._http.read(
                "threads.count",
                "/threads",
                params=self._params(
                    address=addresses, status=["new", "open", "pending"], cursor=cursor, limit=_COUNTED_AT_ONCE
                ),
                into=how_many,
                fresh_for=15,
                tags=("tickets",),
            )
            counted += found
            if cursor is None:
                break
        return counted

    async def ticket(self, native: str, comments: CommentPage | None) -> Ticket:
        page = comments or CommentPage(limit=0)
        if page.cursor is not None and not (page.cursor.isascii() and page.cursor.isdecimal()):
            raise InvalidInput("", "cursor: not a cursor of this ticket's comments")
        return await self._thread(
            native,
            params=self._params(before=page.cursor, limit=min(page.limit, _LARGEST_PAGE), chars=page.max_chars),
            into=whole_ticket,
            fresh_for=15,
        )

    async def events(
        self,
        who: Sequence[Contact],
        kinds: frozenset[EventKind],  # noqa: ARG002 - there is only one
        span: Span,
        cursor: str | None,
        limit: int,
    ) -> Chunk[Event]:
        if not (addresses := _addresses([email for contact in who for email in contact.emails])):
            return Chunk([])
        return await self._http.read(
            "messages.search",
            "/messages",
            params=self._params(
                address=addresses,
                since=_time(span.since),
                until=_time(span.until),
                cursor=cursor,
                limit=min(limit, _LARGEST_PAGE),
                chars=240,
            ),
            into=mails,
            fresh_for=15,
            tags=("tickets",),
        )

    # ------------------------------------------------------------------------------------------------------ writing

    async def update_ticket(self, native: str, change: TicketChange, key: str) -> TicketState:  # noqa: ARG002
        """Only whether it is open or solved. IMAP has no condition that spans a thread: a message that comes between
        the look and the change does not stop it, and opens the thread again.
        """
        wanted = _state_of(change)
        written = await self._http.write(
            "threads.update",
            path("threads", _root(native)),
            method="PATCH",
            params=self._params(),
            json={"status": wanted, "version": change.version},
            into=ticket_state,
            twice="harmless",
            touches=("tickets", f"ticket:{native}"),
        )
        return written.value

    async def reply(self, native: str, reply: Reply, key: str) -> Written[Sent]:
        """The thread is compared with `reply.version` just before the message is handed over; nothing can lock it."""
        if reply.status_after not in (None, "pending", "solved"):
            raise InvalidInput(
                EMAIL.title, f"after a reply, a thread is pending or solved: it cannot be {reply.status_after}"
            )
        wire = await self._thread(native, params=self._params(limit=0), into=to_answer)
        answered = wire["newest"]
        references = list(dict.fromkeys([native, *answered["references"], answered["id"]]))
        letter = self._letter(
            key,
            native,
            to=_where(native, wire["to"]),
            name=wire["requester"]["name"],
            subject=replying(shortened(wire["subject"])),
            text=reply.body,
            in_reply_to=answered["id"],
            references=tuple(references),
            solves=reply.status_after == "solved",
        )
        return await self._send(letter, {"thread": native, "version": reply.version}, f"ticket:{native}")

    async def send(self, mail: Mail, key: str) -> Written[Sent]:
        letter = self._letter(key, mail.to, to=mail.to, name=mail.name, subject=mail.subject, text=mail.body)
        return await self._send(letter, {"thread": None, "version": None})

    async def _send(self, letter: Letter, condition: dict[str, str | None], *touched: str) -> Written[Sent]:
        sent = partial(known_sent, letter=letter)

        async def write() -> Written[Sent]:
            return await self._http.write(
                "messages.send",
                "/messages",
                params=self._params(),
                json={"letter": asdict(letter), **condition},
                into=partial(surely_sent, sent=sent),
                twice="looked up",
                touches=("tickets", *touched),
            )

        async def look(_since: datetime) -> Sent | None:
            where = path("messages", letter.message_id)
            return await self._http.read("messages.look", where, params=self._params(digest=letter.digest), into=sent)

        return await once(EMAIL.title, write, look)

    def _letter(
        self,
        key: str,
        native: str,
        *,
        to: str,
        name: str,
        subject: str,
        text: str,
        in_reply_to: str = "",
        references: tuple[str, ...] = (),
        solves: bool = False,
    ) -> Letter:
        address = checked_address(to)
        if address.lower() == self._address.lower():
            raise InvalidInput(EMAIL.title, "it would go to the support mailbox itself")
        return Letter(
            message_id=id_for(key, native, self._address),
            sender=self._address,
            to=address,
            name=checked_line("name", shortened(name)),
            subject=checked_line("subject", subject),
            text=text,
            in_reply_to=in_reply_to,
            references=(*references[:1], *references[1:][-_MOST_REFERENCES + 1 :]),
            attempt=secrets.token_hex(8),
            solves=solves,
        )

    async def _thread(self, native: str, *, params: Params, into: Callable[[Any], T], fresh_for: float = 0.0) -> T:
        return await self._http.read(
            "threads.get",
            path("threads", _root(native)),
            params=params,
            into=into,
            fresh_for=fresh_for,
            tags=(f"ticket:{native}",),
        )

    def _params(self, **given: str | int | list[str] | None) -> Params:
        return {**self._folders, **{name: value for name, value in given.items() if value is not None}}


# ----------------------------------------------------------------------------------------------- our words to the wire


def _root(native: str) -> str:
    """
    Raises:
        NotFound: no message can have this id.
    """
    if not (usable(native) or MADE_UP.fullmatch(native)) or native in (".", ".."):
        raise NotFound(EMAIL.title, f"there is no ticket {native[:80]!r}")
    return native


def _where(native: str, to: str | None) -> str:
    """Where an answer in this thread goes.

    Raises:
        Conflict: it cannot be answered there.
    """
    if MADE_UP.fullmatch(native):
        raise Conflict(
            EMAIL.title,
            "this message has no Message-ID: an answer could not name it, and would be a thread of its own",
            hint="Write a new message: give customer_id instead of ticket_id",
        )
    if to is None:
        raise Conflict(
            EMAIL.title,
            "the message that began this thread is not in the mailbox, or comes from no address that could be answered",
            hint="Write a new message: give customer_id instead of ticket_id",
        )
    return to


def _state_of(change: TicketChange) -> TicketStatus:
    """
    Raises:
        InvalidInput: it is not that a thread is to be open or solved.
    """
    others = (change.priority, change.assignee, change.note, *change.add_tags, *change.remove_tags)
    if any(other is not None for other in others):
        raise InvalidInput(
            EMAIL.title, "a mailbox knows no priority, assignee, tags or internal notes: only status can be set"
        )
    if change.status not in ("open", "solved"):
        raise InvalidInput(EMAIL.title, f"a thread can be made open or solved, not {change.status}")
    return change.status


def _addresses(emails: Sequence[str]) -> list[str]:
    return sorted({email.strip().lower() for email in emails if "@" in email and email.isprintable()})[:_LARGEST_PAGE]


def _words(text: str) -> list[str]:
    printable = "".join(c if c.isprintable() else " " for c in text)
    return printable.split()[:_MOST_WORDS]


def _time(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
