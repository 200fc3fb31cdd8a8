"""Whose doings a ledger is told: an option of its own, as beside a connector everything would be booked twice."""

from __future__ import annotations

from backoffice_shared.errors import InvalidInput

PROVIDER = "stripe"


def posts(vendor: str, option: str) -> bool:
    """What `BACKOFFICE_<VENDOR>_POSTS` says.

    Raises:
        InvalidInput: it names nobody whose doings could be told.
    """
    if option not in ("", PROVIDER):
        raise InvalidInput(
            "",
            f"BACKOFFICE_{vendor.upper()}_POSTS: {option!r} is nobody's name",
            hint=f"Set it to {PROVIDER}, or leave it out",
        )
    return option == PROVIDER
