"""A call that only shows what it would do uses up nothing: no key, no quota, no intent in the audit."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.shared.mcp.till import Act, Drawer, caller, error_code, till

from backoffice_shared.errors import Conflict, NotFound, OutcomeUnknown
from backoffice_shared.jsonvalues import obj

pytestmark = pytest.mark.anyio

NOTES = ["one", "two"]


def failing_once(*errors: Exception | None) -> Act:
    """Raises these in turn, and then nothing."""
    waiting = list(errors)

    async def act() -> None:
        if waiting and (error := waiting.pop(0)) is not None:
            raise error

    return act


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


async def test_a_refusal_of_a_plan_leaves_its_key_to_the_next_plan():
    async with till(drawer=Drawer(notes=list(NOTES), then=failing_once(Conflict("", "changed")))) as at:
        refused = await at.call("burn_notes", idempotency_key="key-1", plan_token="old")
        assert error_code(refused) == "conflict"
        burnt = await at.call("burn_notes", idempotency_key="key-1", plan_token="new")
        assert not burnt.is_error


async def test_what_may_have_been_done_is_not_settled_by_a_later_refusal():
    errors = [OutcomeUnknown("Acme", "was sent"), NotFound("Acme", "no such thing"), None]
    async with till(drawer=Drawer(notes=list(NOTES), then=failing_once(*errors))) as at:
        codes: list[str | None] = []
        for _ in errors:
            result = await at.call("add_note", text="x", idempotency_key="key-1")
            codes.append(error_code(result) if result.is_error else None)
        assert codes == ["outcome_unknown", "not_found", None]


async def test_a_list_that_comes_as_json_in_a_string_is_one_and_a_text_that_looks_like_json_is_a_text():
    async with till() as at:
        noted = await at.call("add_note", text='["a"]', idempotency_key="key-1")
        assert not noted.is_error
        assert at.drawer.notes == ['["a"]']


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
