"""A backup of an instance: all that another machine needs, in one encrypted file.

1. every tagged row is read and every module key opened: what cannot be restored is not backed up
2. the database is copied at one moment, beside itself, while others may write
3. the copy and the small files go through the stream into a draft beside FILE
4. the draft is read back from its beginning to its end
5. the draft takes its name; the copy is gone

In it: database, settings, certificate and its key, the recovery file, the root key wrapped once
more. Not in it: the root key in clear, the job engine's state, logs, files that were exported.
"""

from __future__ import annotations

import errno
import fcntl
import io
import os
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from keystead.audit import log
from keystead.base.errors import Conflict, Misconfigured, Tampered, Unavailable
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.crypto.stream import StreamReader, StreamWriter
from keystead.database import versions
from keystead.instance import backup_file, root_files
from keystead.instance.backup_file import Header
from keystead.instance.home import Home, reach_disk
from keystead.instance.opening import Instance
from keystead.keys import renewal

OnProgress = Callable[[str, int, int], None]
DATABASE: Final = "database"
ROOT: Final = "root.sealed"
SMALL_FILES: Final = ("instance.toml", "root.recovery", "tls.key", "tls.crt")
CONTAINS: Final = (
    "the database with every wrapped key, settings, certificate and its key, recovery file",
    "the root key, wrapped: whoever can open the backup can open every value",
)
LACKS: Final = (
    "the root key in clear",
    "the job engine's state: a restore cancels unfinished jobs",
    "logs, and files that were loaded or exported",
)
_READ = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was read back after it was written. `size` is in bytes."""

    header: Header
    file: Path
    size: int


def make(
    instance: Instance,
    file: Path,
    passphrase: Secret | None,
    actor: str,
    on_progress: OnProgress,
) -> Made:
    """Write a backup of an opened instance to a new file, for its recovery key and a passphrase.

    Raises:
        Conflict: when the file exists.
        Misconfigured: when the home knows no recovery key for backups and no passphrase is given.
        Unavailable: when there is no room, or another backup is being made; nothing is left then.
        Tampered: when a row or key is not as it was written.
    """
    file, home = file.absolute(), instance.home
    if file.exists():
        raise Conflict("backup.exists", file=file)
    if home.next_root_file.exists():
        raise Unavailable("home.busy", home=home.folder)
    public = root_files.backup_public(home)
    if public is None and passphrase is None:
        raise Misconfigured("backup.no_recipient", home=home.folder)
    with instance.database.snapshot() as tx:
        renewal.check(tx, instance.hierarchy)
    draft = file.with_name(f".{file.name}.{new_id()}.partial")
    try:
        with _copied(instance, on_progress) as schema, draft.open("xb") as out:
            draft.chmod(0o600)
            key, settings = wrap.new_key(), instance.settings
            header = backup_file.new_header(
                settings.instance_id, settings.name, schema, key, public, passphrase
            )
            _write(out, home, header, key, on_progress)
            out.flush()
            os.fsync(out.fileno())
        size = _read_back(draft, header, key, on_progress)
        _name(draft, file)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise Unavailable("file.unusable", file=file, reason=error.strerror) from None
        raise
    finally:
        draft.unlink(missing_ok=True)
    with instance.database.transaction() as tx:
        recipients = ", ".join(backup_file.kinds(header))
        log.record(tx, actor, "instance.backup", header.backup_id, recipients=recipients)
    return Made(header, file, size)


@contextmanager
def _copied(instance: Instance, on_progress: OnProgress) -> Iterator[str]:
    """The version of the database's copy, for as long as that lies in the home."""
    home = instance.home
    with home.backup_lock_file.open("a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Unavailable("home.busy", home=home.folder) from None
        _remove_copy(home)  # of a backup that was killed
        try:
            instance.database.copy_to(home.copy_file, lambda d, t: on_progress("copying", d, t))
            # nobody upgrades meanwhile: the instance shares the home
            with instance.database.snapshot() as tx:
                schema = versions.check(tx, home.folder)
            yield schema
        finally:
            _remove_copy(home)


def _remove_copy(home: Home) -> None:
    for left in home.folder.glob(f"{home.copy_file.name}*"):
        left.unlink()


def _write(out: BinaryIO, home: Home, header: Header, key: Secret, on_progress: OnProgress) -> None:
    root = root_files.read_root(home.root_file)
    encoded = header.encoded()
    out.write(encoded)
    stream = StreamWriter(key, encoded, out)
    with tarfile.open(
        fileobj=cast("BinaryIO", stream), mode="w|", format=tarfile.PAX_FORMAT
    ) as archive:
        for name in SMALL_FILES:
            _add(archive, name, (home.folder / name).read_bytes())
        _add(archive, ROOT, backup_file.seal_root(key, root, header))
        entry = tarfile.TarInfo(DATABASE)
        entry.size = home.copy_file.stat().st_size
        with home.copy_file.open("rb") as source:
            archive.addfile(entry, _Watched(source, entry.size, on_progress))
    stream.finish()


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))


class _Watched(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, source: BinaryIO, total: int, on_progress: OnProgress) -> None:
        self._source = source
        self._total = total
        self._on_progress = on_progress

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        found = self._source.read(size)
        self._on_progress("encrypting", self._source.tell(), self._total)
        return found


def _read_back(draft: Path, header: Header, key: Secret, on_progress: OnProgress) -> int:
    """Open every chunk of what was written; the size of the file."""
    total = draft.stat().st_size
    with draft.open("rb") as source:
        if backup_file.read_header(draft, source) != header:
            raise Tampered("stream.damaged")
        for _ in StreamReader(key, header.encoded(), source).chunks():
            on_progress("verifying", source.tell(), total)
    return total


def _name(draft: Path, file: Path) -> None:
    """Give a draft its name, unless a file has taken it meanwhile."""
    try:
        file.hardlink_to(draft)
    except FileExistsError:
        raise Conflict("backup.exists", file=file) from None
    except OSError:  # a file system without hard links
        if file.exists():
            raise Conflict("backup.exists", file=file) from None
        draft.rename(file)
    reach_disk(file.parent)
