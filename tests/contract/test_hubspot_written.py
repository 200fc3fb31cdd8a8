"""What we write to HubSpot, held against the vendor: its Python client leaves the same state, its files agree."""

from __future__ import annotations

import importlib
import json
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from tests.contract.openapi import OpenApi, spec_file
from tests.contract.serving import Exchange, Served, serving
from tests.shared.clocks import ManualClock

from backoffice_customer.backends.hubspot import HUBSPOT, HubSpot, HubSpotTickets, hubspot_sandbox
from backoffice_customer.backends.hubspot.consent import MARKETING
from backoffice_customer.backends.hubspot.sandbox import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN, TOKEN
from backoffice_customer.models import Contact, EventKind, PreferenceChanges, Ticket
from backoffice_customer.ports import CommentPage, NoteDraft, Reply, Span, TicketChange, TicketDraft, TicketQuery
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.errors import Conflict, InvalidInput, NotFound
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.http.network import wire
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

pytestmark = pytest.mark.anyio

TODAY = datetime(2026, 11, 1, tzinfo=UTC)
KEY = "key-of-this-call"
CONSENT, THREADS = "/communication-preferences/v4", "/conversations/v3/conversations/threads"
ALL: frozenset[EventKind] = frozenset({"note", "email", "call", "meeting", "ticket"})
WHEN = ("updated_at", "created_at", "version", "sent_at", "at")


@dataclass
class Side:
    """One sandbox, with our adapter and the vendor's own client on it."""

    company: Company
    sandbox: VendorSandbox
    served: Served
    http: BackendClient
    client: Any

    @property
    def hubspot(self) -> HubSpot:
        return HubSpot(self.http)

    @property
    def tickets(self) -> HubSpotTickets:
        return HubSpotTickets(self.http)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=TODAY)


async def opened(served: Served, sandbox: VendorSandbox, company: Company) -> Side:
    credentials = EnvironmentCredentials({"hubspot_access_token": TOKEN})
    http = connect(HUBSPOT, wire(), credentials, base_url=served.url, options=sandbox.options, clock=ManualClock())
    client = importlib.import_module("hubspot").Client.create(access_token=TOKEN, host=served.url)
    return Side(company, sandbox, served, http, client)


@pytest.fixture
async def ours(company: Company) -> AsyncGenerator[Side]:
    sandbox = hubspot_sandbox(company)
    with serving(sandbox) as served:
        side = await opened(served, sandbox, company)
        yield side
        await side.http.aclose()


@pytest.fixture
async def theirs(company: Company) -> AsyncGenerator[Side]:
    sandbox = hubspot_sandbox(company)
    with serving(sandbox) as served:
        side = await opened(served, sandbox, company)
        yield side
        await side.http.aclose()


def native(person: int) -> str:
    return str(100_001 + person)


def timeless(wire: Any) -> Any:
    """All of it but the times, which differ between two sandboxes."""
    if fields := obj(wire):
        return {name: timeless(value) for name, value in fields.items() if name not in WHEN}
    return [timeless(entry) for entry in arr(wire)] or wire


async def state(side: Side, person: int) -> Any:
    """All that can be seen of somebody."""
    (who,) = await side.hubspot.contacts([native(person)])
    events = await side.hubspot.events([who], ALL, Span(), None, 50)
    rows = await side.tickets.search_tickets(TicketQuery(requesters=(native(person),)), None, 50)
    tickets = [await side.tickets.ticket(row.ticket_id.rpartition(":")[2], CommentPage(limit=50)) for row in rows.items]
    seen = [who, *events.items, *rows.items, *tickets]
    return [timeless(model.model_dump(mode="json")) for model in seen]


async def person(side: Side, number: int) -> Contact:
    (who,) = await side.hubspot.contacts([native(number)])
    return who


def created(package: str, properties: dict[str, str], to: str, kind: int) -> Any:
    models: Any = importlib.import_module(package)
    spec = models.AssociationSpec(association_category="HUBSPOT_DEFINED", association_type_id=kind)
    linked = models.PublicAssociationsForObject(to=models.PublicObjectId(id=to), types=[spec])
    return models.SimplePublicObjectInputForCreate(properties=properties, associations=[linked])


def changed(package: str, properties: dict[str, str]) -> Any:
    return importlib.import_module(package).SimplePublicObjectInput(properties=properties)


# ------------------------------------------------------------------------------------- the same state on both sides


async def test_both_add_the_same_note(ours: Side, theirs: Side) -> None:
    who = await person(ours, 1)
    await ours.hubspot.add_note(who, NoteDraft("Prefers <mornings>.\n\nReally."), KEY)
    properties = {
        "hs_note_body": "<p>Prefers &lt;mornings&gt;.</p><p>Really.</p>",
        "hs_timestamp": datetime.now(UTC).isoformat(),
    }
    theirs.client.crm.objects.notes.basic_api.create(created("hubspot.crm.objects.notes", properties, native(1), 202))
    assert await state(ours, 1) == await state(theirs, 1)
    assert (await state(ours, 1))[1]["summary"] == "Prefers <mornings>. Really."


async def test_both_change_the_language(ours: Side, theirs: Side) -> None:
    await ours.hubspot.change_preferences(await person(ours, 1), PreferenceChanges(language="fr"), "asked")
    theirs.client.crm.contacts.basic_api.update(native(1), changed("hubspot.crm.contacts", {"hs_language": "fr"}))
    assert await state(ours, 1) == await state(theirs, 1)


async def test_both_withdraw_consent(ours: Side, theirs: Side) -> None:
    number = next(p.number for p in ours.company.people if p.email_consent and "crm" in p.systems)
    who = await person(ours, number)
    await ours.hubspot.change_preferences(who, PreferenceChanges(email_marketing=False), "asked on the phone")
    models: Any = importlib.import_module("hubspot.communication_preferences")
    wanted = models.PublicUpdateSubscriptionStatusRequest(
        email_address=who.emails[0],
        subscription_id=str(MARKETING),
        legal_basis="CONSENT_WITH_NOTICE",
        legal_basis_explanation="asked on the phone",
    )
    theirs.client.communication_preferences.status_api.unsubscribe(wanted)
    assert await state(ours, number) == await state(theirs, number)
    assert (await person(theirs, number)).email_marketing is False
    statuses = [
        side.client.communication_preferences.status_api.get_email_status(who.emails[0]) for side in (ours, theirs)
    ]
    told = [
        [(row.id, row.status, row.legal_basis, row.legal_basis_explanation) for row in found.subscription_statuses]
        for found in statuses
    ]
    assert told[0] == told[1]
    assert told[0][0] == (str(MARKETING), "NOT_SUBSCRIBED", "CONSENT_WITH_NOTICE", "asked on the phone")


async def test_the_vendors_older_client_cannot_subscribe_who_opted_out_and_ours_can(ours: Side) -> None:
    number = next(p.number for p in ours.company.people if not p.email_consent and "crm" in p.systems)
    who = await person(ours, number)
    models: Any = importlib.import_module("hubspot.communication_preferences")
    wanted = models.PublicUpdateSubscriptionStatusRequest(
        email_address=who.emails[0], subscription_id=str(MARKETING), legal_basis="CONSENT_WITH_NOTICE"
    )
    with pytest.raises(importlib.import_module("hubspot.communication_preferences.exceptions").ApiException):
        ours.client.communication_preferences.status_api.subscribe(wanted)
    after = await ours.hubspot.change_preferences(who, PreferenceChanges(email_marketing=True), "signed a form")
    assert after.email_marketing is True
    ours.client.communication_preferences.status_api.subscribe(wanted)


async def test_both_open_the_same_ticket(ours: Side, theirs: Side) -> None:
    draft = TicketDraft("Zip broke", "It does not <close>.", "high", (), public=False, requester=native(1))
    await ours.tickets.create_ticket(draft, KEY)
    properties = {
        "subject": "Zip broke",
        "content": "It does not <close>.",
        "hs_pipeline": "0",
        "hs_pipeline_stage": "1",
        "hs_ticket_priority": "HIGH",
    }
    theirs.client.crm.tickets.basic_api.create(created("hubspot.crm.tickets", properties, native(1), 16))
    assert await state(ours, 1) == await state(theirs, 1)


async def test_both_change_a_ticket_alike(ours: Side, theirs: Side) -> None:
    inquiry = ours.company.inquiries[0]
    number = str(3_000_001 + inquiry.number)
    change = TicketChange(status="pending", priority="urgent", assignee=ours.company.agents[2].email, note="Careful.")
    await ours.tickets.update_ticket(number, change, KEY)
    values = {"hs_pipeline_stage": "2", "hs_ticket_priority": "URGENT", "hubspot_owner_id": "900003"}
    theirs.client.crm.tickets.basic_api.update(number, changed("hubspot.crm.tickets", values))
    note = {"hs_note_body": "<p>Careful.</p>", "hs_timestamp": datetime.now(UTC).isoformat()}
    theirs.client.crm.objects.notes.basic_api.create(created("hubspot.crm.objects.notes", note, number, 228))
    assert await state(ours, inquiry.person) == await state(theirs, inquiry.person)


async def test_the_vendors_client_reads_what_we_wrote(ours: Side) -> None:
    draft = TicketDraft("Zip broke", "It does not close.", None, (), public=False, requester=native(1))
    made = await ours.tickets.create_ticket(draft, KEY)
    number = made.ticket_id.rpartition(":")[2]
    await ours.tickets.update_ticket(number, TicketChange(note="Careful."), KEY)
    found = ours.client.crm.tickets.basic_api.get_by_id(number, properties=["subject"], associations=["contacts"])
    assert (found.properties["subject"], found.associations["contacts"].results[0].id) == ("Zip broke", native(1))
    notes = ours.client.crm.associations.v4.basic_api.get_page("tickets", number, "notes")
    (linked,) = notes.results
    note = ours.client.crm.objects.notes.basic_api.get_by_id(linked.to_object_id, properties=["hs_note_body"])
    assert note.properties["hs_note_body"] == "<p>Careful.</p>"


async def test_the_vendors_client_reads_the_owners_and_pipelines_that_our_adapter_reads(ours: Side) -> None:
    owners = ours.client.crm.owners.owners_api.get_page()
    assert [(row.email, row.first_name) for row in owners.results] == [
        (agent.email, agent.name.partition(" ")[0]) for agent in ours.company.agents
    ]
    pipelines = ours.client.crm.pipelines.pipelines_api.get_all("tickets")
    labels = {stage.id: stage.label for pipeline in pipelines.results for stage in pipeline.stages}
    assert (labels["2"], labels["77005"], len(labels)) == ("Waiting on contact", "Resolved", 10)


async def test_the_vendors_client_is_told_what_it_did_wrong(ours: Side) -> None:
    exceptions: Any = importlib.import_module("hubspot.crm.tickets.exceptions")
    with pytest.raises(exceptions.ApiException) as refused:
        ours.client.crm.tickets.basic_api.create(
            created("hubspot.crm.tickets", {"subject": "x", "hs_pipeline_stage": "1", "tags": "vip"}, native(1), 16)
        )
    assert (refused.value.status, "PROPERTY_DOESNT_EXIST" in json.loads(refused.value.body)["message"]) == (400, True)
    with pytest.raises(exceptions.NotFoundException):
        ours.client.crm.tickets.basic_api.update("3999999", changed("hubspot.crm.tickets", {"subject": "x"}))


# --------------------------------------------------------------------------------------- the vendor's OpenAPI files


def objects_file(name: str) -> OpenApi:
    """One of HubSpot's files, with the mistakes in it put right that `test_hubspot.py` tells of."""
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
def files() -> list[tuple[str, OpenApi]]:
    """Which file says how a path is used. HubSpot publishes none for pipelines."""
    return [
        ("/crm/objects/2026-09/", objects_file("objects_2026-09")),
        ("/crm/v3/objects/notes", objects_file("notes_v3")),
        ("/crm/v3/objects/tickets", objects_file("tickets_v3")),
        ("/crm/v3/objects/contacts", objects_file("contacts_v3")),
        ("/crm/objects/2026-03/", OpenApi(spec_file("hubspot/associations_2026-03.json"))),
        ("/crm/associations/2026-03/", OpenApi(spec_file("hubspot/associations_2026-03.json"))),
        ("/crm/v4/", OpenApi(spec_file("hubspot/associations_v4.json"))),
        ("/crm/owners/2026-03", OpenApi(spec_file("hubspot/owners_2026-03.json"))),
        (CONSENT, OpenApi(spec_file("hubspot/communication_preferences_v4.json"))),
        (THREADS, OpenApi(spec_file("hubspot/conversations_v3.json"))),
    ]


def problems(files: list[tuple[str, OpenApi]], exchanges: list[Exchange]) -> Iterator[str]:
    for exchange in exchanges:
        file = next((file for prefix, file in files if exchange.path.startswith(prefix)), None)
        if file is not None:
            yield from file.problems(exchange)


def asked(exchanges: list[Exchange]) -> set[str]:
    """What kinds of things were asked, without the ids in their paths."""
    return {f"{e.method} {''.join('#' if c.isdigit() else c for c in e.path.partition('@')[0])}" for e in exchanges}


async def everything(side: Side) -> Ticket:
    """Each thing that our adapter can do, at least once."""
    inquiry = next(i for i in side.company.inquiries if i.number % 2 == 0)
    number = str(3_000_001 + inquiry.number)
    who = await person(side, inquiry.person)
    await side.hubspot.contacts_by_number(number)
    await side.hubspot.events([who], ALL, Span(since=datetime(2025, 1, 1, tzinfo=UTC), until=TODAY), None, 2)
    await side.hubspot.add_note(who, NoteDraft("x", related="zendesk:ticket:1"), KEY)
    for consents in (False, True):
        changes = PreferenceChanges(language="fr", email_marketing=consents)
        await side.hubspot.change_preferences(who, changes, "asked")
    everybody = TicketQuery(
        text="a", emails=tuple(who.emails), statuses=("new", "open", "pending", "closed"), assignee="none"
    )
    await side.tickets.search_tickets(everybody, None, 5)
    await side.tickets.search_tickets(TicketQuery(sort="created", updated_since=TODAY), None, 5)
    await side.tickets.search_tickets(TicketQuery(priorities=("normal",)), None, 5)
    await side.tickets.count_open_tickets(who)
    draft = TicketDraft("s", "b", "low", (), public=False, name="Ada van Dyk", email="ada@new.example")
    made = await side.tickets.create_ticket(draft, KEY)
    change = TicketChange(status="open", priority="urgent", assignee=side.company.agents[0].email, note="n")
    await side.tickets.update_ticket(made.ticket_id.rpartition(":")[2], change, KEY)
    await side.tickets.update_ticket(number, TicketChange(assignee="none"), KEY)
    ticket = await side.tickets.ticket(number, CommentPage(limit=1))
    await side.tickets.ticket(number, CommentPage(ticket.page.next_cursor, limit=1) if ticket.page.has_more else None)
    await side.tickets.reply(number, Reply("Hello", ticket.version, "pending"), KEY)
    return await side.tickets.ticket(str(3_000_002), CommentPage())


async def test_all_that_we_ask_and_all_that_we_are_told_is_valid(ours: Side, files: list[tuple[str, OpenApi]]) -> None:
    await everything(ours)
    await ours.http.aclose()
    assert list(problems(files, ours.served.exchanges)) == []
    objects = "/crm/objects/####-##"
    assert asked(ours.served.exchanges) >= {
        *(f"POST {objects}/{kind}/search" for kind in ("notes", "emails", "calls", "meetings", "tickets")),
        f"POST {objects}/notes",
        f"POST {objects}/tickets",
        f"PATCH {objects}/tickets/#######",
        f"PATCH {objects}/contacts/######",
        f"POST {objects}/contacts/batch/upsert",
        f"POST {THREADS.replace('3', '#')}/#######/messages",
        "POST /crm/associations/####-##/tickets/contacts/batch/read",
        "GET /crm/owners/####-##",
        "GET /crm/pipelines/####-##/tickets",
    }


async def test_what_is_looked_for_after_a_lost_answer_is_asked_validly(
    ours: Side, files: list[tuple[str, OpenApi]]
) -> None:
    records = importlib.import_module("backoffice_customer.backends.hubspot.records").Records(ours.http)
    ids = await records.associated("contacts", native(2), "notes")
    rows = await records.fresh("notes", ids, ["hs_note_body"])
    assert [row["id"] for row in rows] == ids != []
    assert list(problems(files, ours.served.exchanges)) == []


async def test_all_that_the_vendors_client_writes_and_is_told_is_valid(
    theirs: Side, files: list[tuple[str, OpenApi]]
) -> None:
    note = {"hs_note_body": "<p>x</p>", "hs_timestamp": datetime.now(UTC).isoformat()}
    theirs.client.crm.objects.notes.basic_api.create(created("hubspot.crm.objects.notes", note, native(1), 202))
    ticket = {"subject": "s", "hs_pipeline_stage": "1"}
    made = theirs.client.crm.tickets.basic_api.create(created("hubspot.crm.tickets", ticket, native(1), 16))
    theirs.client.crm.tickets.basic_api.update(made.id, changed("hubspot.crm.tickets", {"content": "b"}))
    theirs.client.crm.tickets.basic_api.get_by_id(made.id, associations=["contacts", "notes"])
    theirs.client.crm.contacts.basic_api.update(native(1), changed("hubspot.crm.contacts", {"hs_language": "fr"}))
    theirs.client.crm.associations.v4.basic_api.get_page("tickets", made.id, "contacts", limit=5)
    assert [exchange.status for exchange in theirs.served.exchanges] == [201, 201, 200, 200, 200, 200]
    assert list(problems(files, theirs.served.exchanges)) == []


async def test_refusals_are_errors_as_the_vendor_describes_them(ours: Side, files: list[tuple[str, OpenApi]]) -> None:
    with pytest.raises(InvalidInput):
        await ours.tickets.create_ticket(TicketDraft("s", "b", None, (), public=False, requester="999999"), KEY)
    with pytest.raises(NotFound):
        await ours.tickets.ticket("3999999", None)
    with pytest.raises(Conflict):
        await ours.tickets.reply("3000002", Reply("x", "y"), KEY)
    for path, body in WRONG:
        answer = raw(ours, "POST", path, json=body)
        assert (answer.status_code, answer.json()["category"]) == (400, "VALIDATION_ERROR"), path
    assert list(problems_of_answers(files, ours.served.exchanges)) == []


MESSAGE: dict[str, Any] = {
    "type": "MESSAGE",
    "text": "x",
    "attachments": [],
    "recipients": [{"deliveryIdentifiers": [{"type": "HS_EMAIL_ADDRESS", "value": "a@b.example"}]}],
    "senderActorId": "A-7001",
    "channelId": "1002",
    "channelAccountId": "5501",
}
STATUS: dict[str, Any] = {"channel": "EMAIL", "statusState": "SUBSCRIBED", "subscriptionId": MARKETING}
MESSAGES, STATUSES = f"{THREADS}/8000001/messages", f"{CONSENT}/statuses/a@b.example"
WRONG: list[tuple[str, Any]] = [
    *((MESSAGES, {name: value for name, value in MESSAGE.items() if name != left_out}) for left_out in MESSAGE),
    (MESSAGES, {**MESSAGE, "type": "SHOUT"}),
    (MESSAGES, {**MESSAGE, "recipients": []}),
    (MESSAGES, {**MESSAGE, "recipients": [{"actorId": "V-1"}]}),
    (MESSAGES, {**MESSAGE, "recipients": [{"deliveryIdentifiers": []}]}),
    (MESSAGES, {**MESSAGE, "senderActorId": "A-1"}),
    (MESSAGES, {**MESSAGE, "senderActorId": "V-7001"}),
    (MESSAGES, {**MESSAGE, "channelId": "1000"}),
    *((STATUSES, {name: value for name, value in STATUS.items() if name != left_out}) for left_out in STATUS),
    (STATUSES, {**STATUS, "statusState": "PERHAPS"}),
    (STATUSES, {**STATUS, "subscriptionId": 7}),
    (STATUSES, {**STATUS, "channel": "SMS"}),
    (f"{CONSENT}/statuses/nobody", STATUS),
    (f"{STATUSES}/unsubscribe-all", None),
    ("/crm/objects/2026-09/notes", {}),
    ("/crm/objects/2026-09/notes", {"properties": {"hs_timestamp": 7}}),
    ("/crm/objects/2026-09/horses", {"properties": {}}),
    ("/crm/objects/2026-09/contacts/batch/upsert", {"inputs": [{"id": "a@b.example", "properties": {}}]}),
]


def problems_of_answers(files: list[tuple[str, OpenApi]], exchanges: list[Exchange]) -> Iterator[str]:
    for exchange in exchanges:
        file = next((file for prefix, file in files if exchange.path.startswith(prefix)), None)
        if file is not None:
            yield from file.of_answer(exchange)


def raw(side: Side, method: str, path: str, **given: Any) -> httpx.Response:
    headers = given.pop("headers", {"Authorization": f"Bearer {TOKEN}"})
    return httpx.request(method, side.served.url + path, headers=headers, trust_env=False, **given)


async def test_who_may_write_may_also_ask_what_the_adapter_does_not(
    ours: Side, files: list[tuple[str, OpenApi]]
) -> None:
    """The sandbox's other paths: definitions and statuses of consent, threads, comments among agents, owners."""
    for path in (
        f"{CONSENT}/definitions",
        f"{STATUSES}?channel=EMAIL",
        f"{STATUSES}/unsubscribe-all?channel=EMAIL",
        f"{THREADS}?limit=2&association=TICKET",
        f"{THREADS}?associatedContactId={native(1)}",
        f"{THREADS}/8000001",
        f"{THREADS}/8000001/messages?sort=createdAt&limit=1",
        f"{THREADS}/8000001/messages/{8_000_001:016x}{0:016x}/original-content",
        "/crm/owners/2026-03?email=tom@northwind.example",
        "/crm/owners/2026-03/900001",
    ):
        assert raw(ours, "GET", path).status_code == 200, path
    aside: dict[str, Any] = {"type": "COMMENT", "text": "Careful", "attachments": []}
    assert raw(ours, "POST", MESSAGES, json=aside).status_code == 201
    assert raw(ours, "POST", f"{STATUSES}/unsubscribe-all?channel=EMAIL").status_code == 200
    assert list(problems(files, ours.served.exchanges)) == []


# ------------------------------------------------------------------------------------------------------------- tokens


def exchange(side: Side, **changes: str) -> httpx.Response:
    form = {
        "grant_type": "refresh_token",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
    }
    form = {name: value for name, value in (form | changes).items() if value}
    return raw(side, "POST", "/oauth/2026-03/token", headers={}, data=form)


async def test_a_refresh_token_buys_an_access_token_that_can_be_used(ours: Side) -> None:
    bought = exchange(ours).json()
    assert (bought["token_type"], bought["expires_in"], bought["refresh_token"]) == ("bearer", 1800, REFRESH_TOKEN)
    authorization = {"Authorization": f"Bearer {bought['access_token']}"}
    assert raw(ours, "GET", "/crm/owners/2026-03", headers=authorization).status_code == 200


async def test_an_access_token_lasts_half_an_hour(company: Company) -> None:
    clock = ManualClock()
    with serving(hubspot_sandbox(company, clock=clock)) as served:
        side = await opened(served, hubspot_sandbox(company), company)
        authorization = {"Authorization": f"Bearer {exchange(side).json()['access_token']}"}
        clock.advance(1799)
        assert raw(side, "GET", "/crm/owners/2026-03", headers=authorization).status_code == 200
        clock.advance(2)
        assert raw(side, "GET", "/crm/owners/2026-03", headers=authorization).status_code == 401
        await side.http.aclose()


@pytest.mark.parametrize(
    "changes",
    [
        {"grant_type": "password"},
        {"grant_type": ""},
        {"client_id": ""},
        {"client_secret": "wrong"},
        {"refresh_token": "wrong"},
    ],
)
async def test_what_the_token_endpoint_does_not_know_buys_nothing(ours: Side, changes: dict[str, str]) -> None:
    refused = exchange(ours, **changes)
    assert (refused.status_code, "access_token" in refused.json()) == (400, False)
    assert raw(ours, "GET", "/crm/owners/2026-03", headers={"Authorization": "Basic x"}).status_code == 401
