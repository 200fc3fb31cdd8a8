"""PaymentIntents, charges, refunds, disputes, and the balance, over HTTP."""

from __future__ import annotations

from backoffice_billing.backends.stripe.amounts import THREE_DECIMALS, TWO_FALSE_DECIMALS
from backoffice_billing.backends.stripe.sandbox import moves, rendering, searching
from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.asking import CREATED, LISTED, METADATA, Asked
from backoffice_billing.backends.stripe.sandbox.customers import attached, customer_in
from backoffice_billing.backends.stripe.sandbox.endpoints import Endpoint, Searches, listed, update_metadata
from backoffice_billing.backends.stripe.sandbox.objects import Charge, Customer, Intent, Method
from backoffice_billing.backends.stripe.sandbox.records import Record
from backoffice_billing.backends.stripe.sandbox.refusals import Refused, invalid, malformed, missing

_AUTOMATIC = ("automatic_payment_methods[enabled]", "automatic_payment_methods[allow_redirects]")
_WRITTEN = (
    "amount",
    "currency",
    "customer",
    "payment_method",
    "confirm",
    "off_session",
    "description",
    "receipt_email",
)
_LEAST = {"usd": 50, "eur": 50, "gbp": 30, "brl": 50, "jpy": 50}
_TRANSACTIONS = ("currency", "type", "source", *CREATED, *LISTED)
_OF_PAYMENT = ("charge", "payment_intent", *CREATED, *LISTED)


def endpoints(searches: Searches) -> list[Endpoint]:
    def search(account: Account, asked: Asked) -> Record:
        return searching.intents(account, asked, stale=searches())

    written = (*_WRITTEN, *_AUTOMATIC, "payment_method_types[]", METADATA, "expand[]")
    return [
        Endpoint("GET", "payment_intents", _intents, ("customer", *CREATED, *LISTED)),
        Endpoint("POST", "payment_intents", _create, written),
        Endpoint("GET", "payment_intents/search", search, searching.KNOWN),
        Endpoint("GET", "payment_intents/{id}", _intent, ("expand[]",)),
        Endpoint("POST", "payment_intents/{id}", _update, ("description", METADATA, "expand[]")),
        Endpoint("GET", "charges", _charges, ("customer", "payment_intent", *CREATED, *LISTED)),
        Endpoint("GET", "charges/{id}", _charge, ("expand[]",)),
        Endpoint("GET", "refunds", _refunds, _OF_PAYMENT),
        Endpoint("POST", "refunds", _refund, ("charge", "payment_intent", "amount", "reason", METADATA, "expand[]")),
        Endpoint("GET", "refunds/{id}", _get_refund, ("expand[]",)),
        Endpoint("GET", "disputes", _disputes, _OF_PAYMENT),
        Endpoint("GET", "radar/early_fraud_warnings", _warnings, _OF_PAYMENT),
        Endpoint("GET", "balance_transactions", _transactions, _TRANSACTIONS),
        Endpoint("GET", "balance", _balance, ("expand[]",)),
    ]


def _chosen(asked: Asked, *names: str, as_: dict[str, str] | None = None) -> dict[str, str]:
    """The filters that are asked for, by the names of the fields of a record."""
    renamed = as_ or {}
    return {renamed.get(name, name): value for name in names if (value := asked.text(name)) is not None}


_AS = {"payment_intent": "intent"}


# ------------------------------------------------------------------------------------------------------ PaymentIntents


def intent_in(account: Account, native: str, param: str = "payment_intent") -> Intent:
    """Of a parameter."""
    found = account.intents.get(native)
    if found is None:
        raise missing("payment_intent", native, param, status=400)
    return found


def method_of(account: Account, customer: Customer | None, native: str) -> Method:
    """One of the customer's own; or one of Stripe's test methods, which are anybody's.

    Raises:
        Refused: it is somebody else's, or there is none.
    """
    if native in moves.TEST_METHODS:
        return attached(account, None, native)
    found = account.methods.get(native)
    if found is None:
        raise missing("PaymentMethod", native, "payment_method", status=400)
    if found.customer is not None and (customer is None or found.customer != customer.id):
        raise invalid(
            "The PaymentMethod you provided belongs to another Customer. It must be attached to the Customer that is"
            " charged.",
            code="payment_method_unexpected_state",
            param="payment_method",
        )
    return found


def answered(account: Account, intent: Intent) -> Record:
    """
    Raises:
        Refused: 402, where the attempt was declined.
    """
    if intent.decline is None:
        return rendering.intent(account, intent)
    error = rendering.declined(account, intent.decline, intent.decline_charge, whole=True)
    raise Refused(402, {**error, "payment_intent": rendering.intent(account, intent)})


def _intents(account: Account, asked: Asked) -> Record:
    fields = _chosen(asked, "customer")
    return listed(account, account.intents, asked, rendering.intent, "/v1/payment_intents", fields=fields)


def _there(account: Account, native: str) -> Intent:
    found = account.intents.get(native)
    if found is None:
        raise missing("payment_intent", native, "intent")
    return found


def _intent(account: Account, _asked: Asked, native: str) -> Record:
    return rendering.intent(account, _there(account, native))


def _update(account: Account, asked: Asked, native: str) -> Record:
    found = _there(account, native)
    update_metadata(found, asked)
    return rendering.intent(account, found)


def _create(account: Account, asked: Asked) -> Record:
    amount, currency = asked.amount("amount"), asked.currency()
    if amount is None:
        raise malformed("Missing required param: amount.", "parameter_missing", "amount")
    check_amount(amount, currency)
    customer = customer_in(account, asked.required("customer")) if "customer" in asked.values else None
    wanted, confirm = asked.text("payment_method"), asked.flag("confirm")
    method = method_of(account, customer, wanted) if wanted is not None else None
    if asked.flag("off_session") and not confirm:
        raise malformed(
            "You cannot set `off_session` to `true` when creating a PaymentIntent without setting `confirm` to `true`.",
            None,
            "off_session",
        )
    if confirm and method is None:
        raise invalid(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    made = account.intents.add(
        Intent(
            id=account.new("pi"),
            created=account.now(),
            metadata=asked.metadata(),
            written=True,
            amount=amount,
            currency=currency,
            customer=customer.id if customer is not None else None,
            method=method.id if method is not None else None,
            status="requires_confirmation" if method is not None else "requires_payment_method",
            description=asked.text("description"),
            email=asked.text("receipt_email"),
        )
    )
    if order := made.metadata.get("order"):
        account.orders.setdefault(order, []).append(made.id)
    if confirm and method is not None:
        moves.attempt(account, made, method)
    return answered(account, made)


def check_amount(amount: int, currency: str) -> None:
    """
    Raises:
        Refused: Stripe charges no such amount.
    """
    check_digits(amount, currency)
    if amount < (least := _LEAST.get(currency, 1)):
        raise invalid(f"Amount must be at least {least} {currency}", code="amount_too_small", param="amount")


def check_digits(amount: int, currency: str) -> None:
    """
    Raises:
        Refused: Stripe moves no such amount of this currency.
    """
    code = currency.upper()
    if code in THREE_DECIMALS and amount % 10:
        raise invalid(f"Invalid amount. The last digit of an amount in {currency} must be 0.", param="amount")
    if code in TWO_FALSE_DECIMALS and amount % 100:
        raise invalid(f"Invalid amount. An amount in {currency} must be divisible by 100.", param="amount")


# ------------------------------------------------------------------------------------------------- charges and refunds


def _charges(account: Account, asked: Asked) -> Record:
    fields = _chosen(asked, "customer", "payment_intent", as_=_AS)
    return listed(account, account.charges, asked, rendering.charge, "/v1/charges", fields=fields)


def _charge(account: Account, _asked: Asked, native: str) -> Record:
    found = account.charges.get(native)
    if found is None:
        raise missing("charge", native)
    return rendering.charge(account, found)


def _refunds(account: Account, asked: Asked) -> Record:
    fields = _chosen(asked, "charge", "payment_intent", as_=_AS)
    return listed(account, account.refunds, asked, rendering.refund, "/v1/refunds", fields=fields)


def _get_refund(account: Account, _asked: Asked, native: str) -> Record:
    found = account.refunds.get(native)
    if found is None:
        raise missing("refund", native)
    return rendering.refund(account, found)


def _refund(account: Account, asked: Asked) -> Record:
    amount = asked.amount("amount")
    reason = asked.one_of("reason", "duplicate", "fraudulent", "requested_by_customer")
    charge = _refunded(account, asked)
    if amount is not None:
        check_digits(amount, charge.currency)
    left = charge.amount - charge.refunded
    made = moves.refund(account, charge, left if amount is None else amount, reason=reason, metadata=asked.metadata())
    return rendering.refund(account, made)


def _refunded(account: Account, asked: Asked) -> Charge:
    native, intent = asked.text("charge"), asked.text("payment_intent")
    if native is not None and intent is not None:
        raise malformed("You may only specify one of these parameters: charge, payment_intent.")
    if intent is not None:
        found = intent_in(account, intent)
        if found.charge is None:
            raise invalid(f"This PaymentIntent ({intent}) does not have a successful charge to refund.")
        return account.charges[found.charge]
    if native is None:
        raise malformed("One of the following params should be provided for this request: payment_intent or charge.")
    charge = account.charges.get(native)
    if charge is None:
        raise missing("charge", native, "charge", status=400)
    return charge


# --------------------------------------------------------------------------------------------------- what else there is


def _disputes(account: Account, asked: Asked) -> Record:
    fields = _chosen(asked, "charge", "payment_intent", as_=_AS)
    return listed(account, account.disputes, asked, rendering.dispute, "/v1/disputes", fields=fields)


def _warnings(account: Account, asked: Asked) -> Record:
    fields = _chosen(asked, "charge", "payment_intent", as_=_AS)
    url = "/v1/radar/early_fraud_warnings"
    return listed(account, account.warnings, asked, rendering.warning, url, fields=fields)


def _transactions(account: Account, asked: Asked) -> Record:
    kind = asked.text("type")
    return listed(
        account,
        account.transactions,
        asked,
        rendering.transaction,
        "/v1/balance_transactions",
        also=lambda row: kind in (None, row.kind),
        fields=_chosen(asked, "currency", "source"),
    )


def _balance(account: Account, _asked: Asked) -> Record:
    return rendering.balance(account)
