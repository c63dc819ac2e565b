"""Key bytes are seen in few places, and each of them is named here."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[3] / "src" / "keystead"
SEES_KEY_BYTES = {
    "adapters/external_keys/key_file.py",  # writes a key file, and hands out what it opened
    "base/secret.py",  # defines the capability
    "crypto/attachment.py",  # what is said about an attachment is sealed like a key
    "crypto/ciphers.py",
    "crypto/mac.py",
    "crypto/passphrase.py",
    "crypto/oaep.py",
    "crypto/pkcs12.py",  # the passphrase of a keystore
    "crypto/seal.py",
    "crypto/sign.py",
    "crypto/stream.py",
    "crypto/wrap.py",
    "external/configurations.py",  # credentials, for the adapter of their provider
    "exchange/service.py",  # seals and unseals keys that travel
    "instance/root_files.py",  # writes root key files and shows recovery keys
    "external/leases.py",  # the transport key of an exchange, for the provider that wraps it
    "keys/export.py",  # the explicit export
}


def _uses_the_capability(file: Path) -> bool:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.Name) and node.id == "REVEAL" for node in ast.walk(tree))


def test_only_these_modules_reveal_secrets() -> None:
    found = {
        file.relative_to(SOURCE).as_posix()
        for file in SOURCE.rglob("*.py")
        if _uses_the_capability(file)
    }
    assert found == SEES_KEY_BYTES


def test_every_own_table_says_what_a_clone_does_with_it() -> None:
    from keystead.clone.inventory import CARRIED
    from keystead.database.schema import METADATA, OnClone
    from keystead.programs import cli

    del cli  # importing the program registers every table
    undecided = [
        t.name for t in METADATA.tables.values() if not isinstance(t.info.get("on_clone"), OnClone)
    ]
    copied = {t.name for t in METADATA.tables.values() if t.info.get("on_clone") is OnClone.COPY}
    assert undecided == []
    assert copied == {table.name for table in CARRIED}
