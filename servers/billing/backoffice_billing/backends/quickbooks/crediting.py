"""Credits for invoices in QuickBooks.

A credit first takes off what is still due: by a credit memo, and a payment of nothing that joins the two
(https://hub.acctivate.com/articles/credit-applications-in-quickbooks-online). What is left of it stays open on the
memo (`credit_balance`), or is entered as a refund receipt, which takes back income and money at once: it says that the
rest is settled outside (`out_of_band`). QuickBooks moves no money.

A company may let QuickBooks apply credits by itself, to the oldest invoice: then that has happened by the time the
memo is made, and only what it left is applied here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from backoffice_billing.backends.quickbooks import bodies, marks, wire
from backoffice_billing.backends.quickbooks import translation as ours
from backoffice_billing.backends.quickbooks.access import REMEMBERS, TITLE
from backoffice_billing.backends.quickbooks.amounts import reference
from backoffice_billing.backends.quickbooks.bodies import CreditLine
from backoffice_billing.backends.quickbooks.query import Select, equals
from backoffice_billing.backends.quickbooks.reading import Reading
from backoffice_billing.backends.quickbooks.translation import DRAFT
from backoffice_billing.backends.quickbooks.wire import Entity, Receipt, Sale
from backoffice_billing.models import InvoiceLine
from backoffice_billing.ports import CreditDraft, CreditNote, Entry
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.http.client import Written
from backoffice_shared.http.once import once
from backoffice_shared.http.steps import then
from backoffice_shared.jsonvalues import obj
from backoffice_shared.money import Money, nothing, total


@dataclass(frozen=True, slots=True)
class Parts:
    """Of a credit: `memo` is what a credit memo is made for, `given` what a refund receipt is."""

    memo: Money
    given: Money


@dataclass(frozen=True, slots=True)
class _Standing:
    """An invoice of this moment, what was paid for it, and the credits that were made for it here."""

    invoice: Sale
    receipts: list[Receipt]
    made: list[Sale]

    def mine(self, entity: Entity, key: str) -> Sale | None:
        return next((sale for sale in self.made if sale.entity == entity and marks.bears(sale.note, key)), None)

    def is_joined(self, key: str) -> bool:
        return any(marks.bears(receipt.note, key) for receipt in self.receipts)

    @property
    def left(self) -> Money:
        """What may still be credited: not what these credits took off, nor any other credit memo."""
        ours_ = {sale.id for sale in self.made if sale.entity == "CreditMemo"}
        others = (part for memo, _, part in wire.settled(self.invoice, self.receipts).credits if memo not in ours_)
        currency = self.invoice.currency
        return self.invoice.total - total(others, currency) - total((sale.total for sale in self.made), currency)


@dataclass(frozen=True, slots=True)
class Crediting:
    reading: Reading

    async def preview_credit(self, native: str, credit: CreditDraft) -> CreditNote:
        standing = await self._standing(native)
        parts = self._checked(standing, credit)
        lines = _lines(standing.invoice, credit)
        off = min(parts.memo, standing.invoice.balance)
        return CreditNote(
            credit_note_id="",
            number=None,
            total=credit.amount,
            invoice_due=standing.invoice.balance - off,
            lines=tuple(InvoiceLine(description=line.text, amount=line.amount) for line in lines),
        )

    async def credit_invoice(self, native: str, version: str, credit: CreditDraft, *, key: str) -> Written[CreditNote]:
        """What is already there of an earlier attempt says how the credit was divided then."""
        standing = await self._standing(native)
        memo, given = standing.mine("CreditMemo", key), standing.mine("RefundReceipt", key)
        began = memo is not None or given is not None
        if not began and standing.invoice.sync != version:
            raise Conflict(
                TITLE, f"invoice {standing.invoice.number} has changed: nothing was done", hint="Read it again"
            )
        parts = self._checked(standing, credit) if not began else _divided(credit, memo)
        if parts.memo and memo is None:
            memo = await self._make("CreditMemo", standing.invoice, credit, parts.memo, key)
        done = "the credit memo was made" if memo is not None else ""
        if memo is not None and not standing.is_joined(key):
            await then(TITLE, done, self._join(standing.invoice, memo, key))
        if parts.given and given is None:
            given = await then(TITLE, done, self._make("RefundReceipt", standing.invoice, credit, parts.given, key))
        after = await then(TITLE, "the credit was made", self.reading.realm.sale("Invoice", native))
        return Written(_told(memo, given, after), replayed=began)

    async def refund(self, native: str, entry: Entry, account: str, key: str) -> Written[str]:
        """Enter that the payment provider gave money back: it happened, so that nothing is asked of the invoice."""
        standing = await self._standing(native)
        if (made := standing.mine("RefundReceipt", key)) is not None:
            return Written(made.id, replayed=True)
        if entry.amount.currency != standing.invoice.currency:
            raise InvalidInput(TITLE, f"the invoice is in {standing.invoice.currency}, not in {entry.amount.currency}")
        draft = CreditDraft(entry.amount, " ".join((entry.reason, entry.reference)).strip(), "out_of_band")
        note = marks.note(draft.reason, key, invoice=standing.invoice.id)
        written = await self._enter(
            "RefundReceipt", standing.invoice, draft, entry.amount, note, account, key, entry.at.date()
        )
        return Written(written.value.id, written.replayed)

    # ------------------------------------------------------------------------------------------------------- steps

    @property
    def _account(self) -> str:
        return self.reading.realm.option("deposit_account")

    def _checked(self, standing: _Standing, credit: CreditDraft) -> Parts:
        """How it is to be divided: nothing of it is made where a part of it could not be."""
        parts = _parts(standing, credit)
        if parts.given:
            _must_be_set(self._account)
        return parts

    async def _standing(self, native: str) -> _Standing:
        """
        Raises:
            Conflict: it is a draft, or void.
        """
        if native.startswith(DRAFT):
            raise Conflict(TITLE, "a draft is not owed, and cannot be credited: change it, or issue it first")
        invoice, receipts = await self.reading.as_is(native)
        if invoice.voided:
            raise Conflict(TITLE, f"invoice {invoice.number} is void")
        where = (equals("CustomerRef", invoice.customer),)
        made = await self.reading.realm.every_sale(Select("CreditMemo", where))
        made += await self.reading.realm.every_sale(Select("RefundReceipt", where))
        return _Standing(invoice, receipts, [sale for sale in made if marks.is_for(sale.note, invoice.id)])

    async def _make(self, entity: Entity, invoice: Sale, credit: CreditDraft, amount: Money, key: str) -> Sale:
        note = marks.note(credit.reason, key, invoice=invoice.id)
        account = self._account if entity == "RefundReceipt" else ""
        on = self.reading.day_written()
        return (await self._enter(entity, invoice, credit, amount, note, account, key, on)).value

    async def _enter(
        self,
        entity: Entity,
        invoice: Sale,
        credit: CreditDraft,
        amount: Money,
        note: str,
        account: str,
        key: str,
        on: date,
    ) -> Written[Sale]:
        whole = amount == credit.amount
        lines = _lines(invoice, credit) if whole else _share(invoice, credit.reason, amount)
        tax = amount - total((line.amount for line in lines), amount.currency)
        if entity == "RefundReceipt":
            _must_be_set(account)
        facts = await self.reading.realm.facts()
        body = bodies.credit(invoice, lines, tax, note, on=on, facts=facts, account=account)

        async def write() -> Written[Sale]:
            return await self.reading.realm.write(
                entity, body, f"{key}-{'memo' if entity == 'CreditMemo' else 'refund'}"
            )

        async def look(_since: datetime) -> Sale | None:
            return (await self._standing(invoice.id)).mine(entity, key)

        return await once(TITLE, write, look, remembers=REMEMBERS)

    async def _join(self, invoice: Sale, memo: Sale, key: str) -> None:
        now = await self.reading.realm.sale("Invoice", invoice.id)
        amount = min(memo.balance, now.balance)
        if not amount:
            return
        facts = await self.reading.realm.facts()
        body = bodies.applied(memo, now, amount, marks.note("", key), on=self.reading.day_written(), facts=facts)

        async def write() -> Written[Receipt]:
            return await self.reading.realm.write_receipt(body, f"{key}-join")

        async def look(_since: datetime) -> Receipt | None:
            _, receipts = await self.reading.as_is(invoice.id)
            return next((receipt for receipt in receipts if marks.bears(receipt.note, key)), None)

        await once(TITLE, write, look, remembers=REMEMBERS)


def _must_be_set(account: str) -> None:
    """
    Raises:
        InvalidInput: it is not.
    """
    if not account:
        raise InvalidInput(
            TITLE,
            "it does not know which account money is given back from",
            hint="Ask your operator to set BACKOFFICE_QUICKBOOKS_DEPOSIT_ACCOUNT",
        )


def _parts(standing: _Standing, credit: CreditDraft) -> Parts:
    """
    Raises:
        InvalidInput: it is nothing, or in another currency.
        Conflict: so much is not left.
    """
    invoice = standing.invoice
    if credit.amount.currency != invoice.currency:
        raise InvalidInput(TITLE, f"the invoice is in {invoice.currency}, not in {credit.amount.currency}")
    if credit.amount.amount <= 0:
        raise InvalidInput(TITLE, "a credit is for more than nothing")
    if credit.amount > standing.left:
        raise Conflict(TITLE, f"only {standing.left} of invoice {invoice.number} can still be credited")
    if credit.disposition == "credit_balance":
        return Parts(credit.amount, nothing(invoice.currency))
    off = min(credit.amount, invoice.balance)
    return Parts(off, credit.amount - off)


def _divided(credit: CreditDraft, memo: Sale | None) -> Parts:
    """As it was divided when it was begun."""
    took = nothing(credit.amount.currency) if memo is None else memo.total
    rest = credit.amount - took
    return Parts(took, nothing(rest.currency) if credit.disposition == "credit_balance" else rest)


def _lines(invoice: Sale, credit: CreditDraft) -> list[CreditLine]:
    """The lines that are taken back; or one for all, without its share of the tax.

    Raises:
        InvalidInput: the invoice has no such line, or not so many; or they come to more than the amount.
    """
    if not credit.lines:
        return _share(invoice, credit.reason, credit.amount)
    known = {line.id: line for line in invoice.lines if line.id is not None}
    lines: list[CreditLine] = []
    for native, quantity in credit.lines:
        line = known.get(native)
        if line is None:
            raise InvalidInput(TITLE, f"the invoice has no line {native!r}", hint=f"Lines: {', '.join(known)}")
        has = int(line.quantity) if line.quantity.isdecimal() else 0
        if not 0 < quantity <= has:
            raise InvalidInput(TITLE, f"line {native} is of {line.quantity}, not of {quantity}")
        part = line.amount if quantity == has else line.amount.share(quantity, has)
        lines.append(CreditLine(line.text, part, quantity, _item(line), line.tax_code))
    tax = credit.amount - total((line.amount for line in lines), invoice.currency)
    if not 0 <= tax.amount <= invoice.tax.amount:
        raise InvalidInput(TITLE, f"{credit.amount} is not what these lines come to with their tax")
    return lines


def _share(invoice: Sale, reason: str, amount: Money) -> list[CreditLine]:
    tax = nothing(amount.currency) if not invoice.total else invoice.tax.share(amount.amount, invoice.total.amount)
    taxed = next((line for line in invoice.lines if line.taxed), None) if tax else None
    like = taxed or next(iter(invoice.lines), None)
    named = f"Credit for invoice {invoice.number or invoice.id}: {reason}"
    return [
        CreditLine(
            named,
            amount - tax,
            None,
            None if like is None else _item(like),
            None if like is None else like.tax_code,
        )
    ]


def _item(line: wire.Line) -> str | None:
    return reference(obj(line.wire.get("SalesItemLineDetail")).get("ItemRef"))


def _told(memo: Sale | None, given: Sale | None, after: Sale) -> CreditNote:
    """Where only money was given back, the refund receipt is the credit note, too."""
    made: Sequence[Sale] = [sale for sale in (memo, given) if sale is not None]
    first = made[0]
    native = first.id if first.entity == "CreditMemo" else f"refund-{first.id}"
    return CreditNote(
        credit_note_id=f"quickbooks:credit_note:{native}",
        number=first.number,
        total=total((sale.total for sale in made), after.currency),
        invoice_due=after.balance,
        lines=tuple(ours.line(line) for sale in made for line in sale.lines),
    )
