"""`expand[]`: ids replaced by what they are of, and lists that an object has only when asked for.

Source: https://docs.stripe.com/api/expanding_objects, https://docs.stripe.com/expand
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from backoffice_billing.backends.stripe.sandbox import invoicing, people, rendering
from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.records import Record, a_list
from backoffice_billing.backends.stripe.sandbox.refusals import malformed
from backoffice_billing.backends.stripe.sandbox.tables import Span

_DEEPEST = 4
_KNOWN: dict[str, frozenset[str]] = {
    "balance_transaction": frozenset({"source"}),
    "charge": frozenset(
        {"balance_transaction", "customer", "failure_balance_transaction", "payment_intent", "refunds"}
    ),
    "credit_note": frozenset({"customer", "invoice", "refunds"}),
    "customer": frozenset({"default_source", "invoice_settings"}),
    "dispute": frozenset({"charge", "payment_intent"}),
    "invoice": frozenset({"customer", "default_payment_method", "payments"}),
    "invoice_payment": frozenset({"invoice", "payment"}),
    "payment_intent": frozenset({"customer", "latest_charge", "payment_method"}),
    "payment_method": frozenset({"customer"}),
    "radar.early_fraud_warning": frozenset({"charge", "payment_intent"}),
    "refund": frozenset({"balance_transaction", "charge", "failure_balance_transaction", "payment_intent"}),
    "subscription": frozenset({"customer", "default_payment_method", "latest_invoice", "items"}),
}


def expanded(account: Account, answer: Record, paths: list[str]) -> Record:
    """
    Raises:
        Refused: something cannot be expanded.
    """
    for path in paths:
        steps = path.split(".")
        if len(steps) > _DEEPEST:
            raise malformed(f"You cannot expand more than 4 levels of a property. Property: {path}", None, "expand")
        _expand(account, answer, steps, path)
    return answer


def _expand(account: Account, whole: Record, steps: list[str], path: str) -> None:
    step, *rest = steps
    kind = str(whole.get("object", ""))
    if kind in ("list", "search_result") and step == "data":
        for row in cast("list[Record]", whole["data"]):
            if rest:
                _expand(account, row, rest, path)
        return
    if kind not in {"", "list"} and step not in _KNOWN.get(kind, ()):
        raise malformed(f"This property cannot be expanded ({path}).", None, "expand")
    value = _included(account, whole, step) or whole.get(step)
    if isinstance(value, str):
        value = _object(account, value) or value
    whole[step] = value
    inner: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    for each in inner:
        if rest and isinstance(each, dict):
            _expand(account, cast("Record", each), rest, path)


def _included(account: Account, whole: Record, step: str) -> Record | None:
    """Lists that an object has only when asked for."""
    native = str(whole.get("id"))
    match (whole.get("object"), step):
        case ("charge", "refunds"):
            rows, more = account.refunds.list(Span(), 10, {"charge": native})
            data = [rendering.refund(account, row) for row in rows]
            return a_list(f"/v1/charges/{native}/refunds", data, more=more)
        case ("invoice", "payments"):
            rows, more = account.invoice_payments.list(Span(), 10, {"invoice": native})
            data = [invoicing.invoice_payment(account, row) for row in rows]
            return a_list(f"/v1/invoice_payments?invoice={native}", data, more=more)
        case _:
            return None


def _object(account: Account, native: str) -> Record | None:
    kinds: dict[str, tuple[Any, Callable[[Account, Any], Record]]] = {
        "cus": (account.customers, people.customer),
        "pm": (account.methods, people.method),
        "in": (account.invoices, invoicing.invoice),
        "pi": (account.intents, rendering.intent),
        "ch": (account.charges, rendering.charge),
        "re": (account.refunds, rendering.refund),
        "du": (account.disputes, rendering.dispute),
        "txn": (account.transactions, rendering.transaction),
        "cn": (account.credit_notes, invoicing.credit_note),
    }
    known = kinds.get(native.partition("_")[0])
    found = known[0].get(native) if known is not None else None
    return known[1](account, found) if known is not None and found is not None else None
