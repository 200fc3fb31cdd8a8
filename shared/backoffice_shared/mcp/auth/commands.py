"""`backoffice keys`: make API keys. A key is shown once; agents.yaml holds only its hash."""

from __future__ import annotations

import re

import click

from backoffice_shared.mcp.agents import NAME
from backoffice_shared.mcp.auth.keys import make_key


def key_commands() -> click.Group:
    """The group `keys`."""

    @click.group(name="keys", help="Make API keys for agents.", epilog="Example: backoffice keys make support")
    def keys() -> None:
        pass

    keys.add_command(_make)
    return keys


@click.command(
    name="make",
    help="Make an API key for the agent NAME.\n\n"
    "The key goes to standard output, once: it is kept nowhere. What agents.yaml needs goes to standard error.",
    epilog="Example: backoffice keys make support",
)
@click.argument("name")
def _make(name: str) -> None:
    if re.fullmatch(NAME, name) is None:
        raise click.BadParameter("an agent is named with lower-case letters, digits, - and _", param_hint="NAME")
    made = make_key()
    click.echo(f"In agents.yaml, where an earlier key of {name} may stay until it is no longer used:\n", err=True)
    click.echo(f'agents:\n  {name}:\n    keys:\n      - {{id: {made.id}, sha256: "{made.sha256}"}}\n', err=True)
    click.echo("The key, which is shown this once:\n", err=True)
    click.echo(made.key)
