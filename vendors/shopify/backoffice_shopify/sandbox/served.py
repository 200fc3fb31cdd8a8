"""Shopify's wire over the fictional company: GraphQL, by a part of the vendor's own schema."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    GraphQLSyntaxError,
    build_schema,
    get_directive_values,
    parse,
    validate,
)
from graphql import execute_sync as execute  # pyright: ignore[reportUnknownVariableType] - it leaves some of its own open
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox
from backoffice_shopify.sandbox.admin import Admin
from backoffice_shopify.sandbox.connections import Asked, Keyed, Record
from backoffice_shopify.sandbox.shop import Shop

SHOP = "northwind-outfitters"
TOKEN = "shpat_sandbox"  # noqa: S105 - a test credential of a fictional company
CLIENT = {"client_id": "sandbox-app", "client_secret": "shpss_sandbox"}
SCHEMA = files("backoffice_shopify").joinpath("schema.graphql")
_SCOPES = "write_customers,write_orders,read_all_orders,read_returns,read_inventory,read_locations"
_BUCKET, _RESTORED, _COST = 2_000.0, 100.0, 12  # points, points a second, points a query


def shopify_sandbox(company: Company, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> VendorSandbox:
    shop = Shop(company, now)
    return VendorSandbox(
        name="shopify",
        title="Shopify",
        app=_app(shop, Admin(shop, f"{SHOP}.myshopify.com", now)),
        credentials={"access_token": TOKEN},
        options={"shop": SHOP},
        throttled=_throttled,
        unavailable=lambda: JSONResponse({"errors": "Service Unavailable"}, 503),
    )


def shop_of(sandbox: VendorSandbox) -> Shop:
    """What a sandbox of this vendor knows, to look at."""
    assert isinstance(sandbox.app, Starlette)  # noqa: S101 - `_app` makes one
    shop = sandbox.app.state.shop
    assert isinstance(shop, Shop)  # noqa: S101 - likewise
    return shop


def _app(shop: Shop, admin: Admin) -> Starlette:
    schema, root = _schema(), admin.root()

    @lru_cache(64)
    def prepared(text: str) -> DocumentNode | list[GraphQLError]:
        try:
            document = parse(text)
        except GraphQLSyntaxError as error:
            return [error]
        return validate(schema, document) or document

    async def graphql(request: Request) -> Response:
        if request.path_params["version"] not in ("2026-10", "unstable"):
            return JSONResponse({"errors": "Not Found"}, 404)
        if request.headers.get("x-shopify-access-token") != TOKEN:
            return JSONResponse(
                {"errors": "[API] Invalid API key or access token (unrecognized login or wrong password)"}, 401
            )
        try:
            asked = obj(await request.json())
        except ValueError:
            asked = {}
        if not isinstance(asked.get("query"), str):
            return JSONResponse({"errors": {"query": "Required parameter missing or invalid"}}, 400)
        document = prepared(asked["query"])
        if isinstance(document, list):
            return JSONResponse({"errors": [error.formatted for error in document]})
        result = execute(
            schema,
            document,
            root,
            variable_values=obj(asked.get("variables")),
            operation_name=asked.get("operationName"),
            field_resolver=_resolve,
        )
        return JSONResponse({**result.formatted, "extensions": _cost(_COST, _COST, _BUCKET - _COST)})

    async def token(request: Request) -> Response:
        form = await request.form()
        wanted = {"grant_type": "client_credentials", **CLIENT}
        if {name: form.get(name) for name in wanted} != wanted:
            return JSONResponse({"error": "invalid_client"}, 400)
        return JSONResponse({"access_token": TOKEN, "scope": _SCOPES, "expires_in": 86_399})

    app = Starlette(
        routes=[
            Route("/admin/api/{version}/graphql.json", graphql, methods=["POST"]),
            Route("/admin/oauth/access_token", token, methods=["POST"]),
        ],
        exception_handlers={404: _no_route},
    )
    app.state.shop = shop
    return app


@cache
def _schema() -> GraphQLSchema:
    return build_schema(SCHEMA.read_text(encoding="utf-8"))


def _resolve(source: Record, info: GraphQLResolveInfo[None], **given: Any) -> Any:
    match source[info.field_name]:
        case Asked(answer):
            return answer(given)
        case Keyed(answer):
            return answer(given, _key(info))
        case value if callable(value):
            return value()
        case value:
            return value


def _key(info: GraphQLResolveInfo[None]) -> str:
    """What `@idempotent` holds. That it must be there is in no schema."""
    directive = info.schema.get_directive("idempotent")
    assert directive is not None  # noqa: S101 - it is in ours
    said = get_directive_values(directive, info.field_nodes[0], info.variable_values)
    if said is None:
        raise GraphQLError(
            "The @idempotent directive is required for this mutation but was not provided.",
            extensions={"code": "BAD_REQUEST"},
        )
    return said["key"]


def _throttled(seconds: int) -> Response:
    """HTTP 200: what the query costs is so much that it fits in `seconds` from now."""
    error = {
        "message": "Throttled",
        "extensions": {"code": "THROTTLED", "documentation": "https://shopify.dev/api/usage/rate-limits"},
    }
    return JSONResponse({"errors": [error], "extensions": _cost(int(seconds * _RESTORED), None, 0.0)})


def _cost(requested: int, actual: int | None, left: float) -> Record:
    bucket = {"maximumAvailable": _BUCKET, "currentlyAvailable": left, "restoreRate": _RESTORED}
    return {"cost": {"requestedQueryCost": requested, "actualQueryCost": actual, "throttleStatus": bucket}}


async def _no_route(_request: Request, _error_raised: Exception) -> Response:
    return JSONResponse({"errors": "Not Found"}, 404)
