"""Records of the sandbox as Xero writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from backoffice_billing.backends.xero.sandbox.records import (
    BASE,
    RATES,
    TAXES,
    Contact,
    Document,
    Line,
    Note,
    Payment,
    account_type,
    make_id,
    takes_payments,
)
from backoffice_shared.money import Money, to_decimal
from backoffice_shared.sandbox.books import BANK, RECEIVABLE, SALES, LedgerAccount

if TYPE_CHECKING:
    from backoffice_billing.backends.xero.sandbox.org import Org

Record = dict[str, Any]


def written(at: datetime) -> str:
    return f"/Date({int(at.timestamp() * 1000)}+0000)/"


def written_day(on: date) -> str:
    return written(datetime(on.year, on.month, on.day, tzinfo=UTC))


def _day(name: str, on: date | None) -> Record:
    return {} if on is None else {name: written_day(on), f"{name}String": f"{on}T00:00:00"}


def amount(minor: int, currency: str) -> float:
    return float(to_decimal(Money(amount=minor, currency=currency)))


# ------------------------------------------------------------------------------------------------------- contacts


def contact(record: Contact) -> Record:
    return {
        "ContactID": record.id,
        "ContactStatus": "ARCHIVED" if record.archived else "ACTIVE",
        "Name": record.name,
        "FirstName": record.first_name,
        "LastName": record.last_name,
        "EmailAddress": record.email,
        "AccountsReceivableTaxType": record.tax_type,
        "Addresses": [],
        "Phones": [],
        "UpdatedDateUTC": written(record.updated),
        "ContactGroups": [],
        "IsSupplier": False,
        "IsCustomer": True,
        "ContactPersons": [],
        "HasAttachments": False,
        "HasValidationErrors": False,
    }


def _named(org: Org, contact_id: str) -> Record:
    record = org.contacts[contact_id]
    return {"ContactID": record.id, "Name": record.name, "ContactPersons": [], "HasValidationErrors": False}


# ------------------------------------------------------------------------------------------------------ documents


def document(org: Org, record: Document, *, summary: bool = False) -> Record:
    if record.is_credit:
        return credit_note(org, record)
    currency = record.currency
    wire: Record = {
        "Type": record.type,
        "InvoiceID": record.id,
        "InvoiceNumber": record.number,
        "Reference": record.reference,
        "AmountDue": amount(0 if record.status in ("VOIDED", "DELETED") else org.due(record), currency),
        "AmountPaid": amount(org.settled(record), currency),
        "AmountCredited": amount(org.applied(record), currency),
        "SentToContact": record.sent,
        "CurrencyRate": float(RATES[currency]),
        "IsDiscounted": False,
        "HasAttachments": False,
        "HasErrors": False,
        "Contact": _named(org, record.contact),
        **_day("Date", record.date),
        **_day("DueDate", record.due),
        "Status": record.status,
        "LineAmountTypes": "Inclusive" if record.inclusive else "Exclusive",
        **_totals(record),
        "UpdatedDateUTC": written(record.updated),
        "CurrencyCode": currency,
    }
    if (paid_off := org.paid_off(record)) is not None:
        wire["FullyPaidOnDate"] = written_day(paid_off)
    if summary:
        return wire
    return {
        **wire,
        "LineItems": [line(entry, record) for entry in record.lines],
        "Payments": [payment_inside(entry, currency) for entry in org.live_payments(record)],
        "CreditNotes": [_applied(org, entry, currency) for entry in org.allocations_of.get(record.id, ())],
        "Prepayments": [],
        "Overpayments": [],
    }


def credit_note(org: Org, record: Document) -> Record:
    currency = record.currency
    used_up = org.paid_off(record)
    return {
        "Type": record.type,
        "CreditNoteID": record.id,
        "CreditNoteNumber": record.number,
        "Reference": record.reference,
        "RemainingCredit": amount(0 if record.status in ("VOIDED", "DELETED") else org.due(record), currency),
        "Allocations": [allocation(org, entry) for entry in org.allocations_of.get(record.id, ())],
        "Payments": [payment_inside(entry, currency) for entry in org.live_payments(record)],
        "HasErrors": False,
        "CurrencyRate": float(RATES[currency]),
        "SentToContact": record.sent,
        "Contact": _named(org, record.contact),
        **_day("Date", record.date),
        "Status": record.status,
        "LineAmountTypes": "Inclusive" if record.inclusive else "Exclusive",
        "LineItems": [line(entry, record) for entry in record.lines],
        **_totals(record),
        "UpdatedDateUTC": written(record.updated),
        "CurrencyCode": currency,
        **({} if used_up is None else {"FullyPaidOnDate": written_day(used_up)}),
    }


def _totals(record: Document) -> Record:
    return {
        "SubTotal": amount(record.net, record.currency),
        "TotalTax": amount(record.tax, record.currency),
        "Total": amount(record.total, record.currency),
    }


def line(record: Line, of: Document) -> Record:
    if record.account is None:
        return {
            "LineItemID": record.id,
            "Description": record.text,
            "LineAmount": 0.0,
            "TaxAmount": 0.0,
            "Tracking": [],
        }
    return {
        "LineItemID": record.id,
        "Description": record.text,
        "Quantity": float(record.quantity or 0),
        "UnitAmount": float(record.unit or 0),
        "TaxType": record.tax_type,
        "TaxAmount": amount(record.tax, of.currency),
        "LineAmount": amount(record.net + (record.tax if of.inclusive else 0), of.currency),
        "AccountCode": record.account,
        "Tracking": [],
    }


def _applied(org: Org, allocation_id: str, currency: str) -> Record:
    entry = org.allocations[allocation_id]
    note = org.documents[entry.credit]
    return {
        "CreditNoteID": note.id,
        "CreditNoteNumber": note.number,
        "AppliedAmount": amount(entry.amount, currency),
        **_day("Date", note.date),
        "Total": amount(note.total, currency),
        "HasErrors": False,
    }


def allocation(org: Org, allocation_id: str) -> Record:
    entry = org.allocations[allocation_id]
    invoice = org.documents[entry.invoice]
    return {
        "AllocationID": entry.id,
        "Amount": amount(entry.amount, invoice.currency),
        "Date": written_day(entry.date),
        "Invoice": {"InvoiceID": invoice.id, "InvoiceNumber": invoice.number},
        "StatusAttributeString": "OK",
    }


# ------------------------------------------------------------------------------------------------------- payments


def payment_inside(record: Payment, currency: str) -> Record:
    """As a document lists it."""
    return {
        "PaymentID": record.id,
        "Date": written_day(record.date),
        "Amount": amount(record.amount, currency),
        "Reference": record.reference,
        "CurrencyRate": float(RATES[currency]),
        "HasAccount": False,
        "HasValidationErrors": False,
    }


def payment(org: Org, record: Payment) -> Record:
    of = org.documents[record.document]
    account = code_id(record.account)
    return {
        **payment_inside(record, of.currency),
        "BankAmount": float(_base(record.amount, of.currency)),
        "PaymentType": payment_type(of),
        "Status": "DELETED" if record.deleted else "AUTHORISED",
        "UpdatedDateUTC": written(record.updated),
        "HasAccount": True,
        "IsReconciled": False,
        "Account": {"AccountID": account, "Code": record.account},
        "Invoice": {
            "Type": of.type,
            "InvoiceID": of.id,
            "InvoiceNumber": of.number,
            "Payments": [],
            "CreditNotes": [],
            "Prepayments": [],
            "Overpayments": [],
            "HasErrors": False,
            "IsDiscounted": False,
            "Contact": _named(org, of.contact),
            "LineItems": [],
            "CurrencyCode": of.currency,
        },
    }


def payment_type(of: Document) -> str:
    return {"ACCREC": "ACCRECPAYMENT", "ACCPAY": "ACCPAYPAYMENT", "ACCRECCREDIT": "ARCREDITPAYMENT"}[of.type]


def _base(minor: int, currency: str) -> Decimal:
    exact = Decimal(to_decimal(Money(amount=minor, currency=currency))) / RATES[currency]
    return exact.quantize(Decimal("0.01"))


# ------------------------------------------------------------------------------------------------------- settings


def code_id(code: str) -> str:
    return make_id("account", int(code))


def account(record: LedgerAccount) -> Record:
    kind = account_type(record)
    return {
        "AccountID": code_id(record.code),
        "Code": record.code,
        "Name": record.name,
        "Status": "ACTIVE",
        "Type": kind,
        "TaxType": "OUTPUT2" if record == SALES else "NONE",
        "Class": record.kind.upper(),
        "EnablePaymentsToAccount": takes_payments(record),
        "ShowInExpenseClaims": False,
        **({"BankAccountNumber": "DE02120300000000202051", "CurrencyCode": BASE} if record == BANK else {}),
        **({"SystemAccount": "DEBTORS"} if record == RECEIVABLE else {}),
        "HasAttachments": False,
    }


def tax_rate(code: str) -> Record:
    name, rate = TAXES[code]
    return {
        "Name": name,
        "TaxType": code,
        "Status": "ACTIVE",
        "DisplayTaxRate": float(rate),
        "EffectiveRate": float(rate),
        "CanApplyToAssets": True,
        "CanApplyToRevenue": True,
        "TaxComponents": [{"Name": name, "Rate": float(rate), "IsCompound": False, "IsNonRecoverable": False}],
    }


def note(record: Note) -> Record:
    return {
        "Changes": record.changes,
        "DateUTC": written(record.at),
        "DateUTCString": f"{record.at:%Y-%m-%dT%H:%M:%S}",
        "User": "System Generated",
        "Details": record.details,
    }
