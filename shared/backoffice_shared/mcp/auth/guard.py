"""Nobody reaches the MCP endpoint unidentified (RFC 6750, RFC 9728).

Probes and scrapers are let through to the few paths that are theirs. What is neither is not there, whatever the app
behind would make of it: a route that is added there is closed until it is named here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from starlette.authentication import AuthCredentials
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from backoffice_shared.mcp.auth.verifier import Verifier
from backoffice_shared.principal import Principal, acting

WELL_KNOWN = "/.well-known/oauth-protected-resource"
OPEN = frozenset({"/healthz", "/readyz", "/metrics"})

MissingScopes = Callable[[Principal, str], frozenset[str]]
"""What a principal lacks to use the tool of this name, and could be granted."""

Refused = Callable[[str, str, Principal | None], None]
"""Told why a request was refused, for which tool, and whose it was, when that is known."""

_SCOPE = re.compile(r"[!#-\[\]-~]+")  # RFC 6749 §3.3: what else is in one would break the header that names it


@dataclass(frozen=True, slots=True)
class Resource:
    """This server, as OAuth sees it. `url` is what clients call.

    Without it, or without an authorization server, there is no metadata to point to: it would send clients nowhere.
    """

    url: str | None
    issuers: tuple[str, ...]
    scopes: Callable[[], Iterable[str]]
    name: str

    @property
    def scope(self) -> str:
        """All that can be asked of an authorization server, as a challenge names it."""
        return _named(self.scopes()) if self.issuers else ""

    @property
    def metadata_url(self) -> str | None:
        if self.url is None or not self.issuers:
            return None
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}{parts.path.rstrip('/')}"

    def metadata(self) -> dict[str, object]:
        """RFC 9728 §2."""
        return {
            "resource": self.url,
            "authorization_servers": list(self.issuers),
            "scopes_supported": _named(self.scopes()).split(),
            "bearer_methods_supported": ["header"],
            "resource_name": self.name,
        }


class Guard:
    """ASGI middleware."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        path: str,
        verifier: Verifier,
        resource: Resource,
        missing: MissingScopes,
        refused: Refused,
        open_paths: frozenset[str] = OPEN,
    ) -> None:
        self._app = app
        self._path = path
        self._verifier = verifier
        self._resource = resource
        self._missing = missing
        self._refused = refused
        self._open = open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return
        path: str = scope["path"]  # what the router goes by; a URL made of it and of headers might be another
        if path in self._open:
            await self._app(scope, receive, send)
        elif path.rstrip("/") == self._path:
            await self._guarded(Request(scope, receive), receive, send)
        else:
            await self._elsewhere(path, scope["method"])(scope, receive, send)

    async def _guarded(self, request: Request, receive: Receive, send: Send) -> None:
        credential, fault = _credential(request)
        who = None if credential is None else await self._verifier.verify(credential)
        tool = request.headers.get("mcp-name", "") if request.headers.get("mcp-method") == "tools/call" else ""
        if who is None:
            self._refused(fault or ("no_credential" if credential is None else "invalid_token"), tool, None)
            await self._unauthorized(credential, fault)(request.scope, receive, send)
            return
        if tool and (missing := self._missing(who, tool)):
            self._refused("insufficient_scope", tool, who)
            await self._insufficient(missing)(request.scope, receive, send)
            return
        user = _user(who)
        request.scope["user"] = user
        request.scope["auth"] = AuthCredentials(sorted(who.scopes or ()))
        token = auth_context_var.set(user)
        try:
            with acting(who):
                await self._app(request.scope, receive, send)
        finally:
            auth_context_var.reset(token)

    def _elsewhere(self, path: str, method: str) -> Response:
        metadata = self._resource.metadata_url
        if metadata is None or method != "GET" or path.rstrip("/") != unquote(urlsplit(metadata).path):
            return JSONResponse({"error": "not_found"}, 404)
        return JSONResponse(self._resource.metadata(), headers={"Cache-Control": "max-age=3600"})

    def _unauthorized(self, credential: str | None, fault: str | None) -> Response:
        """RFC 6750 §3.1: whoever sent no credential is told where to get one, and of no error."""
        if fault is not None:
            return self._challenge(400, "invalid_request", "Send one credential, as a Bearer token in one header.")
        if credential is None:
            return self._challenge(401, None, "A credential is needed.", scope=self._resource.scope)
        sentence = "The credential is not good, or not good for this server."
        return self._challenge(401, "invalid_token", sentence, scope=self._resource.scope)

    def _insufficient(self, missing: frozenset[str]) -> Response:
        needed = _named(missing)
        return self._challenge(403, "insufficient_scope", f"This needs the scope {needed}.", scope=needed)

    def _challenge(self, status: int, error: str | None, description: str, *, scope: str = "") -> Response:
        said = {"error": error, "error_description": description if error else None, "scope": scope}
        said["resource_metadata"] = self._resource.metadata_url
        parts = ", ".join(f'{name}="{value}"' for name, value in said.items() if value)
        body = {"error": error or "unauthorized", "error_description": description}
        return JSONResponse(body, status, headers={"WWW-Authenticate": f"Bearer {parts}".rstrip()})


def _credential(request: Request) -> tuple[str | None, str | None]:
    """The credential, or what is wrong with how it was sent. A URL is no place for one: it ends in logs."""
    sent = request.headers.getlist("authorization")
    query = parse_qs(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if len(sent) > 1 or "access_token" in query:
        return None, "invalid_request"
    if not sent:
        return None, None
    scheme, _, credential = sent[0].partition(" ")
    return (credential.strip() or None, None) if scheme.lower() == "bearer" else (None, None)


def _named(scopes: Iterable[str]) -> str:
    return " ".join(sorted(scope for scope in scopes if _SCOPE.fullmatch(scope)))


def _user(who: Principal) -> AuthenticatedUser:
    """The principal as the SDK knows one: it binds what it seals for a client to this. Never the token itself."""
    claims = {"iss": who.issuer} if who.issuer else {}
    return AuthenticatedUser(
        AccessToken(
            token="",
            client_id=who.client or who.agent or who.subject,
            subject=who.subject,
            scopes=sorted(who.scopes or ()),
            claims=claims,
        )
    )
