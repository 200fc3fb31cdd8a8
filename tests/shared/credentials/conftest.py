"""Fixtures: the servers that secrets come from."""

from __future__ import annotations

from tests.real.openbao import the_openbao, vault
from tests.real.postgres import postgres, the_postgres

__all__ = ["postgres", "the_openbao", "the_postgres", "vault"]
