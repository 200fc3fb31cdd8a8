"""The tools, a module for each noun."""

from backoffice_billing.tools import accounting, accounts, invoices, payments, refunds

TOOLS = (*accounts.TOOLS, *invoices.TOOLS, *payments.TOOLS, *refunds.TOOLS, *accounting.TOOLS)
