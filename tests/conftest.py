"""Fixtures of every test. Asynchronous tests run on asyncio: `pytestmark = pytest.mark.anyio`."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="the whole of what is otherwise a sample")
    parser.addoption("--snapshot-update", action="store_true", help="rewrite the committed snapshot of the tools")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
