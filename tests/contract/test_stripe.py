"""Stripe's own client works against the sandbox, and leaves the same state as our adapters, write by write."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, cast

import pytest
import stripe as package
from tests.billing.stripe_account import KEY, OTHER, TODAY, Desk, desk, native
from tests.contract.serving import serving

from backoffice_billing.backends.stripe.access import VERSION
from backoffice_billing.backends.stripe.sandbox import API_KEY, RESTRICTED_KEY, out_of_balance
from backoffice_billing.backends.stripe.sandbox.ids import (
    customer_id,
    invoice_id,
    method_id,
    payment_id,
    tax_rate_id,
)
from backoffice_billing.backends.stripe.sandbox.objects import Thing
from backoffice_billing.ports import Collection, CreditDraft, DraftLine, InvoiceDraft, RefundDraft
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company, order_name

pytestmark = pytest.mark.anyio

THIRD = "a" * 40


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@dataclass
class Theirs:
    """Stripe's client, at a sandbox of its own."""

    desk: Desk
    client: package.StripeClient

    @property
    def v1(self) -> Any:
        return self.client.v1


@pytest.fixture
def theirs(company: Company) -> Generator[Theirs]:
    with _served(company, API_KEY) as found:
        yield found


@contextmanager
def _served(company: Company, key: str) -> Generator[Theirs]:
    ours = desk(company)
    with serving(ours.sandbox) as served:
        client = package.StripeClient(key, base_addresses={"api": served.url}, max_network_retries=0)
        yield Theirs(ours, client)


# -------------------------------------------------------------------------------------------------------------- reading


def test_its_lists_go_through_all_pages(theirs: Theirs) -> None:
    state = theirs.desk.state
    assert {i.id for i in theirs.v1.invoices.list({"limit": 37}).auto_paging_iter()} == {i.id for i in state.invoices}
    mine = theirs.v1.charges.list({"customer": customer_id(KEY_ACCOUNT), "limit": 9}).auto_paging_iter()
    assert {c.id for c in mine} == {c.id for c in state.charges.having(customer=customer_id(KEY_ACCOUNT))}


def test_it_reads_what_the_company_has(theirs: Theirs) -> None:
    desk = theirs.desk
    paid = desk.paid(lambda p: p.order is not None and p.refunds != ())
    expand = {"expand": ["latest_charge.balance_transaction", "latest_charge.refunds", "customer"]}
    intent = theirs.v1.payment_intents.retrieve(payment_id(paid.number), expand)
    assert (intent.amount, intent.currency, intent.status) == (paid.amount, paid.currency.lower(), "succeeded")
    assert intent.metadata["order"] == order_name(paid.order or 0)
    assert intent.latest_charge.balance_transaction.net == paid.amount - intent.latest_charge.balance_transaction.fee
    assert [r.amount for r in intent.latest_charge.refunds.data] == [r.amount for r in reversed(paid.refunds)]
    billed = desk.billed(lambda i: i.status == "paid" and i.tax > 0)
    invoice = theirs.v1.invoices.retrieve(invoice_id(billed.number), {"expand": ["payments", "customer"]})
    assert (invoice.number, invoice.total, invoice.customer.id) == (
        billed.name,
        billed.total,
        customer_id(billed.person),
    )
    assert sum(tax.amount for tax in invoice.total_taxes) == billed.tax
    assert any(payment.status == "paid" for payment in invoice.payments.data)
    methods = theirs.v1.customers.payment_methods.list(customer_id(KEY_ACCOUNT))
    assert [method.id for method in methods.data] == [method_id(KEY_ACCOUNT)]
    assert {each.currency for each in theirs.v1.balance.retrieve().available} == set(desk.state.balance)


def test_its_searches_find(theirs: Theirs) -> None:
    person = theirs.desk.company.people[KEY_ACCOUNT]
    billed = theirs.desk.billed(lambda i: i.status == "open")
    paid = theirs.desk.paid(lambda p: p.order is not None)
    [customer] = theirs.v1.customers.search({"query": f"email:'{person.email.upper()}'"}).data
    [invoice] = theirs.v1.invoices.search({"query": f'number:"{billed.name}"'}).data
    [intent] = theirs.v1.payment_intents.search({"query": f"metadata['order']:'{order_name(paid.order or 0)}'"}).data
    assert (customer.id, invoice.id, intent.id) == (
        customer_id(KEY_ACCOUNT),
        invoice_id(billed.number),
        payment_id(paid.number),
    )


def test_it_takes_refusals_for_what_they_are(theirs: Theirs, company: Company) -> None:
    form = {"amount": 500, "currency": "usd", "confirm": True}
    with pytest.raises(package.CardError) as declined:
        theirs.v1.payment_intents.create({**form, "payment_method": "pm_card_visa_chargeDeclinedInsufficientFunds"})
    refused = declined.value.error
    assert refused is not None
    assert (refused.code, refused.decline_code) == ("card_declined", "insufficient_funds")
    with pytest.raises(package.InvalidRequestError) as missing:
        theirs.v1.invoices.retrieve("in_nothing")
    assert (missing.value.code, missing.value.http_status) == ("resource_missing", 404)
    theirs.v1.payment_intents.create({"amount": 500, "currency": "usd"}, {"idempotency_key": KEY})
    with pytest.raises(package.IdempotencyError):
        theirs.v1.payment_intents.create({"amount": 501, "currency": "usd"}, {"idempotency_key": KEY})
    with _served(company, "sk_test_nobodys_key") as stranger, pytest.raises(package.AuthenticationError):
        stranger.v1.balance.retrieve()
    with _served(company, RESTRICTED_KEY) as reader, pytest.raises(package.PermissionError):
        reader.v1.refunds.create({"payment_intent": "pi_1"})


def test_its_keys_are_remembered(theirs: Theirs) -> None:
    paid = theirs.desk.paid(lambda p: not (p.failed or p.refunds or p.disputed))
    form = {"payment_intent": payment_id(paid.number), "amount": 100}
    first, again = [theirs.v1.refunds.create(form, {"idempotency_key": KEY}) for _ in range(2)]
    assert again.id == first.id
    assert again.last_response.headers["idempotent-replayed"] == "true"
    assert first.last_response.headers["stripe-version"] == VERSION == package.api_version
    assert len(theirs.desk.state.refunds.having(intent=payment_id(paid.number))) == 1


# --------------------------------------------------------------------------------------------- the same, write by write


def state(desk: Desk) -> dict[str, list[Any]]:
    """All that is there, but for the moment of it, and for our marks."""
    account = desk.state
    tables: dict[str, Any] = {
        "customers": account.customers,
        "invoices": account.invoices,
        "payments": account.invoice_payments,
        "intents": account.intents,
        "charges": account.charges,
        "refunds": account.refunds,
        "notes": account.credit_notes,
        "journal": account.transactions,
    }
    return {name: [_timeless(row) for row in table] for name, table in tables.items()}


_MOMENTS = frozenset(
    [
        "available_on",
        "canceled_at",
        "charge",
        "created",
        "decline_charge",
        "description",
        "due_date",
        "finalized",
        "id",
        "intent",
        "invoice",
        "invoice_line",
        "item",
        "paid_at",
        "serial",
        "source",
        "transaction",
        "voided",
        "written",
    ]
)


def _timeless(row: Thing) -> Any:
    return _without(asdict(row))


def _without(value: Any) -> Any:
    if isinstance(value, list):
        return [_without(each) for each in arr(cast("object", value))]
    if not isinstance(value, dict):
        return value
    fields = obj(cast("object", value))
    marks = {k: v for k, v in fields.get("metadata", {}).items() if not k.startswith("backoffice_") and k != "invoice"}
    kept = {name: _without(each) for name, each in fields.items() if name not in _MOMENTS}
    return {**kept, "metadata": marks, "refunds": len(fields.get("refunds", []))}


@dataclass(frozen=True)
class Subject:
    """A German customer, and what is made for them."""

    desk: Desk

    @property
    def person(self) -> int:
        books = self.desk.company.books
        people = self.desk.company.people
        return next(p.number for p in people if books.bills(p) and p.country == "DE" and books.card(p))

    @property
    def draft(self) -> InvoiceDraft:
        lines = (
            DraftLine("Tent", 2, Money(amount=5_000, currency="EUR"), tax_code=tax_rate_id("DE")),
            DraftLine("Map", 1, Money(amount=900, currency="EUR")),
        )
        return InvoiceDraft(customer_id(self.person), "EUR", lines, TODAY.date(), 14, "Memo", "PO-7")


def _drafted(theirs: Theirs, subject: Subject) -> str:
    draft = subject.draft
    made = theirs.v1.invoices.create(
        {
            "customer": draft.customer,
            "currency": "eur",
            "collection_method": "send_invoice",
            "days_until_due": 14,
            "auto_advance": False,
            "pending_invoice_items_behavior": "exclude",
            "description": "Memo",
            "custom_fields": [{"name": "PO Number", "value": "PO-7"}],
        }
    )
    for line in draft.lines:
        theirs.v1.invoice_items.create(
            {
                "customer": draft.customer,
                "invoice": made.id,
                "currency": "eur",
                "description": line.description,
                "quantity": line.quantity,
                "unit_amount_decimal": line.unit_amount.amount if line.unit_amount else 0,
                "tax_rates": [line.tax_code] if line.tax_code else [],
            }
        )
    return str(made.id)


async def _we_draft(ours: Desk, subject: Subject) -> str:
    return native((await ours.invoicing.create_invoice(subject.draft, KEY)).value.invoice_id)


async def _we_issue(ours: Desk, subject: Subject) -> str:
    made = await _we_draft(ours, subject)
    await ours.invoicing.issue_invoice(made, "", send=True, key=OTHER)
    return made


def _they_issue(theirs: Theirs, subject: Subject) -> str:
    made = _drafted(theirs, subject)
    theirs.v1.invoices.finalize_invoice(made, {"auto_advance": False})
    theirs.v1.invoices.send_invoice(made)
    return made


def _euro(amount: int) -> Money:
    return Money(amount=amount, currency="EUR")


async def _we_pay(ours: Desk, subject: Subject, amount: int, *, whole: bool) -> str:
    made = await _we_issue(ours, subject)
    card = method_id(subject.person)
    await ours.collecting.collect(Collection(made, customer_id(subject.person), card, _euro(amount), whole), THIRD)
    return made


def _they_pay_whole(theirs: Theirs, subject: Subject) -> str:
    made = _they_issue(theirs, subject)
    theirs.v1.invoices.pay(made, {"payment_method": method_id(subject.person), "off_session": True})
    return made


def _they_pay_part(theirs: Theirs, subject: Subject) -> None:
    made = _they_issue(theirs, subject)
    intent = theirs.v1.payment_intents.create(
        {
            "amount": 4_000,
            "currency": "eur",
            "customer": customer_id(subject.person),
            "payment_method": method_id(subject.person),
            "confirm": True,
            "off_session": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
        }
    )
    theirs.v1.invoices.attach_payment(made, {"payment_intent": intent.id})


async def _we_void(ours: Desk, subject: Subject) -> None:
    await ours.invoicing.void_invoice(await _we_issue(ours, subject), "", "Twice", key=THIRD)


def _they_void(theirs: Theirs, subject: Subject) -> None:
    made = _they_issue(theirs, subject)
    theirs.v1.invoices.update(made, {"metadata": {"void_reason": "Twice"}})
    theirs.v1.invoices.void_invoice(made)


async def _we_credit(ours: Desk, subject: Subject) -> None:
    made = await _we_pay(ours, subject, 12_800, whole=True)
    line = ours.state.invoices[made].lines[0].id
    credit = CreditDraft(_euro(5_950), "Broken", "credit_balance", lines=((line, 1),))
    await ours.invoicing.credit_invoice(made, "", credit, key="b" * 40)


def _they_credit(theirs: Theirs, subject: Subject) -> None:
    made = _they_pay_whole(theirs, subject)
    line = theirs.v1.invoices.line_items.list(made).data[0].id
    lines = [{"type": "invoice_line_item", "invoice_line_item": line, "quantity": 1}]
    form = {"invoice": made, "lines": lines, "memo": "Broken", "credit_amount": 5_950, "email_type": "none"}
    assert theirs.v1.credit_notes.preview(form).total == 5_950
    theirs.v1.credit_notes.create(form)


async def _we_refund(ours: Desk, subject: Subject) -> None:
    paid = ours.paid(lambda p: p.currency == "EUR" and not (p.failed or p.refunds or p.disputed))
    await ours.refunding.refund(RefundDraft(payment_id(paid.number), _euro(100), "defective"), KEY)


def _they_refund(theirs: Theirs, subject: Subject) -> None:
    paid = theirs.desk.paid(lambda p: p.currency == "EUR" and not (p.failed or p.refunds or p.disputed))
    form = {"payment_intent": payment_id(paid.number), "amount": 100, "reason": "requested_by_customer"}
    theirs.v1.refunds.create(form)


async def _we_pay_all(ours: Desk, subject: Subject) -> str:
    return await _we_pay(ours, subject, 12_800, whole=True)


async def _we_pay_part(ours: Desk, subject: Subject) -> str:
    return await _we_pay(ours, subject, 4_000, whole=False)


WRITES: dict[str, tuple[Callable[[Desk, Subject], Awaitable[object]], Callable[[Theirs, Subject], object]]] = {
    "draft": (_we_draft, _drafted),
    "issue": (_we_issue, _they_issue),
    "pay all": (_we_pay_all, _they_pay_whole),
    "pay a part": (_we_pay_part, _they_pay_part),
    "void": (_we_void, _they_void),
    "credit": (_we_credit, _they_credit),
    "refund": (_we_refund, _they_refund),
}


@pytest.mark.parametrize("write", WRITES)
async def test_our_adapters_leave_what_stripes_client_leaves(company: Company, write: str) -> None:
    ours, client = WRITES[write]
    plain = desk(company)
    untouched = state(plain)
    await ours(plain, Subject(plain))
    with _served(company, API_KEY) as theirs:
        client(theirs, Subject(theirs.desk))
        assert state(plain) == state(theirs.desk)
        assert out_of_balance(theirs.desk.state) == []
    assert state(plain) != untouched
