"""Fixtures of the tests of the shared code."""

from __future__ import annotations

import pytest
from tests.shared.clocks import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()
