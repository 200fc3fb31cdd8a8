"""A vendor's OAuth 2.0 token endpoint: what it wants, and what its answers mean."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.credentials.oauth import TokenAnswer
from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.errors import BackendUnavailable, DeadlineExceeded, MalformedAnswer, RateLimited
from backoffice_shared.http.call import Call, attach


def token_exchange(
    backend: Backend, base_url: str, network: httpx.AsyncBaseTransport
) -> Callable[[Credential], Awaitable[TokenAnswer]]:
    """Client credentials for an access token, at the vendor's token endpoint (RFC 6749 §4.4.2)."""
    endpoint = backend.token_endpoint
    assert endpoint is not None  # noqa: S101 - only called for a backend that has one
    url = base_url.rstrip("/") + endpoint.path

    async def exchange(secret: Credential) -> TokenAnswer:
        form = {
            "grant_type": "client_credentials",
            "client_id": secret["client_id"],
            "client_secret": secret["client_secret"],
            **({"scope": endpoint.scope} if endpoint.scope else {}),
        }
        body: dict[str, Any] = {"json": form} if endpoint.json else {"data": form}
        request = httpx.Request("POST", url, headers={"Accept": "application/json"}, **body)
        try:
            response = await network.handle_async_request(attach(request, Call("token.exchange", reads=True)))
        except httpx.TimeoutException as error:
            raise DeadlineExceeded(backend.title, "its token endpoint did not answer in time") from error
        except httpx.TransportError as error:
            # Whatever happened to the token, the request that needs it has not left.
            raise BackendUnavailable(
                backend.title, f"its token endpoint cannot be reached ({type(error).__name__})"
            ) from error
        if response.status_code == 429:
            wait = response.headers.get("Retry-After", "")
            raise RateLimited(
                backend.title, "its token endpoint answered 429", retry_after=float(wait) if wait.isdecimal() else None
            )
        if response.status_code >= 500:
            raise BackendUnavailable(backend.title, f"its token endpoint answered {response.status_code}")
        if response.status_code >= 400:
            raise MissingCredential(backend.title, "refused the configured client_id and client_secret")
        try:
            return TokenAnswer.model_validate_json(response.content)
        except ValueError as error:
            raise MalformedAnswer(backend.title, "its token endpoint answered no token") from error

    return exchange
