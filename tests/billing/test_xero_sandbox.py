"""The sandbox refuses what Xero refuses, and its books are in balance at any moment."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.billing.xero_org import KEY, NOWHERE, TODAY, Desk, desk

from backoffice_billing.backends.xero.sandbox import LONGEST_KEY
from backoffice_billing.backends.xero.sandbox.seeding import contact_id, invoice_id
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def here(company: Company) -> Desk:
    return desk(company)


def sentences(answer: Any) -> list[str]:
    return [error["Message"] for element in answer.json()["Elements"] for error in element["ValidationErrors"]]


def an_invoice(**changes: Any) -> dict[str, Any]:
    return {
        "Type": "ACCREC",
        "Contact": {"ContactID": contact_id(2)},
        "Status": "AUTHORISED",
        "Date": "2100-01-01",
        "DueDate": "2100-02-01",
        "LineItems": [{"Description": "Tea", "Quantity": 2, "UnitAmount": 10, "AccountCode": "200"}],
        **changes,
    }


async def test_the_companys_facts_are_there_as_the_ledger_has_them(here: Desk) -> None:
    books = here.company.books
    for fact in (invoice for invoice in books.invoices if invoice.ledger == "eu"):
        document = here.org.documents.get(invoice_id(fact.number))
        if fact.drift == "missing":
            assert document is None
            continue
        assert document is not None
        assert (document.total, document.number) == (fact.kept.total, fact.name)
        paid = sum(p.amount for p in books.payments_for.get(fact.number, []) if not p.failed)
        assert here.org.settled(document) == (0 if fact.drift == "unpaid" else paid)
        assert (document.status == "PAID") == (fact.status == "paid" and fact.drift is None)
    assert {drift for invoice in books.invoices if (drift := invoice.drift)} == {"missing", "unpaid", "amount"}
    assert here.problems == []


async def test_the_american_companys_customers_are_not_in_it(here: Desk) -> None:
    books = here.company.books
    for person in here.company.people:
        is_in = contact_id(person.number) in here.org.contacts
        assert is_in == (books.ledger(person) == "eu" and books.bills(person))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"InvoiceNumber": "NW-1002"}, "Invoice # must be unique."),
        ({"Type": "INVOICE"}, "Invoice Type must be specified."),
        ({"Contact": {}}, "Contact cannot be empty."),
        ({"Contact": {"ContactID": NOWHERE}}, "The contact could not be found."),
        ({"Status": "PAID"}, "Invoice not of valid status for creation"),
        ({"LineItems": []}, "One or more line items must be specified"),
        ({"DueDate": None}, "Invoice due date cannot be empty."),
        ({"CurrencyCode": "SEK"}, "Organisation is not subscribed to currency SEK"),
        ({"LineItems": [{"Quantity": 1}]}, "The description field is mandatory for each line item."),
        ({"LineItems": [{"Description": "Tea", "Quantity": 1, "UnitAmount": 1, "AccountCode": "090"}]}, "'090' is not"),
        ({"LineItems": [{"Description": "Tea", "Quantity": 1, "UnitAmount": "x", "AccountCode": "200"}]}, "not a num"),
        (
            {
                "LineItems": [
                    {"Description": "T", "Quantity": 2, "UnitAmount": 1, "LineAmount": 3, "AccountCode": "200"}
                ]
            },
            "The line total 3 does not match the expected line total 2.00",
        ),
        ({"Date": "tomorrow"}, "Date is not a date."),
        ({"Reference": "x" * 256}, "Reference must be a text of at most 255"),
    ],
)
async def test_an_invoice_that_xero_would_refuse_is_refused(here: Desk, changes: dict[str, Any], sentence: str) -> None:
    answer = await here.wire("PUT", "Invoices", {"Invoices": [an_invoice(**changes)]})
    assert (answer.status_code, answer.json()["ErrorNumber"]) == (400, 10)
    assert sentence in sentences(answer)[0]
    apart = await here.wire(
        "PUT", "Invoices?summarizeErrors=false", {"Invoices": [an_invoice(**changes), an_invoice()]}
    )
    assert apart.status_code == 200
    assert [row["StatusAttributeString"] for row in apart.json()["Invoices"]] == ["ERROR", "OK"]
    assert here.problems == []


async def test_to_create_fails_on_a_number_that_to_save_overwrites(here: Desk) -> None:
    drafted = an_invoice(Status="DRAFT", InvoiceNumber="X-1")
    assert (await here.wire("PUT", "Invoices", {"Invoices": [drafted]})).status_code == 200
    assert (await here.wire("PUT", "Invoices", {"Invoices": [drafted]})).status_code == 400
    changed = {**drafted, "Reference": "overwritten"}
    saved = (await here.wire("POST", "Invoices", {"Invoices": [changed]})).json()["Invoices"][0]
    assert (saved["Reference"], saved["InvoiceNumber"]) == ("overwritten", "X-1")
    assert (await here.wire("GET", "Invoices/X-1")).json()["Invoices"][0]["InvoiceID"] == saved["InvoiceID"]


async def test_what_has_payments_is_neither_voided_nor_edited(here: Desk) -> None:
    ref = here.some("paid")
    answer = await here.wire("POST", f"Invoices/{ref}", {"Status": "VOIDED"})
    assert sentences(answer)[0] == "Invoice not of valid status for modification"
    opened = here.some("open")
    payment = {"Invoice": {"InvoiceID": opened}, "Account": {"Code": "090"}, "Amount": 1}
    await here.wire("PUT", "Payments", {"Payments": [payment]})
    for change in ({"Status": "VOIDED"}, {"Date": "2100-01-01"}):
        answer = await here.wire("POST", f"Invoices/{opened}", change)
        assert "it has a payment or credit note allocated to it" in sentences(answer)[1]


@pytest.mark.parametrize("change", ["more", "account", "nothing", "nowhere"])
async def test_a_payment_that_does_not_fit_is_refused(here: Desk, change: str) -> None:
    ref = here.some("open")
    due = here.org.due(here.org.documents[ref]) / 100
    good = {"Invoice": {"InvoiceID": ref}, "Account": {"Code": "091"}, "Amount": due}
    bad = {
        "more": {"Amount": due + 0.01},
        "account": {"Account": {"Code": "200"}},
        "nothing": {"Amount": 0},
        "nowhere": {"Invoice": {"InvoiceID": NOWHERE}},
    }[change]
    assert (await here.wire("PUT", "Payments", {"Payments": [{**good, **bad}]})).status_code == 400
    assert (await here.wire("PUT", "Payments", {"Payments": [good]})).status_code == 200
    assert here.problems == []


async def test_no_more_is_allocated_than_there_is(here: Desk) -> None:
    note = an_invoice(Type="ACCRECCREDIT", Date="2100-01-01")
    made = (await here.wire("PUT", "CreditNotes", {"CreditNotes": [note]})).json()["CreditNotes"][0]
    invoice = (await here.wire("PUT", "Invoices", {"Invoices": [an_invoice()]})).json()["Invoices"][0]
    path, of = f"CreditNotes/{made['CreditNoteID']}/Allocations", {"InvoiceID": invoice["InvoiceID"]}
    for amount, status in ((24.01, 400), (0, 400), (20, 200), (4.01, 400), (4, 200), (0.01, 400)):
        allocation = {"Invoice": of, "Amount": amount, "Date": "2100-01-01"}
        assert (await here.wire("PUT", path, {"Allocations": [allocation]})).status_code == status
        assert here.problems == []
    after = (await here.wire("GET", f"CreditNotes/{made['CreditNoteID']}")).json()["CreditNotes"][0]
    assert (after["Status"], after["RemainingCredit"], len(after["Allocations"])) == ("PAID", 0.0, 2)


async def test_a_key_is_answered_the_same_for_six_minutes_also_when_it_was_refused(here: Desk) -> None:
    good, bad = {"Invoices": [an_invoice()]}, {"Invoices": [an_invoice(Contact={})]}
    first = await here.wire("PUT", "Invoices", good, idempotency_key=KEY)
    here.vendors_clock.advance(359)
    again = await here.wire("PUT", "Invoices", good, idempotency_key=KEY)
    assert again.content == first.content
    here.vendors_clock.advance(2)
    later = await here.wire("PUT", "Invoices", good, idempotency_key=KEY)
    assert later.json()["Invoices"][0]["InvoiceID"] != first.json()["Invoices"][0]["InvoiceID"]
    refused = await here.wire("PUT", "Invoices", bad, idempotency_key="another")
    assert (await here.wire("PUT", "Invoices", bad, idempotency_key="another")).content == refused.content
    assert (await here.wire("PUT", "Invoices", good, idempotency_key="another")).status_code == 400
    assert (await here.wire("PUT", "Invoices", good, idempotency_key="k" * (LONGEST_KEY + 1))).status_code == 400
    assert len(here.made("ACCREC")) == 2


@pytest.mark.parametrize(
    "where",
    [
        "",
        "Type",
        'Type=="',
        "Type==ACCREC",
        'Type=="A" OR Status=="B"',
        'Type=="A" OR Type=="B" AND Status=="C"',
        "Date>DateTime(2026,1,1) OR Date>DateTime(2026,2,1)",
        "Nothing==1",
        "Type>=7",
        "DueDate<DateTime(2026,13,1)",
    ],
)
async def test_a_question_that_is_none_is_refused(here: Desk, where: str) -> None:
    answer = await here.wire("GET", f"Invoices?where={where.replace('=', '%3D')}")
    assert answer.status_code == (400 if where else 200)
    if where:
        assert answer.json()["Type"] == "QueryParseException"


async def test_what_is_not_there_is_not_found(here: Desk) -> None:
    for method, path in (
        ("GET", f"Invoices/{NOWHERE}"),
        ("POST", f"Invoices/{NOWHERE}"),
        ("GET", "Invoices/x/History"),
        ("GET", f"Contacts/{NOWHERE}"),
        ("GET", f"Payments/{NOWHERE}"),
        ("GET", f"CreditNotes/{here.some('open')}"),
        ("DELETE", "Invoices"),
        ("GET", "Nothing"),
    ):
        assert (await here.wire(method, path, {} if method == "POST" else None)).status_code == 404, path
    assert (await here.wire("PUT", "Invoices", [])).status_code == 400


async def test_whatever_is_done_in_whatever_order_the_books_balance(here: Desk) -> None:
    """A thousand writes by chance, good and bad ones."""
    chance = Random(7)
    for n in range(1_000):
        documents = [d for d in here.org.documents.values() if not d.is_credit]
        document = chance.choice(documents[-40:] if n % 2 else documents)
        amount = chance.choice((0.01, 5, 24, 1_000))
        match chance.randrange(7):
            case 0:
                status = chance.choice(("DRAFT", "AUTHORISED"))
                currency = chance.choice(("EUR", "GBP", "JPY"))
                wanted = an_invoice(Status=status, CurrencyCode=currency)
                await here.wire("PUT", "Invoices", {"Invoices": [wanted]})
            case 1:
                status = chance.choice(("AUTHORISED", "VOIDED", "DELETED"))
                due = {"DueDate": "2100-02-01"} if document.status == "DRAFT" else {}
                await here.wire("POST", f"Invoices/{document.id}", {"Status": status, **due})
            case 2:
                paid = {"Invoice": {"InvoiceID": document.id}, "Account": {"Code": "091"}, "Amount": amount}
                await here.wire("PUT", "Payments", {"Payments": [paid]})
            case 3:
                payment = chance.choice(list(here.org.payments.values()))
                await here.wire("POST", f"Payments/{payment.id}", {"Status": "DELETED"})
            case 4:
                await here.wire("PUT", "CreditNotes", {"CreditNotes": [an_invoice(Type="ACCRECCREDIT")]})
            case _:
                notes = here.made("ACCRECCREDIT")
                if notes and n % 3:
                    wanted = {"Invoice": {"InvoiceID": document.id}, "Amount": amount, "Date": "2100-01-01"}
                    path = f"CreditNotes/{chance.choice(notes).id}/Allocations"
                    await here.wire("PUT", path, {"Allocations": [wanted]})
                elif notes:
                    of = {"CreditNoteID": chance.choice(notes).id}
                    paid = {"CreditNote": of, "Account": {"Code": "091"}, "Amount": amount}
                    await here.wire("PUT", "Payments", {"Payments": [paid]})
        if n % 50 == 0:
            assert here.problems == []
    assert here.problems == []
    statuses = {document.status for document in here.made("ACCREC")}
    assert {"DRAFT", "AUTHORISED", "PAID", "VOIDED"} <= statuses


async def test_one_field_can_be_asked_for_several_values(here: Desk) -> None:
    answer = await here.wire("GET", 'Invoices?where=Status%3D%3D"DRAFT" OR Status%3D%3D"VOIDED"')
    found = answer.json()["Invoices"]
    assert {wire["Status"] for wire in found} == {"DRAFT", "VOIDED"}
    kept = [document for document in here.org.documents.values() if document.status in ("DRAFT", "VOIDED")]
    assert len(found) == len(kept)
