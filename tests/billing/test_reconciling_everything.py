"""Whatever the systems hold, however much of it: exactly what was changed is told, once, on one page or another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.books import CURSORS, DOWN, TODAY, Office, System

from backoffice_billing.models import Difference, Reconciliation
from backoffice_billing.surveying import MOST
from backoffice_shared.errors import BackendUnavailable, InvalidInput

pytestmark = pytest.mark.anyio

SINCE = TODAY - timedelta(days=60)
Edit = Literal[
    "none",
    "dated otherwise",
    "missing_in_ledger",
    "missing_in_provider",
    "total_differs",
    "payment_missing_in_ledger",
    "payment_missing_in_provider",
    "refund_missing_in_ledger",
    "refund_missing_in_provider",
    "doubled_in_ledger",
    "credit_differs",
    "status_differs",
]


@dataclass(frozen=True)
class Fact:
    """One invoice as it truly is, and what one system has wrong about it."""

    total: int
    paid: bool
    refunded: bool
    days_ago: int
    ledger: Literal["xero", "quickbooks"]
    currency: str
    edit: Edit

    @property
    def shows(self) -> bool:
        return self.edit not in ("none", "dated otherwise")


@st.composite
def facts(draw: st.DrawFn) -> Fact:
    paid = draw(st.booleans())
    refunded = paid and draw(st.booleans())
    edits: list[Edit] = ["none", "dated otherwise", "missing_in_ledger", "missing_in_provider", "total_differs"]
    edits.append("doubled_in_ledger")
    if refunded:
        edits.extend(("refund_missing_in_ledger", "refund_missing_in_provider"))
    elif paid:
        edits.extend(("payment_missing_in_ledger", "credit_differs"))
    else:
        edits.extend(("payment_missing_in_provider", "status_differs"))
    return Fact(
        total=draw(st.integers(2, 10**12)),
        paid=paid,
        refunded=refunded,
        days_ago=draw(st.integers(0, 60)),
        ledger=draw(st.sampled_from(["xero", "quickbooks"])),
        currency=draw(st.sampled_from(["EUR", "JPY", "KWD"])),
        edit=draw(st.sampled_from(edits)),
    )


def enter(at: Office, number: str, fact: Fact) -> None:
    """Into both systems, as they have it."""
    day = TODAY - timedelta(days=fact.days_ago)
    repaid = fact.total // 2 if fact.refunded else 0
    if fact.edit != "missing_in_provider":
        given = 0 if fact.edit == "refund_missing_in_provider" else repaid
        keep(at.stripe, number, fact, fact.total, day=day, paid=fact.paid, repaid=given)
    for _ in range({"missing_in_ledger": 0, "doubled_in_ledger": 2}.get(fact.edit, 1)):
        keep(
            at.systems[fact.ledger],
            number,
            fact,
            fact.total + (1 if fact.edit == "total_differs" else 0),
            day=day - timedelta(days=100) if fact.edit == "dated otherwise" else day,
            paid=(fact.paid or fact.edit == "payment_missing_in_provider") and fact.edit != "payment_missing_in_ledger",
            void=fact.edit == "status_differs",
            credited=fact.edit == "credit_differs",
            repaid=0 if fact.edit == "refund_missing_in_ledger" else repaid,
        )


def keep(
    system: System,
    number: str,
    fact: Fact,
    total: int,
    *,
    day: date,
    paid: bool,
    repaid: int,
    void: bool = False,
    credited: bool = False,
) -> None:
    status = "void" if void else "paid" if paid else "open"
    taken = total if paid and not credited else 0
    given_up = total if credited else 0
    invoice = system.bill(number, total, on=day, status=status, paid=taken, credited=given_up, currency=fact.currency)
    if taken:
        system.receive(total, on=day, invoice=invoice, refunded=repaid, currency=fact.currency)


async def page(at: Office, limit: int = 50, cursor: str | None = None) -> Reconciliation:
    return await at.reconciling.compare(None, SINCE, TODAY, limit=limit, cursor=cursor)


async def walked(at: Office, limit: int) -> list[Reconciliation]:
    pages = [await page(at, limit)]
    while (cursor := pages[-1].page.next_cursor) is not None:
        assert len(pages) < 200
        pages.append(await page(at, limit, cursor))
    return pages


def names(found: Sequence[Difference]) -> list[tuple[str, str]]:
    return [(difference.kind, difference.reference) for difference in found]


@given(truth=st.lists(facts(), max_size=12), limit=st.integers(1, 5), largest=st.integers(1, 4))
async def test_exactly_what_was_changed_is_found_and_nothing_else(truth: list[Fact], limit: int, largest: int):
    at = Office()
    for system in at.systems.values():
        system.largest = largest * 4
    for number, fact in enumerate(truth):
        enter(at, f"NW-{number}", fact)
    changed = {(fact.edit, f"NW-{number}") for number, fact in enumerate(truth) if fact.shows}
    whole = await page(at)
    assert (len(whole.items), set(names(whole.items))) == (len(changed), changed)
    assert whole.matched_count == len(truth) - len(changed)
    assert all(coverage.complete for coverage in whole.coverage)
    parts = [difference for part in await walked(at, limit) for difference in part.items]
    assert parts == whole.items


@given(truth=st.lists(facts(), max_size=10), silent=st.sets(st.sampled_from(["stripe", "xero", "quickbooks"])))
async def test_whoever_is_silent_nothing_is_told_that_is_not_so(truth: list[Fact], silent: set[str]):
    at = Office()
    for number, fact in enumerate(truth):
        enter(at, f"NW-{number}", fact)
    for system in silent:
        at.systems[system].error = DOWN
    if len(silent) == 3:
        with pytest.raises(BackendUnavailable):
            await page(at)
        return
    found = await page(at)
    assert set(names(found.items)) <= {(fact.edit, f"NW-{number}") for number, fact in enumerate(truth)}
    assert {coverage.system for coverage in found.coverage if not coverage.complete} >= silent


@given(truth=st.lists(facts(), max_size=10), broken=st.integers(0, 30))
async def test_whichever_single_request_fails_nothing_is_told_that_is_not_so(truth: list[Fact], broken: int):
    at = Office()
    for number, fact in enumerate(truth):
        enter(at, f"NW-{number}", fact)
    asked: list[str] = []

    def fails(what: str) -> bool:
        asked.append(what)
        return len(asked) == broken + 1

    for system in at.systems.values():
        system.fails = fails
    found = await page(at)
    changed = {(fact.edit, f"NW-{number}") for number, fact in enumerate(truth) if fact.shows}
    assert set(names(found.items)) <= changed
    if len(asked) <= broken:
        assert set(names(found.items)) == changed


async def test_more_than_one_call_compares_is_walked_in_windows_and_told_once():
    at = Office()
    for n in range(2 * MOST + 50):
        day = TODAY - timedelta(days=n // 12)
        at.stripe.bill(f"NW-{n:04}", 100, on=day)
        if n % 20:
            at.xero.bill(f"NW-{n:04}", 100 if n % 30 else 99, on=day - timedelta(days=n % 3))
    pages = await walked(at, 50)
    told = [name for part in pages for name in names(part.items)]
    expected = {("missing_in_ledger", f"NW-{n:04}") for n in range(0, 2 * MOST + 50, 20)}
    expected |= {("total_differs", f"NW-{n:04}") for n in range(0, 2 * MOST + 50, 30) if n % 20}
    assert (len(told), set(told)) == (len(expected), expected)
    assert len(pages) == 3
    assert [c.complete for c in pages[0].coverage if c.system == "stripe"] == [False]
    assert "page.next_cursor goes on with the days before" in pages[0].notes[0]
    assert all(c.compared <= MOST for part in pages for c in part.coverage)


async def test_the_work_of_one_call_is_bounded_whatever_there_is():
    at = Office()
    for n in range(1_000):
        at.stripe.receive(100, invoice=at.stripe.bill(f"A-{n}", 100), refunded=10, order=f"#{n}")
        at.xero.bill(f"B-{n}", 100)
        at.quickbooks.bill(f"A-{n}", 200)
    found = await page(at)
    assert {name: len(system.asked) <= 150 for name, system in at.systems.items()} == dict.fromkeys(at.systems, True)
    whole = [asked for system in at.systems.values() for asked in system.asked if asked.startswith("whole")]
    assert len(whole) <= 2 * 3
    assert not any(coverage.complete for coverage in found.coverage if coverage.compared)
    assert found.notes


async def test_a_ledger_is_asked_less_in_one_call_than_xero_answers_in_a_minute():
    at = Office()
    long_ago = SINCE - timedelta(days=100)
    at.stripe.largest = at.xero.largest = at.quickbooks.largest = 100
    for n in range(100):
        for number, on in ((f"OLD-{n}", long_ago), (f"NW-{n}", TODAY)):
            for system in (at.stripe, at.xero):
                paid = system.bill(number, 100, on=on, status="paid", paid=100 if system is at.stripe else 90)
                system.receive(100, invoice=paid, refunded=10)
        at.stripe.bill(f"MISSING-{n}", 100)
    found = await page(at)
    assert 20 < len(at.xero.asked) <= 40
    assert not any(coverage.complete for coverage in found.coverage if coverage.system != "shopify")


async def test_a_day_that_alone_is_too_much_is_compared_as_far_as_it_is_listed_and_said():
    at = Office()
    for n in range(MOST + 50):
        at.stripe.bill(f"NW-{n}", 100)
        at.xero.bill(f"NW-{n}", 100)
    at.stripe.bill("OLD", 100, on=TODAY - timedelta(days=5))
    pages = await walked(at, 50)
    assert [names(part.items) for part in pages] == [[], [("missing_in_ledger", "OLD")]]
    assert f"this is from {TODAY} to {TODAY}" in pages[0].notes[0]


async def test_what_belongs_to_two_windows_is_told_in_one():
    at = Office()
    for n in range(MOST):
        day = TODAY - timedelta(days=n // 12)
        at.stripe.bill(f"NW-{n}", 100, on=day)
        at.xero.bill(f"NW-{n}", 100, on=day)
    early, late = TODAY - timedelta(days=40), TODAY - timedelta(days=1)
    dated = at.stripe.bill("OTHERWISE", 100, on=early)
    at.xero.bill("OTHERWISE", 90, on=late)
    paid = at.stripe.bill("PAID", 100, on=early, status="paid", paid=100)
    at.xero.bill("PAID", 100, on=early, status="paid", paid=100)
    for day in (early, late):
        at.stripe.receive(50, on=day, invoice=paid, refunded=20)
        at.stripe.receive(50, on=day, order="#1")
    at.shop.sell("#1", 90)
    pages = await walked(at, 50)
    assert len(pages) == 2
    assert [(d.kind, d.reference) for part in pages for d in part.items] == [
        ("refund_missing_in_ledger", "PAID"),
        ("order_differs", "#1"),
        ("total_differs", "OTHERWISE"),
    ]
    assert pages[1].items[0].left.id == dated.invoice_id


async def test_no_window_goes_before_the_period():
    at = Office()
    for n in range(MOST + 1):
        at.stripe.bill(f"NW-{n}", 100, on=SINCE)
        at.xero.bill(f"NW-{n}", 100, on=SINCE)
    at.stripe.bill("OLD", 100, on=SINCE - timedelta(days=1))
    pages = await walked(at, 50)
    assert [names(part.items) for part in pages] == [[], []]
    assert sum(part.matched_count for part in pages) == MOST + 1


async def test_what_a_system_gives_nobody_is_said_to_be_left_out():
    at = Office()
    for n in range(20):
        for system in (at.stripe, at.xero):
            system.bill(f"NW-{n}", 100, on=TODAY - timedelta(days=n))
    at.xero.gives = 10
    pages = await walked(at, 50)
    assert [names(part.items) for part in pages] == [[]] * len(pages)
    assert (len(pages), sum(part.matched_count for part in pages)) == (3, 20)
    assert [c.complete for c in pages[0].coverage if c.system == "xero"] == [False]


async def test_a_page_continues_where_the_one_before_was_cut():
    at = Office()
    for n in range(9):
        at.stripe.bill(f"NW-{n}", 100)
    first = await page(at, 6)
    assert first.resume is not None
    rest = await page(at, 6, first.resume(2))
    assert names(first.items)[:2] + names(rest.items) == names((await page(at)).items)[:8]
    assert (first.page.total, first.page.has_more) == (9, True)


async def test_a_page_is_continued_only_while_the_same_systems_answer():
    at = Office()
    for n in range(4):
        at.stripe.bill(f"NW-{n}", 100)
        at.xero.bill(f"NW-{n}", 90)
    whole, at.xero.error = (await page(at, 2)).page.next_cursor, DOWN
    with pytest.raises(BackendUnavailable):
        await page(at, 2, whole)
    at.xero.error, at.quickbooks.error = None, DOWN
    partial_ = (await page(at, 2)).page.next_cursor
    assert len((await page(at, 2, partial_)).items) == 2
    at.quickbooks.error = None
    with pytest.raises(InvalidInput, match="answers now"):
        await page(at, 2, partial_)


async def test_a_cursor_is_of_its_own_question():
    at = Office()
    for n in range(4):
        at.stripe.bill(f"NW-{n}", 100)
    cursor = (await page(at, 2)).page.next_cursor
    with pytest.raises(InvalidInput, match="other arguments"):
        await at.reconciling.compare(None, SINCE + timedelta(days=1), TODAY, limit=2, cursor=cursor)
    forged = CURSORS.write("something else", {"": (None, 0, 2)})
    with pytest.raises(InvalidInput, match="other arguments"):
        await page(at, 2, forged)
