"""The ticket pipelines of the fictional company: the one that every HubSpot account has, and one with more stages."""

from __future__ import annotations

from backoffice_customer.backends.hubspot.answers import Record
from backoffice_shared.sandbox.company import Ticket

SUPPORT, REQUESTS = "0", "770"
_SINCE = "2024-01-01T00:00:00.000Z"


def stage_of(ticket: Ticket) -> tuple[str, str]:
    """Where a request of the company is. Every fourth went through the longer pipeline."""
    if ticket.number % 4 == 3:
        return REQUESTS, _REQUESTS_STAGES[ticket.status]
    return SUPPORT, _SUPPORT_STAGES[ticket.status]


_SUPPORT_STAGES = {"new": "1", "open": "3", "pending": "2", "solved": "4", "closed": "4"}
_REQUESTS_STAGES = {"new": "77001", "open": "77002", "pending": "77004", "solved": "77005", "closed": "77006"}


def _stage(place: int, native: str, label: str, state: str) -> Record:
    return {
        "id": native,
        "label": label,
        "displayOrder": place,
        "metadata": {"ticketState": state, "isClosed": "true" if state == "CLOSED" else "false"},
        "writePermissions": "CRM_PERMISSIONS_ENFORCEMENT",
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
        "archived": False,
    }


def _pipeline(place: int, native: str, label: str, stages: list[tuple[str, str, str]]) -> Record:
    return {
        "id": native,
        "label": label,
        "displayOrder": place,
        "stages": [_stage(n, *stage) for n, stage in enumerate(stages)],
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
        "archived": False,
    }


PIPELINES = [
    _pipeline(
        0,
        SUPPORT,
        "Support Pipeline",
        [
            ("1", "New", "OPEN"),
            ("2", "Waiting on contact", "OPEN"),
            ("3", "Waiting on us", "OPEN"),
            ("4", "Closed", "CLOSED"),
        ],
    ),
    _pipeline(
        1,
        REQUESTS,
        "Requests",
        [
            ("77001", "New", "OPEN"),
            ("77002", "In progress", "OPEN"),
            ("77003", "On hold", "OPEN"),
            ("77004", "Waiting on customer", "OPEN"),
            ("77005", "Resolved", "CLOSED"),
            ("77006", "Closed", "CLOSED"),
        ],
    ),
]

STAGES = {stage["id"]: pipeline["id"] for pipeline in PIPELINES for stage in pipeline["stages"]}
"""The pipeline of each stage."""
