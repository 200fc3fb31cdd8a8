"""`backoffice audit`: verify, follow back, search and export the audit."""

from __future__ import annotations

import asyncio
import csv
import json
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from itertools import chain
from typing import IO, Any, TypeVar

import click

from backoffice_shared.audit.archive import Archive
from backoffice_shared.audit.chain import Entry
from backoffice_shared.audit.facets import Wanted
from backoffice_shared.audit.verify import Verdict, verified
from backoffice_shared.errors import BackofficeError, NotFound
from backoffice_shared.jsonvalues import compact, obj

FAILED = 1
BAD_USE = 2

Given = TypeVar("Given")
Opened = Callable[[str], AbstractAsyncContextManager[Archive]]

COLUMNS = (
    "ts", "writer", "seq", "event", "subject", "agent", "client_id", "auth", "server", "tool", "args", "decision",
    "policy", "outcome", "error_code", "latency_ms", "idempotency_key", "trace_id",
)  # fmt: skip


def audit_commands(opened: Opened) -> click.Group:
    """The group `audit`. `opened` opens the archive that is configured for a server, each time a command runs."""

    @click.group(
        name="audit",
        help="Verify and read the audit: one record for every call.",
        epilog="Example: backoffice audit verify",
    )
    @click.option(
        "--server",
        default="backoffice",
        show_default=True,
        help="Whose, where each server has an SQLite file of its own: backoffice for `backoffice up`, else customer, ...",
    )
    @click.pass_context
    def audit(context: click.Context, server: str) -> None:
        context.obj = server

    for command in (_verify(opened), _tail(opened), _search(opened), _export(opened)):
        audit.add_command(command)
    return audit


def _verify(opened: Opened) -> click.Command:
    @click.command(
        name="verify",
        help="Check that no record was edited, deleted, moved or put there by somebody else.\n\n"
        f"Ends with exit code {FAILED} when one was.",
        epilog="Example: backoffice audit verify",
    )
    @click.option("--json", "as_json", is_flag=True, help="One JSON object for each writer.")
    @click.pass_obj
    def verify(server: str, as_json: bool) -> None:  # noqa: FBT001 - click's
        async def main() -> bool:
            good, writers = True, 0
            async with opened(server) as archive:
                async for verdict in verified(archive.reader, archive.checkpoints, archive.key):
                    good, writers = good and verdict.ok, writers + 1
                    click.echo(_as_json(verdict) if as_json else "\n".join(_told(verdict)))
            if not writers:
                raise NotFound("", "there is no record here, so that nothing can be said of them")
            if not as_json:
                click.echo(f"{writers} writers: {'the audit is whole' if good else 'THE AUDIT WAS CHANGED'}", err=True)
            return good

        if not _run(main()):
            sys.exit(FAILED)

    return verify


def _tail(opened: Opened) -> click.Command:
    @click.command(
        name="tail", help="The last records, the newest at the end.", epilog="Example: backoffice audit tail -n 50"
    )
    @click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=20, show_default=True, help="How many.")
    @click.option("--json", "as_json", is_flag=True, help="The whole records, one JSON object a line.")
    @click.pass_obj
    def tail(server: str, lines: int, as_json: bool) -> None:  # noqa: FBT001
        async def main() -> None:
            async with opened(server) as archive:
                newest = [entry async for entry in _first(lines, archive.reader.search(Wanted()))]
            for entry in reversed(newest):
                click.echo(entry.line if as_json else _summary(entry))

        _run(main())

    return tail


def _search(opened: Opened) -> click.Command:
    @click.command(
        name="search",
        help="Records that have all of what is given, the newest first.",
        epilog="Example: backoffice audit search --tool refund_payment --since 2026-11-01 --outcome error",
    )
    @_filters
    @click.option("-n", "--lines", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most.")
    @click.option("--json", "as_json", is_flag=True, help="The whole records, one JSON object a line.")
    @click.pass_obj
    def search(server: str, lines: int, as_json: bool, **filters: Any) -> None:  # noqa: FBT001
        async def main() -> None:
            async with opened(server) as archive:
                async for entry in _first(lines, archive.reader.search(_wanted(filters))):
                    click.echo(entry.line if as_json else _summary(entry))

        _run(main())

    return search


def _export(opened: Opened) -> click.Command:
    @click.command(
        name="export",
        help="All records, or those that have all of what is given, the oldest first.\n\n"
        "As JSON lines they keep their codes; as CSV they can be read by a spreadsheet.",
        epilog="Example: backoffice audit export --format csv --since 2026-11-01 --output november.csv",
    )
    @_filters
    @click.option("--format", "kind", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
    @click.option("--output", type=click.File("w", encoding="utf-8", lazy=True), default="-", help="A file.")
    @click.pass_obj
    def export(server: str, kind: str, output: IO[str], **filters: Any) -> None:
        async def main() -> None:
            async with opened(server) as archive:
                found = archive.reader.search(_wanted(filters), newest_first=False)
                await (_write_csv if kind == "csv" else _write_lines)(found, output)

        _run(main())

    return export


def _filters(command: Callable[..., None]) -> Callable[..., None]:
    moment = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"])
    options = (
        click.option("--agent", help="The agent, as agents.yaml names it."),
        click.option("--subject", help="Who called."),
        click.option("--tool", help="The tool."),
        click.option("--outcome", help="ok, partial, error, unknown, cancelled …"),
        click.option("--decision", type=click.Choice(["allow", "deny", "shed"])),
        click.option("--trace-id", help="The trace of the call."),
        click.option("--since", type=moment, help="From this moment on (UTC)."),
        click.option("--until", type=moment, help="Before this moment (UTC)."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _wanted(filters: dict[str, Any]) -> Wanted:
    return Wanted(**{name: _in_utc(value) for name, value in filters.items()})


def _in_utc(value: Any) -> Any:
    """Moments come without a zone."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) else value


async def _first(most: int, found: AsyncIterator[Entry]) -> AsyncIterator[Entry]:
    left = most
    async for entry in found:
        yield entry
        left -= 1
        if not left:
            return


async def _write_lines(found: AsyncIterator[Entry], output: IO[str]) -> None:
    async for entry in found:
        output.write(entry.line + "\n")


async def _write_csv(found: AsyncIterator[Entry], output: IO[str]) -> None:
    writer = csv.writer(output, lineterminator="\n")
    writer.writerow(COLUMNS)
    async for entry in found:
        writer.writerow(_cells(entry))


def _cells(entry: Entry) -> Iterable[str]:
    record = _record(entry)
    actor = obj(record.get("actor"))
    known = {
        **record,
        "subject": actor.get("sub"),
        **{name: actor.get(name) for name in ("agent", "client_id", "auth")},
    }
    return (_cell(known.get(name)) for name in COLUMNS)


def _cell(value: object) -> str:
    """A spreadsheet takes what begins like this for a formula."""
    text = "" if value is None else value if isinstance(value, str) else compact(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _summary(entry: Entry) -> str:
    record = _record(entry)
    actor = obj(record.get("actor"))
    who = actor.get("agent") or actor.get("sub") or "-"
    words = (
        record.get("ts"),
        record.get("event"),
        who,
        record.get("tool"),
        record.get("decision"),
        record.get("outcome"),
    )
    end = (record.get("error_code"), f"{entry.writer}#{entry.seq}")
    return _printable("  ".join(str(word) for word in chain(words, end) if word is not None))


def _printable(text: str) -> str:
    """A terminal must not be told what to do by an argument."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def _told(verdict: Verdict) -> Iterable[str]:
    state = "ok" if verdict.ok else "FAILED"
    info = f"{verdict.records} records"
    if verdict.uncovered:
        info += f", the last {verdict.uncovered} not yet covered by a checkpoint"
    elif not verdict.closed:
        info += ", end not noted: it runs, or was killed"
    yield f"{state}  {verdict.writer}  {info}"
    for fault in verdict.faults:
        yield f"    {fault}"
    if verdict.faulty > len(verdict.faults):
        yield f"    and {verdict.faulty - len(verdict.faults)} more"


def _as_json(verdict: Verdict) -> str:
    faults = [{"kind": fault.kind, "seq": fault.seq, "through": fault.through} for fault in verdict.faults]
    return compact(
        {
            "writer": verdict.writer,
            "ok": verdict.ok,
            "records": verdict.records,
            "last": verdict.last,
            "covered": verdict.covered,
            "closed": verdict.closed,
            "faulty": verdict.faulty,
            "faults": faults,
        }
    )


def _record(entry: Entry) -> dict[str, Any]:
    try:
        return obj(json.loads(entry.text))
    except ValueError:
        return {}


def _run(main: Coroutine[Any, Any, Given]) -> Given:
    try:
        return asyncio.run(main)
    except BackofficeError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(BAD_USE)
