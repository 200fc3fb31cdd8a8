"""Reads that only make sense together."""

from __future__ import annotations

import asyncio

import pytest
from tests.shared.clocks import settle

from backoffice_shared.errors import NotFound
from backoffice_shared.sources import at_once

pytestmark = pytest.mark.anyio


async def test_all_run_at_the_same_time_and_answer_in_the_order_asked() -> None:
    met = asyncio.Barrier(2)

    async def read(name: str) -> str:
        await met.wait()
        return name

    assert await at_once(read("a"), read("b")) == ["a", "b"]


async def test_the_first_that_fails_ends_the_others() -> None:
    ended: list[str] = []

    async def endless() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("endless")
        return ""

    async def failing() -> str:
        await settle()
        raise NotFound("Acme", "nothing there")

    with pytest.raises(NotFound, match="nothing there"):
        await at_once(endless(), failing())
    await settle()
    assert ended == ["endless"]


async def test_nothing_to_read_is_no_answer() -> None:
    assert await at_once() == []
