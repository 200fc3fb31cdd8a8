"""QuickBooks' sandbox: the American company's books, as QuickBooks keeps them."""

from backoffice_billing.backends.quickbooks.sandbox.api import REALM, file_of, forget_requests, quickbooks_sandbox
from backoffice_billing.backends.quickbooks.sandbox.company_file import CompanyFile, balanced
from backoffice_billing.backends.quickbooks.sandbox.tokens import (
    ACCESS_TOKEN,
    CLIENT_ID,
    CLIENT_SECRET,
    REFRESH_TOKEN,
)

__all__ = [
    "ACCESS_TOKEN",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "REALM",
    "REFRESH_TOKEN",
    "CompanyFile",
    "balanced",
    "file_of",
    "forget_requests",
    "quickbooks_sandbox",
]
