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


def given_back(sandboxes: Mapping[str, VendorSandbox], ledger: str) -> tuple[int, int]:
    """How often, and how much in all, the ledger says that money was given back."""
    if ledger == "xero":
        org = org_of(sandboxes["xero"])
        paid = [p for p in org.payments.values() if not p.deleted and org.documents[p.document].type == "ACCRECCREDIT"]
        return len(paid), sum(payment.amount for payment in paid)
    receipts = list(file_of(sandboxes["quickbooks"]).tables["RefundReceipt"].by_id.values())
    return len(receipts), sum(receipt.net + receipt.tax for receipt in receipts)
