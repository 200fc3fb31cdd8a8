"""Which records are of one person. An e-mail address says so, unless it is one that several people use.

An address that two records of one system have says nothing: somebody there knows them for two. Nor does an address of a role
(`info@`, `sales@`) when the names differ. What is not joined is not lost: each record stands for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from backoffice_customer.models import Contact, Ref

ROLES = frozenset(
    [
        "accounting",
        "accounts",
        "admin",
        "billing",
        "buchhaltung",
        "contact",
        "einkauf",
        "finance",
        "hello",
        "help",
        "hr",
        "info",
        "invoices",
        "kontakt",
        "mail",
        "marketing",
        "no-reply",
        "noreply",
        "office",
        "orders",
        "post",
        "procurement",
        "purchasing",
        "sales",
        "service",
        "shop",
        "support",
        "team",
        "vertrieb",
    ]
)


def proofs(contacts: Iterable[Contact]) -> Mapping[Ref, frozenset[str]]:
    """The addresses of each of these records that say who it is."""
    known = {contact.ref: contact for contact in contacts}
    held = sorted((email, ref) for ref, contact in known.items() for email in contact.emails)
    shared: set[str] = set()
    for email, holders in groupby(held, key=lambda entry: entry[0]):
        refs = [ref for _, ref in holders]
        systems = [ref.backend for ref in refs]
        names = {" ".join(known[ref].name.casefold().split()) for ref in refs}
        is_role = email.partition("@")[0].partition("+")[0] in ROLES
        if len(set(systems)) < len(systems) or (is_role and len(names) > 1):
            shared.add(email)
    return {ref: frozenset(contact.emails) - shared for ref, contact in known.items()}


def grouped(contacts: Iterable[Contact]) -> list[list[Contact]]:
    """These records, those of one person together."""
    known = list({contact.ref: contact for contact in contacts}.values())
    proof = proofs(known)
    group_of: dict[str, list[Contact]] = {}
    groups: dict[int, list[Contact]] = {}
    for contact in known:
        others = {id(group): group for email in proof[contact.ref] if (group := group_of.get(email)) is not None}
        joined = [*(other for group in others.values() for other in group), contact]
        for old in others:
            del groups[old]
        groups[id(joined)] = joined
        group_of |= dict.fromkeys((email for member in joined for email in proof[member.ref]), joined)
    return list(groups.values())


def same(own: Contact, others: Iterable[Contact]) -> list[Contact]:
    """`own`, and those of the others that are the same person."""
    known = {contact.ref: contact for contact in (own, *others)}
    proof = proofs(known.values())
    return [own, *(c for c in known.values() if c.ref != own.ref and proof[c.ref] & proof[own.ref])]
