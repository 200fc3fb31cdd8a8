"""Invoices, their lines and payments, and credit notes as Stripe's JSON."""

from __future__ import annotations

from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.objects import (
    CreditLine,
    CreditNote,
    Invoice,
    InvoicePayment,
    Line,
)
from backoffice_billing.backends.stripe.sandbox.people import tax_rate
from backoffice_billing.backends.stripe.sandbox.records import Record, a_list, blank, shared

_SHOWN = 10
"""Lines that an invoice holds; the others are asked for."""


def taxes(rate: str | None, amount: int, taxable: int) -> list[Record]:
    if rate is None:
        return []
    return [
        {
            "amount": amount,
            "tax_behavior": "exclusive",
            "tax_rate_details": {"tax_rate": rate},
            "taxability_reason": "standard_rated",
            "taxable_amount": taxable,
            "type": "tax_rate_details",
        }
    ]


def line(_account: Account, made: Line) -> Record:
    priced = {"price": made.price, "product": "prod_SandboxTrails"} if made.price else None
    record = shared(made, "line_item")
    del record["created"]
    return {
        **record,
        **blank("pretax_credit_amounts", "subscription"),
        "amount": made.amount,
        "currency": made.currency,
        "description": made.text,
        "discount_amounts": [],
        "discountable": True,
        "discounts": [],
        "invoice": made.invoice,
        "parent": {
            "invoice_item_details": {
                "invoice_item": made.item,
                "proration": False,
                "proration_details": {"credited_items": None},
                "subscription": None,
            },
            "subscription_item_details": None,
            "type": "invoice_item_details",
        },
        "period": {"end": made.created, "start": made.created},
        "pricing": {"price_details": priced, "type": "price_details", "unit_amount_decimal": made.unit},
        "quantity": made.quantity,
        "quantity_decimal": str(made.quantity),
        "subtotal": made.amount,
        "taxes": taxes(made.rate, made.tax, made.amount),
    }


def item(account: Account, made: Line) -> Record:
    """The same line, as an invoice item."""
    record = shared(made, "invoiceitem")
    del record["created"]
    return {
        **record,
        **blank("customer_account", "parent", "test_clock"),
        "id": made.item,
        "amount": made.amount,
        "currency": made.currency,
        "customer": account.invoices[made.invoice].customer,
        "date": made.created,
        "description": made.text,
        "discountable": True,
        "discounts": [],
        "invoice": made.invoice,
        "net_amount": made.amount,
        "period": {"end": made.created, "start": made.created},
        "pricing": {"price_details": None, "type": "price_details", "unit_amount_decimal": made.unit},
        "proration": False,
        "quantity": made.quantity,
        "quantity_decimal": str(made.quantity),
        "tax_rates": [tax_rate(account, account.rates[made.rate])] if made.rate else [],
    }


def _total_taxes(lines: list[Line]) -> list[Record]:
    by_rate: dict[str, tuple[int, int]] = {}
    for each in lines:
        if each.rate is not None:
            tax, taxable = by_rate.get(each.rate, (0, 0))
            by_rate[each.rate] = (tax + each.tax, taxable + each.amount)
    return [tax for rate, (amount, taxable) in by_rate.items() for tax in taxes(rate, amount, taxable)]


def invoice(account: Account, made: Invoice) -> Record:
    who = account.customers[made.customer]
    issued = made.finalized is not None
    hosted = f"https://invoice.stripe.com/i/{made.id}"
    return {
        **shared(made, "invoice"),
        **blank("account_tax_ids", "application", "automatically_finalizes_at", "customer_account", "customer_address"),
        **blank("customer_shipping", "default_payment_method", "default_source", "footer", "from_invoice"),
        **blank("last_finalization_error", "latest_revision", "next_payment_attempt", "on_behalf_of", "parent"),
        **blank("receipt_number", "rendering", "shipping_cost", "shipping_details", "statement_descriptor"),
        **blank("test_clock", "webhooks_delivered_at", "total_pretax_credit_amounts"),
        "account_country": "US",
        "account_name": "Northwind Outfitters",
        "amount_due": made.due,
        "amount_overpaid": made.overpaid,
        "amount_paid": made.paid,
        "amount_remaining": made.remaining,
        "amount_shipping": 0,
        "attempt_count": made.attempts,
        "attempted": made.attempts > 0,
        "auto_advance": made.auto_advance,
        "automatic_tax": {
            "disabled_reason": None,
            "enabled": False,
            "liability": None,
            "provider": None,
            "status": None,
        },
        "billing_reason": "manual",
        "collection_method": made.collection,
        "currency": made.currency,
        "custom_fields": [{"name": name, "value": value} for name, value in made.fields] or None,
        "customer": made.customer,
        "customer_email": who.email,
        "customer_name": who.name,
        "customer_phone": who.phone,
        "customer_tax_exempt": "none",
        "customer_tax_ids": [],
        "default_tax_rates": [],
        "description": made.memo,
        "discounts": [],
        "due_date": made.due_date,
        "effective_at": made.finalized,
        "ending_balance": 0 if issued else None,
        "hosted_invoice_url": hosted if issued else None,
        "invoice_pdf": f"{hosted}/pdf" if issued else None,
        "issuer": {"type": "self"},
        "lines": a_list(
            f"/v1/invoices/{made.id}/lines",
            [line(account, each) for each in made.lines[:_SHOWN]],
            more=len(made.lines) > _SHOWN,
        ),
        "number": made.number,
        "payment_settings": {
            "default_mandate": None,
            "payment_method_options": None,
            "payment_method_types": None,
        },
        "period_end": made.created,
        "period_start": made.created,
        "post_payment_credit_notes_amount": made.postcredited,
        "pre_payment_credit_notes_amount": made.precredited,
        "starting_balance": -made.applied,
        "status": made.status,
        "status_transitions": {
            "finalized_at": made.finalized,
            "marked_uncollectible_at": made.uncollectible,
            "paid_at": made.paid_at,
            "voided_at": made.voided,
        },
        "subtotal": made.net,
        "subtotal_excluding_tax": made.net,
        "total": made.total,
        "total_discount_amounts": [],
        "total_excluding_tax": made.net,
        "total_taxes": _total_taxes(made.lines),
    }


def invoice_payment(_account: Account, made: InvoicePayment) -> Record:
    record = shared(made, "invoice_payment")
    del record["metadata"]
    return {
        **record,
        "amount_paid": made.paid,
        "amount_requested": made.requested,
        "currency": made.currency,
        "invoice": made.invoice,
        "is_default": made.default,
        "payment": {"payment_intent": made.intent, "type": "payment_intent"},
        "status": made.status,
        "status_transitions": {"canceled_at": made.canceled_at, "paid_at": made.paid_at},
    }


def _credit_line(account: Account, made: CreditLine) -> Record:
    record = shared(made, "credit_note_line_item")
    del record["created"]
    own = made.invoice_line is None
    return {
        **record,
        "amount": made.amount,
        "description": made.text,
        "discount_amount": 0,
        "discount_amounts": [],
        "invoice_line_item": made.invoice_line,
        "pretax_credit_amounts": [],
        "quantity": made.quantity,
        "tax_rates": [tax_rate(account, account.rates[made.rate])] if made.rate else [],
        "taxes": taxes(made.rate, made.tax, made.amount),
        "type": "custom_line_item" if own else "invoice_line_item",
        "unit_amount": made.amount if own else None,
        "unit_amount_decimal": str(made.amount) if own else None,
    }


def credit_note(account: Account, made: CreditNote) -> Record:
    kind = "mixed" if made.pre and made.post else "post_payment" if made.post else "pre_payment"
    return {
        **shared(made, "credit_note"),
        **blank("customer_account", "customer_balance_transaction", "reason", "shipping_cost", "voided_at"),
        "amount": made.total,
        "amount_shipping": 0,
        "currency": made.currency,
        "customer": made.customer,
        "discount_amount": 0,
        "discount_amounts": [],
        "effective_at": made.created,
        "invoice": made.invoice,
        "lines": a_list(f"/v1/credit_notes/{made.id}/lines", [_credit_line(account, each) for each in made.lines]),
        "memo": made.memo,
        "number": made.number,
        "out_of_band_amount": made.outside,
        "pdf": f"https://pay.stripe.com/credit_notes/{made.id}/pdf",
        "post_payment_amount": made.post,
        "pre_payment_amount": made.pre,
        "pretax_credit_amounts": [],
        "refunds": [
            {"amount_refunded": amount, "payment_record_refund": None, "refund": refund, "type": "refund"}
            for refund, amount in made.refunds
        ],
        "status": "issued",
        "subtotal": made.net,
        "subtotal_excluding_tax": made.net,
        "total": made.total,
        "total_excluding_tax": made.net,
        "total_taxes": [tax for each in made.lines if each.rate for tax in taxes(each.rate, each.tax, each.amount)],
        "type": kind,
    }
