"""Invoices, wherever they are kept: found, made, issued, voided. What cannot be undone is shown first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial

from backoffice_billing.bookkeeping import Bookkeeping
from backoffice_billing.directory import Directory
from backoffice_billing.models import (
    Accounting,
    CreatedInvoice,
    Invoice,
    InvoiceList,
    InvoicePreview,
    InvoiceRow,
    InvoiceSection,
    IssuedInvoice,
    VoidedInvoice,
)
from backoffice_billing.models import Invoices as InvoicesFound
from backoffice_billing.ports import DraftLine, InvoiceDraft, InvoiceQuery, Invoices, Invoicing
from backoffice_shared.attempt import uncertain_since, vendor_key
from backoffice_shared.envelope import Page
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.money import by_currency
from backoffice_shared.paging import Cursors, merge
from backoffice_shared.plans import Plans
from backoffice_shared.refs import Ref, parse_ref
from backoffice_shared.sources import Source, fan_out, together

_ISSUE, _VOID = "issue an invoice", "void an invoice"
NOTHING_YET = "nothing was done yet. Show this to whoever decides, then call again with plan_token to do it"
TO_THE_BOOKS = "the ledger could not be told: call again with the same arguments and idempotency_key to try again"


def today() -> date:
    return datetime.now(UTC).date()


@dataclass(frozen=True, slots=True)
class Billing:
    """`writing` are the systems that make invoices."""

    reading: Mapping[str, Invoices]
    writing: Mapping[str, Invoicing]
    directory: Directory
    books: Bookkeeping
    cursors: Cursors
    plans: Plans

    # --------------------------------------------------------------------------------------------------- reading

    async def search(
        self, query: InvoiceQuery, *, customer_id: str | None, limit: int, cursor: str | None
    ) -> InvoiceList:
        """Invoices that meet the whole query, latest first."""
        who: list[Source] = []
        queries = dict.fromkeys(self.reading, query)
        question: list[object] = ["invoices", replace(query, today=date.min)]
        if customer_id is not None:
            found = await self.directory.find(customer_id)
            found.must_be_whole(cursor)
            who, question = found.sources, [*question, found.known_as]
            queries = {name: replace(query, customers=natives) for name in self.reading if (natives := found.of(name))}
            if not queries:
                return InvoiceList(items=[], sources=who, notes=["no system that keeps invoices knows this customer"])
        rows = await merge(
            {name: partial(self.reading[name].search_invoices, query) for name, query in queries.items()},
            order=lambda row: row.issued_at,
            limit=limit,
            cursor=cursor,
            cursors=self.cursors,
            question=question,
        )
        listed = InvoiceList(
            items=rows.items,
            page=rows.page,
            sources=together(rows.sources, who),
            notes=rows.notes,
            totals=by_currency(row.total for row in rows.items),
        )
        return listed if rows.resume is None else listed.resumed_by(rows.resume)

    async def get(self, invoice_ids: Sequence[str], include: frozenset[InvoiceSection]) -> InvoicesFound:
        wanted: dict[str, list[str]] = {}
        for invoice_id in dict.fromkeys(invoice_ids):
            ref = self.ref(invoice_id)
            wanted.setdefault(ref.backend, []).append(ref.native)
        sections = include - {"accounting"}
        answers = (
            await fan_out(
                {name: partial(self.reading[name].invoices, natives, sections) for name, natives in wanted.items()}
            )
        ).or_raise()
        known = {invoice.invoice_id: invoice for found in answers.values.values() for invoice in found}
        items = [known[invoice_id] for invoice_id in dict.fromkeys(invoice_ids) if invoice_id in known]
        sources = answers.sources
        if "accounting" in include:
            items, elsewhere = await self._with_accounting(items)
            sources = together(sources, elsewhere)
        unasked = tuple(f"{name}:" for name in wanted if name not in answers.values)
        missing = [i for i in invoice_ids if i not in known and not i.startswith(unasked)]
        return InvoicesFound(items=items, page=Page(), sources=sources, not_found=missing)

    def ref(self, invoice_id: str) -> Ref:
        return parse_ref(invoice_id, dict.fromkeys(self.reading, "invoice"))

    async def _with_accounting(self, invoices: Sequence[Invoice]) -> tuple[list[Invoice], list[Source]]:
        """The same invoices in the other systems, by their numbers."""
        numbers = {invoice.number for invoice in invoices if invoice.number is not None}

        async def by_number(name: str) -> dict[str, InvoiceRow]:
            found: dict[str, InvoiceRow] = {}
            for number in sorted(numbers):
                query = InvoiceQuery(today=today(), number=number)
                for row in (await self.reading[name].search_invoices(query, None, 5)).items:
                    if row.number == number:
                        found[number] = row
            return found

        answers = await fan_out({name: partial(by_number, name) for name in self.reading})
        seen = [
            invoice.model_copy(
                update={
                    "accounting": [
                        _compared(invoice, row)
                        for name, rows in answers.values.items()
                        if invoice.number is not None
                        and (row := rows.get(invoice.number)) is not None
                        and not invoice.invoice_id.startswith(f"{name}:")
                    ]
                }
            )
            for invoice in invoices
        ]
        return seen, answers.sources

    # --------------------------------------------------------------------------------------------------- making

    async def create(
        self,
        customer_id: str,
        currency: str,
        lines: Sequence[DraftLine],
        *,
        due_days: int,
        memo: str | None,
        po_number: str | None,
        key: str,
        dry_run: bool,
    ) -> CreatedInvoice:
        """A draft in the system that the customer's id names.

        Raises:
            InvalidInput: the customer is not given by such an id, or that system cannot make such an invoice.
        """
        who = parse_ref(customer_id, {name: self.directory.systems[name].account_kind for name in self.writing})
        draft = InvoiceDraft(who.native, currency, tuple(lines), today(), due_days, memo, po_number)
        system = self.writing[who.backend]
        if dry_run:
            return _created(await system.preview_invoice(draft), key, replayed=False, made=False)
        written = await system.create_invoice(draft, vendor_key("create_invoice", key))
        return _created(written.value, key, replayed=written.replayed, made=True)

    async def issue(self, invoice_id: str, *, send: bool, key: str, plan_token: str | None) -> IssuedInvoice:
        """Give a draft its number.

        Raises:
            Conflict: it is no draft, or has changed since the preview.
        """
        ref, system = self.writable(invoice_id)
        request = [invoice_id, send, key]
        if plan_token is None:
            invoice = await self.reading[ref.backend].invoice(ref.native)
            if invoice.status != "draft":
                raise Conflict("", f"{invoice_id} is {invoice.status}: only a draft is issued")
            sends_to = await self._address(invoice) if send else None
            effects = ["it gets its number and is owed"]
            effects += [f"it is e-mailed to {sends_to or 'the customer'}"] if send else []
            preview = _preview(invoice, effects).model_copy(update={"sends_to": sends_to})
            plan = self.plans.made(_ISSUE, request, {invoice_id: invoice.version})
            return IssuedInvoice(
                preview=preview,
                plan_token=plan.token,
                expires_at=plan.expires_at,
                idempotency_key=key,
                notes=[NOTHING_YET],
            )
        version = self.plans.versions(plan_token, _ISSUE, request)[invoice_id]
        await self.must_be_as_shown(ref, version)
        written = await system.issue_invoice(ref.native, version, send=send, key=vendor_key("issue_invoice", key))
        issued = written.value
        told = await self.books.issued(self.ref(issued.invoice.invoice_id), vendor_key("ledger: issue_invoice", key))
        notes = [issued.not_sent] if issued.not_sent else []
        return IssuedInvoice(
            invoice_id=issued.invoice.invoice_id,
            number=issued.invoice.number,
            status=issued.invoice.status,
            total=issued.invoice.total,
            hosted_url=issued.invoice.hosted_url,
            sent_to=issued.sent_to,
            ledger=told.posted,
            unfinished=(issued.again or told.again) or None,
            replayed=written.replayed,
            idempotency_key=key,
            notes=notes + ([TO_THE_BOOKS] if told.again else []),
        )

    async def void(self, invoice_id: str, reason: str, *, key: str, plan_token: str | None) -> VoidedInvoice:
        """
        Raises:
            Conflict: it is not open, something was paid, or it has changed since the preview.
        """
        ref, system = self.writable(invoice_id)
        request = [invoice_id, reason, key]
        if plan_token is None:
            invoice = await self.reading[ref.backend].invoice(ref.native)
            if invoice.status not in ("open", "overdue", "uncollectible"):
                raise Conflict("", f"{invoice_id} is {invoice.status}: only an open invoice is voided")
            if invoice.paid or invoice.credited:
                raise Conflict(
                    "",
                    f"{invoice.paid} of {invoice_id} were paid and {invoice.credited} credited",
                    hint="Credit the rest: create_credit_note",
                )
            plan = self.plans.made(_VOID, request, {invoice_id: invoice.version})
            return VoidedInvoice(
                preview=_preview(invoice, ["it is owed no more, for good; its number stays used"]),
                plan_token=plan.token,
                expires_at=plan.expires_at,
                idempotency_key=key,
                notes=[NOTHING_YET],
            )
        version = self.plans.versions(plan_token, _VOID, request)[invoice_id]
        await self.must_be_as_shown(ref, version)
        written = await system.void_invoice(ref.native, version, reason, key=vendor_key("void_invoice", key))
        told = await self.books.voided(ref, reason, vendor_key("ledger: void_invoice", key))
        return VoidedInvoice(
            invoice_id=written.value.invoice_id,
            status=written.value.status,
            ledger=told.posted,
            unfinished=told.again or None,
            replayed=written.replayed,
            idempotency_key=key,
            notes=[TO_THE_BOOKS] if told.again else [],
        )

    async def must_be_as_shown(self, ref: Ref, version: str) -> None:
        """Unless an earlier attempt of this very call may have changed it.

        Raises:
            Conflict: it has changed since the preview.
        """
        if uncertain_since() is None and (await self.reading[ref.backend].invoice(ref.native)).version != version:
            raise Conflict(
                "", f"{ref} has changed since the preview, and nothing was done", hint="Ask for a new preview"
            )

    def writable(self, invoice_id: str) -> tuple[Ref, Invoicing]:
        ref = self.ref(invoice_id)
        if ref.backend not in self.writing:
            raise InvalidInput("", f"{ref.backend}: invoices cannot be changed there")
        return ref, self.writing[ref.backend]

    async def _address(self, invoice: Invoice) -> str | None:
        return None if invoice.customer_id is None else await self.directory.address(invoice.customer_id)


def _created(invoice: Invoice, key: str, *, replayed: bool, made: bool) -> CreatedInvoice:
    return CreatedInvoice(
        invoice_id=invoice.invoice_id if made else None,
        status=invoice.status,
        subtotal=invoice.subtotal,
        tax=invoice.tax,
        total=invoice.total,
        lines=invoice.lines or [],
        idempotency_key=key,
        replayed=replayed,
        notes=[] if made else ["nothing was made: call again without dry_run to make it"],
    )


def _preview(invoice: Invoice, effects: list[str]) -> InvoicePreview:
    return InvoicePreview(
        invoice_id=invoice.invoice_id,
        customer=invoice.customer,
        number=invoice.number,
        total=invoice.total,
        due=invoice.due,
        effects=effects,
    )


_OPEN = ("open", "overdue")


def _compared(mine: Invoice, theirs: InvoiceRow) -> Accounting:
    differences: list[str] = []
    if mine.total != theirs.total:
        differences.append(f"total {mine.total} here, {theirs.total} there")
    if mine.due != theirs.due:
        differences.append(f"due {mine.due} here, {theirs.due} there")
    if mine.status != theirs.status and not (mine.status in _OPEN and theirs.status in _OPEN):
        differences.append(f"{mine.status} here, {theirs.status} there")
    return Accounting(
        system=theirs.invoice_id.partition(":")[0],
        invoice_id=theirs.invoice_id,
        status=theirs.status,
        in_sync=not differences,
        differences=differences,
    )
