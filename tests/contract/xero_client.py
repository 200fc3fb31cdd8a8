"""Xero's own Python client, and what it is told to do where our adapter does the same. It has no types."""

from __future__ import annotations

import importlib
from datetime import date
from typing import Any

from tests.contract.serving import Served

from backoffice_billing.backends.xero.sandbox import ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, TENANT
from backoffice_billing.backends.xero.sandbox.seeding import contact_id
from backoffice_billing.backends.xero.translation import mark

KEY = "3f9a" * 10
PREFIX = "/api.xro/2.0"

accounting: Any = importlib.import_module("xero_python.accounting")
api_client: Any = importlib.import_module("xero_python.api_client")
configuration: Any = importlib.import_module("xero_python.api_client.configuration")
oauth2: Any = importlib.import_module("xero_python.api_client.oauth2")


def client(served: Served) -> Any:
    token = {"access_token": ACCESS_TOKEN, "token_type": "Bearer", "expires_in": 1800, "expires_at": 4_200_000_000}
    settings = configuration.Configuration(
        oauth2_token=oauth2.OAuth2Token(client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    )
    made = api_client.ApiClient(settings, pool_threads=1)
    made.oauth2_token_getter(lambda: {**token, "scope": "accounting.invoices"})
    made.oauth2_token_saver(_forgotten)
    api = accounting.AccountingApi(made)
    api.base_url = f"{served.url}{PREFIX}"
    return api


def _forgotten(_token: object) -> None:
    """The token stays the same."""


def lines(*wanted: tuple[str, int, float, float, str]) -> list[Any]:
    return [
        accounting.LineItem(
            description=text,
            quantity=quantity,
            unit_amount=unit,
            tax_amount=tax,
            tax_type=kind,
            account_code="200",
        )
        for text, quantity, unit, tax, kind in wanted
    ]


def create(api: Any) -> None:
    invoice = accounting.Invoice(
        type="ACCREC",
        status="DRAFT",
        contact=accounting.Contact(contact_id=contact_id(2)),
        date=date(2099, 12, 20),
        due_date=date(2100, 1, 3),
        currency_code=accounting.CurrencyCode.EUR,
        line_amount_types=accounting.LineAmountTypes.EXCLUSIVE,
        reference=f"PO 77 {mark(KEY)}",
        line_items=[
            *lines(("Repair, per hour", 3, 15, 9, "OUTPUT2"), ("Bag", 1, 24.99, 5, "OUTPUT2")),
            accounting.LineItem(description="Thank you"),
        ],
    )
    api.create_invoices(TENANT, accounting.Invoices(invoices=[invoice]))


def issue(api: Any) -> None:
    create(api)
    changed = accounting.Invoice(status="AUTHORISED", date=date(2100, 1, 4), due_date=date(2100, 1, 18))
    [first] = newest(api)
    api.update_invoice(TENANT, first.invoice_id, accounting.Invoices(invoices=[changed]))
    api.email_invoice(TENANT, first.invoice_id, accounting.RequestEmpty(status=""))


def newest(api: Any) -> list[Any]:
    return api.get_invoices(TENANT, i_ds=[], order="UpdatedDateUTC DESC", page=1, page_size=1).invoices


def void(api: Any) -> None:
    issue(api)
    [first] = newest(api)
    api.update_invoice(TENANT, first.invoice_id, accounting.Invoices(invoices=[accounting.Invoice(status="VOIDED")]))
    record = accounting.HistoryRecord(details=f"Voided: Twice ({mark(f'{KEY}-v')})")
    api.create_invoice_history(TENANT, first.invoice_id, accounting.HistoryRecords(history_records=[record]))


def credit_note(reference: str, line: tuple[str, int, float, float, str], reason: str) -> Any:
    return accounting.CreditNote(
        type="ACCRECCREDIT",
        status="AUTHORISED",
        contact=accounting.Contact(contact_id=contact_id(2)),
        currency_code=accounting.CurrencyCode.EUR,
        line_amount_types=accounting.LineAmountTypes.EXCLUSIVE,
        reference=reference,
        line_items=[*lines(line), accounting.LineItem(description=reason)],
    )


def credit(api: Any) -> None:
    issue(api)
    [first] = newest(api)
    line = ("Credit for INV-0001", 1, 16.67, 3.33, "OUTPUT2")
    note = credit_note(f"INV-0001 {mark(f'{KEY}-c')}", line, "A seam was open")
    made = api.create_credit_notes(TENANT, accounting.CreditNotes(credit_notes=[note])).credit_notes[0]
    allocation = accounting.Allocation(
        invoice=accounting.Invoice(invoice_id=first.invoice_id), amount=20, date=date(2100, 1, 4)
    )
    api.create_credit_note_allocation(TENANT, made.credit_note_id, accounting.Allocations(allocations=[allocation]))


def pay(api: Any) -> None:
    issue(api)
    [first] = newest(api)
    payment = accounting.Payment(
        invoice=accounting.Invoice(invoice_id=first.invoice_id),
        account=accounting.Account(code="091"),
        date=date(2100, 1, 4),
        amount=10,
        reference="pi_1",
    )
    api.create_payments(TENANT, accounting.Payments(payments=[payment]))


def refund(api: Any) -> None:
    issue(api)
    line = ("Credit for INV-0001", 1, 4.17, 0.83, "OUTPUT2")
    note = credit_note("re_1 / INV-0001", line, "requested by customer")
    made = api.create_credit_notes(TENANT, accounting.CreditNotes(credit_notes=[note])).credit_notes[0]
    payment = accounting.Payment(
        credit_note=accounting.CreditNote(credit_note_id=made.credit_note_id),
        account=accounting.Account(code="091"),
        date=date(2100, 1, 4),
        amount=5,
        reference="re_1 / INV-0001",
    )
    api.create_payments(TENANT, accounting.Payments(payments=[payment]))


def post(api: Any) -> None:
    ada = accounting.Contact(name="Ada Lovelace", email_address="ada@engine.example")
    made = api.create_contacts(TENANT, accounting.Contacts(contacts=[ada])).contacts[0]
    invoice = accounting.Invoice(
        type="ACCREC",
        status="AUTHORISED",
        invoice_number="NW-7001",
        contact=accounting.Contact(contact_id=made.contact_id),
        date=date(2100, 1, 1),
        due_date=date(2100, 1, 31),
        currency_code=accounting.CurrencyCode.EUR,
        line_amount_types=accounting.LineAmountTypes.EXCLUSIVE,
        line_items=lines(("Work", 1, 10, 2, "OUTPUT2")),
    )
    api.create_invoices(TENANT, accounting.Invoices(invoices=[invoice]))
