"""What a customer wishes to be sent, and in which language: kept by several systems, changed in all that keep it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from backoffice_customer.directory import Directory
from backoffice_customer.merged import preferences
from backoffice_customer.models import (
    Contact,
    PreferenceChanges,
    PreferencesChanged,
    SystemOutcome,
)
from backoffice_customer.ports import Consents
from backoffice_shared.errors import BackofficeError, InvalidInput, OutcomeUnknown
from backoffice_shared.principal import principal


@dataclass(frozen=True, slots=True)
class _Became:
    """One record, after the change or as it was, and what is to be said about it."""

    contact: Contact | None
    outcome: SystemOutcome
    error: BackofficeError | None = None


@dataclass(frozen=True, slots=True)
class Wishes:
    directory: Directory
    consents: Mapping[str, Consents]

    async def change(
        self, customer_id: str, changes: PreferenceChanges, reason: str, *, dry_run: bool
    ) -> PreferencesChanged:
        """Set these in every system that keeps them, and say for each what became of it.

        Raises:
            InvalidInput: nothing was to change, or no system keeps it.
            BackofficeError: it could be changed nowhere.
        """
        if not changes.fields:
            raise InvalidInput("", 'changes: name what to change, for example {"email_marketing": false}')
        person, sources = await self.directory.person(customer_id)
        keepers = {name: keeper for name, keeper in self.consents.items() if changes.fields & keeper.preference_fields}
        work = [
            self._in(name, keeper, contact, changes, reason, dry_run=dry_run)
            for name, keeper in keepers.items()
            for contact in person.of(name)
        ]
        became = await asyncio.gather(*work)
        became += [_unasked(name, error) for name, error in person.unasked.items() if name in keepers]
        hidden = [name for name in keepers if not principal().sees(name)]
        failures = [entry.error for entry in became if entry.error is not None]
        if failures and len(failures) == len(became):
            raise failures[0]
        if not became:
            raise InvalidInput("", f"no system that knows this customer keeps {', '.join(sorted(changes.fields))}")
        after = {entry.contact.ref: entry.contact for entry in became if entry.contact is not None}
        outcomes = [entry.outcome for entry in became]
        outcomes += [SystemOutcome(system=name, status="skipped", error="is not yours to change") for name in hidden]
        notes = ["not changed everywhere: call again with a new idempotency_key for the systems that failed"]
        return PreferencesChanged(
            customer_id=customer_id,
            before=preferences(person.contacts),
            after=preferences(tuple(after.get(contact.ref, contact) for contact in person.contacts)),
            per_system=outcomes,
            dry_run=dry_run,
            sources=sources,
            notes=notes if failures else [],
        )

    async def _in(
        self,
        system: str,
        keeper: Consents,
        contact: Contact,
        changes: PreferenceChanges,
        reason: str,
        *,
        dry_run: bool,
    ) -> _Became:
        fields = sorted(
            name
            for name in changes.fields & keeper.preference_fields
            if getattr(contact, name) != getattr(changes, name)
        )
        if not fields:
            return _Became(contact, SystemOutcome(system=system, status="unchanged"))
        wanted = PreferenceChanges(**{name: getattr(changes, name) for name in fields})
        if dry_run:
            shown = contact.model_copy(update=wanted.model_dump(exclude_none=True))
            return _Became(shown, SystemOutcome(system=system, status="would_update", fields=fields))
        try:
            changed = await keeper.change_preferences(contact, wanted, reason)
        except OutcomeUnknown as error:
            return _Became(
                contact, SystemOutcome(system=system, status="unknown", fields=fields, error=str(error)), error
            )
        except BackofficeError as error:
            return _Became(
                contact, SystemOutcome(system=system, status="failed", fields=fields, error=str(error)), error
            )
        return _Became(changed, SystemOutcome(system=system, status="updated", fields=fields))


def _unasked(system: str, error: BackofficeError) -> _Became:
    """Whether it knows the customer, nobody can say: it may hold a consent that should have been withdrawn."""
    return _Became(None, SystemOutcome(system=system, status="failed", error=str(error)), error)
