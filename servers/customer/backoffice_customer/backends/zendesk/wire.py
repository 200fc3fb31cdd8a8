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
    Audit,
    Helpdesk,
    Written,
    author,
    channel,
    requester,
    ticket_id,
)
from backoffice_shared.sandbox.company import Agent, Comment, Person, order_name

Record = dict[str, Any]

_FIRST_ORGANISATION, _FIRST_AUDIT, _FIRST_CHANGE = 700_001, 1_000_000_000, 2_000_000_000
_ORDER_FIELD = 360_001

LOCALES = {"en-US": 1, "de": 8, "fr": 16, "pt-BR": 19, "ja": 67}
"""Those of this account, with their ids."""
_LOCALE_OF = {locale.partition("-")[0]: locale for locale in LOCALES}

_PROMISED = {"urgent": 1, "high": 4, "normal": 8, "low": 24}
"""In how many hours an unsolved ticket of each priority is answered."""
_STAGES = {"new": "active", "open": "active", "pending": "paused", "hold": "paused"}


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
            "updated_at": wire_time(self._helpdesk.changed_at[user_id])
            if user_id in self._helpdesk.changed_at
            else since,
            "time_zone": "UTC",
            "phone": None if agent else user.phone or None,
            "locale": "en-US" if agent else _LOCALE_OF[user.language],
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
        copied, followers = self._helpdesk.copied(ticket), self._helpdesk.followers(ticket)
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
            "collaborator_ids": [*copied, *followers],
            "email_cc_ids": copied,
            "follower_ids": followers,
            "is_public": any(comment.public for comment in comments),
            "due_at": None,
            "tags": list(ticket.tags),
            "custom_fields": [
                {"id": _ORDER_FIELD, "value": None if ticket.order is None else order_name(ticket.order)}
            ],
            "satisfaction_rating": None,
        }

    def promises(self, ticket: AnyTicket) -> Record:
        """The service level that is agreed for a ticket, as a search side-loads it."""
        if ticket.priority is None:
            return {"policy_metrics": []}
        due = ticket.updated_at + timedelta(hours=_PROMISED[ticket.priority])
        stage = _STAGES.get(ticket.status, "achieved")
        return {"policy_metrics": [{"metric": "requester_wait_time", "stage": stage, "breach_at": wire_time(due)}]}

    def comment(self, ticket: AnyTicket, index: int) -> Record:
        comment = self._helpdesk.comments(ticket)[index]
        audits = self._helpdesk.audits(ticket)
        nth = next(n for n, audit in enumerate(audits) if audit.comment == index)
        return {
            "id": _comment_id(ticket, index),
            "type": "Comment",
            "author_id": author(ticket, comment),
            "body": comment.text,
            "html_body": _html(comment),
            "plain_body": comment.text,
            "public": comment.public,
            "attachments": self._attachments(ticket, index),
            "audit_id": _audit_id(ticket, nth),
            "via": _via(channel(ticket)),
            "created_at": wire_time(comment.at),
            "metadata": _metadata(audits[nth]),
        }

    def _attachments(self, ticket: AnyTicket, index: int) -> list[Record]:
        """Every fourth customer sends a photo along."""
        if index > 0 or ticket.number % 4 or ticket.number >= len(self._helpdesk.company.tickets):
            return []
        number = ticket_id(ticket)
        return [
            {
                "id": number,
                "url": f"{self._api}/attachments/{number}.json",
                "file_name": "photo.jpg",
                "content_url": f"{self._api.removesuffix('/api/v2')}/attachments/token/{number:08x}/?name=photo.jpg",
                "content_type": "image/jpeg",
                "size": 180_000 + number,
                "inline": False,
                "deleted": False,
                "thumbnails": [],
            }
        ]

    def audit(self, ticket: AnyTicket, nth: int) -> Record:
        audit = self._helpdesk.audits(ticket)[nth]
        said = [] if audit.comment is None else [self._said(ticket, audit.comment)]
        changes = [
            {
                "id": _FIRST_CHANGE + _comment_id(ticket, nth) * 10 + n,
                "type": "Change",
                "field_name": "assignee_id" if field == "assignee" else field,
                "value": _changed(after),
                "previous_value": _changed(before),
            }
            for n, (field, before, after) in enumerate(audit.changed)
        ]
        comments = self._helpdesk.comments(ticket)
        return {
            "id": _audit_id(ticket, nth),
            "ticket_id": ticket_id(ticket),
            "created_at": wire_time(audit.at),
            "author_id": ME if audit.comment is None else author(ticket, comments[audit.comment]),
            "metadata": _metadata(audit),
            "events": [*said, *changes],
            "via": _via("api" if isinstance(ticket, Written) else channel(ticket)),
        }

    def _said(self, ticket: AnyTicket, index: int) -> Record:
        comment = self._helpdesk.comments(ticket)[index]
        return {
            "id": _comment_id(ticket, index),
            "type": "Comment",
            "author_id": author(ticket, comment),
            "body": comment.text,
            "html_body": _html(comment),
            "public": comment.public,
            "attachments": self._attachments(ticket, index),
        }

    def written(self, ticket: AnyTicket) -> Record:
        """The answer to a write: the ticket, and the record of the write."""
        return {"ticket": self.ticket(ticket), "audit": self.audit(ticket, len(self._helpdesk.audits(ticket)) - 1)}

    def locale(self, name: str) -> Record:
        return {
            "id": LOCALES[name],
            "url": f"{self._api}/locales/{name}.json",
            "locale": name,
            "name": name,
            "created_at": wire_time(self._founded),
            "updated_at": wire_time(self._founded),
        }

    # ------------------------------------------------------------------------ side-loaded: each that is named, once

    def users(self, user_ids: Iterable[int | None]) -> list[Record]:
        return [self.user(n) for n in dict.fromkeys(user_ids) if n is not None and self._helpdesk.knows(n)]

    def users_of(self, tickets: Iterable[Record]) -> list[Record]:
        return self.users(
            chain.from_iterable(
                (t["requester_id"], t["submitter_id"], t["assignee_id"], *t["collaborator_ids"]) for t in tickets
            )
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


def _audit_id(ticket: AnyTicket, nth: int) -> int:
    return _FIRST_AUDIT + _comment_id(ticket, nth)


def _metadata(audit: Audit) -> Record:
    return {"system": {}, "custom": dict(audit.custom)}


def _html(comment: Comment) -> str:
    return f'<div class="zd-comment" dir="auto"><p>{escape(comment.text)}</p></div>'


def _changed(value: Any) -> Any:
    """Audits have numbers as text."""
    return str(value) if isinstance(value, int) else value


def _via(name: str) -> Record:
    return {"channel": name, "source": {"from": {}, "to": {}, "rel": None}}
