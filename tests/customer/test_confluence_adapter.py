"""Confluence, through its adapter: the stack is real, the wiki is its sandbox."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.confluence import CONFLUENCE, Confluence, confluence_sandbox
from backoffice_customer.backends.confluence.cql import (
    Both,
    Clause,
    InvalidQuery,
    Not,
    Search,
    one_of,
    quoted,
    read,
    since,
    words,
)
from backoffice_customer.backends.confluence.sandbox import ACCESS_TOKEN, API_TOKEN, CLOUD_ID, EMAIL
from backoffice_customer.markdown import Markdown, markdown_of
from backoffice_customer.models import Article, ArticleRow
from backoffice_customer.ports import ArticleQuery
from backoffice_shared.backend import Allowance, Failure
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.errors import (
    BackendUnavailable,
    InvalidInput,
    MalformedAnswer,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from backoffice_shared.http.client import connect
from backoffice_shared.principal import Principal, acting
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 22, tzinfo=UTC)
URL = "https://acme.atlassian.net"
REFUNDS, SIGN_IN, CARRIERS, SALARIES = "300001", "300002", "300004", "300006"
NO_PAGE = "Confluence: there is no such page or site, or it may not be seen."


@dataclass
class Office:
    """The company's wiki, and the adapter that speaks to it."""

    sandbox: VendorSandbox
    confluence: Confluence
    clock: ManualClock

    @property
    def asked(self) -> list[str]:
        return [entry.path for entry in self.sandbox.requests]

    async def wire(self, method: str, path: str, *, json: object = None) -> Any:
        """What Confluence itself says."""
        bearer = {"Authorization": f"Bearer {ACCESS_TOKEN}"}
        async with httpx.AsyncClient(transport=InProcess(self.sandbox), base_url=URL, headers=bearer) as http:
            answer = await http.request(method, f"/wiki/{path}", json=json)
            return answer.raise_for_status().json()


def wiki(*, spaces: str = "", url: str = URL, **credentials: str) -> Office:
    clock, sandbox = ManualClock(), confluence_sandbox(Company(customers=10, today=TODAY))
    secrets = {f"confluence_{name}": value for name, value in (credentials or sandbox.credentials).items()}
    http = connect(
        CONFLUENCE,
        InProcess(sandbox),
        EnvironmentCredentials(secrets),
        base_url=url,
        options={"site": "acme", "spaces": spaces},
        clock=clock,
    )
    return Office(sandbox, Confluence(http), clock)


@pytest.fixture
def office() -> Office:
    return wiki()


def answering(wire: object, status: int = 200) -> Confluence:
    """Confluence that says this to everything."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, json=wire))
    secrets = EnvironmentCredentials({"confluence_access_token": "t"})
    return Confluence(connect(CONFLUENCE, transport, secrets, base_url=URL, clock=ManualClock()))


def seeing(*systems: str) -> Principal:
    return Principal("somebody", "oauth", systems=frozenset(systems))


def titles(rows: list[ArticleRow]) -> list[str]:
    return [row.title for row in rows]


# ---------------------------------------------------------------------------------------------------- searching


async def test_a_page_is_found_by_the_words_in_it_with_where_they_are(office: Office) -> None:
    found = await office.confluence.search_articles(ArticleQuery("disputed payment"), 10)
    assert found == [
        ArticleRow(
            doc_id="confluence:page:300001",
            title="Refund policy for support",
            snippet=found[0].snippet,
            source="wiki",
            space="SUP",
            updated_at=TODAY - timedelta(days=20),
            url=f"{URL}/wiki/spaces/SUP/pages/300001/Refund+policy+for+support",
        )
    ]
    assert found[0].snippet is not None
    assert found[0].snippet.startswith("Agreed with finance. Ask before")
    assert len(found[0].snippet) == 300


async def test_pages_with_the_words_in_their_title_come_first(office: Office) -> None:
    found = titles(await office.confluence.search_articles(ArticleQuery("customer"), 10))
    assert found[:2] == ["Runbook: customer cannot sign in", "Handbook of customer care"]


async def test_no_more_pages_are_found_than_asked_for(office: Office) -> None:
    assert len(await office.confluence.search_articles(ArticleQuery("the"), 2)) == 2


async def test_a_search_can_be_for_one_space(office: Office) -> None:
    assert titles(await office.confluence.search_articles(ArticleQuery("days", space="OPS"), 10)) == [
        "Carriers and their delivery times"
    ]
    assert await office.confluence.search_articles(ArticleQuery("days", space="NONE"), 10) == []


async def test_a_search_can_be_for_what_was_changed_lately(office: Office) -> None:
    query = ArticleQuery("the", updated_since=TODAY - timedelta(days=9))
    assert titles(await office.confluence.search_articles(query, 10)) == ["Runbook: customer cannot sign in"]


async def test_a_change_within_the_minutes_that_time_zones_leave_open_is_sorted_out_here() -> None:
    def row(changed: str) -> dict[str, Any]:
        page = {"id": "1", "title": "A", "space": {"key": "SUP"}, "_links": {"webui": "/x"}}
        return {"content": page, "lastModified": changed}

    wire = {"results": [row("2026-01-31T09:59:59.000Z"), row("2026-01-31T10:00:00.000Z")], "_links": {"base": URL}}
    query = ArticleQuery("a", updated_since=datetime(2026, 1, 31, 10, tzinfo=UTC))
    assert [row.updated_at for row in await answering(wire).search_articles(query, 10)] == [query.updated_since]


async def test_an_excerpt_is_plain_text_without_marks() -> None:
    page = {"id": 7, "title": "A &amp; B", "space": {"key": "SUP"}, "_links": {"webui": "/x"}}
    excerpt = "if @@@hl@@@a@@@endhl@@@ &lt; b\n  it&#39;s so"
    space: dict[str, Any] = {"space": {"key": "SUP"}}
    wire = {"results": [{"content": page, "excerpt": excerpt}, space], "_links": {"base": f"{URL}/wiki"}}
    assert await answering(wire).search_articles(ArticleQuery("a"), 10) == [
        ArticleRow(
            doc_id="confluence:page:7",
            title="A &amp; B",
            snippet="if a < b it's so",
            source="wiki",
            space="SUP",
            url=f"{URL}/wiki/x",
        )
    ]


@pytest.mark.parametrize("text", ["", " ", "!?", '"', "\\", "\x00"])
async def test_a_text_without_words_finds_nothing_and_asks_nothing(office: Office, text: str) -> None:
    assert await office.confluence.search_articles(ArticleQuery(text), 10) == []
    assert office.asked == []


@pytest.mark.parametrize(
    "text",
    [
        'x" OR space = "HR',
        "x\\",
        'x\\" OR type = page OR text ~ "bonuses',
        "bonuses) OR (type = page",
        "bon* OR title:salaries",
        "x\x00\n\r",
        "NOT nothing",
        "salaries~ OR bonuses^2",
    ],
)
async def test_no_text_widens_a_search(text: str) -> None:
    office = wiki(spaces="SUP,OPS")
    found = await office.confluence.search_articles(ArticleQuery(text), 10)
    assert {row.space for row in found} <= {"SUP", "OPS"}


@pytest.mark.parametrize("space", ['SUP") OR space in ("HR', "SUP, HR", "SUP\\", "'HR'"])
async def test_no_space_widens_a_search(space: str) -> None:
    found = await wiki().confluence.search_articles(ArticleQuery("the", space=space), 10)
    assert found == []


# ---------------------------------------------------------------------------------------- who may see which pages


async def test_the_operator_says_in_which_spaces_everything_is() -> None:
    office = wiki(spaces=" sup, OPS ,")
    assert titles(await office.confluence.search_articles(ArticleQuery("managers"), 10)) == []
    with pytest.raises(NotFound) as refused:
        await office.confluence.article(SALARIES)
    assert str(refused.value) == NO_PAGE


async def test_an_operator_who_names_no_space_properly_shows_none() -> None:
    office = wiki(spaces=" , ")
    assert await office.confluence.search_articles(ArticleQuery("the"), 10) == []
    with pytest.raises(NotFound):
        await office.confluence.article(REFUNDS)


async def test_a_caller_sees_the_spaces_that_are_theirs(office: Office) -> None:
    with acting(seeing("confluence/OPS", "zendesk")):
        found = await office.confluence.search_articles(ArticleQuery("days"), 10)
        assert titles(found) == ["Carriers and their delivery times"]
        assert (await office.confluence.article(CARRIERS)).space == "OPS"
        with pytest.raises(NotFound, match="there is no such page or site, or it may not be seen"):
            await office.confluence.article(REFUNDS)


async def test_what_is_in_the_cache_is_not_for_everybody(office: Office) -> None:
    assert (await office.confluence.article(SALARIES)).title == "Salaries and bonuses"
    asked = len(office.asked)
    with acting(seeing("confluence/SUP")), pytest.raises(NotFound):
        await office.confluence.article(SALARIES)
    assert len(office.asked) == asked


async def test_a_page_that_may_not_be_seen_and_one_that_is_not_there_are_told_alike() -> None:
    office = wiki(spaces="SUP")
    refusals: list[str] = []
    for native in (SALARIES, "399999", "x", "0" * 400, "9" * 19, "٣", "../../spaces", ""):
        with pytest.raises(NotFound) as refused:
            await office.confluence.article(native)
        refusals.append(str(refused.value))
    assert set(refusals) == {NO_PAGE}


async def test_spaces_that_have_nothing_in_common_are_not_even_asked_about() -> None:
    office = wiki(spaces="SUP")
    with acting(seeing("confluence/HR")):
        assert await office.confluence.search_articles(ArticleQuery("bonuses"), 10) == []
    assert await office.confluence.search_articles(ArticleQuery("bonuses", space="HR"), 10) == []
    assert office.asked == []


async def test_all_bounds_hold_together() -> None:
    office = wiki(spaces="SUP,OPS")
    with acting(seeing("confluence/ops", "confluence/HR")):
        found = await office.confluence.search_articles(ArticleQuery("the"), 10)
    assert {row.space for row in found} == {"OPS"}


async def test_a_caller_without_any_part_of_the_wiki_is_refused(office: Office) -> None:
    with acting(seeing("zendesk")), pytest.raises(PermissionDenied):
        await office.confluence.article(REFUNDS)


async def test_a_row_of_a_space_that_was_not_asked_for_is_left_out() -> None:
    page = {"id": "1", "title": "A", "space": {"key": "HR"}, "_links": {"webui": "/x"}}
    confluence = answering({"results": [{"content": page}], "_links": {"base": URL}})
    with acting(seeing("confluence/SUP")):
        assert await confluence.search_articles(ArticleQuery("a"), 10) == []


# ------------------------------------------------------------------------------------------------------ reading


async def test_a_page_is_read_as_confluence_renders_it(office: Office) -> None:
    article = await office.confluence.article(SIGN_IN)
    assert article == Article(
        doc_id="confluence:page:300002",
        title="Runbook: customer cannot sign in",
        html=article.html,
        source="wiki",
        space="SUP",
        updated_at=TODAY - timedelta(days=9),
        url=f"{URL}/wiki/spaces/SUP/pages/300002/Runbook%3A+customer+cannot+sign+in",
    )
    assert markdown_of(article.html) == Markdown(
        "> **Warning**\n>\n> Never ask a customer for a password.\n\n"
        "Check the status page first. Then look for a second account with the same address.\n\n"
        "## Locked accounts\n\nAn account is locked for an hour after ten wrong passwords.\n\n"
        "- [x] Look at the status page\n- [ ] Write down what you did\n\n"
        '```bash\naccount unlock --reason "$TICKET"\n```',
        [],
    )


@pytest.mark.parametrize(
    ("native", "lossy"),
    [(REFUNDS, ["colour of a status", "macro jira"]), (CARRIERS, ["1 image without description"])],
)
async def test_what_a_page_loses_as_markdown_is_named(office: Office, native: str, lossy: list[str]) -> None:
    assert markdown_of((await office.confluence.article(native)).html).lossy == lossy


async def test_a_pages_space_is_asked_for_once_an_hour(office: Office) -> None:
    await office.confluence.article(REFUNDS)
    await office.confluence.article(SIGN_IN)
    assert office.asked == [
        f"/wiki/api/v2/pages/{REFUNDS}",
        "/wiki/api/v2/spaces/65537",
        f"/wiki/api/v2/pages/{SIGN_IN}",
    ]
    await office.confluence.article(REFUNDS)
    assert len(office.asked) == 3


@pytest.mark.parametrize("status", ["trashed", "draft", "deleted", "historical"])
async def test_what_is_no_page_any_more_or_not_yet_is_not_read(status: str) -> None:
    wire = {
        "id": "1",
        "status": status,
        "title": "A",
        "spaceId": "1",
        "key": "SUP",
        "version": {"createdAt": "2026-01-01T00:00:00.000Z"},
        "body": {"view": {"value": ""}},
        "_links": {"base": URL, "webui": "/x"},
    }
    with pytest.raises(NotFound):
        await answering(wire).article("1")


# ------------------------------------------------------------------------------------------ who asks, and refusals


@pytest.mark.parametrize("credentials", [{"email": EMAIL, "api_token": API_TOKEN}, {"access_token": ACCESS_TOKEN}])
async def test_a_person_with_an_api_token_and_an_app_with_an_access_token_may_ask(credentials: dict[str, str]) -> None:
    assert (await wiki(**credentials).confluence.article(REFUNDS)).space == "SUP"


async def test_atlassians_gateway_is_reached_by_the_sites_id() -> None:
    office = wiki(url=f"https://api.atlassian.com/ex/confluence/{CLOUD_ID}", access_token=ACCESS_TOKEN)
    assert (await office.confluence.article(REFUNDS)).space == "SUP"


@pytest.mark.parametrize("credentials", [{"email": EMAIL, "api_token": "no"}, {"access_token": "no"}])
async def test_who_has_no_valid_token_is_refused_in_both_versions(credentials: dict[str, str]) -> None:
    office = wiki(**credentials)
    with pytest.raises(PermissionDenied, match="Confluence: Unauthorized"):
        await office.confluence.article(REFUNDS)
    with pytest.raises(PermissionDenied, match="Confluence: Unauthorized"):
        await office.confluence.search_articles(ArticleQuery("refund"), 10)


async def test_the_secret_is_sent_as_basic_authentication() -> None:
    request, token = httpx.Request("GET", URL), "with:colon-and-ü-0123456789"
    secrets = EnvironmentCredentials({"confluence_email": "a@b.example", "confluence_api_token": token})
    CONFLUENCE.authorize(request, await secrets.read("confluence"))
    assert base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode() == f"a@b.example:{token}"


async def test_too_many_requests_are_tried_again_when_confluence_says(office: Office) -> None:
    office.sandbox.faults = Faults(plan=["throttle"], retry_after=3)
    assert (await office.confluence.article(REFUNDS)).space == "SUP"
    office.sandbox.faults = Faults(throttle=1.0)
    with pytest.raises(RateLimited, match="Confluence: Rate limit exceeded"):
        await office.confluence.article(SIGN_IN)


@pytest.mark.parametrize("fault", ["reset", "drop_after_commit", "error"])
async def test_a_broken_answer_is_asked_for_again(office: Office, fault: Any) -> None:
    office.sandbox.faults = Faults(plan=[fault])
    assert (await office.confluence.article(REFUNDS)).title == "Refund policy for support"


async def test_an_outage_and_nonsense_are_told_apart(office: Office) -> None:
    office.sandbox.faults = Faults(error=1.0)
    with pytest.raises(BackendUnavailable, match="Confluence: Service Unavailable"):
        await office.confluence.article(REFUNDS)
    for fault in ("malformed", "wrong_types"):
        office = wiki()
        office.sandbox.faults = Faults(plan=[fault])
        with pytest.raises(MalformedAnswer):
            await office.confluence.search_articles(ArticleQuery("refund"), 10)


@pytest.mark.parametrize(
    ("status", "wire", "sentence"),
    [
        (400, {"statusCode": 400, "message": "com.atlassian.confluence.api.BadRequestException: Could not parse cql : x"}, "Could not parse cql : x"),
        (400, {"errors": [{"status": 400, "code": "X", "title": "Bad id", "detail": "must be a number"}]}, "Bad id: must be a number"),
        (401, {"code": 401, "message": "Unauthorized; scope does not match"}, "Unauthorized; scope does not match"),
        (404, {"errors": [{"status": 404, "code": "NOT_FOUND", "title": "Page 7 is secret"}]}, "there is no such page or site, or it may not be seen"),
        (502, {"errors": "x"}, "answered 502"),
        (500, {"message": "x" * 400}, "x" * 300),
    ],
)  # fmt: skip
def test_a_refusal_of_either_version_is_one_sentence(status: int, wire: object, sentence: str) -> None:
    assert CONFLUENCE.failure(httpx.Response(status, json=wire)) == Failure(status, sentence)
    waiting = httpx.Response(status, json=wire, headers={"retry-after": "7"})
    assert CONFLUENCE.failure(waiting) == Failure(status, sentence, 7.0)
    assert CONFLUENCE.failure(httpx.Response(200, json=wire)) is None


async def test_a_refused_search_is_the_callers_to_mend() -> None:
    with pytest.raises(InvalidInput, match="Could not parse cql"):
        await answering({"statusCode": 400, "message": "Could not parse cql : x"}, 400).search_articles(
            ArticleQuery("x"), 1
        )


@pytest.mark.parametrize(
    ("headers", "allowance"),
    [
        ({"x-ratelimit-remaining": "120", "x-ratelimit-reset": "2026-11-22T10:05:30Z"}, Allowance(120, 330)),
        ({"x-ratelimit-remaining": "120", "x-ratelimit-reset": "2026-11-22T10:05Z"}, Allowance(120, 300)),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "2026-11-22T10:00:01.500Z"}, Allowance(0, 1)),
        ({"x-ratelimit-remaining": "120", "x-ratelimit-reset": "2026-11-22T09:59Z"}, None),
        ({"x-ratelimit-remaining": "120", "x-ratelimit-reset": "2026-13-45T10:05Z"}, None),
        ({"x-ratelimit-remaining": "120", "x-ratelimit-reset": "1795341900"}, None),
        ({"x-ratelimit-remaining": "x", "x-ratelimit-reset": "2026-11-22T10:05Z"}, None),
        ({"x-ratelimit-remaining": "120", "x-ratelimit-reset": "2026-11-22T10:05Z", "date": "noon"}, None),
        ({}, None),
    ],
)
def test_what_is_left_of_the_limit_is_counted_by_confluences_own_clock(
    headers: dict[str, str], allowance: Allowance | None
) -> None:
    answer = httpx.Response(200, headers={"date": "Sun, 22 Nov 2026 10:00:00 GMT", **headers})
    assert CONFLUENCE.allowance(answer) == allowance


# ------------------------------------------------------------------------------------------------------ the sandbox


async def test_what_others_write_is_found_and_read(office: Office) -> None:
    page = {
        "spaceId": "65538",
        "title": "Fairs",
        "body": {"representation": "storage", "value": "<p>Bring a zebra.</p>"},
    }
    office.sandbox.faults = Faults(stale_search=True)
    created = await office.wire("POST", "api/v2/pages", json=page)
    assert await office.confluence.search_articles(ArticleQuery("zebra"), 10) == []
    office.sandbox.faults = Faults()
    office.clock.advance(3600)
    assert titles(await office.confluence.search_articles(ArticleQuery("zebra"), 10)) == ["Fairs"]
    article = await office.confluence.article(created["id"])
    assert (article.html, article.space) == ("<p>Bring a zebra.</p>", "OPS")
    assert article.updated_at is not None
    assert abs(datetime.now(UTC) - article.updated_at) < timedelta(minutes=1)


async def test_a_title_is_there_once_in_a_space(office: Office) -> None:
    page = {"spaceId": "65537", "title": "Tone of voice", "body": {"storage": {"value": "<p>x</p>"}}}
    with pytest.raises(httpx.HTTPStatusError, match="400"):
        await office.wire("POST", "api/v2/pages", json=page)


async def test_searches_go_on_where_the_last_page_ended(office: Office) -> None:
    seen: list[str] = []
    path: str | None = "rest/api/search?cql=type%3Dpage%20order%20by%20title&limit=3"
    while path:
        answer = await office.wire("GET", path)
        seen += [row["title"] for row in answer["results"]]
        assert answer["totalSize"] == 7
        path = answer["_links"].get("next", "").lstrip("/") or None
    assert seen == sorted(seen, key=str.lower)
    assert len(seen) == 7


# ------------------------------------------------------------------------------------------------- the language


@given(st.text())
def test_any_text_is_one_string(text: str) -> None:
    search = read(f"space = {quoted(text)} AND type = page")
    assert isinstance(search.query, Both)
    assert search.query.second == Clause("type", "=", ("page",))
    assert read(one_of("space", ["SUP", text])).query == Clause(
        "space", "in", ("SUP", "".join(" " if char < " " or char == "\x7f" else char for char in text))
    )


@given(st.text())
def test_any_text_is_words(text: str) -> None:
    found = words(text)
    assert found == "" or read(f"text ~ {quoted(found)}").query == Clause("text", "~", (found,))
    assert not set(found.split()) & {"AND", "OR", "NOT", "TO"}


def test_a_time_is_asked_for_in_any_time_zone() -> None:
    at = datetime(2026, 1, 31, 10, tzinfo=UTC)
    assert since(at) == 'lastmodified >= "2026/01/30 20:00"'
    assert since(at.astimezone(tz=None)) == since(at)


def test_a_query_means_what_confluence_says() -> None:
    assert read(
        'type=page and (space not in (A, "B C") or not title ~ "x") order by lastmodified desc, title'
    ) == Search(
        Both(
            Clause("type", "=", ("page",)),
            Both(Clause("space", "not in", ("A", "B C")), Not(Clause("title", "~", ("x",))), "or"),
            "and",
        ),
        (("lastmodified", True), ("title", False)),
    )


@pytest.mark.parametrize(
    "cql",
    [
        "type =",
        "(type = page",
        "type page",
        "nothing = 1",
        'title ~ "x',
        "type = page extra",
        "(" * 5_000,
        "order title",
    ],
)
def test_what_is_no_query_is_refused(cql: str) -> None:
    with pytest.raises(InvalidQuery):
        read(cql)
