"""An account of the call under way: what its audit record will say, written down by those who know it."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Account:
    """`upstream` counts attempts by backend and holds the last HTTP status, 0 when there was none. `policy` names
    what denied or shed the call.

    `event` is "tool.forward" while another server of ours has the call, and keeps its record; `elsewhere` once that
    one has answered, so that nothing is to be recorded here.
    """

    event: Literal["tool.call", "tool.forward"] = "tool.call"
    decision: Literal["allow", "deny", "shed"] = "allow"
    policy: str = ""
    upstream: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    secret_versions: dict[str, str] = field(default_factory=dict[str, str])
    elsewhere: bool = False


_account: ContextVar[Account | None] = ContextVar("account", default=None)


@contextmanager
def accounting() -> Generator[Account]:
    """A fresh account for the call made in this block."""
    token = _account.set(account := Account())
    try:
        yield account
    finally:
        _account.reset(token)


def denied(policy: str) -> None:
    _decided("deny", policy)


def shed(policy: str) -> None:
    _decided("shed", policy)


def attempted(upstream: str, status: int) -> None:
    """One attempt at a backend: its HTTP status, or 0 when no answer came."""
    if (account := _account.get()) is not None:
        attempts, last = account.upstream.get(upstream, (0, 0))
        account.upstream[upstream] = (attempts + 1, status or last)


def used_secret(path: str, version: str) -> None:
    if (account := _account.get()) is not None:
        account.secret_versions[path] = version


def handed_over() -> None:
    """Another server of ours has the call, as far as we know."""
    if (account := _account.get()) is not None:
        account.event = "tool.forward"


def came_back() -> None:
    """It never got there: the record is ours to keep."""
    if (account := _account.get()) is not None:
        account.event = "tool.call"


def kept_elsewhere() -> None:
    """It answered, and has its record."""
    if (account := _account.get()) is not None:
        account.elsewhere = True


def _decided(decision: Literal["deny", "shed"], policy: str) -> None:
    if (account := _account.get()) is not None:
        account.decision, account.policy = decision, policy
