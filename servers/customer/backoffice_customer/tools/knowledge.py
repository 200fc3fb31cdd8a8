"""What the company has written down."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Annotated

from pydantic import Field

from backoffice_customer.models import ArticleRow, Cursor, DocId, Document, KnowledgeSource, Limit
from backoffice_customer.ports import ArticleQuery
from backoffice_customer.services import TheKnowledge
from backoffice_shared.envelope import Listing
from backoffice_shared.mcp.tool import READ, tool

Day = Annotated[date, Field(ge=date(1970, 1, 1))]


@tool(READ, scope="customer:read", toolset="knowledge", needs="knowledge", personal=False)
async def search_knowledge(
    knowledge: TheKnowledge,
    query: Annotated[str, Field(min_length=1, max_length=200)],
    sources: list[KnowledgeSource] | None = None,
    space: Annotated[str, Field(max_length=120, description="Wiki space or help center section")] | None = None,
    updated_since: Day | None = None,
    limit: Limit = 10,
    cursor: Cursor | None = None,
) -> Listing[ArticleRow]:
    """Search wiki and help-center articles for policies and how-tos."""
    since = None if updated_since is None else datetime.combine(updated_since, time(), UTC)
    wanted = ArticleQuery(query, space, since)
    found = await knowledge.search(wanted, sources or [], limit=limit, cursor=cursor)
    return found.only(None, ArticleRow, always="doc_id")


@tool(READ, scope="customer:read", toolset="knowledge", needs="knowledge", personal=False)
async def get_document(
    knowledge: TheKnowledge,
    doc_id: DocId,
    section: Annotated[str, Field(min_length=1, max_length=200, description="Heading from outline")] | None = None,
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
    max_chars: Annotated[int, Field(ge=500, le=12_000)] = 6000,
) -> Document:
    """Read an article as Markdown, by section."""
    return await knowledge.document(doc_id, section=section, offset=offset, max_chars=max_chars)


TOOLS = (search_knowledge, get_document)
