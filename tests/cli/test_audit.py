"""The audit log on the command line: signed after every change, proven, exported, and checked."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from tests.cli.conftest import keystead, make, ok

from keystead.audit import merkle
from keystead.delivery.cli.exits import EXIT_CODES

TAMPERED = EXIT_CODES["tampered"]


def sql(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "instance.db")) as connection, connection:
        connection.execute(statement)


def test_a_change_is_signed_and_a_look_is_not(prod: Path) -> None:
    first = ok("audit", "head", prod)
    ok("user", "add", prod, "ada")
    second = ok("audit", "head", prod)
    assert (first["number"], second["number"]) == (1, 2)
    assert second["previous"] == first["digest"]
    ok("user", "list", prod)
    assert ok("audit", "sign", prod) == second
    assert ok("audit", "verify", prod)["findings"] == []


def test_an_entry_is_shown_and_proven(prod: Path) -> None:
    ok("user", "add", prod, "ada")
    shown = ok("audit", "show", prod, 2)
    proof = ok("audit", "prove", prod, 2)
    assert shown["action"] == "user.create"
    assert proof["leaf"] == shown["leaf"]
    path = [bytes.fromhex(step) for step in proof["path"]]
    leaf, root = bytes.fromhex(proof["leaf"]), bytes.fromhex(proof["root"])
    merkle.verify_inclusion(1, proof["size"], leaf, path, root)
    for command in ("show", "prove"):
        assert keystead("audit", command, prod, 99).code == EXIT_CODES["not_found"]


def test_what_was_tampered_with_is_listed_and_ends_with_eight(prod: Path) -> None:
    ok("user", "add", prod, "ada")
    sql(prod, "UPDATE keystead_audit SET actor = 'nobody' WHERE sequence = 1")
    sql(prod, "DELETE FROM sys_user")
    ended = keystead("audit", "verify", prod, "--json")
    assert ended.code == TAMPERED
    found = {finding["where"] for finding in json.loads(ended.out)["findings"]}
    assert found == {"entry 1", "sys_user"}
    assert keystead("user", "list", prod).code == TAMPERED
    assert keystead("audit", "sign", prod).code == TAMPERED
    assert keystead("audit", "list", prod).code == 0


def test_an_older_database_is_refused_until_it_is_accepted(prod: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.db"
    with (
        closing(sqlite3.connect(prod / "instance.db")) as db,
        closing(sqlite3.connect(backup)) as to,
    ):
        db.backup(to)
    ok("user", "add", prod, "ada")
    for file in prod.glob("instance.db*"):
        file.unlink()
    backup.rename(prod / "instance.db")
    for words in (("user", "list"), ("table", "list"), ("audit", "verify"), ("audit", "sign")):
        assert keystead(*words, prod).code == TAMPERED
    ok("audit", "accept", prod, "--reason", "restored")
    assert ok("user", "list", prod) == []
    assert ok("audit", "verify", prod)["findings"] == []


def test_an_export_is_checked_by_the_fingerprint_alone(prod: Path, tmp_path: Path) -> None:
    file = tmp_path / "audit.jsonl"
    made = ok("audit", "export", prod, file)
    given = ("audit", "verify", "--from", file, "--fingerprint")
    assert ok(*given, made["fingerprint"])["entries"] == made["entries"]
    other = make(tmp_path / "other")
    wrong = ok("peer", "identity", other)["fingerprint"]
    assert keystead(*given, wrong).code == EXIT_CODES["denied"]
    file.write_bytes(file.read_bytes().replace(b"instance.init", b"instance.exit"))
    assert keystead(*given, made["fingerprint"]).code == TAMPERED


@pytest.mark.parametrize("words", [(), ("--from", "x"), ("--fingerprint", "x")])
def test_verify_wants_a_home_or_an_export(words: tuple[str, ...]) -> None:
    assert keystead("audit", "verify", *words).code == EXIT_CODES["invalid"]
