"""The sandboxes' own books, looked at from outside: whether they balance, and what a test makes happen in them."""

from __future__ import annotations

from collections.abc import Mapping

from backoffice_billing.backends.quickbooks.sandbox.api import file_of
from backoffice_billing.backends.quickbooks.sandbox.company_file import balanced as file_balanced
from backoffice_billing.backends.stripe.sandbox import account_of, moves, out_of_balance
from backoffice_billing.backends.xero.sandbox import org_of
from backoffice_billing.backends.xero.sandbox.org import balanced as org_balanced
from backoffice_shared.sandbox.frame import VendorSandbox


def must_balance(sandboxes: Mapping[str, VendorSandbox]) -> None:
    """Every provider's and ledger's."""
    assert out_of_balance(account_of(sandboxes["stripe"])) == []
    assert org_balanced(org_of(sandboxes["xero"])) == []
    assert file_balanced(file_of(sandboxes["quickbooks"]))


def settle(sandboxes: Mapping[str, VendorSandbox]) -> None:
    """What is pending at the payment provider happens now."""
    account_of(sandboxes["stripe"]).settle()


def dispute(sandboxes: Mapping[str, VendorSandbox], payment: str, outcome: str) -> None:
    """The bank disputes the payment, or has decided: "open", "won" (for the company) or "lost"."""
    account = account_of(sandboxes["stripe"])
    [charge] = [c for c in account.charges if c.intent == payment.split(":", 2)[2] and c.status == "succeeded"]
    known = account.disputes.having(charge=charge.id)
    made = known[0] if known else moves.dispute(account, charge)
    if outcome != "open":
        moves.decide(account, made, won=outcome == "won")
