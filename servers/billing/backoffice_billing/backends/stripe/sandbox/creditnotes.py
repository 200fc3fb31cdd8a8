"""Credit notes, over HTTP. https://docs.stripe.com/api/credit_notes"""

from __future__ import annotations

from backoffice_billing.backends.stripe.sandbox import billing, invoicing
from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.asking import CREATED, LISTED, METADATA, Asked
from backoffice_billing.backends.stripe.sandbox.billing import Credited
from backoffice_billing.backends.stripe.sandbox.endpoints import Endpoint, listed
from backoffice_billing.backends.stripe.sandbox.invoices import invoice_in
from backoffice_billing.backends.stripe.sandbox.objects import CreditLine, CreditNote, Invoice
from backoffice_billing.backends.stripe.sandbox.records import Record
from backoffice_billing.backends.stripe.sandbox.refusals import invalid, malformed, missing

_LINES = tuple(
    f"lines[][{name}]" for name in ("type", "invoice_line_item", "quantity", "amount", "description", "unit_amount")
)
_PARTS = ("credit_amount", "refund_amount", "out_of_band_amount")
_KNOWN = ("invoice", "amount", *_LINES, *_PARTS, "memo", "reason", "email_type", METADATA, "expand[]")


def endpoints() -> list[Endpoint]:
    return [
        Endpoint("GET", "credit_notes", _list, ("invoice", "customer", *CREATED, *LISTED)),
        Endpoint("POST", "credit_notes", _create, _KNOWN),
        Endpoint("GET", "credit_notes/preview", _preview, _KNOWN),
        Endpoint("GET", "credit_notes/{id}", _get, ("expand[]",)),
    ]


def _list(account: Account, asked: Asked) -> Record:
    fields = {name: value for name in ("invoice", "customer") if (value := asked.text(name)) is not None}
    return listed(account, account.credit_notes, asked, invoicing.credit_note, "/v1/credit_notes", fields=fields)


def _get(account: Account, _asked: Asked, native: str) -> Record:
    found = account.credit_notes.get(native)
    if found is None:
        raise missing("credit note", native)
    return invoicing.credit_note(account, found)


def _create(account: Account, asked: Asked) -> Record:
    return invoicing.credit_note(account, _credit(account, asked, made=True))


def _preview(account: Account, asked: Asked) -> Record:
    return invoicing.credit_note(account, _credit(account, asked, made=False))


def _credit(account: Account, asked: Asked, *, made: bool) -> CreditNote:
    invoice = invoice_in(account, asked.required("invoice"))
    asked.one_of("email_type", "credit_note", "none")
    asked.one_of("reason", "duplicate", "fraudulent", "order_change", "product_unsatisfactory")
    amount, parts = asked.amount("amount"), asked.parts("lines")
    if (amount is None) == (not parts):
        raise malformed("One of `amount`, `lines`, or `shipping_cost` must be provided.", None, "amount")
    if amount is not None:
        lines = [_custom(account, f"Credit for invoice {invoice.number}", 1, amount)]
    else:
        lines = [_line(account, invoice, part) for part in parts]
    wanted = Credited(
        lines,
        refund=asked.amount("refund_amount") or 0,
        credit=asked.amount("credit_amount") or 0,
        outside=asked.amount("out_of_band_amount") or 0,
    )
    return billing.credit(account, invoice, wanted, memo=asked.text("memo"), metadata=asked.metadata(), made=made)


def _custom(account: Account, text: str, quantity: int, amount: int) -> CreditLine:
    return CreditLine(
        id=account.new("cnli"),
        created=account.now(),
        invoice_line=None,
        text=text,
        quantity=quantity,
        amount=amount,
    )


def _line(account: Account, invoice: Invoice, asked: Asked) -> CreditLine:
    """Some of the quantity of a line, with its part of the tax; or an amount of its own."""
    quantity = asked.integer("quantity") or 1
    if asked.one_of("type", "custom_line_item", "invoice_line_item") == "custom_line_item":
        return _custom(
            account, asked.text("description") or "", quantity, quantity * (asked.amount("unit_amount") or 0)
        )
    native = asked.required("invoice_line_item")
    found = next((line for line in invoice.lines if line.id == native), None)
    if found is None:
        raise missing("invoice line item", native, "lines[invoice_line_item]", status=400)
    credited = sum(
        line.quantity
        for note in account.credit_notes.having(invoice=invoice.id)
        for line in note.lines
        if line.invoice_line == native
    )
    if quantity < 1 or credited + quantity > found.quantity:
        raise invalid(
            f"You can only credit a quantity of up to {found.quantity - credited} of the line item {native}.",
            param="lines[quantity]",
        )
    amount = found.amount * quantity // found.quantity
    return CreditLine(
        id=account.new("cnli"),
        created=account.now(),
        invoice_line=native,
        text=found.text,
        quantity=quantity,
        amount=amount,
        rate=found.rate,
        tax=billing.tax_of(amount, account.rates.get(found.rate)),
    )
