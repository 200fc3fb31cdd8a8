"""Confluence's sandbox and our requests, held against the vendor: a Python client for it, and its OpenAPI file.

The client speaks to each version of the API under its own address, and to what both editions have in common as to the
other edition: `Confluence(cloud=True)` of release 5.0 has lost that.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.contract.openapi import OpenApi, spec_file
from tests.contract.serving import Exchange, Served, serving
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.confluence import CONFLUENCE, Confluence, confluence_sandbox
from backoffice_customer.backends.confluence.cql import quoted
from backoffice_customer.backends.confluence.sandbox import API_TOKEN, EMAIL
from backoffice_customer.models import ArticleRow
from backoffice_customer.ports import ArticleQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.errors import NotFound, PermissionDenied
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.http.network import wire
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
REFUNDS, GONE = "300001", "399999"

atlassian: Any = importlib.import_module("atlassian")  # it has no types
refused: Any = importlib.import_module("requests").HTTPError
api_errors: Any = importlib.import_module("atlassian.errors")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=10, today=TODAY)


@pytest.fixture
def sandbox(company: Company) -> VendorSandbox:
    return confluence_sandbox(company)


@pytest.fixture
def served(sandbox: VendorSandbox) -> Iterator[Served]:
    with serving(sandbox) as served:
        yield served


@pytest.fixture
async def confluence(served: Served) -> AsyncGenerator[Confluence]:
    http = adapter(served, API_TOKEN)
    yield Confluence(http)
    await http.aclose()


def adapter(served: Served, token: str) -> BackendClient:
    credentials = EnvironmentCredentials({"confluence_email": EMAIL, "confluence_api_token": token})
    options = {"site": "acme"}
    return connect(CONFLUENCE, wire(), credentials, base_url=served.url, options=options, clock=ManualClock())


def cloud(served: Served, api: str) -> Any:
    return atlassian.Confluence(url=f"{served.url}/wiki/{api}", username=EMAIL, password=API_TOKEN, cloud=True)


def common(served: Served, token: str = API_TOKEN) -> Any:
    return atlassian.Confluence(url=f"{served.url}/wiki", username=EMAIL, password=token, cloud=False)


def version_2(served: Served) -> Any:
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        return atlassian.ConfluenceV2(url=f"{served.url}/wiki", username=EMAIL, password=API_TOKEN)


# --------------------------------------------------------------------------------------------------- a client of it


@pytest.mark.parametrize("text", ["refund", "customer", "days", "agreed with whom"])
async def test_the_client_finds_the_same_pages(served: Served, confluence: Confluence, text: str) -> None:
    answer = common(served).cql(
        f"type = page and (title ~ {quoted(text)} or text ~ {quoted(text)})", limit=10, expand="content.space"
    )
    found = [
        (
            f"confluence:page:{row['content']['id']}",
            row["content"]["title"],
            row["content"]["space"]["key"],
            answer["_links"]["base"] + row["url"],
        )
        for row in answer["results"]
    ]
    rows = await confluence.search_articles(ArticleQuery(text), 10)
    assert all("@@@hl@@@" in row["excerpt"] or text in row["title"].lower() for row in answer["results"])
    assert not any("@@@" in (row.snippet or "") for row in rows)
    assert [(row.doc_id, row.title, row.space, row.url) for row in rows] == found
    assert found


async def test_the_client_finds_the_same_pages_of_some_spaces_and_times(served: Served, confluence: Confluence) -> None:
    cql = 'space in (SUP, OPS) and title !~ "handbook" and lastmodified > "2026/09/01" order by title'
    theirs = cloud(served, "rest/api").cql(cql)["results"]
    assert [page["title"] for page in theirs] == [
        "Carriers and their delivery times",
        "Refund policy for support",
        "Runbook: customer cannot sign in",
    ]
    assert cloud(served, "rest/api").get_content(REFUNDS)["title"] == "Refund policy for support"
    ours = await confluence.search_articles(ArticleQuery("refund", "SUP", TODAY - timedelta(days=60)), 10)
    assert {row.doc_id for row in ours} <= {f"confluence:page:{page['id']}" for page in theirs}


async def test_the_client_reads_the_same_page_in_both_versions(served: Served, confluence: Confluence) -> None:
    ours = await confluence.article(REFUNDS)
    old = common(served).get_page_by_id(REFUNDS, expand="body.view,space,version")
    new = version_2(served).get_page_by_id(REFUNDS, body_format="view")
    assert (old["title"], old["body"]["view"]["value"], old["space"]["key"]) == (ours.title, ours.html, ours.space)
    assert (new["title"], new["body"]["view"]["value"]) == (ours.title, ours.html)
    assert ours.updated_at is not None
    assert old["version"]["when"] == new["version"]["createdAt"] == "2026-10-12T00:00:00.000Z"
    assert ours.updated_at == datetime(2026, 10, 12, tzinfo=UTC)


def test_the_client_sees_all_spaces_and_pages_page_by_page(served: Served) -> None:
    spaces = list(cloud(served, "api/v2").get_all_spaces(limit=2))
    assert [(space["key"], space["name"]) for space in spaces] == [
        ("SUP", "Customer support"),
        ("OPS", "Operations"),
        ("HR", "People"),
    ]
    assert common(served).get_space("OPS")["id"] == int(version_2(served).get_space_by_key("OPS")["id"])
    assert cloud(served, "api/v2").get_space(spaces[1]["id"])["key"] == "OPS"
    pages = version_2(served).get_pages(space_id=spaces[0]["id"], limit=3)
    assert [page["title"] for page in pages] == [
        "Refund policy for support",
        "Runbook: customer cannot sign in",
        "Tone of voice",
        "Handbook of customer care",
    ]
    assert cloud(served, "api/v2").page_exists("SUP", "Tone of voice")
    assert not cloud(served, "api/v2").page_exists("OPS", "Tone of voice")


async def test_we_find_and_read_what_the_client_writes(served: Served, confluence: Confluence) -> None:
    old = common(served).create_page("OPS", "Fairs", "<p>Bring a zebra.</p>", parent_id="300004")
    new = version_2(served).create_page("65537", "Zebras", "<p>Feed it.</p>")
    found = await confluence.search_articles(ArticleQuery("zebra"), 10)
    assert [(row.doc_id, row.space) for row in found] == [(f"confluence:page:{old['id']}", "OPS")]
    assert [(await confluence.article(page["id"])).html for page in (old, new)] == [
        "<p>Bring a zebra.</p>",
        "<p>Feed it.</p>",
    ]
    assert (await confluence.article(new["id"])).space == "SUP"
    with pytest.raises(refused, match="already exists"):
        common(served).create_page("OPS", "Fairs", "<p>Again.</p>")
    assert common(served).get_page_id("OPS", "Fairs") == old["id"]


async def test_what_is_not_there_is_refused_to_both(served: Served, confluence: Confluence) -> None:
    with pytest.raises(NotFound):
        await confluence.article(GONE)
    with pytest.raises(api_errors.ApiError, match="no content with the given id"):
        common(served).get_page_by_id(GONE)
    with pytest.raises(refused):
        version_2(served).get_page_by_id(GONE)
    with pytest.raises(api_errors.ApiError, match="no space with the given key"):
        common(served).get_space("NONE")
    with pytest.raises(api_errors.ApiValueError, match="query cannot be parsed"):
        common(served).cql("type =")


async def test_a_wrong_token_is_refused_to_both(served: Served) -> None:
    http = adapter(served, "no")
    with pytest.raises(PermissionDenied):
        await Confluence(http).article(REFUNDS)
    await http.aclose()
    with pytest.raises(refused, match="Unauthorized"):
        common(served, "no").cql("type = page")


def test_the_client_understands_throttling_and_outages(served: Served, sandbox: VendorSandbox) -> None:
    sandbox.faults = Faults(plan=["throttle"], retry_after=0)
    assert common(served).cql("type = page")["totalSize"] == 7
    assert [entry.status for entry in sandbox.requests] == [429, 200]
    sandbox.faults = Faults(plan=["error"])
    with pytest.raises(refused, match="Service Unavailable"):
        common(served).cql("type = page")


# ----------------------------------------------------------------------------------------------- its OpenAPI file


@pytest.fixture(scope="module")
def api() -> OpenApi:
    return OpenApi(spec_file("confluence_v2_openapi.json"))


def of_version_2(served: Served) -> list[Exchange]:
    """As the file has it: without the address of the API. It has no search, which is in version 1 only."""
    prefix = "/wiki/api/v2"
    return [
        replace(exchange, path=exchange.path.removeprefix(prefix))
        for exchange in served.exchanges
        if exchange.path.startswith(prefix)
    ]


async def test_what_we_ask_and_are_told_is_as_documented(served: Served, confluence: Confluence, api: OpenApi) -> None:
    rows: list[ArticleRow] = await confluence.search_articles(ArticleQuery("the"), 50)
    for row in rows:
        await confluence.article(row.doc_id.rpartition(":")[2])
    exchanges = of_version_2(served)
    assert len(exchanges) == len(rows) + len({row.space for row in rows})
    assert [problem for exchange in exchanges for problem in api.problems(exchange)] == []


def test_what_the_client_is_told_is_as_documented(served: Served, api: OpenApi) -> None:
    client = version_2(served)
    client.get_page_by_id(REFUNDS)
    client.get_pages(space_id="65537", body_format="storage", limit=2)
    client.get_spaces(keys=["SUP", "HR"], limit=1)
    client.create_page("65537", "Fairs", "<p>Bring a zebra.</p>")
    exchanges = of_version_2(served)
    assert len(exchanges) == 6
    assert [problem for exchange in exchanges for problem in api.of_answer(exchange)] == []
