"""May they? One decision, for listing tools and for calling them, so that the two never disagree.

hidden    it is not theirs: to them it does not exist
scope     it could be theirs, with a credential that grants a scope
allow
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from starlette.datastructures import Headers

from backoffice_shared.mcp.agents import Agent, Agents
from backoffice_shared.mcp.gate import Gate, requested_gate
from backoffice_shared.mcp.tool import ToolFacts
from backoffice_shared.principal import Principal
from backoffice_shared.state.limits import Limit


@dataclass(frozen=True, slots=True)
class Decision:
    """`because` is for the operator; a caller only ever learns `missing`, the scopes to ask for."""

    kind: Literal["allow", "hidden", "scope"]
    because: str = ""
    missing: frozenset[str] = frozenset()


ALLOWED = Decision("allow")


class Access:
    """The operator's bound and agents.yaml, when there is one."""

    def __init__(self, gate: Gate, agents: Agents | None = None) -> None:
        self._gate = gate
        self.agents = agents

    def identified(self, who: Principal) -> Principal:
        """`who`, with the agent that they are, the scopes that both their credential and the agent have, and the data
        that they may see."""
        if self.agents is None:
            return who
        file = self.agents.current
        name = file.named(who)
        if name is None:
            return replace(who, agent="", scopes=frozenset(), systems=frozenset())
        agent = file.agents[name]
        scopes, systems = _both(who.scopes, agent.scopes), _both(who.systems, agent.systems)
        return replace(who, agent=name, scopes=scopes, systems=systems)

    def policy(self, who: Principal) -> Agent | None:
        """The entry of agents.yaml for somebody who was identified."""
        return None if self.agents is None else self.agents.current.agents.get(who.agent)

    def shared_rate(self) -> tuple[Limit, ...]:
        return () if self.agents is None else self.agents.current.rate

    def shows(self, who: Principal, tool: ToolFacts, headers: Headers | None = None) -> bool:
        """Is the tool listed to `who`? To the platform all are that the operator lets through: it decides for whom."""
        if who.is_platform:
            return self._gate.refuses(tool) is None
        return self.decide(who, tool, headers).kind == "allow"

    def knows(self, who: Principal) -> bool:
        """Is `who`, as identified, somebody here?"""
        return self.agents is None or who.is_platform or self.policy(who) is not None

    def decide(self, who: Principal, tool: ToolFacts, headers: Headers | None = None) -> Decision:
        """May `who`, as identified, use this tool in a request with these headers?"""
        if who.is_platform:
            return Decision("hidden", "the platform itself calls nothing")
        if (because := self._gate.refuses(tool)) is not None:
            return Decision("hidden", f"the operator's {because}")
        if headers is not None and (because := requested_gate(headers).refuses(tool)) is not None:
            return Decision("hidden", f"the request's {because}")
        if self.agents is not None:
            agent = self.policy(who)
            if agent is None:
                return Decision("hidden", "no agent of agents.yaml")
            if (because := agent.gate.refuses(tool)) is not None:
                return Decision("hidden", f"the agent's {because}")
            if tool.scope not in agent.scopes:
                return Decision("hidden", f"the agent lacks the scope {tool.scope}")
        if who.scopes is not None and tool.scope not in who.scopes:
            return Decision("scope", f"the credential lacks the scope {tool.scope}", frozenset({tool.scope}))
        return ALLOWED


def _both(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    """What both bounds let through. None is no bound."""
    if one is None or other is None:
        return other if one is None else one
    return frozenset(
        narrower
        for narrower, wider in (*product(one, other), *product(other, one))
        if narrower == wider or narrower.startswith(f"{wider}/")
    )
