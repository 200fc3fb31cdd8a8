"""What the company has written down: found in wiki and help centre together, read by section, trusted by nobody."""

from __future__ import annotations

from typing import Any

import pytest
from tests.customer.office import office, said
from tests.customer.test_sizes import tokens

pytestmark = pytest.mark.anyio


async def test_both_sources_are_searched_and_the_best_comes_first():
    async with office() as at:
        found = await at.ask("search_knowledge", query="refund")
        assert {row["source"] for row in found["items"]} == {"wiki", "help_center"}
        scores = [row["score"] for row in found["items"]]
        assert scores == sorted(scores, reverse=True)
        assert "refund" in found["items"][0]["title"].lower()
        assert all(row["untrusted"] and len(row.get("snippet") or "") <= 300 for row in found["items"])
        assert {source["backend"] for source in found["sources"]} == {"confluence", "zendesk"}


async def test_one_source_or_one_space_can_be_asked_for():
    async with office() as at:
        wiki = await at.ask("search_knowledge", query="refund", sources=["wiki"])
        assert {row["source"] for row in wiki["items"]} == {"wiki"}
        operations = await at.ask("search_knowledge", query="delivery", space="OPS")
        assert {row["space"] for row in operations["items"]} == {"OPS"}


async def test_pages_of_one_row_walk_through_all_of_them_once():
    async with office() as at:
        whole = [row["doc_id"] for row in (await at.ask("search_knowledge", query="the", limit=50))["items"]]
        walked: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await at.ask("search_knowledge", query="the", limit=1, **cursor)
            walked += [row["doc_id"] for row in page["items"]]
            if not page["page"]["has_more"]:
                break
            cursor = {"cursor": page["page"]["next_cursor"]}
        assert walked == whole


async def test_a_long_page_is_read_piece_by_piece_to_its_end():
    async with office() as at:
        found = await at.ask("search_knowledge", query="handbook of customer care", sources=["wiki"])
        doc_id = found["items"][0]["doc_id"]
        text, offset = "", 0
        while True:
            result = await at.call("get_document", doc_id=doc_id, offset=offset, max_chars=6000)
            assert tokens(said(result)) <= 6_000
            page: dict[str, Any] = result.structured_content or {}
            assert len(page["markdown"]) <= 6000
            text += page["markdown"]
            if "next_offset" not in page:
                break
            offset = page["next_offset"]
        assert all(f"rule {n + 1}." in text for n in range(40))
        assert text.count("Returns, rule") == 40


async def test_a_section_is_read_by_its_heading_and_an_unknown_one_names_those_there_are():
    async with office() as at:
        found = await at.ask("search_knowledge", query="handbook of customer care", sources=["wiki"])
        doc_id = found["items"][0]["doc_id"]
        section = await at.ask("get_document", doc_id=doc_id, section="sizing", max_chars=12_000)
        assert section["markdown"].count("Sizing, rule") == 40
        assert "Materials, rule" not in section["markdown"]
        assert "'Sizing'" in await at.refusal("get_document", doc_id=doc_id, section="Nothing of the kind")
        assert "characters" in await at.refusal("get_document", doc_id=doc_id, offset=999_999)


async def test_what_markdown_cannot_say_is_named():
    async with office() as at:
        rows = (await at.ask("search_knowledge", query="the", sources=["wiki"], limit=50))["items"]
        documents = [await at.ask("get_document", doc_id=row["doc_id"]) for row in rows]
        assert any(document["lossy"] for document in documents)


async def test_a_help_centre_that_is_down_leaves_the_wiki():
    async with office() as at:
        at.broken("zendesk", error=1.0)
        found = await at.ask("search_knowledge", query="refund")
        assert {row["source"] for row in found["items"]} == {"wiki"}
        assert [s["backend"] for s in found["sources"] if s["status"] == "error"] == ["zendesk"]


@pytest.mark.parametrize("doc_id", ["confluence:page:999999", "zendesk:article:999999", "confluence:page:../x"])
async def test_what_is_not_there_is_not_found(doc_id: str):
    async with office() as at:
        result = await at.call("get_document", doc_id=doc_id)
        assert result.structured_content is not None
        assert result.structured_content["error"]["code"] in ("not_found", "invalid_input")
