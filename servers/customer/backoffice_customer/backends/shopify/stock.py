"""What is in stock, in our words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backoffice_customer.models import StockRow
from backoffice_shopify.wire import following


@dataclass(frozen=True, slots=True)
class Level:
    """What one place has of something. `place` is the vendor's id of it."""

    place: str
    row: StockRow


@dataclass(frozen=True, slots=True)
class Item:
    """Something with a SKU, and the first of the places that keep it. `more` is the cursor of its further places."""

    gid: str
    sku: str
    levels: Sequence[Level]
    more: str | None


@dataclass(frozen=True, slots=True)
class Items:
    """Those that have one of the SKUs exactly: the vendor finds a SKU inside of longer ones too."""

    items: Sequence[Item]
    next: str | None


def items(data: Any, skus: Iterable[str]) -> Items:
    connection = data["inventoryItems"]
    wanted = frozenset(skus)
    return Items([_item(wire) for wire in connection["nodes"] if wire["sku"] in wanted], following(connection))


def further(data: Any, item: Item) -> Item:
    """The item with its next places; with those so far, when it is gone by now."""
    wire = data["inventoryItem"]
    if wire is None:
        return replace(item, more=None)
    levels = wire["inventoryLevels"]
    return replace(item, levels=[*item.levels, *_levels(item.sku, levels)], more=following(levels))


def _item(wire: Any) -> Item:
    levels = wire["inventoryLevels"]
    return Item(wire["id"], wire["sku"], _levels(wire["sku"], levels), following(levels))


def _levels(sku: str, connection: Any) -> list[Level]:
    return [Level(wire["location"]["id"], _row(sku, wire)) for wire in connection["nodes"]]


def _row(sku: str, wire: Any) -> StockRow:
    """When what is on its way arrives is left out: `scheduledChanges`, which says so, is deprecated, and what takes its
    place are all inventory transfers that are under way, by shipment and not by thing."""
    quantities = {quantity["name"]: quantity["quantity"] for quantity in wire["quantities"]}
    return StockRow(
        sku=sku,
        location=wire["location"]["name"],
        available=quantities["available"],
        on_hand=quantities["on_hand"],
        committed=quantities["committed"],
        incoming=quantities["incoming"],
    )


def rows(found: Iterable[Item], skus: Sequence[str]) -> list[StockRow]:
    """In the order of `skus`. What several items of one SKU have at a place is one row."""
    together: dict[tuple[str, str], StockRow] = {}
    for item in sorted(found, key=lambda item: skus.index(item.sku)):
        for level in item.levels:
            at = (item.sku, level.place)
            together[at] = _sum(together[at], level.row) if at in together else level.row
    return list(together.values())


def _sum(one: StockRow, other: StockRow) -> StockRow:
    return StockRow(
        sku=one.sku,
        location=one.location,
        available=one.available + other.available,
        on_hand=one.on_hand + other.on_hand,
        committed=one.committed + other.committed,
        incoming=one.incoming + other.incoming,
    )
