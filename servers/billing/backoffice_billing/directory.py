"""Whom a `customer_id` means: an id of one billing system, or an e-mail address, in each of them.

An id means itself where it is from, and in other systems whoever has the same address. An address means everybody who
has it: all of them when something is read; a write needs exactly one. Nothing else joins accounts, and nobody is
guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from backoffice_billing.models import Account, AccountSection
from backoffice_billing.models import Accounts as AccountList
from backoffice_billing.ports import Accounts
from backoffice_shared.errors import BackofficeError, InvalidInput, NotFound
from backoffice_shared.principal import principal
from backoffice_shared.refs import Ref, parse_ref
from backoffice_shared.sources import Source, at_once, fan_out, must_see, together

MOST = 20
"""Customers of one call, as the ports have it."""
_AT_ONCE = 5  # addresses looked up in one system at a time
_NO_SECTIONS: frozenset[AccountSection] = frozenset()


@dataclass(frozen=True, slots=True)
class Found:
    """Who is meant. `natives` are the ids in each system that has somebody, and `emails` the addresses they were
    found by.

    `unasked`: the systems that may know this customer, and why they could not say. What is read goes by `natives` and
    names these; none of them is left out in silence.
    """

    asked: str
    natives: Mapping[str, tuple[str, ...]]
    emails: tuple[str, ...]
    sources: list[Source]
    unasked: Mapping[str, BackofficeError] = field(default_factory=dict[str, BackofficeError])

    def of(self, system: str) -> tuple[str, ...]:
        return self.natives.get(system, ())

    @property
    def known_as(self) -> list[str]:
        """By what they are asked for: an answer that was found by these is continued only by these."""
        return [self.asked, *sorted(email.casefold() for email in self.emails)]

    def must_be_whole(self, cursor: str | None) -> None:
        """
        Raises:
            BackofficeError: a page is to be continued, and a system cannot say now who this is to it.
        """
        if cursor is not None and self.unasked:
            raise next(iter(self.unasked.values()))


@dataclass(frozen=True, slots=True)
class Directory:
    """`systems` in the order in which their accounts are shown."""

    systems: Mapping[str, Accounts]

    def kind(self, system: str) -> str:
        """The kind of its ids: "customer" or "contact"."""
        return self.systems[system].account_kind

    async def address(self, customer_id: str) -> str | None:
        """The customer's e-mail address; None when their account has none.

        Raises:
            NotFound: nobody has this id.
            BackofficeError: the system could not say.
        """
        who = self._asked(customer_id)
        return who if isinstance(who, str) else next(iter(await self._addresses_of(who)), None)

    async def find(self, customer_id: str) -> Found:
        """
        Raises:
            InvalidInput: it is neither an id of a system that is here nor an address.
            NotFound: nobody is meant, and every system said so.
            PermissionDenied: the id is of a system that the caller may not see.
            BackofficeError: no system could say.
        """
        who = self._asked(customer_id)
        if isinstance(who, str):
            return await self._by_address(who)
        must_see(who.backend)
        own = await fan_out({who.backend: partial(self.systems[who.backend].accounts, [who.native], _NO_SECTIONS)})
        if (error := own.errors.get(who.backend)) is not None:
            return self._unjoined(who, error, own.sources)
        if not own.values[who.backend]:
            raise NotFound("", f"there is no customer {customer_id!r}", hint="search_invoices shows customers' ids")
        emails = _addresses(own.values[who.backend])
        others = [system for system in self.systems if system != who.backend] if emails else []
        found = await fan_out({system: partial(self._having, system, emails) for system in others})
        natives = {who.backend: (who.native,)} | {
            system: tuple(native_of(account) for account in accounts)
            for system, accounts in found.values.items()
            if accounts
        }
        return Found(str(who), natives, emails, together(own.sources, found.sources), found.errors)

    async def one(self, customer_id: str, system: str) -> str:
        """The native id of the one account there that is meant: what a write is done to. An id of that system is it.

        Raises:
            InvalidInput: several are meant; the sentence names them. Or it is not a customer's id.
            NotFound: that system has nobody with this address.
            BackofficeError: the system could not say.
        """
        who = self._asked(customer_id)
        must_see(system)
        if system not in self.systems:
            raise InvalidInput(
                "", f"this server has no customers in {system!r}", hint=f"It has {', '.join(self.systems)}"
            )
        if isinstance(who, Ref) and who.backend == system:
            return who.native
        emails = (who,) if isinstance(who, str) else await self._addresses_of(who)
        accounts = await self._having(system, emails)
        if not accounts:
            raise NotFound(
                "", f"{system} has no customer who is {customer_id!r}", hint=f"Give the id that they have in {system}"
            )
        if len(accounts) > 1:
            ids = ", ".join(sorted(account.customer_id for account in accounts))
            raise InvalidInput(
                "", f"{customer_id!r} means several customers of {system}: {ids}", hint="Give the id of one"
            )
        return native_of(accounts[0])

    async def accounts(self, customer_ids: Sequence[str], sections: frozenset[AccountSection]) -> AccountList:
        """The accounts of these customers, at most `MOST`: one row for each account in each system, in the order asked.

        Raises:
            InvalidInput: something is not a customer's id, or there are too many.
            BackofficeError: every system failed.
        """
        asked = {text: self._asked(text) for text in dict.fromkeys(customer_ids)}
        if len(asked) > MOST:
            raise InvalidInput("", f"customer_ids: {len(asked)} are too many", hint=f"At most {MOST} at once")
        refs = [who for who in asked.values() if isinstance(who, Ref)]
        addresses = tuple(dict.fromkeys(who for who in asked.values() if isinstance(who, str)))
        own = {system: [ref.native for ref in refs if ref.backend == system] for system in self.systems}
        first = await fan_out(
            {
                system: partial(self._known, system, natives, addresses, sections)
                for system, natives in own.items()
                if natives or addresses
            },
            share=0.5,
        )
        first.or_raise()
        owners = [account for known in first.values.values() for account in known.by_id.values()]
        further = {
            system: tuple(
                email
                for email in _addresses(a for a in owners if a.customer_id.partition(":")[0] != system)
                if email.casefold() not in first.values.get(system, _NOBODY).by_email
            )
            for system in self.systems
            if system not in first.errors
        }
        then = await fan_out(
            {system: partial(self._known, system, (), emails, sections) for system, emails in further.items() if emails}
        )
        known = {
            system: first.values.get(system, _NOBODY).and_also(then.values.get(system, _NOBODY))
            for system in self.systems
        }
        return self._listed(asked, known, together(first.sources, then.sources))

    def _listed(
        self, asked: Mapping[str, Ref | str], known: Mapping[str, _Known], sources: list[Source]
    ) -> AccountList:
        rows: dict[str, Account] = {}
        not_found: list[str] = []
        notes: list[str] = []
        for text, who in asked.items():
            mine = _meant(who, known)
            systems = [who.backend] if isinstance(who, Ref) else list(self.systems)
            lacking = [s.backend for s in sources if s.backend in systems and s.status in ("error", "skipped")]
            if not mine and lacking:
                why = (f"{s} {'did not answer' if principal().sees(s) else 'may not be seen by you'}" for s in lacking)
                notes.append(f"{text} was not found, but {', '.join(why)}")
            elif not mine:
                not_found.append(text)
            rows |= {account.customer_id: account for account in mine if account.customer_id not in rows}
        return AccountList(items=list(rows.values()), not_found=not_found, sources=sources, notes=notes)

    async def _known(
        self, system: str, natives: Sequence[str], emails: Sequence[str], sections: frozenset[AccountSection]
    ) -> _Known:
        """What one system has under these ids and addresses."""
        accounts = self.systems[system]
        by_id = await accounts.accounts(natives, sections) if natives else []
        by_email: dict[str, list[Account]] = {}
        for start in range(0, len(emails), _AT_ONCE):
            asked = emails[start : start + _AT_ONCE]
            answers = await at_once(*(accounts.accounts_by_email(email, sections) for email in asked))
            by_email |= {email.casefold(): found for email, found in zip(asked, answers, strict=True)}
        return _Known({account.customer_id: account for account in by_id}, by_email)

    async def _having(self, system: str, emails: Sequence[str]) -> list[Account]:
        """Everybody there with one of these addresses, each once."""
        known = await self._known(system, (), emails, _NO_SECTIONS)
        return list({a.customer_id: a for accounts in known.by_email.values() for a in accounts}.values())

    async def _by_address(self, email: str) -> Found:
        answers = (
            await fan_out({system: partial(self._having, system, (email,)) for system in self.systems})
        ).or_raise()
        natives = {
            system: tuple(native_of(account) for account in accounts)
            for system, accounts in answers.values.items()
            if accounts
        }
        if not natives and not answers.errors:
            raise NotFound(
                "", f"no billing system has a customer with the address {email!r}", hint="Check its spelling"
            )
        return Found(email, natives, (email,), answers.sources, answers.errors)

    def _unjoined(self, who: Ref, error: BackofficeError, sources: list[Source]) -> Found:
        """The id's own system did not say whose it is: what others have of them, nobody can know now."""
        others = [system for system in self.systems if system != who.backend and principal().sees(system)]
        skipped = [
            Source(
                backend=system,
                status="skipped",
                error_code=error.code,
                message=f"was not asked: {who.backend} did not say who {who} is",
            )
            for system in others
        ]
        natives = {who.backend: (who.native,)}
        return Found(str(who), natives, (), together(sources, skipped), dict.fromkeys(others, error))

    async def _addresses_of(self, who: Ref) -> tuple[str, ...]:
        must_see(who.backend)
        accounts = await self.systems[who.backend].accounts([who.native], _NO_SECTIONS)
        if not accounts:
            raise NotFound("", f"there is no customer {str(who)!r}")
        return _addresses(accounts)

    def _asked(self, text: str) -> Ref | str:
        """An id, or an address.

        Raises:
            InvalidInput: neither.
        """
        stripped = text.strip()
        if stripped.partition(":")[0] not in self.systems and is_email(stripped):
            return stripped
        if "@" in stripped and ":" not in stripped:
            raise InvalidInput("", f"{text[:80]!r} is not an e-mail address")
        return parse_ref(stripped, {system: self.kind(system) for system in self.systems})


@dataclass(frozen=True, slots=True)
class _Known:
    """What one system said: who has an id, and who an address (its letters folded)."""

    by_id: Mapping[str, Account]
    by_email: Mapping[str, Sequence[Account]]

    def and_also(self, other: _Known) -> _Known:
        return _Known({**self.by_id, **other.by_id}, {**self.by_email, **other.by_email})

    def having(self, email: str) -> Sequence[Account]:
        return self.by_email.get(email.casefold(), ())


_NOBODY = _Known({}, {})


def _meant(who: Ref | str, known: Mapping[str, _Known]) -> list[Account]:
    """The account with this id first, then those of other systems that have its address; or all with this address."""
    if isinstance(who, str):
        return [account for here in known.values() for account in here.having(who)]
    own = known[who.backend].by_id.get(str(who))
    if own is None:
        return []
    others = (here for system, here in known.items() if system != who.backend)
    return [own, *(account for here in others for email in _addresses([own]) for account in here.having(email))]


def native_of(account: Account) -> str:
    """`cus_1` of an account whose id is `stripe:customer:cus_1`."""
    return account.customer_id.split(":", 2)[2]


def is_email(text: str) -> bool:
    return text.isprintable() and re.fullmatch(r"[^\s@]+@[^\s@]+\.[^\s@.]+", text) is not None


def _addresses(accounts: Iterable[Account]) -> tuple[str, ...]:
    """Each once, whatever the case of its letters."""
    return tuple({account.email.casefold(): account.email for account in accounts if account.email}.values())
