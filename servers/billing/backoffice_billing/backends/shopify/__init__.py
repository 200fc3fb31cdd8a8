"""Shopify: what the shop took for its orders, and giving it back. https://shopify.dev/docs/api/admin-graphql/2026-10"""

from backoffice_billing.backends.shopify.adapter import Shopify
from backoffice_shopify import SHOPIFY, shopify_sandbox

__all__ = ["SHOPIFY", "Shopify", "shopify_sandbox"]
