"""Stripe's JSON and forms: objects and their fields, ids, times, and text in the query language of its search.

Sources: https://docs.stripe.com/api/expanding_objects and https://docs.stripe.com/search#search-query-language
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from backoffice_shared.errors import NotFound
from backoffice_shared.http.client import path
from backoffice_shared.jsonvalues import arr, obj

Wire = Mapping[str, Any]

_ID = re.compile(r"[a-z]+_[A-Za-z0-9_]+", re.ASCII)
_FAMILIES = {
    "customer": "customers",
    "invoice": "invoices",
    "payment": "payment_intents",
    "charge": "charges",
    "refund": "refunds",
    "credit_note": "credit_notes",
}


def path_of(kind: str, native: str, *what: str) -> str:
    """Where a thing of Stripe's is. Nothing that is not an id gets there, as `search` would.

    Raises:
        NotFound: this is no id of Stripe's.
    """
    if not is_id(native):
        raise NotFound("Stripe", f"there is no {kind} {native[:60]!r}")
    return path("v1", _FAMILIES[kind], native, *what)


def is_id(native: str) -> bool:
    return len(native) <= 255 and _ID.fullmatch(native) is not None


# ----------------------------------------------------------------------------------------------------------- fields


def id_in(value: object) -> str | None:
    """The id of what another object refers to, whether it was expanded or not."""
    return str(value) if isinstance(value, str) else obj(value).get("id")


def metadata(wire: Wire, name: str) -> str | None:
    """What we, or somebody, noted with the object; None for nothing."""
    return obj(wire.get("metadata")).get(name) or None


def rows_in(value: object) -> list[Wire]:
    """Of a list that is part of an object."""
    return [obj(row) for row in arr(obj(value).get("data"))]


def marked(name: str, values: Mapping[str, str]) -> dict[str, str]:
    """`{"backoffice_key": "k"}` as parameters of a form: `{"metadata[backoffice_key]": "k"}`."""
    return {f"{name}[{key}]": value for key, value in values.items()}


def moment(seconds: object) -> datetime:
    if not isinstance(seconds, int) or isinstance(seconds, bool):
        raise TypeError(f"not a time of Stripe's: {seconds!r}")
    return datetime.fromtimestamp(seconds, UTC)


def day(seconds: object) -> date:
    return moment(seconds).date()


def stamp(at: datetime) -> int:
    return int(at.timestamp())


def start_of(on: date) -> int:
    return stamp(datetime.combine(on, time.min, UTC))


def end_of(on: date) -> int:
    """The last second of that day, UTC."""
    return start_of(on + timedelta(days=1)) - 1


def quoted(text: str) -> str:
    """As a value in a query of Stripe's search, which cannot end it or add to it.

    Quotes are escaped by a backslash. What a backslash or a control character is there is not documented: no address,
    number or name of an order has one, so that they become a space, which matches nothing.
    """
    plain = "".join(c if c.isprintable() and c != "\\" else " " for c in text)
    return '"' + plain.replace('"', '\\"') + '"'


def dashboard(wire: Wire, family: str, native: object) -> str:
    """Where people of the company look at it."""
    return f"https://dashboard.stripe.com/{'' if wire.get('livemode') else 'test/'}{family}/{native}"
