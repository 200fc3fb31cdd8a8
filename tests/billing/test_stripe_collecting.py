"""Saved methods charged through Stripe: once, and only what is due."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.billing.stripe_account import HOSTILE, KEY, LOST, OTHER, TODAY, Desk, desk, failing, native

from backoffice_billing.backends.stripe.sandbox import out_of_balance
from backoffice_billing.backends.stripe.sandbox.ids import customer_id, invoice_id, method_id
from backoffice_billing.ports import Charged, Collection
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, NotFound, OutcomeUnknown
from backoffice_shared.http.client import Written
from backoffice_shared.http.steps import or_why
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio

AMOUNT, PART = 10_000, 4_000


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


async def due(stripe: Desk, behaviour: str = "succeeds", *, part: int | None = None) -> Collection:
    """A new invoice of a customer whose own card behaves so, to be paid wholly or in part."""
    person = stripe.person(behaviour)
    invoice = await stripe.issued(person, AMOUNT)
    return Collection(
        invoice=native(invoice.invoice_id),
        customer=customer_id(person.number),
        method=method_id(person.number),
        amount=Money(amount=part or AMOUNT, currency=invoice.total.currency),
        whole=part is None,
    )


def taken(stripe: Desk) -> list[int]:
    """What was charged since the company's books were made, and is there."""
    return [charge.amount for charge in stripe.state.charges if charge.written and charge.status == "succeeded"]


# -------------------------------------------------------------------------------------------------------- what happens


async def test_all_that_is_due_is_charged_and_the_invoice_is_paid(stripe: Desk) -> None:
    collection = await due(stripe)
    charged = await stripe.collecting.collect(collection, KEY)
    nothing = Money(amount=0, currency=collection.amount.currency)
    assert charged == Written(Charged(charged.value.payment, "succeeded", nothing), replayed=False)
    invoice = await stripe.invoices.invoice(collection.invoice)
    assert (invoice.status, invoice.paid, invoice.due) == ("paid", collection.amount, nothing)
    payment = await stripe.payments.payment(native(charged.value.payment), frozenset())
    assert (payment.status, payment.amount, payment.refundable) == ("succeeded", collection.amount, collection.amount)
    assert payment.invoice_id == invoice.invoice_id
    assert (taken(stripe), out_of_balance(stripe.state)) == ([AMOUNT], [])


async def test_a_part_is_charged_and_put_to_the_invoice_then_the_rest(stripe: Desk) -> None:
    collection = await due(stripe, part=PART)
    first = (await stripe.collecting.collect(collection, KEY)).value
    left = Money(amount=AMOUNT - PART, currency=collection.amount.currency)
    assert (first.status, first.invoice_due) == ("succeeded", left)
    assert (await stripe.invoices.invoice(collection.invoice)).status == "open"
    rest = (await stripe.collecting.collect(replace(collection, amount=left, whole=True), OTHER)).value
    assert (rest.status, rest.invoice_due.amount) == ("succeeded", 0)
    invoice = await stripe.invoices.invoice(collection.invoice)
    assert (invoice.status, invoice.paid.amount) == ("paid", AMOUNT)
    assert {p.payment_id for p in await stripe.payments.payments_for_invoice(collection.invoice)} == {
        first.payment,
        rest.payment,
    }
    assert (sorted(taken(stripe)), out_of_balance(stripe.state)) == ([PART, AMOUNT - PART], [])


async def test_a_part_that_is_all_that_is_left_pays_the_invoice(stripe: Desk) -> None:
    collection = await due(stripe, part=AMOUNT)
    charged = (await stripe.collecting.collect(collection, KEY)).value
    assert charged.invoice_due.amount == 0
    assert (await stripe.invoices.invoice(collection.invoice)).status == "paid"
    assert (taken(stripe), out_of_balance(stripe.state)) == ([AMOUNT], [])


@pytest.mark.parametrize("part", [None, PART])
async def test_a_bank_that_takes_its_time_is_pending_and_then_paid(stripe: Desk, part: int | None) -> None:
    person = stripe.person("succeeds")
    bank = await stripe.attached(person, "pm_usBankAccount_success")
    collection = replace(await due(stripe, part=part), method=bank)
    charged = await stripe.collecting.collect(collection, KEY)
    assert (charged.value.status, charged.value.invoice_due.amount) == ("pending", AMOUNT)
    assert await stripe.collecting.collect(collection, KEY) == Written(charged.value, replayed=True)
    assert (await stripe.payments.payment(native(charged.value.payment), frozenset())).status == "pending"
    assert taken(stripe) == []
    stripe.present.shifted = timedelta(hours=2)
    payment = await stripe.payments.payment(native(charged.value.payment), frozenset())
    assert (payment.status, payment.kind) == ("succeeded", "us_bank_account")
    invoice = await stripe.invoices.invoice(collection.invoice)
    assert (invoice.paid.amount, invoice.status) == (part or AMOUNT, "open" if part else "paid")
    assert (taken(stripe), out_of_balance(stripe.state)) == ([part or AMOUNT], [])


@pytest.mark.parametrize("part", [None, PART])
@pytest.mark.parametrize(
    ("behaviour", "codes"),
    [
        ("declined", "card_declined, generic_decline"),
        ("insufficient_funds", "card_declined, insufficient_funds"),
        ("authentication", "authentication_required"),
    ],
)
async def test_a_decline_is_a_conflict_with_the_banks_reason_for_that_key(
    stripe: Desk, behaviour: str, codes: str, part: int | None
) -> None:
    collection = await due(stripe, behaviour, part=part)
    for _ in range(2):
        with pytest.raises(Conflict) as refused:
            await stripe.collecting.collect(collection, KEY)
        assert codes in str(refused.value)
        assert ("https://invoice.stripe.com/i/" in str(refused.value)) is (behaviour == "authentication")
    assert (taken(stripe), out_of_balance(stripe.state)) == ([], [])
    tried = [charge for charge in stripe.state.charges if charge.written]
    assert [charge.status for charge in tried] == ["failed"]
    rows = await stripe.payments.payments_for_invoice(collection.invoice)
    assert all(row.status == "failed" and (row.failure_code or "none") in codes for row in rows)
    assert len(rows) == (0 if part else 1)


async def test_another_card_may_succeed_after_a_decline(stripe: Desk) -> None:
    collection = await due(stripe, "declined")
    with pytest.raises(Conflict):
        await stripe.collecting.collect(collection, KEY)
    visa = await stripe.attached(stripe.person("declined"), "pm_card_visa")
    charged = (await stripe.collecting.collect(replace(collection, method=visa), OTHER)).value
    assert (charged.status, taken(stripe)) == ("succeeded", [AMOUNT])
    statuses = [row.status for row in await stripe.payments.payments_for_invoice(collection.invoice)]
    assert sorted(statuses) == ["failed", "succeeded"]


# ----------------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("status", ["draft", "paid", "void", "uncollectible"])
@pytest.mark.parametrize("whole", [True, False])
async def test_only_an_open_invoice_is_paid(stripe: Desk, status: str, whole: bool) -> None:
    billed = stripe.billed(lambda i: i.status == status and stripe.company.people[i.person].number % 11 != 10)
    collection = Collection(
        invoice_id(billed.number),
        customer_id(billed.person),
        method_id(billed.person),
        Money(amount=billed.total, currency=billed.currency),
        whole,
    )
    with pytest.raises(Conflict, match=f"is {status}"):
        await stripe.collecting.collect(collection, KEY)
    assert taken(stripe) == []


@pytest.mark.parametrize(("amount", "whole"), [(AMOUNT + 1, False), (AMOUNT - 1, True), (AMOUNT + 1, True)])
async def test_nothing_but_what_is_due_is_charged(stripe: Desk, amount: int, whole: bool) -> None:
    collection = await due(stripe)
    wrong = replace(collection, amount=Money(amount=amount, currency=collection.amount.currency), whole=whole)
    with pytest.raises(Conflict, match="is due on the invoice"):
        await stripe.collecting.collect(wrong, KEY)
    assert taken(stripe) == []


@pytest.mark.parametrize("whole", [True, False])
async def test_another_currency_is_refused(stripe: Desk, whole: bool) -> None:
    collection = await due(stripe)
    with pytest.raises(Conflict, match="is due on the invoice"):
        await stripe.collecting.collect(
            replace(collection, amount=Money(amount=AMOUNT, currency="XAF"), whole=whole), KEY
        )
    assert taken(stripe) == []


@pytest.mark.parametrize("part", [None, PART])
async def test_somebody_elses_card_and_no_card_are_refused(stripe: Desk, part: int | None) -> None:
    collection = await due(stripe, part=part)
    with pytest.raises(Conflict, match="belongs to another Customer"):
        await stripe.collecting.collect(
            replace(collection, method=method_id(stripe.person("refund_pends").number)), KEY
        )
    for key, method in ((OTHER, "pm_nothing"), ("a" * 40, HOSTILE)):
        with pytest.raises(NotFound):
            await stripe.collecting.collect(replace(collection, method=method), key)
    assert taken(stripe) == []


async def test_an_invoice_that_is_none_is_not_found(stripe: Desk) -> None:
    collection = await due(stripe)
    for whole in (True, False):
        with pytest.raises(NotFound):
            await stripe.collecting.collect(replace(collection, invoice="in_nothing", whole=whole), KEY)


# ------------------------------------------------------------------------------------------------------- exactly once


@pytest.mark.parametrize("part", [None, PART])
async def test_the_same_key_charges_once(stripe: Desk, part: int | None) -> None:
    collection = await due(stripe, part=part)
    first = await stripe.collecting.collect(collection, KEY)
    assert await stripe.collecting.collect(collection, KEY) == Written(first.value, replayed=True)
    assert taken(stripe) == [part or AMOUNT]


@pytest.mark.parametrize("part", [None, PART])
@pytest.mark.parametrize("fault", ["drop_after_commit", "error", "reset"])
async def test_whichever_answer_is_lost_it_is_charged_once(company: Company, part: int | None, fault: Fault) -> None:
    plain = desk(company)
    collection = await due(plain, part=part)
    before = len(plain.sandbox.requests)
    await plain.collecting.collect(collection, KEY)
    requests = len(plain.sandbox.requests) - before
    for lost in range(requests):
        stripe = desk(company)
        collection = await due(stripe, part=part)
        stripe.sandbox.faults = failing(lost, fault)
        charged = (await stripe.collecting.collect(collection, KEY)).value
        assert (taken(stripe), out_of_balance(stripe.state)) == ([part or AMOUNT], []), f"{lost + 1} of {requests}"
        assert charged.invoice_due.amount == AMOUNT - (part or AMOUNT)


@pytest.mark.parametrize("part", [None, PART])
@pytest.mark.parametrize("later", [timedelta(minutes=10), timedelta(days=3)])
async def test_who_was_stopped_after_any_request_goes_on_with_the_same_key(
    company: Company, part: int | None, later: timedelta
) -> None:
    """Also when Stripe has forgotten the key by then. What was charged is never said not to be."""
    plain = desk(company)
    collection = await due(plain, part=part)
    before = len(plain.sandbox.requests)
    await plain.collecting.collect(collection, KEY)
    requests = len(plain.sandbox.requests) - before
    for stopped in range(requests):
        stripe = desk(company)
        collection = await due(stripe, part=part)
        stripe.sandbox.faults = failing(stopped, *LOST)
        answer = await or_why(stripe.collecting.collect(collection, KEY))
        if isinstance(answer, BackofficeError) and taken(stripe):
            assert isinstance(answer, OutcomeUnknown), f"request {stopped + 1} of {requests}"
        stripe.sandbox.faults = Faults()
        stripe.present.shifted = later
        with attempting(datetime.now(UTC) - later):
            charged = (await stripe.again().collecting.collect(collection, KEY)).value
        assert (taken(stripe), out_of_balance(stripe.state)) == ([part or AMOUNT], []), f"{stopped + 1} of {requests}"
        assert charged.invoice_due.amount == AMOUNT - (part or AMOUNT)


async def test_a_part_that_somebody_else_paid_by_the_same_card_is_not_taken_for_ours(company: Company) -> None:
    for stopped in range(8):
        stripe = desk(company)
        collection = await due(stripe)
        form = {"amount": "3000", "currency": collection.amount.currency.lower(), "customer": collection.customer}
        form |= {"payment_method": collection.method, "confirm": "true"}
        intent = (await stripe.wire("POST", "/v1/payment_intents", form=form)).json()["id"]
        path = f"/v1/invoices/{collection.invoice}/attach_payment"
        (await stripe.wire("POST", path, form={"payment_intent": intent})).raise_for_status()
        rest = replace(collection, amount=Money(amount=7_000, currency=collection.amount.currency))
        stripe.sandbox.faults = failing(stopped, *LOST)
        await or_why(stripe.collecting.collect(rest, KEY))
        stripe.sandbox.faults = Faults()
        with attempting(datetime.now(UTC)):
            charged = (await stripe.again().collecting.collect(rest, KEY)).value
        assert (sorted(taken(stripe)), charged.invoice_due.amount) == ([3_000, 7_000], 0)
        assert native(charged.payment) != intent


async def test_money_that_was_taken_and_cannot_be_put_to_the_invoice_is_said(stripe: Desk) -> None:
    collection = await due(stripe, part=PART)
    stripe.sandbox.faults = failing(4, *LOST[3:])  # the invoice, a look, the charge, another look
    with pytest.raises(OutcomeUnknown, match=r"was charged as pi_\w+, but what comes after that failed"):
        await stripe.collecting.collect(collection, KEY)
    assert (taken(stripe), stripe.state.invoices[collection.invoice].paid) == ([PART], 0)
    stripe.sandbox.faults = Faults()
    charged = (await stripe.collecting.collect(collection, KEY)).value
    assert (taken(stripe), charged.invoice_due.amount) == ([PART], AMOUNT - PART)


async def test_the_methods_are_those_of_this_moment(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    assert [m.is_default for m in await stripe.collecting.methods(customer_id(person.number))] == [True]
    await stripe.attached(person, "pm_card_amex")
    methods = await stripe.collecting.methods(customer_id(person.number))
    assert [(m.brand, m.is_default) for m in methods][1:] == [("amex", False)]
    assert methods[0].is_default
    with pytest.raises(NotFound):
        await stripe.collecting.methods("cus_nobody")
