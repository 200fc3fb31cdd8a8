"""Fixtures of every test. Asynchronous tests run on asyncio: `pytestmark = pytest.mark.anyio`."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
