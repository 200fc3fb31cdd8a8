"""Whatever is done in whatever order, an invoice and its payments are what a few lines of arithmetic say they are.

Rules do what is allowed and what is not, through the tools alone; the model knows which is which. What the model allows must be
done, what it does not must be refused and change nothing.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule
from mcp_types import CallToolResult
from tests.billing.books_balance import dispute, must_balance, settle
from tests.billing.counter import Office, counter, said
from tests.billing.generous import generous_policy

from backoffice_shared.jsonvalues import arr, obj


@dataclass
class Bill:
    """What must be so. Amounts in minor units. `payments` are (id, amount), `refunded` what was given back of each."""

    invoice: str
    total: int
    status: str = "draft"
    paid: int = 0
    credited: int = 0
    payments: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])
    refunded: dict[str, int] = field(default_factory=dict[str, int])
    disputed: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def due(self) -> int:
        return 0 if self.status in ("draft", "void") else max(self.total - self.paid - self.credited, 0)

    @property
    def made_good(self) -> int:
        """What was credited after it was paid: that is not given back, too."""
        return max(self.paid + self.credited - self.total, 0)

    def settled(self) -> None:
        if self.status == "open" and self.due == 0:
            self.status = "paid"


CURRENCIES = ("USD", "JPY", "KWD")


class Accounts(RuleBasedStateMachine):
    bills = Bundle("bills")

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        portal: BlockingPortal = self._open.enter_context(start_blocking_portal("asyncio"))
        folder = Path(self._open.enter_context(TemporaryDirectory()))
        running: AbstractContextManager[Office] = portal.wrap_async_context_manager(
            counter(customers=12, systems={"stripe"}, hurried=False, refund_policy=generous_policy(folder))
        )
        self._portal = portal
        self._at = self._open.enter_context(running)
        self._keys = 0
        self._known: list[Bill] = []

    def teardown(self) -> None:
        self._open.close()

    # ------------------------------------------------------------------------------------------------ the hands

    def _call(self, tool: str, **arguments: Any) -> CallToolResult:
        return self._portal.call(partial(self._at.call, tool, **arguments))

    def _ask(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return self._portal.call(partial(self._at.ask, tool, **arguments))

    def _do(self, tool: str, **arguments: Any) -> dict[str, Any] | None:
        """Preview and execute; None when either is refused."""
        self._keys += 1
        arguments["idempotency_key"] = f"key-{self._keys:06}"
        shown = self._call(tool, **arguments)
        if not shown.is_error:
            shown = self._call(tool, **arguments, plan_token=obj(shown.structured_content)["plan_token"])
        self._refusal = said(shown) if shown.is_error else ""
        return None if shown.is_error else obj(shown.structured_content)

    def _refund(self, payment: str, amount: int) -> dict[str, Any] | None:
        self._keys += 1
        preview = self._ask("preview_refund", payment_id=payment, amount=amount, reason="defective")
        if preview["policy"]["decision"] != "auto":
            return None
        done = self._call("issue_refund", plan_token=preview["plan_token"], idempotency_key=f"key-{self._keys:06}")
        self._refusal = said(done) if done.is_error else ""
        return None if done.is_error else obj(done.structured_content)

    # ------------------------------------------------------------------------------------------------ the rules

    @initialize()
    def find_a_customer(self) -> None:
        books = self._at.company.books
        email = next(
            person.email
            for person in self._at.company.people
            if books.bills(person) and (card := books.card(person)) is not None and card.behaviour == "succeeds"
        )
        self._customer = obj(arr(self._ask("get_billing_account", customer_ids=[email])["items"])[0])["customer_id"]

    @rule(
        target=bills,
        currency=st.sampled_from(CURRENCIES),
        units=st.lists(st.tuples(st.integers(1, 5), st.integers(100, 200_000)), min_size=1, max_size=3),
    )
    def draft(self, currency: str, units: list[tuple[int, int]]) -> Bill:
        # Amounts in a currency of three decimals end in 0 at this provider.
        lines = [
            {"description": "Work", "quantity": n, "unit_amount": unit * 10 if currency == "KWD" else unit}
            for n, unit in units
        ]
        self._keys += 1
        made = self._ask(
            "create_invoice",
            customer_id=self._customer,
            currency=currency,
            lines=lines,
            idempotency_key=f"key-{self._keys:06}",
        )
        bill = Bill(made["invoice_id"], sum(n * (unit * 10 if currency == "KWD" else unit) for n, unit in units))
        self._known.append(bill)
        return bill

    @rule(bill=bills)
    def issue(self, bill: Bill) -> None:
        done = self._do("issue_invoice", invoice_id=bill.invoice, send=False)
        assert (done is not None) is (bill.status == "draft"), self._refusal
        if done is not None:
            bill.status = "open"

    @rule(bill=bills)
    def void(self, bill: Bill) -> None:
        done = self._do("void_invoice", invoice_id=bill.invoice, reason="a mistake")
        allowed = bill.status == "open" and bill.paid == 0 and bill.credited == 0
        assert (done is not None) is allowed, self._refusal
        if done is not None:
            bill.status = "void"

    @rule(bill=bills, share=st.sampled_from([None, 1, 2, 3, 100]))
    def collect(self, bill: Bill, share: int | None) -> None:
        """All of it, a part of it, or more than it."""
        amount = None if share is None else bill.due * 2 if share == 100 else max(bill.due // share, 1)
        amount = amount if amount is None or amount % 10 == 0 else amount - amount % 10 or 10
        given = {} if amount is None else {"amount": max(amount, 1)}
        done = self._do("collect_payment", invoice_id=bill.invoice, **given)
        wanted = bill.due if amount is None else given["amount"]
        allowed = bill.status == "open" and 0 < wanted <= bill.due
        assert (done is not None) is allowed, (self._refusal, bill, given)
        if done is not None:
            assert done["amount"]["amount"] == wanted
            bill.paid += wanted
            bill.payments.append((done["payment_id"], wanted))
            bill.settled()

    @rule(bill=bills, share=st.integers(1, 4), disposition=st.sampled_from(["out_of_band", "credit_balance"]))
    def credit(self, bill: Bill, share: int, disposition: str) -> None:
        left = bill.total - bill.credited - sum(bill.refunded.values())
        amount = max(left // share, 10)
        amount -= amount % 10
        done = self._do(
            "create_credit_note", invoice_id=bill.invoice, amount=amount, reason="less", disposition=disposition
        )
        allowed = bill.status in ("open", "paid") and amount <= left
        assert (done is not None) is allowed, (self._refusal, bill, amount)
        if done is not None:
            bill.credited += amount
            bill.settled()

    @rule(bill=bills, which=st.integers(0, 3), share=st.sampled_from([1, 2, 3, 100]))
    def refund(self, bill: Bill, which: int, share: int) -> None:
        if not bill.payments:
            return
        payment, paid = bill.payments[which % len(bill.payments)]
        left = max(paid - bill.refunded.get(payment, 0) - bill.made_good, 0)
        amount = left + 10 if share == 100 else max(left // share, 10)
        amount -= amount % 10
        done = self._refund(payment, amount)
        allowed = 0 < amount <= left and bill.disputed.get(payment) not in ("open", "lost")
        assert (done is not None) is allowed, (self._refusal, bill, amount)
        if done is not None:
            bill.refunded[payment] = bill.refunded.get(payment, 0) + amount

    @rule(bill=bills, outcome=st.sampled_from(["open", "won", "lost"]))
    def the_bank_disputes(self, bill: Bill, outcome: str) -> None:
        for payment, _ in bill.payments[:1]:
            if not bill.refunded.get(payment) and bill.disputed.get(payment) in (None, "open"):
                self._portal.call(partial(_disputed, self._at, payment, outcome))
                bill.disputed[payment] = outcome

    @rule()
    def time_passes(self) -> None:
        self._portal.call(partial(_settled, self._at))

    @rule(bill=consumes(bills))
    def forget(self, bill: Bill) -> None:
        """One that is left alone from here on, and must stay as it is."""

    # -------------------------------------------------------------------------------------------- what is always so

    @invariant()
    def every_invoice_is_as_the_model_has_it(self) -> None:
        for start in range(0, len(self._known), 20):
            asked = self._known[start : start + 20]
            found = self._ask("get_invoices", invoice_ids=[bill.invoice for bill in asked], include=["links"])
            rows = {row["invoice_id"]: row for row in map(obj, arr(found["items"]))}
            for bill in asked:
                row = rows[bill.invoice]
                status = "open" if row["status"] == "overdue" else row["status"]
                seen = (status, *(row[name]["amount"] for name in ("total", "paid", "credited", "due")))
                assert seen == (bill.status, bill.total, bill.paid, bill.credited, bill.due), bill

    @invariant()
    def no_payment_gave_back_more_than_it_took(self) -> None:
        for bill in self._known:
            for payment, amount in bill.payments:
                row = self._ask("get_payment", payment_id=payment)
                refunded = bill.refunded.get(payment, 0)
                assert row["refunded"]["amount"] == refunded <= amount
                blocked = bill.disputed.get(payment) in ("open", "lost")
                assert row["refundable"]["amount"] == (0 if blocked else amount - refunded)

    @invariant()
    def the_books_balance(self) -> None:
        must_balance(self._at.sandboxes)


async def _disputed(at: Office, payment: str, outcome: str) -> None:
    dispute(at.sandboxes, payment, outcome)


async def _settled(at: Office) -> None:
    settle(at.sandboxes)


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(
    max_examples=12,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
