"""The sandbox's subscriptions: which e-mail an address wishes to have, by v4, and by the v3 of HubSpot's Python client.

Source: https://developers.hubspot.com/docs/api-reference/2026-03/communication-preferences/guide
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_customer.backends.hubspot.answers import Record, Refused, body, finished, invalid_json, required, time
from backoffice_shared.sandbox.company import Company

MARKETING, ONE_TO_ONE = 413_001, 413_002
_NAMES = {MARKETING: "Marketing Information", ONE_TO_ONE: "One to One"}
_LEGAL = (
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_OTHER",
    "LEGITIMATE_INTEREST_PQL",
    "NON_GDPR",
    "PERFORMANCE_OF_CONTRACT",
    "PROCESS_AND_STORE",
)
_OPTOUTS = {"SUBSCRIBED": "false", "UNSUBSCRIBED": "true", "NOT_SPECIFIED": None}
_SINCE = "2024-01-01T00:00:00Z"


@dataclass
class _Wishes:
    """What an address said. `none`: no e-mail at all. `why` and `basis` belong to what was said last; `usual` is what
    holds where nothing was."""

    none: bool
    usual: str
    states: dict[int, str] = field(default_factory=dict[int, str])
    basis: str | None = None
    why: str | None = None
    at: str = _SINCE

    def state(self, subscription: int) -> str:
        return "UNSUBSCRIBED" if self.none else self.states.get(subscription, self.usual)


class Consents:
    def __init__(self, company: Company) -> None:
        self._given = {person.email: person.email_consent for person in company.people if "crm" in person.systems}
        self._said: dict[str, _Wishes] = {}

    def optouts(self, email: str) -> Record:
        """The contact's properties about it: empty for whom nobody asked."""
        wishes = self._wishes(email.lower())
        states = {n: wishes.state(n) for n in _NAMES}
        own = {f"hs_email_optout_{n}": _OPTOUTS[state] for n, state in states.items()}
        nobody_asked = set(states.values()) == {"NOT_SPECIFIED"}
        return {"hs_email_optout": None if nobody_asked else "true" if wishes.none else "false", **own}

    def routes(self) -> Iterator[Route]:
        v4, v3 = "/communication-preferences/v4", "/communication-preferences/v3"
        yield Route(f"{v4}/definitions", self.definitions, methods=["GET"])
        yield Route(f"{v4}/statuses/{{email:path}}/unsubscribe-all", self.unsubscribed, methods=["GET"])
        yield Route(f"{v4}/statuses/{{email:path}}/unsubscribe-all", self.unsubscribe_all, methods=["POST"])
        yield Route(f"{v4}/statuses/{{email:path}}", self.statuses, methods=["GET"])
        yield Route(f"{v4}/statuses/{{email:path}}", self.set_status, methods=["POST"])
        yield Route(f"{v3}/status/email/{{email:path}}", self.statuses_v3, methods=["GET"])
        yield Route(f"{v3}/subscribe", self.subscribe_v3, methods=["POST"])
        yield Route(f"{v3}/unsubscribe", self.unsubscribe_v3, methods=["POST"])

    # --------------------------------------------------------------------------------------------------------- v4

    async def definitions(self, _request: Request) -> Response:
        return JSONResponse(finished([_definition(number) for number in _NAMES]))

    async def statuses(self, request: Request) -> Response:
        _on_channel(request.query_params.get("channel"))
        email = _address(request.path_params["email"])
        return JSONResponse(finished([self._status(email, number) for number in _NAMES]))

    async def set_status(self, request: Request) -> Response:
        email, wanted = _address(request.path_params["email"]), await body(request)
        required(wanted, "PartialPublicStatusRequest", "channel", "statusState", "subscriptionId")
        _on_channel(wanted["channel"])
        number, state = _known(wanted["subscriptionId"]), str(wanted["statusState"])
        if state not in ("SUBSCRIBED", "UNSUBSCRIBED", "NOT_SPECIFIED"):
            raise invalid_json(f"{state} is not one of the status states", "statusState")
        before = self._wishes(email).state(number)
        self._set(email, number, state, wanted)
        reason = "NO_STATUS_CHANGE" if before == state else "REQUESTED_CHANGE_OCCURRED"
        if before == "UNSUBSCRIBED" and state == "SUBSCRIBED":
            reason = "RESUBSCRIBE_OCCURRED"
        return JSONResponse(finished([{**self._status(email, number), "setStatusSuccessReason": reason}]))

    async def unsubscribed(self, request: Request) -> Response:
        _on_channel(request.query_params.get("channel"))
        email = _address(request.path_params["email"])
        wishes = self._wishes(email)
        wide: Record = {
            "channel": "EMAIL",
            "status": "UNSUBSCRIBED",
            "subscriberIdString": email,
            "timestamp": wishes.at,
            "wideStatusType": "PORTAL_WIDE",
        }
        return JSONResponse(finished([wide] if wishes.none else []))

    async def unsubscribe_all(self, request: Request) -> Response:
        _on_channel(request.query_params.get("channel"))
        email = _address(request.path_params["email"])
        self._said[email] = _Wishes(none=True, usual="UNSUBSCRIBED", at=time(datetime.now(UTC)))
        return JSONResponse(finished([self._status(email, number) for number in _NAMES]))

    def _status(self, email: str, number: int) -> Record:
        wishes = self._wishes(email)
        said = {"legalBasis": wishes.basis, "legalBasisExplanation": wishes.why}
        return {
            "channel": "EMAIL",
            "source": "PORTAL_WIDE_STATUS" if wishes.none else "SUBSCRIPTION_STATUS",
            "status": wishes.state(number),
            "subscriberIdString": email,
            "subscriptionId": number,
            "subscriptionName": _NAMES[number],
            "timestamp": wishes.at,
            **{name: value for name, value in said.items() if value is not None},
        }

    # --------------------------------------------------------------------------------------------------------- v3

    async def statuses_v3(self, request: Request) -> Response:
        email = _address(request.path_params["email"])
        rows = [self._status_v3(email, number) for number in _NAMES]
        return JSONResponse({"recipient": email, "subscriptionStatuses": rows})

    async def subscribe_v3(self, request: Request) -> Response:
        """Who has opted out is not subscribed again: only v4 can do that."""
        email, number, wanted = await _asked_v3(request)
        if self._wishes(email).state(number) == "UNSUBSCRIBED":
            raise Refused(f"{email} has unsubscribed and cannot be subscribed again", "emailAddress")
        self._set(email, number, "SUBSCRIBED", wanted)
        return JSONResponse(self._status_v3(email, number))

    async def unsubscribe_v3(self, request: Request) -> Response:
        email, number, wanted = await _asked_v3(request)
        self._set(email, number, "UNSUBSCRIBED", wanted)
        return JSONResponse(self._status_v3(email, number))

    def _status_v3(self, email: str, number: int) -> Record:
        wishes = self._wishes(email)
        said = {"legalBasis": wishes.basis, "legalBasisExplanation": wishes.why}
        return {
            "id": str(number),
            "name": _NAMES[number],
            "description": f"{_NAMES[number]} e-mails",
            "status": "SUBSCRIBED" if wishes.state(number) == "SUBSCRIBED" else "NOT_SUBSCRIBED",
            "sourceOfStatus": "PORTAL_WIDE_STATUS" if wishes.none else "SUBSCRIPTION_STATUS",
            **{name: value for name, value in said.items() if value is not None},
        }

    # -------------------------------------------------------------------------------------------------- what is kept

    def _wishes(self, email: str) -> _Wishes:
        if (said := self._said.get(email)) is not None:
            return said
        consents = self._given.get(email)
        usual = {None: "NOT_SPECIFIED", True: "SUBSCRIBED", False: "UNSUBSCRIBED"}[consents]
        return _Wishes(none=consents is False, usual=usual)

    def _set(self, email: str, number: int, state: str, wanted: Record) -> None:
        """Who wants one kind of e-mail again wants that one, and still none of the others."""
        before = self._wishes(email)
        none = before.none and state != "SUBSCRIBED"
        states = before.states if none else {**before.states, number: state}
        basis, why = wanted.get("legalBasis"), wanted.get("legalBasisExplanation")
        self._said[email] = _Wishes(none, before.usual, states, basis, why, time(datetime.now(UTC)))


async def _asked_v3(request: Request) -> tuple[str, int, Record]:
    wanted = await body(request)
    required(wanted, "PublicUpdateSubscriptionStatusRequest", "emailAddress", "subscriptionId")
    return _address(str(wanted["emailAddress"])), _known(wanted["subscriptionId"]), _with_basis(wanted)


def _address(text: str) -> str:
    if "@" not in text or any(letter.isspace() for letter in text):
        raise Refused(f"{text[:80]} is not a valid email address", "subscriberIdString")
    return text.lower()


def _known(subscription: Any) -> int:
    if str(subscription) not in map(str, _NAMES):
        raise Refused(f"Subscription {str(subscription)[:20]} does not exist", "subscriptionId")
    return int(subscription)


def _with_basis(wanted: Record) -> Record:
    if wanted.get("legalBasis") not in (None, *_LEGAL):
        raise invalid_json(f"{wanted['legalBasis']} is not one of the legal bases", "legalBasis")
    return wanted


def _on_channel(channel: Any) -> None:
    if channel != "EMAIL":
        raise Refused("channel must be EMAIL", "channel")


def _definition(number: int) -> Record:
    return {
        "id": str(number),
        "name": _NAMES[number],
        "description": f"{_NAMES[number]} e-mails",
        "purpose": "Marketing" if number == MARKETING else "Sales",
        "communicationMethod": "Email",
        "isActive": True,
        "isDefault": True,
        "isInternal": number == ONE_TO_ONE,
        "createdAt": _SINCE,
        "updatedAt": _SINCE,
    }
