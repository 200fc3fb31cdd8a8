"""The billing server over the sandbox company, in this process, and a client that has connected to it."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from tests.office import Office, office_of, said, unhurried

from backoffice_billing.server import SERVER

__all__ = ["Office", "counter", "said", "unhurried"]


def counter(**given: Any) -> AbstractAsyncContextManager[Office]:
    """`given` as `office_of` takes it."""
    return office_of(SERVER, **given)
