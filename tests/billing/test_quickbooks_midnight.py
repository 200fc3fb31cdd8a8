"""A call to QuickBooks that is repeated after midnight: under a request's id nothing else is sent than before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import httpx
import pytest
from tests.billing.quickbooks_realm import KEY, OTHER_KEY, PRESENT, TODAY, Ledgers, draft, killed, ledgers, usd

from backoffice_billing.models import Invoice
from backoffice_billing.ports import CreditDraft, DraftLine, Entry
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import BackofficeError
from backoffice_shared.jsonvalues import parse
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults, InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

LATE = PRESENT.replace(hour=23, minute=50)
FIRST = LATE.date()


class Noting(httpx.AsyncBaseTransport):
    """Keeps what was sent under which request's id."""

    def __init__(self, sandbox: VendorSandbox) -> None:
        self._inner = InProcess(sandbox)
        self.sent: dict[str, list[bytes]] = defaultdict(list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if (id_ := request.url.params.get("requestid")) is not None:
            self.sent[id_].append(await request.aread())
        return await self._inner.handle_async_request(request)


class Evening:
    """A few minutes before midnight, and then the day after."""

    def __init__(self, company: Company) -> None:
        self.wires: list[Noting] = []
        self.books: Ledgers = ledgers(company, at=LATE, over=self._noting)

    def _noting(self, sandbox: VendorSandbox) -> Noting:
        self.wires.append(Noting(sandbox))
        return self.wires[-1]

    @property
    def sent(self) -> dict[str, list[bytes]]:
        return self.wires[0].sent

    async def twice(self, call: Callable[[], Awaitable[object]], faults: Faults, *, remembered: bool) -> None:
        """It fails before midnight, and is repeated after it. QuickBooks may have forgotten it by then: it never says for
        how long it remembers."""
        began = self.books.present.at
        self.books.sandbox.faults = faults
        try:
            await call()
        except BackofficeError:
            pass
        self.books.sandbox.faults = Faults()
        if not remembered:
            self.books.forgets()
        self.books.clock.advance(600)
        self.books.present.pass_by(minutes=20)
        assert self.books.present.at.date() > FIRST
        with attempting(began):
            await call()

    def days(self, key: str) -> set[date]:
        """Those that what was sent bears."""
        wires: list[Any] = [parse(body) for id_, bodies in self.sent.items() if key in id_ for body in bodies if body]
        return {date.fromisoformat(wire["TxnDate"]) for wire in wires if "TxnDate" in wire}


def lost(at: int) -> Faults:
    """After so many requests, nothing arrives any more."""
    well: list[Fault] = ["ok"] * at
    gone: list[Fault] = ["reset"] * 40
    return Faults(plan=[*well, *gone])


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


@pytest.fixture
def evening(company: Company) -> Evening:
    return Evening(company)


def native(invoice: Invoice) -> str:
    return invoice.invoice_id.rpartition(":")[2]


async def drafted(books: Ledgers, day: date, key: str) -> Invoice:
    lines = DraftLine("Tent", 4, usd(20_00), tax_code="3"), DraftLine("Rope", 2, usd(10_00), tax_code="3")
    wanted = replace(draft(books.person("US"), *lines), date=day)
    return (await books.quickbooks.create_invoice(wanted, key)).value


FAULTS = [killed, lost]


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("failing", FAULTS)
@pytest.mark.parametrize("at", range(8))
async def test_a_draft(evening: Evening, at: int, failing: Callable[[int], Faults], *, remembered: bool) -> None:
    books = evening.books
    await evening.twice(lambda: drafted(books, books.present.at.date(), KEY), failing(at), remembered=remembered)
    assert all(len(set(bodies)) == 1 for bodies in evening.sent.values())
    assert evening.days(KEY) == {FIRST}
    assert len(books.made("Estimate")) == 1


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("failing", FAULTS)
@pytest.mark.parametrize("at", range(10))
async def test_an_invoice(evening: Evening, at: int, failing: Callable[[int], Faults], *, remembered: bool) -> None:
    books = evening.books
    made = await drafted(books, FIRST, OTHER_KEY)
    await evening.twice(
        lambda: books.quickbooks.issue_invoice(native(made), made.version, send=False, key=KEY),
        failing(at),
        remembered=remembered,
    )
    assert all(len(set(bodies)) == 1 for bodies in evening.sent.values())
    assert evening.days(KEY) == {FIRST}
    [invoice] = books.made("Invoice")
    assert (invoice.date, invoice.due) == (FIRST, FIRST + timedelta(days=30))


@pytest.mark.parametrize("remembered", [True, False])
@pytest.mark.parametrize("failing", FAULTS)
@pytest.mark.parametrize("at", range(18))
async def test_a_credit_of_three_parts(
    evening: Evening, at: int, failing: Callable[[int], Faults], *, remembered: bool
) -> None:
    books = evening.books
    made = await drafted(books, FIRST, OTHER_KEY)
    issued = await books.quickbooks.issue_invoice(native(made), made.version, send=False, key=OTHER_KEY)
    owed = native(issued.value.invoice)
    await books.quickbooks.post_payment(owed, Entry(usd(90_00), TODAY, "pi_1"), OTHER_KEY)
    now = await books.quickbooks.invoice(owed)
    wanted = CreditDraft(usd(44_00), "Broken pole", "out_of_band")
    await evening.twice(
        lambda: books.quickbooks.credit_invoice(owed, now.version, wanted, key=KEY), failing(at), remembered=remembered
    )
    assert all(len(set(bodies)) == 1 for bodies in evening.sent.values())
    assert evening.days(KEY) == {FIRST}
    assert (len(books.made("CreditMemo")), len(books.made("RefundReceipt")), books.is_balanced) == (1, 1, True)


async def test_what_never_failed_bears_the_day_on_which_it_is_made(evening: Evening) -> None:
    books = evening.books
    made = await drafted(books, FIRST, OTHER_KEY)
    books.present.pass_by(minutes=20)
    issued = await books.quickbooks.issue_invoice(native(made), made.version, send=False, key=KEY)
    assert issued.value.invoice.issued_at == FIRST + timedelta(days=1)
