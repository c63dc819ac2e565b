"""Bad input: one line what, one line what to do, a documented exit code, nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import (
    Ended,
    configure,
    free_port,
    keystead,
    make,
    ok,
    pair,
    serving,
)

from keystead.delivery.cli.exits import EXIT_CODES

STANDSTILL_SECONDS = 8.0
BAR = re.compile("[━╸╺]")


def refused(ended: Ended, family: str, *said: str) -> None:
    """Two lines on standard error, the code of the family, nothing on standard output."""
    lines = [line for line in ended.err.splitlines() if not BAR.search(line)]
    assert ended.code == EXIT_CODES[family], ended
    assert ended.out == ""
    assert len(lines) == 2, ended.err
    assert lines[0].startswith("keystead: ")
    assert lines[1].startswith("  ")
    for words in said:
        assert words in ended.err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n1,2\n3\n", ("line 3",)),
        (b"a,b\n1,2\n3,4,5\n", ("line 3",)),
        (b'a,b\n1,"2\n3,4\n', ("line",)),
        (b"a,b\n1,\xff\n", ("line 2",)),
        (b"a,b\n1,x\x00y\n", ("line 2", "'b'")),
        (b"a,a\n1,2\n", ("a",)),
        (b"", ("no header or no rows",)),
        (b"a,b\n", ("no header or no rows",)),
    ],
)
def test_a_broken_file_is_refused_and_nothing_is_loaded(
    prod: Path, tmp_path: Path, content: bytes, said: tuple[str, ...]
) -> None:
    file = tmp_path / "broken.csv"
    file.write_bytes(content)
    refused(keystead("load", prod, "broken", file), "invalid", str(file), *said)
    assert ok("table", "list", prod) == []


def test_a_key_that_repeats_is_named_by_line_and_column(prod: Path, tmp_path: Path) -> None:
    file = tmp_path / "twice.csv"
    file.write_text("id,a\n1,x\n2,y\n1,z\n", encoding="utf-8")
    refused(keystead("load", prod, "twice", file, "--key", "id"), "invalid", "line 4", "'id'")
    assert ok("table", "list", prod) == []


def test_a_table_is_loaded_once(prod: Path, people: Path) -> None:
    ok("load", prod, "people", people)
    refused(keystead("load", prod, "people", people), "conflict", "exists")
    refused(keystead("load", prod, "PEOPLE", people), "conflict", "exists")
    assert ok("table", "list", prod) == [{"table": "people", "rows": 4}]


def test_names_that_belong_to_keystead_are_refused(prod: Path, people: Path) -> None:
    refused(keystead("load", prod, "sys_user", people), "invalid", "sys_user")
    refused(keystead("load", prod, "keystead_job", people), "invalid", "keystead_job")
    refused(keystead("load", prod, 'a"b', people), "invalid", 'a"b')


def test_an_unknown_column_or_one_that_is_encrypted_is_refused(prod: Path, people: Path) -> None:
    configure(prod, people)
    before = ok("field", "list", prod)
    add = ("field", "add", prod, "people")
    refused(keystead(*add, "nme", "--module", "std"), "not_found", "nme")
    refused(keystead(*add, "name", "--module", "std"), "conflict", "configuration already")
    refused(keystead(*add, "zip", "name", "--module", "std"), "conflict", "configuration already")
    refused(keystead(*add, "sys_id", "--module", "std"), "invalid", "primary key")
    refused(keystead(*add, "zip", "--module", "none"), "not_found", "global.none")
    refused(keystead("field", "add", prod, "nobody", "a", "--module", "std"), "not_found", "nobody")
    assert ok("field", "list", prod) == before


def test_a_root_key_of_another_instance_is_refused(
    prod: Path, people: Path, tmp_path: Path
) -> None:
    configure(prod, people)
    own = (prod / "root.key").read_bytes()
    shutil.copy(make(tmp_path / "other") / "root.key", prod / "root.key")
    refused(keystead("census", prod, "--open"), "misconfigured", "root key does not open")
    refused(keystead("serve", prod), "misconfigured", "root key does not open")
    (prod / "root.key").write_bytes(own)
    (prod / "root.key").chmod(0o640)
    refused(keystead("census", prod), "misconfigured", "can be read by others", "chmod 600")
    (prod / "root.key").unlink()
    refused(keystead("census", prod), "misconfigured", "is missing", "root recover")


def test_a_lost_root_key_is_regained_once_with_the_recovery_key(
    tmp_path: Path, people: Path
) -> None:
    home = tmp_path / "prod"
    recovery = ok("init", home, "--name", "prod")["recovery_key"]
    configure(home, people)
    file = tmp_path / "recovery.txt"
    file.write_text(recovery, encoding="utf-8")
    refused(keystead("root", "recover", home, "--key-file", file), "conflict", "exists")
    (home / "root.key").unlink()
    wrong = tmp_path / "wrong.txt"
    wrong.write_text(recovery[:-1] + ("A" if recovery[-1] != "A" else "Q"), encoding="utf-8")
    refused(keystead("root", "recover", home, "--key-file", wrong), "invalid", "recovery key")
    ok("root", "recover", home, "--key-file", file)
    assert (home / "root.key").stat().st_mode & 0o777 == 0o600
    assert all(c["unreadable"] == 0 for c in ok("census", home, "--open"))


def test_a_home_is_made_once_and_must_be_one(tmp_path: Path, prod: Path) -> None:
    refused(keystead("init", prod, "--name", "prod"), "conflict", "not empty")
    refused(keystead("init", tmp_path / "x", "--name", "a b"), "invalid", "a b")
    assert not (tmp_path / "x").exists()
    refused(keystead("census", tmp_path / "x"), "misconfigured", "not an instance's home")


def test_a_job_waits_when_nobody_serves(prod: Path, people: Path) -> None:
    configure(prod, people)
    refused(keystead("encrypt", prod, "people"), "unavailable", "keystead serve")
    refused(keystead("encrypt", prod, "people"), "conflict", "busy")
    refused(keystead("key", "rotate", prod, "std"), "conflict", "busy")
    with serving(prod):
        ok("job", "wait", prod)
    assert [job["state"] for job in ok("job", "list", prod)] == ["done"]
    assert all(c["plain"] == 0 for c in ok("census", prod))


def test_a_served_home_is_not_served_twice(prod: Path) -> None:
    with serving(prod):
        refused(keystead("serve", prod), "conflict", "already served")


def test_clone_into_a_target_that_is_not_empty(tmp_path: Path, prod: Path, people: Path) -> None:
    test = make(tmp_path / "test")
    configure(prod, people)
    ok("load", test, "own", people)
    with serving(prod, test):
        pair(prod, test)
        ok("encrypt", prod, "people")
        refused(keystead("clone", "plan", prod, "--target", "test"), "conflict", "not empty")
    assert ok("table", "list", test) == [{"table": "own", "rows": 4}]
    assert ok("clone", "list", prod) == []


def test_a_clone_is_planned_only_when_everything_is_sealed(
    tmp_path: Path, prod: Path, people: Path
) -> None:
    test = make(tmp_path / "test")
    configure(prod, people)
    with serving(prod, test):
        pair(prod, test)
        refused(keystead("clone", "plan", prod, "--target", "test"), "conflict", "clear values")
        refused(keystead("clone", "plan", prod, "--target", "none"), "not_found", "none")


def test_a_target_with_another_identity_gets_nothing(
    tmp_path: Path, prod: Path, people: Path
) -> None:
    test = tmp_path / "test"
    port = free_port()
    ok("init", test, "--name", "test", "--port", port)
    configure(prod, people)
    with serving(prod, test):
        pair(prod, test)
        ok("encrypt", prod, "people")
        clone = ok("clone", "plan", prod, "--target", "test")["clone"]
    test.rename(tmp_path / "gone")
    ok("init", test, "--name", "test", "--port", port)
    with serving(prod, test):
        refused(keystead("clone", "plan", prod, "--target", "test"), "denied", "not the one")
        refused(keystead("clone", "run", prod, clone), "denied", "not the one")
    assert ok("table", "list", test) == []


def test_a_target_killed_in_mid_clone_loses_nothing(
    tmp_path: Path, prod: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSTEAD_PEER_PATIENCE", "1")
    test = make(tmp_path / "test")
    file = tmp_path / "many.csv"
    rows = "".join(f"{n},name {n},city {n % 7},{n:05d}\n" for n in range(900))
    file.write_text("number,name,city,zip\n" + rows, encoding="utf-8")
    configure(prod, file)
    with serving(prod):
        with serving(test) as (process,):
            pair(prod, test)
            ok("encrypt", prod, "people")
            clone = ok("clone", "plan", prod, "--target", "test")["clone"]
            job = ok("clone", "run", prod, clone, "--rate", 300, "--no-wait")["job"]
            _wait_for_progress(prod, job)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            refused(keystead("job", "wait", prod, job), "unavailable", "does not answer")
        with serving(test):
            assert ok("clone", "run", prod, clone)["rows"] == 900
            ok("job", "wait", test)
            census = ok("census", test, "--open")
    assert [c["opened"] for c in census] == [900, 900]
    assert ok("table", "list", test) == [{"table": "people", "rows": 900}]


def _wait_for_progress(home: Path, job: str) -> None:
    while True:
        found = next(j for j in ok("job", "list", home) if j["job"] == job)
        assert found["state"] in ("new", "running"), found
        if found["done"] > 0:
            return


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_a_job_and_room_lets_it_go_on(small_disk: Path, tmp_path: Path) -> None:
    home = make(small_disk / "prod")
    file = tmp_path / "many.csv"
    rows = "".join(f"{n},name {n},city {n % 7},{n:05d}\n" for n in range(6_000))
    file.write_text("number,name,city,zip\n" + rows, encoding="utf-8")
    configure(home, file)
    with serving(home):
        job = ok("encrypt", home, "people", "--rate", 1000, "--no-wait")["job"]
        _wait_for_progress(home, job)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as out:
            try:
                while out.write(b"\0" * 4096):
                    pass
            except OSError:
                pass
        _wait_until_it_stands_still(home, job)
        filler.unlink()
        refused(keystead("job", "wait", home, job), "unavailable", "disk is full")
        ok("job", "resume", home, job)
        ok("job", "wait", home, job)
    census = ok("census", home, "--open")
    assert [(c["opened"], c["plain"]) for c in census] == [(6_000, 0), (6_000, 0)]


def _wait_until_it_stands_still(home: Path, job: str) -> None:
    """Until the job failed, or could not even write that down, and so moves no more."""
    done, since = -1, time.monotonic()
    while time.monotonic() - since < STANDSTILL_SECONDS:
        found = next(j for j in ok("job", "list", home) if j["job"] == job)
        if found["state"] == "failed":
            return
        if found["done"] != done:
            done, since = found["done"], time.monotonic()
        time.sleep(0.2)
