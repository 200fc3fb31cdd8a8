"""What is to be made at Stripe, as the parameters of its forms.

Sources: https://docs.stripe.com/api/invoices/create, https://docs.stripe.com/api/invoiceitems/create,
https://docs.stripe.com/api/invoices/create_preview and https://docs.stripe.com/api/credit_notes/create
"""

from __future__ import annotations

from backoffice_billing.backends.stripe.amounts import wired
from backoffice_billing.backends.stripe.invoicewire import PO_NUMBER
from backoffice_billing.backends.stripe.wire import marked
from backoffice_billing.models import Disposition
from backoffice_billing.ports import CreditDraft, DraftLine, InvoiceDraft
from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money

Form = dict[str, str]

KEY = "backoffice_key"
LINE = "backoffice_line"
INCOMPLETE = "backoffice_incomplete"
"""Metadata: the key of the call that made a thing, which of its lines it is, and that not all of its lines are
there."""

_DISPOSED: dict[Disposition, str] = {
    "credit_balance": "credit_amount",
    "out_of_band": "out_of_band_amount",
}


def invoice(draft: InvoiceDraft, key: str) -> Form:
    """Without its lines. It stays a draft until it is issued: Stripe does nothing with it by itself."""
    form = {
        "customer": draft.customer,
        "currency": draft.currency.lower(),
        "collection_method": "send_invoice",
        "days_until_due": str(draft.due_days),
        "auto_advance": "false",
        "pending_invoice_items_behavior": "exclude",
        **marked("metadata", {KEY: key, INCOMPLETE: "true"}),
    }
    if draft.memo:
        form["description"] = draft.memo
    if draft.po_number:
        form |= {"custom_fields[0][name]": PO_NUMBER, "custom_fields[0][value]": draft.po_number}
    return form


def item(draft: InvoiceDraft, number: int, invoice: str, key: str) -> Form:
    line = draft.lines[number]
    form = {
        "customer": draft.customer,
        "invoice": invoice,
        "description": line.description,
        "quantity": str(line.quantity),
        **marked("metadata", {KEY: key, LINE: str(number)}),
    }
    if line.price_id is not None:
        form["pricing[price]"] = line.price_id
    else:
        form |= {"currency": draft.currency.lower(), "unit_amount_decimal": wired(_unit(line, draft.currency))}
    if line.tax_code is not None:
        form["tax_rates[0]"] = line.tax_code
    return form


def preview(draft: InvoiceDraft) -> Form:
    form = {"customer": draft.customer, "currency": draft.currency.lower()}
    for number, line in enumerate(draft.lines):
        at = f"invoice_items[{number}]"
        form |= {f"{at}[description]": line.description, f"{at}[quantity]": str(line.quantity)}
        if line.price_id is not None:
            form[f"{at}[price]"] = line.price_id
        else:
            form |= {
                f"{at}[currency]": draft.currency.lower(),
                f"{at}[unit_amount_decimal]": wired(_unit(line, draft.currency)),
            }
        if line.tax_code is not None:
            form[f"{at}[tax_rates][0]"] = line.tax_code
    return form


def _unit(line: DraftLine, currency: str) -> Money:
    """
    Raises:
        InvalidInput: the line has no price, or one in another currency.
    """
    if line.unit_amount is None:
        raise InvalidInput("Stripe", f"the line {line.description[:60]!r} has neither unit_amount nor price_id")
    if line.unit_amount.currency != currency:
        raise InvalidInput(
            "Stripe", f"the line {line.description[:60]!r} is in {line.unit_amount.currency}, not {currency}"
        )
    return line.unit_amount


def credit(native: str, draft: CreditDraft, due: Money) -> Form:
    """An invoice's credit note takes away first what is `due`; only what is left over is disposed of."""
    over = draft.amount - due
    form = {"invoice": native, "memo": draft.reason, "email_type": "none"}
    if draft.lines:
        for number, (line, quantity) in enumerate(draft.lines):
            at = f"lines[{number}]"
            form |= {
                f"{at}[type]": "invoice_line_item",
                f"{at}[invoice_line_item]": line,
                f"{at}[quantity]": str(quantity),
            }
    else:
        form["amount"] = wired(draft.amount)
    if over.amount > 0:
        form[_DISPOSED[draft.disposition]] = wired(over)
    return form
