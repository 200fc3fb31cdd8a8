"""Shopify's sandbox and our requests, held against the vendor: its Python client, and its schema of 2026-10.

The schema is the vendor's introspection result. It is not part of this repository: `BACKOFFICE_SPECS` says where it
is, or it lies in `../shared/specs`.
"""

from __future__ import annotations

import gzip
import importlib
import json
import os
import socket
import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest
import uvicorn
from graphql import (
    GraphQLEnumType,
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

from backoffice_customer.backends.shopify import SHOPIFY, Shopify, shopify_sandbox
from backoffice_customer.backends.shopify.sandbox import SCHEMA, TOKEN
from backoffice_customer.models import Contact, Ref
from backoffice_customer.ports import OrderQuery, Span
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.http.client import connect
from backoffice_shared.sandbox.company import KEY_ACCOUNT, Company
from backoffice_shared.sandbox.frame import InProcess

pytestmark = pytest.mark.anyio

SPECS = Path(os.environ.get("BACKOFFICE_SPECS", Path(__file__).parents[2].parent / "shared" / "specs"))
INTROSPECTION = SPECS / "shopify_admin_graphql_2026-10.introspection.json.gz"
ROSA = Contact(ref=Ref("shopify", "customer", str(700_001 + KEY_ACCOUNT)), name="Rosa")


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


@pytest.fixture
async def sent(company: Company) -> list[dict[str, Any]]:
    """One request of every kind that the adapter makes."""
    recorder = Recorder(InProcess(shopify_sandbox(company)))
    credentials = EnvironmentCredentials({"shopify_access_token": TOKEN})
    shopify = Shopify(connect(SHOPIFY, recorder, credentials, base_url="https://northwind-outfitters.myshopify.com"))
    await shopify.contacts([ROSA.ref.native])
    await shopify.contacts_by_email([company.people[KEY_ACCOUNT].email])
    await shopify.search_contacts("maria", 10)
    page = await shopify.search_orders(OrderQuery(customers=(ROSA.ref.native,), payment=("paid",)), None, 10)
    await shopify.search_orders(OrderQuery(customers=(ROSA.ref.native,), payment=("paid",)), page.next, 10)
    await shopify.count_orders(ROSA, datetime(2026, 1, 1, tzinfo=UTC))
    await shopify.order("800001", frozenset())
    await shopify.order("800001", frozenset(("shipments", "payments", "refunds")))
    await shopify.events([ROSA], Span(since=datetime(2026, 1, 1, tzinfo=UTC)), None, 10)
    return recorder.sent


# --------------------------------------------------------------------------------------- the vendor's own client


@pytest.fixture
def shopify_client(company: Company) -> Iterator[Any]:
    """`ShopifyAPI`, pointed at the sandbox on a loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(shopify_sandbox(company), log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        client: Any = importlib.import_module("shopify")
        client.ShopifyResource.site = f"http://127.0.0.1:{listening.getsockname()[1]}/admin/api/2026-10"
        client.ShopifyResource.headers = {"X-Shopify-Access-Token": TOKEN}
        try:
            yield client
        finally:
            client.ShopifyResource.clear_session()
            server.should_exit = True
            thread.join()


async def test_the_vendors_client_gets_an_answer_to_everything_that_we_ask(
    shopify_client: Any, sent: list[dict[str, Any]]
) -> None:
    assert len(sent) == 9
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


# ------------------------------------------------------------------------------------------- the vendor's schema


@pytest.fixture(scope="module")
def theirs() -> GraphQLSchema:
    if not INTROSPECTION.exists():
        pytest.skip(f"the vendor's schema is not at {INTROSPECTION}; set BACKOFFICE_SPECS to where it is")
    wire = json.loads(gzip.decompress(INTROSPECTION.read_bytes()))
    # Taken as it is: a few of its fields are deprecated although their interfaces are not, which GraphQL forbids.
    return build_client_schema(wire.get("data", wire), assume_valid=True)


async def test_everything_that_we_send_is_valid_to_the_vendor(
    theirs: GraphQLSchema, sent: list[dict[str, Any]]
) -> None:
    for document in {request["query"] for request in sent}:
        assert validate(theirs, parse(document)) == []


async def test_nothing_that_we_ask_for_is_on_its_way_out(theirs: GraphQLSchema, sent: list[dict[str, Any]]) -> None:
    for document in {request["query"] for request in sent}:
        assert validate(theirs, parse(document), [NoDeprecatedCustomRule]) == []


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


def differences(ours: GraphQLNamedType, theirs: GraphQLNamedType | None) -> Iterator[str]:
    """What there is in our type and not, or not the same, in theirs."""
    if theirs is None or type(ours) is not type(theirs):
        yield f"{ours.name} is not the same kind of thing"
    elif isinstance(ours, GraphQLObjectType | GraphQLInterfaceType):
        assert isinstance(theirs, GraphQLObjectType | GraphQLInterfaceType)
        mine, yours = shape(ours), shape(theirs)
        yield from (f"{ours.name}.{at}: {kind}" for at, kind in mine.items() if yours.get(at) != kind)
    elif isinstance(ours, GraphQLEnumType):
        assert isinstance(theirs, GraphQLEnumType)
        yield from (f"{ours.name}.{value}" for value in ours.values.keys() - theirs.values.keys())


def shape(kind: GraphQLObjectType | GraphQLInterfaceType) -> Mapping[str, str]:
    """`{"orders": "OrderConnection!", "orders(first)": "Int", "implements Node": ""}`"""
    fields = {name: str(field.type) for name, field in kind.fields.items()}
    arguments = {f"{name}({a})": str(arg.type) for name, field in kind.fields.items() for a, arg in field.args.items()}
    return fields | arguments | {f"implements {interface.name}": "" for interface in kind.interfaces}
