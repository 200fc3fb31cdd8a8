"""HTML as the text that a reader sees, for messages and notes: their words count, not their form. Articles keep theirs
(`markdown.py`)."""

from __future__ import annotations

from backoffice_customer.markup import BLOCKS, Node, document

_APART = frozenset({"blockquote", "ol", "p", "table", "ul"})


def seen(html: str) -> str:
    """All that is to be seen: a line for each block, an empty one around paragraphs, lists and tables."""
    page = _Page()
    left: list[Node | str | int] = [document(html).root]
    while left:
        part = left.pop()
        if isinstance(part, str):
            page.write(part)
        elif isinstance(part, int):
            page.leave(part)
        elif part.tag == "br":
            page.leave(min(2, page.left + 1))
        else:
            lines = 2 if part.tag in _APART else 1 if part.tag in BLOCKS else 0
            page.leave(lines)
            if part.tag == "li":
                page.write("- ")
            left += [lines, *reversed(part.children)]
    return "".join(page.parts)


class _Page:
    """What was written; how many line breaks are `left` before the next word, and whether a space is."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.left = 0
        self._space = False

    def leave(self, lines: int) -> None:
        self.left = max(self.left, lines)

    def write(self, text: str) -> None:
        words = text.split()
        if not words:
            self._space = self._space or bool(text)
            return
        if self.parts and self.left:
            self.parts.append("\n" * self.left)
        elif self.parts and (self._space or text[0].isspace()):
            self.parts.append(" ")
        self.parts.append(" ".join(words))
        self.left, self._space = 0, text[-1].isspace()
