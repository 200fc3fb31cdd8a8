"""What is written to the organisation, and why some of it is refused. Sentences marked "seen" are Xero's; the
others say the same in words of ours, as Xero's could not be looked up.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from backoffice_billing.backends.xero.amounts import day
from backoffice_billing.backends.xero.sandbox.answers import Invalid
from backoffice_billing.backends.xero.sandbox.org import Org
from backoffice_billing.backends.xero.sandbox.records import (
    ACCOUNTS,
    BASE,
    RATES,
    TAXES,
    Allocation,
    Contact,
    Document,
    Line,
    Payment,
    Status,
    Type,
    takes_lines,
    takes_payments,
)
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money, exponent, to_decimal

Record = dict[str, Any]

_NEXT: dict[Status, frozenset[Status]] = {
    "DRAFT": frozenset({"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"}),
    "SUBMITTED": frozenset({"SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"}),
    "AUTHORISED": frozenset({"AUTHORISED", "VOIDED"}),
    "PAID": frozenset({"PAID"}),
    "VOIDED": frozenset(),
    "DELETED": frozenset(),
}
_TYPES: dict[str, Type] = {"ACCREC": "ACCREC", "ACCPAY": "ACCPAY"}
_LONGEST = 255


class Writing:
    def __init__(self, org: Org) -> None:
        self._org = org

    # ------------------------------------------------------------------------------------------------------ documents

    def create_document(self, asked: Record, kind: Type | None = None) -> Document:
        """An invoice, a bill, or with its kind a credit note."""
        org, found = self._org, kind or _TYPES.get(str(asked.get("Type")))
        if found is None:
            raise Invalid("Invoice Type must be specified.", element=asked)
        number = _text(asked, "CreditNoteNumber" if kind else "InvoiceNumber", "")
        if found != "ACCPAY" and number and number in org.numbered:
            raise Invalid("Credit note # must be unique." if kind else "Invoice # must be unique.", element=asked)
        contact = self._contact_of(asked)
        today = org.today
        status = str(asked.get("Status") or "DRAFT")
        if status not in ("DRAFT", "SUBMITTED", "AUTHORISED"):
            raise Invalid("Invoice not of valid status for creation", element=asked)
        currency = str(asked.get("CurrencyCode") or BASE)
        if currency not in RATES:
            raise Invalid(f"Organisation is not subscribed to currency {currency[:3]}", element=asked)
        document = Document(
            id=org.next_id("credit" if kind else "invoice"),
            type=found,
            number=number or org.next_number("CN" if kind else "INV"),
            contact=contact.id,
            currency=currency,
            status="AUTHORISED" if status == "AUTHORISED" else "SUBMITTED" if status == "SUBMITTED" else "DRAFT",
            date=_date(asked, "Date") or today,
            due=_date(asked, "DueDate"),
            reference=_text(asked, "Reference", ""),
            lines=self._lines(asked, currency),
            updated=org.now,
            sent=asked.get("SentToContact") is True and status == "AUTHORISED",
            inclusive=asked.get("LineAmountTypes") == "Inclusive",
        )
        self._check(document, asked)
        return org.save_document(document, "Created")

    def update_document(self, before: Document, asked: Record) -> Document:
        """What is not named stays as it is."""
        org, status = self._org, str(asked.get("Status") or before.status)
        changed = set(asked) - {"InvoiceID", "CreditNoteID", "InvoiceNumber", "CreditNoteNumber", "Type"}
        after = next((possible for possible in _NEXT[before.status] if possible == status), None)
        if after is None:
            raise Invalid("Invoice not of valid status for modification", element=asked)  # seen
        touched = changed - {"Status", "SentToContact", "Reference"}
        if org.settled(before) or org.applied(before):
            if after == "VOIDED" or touched:
                sentence = "This document cannot be edited as it has a payment or credit note allocated to it."  # seen
                raise Invalid("Invoice not of valid status for modification", sentence, element=asked)
        elif before.status == "AUTHORISED" and after == "AUTHORISED" and touched - {"DueDate"}:
            raise Invalid("Invoice not of valid status for modification", element=asked)
        document = replace(
            before,
            status=after,
            date=_date(asked, "Date") or before.date,
            due=_date(asked, "DueDate") or before.due,
            reference=_text(asked, "Reference", before.reference),
            lines=self._lines(asked, before.currency) if "LineItems" in asked else before.lines,
            sent=bool(asked.get("SentToContact", before.sent)),
        )
        self._check(document, asked)
        return org.save_document(document, {"VOIDED": "Voided", "AUTHORISED": "Approved"}.get(after, "Edited"))

    def _check(self, document: Document, asked: Record) -> None:
        reasons: list[str] = []
        if document.total < 0:
            reasons.append("The document total must not be negative.")
        if document.status == "AUTHORISED":
            if not any(line.account for line in document.lines):
                reasons.append("One or more line items must be specified")
            if document.due is None and not document.is_credit:
                reasons.append("Invoice due date cannot be empty.")
        if document.due is not None and document.due < document.date:
            reasons.append("The due date must not be before the date of the invoice.")
        if reasons:
            raise Invalid(*reasons, element=asked)

    def _lines(self, asked: Record, currency: str) -> tuple[Line, ...]:
        rows = [obj(entry) for entry in arr(asked.get("LineItems"))]
        inclusive = asked.get("LineAmountTypes") == "Inclusive"
        return tuple(self._line(row, currency, asked, inclusive=inclusive) for row in rows)

    def _line(self, row: Record, currency: str, asked: Record, *, inclusive: bool) -> Line:
        line_id, text = self._org.next_id("line"), str(row.get("Description") or "")
        if not text:
            raise Invalid("The description field is mandatory for each line item.", element=asked)  # seen
        if not any(name in row for name in ("Quantity", "UnitAmount", "LineAmount", "AccountCode")):
            return Line(line_id, text, None, None, 0, 0, None, None)
        code = str(row.get("AccountCode") or "")
        if code not in ACCOUNTS or not takes_lines(ACCOUNTS[code]):
            raise Invalid(f"Account code '{code[:10]}' is not a valid code for this document.", element=asked)
        tax_type = str(row.get("TaxType") or ("OUTPUT2" if code == "200" else "NONE"))
        if tax_type not in TAXES:
            raise Invalid(
                f"The TaxType code '{tax_type[:20]}' does not exist or cannot be used for this type of transaction.",
                element=asked,
            )
        quantity, unit = _number(row, "Quantity", Decimal(1)), _number(row, "UnitAmount", None)
        given = _number(row, "LineAmount", None)
        if quantity is None or (unit is None and given is None):
            raise Invalid("A line item needs a quantity and an amount.", element=asked)
        shown = _minor(given if unit is None or (given is not None and quantity == 0) else quantity * unit, currency)
        if given is not None and shown != _minor(given, currency):
            sentence = (
                f"The line total {given} does not match the expected line total {_decimal(shown, currency)}"  # seen
            )
            raise Invalid(sentence, element=asked)
        tax = _number(row, "TaxAmount", None)
        taxed = _tax(shown, TAXES[tax_type][1], inclusive=inclusive) if tax is None else _minor(tax, currency)
        net = shown - taxed if inclusive else shown
        unit = unit if unit is not None else (given or Decimal(0)) / (quantity or 1)
        return Line(line_id, text, quantity, unit, net, taxed, code, tax_type)

    # ------------------------------------------------------------------------------------------------------- contacts

    def _contact_of(self, asked: Record) -> Contact:
        """By id; or by name, who is not there is made."""
        contact, org = obj(asked.get("Contact")), self._org
        if contact_id := str(contact.get("ContactID") or "").lower():
            found = org.contacts.get(contact_id)
            if found is None:
                raise Invalid("The contact could not be found.", element=asked)
        elif name := str(contact.get("Name") or ""):
            known = org.contact_named.get(name.casefold())
            found = org.contacts[known] if known else self.create_contact(contact)
        else:
            raise Invalid("Contact cannot be empty.", element=asked)  # seen
        if found.archived:
            raise Invalid(f"The contact '{found.name}' is archived. Restore it before it is used.", element=asked)
        return found

    def create_contact(self, asked: Record) -> Contact:
        org, name = self._org, _text(asked, "Name", "")
        if not name:
            raise Invalid("The contact name must be specified.", element=asked)
        if name.casefold() in org.contact_named:
            raise Invalid(f"The contact name {name} is already assigned to another contact.", element=asked)
        return org.save_contact(
            Contact(
                id=org.next_id("contact"),
                name=name,
                first_name=_text(asked, "FirstName", ""),
                last_name=_text(asked, "LastName", ""),
                email=_text(asked, "EmailAddress", ""),
                archived=False,
                tax_type=_text(asked, "AccountsReceivableTaxType", ""),
                updated=org.now,
            )
        )

    def update_contact(self, before: Contact, asked: Record) -> Contact:
        name = _text(asked, "Name", before.name)
        if self._org.contact_named.get(name.casefold(), before.id) != before.id:
            raise Invalid(f"The contact name {name} is already assigned to another contact.", element=asked)
        return self._org.save_contact(
            replace(
                before,
                name=name,
                email=_text(asked, "EmailAddress", before.email),
                archived=str(asked.get("ContactStatus") or ("ARCHIVED" if before.archived else "ACTIVE")) == "ARCHIVED",
                tax_type=_text(asked, "AccountsReceivableTaxType", before.tax_type),
            )
        )

    # ------------------------------------------------------------------------------------- payments and allocations

    def create_payment(self, asked: Record) -> Payment:
        org, document = self._org, self._paid_for(asked)
        code = _text(obj(asked.get("Account")), "Code", _text(asked, "Code", ""))
        if code not in ACCOUNTS or not takes_payments(ACCOUNTS[code]):
            raise Invalid("The account must be a bank account, or one that payments are enabled for.", element=asked)
        amount = _number(asked, "Amount", None)
        if amount is None or amount <= 0:
            raise Invalid("The amount must be greater than zero.", element=asked)
        reasons: list[str] = []
        if document.status != "AUTHORISED":
            reasons.append("Payments can only be made against Authorised documents")  # seen
        if _minor(amount, document.currency) > (org.due(document) if document.is_posted else 0):
            reasons.append("Payment amount exceeds the amount outstanding on this document")  # seen
        if reasons:
            raise Invalid(*reasons, element=asked)
        return org.pay(
            Payment(
                id=org.next_id("payment"),
                document=document.id,
                amount=_minor(amount, document.currency),
                date=_date(asked, "Date") or org.today,
                reference=_text(asked, "Reference", ""),
                account=code,
                updated=org.now,
            )
        )

    def _paid_for(self, asked: Record) -> Document:
        org, invoice, note = self._org, obj(asked.get("Invoice")), obj(asked.get("CreditNote"))
        native = str(invoice.get("InvoiceID") or note.get("CreditNoteID") or "").lower()
        number = str(invoice.get("InvoiceNumber") or note.get("CreditNoteNumber") or asked.get("InvoiceNumber") or "")
        found = org.documents.get(native or org.numbered.get(number, ""))
        if found is None or found.is_credit != bool(note):
            raise Invalid("The document that is to be paid could not be found.", element=asked)
        return found

    def delete_payment(self, payment: Payment, asked: Record) -> Payment:
        if asked.get("Status") != "DELETED" or payment.deleted:
            raise Invalid("Only a payment that is authorised can be deleted.", element=asked)
        return self._org.delete_payment(payment)

    def allocate(self, note: Document, asked: Record) -> Allocation:
        org = self._org
        invoice = org.documents.get(str(obj(asked.get("Invoice")).get("InvoiceID") or "").lower())
        if invoice is None or invoice.type != "ACCREC" or invoice.contact != note.contact:
            raise Invalid("The invoice of this contact could not be found.", element=asked)
        number, on = _number(asked, "Amount", None), _date(asked, "Date")
        amount = 0 if number is None else _minor(number, note.currency)
        reasons: list[str] = []
        if invoice.currency != note.currency:
            reasons.append("The credit note and the invoice must be in the same currency.")
        if amount <= 0:
            reasons.append("The amount must be greater than zero.")
        if note.status != "AUTHORISED" or amount > org.due(note):
            reasons.append("The amount exceeds the remaining credit of this credit note.")
        if invoice.status != "AUTHORISED" or amount > org.due(invoice):
            reasons.append("The amount exceeds the amount outstanding on this document.")
        if reasons:
            raise Invalid(*reasons, element=asked)
        return org.allocate(Allocation(org.next_id("allocation"), note.id, invoice.id, amount, on or org.today))

    def email(self, document: Document) -> None:
        if document.type != "ACCREC" or document.status not in ("SUBMITTED", "AUTHORISED", "PAID"):
            raise Invalid("Only an invoice of a customer that is submitted, authorised or paid can be e-mailed.")
        if not self._org.contacts[document.contact].email:
            raise Invalid("The contact has no e-mail address.")
        self._org.save_document(replace(document, sent=True), "Invoice Sent")


def _text(asked: Record, name: str, default: str) -> str:
    value = asked.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise Invalid(f"{name} must be a text of at most {_LONGEST} characters.", element=asked)
    return value


def _number(asked: Record, name: str, default: Decimal | None) -> Decimal | None:
    value = asked.get(name)
    if value is None:
        return default
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Invalid(f"{name} is not a number.", element=asked) from None
    if isinstance(value, bool) or not number.is_finite():
        raise Invalid(f"{name} is not a number.", element=asked)
    return number


def _date(asked: Record, name: str) -> date | None:
    """`2026-11-22`, also with a time behind it; or as Xero writes it itself, which its own clients send."""
    value = asked.get(name)
    if value in (None, ""):
        return None
    try:
        return day(value) if str(value).startswith("/Date(") else datetime.fromisoformat(str(value)).date()
    except (ValueError, OverflowError):
        raise Invalid(f"{name} is not a date.", element=asked) from None


def _minor(number: Decimal | None, currency: str) -> int:
    exact = (number or Decimal(0)).scaleb(exponent(currency))
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def _decimal(minor: int, currency: str) -> str:
    return to_decimal(Money(amount=minor, currency=currency))


def _tax(shown: int, rate: Decimal, *, inclusive: bool) -> int:
    whole = Decimal(100) + rate if inclusive else Decimal(100)
    return int((Decimal(shown) * rate / whole).quantize(Decimal(1), ROUND_HALF_UP))
