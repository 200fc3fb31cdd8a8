"""Personal data: masked without the scope for it, never in the audit, and of other systems than an agent's not at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.customer.office import office, said
from tests.shared.mcp.till import caller

from backoffice_shared.principal import acting

pytestmark = pytest.mark.anyio

FEMI = "hubspot:contact:100001"
READS = ("customer:read", "customer:write", "customer:message")

Written = Callable[[str], Path]


@pytest.fixture
def agents(tmp_path: Path) -> Written:
    def written(entries: str) -> Path:
        file = tmp_path / "agents.yaml"
        file.write_text(f"agents:\n{entries}")
        return file

    return written


def entry(name: str, *scopes: str, more: str = "") -> str:
    return f"  {name}: {{scopes: {json.dumps(list(scopes))}{more}}}\n"


async def test_addresses_and_numbers_are_masked_without_the_scope_and_whole_with_it(agents: Written):
    file = agents(entry("clerk", *READS) + entry("boss", *READS, "customer:pii"))
    async with office(agents=file) as at:
        person = at.company.people[0]
        with acting(caller("boss")):
            whole = (await at.ask("get_customers", customer_ids=[FEMI]))["items"][0]
        with acting(caller("clerk")):
            masked = (await at.ask("get_customers", customer_ids=[FEMI]))["items"][0]
        assert person.email in whole["emails"]
        domain = person.email.partition("@")[2]
        assert masked["emails"] == [f"{person.email[0]}•••@{domain}"]
        assert all(phone.startswith("•••") for phone in masked["phones"])
        assert {**masked, "emails": [], "phones": []} == {**whole, "emails": [], "phones": []}


async def test_no_tool_gives_an_address_to_whoever_lacks_the_scope(agents: Written):
    async with office(agents=agents(entry("clerk", *READS))) as at:
        person = next(p for p in at.company.people if p.number in at.company.tickets_of)
        with acting(caller("clerk")):
            found = await at.ask("find_customers", identifiers=[person.email])
            customer_id = found["items"][0]["customer_id"]
            ticket = (await at.ask("search_tickets", customer_id=customer_id))["items"][0]["ticket_id"]
            orders = await at.ask("search_orders", customer_id=customer_id)
            answers = [
                await at.call("get_customers", customer_ids=[customer_id], include=["counts", "preferences"]),
                await at.call("get_customer_timeline", customer_id=customer_id, limit=50),
                await at.call("search_tickets", customer_id=customer_id),
                await at.call("get_ticket", ticket_id=ticket),
                await at.call("reply_to_customer", ticket_id=ticket, body="Hello", idempotency_key="a-reply-key"),
                *[await at.call("get_order", order_id=row["order_id"]) for row in orders["items"][:1]],
            ]
        for result in answers:
            assert person.email not in said(result)
            assert person.email not in json.dumps(result.structured_content)


async def test_the_audit_has_neither_addresses_nor_numbers_nor_what_was_written():
    async with office() as at:
        person = at.company.people[0]
        await at.call("find_customers", identifiers=[person.email, person.phone])
        note = f"Call {person.phone} or write to {person.email}. " + "Long. " * 100
        await at.call("add_customer_note", customer_id=FEMI, body=note, idempotency_key="a-note-key")
        kept = json.dumps(at.audit.written)
        assert person.email not in kept
        assert person.phone not in kept
        assert "[email]" in kept
        assert len(kept) < 3_000


async def test_an_agent_is_told_nothing_of_systems_that_are_not_its_own(agents: Written):
    file = agents(entry("clerk", *READS, more=", systems: [zendesk, shopify]"))
    async with office(agents=file) as at:
        with acting(caller("clerk")):
            found = await at.ask("find_customers", identifiers=[at.company.people[0].email])
            skipped = {s["backend"] for s in found["sources"] if s["status"] == "skipped"}
            assert skipped == {"hubspot", "salesforce"}
            assert {link for row in found["items"] for link in row["match"]["found_in"]} <= {"zendesk", "shopify"}
            assert "may see" in await at.refusal("get_customers", customer_ids=[FEMI])


async def test_an_agent_reads_only_the_spaces_of_the_wiki_that_are_its_own(agents: Written):
    file = agents(
        entry("support", "customer:read", more=", systems: [confluence/SUP]")
        + entry("managers", "customer:read", more=", systems: [confluence]")
    )
    async with office(agents=file) as at:
        with acting(caller("managers")):
            found = await at.ask("search_knowledge", query="bonuses")
            salaries = found["items"][0]["doc_id"]
            assert (await at.ask("get_document", doc_id=salaries))["space"] == "HR"
        with acting(caller("support")):
            assert (await at.ask("search_knowledge", query="bonuses"))["items"] == []
            assert "no" in await at.refusal("get_document", doc_id=salaries)
            assert (await at.ask("search_knowledge", query="refund"))["items"] != []
            assert (await at.ask("search_knowledge", query="bonuses", space="HR"))["items"] == []


async def test_a_text_cannot_be_cut_so_that_an_address_in_it_is_none(agents: Written):
    async with office(agents=agents(entry("clerk", *READS))) as at:
        address = "ada.lovelace@engine.example"
        with acting(caller("clerk")):
            ticket = {"customer_id": FEMI, "subject": "x", "body": f"{'x' * 50} {address} and +49 555 0000123"}
            opened = await at.ask("create_ticket", **ticket, idempotency_key="a-ticket-key")
            for most in range(50, 110):
                text = said(await at.call("get_ticket", ticket_id=opened["ticket_id"], max_chars=most))
                assert "ada.l" not in text
                assert "+49" not in text
