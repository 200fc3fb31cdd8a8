"""The database that is configured."""

from __future__ import annotations

from backoffice_shared.settings import Settings, state_home
from backoffice_shared.state.database import Database
from backoffice_shared.state.sqlite import MEMORY, SqliteDatabase


def open_database(settings: Settings, server: str, *, ephemeral: bool = False) -> Database:
    """PostgreSQL when it is configured, else SQLite: a file of this server, or nothing that lasts when `ephemeral`.
    Nothing is connected to yet.

    Raises:
        InvalidInput: the URL cannot be one, or what PostgreSQL needs is not installed.
    """
    if settings.database_url is not None:
        # Its libraries are an extra, and 28 MB that nobody should have who does not use them.
        from backoffice_shared.state.postgres import PostgresDatabase  # noqa: PLC0415

        return PostgresDatabase(settings.database_url.get_secret_value())
    if ephemeral and settings.state_dir is None:
        return SqliteDatabase(MEMORY)
    return SqliteDatabase((settings.state_dir or state_home()) / f"{server}.db")
