"""The sandbox's objects are Stripe's, and our requests have no parameter that Stripe does not know.

Held against the typed source of Stripe's own client, which is made of Stripe's specification for this version of the
API, and against Stripe's own examples of objects, where they are at hand.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import stripe as package
from stripe import params
from tests.billing.stripe_account import KEY, OTHER, TODAY, Desk, desk, eur, native
from tests.contract.openapi import spec_file
from tests.shared.clocks import ManualClock

from backoffice_billing.backends.stripe.access import STRIPE, VERSION
from backoffice_billing.backends.stripe.sandbox.ids import (
    charge_id,
    customer_id,
    invoice_id,
    method_id,
    payment_id,
    tax_rate_id,
)
from backoffice_billing.models import AccountSection
from backoffice_billing.ports import (
    Collection,
    CreditDraft,
    DraftLine,
    InvoiceDraft,
    InvoiceQuery,
    PaymentQuery,
    RefundDraft,
    ReportQuery,
)
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import InProcess

pytestmark = pytest.mark.anyio

_RADAR = params.radar.EarlyFraudWarningListParams

_PARAMS: dict[tuple[str, str], Any] = {
    ("GET", "/v1/customers"): params.CustomerListParams,
    ("GET", "/v1/customers/search"): params.CustomerSearchParams,
    ("GET", "/v1/customers/{id}"): params.CustomerRetrieveParams,
    ("GET", "/v1/customers/{id}/payment_methods"): params.CustomerListPaymentMethodsParams,
    ("GET", "/v1/subscriptions"): params.SubscriptionListParams,
    ("GET", "/v1/products"): params.ProductListParams,
    ("GET", "/v1/invoices"): params.InvoiceListParams,
    ("GET", "/v1/invoices/search"): params.InvoiceSearchParams,
    ("GET", "/v1/invoices/{id}"): params.InvoiceRetrieveParams,
    ("GET", "/v1/invoices/{id}/lines"): params.InvoiceListLinesParams,
    ("POST", "/v1/invoices"): params.InvoiceCreateParams,
    ("POST", "/v1/invoices/{id}"): params.InvoiceUpdateParams,
    ("POST", "/v1/invoices/create_preview"): params.InvoiceCreatePreviewParams,
    ("POST", "/v1/invoices/{id}/finalize"): params.InvoiceFinalizeInvoiceParams,
    ("POST", "/v1/invoices/{id}/send"): params.InvoiceSendInvoiceParams,
    ("POST", "/v1/invoices/{id}/void"): params.InvoiceVoidInvoiceParams,
    ("POST", "/v1/invoices/{id}/pay"): params.InvoicePayParams,
    ("POST", "/v1/invoices/{id}/attach_payment"): params.InvoiceAttachPaymentParams,
    ("GET", "/v1/invoiceitems"): params.InvoiceItemListParams,
    ("POST", "/v1/invoiceitems"): params.InvoiceItemCreateParams,
    ("GET", "/v1/invoice_payments"): params.InvoicePaymentListParams,
    ("GET", "/v1/credit_notes"): params.CreditNoteListParams,
    ("GET", "/v1/credit_notes/preview"): params.CreditNotePreviewParams,
    ("POST", "/v1/credit_notes"): params.CreditNoteCreateParams,
    ("GET", "/v1/payment_intents"): params.PaymentIntentListParams,
    ("GET", "/v1/payment_intents/search"): params.PaymentIntentSearchParams,
    ("GET", "/v1/payment_intents/{id}"): params.PaymentIntentRetrieveParams,
    ("POST", "/v1/payment_intents"): params.PaymentIntentCreateParams,
    ("GET", "/v1/charges"): params.ChargeListParams,
    ("GET", "/v1/charges/{id}"): params.ChargeRetrieveParams,
    ("GET", "/v1/refunds"): params.RefundListParams,
    ("POST", "/v1/refunds"): params.RefundCreateParams,
    ("GET", "/v1/disputes"): params.DisputeListParams,
    ("GET", "/v1/radar/early_fraud_warnings"): _RADAR,
    ("GET", "/v1/balance_transactions"): params.BalanceTransactionListParams,
}
"""All that the adapters ask, and Stripe's own types of its parameters."""

_OBJECTS: dict[str, Any] = {
    "balance_transaction": package.BalanceTransaction,
    "charge": package.Charge,
    "credit_note": package.CreditNote,
    "credit_note_line_item": package.CreditNoteLineItem,
    "customer": package.Customer,
    "dispute": package.Dispute,
    "invoice": package.Invoice,
    "invoice_payment": package.InvoicePayment,
    "invoiceitem": package.InvoiceItem,
    "line_item": package.InvoiceLineItem,
    "payment_intent": package.PaymentIntent,
    "payment_method": package.PaymentMethod,
    "price": package.Price,
    "product": package.Product,
    "radar.early_fraud_warning": package.radar.EarlyFraudWarning,
    "refund": package.Refund,
    "subscription": package.Subscription,
    "subscription_item": package.SubscriptionItem,
    "tax_rate": package.TaxRate,
}
_GONE = {"invoice": {"subscription"}}
"""What is in Stripe's examples, and no more in its types."""


_SECTIONS: frozenset[AccountSection] = frozenset({"balance", "overdue", "credit", "methods", "subscriptions"})


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


class Noting(httpx.AsyncBaseTransport):
    """Carries requests to the sandbox, and keeps them and what was answered."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        sent = request.content.decode() if request.method == "POST" else urlsplit(str(request.url)).query
        await response.aread()
        self.seen.append((request.method, request.url.path, dict(parse_qsl(sent)), response.json()))
        return response


async def everything(company: Company) -> tuple[Desk, Noting]:
    """A desk that has asked all that the adapters can ask."""
    plain = desk(company)
    noting = Noting(InProcess(plain.sandbox))
    secrets = EnvironmentCredentials({"stripe_api_key": plain.sandbox.credentials["api_key"]})
    http = connect(STRIPE, noting, secrets, base_url="https://api.stripe.com", clock=ManualClock())
    stripe = Desk(company, plain.sandbox, http, plain.present, plain.clock)
    person = next(p for p in company.people if company.books.bills(p) and p.country == "DE" and company.books.card(p))
    line = DraftLine("Tent", 2, eur(5_000), tax_code=tax_rate_id("DE"))
    draft = InvoiceDraft(customer_id(person.number), "EUR", (line,) * 11, TODAY.date(), memo="Memo", po_number="PO")
    made = (await stripe.invoicing.create_invoice(draft, KEY)).value
    issued = (await stripe.invoicing.issue_invoice(native(made.invoice_id), "", send=True, key="e" * 40)).value.invoice
    for amount, whole, key in ((eur(1_000), False, "a" * 40), (issued.total - eur(1_000), True, "b" * 40)):
        await stripe.collecting.collect(
            Collection(native(issued.invoice_id), draft.customer, method_id(person.number), amount, whole), key
        )
    [first, *_] = issued.lines or []
    lines = (first.line_id or "", 1)
    await stripe.invoicing.credit_invoice(
        native(issued.invoice_id), "", CreditDraft(eur(5_950), "Broken", "credit_balance", (lines,)), key="c" * 40
    )
    await stripe.invoicing.preview_credit(native(issued.invoice_id), CreditDraft(eur(1), "x", "out_of_band"))
    void = await stripe.issued(person)
    await stripe.invoicing.void_invoice(native(void.invoice_id), "", "Twice", key=OTHER)
    await _reading(stripe, person.number)
    return stripe, noting


async def _reading(stripe: Desk, person: int) -> None:
    disputed = stripe.paid(lambda p: p.disputed == "open")
    repaid = stripe.paid(lambda p: p.order is not None and not p.refunds)
    await stripe.refunding.refund(
        RefundDraft(payment_id(repaid.number), Money(amount=1, currency=repaid.currency), "goodwill"), "f" * 40
    )
    for subject in (disputed, repaid):
        await stripe.payment(subject)
    await stripe.payments.payment(charge_id(repaid.number), frozenset())
    await stripe.payments.payments_for_order("#1")
    await stripe.payments.refunds_of(customer_id(KEY_ACCOUNT), TODAY)
    await stripe.payments.search_payments(
        PaymentQuery(customers=(customer_id(person),), since=TODAY, until=TODAY), None, 9
    )
    await stripe.payments.search_payments(PaymentQuery(statuses=("disputed", "failed")), None, 9)
    subscriber = customer_id(stripe.company.books.subscriptions[0].person)
    await stripe.accounts.accounts([subscriber, customer_id(person)], _SECTIONS)
    await stripe.accounts.accounts_by_email("a@b.example", frozenset())
    day = TODAY.date()
    wanted = InvoiceQuery(day, statuses=("overdue",), issued_since=day, issued_until=day, due_before=day)
    await stripe.invoices.search_invoices(wanted, None, 9)
    await stripe.invoices.search_invoices(InvoiceQuery(day, number="NW-1", customers=(subscriber,)), None, 9)
    billed = stripe.billed(lambda i: i.status == "paid")
    await stripe.invoices.invoices([invoice_id(billed.number)], frozenset({"payments", "credit_notes", "lines"}))
    for name in sorted(stripe.reports.reports):
        await stripe.reports.report(ReportQuery(name, day, currency="USD"))


# ----------------------------------------------------------------------------------------------------------- requests


def _template(path: str) -> str:
    return re.sub(r"/(?:cus|in|pi|ch|re|cn|upcoming_in)_\w+", "/{id}", path)


async def test_every_request_is_one_that_stripe_knows_with_all_of_its_parameters(company: Company) -> None:
    _, noting = await everything(company)
    asked = {(method, _template(path)) for method, path, _, _ in noting.seen}
    assert asked == set(_PARAMS)
    for method, path, sent, _ in noting.seen:
        known = _PARAMS[method, _template(path)]
        problems = [name for name in sent if not _knows(known, re.findall(r"[^\[\]]+", name))]
        assert problems == [], f"{method} {path}"


def _knows(known: Any, steps: list[str]) -> bool:
    """Whether a parameter in brackets is one of Stripe's type: `lines[0][type]` is `lines` of `type`."""
    if not steps:
        return True
    step, *rest = steps
    hints = _hints(known)
    if step not in hints:
        return False
    inner = str(hints[step])
    rest = [part for part in rest if not part.isdecimal()]
    names = re.findall(r"\b([A-Z]\w+Params\w+)\b", inner)
    if not rest or "Dict[str, str]" in inner:
        return True
    return any(_knows(getattr(_module_of(known), name), rest) for name in names)


def _hints(known: Any) -> Mapping[str, Any]:
    return known.__annotations__


def _module_of(known: Any) -> Any:
    return importlib.import_module(known.__module__)


def test_a_parameter_that_stripe_does_not_know_is_seen() -> None:
    known = params.InvoiceItemCreateParams
    assert _knows(known, ["pricing", "price"])
    assert not _knows(known, ["pricing", "colour"])
    assert not _knows(known, ["colour"])
    assert _knows(params.CreditNoteCreateParams, ["lines", "0", "type"])
    assert not _knows(params.CreditNoteCreateParams, ["lines", "0", "colour"])
    assert _knows(params.InvoiceListParams, ["created", "gte"])
    assert not _knows(params.InvoiceListParams, ["created", "since"])


# ------------------------------------------------------------------------------------------------------------ answers


def _objects(value: Any) -> list[dict[str, Any]]:
    """All of Stripe's objects in an answer, however deep."""
    fields = obj(value)
    inner = [found for each in (*arr(value), *fields.values()) for found in _objects(each)]
    return [fields, *inner] if fields.get("object") in _OBJECTS else inner


async def test_every_object_has_what_stripes_type_says_that_it_has_and_nothing_else(company: Company) -> None:
    _, noting = await everything(company)
    seen: set[str] = set()
    for _, path, _, answer in noting.seen:
        for found in _objects(answer):
            kind = found["object"]
            seen.add(kind)
            notes = _OBJECTS[kind].__annotations__
            needed = {name for name, note in notes.items() if not re.search("ClassVar|None|Optional", str(note))}
            assert needed - found.keys() == set(), f"{path}: {kind} lacks"
            assert found.keys() - notes.keys() - _GONE.get(kind, set()) == set(), f"{path}: {kind} has"
    assert seen == set(_OBJECTS)


async def test_every_object_has_all_that_stripes_examples_have(company: Company) -> None:
    examples: dict[str, dict[str, Any]] = spec_file("stripe_fixtures3.json")["resources"]
    _, noting = await everything(company)
    for _, path, _, answer in noting.seen:
        for found in _objects(answer):
            kind = found["object"]
            if kind in examples and not (kind == "payment_method" and found["type"] != "card"):
                missing = examples[kind].keys() - found.keys() - _GONE.get(kind, set()) - {"refunds", "plan"}
                assert missing == set(), f"{path}: {kind} lacks what Stripe's example has"


def test_the_version_is_that_of_stripes_client() -> None:
    assert package.api_version == VERSION
