"""The schema in PostgreSQL, brought up to date by Alembic; `schema.py` has the same tables for SQLite.

Replicas that start together wait for each other. A schema that is newer than this code is left as it is: during a
rolling upgrade the old replicas go on beside the new ones, so a migration only adds.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

LOCK = 0x6261636B  # "back": any number, as long as every replica takes the same
WAIT = 60  # seconds: for the replica that came first, and for the migration itself

# Alembic's migration context is one per process.
_one_at_a_time = Lock()


def migrated(engine: Engine) -> None:
    """Bring the schema to the newest version this code knows.

    Raises:
        sqlalchemy.exc.DBAPIError: the database cannot be reached, or forbids it.
    """
    with engine.connect() as connection:
        if _is_current(connection):
            return
    with _one_at_a_time, engine.begin() as connection:
        connection.execute(text(f"SET LOCAL statement_timeout = '{WAIT}s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if not _is_current(connection):
            command.upgrade(configured(connection), "head")


def reverted(engine: Engine, revision: str = "base") -> None:
    """Take the schema back to `revision`, with what it kept: by default to nothing."""
    with _one_at_a_time, engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        command.downgrade(configured(connection), revision)


def configured(connection: Connection) -> Config:
    """Alembic's configuration, for this connection."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def _is_current(connection: Connection) -> bool:
    """Whether it has every migration that is known here, and maybe more."""
    heads = MigrationContext.configure(connection).get_current_heads()
    known = ScriptDirectory(str(Path(__file__).parent))
    revisions = {script.revision for script in known.walk_revisions()}
    return bool(heads) and (set(heads) == set(known.get_heads()) or not revisions.issuperset(heads))
