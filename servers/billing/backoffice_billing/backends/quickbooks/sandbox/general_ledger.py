"""The sandbox's books: what each transaction posts, and what the accounts then hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from backoffice_billing.backends.quickbooks.sandbox.records import ACCOUNTS, BAD_DEBTS, Txn
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import (
    BAD_DEBT,
    CLEARING,
    RECEIVABLE,
    SALES,
    TAX,
    Journal,
    LedgerAccount,
    Posting,
)

Balances = dict[tuple[LedgerAccount, str], int]


class GeneralLedger(Journal):
    """A journal that also knows what every day and month did to each account, so that a report does not read it all."""

    def __init__(self) -> None:
        super().__init__()
        self.days: dict[date, Balances] = {}
        self.sales: dict[tuple[date, int, str], int] = {}
        """Income by day, customer and account, negative as it is credited."""

    def post(self, on: date, about: str, *postings: Posting) -> None:
        super().post(on, about, *postings)
        day = self.days.setdefault(on, {})
        for posting in postings:
            place = (posting.account, posting.amount.currency)
            day[place] = day.get(place, 0) + posting.amount.amount

    def enter(self, txn: Txn, *, sign: int = 1) -> None:
        """What a transaction posts; with -1, what takes it back."""
        postings = [Posting(account, Money(amount=sign * part, currency=txn.currency)) for account, part in _of(txn)]
        if not postings:
            return
        self.post(txn.date, f"{txn.kind} {txn.id}", *postings)
        for posting in postings:
            if posting.account.kind in ("revenue", "expense"):
                place = (txn.date, txn.customer, posting.account.name)
                self.sales[place] = self.sales.get(place, 0) + posting.amount.amount

    def held(self, *, since: date | None = None, until: date | None = None) -> dict[LedgerAccount, int]:
        """Debits less credits, in cents: a minor unit of any currency is one here."""
        found: dict[LedgerAccount, int] = {}
        for on, day in self.days.items():
            if (since is None or on >= since) and (until is None or on <= until):
                for (account, _), part in day.items():
                    found[account] = found.get(account, 0) + part
        return found


def _of(txn: Txn) -> Iterator[tuple[LedgerAccount, int]]:
    match txn.kind:
        case "Invoice":
            yield from ((RECEIVABLE, txn.total), (SALES, -txn.net), (TAX, -txn.tax))
        case "Payment":
            yield from ((_account(txn), txn.total), (RECEIVABLE, -txn.total))
        case "CreditMemo" | "RefundReceipt":
            lost = sum(line.amount for line in txn.written if line.item == BAD_DEBTS)
            out_of = RECEIVABLE if txn.kind == "CreditMemo" else _account(txn)
            yield from ((SALES, txn.net - lost), (BAD_DEBT, lost), (TAX, txn.tax), (out_of, -txn.total))
        case _:
            pass  # an estimate is in nobody's books


def _account(txn: Txn) -> LedgerAccount:
    return ACCOUNTS.get(txn.account or "", CLEARING)
