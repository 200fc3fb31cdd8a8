"""Credit notes: an issued invoice is reduced, after that was shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from backoffice_billing.bookkeeping import Bookkeeping
from backoffice_billing.invoices import NOTHING_YET, TO_THE_BOOKS, Billing
from backoffice_billing.models import CreditedInvoice, CreditPreview, Disposition, Invoice, InvoiceLine
from backoffice_billing.ports import CreditDraft, CreditNote, Refunds, ReturnedLine
from backoffice_shared.attempt import vendor_key
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.money import Money, total
from backoffice_shared.plans import Plans
from backoffice_shared.refs import Ref
from backoffice_shared.state.alone import alone
from backoffice_shared.state.records import Records

_CREDIT = "credit an invoice"
_EFFECTS: dict[Disposition, str] = {
    "credit_balance": "stay with the customer as a credit for later invoices",
    "out_of_band": "were or are settled outside: no money moves",
}


@dataclass(frozen=True, slots=True)
class Crediting:
    """`knowing` are the payment providers: what they gave back of an invoice's payments is made good already."""

    billing: Billing
    knowing: Mapping[str, Refunds]
    books: Bookkeeping
    plans: Plans
    records: Records

    async def credit(
        self,
        invoice_id: str,
        *,
        amount: int | None,
        lines: Sequence[ReturnedLine],
        reason: str,
        disposition: Disposition,
        key: str,
        plan_token: str | None,
    ) -> CreditedInvoice:
        """Reduce an issued invoice, by an amount with its tax or by lines of it.

        Raises:
            Conflict: it is a draft or void, not so much is left, or it has changed since the preview.
            InvalidInput: both or neither of amount and lines.
        """
        ref, system = self.billing.writable(invoice_id)
        request = [invoice_id, amount, [(line.line, line.quantity) for line in lines], reason, disposition, key]
        if plan_token is None:
            invoice = await self.billing.reading[ref.backend].invoice(ref.native)
            draft = _draft(invoice, await self._refunded(ref, invoice), amount, lines, reason, disposition)
            return self._shown(invoice, draft, await system.preview_credit(ref.native, draft), request, key)
        plan = self.plans.versions(plan_token, _CREDIT, request)
        worth = Money(amount=int(plan["amount"]), currency=plan["currency"])
        draft = CreditDraft(worth, reason, disposition, tuple((line.line, line.quantity) for line in lines))
        async with alone(self.records, "invoice", invoice_id):
            await self.billing.must_be_as_shown(ref, plan["version"])
            written = await system.credit_invoice(
                ref.native, plan["version"], draft, key=vendor_key("create_credit_note", key)
            )
        note = written.value
        entered = replace(draft, lines=())  # the ledger knows the lines by other ids
        told = await self.books.credited(ref, entered, vendor_key("ledger: create_credit_note", key))
        return CreditedInvoice(
            credit_note_id=note.credit_note_id,
            number=note.number,
            total=note.total,
            invoice_due=note.invoice_due,
            refund_id=note.refund_id,
            ledger=told.posted,
            unfinished=told.again or None,
            replayed=written.replayed,
            idempotency_key=key,
            notes=[TO_THE_BOOKS] if told.again else [],
        )

    def _shown(
        self, invoice: Invoice, draft: CreditDraft, note: CreditNote, request: object, key: str
    ) -> CreditedInvoice:
        preview = CreditPreview(
            invoice_id=invoice.invoice_id,
            customer=invoice.customer,
            total=note.total,
            disposition=draft.disposition,
            invoice_due=note.invoice_due,
            effects=_effects(invoice, note.total, note.invoice_due, draft.disposition),
        )
        plan = self.plans.made(
            _CREDIT,
            request,
            {"version": invoice.version, "amount": str(draft.amount.amount), "currency": draft.amount.currency},
        )
        return CreditedInvoice(
            preview=preview,
            plan_token=plan.token,
            expires_at=plan.expires_at,
            idempotency_key=key,
            notes=[NOTHING_YET],
        )

    async def _refunded(self, ref: Ref, invoice: Invoice) -> Money:
        """What was given back of what was paid for it."""
        rows = await self.knowing[ref.backend].payments_for_invoice(ref.native) if ref.backend in self.knowing else []
        return total((row.refunded for row in rows), invoice.total.currency)


def worth(invoice: Invoice, lines: Sequence[ReturnedLine]) -> Money:
    """What these lines of the invoice come to, with their tax: of each its share, rounded half away from zero.

    Raises:
        InvalidInput: it has no such line, or not so many; or a line is given twice.
    """
    known = {line.line_id: line for line in invoice.lines or () if line.line_id is not None}
    if len({line.line for line in lines}) != len(lines):
        raise InvalidInput("", "lines: one of them is given twice")
    parts: list[Money] = []
    for wanted in lines:
        line = known.get(wanted.line)
        if line is None:
            raise InvalidInput("", f"lines: there is no line {wanted.line!r}", hint=f"Lines: {', '.join(known)}")
        parts.append(_part(line, wanted.quantity))
    return total(parts, invoice.total.currency)


def _part(line: InvoiceLine, quantity: int) -> Money:
    whole = int(line.quantity) if line.quantity.isdecimal() else 1
    if not 0 < quantity <= whole:
        raise InvalidInput("", f"lines: {line.line_id} has {line.quantity}, not {quantity}")
    gross = line.amount if line.tax is None else line.amount + line.tax
    return gross.share(quantity, whole)


def _draft(
    invoice: Invoice,
    refunded: Money,
    amount: int | None,
    lines: Sequence[ReturnedLine],
    reason: str,
    disposition: Disposition,
) -> CreditDraft:
    if invoice.status in ("draft", "void"):
        raise Conflict("", f"{invoice.invoice_id} is {invoice.status}: there is nothing to credit")
    if (amount is None) == (not lines):
        raise InvalidInput("", "give either an amount, with tax, or lines")
    credit = worth(invoice, lines) if amount is None else Money(amount=amount, currency=invoice.total.currency)
    left = invoice.total - invoice.credited - refunded
    if credit > left:
        raise Conflict("", f"{credit} is more than the {left} that are neither credited nor refunded yet")
    return CreditDraft(credit, reason, disposition, tuple((line.line, line.quantity) for line in lines))


def _effects(invoice: Invoice, credit: Money, due: Money, disposition: Disposition) -> list[str]:
    off = invoice.due - due
    effects = [f"{off} less are due"] if off else []
    return [*effects, f"{credit - off} {_EFFECTS[disposition]}"] if credit > off else effects
