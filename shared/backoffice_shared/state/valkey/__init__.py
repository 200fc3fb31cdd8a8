"""State that all replicas share, in Valkey or Redis: limits, quotas, turns at vendors, cached answers, notifications.

One primary, 7 or newer. Every key begins with `{backoffice}:`, so that all are in one slot of whatever shards them.
It must be private to these servers, and must forget nothing by itself: `maxmemory-policy noeviction`, and
`appendonly yes`, without which a restart forgets what was used of limits and of what processes that have ended spent.
"""

from __future__ import annotations

from importlib.util import find_spec

from backoffice_shared.errors import InvalidInput

if find_spec("valkey") is None:
    raise InvalidInput(
        "", "Valkey needs a library that is not installed (valkey)", hint="Install backoffice-shared[valkey]"
    )
