"""What is said when something is stopped, missing, or cannot be used; and what is left alone."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.conftest import configure, free_port, keystead, make, ok, pair, serving

from keystead.delivery.cli.exits import EXIT_CODES

A_FINGERPRINT = "-".join(["0a1b2c3d"] * 8)


def test_who_waits_for_all_jobs_is_told_of_one_that_failed(prod: Path, tmp_path: Path) -> None:
    """A clone whose source changed fails; cancelled, it says so and a new plan can be made."""
    test = make(tmp_path / "test")
    with serving(prod, test):
        pair(prod, test)
        ok("load", prod, "rows", _csv(tmp_path / "rows.csv"))
        clone = ok("clone", "plan", prod, "--target", "test", "--keys", "withheld")["clone"]
        ok("load", prod, "more", _csv(tmp_path / "more.csv"))
        failed = keystead("clone", "run", prod, clone)
        assert (failed.code, "The source is no longer" in failed.err) == (EXIT_CODES["conflict"], 1)
        (job,) = ok("job", "list", prod)
        waited = keystead("job", "wait", prod)
        assert (waited.code, job["job"] in waited.err) == (EXIT_CODES["conflict"], True)
        refused = keystead("clone", "plan", prod, "--target", "test")
        assert f"keystead job cancel HOME {job['job']}" in refused.err
        ok("job", "cancel", prod, job["job"])
        assert [c["state"] for c in ok("clone", "list", prod)] == ["cancelled"]
        assert keystead("job", "wait", prod).code == 0
        assert ok("clone", "plan", prod, "--target", "test")["clone"] != clone


def test_a_server_stops_at_once_and_silently_although_a_job_waits_for_a_peer(
    prod: Path, tmp_path: Path
) -> None:
    test = make(tmp_path / "test")
    ok("load", prod, "rows", _csv(tmp_path / "rows.csv"))
    with serving(prod) as (process,):
        with serving(test):
            pair(prod, test)
            clone = ok("clone", "plan", prod, "--target", "test", "--keys", "withheld")["clone"]
        job = ok("clone", "run", prod, clone, "--no-wait")["job"]
        while ok("job", "list", prod)[0]["state"] != "running":
            time.sleep(0.05)
        process.terminate()
        process.wait(timeout=10)
        assert process.returncode == 0
    assert ok("job", "list", prod)[0]["state"] == "running"
    with serving(prod, test):
        assert ok("job", "wait", prod, job)[0]["state"] == "done"


def test_a_missing_database_is_not_made_anew(prod: Path) -> None:
    file = prod / "instance.db"
    for found in prod.glob("instance.db*"):
        found.unlink()
    ended = keystead("key", "list", prod)
    assert (ended.code, str(file) in ended.err) == (EXIT_CODES["misconfigured"], True)
    assert not file.exists()


def test_a_damaged_database_is_told(prod: Path) -> None:
    (prod / "instance.db").write_bytes(b"not a database at all" * 500)
    ended = keystead("key", "list", prod)
    assert (ended.code, "is damaged" in ended.err) == (EXIT_CODES["tampered"], True)


@pytest.mark.parametrize("value", ["abc", "0", "70000", "", "-1", "8420.5"])
def test_a_setting_that_cannot_be_used_is_named_with_its_place(
    prod: Path, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYSTEAD_PORT", value)
    ended = keystead("config", prod)
    assert ended.code == EXIT_CODES["misconfigured"]
    assert "'port' from KEYSTEAD_PORT" in ended.err


@pytest.mark.parametrize("line", ["nonsense = 1", "host = 7", "peer_patience = -1", "port = true"])
def test_a_line_of_the_settings_file_that_cannot_be_used_is_named(prod: Path, line: str) -> None:
    file = prod / "instance.toml"
    name = line.partition(" ")[0]
    kept = [one for one in file.read_text().splitlines() if not one.startswith(name)]
    file.write_text("\n".join([*kept, line]))
    ended = keystead("config", prod)
    assert ended.code == EXIT_CODES["misconfigured"]
    assert f"'{name}' from {file}" in ended.err


@pytest.mark.parametrize("missing", ["name", "instance_id"])
def test_a_setting_that_is_missing_is_named(prod: Path, missing: str) -> None:
    file = prod / "instance.toml"
    kept = [one for one in file.read_text().splitlines() if not one.startswith(missing)]
    file.write_text("\n".join(kept))
    assert f"'{missing}'" in keystead("config", prod).err


@pytest.mark.parametrize(
    ("url", "fingerprint", "family"),
    [
        ("127.0.0.1:9", A_FINGERPRINT, "invalid"),
        ("http://127.0.0.1:9", A_FINGERPRINT, "invalid"),
        ("https://127.0.0.1:9/x", A_FINGERPRINT, "invalid"),
        ("https://127.0.0.1:9", "abc", "invalid"),
        ("https://127.0.0.1:9", A_FINGERPRINT, "unavailable"),
    ],
)
def test_an_address_that_is_none_is_told(
    prod: Path, url: str, fingerprint: str, family: str
) -> None:
    ended = keystead("peer", "add", prod, url, "--fingerprint", fingerprint)
    assert ended.code == EXIT_CODES[family]
    assert "?" not in ended.err


def test_a_recovery_key_is_right_to_its_last_letter(tmp_path: Path) -> None:
    home = tmp_path / "prod"
    key = ok("init", home, "--name", "prod", "--port", free_port())["recovery_key"]
    (home / "root.key").unlink()
    given = tmp_path / "key.txt"
    for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567":
        if last != key[-1]:
            given.write_text(key[:-1] + last)
            ended = keystead("root", "recover", home, "--key-file", given)
            assert ended.code == EXIT_CODES["invalid"]
    given.write_text(key.lower() + "\n")
    ok("root", "recover", home, "--key-file", given)


def test_nothing_is_asked_where_nobody_can_answer(tmp_path: Path) -> None:
    home = make(tmp_path / "prod")
    (home / "root.key").unlink()
    words = [sys.executable, "-m", "keystead.programs.cli", "root", "recover", str(home)]
    ended = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert ended.returncode == EXIT_CODES["invalid"]
    assert len(ended.stderr.splitlines()) == 2


def test_a_table_that_is_not_there_cannot_be_encrypted(prod: Path, people: Path) -> None:
    configure(prod, people)
    for command in ("encrypt", "rekey"):
        ended = keystead(command, prod, "peple")
        assert (ended.code, "no table 'peple'" in ended.err) == (EXIT_CODES["not_found"], True)
    assert ok("job", "list", prod) == []


@pytest.mark.parametrize(
    "words", [("show",), ("nosuch",), ("show", "h", "t", "--limit", "x"), ("key", "list", "--x")]
)
def test_a_wrong_command_line_is_told_like_any_error(words: tuple[str, ...]) -> None:
    ended = keystead(*words)
    assert (ended.code, len(ended.err.splitlines()), ended.out) == (2, 2, "")
    assert keystead(*words, "--json").err.startswith('{"error": "usage"')


def _csv(file: Path) -> Path:
    file.write_text("number,name\n1,a\n2,b\n")
    return file
