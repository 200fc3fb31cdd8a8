"""QuickBooks' records, read into what the adapter works with. What the wire leaves out has no value there.

Shapes: the XSD files of Intuit's own SDK (Finance.xsd, SDK of October 2024), as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from backoffice_billing.backends.quickbooks import marks
from backoffice_billing.backends.quickbooks.amounts import decimal, money, quantity, reference
from backoffice_shared.http.client import T
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, exponent, nothing

Entity = Literal["Invoice", "Estimate", "CreditMemo", "RefundReceipt"]


@dataclass(frozen=True, slots=True)
class Facts:
    """Of the company: its home currency, whether it has others, the code of its usual sales tax, and whether it numbers
    its documents itself, so that QuickBooks gives no number unless it is told to."""

    home: str
    several: bool
    american: bool
    usual_tax: str | None
    own_numbers: bool


@dataclass(frozen=True, slots=True)
class Line:
    """`wire` is what a copy of it is made of. `taxed`: its tax code is not the one for no tax."""

    id: str | None
    text: str
    quantity: str
    unit: Money | None
    amount: Money
    tax_code: str | None
    wire: Mapping[str, Any]

    @property
    def taxed(self) -> bool:
        return self.tax_code not in (None, "NON")


@dataclass(frozen=True, slots=True)
class Sale:
    """An invoice, an estimate, a credit memo or a refund receipt. `links` are (type, id); `balance` is what is still
    due on an invoice, or still to be used of a credit memo.
    """

    entity: Entity
    id: str
    sync: str
    number: str | None
    customer: str
    customer_name: str | None
    date: date
    due: date | None
    total: Money
    tax: Money
    balance: Money
    note: str
    memo: str | None
    status: str | None
    email: str | None
    emailed: bool
    links: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    tax_code: str | None
    tax_calculation: str | None
    updated: datetime
    pay_link: str | None

    @property
    def currency(self) -> str:
        return self.total.currency

    @property
    def voided(self) -> bool:
        """QuickBooks zeroes what is voided, and writes "Voided" before its note."""
        return not self.total and self.note.lower().startswith("voided")

    def linked(self, kind: str) -> list[str]:
        return [native for type_, native in self.links if type_ == kind]


@dataclass(frozen=True, slots=True)
class Receipt:
    """A payment. `parts` are what it is applied to: (type, id, amount). One of nothing joins credits to invoices."""

    id: str
    customer: str
    date: date
    total: Money
    unapplied: Money
    note: str
    reference: str | None
    parts: tuple[tuple[str, str, Money], ...]

    @property
    def voided(self) -> bool:
        return not self.total and self.note.lower().startswith("voided")


@dataclass(frozen=True, slots=True)
class Buyer:
    """A customer. `balance` is what they owe, less what they are owed."""

    id: str
    name: str | None
    emails: tuple[str, ...]
    currency: str
    balance: Money
    active: bool


@dataclass(frozen=True, slots=True)
class Item:
    id: str
    name: str
    price: Money | None


def found(answer: Any, *, entity: str, each: Callable[[Any], T]) -> list[T]:
    return [each(wire) for wire in answer["QueryResponse"].get(entity, [])]


def one(answer: Any, *, entity: str, each: Callable[[Any], T]) -> T:
    return each(answer[entity])


def counted(answer: Any) -> int:
    return int(answer["QueryResponse"].get("totalCount", 0))


def preferences(answer: Any) -> tuple[str, bool, str | None, bool]:
    """Home currency, whether there are others, usual sales tax, own numbers."""
    wire = answer["QueryResponse"]["Preferences"][0]
    currencies = wire["CurrencyPrefs"]
    usual = reference(obj(wire.get("TaxPrefs")).get("TaxGroupCodeRef"))
    own = obj(wire.get("SalesFormsPrefs")).get("CustomTxnNumbers") is True
    return str(currencies["HomeCurrency"]["value"]), currencies.get("MultiCurrencyEnabled") is True, usual, own


def country(answer: Any) -> str:
    return str(answer["QueryResponse"]["CompanyInfo"][0].get("Country", ""))


def sale(wire: Any, *, entity: Entity, home: str) -> Sale:
    currency = reference(wire.get("CurrencyRef")) or home
    tax = obj(wire.get("TxnTaxDetail"))
    memo = obj(wire.get("CustomerMemo")).get("value")
    left = wire.get("RemainingCredit", wire.get("Balance", 0)) if entity == "CreditMemo" else wire.get("Balance", 0)
    return Sale(
        entity=entity,
        id=str(wire["Id"]),
        sync=str(wire["SyncToken"]),
        number=wire.get("DocNumber") or None,
        customer=str(wire["CustomerRef"]["value"]),
        customer_name=wire["CustomerRef"].get("name"),
        date=date.fromisoformat(wire["TxnDate"]),
        due=date.fromisoformat(wire["DueDate"]) if wire.get("DueDate") else None,
        total=money(wire["TotalAmt"], currency),
        tax=money(tax.get("TotalTax", 0), currency),
        balance=money(left, currency),
        note=str(wire.get("PrivateNote", "")),
        memo=None if memo is None else str(memo),
        status=wire.get("TxnStatus"),
        email=obj(wire.get("BillEmail")).get("Address"),
        emailed=wire.get("EmailStatus") == "EmailSent",
        links=tuple((str(link["TxnType"]), str(link["TxnId"])) for link in arr(wire.get("LinkedTxn"))),
        lines=tuple(_lines(wire["Line"], currency)),
        tax_code=reference(tax.get("TxnTaxCodeRef")),
        tax_calculation=wire.get("GlobalTaxCalculation"),
        updated=datetime.fromisoformat(wire["MetaData"]["LastUpdatedTime"]),
        pay_link=wire.get("InvoiceLink"),
    )


def _lines(wires: Any, currency: str) -> list[Line]:
    lines: list[Line] = []
    for wire in wires:
        kind = wire["DetailType"]
        if kind in ("SubTotalLineDetail", "TaxLineDetail"):
            continue
        detail = obj(wire.get("SalesItemLineDetail"))
        amount = money(wire.get("Amount", 0), currency)
        price = detail.get("UnitPrice")
        text = wire.get("Description") or obj(detail.get("ItemRef")).get("name") or _NAMES.get(kind, "")
        lines.append(
            Line(
                id=wire.get("Id"),
                text=str(text),
                quantity=quantity(detail["Qty"]) if "Qty" in detail else "1",
                unit=None if price is None else _unless_finer(decimal(price), currency),
                amount=-amount if kind == "DiscountLineDetail" else amount,
                tax_code=reference(detail.get("TaxCodeRef")),
                wire=wire,
            )
        )
    return lines


_NAMES = {"DiscountLineDetail": "Discount"}


def _unless_finer(price: Decimal, currency: str) -> Money | None:
    """A unit may cost a fraction of a cent."""
    minor = price.scaleb(exponent(currency))
    return Money(amount=int(minor), currency=currency) if minor == minor.to_integral_value() else None


def receipt(wire: Any, *, home: str) -> Receipt:
    currency = reference(wire.get("CurrencyRef")) or home
    return Receipt(
        id=str(wire["Id"]),
        customer=str(wire["CustomerRef"]["value"]),
        date=date.fromisoformat(wire["TxnDate"]),
        total=money(wire["TotalAmt"], currency),
        unapplied=money(wire.get("UnappliedAmt", 0), currency),
        note=str(wire.get("PrivateNote", "")),
        reference=wire.get("PaymentRefNum"),
        parts=tuple(
            (str(link["TxnType"]), str(link["TxnId"]), money(line["Amount"], currency))
            for line in arr(wire.get("Line"))
            for link in line["LinkedTxn"][:1]
        ),
    )


def buyer(wire: Any, *, home: str) -> Buyer:
    currency = reference(wire.get("CurrencyRef")) or home
    address = str(obj(wire.get("PrimaryEmailAddr")).get("Address", ""))
    name = wire.get("DisplayName") or wire.get("FullyQualifiedName")
    return Buyer(
        id=str(wire["Id"]),
        name=None if name is None else str(name),
        emails=tuple(part.strip() for part in address.split(",") if part.strip()),
        currency=currency,
        balance=money(wire.get("Balance", 0), currency),
        active=wire.get("Active") is not False,
    )


def item(wire: Any, *, home: str) -> Item:
    price = wire.get("UnitPrice")
    return Item(
        str(wire["Id"]), str(wire.get("Name", "")), None if price is None else _unless_finer(decimal(price), home)
    )


def rates_of(wire: Any) -> tuple[str, tuple[str, ...]]:
    """A tax code, and the rates that it is made of."""
    details = arr(obj(wire.get("SalesTaxRateList")).get("TaxRateDetail"))
    return str(wire["Id"]), tuple(str(detail["TaxRateRef"]["value"]) for detail in details)


def rate(wire: Any) -> tuple[str, Decimal]:
    """A tax rate, in percent."""
    return str(wire["Id"]), decimal(wire.get("RateValue", 0))


@dataclass(frozen=True, slots=True)
class Settled:
    """How an invoice was settled: `payments` by money, `credits` by credit memos, each with what it took off."""

    payments: tuple[tuple[Receipt, Money], ...]
    credits: tuple[tuple[str, Receipt, Money], ...]


def settled(invoice: Sale, receipts: Sequence[Receipt]) -> Settled:
    """Of a payment that also uses credit memos, these count first, for its invoices in their order."""
    payments: list[tuple[Receipt, Money]] = []
    credited: list[tuple[str, Receipt, Money]] = []
    for one_ in receipts:
        memos = [[native, amount.amount] for kind, native, amount in one_.parts if kind == "CreditMemo"]
        for kind, native, amount in one_.parts:
            if kind != "Invoice":
                continue
            open_ = amount.amount
            for memo in memos:
                used = min(open_, int(memo[1]))
                memo[1], open_ = int(memo[1]) - used, open_ - used
                if used and native == invoice.id:
                    credited.append((str(memo[0]), one_, Money(amount=used, currency=invoice.currency)))
            if open_ and native == invoice.id:
                payments.append((one_, Money(amount=open_, currency=invoice.currency)))
    return Settled(tuple(payments), tuple(credited))


def credited_total(settled_: Settled, currency: str) -> Money:
    return sum((amount for _, _, amount in settled_.credits), nothing(currency))


def given_back(
    invoices: Sequence[Sale], receipts: Sequence[Receipt], refunds: Sequence[Sale]
) -> dict[str, list[tuple[Sale, Money]]]:
    """What was given back of each payment, by which refund receipt. `receipts` are all that was paid for these invoices.

    QuickBooks ties refunds to no payment. Those that bear an invoice's mark are divided over what was paid for it,
    what was first first.
    """
    found: dict[str, list[tuple[Sale, Money]]] = {}
    left = {receipt.id: receipt.total.amount for receipt in receipts}
    for invoice in sorted(invoices, key=_in_order):
        paid = {
            receipt.id: part.amount + receipt.unapplied.amount for receipt, part in settled(invoice, receipts).payments
        }
        for refund in sorted((each for each in refunds if marks.is_for(each.note, invoice.id)), key=_in_order):
            open_ = refund.total.amount
            for receipt in sorted((each for each in receipts if each.id in paid), key=_in_order):
                part = min(open_, paid[receipt.id], left[receipt.id])
                if part:
                    open_ -= part
                    paid[receipt.id] -= part
                    left[receipt.id] -= part
                    found.setdefault(receipt.id, []).append((refund, Money(amount=part, currency=invoice.currency)))
    return found


def _in_order(entry: Sale | Receipt) -> tuple[date, int]:
    return entry.date, int(entry.id)
