"""What QuickBooks says when it refuses.

Codes and words:
https://developer.intuit.com/app/developer/qbo/docs/develop/troubleshooting/error-codes and, for the words,
https://developer.intuit.com/hub/blog/2017/06/08/top-quickbooks-online-api-errors-and-how-to-handle-them
"""

from __future__ import annotations

from starlette.responses import JSONResponse, Response

_TIME = "2026-11-22T09:17:31.892-08:00"
_MESSAGES = {
    610: "Object Not Found",
    2020: "Required param missing, need to supply the required value for the API",
    2030: "Invalid Number",
    2050: "String length is either shorter or longer than supported by specification",
    2170: "Invalid Enumeration",
    2500: "Invalid Reference Id",
    4000: "Error parsing query",
    4001: "Invalid query",
    5010: "Stale Object Error",
    6000: "A business validation error has occurred while processing your request",
    6070: "Amount calculation incorrect in the request",
    6100: "Invalid Line TaxCode in the request",
    6140: "Duplicate Document Number Error",
    6240: "Duplicate Name Exists Error",
    500: "Unsupported Operation",
}


class Refused(Exception):  # noqa: N818 - it is what happened
    def __init__(self, code: int, detail: str, element: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.element = element

    def answer(self) -> Response:
        error = {
            "Message": _MESSAGES[self.code],
            "Detail": self.detail,
            "code": str(self.code),
            **({"element": self.element} if self.element else {}),
        }
        return JSONResponse({"Fault": {"Error": [error], "type": "ValidationFault"}, "time": _TIME}, 400)


def missing(name: str) -> Refused:
    return Refused(2020, f"Required parameter {name} is missing in the request", name)


def no_such(kind: str, native: object) -> Refused:
    return Refused(2500, f"Invalid Reference Id : {kind} element id {native} not found")


def not_found(what: str) -> Refused:
    return Refused(610, f"Object Not Found : Something you're trying to use has been made inactive: {what}")


def broken_rule(sentence: str) -> Refused:
    return Refused(6000, f"Business Validation Error: {sentence}")


def too_long(name: str, most: int, has: int) -> Refused:
    return Refused(2050, f"{name}: Min:0 Max:{most} supported. Supplied length:{has}", name)


def gateway(status: int, code: str, name: str, detail: str, kind: str) -> Response:
    """What the gateway before QuickBooks says, in small letters."""
    error = {
        "message": f"message={name}; errorCode=00{code}; statusCode={status}",
        "detail": detail,
        "code": code,
        "element": None,
    }
    fault = {"error": [error], "type": kind}
    return JSONResponse({"warnings": None, "intuitObject": None, "fault": fault, "time": 1_795_000_000_000}, status)


def throttled() -> Response:
    return gateway(429, "3001", "ThrottleExceeded", "You have exceeded the limit of requests.", "THROTTLE")


def unavailable() -> Response:
    return gateway(503, "3003", "ServiceUnavailable", "The service is temporarily unavailable.", "SERVICE")
