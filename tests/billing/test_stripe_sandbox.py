"""Stripe's sandbox: it refuses what Stripe refuses, remembers keys as Stripe does, and its books are in balance."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.billing.stripe_account import KEY, OTHER, TODAY, URL, Desk, desk, native

from backoffice_billing.backends.stripe.sandbox import RESTRICTED_KEY, moves, out_of_balance
from backoffice_billing.backends.stripe.sandbox.ids import (
    charge_id,
    customer_id,
    invoice_id,
    method_id,
    payment_id,
    tax_rate_id,
)
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import Faults, InProcess

pytestmark = pytest.mark.anyio

Form = Mapping[str, str]


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


async def error(stripe: Desk, method: str, path: str, form: Form | None = None, **headers: str) -> tuple[int, Any]:
    params, sent = (form, None) if method == "GET" else (None, form)
    answer = await stripe.wire(method, path, params, sent, **headers)
    return answer.status_code, answer.json().get("error")


# ---------------------------------------------------------------------------------------------------------- who may ask


async def test_who_shows_no_key_or_a_wrong_one_is_refused(stripe: Desk) -> None:
    async with httpx.AsyncClient(transport=InProcess(stripe.sandbox), base_url=URL) as http:
        answers = [
            await http.get("/v1/balance"),
            await http.get("/v1/balance", headers={"authorization": "Bearer sk_test_somebody_elses_key"}),
            await http.get("/v1/balance", headers={"authorization": "Basic ???"}),
        ]
        basic = base64.b64encode(f"{stripe.sandbox.credentials['api_key']}:".encode()).decode()
        assert (await http.get("/v1/balance", headers={"authorization": f"Basic {basic}"})).status_code == 200
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert answers[1].json()["error"] == {
        "message": "Invalid API Key provided: sk_test_********_key",
        "type": "invalid_request_error",
    }


async def test_a_restricted_key_reads_and_is_told_what_it_lacks(stripe: Desk) -> None:
    bearer = f"Bearer {RESTRICTED_KEY}"
    assert (await stripe.wire("GET", "/v1/charges", Authorization=bearer)).status_code == 200
    status, refused = await error(stripe, "POST", "/v1/refunds", {"payment_intent": "pi_1"}, Authorization=bearer)
    assert (status, refused["type"]) == (403, "invalid_request_error")
    assert "Having the 'rak_charge_write' permission" in refused["message"]


# ------------------------------------------------------------------------------------------------------ what it refuses


@pytest.mark.parametrize(
    ("method", "path", "form", "status", "code", "param"),
    [
        ("GET", "/v1/invoices/in_nothing", {}, 404, "resource_missing", "invoice"),
        ("GET", "/v1/customers/cus_nothing", {}, 404, "resource_missing", "id"),
        ("POST", "/v1/invoices", {"customer": "cus_nothing"}, 400, "resource_missing", "customer"),
        ("POST", "/v1/invoices", {}, 400, "parameter_missing", "customer"),
        ("POST", "/v1/invoices", {"customer": ""}, 400, "parameter_invalid_empty", "customer"),
        ("POST", "/v1/invoices", {"customer": customer_id(2), "color": "red"}, 400, "parameter_unknown", "color"),
        ("POST", "/v1/refunds", {"charge": "ch_1", "payment_intent": "pi_1"}, 400, None, None),
        ("POST", "/v1/refunds", {}, 400, None, None),
        ("POST", "/v1/refunds", {"charge": "ch_1", "amount": "1.5"}, 400, "parameter_invalid_integer", "amount"),
        ("POST", "/v1/refunds", {"charge": "ch_1", "amount": "0"}, 400, "parameter_invalid_integer", "amount"),
        ("POST", "/v1/refunds", {"charge": "ch_1", "reason": "goodwill"}, 400, None, "reason"),
        ("GET", "/v1/charges", {"limit": "101"}, 400, "parameter_invalid_integer", "limit"),
        ("GET", "/v1/charges", {"starting_after": "ch_nothing"}, 400, "resource_missing", "starting_after"),
        ("GET", "/v1/charges", {"expand[]": "data.color"}, 400, None, "expand"),
        ("GET", "/v1/charges", {"expand[]": "data.payment_intent.customer.default_source.x"}, 400, None, "expand"),
        ("GET", "/v1/invoices", {"status": "overdue"}, 400, None, "status"),
        ("GET", "/v1/customers/search", {"query": "email=x"}, 400, None, "query"),
        ("GET", "/v1/customers/search", {}, 400, "parameter_missing", "query"),
        ("GET", "/v1/invoice_payments", {"payment[payment_intent]": "pi_1"}, 400, "parameter_missing", "payment[type]"),
        ("POST", "/v1/payment_intents", {"amount": "10", "currency": "usd"}, 400, "amount_too_small", "amount"),
        ("POST", "/v1/payment_intents", {"amount": "5124", "currency": "kwd"}, 400, None, "amount"),
        ("POST", "/v1/payment_intents", {"amount": "550", "currency": "isk"}, 400, None, "amount"),
        ("POST", "/v1/payment_intents", {"currency": "usd"}, 400, "parameter_missing", "amount"),
        ("POST", "/v1/payment_intents", {"amount": "500", "currency": "xyz"}, 400, None, "currency"),
        ("POST", "/v1/payment_intents", {"amount": "500"}, 400, "parameter_missing", "currency"),
        ("GET", "/v1/unicorns", {}, 404, None, None),
        ("POST", "/v1/charges", {}, 404, None, None),
    ],
)
async def test_it_refuses_as_stripe_does(
    stripe: Desk, method: str, path: str, form: Form, status: int, code: str | None, param: str | None
) -> None:
    answered, refused = await error(stripe, method, path, form)
    assert (answered, refused.get("code"), refused.get("param")) == (status, code, param)
    assert refused["type"] == "invalid_request_error"
    assert refused["message"]


async def test_the_state_of_an_invoice_forbids_what_it_forbids_at_stripe(stripe: Desk) -> None:
    paid, draft, open_ = (
        f"/v1/invoices/{invoice_id(stripe.billed(lambda i, s=s: i.status == s).number)}"
        for s in ("paid", "draft", "open")
    )
    refused = {
        (f"{paid}/void", ""): "Invoices with `paid` payments cannot be voided.",
        (f"{draft}/void", ""): "You can only pass in open invoices. This invoice isn't open.",
        (f"{paid}/pay", ""): "Invoice is already paid",
        (f"{open_}/finalize", ""): "This invoice is already finalized, you can't re-finalize a non-draft invoice.",
        (open_, "description"): "Finalized invoices can't be updated in this way",
    }
    for (path, field), sentence in refused.items():
        status, found = await error(stripe, "POST", path, {field: "x"} if field else {})
        assert (status, found["message"], found.get("code")) == (400, sentence, None)
    owner = stripe.state.invoices[open_.rpartition("/")[2]].customer
    form = {"customer": owner, "invoice": open_.rpartition("/")[2], "amount": "1", "currency": "eur"}
    status, found = await error(
        stripe, "POST", "/v1/invoiceitems", {**form, "currency": stripe.state.invoices[form["invoice"]].currency}
    )
    assert (status, found["code"]) == (400, "invoice_not_editable")


async def test_a_refund_is_refused_as_at_stripe(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: not (p.failed or p.refunds or p.disputed))
    disputed = stripe.paid(lambda p: p.disputed == "open")

    async def refund(number: int, amount: int) -> Any:
        form = {"payment_intent": payment_id(number), "amount": str(amount)}
        return (await error(stripe, "POST", "/v1/refunds", form))[1]

    assert "is greater than unrefunded amount on charge" in (await refund(paid.number, paid.amount + 1))["message"]
    assert await refund(paid.number, paid.amount) is None
    assert (await refund(paid.number, 1))["code"] == "charge_already_refunded"
    assert (await refund(disputed.number, 1))["code"] == "charge_disputed"


async def test_a_decline_has_the_payment_the_charge_and_the_method_in_it(stripe: Desk) -> None:
    form = {"amount": "500", "currency": "usd", "confirm": "true", "payment_method": "pm_card_visa_chargeDeclined"}
    status, refused = await error(stripe, "POST", "/v1/payment_intents", form)
    assert (status, refused["type"], refused["code"], refused["decline_code"]) == (
        402,
        "card_error",
        "card_declined",
        "generic_decline",
    )
    assert refused["payment_intent"]["status"] == "requires_payment_method"
    assert refused["payment_intent"]["last_payment_error"]["code"] == "card_declined"
    assert refused["charge"] == refused["payment_intent"]["latest_charge"]


@pytest.mark.parametrize("name", sorted(moves.TEST_METHODS))
async def test_stripes_test_methods_can_be_attached_by_their_names(stripe: Desk, name: str) -> None:
    native = await stripe.attached(stripe.company.people[KEY_ACCOUNT], name)
    listed = (await stripe.wire("GET", f"/v1/customers/{customer_id(KEY_ACCOUNT)}/payment_methods")).json()["data"]
    assert [m["id"] for m in listed] == [native, method_id(KEY_ACCOUNT)]


# --------------------------------------------------------------------------------------------------------------- keys


async def test_a_key_gives_its_first_answer_for_a_day(stripe: Desk) -> None:
    form = {"amount": "500", "currency": "usd"}
    first = await stripe.wire("POST", "/v1/payment_intents", form=form, idempotency_key=KEY)
    again = await stripe.wire("POST", "/v1/payment_intents", form=form, idempotency_key=KEY)
    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert "idempotent-replayed" not in first.headers
    assert first.headers["idempotency-key"] == KEY
    stripe.present.shifted = timedelta(hours=23, minutes=59)
    assert (await stripe.wire("POST", "/v1/payment_intents", form=form, idempotency_key=KEY)).content == first.content
    stripe.present.shifted = timedelta(hours=24, minutes=1)
    later = await stripe.wire("POST", "/v1/payment_intents", form=form, idempotency_key=KEY)
    assert later.json()["id"] != first.json()["id"]


async def test_a_key_with_other_parameters_or_elsewhere_is_refused(stripe: Desk) -> None:
    await stripe.wire("POST", "/v1/payment_intents", form={"amount": "500", "currency": "usd"}, idempotency_key=KEY)
    for path, form in (
        ("/v1/payment_intents", {"amount": "501", "currency": "usd"}),
        ("/v1/refunds", {"charge": "ch_1"}),
    ):
        status, refused = await error(stripe, "POST", path, form, idempotency_key=KEY)
        assert (status, refused["type"]) == (400, "idempotency_error")


async def test_a_decline_is_remembered_and_a_mistake_is_not(stripe: Desk) -> None:
    declined = {"amount": "500", "currency": "usd", "confirm": "true", "payment_method": "pm_card_chargeDeclined"}
    charges = len(stripe.state.charges)
    answers = [await stripe.wire("POST", "/v1/payment_intents", form=declined, idempotency_key=KEY) for _ in range(2)]
    assert (answers[0].status_code, answers[1].content) == (402, answers[0].content)
    assert len(stripe.state.charges) == charges + 1
    assert (await error(stripe, "POST", "/v1/payment_intents", {"amount": "5"}, idempotency_key=OTHER))[0] == 400
    right = {"amount": "500", "currency": "usd"}
    assert (await stripe.wire("POST", "/v1/payment_intents", form=right, idempotency_key=OTHER)).status_code == 200


async def test_a_key_that_is_in_use_is_refused_until_there_is_an_answer(stripe: Desk) -> None:
    form, before = {"amount": "500", "currency": "usd"}, len(stripe.state.intents)
    answers = await asyncio.gather(
        *(stripe.wire("POST", "/v1/payment_intents", form=form, idempotency_key=KEY) for _ in range(3))
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    assert {answer.json()["error"]["code"] for answer in answers if answer.is_error} == {"idempotency_key_in_use"}
    assert len(stripe.state.intents) == before + 1


# -------------------------------------------------------------------------------------------------------------- lists


async def test_a_list_goes_on_after_an_id_and_ends_before_one(stripe: Desk) -> None:
    whole: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await stripe.wire("GET", "/v1/charges", params={"limit": "13", **after})).json()
        whole += [row["id"] for row in page["data"]]
        if not page["has_more"]:
            break
        after = {"starting_after": whole[-1]}
    assert len(whole) == len(set(whole)) == len(stripe.state.charges)
    created = [stripe.state.charges[native].created for native in whole]
    assert created == sorted(created, reverse=True)
    back = (await stripe.wire("GET", "/v1/charges", params={"limit": "5", "ending_before": whole[20]})).json()
    assert [row["id"] for row in back["data"]] == whole[15:20]


async def test_a_list_is_of_the_time_that_is_asked_for(stripe: Desk) -> None:
    times = sorted(charge.created for charge in stripe.state.charges)
    low, high = times[30], times[60]
    within = [t for t in times if low <= t <= high]
    between = [t for t in within if t not in (low, high)]
    for names, expected in ((("gte", "lte"), within), (("gt", "lt"), between)):
        asked = {f"created[{names[0]}]": str(low), f"created[{names[1]}]": str(high), "limit": "100"}
        page = (await stripe.wire("GET", "/v1/charges", params=asked)).json()
        assert sorted(row["created"] for row in page["data"]) == expected


async def test_it_slows_down_and_breaks_down_in_stripes_words(stripe: Desk) -> None:
    stripe.sandbox.faults = Faults(plan=["throttle", "error"])
    throttled, broken = [await stripe.wire("GET", "/v1/balance") for _ in range(2)]
    assert (throttled.status_code, throttled.json()["error"]["code"], throttled.headers["retry-after"]) == (
        429,
        "rate_limit",
        "1",
    )
    assert (broken.status_code, broken.json()["error"]["type"]) == (503, "api_error")


# ------------------------------------------------------------------------------------------------------------ its books


async def test_the_balance_is_what_the_journal_has(stripe: Desk) -> None:
    form = {"amount": "100000", "currency": "eur", "confirm": "true", "payment_method": "pm_card_visa"}
    await stripe.wire("POST", "/v1/payment_intents", form=form)
    balance = (await stripe.wire("GET", "/v1/balance")).json()
    entries = stripe.state.transactions.having(currency="eur")
    pending = next(each["amount"] for each in balance["pending"] if each["currency"] == "eur")
    available = next(each["amount"] for each in balance["available"] if each["currency"] == "eur")
    assert pending == 100_000 - 2_930
    assert available + pending == sum(entry.net for entry in entries)
    assert out_of_balance(stripe.state) == []


async def test_what_is_paid_too_much_becomes_the_customers_credit(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    invoice = await stripe.issued(person, 10_000)
    customer, currency = customer_id(person.number), invoice.total.currency.lower()
    form = {"amount": "13000", "currency": currency, "customer": customer, "payment_method": method_id(person.number)}
    intent = (await stripe.wire("POST", "/v1/payment_intents", form={**form, "confirm": "true"})).json()["id"]
    path = f"/v1/invoices/{native(invoice.invoice_id)}/attach_payment"
    attached = (await stripe.wire("POST", path, form={"payment_intent": intent})).json()
    assert (attached["status"], attached["amount_paid"], attached["amount_overpaid"]) == ("paid", 10_000, 3_000)
    assert stripe.state.customers[customer].credit == {currency: 3_000}
    assert out_of_balance(stripe.state) == []


async def test_a_dispute_takes_the_money_until_it_is_won(stripe: Desk) -> None:
    before = stripe.state.balance["usd"]
    form = {"amount": "5000", "currency": "usd", "confirm": "true", "payment_method": "pm_card_createDispute"}
    made = (await stripe.wire("POST", "/v1/payment_intents", form=form)).json()
    [dispute] = stripe.state.disputes.having(intent=made["id"])
    assert stripe.state.balance["usd"] == before - 175 - moves.DISPUTE_FEE
    assert out_of_balance(stripe.state) == []
    moves.decide(stripe.state, dispute, won=True)
    assert stripe.state.balance["usd"] == before + 5_000 - 175 - moves.DISPUTE_FEE
    assert out_of_balance(stripe.state) == []


def test_what_does_not_add_up_is_found(stripe: Desk) -> None:
    stripe.state.balance["usd"] += 1
    stripe.state.charges[charge_id(stripe.paid(lambda p: not p.failed).number)].refunded += 1
    stripe.state.invoices[invoice_id(stripe.billed(lambda i: i.status == "paid").number)].paid -= 1
    assert len(out_of_balance(stripe.state)) == 4  # an invoice lacks a payment, and is not paid


_PEOPLE = st.sampled_from([1, 2, 3, 5, 6, 7])
_ACTS = st.lists(
    st.tuples(
        st.sampled_from(["draft", "finalize", "pay", "part", "attach", "void", "credit", "refund", "send", "settle"]),
        _PEOPLE,
        st.integers(0, 5),
        st.integers(1, 30_000),
        st.sampled_from(sorted(moves.TEST_METHODS)),
    ),
    max_size=25,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=_ACTS)
async def test_whatever_is_done_in_whatever_order_the_books_are_in_balance(company: Company, acts: list[Any]) -> None:
    stripe = desk(company)
    for act, person, nth, amount, method in acts:
        answer = await _act(stripe, act, customer_id(person), nth, amount, method)
        assert answer is None or answer.status_code < 500
        assert out_of_balance(stripe.state) == []


async def _act(stripe: Desk, act: str, customer: str, nth: int, amount: int, method: str) -> httpx.Response | None:
    theirs = stripe.state.invoices.having(customer=customer)
    intents = stripe.state.intents.having(customer=customer)
    if act == "settle":
        stripe.state.settle()
        return None
    if act == "draft":
        made = await stripe.wire("POST", "/v1/invoices", form={"customer": customer, "currency": "eur"})
        form = {"customer": customer, "invoice": made.json()["id"], "currency": "eur", "amount": str(amount)}
        return await stripe.wire("POST", "/v1/invoiceitems", form={**form, "tax_rates[0]": tax_rate_id("DE")})
    if act == "part":
        form = {"amount": str(amount), "currency": "eur", "customer": customer, "payment_method": method}
        return await stripe.wire("POST", "/v1/payment_intents", form={**form, "confirm": "true"})
    if act == "refund" and intents:
        form = {"payment_intent": intents[-1 - nth % len(intents)].id, "amount": str(amount)}
        return await stripe.wire("POST", "/v1/refunds", form=form)
    if not theirs:
        return None
    invoice = theirs[-1 - nth % len(theirs)]
    if act == "credit":
        over = max(amount - invoice.remaining, 0)
        place = ("credit_amount", "refund_amount", "out_of_band_amount")[nth % 3]
        form = {"invoice": invoice.id, "amount": str(amount), **({place: str(over)} if over else {})}
        return await stripe.wire("POST", "/v1/credit_notes", form=form)
    if act == "attach" and intents:
        form = {"payment_intent": intents[-1].id}
        return await stripe.wire("POST", f"/v1/invoices/{invoice.id}/attach_payment", form=form)
    if act in ("finalize", "void", "send", "pay"):
        form = {"payment_method": method} if act == "pay" else {}
        return await stripe.wire("POST", f"/v1/invoices/{invoice.id}/{act}", form=form)
    return None
