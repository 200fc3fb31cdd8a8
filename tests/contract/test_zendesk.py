"""The sandbox is Zendesk to others too: to its community client zenpy, and to models generated from its OpenAPI file."""

from __future__ import annotations

import importlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn
from pydantic import BaseModel, TypeAdapter
from tests.shared.clocks import ManualClock
from zendesk import models

from backoffice_customer.backends.zendesk import ZENDESK, Zendesk, zendesk_sandbox
from backoffice_customer.backends.zendesk.sandbox import ACCESS_TOKEN, AGENT_EMAIL, API_TOKEN, SUBDOMAIN
from backoffice_customer.models import Contact, Ref
from backoffice_customer.ports import CommentPage, Span, TicketDraft, TicketQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
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
    Operation("POST", "/users/create_or_update", models.UserResponse, body=models.UserRequest),
    Operation("GET", "/tickets/show_many", models.TicketsResponse, models.TicketsShowManyRequest),
    Operation("POST", "/tickets", models.TicketResponse, body=models.TicketCreateRequest),
    Operation("GET", r"/tickets/\d+", models.TicketResponse, extra=frozenset({SIDELOAD})),
    Operation("PUT", r"/tickets/\d+", models.TicketUpdateResponse, body=models.TicketUpdateRequest),
    Operation("GET", r"/tickets/\d+/comments", models.TicketCommentsResponse, models.ListTicketCommentsRequest),
]


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
    found = [{name: row[name] for name in row if name != "result_type"} for row in results]
    tickets = [row for row in found if "requester_id" in row]
    users = [row for row in found if "requester_id" not in row]
    kinds: list[tuple[type[BaseModel], list[Any]]] = [
        (models.TicketObject, [*wire.get("tickets", []), *tickets, *present(wire, "ticket")]),
        (models.UserObjectUsers, [*wire.get("users", []), *users, *present(wire, "user")]),
        (models.TicketCommentObject, wire.get("comments", [])),
        (models.OrganizationObject, wire.get("organizations", [])),
    ]
    for kind, rows in kinds:
        for row in rows:
            kind.model_validate_json(json.dumps(row), strict=True)
            assert set(row) <= set(kind.model_fields)


def present(wire: dict[str, Any], name: str) -> list[Any]:
    return [wire[name]] if name in wire else []


async def test_requests_of_the_adapter_and_their_answers_are_as_zendesk_specifies(company: Company) -> None:
    sandbox = zendesk_sandbox(company)
    wire = Recorded(InProcess(sandbox))
    zendesk = adapter(sandbox, wire)
    person, who = company.people[KEY_ACCOUNT], Contact(ref=Ref("zendesk", "user", "200003"), name="")
    await zendesk.contacts(["200001", "200003"])
    await zendesk.contacts_by_email([person.email, "nobody@mail.example"])
    await zendesk.search_contacts("garcia", 10)
    await zendesk.events([who], Span(since=company.tickets[0].created_at, until=company.today), "2", 20)
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
    token, *exchanges = wire.exchanges
    assert token[0].url.path == "/oauth/tokens"
    assert {operation(request).path for request, _ in exchanges} == {
        r"/tickets/\d+",
        r"/tickets/\d+/comments",
        "/search",
        "/search/count",
        "/tickets",
        "/users/search",
        "/users/show_many",
    }
    for request, response in exchanges:
        check(request, response)


async def test_a_draft_has_no_field_that_zendesk_does_not_know(company: Company) -> None:
    sandbox = zendesk_sandbox(company)
    wire = Recorded(InProcess(sandbox))
    await adapter(sandbox, wire).create_ticket(DRAFT, "key-12345678")
    ticket = json.loads(wire.exchanges[-1][0].content)["ticket"]
    # The file leaves `requester` out; it is in the prose:
    # https://developer.zendesk.com/documentation/ticketing/managing-tickets/creating-and-updating-tickets/
    assert set(ticket) - set(models.TicketCreateInput.model_fields) == {"requester"}
    assert set(ticket["comment"]) <= set(models.TicketCommentObjectInput.model_fields)


async def test_what_the_adapter_does_not_use_is_answered_as_zendesk_specifies(company: Company) -> None:
    wire = Recorded(InProcess(zendesk_sandbox(company)))
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


class Served(uvicorn.Server):
    """Says when it is ready."""

    def __init__(self, sandbox: VendorSandbox) -> None:
        super().__init__(uvicorn.Config(sandbox, log_level="error", lifespan="off", ws="none"))
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@pytest.fixture
def sandbox(company: Company) -> VendorSandbox:
    return zendesk_sandbox(company)


@pytest.fixture
def client(sandbox: VendorSandbox, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """zenpy, as its environment variables point it to another host than Zendesk's."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = Served(sandbox)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    assert server.ready.wait(10)
    monkeypatch.setenv("ZENPY_FORCE_SCHEME", "http")
    monkeypatch.setenv("ZENPY_FORCE_NETLOC", f"127.0.0.1:{listening.getsockname()[1]}")
    yield zenpy.Zenpy(subdomain=SUBDOMAIN, email=AGENT_EMAIL, token=API_TOKEN, disable_cache=True)
    server.should_exit = True
    thread.join(10)


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


def test_zenpy_is_told_what_is_not_there(client: Any) -> None:
    with pytest.raises(zenpy_errors.RecordNotFoundException):
        client.tickets(id=1)


async def test_zenpy_and_the_adapter_leave_the_same_state(
    client: Any, sandbox: VendorSandbox, company: Company
) -> None:
    by_zenpy = created_by_zenpy(client)
    other = zendesk_sandbox(company)
    by_us = await adapter(other, InProcess(other)).create_ticket(DRAFT, "key-12345678")
    assert by_us.ticket_id == f"zendesk:ticket:{by_zenpy.id}"
    assert await state(sandbox, by_zenpy.id) == await state(other, by_zenpy.id)


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
    paths = (f"tickets/{ticket}?include=users", f"tickets/{ticket}/comments", "search?query=type:ticket printer")
    async with as_agent(InProcess(sandbox)) as http:
        return [(await http.get(f"/api/v2/{path}")).json() for path in paths]


def as_agent(wire: httpx.AsyncBaseTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=wire, base_url=URL, headers={"Authorization": f"Bearer {ACCESS_TOKEN}"})


def adapter(sandbox: VendorSandbox, wire: httpx.AsyncBaseTransport) -> Zendesk:
    secrets = EnvironmentCredentials({f"zendesk_{name}": value for name, value in sandbox.credentials.items()})
    return Zendesk(connect(ZENDESK, wire, secrets, base_url=URL, clock=ManualClock()))
