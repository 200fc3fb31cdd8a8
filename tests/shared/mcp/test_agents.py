"""agents.yaml: read when it changes, refused when it is wrong, and then the last good one stays in force."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from tests.shared.clocks import ManualClock

from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.agents import LOOK_AGAIN, Agent, Agents, read_agents
from backoffice_shared.state.limits import Limit

GOOD = 'agents: {one: {scopes: ["a:read"]}}'
OTHER = 'agents: {two: {scopes: ["b:read"]}}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "agents.yaml"
    file.write_text(GOOD)
    return file


def changed(file: Path, content: str) -> None:
    """As an editor or Kubernetes does it: another file in its place, with a later time."""
    later = file.stat().st_mtime_ns + 1_000_000
    fresh = file.with_suffix(".new")
    fresh.write_text(content)
    os.utime(fresh, ns=(later, later))
    fresh.rename(file)


def test_a_changed_file_is_in_force_within_a_second(file: Path, clock: ManualClock):
    agents = Agents(file, clock=clock)
    changed(file, OTHER)
    assert set(agents.current.agents) == {"one"}
    clock.advance(LOOK_AGAIN)
    assert set(agents.current.agents) == {"two"}
    assert agents.fault is None


BAD = [
    "agents: [",
    "agents: {one: {}}",
    "nonsense: 1",
    "",
    "agents: {one: {scopes: 7}}",
    "agents: {one: {scopes: [2026-13-45]}}",
    "agents: {one: &one {scopes: [], tools: *one}}",
    "[" * 500,
    "\0",
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_file_leaves_the_last_good_one_in_force_and_says_why(file: Path, clock: ManualClock, bad: str):
    agents = Agents(file, clock=clock)
    changed(file, bad)
    clock.advance(LOOK_AGAIN)
    assert set(agents.current.agents) == {"one"}
    assert agents.fault is not None
    assert str(file) in agents.fault
    changed(file, OTHER)
    clock.advance(LOOK_AGAIN)
    assert set(agents.current.agents) == {"two"}
    assert agents.fault is None


def test_a_file_that_is_gone_leaves_the_last_good_one_in_force(file: Path, clock: ManualClock):
    agents = Agents(file, clock=clock)
    file.unlink()
    clock.advance(LOOK_AGAIN)
    assert set(agents.current.agents) == {"one"}
    assert agents.fault is not None


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("agents: {one: {scopes: [], sources: []}}", "agents.one.sources: Extra inputs are not permitted"),
        ("agents: {One: {scopes: []}}", "agents.One"),
        ("agents: {one: {scopes: [], rate: [60]}}", "a rate is written like 60/minute"),
        ("agents: {one: {scopes: [], rate: 0/minute}}", "a rate is written like 60/minute"),
        ("agents: {one: {scopes: [], quotas: {money: {eur: 5}}}}", "agents.one.quotas.money"),
        ("agents: {one: {scopes: [], quotas: {calls: -1}}}", "agents.one.quotas.calls"),
        ("agents: {one: {scopes: [], keys: [{id: abcd, sha256: short}]}}", "agents.one.keys.0.sha256"),
        ("agents: {one: {scopes: []}, one: {scopes: [x]}}", "'one' is given twice"),
        ("agents: {one: {scopes: [], clients: [c]}, two: {scopes: [], clients: [c]}}", "the client 'c' is given twice"),
        ("agents: {one: {scopes: [], local: true}, two: {scopes: [], local: true}}", "two agents are local"),
        ("agents: {one: {scopes: [2026-13-45]}}", "is not YAML"),
        ("agents: " + "[" * 500, "is not YAML"),
        ("agents: {one: {scopes: [], clients: ['']}}", "agents.one.clients"),
        (
            "agents: {one: {scopes: [], subjects: [a]}, two: {scopes: [], subjects: [a]}}",
            "the subject 'a' is given twice",
        ),
        ("agents: !!python/object/apply:os.system [true]", "line 1"),
    ],
)
def test_what_has_no_meaning_is_refused_with_a_line_that_says_where(tmp_path: Path, content: str, told: str):
    file = tmp_path / "agents.yaml"
    file.write_text(content)
    with pytest.raises(InvalidInput) as refused:
        read_agents(file)
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_in_another_encoding_leaves_the_last_good_one_in_force(file: Path, clock: ManualClock):
    agents = Agents(file, clock=clock)
    file.write_bytes(b"agents: {one: {scopes: ['\xff']}}")
    os.utime(file, ns=(1, 1))
    clock.advance(LOOK_AGAIN)
    assert set(agents.current.agents) == {"one"}
    assert agents.fault == f"{file}: is not YAML."


def test_the_reference_in_the_documentation_names_every_key_and_its_example_is_good(tmp_path: Path):
    text = (Path(__file__).parents[3] / "docs" / "identity.md").read_text()
    reference = text[text.index("| key of an agent") : text.index("Beside `agents`")].strip()
    named = {key for row in reference.splitlines()[2:] for key in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(Agent.model_fields)
    file = tmp_path / "agents.yaml"
    file.write_text(text[text.index("```yaml") + 8 : text.index("```\n", text.index("```yaml") + 8)])
    assert set(read_agents(file).agents) == {"support", "reporting"}


def test_a_key_is_one_agents(tmp_path: Path):
    file = tmp_path / "agents.yaml"
    key = f"{{id: abcd, sha256: {'ab' * 32}}}"
    file.write_text(f"agents: {{one: {{scopes: [], keys: [{key}]}}, two: {{scopes: [], keys: [{key}]}}}}")
    with pytest.raises(InvalidInput, match="the key 'abcd' is given twice"):
        read_agents(file)


def test_rates_and_quotas_are_what_they_say(tmp_path: Path):
    file = tmp_path / "agents.yaml"
    file.write_text(
        "rate: 600/minute\n"
        "agents: {one: {scopes: [a], rate: [60/minute, 1000/day], tool_rates: {pay: 10/hour},"
        " quotas: {calls: 5, money: {EUR: 100, JPY: 7}}}}"
    )
    read = read_agents(file)
    one = read.agents["one"]
    assert one.rate == (Limit(60, 60), Limit(1000, 86_400))
    assert one.tool_rates == {"pay": (Limit(10, 3600),)}
    assert (one.quotas.calls, one.quotas.money) == (5, {"EUR": 100, "JPY": 7})
    assert read.rate == (Limit(600, 60),)
