"""The audit as the settings want it: where it is kept, and with which key its chain is signed."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from backoffice_shared.audit.archive import Archive
from backoffice_shared.audit.chain import writer_name
from backoffice_shared.audit.checkpoints import Checkpoints, DatabaseCheckpoints, FileCheckpoints
from backoffice_shared.audit.retention import Store, pruned
from backoffice_shared.audit.sinks.database import DatabaseReader, DatabaseSink
from backoffice_shared.audit.sinks.jsonl import JsonLinesReader, JsonLinesSink
from backoffice_shared.audit.sinks.stream import StreamSink
from backoffice_shared.audit.trail import Trail
from backoffice_shared.errors import BackendUnavailable, InvalidInput
from backoffice_shared.settings import Settings, state_home
from backoffice_shared.state.database import Database
from backoffice_shared.state.opened import open_database

log = logging.getLogger("backoffice.audit")


async def open_trail(settings: Settings, server: str, database: Database) -> Trail:
    """What a server writes to. What is older than the retention is dropped first.

    On standard error nobody could compare it with checkpoints, so that it has none, and a key that ends with it.

    Raises:
        InvalidInput: it cannot be kept where the settings say.
    """
    writer = writer_name(server)
    if settings.audit == "stderr":
        return Trail(StreamSink(sys.stderr), None, secrets.token_bytes(32), writer)
    checkpoints, key = _checkpoints(settings, database), audit_key(settings, make=True)
    if _in_database(settings):
        sink, store = DatabaseSink(database), DatabaseReader(database)
    else:
        directory = _directory(settings)
        sink, store = JsonLinesSink(directory), JsonLinesReader(directory)
    await _prune(store, checkpoints, key, settings.audit_retention)
    return Trail(sink, checkpoints, key, writer)


@asynccontextmanager
async def open_archive(settings: Settings, server: str) -> AsyncGenerator[Archive]:
    """What `backoffice audit` reads.

    Raises:
        InvalidInput: nothing is kept that could be read.
    """
    if settings.audit == "stderr":
        raise InvalidInput(
            "",
            "the audit goes to standard error, where it cannot be read again",
            hint="Set BACKOFFICE_AUDIT to the directory, or to sqlite or postgres, that the server uses",
        )
    key = audit_key(settings, make=False)
    database = open_database(settings, server)
    try:
        reader = DatabaseReader(database) if _in_database(settings) else JsonLinesReader(Path(settings.audit))
        yield Archive(reader, _checkpoints(settings, database), key)
    finally:
        await database.aclose()


def audit_key(settings: Settings, *, make: bool) -> bytes:
    """The configured key, or the one that is kept here; `make` one where there is none yet.

    Raises:
        InvalidInput: it can be neither read nor made.
    """
    if settings.audit_key is not None:
        return settings.audit_key.get_secret_value().encode()
    file = (settings.state_dir or state_home()) / "audit.key"
    try:
        if make:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _make_key(file)
        key = bytes.fromhex(file.read_text())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            "",
            f"the audit's key {file} cannot be used ({type(error).__name__})",
            hint="Set BACKOFFICE_STATE_DIR or BACKOFFICE_AUDIT_KEY",
        ) from None
    if len(key) < 16:
        raise InvalidInput("", f"the audit's key {file} is too short", hint="Remove it, and a new one is made")
    return key


def _make_key(file: Path) -> None:
    """Unless there is one. It appears as a whole: another server may be starting at this moment."""
    if file.exists():
        return
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as made:
        made.write(secrets.token_hex(32))
    try:
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _in_database(settings: Settings) -> bool:
    if settings.audit not in ("sqlite", "postgres"):
        return False
    if (settings.audit == "postgres") != (settings.database_url is not None):
        raise InvalidInput("", f"BACKOFFICE_AUDIT: {settings.audit} is not the database that this server uses")
    return True


def _directory(settings: Settings) -> Path:
    directory = Path(settings.audit)
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise InvalidInput("", f"the audit cannot be kept in {directory}: {error.strerror}") from None
    return directory


def _checkpoints(settings: Settings, database: Database) -> Checkpoints:
    """Where the settings say. Replicas that share a database may have no disk that lasts: theirs are in it too."""
    if settings.audit_checkpoints is None and settings.audit == "postgres":
        return DatabaseCheckpoints(database)
    return FileCheckpoints(settings.audit_checkpoints or (settings.state_dir or state_home()) / "audit-checkpoints")


async def _prune(store: Store, checkpoints: Checkpoints, key: bytes, days: int) -> None:
    """A store that is not there yet must not keep the server from starting."""
    try:
        async for done in pruned(store, checkpoints, key, days=days):
            if done.faulty:
                log.error(
                    "the audit of %s was changed: nothing of it is removed. Run: backoffice audit verify", done.writer
                )
    except BackendUnavailable as error:
        log.warning("old audit records are removed another time: %s", error)
