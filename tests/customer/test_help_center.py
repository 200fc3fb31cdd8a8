"""Zendesk's Help Center, through its adapter: what everybody may read is found, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from tests.customer.helpdesk import TODAY, URL, Helpdesk, helpdesk, saying

from backoffice_customer.backends.zendesk import HelpCenter
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN
from backoffice_customer.models import Article, ArticleRow
from backoffice_customer.ports import ArticleQuery
from backoffice_shared.errors import BackendUnavailable, MalformedAnswer, NotFound, PermissionDenied, TooLarge
from backoffice_shared.principal import Principal, acting
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Fault, Faults

pytestmark = pytest.mark.anyio

DRAFT, SIGNED_IN_ONLY = "390008", "390009"


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=10, today=TODAY)


@pytest.fixture
def desk(company: Company) -> Helpdesk:
    return helpdesk(company, access_token=ACCESS_TOKEN)


async def titles(desk: Helpdesk, query: ArticleQuery) -> list[str]:
    return [row.title for row in await desk.help_center.search_articles(query, 20)]


# --------------------------------------------------------------------------------------------------- searching


async def test_a_row_says_what_was_found_where(desk: Helpdesk) -> None:
    article = desk.company.articles[2]
    assert await desk.help_center.search_articles(ArticleQuery(text="refund arrive"), 5) == [
        ArticleRow(
            doc_id="zendesk:article:390003",
            title="When will my refund arrive?",
            snippet=article.text[:200],
            source="help_center",
            space="Returns and refunds",
            updated_at=TODAY - timedelta(days=45),
            url=f"{URL}/hc/en-us/articles/390003-When-will-my-refund-arrive",
        )
    ]


async def test_what_has_the_words_in_its_title_comes_first(desk: Helpdesk) -> None:
    assert await titles(desk, ArticleQuery(text="when")) == [
        "When will my refund arrive?",
        "Where is my order?",
        "I cannot sign in",
    ]


async def test_a_limit_is_kept(desk: Helpdesk) -> None:
    assert len(await desk.help_center.search_articles(ArticleQuery(text="the"), 2)) == 2


@pytest.mark.parametrize("space", ["Returns and refunds", "RETURNS AND REFUNDS"])
async def test_a_section_is_given_by_its_name(desk: Helpdesk, space: str) -> None:
    assert sorted(await titles(desk, ArticleQuery(text="re", space=space))) == [
        "Returning what does not fit",
        "When will my refund arrive?",
    ]


@pytest.mark.parametrize("space", ["SUP", "", "380001", "Returns"])
async def test_a_section_that_does_not_exist_has_no_articles(desk: Helpdesk, space: str) -> None:
    assert await titles(desk, ArticleQuery(text="refund", space=space)) == []
    assert desk.asked("/api/v2/help_center/articles/search") == 0


async def test_what_was_not_updated_since_is_left_out_to_the_second(desk: Helpdesk) -> None:
    changed = TODAY - timedelta(days=45)  # the article about refunds
    query = ArticleQuery(text="when refund", updated_since=changed)
    assert await titles(desk, query) == ["When will my refund arrive?"]
    later = ArticleQuery(text="when refund", updated_since=changed + timedelta(seconds=1))
    assert await titles(desk, later) == []


@pytest.mark.parametrize("text", ["", " ", '"', "-", "+ -", "\x00"])
async def test_nothing_is_asked_for_no_words(desk: Helpdesk, text: str) -> None:
    assert await titles(desk, ArticleQuery(text=text)) == []
    assert not desk.sandbox.requests


async def test_an_exclusion_in_a_text_is_a_word() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sections"):
            return httpx.Response(200, json={"sections": [{"id": 1, "name": "A"}], "next_page": None})
        asked.append(request.url.params["query"])
        return httpx.Response(200, json={"results": [], "next_page": None})

    await HelpCenter(saying(answer)).search_articles(ArticleQuery(text='refund -"gift\x00 card" *'), 5)
    assert asked == ["refund gift card"]


async def test_found_words_are_not_marked_and_a_snippet_has_300_characters_at_most() -> None:
    wire = {**ARTICLE, "snippet": "<em>Zip</em> &amp; " + "x" * 400}
    [row] = await helping([wire]).search_articles(ArticleQuery(text="zip"), 5)
    assert row.snippet == ("Zip &amp; " + "x" * 400)[:300]
    [row] = await helping([{**ARTICLE, "snippet": None}]).search_articles(ArticleQuery(text="zip"), 5)
    assert row.snippet is None


async def test_sections_are_read_page_by_page_and_once() -> None:
    asked: list[tuple[str, int]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        number, kind = int(request.url.params["page"]), request.url.path.rpartition("/")[2]
        asked.append((kind, number))
        if kind == "search":
            return httpx.Response(200, json={"results": [{**ARTICLE, "section_id": 2}], "next_page": None})
        sections = [{"id": number, "name": f"Section {number}"}]
        return httpx.Response(200, json={"sections": sections, "next_page": None if number == 2 else "…"})

    help_center = HelpCenter(saying(answer))
    for _ in range(2):
        [row] = await help_center.search_articles(ArticleQuery(text="zip"), 5)
        assert row.space == "Section 2"
    assert asked == [("sections", 1), ("sections", 2), ("search", 1)]


async def test_a_help_center_with_too_many_sections_says_so() -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["page"])
        number = int(asked[-1])
        return httpx.Response(200, json={"sections": [{"id": number, "name": f"{number}"}], "next_page": "…"})

    with pytest.raises(TooLarge, match="more than 5000 sections"):
        await HelpCenter(saying(answer)).article("7")
    assert len(asked) == 50


SECTIONS = {1: "Returns", 2: "Returns", 3: "Delivery", 4: "3", 5: "Account"}


def finding(pages: list[list[int]], asked: list[str] | None = None) -> HelpCenter:
    """A Help Center with `SECTIONS`, which finds pages of articles that are in these sections."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sections"):
            rows = [{"id": number, "name": name} for number, name in SECTIONS.items()]
            return httpx.Response(200, json={"sections": rows, "next_page": None})
        place = int(request.url.params["page"]) - 1
        if asked is not None:
            asked.append(str(request.url.query))
        rows = [
            {**ARTICLE, "id": 100 * place + n, "section_id": section}
            for n, section in enumerate(pages[min(place, len(pages) - 1)])
        ]
        return httpx.Response(200, json={"results": rows, "next_page": None if place == len(pages) - 1 else "…"})

    return HelpCenter(saying(answer))


async def spaces(help_center: HelpCenter, *parts: str, limit: int = 2) -> list[str | None]:
    with acting(Principal("bot", "oauth", systems=frozenset(f"zendesk/{part}" for part in parts))):
        return [row.space for row in await help_center.search_articles(ArticleQuery(text="zip"), limit)]


async def test_what_one_may_see_is_looked_for_beyond_the_first_page() -> None:
    asked: list[str] = []
    help_center = finding([[1, 1, 2, 1], [1, 3, 1, 1], [1, 5, 5, 1], [5, 5, 5, 5]], asked)
    assert await spaces(help_center, "Delivery", "Account") == ["Delivery", "Account"]
    assert len(asked) == 3


async def test_what_there_is_more_of_than_zendesk_finds_is_not_said_to_be_all() -> None:
    asked: list[str] = []
    without_end = finding([[1] * 100] * 10, asked)  # Zendesk names no page after these
    with pytest.raises(TooLarge, match="more articles have these words than can be looked through"):
        await spaces(without_end, "Delivery", "Account", limit=50)
    assert len(asked) == 10


@pytest.mark.parametrize(
    ("parts", "seen"),
    [
        (["Returns"], []),  # which are two sections
        (["2"], ["Returns"]),
        (["1", "2"], ["Returns", "Returns"]),
        (["Delivery"], ["Delivery"]),
        (["3"], ["Delivery"]),  # whatever another section is called
        (["4"], ["3"]),
        (["delivery", "Returns/1", "", "99"], []),
    ],
)
async def test_a_part_is_the_id_of_a_section_or_a_name_of_one_alone(parts: list[str], seen: list[str]) -> None:
    assert await spaces(finding([[1, 2, 3, 4, 5]]), *parts, limit=10) == seen


# ----------------------------------------------------------------------------------------------------- reading


async def test_an_article_comes_whole_as_zendesk_renders_it(desk: Helpdesk) -> None:
    assert await desk.help_center.article("390001") == Article(
        doc_id="zendesk:article:390001",
        title="Where is my order?",
        html=desk.company.articles[0].html,
        source="help_center",
        space="Orders and delivery",
        updated_at=TODAY - timedelta(days=12),
        url=f"{URL}/hc/en-us/articles/390001-Where-is-my-order",
    )


async def test_an_article_without_a_body_is_empty() -> None:
    got = await helping([{**ARTICLE, "body": None}]).article("7")
    assert (got.html, got.updated_at) == ("", datetime(2026, 11, 1, 8, tzinfo=UTC))


@pytest.mark.parametrize("native", ["1", "9" * 400, "390001/comments", "../tickets/10001", "search", ""])
async def test_an_article_that_does_not_exist_is_not_found(desk: Helpdesk, native: str) -> None:
    with pytest.raises(NotFound):
        await desk.help_center.article(native)


# ------------------------------------------------------------------------------------------------- who may see what


@pytest.mark.parametrize("native", [DRAFT, SIGNED_IN_ONLY])
async def test_what_is_not_for_everybody_does_not_exist(desk: Helpdesk, native: str) -> None:
    title = (await desk.wire("GET", f"help_center/articles/{native}"))["article"]["title"]
    assert title not in await titles(desk, ArticleQuery(text=title))
    with pytest.raises(NotFound, match=f"there is no article '{native}'"):
        await desk.help_center.article(native)


async def test_an_article_for_some_users_is_left_out_of_what_is_found() -> None:
    found = [
        {**ARTICLE, "title": "For everybody"},
        {**ARTICLE, "title": "Draft", "draft": True},
        {**ARTICLE, "title": "One segment", "user_segment_id": 5},
        {**ARTICLE, "title": "Some segments", "user_segment_ids": [5, 6]},
        {**ARTICLE, "title": "In a section that we cannot see", "section_id": 99},
    ]
    rows = await helping(found).search_articles(ArticleQuery(text="zip"), 20)
    assert [row.title for row in rows] == ["For everybody"]


async def test_who_sees_parts_of_zendesk_sees_those_sections(desk: Helpdesk) -> None:
    agent = Principal("bot", "oauth", systems=frozenset({"zendesk/Account", "zendesk/Care and repair"}))
    with acting(agent):
        assert set(await titles(desk, ArticleQuery(text="a"))) == {
            "Gift cards",
            "I cannot sign in",
            "Repairs and warranty",
            "Washing down jackets",
        }
        assert await titles(desk, ArticleQuery(text="refund", space="Returns and refunds")) == []
        assert (await desk.help_center.article("390006")).title == "I cannot sign in"
        with pytest.raises(NotFound):
            await desk.help_center.article("390001")
    assert (await desk.help_center.article("390001")).title == "Where is my order?"


async def test_who_sees_other_systems_sees_nothing_here(desk: Helpdesk) -> None:
    with acting(Principal("bot", "oauth", systems=frozenset({"hubspot"}))), pytest.raises(PermissionDenied):
        await desk.help_center.article("390001")
    assert not desk.sandbox.requests


# ---------------------------------------------------------------------------------------------------- failures


async def test_a_help_center_that_does_not_answer_is_unavailable(desk: Helpdesk) -> None:
    desk.sandbox.faults = Faults(error=1.0)
    with pytest.raises(BackendUnavailable):
        await desk.help_center.article("390001")


@pytest.mark.parametrize("plan", [["malformed"], ["wrong_types"], ["ok", "malformed"], ["ok", "wrong_types"]])
@pytest.mark.parametrize("search", [True, False])
async def test_an_answer_in_another_form_is_malformed(desk: Helpdesk, plan: list[Fault], search: bool) -> None:
    desk.sandbox.faults = Faults(plan=list(plan))
    with pytest.raises(MalformedAnswer):
        await (titles(desk, ArticleQuery(text="refund")) if search else desk.help_center.article("390001"))


ARTICLE = {
    "id": 7,
    "title": "Zips",
    "body": "<p>Zip.</p>",
    "snippet": "Zip.",
    "section_id": 1,
    "draft": False,
    "user_segment_id": None,
    "updated_at": "2026-11-01T08:00:00Z",
    "html_url": "https://acme.zendesk.com/hc/en-us/articles/7",
}


def helping(found: list[dict[str, Any]]) -> HelpCenter:
    """A Help Center with one section, which finds these and has the first of them."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/sections"):
            return httpx.Response(200, json={"sections": [{"id": 1, "name": "A"}], "next_page": None})
        return httpx.Response(200, json={"results": found, "article": found[0], "next_page": None})

    return HelpCenter(saying(answer))
