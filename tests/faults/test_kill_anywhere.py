"""`kill -9` of everything, at moments of the main job; run again, it ends the same.

The whole process group dies: the run, both serving processes, whatever command is running. Short
phases are held open by a lock on a database that they need, so that each is hit every time.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from demo import people

ROWS = 4_000
RATE = 1_200
PATIENCE = 120.0
_PROGRESS = "SELECT phase, done, total FROM keystead_job WHERE kind = ? ORDER BY sys_id DESC"


@dataclass(frozen=True)
class Moment:
    """When to kill: in a phase of a job of one home, past a part of its rows.

    `hold` names a home whose database is locked for writing, or read, to keep the phase open.
    """

    home: str
    kind: str
    phase: str
    part: float = 0.0
    hold_write: str | None = None
    hold_read: str | None = None


ENCRYPT, CLONE, EXCHANGE, REKEY = "mass encryption", "clone", "key exchange", "mass rekeying"
MOMENTS = (
    *(Moment("prod", ENCRYPT, "encrypting", part) for part in (0.05, 0.2, 0.4, 0.6, 0.8)),
    Moment("prod", ENCRYPT, "clearing residue", hold_read="prod"),
    Moment("prod", CLONE, "preparing", hold_write="test"),
    *(Moment("prod", CLONE, "copying", part) for part in (0.05, 0.2, 0.4, 0.6, 0.8)),
    Moment("test", EXCHANGE, "exchanging", hold_write="prod"),
    *(Moment("test", REKEY, "rekeying", part) for part in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8)),
    Moment("test", REKEY, "clearing residue", hold_read="test"),
)


_BY_PHASE = {(moment.home, moment.phase): moment for moment in reversed(MOMENTS)}
ONE_A_PHASE = tuple(reversed(_BY_PHASE.values()))


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param(ONE_A_PHASE, id="in each phase"),
        pytest.param(MOMENTS, id="at twenty moments", marks=pytest.mark.long),
    ],
)
def test_killed_again_and_again_it_ends_with_the_same_report(
    tmp_path: Path, moments: tuple[Moment, ...]
) -> None:
    data = tmp_path / "customers.csv"
    people.write(data, ROWS)
    whole = _run(tmp_path / "whole", data)
    expected = _outcome(_wait(whole, tmp_path / "whole"))

    folder = tmp_path / "killed"
    hits = []
    for moment in moments:
        process = _run(folder, data)
        with _Holding(folder, moment) as holding:
            hits.append(_kill_at(process, folder, moment, holding))
    report = _wait(_run(folder, data), folder)

    assert len(hits) == len(moments)
    inside = [hit for hit in hits if 0 < hit[1] < hit[2]]
    assert len(inside) >= sum(moment.part > 0 for moment in moments) - 1, hits
    assert {hit[0] for hit in hits} == {
        *("encrypting", "clearing residue", "preparing", "copying", "exchanging", "rekeying")
    }
    assert _outcome(report) == expected
    _assert_nothing_was_done_twice(folder, report)


def _run(folder: Path, data: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "demo", "--folder", str(folder), "--data", str(data)]
    command += ["--encrypt", ",".join(people.ENCRYPT), "--equality", ",".join(people.EQUALITY)]
    command += ["--rate", str(RATE), "--resume"]
    log = (folder.parent / f"{folder.name}.log").open("ab")
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def _wait(process: subprocess.Popen[bytes], folder: Path) -> dict[str, Any]:
    code = process.wait(timeout=PATIENCE)
    log = (folder.parent / f"{folder.name}.log").read_text(encoding="utf-8", errors="replace")
    assert code == 0, log[-4000:]
    return dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))


def _kill_at(
    process: subprocess.Popen[bytes], folder: Path, moment: Moment, holding: _Holding
) -> tuple[str, int, int]:
    """Kill the process group at a moment; where the job was."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the run ended before {moment}"
        holding.try_to_hold()
        found = _progress(folder, moment)
        if found is not None and _is_reached(found, moment):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return _progress(folder, moment) or found
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    pytest.fail(f"{moment} never came; last seen: {_progress(folder, moment)}")


def _is_reached(found: tuple[str, int, int], moment: Moment) -> bool:
    phase, done, total = found
    if phase != moment.phase:
        return False
    return moment.part == 0.0 or (total > 0 and moment.part <= done / total < 1)


def _progress(folder: Path, moment: Moment) -> tuple[str, int, int] | None:
    with _connected(folder / moment.home) as connection:
        if connection is None:
            return None
        row = connection.execute(_PROGRESS, (moment.kind,)).fetchone()
    return None if row is None else (str(row[0]), int(row[1]), int(row[2]))


@contextmanager
def _connected(home: Path, mode: str = "ro") -> Iterator[sqlite3.Connection | None]:
    database = home / "instance.db"
    if not database.exists():
        yield None
        return
    connection = sqlite3.connect(f"file:{database}?mode={mode}", uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM keystead_job")
        yield connection
    except sqlite3.OperationalError:
        yield None
    finally:
        connection.close()


class _Holding:
    """Keeps a phase open by what it needs, from the moment its job's predecessor allows it."""

    def __init__(self, folder: Path, moment: Moment) -> None:
        self._folder = folder
        self._moment = moment
        self._stack = ExitStack()
        self._held = False

    def __enter__(self) -> _Holding:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def try_to_hold(self) -> None:
        """Take the lock once the run has come far enough not to be stopped earlier by it."""
        moment = self._moment
        if self._held or (moment.hold_read or moment.hold_write) is None:
            return
        if not self._is_near():
            return
        home = self._folder / str(moment.hold_read or moment.hold_write)
        connection = self._stack.enter_context(_connected(home, "rw"))
        if connection is None:
            return
        try:
            connection.execute("BEGIN" if moment.hold_read else "BEGIN IMMEDIATE")
            connection.execute("SELECT count(*) FROM keystead_job").fetchone()
        except sqlite3.OperationalError:
            return
        self._held = True

    def _is_near(self) -> bool:
        found = _progress(self._folder, self._moment)
        if self._moment.phase == "clearing residue":
            return found is not None and found[2] > 0 and found[1] / found[2] > 0.5
        if self._moment.phase == "preparing":
            return found is not None and found[0] in ("waiting", "preparing")
        return found is not None


def _outcome(report: dict[str, Any]) -> dict[str, Any]:
    """What a report says but for times and ids."""
    kept = {k: v for k, v in report.items() if k not in ("phases", "seconds", "exchange", "data")}
    exchange = {k: v for k, v in report["exchange"].items() if k != "request"}
    return {**kept, "exchange": exchange}


def _assert_nothing_was_done_twice(folder: Path, report: dict[str, Any]) -> None:
    """Every job moved each value once: what it counts is what there is to move."""
    for home, kind in (("prod", ENCRYPT), ("test", REKEY)):
        with sqlite3.connect(folder / home / "instance.db") as connection:
            query = "SELECT state, counts FROM keystead_job WHERE kind = ?"
            jobs = connection.execute(query, (kind,)).fetchall()
        assert [state for state, _ in jobs] == ["done"]
        assert json.loads(jobs[0][1])["values"] == report["values_encrypted"]
        assert json.loads(jobs[0][1])["passes"] == 1
