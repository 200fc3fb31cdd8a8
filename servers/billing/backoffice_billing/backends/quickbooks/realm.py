"""One company in QuickBooks, a request each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

from backoffice_billing.backends.quickbooks import wire as into
from backoffice_billing.backends.quickbooks.access import TITLE
from backoffice_billing.backends.quickbooks.query import MOST, Select, among
from backoffice_billing.backends.quickbooks.wire import Buyer, Entity, Facts, Item, Receipt, Sale
from backoffice_shared.errors import MalformedAnswer, NotFound, TooLarge
from backoffice_shared.http.client import BackendClient, Params, T, Written, path

_FACTS_LAST = 300.0


class Realm:
    def __init__(self, http: BackendClient) -> None:
        self._http = http

    def option(self, name: str) -> str:
        return self._http.options.get(name, "")

    # ------------------------------------------------------------------------------------------------------- reading

    async def facts(self) -> Facts:
        home, several, usual, own = await self._selected(
            Select("Preferences"), into.preferences, fresh_for=_FACTS_LAST, tags=("company",)
        )
        country = await self._selected(Select("CompanyInfo"), into.country, fresh_for=_FACTS_LAST, tags=("company",))
        return Facts(home, several, country == "US", usual, own)

    async def sales(
        self, query: Select, *, start: int = 0, size: int = MOST, fresh_for: float = 0.0, tags: Iterable[str] = ()
    ) -> list[Sale]:
        """One page of invoices, estimates, credit memos or refund receipts."""
        entity: Any = query.entity
        each = partial(into.sale, entity=entity, home=(await self.facts()).home)
        return await self._page(query, each, start=start, size=size, fresh_for=fresh_for, tags=tags)

    async def every_sale(self, query: Select, *, fresh_for: float = 0.0, tags: Iterable[str] = ()) -> list[Sale]:
        """All that there are, page by page.

        Raises:
            TooLarge: there are too many.
            MalformedAnswer: a page holds what was there before, so that nobody can tell whether these are all.
        """
        everything: dict[str, Sale] = {}
        for page in range(_PAGES):
            some = await self.sales(query, start=page * MOST, fresh_for=fresh_for, tags=tags)
            everything |= {sale.id: sale for sale in some}
            if len(everything) != page * MOST + len(some):
                raise MalformedAnswer(TITLE, f"gave the same {query.entity} twice, where others were asked for")
            if len(some) < MOST:
                return list(everything.values())
        raise TooLarge(TITLE, f"there are {_PAGES * MOST:,} or more of {query.entity} to look through")

    async def receipts(
        self, query: Select, *, start: int = 0, size: int = MOST, fresh_for: float = 0.0, tags: Iterable[str] = ()
    ) -> list[Receipt]:
        each = partial(into.receipt, home=(await self.facts()).home)
        return await self._page(query, each, start=start, size=size, fresh_for=fresh_for, tags=tags)

    async def receipts_by_id(self, natives: Sequence[str], *, fresh_for: float = 0.0) -> list[Receipt]:
        """A query names so many ids that its address does not grow too long."""
        wanted = sorted(set(natives), key=int)
        found: list[Receipt] = []
        for first in range(0, len(wanted), IDS):
            query = Select("Payment", (among("Id", wanted[first : first + IDS]),))
            found += await self.receipts(query, fresh_for=fresh_for, tags=("payments",))
        return found

    async def buyers(self, query: Select, *, size: int = MOST, fresh_for: float = 0.0) -> list[Buyer]:
        each = partial(into.buyer, home=(await self.facts()).home)
        return await self._page(query, each, size=size, fresh_for=fresh_for, tags=("customers",))

    async def items(self, natives: Sequence[str]) -> list[Item]:
        each = partial(into.item, home=(await self.facts()).home)
        return await self._page(Select("Item", (among("Id", list(natives)),)), each)

    async def listed(self, query: Select, each: Callable[[Any], T]) -> list[T]:
        return await self._page(query, each)

    async def count(self, query: Select, *, fresh_for: float, tags: Iterable[str]) -> int:
        return await self._http.read(
            f"{query.entity.lower()}.count",
            self._path("query"),
            params=self._params(query=query.count()),
            into=into.counted,
            fresh_for=fresh_for,
            tags=tags,
        )

    async def sale(self, entity: Entity, native: str, **params: str) -> Sale:
        """At this moment.

        Raises:
            NotFound: there is none.
        """
        each = partial(into.sale, entity=entity, home=(await self.facts()).home)
        return await self._http.read(
            f"{entity.lower()}.get",
            self._path(entity.lower(), must_be_id(entity, native)),
            params=self._params(**params),
            into=partial(into.one, entity=entity, each=each),
        )

    async def receipt(self, native: str) -> Receipt:
        return await self._http.read(
            "payment.get",
            self._path("payment", must_be_id("Payment", native)),
            params=self._params(),
            into=partial(into.one, entity="Payment", each=partial(into.receipt, home=(await self.facts()).home)),
        )

    async def report(self, name: str, translate: Callable[[Any], T], **params: str) -> T:
        return await self._http.read(
            f"reports.{name}",
            self._path("reports", name),
            params=self._params(**params),
            into=translate,
            fresh_for=60.0,
            tags=("reports",),
        )

    # ------------------------------------------------------------------------------------------------------- writing

    async def write(
        self, entity: Entity, body: object, key: str, *, to: Sequence[str] = (), **params: str
    ) -> Written[Sale]:
        """Create or change. The caller has looked that it is not done yet."""
        each = partial(into.sale, entity=entity, home=(await self.facts()).home)
        return await self._http.write(
            f"{entity.lower()}.{params.get('operation') or (to[-1] if to else 'write')}",
            self._path(entity.lower(), *to),
            params=self._params(**params),
            json=body,
            into=partial(into.one, entity=entity, each=each),
            key=key,
            twice="looked up",
            touches=_TOUCHED,
        )

    async def write_receipt(self, body: object, key: str) -> Written[Receipt]:
        return await self._http.write(
            "payment.write",
            self._path("payment"),
            params=self._params(),
            json=body,
            into=partial(into.one, entity="Payment", each=partial(into.receipt, home=(await self.facts()).home)),
            key=key,
            twice="looked up",
            touches=_TOUCHED,
        )

    # ------------------------------------------------------------------------------------------------------- requests

    async def _selected(
        self, query: Select, translate: Callable[[Any], T], *, fresh_for: float, tags: Iterable[str]
    ) -> T:
        return await self._http.read(
            f"{query.entity.lower()}.query",
            self._path("query"),
            params=self._params(query=query.page(0, MOST)),
            into=translate,
            fresh_for=fresh_for,
            tags=tags,
        )

    async def _page(
        self,
        query: Select,
        each: Callable[[Any], T],
        *,
        start: int = 0,
        size: int = MOST,
        fresh_for: float = 0.0,
        tags: Iterable[str] = (),
    ) -> list[T]:
        return await self._http.read(
            f"{query.entity.lower()}.query",
            self._path("query"),
            params=self._params(query=query.page(start, size)),
            into=partial(into.found, entity=query.entity, each=each),
            fresh_for=fresh_for,
            tags=tags,
        )

    def _path(self, *segments: str) -> str:
        return path("v3", "company", self.option("realm"), *segments)

    def _params(self, **params: str) -> Params:
        return {"minorversion": self.option("minor_version"), **params}


IDS = 100
_PAGES = 20
_TOUCHED = ("invoices", "payments", "customers", "reports")


def is_id(native: str) -> bool:
    return native.isascii() and native.isdecimal() and len(native) <= 20


def must_be_id(entity: str, native: str) -> str:
    """
    Raises:
        NotFound: QuickBooks has no such ids.
    """
    if not is_id(native):
        raise NotFound(TITLE, f"there is no {entity} {native[:40]!r}")
    return native
