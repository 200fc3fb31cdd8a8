"""Zendesk: the helpdesk and its Help Center. https://developer.zendesk.com/api-reference/"""

from backoffice_customer.backends.zendesk.access import LEGACY_CREDENTIAL, ZENDESK
from backoffice_customer.backends.zendesk.adapter import Zendesk
from backoffice_customer.backends.zendesk.help_center import HelpCenter
from backoffice_customer.backends.zendesk.sandbox import zendesk_sandbox

__all__ = ["LEGACY_CREDENTIAL", "ZENDESK", "HelpCenter", "Zendesk", "zendesk_sandbox"]
