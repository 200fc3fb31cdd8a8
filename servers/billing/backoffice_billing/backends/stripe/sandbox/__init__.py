"""Stripe's API in memory, over the fictional company."""

from backoffice_billing.backends.stripe.sandbox.account import ACCOUNT, Account, out_of_balance
from backoffice_billing.backends.stripe.sandbox.app import API_KEY, RESTRICTED_KEY, account_of, stripe_sandbox

__all__ = ["ACCOUNT", "API_KEY", "RESTRICTED_KEY", "Account", "account_of", "out_of_balance", "stripe_sandbox"]
