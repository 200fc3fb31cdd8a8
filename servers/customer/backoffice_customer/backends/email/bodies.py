"""What FETCH says of the sandbox's messages: their parts, and how they are made of them.

Source: https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.message import Message
from email.utils import collapse_rfc2231_value
from typing import Any

from backoffice_customer.backends.email.postoffice import Folder, Kept, Unknown
from backoffice_shared.jsonvalues import arr

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def item(item: str, kept: Kept, folder: Folder) -> bytes:
    name = item.upper()
    match name:
        case "UID":
            return b"UID %d" % kept.uid
        case "FLAGS":
            return f"FLAGS ({' '.join(sorted(kept.flags))})".encode()
        case "INTERNALDATE":
            return f'INTERNALDATE "{_date(kept.at)}"'.encode()
        case "RFC822.SIZE":
            return b"RFC822.SIZE %d" % len(folder.content(kept))
        case "BODYSTRUCTURE" | "BODY":
            return name.encode() + b" " + structure(folder.parsed(kept))
        case "RFC822":
            return _literal("RFC822", folder.content(kept))
        case _:
            return _section(item, kept, folder)


def _section(item: str, kept: Kept, folder: Folder) -> bytes:
    found = re.fullmatch(r"(?is)BODY(?:\.PEEK)?\[([^\]]*)\](?:<(\d+)\.(\d+)>)?", item)
    if found is None:
        raise Unknown(f"Unknown parameter: {item[:40]}")
    content = _part(found[1].upper(), kept, folder)
    if found[2] is None:
        return _literal(f"BODY[{found[1].upper()}]", content)
    start, size = int(found[2]), int(found[3])
    return _literal(f"BODY[{found[1].upper()}]<{start}>", content[start : start + size])


def _part(section: str, kept: Kept, folder: Folder) -> bytes:
    raw = folder.content(kept)
    head, gap, body = _halves(raw)
    if section == "":
        return raw
    if section == "HEADER":
        return head + gap
    if section == "TEXT":
        return body
    if fields := re.fullmatch(r"HEADER\.FIELDS \(([^)]*)\)", section):
        wanted = {name.strip('"').lower() for name in fields[1].split()}
        lines = re.split(rb"\r?\n(?![ \t])", head)
        kept_lines = [
            line for line in lines if line.partition(b":")[0].strip().decode("ascii", "replace").lower() in wanted
        ]
        return b"".join(re.sub(rb"\r?\n", b"\r\n", line) + b"\r\n" for line in kept_lines) + b"\r\n"
    if not re.fullmatch(r"\d+(\.\d+)*", section):
        raise Unknown("Invalid body section")
    message = folder.parsed(kept)
    for number in section.split("."):
        parts = _children(message)
        if not parts and number == "1":
            continue
        if not 0 < int(number) <= len(parts):
            return b""
        message = parts[int(number) - 1]
    return _encoded(message)


def _halves(raw: bytes) -> tuple[bytes, bytes, bytes]:
    found = re.search(rb"\r?\n\r?\n", raw)
    return (raw, b"\r\n\r\n", b"") if found is None else (raw[: found.start()], b"\r\n\r\n", raw[found.end() :])


def _children(message: Message) -> list[Message]:
    return _inside(message) if message.get_content_maintype() == "multipart" else []


def _inside(message: Message) -> list[Message]:
    payload: object = message.get_payload()
    return [part for part in arr(payload) if isinstance(part, Message)]


def _encoded(message: Message) -> bytes:
    """A part's content as it was sent."""
    payload: object = message.get_payload()
    if isinstance(payload, str):
        return payload.encode("utf-8", "surrogateescape")
    return b"".join(part.as_bytes() for part in _inside(message))


def structure(message: Message) -> bytes:
    """BODYSTRUCTURE (RFC 9051 §7.5.2)."""
    disposition = _disposition(message)
    if parts := _children(message):
        inner = b"".join(structure(part) for part in parts)
        return b"(%b %b %b %b NIL NIL)" % (inner, _quoted(message.get_content_subtype()), _given(message), disposition)
    raw = _encoded(message)
    main = message.get_content_maintype()
    fields = [
        _quoted(main),
        _quoted(message.get_content_subtype()),
        _given(message),
        b"NIL",
        b"NIL",
        _quoted(str(message.get("content-transfer-encoding") or "7bit")),
        str(len(raw)).encode(),
    ]
    if main == "text":
        fields.append(str(raw.count(b"\n")).encode())
    if main == "message":
        fields += [b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)", b'("text" "plain" NIL NIL NIL "7bit" 0 0)', b"0"]
    return b"(" + b" ".join([*fields, b"NIL", disposition, b"NIL", b"NIL"]) + b")"


def _given(message: Message) -> bytes:
    return _pairs(list(message.get_params([], unquote=True))[1:])


def _disposition(message: Message) -> bytes:
    how = message.get_content_disposition()
    if how is None:
        return b"NIL"
    parameters = list(message.get_params([], header="content-disposition", unquote=True))[1:]
    return b"(%b %b)" % (_quoted(how), _pairs(parameters))


def _pairs(parameters: list[Any]) -> bytes:
    given = [_quoted(str(name)) + b" " + _quoted(collapse_rfc2231_value(value)) for name, value in parameters]
    return b"(" + b" ".join(given) + b")" if given else b"NIL"


def _quoted(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogateescape").replace(b"\r", b"").replace(b"\n", b" ")
    return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def _literal(name: str, content: bytes) -> bytes:
    return f"{name} {{{len(content)}}}\r\n".encode() + content


def _date(at: datetime) -> str:
    at = at.astimezone(UTC)
    return f"{at.day:2d}-{MONTHS[at.month - 1]}-{at:%Y %H:%M:%S} +0000"
