"""HubSpot: the CRM. https://developers.hubspot.com/docs/api-reference"""

from backoffice_customer.backends.hubspot.adapter import HUBSPOT, HubSpot
from backoffice_customer.backends.hubspot.sandbox import hubspot_sandbox

__all__ = ["HUBSPOT", "HubSpot", "hubspot_sandbox"]
