"""HTML as a tree, whatever state it is in. What a reader would not see is left out, where an element itself says so: with
`hidden`, or in its `style` (see `_HIDING`). What hides by a class, a style sheet, a script or the colour of what is around
it is not recognised.

It takes time in proportion to the text, also for hostile ones, which `html.parser` does not: 80 kB of `<a <a <a` occupy it
for a minute. Of a long text only the beginning is read. Elements are closed where HTML implies it, as far as documents need it; unlike the standard
(https://html.spec.whatwg.org/multipage/parsing.html), misnested elements are not reopened.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from itertools import islice

LONGEST, MOST_TOKENS = 400_000, 16_000  # characters, and texts and tags: about a quarter of a second to convert
DEEPEST = 64  # levels: what is deeper is taken to be this deep

_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
_SECTIONS = frozenset({"thead", "tbody", "tfoot"})
_CELLS = frozenset({"td", "th"})
_OF_TABLES = frozenset({"table", "caption", "colgroup", "tr"}) | _SECTIONS | _CELLS
_LISTS = frozenset({"ul", "ol", "menu", "dl"})
_TEXTS = frozenset({"p", "pre", "blockquote", "address", "figcaption", "legend", "summary", "hr"})
_AREAS = frozenset({"article", "aside", "body", "center", "details", "dialog", "div", "fieldset", "figure", "footer"})
_OTHER_AREAS = frozenset({"form", "header", "html", "main", "nav", "section"})
_STORED = frozenset({"rich-text-body", "layout", "layout-section", "layout-cell", "task-list", "task"})
BLOCKS = (
    _HEADINGS
    | _OF_TABLES
    | _LISTS
    | {"li", "dt", "dd"}
    | _TEXTS
    | _AREAS
    | _OTHER_AREAS
    | {f"ac:{name}" for name in _STORED}  # Confluence's own
)
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"}
)
_RAW = frozenset({"script", "style", "textarea", "title", "xmp", "noembed", "noframes"})
_UNSEEN = frozenset({"head", "template", "noscript", "select", "datalist", "ac:parameter"})

_IMPLIED: dict[str, frozenset[str]] = {
    "li": frozenset({"li", "p"}),
    "dt": frozenset({"dt", "dd", "p"}),
    "dd": frozenset({"dt", "dd", "p"}),
    "tr": frozenset({"tr", "caption", "colgroup"}) | _CELLS,
    "td": _CELLS | {"caption"},
    "th": _CELLS | {"caption"},
    "a": frozenset({"a"}),
    **dict.fromkeys(_SECTIONS, _SECTIONS | _CELLS | {"tr", "caption", "colgroup"}),
    **dict.fromkeys(_HEADINGS, _HEADINGS | {"p"}),
}
"""What is closed when an element begins; a paragraph, by every other block."""

_WALLS: dict[str, frozenset[str]] = {
    "li": frozenset({"ul", "ol", "menu", "table"}) | _CELLS,
    "dt": frozenset({"dl", "table"}) | _CELLS,
    "dd": frozenset({"dl", "table"}) | _CELLS,
    **dict.fromkeys(("tr", "td", "th", *_SECTIONS), frozenset({"table"})),
}
"""How far up it looks for that; other elements, to the nearest that may hold paragraphs."""


@dataclass(slots=True)
class Node:
    """An element. `has_blocks`: somewhere in it is one that stands on lines of its own."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list["Node | str"])
    has_blocks: bool = False

    @property
    def classes(self) -> frozenset[str]:
        return frozenset(self.attributes.get("class", "").split())

    @property
    def text(self) -> str:
        """All text in it, as it is; a line break is one."""
        parts: list[str] = []
        left: list[Node | str] = [self]
        while left:
            part = left.pop()
            if isinstance(part, str):
                parts.append(part)
            elif part.tag == "br":
                parts.append("\n")
            else:
                left += reversed(part.children)
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class Document:
    """`hid`: it has text that no reader would see. `is_too_deep`: some of its elements are less deep here. `is_cut`: it is
    only the beginning.
    """

    root: Node
    hid: bool
    is_too_deep: bool
    is_cut: bool


def document(html: str) -> Document:
    builder, tokens = _Builder(), _tokens(html[:LONGEST])
    for token in islice(tokens, MOST_TOKENS):
        match token:
            case str():
                builder.text(token)
            case _End(tag):
                builder.end(tag)
            case _Start():
                builder.start(token)
    is_cut = len(html) > LONGEST or next(tokens, None) is not None
    return Document(builder.root, builder.hid, builder.is_too_deep, is_cut)


class _Builder:
    def __init__(self) -> None:
        self.root = Node("", {})
        self.hid = False
        self.is_too_deep = False
        self._open = [self.root]
        self._flattened: Counter[str] = Counter()  # elements that are open, and too deep to be in the tree
        self._unseen: Counter[str] = Counter()  # elements that are open within the one that is not seen
        self._unseen_root = ""

    def text(self, text: str) -> None:
        if self._unseen_root:
            self.hid = self.hid or bool(self._unseen_root not in _UNSEEN and text.strip())
        else:
            self._open[-1].children.append(text)

    def start(self, token: _Start) -> None:
        is_empty = token.is_closed or token.tag in _VOID
        if self._unseen_root:
            self._unseen[token.tag] += not is_empty
            return
        if _is_unseen(token):
            if not is_empty:
                self._unseen_root = token.tag
                self._unseen = Counter({token.tag: 1})
            return
        self._close_implied(token.tag)
        node = Node(token.tag, token.attributes)
        self._add(node)
        if is_empty:
            return
        if len(self._open) > DEEPEST:
            self.is_too_deep = True
            self._flattened[token.tag] += 1
        else:
            self._open.append(node)

    def end(self, tag: str) -> None:
        if self._unseen_root:
            self._end_unseen(tag)
        elif self._flattened[tag] > 0:
            self._flattened[tag] -= 1
        elif (place := self._place(tag)) is not None:
            del self._open[place:]

    def _end_unseen(self, tag: str) -> None:
        if self._unseen[tag] > 0:
            self._unseen[tag] -= 1
            if tag == self._unseen_root and self._unseen[tag] == 0:
                self._unseen_root = ""
        elif self._place(tag) is not None:  # the element around the unseen one ends, and so does that
            self._unseen_root = ""
            self.end(tag)

    def _add(self, node: Node) -> None:
        self._open[-1].children.append(node)
        if node.tag in BLOCKS:
            for around in reversed(self._open):
                if around.has_blocks:
                    break
                around.has_blocks = True

    def _place(self, tag: str) -> int | None:
        """Where the open element is that an end tag means: within the same cell of a table, unless it is of the table."""
        for place in range(len(self._open) - 1, 0, -1):
            here = self._open[place].tag
            if here == tag:
                return place
            if here in _CELLS and tag not in _OF_TABLES:
                return None
        return None

    def _close_implied(self, tag: str) -> None:
        closed = _IMPLIED.get(tag) or (frozenset({"p"}) if tag in BLOCKS else frozenset[str]())
        walls = _WALLS.get(tag, BLOCKS - closed)
        if not closed:
            return
        first = None
        for place in range(len(self._open) - 1, 0, -1):
            here = self._open[place].tag
            if here in closed:
                first = place
            elif here in walls:
                break
        if first is not None:
            del self._open[first:]


def _is_unseen(token: _Start) -> bool:
    attributes = token.attributes
    return token.tag in _UNSEEN or "hidden" in attributes or _hides(attributes.get("style", ""))


# ----------------------------------------------------------------------------------------------------- styles


def _hides(style: str) -> bool:
    """Any declaration counts, also one that a later one takes back: a browser would ignore a later one that is wrong."""
    if ":" not in style:
        return False
    plain = _CSS_ESCAPE.sub(_meant, _CSS_COMMENT.sub(" ", style)).lower()
    declared: dict[str, list[str]] = {}
    for declaration in plain.split(";"):
        name, _, value = declaration.partition(":")
        declared.setdefault(name.strip(), []).append(value.partition("!")[0].strip())
    if any(hides(value) for name, hides in _HIDING.items() for value in declared.get(name, ())):
        return True
    return _hides_what_flows_over(declared) or _is_of_one_colour(declared)


_CSS_COMMENT = re.compile(r"/\*.*?(?:\*/|$)", re.S)
_CSS_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.S)
_LENGTH = re.compile(r"(?<![\w.#-])([+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)(%|[a-z]*)")
_LETTER = 16  # pixels
_PIXELS = {"px": 1, "pt": 1.33, "pc": 16, "em": 16, "rem": 16, "ex": 8, "ch": 8, "cm": 38, "mm": 3.8, "in": 96}
_OF_A_SCREEN = {"%": 6, "vw": 6, "vh": 6}  # pixels, at least


def _meant(escape: re.Match[str]) -> str:
    return chr(min(int(escape[1], 16), 0x10FFFF)) if escape[1] else escape[2]


def _lengths(value: str, shares: Mapping[str, float] = _OF_A_SCREEN) -> list[float]:
    """The lengths in a value, in pixels. A number without a unit is none, but for 0."""
    found = ((float(number), unit) for number, unit in _LENGTH.findall(value))
    sizes = {**_PIXELS, **shares}
    return [number * sizes.get(unit, 1) for number, unit in found if unit in sizes or number == 0]


def _is_small(value: str, shares: Mapping[str, float] = _OF_A_SCREEN) -> bool:
    return any(length <= 1 for length in _lengths(value, shares)[:1])


def _is_small_print(value: str) -> bool:
    return _is_small(value, {"%": _LETTER / 100})


def _is_faint(value: str) -> bool:
    return any(float(number) / (100 if unit else 1) < 0.05 for number, unit in _LENGTH.findall(value)[:1])


def _is_off_screen(value: str) -> bool:
    return any(length <= -500 or length >= 5_000 for length in _lengths(value))


_HIDING: dict[str, Callable[[str], bool]] = {
    "display": lambda value: value == "none",
    "visibility": lambda value: value in ("hidden", "collapse"),
    "content-visibility": lambda value: value == "hidden",
    "opacity": _is_faint,
    "font-size": _is_small_print,
    "font": _is_small_print,
    "clip": lambda value: value.startswith("rect") and all(-1 <= length <= 1 for length in _lengths(value)),
    **dict.fromkeys(("left", "right", "top", "bottom", "inset", "text-indent"), _is_off_screen),
    **dict.fromkeys(("margin-left", "margin-top", "transform"), _is_off_screen),
}
"""Which values of which properties hide an element: letters of a pixel at most, less than a twentieth of the opacity, or a
place that is 500 pixels or most of a screen before, or 5,000 pixels after, the one that it would have.
"""


def _hides_what_flows_over(declared: dict[str, list[str]]) -> bool:
    """A box without a height or a width that shows nothing of what is outside of it."""
    overflow = [value for name in ("overflow", "overflow-x", "overflow-y") for value in declared.get(name, ())]
    sizes = [value for name in ("height", "max-height", "width") for value in declared.get(name, ())]
    return any(re.search("hidden|clip", value) for value in overflow) and any(map(_is_small, sizes))


def _is_of_one_colour(declared: dict[str, list[str]]) -> bool:
    """Text without a colour, or written on a ground of its own colour in the same words."""
    grounds = {value for name in ("background", "background-color") for value in declared.get(name, ())}
    colours = set(declared.get("color", ())) - _SAID_ELSEWHERE
    return any(value == "transparent" or value in grounds for value in colours)


_SAID_ELSEWHERE = frozenset({"", "inherit", "initial", "unset", "revert", "revert-layer"})


# ----------------------------------------------------------------------------------------------------- tokens


@dataclass(frozen=True, slots=True)
class _Start:
    tag: str
    attributes: dict[str, str]
    is_closed: bool


@dataclass(frozen=True, slots=True)
class _End:
    tag: str


_NAME = re.compile(r"[a-zA-Z][^\s/>]*")
_BETWEEN = re.compile(r"[\s/=]*")
_ATTRIBUTE = re.compile(r"""([^\s/>=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"'][^\s>]*))?)?""")
_TOO_LARGE_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")
_SPECIAL = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<!", ">"), ("<?", ">"))
"""How comments and the like begin and end."""


def _tokens(html: str) -> Iterator[str | _Start | _End]:
    """Whatever is not closed reaches to the end of the text: each character is looked at a few times at most."""
    at = 0
    while at < len(html):
        start = html.find("<", at)
        if start < 0:
            start = len(html)
        if start > at:
            yield _unescaped(html[at:start])
        at = start
        if html.startswith(("<!", "<?"), at):
            token, at = _special(html, at)
            if token:
                yield token
        elif name := _NAME.match(html, at + 2) if html.startswith("</", at) else None:
            yield _End(name[0].lower())
            at = _after(html, ">", name.end())
        elif name := _NAME.match(html, at + 1):
            token, at = _start(html, name[0].lower(), name.end())
            if token is not None:
                yield token
                if token.tag in _RAW and not token.is_closed:
                    at = _after_raw(html, token.tag, at)
        elif at < len(html):
            yield "<"
            at += 1


def _special(html: str, at: int) -> tuple[str, int]:
    begin, end = next((begin, end) for begin, end in _SPECIAL if html.startswith(begin, at))
    after = _after(html, end, at + len(begin))
    return (html[at + len(begin) : after].removesuffix(end) if begin == "<![CDATA[" else ""), after


def _start(html: str, tag: str, at: int) -> tuple[_Start | None, int]:
    attributes: dict[str, str] = {}
    while (found := _ATTRIBUTE.match(html, _end_of(_BETWEEN, html, at))) is not None:
        value = next((value for value in found.groups()[1:] if value is not None), "")
        attributes.setdefault(found[1].lower(), _unescaped(value))
        at = found.end()
    at = _end_of(_BETWEEN, html, at)
    if at == len(html):
        return None, at
    return _Start(tag, attributes, is_closed=html[at - 1] == "/"), at + 1


def _end_of(pattern: re.Pattern[str], html: str, at: int) -> int:
    found = pattern.match(html, at)
    return at if found is None else found.end()


def _after(html: str, end: str, at: int) -> int:
    found = html.find(end, at)
    return len(html) if found < 0 else found + len(end)


def _after_raw(html: str, tag: str, at: int) -> int:
    """After the text of an element in which there are no elements. Nothing of it is seen."""
    found = re.compile(f"</{tag}", re.I).search(html, at)
    return len(html) if found is None else found.start()


def _unescaped(text: str) -> str:
    return unescape(_TOO_LARGE_REFERENCE.sub("\ufffd", text)) if "&" in text else text
