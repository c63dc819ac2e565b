"""Servers that all tests of a session share, whichever worker asks for them first."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from tempfile import mkdtemp

from demo.servers import Server

_FOLDER = "KEYSTEAD_TEST_SERVERS"


def begin() -> None:
    """Called once in a session; the workers inherit the folder of their controller."""
    os.environ[_FOLDER] = mkdtemp(prefix="keystead-test-servers-")


def end() -> None:
    """Stop all that were started."""
    folder = Path(os.environ.pop(_FOLDER))
    for file in folder.glob("*.json"):
        _read(file).stop()
    shutil.rmtree(folder)


def shared(kind: str, start: Callable[[], Server]) -> Server:
    """The session's server of a kind, started if it is the first time that it is asked for."""
    file = Path(os.environ[_FOLDER]) / f"{kind}.json"
    with file.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not file.exists():
            server = start()
            file.write_text(json.dumps({**asdict(server), "folder": str(server.folder)}))
    return _read(file)


def _read(file: Path) -> Server:
    fields = json.loads(file.read_text())
    return Server(**{**fields, "folder": Path(fields["folder"])})
