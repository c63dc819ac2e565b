"""An instance out of a backup, in a folder that is empty: all of it, or nothing.

It is put together beside the folder and moved into place when all is proven:

1. the header is that of a backup, and the recovery key or passphrase opens its file key
2. the stream opens to its end, and holds exactly the files that a backup holds
3. the root key in it is the one that the recovery file yields, where the recovery key was given
4. the database is one of this engine and version, or an older one, which is taken along
5. the root key opens it: every tagged row and every module key
6. open requests expire, exchange policies end, unfinished jobs are cancelled, active keys rotate, a
   new epoch begins
7. every value is opened and counted
"""

from __future__ import annotations

import errno
import os
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from sqlalchemy import Connection

from keystead.access import exchange_policies
from keystead.base.errors import Conflict, Invalid, Misconfigured, Tampered
from keystead.base.ids import new_id
from keystead.base.secret import Secret
from keystead.crypto import wrap
from keystead.crypto.stream import StreamReader
from keystead.database import versions
from keystead.database.port import Database
from keystead.exchange import service as exchange
from keystead.fields import census
from keystead.instance import auditing, backup_file, epochs, root_files
from keystead.instance.backup import DATABASE, ROOT, SMALL_FILES, OnProgress
from keystead.instance.backup_file import Header, Recipient, Unlock
from keystead.instance.home import Home, Settings, reach_disk, read_settings, write_private
from keystead.instance.opening import Connect, opened_database
from keystead.jobs import service as jobs
from keystead.keys import renewal
from keystead.keys import service as keys
from keystead.keys.hierarchy import Hierarchy, open_hierarchy

_LARGEST_SMALL: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Begun:
    """What was ended, and begun anew, in an instance that was restored."""

    epoch: int
    cancelled_jobs: int
    expired_requests: int
    ended_policies: int
    rotated_keys: int


@dataclass(frozen=True, slots=True)
class Restored:
    """An instance that was restored: how many module keys and values of it open."""

    settings: Settings
    header: Header
    begun: Begun
    module_keys: int
    opened: int
    unreadable: int


def restore(
    file: Path, folder: Path, unlock: Unlock, connect: Connect, actor: str, on_progress: OnProgress
) -> Restored:
    """Restore a backup into a folder that is empty or does not exist.

    Raises:
        Conflict: when the folder is not empty.
        Invalid: when the file is no backup, or the recovery key or passphrase does not open it.
        Tampered: when the backup is damaged, or not as Keystead wrote it.
        Misconfigured: when a newer version made it.
    """
    folder = folder.absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Conflict("home.exists", home=folder)
    with file.open("rb") as source:
        header = backup_file.read_header(file, source)  # step 1
        key = backup_file.file_key(header, unlock)
        with _draft(folder) as draft:
            with _damage(file):
                root = _unpacked(source, header, key, draft, on_progress)
                settings = _proven_settings(draft, header, root, unlock)
            restored = _filled(draft, settings, header, root, connect, actor, on_progress)
            reach_disk(draft.folder)
            draft.folder.rename(folder)
            reach_disk(folder.parent)
    return restored


@contextmanager
def _draft(folder: Path) -> Iterator[Home]:
    """A folder beside the one that is asked for; it is gone unless it was moved there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Home(folder.with_name(f".{folder.name}.{new_id()}"))
    draft.folder.mkdir(mode=0o700)
    try:
        yield draft
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise Conflict("home.exists", home=folder) from None
        raise
    finally:
        shutil.rmtree(draft.folder, ignore_errors=True)


@contextmanager
def _damage(file: Path) -> Iterator[None]:
    try:
        yield
    except Tampered as error:
        raise Tampered("backup.damaged", file=file, reason=error.what.rstrip(".")) from None
    except (tarfile.TarError, Invalid, Misconfigured, EOFError, ValueError):
        reason = "it does not hold what a backup holds"
        raise Tampered("backup.damaged", file=file, reason=reason) from None


def _unpacked(
    source: BinaryIO, header: Header, key: Secret, draft: Home, on_progress: OnProgress
) -> Secret:
    """Write the files of a backup into the draft; the root key."""
    stream = StreamReader(key, header.encoded(), source)  # step 2
    total = os.fstat(source.fileno()).st_size
    found: dict[str, bytes] = {}
    with tarfile.open(fileobj=cast("BinaryIO", stream), mode="r|") as archive:
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            if content is None or entry.name in found:
                raise Invalid("backup.engine")
            if entry.name == DATABASE:
                found[entry.name] = b""
                with draft.copy_file.open("xb") as out:
                    while piece := content.read(_LARGEST_SMALL):
                        out.write(piece)
                        on_progress("decrypting", source.tell(), total)
            else:
                found[entry.name] = content.read(_LARGEST_SMALL)
    for _ in stream.chunks():
        pass  # only its true end shows that nothing is missing
    if set(found) != {DATABASE, ROOT, *SMALL_FILES}:
        raise Invalid("backup.engine")
    for name in SMALL_FILES:
        write_private(draft.folder / name, found[name])
    return backup_file.unseal_root(key, found[ROOT], header)


def _proven_settings(draft: Home, header: Header, root: Secret, unlock: Unlock) -> Settings:
    """The settings of the draft, whose root key file is written; step 3."""
    settings = read_settings(draft, {})
    if settings.instance_id != header.instance_id:
        raise Invalid("backup.engine")
    if unlock.kind is Recipient.RECOVERY_KEY:
        regained = root_files.recover_root(draft.recovery_file, unlock.secret, header.instance_id)
        if not wrap.same(regained, root):
            raise Tampered("root.wrong")
    root_files.write_root(draft.root_file, root)
    draft.log_file.parent.mkdir()
    return settings


def _filled(
    draft: Home,
    settings: Settings,
    header: Header,
    root: Secret,
    connect: Connect,
    actor: str,
    on_progress: OnProgress,
) -> Restored:
    with opened_database(draft, connect) as database:
        database.copy_from(draft.copy_file)  # step 4
        draft.copy_file.unlink()
        with database.transaction() as tx:
            older = versions.check(tx, header.name, allow_older=True) != versions.head()
            if older:
                versions.migrate(tx)
            hierarchy = open_hierarchy(tx, root, settings.instance_id)  # step 5
            if older:
                auditing.adopt(tx, hierarchy, actor)
            module_keys = renewal.check(tx, hierarchy)
            begun = _begin(tx, hierarchy, header, actor)  # step 6
        opened, unreadable = _opened_values(database, hierarchy, on_progress)  # step 7
        auditing.accept(draft, database, hierarchy, "restored from a backup", actor)
    return Restored(settings, header, begun, module_keys, opened, unreadable)


def _begin(tx: Connection, hierarchy: Hierarchy, header: Header, actor: str) -> Begun:
    epoch = epochs.begin(tx, hierarchy.integrity, header.backup_id, header.made_at, actor)
    return Begun(
        epoch=int(epoch["number"]),
        cancelled_jobs=jobs.cancel_unfinished(tx, actor),
        expired_requests=exchange.expire_open(tx, hierarchy, actor),
        # one that was used after the backup must not be used again
        ended_policies=exchange_policies.end_every_exchange_policy(tx, hierarchy.integrity),
        rotated_keys=keys.rotate_all(tx, hierarchy, actor),
    )


def _opened_values(
    database: Database, hierarchy: Hierarchy, on_progress: OnProgress
) -> tuple[int, int]:
    done = 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        on_progress("opening values", done, 0)

    counted = []
    with database.snapshot() as tx:
        present = set(database.table_names(tx))  # a configured table may have been dropped
        for table in sorted(present & census.configured_tables(tx, hierarchy)):
            counted += census.open_all(tx, database, hierarchy, table, on_rows=count)
    return sum(c.opened or 0 for c in counted), sum(c.unreadable or 0 for c in counted)
