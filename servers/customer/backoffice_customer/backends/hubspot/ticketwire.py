"""Tickets as HubSpot has them: what we read of one in our words, and what our words ask for in its."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backoffice_customer.backends.hubspot.access import HUBSPOT
from backoffice_customer.backends.hubspot.records import among, condition, millis
from backoffice_customer.backends.hubspot.stages import Stages
from backoffice_customer.backends.hubspot.threads import Writer
from backoffice_customer.backends.hubspot.translation import Owners
from backoffice_customer.models import Priority, Ref, Ticket, TicketRow, TicketState
from backoffice_customer.ports import TicketQuery
from backoffice_shared.errors import Conflict

TICKET = (
    "subject",
    "content",
    "hs_pipeline",
    "hs_pipeline_stage",
    "hs_ticket_priority",
    "hubspot_owner_id",
    "source_type",
    "createdate",
    "hs_lastmodifieddate",
)
_PRIORITIES: dict[str, Priority] = {"LOW": "low", "MEDIUM": "normal", "HIGH": "high", "URGENT": "urgent"}
NATIVE_PRIORITIES: dict[Priority, str] = {ours: native for native, ours in _PRIORITIES.items()}


# ------------------------------------------------------------------------------------------ our words to the search


def conditions(query: TicketQuery, known: Stages, owners: Owners, who: list[str] | None) -> list[dict[str, Any]] | None:
    """What must hold; None when nothing can."""
    filters: list[dict[str, Any]] = []
    if who is not None:
        filters.append(among("associations.contact", who))
    if query.statuses:
        filters.append(among("hs_pipeline_stage", known.of(query.statuses)))
    if query.priorities:
        filters.append(among("hs_ticket_priority", [NATIVE_PRIORITIES[priority] for priority in query.priorities]))
    if query.assignee == "none":
        filters.append({"propertyName": "hubspot_owner_id", "operator": "NOT_HAS_PROPERTY"})
    elif query.assignee is not None:
        owner = owners.id_of(query.assignee)
        filters.append(among("hubspot_owner_id", [] if owner is None else [owner]))
    if query.updated_since is not None:
        filters.append(condition("hs_lastmodifieddate", "GTE", millis(query.updated_since)))
    possible = all(wanted["operator"] != "IN" or wanted["values"] for wanted in filters)
    return filters if possible else None


# -------------------------------------------------------------------------------------------- wire to our words


def whole(wire: Any) -> Any:
    """The ticket as HubSpot has it, with what every ticket must have."""
    created, modified = wire["properties"]["createdate"], wire["properties"]["hs_lastmodifieddate"]
    for moment in (created, modified):
        datetime.fromisoformat(moment)
    return wire


def row(wire: Any, *, known: Stages, owners: Owners) -> TicketRow:
    properties = wire["properties"]
    return TicketRow(
        ticket_id=str(Ref(HUBSPOT.name, "ticket", wire["id"])),
        subject=properties.get("subject") or "",
        status=known.status(properties.get("hs_pipeline_stage")),
        priority=_PRIORITIES.get(properties.get("hs_ticket_priority") or ""),
        assignee=owners.name(properties.get("hubspot_owner_id")),
        created_at=properties["createdate"],
        updated_at=properties["hs_lastmodifieddate"],
        url=wire.get("url"),
    )


def translated(wire: Any, known: Stages, owners: Owners, writer: Writer | None) -> Ticket:
    """`writer` is who a reply would go to."""
    properties = wire["properties"]
    channel: str | None = properties.get("source_type")
    return Ticket(
        ticket_id=str(Ref(HUBSPOT.name, "ticket", wire["id"])),
        subject=properties.get("subject") or "",
        status=known.status(properties.get("hs_pipeline_stage")),
        priority=_PRIORITIES.get(properties.get("hs_ticket_priority") or ""),
        channel=channel.lower() if channel else None,
        requester=None if writer is None else writer.name,
        email=None if writer is None else writer.email,
        assignee=owners.name(properties.get("hubspot_owner_id")),
        created_at=properties["createdate"],
        updated_at=properties["hs_lastmodifieddate"],
        version=version(wire, writer),
        url=wire.get("url"),
    )


def state(wire: Any, *, known: Stages, seen: str | None) -> TicketState:
    """After a change of ours, by whoever saw the version `seen`: who a reply would go to is as they know it."""
    _, mark, message = (seen or "").partition(_WITH)
    return TicketState(
        ticket_id=str(Ref(HUBSPOT.name, "ticket", wire["id"])),
        status=known.status(wire["properties"].get("hs_pipeline_stage")),
        version=version(wire, None) + mark + message,
    )


def changed(wire: Any, *, before: Any) -> Any:
    """A ticket after a change: HubSpot's answer to that need not name what was not changed."""
    properties = {"hs_lastmodifieddate": wire["updatedAt"], **wire["properties"]}
    return whole({**before, "properties": {**before["properties"], **properties}})


# ----------------------------------------------------------------------------------------------------- versions

_WITH = "/"


def version(wire: Any, writer: Writer | None) -> str:
    """With the message that a reply would answer, where there is one."""
    modified: str = wire["properties"]["hs_lastmodifieddate"]
    return modified if writer is None else f"{modified}{_WITH}{writer.message['id']}"


def is_version(wire: Any, wanted: str) -> bool:
    """Whether the ticket was not modified since. Who would be answered is no matter."""
    return wanted.partition(_WITH)[0] == version(wire, None)


def changed_since(wire: Any, wanted: str) -> Conflict:
    return Conflict(
        HUBSPOT.title,
        f"ticket {wire['id']} was changed since version {wanted[:80]}",
        hint="Read it again, and decide anew",
    )


def contact_ids(wire: Any) -> list[str]:
    rows = wire.get("associations", {}).get("contacts", {}).get("results", [])
    return list(dict.fromkeys(row["id"] for row in rows))
