"""The credential of this moment. When the vendor refuses it, it is read anew, once: rotation needs no restart."""

from __future__ import annotations

import httpx

from backoffice_shared.account import used_secret
from backoffice_shared.backend import Backend
from backoffice_shared.credentials.source import Credential, CredentialSource, MissingCredential
from backoffice_shared.http.outcome import Outcome, of_response


class Authorized(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, backend: Backend, credentials: CredentialSource) -> None:
        self._inner = inner
        self._backend = backend
        self._credentials = credentials

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        credential = await self._credentials.read(self._backend.name)
        response = await self._send(request, credential)
        if of_response(self._backend, response) is not Outcome.AUTH:
            return response
        renewed = await self._credentials.refresh(self._backend.name, rejected=credential.version)
        return response if renewed.version == credential.version else await self._send(request, renewed)

    async def _send(self, request: httpx.Request, credential: Credential) -> httpx.Response:
        if not any(fields <= credential.keys() for fields in self._backend.credentials):
            best = ", ".join(sorted(self._backend.credentials[0]))
            raise MissingCredential(self._backend.title, f"has no credential configured; it needs {best}")
        used_secret(self._backend.name, credential.version)
        plain = request.headers.copy()
        self._backend.authorize(request, credential)
        try:
            return await self._inner.handle_async_request(request)
        finally:
            request.headers = plain

    async def aclose(self) -> None:
        await self._inner.aclose()
