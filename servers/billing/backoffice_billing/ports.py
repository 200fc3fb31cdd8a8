"""What this server asks of its backends. A vendor implements the ones that it can answer.

Ids inside a port are the vendor's own (`native`); those in models say where a thing lives (`stripe:invoice:in_1`).
A `key` is what makes a write happen once: 40 hexadecimal digits, the same for every attempt at the same thing, and of
no other caller. A write of several requests gives each a key made of it (`f"{key}-send"`), and can be resumed: called
again with the same key, it does what is not done yet. What was done before is looked for (`http/once.py`) where the
vendor knows no keys, or has forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from backoffice_billing.models import (
    Account,
    AccountSection,
    Disposition,
    Grouping,
    Invoice,
    InvoiceLine,
    InvoiceRow,
    InvoiceSection,
    InvoiceStatus,
    Method,
    PaidOrder,
    Payment,
    PaymentRow,
    PaymentSection,
    PaymentStatus,
    Refund,
    RefundReason,
    ReportName,
    Table,
)
from backoffice_shared.http.client import Written
from backoffice_shared.money import Money
from backoffice_shared.paging import Chunk

# ------------------------------------------------------------------------------------------------------- accounts


class Accounts(Protocol):
    """Whom one system bills. `account_kind` is the kind of its ids: "customer" or "contact"."""

    account_kind: str

    async def accounts(self, natives: Sequence[str], sections: frozenset[AccountSection]) -> list[Account]:
        """Those of these that exist, in any order, with these sections. At most 20."""
        ...

    async def accounts_by_email(self, email: str, sections: frozenset[AccountSection]) -> list[Account]:
        """Everybody with this address, whatever the case of its letters, as far as the vendor can tell. At most 20."""
        ...


# ------------------------------------------------------------------------------------------------------- invoices


class Invoices(Protocol):
    """Invoices, to read. Bills of suppliers are not among them."""

    async def search_invoices(self, query: InvoiceQuery, cursor: str | None, limit: int) -> Chunk[InvoiceRow]:
        """Those that meet the whole query, latest date first; a payment provider may go by when they were made. What the
        vendor cannot be asked, the adapter sorts out."""
        ...

    async def invoices(self, natives: Sequence[str], sections: frozenset[InvoiceSection]) -> list[Invoice]:
        """Those of these that exist, in any order; "accounting" is not the adapter's business. At most 20."""
        ...

    async def invoice(self, native: str) -> Invoice:
        """As it is at this moment, with lines: never from a cache.

        Raises:
            NotFound: there is none.
        """
        ...


class Invoicing(Protocol):
    """Makes, issues, voids and credits invoices. `version` is that of the invoice which a human or a model has seen; whether it
    is still the same, the caller has looked just before, and a vendor that checks versions is given it.

    Every method raises Conflict where the invoice's state forbids it, with the vendor's reason.
    """

    async def preview_invoice(self, draft: InvoiceDraft) -> Invoice:
        """What `create_invoice` would make, with its totals and tax. Nothing is made, and `invoice_id` is empty."""
        ...

    async def create_invoice(self, draft: InvoiceDraft, key: str) -> Written[Invoice]:
        """A draft, once for each `key`.

        Raises:
            NotFound: there is no such customer or price.
            InvalidInput: the vendor cannot do that: it says what and why.
        """
        ...

    async def issue_invoice(self, native: str, version: str, *, send: bool, key: str) -> Written[Issued]:
        """Give the draft its number, so that it is owed; and e-mail it to the customer."""
        ...

    async def void_invoice(self, native: str, version: str, reason: str, *, key: str) -> Written[Invoice]:
        """Only an open invoice without payments. `reason` is kept where people see it."""
        ...

    async def preview_credit(self, native: str, credit: CreditDraft) -> CreditNote:
        """What `credit_invoice` would make; nothing is made, and its id is empty."""
        ...

    async def credit_invoice(self, native: str, version: str, credit: CreditDraft, *, key: str) -> Written[CreditNote]:
        """Issue a credit note for it, once for each `key`, and allocate it as `disposition` says."""
        ...


# ------------------------------------------------------------------------------------------------------- payments


class Payments(Protocol):
    """Payments, to read."""

    async def search_payments(self, query: PaymentQuery, cursor: str | None, limit: int) -> Chunk[PaymentRow]:
        """Those that meet the whole query, latest first; also attempts that failed."""
        ...

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        """As it is at this moment, never from a cache; "ledger" is not the adapter's business.

        Raises:
            NotFound: there is none.
        """
        ...


class Collecting(Protocol):
    """Charges saved methods."""

    async def methods(self, customer: str) -> list[Method]:
        """The customer's, the default one first."""
        ...

    async def collect(self, collection: Collection, key: str) -> Written[Charged]:
        """Charge, once for each `key`.

        Raises:
            Conflict: it was declined, or the customer has to confirm it; `code` is in the sentence.
        """
        ...


class Refunding(Protocol):
    """Gives money back that it took."""

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        """As `Payments.payment`."""
        ...

    async def refund(self, draft: RefundDraft, key: str) -> Written[Refund]:
        """Give money back, once for each `key`.

        Raises:
            Conflict: more than is left, disputed, or otherwise not allowed, with the vendor's reason.
        """
        ...

    async def refund_made(self, payment: str, key: str) -> Refund | None:
        """The refund of this payment that was made with this key, looked for where it is seen at once.

        Never from a cache; None when there is none.
        """
        ...


class Refunds(Protocol):
    """What a payment provider knows of refunds and invoices that a policy must know."""

    async def refunds_of(self, customer: str, since: datetime) -> list[Refund]:
        """The refunds that this customer was given since then."""
        ...

    async def payments_for_invoice(self, native: str) -> list[PaymentRow]:
        """What was paid for it, latest first."""
        ...

    async def payments_for_order(self, number: str) -> list[PaymentRow]:
        """What was paid for this order of the shop: "#1042"."""
        ...


class Shop(Protocol):
    """The shop, as far as it has to do with money."""

    async def order(self, number: str) -> PaidOrder:
        """By its number as people write it: "1042", "#1042"; never by its id. Never from a cache.

        Raises:
            NotFound: there is none.
            InvalidInput: several are called so.
        """
        ...

    async def order_by_id(self, native: str) -> PaidOrder:
        """By its own id, which is never taken for a number. Never from a cache.

        Raises:
            NotFound: there is none.
        """
        ...

    async def suggested(self, order: str, lines: Sequence[ReturnedLine]) -> Money:
        """What giving back these lines of the order, a native id, comes to, with their tax and discounts.

        Raises:
            NotFound: there is no such order.
            InvalidInput: the order has no such line, or not so many left.
        """
        ...

    async def refunds_of(self, email: str, since: datetime) -> list[Refund]:
        """The refunds that whoever ordered with this address was given since then, of money that the shop took; never from
        a cache.

        Raises:
            TooLarge: they are more than can be read here.
        """
        ...


# --------------------------------------------------------------------------------------------------------- ledger


class Ledger(Protocol):
    """Keeps the books. `posts`: it is to be told what this server does elsewhere (`BACKOFFICE_<VENDOR>_POSTS`)."""

    posts: bool

    async def post_invoice(self, invoice: Invoice, customer: Account, key: str) -> Written[str]:
        """Enter an issued invoice of the payment provider under the same number. Gives the native id of the entry."""
        ...

    async def post_payment(self, native: str, entry: Entry, key: str) -> Written[str]:
        """Enter that the invoice was paid, into the clearing account."""
        ...

    async def post_refund(self, native: str, entry: Entry, key: str) -> Written[str]:
        """Enter that money was given back for the invoice: a credit note, and its payment out of the clearing account."""
        ...


class Reporting(Protocol):
    reports: frozenset[ReportName]

    async def report(self, query: ReportQuery) -> Table:
        """
        Raises:
            InvalidInput: it cannot be grouped so.
        """
        ...


# ------------------------------------------------------------------------------------------------- what they are given


@dataclass(frozen=True, slots=True)
class InvoiceQuery:
    """`customers` are native ids; None means anybody. Dates are those that invoices bear, both ends included; `due_before` is
    not. `min_amount` is in minor units of `currency`, which is then given. `today` tells what is overdue."""

    today: date
    customers: tuple[str, ...] | None = None
    number: str | None = None
    statuses: tuple[InvoiceStatus, ...] = ()
    issued_since: date | None = None
    issued_until: date | None = None
    due_before: date | None = None
    min_amount: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class DraftLine:
    """Either `unit_amount` or `price_id`, a price of the vendor's. `tax_code` is the vendor's own: a tax rate of Stripe's,
    a TaxType of Xero's, a tax code of QuickBooks'."""

    description: str
    quantity: int
    unit_amount: Money | None = None
    price_id: str | None = None
    tax_code: str | None = None


@dataclass(frozen=True, slots=True)
class InvoiceDraft:
    """`customer` is a native id. `date` is the day it is made; it is due `due_days` after it is issued."""

    customer: str
    currency: str
    lines: tuple[DraftLine, ...]
    date: date
    due_days: int = 30
    memo: str | None = None
    po_number: str | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """`sent_to` is whom it was e-mailed to. `not_sent` says why it was not, or may not have been, although that was wanted;
    `again`: the same call again may do it."""

    invoice: Invoice
    sent_to: str | None = None
    not_sent: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class CreditDraft:
    """`amount` includes tax. `lines`, when given, are (line_id, quantity) of the invoice, and add up to it."""

    amount: Money
    reason: str
    disposition: Disposition
    lines: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CreditNote:
    """`invoice_due` is what is due on the invoice after it. `refund_id` names the refund it gave, when it did."""

    credit_note_id: str
    number: str | None
    total: Money
    invoice_due: Money
    lines: tuple[InvoiceLine, ...] = ()
    refund_id: str | None = None


@dataclass(frozen=True, slots=True)
class PaymentQuery:
    """As `InvoiceQuery`. `invoice` is a native id."""

    customers: tuple[str, ...] | None = None
    invoice: str | None = None
    statuses: tuple[PaymentStatus, ...] = ()
    since: datetime | None = None
    until: datetime | None = None
    min_amount: int | None = None
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Collection:
    """`method` is a native id. `whole`: all that is due; else it is paid in part."""

    invoice: str
    customer: str
    method: str
    amount: Money
    whole: bool


@dataclass(frozen=True, slots=True)
class Charged:
    """`payment` is a model's id. `invoice_due` is what is due afterwards."""

    payment: str
    status: Literal["succeeded", "pending"]
    invoice_due: Money


@dataclass(frozen=True, slots=True)
class ReturnedLine:
    """`line` is an id of a line, or a SKU."""

    line: str
    quantity: int


@dataclass(frozen=True, slots=True)
class RefundDraft:
    """`payment` is a native id. `lines` are what is given back, where the payment was for an order of the shop."""

    payment: str
    amount: Money
    reason: RefundReason
    lines: tuple[ReturnedLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened elsewhere, for the books. `reference` is the id it has there."""

    amount: Money
    at: datetime
    reference: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """`since` is None for a report of one day. At most `max_rows` rows are wanted; the table says how many more there are."""

    name: ReportName
    until: date
    since: date | None = None
    currency: str | None = None
    group_by: Grouping = "none"
    max_rows: int = 25
