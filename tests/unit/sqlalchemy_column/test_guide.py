"""The example of the guide runs, and prints what the guide says."""

from __future__ import annotations

import re
import runpy
import shlex
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import keystead
from keystead.programs import cli

GUIDE = Path(keystead.__file__).parents[2] / "docs" / "guides" / "encrypted-columns.md"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", GUIDE.read_text(), re.DOTALL | re.MULTILINE)
    (commands, program, printed) = (text for _, text in blocks)
    monkeypatch.chdir(tmp_path)
    Path("application.py").write_text(program)
    for line in commands.splitlines():
        word, *arguments = shlex.split(line)
        capsys.readouterr()
        run(word, arguments, monkeypatch)
    assert capsys.readouterr().out == printed


def run(word: str, arguments: list[str], monkeypatch: Any) -> None:
    if word == "keystead":
        assert cli.command(arguments) == 0
        return
    monkeypatch.setattr(sys, "argv", arguments)
    with suppress(SystemExit):
        runpy.run_path(arguments[0], run_name="__main__")
