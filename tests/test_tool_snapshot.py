"""Every tool as a model sees it, committed: a change is read in review, and its cost is known.

`make snapshot` rewrites `tests/tools.json`. Tokens are counted with o200k, over the definition that hosts put before
a model (name, description, input schema), and over everything that tools/list carries.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bpe_openai import get_encoding  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from tests.office import Office, office_of

from backoffice_billing.server import SERVER as BILLING
from backoffice_customer.server import SERVER as CUSTOMER

pytestmark = pytest.mark.anyio

SNAPSHOT = Path(__file__).parent / "tools.json"
TOKENS: Any = get_encoding("o200k_base")
MOST_A_TOOL, MOST_A_SERVER = 260, {"customer": 2_000, "billing": 1_800}


def tokens(value: object) -> int:
    return len(TOKENS.encode(json.dumps(value, separators=(",", ":"), ensure_ascii=False)))


async def test_the_tools_are_those_of_the_committed_snapshot(request: pytest.FixtureRequest):
    seen: dict[str, list[dict[str, Any]]] = {}
    for domain in (CUSTOMER, BILLING):
        async with office_of(domain) as at:
            seen[domain.name] = [_counted(tool) for tool in await _listed(at)]
    if request.config.getoption("--snapshot-update"):
        SNAPSHOT.write_text(json.dumps(seen, indent=2, ensure_ascii=False) + "\n")
    assert seen == json.loads(SNAPSHOT.read_text())


def test_no_tool_costs_more_than_its_budget():
    for server, listed in json.loads(SNAPSHOT.read_text()).items():
        over = {tool["name"]: tool["tokens"] for tool in listed if tool["tokens"] > MOST_A_TOOL}
        assert over == {}
        assert sum(tool["tokens"] for tool in listed) <= MOST_A_SERVER[server]


def test_names_are_verbs_and_nouns_that_every_host_takes():
    names = [tool["name"] for listed in json.loads(SNAPSHOT.read_text()).values() for tool in listed]
    assert len(names) == len(set(names))
    assert all(1 <= len(name.split("_")) <= 4 and len(name) <= 24 and name.isascii() for name in names)


def test_only_tools_that_say_so_change_anything():
    writers = {
        tool["name"]
        for listed in json.loads(SNAPSHOT.read_text()).values()
        for tool in listed
        if not tool["annotations"]["readOnlyHint"]
    }
    assert writers == {
        "update_preferences",
        "add_customer_note",
        "create_ticket",
        "update_tickets",
        "reply_to_customer",
        "create_invoice",
        "issue_invoice",
        "void_invoice",
        "collect_payment",
        "issue_refund",
        "create_credit_note",
    }


def test_what_our_own_tools_cannot_take_back_is_said_to_be_for_good():
    for_good = {
        tool["name"]
        for listed in json.loads(SNAPSHOT.read_text()).values()
        for tool in listed
        if tool["annotations"]["destructiveHint"]
    }
    assert for_good == {
        "update_preferences",
        "update_tickets",
        "reply_to_customer",
        "issue_invoice",
        "void_invoice",
        "collect_payment",
        "issue_refund",
        "create_credit_note",
    }


async def _listed(at: Office) -> list[dict[str, Any]]:
    return [
        tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in (await at.client.list_tools()).tools
    ]


def _counted(tool: dict[str, Any]) -> dict[str, Any]:
    shown = {name: tool[name] for name in ("name", "description", "inputSchema")}
    return {**tool, "tokens": tokens(shown), "tokens_listed": tokens(tool)}
