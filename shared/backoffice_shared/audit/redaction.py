"""Arguments as the audit keeps them: no secret, nothing that names a person, no long text.

What is named like a secret is dropped; in any other text whatever looks like an e-mail address, a telephone number,
a card, an account or a token is masked. The patterns are bounded and see at most 400 characters.
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

LONGEST = 200  # characters of one text that are recorded
MOST = 50  # entries of one list or object
MOST_VALUES = 500  # in all
DEEPEST = 10

_SECRET_NAME = re.compile(
    r"token|secret|passw|passphrase|api[_-]?key|authorization|credential|cookie|bearer|jwt|signature"
    r"|private[_-]?key|card[_-]?n|iban|cvc|cvv|ssn|(?:^|[_-])(?:pin|otp|pwd)(?:$|[_-])",
    re.IGNORECASE,
)

# In this order at any place: a key may hold what looks like a telephone number, not the other way round.
_PERSONAL = re.compile(
    r"(?P<key>-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----(?:[^-]|-(?!----END)){0,400})"
    r"|(?P<bearer>\b(?i:bearer|basic) [\w.~+/=-]{8,400})"
    r"|(?P<jwt>\beyJ[\w-]{4,400}\.[\w-]{4,400}(?:\.[\w-]{0,400})?)"
    r"|(?P<token>\b(?:bo|sk|rk|pk|whsec|xox[a-z]|gh[a-z]|github_pat|glpat|shp[a-z]{2}|pat)[_-][\w-]{16,400})"
    r"|(?P<email>[\w.+'-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})"
    r"|(?P<iban>\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?\b)"
    r"|(?P<card>(?<![\w:+.-])\d(?:[ -]?\d){12,18}(?![\w-]))"
    r"|(?P<phone>(?<![\w:+-])(?!\d{4}-\d\d-\d\d(?!\d))\+?\d[\d\s().-]{7,40}\d)"
)


# Each of the above has one of these in it.
_SUSPICIOUS = re.compile(r"[@\d_-]|(?i:bearer|basic) |eyJ")


def redacted(value: Any) -> Any:
    """`value` as JSON that may be recorded. Whatever it is, this gives something."""
    return _Redaction().of(value, "", 0)


def digest(key: bytes, text: str) -> str:
    """A pseudonym: the same for the same text, and of no use to whoever lacks the key."""
    return "hmac:" + hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()[:32]


class _Redaction:
    """One pass over one value, which counts what it has seen."""

    def __init__(self) -> None:
        self._left = MOST_VALUES

    def of(self, value: Any, name: str, depth: int) -> Any:
        self._left -= 1
        if name and _named_like_a_secret(name):
            return "[redacted]"
        if self._left < 0 or depth > DEEPEST:
            return "…"
        if isinstance(value, str):
            return _text(value)
        if isinstance(value, Mapping):
            entries = list(cast("Mapping[object, Any]", value).items())[:MOST]
            return {_shown(str(key)[:64]): self.of(entry, str(key), depth + 1) for key, entry in entries}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.of(entry, name, depth + 1) for entry in list(cast("list[Any]", value))[:MOST]]
        return _scalar(value)


def _named_like_a_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None if len(name) > 64 else _short_name_like_a_secret(name)


@lru_cache(maxsize=100)
def _short_name_like_a_secret(name: str) -> bool:
    """Names are mostly those of our own parameters."""
    return _SECRET_NAME.search(name) is not None


@lru_cache(maxsize=100)
def _shown(name: str) -> str:
    return _text(name)


def _scalar(value: object) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return _number(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _text(str(value))


def _number(value: int) -> int | str:
    if value.bit_length() > 64:
        return f"[a number of {value.bit_length()} bits]"
    return "[card]" if _is_card(str(value)) else value


def _text(text: str) -> str:
    """What begins within the longest that is kept is masked as a whole; what comes after it is not kept."""
    if len(text) <= LONGEST and _SUSPICIOUS.search(text) is None:
        return text
    kept: list[str] = []
    at = 0
    for found in _PERSONAL.finditer(text[: 2 * LONGEST]):
        if found.start() >= LONGEST:
            break
        kept += text[at : found.start()], _mask(found)
        at = found.end()
    kept.append(text[at : max(at, LONGEST)])
    return "".join(kept) if len(text) <= LONGEST else f"{''.join(kept)}… ({len(text)} characters)"


def _mask(found: re.Match[str]) -> str:
    kind, text = found.lastgroup, found.group()
    if kind == "iban" and not _is_iban(text):
        return text
    if kind == "card" and not _is_card(text):
        return "[phone]"
    return f"[{kind}]"


def _is_card(text: str) -> bool:
    """The check digit of ISO/IEC 7812."""
    digits = [int(digit) for digit in text if digit.isdigit()]
    if not 13 <= len(digits) <= 19:
        return False
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """The check digits of ISO 13616."""
    plain = text.replace(" ", "")
    return 15 <= len(plain) <= 34 and int("".join(str(int(c, 36)) for c in plain[4:] + plain[:4])) % 97 == 1
