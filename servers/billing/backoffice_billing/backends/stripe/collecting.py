"""Charges saved methods through Stripe.

Sources: https://docs.stripe.com/api/invoices/pay, https://docs.stripe.com/api/invoices/attach_payment,
https://docs.stripe.com/invoicing/partial-payments and https://docs.stripe.com/declines
"""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from typing import Literal

from backoffice_billing.backends.stripe import drafts
from backoffice_billing.backends.stripe.access import STRIPE
from backoffice_billing.backends.stripe.accounts import customer, methods_of
from backoffice_billing.backends.stripe.accountwire import methods
from backoffice_billing.backends.stripe.amounts import money, wired
from backoffice_billing.backends.stripe.attempts import made_once, then
from backoffice_billing.backends.stripe.invoices import StripeInvoices
from backoffice_billing.backends.stripe.lists import every
from backoffice_billing.backends.stripe.shapes import sound
from backoffice_billing.backends.stripe.wire import Wire, id_in, marked, metadata, path_of, stamp
from backoffice_billing.models import Method
from backoffice_billing.ports import Charged, Collection
from backoffice_shared.errors import BackofficeError, Conflict, OutcomeUnknown
from backoffice_shared.http.client import BackendClient, T, Written
from backoffice_shared.http.steps import AGAIN, or_why
from backoffice_shared.jsonvalues import obj
from backoffice_shared.money import Money
from backoffice_shared.sources import at_once

_COLLECTED = "backoffice_collect"
"""Metadata of an invoice: with which key it was last tried to be paid."""
_STATUSES: dict[str, Literal["succeeded", "pending"]] = {"succeeded": "succeeded", "processing": "pending"}


class StripeCollecting:
    """All that is due is paid by way of the invoice, which Stripe pays once. A part is a PaymentIntent of its own,
    which is put to the invoice after it was charged: who comes again with the same key finds it, and does the
    rest."""

    def __init__(self, http: BackendClient, invoices: StripeInvoices) -> None:
        self._http = http
        self._invoices = invoices

    async def methods(self, customer: str) -> list[Method]:
        found, who = await at_once(self._methods(customer), self._customer(customer))
        return methods(found, who[0])

    async def collect(self, collection: Collection, key: str) -> Written[Charged]:
        return await (self._whole(collection, key) if collection.whole else self._part(collection, key))

    # ----------------------------------------------------------------------------------------------- all that is due

    async def _whole(self, collection: Collection, key: str) -> Written[Charged]:
        native = collection.invoice
        invoice = await self._invoices.wire(native)
        if metadata(invoice, _COLLECTED) == key and (charged := await self._paid(invoice, collection)):
            return Written(charged, replayed=True)
        _check(invoice, collection)
        await self._http.write(
            "invoices.update",
            path_of("invoice", native),
            form=marked("metadata", {_COLLECTED: key}),
            into=sound("invoice"),
            key=f"{key}-mark",
            twice="harmless",
            touches=_touched(collection),
        )

        async def write() -> Written[Charged]:
            form = {"payment_method": collection.method, "off_session": "true"}
            at = path_of("invoice", native, "pay")
            paid = await self._http.write(
                "invoices.pay",
                at,
                form=form,
                into=sound("invoice"),
                key=key,
                twice="looked up",
                touches=_touched(collection),
            )
            charged = await then("the invoice was paid", self._paid(paid.value, collection))
            if charged is None:
                raise OutcomeUnknown(STRIPE.title, "the invoice was paid, but Stripe does not say how", hint=AGAIN)
            return Written(charged, paid.replayed)

        async def look(_since: datetime) -> Charged | None:
            wire = await self._invoices.wire(native)
            return await self._paid(wire, collection) if metadata(wire, _COLLECTED) == key else None

        return await self._answered(made_once(write, look), invoice)

    async def _paid(self, invoice: Wire, collection: Collection) -> Charged | None:
        """Its default payment, which is what paying an invoice charges, once it was made by this method and
        succeeded, or is on its way. Others, that were put to the invoice, paid a part of it."""
        paid = await self._invoices.payments_of(str(invoice["id"]))
        intents = [obj(obj(each.get("payment")).get("payment_intent")) for each in paid if each.get("is_default")]
        mine = [
            intent
            for intent in intents
            if id_in(intent.get("payment_method")) == collection.method and intent.get("status") in _STATUSES
        ]
        if not mine:
            return None
        return _charged(mine[0], await self._invoices.wire(str(invoice["id"])))

    # --------------------------------------------------------------------------------------------------------- a part

    async def _part(self, collection: Collection, key: str) -> Written[Charged]:
        invoice = await self._invoices.wire(collection.invoice)

        async def write() -> Written[Wire]:
            _check(invoice, collection)
            return await self._http.write(
                "payment_intents.create",
                "/v1/payment_intents",
                form=_intent(collection, invoice, key),
                into=sound("payment_intent"),
                key=key,
                twice="looked up",
                touches=_touched(collection),
            )

        async def look(since: datetime) -> Wire | None:
            asked = {"customer": collection.customer, "created[gte]": stamp(since)}
            found = await every(self._http, "payment_intents.list", asked)
            return next((intent for intent in found if metadata(intent, drafts.KEY) == key), None)

        made = await self._answered(made_once(write, look), invoice)
        intent = made.value
        if intent["status"] not in _STATUSES:
            raise _declined(intent, invoice)
        await self._attached(intent, collection, key)
        after = await then(
            f"{collection.amount} was charged as {intent['id']}", self._invoices.wire(collection.invoice)
        )
        return Written(_charged(intent, after), made.replayed)

    async def _attached(self, intent: Wire, collection: Collection, key: str) -> None:
        """
        Raises:
            OutcomeUnknown: the money was taken, and is not on the invoice.
        """
        native = str(intent["id"])

        async def write() -> Written[Wire]:
            return await self._http.write(
                "invoices.attach_payment",
                path_of("invoice", collection.invoice, "attach_payment"),
                form={"payment_intent": native},
                into=sound("invoice"),
                key=f"{key}-attach",
                twice="looked up",
                touches=_touched(collection),
            )

        async def look(_since: datetime) -> Wire | None:
            asked = {"payment[type]": "payment_intent", "payment[payment_intent]": native}
            return next(iter(await every(self._http, "invoice_payments.list", asked)), None)

        await then(f"{collection.amount} was charged as {native}", made_once(write, look))

    # ---------------------------------------------------------------------------------------------- one request each

    async def _methods(self, native: str) -> list[Wire]:
        return await methods_of(self._http, native)

    async def _customer(self, native: str) -> list[Wire]:
        return [await customer(self._http, native)]

    async def _answered(self, charge: Awaitable[T], invoice: Wire) -> T:
        """What it gives. Where the customer has to confirm, the refusal says where."""
        answer = await or_why(charge)
        if isinstance(answer, Conflict) and _asks_for_customer(answer.message):
            raise Conflict(STRIPE.title, answer.message, hint=_confirm_at(invoice)) from answer
        if isinstance(answer, BackofficeError):
            raise answer
        return answer


def _check(invoice: Wire, collection: Collection) -> None:
    """
    Raises:
        Conflict: it is not open, or not so much is due.
    """
    name = invoice.get("number") or invoice["id"]
    if invoice["status"] != "open":
        raise Conflict(STRIPE.title, f"the invoice {name} is {invoice['status']}: only an open one can be paid")
    due = money(invoice["amount_remaining"], invoice["currency"])
    fits = due.currency == collection.amount.currency and (
        collection.amount == due if collection.whole else collection.amount <= due
    )
    if not fits:
        raise Conflict(
            STRIPE.title, f"{due} is due on the invoice {name}, not {collection.amount}", hint="Preview it again"
        )


def _intent(collection: Collection, invoice: Wire, key: str) -> dict[str, str]:
    """Methods that would send the customer to another page are left out: nobody is there to be sent."""
    return {
        "amount": wired(collection.amount),
        "currency": collection.amount.currency.lower(),
        "customer": collection.customer,
        "payment_method": collection.method,
        "confirm": "true",
        "off_session": "true",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
        "description": f"Payment in part of invoice {invoice.get('number') or invoice['id']}",
        **marked("metadata", {drafts.KEY: key, "invoice": collection.invoice}),
    }


def _charged(intent: Wire, invoice: Wire) -> Charged:
    due: Money = money(max(invoice["amount_remaining"], 0), invoice["currency"])
    return Charged(f"stripe:payment:{intent['id']}", _STATUSES[str(intent["status"])], due)


def _declined(intent: Wire, invoice: Wire) -> Conflict:
    """Of an earlier attempt with the same key."""
    error = obj(intent.get("last_payment_error"))
    codes = ", ".join(dict.fromkeys(str(error[name]) for name in ("code", "decline_code") if error.get(name)))
    message = f"{error.get('message') or 'It was not charged.'} ({codes or intent['status']})"
    asks = _asks_for_customer(message) or intent["status"] == "requires_action"
    return Conflict(STRIPE.title, message, hint=_confirm_at(invoice) if asks else "")


def _asks_for_customer(message: str) -> bool:
    return "authentication_required" in message or "requires_action" in message


def _confirm_at(invoice: Wire) -> str:
    where = invoice.get("hosted_invoice_url")
    return f"The customer has to confirm it: send them to {where}" if where else "The customer has to confirm it"


def _touched(collection: Collection) -> tuple[str, ...]:
    return ("invoices", "payments", f"invoice:{collection.invoice}", f"customer:{collection.customer}")
