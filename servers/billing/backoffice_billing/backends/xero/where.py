"""Xero's query language, as far as it is spoken here: conditions on ids, days and words of Xero's own.

Xero documents no way to escape a quotation mark in it, so no text of anybody's ever goes into a condition: text is
looked for by parameters of its own (`searchTerm`, `InvoiceNumbers`), and compared here. Conditions on text are also
what large organisations are refused for (https://github.com/freakboy3742/pyxero/issues/373).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Literal

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_PLAIN = re.compile(r"[\w #./+-]{1,100}", re.ASCII)


def is_id(native: str) -> bool:
    """Whether it can be the id of anything. Xero refuses a whole query for one that cannot."""
    return _ID.fullmatch(native) is not None


def is_plain(text: str) -> bool:
    """Whether it can be one of a list that is separated by commas."""
    return _PLAIN.fullmatch(text) is not None and text == text.strip()


def word(field: str, value: str) -> str:
    """`Type=="ACCREC"`: a word of Xero's own.

    Raises:
        ValueError: it is none.
    """
    if not value.isascii() or not value.isalpha():
        raise ValueError(f"not a word of Xero's: {value[:40]!r}")
    return f'{field}=="{value}"'


def id_is(field: str, native: str) -> str:
    """
    Raises:
        ValueError: it is no id.
    """
    if not is_id(native):
        raise ValueError(f"not an id: {native[:40]!r}")
    return f'{field}==guid("{native}")'


def on(field: str, compared: Literal[">=", "<=", "<", ">"], day: date) -> str:
    return f"{field}{compared}DateTime({day.year},{day.month:02},{day.day:02})"


def every(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions)


def either(conditions: Iterable[str]) -> str:
    """Seen in https://help.coupler.io/article/237-how-to-use-where-parameter-in-xero-importer; brackets were not."""
    return " OR ".join(conditions)
