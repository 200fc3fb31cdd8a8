"""Several systems are asked at the same time: an answer takes as long as the slowest of them, and no longer.

The stack and the sandboxes are real, the time is simulated: each vendor takes as long for every request as is said here. Some
need several requests for an answer: what counts is how long each system takes alone.
"""

from __future__ import annotations

import pytest
from tests.fan_out import Ask, FanOut

from backoffice_customer.ports import ArticleQuery, TicketQuery
from backoffice_customer.server import SERVER, assemble
from backoffice_customer.services import Services
from backoffice_shared.sandbox.company import Company

COMPANY = Company()
SECONDS = {"hubspot": 0.4, "salesforce": 0.5, "zendesk": 0.8, "shopify": 0.6, "confluence": 1.0}
CUSTOMER = FanOut(SERVER, assemble, COMPANY, SECONDS)

PEOPLE, DESKS, LIBRARIES = (
    ("hubspot", "salesforce", "zendesk", "shopify"),
    ("hubspot", "salesforce", "zendesk"),
    ("zendesk", "confluence"),
)

# Each is asked twice: before, with `n` 1, for something else.
CASES: dict[str, tuple[tuple[str, ...], Ask[Services]]] = {
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
    slowest = max(CUSTOMER.seconds_for(ask, system) for system in systems)
    together = CUSTOMER.seconds_for(ask, *systems)
    print(f"{name}: {together / slowest:.3f} of the slowest system alone")
    assert together <= 1.15 * slowest
