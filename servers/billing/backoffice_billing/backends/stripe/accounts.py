"""Stripe's customers in our words: what they owe, their credit, how they pay, and to what they subscribe.

Sources: https://docs.stripe.com/api/customers, https://docs.stripe.com/api/payment_methods/customer_list and
https://docs.stripe.com/api/subscriptions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date

from backoffice_billing.backends.stripe import accountwire as into
from backoffice_billing.backends.stripe.invoices import FRESH, today
from backoffice_billing.backends.stripe.lists import every, if_there, page_of
from backoffice_billing.backends.stripe.shapes import sound
from backoffice_billing.backends.stripe.wire import Wire, dashboard, path_of, quoted, rows_in
from backoffice_billing.models import Account, AccountSection, Subscription
from backoffice_shared.http.client import BackendClient
from backoffice_shared.sources import at_once

_MOST = 20


class StripeAccounts:
    """What is owed is what is open: invoices given up as uncollectible are not counted. `today` says what is
    overdue."""

    account_kind = "customer"

    def __init__(self, http: BackendClient, *, today: Callable[[], date] = today) -> None:
        self._http = http
        self._today = today

    async def accounts(self, natives: Sequence[str], sections: frozenset[AccountSection]) -> list[Account]:
        customers = await at_once(*(if_there(self._customer(native)) for native in dict.fromkeys(natives)))
        return await self._accounts((c for c in customers if c is not None and not c.get("deleted")), sections)

    async def accounts_by_email(self, email: str, sections: frozenset[AccountSection]) -> list[Account]:
        """The list has who is there now, with the letters as they are written; the search has every case, up to a
        minute late."""
        spellings = dict.fromkeys([email, email.lower()])
        lists = [every(self._http, "customers.list", {"email": each}, fresh_for=FRESH) for each in spellings]
        found = await at_once(self._searched(email), *lists)
        known = {str(each["id"]): each for rows in found for each in rows}
        mine = [each for each in known.values() if str(each.get("email") or "").casefold() == email.casefold()]
        return await self._accounts(mine[:_MOST], sections)

    async def _accounts(self, customers: Iterable[Wire], sections: frozenset[AccountSection]) -> list[Account]:
        return await at_once(*(self._account(customer, sections) for customer in customers))

    async def _account(self, wire: Wire, sections: frozenset[AccountSection]) -> Account:
        native = str(wire["id"])
        account = Account(
            customer_id=f"stripe:customer:{native}",
            name=wire.get("name"),
            email=wire.get("email"),
            url=dashboard(wire, "customers", native),
        )
        if sections & {"balance", "overdue"}:
            owed = await self._open_invoices(native)
            account.balances = into.owed(owed) if "balance" in sections else None
            account.overdue = into.overdue(owed, self._today()) if "overdue" in sections else None
        if "credit" in sections:
            account.credit = into.credit(wire)
        if "methods" in sections:
            account.methods = into.methods(await self._methods(native), wire)
        if "subscriptions" in sections:
            account.subscriptions = await self._subscriptions(native)
        return account

    # ---------------------------------------------------------------------------------------------- one request each

    async def _customer(self, native: str) -> Wire:
        return await customer(self._http, native, fresh_for=FRESH)

    async def _searched(self, email: str) -> list[Wire]:
        found = await self._http.read(
            "customers.search",
            "/v1/customers/search",
            params={"query": f"email:{quoted(email)}", "limit": 100},
            into=page_of("customers"),
            fresh_for=FRESH,
        )
        return found.rows

    async def _open_invoices(self, native: str) -> list[Wire]:
        asked = {"customer": native, "status": "open"}
        return await every(self._http, "invoices.list", asked, fresh_for=FRESH, tags=("invoices",))

    async def _methods(self, native: str) -> list[Wire]:
        return await methods_of(self._http, native, fresh_for=FRESH)

    async def _subscriptions(self, native: str) -> list[Subscription]:
        """Those that have not ended."""
        found = await every(self._http, "subscriptions.list", {"customer": native}, fresh_for=FRESH)
        products = {str(item["price"]["product"]) for each in found for item in rows_in(each.get("items"))}
        names = await self._products(sorted(products))
        return [into.subscription(each, names) for each in found]

    async def _products(self, natives: list[str]) -> Mapping[str, str]:
        if not natives:
            return {}
        found = await self._http.read(
            "products.list",
            "/v1/products",
            params={"ids[]": natives[:100], "limit": 100},
            into=page_of("products"),
            fresh_for=3600,
        )
        return {str(product["id"]): str(product["name"]) for product in found.rows}


async def customer(http: BackendClient, native: str, *, fresh_for: float = 0.0) -> Wire:
    """
    Raises:
        NotFound: there is none.
    """
    return await http.read(
        "customers.get",
        path_of("customer", native),
        into=sound("customer"),
        fresh_for=fresh_for,
        tags=(f"customer:{native}",),
    )


async def methods_of(http: BackendClient, native: str, *, fresh_for: float = 0.0) -> list[Wire]:
    return await every(
        http,
        "customers.payment_methods",
        {},
        at=path_of("customer", native, "payment_methods"),
        fresh_for=fresh_for,
        tags=(f"customer:{native}",),
    )
