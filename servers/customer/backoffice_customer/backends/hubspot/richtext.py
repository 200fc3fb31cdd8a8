"""HubSpot's rich text, read as text and written from it."""

from __future__ import annotations

import re
from html import escape

from backoffice_customer.markup import BLOCKS, Node, document

LONGEST = 65_536
"""Characters that are read of a rich text: as many as HubSpot keeps of a note."""


def text_of(html: str, *, most: int = LONGEST) -> str:
    """What a reader sees, a line for each of its paragraphs; of so many characters at the beginning."""
    beginning = html[:most]
    text = _seen(document(beginning if _is_markup(html) else beginning.replace("<", "&lt;")).root)
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\n".join(line for line in lines if line)


def line_of(html: str) -> str:
    """The beginning of a text in one line: more than that nobody is shown."""
    return " ".join(text_of(html, most=4_000).split())


def html_of(text: str) -> str:
    """Paragraphs of text. What looks like markup in it is text too."""
    paragraphs = [part.strip("\r\n") for part in re.split(r"(?:\r?\n){2,}", text)]
    return "".join(f"<p>{'<br>'.join(escape(part).splitlines())}</p>" for part in paragraphs if part.strip())


def _is_markup(html: str) -> bool:
    return any(mark in html for mark in ("</", "/>", "<br>"))


def _seen(root: Node) -> str:
    """All text, with a line break at both ends of whatever stands on lines of its own."""
    parts: list[str] = []
    left: list[Node | str] = [root]
    while left:
        part = left.pop()
        if isinstance(part, str):
            parts.append(part)
        elif part.tag == "br":
            parts.append("\n")
        else:
            around = ["\n"] if part.tag in BLOCKS else []
            left += [*around, *reversed(part.children), *around]
    return "".join(parts)
