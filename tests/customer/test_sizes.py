"""How large results are, and how what was left out is had."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from bpe_openai import get_encoding  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from tests.customer.office import Office, office, said

from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN
from backoffice_shared.jsonvalues import compact, obj
from backoffice_shared.mcp.bounded import longest, weight
from backoffice_shared.sandbox.company import KEY_ACCOUNT
from backoffice_shared.sandbox.frame import InProcess

pytestmark = pytest.mark.anyio

ROSA = f"hubspot:contact:{100001 + KEY_ACCOUNT}"
TOKENS: Any = get_encoding("o200k_base")


def tokens(text: str) -> int:
    return len(TOKENS.encode(text))


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("find_customers", {"query": "a"}),
        ("get_customers", {"customer_ids": [ROSA], "include": ["counts", "preferences"]}),
        ("get_customer_timeline", {"customer_id": ROSA}),
        ("search_tickets", {"customer_id": ROSA}),
        ("get_ticket", {"ticket_id": "zendesk:ticket:10001"}),
        ("search_orders", {"customer_id": ROSA}),
    ],
)
async def test_a_result_is_at_most_1500_tokens_by_default(tool: str, arguments: dict[str, Any]):
    async with office() as at:
        assert tokens(said(await at.call(tool, **arguments))) <= 1500


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("find_customers", {"query": "a"}),
        ("get_customer_timeline", {"customer_id": ROSA}),
        ("search_tickets", {}),
        ("search_knowledge", {"query": "the"}),
        ("search_orders", {}),
        ("check_inventory", {"skus": ["NW-TR-100", "NW-TR-101", "NW-TR-102"]}),
    ],
)
async def test_a_page_of_ten_rows_is_at_most_1100_tokens(tool: str, arguments: dict[str, Any]):
    async with office() as at:
        result = await at.call(tool, **arguments)
        assert len(obj(result.structured_content)["items"]) in (9, 10)
        assert tokens(said(result)) <= 1100


async def test_200_rows_are_cut_to_the_size_policy_and_the_cursor_continues_exactly():
    async with office() as at:
        subjects = await _long_subjects(at, 200)
        seen: list[str] = []
        cut = 0
        cursor: dict[str, str] = {}
        while True:
            result = await at.call("search_tickets", query="interminable", sort="created", limit=50, **cursor)
            assert tokens(said(result)) <= 6000
            page: dict[str, Any] = result.structured_content or {}
            seen += [row["subject"] for row in page["items"]]
            cut += any("did not fit" in note for note in page.get("notes", []))
            if not page["page"]["has_more"]:
                break
            cursor = {"cursor": page["page"]["next_cursor"]}
        assert cut > 0
        assert sorted(seen) == sorted(subjects)


async def test_one_row_is_one_row():
    async with office() as at:
        assert len((await at.ask("search_tickets", customer_id=ROSA, limit=1))["items"]) == 1


async def test_text_and_structured_content_say_the_same():
    async with office() as at:
        import json

        result = await at.call("search_orders", customer_id=ROSA)
        assert json.loads(said(result)) == result.structured_content


async def _long_subjects(at: Office, count: int) -> list[str]:
    """Tickets whose subjects are as long as they may be, made by the vendor's own API."""
    subjects = [f"Interminable {n:03d} {'ünïcode ' * 20}"[:150] for n in range(count)]
    headers = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
    async with httpx.AsyncClient(transport=InProcess(at.sandboxes["zendesk"]), headers=headers) as vendor:
        for subject in subjects:
            ticket = {"subject": subject, "comment": {"body": "x"}, "tags": [f"a-long-tag-{n}" for n in range(8)]}
            answer = await vendor.post("https://acme.zendesk.com/api/v2/tickets", json={"ticket": ticket})
            assert answer.status_code == 201, answer.text
    return subjects


async def test_fifty_long_comments_are_all_there_each_shorter():
    async with office(hurried=False) as at:
        headers = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
        text = "これは長い返信です。" * 400
        async with httpx.AsyncClient(transport=InProcess(at.sandboxes["zendesk"]), headers=headers) as vendor:
            ticket = {"subject": "Long", "comment": {"body": text}}
            made = await vendor.post("https://acme.zendesk.com/api/v2/tickets", json={"ticket": ticket})
            number = made.json()["ticket"]["id"]
            url = f"https://acme.zendesk.com/api/v2/tickets/{number}"
            for _ in range(25):
                await vendor.put(url, json={"ticket": {"comment": {"body": text, "public": False}}})
        asked = {"ticket_id": f"zendesk:ticket:{number}", "comment_limit": 50, "max_chars": 8000}
        result = await at.call("get_ticket", **asked)
        assert tokens(said(result)) <= 6_000
        comments: list[dict[str, Any]] = obj(result.structured_content)["comments"]
        assert len(comments) == 26
        assert {comment["truncated"] for comment in comments} == {True}
        assert len({len(comment["text"]) for comment in comments}) == 1


def test_an_article_in_any_script_is_given_as_far_as_it_fits_and_no_further():
    for text in (
        "これは長い記事です。" * 2_000,
        "Это длинная статья. " * 1_000,
        "Plain English. " * 1_500,
        "| a | b |\n" * 2_000,
    ):
        end = longest(text, 11_500)
        assert 0 < end < len(text)
        assert tokens(compact(text[:end])) <= 5_000
        assert weight(compact(text[: end + 1])) > 11_500
