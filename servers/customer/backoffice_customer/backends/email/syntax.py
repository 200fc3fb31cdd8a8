"""How IMAP writes data: atoms, quoted strings, literals, and lists of them. Both ends of the wire read it here.

Source: https://www.rfc-editor.org/rfc/rfc9051#section-4
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Values = list["Values | bytes | None"]
"""A list. NIL is None; numbers and flags are the bytes they are written in."""

CUT = b"\0"
"""Stands in a line where something of it was left out: IMAP itself has no such byte."""

_DEEPEST = 100  # of lists in lists: nobody's message has so many parts in parts
_SPACE = re.compile(rb"\s*+")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*+)"', re.DOTALL)
_ATOM = re.compile(rb"""[^\s()"\[]++""")
_SECTION = re.compile(rb"""\[[^\]]*+\](?:<[\d.]++>)?""")  # BODY[HEADER.FIELDS (FROM TO)]<0>
_LITERAL = re.compile(rb"\{(\d+)\+?\}$")


def read(parts: Iterable[bytes | tuple[bytes, bytes]]) -> Values:
    """The values in `parts`: pieces of lines, and pairs of a piece that ends in `{size}` and the literal that follows.

    Raises:
        ValueError: that is not IMAP.
    """
    stack: list[Values] = [[]]
    for part in parts:
        line, literal = part if isinstance(part, tuple) else (part, None)
        _read_line(_LITERAL.sub(b"", line) if literal is not None else line, stack)
        if literal is not None:
            stack[-1].append(literal)
    if len(stack) != 1:
        raise ValueError("a list has no end")
    return stack[0]


def _read_line(line: bytes, stack: list[Values]) -> None:
    """Goes through the line once, whatever is in it."""
    if CUT in line:
        raise ValueError("a line was too long")
    at, last_section = _SPACE.match(line).end(), line.rfind(b"]")  # pyright: ignore[reportOptionalMemberAccess]
    while at < len(line):
        at = _read_one(line, at, stack, sections=at < last_section)
        at = _SPACE.match(line, at).end()  # pyright: ignore[reportOptionalMemberAccess]


def _read_one(line: bytes, at: int, stack: list[Values], *, sections: bool) -> int:
    """What begins here, and where it ends. `sections`: a bracket that opens may also close."""
    match line[at : at + 1]:
        case b"(":
            if len(stack) > _DEEPEST:
                raise ValueError("too many lists in lists")
            stack.append([])
            stack[-2].append(stack[-1])
            return at + 1
        case b")":
            if len(stack) == 1:
                raise ValueError("a list ends that never began")
            stack.pop()
            return at + 1
        case b'"':
            if (quoted := _QUOTED.match(line, at)) is None:
                raise ValueError("a string has no end")
            stack[-1].append(re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL))
            return quoted.end()
        case _:
            atom = _ATOM.match(line, at)
            end = at if atom is None else atom.end()
            if section := _SECTION.match(line, end) if sections else None:
                end = section.end()
            end = max(end, at + 1)  # a bracket that nothing closes
            word = line[at:end]
            stack[-1].append(None if word.upper() == b"NIL" else word)
            return end


def quoted(text: str) -> bytes:
    """`text` as a quoted string, or, where that cannot hold it, as a literal that needs no go-ahead (RFC 7888)."""
    raw = text.encode("utf-8", "replace")
    if text.isascii() and text.isprintable():
        return b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d+}\r\n%b" % (len(raw), raw)


def named(values: Values | bytes | None) -> dict[bytes, Values | bytes | None]:
    """A list of names and values in turn, as FETCH gives them; names in capitals, without where a part begins."""
    if not isinstance(values, list):
        return {}
    names = values[::2]
    pairs = zip(names, values[1::2], strict=False)
    return {re.sub(rb"<\d+>$", b"", name.upper()): value for name, value in pairs if isinstance(name, bytes)}


def strings(values: Values | bytes | None) -> list[str]:
    """The strings in a list, as text."""
    items = values if isinstance(values, list) else []
    return [item.decode("ascii", "replace") for item in items if isinstance(item, bytes)]


def number(value: Values | bytes | None) -> int:
    """
    Raises:
        ValueError: it is none.
    """
    if not isinstance(value, bytes):
        raise ValueError("a number is missing")
    return int(value)
