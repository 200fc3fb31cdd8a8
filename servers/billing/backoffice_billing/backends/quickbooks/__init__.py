"""QuickBooks Online: the American company's books. https://developer.intuit.com/app/developer/qbo/docs/get-started"""

from backoffice_billing.backends.quickbooks.access import QUICKBOOKS
from backoffice_billing.backends.quickbooks.adapter import QuickBooks
from backoffice_billing.backends.quickbooks.sandbox import quickbooks_sandbox

__all__ = ["QUICKBOOKS", "QuickBooks", "quickbooks_sandbox"]
