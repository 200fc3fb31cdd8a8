"""The process is killed while money is given back: after the restart the same call says what became of it, and it left once."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.canaries import canary
from tests.e2e.running import command, eventually, told

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

REFUND = "POST /v1/refunds"


async def test_money_is_given_back_once_though_the_process_dies_before_the_answer_came(tmp_path: Path) -> None:
    lasting = {"state_dir": str(tmp_path), "cursor_key": canary("cursors"), "deadline": "3"}
    async with command("backoffice", "sandbox", "--port", "0") as sandbox, httpx.AsyncClient() as http:
        directory = await sandbox.told(r"^Directory (http\S+)")
        control = (await http.get(directory)).json()["vendors"]["stripe"]["control"] + "/_sandbox/faults"
        up = ("backoffice", "up", "--sandbox", directory, "--port", "0")

        async def requests() -> list[str]:
            return (await http.get(control)).json()["requests"]

        async def planned(url: str) -> str:
            preview = await told(url, "preview_refund", payment_id=payment, amount="100", reason="duplicate")
            return preview["plan_token"]

        async with command(*up, **lasting) as running:
            url = await running.told(r"MCP host to (\S+)")
            found = await told(url, "search_payments", status='["succeeded"]', currency="EUR", limit="50")
            rows = [row for row in found["items"] if row["payment_id"].startswith("stripe:")]
            payers = Counter(row["customer_id"] for row in rows)
            payment = next(row["payment_id"] for row in rows if payers[row["customer_id"]] <= 2)
            # How many requests come before the one that moves money.
            plan, before = await planned(url), len(await requests())
            first = await told(url, "issue_refund", plan_token=plan, idempotency_key="the-first-key")
            assert first["status"] == "succeeded"
            asked = (await requests())[before:]
            nth = next(n for n, request in enumerate(asked) if request.startswith(REFUND))
            # Then it is sent and its answer lost, and whoever sends it again waits.
            plan = await planned(url)
            await http.put(control, json={"plan": ["ok"] * nth + ["drop_after_commit", "slow"], "seconds": 60})
            refund = {"plan_token": plan, "idempotency_key": "the-second-key"}
            sending = asyncio.create_task(told(url, "issue_refund", **refund))

            async def waiting() -> bool:
                return (await http.get(control)).json()["waiting"] == 1

            await eventually(waiting)
            running.process.kill()
            await running.ended()
            assert "refused" in await sending
        await http.put(control, json={})

        async with command(*up, **lasting) as running:
            url = await running.told(r"MCP host to (\S+)")
            answers: list[dict[str, Any]] = []

            async def answered() -> bool:
                answers.append(await told(url, "issue_refund", **refund))
                return "refund_id" in answers[-1]

            await eventually(answered, seconds=30)
            assert all("under way" in answer["refused"] for answer in answers[:-1])
            assert answers[-1]["replayed"] is True
            seen = await told(url, "get_payment", payment_id=payment, include='["refunds"]')
            assert (seen["refunded"]["amount"], len(seen["refunds"])) == (200, 2)
            again = await told(url, "issue_refund", **refund)
            assert again["refund_id"] == answers[-1]["refund_id"]
