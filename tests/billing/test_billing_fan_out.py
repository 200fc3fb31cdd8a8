"""Several systems are asked at the same time: an answer takes as long as the slowest of them, and no longer.

The stack and the sandboxes are real, the time is simulated: each vendor takes as long for every request as is said here. Some
need several requests for an answer: what counts is how long each system takes alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
from tests.billing.people import payer
from tests.foundation import embedded_state
from tests.shared.acme import Secrets
from tests.simulation import LoopClock, simulate

from backoffice_billing.models import AccountSection
from backoffice_billing.ports import InvoiceQuery, PaymentQuery
from backoffice_billing.server import SERVER, assemble
from backoffice_billing.services import Services
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess
from backoffice_shared.settings import Settings

CLOCK = LoopClock()
SECONDS = {"stripe": 0.6, "xero": 0.8, "quickbooks": 0.5}
COMPANY = Company(customers=50)
TODAY = COMPANY.today.date()
SECTIONS: frozenset[AccountSection] = frozenset({"balance", "overdue"})
PAUSE = 5.0
"""Seconds in which the vendors' limits recover."""

Ask = Callable[[Services, int], Awaitable[Any]]


async def _timed(ask: Ask, *systems: str) -> float:
    """How long the answer takes when it comes from these systems. What is looked up once and kept is known before."""
    sandboxes = {vendor.backend.name: vendor.sandbox(COMPANY) for vendor in SERVER.vendors}
    clients = {
        vendor.backend.name: connect(
            vendor.backend,
            InProcess(sandbox := sandboxes[vendor.backend.name]),
            Secrets(sandbox.credentials),
            base_url=vendor.backend.base_url.format(**sandbox.options),
            options=sandbox.options,
            clock=CLOCK,
        )
        for vendor in SERVER.vendors
        if vendor.backend.name in systems
    }
    services = assemble(clients, Settings(), embedded_state())
    for n in (1, 0):
        if n == 0:
            await CLOCK.sleep(PAUSE)
            for name in systems:
                sandboxes[name].faults = Faults(slow=1.0, seconds=SECONDS[name])
        began = CLOCK.now()
        await ask(services, n)
    return CLOCK.now() - began


# Each is asked twice: before, with `n` 1, for something else.
CASES: dict[str, Ask] = {
    "search_invoices": lambda s, n: s.billing.search(
        InvoiceQuery(today=TODAY, issued_since=date(2025, 1 + n, 1)), customer_id=None, limit=10, cursor=None
    ),
    "search_payments": lambda s, n: s.receipts.search(
        PaymentQuery(since=datetime(2025, 1 + n, 1, tzinfo=UTC)),
        customer_id=None,
        invoice_id=None,
        limit=10,
        cursor=None,
    ),
    "get_billing_account": lambda s, n: s.directory.accounts([payer(COMPANY, nth=n).email], SECTIONS),
}


@pytest.mark.parametrize("name", CASES)
def test_an_answer_takes_no_longer_than_the_slowest_system_alone(name: str):
    alone = {system: simulate(_timed(CASES[name], system)) for system in SECONDS}
    together = simulate(_timed(CASES[name], *SECONDS))
    slowest = max(alone.values())
    print(f"{name}: {alone}; {together / slowest:.3f} of the slowest system alone")
    assert slowest > 0
    assert together <= 1.15 * slowest
