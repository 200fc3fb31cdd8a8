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
    systems: [zendesk, hubspot]       # the backends whose data it may see; without it, all
    rate: [60/minute, 1000/day]
    tool_rates: {create_ticket: [10/hour]}
    quotas: {calls: 2000, records_read: 50000, records_changed: 200, money: {EUR: 50000}}   # a UTC day; minor units
rate: [6000/minute]                   # all agents together

The file is read anew when it changes. A file that cannot be used leaves the last good one in force, and says why.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import arr
from backoffice_shared.mcp.gate import Gate
from backoffice_shared.money import Currency
from backoffice_shared.principal import Principal
from backoffice_shared.state.limits import Limit

log = logging.getLogger("backoffice.agents")

LOOK_AGAIN = 1.0  # seconds between looks at the file

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
    clients: frozenset[str] = frozenset()
    subjects: frozenset[str] = frozenset()
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

    @property
    def gate(self) -> Gate:
        return Gate(self.toolsets, self.tools, self.exclude_tools, self.read_only, self.no_destructive)


class AgentsFile(_Strict):
    agents: dict[Annotated[str, Field(pattern="^[a-z][a-z0-9_-]{0,63}$")], Agent]
    rate: Rates = ()

    def named(self, who: Principal) -> str | None:
        """The name of the agent that `who` is; None for a stranger."""
        if who.auth in ("api_key", "assertion"):
            return who.agent if who.agent in self.agents else None
        for name, agent in self.agents.items():
            if agent.local if who.auth == "none" else who.client in agent.clients or who.subject in agent.subjects:
                return name
        return None

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
        """Keys are a way to be let in, also when they come only later."""
        return any(agent.keys for agent in self._current.agents.values())

    def keys(self) -> Mapping[str, tuple[str, str]]:
        """Those in force now."""
        return self.current.keys()

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
    try:
        content: Any = yaml.load(file.read_text(), _Unambiguous)  # noqa: S506 - a SafeLoader, made stricter
    except OSError as error:
        raise InvalidInput("", f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput("", f"{file}{where}: {getattr(error, 'problem', None) or 'is not YAML'}") from None
    try:
        found = AgentsFile.model_validate(content)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise InvalidInput("", f"{file}: {where}: {fault['msg']}") from None
    _unambiguous(file, found)
    return found


class _Unambiguous(yaml.SafeLoader):
    """Refuses a key that is given twice: of two policies for one agent, nobody can say which is meant."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        names = [str(key.value) for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _unambiguous(file: Path, found: AgentsFile) -> None:
    """One client, subject or key is one agent."""
    for what in ("clients", "subjects"):
        owner: dict[str, str] = {}
        for name, agent in found.agents.items():
            for identity in getattr(agent, what):
                if (other := owner.setdefault(identity, name)) != name:
                    raise InvalidInput("", f"{file}: {identity!r} is in the {what} of both {other} and {name}")
    ids = [key.id for agent in found.agents.values() for key in agent.keys]
    if twice := [identity for identity in ids if ids.count(identity) > 1]:
        raise InvalidInput("", f"{file}: the key {twice[0]!r} is given twice")
    local = [name for name, agent in found.agents.items() if agent.local]
    if len(local) > 1:
        raise InvalidInput("", f"{file}: both {local[0]} and {local[1]} are local")


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        status = file.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
