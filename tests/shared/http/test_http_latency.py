"""How long a backend takes, as seen lately."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.clocks import ManualClock

from backoffice_shared.http.latency import Latencies


def noted(clock: ManualClock, *seconds: float) -> Latencies:
    latencies = Latencies(clock)
    for took in seconds:
        latencies.note("things.get", took)
    return latencies


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 10), (0.95, 19)])
def test_a_share_of_the_answers_came_within(clock: ManualClock, share: float, seconds: float) -> None:
    assert noted(clock, *range(20, 0, -1)).within("things.get", share) == seconds


def test_fewer_than_twenty_answers_say_nothing(clock: ManualClock) -> None:
    assert noted(clock, *[1.0] * 19).within("things.get", 0.5) is None


def test_another_operation_says_nothing(clock: ManualClock) -> None:
    assert noted(clock, *[1.0] * 20).within("things.search", 0.5) is None


def test_what_was_seen_more_than_a_minute_ago_says_nothing(clock: ManualClock) -> None:
    latencies = noted(clock, *[9.0] * 20)
    clock.advance(61)
    for _ in range(20):
        latencies.note("things.get", 1.0)
    assert latencies.within("things.get", 0.95) == 1.0


@given(st.lists(st.floats(0, 100), min_size=20, max_size=300), st.floats(0, 1))
def test_it_is_a_time_that_was_seen_among_the_last_hundred(seconds: list[float], share: float) -> None:
    assert noted(ManualClock(), *seconds).within("things.get", share) in seconds[-100:]
