"""Support tickets."""

from __future__ import annotations

from typing import Any

import pytest
from tests.customer.office import Office, office

from backoffice_shared.sandbox.company import KEY_ACCOUNT

pytestmark = pytest.mark.anyio

FEMI, ROSA = "hubspot:contact:100001", f"hubspot:contact:{100001 + KEY_ACCOUNT}"


async def test_a_customers_tickets_are_all_found_whichever_system_the_id_is_from():
    async with office() as at:
        for customer_id in (ROSA, f"zendesk:user:{200001 + KEY_ACCOUNT}"):
            page = await at.ask("search_tickets", customer_id=customer_id, limit=1)
            assert page["page"]["total"] == len(at.company.tickets_of[KEY_ACCOUNT])


async def test_filters_must_all_hold():
    async with office() as at:
        page = await at.ask("search_tickets", customer_id=ROSA, status=["open"], priority=["high", "urgent"], limit=50)
        wanted = [
            ticket
            for ticket in at.company.tickets_of[KEY_ACCOUNT]
            if ticket.status == "open" and ticket.priority in ("high", "urgent")
        ]
        assert len(page["items"]) == page["page"]["total"] == len(wanted) > 0
        assert {(row["status"], row["priority"]) for row in page["items"]} <= {("open", "high"), ("open", "urgent")}


async def test_text_is_searched_for_as_text_and_never_as_a_condition():
    async with office() as at:
        page = await at.ask("search_tickets", query='status:open" type:user role:admin OR *')
        assert page["items"] == []


async def test_a_ticket_comes_with_its_latest_comments_first():
    async with office() as at:
        ticket = max(at.company.tickets, key=lambda ticket: len(at.company.thread(ticket)))
        thread = at.company.thread(ticket)
        answer = await at.ask("get_ticket", ticket_id=f"zendesk:ticket:{10001 + ticket.number}", comment_limit=2)
        assert answer["subject"] == ticket.subject
        assert [comment["text"] for comment in answer["comments"]] == [c.text for c in reversed(thread)][:2]
        assert answer["page"]["has_more"] is True
        rest = await at.ask(
            "get_ticket",
            ticket_id=answer["ticket_id"],
            comment_limit=50,
            comment_cursor=answer["page"]["next_cursor"],
        )
        assert len(rest["comments"]) == len(thread) - 2


async def test_a_ticket_has_only_the_sections_asked_for():
    async with office() as at:
        answer = await at.ask("get_ticket", ticket_id="zendesk:ticket:10001", include=["custom"])
        assert answer["comments"] == []
        asked = [entry.path for entry in at.sandboxes["zendesk"].requests]
        assert not any("comments" in path for path in asked)


async def test_long_comments_are_cut_and_say_so():
    async with office() as at:
        opened = await _open(at, body="x" * 5000)
        answer = await at.ask("get_ticket", ticket_id=opened["ticket_id"], max_chars=100)
        assert [(len(comment["text"]), comment["truncated"]) for comment in answer["comments"]] == [(100, True)]


async def test_a_ticket_that_does_not_exist_is_a_sentence():
    async with office() as at:
        assert (await at.refusal("get_ticket", ticket_id="zendesk:ticket:999999")).startswith("Zendesk: ")


async def test_a_ticket_is_opened_for_the_customer_and_then_found():
    async with office() as at:
        opened = await _open(at, subject="Tent pole snapped", priority="high", tags=["warranty"])
        assert (opened["status"], opened["replayed"]) == ("new", False)
        found = await at.ask("search_tickets", customer_id=FEMI, query="pole snapped")
        assert [(row["ticket_id"], row["priority"], row["tags"]) for row in found["items"]] == [
            (opened["ticket_id"], "high", ["warranty"])
        ]


async def test_a_new_ticket_is_an_internal_note_that_the_customer_does_not_see():
    async with office() as at:
        opened = await _open(at, key="key-internal-1")
        answer = await at.ask("get_ticket", ticket_id=opened["ticket_id"])
        assert [comment["public"] for comment in answer["comments"]] == [False]
        assert "no such argument" in await at.refusal(
            "create_ticket", customer_id=FEMI, subject="x", body="x", idempotency_key="key-public-1", public=True
        )


async def test_the_same_key_opens_one_ticket():
    async with office() as at:
        first, second = await _open(at), await _open(at)
        assert first["ticket_id"] == second["ticket_id"]
        assert (first["replayed"], second["replayed"]) == (False, True)
        assert first["idempotency_key"] == second["idempotency_key"] == "key-0000001"


async def test_the_same_key_for_something_else_is_a_conflict():
    async with office() as at:
        await _open(at)
        result = await at.call("create_ticket", **_draft(subject="Something else"))
        assert result.is_error
        assert result.structured_content is not None
        assert result.structured_content["error"]["code"] == "conflict"


async def test_a_ticket_is_opened_once_when_the_answer_is_lost():
    async with office() as at:
        await at.ask("get_customers", customer_ids=[FEMI])  # so that only the write is still to be sent
        at.broken("zendesk", plan=["drop_after_commit"])
        opened = await _open(at, subject="Only once")
        assert opened["replayed"] is True
        found = await at.ask("search_tickets", query="Only once")
        assert [row["ticket_id"] for row in found["items"]] == [opened["ticket_id"]]


async def test_a_write_whose_outcome_is_unknown_says_so_and_gives_the_key_back():
    async with office() as at:
        await at.ask("get_customers", customer_ids=[FEMI])
        at.broken("zendesk", plan=["drop_after_commit", "reset", "reset"])
        result = await at.call("create_ticket", **_draft())
        assert result.structured_content is not None
        assert result.structured_content["error"]["code"] == "outcome_unknown"
        assert result.structured_content["error"]["idempotency_key"] == "key-0000001"


async def test_a_ticket_needs_a_key():
    async with office() as at:
        draft = _draft()
        del draft["idempotency_key"]
        assert await at.refusal("create_ticket", **draft) == "idempotency_key: is required."


def _draft(**changes: Any) -> dict[str, Any]:
    return {
        "customer_id": FEMI,
        "subject": "Lamp flickers",
        "body": "Since yesterday.",
        "idempotency_key": "key-0000001",
        **changes,
    }


async def _open(at: Office, *, key: str = "key-0000001", **changes: Any) -> dict[str, Any]:
    return await at.ask("create_ticket", **_draft(idempotency_key=key, **changes))
