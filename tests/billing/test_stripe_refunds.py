"""Money given back through Stripe: once, and never more than is left."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.billing.stripe_account import HOSTILE, KEY, LOST, OTHER, TODAY, Desk, desk, failing

from backoffice_billing.backends.stripe.sandbox import out_of_balance
from backoffice_billing.backends.stripe.sandbox.ids import charge_id, payment_id
from backoffice_billing.models import RefundReason
from backoffice_billing.ports import RefundDraft
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, OutcomeUnknown, PermissionDenied
from backoffice_shared.http.client import Written
from backoffice_shared.http.steps import or_why
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Payment as Paid
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


def untouched(stripe: Desk, behaviour: str = "succeeds") -> Paid:
    """A payment that was neither refunded nor disputed, by a card that behaves so."""
    books, people = stripe.company.books, stripe.company.people
    return stripe.paid(
        lambda p: (
            not (p.failed or p.disputed or p.refunds)
            and (card := books.card(people[p.person])) is not None
            and card.behaviour == behaviour
        )
    )


def back(paid: Paid, amount: int, reason: RefundReason = "requested_by_customer") -> RefundDraft:
    return RefundDraft(payment_id(paid.number), Money(amount=amount, currency=paid.currency), reason)


def gone(stripe: Desk, paid: Paid) -> list[int]:
    refunds = stripe.state.refunds.having(charge=charge_id(paid.number))
    return [refund.amount for refund in refunds if refund.status != "failed"]


# -------------------------------------------------------------------------------------------------------- what happens


async def test_a_part_and_then_the_rest_is_given_back(stripe: Desk) -> None:
    paid = untouched(stripe)
    first = (await stripe.refunding.refund(back(paid, 100), KEY)).value
    assert (first.amount.amount, first.status, first.payment_id) == (
        100,
        "succeeded",
        f"stripe:payment:{payment_id(paid.number)}",
    )
    payment = await stripe.payment(paid)
    assert (payment.status, payment.refundable.amount) == ("succeeded", paid.amount - 100)
    await stripe.refunding.refund(back(paid, paid.amount - 100), OTHER)
    payment = await stripe.payment(paid)
    assert (payment.status, payment.refundable.amount, payment.refunded.amount) == ("refunded", 0, paid.amount)
    assert out_of_balance(stripe.state) == []


@pytest.mark.parametrize(
    ("reason", "stripes"),
    [
        ("duplicate", "duplicate"),
        ("fraudulent", "fraudulent"),
        ("requested_by_customer", "requested_by_customer"),
        ("defective", "requested_by_customer"),
        ("not_received", "requested_by_customer"),
        ("goodwill", "requested_by_customer"),
    ],
)
async def test_the_exact_reason_is_kept_beside_stripes(stripe: Desk, reason: RefundReason, stripes: str) -> None:
    paid = untouched(stripe)
    refund = (await stripe.refunding.refund(back(paid, 1, reason), KEY)).value
    [record] = stripe.state.refunds.having(charge=charge_id(paid.number))
    assert (record.reason, record.metadata) == (stripes, {"backoffice_key": KEY, "backoffice_reason": reason})
    assert refund.reason == reason
    assert [each.reason for each in (await stripe.payment(paid)).refunds or []] == [reason]


async def test_a_refund_that_is_pending_is_gone_already_and_arrives_later(stripe: Desk) -> None:
    paid = untouched(stripe, "refund_pends")
    refund = (await stripe.refunding.refund(back(paid, 500), KEY)).value
    assert refund.status == "pending"
    assert (await stripe.payment(paid)).refundable.amount == paid.amount - 500
    with pytest.raises(Conflict, match="left to give back"):
        await stripe.refunding.refund(back(paid, paid.amount), OTHER)
    stripe.present.shifted = timedelta(hours=2)
    [arrived] = (await stripe.payment(paid)).refunds or []
    assert (arrived.refund_id, arrived.status) == (refund.refund_id, "succeeded")
    assert out_of_balance(stripe.state) == []


async def test_a_refund_that_fails_later_can_be_given_again(stripe: Desk) -> None:
    form = {"amount": "5000", "currency": "usd", "payment_method": "pm_card_refundFail", "confirm": "true"}
    made = (await stripe.wire("POST", "/v1/payment_intents", form=form)).json()["id"]
    draft = RefundDraft(made, Money(amount=5_000, currency="USD"), "goodwill")
    assert (await stripe.refunding.refund(draft, KEY)).value.status == "succeeded"
    stripe.state.settle()
    payment = await stripe.payments.payment(made, frozenset({"refunds"}))
    [failed] = payment.refunds or []
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert (payment.status, payment.refundable.amount) == ("succeeded", 5_000)
    assert out_of_balance(stripe.state) == []
    await stripe.refunding.refund(draft, OTHER)


async def test_a_charge_without_a_payment_intent_is_refunded(stripe: Desk) -> None:
    paid = untouched(stripe)
    stripe.state.charges[charge_id(paid.number)].intent = None
    draft = RefundDraft(charge_id(paid.number), Money(amount=70, currency=paid.currency), "duplicate")
    made = await stripe.refunding.refund(draft, KEY)
    assert made.value.payment_id == f"stripe:payment:{charge_id(paid.number)}"
    assert await stripe.refunding.refund_made(charge_id(paid.number), KEY) == made.value
    assert gone(stripe, paid) == [70]


async def test_a_refund_of_a_charge_is_one_of_its_payment_by_whichever_name(stripe: Desk) -> None:
    paid = untouched(stripe)
    by_charge = replace(back(paid, 70), payment=charge_id(paid.number))
    made = await stripe.refunding.refund(by_charge, KEY)
    assert made.value.payment_id == f"stripe:payment:{payment_id(paid.number)}"
    assert await stripe.refunding.refund(back(paid, 70), KEY) == Written(made.value, replayed=True)
    for name in (charge_id(paid.number), payment_id(paid.number)):
        assert await stripe.refunding.refund_made(name, KEY) == made.value
    assert gone(stripe, paid) == [70]


async def test_a_refund_of_a_charge_and_one_of_its_payment_are_the_same_request_to_stripe(stripe: Desk) -> None:
    """Stripe takes a key that it knows only with the same parameters, and must not be asked about another payment."""
    paid = untouched(stripe)
    both = [
        stripe.again().refunding.refund(replace(back(paid, 70), payment=name(paid.number)), KEY)
        for name in (charge_id, payment_id)
    ]
    one, other = await asyncio.gather(*both)
    assert one.value == other.value
    assert gone(stripe, paid) == [70]


async def test_a_charge_that_failed_is_given_back_as_the_payment_that_followed(stripe: Desk) -> None:
    paid = untouched(stripe)
    failed = replace(stripe.state.charges[charge_id(paid.number)], id="ch_declined", status="failed", refunded=0)
    stripe.state.charges.add(failed)
    await stripe.refunding.refund(replace(back(paid, 70), payment="ch_declined"), KEY)
    assert gone(stripe, paid) == [70]


# ----------------------------------------------------------------------------------------------------- what is refused


async def test_more_than_is_left_is_refused(stripe: Desk) -> None:
    paid = untouched(stripe)
    with pytest.raises(Conflict, match="left to give back"):
        await stripe.refunding.refund(back(paid, paid.amount + 1), KEY)
    await stripe.refunding.refund(back(paid, paid.amount), OTHER)
    with pytest.raises(Conflict, match="left to give back"):
        await stripe.refunding.refund(back(paid, 1), "a" * 40)
    assert gone(stripe, paid) == [paid.amount]


@pytest.mark.parametrize("disputed", ["open", "lost"])
async def test_what_is_disputed_is_not_refunded(stripe: Desk, disputed: str) -> None:
    paid = stripe.paid(lambda p: p.disputed == disputed)
    with pytest.raises(Conflict, match="charge_disputed"):
        await stripe.refunding.refund(back(paid, 1), KEY)
    assert gone(stripe, paid) == []


async def test_what_failed_is_not_refunded(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: p.failed)
    with pytest.raises(Conflict, match="left to give back"):
        await stripe.refunding.refund(back(paid, 1), KEY)


async def test_an_amount_in_another_currency_is_refused(stripe: Desk) -> None:
    """Stripe is told no currency: a hundred yen would be a dollar."""
    paid = untouched(stripe)
    draft = RefundDraft(payment_id(paid.number), Money(amount=100, currency="XAF"), "goodwill")
    with pytest.raises(InvalidInput, match="the payment is in"):
        await stripe.refunding.refund(draft, KEY)
    assert gone(stripe, paid) == []


@pytest.mark.parametrize("amount", [0, -1])
async def test_nothing_and_less_is_refused(stripe: Desk, amount: int) -> None:
    paid = untouched(stripe)
    with pytest.raises(InvalidInput):
        await stripe.refunding.refund(back(paid, amount), KEY)
    assert gone(stripe, paid) == []


async def test_what_is_no_payment_is_not_found(stripe: Desk) -> None:
    for native_id in ("pi_nothing", "ch_nothing", HOSTILE, "re_1"):
        with pytest.raises(NotFound):
            await stripe.refunding.refund(RefundDraft(native_id, Money(amount=1, currency="USD"), "goodwill"), KEY)


async def test_a_key_that_only_reads_gives_nothing_back(company: Company) -> None:
    stripe = desk(company, api_key="rk_test_sandbox_stripe")
    paid = untouched(stripe)
    with pytest.raises(PermissionDenied, match="rak_charge_write"):
        await stripe.refunding.refund(back(paid, 1), KEY)
    assert gone(stripe, paid) == []


# -------------------------------------------------------------------------------------------------------- exactly once


async def test_the_same_key_gives_back_once(stripe: Desk) -> None:
    paid = untouched(stripe)
    first = await stripe.refunding.refund(back(paid, 100), KEY)
    assert await stripe.refunding.refund(back(paid, 100), KEY) == Written(first.value, replayed=True)
    stripe.present.shifted = timedelta(days=2)  # Stripe has forgotten it, and the refund still bears it
    assert (await stripe.refunding.refund(back(paid, 100), KEY)).replayed
    assert gone(stripe, paid) == [100]


async def test_a_refund_is_looked_for_by_its_key(stripe: Desk) -> None:
    paid = untouched(stripe)
    assert await stripe.refunding.refund_made(payment_id(paid.number), KEY) is None
    made = (await stripe.refunding.refund(back(paid, 100), KEY)).value
    assert await stripe.refunding.refund_made(payment_id(paid.number), KEY) == made
    assert await stripe.refunding.refund_made(payment_id(paid.number), OTHER) is None


@pytest.mark.parametrize("fault", ["drop_after_commit", "error", "reset", "malformed", "wrong_types"])
async def test_whichever_answer_is_lost_it_is_given_back_once(company: Company, fault: Fault) -> None:
    """A sandbox that answers nonsense has done nothing: that a refund was made must not be said, nor denied."""
    plain = desk(company)
    await plain.refunding.refund(back(untouched(plain), 100), KEY)
    requests = len(plain.sandbox.requests)
    for lost in range(requests):
        stripe = desk(company)
        paid = untouched(stripe)
        stripe.sandbox.faults = failing(lost, fault)
        answer = await or_why(stripe.refunding.refund(back(paid, 100), KEY))
        if isinstance(answer, BackofficeError):
            assert fault in ("malformed", "wrong_types")
            assert gone(stripe, paid) == []
        else:
            assert (gone(stripe, paid), answer.value.amount.amount) == ([100], 100), f"{lost + 1} of {requests}"
        assert out_of_balance(stripe.state) == []


@pytest.mark.parametrize("later", [timedelta(minutes=10), timedelta(days=3)])
async def test_who_was_stopped_after_any_request_goes_on_with_the_same_key(company: Company, later: timedelta) -> None:
    for stopped in range(7):
        stripe = desk(company)
        paid = untouched(stripe)
        stripe.sandbox.faults = failing(stopped, *LOST)
        answer = await or_why(stripe.refunding.refund(back(paid, 100), KEY))
        if isinstance(answer, BackofficeError) and gone(stripe, paid):
            assert isinstance(answer, OutcomeUnknown)
        stripe.sandbox.faults = Faults()
        stripe.present.shifted = later
        with attempting(datetime.now(UTC) - later):
            await stripe.again().refunding.refund(back(paid, 100), KEY)
        assert gone(stripe, paid) == [100]


async def test_the_same_key_used_by_two_at_once_gives_back_once(stripe: Desk) -> None:
    paid = untouched(stripe)
    both = [stripe.again().refunding.refund(back(paid, 100), KEY) for _ in range(2)]
    one, other = await asyncio.gather(*both)
    assert one.value == other.value
    assert gone(stripe, paid) == [100]


async def test_all_that_is_left_given_back_by_two_at_once_is_given_back_once(stripe: Desk) -> None:
    paid = untouched(stripe)
    one, other = stripe.again(), stripe.again()
    answers = [
        await or_why(one.refunding.refund(back(paid, paid.amount), KEY)),
        await or_why(other.refunding.refund(back(paid, paid.amount), OTHER)),
    ]
    assert [isinstance(answer, Conflict) for answer in answers] == [False, True]
    assert gone(stripe, paid) == [paid.amount]
