"""The commands as an operator meets them: what they print, what they refuse, and with which exit code they end."""

from __future__ import annotations

import json
import re
import shlex
import socket
import ssl
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest
from click import Command, Group
from click.testing import CliRunner
from tests.e2e.running import command, customer_server, outcome, serving

from backoffice_platform import __main__ as platform
from backoffice_platform import cli
from backoffice_shared.mcp.serving import bind

pytestmark = pytest.mark.anyio

ASKED = ["get_customers", 'customer_ids=["hubspot:contact:100001"]']


@pytest.fixture(scope="module")
async def url() -> AsyncGenerator[str]:
    async with serving(customer_server()) as url:
        yield url


# Help


def commands(group: Group) -> dict[str, Command]:
    return {f"backoffice {name}": found for name, found in group.commands.items()}


@pytest.mark.parametrize(
    ("name", "invoked"),
    {"backoffice": cli.main, "backoffice-platform": platform.main, **commands(cli.main)}.items(),
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_help_ends_well_and_has_an_example(name: str, invoked: Command) -> None:
    helped = CliRunner().invoke(invoked, ["--help"], prog_name=name)
    assert helped.exit_code == 0
    assert re.search(rf"(Example|Examples|Start with):\s+{name} ", helped.stdout)


async def test_help_of_a_domain_server_ends_well_and_has_an_example() -> None:
    code, output, _ = await outcome("backoffice-customer", "--help")
    assert code == 0
    assert "Example: backoffice-customer --sandbox --http" in output


# What an operator can get wrong


async def test_a_port_in_use_is_one_line_before_anything_is_made() -> None:
    with bind("127.0.0.1", 0) as taken:
        port = str(taken.getsockname()[1])
        told = f"Error: cannot listen on 127.0.0.1:{port}: Address already in use. Choose another address with --host or --port.\n"
        for name, *arguments in (
            ("backoffice", "up", "--sandbox"),
            ("backoffice-customer", "--sandbox", "--http"),
            ("backoffice", "sandbox"),
        ):
            code, _, said = await outcome(name, *arguments, "--port", port)
            kept = said if name == "backoffice" and "up" in arguments else said[said.find("Error:") :]
            assert (code, kept) == (2, told), name


def nothing_there() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("backoffice up --port 0 --upstreams missing.yaml", "missing.yaml: No such file or directory."),
        ("backoffice-platform --upstreams missing.yaml", "missing.yaml: No such file or directory."),
        ("backoffice up --port 0 --sandbox NOWHERE", "there is no sandbox at NOWHERE. backoffice sandbox starts one."),
        ("backoffice-customer --sandbox NOWHERE", "there is no sandbox at NOWHERE. backoffice sandbox starts one."),
        ("backoffice tools --url NOWHERE/mcp", "NOWHERE/mcp: cannot be reached. backoffice up --sandbox starts a server."),
        ("backoffice call get_order --url NOWHERE/mcp", "NOWHERE/mcp: cannot be reached. backoffice up --sandbox starts a server."),
        ("backoffice tools --url localhost:8000/mcp", "--url: 'localhost:8000/mcp' is not an http(s) URL."),
        ("backoffice tools get_customer --url HERE", "there is no tool 'get_customer'. Did you mean get_customers?"),
        ("backoffice call get_custmers --url HERE", "there is no tool 'get_custmers'. Did you mean get_customers?"),
        ("backoffice call zzz --url HERE", "there is no tool 'zzz'. backoffice tools lists those there are."),
        ("backoffice call get_order shopify:order:1 --url HERE", "'shopify:order:1' is not KEY=VALUE."),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_one_line_and_exit_code_2(url: str, line: str, told: str) -> None:
    nowhere = nothing_there()
    name, *arguments = line.replace("NOWHERE", nowhere).replace("HERE", url).split()
    assert await outcome(name, *arguments) == (2, "", f"Error: {told.replace('NOWHERE', nowhere)}\n")


async def test_a_bad_setting_is_one_line_that_names_it() -> None:
    code, _, told = await outcome("backoffice", "up", "--sandbox", "--port", "0", deadline="soon")
    assert (code, told.count("\n")) == (2, 1)
    assert told.startswith("Error: BACKOFFICE_DEADLINE: ")


# Calls


async def test_a_refusal_is_its_sentence_and_exit_code_1(url: str) -> None:
    asked = ["call", "get_order", "order_id=shopify:order:999999999", "--url", url]
    code, output, told = await outcome("backoffice", *asked)
    assert (code, output, told.count("\n")) == (1, "", 1)
    assert told.startswith("Shopify: ")
    assert "Error" not in told


async def test_an_answer_is_json_on_standard_output_alone(url: str) -> None:
    code, output, told = await outcome("backoffice", "call", *ASKED, "--compact", "--url", url)
    assert (code, told, output.count("\n")) == (0, "", 1)
    [customer] = json.loads(output)["items"]
    assert customer["customer_id"] == "hubspot:contact:100001"


async def test_tools_are_listed_by_name_and_kind_and_on_request_with_their_schema(url: str) -> None:
    _, listed, _ = await outcome("backoffice", "tools", "--url", url)
    assert [line.split()[:2] for line in listed.splitlines()] == [
        ["find_customers", "read"],
        ["get_customers", "read"],
        ["get_customer_timeline", "read"],
        ["update_preferences", "write"],
        ["add_customer_note", "write"],
        ["search_tickets", "read"],
        ["get_ticket", "read"],
        ["create_ticket", "write"],
        ["update_tickets", "write"],
        ["reply_to_customer", "write"],
        ["search_knowledge", "read"],
        ["get_document", "read"],
        ["search_orders", "read"],
        ["get_order", "read"],
        ["check_inventory", "read"],
    ]
    _, schema, _ = await outcome("backoffice", "tools", "--schema", "get_order", url=url)
    [tool] = json.loads(schema)
    assert tool["inputSchema"]["required"] == ["order_id"]


# Everything together


async def test_up_prints_its_progress_and_a_first_call_that_works() -> None:
    async with command("backoffice", "up", "--sandbox", "--customers", "20", "--port", "0") as running:
        tried = await running.told(r"^Try: \S*(backoffice call get_customers .*)")
        assert running.lines[:6] == [
            "Making a company with 20 customers ...",
            running.lines[1],
            "Backoffice billing server: 14 of 14 tools",
            "Backoffice customer server: 15 of 15 tools",
            "",
            running.lines[5],
        ]
        assert re.fullmatch(r"Northwind Outfitters: \d+ orders, \d+ tickets \(\d\.\d s\)", running.lines[1])
        assert re.fullmatch(r"Ready\. Connect an MCP host to http://127\.0\.0\.1:\d+/mcp", running.lines[5])
        name, *arguments = shlex.split(tried)
        code, output, told = await outcome(name, *arguments)
    assert (code, told) == (0, "")
    assert len(json.loads(output)["items"]) == 1


async def test_without_a_sandbox_it_says_what_is_missing_and_how_to_configure_it() -> None:
    async with command("backoffice", "up", "--port", "0") as running:
        await running.told("(Ready)")
        assert "Backoffice billing server: 0 of 14 tools" in running.lines
        assert "Backoffice customer server: 0 of 15 tools" in running.lines
        assert any("HubSpot is not configured. It needs BACKOFFICE_HUBSPOT_ACCESS_TOKEN." in x for x in running.lines)
        assert await running.told(r"No tool can be served\. (.*)")


async def test_a_sandbox_is_one_company_for_several_servers_over_http_and_https() -> None:
    async with command("backoffice", "sandbox", "--customers", "20", "--port", "0") as sandbox:
        directory = await sandbox.told(r"^Directory (http\S+)")
        certificate = Path(await sandbox.told(r"^For HTTPS, trust (.+)"))
        trusting = ssl.create_default_context(cafile=certificate)
        async with httpx.AsyncClient(verify=trusting) as http:
            vendors = (await http.get(directory)).json()["vendors"]
            assert sorted(vendors) == [
                *("confluence", "email", "hubspot", "quickbooks", "salesforce", "shopify", "stripe", "xero", "zendesk")
            ]
            for entry in vendors.values():
                for url in (entry["control"], entry["https_url"]):
                    assert url.startswith("https://" if url == entry["https_url"] else "http://")
                    assert (await http.get(f"{url}/_sandbox/faults")).json()["waiting"] == 0
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            async with httpx.AsyncClient() as http:
                await http.get(vendors["hubspot"]["https_url"])

        async with command("backoffice", "up", "--sandbox", directory, "--port", "0") as running:
            name, *arguments = shlex.split(await running.told(r"^Try: \S*(backoffice call get_customers .*)"))
            code, output, _ = await outcome(name, *arguments)
            assert (code, len(json.loads(output)["items"])) == (0, 1)
            url = arguments[arguments.index("--url") + 1]
            for tool, told in (
                ("search_tickets", "email"),
                ("search_knowledge query=refund", "confluence"),
                ("search_invoices", "xero"),
            ):
                code, output, _ = await outcome("backoffice", "call", *tool.split(), "--url", url)
                sources = {source["backend"]: source["status"] for source in json.loads(output)["sources"]}
                assert (code, sources[told]) == (0, "ok")
        async with httpx.AsyncClient() as http:
            for entry in vendors.values():
                assert (await http.get(f"{entry['control']}/_sandbox/faults")).json()["requests"], "it was asked"
        sandbox.terminate()
        assert await sandbox.ended() == 0
    with pytest.raises(FileNotFoundError):
        ssl.create_default_context(cafile=certificate)


# As somebody who has to prove who they are


async def test_a_key_that_was_made_opens_the_door_to_its_agents_tools_and_no_others(tmp_path: Path) -> None:
    code, key, told = await outcome("backoffice", "keys", "make", "support")
    entry = re.search(r"- (\{id: .+\})", told)
    assert code == 0
    assert entry is not None
    agents = tmp_path / "agents.yaml"
    agents.write_text(
        f"agents:\n  support:\n    keys: [{entry[1]}]\n    scopes: [customer:read]\n    toolsets: [tickets]\n"
    )
    async with command("backoffice", "up", "--sandbox", "--port", "0", "--agents", str(agents), drain="0") as running:
        url = await running.told(r"Connect an MCP host to (\S+)")
        code, output, told = await outcome("backoffice", "tools", "--url", url)
        assert (code, output) == (2, "")
        assert "it answered 401. Set BACKOFFICE_TOKEN" in told
        code, output, _ = await outcome("backoffice", "tools", "--url", url, token=key.strip())
        assert [line.split()[0] for line in output.splitlines()] == ["search_tickets", "get_ticket"]
        code, output, _ = await outcome("backoffice", "call", "search_tickets", "--url", url, token=key.strip())
        assert (code, bool(json.loads(output)["items"])) == (0, True)
        code, _, told = await outcome("backoffice", "call", "get_order", "order_id=x", "--url", url, token=key.strip())
        assert (code, "there is no tool 'get_order'" in told) == (2, True)
