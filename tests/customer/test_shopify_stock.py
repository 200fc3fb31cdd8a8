"""What is in stock, as Shopify says: by place, of exactly the SKUs that are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.customer.storefront import HOSTILE, TODAY, Scripted, Storefront, answering, storefront

from backoffice_customer.models import StockRow
from backoffice_shared.errors import MalformedAnswer, TooLarge
from backoffice_shared.sandbox.company import Company, Product

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def shop(company: Company) -> Storefront:
    return storefront(company)


def rows(company: Company, product: Product) -> list[StockRow]:
    return [
        StockRow(
            sku=product.sku,
            location=company.locations[stock.location],
            available=stock.on_hand - stock.committed,
            on_hand=stock.on_hand,
            committed=stock.committed,
            incoming=stock.incoming,
        )
        for stock in company.stock_of(product)
    ]


async def test_a_sku_has_a_row_for_each_place_that_keeps_it(shop: Storefront) -> None:
    product = shop.company.products[3]
    assert await shop.shopify.stock([product.sku]) == rows(shop.company, product)


async def test_fifty_skus_come_in_the_order_they_were_asked_for(shop: Storefront) -> None:
    products = shop.company.products[:50][::-1]
    found = await shop.shopify.stock([product.sku for product in products])
    assert found == [row for product in products for row in rows(shop.company, product)]
    assert shop.asked == -(-len(products) // 10)


async def test_a_sku_that_nobody_knows_has_no_rows(shop: Storefront) -> None:
    product = shop.company.products[3]
    assert await shop.shopify.stock(["NO-SUCH-1", product.sku, product.sku]) == rows(shop.company, product)


async def test_part_of_a_sku_and_another_case_of_its_letters_are_not_the_sku(shop: Storefront) -> None:
    sku = shop.company.products[3].sku
    assert await shop.shopify.stock([sku.lower(), sku.rpartition("-")[2]]) == []


@pytest.mark.parametrize("text", HOSTILE)
async def test_hostile_text_is_no_sku(shop: Storefront, text: str) -> None:
    assert await shop.shopify.stock([text, "", "--", '" OR sku:*']) == []


async def test_part_of_so_many_skus_that_they_cannot_all_be_read_is_refused() -> None:
    endless = Scripted([stocked([], after=f"at {n}") for n in range(20)])
    with pytest.raises(TooLarge, match=r"too many things have SKUs like these\. Ask for whole SKUs"):
        await endless.shopify.stock(["NW"])
    assert len(endless.asked) == 10


# ------------------------------------------------------------------------------------ over answers that are made up


def level(place: int, on_hand: int = 1) -> dict[str, Any]:
    quantities = {"incoming": 0, "committed": 0, "on_hand": on_hand, "available": on_hand}
    return {
        "location": {"id": f"gid://shopify/Location/{place}", "name": f"Place {place}"},
        "quantities": [{"name": name, "quantity": quantity} for name, quantity in quantities.items()],
    }


def levels(found: Sequence[Any], after: str | None = None) -> dict[str, Any]:
    return {"nodes": found, "pageInfo": {"hasNextPage": after is not None, "endCursor": after}}


def item(number: int, sku: str | None, kept: Any) -> dict[str, Any]:
    return {"id": f"gid://shopify/InventoryItem/{number}", "sku": sku, "inventoryLevels": kept}


def stocked(items: Sequence[Any], after: str | None = None) -> dict[str, Any]:
    return {"inventoryItems": levels(items, after)}


def row(sku: str, place: int, on_hand: int = 1) -> StockRow:
    return StockRow(sku=sku, location=f"Place {place}", available=on_hand, on_hand=on_hand, committed=0, incoming=0)


async def test_places_beyond_the_first_page_are_read_too() -> None:
    vendor = Scripted(
        [
            stocked([item(1, "A", levels([level(1)], "after 1"))]),
            {"inventoryItem": {"inventoryLevels": levels([level(2)], "after 2")}},
            {"inventoryItem": {"inventoryLevels": levels([level(3)])}},
        ]
    )
    assert await vendor.shopify.stock(["A"]) == [row("A", 1), row("A", 2), row("A", 3)]
    assert [asked["after"] for asked in vendor.asked] == [None, "after 1", "after 2"]


async def test_things_beyond_the_first_page_are_read_too() -> None:
    vendor = Scripted(
        [
            stocked([item(1, "A-1", levels([level(1)])), item(2, None, levels([level(1)]))], "after 2"),
            stocked([item(3, "A", levels([level(1)]))]),
        ]
    )
    assert await vendor.shopify.stock(["A"]) == [row("A", 1)]
    assert vendor.asked[1] == {"query": '(sku:"A")', "first": 10, "after": "after 2", "levels": 15}


async def test_several_things_of_one_sku_are_counted_together_at_each_place() -> None:
    kept = [levels([level(1, 2), level(2, 3)]), levels([level(2, -1)])]
    shopify = answering(stocked([item(1, "A", kept[0]), item(2, "A", kept[1])]))
    assert await shopify.stock(["A"]) == [row("A", 1, 2), row("A", 2, 2)]


async def test_an_item_that_is_deleted_meanwhile_keeps_the_places_read_so_far() -> None:
    vendor = Scripted([stocked([item(1, "A", levels([level(1)], "after 1"))]), {"inventoryItem": None}])
    assert await vendor.shopify.stock(["A"]) == [row("A", 1)]


async def test_a_level_without_one_of_its_quantities_is_not_guessed_at() -> None:
    missing: dict[str, Any] = {**level(1), "quantities": []}
    with pytest.raises(MalformedAnswer):
        await answering(stocked([item(1, "A", levels([missing]))])).stock(["A"])
