"""The state as the settings want it: in this process and on its disk, or shared by all replicas."""

from __future__ import annotations

from backoffice_shared.settings import Settings, state_home
from backoffice_shared.state.database import Database
from backoffice_shared.state.sqlite import SqliteDatabase


async def open_database(settings: Settings, server: str, *, ephemeral: bool = False) -> Database:
    """PostgreSQL when it is configured, else SQLite: a file of this server, or nothing that lasts when `ephemeral`.

    Raises:
        InvalidInput: it cannot be used.
    """
    if ephemeral and settings.state_dir is None:
        return SqliteDatabase(":memory:")
    return SqliteDatabase((settings.state_dir or state_home()) / f"{server}.db")
