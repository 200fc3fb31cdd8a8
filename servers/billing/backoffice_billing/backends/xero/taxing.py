"""What tax a line bears: which kind, at which rate, and how much.

Xero would compute it by itself. It is told the amount all the same, so that what is made is to the last cent what the
preview said. Half a minor unit is rounded away from zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from backoffice_billing.backends.xero.access import XERO
from backoffice_billing.backends.xero.amounts import decimal
from backoffice_billing.backends.xero.api import SETTINGS_FRESH, Api
from backoffice_shared.errors import InvalidInput
from backoffice_shared.money import Money


@dataclass(frozen=True)
class Taxing:
    """`rates` are in percent, by TaxType; `usual` is that of lines that name none."""

    rates: Mapping[str, Decimal]
    usual: str

    def type_of(self, code: str | None) -> str:
        """
        Raises:
            InvalidInput: the organisation has no such tax.
        """
        chosen = code or self.usual
        if chosen not in self.rates:
            known = ", ".join(sorted(self.rates)[:20])
            raise InvalidInput(XERO.title, f"there is no tax type {chosen[:60]!r}", hint=f"It has {known}")
        return chosen

    def of(self, net: Money, tax_type: str) -> Money:
        rate = self.rates[tax_type]
        _, digits, exponent = rate.as_tuple()
        places = max(0, -int(exponent))
        part = int(rate.scaleb(places)) if digits else 0
        return net.share(part, 100 * 10**places)


async def taxing(api: Api, customer: Mapping[str, Any], sales_account: str, preferred: str) -> Taxing:
    """For this customer: as configured, else the customer's own, else that of the account.

    Raises:
        NotFound: the organisation has no such account.
    """
    rates = {
        str(rate["TaxType"]): decimal(rate.get("EffectiveRate") or 0)
        for rate in await api.list_of("TaxRates", SETTINGS_FRESH)
        if rate.get("Status", "ACTIVE") == "ACTIVE"
    }
    usual = preferred or str(customer.get("AccountsReceivableTaxType") or "")
    if not usual:
        account = await api.account(sales_account, "sales_account")
        usual = str(account.get("TaxType") or "NONE")
    return Taxing(rates, usual)
