"""Checks that requirements*.lock still say what the manifests ask for; with --write, resolves them anew.

Pins are resolved for every platform and carry hashes, so that what is installed is what was tested.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
OURS = ("backoffice-shared", "backoffice-shopify", "backoffice-customer", "backoffice-billing", "backoffice-platform")
LOCKS = {"requirements.lock": ["build"], "requirements-dev.lock": ["build", "dev"]}


def compile_lock(name: str, groups: list[str], output: Path) -> None:
    command = [sys.executable, "-m", "uv", "pip", "compile", "-q", "--universal", "--generate-hashes", "--no-header"]
    command += ["--python-version", "3.11", "pyproject.toml", "-o", str(output)]
    for group in groups:
        command += ["--group", group]
    for package in OURS:
        command += ["--no-emit-package", package]
    if name != "requirements.lock":
        command += ["-c", "requirements.lock"]
    subprocess.run(command, cwd=ROOT, check=True)


def main() -> int:
    if "--write" in sys.argv:
        for name, groups in LOCKS.items():
            (ROOT / name).unlink(missing_ok=True)
            compile_lock(name, groups, ROOT / name)
        return 0
    stale: list[str] = []
    for name, groups in LOCKS.items():
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / name
            output.write_text((ROOT / name).read_text())  # what is pinned stays pinned as long as it satisfies
            compile_lock(name, groups, output)
            if _pins(output) != _pins(ROOT / name):
                stale.append(name)
    if stale:
        sys.stderr.write(f"{', '.join(stale)}: not what pyproject.toml asks for. Run: make lock\n")
    return 1 if stale else 0


def _pins(lock: Path) -> list[str]:
    return [line for line in lock.read_text().splitlines() if line and not line.lstrip().startswith("#")]


if __name__ == "__main__":
    sys.exit(main())
