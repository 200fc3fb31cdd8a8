"""Secrets that are in use, so that no log line, span, error or audit record can show one.

A credential is learnt when it is made; whatever leaves the process as text is scrubbed. This is process-wide, as
logging is: what must not be shown does not depend on who would show it.

Secrets are many and texts are mostly innocent, so a text is not searched for each of them. It is cut into words of
four bytes, which are looked up among the words that some secret has near its beginning: every secret is long enough
to cover one of them whole, wherever it stands. Only those found are searched for. The time does not depend on how
many secrets there are.
"""

from __future__ import annotations

import base64
import json
import re
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 8  # characters: what is shorter is in too many innocent words
MOST = 1_000  # values remembered; rotation must not make this grow
MASK = "[secret]"

_WORD = 4  # bytes; a form of SHORTEST bytes covers an aligned word whole, as 2 * _WORD - 1 <= SHORTEST
_HEX_OF_URL = re.compile(r"%[0-9A-F]{2}")

_URL_SAFE = ("", "/", "!'()*", ";,/?:@&=+$#!'()*")
"""What is left as it is: by most, in a path, by JavaScript's `encodeURIComponent`, and by its `encodeURI`."""

_Index = dict[int, tuple[str, ...]]


class LiveSecrets:
    """The values, and the forms that they take on a wire. Any thread may learn while others scrub."""

    def __init__(self) -> None:
        self._learning = threading.Lock()
        self._values: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._uses: Counter[str] = Counter()  # how many values have a form: a line may be in several
        self._index: _Index = {}  # never changed, only replaced: who reads it needs no lock

    def learn(self, value: str) -> None:
        """From now on `value` is masked, and each of its lines. The longest unused are forgotten beyond a thousand."""
        if len(value) < SHORTEST:
            return
        with self._learning:
            if value in self._values:
                self._values.move_to_end(value)
                return
            index = dict(self._index)
            self._add(value, index)
            if len(self._values) > MOST:
                self._forget(index)
            self._index = index

    def scrub(self, text: str) -> str:
        """`text` with every secret in it masked. Where secrets overlap, one mask stands for all of them."""
        index = self._index
        if not index or len(text) < SHORTEST:
            return text
        words = _words(text)
        if index.keys().isdisjoint(words):
            return text
        found = {form for word in words if word in index for form in index[word]}
        spans = sorted(span for form in found for span in _spans(form, text))
        return _masked(text, spans) if spans else text

    def _add(self, value: str, index: _Index) -> None:
        forms = self._values[value] = frozenset(_forms(value))
        for form in forms:
            self._uses[form] += 1
            if self._uses[form] == 1:
                for word in _first_words(form):
                    index[word] = (*index.get(word, ()), form)

    def _forget(self, index: _Index) -> None:
        _, forms = self._values.popitem(last=False)
        self._uses.subtract(forms)
        for form in (form for form in forms if not self._uses[form]):
            del self._uses[form]
            for word in _first_words(form):
                index[word] = tuple(other for other in index[word] if other != form)
                if not index[word]:
                    del index[word]


def _words(text: str) -> memoryview[int]:
    """The text's bytes, four at a time. What is left at the end is part of no secret that an earlier word is not part of."""
    raw = text.encode("utf-8", "surrogatepass")
    return memoryview(raw)[: len(raw) // _WORD * _WORD].cast("I")


def _first_words(form: str) -> set[int]:
    """Of these one is among the words of a text that holds the form: which, depends on where the form begins."""
    raw = form.encode("utf-8", "surrogatepass")
    return {int.from_bytes(raw[at : at + _WORD], sys.byteorder) for at in range(_WORD)}


def _spans(form: str, text: str) -> Iterator[tuple[int, int]]:
    """Where the form is in the text: beginnings and ends. A form may overlap itself."""
    at = text.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = text.find(form, at + 1)


def _masked(text: str, spans: list[tuple[int, int]]) -> str:
    """`spans` are in order of their beginnings."""
    kept: list[str] = []
    done = 0
    for start, end in spans:
        if start >= done:
            kept += text[done:start], MASK
        done = max(done, end)
    return "".join((*kept, text[done:]))


def _forms(value: str) -> Iterator[str]:
    """Every form of the value and of its lines, as long as it is not in too many innocent words."""
    for part in {value, *_lines(value)}:
        raw = part.encode("utf-8", "surrogatepass")
        yield part
        yield from (form for form in _encoded(part, raw) if len(form) >= SHORTEST)


def _lines(value: str) -> Iterator[str]:
    """The lines of a key or a document, which logs may show one by one. `-----BEGIN PRIVATE KEY-----` tells nothing."""
    if "\n" in value:
        lines = (line.strip() for line in value.splitlines())
        yield from (line for line in lines if len(line) >= SHORTEST and not line.startswith("-----"))


def _encoded(text: str, raw: bytes) -> Iterator[str]:
    """In a URL, in JSON, in Python's own messages, in hexadecimal, in base64."""
    for safe in _URL_SAFE:
        for in_url in (quote(raw, safe=safe), quote_plus(raw, safe=safe)):
            yield in_url
            yield _HEX_OF_URL.sub(lambda escape: escape.group().lower(), in_url)
    for quoted in (json.dumps(text, ensure_ascii=False), json.dumps(text), repr(text), ascii(text)):
        yield quoted[1:-1]
    yield repr(raw)[2:-1]
    yield raw.hex()
    yield raw.hex().upper()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for before in range(3):
            yield _within_base64(encode(bytes(before) + raw).decode(), before, before + len(raw))


def _within_base64(encoded: str, before: int, end: int) -> str:
    """The characters that depend on nothing but the bytes from `before` to `end`. Those at both edges hold bits of
    the neighbours: in Basic authentication, of the user's name."""
    return encoded[(before * 4 + 2) // 3 : end * 4 // 3]


SECRETS = LiveSecrets()
