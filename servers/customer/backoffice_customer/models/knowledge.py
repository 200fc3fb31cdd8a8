"""Articles of the wiki and the help centre."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel

from backoffice_shared.envelope import Answer

KnowledgeSource = Literal["wiki", "help_center"]


class ArticleRow(BaseModel):
    """`url` is in the document. `snippet` has 300 characters at most. `score` is between 0 and 1, and compares rows of one answer only."""

    on_request: ClassVar = frozenset({"url"})

    doc_id: str
    title: str
    snippet: str | None = None
    source: KnowledgeSource
    space: str | None = None
    updated_at: datetime | None = None
    url: str | None = None
    score: float = 0.0
    untrusted: Literal[True] = True


class Article(BaseModel):
    """A whole article as its vendor has it: `html` is for people to read, rendered by the vendor."""

    doc_id: str
    title: str
    html: str
    source: KnowledgeSource
    space: str | None = None
    updated_at: datetime | None = None
    url: str | None = None


class Document(Answer):
    """An article, or a part of one, as Markdown. `outline` has its headings, `lossy` what Markdown cannot say.

    `next_offset` continues where `markdown` was cut.
    """

    doc_id: str
    title: str
    space: str | None = None
    updated_at: datetime | None = None
    url: str | None = None
    outline: list[str] = []
    section: str | None = None
    next_offset: int | None = None
    lossy: list[str] = []
    untrusted: Literal[True] = True
    markdown: str
