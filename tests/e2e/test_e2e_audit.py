"""The audit as an operator meets it: kept by a running server, read and verified by the command."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.running import command, outcome

pytestmark = pytest.mark.anyio

SECRET_LOOKING = "maria.garcia@example.com"


@pytest.fixture(params=["directory", "sqlite"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """Settings of a server whose audit stays."""
    audit = "sqlite" if request.param == "sqlite" else str(tmp_path / "audit")
    return {"audit": audit, "state_dir": str(tmp_path / "state"), "drain": "0"}


@pytest.fixture
async def after_three_calls(kept: dict[str, str]) -> dict[str, str]:
    """A server was asked three things, of which it refused one, and was stopped."""
    async with command("backoffice", "up", "--sandbox", "--port", "0", **kept) as running:
        url = await running.told(r"Connect an MCP host to (\S+)")
        for query in ("query=maria", f'identifiers=["{SECRET_LOOKING}"]', "limit=1000"):
            await outcome("backoffice", "call", "find_customers", query, "--url", url)
        running.terminate()
        await running.ended()
    return kept


async def audited(*arguments: str, **given: str) -> tuple[int, str, str]:
    return await outcome("backoffice", "audit", *arguments, **given)


async def test_every_call_has_one_record_and_the_chain_is_whole(after_three_calls: dict[str, str]) -> None:
    code, output, told = await audited("verify", **after_three_calls)
    assert (code, output.count("ok  ")) == (0, 1), output + told
    assert "3 records" in output
    code, output, _ = await audited("tail", "--json", **after_three_calls)
    records: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines()]
    assert [(record["server"], record["tool"], record["outcome"]) for record in records] == [
        ("customer", "find_customers", "ok"),
        ("customer", "find_customers", "ok"),
        ("customer", "find_customers", "error"),
    ]
    assert SECRET_LOOKING not in output
    assert [upstream["name"] for upstream in records[0]["upstream"]]


async def test_records_are_found_and_exported(after_three_calls: dict[str, str], tmp_path: Path) -> None:
    _, output, _ = await audited("search", "--outcome", "error", **after_three_calls)
    assert [line.split("  ")[5:7] for line in output.splitlines()] == [["error", "invalid_input"]]
    sheet = tmp_path / "audit.csv"
    code, _, _ = await audited("export", "--format", "csv", "--output", str(sheet), **after_three_calls)
    assert code == 0
    assert [line.split(",")[9] for line in sheet.read_text().splitlines()] == ["tool", *["find_customers"] * 3]


async def test_a_record_that_somebody_edited_is_found(after_three_calls: dict[str, str]) -> None:
    _edit(after_three_calls, lambda text: text.replace('"outcome":"error"', '"outcome":"ok"'))
    code, output, told = await audited("verify", **after_three_calls)
    assert (code, "edited: record 3" in output) == (1, True), output
    assert "THE AUDIT WAS CHANGED" in told


@pytest.mark.parametrize("kept", ["directory"], indirect=True)
async def test_where_nothing_is_kept_nothing_is_said_to_be_whole(kept: dict[str, str], tmp_path: Path) -> None:
    code, output, told = await audited("verify", **kept)
    assert (code, output) == (2, "")
    assert told.startswith("Error: ")
    assert not (tmp_path / "state").exists()  # reading makes no key


def _edit(kept: dict[str, str], change: Callable[[str], str]) -> None:
    """As somebody with access to the disk would."""
    if kept["audit"] == "sqlite":
        with sqlite3.connect(Path(kept["state_dir"]) / "backoffice.db") as database:
            for seq, record in database.execute("SELECT seq, record FROM audit").fetchall():
                database.execute("UPDATE audit SET record = ? WHERE seq = ?", (change(record), seq))
        database.close()
        return
    for file in Path(kept["audit"]).glob("*.jsonl"):
        file.write_text(change(file.read_text()))
