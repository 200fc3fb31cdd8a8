"""The token that Vault is asked with: renewed while it lives, replaced by one login when it does not.

Vault locks an AppRole out that fails to log in a few times, also for those who then come with the right secret. So
logins are made one at a time, and after one that Vault refused the next waits a second, then two, four, up to a minute.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TypeVar
from urllib.parse import urlsplit

from hvac.exceptions import Forbidden, InvalidPath, InvalidRequest, Unauthorized, VaultDown, VaultError
from requests import RequestException
from requests.exceptions import SSLError, Timeout, TooManyRedirects

from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.vault_login import Client, Granted, Login, granted
from backoffice_shared.errors import BackendUnavailable, BackofficeError, PermissionDenied
from backoffice_shared.redaction import SECRETS
from backoffice_shared.telemetry.metrics import VAULT_LOGIN_FAILURES, VAULT_LOGINS

log = logging.getLogger("backoffice.credentials")

T = TypeVar("T")

RENEW_AT = 2 / 3  # of a token's life
CUT_SHORT = 0.9  # a renewal that grants less than this part of it meets the token's longest life
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
SPREAD = 0.2

_REFUSED = (InvalidRequest, Forbidden, Unauthorized, InvalidPath)


@dataclass(frozen=True, slots=True)
class Alive:
    """A client with a token: made at `since`, to be renewed at `due`, of no use after `ends`."""

    client: Client
    granted: Granted
    since: float
    due: float
    ends: float

    def lasting(self, seconds: float, now: float) -> Alive:
        return replace(self, due=now + RENEW_AT * seconds, ends=now + seconds)


class VaultSession:
    """`connect` makes a client without a token. Used by several threads."""

    def __init__(
        self,
        connect: Callable[[], Client],
        login: Login,
        *,
        clock: Clock = SYSTEM_CLOCK,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._connect = connect
        self._login = login
        self._clock = clock
        self._jitter = jitter
        self._lock = Lock()
        self._alive: Alive | None = None
        self._refusals = 0
        self._useless = 0  # logins that changed nothing
        self._paused_until = float("-inf")

    def ask(self, question: Callable[[Client], T]) -> T:
        """What Vault answers; with a new token, once, when it refuses the one we have.

        Raises:
            PermissionDenied: the policy does not allow it.
            BackendUnavailable: Vault does not answer, or we cannot log in at the moment.
            VaultError: it refused the question.
        """
        alive = self.alive()
        try:
            return self._asked(question, alive)
        except Forbidden as error:
            # A token that is not valid any more and a policy that says no look the same.
            another = self._instead_of(alive)
            if another is alive:
                raise _denied(error) from None
        try:
            answer = self._asked(question, another)
        except Forbidden as error:
            self._useless += 1
            raise _denied(error) from None
        self._useless = 0
        return answer

    def alive(self) -> Alive:
        """The token of the moment, renewed or replaced when it is time."""
        with self._lock:
            alive = self._alive
            if alive is None:
                return self._logged_in()
            if self._clock.now() < alive.due:
                return alive
            try:
                return self._renewed(alive) or self._logged_in()
            except BackofficeError:
                if self._clock.now() >= alive.ends:
                    raise
                return alive

    def left(self) -> float:
        """The seconds that the token of the moment lasts."""
        return self.alive().ends - self._clock.now()

    def close(self) -> None:
        """Take back the token if a login of ours made it, and with it all that was lent to it."""
        with self._lock:
            alive, self._alive = self._alive, None
        if alive is not None and alive.granted.ours:
            self._asked(lambda client: client.auth.token.revoke_self(), alive)

    def _asked(self, question: Callable[[Client], T], alive: Alive) -> T:
        try:
            return question(alive.client)
        except (RequestException, VaultDown) as error:
            raise unavailable(error) from None

    def _instead_of(self, refused: Alive) -> Alive:
        with self._lock:
            age = self._clock.now() - refused.since
            if self._alive is not refused or age < _pause(self._useless):
                return self._alive or self._logged_in()
            return self._logged_in()

    def _renewed(self, alive: Alive) -> Alive | None:
        """The same token for as long again; None when it cannot last."""
        if not alive.granted.renewable:
            return None
        try:
            renewed = granted(self._asked(lambda client: client.auth.token.renew_self(), alive))
        except VaultError:
            return None
        if renewed.seconds < CUT_SHORT * alive.granted.seconds:
            return None
        self._alive = alive.lasting(renewed.seconds, self._clock.now())
        return self._alive

    def _logged_in(self) -> Alive:
        pause = self._paused_until - self._clock.now()
        if pause > 0:
            raise BackendUnavailable("Vault", "the last login failed, and the next one waits", retry_after=pause)
        client = self._connect()
        try:
            grant = self._login(client)
        except (VaultError, RequestException, BackofficeError) as error:
            raise self._failed(error) from None
        client.token = grant.token
        VAULT_LOGINS.inc()
        self._refusals = 0
        now = self._clock.now()
        self._alive = Alive(client, grant, now, now, now).lasting(grant.seconds, now)
        return self._alive

    def _failed(self, error: VaultError | RequestException | BackofficeError) -> BackofficeError:
        VAULT_LOGIN_FAILURES.inc()
        refused = isinstance(error, _REFUSED)
        self._refusals = self._refusals + 1 if refused else 0
        pause = _pause(self._refusals - 1) * (1 + SPREAD * self._jitter())
        self._paused_until = self._clock.now() + pause
        if isinstance(error, BackofficeError):
            return error
        if not refused:
            return unavailable(error)
        why = SECRETS.scrub(", ".join(error.errors or ["no reason given"]))
        log.error("Vault refused the login: %s. The next one is in %.0f s.", why, pause)
        return BackendUnavailable("Vault", f"refused the login: {why}")


def unavailable(error: VaultError | RequestException) -> BackendUnavailable:
    match error:
        case VaultDown():
            return BackendUnavailable("Vault", "is sealed")
        case SSLError():
            return BackendUnavailable("Vault", "has a certificate that is not trusted, or does not speak TLS")
        case TooManyRedirects():
            return BackendUnavailable("Vault", "sends us elsewhere, which we do not follow")
        case Timeout():
            return BackendUnavailable("Vault", "does not answer")
        case RequestException():
            return BackendUnavailable("Vault", "cannot be reached")
        case _:
            return BackendUnavailable("Vault", f"answered with a failure ({type(error).__name__})")


def _denied(error: VaultError) -> PermissionDenied:
    where = urlsplit(str(error.url)).path.removeprefix("/v1/")
    return PermissionDenied("Vault", f"the policy of this server does not allow it ({where})")


def _pause(earlier: int) -> float:
    """How long to wait after so many earlier ones that were in vain."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** max(0, min(earlier, 10)))
