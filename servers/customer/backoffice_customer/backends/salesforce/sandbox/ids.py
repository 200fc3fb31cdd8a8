"""Ids as Salesforce makes them: 15 characters in which case matters, and 3 more that say which are capitals.

https://developer.salesforce.com/docs/atlas.en-us.object_reference.meta/object_reference/field_types.htm
"""

from __future__ import annotations

import re

PREFIXES = {
    "Account": "001",
    "Contact": "003",
    "User": "005",
    "Group": "00G",
    "CaseComment": "00a",
    "Task": "00T",
    "Event": "00U",
    "EmailMessage": "02s",
    "EmailMessageRelation": "0dR",
    "Case": "500",
}
_TABLES = {prefix: table for table, prefix in PREFIXES.items()}
_ID = re.compile(r"([0-9A-Za-z]{3})Hs(\d{10})([A-Z0-5]{3})?")
_CHECKS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"


def _check(five: str) -> str:
    return _CHECKS[sum(1 << n for n, character in enumerate(five) if "A" <= character <= "Z")]


# Of our ids only the first five characters have capitals.
_SUFFIXES = {table: f"{_check(f'{prefix}Hs')}AA" for table, prefix in PREFIXES.items()}


def record_id(table: str, number: int) -> str:
    return f"{PREFIXES[table]}Hs{number:010d}{_SUFFIXES[table]}"


def is_id(text: str) -> bool:
    return re.fullmatch(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?", text) is not None


def place_of(text: str) -> tuple[str, int] | None:
    """The table and the number of the record with this id, None when it is none of ours."""
    found = _ID.fullmatch(text)
    if found is None or found[1] not in _TABLES:
        return None
    table, number = _TABLES[found[1]], int(found[2])
    return (table, number) if text in (record_id(table, number), record_id(table, number)[:15]) else None


def number_of(text: str, table: str) -> int | None:
    place = place_of(text)
    return place[1] if place is not None and place[0] == table else None
