"""What the sandbox keeps, and how QuickBooks writes it down."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from backoffice_billing.backends.quickbooks.amounts import number
from backoffice_shared.money import Money, exponent, to_decimal
from backoffice_shared.sandbox import books

Kind = Literal["Invoice", "Estimate", "CreditMemo", "RefundReceipt", "Payment"]
KINDS: tuple[Kind, ...] = ("Invoice", "Estimate", "CreditMemo", "RefundReceipt", "Payment")
HOME = "USD"
SERVICES, BAD_DEBTS, FIRST_PRODUCT = "1", "2", 11
"""Ids of items."""

_NAMES = {"USD": "United States Dollar", "JPY": "Japanese Yen", "KWD": "Kuwaiti Dinar", "EUR": "Euro"}

ACCOUNTS = {
    "35": books.BANK,
    "91": books.CLEARING,
    "84": books.RECEIVABLE,
    "25": books.TAX,
    "79": books.SALES,
    "60": books.BAD_DEBT,
    "61": books.FEES,
}
"""The chart of accounts, by QuickBooks' ids."""
PARENTS = {books.CLEARING: books.BANK}
"""Accounts that are under another, on which something is entered, too."""


def full_name(account: books.LedgerAccount) -> str:
    parent = PARENTS.get(account)
    return account.name if parent is None else f"{full_name(parent)}:{account.name}"


@dataclass(slots=True)
class SaleLine:
    """`amount` in minor units, without tax."""

    id: int
    text: str
    amount: int
    quantity: Decimal | None = None
    unit: Decimal | None = None
    item: str | None = SERVICES
    tax_code: str = "NON"


@dataclass(slots=True)
class Part:
    """What a payment is applied to, in minor units."""

    kind: Literal["Invoice", "CreditMemo"]
    id: int
    amount: int


@dataclass(slots=True, eq=False)
class Txn:
    """A transaction, its amounts in minor units. `balance` is what is due on an invoice, left of a credit memo, and
    not applied of a payment. `source` are the lines of the fictional company's own invoice, until somebody looks at
    them.
    """

    kind: Kind
    id: int
    customer: int
    date: date
    currency: str
    created: datetime
    updated: datetime
    sync: int = 0
    number: str | None = None
    due: date | None = None
    net: int = 0
    tax: int = 0
    balance: int = 0
    note: str = ""
    memo: str | None = None
    email: str | None = None
    emailed: bool = False
    status: str | None = None
    tax_code: str | None = None
    account: str | None = None
    reference: str | None = None
    links: list[tuple[Kind, int]] = field(default_factory=list[tuple[Kind, int]])
    parts: list[Part] = field(default_factory=list[Part])
    source: tuple[books.Line, ...] = ()
    written: list[SaleLine] = field(default_factory=list[SaleLine])

    @property
    def total(self) -> int:
        return self.net + self.tax

    @property
    def lines(self) -> list[SaleLine]:
        if not self.written and self.source:
            places = exponent(self.currency)
            self.written = [
                SaleLine(
                    id=n,
                    text=line.text,
                    amount=line.net,
                    quantity=Decimal(line.quantity),
                    unit=Decimal(line.unit).scaleb(-places),
                    tax_code="TAX" if line.tax else "NON",
                )
                for n, line in enumerate(self.source, 1)
            ]
        return self.written

    def become(self, other: Txn) -> None:
        """All that the other is."""
        for each in fields(self):
            setattr(self, each.name, getattr(other, each.name))

    @property
    def is_void(self) -> bool:
        return self.note.startswith("Voided") and not self.total


@dataclass(slots=True, eq=False)
class Customer:
    id: int
    name: str
    given: str
    family: str
    email: str | None
    company: str | None
    currency: str
    created: datetime
    sync: int = 0
    active: bool = True


def written(txn: Txn, customer: Customer, *, pay_link: bool = False) -> dict[str, Any]:
    """As JSON. What has no value is left out."""
    shared: dict[str, Any] = {
        "Id": str(txn.id),
        "SyncToken": str(txn.sync),
        "MetaData": {"CreateTime": _at(txn.created), "LastUpdatedTime": _at(txn.updated)},
        "domain": "QBO",
        "sparse": False,
        "TxnDate": txn.date.isoformat(),
        "CurrencyRef": {"value": txn.currency, "name": _NAMES.get(txn.currency, txn.currency)},
        "CustomerRef": {"value": str(customer.id), "name": customer.name},
        "TotalAmt": amount(txn.total, txn.currency),
    }
    if txn.currency != HOME:
        shared["ExchangeRate"] = _rate(txn.currency)
    if txn.note:
        shared["PrivateNote"] = txn.note
    return shared | (_payment(txn) if txn.kind == "Payment" else _sale(txn, pay_link=pay_link))


def _payment(txn: Txn) -> dict[str, Any]:
    return {
        "UnappliedAmt": amount(txn.balance, txn.currency),
        "ProcessPayment": False,
        "Line": [
            {
                "Amount": amount(part.amount, txn.currency),
                "LinkedTxn": [{"TxnId": str(part.id), "TxnType": part.kind}],
            }
            for part in txn.parts
        ],
        **({"DepositToAccountRef": {"value": txn.account}} if txn.account else {}),
        **({"PaymentRefNum": txn.reference} if txn.reference else {}),
    }


def _sale(txn: Txn, *, pay_link: bool) -> dict[str, Any]:
    tax: dict[str, Any] = {"TotalTax": amount(txn.tax, txn.currency)}
    if txn.tax_code:
        tax["TxnTaxCodeRef"] = {"value": txn.tax_code}
    wire: dict[str, Any] = {
        "CustomField": [],
        "LinkedTxn": [{"TxnId": str(native), "TxnType": kind} for kind, native in txn.links],
        "Line": [*(_line(n, line, txn.currency) for n, line in enumerate(txn.lines, 1)), _subtotal(txn)],
        "TxnTaxDetail": tax,
        "ApplyTaxAfterDiscount": False,
        "PrintStatus": "NeedToPrint",
        "EmailStatus": "EmailSent" if txn.emailed else "NotSet",
    }
    if txn.number is not None:
        wire["DocNumber"] = txn.number
    if txn.memo is not None:
        wire["CustomerMemo"] = {"value": txn.memo}
    if txn.email is not None:
        wire["BillEmail"] = {"Address": txn.email}
    if txn.due is not None:
        wire["DueDate"] = txn.due.isoformat()
    if txn.emailed:
        wire["DeliveryInfo"] = {"DeliveryType": "Email", "DeliveryTime": _at(txn.updated)}
    match txn.kind:
        case "Estimate":
            wire["TxnStatus"] = txn.status
        case "Invoice":
            wire |= {"Balance": amount(txn.balance, txn.currency), "Deposit": 0, "AllowOnlinePayment": False}
            if pay_link:
                wire["InvoiceLink"] = f"https://connect.intuit.com/t/scs-v1-sandbox-{txn.id}"
        case "CreditMemo":
            left = amount(txn.balance, txn.currency)
            wire |= {"Balance": left, "RemainingCredit": left}
        case _:
            wire |= {"Balance": 0, "DepositToAccountRef": {"value": txn.account}}
    return wire


def _line(n: int, line: SaleLine, currency: str) -> dict[str, Any]:
    detail: dict[str, Any] = {"TaxCodeRef": {"value": line.tax_code}}
    if line.item is not None:
        detail["ItemRef"] = {"value": line.item}
    if line.quantity is not None:
        detail["Qty"] = _plain(line.quantity)
    if line.unit is not None:
        detail["UnitPrice"] = _plain(line.unit)
    return {
        "Id": str(line.id),
        "LineNum": n,
        **({"Description": line.text} if line.text else {}),
        "Amount": amount(line.amount, currency),
        "DetailType": "SalesItemLineDetail",
        "SalesItemLineDetail": detail,
    }


def _subtotal(txn: Txn) -> dict[str, Any]:
    return {
        "Amount": amount(txn.net, txn.currency),
        "DetailType": "SubTotalLineDetail",
        "SubTotalLineDetail": {},
    }


def customer_written(customer: Customer, balance: int) -> dict[str, Any]:
    return {
        "Id": str(customer.id),
        "SyncToken": str(customer.sync),
        "MetaData": {"CreateTime": _at(customer.created), "LastUpdatedTime": _at(customer.created)},
        "domain": "QBO",
        "sparse": False,
        "DisplayName": customer.name,
        "FullyQualifiedName": customer.name,
        "GivenName": customer.given,
        "FamilyName": customer.family,
        "Active": customer.active,
        "Taxable": customer.currency != HOME,
        "Job": False,
        "Balance": amount(balance, customer.currency),
        "CurrencyRef": {"value": customer.currency, "name": _NAMES.get(customer.currency, customer.currency)},
        **({"CompanyName": customer.company} if customer.company else {}),
        **({"PrimaryEmailAddr": {"Address": customer.email}} if customer.email else {}),
    }


def amount(minor: int, currency: str) -> int | float:
    return number(Money(amount=minor, currency=currency))


def text(minor: int, currency: str) -> str:
    """As reports have it: "37.50"."""
    return to_decimal(Money(amount=minor, currency=currency))


def _rate(currency: str) -> float:
    """What one is worth in the home currency: the sandbox has it that a minor unit of anything is worth a cent, so
    that its books translate without rounding.
    """
    return float(Decimal(10) ** (exponent(currency) - exponent(HOME)))


def _plain(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _at(when: datetime) -> str:
    return when.isoformat(timespec="seconds")
