"""Customers, their methods and subscriptions, over HTTP."""

from __future__ import annotations

from backoffice_billing.backends.stripe.sandbox import people, searching
from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.asking import CREATED, LISTED, METADATA, Asked
from backoffice_billing.backends.stripe.sandbox.endpoints import Endpoint, Searches, listed, update_metadata
from backoffice_billing.backends.stripe.sandbox.moves import TEST_METHODS
from backoffice_billing.backends.stripe.sandbox.objects import Customer, Method
from backoffice_billing.backends.stripe.sandbox.records import Record, a_list
from backoffice_billing.backends.stripe.sandbox.refusals import invalid, missing

_WRITTEN = ("name", "email", "phone", "expand[]", METADATA, "invoice_settings[default_payment_method]")


def endpoints(searches: Searches) -> list[Endpoint]:
    def search(account: Account, asked: Asked) -> Record:
        return searching.customers(account, asked, stale=searches())

    return [
        Endpoint("GET", "customers", _list, ("email", *CREATED, *LISTED)),
        Endpoint("POST", "customers", _create, _WRITTEN),
        Endpoint("GET", "customers/search", search, searching.KNOWN),
        Endpoint("GET", "customers/{id}", _get, ("expand[]",)),
        Endpoint("POST", "customers/{id}", _update, _WRITTEN),
        Endpoint("GET", "customers/{id}/payment_methods", _methods, ("type", "allow_redisplay", *LISTED)),
        Endpoint("GET", "payment_methods", _all_methods, ("customer", "type", *LISTED)),
        Endpoint("GET", "payment_methods/{id}", _method, ("expand[]",)),
        Endpoint("POST", "payment_methods/{id}/attach", _attach, ("customer", "expand[]")),
        Endpoint("GET", "subscriptions", _subscriptions, ("customer", "status", *CREATED, *LISTED)),
        Endpoint("GET", "products", _products, ("ids[]", "active", *LISTED)),
    ]


def customer_in(account: Account, native: object, param: str = "customer") -> Customer:
    """Of a parameter."""
    found = account.customers.get(native)
    if found is None:
        raise missing("customer", native, param, status=400)
    return found


def _there(account: Account, native: str) -> Customer:
    found = account.customers.get(native)
    if found is None:
        raise missing("customer", native)
    return found


def _list(account: Account, asked: Asked) -> Record:
    email = asked.text("email")
    fields = {} if email is None else {"email": email}
    return listed(account, account.customers, asked, people.customer, "/v1/customers", fields=fields)


def _get(account: Account, _asked: Asked, native: str) -> Record:
    return people.customer(account, _there(account, native))


def _create(account: Account, asked: Asked) -> Record:
    made = Customer(
        id=account.new("cus"),
        created=account.now(),
        metadata=asked.metadata(),
        written=True,
        name=asked.text("name"),
        email=asked.text("email"),
        phone=asked.text("phone"),
    )
    return people.customer(account, account.add_customer(made))


def _update(account: Account, asked: Asked, native: str) -> Record:
    """The e-mail address stays, which the lists are filtered by."""
    found = _there(account, native)
    if (method := asked.part("invoice_settings").text("default_payment_method")) is not None:
        mine = account.methods.get(method)
        if mine is None or mine.customer != found.id:
            raise missing("PaymentMethod", method, "invoice_settings[default_payment_method]", status=400)
        found.default_method = method
    if (name := asked.text("name")) is not None:
        found.name = name or None
    update_metadata(found, asked)
    return people.customer(account, found)


def _methods(account: Account, asked: Asked, native: str) -> Record:
    _there(account, native)
    return _of(account, asked, native, f"/v1/customers/{native}/payment_methods")


def _all_methods(account: Account, asked: Asked) -> Record:
    return _of(account, asked, asked.text("customer") or "", "/v1/payment_methods")


def _of(account: Account, asked: Asked, customer: str, url: str) -> Record:
    kind = asked.text("type")
    return listed(
        account,
        account.methods,
        asked,
        people.method,
        url,
        fields={"customer": customer},
        also=lambda m: kind in (None, m.kind),
    )


def _method(account: Account, _asked: Asked, native: str) -> Record:
    found = account.methods.get(native)
    if found is None:
        raise missing("PaymentMethod", native, "payment_method")
    return people.method(account, found)


def _attach(account: Account, asked: Asked, native: str) -> Record:
    """Stripe's test methods become methods of the customer's own."""
    customer = customer_in(account, asked.required("customer"))
    if native not in TEST_METHODS:
        if account.methods.get(native) is not None:
            raise invalid("The payment method you provided has already been attached to a customer.")
        raise missing("PaymentMethod", native, "payment_method")
    return people.method(account, attached(account, customer, native))


def attached(account: Account, customer: Customer | None, test_method: str) -> Method:
    behaviour, brand, last4 = TEST_METHODS[test_method]
    return account.methods.add(
        Method(
            id=account.new("pm"),
            created=account.now(),
            written=True,
            customer=customer.id if customer is not None else None,
            kind="us_bank_account" if test_method.startswith("pm_usBankAccount") else "card",
            brand=brand,
            last4=last4,
            behaviour=behaviour,
        )
    )


def _subscriptions(account: Account, asked: Asked) -> Record:
    customer = asked.text("customer")
    fields = {} if customer is None else {"customer": customer}
    return listed(account, account.subscriptions, asked, people.subscription, "/v1/subscriptions", fields=fields)


def _products(account: Account, asked: Asked) -> Record:
    ids = asked.texts("ids")
    found = [made for native in ids if (made := account.products.get(native))] if ids else list(account.products)
    return a_list("/v1/products", [people.product(account, made) for made in found])
