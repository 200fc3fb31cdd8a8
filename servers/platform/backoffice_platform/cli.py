"""The command `backoffice`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from backoffice_platform import asking, running
from backoffice_shared import __version__
from backoffice_shared.audit.commands import audit_commands
from backoffice_shared.audit.opened import open_archive
from backoffice_shared.mcp.approvals_command import approval_commands, open_approvals
from backoffice_shared.mcp.auth.commands import key_commands
from backoffice_shared.mcp.main import company_options, guarded, read_settings, serving_options

DEFAULT_URL = "http://127.0.0.1:8000/mcp"

_customers, _seed = company_options
_url = click.option(
    "--url", default=DEFAULT_URL, show_default=True, envvar="BACKOFFICE_URL", help="Where MCP is served."
)
_token = click.option(
    "--token",
    default="",
    envvar="BACKOFFICE_TOKEN",
    help="An API key or an access token, where callers have to prove who they are. Better in BACKOFFICE_TOKEN.",
)


@click.group(epilog="Start with: backoffice up --sandbox", context_settings={"max_content_width": 110})
@click.version_option(__version__, prog_name="backoffice")
def main() -> None:
    """The tools of a company's staff, for AI agents."""


@main.command(epilog="Example: backoffice up --sandbox --customers 500")
@serving_options
@click.option(
    "--upstreams",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Compose the MCP servers in this file instead of the installed domain servers.",
)
@click.option("--stdio", is_flag=True, help="Speak MCP on standard input and output instead of HTTP.")
def up(
    sandbox: str | None,
    upstreams: Path | None,
    stdio: bool,  # noqa: FBT001
    customers: int,
    seed: int,
    **given: object,
) -> None:
    """Start the platform with every installed domain server behind it, in one process."""
    if sandbox is not None and upstreams is not None:
        raise click.UsageError("--sandbox is for the installed servers: give it to those in --upstreams themselves")
    plan = running.Plan(sandbox, upstreams, stdio, customers, seed, given)
    guarded(lambda: running.up(plan))


@main.command(epilog="Example: backoffice sandbox --port 8100 --customers 1000")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65000),
    default=8100,
    show_default=True,
    help="First of the ports: the directory, then the vendors; 0 takes free ones.",
)
@_customers
@_seed
def sandbox(host: str, port: int, customers: int, seed: int) -> None:
    """Serve every vendor's sandbox over one fictional company, on HTTP and HTTPS."""
    guarded(lambda: running.sandbox(host, port, customers, seed))


@main.command(epilog="Example: backoffice tools --schema get_customers")
@click.argument("names", nargs=-1)
@click.option("--schema", is_flag=True, help="With the input schemas, as JSON.")
@_url
@_token
def tools(names: tuple[str, ...], schema: bool, url: str, token: str) -> None:  # noqa: FBT001
    """List the tools that a running server offers."""
    guarded(lambda: asking.tools(url, token, names, schema=schema))


@main.command(
    epilog="""\b
Examples:
  backoffice call find_customers query=maria
  backoffice call get_customers customer_ids='["hubspot:contact:100001"]' include='["counts"]'
"""
)
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--compact", is_flag=True, help="The result on one line, as a model reads it.")
@_url
@_token
def call(tool: str, arguments: tuple[str, ...], compact: bool, url: str, token: str) -> None:  # noqa: FBT001
    """Call one tool of a running server. Values are text, or JSON where the tool wants something else.

    Exit code 0 when it answered, 1 when it refused, 2 when the call could not be made.
    """
    guarded(lambda: sys.exit(asking.call(url, token, tool, arguments, compact_output=compact)))


main.add_command(audit_commands(lambda server: open_archive(read_settings(), server)))
main.add_command(key_commands())
main.add_command(
    approval_commands(lambda server: open_approvals(read_settings(), server), program="backoffice", server="backoffice")
)
