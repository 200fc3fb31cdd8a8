"""Fixtures of every test. Asynchronous tests run on asyncio: `pytestmark = pytest.mark.anyio`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--snapshot-update", action="store_true", help="rewrite the committed snapshot of the tools")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
