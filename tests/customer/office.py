"""The customer server over the sandbox company, in this process, and a client that has connected to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.office import Office, office_of, said, unhurried

from backoffice_customer.server import SERVER
from backoffice_shared.sandbox.company import Company, Mail, Ticket

__all__ = ["Office", "happened", "office", "said", "unhurried"]


def office(**given: Any) -> AbstractAsyncContextManager[Office]:
    """`given` as `office_of` takes it."""
    return office_of(SERVER, **given)


def happened(company: Company, number: int) -> Counter[str]:
    """What the company's history with a person has, by kind; without refunds, whose number only the shop knows."""
    kept = {
        "ticket": [*company.tickets_of.get(number, ()), *_theirs([*company.cases, *company.inquiries], number)],
        "order": company.orders_of.get(number, []),
        "note": company.notes_of.get(number, []),
        "call": company.calls_of.get(number, []),
        "email": _theirs(company.mails, number),
    }
    return Counter({kind: len(entries) for kind, entries in kept.items() if entries})


def _theirs(entries: Iterable[Ticket | Mail], number: int) -> list[Ticket | Mail]:
    return [entry for entry in entries if entry.person == number]
