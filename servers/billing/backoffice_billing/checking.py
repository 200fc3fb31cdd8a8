"""The checks that a comparison is made of: invoices by number, what was refunded for them, and what orders were paid.

Each asks a bounded number of things, says in the survey what it could not look at, and concludes nothing from that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from backoffice_billing.comparing import (
    agree,
    comparable,
    differences,
    missing_in_ledger,
    missing_in_provider,
    order_differences,
    order_missing,
    refund_missing,
    taken,
)
from backoffice_billing.models import Invoice, InvoiceRow, PaidOrder, PaymentRow
from backoffice_billing.ports import Invoices, PaymentQuery, Payments, Refunds, Shop
from backoffice_billing.scopes import Period
from backoffice_billing.surveying import (
    MOST_PAYMENTS,
    Survey,
    by_number,
    details,
    each,
    listed,
    native,
    number_of,
    system_of,
)
from backoffice_shared.errors import NotFound

# A ledger answers 60 requests a minute (Xero), a provider as many in a second.
_IN_LEDGERS, _IN_PROVIDERS = 20, 60  # numbers asked of each, beside what it lists
_CLOSER = 60  # invoices read whole, twenty at a time
_REFUNDED = 15  # invoices whose refunds are looked for in the ledger
_ORDERS = 40  # orders asked of the shops
_ENDLESS = Period(None, None)

Pair = tuple[InvoiceRow, InvoiceRow]


@dataclass(frozen=True, slots=True)
class Window:
    """The days that are compared now, of the whole `period`. What belongs to another window is left to it."""

    days: Period = _ENDLESS
    period: Period = _ENDLESS

    def is_for(self, day: date) -> bool:
        """Whether what is of this day belongs here: what is of no window at all belongs to every one that finds it."""
        return self.days.holds(day) or not self.period.holds(day)


@dataclass(frozen=True, slots=True)
class Checks:
    """`providers` and `ledgers` are those of the systems in `invoices`; the payments of those `with_refunds` say what
    was given back of them."""

    invoices: Mapping[str, Invoices]
    payments: Mapping[str, Payments]
    refunds: Mapping[str, Refunds]
    shops: Mapping[str, Shop]
    providers: Sequence[str]
    ledgers: Sequence[str]
    with_refunds: frozenset[str]

    # ------------------------------------------------------------------------------------------------------ invoices

    async def pairs(
        self, survey: Survey, left: Sequence[InvoiceRow], right: Sequence[InvoiceRow], window: Window, today: date
    ) -> list[Pair]:
        """The same invoices in both. What one side alone has listed is asked for by its number, and judged missing."""
        mine, theirs = _by_number(left), _by_number(right)
        here = [n for n, rows in mine.items() if window.days.holds(rows[0].issued_at)]
        found = [(mine[n][0], _nearest(mine[n][0], theirs[n])) for n in here if n in theirs]
        _nameless(survey, [*left, *right], window)
        alone = [mine[n][0] for n in here if n not in theirs and _wanted(mine[n][0], window)]
        for row, rows in await self._elsewhere(survey, alone, self.ledgers, today):
            if rows:
                found.append((row, _nearest(row, rows)))
            elif comparable(row):
                survey.judged(row.invoice_id, [missing_in_ledger(row, self.ledgers)])
        only = [
            rows[0]
            for n, rows in theirs.items()
            if n not in mine and window.days.holds(rows[0].issued_at) and _wanted(rows[0], window)
        ]
        for row, rows in await self._elsewhere(survey, only, self.providers, today):
            if not rows and comparable(row):
                survey.judged(row.invoice_id, [missing_in_provider(row, self.providers)])
            elif rows and window.is_for(rows[0].issued_at):
                found.append((_nearest(row, rows), row))
        return found

    async def _elsewhere(
        self, survey: Survey, rows: Sequence[InvoiceRow], systems: Sequence[str], today: date
    ) -> list[tuple[InvoiceRow, list[InvoiceRow]]]:
        """For each of these, those with its number in the other systems: none only if all of them said so."""
        ordered = sorted(rows, key=lambda row: (-row.issued_at.toordinal(), row.invoice_id))
        most = _IN_LEDGERS if systems is self.ledgers else _IN_PROVIDERS
        asked = ordered[:most]
        if ordered[most:]:
            theirs = {system_of(row.invoice_id) for row in ordered[most:]}
            survey.incomplete(
                {*theirs, *systems},
                f"not looked for elsewhere, so that they may be missing there: {len(ordered) - len(asked)} of "
                f"{', '.join(sorted(theirs))}; compare fewer days",
            )
        numbers = sorted({n for row in asked if (n := number_of(row)) is not None})
        silent = survey.silent
        answers = await survey.ask(
            {s: partial(by_number, self.invoices[s], numbers, today) for s in systems if numbers and s not in silent},
            share=0.5,
        )
        found = [(row, [r for rows in answers.values() for r in rows.get(number_of(row) or "", [])]) for row in asked]
        survey.count(*(row.invoice_id for row, rows in found for row in (row, *rows)))
        if systems and survey.heard_all(systems):
            return found
        if unsaid := sum(not rows for _, rows in found):
            who = ", ".join(s for s in systems if s in survey.silent)
            why = f"{who} did not say" if who else "no system to compare them with is configured"
            survey.incomplete(systems, f"may be missing elsewhere, which nobody can say now: {unsaid} ({why})")
        return [(row, rows) for row, rows in found if rows]

    async def judge(self, survey: Survey, pairs: Sequence[Pair]) -> None:
        """How they differ: seen in the rows that they do not, or by a closer look."""
        survey.count(*(row.invoice_id for pair in pairs for row in pair))
        for left, right in pairs:
            if agree(left, right):
                survey.judged(left.invoice_id, [])
        unlike = sorted((pair for pair in pairs if not agree(*pair)), key=lambda pair: pair[0].invoice_id)
        if unlike[_CLOSER:]:
            systems = {system_of(row.invoice_id) for pair in unlike[_CLOSER:] for row in pair}
            survey.incomplete(systems, f"differ as well, and are left out: {len(unlike) - _CLOSER}; compare fewer days")
        whole = await self._whole(survey, [row for pair in unlike[:_CLOSER] for row in pair])
        for left, right in unlike[:_CLOSER]:
            one, other = whole.get(left.invoice_id), whole.get(right.invoice_id)
            if one is not None and other is not None:
                survey.judged(left.invoice_id, differences(one, other))
            else:
                survey.incomplete(
                    [system_of(row.invoice_id) for row in (left, right) if row.invoice_id not in whole],
                    "some invoices that differ could not be read whole, and are left out",
                )

    async def _whole(self, survey: Survey, rows: Iterable[InvoiceRow]) -> dict[str, Invoice]:
        ids: dict[str, list[str]] = {}
        for row in {row.invoice_id: row for row in rows}.values():
            ids.setdefault(system_of(row.invoice_id), []).append(row.invoice_id)
        answers = await survey.ask(
            {s: partial(details, self.invoices[s], wanted) for s, wanted in ids.items()}, share=0.7
        )
        return {ref: invoice for found in answers.values() for ref, invoice in found.items()}

    # ------------------------------------------------------------------------------------------------------- refunds

    async def refunded(
        self, survey: Survey, invoices: Iterable[str], pairs: Sequence[Pair], window: Window, today: date
    ) -> None:
        """What the provider gave back of the payments for these invoices, as the ledger has it."""
        refs = [
            ref for ref in sorted(set(invoices)) if system_of(ref) in self.refunds and system_of(ref) in self.invoices
        ]
        if not refs or not self.ledgers:
            return
        if refs[_REFUNDED:]:
            systems = {*(system_of(ref) for ref in refs), *self.ledgers}
            left_out = len(refs) - _REFUNDED
            survey.incomplete(systems, f"invoices whose refunds were not compared: {left_out}; compare fewer days")
        paid = await self._paid(survey, refs[:_REFUNDED], window)
        invoices = {left.invoice_id: left for left, _ in pairs} | await self._strangers(survey, paid, pairs)
        entries = {left.invoice_id: right for left, right in pairs}
        alone = [invoices[ref] for ref in paid if ref not in entries and ref in invoices]
        for row, rows in await self._elsewhere(survey, [row for row in alone if comparable(row)], self.ledgers, today):
            if rows:
                entries[row.invoice_id] = _nearest(row, rows)
        known = await self._entered(survey, [entries[ref].invoice_id for ref in paid if ref in entries])
        for ref, its in paid.items():
            if ref in entries and ref in invoices and (entered := known.get(entries[ref].invoice_id)) is not None:
                survey.count(ref, entries[ref].invoice_id, *(payment.payment_id for payment in its))
                survey.judged(ref, refund_missing(invoices[ref], its, entries[ref], entered))

    async def _paid(self, survey: Survey, refs: Sequence[str], window: Window) -> dict[str, list[PaymentRow]]:
        """All that was paid for these invoices, but for those whose latest refunded payment is of another window."""

        async def read(system: str) -> dict[str, list[PaymentRow]]:
            mine = [ref for ref in refs if system_of(ref) == system]
            return await each(mine, lambda ref: self.refunds[system].payments_for_invoice(native(ref)))

        answers = await survey.ask({s: partial(read, s) for s in {system_of(ref): None for ref in refs}}, share=0.5)
        return {ref: its for found in answers.values() for ref, its in found.items() if _is_for(its, window)}

    async def _strangers(self, survey: Survey, refs: Iterable[str], pairs: Sequence[Pair]) -> dict[str, InvoiceRow]:
        """Those of these invoices that are older than what was listed."""
        listed_ = {left.invoice_id for left, _ in pairs}
        ids: dict[str, list[str]] = {}
        for ref in refs:
            if ref not in listed_:
                ids.setdefault(system_of(ref), []).append(ref)
        answers = await survey.ask({s: partial(details, self.invoices[s], mine) for s, mine in ids.items()}, share=0.5)
        return {ref: invoice for found in answers.values() for ref, invoice in found.items()}

    async def _entered(self, survey: Survey, refs: Sequence[str]) -> dict[str, list[PaymentRow]]:
        """The ledgers' own payments for these entries."""

        async def read(system: str) -> dict[str, list[PaymentRow]]:
            async def payments(ref: str) -> list[PaymentRow]:
                query = PaymentQuery(invoice=native(ref))
                return (await listed(partial(self.payments[system].search_payments, query), MOST_PAYMENTS)).rows

            return await each([ref for ref in refs if system_of(ref) == system], payments)

        systems = {system_of(ref): None for ref in refs}
        able = self.with_refunds & self.payments.keys()
        if blind := [system for system in systems if system not in able]:
            survey.incomplete(blind, f"{', '.join(blind)} does not say what was given back: refunds were not compared")
        answers = await survey.ask({s: partial(read, s) for s in systems if s in able}, share=0.7)
        return {ref: entered for found in answers.values() for ref, entered in found.items()}

    # -------------------------------------------------------------------------------------------------------- orders

    async def ordered(self, survey: Survey, payments: Sequence[PaymentRow], window: Window) -> None:
        """Payments that name an order, against what the shop says was paid for it."""
        by_order: dict[tuple[str, str], list[PaymentRow]] = {}
        for payment in payments:
            if taken(payment) and payment.order is not None and (number := payment.order.strip()):
                by_order.setdefault((system_of(payment.payment_id), number), []).append(payment)
        if not by_order:
            return
        if not self.shops:
            survey.incomplete([], f"orders that payments name, not compared as no shop is configured: {len(by_order)}")
            return
        asked = sorted(by_order)[:_ORDERS]
        if len(by_order) > _ORDERS:
            survey.incomplete(
                {*self.shops, *(provider for provider, _ in by_order)},
                f"orders that payments name, not compared: {len(by_order) - _ORDERS}; compare fewer days",
            )
        orders = await self.orders(survey, sorted({number for _, number in asked}))
        doubtful: list[tuple[str, str]] = []
        for provider, number in asked:
            if (found := orders.get(number)) is not None and not order_differences(
                provider, by_order[provider, number], *found
            ):
                _counted(survey, by_order[provider, number], found[1])
                survey.judged(f"order {number}", [])
            elif found is not None or survey.heard_all(self.shops):
                doubtful.append((provider, number))
        await self._doubted(survey, doubtful, by_order, orders, window)

    async def orders(
        self, survey: Survey, references: Sequence[str], shops: Sequence[str] | None = None
    ) -> dict[str, tuple[str, PaidOrder]]:
        """Those that exist, each with the shop that has it."""

        async def read(shop: str) -> dict[str, PaidOrder | None]:
            return await each(references, partial(_order_or_none, self.shops[shop]))

        answers = await survey.ask({shop: partial(read, shop) for shop in shops or self.shops}, share=0.6)
        return {
            reference: (shop, order)
            for shop, found in reversed(list(answers.items()))
            for reference, order in found.items()
            if order is not None
        }

    async def _doubted(
        self,
        survey: Survey,
        asked: Sequence[tuple[str, str]],
        listed_: Mapping[tuple[str, str], Sequence[PaymentRow]],
        orders: Mapping[str, tuple[str, PaidOrder]],
        window: Window,
    ) -> None:
        """They seem to differ: an order may have been paid at several times, so all its payments are looked at."""

        async def read(provider: str) -> dict[str, list[PaymentRow]]:
            numbers = [number for name, number in asked if name == provider]
            return await each(numbers, self.refunds[provider].payments_for_order)

        able = {provider: None for provider, _ in asked if provider in self.refunds}
        answers = await survey.ask({provider: partial(read, provider) for provider in able})
        for provider, number in asked:
            if provider not in answers:
                continue
            every = (*listed_.get((provider, number), ()), *answers[provider][number])
            its = {payment.payment_id: payment for payment in every if taken(payment)}  # not the attempts that failed
            counted = sorted(its.values(), key=lambda payment: (payment.at, payment.payment_id), reverse=True)
            if not counted or window.is_for(counted[0].at.date()):
                self.judge_order(survey, provider, number, counted, orders.get(number))

    def judge_order(
        self,
        survey: Survey,
        provider: str,
        number: str,
        payments: Sequence[PaymentRow],
        found: tuple[str, PaidOrder] | None,
    ) -> None:
        """`payments`: all that the provider has for it, latest first. `found` is None when no shop has the order."""
        _counted(survey, payments, None if found is None else found[1])
        if found is not None:
            survey.judged(f"order {number}", order_differences(provider, payments, *found))
        elif payments:
            survey.judged(f"order {number}", [order_missing(provider, number, payments, list(self.shops))])


def _by_number(rows: Sequence[InvoiceRow]) -> dict[str, list[InvoiceRow]]:
    """Those that are owed first."""
    found: dict[str, list[InvoiceRow]] = {}
    for row in sorted(rows, key=lambda row: (not comparable(row), row.invoice_id)):
        if (number := number_of(row)) is not None:
            found.setdefault(number, []).append(row)
    return found


def _nearest(row: InvoiceRow, rows: Sequence[InvoiceRow]) -> InvoiceRow:
    """Two companies' books may use one number for two invoices: the one that is owed, and of the same amount."""
    return min(
        rows,
        key=lambda r: (not comparable(r), r.total.currency != row.total.currency, r.total != row.total, r.invoice_id),
    )


def _wanted(row: InvoiceRow, window: Window) -> bool:
    """What is void elsewhere is looked up only where the work is small: when few things are compared."""
    return comparable(row) or (row.status == "void" and window == Window())


def _nameless(survey: Survey, rows: Iterable[InvoiceRow], window: Window) -> None:
    found = [r for r in rows if number_of(r) is None and comparable(r) and window.days.holds(r.issued_at)]
    if found:
        systems = sorted({system_of(row.invoice_id) for row in found})
        survey.incomplete(systems, f"without a number, and so not compared: {len(found)} of {', '.join(systems)}")


def _is_for(payments: Sequence[PaymentRow], window: Window) -> bool:
    """Whether the latest of these of which something was given back, in the period, is of this window."""
    days = [payment.at.date() for payment in payments if payment.refunded]
    within = [day for day in days if window.period.holds(day)]
    return bool(days) and window.is_for(max(within or days))


async def _order_or_none(shop: Shop, reference: str) -> PaidOrder | None:
    try:
        return await shop.order(reference)
    except NotFound:
        return None


def _counted(survey: Survey, payments: Sequence[PaymentRow], order: PaidOrder | None) -> None:
    survey.count(*(payment.payment_id for payment in payments))
    if order is not None:
        survey.count(order.order_id)
