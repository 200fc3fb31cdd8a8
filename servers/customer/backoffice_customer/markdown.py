"""Articles as Markdown, for models to read: from the HTML that a wiki or a help centre renders, and by section.

It is GitHub's flavour (https://github.github.com/gfm/). What HTML says and Markdown cannot is left out or said more simply,
and is named in `Markdown.lossy`. What would be taken for markup and is none is escaped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from backoffice_customer.markup import BLOCKS, Node, document
from backoffice_customer.phrases import KNOWN_MACROS, Phrases, as_heading, as_paragraph, fence

_DEEPEST = 12  # lists and quotations within each other
_WIDEST = 100  # columns of a table that cells may be merged over

_LABELS = {
    "information": "Info",
    "note": "Note",
    "warning": "Warning",
    "tip": "Tip",
    "success": "Success",
    "error": "Error",
}
"""What Confluence calls its panels."""

_PLURALS = {
    "code block in a table": "code blocks in tables",
    "embedded image": "embedded images",
    "embedded page": "embedded pages",
    "form field": "form fields",
    "image without description": "images without description",
    "link around several paragraphs": "links around several paragraphs",
    "link in a heading": "links in headings",
    "link that leads nowhere": "links that lead nowhere",
    "link within the page": "links within the page",
    "list in a table": "lists in tables",
    "merged table cell": "merged table cells",
    "table in a table": "tables in tables",
}
"""What of the lost is counted."""


@dataclass(frozen=True, slots=True)
class Markdown:
    """`lossy` names what the text does not have or says more simply: "2 images without description", "macro jira"."""

    text: str
    lossy: list[str]


class Section(NamedTuple):
    """A heading with what is below it, up to the next heading of any level. `text` begins with the heading itself.

    What comes before the first heading has the heading "" and the level 0.
    """

    heading: str
    level: int
    text: str


def markdown_of(html: str, base: str = "") -> Markdown:
    """`html` as Markdown. `base` is the address of the page, which its relative links are resolved against.

    Any text will do, and it never raises. It takes time in proportion to the length, and of a long text (`markup.LONGEST`,
    `markup.MOST_TOKENS`) only the beginning is converted: then `lossy` says so.
    """
    page, lost = document(html), Counter[str]()
    blocks = _Blocks(base, lost).of(page.root.children)
    lost["hidden text"] += page.hid
    lost["deep nesting"] += page.is_too_deep
    lost["the rest of it: it is too long to be converted whole"] += page.is_cut
    text = "\n\n".join(block.text for block in blocks)
    return Markdown(text, sorted(_said(name, count) for name, count in lost.items() if count))


def sections(markdown: str) -> list[Section]:
    """The parts of a text, in order. Their texts, one after the other, are the text."""
    found: list[Section] = []
    heading, level, lines = "", 0, list[str]()
    fenced = ""
    for line in re.findall(r"[^\n]*\n|[^\n]+", markdown):
        if fenced:
            fenced = "" if line.strip("> \t\n").startswith(fenced) else fenced
        elif opened := _FENCE.match(line):
            fenced = opened[1]
        elif begun := re.match(r"(#{1,6})[ \t]+(.*)", line):
            found += [Section(heading, level, "".join(lines))] if lines else []
            heading, level, lines = _unescaped(begun[2]), len(begun[1]), []
        lines.append(line)
    return [*found, Section(heading, level, "".join(lines))] if lines else found


_FENCE = re.compile(r"(?:[\s>-]|\d{1,9}\.)*(`{3,}(?=[^`]*$)|~{3,})")


def outline(markdown: str) -> list[str]:
    """The headings of a text, in order."""
    return [section.heading for section in sections(markdown) if section.level]


def section_named(markdown: str, name: str) -> list[str]:
    """The parts whose heading is `name`, whatever the case of its letters, each with the parts below it.

    Empty when there is none, and with several when the name is ambiguous.
    """
    wanted, parts = _folded(name), sections(markdown)
    return [
        "".join(part.text for part in _with_those_below(parts, place)).rstrip()
        for place, section in enumerate(parts)
        if section.level and _folded(section.heading) == wanted
    ]


def _with_those_below(parts: Sequence[Section], place: int) -> Iterable[Section]:
    yield parts[place]
    for n in range(place + 1, len(parts)):
        if parts[n].level <= parts[place].level:
            return
        yield parts[n]


def _folded(name: str) -> str:
    return " ".join(name.casefold().split()).strip("# ")


def _unescaped(heading: str) -> str:
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", heading.strip())


def _said(name: str, count: int) -> str:
    if name in _PLURALS:
        return f"{count} {name if count == 1 else _PLURALS[name]}"
    return f"{name} ({count} times)" if count > 1 and name.startswith("macro ") else name


# ------------------------------------------------------------------------------------------------ blocks


class _Block(NamedTuple):
    """Lines that stand on their own. A list can follow what it belongs to without an empty line."""

    text: str
    is_list: bool = False


class _Blocks:
    """Elements as blocks of Markdown. `lost` counts what they lose by it."""

    def __init__(self, base: str, lost: Counter[str]) -> None:
        self._phrases = Phrases(base, lost)
        self._lost = lost
        self._depth = 0
        self._by_tag: dict[str, Callable[[Node], list[_Block]]] = {
            **{f"h{level}": self._heading for level in range(1, 7)},
            "blockquote": lambda node: self._quoted(self.of(node.children)),
            "dd": lambda node: self._item("- ", node),
            "dt": self._bold,
            "hr": lambda _node: [_Block("---")],
            "menu": self._list,
            "ol": self._list,
            "pre": self._code,
            "summary": self._bold,
            "table": self._table,
            "ul": self._list,
            "ac:structured-macro": self._stored_macro,
        }

    def of(self, children: Iterable[Node | str]) -> list[_Block]:
        blocks: list[_Block] = []
        phrases: list[Node | str] = []
        for child in children:
            if isinstance(child, str) or not (child.has_blocks or child.tag in BLOCKS or child.tag in self._by_tag):
                phrases.append(child)
                continue
            blocks += self._paragraph(phrases)
            blocks += self._block(child)
            phrases = []
        blocks += self._paragraph(phrases)
        return blocks

    def _paragraph(self, children: list[Node | str]) -> list[_Block]:
        text = as_paragraph(self._phrases.of(children))
        return [_Block(text)] if text else []

    def _block(self, node: Node) -> list[_Block]:
        classes = node.classes
        macro = node.attributes.get("data-macro-name", "")
        if macro and macro not in KNOWN_MACROS:
            self._lost[f"macro {macro[:40]}"] += 1
        if "toc-macro" in classes:
            self._lost["table of contents"] += 1
            return []
        if "confluence-information-macro" in classes:
            return self._panel(node, classes)
        if "panel" in classes and "code" not in classes:
            return self._quoted(self.of(node.children))
        if classes & {"panelHeader", "codeHeader", "expand-control"} or node.tag == "caption":
            return self._bold(node)
        if node.tag == "a":
            self._lost["link around several paragraphs"] += 1
        return self._by_tag.get(node.tag, lambda node: self.of(node.children))(node)

    def _heading(self, node: Node) -> list[_Block]:
        runs = self._phrases.of(node.children)
        text = as_heading(runs)
        self._lost["link in a heading"] += any(run.link for run in runs)
        return [_Block(f"{'#' * int(node.tag[1])} {text}")] if text else []

    def _bold(self, node: Node) -> list[_Block]:
        text = as_paragraph(self._phrases.of(node.children, bold=True))
        return [_Block(text)] if text else []

    def _panel(self, node: Node, classes: frozenset[str]) -> list[_Block]:
        kind = next((name.rpartition("-")[2] for name in classes if name.rpartition("-")[2] in _LABELS), "")
        titles = [child for child in node.children if _is_title(child)]
        label = ": ".join([_LABELS.get(kind, "Note"), *(as_heading(self._phrases.of([title])) for title in titles)])
        inside = self.of(child for child in node.children if not _is_title(child))
        return self._quoted([_Block(f"**{label}**"), *inside])

    def _quoted(self, blocks: list[_Block]) -> list[_Block]:
        if not blocks:
            return []
        lines = "\n\n".join(block.text for block in blocks).split("\n")
        if max(len(line) - len(line.lstrip("> ")) for line in lines) > 2 * _DEEPEST:
            self._lost["deep nesting"] += 1
            return blocks
        return [_Block("\n".join(f"> {line}" if line else ">" for line in lines))]

    # --------------------------------------------------------------------------------------------------- lists

    def _list(self, node: Node) -> list[_Block]:
        start = re.fullmatch(r"\d{1,6}", node.attributes.get("start", "1"))
        number = int(start[0]) if start else 1
        items: list[_Block] = []
        for child in node.children:
            if isinstance(child, str) and not child.strip():
                continue
            item = child if isinstance(child, Node) and child.tag == "li" else Node("li", {}, [child], has_blocks=True)
            if isinstance(child, Node) and child.tag in ("ul", "ol") and items:  # a list that is in no item of its own
                items += self._item("", item)
                continue
            items += self._item(f"{number}. " if node.tag == "ol" else "- ", item)
            number += 1
        if self._depth >= _DEEPEST or not items:
            return items
        apart = "\n\n" if any("\n\n" in item.text for item in items) else "\n"
        return [_Block(apart.join(item.text for item in items), is_list=True)]

    def _item(self, marker: str, node: Node) -> list[_Block]:
        if self._depth >= _DEEPEST:
            self._lost["deep nesting"] += 1
            return self.of(node.children)
        self._depth += 1
        blocks = self.of(node.children)
        self._depth -= 1
        if not blocks:
            return []
        text = "".join(("\n" if block.is_list else "\n\n") + block.text for block in blocks).lstrip("\n")
        lines = text.replace("\n", "\n" + " " * (len(marker) or 2)).split("\n")
        box = "" if "data-inline-task-id" not in node.attributes else _box(checked="checked" in node.classes)
        first = f"{marker or '  '}{box}{lines[0]}"
        return [_Block("\n".join([first, *(line if line.strip() else "" for line in lines[1:])]))]

    # --------------------------------------------------------------------------------------------- code and macros

    def _code(self, node: Node) -> list[_Block]:
        code = node.text.strip("\n").rstrip()
        return [_Block(fence(code, _language(node)))] if code else []

    def _stored_macro(self, node: Node) -> list[_Block]:
        """As Confluence keeps a macro, rather than as it shows it."""
        name = node.attributes.get("ac:name", "")
        if name in ("code", "noformat"):
            return self._code(node)
        if name not in KNOWN_MACROS:
            self._lost[f"macro {name[:40]}"] += 1
        return self.of(node.children)

    # --------------------------------------------------------------------------------------------------- tables

    def _table(self, node: Node) -> list[_Block]:
        rows, around = _rows(node)
        before = self.of(around)
        if len(rows) == 1 and len(rows[0]) == 1:  # a frame around something
            return [*before, *self.of(rows[0][0].children)]
        has_head = bool(rows) and any(cell.tag == "th" for cell in rows[0])
        lines = list(self._lines(rows, has_head=has_head))
        head, body = (lines[0], lines[1:]) if has_head else ([], lines)
        body = [line for line in body if any(line)]
        width = max((len(line) for line in (head, *body)), default=0)
        if not any(head) and not body:
            return before
        written = [head + [""] * (width - len(head)), ["---"] * width, *body]
        return [*before, _Block("\n".join(f"| {' | '.join(cells)} |" for cells in written))]

    def _lines(self, rows: list[list[Node]], *, has_head: bool) -> Iterable[list[str]]:
        """The cells of each row, with empty ones where one cell is as large as several. The first may be the table's head."""
        reaching: dict[int, int] = {}  # column: in how many more rows it is taken
        for place, row in enumerate(rows):
            cells: list[str] = []
            is_head = has_head and place == 0
            taken = {column for column, left in reaching.items() if left > 0}
            reaching = {column: left - 1 for column, left in reaching.items() if left > 1}
            for cell in row:
                while len(cells) in taken:
                    cells.append("")
                down, across = _span(cell, "rowspan"), min(_span(cell, "colspan"), _WIDEST)
                self._lost["merged table cell"] += down > 1 or across > 1
                if down > 1:
                    reaching |= dict.fromkeys(range(len(cells), min(len(cells) + across, _WIDEST)), down - 1)
                cells += [self._phrases.cell(cell, bold=cell.tag == "th" and not is_head), *[""] * (across - 1)]
            yield cells


def _is_title(child: Node | str) -> bool:
    return isinstance(child, Node) and "title" in child.classes


def _box(*, checked: bool) -> str:
    return "[x] " if checked else "[ ] "


def _language(node: Node) -> str:
    """`data-syntaxhighlighter-params="brush: java; …"` of Confluence, `class="language-java"` of everybody else."""
    inner = [child for child in node.children if isinstance(child, Node)]
    said = [
        found[1]
        for part in (node, *inner)
        for found in (
            re.search(r"brush:\s*([\w+#.-]{1,30})", part.attributes.get("data-syntaxhighlighter-params", "")),
            re.search(r"(?:^|\s)(?:language|lang|brush:)[- ]?([\w+#.-]{1,30})", part.attributes.get("class", "")),
        )
        if found
    ]
    return next((name for name in said if name.lower() not in ("none", "plain", "text")), "")


def _rows(table: Node) -> tuple[list[list[Node]], list[Node | str]]:
    """The rows with their cells, and what else is in the table."""
    rows: list[list[Node]] = []
    around: list[Node | str] = []
    left: list[Node | str] = list(reversed(table.children))
    while left:
        child = left.pop()
        if isinstance(child, Node) and child.tag in ("thead", "tbody", "tfoot"):
            left += reversed(child.children)
        elif isinstance(child, Node) and child.tag == "tr":
            rows.append([cell for cell in child.children if isinstance(cell, Node)])
            around += [text for text in child.children if isinstance(text, str) and text.strip()]
        elif isinstance(child, Node) and child.tag in ("td", "th"):
            rows.append([child])
        elif not isinstance(child, str) or child.strip():
            around.append(child)
    return rows, around


def _span(cell: Node, name: str) -> int:
    said = re.fullmatch(r"\s*(\d{1,4})\s*", cell.attributes.get(name, ""))
    return max(int(said[1]), 1) if said else 1
