"""The wire of this vendor: requests in a small vocabulary, carried out over IMAP and SMTP in threads.

    GET   /threads?address=&word=&status=&since=&by=&cursor=&limit=    threads, newest first
    GET   /threads/{root}?before=&limit=&chars=                        one thread, with texts of the messages asked for
    PATCH /threads/{root}   {status, version}                          solved, or open again
    GET   /messages?address=&since=&until=&cursor=&limit=&chars=       messages, newest first, with their texts
    GET   /messages/{id}?digest=                                       whether this one was sent
    POST  /messages         {a Letter, thread, version}                send one, once

They come under `mail://{imap server}/{smtp server}/{address}`, with `inbox` and `sent` naming the folders, and an
`Authorization` that is a SASL mechanism with its first message. Answers are JSON; a refusal is the status that it
amounts to, with `{"error": the server's sentence}`.

A connection that was never made, or broke before a message went out, is a `ConnectError`: nothing happened. One that
broke after that is a `ReadError`. Threads end by themselves, since each command has what is left of the request's time.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Any
from urllib.parse import quote, unquote

import httpx

from backoffice_customer.backends.email import imap, smtp
from backoffice_customer.backends.email.access import Login, Patience, Place, Refused, login, place
from backoffice_customer.backends.email.finding import Query, find_messages, find_threads
from backoffice_customer.backends.email.imap import LARGEST_TEXT, SOLVED, Mailbox, Message
from backoffice_customer.backends.email.letters import letter_from
from backoffice_customer.backends.email.mime import Structure, body, unquoted
from backoffice_customer.backends.email.outbox import NO_KEYWORDS, Posted, look, post
from backoffice_customer.backends.email.smtp import Unclear
from backoffice_customer.backends.email.threads import Archive, Folders, Thread

CONNECTIONS = 4  # of each process; Gmail allows 15 to one account, Dovecot 10 by default
USUAL_IMAP, USUAL_SMTP = 993, 587

_PATIENCE = 30.0  # seconds, for requests that name none
_MOST_ATTACHED, _LONGEST_NAME = 20, 120  # attachments of a message that are named, and characters of their names
_SURE_FOR = 5.0  # seconds; a connection that was idle for longer is tried first
_IDLE_AT_MOST = 300.0


@dataclass(frozen=True, slots=True)
class Address:
    """What a request's URL and `Authorization` say of where it goes, and as whom."""

    imap: Place
    smtp: Place
    mailbox: str
    login: Login


class MailWire(httpx.AsyncBaseTransport):
    """`context` says whose certificates are believed; by default, those that this machine believes."""

    def __init__(self, *, context: ssl.SSLContext | None = None) -> None:
        self._given = context
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="mail")
        self._lock = threading.Lock()
        self._idle: list[tuple[Address, Mailbox, float]] = []
        self._working: set[Patience] = set()

    @cached_property
    def _context(self) -> ssl.SSLContext:
        return self._given or ssl.create_default_context()  # which takes its time

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions.get("timeout", {}).get("read") or _PATIENCE
        patience = Patience(0.95 * seconds)  # so that it ends by itself, not by being abandoned
        content = await request.aread()
        self._working.add(patience)
        work = self._threads.submit(self._carry_out, request, content, patience)
        work.add_done_callback(lambda _: self._working.discard(patience))
        try:
            return await asyncio.wrap_future(work)
        except asyncio.CancelledError:
            if request.method == "GET":
                patience.give_up()  # a message that is being sent is better sent
            raise

    def _carry_out(self, request: httpx.Request, content: bytes, patience: Patience) -> httpx.Response:
        sends = request.method == "POST"
        try:
            address, segments = _address(request)
            with self._mailbox(address, patience) as box:
                answer = _Work(box, address, request, self._context).answer(segments, json.loads(content or b"null"))
            return httpx.Response(200, json=answer, request=request)
        except Refused as refused:
            # Whoever refuses a message, be it for now, has not sent it: that is more than a 503 alone says.
            wait = 1 if sends and refused.retry_after is None and refused.status == 503 else refused.retry_after
            after = {} if wait is None else {"retry-after": f"{wait:g}"}
            return httpx.Response(refused.status, json={"error": refused.sentence}, headers=after, request=request)
        except Unclear as error:
            raise httpx.ReadError("the connection broke while the message was sent", request=request) from error
        except TimeoutError as error:
            kind = httpx.ConnectTimeout if sends else httpx.ReadTimeout
            raise kind("no answer in time", request=request) from error
        except _Unreached as error:
            raise httpx.ConnectError("the connection could not be made", request=request) from error
        except OSError as error:
            kind = httpx.ConnectError if sends else httpx.ReadError
            raise kind("the connection broke before an answer came", request=request) from error
        except (ValueError, LookupError) as error:
            kind = httpx.ConnectError if sends else httpx.RemoteProtocolError
            raise kind("the answer is not IMAP", request=request) from error

    @contextmanager
    def _mailbox(self, address: Address, patience: Patience) -> Generator[Mailbox]:
        box = self._taken(address, patience)
        if box is None:
            try:
                box = imap.connected(address.imap, address.login, patience, self._context)
            except TimeoutError:
                raise
            except OSError as error:
                raise _Unreached from error
        usable = False
        try:
            yield box
            usable = True
        except (Refused, Unclear):
            usable = True
            raise
        finally:
            if usable and not box.broken:
                with self._lock:
                    self._idle.append((address, box, time.monotonic()))
            else:
                box.close()

    def _taken(self, address: Address, patience: Patience) -> Mailbox | None:
        """A connection that is there already, and works."""
        while (taken := self._pop(address)) is not None:
            box, since = taken
            box.renew(patience)
            if time.monotonic() - since < _SURE_FOR or box.alive():
                return box
            box.close()
        return None

    def _pop(self, address: Address) -> tuple[Mailbox, float] | None:
        with self._lock:
            old = time.monotonic() - _IDLE_AT_MOST
            for _, box, since in self._idle:
                if since < old:
                    box.close()
            self._idle = [entry for entry in self._idle if entry[2] >= old]
            for n in range(len(self._idle) - 1, -1, -1):
                if self._idle[n][0] == address:
                    return self._idle.pop(n)[1:]
        return None

    async def aclose(self) -> None:
        for patience in list(self._working):
            patience.give_up()
        await asyncio.to_thread(self._threads.shutdown, cancel_futures=True)
        with self._lock:
            for _, box, _ in self._idle:
                box.close()
            self._idle.clear()


class _Unreached(Exception):  # noqa: N818 - it is what happened
    """No connection could be made."""


class _Work:
    """One request, in its thread."""

    def __init__(self, box: Mailbox, address: Address, request: httpx.Request, context: ssl.SSLContext) -> None:
        self._box = box
        self._address = address
        self._method = request.method
        self._params = request.url.params
        self._context = context
        self._archive = Archive(box, Folders(self._params.get("inbox", "INBOX"), self._params.get("sent", "Sent")))

    def answer(self, segments: list[str], wire: Any) -> object:
        match self._method, segments:
            case "GET", ["threads"]:
                found = find_threads(self._box, self._archive, self._query(), self._cursor, self._limit)
                threads = [self._thread(thread) for thread in found.threads]
                return {"threads": threads, "next": found.following or None, "capped": found.capped}
            case "GET", ["threads", root]:
                return self._thread(self._known(root), texts=True)
            case "PATCH", ["threads", root]:
                return self._change(root, wire["status"], wire["version"])
            case "GET", ["messages"]:
                messages, following = find_messages(self._box, self._archive, self._query(), self._cursor, self._limit)
                return {"messages": self._messages(messages), "next": following or None}
            case "GET", ["messages", message_id]:
                return _posted(look(self._box, self._archive, message_id, self._params.get("digest", "")))
            case "POST", ["messages"]:
                return self._post(wire)
            case _:
                raise Refused(404, "there is no such path")

    # ------------------------------------------------------------------------------------------------- what is done

    def _known(self, root: str) -> Thread:
        thread = self._archive.thread(root)
        if thread is None:
            raise Refused(404, f"there is no thread {root[:80]!r}")
        return thread

    def _expect(self, thread: Thread, version: str | None) -> None:
        if version is not None and thread.version != version:
            raise Refused(412, "something was added to this thread, or it was solved or reopened, since it was read")

    def _change(self, root: str, status: str, version: str | None) -> object:
        thread = self._known(root)
        if thread.status == status:
            return self._thread(thread)  # it may have been us, whose answer was lost
        self._expect(thread, version)
        newest = thread.newest
        if status == "solved":
            if not self._box.open(newest.folder, to_write=True).keywords:
                raise Refused(400, NO_KEYWORDS)
            self._box.store(newest.folder, [newest.uid], add=[SOLVED])
        elif thread.status == "pending":
            raise Refused(409, "the newest message is ours: this thread is pending until the customer answers")
        else:
            self._box.store(newest.folder, [newest.uid], add=["\\Seen"], remove=[SOLVED])
        return self._thread(self._known(root))

    def _post(self, wire: Any) -> object:
        letter = letter_from(wire["letter"])
        thread, address = wire["thread"], self._address

        def unchanged() -> None:
            if thread is not None:
                self._expect(self._known(thread), wire["version"])

        domain = address.mailbox.rpartition("@")[2]
        session = partial(smtp.session, address.smtp, address.login, domain, self._box.patience, self._context)
        return _posted(post(self._box, self._archive, letter, session, unchanged))

    # ------------------------------------------------------------------------------------------------- what is asked

    @property
    def _cursor(self) -> str:
        return self._params.get("cursor", "")

    @property
    def _limit(self) -> int:
        return int(self._params.get("limit", "20"))

    def _query(self) -> Query:
        given = self._params
        return Query(
            addresses=tuple(given.get_list("address")),
            words=tuple(given.get_list("word")),
            statuses=tuple(given.get_list("status")),
            since=_moment(given.get("since")),
            until=_moment(given.get("until")),
            by="created" if given.get("by") == "created" else "updated",
        )

    # ---------------------------------------------------------------------------------------------- what is answered

    def _thread(self, thread: Thread, *, texts: bool = False) -> dict[str, Any]:
        end = max(0, min(len(thread.messages), int(self._params.get("before") or len(thread.messages))))
        shown = thread.messages[max(0, end - self._limit) : end] if texts else ()
        return {
            "id": thread.root,
            "status": thread.status,
            "version": thread.version,
            "subject": thread.oldest.head.subject,
            "requester": {"name": thread.requester.name, "email": thread.requester.email},
            "answered_at": sorted(
                (address.email for address in thread.answered_at), key=self._address.mailbox.lower().__eq__
            ),
            "created_at": thread.oldest.at.isoformat(),
            "updated_at": thread.newest.at.isoformat(),
            "newest": {"id": thread.newest.head.id, "references": list(thread.newest.head.references)},
            "first": max(0, end - self._limit),
            "messages": self._messages(shown),
        }

    def _messages(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        structures = {
            (folder, uid): found
            for folder in self._archive.folders
            for uid, found in self._box.structures(folder, [m.uid for m in messages if m.folder == folder]).items()
        }
        return [self._message(message, structures.get((message.folder, message.uid))) for message in messages]

    def _message(self, message: Message, structure: Structure | None) -> dict[str, Any]:
        ours = message.folder == self._archive.folders.sent
        return {
            "id": message.head.id or f"uid.{message.uid}",
            "at": message.at.isoformat(),
            "ours": ours,
            "system": not ours and message.head.sender.email == self._address.mailbox.lower(),
            "from": {"name": message.head.sender.name, "email": message.head.sender.email},
            "to": [{"name": one.name, "email": one.email} for one in message.head.to],
            "subject": message.head.subject,
            **(_UNREADABLE if structure is None else self._content(message, structure)),
        }

    def _content(self, message: Message, structure: Structure) -> dict[str, Any]:
        chars = int(self._params.get("chars", "1000"))
        part = structure.text
        whole = "" if part is None else body(self._box.raw_text(message.folder, message.uid, part), part)
        answers = bool(message.head.in_reply_to or message.head.references)
        said, cut = unquoted(whole) if answers else (whole, False)
        too_large = part is not None and part.size > LARGEST_TEXT
        attached = structure.attachments[:_MOST_ATTACHED]
        where = self._url(message) if attached else ""
        return {
            "text": said[:chars],
            "truncated": cut or too_large or len(said) > chars or len(structure.attachments) > len(attached),
            "attachments": [
                {
                    "name": a.name[:_LONGEST_NAME] or "unnamed",
                    "kind": a.kind,
                    "size": a.decoded_size,
                    "url": f"{where}{a.section}",
                }
                for a in attached
            ],
        }

    def _url(self, message: Message) -> str:
        """Where parts of it are, but for their section (RFC 5092)."""
        validity = self._box.opened(message.folder).validity
        folder = f"{quote(message.folder, safe='')};UIDVALIDITY={validity}"
        user, host = quote(self._address.mailbox, safe=""), self._address.imap.host
        return f"imap://{user}@{host}/{folder}/;UID={message.uid}/;SECTION="


_UNREADABLE: dict[str, Any] = {"text": "", "truncated": True, "attachments": []}


def _posted(found: Posted | None) -> object:
    if found is None:
        return {"sent": None}
    return {"sent": {"at": found.at.isoformat(), "replayed": found.replayed, "unknown": found.unknown}}


def _address(request: httpx.Request) -> tuple[Address, list[str]]:
    """Where a request goes, and the path that is left."""
    smtp_server, mailbox, *segments = [
        unquote(part) for part in request.url.raw_path.decode().partition("?")[0].split("/")[1:]
    ]
    host, port = request.url.host, request.url.port
    return Address(
        place(f"[{host}]:{port}" if port else f"[{host}]", USUAL_IMAP),
        place(smtp_server, USUAL_SMTP),
        mailbox,
        login(request.headers["authorization"]),
    ), segments


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
