"""HubSpot's rich text, read as text and written from it."""

from __future__ import annotations

import re
from html import escape

from backoffice_customer.plaintext import seen

LONGEST = 65_536
"""Characters that are read of a rich text: as many as HubSpot keeps of a note."""


def text_of(html: str, *, most: int = LONGEST) -> str:
    """What a reader sees, a line for each of its paragraphs; of so many characters at the beginning."""
    beginning = html[:most]
    text = seen(beginning if _is_markup(html) else beginning.replace("<", "&lt;").replace("\n", "<br>"))
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
