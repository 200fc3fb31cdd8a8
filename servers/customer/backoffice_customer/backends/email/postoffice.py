"""The sandbox's mail: the fictional company's support mailbox, what is found in it, and what was delivered to others.

The company's mails are rendered when somebody reads them. Their ids and addresses are indexed when somebody searches.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.parser import BytesParser
from email.utils import format_datetime, getaddresses
from functools import cached_property

from backoffice_customer.backends.email.letters import mailbox
from backoffice_customer.backends.email.mime import text
from backoffice_customer.backends.email.syntax import Values
from backoffice_shared.sandbox.company import Company, Mail

DOMAIN = "northwind.example"
SUPPORT = f"support@{DOMAIN}"
WHY_NOT = '{"status":"401","schemes":"bearer","scope":"https://mail.example/"}'
"""What XOAUTH2 answers to a token that is no good, as a question; the client's empty answer brings the refusal."""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_INDEXED = ("message-id", "references", "in-reply-to")


class Unknown(Exception):  # noqa: N818 - it is what happened
    """BAD: that cannot be asked."""


@dataclass(slots=True)
class Kept:
    """A message in a folder: one of the company's, or bytes that were written here."""

    uid: int
    at: datetime
    flags: set[str]
    mail: Mail | None = None
    content: bytes = b""


@dataclass(frozen=True, slots=True)
class Delivered:
    """What somebody outside was sent."""

    sender: str
    to: str
    content: bytes


@dataclass
class Folder:
    name: str
    render: Callable[[Mail], bytes]
    address: Callable[[Mail], str]
    messages: dict[int, Kept] = field(default_factory=dict[int, Kept])
    next_uid: int = 1
    validity: int = 1_700_000_000
    by_id: dict[tuple[str, str], set[int]] | None = None
    by_address: dict[tuple[str, str], set[int]] | None = None

    def add(self, at: datetime, flags: Iterable[str], *, mail: Mail | None = None, content: bytes = b"") -> Kept:
        kept = Kept(self.next_uid, at, set(flags), mail, content)
        self.messages[kept.uid] = kept
        self.next_uid += 1
        if self.by_id is not None:
            self._note(kept)
        return kept

    def content(self, kept: Kept) -> bytes:
        return kept.content if kept.mail is None else self.render(kept.mail)

    def parsed(self, kept: Kept) -> Message:
        return BytesParser().parsebytes(self.content(kept))

    def indexed(self, kind: str, name: str, value: str) -> set[int]:
        """Those with exactly this id, or this address, in the header."""
        if self.by_id is None or self.by_address is None:
            self.by_id, self.by_address = {}, {}
            for kept in self.messages.values():
                self._note(kept)
        index = self.by_id if kind == "id" else self.by_address
        return index.get((name, value), set()) & self.messages.keys()

    def _note(self, kept: Kept) -> None:
        assert self.by_id is not None  # noqa: S101 - whoever calls has made them
        assert self.by_address is not None  # noqa: S101
        found = self._written(kept) if kept.mail is None else self._companys(kept.mail)
        for name, value in found:
            index = self.by_id if name in _INDEXED else self.by_address
            index.setdefault((name, value), set()).add(kept.uid)

    def _companys(self, mail: Mail) -> list[tuple[str, str]]:
        theirs, ours = ("from", "to") if mail.inbound else ("to", "from")
        found = [("message-id", message_id(mail)), (theirs, self.address(mail)), (ours, SUPPORT)]
        if mail.answers is not None:
            found += [("references", _message_id(mail.answers)), ("in-reply-to", _message_id(mail.answers))]
        return found

    def _written(self, kept: Kept) -> list[tuple[str, str]]:
        message = self.parsed(kept)
        ids = [(name, found.lower()) for name in _INDEXED for found in re.findall(r"<[^<>\s]+>", _raw(message, name))]
        people = [(name, a.lower()) for name in ("from", "to", "cc") for _, a in getaddresses([_raw(message, name)])]
        return ids + people


class PostOffice:
    """`delivered` is what went out to others. While `late`, what comes to the mailbox is `held` until `catch_up`."""

    def __init__(self, company: Company) -> None:
        self.company = company
        self.delivered: list[Delivered] = []
        self.late = False
        self.held: list[bytes] = []
        self.stale = False
        """Texts that came since are not in the index yet."""

    @cached_property
    def folders(self) -> dict[str, Folder]:
        folders = {name: Folder(name, self._render, self._customer) for name in ("INBOX", "Sent", "Drafts", "Trash")}
        answered = {mail.answers for mail in self.company.mails if mail.answers is not None}
        for mail in sorted(self.company.mails, key=lambda mail: mail.at):
            if not mail.inbound:
                solved = {"$Solved"} if mail.number % 3 == 0 else set[str]()
                folders["Sent"].add(mail.at, {"\\Seen", *solved}, mail=mail)
            else:
                seen = mail.number in answered or mail.number % 2 == 0
                folders["INBOX"].add(mail.at, ["\\Seen"] if seen else [], mail=mail)
        self._indexed_until = {name: folder.next_uid for name, folder in folders.items()}
        return folders

    def accept(self, sender: str, recipients: Iterable[str], content: bytes) -> None:
        """A message that was taken: what is for the support mailbox is in its inbox at once."""
        for to in recipients:
            if to.lower() == SUPPORT:
                self.receive(content)
            else:
                self.delivered.append(Delivered(sender, to, content))

    def receive(self, content: bytes) -> None:
        """A message from anywhere."""
        if self.late:
            self.held.append(content)
        else:
            self.folders["INBOX"].add(datetime.now(UTC).replace(microsecond=0), [], content=content)

    def catch_up(self) -> None:
        held, self.held, self.late = self.held, [], False
        for content in held:
            self.receive(content)

    def knows(self, address: str) -> bool:
        """Whether mail can be for it: elsewhere anybody may be, at home only those who are."""
        local, _, domain = address.lower().rpartition("@")
        if not local or not domain:
            return False
        return (
            domain != DOMAIN
            or address.lower() == SUPPORT
            or any(a.email == address.lower() for a in self.company.agents)
        )

    def search(self, folder: Folder, criteria: Values) -> list[int]:
        """
        Raises:
            Unknown: the criteria are none.
        """
        values = list(criteria)
        if len(values) > 1 and isinstance(values[0], bytes) and values[0].upper() == b"CHARSET":
            values = values[2:]
        if not values:
            raise Unknown("Missing search parameters")
        known = self._indexed_until[folder.name] if self.stale else folder.next_uid
        return sorted(_Search(folder, known).all_of(values))

    def _customer(self, mail: Mail) -> str:
        return self.company.people[mail.person].email

    def _render(self, mail: Mail) -> bytes:
        person = self.company.people[mail.person]
        customer = mailbox(person.name, person.email)
        lines = {
            "Date": format_datetime(mail.at),
            "From": customer if mail.inbound else SUPPORT,
            "To": SUPPORT if mail.inbound else customer,
            "Subject": mail.subject,
            "Message-ID": message_id(mail),
            **({} if mail.answers is None else dict.fromkeys(("In-Reply-To", "References"), _message_id(mail.answers))),
            "MIME-Version": "1.0",
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Transfer-Encoding": "8bit",
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{head}\r\n{mail.text}\r\n".encode()


class _Search:
    """A search as sets of UIDs. `known` is the first UID whose text is not in the index yet."""

    def __init__(self, folder: Folder, known: int) -> None:
        self._folder = folder
        self._known = known

    def all_of(self, values: Values) -> set[int]:
        found: set[int] | None = None
        rest = list(values)
        while rest:
            one = self._one(rest)
            found = one if found is None else found & one
        return self._everything if found is None else found

    @property
    def _everything(self) -> set[int]:
        return set(self._folder.messages)

    def _one(self, rest: Values) -> set[int]:
        key = rest.pop(0)
        if isinstance(key, list):
            return self.all_of(key)
        name = (key or b"").decode("ascii", "replace").upper()
        match name:
            case "OR":
                first = self._one(rest)
                return first | self._one(rest)
            case "NOT":
                return self._everything - self._one(rest)
            case "ALL":
                return self._everything
            case "KEYWORD":
                return self._flagged(_string(rest))
            case "UNKEYWORD":
                return self._everything - self._flagged(_string(rest))
            case "SINCE" | "BEFORE" | "ON":
                return self._dated(name, _string(rest))
            case "HEADER":
                return self._header(_string(rest).lower(), _string(rest))
            case "FROM" | "TO" | "CC":
                return self._header(name.lower(), _string(rest))
            case "TEXT" | "BODY" | "SUBJECT":
                return self._worded(name, _string(rest))
            case _:
                return self._flag_or_set(name, rest)

    def _flag_or_set(self, name: str, rest: Values) -> set[int]:
        if name in _FLAGS:
            return self._flagged("\\" + _FLAGS[name])
        if name.startswith("UN") and name[2:] in _FLAGS:
            return self._everything - self._flagged("\\" + _FLAGS[name[2:]])
        if name == "UID":
            name = _string(rest)
        if re.fullmatch(r"[\d:*,]+", name):
            return numbered(name, self._folder)
        raise Unknown(f"Unknown argument {name[:40]}")

    def _flagged(self, flag: str) -> set[int]:
        wanted = flag.lower()
        return {uid for uid, kept in self._folder.messages.items() if any(f.lower() == wanted for f in kept.flags)}

    def _dated(self, name: str, given: str) -> set[int]:
        found = re.fullmatch(r"(\d{1,2})-([a-z]{3})-(\d{4})", given.lower())
        if found is None or found[2] not in _MONTHS:
            raise Unknown("Invalid search date parameter")
        day = datetime(int(found[3]), _MONTHS.index(found[2]) + 1, int(found[1]), tzinfo=UTC)
        following = day + timedelta(days=1)
        holds: dict[str, Callable[[datetime], bool]] = {
            "SINCE": lambda at: at >= day,
            "BEFORE": lambda at: at < day,
            "ON": lambda at: day <= at < following,
        }
        return {uid for uid, kept in self._folder.messages.items() if holds[name](kept.at)}

    def _header(self, name: str, value: str) -> set[int]:
        wanted = value.lower()
        if name in _INDEXED and re.fullmatch(r"<[^<>\s]+>", wanted):
            return self._folder.indexed("id", name, wanted)
        if name in ("from", "to", "cc") and (found := self._folder.indexed("address", name, wanted)):
            return set(found)
        return self._holding(lambda kept: text(_raw(self._folder.parsed(kept), name)), wanted)

    def _worded(self, name: str, value: str) -> set[int]:
        def words(kept: Kept) -> str:
            if kept.mail is not None:
                subject, body = kept.mail.subject, kept.mail.text
                return {"TEXT": f"{subject}\n{body}", "BODY": body, "SUBJECT": subject}[name]
            message = self._folder.parsed(kept)
            subject = text(_raw(message, "subject"))
            body = "\n".join(_text(part) for part in message.walk() if part.get_content_maintype() == "text")
            people = "\n".join(text(_raw(message, header)) for header in ("from", "to"))
            return {"TEXT": f"{subject}\n{people}\n{body}", "BODY": body, "SUBJECT": subject}[name]

        return {uid for uid in self._holding(words, value.lower()) if uid < self._known}

    def _holding(self, of: Callable[[Kept], str], wanted: str) -> set[int]:
        return {uid for uid, kept in self._folder.messages.items() if wanted in of(kept).lower()}


_FLAGS = {name.upper(): name for name in ("Seen", "Answered", "Flagged", "Deleted", "Draft")}


def numbered(given: str, folder: Folder) -> set[int]:
    """The UIDs in a set like `1:5,9,20:*` that there are."""
    highest = max(folder.messages, default=0)
    found: set[int] = set()
    for part in given.split(","):
        ends = [highest if end == "*" else int(end) for end in part.split(":") if end]
        if not ends:
            raise Unknown("Invalid UID set")
        low, high = min(ends), min(max(ends), highest)
        inside = range(low, high + 1)
        found |= (
            folder.messages.keys() & inside
            if len(inside) < len(folder.messages)
            else {uid for uid in folder.messages if uid in inside}
        )
    return found


def message_id(mail: Mail) -> str:
    return _message_id(mail.number)


def _message_id(number: int) -> str:
    return f"<mail-{number}@{DOMAIN}>"


def _raw(message: Message, name: str) -> str:
    """A header as it was written, be it UTF-8."""
    found = next((value for header, value in message.raw_items() if header.lower() == name.lower()), "")
    return str(found).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _text(part: Message) -> str:
    raw = part.get_payload(decode=True)
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""


def _string(rest: Values) -> str:
    value = rest.pop(0) if rest else None
    if not isinstance(value, bytes):
        raise Unknown("Missing argument")
    return value.decode("utf-8", "replace")
