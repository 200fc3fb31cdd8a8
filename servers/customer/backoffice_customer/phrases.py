"""Text within a block, as Markdown: emphasis, links, images and what else stands in a line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from urllib.parse import urljoin

from backoffice_customer.markup import BLOCKS, Node

BREAK = "\n"
"""The text of a run that is a line break."""

_PANELS = frozenset({"info", "note", "warning", "tip", "success", "error", "panel"})
_OTHERS = frozenset({"status", "code", "noformat", "expand", "toc", "view-file", "anchor", "section", "column"})
_COPIES = frozenset({"excerpt", "excerpt-include", "include", "details"})
KNOWN_MACROS = _PANELS | _OTHERS | _COPIES
"""Confluence's, of which nothing is lost, or something that has a name of its own."""

_STYLES: dict[str, str] = {
    **dict.fromkeys(("b", "strong"), "bold"),
    **dict.fromkeys(("i", "em", "cite", "dfn"), "italic"),
    **dict.fromkeys(("s", "strike", "del"), "struck"),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), "code"),
}
_EMBEDDED = frozenset({"iframe", "embed", "object", "video", "audio", "canvas", "svg", "math", "applet"})
_FIELDS = frozenset({"input", "button", "textarea"})
_RAISED = str.maketrans("0123456789+-=()n", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ")
_LOWERED = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")


@dataclass(frozen=True, slots=True)
class Run:
    """Text of one style. `link` is an address, `image` that of an image whose description is the text."""

    text: str
    styles: frozenset[str] = frozenset()
    link: str = ""
    image: str | None = None


class Phrases:
    """Elements as runs of text. `lost` counts what they lose by it."""

    def __init__(self, base: str, lost: Counter[str]) -> None:
        self._base = base
        self._lost = lost

    def of(self, children: Iterable[Node | str], *, bold: bool = False) -> list[Run]:
        runs: list[Run] = []
        style = Run("", frozenset({"bold"}) if bold else frozenset())
        for child in children:
            self._add(child, style, runs, apart=" ")
        return runs

    def cell(self, node: Node, *, bold: bool) -> str:
        """A cell of a table, in one line."""
        runs: list[Run] = []
        style = Run("", frozenset({"bold"}) if bold else frozenset())
        for child in node.children:
            self._add(child, style, runs, apart=BREAK)
        return written(runs).replace("|", "\\|").replace("\\\n", "<br>").replace("\n", " ")

    def _add(self, part: Node | str, style: Run, runs: list[Run], *, apart: str) -> None:
        if isinstance(part, str):
            runs.append(Run(part if part.strip() else " " * bool(part), style.styles, style.link))
            return
        if (special := self._special(part, style)) is not None:
            runs += special
            return
        is_block = part.tag in BLOCKS
        if is_block:
            runs.append(Run(apart))
            self._note_block(part, runs, apart)
        for child in part.children:
            self._add(child, self._styled(part, style), runs, apart=apart)
        if is_block:
            runs.append(Run(apart))

    def _note_block(self, part: Node, runs: list[Run], apart: str) -> None:
        if apart == BREAK and part.tag in ("ul", "ol", "table", "pre"):
            name = {"table": "table", "pre": "code block"}.get(part.tag, "list")
            self._lost[f"{name} in a table"] += 1
        elif apart == BREAK and part.tag == "li":
            runs.append(Run("• "))

    def _styled(self, part: Node, style: Run) -> Run:
        name = _STYLES.get(part.tag) or ("code" if part.tag == "pre" else "")
        if name == "code" or "code" in style.styles:
            styles = frozenset({"code"})  # what is in it is shown as it is
        else:
            styles = style.styles | {name} if name else style.styles
        link = self._target(part) if part.tag == "a" else style.link
        if "color" in part.attributes.get("style", ""):
            self._lost["coloured text"] += 1
        return replace(style, styles=styles, link=link)

    def _target(self, node: Node) -> str:
        """Where a link leads, where that is worth saying."""
        said = node.attributes.get("href", "").strip()
        if "user-mention" in node.classes or not said:
            return ""
        if said.startswith("#"):
            self._lost["link within the page"] += 1
            return ""
        address = _address(said, self._base)
        self._lost["link that leads nowhere"] += address is None
        return address or ""

    # ------------------------------------------------------------- what is more than its text, or less

    def _special(self, node: Node, style: Run) -> list[Run] | None:
        """None for what is only its text."""
        classes = node.classes
        if node.tag == "br":
            return [Run(BREAK)]
        if node.tag == "img":
            return self._image(node, classes, style)
        if node.tag in _EMBEDDED:
            return self._embedded(node, style)
        if node.tag in _FIELDS:
            self._lost["form field"] += 1
            return []
        if node.tag in ("sup", "sub"):
            return self._moved(node, style)
        if "status-macro" in classes:
            self._lost["colour of a status"] += 1
            return [replace(style, text=f"[{node.text.strip()}]")]
        if "jira-issue" in classes:
            return self._issue(node, style)
        if "user-mention" in classes:
            return [replace(style, text="@" + node.text.strip().removeprefix("@"))]
        if classes & {"aui-icon", "expand-control-icon", "icon"} and not node.text.strip():
            return []
        if node.tag == "a" and not node.text.strip() and not _has_image(node):
            return self._named_file(node, style)
        name = node.attributes.get("data-macro-name") or node.attributes.get("ac:name", "")
        if name and name not in KNOWN_MACROS:
            self._lost[f"macro {name[:40]}"] += 1
        return None

    def _image(self, node: Node, classes: frozenset[str], style: Run) -> list[Run]:
        attributes = node.attributes
        said = " ".join(attributes.get("alt", "").split())
        if "emoticon" in classes or "emoji" in classes:
            shown = attributes.get("data-emoji-fallback") or said or attributes.get("data-emoji-shortname", "")
            return [replace(style, text=shown)]
        if not said:
            self._lost["image without description"] += 1
            said = attributes.get("data-linked-resource-default-alias", "")
        address = _address(attributes.get("src", ""), self._base)
        self._lost["embedded image"] += address is None
        return [Run(said, link=style.link, image=address or "")]

    def _embedded(self, node: Node, style: Run) -> list[Run]:
        self._lost["embedded page" if node.tag in ("iframe", "embed", "object") else f"{node.tag} element"] += 1
        address = _address(node.attributes.get("src") or node.attributes.get("data", ""), self._base)
        return [replace(style, text=node.attributes.get("title") or address, link=address)] if address else []

    def _moved(self, node: Node, style: Run) -> list[Run]:
        """What stands higher or lower has signs of its own, when it is a number: 10⁶ is not 106."""
        text, signs = node.text, _RAISED if node.tag == "sup" else _LOWERED
        if all(ord(char) in signs for char in text):
            return [replace(style, text=text.translate(signs))]
        self._lost["superscript" if node.tag == "sup" else "subscript"] += 1
        return [replace(style, text=text)]

    def _issue(self, node: Node, style: Run) -> list[Run]:
        """An issue of Jira's: its key. The rest is put there by the browser."""
        self._lost["macro jira"] += 1
        key = node.attributes.get("data-jira-key") or " ".join(node.text.split())
        links = [child for child in node.children if isinstance(child, Node) and child.tag == "a"]
        link = _address(links[0].attributes.get("href", ""), self._base) if links else None
        return [replace(style, text=key, link=link or style.link)]

    def _named_file(self, node: Node, style: Run) -> list[Run]:
        """A link without text: to a file, by its name, or to nothing that a reader could click on."""
        name = node.attributes.get("data-linked-resource-default-alias", "")
        return [replace(style, text=name, link=self._target(node))] if name else []


def _has_image(node: Node) -> bool:
    return any(isinstance(child, Node) for child in node.children)


_CONTROLS = re.compile(r"[\x00-\x1f\x7f]+")
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")
_IN_ADDRESSES = {ord(char): f"%{ord(char):02X}" for char in ' ()<>[]\\`|"{}^*'}


def _address(said: str, base: str) -> str | None:
    """An address that can stand in a link, or None where it leads nowhere on the web."""
    address = _CONTROLS.sub("", said).strip()
    if not address:
        return None
    try:
        address = urljoin(base, address) if base else address
    except ValueError:
        return None
    scheme = _SCHEME.match(address)
    if scheme and scheme[1].lower() not in ("http", "https", "mailto", "tel"):
        return None
    return address.translate(_IN_ADDRESSES)


# ------------------------------------------------------------------------------------------------ writing


def as_paragraph(runs: list[Run]) -> str:
    return "\n".join(_LINE_START.sub(r"\\\g<0>", _NUMBERED.sub(r"\1\\", line)) for line in written(runs).split("\n"))


def as_heading(runs: list[Run]) -> str:
    """One line of plain text."""
    plain = [Run(" " if run.text == BREAK else run.text) for run in runs]
    text = written(plain)
    core = text.rstrip("#")
    return text if core == text else f"{core}\\{text[len(core) :]}"


def fence(code: str, language: str) -> str:
    """Code as a block, between more backticks than are in it."""
    longest = max((len(ticks) for ticks in re.findall(r"`+", code)), default=0)
    ticks = "`" * max(3, longest + 1)
    return f"{ticks}{language}\n{code}\n{ticks}"


_LINE_START = re.compile(r"^(?:#{1,6}(?=\s|$)|>|[-+](?=\s|$|-)|=+\s*$|\||:-)")
_NUMBERED = re.compile(r"^(\d{1,9})(?=[.)](?:\s|$))")
_MARKUP = re.compile(
    r"[`*\[\]~]"
    r"|\\(?=[!-/:-@\[-`{-~]|$)"
    r"|(?<![^\W_])_|_(?![^\W_])"
    r"|<(?=[A-Za-z/!?])"
    r"|&(?=#?\w+;)"
)
_ENDS_EMPHASIS = re.compile(r"(?<!\\)[*~]$")


def written(runs: Iterable[Run]) -> str:
    """Runs as Markdown: spaces made one, and lines broken where they say so. Nothing is at the ends but text."""
    merged = _merged(_spaced(runs))
    parts: list[str] = []
    link = ""
    for place, run in enumerate(merged):
        following = merged[place + 1] if place + 1 < len(merged) else Run(" ")
        if run.link != link:
            parts += [f"]({link})"] if link else []
            if run.link == run.text and following.link != run.link and _SCHEME.match(run.link):
                parts.append(f"<{run.link}>")
                link = ""
                continue
            if run.link and parts and parts[-1].endswith("!"):
                parts[-1] = parts[-1][:-1] + "\\!"
            parts += ["["] if run.link else []
            link = run.link
        before = merged[place - 1].text[-1:] if place and merged[place - 1].image is None else " "
        after = following.text[:1] if following.image is None else "!"
        # Emphasis next to emphasis would be misread.
        is_free = run.text[:1].isspace() or not (parts and _ENDS_EMPHASIS.search(parts[-1]))
        parts.append(_one(run if is_free else replace(run, styles=run.styles & {"code"}), before, after))
    parts += [f"]({link})"] if link else []
    return "".join(parts)


def _one(run: Run, before: str, after: str) -> str:
    if run.text == BREAK:
        return "\\\n"
    if run.image is not None:
        return f"![{_escaped(run.text)}]({run.image})"
    if "code" in run.styles:
        return _code(run.text)
    delimiters = "~~" if "struck" in run.styles else "**" * ("bold" in run.styles) + "*" * ("italic" in run.styles)
    if not delimiters:
        return _escaped(run.text)
    # Between a delimiter and a letter on its other side there is no emphasis to punctuation or a space: it stays outside.
    lead, core, trail = _parted(run.text, outer=(before, after))
    if not core:
        return _escaped(run.text)
    return f"{_escaped(lead)}{delimiters}{_escaped(core)}{delimiters}{_escaped(trail)}"


def _parted(text: str, *, outer: tuple[str, str]) -> tuple[str, str, str]:
    """What of a text cannot be emphasised before and after the rest."""
    before, after = outer
    start, end = len(text) - len(text.lstrip()), len(text.rstrip())
    if start == 0 and _is_letter(before):
        start = next((n for n, char in enumerate(text) if _is_letter(char)), len(text))
    if end == len(text) and _is_letter(after):
        end = next((n for n in range(len(text), start, -1) if _is_letter(text[n - 1])), start)
    return text[:start], text[start:end], text[max(start, end) :]


def _is_letter(char: str) -> bool:
    return char.isalnum()


def _code(text: str) -> str:
    longest = max((len(ticks) for ticks in re.findall(r"`+", text)), default=0)
    ticks, pad = "`" * (longest + 1), " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{ticks}{pad}{text}{pad}{ticks}"


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\g<0>", text)


def _spaced(runs: Iterable[Run]) -> Iterable[Run]:
    """Without the space that HTML does not show: at the ends, around line breaks, and after other space."""
    last: Run | None = None
    between = ""  # what stands between the last run and the next: nothing, a space or a line break
    for run in runs:
        if run.text == BREAK and run.image is None:
            between = BREAK
            continue
        text = " ".join(run.text.replace("\u200b", "").split())
        if not text and run.image is None:
            between = between or " " * bool(run.text)
            continue
        between = between or " " * run.text[:1].isspace()
        if last is not None and between:
            shared = Run(between, last.styles & run.styles - {"code"}, last.link if last.link == run.link else "")
            yield Run(BREAK) if between == BREAK else shared
        last, between = Run(text, run.styles, run.link, run.image), " " * run.text[-1:].isspace()
        yield last


def _merged(runs: Iterable[Run]) -> list[Run]:
    """Neighbours of one style as one run."""
    merged: list[Run] = []
    alike: list[Run] = []
    for run in runs:
        if alike and not _alike(alike[0], run):
            merged.append(_joined(alike))
            alike = []
        alike.append(run)
    return [*merged, *([_joined(alike)] if alike else [])]


def _joined(alike: list[Run]) -> Run:
    return alike[0] if len(alike) == 1 else replace(alike[0], text="".join(run.text for run in alike))


def _alike(one: Run, other: Run) -> bool:
    if BREAK in (one.text, other.text):
        return False
    return (one.styles, one.link, one.image, other.image) == (other.styles, other.link, None, None)
