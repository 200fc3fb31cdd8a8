"""The messages that we write: their ids, and their bytes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from datetime import datetime
from email.charset import QP, Charset
from email.header import Header
from email.mime.text import MIMEText
from email.utils import format_datetime, formataddr
from typing import Any

from backoffice_shared.errors import InvalidInput

_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~\u00a1-\U0010ffff-]{1,64}@(?=.{1,253}$)[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)
"""As HTML's `<input type=email>` takes it, and before the @ also letters of other alphabets (RFC 6531).

Source: https://html.spec.whatwg.org/#valid-e-mail-address
"""

LONGEST_LINE = 998
_LONGEST_COPIED = 250  # characters of a subject or a name that somebody else wrote


@dataclass(frozen=True, slots=True)
class Letter:
    """A message to one person. `attempt` tells copies of one try to send it from those of another."""

    message_id: str
    sender: str
    to: str
    name: str
    subject: str
    text: str
    in_reply_to: str
    references: tuple[str, ...]
    attempt: str
    solves: bool

    @property
    def digest(self) -> str:
        """The same for the same recipient, subject and text."""
        said = json.dumps([self.to, self.subject, self.text])
        return hashlib.sha256(said.encode()).hexdigest()[:32]


def letter_from(wire: Any) -> Letter:
    fields: dict[str, Any] = {**wire, "references": tuple(wire["references"])}
    return Letter(**fields)


def id_for(key: str, native: str, address: str) -> str:
    """The Message-ID of what is sent with this idempotency key: the same for the same, and no other's.

    Not made of the text: a key that was used for another message is to be noticed, by the digest in the header.
    """
    digest = hashlib.sha256(f"{key}\n{native}".encode("utf-8", "surrogatepass")).hexdigest()[:32]
    return f"backoffice.{digest}@{address.rpartition('@')[2]}"


def checked_address(address: str) -> str:
    """The address, with its domain in ASCII.

    Raises:
        InvalidInput: it is not one that a message can be sent to.
    """
    if not (plain := _plain(address)):
        raise InvalidInput("", f"{address[:80]!r} is not an e-mail address")
    return plain


def is_address(address: str) -> bool:
    """Whether a message can be sent to it."""
    return bool(_plain(address))


def _plain(address: str) -> str:
    local, _, domain = address.strip().rpartition("@")
    try:
        plain = f"{local}@{domain.encode('idna').decode('ascii')}" if not domain.isascii() else f"{local}@{domain}"
    except UnicodeError:
        return ""
    return plain if _ADDRESS.fullmatch(plain) and plain.isprintable() else ""


def checked_line(what: str, value: str) -> str:
    """A header's text.

    Raises:
        InvalidInput: it holds line breaks or other control characters, or is too long.
    """
    if len(value) > LONGEST_LINE or any(ord(c) < 32 or ord(c) in (0x7F, 0x85, 0x2028, 0x2029) for c in value):
        raise InvalidInput("", f"{what}: one line of {LONGEST_LINE} characters at most, without control characters")
    return value.encode("utf-8", "replace").decode()


def shortened(line: str) -> str:
    """What others wrote, so that it fits into a header of ours."""
    return line if len(line) <= _LONGEST_COPIED else f"{line[: _LONGEST_COPIED - 1]}…"


def replying(subject: str) -> str:
    return subject if re.match(r"(?i)re\s*:", subject) else f"Re: {subject}"


def composed(letter: Letter, at: datetime) -> bytes:
    """The message as it is sent, in lines that end in CRLF: of ASCII, unless the address is not."""
    charset = Charset("utf-8")
    charset.body_encoding = QP
    kept = "".join(c for c in letter.text.encode("utf-8", "replace").decode() if c.isprintable() or c in "\r\n\t")
    message = MIMEText(re.sub(r"\r\n|\r", "\n", kept), "plain", charset)  # pyright: ignore[reportArgumentType]
    del message["MIME-Version"]
    lines = {
        "Date": format_datetime(at),
        "From": letter.sender,
        "To": mailbox(letter.name[:60], letter.to),
        "Subject": Header(letter.subject, _charset(letter.subject), header_name="Subject"),
        "Message-ID": f"<{letter.message_id}>",
        "In-Reply-To": f"<{letter.in_reply_to}>" if letter.in_reply_to else "",
        "References": "\r\n ".join(f"<{reference}>" for reference in letter.references),
        "X-Backoffice-Attempt": letter.attempt,
        "X-Backoffice-Digest": letter.digest,
        "MIME-Version": "1.0",
    }
    head = "".join(f"{name}: {_encoded(value)}\r\n" for name, value in lines.items() if value)
    rest = "".join(f"{name}: {value}\r\n" for name, value in message.items())
    return f"{head}{rest}\r\n{message.get_payload()}".replace("\r\n", "\n").replace("\n", "\r\n").encode()


def mailbox(name: str, address: str) -> str:
    """Name and address as headers have them."""
    return f"{formataddr((name, ''))[:-1]}{address}>" if name else address


def _encoded(value: str | Header) -> str:
    return value if isinstance(value, str) else value.encode(linesep="\r\n")


def _charset(subject: str) -> str:
    """What looks like an encoded word is encoded, or its reader would decode it."""
    return "us-ascii" if subject.isascii() and "=?" not in subject else "utf-8"
