"""A policy by which everything may be refunded, for tests of arithmetic and of what happens once."""

from __future__ import annotations

from pathlib import Path

from backoffice_billing.policy import BUILT_IN

_LIMITS = ("auto_up_to", "lead_up_to", "two_approvers_above", "per_agent_day", "per_customer_day")


def generous_policy(folder: Path) -> Path:
    """Its file, in `folder`."""
    rules = (
        BUILT_IN.read_text().partition("currencies:")[0].replace("max_refunds_30_days: 3", "max_refunds_30_days: 1000")
    )
    limits = ", ".join(f"{name}: {10**12}" for name in _LIMITS)
    currencies = "".join(f"  {currency}: {{{limits}}}\n" for currency in ("USD", "EUR", "GBP", "JPY", "KWD", "BRL"))
    file = folder / "refunds.yaml"
    file.write_text(f"{rules}currencies:\n{currencies}")
    return file
