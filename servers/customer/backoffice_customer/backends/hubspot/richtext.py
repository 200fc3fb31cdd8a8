"""HubSpot's rich text, read as text and written from it."""

from __future__ import annotations

import re
from html import escape, unescape
from html.parser import HTMLParser


class _Text(HTMLParser):
    """The text of rich text."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002
        if tag == "br":
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("p", "div", "li"):
            self.parts.append("\n")


def text_of(html: str, *, most: int | None = None) -> str:
    """The text, a line for each of its paragraphs; with `most`, of so many characters at the beginning."""
    beginning = html[:most]
    text = _parsed(beginning) if _is_markup(html) else unescape(beginning)
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


def _parsed(html: str) -> str:
    parser = _Text()
    try:
        parser.feed(html)
        parser.close()
    except AssertionError:  # how the parser says that markup makes no sense
        return html
    return "".join(parser.parts)
