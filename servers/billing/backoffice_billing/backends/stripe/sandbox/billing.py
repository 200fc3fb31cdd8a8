"""The invoices of the sandbox, from draft to paid, and their credit notes.

Sources: https://docs.stripe.com/invoicing/integration/workflow-transitions,
https://docs.stripe.com/invoicing/partial-payments, https://docs.stripe.com/api/credit_notes/create
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from backoffice_billing.backends.stripe.sandbox import moves
from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.objects import (
    CreditLine,
    CreditNote,
    Intent,
    Invoice,
    InvoicePayment,
    Line,
    Method,
    TaxRate,
)
from backoffice_billing.backends.stripe.sandbox.refusals import invalid
from backoffice_shared.money import Money

NOT_OPEN = "You can only pass in open invoices. This invoice isn't open."


def tax_of(amount: int, rate: TaxRate | None) -> int:
    """Of an amount without it, rounded half away from zero."""
    return Money(amount=amount, currency="XXX").share(rate.hundredths, 10_000).amount if rate is not None else 0


def new_line(
    account: Account,
    invoice: Invoice,
    text: str,
    *,
    quantity: int,
    unit: Decimal,
    rate: TaxRate | None,
    price: str | None = None,
    metadata: dict[str, str] | None = None,
    temporary: bool = False,
) -> Line:
    """
    Raises:
        Refused: it does not come to whole minor units.
    """
    amount = unit * quantity
    if amount != amount.to_integral_value():
        amount = amount.quantize(Decimal(1))
    return Line(
        id=account.new("il_tmp") if temporary else account.new("il"),
        created=account.now(),
        metadata=metadata or {},
        written=True,
        item=account.new("ii"),
        invoice=invoice.id,
        text=text,
        quantity=quantity,
        unit=f"{unit.normalize():f}",
        amount=int(amount),
        currency=invoice.currency,
        rate=rate.id if rate is not None else None,
        tax=tax_of(int(amount), rate),
        price=price,
    )


def add_line(account: Account, invoice: Invoice, line: Line) -> Line:
    """
    Raises:
        Refused: it is no draft any more.
    """
    if invoice.status != "draft":
        raise invalid(
            "Invalid invoice: This invoice is no longer editable", code="invoice_not_editable", param="invoice"
        )
    invoice.lines.append(line)
    invoice.written = True
    account.items[line.item] = line.id
    return account.lines.add(line)


def finalize(account: Account, invoice: Invoice) -> None:
    """It gets its number, is owed, and may be paid by the customer's credit. Stripe expects its payment from then
    on."""
    if invoice.status != "draft":
        raise invalid("This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    customer = account.customers[invoice.customer]
    account.last_number += 1
    invoice.number = f"NW-{1000 + account.last_number}"
    account.numbers[invoice.number.casefold()] = invoice.id
    invoice.finalized, invoice.status, invoice.written = account.now(), "open", True
    if invoice.days_until_due is not None:
        invoice.due_date = account.now() + invoice.days_until_due * 86_400
    credit = customer.credit.get(invoice.currency, 0)
    invoice.applied = min(credit, invoice.total)
    if invoice.applied:
        customer.credit[invoice.currency] = credit - invoice.applied
    customer.currency = customer.currency or invoice.currency
    expect_payment(account, invoice)
    settle_if_paid(account, invoice)


def expect_payment(account: Account, invoice: Invoice) -> InvoicePayment:
    """The default payment, which is for whatever is left."""
    created = account.now() if invoice.written else invoice.created
    intent = account.intents.add(
        Intent(
            id=account.new("pi"),
            created=created,
            amount=invoice.remaining,
            currency=invoice.currency,
            customer=invoice.customer,
            method=None,
            status="requires_payment_method",
            description=f"Invoice {invoice.number}",
        )
    )
    return account.invoice_payments.add(
        InvoicePayment(
            id=account.new("inpay"),
            created=created,
            invoice=invoice.id,
            intent=intent.id,
            requested=invoice.remaining,
            paid=None,
            currency=invoice.currency,
            status="open",
            default=True,
        )
    )


def default_payment(account: Account, invoice: Invoice) -> InvoicePayment | None:
    payments = account.invoice_payments.having(invoice=invoice.id)
    return next((each for each in payments if each.default and each.status == "open"), None)


def settle_if_paid(account: Account, invoice: Invoice) -> None:
    """The default payment follows what is left; when nothing is, the invoice is paid."""
    expected = default_payment(account, invoice)
    if expected is not None:
        intent = account.intents[expected.intent]
        expected.requested = invoice.remaining
        if intent.status == "requires_payment_method":
            intent.amount = max(invoice.remaining, 0)
    if invoice.remaining == 0 and invoice.status in ("open", "uncollectible"):
        invoice.status, invoice.paid_at = "paid", account.now()
        _stop_expecting(account, expected)


def _stop_expecting(account: Account, expected: InvoicePayment | None) -> None:
    if expected is not None:
        expected.status, expected.canceled_at = "canceled", account.now()
        account.intents[expected.intent].status = "canceled"


def pay(account: Account, invoice: Invoice, method: Method) -> Intent:
    """Charge all that is left, by way of the default payment.

    Raises:
        Refused: it is paid, or cannot be.
    """
    if invoice.status == "paid":
        raise invalid("Invoice is already paid")
    if invoice.status == "draft":
        finalize(account, invoice)
    if invoice.status not in ("open", "uncollectible"):
        raise invalid(NOT_OPEN)
    expected = default_payment(account, invoice) or expect_payment(account, invoice)
    intent = account.intents[expected.intent]
    if intent.status == "processing":
        raise invalid("This invoice has a payment that is already processing.")
    intent.amount = invoice.remaining
    invoice.attempts, invoice.written = invoice.attempts + 1, True
    moves.attempt(account, intent, method)
    follow(account, invoice, expected)
    return intent


def follow(account: Account, invoice: Invoice, payment: InvoicePayment) -> None:
    """The invoice is credited with the payment once that is there, now or later."""
    intent = account.intents[payment.intent]
    if intent.status == "processing":
        account.later(lambda: follow(account, invoice, payment))
    elif intent.status == "succeeded" and payment.status == "open":
        over = max(intent.received - invoice.remaining, 0)
        payment.paid, payment.status, payment.paid_at = intent.received - over, "paid", account.now()
        invoice.paid += intent.received - over
        invoice.overpaid += over
        if over:
            credit = account.customers[invoice.customer].credit
            credit[invoice.currency] = credit.get(invoice.currency, 0) + over
        settle_if_paid(account, invoice)


def attach(account: Account, invoice: Invoice, intent: Intent) -> None:
    """
    Raises:
        Refused: it is not open, or the payment is not the customer's, or is attached.
    """
    if invoice.status != "open":
        raise invalid(NOT_OPEN)
    if (intent.customer, intent.currency) != (invoice.customer, invoice.currency):
        raise invalid(
            "The customer and currency of the PaymentIntent must match those of the invoice.", param="payment_intent"
        )
    if any(each.invoice == invoice.id for each in account.invoice_payments.having(intent=intent.id)):
        raise invalid("This PaymentIntent is already attached to the invoice.", param="payment_intent")
    payment = account.invoice_payments.add(
        InvoicePayment(
            id=account.new("inpay"),
            created=account.now(),
            written=True,
            invoice=invoice.id,
            intent=intent.id,
            requested=intent.amount,
            paid=None,
            currency=intent.currency,
            status="open",
            default=False,
        )
    )
    invoice.written = True
    follow(account, invoice, payment)


def void(account: Account, invoice: Invoice) -> None:
    if invoice.status == "paid" or invoice.paid:
        raise invalid("Invoices with `paid` payments cannot be voided.")
    if invoice.status != "open":
        raise invalid(NOT_OPEN)
    invoice.status, invoice.voided, invoice.written = "void", account.now(), True
    _stop_expecting(account, default_payment(account, invoice))


def send(account: Account, invoice: Invoice) -> None:
    if invoice.status == "draft":
        finalize(account, invoice)
    if invoice.status in ("paid", "void"):
        raise invalid(
            "This invoice cannot be sent right now. Please contact us via https://support.stripe.com/contact with"
            " details, so we can help."
        )
    if not account.customers[invoice.customer].email:
        raise invalid("Missing email. In order to send an invoice to a customer, the customer must have a valid email.")
    invoice.sent += 1
    invoice.written = True


# ------------------------------------------------------------------------------------------------------------- credits


@dataclass(frozen=True, slots=True)
class Credited:
    """What a credit note is to come to, and where what is over goes."""

    lines: list[CreditLine]
    refund: int = 0
    credit: int = 0
    outside: int = 0

    @property
    def total(self) -> int:
        return sum(line.amount + line.tax for line in self.lines)


def credit(
    account: Account, invoice: Invoice, wanted: Credited, *, memo: str | None, metadata: dict[str, str], made: bool
) -> CreditNote:
    """Takes first what is left to pay, then what was paid. `made` is False of one that is only previewed.

    Raises:
        Refused: it is not owed, or the parts do not add up, or more was credited than there is.
    """
    if invoice.status in ("draft", "void"):
        raise invalid("You can only create a credit note for an open, paid or uncollectible invoice.", param="invoice")
    before = invoice.precredited + invoice.postcredited
    if wanted.total <= 0 or before + wanted.total > invoice.total:
        raise invalid(
            f"The sum of all credit notes ({before + wanted.total}) cannot be greater than the invoice total"
            f" ({invoice.total}).",
            param="amount",
        )
    pre = min(wanted.total, invoice.remaining)
    post = wanted.total - pre
    if wanted.refund + wanted.credit + wanted.outside != post:
        parts = wanted.refund + wanted.credit + wanted.outside
        raise invalid(
            f"The sum of credit amount, refund amount and out of band amount ({parts}) must equal the credit note"
            f" amount ({post})."
        )
    count = len(account.credit_notes.having(invoice=invoice.id)) + 1
    note = CreditNote(
        id=account.new("cn") if made else "cn_tmp_preview",
        created=account.now(),
        metadata=metadata,
        written=True,
        invoice=invoice.id,
        customer=invoice.customer,
        currency=invoice.currency,
        number=f"{invoice.number}-CN-{count:02d}",
        memo=memo,
        lines=wanted.lines,
        pre=pre,
        post=post,
        credited=wanted.credit,
        outside=wanted.outside or None,
    )
    return _issued(account, invoice, note, wanted) if made else note


def _issued(account: Account, invoice: Invoice, note: CreditNote, wanted: Credited) -> CreditNote:
    if wanted.refund:
        note.refunds.append(_refunded(account, invoice, wanted.refund))
    if wanted.credit:
        credit = account.customers[invoice.customer].credit
        credit[invoice.currency] = credit.get(invoice.currency, 0) + wanted.credit
    account.credit_notes.add(note)
    invoice.precredited += note.pre
    invoice.postcredited += note.post
    invoice.written = True
    settle_if_paid(account, invoice)
    return note


def _refunded(account: Account, invoice: Invoice, amount: int) -> tuple[str, int]:
    paid = [each for each in account.invoice_payments.having(invoice=invoice.id) if each.status == "paid"]
    charges = [account.charges[charge] for each in paid if (charge := account.intents[each.intent].charge)]
    charge = next((each for each in charges if each.amount - each.refunded >= amount), None)
    if charge is None:
        raise invalid("There is no payment of this invoice with so much left to refund.", param="refund_amount")
    return moves.refund(account, charge, amount, reason=None, metadata={}).id, amount
