"""What is in stock, wherever it is sold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from backoffice_customer.models import Stock
from backoffice_customer.ports import Stockroom
from backoffice_shared.sources import fan_out


@dataclass(frozen=True, slots=True)
class Inventory:
    stockrooms: Mapping[str, Stockroom]

    async def check(self, skus: Sequence[str], location: str | None) -> Stock:
        """By SKU in the order asked, then by place. `location` is part of a place's name, in any case."""
        wanted = list(dict.fromkeys(skus))
        reads = {name: partial(room.stock, wanted) for name, room in self.stockrooms.items()}
        answers = (await fan_out(reads)).or_raise()
        rows = [row for rows in answers.values.values() for row in rows]
        known = {row.sku for row in rows}
        here = [row for row in rows if location is None or location.casefold() in row.location.casefold()]
        here.sort(key=lambda row: (wanted.index(row.sku), row.location))
        places = ", ".join(sorted({row.location for row in rows}))
        return Stock(
            items=here,
            unknown=[] if answers.errors else [sku for sku in wanted if sku not in known],
            sources=answers.sources,
            notes=[f"no location is called {location!r}; there are {places}"] if rows and not here else [],
        )
