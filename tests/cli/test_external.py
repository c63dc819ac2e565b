"""External keys on the command line, at a vendor in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.conftest import configure, keystead, ok, serving
from tests.unit.external.vendor import Vendor

from keystead.base.errors import FAMILIES
from keystead.delivery.cli.exits import EXIT_CODES
from keystead.external.provider import Answer, Call
from keystead.programs import instance as program

SECRET = "wJalrXUtnFEMI-very-secret"
REGION = ("region=eu-central-1", "key_arn=arn:aws:kms:eu-central-1:1:key/2")


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> Vendor:
    vendor = Vendor()
    monkeypatch.setattr(program, "open_provider", vendor.open_provider)
    return vendor


@pytest.fixture
def wrapped(vendor: Vendor, prod: Path) -> Path:
    """A home with the module `std` under the external key `kms`."""
    ok("module", "create", prod, "std", "--publish")
    ok("external", "create", prod, "kms", "--kind", "file", "--set", "path=/media/k")
    ok("external", "activate", prod, "kms")
    moved = ok("external", "wrap", prod, "std", "kms")
    assert (moved["moved"], moved["left"]) == (1, 0)
    return prod


def test_from_a_draft_to_a_module_under_the_key(vendor: Vendor, wrapped: Path) -> None:
    (row,) = ok("external", "list", wrapped)
    assert (row["state"], row["status"]) == ("active", "enabled")
    assert (row["modules"], row["keys"], row["reference"]) == (1, 1, "key 1")
    assert ok("external", "show", wrapped, "kms")["settings"] == {"path": "/media/k"}
    assert ok("external", "rotate", wrapped, "kms") == {"name": "kms", "moved": 1, "left": 0}
    assert ok("external", "rewrap", wrapped, "kms")["ekeks"] == 1
    radius = ok("external", "blast-radius", wrapped, "kms")
    assert (radius["modules"], radius["keys"], radius["values"]) == (["global.std"], 1, 0)
    assert keystead("external", "retire", wrapped, "kms").code == EXIT_CODES["conflict"]


def test_a_status_is_followed_and_alerted(vendor: Vendor, wrapped: Path) -> None:
    vendor.state = Answer.DISABLED
    (change,) = ok("external", "sync", wrapped)["changes"]
    assert (change["before"], change["status"]) == ("enabled", "disabled")
    (row,) = ok("external", "status", wrapped)
    assert (row["status"], row["call"], row["answer"]) == ("disabled", "describe", "disabled")
    (alert,) = ok("external", "alerts", wrapped)
    assert alert["status"] == "disabled"
    assert keystead("key", "rotate", wrapped, "std").code == EXIT_CODES["denied"]
    vendor.state = Answer.ENABLED
    ok("external", "sync", wrapped)
    assert ok("external", "alerts", wrapped) == []
    assert len(ok("external", "alerts", wrapped, "--all")) == 1
    ok("key", "rotate", wrapped, "std")


def test_a_revocation_is_taken_back(wrapped: Path) -> None:
    assert ok("external", "revoke", wrapped, "kms", "--reason", "lost")["state"] == "revoked"
    (row,) = ok("external", "status", wrapped)
    assert (row["state"], row["reason"]) == ("revoked", "lost")
    assert keystead("key", "rotate", wrapped, "std").code == EXIT_CODES["denied"]
    assert keystead("external", "rotate", wrapped, "kms").code == EXIT_CODES["illegal_transition"]
    assert ok("external", "reinstate", wrapped, "kms")["state"] == "active"
    ok("key", "rotate", wrapped, "std")


def test_a_test_names_the_call_that_failed(vendor: Vendor, prod: Path) -> None:
    ok("external", "create", prod, "kms", "--kind", "file", "--set", "path=/media/k")
    assert [one["failure"] for one in ok("external", "test", prod, "kms")] == [None, None, None]
    vendor.answers[Call.UNWRAP] = Answer.DENIED
    ended = keystead("external", "test", prod, "kms", "--json")
    assert ended.code == EXIT_CODES["denied"]
    assert [one["call"] for one in ended.json if one["failure"]] == ["decrypt"]
    ok("external", "retire", prod, "kms")


def test_a_credential_comes_from_a_file_and_is_never_shown(prod: Path, tmp_path: Path) -> None:
    words = ("external", "create", prod, "aws", "--kind", "aws_kms")
    given = [part for one in REGION for part in ("--set", one)]
    refused = keystead(*words, *given, "--set", f"secret_access_key={SECRET}")
    assert refused.code == EXIT_CODES["invalid"]
    assert SECRET not in refused.err
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")
    made = ok(*words, *given, "--set-from", f"secret_access_key={file}", "--lease", "30")
    assert (made["has_credentials"], made["lease_seconds"]) == (True, 30)
    shown = [made, ok("external", "list", prod), ok("external", "show", prod, "aws")]
    assert SECRET not in str([*shown, ok("audit", "list", prod)])
    changed = ok("external", "change", prod, "aws", "--grace", "60", "--set", "secret_access_key=")
    assert (changed["has_credentials"], changed["grace_seconds"]) == (False, 60)


def test_each_step_names_the_next(vendor: Vendor, prod: Path) -> None:
    ok("module", "create", prod, "std", "--publish")
    made = keystead("external", "create", prod, "kms", "--kind", "file", "--set", "path=/media/k")
    assert f"keystead external test {prod} kms" in made.out
    early = keystead("external", "wrap", prod, "std", "kms")
    assert early.code == EXIT_CODES["illegal_transition"]
    assert "keystead external activate HOME kms" in early.err
    active = keystead("external", "activate", prod, "kms")
    assert f"keystead external wrap {prod} MODULE kms" in active.out
    assert [row["external_key"] for row in ok("module", "list", prod)] == [None]
    ok("external", "wrap", prod, "std", "kms")
    assert [row["external_key"] for row in ok("module", "list", prod)] == ["kms"]


@pytest.mark.parametrize(
    ("words", "family"),
    [
        (("create", "kms", "--kind", "vault"), "not_found"),
        (("create", "kms", "--kind", "file"), "invalid"),
        (("create", "kms", "--kind", "file", "--set", "path"), "invalid"),
        (("create", "kms", "--kind", "file", "--set", "colour=red"), "invalid"),
        (("create", "kms", "--kind", "file", "--set", "path=/x", "--lease", "1"), "invalid"),
        (("create", "kms", "--kind", "file", "--set-from", "path=/none/at/all"), "unavailable"),
        *(((name, "kms"), "not_found") for name in ("show", "change", "test", "activate")),
        *(((name, "kms"), "not_found") for name in ("rewrap", "rotate", "blast-radius")),
    ],
)
def test_what_cannot_be_done_says_why(prod: Path, words: tuple[str, ...], family: str) -> None:
    assert family in FAMILIES
    ended = keystead("external", words[0], prod, *words[1:])
    assert ended.code == EXIT_CODES[family], ended
    assert len(ended.err.splitlines()) == 2


# --- key files, as their owner works them ---------------------------------------------------------


def test_a_key_file_from_its_making_to_its_deletion(prod: Path, tmp_path: Path) -> None:
    """Through the real adapter: what the owner of the file does decides what opens."""
    file = tmp_path / "keystead.key"
    made = ok("external", "file", "create", file)
    assert (made["state"], made["versions"]) == ("enabled", 1)
    assert file.stat().st_mode & 0o077 == 0
    ok("module", "create", prod, "std", "--publish")
    ok("external", "create", prod, "own", "--kind", "file", "--set", f"path={file}")
    assert ok("external", "activate", prod, "own")["reference"] == made["id"]
    ok("external", "wrap", prod, "std", "own")
    ok("external", "file", "disable", file)
    assert keystead("key", "rotate", prod, "std").code == EXIT_CODES["denied"]
    ok("external", "file", "enable", file)
    ok("key", "rotate", prod, "std")
    away = file.rename(tmp_path / "away")
    gone = keystead("external", "test", prod, "own")
    assert f"There is no key file {file}.\n" in gone.err
    away.rename(file)
    assert ok("external", "file", "rotate", file)["versions"] == 2
    assert "1 rewrapped" in ok("external", "sync", prod)["result"]
    doomed = ok("external", "file", "delete", file, "--after", "7")
    assert doomed["state"] == "pending deletion"
    ok("external", "sync", prod)
    (row,) = ok("external", "status", prod)
    assert (row["status"], row["deletion_at"]) == ("pending deletion", doomed["delete_at"])
    assert keystead("external", "file", "delete", file).code == EXIT_CODES["conflict"]
    assert ok("external", "file", "cancel", file)["state"] == "disabled"
    ok("external", "file", "enable", file)
    ok("key", "rotate", prod, "std")
    assert keystead("external", "file", "create", file).code == EXIT_CODES["conflict"]
    assert (
        keystead("external", "file", "delete", file, "--after", "3").code == EXIT_CODES["invalid"]
    )


def test_what_is_dark_is_shown_empty_with_the_reason(
    prod: Path, people: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keystead.key"
    ok("external", "file", "create", file)
    configure(prod, people)
    ok("user", "add", prod, "ann", "--role", "support")
    ok("external", "create", prod, "own", "--kind", "file", "--set", f"path={file}")
    ok("external", "activate", prod, "own")
    for row in ok("module", "list", prod):
        ok("external", "wrap", prod, row["module"], "own")
    with serving(prod):
        ok("encrypt", prod, "people")
    words = ("show", prod, "people", "--as", "ann")
    assert ok(*words)["dark"] == []
    ok("external", "file", "disable", file)
    shown = ok(*words)
    assert {row["name"] for row in shown["rows"]} == {""}
    (reason,) = shown["dark"]
    assert "'own' is disabled" in reason
