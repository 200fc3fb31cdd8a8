"""What is written to Xero is written once, whatever is lost or killed when, and also when Xero has forgotten the
key.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from tests.billing.xero_org import JUST_NOW, KEY, LONG_AGO, TODAY, Desk, after, credit, desk, draft, entry, eur, native

from backoffice_billing.backends.xero import XERO
from backoffice_billing.backends.xero.sandbox import KEY_SECONDS
from backoffice_billing.backends.xero.sandbox.seeding import invoice_id
from backoffice_billing.models import Account
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError, Conflict, OutcomeUnknown
from backoffice_shared.http.client import Written
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company)


@dataclass
class Deed:
    """A write, ready to be made again and again, and what is in the books after it was made once."""

    do: Callable[[], Awaitable[Written[Any]]]
    effects: Callable[[], Any]
    once: Any


async def create(here: Desk) -> Deed:
    return Deed(lambda: here.xero.create_invoice(draft(), KEY), lambda: len(here.made("ACCREC")), 1)


async def issue(here: Desk) -> Deed:
    made = (await here.xero.create_invoice(draft(), f"{KEY}-made")).value
    ref = native(made.invoice_id)

    def effects() -> Any:
        history = [note.changes for note in here.org.history[ref]]
        return history.count("Approved"), history.count("Invoice Sent")

    return Deed(lambda: here.xero.issue_invoice(ref, made.version, send=True, key=KEY), effects, (1, 1))


async def void(here: Desk) -> Deed:
    ref = here.some("open")
    version = await here.version(ref)

    def effects() -> Any:
        history = here.org.history[ref]
        return [note.changes for note in history].count("Voided"), sum("Twice" in note.details for note in history)

    return Deed(lambda: here.xero.void_invoice(ref, version, "Twice", key=KEY), effects, (1, 1))


async def credit_part(here: Desk) -> Deed:
    invoice = await here.issued()
    ref = native(invoice.invoice_id)

    def effects() -> Any:
        return [note.total for note in here.made("ACCRECCREDIT")], here.org.applied(here.org.documents[ref])

    asked = credit(2_000)
    return Deed(lambda: here.xero.credit_invoice(ref, invoice.version, asked, key=KEY), effects, ([2_000], 2_000))


async def keep_credit(here: Desk) -> Deed:
    invoice = await here.issued()
    ref = native(invoice.invoice_id)

    def effects() -> Any:
        return [note.total for note in here.made("ACCRECCREDIT")], here.org.applied(here.org.documents[ref])

    asked = credit(8_399, disposition="credit_balance")
    return Deed(lambda: here.xero.credit_invoice(ref, invoice.version, asked, key=KEY), effects, ([8_399], 8_399))


async def post_invoice(here: Desk) -> Deed:
    invoice = (await here.issued()).model_copy(update={"number": "IN-7"})
    who = Account(customer_id="stripe:customer:cus_1", name="Ada Lovelace", email="ada@engine.example")

    def effects() -> Any:
        numbers = [document.number for document in here.made("ACCREC")]
        return numbers.count("IN-7"), len(here.org.contacts_at["ada@engine.example"])

    return Deed(lambda: here.xero.post_invoice(invoice, who, KEY), effects, (1, 1))


async def post_payment(here: Desk) -> Deed:
    invoice = await here.issued()
    ref = native(invoice.invoice_id)
    return Deed(
        lambda: here.xero.post_payment(ref, entry(3_000, "pi_1"), KEY),
        lambda: [payment.amount for payment in here.org.live_payments(here.org.documents[ref])],
        [3_000],
    )


async def post_refund(here: Desk) -> Deed:
    ref = invoice_id(here.facts("paid")[0].number)

    def effects() -> Any:
        notes = here.made("ACCRECCREDIT")
        return [note.total for note in notes], [p.amount for note in notes for p in here.org.live_payments(note)]

    return Deed(lambda: here.xero.post_refund(ref, entry(500, "re_1"), KEY), effects, ([500], [500]))


DEEDS = [create, issue, void, credit_part, keep_credit, post_invoice, post_payment, post_refund]
MOST_REQUESTS = 16


def reference(written: Written[Any]) -> str:
    """What was made, by its id."""
    value: Any = written.value
    for name in ("invoice", "invoice_id", "credit_note_id"):
        value = getattr(value, name, value)
    return str(getattr(value, "invoice_id", value))


async def tried(deed: Deed) -> Written[Any] | None:
    try:
        return await deed.do()
    except BackofficeError:
        return None


@pytest.mark.parametrize("prepare", DEEDS)
async def test_it_is_done_and_repeated_with_the_same_key_it_is_the_same(here: Desk, prepare: Any) -> None:
    deed = await prepare(here)
    first = await deed.do()
    for since in (JUST_NOW, LONG_AGO):
        with attempting(since):
            assert reference(await deed.do()) == reference(first)
    here.forgets()
    with attempting(LONG_AGO):
        again = await deed.do()
    assert (reference(again), again.replayed) == (reference(first), True)
    assert deed.effects() == deed.once
    assert here.problems == []


@pytest.mark.parametrize("fault", ["drop_after_commit", "reset", "malformed"])
@pytest.mark.parametrize("prepare", DEEDS)
async def test_whichever_answer_is_lost_it_is_done_once(company: Company, prepare: Any, fault: Fault) -> None:
    """Each request in turn is answered by silence for good. Then somebody repeats the call: soon, or when Xero has
    forgotten the key."""
    for forgotten in (False, True):
        for lost in range(MOST_REQUESTS):
            here = desk(company)
            deed = await prepare(here)
            asked = len(here.sandbox.requests)
            here.sandbox.faults = Faults(plan=after(lost, fault))
            await tried(deed)
            reached = len(here.sandbox.requests) - asked > lost
            here.sandbox.faults = Faults()
            if forgotten:
                here.forgets()
            with attempting(LONG_AGO if forgotten else JUST_NOW):
                await deed.do()
            assert deed.effects() == deed.once, (lost, forgotten)
            assert here.problems == []
            if not reached:
                break
        else:
            raise AssertionError("it has more requests than were tried")


@pytest.mark.parametrize("prepare", DEEDS)
async def test_a_process_that_dies_between_two_requests_has_done_nothing_twice(company: Company, prepare: Any) -> None:
    """It dies after each of its requests in turn; the call is repeated after Xero has forgotten the key."""
    for survived in range(1, MOST_REQUESTS):
        here = desk(company)
        deed = await prepare(here)
        asked = len(here.sandbox.requests)
        here.sandbox.faults = Faults(plan=after(survived, "reset", 50))
        await tried(deed)
        died = len(here.sandbox.requests) - asked > survived
        here.sandbox.faults = Faults()
        here.forgets()
        with attempting(LONG_AGO):
            await deed.do()
        assert deed.effects() == deed.once, survived
        assert here.problems == []
        if not died:
            return
    raise AssertionError("it has more requests than were tried")


async def test_an_answer_lost_once_is_asked_for_again_and_nobody_notices(here: Desk) -> None:
    here.sandbox.faults = Faults(plan=["ok", "ok", "drop_after_commit"])
    made = await here.xero.create_invoice(draft(), KEY)
    assert made.value.number == "INV-0001"
    assert here.wrote() == ["PUT Invoices 0", "PUT Invoices 200"]
    assert len(here.made("ACCREC")) == 1


async def test_when_all_answers_are_lost_the_effect_is_seen_in_the_books(here: Desk) -> None:
    here.sandbox.faults = Faults(plan=after(2, "drop_after_commit"))
    made = await here.xero.create_invoice(draft(), KEY)
    assert (made.value.number, made.replayed) == ("INV-0001", False)
    assert len(here.made("ACCREC")) == 1


async def test_what_never_arrived_is_unknown_and_can_be_done_later(here: Desk) -> None:
    here.sandbox.faults = Faults(plan=after(2, "reset"))
    with pytest.raises(OutcomeUnknown) as unknown:
        await here.xero.create_invoice(draft(), KEY)
    assert unknown.value.idempotency_key == KEY
    assert here.made("ACCREC") == []
    with attempting(LONG_AGO):
        await here.xero.create_invoice(draft(), KEY)
    assert len(here.made("ACCREC")) == 1


async def test_half_a_credit_is_said_to_be_and_completed(here: Desk) -> None:
    invoice = await here.issued()
    ref = native(invoice.invoice_id)
    here.sandbox.faults = Faults(plan=after(3, "throttle"))
    with pytest.raises(OutcomeUnknown, match="credit note CN-0001 was issued, but what comes after that failed"):
        await here.xero.credit_invoice(ref, invoice.version, credit(2_000), key=KEY)
    assert here.problems == []
    here.sandbox.faults = Faults()
    here.forgets()
    here.clock.advance(4_000)
    with attempting(LONG_AGO):
        done = await here.xero.credit_invoice(ref, invoice.version, credit(2_000), key=KEY)
    assert (done.replayed, done.value.number, done.value.invoice_due) == (True, "CN-0001", eur(6_399))


async def test_a_repeated_call_that_had_not_been_carried_out_still_looks_at_the_version(here: Desk) -> None:
    invoice = await here.issued()
    ref = native(invoice.invoice_id)
    await here.wire("POST", f"Invoices/{ref}", {"Reference": "changed"})
    with attempting(LONG_AGO), pytest.raises(Conflict, match="changed meanwhile"):
        await here.xero.credit_invoice(ref, invoice.version, credit(2_000), key=KEY)
    assert here.made("ACCRECCREDIT") == []


async def test_another_draft_of_the_same_words_is_not_taken_for_ours(here: Desk) -> None:
    await here.xero.create_invoice(draft(), f"{KEY}-of-another")
    here.forgets()
    with attempting(LONG_AGO):
        made = await here.xero.create_invoice(draft(), KEY)
    assert not made.replayed
    assert len(here.made("ACCREC")) == 2


@pytest.mark.parametrize("prepare", DEEDS)
async def test_what_xero_has_just_forgotten_is_looked_for(here: Desk, prepare: Any) -> None:
    """Seven minutes after the first attempt its key means nothing any more."""
    assert XERO.key_lasts == KEY_SECONDS
    deed = await prepare(here)
    await deed.do()
    here.vendors_clock.advance(420)
    with attempting(datetime.now(UTC) - timedelta(minutes=7)):
        await deed.do()
    assert deed.effects() == deed.once
    assert here.problems == []


@pytest.mark.parametrize("fault", ["drop_after_commit", "reset"])
async def test_a_draft_that_is_asked_for_again_past_midnight_is_the_same(company: Company, fault: Fault) -> None:
    """Whichever answer was lost: also when Xero still knows the key of yesterday's request."""
    before_midnight = datetime(2099, 12, 20, 23, 59, tzinfo=UTC)
    for lost in range(MOST_REQUESTS):
        here = desk(company)
        here.sandbox.faults = Faults(plan=after(lost, fault, 6))
        with contextlib.suppress(BackofficeError):
            await here.xero.create_invoice(draft(date=before_midnight.date()), KEY)
        reached = len(here.sandbox.requests) > lost
        here.sandbox.faults = Faults()
        with attempting(before_midnight):
            await here.xero.create_invoice(draft(date=date(2099, 12, 21)), KEY)
        [made] = here.made("ACCREC")
        assert (made.date, made.due) == (date(2099, 12, 20), date(2100, 1, 3))
        if not reached:
            return
    raise AssertionError("it has more requests than were tried")


async def test_an_invoice_that_is_issued_again_past_midnight_bears_the_day_that_was_sent_first(here: Desk) -> None:
    made = (await here.xero.create_invoice(draft(), f"{KEY}-made")).value
    ref = native(made.invoice_id)
    with attempting(datetime(2100, 1, 3, 23, 59, tzinfo=UTC)):
        await here.xero.issue_invoice(ref, made.version, send=False, key=KEY)
    document = here.document(made.invoice_id)
    assert (document.date, document.due) == (date(2100, 1, 3), date(2100, 1, 17))
