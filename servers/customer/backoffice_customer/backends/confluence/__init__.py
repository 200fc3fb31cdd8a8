"""Confluence: the wiki. https://developer.atlassian.com/cloud/confluence/rest/v2/intro/"""

from backoffice_customer.backends.confluence.adapter import CONFLUENCE, Confluence
from backoffice_customer.backends.confluence.sandbox import confluence_sandbox

__all__ = ["CONFLUENCE", "Confluence", "confluence_sandbox"]
