"""Root key, backup and restore on the command line, beside a server and on a full disk."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.conftest import Ended, configure, free_port, keystead, ok, serving

from keystead.delivery.cli.exits import EXIT_CODES

MIB = 1024 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def made(home: Path, people: Path) -> Path:
    """An instance with encrypted columns; the file that holds its recovery key."""
    recovery = ok("init", home, "--name", "prod", "--port", free_port())["recovery_key"]
    configure(home, people)
    key_file = home.with_name("recovery.key")
    key_file.write_text(recovery)
    return key_file


def refused(ended: Ended, family: str, said: str) -> None:
    assert ended.code == EXIT_CODES[family], ended
    assert said in ended.err
    assert ended.err.splitlines()[-1].startswith("  ")


def opened(home: Path) -> list[tuple[int, int]]:
    return [(c["opened"], c["unreadable"]) for c in ok("census", home, "--open")]


def test_backed_up_while_served_and_restored_elsewhere(people: Path, tmp_path: Path) -> None:
    home = tmp_path / "prod"
    key_file = made(home, people)
    passphrase = tmp_path / "pass"
    passphrase.write_text("correct horse battery staple\n")
    file = tmp_path / "prod.backup"
    with serving(home):
        ok("encrypt", home, "people")
        said = ok("backup", home, file, "--passphrase-file", passphrase)
        assert said["opens_with"] == ["passphrase", "recovery key"]
        assert said["bytes"] == file.stat().st_size
        assert any("in clear" in line for line in said["lacks"])
        refused(keystead("root", "rotate", home), "conflict", "served")
        refused(keystead("upgrade", home), "conflict", "served")
        refused(keystead("backup", home, file), "conflict", "exists")
    before = opened(home)
    for at, how in enumerate((("--key-file", key_file), ("--passphrase-file", passphrase))):
        elsewhere = tmp_path / f"elsewhere-{at}"
        said = ok("restore", file, elsewhere, *how)
        assert (said["name"], said["epoch"], said["unreadable"]) == ("prod", 2, 0)
        assert said["opened"] == sum(n for n, _ in before)
        assert opened(elsewhere) == before
    passphrase.write_text("another passphrase")
    again = keystead("restore", file, tmp_path / "r", "--passphrase-file", passphrase)
    refused(again, "invalid", "passphrase")
    assert not (tmp_path / "r").exists()


def test_root_key_rotated_lost_and_regained(people: Path, tmp_path: Path) -> None:
    home = tmp_path / "prod"
    old_key = made(home, people)
    with serving(home):
        ok("encrypt", home, "people")
    before = opened(home)
    shown = keystead("root", "rotate", home, "--kek")
    assert shown.code == 0
    (line,) = (line for line in shown.out.splitlines() if line.count("-") == 12)
    new_key = tmp_path / "new.key"
    new_key.write_text(line)
    assert opened(home) == before
    (home / "root.key").unlink()
    refused(keystead("census", home), "misconfigured", "root recover")
    refused(keystead("root", "recover", home, "--key-file", old_key), "invalid", "recovery key")
    ok("root", "recover", home, "--key-file", new_key)
    assert opened(home) == before
    assert set(ok("root", "rotate", home)) == {"home", "recovery_key", "kek"}
    assert opened(home) == before
    assert ok("upgrade", home)["copy"] is None


def test_short_passphrase_and_no_backup_are_refused(people: Path, tmp_path: Path) -> None:
    home = tmp_path / "prod"
    key_file = made(home, people)
    short = tmp_path / "short"
    short.write_text("short")
    refused(keystead("backup", home, tmp_path / "b", "--passphrase-file", short), "invalid", "12")
    refused(keystead("restore", people, tmp_path / "r", "--key-file", key_file), "invalid", "not a")
    missing = keystead("restore", tmp_path / "no", tmp_path / "r", "--key-file", key_file)
    refused(missing, "unavailable", "no")
    assert not (tmp_path / "r").exists()
    assert not (tmp_path / "b").exists()


def _fill(folder: Path, leave: int) -> Path:
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as out:
        try:
            while out.write(b"\0" * 4096):
                pass
        except OSError:
            pass
    size = filler.stat().st_size
    with filler.open("r+b") as out:
        out.truncate(max(0, size - leave))
    return filler


def test_a_full_disk_leaves_no_half_backup_and_no_half_home(
    small_disk: Path, people: Path, tmp_path: Path
) -> None:
    many = tmp_path / "many.csv"
    rows = "".join(f"{n},name {n},city {n % 7},{n:05d}\n" for n in range(12_000))
    many.write_text("number,name,city,zip\n" + rows, encoding="utf-8")

    # the disk of the backup is full
    home = tmp_path / "prod"
    key_file = made(home, many)
    filler = _fill(small_disk, 200_000)
    refused(keystead("backup", home, small_disk / "b"), "unavailable", "space")
    assert [p.name for p in small_disk.iterdir()] == ["filler"]
    assert not list(home.glob("database.copy*"))
    filler.unlink()
    file = small_disk / "b"
    ok("backup", home, file)

    # the disk of the restored home is full
    _fill(small_disk, 1 * MIB)
    ended = keystead("restore", file, small_disk / "r", "--key-file", key_file)
    assert ended.code == EXIT_CODES["unavailable"], ended
    assert sorted(p.name for p in small_disk.iterdir()) == ["b", "filler"]
    (small_disk / "filler").unlink()
    ok("restore", file, tmp_path / "r", "--key-file", key_file)
    file.unlink()

    # the disk of the home itself is full: neither backup nor rotation harms it
    moved = small_disk / "home"
    (tmp_path / "r").rename(tmp_path / "r2")
    subprocess.run(["cp", "-a", str(tmp_path / "r2"), str(moved)], check=True)
    before = ok("table", "list", moved)
    _fill(small_disk, 300_000)
    refused(keystead("backup", moved, tmp_path / "b2"), "unavailable", "full")
    assert not (tmp_path / "b2").exists()
    assert not list(moved.glob("database.copy*"))
    keystead("root", "rotate", moved, "--kek")
    (small_disk / "filler").unlink()
    assert ok("table", "list", moved) == before
    ok("root", "rotate", moved, "--kek")
    ok("backup", moved, tmp_path / "b2")
