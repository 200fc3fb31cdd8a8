"""Zendesk: the helpdesk. https://developer.zendesk.com/api-reference/ticketing/introduction/"""

from backoffice_customer.backends.zendesk.adapter import LEGACY_CREDENTIAL, ZENDESK, Zendesk
from backoffice_customer.backends.zendesk.sandbox import zendesk_sandbox

__all__ = ["LEGACY_CREDENTIAL", "ZENDESK", "Zendesk", "zendesk_sandbox"]
