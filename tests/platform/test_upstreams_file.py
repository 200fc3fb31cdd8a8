"""What is wrong with upstreams.yaml is said in one line, before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from backoffice_platform.upstreams import read_upstreams
from backoffice_shared.errors import InvalidInput

GOOD = "upstreams:\n  - name: wiki\n    url: https://wiki.example.com/mcp\n"


def test_a_file_is_read_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text(f"{GOOD}  - name: crm\n    url: http://crm:8000/mcp\n    prefix: crm_\n    timeout: 10\n")
    assert [(u.name, str(u.url), u.prefix, u.timeout) for u in read_upstreams(file)] == [
        ("wiki", "https://wiki.example.com/mcp", "", 30.0),
        ("crm", "http://crm:8000/mcp", "crm_", 10.0),
    ]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (f"{GOOD}    retries: 3\n", "upstreams.0.retries: Extra inputs are not permitted."),
        (f"{GOOD}defaults: {{}}\n", "defaults: Extra inputs are not permitted."),
        (GOOD.replace("https://", ""), "upstreams.0.url: Input should be a valid URL, relative URL without a base."),
        (GOOD.replace("https:", "ftp:"), "upstreams.0.url: URL scheme should be 'http' or 'https'."),
        (GOOD.replace("wiki\n", "Wiki Server\n"), "upstreams.0.name: String should match pattern '^[a-z][a-z0-9-]{0,31}$'."),
        (f"{GOOD}    timeout: 0\n", "upstreams.0.timeout: Input should be greater than 0."),
        (f"{GOOD}    timeout: soon\n", "upstreams.0.timeout: Input should be a valid number, unable to parse string as a number."),
        (f"{GOOD}    prefix: Wiki-\n", "upstreams.0.prefix: String should match pattern '^([a-z][a-z0-9_]{0,15})?$'."),
        ("upstreams:\n  - name: wiki\n", "upstreams.0.url: Field required."),
        (f"{GOOD}  - name: wiki\n    url: http://other.example/mcp\n", "two upstreams are named 'wiki'."),
        ("upstreams:\n  - {name: wiki\n", ", line 3: is not YAML."),
        ("\x00", ": is not YAML."),
        ("", "the file: Input should be a valid dictionary or instance of _File."),
        ("- wiki\n", "the file: Input should be a valid dictionary or instance of _File."),
        ("servers: []\n", "upstreams: Field required."),
    ],
)  # fmt: skip
def test_what_is_wrong_is_one_line_that_names_the_file_and_the_place(
    tmp_path: Path, content: str, sentence: str
) -> None:
    file = tmp_path / "upstreams.yaml"
    file.write_text(content)
    with pytest.raises(InvalidInput) as caught:
        read_upstreams(file)
    told = str(caught.value)
    assert told.startswith(str(file))
    assert told.endswith(sentence), told
    assert "\n" not in told


def test_a_file_that_is_not_there_or_is_no_text_is_one_line(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing.yaml", tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\xfa")
    for file, told in ((missing, "No such file or directory."), (binary, "is not YAML.")):
        with pytest.raises(InvalidInput) as caught:
            read_upstreams(file)
        assert str(caught.value) == f"{file}: {told}"
