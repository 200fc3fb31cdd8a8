"""What a domain server is made of, before it has any configuration: vendors, tools, and how they are put together."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import httpx

from backoffice_shared.backend import Backend
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.credentials.opened import open_source
from backoffice_shared.credentials.source import CredentialSource, OpenedSource
from backoffice_shared.errors import InvalidInput
from backoffice_shared.http.client import BackendClient, connect
from backoffice_shared.http.network import wire
from backoffice_shared.jsonvalues import obj
from backoffice_shared.mcp.addressed import Addressed, Page
from backoffice_shared.mcp.foundation import Foundation, State
from backoffice_shared.mcp.tool import ToolSpec
from backoffice_shared.mcp.webhooks import Hooked, Verify
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import InProcess, VendorSandbox
from backoffice_shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Vendor:
    """A backend, its sandbox, and what it can serve. `deprecated` are credentials that still work, and until when.

    `over` makes what carries requests to it, where that is not HTTP.
    """

    backend: Backend
    sandbox: Callable[[Company], VendorSandbox]
    provides: frozenset[str]
    deprecated: Mapping[frozenset[str], str] = field(default_factory=dict[frozenset[str], str])
    over: Callable[[], httpx.AsyncBaseTransport] = wire
    webhook: Verify | None = None
    """How what the vendor tells of its own accord is verified."""


@dataclass(frozen=True)
class Domain:
    """One domain server. `assemble` builds from the connected backends, the settings and what outlives a call what
    tools resolve their parameters from."""

    name: str
    title: str
    instructions: str
    tools: Sequence[ToolSpec]
    vendors: Sequence[Vendor]
    assemble: Callable[[Mapping[str, BackendClient], Settings, State], object]
    resources: Sequence[Addressed] = ()
    pages: Sequence[Page] = ()
    prompts: Sequence[Callable[..., str]] = ()
    """Each a function whose parameters are the prompt's arguments, and whose docstring describes it."""
    personal_scope: str = ""
    """Without this scope, results are given with personal data masked; empty where there is none."""
    example: str = ""
    """A first call to try in the sandbox: a tool and its arguments, as `backoffice call` takes them."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How one vendor is reached: where, with whose credentials, over what, and with which settings of its own."""

    vendor: Vendor
    base_url: str
    credentials: CredentialSource
    over: Callable[[], httpx.AsyncBaseTransport]
    options: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Missing:
    """A vendor that is not configured, and what would configure it."""

    vendor: Vendor
    needs: str


@dataclass(frozen=True, slots=True)
class Reachable:
    """What a server can use, what it lacks, and what its operator should know."""

    reached: Sequence[Reach] = ()
    missing: Sequence[Missing] = ()
    warnings: Sequence[str] = ()
    source: OpenedSource | None = None
    """Where the secrets come from, to be closed with the connections."""

    def tools(self, domain: Domain) -> list[ToolSpec]:
        """The tools that the vendors reached can serve."""
        provided = {capability for reach in self.reached for capability in reach.vendor.provides}
        return [spec for spec in domain.tools if not spec.needs or spec.needs in provided]

    @property
    def hooked(self) -> list[Hooked]:
        """The vendors reached that tell of their own accord."""
        return [
            Hooked(reach.vendor.backend.name, reach.vendor.webhook, reach.credentials)
            for reach in self.reached
            if reach.vendor.webhook is not None
        ]

    @asynccontextmanager
    async def connected(self, on: Foundation) -> AsyncGenerator[dict[str, BackendClient]]:
        async with AsyncExitStack() as stack:
            if self.source is not None:
                stack.push_async_callback(self.source.aclose)
            clients: dict[str, BackendClient] = {}
            for reach in self.reached:
                client = connect(
                    reach.vendor.backend,
                    reach.over(),
                    reach.credentials,
                    base_url=reach.base_url,
                    options=reach.options,
                    turns=on.state.turns,
                    shelf=on.state.shelf,
                    calm=lambda: on.load.calm,
                )
                stack.push_async_callback(client.aclose)
                clients[reach.vendor.backend.name] = client
            yield clients


async def configured(domain: Domain, settings: Settings, environment: Mapping[str, str]) -> Reachable:
    """The vendors whose credentials and options are configured. `environment` is ours, without the prefix.

    Raises:
        BackofficeError: something is configured that cannot be used.
    """
    source = open_source(settings, _secrets(domain, environment))
    async with AsyncExitStack() as unless_reached:
        unless_reached.push_async_callback(source.aclose)
        reachable = await _reachable(domain, source, environment)
        unless_reached.pop_all()
    return reachable


async def _reachable(domain: Domain, source: OpenedSource, environment: Mapping[str, str]) -> Reachable:
    reached: list[Reach] = []
    missing: list[Missing] = []
    warnings: list[str] = []
    for vendor in domain.vendors:
        backend = vendor.backend
        credential = await source.read(backend.name)
        usable = next((fields for fields in backend.credentials if fields <= credential.keys()), None)
        needed = {name: environment.get(f"{backend.name}_{name}", "") for name in backend.options}
        given = {name: environment.get(f"{backend.name}_{name}", usual) for name, usual in backend.optional.items()}
        options = needed | given
        base_url = environment.get(f"{backend.name}_base_url", "")
        if usable is None or not (base_url or all(needed.values())):
            missing.append(Missing(vendor, _needs(backend, source)))
            continue
        if base_url and vendor.over is wire and not re.fullmatch(r"https?://[^\s/?#]+[^\s?#]*", base_url):
            raise InvalidInput("", f"BACKOFFICE_{backend.name.upper()}_BASE_URL: {base_url!r} is not an http(s) URL")
        if usable in vendor.deprecated:
            warnings.append(f"{backend.title}: {vendor.deprecated[usable]}")
        reached.append(Reach(vendor, base_url or backend.base_url.format(**options), source, vendor.over, options))
    return Reachable(reached, missing, warnings, source)


def _secrets(domain: Domain, environment: Mapping[str, str]) -> dict[str, str]:
    """Without the vendors' options and addresses, which are no secrets and may be shown."""
    options = {
        f"{vendor.backend.name}_{name}"
        for vendor in domain.vendors
        for name in (*vendor.backend.options, *vendor.backend.optional)
    }
    addresses = {f"{vendor.backend.name}_base_url" for vendor in domain.vendors}
    return {name: value for name, value in environment.items() if name not in options | addresses}


def sandboxed(domain: Domain, sandboxes: Mapping[str, VendorSandbox]) -> Reachable:
    """Every vendor, in its sandbox in this process."""
    reached: list[Reach] = []
    for vendor in domain.vendors:
        sandbox = sandboxes[vendor.backend.name]
        base_url = vendor.backend.base_url.format(**sandbox.options)
        over = sandbox.over or _in_process(sandbox)
        reached.append(Reach(vendor, base_url, _given(sandbox.credentials, vendor), over, sandbox.options))
    return Reachable(reached)


def served_elsewhere(domain: Domain, directory: Mapping[str, Mapping[str, object]]) -> Reachable:
    """Every vendor in a running sandbox, as that one's directory (`GET /`) describes it.

    Raises:
        InvalidInput: the directory lacks a vendor of this server.
    """
    reached: list[Reach] = []
    for vendor in domain.vendors:
        entry = directory.get(vendor.backend.name)
        credentials = entry.get("credentials") if entry is not None else None
        url = entry.get("url") if entry is not None else None
        if not isinstance(url, str) or not isinstance(credentials, Mapping):
            raise InvalidInput("", f"that sandbox does not serve {vendor.backend.title}")
        given = {str(name): str(value) for name, value in credentials.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        reached.append(Reach(vendor, url, _given(given, vendor), vendor.over, _options(entry)))
    return Reachable(reached)


def _options(entry: Mapping[str, object] | None) -> dict[str, str]:
    return {name: str(value) for name, value in obj((entry or {}).get("options")).items()}


def _given(credentials: Mapping[str, str], vendor: Vendor) -> CredentialSource:
    return EnvironmentCredentials({f"{vendor.backend.name}_{name}": value for name, value in credentials.items()})


def _in_process(sandbox: VendorSandbox) -> Callable[[], httpx.AsyncBaseTransport]:
    return lambda: InProcess(sandbox)


def _needs(backend: Backend, source: OpenedSource) -> str:
    """How to configure the vendor: names only."""
    options = [f"BACKOFFICE_{backend.name}_{name}".upper() for name in backend.options]
    secrets = [source.where(backend.name, field) for field in sorted(backend.credentials[0])]
    return ", ".join([*options, *secrets])
