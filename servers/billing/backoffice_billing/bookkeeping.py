"""The ledger is told what is done at the payment provider, where it is configured to be told.

Money has moved by then, so nothing here fails a call: what could not be entered is said. What may succeed later is entered
when the same call is made again; the rest is a difference that `reconcile` shows.

An entry is the provider's invoice only when its number, its total and its customer's address are: ledgers number invoices
of their own, and others' must not be paid or voided for having the same number.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from backoffice_billing.models import Account, Invoice, InvoiceRow, Posted
from backoffice_billing.ports import Accounts, CreditDraft, Entry, InvoiceQuery, Invoices, Invoicing, Ledger
from backoffice_shared.attempt import uncertain_since
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound, PermissionDenied
from backoffice_shared.refs import Ref

_FOR_GOOD = (Conflict, InvalidInput, PermissionDenied)


@dataclass(frozen=True, slots=True)
class Told:
    """`again`: it may succeed when the same call is made again."""

    posted: Posted | None = None
    again: bool = False


NOBODY = Told()
"""There is no ledger to be told."""


class Books(Invoices, Invoicing, Ledger, Accounts, Protocol):
    """All that this needs of a ledger."""


@dataclass(frozen=True, slots=True)
class _Billed:
    """The provider's invoice, and the address of whoever it is for."""

    invoice: Invoice
    email: str


class Bookkeeping:
    """`providers` have the invoices whose doings the ledgers are told, `accounts` their customers."""

    def __init__(
        self, ledgers: Mapping[str, Books], providers: Mapping[str, Invoices], accounts: Mapping[str, Accounts]
    ) -> None:
        self._ledgers = {name: ledger for name, ledger in ledgers.items() if ledger.posts}
        self._providers = providers
        self._accounts = accounts

    async def issued(self, ref: Ref, key: str) -> Told:
        """An invoice was issued: it is entered where its customer is known, under the same number."""

        async def enter(billed: _Billed) -> tuple[str, str]:
            if (known := await self._find(billed)) is not None:
                return known
            system, customer = await self._customer(billed.email)
            return system, (await self._ledgers[system].post_invoice(billed.invoice, customer, key)).value

        return await self._told(enter, ref)

    async def paid(self, ref: Ref, entry: Entry, key: str) -> Told:
        async def enter(billed: _Billed) -> tuple[str, str]:
            system, native = await self._kept(billed)
            return system, (await self._ledgers[system].post_payment(native, entry, key)).value

        return await self._told(enter, ref)

    async def refunded(self, ref: Ref, entry: Entry, key: str) -> Told:
        async def enter(billed: _Billed) -> tuple[str, str]:
            system, native = await self._kept(billed)
            return system, (await self._ledgers[system].post_refund(native, entry, key)).value

        return await self._told(enter, ref)

    async def voided(self, ref: Ref, reason: str, key: str) -> Told:
        async def enter(billed: _Billed) -> tuple[str, str]:
            system, native = await self._kept(billed, also_void=True)
            ledger = self._ledgers[system]
            entry = await ledger.invoice(native)
            if entry.status != "void" or uncertain_since() is not None:  # an earlier attempt may not have noted why
                await ledger.void_invoice(native, entry.version, reason, key=key)
            return system, native

        return await self._told(enter, ref)

    async def credited(self, ref: Ref, credit: CreditDraft, key: str) -> Told:
        async def enter(billed: _Billed) -> tuple[str, str]:
            system, native = await self._kept(billed)
            ledger = self._ledgers[system]
            entry = await ledger.invoice(native)
            made = await ledger.credit_invoice(native, entry.version, credit, key=key)
            return system, _native(made.value.credit_note_id)

        return await self._told(enter, ref)

    async def _told(self, enter: Callable[[_Billed], Awaitable[tuple[str, str]]], ref: Ref) -> Told:
        if not self._ledgers or ref.backend not in self._providers:
            return NOBODY
        number = None
        try:
            invoice = await self._providers[ref.backend].invoice(ref.native)
            number = invoice.number
            system, native = await enter(_Billed(invoice, await self._email(invoice)))
        except BackofficeError as error:
            system = next(iter(self._ledgers)) if len(self._ledgers) == 1 else "ledger"
            failed = Posted(system=system, id=number, status="failed", message=str(error))
            return Told(failed, again=not isinstance(error, _FOR_GOOD))
        return Told(Posted(system=system, id=native, status="posted"))

    async def _email(self, invoice: Invoice) -> str:
        """
        Raises:
            Conflict: there is none, so that no ledger can be known to mean the same customer.
        """
        if invoice.customer_id is not None:
            system, _, native = invoice.customer_id.split(":", 2)
            for account in await self._accounts[system].accounts([native], frozenset()):
                if account.email:
                    return account.email
        raise Conflict("", "the customer has no email address by which a ledger would know them")

    async def _kept(self, billed: _Billed, *, also_void: bool = False) -> tuple[str, str]:
        """
        Raises:
            NotFound: no ledger has it.
            Conflict: one has another invoice under its number.
        """
        if (found := await self._find(billed, also_void=also_void)) is None:
            number = billed.invoice.number
            raise NotFound("", f"no ledger has the invoice {number} yet", hint="reconcile shows how to enter it")
        return found

    async def _find(self, billed: _Billed, *, also_void: bool = False) -> tuple[str, str] | None:
        """The ledger's entry of the same invoice.

        Raises:
            Conflict: all that bear its number are others, so that nothing can be entered under it.
        """
        others: list[str] = []
        void: tuple[str, str] | None = None
        for system, ledger in self._ledgers.items():
            query = InvoiceQuery(today=datetime.now(UTC).date(), number=billed.invoice.number)
            rows: list[InvoiceRow] = (await ledger.search_invoices(query, None, 10)).items
            for row in rows:
                if row.number != billed.invoice.number:
                    continue
                same = row.status != "draft" and await self._is_same(ledger, row, billed)
                if row.status == "void":
                    void = void or ((system, _native(row.invoice_id)) if same and also_void else None)
                elif same:
                    return system, _native(row.invoice_id)
                else:
                    others.append(row.invoice_id)
        if void is not None:
            return void
        if others:
            raise Conflict(
                "",
                f"{', '.join(others)} has the number {billed.invoice.number}, and another total or customer",
                hint="reconcile shows it; somebody in finance has to look",
            )
        return None

    @staticmethod
    async def _is_same(ledger: Books, row: InvoiceRow, billed: _Billed) -> bool:
        if row.status != "void" and row.total != billed.invoice.total:
            return False  # a void one's total may be gone
        if row.customer_id is None:
            return False
        customers = await ledger.accounts([_native(row.customer_id)], frozenset())
        return any((one.email or "").casefold() == billed.email.casefold() for one in customers)

    async def _customer(self, email: str) -> tuple[str, Account]:
        """
        Raises:
            Conflict: no ledger knows them, or several are meant: nobody guesses whose books it goes into.
        """
        for system, ledger in self._ledgers.items():
            found = await ledger.accounts_by_email(email, frozenset())
            if len(found) == 1:
                return system, found[0]
            if found:
                raise Conflict(system, f"{len(found)} accounts there have the customer's email address")
        raise Conflict("", "no ledger has an account with the customer's email address")


def _native(ref: str) -> str:
    return ref.split(":", 2)[2]
