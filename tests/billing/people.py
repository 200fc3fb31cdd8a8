"""Whom tests bill: people of the company by what their card does, and their ids in each system."""

from __future__ import annotations

from typing import Any

from tests.office import Office

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.books import Behaviour, Ledger
from backoffice_shared.sandbox.company import Company, Person


def payer(
    company: Company,
    behaviour: Behaviour = "succeeds",
    *,
    ledger: Ledger | None = None,
    currency: str | None = None,
    nth: int = 0,
) -> Person:
    """The nth person who is billed and whose card does this, in this ledger and currency if they matter."""
    books = company.books
    found = [
        person
        for person in company.people
        if books.bills(person)
        and (card := books.card(person)) is not None
        and card.behaviour == behaviour
        and ledger in (None, books.ledger(person))
        and currency in (None, books.currency(person))
    ]
    return found[nth]


async def ids(at: Office, person: Person) -> dict[str, str]:
    """Their id in each system."""
    found = await at.ask("get_billing_account", customer_ids=[person.email], include=["balance"])
    rows = [obj(row)["customer_id"] for row in arr(found["items"])]
    return {row.partition(":")[0]: row for row in rows}


class Hand:
    """Does what is previewed first, each with a key of its own."""

    def __init__(self, at: Office) -> None:
        self.at = at
        self._keys = 0

    def key(self) -> str:
        self._keys += 1
        return f"hand-{self._keys:06}"

    async def planned(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """The arguments that carry out what the preview showed."""
        arguments["idempotency_key"] = self.key()
        shown = await self.at.ask(tool, **arguments)
        return {**arguments, "plan_token": shown["plan_token"]}

    async def do(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return await self.at.ask(tool, **await self.planned(tool, **arguments))

    async def draft(self, customer_id: str, currency: str, *amounts: int) -> str:
        lines = [{"description": f"Work {n}", "unit_amount": amount} for n, amount in enumerate(amounts)]
        made = await self.at.ask(
            "create_invoice", customer_id=customer_id, currency=currency, lines=lines, idempotency_key=self.key()
        )
        return made["invoice_id"]

    async def issued(self, customer_id: str, currency: str, *amounts: int) -> str:
        invoice = await self.draft(customer_id, currency, *amounts)
        return (await self.do("issue_invoice", invoice_id=invoice, send=False))["invoice_id"]

    async def paid(self, customer_id: str, currency: str, *amounts: int) -> tuple[str, str]:
        """The invoice and its payment."""
        invoice = await self.issued(customer_id, currency, *amounts)
        return invoice, (await self.do("collect_payment", invoice_id=invoice))["payment_id"]

    async def invoice(self, invoice_id: str, *include: str) -> dict[str, Any]:
        found = await self.at.ask("get_invoices", invoice_ids=[invoice_id], include=list(include) or ["lines"])
        return obj(arr(found["items"])[0])
