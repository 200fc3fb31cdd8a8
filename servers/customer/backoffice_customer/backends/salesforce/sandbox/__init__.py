"""Salesforce over the fictional company."""

from backoffice_customer.backends.salesforce.sandbox.api import DOMAIN, salesforce_sandbox
from backoffice_customer.backends.salesforce.sandbox.grants import CLIENT_ID, CLIENT_SECRET, TOKEN, USERNAME

__all__ = ["CLIENT_ID", "CLIENT_SECRET", "DOMAIN", "TOKEN", "USERNAME", "salesforce_sandbox"]
