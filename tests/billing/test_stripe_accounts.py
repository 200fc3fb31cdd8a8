"""Customers of Stripe: what they owe, their credit, how they pay, and to what they subscribe."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.billing.stripe_account import HOSTILE, KEY, OTHER, TODAY, Desk, desk, native

from backoffice_billing.backends.stripe.sandbox.ids import customer_id, invoice_id, method_id
from backoffice_billing.models import Account, AccountSection, Method, Overdue, Subscription
from backoffice_billing.ports import CreditDraft
from backoffice_shared.errors import PermissionDenied
from backoffice_shared.money import Money, by_currency
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

ALL: frozenset[AccountSection] = frozenset({"balance", "overdue", "credit", "methods", "subscriptions"})


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=60, today=TODAY)


@pytest.fixture
def stripe(company: Company) -> Desk:
    return desk(company)


async def _one(stripe: Desk, person: int, sections: frozenset[AccountSection] = ALL) -> Account:
    [account] = await stripe.accounts.accounts([customer_id(person)], sections)
    return account


async def test_what_is_owed_and_overdue_is_by_currency_and_from_the_companys_books(stripe: Desk) -> None:
    today = TODAY.date()
    mine = [i for i in stripe.company.books.invoices_of[KEY_ACCOUNT] if i.billed and i.status == "open"]
    late = [i for i in mine if i.due < today]
    account = await _one(stripe, KEY_ACCOUNT)
    assert len(late) > 10
    assert account.balances == by_currency(Money(amount=i.total, currency=i.currency) for i in mine)
    assert account.overdue == [
        Overdue(
            amount=Money(amount=sum(i.total for i in late), currency=late[0].currency),
            count=len(late),
            oldest_days=max((today - i.due).days for i in late),
        )
    ]
    assert (account.name, account.credit) == (stripe.company.people[KEY_ACCOUNT].name, [])


async def test_what_is_due_today_is_not_overdue(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    before = (await _one(stripe, person.number)).overdue
    issued = await stripe.issued(person)
    stripe.state.invoices[native(issued.invoice_id)].due_date = int(TODAY.timestamp())
    assert (await _one(stripe.again(), person.number)).overdue == before
    stripe.state.invoices[native(issued.invoice_id)].due_date = int((TODAY - timedelta(days=1)).timestamp())
    assert (await _one(stripe.again(), person.number)).overdue != before


async def test_the_default_card_comes_first(stripe: Desk) -> None:
    person = stripe.person("succeeds")
    await stripe.attached(person, "pm_card_mastercard")
    methods = (await _one(stripe, person.number)).methods
    assert methods is not None
    card = stripe.company.books.card(person)
    assert card is not None
    assert methods[0] == Method(
        method_id=f"stripe:method:{method_id(person.number)}",
        kind="card",
        brand=card.brand,
        last4=card.last4,
        exp=f"{card.exp_year}-{card.exp_month:02d}",
        is_default=True,
    )
    assert [(m.brand, m.last4, m.is_default) for m in methods[1:]] == [("mastercard", "4444", False)]


async def test_who_has_no_card_has_no_methods(stripe: Desk) -> None:
    books = stripe.company.books
    person = next(p for p in stripe.company.people if books.bills(p) and books.card(p) is None)
    assert (await _one(stripe, person.number)).methods == []


async def test_a_subscription_has_the_name_of_its_product_its_price_and_when_it_renews(stripe: Desk) -> None:
    booked = stripe.company.books.subscriptions[0]
    [subscription] = (await _one(stripe, booked.person)).subscriptions or []
    assert subscription == Subscription(
        subscription_id=subscription.subscription_id,
        plan=booked.plan,
        status="active",
        amount=Money(amount=booked.amount, currency=booked.currency),
        renews_at=booked.renews.date(),
    )


async def test_credit_that_was_given_is_the_customers(stripe: Desk) -> None:
    paid = stripe.billed(lambda i: i.status == "paid" and i.drift is None)
    invoice = await stripe.invoice(paid)
    credit = CreditDraft(Money(amount=500, currency=paid.currency), "Goodwill", "credit_balance")
    await stripe.invoicing.credit_invoice(invoice_id(paid.number), invoice.version, credit, key=KEY)
    assert (await _one(stripe, paid.person)).credit == [Money(amount=500, currency=paid.currency)]


async def test_only_the_sections_that_are_asked_for_are_read(stripe: Desk) -> None:
    account = await _one(stripe, KEY_ACCOUNT, frozenset({"credit"}))
    assert (account.credit, account.balances, account.overdue) == ([], None, None)
    assert (account.methods, account.subscriptions) == (None, None)
    assert len(stripe.sandbox.requests) == 1


async def test_ids_that_stripe_does_not_have_are_left_out(stripe: Desk) -> None:
    asked = [customer_id(4), "search", "", "../invoices", "cus_nobody", HOSTILE, customer_id(KEY_ACCOUNT)]
    accounts = await stripe.accounts.accounts(asked, frozenset())
    assert [account.customer_id for account in accounts] == [f"stripe:customer:{customer_id(KEY_ACCOUNT)}"]


async def test_an_address_is_found_in_any_case_of_its_letters(stripe: Desk) -> None:
    person = stripe.company.people[KEY_ACCOUNT]
    for spelling in (person.email, person.email.upper(), person.email.title()):
        [account] = await stripe.accounts.accounts_by_email(spelling, frozenset())
        assert native(account.customer_id) == customer_id(KEY_ACCOUNT)


async def test_a_customer_of_this_moment_is_found_although_the_search_is_behind(stripe: Desk) -> None:
    stripe.sandbox.faults = Faults(stale_search=True)
    await stripe.wire("POST", "/v1/customers", form={"email": "new@customer.example", "name": "New"})
    [account] = await stripe.accounts.accounts_by_email("new@customer.example", frozenset())
    assert account.name == "New"
    assert await stripe.accounts.accounts_by_email("NEW@customer.example", frozenset()) != []


async def test_two_with_one_address_are_both_found(stripe: Desk) -> None:
    for name in ("One", "Two"):
        await stripe.wire("POST", "/v1/customers", form={"email": "Both@customer.example", "name": name})
    found = await stripe.accounts.accounts_by_email("both@customer.example", frozenset())
    assert {account.name for account in found} == {"One", "Two"}


@pytest.mark.parametrize("hostile", [HOSTILE, '" OR email:"', "a\\", "\\", "\n", "' or 1=1", "*", ""])
async def test_hostile_addresses_find_nobody_and_change_no_query(stripe: Desk, hostile: str) -> None:
    assert await stripe.accounts.accounts_by_email(hostile, frozenset()) == []


async def test_a_wrong_key_is_refused_without_being_shown(company: Company) -> None:
    stripe = desk(company, api_key=f"sk_test_wrong_{OTHER}")
    with pytest.raises(PermissionDenied, match="Invalid API Key") as refused:
        await stripe.accounts.accounts([customer_id(KEY_ACCOUNT)], frozenset())
    assert OTHER not in str(refused.value)


async def test_another_account_of_stripes_is_asked_for_by_its_option(company: Company) -> None:
    stripe = desk(company, options={"account": "acct_SomebodyElse"})
    with pytest.raises(PermissionDenied, match="acct_SomebodyElse"):
        await stripe.accounts.accounts([customer_id(KEY_ACCOUNT)], frozenset())
