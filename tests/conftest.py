"""Fixtures of every test. Asynchronous tests run on asyncio: `pytestmark = pytest.mark.anyio`.

A test from which a planted secret escaped fails, whatever else it shows: see `canaries.py`.
"""

from __future__ import annotations

from collections.abc import Generator

import pytest
from tests.canaries import WATCH, watch_process, watch_what_is_left


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--soak", action="store_true", help="the whole of what is otherwise a sample")
    parser.addoption("--snapshot-update", action="store_true", help="rewrite the committed snapshot of the tools")


def pytest_configure() -> None:
    watch_process()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --soak, only the tests that otherwise take a sample."""
    if config.getoption("--soak"):
        takes_a_sample = [item for item in items if "soak" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=[item for item in items if item not in takes_a_sample])
        items[:] = takes_a_sample


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    for title, content in report.sections:
        if title.endswith(report.when or ""):  # those of the phases before it have been seen
            WATCH.saw(title, content)
    if escaped := WATCH.taken():
        report.outcome, report.longrepr = "failed", "\n".join(escaped)
    return report


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Generator[None]:
    """No planted secret is in the metrics or in a file at the end."""
    yield
    watch_what_is_left(tmp_path_factory.getbasetemp())
    assert not (escaped := WATCH.taken()), "\n".join(escaped)


@pytest.fixture(scope="session")
def soak(request: pytest.FixtureRequest) -> bool:
    """Whether to take the whole, not a sample."""
    return bool(request.config.getoption("--soak"))


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
