"""The books of the fictional company in Europe, as an organisation in Xero: what is in them, and what is done to them.

Everything that is approved, paid, credited or voided is posted in a journal by double entry, from which reports are
made. The company's own facts are posted when a report is first asked for.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import count

from backoffice_billing.backends.xero.sandbox.posting import post_document, post_payment
from backoffice_billing.backends.xero.sandbox.records import (
    FIRST_NEW,
    Allocation,
    Contact,
    Document,
    Note,
    Payment,
    Status,
    make_id,
)
from backoffice_billing.backends.xero.sandbox.seeding import seeded_contacts, seeded_documents
from backoffice_shared.sandbox.books import RECEIVABLE, Journal
from backoffice_shared.sandbox.company import Company

Dated = tuple[date, str]
"""A document's or payment's place in the order of days."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Org:
    """By Xero's ids. No two changes have the same time, in the milliseconds that Xero tells. `now` is the time of
    the next.
    """

    def __init__(self, company: Company, now: Callable[[], datetime] = _utc_now) -> None:
        self.company = company
        self.contacts: dict[str, Contact] = {}
        self.contact_named: dict[str, str] = {}
        """By the name in small letters, of those that are not archived."""
        self.contacts_at: defaultdict[str, list[str]] = defaultdict(list)
        """By the e-mail address in small letters."""
        self.documents: dict[str, Document] = {}
        self.numbered: dict[str, str] = {}
        """Customers' invoices and credit notes by their numbers."""
        self.documents_of: defaultdict[str, list[str]] = defaultdict(list)
        """By contact."""
        self.dated: list[Dated] = []
        self.payments: dict[str, Payment] = {}
        self.payments_of: defaultdict[str, list[str]] = defaultdict(list)
        """By document."""
        self.paid_on: list[Dated] = []
        self.allocations: dict[str, Allocation] = {}
        self.allocations_of: defaultdict[str, list[str]] = defaultdict(list)
        """By invoice and by credit note."""
        self.history: defaultdict[str, list[Note]] = defaultdict(list)
        self.taken_back: dict[str, date] = {}
        """When what was voided or deleted was."""
        self._journal: Journal | None = None
        self._now = now
        self._last = datetime.min.replace(tzinfo=UTC)
        self._ids: dict[str, count[int]] = {}
        self._seed()

    def _seed(self) -> None:
        for contact in seeded_contacts(self.company):
            self._keep_contact(contact)
        for document, payments in seeded_documents(self.company):
            self._shelve_document(document)
            for payment in payments:
                self._shelve_payment(payment)
        self.dated = sorted((document.date, document.id) for document in self.documents.values())
        self.paid_on = sorted((payment.date, payment.id) for payment in self.payments.values())

    # ------------------------------------------------------------------------------------------------ what there is

    @property
    def today(self) -> date:
        return self._now().date()

    @property
    def now(self) -> datetime:
        return self._now()

    def settled(self, document: Document) -> int:
        """What was paid for it, or paid out."""
        paid = (self.payments[payment] for payment in self.payments_of.get(document.id, ()))
        return sum(payment.amount for payment in paid if not payment.deleted)

    def applied(self, document: Document) -> int:
        """What credit notes took off an invoice, or invoices off a credit note."""
        return sum(self.allocations[one].amount for one in self.allocations_of.get(document.id, ()))

    def due(self, document: Document) -> int:
        """Of an invoice what is to be paid, of a credit note what is left."""
        return document.total - self.settled(document) - self.applied(document)

    def paid_off(self, document: Document) -> date | None:
        """The day on which nothing was due any more."""
        if document.status != "PAID":
            return None
        days = [
            self.payments[one].date for one in self.payments_of.get(document.id, ()) if not self.payments[one].deleted
        ]
        days += [self.allocations[one].date for one in self.allocations_of.get(document.id, ())]
        return max(days, default=document.date)

    def live_payments(self, document: Document) -> list[Payment]:
        found = (self.payments[one] for one in self.payments_of.get(document.id, ()))
        return [payment for payment in found if not payment.deleted]

    def next_id(self, kind: str) -> str:
        return make_id(kind, self.number_of(kind))

    def number_of(self, kind: str) -> int:
        """Each once, above all that the company's facts use."""
        return next(self._ids.setdefault(kind, count(FIRST_NEW)))

    def next_number(self, prefix: str) -> str:
        """As Xero numbers by itself: INV-0001."""
        while (number := f"{prefix}-{next(self._ids.setdefault(prefix, count(1))):04}") in self.numbered:
            pass
        return number

    def stamp(self) -> datetime:
        now = self._now()
        now = now.replace(microsecond=now.microsecond // 1000 * 1000)
        self._last = max(now, self._last + timedelta(milliseconds=1))
        return self._last

    # ------------------------------------------------------------------------------------------------------- changes

    def save_contact(self, contact: Contact) -> Contact:
        contact = replace(contact, updated=self.stamp())
        self._forget_contact(contact.id)
        self._keep_contact(contact)
        return contact

    def save_document(self, document: Document, changes: str) -> Document:
        """As it is from now on. What this posts, or takes back, is in the journal."""
        before = self.documents.get(document.id)
        document = replace(document, updated=self.stamp())
        was_posted = before is not None and before.is_posted
        if before is not None and was_posted and not document.is_posted:
            self.taken_back[document.id] = self.today
        if self._journal is not None and before is not None and was_posted and not document.is_posted:
            post_document(self._journal, before, self.today, back=True)
        if self._journal is not None and document.is_posted and not was_posted:
            post_document(self._journal, document, document.date)
        if before is not None and (before.date, before.number) != (document.date, document.number):
            self._forget_document(before)
            before = None
        if before is None:
            self._keep_document(document)
        else:
            self._replace_document(document)
        self.history[document.id].append(Note(document.updated, changes, ""))
        return document

    def pay(self, payment: Payment) -> Payment:
        document = self.documents[payment.document]
        payment = replace(payment, updated=self.stamp())
        if self._journal is not None:
            post_payment(self._journal, payment, document, payment.date)
        self._keep_payment(payment)
        self._settle(document)
        return payment

    def delete_payment(self, payment: Payment) -> Payment:
        document = self.documents[payment.document]
        deleted = replace(payment, deleted=True, updated=self.stamp())
        if self._journal is not None:
            post_payment(self._journal, payment, document, self.today, back=True)
        self.taken_back[payment.id] = self.today
        self.payments[payment.id] = deleted
        self._settle(document)
        return deleted

    def allocate(self, allocation: Allocation) -> Allocation:
        """Nothing is posted: both sides of it are receivable."""
        self.allocations[allocation.id] = allocation
        for one in (allocation.invoice, allocation.credit):
            self.allocations_of[one].append(allocation.id)
            self._settle(self.documents[one])
        return allocation

    def note(self, document: Document, details: str) -> Note:
        note = Note(self.stamp(), "Note", details)
        self.history[document.id].append(note)
        return note

    def _settle(self, document: Document) -> None:
        """PAID is what has nothing due."""
        status: Status = "AUTHORISED" if self.due(document) else "PAID"
        self._replace_document(replace(document, status=status, updated=self.stamp()))

    # ------------------------------------------------------------------------------------------------------- indexes

    def _keep_contact(self, contact: Contact) -> None:
        self.contacts[contact.id] = contact
        if not contact.archived:
            self.contact_named[contact.name.casefold()] = contact.id
        if contact.email:
            self.contacts_at[contact.email.casefold()].append(contact.id)

    def _forget_contact(self, contact_id: str) -> None:
        if (before := self.contacts.get(contact_id)) is not None:
            self.contact_named.pop(before.name.casefold(), None)
            if before.email:
                self.contacts_at[before.email.casefold()].remove(contact_id)

    def _keep_document(self, document: Document) -> None:
        self._shelve_document(document)
        insort(self.dated, (document.date, document.id))

    def _shelve_document(self, document: Document) -> None:
        self.documents[document.id] = document
        self.documents_of[document.contact].append(document.id)
        if document.type != "ACCPAY":
            self.numbered[document.number] = document.id

    def _forget_document(self, document: Document) -> None:
        self.documents_of[document.contact].remove(document.id)
        self.numbered.pop(document.number, None)
        self.dated.remove((document.date, document.id))

    def _replace_document(self, document: Document) -> None:
        self.documents[document.id] = document

    def _keep_payment(self, payment: Payment) -> None:
        self._shelve_payment(payment)
        insort(self.paid_on, (payment.date, payment.id))

    def _shelve_payment(self, payment: Payment) -> None:
        self.payments[payment.id] = payment
        self.payments_of[payment.document].append(payment.id)

    @property
    def journal(self) -> Journal:
        """All that was posted. It is made of what is there when it is first wanted, and kept from then on."""
        if self._journal is None:
            self._journal = Journal()
            for document in self.documents.values():
                self._post(self._journal, document)
        return self._journal

    def _post(self, journal: Journal, document: Document) -> None:
        is_void = document.status == "VOIDED"
        if document.is_posted or is_void:
            post_document(journal, document, document.date)
        if is_void:
            post_document(journal, document, self.taken_back.get(document.id, document.date), back=True)
        for payment in (self.payments[one] for one in self.payments_of.get(document.id, ())):
            post_payment(journal, payment, document, payment.date)
            if payment.deleted:
                post_payment(journal, payment, document, self.taken_back[payment.id], back=True)


def balanced(org: Org) -> list[str]:
    """What is wrong with the books; nothing, at any moment. Every entry is in balance, and what the journal says is
    receivable is what is due on customers' invoices less what is left of their credit notes.
    """
    problems: list[str] = []
    for on, about, postings in org.journal.entries:
        sums: defaultdict[str, int] = defaultdict(int)
        for posting in postings:
            sums[posting.amount.currency] += posting.amount.amount
        if any(sums.values()):
            problems.append(f"{about} of {on} is not in balance")
    receivable = {
        currency: amount.amount
        for (account, currency), amount in org.journal.balances().items()
        if account == RECEIVABLE
    }
    owed = _owed(org, org.documents.values())
    problems += [
        f"{receivable.get(currency, 0)} {currency} are receivable, and {owed.get(currency, 0)} are due"
        for currency in receivable.keys() | owed.keys()
        if receivable.get(currency, 0) != owed.get(currency, 0)
    ]
    for document in org.documents.values():
        if document.is_posted and (org.due(document) < 0 or (document.status == "PAID") != (org.due(document) == 0)):
            problems.append(f"{document.number} is {document.status}, and {org.due(document)} are due on it")
    return problems


def _owed(org: Org, documents: Iterable[Document]) -> dict[str, int]:
    sums: defaultdict[str, int] = defaultdict(int)
    for document in documents:
        if document.is_posted and document.type != "ACCPAY":
            sums[document.currency] += -org.due(document) if document.is_credit else org.due(document)
    return sums
