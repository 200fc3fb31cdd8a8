"""The company in QuickBooks: its customers, what they were billed and paid, and the rules by which that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from backoffice_billing.backends.quickbooks.sandbox import asked
from backoffice_billing.backends.quickbooks.sandbox.general_ledger import GeneralLedger
from backoffice_billing.backends.quickbooks.sandbox.grammar import Query
from backoffice_billing.backends.quickbooks.sandbox.records import HOME, KINDS, Customer, Kind, Part, Txn
from backoffice_billing.backends.quickbooks.sandbox.refusals import Refused, broken_rule, missing, no_such, not_found
from backoffice_billing.backends.quickbooks.sandbox.tables import Table, cut, order_of, ordered, tests_of
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money
from backoffice_shared.sandbox.books import RECEIVABLE
from backoffice_shared.sandbox.company import Company

_FIRST_NUMBER = {"Invoice": 90_001, "Estimate": 30_001, "CreditMemo": 50_001, "RefundReceipt": 70_001}
SIGNS: tuple[tuple[Kind, int], ...] = (("Invoice", 1), ("CreditMemo", -1), ("Payment", -1))
"""Whose balances are owed by customers, and whose to them."""
_OWED: tuple[Kind, ...] = ("Invoice", "CreditMemo")


class CompanyFile:
    """`own_numbers` and `applies_credits` are settings of the company: it numbers its documents itself, and QuickBooks
    applies credits by itself to the oldest invoice. `sent` are the invoices that were e-mailed, and to whom."""

    def __init__(self, company: Company, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.company = company
        self.now = now
        self.own_numbers = True
        self.applies_credits = False
        self.tables: dict[Kind, Table] = {kind: Table(kind) for kind in KINDS}
        self.customers: dict[int, Customer] = {}
        self.ledger = GeneralLedger()
        self.sent: list[tuple[str, str]] = []
        self._last_id = 0
        self._numbers = dict(_FIRST_NUMBER)

    # -------------------------------------------------------------------------------------------------------- reading

    def one(self, kind: Kind, native: str) -> Txn:
        found = self.tables[kind].by_id.get(int(native)) if native.isascii() and native.isdecimal() else None
        if found is None:
            raise not_found(f"{kind} {native[:40]}")
        return found

    def customer(self, native: object) -> Customer:
        text = str(native)
        found = self.customers.get(int(text)) if text.isascii() and text.isdecimal() else None
        if found is None:
            raise no_such("Names", text[:40])
        return found

    def owes(self, customer: int) -> int:
        """What they owe, less what they are owed."""
        owed = sum(txn.balance for txn in self.tables["Invoice"].by_customer.get(customer, ()))
        has = (txn for kind in ("CreditMemo", "Payment") for txn in self.tables[kind].by_customer.get(customer, ()))
        return owed - sum(txn.balance for txn in has)

    def found_customers(self, query: Query) -> list[Customer]:
        tests, keys = tests_of(query), order_of(query)
        if not any(condition.field == "Active" for condition in query.where):
            tests.append(lambda customer: customer.active)
        pool: Iterator[Customer] = iter(self.customers.values())
        for condition in query.where:
            if condition.operator in ("=", "in") and condition.field == "Id":
                ids = [int(value) for value in condition.values if value.isascii() and value.isdecimal()]
                pool = (self.customers[native] for native in ids if native in self.customers)
            elif condition.operator in ("=", "in") and condition.field == "PrimaryEmailAddr":
                pool = (customer for value in condition.values for customer in self._by_email.get(value, ()))
        if not keys:
            return cut(pool, tests, query)
        passing = [customer for customer in pool if all(test(customer) for test in tests)]
        return ordered(passing, keys)[query.start - 1 : query.start - 1 + query.size]

    @cached_property
    def _by_email(self) -> dict[str, list[Customer]]:
        found: dict[str, list[Customer]] = {}
        for customer in self.customers.values():
            found.setdefault(customer.email or "", []).append(customer)
        return found

    @cached_property
    def _names(self) -> set[str]:
        return {customer.name for customer in self.customers.values()}

    # -------------------------------------------------------------------------------------------------------- writing

    def new_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def add_customer(self, wire: dict[str, Any]) -> Customer:
        if not wire.get("DisplayName"):
            raise missing("DisplayName")
        name, known = str(wire["DisplayName"]), self._by_email
        if name in self._names:
            raise Refused(6240, f"The name supplied already exists. : {name}")
        email = obj(wire.get("PrimaryEmailAddr")).get("Address")
        currency = str(obj(wire.get("CurrencyRef")).get("value", HOME))
        given, family = str(wire.get("GivenName", "")), str(wire.get("FamilyName", ""))
        native = max(self.customers, default=0) + 1
        added = Customer(native, name, given, family, email, wire.get("CompanyName"), currency, self.now())
        self.customers[native] = added
        self._names.add(name)
        known.setdefault(added.email or "", []).append(added)
        return added

    def create(self, kind: Kind, wire: dict[str, Any]) -> Txn:
        """
        Raises:
            Refused: it is incomplete, or breaks a rule.
        """
        if not wire.get("CustomerRef"):
            raise missing("CustomerRef")
        customer = self.customer(obj(wire["CustomerRef"]).get("value"))
        now = self.now()
        txn = Txn(kind, 0, customer.id, now.date(), customer.currency, now, now)
        self._fill(txn, wire, customer)
        self._check_number(txn)
        if (txn.number == "AUTO_GENERATE" and kind in ("Invoice", "Estimate")) or (
            kind != "Payment" and txn.number is None and self._gives_number(wire)
        ):
            txn.number = self._next_number(kind)
        estimates = [self._estimate(link, customer) for link in arr(wire.get("LinkedTxn"))]
        txn.id = self.new_id()
        for estimate in estimates:
            txn.links.append(("Estimate", estimate.id))
            estimate.links.append(("Invoice", txn.id))
            estimate.status = "Closed"
            self._touch(estimate)
        self._settle(txn, +1)
        self.tables[kind].add(txn)
        self.ledger.enter(txn)
        if kind == "CreditMemo" and self.applies_credits:
            self._apply(txn)
        return txn

    def update(self, kind: Kind, wire: dict[str, Any]) -> Txn:
        """All of it, or only what is given of a sparse one."""
        txn = self._to_change(kind, wire)
        if txn.is_void and "Line" in wire:
            raise broken_rule("A voided transaction cannot be changed.")
        changed = replace(txn, parts=[*txn.parts], links=[*txn.links], written=[*txn.lines])
        self._settle(txn, -1)
        try:
            self._fill(changed, wire, self.customers[txn.customer], before=txn)
            self._check_number(changed)
            if changed.balance < 0:
                raise broken_rule("The amount is less than what was paid already.")
        except Refused:
            self._settle(txn, +1)
            raise
        table = self.tables[kind]
        self.ledger.enter(txn, sign=-1)
        table.remove(txn)
        txn.become(changed)
        self._settle(txn, +1)
        txn.sync, txn.updated = txn.sync + 1, self.now()
        table.add(txn)
        self.ledger.enter(txn)
        return txn

    def void(self, kind: Kind, wire: dict[str, Any]) -> Txn:
        """Zero it, and take off what was applied. https://blogs.intuit.com/2016/04/06/voiding-invoice-objects"""
        txn = self._to_change(kind, wire)
        self.ledger.enter(txn, sign=-1)
        self._unlink(txn)
        for line in txn.lines:
            line.amount, line.quantity, line.unit = 0, None, None
        txn.source = ()
        txn.net = txn.tax = txn.balance = 0
        txn.note = f"Voided - {txn.note}" if txn.note else "Voided"
        self._touch(txn)
        return txn

    def delete(self, kind: Kind, wire: dict[str, Any]) -> Txn:
        txn = self._to_change(kind, wire)
        if kind in _OWED and any(link == "Payment" for link, _ in txn.links):
            raise broken_rule("You must unlink the transactions that are linked to it before deleting it.")
        self.ledger.enter(txn, sign=-1)
        self._unlink(txn)
        self.tables[kind].remove(txn)
        return txn

    def send(self, native: str, to: str | None) -> Txn:
        txn = self.one("Invoice", native)
        txn.email = to or txn.email
        if not txn.email or "@" not in txn.email:
            raise broken_rule("The email address is required to send the transaction.")
        txn.emailed = True
        self._touch(txn)
        self.sent.append((native, txn.email))
        return txn

    def _to_change(self, kind: Kind, wire: dict[str, Any]) -> Txn:
        if wire.get("SyncToken") is None:
            raise missing("SyncToken")
        txn = self.one(kind, str(wire.get("Id")))
        if str(wire["SyncToken"]) != str(txn.sync):
            raise Refused(5010, "Stale Object Error : You and another user were working on this at the same time.")
        return txn

    def _fill(self, txn: Txn, wire: dict[str, Any], customer: Customer, *, before: Txn | None = None) -> None:
        """What the wire says, into the transaction; `balance` becomes what is left of it."""
        asked.header(txn, wire, customer)
        if txn.kind == "Payment":
            asked.payment(txn, wire)
            txn.balance = asked.unapplied(txn)
            self._check_parts(txn, customer)
        else:
            asked.sale(txn, wire, self.items)
            applied = 0 if before is None or txn.kind not in _OWED else before.total - before.balance
            txn.balance = txn.total - applied if txn.kind in _OWED else 0

    def _check_number(self, txn: Txn) -> None:
        for other in self.tables[txn.kind].by_number.get(txn.number or "", ()):
            if other.id != txn.id:
                raise Refused(
                    6140,
                    "Duplicate Document Number Error : You must specify a different number. This number has already"
                    f" been used. DocNumber={txn.number} is assigned to TxnType={txn.kind} with TxnId={other.id}",
                )

    def _check_parts(self, txn: Txn, customer: Customer) -> None:
        for part in txn.parts:
            target = self.tables[part.kind].by_id.get(part.id)
            if target is None:
                raise no_such("Transaction", part.id)
            if target.customer != customer.id or target.currency != txn.currency:
                raise broken_rule("A payment is applied to transactions of its own customer and currency only.")
            if part.amount <= 0 or part.amount > target.balance:
                raise broken_rule("The amount that is applied is more than what is left of the transaction.")
        if txn.balance < 0:
            raise broken_rule("More is applied than the payment comes to.")

    def _estimate(self, link: Any, customer: Customer) -> Txn:
        if link.get("TxnType") != "Estimate":
            raise broken_rule("Only an estimate can be linked so.")
        found = self.one("Estimate", str(link.get("TxnId")))
        if found.customer != customer.id:
            raise broken_rule("The estimate is another customer's.")
        return found

    def _gives_number(self, wire: dict[str, Any]) -> bool:
        return wire.get("AutoDocNumber") is True or not self.own_numbers

    def _next_number(self, kind: Kind) -> str:
        while (number := str(self._numbers[kind])) in self.tables[kind].by_number:
            self._numbers[kind] += 1
        self._numbers[kind] += 1
        return number

    # ------------------------------------------------------------------------------------------------- what is settled

    def _settle(self, payment: Txn, sign: int) -> None:
        """What a payment is applied to has so much less left; with -1, has it back."""
        if payment.kind != "Payment":
            return
        for part in payment.parts:
            target = self.tables[part.kind].by_id[part.id]
            target.balance -= sign * part.amount
            link: tuple[Kind, int] = ("Payment", payment.id)
            if sign > 0:
                target.links.append(link)
            elif link in target.links:
                target.links.remove(link)
            self._touch(target)

    def _unlink(self, txn: Txn) -> None:
        self._settle(txn, -1)
        txn.parts = []
        for kind, native in list(dict.fromkeys(txn.links)):
            other = self.tables[kind].by_id[native]
            other.links = [link for link in other.links if link != (txn.kind, txn.id)]
            if other.kind == "Payment":
                self._settle(other, -1)
                other.parts = [part for part in other.parts if (part.kind, part.id) != (txn.kind, txn.id)]
                other.balance = asked.unapplied(other)
                self._settle(other, +1)
            self._touch(other)
        txn.links = []

    def _apply(self, memo: Txn) -> None:
        """To the oldest invoices, as QuickBooks does where the company lets it."""
        owed = [txn for txn in self.tables["Invoice"].by_customer.get(memo.customer, ()) if txn.balance]
        for invoice in sorted(owed, key=lambda txn: (txn.date, txn.id)):
            part = min(invoice.balance, memo.balance)
            if part:
                now = self.now()
                link = Txn("Payment", self.new_id(), memo.customer, now.date(), memo.currency, now, now)
                link.note = "Created by QB Online to link credits to charges."
                link.parts = [Part("Invoice", invoice.id, part), Part("CreditMemo", memo.id, part)]
                self._settle(link, +1)
                self.tables["Payment"].add(link)

    def _touch(self, txn: Txn) -> None:
        txn.sync += 1
        txn.updated = self.now()
        self.tables[txn.kind].changed(txn)

    @cached_property
    def items(self) -> dict[str, tuple[str, int]]:
        """Names and prices by id."""
        return asked.items_of(self.company)


def balanced(file: CompanyFile) -> bool:
    """Every entry is in balance, and the receivables are what is owed on invoices less what customers are owed."""
    for _, _, postings in file.ledger.entries:
        sums: dict[str, int] = {}
        for posting in postings:
            sums[posting.amount.currency] = sums.get(posting.amount.currency, 0) + posting.amount.amount
        if any(sums.values()):
            return False
    expected: dict[str, int] = {}
    for kind, sign in SIGNS:
        for txn in file.tables[kind].by_id.values():
            if txn.balance < 0:
                return False
            expected[txn.currency] = expected.get(txn.currency, 0) + sign * txn.balance
    held = file.ledger.balances()
    return all(
        held.get((RECEIVABLE, currency), Money(amount=0, currency=currency)).amount == owed
        for currency, owed in expected.items()
    )
