"""docs/configuration.md has every setting, and no other."""

from __future__ import annotations

import re
from pathlib import Path

from backoffice_shared.settings import PREFIX, Settings

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
ROWS = [line.split("|")[1:3] for line in PAGE.read_text().splitlines() if line.startswith("| `BACKOFFICE_")]

NOT_OF_THE_SERVERS = {"URL", "TOKEN"}
"""The command's, for where to ask, and as whom."""


def test_every_setting_is_on_the_page_and_the_page_has_no_other() -> None:
    named = {name for cell, _ in ROWS for name in re.findall(rf"`{PREFIX}([A-Z_]+)`", cell)}
    assert named - NOT_OF_THE_SERVERS == {name.upper() for name in Settings.model_fields}


def test_a_default_that_the_page_gives_is_the_default() -> None:
    given = {
        name: default
        for cell, told in ROWS
        if re.fullmatch(r"( `[^`]+`,?)+ ", told)
        for name, default in zip(
            re.findall(rf"`{PREFIX}([A-Z_]+)`", cell), re.findall(r"`([^`]+)`", told), strict=False
        )
    }
    del given["URL"], given["STATE_DIR"]
    assert len(given) > 15
    assert given == {name: _written(Settings.model_fields[name.lower()].default) for name in given}


def _written(default: object) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, float):
        return f"{default:g}"
    return re.sub(r"[()' ]", "", str(default))  # a tuple is written with commas
