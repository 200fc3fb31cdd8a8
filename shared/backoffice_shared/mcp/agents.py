"""agents.yaml: what each agent may do. Whoever is not in it may do nothing.

agents:
  support:
    clients: [support-bot]            # OAuth clients (client_id) that are this agent; or subjects: [...]
    keys:                             # or API keys, hashed: `backoffice keys make support` prints one
      - {id: 7Qk2, sha256: 9f86d081...}
    scopes: [customer:read, customer:write]
    toolsets: [profile, tickets]      # or tools: [...]; without both, whatever the scopes allow
    exclude_tools: [create_ticket]
    read_only: false
    systems: [zendesk, confluence/SUP]   # the backends, or parts of them, that it may see and change; without it, all
    rate: [60/minute, 1000/day]
    tool_rates: {create_ticket: [10/hour]}
    quotas: {calls: 2000, records_read: 50000, records_changed: 200, money: {EUR: 50000}}   # a UTC day; minor units
rate: [6000/minute]                   # all agents together

The file is read anew when it changes. A file that cannot be used leaves the last good one in force, and says why.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import arr
from backoffice_shared.mcp.gate import Gate
from backoffice_shared.money import Currency
from backoffice_shared.principal import Principal
from backoffice_shared.state.limits import Limit
from backoffice_shared.yamlfile import read_yaml

log = logging.getLogger("backoffice.agents")

LOOK_AGAIN = 1.0  # seconds between looks at the file
NAME = "^[a-z][a-z0-9_-]{0,63}$"

_SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400}


def _limit(value: object) -> object:
    """`60/minute` as a Limit."""
    found = re.fullmatch(r"(\d{1,9})/(second|minute|hour|day)", value) if isinstance(value, str) else None
    if found is None or int(found[1]) == 0:
        raise ValueError("a rate is written like 60/minute; also second, hour, day")
    return Limit(int(found[1]), _SECONDS[found[2]])


def _limits(value: object) -> object:
    return [_limit(entry) for entry in (arr(value) or [value])]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)


Rates = Annotated[tuple[Limit, ...], BeforeValidator(_limits)]
Amount = Annotated[int, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]
Identity = tuple[Literal["client", "subject", "local", "key"], str]
AgentName = Annotated[str, Field(pattern=NAME)]


class HashedKey(_Strict):
    id: Annotated[str, Field(pattern="^[A-Za-z0-9]{4,32}$")]
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class DayQuotas(_Strict):
    """What one agent may use up in a UTC day. Money is in minor units, by currency; one that is not named has none."""

    calls: Amount | None = None
    records_read: Amount | None = None
    records_changed: Amount | None = None
    money: dict[Currency, Amount] | None = None


class Agent(_Strict):
    clients: frozenset[Name] = frozenset()
    subjects: frozenset[Name] = frozenset()
    local: bool = False
    """Also whoever calls over stdio, or on loopback where nobody is authenticated."""
    keys: tuple[HashedKey, ...] = ()
    scopes: frozenset[str]
    toolsets: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    exclude_tools: frozenset[str] = frozenset()
    read_only: bool = False
    no_destructive: bool = False
    systems: frozenset[str] | None = None
    rate: Rates = ()
    tool_rates: dict[str, Rates] = {}
    quotas: DayQuotas = DayQuotas()

    @cached_property
    def gate(self) -> Gate:
        return Gate(self.toolsets, self.tools, self.exclude_tools, self.read_only, self.no_destructive)

    @property
    def identities(self) -> list[Identity]:
        """Whoever has one of these is this agent."""
        local: list[Identity] = [("local", "")] if self.local else []
        return [*local, *(("client", name) for name in self.clients), *(("subject", name) for name in self.subjects)]


class AgentsFile(_Strict):
    agents: dict[AgentName, Agent]
    rate: Rates = ()

    def named(self, who: Principal) -> str | None:
        """The name of the agent that `who` is; None for a stranger, and for whoever would be two."""
        if who.auth in ("api_key", "assertion"):
            return who.agent if who.agent in self.agents else None
        shown: list[Identity] = (
            [("client", who.client), ("subject", who.subject)] if who.auth == "oauth" else [("local", "")]
        )
        names = {self._owners[identity] for identity in shown if identity in self._owners}
        return names.pop() if len(names) == 1 else None

    @cached_property
    def _owners(self) -> Mapping[Identity, str]:
        return {identity: name for name, agent in self.agents.items() for identity in agent.identities}

    @cached_property
    def keys(self) -> Mapping[str, tuple[str, str]]:
        """By the key's id: the agent's name and the key's SHA-256."""
        return {key.id: (name, key.sha256) for name, agent in self.agents.items() for key in agent.keys}


class Agents:
    """The file in force. `fault` says why a newer one is not."""

    def __init__(self, file: Path, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._file = file
        self._clock = clock
        self._stamp = _stamp(file)
        self._look_at = clock.now() + LOOK_AGAIN
        self._current = read_agents(file)
        self.fault: str | None = None

    @property
    def current(self) -> AgentsFile:
        if self._clock.now() >= self._look_at:
            self._look_at = self._clock.now() + LOOK_AGAIN
            if (stamp := _stamp(self._file)) != self._stamp:
                self._stamp = stamp
                self._reload()
        return self._current

    @property
    def has_keys(self) -> bool:
        """Whether keys are a way to be let in. A server asks this when it starts, and then keeps to it."""
        return any(agent.keys for agent in self._current.agents.values())

    def keys(self) -> Mapping[str, tuple[str, str]]:
        """Those in force now."""
        return self.current.keys

    def _reload(self) -> None:
        try:
            self._current, self.fault = read_agents(self._file), None
            log.warning("%s was read anew: %d agents", self._file, len(self._current.agents))
        except InvalidInput as error:
            self.fault = str(error)
            log.error("the last good agents stay in force: %s", error)


def read_agents(file: Path) -> AgentsFile:
    """The agents in `file`.

    Raises:
        InvalidInput: it cannot be read, is not YAML, or says something that has no meaning. One line says what.
    """
    found = read_yaml(file, AgentsFile)
    _unambiguous(file, found)
    return found


def _unambiguous(file: Path, found: AgentsFile) -> None:
    """One client, subject or key is one agent."""
    identities = [identity for agent in found.agents.values() for identity in agent.identities]
    keys: list[Identity] = [("key", key.id) for agent in found.agents.values() for key in agent.keys]
    for (kind, name), count in Counter([*identities, *keys]).items():
        if count > 1:
            raise InvalidInput(
                "", f"{file}: the {kind} {name!r} is given twice" if name else f"{file}: two agents are local"
            )


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
