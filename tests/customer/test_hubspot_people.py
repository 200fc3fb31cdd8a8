"""Who is in HubSpot: found by id, address, number and words, told in our words, and asked for once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import httpx
import pytest
from tests.customer.crm import (
    BATCH_READ,
    HOSTILE,
    INES,
    NOTES,
    OWNERS,
    SEARCH,
    TODAY,
    Crm,
    answering,
    connected,
    contact,
    in_the_crm,
    native,
    natives,
    new_crm,
    owner_of,
    ticket_id,
    wire,
)

from backoffice_customer.models import Contact, Ref
from backoffice_customer.ports import Span
from backoffice_shared.sandbox.company import KEY_ACCOUNT, NAMESAKES, Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def crm(company: Company) -> Crm:
    return new_crm(company)


# ------------------------------------------------------------------------------------------------------- people


async def test_a_contact_is_told_in_our_words(crm: Crm) -> None:
    person = crm.company.people[KEY_ACCOUNT]
    organisation = crm.company.organisation(person)
    assert await crm.hubspot.contacts(["100003"]) == [
        Contact(
            ref=Ref("hubspot", "contact", "100003"),
            name=person.name,
            emails=[person.email],
            phones=[person.phone],
            company=organisation.name if organisation else None,
            owner=owner_of(crm.company, KEY_ACCOUNT),
            tier=person.tier,
            lifecycle={"lead": "lead", "customer": "customer", "former": "other"}[person.lifecycle],
            language=person.language,
            country=person.country,
            email_marketing=person.email_consent,
            url="https://app.hubspot.com/contacts/62515/record/0-1/100003",
            updated_at=person.since,
        )
    ]


async def test_everybody_in_the_crm_is_found_by_id_and_nobody_else(crm: Crm) -> None:
    found = await crm.hubspot.contacts([native(person.number) for person in crm.company.people])
    assert [(c.ref.native, c.name) for c in found] == [(native(p.number), p.name) for p in in_the_crm(crm.company)]
    assert len(found) < len(crm.company.people)


async def test_everybody_in_the_crm_is_found_by_their_address_whatever_the_case_of_its_letters(crm: Crm) -> None:
    for case in (str.lower, str.upper, str.title):
        found = await crm.hubspot.contacts_by_email([case(person.email) for person in crm.company.people])
        assert [c.emails for c in found] == [[person.email] for person in in_the_crm(crm.company)]


async def test_unknown_ids_and_addresses_are_simply_absent(crm: Crm) -> None:
    assert natives(await crm.hubspot.contacts(["999999", native(1), "0", "1"])) == [native(1)]
    known = crm.company.people[1].email
    assert natives(await crm.hubspot.contacts_by_email(["nobody@nowhere.example", known])) == [native(1)]
    assert await crm.hubspot.contacts(["999999"]) == []
    assert await crm.hubspot.contacts_by_email(["nobody@nowhere.example"]) == []


async def test_who_is_asked_for_twice_is_told_once(crm: Crm) -> None:
    email = crm.company.people[1].email
    assert natives(await crm.hubspot.contacts([native(1), native(2), native(1)])) == [native(1), native(2)]
    assert natives(await crm.hubspot.contacts_by_email([email, email.upper()])) == [native(1)]


async def test_nobody_is_asked_about_nobody(crm: Crm) -> None:
    assert (await crm.hubspot.contacts([]), await crm.hubspot.contacts_by_email([])) == ([], [])
    assert crm.asked == []


async def test_an_answer_of_several_statuses_gives_what_was_found() -> None:
    partly = {"results": [wire(firstname="Ada")], "numErrors": 1, "errors": [{"category": "OBJECT_NOT_FOUND"}]}
    assert [c.name for c in await answering(partly, status=207).contacts(["512", "513"])] == ["Ada"]


async def test_people_are_found_by_parts_of_what_is_known_of_them(crm: Crm) -> None:
    person = next(p for p in in_the_crm(crm.company) if p.organisation is not None)
    organisation = crm.company.organisation(person)
    assert organisation is not None
    for text in (
        person.name,
        person.name.upper()[:-1],
        person.email,
        person.phone,
        f"{person.last_name} {person.phone}",
    ):
        assert native(person.number) in natives(await crm.hubspot.search_contacts(text, 50))
    colleagues = await crm.hubspot.search_contacts(organisation.name, 50)
    assert native(person.number) in natives(colleagues)
    assert all(c.company and organisation.name in c.company for c in colleagues)


async def test_those_who_share_a_name_are_all_found(crm: Crm) -> None:
    assert {native(number) for number in NAMESAKES} <= set(
        natives(await crm.hubspot.search_contacts("maria garcia", 50))
    )


async def test_no_more_people_are_found_than_wanted(crm: Crm) -> None:
    assert len(await crm.hubspot.search_contacts("example", 3)) == 3
    assert await crm.hubspot.search_contacts("nobody has this name", 3) == []


# --------------------------------------------------------------------------------------------------- translation


async def translated(**properties: str | None) -> Contact:
    (found,) = await answering({"results": [wire(**properties)]}).contacts(["512"])
    return found


async def test_a_contact_of_whom_nothing_is_known_is_called_by_their_id() -> None:
    assert await translated() == Contact(
        ref=Ref("hubspot", "contact", "512"),
        name="512",
        updated_at=datetime(2026, 10, 1, 12, tzinfo=UTC),
    )


async def test_what_hubspot_has_as_null_or_empty_is_not_known() -> None:
    names = ("firstname", "lastname", "email", "phone", "mobilephone", "company", "hubspot_owner_id", "lifecyclestage")
    more = ("hs_language", "country", "hs_email_optout", "customer_tier")
    for nothing in (None, ""):
        assert await translated(**dict.fromkeys((*names, *more), nothing)) == await translated()


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"firstname": "Ada", "lastname": "Bauer", "email": "ada@mail.example"}, "Ada Bauer"),
        ({"firstname": "Ada", "lastname": None}, "Ada"),
        ({"firstname": "", "lastname": "Bauer"}, "Bauer"),
        ({"firstname": None, "lastname": "", "email": "Ada@Mail.example"}, "Ada@Mail.example"),
        ({"firstname": "Zoë", "lastname": "O'Brien"}, "Zoë O'Brien"),
    ],
)
async def test_a_contact_is_called_by_what_is_known(properties: Mapping[str, str | None], name: str) -> None:
    assert (await translated(**properties)).name == name


@pytest.mark.parametrize(
    ("properties", "phones"),
    [
        ({"phone": "+1555", "mobilephone": "+4915"}, ["+1555", "+4915"]),
        ({"phone": None, "mobilephone": "+4915"}, ["+4915"]),
        ({"phone": "+1555", "mobilephone": ""}, ["+1555"]),
        ({}, []),
    ],
)
async def test_every_number_is_a_phone(properties: Mapping[str, str | None], phones: list[str]) -> None:
    assert (await translated(**properties)).phones == phones


@pytest.mark.parametrize(
    ("optout", "consent"), [("true", False), ("false", True), ("", None), (None, None), ("perhaps", None)]
)
async def test_only_who_is_known_not_to_have_opted_out_may_be_written_to(
    optout: str | None, consent: bool | None
) -> None:
    assert (await translated(hs_email_optout=optout)).email_marketing is consent


@pytest.mark.parametrize(("hubspots", "ours"), [("de", "de"), ("en-us", "en"), ("zh-hant-tw", "zh"), ("-", None)])
async def test_a_language_is_told_without_the_country(hubspots: str, ours: str | None) -> None:
    assert (await translated(hs_language=hubspots)).language == ours


async def test_addresses_are_in_small_letters() -> None:
    assert (await translated(email="Ada.Bauer@Mail.Example")).emails == ["ada.bauer@mail.example"]


# --------------------------------------------------------------------------------------------------- by ticket number


async def test_a_tickets_number_leads_to_whose_it_is(crm: Crm) -> None:
    for inquiry in crm.company.inquiries:
        assert natives(await crm.hubspot.contacts_by_number(ticket_id(inquiry))) == [native(inquiry.person)]


@pytest.mark.parametrize("number", ["1042", "0", "", "#1042", "../1", "3000001 ", "٣", "9" * 400])
async def test_a_number_that_is_no_tickets_leads_to_nobody(crm: Crm, number: str) -> None:
    assert await crm.hubspot.contacts_by_number(number) == []


# ------------------------------------------------------------------------------------------------------------ owners


async def test_an_owner_who_left_is_called_by_their_id() -> None:
    (found,) = await answering({"results": [wire(hubspot_owner_id="77")]}).contacts(["512"])
    assert found.owner == "77"


async def test_owners_are_read_to_the_last_page() -> None:
    asked: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path != OWNERS:
            return httpx.Response(200, json={"results": [wire(hubspot_owner_id="900002")]})
        asked.append(request.url.params.get("after"))
        if asked[-1] is None:
            return httpx.Response(200, json={"results": [INES], "paging": {"next": {"after": "500"}}})
        tom = {"id": "900002", "firstName": "", "lastName": None, "email": "tom@northwind.example"}
        return httpx.Response(200, json={"results": [tom]})

    (found,) = await connected(httpx.MockTransport(answer)).contacts(["512"])
    assert (found.owner, asked) == ("tom@northwind.example", [None, "500"])


# ---------------------------------------------------------------------------------------------------- asked once


async def test_what_was_read_a_moment_ago_is_not_asked_again(crm: Crm) -> None:
    await crm.knows_owners()
    for _ in range(3):
        await crm.hubspot.contacts([native(1)])
        await crm.hubspot.contacts_by_email([crm.company.people[1].email])
        await crm.hubspot.search_contacts("maria", 10)
        await crm.hubspot.events([contact(1)], NOTES, Span(), None, 10)
    assert crm.asked == [BATCH_READ, BATCH_READ, SEARCH, "/crm/objects/2026-09/notes/search"]


async def test_another_question_is_asked(crm: Crm) -> None:
    await crm.knows_owners()
    for text, limit in (("maria", 10), ("maria", 11), ("garcia", 10)):
        await crm.hubspot.search_contacts(text, limit)
    for span in (Span(), Span(since=TODAY), Span(until=TODAY)):
        await crm.hubspot.events([contact(1)], NOTES, span, None, 10)
    assert len(crm.asked) == 6


async def test_what_is_old_is_asked_again(crm: Crm) -> None:
    await crm.knows_owners()
    await crm.hubspot.contacts([native(1)])
    crm.clock.advance(60)
    await crm.hubspot.contacts([native(1)])
    assert len(crm.asked) == 1
    crm.clock.advance(61)
    await crm.hubspot.contacts([native(1)])
    assert len(crm.asked) == 2


# ------------------------------------------------------------------------------------------- what comes from outside


@pytest.mark.parametrize("text", HOSTILE)
async def test_an_id_or_an_address_finds_only_whom_it_names(crm: Crm, text: str) -> None:
    await crm.knows_owners()
    assert natives(await crm.hubspot.contacts([text, native(1)])) == [native(1)]
    assert natives(await crm.hubspot.contacts_by_email([text, crm.company.people[1].email])) == [native(1)]
    stranger = Contact(ref=Ref("hubspot", "contact", text), name="stranger")
    assert await crm.all_events([stranger], limit=10) == []
    assert {(request.path, request.status) for request in crm.sandbox.requests} == {
        (BATCH_READ, 200),
        ("/crm/objects/2026-09/notes/search", 200),
    }


@pytest.mark.parametrize("text", HOSTILE)
async def test_whatever_is_searched_for_is_only_searched_for(crm: Crm, text: str) -> None:
    await crm.knows_owners()
    found = await crm.hubspot.search_contacts(text, 5)
    assert len(found) <= 5
    assert [(request.path, request.status) for request in crm.sandbox.requests] == [(SEARCH, 200)]
