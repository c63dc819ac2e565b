"""The file of a backup: who can open it, and what is in it (docs/formats/backup.md).

```
keystead-backup-1 LF || length(4) || header || stream
```

The header is canonical JSON: which instance and when, and the file key, sealed to the recovery
key, wrapped under a passphrase, or both. All bytes before the stream are its associated data.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, BinaryIO, Final

from keystead.base import clock
from keystead.base.errors import Invalid, Tampered
from keystead.base.ids import is_id, new_id
from keystead.base.secret import Secret
from keystead.crypto import passphrase as passphrases
from keystead.crypto import seal, sign, wrap
from keystead.instance import root_files

MAGIC: Final = b"keystead-backup-1\n"
_LENGTH = 4
_LONGEST_HEADER = 64 * 1024
_NAMES = ("backup_id", "instance_id", "name", "made_at", "schema")


class Recipient(StrEnum):
    """Who can open a backup."""

    RECOVERY_KEY = "recovery key"
    PASSPHRASE = "passphrase"  # noqa: S105 - the name of a kind, not one


@dataclass(frozen=True, slots=True)
class Unlock:
    """What somebody gives to open a backup."""

    kind: Recipient
    secret: Secret


@dataclass(frozen=True, slots=True)
class Header:
    """What can be read of a backup without its key."""

    backup_id: str
    instance_id: str
    name: str
    made_at: str
    schema: str
    recipients: dict[str, Any]

    def encoded(self) -> bytes:
        """All bytes before the stream."""
        document = {**{n: getattr(self, n) for n in _NAMES}, "recipients": self.recipients}
        content = sign.canonical(document)
        return MAGIC + len(content).to_bytes(_LENGTH, "big") + content


def by_recovery_key(text: str) -> Unlock:
    """The recovery key as it was typed.

    Raises:
        Invalid: when it is none.
    """
    return Unlock(Recipient.RECOVERY_KEY, root_files.recovery_from_text(text))


def by_passphrase(text: str) -> Unlock:
    """The passphrase as it was typed.

    Raises:
        Invalid: when it is too short to be one.
    """
    return Unlock(Recipient.PASSPHRASE, passphrases.from_text(text))


def new_header(
    instance_id: str,
    name: str,
    schema: str,
    file_key: Secret,
    recovery_public: bytes | None,
    passphrase: Secret | None,
) -> Header:
    """The header of a new backup whose file key only these recipients open."""
    backup_id = new_id()
    recipients: dict[str, Any] = {}
    if recovery_public is not None:
        sealed = seal.seal(recovery_public, file_key, _info(backup_id))
        recipients[Recipient.RECOVERY_KEY] = base64.b64encode(sealed).decode()
    if passphrase is not None:
        how = passphrases.new_stretching()
        wrapped = wrap.wrap(passphrases.stretch(passphrase, how), file_key, "backup", backup_id)
        recipients[Recipient.PASSPHRASE] = {
            "stretching": how.as_json(),
            "wrapped": base64.b64encode(wrapped).decode(),
        }
    return Header(backup_id, instance_id, name, clock.now(), schema, recipients)


def read_header(file: Path, source: BinaryIO) -> Header:
    """The header at the beginning of a backup.

    Raises:
        Invalid: when it is not the beginning of a backup.
    """
    if source.read(len(MAGIC)) != MAGIC:
        raise Invalid("backup.form", file=file, reason="it does not begin as one")
    length = int.from_bytes(source.read(_LENGTH), "big")
    content = source.read(min(length, _LONGEST_HEADER))
    try:
        document = json.loads(content)
        header = Header(**{n: document[n] for n in _NAMES}, recipients=document["recipients"])
        readable = (
            header.encoded() == MAGIC + length.to_bytes(_LENGTH, "big") + content
            and all(isinstance(getattr(header, n), str) for n in _NAMES)
            and is_id(header.backup_id)
            and is_id(header.instance_id)
            and isinstance(header.recipients, dict)
        )
        clock.parse(header.made_at)
    except (ValueError, TypeError, KeyError, RecursionError):
        readable = False
    if not readable:
        raise Invalid("backup.form", file=file, reason="its header is damaged")
    return header


def file_key(header: Header, unlock: Unlock) -> Secret:
    """The key of a backup's stream.

    Raises:
        Invalid: when the backup is not for this recipient, or the key or passphrase is wrong.
    """
    sealed = header.recipients.get(unlock.kind)
    if sealed is None:
        known = " or ".join(sorted(header.recipients)) or "nobody"
        raise Invalid("backup.recipient", name=header.name, what=unlock.kind, known=known)
    try:
        if unlock.kind is Recipient.RECOVERY_KEY:
            private = root_files.backup_private(unlock.secret)
            return seal.unseal(private, base64.b64decode(sealed), _info(header.backup_id))
        how = passphrases.from_json(sealed["stretching"])
        key = passphrases.stretch(unlock.secret, how)
        return wrap.unwrap(key, base64.b64decode(sealed["wrapped"]), "backup", header.backup_id)
    except (Tampered, ValueError, TypeError, KeyError):
        raise Invalid("backup.key", what=unlock.kind, name=header.name) from None


def seal_root(key: Secret, root: Secret, header: Header) -> bytes:
    """The root key as it lies in the backup: wrapped once more, under a key of its own."""
    return wrap.wrap(wrap.derive(key, "backup root"), root, "backup root", header.instance_id)


def unseal_root(key: Secret, sealed: bytes, header: Header) -> Secret:
    """The root key of the backup.

    Raises:
        Tampered: when it is not as it was written.
    """
    place = ("backup root", header.instance_id)
    return wrap.unwrap(wrap.derive(key, "backup root"), sealed, *place)


def kinds(header: Header) -> Iterable[str]:
    """Who can open a backup, in order of name."""
    return sorted(header.recipients)


def _info(backup_id: str) -> bytes:
    return b"keystead/1/backup " + backup_id.encode()
