"""What every tool call passes, in order. This is the one place where the order is written.

    identified → audited → measured → limited → authorised → wellformed
        → shedding → timed → idempotent → metered → intended → tool

identified  outermost, so that everything else knows which agent calls and what it may see
audited     whatever happens to a call leaves exactly one record
measured    counts what the audit records
limited     before anything is looked up: guessing names costs as much as calling
authorised  refuses what is not theirs, before anything is spent on it
wellformed  what follows stores, compares and passes on what was given, so it must be JSON
shedding    a place among the calls under way
timed       bounds what follows
idempotent  a repetition is answered from its record, and uses up nothing
metered     counts what an agent may use up in a day, once for each effect
intended    last, when nothing else can refuse: the audit says that it is going to happen

Who calls is settled before, by `auth/`; the size of a result where it is made (`bounded.py`), as only there can rows
be left out with a cursor.

The platform passes a call to a server of ours on with its principal, and that server applies all this. So that
nothing is counted twice, the platform leaves limits and quotas to it (`elsewhere`).
"""

from __future__ import annotations

from collections.abc import Callable

from backoffice_shared.mcp.audited import Audited
from backoffice_shared.mcp.authorised import Authorised
from backoffice_shared.mcp.foundation import Foundation
from backoffice_shared.mcp.idempotent import Idempotent
from backoffice_shared.mcp.identified import Identified
from backoffice_shared.mcp.intended import Intended
from backoffice_shared.mcp.limited import Limited
from backoffice_shared.mcp.measured import Measured
from backoffice_shared.mcp.metered import Metered
from backoffice_shared.mcp.policy import Policy
from backoffice_shared.mcp.shed import Shedding
from backoffice_shared.mcp.timed import Timed
from backoffice_shared.mcp.tool import Lookup
from backoffice_shared.mcp.wellformed import Wellformed


def policies(
    server: str,
    lookup: Lookup,
    on: Foundation,
    *,
    deadline: float,
    elsewhere: Callable[[str], bool] = lambda _name: False,
) -> list[Policy]:
    audited = Audited(server, lookup, on.audit)
    here: Lookup = lambda name: None if elsewhere(name) else lookup(name)  # noqa: E731
    return [
        Identified(on.access),
        audited,
        Measured(server, lookup),
        Limited(server, on.access, on.state.limits, elsewhere=elsewhere),
        Authorised(server, lookup, on.access),
        Wellformed(here),
        Shedding(server, lookup, on.load),
        Timed(server, lookup, deadline),
        Idempotent(server, here, on.state.records),
        Metered(server, here, on.access, on.state.quotas),
        Intended(here, audited.announce),
    ]
