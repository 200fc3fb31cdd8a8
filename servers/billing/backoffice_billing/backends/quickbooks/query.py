"""QuickBooks' query language: `select * from Invoice where A = 'b' and C in ('d', 'e') orderby F desc startposition 1
maxresults 50`. There is no OR, and a text is quoted with `'`, in which a backslash escapes.

Source: https://developer.intuit.com/app/developer/qbo/docs/learn/explore-the-quickbooks-online-api/data-queries and,
for the backslash, https://developer.intuit.com/hub/blog/2017/02/08/deep-dive-sql-queries
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

MOST = 1000
"""What one query gives at most."""

Value = str | date | datetime | bool


@dataclass(frozen=True, slots=True)
class Select:
    """`where` are conditions that all hold, as `equals`, `compare` and `among` make them."""

    entity: str
    where: tuple[str, ...] = ()
    order: str = ""

    def page(self, start: int, size: int) -> str:
        """So many from `start`, which counts from 0."""
        return self._text("*", f" startposition {start + 1} maxresults {min(size, MOST)}")

    def count(self) -> str:
        return self._text("count(*)", "", ordered=False)

    def _text(self, what: str, end: str, *, ordered: bool = True) -> str:
        conditions = f" where {' and '.join(self.where)}" if self.where else ""
        order = f" orderby {self.order}" if self.order and ordered else ""
        return f"select {what} from {self.entity}{conditions}{order}{end}"  # noqa: S608 - every value is quoted


def equals(field: str, value: Value) -> str:
    return compare(field, "=", value)


def compare(field: str, operator: str, value: Value) -> str:
    return f"{field} {operator} {_literal(value)}"


def among(field: str, values: Sequence[Value]) -> str:
    return f"{field} in ({', '.join(_literal(value) for value in values)})"


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return quoted(value.astimezone(UTC).isoformat(timespec="seconds"))
    return quoted(value.isoformat() if isinstance(value, date) else value)


def quoted(text: str) -> str:
    """A text that cannot end before its end. Control characters, which no name or number has, become spaces."""
    plain = "".join(character if character.isprintable() else " " for character in text)
    escaped = plain.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
