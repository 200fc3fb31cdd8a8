"""Shopify: the shop. https://shopify.dev/docs/api/admin-graphql/2026-10"""

from backoffice_customer.backends.shopify.adapter import Shopify
from backoffice_shopify import SHOPIFY, shopify_sandbox

__all__ = ["SHOPIFY", "Shopify", "shopify_sandbox"]
