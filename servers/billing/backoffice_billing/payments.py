"""Payments: found, looked at, and collected for an invoice from a saved method, after that was shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial

from backoffice_billing.bookkeeping import NOBODY, Bookkeeping
from backoffice_billing.directory import Directory
from backoffice_billing.invoices import NOTHING_YET, TO_THE_BOOKS, Billing
from backoffice_billing.models import (
    Collected,
    CollectionPreview,
    Method,
    Payment,
    PaymentRow,
    PaymentSection,
    Recorded,
)
from backoffice_billing.ports import Collecting, Collection, Entry, PaymentQuery, Payments
from backoffice_shared.attempt import vendor_key
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import Conflict, InvalidInput
from backoffice_shared.money import Money
from backoffice_shared.paging import Cursors, merge
from backoffice_shared.plans import Plans
from backoffice_shared.refs import Ref, parse_ref
from backoffice_shared.sources import Source, ask_one, together
from backoffice_shared.state.alone import alone
from backoffice_shared.state.records import Records

_COLLECT = "collect a payment"


@dataclass(frozen=True, slots=True)
class Receipts:
    """`reading` are the systems that know of payments; `charging` those that charge saved methods."""

    reading: Mapping[str, Payments]
    charging: Mapping[str, Collecting]
    billing: Billing
    directory: Directory
    books: Bookkeeping
    cursors: Cursors
    plans: Plans
    records: Records

    # --------------------------------------------------------------------------------------------------- reading

    async def search(
        self, query: PaymentQuery, *, customer_id: str | None, invoice_id: str | None, limit: int, cursor: str | None
    ) -> Listing[PaymentRow]:
        """Payments that meet the whole query, latest first; also attempts that failed."""
        who: list[Source] = []
        queries = dict.fromkeys(self.reading, query)
        question: list[object] = ["payments", query, invoice_id]
        if customer_id is not None:
            found = await self.directory.find(customer_id)
            found.must_be_whole(cursor)
            who, question = found.sources, [*question, found.known_as]
            queries = {name: replace(query, customers=natives) for name in self.reading if (natives := found.of(name))}
        if invoice_id is not None:
            ref = self.billing.ref(invoice_id)
            queries = {
                name: replace(query, invoice=ref.native) for name, query in queries.items() if name == ref.backend
            }
        if not queries:
            return Listing[PaymentRow](
                items=[], sources=who, notes=["no system that keeps payments knows this customer"]
            )
        rows = await merge(
            {name: partial(self.reading[name].search_payments, query) for name, query in queries.items()},
            order=lambda row: row.at,
            limit=limit,
            cursor=cursor,
            cursors=self.cursors,
            question=question,
        )
        rows.sources = together(rows.sources, who)
        return rows

    async def get(self, payment_id: str, include: frozenset[PaymentSection]) -> Payment:
        ref = parse_ref(payment_id, dict.fromkeys(self.reading, "payment"))
        sections = include - {"ledger"}
        payment, source = await ask_one(ref.backend, partial(self.reading[ref.backend].payment, ref.native, sections))
        payment = payment.model_copy(update={"sources": [source]})
        if "ledger" not in include:
            return payment
        recorded, sources = await self._recorded(ref, payment)
        return payment.model_copy(update={"ledger": recorded, "sources": together([source], sources)})

    async def _recorded(self, ref: Ref, payment: Payment) -> tuple[list[Recorded], list[Source]]:
        """The invoice that was paid, as the other systems have it."""
        if payment.invoice_id is None:
            return [], []
        found = await self.billing.get([payment.invoice_id], frozenset({"accounting"}))
        entries = [entry for invoice in found.items for entry in invoice.accounting or ()]
        recorded = [Recorded(system=entry.system, id=entry.invoice_id, status=entry.status) for entry in entries]
        return recorded, [source for source in found.sources if source.backend != ref.backend]

    # --------------------------------------------------------------------------------------------------- charging

    async def collect(
        self, invoice_id: str, method_id: str | None, amount: int | None, *, key: str, plan_token: str | None
    ) -> Collected:
        """Charge a saved method for what is due, or for a part of it.

        Raises:
            Conflict: nothing is due, less is due, it was declined, or the invoice has changed since the preview.
            InvalidInput: that system charges nobody, or the customer has no such method.
        """
        ref = self.billing.ref(invoice_id)
        system = self.charging.get(ref.backend)
        if system is None:
            able = ", ".join(self.charging) or "none is configured"
            raise InvalidInput("", f"{ref.backend}: nobody is charged there", hint=f"Systems that charge: {able}")
        request = [invoice_id, method_id, amount, key]
        if plan_token is None:
            return await self._shown(ref, system, method_id, amount, request, key)
        plan = self.plans.versions(plan_token, _COLLECT, request)
        charge = Money(amount=int(plan["amount"]), currency=plan["currency"])
        collection = Collection(ref.native, plan["customer"], plan["method"], charge, plan["whole"] == "yes")
        async with alone(self.records, "invoice", invoice_id):
            await self.billing.must_be_as_shown(ref, plan["version"])
            written = await system.collect(collection, vendor_key("collect_payment", key))
        charged = written.value
        told = NOBODY
        if charged.status == "succeeded":
            entry = Entry(charge, datetime.now(UTC), charged.payment)
            told = await self.books.paid(ref, entry, vendor_key("ledger: collect_payment", key))
        return Collected(
            payment_id=charged.payment,
            status=charged.status,
            amount=charge,
            invoice_due=charged.invoice_due,
            ledger=told.posted,
            unfinished=told.again or None,
            replayed=written.replayed,
            idempotency_key=key,
            notes=[TO_THE_BOOKS] if told.again else [],
        )

    async def _shown(
        self, ref: Ref, system: Collecting, method_id: str | None, amount: int | None, request: object, key: str
    ) -> Collected:
        invoice = await self.billing.reading[ref.backend].invoice(ref.native)
        if invoice.status not in ("open", "overdue", "uncollectible") or not invoice.due:
            raise Conflict("", f"{ref} is {invoice.status}: nothing can be collected for it")
        if invoice.customer_id is None:
            raise Conflict("", f"{ref} names no customer, so nobody can be charged for it")
        charge = invoice.due if amount is None else Money(amount=amount, currency=invoice.due.currency)
        if charge > invoice.due:
            raise Conflict("", f"{charge} is more than the {invoice.due} that are due")
        customer = parse_ref(invoice.customer_id, {ref.backend: self.directory.systems[ref.backend].account_kind})
        method = _chosen(await system.methods(customer.native), method_id)
        preview = CollectionPreview(
            invoice_id=str(ref),
            customer=invoice.customer,
            number=invoice.number,
            amount=charge,
            kind=method.kind,
            brand=method.brand,
            last4=method.last4,
            effects=[f"{charge} are taken from the customer", f"{invoice.due - charge} stay due"],
        )
        plan = self.plans.made(
            _COLLECT,
            request,
            {
                "version": invoice.version,
                "customer": customer.native,
                "method": method.method_id.split(":", 2)[2],
                "amount": str(charge.amount),
                "currency": charge.currency,
                "whole": "yes" if charge == invoice.due else "no",
            },
        )
        return Collected(
            preview=preview,
            plan_token=plan.token,
            expires_at=plan.expires_at,
            idempotency_key=key,
            notes=[NOTHING_YET],
        )


def _chosen(methods: list[Method], method_id: str | None) -> Method:
    """
    Raises:
        InvalidInput: the customer has none, or not this one.
    """
    if not methods:
        raise InvalidInput("", "the customer has no saved payment method", hint="Send them the invoice: issue_invoice")
    if method_id is None:
        return methods[0]
    for method in methods:
        if method.method_id == method_id:
            return method
    known = ", ".join(method.method_id for method in methods)
    raise InvalidInput("", "payment_method_id: the customer has no such method", hint=f"They have {known}")


def spent(arguments: Mapping[str, object]) -> Money | None:
    """What a call with these arguments would move: what its plan says."""
    token = arguments.get("plan_token")
    plan = Plans.claims(token) if isinstance(token, str) else {}
    try:
        return Money(amount=int(plan["amount"]), currency=plan["currency"])
    except (KeyError, ValueError):
        return None
