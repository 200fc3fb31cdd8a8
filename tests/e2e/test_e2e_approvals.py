"""Approvals as whoever decides them meets them: on the command line, where the server's database is."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import pwd
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click import Group
from click.testing import CliRunner
from tests.e2e.running import clean_environment, command, outcome, script
from tests.real.postgres import PostgresServer, postgres, the_postgres
from tests.shared.approving import WANTED, agreed
from tests.shared.records.databases import database_at

from backoffice_platform import cli
from backoffice_shared.errors import PermissionDenied
from backoffice_shared.mcp.opening import founded
from backoffice_shared.principal import Principal
from backoffice_shared.settings import Settings
from backoffice_shared.state.approvals import Approvals
from backoffice_shared.state.approvals_stored import StoredApprovals

__all__ = ["postgres", "the_postgres"]

pytestmark = pytest.mark.anyio

ME = f"os:{pwd.getpwuid(os.getuid()).pw_name}"
NO_ID = "apr_" + "a" * 26


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@asynccontextmanager
async def kept(place: str) -> AsyncGenerator[Approvals]:
    database = database_at(place)
    yield StoredApprovals(database)
    await database.aclose()


@pytest.fixture
async def platforms(state: Path) -> AsyncGenerator[Approvals]:
    """What `backoffice up` keeps."""
    async with kept(str(state / "backoffice.db")) as approvals:
        yield approvals


async def approvals(*arguments: str, program: str = "backoffice", **given: str) -> tuple[int, str, str]:
    return await outcome(program, "approvals", *arguments, **given)


# What waits


async def test_what_waits_is_listed_with_who_asked_and_what_it_needs(platforms: Approvals, state: Path) -> None:
    first = await platforms.ask(WANTED)
    second = await platforms.ask(replace(WANTED, payload={"n": 2}, needed=2, role="support_lead"))
    await agreed(platforms, second.approval_id, "ann")
    code, output, told = await approvals("list", state_dir=str(state))
    assert (code, told) == (0, "")
    until = f"until {first.expires_at:%Y-%m-%d %H:%M} UTC"
    assert output.splitlines() == [
        f"{first.approval_id}  issue_refund  finance 0/1  for support  amount_above_lead  {until}",
        f"{second.approval_id}  issue_refund  support_lead 1/2  for support  amount_above_lead  {until}",
    ]
    _, output, _ = await approvals("list", "--json", state_dir=str(state))
    assert [json.loads(line)["payload"] for line in output.splitlines()] == [WANTED.payload, {"n": 2}]


async def test_the_whole_payload_is_shown(platforms: Approvals, state: Path) -> None:
    asked = await platforms.ask(WANTED)
    code, output, _ = await approvals("show", asked.approval_id, state_dir=str(state))
    assert code == 0
    facts, payload = output.split("payload\n")
    assert json.loads(payload) == WANTED.payload
    assert facts.splitlines() == [
        f"approval  {asked.approval_id}",
        "state     pending",
        "action    issue_refund",
        f"asked by  support on {asked.created_at:%Y-%m-%d at %H:%M} UTC",
        "rule      amount_above_lead",
        "needs     1 from finance",
        f"expires   {asked.expires_at:%Y-%m-%d at %H:%M} UTC",
    ]
    _, output, _ = await approvals("show", "--json", asked.approval_id, state_dir=str(state))
    assert json.loads(output)["payload"] == WANTED.payload
    assert json.loads(output)["digest"] == asked.digest


async def test_what_an_agent_wrote_moves_no_terminal_and_forges_no_line(platforms: Approvals, state: Path) -> None:
    evil = "\x1b[2J\u202eok\nstate     approved\r"
    asked = await platforms.ask(replace(WANTED, payload={evil: evil}, requested_by=evil, rule=evil))
    for arguments in (["list"], ["list", "--json"], ["show", asked.approval_id], ["show", "--json", asked.approval_id]):
        code, output, _ = await approvals(*arguments, state_dir=str(state))
        assert code == 0
        assert all(char.isprintable() for char in output.replace("\n", ""))
        assert "state     approved" not in output.splitlines()


# Decided


async def test_the_user_of_the_operating_system_agrees_whatever_the_environment_calls_them(
    platforms: Approvals, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LOGNAME", "USER", "SUDO_USER"):
        monkeypatch.setenv(name, "mallory")
    asked = await platforms.ask(WANTED)
    code, output, told = await approvals("approve", asked.approval_id, state_dir=str(state))
    assert (code, output, told) == (0, f"{asked.approval_id} is approved\n", "")
    assert (await platforms.get(asked.approval_id)).approvers == (ME,)
    used = await platforms.use(asked.approval_id, WANTED, by="call")
    assert used.state == "used"


async def test_where_two_are_needed_one_user_is_one(platforms: Approvals, state: Path) -> None:
    asked = await platforms.ask(replace(WANTED, needed=2))
    code, output, _ = await approvals("approve", asked.approval_id, state_dir=str(state))
    assert (code, output) == (0, f"{asked.approval_id} is pending: 1 more from finance must agree\n")
    code, output, told = await approvals("approve", asked.approval_id, state_dir=str(state))
    assert (code, output) == (1, "")
    assert told == f"Error: you have agreed to {asked.approval_id} already: 1 of 2 from finance agreed.\n"


async def test_what_is_denied_is_told_with_its_reason(platforms: Approvals, state: Path) -> None:
    asked = await platforms.ask(WANTED)
    code, output, _ = await approvals(
        "deny", asked.approval_id, "--reason", "The parcel has arrived", state_dir=str(state)
    )
    assert (code, output) == (0, f"{asked.approval_id} is denied\n")
    with pytest.raises(PermissionDenied, match="The parcel has arrived"):
        await platforms.use(asked.approval_id, WANTED, by="call")
    _, output, _ = await approvals("show", asked.approval_id, state_dir=str(state))
    assert "denied    The parcel has arrived\n" in output
    code, _, told = await approvals("list", state_dir=str(state))
    assert (code, told) == (0, "Nothing waits for approval.\n")


@pytest.mark.parametrize("asked_as", ["key", "name"])
async def test_whoever_asked_cannot_agree(platforms: Approvals, state: Path, asked_as: str) -> None:
    mine = {"requester": Principal(ME, "none").key} if asked_as == "key" else {"requested_by": ME}
    asked = await platforms.ask(replace(WANTED, **mine))
    code, output, told = await approvals("approve", asked.approval_id, state_dir=str(state))
    assert (code, output) == (1, "")
    assert told == f"Error: {asked.approval_id} was asked for by you: somebody else has to decide.\n"


@pytest.mark.parametrize(
    ("act", "odd"), [("show", "\x1b[2J"), ("approve", "' or 1=1 --"), ("deny", NO_ID), ("show", "")]
)
async def test_what_nobody_asked_for_is_refused_in_words(platforms: Approvals, state: Path, act: str, odd: str) -> None:
    await platforms.ask(WANTED)
    code, output, told = await approvals(act, odd, state_dir=str(state))
    assert (code, output) == (1, "")
    assert told.startswith("Error: there is no approval ")
    assert told.rstrip("\n").isprintable()


async def on_a_terminal(answer: bytes, state: Path, approval_id: str, *options: str) -> tuple[int, str]:
    """What becomes of `approve` when a person sits before it and answers so."""
    person, terminal = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        script("backoffice"), "approvals", "approve", *options, approval_id,
        stdin=terminal, stdout=PIPE, stderr=PIPE, env=clean_environment(state_dir=str(state)),
    )  # fmt: skip
    os.write(person, answer)
    output, told = await process.communicate()
    os.close(terminal)
    os.close(person)
    assert process.returncode is not None
    return process.returncode, (output + told).decode()


async def test_on_a_terminal_it_is_shown_before_it_is_agreed_to(platforms: Approvals, state: Path) -> None:
    asked = await platforms.ask(WANTED)
    code, shown = await on_a_terminal(b"n\n", state, asked.approval_id)
    assert code == 1
    assert '"amount": 60000' in shown
    assert "Agree to exactly this?" in shown
    assert (await platforms.get(asked.approval_id)).state == "pending"
    code, shown = await on_a_terminal(b"y\n", state, asked.approval_id)
    assert (code, shown.splitlines()[-1].endswith("is approved")) == (0, True)


async def test_on_a_terminal_it_is_not_shown_to_who_says_yes_at_once(platforms: Approvals, state: Path) -> None:
    asked = await platforms.ask(WANTED)
    assert await on_a_terminal(b"", state, asked.approval_id, "--yes") == (0, f"{asked.approval_id} is approved\n")


# Where


@pytest.mark.parametrize(
    ("server", "program", "options"),
    [
        ("backoffice", "backoffice", []),
        ("billing", "backoffice", ["--server", "billing"]),
        ("billing", "backoffice-billing", []),
        ("backoffice", "backoffice-billing", ["--server", "backoffice"]),
    ],
)
async def test_what_a_server_asks_for_is_where_the_command_looks(
    server: str, program: str, options: list[str], state: Path
) -> None:
    async with founded(Settings(state_dir=state), server, sandboxed=False) as on:
        asked = await on.state.approvals.ask(WANTED)
    code, output, _ = await outcome(program, "approvals", *options, "list", state_dir=str(state))
    assert (code, output.split()[0]) == (0, asked.approval_id)


async def test_replicas_and_the_command_share_one_database(postgres: PostgresServer, tmp_path: Path) -> None:
    url = postgres.new_database()
    given = {"database_url": url, "state_dir": str(tmp_path)}
    async with founded(Settings.model_validate(given), "billing", sandboxed=False) as on:
        asked = await on.state.approvals.ask(WANTED)
        for program in ("backoffice", "backoffice-billing"):
            code, output, _ = await outcome(program, "approvals", "list", **given)
            assert (code, output.split()[0]) == (0, asked.approval_id)
        code, _, _ = await approvals("approve", asked.approval_id, **given)
        assert (code, (await on.state.approvals.get(asked.approval_id)).state) == (0, "approved")
    assert list(tmp_path.iterdir()) == []


async def test_where_nothing_was_kept_it_says_so_and_makes_nothing(state: Path) -> None:
    for act in (["list"], ["approve", NO_ID]):
        code, output, told = await approvals(*act, state_dir=str(state))
        assert (code, output) == (2, "")
        assert told.startswith(f"Error: backoffice has kept nothing here: there is no {state}/backoffice.db. ")
        assert "--server" in told
    assert not state.exists()


async def test_what_cannot_be_asked_is_one_line(state: Path) -> None:
    state.mkdir()
    (state / "backoffice.db").write_text("the annual report, " * 100)
    code, _, told = await approvals("list", state_dir=str(state))
    assert (code, told.count("\n"), "file is not a database" in told) == (2, 1, True)
    code, _, told = await approvals("list", database_url="mysql://somewhere")
    assert (code, told) == (2, "Error: BACKOFFICE_DATABASE_URL has to be a postgresql:// URL.\n")
    code, _, told = await approvals("list", port="none")
    assert (code, told.startswith("Error: BACKOFFICE_PORT: ")) == (2, True)


# Help


def test_every_command_helps_with_an_example() -> None:
    group = cli.main.commands["approvals"]
    assert isinstance(group, Group)
    assert list(group.commands) == ["list", "show", "approve", "deny"]
    for name, its in group.commands.items():
        helped = CliRunner().invoke(its, ["--help"])
        assert helped.exit_code == 0
        assert f"Example: backoffice approvals {name}" in helped.stdout


async def test_the_servers_own_command_has_them_beside_serving() -> None:
    code, output, _ = await outcome("backoffice-billing", "--help")
    assert code == 0
    assert "Usage: backoffice-billing [OPTIONS] [COMMAND]" in output
    assert "Example: backoffice-billing --sandbox --http" in output
    code, output, _ = await outcome("backoffice-billing", "approvals", "approve", "--help")
    assert (code, "Example: backoffice-billing approvals approve apr_" in output) == (0, True)
    code, _, told = await outcome("backoffice-billing", "approval")
    assert (code, "No such command 'approval'" in told) == (2, True)
    code, output, _ = await outcome("backoffice-customer", "--help")
    assert "Usage: backoffice-customer [OPTIONS]\n" in output


async def test_without_one_of_them_the_server_serves(state: Path) -> None:
    arguments = ("--sandbox", "--http", "--port", "0")
    async with command("backoffice-billing", *arguments, state_dir=str(state), drain="0") as running:
        assert await running.told(r"MCP at (\S+)")
        running.terminate()
        await running.ended()
