"""Several systems are asked at the same time: an answer takes as long as the slowest of them, and no longer.

The stack and the sandboxes are real, the time is simulated: each vendor takes as long for every request as is said here. Some
need several requests for an answer: what counts is how long each system takes alone.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.foundation import embedded_state
from tests.shared.acme import Secrets
from tests.simulation import LoopClock, simulate

from backoffice_customer.ports import ArticleQuery, TicketQuery
from backoffice_customer.server import SERVER, assemble
from backoffice_customer.services import Services
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess
from backoffice_shared.settings import Settings

CLOCK = LoopClock()
SECONDS = {"hubspot": 0.4, "salesforce": 0.5, "zendesk": 0.8, "shopify": 0.6, "confluence": 1.0}
COMPANY = Company()

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
            for name in systems:
                sandboxes[name].faults = Faults(slow=1.0, seconds=SECONDS[name])
        began = CLOCK.now()
        await ask(services, n)
    return CLOCK.now() - began


PEOPLE, DESKS, LIBRARIES = (
    ("hubspot", "salesforce", "zendesk", "shopify"),
    ("hubspot", "salesforce", "zendesk"),
    ("zendesk", "confluence"),
)

# Each is asked twice: before, with `n` 1, for something else.
CASES: dict[str, tuple[tuple[str, ...], Ask]] = {
    "find_customers by e-mail": (
        PEOPLE,
        lambda s, n: s.directory.candidates(None, [COMPANY.people[n].email], limit=10, cursor=None),
    ),
    "find_customers by name": (
        PEOPLE,
        lambda s, n: s.directory.candidates(COMPANY.people[n].name, [], limit=10, cursor=None),
    ),
    "search_tickets": (
        DESKS,
        lambda s, n: s.tickets.search(
            TicketQuery(sort=("updated", "created")[n]), customer_id=None, limit=10, cursor=None
        ),
    ),
    "search_knowledge": (
        LIBRARIES,
        lambda s, n: s.knowledge.search(ArticleQuery(("refund", "order")[n]), [], limit=10, cursor=None),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_answer_takes_no_longer_than_the_slowest_system_alone(name: str):
    systems, ask = CASES[name]
    slowest = max(simulate(_timed(ask, system)) for system in systems)
    together = simulate(_timed(ask, *systems))
    print(f"{name}: {together / slowest:.3f} of the slowest system alone")
    assert together <= 1.15 * slowest
