"""Databases by where they are."""

from __future__ import annotations

from backoffice_shared.state.database import Database
from backoffice_shared.state.postgres import PostgresDatabase
from backoffice_shared.state.sqlite import SqliteDatabase


def database_at(place: str) -> Database:
    """`place` is the path of a file or a URL."""
    return PostgresDatabase(place) if place.startswith("postgresql:") else SqliteDatabase(place)
