"""Invoices in Xero are previewed, made, issued and voided."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from tests.billing.xero_org import (
    HOSTILE,
    KEY,
    NOW,
    NOWHERE,
    OTHER_KEY,
    TODAY,
    Desk,
    after,
    desk,
    draft,
    eur,
    native,
    saying,
)

from backoffice_billing.backends.xero import Xero
from backoffice_billing.backends.xero.sandbox.seeding import contact_id
from backoffice_billing.backends.xero.translation import mark
from backoffice_billing.models import InvoiceLine
from backoffice_billing.ports import DraftLine, InvoiceQuery
from backoffice_shared.errors import Conflict, InvalidInput, NotFound
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company)


# ------------------------------------------------------------------------------------------------------ made


async def test_a_preview_is_what_is_made_and_makes_nothing(here: Desk) -> None:
    asked = draft(memo="Thank you", po_number="PO 77")
    seen = await here.xero.preview_invoice(asked)
    assert here.wrote() == []
    made = (await here.xero.create_invoice(asked, KEY)).value
    same = {"invoice_id", "number", "native_status", "url", "version", "lines"}
    assert seen.model_dump(exclude=same) == made.model_dump(exclude=same)
    assert [line.model_copy(update={"line_id": None}) for line in made.lines or []] == seen.lines
    assert (seen.invoice_id, seen.number, seen.version) == ("", None, "")


async def test_a_draft_has_its_amounts_its_days_and_its_words(here: Desk) -> None:
    made = await here.xero.create_invoice(draft(memo="Thank you", po_number="PO 77"), KEY)
    got = await here.xero.invoice(native(made.value.invoice_id))
    assert made.value == got
    assert not made.replayed
    assert (got.status, got.native_status, got.number) == ("draft", "DRAFT", "INV-0001")
    assert (got.subtotal, got.tax, got.total, got.due) == (eur(6999), eur(1400), eur(8399), eur(0))
    assert (got.issued_at, got.due_at) == (date(2099, 12, 20), date(2100, 1, 3))
    assert (got.memo, got.po_number, got.customer_id) == ("Thank you", "PO 77", f"xero:contact:{contact_id(2)}")
    assert [line.model_copy(update={"line_id": None}) for line in got.lines or []] == [
        InvoiceLine(
            description="Repair, per hour", quantity="3", unit_amount=eur(1500), amount=eur(4500), tax=eur(900)
        ),
        InvoiceLine(description="Bag", unit_amount=eur(2499), amount=eur(2499), tax=eur(500)),
    ]


async def test_what_is_made_is_seen_at_once_by_who_has_just_looked(here: Desk) -> None:
    query = InvoiceQuery(today=NOW, customers=(contact_id(2),), statuses=("draft",))
    before = (await here.xero.search_invoices(query, None, 50)).items
    made = (await here.xero.create_invoice(draft(), KEY)).value
    after = (await here.xero.search_invoices(query, None, 50)).items
    assert {row.invoice_id for row in after} - {row.invoice_id for row in before} == {made.invoice_id}


async def test_the_same_key_makes_one_invoice_and_another_key_another(here: Desk) -> None:
    first = (await here.xero.create_invoice(draft(), KEY)).value
    assert (await here.xero.create_invoice(draft(), KEY)).value == first
    assert (await here.xero.create_invoice(draft(), OTHER_KEY)).value.invoice_id != first.invoice_id
    assert len(here.made("ACCREC")) == 2


async def test_a_key_that_was_used_for_something_else_is_a_conflict(here: Desk) -> None:
    await here.xero.create_invoice(draft(), KEY)
    with pytest.raises(Conflict, match="idempotency key was used for another request"):
        await here.xero.create_invoice(draft(memo="Another"), KEY)
    assert len(here.made("ACCREC")) == 1


@pytest.mark.parametrize(
    ("currency", "unit", "total"),
    [("JPY", 1500, 1800), ("KWD", 1250, 1500), ("EUR", 1, 1), ("GBP", 2**40, 1319413953331)],
)
async def test_amounts_are_exact_whatever_the_currencys_minor_unit(
    here: Desk, currency: str, unit: int, total: int
) -> None:
    line = DraftLine("Tea", 1, Money(amount=unit, currency=currency))
    made = (await here.xero.create_invoice(draft(currency=currency, lines=(line,)), KEY)).value
    assert (made.subtotal, made.total) == (
        Money(amount=unit, currency=currency),
        Money(amount=total, currency=currency),
    )


async def test_the_tax_is_that_of_the_line_else_as_configured_else_the_customers(company: Company) -> None:
    plain, coded = DraftLine("Tea", 1, eur(10_000)), DraftLine("Tea", 1, eur(10_000), tax_code="RROUTPUT")
    for options, customer, line, tax in (
        ({}, 2, plain, 2000),  # France
        ({}, 1, plain, 1900),  # Germany
        ({"tax_type": "NONE"}, 2, plain, 0),
        ({"tax_type": "NONE"}, 2, coded, 500),
    ):
        here = desk(company, options=options)
        asked = draft(customer=contact_id(customer), lines=(line,))
        assert (await here.xero.create_invoice(asked, KEY)).value.tax == eur(tax)


async def test_hostile_words_are_kept_as_they_are(here: Desk) -> None:
    asked = draft(lines=(DraftLine(HOSTILE, 1, eur(100)),), memo=HOSTILE, po_number="PO\u2028\"' <b>")
    got = (await here.xero.create_invoice(asked, KEY)).value
    assert ([line.description for line in got.lines or []], got.memo) == ([HOSTILE], HOSTILE)
    assert got.po_number == "PO\u2028\"' <b>"


async def test_only_what_xero_knows_is_sent() -> None:
    sent: list[Any] = []

    def answer(request: httpx.Request) -> httpx.Response:
        kind = request.url.path.rpartition("/")[2]
        if request.method == "PUT":
            sent.append((request.headers["idempotency-key"], str(request.url.params), json.loads(request.content)))
            return httpx.Response(500)
        contact = {"ContactID": NOWHERE, "ContactStatus": "ACTIVE", "AccountsReceivableTaxType": "OUTPUT"}
        rows = {
            "TaxRates": [{"TaxType": "OUTPUT", "EffectiveRate": 19.0}],
            "Invoices": [],
        }
        return httpx.Response(200, json={kind: rows[kind]} if kind in rows else {"Contacts": [contact]})

    line = DraftLine("Tea", 2, eur(150))
    with pytest.raises(Exception, match="may or may not have been carried out"):
        await Xero(saying(answer)).create_invoice(draft(customer=NOWHERE, lines=(line,), po_number="7"), KEY)
    assert sent[0] == (
        KEY,
        "summarizeErrors=false&unitdp=4",
        {
            "Invoices": [
                {
                    "Type": "ACCREC",
                    "Status": "DRAFT",
                    "Contact": {"ContactID": NOWHERE},
                    "Date": "2099-12-20",
                    "DueDate": "2100-01-03",
                    "CurrencyCode": "EUR",
                    "LineAmountTypes": "Exclusive",
                    "Reference": f"7 {mark(KEY)}",
                    "LineItems": [
                        {
                            "Description": "Tea",
                            "Quantity": 2,
                            "UnitAmount": 1.5,
                            "LineAmount": 3,
                            "TaxAmount": 0.57,
                            "AccountCode": "200",
                            "TaxType": "OUTPUT",
                        }
                    ],
                }
            ]
        },
    )


@pytest.mark.parametrize(
    ("changes", "error", "sentence"),
    [
        ({"customer": NOWHERE}, NotFound, "cannot be found"),
        ({"customer": "cus_1"}, NotFound, "there is no customer 'cus_1'"),
        ({"currency": "SEK"}, InvalidInput, "not subscribed to currency SEK"),
        ({"lines": ()}, InvalidInput, "needs a line"),
        ({"lines": (DraftLine("Tea", 1, price_id="price_1"),)}, InvalidInput, "keeps no prices"),
        ({"lines": (DraftLine("Tea", 1, Money(amount=1, currency="GBP")),)}, InvalidInput, "a line is in GBP"),
        ({"lines": (DraftLine(" ", 1, eur(1)),)}, InvalidInput, "needs a description"),
        ({"lines": (DraftLine("Tea", 1, eur(1), tax_code="X"),)}, InvalidInput, "no tax type 'X'. It has NONE"),
        ({"lines": (DraftLine("Tea", 1, eur(2**52 + 1)),)}, InvalidInput, "too large"),
        ({"lines": (DraftLine("Tea", -1, eur(100)),)}, InvalidInput, "must not be negative"),
        ({"po_number": "7" * 231}, InvalidInput, "at most 230"),
        ({"memo": "7" * 4_001}, InvalidInput, "at most 4,000"),
        ({"due_days": -1}, InvalidInput, "due date must not be before"),
    ],
)
async def test_what_cannot_be_made_is_refused_with_the_reason(
    here: Desk, changes: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        await here.xero.create_invoice(draft(**changes), KEY)
    assert here.made("ACCREC") == []


async def test_nobody_who_is_archived_is_billed(here: Desk) -> None:
    await here.wire("POST", f"Contacts/{contact_id(2)}", {"ContactStatus": "ARCHIVED"})
    with pytest.raises(Conflict, match="is archived"):
        await here.xero.preview_invoice(draft())
    [account] = await here.xero.accounts([contact_id(2)], frozenset())
    assert account.customer_id == f"xero:contact:{contact_id(2)}"


async def test_an_account_that_the_organisation_has_not_is_named(company: Company) -> None:
    with pytest.raises(InvalidInput, match="Account code '999' is not a valid code"):
        await desk(company, options={"sales_account": "999"}).xero.create_invoice(draft(), KEY)


# ---------------------------------------------------------------------------------------------------- issued


async def test_an_invoice_is_issued_today_and_due_so_many_days_later(here: Desk) -> None:
    made = (await here.xero.create_invoice(draft(), KEY)).value
    done = await here.xero.issue_invoice(native(made.invoice_id), made.version, send=False, key=KEY + "i")
    issued = done.value.invoice
    assert (issued.status, issued.number, issued.due, done.value.sent_to) == ("open", "INV-0001", eur(8399), None)
    assert (issued.issued_at, issued.due_at) == (NOW, NOW + timedelta(days=14))
    assert issued.version != made.version
    assert here.problems == []


async def test_a_draft_of_somebody_elses_keeps_its_days(here: Desk) -> None:
    fact = here.facts("draft")[0]
    ref = here.some("draft")
    done = await here.xero.issue_invoice(ref, await here.version(ref), send=False, key=KEY)
    assert (done.value.invoice.issued_at, done.value.invoice.due_at) == (fact.issued, fact.due)


async def test_an_invoice_is_sent_to_the_customers_address(here: Desk) -> None:
    made = (await here.xero.create_invoice(draft(), KEY)).value
    done = await here.xero.issue_invoice(native(made.invoice_id), made.version, send=True, key=KEY + "i")
    assert (done.value.sent_to, done.value.not_sent) == (here.company.people[2].email, None)
    assert here.document(made.invoice_id).sent
    assert here.wrote() == ["PUT Invoices 200", "POST Invoices/… 200", "POST Invoices/…/Email 204"]


async def test_who_has_no_address_is_billed_and_not_sent_anything(here: Desk) -> None:
    await here.wire("POST", f"Contacts/{contact_id(2)}", {"EmailAddress": ""})
    made = (await here.xero.create_invoice(draft(), KEY)).value
    done = await here.xero.issue_invoice(native(made.invoice_id), made.version, send=True, key=KEY + "i")
    assert (done.value.invoice.status, done.value.sent_to) == ("open", None)
    assert done.value.not_sent == "it was issued, and may not have been e-mailed: the customer has no e-mail address"


async def test_what_cannot_be_sent_is_issued_all_the_same(here: Desk) -> None:
    made = (await here.xero.create_invoice(draft(), KEY)).value
    here.sandbox.faults = Faults(plan=after(3, "throttle"))
    done = await here.xero.issue_invoice(native(made.invoice_id), made.version, send=True, key=KEY + "i")
    assert (done.value.invoice.status, done.value.sent_to) == ("open", None)
    assert "e-mailed: its request limit (minute) is used up" in (done.value.not_sent or "")


@pytest.mark.parametrize("status", ["open", "paid", "void"])
async def test_only_a_draft_can_be_issued(here: Desk, status: Any) -> None:
    ref = here.some(status)
    with pytest.raises(Conflict, match=r"only an invoice that is draft can be issued"):
        await here.xero.issue_invoice(ref, await here.version(ref), send=True, key=KEY)
    assert here.wrote() == []


async def test_an_invoice_that_was_changed_since_is_not_issued(here: Desk) -> None:
    ref = here.some("draft")
    seen = await here.version(ref)
    await here.wire("POST", f"Invoices/{ref}", {"Reference": "changed"})
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await here.xero.issue_invoice(ref, seen, send=False, key=KEY)
    assert here.org.documents[ref].status == "DRAFT"


async def test_what_is_changed_between_our_reading_and_our_writing_xero_refuses(here: Desk) -> None:
    """Somebody deletes the draft at the last moment: Xero's own sentence is a conflict."""
    ref = here.some("draft")
    refusal = {"ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation exception occurred"}
    element = {"ValidationErrors": [{"Message": "Invoice not of valid status for modification"}]}
    wire = (await here.wire("GET", f"Invoices/{ref}")).json()

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            return httpx.Response(400, json={**refusal, "Elements": [element]})
        return httpx.Response(200, json=wire)

    with pytest.raises(Conflict, match="Xero: Invoice not of valid status for modification"):
        await Xero(saying(answer)).issue_invoice(ref, await here.version(ref), send=False, key=KEY)


# ---------------------------------------------------------------------------------------------------- voided


async def test_an_open_invoice_is_voided_and_the_reason_kept_in_its_history(here: Desk) -> None:
    ref = here.some("open")
    done = await here.xero.void_invoice(ref, await here.version(ref), f"Billed twice {HOSTILE}", key=KEY)
    assert (done.value.status, done.value.due, done.value.native_status) == ("void", eur(0), "VOIDED")
    history = (await here.wire("GET", f"Invoices/{ref}/History")).json()["HistoryRecords"]
    assert history[0]["Details"] == f"Voided: Billed twice {HOSTILE} ({mark(KEY)})"
    assert here.problems == []


@pytest.mark.parametrize(("status", "sentence"), [("draft", "is draft"), ("paid", "is paid"), ("void", "is void")])
async def test_only_an_open_invoice_can_be_voided(here: Desk, status: Any, sentence: str) -> None:
    ref = here.some(status)
    with pytest.raises(Conflict, match=sentence):
        await here.xero.void_invoice(ref, await here.version(ref), "Why not", key=KEY)
    assert here.wrote() == []


async def test_an_invoice_that_was_paid_in_part_is_not_voided(here: Desk) -> None:
    ref = here.some("open")
    payment = {"Invoice": {"InvoiceID": ref}, "Account": {"Code": "090"}, "Amount": 1, "Date": "2100-01-01"}
    await here.wire("PUT", "Payments", {"Payments": [payment]})
    with pytest.raises(Conflict, match=r"has a payment or a credit\. Credit it instead"):
        await here.xero.void_invoice(ref, await here.version(ref), "Why not", key=KEY)
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await here.xero.void_invoice(here.some("open", currency="GBP"), "another version", "Why not", key=KEY)
    assert here.problems == []
