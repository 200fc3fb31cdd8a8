"""Orders, what became of them, and what is in stock."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel

from backoffice_shared.envelope import Answer, Listing
from backoffice_shared.money import Money

PaymentStatus = Literal["pending", "paid", "partially_refunded", "refunded", "voided"]
FulfilmentStatus = Literal["unfulfilled", "partial", "fulfilled"]


class OrderRow(BaseModel):
    on_request: ClassVar = frozenset({"url"})

    order_id: str
    number: str
    placed_at: datetime
    total: Money
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    items_count: int
    customer_id: str | None = None
    url: str | None = None


class OrderLine(BaseModel):
    """Quantities: ordered, not yet shipped, and still refundable."""

    sku: str | None = None
    title: str
    qty: int
    fulfillable_qty: int
    refundable_qty: int
    unit: Money


class Shipment(BaseModel):
    status: str
    carrier: str | None = None
    tracking: str | None = None
    tracking_url: str | None = None
    eta: datetime | None = None
    location: str | None = None


class Payment(BaseModel):
    at: datetime
    kind: str
    status: str
    amount: Money
    gateway: str | None = None


class Refund(BaseModel):
    refund_id: str
    at: datetime | None = None
    amount: Money
    note: str | None = None


class ReturnedLine(BaseModel):
    title: str
    qty: int
    reason: str | None = None


class Return(BaseModel):
    return_id: str
    status: str
    lines: list[ReturnedLine] = []


class Order(Answer):
    """`cancelled_at`: then it will not be shipped."""

    order_id: str
    number: str
    placed_at: datetime
    cancelled_at: datetime | None = None
    total: Money
    refundable: Money | None = None
    payment_status: PaymentStatus
    fulfilment_status: FulfilmentStatus
    customer_id: str | None = None
    email: str | None = None
    url: str | None = None
    lines: list[OrderLine] = []
    shipments: list[Shipment] | None = None
    payments: list[Payment] | None = None
    refunds: list[Refund] | None = None
    returns: list[Return] | None = None


class StockRow(BaseModel):
    """What one place has of a SKU: free to sell, in the house, promised to orders, on its way there."""

    sku: str
    location: str
    available: int
    on_hand: int
    committed: int
    incoming: int
    next_incoming_at: datetime | None = None


class Stock(Listing[StockRow]):
    """`unknown` are SKUs that no shop has."""

    unknown: list[str] = []
