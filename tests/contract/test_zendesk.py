"""The sandbox is Zendesk to others too: to its community client zenpy, and to models generated from its OpenAPI file.

That file leaves the Help Center out; of it, the prose lists the fields.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, TypeAdapter
from tests.contract.serving import serving
from tests.shared.clocks import ManualClock
from zendesk import models

from backoffice_customer.backends.zendesk import ZENDESK, HelpCenter, Zendesk, zendesk_sandbox
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN, AGENT_EMAIL, API_TOKEN, SUBDOMAIN
from backoffice_customer.models import Contact, PreferenceChanges, Ref
from backoffice_customer.ports import ArticleQuery, CommentPage, Reply, Span, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.company import Ticket as CompanyTicket
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox

pytestmark = pytest.mark.anyio

URL = "https://acme.zendesk.com"
DRAFT = TicketDraft(
    name="Ada Lovelace",
    email="ada@engine.example",
    subject="Printer on fire",
    body="There is <smoke>.",
    priority="urgent",
    tags=("printer", "smoke"),
    public=True,
)
LONG_AGO, PRESENT = datetime(2026, 11, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
CHANGE = TicketChange(
    status="on_hold",
    priority="urgent",
    assignee="priya@northwind.example",
    add_tags=("vip",),
    note="Asked the carrier.",
)
REPLY = Reply("Your parcel is on its way.", version="", status_after="pending")

zenpy: Any = importlib.import_module("zenpy")  # it has no types
zenpy_objects: Any = importlib.import_module("zenpy.lib.api_objects")
zenpy_errors: Any = importlib.import_module("zenpy.lib.exception")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=30, today=datetime(2026, 11, 22, tzinfo=UTC))


# ------------------------------------------------------------------------------------------- Zendesk's own models


@dataclass(frozen=True)
class Operation:
    """One operation of the OpenAPI file: its parameters, its body and its answer. Extra: what only the prose documents."""

    method: str
    path: str
    answer: Any
    parameters: Any = None
    body: Any = None
    extra: frozenset[str] = frozenset()


SIDELOAD, OFFSET = "include", frozenset({"page", "per_page"})
OPERATIONS = [
    Operation(
        "GET",
        "/search",
        models.SearchResponse,
        models.ListSearchResultsRequest,
        extra=frozenset({SIDELOAD, "filter[type]"}),
    ),
    Operation("GET", "/search/count", models.SearchCountResponse, models.CountSearchResultsRequest),
    Operation("GET", "/users/search", models.UsersResponse, models.SearchUsersRequest, extra=OFFSET | {SIDELOAD}),
    Operation(
        "GET", "/users/show_many", models.UsersResponse, models.ShowManyUsersRequest, extra=frozenset({SIDELOAD})
    ),
    Operation("GET", r"/users/(me|\d+)", models.UserResponse),
    Operation("PUT", r"/users/\d+", models.UserResponse, body=models.UserRequest),
    Operation("POST", "/users/create_or_update", models.UserResponse, body=models.UserRequest),
    Operation("GET", "/locales", models.LocalesResponse),
    Operation("GET", "/tickets/show_many", models.TicketsResponse, models.TicketsShowManyRequest),
    Operation("POST", "/tickets", models.TicketResponse, body=models.TicketCreateRequest),
    Operation("GET", r"/tickets/\d+", models.TicketResponse, extra=frozenset({SIDELOAD})),
    Operation("PUT", r"/tickets/\d+", models.TicketUpdateResponse, body=models.TicketUpdateRequest),
    Operation("GET", r"/tickets/\d+/comments", models.TicketCommentsResponse, models.ListTicketCommentsRequest),
    Operation("GET", r"/tickets/\d+/audits", models.TicketAuditsResponseNoneCursor, models.ListAuditsForTicketRequest),
]

# https://developer.zendesk.com/api-reference/help_center/help-center-api/articles/#json-format and …/search/, …/sections/
ARTICLE = frozenset(
    [
        "author_id",
        "body",
        "comments_disabled",
        "content_tag_ids",
        "created_at",
        "draft",
        "edited_at",
        "html_url",
        "id",
        "label_names",
        "locale",
        "name",
        "outdated",
        "outdated_locales",
        "permission_group_id",
        "position",
        "promoted",
        "section_id",
        "source_locale",
        "title",
        "updated_at",
        "url",
        "user_segment_id",
        "user_segment_ids",
        "vote_count",
        "vote_sum",
    ]
)
FOUND_ARTICLE = ARTICLE | {"result_type", "snippet"}
SECTION = frozenset(
    [
        "category_id",
        "created_at",
        "description",
        "html_url",
        "id",
        "locale",
        "name",
        "outdated",
        "parent_section_id",
        "position",
        "sorting",
        "source_locale",
        "theme_template",
        "updated_at",
        "url",
    ]
)


@dataclass
class Recorded(httpx.AsyncBaseTransport):
    """Passes requests on, and keeps them with their answers."""

    inner: httpx.AsyncBaseTransport
    exchanges: list[tuple[httpx.Request, httpx.Response]] = field(default_factory=list[Any])

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        await response.aread()
        self.exchanges.append((request, response))
        return response


def operation(request: httpx.Request) -> Operation:
    path = request.url.path.removeprefix("/api/v2").removesuffix(".json")
    return next(o for o in OPERATIONS if o.method == request.method and re.fullmatch(o.path, path))


def check(request: httpx.Request, response: httpx.Response) -> None:
    """The request is one of the OpenAPI file, and the answer what it promises, to the last type."""
    asked = operation(request)
    parameters = dict(request.url.params)
    if asked.parameters is not None:
        known = {info.alias or name for name, info in asked.parameters.model_fields.items()}
        assert set(parameters) <= known | asked.extra
        in_path = {"ticket_id": 1} if "ticket_id" in asked.parameters.model_fields else {}
        asked.parameters.model_validate({**in_path, **parameters})
    else:
        assert set(parameters) <= asked.extra
    if asked.body is not None:
        TypeAdapter(asked.body).validate_json(request.content, strict=True)
    assert response.is_success
    TypeAdapter(asked.answer).validate_json(response.content, strict=True)
    check_records(response.json())


def check_records(wire: dict[str, Any]) -> None:
    """Every record, also side-loaded and found ones, has no field that Zendesk's has not."""
    results: list[dict[str, Any]] = wire.get("results", [])
    # Side-loaded service levels are in no file: https://developer.zendesk.com/documentation/ticketing/using-the-zendesk-api/side_loading/
    found = [{name: row[name] for name in row if name not in ("result_type", "slas")} for row in results]
    tickets = [row for row in found if "requester_id" in row]
    users = [row for row in found if "requester_id" not in row]
    kinds: list[tuple[type[BaseModel], list[Any]]] = [
        (models.TicketObject, [*wire.get("tickets", []), *tickets, *present(wire, "ticket")]),
        (models.UserObjectUsers, [*wire.get("users", []), *users, *present(wire, "user")]),
        (models.TicketCommentObject, wire.get("comments", [])),
        (models.AttachmentObject, [file for comment in wire.get("comments", []) for file in comment["attachments"]]),
        (models.AuditObject, [*wire.get("audits", []), *present(wire, "audit")]),
        (models.LocaleObject, wire.get("locales", [])),
        (models.OrganizationObject, wire.get("organizations", [])),
    ]
    for kind, rows in kinds:
        for row in rows:
            kind.model_validate_json(json.dumps(row), strict=True)
            assert set(row) <= set(kind.model_fields)


def present(wire: dict[str, Any], name: str) -> list[Any]:
    return [wire[name]] if name in wire else []


async def test_requests_of_the_adapter_and_their_answers_are_as_zendesk_specifies(company: Company) -> None:
    sandbox = helpdesk(company)
    wire = Recorded(InProcess(sandbox))
    zendesk = adapter(sandbox, wire)
    person, who = company.people[KEY_ACCOUNT], Contact(ref=Ref("zendesk", "user", "200003"), name="")
    await zendesk.contacts(["200001", "200003"])
    await zendesk.contacts_by_email([person.email, "nobody@mail.example"])
    await zendesk.search_contacts("garcia", 10)
    await zendesk.events(
        [who], frozenset({"ticket"}), Span(since=company.tickets[0].created_at, until=company.today), "2", 20
    )
    everything = TicketQuery(
        text="order",
        emails=(person.email,),
        statuses=("open", "pending"),
        priorities=("high", "normal"),
        assignee=AGENT_EMAIL,
        updated_since=company.tickets[0].created_at,
        sort="created",
    )
    await zendesk.search_tickets(everything, None, 50)
    await zendesk.search_tickets(TicketQuery(), None, 50)
    await zendesk.count_open_tickets(who)
    page = (await zendesk.ticket("10001", CommentPage(limit=1))).page
    await zendesk.ticket("10001", CommentPage(cursor=page.next_cursor, limit=1))
    await zendesk.create_ticket(DRAFT, "key-12345678")
    ticket = opened(company)
    after = await zendesk.update_ticket(native(ticket), CHANGE, "key-12345678")
    await zendesk.reply(native(ticket), replace(REPLY, version=after.version), "key-12345678")
    with attempting(LONG_AGO):
        await zendesk.reply(native(ticket), replace(REPLY, version=after.version), "key-12345678")
    await zendesk.change_preferences(who, PreferenceChanges(language="ja"), "asked")
    token, *exchanges = wire.exchanges
    assert token[0].url.path == "/oauth/tokens"
    assert {operation(request).path for request, _ in exchanges} == {
        r"/tickets/\d+",
        r"/tickets/\d+/audits",
        r"/tickets/\d+/comments",
        r"/users/\d+",
        "/locales",
        "/search",
        "/search/count",
        "/tickets",
        "/users/search",
        "/users/show_many",
    }
    for request, response in exchanges:
        check(request, response)


async def test_a_draft_has_no_field_that_zendesk_does_not_know(company: Company) -> None:
    sandbox = helpdesk(company)
    wire = Recorded(InProcess(sandbox))
    await adapter(sandbox, wire).create_ticket(DRAFT, "key-12345678")
    ticket = json.loads(wire.exchanges[-1][0].content)["ticket"]
    # The file leaves `requester` out; it is in the prose:
    # https://developer.zendesk.com/documentation/ticketing/managing-tickets/creating-and-updating-tickets/
    assert set(ticket) - set(models.TicketCreateInput.model_fields) == {"requester"}
    assert set(ticket["comment"]) <= set(models.TicketCommentObjectInput.model_fields)


async def test_what_is_written_to_a_ticket_has_no_field_that_zendesk_does_not_know(company: Company) -> None:
    sandbox = helpdesk(company)
    wire = Recorded(InProcess(sandbox))
    zendesk, ticket = adapter(sandbox, wire), opened(company)
    after = await zendesk.update_ticket(native(ticket), CHANGE, "key-12345678")
    await zendesk.reply(native(ticket), replace(REPLY, version=after.version), "key-12345678")
    written = [json.loads(request.content)["ticket"] for request, _ in wire.exchanges if request.method == "PUT"]
    # The file leaves `metadata` out; it is in the prose, beside what the `comment` may have:
    # https://developer.zendesk.com/documentation/ticketing/managing-tickets/creating-and-updating-tickets/#setting-metadata
    for ticket in written:
        assert set(ticket) - set(models.TicketUpdateInput.model_fields) == {"metadata"}
        assert set(ticket["comment"]) <= set(models.TicketCommentObjectInput.model_fields)
    assert len(written) == 2


async def test_the_help_center_answers_with_the_fields_that_zendesk_lists(company: Company) -> None:
    sandbox = helpdesk(company)
    wire = Recorded(InProcess(sandbox))
    help_center = HelpCenter(connection(sandbox, wire))
    since = datetime(2020, 1, 1, tzinfo=UTC)
    await help_center.search_articles(ArticleQuery(text="return", space="Returns and refunds", updated_since=since), 5)
    await help_center.article("390001")
    _, sections, search, article = wire.exchanges
    assert dict(search[0].url.params) == {
        "query": "return",
        "page": "1",
        "per_page": "10",
        "section": "380002",
        "updated_after": "2019-12-31",
    }
    assert {frozenset(row) for row in sections[1].json()["sections"]} == {SECTION}
    assert {frozenset(row) for row in search[1].json()["results"]} == {FOUND_ARTICLE}
    assert frozenset(article[1].json()["article"]) == ARTICLE
    async with as_agent(wire) as http:
        for query in ("query=zip&page=0", "query=zip&updated_after=yesterday", ""):
            assert (await http.get(f"/api/v2/help_center/articles/search?{query}")).status_code == 400


async def test_what_the_adapter_does_not_use_is_answered_as_zendesk_specifies(company: Company) -> None:
    wire = Recorded(InProcess(helpdesk(company)))
    closed = next(ticket for ticket in company.tickets if ticket.status == "closed")
    async with as_agent(wire) as http:
        for suffix in ("", ".json"):
            for path in (f"users/me{suffix}", f"users/200001{suffix}", f"tickets/show_many{suffix}?ids=10001,10002"):
                await http.get(f"/api/v2/{path}")
            await http.post(
                f"/api/v2/users/create_or_update{suffix}", json={"user": {"name": "Ada", "email": DRAFT.email}}
            )
            await http.get(f"/api/v2/search{suffix}", params={"query": "garcia", "per_page": 10})
            await http.get(f"/api/v2/tickets/10001/comments{suffix}")
            await http.put(
                f"/api/v2/tickets/10001{suffix}",
                json={"ticket": {"status": "hold", "comment": {"body": "Wait.", "public": False}, "tags": ["x"]}},
            )
            assert (await http.get(f"/api/v2/tickets/0{suffix}")).json()["error"] == "RecordNotFound"
            assert (await http.get(f"/api/v2/nothing{suffix}")).json()["error"] == "InvalidEndpoint"
        refused = await http.put(f"/api/v2/tickets/{10_001 + closed.number}", json={"ticket": {"status": "open"}})
        assert (refused.status_code, refused.json()["error"]) == (422, "RecordInvalid")
        stale = {"safe_update": True, "updated_stamp": "2001-01-01T00:00:00Z", "status": "open"}
        assert (await http.put("/api/v2/tickets/10001", json={"ticket": stale})).status_code == 409
        beyond = await http.get("/api/v2/search", params={"query": "type:ticket", "page": 11})
        assert (beyond.status_code, beyond.json()["error"]) == (422, "invalid")
    answered = [(request, response) for request, response in wire.exchanges if response.is_success]
    assert len(answered) == 14
    for request, response in answered:
        check(request, response)


# ----------------------------------------------------------------------------------------------------- its client


@pytest.fixture
def sandbox(company: Company) -> VendorSandbox:
    return helpdesk(company)


@pytest.fixture
def client(sandbox: VendorSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """zenpy, as its environment variables point it to another host than Zendesk's."""
    with serving(sandbox) as served:
        monkeypatch.setenv("ZENPY_FORCE_SCHEME", "http")
        monkeypatch.setenv("ZENPY_FORCE_NETLOC", served.url.removeprefix("http://"))
        yield zenpy.Zenpy(subdomain=SUBDOMAIN, email=AGENT_EMAIL, token=API_TOKEN, disable_cache=True)


def test_zenpy_creates_and_reads_a_ticket(client: Any, company: Company) -> None:
    ticket = created_by_zenpy(client)
    assert ticket.id == 10_001 + len(company.tickets)
    got = client.tickets(id=ticket.id)
    assert (got.subject, got.status, got.priority, got.tags) == (DRAFT.subject, "new", "urgent", list(DRAFT.tags))
    assert (got.requester.name, got.submitter.email) == (DRAFT.name, AGENT_EMAIL)
    assert [(c.author.name, c.body, c.public) for c in client.tickets.comments(ticket=ticket.id)] == [
        (company.agents[0].name, DRAFT.body, True)
    ]


def test_zenpy_searches_page_by_page(client: Any, company: Company) -> None:
    person = company.people[KEY_ACCOUNT]
    mine = company.tickets_of[KEY_ACCOUNT]
    got = client.search(type="ticket", requester=person.email, sort_by="created_at", sort_order="asc")
    assert [ticket.id for ticket in got] == [
        10_001 + ticket.number for ticket in sorted(mine, key=lambda ticket: (ticket.created_at, ticket.number))
    ]
    unsolved = client.search(type="ticket", requester=person.email, status_less_than="solved")
    assert unsolved.count == sum(ticket.status in ("new", "open", "pending") for ticket in mine)
    assert [user.email for user in client.users.search(query=person.email)] == [person.email]
    assert [user.id for user in client.users(ids=[200_001, 200_003])] == [200_001, 200_003]


def test_zenpy_updates_a_ticket(client: Any, company: Company) -> None:
    ticket = client.tickets(id=10_001 + next(t.number for t in company.tickets if t.status == "open"))
    ticket.status, ticket.priority = "pending", "low"
    ticket.comment = zenpy_objects.Comment(body="Asked the carrier.", public=False)
    client.tickets.update(ticket)
    got = client.tickets(id=ticket.id)
    assert (got.status, got.priority) == ("pending", "low")
    assert [c.body for c in client.tickets.comments(ticket=ticket.id)][-1] == "Asked the carrier."


def test_zenpy_is_told_that_somebody_else_was_faster(client: Any, company: Company) -> None:
    ticket = client.tickets(id=int(native(opened(company))))
    client.tickets.update(zenpy_objects.Ticket(id=ticket.id, status="hold"))
    late = zenpy_objects.Ticket(id=ticket.id, status="open", safe_update=True, updated_stamp=ticket.updated_at)
    with pytest.raises(zenpy_errors.APIException, match="UpdateConflict"):
        client.tickets.update(late)


def test_zenpy_searches_and_reads_articles(client: Any, company: Company) -> None:
    [found] = client.help_center.articles.search("refund arrive")
    assert (found.id, found.title, found.snippet.startswith("When will my <em>refund</em>")) == (
        390_003,
        "When will my refund arrive?",
        False,
    )
    article = client.help_center.articles(id=found.id)
    assert (article.body, article.section.name) == (company.articles[2].html, "Returns and refunds")
    sections = {section.name for section in client.help_center.sections()}
    assert sections == {article.space for article in company.articles if article.audience == "public"}


def test_zenpy_reads_the_audits_and_files_of_a_ticket(client: Any, company: Company) -> None:
    ticket = next(t for t in company.tickets if t.number % 4 == 0)
    audits = list(client.tickets.audits(ticket=int(native(ticket))))
    comments = list(client.tickets.comments(ticket=int(native(ticket))))
    assert [audit.events[0]["id"] for audit in audits] == [comment.id for comment in comments]
    assert [attachment.file_name for attachment in comments[0].attachments] == ["photo.jpg"]


def test_zenpy_is_told_what_is_not_there(client: Any) -> None:
    with pytest.raises(zenpy_errors.RecordNotFoundException):
        client.tickets(id=1)


async def test_zenpy_and_the_adapter_open_the_same_ticket(
    client: Any, sandbox: VendorSandbox, company: Company
) -> None:
    by_zenpy = created_by_zenpy(client)
    other = helpdesk(company)
    by_us = await adapter(other, InProcess(other)).create_ticket(DRAFT, "key-12345678")
    assert by_us.ticket_id == f"zendesk:ticket:{by_zenpy.id}"
    assert await state(sandbox, by_zenpy.id) == await state(other, by_zenpy.id)


async def test_zenpy_and_the_adapter_change_a_ticket_into_the_same(
    client: Any, sandbox: VendorSandbox, company: Company
) -> None:
    ticket, other = opened(company), helpdesk(company)
    await adapter(other, InProcess(other)).update_ticket(native(ticket), CHANGE, "key-12345678")
    theirs = client.tickets(id=int(native(ticket)))
    theirs.status, theirs.priority, theirs.assignee_id = "hold", "urgent", 900_003
    theirs.tags = [*theirs.tags, "vip"]
    theirs.comment = zenpy_objects.Comment(body="Asked the carrier.", public=False)
    theirs.metadata = {"backoffice_update": "key-12345678"}
    theirs.safe_update, theirs.updated_stamp = True, theirs.updated_at
    client.tickets.update(theirs)
    assert await state(sandbox, theirs.id) == await state(other, theirs.id)


async def test_zenpy_and_the_adapter_reply_the_same(client: Any, sandbox: VendorSandbox, company: Company) -> None:
    ticket, other = opened(company), helpdesk(company)
    theirs = client.tickets(id=int(native(ticket)))
    reply = replace(REPLY, version=theirs.updated_at)
    sent = (await adapter(other, InProcess(other)).reply(native(ticket), reply, "key-12345678")).value
    wanted = zenpy_objects.Ticket(
        id=theirs.id,
        status="pending",
        comment=zenpy_objects.Comment(body=REPLY.body, public=True),
        metadata={"backoffice_reply": "key-12345678"},
        safe_update=True,
        updated_stamp=theirs.updated_at,
    )
    by_zenpy = client.tickets.update(wanted)
    assert sent.message_id == str(by_zenpy.audit.events[0]["id"])
    assert await state(sandbox, theirs.id) == await state(other, theirs.id)


async def test_zenpy_and_the_adapter_set_the_same_language(
    client: Any, sandbox: VendorSandbox, company: Company
) -> None:
    other, who = helpdesk(company), Contact(ref=Ref("zendesk", "user", "200003"), name="")
    before = client.users(id=200_003)
    language = "ja" if before.locale != "ja" else "de"
    await adapter(other, InProcess(other)).change_preferences(who, PreferenceChanges(language=language), "asked")
    before.locale = language
    client.users.update(before)
    assert client.users(id=200_003).locale == language
    paths = ("users/200003", f"users/search?query={company.people[KEY_ACCOUNT].email}")
    assert await answers(sandbox, *paths) == await answers(other, *paths)


def helpdesk(company: Company) -> VendorSandbox:
    """Always of the same time, so that what is written to one can be compared with what is written to another."""
    return zendesk_sandbox(company, present=lambda: PRESENT)


def created_by_zenpy(client: Any) -> Any:
    wanted = zenpy_objects.Ticket(
        subject=DRAFT.subject,
        comment=zenpy_objects.Comment(body=DRAFT.body, public=DRAFT.public),
        requester=zenpy_objects.User(name=DRAFT.name, email=DRAFT.email),
        priority=DRAFT.priority,
        tags=list(DRAFT.tags),
    )
    return client.tickets.create(wanted).ticket


async def state(sandbox: VendorSandbox, ticket: int) -> list[Any]:
    paths = (f"tickets/{ticket}?include=users", f"tickets/{ticket}/comments", f"tickets/{ticket}/audits")
    return await answers(sandbox, *paths, "search?query=type:ticket printer", f"search?query={ticket}")


async def answers(sandbox: VendorSandbox, *paths: str) -> list[Any]:
    async with as_agent(InProcess(sandbox)) as http:
        return [(await http.get(f"/api/v2/{path}")).json() for path in paths]


def opened(company: Company) -> CompanyTicket:
    return next(ticket for ticket in company.tickets if ticket.status == "open")


def native(ticket: CompanyTicket) -> str:
    return str(10_001 + ticket.number)


def as_agent(wire: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=wire, base_url=URL, headers={"Authorization": f"Bearer {ACCESS_TOKEN}"})


def adapter(sandbox: VendorSandbox, wire: httpx.AsyncBaseTransport) -> Zendesk:
    return Zendesk(connection(sandbox, wire))


def connection(sandbox: VendorSandbox, wire: httpx.AsyncBaseTransport) -> BackendClient:
    secrets = EnvironmentCredentials({f"zendesk_{name}": value for name, value in sandbox.credentials.items()})
    return connect(ZENDESK, wire, secrets, base_url=URL, clock=ManualClock())
