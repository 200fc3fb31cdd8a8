"""Salesforce: the CRM of sales. https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/"""

from backoffice_customer.backends.salesforce.adapter import SALESFORCE, Salesforce
from backoffice_customer.backends.salesforce.desk import SalesforceCases
from backoffice_customer.backends.salesforce.sandbox import salesforce_sandbox

__all__ = ["SALESFORCE", "Salesforce", "SalesforceCases", "salesforce_sandbox"]
