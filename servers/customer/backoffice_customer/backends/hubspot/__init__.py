"""HubSpot: the CRM, and a help desk. https://developers.hubspot.com/docs/api-reference"""

from backoffice_customer.backends.hubspot.access import HUBSPOT
from backoffice_customer.backends.hubspot.adapter import HubSpot
from backoffice_customer.backends.hubspot.sandbox import hubspot_sandbox
from backoffice_customer.backends.hubspot.tickets import HubSpotTickets

__all__ = ["HUBSPOT", "HubSpot", "HubSpotTickets", "hubspot_sandbox"]
