"""Records as Stripe's JSON, with all fields that its objects have.

Source: the typed source of `stripe` 16.1, and Stripe's own examples of objects (`fixtures3.json` of stripe/openapi).
"""

from __future__ import annotations

from backoffice_billing.backends.stripe.sandbox.account import CLEARS_AFTER, Account
from backoffice_billing.backends.stripe.sandbox.objects import (
    Charge,
    Decline,
    Dispute,
    Intent,
    Refund,
    Transaction,
    Warned,
)
from backoffice_billing.backends.stripe.sandbox.people import method
from backoffice_billing.backends.stripe.sandbox.records import ADDRESS, Record, blank, shared


def declined(account: Account, decline: Decline, charge: str | None, *, whole: bool = False) -> Record:
    """The error of a card. `whole`: with the method it was tried with, as Stripe's answer has it."""
    made = account.charges.get(charge)
    tried = account.methods.get(made.method) if made is not None else None
    return {
        "advice_code": "try_again_later",
        "charge": charge,
        "code": decline.code,
        "decline_code": decline.decline_code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "type": "card_error",
        **({"payment_method": method(account, tried)} if tried is not None and whole else {}),
    }


def intent(account: Account, made: Intent) -> Record:
    error = declined(account, made.decline, made.decline_charge, whole=True) if made.decline else None
    return {
        **shared(made, "payment_intent"),
        **blank("application", "application_fee_amount", "canceled_at", "cancellation_reason", "customer_account"),
        **blank("excluded_payment_method_types", "managed_payments", "next_action", "on_behalf_of"),
        **blank(
            "payment_method_configuration_details",
            "payment_record",
            "processing",
            "review",
            "setup_future_usage",
            "shipping",
        ),
        **blank("source", "statement_descriptor", "statement_descriptor_suffix", "transfer_data", "transfer_group"),
        "amount": made.amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": made.received,
        "automatic_payment_methods": {"allow_redirects": "never", "enabled": True},
        "capture_method": "automatic_async",
        "client_secret": f"{made.id}_secret_of_this_payment",
        "confirmation_method": "automatic",
        "currency": made.currency,
        "customer": made.customer,
        "description": made.description,
        "last_payment_error": error,
        "latest_charge": made.charge,
        "payment_method": made.method,
        "payment_method_options": {},
        "payment_method_types": ["card", "us_bank_account"],
        "receipt_email": made.email,
        "status": made.status,
    }


def charge(_account: Account, made: Charge) -> Record:
    failed, succeeded = made.status == "failed", made.status == "succeeded"
    decline = made.decline
    details: Record = {"last4": made.last4, "fingerprint": f"fp{made.last4}"}
    if made.kind == "card":
        details |= {"brand": made.brand, "network": made.brand, "country": "US", "funding": "credit"}
        details |= {"exp_month": 12, "exp_year": 2031, "mandate": None, "three_d_secure": None, "wallet": None}
    else:
        details |= {"bank_name": made.brand, "account_type": "checking"}
    return {
        **shared(made, "charge"),
        **blank("application", "application_fee", "application_fee_amount", "calculated_statement_descriptor"),
        **blank("failure_balance_transaction", "on_behalf_of", "receipt_number", "review", "shipping", "source"),
        **blank("source_transfer", "statement_descriptor", "statement_descriptor_suffix", "transfer_data"),
        **blank("transfer_group"),
        "amount": made.amount,
        "amount_captured": made.amount if succeeded else 0,
        "amount_refunded": made.refunded,
        "balance_transaction": made.transaction,
        "billing_details": {"address": ADDRESS, "email": made.email, "name": made.name, "phone": None, "tax_id": None},
        "captured": succeeded,
        "currency": made.currency,
        "customer": made.customer,
        "description": made.description,
        "disputed": made.disputed,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {"user_report": made.reported} if made.reported else {},
        "outcome": {
            "advice_code": None,
            "network_advice_code": None,
            "network_decline_code": None,
            "network_status": "declined_by_network" if failed else "approved_by_network",
            "reason": decline.decline_code if decline else None,
            "risk_level": made.risk,
            "risk_score": 12,
            "seller_message": "The bank did not return any further details." if failed else "Payment complete.",
            "type": "issuer_declined" if failed else "authorized",
        },
        "paid": not failed,
        "payment_intent": made.intent,
        "payment_method": made.method,
        "payment_method_details": {"type": made.kind, made.kind: details},
        "receipt_email": made.email,
        "receipt_url": f"https://pay.stripe.com/receipts/{made.id}" if succeeded else None,
        "refunded": succeeded and made.refunded == made.amount,
        "status": made.status,
    }


def refund(_account: Account, made: Refund) -> Record:
    wire = {
        **shared(made, "refund"),
        **blank("customer", "customer_account", "payment_method", "receipt_number"),
        **blank("source_transfer_reversal", "transfer_reversal"),
        "amount": made.amount,
        "balance_transaction": made.transaction,
        "charge": made.charge,
        "currency": made.currency,
        "destination_details": {"type": "card", "card": {"type": "refund"}},
        "payment_intent": made.intent,
        "reason": made.reason,
        "status": made.status,
    }
    if made.status == "failed":
        wire |= {"failure_reason": made.failure_reason, "failure_balance_transaction": made.failure_transaction}
    if made.status == "pending":
        wire["pending_reason"] = "processing"
    del wire["livemode"]
    return wire


def dispute(account: Account, made: Dispute) -> Record:
    charged = account.charges[made.charge]
    return {
        **shared(made, "dispute"),
        "amount": made.amount,
        "balance_transactions": [transaction(account, account.transactions[each]) for each in made.transactions],
        "charge": made.charge,
        "currency": made.currency,
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": made.due_by,
            "enhanced_eligibility": {},
            "has_evidence": made.status != "needs_response",
            "past_due": False,
            "submission_count": 0 if made.status == "needs_response" else 1,
        },
        "is_charge_refundable": False,
        "payment_intent": made.intent,
        "payment_method_details": {
            "card": {"brand": charged.brand, "case_type": "chargeback", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": "fraudulent",
        "status": made.status,
    }


def warning(_account: Account, made: Warned) -> Record:
    wire = {
        **shared(made, "radar.early_fraud_warning"),
        "actionable": True,
        "charge": made.charge,
        "fraud_type": "made_with_stolen_card",
        "payment_intent": made.intent,
    }
    del wire["metadata"]
    return wire


def transaction(account: Account, made: Transaction) -> Record:
    fee = {"amount": made.fee, "application": None, "currency": made.currency, "type": "stripe_fee"}
    return {
        "id": made.id,
        "object": "balance_transaction",
        "amount": made.amount,
        "available_on": made.created + CLEARS_AFTER,
        "balance_type": "payments",
        "created": made.created,
        "currency": made.currency,
        "description": None,
        "exchange_rate": None,
        "fee": made.fee,
        "fee_details": [{**fee, "description": "Stripe processing fees"}] if made.fee else [],
        "net": made.net,
        "reporting_category": made.category,
        "source": made.source,
        "status": "available" if made.available_on <= account.now() else "pending",
        "type": made.kind,
    }


def balance(account: Account) -> Record:
    available: list[Record] = []
    pending: list[Record] = []
    for currency, amount in sorted(account.balance.items()):
        waiting = account.pending_balance(currency)
        available.append({"amount": amount - waiting, "currency": currency, "source_types": {"card": amount - waiting}})
        pending.append({"amount": waiting, "currency": currency, "source_types": {"card": waiting}})
    return {
        "object": "balance",
        "available": available,
        "connect_reserved": [],
        "livemode": False,
        "pending": pending,
    }
