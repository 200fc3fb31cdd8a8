"""The American company's books as its accountants have entered them in QuickBooks: what the fictional company billed
and was paid, with what they forgot or got wrong (`drift`).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from itertools import count

from backoffice_billing.backends.quickbooks.sandbox.asked import TEN_PERCENT
from backoffice_billing.backends.quickbooks.sandbox.company_file import CompanyFile
from backoffice_billing.backends.quickbooks.sandbox.records import BAD_DEBTS, Customer, Part, SaleLine, Txn
from backoffice_shared.sandbox.books import Books, Invoice, Payment
from backoffice_shared.sandbox.company import Person

BANK_ID, CLEARING_ID = "35", "91"


def seed(file: CompanyFile) -> None:
    """Every customer that the American company bills, and all that is in its books."""
    names: set[str] = set()
    for person in file.company.people:
        if Books.bills(person) and Books.ledger(person) == "us":
            _add_customer(file, person, names)
    for invoice in file.company.books.invoices:
        if invoice.ledger == "us" and invoice.drift != "missing" and invoice.person + 1 in file.customers:
            _add_invoice(file, invoice)


def customer_id(person: int) -> int:
    return person + 1


def _add_customer(file: CompanyFile, person: Person, names: set[str]) -> None:
    """Names are unique in QuickBooks."""
    name = person.name
    numbers = count(2)
    while name in names:
        name = f"{person.name} ({next(numbers)})"
    names.add(name)
    organisation = file.company.organisation(person)
    native = customer_id(person.number)
    file.customers[native] = Customer(
        id=native,
        name=name,
        given=person.first_name,
        family=person.last_name,
        email=person.email,
        company=None if organisation is None else organisation.name,
        currency=Books.currency(person),
        created=person.since,
    )


def _add_invoice(file: CompanyFile, invoice: Invoice) -> None:
    kept = invoice.kept
    if invoice.status == "draft":
        if not invoice.billed:  # the payment provider's drafts are nothing to accountants
            estimate = _new(file, "Estimate", invoice, kept.lines, invoice.issued)
            estimate.status = "Pending"
            estimate.number = f"E-{1001 + invoice.number}"
            estimate.note = f"[due {(invoice.due - invoice.issued).days}]"
            _enter(file, estimate)
        return
    txn = _new(file, "Invoice", invoice, kept.lines, invoice.issued)
    txn.number, txn.due = invoice.name, invoice.due
    if invoice.status == "void":
        txn.net = txn.tax = 0
        txn.written = [SaleLine(n, line.text, 0) for n, line in enumerate(invoice.lines, 1)]
        txn.source, txn.note = (), "Voided"
    txn.balance = txn.total
    _enter(file, txn)
    if invoice.status == "uncollectible":
        _write_off(file, invoice, txn)
    elif invoice.drift != "unpaid":
        for payment in file.company.books.payments_for.get(invoice.number, ()):
            if not payment.failed:
                _add_payment(file, payment, txn)


def _add_payment(file: CompanyFile, payment: Payment, invoice: Txn) -> None:
    on = payment.at.date()
    txn = Txn("Payment", file.new_id(), invoice.customer, on, payment.currency, payment.at, payment.at)
    txn.net, txn.account = payment.amount, BANK_ID if payment.bank else CLEARING_ID
    txn.reference = f"PAY-{payment.number}"
    part = min(payment.amount, invoice.balance)
    txn.parts = [Part("Invoice", invoice.id, part)]
    txn.balance = payment.amount - part
    _join(file, txn, invoice, part)
    _enter(file, txn)
    for n, repaid in enumerate(payment.refunds, 1):
        back = Txn(
            "RefundReceipt", file.new_id(), invoice.customer, repaid.at.date(), txn.currency, repaid.at, repaid.at
        )
        back.tax = repaid.amount * invoice.tax // invoice.total
        back.net = repaid.amount - back.tax
        back.tax_code = invoice.tax_code
        back.account, back.number = txn.account, f"R-{1001 + payment.number}-{n}"
        back.written = [SaleLine(1, f"Refund for {invoice.number}", back.net, tax_code="TAX" if back.tax else "NON")]
        back.note = f"Refund for {invoice.number}\n[invoice {invoice.id}]"
        _enter(file, back)


def _write_off(file: CompanyFile, invoice: Invoice, txn: Txn) -> None:
    """What will not be paid is credited, at the expense of bad debts."""
    memo = _new(file, "CreditMemo", invoice, (), invoice.due)
    memo.number = f"W-{1001 + invoice.number}"
    memo.net, memo.tax = txn.net, txn.tax
    memo.written = [
        SaleLine(1, f"Bad debt {txn.number}", txn.net, item=BAD_DEBTS, tax_code="TAX" if txn.tax else "NON")
    ]
    memo.note = f"Uncollectible\n[invoice {txn.id}]"
    memo.balance = memo.total
    _enter(file, memo)
    link = Txn("Payment", file.new_id(), txn.customer, memo.date, txn.currency, memo.created, memo.created)
    part = txn.balance
    link.parts = [Part("Invoice", txn.id, part), Part("CreditMemo", memo.id, part)]
    link.note = "Created by QB Online to link credits to charges."
    _join(file, link, txn, part)
    _join(file, link, memo, part)
    _enter(file, link)


def _new(file: CompanyFile, kind: str, invoice: Invoice, lines: tuple[object, ...], on: date) -> Txn:
    at = _moment(file, on)
    txn = Txn("Invoice", file.new_id(), customer_id(invoice.person), at.date(), invoice.currency, at, at)
    txn.kind = "Estimate" if kind == "Estimate" else "CreditMemo" if kind == "CreditMemo" else "Invoice"
    kept = invoice.kept
    if lines:
        txn.source = kept.lines
        txn.net, txn.tax = kept.net, kept.tax
    txn.tax_code = TEN_PERCENT if kept.tax else None
    txn.email = file.customers[txn.customer].email
    return txn


def _moment(file: CompanyFile, on: date) -> datetime:
    """Eight in the morning of that day, and never in the company's future."""
    return min(datetime.combine(on, time(8), UTC), file.company.today)


def _join(file: CompanyFile, payment: Txn, target: Txn, part: int) -> None:
    target.balance -= part
    target.links.append(("Payment", payment.id))
    file.tables[target.kind].changed(target)


def _enter(file: CompanyFile, txn: Txn) -> None:
    file.tables[txn.kind].add(txn, later_sorted=True)
    file.ledger.enter(txn)
