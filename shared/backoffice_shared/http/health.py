"""How a backend does, as far as its use has shown: for operators, never for readiness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

State = Literal["closed", "half_open", "open"]

STATES: tuple[State, ...] = ("closed", "half_open", "open")
"""By the number that the metric has for them."""


@dataclass(frozen=True, slots=True)
class Health:
    """`circuits` are by operation group, of those used since the start. Ages are in seconds, None for never.

    `credential`: one is configured, and can be read. Whether the backend accepts it, only a call shows.
    """

    circuits: Mapping[str, State]
    last_success_age: float | None
    last_failure_age: float | None
    credential: bool = True
