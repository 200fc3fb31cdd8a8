"""Stripe's payments and refunds, to read.

Sources: https://docs.stripe.com/api/payment_intents, https://docs.stripe.com/api/charges/list,
https://docs.stripe.com/api/invoice-payment, https://docs.stripe.com/api/refunds/list,
https://docs.stripe.com/api/radar/early_fraud_warnings/list
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import partial

from backoffice_billing.backends.stripe import paymentwire as into
from backoffice_billing.backends.stripe.invoices import FRESH
from backoffice_billing.backends.stripe.lists import LARGEST_PAGE, Page, every, page_after, page_of
from backoffice_billing.backends.stripe.places import merged, places_in
from backoffice_billing.backends.stripe.shapes import sound
from backoffice_billing.backends.stripe.wire import Wire, id_in, is_id, moment, path_of, quoted, rows_in, stamp
from backoffice_billing.models import Payment, PaymentRow, PaymentSection, Refund
from backoffice_billing.ports import PaymentQuery
from backoffice_shared.errors import NotFound
from backoffice_shared.http.client import BackendClient
from backoffice_shared.jsonvalues import obj
from backoffice_shared.paging import Chunk
from backoffice_shared.sources import at_once

_WITH_INTENT = {"expand[]": ["data.payment_intent"]}


class StripePayments:
    """Every attempt to be paid is a row, at the time of the attempt; its id is that of the payment, which may have
    several."""

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    # -------------------------------------------------------------------------------------------------------- search

    async def search_payments(self, query: PaymentQuery, cursor: str | None, limit: int) -> Chunk[PaymentRow]:
        if query.invoice is not None:
            return await self._for_invoice(query, query.invoice)
        sorted_out = bool(query.statuses or query.currency or query.min_amount is not None)
        size = LARGEST_PAGE if sorted_out else limit
        customers = None if query.customers is None else [c for c in query.customers if is_id(c)]
        charges, following = await merged(partial(self._charges, query, size), places_in(cursor, customers), size)
        rows = await at_once(*(self._row(charge, query) for charge in charges))
        found = [(row, charge) for row, charge in zip(rows, charges, strict=True) if _meets(row, query)]
        return Chunk(await at_once(*(self._placed(row, charge) for row, charge in found)), next=following)

    async def _for_invoice(self, query: PaymentQuery, invoice: str) -> Chunk[PaymentRow]:
        rows = await self._rows_for_invoice(invoice, fresh_for=FRESH)
        return Chunk([row for row in rows if _meets(row, query)])

    async def _rows_for_invoice(self, invoice: str, *, fresh_for: float) -> list[PaymentRow]:
        if not is_id(invoice):
            return []
        asked = {"invoice": invoice}
        paid = await every(self._http, "invoice_payments.list", asked, fresh_for=fresh_for, tags=_about(invoice))
        intents = dict.fromkeys(i for each in paid if (i := id_in(obj(each.get("payment")).get("payment_intent"))))
        attempts = await at_once(*(self._attempts(intent, fresh_for=fresh_for) for intent in intents))
        rows = await at_once(
            *(self._disputed(charge, invoice, fresh_for=fresh_for) for charges in attempts for charge in charges)
        )
        return sorted(rows, key=lambda row: row.at, reverse=True)

    async def _row(self, charge: Wire, query: PaymentQuery) -> PaymentRow:
        return await self._disputed(charge, query.invoice, fresh_for=FRESH)

    async def _disputed(self, charge: Wire, invoice: str | None, *, fresh_for: float) -> PaymentRow:
        disputes = await self._disputes(charge, fresh_for=fresh_for) if charge.get("disputed") else []
        return into.row(charge, disputes, invoice)

    async def _placed(self, row: PaymentRow, charge: Wire) -> PaymentRow:
        """With the invoice that it was for, which Stripe only says when asked for each."""
        intent = id_in(charge.get("payment_intent"))
        invoice = await self._invoice_of(intent, fresh_for=FRESH) if intent else None
        return row.model_copy(update={"invoice_id": f"stripe:invoice:{invoice}"}) if invoice else row

    # --------------------------------------------------------------------------------------------------- one payment

    async def payment(self, native: str, sections: frozenset[PaymentSection]) -> Payment:
        """That of a charge is its PaymentIntent's."""
        intent, charge = await self._paid(native)
        native = str(intent.get("id") or native)
        refunds, disputes, warnings, invoices = await at_once(
            self.refunds(native),
            self._disputes(charge) if charge.get("disputed") else _none(),
            self._warnings(native),
            self._invoice_payments(native),
        )
        return into.payment(
            intent,
            charge,
            refunds=refunds,
            disputes=disputes,
            warnings=warnings,
            invoice=next((id_in(each.get("invoice")) for each in invoices), None),
            sections=sections,
        )

    async def _paid(self, native: str) -> tuple[Wire, Wire]:
        """The PaymentIntent and its latest charge. What is older than PaymentIntents is a charge alone."""
        if _is_charge(native):
            charge = await self._charge(native)
            intent_id = id_in(charge.get("payment_intent"))
            if intent_id is None:
                return {}, charge
            native = intent_id
        expand = {"expand[]": ["customer", "latest_charge.balance_transaction"]}
        intent = await self._http.read(
            "payment_intents.get", path_of("payment", native), params=expand, into=sound("payment_intent")
        )
        return intent, obj(intent.get("latest_charge"))

    async def _charge(self, native: str) -> Wire:
        expand = {"expand[]": ["balance_transaction", "customer"]}
        return await self._http.read("charges.get", path_of("charge", native), params=expand, into=sound("charge"))

    async def named(self, native: str) -> str:
        """The payment's own id: of a charge, that of its PaymentIntent, where it has one."""
        if not _is_charge(native):
            return native
        charge = await self._charge(native)
        return id_in(charge.get("payment_intent")) or native

    async def refunds(self, native: str) -> list[Wire]:
        """Of a payment by its own id, as they are now."""
        return await every(self._http, "refunds.list", {_named(native): native})

    async def _warnings(self, native: str) -> list[Wire]:
        return await every(self._http, "radar.early_fraud_warnings.list", {_named(native): native})

    async def _invoice_payments(self, native: str, *, fresh_for: float = 0.0) -> list[Wire]:
        if _is_charge(native):
            return []
        asked = {"payment[type]": "payment_intent", "payment[payment_intent]": native}
        return await every(self._http, "invoice_payments.list", asked, fresh_for=fresh_for, tags=("payments",))

    # ------------------------------------------------------------------------------------------ what a policy must know

    async def refunds_of(self, customer: str, since: datetime) -> list[Refund]:
        """By way of the customer's charges: Stripe's refunds do not say whose they are. What a charge holds of its
        refunds is only the latest ten."""
        asked = {"customer": customer, "expand[]": ["data.refunds"]}
        charges = await every(self._http, "charges.list", asked) if is_id(customer) else []
        refunded = [charge for charge in charges if rows_in(charge.get("refunds"))]
        lists = await at_once(*(self._refunds_on(charge) for charge in refunded))
        found = [into.refund(each) for rows in lists for each in rows if moment(each["created"]) >= since]
        return sorted(found, key=lambda refund: refund.at, reverse=True)

    async def _refunds_on(self, charge: Wire) -> list[Wire]:
        if obj(charge.get("refunds")).get("has_more"):
            return await every(self._http, "refunds.list", {"charge": str(charge["id"])})
        return rows_in(charge.get("refunds"))

    async def payments_for_invoice(self, native: str) -> list[PaymentRow]:
        """With attempts that failed."""
        return await self._rows_for_invoice(native, fresh_for=0)

    async def payments_for_order(self, number: str) -> list[PaymentRow]:
        """PaymentIntents whose metadata say `order`, with or without "#". Stripe can only search for that, in an index
        that lags by up to a minute: a payment of just now may be missing."""
        bare = number.removeprefix("#")
        lists = await at_once(*(self._searched(each) for each in (f"#{bare}", bare)))
        intents = {str(intent["id"]): intent for rows in lists for intent in rows if _is_for(intent, bare)}
        rows = await at_once(*(self._searched_row(intent) for intent in intents.values()))
        return sorted(rows, key=lambda row: row.at, reverse=True)

    async def _searched_row(self, intent: Wire) -> PaymentRow:
        charge = obj(intent.get("latest_charge"))
        disputes = await self._disputes(charge) if charge.get("disputed") else []
        return into.row_of(intent, disputes, await self._invoice_of(str(intent["id"])))

    # ---------------------------------------------------------------------------------------------- one request each

    async def _charges(self, query: PaymentQuery, size: int, customer: str | None, after: str | None) -> Page:
        asked: dict[str, str | int | bool | list[str]] = {**_WITH_INTENT}
        if customer is not None:
            asked["customer"] = customer
        if query.since is not None:
            asked["created[gte]"] = stamp(query.since)
        if query.until is not None:
            asked["created[lte]"] = stamp(query.until)
        tags = ("payments",)
        return await page_after(self._http, "charges.list", asked, after, limit=size, fresh_for=FRESH, tags=tags)

    async def _attempts(self, intent: str, *, fresh_for: float) -> list[Wire]:
        asked = {"payment_intent": intent, **_WITH_INTENT}
        return await every(self._http, "charges.list", asked, fresh_for=fresh_for, tags=("payments",))

    async def _disputes(self, charge: Wire, *, fresh_for: float = 0.0) -> list[Wire]:
        asked = {"charge": str(charge["id"])}
        return await every(self._http, "disputes.list", asked, fresh_for=fresh_for, tags=("payments",))

    async def _invoice_of(self, intent: str, *, fresh_for: float = 0.0) -> str | None:
        found = await self._invoice_payments(intent, fresh_for=fresh_for)
        return next((id_in(each.get("invoice")) for each in found), None)

    async def _searched(self, number: str) -> list[Wire]:
        found = await self._http.read(
            "payment_intents.search",
            "/v1/payment_intents/search",
            params={
                "query": f'metadata["{into.ORDER}"]:{quoted(number)}',
                "limit": LARGEST_PAGE,
                "expand[]": ["data.latest_charge"],
            },
            into=page_of("payment_intents"),
        )
        return found.rows


async def _none() -> list[Wire]:
    return []


def _about(invoice: str) -> Sequence[str]:
    return (f"invoice:{invoice}", "payments")


def _is_charge(native: str) -> bool:
    """
    Raises:
        NotFound: this is neither a charge nor a PaymentIntent.
    """
    if not native.startswith(("pi_", "ch_", "py_")):
        raise NotFound("Stripe", f"there is no payment {native[:60]!r}")
    return not native.startswith("pi_")


def _named(native: str) -> str:
    return "charge" if _is_charge(native) else "payment_intent"


def _is_for(intent: Wire, bare: str) -> bool:
    return str(obj(intent.get("metadata")).get(into.ORDER) or "").removeprefix("#") == bare


def _meets(row: PaymentRow, query: PaymentQuery) -> bool:
    return (
        (not query.statuses or row.status in query.statuses)
        and (query.customers is None or (row.customer_id or "").rpartition(":")[2] in query.customers)
        and (query.since is None or row.at >= query.since)
        and (query.until is None or row.at <= query.until)
        and (query.currency is None or row.amount.currency == query.currency)
        and (query.min_amount is None or row.amount.amount >= query.min_amount)
    )
