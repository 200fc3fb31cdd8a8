"""What an organisation is set up with, and its reports."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from backoffice_billing.backends.xero.sandbox import reporting, wire
from backoffice_billing.backends.xero.sandbox.answers import Endpoint, Refused, answered, bad_request, page
from backoffice_billing.backends.xero.sandbox.org import Org
from backoffice_billing.backends.xero.sandbox.records import ACCOUNTS, BASE, TAXES, make_id
from backoffice_billing.backends.xero.sandbox.wire import Record

ORGANISATION = make_id("organisation", 1)


class Settings:
    def __init__(self, org: Org) -> None:
        self._org = org

    def endpoints(self) -> list[Endpoint]:
        return [
            ("GET", "Overpayments", self._nothing("Overpayments")),
            ("GET", "Prepayments", self._nothing("Prepayments")),
            ("GET", "Accounts", self._accounts),
            ("GET", "TaxRates", self._tax_rates),
            ("GET", "Organisation", self._organisation),
            ("GET", "Reports/ProfitAndLoss", self._profit_and_loss),
            ("GET", "Reports/BalanceSheet", self._balance_sheet),
            ("GET", "Reports/TrialBalance", self._trial_balance),
            ("GET", "Reports/AgedReceivablesByContact", self._aged("ACCREC")),
            ("GET", "Reports/AgedPayablesByContact", self._aged("ACCPAY")),
        ]

    def _nothing(self, name: str) -> Callable[[Request], Any]:
        """The company has nothing of this kind."""

        async def answer(request: Request) -> Response:
            empty: list[Record] = []
            found, pages = page(request, empty)
            return answered(self._org, name, found, pages)

        return answer

    async def _accounts(self, _request: Request) -> Response:
        return answered(self._org, "Accounts", [wire.account(account) for account in ACCOUNTS.values()])

    async def _tax_rates(self, _request: Request) -> Response:
        return answered(self._org, "TaxRates", [wire.tax_rate(code) for code in TAXES])

    async def _organisation(self, _request: Request) -> Response:
        row = {
            "OrganisationID": ORGANISATION,
            "Name": f"{self._org.company.name} Europe",
            "LegalName": f"{self._org.company.name} Europe",
            "PaysTax": True,
            "Version": "GLOBAL",
            "OrganisationType": "COMPANY",
            "BaseCurrency": BASE,
            "CountryCode": "DE",
            "IsDemoCompany": True,
            "OrganisationStatus": "ACTIVE",
            "FinancialYearEndDay": 31,
            "FinancialYearEndMonth": 12,
            "ShortCode": "!23sB1",
        }
        return answered(self._org, "Organisations", [row])

    async def _profit_and_loss(self, request: Request) -> Response:
        until = _day(request, "toDate") or self._org.today
        since = _day(request, "fromDate") or until.replace(day=1)
        return answered(self._org, "Reports", [reporting.profit_and_loss(self._org, since, until)])

    async def _balance_sheet(self, request: Request) -> Response:
        return answered(
            self._org, "Reports", [reporting.balance_sheet(self._org, _day(request, "date") or self._org.today)]
        )

    async def _trial_balance(self, request: Request) -> Response:
        return answered(
            self._org, "Reports", [reporting.trial_balance(self._org, _day(request, "date") or self._org.today)]
        )

    def _aged(self, kind: str) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            contact = request.query_params.get("contactId", "").lower()
            if contact not in self._org.contacts:
                raise Refused(bad_request(10, "ValidationException", "A valid contactID is required"))
            until = _day(request, "date") or self._org.today
            return answered(self._org, "Reports", [reporting.aged(self._org, contact, kind, until)])

        return answer


def _day(request: Request, name: str) -> date | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(bad_request(17, "ArgumentException", f"Invalid date for {name}")) from None
