"""What every tool call passes, in order. This is the one place where the order is written.

    audited → measured → known → timed → tool

audited   outermost, so that whatever happens to a call leaves exactly one record
measured  counts what the audit records
known     refuses a name that is not on the list before anything is spent on it
timed     bounds what follows

The size of a result is bounded where it is made (`bounded.py`): only there can rows be left out with a cursor.
"""

from __future__ import annotations

from backoffice_shared.mcp.audited import Audited, AuditSink
from backoffice_shared.mcp.known import Known
from backoffice_shared.mcp.measured import Measured
from backoffice_shared.mcp.policy import Effect, Policy
from backoffice_shared.mcp.timed import Timed


def policies(server: str, effect: Effect, sink: AuditSink, *, deadline: float) -> list[Policy]:
    return [Audited(server, sink), Measured(server, effect), Known(effect), Timed(effect, deadline)]
