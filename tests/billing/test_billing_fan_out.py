"""Several systems are asked at the same time: an answer takes as long as the slowest of them, and no longer.

The stack and the sandboxes are real, the time is simulated: each vendor takes as long for every request as is said here. Some
need several requests for an answer: what counts is how long each system takes alone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from tests.billing.people import payer
from tests.fan_out import Ask, FanOut

from backoffice_billing.models import AccountSection
from backoffice_billing.ports import InvoiceQuery, PaymentQuery
from backoffice_billing.server import SERVER, assemble
from backoffice_billing.services import Services
from backoffice_shared.sandbox.company import Company

COMPANY = Company(customers=50)
TODAY = COMPANY.today.date()
SECTIONS: frozenset[AccountSection] = frozenset({"balance", "overdue"})
SECONDS = {"stripe": 0.6, "xero": 0.8, "quickbooks": 0.5}
BILLING = FanOut(SERVER, assemble, COMPANY, SECONDS, pause=5.0)

# Each is asked twice: before, with `n` 1, for something else.
CASES: dict[str, Ask[Services]] = {
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
    alone = {system: BILLING.seconds_for(CASES[name], system) for system in SECONDS}
    together = BILLING.seconds_for(CASES[name], *SECONDS)
    slowest = max(alone.values())
    print(f"{name}: {alone}; {together / slowest:.3f} of the slowest system alone")
    assert slowest > 0
    assert together <= 1.15 * slowest
