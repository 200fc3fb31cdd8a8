"""Logins are made one at a time, and those that Vault refuses ever more seldom."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import requests
from hvac.exceptions import InvalidRequest
from tests.shared.clocks import ManualClock

from backoffice_shared.credentials.vault_login import Client, Granted
from backoffice_shared.credentials.vault_session import VaultSession
from backoffice_shared.errors import BackendUnavailable


class Door:
    """A Vault that refuses logins with `why`, or lets in when there is none; and counts those who came."""

    def __init__(self, why: Exception | None = None) -> None:
        self.why = why
        self.came_at: list[float] = []
        self.at_once = self.most_at_once = 0
        self._lock = threading.Lock()

    def session(self, clock: ManualClock, jitter: float = 0.0) -> VaultSession:
        def login(_client: Client) -> Granted:
            with self._lock:
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            self.came_at.append(clock.now())
            threading.Event().wait(0.01)
            with self._lock:
                self.at_once -= 1
            if self.why is not None:
                raise self.why
            return Granted("a-token", 3600, renewable=False)

        return VaultSession(SimpleNamespace, login, clock=clock, jitter=lambda: jitter)


def _token(client: Client) -> str:
    return client.token


def knock(session: VaultSession, clock: ManualClock, *, seconds: int) -> None:
    """Try ten times a second."""
    for _ in range(seconds * 10):
        with pytest.raises(BackendUnavailable):
            session.ask(_token)
        clock.advance(0.1)


REFUSED = InvalidRequest("invalid role or secret ID", errors=["invalid role or secret ID"])


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_after_a_refused_login_the_next_waits_twice_as_long_up_to_a_minute(clock: ManualClock, jitter: float) -> None:
    door = Door(REFUSED)
    knock(door.session(clock, jitter), clock, seconds=400)
    pauses = [later - earlier for earlier, later in zip(door.came_at, door.came_at[1:], strict=False)]
    expected = [seconds * (1 + 0.2 * jitter) for seconds in (1, 2, 4, 8, 16, 32, 60, 60)]
    assert pauses[:8] == [pytest.approx(seconds, abs=0.15) for seconds in expected]


def test_a_vault_that_is_not_there_is_tried_every_second(clock: ManualClock) -> None:
    door = Door(requests.ConnectionError("no"))
    knock(door.session(clock), clock, seconds=30)
    assert 27 <= len(door.came_at) <= 30


def test_a_login_that_succeeds_makes_the_next_refusal_the_first_again(clock: ManualClock) -> None:
    door = Door(REFUSED)
    session = door.session(clock)
    knock(session, clock, seconds=20)
    door.why = None
    clock.advance(60)
    assert session.ask(_token) == "a-token"
    door.why, clock.time = REFUSED, clock.time + 3601
    knock(session, clock, seconds=3)
    assert door.came_at[-1] - door.came_at[-2] == pytest.approx(1, abs=0.15)


def test_many_who_need_a_token_share_one_login(clock: ManualClock) -> None:
    door = Door()
    session = door.session(clock)
    with ThreadPoolExecutor(16) as threads:
        asked = [threads.submit(session.ask, _token) for _ in range(64)]
    tokens = {one.result() for one in asked}
    assert (tokens, len(door.came_at), door.most_at_once) == ({"a-token"}, 1, 1)


def test_the_refusal_tells_what_vault_said_and_when_the_next_login_is(clock: ManualClock) -> None:
    session = Door(REFUSED).session(clock)
    told: list[str] = []
    for _ in range(2):
        with pytest.raises(BackendUnavailable) as raised:
            session.ask(_token)
        told.append(str(raised.value))
    assert told == [
        "Vault: refused the login: invalid role or secret ID.",
        "Vault: the last login failed, and the next one waits. Try again in 1 s.",
    ]
