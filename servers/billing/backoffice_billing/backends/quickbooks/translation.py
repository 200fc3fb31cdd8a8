"""QuickBooks' records in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time

from backoffice_billing.backends.quickbooks import marks
from backoffice_billing.backends.quickbooks.wire import Buyer, Line, Receipt, Sale, Settled, credited_total
from backoffice_billing.models import (
    Account,
    AccountSection,
    Invoice,
    InvoiceCredit,
    InvoiceLine,
    InvoicePayment,
    InvoiceRow,
    InvoiceSection,
    InvoiceStatus,
    Overdue,
    Payment,
    PaymentRow,
    PaymentSection,
    Refund,
    standing,
)
from backoffice_shared.money import Money, by_currency, nothing, total

_APP = "https://app.qbo.intuit.com/app"
DRAFT = "estimate-"
"""How the native id of a draft begins: a draft is an estimate that nobody has turned into an invoice yet."""


def customer_id(native: str) -> str:
    return f"quickbooks:customer:{native}"


def invoice_id(sale: Sale) -> str:
    return f"quickbooks:invoice:{DRAFT if sale.entity == 'Estimate' else ''}{sale.id}"


def status(sale: Sale, today: date) -> InvoiceStatus:
    """QuickBooks has none: it follows from what is owed."""
    if sale.entity == "Estimate":
        return "draft"
    if sale.voided:
        return "void"
    return standing("open" if sale.balance else "paid", sale.due, today)


def is_draft(sale: Sale) -> bool:
    return sale.status in (None, "Pending", "Accepted")


def row(sale: Sale, today: date) -> InvoiceRow:
    draft = sale.entity == "Estimate"
    return InvoiceRow(
        invoice_id=invoice_id(sale),
        number=None if draft else sale.number,
        customer_id=customer_id(sale.customer),
        customer=sale.customer_name,
        status=status(sale, today),
        total=sale.total,
        due=nothing(sale.currency) if draft else sale.balance,
        issued_at=sale.date,
        due_at=None if draft else sale.due,
        native_status=f"Estimate {sale.status or 'Pending'}" if draft else None,
        url=f"{_APP}/{sale.entity.lower()}?txnId={sale.id}",
    )


def invoice(
    sale: Sale,
    settled: Settled,
    today: date,
    sections: frozenset[InvoiceSection],
    numbers: Mapping[str, str | None] | None = None,
) -> Invoice:
    """`numbers` are those of credit memos. What took something off and is neither a payment nor a credit memo, as a
    journal entry may, counts as paid."""
    base = row(sale, today)
    credited = credited_total(settled, sale.currency)
    draft = base.status == "draft"
    memo, po_number = split_memo(sale.memo)
    return Invoice(
        **base.model_dump(),
        subtotal=sale.total - sale.tax,
        tax=sale.tax,
        paid=nothing(sale.currency) if draft else sale.total - sale.balance - credited,
        credited=credited,
        memo=memo,
        po_number=po_number,
        lines=[line(each) for each in sale.lines] if "lines" in sections else None,
        payments=[_paid(receipt, part) for receipt, part in settled.payments] if "payments" in sections else None,
        credit_notes=_credits(settled, numbers or {}) if "credit_notes" in sections else None,
        hosted_url=sale.pay_link,
        version=sale.sync,
    )


def line(each: Line) -> InvoiceLine:
    return InvoiceLine(
        line_id=each.id, description=each.text, quantity=each.quantity, unit_amount=each.unit, amount=each.amount
    )


def _paid(receipt: Receipt, part: Money) -> InvoicePayment:
    return InvoicePayment(payment_id=payment_id(receipt), at=midnight(receipt.date), amount=part, status="succeeded")


def _credits(settled: Settled, numbers: Mapping[str, str | None]) -> list[InvoiceCredit]:
    return [
        InvoiceCredit(
            credit_note_id=f"quickbooks:credit_note:{memo}", number=numbers.get(memo), at=receipt.date, amount=part
        )
        for memo, receipt, part in settled.credits
    ]


# A customer sees the message on an invoice, and QuickBooks has no field of its own for their order's number.
_PO = re.compile(r"P\.O\. number: ([^\n]{1,200})\n?")


def joined_memo(memo: str | None, po_number: str | None) -> str | None:
    parts = ([f"P.O. number: {' '.join(po_number.split())}"] if po_number else []) + ([memo] if memo else [])
    return "\n".join(parts) or None


def split_memo(memo: str | None) -> tuple[str | None, str | None]:
    named = _PO.match(memo or "")
    if memo is None or named is None:
        return memo, None
    return memo[named.end() :] or None, named[1]


# ------------------------------------------------------------------------------------------------------- payments


def payment_id(receipt: Receipt) -> str:
    return f"quickbooks:payment:{receipt.id}"


def midnight(day: date) -> datetime:
    """QuickBooks knows the day of a payment, not the hour."""
    return datetime.combine(day, time(), UTC)


def payment_row(receipt: Receipt, given_back: Sequence[tuple[Sale, Money]]) -> PaymentRow:
    """`given_back` is what was, and by which refund receipt."""
    refunded = total((part for _, part in given_back), receipt.total.currency)
    invoices = [native for kind, native, _ in receipt.parts if kind == "Invoice"]
    return PaymentRow(
        payment_id=payment_id(receipt),
        at=midnight(receipt.date),
        amount=receipt.total,
        refunded=refunded,
        status="refunded" if refunded and refunded == receipt.total else "succeeded",
        customer_id=customer_id(receipt.customer),
        invoice_id=f"quickbooks:invoice:{invoices[0]}" if len(invoices) == 1 else None,
        native_status="unapplied" if receipt.unapplied else "applied",
        url=f"{_APP}/recvpayment?txnId={receipt.id}",
    )


def payment(receipt: Receipt, given_back: Sequence[tuple[Sale, Money]], sections: frozenset[PaymentSection]) -> Payment:
    """QuickBooks keeps what others took: nothing can be given back by it."""
    return Payment(
        **payment_row(receipt, given_back).model_dump(),
        captured=True,
        refundable=nothing(receipt.total.currency),
        refunds=[_refund(refund, part, receipt) for refund, part in given_back] if "refunds" in sections else None,
        disputes=[] if "dispute" in sections else None,
    )


def _refund(refund: Sale, part: Money, receipt: Receipt) -> Refund:
    return Refund(
        refund_id=f"quickbooks:refund:{refund.id}",
        payment_id=payment_id(receipt),
        amount=part,
        status="succeeded",
        at=midnight(refund.date),
    )


# ------------------------------------------------------------------------------------------------------- accounts


def account(buyer: Buyer, owed: Sequence[Sale], sections: frozenset[AccountSection], today: date) -> Account:
    """`owed` are the customer's open invoices. What they owe less their balance is what they are owed."""
    mine = [sale for sale in owed if sale.customer == buyer.id]
    late = [sale for sale in mine if sale.due is not None and sale.due < today]
    credit = total((sale.balance for sale in mine if sale.currency == buyer.currency), buyer.currency) - buyer.balance
    return Account(
        customer_id=customer_id(buyer.id),
        name=buyer.name,
        email=next(iter(buyer.emails), None),
        balances=by_currency(sale.balance for sale in mine) if "balance" in sections else None,
        overdue=_overdue(late, today) if "overdue" in sections else None,
        credit=([credit] if credit.amount > 0 else []) if "credit" in sections else None,
        methods=[] if "methods" in sections else None,
        subscriptions=[] if "subscriptions" in sections else None,
        url=f"{_APP}/customerdetail?nameId={buyer.id}",
    )


def _overdue(late: Sequence[Sale], today: date) -> list[Overdue]:
    found: list[Overdue] = []
    for amount in by_currency(sale.balance for sale in late):
        days = [(today - sale.due).days for sale in late if sale.due is not None and sale.currency == amount.currency]
        found.append(Overdue(amount=amount, count=len(days), oldest_days=max(days)))
    return found


def due_days(sale: Sale) -> int | None:
    """What a draft of ours gives its customer to pay."""
    return marks.due_days(sale.note)
