"""What an organisation in Xero's sandbox has: contacts, invoices and credit notes, payments, allocations. Plain
facts, which never change: what is changed is replaced. Amounts are in minor units of the document's currency.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

from backoffice_shared.sandbox.books import BANK, CHART, CLEARING, RECEIVABLE, SALES, TAX, LedgerAccount

Type = Literal["ACCREC", "ACCPAY", "ACCRECCREDIT"]
Status = Literal["DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED"]

BASE = "EUR"
RATES = {
    BASE: Decimal(1),
    "GBP": Decimal("0.85"),
    "USD": Decimal("1.08"),
    "CHF": Decimal("0.95"),
    "JPY": Decimal("162.5"),
    "KWD": Decimal("0.33"),
}
"""So much of a currency is one of the base currency. The organisation is subscribed to these, and rates never
change.
"""

TAXES = {
    "NONE": ("Tax Exempt", Decimal(0)),
    "ZERORATEDOUTPUT": ("Zero Rated Income", Decimal(0)),
    "OUTPUT2": ("20% (VAT on Income)", Decimal(20)),
    "TAX001": ("19% VAT on Income (DE)", Decimal(19)),
    "RROUTPUT": ("5% (VAT on Income)", Decimal(5)),
}

PAYABLE = LedgerAccount("800", "Accounts payable", "liability")
ACCOUNTS = {account.code: account for account in (*CHART, PAYABLE)}
_TYPES = {
    BANK: "BANK",
    CLEARING: "CURRENT",
    RECEIVABLE: "CURRENT",
    PAYABLE: "CURRLIAB",
    TAX: "CURRLIAB",
    SALES: "REVENUE",
}


def account_type(account: LedgerAccount) -> str:
    return _TYPES.get(account, "EXPENSE")


def takes_payments(account: LedgerAccount) -> bool:
    return account in (BANK, CLEARING)


def takes_lines(account: LedgerAccount) -> bool:
    return account not in (BANK, CLEARING, RECEIVABLE, PAYABLE, TAX)


KINDS = {
    "contact": "c0a7ac70",
    "invoice": "1a701ce0",
    "credit": "c4ed1700",
    "payment": "9a73e270",
    "line": "11ae0000",
    "allocation": "a110c000",
    "account": "acc00000",
    "organisation": "06a10000",
    "request": "4e9e5700",
}


FIRST_NEW = 0x1000_0000
"""Of what is made in the sandbox: above all numbers of the company's facts."""


def make_id(kind: str, number: int) -> str:
    """In the form of Xero's, which are UUIDs."""
    return f"{KINDS[kind]}-0000-4000-8000-{number:012x}"


@dataclass(frozen=True, slots=True)
class Contact:
    id: str
    name: str
    first_name: str
    last_name: str
    email: str
    archived: bool
    tax_type: str
    updated: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """Only words where it has no `account`."""

    id: str
    text: str
    quantity: Decimal | None
    unit: Decimal | None
    net: int
    tax: int
    account: str | None
    tax_type: str | None


@dataclass(frozen=True, slots=True)
class Document:
    """An invoice, a bill, or a credit note. `inclusive`: its line amounts are shown with tax."""

    id: str
    type: Type
    number: str
    contact: str
    currency: str
    status: Status
    date: date
    due: date | None
    reference: str
    lines: tuple[Line, ...]
    updated: datetime
    sent: bool = False
    inclusive: bool = False

    @property
    def is_credit(self) -> bool:
        return self.type == "ACCRECCREDIT"

    @property
    def net(self) -> int:
        return sum(line.net for line in self.lines)

    @property
    def tax(self) -> int:
        return sum(line.tax for line in self.lines)

    @property
    def total(self) -> int:
        return self.net + self.tax

    @property
    def is_posted(self) -> bool:
        return self.status in ("AUTHORISED", "PAID")


@dataclass(frozen=True, slots=True)
class Payment:
    id: str
    document: str
    amount: int
    date: date
    reference: str
    account: str
    updated: datetime
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Allocation:
    id: str
    credit: str
    invoice: str
    amount: int
    date: date


@dataclass(frozen=True, slots=True)
class Note:
    """A line in the history of a document."""

    at: datetime
    changes: str
    details: str
