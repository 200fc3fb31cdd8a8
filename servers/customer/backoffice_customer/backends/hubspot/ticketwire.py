"""Tickets as HubSpot has them: what we read of one in our words, and what our words ask for in its."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from backoffice_customer.backends.hubspot.access import HUBSPOT
from backoffice_customer.backends.hubspot.records import among, condition, millis
from backoffice_customer.backends.hubspot.stages import Stages
from backoffice_customer.backends.hubspot.translation import Owners
from backoffice_customer.models import Priority, Ref, Ticket, TicketRow
from backoffice_customer.ports import TicketQuery

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


def translated(wire: Any, known: Stages, owners: Owners) -> Ticket:
    properties = wire["properties"]
    channel: str | None = properties.get("source_type")
    return Ticket(
        ticket_id=str(Ref(HUBSPOT.name, "ticket", wire["id"])),
        subject=properties.get("subject") or "",
        status=known.status(properties.get("hs_pipeline_stage")),
        priority=_PRIORITIES.get(properties.get("hs_ticket_priority") or ""),
        channel=channel.lower() if channel else None,
        assignee=owners.name(properties.get("hubspot_owner_id")),
        created_at=properties["createdate"],
        updated_at=properties["hs_lastmodifieddate"],
        version=properties["hs_lastmodifieddate"],
        url=wire.get("url"),
    )


def contact_ids(wire: Any) -> list[str]:
    rows = wire.get("associations", {}).get("contacts", {}).get("results", [])
    return list(dict.fromkeys(row["id"] for row in rows))
