"""What `serve` says when an instance is served for the first time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import ok


def served(home: Path, *words: str) -> str:
    """All that a server says on its output, from its start to its end."""
    command = [sys.executable, "-m", "keystead.programs.cli", "serve", str(home), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.terminate()
        return first + process.stdout.read()


def test_the_first_administrator_is_shown_once(prod: Path) -> None:
    made = json.loads(served(prod, "--json"))
    assert made["user"] == "admin"
    assert ok("user", "list", prod)[0]["roles"] == ["admin", "security_admin", "sn_kmf.admin"]
    again = served(prod)
    assert again.startswith("Serving")
    assert "admin" not in again
    files = [file for file in prod.rglob("*") if file.is_file()]
    assert files
    assert not [file for file in files if made["password"].encode() in file.read_bytes()]


def test_its_password_comes_after_the_first_line(prod: Path) -> None:
    first, *others = served(prod).splitlines()
    assert first.startswith("Serving")
    assert any("keystead user password" in line for line in others)
    assert len(others[-2].strip().replace("-", "")) == 25
