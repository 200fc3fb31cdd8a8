"""HubSpot's sandbox and our requests, held against the vendor: its Python client, and its OpenAPI files."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncGenerator, Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.contract.openapi import OpenApi, spec_file
from tests.contract.serving import Exchange, Served, serving
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.hubspot import HUBSPOT, HubSpot, hubspot_sandbox
from backoffice_customer.backends.hubspot.sandbox import TOKEN
from backoffice_customer.models import EventKind
from backoffice_customer.ports import Span
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.errors import BackendUnavailable, PermissionDenied, RateLimited
from backoffice_shared.http.client import connect
from backoffice_shared.http.network import wire
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults, VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
OURS, THEIRS = "/crm/objects/2026-09", "/crm/v3/objects"
GONE = "999999"
NOTES: frozenset[EventKind] = frozenset({"note"})
OWNERS = "/crm/owners/2026-03"
PROPERTIES = ["firstname", "lastname", "email", "company", "hs_email_optout"]


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


@pytest.fixture
def sandbox(company: Company) -> VendorSandbox:
    return hubspot_sandbox(company)


@pytest.fixture
def served(sandbox: VendorSandbox) -> Iterator[Served]:
    with serving(sandbox) as served:
        yield served


@pytest.fixture
async def hubspot(served: Served) -> AsyncGenerator[HubSpot]:
    http = adapter(served, TOKEN)
    yield HubSpot(http)
    await http.aclose()


def adapter(served: Served, token: str) -> Any:
    credentials = EnvironmentCredentials({"hubspot_access_token": token})
    return connect(HUBSPOT, wire(), credentials, base_url=served.url, clock=ManualClock())


def native(person: int) -> str:
    return str(100_001 + person)


# --------------------------------------------------------------------------------------- the vendor's own client


@pytest.fixture
def client(served: Served) -> Any:
    """`hubspot-api-client`, pointed at the sandbox."""
    return vendors_client(served, TOKEN)


def vendors_client(served: Served, token: str) -> Any:
    return importlib.import_module("hubspot").Client.create(access_token=token, host=served.url)


def search(kind: str = "contacts", **fields: Any) -> Any:
    package = "hubspot.crm.objects.notes" if kind == "notes" else "hubspot.crm.contacts"
    everything: dict[str, Any] = {"filter_groups": [], "sorts": [], "properties": PROPERTIES, "limit": 100}
    return importlib.import_module(package).PublicObjectSearchRequest(**(everything | {"after": "0"} | fields))


def batch(ids: list[str], **fields: Any) -> Any:
    models: Any = importlib.import_module("hubspot.crm.contacts")
    inputs = [models.SimplePublicObjectId(id=native) for native in ids]
    everything: dict[str, Any] = {"inputs": inputs, "properties": PROPERTIES, "properties_with_history": []}
    return models.BatchReadInputSimplePublicObjectId(**everything, **fields)


def condition(name: str, operator: str, value: str) -> dict[str, Any]:
    return {"filters": [{"propertyName": name, "operator": operator, "value": value}]}


async def test_the_vendors_client_finds_whom_our_adapter_finds(client: Any, hubspot: HubSpot) -> None:
    theirs = client.crm.contacts.search_api.do_search(search(query="maria garcia"))
    ours = await hubspot.search_contacts("maria garcia", 100)
    assert theirs.total == len(ours) >= 2
    assert [(row.id, row.properties["email"]) for row in theirs.results] == [(c.ref.native, c.emails[0]) for c in ours]


async def test_the_vendors_client_reads_the_people_that_our_adapter_reads(client: Any, hubspot: HubSpot) -> None:
    ids = [native(number) for number in range(5)]
    theirs = client.crm.contacts.batch_api.read(batch(ids))
    ours = await hubspot.contacts(ids)
    assert theirs.status == "COMPLETE"
    assert [(row.id, row.properties["email"], row.properties["company"], row.updated_at) for row in theirs.results] == [
        (c.ref.native, c.emails[0], c.company, c.updated_at) for c in ours
    ]
    assert [row.properties["hs_email_optout"] == "false" for row in theirs.results] == [c.email_marketing for c in ours]


async def test_a_batch_with_unknown_ids_gives_the_others_and_says_which_are_missing(
    client: Any, hubspot: HubSpot, served: Served
) -> None:
    ids = [native(1), GONE, native(3)]
    theirs = client.crm.contacts.batch_api.read(batch(ids))
    assert [row.id for row in theirs.results] == [c.ref.native for c in await hubspot.contacts(ids)]
    assert [(e.category, e.context) for e in theirs.errors] == [("OBJECT_NOT_FOUND", {"ids": [GONE]})]
    reads = [exchange.status for exchange in served.exchanges if exchange.path != OWNERS]
    assert reads == [207, 200]


async def test_both_read_by_address(client: Any, hubspot: HubSpot, company: Company) -> None:
    emails = [company.people[1].email, "nobody@nowhere.example", company.people[2].email.upper()]
    theirs = client.crm.contacts.batch_api.read(batch(emails, id_property="email"))
    assert [row.id for row in theirs.results] == [native(1), native(2)]
    assert [c.ref.native for c in await hubspot.contacts_by_email(emails)] == [native(1), native(2)]


def test_the_vendors_client_gets_one_contact_with_the_properties_it_names(client: Any, company: Company) -> None:
    person = company.people[1]
    found = client.crm.contacts.basic_api.get_by_id(native(1), properties=["email", "hs_language"])
    assert (found.id, found.archived, found.created_at) == (native(1), False, person.since)
    assert found.properties.keys() == {"email", "hs_language", "hs_object_id", "createdate", "lastmodifieddate"}
    assert (found.properties["email"], found.properties["hs_language"]) == (person.email, person.language)


def test_the_vendors_client_gets_names_and_address_when_it_names_no_property(client: Any, company: Company) -> None:
    person = company.people[1]
    found = client.crm.contacts.basic_api.get_by_id(person.email, id_property="email")
    named = {name: found.properties[name] for name in ("hs_object_id", "firstname", "lastname", "email")}
    assert named == {
        "hs_object_id": native(1),
        "firstname": person.first_name,
        "lastname": person.last_name,
        "email": person.email,
    }


def test_the_vendors_client_gets_none_for_a_property_without_a_value(client: Any) -> None:
    found = client.crm.contacts.basic_api.get_by_id(native(1), properties=["mobilephone"])
    assert found.properties["mobilephone"] is None


@pytest.mark.parametrize("wanted", [{"contact_id": GONE}, {"contact_id": "no@one.example", "id_property": "email"}])
def test_the_vendors_client_is_told_that_a_contact_does_not_exist(client: Any, wanted: dict[str, str]) -> None:
    with pytest.raises(exceptions().NotFoundException) as refused:
        client.crm.contacts.basic_api.get_by_id(**wanted)
    assert json.loads(refused.value.body)["category"] == "OBJECT_NOT_FOUND"


def test_the_vendors_client_pages_through_everybody(client: Any, company: Company) -> None:
    seen: list[str] = []
    after = "0"
    while after:
        page = client.crm.contacts.search_api.do_search(search(limit=7, after=after))
        seen += [row.properties["email"] for row in page.results]
        assert page.total == len([p for p in company.people if "crm" in p.systems])
        after = page.paging.next.after if page.paging else ""
    assert sorted(seen) == sorted(person.email for person in company.people if "crm" in person.systems)


def test_the_vendors_client_filters_and_sorts(client: Any, company: Company) -> None:
    gold = sorted((p for p in company.people if "crm" in p.systems and p.tier == "gold"), key=lambda p: p.since)
    found = client.crm.contacts.search_api.do_search(
        search(
            filter_groups=[condition("customer_tier", "EQ", "gold")],
            sorts=[{"propertyName": "createdate", "direction": "DESCENDING"}],
        )
    )
    assert [row.id for row in found.results] == [native(person.number) for person in reversed(gold)]


async def test_the_vendors_client_finds_the_notes_that_our_adapter_finds(
    client: Any, hubspot: HubSpot, company: Company
) -> None:
    person = next(p for p in company.people if len(company.notes_of.get(p.number, [])) == 2)
    wanted = search(
        "notes",
        filter_groups=[condition("associations.contact", "EQ", native(person.number))],
        sorts=[{"propertyName": "hs_timestamp", "direction": "DESCENDING"}],
        properties=["hs_note_body"],
    )
    theirs = client.crm.objects.notes.search_api.do_search(wanted)
    ours = await hubspot.events(await hubspot.contacts([native(person.number)]), NOTES, Span(), None, 10)
    assert [(f"hubspot:note:{row.id}", row.properties["hs_note_body"]) for row in theirs.results] == [
        (event.id, f"<div><p>{event.summary}</p></div>") for event in ours.items
    ]
    assert theirs.total == ours.total == 2


async def test_a_wrong_token_is_refused_to_both(served: Served, sandbox: VendorSandbox) -> None:
    with pytest.raises(exceptions().UnauthorizedException) as refused:
        vendors_client(served, "wrong").crm.contacts.basic_api.get_by_id(native(1))
    assert json.loads(refused.value.body)["category"] == "INVALID_AUTHENTICATION"
    http = adapter(served, "wrong")
    with pytest.raises(PermissionDenied):
        await HubSpot(http).contacts([native(1)])
    await http.aclose()


def test_the_vendors_client_understands_that_it_is_throttled(client: Any, sandbox: VendorSandbox) -> None:
    sandbox.faults = Faults(throttle=1)
    with pytest.raises(exceptions().ApiException) as refused:
        client.crm.contacts.basic_api.get_by_id(native(1))
    assert (refused.value.status, json.loads(refused.value.body)["policyName"]) == (429, "TEN_SECONDLY_ROLLING")


def exceptions() -> Any:
    return importlib.import_module("hubspot.crm.contacts.exceptions")


# --------------------------------------------------------------------------------------- the vendor's OpenAPI files


def vendors_file(name: str) -> OpenApi:
    """One of HubSpot's files, with two mistakes in it put right.

    `sorts` are objects, not strings: strings are taken, and nothing is sorted (HubSpot/hubspot-api-python#236,
    HubSpot/hubspot-api-nodejs#14). A property without a value is null, which v3 does not say, and 2026-09 does.
    """
    document = spec_file(f"hubspot/{name}.json")
    schemas = document["components"]["schemas"]
    schemas["PublicObjectSearchRequest"]["properties"]["sorts"]["items"] = {
        "type": "object",
        "required": ["propertyName", "direction"],
        "properties": {"propertyName": {"type": "string"}, "direction": {"enum": ["ASCENDING", "DESCENDING"]}},
    }
    for record in ("SimplePublicObject", "SimplePublicObjectWithAssociations"):
        schemas[record]["properties"]["properties"]["additionalProperties"]["nullable"] = True
    return OpenApi(document)


@pytest.fixture(scope="module")
def contacts_file() -> OpenApi:
    return vendors_file("contacts_2026-09")


@pytest.fixture(scope="module")
def notes_file() -> OpenApi:
    return vendors_file("notes_2026-09")


@pytest.fixture(scope="module")
def contacts_v3_file() -> OpenApi:
    return vendors_file("contacts_v3")


def told(exchanges: list[Exchange]) -> set[tuple[str, int]]:
    return {(exchange.path, exchange.status) for exchange in exchanges}


async def test_all_that_we_ask_about_people_and_all_that_we_are_told_is_valid(
    contacts_file: OpenApi, hubspot: HubSpot, served: Served, company: Company
) -> None:
    everybody = [native(person.number) for person in company.people]
    for start in range(0, len(everybody), 20):
        await hubspot.contacts(everybody[start : start + 20])
    await hubspot.contacts([GONE, "no number", "9" * 400])
    await hubspot.contacts_by_email([company.people[0].email, "nobody@nowhere.example"])
    for text in ("maria", "", "nobody has this name", "x" * 4_000):
        await hubspot.search_contacts(text, 50)
    about_people = [exchange for exchange in served.exchanges if exchange.path != OWNERS]
    assert told(about_people) == {(f"{OURS}/contacts/batch/read", 200), (f"{OURS}/contacts/search", 200)}
    assert [problem for exchange in about_people for problem in contacts_file.problems(exchange)] == []


async def test_all_that_we_ask_about_notes_and_all_that_we_are_told_is_valid(
    notes_file: OpenApi, hubspot: HubSpot, served: Served
) -> None:
    who = await hubspot.contacts([native(number) for number in range(10)])
    served.exchanges.clear()
    page = await hubspot.events(who, NOTES, Span(), None, 2)
    await hubspot.events(who, NOTES, Span(), page.next, 2)
    await hubspot.events(who, NOTES, Span(since=datetime(2026, 1, 1, tzinfo=UTC), until=TODAY), None, 50)
    assert (told(served.exchanges), len(served.exchanges)) == ({(f"{OURS}/notes/search", 200)}, 3)
    assert [problem for exchange in served.exchanges for problem in notes_file.problems(exchange)] == []


async def test_all_that_the_vendors_client_asks_and_is_told_is_valid(
    contacts_v3_file: OpenApi, client: Any, served: Served, company: Company
) -> None:
    everybody = [native(person.number) for person in company.people if "crm" in person.systems]
    client.crm.contacts.search_api.do_search(search(query="maria"))
    client.crm.contacts.search_api.do_search(search(filter_groups=[condition("company", "CONTAINS_TOKEN", "alder")]))
    client.crm.contacts.batch_api.read(batch(everybody))
    client.crm.contacts.batch_api.read(batch([native(1), GONE]))
    client.crm.contacts.basic_api.get_by_id(native(1), properties=PROPERTIES)
    client.crm.contacts.basic_api.get_by_id(company.people[1].email, id_property="email", archived=False)
    with pytest.raises(exceptions().NotFoundException):
        client.crm.contacts.basic_api.get_by_id(GONE)
    assert [exchange.status for exchange in served.exchanges] == [200, 200, 200, 207, 200, 200, 404]
    assert [problem for exchange in served.exchanges for problem in contacts_v3_file.problems(exchange)] == []


@pytest.mark.parametrize(
    ("faults", "error", "status"),
    [(Faults(throttle=1), RateLimited, 429), (Faults(error=1), BackendUnavailable, 503)],
)
async def test_what_the_sandbox_says_when_it_fails_is_an_error_as_the_vendor_describes_them(
    contacts_file: OpenApi,
    hubspot: HubSpot,
    served: Served,
    sandbox: VendorSandbox,
    faults: Faults,
    error: type[Exception],
    status: int,
) -> None:
    await hubspot.contacts([native(2)])
    served.exchanges.clear()
    sandbox.faults = faults
    with pytest.raises(error):
        await hubspot.contacts([native(1)])
    assert told(served.exchanges) == {(f"{OURS}/contacts/batch/read", status)}
    assert [problem for exchange in served.exchanges for problem in contacts_file.problems(exchange)] == []


SEARCH: dict[str, Any] = {"filterGroups": [], "sorts": [], "properties": [], "limit": 10, "after": "0"}
WRONG_SEARCHES: list[Any] = [
    [],
    "contacts",
    7,
    {**SEARCH, "limit": "many"},
    {**SEARCH, "limit": 0},
    {**SEARCH, "limit": -1},
    {**SEARCH, "limit": 201},
    {**SEARCH, "limit": 1.5},
    {**SEARCH, "limit": "9" * 5_000},
    {**SEARCH, "after": "the first"},
    {**SEARCH, "after": ""},
    {**SEARCH, "after": {}},
    {**SEARCH, "after": "9991"},
    {**SEARCH, "query": "x" * 3_001},
    {**SEARCH, "filterGroups": [condition("email", "EQ", "a")] * 7},
    {**SEARCH, "filterGroups": [condition("email", "LIKE", "a")]},
    {**SEARCH, "filterGroups": [{"filters": [{"propertyName": "email"}]}]},
    {**SEARCH, "filterGroups": [{"filters": [{"operator": "EQ", "value": "a"}]}]},
    {**SEARCH, "filterGroups": [{"filters": ["email = a"]}]},
    {**SEARCH, "filterGroups": [condition("createdate", "BETWEEN", "0")]},
    {**SEARCH, "filterGroups": [condition("email", "IN", "a")]},
]
TOO_MANY: dict[str, Any] = {
    "inputs": [{"id": str(n)} for n in range(101)],
    "properties": [],
    "propertiesWithHistory": [],
}
WRONG_BATCHES: list[Any] = [TOO_MANY, {"inputs": [{}]}, {"inputs": ["1"]}, []]
REFUSED = [
    *((f"{kind}/search", json.dumps(wrong)) for kind in ("contacts", "notes") for wrong in WRONG_SEARCHES),
    *(("contacts/search", wrong) for wrong in ("", "{", '{"limit": 1', "\xff", "[" * 100_000)),
    *(("contacts/batch/read", json.dumps(wrong)) for wrong in WRONG_BATCHES),
]


@pytest.mark.parametrize("family", [OURS, THEIRS])
def test_what_the_vendor_would_not_take_is_refused_with_400_and_the_vendors_error(
    contacts_file: OpenApi,
    notes_file: OpenApi,
    contacts_v3_file: OpenApi,
    served: Served,
    family: str,
) -> None:
    for path, body in REFUSED:
        raw(served, "POST", f"{family}/{path}", content=body.encode("latin-1"))
    assert [e.body[:80] for e in served.exchanges if e.status != 400] == []
    for exchange in served.exchanges:
        if family == THEIRS and "notes" in exchange.path:
            continue  # its file is not among those we hold ourselves to
        file = contacts_v3_file if family == THEIRS else notes_file if "notes" in exchange.path else contacts_file
        assert file.of_answer(exchange) == []
        assert exchange.answered["category"] == "VALIDATION_ERROR"
        assert exchange.answered["errors"][0]["message"] == exchange.answered["message"]


@pytest.mark.parametrize("family", [OURS, THEIRS])
def test_a_missing_contact_a_missing_token_and_a_wrong_one_are_errors_as_the_vendor_describes_them(
    contacts_file: OpenApi, contacts_v3_file: OpenApi, served: Served, family: str
) -> None:
    file = contacts_file if family == OURS else contacts_v3_file
    raw(served, "GET", f"{family}/contacts/{GONE}")
    raw(served, "GET", f"{family}/contacts/{native(1)}", authorization="")
    raw(served, "GET", f"{family}/contacts/{native(1)}", authorization="Bearer wrong")
    raw(served, "GET", f"{family}/contacts/{native(1)}?properties=email,company&properties=phone")
    raw(served, "DELETE", f"{family}/contacts/{native(1)}")  # the sandbox is only read
    assert [exchange.status for exchange in served.exchanges] == [404, 401, 401, 200, 405]
    assert [problem for exchange in served.exchanges for problem in file.problems(exchange)] == []


def test_every_answer_says_what_is_left_of_the_limit(served: Served) -> None:
    answer = raw(served, "GET", f"{OURS}/contacts/{native(1)}")
    allowance = HUBSPOT.allowance(answer)
    assert allowance is not None
    assert (allowance.remaining, allowance.seconds) == (99, 10)


def raw(served: Served, method: str, path: str, **given: Any) -> httpx.Response:
    headers = {"Authorization": given.pop("authorization", f"Bearer {TOKEN}")}
    return httpx.request(method, served.url + path, headers=headers, trust_env=False, **given)


# ------------------------------------------------------------------------------- and that these checks see something

ROW: dict[str, Any] = {
    "id": "1",
    "properties": {},
    "createdAt": "2026-11-01T00:00:00Z",
    "updatedAt": "2026-11-01T00:00:00Z",
}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"path": "/crm/objects/2026-10/contacts/search"}, "there is no such operation"),
        ({"body": b""}, "a body is missing"),
        ({"body": b"{}"}, "body: 'limit' is a required property"),
        ({"body": json.dumps({**SEARCH, "qeury": "maria"}).encode()}, "'qeury' was unexpected"),
        ({"body": json.dumps({**SEARCH, "limit": "10"}).encode()}, "body.limit: '10' is not of type 'integer'"),
        ({"body": json.dumps({**SEARCH, "sorts": ["-email"]}).encode()}, "body.sorts[0]: '-email' is not of type"),
        ({"query": {"limit": ["10"]}}, "the query parameter limit is not known"),
        ({"answer": b"{}"}, "200: 'total' is a required property"),
        ({"answer": json.dumps({"total": 1, "results": [ROW]}).encode()}, "'archived' is a required property"),
        (
            {
                "answer": json.dumps(
                    {"total": 1, "results": [{**ROW, "archived": False, "createdAt": "today"}]}
                ).encode()
            },
            "200.results[0].createdAt: 'today' is not a 'date-time'",
        ),
        ({"status": 207}, "207: 'correlationId' is a required property"),
        (
            {"status": 429, "answer": b'{"category": "RATE_LIMITS", "message": "", "correlationId": "?"}'},
            "429.correlationId: '?' is not a 'uuid'",
        ),
    ],
)
def test_a_mistake_would_be_seen(contacts_file: OpenApi, given: dict[str, Any], problem: str) -> None:
    fields: dict[str, Any] = {
        "method": "POST",
        "path": f"{OURS}/contacts/search",
        "query": {},
        "body": json.dumps(SEARCH).encode(),
        "status": 200,
        "answer": b'{"total": 0, "results": []}',
    }
    assert contacts_file.problems(Exchange(**fields)) == []
    assert problem in "\n".join(contacts_file.problems(Exchange(**(fields | given))))
