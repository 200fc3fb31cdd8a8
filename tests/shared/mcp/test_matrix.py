"""Tools × scopes × agents × gates, over the real customer tools and the till: what is listed can be called, and nothing
else; what nobody granted nobody has; and whatever narrows never widens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import ToolAnnotations
from pydantic import BaseModel
from starlette.datastructures import Headers
from tests.foundation import foundation
from tests.shared.mcp import till
from tests.shared.mcp.till import caller, error_code

from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import Agents, AgentsFile
from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.gate import OPEN, Gate
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.tool import ToolFacts, tool
from backoffice_shared.principal import LOCAL, PLATFORM, Principal
from backoffice_shared.settings import Settings

pytestmark = pytest.mark.anyio


class Nothing(BaseModel):
    pass


@tool(ToolAnnotations(), scope="")
async def undeclared() -> Nothing:
    """Says nothing of itself."""
    return Nothing()


@tool(ToolAnnotations(), scope="brand:new")
async def brand_new() -> Nothing:
    """Was added yesterday."""
    return Nothing()


SPECS = (*till.TOOLS, *(replace(spec, needs="") for spec in CUSTOMER.tools), undeclared, brand_new)
FACTS: Mapping[str, ToolFacts] = {spec.name: spec.facts for spec in SPECS}
NAMES = tuple(FACTS)
SCOPES = tuple(sorted({facts.scope for facts in FACTS.values()} - {""}))
KNOWN_SCOPES = tuple(scope for scope in SCOPES if scope != "brand:new")
TOOLSETS = tuple(sorted({facts.toolset for facts in FACTS.values()} - {""}))

AGENTS: dict[str, dict[str, Any]] = {
    "nothing": {"scopes": []},
    "reader": {"scopes": ["till:read", "customer:read"]},
    "all": {"scopes": list(KNOWN_SCOPES)},
    "careful": {"scopes": list(KNOWN_SCOPES), "read_only": True},
    "gentle": {"scopes": list(KNOWN_SCOPES), "no_destructive": True},
    "desk": {"scopes": list(KNOWN_SCOPES), "toolsets": ["tickets"], "tools": ["get_order"]},
    "picky": {"scopes": list(KNOWN_SCOPES), "exclude_tools": ["refund", "create_ticket"]},
    "odd": {"scopes": ["till:pay"], "tools": ["refund", "find_customers", "no_such_tool"]},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "agents.yaml"
    file.write_text(yaml.safe_dump({"agents": AGENTS}))
    return file


def open_to(gate: Gate | Mapping[str, Any], facts: ToolFacts) -> bool:
    """What the documentation says of a gate, said once more."""
    said = gate if isinstance(gate, Mapping) else {name: getattr(gate, name) for name in Gate.__dataclass_fields__}
    chosen = not (said.get("toolsets") or said.get("tools")) or (
        facts.toolset in said.get("toolsets", ()) or facts.name in said.get("tools", ())
    )
    reads = facts.annotations.read_only_hint is True
    harmless = reads or facts.annotations.destructive_hint is False
    return (
        chosen
        and facts.name not in said.get("exclude_tools", ())
        and (reads or not said.get("read_only"))
        and (harmless or not said.get("no_destructive"))
    )


def expected(agent: str, granted: frozenset[str] | None, gate: Gate) -> dict[str, str]:
    """By tool: allow, scope or hidden."""
    entry = AGENTS.get(agent)

    def said(facts: ToolFacts) -> str:
        if entry is None or facts.scope not in entry["scopes"] or not open_to(entry, facts) or not open_to(gate, facts):
            return "hidden"
        return "allow" if granted is None or facts.scope in granted else "scope"

    return {name: said(facts) for name, facts in FACTS.items()}


@asynccontextmanager
async def serving(file: Path | None, gate: Gate = OPEN) -> AsyncGenerator[Client]:
    domain = Domain("matrix", "Matrix", "", SPECS, (), lambda _clients, _settings, _state: till.Drawer())
    server = domain_server(domain, Reachable(), Settings(log_level="ERROR"), foundation(agents=file, gate=gate))
    async with Client(server) as client:
        yield client


async def met(client: Client, name: str) -> str:
    """What a call meets: an argument that no tool has is refused by the tool, behind everything else."""
    unknown = f"Unknown tool: {name}. Call tools/list for those there are."
    try:
        return {"invalid_input": "allow", "permission_denied": "scope"}[
            error_code(await client.call_tool(name, {"no_such_argument": 1}))
        ]
    except MCPError as error:
        return "hidden" if error.error.message == unknown else error.error.message


GRANTED: tuple[frozenset[str] | None, ...] = (
    None,
    frozenset(),
    frozenset({"customer:read", "till:write"}),
    frozenset(SCOPES),
    frozenset({"unheard:of", ""}),
)


@pytest.mark.parametrize("agent", [*AGENTS, "unheard_of", ""])
@pytest.mark.parametrize(
    "gate",
    [
        OPEN,
        Gate(read_only=True),
        Gate(toolsets=frozenset({"notes", "profile"}), exclude_tools=frozenset({"get_caller"})),
    ],
)
async def test_in_every_cell_what_is_listed_can_be_called_and_nothing_else(file: Path, agent: str, gate: Gate):
    for granted in GRANTED:
        async with serving(file, gate) as client:  # a client of its own: clients remember lists
            with till.acting(caller(agent, scopes=granted)):
                listed = {tool.name for tool in (await client.list_tools()).tools}
                found = {name: await met(client, name) for name in (*NAMES, "no_such_tool")}
        assert found.pop("no_such_tool") == "hidden"
        assert found == expected(agent, granted, gate), (agent, granted)
        assert listed == {name for name, kind in found.items() if kind == "allow"}


async def test_a_tool_whose_scope_nobody_was_given_is_nobodys(file: Path):
    async with serving(file) as client:
        for agent in (*AGENTS, "unheard_of"):
            with till.acting(caller(agent)):
                assert await met(client, "brand_new") == await met(client, "undeclared") == "hidden"


@pytest.mark.parametrize(
    "who",
    [
        LOCAL,
        Principal("support", "oauth", client="all", scopes=frozenset(SCOPES)),
        Principal("all", "oauth", agent="all", scopes=frozenset(SCOPES)),
        Principal("x", "assertion", agent="unheard-of", via=PLATFORM),
        Principal(PLATFORM, "assertion"),
    ],
    ids=lambda who: f"{who.auth} {who.subject}",
)
async def test_who_is_no_agent_of_the_file_can_do_nothing(file: Path, who: Principal):
    async with serving(file) as client:
        with till.acting(who):
            assert {await met(client, name) for name in NAMES} == {"hidden"}


async def test_the_platform_is_shown_what_the_operator_lets_through_and_can_call_nothing(file: Path):
    gate = Gate(read_only=True)
    async with serving(file, gate) as client:
        with till.acting(Principal(PLATFORM, "assertion")):
            listed = {tool.name for tool in (await client.list_tools()).tools}
            assert listed == {name for name, facts in FACTS.items() if open_to(gate, facts)}
            assert {await met(client, name) for name in NAMES} == {"hidden"}


# Whatever the file and the gates say

some_names = st.frozensets(st.sampled_from(NAMES), max_size=4)
some_toolsets = st.frozensets(st.sampled_from(TOOLSETS), max_size=2)
gates = st.builds(Gate, some_toolsets, some_names, some_names, st.booleans(), st.booleans())
some_scopes = st.frozensets(st.sampled_from(SCOPES))
entries = st.fixed_dictionaries(
    {"scopes": some_scopes},
    optional={
        "toolsets": some_toolsets,
        "tools": some_names,
        "exclude_tools": some_names,
        "read_only": st.booleans(),
        "no_destructive": st.booleans(),
    },
)


def access(gate: Gate, entry: Mapping[str, Any], folder: Path) -> Access:
    told = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in entry.items()}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    file = folder / "agents.yaml"
    file.write_text(yaml.safe_dump({"agents": {"one": told}}))
    return Access(gate, Agents(file))


def theirs(at: Access, who: Principal, asked: Gate = OPEN) -> set[str]:
    identified, headers = at.identified(who), as_headers(asked)
    found = {name for name, facts in FACTS.items() if at.decide(identified, facts, headers).kind == "allow"}
    assert found == {name for name, facts in FACTS.items() if at.shows(identified, facts, headers)}
    return found


def as_headers(gate: Gate) -> Headers:
    def said(names: Iterable[str]) -> str:
        return ", ".join(sorted(names))

    return Headers(
        {
            "Backoffice-Toolsets": said(gate.toolsets),
            "Backoffice-Tools": said(gate.tools),
            "Backoffice-Exclude-Tools": said(gate.exclude_tools),
            "Backoffice-Read-Only": str(gate.read_only),
            "Backoffice-No-Destructive": str(gate.no_destructive),
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("agents")


@given(operators=gates, asked=gates, entry=entries, granted=st.none() | some_scopes)
def test_each_bound_only_ever_takes_away(
    folder: Path, operators: Gate, asked: Gate, entry: dict[str, Any], granted: frozenset[str] | None
):
    at = access(operators, entry, folder)
    everything = theirs(access(OPEN, entry, folder), caller("one"))
    bounded = theirs(at, caller("one", scopes=granted), asked)
    assert bounded == {
        name
        for name in everything
        if open_to(operators, FACTS[name])
        and open_to(asked, FACTS[name])
        and (granted is None or FACTS[name].scope in granted)
    }
    assert everything == {name for name, f in FACTS.items() if f.scope in entry["scopes"] and open_to(entry, f)}
    assert theirs(at, caller("other"), asked) == set()


@given(entry=entries, more=entries)
def test_an_entry_that_says_more_against_an_agent_allows_no_more(
    folder: Path, entry: dict[str, Any], more: dict[str, Any]
):
    narrower = {
        **entry,
        "scopes": entry["scopes"] & more["scopes"],
        "exclude_tools": entry.get("exclude_tools", frozenset()) | more.get("exclude_tools", frozenset()),
        "read_only": entry.get("read_only", False) or more.get("read_only", False),
        "no_destructive": entry.get("no_destructive", False) or more.get("no_destructive", False),
    }
    assert theirs(access(OPEN, narrower, folder), caller("one")) <= theirs(access(OPEN, entry, folder), caller("one"))


some_systems = st.none() | st.frozensets(st.sampled_from(["hubspot", "zendesk", "shopify"]))


@given(passed_on=some_systems, entry=some_systems)
def test_of_two_data_filters_both_hold(folder: Path, passed_on: frozenset[str] | None, entry: frozenset[str] | None):
    at = access(OPEN, {"scopes": frozenset[str](), **({} if entry is None else {"systems": entry})}, folder)
    who = at.identified(replace(caller("one"), auth="assertion", systems=passed_on))
    for system in ("hubspot", "zendesk", "shopify"):
        bounds = [bound for bound in (passed_on, entry) if bound is not None]
        assert who.sees(system) == all(system in bound for bound in bounds)


def test_whoever_would_be_two_agents_is_none():
    file = AgentsFile.model_validate(
        {"agents": {"a": {"scopes": [], "clients": ["app"]}, "b": {"scopes": [], "subjects": ["ada"]}}}
    )
    assert file.named(Principal("bob", "oauth", client="app")) == "a"
    assert file.named(Principal("ada", "oauth", client="web")) == "b"
    assert file.named(Principal("ada", "oauth", client="app")) is None
