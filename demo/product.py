"""Keystead's command line, as the demo uses it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

_PROGRAM = [sys.executable, "-m", "keystead.programs.cli"]


class CommandFailed(Exception):
    """A command ended with an error; it has said why itself."""

    def __init__(self, arguments: list[str], code: int) -> None:
        super().__init__(f"keystead {' '.join(arguments)} ended with exit code {code}")
        self.code = code


def keystead(*arguments: str | Path) -> Any:
    """Run one command with --json and return what it says; its progress is shown as it runs."""
    words = [str(argument) for argument in arguments]
    done = subprocess.run([*_PROGRAM, *words, "--json"], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise CommandFailed(words, done.returncode)
    return json.loads(done.stdout)


class Served:
    """A process that serves a home, for as long as the block lasts."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def __enter__(self) -> None:
        self._process = subprocess.Popen(
            [*_PROGRAM, "serve", str(self._home), "--json"], stdout=subprocess.PIPE
        )
        if self._process.stdout is None or not self._process.stdout.readline():
            raise CommandFailed(["serve", str(self._home)], self._process.wait())

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


def free_port() -> int:
    """A port on the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
