"""What the journal is told of a document and of a payment."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

from backoffice_billing.backends.xero.sandbox.records import ACCOUNTS, PAYABLE, Document, Payment
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import RECEIVABLE, SALES, TAX, Journal, LedgerAccount, Posting


def post_document(journal: Journal, document: Document, on: date, *, back: bool = False) -> None:
    """An invoice: receivable to income and tax. A credit note the other way, a bill so as well, of what is payable."""
    sign = (1 if document.type == "ACCREC" else -1) * (-1 if back else 1)
    amounts: defaultdict[LedgerAccount, int] = defaultdict(int)
    amounts[_whole(document)] += document.total
    amounts[TAX] -= document.tax
    for line in document.lines:
        amounts[ACCOUNTS.get(line.account or "", SALES)] -= line.net
    what = f"{'Reversal of ' if back else ''}{document.number}"
    journal.post(on, what, *_postings(amounts, sign, document.currency))


def post_payment(journal: Journal, payment: Payment, document: Document, on: date, *, back: bool = False) -> None:
    """Money received for an invoice; given back for a credit note, or paid for a bill."""
    sign = (1 if document.type == "ACCREC" else -1) * (-1 if back else 1)
    amounts = {ACCOUNTS[payment.account]: payment.amount, _whole(document): -payment.amount}
    what = f"{'Reversal of payment' if back else 'Payment'} of {document.number}"
    journal.post(on, what, *_postings(amounts, sign, document.currency))


def _whole(document: Document) -> LedgerAccount:
    return PAYABLE if document.type == "ACCPAY" else RECEIVABLE


def _postings(amounts: dict[LedgerAccount, int], sign: int, currency: str) -> list[Posting]:
    return [Posting(account, Money(amount=sign * amount, currency=currency)) for account, amount in amounts.items()]
