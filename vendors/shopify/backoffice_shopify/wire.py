"""What every part of Shopify's wire has in common: ids, money, times, pages, and addresses in its admin."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from backoffice_shared.money import Money, from_decimal
from backoffice_shared.refs import Ref
from backoffice_shopify.backend import SHOPIFY


def gid(kind: str, native: str) -> str:
    return f"gid://shopify/{kind}/{native}"


def native(gid: str) -> str:
    """`123` of `gid://shopify/Customer/123`."""
    return gid.rsplit("/", 1)[1]


def ref(kind: str, wire: Any) -> str:
    return str(Ref(SHOPIFY.name, kind, native(wire["id"])))


def numbers(natives: Iterable[str]) -> list[str]:
    """Those that can be ids of this vendor: its ids are numbers of 64 bits."""
    return [native for native in natives if native.isascii() and native.isdecimal() and len(native) < 20]


def time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shop_money(wire: Any) -> Money:
    """A `MoneyBag` in the shop's own currency, which is what its accounts are kept in."""
    return money(wire["shopMoney"])


def paid_money(wire: Any) -> Money:
    """A `MoneyBag` in the currency that the customer paid in."""
    return money(wire["presentmentMoney"])


def money(wire: Any) -> Money:
    return from_decimal(wire["amount"], wire["currencyCode"])


def is_cut(connection: Any) -> bool:
    return connection["pageInfo"]["hasNextPage"]


def following(connection: Any) -> str | None:
    """The cursor of the page after this one, if there is one."""
    return connection["pageInfo"]["endCursor"] if is_cut(connection) else None


def in_admin(shop: Any, things: str, native: str) -> str:
    return f"https://{shop['myshopifyDomain']}/admin/{things}/{native}"
