"""What messages are made of: headers of all ages, parts in parts, texts in every encoding. Nothing in here fails.

Sources: RFC 5322 (messages), 2045 to 2047 (MIME), 2231 (parameters), and for BODYSTRUCTURE
https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2
"""

from __future__ import annotations

import binascii
import codecs
import quopri
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.errors import MessageError
from email.header import decode_header, make_header
from email.parser import HeaderParser
from email.utils import decode_rfc2231, getaddresses
from itertools import islice
from urllib.parse import unquote_to_bytes

from backoffice_customer.backends.email.syntax import Values, strings
from backoffice_customer.plaintext import seen

LONGEST_ID = 250
"""Of a Message-ID that serves as one: what is longer, or not printable, counts as missing."""

MADE_UP = re.compile(r"uid\.(\d{1,10})\.(\d{1,10})")
"""Stands for the Message-ID of an incoming message that has none: the folder's UIDVALIDITY and its UID."""

_DEEPEST = 50  # parts in parts
_MOST_PARTS = 200
_LONGEST_HEADER = 4_000  # characters that are read: some of these are read by what takes the square of the time
_LONGEST_NAME = 1_000


@dataclass(frozen=True, slots=True)
class Address:
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class Headers:
    """What of a message's head matters here. `id` is empty where the message has none that can be used."""

    id: str
    subject: str
    sender: Address
    to: tuple[Address, ...]
    reply_to: tuple[Address, ...]
    in_reply_to: str
    references: tuple[str, ...]
    attempt: str
    digest: str


def headers(raw: bytes) -> Headers:
    parsed = HeaderParser().parsestr(_charset(raw, "utf-8"))

    def value(name: str) -> str:
        return str(parsed.get(name) or "")

    return Headers(
        id=next(iter(ids(value("Message-ID"))), ""),
        subject=text(value("Subject")),
        sender=next(iter(addresses(value("From"))), Address("", "")),
        to=tuple([*addresses(value("To")), *addresses(value("Cc"))][:50]),
        reply_to=tuple(addresses(value("Reply-To"))[:5]),
        in_reply_to=next(iter(ids(value("In-Reply-To"))), ""),
        references=tuple(ids(value("References"))),
        attempt=value("X-Backoffice-Attempt").strip(),
        digest=value("X-Backoffice-Digest").strip(),
    )


def ids(value: str) -> list[str]:
    """The Message-IDs in a header, without their brackets."""
    return [found for found in re.findall(r"<([^<>\s]+)>", value) if usable(found)]


def usable(message_id: str) -> bool:
    """Whether it can serve as one. What looks like an id that we make up is not a message's own."""
    if len(message_id) > LONGEST_ID or message_id.lower().startswith("uid."):
        return False
    return re.fullmatch(r"[!-~]+", message_id) is not None


def addresses(value: str) -> list[Address]:
    try:
        pairs = getaddresses([re.sub(r"[\r\n]+", " ", value[:_LONGEST_HEADER])])
    except RecursionError:  # comments in comments
        return []
    return [Address(text(name), email.lower()) for name, email in pairs if "@" in email]


def text(value: str) -> str:
    """A header's value as people read it (RFC 2047), on one line."""
    unfolded = re.sub(r"\r?\n(?=[ \t])", "", value[:_LONGEST_HEADER])
    try:
        decoded = str(make_header(decode_header(unfolded)))
    except (LookupError, ValueError, MessageError, binascii.Error):
        decoded = unfolded
    return " ".join("".join(c if c.isprintable() else " " for c in decoded).split())


# --------------------------------------------------------------------------------------------------------- parts


@dataclass(frozen=True, slots=True)
class Part:
    """One part that is no container. `section` is its number as FETCH takes it; `size` is in bytes as it is sent."""

    section: str
    kind: str
    encoding: str
    size: int
    name: str = ""
    charset: str = ""
    attached: bool = False

    @property
    def is_text(self) -> bool:
        return self.kind in ("text/plain", "text/html") and not self.attached

    @property
    def decoded_size(self) -> int:
        """About what it has once it is decoded: base64 makes lines of 78 bytes of 57."""
        return self.size * 57 // 78 if self.encoding == "base64" else self.size


@dataclass(frozen=True, slots=True)
class Structure:
    parts: tuple[Part, ...] = field(default=())

    @property
    def text(self) -> Part | None:
        """The part to read: the first plain text, or else the first HTML."""
        readable = [part for part in self.parts if part.is_text]
        return next((part for part in readable if part.kind == "text/plain"), next(iter(readable), None))

    @property
    def attachments(self) -> list[Part]:
        return [part for part in self.parts if not part.is_text and (part.attached or part.name)]


def structure(wire: Values | bytes | None) -> Structure:
    """The parts of a BODYSTRUCTURE: the first of them, where it has very many."""
    return Structure(tuple(islice(_parts(wire, "", 0), _MOST_PARTS)) if isinstance(wire, list) else ())


def _parts(wire: Values, section: str, depth: int) -> Iterator[Part]:
    if wire and isinstance(wire[0], list):
        children = [child for child in wire if isinstance(child, list)]
        containers = next((n for n, child in enumerate(wire) if not isinstance(child, list)), len(wire))
        for n, child in enumerate(children[:containers], 1):
            if depth < _DEEPEST:
                yield from _parts(child, f"{section}.{n}" if section else str(n), depth + 1)
        return
    main, sub, encoding = (_word(wire, n).lower() for n in (0, 1, 5))
    parameters = _parameters(wire[2] if len(wire) > 2 else None)
    disposition = next((item for item in wire[7:] if _is_disposition(item)), None)
    given = _parameters(disposition[1]) if isinstance(disposition, list) else {}
    how = _word(disposition, 0).lower() if isinstance(disposition, list) else ""
    name = given.get("filename") or parameters.get("name") or ""
    size = _word(wire, 6)
    yield Part(
        section=section or "1",
        kind=f"{main}/{sub}",
        encoding=encoding,
        size=int(size) if size.isdecimal() else 0,
        name=name or ("message.eml" if main == "message" else ""),
        charset=parameters.get("charset", ""),
        attached=how == "attachment" or main == "message",
    )


def _is_disposition(item: Values | bytes | None) -> bool:
    return isinstance(item, list) and _word(item, 0).lower() in ("attachment", "inline") and len(item) == 2


def _word(wire: Values, at: int) -> str:
    item = wire[at] if at < len(wire) else None
    return item.decode("ascii", "replace") if isinstance(item, bytes) else ""


def _parameters(wire: Values | bytes | None) -> dict[str, str]:
    """Names and values in turn; values may be encoded as RFC 2231 or, against it, as RFC 2047 has it."""
    items = wire if isinstance(wire, list) else []
    pairs = zip(strings([item or b"" for item in items[::2]]), items[1::2], strict=False)
    found: dict[str, str] = {}
    for name, value in pairs:
        raw = value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
        if name.endswith("*"):
            charset, _, encoded = decode_rfc2231(raw)
            found[name.lower().rstrip("*")] = text(
                _charset(unquote_to_bytes(encoded or "")[:_LONGEST_NAME], charset or "utf-8")
            )
        else:
            found.setdefault(name.lower(), text(raw[:_LONGEST_NAME]))
    return found


# --------------------------------------------------------------------------------------------------------- texts


def body(raw: bytes, part: Part) -> str:
    """A part's text, also of a part that is cut short or says wrong things about itself."""
    decoded = _charset(_transfer(raw, part.encoding), part.charset or "utf-8")
    plain = seen(decoded) if part.kind == "text/html" else decoded
    lines = (line.rstrip() for line in plain.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    kept = "".join(c for c in "\n".join(lines) if c.isprintable() or c in "\n\t")
    return re.sub(r"\n{3,}", "\n\n", kept).strip()


def _transfer(raw: bytes, encoding: str) -> bytes:
    if encoding == "quoted-printable":
        return quopri.decodestring(raw)
    if encoding == "base64":
        letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
        return binascii.a2b_base64(letters[: len(letters) // 4 * 4] + _padded(letters[len(letters) // 4 * 4 :]))
    return raw


def _padded(rest: bytes) -> bytes:
    return rest.ljust(4, b"=") if len(rest) > 1 else b""


_NO_CHARSETS = frozenset(("idna", "punycode", "raw_unicode_escape", "unicode_escape", "undefined"))
"""Python's names of what it decodes too. Nobody's texts are written in it, and some takes the square of the time."""


def _charset(raw: bytes, charset: str) -> str:
    try:
        if codecs.lookup(charset).name.replace("-", "_") not in _NO_CHARSETS:
            return raw.decode(charset)
    except (LookupError, ValueError):
        pass
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


_SEPARATOR = re.compile(r"-{3,}+\s*+[\w ]{5,40}-{3,}+|_{20,}+")
"""`-----Original Message-----` in any language, and the line that Outlook draws."""
_LONGEST_SEPARATOR = 120  # characters


def _separates(line: str) -> bool:
    return len(line) <= _LONGEST_SEPARATOR and _SEPARATOR.fullmatch(line) is not None


def unquoted(reply: str) -> tuple[str, bool]:
    """What a reply says itself, and whether the history that it quotes was cut off its end.

    Cut is what follows a separator, and a last block of lines that begin with `>`, with the line that introduces it.
    A text that is nothing but quotation is kept whole, and so are answers between quoted lines.
    """
    lines = reply.split("\n")
    end = next((n for n, line in enumerate(lines) if _separates(line.strip())), len(lines))
    kept = lines[:end]
    while kept and (not kept[-1].strip() or kept[-1].lstrip().startswith(">")):
        kept.pop()
    if len(kept) < end and any(line.lstrip().startswith(">") for line in lines[len(kept) : end]):
        introduced = len(kept)
        while introduced and len(kept) - introduced < 3 and kept[introduced - 1].strip():
            introduced -= 1
            if re.search(r"\d", kept[introduced]) and kept[-1].rstrip().endswith(":"):
                kept = kept[:introduced]
                break
    said = "\n".join(kept).strip()
    whole = "\n".join(lines).strip()
    return (said, True) if said and said != whole else (whole, False)
