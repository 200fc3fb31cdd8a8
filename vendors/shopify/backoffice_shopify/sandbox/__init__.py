"""Shopify in memory: the company's shop, and the Admin API over it."""

from backoffice_shopify.sandbox.served import CLIENT, SCHEMA, SHOP, TOKEN, shop_of, shopify_sandbox

__all__ = ["CLIENT", "SCHEMA", "SHOP", "TOKEN", "shop_of", "shopify_sandbox"]
