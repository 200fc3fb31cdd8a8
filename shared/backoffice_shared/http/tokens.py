"""A vendor's OAuth 2.0 token endpoint: what it wants, and what its answers mean."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote_plus

import httpx
import jwt

from backoffice_shared.backend import Backend, TokenEndpoint
from backoffice_shared.credentials.oauth import Exchange, TokenAnswer
from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.errors import BackendUnavailable, DeadlineExceeded, MalformedAnswer, RateLimited
from backoffice_shared.http.call import Call, attach


def token_exchange(backend: Backend, base_url: str, network: httpx.AsyncBaseTransport) -> Exchange:
    """Client credentials for an access token, at the vendor's token endpoint (RFC 6749 §4.4.2)."""
    endpoint, url = _endpoint(backend, base_url)

    async def exchange(secret: Credential) -> TokenAnswer:
        form = {
            "grant_type": "client_credentials",
            "client_id": secret["client_id"],
            "client_secret": secret["client_secret"],
            **({"scope": endpoint.scope} if endpoint.scope else {}),
        }
        body: dict[str, Any] = {"json": form} if endpoint.json else {"data": form}
        request = httpx.Request("POST", url, headers={"Accept": "application/json"}, **body)
        # Asking for a token changes nothing, so it may be repeated.
        attach(request, Call("token.exchange", reads=True))
        return await _answered(backend, network, request, "client_id and client_secret")

    return exchange


def assertion_exchange(backend: Backend, base_url: str, network: httpx.AsyncBaseTransport) -> Exchange:
    """A signed assertion for an access token (RFC 7523 §2.1), good for three minutes."""
    endpoint, url = _endpoint(backend, base_url)

    async def exchange(secret: Credential) -> TokenAnswer:
        if missing := {"client_id", "username", "private_key"} - secret.keys():
            raise MissingCredential(backend.title, f"needs {', '.join(sorted(missing))} beside what is configured")
        claims = {
            "iss": secret["client_id"],
            "sub": secret["username"],
            "aud": endpoint.audience or base_url.rstrip("/"),
            "exp": int(datetime.now(UTC).timestamp()) + 180,
            "jti": secrets.token_hex(16),
        }
        try:
            assertion = jwt.encode(claims, secret["private_key"], "RS256")
        except (ValueError, TypeError, AttributeError, jwt.PyJWTError):  # what they say may show the key
            raise MissingCredential(backend.title, "the configured private_key is no RSA key in PEM") from None
        form = {"grant_type": _JWT_BEARER, "assertion": assertion}
        request = httpx.Request("POST", url, headers={"Accept": "application/json"}, data=form)
        attach(request, Call("token.exchange", reads=True))
        return await _answered(backend, network, request, "client_id, username and private_key")

    return exchange


_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def refresh_exchange(backend: Backend, base_url: str, network: httpx.AsyncBaseTransport) -> Exchange:
    """A refresh token for an access token, and mostly for the next refresh token (RFC 6749 §6)."""
    endpoint, url = _endpoint(backend, base_url)

    async def exchange(secret: Credential) -> TokenAnswer:
        if missing := {"client_id", "client_secret", "refresh_token"} - secret.keys():
            raise MissingCredential(backend.title, f"needs {', '.join(sorted(missing))} beside what is configured")
        form = {"grant_type": "refresh_token", "refresh_token": secret["refresh_token"]}
        if endpoint.client == "form":
            form |= {"client_id": secret["client_id"], "client_secret": secret["client_secret"]}
        request = httpx.Request("POST", url, headers={"Accept": "application/json"}, data=form)
        if endpoint.client == "basic":
            client = httpx.BasicAuth(quote_plus(secret["client_id"]), quote_plus(secret["client_secret"]))
            request = next(client.auth_flow(request))
        # It uses the refresh token up, and a second time would look like a theft.
        attach(request, Call("token.exchange", reads=False))
        return await _answered(backend, network, request, "client_id, client_secret and refresh_token")

    return exchange


def _endpoint(backend: Backend, base_url: str) -> tuple[TokenEndpoint, str]:
    """The endpoint and its URL: a path at the vendor's address, or a whole URL where tokens come from elsewhere."""
    endpoint = backend.token_endpoint
    assert endpoint is not None  # noqa: S101 - only called for a backend that has one
    return endpoint, endpoint.path if "://" in endpoint.path else base_url.rstrip("/") + endpoint.path


async def _answered(
    backend: Backend, network: httpx.AsyncBaseTransport, request: httpx.Request, proof: str
) -> TokenAnswer:
    try:
        response = await network.handle_async_request(request)
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
        raise MissingCredential(backend.title, f"refused the configured {proof}")
    try:
        return TokenAnswer.model_validate_json(response.content)
    except ValueError:
        # Its message shows what was answered.
        raise MalformedAnswer(backend.title, "its token endpoint answered no token") from None
