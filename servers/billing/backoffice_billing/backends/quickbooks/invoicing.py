"""Invoices in QuickBooks: drafted, issued, voided.

QuickBooks knows no draft of an invoice: what it has is owed. So a draft is an estimate, which is in nobody's books,
and issuing it makes the invoice that it is linked to. `LinkedTxn` with the estimate's id is how QuickBooks' own users
turn one into the other: https://github.com/intuit/quickbooks-online-mcp-server/issues/54
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from backoffice_billing.backends.quickbooks import bodies, marks, wire
from backoffice_billing.backends.quickbooks import translation as ours
from backoffice_billing.backends.quickbooks.access import REMEMBERS, TITLE
from backoffice_billing.backends.quickbooks.query import Select, among, compare, equals
from backoffice_billing.backends.quickbooks.reading import Reading
from backoffice_billing.backends.quickbooks.translation import DRAFT
from backoffice_billing.backends.quickbooks.wire import Buyer, Facts, Item, Sale, Settled
from backoffice_billing.models import Invoice, InvoiceLine, InvoiceSection
from backoffice_billing.ports import InvoiceDraft, Issued
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, may_pass
from backoffice_shared.http.client import Written
from backoffice_shared.http.once import SKEW, once
from backoffice_shared.http.steps import or_why, then
from backoffice_shared.money import Money, nothing, total

_LINES: frozenset[InvoiceSection] = frozenset({"lines"})
_NOTHING_PAID = Settled((), ())

_CLAIM_HOLDS = timedelta(minutes=5)
"""So long a call that began to issue a draft is left alone. It makes no invoice any more after a minute of that."""
_CLAIM_GOOD = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Drafting:
    reading: Reading
    now: Callable[[], datetime]

    # ------------------------------------------------------------------------------------------------------- drafts

    async def preview_invoice(self, draft: InvoiceDraft) -> Invoice:
        buyer, facts, prices = await self._checked(draft)
        currency = draft.currency
        lines = [
            InvoiceLine(
                description=line.description,
                quantity=str(line.quantity),
                unit_amount=(price := bodies.unit(line, currency, prices)),
                amount=price.times(line.quantity),
            )
            for line in draft.lines
        ]
        subtotal = total((line.amount for line in lines), currency)
        tax = await self._tax(draft, facts, lines)
        return Invoice(
            invoice_id="",
            customer_id=ours.customer_id(buyer.id),
            customer=buyer.name,
            status="draft",
            subtotal=subtotal,
            tax=tax,
            total=subtotal + tax,
            due=nothing(currency),
            paid=nothing(currency),
            credited=nothing(currency),
            issued_at=draft.date,
            memo=draft.memo,
            po_number=draft.po_number,
            lines=lines,
        )

    async def create_invoice(self, draft: InvoiceDraft, key: str) -> Written[Invoice]:
        buyer, facts, prices = await self._checked(draft)

        async def look(since: datetime) -> Sale | None:
            return await self._made("Estimate", buyer.id, key, since)

        if (since := uncertain_since()) is not None:
            if (made := await look(since - SKEW)) is not None:
                return Written(self._told(made), replayed=True)
            draft = replace(draft, date=min(draft.date, since.date()))
        body = bodies.estimate(draft, buyer, facts, prices, self.reading.realm.option("sales_item"), key)

        async def write() -> Written[Sale]:
            return await self.reading.realm.write("Estimate", body, key)

        written = await once(TITLE, write, look, remembers=REMEMBERS)
        return Written(self._told(written.value), written.replayed)

    async def _checked(self, draft: InvoiceDraft) -> tuple[Buyer, Facts, dict[str, Item]]:
        """
        Raises:
            NotFound: there is no such customer or item.
            InvalidInput: QuickBooks bills that customer in another currency.
        """
        facts, buyer = await self.reading.realm.facts(), await self.reading.buyer(draft.customer)
        if draft.currency != buyer.currency:
            raise InvalidInput(TITLE, f"it bills that customer in {buyer.currency} only, not in {draft.currency}")
        wanted = sorted({line.price_id for line in draft.lines if line.price_id is not None})
        known = {item.id: item for item in await self.reading.realm.items(wanted)} if wanted else {}
        if missing := [price for price in wanted if price not in known]:
            raise NotFound(TITLE, f"there is no item {', '.join(missing)}")
        return buyer, facts, known

    async def _tax(self, draft: InvoiceDraft, facts: Facts, lines: list[InvoiceLine]) -> Money:
        """As QuickBooks adds it up: of each code, on all of its lines together.

        Raises:
            InvalidInput: there is no such code.
        """
        codes, realm = bodies.codes(draft, facts), self.reading.realm
        if not codes:
            return nothing(draft.currency)
        rates_of = dict(await realm.listed(Select("TaxCode", (among("Id", codes),)), wire.rates_of))
        if missing := [code for code in codes if code not in rates_of]:
            raise InvalidInput(TITLE, f"tax_code: there is no {', '.join(missing)}")
        named = sorted({rate for code in codes for rate in rates_of[code]})
        rates = dict(await realm.listed(Select("TaxRate", (among("Id", named),)), wire.rate)) if named else {}
        tax = nothing(draft.currency)
        for code in codes:
            taxed = (
                line.amount
                for line, drafted in zip(lines, draft.lines, strict=True)
                if drafted.tax_code not in (None, "NON") and bodies.tax_code(drafted, facts) == code
            )
            tax += _percent(total(taxed, draft.currency), sum((rates[rate] for rate in rates_of[code]), Decimal(0)))
        return tax

    async def _made(self, entity: wire.Entity, customer: str, key: str, since: datetime) -> Sale | None:
        """What a call with this key made for the customer since then."""
        where = (equals("CustomerRef", customer), compare("MetaData.CreateTime", ">=", since))
        sales = await self.reading.realm.every_sale(Select(entity, where))
        return next((sale for sale in sales if marks.bears(sale.note, key)), None)

    def _told(self, sale: Sale) -> Invoice:
        """What was just made, or is as good as new."""
        return ours.invoice(sale, _NOTHING_PAID, self.reading.today(), _LINES)

    # ------------------------------------------------------------------------------------------------------- issuing

    async def issue_invoice(self, native: str, version: str, *, send: bool, key: str) -> Written[Issued]:
        """Two calls cannot both make an invoice of a draft: each first writes its key into the draft, on the condition
        that nobody has changed it since."""
        if not native.startswith(DRAFT):
            raise Conflict(TITLE, f"{native} is no draft: it was issued already")
        draft = await self.reading.realm.sale("Estimate", native.removeprefix(DRAFT))
        invoice, replayed = await self._issued_from(draft, key), True
        if invoice is None:
            if send and draft.email is None:
                raise Conflict(
                    TITLE,
                    "the draft has no e-mail address to send the invoice to: nothing was done",
                    hint="Issue it without sending, or add the address in QuickBooks",
                )
            claimed = await self._claimed(draft, version, key)
            written = await then(TITLE, "the draft was marked as being issued", self._issue(claimed, key))
            invoice, replayed = written.value, written.replayed
        whole = await then(TITLE, "the invoice was issued", self.reading.invoice(invoice.id))
        if not send:
            return Written(Issued(whole), replayed)
        return Written(await self._sent(whole, invoice, key), replayed)

    async def _issued_from(self, draft: Sale, key: str) -> Sale | None:
        """
        Raises:
            Conflict: somebody else has made an invoice of it, or it is a draft no more.
        """
        for native in draft.linked("Invoice"):
            invoice = await self.reading.realm.sale("Invoice", native)
            if marks.bears(invoice.note, key):
                return invoice
            raise Conflict(TITLE, f"the draft was issued already, as quickbooks:invoice:{native}")
        if not ours.is_draft(draft):
            raise Conflict(TITLE, f"{DRAFT}{draft.id} is {draft.status}, and no draft any more")
        return None

    async def _claimed(self, draft: Sale, version: str, key: str) -> Sale:
        """
        Raises:
            Conflict: the draft has changed, or another call is about to issue it.
        """
        claimant, age = marks.claimant(draft.note), self.now() - draft.updated
        if claimant == key and age < _CLAIM_GOOD:
            return draft
        if claimant not in (None, key) and age < _CLAIM_HOLDS:
            wait = (_CLAIM_HOLDS - age).total_seconds()
            raise Conflict(TITLE, "another call has begun to issue this draft: nothing was done", retry_after=wait)
        if claimant != key and draft.sync != version:
            raise Conflict(TITLE, "the draft has changed: nothing was done", hint="Read it again")
        body = {
            "Id": draft.id,
            "SyncToken": draft.sync,
            "sparse": True,
            "PrivateNote": marks.claimed(draft.note, key),
        }
        return (await self.reading.realm.write("Estimate", body, f"{key}-{draft.sync[:4]}c")).value

    async def _issue(self, draft: Sale, key: str) -> Written[Sale]:
        facts, day = await self.reading.realm.facts(), self.reading.day_written()
        days = ours.due_days(draft)
        due = None if days is None else day + timedelta(days=days)
        body = bodies.issued(draft, key, on=day, due=due, facts=facts)

        async def write() -> Written[Sale]:
            return await self.reading.realm.write("Invoice", body, f"{key}-invoice")

        async def look(since: datetime) -> Sale | None:
            return await self._made("Invoice", draft.customer, key, since)

        return await once(TITLE, write, look, remembers=REMEMBERS)

    async def _sent(self, whole: Invoice, invoice: Sale, key: str) -> Issued:
        """The invoice exists by now: that it could not be e-mailed does not make it undone."""

        async def write() -> Written[Sale]:
            return await self.reading.realm.write("Invoice", None, f"{key}-send", to=(invoice.id, "send"))

        async def look(_since: datetime) -> Sale | None:
            sale = await self.reading.realm.sale("Invoice", invoice.id)
            return sale if sale.emailed else None

        async def send() -> Sale:
            sent = await look(self.now())
            return sent if sent is not None else (await once(TITLE, write, look, remembers=REMEMBERS)).value

        sent = await or_why(send())
        if isinstance(sent, BackofficeError):
            return Issued(
                whole, not_sent=f"it was issued, and may not have been e-mailed: {sent.message}", again=may_pass(sent)
            )
        return Issued(whole, sent_to=sent.email or invoice.email)

    # ------------------------------------------------------------------------------------------------------- voiding

    async def void_invoice(self, native: str, version: str, reason: str, *, key: str) -> Written[Invoice]:
        """The reason goes into the private note first, to which QuickBooks then prepends "Voided".
        https://blogs.intuit.com/2016/04/06/voiding-invoice-objects"""
        sale = await self._voidable(native, key)
        if sale.voided:
            return Written(self._told(sale), replayed=True)
        if not marks.bears(sale.note, key):
            if sale.sync != version:
                raise Conflict(TITLE, f"invoice {sale.number} has changed: nothing was done", hint="Read it again")
            note = marks.added(sale.note, reason, key)
            body = {"Id": sale.id, "SyncToken": sale.sync, "sparse": True, "PrivateNote": note}
            sale = (await self.reading.realm.write("Invoice", body, f"{key}-note")).value
        noted, done = sale, "the reason was noted on the invoice"

        async def write() -> Written[Sale]:
            body = {"Id": noted.id, "SyncToken": noted.sync}
            return await self.reading.realm.write("Invoice", body, f"{key}-void", operation="void")

        async def look(_since: datetime) -> Sale | None:
            now = await self.reading.realm.sale("Invoice", noted.id)
            return now if now.voided else None

        written = await then(TITLE, done, once(TITLE, write, look, remembers=REMEMBERS))
        return Written(self._told(written.value), written.replayed)

    async def _voidable(self, native: str, key: str) -> Sale:
        """
        Raises:
            Conflict: it is a draft, or void, unless an attempt of this call may have voided it; or something was paid
                or credited, which QuickBooks would silently take off it.
        """
        if native.startswith(DRAFT):
            raise Conflict(TITLE, "a draft is not owed, and cannot be voided")
        sale = await self.reading.realm.sale("Invoice", native)
        if sale.voided:
            if marks.bears(sale.note, key) or uncertain_since() is not None:
                return sale
            raise Conflict(TITLE, f"invoice {sale.number} is void already")
        if sale.linked("Payment") or sale.balance != sale.total:
            raise Conflict(
                TITLE, f"something was paid or credited on invoice {sale.number}", hint="Credit the rest of it instead"
            )
        if not sale.balance:
            raise Conflict(TITLE, f"nothing is owed on invoice {sale.number}")
        return sale


def _percent(amount: Money, percent: Decimal) -> Money:
    """`percent` of it, rounded half away from zero."""
    numerator, denominator = percent.as_integer_ratio()
    return amount.share(numerator, denominator * 100)


def system_now() -> datetime:
    return datetime.now(UTC)
