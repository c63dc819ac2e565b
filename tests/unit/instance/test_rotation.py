"""A new root key: every value opens before and after, wherever it is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.base.errors import (
    Conflict,
    Invalid,
    KeysteadError,
    Misconfigured,
    Tampered,
    Unavailable,
)
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.instance import opening, root_files
from keystead.instance.home import Home
from keystead.instance.rotation import rotate_root
from keystead.keys import renewal

ACTOR = "test"
BOTH = pytest.mark.parametrize("with_kek", [False, True], ids=["root", "kek"])


def connect(home: Home) -> SqliteDatabase:
    return SqliteDatabase(home.database_file)


def rotate(folder: Path, *, with_kek: bool = False, connecting: Any = connect) -> str:
    shown: list[str] = []
    rotate_root(folder, connecting, ACTOR, shown.append, with_kek=with_kek)
    (recovery_key,) = shown
    return recovery_key


def proven(site: Any, people: list[Any]) -> None:
    """Every value opens, and every row and key is as it was written."""
    again = type(site)(site.folder)
    try:
        assert again.rows() == people
        for column in again.open_all().values():
            assert column.unreadable == 0
            assert column.opened
        with again.snapshot() as tx:
            assert renewal.check(tx, again.hierarchy) == len(again.stored("sys_kmf_module_key"))
    finally:
        again.instance.close()


def materials(site: Any, table: str) -> dict[str, str]:
    key = "purpose" if table == "keystead_instance_key" else "sys_id"
    return dict(site.sql(f"SELECT {key}, material FROM {table}"))


@pytest.fixture
def closed(rotated: Any) -> Any:
    rotated.instance.close()
    return rotated


def names(site: Any) -> set[str]:
    return {path.name for path in site.folder.iterdir() if path.name.startswith("root.")}


@BOTH
def test_every_value_opens_and_the_old_root_key_opens_nothing(closed, people, with_kek):
    home = closed.instance.home
    old_root = home.root_file.read_bytes()
    instance_keys = materials(closed, "keystead_instance_key")
    module_keys = materials(closed, "sys_kmf_module_key")
    values = closed.stored()

    rotate(closed.folder, with_kek=with_kek)

    proven(closed, people)
    assert closed.stored() == values
    now = materials(closed, "keystead_instance_key")
    assert now.keys() == instance_keys.keys()
    assert all(now[purpose] != instance_keys[purpose] for purpose in now)
    moved = {k for k, m in materials(closed, "sys_kmf_module_key").items() if m != module_keys[k]}
    assert moved == (set(module_keys) if with_kek else set())
    assert names(closed) == {"root.key", "root.recovery"}
    assert home.root_file.stat().st_mode & 0o777 == 0o600
    home.root_file.write_bytes(old_root)
    with pytest.raises(Misconfigured) as caught:
        opening.open_instance(closed.folder, connect)
    assert caught.value.code == "root.wrong"


@BOTH
def test_identity_stays_and_kek_moves_only_if_wanted(closed, with_kek):
    before = closed.hierarchy
    rotate(closed.folder, with_kek=with_kek)
    after = opening.open_instance(closed.folder, connect)
    assert wrap.same(before.signing, after.hierarchy.signing)
    assert wrap.same(before.sealing, after.hierarchy.sealing)
    assert wrap.same(before._kek, after.hierarchy._kek) is not with_kek
    with after.database.snapshot() as tx:
        if with_kek:
            with pytest.raises(Tampered):
                renewal.check(tx, before)
        else:
            renewal.check(tx, before)
    after.close()


@BOTH
def test_the_new_recovery_key_regains_the_root_and_the_old_one_does_not(
    closed, people, templates, with_kek
):
    recovery_key = rotate(closed.folder, with_kek=with_kek)
    root_file = closed.instance.home.root_file
    root = root_file.read_bytes()
    root_file.unlink()
    with pytest.raises(Invalid) as caught:
        opening.recover(closed.folder, templates.recovery_key, connect, ACTOR)
    assert caught.value.code == "root.recovery"
    assert not root_file.exists()
    opening.recover(closed.folder, recovery_key, connect, ACTOR).close()
    assert root_file.read_bytes() == root
    proven(closed, people)


def test_again_and_again(closed, people):
    keys = [rotate(closed.folder, with_kek=bool(turn % 2)) for turn in range(4)]
    assert len(set(keys)) == 4
    proven(closed, people)


def test_it_is_audited_once(closed):
    rotate(closed.folder, with_kek=True)
    entries = closed.sql("SELECT count(*) FROM keystead_audit WHERE action = 'root.rotate'")
    assert entries == [(1,)]


class TestIsRefused:
    def refused(self, site: Any, family: type[KeysteadError], code: str, **how: Any) -> None:
        before = {p.name: p.read_bytes() for p in site.folder.glob("root.*")}
        rows = site.everything()
        with pytest.raises(family) as caught:
            rotate(site.folder, **how)
        assert caught.value.code == code
        assert {p.name: p.read_bytes() for p in site.folder.glob("root.*")} == before
        assert site.everything() == rows

    def test_while_it_is_served(self, closed, served):
        with served(closed.instance.home):
            self.refused(closed, Conflict, "home.served")

    def test_while_somebody_has_it_open(self, closed, people):
        other = opening.open_instance(closed.folder, connect)
        self.refused(closed, Unavailable, "home.busy")
        other.close()
        rotate(closed.folder)
        proven(closed, people)

    def test_with_another_root_key(self, closed):
        closed.instance.home.root_file.unlink()
        root_files.write_root(closed.instance.home.root_file, wrap.new_key())
        self.refused(closed, Misconfigured, "root.wrong")

    @pytest.mark.parametrize(
        ("table", "change"),
        [
            ("sys_kmf_module_key", "version = version + 7"),
            ("sys_kmf_module_key", "material = 'AQ' || substr(material, 3)"),
            ("sys_kmf_crypto_caller_policy", "role = 'guests'"),
            ("sys_user", "user_name = user_name || 'x'"),
        ],
    )
    def test_when_a_row_is_not_as_it_was_written(self, closed, table, change):
        """Else a changed row would be given a valid tag."""
        closed.sql(f"UPDATE {table} SET {change}")
        self.refused(closed, Tampered, "row.tampered", with_kek=True)

    def test_when_a_key_of_the_instance_is_damaged(self, closed):
        closed.sql("UPDATE keystead_instance_key SET material = 'AQ==' WHERE purpose = 'sealing'")
        self.refused(closed, Misconfigured, "root.wrong")


class Boom(Exception):
    """Something that nobody foresaw."""


STEPS: dict[str, tuple[Any, str, bool]] = {
    "writing the root key": (root_files, "write_root", False),
    "writing the recovery key": (root_files, "write_recovery", False),
    "reading it back": (root_files, "read_root", False),
    "regaining it": (root_files, "recover_root", False),
    "wrapping": (renewal, "renew", False),
    "retiring": (root_files, "retire", True),
}


@BOTH
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_error_at_any_step_leaves_one_root_key_that_opens(
    closed, people, monkeypatch, step, when, with_kek
):
    module, name, is_decided = STEPS[step]
    inner: Callable[..., Any] = getattr(module, name)
    old_root = closed.instance.home.root_file.read_bytes()

    def failing(*arguments: Any, **named: Any) -> Any:
        if name == "read_root" and arguments[0].name != "root.key.next":
            return inner(*arguments, **named)
        if when == "after":
            inner(*arguments, **named)
        monkeypatch.setattr(module, name, inner)
        raise Boom

    monkeypatch.setattr(module, name, failing)
    with pytest.raises(Boom):
        rotate(closed.folder, with_kek=with_kek)
    assert names(closed) == {"root.key", "root.recovery"}
    assert (closed.instance.home.root_file.read_bytes() != old_root) is is_decided
    proven(closed, people)
    rotate(closed.folder, with_kek=with_kek)
    proven(closed, people)


@contextmanager
def _commit_hook(monkeypatch: pytest.MonkeyPatch, hook: Callable[[str], None]) -> Iterator[None]:
    plain = Connection._commit_impl

    def commit(self: Connection) -> None:
        hook("before commit")
        plain(self)
        hook("after commit")

    with monkeypatch.context() as patch:
        patch.setattr(Connection, "_commit_impl", commit)
        yield


def _events_until_killed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kill_at: int, *, with_kek: bool
) -> int | None:
    """Rotate in a process of its own, killed with -9 at the so-manyth event; None if it ended.

    An event is a file of the home opened, renamed or removed, and each side of a commit.
    """
    child = os.fork()
    if child == 0:  # pragma: no cover - it never returns
        seen = 0

        def happened(_what: str) -> None:
            nonlocal seen
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if event in ("open", "os.rename", "os.remove") and "root." in str(arguments[0]):
                happened(event)

        try:
            sys.addaudithook(hook)
            with _commit_hook(monkeypatch, happened):
                rotate(folder, with_kek=with_kek)
        except BaseException:
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return kill_at
    assert os.WEXITSTATUS(status) == 0
    return None


def test_killed_at_every_event_it_opens_and_can_be_run_again(
    closed, people, monkeypatch, tmp_path, templates
):
    found: dict[str, int] = {"old": 0, "new": 0}
    old_root = closed.instance.home.root_file.read_bytes()
    kill_at, killed = 1, True
    while killed:
        folder = tmp_path / f"killed-{kill_at}"
        shutil.copytree(closed.folder, folder)
        with_kek = bool(kill_at % 2)
        killed = _events_until_killed(folder, monkeypatch, kill_at, with_kek=with_kek) is not None
        site = type(closed)(folder)  # the first to open it settles the files
        home = site.instance.home
        assert site.rows() == people
        assert names(site) == {"root.key", "root.recovery"}
        with site.snapshot() as tx:
            renewal.check(tx, site.hierarchy)
        is_old = home.root_file.read_bytes() == old_root
        found["old" if is_old else "new"] += killed
        site.instance.close()
        if is_old:  # then the old recovery key still regains it
            home.root_file.unlink()
            opening.recover(folder, templates.recovery_key, connect, ACTOR).close()
        if kill_at % 3 == 0:
            rotate(folder, with_kek=with_kek)
            proven(site, people)
        shutil.rmtree(folder)
        kill_at += 1
    assert found["old"] >= 8, found
    assert found["new"] >= 4, found


def test_both_root_files_lost_after_the_decision_the_new_recovery_key_regains_it(
    closed, people, monkeypatch
):
    """Killed between commit and retire, and then the disk loses what was not yet old."""
    shown: list[str] = []

    def never(_home: Home) -> None:
        raise Boom

    monkeypatch.setattr(root_files, "retire", never)
    with pytest.raises(Boom):
        rotate_root(closed.folder, connect, ACTOR, shown.append, with_kek=True)
    monkeypatch.undo()
    home = closed.instance.home
    assert home.next_root_file.exists()
    home.next_root_file.unlink()
    home.root_file.unlink()
    opening.recover(closed.folder, shown[0], connect, ACTOR).close()
    assert names(closed) == {"root.key", "root.recovery"}
    proven(closed, people)


def test_a_home_whose_first_line_only_is_there_still_recovers(closed, people, templates):
    """Recovery files of the first version had one line, and no key for backups."""
    home = closed.instance.home
    assert root_files.backup_public(home) is not None
    home.recovery_file.write_bytes(home.recovery_file.read_bytes().split(b"\n")[0] + b"\n")
    assert root_files.backup_public(home) is None
    home.root_file.unlink()
    opening.recover(closed.folder, templates.recovery_key, connect, ACTOR).close()
    proven(closed, people)


class TestMixedUpHomes:
    @pytest.fixture
    def other(self, tmp_path):
        folder = tmp_path / "other"
        _, recovery_key = opening.init(folder, "other", 8421, connect, ACTOR)
        return Home(folder), recovery_key

    def test_the_recovery_key_of_another(self, closed, other):
        closed.instance.home.root_file.unlink()
        with pytest.raises(Invalid) as caught:
            opening.recover(closed.folder, other[1], connect, ACTOR)
        assert caught.value.code == "root.recovery"
        assert not closed.instance.home.root_file.exists()

    def test_the_recovery_file_of_another(self, closed, other, templates):
        home = closed.instance.home
        home.root_file.unlink()
        shutil.copy(other[0].recovery_file, home.recovery_file)
        for key in (templates.recovery_key, other[1]):
            with pytest.raises(Invalid):
                opening.recover(closed.folder, key, connect, ACTOR)
        assert not home.root_file.exists()

    def test_the_database_of_another(self, closed, other, templates):
        home = closed.instance.home
        shutil.copy(other[0].database_file, home.database_file)
        with pytest.raises(Misconfigured) as caught:
            opening.open_instance(closed.folder, connect)
        assert caught.value.code == "root.wrong"
        with pytest.raises(Misconfigured):
            rotate(closed.folder)
        home.root_file.unlink()
        with pytest.raises(Misconfigured):
            opening.recover(closed.folder, templates.recovery_key, connect, ACTOR)
        assert not home.root_file.exists()

    @pytest.mark.parametrize("text", ["", "AAAA", "A" * 52, "1" * 52, "ä" * 52, "A" * 300])
    def test_no_recovery_key_at_all(self, closed, text):
        closed.instance.home.root_file.unlink()
        with pytest.raises(Invalid):
            opening.recover(closed.folder, text, connect, ACTOR)


def test_a_secret_of_the_right_form_is_needed() -> None:
    assert isinstance(root_files.recovery_from_text("A" * 52), Secret)
