"""What humans were asked to agree to, and what they said.

An approval is for one exact payload: its digest. It is good once, for whoever asked, and never given by them. What needs
two is given by two.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, Protocol

from backoffice_shared.jsonvalues import canonical

ApprovalState = Literal["pending", "approved", "denied", "used", "expired"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be approved. `payload` is what an approver is shown, and its digest what is bound; `requester` is the
    `Principal.key` of whoever asks, `requested_by` what people call them. `role` is what an approver must hold, `needed`
    how many must agree, `rule` the policy's rule that wants it."""

    action: str
    payload: Mapping[str, Any]
    requester: str
    requested_by: str
    role: str
    rule: str
    needed: int = 1


@dataclass(frozen=True, slots=True)
class Approval:
    """`approvers` are what people call those who agreed so far; `reason` is what the one who denied it said."""

    approval_id: str
    wanted: Wanted
    digest: str
    state: ApprovalState
    created_at: datetime
    expires_at: datetime
    approvers: tuple[str, ...] = ()
    reason: str = ""


class Approvals(Protocol):
    """Every method raises BackendUnavailable when the store cannot be asked; nothing may be done then."""

    async def ask(self, wanted: Wanted, *, lasts: timedelta | None = None) -> Approval:
        """The approval that this requester has already asked for and can still get or use, or a new one, pending. It `lasts` that long, or as the
        store has it."""
        ...

    async def get(self, approval_id: str) -> Approval:
        """
        Raises:
            NotFound: there is none.
        """
        ...

    async def pending(self) -> list[Approval]:
        """Oldest first."""
        ...

    async def decide(self, approval_id: str, *, approver: str, named: str, agrees: bool, reason: str = "") -> Approval:
        """Agree or deny. `approver` is their `Principal.key`, `named` what people call them. Whether they hold the role, the
        caller has seen to.

        Raises:
            NotFound: there is none.
            PermissionDenied: they asked for it themselves.
            Conflict: it is not pending any more, or they have agreed already.
        """
        ...

    async def use(self, approval_id: str, wanted: Wanted, *, by: str) -> Approval:
        """Use it up, for this and nothing else. `by` is the call's own key: the same call may use it again.

        Raises:
            NotFound: there is none.
            ApprovalRequired: it is still pending.
            PermissionDenied: it was denied, or is somebody else's.
            Conflict: it has expired, was used by another call, or is for something else.
        """
        ...


def digest_of(wanted: Wanted) -> str:
    """What is bound: the action and the whole payload."""
    return hashlib.sha256(canonical([wanted.action, dict(wanted.payload)]).encode("utf-8", "surrogatepass")).hexdigest()
