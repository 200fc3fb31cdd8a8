"""A call that only shows what it would do uses up nothing: no key, no quota, no intent in the audit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.shared.mcp.till import Drawer, caller, error_code, till

from backoffice_shared.jsonvalues import obj

pytestmark = pytest.mark.anyio

NOTES = ["one", "two"]


async def test_a_preview_leaves_its_key_to_the_call_that_carries_it_out():
    async with till(drawer=Drawer(notes=list(NOTES))) as at:
        shown = await at.call("burn_notes", idempotency_key="key-1")
        assert shown.structured_content == {"notes": 2, "plan_token": "match", "replayed": False}
        assert at.drawer.notes == NOTES
        burnt = await at.call("burn_notes", idempotency_key="key-1", plan_token="match")
        assert burnt.structured_content == {"notes": 2, "replayed": False}
        assert at.drawer.notes == []


async def test_it_is_the_same_request_whichever_preview_prepared_it():
    async with till(drawer=Drawer(notes=list(NOTES))) as at:
        await at.call("burn_notes", idempotency_key="key-1", plan_token="first")
        at.drawer.notes.append("three")
        again = await at.call("burn_notes", idempotency_key="key-1", plan_token="second")
        assert again.structured_content == {"notes": 2, "replayed": True}
        assert at.drawer.notes == ["three"]


async def test_a_preview_announces_nothing_and_its_execution_does():
    async with till(drawer=Drawer(notes=list(NOTES))) as at:
        await at.call("burn_notes", idempotency_key="key-1")
        await at.call("burn_notes", idempotency_key="key-1", plan_token="match")
        assert at.audit.told("event") == [("tool.call",), ("tool.intent",), ("tool.call",)]


async def test_a_preview_changes_no_record_of_the_days_quota(tmp_path: Path):
    file = tmp_path / "agents.yaml"
    file.write_text('agents:\n  clerk: {scopes: ["till:write"], quotas: {records_changed: 1}}\n')
    async with till(who=caller("clerk"), drawer=Drawer(notes=list(NOTES)), agents=file) as at:
        for _ in range(3):
            assert not (await at.call("burn_notes", idempotency_key="key-1")).is_error
        assert not (await at.call("burn_notes", idempotency_key="key-1", plan_token="match")).is_error
        refused = await at.call("burn_notes", idempotency_key="key-2", plan_token="match")
        assert error_code(refused) == "quota_exceeded"


async def test_personal_data_is_masked_without_the_scope_and_shown_with_it(tmp_path: Path):
    file = tmp_path / "agents.yaml"
    file.write_text('agents:\n  clerk: {scopes: ["till:read"]}\n  boss: {scopes: ["till:read", "till:personal"]}\n')
    texts: dict[str, str] = {}
    for agent in ("clerk", "boss"):
        drawer = Drawer(notes=["ask ada@example.com"])
        async with till(who=caller(agent), drawer=drawer, agents=file) as at:
            listed = await at.call("list_notes")
            texts[agent] = obj(listed.structured_content)["items"][0]["text"]
    assert texts == {"clerk": "ask a•••@example.com", "boss": "ask ada@example.com"}
