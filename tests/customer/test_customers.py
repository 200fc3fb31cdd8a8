"""Finding customers, and what is known about them."""

from __future__ import annotations

from collections import Counter

import pytest
from tests.customer.office import happened, office

from backoffice_shared.sandbox.company import KEY_ACCOUNT, NAMESAKES, order_name

pytestmark = pytest.mark.anyio

FEMI, ROSA = "hubspot:contact:100001", f"hubspot:contact:{100001 + KEY_ACCOUNT}"


async def test_a_customer_is_found_by_email_whatever_the_case_of_its_letters():
    async with office() as at:
        person = at.company.people[0]
        found = await at.ask("find_customers", identifiers=[person.email.upper()])
        matches = [(row["customer_id"], row["match"]["by"], row["match"]["confidence"]) for row in found["items"]]
        assert matches == [(FEMI, "email", 1.0)]


@pytest.mark.parametrize("written", ["+55555000000", "+55 555 000 000", "555000000"])
async def test_a_customer_is_found_by_phone_number_however_it_is_written(written: str):
    async with office() as at:
        found = await at.ask("find_customers", identifiers=[written])
        assert [(row["customer_id"], row["match"]["by"]) for row in found["items"]] == [(FEMI, "phone")]


async def test_a_customer_is_found_by_the_number_of_an_order_or_of_a_ticket():
    async with office() as at:
        order = next(order for order in at.company.orders if order.person == 0)
        ticket = next(ticket for ticket in at.company.tickets if ticket.person == 0)
        for number in (order_name(order.number), order_name(order.number)[1:], str(10_001 + ticket.number)):
            found = await at.ask("find_customers", identifiers=[number])
            # Sales may have a case of the same number, of somebody else: then both are said.
            assert (FEMI, "number") in [(row["customer_id"], row["match"]["by"]) for row in found["items"]]
            assert {row["match"]["by"] for row in found["items"]} == {"number"}


async def test_a_number_that_is_nobodys_finds_nobody():
    async with office() as at:
        assert (await at.ask("find_customers", identifiers=["#999999"]))["items"] == []


async def test_namesakes_are_both_returned_and_neither_is_certain():
    async with office() as at:
        found = await at.ask("find_customers", query="Maria Garcia")
        assert {row["customer_id"] for row in found["items"]} == {f"hubspot:contact:{100001 + n}" for n in NAMESAKES}
        assert {row["match"]["confidence"] for row in found["items"]} == {0.6}


async def test_one_person_in_three_systems_is_one_candidate():
    async with office() as at:
        found = await at.ask("find_customers", query=at.company.people[0].name)
        assert [row["customer_id"] for row in found["items"]] == [FEMI]


async def test_candidates_do_not_show_whole_email_addresses():
    async with office() as at:
        person = at.company.people[0]
        found = await at.ask("find_customers", identifiers=[person.email])
        assert found["items"][0]["email_masked"] == f"f•••@{person.email.partition('@')[2]}"


async def test_looking_for_nothing_is_refused_with_an_example():
    async with office() as at:
        assert "identifiers=" in await at.refusal("find_customers")


async def test_pages_of_candidates_give_everybody_exactly_once():
    async with office() as at:
        everybody = (await at.ask("find_customers", query="example", limit=50))["items"]
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await at.ask("find_customers", query="example", limit=7, **cursor)
            seen += [row["customer_id"] for row in page["items"]]
            if not page["page"]["has_more"]:
                break
            cursor = {"cursor": page["page"]["next_cursor"]}
        assert seen[: len(everybody)] == [row["customer_id"] for row in everybody]
        assert len(seen) == len(set(seen)) == page["page"]["total"]


async def test_a_profile_joins_the_person_of_every_system_and_says_by_what():
    async with office() as at:
        person = at.company.people[0]
        profile = (await at.ask("get_customers", customer_ids=[FEMI], include=["counts", "preferences"]))["items"][0]
        assert (profile["name"], profile["emails"], profile["tier"]) == (person.name, [person.email], person.tier)
        assert [(link["system"], link["matched_by"]) for link in profile["links"]] == [
            ("hubspot", "id"),
            ("zendesk", "email"),
            ("shopify", "email"),
        ]
        open_tickets = [
            ticket for ticket in at.company.tickets_of.get(0, []) if ticket.status in ("new", "open", "pending")
        ]
        assert profile["counts"]["open_tickets"] == len(open_tickets)
        assert profile["preferences"]["language"] == person.language


async def test_the_same_person_is_the_same_whichever_system_id_is_given():
    async with office() as at:
        links = (await at.ask("get_customers", customer_ids=[FEMI]))["items"][0]["links"]
        for link in links:
            profile = (await at.ask("get_customers", customer_ids=[link["id"]]))["items"][0]
            assert profile["customer_id"] == link["id"]
            assert {other["id"] for other in profile["links"]} == {other["id"] for other in links}


async def test_sections_that_were_not_asked_for_are_not_there():
    async with office() as at:
        profile = (await at.ask("get_customers", customer_ids=[FEMI]))["items"][0]
        assert not {"counts", "preferences"} & profile.keys()


async def test_customers_come_in_the_order_asked_and_unknown_ids_are_named():
    async with office() as at:
        answer = await at.ask("get_customers", customer_ids=[ROSA, "hubspot:contact:7", FEMI])
        assert [row["customer_id"] for row in answer["items"]] == [ROSA, FEMI]
        assert answer["not_found"] == ["hubspot:contact:7"]


async def test_twenty_customers_at_once_need_few_requests():
    async with office() as at:
        ids = [f"hubspot:contact:{100001 + n}" for n in range(10)] + [f"zendesk:user:{200001 + n}" for n in range(10)]
        answer = await at.ask("get_customers", customer_ids=ids, fields=["name"])
        assert len(answer["items"]) == 20
        assert {name: len(sandbox.requests) for name, sandbox in at.sandboxes.items() if sandbox.requests} == {
            "hubspot": 3,  # by id, and by the addresses found; and who owns what, once an hour
            "salesforce": 2,  # by the addresses, and a token first
            "zendesk": 3,  # by id and by the addresses, and a token first
            "shopify": 1,
        }


@pytest.mark.parametrize("wrong", ["", "100001", "hubspot:100001", "hubspot:ticket:1", "nowhere:contact:1", "a:b:c:d"])
async def test_what_is_no_customer_id_is_refused(wrong: str):
    async with office() as at:
        assert "customer_ids" in await at.refusal("get_customers", customer_ids=[wrong]) or wrong


async def test_fields_leave_out_everything_else_but_the_id():
    async with office() as at:
        answer = await at.ask("get_customers", customer_ids=[FEMI], fields=["name"])
        assert answer["items"] == [{"customer_id": FEMI, "name": at.company.people[0].name}]


async def test_an_unknown_field_is_refused_and_the_valid_ones_are_named():
    async with office() as at:
        assert "lifetime_value" in await at.refusal("get_customers", customer_ids=[FEMI], fields=["nonsense"])


async def test_the_timeline_gives_the_whole_history_once_newest_first():
    async with office() as at:
        rows: list[dict[str, str]] = []
        cursor: dict[str, str] = {}
        while True:
            page = await at.ask("get_customer_timeline", customer_id=ROSA, limit=50, **cursor)
            rows += page["items"]
            if not page["page"]["has_more"]:
                break
            cursor = {"cursor": page["page"]["next_cursor"]}
        assert len(rows) == len({row["id"] for row in rows})
        counted = Counter(row["kind"] for row in rows)
        assert counted.pop("refund") > 0
        assert counted == happened(at.company, KEY_ACCOUNT)
        assert [row["at"] for row in rows] == sorted((row["at"] for row in rows), reverse=True)


async def test_the_timeline_can_be_narrowed_to_kinds_and_to_a_span():
    async with office() as at:
        orders = sorted(order.placed_at for order in at.company.orders_of[KEY_ACCOUNT])
        page = await at.ask(
            "get_customer_timeline",
            customer_id=ROSA,
            kinds=["order"],
            since=orders[10].isoformat(),
            until=orders[19].isoformat(),
            limit=50,
        )
        assert [row["kind"] for row in page["items"]] == ["order"] * 10
        assert page["sources"][0]["backend"] == "shopify"


async def test_text_from_outside_is_marked():
    async with office() as at:
        page = await at.ask("get_customer_timeline", customer_id=ROSA)
        assert all(row["untrusted"] is True for row in page["items"])
