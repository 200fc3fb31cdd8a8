"""`backoffice approvals`: see what waits for a human, and decide it, where the server's database is.

Whoever may read and write the database may decide everything in it: no role is asked for here. The approver is the operating
system's user, as `os:<name>`, who must not be the one who asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import click

from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, PermissionDenied
from backoffice_shared.principal import Principal
from backoffice_shared.settings import Settings, state_home
from backoffice_shared.state.approvals import Approval, Approvals
from backoffice_shared.state.approvals_stored import StoredApprovals
from backoffice_shared.state.opened import open_database

REFUSED = 1
BAD_USE = 2

Opened = Callable[[str], AbstractAsyncContextManager[Approvals]]


@asynccontextmanager
async def open_approvals(settings: Settings, server: str) -> AsyncGenerator[Approvals]:
    """The approvals that this server keeps. Looking makes no database.

    Raises:
        InvalidInput: there is none, or what is configured cannot be one.
    """
    file = (settings.state_dir or state_home()) / f"{server}.db"
    if settings.database_url is None and not file.exists():
        raise InvalidInput(
            "",
            f"{server} has kept nothing here: there is no {file}",
            hint="Name another with --server, or set BACKOFFICE_STATE_DIR as the server has it; a sandbox keeps nothing"
            " without it",
        )
    database = open_database(settings, server)
    try:
        yield StoredApprovals(database)
    finally:
        await database.aclose()


def approval_commands(opened: Opened, *, program: str, server: str) -> click.Group:
    """The group `approvals` of the command `program`. `opened` opens what a server keeps, by default `server`, each time a
    command runs."""
    called = f"{program} approvals"

    @click.group(
        name="approvals",
        help="What agents want to do and a human has to agree to.\n\n"
        f"Exit code 0 when it was done, {REFUSED} when it was refused, {BAD_USE} when it could not be asked.",
        epilog=f"Example: {called} list",
    )
    @click.option(
        "--server",
        default=server,
        show_default=True,
        help="Whose, where each server has an SQLite file of its own: backoffice for `backoffice up`, else billing, ...",
    )
    @click.pass_context
    def approvals(context: click.Context, server: str) -> None:
        context.obj = server

    for command in (_list(opened, called), _show(opened, called), _approve(opened, called), _deny(opened, called)):
        approvals.add_command(command)
    return approvals


def _list(opened: Opened, called: str) -> click.Command:
    @click.command(
        name="list", help="What waits for a decision, the oldest first.", epilog=f"Example: {called} list --json"
    )
    @click.option("--json", "as_json", is_flag=True, help="All there is to know, one JSON object a line.")
    @click.pass_obj
    def listed(server: str, as_json: bool) -> None:  # noqa: FBT001 - click's
        async def main() -> None:
            async with opened(server) as approvals:
                pending = await approvals.pending()
            for approval in pending:
                click.echo(_as_json(approval) if as_json else _summary(approval))
            if not pending and not as_json:
                click.echo("Nothing waits for approval.", err=True)

        _run(main())

    return listed


def _show(opened: Opened, called: str) -> click.Command:
    @click.command(
        name="show",
        help="One approval: what exactly would be agreed to, who asked, and what became of it.",
        epilog=f"Example: {called} show apr_p3xk7d2mfq5vz6wjh4tn8ycbra",
    )
    @click.argument("approval_id")
    @click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
    @click.pass_obj
    def show(server: str, approval_id: str, as_json: bool) -> None:  # noqa: FBT001
        async def main() -> None:
            async with opened(server) as approvals:
                approval = await approvals.get(approval_id)
            click.echo(_as_json(approval) if as_json else "\n".join(_told(approval)))

        _run(main())

    return show


def _approve(opened: Opened, called: str) -> click.Command:
    @click.command(
        name="approve",
        help="Agree to it, as the operating system's user. On a terminal, it is shown first.",
        epilog=f"Example: {called} approve apr_p3xk7d2mfq5vz6wjh4tn8ycbra",
    )
    @click.argument("approval_id")
    @click.option("--yes", is_flag=True, help="Do not show it and ask first.")
    @click.pass_obj
    def approve(server: str, approval_id: str, yes: bool) -> None:  # noqa: FBT001
        async def main() -> None:
            async with opened(server) as approvals:
                if not yes and sys.stdin.isatty():
                    click.echo("\n".join(_told(await approvals.get(approval_id))))
                    click.confirm("Agree to exactly this?", abort=True)
                click.echo(_outcome(await _decided(approvals, approval_id, agrees=True)))

        _run(main())

    return approve


def _deny(opened: Opened, called: str) -> click.Command:
    @click.command(
        name="deny",
        help="Deny it, as the operating system's user.",
        epilog=f'Example: {called} deny apr_p3xk7d2mfq5vz6wjh4tn8ycbra --reason "The parcel has arrived."',
    )
    @click.argument("approval_id")
    @click.option("--reason", default="", help="Why: the agent that asked is told.")
    @click.pass_obj
    def deny(server: str, approval_id: str, reason: str) -> None:
        async def main() -> None:
            async with opened(server) as approvals:
                click.echo(_outcome(await _decided(approvals, approval_id, agrees=False, reason=reason)))

        _run(main())

    return deny


async def _decided(approvals: Approvals, approval_id: str, *, agrees: bool, reason: str = "") -> Approval:
    name = os_user()
    key = Principal(name, "none").key
    return await approvals.decide(approval_id, approver=key, named=name, agrees=agrees, reason=reason)


def os_user() -> str:
    """Who runs this, by the operating system: what the environment says of it, anybody can set."""
    uid = os.getuid()
    try:
        return f"os:{pwd.getpwuid(uid).pw_name}"
    except KeyError:  # as in a container
        return f"os:{uid}"


def _summary(approval: Approval) -> str:
    wanted = approval.wanted
    words = (
        approval.approval_id,
        wanted.action,
        f"{wanted.role} {len(approval.approvers)}/{wanted.needed}",
        f"for {wanted.requested_by}",
        wanted.rule,
        f"until {approval.expires_at:%Y-%m-%d %H:%M} UTC",
    )
    return _printable("  ".join(words))


def _told(approval: Approval) -> Iterable[str]:
    wanted = approval.wanted
    facts = {
        "approval": approval.approval_id,
        "state": approval.state,
        "action": wanted.action,
        "asked by": f"{wanted.requested_by} on {approval.created_at:%Y-%m-%d at %H:%M} UTC",
        "rule": wanted.rule,
        "needs": f"{wanted.needed} from {wanted.role}",
        "agreed": ", ".join(approval.approvers),
        "denied": approval.reason,
        "expires": f"{approval.expires_at:%Y-%m-%d at %H:%M} UTC",
    }
    yield from (_printable(f"{name:<9} {value}") for name, value in facts.items() if value)
    yield "payload"
    yield from (
        _printable(f"  {line}") for line in json.dumps(dict(wanted.payload), indent=2, ensure_ascii=False).split("\n")
    )


def _outcome(approval: Approval) -> str:
    left = approval.wanted.needed - len(approval.approvers)
    more = f": {left} more from {approval.wanted.role} must agree" if approval.state == "pending" else ""
    return _printable(f"{approval.approval_id} is {approval.state}{more}")


def _as_json(approval: Approval) -> str:
    wanted = approval.wanted
    said: dict[str, Any] = {
        "approval_id": approval.approval_id,
        "state": approval.state,
        "action": wanted.action,
        "payload": dict(wanted.payload),
        "digest": approval.digest,
        "requested_by": wanted.requested_by,
        "rule": wanted.rule,
        "role": wanted.role,
        "needed": wanted.needed,
        "approvers": list(approval.approvers),
        "reason": approval.reason,
        "created_at": approval.created_at.isoformat(),
        "expires_at": approval.expires_at.isoformat(),
    }
    return json.dumps(said, separators=(",", ":"))  # ASCII: nothing in it moves a terminal


def _printable(text: str) -> str:
    """A terminal must not be told what to do, nor a text be turned around, by what an agent wrote."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _run(main: Coroutine[Any, Any, None]) -> None:
    try:
        asyncio.run(main)
    except BackofficeError as error:
        click.echo(_printable(f"Error: {error}"), err=True)
        sys.exit(REFUSED if isinstance(error, (Conflict, NotFound, PermissionDenied)) else BAD_USE)
