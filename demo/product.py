"""Keystead's command line, as the demo uses it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

from keystead.programs.cli import command

_PROGRAM = [sys.executable, "-m", "keystead.programs.cli"]


class CommandFailed(Exception):
    """A command ended with an error; it has said why itself."""

    def __init__(self, arguments: list[str], code: int) -> None:
        super().__init__(f"keystead {' '.join(arguments)} ended with exit code {code}")
        self.code = code


def keystead(*arguments: str | Path, given: str = "") -> Any:
    """Run one command with --json and return what it says; its progress is shown as it runs.

    `given` is what it reads from standard input. It is the installed command's own entry, called
    without starting an interpreter each time.
    """
    words = [str(argument) for argument in arguments]
    said = StringIO()
    with redirect_stdout(said), _standard_input(given):
        code = command([*words, "--json"])
    if code:
        raise CommandFailed(words, code)
    return json.loads(said.getvalue())


@contextmanager
def _standard_input(text: str) -> Iterator[None]:
    before, sys.stdin = sys.stdin, StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


@contextmanager
def served(*homes: Path) -> Iterator[None]:
    """Processes that serve the homes, for as long as the block lasts."""
    processes = [
        subprocess.Popen([*_PROGRAM, "serve", str(home), "--json"], stdout=subprocess.PIPE)
        for home in homes
    ]
    try:
        for home, process in zip(homes, processes, strict=True):
            if process.stdout is None or not process.stdout.readline():
                raise CommandFailed(["serve", str(home)], process.wait())
        yield
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(timeout=30)


def free_port() -> int:
    """A port on the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
