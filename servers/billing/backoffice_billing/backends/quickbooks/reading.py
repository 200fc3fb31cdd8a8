"""Customers, invoices and payments in QuickBooks, to read."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date

from backoffice_billing.backends.quickbooks import translation as ours
from backoffice_billing.backends.quickbooks.access import TITLE
from backoffice_billing.backends.quickbooks.query import Select, among, compare, equals
from backoffice_billing.backends.quickbooks.realm import IDS, Realm, is_id
from backoffice_billing.backends.quickbooks.translation import DRAFT
from backoffice_billing.backends.quickbooks.wire import Buyer, Receipt, Sale, Settled, given_back, settled
from backoffice_billing.models import (
    Account,
    AccountSection,
    Invoice,
    InvoiceRow,
    InvoiceSection,
    Payment,
    PaymentRow,
    PaymentSection,
)
from backoffice_billing.ports import InvoiceQuery, PaymentQuery
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import NotFound
from backoffice_shared.jsonvalues import obj
from backoffice_shared.money import Money
from backoffice_shared.paging import Chunk
from backoffice_shared.sources import at_once

FRESH = 30.0
_LATEST = "TxnDate desc, Id desc"
_SIFTED = 100  # rows a request, where some of them will be sorted out
_WHOLE: frozenset[InvoiceSection] = frozenset({"lines", "payments", "credit_notes"})


@dataclass(frozen=True, slots=True)
class Reading:
    realm: Realm
    today: Callable[[], date]

    def day_written(self) -> date:
        """What is dated bears this day. A repetition takes that of the first attempt: QuickBooks may know that by its
        requestid, under which no other body is sent."""
        since = uncertain_since()
        return self.today() if since is None else since.date()

    # ------------------------------------------------------------------------------------------------------ accounts

    async def accounts(self, natives: Sequence[str], sections: frozenset[AccountSection]) -> list[Account]:
        ids = [native for native in dict.fromkeys(natives) if is_id(native)]
        if not ids:
            return []
        anyone = (among("Id", ids), among("Active", (True, False)))
        return await self._told(await self.realm.buyers(Select("Customer", anyone), fresh_for=FRESH), sections)

    async def accounts_by_email(self, email: str, sections: frozenset[AccountSection]) -> list[Account]:
        """Whether QuickBooks minds the case of letters is not documented: both spellings are asked for."""
        wanted = email.strip().lower()
        if not wanted:
            return []
        spellings = sorted({email.strip(), wanted})
        query = Select("Customer", (among("PrimaryEmailAddr", spellings),))
        found = await self.realm.buyers(query, size=50, fresh_for=FRESH)
        mine = [buyer for buyer in found if wanted in (address.lower() for address in buyer.emails)]
        return await self._told(mine[:20], sections)

    async def _told(self, buyers: Sequence[Buyer], sections: frozenset[AccountSection]) -> list[Account]:
        owed: list[Sale] = []
        if buyers and sections & {"balance", "overdue", "credit"}:
            open_ = (among("CustomerRef", [buyer.id for buyer in buyers]), compare("Balance", ">", "0"))
            owed = await self.realm.every_sale(Select("Invoice", open_), fresh_for=FRESH, tags=("invoices",))
        return [ours.account(buyer, owed, sections, self.today()) for buyer in buyers]

    async def buyer(self, native: str) -> Buyer:
        """At this moment.

        Raises:
            NotFound: there is no such customer, or they are not active any more.
        """
        found = await self.realm.buyers(Select("Customer", (equals("Id", native),))) if is_id(native) else []
        if not found or not found[0].active:
            raise NotFound(TITLE, f"there is no active customer {native[:40]!r}")
        return found[0]

    # ------------------------------------------------------------------------------------------------------ invoices

    async def search_invoices(self, query: InvoiceQuery, cursor: str | None, limit: int) -> Chunk[InvoiceRow]:
        """Invoices and drafts, in one order. Drafts have no number and are not due, so that who asks for these gets
        none.
        """
        if query.customers is not None and not any(is_id(native) for native in query.customers):
            return Chunk([])
        places = _places(cursor)
        size = _SIFTED if _is_sifted(query) else limit
        feeds = [
            _Feed(select, place, await self._sales(select, place, size), size)
            for select in _selects(query)
            if (place := 0 if cursor is None else places.get(select.entity)) is not None
        ]
        rows: list[InvoiceRow] = []
        while len(rows) < limit and (sale := _latest(feeds)) is not None:
            found = ours.row(sale, query.today)
            if _is_wanted(sale, found, query):
                rows.append(found)
        going_on = places | {feed.select.entity: feed.place for feed in feeds}
        more = any(place is not None for place in going_on.values())
        total = None
        if cursor is None and more and len(feeds) == 1 and not _is_sifted(query):
            total = await self.realm.count(feeds[0].select, fresh_for=FRESH, tags=("invoices",))
        return Chunk(rows, json.dumps(going_on, separators=(",", ":")) if more else None, total)

    async def _sales(self, select: Select, place: int, size: int) -> list[Sale]:
        return await self.realm.sales(select, start=place, size=size, fresh_for=FRESH, tags=("invoices",))

    async def invoices(self, natives: Sequence[str], sections: frozenset[InvoiceSection]) -> list[Invoice]:
        unique = list(dict.fromkeys(natives))
        issued = [native for native in unique if is_id(native)]
        drafts = [native.removeprefix(DRAFT) for native in unique if native.startswith(DRAFT)]
        drafts = [native for native in drafts if is_id(native)]
        found: list[Sale] = []
        if issued:
            found += await self._sales(Select("Invoice", (among("Id", issued),)), 0, len(issued))
        if drafts:
            sales = await self._sales(Select("Estimate", (among("Id", drafts),)), 0, len(drafts))
            found += [sale for sale in sales if ours.is_draft(sale)]
        receipts = await self.realm.receipts_by_id(
            [native for sale in found for native in sale.linked("Payment")], fresh_for=FRESH
        )
        if "links" in sections:
            found = await at_once(*(self._with_link(sale) for sale in found))
        return [await self._whole(sale, receipts, sections, fresh_for=FRESH) for sale in found]

    async def _with_link(self, sale: Sale) -> Sale:
        """QuickBooks makes the link to pay by only where one invoice is asked for."""
        if sale.entity != "Invoice" or sale.voided:
            return sale
        return await self.realm.sale("Invoice", sale.id, include="invoiceLink")

    async def invoice(self, native: str) -> Invoice:
        sale, receipts = await self.as_is(native)
        return await self._whole(sale, receipts, _WHOLE)

    async def as_is(self, native: str) -> tuple[Sale, list[Receipt]]:
        """An invoice or a draft of this moment, and what was paid for it.

        Raises:
            NotFound: there is none, or a draft is one no more.
        """
        if native.startswith(DRAFT):
            draft = await self.realm.sale("Estimate", native.removeprefix(DRAFT))
            if not ours.is_draft(draft):
                became = "".join(f": it is invoice quickbooks:invoice:{issued}" for issued in draft.linked("Invoice"))
                raise NotFound(TITLE, f"{native} is no draft any more{became}")
            return draft, []
        sale = await self.realm.sale("Invoice", native)
        return sale, await self.realm.receipts_by_id(sale.linked("Payment"))

    async def _whole(
        self, sale: Sale, receipts: list[Receipt], sections: frozenset[InvoiceSection], *, fresh_for: float = 0.0
    ) -> Invoice:
        mine = settled(sale, receipts) if sale.entity == "Invoice" else Settled((), ())
        memos = sorted({memo for memo, _, _ in mine.credits}) if "credit_notes" in sections else []
        numbers: dict[str, str | None] = {}
        if memos:
            query = Select("CreditMemo", (among("Id", memos),))
            notes = await self.realm.sales(query, fresh_for=fresh_for, tags=("invoices",))
            numbers = {memo.id: memo.number for memo in notes}
        return ours.invoice(sale, mine, self.today(), sections, numbers)

    # ------------------------------------------------------------------------------------------------------ payments

    async def search_payments(self, query: PaymentQuery, cursor: str | None, limit: int) -> Chunk[PaymentRow]:
        """Those that were received. QuickBooks hears of no attempt that failed."""
        if query.statuses and not {"succeeded", "refunded"}.intersection(query.statuses):
            return Chunk([])
        if query.invoice is not None:
            return Chunk(await self._payments_for(query.invoice, query))
        if query.customers is not None and not any(is_id(native) for native in query.customers):
            return Chunk([])
        where = _who(query.customers)
        where += [compare("TxnDate", ">=", query.since.date())] if query.since else []
        where += [compare("TxnDate", "<=", query.until.date())] if query.until else []
        start = int(cursor or 0)
        select = Select("Payment", tuple(where), _LATEST)
        found = await self.realm.receipts(select, start=start, size=limit, fresh_for=FRESH, tags=("payments",))
        rows = await self._rows([receipt for receipt in found if _is_payment(receipt, query)], query)
        return Chunk(rows, str(start + limit) if len(found) == limit else None)

    async def _payments_for(self, native: str, query: PaymentQuery) -> list[PaymentRow]:
        if not is_id(native):
            return []  # nothing is paid for a draft
        sales = await self._sales(Select("Invoice", (equals("Id", native),)), 0, 1)
        receipts = await self.realm.receipts_by_id(
            [paid for sale in sales for paid in sale.linked("Payment")], fresh_for=FRESH
        )
        found = [receipt for receipt in receipts if _is_payment(receipt, query) and _is_theirs(receipt, query)]
        return sorted(await self._rows(found, query), key=lambda row: row.at, reverse=True)

    async def _rows(self, receipts: Sequence[Receipt], query: PaymentQuery) -> list[PaymentRow]:
        given_back = await self._given_back(receipts, fresh_for=FRESH)
        rows = [ours.payment_row(receipt, given_back.get(receipt.id, ())) for receipt in receipts]
        return [row for row in rows if not query.statuses or row.status in query.statuses]

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        receipt = await self.realm.receipt(native)
        return ours.payment(receipt, (await self._given_back([receipt])).get(receipt.id, ()), sections)

    async def _given_back(
        self, receipts: Sequence[Receipt], *, fresh_for: float = 0.0
    ) -> dict[str, list[tuple[Sale, Money]]]:
        """What was given back of each of these, by which refund receipt. All that was paid for the same invoices is
        read, and all that these customers were given back since: a share does not depend on what else is listed."""
        paid = sorted({native for one in receipts for kind, native, _ in one.parts if kind == "Invoice"}, key=int)
        invoices: list[Sale] = []
        for first in range(0, len(paid), IDS):
            some = Select("Invoice", (among("Id", paid[first : first + IDS]),))
            invoices += await self.realm.sales(some, fresh_for=fresh_for, tags=("invoices",))
        if not invoices:
            return {}
        payments = await self.realm.receipts_by_id(
            [native for invoice in invoices for native in invoice.linked("Payment")], fresh_for=fresh_for
        )
        where = (
            among("CustomerRef", sorted({invoice.customer for invoice in invoices}, key=int)),
            compare("TxnDate", ">=", min(entry.date for entry in (*invoices, *payments))),
        )
        refunds = await self.realm.every_sale(Select("RefundReceipt", where), fresh_for=fresh_for, tags=("invoices",))
        return given_back(invoices, payments, refunds)


def _who(customers: tuple[str, ...] | None) -> list[str]:
    return [] if customers is None else [among("CustomerRef", [native for native in customers if is_id(native)])]


# ---------------------------------------------------------------------------------------------------- searched invoices


def _selects(query: InvoiceQuery) -> list[Select]:
    """What QuickBooks can be asked of the query, of invoices and of drafts."""
    dates = _who(query.customers)
    dates += [compare("TxnDate", ">=", query.issued_since)] if query.issued_since else []
    dates += [compare("TxnDate", "<=", query.issued_until)] if query.issued_until else []
    if query.min_amount is not None and query.currency is not None:
        dates.append(compare("TotalAmt", ">=", _decimal(query.min_amount, query.currency)))
    wanted, found = set(query.statuses), list[Select]()
    if not wanted or wanted & {"open", "overdue", "paid", "void"}:
        found.append(Select("Invoice", (*dates, *_of_invoices(query)), _LATEST))
    if (not wanted or "draft" in wanted) and query.number is None and query.due_before is None:
        found.append(Select("Estimate", tuple(dates), _LATEST))
    return found


def _decimal(minor: int, currency: str) -> str:
    return str(Money(amount=minor, currency=currency)).partition(" ")[0]


def _of_invoices(query: InvoiceQuery) -> list[str]:
    wanted = set(query.statuses)
    where = [equals("DocNumber", query.number)] if query.number is not None else []
    where += [compare("DueDate", "<", query.due_before)] if query.due_before else []
    if wanted and not wanted & {"paid", "void"}:
        where.append(compare("Balance", ">", "0"))
        where += [compare("DueDate", "<", query.today)] if "open" not in wanted else []
    if wanted and not wanted & {"open", "overdue"}:
        where.append(equals("Balance", "0"))
        where += [equals("TotalAmt", "0")] if "paid" not in wanted else []
    return where


def _is_sifted(query: InvoiceQuery) -> bool:
    """Whether some of what is found may have to be left out: QuickBooks filters by no currency and no status."""
    return query.currency is not None or bool(set(query.statuses) & {"draft", "void", "paid", "open"})


def _is_wanted(sale: Sale, row: InvoiceRow, query: InvoiceQuery) -> bool:
    return (
        (sale.entity == "Invoice" or ours.is_draft(sale))
        and (not query.statuses or row.status in query.statuses)
        and (query.currency is None or row.total.currency == query.currency)
        and (query.min_amount is None or row.total.amount >= query.min_amount)
        and (query.number is None or row.number == query.number)
    )


@dataclass(slots=True)
class _Feed:
    """A page of one entity, taken from the front. `place` is where to go on, None at the end."""

    select: Select
    start: int
    sales: list[Sale]
    size: int
    taken: int = 0

    @property
    def head(self) -> Sale | None:
        return self.sales[self.taken] if self.taken < len(self.sales) else None

    @property
    def is_dry(self) -> bool:
        """There may be more, which would have to be fetched before anything else can be chosen."""
        return self.head is None and len(self.sales) == self.size

    @property
    def place(self) -> int | None:
        return None if self.head is None and not self.is_dry else self.start + self.taken


def _latest(feeds: Sequence[_Feed]) -> Sale | None:
    heads = [feed for feed in feeds if feed.head is not None]
    if not heads or any(feed.is_dry for feed in feeds):
        return None
    first = max(heads, key=lambda feed: feed.sales[feed.taken].date)
    first.taken += 1
    return first.sales[first.taken - 1]


def _places(cursor: str | None) -> dict[str, int | None]:
    return {} if cursor is None else dict(obj(json.loads(cursor)))


# ---------------------------------------------------------------------------------------------------- searched payments


def _is_payment(receipt: Receipt, query: PaymentQuery) -> bool:
    """A payment of nothing only joins credit memos to invoices, or was voided."""
    return (
        bool(receipt.total)
        and (query.currency is None or receipt.total.currency == query.currency)
        and (query.min_amount is None or receipt.total.amount >= query.min_amount)
    )


def _is_theirs(receipt: Receipt, query: PaymentQuery) -> bool:
    return (
        (query.customers is None or receipt.customer in query.customers)
        and (query.since is None or receipt.date >= query.since.date())
        and (query.until is None or receipt.date <= query.until.date())
    )
