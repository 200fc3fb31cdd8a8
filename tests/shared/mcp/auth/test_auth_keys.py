"""API keys: made, told from each other, and taken back by a change of agents.yaml."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from tests.shared.clocks import ManualClock

from backoffice_shared.mcp.agents import LOOK_AGAIN, Agents
from backoffice_shared.mcp.auth.commands import key_commands
from backoffice_shared.mcp.auth.keys import ApiKeys, MadeKey, make_key
from backoffice_shared.principal import Principal

pytestmark = pytest.mark.anyio


def entry(made: MadeKey) -> str:
    return f'{{id: {made.id}, sha256: "{made.sha256}"}}'


def known(*made: MadeKey) -> ApiKeys:
    return ApiKeys(lambda: {key.id: ("support", key.sha256) for key in made})


async def test_a_key_is_its_agent_and_another_of_the_same_agent_is_another_subject():
    one, other = make_key(), make_key()
    keys = known(one, other)
    assert await keys.verify(one.key) == Principal(f"key:{one.id}", "api_key", agent="support")
    assert await keys.verify(other.key) == Principal(f"key:{other.id}", "api_key", agent="support")


async def test_what_is_not_the_whole_key_opens_nothing():
    made, stranger = make_key(), make_key()
    keys = known(made)
    secret = made.key.removeprefix(f"bo_{made.id}_")
    for wrong in (
        "",
        "bo_",
        f"bo_{made.id}",
        f"bo_{made.id}_",
        made.key[:-1],
        made.key + "A",
        made.key + "\n",
        made.key.swapcase(),
        made.sha256,
        f"bo_{made.id}_{made.sha256}",
        f"bo_{stranger.id}_{secret}",
        f"bo_{made.id}_{stranger.key.rpartition(stranger.id + '_')[2]}",
        stranger.key,
        "bo_" + "x" * 8_000,
        f"bo_{made.id}_{'é' * 43}",
        f"bo_{made.id}_{chr(0xD800) * 43}",
    ):
        assert await keys.verify(wrong) is None, wrong


@given(st.text())
def test_no_text_is_a_key_by_chance_and_none_breaks_anything(text: str):
    async def verify() -> Principal | None:
        return await known(make_key()).verify(text)

    with pytest.raises(StopIteration) as done:
        verify().send(None)
    assert done.value.value is None


async def test_an_unknown_id_is_hashed_and_compared_like_a_known_one():
    """What takes time is done for both: the lookup is asked for the id, and there is a hash to compare with."""
    asked: list[str] = []

    class Noting(dict[str, tuple[str, str]]):
        def get(self, key: str, default: tuple[str, str]) -> tuple[str, str]:  # pyright: ignore[reportIncompatibleMethodOverride]
            asked.append(key)
            assert len(default[1]) == 64
            return super().get(key, default)

    made, stranger = make_key(), make_key()
    keys = ApiKeys(lambda: Noting({made.id: ("support", made.sha256)}))
    assert await keys.verify(made.key) is not None
    assert await keys.verify(stranger.key) is None
    assert asked == [made.id, stranger.id]


def test_keys_are_long_and_never_the_same():
    made = [make_key() for _ in range(1_000)]
    assert len({key.key for key in made}) == len({key.id for key in made}) == 1_000
    for key in made:
        assert len(key.key) == 3 + 8 + 1 + 43
        assert key.sha256 == hashlib.sha256(key.key.encode()).hexdigest()


async def test_a_key_that_is_taken_out_of_the_file_opens_nothing_within_a_second(tmp_path: Path, clock: ManualClock):
    made, fresh = make_key(), make_key()
    file = tmp_path / "agents.yaml"
    file.write_text(f"agents: {{support: {{scopes: [], keys: [{entry(made)}]}}}}")
    agents = Agents(file, clock=clock)
    keys = ApiKeys(agents.keys)
    assert await keys.verify(made.key) is not None
    file.write_text(f"agents: {{support: {{scopes: [], keys: [{entry(fresh)}]}}}}")
    os.utime(file, ns=(1, 1))
    clock.advance(LOOK_AGAIN)
    assert await keys.verify(made.key) is None
    assert await keys.verify(fresh.key) is not None


# The command


def test_the_command_shows_a_key_once_and_what_the_file_needs(tmp_path: Path):
    made = CliRunner().invoke(key_commands(), ["make", "support"])
    assert made.exit_code == 0
    key = made.stdout.strip()
    assert key not in made.stderr
    file = tmp_path / "agents.yaml"
    said = made.stderr[made.stderr.index("agents:") : made.stderr.index("The key,")]
    [entry] = yaml.safe_load(said)["agents"]["support"]["keys"]
    file.write_text(f"{said.rstrip()}\n    scopes: [customer:read]\n")
    assert Agents(file).keys() == {entry["id"]: ("support", hashlib.sha256(key.encode()).hexdigest())}


@pytest.mark.parametrize("name", ["", "Support", "a b", "../x", "x" * 65, "a\nb"])
def test_a_name_that_no_agent_could_have_is_refused(name: str):
    refused = CliRunner().invoke(key_commands(), ["make", name])
    assert refused.exit_code == 2
    assert refused.stdout == ""
    assert "an agent is named with lower-case letters" in refused.stderr
