"""Where a running sandbox says what it serves: `GET /` on its first port, and how a server reads that."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import obj
from backoffice_shared.sandbox.frame import VendorSandbox


def describe(sandbox: VendorSandbox, url: str, https_url: str) -> dict[str, object]:
    """One vendor's entry: where it is, and where its faults are set. The credentials are those of a fictional company."""
    return {
        "title": sandbox.title,
        "url": url,
        "control": url,
        "https_url": https_url,
        "credentials": dict(sandbox.credentials),
        "options": dict(sandbox.options),
    }


async def read_directory(url: str) -> dict[str, Mapping[str, object]]:
    """What the sandbox at `url` serves, by vendor.

    Raises:
        InvalidInput: there is no sandbox. The sentence says how to start one.
    """
    try:
        async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
            wire = obj((await client.get(url)).json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError):
        raise InvalidInput("", f"there is no sandbox at {url}", hint="backoffice sandbox starts one") from None
    return {name: obj(entry) for name, entry in obj(wire.get("vendors")).items()}
