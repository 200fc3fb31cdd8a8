"""One logged-in IMAP connection: folders, searches, messages and flags, as values. It blocks: for threads only.

Reading never marks anything as seen: folders are opened with EXAMINE, parts fetched with BODY.PEEK.

Sources: https://www.rfc-editor.org/rfc/rfc9051, and RFC 3501, 4315 (UIDPLUS), 5530 (response codes), 7888 (literals)
"""

from __future__ import annotations

import imaplib
import re
import ssl
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO, cast

from backoffice_customer.backends.email.access import Login, Patience, Place, Refused, secured
from backoffice_customer.backends.email.mime import Headers, Part, Structure, headers, structure
from backoffice_customer.backends.email.syntax import CUT, Values, named, number, quoted, read, strings

IMPLICIT_TLS = 993
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LARGEST_TEXT = 256 * 1024  # bytes of a text part that are fetched

_HEADERS = "SUBJECT FROM TO CC REPLY-TO MESSAGE-ID IN-REPLY-TO REFERENCES X-BACKOFFICE-ATTEMPT X-BACKOFFICE-DIGEST"
_LARGEST_HEAD = 64 * 1024  # bytes of those headers that are fetched
_LONGEST_LINE = 1_000_000  # bytes; a search of a range of UIDs stays below
_RANGE = 100_000  # UIDs of one search
_BAD = re.compile(r"\w+ command error: BAD ")
_LONGEST_SENTENCE = 2_000  # characters
_UNAVAILABLE = ("UNAVAILABLE", "INUSE", "SERVERBUG", "CONTACTADMIN")
_THROTTLED = ("LIMIT", "OVERQUOTA", "THROTTLED")

PENDING, SOLVED = "$Pending", "$Solved"


@dataclass(frozen=True, slots=True)
class Folder:
    """An opened folder. UIDs mean something together with `validity`; the next message gets `next_uid`."""

    name: str
    validity: int
    next_uid: int
    keywords: bool


@dataclass(frozen=True, slots=True)
class Message:
    """A message in a folder. `at` is when the server got it; `flags` are as the server writes them."""

    folder: str
    uid: int
    at: datetime
    flags: tuple[str, ...]
    head: Headers

    @property
    def pending(self) -> bool:
        """A copy that was put here before the message was sent, of which nobody knows yet whether it was."""
        return self.has(PENDING) or self.has("\\Draft")

    @property
    def deleted(self) -> bool:
        return self.has("\\Deleted")

    def has(self, flag: str) -> bool:
        return any(flag.lower() == mine.lower() for mine in self.flags)


class Mailbox:
    """Commands on one connection. What the server refuses (NO and BAD) is `Refused`, and the connection can be used on;
    a lost connection is an OSError, and an answer that is none a ValueError.
    """

    def __init__(self, imap: imaplib.IMAP4, patience: Patience) -> None:
        self._imap = imap
        self._open: tuple[Folder, bool] | None = None
        self.patience = patience
        self.broken = False
        """Whether it ended between a command and its answer: it can only be closed."""

    def renew(self, patience: Patience) -> None:
        """For the next piece of work: folders are opened anew, so that it sees what came since."""
        self.patience = patience
        self._open = None

    def alive(self) -> bool:
        try:
            self._ask(self._imap.noop)
        except (OSError, Refused, ValueError):
            return False
        return True

    def open(self, name: str, *, to_write: bool = False) -> Folder:
        """The folder, as it is now."""
        mailbox = b'"' + _modified_utf7(name).replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
        self._open = None
        self._ask(lambda: self._imap.select(mailbox.decode("ascii"), readonly=not to_write))
        allowed = self._said("PERMANENTFLAGS")
        folder = Folder(
            name,
            validity=int(self._said("UIDVALIDITY") or 0),
            next_uid=int(self._said("UIDNEXT") or 0) or self._highest() + 1,
            keywords="\\*" in allowed or SOLVED.lower() in allowed.lower(),
        )
        self._open = (folder, to_write)
        return folder

    def opened(self, name: str, *, to_write: bool = False) -> Folder:
        """The folder, as it was when it was opened last."""
        if self._open is not None and self._open[0].name == name and (self._open[1] or not to_write):
            return self._open[0]
        return self.open(name, to_write=to_write)

    def search(self, folder: str, *criteria: bytes | str) -> list[int]:
        """UIDs, lowest first: of all messages, a range at a time, so that no answer is too long for a line."""
        found: list[int] = []
        start, last = 1, self.opened(folder).next_uid - 1
        while start <= max(last, 1):
            end = "*" if start + _RANGE > last else str(start + _RANGE - 1)
            found += [uid for uid in self.search_once(folder, f"UID {start}:{end}", *criteria) if uid >= start]
            start += _RANGE
        return found

    def search_once(self, folder: str, *criteria: bytes | str) -> list[int]:
        """UIDs, lowest first, where the criteria say which range they are from."""
        self.opened(folder)
        given = [c.encode("ascii") if isinstance(c, str) else c for c in criteria]
        charset = [] if all(c.isascii() for c in given) else [b"CHARSET", b"UTF-8"]
        found = self._ask(lambda: self._imap.uid("SEARCH", *charset, *given))  # pyright: ignore[reportArgumentType]
        return sorted(int(uid) for line in found if isinstance(line, bytes) for uid in line.split())

    def string(self, text: str) -> bytes:
        """`text` in a search."""
        literals = {"LITERAL+", "LITERAL-"}.intersection(self._imap.capabilities)
        if text.isascii() or literals:
            return quoted(text)
        return b'"' + text.replace("\\", "").replace('"', "").encode("utf-8", "replace") + b'"'

    def messages(self, folder: str, uids: Iterable[int]) -> list[Message]:
        """Those of these messages that are still there, without their texts and parts."""
        items = f"(UID FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS ({_HEADERS})]<0.{_LARGEST_HEAD}>)"
        return [_message(folder, wire) for wire in self._fetch(folder, uids, items)]

    def structures(self, folder: str, uids: Sequence[int]) -> dict[int, Structure]:
        """The parts of these messages. A message whose structure cannot be read has none, and spoils no other's."""
        try:
            return {
                number(wire.get(b"UID")): structure(wire.get(b"BODYSTRUCTURE"))
                for wire in self._fetch(folder, uids, "(UID BODYSTRUCTURE)")
            }
        except (Refused, ValueError):
            if len(uids) == 1:
                return {}
            return {uid: found for each in uids for uid, found in self.structures(folder, [each]).items()}

    def raw_text(self, folder: str, uid: int, part: Part) -> bytes:
        """The beginning of a part, as it was sent; empty when the message is gone."""
        wanted = f"(UID BODY.PEEK[{part.section}]<0.{LARGEST_TEXT}>)"
        for wire in self._fetch(folder, [uid], wanted):
            content = wire.get(f"BODY[{part.section}]".encode())
            return content if isinstance(content, bytes) else b""
        return b""

    def store(self, folder: str, uids: Iterable[int], *, add: Sequence[str] = (), remove: Sequence[str] = ()) -> None:
        self.opened(folder, to_write=True)
        for sign, flags in (("+FLAGS", add), ("-FLAGS", remove)):
            if flags and (numbers := ",".join(map(str, uids))):
                given = (numbers, f"{sign}.SILENT", f"({' '.join(flags)})")
                self._ask(lambda given=given: self._imap.uid("STORE", *given))

    def append(self, folder: str, raw: bytes, flags: Sequence[str], at: datetime) -> None:
        mailbox = '"' + _modified_utf7(folder).decode("ascii") + '"'
        when = f'"{at.day:02d}-{MONTHS[at.month - 1]}-{at:%Y %H:%M:%S} +0000"'
        self._ask(lambda: self._imap.append(mailbox, " ".join(flags), when, raw))

    def remove(self, folder: str, uids: Sequence[int]) -> None:
        """Delete these and no others: where the server cannot, they stay marked as deleted, which counts as gone."""
        if not uids:
            return
        self.store(folder, uids, add=["\\Deleted"])
        if "UIDPLUS" in self._imap.capabilities or "IMAP4REV2" in self._imap.capabilities:
            self._ask(lambda: self._imap.uid("EXPUNGE", ",".join(map(str, uids))))

    def close(self) -> None:
        try:
            self._imap.shutdown()
        except OSError:
            pass

    def _fetch(self, folder: str, uids: Iterable[int], items: str) -> Iterator[dict[bytes, Any]]:
        numbers = ",".join(map(str, uids))
        if not numbers:
            return
        self.opened(folder)
        given = self._ask(lambda: self._imap.uid("FETCH", numbers, items))
        wire = read(part for part in given if part is not None)
        for message in wire[1::2]:
            fields = named(message)
            if len(fields) > 2 or b"FLAGS" not in fields:  # not what the server says by itself of others' changes
                yield fields

    def _ask(self, command: Callable[[], tuple[str, list[Any]]]) -> list[Any]:
        if self.broken:
            raise ConnectionError("an answer is still to come, or did not come whole")
        self._imap.sock.settimeout(self.patience.left())
        self.broken = True
        try:
            kind, data = command()
        except imaplib.IMAP4.abort as lost:
            raise ConnectionError(str(lost)[:_LONGEST_SENTENCE]) from lost
        except imaplib.IMAP4.error as refused:
            if not _BAD.match(str(refused)):
                raise ValueError("the answer is not IMAP") from refused
            self.broken = False
            raise _refused(str(refused)) from refused
        if kind not in ("OK", "NO"):
            raise ValueError("neither OK nor NO")
        self.broken = False
        if kind == "NO":
            raise _refused(b" ".join(line for line in data if isinstance(line, bytes)).decode("utf-8", "replace"))
        return data

    def _said(self, code: str) -> str:
        """What the server said in a response code of the last command."""
        _, said = self._imap.response(code)
        last = said[-1] if said else None
        return last.decode("ascii", "replace") if isinstance(last, bytes) else ""

    def _highest(self) -> int:
        found = self._ask(lambda: self._imap.uid("SEARCH", "UID", "*"))  # one at most
        return max((int(uid) for line in found if isinstance(line, bytes) for uid in line.split()), default=0)


def connected(place: Place, login: Login, patience: Patience, context: ssl.SSLContext) -> Mailbox:
    """A connection that is logged in.

    Raises:
        OSError: there is none.
        Refused: the server does not take the login, or no TLS.
    """
    imap = _reached(place, patience, context)
    try:
        if place.port != IMPLICIT_TLS and secured(place, offered="STARTTLS" in imap.capabilities):
            imap.starttls(context)
        imap.sock.settimeout(patience.left())
        _log_in(imap, login)
        # What the server can do may be more, now that it knows for whom.
        imap.capabilities = tuple(_words(imap.capability()[1]))
    except imaplib.IMAP4.abort as lost:
        imap.shutdown()
        raise ConnectionError(str(lost)) from lost
    except imaplib.IMAP4.error as refused:
        imap.shutdown()
        said = _refused(str(refused))
        raise said if said.status in (429, 503) else Refused(401, said.sentence) from refused
    except BaseException:
        imap.shutdown()
        raise
    return Mailbox(imap, patience)


class _Lines(imaplib.IMAP4):
    """Reads a line that is too long to its end, so that what comes after it is understood, and keeps its two ends."""

    def readline(self) -> bytes:
        lines = cast("BinaryIO", self.file)
        line = lines.readline(_LONGEST_LINE)
        if len(line) < _LONGEST_LINE or line.endswith(b"\n"):
            return line
        start, end = line[:100], line[-100:]
        while not end.endswith(b"\n") and (more := lines.readline(_LONGEST_LINE)):
            end = (end + more)[-100:]  # which may say that a literal follows
        return start + CUT + end


class _SecureLines(_Lines, imaplib.IMAP4_SSL):
    pass


def _reached(place: Place, patience: Patience, context: ssl.SSLContext) -> imaplib.IMAP4:
    try:
        if place.port == IMPLICIT_TLS:
            return _SecureLines(place.host, place.port, ssl_context=context, timeout=patience.left())
        return _Lines(place.host, place.port, timeout=patience.left())
    except imaplib.IMAP4.error as lost:
        raise ConnectionError(str(lost)) from lost


def _words(said: list[Any]) -> list[str]:
    return [
        word for line in said if isinstance(line, bytes) for word in line.decode("ascii", "replace").upper().split()
    ]


def _log_in(imap: imaplib.IMAP4, login: Login) -> None:
    if login.mechanism == "PLAIN" and "AUTH=PLAIN" not in imap.capabilities:
        imap.login(login.user, login.password)
        return
    answers = iter([login.initial])
    # A second question of the server holds why it refuses (XOAUTH2): an empty answer makes it say so.
    imap.authenticate(login.mechanism, lambda _question: next(answers, b""))


def _refused(sentence: str) -> Refused:
    code = re.search(r"\[([A-Z]+)", sentence)
    name = code[1] if code else ""
    said = _sentence(sentence)
    if name in _THROTTLED or "throttled" in sentence.lower():
        return Refused(429, said, retry_after=60)
    if name in _UNAVAILABLE:
        return Refused(503, said)
    if name in ("AUTHENTICATIONFAILED", "AUTHORIZATIONFAILED", "EXPIRED"):
        return Refused(401, said)
    return Refused(403 if name in ("NOPERM", "PRIVACYREQUIRED") else 400, said)


def _sentence(said: str) -> str:
    """The server's words, without the code before them and what `imaplib` puts around them."""
    bare = re.sub(r"""^\w+ command error: \w+ \[b(['"])(.*)\1\]$""", r"\2", said[:_LONGEST_SENTENCE])
    return " ".join(re.sub(r"^\[[^\]]*\]", "", bare).split())[:300] or "refused without a word"


def _message(folder: str, wire: dict[bytes, Any]) -> Message:
    raw = next((value for name, value in wire.items() if name.startswith(b"BODY[HEADER")), None)
    return Message(
        folder,
        number(wire.get(b"UID")),
        _moment(wire.get(b"INTERNALDATE")),
        tuple(strings(wire.get(b"FLAGS"))),
        headers(raw if isinstance(raw, bytes) else b""),
    )


def _moment(wire: Values | bytes | None) -> datetime:
    """`17-Jul-1996 02:44:25 -0700`, whatever the language of this machine."""
    said = wire.decode("ascii", "replace") if isinstance(wire, bytes) else ""
    found = re.fullmatch(r" ?(\d{1,2})-([A-Z][a-z]{2})-(\d{4}) (\d\d:\d\d:\d\d) ([+-]\d{4})", said)
    if found is None or found[2] not in MONTHS:
        raise ValueError("an INTERNALDATE is none")
    month = MONTHS.index(found[2]) + 1
    iso = f"{found[3]}-{month:02d}-{int(found[1]):02d}T{found[4]}{found[5][:3]}:{found[5][3:]}"
    return datetime.fromisoformat(iso).astimezone(UTC)


def _modified_utf7(name: str) -> bytes:
    """A folder's name as IMAP writes it (RFC 3501 §5.1.3)."""

    def shifted(found: re.Match[str]) -> str:
        return "&" + found[0].encode("utf-7").decode("ascii")[1:].rstrip("-").replace("/", ",") + "-"

    return re.sub(r"[^\x20-\x7e]+", shifted, name.replace("&", "&-")).encode("ascii")


def day(at: datetime) -> str:
    """As searches take it."""
    return f"{at.day}-{MONTHS[at.month - 1]}-{at.year}"
