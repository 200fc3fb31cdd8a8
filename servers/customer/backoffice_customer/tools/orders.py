"""Orders, and what is in stock."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from backoffice_customer.models import (
    Cursor,
    CustomerId,
    Fields,
    FulfilmentStatus,
    Limit,
    Moment,
    Order,
    OrderId,
    OrderRow,
    PaymentStatus,
    Stock,
)
from backoffice_customer.ports import OrderQuery, OrderSection
from backoffice_customer.services import TheInventory, TheOrders
from backoffice_shared.envelope import Listing
from backoffice_shared.mcp.tool import READ, tool


@tool(READ, scope="customer:read", toolset="commerce", needs="orders")
async def search_orders(
    orders: TheOrders,
    customer_id: CustomerId | None = None,
    order_number: Annotated[str, Field(min_length=1, max_length=40, description="As people write it: #1042")]
    | None = None,
    email: Annotated[str, Field(max_length=254, pattern="^[^@ ]+@[^@ ]+$")] | None = None,
    payment_status: list[PaymentStatus] | None = None,
    fulfilment_status: list[FulfilmentStatus] | None = None,
    sku: Annotated[str, Field(max_length=80)] | None = None,
    since: Moment | None = None,
    limit: Limit = 10,
    cursor: Cursor | None = None,
    fields: Fields | None = None,
) -> Listing[OrderRow]:
    """Find orders by customer, number, status, SKU or date, newest first."""
    wanted = OrderQuery(
        number=order_number,
        email=email,
        payment=tuple(payment_status or ()),
        fulfilment=tuple(fulfilment_status or ()),
        sku=sku,
        since=since,
    )
    found = await orders.search(wanted, customer_id=customer_id, limit=limit, cursor=cursor)
    return found.only(fields, OrderRow, always="order_id")


@tool(READ, scope="customer:read", toolset="commerce", needs="orders")
async def get_order(orders: TheOrders, order_id: OrderId, include: list[OrderSection] | None = None) -> Order:
    """One order: lines and what is refundable; on request shipments with tracking, payments, refunds, returns."""
    return await orders.get(order_id, frozenset(include or ()))


@tool(READ, scope="customer:read", toolset="commerce", needs="stock", personal=False)
async def check_inventory(
    inventory: TheInventory,
    skus: Annotated[list[Annotated[str, Field(min_length=1, max_length=80)]], Field(min_length=1, max_length=50)],
    location: Annotated[str, Field(min_length=1, max_length=120)] | None = None,
) -> Stock:
    """Stock by SKU and location."""
    return await inventory.check(skus, location)


TOOLS = (search_orders, get_order, check_inventory)
