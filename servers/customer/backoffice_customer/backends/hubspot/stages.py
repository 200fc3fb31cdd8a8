"""HubSpot's pipelines as our statuses. Operators make pipelines and stages as they like, so a rule has to say it:

a stage that closes tickets (`ticketState` CLOSED) is "solved", as HubSpot opens such tickets again and "closed" is for good;
of the others, one whose label has the word "hold" is "on_hold", one that waits on or for the contact or customer is
"pending", the first of its pipeline is "new", and every other one is "open".

Source: https://developers.hubspot.com/docs/api-reference/latest/crm/pipelines/guide
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from backoffice_customer.backends.hubspot.access import HUBSPOT
from backoffice_customer.models import TicketStatus
from backoffice_shared.errors import InvalidInput

_ON_HOLD = re.compile(r"\bhold\b")
_PENDING = re.compile(r"\bwait.*\b(?:contact|customer|client|requester)\b")


@dataclass(frozen=True, slots=True)
class Stage:
    id: str
    pipeline: str
    status: TicketStatus


class Stages:
    """All stages of all pipelines, each pipeline's in its order."""

    def __init__(self, stages: Iterable[Stage]) -> None:
        self._stages = list(stages)
        self._by_id = {stage.id: stage for stage in self._stages}

    def status(self, stage_id: str | None) -> TicketStatus:
        """That of the stage. One that was deleted since can be in any: "open" says that somebody should look."""
        stage = self._by_id.get(stage_id or "")
        return "open" if stage is None else stage.status

    def of(self, statuses: Iterable[TicketStatus]) -> list[str]:
        """The ids of all stages that are one of these statuses."""
        wanted = set(statuses)
        return [stage.id for stage in self._stages if stage.status in wanted]

    def other_than(self, *statuses: TicketStatus) -> list[str]:
        return [stage.id for stage in self._stages if stage.status not in statuses]

    def first(self, pipeline: str) -> Stage:
        """Where new tickets start.

        Raises:
            InvalidInput: there is no such pipeline.
        """
        for stage in self._stages:
            if stage.pipeline == pipeline:
                return stage
        raise InvalidInput(
            HUBSPOT.title,
            f"there is no ticket pipeline {pipeline!r}",
            hint="Set BACKOFFICE_HUBSPOT_TICKET_PIPELINE to the id of one",
        )

    def with_status(self, pipeline: str | None, status: TicketStatus) -> str:
        """The id of the pipeline's first stage of this status.

        Raises:
            InvalidInput: it has none. The sentence names those that it has.
        """
        mine = [stage for stage in self._stages if stage.pipeline == pipeline]
        for stage in mine:
            if stage.status == status:
                return stage.id
        known = ", ".join(dict.fromkeys(stage.status for stage in mine))
        raise InvalidInput(HUBSPOT.title, f"this ticket's pipeline has no stage for {status!r}; it has {known}")


def stages(wire: Any) -> Stages:
    return Stages(stage for pipeline in _in_order(wire["results"]) for stage in _stages(pipeline))


def _stages(pipeline: Any) -> Iterable[Stage]:
    for place, stage in enumerate(_in_order(pipeline["stages"])):
        closes = stage["metadata"].get("ticketState") == "CLOSED"
        yield Stage(stage["id"], pipeline["id"], _status(stage["label"].lower(), first=place == 0, closes=closes))


def _status(label: str, *, first: bool, closes: bool) -> TicketStatus:
    if closes:
        return "solved"
    if _ON_HOLD.search(label):
        return "on_hold"
    if _PENDING.search(label):
        return "pending"
    return "new" if first else "open"


def _in_order(rows: Any) -> list[Any]:
    return sorted((row for row in rows if not row.get("archived")), key=lambda row: row["displayOrder"])
