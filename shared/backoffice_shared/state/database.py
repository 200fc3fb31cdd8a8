"""A database, as far as what is kept in it needs one: pieces of work that happen wholly or not at all.

The stores are written once, in the SQL that SQLite and PostgreSQL share. `work` is plain blocking code; it runs in a
thread of the database's own, and may be run anew when a connection broke before it took effect: it does nothing but
talk to the database.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

Result = TypeVar("Result")
Row = tuple[Any, ...]


class Transaction(Protocol):
    def execute(self, sql: str, parameters: Mapping[str, object] | None = None) -> list[Row]:
        """Run one statement, with parameters written `:name`. Gives its rows; none when it has none to give."""
        ...

    def execute_each(self, sql: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Run one statement that gives nothing, once for each row of parameters."""
        ...

    def now(self) -> float:
        """Seconds since 1970 by the clock that everybody who uses this database shares."""
        ...


class Database(Protocol):
    async def transact(self, work: Callable[[Transaction], Result]) -> Result:
        """What `work` gives, once it is committed durably; what it raises, when nothing was changed.

        Raises:
            BackendUnavailable: the database cannot be asked. Whether the work was committed may be unknown then.
        """
        ...

    async def aclose(self) -> None: ...
