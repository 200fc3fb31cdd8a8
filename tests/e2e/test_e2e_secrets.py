"""Every secret that a server can be given is planted, and everything that can go wrong with it does: `canaries.py` watches."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from mcp.client import Client
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from tests.canaries import WATCH, canary
from tests.e2e.running import Command, command, posted, serving_app

pytestmark = pytest.mark.anyio

TOKEN, SHOP_TOKEN, DESK_SECRET = canary("hubspot"), canary("shopify"), canary("zendesk")


class Indiscreet:
    """A vendor that refuses everything, and says what it was given in the sentence that our callers read."""

    def __init__(self) -> None:
        self.given: set[str] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = (await request.body()).decode()
        shown = " ".join([request.headers.get("authorization", ""), *request.headers.values(), body, str(request.url)])
        self.given |= {secret for secret in (TOKEN, SHOP_TOKEN, DESK_SECRET) if secret in shown}
        said = {"message": shown, "error": shown, "error_description": shown, "errors": [{"message": shown}]}
        await JSONResponse({"status": "error", "access_token": "", **said}, 400)(scope, receive, send)


@pytest.mark.parametrize("source", ["environment", "files"])
async def test_a_vendor_that_repeats_our_secrets_does_not_make_us_tell_them(source: str, tmp_path: Path):
    vendor = Indiscreet()
    async with serving_app(vendor) as url:
        given = {
            **{f"{name}_base_url": url for name in ("hubspot", "shopify", "zendesk")},
            "cursor_key": canary("cursors"),
            "audit_key": canary("audit"),
            "audit": str(tmp_path / "audit"),
            "state_dir": str(tmp_path / "state"),
            "log_level": "DEBUG",
        }
        given |= planted(source, tmp_path / "secrets")
        async with command("backoffice-customer", "--http", "--port", "0", **given) as running:
            answers = await refusals(running)
    assert vendor.given == {TOKEN, SHOP_TOKEN, DESK_SECRET}
    assert all("HubSpot" in answer or "Zendesk" in answer or "Shopify" in answer for answer in answers), answers
    assert "[secret]" in answers[0]
    WATCH.saw_files(tmp_path)


def planted(source: str, folder: Path) -> dict[str, str]:
    """The vendors' secrets where the source finds them, and the settings that say so."""
    secrets = {
        "hubspot": {"access_token": TOKEN},
        "shopify": {"access_token": SHOP_TOKEN},
        "zendesk": {"client_id": "backoffice", "client_secret": DESK_SECRET},
    }
    if source == "environment":
        return {f"{vendor}_{name}": value for vendor, fields in secrets.items() for name, value in fields.items()}
    for vendor, fields in secrets.items():
        (folder / vendor).mkdir(parents=True)
        for name, value in fields.items():
            (folder / vendor / name).write_text(value)
    return {"secrets_dir": str(folder)}


async def refusals(running: Command) -> list[str]:
    url = await running.told(r"MCP at (http\S+)")
    asked = {
        "find_customers": {"query": "ada"},
        "get_order": {"order_id": "shopify:order:1", "include": ["payments"]},
        "get_ticket": {"ticket_id": "zendesk:ticket:1"},
        "create_ticket": {
            "customer_id": "hubspot:contact:1",
            "subject": "x",
            "body": "x",
            "idempotency_key": "one-of-eight",
        },
    }
    async with httpx.AsyncClient() as http:
        answers = [(await posted(http, url, tool, arguments)).text for tool, arguments in asked.items()]
        metrics = (await http.get(url.replace("/mcp", "/metrics"))).text
    async with Client(url) as client:
        health = (await client.read_resource("health://backends")).model_dump_json()
    for told in (*answers, metrics, health):
        WATCH.saw("what a client was told", told)
    return [json.dumps(json.loads(answer)["result"]["content"]) for answer in answers]
