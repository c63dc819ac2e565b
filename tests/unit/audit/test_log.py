"""The log of a home: whatever is done to it behind Keystead's back is found and named."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from typing import Any

import pytest

from keystead.access.tables import USERS
from keystead.audit import heads, log, merkle
from keystead.audit.heads import HeadFile
from keystead.audit.tables import AUDIT, HEADS, NODES
from keystead.base import clock
from keystead.base.errors import Conflict, Denied, Invalid, NotFound, Tampered
from keystead.exchange.identity import own_identity
from keystead.instance import auditing, opening

A, N, H = AUDIT.name, NODES.name, HEADS.name


def home_of(site: Any) -> Any:
    return site.instance.home, site.database, site.hierarchy


def write(site: Any, count: int = 1) -> None:
    with site.transaction() as tx:
        for number in range(count):
            log.record(tx, "test", "thing.do", "it", number=number, name="Zoë\n", none=None)


def findings(site: Any) -> dict[str, str]:
    found = auditing.verify(*home_of(site), lambda *_: None).findings
    said: dict[str, str] = {}
    for finding in found:
        said[finding.where] = f"{said.get(finding.where, '')}{finding.what}\n"
    return said


def identity(site: Any) -> Any:
    return own_identity(site.hierarchy, "prod", site.instance.certificate)


def export(site: Any, name: str = "export.jsonl") -> Any:
    file = site.folder.parent / name
    auditing.write_export(*home_of(site), identity(site), file, lambda *_: None)
    return file


def check_export(site: Any, file: Any) -> Any:
    return auditing.verify_export(file, identity(site).fingerprint, lambda *_: None)


def size_of(site: Any) -> int:
    with site.snapshot() as tx:
        return log.size(tx)


@pytest.fixture
def signed(site):
    """A log with a head over all its entries and five entries after it."""
    auditing.sign(*home_of(site))
    write(site, 5)
    return site


class TestRecording:
    def test_sequences_have_no_gap_and_the_tree_fits(self, site):
        write(site, 40)
        with site.snapshot() as tx:
            entries = list(log.walk(tx))
            frontier = merkle.Frontier()
            for entry in entries:
                frontier.append(entry.leaf())
            assert [e.sequence for e in entries] == list(range(1, len(entries) + 1))
            assert merkle.root(log.nodes(tx), len(entries)) == frontier.root()
        assert findings(site) == {}

    @pytest.mark.parametrize("before", range(5))
    def test_many_at_once_are_hashed_as_one_by_one(self, site, before):
        write(site, before)
        with site.transaction() as tx:
            log.record_many(tx, [])
            log.record_many(tx, [log.Done("test", "thing.do", str(n), {}) for n in range(13)])
        with site.snapshot() as tx:
            frontier = merkle.Frontier()
            for entry in log.walk(tx):
                frontier.append(entry.leaf())
            assert merkle.root(log.nodes(tx), frontier.size) == frontier.root()
            assert [e["subject"] for e in log.entries(tx, 13)] == [str(n) for n in range(13)][::-1]
        assert findings(site) == {}

    def test_what_is_taken_back_is_not_in_the_log(self, site):
        before = size_of(site)
        with site.transaction() as tx:
            log.record(tx, "test", "thing.do", "it")
            tx.rollback()
        assert size_of(site) == before
        write(site)
        assert size_of(site) == before + 1
        assert findings(site) == {}

    def test_an_entry_that_somebody_else_wrote_is_in_the_way(self, site):
        last = size_of(site)
        site.sql(
            f"INSERT INTO {A} SELECT ?, sys_id, at, actor, action, subject, detail"
            f" FROM {A} WHERE sequence = 1",
            last + 1,
        )
        with pytest.raises(Conflict) as error:
            write(site)
        assert error.value.code == "audit.sequence"

    def test_a_missing_entry_is_not_found(self, site):
        with pytest.raises(NotFound), site.snapshot() as tx:
            log.entry(tx, 10_000)


class TestTampering:
    @pytest.mark.parametrize("column", AUDIT.columns.keys())
    @pytest.mark.parametrize("at", ["first", "last", "unsigned"])
    def test_any_column_changed(self, signed, column, at):
        newest = size_of(signed)
        sequence = {"first": 1, "last": newest - 5, "unsigned": newest}[at]
        value = newest + 7 if column == "sequence" else '{"x": 1}'
        signed.sql(f"UPDATE {A} SET {column} = ? WHERE sequence = ?", value, sequence)
        assert f"entry {sequence}" in findings(signed)

    def test_the_same_detail_in_other_words(self, signed):
        signed.sql(f"UPDATE {A} SET detail = detail || ' ' WHERE sequence = 1")
        assert "entry 1" in findings(signed)

    @pytest.mark.parametrize("at", ["first", "middle", "last"])
    @pytest.mark.parametrize("with_hashes", [False, True])
    def test_an_entry_deleted(self, signed, at, with_hashes):
        newest = size_of(signed)
        sequence = {"first": 1, "middle": newest // 2, "last": newest - 5}[at]
        for name in (A, N) if with_hashes else (A,):
            signed.sql(f"DELETE FROM {name} WHERE sequence = ?", sequence)
        assert f"entry {sequence}" in findings(signed)

    def test_two_entries_in_each_others_place(self, signed):
        for old, new in ((1, -1), (2, 1), (-1, 2)):
            signed.sql(f"UPDATE {A} SET sequence = ? WHERE sequence = ?", new, old)
        assert {"entry 1", "entry 2"} <= findings(signed).keys()

    def test_a_whole_tree_forged_over_a_changed_entry(self, signed):
        signed.sql(f"UPDATE {A} SET actor = 'nobody' WHERE sequence = 2")
        signed.sql(f"DELETE FROM {N}")
        with signed.transaction() as tx:
            log.begin(tx)
        assert any(where.startswith("head") for where in findings(signed))
        with pytest.raises(Tampered) as error:
            opening.open_instance(signed.folder, lambda _home: signed.database)
        assert error.value.code == "audit.behind"

    def test_an_entry_inserted_before_the_end(self, signed):
        newest = size_of(signed)
        for sequence in range(newest, 2, -1):
            signed.sql(f"UPDATE {A} SET sequence = ? WHERE sequence = ?", sequence + 1, sequence)
        signed.sql(
            f"INSERT INTO {A} SELECT 3, 'f', at, actor, action, subject, detail"
            f" FROM {A} WHERE sequence = 1"
        )
        assert {"entry 3", f"entry {newest + 1}"} <= findings(signed).keys()

    def test_entries_with_sequences_that_are_none(self, signed):
        signed.sql(
            f"INSERT INTO {A} SELECT -4, sys_id, at, actor, action, subject, detail"
            f" FROM {A} WHERE sequence = 1"
        )
        assert "entry -4" in findings(signed)

    def test_kept_hashes_changed(self, signed):
        signed.sql(f"UPDATE {N} SET hashes = ? WHERE sequence = 4", "0" * 192)
        assert "entry 4" in findings(signed)
        signed.sql(f"UPDATE {N} SET hashes = 'x' WHERE sequence = 4")
        assert "entry 4" in findings(signed)

    def test_the_end_cut_off_together_with_the_heads(self, signed):
        auditing.sign(*home_of(signed))
        newest = size_of(signed)
        for name in (A, N):
            signed.sql(f"DELETE FROM {name} WHERE sequence > ?", newest - 2)
        signed.sql(f"DELETE FROM {H}")
        assert any("ends at" in what for what in findings(signed).values())
        with pytest.raises(Tampered) as error:
            auditing.check(*home_of(signed))
        assert error.value.code == "audit.behind"


class TestHeads:
    def test_nothing_new_is_signed_when_nothing_changed(self, site):
        first = auditing.sign(*home_of(site))
        assert auditing.sign(*home_of(site)) == first
        write(site)
        second = auditing.sign(*home_of(site))
        assert (second.number, second.previous) == (first.number + 1, first.digest)
        assert findings(site) == {}

    def test_an_older_database_is_noticed_by_the_file(self, site):
        site.sql("PRAGMA wal_checkpoint(TRUNCATE)")
        backup = site.folder.parent / "backup.db"
        shutil.copy(site.file, backup)
        write(site)
        auditing.sign(*home_of(site))
        site.database.close()
        for file in site.folder.glob("instance.db*"):
            file.unlink()
        shutil.copy(backup, site.file)
        with pytest.raises(Tampered) as error:
            opening.open_instance(site.folder, lambda _home: site.database)
        assert error.value.code == "audit.behind"
        assert findings(site)
        accepted = auditing.accept(*home_of(site), "restored", "test")
        assert accepted.number == 1
        assert findings(site) == {}
        auditing.check(*home_of(site))
        with site.snapshot() as tx:
            last = log.entries(tx, 1)[0]
        assert (last["action"], last["detail"]["reason"]) == ("audit.accept", "restored")

    @pytest.mark.parametrize("keep", [0, 1])
    def test_a_file_cut_short_or_removed(self, signed, keep):
        auditing.sign(*home_of(signed))
        file = signed.instance.home.heads_file
        file.write_bytes(b"".join(file.read_bytes().splitlines(True)[:keep]))
        for refusing in (auditing.check, auditing.sign):
            with pytest.raises(Tampered) as error:
                refusing(*home_of(signed))
            assert error.value.code == "audit.file"
        assert any("not in audit.heads" in what for what in findings(signed).values())

    def test_an_old_head_at_the_end_of_the_file(self, signed):
        auditing.sign(*home_of(signed))
        file = signed.instance.home.heads_file
        first = file.read_bytes().splitlines(True)[0]
        file.write_bytes(file.read_bytes() + first)
        with pytest.raises(Tampered):
            auditing.check(*home_of(signed))
        assert any(where.startswith("audit.heads, line") for where in findings(signed))

    def test_a_head_removed_from_the_middle(self, signed):
        auditing.sign(*home_of(signed))
        file = signed.instance.home.heads_file
        lines = file.read_bytes().splitlines(True)
        assert len(lines) > 2
        file.write_bytes(b"".join(lines[:1] + lines[2:]))
        signed.sql(f"DELETE FROM {H} WHERE number = 2")
        assert "audit.heads, line 2" in findings(signed)

    def test_a_head_of_another_instance(self, signed, tmp_path):
        opening.init(tmp_path / "other", "other", 8421, _connect, "test")
        foreign = (tmp_path / "other" / "audit.heads").read_bytes()
        file = signed.instance.home.heads_file
        file.write_bytes(file.read_bytes() + foreign)
        with pytest.raises(Tampered) as error:
            auditing.check(*home_of(signed))
        assert error.value.code == "signature.invalid"
        assert findings(signed)

    def test_a_head_in_the_file_that_was_not_committed_is_taken_up(self, signed):
        auditing.sign(*home_of(signed))
        signed.sql(f"DELETE FROM {H} WHERE number = (SELECT max(number) FROM {H})")
        auditing.check(*home_of(signed))
        assert findings(signed) == {}
        write(signed)
        auditing.sign(*home_of(signed))
        assert findings(signed) == {}

    def test_a_line_cut_short_by_a_crash_is_none(self, signed):
        auditing.sign(*home_of(signed))
        file = signed.instance.home.heads_file
        whole = file.read_bytes()
        file.write_bytes(whole + whole[:100])
        auditing.check(*home_of(signed))
        write(signed)
        auditing.sign(*home_of(signed))
        assert file.read_bytes().startswith(whole)
        assert findings(signed) == {}

    @pytest.mark.parametrize("days", [-30, 30, 365 * 30])
    def test_a_wrong_clock_is_in_nobodys_way(self, site, monkeypatch, days):
        now = clock.parse(clock.now())
        with monkeypatch.context() as patched:
            patched.setattr(clock, "now", lambda: clock.text_of(now + timedelta(days=days)))
            write(site)
            auditing.sign(*home_of(site))
        auditing.check(*home_of(site))
        write(site)
        auditing.sign(*home_of(site))
        assert findings(site) == {}

    @pytest.mark.parametrize("bit", [0, 3000, 20_000])
    def test_a_changed_line_is_no_head(self, signed, bit):
        file = HeadFile(signed.instance.home.heads_file)
        line = bytearray(file.last() or b"")
        line[bit // 8] ^= 1
        signer = auditing.signer(signed.hierarchy)
        public = heads.sign.public_of(signer.signing)
        with pytest.raises(Tampered):
            heads.read(public, signer.instance_id, bytes(line))


class TestTablesOfANewVersion:
    def test_a_home_without_anchors_gets_them(self, site):
        entries = size_of(site)
        for name in (N, H, "keystead_anchor", "keystead_anchored_row"):
            site.sql(f"DELETE FROM {name}")
        site.instance.home.heads_file.unlink()
        with site.transaction() as tx:
            auditing.adopt(tx, site.hierarchy, "test")
        auditing.sign(*home_of(site))
        assert size_of(site) == entries + 1
        assert findings(site) == {}

    def test_a_table_that_has_an_anchor_keeps_it(self, site):
        site.sql("DELETE FROM sys_user")
        with site.transaction() as tx:
            auditing.adopt(tx, site.hierarchy, "test")
        with pytest.raises(Tampered), site.snapshot() as tx:
            site.hierarchy.integrity.all(tx, USERS)


class TestExport:
    def test_it_holds_without_the_home(self, signed):
        verified = check_export(signed, export(signed))
        assert verified.findings == ()
        assert verified.entries == size_of(signed)

    def test_an_existing_file_is_not_replaced(self, signed):
        file = export(signed)
        with pytest.raises(Conflict):
            export(signed)
        assert check_export(signed, file).findings == ()

    def test_that_of_another_instance(self, signed, tmp_path):
        opening.init(tmp_path / "other", "other", 8421, _connect, "test")
        other = opening.open_instance(tmp_path / "other", _connect)
        shown = own_identity(other.hierarchy, "other", other.certificate)
        file = tmp_path / "other.jsonl"
        auditing.write_export(
            other.home, other.database, other.hierarchy, shown, file, lambda *_: None
        )
        other.database.close()
        with pytest.raises(Denied):
            check_export(signed, file)
        mine = export(signed).read_bytes().splitlines(True)
        mixed = tmp_path / "mixed.jsonl"
        mixed.write_bytes(b"".join(mine[:1] + file.read_bytes().splitlines(True)[1:]))
        assert check_export(signed, mixed).findings

    @pytest.mark.parametrize("drop", [1, 2, -2, -1])
    def test_any_line_removed(self, signed, drop):
        lines = export(signed).read_bytes().splitlines(True)
        del lines[drop]
        assert self._check(signed, lines).findings

    def test_cut_off_at_an_entry(self, signed):
        lines = export(signed).read_bytes().splitlines(True)
        assert self._check(signed, lines[: len(lines) - 4]).findings

    def test_two_lines_in_each_others_place(self, signed):
        lines = export(signed).read_bytes().splitlines(True)
        lines[2], lines[3] = lines[3], lines[2]
        assert self._check(signed, lines).findings

    def test_an_entry_changed(self, signed):
        lines = export(signed).read_bytes().splitlines(True)
        entry = json.loads(lines[3])
        entry["entry"]["actor"] = "nobody"
        lines[3] = heads.sign.canonical(entry) + b"\n"
        assert self._check(signed, lines).findings

    @pytest.mark.parametrize("line", [b"", b"{}", b'{"entry":1}', b'{"head":1}', b"\xff", b"[]"])
    def test_lines_that_are_none(self, signed, line):
        lines = export(signed).read_bytes().splitlines(True)
        assert self._check(signed, [*lines, line + b"\n"]).findings

    @pytest.mark.parametrize("content", [b"", b"{}\n", b"x\n", b'{"format":"other"}\n'])
    def test_files_that_are_none(self, signed, tmp_path, content):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(Invalid):
            check_export(signed, tmp_path / "x")

    def _check(self, site: Any, lines: list[bytes]) -> Any:
        file = site.folder.parent / "changed.jsonl"
        file.write_bytes(b"".join(lines))
        return check_export(site, file)


def _connect(home: Any) -> Any:
    from keystead.adapters.databases.sqlite import SqliteDatabase

    return SqliteDatabase(home.database_file)
