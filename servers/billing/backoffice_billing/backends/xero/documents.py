"""What Xero is sent: invoices and credit notes, with the amounts that they come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from backoffice_billing.backends.xero import translation as into
from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.amounts import decimal, number
from backoffice_billing.backends.xero.api import Wire
from backoffice_billing.backends.xero.taxing import Taxing
from backoffice_billing.models import Invoice as OurInvoice
from backoffice_billing.models import InvoiceLine
from backoffice_billing.ports import DraftLine, InvoiceDraft
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.jsonvalues import arr
from backoffice_shared.money import Money, nothing, total

_LONGEST_NOTE = 4_000
_LONGEST_REFERENCE = 230  # of 255, less our mark


@dataclass(frozen=True)
class Line:
    """One line to be written. `quantity` units at `unit` each; `net` is without tax."""

    text: str
    quantity: int
    unit: Money
    net: Money
    tax: Money
    account: str
    tax_type: str | None

    @property
    def wire(self) -> Wire:
        kind = {} if self.tax_type is None else {"TaxType": self.tax_type}
        return {
            "Description": self.text,
            "Quantity": self.quantity,
            "UnitAmount": number(self.unit),
            "LineAmount": number(self.net),
            "TaxAmount": number(self.tax),
            "AccountCode": self.account,
            **kind,
        }

    @property
    def model(self) -> InvoiceLine:
        return InvoiceLine(
            description=self.text, quantity=str(self.quantity), unit_amount=self.unit, amount=self.net, tax=self.tax
        )


def note(text: str | None) -> list[Wire]:
    """Words without an amount, which Xero prints as a line of their own."""
    if text is not None and len(text) > _LONGEST_NOTE:
        raise InvalidInput(XERO.title, f"a memo has at most {_LONGEST_NOTE:,} characters")
    return [{"Description": text}] if text and text.strip() else []


# ------------------------------------------------------------------------------------------------------- invoices


def drafted(draft: InvoiceDraft, taxes: Taxing, sales_account: str) -> list[Line]:
    """
    Raises:
        InvalidInput: Xero cannot do that: it says what and why.
    """
    if draft.po_number is not None and len(draft.po_number) > _LONGEST_REFERENCE:
        raise InvalidInput(XERO.title, f"po_number has at most {_LONGEST_REFERENCE} characters")
    if not draft.lines:
        raise InvalidInput(XERO.title, "an invoice needs a line")
    return [_drafted(line, draft.currency, taxes, sales_account) for line in draft.lines]


def _drafted(line: DraftLine, currency: str, taxes: Taxing, sales_account: str) -> Line:
    if line.unit_amount is None:
        raise InvalidInput(XERO.title, "it keeps no prices for customers' invoices", hint="Give unit_amount instead")
    if line.unit_amount.currency != currency:
        raise InvalidInput(XERO.title, f"a line is in {line.unit_amount.currency}, the invoice in {currency}")
    if not line.description.strip():
        raise InvalidInput(XERO.title, "a line needs a description")
    net, tax_type = line.unit_amount.times(line.quantity), taxes.type_of(line.tax_code)
    tax = taxes.of(net, tax_type)
    return Line(line.description, line.quantity, line.unit_amount, net, tax, sales_account, tax_type)


def invoice_wire(draft: InvoiceDraft, lines: Sequence[Line], key: str) -> Wire:
    return {
        "Type": "ACCREC",
        "Status": "DRAFT",
        "Contact": {"ContactID": draft.customer},
        "Date": draft.date.isoformat(),
        "DueDate": (draft.date + timedelta(days=draft.due_days)).isoformat(),
        "CurrencyCode": draft.currency,
        "LineAmountTypes": "Exclusive",
        "Reference": into.marked(draft.po_number, key),
        "LineItems": [*(line.wire for line in lines), *note(draft.memo)],
    }


def entered(invoice: OurInvoice, contact: str, account: str, tax_type: str) -> Wire:
    """An invoice that another system has issued, under its number, with its amounts. Where its lines do not add up
    to them, as with a discount, it is one line.

    Raises:
        InvalidInput: it has no number.
    """
    if not invoice.number:
        raise InvalidInput(XERO.title, "an invoice without a number cannot be entered")
    due = invoice.due_at or invoice.issued_at
    return {
        "Type": "ACCREC",
        "Status": "AUTHORISED",
        "InvoiceNumber": invoice.number,
        "Contact": {"ContactID": contact},
        "Date": invoice.issued_at.isoformat(),
        "DueDate": max(due, invoice.issued_at).isoformat(),
        "CurrencyCode": invoice.total.currency,
        "LineAmountTypes": "Exclusive",
        "Reference": (invoice.po_number or "")[:_LONGEST_REFERENCE],
        "LineItems": [_entered(line, account, tax_type) for line in _adding_up(invoice)],
    }


def _adding_up(invoice: OurInvoice) -> list[InvoiceLine]:
    lines, currency = invoice.lines or [], invoice.total.currency
    net = total((line.amount for line in lines), currency)
    tax = total((line.tax or nothing(currency) for line in lines), currency)
    if lines and (net, tax) == (invoice.subtotal, invoice.tax):
        return lines
    return [InvoiceLine(description=f"Invoice {invoice.number}", amount=invoice.subtotal, tax=invoice.tax)]


def _entered(line: InvoiceLine, account: str, tax_type: str) -> Wire:
    """Xero multiplies quantity and price again, so that they are only told where that comes out."""
    quantity, unit = Decimal(line.quantity), line.unit_amount
    exact = unit is not None and quantity == int(quantity) and unit.times(int(quantity)) == line.amount
    text = line.description.strip() or "Without description"
    return _line(text, int(quantity) if exact else 1, line.amount, line.tax, account, tax_type)


def _line(text: str, quantity: int, net: Money, tax: Money | None, account: str, tax_type: str) -> Wire:
    unit = Money(amount=net.amount // quantity, currency=net.currency) if quantity else net
    kind = tax_type if tax else "NONE"
    return Line(text, quantity or 1, unit, net, tax or nothing(net.currency), account, kind or None).wire


# ---------------------------------------------------------------------------------------------------- credit notes


def credited(wire: Wire, amount: Money, lines: Sequence[tuple[str, int]] = ()) -> list[Line]:
    """The lines of a credit note for this invoice. Without lines of the invoice, `amount` is divided over its
    accounts and kinds of tax in proportion.

    Raises:
        InvalidInput: another currency, no such line, or lines that do not add up to the amount.
        Conflict: more than the invoice comes to.
    """
    currency = into.currency_of(wire)
    if amount.currency != currency:
        raise InvalidInput(XERO.title, f"the invoice is in {currency}, not in {amount.currency}")
    if amount <= nothing(currency):
        raise InvalidInput(XERO.title, "a credit note is for more than nothing")
    priced = [line for line in arr(wire.get("LineItems")) if not into.is_note(line)]
    whole = total((part for line in priced for part in into.net_and_tax(line, wire)), currency)
    if amount > whole:
        raise Conflict(XERO.title, f"the invoice comes to {whole}, which is less than {amount}")
    found = _by_line(priced, wire, lines) if lines else _in_proportion(priced, wire, amount)
    comes_to = total([part for line in found for part in (line.net, line.tax)], currency)
    if comes_to != amount:
        raise InvalidInput(XERO.title, f"these lines come to {comes_to} with tax, not to {amount}")
    return found


def _by_line(priced: Sequence[Wire], wire: Wire, lines: Sequence[tuple[str, int]]) -> list[Line]:
    known = {str(line.get("LineItemID")): line for line in priced}
    found: list[Line] = []
    wanted: dict[str, int] = {}
    for line_id, quantity in lines:
        wanted[line_id] = wanted.get(line_id, 0) + quantity
    for line_id, quantity in wanted.items():
        if line_id not in known:
            raise InvalidInput(XERO.title, f"the invoice has no line {line_id[:60]!r}")
        line = known[line_id]
        billed = decimal(line.get("Quantity") or 1)
        if not 0 < quantity <= billed:
            raise InvalidInput(XERO.title, f"of line {line_id} there are {into.quantity(line)}, not {quantity}")
        part, of = _ratio(quantity, billed)
        net, tax = (whole.share(part, of) for whole in into.net_and_tax(line, wire))
        found.append(_of(line, net, tax))
    return found


def _ratio(quantity: int, billed: Decimal) -> tuple[int, int]:
    numerator, denominator = billed.as_integer_ratio()
    return quantity * denominator, numerator


def _in_proportion(priced: Sequence[Wire], wire: Wire, amount: Money) -> list[Line]:
    """One line for each account and kind of tax, whose tax is in the proportion that it has on the invoice."""
    groups: dict[tuple[Any, Any], tuple[Wire, Money, Money]] = {}
    for line in priced:
        net, tax = into.net_and_tax(line, wire)
        place = (line.get("AccountCode"), line.get("TaxType"))
        first, nets, taxes = groups.get(place, (line, nothing(net.currency), nothing(net.currency)))
        groups[place] = (first, nets + net, taxes + tax)
    owed = [(line, net, tax) for line, net, tax in groups.values() if (net + tax).amount > 0]
    shares = amount.split([(net + tax).amount for _, net, tax in owed])
    lines: list[Line] = []
    for (line, net, tax), share in zip(owed, shares, strict=True):
        if share:
            taxed = share.share(tax.amount, (net + tax).amount)
            lines.append(_of({**line, "Description": f"Credit for {wire['InvoiceNumber']}"}, share - taxed, taxed))
    return lines


def _of(line: Wire, net: Money, tax: Money) -> Line:
    text = str(line.get("Description") or "Credit")
    return Line(text, 1, net, net, tax, str(line.get("AccountCode") or ""), line.get("TaxType"))


def credit_wire(wire: Wire, lines: Sequence[Line], reference: str, reason: str, on: date | None) -> Wire:
    """Without a day Xero takes the organisation's today, and the request stays the same past midnight."""
    dated = {} if on is None else {"Date": on.isoformat()}
    return {
        "Type": "ACCRECCREDIT",
        "Status": "AUTHORISED",
        **dated,
        "Contact": {"ContactID": into.contact_of(wire)},
        "CurrencyCode": into.currency_of(wire),
        "LineAmountTypes": "Exclusive",
        "Reference": reference,
        "LineItems": [*(line.wire for line in lines), *note(reason)],
    }
