"""`backoffice-platform`: the platform as a server of its own: stdio by default, HTTP with --http."""

from __future__ import annotations

from pathlib import Path

import click

from backoffice_platform import running
from backoffice_shared.mcp.main import guarded


@click.command(
    name="backoffice-platform",
    epilog="Example: backoffice-platform --upstreams upstreams.yaml --http --port 8000",
)
@click.option("--http", is_flag=True, help="Serve Streamable HTTP instead of stdio.")
@click.option("--host", help="Address to listen on (127.0.0.1).")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on (8000); 0 takes a free one.")
@click.option("--upstreams", type=click.Path(path_type=Path, dir_okay=False), required=True, help="What to compose.")
def main(http: bool, host: str | None, port: int | None, upstreams: Path) -> None:  # noqa: FBT001
    """Several MCP servers as one. Speaks MCP on standard input and output, or with --http on a port."""
    plan = running.Plan(None, upstreams, stdio=not http, given={"host": host, "port": port})
    guarded(lambda: running.up(plan))


if __name__ == "__main__":
    main()
