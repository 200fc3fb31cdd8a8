"""What an endpoint is, and what all of them share: lists, and metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.asking import Asked
from backoffice_billing.backends.stripe.sandbox.objects import Thing
from backoffice_billing.backends.stripe.sandbox.records import Record, a_list
from backoffice_billing.backends.stripe.sandbox.refusals import malformed
from backoffice_billing.backends.stripe.sandbox.tables import Row, Table

Searches = Callable[[], bool]
"""Whether searches do not see yet what was written."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A method, a path below `/v1/`, what answers, and the names of the parameters that it knows."""

    method: str
    path: str
    answer: Callable[..., Record]
    known: Sequence[str]


def listed(
    account: Account,
    table: Table[Row],
    asked: Asked,
    render: Callable[[Account, Any], Record],
    url: str,
    *,
    fields: Mapping[str, object] | None = None,
    also: Callable[[Row], bool] = lambda _: True,
) -> Record:
    """Those whose indexed `fields` are these, and of which `also` holds.

    Raises:
        Refused: it is to go on after something that there is not.
    """
    span = asked.span()
    for name, cursor in (("starting_after", span.after), ("ending_before", span.before)):
        if cursor is not None and table.get(cursor) is None:
            raise malformed(f"No such object: '{cursor}'", "resource_missing", name)
    rows, more = table.list(span, asked.limit(), fields or {}, also=also)
    return a_list(url, [render(account, row) for row in rows], more=more)


def update_metadata(thing: Thing, asked: Asked) -> None:
    """What is given is set, and unset when empty; what is not, stays."""
    if asked.values.get("metadata") == "":
        thing.metadata = {}
        return
    if said := asked.metadata():
        thing.metadata = {name: value for name, value in {**thing.metadata, **said}.items() if value}
        thing.written = True
