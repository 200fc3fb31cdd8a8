"""What the company has written down, wherever it is kept: found together, read by section."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from backoffice_customer.markdown import markdown_of, outline, section_named
from backoffice_customer.models import Article, ArticleRow, Document, KnowledgeSource, parse_ref
from backoffice_customer.ports import ArticleQuery, Library
from backoffice_shared.envelope import Listing
from backoffice_shared.errors import InvalidInput, NotFound
from backoffice_shared.mcp.bounded import LARGEST, longest
from backoffice_shared.paging import Cursors, cut
from backoffice_shared.sources import ask_one, fan_out

_ROOM = LARGEST - 3_500  # for the text, beside the outline
_LONGEST_OUTLINE = 60  # headings
_MOST = 50  # articles asked of one system: who finds nothing among these asks more precisely


@dataclass(frozen=True, slots=True)
class Knowledge:
    libraries: Mapping[str, Library]
    cursors: Cursors

    async def search(
        self, query: ArticleQuery, sources: Sequence[KnowledgeSource], *, limit: int, cursor: str | None
    ) -> Listing[ArticleRow]:
        """Articles of all sources, best first.

        Raises:
            InvalidInput: none of these sources is here.
        """
        asked = {name: library for name, library in self.libraries.items() if not sources or library.source in sources}
        if not asked:
            here = ", ".join(sorted({library.source for library in self.libraries.values()}))
            raise InvalidInput("", "sources: this server has none of them", hint=f"It has {here}")
        reads = {name: partial(library.search_articles, query, _MOST) for name, library in asked.items()}
        answers = (await fan_out(reads)).or_raise()
        ranked = [
            row.model_copy(update={"score": _score(query.text, row, rank)})
            for rows in answers.values.values()
            for rank, row in enumerate(rows)
        ]
        rows, page, resume = cut(
            sorted(ranked, key=lambda row: (-row.score, row.title, row.doc_id)),
            limit=limit,
            cursor=cursor,
            cursors=self.cursors,
            question=["knowledge", query, list(sources), sorted(answers.values)],
        )
        capped = [name for name, rows in answers.values.items() if len(rows) >= _MOST]
        notes = [f"{name} has more matches than are shown: search for more words" for name in capped]
        page = page.model_copy(update={"total_is_estimate": True if capped or answers.errors else None})
        return Listing[ArticleRow](page=page, items=rows, sources=answers.sources, notes=notes).resumed_by(resume)

    async def document(self, doc_id: str, *, section: str | None, offset: int, max_chars: int) -> Document:
        """An article, or one section of it, as Markdown, from `offset` on.

        Raises:
            NotFound: there is no such article.
            InvalidInput: it has no such section; the sentence names those it has.
        """
        ref = parse_ref(doc_id, {name: library.kind for name, library in self.libraries.items()})
        article, source = await ask_one(ref.backend, partial(self.libraries[ref.backend].article, ref.native))
        converted = markdown_of(article.html, article.url or "")
        text = converted.text if section is None else _part(article, converted.text, section)
        if offset > len(text):
            raise InvalidInput("", f"offset: the text has {len(text)} characters")
        most = min(max_chars, longest(text[offset : offset + max_chars], _ROOM))
        end = _boundary(text, offset, max(most, 1))
        return Document(
            doc_id=doc_id,
            title=article.title,
            space=article.space,
            updated_at=article.updated_at,
            url=article.url,
            outline=outline(converted.text)[:_LONGEST_OUTLINE],
            section=section,
            next_offset=end if end < len(text) else None,
            lossy=converted.lossy,
            markdown=text[offset:end],
            sources=[source],
        )


def _part(article: Article, text: str, section: str) -> str:
    parts = section_named(text, section)
    if len(parts) == 1:
        return parts[0]
    if parts:
        return "\n\n".join(parts)
    there = ", ".join(repr(heading) for heading in outline(text)[:40]) or "none"
    raise NotFound("", f"{article.title!r} has no section {section[:80]!r}", hint=f"It has {there}")


def _boundary(text: str, offset: int, most: int) -> int:
    """Where to cut: after a paragraph or a line, when one ends in the last third of what is given."""
    end = offset + most
    if end >= len(text):
        return len(text)
    least = offset + most * 2 // 3
    for border in ("\n\n", "\n", " "):
        if (at := text.rfind(border, least, end)) > 0:
            return at + len(border)
    return end


def _score(query: str, row: ArticleRow, rank: int) -> float:
    """How well a row fits, between 0 and 1: the words of the query in its title and snippet, and its place in its own
    system's ranking, which is all that different systems' rankings can be compared by."""
    wanted = _words(query)
    in_title, in_text = (len(wanted & _words(text)) / max(1, len(wanted)) for text in (row.title, row.snippet or ""))
    return round(0.45 * in_title + 0.2 * in_text + 0.35 / (1 + rank / 5), 2)


def _words(text: str) -> set[str]:
    """Without endings that languages play with: "refunds" is "refund"."""
    return {word.removesuffix("s") for word in re.findall(r"\w+", text.casefold())}
