"""What all of Stripe's JSON objects have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backoffice_billing.backends.stripe.sandbox.objects import Thing

Record = dict[str, Any]
ADDRESS: Record = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def blank(*names: str) -> Record:
    """Fields that this account never fills in."""
    return dict.fromkeys(names)


def shared(thing: Thing, kind: str) -> Record:
    return {
        "id": thing.id,
        "object": kind,
        "created": thing.created,
        "livemode": False,
        "metadata": dict(thing.metadata),
    }


def a_list(url: str, rows: Sequence[Record], *, more: bool = False) -> Record:
    return {"object": "list", "data": list(rows), "has_more": more, "url": url}
