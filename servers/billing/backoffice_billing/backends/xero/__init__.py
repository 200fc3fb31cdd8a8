"""Xero: the European company's books. https://developer.xero.com/documentation/api/accounting/overview"""

from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.adapter import Xero
from backoffice_billing.backends.xero.sandbox import xero_sandbox

__all__ = ["XERO", "Xero", "xero_sandbox"]
