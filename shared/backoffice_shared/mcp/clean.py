"""Text from outside, without what a person would not see: a model reads it, and so do terminals and consoles.

Removed are control characters, whole terminal sequences, bidirectional controls, invisible characters, tags, variation
selectors, private and unassigned code points, and floods of combining marks. Kept is what writing needs: joiners in
scripts that have them, emoji sequences. Nothing is normalised.

Sources: https://trojansource.codes/, https://www.unicode.org/reports/tr36/ and https://www.unicode.org/reports/tr51/,
ECMA-48 for terminal sequences, https://www.rfc-editor.org/rfc/rfc5892#appendix-A for joiners.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any, TypeVar, cast

DEEPEST = 100  # levels of nested values; what is deeper is left out
MOST_MARKS = 8  # combining marks in a row: no script needs more

Value = TypeVar("Value")

_ASCII_CONTROLS = bytes(code for code in (*range(0x20), 0x7F) if chr(code) not in "\n\t")

# Letters, digits, punctuation and symbols that are fine wherever they are, so that most texts need no closer look.
_FINE = (
    "\t\n -~\xa1-\xac\xae-\u02ff\u0391-\u03a1\u03a3-\u0482\u048a-\u052f\u05d0-\u05ea\u0620-\u064a\u0660-\u066f"
    "\u2010-\u2027\u2030-\u205e\u20a0-\u20bf\u2190-\u23ff\u2500-\u27bf\u3001-\u3029\u3041-\u3096\u30a0-\u30ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff60\U0001f300-\U0001f64f\U0001f900-\U0001f9ff"
)
_NOT_PLAINLY_FINE = re.compile(f"[^{_FINE}]+")

_PRINTABLE = "[^\x00-\x1f\x7f-\x9f]"
_TERMINAL_SEQUENCE = re.compile(
    # A command with parameters, as for colours and the cursor.
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]"
    # A string for the terminal: a link, a title, an image. One without an end is no string, and is left to be read.
    f"|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f]){_PRINTABLE}*(?:\x07|\x1b\\\\|\x9c)"
    # Any other.
    "|\x1b[ -/]*[0-~]"
)

# Pictographs, and the scripts in which a joiner changes what is read: Arabic, Syriac, Mongolian, the Indic ones.
_PICTOGRAPH = (
    "\xa9\xae\u203c\u2049\u2122\u2139\u2190-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55"
    "\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
)
_JOINING = (
    "\u0620-\u06ff\u0700-\u077f\u07c0-\u07ff\u0840-\u0dff\u0f00-\u109f\u1780-\u180a\u1810-\u18af\u1900-\u1aaf\u1b00-\u1c4f"
    "\ua800-\ua8ff\ua900-\uaaff\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefc\U00010a00-\U00010d3f\U00011000-\U00011fff"
    "\U0001e900-\U0001e95f"
)
_JOINERS = "\u200c\u200d"
_MONGOLIAN_SELECTORS = "\u180b-\u180f"
_TAGS = "\U000e0020-\U000e007f"
_SELECTORS = "\ufe00-\ufe0f"
_BRITISH_FLAGS = "|".join(
    "".join(chr(0xE0000 + ord(letter)) for letter in region) + "\U000e007f" for region in ("gbeng", "gbsct", "gbwls")
)
_IN_PLACE_OR_NOT = re.compile(
    "("
    f"(?<=[{_JOINING}])[{_JOINERS}]"
    f"|(?:(?<=[{_PICTOGRAPH}])|(?<=[{_PICTOGRAPH}]\ufe0f))\u200d(?=[{_PICTOGRAPH}])"
    f"|(?<=[{_PICTOGRAPH}])[\ufe0e\ufe0f]"
    "|(?<=[0-9#*])\ufe0f(?=\u20e3)"
    f"|(?<=\U0001f3f4)(?:{_BRITISH_FLAGS})"
    f"|(?<=[\u1820-\u18aa])[{_MONGOLIAN_SELECTORS}]"
    f")|[{_JOINERS}{_SELECTORS}{_MONGOLIAN_SELECTORS}{_TAGS}]"
)

_NEITHER_LETTERS_NOR_ASCII = re.compile(rf"[^\w\s\x00-\x7f]{{{MOST_MARKS + 1},}}")


def clean(text: str) -> str:
    """`text` without what a person would not see; the same object when there is nothing of the kind."""
    if text.isascii():
        if len(text.encode().translate(None, _ASCII_CONTROLS)) == len(text):
            return text
    elif _NOT_PLAINLY_FINE.search(text) is None:
        return text
    seen = _TERMINAL_SEQUENCE.sub("", text)
    seen = _NOT_PLAINLY_FINE.sub(lambda found: found.group().translate(_KEPT), seen)
    seen = _NEITHER_LETTERS_NOR_ASCII.sub(lambda found: _without_floods(found.group()), seen)
    seen = _IN_PLACE_OR_NOT.sub(r"\1", seen)  # last: it goes by the neighbours that stay
    return text if seen == text else seen


def cleaned(value: Value) -> Value:
    """A JSON value with every text in it clean, the names in objects too; the same object when all were.

    Of two names that become the same, the one that was clean counts.
    """
    return cast("Value", _cleaned(value, 0))


def hidden(text: str) -> bool:
    """Whether a person would not see all of it: for descriptions that others wrote, where nothing excuses that."""
    text = text.replace("\r\n", "\n")
    return clean(text) is not text


def _cleaned(value: Any, depth: int) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return None if depth >= DEEPEST else _cleaned_object(cast("dict[str, Any]", value), depth + 1)
    if isinstance(value, list):
        return None if depth >= DEEPEST else _cleaned_list(cast("list[Any]", value), depth + 1)
    return value


def _cleaned_object(value: dict[str, Any], depth: int) -> dict[str, Any]:
    entries = [(name, clean(name), entry, _cleaned(entry, depth)) for name, entry in value.items()]
    if all(name is seen and entry is kept for name, seen, entry, kept in entries):
        return value
    return {seen: kept for name, seen, _, kept in entries if name is seen or seen not in value}


def _cleaned_list(value: list[Any], depth: int) -> list[Any]:
    kept = [_cleaned(entry, depth) for entry in value]
    return value if all(map(_same, value, kept)) else kept


def _same(one: object, other: object) -> bool:
    return one is other


class _Characters(dict[int, int | None]):
    """For `str.translate`: a character, or None for one to remove. Remembers what it found out, plane by plane up to two."""

    def __missing__(self, code: int) -> int | None:
        kept = None if _is_unwanted(code) else code
        if code < 0x20000:
            self[code] = kept
        return kept


_KEPT = _Characters()

# Whether these stay depends on what is around them.
_DEPENDING = re.compile(f"[{_JOINERS}{_SELECTORS}{_MONGOLIAN_SELECTORS}{_TAGS}]")
_VISIBLE_FORMATS = re.compile("[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]")
"""Signs of Arabic, Syriac and Kaithi that enclose or carry the digits after them: formats by category only."""
_GROWING = re.compile("[\u20a0-\u20cf\U0001f000-\U0001fbff\U00020000-\U0003fffd]")
"""Currency signs, pictographs, ideographs: what is unassigned here may be newer than Python's tables."""
_INVISIBLE_MARKS = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\U000e0100-\U000e01ef]")
"""Fillers and joiners that count as letters or marks: https://www.unicode.org/reports/tr44/#Default_Ignorable_Code_Point"""


def _is_unwanted(code: int) -> bool:
    character = chr(code)
    if character in "\n\t" or _DEPENDING.match(character):
        return False
    match unicodedata.category(character):
        case "Cc" | "Cs" | "Co":
            return True
        case "Cf":
            return _VISIBLE_FORMATS.match(character) is None
        case "Cn":
            return _GROWING.match(character) is None
        case _:
            return _INVISIBLE_MARKS.match(character) is not None


def _without_floods(text: str) -> str:
    kept: list[str] = []
    marks = 0
    for character in text:
        if unicodedata.category(character).startswith("M"):
            marks += 1
        elif character not in _JOINERS:  # between marks they make no new beginning
            marks = 0
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)
