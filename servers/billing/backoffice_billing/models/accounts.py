"""A customer's account with one system: what they owe there, and how they pay."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import BaseModel

from backoffice_shared.envelope import Listing
from backoffice_shared.money import Money

AccountSection = Literal["balance", "overdue", "credit", "methods", "subscriptions"]


class Overdue(BaseModel):
    """Of one currency: how much, on how many invoices, and for how many days the oldest."""

    amount: Money
    count: int
    oldest_days: int


class Method(BaseModel):
    """A saved way to pay. `kind` is "card" or the kind of debit; `exp` is `2031-04`."""

    method_id: str
    kind: str
    brand: str | None = None
    last4: str | None = None
    exp: str | None = None
    is_default: bool = False


class Subscription(BaseModel):
    subscription_id: str
    plan: str
    status: str
    amount: Money | None = None
    renews_at: date | None = None


class Account(BaseModel):
    """`balances` are what is owed on issued invoices, `credit` what the company owes them; each by currency. A section that
    was not asked for is None.

    One debt may be in the payment provider and in a ledger: accounts of one customer are never added up.
    """

    customer_id: str
    name: str | None = None
    email: str | None = None
    balances: list[Money] | None = None
    overdue: list[Overdue] | None = None
    credit: list[Money] | None = None
    methods: list[Method] | None = None
    subscriptions: list[Subscription] | None = None
    url: str | None = None


class Accounts(Listing[Account]):
    """`not_found`: those of the ids asked for that no system has."""

    not_found: list[str] = []
