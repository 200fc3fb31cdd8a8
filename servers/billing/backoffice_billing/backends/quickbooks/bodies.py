"""What is sent to QuickBooks to make its records.

Amounts of lines are without tax, and QuickBooks adds the tax up by itself from the codes on the lines. In an American
company a line is taxed or not (TAX, NON), and one code for the whole document says by which rates; elsewhere each line
has a code of its own. Where the company numbers its documents itself, QuickBooks gives a number only when it is told
to: AUTO_GENERATE for invoices and estimates, AutoDocNumber for the others, as the XSD files say.
https://developer.intuit.com/app/developer/qbo/docs/api/accounting/all-entities/invoice
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from backoffice_billing.backends.quickbooks import marks
from backoffice_billing.backends.quickbooks.access import TITLE
from backoffice_billing.backends.quickbooks.amounts import number
from backoffice_billing.backends.quickbooks.translation import joined_memo
from backoffice_billing.backends.quickbooks.wire import Buyer, Facts, Item, Line, Sale
from backoffice_billing.models import Invoice
from backoffice_billing.ports import DraftLine, InvoiceDraft
from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money

Body = dict[str, Any]

LONGEST_NUMBER = 21
_LONGEST_MEMO = 1_000
_LONGEST_TEXT = 4_000


def estimate(
    draft: InvoiceDraft, buyer: Buyer, facts: Facts, prices: Mapping[str, Item], usual_item: str, key: str
) -> Body:
    return {
        "CustomerRef": {"value": buyer.id},
        "TxnDate": draft.date.isoformat(),
        "TxnStatus": "Pending",
        "Line": [_drafted(line, draft.currency, facts, prices, usual_item) for line in draft.lines],
        "PrivateNote": marks.note("", key, due_days=draft.due_days),
        **_tax(codes(draft, facts), facts),
        **_currency(draft.currency, facts),
        **_memo(draft),
        **({"BillEmail": {"Address": ", ".join(buyer.emails)}} if buyer.emails else {}),
        **({"DocNumber": "AUTO_GENERATE"} if facts.own_numbers else {}),
    }


def unit(line: DraftLine, currency: str, prices: Mapping[str, Item]) -> Money:
    """
    Raises:
        InvalidInput: there is no price, or it is in another currency.
    """
    price = line.unit_amount if line.price_id is None else prices[line.price_id].price
    if price is None:
        raise InvalidInput(TITLE, f"the item {line.price_id} has no price")
    if price.currency != currency:
        raise InvalidInput(TITLE, f"a line is priced in {price.currency}, and the invoice is in {currency}")
    return price


def codes(draft: InvoiceDraft, facts: Facts) -> list[str]:
    """The tax codes that the draft's lines name, the company's usual one by its id.

    Raises:
        InvalidInput: an American invoice has one code.
    """
    named = dict.fromkeys(tax_code(line, facts) for line in draft.lines if line.tax_code not in (None, "NON"))
    if facts.american and len(named) > 1:
        raise InvalidInput(TITLE, f"an American invoice has one tax code, not {', '.join(named)}")
    return list(named)


def tax_code(line: DraftLine, facts: Facts) -> str:
    """
    Raises:
        InvalidInput: nobody can say beforehand what the tax would be.
    """
    if line.tax_code != "TAX":
        return line.tax_code or "NON"
    if facts.usual_tax is None:
        raise InvalidInput(
            TITLE,
            "tax_code TAX: this company's tax is worked out by QuickBooks when an invoice is made",
            hint="Give the id of a tax code",
        )
    return facts.usual_tax


def _drafted(line: DraftLine, currency: str, facts: Facts, prices: Mapping[str, Item], usual_item: str) -> Body:
    price = unit(line, currency, prices)
    taxed = line.tax_code not in (None, "NON")
    code = ("TAX" if taxed else "NON") if facts.american else (tax_code(line, facts) if taxed else None)
    item = line.price_id or usual_item
    return {
        "DetailType": "SalesItemLineDetail",
        "Description": line.description[:_LONGEST_TEXT],
        "Amount": number(price.times(line.quantity)),
        "SalesItemLineDetail": {
            "Qty": line.quantity,
            "UnitPrice": number(price),
            **({"ItemRef": {"value": item}} if item else {}),
            **({"TaxCodeRef": {"value": code}} if code else {}),
        },
    }


def _tax(named: Sequence[str], facts: Facts) -> Body:
    if facts.american:
        return {"TxnTaxDetail": {"TxnTaxCodeRef": {"value": named[0]}}} if named else {}
    return {"GlobalTaxCalculation": "TaxExcluded" if named else "NotApplicable"}


def _currency(currency: str, facts: Facts) -> Body:
    return {"CurrencyRef": {"value": currency}} if facts.several else {}


def _memo(draft: InvoiceDraft) -> Body:
    """
    Raises:
        InvalidInput: it is longer than QuickBooks takes.
    """
    memo = joined_memo(draft.memo, draft.po_number)
    if memo is not None and len(memo) > _LONGEST_MEMO:
        raise InvalidInput(TITLE, f"memo: QuickBooks takes {_LONGEST_MEMO:,} characters, with the number of the order")
    return {} if memo is None else {"CustomerMemo": {"value": memo}}


def issued(draft: Sale, key: str, *, on: date, due: date | None, facts: Facts) -> Body:
    """The invoice that an estimate becomes, linked to it."""
    return {
        **_like(draft, facts),
        "TxnDate": on.isoformat(),
        "Line": [copied(line) for line in draft.lines],
        "LinkedTxn": [{"TxnId": draft.id, "TxnType": "Estimate"}],
        "PrivateNote": marks.note("", key),
        **({"DueDate": due.isoformat()} if due is not None else {}),
        **({"CustomerMemo": {"value": draft.memo}} if draft.memo is not None else {}),
        **({"BillEmail": {"Address": draft.email}} if draft.email is not None else {}),
        **({"DocNumber": "AUTO_GENERATE"} if facts.own_numbers else {}),
    }


def copied(line: Line) -> Body:
    """A line without what belongs to its document."""
    return {name: value for name, value in line.wire.items() if name not in ("Id", "LineNum", "LinkedTxn")}


def _like(sale: Sale, facts: Facts) -> Body:
    """What is the same in every document for one customer and sale."""
    return {
        "CustomerRef": {"value": sale.customer},
        **_currency(sale.currency, facts),
        **({"TxnTaxDetail": {"TxnTaxCodeRef": {"value": sale.tax_code}}} if sale.tax_code else {}),
        **({"GlobalTaxCalculation": sale.tax_calculation} if sale.tax_calculation else {}),
    }


# ------------------------------------------------------------------------------------------------------- credits


@dataclass(frozen=True, slots=True)
class CreditLine:
    """Of a credit. `amount` is without tax; `item` and `tax_code` are those of the line that it takes back."""

    text: str
    amount: Money
    quantity: int | None
    item: str | None
    tax_code: str | None


def credit(
    invoice: Sale, lines: Sequence[CreditLine], tax: Money, note: str, *, on: date, facts: Facts, account: str = ""
) -> Body:
    """A credit memo or a refund receipt; `account` is where the money of the latter comes from."""
    body = _like(invoice, facts)
    detail: Body = {**body.get("TxnTaxDetail", {}), "TotalTax": number(tax)}
    return {
        **body,
        "TxnDate": on.isoformat(),
        "Line": [_credited(line) for line in lines],
        "TxnTaxDetail": detail,
        "PrivateNote": note,
        **({"DepositToAccountRef": {"value": account}} if account else {}),
        **({"AutoDocNumber": True} if facts.own_numbers else {}),
    }


def _credited(line: CreditLine) -> Body:
    whole = line.quantity is not None and line.quantity > 0 and line.amount.amount % line.quantity == 0
    each = Money(amount=line.amount.amount // (line.quantity or 1), currency=line.amount.currency)
    return {
        "DetailType": "SalesItemLineDetail",
        "Description": line.text[:_LONGEST_TEXT],
        "Amount": number(line.amount),
        "SalesItemLineDetail": {
            **({"Qty": line.quantity, "UnitPrice": number(each)} if whole else {}),
            **({"ItemRef": {"value": line.item}} if line.item else {}),
            **({"TaxCodeRef": {"value": line.tax_code}} if line.tax_code else {}),
        },
    }


def applied(memo: Sale, invoice: Sale, amount: Money, note: str, *, on: date, facts: Facts) -> Body:
    """The payment of nothing that joins a credit memo to an invoice."""
    return {
        "CustomerRef": {"value": invoice.customer},
        "TotalAmt": 0,
        "TxnDate": on.isoformat(),
        "Line": [_part(amount, "Invoice", invoice.id), _part(amount, "CreditMemo", memo.id)],
        "PrivateNote": note,
        **_currency(invoice.currency, facts),
    }


def _part(amount: Money, kind: str, native: str) -> Body:
    return {"Amount": number(amount), "LinkedTxn": [{"TxnId": native, "TxnType": kind}]}


# ------------------------------------------------------------------------------------------------------- the books


def posted(invoice: Invoice, customer: str, usual_item: str, key: str, facts: Facts) -> Body:
    """An invoice of the payment provider, under its number. Its tax is entered as it is there, and not worked out
    again.

    Raises:
        InvalidInput: its number is longer than QuickBooks takes.
    """
    if invoice.number is None or len(invoice.number) > LONGEST_NUMBER:
        raise InvalidInput(TITLE, f"it takes numbers of up to {LONGEST_NUMBER} characters, not {invoice.number!r}")
    taxed = bool(invoice.tax)
    code = ("TAX" if taxed else "NON") if facts.american else None
    lines = [(line.description, line.amount, line.quantity, line.unit_amount) for line in invoice.lines or ()] or [
        (f"Invoice {invoice.number}", invoice.subtotal, "1", None)
    ]
    rest = invoice.subtotal - sum(
        (amount for _, amount, _, _ in lines), Money(amount=0, currency=invoice.total.currency)
    )
    if rest:
        lines.append(("Discounts and charges", rest, "1", None))
    usual = facts.usual_tax if taxed else None
    return {
        "CustomerRef": {"value": customer},
        "DocNumber": invoice.number,
        "TxnDate": invoice.issued_at.isoformat(),
        "Line": [_entered(line, usual_item, code) for line in lines],
        "PrivateNote": marks.note(invoice.invoice_id, key),
        "TxnTaxDetail": {
            "TotalTax": number(invoice.tax),
            **({"TxnTaxCodeRef": {"value": usual}} if usual and facts.american else {}),
        },
        **({} if facts.american else {"GlobalTaxCalculation": "TaxExcluded"}),
        **({"DueDate": invoice.due_at.isoformat()} if invoice.due_at is not None else {}),
        **_currency(invoice.total.currency, facts),
    }


def _entered(line: tuple[str, Money, str, Money | None], usual_item: str, code: str | None) -> Body:
    text, amount, quantity, price = line
    exact = price is not None and quantity.isdecimal() and price.times(int(quantity)) == amount
    return {
        "DetailType": "SalesItemLineDetail",
        "Description": text[:_LONGEST_TEXT],
        "Amount": number(amount),
        "SalesItemLineDetail": {
            **({"Qty": int(quantity), "UnitPrice": number(price)} if exact and price is not None else {}),
            **({"ItemRef": {"value": usual_item}} if usual_item else {}),
            **({"TaxCodeRef": {"value": code}} if code else {}),
        },
    }


def paid(invoice: Sale, amount: Money, reference: str, note: str, *, on: date, account: str, facts: Facts) -> Body:
    """A payment for an invoice. What is more than is due stays with the customer."""
    part = min(amount, invoice.balance)
    return {
        "CustomerRef": {"value": invoice.customer},
        "TotalAmt": number(amount),
        "TxnDate": on.isoformat(),
        "PaymentRefNum": reference[:LONGEST_NUMBER],
        "PrivateNote": note,
        "Line": [_part(part, "Invoice", invoice.id)],
        **({"DepositToAccountRef": {"value": account}} if account else {}),
        **_currency(invoice.currency, facts),
    }
