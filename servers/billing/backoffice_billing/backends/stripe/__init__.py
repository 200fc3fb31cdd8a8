"""Stripe: customers, invoices, payments and refunds. https://docs.stripe.com/api"""

from backoffice_billing.backends.stripe.access import STRIPE
from backoffice_billing.backends.stripe.accounts import StripeAccounts
from backoffice_billing.backends.stripe.collecting import StripeCollecting
from backoffice_billing.backends.stripe.invoices import StripeInvoices
from backoffice_billing.backends.stripe.invoicing import StripeInvoicing
from backoffice_billing.backends.stripe.payments import StripePayments
from backoffice_billing.backends.stripe.refunding import StripeRefunding
from backoffice_billing.backends.stripe.reports import StripeReports
from backoffice_billing.backends.stripe.sandbox import stripe_sandbox

__all__ = [
    "STRIPE",
    "StripeAccounts",
    "StripeCollecting",
    "StripeInvoices",
    "StripeInvoicing",
    "StripePayments",
    "StripeRefunding",
    "StripeReports",
    "stripe_sandbox",
]
