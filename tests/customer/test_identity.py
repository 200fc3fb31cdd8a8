"""One customer in several systems: found by whatever is known of them, never guessed, and shown with who says what."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.customer.office import Office, office

from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN
from backoffice_shared.sandbox.company import NAMESAKES, Person, order_name
from backoffice_shared.sandbox.frame import InProcess

pytestmark = pytest.mark.anyio

PEOPLE = ("hubspot", "salesforce", "zendesk", "shopify")


def everywhere(at: Office) -> Person:
    return next(
        p for p in at.company.people if p.is_business and len(p.systems) == 3 and p.number in at.company.orders_of
    )


async def systems_of(at: Office, customer_id: str) -> set[str]:
    profile = (await at.ask("get_customers", customer_ids=[customer_id]))["items"][0]
    return {link["system"] for link in profile["links"]}


async def test_one_person_is_found_by_all_that_identifies_them():
    async with office() as at:
        person = everywhere(at)
        order = order_name(at.company.orders_of[person.number][0].number)
        for identifier, by in (
            (person.email, "email"),
            (person.email.upper(), "email"),
            (person.phone, "phone"),
            (f"{person.phone[:4]} ({person.phone[4:8]}) {person.phone[8:]}", "phone"),
            (order, "number"),
            (order.lstrip("#"), "number"),
        ):
            rows = (await at.ask("find_customers", identifiers=[identifier]))["items"]
            theirs = [row for row in rows if row["match"]["by"] == by and row["name"] == person.name]
            assert theirs, (identifier, rows)
            assert await systems_of(at, theirs[0]["customer_id"]) == set(PEOPLE)


async def test_one_person_is_found_by_name_and_by_company():
    async with office() as at:
        person = everywhere(at)
        organisation = at.company.organisation(person)
        assert organisation is not None
        by_name = (await at.ask("find_customers", query=person.name))["items"]
        assert person.name in {row["name"] for row in by_name if row["match"]["by"] == "name"}
        by_company = (await at.ask("find_customers", query=organisation.name, limit=50))["items"]
        assert person.name in {row["name"] for row in by_company}
        assert {row["match"]["by"] for row in by_company} == {"company"}


async def test_any_systems_id_of_a_person_stands_for_the_whole_person():
    async with office() as at:
        person = everywhere(at)
        first = (await at.ask("find_customers", identifiers=[person.email]))["items"][0]["customer_id"]
        links = (await at.ask("get_customers", customer_ids=[first]))["items"][0]["links"]
        profiles = [(await at.ask("get_customers", customer_ids=[link["id"]]))["items"][0] for link in links]
        assert [profile["emails"] for profile in profiles] == [[person.email]] * len(links)
        assert {link["system"] for link in links} == set(PEOPLE)
        names = {(profile["name"], profile.get("company"), profile.get("tier")) for profile in profiles}
        assert len(names) == 1


async def test_two_who_share_a_name_are_two():
    async with office() as at:
        rows = (await at.ask("find_customers", query="Maria Garcia"))["items"]
        namesakes = {at.company.people[number].email[0] for number in NAMESAKES}
        assert len({row["customer_id"] for row in rows if row["match"]["by"] == "name"}) >= len(NAMESAKES)
        assert {row["email_masked"][0] for row in rows} >= namesakes


@pytest.mark.parametrize("missing", PEOPLE)
async def test_whichever_system_is_down_the_person_is_found_in_the_others(missing: str):
    async with office() as at:
        person = everywhere(at)
        at.broken(missing, error=1.0)
        found = await at.ask("find_customers", identifiers=[person.email])
        assert [row["match"] for row in found["items"]] == [
            {"by": "email", "confidence": 1.0, "found_in": [system for system in PEOPLE if system != missing]}
        ]
        profile = await at.ask("get_customers", customer_ids=[found["items"][0]["customer_id"]])
        assert {link["system"] for link in profile["items"][0]["links"]} == set(PEOPLE) - {missing}
        assert [s["backend"] for s in profile["sources"] if s["status"] == "error"] == [missing]


@pytest.mark.parametrize("only", PEOPLE)
async def test_with_one_system_alone_the_person_is_who_that_one_says(only: str):
    async with office(systems=[only]) as at:
        person = everywhere(at)
        found = await at.ask("find_customers", identifiers=[person.email])
        assert [row["match"]["found_in"] for row in found["items"]] == [[only]]
        profile = (await at.ask("get_customers", customer_ids=[found["items"][0]["customer_id"]]))["items"][0]
        assert (profile["name"], [link["system"] for link in profile["links"]]) == (person.name, [only])


@pytest.mark.parametrize(
    ("systems", "tools"),
    [
        (["confluence"], {"search_knowledge", "get_document"}),
        (["email"], {"search_tickets", "get_ticket", "update_tickets", "reply_to_customer"}),
        (
            ["shopify"],
            {
                *("find_customers", "get_customers", "get_customer_timeline", "update_preferences"),
                *("search_orders", "get_order", "check_inventory"),
            },
        ),
    ],
)
async def test_only_the_tools_that_the_configured_systems_can_serve_are_listed(systems: list[str], tools: set[str]):
    async with office(systems=systems) as at:
        assert {tool.name for tool in (await at.client.list_tools()).tools} == tools


async def test_where_systems_disagree_the_profile_says_who_says_what():
    async with office() as at:
        person = everywhere(at)
        customer_id = (await at.ask("find_customers", identifiers=[person.email]))["items"][0]["customer_id"]
        agreed = (await at.ask("get_customers", customer_ids=[customer_id], include=["provenance"]))["items"][0]
        assert agreed["provenance"]["name"] == "hubspot"
        assert agreed["conflicts"] == []
        # The helpdesk is told another name, by its own API.
        async with httpx.AsyncClient(
            transport=InProcess(at.sandboxes["zendesk"]), headers={"Authorization": f"Bearer {ACCESS_TOKEN}"}
        ) as vendor:
            renamed = {"user": {"name": "Somebody Else", "email": person.email}}
            await vendor.post("https://acme.zendesk.com/api/v2/users/create_or_update", json=renamed)
        # What was read is kept for a minute, so another server looks.
        async with office() as other:
            other.sandboxes["zendesk"].app = at.sandboxes["zendesk"].app
            profile = (await other.ask("get_customers", customer_ids=[customer_id]))["items"][0]
            assert [c for c in profile["conflicts"] if c["field"] == "name"] == [
                {
                    "field": "name",
                    "values": {
                        "hubspot": person.name,
                        "salesforce": person.name,
                        "zendesk": "Somebody Else",
                        "shopify": person.name,
                    },
                }
            ]


async def test_nobody_is_nobody():
    async with office() as at:
        nobody: dict[str, Any] = {"identifiers": ["nobody@nowhere.example", "+1 000 000 0000", "#99999999"]}
        assert (await at.ask("find_customers", **nobody))["items"] == []
