"""agents.yaml: read when it changes, refused when it is wrong, and then the last good one stays in force."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.shared.clocks import ManualClock

from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.agents import LOOK_AGAIN, Agents, read_agents
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


@pytest.mark.parametrize("bad", ["agents: [", "agents: {one: {}}", "nonsense: 1", "", "agents: {one: {scopes: 7}}"])
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
        ("agents: {one: {scopes: [], clients: [c]}, two: {scopes: [], clients: [c]}}", "'c' is in the clients of both"),
        ("agents: {one: {scopes: [], local: true}, two: {scopes: [], local: true}}", "both one and two are local"),
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
