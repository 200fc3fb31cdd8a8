"""The helpdesk's records as Zendesk writes them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from html import escape
from itertools import chain
from typing import Any

from backoffice_customer.backends.zendesk.helpdesk import (
    ME,
    AnyTicket,
    Helpdesk,
    Written,
    author,
    channel,
    requester,
    ticket_id,
)
from backoffice_shared.sandbox.company import Agent, Person, order_name

Record = dict[str, Any]

_FIRST_ORGANISATION, _FIRST_AUDIT = 700_001, 1_000_000_000
_ORDER_FIELD = 360_001


class Wire:
    """`api` is the address of the API on the host that was asked, which records' own addresses begin with."""

    def __init__(self, helpdesk: Helpdesk, api: str) -> None:
        self._helpdesk = helpdesk
        self._api = api
        self._founded = helpdesk.company.today - timedelta(days=2000)

    def user(self, user_id: int) -> Record:
        user = self._helpdesk.user(user_id)
        agent = isinstance(user, Agent)
        since = wire_time(self._founded if agent else user.since)
        return {
            "id": user_id,
            "url": f"{self._api}/users/{user_id}.json",
            "name": user.name.strip(),
            "email": user.email,
            "created_at": since,
            "updated_at": since,
            "time_zone": "UTC",
            "phone": None if agent else user.phone or None,
            "locale": "en-US" if agent else {"en": "en-US", "pt": "pt-BR"}.get(user.language, user.language),
            "organization_id": None if agent else _organisation_id(user),
            "role": "agent" if agent else "end-user",
            "verified": True,
            "external_id": None,
            "tags": [] if agent else [user.tier],
            "active": True,
            "last_login_at": None,
            "suspended": False,
            "user_fields": {},
        }

    def ticket(self, ticket: AnyTicket) -> Record:
        number, comments = ticket_id(ticket), self._helpdesk.comments(ticket)
        person = self._helpdesk.people.get(requester(ticket))
        return {
            "id": number,
            "url": f"{self._api}/tickets/{number}.json",
            "external_id": None,
            "via": _via(channel(ticket)),
            "created_at": wire_time(ticket.created_at),
            "updated_at": wire_time(ticket.updated_at),
            "type": None,
            "subject": ticket.subject,
            "description": comments[0].text,
            "priority": ticket.priority,
            "status": ticket.status,
            "requester_id": requester(ticket),
            "submitter_id": author(ticket, comments[0]),
            "assignee_id": self._helpdesk.assignee(ticket),
            "organization_id": None if person is None else _organisation_id(person),
            "group_id": None,
            "collaborator_ids": [],
            "follower_ids": [],
            "is_public": any(comment.public for comment in comments),
            "due_at": None,
            "tags": list(ticket.tags),
            "custom_fields": [
                {"id": _ORDER_FIELD, "value": None if ticket.order is None else order_name(ticket.order)}
            ],
            "satisfaction_rating": None,
        }

    def comment(self, ticket: AnyTicket, index: int) -> Record:
        comment = self._helpdesk.comments(ticket)[index]
        return {
            "id": _comment_id(ticket, index),
            "type": "Comment",
            "author_id": author(ticket, comment),
            "body": comment.text,
            "html_body": f'<div class="zd-comment" dir="auto"><p>{escape(comment.text)}</p></div>',
            "plain_body": comment.text,
            "public": comment.public,
            "attachments": [],
            "audit_id": _FIRST_AUDIT + _comment_id(ticket, index),
            "via": _via(channel(ticket)),
            "created_at": wire_time(comment.at),
            "metadata": {"system": {}, "custom": {}},
        }

    def written(self, ticket: Written) -> Record:
        """The answer to a write: the ticket, and the record of the write."""
        audit: Record = {
            "id": _FIRST_AUDIT + _comment_id(ticket, len(ticket.comments) - 1),
            "ticket_id": ticket_id(ticket),
            "created_at": wire_time(ticket.updated_at),
            "author_id": ME,
            "metadata": {"system": {}, "custom": {}},
            "events": [],
            "via": _via("api"),
        }
        return {"ticket": self.ticket(ticket), "audit": audit}

    # ------------------------------------------------------------------------ side-loaded: each that is named, once

    def users(self, user_ids: Iterable[int | None]) -> list[Record]:
        return [self.user(n) for n in dict.fromkeys(user_ids) if n is not None and self._helpdesk.knows(n)]

    def users_of(self, tickets: Iterable[Record]) -> list[Record]:
        return self.users(
            chain.from_iterable((t["requester_id"], t["submitter_id"], t["assignee_id"]) for t in tickets)
        )

    def organisations_of(self, users: Iterable[Record]) -> list[Record]:
        return [
            self._organisation(n) for n in dict.fromkeys(user["organization_id"] for user in users) if n is not None
        ]

    def _organisation(self, organisation_id: int) -> Record:
        organisation = self._helpdesk.company.organisations[organisation_id - _FIRST_ORGANISATION]
        return {
            "id": organisation_id,
            "url": f"{self._api}/organizations/{organisation_id}.json",
            "name": organisation.name,
            "domain_names": [organisation.domain],
            "created_at": wire_time(self._founded),
            "updated_at": wire_time(self._founded),
            "tags": [],
        }


def wire_time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _organisation_id(person: Person) -> int | None:
    return None if person.organisation is None else _FIRST_ORGANISATION + person.organisation


def _comment_id(ticket: AnyTicket, index: int) -> int:
    return ticket_id(ticket) * 1_000 + index


def _via(name: str) -> Record:
    return {"channel": name, "source": {"from": {}, "to": {}, "rel": None}}
