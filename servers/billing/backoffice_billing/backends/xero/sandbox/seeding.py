"""The company's facts as this organisation has them: the invoices of its European ledger, and how they differ from
what the payment provider has (`Drift`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time
from decimal import Decimal

from backoffice_billing.backends.xero.sandbox.records import Contact, Document, Line, Payment, Status, make_id
from backoffice_shared.money import Money, to_decimal
from backoffice_shared.sandbox.books import BANK, CLEARING, SALES, Invoice
from backoffice_shared.sandbox.books import Payment as Received
from backoffice_shared.sandbox.company import Company, Person

_STATUSES: dict[str, Status] = {
    "draft": "DRAFT",
    "open": "AUTHORISED",
    "paid": "AUTHORISED",  # until its payments are counted
    "void": "VOIDED",
    "uncollectible": "AUTHORISED",  # the books have not written it off
}
_TAX_TYPES = {"DE": "TAX001"}
_LINES_EACH = 16  # numbers kept for an invoice's lines
_REFUNDS_EACH = 16


def contact_id(person: int) -> str:
    return make_id("contact", person)


def invoice_id(number: int) -> str:
    return make_id("invoice", number)


def payment_id(number: int) -> str:
    return make_id("payment", number * _REFUNDS_EACH)


def seeded_contacts(company: Company) -> Iterator[Contact]:
    """Who has an account with this ledger. Two of a name are told apart by their number, as Xero takes a name only
    once.
    """
    books, names = company.books, set[str]()
    for person in company.people:
        if books.ledger(person) == "eu" and books.bills(person):
            name = person.name if person.name.casefold() not in names else f"{person.name} ({person.number})"
            names.add(name.casefold())
            yield Contact(
                id=contact_id(person.number),
                name=name,
                first_name=person.first_name,
                last_name=person.last_name,
                email=person.email,
                archived=False,
                tax_type=_tax_type(person),
                updated=person.since,
            )


def _tax_type(person: Person) -> str:
    return _TAX_TYPES.get(person.country, "OUTPUT2")


def seeded_documents(company: Company) -> Iterator[tuple[Document, list[Payment]]]:
    """Invoices with their payments, and credit notes, paid out, for what was given back."""
    books = company.books
    for invoice in books.invoices:
        if invoice.ledger != "eu" or invoice.drift == "missing":
            continue
        person = company.people[invoice.person]
        received = (
            [] if invoice.drift == "unpaid" else [p for p in books.payments_for.get(invoice.number, []) if not p.failed]
        )
        document = _document(invoice.kept, _tax_type(person))
        payments = [_payment(payment, document) for payment in received]
        if payments and sum(payment.amount for payment in payments) == document.total:
            document = replace(document, status="PAID")
        yield document, payments
        for payment in received:
            yield from _refunds(payment, document)


def _document(invoice: Invoice, tax_type: str) -> Document:
    lines = tuple(
        Line(
            id=make_id("line", invoice.number * _LINES_EACH + n),
            text=line.text,
            quantity=Decimal(line.quantity),
            unit=Decimal(to_decimal(Money(amount=line.unit, currency=invoice.currency))),
            net=line.net,
            tax=line.tax,
            account=SALES.code,
            tax_type=tax_type if line.tax else "NONE",
        )
        for n, line in enumerate(invoice.lines)
    )
    return Document(
        id=invoice_id(invoice.number),
        type="ACCREC",
        number=invoice.name,
        contact=contact_id(invoice.person),
        currency=invoice.currency,
        status=_STATUSES[invoice.status],
        date=invoice.issued,
        due=invoice.due,
        reference="",
        lines=lines,
        updated=datetime.combine(invoice.issued, time(8), UTC),
        sent=invoice.status != "draft",
    )


def _payment(payment: Received, document: Document) -> Payment:
    return Payment(
        id=payment_id(payment.number),
        document=document.id,
        amount=payment.amount,
        date=payment.at.date(),
        reference="Bank transfer" if payment.bank else "Card payment",
        account=BANK.code if payment.bank else CLEARING.code,
        updated=payment.at.replace(microsecond=0),
    )


def _refunds(payment: Received, invoice: Document) -> Iterator[tuple[Document, list[Payment]]]:
    for n, repaid in enumerate(payment.refunds):
        number = payment.number * _REFUNDS_EACH + n + 1
        whole = Money(amount=repaid.amount, currency=invoice.currency)
        tax = whole.share(invoice.tax, invoice.total)
        net = whole - tax
        reference = f"Refund {payment.number}-{n + 1} / {invoice.number}"
        line = Line(
            id=make_id("line", 0x800_0000 + number),
            text=f"Credit for {invoice.number}",
            quantity=Decimal(1),
            unit=Decimal(to_decimal(net)),
            net=net.amount,
            tax=tax.amount,
            account=SALES.code,
            tax_type=next((line.tax_type for line in invoice.lines if line.tax), "NONE"),
        )
        note = Document(
            id=make_id("credit", number),
            type="ACCRECCREDIT",
            number=f"CN-{number:05}",
            contact=invoice.contact,
            currency=invoice.currency,
            status="PAID",
            date=repaid.at.date(),
            due=None,
            reference=reference,
            lines=(line,),
            updated=repaid.at.replace(microsecond=0),
            sent=True,
        )
        paid = Payment(
            id=make_id("payment", number),
            document=note.id,
            amount=repaid.amount,
            date=note.date,
            reference=reference,
            account=CLEARING.code,
            updated=note.updated,
        )
        yield note, [paid]
