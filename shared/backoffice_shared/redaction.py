"""Secrets that are in use, so that no log line, span, error or audit record can show one.

A credential is learnt when it is made; whatever leaves the process as text is scrubbed. This is process-wide, as
logging is: what must not be shown does not depend on who would show it.
"""

from __future__ import annotations

import base64
from collections import OrderedDict
from urllib.parse import quote

SHORTEST = 8  # characters: what is shorter is in too many innocent words
MOST = 1_000  # values remembered; rotation must not make this grow
MASK = "[secret]"


class LiveSecrets:
    """The values, and the forms that they take on a wire."""

    def __init__(self) -> None:
        self._forms: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._all: tuple[str, ...] = ()

    def learn(self, value: str) -> None:
        """From now on `value` is masked. The longest unused are forgotten beyond a thousand."""
        if len(value) < SHORTEST:
            return
        if value in self._forms:
            self._forms.move_to_end(value)
            return
        self._forms[value] = _forms(value)
        if len(self._forms) > MOST:
            self._forms.popitem(last=False)
        # Longest first: a form that contains another is masked as a whole.
        every = {form for forms in self._forms.values() for form in forms}
        self._all = tuple(sorted(every, key=len, reverse=True))

    def scrub(self, text: str) -> str:
        """`text` with every secret in it masked."""
        for form in self._all:
            if form in text:
                text = text.replace(form, MASK)
        return text


def _forms(value: str) -> tuple[str, ...]:
    """As it is, as a URL or JSON writes it, and as base64 has it wherever it begins among the bytes encoded."""
    raw = value.encode()
    forms = {value, quote(value, safe=""), quote(value), value.replace("\\", "\\\\").replace('"', '\\"')}
    forms |= {line for line in value.splitlines() if len(line) >= SHORTEST}
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for shift in range(3):
            # The characters at both ends also depend on the neighbours.
            encoded = encode(b"\0" * shift + raw).decode()
            whole = encoded.rstrip("=")
            forms.add(whole[(0, 2, 3)[shift] : len(whole) - (len(raw) + shift) % 3])
    return tuple(form for form in forms if len(form) >= SHORTEST)


SECRETS = LiveSecrets()
