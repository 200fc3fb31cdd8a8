"""The checks that a comparison is made of: invoices by number, what was refunded for them, and what orders were paid.

Each asks a bounded number of things, says in the survey what it could not look at, and concludes nothing from that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

from backoffice_billing.comparing import (
    Pair,
    agree,
    comparable,
    differences,
    doubled_in_ledger,
    doubles,
    missing_in_ledger,
    missing_in_provider,
    nearest,
    numbered,
    order_differences,
    order_missing,
    paired,
    reduced,
    refund_differs,
    taken,
)
from backoffice_billing.models import Invoice, InvoiceRow, PaidOrder, PaymentRow
from backoffice_billing.ports import Invoices, PaymentQuery, Payments, Refunds, Shop
from backoffice_billing.scopes import Window
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

# Xero answers 60 requests a minute, a provider as many in a second. Of Xero one call asks at most 40: 16 numbers, 8 refunds
# and what was paid out for them, 3 full pages of invoices, 2 for payments, 4 to read invoices whole, and who somebody is.
_IN_LEDGERS, _IN_PROVIDERS = 16, 60  # numbers asked of each in a call, beside what it lists
_CLOSER = 60  # invoices read whole, twenty at a time
_REFUNDED = 8  # invoices whose refunds are looked for in the ledger
_ORDERS = 40  # orders asked of the shops


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
        """The same invoices in both. What one side alone has listed is asked for by its number, and judged missing. An
        entry that is there twice is seen where both are listed now, or were found by their number."""
        mine, theirs = numbered(left), numbered(right)
        found = [paired(rows[0], theirs[n]) for n, rows in mine.items() if n in theirs]
        _nameless(survey, [*left, *(row for row in right if window.days.holds(row.issued_at))])
        alone = [rows[0] for n, rows in mine.items() if n not in theirs and _wanted(rows[0], window)]
        for row, rows in await self._elsewhere(survey, alone, self.ledgers, window, today):
            if rows:
                found.append(paired(row, rows))
            elif comparable(row):
                survey.count(row.invoice_id)
                survey.judged(row.invoice_id, [missing_in_ledger(row, self.ledgers)])
        only = [
            rows[0]
            for n, rows in theirs.items()
            if n not in mine and window.days.holds(rows[0].issued_at) and _wanted(rows[0], window)
        ]
        for row, rows in await self._elsewhere(survey, only, self.providers, window, today):
            entries = theirs[number_of(row) or ""]
            if not rows and comparable(row):
                twice = [
                    doubled_in_ledger(row, row, other)
                    for other in entries
                    if system_of(other.invoice_id) == system_of(row.invoice_id) and doubles(row, other)
                ]
                survey.count(row.invoice_id)
                survey.judged(row.invoice_id, [missing_in_provider(row, self.providers), *twice])
            elif rows and not window.leaves(left_ := nearest(row, rows)):
                found.append(paired(left_, entries))
        return found

    async def _elsewhere(
        self, survey: Survey, rows: Sequence[InvoiceRow], systems: Sequence[str], window: Window, today: date
    ) -> list[tuple[InvoiceRow, list[InvoiceRow]]]:
        """For each of these, those with its number in the other systems: none only if all of them said so."""
        ordered = sorted(
            rows, key=lambda row: (not window.days.holds(row.issued_at), -row.issued_at.toordinal(), row.invoice_id)
        )
        side, most = ("ledgers", _IN_LEDGERS) if systems is self.ledgers else ("providers", _IN_PROVIDERS)
        asked = ordered[: survey.spend(side, len(ordered), most)]
        if left_out := ordered[len(asked) :]:
            theirs = {system_of(row.invoice_id) for row in left_out}
            survey.incomplete(
                {*theirs, *systems},
                f"not looked for elsewhere, so that they may be missing there: {len(left_out)} of "
                f"{', '.join(sorted(theirs))}; compare fewer days",
            )
        numbers = sorted({n for row in asked if (n := number_of(row)) is not None})
        silent = survey.silent
        answers = await survey.ask(
            {s: partial(by_number, self.invoices[s], numbers, today) for s in systems if numbers and s not in silent},
            share=0.5,
        )
        found = [(row, [r for rows in answers.values() for r in rows.get(number_of(row) or "", [])]) for row in asked]
        if systems and survey.heard_all(systems):
            return found
        if unsaid := sum(not rows for _, rows in found):
            who = ", ".join(s for s in systems if s in survey.silent)
            why = f"{who} did not say" if who else "no system to compare them with is configured"
            survey.incomplete(systems, f"may be missing elsewhere, which nobody can say now: {unsaid} ({why})")
        return [(row, rows) for row, rows in found if rows]

    async def judge(self, survey: Survey, pairs: Sequence[Pair]) -> None:
        """How they differ: seen in the rows that they do not, or by a closer look. Of what is booked twice only that is
        told: which entry stays must be known before anything is mended in it."""
        survey.count(*(row.invoice_id for pair in pairs for row in (pair.left, pair.right, *pair.surplus)))
        unlike: list[Pair] = []
        alike: list[Pair] = []
        for pair in sorted(pairs, key=lambda pair: pair.left.invoice_id):
            if pair.surplus:
                twice = [doubled_in_ledger(pair.left, pair.right, other) for other in pair.surplus]
                survey.judged(pair.left.invoice_id, twice)
            elif not agree(pair.left, pair.right):
                unlike.append(pair)
            elif reduced(pair.left):
                alike.append(pair)
            else:
                survey.judged(pair.left.invoice_id, [])
        closer = [*unlike, *alike][:_CLOSER]
        _left_out(survey, unlike[_CLOSER:], "differ as well, and are left out")
        _left_out(
            survey,
            alike[max(_CLOSER - len(unlike), 0) :],
            "come to the same, but what one was paid the other may have credited, which was not looked at",
        )
        whole = await self._whole(survey, [row.invoice_id for pair in closer for row in (pair.left, pair.right)])
        for pair in closer:
            one, other = whole.get(pair.left.invoice_id), whole.get(pair.right.invoice_id)
            if one is not None and other is not None:
                survey.judged(pair.left.invoice_id, differences(one, other))
            else:
                survey.incomplete(
                    [system_of(row.invoice_id) for row in (pair.left, pair.right) if row.invoice_id not in whole],
                    "some invoices could not be read whole, and are left out",
                )

    async def _whole(self, survey: Survey, refs: Iterable[str]) -> dict[str, Invoice]:
        ids: dict[str, list[str]] = {}
        for ref in dict.fromkeys(refs):
            ids.setdefault(system_of(ref), []).append(ref)
        answers = await survey.ask(
            {s: partial(details, self.invoices[s], wanted) for s, wanted in ids.items()}, share=0.7
        )
        return {ref: invoice for found in answers.values() for ref, invoice in found.items()}

    # ------------------------------------------------------------------------------------------------------- refunds

    async def refunded(
        self,
        survey: Survey,
        invoices: Iterable[str],
        entries: Iterable[str],
        pairs: Sequence[Pair],
        window: Window,
        today: date,
    ) -> None:
        """What providers gave back of the payments for these invoices, and ledgers for these entries, as the other side
        has it. What is booked twice is left out: either entry may have it."""
        if not self.ledgers:
            return
        known = {pair.left.invoice_id: pair for pair in pairs}
        paired_ = {row.invoice_id for pair in pairs for row in (pair.right, *pair.surplus)}
        strangers = [ref for ref in sorted(set(entries) - paired_) if not survey.has_judged(ref)]
        wanted = {*invoices, *(pair.left.invoice_id for pair in pairs if pair.right.invoice_id in set(entries))}
        refs = [
            ref
            for ref in sorted(wanted)
            if system_of(ref) in self.refunds
            and system_of(ref) in self.invoices
            and (ref not in known or not known[ref].surplus)
        ]
        _too_many(survey, [*refs, *strangers], self.ledgers)
        refs = refs[:_REFUNDED]
        found = await self._owners(survey, strangers[: _REFUNDED - len(refs)], window, today)
        known = found | known
        refs += [ref for ref in found if ref not in refs and system_of(ref) in self.refunds]
        paid = await self._paid(survey, refs, window)
        older = await self._whole(survey, [ref for ref in paid if ref not in known and not survey.has_judged(ref)])
        alone = [row for row in older.values() if comparable(row)]
        for row, rows in await self._elsewhere(survey, alone, self.ledgers, window, today):
            if rows:
                known[row.invoice_id] = Pair(row, nearest(row, rows))
        able = self.with_refunds & self.payments.keys()
        asked = [
            known[ref].right.invoice_id
            for ref, its in paid.items()
            if ref in known and (_repaid(its) or system_of(known[ref].right.invoice_id) in able)
        ]
        entered = await self._entered(survey, asked)
        for ref, its in paid.items():
            theirs = entered.get(known[ref].right.invoice_id) if ref in known else None
            if theirs is not None and (_repaid(its) or _is_for(theirs, window)):
                survey.count(ref, known[ref].right.invoice_id, *(payment.payment_id for payment in its))
                survey.judged(ref, refund_differs(known[ref].left, its, known[ref].right, theirs))

    async def _owners(self, survey: Survey, entries: Sequence[str], window: Window, today: date) -> dict[str, Pair]:
        """The provider's invoices whose entries these are."""
        rows = [row for row in (await self._whole(survey, entries)).values() if comparable(row)]
        found = await self._elsewhere(survey, rows, self.providers, window, today)
        return {(left := nearest(row, rows)).invoice_id: Pair(left, row) for row, rows in found if rows}

    async def _paid(self, survey: Survey, refs: Sequence[str], window: Window) -> dict[str, list[PaymentRow]]:
        """All that was paid for these invoices, but for those whose latest refunded payment is of another window."""

        async def read(system: str) -> dict[str, list[PaymentRow]]:
            mine = [ref for ref in refs if system_of(ref) == system]
            return await each(mine, lambda ref: self.refunds[system].payments_for_invoice(native(ref)))

        answers = await survey.ask({s: partial(read, s) for s in {system_of(ref): None for ref in refs}}, share=0.5)
        return {
            ref: its
            for found in answers.values()
            for ref, its in found.items()
            if not _repaid(its) or _is_for(its, window)
        }

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
        self, survey: Survey, references: Sequence[str], of: str | None = None
    ) -> dict[str, tuple[str, PaidOrder]]:
        """Those that exist, each with the shop that has it: by their numbers, or `of` one shop by their ids."""

        async def read(shop: str) -> dict[str, PaidOrder | None]:
            one = self.shops[shop]
            return await each(references, partial(_or_none, one.order if of is None else one.order_by_id))

        answers = await survey.ask({shop: partial(read, shop) for shop in ([of] if of else self.shops)}, share=0.6)
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


def _left_out(survey: Survey, pairs: Sequence[Pair], what: str) -> None:
    if pairs:
        systems = {system_of(row.invoice_id) for pair in pairs for row in (pair.left, pair.right)}
        survey.incomplete(systems, f"{what}: {len(pairs)}; compare fewer days")


def _too_many(survey: Survey, refs: Sequence[str], ledgers: Sequence[str]) -> None:
    if left_out := len(refs[_REFUNDED:]):
        systems = {*(system_of(ref) for ref in refs), *ledgers}
        survey.incomplete(systems, f"invoices whose refunds were not compared: {left_out}; compare fewer days")


def _wanted(row: InvoiceRow, window: Window) -> bool:
    """What is void elsewhere is looked up only where the work is small: when few things are compared."""
    return comparable(row) or (row.status == "void" and window == Window())


def _nameless(survey: Survey, rows: Iterable[InvoiceRow]) -> None:
    found = [row for row in rows if number_of(row) is None and comparable(row)]
    if found:
        systems = sorted({system_of(row.invoice_id) for row in found})
        survey.incomplete(systems, f"without a number, and so not compared: {len(found)} of {', '.join(systems)}")


def _is_for(payments: Sequence[PaymentRow], window: Window) -> bool:
    """Whether the latest of these of which something was given back, in the period, is of this window."""
    days = [payment.at.date() for payment in payments if payment.refunded]
    within = [day for day in days if window.period.holds(day)]
    return bool(days) and window.is_for(max(within or days))


def _repaid(payments: Iterable[PaymentRow]) -> bool:
    return any(payment.refunded for payment in payments)


async def _or_none(order: Callable[[str], Awaitable[PaidOrder]], reference: str) -> PaidOrder | None:
    try:
        return await order(reference)
    except NotFound:
        return None


def _counted(survey: Survey, payments: Sequence[PaymentRow], order: PaidOrder | None) -> None:
    survey.count(*(payment.payment_id for payment in payments))
    if order is not None:
        survey.count(order.order_id)
