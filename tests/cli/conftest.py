"""The command line as a person uses it: what it says, and how it ends."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from keystead.programs.cli import command

PEOPLE = (
    "number,name,city,zip\n1,Zoë,Köln,00501\n2,李雷,北京,100000\n3,Ann,Oslo,0150\n4,Ann,,0150\n"
)


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def keystead(*words: object) -> Ended:
    """Run one command by the installed command's own entry."""
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = command([str(word) for word in words])
    return Ended(code, out.getvalue(), err.getvalue())


def ok(*words: object) -> Any:
    """The JSON answer of a command that must succeed."""
    ended = keystead(*words, "--json")
    assert ended.code == 0, (words, ended.err)
    return ended.json


@contextmanager
def serving(*homes: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Serve homes in processes of their own."""
    with ExitStack() as stack:
        processes = []
        for home in homes:
            words = [sys.executable, "-m", "keystead.programs.cli", "serve", str(home)]
            process = subprocess.Popen(words, stdout=subprocess.PIPE)
            stack.callback(_end, process)
            processes.append(process)
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline().startswith(b"Serving")
        yield processes


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(timeout=30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def make(home: Path) -> Path:
    """A new instance."""
    ok("init", home, "--name", home.name, "--port", free_port())
    return home


def configure(home: Path, file: Path) -> None:
    """A table with one column of each mode."""
    ok("load", home, "people", file)
    ok("module", "create", home, "std", "--publish")
    ok("module", "create", home, "eq", "--equality", "--publish")
    ok("field", "add", home, "people", "name", "--module", "std")
    ok("field", "add", home, "people", "city", "--module", "eq")
    ok("policy", "add", home, "--module", "std", "--role", "support", "--operation", "decrypt")
    ok("policy", "add", home, "--module", "eq", "--role", "support", "--operation", "decrypt")


def pair(home: Path, other: Path) -> None:
    """Pair two served instances with each other."""
    for one, peer in ((home, other), (other, home)):
        shown = ok("peer", "identity", peer)
        ok("peer", "add", one, shown["url"], "--fingerprint", shown["fingerprint"])


@pytest.fixture
def people(tmp_path: Path) -> Path:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE, encoding="utf-8")
    return file


@pytest.fixture
def prod(tmp_path: Path) -> Path:
    return make(tmp_path / "prod")
