"""A fault of ours, wherever in the chain it is: a reference for the caller, one record, and nothing of what went wrong."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import INTERNAL_ERROR
from tests.foundation import Records, embedded_state, foundation
from tests.shared.mcp.till import Drawer, caller, error_code, sentence, till, till_server

from backoffice_shared.errors import NotFound
from backoffice_shared.mcp.outcome import LONGEST
from backoffice_shared.principal import acting
from backoffice_shared.state.limits import Ask, Verdict

pytestmark = pytest.mark.anyio


class Broken:
    """Limits that nobody foresaw to fail."""

    async def take(self, asked: Sequence[Ask]) -> Verdict:
        raise ZeroDivisionError(f"what nobody may read: {len(asked)}")


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_a_policy_that_crashes_tells_its_caller_a_reference_and_leaves_one_record(era: Any, tmp_path: Path):
    agents = tmp_path / "agents.yaml"
    agents.write_text('agents: {bot: {local: true, scopes: ["till:read"], rate: 1/day}}')
    audit = Records()
    on = foundation(agents=agents, audit=audit, state=replace(embedded_state(), limits=Broken()))
    async with Client(till_server(Drawer(), on), mode=era) as client:
        with acting(caller("bot")), pytest.raises(MCPError) as caught:
            await client.call_tool("list_notes", {})
    assert caught.value.error.code == INTERNAL_ERROR
    assert re.fullmatch(
        r"list_notes failed inside this server\. The operator finds it in the log as [0-9a-f]{8}\.",
        caught.value.error.message,
    )
    assert audit.told("tool", "outcome", "error_code") == [("list_notes", "error", "ZeroDivisionError")]


async def test_a_sentence_shows_nothing_hidden_and_is_no_longer_than_it_may_be():
    async def fails() -> None:
        raise NotFound("Desk", "\x1b[2Jno\u202e such " + "note " * 1_000)

    async with till(drawer=Drawer(before=fails)) as at:
        refused = await at.call("list_notes")
        assert error_code(refused) == "not_found"
        assert sentence(refused).startswith("Desk: no such note")
        assert len(sentence(refused)) == LONGEST
        assert sentence(refused).endswith("…")


async def test_what_is_nested_too_deeply_is_refused_by_name_and_uses_up_no_key():
    text: Any = "x"
    for _ in range(100):
        text = [text]
    async with till() as at:
        refused = await at.call("add_note", text=text, idempotency_key="the-same-key")
        assert error_code(refused) == "invalid_input"
        assert sentence(refused) == "text: is nested more than 32 levels deep."
        assert not (await at.call("add_note", text="x", idempotency_key="the-same-key")).is_error
