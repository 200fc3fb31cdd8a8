"""Shopify, as far as two servers need it: how it is reached, how it writes, and its sandbox.

Source: https://shopify.dev/docs/api/admin-graphql/2026-10
"""

from backoffice_shopify.backend import SHOPIFY
from backoffice_shopify.sandbox import shopify_sandbox

__all__ = ["SHOPIFY", "shopify_sandbox"]
