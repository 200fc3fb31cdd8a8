"""The requests, one each, and what all of them have in common.

Lists come in pages of at most 1,000. Writes are of one thing each, so that a refusal is about that one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_billing.backends.xero.access import API, XERO
from backoffice_billing.backends.xero.amounts import moment
from backoffice_billing.backends.xero.shapes import check
from backoffice_billing.backends.xero.translation import is_shown
from backoffice_billing.backends.xero.where import is_id
from backoffice_shared.errors import Conflict, NotFound, TooLarge
from backoffice_shared.http.client import BackendClient, Params, T, Written, path
from backoffice_shared.http.once import once
from backoffice_shared.jsonvalues import arr, obj

Wire = dict[str, Any]
Reads = Callable[[Wire], object]
"""Raises ValueError for what it cannot read."""

LARGEST_PAGE, SOME = 1_000, 100
MOST_PAGES = 10
FRESH, SETTINGS_FRESH = 30.0, 300.0  # seconds


@dataclass(frozen=True)
class Page:
    """`total` is of all pages."""

    rows: list[Wire]
    more: bool
    total: int | None


class Api:
    """What adapters ask Xero. `fresh_for` 0 asks Xero itself."""

    def __init__(self, http: BackendClient) -> None:
        self.http = http

    async def page(
        self,
        kind: str,
        params: Params,
        *,
        page: int = 1,
        size: int = LARGEST_PAGE,
        fresh_for: float = FRESH,
        reads: Reads | None = None,
    ) -> Page:
        """One page of `Invoices`, `CreditNotes`, `Payments` … A row that `reads` cannot read makes it unreadable."""
        return await self.http.read(
            f"{kind.lower()}.list",
            f"{API}/{kind}",
            params={**params, "page": page, "pageSize": size},
            into=partial(_page, kind=kind, page=page, size=size, summary="summaryOnly" in params, reads=reads),
            fresh_for=fresh_for,
            tags=(kind.lower(),),
        )

    async def every(
        self, kind: str, params: Params, *, fresh_for: float = FRESH, reads: Reads | None = None
    ) -> list[Wire]:
        """All pages.

        Raises:
            TooLarge: they are more than 10,000.
        """
        rows: list[Wire] = []
        for number in range(1, MOST_PAGES + 1):
            page = await self.page(kind, params, page=number, fresh_for=fresh_for, reads=reads)
            rows += page.rows
            if not page.more:
                return rows
        raise TooLarge(XERO.title, f"there are more than {len(rows):,} {kind.lower()}", hint="Ask for fewer")

    async def recent(self, kind: str, params: Params, since: datetime) -> list[Wire]:
        """Those changed at or after this moment, latest first, as they are now."""
        rows: list[Wire] = []
        for number in range(1, MOST_PAGES + 1):
            latest = {**params, "order": "UpdatedDateUTC DESC"}
            page = await self.page(kind, latest, page=number, size=SOME, fresh_for=0)
            rows += [row for row in page.rows if moment(row["UpdatedDateUTC"]) >= since]
            if not page.more or len(rows) < number * SOME:
                break
        return rows

    async def one(self, kind: str, native: str, what: str, *, fresh_for: float = 0.0, **params: str | int) -> Wire:
        """
        Raises:
            NotFound: there is none.
        """
        if not is_id(native):
            raise NotFound(XERO.title, f"there is no {what} {native[:60]!r}")
        return await self.http.read(
            f"{kind.lower()}.get",
            API + path(kind, native),
            params=params,
            into=partial(first, kind=kind),
            fresh_for=fresh_for,
            tags=(kind.lower(),),
        )

    async def invoice(self, native: str, *, fresh_for: float = 0.0) -> Wire:
        """A customer's invoice, with its lines.

        Raises:
            NotFound: there is none, it was deleted, or it is a supplier's bill.
        """
        wire = await self.one("Invoices", native, "invoice", fresh_for=fresh_for, unitdp=4)
        if not is_shown(wire):
            raise NotFound(XERO.title, f"there is no invoice {native[:60]!r}")
        return wire

    async def customer(self, native: str) -> Wire:
        """A contact that can be billed.

        Raises:
            NotFound: there is none.
            Conflict: they are archived.
        """
        contact = await self.one("Contacts", native, "customer")
        if contact.get("ContactStatus") != "ACTIVE":
            raise Conflict(
                XERO.title, f"customer {contact.get('Name')} is archived", hint="Restore the contact in Xero"
            )
        return contact

    async def account(self, code: str, option: str) -> Wire:
        """The account that this option names.

        Raises:
            NotFound: there is none.
        """
        accounts = await self.list_of("Accounts", SETTINGS_FRESH)
        found = next((entry for entry in accounts if entry.get("Code") == code), None)
        if found is None or found.get("Status", "ACTIVE") != "ACTIVE":
            raise NotFound(XERO.title, f"there is no account {code!r}", hint=f"See the option {option}")
        return found

    async def list_of(self, kind: str, fresh_for: float) -> list[Wire]:
        """A short list that has no pages: `Accounts`, `TaxRates`, `Organisation`."""
        name = "Organisations" if kind == "Organisation" else kind
        return await self.http.read(
            f"{kind.lower()}.list",
            f"{API}/{kind}",
            into=partial(_checked_rows, kind=name),
            fresh_for=fresh_for,
            tags=(kind.lower(),),
        )

    async def write(
        self,
        operation: str,
        where: str,
        wire: object,
        *,
        into: Callable[[Any], T],
        key: str,
        look: Callable[[datetime], Awaitable[T | None]],
        method: str = "PUT",
        params: Params | None = None,
        touches: Iterable[str],
    ) -> Written[T]:
        """Once: for six minutes Xero knows the key, and after that `look` finds what was written."""

        async def write() -> Written[T]:
            return await self.http.write(
                operation,
                API + where,
                method=method,
                params=params,
                json=wire,
                into=into,
                key=key,
                twice="looked up",
                touches=touches,
            )

        return await once(XERO.title, write, look, remembers=XERO.key_lasts)

    async def create(
        self,
        kind: str,
        wire: Wire,
        *,
        key: str,
        look: Callable[[datetime], Awaitable[Wire | None]],
        touches: Iterable[str],
        below: str = "",
    ) -> Written[Wire]:
        """PUT makes a new one, where POST would overwrite one with the same number."""
        exact: Params = {} if kind in ("Payments", "Allocations", "Contacts") else {"unitdp": 4}
        return await self.write(
            f"{kind.lower()}.create",
            f"{below}/{kind}",
            {kind: [wire]},
            into=partial(first, kind=kind),
            key=key,
            look=look,
            params={"summarizeErrors": False, **exact},
            touches=touches,
        )


def first(wire: Any, *, kind: str) -> Wire:
    return check(kind, _rows(wire, kind=kind)[0])


def _rows(wire: Any, *, kind: str) -> list[Wire]:
    rows: Any = wire[kind]
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in arr(wire[kind])):
        raise TypeError(f"no {kind}")
    return arr(wire[kind])


def _checked_rows(wire: Any, *, kind: str) -> list[Wire]:
    return [check(kind, row) for row in _rows(wire, kind=kind)]


def _page(wire: Any, *, kind: str, page: int, size: int, summary: bool, reads: Reads | None) -> Page:
    rows, pages = _rows(wire, kind=kind), obj(wire.get("pagination"))
    more = page < pages["pageCount"] if "pageCount" in pages else len(rows) >= size
    total = pages.get("itemCount")
    for row in rows:
        check(kind, row, summary=summary)
        if reads is not None:
            reads(row)
    return Page(rows, more, total if isinstance(total, int) else None)
