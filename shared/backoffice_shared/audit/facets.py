"""What records are found by."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from backoffice_shared.jsonvalues import obj


@dataclass(frozen=True, slots=True)
class Facets:
    """`ts` is in UTC with milliseconds, so that texts sort as times do."""

    ts: str
    agent: str | None = None
    subject: str | None = None
    tool: str | None = None
    outcome: str | None = None
    decision: str | None = None
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Those records that have all of what is given. `since` is the first moment, `until` the one after the last."""

    agent: str | None = None
    subject: str | None = None
    tool: str | None = None
    outcome: str | None = None
    decision: str | None = None
    trace_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def matches(self, facets: Facets) -> bool:
        if self.since is not None and facets.ts < timestamp(self.since):
            return False
        if self.until is not None and facets.ts >= timestamp(self.until):
            return False
        return all(getattr(facets, name) == value for name, value in self.equal.items())

    @property
    def equal(self) -> dict[str, str]:
        """The facets that must have one value, by name."""
        given = {name: getattr(self, name) for name in NAMES}
        return {name: value for name, value in given.items() if value is not None}


NAMES = ("agent", "subject", "tool", "outcome", "decision", "trace_id")


def timestamp(moment: datetime) -> str:
    """`2026-11-24T09:30:00.000Z`"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def facets_of(text: str) -> Facets:
    """Those of a record's text; all empty when it cannot be read."""
    try:
        record = obj(json.loads(text))
    except (ValueError, RecursionError):
        record = {}
    actor = obj(record.get("actor"))
    return Facets(
        ts=_word(record.get("ts")) or "",
        agent=_word(actor.get("agent")),
        subject=_word(actor.get("sub")),
        tool=_word(record.get("tool")),
        outcome=_word(record.get("outcome")),
        decision=_word(record.get("decision")),
        trace_id=_word(record.get("trace_id")),
    )


def _word(value: Any) -> str | None:
    """A text that every store can keep: PostgreSQL has no NUL, and UTF-8 no half of a character."""
    if not isinstance(value, str):
        return None
    return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
