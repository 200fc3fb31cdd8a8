"""Shopify's sandbox and our requests, held against the vendor: its Python client, and its schema of 2026-10.

The schema is the vendor's introspection result. It is not part of this repository: `BACKOFFICE_SPECS` says where it
is, or it lies in `../shared/specs`.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    NoDeprecatedCustomRule,
    build_client_schema,
    build_schema,
    parse,
    validate,
)
from tests.contract.points import points
from tests.contract.serving import serving

from backoffice_customer.backends.shopify import SHOPIFY, Shopify, queries, shopify_sandbox
from backoffice_customer.models import Contact, EventKind, PreferenceChanges, Ref
from backoffice_customer.ports import OrderQuery, OrderSection, Span
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox
from backoffice_shopify.sandbox import SCHEMA, TOKEN

pytestmark = pytest.mark.anyio

SPECS = Path(os.environ.get("BACKOFFICE_SPECS", Path(__file__).parents[2].parent / "shared" / "specs"))
INTROSPECTION = SPECS / "shopify_admin_graphql_2026-10.introspection.json.gz"
URL = "https://northwind-outfitters.myshopify.com"
ROSA = Contact(ref=Ref("shopify", "customer", str(700_001 + KEY_ACCOUNT)), name="Rosa")
KINDS: frozenset[EventKind] = frozenset({"order", "refund"})
SECTIONS: frozenset[OrderSection] = frozenset({"shipments", "payments", "refunds", "returns"})


class Recorder(httpx.AsyncBaseTransport):
    """Notes what goes over the wire."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.sent: list[dict[str, Any]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(json.loads(request.content))
        return await self._inner.handle_async_request(request)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(today=datetime(2026, 11, 1, tzinfo=UTC))


def adapter(wire: httpx.AsyncBaseTransport) -> Shopify:
    return Shopify(connect(SHOPIFY, wire, EnvironmentCredentials({"shopify_access_token": TOKEN}), base_url=URL))


@pytest.fixture
async def sent(company: Company) -> list[dict[str, Any]]:
    """One request of every kind that the adapter makes."""
    recorder = Recorder(InProcess(shopify_sandbox(company)))
    shopify = adapter(recorder)
    await shopify.contacts([ROSA.ref.native])
    await shopify.contacts_by_email([person.email for person in company.people[:50]])
    await shopify.search_contacts("maria", 10)
    page = await shopify.search_orders(OrderQuery(customers=(ROSA.ref.native,), payment=("paid",)), None, 50)
    await shopify.search_orders(OrderQuery(customers=(ROSA.ref.native,), payment=("paid",)), page.next, 50)
    await shopify.count_orders(ROSA, datetime(2026, 1, 1, tzinfo=UTC))
    await shopify.order("800001", frozenset())
    await shopify.order("800001", SECTIONS)
    await shopify.events([ROSA], KINDS, Span(since=datetime(2026, 9, 1, tzinfo=UTC)), None, 50)
    await shopify.stock([product.sku for product in company.products[:10]])
    await shopify.change_preferences(ROSA, changes(company), "They said so")
    return recorder.sent


def changes(company: Company) -> PreferenceChanges:
    """All that can change of Rosa."""
    return PreferenceChanges(
        language="ja", email_marketing=not company.people[KEY_ACCOUNT].email_consent, sms_marketing=True
    )


# --------------------------------------------------------------------------------------- the vendor's own client


@contextmanager
def vendors_client(sandbox: VendorSandbox) -> Generator[Any]:
    """`ShopifyAPI`, pointed at the sandbox on a loopback port."""
    with serving(sandbox) as served:
        client: Any = importlib.import_module("shopify")
        client.ShopifyResource.site = f"{served.url}/admin/api/2026-10"
        client.ShopifyResource.headers = {"X-Shopify-Access-Token": TOKEN}
        try:
            yield client
        finally:
            client.ShopifyResource.clear_session()


def told(client: Any, query: str, **variables: Any) -> dict[str, Any]:
    """The `data` that the vendor's client is given."""
    answer = json.loads(client.GraphQL().execute(query, variables))
    assert "errors" not in answer
    return answer["data"]


@pytest.fixture
def shopify_client(company: Company) -> Iterator[Any]:
    with vendors_client(shopify_sandbox(company)) as client:
        yield client


async def test_the_vendors_client_gets_an_answer_to_everything_that_we_ask(
    shopify_client: Any, sent: list[dict[str, Any]]
) -> None:
    assert len(sent) == 15
    for request in sent:
        answer = json.loads(shopify_client.GraphQL().execute(request["query"], request["variables"]))
        assert "errors" not in answer
        assert all(answer["data"].values())
        assert answer["extensions"]["cost"]["throttleStatus"]["restoreRate"] == 100.0


def test_the_vendors_client_pages_through_edges_and_cursors(shopify_client: Any, company: Company) -> None:
    query = """
      query ($after: String, $query: String) {
        orders(first: 100, after: $after, query: $query) { edges { cursor node { name } } pageInfo { hasNextPage } }
      }
    """
    names: list[str] = []
    after, more = None, True
    while more:
        variables = {"after": after, "query": f"customer_id:{ROSA.ref.native}"}
        page = json.loads(shopify_client.GraphQL().execute(query, variables))["data"]["orders"]
        names += [edge["node"]["name"] for edge in page["edges"]]
        after, more = page["edges"][-1]["cursor"], page["pageInfo"]["hasNextPage"]
    assert len(names) == len(set(names)) == len(company.orders_of[KEY_ACCOUNT])


def test_a_wrong_token_and_a_wrong_version_are_refused_as_the_vendor_does(shopify_client: Any) -> None:
    resource = shopify_client.ShopifyResource
    good = resource.site
    resource.headers = {"X-Shopify-Access-Token": "wrong"}
    with pytest.raises(HTTPError, match="401"):
        shopify_client.GraphQL().execute("{ shop { name } }")
    resource.headers = {"X-Shopify-Access-Token": TOKEN}
    resource.site = good.replace("2026-10", "2019-01")
    with pytest.raises(HTTPError, match="404"):
        shopify_client.GraphQL().execute("{ shop { name } }")
    resource.site = good.replace("2026-10", "unstable")
    assert json.loads(shopify_client.GraphQL().execute("{ shop { name } }"))["data"] == {
        "shop": {"name": "Northwind Outfitters"}
    }


def test_a_query_that_the_schema_does_not_allow_is_refused_with_status_200(shopify_client: Any) -> None:
    answer = json.loads(shopify_client.GraphQL().execute("{ shop { wealth } }"))
    assert [error["message"] for error in answer["errors"]] == ["Cannot query field 'wealth' on type 'Shop'."]


STANDING = """
  query ($id: ID!) {
    customer(id: $id) {
      locale
      updatedAt
      defaultEmailAddress { emailAddress marketingState marketingOptInLevel marketingUpdatedAt }
      defaultPhoneNumber { phoneNumber smsMarketingConsent { state optInLevel updatedAt } }
    }
  }
"""
LANGUAGE = """
  mutation ($id: ID!, $locale: String) {
    customerUpdate(input: {id: $id, locale: $locale}) { customer { id } userErrors { field message } }
  }
"""
EMAIL = """
  mutation ($input: CustomerEmailMarketingConsentUpdateInput!) {
    customerEmailMarketingConsentUpdate(input: $input) { customer { id } userErrors { field message code } }
  }
"""
SMS = """
  mutation ($input: CustomerSmsMarketingConsentUpdateInput!) {
    customerSmsMarketingConsentUpdate(input: $input) { customer { id } userErrors { field message code } }
  }
"""


@pytest.mark.parametrize("person", [KEY_ACCOUNT, 3, 4])
@pytest.mark.parametrize("agreed", [True, False])
async def test_what_we_change_is_what_the_vendors_client_changes(
    company: Company, person: int, *, agreed: bool
) -> None:
    native = str(700_001 + person)
    gid, began = f"gid://shopify/Customer/{native}", datetime.now(UTC).replace(microsecond=0)
    who = Contact(ref=Ref("shopify", "customer", native), name=company.people[person].name)
    mine, others = shopify_sandbox(company), shopify_sandbox(company)
    wanted = PreferenceChanges(language="ja", email_marketing=agreed, sms_marketing=agreed)
    seen = await adapter(InProcess(mine)).change_preferences(who, wanted, "They said so")

    with vendors_client(others) as client:
        state = {"marketingState": "SUBSCRIBED" if agreed else "UNSUBSCRIBED"}
        before = told(client, STANDING, id=gid)["customer"]
        told(client, LANGUAGE, id=gid, locale="ja")
        if before["defaultEmailAddress"]["marketingState"] != state["marketingState"]:
            level = {"marketingOptInLevel": "SINGLE_OPT_IN"} if agreed else {}
            told(client, EMAIL, input={"customerId": gid, "emailMarketingConsent": state | level})
        if before["defaultPhoneNumber"]["smsMarketingConsent"]["state"] != state["marketingState"]:
            level = {"marketingOptInLevel": "SINGLE_OPT_IN"} if agreed else {}
            told(client, SMS, input={"customerId": gid, "smsMarketingConsent": state | level})
        theirs = told(client, STANDING, id=gid)["customer"]
    with vendors_client(mine) as client:
        ours = told(client, STANDING, id=gid)["customer"]
    assert timeless(ours, began) == timeless(theirs, began)
    assert [seen] == await adapter(InProcess(mine)).contacts([native])
    assert [without_time(seen)] == [without_time(c) for c in await adapter(InProcess(others)).contacts([native])]


def timeless(wire: Any, since: datetime) -> Any:
    """The same, with "lately" for each moment after `since`."""
    if fields := obj(wire):
        return {name: timeless(value, since) for name, value in fields.items()}
    is_moment = isinstance(wire, str) and len(wire) == 20 and wire.endswith("Z")
    return "lately" if is_moment and datetime.fromisoformat(wire) >= since else wire


def without_time(contact: Contact) -> Contact:
    return contact.model_copy(update={"updated_at": None})


def test_the_vendors_client_is_refused_as_the_vendor_documents_it(shopify_client: Any) -> None:
    nobody, somebody = "gid://shopify/Customer/1", f"gid://shopify/Customer/{ROSA.ref.native}"
    without_phone = f"gid://shopify/Customer/{700_001 + 9}"
    email = {"customerId": somebody, "emailMarketingConsent": {"marketingState": "NOT_SUBSCRIBED"}}
    sms = {"customerId": without_phone, "smsMarketingConsent": {"marketingState": "SUBSCRIBED"}}
    answers = [
        told(shopify_client, LANGUAGE, id=nobody, locale="ja")["customerUpdate"],
        told(shopify_client, LANGUAGE, id=somebody, locale="Klingon")["customerUpdate"],
        told(shopify_client, EMAIL, input=email)["customerEmailMarketingConsentUpdate"],
        told(shopify_client, EMAIL, input={**email, "customerId": nobody})["customerEmailMarketingConsentUpdate"],
        told(shopify_client, SMS, input=sms)["customerSmsMarketingConsentUpdate"],
        told(shopify_client, SMS, input={**sms, "customerId": nobody})["customerSmsMarketingConsentUpdate"],
    ]
    assert [answer["customer"] for answer in answers] == [None] * 6
    assert [error["message"] for answer in answers for error in answer["userErrors"]] == [
        "Customer does not exist",
        "Locale is invalid",
        "Cannot specify NOT_SUBSCRIBED as a marketing state input",
        "Customer does not exist",
        "A phone number is required to set the SMS consent state.",
        "Customer does not exist",
    ]


def test_the_vendors_client_may_say_when_and_how_somebody_agreed(shopify_client: Any) -> None:
    gid = f"gid://shopify/Customer/{ROSA.ref.native}"
    consent = {
        "marketingState": "SUBSCRIBED",
        "marketingOptInLevel": "CONFIRMED_OPT_IN",
        "consentUpdatedAt": "2026-10-01T12:00:00Z",
    }
    told(shopify_client, EMAIL, input={"customerId": gid, "emailMarketingConsent": consent})
    told(shopify_client, SMS, input={"customerId": gid, "smsMarketingConsent": consent})
    customer = told(shopify_client, STANDING, id=gid)["customer"]
    assert customer["defaultEmailAddress"]["marketingUpdatedAt"] == "2026-10-01T12:00:00Z"
    assert customer["defaultEmailAddress"]["marketingOptInLevel"] == "CONFIRMED_OPT_IN"
    assert customer["defaultPhoneNumber"]["smsMarketingConsent"] == {
        "state": "SUBSCRIBED",
        "optInLevel": "CONFIRMED_OPT_IN",
        "updatedAt": "2026-10-01T12:00:00Z",
    }


def test_the_vendors_client_reads_what_is_in_stock_and_what_came_back(shopify_client: Any, company: Company) -> None:
    product = company.products[3]
    levels = told(
        shopify_client,
        """
        query ($sku: String) {
          inventoryItems(first: 5, query: $sku) {
            nodes { sku tracked inventoryLevels(first: 10) { nodes { location { name } quantities(names: ["on_hand"]) { quantity } } } }
          }
        }
        """,
        sku=f"sku:'{product.sku}'",
    )["inventoryItems"]["nodes"]
    assert levels == [
        {
            "sku": product.sku,
            "tracked": True,
            "inventoryLevels": {
                "nodes": [
                    {
                        "location": {"name": company.locations[stock.location]},
                        "quantities": [{"quantity": stock.on_hand}],
                    }
                    for stock in company.stock_of(product)
                ]
            },
        }
    ]
    order = next(o for o in company.orders if o.payment == "partially_refunded" and o.fulfilment == "fulfilled")
    returns = told(
        shopify_client,
        """
        query ($id: ID!) {
          order(id: $id) {
            cancelledAt
            returns(first: 5) { nodes { name status returnLineItems(first: 5) { nodes { __typename quantity } } } }
          }
        }
        """,
        id=f"gid://shopify/Order/{800_001 + order.number}",
    )["order"]
    assert returns == {
        "cancelledAt": None,
        "returns": {
            "nodes": [
                {
                    "name": f"#{1001 + order.number}-R1",
                    "status": "OPEN",
                    "returnLineItems": {"nodes": [{"__typename": "ReturnLineItem", "quantity": 1}]},
                }
            ]
        },
    }


# ------------------------------------------------------------------------------------------- the vendor's schema


@pytest.fixture(scope="module")
def theirs() -> GraphQLSchema:
    if not INTROSPECTION.exists():
        pytest.skip(f"the vendor's schema is not at {INTROSPECTION}; set BACKOFFICE_SPECS to where it is")
    wire = json.loads(gzip.decompress(INTROSPECTION.read_bytes()))
    # Taken as it is: a few of its fields are deprecated although their interfaces are not, which GraphQL forbids.
    return build_client_schema(wire.get("data", wire), assume_valid=True)


DOCUMENTS = {name: text for name, text in vars(queries).items() if name.isupper() and isinstance(text, str)}


async def test_every_document_that_there_is_can_be_sent(sent: list[dict[str, Any]]) -> None:
    """But for those for a shop with more places than the company has."""
    asked = {request["query"] for request in sent}
    assert {name for name, text in DOCUMENTS.items() if name[0] != "_" and text not in asked} == {"MORE_STOCK"}


@pytest.mark.parametrize("name", [name for name in DOCUMENTS if name[0] != "_"])
def test_every_document_is_valid_to_the_vendor_and_nothing_in_it_is_on_its_way_out(
    theirs: GraphQLSchema, name: str
) -> None:
    document = parse(DOCUMENTS[name])
    assert validate(theirs, document) == []
    assert validate(theirs, document, [NoDeprecatedCustomRule]) == []


def test_the_sandbox_speaks_a_part_of_the_vendors_schema(theirs: GraphQLSchema) -> None:
    ours = build_schema(SCHEMA.read_text(encoding="utf-8"))
    different = [
        found
        for name, kind in ours.type_map.items()
        if not name.startswith("__")
        for found in differences(kind, theirs.type_map.get(name))
    ]
    assert different == []
    assert ours.query_type is not None
    assert theirs.query_type is not None
    assert ours.query_type.name == theirs.query_type.name
    assert ours.mutation_type is not None
    assert theirs.mutation_type is not None
    assert ours.mutation_type.name == theirs.mutation_type.name


async def test_no_document_costs_more_than_a_query_may(theirs: GraphQLSchema, sent: list[dict[str, Any]]) -> None:
    costs = [points(theirs, request["query"], request["variables"]) for request in sent]
    costs.append(points(theirs, queries.MORE_STOCK, {"first": queries.MORE_LEVELS}))
    assert min(costs) > 0
    assert max(costs) <= 1_000


def differences(ours: GraphQLNamedType, theirs: GraphQLNamedType | None) -> Iterator[str]:
    """What there is in our type and not, or not the same, in theirs."""
    if theirs is None or type(ours) is not type(theirs):
        yield f"{ours.name} is not the same kind of thing"
    elif isinstance(ours, GraphQLObjectType | GraphQLInterfaceType):
        assert isinstance(theirs, GraphQLObjectType | GraphQLInterfaceType)
        mine, yours = shape(ours), shape(theirs)
        yield from (f"{ours.name}.{at}: {kind}" for at, kind in mine.items() if yours.get(at) != kind)
        yield from (
            f"{ours.name}.{name} is deprecated" for name in ours.fields if theirs.fields[name].deprecation_reason
        )
    elif isinstance(ours, GraphQLInputObjectType):
        assert isinstance(theirs, GraphQLInputObjectType)
        mine, yours = ({name: str(field.type) for name, field in kind.fields.items()} for kind in (ours, theirs))
        yield from (f"{ours.name}.{at}: {kind}" for at, kind in mine.items() if yours.get(at) != kind)
        yield from (
            f"{ours.name}.{at} is missing" for at, kind in yours.items() if kind.endswith("!") and at not in mine
        )
    elif isinstance(ours, GraphQLEnumType):
        assert isinstance(theirs, GraphQLEnumType)
        yield from (f"{ours.name}.{value}" for value in ours.values.keys() - theirs.values.keys())


def shape(kind: GraphQLObjectType | GraphQLInterfaceType) -> Mapping[str, str]:
    """`{"orders": "OrderConnection!", "orders(first)": "Int", "implements Node": ""}`"""
    fields = {name: str(field.type) for name, field in kind.fields.items()}
    arguments = {f"{name}({a})": str(arg.type) for name, field in kind.fields.items() for a, arg in field.args.items()}
    return fields | arguments | {f"implements {interface.name}": "" for interface in kind.interfaces}
