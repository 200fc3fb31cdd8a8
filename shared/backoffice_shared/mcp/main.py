"""The command line of a domain server: stdio for a host that starts it, HTTP for one that connects to it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import click
from pydantic import ValidationError

from backoffice_shared.errors import BackofficeError, InvalidInput
from backoffice_shared.mcp.domain import Domain, Reachable, configured, sandboxed, served_elsewhere
from backoffice_shared.mcp.opening import founded
from backoffice_shared.mcp.readiness import Readiness, has_credentials
from backoffice_shared.mcp.server import announce, domain_guard, domain_server
from backoffice_shared.mcp.serving import address, listen, run, serve_http, serve_stdio
from backoffice_shared.sandbox.company import FEWEST, MOST, Company
from backoffice_shared.sandbox.directory import read_directory
from backoffice_shared.sandbox.frame import VendorSandbox
from backoffice_shared.settings import Settings, environment
from backoffice_shared.telemetry.logs import log_to_stderr, say
from backoffice_shared.telemetry.traces import tracing

BAD_USE = 2


def read_settings(**given: object) -> Settings:
    """The settings, with what the command line says on top.

    Raises:
        InvalidInput: the environment holds something that cannot be one.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # pyright: ignore[reportArgumentType]
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
        name = "BACKOFFICE_" + "_".join(str(part) for part in fault["loc"]).upper()
        raise InvalidInput("", f"{name}: {fault['msg']}") from None


def sandboxes_of(domains: Iterable[Domain], company: Company) -> dict[str, VendorSandbox]:
    """One sandbox for each vendor of these, over the same company. Servers that have a vendor in common share it: what
    one of them does there, the other sees."""
    vendors = {vendor.backend.name: vendor for domain in domains for vendor in domain.vendors}
    return {name: vendor.sandbox(company) for name, vendor in vendors.items()}


async def reach(
    domain: Domain,
    settings: Settings,
    env: Mapping[str, str],
    *,
    sandbox: str | None,
    sandboxes: Mapping[str, VendorSandbox],
) -> Reachable:
    """The backends of `domain`: those configured, or with `sandbox` the sandbox at that URL, or with an empty one
    `sandboxes`, which are in this process."""
    if sandbox is None:
        return await configured(domain, settings, env)
    if sandbox:
        return served_elsewhere(domain, await read_directory(sandbox))
    return sandboxed(domain, sandboxes)


def serving_options(command: Callable[..., None]) -> Callable[..., None]:
    """What every command that serves takes: `host`, `port`, `sandbox`, `customers`, `seed`, and in `given` the gates."""
    options = (
        click.option("--host", help="Address to listen on.  [default: 127.0.0.1]"),
        click.option(
            "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one.  [default: 8000]"
        ),
        click.option(
            "--sandbox",
            is_flag=False,
            flag_value="",
            metavar="[URL]",
            help="Use a fictional company: in this process, or the one that `backoffice sandbox` serves at URL.",
        ),
        click.option("--toolsets", help="Serve only these toolsets, separated by commas."),
        click.option("--tools", help="Serve only these tools, or beside --toolsets also these."),
        click.option("--exclude-tools", help="Serve all but these tools."),
        click.option("--read-only", is_flag=True, default=None, help="Serve only tools that change nothing."),
        click.option("--no-destructive", is_flag=True, default=None, help="Serve no tool whose effect is for good."),
        click.option("--agents", "agents_file", type=click.Path(path_type=Path), help="agents.yaml: who may do what."),
        *company_options,
    )
    for option in reversed(options):
        command = option(command)
    return command


company_options = (
    click.option(
        "--customers",
        type=click.IntRange(FEWEST, MOST),
        default=50,
        show_default=True,
        help="Size of the fictional company.",
    ),
    click.option("--seed", type=int, default=7, show_default=True, help="Which fictional company."),
)


def domain_main(domain: Domain, *beside: click.Command) -> None:
    """Run the server's own command, or the one `beside` it that is named."""

    @click.command(
        name=f"backoffice-{domain.name}",
        help=f"{domain.title}. Speaks MCP on standard input and output, or with --http on a port.",
        epilog=f"Example: backoffice-{domain.name} --sandbox --http --port 8001",
    )
    @click.option("--http", is_flag=True, help="Serve Streamable HTTP instead of stdio.")
    @serving_options
    def command(http: bool, sandbox: str | None, customers: int, seed: int, **given: object) -> None:  # noqa: FBT001
        async def main() -> None:
            settings = read_settings(**given)
            log_to_stderr(settings.log_level, settings.log_format)
            sandboxes = sandboxes_of([domain], Company(seed=seed, customers=customers)) if sandbox == "" else {}
            reachable = await reach(domain, settings, environment(), sandbox=sandbox, sandboxes=sandboxes)
            async with AsyncExitStack() as stack:
                stack.enter_context(tracing(settings, domain.name))
                on = await stack.enter_async_context(founded(settings, domain.name, sandboxed=sandbox is not None))
                server = domain_server(domain, reachable, settings, on)
                announce(domain, reachable, say)
                if not http:
                    await serve_stdio(server)
                    return
                guard = domain_guard(domain, reachable, settings, on)
                readiness = Readiness(credentials=has_credentials(reachable), callers=guard and guard.ready)
                listening = listen(settings)
                where = address(settings.host, listening)
                started = partial(say, f"MCP at {where}")
                await serve_http(server, settings, listening, started=started, guard=guard, readiness=readiness)

        guarded(lambda: run(main))

    _unless_named(beside, command)()


def _unless_named(beside: Sequence[click.Command], command: click.Command) -> click.Command:
    """`command`, which runs unless one of those `beside` it is named."""
    if not beside:
        return command

    def alone(**given: object) -> None:
        if click.get_current_context().invoked_subcommand is None and command.callback is not None:
            command.callback(**given)

    return click.Group(
        command.name,
        commands=beside,
        callback=alone,
        params=command.params,
        help=command.help,
        epilog=command.epilog,
        invoke_without_command=True,
        subcommand_metavar="[COMMAND]",
    )


def guarded(main: Callable[[], None]) -> None:
    """Run `main`; what the operator got wrong is one line and exit code 2."""
    try:
        main()
    except BackofficeError as error:
        say(f"Error: {error}")
        sys.exit(BAD_USE)
    except KeyboardInterrupt:
        sys.exit(130)
