"""What the sandbox is asked to write down, checked as QuickBooks does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from backoffice_billing.backends.quickbooks.sandbox.records import (
    ACCOUNTS,
    BAD_DEBTS,
    FIRST_PRODUCT,
    SERVICES,
    Customer,
    Part,
    SaleLine,
    Txn,
)
from backoffice_billing.backends.quickbooks.sandbox.refusals import (
    Refused,
    broken_rule,
    missing,
    no_such,
    too_long,
)
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, exponent
from backoffice_shared.sandbox.company import Company

NO_TAX, TEN_PERCENT = "2", "3"
TAX_CODES = {NO_TAX: ("Out of state", ()), TEN_PERCENT: ("Sales tax", ("30",))}
"""Ids, with names and rates."""
TAX_RATES = {"30": ("Sales tax", Decimal(10))}
_LINKS = {"Invoice": "Invoice", "CreditMemo": "CreditMemo"}


def items_of(company: Company) -> dict[str, tuple[str, int]]:
    """Names and prices in cents, by id."""
    products = {str(FIRST_PRODUCT + product.number): (product.title, product.price) for product in company.products}
    return {SERVICES: ("Services", 0), BAD_DEBTS: ("Bad debts", 0), **products}


def header(txn: Txn, wire: Mapping[str, Any], customer: Customer) -> None:
    currency = obj(wire.get("CurrencyRef")).get("value", txn.currency)
    if currency != customer.currency:
        raise broken_rule(f"The currency of the transaction is invalid for the customer, whose is {customer.currency}.")
    if "TxnDate" in wire:
        txn.date = day(wire["TxnDate"])
    if "PrivateNote" in wire:
        txn.note = text(wire, "PrivateNote", 4000) or ""
    if "DocNumber" in wire:
        txn.number = text(wire, "DocNumber", 21)
    if "DepositToAccountRef" in wire:
        txn.account = str(obj(wire["DepositToAccountRef"]).get("value"))
        if txn.account not in ACCOUNTS:
            raise no_such("Accounts", txn.account[:40])


def payment(txn: Txn, wire: Mapping[str, Any]) -> None:
    if "TotalAmt" not in wire and not txn.id:
        raise missing("TotalAmt")
    if "TotalAmt" in wire:
        txn.net = minor(wire["TotalAmt"], txn.currency)
        if txn.net < 0:
            raise broken_rule("You must set a transaction amount.")
    if "PaymentRefNum" in wire:
        txn.reference = text(wire, "PaymentRefNum", 21)
    if "Line" in wire:
        txn.parts = [_part(line, txn.currency) for line in map(obj, arr(wire["Line"]))]


def unapplied(txn: Txn) -> int:
    """What is left of a payment and of the credits that it uses."""
    return txn.net - sum(part.amount if part.kind == "Invoice" else -part.amount for part in txn.parts)


def _part(line: Mapping[str, Any], currency: str) -> Part:
    link = obj(next(iter(arr(line.get("LinkedTxn"))), None))
    kind = _LINKS.get(str(link.get("TxnType")))
    if kind is None or "Amount" not in line:
        raise missing("Line.LinkedTxn")
    native = str(link.get("TxnId"))
    if not native.isdecimal():
        raise no_such("Transaction", native[:40])
    return Part("Invoice" if kind == "Invoice" else "CreditMemo", int(native), minor(line["Amount"], currency))


def sale(txn: Txn, wire: Mapping[str, Any], items: Mapping[str, object]) -> None:
    if not txn.id and not arr(wire.get("Line")):
        raise missing("Line")
    if txn.kind == "RefundReceipt" and txn.account is None:
        raise missing("DepositToAccountRef")
    if "CustomerMemo" in wire:
        txn.memo = text(obj(wire["CustomerMemo"]), "value", 1000)
    if "BillEmail" in wire:
        txn.email = text(obj(wire["BillEmail"]), "Address", 100)
    if "DueDate" in wire or (txn.kind == "Invoice" and txn.due is None):
        txn.due = day(wire.get("DueDate", txn.date.isoformat()))
    if txn.kind == "Estimate":
        txn.status = str(wire.get("TxnStatus", txn.status or "Pending"))
        if txn.status not in ("Pending", "Accepted", "Closed", "Rejected"):
            raise Refused(2170, f"Invalid Enumeration : {txn.status}", "TxnStatus")
    if "Line" in wire:
        txn.written = [
            _line(n, line, txn.currency, items)
            for n, line in enumerate((obj(each) for each in arr(wire["Line"])), 1)
            if line.get("DetailType") != "SubTotalLineDetail"
        ]
        txn.source = ()
        txn.net = sum(line.amount for line in txn.written)
        _tax(txn, obj(wire.get("TxnTaxDetail")))
    if txn.total < 0:
        raise broken_rule("The transaction amount must be 0 or greater.")


def _line(n: int, line: Mapping[str, Any], currency: str, items: Mapping[str, object]) -> SaleLine:
    if line.get("DetailType") not in ("SalesItemLineDetail", "DescriptionOnly"):
        raise Refused(2170, f"Invalid Enumeration : {line.get('DetailType')}", "DetailType")
    if "Amount" not in line:
        raise missing("Line.Amount")
    detail = obj(line.get("SalesItemLineDetail"))
    item = str(obj(detail.get("ItemRef")).get("value", SERVICES))
    if item not in items:
        raise no_such("Item", item[:40])
    code = str(obj(detail.get("TaxCodeRef")).get("value", "NON"))
    if code not in ("TAX", "NON"):
        raise Refused(6100, f"Valid Line TaxCodes for US should be TAX or NON. Supplied value:{code:.40}")
    amount = minor(line["Amount"], currency)
    quantity, unit = _decimal(detail.get("Qty")), _decimal(detail.get("UnitPrice"))
    if quantity is not None and unit is not None and (quantity * unit).scaleb(exponent(currency)) != amount:
        raise Refused(6070, f"Amount is not equal to UnitPrice * Qty. Supplied value:{line['Amount']}")
    said = text(line, "Description", 4000) or ""
    return SaleLine(n, said, amount, quantity, unit, item, code)


def _tax(txn: Txn, detail: Mapping[str, Any]) -> None:
    """What the request says, or the rates of its code on all that is taxed."""
    code = obj(detail.get("TxnTaxCodeRef")).get("value")
    if code is not None and str(code) not in TAX_CODES:
        raise no_such("TaxCode", code)
    txn.tax_code = None if code is None else str(code)
    taxed = sum(line.amount for line in txn.written if line.tax_code == "TAX")
    if "TotalTax" in detail:
        txn.tax = minor(detail["TotalTax"], txn.currency)
        return
    _, rates = TAX_CODES.get(txn.tax_code or NO_TAX, ("", ()))
    percent = sum((TAX_RATES[rate][1] for rate in rates), Decimal(0))
    txn.tax = Money(amount=taxed, currency=txn.currency).share(int(percent), 100).amount


def minor(value: object, currency: str) -> int:
    exact = _decimal(value)
    if exact is None:
        raise Refused(2030, f"Invalid Number : {value!s:.40}")
    scaled = exact.scaleb(exponent(currency))
    if scaled != scaled.to_integral_value() or abs(scaled) > 10**15:
        raise Refused(2030, f"Invalid Number : {value!s:.40}")
    return int(scaled)


def text(wire: Mapping[str, Any], name: str, most: int) -> str | None:
    value = wire.get(name)
    if value is None:
        return None
    if len(str(value)) > most:
        raise too_long(name, most, len(str(value)))
    return str(value)


def day(value: object) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise Refused(2030, f"Invalid Number : {value!s:.40} is no date") from None


def _decimal(value: object) -> Decimal | None:
    if value is None or isinstance(value, bool):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise Refused(2030, f"Invalid Number : {value!s:.40}") from None
    if not found.is_finite():
        raise Refused(2030, f"Invalid Number : {value!s:.40}")
    return found
