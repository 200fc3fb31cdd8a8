"""What we leave in private notes, by which a thing is known again: whose call made it, for which invoice, and the days
that a draft gives to pay.

    [backoffice 3f9a…]      the key of the call that made it
    [issuing 3f9a…]         of the call that turns this draft into an invoice
    [invoice 130]           the invoice that a credit is for
    [due 30]                of a draft: days after it is issued

QuickBooks filters by no private note: things are looked for by customer and time, and their notes are read.
"""

from __future__ import annotations

import re

_MARK = re.compile(r"\[(backoffice|issuing|invoice|due) ([\w-]{1,80})\]")
_LONGEST = 3_700
"""Of the 4,000 characters of a note, with room for our marks."""


def note(text: str, key: str, *, invoice: str | None = None, due_days: int | None = None) -> str:
    """A note with `text`, in which nobody else's words can look like a mark."""
    plain = text.replace("[", "(").replace("]", ")")[:_LONGEST].strip()
    marks = [f"[backoffice {key}]"]
    marks += [f"[invoice {invoice}]"] if invoice is not None else []
    marks += [f"[due {due_days}]"] if due_days is not None else []
    return "\n".join(part for part in (plain, " ".join(marks)) if part)


def claimed(noted: str, key: str) -> str:
    """The note of a draft that this call issues, in place of who claimed it before."""
    before = re.sub(r"\s*\[issuing [\w-]{1,80}\]", "", noted)
    return f"{before} [issuing {key}]".strip()


def added(noted: str, text: str, key: str) -> str:
    """What stands there already, and then ours."""
    return "\n".join(part for part in (noted[-(4_000 - len(text) - len(key) - 40) :].strip(), note(text, key)) if part)


def bears(noted: str, key: str) -> bool:
    return key in _marks(noted, "backoffice")


def claimant(noted: str) -> str | None:
    return next(iter(_marks(noted, "issuing")), None)


def is_for(noted: str, invoice: str) -> bool:
    return invoice in _marks(noted, "invoice")


def due_days(noted: str) -> int | None:
    days = next(iter(_marks(noted, "due")), "")
    return int(days) if days.isdecimal() and len(days) <= 4 else None


def _marks(noted: str, kind: str) -> list[str]:
    return [found[2] for found in _MARK.finditer(noted) if found[1] == kind]
