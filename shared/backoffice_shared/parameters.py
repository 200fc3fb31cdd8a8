"""What tools of every server are given."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, Field


def _moment(at: datetime) -> datetime:
    """Without a zone it is UTC, not wherever this server stands."""
    _day(at)
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def _day(day: date) -> date:
    if not 1970 <= day.year <= 9998:
        raise ValueError("the year must be between 1970 and 9998")
    return day


Moment = Annotated[datetime, AfterValidator(_moment)]
Day = Annotated[date, AfterValidator(_day)]
Limit = Annotated[int, Field(ge=1, le=50)]
Cursor = Annotated[str, Field(max_length=2000)]
"""`page.next_cursor` of the answer before."""
Fields = list[str]
"""The fields of each row that are wanted."""
Key = Annotated[
    str, Field(min_length=8, max_length=255, pattern="^[!-~]+$", description="Reuse only to retry the same action")
]
PlanToken = Annotated[str, Field(max_length=5000, description="From the preview; needed to execute")]
