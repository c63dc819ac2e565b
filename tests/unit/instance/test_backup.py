"""Backups: restored elsewhere every value opens; what is not whole leaves nothing behind."""

from __future__ import annotations

import base64
import io
import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from keystead.access import accounts
from keystead.access import exchange_policies as access
from keystead.access.sessions import Sessions
from keystead.adapters.databases.sqlite import SqliteDatabase
from keystead.audit import log
from keystead.base.errors import (
    Conflict,
    Denied,
    Invalid,
    KeysteadError,
    Misconfigured,
    Tampered,
    Unavailable,
)
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.crypto.stream import CHUNK_SIZE, StreamReader, StreamWriter
from keystead.database import versions
from keystead.exchange import service as exchange
from keystead.exchange.model import Side
from keystead.fields import service as fields
from keystead.instance import auditing, backup, backup_file, epochs, opening, restoring, root_files
from keystead.instance.backup_file import Unlock
from keystead.instance.home import Home
from keystead.instance.restoring import Restored
from keystead.jobs.model import JobKind
from keystead.keys import renewal

ACTOR = "test"
PASSPHRASE = "correct horse battery staple"


def connect(home: Home) -> SqliteDatabase:
    return SqliteDatabase(home.database_file)


def ignore(_phase: str, _done: int, _total: int) -> None:
    """Nobody watches."""


def back_up(site: Any, file: Path, passphrase: str | None = None, progress: Any = ignore) -> Path:
    secret = None if passphrase is None else backup_file.by_passphrase(passphrase).secret
    return backup.make(site.instance, file, secret, ACTOR, progress).file


def restore(file: Path, folder: Path, unlock: Unlock, connecting: Any = connect) -> Restored:
    return restoring.restore(file, folder, unlock, connecting, ACTOR, ignore)


@pytest.fixture
def key(templates: Any) -> Unlock:
    return backup_file.by_recovery_key(templates.recovery_key)


@pytest.fixture
def made(rotated: Any, tmp_path: Path) -> Path:
    return back_up(rotated, tmp_path / "prod.backup", PASSPHRASE)


def proven(folder: Path, like: Any, people: list[Any]) -> Any:
    site = type(like)(folder)
    assert site.rows() == people
    assert all(c.unreadable == 0 and c.opened for c in site.open_all().values())
    with site.snapshot() as tx:
        renewal.check(tx, site.hierarchy)
    return site


@pytest.mark.parametrize("by", ["recovery key", "passphrase"])
def test_restored_elsewhere_every_value_opens(rotated, made, key, people, tmp_path, templates, by):
    rotated.instance.close()
    shutil.rmtree(rotated.folder)
    unlock = key if by == "recovery key" else backup_file.by_passphrase(PASSPHRASE)
    folder = tmp_path / "another" / "machine"
    done = restore(made, folder, unlock)
    site = proven(folder, rotated, people)
    counted = site.open_all().values()
    assert done.opened == sum(c.opened for c in counted)
    assert (done.unreadable, done.module_keys) == (0, 4)
    assert site.instance.settings == rotated.instance.settings
    assert [p.name for p in folder.parent.iterdir()] == ["machine"]
    assert folder.stat().st_mode & 0o077 == 0
    for name in ("root.key", "root.recovery", "tls.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert not (folder / "database.copy").exists()
    site.instance.close()
    # the recovery key of old still regains its root
    (folder / "root.key").unlink()
    opening.recover(folder, templates.recovery_key, connect, ACTOR).close()


def test_it_is_of_one_moment_while_others_write(rotated, key, tmp_path):
    """Rows written while it is copied are in it all, or not at all."""
    rotated.sql("CREATE TABLE pairs (id INTEGER PRIMARY KEY, a TEXT, b TEXT)")
    filler = "x" * 4000
    rotated.sql(
        "INSERT INTO pairs WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n"
        f" WHERE i < 3000) SELECT i, '0', '{filler}' FROM n"
    )
    turns = []

    def write(phase: str, _done: int, _total: int) -> None:
        if phase == "copying":
            turns.append(phase)
            rotated.sql("UPDATE pairs SET a = ?", str(len(turns)))

    restore(back_up(rotated, tmp_path / "b", progress=write), tmp_path / "r", key)
    assert len(turns) > 1
    with closing(sqlite3.connect(tmp_path / "r" / "instance.db")) as connection:
        assert connection.execute("SELECT a, count(*) FROM pairs GROUP BY a").fetchall() == [
            ("0", 3000)
        ]


def test_it_holds_no_root_key_and_no_clear_value(rotated, made):
    content = made.read_bytes()
    root = rotated.instance.home.root_file.read_text().split()[1]
    for secret in (root.encode(), base64.urlsafe_b64decode(root + "="), b"Orlando", b"SQLite"):
        assert secret not in content
    assert made.stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_beside_it(rotated, made):
    assert [p.name for p in made.parent.iterdir() if p.name.startswith(".")] == []
    assert not rotated.instance.home.copy_file.exists()
    assert list(rotated.folder.glob("database.copy*")) == []


def test_progress_reaches_its_end(rotated, tmp_path):
    seen: dict[str, tuple[int, int]] = {}
    back_up(rotated, tmp_path / "b", progress=lambda p, d, t: seen.update({p: (d, t)}))
    assert set(seen) == {"copying", "encrypting", "verifying"}
    assert all(done == total > 0 for done, total in seen.values()), seen


def test_a_killed_one_does_not_stand_in_the_way(rotated, tmp_path, key, people):
    rotated.instance.home.copy_file.write_bytes(b"half")
    made = back_up(rotated, tmp_path / "b")
    restore(made, tmp_path / "r", key)
    proven(tmp_path / "r", rotated, people).instance.close()


def test_older_backups_have_the_database_in_one_member(rotated, made, key, people, tmp_path):
    """And whoever joins the pieces of today has the same file."""
    header, file_key, content = _clear(made, key)
    small, pieces = [], b""
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        for entry in archive:
            held = archive.extractfile(entry)
            assert held
            if entry.name.startswith("database"):
                pieces += held.read()
            else:
                small.append((entry.name, held.read()))
    assert pieces.startswith(b"SQLite format 3\0")
    for name, members in {
        "older": [*small, ("database", pieces)],
        "twice": [*small, ("database", pieces), ("database.000000", pieces)],
        "gap": [*small, ("database.000001", pieces)],
        "none": small,
    }.items():
        older = io.BytesIO()
        with tarfile.open(fileobj=older, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for member, held_bytes in members:
                entry = tarfile.TarInfo(member)
                entry.size = len(held_bytes)
                archive.addfile(entry, io.BytesIO(held_bytes))
        file = _sealed(tmp_path / f"{name}.backup", header, file_key, older.getvalue())
        if name == "older":
            restore(file, tmp_path / name, key)
            proven(tmp_path / name, rotated, people).instance.close()
        else:
            with pytest.raises(Tampered) as caught:
                restore(file, tmp_path / name, key)
            assert caught.value.code == "backup.damaged"


class TestARestore:
    def test_begins_anew(self, rotated, key, people, tmp_path):
        with rotated.transaction() as tx:
            for side in Side:
                exchange._insert(
                    tx,
                    rotated.hierarchy,
                    side,
                    "0" * 32,
                    {"request_id": new_id(), "clone_id": None, "frequency": "One Time Clone"},
                    rekey=False,
                )
            (configuration, *_) = fields.configurations(tx, rotated.hierarchy, "people")
            access.allow_exchange(
                tx,
                rotated.integrity,
                module_id=configuration.module_id,
                spec_id=configuration.spec_id,
                target_instance="1" * 32,
                target_fingerprint="f",
                key_ids=[],
                clone_id="2" * 32,
            )
            token = accounts.make_token(tx, rotated.integrity, "reader", "t", 90, ACTOR)
        session = Sessions(rotated.database, rotated.integrity).open("reader")
        rotated.start(JobKind.REKEY)
        ((last,),) = rotated.sql("SELECT max(sequence) FROM keystead_audit")
        active = {m: rotated.keys_of(m)[-1]["sys_id"] for m in ("standard", "equal")}

        done = restore(back_up(rotated, tmp_path / "b"), tmp_path / "r", key)

        begun = done.begun
        assert (begun.epoch, begun.cancelled_jobs, begun.expired_requests) == (2, 1, 2)
        assert (begun.ended_policies, begun.rotated_keys, begun.ended_tokens) == (1, 2, 1)
        site = proven(tmp_path / "r", rotated, people)
        for at, is_let_in in ((rotated, True), (site, False)):
            try:
                accounts.LogIn(at.integrity).by_token(at.database, token)
            except Denied:
                assert not is_let_in
            else:
                assert is_let_in
            found = Sessions(at.database, at.integrity).find(session.secret)
            assert (found is not None) is is_let_in
        assert site.newest_job()["state"] == "cancelled"
        for module, old in active.items():
            *_, before, now = site.keys_of(module)
            assert (before["sys_id"], before["state"]) == (old, "deactivated")
            assert now["state"] == "active"
        statuses = site.sql("SELECT DISTINCT status FROM keystead_exchange_request")
        assert statuses == [("Request Expired",)]
        with site.snapshot() as tx:
            assert epochs.current(tx, site.integrity) == 2
            assert epochs.current(tx, rotated.integrity) == 2
        ((detail,),) = site.sql(
            "SELECT detail FROM keystead_audit WHERE action = 'instance.restore' AND sequence = ?",
            last + 1,
        )
        assert json.loads(detail)["after_sequence"] == last
        assert json.loads(detail)["lost_since"] == done.header.made_at
        site.rekey()
        assert site.rows() == people
        # again from that one: the third epoch
        again = restore(back_up(site, tmp_path / "b2"), tmp_path / "r2", key)
        assert again.begun.epoch == 3
        site.instance.close()
        # the original is as it was
        assert rotated.keys_of("standard")[-1]["sys_id"] == active["standard"]

    def test_of_an_older_version_is_taken_along(
        self, first, rotated, people, tmp_path, monkeypatch
    ):
        with monkeypatch.context() as then:  # as that version made its backups
            then.setattr(versions, "check", lambda *_: "0001")
            then.setattr(renewal, "check", lambda *_: 0)
            then.setattr(auditing, "check", lambda *_: None)
            then.setattr(log, "record", lambda *_, **__: None)
            old = type(rotated)(first)
            made = back_up(old, tmp_path / "b", PASSPHRASE)
            old.instance.close()
        restore(made, tmp_path / "r", backup_file.by_passphrase(PASSPHRASE))
        site = proven(tmp_path / "r", rotated, people)
        with site.snapshot() as tx:
            assert versions.differences(tx) == []
        site.instance.close()

    def test_with_a_dropped_table_goes_on(self, rotated, key, tmp_path):
        rotated.sql("DROP TABLE people")
        assert restore(back_up(rotated, tmp_path / "b"), tmp_path / "r", key).opened == 0

    @pytest.mark.parametrize("what", ["file", "folder", "home"])
    def test_goes_only_where_nothing_is(self, rotated, made, key, tmp_path, what):
        place = tmp_path / "place"
        if what == "file":
            place.write_text("mine")
        elif what == "folder":
            place.mkdir()
            (place / "mine").write_text("mine")
        else:
            place = rotated.folder
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(Conflict) as caught:
            restore(made, place, key)
        assert caught.value.code == "home.exists"
        assert sorted(tmp_path.rglob("*")) == before


class TestLeavesNothing:
    """Whatever is wrong with a backup, nothing is left, and the family says what it is."""

    def refused(self, file: Path, unlock: Unlock, family: type[KeysteadError], code: str) -> None:
        folder = file.parent / "refused"
        before = sorted(file.parent.rglob("*"))
        with pytest.raises(family) as caught:
            restore(file, folder, unlock)
        assert caught.value.code == code
        assert sorted(file.parent.rglob("*")) == before

    def test_another_recovery_key(self, made):
        other = backup_file.Unlock(backup_file.Recipient.RECOVERY_KEY, wrap.new_key())
        self.refused(made, other, Invalid, "backup.key")

    @pytest.mark.parametrize("text", [PASSPHRASE + "r", PASSPHRASE.upper(), "another passphrase"])
    def test_another_passphrase(self, made, text):
        self.refused(made, backup_file.by_passphrase(text), Invalid, "backup.key")

    def test_a_passphrase_where_there_is_none(self, rotated, tmp_path):
        made = back_up(rotated, tmp_path / "b")
        unlock = backup_file.by_passphrase(PASSPHRASE)
        self.refused(made, unlock, Invalid, "backup.recipient")

    def test_the_recovery_key_of_another_home(self, made, tmp_path):
        _, text = opening.init(tmp_path / "other", "other", 8421, connect, ACTOR)
        self.refused(made, backup_file.by_recovery_key(text), Invalid, "backup.key")

    def test_the_recovery_key_of_before_a_rotation(self, rotated, key, tmp_path):
        from keystead.instance.rotation import rotate_root

        old = back_up(rotated, tmp_path / "old")
        rotated.instance.close()
        rotate_root(rotated.folder, connect, ACTOR, lambda _key: None, with_kek=True)
        again = type(rotated)(rotated.folder)
        new = back_up(again, tmp_path / "new")
        again.instance.close()
        self.refused(new, key, Invalid, "backup.key")
        assert restore(old, tmp_path / "r", key).unreadable == 0

    def test_every_part_damaged(self, made, key):
        whole = made.read_bytes()
        step = max(1, len(whole) // 60)
        body = len(backup_file.MAGIC) + 4
        body += int.from_bytes(whole[body - 4 : body], "big")
        places = [0, 10, 18, 21, *range(body, len(whole), step), body + 31, body + 63, body + 64]
        for at in [*places, len(whole) - 1]:
            changed = bytearray(whole)
            changed[at] ^= 1
            made.write_bytes(changed)
            if at < body:
                self.refused(made, key, Invalid, "backup.form")
            else:
                self.refused(made, key, Tampered, "backup.damaged")

    def test_a_changed_header(self, made, key):
        whole = made.read_bytes()
        schema = f'"schema":"{versions.head()}"'.encode()
        for old, new in ((b'"prod"', b'"prox"'), (schema, b'"schema":"0001"')):
            assert old in whole
            made.write_bytes(whole.replace(old, new, 1))
            self.refused(made, key, Tampered, "backup.damaged")

    def test_cut_short(self, made, key):
        whole = made.read_bytes()
        for keep in (0, 5, 18, 22, 100):
            made.write_bytes(whole[:keep])
            self.refused(made, key, Invalid, "backup.form")
        for cut in (1, 16, 17, 1000, CHUNK_SIZE, CHUNK_SIZE + 16, 2 * CHUNK_SIZE):
            made.write_bytes(whole[:-cut])
            self.refused(made, key, Tampered, "backup.damaged")

    def test_chunks_out_of_their_places(self, made, key):
        whole = made.read_bytes()
        sealed = CHUNK_SIZE + 16
        start = len(whole) - (len(whole) - 64) % sealed - 2 * sealed
        head = len(backup_file.MAGIC) + 4
        head += int.from_bytes(whole[head - 4 : head], "big") + 64
        assert (len(whole) - head) > 2 * sealed, start
        one, two = whole[head : head + sealed], whole[head + sealed : head + 2 * sealed]
        rest = whole[head + 2 * sealed :]
        for chunks in (two + one, one + one, one, two):
            made.write_bytes(whole[:head] + chunks + rest)
            self.refused(made, key, Tampered, "backup.damaged")
        made.write_bytes(whole + b"\0")
        self.refused(made, key, Tampered, "backup.damaged")

    @pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"PK\3\4", b"keystead-backup-2\n{}"])
    def test_what_is_no_backup(self, tmp_path, key, content):
        file = tmp_path / "b"
        file.write_bytes(content)
        self.refused(file, key, Invalid, "backup.form")

    @pytest.mark.parametrize("member", ["../evil", "/tmp/evil", "root.key", "instance.db"])
    def test_a_member_that_no_backup_has(self, made, key, tmp_path, member):
        self.refused(_with_member(made, key, member), key, Tampered, "backup.damaged")

    def test_a_root_that_the_recovery_key_does_not_yield(self, rotated, tmp_path, key):
        """Who knows the public key alone cannot put a root key of his own into a home."""
        root_files.write_root(tmp_path / "evil.key", wrap.new_key())
        shutil.copy(tmp_path / "evil.key", rotated.instance.home.root_file)
        (tmp_path / "in").mkdir()
        made = back_up(rotated, tmp_path / "in" / "b")
        self.refused(made, key, Tampered, "backup.damaged")

    @pytest.mark.parametrize("version", ["9999", "x"])
    def test_a_newer_version(self, rotated, tmp_path, key, version, monkeypatch):
        (tmp_path / "in").mkdir()
        rotated.sql("UPDATE keystead_version SET version_num = ?", version)
        with monkeypatch.context() as then:
            then.setattr(versions, "check", lambda *_: version)
            made = back_up(rotated, tmp_path / "in" / "b")
        self.refused(made, key, Misconfigured, "home.newer")

    def test_a_failure_of_the_database(self, made, key, tmp_path):
        class Failing(SqliteDatabase):
            def fill(self, copy: Any, scratch: Path) -> None:
                super().fill(copy, scratch)
                raise Unavailable("disk.full")

        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(Unavailable):
            restore(made, tmp_path / "r", key, lambda home: Failing(home.database_file))
        assert sorted(tmp_path.rglob("*")) == before


class TestIsRefused:
    def refused(self, site: Any, file: Path, family: type[KeysteadError], code: str) -> None:
        before = sorted(file.parent.rglob("*"))
        with pytest.raises(family) as caught:
            back_up(site, file)
        assert caught.value.code == code
        assert [p for p in sorted(file.parent.rglob("*")) if p not in before] in (
            [],
            [site.folder / "backup.lock"],
        )

    def test_over_a_file(self, rotated, made):
        content = made.read_bytes()
        self.refused(rotated, made, Conflict, "backup.exists")
        assert made.read_bytes() == content

    def test_with_a_changed_row(self, rotated, tmp_path):
        """It could not be restored; better to hear that while the original is there."""
        rotated.sql("UPDATE sys_user SET user_name = user_name || 'x'")
        self.refused(rotated, tmp_path / "b", Tampered, "row.tampered")

    def test_when_the_copy_fails(self, rotated, tmp_path, monkeypatch):
        def full(*_: Any) -> None:
            raise Unavailable("disk.full")

        monkeypatch.setattr(rotated.database, "copy", full)
        self.refused(rotated, tmp_path / "b", Unavailable, "disk.full")

    def test_without_a_folder(self, rotated, tmp_path):
        with pytest.raises(FileNotFoundError):
            back_up(rotated, tmp_path / "nowhere" / "b")
        assert not rotated.instance.home.copy_file.exists()


def _clear(made: Path, key: Unlock) -> tuple[backup_file.Header, Secret, bytes]:
    """What is in a backup, for somebody who has its file key."""
    with made.open("rb") as source:
        header = backup_file.read_header(made, source)
        file_key = backup_file.file_key(header, key)
        return header, file_key, b"".join(StreamReader(file_key, header.encoded(), source).chunks())


def _sealed(file: Path, header: backup_file.Header, file_key: Secret, content: bytes) -> Path:
    out = io.BytesIO()
    out.write(header.encoded())
    stream = StreamWriter(file_key, header.encoded(), out)
    stream.write(content)
    stream.finish()
    file.write_bytes(out.getvalue())
    return file


def _with_member(made: Path, key: Unlock, name: str) -> Path:
    """The backup with one more member, sealed by somebody who has its file key."""
    header, file_key, content = _clear(made, key)
    archive = io.BytesIO(content)
    with tarfile.open(fileobj=archive, mode="a") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = 4
        tar.addfile(entry, io.BytesIO(b"evil"))
    return _sealed(made, header, file_key, archive.getvalue())
