"""Payments of Stripe: searched, and read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from tests.billing.stripe_account import HOSTILE, TODAY, Desk, desk, native

from backoffice_billing.backends.stripe.sandbox import moves
from backoffice_billing.backends.stripe.sandbox.account import fee_of
from backoffice_billing.backends.stripe.sandbox.ids import charge_id, customer_id, invoice_id, payment_id
from backoffice_billing.models import PaymentRow, PaymentSection, PaymentStatus
from backoffice_billing.ports import PaymentQuery
from backoffice_shared.errors import NotFound
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import Payment as Paid
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company, order_name
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


async def rows(stripe: Desk, query: PaymentQuery, limit: int = 100) -> list[PaymentRow]:
    found: list[PaymentRow] = []
    cursor: str | None = None
    while True:
        chunk = await stripe.payments.search_payments(query, cursor, limit)
        found += chunk.items
        if (cursor := chunk.next) is None:
            return found


def standing(paid: Paid) -> PaymentStatus:
    if paid.failed:
        return "failed"
    if paid.disputed in ("open", "lost"):
        return "disputed"
    return "refunded" if sum(each.amount for each in paid.refunds) == paid.amount else "succeeded"


def billed(stripe: Desk, paid: Paid) -> bool:
    return stripe.company.books.bills(stripe.company.people[paid.person])


NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)


STATUSES: tuple[PaymentStatus, ...] = ("succeeded", "pending", "failed", "refunded", "disputed")


def stands(status: PaymentStatus) -> Callable[[Paid], bool]:
    return lambda paid: standing(paid) == status


QUERIES: list[tuple[PaymentQuery, Callable[[Paid], bool]]] = [
    (PaymentQuery(), lambda _: True),
    (PaymentQuery(customers=(customer_id(2),)), lambda p: p.person == 2),
    (PaymentQuery(customers=(customer_id(1), customer_id(2))), lambda p: p.person in (1, 2)),
    (PaymentQuery(customers=("search", HOSTILE)), lambda _: False),
    *[(PaymentQuery(statuses=(status,)), stands(status)) for status in STATUSES],
    (PaymentQuery(since=NOVEMBER), lambda p: p.at >= NOVEMBER),
    (PaymentQuery(until=NOVEMBER), lambda p: p.at <= NOVEMBER),
    (PaymentQuery(currency="JPY"), lambda p: p.currency == "JPY"),
    (PaymentQuery(currency="USD", min_amount=20_000), lambda p: p.currency == "USD" and p.amount >= 20_000),
]


@pytest.mark.parametrize(("query", "meets"), QUERIES)
async def test_a_query_finds_what_meets_all_of_it_and_nothing_else(
    stripe: Desk, query: PaymentQuery, meets: Callable[[Paid], bool]
) -> None:
    theirs = query.customers is None
    wanted = [p for p in stripe.company.books.payments if not p.bank and meets(p) and (theirs or billed(stripe, p))]
    found = await rows(stripe, query)
    assert sorted(native(row.payment_id) for row in found) == sorted(payment_id(paid.number) for paid in wanted)


async def test_the_latest_come_first_whatever_the_size_of_the_page(stripe: Desk) -> None:
    query = PaymentQuery(customers=(customer_id(KEY_ACCOUNT), customer_id(1)))
    whole = await rows(stripe, query)
    assert [row.at for row in whole] == sorted((row.at for row in whole), reverse=True)
    for size in (1, 9, 50):
        assert [row.payment_id for row in await rows(stripe, query, size)] == [row.payment_id for row in whole]


async def test_a_row_says_whose_how_much_and_for_which_invoice(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: p.invoice is not None and p.refunds != ())
    assert paid.invoice is not None
    card = stripe.company.books.card(stripe.company.people[paid.person])
    [row] = [r for r in await rows(stripe, PaymentQuery()) if native(r.payment_id) == payment_id(paid.number)]
    assert row == PaymentRow(
        payment_id=f"stripe:payment:{payment_id(paid.number)}",
        at=paid.at,
        amount=Money(amount=paid.amount, currency=paid.currency),
        refunded=Money(amount=sum(each.amount for each in paid.refunds), currency=paid.currency),
        status="succeeded",
        kind="card",
        brand=card.brand if card else "visa",
        last4=card.last4 if card else "4242",
        customer_id=f"stripe:customer:{customer_id(paid.person)}",
        invoice_id=f"stripe:invoice:{invoice_id(paid.invoice)}",
        native_status="succeeded",
        url=f"https://dashboard.stripe.com/test/payments/{payment_id(paid.number)}",
    )


async def test_a_failed_attempt_says_why_and_comes_with_the_payment_that_followed(stripe: Desk) -> None:
    failed = stripe.paid(lambda p: p.failed)
    assert failed.invoice is not None
    found = await rows(stripe, PaymentQuery(invoice=invoice_id(failed.invoice)))
    assert {(native(row.payment_id), row.status, row.failure_code) for row in found} == {
        (payment_id(failed.number), "failed", "generic_decline"),
        *(
            (payment_id(other.number), standing(other), None)
            for other in stripe.company.books.payments_for[failed.invoice]
            if not other.failed
        ),
    }
    only = PaymentQuery(invoice=invoice_id(failed.invoice), statuses=("failed",))
    assert [native(row.payment_id) for row in await rows(stripe, only)] == [payment_id(failed.number)]
    assert await rows(stripe, PaymentQuery(invoice="in_nothing")) == []
    assert await rows(stripe, PaymentQuery(invoice=HOSTILE)) == []


# -------------------------------------------------------------------------------------------------------- one payment


async def test_a_payment_has_its_refunds_fees_and_what_is_left_to_give_back(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: p.refunds != () and p.invoice is not None)
    payment = await stripe.payment(paid)
    gone = sum(each.amount for each in paid.refunds)
    assert (payment.captured, payment.refundable.amount, payment.refunded.amount) == (True, paid.amount - gone, gone)
    assert [(r.amount.amount, r.at, r.status) for r in payment.refunds or []] == [
        (each.amount, each.at, "succeeded") for each in reversed(paid.refunds)
    ]
    assert payment.fee is not None
    assert payment.net is not None
    assert (payment.fee.amount, payment.net.amount) == (fee_of(paid.amount), paid.amount - fee_of(paid.amount))
    assert (payment.customer_email, payment.risk) == (stripe.company.people[paid.person].email, "normal")


async def test_only_the_sections_that_are_asked_for_are_there(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: p.refunds != ())
    bare = await stripe.payments.payment(payment_id(paid.number), frozenset())
    assert (bare.refunds, bare.disputes, bare.fee, bare.net, bare.risk) == (None,) * 5
    assert bare.refundable.amount == paid.amount - sum(each.amount for each in paid.refunds)


@pytest.mark.parametrize(
    ("disputed", "status", "left"),
    [("open", "disputed", False), ("lost", "disputed", False), ("won", "succeeded", True)],
)
async def test_while_a_dispute_is_open_or_lost_nothing_is_refundable(
    stripe: Desk, disputed: str, status: str, left: bool
) -> None:
    paid = stripe.paid(lambda p: p.disputed == disputed)
    payment = await stripe.payment(paid)
    assert (payment.status, payment.dispute) == (status, disputed)
    assert payment.refundable.amount == (paid.amount if left else 0)
    [dispute] = payment.disputes or []
    assert (dispute.status, dispute.amount.amount, dispute.reason) == (disputed, paid.amount, "fraudulent")
    assert dispute.answer_by is not None


async def test_what_the_bank_warned_of_or_somebody_reported_is_flagged(stripe: Desk) -> None:
    paid = [
        p for p in stripe.company.books.payments if not p.bank and not p.disputed and not p.failed and not p.refunds
    ]
    assert not (await stripe.payment(paid[0])).flagged
    moves.warn(stripe.state, stripe.state.charges[charge_id(paid[0].number)])
    stripe.state.charges[charge_id(paid[1].number)].reported = "fraudulent"
    assert (await stripe.payment(paid[0])).flagged
    assert (await stripe.payment(paid[1])).flagged
    assert not (await stripe.payment(paid[2])).flagged


async def test_a_payment_that_nobody_has_tried_is_pending_and_nothing_is_captured(stripe: Desk) -> None:
    issued = await stripe.issued(stripe.person("succeeds"))
    [expected] = stripe.state.invoice_payments.having(invoice=native(issued.invoice_id))
    payment = await stripe.payments.payment(expected.intent, frozenset({"fees", "risk"}))
    assert (payment.status, payment.captured, payment.refundable.amount) == ("pending", False, 0)
    assert (payment.fee, payment.risk, payment.invoice_id) == (None, None, issued.invoice_id)


async def test_a_charge_from_before_there_were_payment_intents_is_a_payment(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: p.order is not None and p.refunds == ())
    stripe.state.charges[charge_id(paid.number)].intent = None
    payment = await stripe.payments.payment(charge_id(paid.number), frozenset())
    assert payment.payment_id == f"stripe:payment:{charge_id(paid.number)}"
    assert (payment.refundable.amount, payment.order) == (paid.amount, order_name(paid.order or 0))
    [row] = [row for row in await rows(stripe, PaymentQuery()) if native(row.payment_id) == charge_id(paid.number)]
    assert row.amount.amount == paid.amount


KINDS: list[Callable[[Paid], bool]] = [
    lambda p: p.invoice is not None and p.refunds != (),
    lambda p: p.order is not None,
    lambda p: p.disputed == "open",
    lambda p: p.failed,
]


@pytest.mark.parametrize("meets", KINDS)
async def test_a_payment_named_by_its_charge_is_wholly_that_payment(
    stripe: Desk, meets: Callable[[Paid], bool]
) -> None:
    """With another name it would be another payment to locks, plans and approvals."""
    everything: frozenset[PaymentSection] = frozenset({"refunds", "dispute", "fees", "risk"})
    paid = stripe.paid(meets)
    stripe.state.charges[charge_id(paid.number)].metadata = {}  # what it was for, the PaymentIntent says
    by_charge = await stripe.payments.payment(charge_id(paid.number), everything)
    assert by_charge == await stripe.payment(paid)
    assert by_charge.payment_id == f"stripe:payment:{payment_id(paid.number)}"
    assert by_charge.invoice_id == (None if paid.invoice is None else f"stripe:invoice:{invoice_id(paid.invoice)}")
    assert by_charge.order == (None if paid.order is None else order_name(paid.order))
    assert len(by_charge.refunds or ()) == len(paid.refunds)


async def paid_with(stripe: Desk, **form: str) -> str:
    """A payment of just now, by its id."""
    given = {"amount": "500", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true", **form}
    made = await stripe.wire("POST", "/v1/payment_intents", form=given)
    return str(made.raise_for_status().json()["id"])


async def test_a_customer_is_written_to_where_the_customer_says_not_where_the_receipt_went(stripe: Desk) -> None:
    """Whoever pays can choose where the receipt goes."""
    customer = customer_id(KEY_ACCOUNT)
    own = stripe.company.people[KEY_ACCOUNT].email
    payment = await paid_with(stripe, customer=customer, receipt_email="mallory@mail.example")
    assert (await stripe.payments.payment(payment, frozenset())).customer_email == own
    charge = stripe.state.intents[payment].charge
    assert charge is not None
    stripe.state.charges[charge].intent = None
    assert (await stripe.payments.payment(charge, frozenset())).customer_email == own
    stripe.state.customers[customer].email = None
    assert (await stripe.payments.payment(payment, frozenset())).customer_email is None


async def test_where_there_is_no_customer_the_address_is_that_of_the_receipt(stripe: Desk) -> None:
    payment = await paid_with(stripe, receipt_email="guest@mail.example")
    found = await stripe.payments.payment(payment, frozenset())
    assert (found.customer_id, found.customer_email) == (None, "guest@mail.example")


@pytest.mark.parametrize("native_id", ["pi_nothing", "ch_nothing", "search", "in_1", "", HOSTILE, "pi_1/../../balance"])
async def test_what_is_no_payment_is_not_found(stripe: Desk, native_id: str) -> None:
    with pytest.raises(NotFound):
        await stripe.payments.payment(native_id, frozenset())


async def test_a_payment_is_as_it_is_now(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: standing(p) == "succeeded" and p.refunds == () and p.disputed is None)
    assert (await stripe.payment(paid)).refundable.amount == paid.amount
    await stripe.wire("POST", "/v1/refunds", form={"payment_intent": payment_id(paid.number), "amount": "100"})
    assert (await stripe.payment(paid)).refundable.amount == paid.amount - 100


# --------------------------------------------------------------------------------------------- what a policy must know


async def test_the_refunds_of_a_customer_are_all_there_since_the_time_asked_for(stripe: Desk) -> None:
    mine = [
        (repaid.at, repaid.amount)
        for paid in stripe.company.books.payments
        if paid.person == KEY_ACCOUNT and not paid.bank
        for repaid in paid.refunds
    ]
    since = sorted(at for at, _ in mine)[len(mine) // 2]
    found = await stripe.payments.refunds_of(customer_id(KEY_ACCOUNT), since)
    assert len(mine) > 5
    assert sorted((r.at, r.amount.amount) for r in found) == sorted(each for each in mine if each[0] >= since)
    assert [r.at for r in found] == sorted((r.at for r in found), reverse=True)
    assert await stripe.payments.refunds_of(customer_id(KEY_ACCOUNT), TODAY + timedelta(days=1)) == []
    assert await stripe.payments.refunds_of(HOSTILE, since) == []


async def test_more_refunds_than_a_charge_shows_are_all_counted(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: billed(stripe, p) and p.refunds == () and not p.failed and not p.disputed)
    for _ in range(13):
        form = {"payment_intent": payment_id(paid.number), "amount": "100"}
        (await stripe.wire("POST", "/v1/refunds", form=form)).raise_for_status()
    since = datetime.now(UTC) - timedelta(minutes=5)
    assert len(await stripe.payments.refunds_of(customer_id(paid.person), since)) == 13


async def test_what_was_paid_for_an_invoice(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: p.invoice is not None and not p.failed)
    assert paid.invoice is not None
    found = await stripe.payments.payments_for_invoice(invoice_id(paid.invoice))
    assert payment_id(paid.number) in {native(row.payment_id) for row in found}
    assert {row.invoice_id for row in found} == {f"stripe:invoice:{invoice_id(paid.invoice)}"}
    unpaid = stripe.billed(lambda i: i.status == "open")
    assert await stripe.payments.payments_for_invoice(invoice_id(unpaid.number)) == []


async def test_what_was_paid_for_an_order_is_found_by_its_number(stripe: Desk) -> None:
    paid = stripe.paid(lambda p: p.order is not None)
    number = order_name(paid.order or 0)
    for spelling in (number, number.removeprefix("#")):
        [row] = await stripe.payments.payments_for_order(spelling)
        assert (native(row.payment_id), row.order, row.amount.amount) == (
            payment_id(paid.number),
            number,
            paid.amount,
        )


@pytest.mark.parametrize("number", [HOSTILE, '"', "\\", '#1" OR metadata["order"]:"#1009', "", "#", "#1009\n", "*"])
async def test_hostile_order_numbers_find_nothing(stripe: Desk, number: str) -> None:
    assert await stripe.payments.payments_for_order(number) == []


async def test_a_search_that_is_behind_does_not_find_a_payment_of_just_now(stripe: Desk) -> None:
    form = {"amount": "500", "currency": "usd", "payment_method": "pm_card_visa", "confirm": "true"}
    made = await stripe.wire("POST", "/v1/payment_intents", form={**form, "metadata[order]": "#9999"})
    stripe.sandbox.faults = Faults(stale_search=True)
    assert await stripe.payments.payments_for_order("#9999") == []
    stripe.sandbox.faults = Faults()
    [row] = await stripe.payments.payments_for_order("#9999")
    assert native(row.payment_id) == made.json()["id"]
