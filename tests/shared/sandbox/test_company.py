"""The fictional company is the same for everyone who names the same seed."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime

import pytest

from backoffice_shared.sandbox.company import FEWEST, KEY_ACCOUNT, MOST, NAMESAKES, Company, order_name

TODAY = datetime(2026, 6, 1, tzinfo=UTC)


def company(customers: int = 50, seed: int = 7) -> Company:
    return Company(seed=seed, customers=customers, today=TODAY)


def facts(of: Company) -> tuple[object, ...]:
    return (of.people, of.orders, of.tickets, of.notes, of.products, of.organisations, of.agents)


def test_the_same_seed_is_the_same_company() -> None:
    assert facts(company()) == facts(company())


def test_another_seed_is_another_company() -> None:
    assert company(seed=7).people != company(seed=8).people


@pytest.mark.parametrize("customers", [FEWEST, 11, 50, 300])
def test_a_customer_is_the_same_in_a_company_of_any_size(customers: int) -> None:
    small, large = company(customers), company(1_000)
    assert small.people == large.people[:customers]
    assert small.orders == large.orders[: len(small.orders)]
    assert small.tickets == large.tickets[: len(small.tickets)]
    assert small.notes == large.notes[: len(small.notes)]
    assert [small.thread(ticket) for ticket in small.tickets] == [large.thread(ticket) for ticket in small.tickets]


@pytest.mark.parametrize("customers", [FEWEST, 50, 1_000])
def test_everything_belongs_to_something_that_exists(customers: int) -> None:
    of = company(customers)
    for person in of.people:
        organisation = of.organisation(person)
        assert organisation is None or person.email.endswith(f"@{organisation.domain}")
    assert all(order.lines and of.people[order.person].number == order.person for order in of.orders)
    assert all(of.products[product].number == product for order in of.orders for product, _ in order.lines)
    assert all(ticket.order is None or of.orders[ticket.order].person == ticket.person for ticket in of.tickets)


@pytest.mark.parametrize("customers", [FEWEST, 300])
def test_what_a_system_does_not_know_is_not_in_it(customers: int) -> None:
    of = company(customers)
    systems = {person.number: person.systems for person in of.people}
    assert all("shop" in systems[order.person] for order in of.orders)
    assert all("helpdesk" in systems[ticket.person] for ticket in of.tickets)
    assert all("crm" in systems[note.person] for note in of.notes)


def test_hardly_anyone_is_known_everywhere_but_everyone_somewhere() -> None:
    known = [len(person.systems) for person in company(1_000).people]
    assert set(known) == {2, 3}


def test_records_are_numbered_in_a_row() -> None:
    of = company(300)
    for records in (of.people, of.orders, of.tickets, of.notes, of.products, of.organisations, of.agents):
        assert [record.number for record in records] == list(range(len(records)))


def test_nothing_happened_after_today_or_before_it_began() -> None:
    of = company(300)
    assert all(order.placed_at <= TODAY for order in of.orders)
    assert all(note.at <= TODAY for note in of.notes)
    for ticket in of.tickets:
        at = [comment.at for comment in of.thread(ticket)]
        assert at == sorted(at)
        assert ticket.created_at == at[0]
        assert at[-1] <= ticket.updated_at <= TODAY


def test_nobody_complains_of_an_order_before_placing_it() -> None:
    of = company(300)
    early = [t.number for t in of.tickets if t.order is not None and of.orders[t.order].placed_at > t.created_at]
    assert early == []


def test_nobody_orders_before_being_a_customer() -> None:
    of = company(300)
    assert [order.number for order in of.orders if order.placed_at < of.people[order.person].since] == []


@pytest.mark.parametrize("customers", [FEWEST, 50])
def test_the_key_account_has_a_long_history_in_a_company_of_any_size(customers: int) -> None:
    of = company(customers)
    assert len(of.tickets_of[KEY_ACCOUNT]) > 200
    assert len(of.orders_of[KEY_ACCOUNT]) > 200


def test_namesakes_share_a_name_and_nothing_else() -> None:
    one, other = (company(FEWEST).people[number] for number in NAMESAKES)
    assert one.name == other.name
    assert one.email != other.email
    assert one.phone != other.phone


def test_no_two_customers_have_the_same_address_or_number() -> None:
    people = company(1_000).people
    assert len({person.email for person in people}) == len({person.phone for person in people}) == 1_000


def test_an_order_comes_to_its_lines() -> None:
    of = company()
    order = of.orders[0]
    assert of.total(order) == sum(of.products[number].price * quantity for number, quantity in order.lines) > 0
    assert order_name(order.number) == "#1001"


def test_what_a_customer_has_is_found_by_their_number() -> None:
    of = company()
    assert sorted(o.number for mine in of.orders_of.values() for o in mine) == [o.number for o in of.orders]
    assert sorted(t.number for mine in of.tickets_of.values() for t in mine) == [t.number for t in of.tickets]
    assert sorted(n.number for mine in of.notes_of.values() for n in mine) == [n.number for n in of.notes]


def test_records_cannot_be_changed() -> None:
    person = company(FEWEST).people[0]
    with pytest.raises(AttributeError):
        setattr(person, fields(person)[0].name, 1)


@pytest.mark.parametrize("customers", [FEWEST - 1, MOST + 1])
def test_a_company_has_a_sensible_size(customers: int) -> None:
    with pytest.raises(ValueError, match=f"10 to 100,000 customers, not {customers:,}"):
        Company(customers=customers)
