"""The database that is configured."""

from __future__ import annotations

from pathlib import Path

from backoffice_shared.state.database import Database
from backoffice_shared.state.sqlite import SqliteDatabase


def open_database(url: str | None, file: Path) -> Database:
    """PostgreSQL at `url`, or SQLite in `file` without one. Nothing is connected to yet.

    Raises:
        InvalidInput: the URL cannot be one, or what PostgreSQL needs is not installed.
    """
    if url is None:
        return SqliteDatabase(file)
    # Its libraries are an extra, and 28 MB that nobody should have who does not use them.
    from backoffice_shared.state.postgres import PostgresDatabase  # noqa: PLC0415

    return PostgresDatabase(url)
