"""The ledger is told what is done at the payment provider, where it is configured to be told.

Money has moved by then, so nothing here fails a call: what could not be entered is said. What may succeed later is entered
when the same call is made again; the rest is a difference that `reconcile` shows.
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

_FOR_GOOD = (Conflict, InvalidInput, NotFound, PermissionDenied)


@dataclass(frozen=True, slots=True)
class Told:
    """`again`: it may succeed when the same call is made again."""

    posted: Posted | None = None
    again: bool = False


NOBODY = Told()
"""There is no ledger to be told."""


class Books(Invoices, Invoicing, Ledger, Accounts, Protocol):
    """All that this needs of a ledger."""


class Bookkeeping:
    def __init__(self, ledgers: Mapping[str, Books]) -> None:
        self._ledgers = {name: ledger for name, ledger in ledgers.items() if ledger.posts}

    async def issued(self, invoice: Invoice, email: Callable[[], Awaitable[str | None]], key: str) -> Told:
        """An invoice was issued: it is entered where its customer is known, under the same number."""

        async def enter() -> tuple[str, str]:
            if (known := await self._find(invoice.number)) is not None:
                return known
            system, customer = await self._customer(await email())
            return system, (await self._ledgers[system].post_invoice(invoice, customer, key)).value

        return await self._told(enter, invoice.number)

    async def paid(self, number: str | None, entry: Entry, key: str) -> Told:
        async def enter() -> tuple[str, str]:
            system, native = await self._kept(number)
            return system, (await self._ledgers[system].post_payment(native, entry, key)).value

        return await self._told(enter, number)

    async def refunded(self, number: str | None, entry: Entry, key: str) -> Told:
        async def enter() -> tuple[str, str]:
            system, native = await self._kept(number)
            return system, (await self._ledgers[system].post_refund(native, entry, key)).value

        return await self._told(enter, number)

    async def voided(self, number: str | None, reason: str, key: str) -> Told:
        async def enter() -> tuple[str, str]:
            system, native = await self._kept(number, even_void=True)
            ledger = self._ledgers[system]
            entry = await ledger.invoice(native)
            if entry.status != "void" or uncertain_since() is not None:  # an earlier attempt may not have noted why
                await ledger.void_invoice(native, entry.version, reason, key=key)
            return system, native

        return await self._told(enter, number)

    async def credited(self, number: str | None, credit: CreditDraft, key: str) -> Told:
        async def enter() -> tuple[str, str]:
            system, native = await self._kept(number)
            ledger = self._ledgers[system]
            entry = await ledger.invoice(native)
            made = await ledger.credit_invoice(native, entry.version, credit, key=key)
            return system, _native(made.value.credit_note_id)

        return await self._told(enter, number)

    async def _told(self, enter: Callable[[], Awaitable[tuple[str, str]]], number: str | None) -> Told:
        if not self._ledgers:
            return NOBODY
        try:
            system, native = await enter()
        except BackofficeError as error:
            system = next(iter(self._ledgers)) if len(self._ledgers) == 1 else "ledger"
            failed = Posted(system=system, id=number, status="failed", message=str(error))
            return Told(failed, again=not isinstance(error, _FOR_GOOD))
        return Told(Posted(system=system, id=native, status="posted"))

    async def _kept(self, number: str | None, *, even_void: bool = False) -> tuple[str, str]:
        """
        Raises:
            NotFound: no ledger has it.
        """
        found = await self._find(number) or (await self._find(number, void=True) if even_void else None)
        if found is None:
            raise NotFound("", f"no ledger has the invoice {number}", hint="reconcile shows what it lacks")
        return found

    async def _find(self, number: str | None, *, void: bool = False) -> tuple[str, str] | None:
        if number is None:
            return None
        for system, ledger in self._ledgers.items():
            query = InvoiceQuery(today=datetime.now(UTC).date(), number=number)
            rows: list[InvoiceRow] = (await ledger.search_invoices(query, None, 10)).items
            for row in rows:
                if row.number == number and (row.status == "void") is void:
                    return system, _native(row.invoice_id)
        return None

    async def _customer(self, email: str | None) -> tuple[str, Account]:
        """
        Raises:
            NotFound: no ledger knows them, or several are meant: nobody guesses whose books it goes into.
        """
        if email is None:
            raise NotFound("", "the customer has no email address by which a ledger would know them")
        for system, ledger in self._ledgers.items():
            found = await ledger.accounts_by_email(email, frozenset())
            if len(found) == 1:
                return system, found[0]
            if found:
                raise NotFound(system, f"{len(found)} accounts there have the customer's email address")
        raise NotFound("", "no ledger has an account with the customer's email address")


def _native(ref: str) -> str:
    return ref.split(":", 2)[2]
