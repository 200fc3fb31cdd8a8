"""The payment provider against the ledgers and the shop: only what differs is told, and how it may be put right.

Invoices are the same when they have the same number. One that is not among what another system listed is asked for
there by its number before it is called missing, whatever its date and whoever's it is. What could not be read is
never a difference: a system that did not answer is named, and nothing is concluded from its silence.

The work of a call is bounded. A period in which a system has more than `surveying.MOST` invoices or `MOST_PAYMENTS`
payments is compared in windows, the latest days first; the cursor goes on into the days before. What ledgers and
payments have is listed by the day. A provider may list its invoices by something else, such as the day on which they
were made, so that its list says nothing about any day before it has ended: its invoices are compared in the order of that
list, each once, and the cursor has the place in it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial

from backoffice_billing.checking import Checks
from backoffice_billing.comparing import rank
from backoffice_billing.directory import Directory, Found
from backoffice_billing.models import InvoiceRow, PaymentRow, PaymentSection, Reconciliation
from backoffice_billing.ports import InvoiceQuery, Invoices, PaymentQuery, Payments, Refunds, Shop
from backoffice_billing.scopes import Customer, Order, Period, Scope, Window, period_of, scope_of
from backoffice_billing.surveying import MOST, MOST_PAYMENTS, START, Listed, Mark, Survey, listed
from backoffice_shared.envelope import Page
from backoffice_shared.errors import InvalidInput, NotFound
from backoffice_shared.paging import Cursors
from backoffice_shared.refs import Ref, parse_ref
from backoffice_shared.sources import ask_one, must_see

_LIST = ":"
"""Ends the name of a provider in a cursor, where it is the place in its list."""
_STRAYS = 20
"""One in so many of a provider's invoices may bear a date long before those that were made with it."""
_NONE = Period(date.max, date.min)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: in the window that ends `until`, after so many differences. `silent` were the systems that
    did not answer when these were counted, `marks` the places in the providers' lists of invoices: None at the end."""

    until: date | None = None
    given: int = 0
    silent: tuple[str, ...] = ()
    marks: Mapping[str, Mark | None] = field(default_factory=dict[str, Mark | None])


@dataclass(frozen=True, slots=True)
class _Books:
    """What was listed; `repaid` are the ledgers' invoices of which something was given back. `rest` is where that
    begins which is still to be compared."""

    left: list[InvoiceRow]
    right: list[InvoiceRow]
    payments: list[PaymentRow]
    repaid: list[str]
    window: Window
    rest: _Place | None


class Reconciling:
    """`providers` and `ledgers` are names of systems, of which those in `invoices` are compared. Ledgers
    `with_refunds` are those whose payments say what was given back of them: of the others, no refund is called
    missing."""

    def __init__(
        self,
        invoices: Mapping[str, Invoices],
        payments: Mapping[str, Payments],
        refunds: Mapping[str, Refunds],
        shops: Mapping[str, Shop],
        directory: Directory,
        providers: Sequence[str],
        ledgers: Sequence[str],
        cursors: Cursors,
        *,
        with_refunds: Collection[str],
        today: Callable[[], date] = lambda: datetime.now(UTC).date(),
    ) -> None:
        self._checks = Checks(
            invoices,
            payments,
            refunds,
            shops,
            [system for system in providers if system in invoices],
            [system for system in ledgers if system in invoices],
            frozenset(with_refunds),
        )
        self._today = today
        self._directory = directory
        self._cursors = cursors

    async def compare(
        self,
        scope_ref: str | None,
        from_date: date | None,
        to_date: date | None,
        *,
        limit: int,
        cursor: str | None,
    ) -> Reconciliation:
        """The differences of a period (both days included; the 31 days up to today when none is given), or of a
        customer, an invoice, an order or a payment.

        Raises:
            InvalidInput: `scope_ref` is nothing of these, the period ends before it begins, or the cursor is another's.
            NotFound: there is no such thing.
            BackofficeError: no system answered, or one that answered for the page before does not now.
        """
        checks, today = self._checks, self._today()
        scope = scope_of(
            scope_ref, self._directory, invoices=checks.invoices, payments=checks.payments, shops=checks.shops
        )
        period = period_of(scope, from_date, to_date, today)
        question: list[object] = ["reconcile", scope_ref, period.since, period.until]
        place = self._place(question, cursor)
        survey = Survey([*checks.providers, *checks.ledgers, *checks.shops])
        rest = await self._compared(survey, scope, period, place, today)
        survey.must_have_heard()
        if cursor is not None:
            _must_be_the_same(survey, place)
        if isinstance(scope, Order | Ref) and (from_date or to_date):
            survey.notes.append("from_date and to_date were not used: one thing is compared whatever its date")
        return self._page(survey, question, place, rest, limit)

    async def _compared(
        self, survey: Survey, scope: Scope, period: Period, place: _Place, today: date
    ) -> _Place | None:
        match scope:
            case Order():
                await self._order(survey, scope)
            case Ref(kind="payment"):
                await self._payment(survey, scope, today)
            case Ref():
                await self._invoice(survey, scope, today)
            case Customer() | None:
                found = None if scope is None else await self._directory.find(scope.customer_id)
                return await self._period(survey, found, period, place, today)
        return None

    # ---------------------------------------------------------------------------------------------- a page of them

    def _place(self, question: object, cursor: str | None) -> _Place:
        if cursor is None:
            return _Place()
        places = self._cursors.read(question, cursor)
        until, given, _ = places.pop("", None) or (None, 0, 0)
        marks = {key[:-1]: None if at is None else at[:2] for key, at in places.items() if key.endswith(_LIST)}
        silent = tuple(sorted(key for key in places if not key.endswith(_LIST)))
        return _Place(None if until is None else date.fromisoformat(until), given, silent, marks)

    def _page(self, survey: Survey, question: object, place: _Place, rest: _Place | None, limit: int) -> Reconciliation:
        found = sorted(survey.found, key=rank)
        silent = dict.fromkeys(survey.silent)

        def cursor(at: _Place) -> str:
            until = None if at.until is None else at.until.isoformat()
            marks = {system + _LIST: None if mark is None else (*mark, 0) for system, mark in at.marks.items()}
            return self._cursors.write(question, {"": (until, at.given, limit), **marks, **silent})

        def resume(count: int) -> str:
            return cursor(replace(place, given=place.given + count))

        end = place.given + limit
        following = resume(limit) if end < len(found) else None
        if following is None and rest is not None:
            following = cursor(rest)
        if any(source.status == "stale" for source in survey.sources):
            survey.notes.append("some of this was read a while ago (sources.as_of): a difference may be mended already")
        return Reconciliation(
            page=Page(
                next_cursor=following,
                has_more=following is not None,
                total=len(found) if rest is None and not place.marks else None,
            ),
            items=found[place.given : end],
            matched_count=survey.matched,
            coverage=survey.coverage,
            sources=survey.sources,
            notes=survey.notes,
        ).resumed_by(resume)

    # ----------------------------------------------------------------------------------------- everything of a period

    async def _period(
        self, survey: Survey, who: Found | None, period: Period, place: _Place, today: date
    ) -> _Place | None:
        if who is not None:
            survey.heard(who.sources, who.unasked)
        books = await self._listed(survey, who, period, place, today)
        pairs = await self._checks.pairs(survey, books.left, books.right, books.window, today)
        await self._checks.judge(survey, pairs)
        refunded = [row.invoice_id for row in books.payments if row.refunded and row.invoice_id is not None]
        await self._checks.refunded(survey, refunded, books.repaid, pairs, books.window, today)
        await self._checks.ordered(survey, books.payments, books.window)
        return books.rest

    async def _listed(self, survey: Survey, who: Found | None, period: Period, place: _Place, today: date) -> _Books:
        checks, days = self._checks, Period(period.since, place.until or period.until)
        systems = [*checks.providers, *checks.ledgers]
        natives = {system: None if who is None else who.of(system) for system in systems}
        asked = [system for system in systems if natives[system] is None or natives[system]]
        marks = {system: place.marks.get(system, START) for system in checks.providers if system in asked}
        reads = {s: partial(self._invoices_of, s, natives[s], period, today, mark) for s, mark in marks.items() if mark}
        if not days.is_empty:
            reads |= {s: partial(self._invoices_of, s, natives[s], days, today) for s in asked if s in checks.ledgers}
        able = [*checks.providers, *checks.with_refunds]
        paying = [s for s in asked if s in able and s in checks.payments and not days.is_empty]
        invoices, payments = await asyncio.gather(
            survey.ask(reads, share=0.4),
            survey.ask({s: partial(self._payments_of, s, natives[s], days) for s in paying}, share=0.4),
        )
        lists = {system: invoices[system] for system in checks.providers if system in invoices}
        dated = {system: invoices[system] for system in checks.ledgers if system in invoices}
        window = _window(days, lists, dated, payments, today)
        before = window.since - timedelta(days=1) if window.since and not window.is_empty else days.until
        over = days.is_empty or window == days or (period.since is not None and before and before < period.since)
        taken = {
            s: len(each.rows) if over or window.is_empty else _aligned(each.rows, window) for s, each in lists.items()
        }
        marks |= {system: each.after(taken[system]) for system, each in lists.items()}
        rest = _Place(before, marks=marks)
        if over:
            rest = _Place(_NONE.until, marks=marks) if any(marks[system] for system in lists) else None
        more = {s for found in (invoices, payments) for s, each in found.items() if each.more}
        if more:
            survey.incomplete(more, _shortened(sorted(more), window, rest))
        of = None if who is None else frozenset((s, n) for s in checks.providers for n in natives[s] or ())
        return _Books(
            left=[row for system, each in lists.items() for row in each.rows[: taken[system]]],
            right=[row for each in dated.values() for row in each.rows],
            payments=[row for s in checks.providers if s in payments for row in _within(payments[s], window)],
            repaid=[
                row.invoice_id
                for s in checks.ledgers
                if s in payments
                for row in _within(payments[s], window)
                if row.refunded and row.invoice_id is not None
            ],
            window=Window(window, period, bool(place.marks) or rest is not None, of),
            rest=rest,
        )

    async def _invoices_of(
        self, system: str, natives: tuple[str, ...] | None, days: Period, today: date, start: Mark = START
    ) -> Listed[InvoiceRow]:
        query = InvoiceQuery(today=today, customers=natives, issued_since=days.since, issued_until=days.until)
        return await listed(partial(self._checks.invoices[system].search_invoices, query), MOST, start)

    async def _payments_of(self, system: str, natives: tuple[str, ...] | None, days: Period) -> Listed[PaymentRow]:
        query = PaymentQuery(
            customers=natives,
            since=None if days.since is None else datetime.combine(days.since, time.min, UTC),
            until=None if days.until is None else datetime.combine(days.until, time.max, UTC),
        )
        return await listed(partial(self._checks.payments[system].search_payments, query), MOST_PAYMENTS)

    # ----------------------------------------------------------------------------------------------------- one thing

    async def _invoice(self, survey: Survey, ref: Ref, today: date) -> None:
        checks = self._checks
        if ref.backend not in (*checks.providers, *checks.ledgers):
            raise InvalidInput("", f"{ref.backend} is neither a payment provider nor a ledger here")
        must_see(ref.backend)
        invoice, source = await ask_one(ref.backend, partial(checks.invoices[ref.backend].invoice, ref.native))
        survey.heard([source], {})
        survey.count(invoice.invoice_id)
        if invoice.status == "draft":
            survey.notes.append(f"{ref} is a draft: nothing is owed, and drafts are not compared")
            return
        left = [invoice] if ref.backend in checks.providers else []
        right = [] if left else [invoice]
        pairs = await checks.pairs(survey, left, right, Window(), today)
        if invoice.status == "void" and not pairs:
            survey.notes.append(f"{ref} is void: it needs to be nowhere else")
        await checks.judge(survey, pairs)
        await checks.refunded(survey, [pair.left.invoice_id for pair in pairs], [], pairs, Window(), today)

    async def _payment(self, survey: Survey, ref: Ref, today: date) -> None:
        checks = self._checks
        must_see(ref.backend)
        read = partial(checks.payments[ref.backend].payment, ref.native, frozenset[PaymentSection]())
        payment, source = await ask_one(ref.backend, read)
        survey.heard([source], {})
        if payment.order is not None:
            await self._order(survey, Order(payment.order))
        if payment.invoice_id is not None:
            invoice = parse_ref(payment.invoice_id, dict.fromkeys(checks.invoices, "invoice"))
            await self._invoice(survey, invoice, today)
        if payment.order is None and payment.invoice_id is None:
            survey.notes.append(f"{ref} names neither an invoice nor an order: there is nothing to compare it with")

    async def _order(self, survey: Survey, order: Order) -> None:
        """What the shop says was paid for it, against what the provider has for its number."""
        checks = self._checks
        shops = list(checks.shops) if order.shop is None else [order.shop]
        found = (await checks.orders(survey, [order.reference], order.shop)).get(order.reference)
        if found is None and not survey.heard_all(shops):
            survey.must_have_heard()
            return
        if found is None and order.shop is not None:
            raise NotFound("", f"there is no order {order.reference!r} in {order.shop}")
        number = order.reference if found is None else found[1].number
        payments = await survey.ask(
            {
                provider: partial(checks.refunds[provider].payments_for_order, number)
                for provider in checks.providers
                if provider in checks.refunds
            }
        )
        if found is None and survey.heard_all(checks.providers) and not any(payments.values()):
            raise NotFound("", f"no shop has the order {order.reference!r}, and no payment names it")
        for provider, rows in payments.items():
            checks.judge_order(survey, provider, number, rows, found)


def _must_be_the_same(survey: Survey, place: _Place) -> None:
    """Who answers decides what is found: a page is continued only while the same systems answer.

    Raises:
        BackofficeError: one that answered for the page before does not now.
        InvalidInput: one does now that did not then.
    """
    if tuple(survey.silent) == place.silent:
        return
    for system, error in survey.errors.items():
        if system not in place.silent:
            raise error
    raise InvalidInput(
        "", "cursor: a system that did not answer then answers now", hint="Leave the cursor out, to start again"
    )


def _window(
    days: Period,
    lists: Mapping[str, Listed[InvoiceRow]],
    dated: Mapping[str, Listed[InvoiceRow]],
    payments: Mapping[str, Listed[PaymentRow]],
    today: date,
) -> Period:
    """The last of these days of which ledgers and payments are listed whole, and as far back as the providers' `lists`
    got: none as long as these have not come to these days. A day that alone is too much is compared as far as it is
    listed."""
    if days.is_empty:
        return days
    reached = [_reached(each.rows) for each in lists.values() if each.more]
    if any(day is None or (days.until is not None and day > days.until) for day in reached):
        return _NONE
    by_day = [[row.issued_at for row in each.rows] for each in dated.values()]
    by_day += [[row.at.date() for row in each.rows] for each in payments.values()]
    ends = [
        min(rows)
        for rows, each in zip(by_day, [*dated.values(), *payments.values()], strict=True)
        if each.more and rows
    ]
    ends += [day for day in reached if day is not None]
    if not ends:
        return days
    theirs = [row.issued_at for each in lists.values() for row in each.rows if days.holds(row.issued_at)]
    newest = max((day for rows in [*by_day, theirs] for day in rows), default=days.until or today)
    return Period(min(max(ends) + timedelta(days=1), max(newest, *ends)), days.until)


def _reached(rows: Sequence[InvoiceRow]) -> date | None:
    """The day that a provider's list got to, but for strays. It needs not be exact: what is listed beyond it, or missing
    before it, is asked for by its number."""
    return sorted(row.issued_at for row in rows)[len(rows) // _STRAYS] if rows else None


def _aligned(rows: Sequence[InvoiceRow], window: Period) -> int:
    """How many of these rows, in the order of their list, fit the window best: with the fewest of other days among them,
    and of its days after them."""
    cost = least = sum(window.holds(row.issued_at) for row in rows)
    best = 0
    for count, row in enumerate(rows, 1):
        cost += -1 if window.holds(row.issued_at) else 1
        if cost <= least:
            best, least = count, cost
    return best


def _within(payments: Listed[PaymentRow], window: Period) -> list[PaymentRow]:
    return [row for row in payments.rows if window.holds(row.at.date())]


def _shortened(systems: Sequence[str], window: Period, rest: _Place | None) -> str:
    note = f"{', '.join(systems)}: more records than one call compares"
    if window.is_empty:
        return note if rest is None else f"{note}; page.next_cursor goes on"
    until = "" if window.until is None else f" to {window.until}"
    note = f"{note}; this is from {window.since or 'the last'}{until}"
    return note if rest is None else f"{note}, and page.next_cursor goes on with the days before"
