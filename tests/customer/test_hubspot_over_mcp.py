"""What HubSpot keeps, as a client of the server sees it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.customer.crm import ticket_id
from tests.customer.office import office

pytestmark = pytest.mark.anyio


async def test_every_comment_of_a_ticket_is_given_exactly_once_and_the_newest_first() -> None:
    async with office(customers=200) as at:
        for parity in (0, 1):
            inquiry = next(i for i in at.company.inquiries if i.number % 2 == parity and len(at.company.thread(i)) > 2)
            asked: dict[str, Any] = {"ticket_id": f"hubspot:ticket:{ticket_id(inquiry)}", "comment_limit": 1}
            page = await at.ask("get_ticket", **asked)
            texts = [comment["text"] for comment in page["comments"]]
            while page["page"]["has_more"]:
                page = await at.ask("get_ticket", **asked, comment_cursor=page["page"]["next_cursor"])
                texts += [comment["text"] for comment in page["comments"]]
            assert texts == [comment.text for comment in at.company.thread(inquiry)][::-1]


async def test_a_comment_cursor_is_text_that_nothing_on_the_way_can_take_for_more() -> None:
    """Where JSON comes back as an argument, it may reach the server as an object."""
    async with office(customers=200) as at:
        for inquiry in at.company.inquiries[:4]:
            page = await at.ask("get_ticket", ticket_id=f"hubspot:ticket:{ticket_id(inquiry)}", comment_limit=1)
            assert re.fullmatch(r"[A-Za-z0-9_-]+", page["page"].get("next_cursor", "none"))


async def test_a_comment_cursor_that_was_not_given_out_is_refused() -> None:
    async with office(customers=200) as at:
        ticket = f"hubspot:ticket:{ticket_id(at.company.inquiries[0])}"
        for given in ("AAAA", "x" * 500):
            sentence = await at.refusal("get_ticket", ticket_id=ticket, comment_cursor=given)
            assert "cursor: not a cursor of this server" in sentence
