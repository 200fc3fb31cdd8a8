"""Who is in Salesforce: found by id, address, number and words, and told in our words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.customer.sales import (
    ALL,
    NOBODY,
    SITE,
    TODAY,
    Crm,
    answering,
    business,
    contact,
    contact_id,
    natives,
    new_crm,
)

from backoffice_customer.backends.salesforce import Salesforce
from backoffice_customer.backends.salesforce.sandbox.grammar import Compare, parse_query, parse_search
from backoffice_customer.backends.salesforce.soql import in_order, is_id, select, text, words
from backoffice_customer.models import Contact, Ref
from backoffice_customer.ports import Span
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=300, today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


async def test_a_contact_is_told_in_our_words(crm: Crm) -> None:
    person = business(crm.company)[0]
    organisation = crm.company.organisation(person)
    assert organisation is not None
    assert await crm.people.contacts([contact_id(person.number)]) == [
        Contact(
            ref=Ref("salesforce", "contact", contact_id(person.number)),
            name=person.name,
            emails=[person.email],
            phones=[person.phone],
            company=organisation.name,
            owner=crm.company.agents[person.number % 5].name,
            country=person.country,
            email_marketing=person.email_consent,
            url=f"{SITE}/{contact_id(person.number)}",
            updated_at=person.since,
        )
    ]


async def test_a_contact_without_anything_but_a_name_is_one() -> None:
    wire = {
        "Id": "003Hs0000000001",
        "Name": "Ada",
        "Email": None,
        "Phone": None,
        "MobilePhone": "+44 1",
        "Account": None,
        "Owner": None,
        "MailingCountry": None,
        "HasOptedOutOfEmail": False,
        "LastModifiedDate": "2026-10-30T08:00:00.000+0000",
    }
    http = answering({"totalSize": 1, "done": True, "records": [wire]})
    assert await Salesforce(http).contacts(["003Hs0000000001"]) == [
        Contact(
            ref=Ref("salesforce", "contact", "003Hs0000000001"),
            name="Ada",
            phones=["+44 1"],
            email_marketing=True,
            url=f"{SITE}/003Hs0000000001",
            updated_at=datetime(2026, 10, 30, 8, tzinfo=UTC),
        )
    ]


async def test_business_customers_are_found_by_id_and_nobody_else(crm: Crm) -> None:
    found = await crm.people.contacts([contact_id(person.number) for person in crm.company.people])
    assert [contact.name for contact in found] == [person.name for person in business(crm.company)]
    assert len(found) < len(crm.company.people)


async def test_everybody_is_found_by_their_address_whatever_the_case_of_its_letters(crm: Crm) -> None:
    everybody = business(crm.company)
    found = await crm.people.contacts_by_email([person.email.upper() for person in everybody[:50]])
    assert sorted(natives(found)) == sorted(contact_id(person.number) for person in everybody[:50])
    assert all(len(str(request.url)) < 16_384 for request in crm.wire.sent)


async def test_unknown_ids_and_addresses_are_simply_absent(crm: Crm) -> None:
    known = business(crm.company)[0]
    strangers = ["003Hs0000999999IAA", "500Hs0000000000IAA", "1", "", "003Hs0000000000' OR Name != '"]
    assert natives(await crm.people.contacts([*strangers, contact_id(known.number)])) == [contact_id(known.number)]
    found = await crm.people.contacts_by_email(["nobody@nowhere.example", "x') OR (Name != '", known.email])
    assert natives(found) == [contact_id(known.number)]


async def test_an_id_of_fifteen_characters_is_one_too(crm: Crm) -> None:
    known = business(crm.company)[0]
    assert natives(await crm.people.contacts([contact_id(known.number)[:15]])) == [contact_id(known.number)]


async def test_nobody_is_asked_about_nobody(crm: Crm) -> None:
    assert await crm.people.contacts(["me"]) == []
    assert await crm.people.contacts_by_email([]) == []
    assert await crm.people.contacts_by_number("#12") == []
    assert await crm.people.search_contacts("?!*", 10) == []
    assert await crm.desk.count_open_tickets(NOBODY) == 0
    assert (await crm.people.events([NOBODY], ALL, Span(), None, 10)).items == []
    assert (await crm.people.events([contact(2)], frozenset(), Span(), None, 10)).items == []
    assert crm.asked == []


async def test_whose_case_has_a_number_is_found_with_and_without_its_zeros(crm: Crm) -> None:
    case = crm.company.cases[3]
    for number in ("1004", "00001004"):
        assert natives(await crm.people.contacts_by_number(number)) == [contact_id(case.person)]
    assert await crm.people.contacts_by_number("99999") == []


async def test_a_search_finds_by_beginnings_of_names_by_address_and_by_company(crm: Crm) -> None:
    person = next(person for person in business(crm.company) if "'" in person.last_name)
    organisation = crm.company.organisation(person)
    assert organisation is not None
    queries = (f"{person.first_name} {person.last_name}", person.last_name.upper()[:4], person.email, organisation.name)
    for query in queries:
        assert contact_id(person.number) in natives(await crm.people.search_contacts(query, 50))


async def test_who_has_the_words_in_their_name_comes_first(crm: Crm) -> None:
    found = await crm.people.search_contacts("garcia", 50)
    named = ["Garcia" in contact.name for contact in found]
    assert named == sorted(named, reverse=True)


async def test_a_search_gives_no_more_than_asked_for(crm: Crm) -> None:
    assert len(await crm.people.search_contacts("example", 3)) == 3


async def test_a_telephone_number_is_found_however_it_is_written(crm: Crm) -> None:
    person = business(crm.company)[0]
    digits = person.phone.removeprefix("+")
    for written in (person.phone, f"+{digits[:2]} ({digits[2:5]}) {digits[5:8]}-{digits[8:]}", digits[-8:]):
        assert natives(await crm.people.search_contacts(written, 10)) == [contact_id(person.number)]
    assert await crm.people.search_contacts(digits[::-1] + "7", 10) == []


@pytest.mark.parametrize(
    "query", ["and", "or not", "AND OR", 'garcia" OR "x', "garcia} RETURNING User(Id)", "a\\", "{[(^~"]
)
async def test_words_that_mean_something_to_the_search_are_only_words(crm: Crm, query: str) -> None:
    assert await crm.people.search_contacts(query, 10) == []


HOSTILE = st.one_of(st.text(), st.text(alphabet="'\"\\%_{}()*?&|!^~:+-\n\r\t\b\f\x00\u2028 aA1n@."))


@given(HOSTILE)
def test_whatever_a_text_holds_it_stays_one_literal(value: str) -> None:
    query = parse_query(select("Id", "Case", f"Subject = {text(value)}", limit=1))
    assert isinstance(query.where, Compare)
    assert query.limit == 1
    kept = "".join(c if c.isprintable() or c in "\n\r\t\b\f" else " " for c in value)
    assert [literal.text for literal in query.where.values] == [kept]


@given(HOSTILE)
def test_whatever_is_searched_for_the_search_stays_one(value: str) -> None:
    if wanted := words(value):
        search = parse_search(f"FIND {{{wanted}}} IN ALL FIELDS RETURNING Contact(Id LIMIT 5)")
        assert (search.table, search.limit) == ("Contact", 5)
        assert all(sum(character.isalnum() for character in term) > 1 for term in search.terms)


@pytest.mark.parametrize(
    ("native", "is_one"),
    [
        ("003Hs0000000001IAA", True),
        ("003Hs0000000001", True),
        ("003Hs0000000001IA", False),
        ("500Hs0000000001IAA", False),
        ("003Hs000000000'IAA", False),
        ("003Hs0000000001IAA\n", False),
        ("٠٠٣Hs0000000001IAA", False),
        ("", False),
    ],
)
def test_ids_have_fifteen_or_eighteen_letters_and_digits(native: str, is_one: bool) -> None:
    assert is_id(native, "003") is is_one


def test_digits_are_looked_for_with_anything_between_them() -> None:
    assert in_order("+1 5%'5") == "'%1%5%5%'"
