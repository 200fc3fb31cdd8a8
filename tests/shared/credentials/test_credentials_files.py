"""Secrets from mounted files, which may change at any time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backoffice_shared.credentials.files import FileCredentials
from backoffice_shared.credentials.source import MissingCredential

pytestmark = pytest.mark.anyio


def put(path: Path, text: str, *, second: int) -> None:
    """Write a file that was last changed at `second`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (second, second))


async def test_every_file_is_a_field_without_its_last_line_end(tmp_path: Path) -> None:
    put(tmp_path / "acme" / "client_id", "id\n", second=1)
    put(tmp_path / "acme" / "client_secret", "  spaces are part of it ", second=1)
    put(tmp_path / "acme" / ".swp", "not one of them", second=1)
    put(tmp_path / "other" / "token", "not mine", second=1)
    assert dict(await FileCredentials(tmp_path).read("acme")) == {
        "client_id": "id",
        "client_secret": "  spaces are part of it ",
    }


async def test_a_vendor_without_a_folder_has_an_empty_credential(tmp_path: Path) -> None:
    assert dict(await FileCredentials(tmp_path / "absent").read("acme")) == {}


async def test_a_rotated_file_is_read_with_the_next_request(tmp_path: Path) -> None:
    put(tmp_path / "acme" / "access_token", "old", second=1)
    source = FileCredentials(tmp_path)
    before = await source.read("acme")
    put(tmp_path / "acme" / "access_token", "new", second=2)
    after = await source.read("acme")
    assert (dict(before), dict(after)) == ({"access_token": "old"}, {"access_token": "new"})
    assert before.version != after.version


async def test_an_unchanged_file_is_the_same_version(tmp_path: Path) -> None:
    put(tmp_path / "acme" / "access_token", "secret", second=1)
    source = FileCredentials(tmp_path)
    assert (await source.read("acme")) is (await source.read("acme"))


async def test_a_secret_that_kubernetes_swaps_is_read_with_the_next_request(tmp_path: Path) -> None:
    folder = tmp_path / "acme"
    put(folder / "..2026_01" / "access_token", "old", second=1)
    put(folder / "..2026_02" / "access_token", "new", second=2)
    (folder / "..data").symlink_to("..2026_01")
    (folder / "access_token").symlink_to("..data/access_token")
    source = FileCredentials(tmp_path)
    before = await source.read("acme")
    (folder / "..swapped").symlink_to("..2026_02")
    (folder / "..swapped").rename(folder / "..data")
    assert (dict(before), dict(await source.read("acme"))) == ({"access_token": "old"}, {"access_token": "new"})


async def test_a_field_that_is_taken_away_is_gone(tmp_path: Path) -> None:
    put(tmp_path / "acme" / "access_token", "secret", second=1)
    put(tmp_path / "acme" / "client_id", "id", second=1)
    source = FileCredentials(tmp_path)
    await source.read("acme")
    (tmp_path / "acme" / "client_id").unlink()
    assert dict(await source.read("acme")) == {"access_token": "secret"}


async def test_refreshing_tells_a_new_secret_from_the_rejected_one_even_with_the_same_time(tmp_path: Path) -> None:
    put(tmp_path / "acme" / "access_token", "old", second=1)
    source = FileCredentials(tmp_path)
    rejected = await source.read("acme")
    put(tmp_path / "acme" / "access_token", "new", second=1)
    renewed = await source.refresh("acme", rejected=rejected.version)
    assert dict(renewed) == {"access_token": "new"}
    assert renewed.version != rejected.version


async def test_what_cannot_be_read_is_named_without_its_content(tmp_path: Path) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    (folder / "access_token").write_bytes(b"\xff\xfehunter2")
    with pytest.raises(MissingCredential) as raised:
        await FileCredentials(tmp_path).read("acme")
    assert str(raised.value) == f"the secrets in {folder} cannot be read (UnicodeDecodeError)."
