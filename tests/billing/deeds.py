"""What agents do with money, each as a call that can be made again and again, and how often it was done in the end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.billing.books_balance import given_back
from tests.billing.mortal import Replica, World

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.books import paid_outside
from backoffice_shared.sandbox.company import KEY_ACCOUNT, order_name

Measure = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Deed:
    """`tool` called with `arguments` is the deed. `measure` looks at what there is; `done` is what it sees when the deed was
    done once."""

    tool: str
    arguments: dict[str, Any]
    measure: Measure
    done: object


class Doing:
    """Prepares deeds through a replica that nothing happens to. Amounts vary, so that no two are taken for one."""

    def __init__(self, world: World, healthy: Replica, chance: Random) -> None:
        self.world, self.at, self.chance = world, healthy, chance
        self.keys = 0
        self.refunded: set[int] = set()

    def key(self) -> str:
        self.keys += 1
        return f"key-{self.keys:08}"

    async def customers(self, system: str) -> list[str]:
        """Whoever has an account there, and at Stripe a card that works."""
        books = self.world.company.books
        people = [
            person
            for person in self.world.company.people
            if books.bills(person)
            and (card := books.card(person)) is not None
            and card.behaviour == "succeeds"
            and system in ("stripe", {"us": "quickbooks", "eu": "xero"}[books.ledger(person)])
        ]
        person = self.chance.choice(people)
        found = await self.at.ask("get_billing_account", customer_ids=[person.email])
        mine = [obj(row)["customer_id"] for row in arr(found["items"])]
        return [one for one in mine if one.startswith(f"{system}:")]

    async def currency(self, customer_id: str) -> str:
        """What they are billed in."""
        found = await self.at.ask("get_billing_account", customer_ids=[customer_id], include=["balance"])
        email = obj(arr(found["items"])[0])["email"]
        person = next(person for person in self.world.company.people if person.email == email)
        return self.world.company.books.currency(person)

    # ------------------------------------------------------------------------------------------------ making

    async def draft(self, system: str) -> str:
        [customer, *_] = await self.customers(system)
        return (await self.at.ask("create_invoice", **await self._new(customer)))["invoice_id"]

    async def issued(self, system: str) -> str:
        invoice = await self.draft(system)
        return (await self._done("issue_invoice", invoice_id=invoice, send=False))["invoice_id"]

    async def paid(self, system: str) -> tuple[str, str]:
        invoice = await self.issued(system)
        return invoice, (await self._done("collect_payment", invoice_id=invoice))["payment_id"]

    async def _new(self, customer: str) -> dict[str, Any]:
        lines = [
            {
                "description": f"Work {self.chance.randrange(10**9)}",
                "quantity": self.chance.choice((1, 2, 3)),
                "unit_amount": self.chance.randrange(1_000, 90_000),
            }
            for _ in range(self.chance.choice((1, 2)))
        ]
        return {
            "customer_id": customer,
            "currency": await self.currency(customer),
            "lines": lines,
            "idempotency_key": self.key(),
        }

    async def _planned(self, tool: str, **arguments: Any) -> dict[str, Any]:
        arguments["idempotency_key"] = self.key()
        shown = await self.at.ask(tool, **arguments)
        return {**arguments, "plan_token": shown["plan_token"]}

    async def _done(self, tool: str, **arguments: Any) -> dict[str, Any]:
        return await self.at.ask(tool, **await self._planned(tool, **arguments))

    # ------------------------------------------------------------------------------------------------- deeds

    async def create(self, system: str) -> Deed:
        [customer, *_] = await self.customers(system)

        async def drafts() -> int:
            count, cursor = 0, None
            while True:
                given = {} if cursor is None else {"cursor": cursor}
                found = await self.at.ask("search_invoices", customer_id=customer, status=["draft"], limit=50, **given)
                count += sum(1 for row in arr(found["items"]) if obj(row)["invoice_id"].startswith(f"{system}:"))
                if (cursor := found["page"].get("next_cursor")) is None:
                    return count

        arguments = await self._new(customer)
        return Deed("create_invoice", arguments, drafts, await drafts() + 1)

    async def issue(self, system: str) -> Deed:
        invoice = await self.draft(system)
        arguments = await self._planned("issue_invoice", invoice_id=invoice, send=self.chance.random() < 0.5)
        shown = await self.at.ask("get_invoices", invoice_ids=[invoice])
        customer, total = arr(shown["items"])[0]["customer_id"], arr(shown["items"])[0]["total"]

        async def owed() -> list[object]:
            """In all systems: the provider's, and what the ledger was told."""
            found = await self.at.ask("search_invoices", customer_id=customer, status=["open", "overdue"], limit=50)
            rows = [obj(row) for row in arr(found["items"]) if obj(row)["total"] == total]
            return sorted((obj(row)["invoice_id"].partition(":")[0] for row in rows), key=str)

        before = await owed()
        ledgers = [] if system != "stripe" else await self._ledgers(customer)
        return Deed("issue_invoice", arguments, owed, sorted([*map(str, before), system, *ledgers]))

    async def _ledgers(self, customer: str) -> list[str]:
        found = await self.at.ask("get_billing_account", customer_ids=[customer], include=["balance"])
        systems = {obj(row)["customer_id"].partition(":")[0] for row in arr(found["items"])}
        return sorted(systems - {"stripe"})

    async def void(self, system: str) -> Deed:
        invoice = await self.issued(system)
        arguments = await self._planned("void_invoice", invoice_id=invoice, reason="a mistake")
        copies = 1 + (len(await self._ledgers(await self._of(invoice))) if system == "stripe" else 0)
        return Deed("void_invoice", arguments, lambda: self._statuses(invoice), ["void"] * copies)

    async def collect(self, system: str) -> Deed:
        invoice = await self.issued(system)
        due = (await self._invoice(invoice))["due"]["amount"]
        part = {} if self.chance.random() < 0.7 else {"amount": max(due // 3, 1)}
        arguments = await self._planned("collect_payment", invoice_id=invoice, **part)
        paid = part.get("amount", due)
        copies = 1 + len(await self._ledgers(await self._of(invoice)))
        return Deed("collect_payment", arguments, lambda: self._sums(invoice, "paid"), [paid] * copies)

    async def credit(self, system: str) -> Deed:
        invoice = await self.issued(system)
        due = (await self._invoice(invoice))["due"]["amount"]
        amount = max(due // 4, 1)
        arguments = await self._planned(
            "create_credit_note", invoice_id=invoice, amount=amount, reason="less work", disposition="out_of_band"
        )
        copies = 1 + (len(await self._ledgers(await self._of(invoice))) if system == "stripe" else 0)
        return Deed("create_credit_note", arguments, lambda: self._sums(invoice, "credited"), [amount] * copies)

    async def refund(self, system: str) -> Deed:
        """Measured at the provider, and by what the ledger's reports say was ever given back."""
        invoice, payment = await self.paid(system)
        amount = self.chance.randrange(1, 400)
        [ledger] = await self._ledgers(await self._of(invoice))

        async def refunded() -> object:
            seen = await self.at.ask("get_payment", payment_id=payment, include=["refunds"])
            return seen["refunded"]["amount"], len(arr(seen["refunds"])), given_back(self.world.sandboxes, ledger)

        before = given_back(self.world.sandboxes, ledger)
        shown = await self.at.ask("preview_refund", payment_id=payment, amount=amount, reason="defective")
        arguments = {"plan_token": shown["plan_token"], "idempotency_key": self.key()}
        return Deed("issue_refund", arguments, refunded, (amount, 1, (before[0] + 1, before[1] + amount)))

    async def refund_by_the_shop(self) -> Deed:
        """Of an order that the shop was paid for."""
        company = self.world.company
        orders = [
            order
            for order in company.orders
            if order.payment == "paid"
            and not paid_outside(order)
            and (company.today - order.placed_at).days < 170
            and order.number not in self.refunded
            and order.person != KEY_ACCOUNT
        ]
        order = self.chance.choice(orders)
        self.refunded.add(order.number)
        amount = self.chance.randrange(1, company.total(order) + 1)
        name = order_name(order.number)
        shown = await self.at.ask("preview_refund", order_id=name, amount=amount, reason="not_received")

        async def left() -> object:
            seen = await self.at.ask("preview_refund", order_id=name, reason="not_received")
            return seen["refundable"]["amount"]

        arguments = {"plan_token": shown["plan_token"], "idempotency_key": self.key()}
        return Deed("issue_refund", arguments, left, company.total(order) - amount)

    # ----------------------------------------------------------------------------------------------- looking

    async def _invoice(self, invoice: str) -> dict[str, Any]:
        found = await self.at.ask("get_invoices", invoice_ids=[invoice], include=["accounting"])
        return obj(arr(found["items"])[0])

    async def _of(self, invoice: str) -> str:
        return (await self._invoice(invoice))["customer_id"]

    async def _copies(self, invoice: str) -> list[dict[str, Any]]:
        """The invoice, and the same one in the ledgers."""
        mine = await self._invoice(invoice)
        others = [await self._invoice(obj(entry)["invoice_id"]) for entry in arr(mine.get("accounting"))]
        return [mine, *others]

    async def _statuses(self, invoice: str) -> list[str]:
        return [copy["status"] for copy in await self._copies(invoice)]

    async def _sums(self, invoice: str, field: str) -> list[int]:
        return [copy[field]["amount"] for copy in await self._copies(invoice)]
