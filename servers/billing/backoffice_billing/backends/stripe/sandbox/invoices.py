"""Invoices, their items and payments, and credit notes, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from backoffice_billing.backends.stripe.sandbox import billing, invoicing, searching
from backoffice_billing.backends.stripe.sandbox.account import Account
from backoffice_billing.backends.stripe.sandbox.asking import CREATED, LISTED, METADATA, Asked
from backoffice_billing.backends.stripe.sandbox.customers import customer_in
from backoffice_billing.backends.stripe.sandbox.endpoints import Endpoint, Searches, listed, update_metadata
from backoffice_billing.backends.stripe.sandbox.objects import Invoice, Line, Method, TaxRate
from backoffice_billing.backends.stripe.sandbox.payments import answered, intent_in, method_of
from backoffice_billing.backends.stripe.sandbox.records import Record
from backoffice_billing.backends.stripe.sandbox.refusals import invalid, malformed, missing

_DUE = ("due_date", "due_date[gt]", "due_date[gte]", "due_date[lt]", "due_date[lte]")
_FIELDS = ("custom_fields[][name]", "custom_fields[][value]")
_CHANGED = ("auto_advance", "days_until_due", "due_date", "description", *_FIELDS, METADATA, "expand[]")
_CREATED = (*_CHANGED, "customer", "currency", "collection_method", "pending_invoice_items_behavior")
_LINE = ("amount", "currency", "description", "quantity", "unit_amount_decimal", "tax_rates[]")
_ITEM = (*_LINE, "customer", "invoice", "pricing[price]", METADATA, "expand[]")
_PREVIEWED = tuple(f"invoice_items[][{name.removesuffix('[]')}]" for name in (*_LINE, "price", "unit_amount"))
_STATUSES = ("draft", "open", "void", "paid", "uncollectible")


def endpoints(searches: Searches) -> list[Endpoint]:
    def search(account: Account, asked: Asked) -> Record:
        return searching.invoices(account, asked, stale=searches())

    preview = ("customer", "currency", *_PREVIEWED, "invoice_items[][tax_rates][]", "expand[]")
    return [
        Endpoint("GET", "invoices", _list, ("customer", "status", "collection_method", *_DUE, *CREATED, *LISTED)),
        Endpoint("POST", "invoices", _create, _CREATED),
        Endpoint("GET", "invoices/search", search, searching.KNOWN),
        Endpoint("POST", "invoices/create_preview", _preview, preview),
        Endpoint("GET", "invoices/{id}", _get, ("expand[]",)),
        Endpoint("POST", "invoices/{id}", _update, _CHANGED),
        Endpoint("GET", "invoices/{id}/lines", _lines, LISTED),
        Endpoint("POST", "invoices/{id}/finalize", _finalize, ("auto_advance", "expand[]")),
        Endpoint("POST", "invoices/{id}/send", _send, ("expand[]",)),
        Endpoint("POST", "invoices/{id}/void", _void, ("expand[]",)),
        Endpoint("POST", "invoices/{id}/pay", _pay, ("payment_method", "off_session", "expand[]")),
        Endpoint("POST", "invoices/{id}/attach_payment", _attach, ("payment_intent", "expand[]")),
        Endpoint("GET", "invoiceitems", _items, ("customer", "invoice", "pending", *CREATED, *LISTED)),
        Endpoint("POST", "invoiceitems", _add_item, _ITEM),
        Endpoint("GET", "invoice_payments", _payments, _PAYMENTS),
    ]


_PAYMENTS = ("invoice", "status", "payment[type]", "payment[payment_intent]", *CREATED, *LISTED)


def invoice_in(account: Account, native: object, param: str = "invoice") -> Invoice:
    found = account.invoices.get(native)
    if found is None:
        raise missing("invoice", native, param, status=400)
    return found


def _there(account: Account, native: str, param: str = "id") -> Invoice:
    found = account.invoices.get(native)
    if found is None:
        raise missing("invoice", native, param)
    return found


# --------------------------------------------------------------------------------------------------------------- reads


def _list(account: Account, asked: Asked) -> Record:
    status = asked.text("status")
    if status is not None and status not in _STATUSES:
        raise malformed("Invalid status: must be one of draft, open, void, paid, or uncollectible", None, "status")
    is_due = _due(asked)
    customer, collection = asked.text("customer"), asked.text("collection_method")
    return listed(
        account,
        account.invoices,
        asked,
        invoicing.invoice,
        "/v1/invoices",
        also=lambda i: status in (None, i.status) and collection in (None, i.collection) and is_due(i.due_date),
        fields={} if customer is None else {"customer": customer},
    )


def _due(asked: Asked) -> Callable[[int | None], bool]:
    if asked.values.get("due_date") is None:
        return lambda _: True
    bounds = asked.part("due_date")
    least, most = bounds.integer("gte"), bounds.integer("lte")
    above, below = bounds.integer("gt"), bounds.integer("lt")

    def meets(due: int | None) -> bool:
        return due is not None and (
            (least is None or due >= least)
            and (most is None or due <= most)
            and (above is None or due > above)
            and (below is None or due < below)
        )

    return meets


def _get(account: Account, _asked: Asked, native: str) -> Record:
    return invoicing.invoice(account, _there(account, native, "invoice"))


def _lines(account: Account, asked: Asked, native: str) -> Record:
    """In the invoice's own order, unlike other lists."""
    invoice = _there(account, native, "invoice")
    rows, after = invoice.lines, asked.text("starting_after")
    start = next((n + 1 for n, row in enumerate(rows) if row.id == after), 0)
    most = asked.limit()
    shown = [invoicing.line(account, row) for row in rows[start : start + most]]
    more = start + most < len(rows)
    return {"object": "list", "data": shown, "has_more": more, "url": f"/v1/invoices/{native}/lines"}


def _items(account: Account, asked: Asked) -> Record:
    invoice, customer = asked.text("invoice"), asked.text("customer")
    return listed(
        account,
        account.lines,
        asked,
        invoicing.item,
        "/v1/invoiceitems",
        also=lambda row: customer in (None, account.invoices[row.invoice].customer),
        fields={} if invoice is None else {"invoice": invoice},
    )


def _payments(account: Account, asked: Asked) -> Record:
    wanted, status = asked.part("payment"), asked.text("status")
    if wanted.values and wanted.text("type") != "payment_intent":
        raise malformed("Missing required param: payment[type].", "parameter_missing", "payment[type]")
    fields = {"invoice": asked.text("invoice"), "intent": wanted.text("payment_intent")}
    return listed(
        account,
        account.invoice_payments,
        asked,
        invoicing.invoice_payment,
        "/v1/invoice_payments",
        also=lambda row: status in (None, row.status),
        fields={name: value for name, value in fields.items() if value is not None},
    )


# -------------------------------------------------------------------------------------------------------------- drafts


def _create(account: Account, asked: Asked) -> Record:
    customer = customer_in(account, asked.required("customer"))
    collection = asked.one_of("collection_method", "charge_automatically", "send_invoice") or "charge_automatically"
    days, due = asked.integer("days_until_due"), asked.integer("due_date")
    if collection == "send_invoice" and days is None and due is None:
        raise invalid(
            "If invoice collection method is 'send_invoice', you must specify 'due_date' or 'days_until_due'."
        )
    if collection != "send_invoice" and (days is not None or due is not None):
        raise invalid(
            "You can only specify 'due_date' or 'days_until_due' if invoice collection method is 'send_invoice'."
        )
    asked.one_of("pending_invoice_items_behavior", "exclude", "include")
    made = Invoice(
        id=account.new("in"),
        created=account.now(),
        metadata=asked.metadata(),
        written=True,
        customer=customer.id,
        currency=asked.currency(customer.currency or "usd"),
        collection=collection,
        days_until_due=days,
        due_date=due if days is None else account.now() + days * 86_400,
        auto_advance=asked.flag("auto_advance") or False,
    )
    _describe(made, asked)
    return invoicing.invoice(account, account.invoices.add(made))


def _describe(invoice: Invoice, asked: Asked) -> None:
    if (memo := asked.text("description")) is not None:
        invoice.memo = memo or None
    if "custom_fields" in asked.values:
        invoice.fields = [(part.required("name"), part.required("value")) for part in asked.parts("custom_fields")]
        if any(len(name) > 40 or len(value) > 140 for name, value in invoice.fields):
            raise malformed(
                "Custom fields can have names of up to 40 characters, and values of 140.", None, "custom_fields"
            )


def _update(account: Account, asked: Asked, native: str) -> Record:
    invoice = _there(account, native)
    for name in ("description", "custom_fields", "days_until_due", "due_date"):
        if name in asked.values and invoice.status != "draft":
            raise invalid("Finalized invoices can't be updated in this way", param=name)
    _describe(invoice, asked)
    if (days := asked.integer("days_until_due")) is not None:
        invoice.days_until_due = days
    update_metadata(invoice, asked)
    return invoicing.invoice(account, invoice)


def _add_item(account: Account, asked: Asked) -> Record:
    customer = customer_in(account, asked.required("customer"))
    invoice = invoice_in(account, asked.required("invoice"))
    if invoice.customer != customer.id:
        raise invalid("The customer of the invoice item must be that of the invoice.", param="customer")
    line = _line(account, invoice, asked, price=asked.part("pricing").text("price"), metadata=asked.metadata())
    return invoicing.item(account, billing.add_line(account, invoice, line))


def _line(
    account: Account,
    invoice: Invoice,
    asked: Asked,
    *,
    price: str | None,
    metadata: dict[str, str],
    temporary: bool = False,
) -> Line:
    quantity = asked.integer("quantity")
    unit = _unit(account, asked, price, invoice.currency)
    if asked.text("amount") is not None and (quantity is not None or price is not None):
        raise malformed("You may only specify one of these parameters: amount, quantity.", None, "amount")
    rates = [_rate(account, native) for native in asked.texts("tax_rates")]
    return billing.new_line(
        account,
        invoice,
        asked.text("description") or "",
        quantity=1 if quantity is None else quantity,
        unit=unit,
        rate=rates[0] if rates else None,
        price=price,
        metadata=metadata,
        temporary=temporary,
    )


def _unit(account: Account, asked: Asked, price: str | None, currency: str) -> Decimal:
    if price is not None:
        found = account.prices.get(price)
        if found is None:
            raise missing("price", price, "pricing[price]", status=400)
        if found.currency != currency:
            raise invalid(
                f"The price specified only supports `{found.currency}`. This doesn't match the expected currency:"
                f" `{currency}`.",
                param="pricing[price]",
            )
        if found.recurring:
            raise invalid(
                "The price specified is set to `type=recurring` but this field only accepts prices with"
                " `type=one_time`.",
                param="pricing[price]",
            )
        return Decimal(found.unit)
    said = asked.currency()
    if said != currency:
        raise invalid(
            f"The currency of the invoice item ({said}) must be that of the invoice ({currency}).", param="currency"
        )
    unit = asked.decimal("unit_amount_decimal")
    amount = asked.integer("amount")
    if unit is None and amount is None:
        raise malformed("Missing required param: amount.", "parameter_missing", "amount")
    return unit if unit is not None else Decimal(amount or 0)


def _rate(account: Account, native: str) -> TaxRate:
    found = account.rates.get(native)
    if found is None:
        raise missing("tax rate", native, "tax_rates", status=400)
    return found


def _preview(account: Account, asked: Asked) -> Record:
    customer = customer_in(account, asked.required("customer"))
    made = Invoice(
        id=f"upcoming_in_{account.new('x').removeprefix('x_')}",
        created=account.now(),
        customer=customer.id,
        currency=asked.currency(customer.currency or "usd"),
    )
    for part in asked.parts("invoice_items"):
        made.lines.append(_line(account, made, part, price=part.text("price"), metadata={}, temporary=True))
    if not made.lines:
        raise invalid("No upcoming invoices for customer: " + customer.id, code="invoice_upcoming_none")
    whole = invoicing.invoice(account, made)
    lines = [invoicing.line(account, each) for each in made.lines]
    return {**whole, "lines": {**whole["lines"], "data": lines, "has_more": False}}


# ---------------------------------------------------------------------------------------------------------- transitions


def _finalize(account: Account, asked: Asked, native: str) -> Record:
    invoice = _there(account, native)
    billing.finalize(account, invoice)
    invoice.auto_advance = asked.flag("auto_advance") or False
    return invoicing.invoice(account, invoice)


def _send(account: Account, _asked: Asked, native: str) -> Record:
    invoice = _there(account, native, "invoice")
    billing.send(account, invoice)
    return invoicing.invoice(account, invoice)


def _void(account: Account, _asked: Asked, native: str) -> Record:
    invoice = _there(account, native)
    billing.void(account, invoice)
    return invoicing.invoice(account, invoice)


def _pay(account: Account, asked: Asked, native: str) -> Record:
    invoice = _there(account, native)
    asked.flag("off_session")
    intent = billing.pay(account, invoice, _method(account, invoice, asked.text("payment_method")))
    answered(account, intent)
    return invoicing.invoice(account, invoice)


def _method(account: Account, invoice: Invoice, native: str | None) -> Method:
    customer = account.customers[invoice.customer]
    wanted = native or customer.default_method
    if wanted is None:
        raise invalid(
            "There is no `default_payment_method` set on this Customer or Invoice. Please set a default payment method"
            " before attempting to pay."
        )
    return method_of(account, customer, wanted)


def _attach(account: Account, asked: Asked, native: str) -> Record:
    invoice = _there(account, native)
    billing.attach(account, invoice, intent_in(account, asked.required("payment_intent")))
    return invoicing.invoice(account, invoice)
