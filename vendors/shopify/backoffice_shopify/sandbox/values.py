"""Values as Shopify writes them: ids, times, money."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from graphql import GraphQLError

from backoffice_shared.money import Money, to_decimal
from backoffice_shopify.sandbox.connections import Record


def identity(kind: str, number: int) -> Record:
    return {"id": f"gid://shopify/{kind}/{number}", "legacyResourceId": str(number)}


def parts(gid: str) -> tuple[str, int]:
    """The kind and the number of an id."""
    found = re.fullmatch(r"gid://shopify/(\w+)/(\d{1,19})", gid, re.ASCII)
    if found is None:
        raise GraphQLError(f"Invalid global id '{gid}'", extensions={"code": "INVALID_VARIABLE"})
    return found[1], int(found[2])


def time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def money(amount: int, currency: str) -> Record:
    """`amount` in minor units."""
    return {"amount": to_decimal(Money(amount=amount, currency=currency)), "currencyCode": currency}


def bag(amount: int, currency: str) -> Record:
    """The company sells in its own currency alone."""
    both = money(amount, currency)
    return {"shopMoney": both, "presentmentMoney": both}
