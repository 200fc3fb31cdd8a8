"""Customers, how they pay, and to what they subscribe, as Stripe's JSON."""

from __future__ import annotations

from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.objects import Customer, Method, Price, Product, Subscription, TaxRate
from backoffice_billing.backends.stripe.sandbox.records import ADDRESS, Record, a_list, blank, shared


def customer(account: Account, who: Customer) -> Record:
    own = -who.credit.get(who.currency or "", 0)
    return {
        **shared(who, "customer"),
        **blank("address", "default_source", "description", "discount", "shipping", "test_clock", "customer_account"),
        "balance": own,
        "currency": who.currency,
        "delinquent": False,
        "email": who.email,
        "invoice_credit_balance": dict(who.credit),
        "invoice_prefix": who.id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": who.default_method,
            "footer": None,
            "rendering_options": None,
        },
        "name": who.name,
        "next_invoice_sequence": 1 + len(account.invoices.having(customer=who.id)),
        "phone": who.phone,
        "preferred_locales": [],
        "tax_exempt": "none",
    }


def method(_account: Account, made: Method) -> Record:
    details: Record = {"last4": made.last4, "fingerprint": f"fp{made.last4}"}
    if made.kind == "card":
        details |= {
            "brand": made.brand,
            "display_brand": made.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": "US",
            "exp_month": made.exp_month,
            "exp_year": made.exp_year,
            "funding": "credit",
            "generated_from": None,
            "networks": {"available": [made.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        }
    else:
        details |= {
            "bank_name": made.brand,
            "account_holder_type": "company",
            "account_type": "checking",
            "financial_connections_account": None,
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": "110000000",
            "status_details": {},
        }
    return {
        **shared(made, "payment_method"),
        "allow_redisplay": "unspecified",
        "billing_details": {"address": ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None},
        "customer": made.customer,
        "customer_account": None,
        "type": made.kind,
        made.kind: details,
    }


def tax_rate(_account: Account, rate: TaxRate) -> Record:
    return {
        **shared(rate, "tax_rate"),
        **blank("description", "effective_percentage", "flat_amount", "jurisdiction", "jurisdiction_level", "state"),
        "active": True,
        "country": rate.name[-2:],
        "display_name": rate.name,
        "inclusive": False,
        "percentage": rate.hundredths / 100,
        "rate_type": "percentage",
        "tax_type": "vat",
    }


def product(_account: Account, made: Product) -> Record:
    return {
        **shared(made, "product"),
        **blank("default_price", "description", "package_dimensions", "shippable", "statement_descriptor", "tax_code"),
        **blank("unit_label", "url"),
        "active": True,
        "images": [],
        "marketing_features": [],
        "name": made.name,
        "type": "service",
        "updated": made.created,
    }


def price(_account: Account, made: Price) -> Record:
    recurring = {"interval": "month", "interval_count": 1, "meter": None, "usage_type": "licensed"}
    return {
        **shared(made, "price"),
        **blank("custom_unit_amount", "lookup_key", "nickname", "tiers_mode", "transform_quantity"),
        "active": True,
        "billing_scheme": "per_unit",
        "currency": made.currency,
        "product": made.product,
        "recurring": {**recurring, "trial_period_days": None} if made.recurring else None,
        "tax_behavior": "unspecified",
        "type": "recurring" if made.recurring else "one_time",
        "unit_amount": made.unit,
        "unit_amount_decimal": str(made.unit),
    }


def subscription(account: Account, made: Subscription) -> Record:
    priced = price(account, account.prices[made.price])
    item: Record = {
        "id": made.item,
        "object": "subscription_item",
        "billed_until": None,
        "billing_thresholds": None,
        "created": made.created,
        "current_period_end": made.renews,
        "current_period_start": made.renews - 30 * 86_400,
        "discounts": [],
        "metadata": {},
        "plan": {"id": made.price, "object": "plan", "active": True, "currency": made.currency},
        "price": priced,
        "quantity": 1,
        "subscription": made.id,
        "tax_rates": [],
    }
    return {
        **shared(made, "subscription"),
        **blank("application", "application_fee_percent", "billing_thresholds", "cancel_at", "canceled_at"),
        **blank("customer_account", "days_until_due", "default_payment_method", "default_source", "description"),
        **blank("ended_at", "latest_invoice", "managed_payments", "next_pending_invoice_item_invoice", "on_behalf_of"),
        **blank("pause_collection", "pending_invoice_item_interval", "pending_setup_intent", "pending_update"),
        **blank("schedule", "test_clock", "transfer_data", "trial_end", "trial_start", "billing_cycle_anchor_config"),
        "automatic_tax": {"enabled": False, "liability": None, "disabled_reason": None},
        "billing_cycle_anchor": made.created,
        "billing_mode": {"type": "flexible"},
        "billing_schedules": [],
        "cancel_at_period_end": False,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "currency": made.currency,
        "customer": made.customer,
        "default_tax_rates": [],
        "discounts": [],
        "invoice_settings": {"account_tax_ids": None, "issuer": {"type": "self"}},
        "items": a_list(f"/v1/subscription_items?subscription={made.id}", [item]),
        "payment_settings": {"payment_method_options": None, "payment_method_types": None},
        "start_date": made.created,
        "status": "active",
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    }
