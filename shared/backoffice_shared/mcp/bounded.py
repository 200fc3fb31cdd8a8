"""No result is larger than a model can use. Rows go first, then long texts, then sections; the result says so.

The bound is 6,000 tokens. Our compact JSON has 2.5 to 3.5 bytes to a token (o200k), so it is kept in bytes, which
are cheap to count.
"""

from __future__ import annotations

import math
import re
import string
from typing import Any, cast

from pydantic import BaseModel

from backoffice_shared.envelope import Answer, Listing
from backoffice_shared.jsonvalues import arr, compact, obj
from backoffice_shared.mcp.clean import cleaned
from backoffice_shared.mcp.personal import without_personal

LARGEST = 15_000  # bytes of compact JSON
_ROOM = 400  # for the page, and for the note that says what was left out
_SHORTENED = (1_000, 300, 100)  # characters that long texts are cut to, in turn


def fit(result: BaseModel, largest: int = LARGEST, *, masked: bool = False) -> tuple[dict[str, Any], str]:
    """The result's payload and its compact JSON, both within `largest` bytes; with personal data masked, if so asked."""
    payload = result.payload() if isinstance(result, Answer) else result.model_dump(mode="json", exclude_none=True)
    payload = cleaned(payload)
    if masked:
        payload = without_personal(payload)
    try:
        text = compact(payload)
    except ValueError:
        payload = _finite(payload)
        text = compact(payload)
    if weight(text) <= largest:
        return payload, text
    if isinstance(result, Listing):
        _drop_rows(payload, cast("Listing[Any]", result), largest)
    for length in _SHORTENED:
        if weight(compact(payload)) <= largest:
            break
        shortened = _shorten(payload, length)
        if shortened:
            _note(payload, f"{shortened} long texts are cut to {length} characters")
    cut: dict[str, str] = {}
    while weight(compact({**payload, "notes": [*arr(payload.get("notes")), *cut.values()]})) > largest:
        if not _cut_section(payload, cut):
            break
    for said in cut.values():
        _note(payload, said)
    return payload, compact(payload)


def _drop_rows(payload: dict[str, Any], listing: Listing[Any], largest: int) -> None:
    rows: list[Any] = payload["items"]
    if not rows:
        return
    room = largest - _ROOM - weight(compact({**payload, "items": []}))
    kept = 0
    for row in rows:
        room -= weight(compact(row)) + 1
        if room < 0:
            break
        kept += 1
    kept = max(kept, 1)  # a single row that is too large is shortened instead
    if kept == len(rows):
        return
    payload["items"] = rows[:kept]
    if listing.resume is not None:
        while (
            kept > 1
            and weight(compact({**payload, "items": rows[:kept]})) + len(listing.resume(kept)) > largest - _ROOM
        ):
            kept -= 1
        payload["items"] = rows[:kept]
        payload["page"] = {**payload["page"], "has_more": True, "next_cursor": listing.resume(kept)}
        how = "continue with page.next_cursor, or ask for fewer fields"
    else:
        how = "ask for fewer at a time, or for fewer fields"
    _note(payload, f"{len(rows) - kept} of {len(rows)} rows did not fit: {how}")


def _shorten(value: Any, length: int) -> int:
    """Cut every string below `value` to `length` characters. Returns how many were cut."""
    cut = 0
    entries = _entries(value)
    for place, entry in entries:
        if isinstance(entry, str) and len(entry) > length and not _is_exact(place, entry):
            value[place] = entry[: length - 1] + "…"
            cut += 1
        elif isinstance(entry, dict | list):
            cut += _shorten(entry, length)
    return cut


def _is_exact(place: object, entry: str) -> bool:
    """An id, an address, a cursor or a token, which is of no use when it is cut. What is longer than those are is none."""
    return isinstance(place, str) and place.endswith(("id", "url", "cursor", "token")) and len(entry) <= 5_000


def _cut_section(payload: dict[str, Any], cut: dict[str, str]) -> bool:
    """Halve the largest list, or leave out the largest object, of the largest row or of the result itself.

    What is said of it goes into `cut`, by the section's name. False when there is nothing left to cut.
    """
    rows = [obj(row) for row in arr(payload.get("items"))]
    where = max(rows, key=lambda row: weight(compact(row)), default=payload)
    sections = {
        name: weight(compact(obj(part) or arr(part)))
        for name, part in where.items()
        if (obj(part) or arr(part)) and name not in ("page", "items", "sources", "notes")
    }
    if not sections:
        return False
    name = max(sections, key=lambda section: sections[section])
    part = arr(where[name])
    if len(part) > 1:
        where[name] = part[: len(part) // 2]
        cut[name] = f"{name}: only the first {len(where[name])} are in here, the others are too much for one result"
    else:
        del where[name]
        cut[name] = f"{name} is left out: it is too much for one result"
    return True


def _finite(value: Any) -> Any:
    """What JSON cannot say, not-a-number and the infinities, as null."""
    if isinstance(value, dict):
        return {name: _finite(entry) for name, entry in obj(cast("object", value)).items()}
    if isinstance(value, list):
        return [_finite(entry) for entry in arr(cast("object", value))]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _entries(value: Any) -> list[tuple[Any, Any]]:
    if isinstance(value, dict):
        return list(cast("dict[Any, Any]", value).items())
    return list(enumerate(cast("list[Any]", value)))


def _note(payload: dict[str, Any], note: str) -> None:
    payload["notes"] = [*payload.get("notes", []), note]


def longest(text: str, most: float) -> int:
    """How many characters of `text` weigh at most so much, written as JSON."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if weight(compact(text[:middle])) <= most else (low, middle - 1)
    return low


def weight(text: str) -> float:
    """Bytes, with what tokenizers have no words for counted more: rare characters, and long runs like keys in base64."""
    size = len(text.encode())
    if size <= _SURELY_FITS:
        return size
    rare = len(text.translate(_COMMON))
    opaque = sum(len(run) for run in _OPAQUE.findall(text))
    return size + 2 * rare + 0.6 * opaque


_SURELY_FITS = 6_000  # a token has one byte at least
_COMMON = {ord(character): None for character in string.ascii_letters + string.digits + ' \n"{}[],:._-/'}
_OPAQUE = re.compile(r"[A-Za-z0-9+=_-]{24,}")
