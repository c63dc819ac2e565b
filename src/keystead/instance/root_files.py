"""The root key on disk, the recovery key that brings it back, and replacing both.

A rotation writes `root.key.next`, then `root.recovery.next`; the database then decides: the root
key that opens it is the root key. `settle` makes the files follow that decision, whatever was
interrupted: the recovery file first, so that `root.recovery.next` never stands alone.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from sqlalchemy import Connection

from keystead.base.errors import Conflict, Invalid, Misconfigured, Tampered
from keystead.base.secret import REVEAL, Secret
from keystead.crypto import seal, wrap
from keystead.instance.home import Home, reach_disk, write_private
from keystead.keys.hierarchy import Hierarchy, open_hierarchy

_ROOT_FORM = re.compile(r"keystead-root-1 ([A-Za-z0-9_-]{43})\n?")
_OTHERS = 0o077
_BACKUPS = "backups"


def write_root(file: Path, root: Secret) -> None:
    """Write a root key file; an existing one is never overwritten.

    Raises:
        Conflict: when there is one.
    """
    encoded = base64.urlsafe_b64encode(root.reveal(REVEAL)).rstrip(b"=")
    try:
        write_private(file, b"keystead-root-1 " + encoded + b"\n")
    except FileExistsError:
        raise Conflict("root.present", file=file) from None


def read_root(file: Path) -> Secret:
    """The root key in a file.

    Raises:
        Misconfigured: when the file is missing, readable by others, or holds no root key.
    """
    try:
        mode = file.stat().st_mode & 0o777
        content = file.read_text(encoding="ascii")
    except FileNotFoundError:
        raise Misconfigured("root.missing", file=file) from None
    except (OSError, UnicodeDecodeError):
        raise Misconfigured("root.malformed", file=file) from None
    if mode & _OTHERS:
        raise Misconfigured("root.readable", file=file, mode=f"{mode:04o}")
    found = _ROOT_FORM.fullmatch(content)
    if found is None:
        raise Misconfigured("root.malformed", file=file)
    return Secret(base64.urlsafe_b64decode(found[1] + "="))


def write_recovery(file: Path, root: Secret, instance_id: str) -> str:
    """Wrap the root key by a new recovery key; the recovery key as text, to be shown once.

    The second line is the public key to which backups are sealed: the recovery key opens them.
    """
    recovery = wrap.new_key()
    wrapped = wrap.wrap(recovery, root, "recovery", instance_id)
    public = seal.public_of(backup_private(recovery))
    write_private(file, base64.b64encode(wrapped) + b"\n" + base64.b64encode(public) + b"\n")
    text = base64.b32encode(recovery.reveal(REVEAL)).decode().rstrip("=")
    return "-".join(text[i : i + 4] for i in range(0, len(text), 4))


def recovery_from_text(text: str) -> Secret:
    """A recovery key as it was typed.

    Raises:
        Invalid: when it is none.
    """
    try:
        letters = re.sub(r"[\s-]", "", text).upper()
        decoded = base64.b32decode(letters + "=" * (-len(letters) % 8))
        if base64.b32encode(decoded).decode().rstrip("=") != letters:
            raise Invalid("root.recovery")
        recovery = Secret(decoded)
    except ValueError:
        raise Invalid("root.recovery") from None
    if len(recovery) != wrap.KEY_SIZE:
        raise Invalid("root.recovery")
    return recovery


def recover_root(file: Path, recovery: Secret, instance_id: str) -> Secret:
    """The root key, regained from a recovery file.

    Raises:
        Invalid: when the recovery key is not that of this file.
    """
    try:
        wrapped = base64.b64decode(file.read_bytes().split(b"\n")[0])
        return wrap.unwrap(recovery, wrapped, "recovery", instance_id)
    except (OSError, ValueError, Tampered):
        raise Invalid("root.recovery") from None


def backup_private(recovery: Secret) -> Secret:
    """What opens the backups that are sealed to a recovery key."""
    return seal.private_from(recovery, _BACKUPS)


def backup_public(home: Home) -> bytes | None:
    """The public key for backups; None in a home whose recovery key was made before there was one.

    Raises:
        Misconfigured: when the recovery file cannot be read.
    """
    file = home.recovery_file
    try:
        lines = file.read_bytes().split()
        return base64.b64decode(lines[1], validate=True) if len(lines) > 1 else None
    except (OSError, ValueError):
        raise Misconfigured("root.recovery_file", file=file) from None


def unlock(tx: Connection, home: Home, instance_id: str) -> tuple[Secret, Hierarchy]:
    """The root key that opens the database, and what it opens.

    Raises:
        Misconfigured: when no root key of the home does.
    """
    try:
        root = read_root(home.root_file)
        return root, open_hierarchy(tx, root, instance_id)
    except Misconfigured:
        if not home.next_root_file.exists():
            raise
        try:
            root = read_root(home.next_root_file)
            return root, open_hierarchy(tx, root, instance_id)
        except Misconfigured:
            pass
        raise


def settle(tx: Connection, home: Home, instance_id: str) -> bool:
    """End an interrupted rotation as the database decided; whether the new root key is in place.

    The home must be held alone.

    Raises:
        Misconfigured: when no root key of the home opens the database; nothing is touched then.
    """
    if not home.next_root_file.exists():
        return False
    present, _ = unlock(tx, home, instance_id)
    try:
        is_next = wrap.same(present, read_root(home.next_root_file))
    except Misconfigured:
        is_next = False  # it was being written
    if is_next:
        retire(home)
    else:
        home.next_recovery_file.unlink(missing_ok=True)
        home.next_root_file.unlink()
        reach_disk(home.folder)
    return is_next


def retire(home: Home) -> None:
    """Put the new recovery file and root key in the places of the old ones."""
    if home.next_recovery_file.exists():
        home.next_recovery_file.replace(home.recovery_file)
        reach_disk(home.folder)
    home.next_root_file.replace(home.root_file)
    reach_disk(home.folder)
