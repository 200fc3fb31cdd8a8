"""Several requests in one, at most 25, of which 5 may be queries. With `all_or_none`, they are carried out together or
not at all.

Sources:
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_composite_post.htm
https://developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/intro_rest_conditional_requests.htm
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from backoffice_shared.jsonvalues import obj

DATA = "/services/data/v67.0"
COMPOSITE = f"{DATA}/composite"

Part = dict[str, Any]


def composite(parts: Sequence[Part], *, all_or_none: bool) -> dict[str, Any]:
    return {"allOrNone": all_or_none, "collateSubrequests": False, "compositeRequest": list(parts)}


def query(name: str, soql: str, *, archived: bool = False) -> Part:
    """`archived`: also activities of more than a year ago, which Salesforce puts aside."""
    resource = "queryAll" if archived else "query"
    return {"method": "GET", "url": f"{DATA}/{resource}?{urlencode({'q': soql})}", "referenceId": name}


def create(name: str, table: str, fields: Mapping[str, object]) -> Part:
    return {"method": "POST", "url": f"{DATA}/sobjects/{table}", "referenceId": name, "body": dict(fields)}


def update(
    name: str, table: str, native: str, fields: Mapping[str, object], *, unmodified_since: str | None = None
) -> Part:
    """`unmodified_since` is an HTTP date: if it was changed later, it is not changed now."""
    condition = {} if unmodified_since is None else {"httpHeaders": {"If-Unmodified-Since": unmodified_since}}
    url = f"{DATA}/sobjects/{table}/{native}"
    return {"method": "PATCH", "url": url, "referenceId": name, "body": dict(fields), **condition}


def fetch(name: str, table: str, native: str, *fields: str) -> Part:
    url = f"{DATA}/sobjects/{table}/{native}?fields={','.join(fields)}"
    return {"method": "GET", "url": url, "referenceId": name}


def literal(text: str) -> str:
    """Text as a part's body takes it: `@{…}` would stand for the answer to another part, and there is no escape."""
    return text.replace("@{", "@ {")


def bodies(wire: Any) -> dict[str, Any]:
    """The answers by the name of their part. What was refused has none."""
    parts = [obj(part) for part in wire["compositeResponse"]]
    return {part["referenceId"]: part.get("body") for part in parts if part["httpStatusCode"] < 400}
