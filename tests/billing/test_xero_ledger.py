"""What happened elsewhere is entered in Xero: invoices, payments, refunds."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from tests.billing.xero_org import (
    HOSTILE,
    JUST_NOW,
    KEY,
    NOWHERE,
    OTHER_KEY,
    PRESENT,
    TODAY,
    Desk,
    desk,
    entry,
    eur,
    native,
)

from backoffice_billing.backends.xero.sandbox.seeding import contact_id, invoice_id
from backoffice_billing.models import Account, Invoice, InvoiceLine
from backoffice_billing.ports import PaymentQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import Conflict, InvalidInput, NotFound
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company)


def provided(**changes: Any) -> Invoice:
    """An invoice as a payment provider has issued it."""
    asked: dict[str, Any] = {
        "invoice_id": "stripe:invoice:in_1",
        "number": "NW-7001",
        "status": "open",
        "total": eur(8_399),
        "due": eur(8_399),
        "issued_at": date(2099, 12, 1),
        "due_at": date(2100, 1, 31),
        "subtotal": eur(6_999),
        "tax": eur(1_400),
        "paid": eur(0),
        "credited": eur(0),
        "po_number": "PO 77",
        "lines": [
            InvoiceLine(description="Work", quantity="3", unit_amount=eur(1_500), amount=eur(4_500), tax=eur(900)),
            InvoiceLine(description="Bag", amount=eur(2_499), tax=eur(500)),
        ],
        **changes,
    }
    return Invoice(**asked)


def customer(here: Desk, number: int = 2) -> Account:
    person = here.company.people[number]
    return Account(customer_id="stripe:customer:cus_1", name="Other name", email=person.email.upper())


async def test_an_invoice_is_entered_under_its_number_and_approved(here: Desk) -> None:
    posted = await here.xero.post_invoice(provided(), customer(here), KEY)
    got = await here.xero.invoice(posted.value)
    assert (got.number, got.status, got.total, got.tax, got.due) == (
        "NW-7001",
        "open",
        eur(8_399),
        eur(1_400),
        eur(8_399),
    )
    assert (got.issued_at, got.due_at, got.po_number) == (date(2099, 12, 1), date(2100, 1, 31), "PO 77")
    assert got.customer_id == f"xero:contact:{contact_id(2)}"
    assert [(line.description, line.quantity, line.amount, line.tax) for line in got.lines or []] == [
        ("Work", "3", eur(4_500), eur(900)),
        ("Bag", "1", eur(2_499), eur(500)),
    ]
    assert not posted.replayed
    assert here.problems == []


async def test_an_invoice_that_is_there_is_not_entered_again_whoever_entered_it(here: Desk) -> None:
    first = await here.xero.post_invoice(provided(), customer(here), KEY)
    again = await here.xero.post_invoice(provided(), customer(here), OTHER_KEY)
    assert (again.value, again.replayed) == (first.value, True)
    assert len(here.made("ACCREC")) == 1


async def test_another_amount_under_the_same_number_is_a_conflict(here: Desk) -> None:
    fact = here.facts("paid")[0]
    other = provided(number=fact.name)
    with pytest.raises(Conflict, match=rf"invoice {fact.name} is there already, and comes to"):
        await here.xero.post_invoice(other, customer(here), KEY)
    assert here.made("ACCREC") == []


async def test_the_number_of_a_void_invoice_is_xeros_to_refuse(here: Desk) -> None:
    fact = here.facts("void")[0]
    with pytest.raises(Conflict, match="Invoice # must be unique"):
        await here.xero.post_invoice(provided(number=fact.name), customer(here), KEY)


async def test_lines_that_do_not_add_up_become_one(here: Desk) -> None:
    posted = await here.xero.post_invoice(
        provided(subtotal=eur(6_000), tax=eur(1_200), total=eur(7_200)), customer(here), KEY
    )
    got = await here.xero.invoice(posted.value)
    assert [(line.description, line.amount, line.tax) for line in got.lines or []] == [
        ("Invoice NW-7001", eur(6_000), eur(1_200))
    ]
    without = await here.xero.post_invoice(provided(number="NW-7002", lines=None), customer(here), OTHER_KEY)
    assert (await here.xero.invoice(without.value)).total == eur(8_399)
    assert here.problems == []


@pytest.mark.parametrize("quantity", ["1.5", "0", "7"])
async def test_quantities_that_do_not_multiply_are_not_told(here: Desk, quantity: str) -> None:
    line = InvoiceLine(description="Work", quantity=quantity, unit_amount=eur(10), amount=eur(6_999), tax=eur(1_400))
    posted = await here.xero.post_invoice(provided(lines=[line]), customer(here), KEY)
    got = await here.xero.invoice(posted.value)
    assert [(line.quantity, line.amount) for line in got.lines or []] == [("1", eur(6_999))]


async def test_without_tax_there_is_no_tax(here: Desk) -> None:
    line = InvoiceLine(description=" ", amount=eur(500))
    posted = await here.xero.post_invoice(
        provided(subtotal=eur(500), tax=eur(0), total=eur(500), lines=[line]), customer(here), KEY
    )
    assert (await here.xero.invoice(posted.value)).tax == eur(0)


async def test_who_is_not_known_becomes_a_contact_once(here: Desk) -> None:
    ada = Account(customer_id="stripe:customer:cus_9", name="Ada Lovelace", email="ada@engine.example")
    first = await here.xero.post_invoice(provided(), ada, KEY)
    await here.xero.post_invoice(provided(number="NW-7002"), ada, OTHER_KEY)
    assert len(here.org.contacts_at["ada@engine.example"]) == 1
    assert (await here.xero.invoice(first.value)).customer == "Ada Lovelace"


async def test_who_only_has_the_same_name_is_somebody_else(here: Desk) -> None:
    name = here.company.people[2].name
    nameless = Account(customer_id="stripe:customer:cus_9", name=name)
    with pytest.raises(InvalidInput, match="stripe:customer:cus_9 has no e-mail address to be known by"):
        await here.xero.post_invoice(provided(), nameless, KEY)
    other = Account(customer_id="stripe:customer:cus_9", name=name, email="another@elsewhere.example")
    with pytest.raises(Conflict, match="already assigned to another contact"):
        await here.xero.post_invoice(provided(), other, OTHER_KEY)
    assert here.made("ACCREC") == []


async def test_a_contact_of_xeros_is_billed_whatever_its_name_and_address(here: Desk) -> None:
    other = here.company.people[6]
    found = Account(customer_id=f"xero:contact:{contact_id(2)}", name=other.name, email=other.email)
    posted = await here.xero.post_invoice(provided(), found, KEY)
    assert (await here.xero.invoice(posted.value)).customer_id == f"xero:contact:{contact_id(2)}"


async def test_nobody_else_is_billed_for_a_contact_that_is_archived(here: Desk) -> None:
    """Even when somebody else has the name by now."""
    person = here.company.people[2]
    await here.wire(
        "POST", f"Contacts/{contact_id(2)}", {"Contacts": [{"ContactID": contact_id(2), "ContactStatus": "ARCHIVED"}]}
    )
    stranger = {"Name": person.name, "EmailAddress": "another@elsewhere.example"}
    assert (await here.wire("PUT", "Contacts", {"Contacts": [stranger]})).status_code == 200
    [found] = await here.xero.accounts_by_email(person.email, frozenset())
    with pytest.raises(Conflict, match=r"is archived.*Restore the contact in Xero"):
        await here.xero.post_invoice(provided(), found, KEY)
    gone = Account(customer_id=f"xero:contact:{NOWHERE}", name=person.name, email=person.email)
    with pytest.raises(NotFound):
        await here.xero.post_invoice(provided(), gone, OTHER_KEY)
    assert here.made("ACCREC") == []


@pytest.mark.parametrize("number", [None, "", "NW-1,NW-2", HOSTILE])
async def test_what_cannot_be_a_number_is_not_entered(here: Desk, number: str | None) -> None:
    with pytest.raises(InvalidInput, match="cannot be the number of an invoice"):
        await here.xero.post_invoice(provided(number=number), customer(here), KEY)
    assert here.sandbox.requests.maxlen
    assert list(here.sandbox.requests) == []


async def test_a_payment_goes_into_the_clearing_account(here: Desk) -> None:
    ref = native((await here.issued()).invoice_id)
    posted = await here.xero.post_payment(ref, entry(8_399, "pi_1"), KEY)
    got = await here.xero.invoice(ref)
    assert (got.status, got.paid, got.due) == ("paid", eur(8_399), eur(0))
    payment = here.org.payments[posted.value]
    assert (payment.account, payment.reference, payment.date) == ("091", "pi_1", PRESENT.date())
    assert here.problems == []


async def test_a_payment_that_is_there_is_not_entered_again(here: Desk) -> None:
    ref = native((await here.issued()).invoice_id)
    first = await here.xero.post_payment(ref, entry(1_000, "pi_1"), KEY)
    again = await here.xero.post_payment(ref, entry(1_000, "pi_1"), OTHER_KEY)
    another = await here.xero.post_payment(ref, entry(1_000, "pi_2"), OTHER_KEY)
    assert (again.value, again.replayed) == (first.value, True)
    assert another.value != first.value
    assert (await here.xero.invoice(ref)).paid == eur(2_000)


@pytest.mark.parametrize(
    ("amount", "error", "sentence"),
    [
        (eur(8_400), Conflict, "Payment amount exceeds the amount outstanding on this document"),
        (Money(amount=100, currency="GBP"), InvalidInput, "was paid for an invoice in EUR"),
        (eur(0), InvalidInput, "must be greater than zero"),
    ],
)
async def test_a_payment_that_does_not_fit_is_refused(
    here: Desk, amount: Money, error: type[Exception], sentence: str
) -> None:
    ref = native((await here.issued()).invoice_id)
    with pytest.raises(error, match=sentence):
        await here.xero.post_payment(ref, entry(amount.amount, "pi_1", amount.currency), KEY)
    assert here.problems == []


async def test_a_draft_is_not_paid(here: Desk) -> None:
    with pytest.raises(Conflict, match="Payments can only be made against Authorised documents"):
        await here.xero.post_payment(here.some("draft"), entry(100, "pi_1"), KEY)
    with pytest.raises(NotFound):
        await here.xero.post_payment(NOWHERE, entry(100, "pi_1"), KEY)


async def test_a_refund_is_a_credit_note_that_is_paid_out(here: Desk) -> None:
    fact = here.facts("paid")[0]
    ref = invoice_id(fact.number)
    posted = await here.xero.post_refund(ref, entry(500, "re_1"), KEY)
    note = here.org.documents[posted.value]
    assert (note.status, note.total, note.reference) == ("PAID", 500, f"re_1 / {fact.name}")
    [paid] = here.org.live_payments(note)
    assert (paid.amount, paid.account, paid.reference) == (500, "091", f"re_1 / {fact.name}")
    assert (await here.xero.invoice(ref)).status == "paid"
    assert here.problems == []


async def test_a_refund_is_seen_with_the_payment_that_it_is_of(here: Desk) -> None:
    fact = here.facts("paid")[0]
    query = PaymentQuery(invoice=invoice_id(fact.number))
    [before] = (await here.xero.search_payments(query, None, 10)).items
    await here.xero.post_refund(invoice_id(fact.number), entry(500, "re_1"), KEY)
    [after] = (await here.xero.search_payments(query, None, 10)).items
    assert (before.refunded, after.refunded) == (eur(0), eur(500))


async def test_a_refund_bears_the_day_on_which_the_money_was_given_back(here: Desk) -> None:
    ref = native((await here.issued()).invoice_id)
    given = replace(entry(500, "re_1"), at=datetime(2099, 12, 30, 23, 30, tzinfo=timezone(timedelta(hours=-5))))
    posted = await here.xero.post_refund(ref, given, KEY)
    note = here.org.documents[posted.value]
    assert (note.date, [paid.date for paid in here.org.live_payments(note)]) == (date(2099, 12, 31), [note.date])


@pytest.mark.parametrize(
    ("account", "error", "sentence"),
    [
        ("200", Conflict, "the clearing account '200' takes no payments.*Enable payments to it"),
        ("987", NotFound, "there is no account '987'.*See the option clearing_account"),
    ],
)
async def test_without_a_clearing_account_that_takes_payments_no_refund_is_entered(
    company: Company, account: str, error: type[Exception], sentence: str
) -> None:
    """A credit note that is not paid out would be the customer's to spend, who has the money already."""
    here = desk(company, options={"clearing_account": account})
    for since in (None, JUST_NOW):
        with attempting(since), pytest.raises(error, match=sentence):
            await here.xero.post_refund(here.some("paid"), entry(500, "re_1"), KEY)
    assert here.made("ACCRECCREDIT") == []


async def test_what_is_refused_after_a_first_step_stays_refused_and_says_what_was_done(company: Company) -> None:
    here = desk(company, options={"clearing_account": "200"})
    invoice = here.org.documents[here.some("paid")]
    note = {
        "Type": "ACCRECCREDIT",
        "Status": "AUTHORISED",
        "Contact": {"ContactID": invoice.contact},
        "Reference": f"re_1 / {invoice.number}",
        "LineItems": [{"Description": "Credit", "Quantity": 1, "UnitAmount": 5, "AccountCode": "200"}],
    }
    await here.wire("PUT", "CreditNotes", {"CreditNotes": [note]})
    for since in (None, JUST_NOW):
        with (
            attempting(since),
            pytest.raises(
                InvalidInput,
                match=r"credit note CN-0001 was entered, but what comes after that failed: The account",
            ),
        ):
            await here.xero.post_refund(invoice.id, entry(500, "re_1"), KEY)
    assert len(here.made("ACCRECCREDIT")) == 1


async def test_a_refund_that_is_there_is_not_entered_again(here: Desk) -> None:
    ref = invoice_id(here.facts("paid")[0].number)
    first = await here.xero.post_refund(ref, entry(500, "re_1"), KEY)
    again = await here.xero.post_refund(ref, entry(500, "re_1"), OTHER_KEY)
    await here.xero.post_refund(ref, entry(500, "re_2"), OTHER_KEY)
    assert (again.value, again.replayed) == (first.value, True)
    assert [note.total for note in here.made("ACCRECCREDIT")] == [500, 500]
    assert here.problems == []


async def test_a_refund_of_more_than_the_invoice_is_refused(here: Desk) -> None:
    fact = here.facts("paid")[0]
    with pytest.raises(Conflict, match="which is less than"):
        await here.xero.post_refund(invoice_id(fact.number), entry(fact.total + 1, "re_1"), KEY)
    with pytest.raises(InvalidInput, match="at most 255 characters"):
        await here.xero.post_refund(invoice_id(fact.number), entry(1, "r" * 256), KEY)
    assert here.made("ACCRECCREDIT") == []


@pytest.mark.parametrize(("said", "posts"), [("", False), ("stripe", True)])
async def test_it_is_told_what_is_done_elsewhere_where_that_is_configured(
    company: Company, said: str, posts: bool
) -> None:
    assert desk(company, options={"posts": said}).xero.posts is posts


@pytest.mark.parametrize("said", ["yes", "no", "Stripe", "shopify"])
async def test_it_is_not_told_what_nobody_does(company: Company, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"BACKOFFICE_XERO_POSTS: '{said}' is nobody's name"):
        desk(company, options={"posts": said})
