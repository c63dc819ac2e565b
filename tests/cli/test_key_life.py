"""The life of keys by the commands alone."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cli.conftest import keystead, make, ok

from keystead.delivery.cli.exits import EXIT_CODES


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = make(tmp_path / "prod")
    ok("module", "create", made, "people", "--publish")
    return made


def states(home: Path) -> list[str]:
    return [str(key["state"]) for key in ok("key", "list", home)]


def refused(family: str, code: str, *words: object) -> None:
    ended = keystead(*words, "--json")
    assert (ended.code, ended.out) == (EXIT_CODES[family], "")
    assert f'"error": "{code}"' in ended.err


def test_from_the_first_key_to_its_end(home: Path) -> None:
    (first,) = ok("key", "list", home)
    ok("key", "suspend", home, "people")
    assert states(home) == ["suspended"]
    refused("not_found", "key.suspended", "key", "rotate", home, "people")
    ok("key", "resume", home, "people")
    refused("conflict", "key.no_expiry", "key", "renew", home, "people")
    ok("key", "rules", "add", home, "people", "expiration", "--after", "2y")
    assert ok("key", "apply-rules", home) == []
    assert ok("key", "renew", home, "people")["state"] == "renewed"
    waiting = ok("key", "generate", home, "people", "--waiting")["key"]
    assert ok("key", "rotate", home, "people", "--to", waiting)["key"] == waiting
    assert keystead("key", "revoke", home, "people").code == 2
    revoked = ok("key", "revoke", home, "people", "--reason", "laptop stolen")
    assert revoked["revoked"] == waiting
    assert ok("key", "show", home, waiting)["revoke_reason"] == "laptop stolen"
    assert sorted(states(home)) == ["active", "deactivated", "revoked"]
    for key in (first["key"], waiting):
        assert ok("key", "destroy", home, key)["state"] == "destroyed"
        refused("illegal_transition", "key.transition", "key", "destroy", home, key)
    listed = {key["key"]: key for key in ok("key", "list", home)}
    assert listed[waiting]["held"] is False
    assert listed[waiting]["destroyed_at"] > listed[waiting]["revoked_at"]


def test_people_read_it(home: Path) -> None:
    said = keystead("key", "list", home).out
    assert "version" in said
    assert "active" in said
    assert "people" in keystead("key", "show", home, "people").out
    assert "No rule yet" in keystead("key", "rules", "list", home, "people").out
    assert "Nothing is due" in keystead("key", "apply-rules", home).out
    assert "No cap yet" in keystead("key", "rules", "caps", home).out
    assert "No such request" in keystead("key", "destroy-requests", home).out


def test_rules_and_caps(home: Path) -> None:
    ok("key", "rules", "cap", home, "expiration", "--most", "2y")
    add = ("key", "rules", "add", home, "people")
    refused("conflict", "rule.beyond", *add, "expiration", "--after", "3y")
    refused("invalid", "rule.form", *add, "expiration")
    refused("invalid", "rule.form", *add, "expiration", "--after", "1y", "--at", "2100-01-01")
    refused("invalid", "rule.duration", *add, "expiration", "--after", "soon")
    refused("invalid", "rule.time", *add, "destruction", "--at", "soon")
    refused("invalid", "rule.past", *add, "destruction", "--at", "2020-01-01")
    refused("invalid", "rule.circle", *add, "expiration", "--after", "1y", "--of", "rotation")
    ok("key", "rules", "cap", home, "expiration", "--most", "5y", "--module", "people")
    rule = ok(*add, "expiration", "--after", "3y")
    ok(*add, "rotation", "--before", "30d", "--of", "expiration")
    ok(*add, "destruction", "--at", "2100-01-31")
    assert [r["date"] for r in ok("key", "rules", "list", home, "people")] == [
        "expiration",
        "rotation",
        "destruction",
    ]
    ok("key", "apply-rules", home)
    (key,) = ok("key", "list", home)
    assert key["activated_at"] < key["rotate_at"] < key["expires_at"]
    assert key["destroy_at"] == "2100-01-31T00:00:00.000000Z"
    ok("key", "rules", "remove", home, rule["rule"])
    refused("not_found", "rule.missing", "key", "rules", "remove", home, rule["rule"])
    assert len(ok("key", "rules", "caps", home)) == 2


def test_the_quorum(home: Path) -> None:
    refused("not_found", "quorum.missing", "key", "quorum", home)
    ok("key", "quorum", home, "--person", "os:ann", "--person", "os:ben")
    assert ok("key", "quorum", home) == {"needed": 2, "people": ["os:ann", "os:ben"]}
    old = ok("key", "list", home)[0]["key"]
    ok("key", "rotate", home, "people")
    refused("invalid", "key.reason", "key", "destroy", home, old, "--quorum")
    asked = ok("key", "destroy", home, old, "--quorum", "--reason", "court order")
    refused("denied", "destroy.denied", "key", "approve-destroy", home, asked["request"])
    (listed,) = ok("key", "destroy-requests", home)
    assert (listed["reason"], listed["approvers"]) == ("court order", [])


def test_a_customer_brings_a_key_by_openssl(home: Path, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    assert openssl, "the procedure in the help names openssl"
    files = ok("key", "import-token", home, "people", "--out", tmp_path / "for-import")
    assert Path(files["token"]).stat().st_mode & 0o077 == 0
    plain, wrapped = tmp_path / "key.bin", tmp_path / "wrapped.bin"
    plain.write_bytes(bytes(range(32)))
    options = ("rsa_padding_mode:oaep", "rsa_oaep_md:sha256", "rsa_mgf1_md:sha256")
    subprocess.run(
        [
            *(openssl, "pkeyutl", "-encrypt", "-pubin", "-inkey", files["wrapping_key"]),
            *(word for option in options for word in ("-pkeyopt", option)),
            *("-in", plain, "-out", wrapped),
        ],
        check=True,
    )
    bring = ("key", "import", home, "people", "--token")
    refused("not_found", "file.missing", *bring, tmp_path / "none", "--wrapped", wrapped)
    refused("invalid", "token.invalid", *bring, wrapped, "--wrapped", wrapped)
    refused("invalid", "supplied.unwrap", *bring, files["token"], "--wrapped", plain)
    made = ok(*bring, files["token"], "--wrapped", wrapped)
    assert made["state"] == "generated"
    refused("invalid", "token.used", *bring, files["token"], "--wrapped", wrapped)
    ok("key", "rotate", home, "people", "--to", made["key"])
    refused("conflict", "key.supplied", "key", "revoke", home, "people", "--reason", "it leaked")
    refused(
        "conflict",
        "export.exists",
        *("key", "import-token", home, "people", "--out", tmp_path / "for-import"),
    )


KEYSTORES = Path(__file__).parents[1] / "unit" / "crypto" / "keystores"


def test_a_customer_brings_a_key_in_a_keystore(home: Path, tmp_path: Path, monkeypatch) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    store = ("--keystore", KEYSTORES / "aes.p12", "--passphrase-file", passphrase)
    bring = ("key", "import", home, "people")
    before = states(home)
    refused("invalid", "keystore.several", *bring, *store)
    refused("invalid", "keystore.alias", *bring, *store, "--alias", "three")
    refused("invalid", "supplied.size", *bring, *store, "--alias", "small")
    old = ("--keystore", KEYSTORES / "java.jceks", "--passphrase-file", passphrase)
    refused("invalid", "keystore.java", *bring, *old)
    assert "keytool -importkeystore" in keystead(*bring, *old).err
    refused("invalid", "keystore.source", *bring)
    refused("invalid", "keystore.source", *bring, *store, "--token", passphrase)
    refused("not_found", "file.missing", *bring, "--keystore", tmp_path / "no")
    passphrase.write_text("correct hors\n")
    refused("invalid", "keystore.passphrase", *bring, *store, "--alias", "one")
    assert states(home) == before
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "correct horse")
    made = ok(*bring, "--keystore", KEYSTORES / "aes.p12", "--alias", "One")
    assert made["state"] == "generated"
    ok("key", "rotate", home, "people", "--to", made["key"])
    passphrase.write_text("correct horse\r\n")
    refused("conflict", "supplied.known", *bring, *store, "--alias", "one")
