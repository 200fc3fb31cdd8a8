"""Who may use what: every tool against every kind of caller, and the gates that only ever close further."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp_types import ToolAnnotations
from starlette.datastructures import Headers
from tests.shared.mcp.till import caller

from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.agents import Agents
from backoffice_shared.mcp.gate import OPEN, Gate, requested_gate
from backoffice_shared.mcp.tool import ADD, DESTROY, READ, ToolFacts
from backoffice_shared.principal import LOCAL, Principal

LOOK = ToolFacts("look", READ, "till:read", "notes")
NOTE = ToolFacts("note", ADD, "till:write", "notes")
PAY = ToolFacts("pay", DESTROY, "till:pay", "money")
NEW = ToolFacts("brand_new", ToolAnnotations(), "strange:use", "strange")
EVERY = (LOOK, NOTE, PAY, NEW)

AGENTS = """
agents:
  reader: {clients: [reader-app], scopes: ["till:read"]}
  clerk: {clients: [clerk-app], subjects: [carla], scopes: ["till:read", "till:write"], toolsets: [notes]}
  cashier: {scopes: ["till:read", "till:write", "till:pay"], no_destructive: true}
  boss: {scopes: ["till:read", "till:write", "till:pay"], exclude_tools: [note]}
  onlooker: {scopes: ["till:read", "till:write", "till:pay"], read_only: true}
  picker: {scopes: ["till:read", "till:pay"], tools: [pay]}
"""

MAY = {
    "reader": {"look"},
    "clerk": {"look", "note"},
    "cashier": {"look", "note"},
    "boss": {"look", "pay"},
    "onlooker": {"look"},
    "picker": {"pay"},
    "nobody": set[str](),
}


@pytest.fixture
def access(tmp_path: Path) -> Access:
    file = tmp_path / "agents.yaml"
    file.write_text(AGENTS)
    return Access(OPEN, Agents(file))


def may(access: Access, who: Principal) -> set[str]:
    identified = access.identified(who)
    return {tool.name for tool in EVERY if access.decide(identified, tool).kind == "allow"}


@pytest.mark.parametrize(("agent", "theirs"), MAY.items())
def test_an_agent_may_use_what_its_entry_says_and_nothing_else(access: Access, agent: str, theirs: set[str]):
    assert may(access, caller(agent)) == theirs


def test_every_combination_of_agent_and_granted_scopes_is_the_intersection_of_both(access: Access):
    scopes = [tool.scope for tool in EVERY]
    for agent, chosen in product(MAY, product((False, True), repeat=len(scopes))):
        granted = frozenset(scope for scope, taken in zip(scopes, chosen, strict=True) if taken)
        expected = {tool.name for tool in EVERY if tool.name in MAY[agent] and tool.scope in granted}
        assert may(access, caller(agent, scopes=granted)) == expected, (agent, granted)


def test_a_tool_that_is_new_is_nobodys(access: Access):
    assert all("brand_new" not in may(access, caller(agent)) for agent in MAY)


def test_a_scope_that_is_missing_is_told_only_to_an_agent_that_could_have_it(access: Access):
    narrow = frozenset({"till:read"})
    clerk = access.identified(caller("clerk", scopes=narrow))
    assert access.decide(clerk, NOTE).missing == {"till:write"}
    reader = access.identified(caller("reader", scopes=narrow))
    assert access.decide(reader, NOTE).kind == "hidden"
    assert access.decide(reader, NOTE).missing == frozenset()


def test_oauth_callers_are_found_by_their_client_or_their_subject(access: Access):
    by_client = Principal("x", "oauth", client="clerk-app", scopes=frozenset({"till:read", "till:write"}))
    by_subject = replace(by_client, client="unheard-of", subject="carla")
    assert access.identified(by_client).agent == access.identified(by_subject).agent == "clerk"
    assert access.identified(replace(by_client, client="", subject="")).agent == ""


def test_whoever_is_local_is_a_stranger_too_unless_the_file_says_otherwise(tmp_path: Path, access: Access):
    assert may(access, LOCAL) == set()
    file = tmp_path / "local.yaml"
    file.write_text('agents: {me: {local: true, scopes: ["till:read"]}}')
    assert may(Access(OPEN, Agents(file)), LOCAL) == {"look"}


def test_an_agents_name_in_a_token_is_not_believed(access: Access):
    forged = Principal("x", "oauth", client="reader-app", agent="boss", scopes=None)
    assert access.identified(forged).agent == "reader"


def test_a_stranger_sees_the_data_of_no_system(access: Access):
    assert access.identified(caller("nobody")).systems == frozenset()


def test_without_agents_the_scopes_of_the_credential_decide():
    access = Access(OPEN)
    assert may(access, LOCAL) == {tool.name for tool in EVERY}
    assert may(access, Principal("x", "oauth", scopes=frozenset({"till:read"}))) == {"look"}
    assert may(access, Principal("x", "oauth", scopes=frozenset())) == set()


names = st.frozensets(st.sampled_from(["look", "note", "pay", "brand_new"]))
toolsets = st.frozensets(st.sampled_from(["notes", "money", "strange"]))
gates = st.builds(Gate, toolsets, names, names, st.booleans(), st.booleans())


@given(gates, gates)
def test_a_request_can_narrow_what_the_operator_allows_and_never_widen_it(operators: Gate, asked: Gate):
    said = {
        "backoffice-toolsets": ",".join(asked.toolsets),
        "backoffice-tools": ",".join(asked.tools),
        "backoffice-exclude-tools": ",".join(asked.exclude_tools),
        "backoffice-read-only": str(asked.read_only),
        "backoffice-no-destructive": str(asked.no_destructive),
    }
    headers = Headers(said)
    assert requested_gate(headers) == asked
    access = Access(operators)
    for tool in EVERY:
        allowed = access.decide(LOCAL, tool, headers).kind == "allow"
        assert allowed == (operators.refuses(tool) is None and asked.refuses(tool) is None)


@pytest.mark.parametrize(
    ("granted", "agents", "seen", "parts"),
    [
        (None, "", {"wiki", "desk"}, None),
        (None, "systems: [desk, wiki/SUP]", {"desk", "wiki"}, {"SUP"}),
        (frozenset({"wiki"}), "systems: [desk, wiki/SUP, wiki/OPS]", {"wiki"}, {"SUP", "OPS"}),
        (frozenset({"wiki/SUP", "wiki/HR"}), "systems: [wiki]", {"wiki"}, {"SUP", "HR"}),
        (frozenset({"wiki/SUP", "wiki/HR"}), "systems: [wiki/HR, wiki/OPS]", {"wiki"}, {"HR"}),
        (frozenset({"wiki/SUP"}), "systems: [wiki/OPS]", set[str](), set[str]()),
        (frozenset({"wiki"}), "systems: [wikipedia]", set[str](), set[str]()),
    ],
)
def test_a_bound_on_parts_of_a_system_is_only_ever_narrowed(
    tmp_path: Path, granted: frozenset[str] | None, agents: str, seen: set[str], parts: set[str] | None
):
    file = tmp_path / "agents.yaml"
    file.write_text(f"agents:\n  reader:\n    scopes: []\n    {agents}\n")
    who = replace(caller("reader"), systems=granted)
    identified = Access(OPEN, Agents(file)).identified(who)
    assert {system for system in ("wiki", "desk") if identified.sees(system)} == seen
    assert identified.parts("wiki") == parts


def test_a_scope_is_held_when_both_the_credential_and_the_agent_have_it(access: Access):
    both = access.identified(caller("reader", scopes=frozenset({"till:read", "till:pay"})))
    assert (both.holds("till:read"), both.holds("till:pay")) == (True, False)
    assert access.identified(caller("reader")).scopes == {"till:read"}
    assert not access.identified(caller("nobody")).holds("till:read")
    assert LOCAL.holds("till:read")
