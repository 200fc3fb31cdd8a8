"""The company's books, as this account has them: customers and their cards, invoices, payments, refunds and
disputes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal

from backoffice_billing.backends.stripe.sandbox import ids, moves
from backoffice_billing.backends.stripe.sandbox.account import Account, fee_of
from backoffice_billing.backends.stripe.sandbox.objects import (
    Charge,
    Customer,
    Dispute,
    Intent,
    Invoice,
    InvoicePayment,
    Line,
    Method,
    Price,
    Product,
    Refund,
    Subscription,
    TaxRate,
    Warned,
)
from backoffice_shared.sandbox.books import Books
from backoffice_shared.sandbox.books import Invoice as Billed
from backoffice_shared.sandbox.books import Payment as Paid
from backoffice_shared.sandbox.company import Company, Person, order_name

_RATES = {"GB": ("VAT", 2_000), "DE": ("MwSt.", 1_900), "FR": ("TVA", 2_000), "JP": ("JCT", 1_000)}
_PLAN = "prod_SandboxTrails"
_DAY = 86_400


def seed(account: Account, company: Company) -> Account:
    books = company.books
    started = _at(company.today) - 1_600 * _DAY
    for country, (name, hundredths) in _RATES.items():
        account.rates.add(
            TaxRate(id=ids.tax_rate_id(country), created=started, name=f"{name} {country}", hundredths=hundredths)
        )
    account.products.add(Product(id=_PLAN, created=started, name="Trail guide subscription"))
    for person in company.people:
        if books.bills(person):
            _add_customer(account, person, books)
    for invoice in books.invoices:
        if invoice.billed:
            _add_invoice(account, company.people[invoice.person], invoice)
    account.last_number = len(books.invoices)
    for payment in books.payments:
        if not payment.bank:
            _add_payment(account, company, payment)
    for subscription in books.subscriptions:
        currency = subscription.currency.lower()
        price = ids.price_id(currency)
        if account.prices.get(price) is None:
            account.prices.add(
                Price(
                    id=price,
                    created=started,
                    product=_PLAN,
                    currency=currency,
                    unit=subscription.amount,
                    recurring=True,
                )
            )
        account.subscriptions.add(
            Subscription(
                id=ids.made("sub", subscription.number),
                created=_at(subscription.since),
                customer=ids.customer_id(subscription.person),
                item=ids.made("si", subscription.number),
                price=price,
                currency=currency,
                renews=_at(subscription.renews),
            )
        )
    return account


def _at(moment: datetime | date) -> int:
    at = moment if isinstance(moment, datetime) else datetime.combine(moment, time.min, UTC)
    return int(at.timestamp())


def _add_customer(account: Account, person: Person, books: Books) -> None:
    native, card = ids.customer_id(person.number), books.card(person)
    account.add_customer(
        Customer(
            id=native,
            created=_at(person.since),
            name=person.name,
            email=person.email,
            phone=person.phone,
            currency=books.currency(person).lower(),
            default_method=ids.method_id(person.number) if card is not None else None,
        )
    )
    if card is not None:
        account.methods.add(
            Method(
                id=ids.method_id(person.number),
                created=_at(person.since),
                customer=native,
                kind="card",
                brand=card.brand,
                last4=card.last4,
                exp_month=card.exp_month,
                exp_year=card.exp_year,
                behaviour=card.behaviour,
            )
        )


def _add_invoice(account: Account, person: Person, billed: Billed) -> None:
    native, created = ids.invoice_id(billed.number), _at(billed.issued)
    draft = billed.status == "draft"
    invoice = account.invoices.add(
        Invoice(
            id=native,
            created=created,
            customer=ids.customer_id(person.number),
            currency=billed.currency.lower(),
            status=billed.status,
            collection="send_invoice",
            days_until_due=(billed.due - billed.issued).days,
            due_date=_at(billed.due),
            number=None if draft else billed.name,
            finalized=None if draft else created,
            voided=created + _DAY if billed.status == "void" else None,
            uncollectible=created + 60 * _DAY if billed.status == "uncollectible" else None,
        )
    )
    for number, line in enumerate(billed.lines):
        made = Line(
            id=ids.made("il", f"{billed.number}-{number}"),
            created=created,
            item=ids.made("ii", f"{billed.number}-{number}"),
            invoice=native,
            text=line.text,
            quantity=line.quantity,
            unit=str(Decimal(line.unit)),
            amount=line.net,
            currency=invoice.currency,
            rate=ids.tax_rate_id(person.country) if line.tax else None,
            tax=line.tax,
        )
        invoice.lines.append(account.lines.add(made))
        account.items[made.item] = made.id
    if invoice.number is not None:
        account.numbers[invoice.number.casefold()] = native
    if billed.status in ("open", "uncollectible"):
        _expect(account, invoice, billed.number)


def _expect(account: Account, invoice: Invoice, number: int) -> None:
    """The payment that Stripe waits for."""
    intent = account.intents.add(
        Intent(
            id=ids.made("pi", f"expected-{number}"),
            created=invoice.created,
            amount=invoice.total,
            currency=invoice.currency,
            customer=invoice.customer,
            method=None,
            status="requires_payment_method",
            description=f"Invoice {invoice.number}",
        )
    )
    account.invoice_payments.add(
        InvoicePayment(
            id=ids.made("inpay", f"expected-{number}"),
            created=invoice.created,
            invoice=invoice.id,
            intent=intent.id,
            requested=invoice.total,
            paid=None,
            currency=invoice.currency,
            status="open",
            default=True,
        )
    )


def _add_payment(account: Account, company: Company, paid: Paid) -> None:
    """A PaymentIntent with one charge. Who is no customer of this account paid as a guest."""
    person = company.people[paid.person]
    customer = account.customers.get(ids.customer_id(person.number))
    card = company.books.card(person)
    invoice = None if paid.invoice is None else account.invoices.get(ids.invoice_id(paid.invoice))
    at, currency = _at(paid.at), paid.currency.lower()
    decline = moves.DECLINES["declined"] if paid.failed else None
    metadata = {} if paid.order is None else {"order": order_name(paid.order)}
    description = f"Invoice {invoice.number}" if invoice else f"Order {metadata.get('order', '')}"
    intent = Intent(
        id=ids.payment_id(paid.number),
        created=invoice.created if invoice else at,
        metadata=metadata,
        amount=paid.amount,
        currency=currency,
        customer=customer.id if customer else None,
        method=customer.default_method if customer and not paid.failed else None,
        status="requires_payment_method" if paid.failed else "succeeded",
        description=description,
        email=person.email,
        received=0 if paid.failed else paid.amount,
        charge=ids.charge_id(paid.number),
        decline=decline,
        decline_charge=ids.charge_id(paid.number) if paid.failed else None,
    )
    charge = Charge(
        id=ids.charge_id(paid.number),
        created=at,
        metadata=dict(metadata),
        intent=intent.id,
        amount=paid.amount,
        currency=currency,
        customer=intent.customer,
        method=customer.default_method if customer else None,
        kind="card",
        brand=card.brand if card else "visa",
        last4=card.last4 if card else "4242",
        email=person.email,
        name=person.name,
        description=description,
        behaviour=card.behaviour if card else "succeeds",
        status="failed" if paid.failed else "succeeded",
        decline=decline,
    )
    account.intents.add(intent)
    account.charges.add(charge)
    for order in metadata.values():
        account.orders.setdefault(order, []).append(intent.id)
    if not paid.failed:
        _enter(account, charge, paid, _at(company.today))
    if invoice is not None:
        _pay(account, invoice, paid, at)


def _enter(account: Account, charge: Charge, paid: Paid, today: int) -> None:
    native = ids.made("txn", paid.number)
    fee = fee_of(charge.amount)
    charge.transaction = account.enter(
        "charge", "charge", charge.id, charge.amount, charge.currency, fee=fee, at=charge.created, native=native
    )
    for number, repaid in enumerate(paid.refunds):
        refund = Refund(
            id=ids.made("re", f"{paid.number}-{number}"),
            created=_at(repaid.at),
            charge=charge.id,
            intent=charge.intent,
            amount=repaid.amount,
            currency=charge.currency,
            status="succeeded",
            reason="requested_by_customer",
        )
        refund.transaction = account.enter(
            "refund", "refund", refund.id, -repaid.amount, charge.currency, at=refund.created
        )
        charge.refunded += repaid.amount
        account.refunds.add(refund)
    if paid.disputed is not None:
        _dispute(account, charge, paid, today)


def _dispute(account: Account, charge: Charge, paid: Paid, today: int) -> None:
    created = min(charge.created + 10 * _DAY, today)
    dispute = Dispute(
        id=ids.made("du", paid.number),
        created=created,
        charge=charge.id,
        intent=charge.intent,
        amount=charge.amount,
        currency=charge.currency,
        status="needs_response",
        due_by=created + 14 * _DAY,
    )
    moves.withdraw(account, dispute)
    if paid.disputed != "open":
        moves.decide(account, dispute, won=paid.disputed == "won", at=min(created + 20 * _DAY, today))
    else:  # the bank has warned of it before
        account.warnings.add(
            Warned(id=ids.made("issfr", paid.number), created=created, charge=charge.id, intent=charge.intent)
        )
    charge.disputed = True
    account.disputes.add(dispute)


def _pay(account: Account, invoice: Invoice, paid: Paid, at: int) -> None:
    if not paid.failed:
        invoice.paid += paid.amount
        invoice.paid_at = at
    account.invoice_payments.add(
        InvoicePayment(
            id=ids.made("inpay", paid.number),
            created=invoice.created,
            invoice=invoice.id,
            intent=ids.payment_id(paid.number),
            requested=paid.amount,
            paid=None if paid.failed else paid.amount,
            currency=invoice.currency,
            status="canceled" if paid.failed else "paid",
            default=not paid.failed,
            paid_at=None if paid.failed else at,
            canceled_at=at if paid.failed else None,
        )
    )
    invoice.attempts += 1
