"""Ids as Stripe's look: a prefix, and letters and digits that say nothing."""

from __future__ import annotations

import base64
import hashlib

_LENGTHS = {"cus": 14, "prod": 14}


def made(prefix: str, number: int | str) -> str:
    """The id of the thing with this number: `made("in", 7)` is always the same, and nothing else has it."""
    digest = hashlib.blake2b(f"{prefix}:{number}".encode(), digest_size=18).digest()
    letters = base64.b64encode(digest, b"Qx").decode()
    mark = "3" if prefix in ("pi", "ch", "re", "txn") else "1"
    return f"{prefix}_{mark}{letters[: _LENGTHS.get(prefix, 24) - 1]}"


def customer_id(person: int) -> str:
    return made("cus", person)


def method_id(person: int) -> str:
    """Of the person's own card."""
    return made("pm", person)


def invoice_id(invoice: int) -> str:
    """Of the invoice with this number in the company's books."""
    return made("in", invoice)


def payment_id(payment: int) -> str:
    """Of the payment with this number in the company's books."""
    return made("pi", payment)


def charge_id(payment: int) -> str:
    return made("ch", payment)


def tax_rate_id(country: str) -> str:
    return made("txr", country)


def price_id(currency: str) -> str:
    """Of the subscription in this currency."""
    return made("price", currency)
