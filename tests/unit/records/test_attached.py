"""Attachments as kept: what each stored column is for, kills, keys, mass jobs, the end of keys."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from keystead.access import policies, rejections
from keystead.access.decision import Operation, PolicyType, Result
from keystead.attachments import contents
from keystead.attachments import service as attachments
from keystead.attachments.contents import BATCH, PIECE
from keystead.attachments.incoming import Incoming
from keystead.base import clock
from keystead.base.errors import (
    Conflict,
    Denied,
    Invalid,
    KeysteadError,
    NotFound,
    Tampered,
    Unavailable,
)
from keystead.fields import census
from keystead.fields import service as fields
from keystead.fields.model import ATTACHMENTS
from keystead.jobs.model import JobKind
from keystead.keys import service as keys
from keystead.keys.usage import LEASE
from keystead.records.attached import Desk
from keystead.records.session import Caller

ACTOR = "test"
CONTENT = os.urandom(PIECE) + b"x" * (2 * PIECE) + b"the end"
OTHER = os.urandom(len(CONTENT))


def configure(site: Any, module: str = "standard") -> None:
    with site.transaction() as tx:
        fields.configure_attachments(
            tx, site.database, site.hierarchy, table="people", module=module, actor=ACTOR
        )


def desk(site: Any, user: str | None = "both", limit: int = 16) -> Desk:
    caller = Caller(user, ACTOR)
    return Desk(site.database, site.hierarchy, site.recorder, site.meter, caller, limit)


def add(site: Any, content: bytes = CONTENT, record: str = "p01", name: str = "a.txt") -> str:
    upload = desk(site).upload("people", record, name, "text/plain")
    upload.write(content)
    return upload.finish().sys_id


def read(site: Any, sys_id: str, user: str | None = "both") -> bytes:
    return b"".join(desk(site, user).download(sys_id).chunks)


def needs(site: Any, key_id: str) -> dict[str, int]:
    with site.snapshot() as tx:
        return dict(census.needs(site.database, site.hierarchy)(tx, key_id))


def destroy(site: Any, key_id: str) -> None:
    with site.transaction() as tx:
        row = keys.key(tx, site.hierarchy, key_id)
        keys.destroy(tx, site.hierarchy, row, census.needs(site.database, site.hierarchy), ACTOR)


def refused(site: Any, sys_id: str, code: str = "attachment.tampered") -> None:
    with pytest.raises(KeysteadError) as caught:
        read(site, sys_id)
    assert caught.value.code == code


@pytest.fixture
def files(site: Any) -> Any:
    """Attachments are encrypted, no column is."""
    configure(site)
    return site


@pytest.fixture
def whole(files: Any) -> Any:
    """They are sealed."""
    files.encrypt()
    return files


def test_tampering_with_any_stored_column_is_noticed(whole: Any) -> None:
    """Both attachments are of one table and record, so that only what differs tells them apart."""
    one, two = add(whole), add(whole, OTHER)
    assert (read(whole, one), read(whole, two)) == (CONTENT, OTHER)
    (columns,) = [[c[1] for c in whole.sql("PRAGMA table_info(sys_attachment)")]]
    decides_nothing = {"touched_at"}
    hides = {"sys_id", "state"}
    changed = {"table_name": "customers", "size_bytes": 7, "place": "0" * 64, "key_id": None}
    for column in set(columns) - decides_nothing - hides:
        ((was, other),) = whole.sql(
            f"SELECT a.{column}, b.{column} FROM sys_attachment a, sys_attachment b"
            " WHERE a.sys_id = ? AND b.sys_id = ?",
            one,
            two,
        )
        new = changed.get(column, other if other != was else f"{was}x")
        whole.sql(f"UPDATE sys_attachment SET {column} = ? WHERE sys_id = ?", new, one)
        with pytest.raises((Tampered, NotFound)):
            read(whole, one)
        whole.sql(f"UPDATE sys_attachment SET {column} = ? WHERE sys_id = ?", was, one)
    assert read(whole, one) == CONTENT


DOC = "sys_attachment_doc"


@pytest.mark.parametrize(
    "statement",
    [
        f"UPDATE {DOC} SET data = zeroblob(length(data)) WHERE position = 2",
        f"UPDATE {DOC} SET data = substr(data, 1, length(data) - 1) WHERE position = 3",
        f"UPDATE {DOC} SET data = CAST(data || x'00' AS BLOB) WHERE position = 3",
        f"UPDATE {DOC} SET data = hex(data)",
        f"DELETE FROM {DOC} WHERE position = 0",
        f"DELETE FROM {DOC} WHERE position = 1",
        f"DELETE FROM {DOC} WHERE position = 3",
        f"DELETE FROM {DOC}",
        f"UPDATE {DOC} SET position = position + 1 WHERE position = 3",
        f"INSERT INTO {DOC} SELECT content_id, 4, data FROM {DOC} WHERE position = 0",
        f"UPDATE {DOC} SET data = (SELECT data FROM {DOC} o WHERE o.position = 3 - {DOC}.position"
        f" AND o.content_id = {DOC}.content_id)",
        f"UPDATE {DOC} SET data = (SELECT data FROM {DOC} o WHERE o.position = {DOC}.position"
        f" AND o.content_id <> {DOC}.content_id)",
        f"UPDATE {DOC} SET data = (SELECT data FROM {DOC} o WHERE o.position = {DOC}.position"
        f" AND o.content_id <> {DOC}.content_id) WHERE position = 2",
        "UPDATE sys_attachment SET content_id ="
        " (SELECT content_id FROM sys_attachment o WHERE o.sys_id <> sys_attachment.sys_id)",
        "UPDATE sys_attachment SET wrapped_key ="
        " (SELECT wrapped_key FROM sys_attachment o WHERE o.sys_id <> sys_attachment.sys_id)",
        "UPDATE sys_attachment SET facts ="
        " (SELECT facts FROM sys_attachment o WHERE o.sys_id <> sys_attachment.sys_id)",
    ],
)
def test_pieces_in_another_order_or_from_elsewhere_do_not_open(whole: Any, statement: str) -> None:
    made = {add(whole): CONTENT, add(whole, OTHER): OTHER}
    whole.sql(statement)
    refusals = 0
    for sys_id, content in made.items():
        try:
            assert read(whole, sys_id) == content
        except Tampered:
            refusals += 1
    assert refusals >= 1
    with whole.snapshot() as tx:
        counted = census.open_all(tx, whole.database, whole.hierarchy, "people")
    assert (counted[-1].opened, counted[-1].unreadable) == (2 - refusals, refusals)


def test_plain_ones_pass_for_data_only_until_they_are_sealed(site: Any) -> None:
    plain = add(site)
    configure(site)
    assert read(site, plain) == CONTENT
    (columns,) = site.sql("SELECT * FROM sys_attachment")
    site.encrypt()
    assert read(site, plain) == CONTENT
    forged = ("key_id = NULL, wrapped_key = NULL, facts = ?", columns[9])
    site.sql(f"UPDATE sys_attachment SET {forged[0]}", forged[1])
    refused(site, plain)


def test_a_plain_one_that_lost_a_piece_is_refused(site: Any) -> None:
    sys_id = add(site)
    site.sql(f"DELETE FROM {DOC} WHERE position = 3")
    refused(site, sys_id)


def test_removed_while_it_is_read(files: Any) -> None:
    sys_id = add(files, os.urandom(3 * BATCH))
    chunks = desk(files).download(sys_id).chunks
    next(chunks)
    desk(files).remove(sys_id)
    attachments.clear(files.database)
    with pytest.raises(Conflict) as caught:
        list(chunks)
    assert caught.value.code == "attachment.changed"


class TestUploads:
    def test_nothing_shows_before_the_end(self, files: Any) -> None:
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        upload.write(bytes(2 * BATCH))
        assert desk(files).of("people", None, 9) == ([], 0)
        with pytest.raises(NotFound):
            desk(files).one(files.sql("SELECT sys_id FROM sys_attachment")[0][0])
        assert upload.finish().size_bytes == 2 * BATCH

    def test_others_write_meanwhile(self, files: Any) -> None:
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        upload.write(bytes(2 * BATCH))
        with sqlite3.connect(files.file, timeout=0, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("ROLLBACK")
        add(files)
        upload.finish()

    def test_one_that_was_killed_leaves_nothing(
        self, files: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        code = (
            "import os, signal, sys\n"
            "from pathlib import Path\n"
            "from keystead.adapters.databases.sqlite import SqliteDatabase\n"
            "from keystead.instance import opening\n"
            "from keystead.access.recorder import Recorder\n"
            "from keystead.keys.usage import Meter\n"
            "from keystead.records.attached import Desk\n"
            "from keystead.records.session import Caller\n"
            "connect = lambda home: SqliteDatabase(home.database_file)\n"
            "made = opening.open_unchecked(Path(sys.argv[1]), connect)\n"
            "held = made.database, made.hierarchy\n"
            "both = Caller('both', 'test')\n"
            "desk = Desk(*held, Recorder(made.database), Meter(*held), both, 99)\n"
            "upload = desk.upload('people', 'p01', 'a', 'text/plain')\n"
            f"upload.write(bytes({3 * BATCH}))\n"
            "os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        ended = subprocess.run([sys.executable, "-c", code, str(files.folder)], check=False)
        assert ended.returncode == -signal.SIGKILL
        # what was handed over and not yet written is with the process
        assert files.sql(f"SELECT count(*) FROM {DOC}") == [(2 * BATCH // PIECE,)]
        assert desk(files).of("people", None, 9) == ([], 0)
        assert attachments.clear(files.database) == 0, "it may still be going on"
        later = clock.after(7200 - attachments.PATIENCE_SECONDS)
        monkeypatch.setattr(clock, "after", lambda _seconds: later)
        assert attachments.clear(files.database) == 1
        assert files.sql(f"SELECT count(*) FROM {DOC}") == [(0,)]
        assert files.sql("SELECT count(*) FROM sys_attachment") == [(0,)]

    def test_one_that_was_taken_for_dead_is_refused(
        self, files: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        upload.write(bytes(BATCH))
        later = clock.after(1)
        with monkeypatch.context() as patched:
            patched.setattr(clock, "after", lambda _seconds: later)
            attachments.clear(files.database)
        for go_on in (lambda: upload.write(bytes(BATCH)), upload.finish):
            with pytest.raises(Conflict) as caught:
                go_on()
            assert caught.value.code == "attachment.abandoned"
        upload.give_up()
        attachments.clear(files.database)
        assert files.sql(f"SELECT count(*) FROM {DOC}") == [(0,)]

    def test_a_clearing_that_was_killed_goes_on(
        self, files: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sys_id = add(files, os.urandom(3 * BATCH))

        def killed(*_: Any) -> None:
            raise KeyboardInterrupt

        desk(files).remove(sys_id)
        with monkeypatch.context() as patched:
            patched.setattr(contents, "remove", killed)
            with pytest.raises(KeyboardInterrupt):
                attachments.clear(files.database)
        refused(files, sys_id, "attachment.missing")
        assert needs(files, files.keys_of("standard")[0]["sys_id"]) == {}
        attachments.clear(files.database)
        assert files.sql(f"SELECT count(*) FROM {DOC}") == [(0,)]

    def test_the_record_must_be_there_at_the_end_too(self, files: Any) -> None:
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        files.sql("DELETE FROM people WHERE id = 'p01'")
        with pytest.raises(NotFound):
            upload.finish()

    def test_it_does_not_stay_plain_where_encryption_was_configured_meanwhile(
        self, site: Any
    ) -> None:
        upload = desk(site).upload("people", "p01", "a", "text/plain")
        configure(site)
        with pytest.raises(Conflict) as caught:
            upload.finish()
        assert caught.value.code == "attachment.reconfigured"

    def test_the_right_must_still_be_there_at_the_end(self, files: Any) -> None:
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        with files.transaction() as tx:
            module = keys.module(tx, files.hierarchy, "standard")
            policies.add(
                tx,
                files.integrity,
                module_id=module["sys_id"],
                module_name="standard",
                type=PolicyType.ROLE,
                target="all",
                operation=Operation.ENCRYPT,
                result=Result.STRICT_REJECT,
                actor=ACTOR,
            )
        with pytest.raises(Denied):
            upload.finish()

    def test_a_key_that_was_rotated_meanwhile_is_not_used(self, files: Any) -> None:
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        files.rotate("standard")
        sys_id = upload.finish().sys_id
        assert [needs(files, k["sys_id"]) for k in files.keys_of("standard")] == [
            {},
            {f"people.{ATTACHMENTS}": 1},
        ]
        assert read(files, sys_id) == b""

    def test_what_does_not_come_back_is_not_kept(
        self, files: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        upload.write(CONTENT)
        remember = contents.ContentWriter.finish

        def spoilt(writer: contents.ContentWriter) -> None:
            remember(writer)
            files.sql(f"UPDATE {DOC} SET data = zeroblob(length(data)) WHERE position = 1")

        monkeypatch.setattr(contents.ContentWriter, "finish", spoilt)
        with pytest.raises(Tampered), upload.giving_up():
            upload.finish()
        attachments.clear(files.database)
        assert files.sql("SELECT count(*) FROM sys_attachment") == [(0,)]

    def test_nobody_may_where_they_are_encrypted(self, files: Any) -> None:
        with pytest.raises(Denied):
            desk(files, None).upload("people", "p01", "a", "text/plain")
        with pytest.raises(Denied):
            read(files, add(files), None)


def entries(site: Any, action: str) -> list[tuple[str, str, dict[str, Any]]]:
    """What is on record once everything is written down."""
    site.recorder.flush()
    rows = site.sql(
        "SELECT actor, subject, detail FROM keystead_audit WHERE action = ? ORDER BY sequence",
        action,
    )
    return [(actor, subject, json.loads(detail)) for actor, subject, detail in rows]


class TestOnRecord:
    def test_each_call_that_opened_names_leaves_one_entry(self, files: Any) -> None:
        made = [add(files), add(files), add(files, record="p02")]
        desk(files).listed("table_name=people", 9)
        desk(files).of("people", "p02", 9)
        desk(files).one(made[0])
        assert entries(files, "attachment.show") == [
            ("user:both", "people", {"attachments": number, "by": ACTOR}) for number in (3, 1, 1)
        ]

    def test_what_is_plain_hidden_or_not_there_leaves_none(self, site: Any) -> None:
        add(site)
        desk(site).listed("", 9)
        configure(site)
        add(site)
        desk(site, "guest").listed("", 9)
        desk(site).of("people", "p02", 9)
        assert entries(site, "attachment.show") == []

    def test_a_download_leaves_one_entry_of_its_own(self, files: Any) -> None:
        sys_id = add(files)
        read(files, sys_id)
        detail = {"table": "people", "by": ACTOR}
        assert entries(files, "attachment.read") == [("user:both", sys_id, detail)]
        assert entries(files, "attachment.show") == []

    def test_who_reads_or_is_refused_does_not_wait_for_who_writes(self, files: Any) -> None:
        sys_id = add(files)
        with sqlite3.connect(files.file, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            assert desk(files).one(sys_id).facts.file_name == "a.txt"
            assert read(files, sys_id) == CONTENT
            with pytest.raises(Denied):
                read(files, sys_id, "guest")
            other.execute("ROLLBACK")
        assert [len(entries(files, f"attachment.{what}")) for what in ("show", "read")] == [1, 1]
        with files.snapshot() as tx:
            (refusal,) = rejections.listed(tx)
        assert (refusal["caller"], refusal["operation"]) == ("user:guest", "decrypt")

    def test_nothing_is_given_out_that_cannot_be_written_down(
        self, files: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sys_id = add(files)
        desk(files).one(sys_id)

        def busy() -> Any:
            raise Unavailable("database.busy", database="it")

        with monkeypatch.context() as patched:
            patched.setattr(files.database, "transaction", busy)
            with pytest.raises(Unavailable):
                files.recorder.flush()
            for ask in (Desk.one, Desk.download):
                with pytest.raises(Unavailable):
                    ask(desk(files), sys_id)

    def test_who_impersonates_is_named(self, files: Any) -> None:
        sys_id = add(files)
        caller = Caller("reader", ACTOR, impersonate="both")
        acting = Desk(files.database, files.hierarchy, files.recorder, files.meter, caller, 16)
        assert acting.one(sys_id).facts.file_name == "a.txt"
        ((who, _, _),) = entries(files, "attachment.show")
        assert who == "user:reader > user:both"


class TestKeys:
    def reservations(self, site: Any) -> list[tuple[int, int]]:
        return list(site.sql("SELECT reserved, revision FROM keystead_key_use"))

    def test_uploads_and_rewraps_share_a_reservation(self, files: Any) -> None:
        for _ in range(3):
            add(files)
        assert self.reservations(files) == [(LEASE, 1)]
        files.rotate("standard")
        files.rekey()
        assert self.reservations(files) == [(LEASE, 1), (LEASE, 1)]

    def test_an_upload_that_was_taken_back_is_counted(
        self, files: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its key was wrapped, although nothing came of it."""
        add(files)
        (key,) = files.keys_of("standard")
        left = files.meter._left[key["sys_id"]]
        upload = desk(files).upload("people", "p01", "a", "text/plain")
        with monkeypatch.context() as patched:
            killing(patched, attachments, "make_ready", 1)
            with pytest.raises(KeyboardInterrupt):
                upload.finish()
        assert files.meter._left[key["sys_id"]] == left - 1

    def test_a_module_with_equality_is_refused(self, site: Any) -> None:
        with pytest.raises(Invalid) as caught:
            configure(site, "equal")
        assert caught.value.code == "field.refused"

    def test_they_are_configured_once(self, files: Any) -> None:
        with pytest.raises(Conflict):
            configure(files)

    def test_the_census_counts_them_and_a_needed_key_is_not_destroyed(self, files: Any) -> None:
        sys_id = add(files)
        (old,) = files.keys_of("standard")
        files.rotate("standard")
        assert needs(files, old["sys_id"]) == {f"people.{ATTACHMENTS}": 1}
        with pytest.raises(Conflict) as caught:
            destroy(files, old["sys_id"])
        assert caught.value.code == "key.needed"
        assert read(files, sys_id) == CONTENT

    def test_under_an_unknown_key_one_keeps_every_key(self, files: Any) -> None:
        add(files)
        (key,) = files.keys_of("standard")
        files.sql("UPDATE sys_attachment SET key_id = ?", "0" * 32)
        assert needs(files, key["sys_id"]) == {f"people.{ATTACHMENTS}": 1}

    def test_rekeying_wraps_anew_and_lets_the_old_key_go(self, files: Any) -> None:
        made = [add(files, record=record) for record in ("p01", "p02", "p02")]
        before = files.sql(f"SELECT * FROM {DOC} ORDER BY 1, 2")
        (old,) = files.keys_of("standard")
        files.rotate("standard")
        job = files.rekey()
        assert (job["state"], job["counts"]["attachments"]) == ("done", 3)
        assert needs(files, old["sys_id"]) == {}
        destroy(files, old["sys_id"])
        assert [read(files, sys_id) for sys_id in made] == [CONTENT] * 3
        assert files.sql(f"SELECT * FROM {DOC} ORDER BY 1, 2") == before

    def test_rekeying_goes_on_where_it_was_killed(
        self, files: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = [add(files, b"x") for _ in range(5)]
        files.rotate("standard")
        monkeypatch.setattr("keystead.fields.attachment_job._AT_ONCE", 2)
        killing(monkeypatch, attachments, "rewrap", 4)
        job_id = files.start(JobKind.REKEY)
        with pytest.raises(KeyboardInterrupt):
            files.move(job_id)
        old, new = (k["sys_id"] for k in files.keys_of("standard"))
        assert needs(files, new) == {f"people.{ATTACHMENTS}": 2}
        files.move(job_id)
        assert files.job(job_id)["counts"]["attachments"] == 5
        assert needs(files, old) == {}
        assert [read(files, sys_id) for sys_id in made] == [b"x"] * 5

    def test_one_that_does_not_open_fails_the_rekeying(self, files: Any) -> None:
        add(files)
        files.sql("UPDATE sys_attachment SET wrapped_key = 'AAAA'")
        files.rotate("standard")
        job_id = files.start(JobKind.REKEY)
        with pytest.raises(Tampered):
            files.move(job_id)
        assert files.job(job_id)["state"] == "failed"

    def test_a_suspended_key_shows_no_name_and_gives_no_content(self, files: Any) -> None:
        sys_id = add(files)
        with files.transaction() as tx:
            (key,) = keys.keys_of(tx, files.hierarchy, files.keys_of("standard")[0]["spec_id"])
            keys.suspend(tx, files.hierarchy, key, ACTOR)
        assert desk(files).one(sys_id).facts.file_name == ""
        refused(files, sys_id, "key.is_suspended")


def killing(monkeypatch: pytest.MonkeyPatch, where: Any, name: str, call: int) -> None:
    """Let the process seem to die at the nth call of something, once."""
    real: Callable[..., Any] = getattr(where, name)
    calls = 0

    def killed(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(where, name, killed)


class TestMassEncryption:
    def test_plain_ones_are_encrypted_and_their_clear_bytes_are_gone(self, site: Any) -> None:
        marked = b"nobody else may read this " * 20_000
        made = [add(site, marked, name="diagnosis.txt") for _ in range(2)]
        assert b"nobody else" in site.on_disk()
        configure(site)
        job = site.encrypt()
        assert job["counts"]["attachments"] == 2
        assert [read(site, sys_id) for sys_id in made] == [marked] * 2
        assert desk(site).one(made[0]).facts.file_name == "diagnosis.txt"
        stored = site.on_disk()
        assert b"nobody else" not in stored
        assert b"diagnosis" not in stored
        (where,) = [c for c in fields_of(site) if c.column == ATTACHMENTS]
        assert where.phase == "sealed"

    @pytest.mark.parametrize("name", ["touch", "wrapped_by", "replace"])
    def test_killed_anywhere_it_goes_on(
        self, site: Any, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = [add(site, record=record) for record in ("p01", "p02", "p03")]
        configure(site)
        job_id = site.start(JobKind.ENCRYPT)
        with monkeypatch.context() as patched:
            killing(patched, attachments, name, 2)
            with pytest.raises(KeyboardInterrupt):
                site.move(job_id)
        assert [read(site, sys_id) for sys_id in made] == [CONTENT] * 3
        site.move(job_id)
        site.scrub(job_id)
        assert site.job(job_id)["counts"]["attachments"] == 3
        assert [read(site, sys_id) for sys_id in made] == [CONTENT] * 3

    @pytest.mark.parametrize("when", ["write", "finish"])
    @pytest.mark.parametrize("what", ["DELETE", "PATCH"])
    def test_a_record_that_goes_away_meanwhile_is_left_or_found_again(
        self, site: Any, when: str, what: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        moving, kept = add(site), add(site, record="p02")
        configure(site)
        job_id = site.start(JobKind.ENCRYPT)
        real: Callable[..., Any] = getattr(Incoming, when)
        done = []

        def meddled(incoming: Incoming, *arguments: Any) -> Any:
            if not done:
                done.append(what)
                with site.transaction() as tx:
                    if what == "DELETE":
                        attachments.remove_of_record(tx, "people", ("p01",))
                    else:
                        attachments.follow(tx, site.hierarchy, "people", ("p01",), ("q01",))
                attachments.clear(site.database)
            return real(incoming, *arguments)

        monkeypatch.setattr(Incoming, when, meddled)
        site.move(job_id)
        assert read(site, kept) == CONTENT
        if what == "DELETE":
            refused(site, moving, "attachment.missing")
        else:
            assert read(site, moving) == CONTENT
            assert desk(site).one(moving).table_sys_id == "q01"
        assert site.job(job_id)["counts"]["attachments"] == (1 if what == "DELETE" else 2)

    def test_columns_and_attachments_are_done_by_one_job(self, mixed: Any) -> None:
        sys_id = add(mixed)
        configure(mixed)
        job = mixed.encrypt()
        assert job["counts"]["attachments"] == 1
        assert job["counts"]["values"] > 0
        assert set(mixed.phases().values()) == {"sealed"}
        assert read(mixed, sys_id) == CONTENT

    def test_names_and_content_are_cleared_away_and_a_rekey_leaves_them(
        self, site: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scrubbed = []
        scrub = type(site.database).scrub

        def noted(database: Any, *tables: str) -> Any:
            scrubbed.append(tables)
            return scrub(database, *tables)

        monkeypatch.setattr(type(site.database), "scrub", noted)
        add(site)
        configure(site)
        site.encrypt()
        site.rotate("standard")
        site.rekey()
        assert scrubbed == [("people", "sys_attachment", DOC), ("people",)]

    def test_with_nothing_configured_there_is_nothing_to_do(self, site: Any) -> None:
        with pytest.raises(NotFound):
            site.start(JobKind.ENCRYPT)


def fields_of(site: Any) -> list[Any]:
    with site.snapshot() as tx:
        return fields.attachments(tx, site.hierarchy)
