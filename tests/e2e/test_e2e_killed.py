"""The process is killed while a customer is being answered: after the restart the same call says what became of it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.canaries import canary
from tests.e2e.running import command, eventually, told

pytestmark = pytest.mark.anyio


async def test_a_reply_is_sent_once_though_the_process_dies_before_its_answer_came(tmp_path: Path) -> None:
    lasting = {"state_dir": str(tmp_path), "cursor_key": canary("cursors"), "deadline": "3"}
    async with command("backoffice", "sandbox", "--port", "0") as sandbox, httpx.AsyncClient() as http:
        directory = await sandbox.told(r"^Directory (http\S+)")
        control = (await http.get(directory)).json()["vendors"]["zendesk"]["control"] + "/_sandbox/faults"
        up = ("backoffice", "up", "--sandbox", directory, "--port", "0")

        async def said(url: str) -> int:
            ticket = await told(url, "get_ticket", ticket_id=ticket_id, comment_limit="50")
            return sum(comment["text"] == "On its way." for comment in ticket["comments"])

        async with command(*up, **lasting) as running:
            url = await running.told(r"MCP host to (\S+)")
            found = await told(url, "search_tickets", status='["open"]', limit="50")
            ticket_id = next(r["ticket_id"] for r in found["items"] if r["ticket_id"].startswith("zendesk:"))
            reply = {"ticket_id": ticket_id, "body": "On its way.", "idempotency_key": "a-reply-key"}
            plan = (await told(url, "reply_to_customer", **reply))["plan_token"]
            # The ticket is read, the reply is sent and its answer lost, and whoever looks for it waits.
            await http.put(control, json={"plan": ["ok", "drop_after_commit", "slow"], "seconds": 60})
            sending = asyncio.create_task(told(url, "reply_to_customer", **reply, plan_token=plan))

            async def looking() -> bool:
                return (await http.get(control)).json()["waiting"] == 1

            await eventually(looking)
            running.process.kill()
            await running.ended()
            assert "refused" in await sending
        await http.put(control, json={})

        async with command(*up, **lasting) as running:
            url = await running.told(r"MCP host to (\S+)")
            assert await said(url) == 1
            answers: list[dict[str, Any]] = []

            async def answered() -> bool:
                answers.append(await told(url, "reply_to_customer", **reply, plan_token=plan))
                return "message_id" in answers[-1]

            await eventually(answered)
            assert answers[-1]["replayed"] is True
            assert all("under way" in answer["refused"] for answer in answers[:-1])
            again = await told(url, "get_ticket", ticket_id=ticket_id, comment_limit="49")
            assert sum(comment["text"] == "On its way." for comment in again["comments"]) == 1
