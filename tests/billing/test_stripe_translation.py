"""Stripe's words and ours: amounts, queries, refusals, and what an answer must be like."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.stripe_account import HOSTILE, KEY, eur, saying

from backoffice_billing.backends.stripe import (
    StripeAccounts,
    StripeInvoices,
    StripePayments,
    StripeReports,
    accountwire,
    invoicewire,
    paymentwire,
)
from backoffice_billing.backends.stripe.access import VERSION
from backoffice_billing.backends.stripe.amounts import money, wired
from backoffice_billing.backends.stripe.sandbox.searching import clauses
from backoffice_billing.backends.stripe.wire import is_id, quoted
from backoffice_billing.ports import InvoiceQuery, PaymentQuery, ReportQuery
from backoffice_shared.errors import (
    BackendUnavailable,
    BackofficeError,
    Conflict,
    InvalidInput,
    MalformedAnswer,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.http.client import BackendClient
from backoffice_shared.money import Money

# ------------------------------------------------------------------------------------------------------------- amounts


@pytest.mark.parametrize(
    ("ours", "currency", "theirs"),
    [
        (1999, "USD", "1999"),
        (500, "JPY", "500"),
        (5120, "KWD", "5120"),
        (5, "ISK", "500"),
        (5, "UGX", "500"),
        (500, "MGA", "5"),
        (0, "EUR", "0"),
        (-100, "EUR", "-100"),
        (2**53, "USD", str(2**53)),
    ],
)
def test_amounts_are_written_by_stripes_rules_and_read_back(ours: int, currency: str, theirs: str) -> None:
    assert wired(Money(amount=ours, currency=currency)) == theirs
    assert money(int(theirs), currency.lower()) == Money(amount=ours, currency=currency)


@pytest.mark.parametrize(
    ("amount", "currency"), [(5124, "KWD"), (1, "BHD"), (501, "MGA"), (2**53 + 1, "USD"), (2**53, "ISK")]
)
def test_what_stripe_cannot_carry_exactly_is_refused(amount: int, currency: str) -> None:
    with pytest.raises(InvalidInput):
        wired(Money(amount=amount, currency=currency))


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        (12.5, "usd"),
        (1e3, "usd"),
        ("1", "usd"),
        (None, "usd"),
        (True, "usd"),
        (2**53 + 1, "usd"),
        (550, "isk"),
        (1, "us"),
    ],
)
def test_what_is_no_whole_amount_is_not_read(amount: object, currency: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the stack takes any of them for a misshapen answer
        money(amount, currency)


@given(st.integers(-(2**30), 2**30), st.sampled_from(["USD", "JPY", "KWD", "ISK", "UGX", "MGA", "CLP", "TND"]))
def test_every_amount_that_can_be_written_is_read_back(amount: int, currency: str) -> None:
    whole = Money(amount=amount * 100, currency=currency)
    assert money(int(wired(whole)), currency) == whole


# ------------------------------------------------------------------------------------------------- ids and queries


@given(st.text())
def test_no_text_can_leave_its_place_in_a_query(text: str) -> None:
    [(field, value), other] = clauses(f'email:{quoted(text)} AND number:"NW-1"')
    assert (field, other) == ("email", ("number", "NW-1"))
    assert value == "".join(c if c.isprintable() and c != "\\" else " " for c in text)


@pytest.mark.parametrize(
    "text", ["", "search", "in_", "in_1/void", "in_1?x", "..", "in_1\n", "IN_1", "in_é", HOSTILE, "a_" + "1" * 300]
)
def test_what_is_no_id_is_seen(text: str) -> None:
    assert not is_id(text)
    assert is_id("in_1PgafuB7WZ01zgkW")


# ------------------------------------------------------------------------------------------------------------ refusals


def refusing(status: int, error: dict[str, Any], **headers: str) -> StripeInvoices:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return StripeInvoices(saying(lambda _: httpx.Response(status, json={"error": error}, headers=named)))


@pytest.mark.parametrize(
    ("status", "error", "kind", "sentence"),
    [
        (401, {"message": "Invalid API Key provided: sk_test_***"}, PermissionDenied, "Invalid API Key"),
        (403, {"message": "does not have the required permissions"}, PermissionDenied, "required permissions"),
        (404, {"message": "No such invoice: 'in_1'", "code": "resource_missing"}, NotFound, "No such invoice"),
        (
            400,
            {"message": "No such price: 'p'", "code": "resource_missing", "param": "price"},
            NotFound,
            "No such price",
        ),
        (
            400,
            {"message": "Received unknown parameter: x", "code": "parameter_unknown"},
            InvalidInput,
            "parameter_unknown",
        ),
        (400, {"message": "Wrong.", "param": "amount"}, InvalidInput, "parameter amount"),
        (
            402,
            {"message": "Declined.", "code": "card_declined", "decline_code": "lost_card", "type": "card_error"},
            Conflict,
            "card_declined, lost_card",
        ),
        (
            400,
            {"message": "Refund amount ($2) is greater than unrefunded amount on charge ($1)"},
            Conflict,
            "unrefunded",
        ),
        (400, {"message": "Too much.", "code": "amount_too_large"}, Conflict, "amount_too_large"),
        (
            400,
            {"message": "Charge ch_1 has been charged back.", "code": "charge_disputed"},
            Conflict,
            "charge_disputed",
        ),
        (400, {"message": "You can only pass in open invoices. This invoice isn't open."}, Conflict, "isn't open"),
        (400, {"message": "Invoice is already paid"}, Conflict, "already paid"),
        (400, {"message": "Other parameters.", "type": "idempotency_error"}, Conflict, "Other parameters"),
        (429, {"message": "Too many.", "code": "rate_limit"}, RateLimited, "Too many"),
        (429, {"message": "Locked.", "code": "lock_timeout"}, RateLimited, "Locked"),
        (500, {"message": "Unknown.", "type": "api_error"}, BackendUnavailable, "Unknown"),
        (418, {}, InvalidInput, "answered 418"),
    ],
)
@pytest.mark.anyio
async def test_every_refusal_becomes_one_of_ours(
    status: int, error: dict[str, Any], kind: type[BackofficeError], sentence: str
) -> None:
    with pytest.raises(kind) as refused:
        await refusing(status, error).invoice("in_1")
    assert type(refused.value) is kind
    assert sentence in str(refused.value)


@pytest.mark.anyio
async def test_a_key_that_is_in_use_leaves_the_outcome_open() -> None:
    error = {"message": "There is another request.", "code": "idempotency_key_in_use", "type": "idempotency_error"}
    http = saying(lambda _: httpx.Response(409, json={"error": error}))
    with pytest.raises(OutcomeUnknown):
        await http.write("refunds.create", "/v1/refunds", form={}, into=lambda _: None, key=KEY)


@pytest.mark.anyio
async def test_the_version_and_the_account_are_sent_and_an_empty_account_is_not() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(404, json={"error": {"message": "no", "code": "resource_missing"}})

    for options in ({}, {"account": "acct_1"}, {"account": ""}):
        with pytest.raises(NotFound):
            await StripeInvoices(saying(answer, **options)).invoice("in_1")
    assert [request.headers["stripe-version"] for request in seen] == [VERSION] * 3
    assert [request.headers.get("stripe-account") for request in seen] == [None, "acct_1", None]


READS: list[Callable[[BackendClient], Awaitable[object]]] = [
    lambda http: StripeInvoices(http).invoice("in_1"),
    lambda http: StripeInvoices(http).search_invoices(InvoiceQuery(date(2026, 1, 1)), None, 5),
    lambda http: StripePayments(http).payment("pi_1", frozenset()),
    lambda http: StripePayments(http).search_payments(PaymentQuery(), None, 5),
    lambda http: StripeAccounts(http).accounts(["cus_1"], frozenset({"balance", "methods"})),
    lambda http: StripeReports(http).report(ReportQuery("cash", until=date(2026, 1, 1))),
]


@pytest.mark.parametrize(
    "answer",
    ["{", "[]", "null", '{"data": 7}', '{"object":"invoice","id":"in_1"}', '{"data":[7],"has_more":0}', '"x"', "NaN"],
)
@pytest.mark.parametrize("read", READS)
@pytest.mark.anyio
async def test_an_answer_of_another_shape_is_said_to_be_one(
    answer: str, read: Callable[[BackendClient], Awaitable[object]]
) -> None:
    with pytest.raises(MalformedAnswer):
        await read(saying(lambda _: httpx.Response(200, content=answer)))


# --------------------------------------------------------------------------------------------------------- translation

INVOICE: dict[str, Any] = {
    "id": "in_1",
    "object": "invoice",
    "status": "open",
    "currency": "eur",
    "created": 1_790_000_000,
    "effective_at": None,
    "status_transitions": {"finalized_at": 1_790_100_000},
    "customer": {"id": "cus_1", "object": "customer"},
    "total": 11_900,
    "amount_due": 10_000,
    "amount_paid": 2_000,
    "amount_remaining": 8_000,
    "total_taxes": [{"amount": 1_900, "tax_behavior": "inclusive"}],
    "lines": {"data": []},
    "livemode": True,
}


def test_what_credit_paid_and_what_credit_notes_took_off_is_credited() -> None:
    invoice = invoicewire.invoice(INVOICE, date(2026, 1, 1))
    assert (invoice.total, invoice.paid, invoice.credited, invoice.due) == (
        eur(11_900),
        eur(2_000),
        eur(1_900),
        eur(8_000),
    )
    assert (invoice.subtotal, invoice.tax) == (eur(10_000), eur(1_900))
    assert (invoice.customer_id, invoice.url) == ("stripe:customer:cus_1", "https://dashboard.stripe.com/invoices/in_1")


def test_a_line_with_tax_in_its_price_and_a_discount_is_given_without_both() -> None:
    line = invoicewire.line(
        {
            "id": "il_1",
            "currency": "eur",
            "amount": 1_190,
            "quantity": 2,
            "description": None,
            "taxes": [{"amount": 190, "tax_behavior": "inclusive"}],
            "discount_amounts": [{"amount": 100}],
            "pricing": {"unit_amount_decimal": "595"},
        }
    )
    assert (line.amount, line.tax, line.unit_amount, line.description) == (eur(900), eur(190), None, "")


@pytest.mark.parametrize(
    ("unit", "expected"),
    [("595", 595), ("0.5", None), ("NaN", None), (None, None), ("1e400", None), ("x", None), ("-3", -3)],
)
def test_a_unit_price_finer_than_money_is_left_out(unit: object, expected: int | None) -> None:
    wire = {"currency": "eur", "amount": 1, "quantity": 2, "pricing": {"unit_amount_decimal": unit}}
    line = invoicewire.line(wire)
    assert line.unit_amount == (None if expected is None else eur(expected))


def test_credit_is_by_currency_or_the_customers_own_and_what_they_owe_is_none() -> None:
    assert accountwire.credit(
        {"invoice_credit_balance": {"eur": 500, "usd": -3}, "balance": -500, "currency": "eur"}
    ) == [eur(500)]
    assert accountwire.credit({"balance": -500, "currency": "eur"}) == [eur(500)]
    assert accountwire.credit({"balance": 500, "currency": "eur"}) == []
    assert accountwire.credit({"balance": 0, "currency": None}) == []


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], None),
        (["won"], "won"),
        (["lost", "won"], "lost"),
        (["won", "under_review"], "open"),
        (["warning_needs_response"], "open"),
        (["warning_closed"], "won"),
        (["something_new"], "open"),
    ],
)
def test_the_worst_of_several_disputes_counts(statuses: list[str], expected: str | None) -> None:
    assert paymentwire.dispute_status([{"status": status} for status in statuses]) == expected


@pytest.mark.parametrize(
    ("captured", "status", "expected"),
    [
        (True, "succeeded", "succeeded"),
        (False, "succeeded", "pending"),
        (False, "pending", "pending"),
        (False, "failed", "failed"),
    ],
)
def test_what_was_only_authorised_is_pending(captured: bool, status: str, expected: str) -> None:
    charge = {
        "id": "ch_1",
        "created": 1,
        "status": status,
        "captured": captured,
        "amount": 5,
        "currency": "eur",
        "amount_captured": 5,
        "amount_refunded": 0,
    }
    assert paymentwire.row(charge, []).status == expected


def test_a_version_is_of_what_people_see() -> None:
    seen = json.loads(json.dumps(INVOICE))
    assert invoicewire.version({**seen, "metadata": {"a": "b"}}) == invoicewire.version(INVOICE)
    for change in ({"amount_remaining": 1}, {"status": "paid"}, {"description": "new"}, {"customer": "cus_2"}):
        assert invoicewire.version({**seen, **change}) != invoicewire.version(INVOICE)
