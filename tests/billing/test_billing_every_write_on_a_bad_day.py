"""Every tool that writes, with a backend down, refusing, throttling, lying or slow when it is written to, first or last: what is not known to be undone is said to be unknown, and when all is well again the same call does
the rest, and nothing twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from tests.billing.books_balance import must_balance
from tests.billing.counter import Office, counter, said
from tests.billing.people import Hand, ids, payer
from tests.billing.test_billing_every_tool_on_a_bad_day import FAULTS, TITLES, called

from backoffice_billing.backends.quickbooks.sandbox.api import file_of
from backoffice_billing.backends.stripe.sandbox import account_of
from backoffice_billing.backends.xero.sandbox import org_of
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.books import paid_outside
from backoffice_shared.sandbox.frame import VendorSandbox
from backoffice_shopify.sandbox import shop_of

pytestmark = pytest.mark.anyio

BILLING = ("stripe", "xero", "quickbooks")
MAKING = ("create_invoice", "issue_invoice", "void_invoice", "create_credit_note")


@dataclass(frozen=True)
class Case:
    """A call that writes to `system`, and the one that fails: it, or the ledger that is told of it."""

    tool: str
    system: str
    fails: str

    def __str__(self) -> str:
        return f"{self.tool} in {self.system}" + (f" without {self.fails}" if self.fails != self.system else "")


THERE = [
    *(Case(tool, system, system) for tool in MAKING for system in BILLING),
    *(Case(tool, "stripe", "stripe") for tool in ("collect_payment", "issue_refund")),
    Case("issue_refund", "shopify", "shopify"),
]
TOLD = [
    Case(tool, "stripe", "xero")
    for tool in ("issue_invoice", "void_invoice", "create_credit_note", "collect_payment", "issue_refund")
]

Holdings = Counter[tuple[object, ...]]


def holdings(sandboxes: Mapping[str, VendorSandbox]) -> Holdings:
    """What there is of invoices and of money, in every system."""
    account, org, file = account_of(sandboxes["stripe"]), org_of(sandboxes["xero"]), file_of(sandboxes["quickbooks"])
    shop = shop_of(sandboxes["shopify"])
    return Counter(
        [
            *(("stripe", "invoice", row.status) for row in account.invoices),
            *(("stripe", "charge", row.status, row.amount) for row in account.charges),
            *(("stripe", "refund", row.status, row.amount) for row in account.refunds),
            *(("stripe", "credit note", row.total) for row in account.credit_notes),
            *(("xero", row.type, row.status, row.total) for row in org.documents.values()),
            *(("xero", "payment", row.amount, row.deleted) for row in org.payments.values()),
            *(("xero", "allocation", row.amount) for row in org.allocations.values()),
            *(
                ("quickbooks", kind, row.net + row.tax, row.balance)
                for kind, table in file.tables.items()
                for row in table.by_id.values()
            ),
            *(("shopify", refund.amount) for order in shop.company.orders for refund in shop.till.refunds(order)),
        ]
    )


def changed(before: Holdings, after: Holdings) -> tuple[Holdings, Holdings]:
    """What is there more, and what is there no more."""
    return after - before, before - after


@dataclass(frozen=True)
class Done:
    """What a call did where nothing failed, and of which of the requests to each system it was made: their methods."""

    change: tuple[Holdings, Holdings]
    methods: Mapping[str, list[str]]

    def moments(self, vendor: str) -> set[int]:
        """How many requests succeed before all fail: those before it is written to, and those before that happens last."""
        writes = [n for n, method in enumerate(self.methods[vendor]) if method != "GET"]
        return {writes[0], writes[-1]}


@pytest.fixture(scope="module")
def known() -> dict[Case, Done]:
    """What each call does where nothing fails: found out once."""
    return {}


async def _done(case: Case, known: dict[Case, Done]) -> Done:
    return known[case] if case in known else known.setdefault(case, await _healthy(case))


async def _healthy(case: Case) -> Done:
    async with counter(hurried=False) as at:
        arguments = await _prepared(at, case)
        before = holdings(at.sandboxes)
        for sandbox in at.sandboxes.values():
            sandbox.requests.clear()
        await at.ask(case.tool, **arguments)
        methods = {name: [entry.method for entry in box.requests] for name, box in at.sandboxes.items()}
        return Done(changed(before, holdings(at.sandboxes)), methods)


def failing_after(requests: int, faults: dict[str, Any]) -> dict[str, Any]:
    """These faults, for all requests but the first ones."""
    (fault, _), *others = faults.items()
    return {"plan": ["ok"] * requests + [fault] * 100, **dict(others)}


# An answer of another shape is to a write what half an answer is.
every_fault = pytest.mark.parametrize("fault", [fault for fault in FAULTS if fault != "an answer of another shape"])


@every_fault
@pytest.mark.parametrize("case", THERE, ids=str)
async def test_a_write_is_done_once_whatever_failed_first(case: Case, fault: str, known: dict[Case, Done]):
    faults, code = FAULTS[fault]
    done = await _done(case, known)
    assert done.change != (Counter(), Counter())
    for moment in sorted(done.moments(case.fails)):
        async with counter(hurried=False) as at:
            arguments = await _prepared(at, case)
            before = holdings(at.sandboxes)
            at.broken(case.fails, **failing_after(moment, faults))
            result = await called(at, case.fails, case.tool, arguments)
            must_balance(at.sandboxes)
            if not result.is_error:  # done, but for what can be done later
                assert case.tool == "issue_invoice"
                # Xero says nothing when it has sent an e-mail, so that nothing of it can be wrong.
                said_nothing = case.system == "xero" and code == "malformed_answer"
                assert obj(result.structured_content).get("unfinished", said_nothing) is True, moment
            else:
                error = obj(obj(result.structured_content).get("error"))
                assert error["code"] in (code, "outcome_unknown"), (moment, said(result))
                assert error.get("source", TITLES[case.fails]) == TITLES[case.fails]
                assert error["message"].endswith(".")
                if error["code"] != "outcome_unknown":
                    assert changed(before, holdings(at.sandboxes)) == (Counter(), Counter()), (moment, said(result))
            at.broken(case.fails)
            if fault == "throttling":
                continue  # we keep away for as long as we were asked to
            again = await at.ask(case.tool, **arguments)
            assert again["idempotency_key"] == arguments["idempotency_key"]
            assert changed(before, holdings(at.sandboxes)) == done.change, moment
            must_balance(at.sandboxes)


@every_fault
@pytest.mark.parametrize("case", TOLD, ids=str)
async def test_a_ledger_that_could_not_be_told_is_told_by_the_same_call(
    case: Case, fault: str, known: dict[Case, Done]
):
    faults, _ = FAULTS[fault]
    done = await _done(case, known)
    for moment in sorted(done.moments(case.fails)):
        async with counter(hurried=False) as at:
            arguments = await _prepared(at, case)
            before = holdings(at.sandboxes)
            at.broken(case.fails, **failing_after(moment, faults))
            result = await called(at, case.fails, case.tool, arguments)
            assert not result.is_error, (moment, said(result))
            answer = obj(result.structured_content)
            assert answer["unfinished"] is True
            assert answer["ledger"]["status"] == "failed"
            assert answer["ledger"]["message"].startswith("Xero: ")
            at.broken(case.fails)
            if fault == "throttling":
                continue  # we keep away for as long as we were asked to
            again = await at.ask(case.tool, **arguments)
            assert again["ledger"]["status"] == "posted", moment
            assert "unfinished" not in again
            assert changed(before, holdings(at.sandboxes)) == done.change, moment
            must_balance(at.sandboxes)


async def _prepared(at: Office, case: Case) -> dict[str, Any]:
    """A call that works, and that is no preview."""
    hand = Hand(at)
    if case.system == "shopify":
        return await _refund_of_an_order(at)
    person = payer(at.company, ledger="us" if case.system == "quickbooks" else "eu")
    customer, currency = (await ids(at, person))[case.system], at.company.books.currency(person)
    match case.tool:
        case "create_invoice":
            lines = [{"description": "Work", "unit_amount": 4_000}, {"description": "Travel", "unit_amount": 1_000}]
            new = {"customer_id": customer, "currency": currency, "lines": lines}
            return {**new, "idempotency_key": hand.key()}
        case "issue_invoice":
            return await hand.planned("issue_invoice", invoice_id=await hand.draft(customer, currency, 4_000))
        case "void_invoice":
            invoice = await hand.issued(customer, currency, 4_000)
            return await hand.planned("void_invoice", invoice_id=invoice, reason="a mistake")
        case "create_credit_note":
            invoice = await hand.issued(customer, currency, 4_000)
            credit = {"amount": 500, "reason": "less work", "disposition": "out_of_band"}
            return await hand.planned("create_credit_note", invoice_id=invoice, **credit)
        case "collect_payment":
            return await hand.planned("collect_payment", invoice_id=await hand.issued(customer, currency, 4_000))
        case "issue_refund":
            _, payment = await hand.paid(customer, currency, 4_000)
            return await _refund(at, payment_id=payment, amount=1_000, reason="defective")
        case _:
            raise AssertionError(case.tool)


async def _refund(at: Office, **of: Any) -> dict[str, Any]:
    shown = await at.ask("preview_refund", **of)
    return {"plan_token": shown["plan_token"], "idempotency_key": "the-refund"}


async def _refund_of_an_order(at: Office) -> dict[str, Any]:
    """Of the first that the shop was paid for and that nobody has to approve."""
    for order in at.company.orders:
        if order.payment == "paid" and not paid_outside(order) and at.company.total(order) <= 5_000:
            shown = await at.ask("preview_refund", order_id=f"#{1001 + order.number}", reason="not_received")
            if shown["policy"]["decision"] == "auto":
                return {"plan_token": shown["plan_token"], "idempotency_key": "the-refund"}
    raise AssertionError("no such order")
