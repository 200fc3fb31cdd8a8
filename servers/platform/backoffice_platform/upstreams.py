"""Which MCP servers the platform composes: `upstreams.yaml`, read and checked before anything starts.

upstreams:
  - name: customer
    url: http://customer:8000/mcp
    audience: customer
  - name: wiki
    url: https://wiki.example.com/mcp
    prefix: wiki_
    timeout: 10
    scope: wiki:read
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from backoffice_shared.errors import InvalidInput


class Upstream(BaseModel):
    """One MCP server. `prefix` goes before its tools' names; `timeout` is in seconds, for one call.

    `audience` makes it one of ours: it is told, signed and for this audience, who is calling, and applies its own
    policies. For any other, policies are applied here. `scope` is what a tool needs that says nothing itself; without
    one, `<name>:use`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,31}$")]
    url: HttpUrl
    prefix: Annotated[str, Field(pattern="^([a-z][a-z0-9_]{0,15})?$")] = ""
    timeout: Annotated[float, Field(gt=0, le=120)] = 30.0
    audience: Annotated[str, Field(pattern="^[a-z][a-z0-9-]{0,31}$")] | None = None
    scope: Annotated[str, Field(pattern="^[!#-\\[\\]-~]{1,64}$")] = ""

    @property
    def needs(self) -> str:
        return self.scope or f"{self.name}:use"


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    upstreams: list[Upstream]


def read_upstreams(file: Path) -> list[Upstream]:
    """The upstreams in `file`.

    Raises:
        InvalidInput: it cannot be read, is not YAML, or says something that has no meaning. One line says what.
    """
    try:
        content = yaml.safe_load(file.read_text())
    except OSError as error:
        raise InvalidInput("", f"{file}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput("", f"{file}{where}: is not YAML") from None
    try:
        upstreams = _File.model_validate(content).upstreams
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise InvalidInput("", f"{file}: {where}: {fault['msg']}") from None
    twice = [name for name, count in Counter(upstream.name for upstream in upstreams).items() if count > 1]
    if twice:
        raise InvalidInput("", f"{file}: two upstreams are named {twice[0]!r}")
    return upstreams
